//! `queqiao listen`: prints letters as they arrive, one per line.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{Name, Now, Phrase};
use crate::client::{Command, Event, Incoming, RelaySpec};
use crate::contacts::Book;
use crate::ui::clock::Clock;
use crate::ui::terminal::{Output, Pen, Written};
use crate::ui::{NotReached, json, notice, plain};

use super::desk::{Ask, Desk, News, Part};
use super::printer::{FINISH_WITHIN, Printer, fared, finish, given_back};
use super::send::end_of;
use super::{Failure, Outcome, Setup, Status};

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
pub fn listen(setup: &Setup, options: &ListenOptions) -> Outcome {
    let location = setup.location();
    let book = location.load()?;
    let name = setup.name_needed(&book)?;
    if book.relays().is_empty() {
        return Err(Phrase::new("book-no-relays").with("file", location.file()).into());
    }
    let relays = setup.relays(&book)?;
    let mut desk = Desk::open(setup, name.clone(), Part::Shows)?;
    let _watcher = desk.watch(setup, location);
    desk.command(Command::Screen(setup.screens(&book)));
    let clock = Clock::new(TimeZone::system());
    let printer = Printer::open(desk.inlet(), Pen::default())?;
    let talk = Printer::open(desk.inlet(), Pen::default())?;
    let mut listening = Listening {
        setup,
        options,
        me: name.to_string(),
        book,
        clock,
        printer,
        talk,
        held: false,
        heard: 0,
        stopped: 0,
        not_reached: NotReached::default(),
        warned: BTreeSet::new(),
    };
    desk.command(Command::Relays(relays));
    let mut news = News::default();
    let outcome = listening.run(&mut desk, &mut news);
    let printers = &mut [&mut listening.printer, &mut listening.talk];
    finish(&mut desk, &mut news, printers, FINISH_WITHIN, true, &setup.strings);
    desk.leave();
    outcome
}

struct Listening<'a> {
    setup: &'a Setup,
    options: &'a ListenOptions,
    me: String,
    book: Book,
    clock: Clock,
    printer: Printer,
    /// A separate printer for notices, so that a slow reader of letters does not delay them.
    talk: Printer,
    /// Letters stay on disk, because too many lines wait to be printed.
    held: bool,
    /// Letters printed.
    heard: u64,
    /// Relays that refuse us.
    stopped: usize,
    not_reached: NotReached,
    /// Senders that were already distinguished from a contact.
    warned: BTreeSet<Name>,
}

impl Listening<'_> {
    fn run(&mut self, desk: &mut Desk, news: &mut News) -> Outcome {
        let end = end_of(desk.now().tick, self.options.time);
        while self.options.count != Some(self.heard) {
            let until = [end, self.not_reached.next_deadline()].into_iter().flatten().min();
            let now = desk.turn(until, news);
            if let Some(phrase) = self.not_reached.handle_time(now.tick) {
                self.say(&phrase);
            }
            for event in news.events.drain(..) {
                self.handle(event, now)?;
            }
            while let Some(ask) = news.next_ask() {
                if self.answer(desk, ask)? == Written::Closed {
                    return Ok(Status::Done);
                }
            }
            self.printer.hold(desk, &mut self.held);
            if end.is_some_and(|end| now.tick >= end) && self.options.count != Some(self.heard) {
                return self.end_of_time();
            }
        }
        Ok(Status::Done)
    }

    fn end_of_time(&self) -> Outcome {
        match self.options.count {
            None => Ok(Status::Done),
            Some(_) => Err(Failure::later(Phrase::new("listen-time-ran-out").with("count", self.heard))),
        }
    }

    fn handle(&mut self, event: Event, now: Now) -> Result<(), Failure> {
        match event {
            // One letter more than requested is left to the next command that shows letters.
            Event::Letter(_) if self.options.count == Some(self.heard + self.printer.letters_waiting()) => {}
            Event::Letter(letter) => self.print(letter, now),
            Event::Refused { to, reason, may_have_arrived, nearest, text, .. } => {
                let who = (to.as_str(), self.book.relay_of_member(&to));
                let phrases = notice::letter_refused(reason, who, may_have_arrived, &nearest);
                phrases.iter().for_each(|phrase| self.say(phrase));
                self.talk.put(Output::Err, given_back(&self.setup.strings, &text));
            }
            Event::NameRefused { .. } | Event::Replaced { .. } => {
                self.stopped += 1;
                let phrase = notice::of_event(&event, &self.me).expect("both events have a notice");
                if self.stopped >= self.book.relays().len() {
                    return Err(phrase.into());
                }
                self.say(&phrase);
            }
            Event::Unreached { relay, why } => {
                let relays = self.book.relays().len();
                if let Some(phrase) = self.not_reached.put(now.tick, &relay, &why, relays) {
                    self.say(&phrase);
                }
            }
            event => {
                if let Some(phrase) = notice::of_event(&event, &self.me) {
                    let time = self.clock.show(now.wall, now.wall);
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
            plain::letter(&letter, who.as_str(), &self.clock, now.wall)
        };
        self.printer.put_letter(letter, format!("{line}\n"));
    }

    fn printed(
        &mut self,
        desk: &mut Desk,
        to: Output,
        written: Result<Written, Phrase>,
    ) -> Result<Written, Failure> {
        let printer = if to == Output::Out { &mut self.printer } else { &mut self.talk };
        let letter = printer.printed();
        let written = fared(to, written)?;
        if let (Some(letter), Written::Yes) = (letter, written) {
            self.heard += 1;
            desk.shown(&letter, true);
        }
        Ok(written)
    }

    fn say(&mut self, phrase: &Phrase) {
        if !self.talk.is_crammed() {
            let words = self.setup.strings.say(phrase);
            self.talk.put(Output::Err, format!("{words}\n"));
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

    fn answer(&mut self, desk: &mut Desk, ask: Ask) -> Result<Written, Failure> {
        if let Some(failure) = ask.end() {
            return Err(failure);
        }
        match ask {
            Ask::Printed(to, written) => return self.printed(desk, to, written),
            Ask::Trouble(phrase) => self.say(&phrase),
            Ask::Typed(_) | Ask::End | Ask::Broken(_) | Ask::Failed(_) => {}
            Ask::Book(read) => {
                let (phrase, followed) = follow(self.setup, desk, *read, &[]);
                self.say(&phrase);
                if let Some((book, _)) = followed {
                    self.book = book;
                }
            }
        }
        Ok(Written::Yes)
    }
}

/// Returns what the address book knows about a letter's sender.
fn of_book(book: &Book, letter: &Incoming) -> json::Sender {
    let contact = book.contact_of(&letter.relay, &letter.from).map(|contact| contact.label.to_string());
    let looks_like = match contact {
        None => book.looks_like(&letter.from).map(|contact| contact.label.to_string()),
        Some(_) => None,
    };
    json::Sender { contact, looks_like }
}

/// Applies an edit of the address book, unless it cannot be read. Keeps the relays `beyond` the
/// book. Returns the phrase to show, and the new book with all relays.
pub(super) fn follow(
    setup: &Setup,
    desk: &mut Desk,
    read: Result<Book, Phrase>,
    beyond: &[RelaySpec],
) -> (Phrase, Option<(Book, Vec<RelaySpec>)>) {
    let followed = read.and_then(|book| Ok((setup.relays(&book)?, book)));
    match followed {
        Ok((mut relays, book)) => {
            relays.extend_from_slice(beyond);
            desk.command(Command::Screen(setup.screens(&book)));
            desk.command(Command::Relays(relays.clone()));
            (Phrase::new("book-reloaded").with("file", setup.location().file()), Some((book, relays)))
        }
        Err(phrase) => {
            let why = setup.strings.say(&phrase);
            (Phrase::new("book-reload-failed").with("why", why), None)
        }
    }
}
