//! Line mode of `queqiao chat`: choose a contact, write to it, `quit` back to choosing. A state machine over typed
//! lines and client events; what it wants done comes out as [`Do`]s.
//!
//! The law of use: hand every typed thing to [`LineMode::handle_typed`], every event to [`LineMode::handle_event`],
//! time to [`LineMode::handle_time`] no later than [`LineMode::next_deadline`]; carry out what comes back in order;
//! then ask for the next line with [`LineMode::prompt`].

mod book;
mod commands;
mod guests;
mod waiting;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::{Carrier, HostPort, LetterId, Name, Now, Phrase, Tick, Wall, harmless};
use crate::client::{Carriers, Event, Incoming, Progress};
use crate::wire::limits::LETTER_TEXT_MAX;

use super::clock::Clock;
use super::notice;
use super::paint::{Styled, Tone};
use super::plain::DAMAGED;
use super::strings::Strings;
use super::unreached::NotReached;

use commands::{Act, Typo, Word};
use guests::Guests;
pub use guests::ends_conversation;
use waiting::Waiting;
use watch::{Moved, Watch};

/// Strangers who wrote and can be answered by name; beyond it the first in order is forgotten.
const STRANGERS_MAX: usize = 256;
/// Ctrl-C: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Refused or failed.
const FAILED: u8 = 1;

/// What line mode needs of an address book.
pub trait Book {
    /// Every contact's label, in the book's order.
    fn labels(&self) -> Vec<String>;
    /// Every relay of the book, each once.
    fn relays(&self) -> Vec<HostPort>;
    /// How many those are.
    fn relay_count(&self) -> usize;
    /// Whether a name without a relay has one meaning only: there is one relay, and no contact has
    /// it as a label.
    fn is_clear(&self, member: &Name) -> bool;
    /// The contact meant by `text`.
    ///
    /// # Errors
    /// What to tell the user, with labels like `text` if there are any.
    fn resolve(&self, text: &str) -> Result<Resolved, Phrase>;
    /// The label of the contact that is `member` at `relay`.
    fn label_of(&self, relay: &HostPort, member: &Name) -> Option<String>;
    /// The label of the contact that somebody who is none could be mistaken for.
    fn looks_like(&self, member: &Name) -> Option<String>;
}

/// Somebody to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What the user calls them.
    pub label: String,
    /// The relay where they are reached.
    pub relay: HostPort,
    /// Their name there.
    pub member: Name,
}

/// What came from the keyboard, or from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line without its end; a paste of several lines is one.
    Line(String),
    /// A line that is none.
    Refused(Phrase),
    /// Ctrl-D, or the end of the file.
    EndOfInput,
    /// Ctrl-C on an empty line.
    Interrupted,
}

/// What line mode wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do {
    /// Show this on standard output: a letter.
    Print(Styled),
    /// Say this on standard error: words about letters. Harmless already; without the last new line.
    Tell(String),
    /// Send a letter: [`crate::client::Command::Send`].
    Send {
        /// Names it in events.
        request: u64,
        /// The relay where the recipient is reached.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// What to say.
        text: String,
    },
    /// End the conversation with a guest: [`crate::client::Command::Close`].
    Close {
        /// Names it in events.
        request: u64,
        /// The relay where the guest is.
        relay: HostPort,
        /// The guest.
        to: Name,
    },
    /// Take no letters from somebody any more, or take them again.
    Block {
        /// Whom.
        who: Resolved,
        /// Which of both.
        blocked: bool,
    },
    /// Use these carriers from now on: [`crate::client::Command::Carriers`].
    Carriers(Carriers),
    /// End with this exit status, once every letter sent is accepted or the time for that is over.
    Quit {
        /// 0 done, 1 refused, 130 interrupted.
        status: u8,
    },
}

/// What line mode is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The language.
    pub strings: Arc<Strings>,
    /// What the first letter is called in events; those after it count up.
    pub first_request: u64,
    /// The user's own name.
    pub me: String,
    /// Which carriers were asked for: what was asked for is not news.
    pub carriers: Carriers,
    /// How times are told.
    pub clock: Clock,
    /// Whoever has waited the longest for an answer is written to, and nobody has to be chosen.
    pub desk: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    Online(Carrier),
    Lost,
    Unreached,
    Stopped,
}

/// The state of line mode.
#[derive(Debug)]
pub struct LineMode<B> {
    settings: Settings,
    book: B,
    target: Option<Resolved>,
    next_request: u64,
    watch: Watch,
    links: BTreeMap<HostPort, Link>,
    not_reached: NotReached,
    strangers: BTreeMap<String, Resolved>,
    guests: Guests,
    waiting: Waiting,
    receipts: bool,
    prompt_choose: String,
    prompt_write: String,
}

impl<B: Book> LineMode<B> {
    /// Line mode, writing to `target` or choosing a contact first.
    pub fn new(settings: Settings, book: B, target: Option<Resolved>) -> LineMode<B> {
        let (choose, write) = match settings.desk {
            true => (Phrase::new("desk-answer"), Phrase::new("desk-answer")),
            false => (Phrase::new("chat-choose"), Phrase::new("chat-write")),
        };
        let (prompt_choose, prompt_write) = (settings.strings.say(&choose), settings.strings.say(&write));
        let next_request = settings.first_request;
        LineMode {
            settings,
            book,
            target,
            next_request,
            watch: Watch::default(),
            links: BTreeMap::new(),
            not_reached: NotReached::default(),
            strangers: BTreeMap::new(),
            guests: Guests::default(),
            waiting: Waiting::default(),
            receipts: false,
            prompt_choose,
            prompt_write,
        }
    }

    /// What to ask for the next line with.
    pub fn prompt(&self) -> &str {
        if self.target.is_some() { &self.prompt_write } else { &self.prompt_choose }
    }

    /// What the next line may begin with, for completion: contacts and guests where one is chosen, and commands.
    pub fn candidates(&self) -> Vec<String> {
        let known: Vec<String> = self.book.labels().into_iter().chain(self.guest_names()).collect();
        let targets: Vec<String> = known.iter().map(|label| format!("/to {label}")).collect();
        let labels = if self.target.is_none() { known } else { Vec::new() };
        labels.into_iter().chain(commands::words()).chain(targets).collect()
    }

    /// The address book, to let it follow an edit.
    pub fn book_mut(&mut self) -> &mut B {
        &mut self.book
    }

    /// Letters that neither the relay nor a refusal has answered for.
    pub fn unaccepted(&self) -> usize {
        self.watch.unaccepted()
    }

    /// Takes in what was typed.
    pub fn handle_typed(&mut self, typed: Typed, now: Now) -> Vec<Do> {
        match typed {
            Typed::Line(line) => self.handle_line(&line, now),
            Typed::Refused(phrase) => vec![self.tell(&phrase)],
            Typed::EndOfInput => vec![Do::Quit { status: 0 }],
            Typed::Interrupted => vec![Do::Quit { status: INTERRUPTED }],
        }
    }

    /// Takes in one line, or a paste of several.
    pub fn handle_line(&mut self, line: &str, now: Now) -> Vec<Do> {
        match commands::read(line) {
            Word::Nothing => Vec::new(),
            Word::Back if self.target.is_none() => vec![Do::Quit { status: 0 }],
            Word::Back => {
                self.target = None;
                Vec::new()
            }
            Word::Act(act, argument) => self.act(act, argument, now),
            Word::Typo(typo) => vec![self.tell(&typo_phrase(&typo))],
            Word::Text(text) => match self.recipient() {
                Some(target) => self.send(target, text, now),
                None if self.settings.desk => self.keep_text("desk-nobody-waits", text),
                None => self.choose(text),
            },
        }
    }

    /// Takes in what the client shows.
    pub fn handle_event(&mut self, event: &Event, now: Now) -> Vec<Do> {
        match event {
            Event::Letter(letter) => self.show(letter, now.wall),
            Event::Unreadable { relay, from, id } => self.unreadable(relay, from, *id),
            Event::Progress { request, progress, .. } => self.progress(*request, *progress, now.wall),
            Event::Refused { request, to, reason, may_have_arrived, nearest, text, .. } => {
                let known = self.watch.refused(*request);
                let relay = self.relay_of(known.as_deref(), to);
                let who = (known.as_deref().unwrap_or(to.as_str()), relay.as_ref());
                let phrases = notice::letter_refused(*reason, who, *may_have_arrived, nearest);
                self.give_back(phrases, text)
            }
            Event::Unkept { request, to, why, text } => {
                let who = self.watch.refused(*request).unwrap_or_else(|| to.to_string());
                self.give_back(vec![notice::unkept(*why, &who)], text)
            }
            Event::Online { relay, via } => self.online(relay, *via, event),
            Event::Moved { relay, via, .. } => self.moved(relay, *via, event, now.wall),
            Event::Unreached { relay, why } => {
                self.links.insert(relay.clone(), Link::Unreached);
                let said = self.not_reached.put(now.tick, relay, why, self.book.relay_count());
                said.iter().map(|phrase| self.tell(phrase)).collect()
            }
            Event::Lost { relay } => self.link(relay, Link::Lost, event),
            Event::NameRefused { relay, .. } | Event::Replaced { relay } => {
                let mut dos = self.link(relay, Link::Stopped, event);
                dos.extend(self.all_stopped().then_some(Do::Quit { status: FAILED }));
                dos
            }
            Event::Pinned { .. } | Event::StrangersFull { .. } | Event::OldCopy { .. } => self.notice(event),
            Event::Pong { .. } | Event::Left => Vec::new(),
        }
    }

    /// Lets time pass: reports letters that take unusually long, once, and relays that are not
    /// reached, together.
    pub fn handle_time(&mut self, now: Tick) -> Vec<Do> {
        let not_reached = self.not_reached.handle_time(now);
        not_reached.iter().chain(&self.watch.take_slow(now)).map(|phrase| self.tell(phrase)).collect()
    }

    /// When [`LineMode::handle_time`] would have something to say.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.watch.next_deadline().into_iter().chain(self.not_reached.next_deadline()).min()
    }

    fn act(&mut self, act: Act, argument: &str, now: Now) -> Vec<Do> {
        match act {
            Act::Help => commands::help().iter().map(|phrase| self.tell_help(phrase)).collect(),
            Act::To => self.choose(argument),
            Act::Block(blocked) => match self.find(argument) {
                Ok(who) => vec![Do::Block { who, blocked }],
                Err(phrase) => vec![self.tell(&phrase)],
            },
            Act::Status => self.status(),
            Act::Receipts(on) => {
                self.receipts = on;
                let phrase =
                    if on { Phrase::new("chat-receipts-on") } else { Phrase::new("chat-receipts-off") };
                vec![self.tell(&phrase)]
            }
            Act::Path(carriers) => {
                self.settings.carriers = carriers;
                let phrase = match carriers {
                    Carriers::Udp => Phrase::new("chat-path-udp"),
                    Carriers::Tcp => Phrase::new("chat-path-tcp"),
                    Carriers::Auto => Phrase::new("chat-path-auto"),
                };
                vec![self.tell(&phrase), Do::Carriers(carriers)]
            }
            Act::Who => self.who(now.wall),
            Act::Close => self.close(now),
            Act::Quit => vec![Do::Quit { status: 0 }],
        }
    }

    /// A line of help: its meaning is a phrase of its own.
    fn tell_help(&self, (usage, meaning): &(&'static str, Phrase)) -> Do {
        if usage.is_empty() {
            return self.tell(meaning);
        }
        let usage = format!("{usage:<18}");
        let meaning = self.settings.strings.say(meaning);
        self.tell(&Phrase::new("chat-help-line").with("usage", usage).with("meaning", meaning))
    }

    fn choose(&mut self, text: &str) -> Vec<Do> {
        match self.find(text) {
            Ok(target) => {
                self.target = Some(target);
                Vec::new()
            }
            Err(phrase) => vec![self.tell(&phrase)],
        }
    }

    /// A contact, or a stranger or a guest who has written.
    fn find(&self, text: &str) -> Result<Resolved, Phrase> {
        let stranger = || self.strangers.get(text.trim()).cloned().or_else(|| self.guests.find(text.trim()));
        self.book.resolve(text.trim()).or_else(|phrase| stranger().ok_or(phrase))
    }

    /// Where a letter went that comes back: one of this run to that label, or one of an earlier run.
    fn relay_of(&self, who: Option<&str>, to: &Name) -> Option<HostPort> {
        let found = self.find(who.unwrap_or(to.as_str())).ok();
        found.filter(|found| found.member == *to).map(|found| found.relay)
    }

    fn send(&mut self, target: Resolved, text: &str, now: Now) -> Vec<Do> {
        if guests::ends_conversation(&target.member, text) {
            return self.end(target, now);
        }
        if text.len() > LETTER_TEXT_MAX {
            let phrase = Phrase::new("chat-too-long").with("len", text.len()).with("max", LETTER_TEXT_MAX);
            return vec![self.tell(&phrase), Do::Tell(harmless(text).into_owned())];
        }
        let request = self.note_sent(&target, text, now);
        vec![Do::Send { request, relay: target.relay, to: target.member, text: text.to_owned() }]
    }

    /// Something is on its way; its request.
    fn note_sent(&mut self, target: &Resolved, text: &str, now: Now) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.waiting.answered(target);
        let to_guest = target.member.guest_address().is_some();
        self.watch.sent(request, &target.label, text, to_guest, now.tick);
        request
    }

    fn show(&mut self, letter: &Incoming, now: Wall) -> Vec<Do> {
        let gap = (letter.missing > 0).then(|| Phrase::new("chat-missing").with("count", letter.missing));
        let is_stranger = !letter.from.is_reserved() && !self.is_contact(&letter.relay, &letter.from);
        let warning = if is_stranger { self.warning_of(&letter.relay, &letter.from) } else { None };
        let address = letter.from.guest_address();
        let key = match is_stranger {
            _ if self.settings.desk => "desk-incoming",
            _ if address.is_some() => "chat-incoming-guest",
            true => "chat-incoming-stranger",
            false => "chat-incoming",
        };
        let who = self.name_of(&letter.relay, &letter.from);
        self.hear(letter, &who);
        let who = address.filter(|_| self.settings.desk).map_or(who, |address| address.to_string());
        let note = letter.note.map(|note| self.show_note(note, &who));
        let via = if letter.damaged { DAMAGED } else { letter.via.as_str() };
        let header = Phrase::new(key)
            .with("who", who)
            .with("via", via)
            .with("time", self.settings.clock.show(letter.at, now));
        let gap = gap.map(|phrase| Styled {
            tone: Tone::Notice,
            header: self.settings.strings.say(&phrase),
            text: String::new(),
        });
        let letter = Styled {
            tone: Tone::Incoming,
            header: self.settings.strings.say(&header),
            text: harmless(&letter.text).into_owned(),
        };
        let gap = gap.map(Do::Print);
        warning.into_iter().chain(gap).chain([note.unwrap_or(Do::Print(letter))]).collect()
    }

    fn is_contact(&self, relay: &HostPort, member: &Name) -> bool {
        self.book.label_of(relay, member).is_some()
    }

    /// Said before the first letter of a stranger whose name could be mistaken for a contact's.
    fn warning_of(&self, relay: &HostPort, member: &Name) -> Option<Do> {
        let known = self.strangers.values().any(|s| s.relay == *relay && s.member == *member);
        let contact = if known { None } else { self.book.looks_like(member) }?;
        let phrase = Phrase::new("chat-looks-like").with("contact", contact);
        Some(self.tell(&phrase.with("who", member).with("relay", relay)))
    }

    /// The user's label for a sender; a stranger's name, with its relay where the name alone could be somebody else's.
    fn name_of(&mut self, relay: &HostPort, member: &Name) -> String {
        if let Some(label) = self.book.label_of(relay, member) {
            return label;
        }
        let alone = self.book.is_clear(member);
        let label = if alone { member.to_string() } else { format!("{member}@{relay}") };
        if self.strangers.len() == STRANGERS_MAX && !self.strangers.contains_key(&label) {
            self.strangers.pop_first();
        }
        let stranger = Resolved { label: label.clone(), relay: relay.clone(), member: member.clone() };
        self.strangers.insert(label.clone(), stranger);
        label
    }

    fn unreadable(&mut self, relay: &HostPort, from: &Name, id: LetterId) -> Vec<Do> {
        let who = self.name_of(relay, from);
        vec![self.tell(&Phrase::new("letter-unreadable").with("who", who).with("id", id))]
    }

    /// With receipts on, every state is told; without, only what is unusual: an absence, and what arrived late.
    fn progress(&mut self, request: u64, progress: Progress, now: Wall) -> Vec<Do> {
        let Some(Moved { who, excerpt, news }) = self.watch.progress(request, progress) else {
            return Vec::new();
        };
        let phrase = match progress {
            Progress::Queued if self.receipts => Phrase::new("chat-state-queued"),
            Progress::Accepted if self.receipts => Phrase::new("chat-state-accepted"),
            Progress::Waiting { until } if self.receipts || news => {
                let key = if self.receipts { "chat-state-waiting" } else { "chat-waiting" };
                Phrase::new(key).with("until", self.settings.clock.show(until, now))
            }
            Progress::Delivered if self.receipts => Phrase::new("chat-receipt"),
            Progress::Delivered if news => Phrase::new("chat-delivered-late"),
            Progress::Read if self.receipts => Phrase::new("chat-state-read"),
            _ => return Vec::new(),
        };
        vec![self.tell(&phrase.with("who", who).with("text", excerpt))]
    }

    /// Why a letter did not go, and what it said.
    fn give_back(&self, mut phrases: Vec<Phrase>, text: &str) -> Vec<Do> {
        if !text.is_empty() {
            phrases.push(Phrase::new("chat-text-back"));
        }
        let mut dos: Vec<Do> = phrases.iter().map(|phrase| self.tell(phrase)).collect();
        dos.extend((!text.is_empty()).then(|| Do::Tell(harmless(text).into_owned())));
        dos
    }

    fn online(&mut self, relay: &HostPort, via: Carrier, event: &Event) -> Vec<Do> {
        match self.links.insert(relay.clone(), Link::Online(via)) {
            None if via == Carrier::Tcp && self.settings.carriers == Carriers::Auto => self.notice(event),
            None | Some(Link::Online(_)) => Vec::new(),
            Some(_) => vec![self.tell(&notice::online_again(relay, via))],
        }
    }

    fn moved(&mut self, relay: &HostPort, via: Carrier, event: &Event, now: Wall) -> Vec<Do> {
        self.links.insert(relay.clone(), Link::Online(via));
        let time = self.settings.clock.show(now, now);
        let phrase = notice::of_event(event, &self.settings.me);
        let timed = phrase.map(|phrase| notice::timed(&self.settings.strings, phrase, event, &time));
        timed.map(|phrase| self.tell(&phrase)).into_iter().collect()
    }

    fn link(&mut self, relay: &HostPort, link: Link, event: &Event) -> Vec<Do> {
        self.links.insert(relay.clone(), link);
        self.notice(event)
    }

    fn all_stopped(&self) -> bool {
        self.relays().iter().all(|relay| self.links.get(relay) == Some(&Link::Stopped))
    }

    /// The relays of the book, of the recipient, and those heard of.
    fn relays(&self) -> BTreeSet<HostPort> {
        let target = self.target.iter().map(|target| target.relay.clone());
        self.book.relays().into_iter().chain(target).chain(self.links.keys().cloned()).collect()
    }

    fn status(&self) -> Vec<Do> {
        let relays = self.relays();
        let phrases = relays.iter().map(|relay| {
            match self.links.get(relay) {
                None => Phrase::new("chat-status-connecting"),
                Some(Link::Online(via)) => Phrase::new("chat-status-online").with("via", notice::upper(*via)),
                Some(Link::Lost) => Phrase::new("chat-status-lost"),
                Some(Link::Unreached) => Phrase::new("chat-status-unreached"),
                Some(Link::Stopped) => Phrase::new("chat-status-stopped"),
            }
            .with("relay", relay)
        });
        phrases.map(|phrase| self.tell(&phrase)).collect()
    }

    fn contacts(&self) -> Phrase {
        match self.book.labels() {
            labels if labels.is_empty() => match &self.book.relays()[..] {
                [relay] => Phrase::new("chat-any-name").with("relay", relay),
                _ => Phrase::new("chat-no-contacts"),
            },
            labels => Phrase::new("chat-contacts").with("names", labels.join(", ")),
        }
    }

    fn notice(&self, event: &Event) -> Vec<Do> {
        notice::of_event(event, &self.settings.me).iter().map(|phrase| self.tell(phrase)).collect()
    }

    fn tell(&self, phrase: &Phrase) -> Do {
        Do::Tell(self.settings.strings.say(phrase))
    }
}

fn typo_phrase(typo: &Typo) -> Phrase {
    match typo {
        Typo::Unknown(word) => Phrase::new("chat-no-such-command").with("command", word),
        Typo::Usage(usage) => Phrase::new("chat-command-usage").with("usage", usage),
        Typo::Guarded(word) => Phrase::new("chat-slashguard").with("command", word),
    }
}

#[cfg(test)]
mod tests;
