//! `queqiao history`: prints past letters, even if another process of the member is running.

use std::io::{self, BufWriter, ErrorKind, Write};

use jiff::tz::TimeZone;

use crate::base::{Name, Phrase, Wall};
use crate::client::Said;
use crate::contacts::Book;
use crate::net;
use crate::store::Archive;
use crate::ui::clock::Clock;
use crate::ui::{json, plain};

use super::{Failure, Outcome, Setup, Status};

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
pub fn history(setup: &Setup, options: &HistoryOptions) -> Outcome {
    let book = setup.location().load()?;
    let me = setup.name_needed(&book)?;
    let target = options.contact.as_deref().map(|contact| book.resolve(contact)).transpose()?;
    let Some(archive) = Archive::open(&setup.data_dir()?, &me.folder())? else { return Ok(Status::Done) };
    let with = target.as_ref().map(|target| (&target.relay, &target.member));
    let clock = Clock::new(TimeZone::system());
    let mut telling = Telling { setup, options, book, me, clock, now: net::wall(), out: buffered() };
    archive.read(with, options.last, |said| telling.tell(&said))?;
    telling.written(Output::flush).map(|_| Status::Done)
}

type Output = BufWriter<io::StdoutLock<'static>>;

fn buffered() -> Output {
    BufWriter::new(io::stdout().lock())
}

struct Telling<'a> {
    setup: &'a Setup,
    options: &'a HistoryOptions,
    book: Book,
    me: Name,
    clock: Clock,
    now: Wall,
    out: Output,
}

impl Telling<'_> {
    /// Prints one letter. Returns `false` if the reader has closed the pipe.
    fn tell(&mut self, said: &Said) -> Result<bool, Failure> {
        let lines = if self.options.json {
            json::said(said, self.me.as_str())
        } else {
            let who = self.book.contact_of(&said.relay, &said.member).map_or(&said.member, |c| &c.label);
            let line = plain::said(said, self.me.as_str(), who.as_str(), &self.clock, self.now);
            match said.missing {
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
            Err(error) => Err(Phrase::new("output-failed").with("cause", error).into()),
        }
    }
}
