//! Line mode of `queqiao chat`: choose a contact, write to it, `quit` to choose again. A state
//! machine over input lines and client events. Its output are the actions in [`Action`].
//!
//! Contract: pass all input to [`LineMode::handle_input`], every event to
//! [`LineMode::handle_event`], and the time to [`LineMode::handle_time`] no later than
//! [`LineMode::next_deadline`]. Carry out the returned actions in order. Then ask for the next line
//! with [`LineMode::prompt`] and call [`LineMode::begin_line`], or while one is being typed apply
//! [`LineMode::change_prompt`].

mod answered_guest;
mod api;
mod commands;
mod contact_lookup;
mod day_watch;
mod delivery_watch;
mod desk;
mod echo;
mod guest_queue;
mod guests;
mod incoming;
mod kept_text;
mod named;
mod path_request;
mod question;
mod recipient;
mod recipient_notice;
mod relay_status;
mod start;
mod status;
mod unconfirmed;
mod unread;
mod unread_senders;

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use crate::base::{HostPort, Now, Phrase, Tick, Wall, sanitize};
use crate::client::{Event, Progress};
use crate::wire::limits::LETTER_TEXT_MAX;
use crate::wire::message::Reason;

use super::connect_failures::ConnectFailures;
use super::notice;

use answered_guest::AnsweredGuest;
pub use api::{Action, ContactLookup, Draft, LineModeOptions, PromptChange, ResolvedContact, UserInput};
use commands::{InputMode, ParseError, ParsedLine, SlashCommand};
pub use commands::{ends_conversation, is_end_word};
use day_watch::DayWatch;
pub use delivery_watch::excerpt;
use delivery_watch::{DeliveryWatch, LetterProgress};
pub use echo::LineEcho;
use guest_queue::GuestQueue;
use guests::GuestList;
use named::NamedRecipient;
use question::UnconfirmedText;
use recipient_notice::RecipientNotice;
use relay_status::{RelayStatus, StatusRequest, TcpRequest};
use unread_senders::UnreadSenders;

/// Maximum unknown senders that can be answered by name. Beyond it the alphabetically first is
/// forgotten.
const STRANGERS_MAX: usize = 256;
/// Width of the usage in a line of `/help`, in terminal cells.
const USAGE_CELLS: usize = 20;
/// Time, in milliseconds, within which a date needs no year: eleven months.
const NO_YEAR_WITHIN_MS: u64 = 11 * 30 * 24 * 3_600 * 1_000;
/// Exit status after Ctrl-C: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Exit status of a refusal or failure.
const FAILED: u8 = 1;

/// The state of line mode.
#[derive(Debug)]
pub struct LineMode<B> {
    options: LineModeOptions,
    book: B,
    target: Option<ResolvedContact>,
    next_request: u64,
    delivery_watch: DeliveryWatch,
    day_watch: DayWatch,
    relay_statuses: BTreeMap<HostPort, RelayStatus>,
    connect_failures: ConnectFailures,
    strangers: BTreeMap<String, ResolvedContact>,
    guests: GuestList,
    guest_queue: GuestQueue,
    named: NamedRecipient,
    answered: Option<AnsweredGuest>,
    /// When the recipient's last message came.
    target_wrote_at: Option<Tick>,
    receipts: bool,
    unconfirmed: Option<UnconfirmedText>,
    /// Text typed while no recipient was chosen.
    kept_text: Option<String>,
    unread: UnreadSenders,
    /// The last notice about the recipient.
    target_notice: Option<RecipientNotice>,
    /// The recipient was in the book when it was chosen.
    target_in_book: bool,
    tcp_request: Option<TcpRequest>,
    status_request: Option<StatusRequest>,
}

impl<B: ContactLookup> LineMode<B> {
    /// Creates line mode, writing to `target` or choosing a contact first.
    pub fn new(options: LineModeOptions, book: B, target: Option<ResolvedContact>) -> LineMode<B> {
        let next_request = options.first_request;
        LineMode {
            options,
            target_in_book: target.as_ref().is_some_and(|to| book.label_of(&to.relay, &to.member).is_some()),
            book,
            target,
            next_request,
            delivery_watch: DeliveryWatch::default(),
            day_watch: DayWatch::default(),
            relay_statuses: BTreeMap::new(),
            connect_failures: ConnectFailures::default(),
            strangers: BTreeMap::new(),
            guests: GuestList::default(),
            guest_queue: GuestQueue::default(),
            named: NamedRecipient::default(),
            answered: None,
            target_wrote_at: None,
            receipts: false,
            unconfirmed: None,
            kept_text: None,
            unread: UnreadSenders::default(),
            target_notice: None,
            tcp_request: None,
            status_request: None,
        }
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
            // It answers the question with no.
            UserInput::Interrupted if self.unconfirmed.is_some() => self.refuse_question(),
            UserInput::Interrupted => vec![Action::Quit { status: INTERRUPTED }],
            UserInput::PromptReplaced { id, draft } => {
                self.named.handle_replaced(id, draft);
                Vec::new()
            }
        }
    }

    /// Handles one line, or several pasted lines.
    pub fn handle_line(&mut self, line: &str, now: Now) -> Vec<Action> {
        match self.confirm(line, now) {
            Ok(actions) => actions,
            Err(notice) => {
                let actions = self.handle_parsed(commands::parse(line, self.input_mode()), now);
                notice.into_iter().chain(actions).collect()
            }
        }
    }

    const fn input_mode(&self) -> InputMode {
        match self.options.is_terminal {
            _ if self.options.is_desk => InputMode::Desk,
            true => InputMode::Terminal,
            false => InputMode::Pipe,
        }
    }

    fn handle_parsed(&mut self, parsed: ParsedLine<'_>, now: Now) -> Vec<Action> {
        match parsed {
            ParsedLine::Empty => Vec::new(),
            ParsedLine::Quit => self.leave_conversation(),
            ParsedLine::Bye => self.leave_or_end(now),
            ParsedLine::CommandSpec(command, argument) => self.run_command(command, argument, now),
            ParsedLine::Error(error) => vec![self.tell_parse_error(&error)],
            ParsedLine::Text(text) if self.options.is_desk => self.answer(text, now),
            ParsedLine::Text(text) => match self.recipient() {
                Some(target) => self.send_or_ask(target, text, now),
                None => self.choose_or_keep(text),
            },
        }
    }

    /// Handles an event of the client. On a terminal its notice begins with the time.
    pub fn handle_event(&mut self, event: &Event, now: Now) -> Vec<Action> {
        let actions = self.handle_client_event(event, now);
        // The answer to a command needs no time.
        if self.options.is_terminal && !matches!(event, Event::Pong { .. }) {
            self.with_time(actions, now.wall)
        } else {
            actions
        }
    }

    /// Adds the time to the first notice; those after it continue it.
    fn with_time(&self, mut actions: Vec<Action>, now: Wall) -> Vec<Action> {
        let mut notices = actions.iter_mut().filter_map(|action| match action {
            Action::PrintNotice(words) => Some(words),
            _ => None,
        });
        if let Some(words) = notices.next() {
            *words = format!("{}  {words}", self.options.time_format.format(now, now));
        }
        actions
    }

    fn handle_client_event(&mut self, event: &Event, now: Now) -> Vec<Action> {
        match event {
            Event::Letter(letter) => self.show(letter, now),
            Event::Unreadable { relay, from, id } => self.handle_unreadable(relay, from, *id),
            Event::Progress { request, progress, .. } => self.handle_progress(*request, *progress, now.wall),
            Event::Refused { request, to, reason, may_have_arrived, nearest, text, .. } => {
                let known = self.delivery_watch.record_refusal(*request);
                let relay = self.relay_of(known.as_deref(), to);
                let who = (known.as_deref().unwrap_or(to.as_str()), relay.as_ref());
                let phrases = match reason {
                    // At a desk its label is a number.
                    Reason::Unknown if self.is_desk_guest(to) => {
                        vec![Phrase::new("desk-refused-gone").with("who", who.0)]
                    }
                    _ => notice::letter_refused(*reason, who, *may_have_arrived, nearest),
                };
                self.give_back(phrases, text)
            }
            Event::Unkept { request, to, reason, text } => {
                let who = self.delivery_watch.record_refusal(*request).unwrap_or_else(|| to.to_string());
                self.give_back(vec![notice::not_queued(*reason, &who)], text)
            }
            Event::Online { relay, via } => self.handle_online(relay, *via, event),
            Event::Moved { relay, via, .. } => self.handle_moved(relay, *via, event, now.wall),
            Event::Unreached { relay, reason } => {
                let status =
                    if reason.is_other_key() { RelayStatus::OtherKey } else { RelayStatus::Unreached };
                self.relay_statuses.insert(relay.clone(), status);
                let said = self.connect_failures.put(now.tick, relay, reason, self.book.relay_count());
                let back = self.handle_no_listener(relay, reason);
                said.iter().map(|phrase| self.tell(phrase)).chain(back).collect()
            }
            Event::TcpUnreached { relay, .. } => self.handle_tcp_unreached(relay, event),
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
            Event::Pong { relay, rtt, .. } => self.handle_pong(relay, *rtt),
            Event::Left => Vec::new(),
        }
    }

    /// Handles the passing of time. Reports letters that take unusually long, each once, and
    /// unreachable relays together.
    pub fn handle_time(&mut self, now: Now) -> Vec<Action> {
        self.end_answer(now.tick);
        let mut phrases: Vec<Phrase> = self.connect_failures.handle_time(now.tick).into_iter().collect();
        phrases.extend(self.delivery_watch.take_slow(now.tick));
        let is_terminal = self.options.is_terminal;
        let day = self.day_watch.handle_time(now, &self.options.time_format).filter(|_| is_terminal);
        let day = day.map(|day| self.tell(&Phrase::new("chat-day").with("day", day)));
        let notices = phrases.iter().map(|phrase| vec![self.tell(phrase)]);
        let notices =
            notices.flat_map(|notice| if is_terminal { self.with_time(notice, now.wall) } else { notice });
        let mut actions: Vec<Action> = day.into_iter().chain(notices).collect();
        actions.extend(self.end_status(now.tick));
        actions
    }

    /// Returns the time at which [`LineMode::handle_time`] must be called.
    pub fn next_deadline(&self) -> Option<Tick> {
        let midnight = self.day_watch.next_deadline().filter(|_| self.options.is_terminal);
        let status = self.status_request.as_ref().map(|request| request.deadline);
        let answer = self.answered.as_ref().map(|answered| answered.until);
        let watches = [
            self.delivery_watch.next_deadline(),
            self.connect_failures.next_deadline(),
            midnight,
            status,
            answer,
        ];
        watches.into_iter().flatten().min()
    }

    fn run_command(&mut self, command: SlashCommand, argument: &str, now: Now) -> Vec<Action> {
        match command {
            SlashCommand::Help => {
                commands::help(self.input_mode()).iter().map(|phrase| self.tell_help(phrase)).collect()
            }
            SlashCommand::SwitchTo => self.switch_to(argument),
            SlashCommand::Block(blocked) => match self.look_up(argument) {
                Ok(who) => vec![Action::Block { who, blocked }],
                Err(phrase) => vec![self.tell(&phrase)],
            },
            SlashCommand::Status => self.status(now.tick),
            SlashCommand::Receipts(change) => {
                self.receipts = change.unwrap_or(self.receipts);
                let phrase = match self.receipts {
                    true => Phrase::new("chat-receipts-on"),
                    false => Phrase::new("chat-receipts-off"),
                };
                vec![self.tell(&phrase)]
            }
            SlashCommand::Path(None) => vec![self.tell(&notice::of_carriers(self.options.carriers))],
            SlashCommand::Path(Some(carriers)) => self.set_carriers(carriers),
            SlashCommand::Add => self.add(argument),
            SlashCommand::Reply => self.reply(now.tick),
            SlashCommand::Unread => self.list_unread(),
            SlashCommand::History(last) => match self.target.clone() {
                Some(who) => vec![Action::ShowHistory { who, last, new: 0 }],
                None => vec![self.tell(&Phrase::new("chat-no-recipient"))],
            },
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

    fn send(&mut self, target: ResolvedContact, text: &str, now: Now) -> Vec<Action> {
        if ends_conversation(&target.member, text) {
            return self.end(target, now);
        }
        if text.len() > LETTER_TEXT_MAX {
            let phrase = Phrase::new("chat-too-long").with("len", text.len()).with("max", LETTER_TEXT_MAX);
            return vec![self.tell(&phrase), Action::PrintNotice(sanitize(text).into_owned())];
        }
        let notice = self.notice_about_target(&target);
        self.unread.take(&target);
        self.record_answer(&target, now.tick);
        let request = self.record_sent(&target, text, now);
        let mut actions: Vec<Action> = notice.into_iter().collect();
        actions.push(Action::Send { request, relay: target.relay, to: target.member, text: text.to_owned() });
        actions
    }

    /// Records that a letter is being sent. Returns its request number.
    fn record_sent(&mut self, target: &ResolvedContact, text: &str, now: Now) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.guest_queue.remove(target);
        self.delivery_watch.record_sent(request, target, text, now.tick);
        request
    }

    /// Handles progress: shows an absence and a late arrival, and with receipts on each arrival.
    fn handle_progress(&mut self, request: u64, progress: Progress, now: Wall) -> Vec<Action> {
        let Some(LetterProgress { who, excerpt, is_news: news, is_last }) =
            self.delivery_watch.record_progress(request, progress)
        else {
            return Vec::new();
        };
        let phrase = match progress {
            Progress::Waiting { until } if self.receipts || news => {
                let key = if self.receipts { "chat-state-waiting" } else { "chat-waiting" };
                Phrase::new(key).with("until", self.until(until, now))
            }
            // To a guest.
            Progress::Accepted if self.receipts && is_last => Phrase::new("chat-state-accepted"),
            Progress::Delivered if self.receipts => Phrase::new("chat-receipt"),
            Progress::Delivered if news => Phrase::new("chat-delivered-late"),
            Progress::Read if self.receipts => Phrase::new("chat-state-read"),
            _ => return Vec::new(),
        };
        vec![self.tell(&phrase.with("who", who).with("text", excerpt))]
    }

    /// Returns the day or time of `at`, in few words.
    fn until(&self, at: Wall, now: Wall) -> String {
        let format = &self.options.time_format;
        match format.day_and_month(at) {
            _ if format.day(at) == format.day(now) => format.time(at),
            Some((day, month)) if at.0.saturating_sub(now.0) < NO_YEAR_WITHIN_MS => {
                let date = Phrase::new("date-short").with("day", day).with("count", month);
                self.options.strings.say(&date)
            }
            _ => format.day(at),
        }
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

    fn contacts(&self) -> Phrase {
        match self.book.labels() {
            labels if labels.is_empty() => match &self.book.relays()[..] {
                [relay] => Phrase::new("chat-any-name").with("relay", relay),
                _ => Phrase::new("chat-no-contacts"),
            },
            labels => {
                let names: Vec<String> = labels.into_iter().map(|label| self.marked(label)).collect();
                Phrase::new("chat-contacts").with("names", names.join(", "))
            }
        }
    }

    /// Returns a contact's label, marked if the user blocks the contact.
    fn marked(&self, label: String) -> String {
        let is_blocked = |who: ResolvedContact| self.book.is_blocked(&who.relay, &who.member);
        match self.book.resolve(&label).is_ok_and(is_blocked) {
            true => self.options.strings.say(&Phrase::new("chat-name-blocked").with("who", label)),
            false => label,
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
