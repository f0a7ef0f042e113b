//! `queqiao listen`: letters as they come, one a line.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{Name, Now, Phrase};
use crate::client::{Command, Event, Incoming, RelaySpec};
use crate::contacts::Book;
use crate::ui::clock::Clock;
use crate::ui::terminal::Written;
use crate::ui::{json, notice, plain};

use super::desk::{Ask, Desk, News};
use super::send::{end_of, give_back};
use super::{Failure, Outcome, Setup, Status, print, say};

/// Strangers remembered as told from a contact; above it all are forgotten, and told once more.
const WARNED_MAX: usize = 256;

/// What `listen` is told on its command line.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// One JSON object a line.
    pub json: bool,
    /// End after so many letters.
    pub count: Option<u64>,
    /// End after this time.
    pub time: Option<Duration>,
}

/// Prints letters until enough came, the time is over, or somebody interrupts.
///
/// # Errors
/// [`Failure`]: 75 if `count` letters did not come in `time`, 130 if interrupted.
pub fn listen(setup: &Setup, options: &ListenOptions) -> Outcome {
    let location = setup.location();
    let book = location.load()?;
    let name = setup.name_needed(&book)?;
    if book.relays().is_empty() {
        return Err(Phrase::new("book-no-relays").with("file", location.file()).into());
    }
    let relays = setup.relays(&book)?;
    let mut desk = Desk::open(setup, name.clone())?;
    let _watcher = desk.watch(setup, location);
    desk.command(Command::Screen(setup.screens(&book)));
    let clock = Clock::new(TimeZone::system());
    let mut listening = Listening {
        setup,
        options,
        me: name.to_string(),
        book,
        clock,
        heard: 0,
        stopped: 0,
        warned: BTreeSet::new(),
    };
    let outcome = match listening.catch_up(&mut desk) {
        Ok(Written::Yes) => {
            desk.command(Command::Relays(relays));
            listening.run(&mut desk)
        }
        Ok(Written::Closed) => Ok(Status::Done),
        Err(failure) => Err(failure),
    };
    desk.leave();
    outcome
}

struct Listening<'a> {
    setup: &'a Setup,
    options: &'a ListenOptions,
    me: String,
    book: Book,
    clock: Clock,
    heard: u64,
    /// Relays that will not have us.
    stopped: usize,
    /// Strangers who were told from a contact already.
    warned: BTreeSet<Name>,
}

impl Listening<'_> {
    /// Shows what earlier runs stored and nobody was shown.
    fn catch_up(&mut self, desk: &mut Desk) -> Result<Written, Failure> {
        while self.options.count != Some(self.heard) {
            let page = desk.next_unshown()?;
            if page.is_empty() {
                break;
            }
            let now = desk.now();
            for letter in page {
                if self.options.count != Some(self.heard) && self.show(desk, &letter, now)? == Written::Closed
                {
                    return Ok(Written::Closed);
                }
            }
            // What was marked as shown goes to the store before the next page is read.
            desk.turn(Some(now.tick), &mut News::default());
        }
        Ok(Written::Yes)
    }

    fn run(&mut self, desk: &mut Desk) -> Outcome {
        let (mut news, end) = (News::default(), end_of(desk.now().tick, self.options.time));
        while self.options.count != Some(self.heard) {
            let now = desk.turn(end, &mut news);
            for event in news.events.drain(..) {
                if self.handle(desk, &event, now)? == Written::Closed {
                    return Ok(Status::Done);
                }
            }
            for ask in news.asks.drain(..) {
                self.answer(desk, ask)?;
            }
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

    fn handle(&mut self, desk: &mut Desk, event: &Event, now: Now) -> Result<Written, Failure> {
        match event {
            // One more than was asked for waits for the next who shows letters.
            Event::Letter(_) if self.options.count == Some(self.heard) => {}
            Event::Letter(letter) => return self.show(desk, letter, now),
            Event::Refused { to, reason, may_have_arrived, nearest, text, .. } => {
                let phrases = notice::letter_refused(*reason, to.as_str(), *may_have_arrived, nearest);
                phrases.iter().for_each(|phrase| say(&self.setup.strings, phrase));
                give_back(&self.setup.strings, text);
            }
            Event::NameRefused { .. } | Event::Replaced { .. } => {
                self.stopped += 1;
                let phrase = notice::of_event(event, &self.me).expect("both have something to say");
                if self.stopped >= self.book.relays().len() {
                    return Err(phrase.into());
                }
                say(&self.setup.strings, &phrase);
            }
            _ => {
                if let Some(phrase) = notice::of_event(event, &self.me) {
                    let time = self.clock.show(now.wall, now.wall);
                    let phrase = notice::timed(&self.setup.strings, phrase, event, &time);
                    say(&self.setup.strings, &phrase);
                }
            }
        }
        Ok(Written::Yes)
    }

    /// Prints a letter, then marks it as shown: a kill between the two prints it again.
    fn show(&mut self, desk: &mut Desk, letter: &Incoming, now: Now) -> Result<Written, Failure> {
        let written = self.print(letter, now)?;
        if written == Written::Yes {
            self.heard += 1;
            desk.shown(letter, true);
        }
        Ok(written)
    }

    fn print(&mut self, letter: &Incoming, now: Now) -> Result<Written, Failure> {
        if letter.missing > 0 {
            say(&self.setup.strings, &Phrase::new("chat-missing").with("count", letter.missing));
        }
        if self.options.json {
            return print(&json::letter(letter, &of_book(&self.book, letter)));
        }
        self.warn_of(letter);
        let who = self.book.contact_of(&letter.relay, &letter.from).map_or(&letter.from, |c| &c.label);
        print(&plain::letter(letter, who.as_str(), &self.clock, now.wall))
    }

    /// Says once that a stranger is not the contact whose name theirs looks like.
    fn warn_of(&mut self, letter: &Incoming) {
        let Some(contact) = of_book(&self.book, letter).looks_like else { return };
        if self.warned.len() >= WARNED_MAX {
            self.warned.clear();
        }
        if self.warned.insert(letter.from.clone()) {
            let phrase = Phrase::new("chat-looks-like").with("who", &letter.from);
            say(&self.setup.strings, &phrase.with("relay", &letter.relay).with("contact", contact));
        }
    }

    fn answer(&mut self, desk: &mut Desk, ask: Ask) -> Result<(), Failure> {
        if let Some(failure) = ask.end() {
            return Err(failure);
        }
        match ask {
            Ask::Trouble(phrase) => say(&self.setup.strings, &phrase),
            Ask::Typed(_) | Ask::End | Ask::Broken(_) => {}
            Ask::Book(read) => {
                if let Some((book, _)) = follow(self.setup, desk, *read, &[]) {
                    self.book = book;
                }
            }
        }
        Ok(())
    }
}

/// Who wrote a letter, as far as the address book knows.
fn of_book(book: &Book, letter: &Incoming) -> json::Sender {
    let contact = book.contact_of(&letter.relay, &letter.from).map(|contact| contact.label.to_string());
    let looks_like = match contact {
        None => book.looks_like(&letter.from).map(|contact| contact.label.to_string()),
        Some(_) => None,
    };
    json::Sender { contact, looks_like }
}

/// Follows an edit of the address book, or says why the old one stays. The relays `beyond` the book are kept. Answers with
/// the new book and all relays.
pub(super) fn follow(
    setup: &Setup,
    desk: &mut Desk,
    read: Result<Book, Phrase>,
    beyond: &[RelaySpec],
) -> Option<(Book, Vec<RelaySpec>)> {
    let followed = read.and_then(|book| Ok((setup.relays(&book)?, book)));
    match followed {
        Ok((mut relays, book)) => {
            relays.extend_from_slice(beyond);
            desk.command(Command::Screen(setup.screens(&book)));
            desk.command(Command::Relays(relays.clone()));
            say(&setup.strings, &Phrase::new("book-reloaded").with("file", setup.location().file()));
            Some((book, relays))
        }
        Err(phrase) => {
            let why = setup.strings.say(&phrase);
            say(&setup.strings, &Phrase::new("book-reload-failed").with("why", why));
            None
        }
    }
}
