//! Runs the client in this process, or forwards to the process that holds the lock.
//!
//! The process that gets the folder's lock is the primary. Any other connects to it, and tries for
//! the lock when the connection ends. The new primary repeats its own pending requests, unless the
//! history knows them, so that no letter is sent twice.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Core, Input, Now, Outputs, Phrase, Tick};
use crate::client::{BlockLists, Carriers, Command, Event, Record, RelayConfig};
use crate::net::LoopHandle;
use crate::net::ipc::{self, IpcConnection, IpcEvent};
use crate::store::{Archive, StoreError, StoreErrorCause};
use crate::ui::store_error;

use super::connection_log::ConnectionLog;
use super::ipc_protocol::{FrontendKind, IpcRequest, IpcResponse, VERSION, encode_line};
use super::pending_sends::{self, PendingSends};
use super::primary::PrimaryHost;
use super::unread_queue::UnreadQueue;
use super::{Failure, FrontendInput, HostInput, MemberFolder};

/// Time between two attempts to become primary or to reach it: about as long as opening the folder
/// takes.
pub(super) const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Role of this process.
pub(super) enum HostRole {
    /// Primary: it has the folder.
    Primary(Box<PrimaryHost>),
    /// Secondary: it works through the primary.
    Secondary(IpcClient),
    /// Neither, until the next attempt.
    Connecting { again: Tick },
}

/// The connection to the primary.
pub(super) struct IpcClient {
    connection: IpcConnection,
    number: u64,
    /// The primary has answered.
    welcome: bool,
    /// Events of the turn that the primary is reporting.
    events: Vec<Event>,
}

impl IpcClient {
    fn send(&self, command: Command) {
        self.connection.send(encode_line(&IpcRequest::Command(command)));
    }
}

/// Requests of the frontend that outlive a primary.
#[derive(Default)]
struct ResumeState {
    /// Block lists, set by a frontend that shows letters.
    block_lists: Option<BlockLists>,
    relays: Option<Vec<RelayConfig>>,
    carriers: Option<Carriers>,
    pending_sends: PendingSends,
    /// Commands given while no primary was reachable: at most one mark for each letter shown.
    backlog: Vec<Command>,
}

/// The core of a desk.
pub(super) struct HostCore {
    pub(super) role: HostRole,
    pub(super) commands: VecDeque<Command>,
    pub(super) inputs: Vec<FrontendInput>,
    pub(super) unread: UnreadQueue,
    /// Why this process could not become primary.
    pub(super) busy: Option<Phrase>,
    /// The primary has confirmed our `Bye`.
    pub(super) bye: bool,
    /// `None` if nothing would be logged.
    pub(super) log: Option<ConnectionLog>,
    member_folder: Option<MemberFolder>,
    loop_handle: LoopHandle<HostInput>,
    resume: ResumeState,
    connects: u64,
}

impl HostCore {
    pub(super) fn new(
        seat: HostRole,
        member_folder: Option<MemberFolder>,
        loop_handle: LoopHandle<HostInput>,
    ) -> HostCore {
        HostCore {
            role: seat,
            commands: VecDeque::new(),
            inputs: Vec::new(),
            unread: UnreadQueue::default(),
            busy: None,
            bye: false,
            log: ConnectionLog::is_enabled().then(ConnectionLog::default),
            member_folder,
            loop_handle,
            resume: ResumeState::default(),
            connects: 0,
        }
    }

    /// Whether commands reach a client.
    pub(super) const fn is_connected(&self) -> bool {
        matches!(self.role, HostRole::Primary(_) | HostRole::Secondary(IpcClient { welcome: true, .. }))
    }

    /// Passes an event to the processes it concerns. Those for our own frontend are appended to
    /// `events`.
    pub(super) fn show(&mut self, event: Event, events: &mut Vec<Event>) {
        if let Some(log) = &self.log {
            log.handle_event(&event);
        }
        let ours = match &mut self.role {
            HostRole::Primary(primary) => primary.ipc_server.route_event(event),
            _ => Some(event),
        };
        match ours {
            Some(Event::Letter(letter)) if !self.unread.take(&letter) => {}
            Some(event) => events.push(event),
            None => {}
        }
    }

    /// Appends the next page of letters from disk, if any are left.
    pub(super) fn catch_up(&mut self, events: &mut Vec<Event>) {
        match self.unread.next_page() {
            Ok((letters, marks)) => {
                events.extend(letters.into_iter().map(Event::Letter));
                self.commands.extend(marks);
            }
            Err(phrase) => self.fail(phrase),
        }
    }

    /// Logs the result of a turn, before its effects are carried out.
    pub(super) fn log_turn(&mut self, out: &Outputs<Record, Event>) {
        let Some(log) = &mut self.log else { return };
        log.handle_outputs(out);
        if let HostRole::Primary(primary) = &self.role {
            log.handle_client(&primary.client);
        }
    }

    /// Holds letters back, or releases them.
    pub(super) fn set_paused(&mut self, hold: bool) {
        self.unread.set_paused(hold);
        if !hold {
            match self.archive() {
                Ok(archive) => self.unread.catch_up(archive),
                Err(phrase) => self.fail(phrase),
            }
        }
    }

    /// Whether everything is durable and every relay has received all pending frames.
    pub(super) fn is_flushed(&self) -> bool {
        match &self.role {
            HostRole::Primary(primary) => primary.client.is_flushed(),
            _ => true,
        }
    }

    /// Sends `Bye` to the primary. Returns `false` if there is none.
    pub(super) fn send_bye(&mut self) -> bool {
        self.unread.catch_up(None);
        match &self.role {
            HostRole::Secondary(ipc_client) if ipc_client.welcome => {
                ipc_client.connection.send(encode_line(&IpcRequest::Bye))
            }
            _ => false,
        }
    }

    fn connect(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        let Some(member_folder) = self.member_folder.clone() else { return };
        self.role = HostRole::Connecting { again: now.tick + TRY_AGAIN };
        match PrimaryHost::open(&member_folder, &self.loop_handle) {
            Ok(primary) => {
                if let Err(phrase) = self.become_primary(now, &member_folder, primary, out) {
                    self.fail(phrase);
                }
            }
            Err(error) if matches!(error.cause, StoreErrorCause::MemberBusy { .. }) => {
                self.busy = Some(store_error(&error));
                self.connect_to_primary(&member_folder);
            }
            Err(error) => self.fail(error),
        }
    }

    fn become_primary(
        &mut self,
        now: Now,
        member_folder: &MemberFolder,
        mut primary: PrimaryHost,
        out: &mut Outputs<Record, Event>,
    ) -> Result<(), StoreError> {
        self.inputs.extend(primary.troubles.drain(..).map(FrontendInput::Trouble));
        let archive = Archive::open(&member_folder.data_dir, &member_folder.folder)?;
        let ResumeState { block_lists, relays, carriers, pending_sends, backlog } =
            std::mem::take(&mut self.resume);
        primary.client.handle_time(now, out);
        let settings = [
            member_folder.invitation.clone().map(Command::Invitation),
            block_lists.map(Command::Screen),
            relays.map(Command::Relays),
            carriers.map(Command::Carriers),
        ];
        for command in settings.into_iter().flatten() {
            primary.command(now, command, out);
        }
        primary.resume_requests(now, &pending_sends, archive.as_ref(), out)?;
        backlog.into_iter().for_each(|command| primary.command(now, command, out));
        if member_folder.frontend.kind == FrontendKind::Display {
            self.unread.catch_up(archive);
        }
        self.role = HostRole::Primary(Box::new(primary));
        Ok(())
    }

    fn connect_to_primary(&mut self, member_folder: &MemberFolder) {
        self.connects += 1;
        let number = self.connects;
        let called =
            IpcConnection::connect(&member_folder.dir(), self.loop_handle.clone(), move |ipc_event| {
                HostInput::Primary(number, ipc_event)
            });
        // No listener: the primary is about to open it, or has just ended. If it cannot open one,
        // the user must know why.
        let Ok(connection) = called else {
            if let Some(reason) = ipc::obstacle(&member_folder.dir()) {
                let cause = member_folder.setup.strings.say(&reason);
                let phrase = Phrase::new("member-unreachable").with("name", &member_folder.name);
                self.busy = Some(phrase.with("cause", cause));
            }
            return;
        };
        connection.send(encode_line(&IpcRequest::Hello {
            version: VERSION.to_owned(),
            frontend: member_folder.frontend,
        }));
        self.role = HostRole::Secondary(IpcClient { connection, number, welcome: false, events: Vec::new() });
    }

    /// Handles input from the primary on connection `number`.
    fn handle_ipc_event(
        &mut self,
        now: Now,
        number: u64,
        ipc_event: IpcEvent,
        out: &mut Outputs<Record, Event>,
    ) {
        let HostRole::Secondary(ipc_client) = &mut self.role else { return };
        if ipc_client.number != number {
            return;
        }
        let text = match ipc_event {
            IpcEvent::Line(text) => text,
            IpcEvent::Closed => {
                let welcome = ipc_client.welcome;
                let turn = std::mem::take(&mut ipc_client.events);
                let again = if welcome { now.tick } else { now.tick + TRY_AGAIN };
                self.role = HostRole::Connecting { again };
                if welcome {
                    self.show_followed(turn, out);
                }
                return;
            }
            IpcEvent::Connected(_) => return,
        };
        let done = match serde_json::from_slice(&text) {
            Ok(IpcResponse::Event(event)) => {
                ipc_client.events.push(event);
                Ok(())
            }
            Ok(IpcResponse::Turn) => {
                // Events before the welcome may be newer than letters still to be read from disk.
                if ipc_client.welcome {
                    let turn = std::mem::take(&mut ipc_client.events);
                    self.show_followed(turn, out);
                }
                Ok(())
            }
            Ok(IpcResponse::Welcome { version, catch_up, carriers }) if version == VERSION => {
                self.accept_primary(catch_up, carriers, out).map_err(Failure::from)
            }
            Ok(IpcResponse::CatchUp) => {
                self.archive().map(|archive| self.unread.catch_up(archive)).map_err(Failure::from)
            }
            Ok(IpcResponse::Bye) => {
                self.bye = true;
                Ok(())
            }
            // The primary is of another version.
            Ok(IpcResponse::Welcome { .. }) | Err(_) => {
                Err(self.busy.clone().expect("we connect only if busy").into())
            }
        };
        if let Err(failure) = done {
            self.fail(failure);
        }
    }

    fn show_followed(&mut self, events: Vec<Event>, out: &mut Outputs<Record, Event>) {
        for event in events {
            if self.resume.pending_sends.handle_event(&event) {
                out.show(event);
            }
        }
    }

    /// Handles the primary's welcome: sends it all settings and pending requests of this frontend.
    fn accept_primary(
        &mut self,
        catch_up: bool,
        carriers: Carriers,
        out: &mut Outputs<Record, Event>,
    ) -> Result<(), StoreError> {
        let archive = self.archive()?;
        let HostRole::Secondary(ipc_client) = &mut self.role else { return Ok(()) };
        let first = !std::mem::replace(&mut ipc_client.welcome, true) && self.connects == 1;
        let shows = self
            .member_folder
            .as_ref()
            .is_some_and(|member_folder| member_folder.frontend.kind == FrontendKind::Display);
        let invitation =
            self.member_folder.as_ref().and_then(|member_folder| member_folder.invitation.clone());
        let settings = [
            // First, because a relay must see it with the first sign-in.
            invitation.map(Command::Invitation),
            self.resume.block_lists.clone().filter(|_| shows).map(Command::Screen),
            self.resume.relays.clone().map(Command::Relays),
            self.resume.carriers.map(Command::Carriers),
        ];
        settings.into_iter().flatten().for_each(|command| ipc_client.send(command));
        let mut shown = Vec::new();
        let turn = std::mem::take(&mut ipc_client.events);
        for request in self.resume.pending_sends.requests() {
            let outcome =
                archive.as_ref().map(|archive| archive.request_outcome(request)).transpose()?.flatten();
            let events_of_outcome =
                outcome.map_or(Vec::new(), |outcome| pending_sends::events(request, outcome));
            if events_of_outcome.is_empty()
                && let Some(command) = self.resume.pending_sends.command(request)
            {
                ipc_client.send(command);
            }
            shown.extend(events_of_outcome);
        }
        self.resume.backlog.drain(..).for_each(|command| ipc_client.send(command));
        if catch_up {
            self.unread.catch_up(archive);
        }
        self.show_followed(shown, out);
        self.show_followed(turn, out);
        let own = self.member_folder.as_ref().map_or(carriers, |member_folder| member_folder.setup.carriers);
        if first && own != Carriers::Auto && own != carriers {
            let busy = self.busy.as_ref().and_then(|phrase| phrase.args().last()).map(|(_, pid)| pid.clone());
            let phrase = Phrase::new("member-carriers").with("pid", busy.unwrap_or_default());
            self.inputs.push(FrontendInput::Trouble(phrase));
        }
        Ok(())
    }

    fn command(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        let ipc_client = match &mut self.role {
            HostRole::Primary(primary) => return primary.command(now, command, out),
            HostRole::Secondary(ipc_client) if ipc_client.welcome => Some(&*ipc_client),
            _ => None,
        };
        match &command {
            Command::Leave | Command::HoldRefusals => return,
            Command::Screen(block_lists) => {
                self.resume.block_lists = Some(block_lists.clone());
                if self
                    .member_folder
                    .as_ref()
                    .is_none_or(|member_folder| member_folder.frontend.kind != FrontendKind::Display)
                {
                    return;
                }
            }
            Command::Relays(relays) => self.resume.relays = Some(relays.clone()),
            Command::Carriers(carriers) => self.resume.carriers = Some(*carriers),
            Command::Send { .. } | Command::Close { .. } => {
                if let Some(event) = self.resume.pending_sends.add(command.clone()) {
                    return out.show(event);
                }
            }
            other if ipc_client.is_none() => self.resume.backlog.push(other.clone()),
            _ => {}
        }
        if let Some(ipc_client) = ipc_client {
            ipc_client.send(command);
        }
    }

    fn archive(&self) -> Result<Option<Archive>, StoreError> {
        let open =
            |member_folder: &MemberFolder| Archive::open(&member_folder.data_dir, &member_folder.folder);
        self.member_folder.as_ref().map(open).transpose().map(Option::flatten)
    }

    fn fail(&mut self, failure: impl Into<Failure>) {
        self.inputs.push(FrontendInput::Failed(failure.into()));
    }
}

impl Core for HostCore {
    type Command = HostInput;
    type Record = Record;
    type Event = Event;

    fn handle_time(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        match &mut self.role {
            HostRole::Primary(primary) => primary.client.handle_time(now, out),
            HostRole::Connecting { again } if *again <= now.tick => self.connect(now, out),
            HostRole::Secondary(_) | HostRole::Connecting { .. } => {}
        }
        while let Some(command) = self.commands.pop_front() {
            self.command(now, command, out);
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_, HostInput>, out: &mut Outputs<Record, Event>) {
        if let Some(log) = &mut self.log {
            log.handle_input(&input);
        }
        let passed = match input {
            Input::Command(HostInput::Command(command)) => return self.command(now, command, out),
            Input::Command(HostInput::Frontend(input)) => return self.inputs.push(input),
            Input::Command(HostInput::Primary(number, ipc_event)) => {
                return self.handle_ipc_event(now, number, ipc_event, out);
            }
            Input::Command(HostInput::Secondary(number, ipc_event)) => {
                if let HostRole::Primary(primary) = &mut self.role {
                    primary.handle_ipc_event(now, number, ipc_event, out);
                }
                return;
            }
            Input::Packet { path, bytes } => Input::Packet { path, bytes },
            Input::Text { path, bytes } => Input::Text { path, bytes },
            Input::TextEnded(path) => Input::TextEnded(path),
            Input::PathOpened { path, remote } => Input::PathOpened { path, remote },
            Input::PathClosed(path, reason) => Input::PathClosed(path, reason),
            Input::SendRefused(path, reason) => Input::SendRefused(path, reason),
            Input::Unsent(path, bytes) => Input::Unsent(path, bytes),
            Input::Committed(ticket) => Input::Committed(ticket),
            Input::NotCommitted(ticket) => Input::NotCommitted(ticket),
            Input::Rows(ticket, rows) => Input::Rows(ticket, rows),
            Input::Resolved(host, addrs) => Input::Resolved(host, addrs),
            Input::Unresolved(host) => Input::Unresolved(host),
        };
        if let HostRole::Primary(primary) = &mut self.role {
            primary.client.handle(now, passed, out);
        }
    }

    fn flush(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        if let HostRole::Primary(primary) = &mut self.role {
            primary.client.flush(now, out);
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        match &self.role {
            HostRole::Primary(primary) => primary.client.next_deadline(),
            HostRole::Secondary(_) => None,
            HostRole::Connecting { again } => Some(*again),
        }
    }
}
