//! `queqiao chat`: a conversation in line mode.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{HostPort, Name, Now, Phrase, Tick, sanitize};
use crate::client::{Command, Event, HistoryEntry, RelayConfig};
use crate::contacts::{AddressBook, Contact};
use crate::net;
use crate::store::{Archive, HistoryFilter, StoreError, UnsentLetter};
use crate::ui::line::{Action, Draft, LineMode, LineModeOptions, ResolvedContact, excerpt};
use crate::ui::terminal::{Echo, InputReader, Output, Prompt, WriteResult, has_hung_up, width};
use crate::ui::time_format::TimeFormat;
use crate::ui::{Color, Style, UserInput, store_error, style};

use super::client_host::{ClientHost, FrontendInput, FrontendKind, HostInput, TurnOutput};
use super::contacts::set_blocked;
use super::listen::follow;
use super::output_thread::{FINISH_WITHIN, OutputThread, check_written, finish};
use super::{CommandResult, ExitStatus, Failure, Setup, question};

/// Maximum wait at the end for letters that are not yet accepted.
const LINGER: Duration = Duration::from_secs(10);
/// Maximum delay of a prompt until all output is above it. Printing takes microseconds. The prompt
/// must not wait for output that arrives just as a line ends, because the editor prints it only
/// while it reads the next line.
const PROMPT_WITHIN: Duration = Duration::from_millis(50);
/// Maximum unread messages that are counted at the start.
const UNREAD_MAX: usize = 1_000;
/// Maximum messages of earlier runs whose arrival is reported.
const UNSENT_MAX: usize = 1_000;
/// Time after which the user learns why the program does not end yet.
const SILENT_END: Duration = Duration::from_millis(500);

/// Chats until the user ends it.
///
/// # Errors
/// [`Failure`] if it cannot start, or every relay refuses the user.
pub fn chat(setup: &Setup, contact: Option<&str>, color: Color) -> CommandResult {
    let location = setup.location();
    let book = location.load()?;
    let name = match setup.name(&book)? {
        Some(name) => name,
        None => {
            let name = question::ask_name(setup)?;
            question::offer_to_save(setup, &name)?;
            name
        }
    };
    let target = contact.map(|text| book.resolve(text)).transpose()?;
    let target = target.map(|who| ResolvedContact { label: who.label, relay: who.relay, member: who.member });
    let relays = setup.relays(&book)?;
    let mut host = ClientHost::open(setup, name.clone(), FrontendKind::Display)?;
    let _watcher = host.watch(setup, location);
    host.command(Command::Screen(setup.block_lists(&book)));
    let result = run_chat(
        setup,
        &mut host,
        ChatOptions { me: &name, book, relays, target, is_desk: false, has_history: true, color },
    );
    host.leave();
    result
}

/// Options of a conversation.
pub(super) struct ChatOptions<'a> {
    pub(super) me: &'a Name,
    pub(super) book: AddressBook,
    pub(super) relays: Vec<RelayConfig>,
    pub(super) target: Option<ResolvedContact>,
    /// Answer the guest that has waited longest.
    pub(super) is_desk: bool,
    /// Messages are kept in the member's folder, and shown when a conversation is opened.
    pub(super) has_history: bool,
    pub(super) color: Color,
}

/// Runs a conversation on this process's terminal, until the user ends it.
pub(super) fn run_chat(setup: &Setup, host: &mut ClientHost, options: ChatOptions<'_>) -> CommandResult {
    let ChatOptions { me, book, relays, target, is_desk, has_history, color } = options;
    let settings = LineModeOptions {
        first_request: host.first_request(),
        strings: setup.strings.clone(),
        me: me.to_string(),
        carriers: setup.carriers,
        time_format: TimeFormat::new(TimeZone::system()),
        is_desk,
        is_terminal: io::stdin().is_terminal() && io::stdout().is_terminal(),
    };
    let line = LineMode::new(settings, book, target);
    let loop_handle = host.loop_handle();
    let (reader, writer) = InputReader::open(move |input| {
        loop_handle.command(HostInput::Frontend(FrontendInput::Typed(input)));
    })
    .map_err(|error| Phrase::new("input-failed").with("cause", error))?;
    let output_thread = OutputThread::open(host.loop_handle(), writer)?;
    let colored = color.enabled(io::stdout().is_terminal(), |name| std::env::var(name).ok());
    let read = io::stdout().is_terminal();
    let mut command = ChatCommand {
        setup,
        archive_of: has_history.then_some(me),
        is_desk,
        unattended: false,
        line,
        reader: &reader,
        output_thread,
        held: false,
        asked: false,
        prompt_by: None,
        colored,
        read,
        is_scripted: !io::stdin().is_terminal() && !is_desk,
        relays,
        beyond: Vec::new(),
        quitting: None,
    };
    let mut output = TurnOutput::default();
    let result = command.run(host, &mut output);
    let written = command.finish(host, &mut output, &result);
    reader.finish();
    result.and_then(|status| written.map(|()| status))
}

/// A running conversation.
struct ChatCommand<'a> {
    setup: &'a Setup,
    /// Whose messages are in the member's folder.
    archive_of: Option<&'a Name>,
    /// The relay runs in this process too.
    is_desk: bool,
    /// The relay serves on although no input is left, as a service does.
    unattended: bool,
    line: LineMode<AddressBook>,
    reader: &'a InputReader,
    output_thread: OutputThread,
    /// Letters stay on disk, because too much output waits to be printed.
    held: bool,
    /// An input line is being read.
    asked: bool,
    /// When the prompt is shown although output waits.
    prompt_by: Option<Tick>,
    colored: bool,
    /// Whether output goes to a terminal, so that a user sees it.
    read: bool,
    /// A script writes the input, and finds the prompts among the results.
    is_scripted: bool,
    /// Relays in use, and in `beyond` those of them that are not in the book.
    relays: Vec<RelayConfig>,
    beyond: Vec<RelayConfig>,
    quitting: Option<Quitting>,
}

/// The end of a conversation, while letters may still be accepted.
struct Quitting {
    status: ExitStatus,
    /// Letters that are not accepted by then stay in the outbox.
    end: Tick,
    /// When the user learns what the program waits for. `None` once told, and for scripts.
    notice_at: Option<Tick>,
}

impl ChatCommand<'_> {
    fn run(&mut self, host: &mut ClientHost, output: &mut TurnOutput) -> CommandResult {
        let now = host.now();
        if host.has_folder() && self.is_interactive() {
            self.restore_unsent()?;
        }
        let first_lines = self.line.start(&self.unread_counts()?, now);
        host.command(Command::Relays(self.relays.clone()));
        self.carry_out(host, first_lines, now)?;
        self.show_prompt_below_output(now.tick);
        loop {
            if let Some(Quitting { status, end, .. }) = self.quitting
                && (self.line.unaccepted() == 0 || status != ExitStatus::Done || host.now().tick >= end)
            {
                return self.end(status);
            }
            self.tell_quitting(host.now().tick);
            let prompt_by = self.prompt_by.filter(|_| self.wants_prompt());
            let quitting = self.quitting.as_ref().map(|quitting| quitting.notice_at.unwrap_or(quitting.end));
            let deadlines = [self.line.next_deadline(), quitting, prompt_by];
            let now = host.turn(deadlines.into_iter().flatten().min(), output);
            match self.take(host, output, now) {
                Ok(true) => {}
                Ok(false) => return Ok(ExitStatus::Done),
                Err(end) if self.is_stopped_as_service(&end) => return Ok(ExitStatus::Done),
                Err(end) => return Err(self.with_unsent(end)),
            }
        }
    }

    /// Shows an event. A letter is marked as shown once it is printed, so that a kill between the
    /// two shows it again.
    fn show(&mut self, host: &mut ClientHost, event: Event, now: Now) -> Result<(), Failure> {
        let actions = self.line.handle_event(&event, now);
        match event {
            Event::Letter(letter) => {
                self.carry_out(host, actions, now)?;
                self.output_thread.put_letter(letter, String::new());
            }
            Event::Refused { .. } | Event::Unkept { .. } => self.carry_out(host, actions, now)?,
            _ => {
                let crammed = self.output_thread.is_over_notice_limit();
                let words =
                    |wanted: &Action| matches!(wanted, Action::PrintMessage(_) | Action::PrintNotice(_));
                let actions = actions.into_iter().filter(|wanted| !(crammed && words(wanted))).collect();
                self.carry_out(host, actions, now)?;
            }
        }
        Ok(())
    }

    /// Whether a service manager has stopped a relay without input, in the usual way. A relay whose
    /// window was closed has no input either.
    fn is_stopped_as_service(&self, end: &Failure) -> bool {
        self.unattended && end.status == ExitStatus::Interrupted && !has_hung_up()
    }

    /// Handles the output of one turn. Returns `false` if stdout has no reader left.
    fn take(&mut self, host: &mut ClientHost, output: &mut TurnOutput, now: Now) -> Result<bool, Failure> {
        for event in output.events.drain(..) {
            self.show(host, event, now)?;
        }
        let mut actions = Vec::new();
        while let Some(input) = output.next_input() {
            // The relay in this process reads its files again. It ends only if the terminal is
            // gone.
            if self.is_desk && matches!(input, FrontendInput::HangUp) && !has_hung_up() {
                continue;
            }
            if let Some(failure) = input.end() {
                return Err(failure);
            }
            match input {
                FrontendInput::End
                | FrontendInput::HangUp
                | FrontendInput::Broken(_)
                | FrontendInput::Failed(_) => {}
                FrontendInput::Printed(to, written) => {
                    let letter = self.output_thread.take_printed();
                    if check_written(to, written)? == WriteResult::Closed {
                        return Ok(false);
                    }
                    letter.iter().for_each(|letter| host.mark_shown(letter, self.read));
                }
                FrontendInput::Trouble(phrase) => self.say(&phrase),
                FrontendInput::Typed(input) => {
                    match input {
                        // The line is still being read.
                        UserInput::Dropped(_) | UserInput::PromptReplaced { .. } => {}
                        // No line can be read.
                        UserInput::EndOfInput | UserInput::NoInput => {
                            self.asked = true;
                            self.unattended = self.is_desk && input == UserInput::NoInput;
                        }
                        _ => self.asked = false,
                    }
                    actions.extend(self.line.handle_input(input, now));
                }
                FrontendInput::Book(read) => {
                    let (phrase, followed) = follow(self.setup, host, *read, &self.beyond);
                    self.say(&phrase);
                    if let Some((book, relays)) = followed {
                        *self.line.book_mut() = book;
                        self.relays = relays;
                    }
                }
            }
        }
        actions.extend(self.line.handle_time(now));
        self.carry_out(host, actions, now)?;
        self.output_thread.pause_if_full(host, &mut self.held);
        match self.wants_prompt() {
            true => self.show_prompt_below_output(now.tick),
            false if self.quitting.is_none() => self.replace_prompt(now),
            false => {}
        }
        Ok(true)
    }

    fn carry_out(&mut self, host: &mut ClientHost, actions: Vec<Action>, now: Now) -> Result<(), Failure> {
        for wanted in actions {
            match wanted {
                Action::PrintMessage(styled) => {
                    let style = Style { color: self.colored, width: width() };
                    self.output_thread.put(Output::Out, styled.render(style));
                }
                Action::PrintNotice(words) => self.notice(&words),
                Action::Send { request, relay, to, text } => {
                    self.reach(host, &relay)?;
                    host.command(Command::Send { request, relay, to, text });
                }
                Action::Close { request, relay, to } => {
                    self.reach(host, &relay)?;
                    host.command(Command::Close { request, relay, to });
                }
                // A demo has no files, and must not touch those of the user.
                Action::Add { .. } | Action::Block { .. } if self.archive_of.is_none() => {
                    self.say(&Phrase::new("chat-demo-book"));
                }
                Action::Add { who, label } => self.add(host, &who, label),
                Action::ShowHistory { who, last, new } => {
                    let actions = self.history(&who, last, new, now);
                    self.carry_out(host, actions, now)?;
                }
                Action::Ping { relay } => host.command(Command::Ping { relay }),
                Action::Carriers(carriers) => host.command(Command::Carriers(carriers)),
                Action::Block { who, blocked } => self.block(host, &who, blocked),
                Action::Quit { status } => {
                    let status = match status {
                        0 => ExitStatus::Done,
                        130 => ExitStatus::Interrupted,
                        _ => ExitStatus::Failed,
                    };
                    let notice_at = self.is_interactive().then(|| now.tick + SILENT_END);
                    self.quitting = Some(Quitting { status, end: now.tick + LINGER, notice_at });
                }
            }
        }
        Ok(())
    }

    /// Blocks or unblocks a contact. The address book records it, so that every program of the user
    /// knows.
    fn block(&mut self, host: &mut ClientHost, who: &ResolvedContact, blocked: bool) {
        let location = self.setup.location();
        let changed = set_blocked(&location, self.line.book_mut(), who, blocked);
        match changed.and_then(|phrase| Ok((phrase, location.load()?))) {
            Ok((phrase, book)) => {
                host.command(Command::Screen(self.setup.block_lists(&book)));
                *self.line.book_mut() = book;
                self.say(&phrase);
            }
            Err(phrase) => self.say(&phrase),
        }
    }

    /// Adds a contact to the address book.
    fn add(&mut self, host: &mut ClientHost, who: &ResolvedContact, label: Name) {
        let location = self.setup.location();
        let new = Contact { member: who.member.clone(), ..Contact::new(label.clone(), who.relay.clone()) };
        match location.add(&new).and_then(|()| location.load()) {
            Ok(book) => {
                host.command(Command::Screen(self.setup.block_lists(&book)));
                *self.line.book_mut() = book;
                self.line.handle_added(who, &label);
                let phrase = Phrase::new("contact-added").with("name", label);
                self.say(&phrase.with("file", location.file()));
            }
            Err(phrase) => self.say(&phrase),
        }
    }

    fn archive(&self) -> Result<Option<Archive>, StoreError> {
        match self.archive_of {
            Some(me) => Archive::open(&self.setup.data_dir()?, &me.folder()),
            None => Ok(None),
        }
    }

    /// Returns the last messages with a contact as output.
    fn history(&self, who: &ResolvedContact, last: u64, new: u64, now: Now) -> Vec<Action> {
        match self.last_messages(who, last) {
            Ok(entries) => self.line.history(&entries, who, new, now.wall),
            Err(error) => vec![Action::PrintNotice(self.setup.strings.say(&store_error(&error)))],
        }
    }

    fn last_messages(&self, who: &ResolvedContact, last: u64) -> Result<Vec<HistoryEntry>, StoreError> {
        let mut entries = Vec::new();
        if let Some(archive) = self.archive()? {
            let filter =
                HistoryFilter { with: Some((&who.relay, &who.member)), last: Some(last), since: None };
            archive.read(filter, |entry| {
                entries.push(entry);
                Ok::<bool, StoreError>(true)
            })?;
        }
        Ok(entries)
    }

    /// Passes the messages to line mode that an earlier run could not send.
    fn restore_unsent(&mut self) -> Result<(), StoreError> {
        let Some(archive) = self.archive()? else { return Ok(()) };
        for UnsentLetter { request, relay, to, text } in archive.unsent_letters(UNSENT_MAX)? {
            self.line.restore_unsent(request, &relay, &to, &text);
        }
        Ok(())
    }

    /// Returns the number of messages of each sender that were not shown yet, of the first
    /// [`UNREAD_MAX`].
    fn unread_counts(&self) -> Result<Vec<(HostPort, Name, u64)>, StoreError> {
        let mut counts: BTreeMap<(HostPort, Name), u64> = BTreeMap::new();
        let archive = self.archive()?;
        for unread in archive.map_or(Ok(Vec::new()), |archive| archive.unread_letters(0, UNREAD_MAX))? {
            *counts.entry((unread.letter.relay, unread.letter.from)).or_default() += 1;
        }
        Ok(counts.into_iter().map(|((relay, member), count)| (relay, member, count)).collect())
    }

    /// Adds a relay that was named with a contact and is not in the book, until the end of the
    /// conversation.
    fn reach(&mut self, host: &mut ClientHost, relay: &HostPort) -> Result<(), Failure> {
        if !self.relays.iter().any(|config| config.addr == *relay) {
            let config = self.setup.relay_at(relay.clone(), None)?;
            self.beyond.push(config.clone());
            self.relays.push(config);
            host.command(Command::Relays(self.relays.clone()));
        }
        Ok(())
    }

    /// Whether a user types and reads on a terminal.
    const fn is_interactive(&self) -> bool {
        self.read && !self.is_scripted
    }

    /// Adds to an interruption which messages stay in the outbox.
    fn with_unsent(&self, end: Failure) -> Failure {
        match self.line.unaccepted() {
            left if left > 0 && end.status == ExitStatus::Interrupted && end.phrase.is_none() => {
                let phrase = Phrase::new("chat-left-outbox").with("count", left);
                Failure { phrase: Some(phrase), ..end }
            }
            _ => end,
        }
    }

    /// Says what the end of the program waits for, if that takes long enough to be noticed.
    fn tell_quitting(&mut self, now: Tick) {
        let is_late = |at: &mut Tick| *at <= now;
        if self.quitting.as_mut().is_some_and(|quitting| quitting.notice_at.take_if(is_late).is_some()) {
            let phrase = Phrase::new("chat-quit-waits").with("count", self.line.unaccepted());
            self.say(&phrase.with("seconds", LINGER.as_secs()));
        }
    }

    fn end(&self, status: ExitStatus) -> CommandResult {
        let left = self.line.unaccepted();
        if left > 0 && status == ExitStatus::Done {
            let phrase = Phrase::new("chat-left-unsent").with("count", left);
            return Err(Failure::later(phrase));
        }
        if left > 0 && status == ExitStatus::Interrupted {
            return Err(self.with_unsent(Failure::silent(status)));
        }
        Ok(status)
    }

    /// Waits for output to be printed, unless interrupted. On a terminal that takes microseconds,
    /// or the user is searching the input history; any other reader may be slow.
    fn finish(
        &mut self,
        host: &mut ClientHost,
        output: &mut TurnOutput,
        result: &CommandResult,
    ) -> Result<(), Failure> {
        let patient = matches!(result, Ok(ExitStatus::Done | ExitStatus::Failed)) && !self.read;
        let within = if patient { LINGER } else { FINISH_WITHIN };
        finish(host, output, &mut [&mut self.output_thread], within, self.read, &self.setup.strings)
    }

    fn say(&mut self, phrase: &Phrase) {
        let words = self.setup.strings.say(phrase);
        self.notice(&words);
    }

    fn notice(&mut self, words: &str) {
        let style = match io::stderr().is_terminal() {
            true => Style { color: self.colored, width: width() },
            false => Style::default(),
        };
        self.output_thread.put(Output::Err, style::notice(words, style));
    }

    /// Whether no line is being read, and another one may be. On a terminal that does not depend on
    /// how much output waits, because the editor prints it.
    const fn wants_prompt(&self) -> bool {
        !self.asked && self.quitting.is_none() && (self.read || !self.held)
    }

    /// Shows the prompt, on a terminal once all output is above it, or after [`PROMPT_WITHIN`].
    fn show_prompt_below_output(&mut self, now: Tick) {
        let prompt_by = *self.prompt_by.get_or_insert(now + PROMPT_WITHIN);
        if !self.read || self.output_thread.is_empty() || prompt_by <= now {
            self.show_prompt();
        }
    }

    fn show_prompt(&mut self) {
        self.asked = true;
        self.prompt_by = None;
        let recalled = self.line.take_kept_text().unwrap_or_default();
        if !recalled.is_empty() {
            match self.reader.is_editing() {
                true => self.say(&Phrase::new("chat-recalled").with("text", excerpt(&recalled))),
                false => {
                    self.say(&Phrase::new("chat-text-back"));
                    self.notice(&sanitize(&recalled));
                }
            }
        }
        let echo = self.echo();
        self.line.begin_line();
        let prompt = self.line.prompt();
        if self.is_scripted {
            self.output_thread.put_prompt(prompt.clone());
        }
        let candidates = self.line.candidates();
        self.reader.prompt(Prompt { prompt, candidates, echo, recalled });
    }

    /// Replaces the prompt of the line that is being typed, if another guest is answered now.
    fn replace_prompt(&mut self, now: Now) {
        let Some(change) = self.line.change_prompt() else { return };
        let echo = self.echo();
        let id = change.id;
        if self.reader.replace_prompt(change, self.line.candidates(), echo) {
            self.line.handle_input(UserInput::PromptReplaced { id, draft: Draft::Unknown }, now);
        }
    }

    fn echo(&self) -> Option<Echo> {
        let color = self.colored;
        let echo = self.line.echo()?;
        Some(Box::new(move |line| {
            let entered = echo.render(line, net::wall())?;
            let lines = entered.render(Style { color, width: width() });
            Some(lines.trim_end_matches('\n').to_owned())
        }))
    }
}
