//! `queqiao history`: prints past letters, even if another process of the member is running.

use std::io::{self, BufWriter, ErrorKind, Write};

use jiff::tz::TimeZone;

use crate::base::{Name, Phrase, Wall};
use crate::client::HistoryEntry;
use crate::contacts::AddressBook;
use crate::net;
use crate::store::Archive;
use crate::ui::time_format::TimeFormat;
use crate::ui::{json, plain};

use super::outcome::output_failure;
use super::{CommandResult, ExitStatus, Failure, Setup};

/// Options of `history`.
#[derive(Clone, Debug, Default)]
pub struct HistoryOptions {
    /// Conversation with this contact; `None` for all.
    pub contact: Option<String>,
    /// One JSON object per line.
    pub json: bool,
    /// Only this many of the last letters.
    pub last: Option<u64>,
}

/// Prints the letters, oldest first. Ends with success if the reader closes the pipe.
///
/// # Errors
/// [`Failure`]: 1 if the letters cannot be read, 2 for an unknown contact.
pub fn history(setup: &Setup, options: &HistoryOptions) -> CommandResult {
    let book = setup.location().load()?;
    let me = setup.name_needed(&book)?;
    let recipient = options.contact.as_deref().map(|contact| book.resolve(contact)).transpose()?;
    let Some(archive) = Archive::open(&setup.data_dir()?, &me.folder())? else { return Ok(ExitStatus::Done) };
    let with = recipient.as_ref().map(|recipient| (&recipient.relay, &recipient.member));
    let time_format = TimeFormat::new(TimeZone::system());
    let mut printer =
        HistoryPrinter { setup, options, book, me, time_format, now: net::wall(), out: buffered() };
    archive.read(with, options.last, |entry| printer.print_entry(&entry))?;
    printer.written(Output::flush).map(|_| ExitStatus::Done)
}

type Output = BufWriter<io::StdoutLock<'static>>;

fn buffered() -> Output {
    BufWriter::new(io::stdout().lock())
}

struct HistoryPrinter<'a> {
    setup: &'a Setup,
    options: &'a HistoryOptions,
    book: AddressBook,
    me: Name,
    time_format: TimeFormat,
    now: Wall,
    out: Output,
}

impl HistoryPrinter<'_> {
    /// Prints one letter. Returns `false` if the reader has closed the pipe.
    fn print_entry(&mut self, entry: &HistoryEntry) -> Result<bool, Failure> {
        let lines = if self.options.json {
            json::history_entry(entry, self.me.as_str())
        } else {
            let who = self.book.contact_of(&entry.relay, &entry.member).map_or(&entry.member, |c| &c.label);
            let line =
                plain::history_entry(entry, self.me.as_str(), who.as_str(), &self.time_format, self.now);
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
