//! `queqiao send`: sends one letter, or one per line, and reports the result of each.
//!
//! Letters that arrive during that time are stored for the next command that shows letters. So is
//! an answer without `--reply`, including one from `echo`.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use crate::base::{LetterId, Phrase, Tick, Wall, sanitize};
use crate::client::{Command, ConnectFailure, Event, Incoming, NotQueued, Progress};
use crate::contacts::Recipient;
use crate::ui::line::ends_conversation;
use crate::ui::terminal::{InputReader, Output, OutputWriter, Prompt, not_utf8, without_mark};
use crate::ui::{UserInput, notice, plain};
use crate::wire::limits::LETTER_TEXT_MAX;
use crate::wire::message::{NameReason, Reason};

use super::client_host::{ClientHost, FrontendInput, FrontendKind, HostInput, TurnOutput};
use super::output_thread::{FINISH_WITHIN, OutputThread, check_written, finish, given_back};
use super::{CommandResult, ExitStatus, Failure, Setup};

/// Lines read ahead of the letters that have ended: enough to keep the relay busy.
const LINES_AHEAD: usize = 512;

/// Assumed maximum difference between the relay's clock and ours, if the relay does not report when
/// it took a letter. With a larger difference no letter counts as an answer.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(60);
/// Maximum letters of the contact kept until the relay has accepted ours. Further ones are left to
/// the next command that shows letters.
const EARLY_MAX: usize = 256;

/// Pause of the input, without letters waiting, after which time limits start again. The next
/// letter then has its full time, regardless of earlier ones. A program that writes continuously
/// makes shorter pauses.
const INPUT_RESTS: Duration = Duration::from_secs(1);

/// Time limit for printing results at the end: in effect none, unless interrupted.
const PATIENCE: Duration = Duration::from_secs(1 << 32);

/// Source of the letters' texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSource {
    /// The command line.
    Given(String),
    /// Standard input, as a single letter.
    Input,
    /// Standard input, one letter per line.
    Lines,
}

/// Options of `send`.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// Recipient.
    pub contact: String,
    /// Texts.
    pub source: TextSource,
    /// Time limit for progress. It starts again whenever a letter reaches the state `wait`; a
    /// refusal does not count.
    pub timeout: Duration,
    /// State that each letter must reach.
    pub wait: Progress,
    /// Time to wait for an answer after that.
    pub reply: Option<Duration>,
}

/// Sends letters, and reports the result of each.
///
/// # Errors
/// [`Failure`]: 1 if a letter was refused, 75 if one was not accepted in time; the next run sends
/// it.
pub fn send(setup: &Setup, options: &SendOptions) -> CommandResult {
    let book = setup.location().load()?;
    let recipient = book.resolve(&options.contact)?;
    let name = setup.name_needed(&book)?;
    let text = match &options.source {
        TextSource::Given(text) => Some(text.clone()),
        TextSource::Input => Some(read_input()?),
        TextSource::Lines => None,
    };
    if let Some(text) = &text {
        check(text)?;
    }
    let relay = setup.relay_of(&recipient)?;
    if let Some(wanted) = relay.fingerprint {
        setup.check_key(&relay.addr, wanted)?;
    }
    let part = if options.reply.is_some() { FrontendKind::SendAndReceive } else { FrontendKind::SendOnly };
    let mut host = ClientHost::open(setup, name.clone(), part)?;
    let mut block_lists = setup.block_lists(&book);
    // The recipient may answer.
    block_lists.admit(&recipient.relay, &recipient.member);
    host.command(Command::Screen(block_lists));
    host.command(Command::Relays(vec![relay]));
    let [results, notices] =
        [(); 2].map(|()| OutputThread::open(host.loop_handle(), OutputWriter::default()));
    let mut command = SendCommand {
        setup,
        options,
        is_listed: book.contact_of(&recipient.relay, &recipient.member).is_some(),
        recipient,
        me: name.to_string(),
        results: results?,
        notices: notices?,
        unfinished: BTreeMap::new(),
        requests: host.first_request(),
        given: 0,
        given_at: Wall(0),
        since: None,
        early: Vec::new(),
        input_ended: options.source != TextSource::Lines,
        lines_owed: 0,
        arrived: 0,
        refused: false,
        has_disk_failed: false,
        stopped: None,
        reply: None,
    };
    let mut output = TurnOutput::default();
    let result = command.run(&mut host, &mut output, text);
    let threads = &mut [&mut command.results, &mut command.notices];
    let interrupted = matches!(&result, Err(failure) if failure.status == ExitStatus::Interrupted);
    let within = if interrupted { FINISH_WITHIN } else { PATIENCE };
    let written = finish(&mut host, &mut output, threads, within, false, &setup.strings);
    host.leave();
    result.and_then(|status| written.map(|()| status))
}

fn read_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    // A byte order mark and a trailing end of line are not part of the text, so their bytes are
    // allowed in addition, and one more shows that it is too long.
    let most = LETTER_TEXT_MAX as u64 + 3 + 2 + 1;
    let read = io::stdin().lock().take(most).read_to_end(&mut bytes);
    let len = read.map_err(|error| Phrase::new("input-failed").with("cause", error))?;
    if len as u64 == most {
        // The rest is not read, and the last character may be cut.
        return Err(Phrase::new("send-input-too-long").with("max", LETTER_TEXT_MAX).into());
    }
    let text = String::from_utf8(bytes).map_err(|_| not_utf8("input-not-utf8"))?;
    Ok(plain_text(&text))
}

/// Returns the text as it is meant: without a byte order mark, with `\n` for each `\r\n`, and
/// without the end of its last line.
fn plain_text(text: &str) -> String {
    let text = without_mark(text).replace("\r\n", "\n");
    let line = text.strip_suffix('\n').unwrap_or(&text);
    line.strip_suffix('\r').unwrap_or(line).to_owned()
}

fn check(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::usage(Phrase::new("send-no-text")));
    }
    if text.len() > LETTER_TEXT_MAX {
        let phrase = Phrase::new("send-too-long").with("len", text.len()).with("max", LETTER_TEXT_MAX);
        return Err(phrase.into());
    }
    Ok(())
}

/// A letter that has not ended.
#[derive(Clone, Copy, Debug, Default)]
struct UnfinishedSend {
    /// It is durably in the outbox.
    queued: bool,
    accepted: Option<LetterId>,
}

/// Why a relay takes nothing from the user.
enum Stop {
    /// The waiting letters are sent once this is resolved.
    UntilResolved(Phrase),
    /// The user needs another name, which has another outbox.
    ForThisName(Phrase),
}

struct SendCommand<'a> {
    setup: &'a Setup,
    options: &'a SendOptions,
    recipient: Recipient,
    /// Whether the recipient is in the address book. If so, an unknown recipient needs an
    /// explanation.
    is_listed: bool,
    me: String,
    /// Printers for standard output and for standard error.
    results: OutputThread,
    notices: OutputThread,
    unfinished: BTreeMap<u64, UnfinishedSend>,
    /// Request numbers of this run start above it.
    requests: u64,
    given: u64,
    /// Time at which the first letter was given to the client.
    given_at: Wall,
    /// Letters that the relay took before this are not answers; `None` until it accepts our first
    /// letter.
    since: Option<Wall>,
    /// Letters of the contact that may be answers.
    early: Vec<Incoming>,
    input_ended: bool,
    /// Lines to request once the output has space.
    lines_owed: usize,
    /// Number of letters that reached the state they are waited for.
    arrived: u64,
    refused: bool,
    /// Whether a letter could not be written to the outbox.
    has_disk_failed: bool,
    /// Why the relay accepts nothing from us until the user acts.
    stopped: Option<Stop>,
    reply: Option<Incoming>,
}

impl SendCommand<'_> {
    fn run(&mut self, host: &mut ClientHost, output: &mut TurnOutput, text: Option<String>) -> CommandResult {
        let lines = match text {
            Some(text) => {
                self.give(host, text);
                None
            }
            None => Some(open_lines(host)?),
        };
        let mut idle_since = host.now().tick;
        let mut end = idle_since + self.options.timeout;
        while !(self.input_ended && self.unfinished.is_empty()) {
            let arrived_before = self.arrived;
            let is_idle = self.unfinished.is_empty();
            let until = if is_idle { None } else { Some(end) };
            let now = host.turn(until, output);
            self.take(host, output, lines.as_ref())?;
            let rested = is_idle && now.tick.since(idle_since) >= INPUT_RESTS;
            if !is_idle {
                idle_since = now.tick;
            }
            if self.arrived > arrived_before || self.given == 0 || rested {
                end = now.tick + self.options.timeout;
            } else if now.tick >= end && !is_idle {
                return self.run_out_of_time();
            }
        }
        if self.has_disk_failed {
            return Ok(ExitStatus::Disk);
        }
        if self.refused {
            return Ok(ExitStatus::Failed);
        }
        match self.options.reply {
            Some(within) => self.await_reply(host, output, within),
            None if self.asks_a_guest() && self.given > 0 => {
                Err(Failure::later(Phrase::new("send-guest-confirms-nothing")))
            }
            None => Ok(ExitStatus::Done),
        }
    }

    fn give(&mut self, host: &mut ClientHost, text: String) {
        self.given += 1;
        if self.given == 1 {
            self.given_at = host.now().wall;
        }
        let request = self.requests + self.given;
        self.unfinished.insert(request, UnfinishedSend::default());
        let relay = self.recipient.relay.clone();
        let to = self.recipient.member.clone();
        host.command(match ends_conversation(&to, &text) {
            true => Command::Close { request, relay, to },
            false => Command::Send { request, relay, to, text },
        });
    }

    fn take(
        &mut self,
        host: &mut ClientHost,
        output: &mut TurnOutput,
        lines: Option<&(InputReader, OutputWriter)>,
    ) -> Result<(), Failure> {
        let waiting_before = self.unfinished.len();
        for event in output.events.drain(..) {
            self.handle(event);
        }
        self.end_accepted();
        if let Some(failure) = self.failure_to_go_on() {
            return Err(failure);
        }
        let mut asked = waiting_before - self.unfinished.len();
        while let Some(input) = output.next_input() {
            if let Some(failure) = input.end() {
                return Err(failure);
            }
            match input {
                FrontendInput::Trouble(phrase) => self.say(&phrase),
                FrontendInput::Printed(to, written) => {
                    if to == Output::Out { &mut self.results } else { &mut self.notices }.take_printed();
                    check_written(to, written)?;
                }
                FrontendInput::Book(_)
                | FrontendInput::End
                | FrontendInput::HangUp
                | FrontendInput::Broken(_)
                | FrontendInput::Failed(_) => {}
                FrontendInput::Typed(input) => asked += usize::from(!self.take_line(host, input)),
            }
        }
        self.lines_owed += asked;
        if let (Some((lines, _)), false) = (lines, self.results.is_full()) {
            (0..std::mem::take(&mut self.lines_owed)).for_each(|_| lines.prompt(Prompt::default()));
        }
        Ok(())
    }

    /// Sends one line. Returns `false` if it contains nothing to send.
    fn take_line(&mut self, host: &mut ClientHost, input: UserInput) -> bool {
        match input {
            UserInput::Line(line) if line.is_empty() => false,
            UserInput::Line(line) if line.len() <= LETTER_TEXT_MAX => {
                self.give(host, line);
                true
            }
            UserInput::Line(line) => {
                self.refused = true;
                let phrase =
                    Phrase::new("send-too-long").with("len", line.len()).with("max", LETTER_TEXT_MAX);
                self.say(&phrase);
                false
            }
            UserInput::Refused(phrase) => {
                self.refused = true;
                self.say(&phrase);
                false
            }
            // The line that it belongs to is still to come.
            UserInput::Dropped(phrase) => {
                self.say(&phrase);
                true
            }
            UserInput::PromptReplaced { .. } => true,
            UserInput::EndOfInput | UserInput::NoInput | UserInput::Interrupted => {
                self.input_ended = true;
                true
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Progress { request, progress: Progress::Queued, .. } => {
                if let Some(waiting) = self.unfinished.get_mut(&request) {
                    waiting.queued = true;
                }
            }
            Event::Progress { request, id, progress: Progress::Accepted, taken_at, .. } => {
                if let Some(waiting) = self.unfinished.get_mut(&request) {
                    waiting.accepted = Some(id);
                    self.accepted_at(taken_at);
                }
            }
            Event::Progress { request, id, progress: Progress::Delivered, .. } => {
                if self.unfinished.remove(&request).is_some() {
                    self.arrived += 1;
                    self.print(&plain::delivered(id));
                }
            }
            Event::Refused { request, id, reason, may_have_arrived, nearest, text, .. } => {
                let ours = self.unfinished.remove(&request).is_some();
                self.refused |= ours;
                self.tell_refused(id, reason, may_have_arrived, &nearest);
                if ours && reason == Reason::Unknown && self.is_listed {
                    let who = Phrase::new("refused-unknown").with("who", &self.recipient.label);
                    self.say(&who.with("relay", &self.recipient.relay));
                }
                // A text of an old copy may be needed long after its command line is gone.
                let is_kept =
                    matches!(self.options.source, TextSource::Given(_)) && reason != Reason::OldCopy;
                if !ours || !is_kept {
                    self.give_back(&text);
                }
            }
            Event::Unkept { request, to, reason, text } => {
                self.unfinished.remove(&request);
                match reason {
                    NotQueued::Disk => self.has_disk_failed = true,
                    NotQueued::Full => self.refused = true,
                }
                self.say(&notice::not_queued(reason, to.as_str()));
                if !matches!(self.options.source, TextSource::Given(_)) {
                    self.give_back(&text);
                }
            }
            Event::Letter(letter) => self.handle_letter(letter),
            other => self.tell(&other),
        }
    }

    /// Whether the letter is waited for beyond the last state that will be known: guests confirm
    /// nothing.
    fn asks_a_guest(&self) -> bool {
        self.options.wait == Progress::Delivered && self.recipient.member.guest_address().is_some()
    }

    /// Ends the letters that have reached `accepted`, if that is what is waited for.
    fn end_accepted(&mut self) {
        if self.options.wait == Progress::Delivered && !self.asks_a_guest() {
            return;
        }
        let settled: Vec<_> = self.unfinished.iter().filter_map(|(r, w)| Some((*r, w.accepted?))).collect();
        for (request, id) in settled {
            self.unfinished.remove(&request);
            self.arrived += 1;
            self.print(&plain::accepted(id));
        }
    }

    fn tell_refused(
        &mut self,
        id: LetterId,
        reason: Reason,
        may_have_arrived: bool,
        nearest: &[crate::base::Name],
    ) {
        let line = plain::refused(id, reason, may_have_arrived);
        self.notices.put(Output::Err, format!("{line}\n"));
        if !nearest.is_empty() {
            let names: Vec<String> = nearest.iter().map(ToString::to_string).collect();
            self.say(&Phrase::new("refused-nearest").with("names", names.join(", ")));
        }
    }

    /// Handles a letter. The contact's first letter is the answer, unless the relay took it before
    /// ours: then it was in our mailbox or on its way. Both times are from the relay's clock; the
    /// letter may arrive before the report of ours. All others are stored for the next command that
    /// shows letters.
    fn handle_letter(&mut self, letter: Incoming) {
        let from_contact = letter.relay == self.recipient.relay && letter.from == self.recipient.member;
        let is_said = letter.note.is_none();
        if from_contact && is_said && self.options.reply.is_some() && self.early.len() < EARLY_MAX {
            self.early.push(letter);
            self.find_reply();
        }
    }

    fn accepted_at(&mut self, taken_at: Wall) {
        let apart = u64::try_from(CLOCKS_APART_MAX.as_millis()).expect("one minute fits");
        let by_our_clock = Wall(self.given_at.0.saturating_sub(apart));
        self.since.get_or_insert(if taken_at == Wall(0) { by_our_clock } else { taken_at });
        self.find_reply();
    }

    fn find_reply(&mut self) {
        let Some(since) = self.since else { return };
        let reply = self.early.drain(..).find(|letter| letter.at >= since);
        self.reply = self.reply.take().or(reply);
    }

    fn tell(&mut self, event: &Event) {
        let Some(phrase) = notice::of_event(event, &self.me) else { return };
        match event {
            Event::Online { .. } => {}
            // Another name has another outbox, so this text must be sent again.
            Event::NameRefused {
                reason: NameReason::Taken | NameReason::Confusable | NameReason::Reserved | NameReason::Bad,
                ..
            } => {
                let why = self.setup.strings.say(&phrase);
                self.stopped = Some(Stop::ForThisName(Phrase::new("send-name-refused").with("why", why)));
            }
            Event::NameRefused { .. }
            | Event::Replaced { .. }
            | Event::Unreached { reason: ConnectFailure::HandshakeRefused, .. } => {
                self.stopped = Some(Stop::UntilResolved(phrase))
            }
            Event::Unreached { reason, .. } if reason.is_other_key() => {
                self.stopped = Some(Stop::UntilResolved(phrase));
            }
            _ => self.say(&phrase),
        }
    }

    /// Returns why sending cannot continue, once every letter is durable. A letter in the outbox
    /// must not be sent again, so the user must learn that it stays there.
    fn failure_to_go_on(&self) -> Option<Failure> {
        let reason = match self.stopped.as_ref()? {
            Stop::ForThisName(phrase) => return Some(phrase.clone().into()),
            Stop::UntilResolved(phrase) => phrase,
        };
        let mut unaccepted = self.unfinished.values().filter(|waiting| waiting.accepted.is_none()).peekable();
        if unaccepted.peek().is_none() {
            return Some(reason.clone().into());
        }
        let stays = || Phrase::new("send-stays").with("why", self.setup.strings.say(reason));
        unaccepted.all(|waiting| waiting.queued).then(|| stays().into())
    }

    fn run_out_of_time(&mut self) -> CommandResult {
        if let Some(Stop::ForThisName(reason) | Stop::UntilResolved(reason)) = self.stopped.take() {
            self.say(&reason);
        }
        let time = in_seconds(self.options.timeout);
        let mut unaccepted = !self.input_ended;
        let mut unkept = false;
        let mut accepted = Vec::new();
        for waiting in self.unfinished.values() {
            unkept |= !waiting.queued;
            match waiting.accepted {
                Some(id) => accepted.push(plain::accepted(id)),
                None => unaccepted = true,
            }
        }
        accepted.iter().for_each(|line| self.print(line));
        let key = match (unkept, unaccepted) {
            (true, _) => "send-not-kept",
            (_, true) => "send-not-accepted",
            _ => "send-not-delivered",
        };
        Err(Failure::later(Phrase::new(key).with("time", time)))
    }

    fn await_reply(
        &mut self,
        host: &mut ClientHost,
        output: &mut TurnOutput,
        within: Duration,
    ) -> CommandResult {
        let end = host.now().tick + within;
        while self.reply.is_none() {
            let now = host.turn(Some(end), output);
            self.take(host, output, None)?;
            if self.reply.is_none() && now.tick >= end {
                return Err(Failure::later(Phrase::new("send-no-reply").with("time", in_seconds(within))));
            }
        }
        if let Some(reply) = self.reply.take() {
            let line = format!("{}\n", sanitize(&reply.text));
            self.results.put_letter(reply, line);
        }
        Ok(ExitStatus::Done)
    }

    fn print(&mut self, line: &str) {
        self.results.put(Output::Out, format!("{line}\n"));
    }

    fn say(&mut self, phrase: &Phrase) {
        let words = self.setup.strings.say(phrase);
        self.notices.put(Output::Err, format!("{words}\n"));
    }

    /// Returns a text to the user, so that no draft is lost.
    fn give_back(&mut self, text: &str) {
        self.notices.put(Output::Err, given_back(&self.setup.strings, text));
    }
}

/// Reads lines ahead on a separate thread.
fn open_lines(host: &ClientHost) -> Result<(InputReader, OutputWriter), Failure> {
    let loop_handle = host.loop_handle();
    let (reader, writer) = InputReader::open(move |input| {
        loop_handle.command(HostInput::Frontend(FrontendInput::Typed(input)));
    })
    .map_err(|error| Phrase::new("input-failed").with("cause", error))?;
    for _ in 0..LINES_AHEAD {
        reader.prompt(Prompt::default());
    }
    Ok((reader, writer))
}

/// Formats a duration as a number of seconds, without the unit: `10`, `1.5`.
pub(super) fn in_seconds(span: Duration) -> String {
    span.as_secs_f64().to_string()
}

/// Returns `now` plus `span`; `None` without a span.
pub(super) fn end_of(now: Tick, span: Option<Duration>) -> Option<Tick> {
    span.map(|span| now + span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_windows_loses_mark_and_carriage_returns() {
        let table = [
            ("\u{feff}hello\r\n", "hello"),
            ("hello\n", "hello"),
            ("hello\r", "hello"),
            ("one\r\ntwo\r\n", "one\ntwo"),
            ("one\n\n", "one\n"),
            ("a\rb\u{feff}", "a\rb\u{feff}"),
            ("\u{feff}", ""),
        ];
        for (text, wanted) in table {
            assert_eq!(plain_text(text), wanted, "{text:?}");
        }
    }
}
