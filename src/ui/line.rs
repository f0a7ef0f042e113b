//! Line mode of `queqiao chat`: choose a contact, write to it, `quit` to choose again. A state
//! machine over input lines and client events. Its output are the actions in [`Action`].
//!
//! Contract: pass all input to [`LineMode::handle_input`], every event to
//! [`LineMode::handle_event`], and the time to [`LineMode::handle_time`] no later than
//! [`LineMode::next_deadline`]. Carry out the returned actions in order. Then ask for the next line
//! with [`LineMode::prompt`].

mod commands;
mod contact_lookup;
mod delivery_watch;
mod guest_queue;
mod guests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use unicode_width::UnicodeWidthStr;

use crate::base::{Carrier, HostPort, LetterId, Name, Now, Phrase, Tick, Wall, sanitize};
use crate::client::{Carriers, Event, Incoming, Progress};
use crate::wire::limits::LETTER_TEXT_MAX;

use super::connect_failures::ConnectFailures;
use super::notice;
use super::plain::DAMAGED;
use super::strings::Strings;
use super::style::{StyledText, TextKind};
use super::time_format::TimeFormat;

pub use commands::is_quit;
use commands::{ParseError, ParsedLine, SlashCommand};
use delivery_watch::{DeliveryWatch, LetterProgress};
use guest_queue::GuestQueue;
use guests::GuestList;
pub use guests::ends_conversation;

/// Maximum unknown senders that can be answered by name. Beyond it the alphabetically first is
/// forgotten.
const STRANGERS_MAX: usize = 256;
/// Width of the usage in a line of `/help`, in terminal cells.
const USAGE_CELLS: usize = 18;
/// Exit status after Ctrl-C: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Exit status of a refusal or failure.
const FAILED: u8 = 1;

/// Address book, as line mode uses it.
pub trait ContactLookup {
    /// Returns every contact's label, in the book's order.
    fn labels(&self) -> Vec<String>;
    /// Returns every relay of the book, each once.
    fn relays(&self) -> Vec<HostPort>;
    /// Returns the number of relays.
    fn relay_count(&self) -> usize;
    /// Whether a name without a relay is unambiguous: there is only one relay, and no contact has
    /// the name as its label.
    fn is_clear(&self, member: &Name) -> bool;
    /// Returns the contact that `text` refers to.
    ///
    /// # Errors
    /// The phrase for the user, with similar labels if there are any.
    fn resolve(&self, text: &str) -> Result<ResolvedContact, Phrase>;
    /// Returns the label of the contact that is `member` at `relay`.
    fn label_of(&self, relay: &HostPort, member: &Name) -> Option<String>;
    /// Returns the label of a contact that an unknown sender could be mistaken for.
    fn looks_like(&self, member: &Name) -> Option<String>;
}

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedContact {
    /// The user's label.
    pub label: String,
    /// Its relay.
    pub relay: HostPort,
    /// Its name there.
    pub member: Name,
}

/// Input from the keyboard or from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserInput {
    /// A line without its end, or several pasted lines.
    Line(String),
    /// Input that could not be read as a line.
    Refused(Phrase),
    /// Part of the line was dropped; the rest is kept, and more of the line follows.
    Dropped(Phrase),
    /// Ctrl-D: the user ends the conversation.
    EndOfInput,
    /// End of a file or pipe, or the terminal is gone: no input will follow.
    NoInput,
    /// Ctrl-C on an empty line.
    Interrupted,
}

/// An action that line mode requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Print this to standard output: a letter.
    PrintMessage(StyledText),
    /// Print this to standard error: a notice about letters. Sanitized, and without the final
    /// newline.
    PrintNotice(String),
    /// Send a letter: [`crate::client::Command::Send`].
    Send {
        /// Identifies the letter in events.
        request: u64,
        /// The recipient's relay.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// Text of the letter.
        text: String,
    },
    /// End the conversation with a guest: [`crate::client::Command::Close`].
    Close {
        /// Identifies the command in events.
        request: u64,
        /// The guest's relay.
        relay: HostPort,
        /// The guest.
        to: Name,
    },
    /// Block or unblock a contact.
    Block {
        /// The contact.
        who: ResolvedContact,
        /// `true` to block.
        blocked: bool,
    },
    /// Use these carriers from here on: [`crate::client::Command::Carriers`].
    Carriers(Carriers),
    /// End with this exit status, once every sent letter is accepted or the time limit is over.
    Quit {
        /// 0 success, 1 refused, 130 interrupted.
        status: u8,
    },
}

/// Options of line mode.
#[derive(Clone, Debug)]
pub struct LineModeOptions {
    /// Texts in the user's language.
    pub strings: Arc<Strings>,
    /// Request number of the first letter; later ones count up.
    pub first_request: u64,
    /// The user's own name.
    pub me: String,
    /// Carriers that the user requested. A connection over them needs no notice.
    pub carriers: Carriers,
    /// Format of times.
    pub time_format: TimeFormat,
    /// Whether to answer the guest that has waited longest, without choosing a recipient.
    pub is_desk: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RelayStatus {
    Online(Carrier),
    Lost,
    Unreached,
    Stopped,
}

/// The state of line mode.
#[derive(Debug)]
pub struct LineMode<B> {
    options: LineModeOptions,
    book: B,
    target: Option<ResolvedContact>,
    next_request: u64,
    delivery_watch: DeliveryWatch,
    relay_statuses: BTreeMap<HostPort, RelayStatus>,
    connect_failures: ConnectFailures,
    strangers: BTreeMap<String, ResolvedContact>,
    guests: GuestList,
    guest_queue: GuestQueue,
    receipts: bool,
    prompt_choose: String,
    prompt_write: String,
}

impl<B: ContactLookup> LineMode<B> {
    /// Creates line mode, writing to `target` or choosing a contact first.
    pub fn new(options: LineModeOptions, book: B, target: Option<ResolvedContact>) -> LineMode<B> {
        let (choose, write) = match options.is_desk {
            true => (Phrase::new("desk-answer"), Phrase::new("desk-answer")),
            false => (Phrase::new("chat-choose"), Phrase::new("chat-write")),
        };
        let prompt_choose = options.strings.say(&choose);
        let prompt_write = options.strings.say(&write);
        let next_request = options.first_request;
        LineMode {
            options,
            book,
            target,
            next_request,
            delivery_watch: DeliveryWatch::default(),
            relay_statuses: BTreeMap::new(),
            connect_failures: ConnectFailures::default(),
            strangers: BTreeMap::new(),
            guests: GuestList::default(),
            guest_queue: GuestQueue::default(),
            receipts: false,
            prompt_choose,
            prompt_write,
        }
    }

    /// Returns the prompt for the next line.
    pub fn prompt(&self) -> &str {
        if self.target.is_some() { &self.prompt_write } else { &self.prompt_choose }
    }

    /// Returns completions of the next line: commands, and contacts and guests when one must be
    /// chosen.
    pub fn candidates(&self) -> Vec<String> {
        let known: Vec<String> = self.book.labels().into_iter().chain(self.guest_names()).collect();
        let targets: Vec<String> = known.iter().map(|label| format!("/to {label}")).collect();
        let labels = if self.target.is_none() { known } else { Vec::new() };
        labels.into_iter().chain(commands::words()).chain(targets).collect()
    }

    /// Returns the address book, to apply an edit to it.
    pub fn book_mut(&mut self) -> &mut B {
        &mut self.book
    }

    /// Returns the number of letters that were neither accepted nor refused.
    pub fn unaccepted(&self) -> usize {
        self.delivery_watch.unaccepted()
    }

    /// Handles input.
    pub fn handle_input(&mut self, input: UserInput, now: Now) -> Vec<Action> {
        match input {
            UserInput::Line(line) => self.handle_line(&line, now),
            UserInput::Refused(phrase) | UserInput::Dropped(phrase) => vec![self.tell(&phrase)],
            // Guests are served without the operator too.
            UserInput::NoInput if self.options.is_desk => vec![self.tell(&Phrase::new("desk-no-input"))],
            UserInput::EndOfInput | UserInput::NoInput => vec![Action::Quit { status: 0 }],
            UserInput::Interrupted => vec![Action::Quit { status: INTERRUPTED }],
        }
    }

    /// Handles one line, or several pasted lines.
    pub fn handle_line(&mut self, line: &str, now: Now) -> Vec<Action> {
        match commands::parse(line) {
            ParsedLine::Empty => Vec::new(),
            ParsedLine::Quit if self.target.is_none() => vec![Action::Quit { status: 0 }],
            ParsedLine::Quit => {
                self.target = None;
                Vec::new()
            }
            ParsedLine::CommandSpec(command, argument) => self.run_command(command, argument, now),
            ParsedLine::Error(error) => vec![self.tell_parse_error(&error)],
            ParsedLine::Text(text) => match self.recipient() {
                Some(target) => self.send(target, text, now),
                None if self.options.is_desk => self.keep_text("desk-nobody-waits", text),
                None => self.switch_to(text),
            },
        }
    }

    /// Handles an event of the client.
    pub fn handle_event(&mut self, event: &Event, now: Now) -> Vec<Action> {
        match event {
            Event::Letter(letter) => self.show(letter, now.wall),
            Event::Unreadable { relay, from, id } => self.handle_unreadable(relay, from, *id),
            Event::Progress { request, progress, .. } => self.handle_progress(*request, *progress, now.wall),
            Event::Refused { request, to, reason, may_have_arrived, nearest, text, .. } => {
                let known = self.delivery_watch.record_refusal(*request);
                let relay = self.relay_of(known.as_deref(), to);
                let who = (known.as_deref().unwrap_or(to.as_str()), relay.as_ref());
                let phrases = notice::letter_refused(*reason, who, *may_have_arrived, nearest);
                self.give_back(phrases, text)
            }
            Event::Unkept { request, to, why, text } => {
                let who = self.delivery_watch.record_refusal(*request).unwrap_or_else(|| to.to_string());
                self.give_back(vec![notice::not_queued(*why, &who)], text)
            }
            Event::Online { relay, via } => self.handle_online(relay, *via, event),
            Event::Moved { relay, via, .. } => self.handle_moved(relay, *via, event, now.wall),
            Event::Unreached { relay, why } => {
                self.relay_statuses.insert(relay.clone(), RelayStatus::Unreached);
                let said = self.connect_failures.put(now.tick, relay, why, self.book.relay_count());
                said.iter().map(|phrase| self.tell(phrase)).collect()
            }
            Event::Lost { relay } => self.update_status(relay, RelayStatus::Lost, event),
            Event::NameRefused { relay, .. } | Event::Replaced { relay } => {
                let mut actions = self.update_status(relay, RelayStatus::Stopped, event);
                actions.extend(self.all_stopped().then_some(Action::Quit { status: FAILED }));
                actions
            }
            Event::Pinned { .. }
            | Event::StrangersFull { .. }
            | Event::OldCopy { .. }
            | Event::LostByRelay { .. } => self.notice(event),
            Event::Pong { .. } | Event::Left => Vec::new(),
        }
    }

    /// Handles the passing of time. Reports letters that take unusually long, each once, and
    /// unreachable relays together.
    pub fn handle_time(&mut self, now: Tick) -> Vec<Action> {
        let not_reached = self.connect_failures.handle_time(now);
        not_reached
            .iter()
            .chain(&self.delivery_watch.take_slow(now))
            .map(|phrase| self.tell(phrase))
            .collect()
    }

    /// Returns the time at which [`LineMode::handle_time`] must be called.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.delivery_watch.next_deadline().into_iter().chain(self.connect_failures.next_deadline()).min()
    }

    fn run_command(&mut self, command: SlashCommand, argument: &str, now: Now) -> Vec<Action> {
        match command {
            SlashCommand::Help => commands::help().iter().map(|phrase| self.tell_help(phrase)).collect(),
            SlashCommand::SwitchTo => self.switch_to(argument),
            SlashCommand::Block(blocked) => match self.find(argument) {
                Ok(who) => vec![Action::Block { who, blocked }],
                Err(phrase) => vec![self.tell(&phrase)],
            },
            SlashCommand::Status => self.status(),
            SlashCommand::Receipts(on) => {
                self.receipts = on;
                let phrase =
                    if on { Phrase::new("chat-receipts-on") } else { Phrase::new("chat-receipts-off") };
                vec![self.tell(&phrase)]
            }
            SlashCommand::SetCarriers(carriers) => {
                self.options.carriers = carriers;
                let phrase = match carriers {
                    Carriers::Udp => Phrase::new("chat-path-udp"),
                    Carriers::Tcp => Phrase::new("chat-path-tcp"),
                    Carriers::Auto => Phrase::new("chat-path-auto"),
                };
                vec![self.tell(&phrase), Action::Carriers(carriers)]
            }
            SlashCommand::Contacts => self.list_contacts(now.wall),
            SlashCommand::CloseGuest => self.close(now),
            SlashCommand::Quit => vec![Action::Quit { status: 0 }],
        }
    }

    /// Returns one line of the help; its meaning is a separate phrase.
    fn tell_help(&self, (usage, meaning): &(&'static str, Phrase)) -> Action {
        if usage.is_empty() {
            return self.tell(meaning);
        }
        let usage = self.options.strings.usage(usage);
        let gap = " ".repeat(USAGE_CELLS.saturating_sub(usage.width()));
        let usage = usage + &gap;
        let meaning = self.options.strings.say(meaning);
        self.tell(&Phrase::new("chat-help-line").with("usage", usage).with("meaning", meaning))
    }

    fn switch_to(&mut self, text: &str) -> Vec<Action> {
        match self.find(text) {
            Ok(target) => {
                self.target = Some(target);
                Vec::new()
            }
            Err(phrase) => vec![self.tell(&phrase)],
        }
    }

    /// Finds a contact, or an unknown sender or guest that has written.
    fn find(&self, text: &str) -> Result<ResolvedContact, Phrase> {
        let stranger = || self.strangers.get(text.trim()).cloned().or_else(|| self.guests.find(text.trim()));
        self.book.resolve(text.trim()).or_else(|phrase| stranger().ok_or(phrase))
    }

    /// Returns the relay of a returned letter, which is from this run (to label `who`) or an
    /// earlier one.
    fn relay_of(&self, who: Option<&str>, to: &Name) -> Option<HostPort> {
        let found = self.find(who.unwrap_or(to.as_str())).ok();
        found.filter(|found| found.member == *to).map(|found| found.relay)
    }

    fn send(&mut self, target: ResolvedContact, text: &str, now: Now) -> Vec<Action> {
        if guests::ends_conversation(&target.member, text) {
            return self.end(target, now);
        }
        if text.len() > LETTER_TEXT_MAX {
            let phrase = Phrase::new("chat-too-long").with("len", text.len()).with("max", LETTER_TEXT_MAX);
            return vec![self.tell(&phrase), Action::PrintNotice(sanitize(text).into_owned())];
        }
        let request = self.record_sent(&target, text, now);
        vec![Action::Send { request, relay: target.relay, to: target.member, text: text.to_owned() }]
    }

    /// Records that a letter is being sent. Returns its request number.
    fn record_sent(&mut self, target: &ResolvedContact, text: &str, now: Now) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.guest_queue.remove(target);
        let to_guest = target.member.guest_address().is_some();
        self.delivery_watch.record_sent(request, &target.label, text, to_guest, now.tick);
        request
    }

    fn show(&mut self, letter: &Incoming, now: Wall) -> Vec<Action> {
        let gap = (letter.missing > 0).then(|| Phrase::new("chat-missing").with("count", letter.missing));
        let is_stranger = !letter.from.is_reserved() && !self.is_contact(&letter.relay, &letter.from);
        let warning = if is_stranger { self.warning_of(&letter.relay, &letter.from) } else { None };
        let address = letter.from.guest_address();
        let key = match is_stranger {
            _ if self.options.is_desk => "desk-incoming",
            _ if address.is_some() => "chat-incoming-guest",
            true => "chat-incoming-stranger",
            false => "chat-incoming",
        };
        let who = self.name_of(&letter.relay, &letter.from);
        self.record_guest_letter(letter, &who);
        let who = address.filter(|_| self.options.is_desk).map_or(who, |address| address.to_string());
        let note = letter.note.map(|note| self.show_note(note, &who));
        let via = if letter.damaged { DAMAGED } else { letter.via.as_str() };
        let header = Phrase::new(key)
            .with("who", who)
            .with("via", via)
            .with("time", self.options.time_format.format(letter.at, now));
        let gap = gap.map(|phrase| StyledText {
            kind: TextKind::Notice,
            header: self.options.strings.say(&phrase),
            text: String::new(),
        });
        let letter = StyledText {
            kind: TextKind::Incoming,
            header: self.options.strings.say(&header),
            text: sanitize(&letter.text).into_owned(),
        };
        let gap = gap.map(Action::PrintMessage);
        warning.into_iter().chain(gap).chain([note.unwrap_or(Action::PrintMessage(letter))]).collect()
    }

    fn is_contact(&self, relay: &HostPort, member: &Name) -> bool {
        self.book.label_of(relay, member).is_some()
    }

    /// Returns a warning for the first letter of an unknown sender whose name looks like a
    /// contact's.
    fn warning_of(&self, relay: &HostPort, member: &Name) -> Option<Action> {
        let known = self.strangers.values().any(|s| s.relay == *relay && s.member == *member);
        let contact = if known { None } else { self.book.looks_like(member) }?;
        let phrase = Phrase::new("chat-looks-like").with("contact", contact);
        Some(self.tell(&phrase.with("who", member).with("relay", relay)))
    }

    /// Returns the label of a sender: the user's, else the name, with its relay if the name alone
    /// is ambiguous.
    fn name_of(&mut self, relay: &HostPort, member: &Name) -> String {
        if let Some(label) = self.book.label_of(relay, member) {
            return label;
        }
        let alone = self.book.is_clear(member);
        let label = if alone { member.to_string() } else { format!("{member}@{relay}") };
        if self.strangers.len() == STRANGERS_MAX && !self.strangers.contains_key(&label) {
            self.strangers.pop_first();
        }
        let stranger = ResolvedContact { label: label.clone(), relay: relay.clone(), member: member.clone() };
        self.strangers.insert(label.clone(), stranger);
        label
    }

    fn handle_unreadable(&mut self, relay: &HostPort, from: &Name, id: LetterId) -> Vec<Action> {
        let who = self.name_of(relay, from);
        vec![self.tell(&Phrase::new("letter-unreadable").with("who", who).with("id", id))]
    }

    /// Handles progress. With receipts on, every state is shown; otherwise only an absence, and a
    /// late arrival.
    fn handle_progress(&mut self, request: u64, progress: Progress, now: Wall) -> Vec<Action> {
        let Some(LetterProgress { who, excerpt, is_news: news }) =
            self.delivery_watch.record_progress(request, progress)
        else {
            return Vec::new();
        };
        let phrase = match progress {
            Progress::Queued if self.receipts => Phrase::new("chat-state-queued"),
            Progress::Accepted if self.receipts => Phrase::new("chat-state-accepted"),
            Progress::Waiting { until } if self.receipts || news => {
                let key = if self.receipts { "chat-state-waiting" } else { "chat-waiting" };
                Phrase::new(key).with("until", self.options.time_format.format(until, now))
            }
            Progress::Delivered if self.receipts => Phrase::new("chat-receipt"),
            Progress::Delivered if news => Phrase::new("chat-delivered-late"),
            Progress::Read if self.receipts => Phrase::new("chat-state-read"),
            _ => return Vec::new(),
        };
        vec![self.tell(&phrase.with("who", who).with("text", excerpt))]
    }

    /// Shows why a letter was returned, and its text.
    fn give_back(&self, mut phrases: Vec<Phrase>, text: &str) -> Vec<Action> {
        if !text.is_empty() {
            phrases.push(Phrase::new("chat-text-back"));
        }
        let mut actions: Vec<Action> = phrases.iter().map(|phrase| self.tell(phrase)).collect();
        actions.extend((!text.is_empty()).then(|| Action::PrintNotice(sanitize(text).into_owned())));
        actions
    }

    fn handle_online(&mut self, relay: &HostPort, via: Carrier, event: &Event) -> Vec<Action> {
        match self.relay_statuses.insert(relay.clone(), RelayStatus::Online(via)) {
            None if via == Carrier::Tcp && self.options.carriers == Carriers::Auto => self.notice(event),
            None | Some(RelayStatus::Online(_)) => Vec::new(),
            Some(_) => vec![self.tell(&notice::online_again(relay, via))],
        }
    }

    fn handle_moved(&mut self, relay: &HostPort, via: Carrier, event: &Event, now: Wall) -> Vec<Action> {
        self.relay_statuses.insert(relay.clone(), RelayStatus::Online(via));
        let time = self.options.time_format.format(now, now);
        let phrase = notice::of_event(event, &self.options.me);
        let timed = phrase.map(|phrase| notice::timed(&self.options.strings, phrase, event, &time));
        timed.map(|phrase| self.tell(&phrase)).into_iter().collect()
    }

    fn update_status(&mut self, relay: &HostPort, relay_status: RelayStatus, event: &Event) -> Vec<Action> {
        self.relay_statuses.insert(relay.clone(), relay_status);
        self.notice(event)
    }

    fn all_stopped(&self) -> bool {
        self.relays().iter().all(|relay| self.relay_statuses.get(relay) == Some(&RelayStatus::Stopped))
    }

    /// Returns the relays of the book, of the recipient, and of past events.
    fn relays(&self) -> BTreeSet<HostPort> {
        let target = self.target.iter().map(|target| target.relay.clone());
        self.book.relays().into_iter().chain(target).chain(self.relay_statuses.keys().cloned()).collect()
    }

    fn status(&self) -> Vec<Action> {
        let relays = self.relays();
        let phrases = relays.iter().map(|relay| {
            match self.relay_statuses.get(relay) {
                None => Phrase::new("chat-status-connecting"),
                Some(RelayStatus::Online(via)) => {
                    Phrase::new("chat-status-online").with("via", notice::upper(*via))
                }
                Some(RelayStatus::Lost) => Phrase::new("chat-status-lost"),
                Some(RelayStatus::Unreached) => Phrase::new("chat-status-unreached"),
                Some(RelayStatus::Stopped) => Phrase::new("chat-status-stopped"),
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

    fn notice(&self, event: &Event) -> Vec<Action> {
        notice::of_event(event, &self.options.me).iter().map(|phrase| self.tell(phrase)).collect()
    }

    fn tell_parse_error(&self, error: &ParseError) -> Action {
        self.tell(&match error {
            ParseError::Unknown(parsed) => Phrase::new("chat-no-such-command").with("command", parsed),
            ParseError::Usage(usage) => {
                Phrase::new("chat-command-usage").with("usage", self.options.strings.usage(usage))
            }
            ParseError::SpaceBeforeSlash(parsed) => Phrase::new("chat-slashguard").with("command", parsed),
        })
    }

    fn tell(&self, phrase: &Phrase) -> Action {
        Action::PrintNotice(self.options.strings.say(phrase))
    }
}

#[cfg(test)]
mod tests;
