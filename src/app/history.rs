//! `queqiao history`: prints past letters, even if another process of the member is running.

use std::collections::VecDeque;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{Name, Phrase, Wall};
use crate::client::HistoryEntry;
use crate::contacts::AddressBook;
use crate::net;
use crate::store::{Archive, HistoryFilter};
use crate::ui::time_format::TimeFormat;
use crate::ui::{json, notice, plain};

use super::outcome::output_failure;
use super::{CommandResult, ExitStatus, Failure, Setup, conversation, say};

/// Letters shown on a terminal unless the user asks for more.
const LAST_ON_TERMINAL: u64 = 50;

/// Options of `history`.
#[derive(Clone, Debug, Default)]
pub struct HistoryOptions {
    /// Conversation with this contact; `None` for all.
    pub contact: Option<String>,
    /// One JSON object per line.
    pub json: bool,
    /// Only this many of the last letters.
    pub last: Option<u64>,
    /// Only letters of this last time.
    pub since: Option<Duration>,
    /// All letters, on a terminal too.
    pub all: bool,
}

/// Prints the letters, oldest first. Ends with success if the reader closes the pipe. A terminal
/// gets the last ones only, unless the options say how many or since when.
///
/// # Errors
/// [`Failure`]: 1 for an unknown contact, or if the letters cannot be read.
pub fn history(setup: &Setup, options: &HistoryOptions) -> CommandResult {
    let book = setup.location().load()?;
    let me = setup.name_needed(&book)?;
    let archive = Archive::open(&setup.data_dir()?, &me.folder())?;
    let known = archive.as_ref().map(|archive| archive.conversations(false)).transpose()?.unwrap_or_default();
    let contact = options.contact.as_deref();
    let with = contact.map(|contact| conversation::find(&book, contact, &known)).transpose()?;
    let is_terminal = io::stdout().is_terminal();
    let is_cut = is_terminal && !options.all && options.last.is_none() && options.since.is_none();
    let filter = HistoryFilter {
        with: with.as_ref().map(|(relay, member)| (relay, member)),
        since: options.since.map(before_now),
        // One more, to know whether there are more.
        last: if is_cut { Some(LAST_ON_TERMINAL + 1) } else { options.last },
    };
    let mut printer = HistoryPrinter {
        setup,
        as_json: options.json,
        is_terminal,
        book,
        me,
        time_format: TimeFormat::new(TimeZone::system()),
        out: BufWriter::new(io::stdout().lock()),
        count: 0,
    };
    match &archive {
        Some(archive) if is_cut => printer.print_last(archive, filter)?,
        Some(archive) => archive.read(filter, |entry| printer.print_entry(&entry))?,
        None => {}
    }
    printer.written(Output::flush)?;
    if printer.count == 0 && is_terminal {
        say(&setup.strings, &Phrase::new("history-none"));
    }
    Ok(ExitStatus::Done)
}

fn before_now(time: Duration) -> Wall {
    Wall(net::wall().0.saturating_sub(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

type Output = BufWriter<io::StdoutLock<'static>>;

struct HistoryPrinter<'a> {
    setup: &'a Setup,
    as_json: bool,
    /// States are words of the user's language on a terminal, and fixed ones for scripts.
    is_terminal: bool,
    book: AddressBook,
    me: Name,
    time_format: TimeFormat,
    out: Output,
    count: u64,
}

impl HistoryPrinter<'_> {
    /// Prints the last letters that `filter` selects, [`LAST_ON_TERMINAL`] at most.
    fn print_last(&mut self, archive: &Archive, filter: HistoryFilter<'_>) -> Result<(), Failure> {
        let mut entries = VecDeque::new();
        archive.read(filter, |entry| {
            entries.push_back(entry);
            Ok::<bool, Failure>(true)
        })?;
        if entries.len() as u64 > LAST_ON_TERMINAL {
            entries.pop_front();
            say(&self.setup.strings, &Phrase::new("history-cut").with("count", LAST_ON_TERMINAL));
        }
        entries.iter().try_for_each(|entry| self.print_entry(entry).map(drop))
    }

    /// Prints one letter. Returns `false` if the reader has closed the pipe.
    fn print_entry(&mut self, entry: &HistoryEntry) -> Result<bool, Failure> {
        self.count += 1;
        let lines = if self.as_json {
            json::history_entry(entry, self.me.as_str())
        } else {
            let who = self.book.contact_of(&entry.relay, &entry.member).map_or(&entry.member, |c| &c.label);
            let state = match self.is_terminal {
                true => self.setup.strings.say(&notice::history_state(entry, |at| self.time_format.day(at))),
                false => plain::state_word(entry).to_owned(),
            };
            let line = plain::history_entry(entry, self.me.as_str(), who.as_str(), &state, &self.time_format);
            match entry.missing {
                0 => line,
                missing => {
                    let gap = Phrase::new("chat-missing").with("count", missing);
                    format!("{}\n{line}", self.setup.strings.say(&gap))
                }
            }
        };
        self.written(|out| writeln!(out, "{lines}"))
    }

    fn written(&mut self, write: impl FnOnce(&mut Output) -> io::Result<()>) -> Result<bool, Failure> {
        match write(&mut self.out) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(output_failure(&error)),
        }
    }
}
