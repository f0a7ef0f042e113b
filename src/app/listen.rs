//! `queqiao listen`: prints letters as they arrive, one per line.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{Name, Now, Phrase};
use crate::client::{Command, Event, Incoming, RelayConfig};
use crate::contacts::AddressBook;
use crate::ui::terminal::{Output, OutputWriter, WriteResult};
use crate::ui::time_format::TimeFormat;
use crate::ui::{ConnectFailures, json, notice, plain};

use super::client_host::{ClientHost, FrontendInput, FrontendKind, TurnOutput};
use super::output_thread::{FINISH_WITHIN, OutputThread, check_written, finish, given_back};
use super::send::end_of;
use super::{CommandResult, ExitStatus, Failure, Setup};

/// Maximum remembered senders that were distinguished from a contact. At the limit all are
/// forgotten, and reported once more.
const WARNED_MAX: usize = 256;

/// Options of `listen`.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// One JSON object per line.
    pub json: bool,
    /// End after this many letters.
    pub count: Option<u64>,
    /// End after this time.
    pub time: Option<Duration>,
}

/// Prints letters until `count` have arrived, `time` is over, or the user interrupts.
///
/// # Errors
/// [`Failure`]: 75 if fewer than `count` letters arrived in `time`, 130 if interrupted.
pub fn listen(setup: &Setup, options: &ListenOptions) -> CommandResult {
    let location = setup.location();
    let book = location.load()?;
    let name = setup.name_needed(&book)?;
    if book.relays().is_empty() {
        return Err(Phrase::new("book-no-relays").with("file", location.file()).into());
    }
    let relays = setup.relays(&book)?;
    let mut host = ClientHost::open(setup, name.clone(), FrontendKind::Display)?;
    let _watcher = host.watch(setup, location);
    host.command(Command::Screen(setup.block_lists(&book)));
    let time_format = TimeFormat::new(TimeZone::system());
    let letters = OutputThread::open(host.loop_handle(), OutputWriter::default())?;
    let notices = OutputThread::open(host.loop_handle(), OutputWriter::default())?;
    let mut command = ListenCommand {
        setup,
        options,
        me: name.to_string(),
        book,
        time_format,
        letters,
        notices,
        held: false,
        heard: 0,
        stopped: 0,
        connect_failures: ConnectFailures::default(),
        warned: BTreeSet::new(),
    };
    host.command(Command::Relays(relays));
    let mut output = TurnOutput::default();
    let result = command.run(&mut host, &mut output);
    let threads = &mut [&mut command.letters, &mut command.notices];
    let written = finish(&mut host, &mut output, threads, FINISH_WITHIN, true, &setup.strings);
    host.leave();
    result.and_then(|status| written.map(|()| status))
}

struct ListenCommand<'a> {
    setup: &'a Setup,
    options: &'a ListenOptions,
    me: String,
    book: AddressBook,
    time_format: TimeFormat,
    letters: OutputThread,
    /// A separate printer for notices, so that a slow reader of letters does not delay them.
    notices: OutputThread,
    /// Letters stay on disk, because too many lines wait to be printed.
    held: bool,
    /// Letters printed.
    heard: u64,
    /// Relays that refuse us.
    stopped: usize,
    connect_failures: ConnectFailures,
    /// Senders that were already distinguished from a contact.
    warned: BTreeSet<Name>,
}

impl ListenCommand<'_> {
    fn run(&mut self, host: &mut ClientHost, output: &mut TurnOutput) -> CommandResult {
        let end = end_of(host.now().tick, self.options.time);
        while self.options.count != Some(self.heard) {
            let until = [end, self.connect_failures.next_deadline()].into_iter().flatten().min();
            let now = host.turn(until, output);
            if let Some(phrase) = self.connect_failures.handle_time(now.tick) {
                self.say(&phrase);
            }
            for event in output.events.drain(..) {
                self.handle(event, now)?;
            }
            while let Some(input) = output.next_input() {
                if self.answer(host, input)? == WriteResult::Closed {
                    return Ok(ExitStatus::Done);
                }
            }
            self.letters.pause_if_full(host, &mut self.held);
            if end.is_some_and(|end| now.tick >= end) && self.options.count != Some(self.heard) {
                return self.end_of_time();
            }
        }
        Ok(ExitStatus::Done)
    }

    fn end_of_time(&self) -> CommandResult {
        match self.options.count {
            None => Ok(ExitStatus::Done),
            Some(_) => Err(Failure::later(Phrase::new("listen-time-ran-out").with("count", self.heard))),
        }
    }

    fn handle(&mut self, event: Event, now: Now) -> Result<(), Failure> {
        match event {
            // One letter more than requested is left to the next command that shows letters.
            Event::Letter(_) if self.options.count == Some(self.heard + self.letters.letters_waiting()) => {}
            Event::Letter(letter) => self.print(letter, now),
            Event::Refused { to, reason, may_have_arrived, nearest, text, .. } => {
                let who = (to.as_str(), self.book.relay_of_member(&to));
                let phrases = notice::letter_refused(reason, who, may_have_arrived, &nearest);
                phrases.iter().for_each(|phrase| self.say(phrase));
                self.notices.put(Output::Err, given_back(&self.setup.strings, &text));
            }
            Event::NameRefused { .. } | Event::Replaced { .. } => {
                self.stopped += 1;
                let phrase = notice::of_event(&event, &self.me).expect("both events have a notice");
                if self.stopped >= self.book.relays().len() {
                    return Err(phrase.into());
                }
                self.say(&phrase);
            }
            Event::Unreached { relay, reason } => {
                let relays = self.book.relays().len();
                if let Some(phrase) = self.connect_failures.put(now.tick, &relay, &reason, relays) {
                    self.say(&phrase);
                }
            }
            event => {
                if let Some(phrase) = notice::of_event(&event, &self.me) {
                    let time = self.time_format.format(now.wall, now.wall);
                    let phrase = notice::timed(&self.setup.strings, phrase, &event, &time);
                    self.say(&phrase);
                }
            }
        }
        Ok(())
    }

    /// Passes a letter to the printer. It is marked as shown once it is printed, so that a kill
    /// between the two prints it again.
    fn print(&mut self, letter: Incoming, now: Now) {
        if letter.missing > 0 {
            self.say(&Phrase::new("chat-missing").with("count", letter.missing));
        }
        let line = if self.options.json {
            json::letter(&letter, &of_book(&self.book, &letter))
        } else {
            self.warn_of(&letter);
            let who = self.book.contact_of(&letter.relay, &letter.from).map_or(&letter.from, |c| &c.label);
            plain::letter(&letter, who.as_str(), &self.time_format, now.wall)
        };
        self.letters.put_letter(letter, format!("{line}\n"));
    }

    fn printed(
        &mut self,
        host: &mut ClientHost,
        to: Output,
        written: Result<WriteResult, Failure>,
    ) -> Result<WriteResult, Failure> {
        let letters = if to == Output::Out { &mut self.letters } else { &mut self.notices };
        let letter = letters.take_printed();
        let written = check_written(to, written)?;
        if let (Some(letter), WriteResult::Yes) = (letter, written) {
            self.heard += 1;
            host.mark_shown(&letter, true);
        }
        Ok(written)
    }

    fn say(&mut self, phrase: &Phrase) {
        if !self.notices.is_over_notice_limit() {
            let words = self.setup.strings.say(phrase);
            self.notices.put(Output::Err, format!("{words}\n"));
        }
    }

    /// Reports once per sender that it is not the contact whose name looks like the sender's.
    fn warn_of(&mut self, letter: &Incoming) {
        let Some(contact) = of_book(&self.book, letter).looks_like else { return };
        if self.warned.len() >= WARNED_MAX {
            self.warned.clear();
        }
        if self.warned.insert(letter.from.clone()) {
            let phrase = Phrase::new("chat-looks-like").with("who", &letter.from);
            self.say(&phrase.with("relay", &letter.relay).with("contact", contact));
        }
    }

    fn answer(&mut self, host: &mut ClientHost, input: FrontendInput) -> Result<WriteResult, Failure> {
        if let Some(failure) = input.end() {
            return Err(failure);
        }
        match input {
            FrontendInput::Printed(to, written) => return self.printed(host, to, written),
            FrontendInput::Trouble(phrase) => self.say(&phrase),
            FrontendInput::Typed(_)
            | FrontendInput::End
            | FrontendInput::HangUp
            | FrontendInput::Broken(_)
            | FrontendInput::Failed(_) => {}
            FrontendInput::Book(read) => {
                let (phrase, followed) = follow(self.setup, host, *read, &[]);
                self.say(&phrase);
                if let Some((book, _)) = followed {
                    self.book = book;
                }
            }
        }
        Ok(WriteResult::Yes)
    }
}

/// Returns what the address book knows about a letter's sender.
fn of_book(book: &AddressBook, letter: &Incoming) -> json::JsonSender {
    let contact = book.contact_of(&letter.relay, &letter.from).map(|contact| contact.label.to_string());
    let looks_like = match contact {
        None => book.looks_like(&letter.from).map(|contact| contact.label.to_string()),
        Some(_) => None,
    };
    json::JsonSender { contact, looks_like }
}

/// Applies an edit of the address book, unless it cannot be read. Keeps the relays `beyond` the
/// book. Returns the phrase to show, and the new book with all relays.
pub(super) fn follow(
    setup: &Setup,
    host: &mut ClientHost,
    read: Result<AddressBook, Phrase>,
    beyond: &[RelayConfig],
) -> (Phrase, Option<(AddressBook, Vec<RelayConfig>)>) {
    let followed = read.map_err(Failure::from).and_then(|book| Ok((setup.relays(&book)?, book)));
    match followed {
        Ok((mut relays, book)) => {
            relays.extend_from_slice(beyond);
            host.command(Command::Screen(setup.block_lists(&book)));
            host.command(Command::Relays(relays.clone()));
            (Phrase::new("book-reloaded").with("file", setup.location().file()), Some((book, relays)))
        }
        Err(failure) => {
            let reason = failure.phrase.map_or_else(String::new, |phrase| setup.strings.say(&phrase));
            (Phrase::new("book-reload-failed").with("why", reason), None)
        }
    }
}
