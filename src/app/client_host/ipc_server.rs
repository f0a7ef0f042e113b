//! Secondary processes of the member: who they are, which events each receives, and which commands
//! they give.
//!
//! Each frontend that shows letters receives every letter as it arrives. The first of them also
//! shows those that were stored and not shown. Events about one letter go to the process that sent
//! it, or to our own frontend if that process has gone. Events about a relay go to all processes
//! that use it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, PublicKey};
use crate::client::{Carriers, Command, ConnectFailure, Event, RelayConfig};
use crate::net::ipc::{IpcConnection, IpcEvent};

use super::ipc_protocol::{FrontendInfo, FrontendKind, IpcRequest, IpcResponse, VERSION, encode_line};

/// Maximum bytes queued for a caller that does not read, 8 MiB. At the limit it is disconnected,
/// and connects again when it reads. Chosen: many turns of events, yet bounded per process.
pub(super) const UNREAD_MAX: usize = 8 << 20;
/// Maximum relays kept for callers that have gone, so that the letters they left in the outbox are
/// sent. Beyond it the oldest is dropped; its letters wait for the next process that uses that
/// relay.
const RELAYS_LEFT_MAX: usize = 64;

/// A request of a caller to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ForwardedCommand {
    /// Execute this command.
    Command(Command),
    /// The set of relays in use has changed, or their pins have.
    Relays,
    /// The history was partly erased: the client counts more bytes from some senders than the disk
    /// has.
    Recount,
}

#[derive(Debug)]
struct SecondaryProcess {
    connection: IpcConnection,
    /// `None` until it has sent `Hello`.
    frontend: Option<FrontendInfo>,
    relays: Vec<RelayConfig>,
    /// It received events in this turn, so `Turn` must follow.
    has_events: bool,
    /// It has sent `Bye` and reads no more events: returned texts are shown here.
    is_leaving: bool,
    /// Answers to send, each once the given number of records has settled.
    pending_responses: VecDeque<(u64, IpcResponse)>,
}

/// All secondary processes, by number.
#[derive(Debug)]
pub(super) struct IpcServer {
    own: FrontendInfo,
    own_relays: Vec<RelayConfig>,
    by_number: BTreeMap<u64, SecondaryProcess>,
    /// Last known connection state of each relay.
    relay_states: BTreeMap<HostPort, Event>,
    /// At most [`RELAYS_LEFT_MAX`], the newest last.
    left_relays: VecDeque<RelayConfig>,
    /// The caller that shows letters stored and not shown; `None` if our own frontend does, or none
    /// shows letters.
    catching_up: Option<u64>,
}

impl IpcServer {
    pub(super) fn new(own: FrontendInfo) -> IpcServer {
        IpcServer {
            own,
            own_relays: Vec::new(),
            by_number: BTreeMap::new(),
            relay_states: BTreeMap::new(),
            left_relays: VecDeque::new(),
            catching_up: None,
        }
    }

    /// Sets the relays that our own frontend uses.
    pub(super) fn set_own_relays(&mut self, relays: Vec<RelayConfig>) {
        self.own_relays = relays;
    }

    /// Returns every relay in use, once, with its pinned key.
    pub(super) fn relays(&self, pinned: impl Fn(&HostPort) -> Option<PublicKey>) -> Vec<RelayConfig> {
        let mut by_addr: BTreeMap<&HostPort, RelayConfig> = BTreeMap::new();
        let theirs = self.by_number.values().flat_map(|secondary| &secondary.relays);
        let merge = |known: &mut RelayConfig, config: &RelayConfig| {
            known.tcp = known.tcp.take().or_else(|| config.tcp.clone());
            known.key = pinned(&config.addr).or(known.key).or(config.key);
        };
        for config in self.own_relays.iter().chain(theirs) {
            let known = by_addr.entry(&config.addr).or_insert_with(|| config.clone());
            merge(known, config);
            known.fingerprint = known.fingerprint.or(config.fingerprint);
        }
        // The fingerprint is left out: the expectation of an address book whose process has gone
        // must not block others.
        for config in &self.left_relays {
            merge(by_addr.entry(&config.addr).or_insert_with(|| config.clone()), config);
        }
        by_addr.into_values().collect()
    }

    /// Handles input from caller `number`. `given` is the number of records submitted to the store
    /// so far.
    pub(super) fn handle(
        &mut self,
        number: u64,
        ipc_event: IpcEvent,
        given: u64,
        carriers: Carriers,
    ) -> Option<ForwardedCommand> {
        match ipc_event {
            IpcEvent::Connected(line) => {
                let secondary = SecondaryProcess {
                    connection: line,
                    frontend: None,
                    relays: Vec::new(),
                    has_events: false,
                    is_leaving: false,
                    pending_responses: VecDeque::new(),
                };
                self.by_number.insert(number, secondary);
                None
            }
            IpcEvent::Line(text) => match serde_json::from_slice(&text) {
                Ok(ipc_request) => self.take(number, ipc_request, given, carriers),
                Err(_) => self.remove(number, given),
            },
            IpcEvent::Closed => self.remove(number, given),
        }
    }

    fn take(
        &mut self,
        number: u64,
        ipc_request: IpcRequest,
        given: u64,
        carriers: Carriers,
    ) -> Option<ForwardedCommand> {
        let secondary = self.by_number.get_mut(&number)?;
        match ipc_request {
            IpcRequest::Pins => return Some(ForwardedCommand::Relays),
            IpcRequest::Forgotten => return Some(ForwardedCommand::Recount),
            IpcRequest::Hello { version, frontend } => {
                let shows = version == VERSION && frontend.kind == FrontendKind::Display;
                let catch_up = shows && self.own.kind != FrontendKind::Display && self.catching_up.is_none();
                if catch_up {
                    self.catching_up = Some(number);
                }
                secondary.frontend = Some(frontend);
                let welcome = IpcResponse::Welcome { version: VERSION.to_owned(), catch_up, carriers };
                secondary.pending_responses.push_back((given, welcome));
            }
            IpcRequest::Bye => {
                secondary.is_leaving = true;
                secondary.pending_responses.push_back((given, IpcResponse::Bye));
            }
            // Commands are accepted after `Hello` only. The primary alone decides when to leave the
            // session.
            IpcRequest::Command(_) if secondary.frontend.is_none() => return self.remove(number, given),
            IpcRequest::Command(Command::Leave | Command::HoldRefusals) => {}
            IpcRequest::Command(Command::Relays(configs)) => {
                let before = std::mem::replace(&mut secondary.relays, configs);
                let new =
                    secondary.relays.iter().filter(|config| before.iter().all(|old| old.addr != config.addr));
                for event in new.filter_map(|config| self.relay_states.get(&config.addr)) {
                    secondary.has_events = true;
                    secondary.connection.send(encode_line(&IpcResponse::Event(event.clone())));
                }
                return Some(ForwardedCommand::Relays);
            }
            IpcRequest::Command(command) => {
                if let Command::Invitation(_) = command {
                    // Relays that refused the name are tried again, so their old refusals are
                    // obsolete.
                    self.relay_states.retain(|_, event| !matches!(event, Event::NameRefused { .. }));
                }
                return Some(ForwardedCommand::Command(command));
            }
        }
        None
    }

    /// Forgets a caller; the only place that does. Letters it left in the outbox are still sent.
    fn remove(&mut self, number: u64, given: u64) -> Option<ForwardedCommand> {
        let gone = self.by_number.remove(&number)?;
        if self.catching_up == Some(number) {
            let shows = |frontend: Option<FrontendInfo>| {
                frontend.is_some_and(|frontend| frontend.kind == FrontendKind::Display)
            };
            self.catching_up =
                self.by_number.iter().find(|(_, secondary)| shows(secondary.frontend)).map(|(n, _)| *n);
            if let Some(next) = self.catching_up.and_then(|next| self.by_number.get_mut(&next)) {
                next.pending_responses.push_back((given, IpcResponse::CatchUp));
            }
        }
        for config in gone.relays {
            self.left_relays.retain(|other| other.addr != config.addr);
            if self.left_relays.len() == RELAYS_LEFT_MAX {
                self.left_relays.pop_front();
            }
            self.left_relays.push_back(config);
        }
        None
    }

    /// Passes an event to the callers it concerns. Returns it if it also concerns our own frontend.
    pub(super) fn route_event(&mut self, event: Event) -> Option<Event> {
        // Progress goes to the process that sent the letter, and a received letter to every process
        // that shows letters. A relay event goes to every process that uses the relay.
        self.record_relay_state(&event);
        if let Some(request) = request_of(&event) {
            // After `Bye` a caller shows no text, so a refused text must not go to it.
            let is_refusal = matches!(event, Event::Refused { .. });
            let owns = |secondary: &SecondaryProcess| {
                secondary.frontend.is_some_and(|frontend| frontend.has_request(request))
                    && !(is_refusal && secondary.is_leaving)
            };
            return if self.send_event(&event, owns) { None } else { Some(event) };
        }
        match relay_of(&event) {
            // Concerns the client itself, which is ours.
            None => Some(event),
            Some(_) if matches!(event, Event::Letter(_) | Event::Unreadable { .. }) => {
                self.send_event(&event, |secondary| {
                    secondary.frontend.is_some_and(|frontend| frontend.wants_letters())
                });
                Some(event)
            }
            Some(relay) => {
                let speaks = |configs: &[RelayConfig]| configs.iter().any(|config| config.addr == *relay);
                self.send_event(&event, |secondary| speaks(&secondary.relays));
                speaks(&self.own_relays).then_some(event)
            }
        }
    }

    /// Ends a turn, and sends each answer whose records are among the first `settled`.
    pub(super) fn end_turn(&mut self, settled: u64) {
        for secondary in self.by_number.values_mut() {
            if std::mem::take(&mut secondary.has_events) {
                secondary.connection.send(encode_line(&IpcResponse::Turn));
            }
            while secondary.pending_responses.front().is_some_and(|(mark, _)| *mark <= settled) {
                let (_, response) =
                    secondary.pending_responses.pop_front().expect("the loop condition saw a front element");
                secondary.connection.send(encode_line(&response));
            }
        }
    }

    /// Sends an event to the callers concerned; `false` if there is none. A caller whose connection
    /// is lost or cut is forgotten when the loop reports the closure.
    fn send_event(&mut self, event: &Event, concerned: impl Fn(&SecondaryProcess) -> bool) -> bool {
        let mut text = None;
        for secondary in self.by_number.values_mut().filter(|secondary| concerned(secondary)) {
            secondary.has_events = true;
            let text = text.get_or_insert_with(|| encode_line(&IpcResponse::Event(event.clone())));
            secondary.connection.send(text.clone());
        }
        text.is_some()
    }

    fn record_relay_state(&mut self, event: &Event) {
        let (relay, state) = match event {
            Event::Online { relay, .. }
            | Event::Lost { relay }
            | Event::Unreached { relay, .. }
            | Event::NameRefused { relay, .. }
            | Event::Replaced { relay } => (relay, event.clone()),
            Event::Moved { relay, via, .. } => (relay, Event::Online { relay: relay.clone(), via: *via }),
            _ => return,
        };
        self.relay_states.insert(relay.clone(), state);
    }

    /// Forgets the state of relays that are not in use, and of those whose new key is trusted by
    /// now. The latter are tried again, and a newcomer must not receive the obsolete failure.
    pub(super) fn retain_relay_states(&mut self, relays: &[RelayConfig]) {
        self.relay_states.retain(|relay, event| {
            let config = relays.iter().find(|config| config.addr == *relay);
            let Event::Unreached { reason, .. } = event else { return config.is_some() };
            config.is_some_and(|config| is_still_true(reason, config))
        });
    }
}

/// Whether the reason for not using a relay still holds, given what `spec` says about its key.
fn is_still_true(reason: &ConnectFailure, config: &RelayConfig) -> bool {
    match reason {
        ConnectFailure::KeyChanged { offered, .. } => config.key != Some(*offered),
        ConnectFailure::KeyUnlikeBook { wanted, offered } => {
            config.fingerprint == Some(*wanted) && config.key != Some(*offered)
        }
        ConnectFailure::BookUnlikePin { wanted, pinned } => {
            config.fingerprint == Some(*wanted) && config.key == Some(*pinned)
        }
        _ => true,
    }
}

fn request_of(event: &Event) -> Option<u64> {
    match event {
        Event::Progress { request, .. } | Event::Refused { request, .. } | Event::Unkept { request, .. } => {
            Some(*request)
        }
        _ => None,
    }
}

fn relay_of(event: &Event) -> Option<&HostPort> {
    match event {
        Event::Letter(letter) => Some(&letter.relay),
        Event::Unreadable { relay, .. }
        | Event::Online { relay, .. }
        | Event::Moved { relay, .. }
        | Event::NameRefused { relay, .. }
        | Event::Pinned { relay, .. }
        | Event::Unreached { relay, .. }
        | Event::Lost { relay }
        | Event::Replaced { relay }
        | Event::OldCopy { relay }
        | Event::LostByRelay { relay, .. }
        | Event::StrangersFull { relay }
        | Event::TcpUnreached { relay, .. }
        | Event::Pong { relay, .. } => Some(relay),
        Event::Progress { .. } | Event::Refused { .. } | Event::Unkept { .. } | Event::Left => None,
    }
}

#[cfg(test)]
mod tests;
