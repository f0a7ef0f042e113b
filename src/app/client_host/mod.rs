//! One running client with its frontend, in this process or through another one of the same member.
//!
//! The first process of a member (primary) owns its folder and sessions. The others (secondary)
//! work through it with the same commands and events, and one takes over when it ends. The frontend
//! does not notice the difference.
//!
//! Files: `core` (role of this process), `primary` and `ipc_server` (primary), `pending_sends`
//! (secondary), `ipc_protocol` (protocol between them), `unread_queue` (letters on their way to the
//! frontend).

mod connection_log;
mod core;
mod ipc_protocol;
mod ipc_server;
mod pending_sends;
mod primary;
mod unread_queue;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::base::{Carrier, Effect, HostPort, Name, Now, Outputs, Path as Way, Phrase, Rng, Tick, turn};
use crate::client::{Carriers, Command, Event, Incoming, Record};
use crate::contacts::{AddressBook, Location, Watcher, watch};
use crate::net::{self, LoopHandle, Net, NetConfig, Signal, ipc};
use crate::store::{is_held, member_dir, member_dirs};
use crate::ui::UserInput;
use crate::ui::terminal::{Output, WriteResult};

use self::core::{HostCore, HostRole, TRY_AGAIN};
pub(super) use self::ipc_protocol::FrontendKind;
use self::ipc_protocol::{FrontendInfo, IpcRequest, encode_line};
use self::primary::PrimaryHost;
use super::{ExitStatus, Failure, Setup, say};

/// Grace period for acks of the last frames (such as STORED) before the session closes. 500 ms: a
/// retransmission on most paths, and short enough for a user who waits for the prompt.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);
/// Time within which the primary must answer; a slower one is stopped or stuck. 10 s: longer than
/// opening a large folder takes.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// Time within which a primary makes a removed socket again, and a margin for busy machines.
const REACHABLE_WITHIN: Duration = Duration::from_secs(2);

/// Input that other threads put into the queue of a client host.
#[derive(Debug)]
pub(super) enum HostInput {
    /// For the client.
    Command(Command),
    /// For the frontend.
    Frontend(FrontendInput),
    /// From the secondary process on this connection.
    Secondary(u64, ipc::IpcEvent),
    /// From the primary process, on this connection.
    Primary(u64, ipc::IpcEvent),
}

/// Input for the frontend from other threads.
#[derive(Debug)]
pub(super) enum FrontendInput {
    /// From the keyboard, or standard input.
    Typed(UserInput),
    /// The address book was edited.
    Book(Box<Result<AddressBook, Phrase>>),
    /// A signal asks the process to end.
    End,
    /// SIGHUP: ends the process too, unless its frontend is the operator's.
    HangUp,
    /// The store reports a problem that the user should know of.
    Trouble(Phrase),
    /// The disk failed: nothing more can be stored.
    Broken(Phrase),
    /// The member's folder has become unusable, or unusable by this version.
    Failed(Failure),
    /// Output was printed, or its reader has gone, or printing failed.
    Printed(Output, Result<WriteResult, Failure>),
}

impl FrontendInput {
    /// Returns why the command ends, if this input ends it.
    pub(super) fn end(&self) -> Option<Failure> {
        match self {
            FrontendInput::End | FrontendInput::HangUp => Some(Failure::silent(ExitStatus::Interrupted)),
            FrontendInput::Broken(phrase) => Some(Failure::disk(phrase.clone())),
            FrontendInput::Failed(failure) => Some(failure.clone()),
            _ => None,
        }
    }
}

/// The member's folder, and how this command uses it.
#[derive(Clone)]
struct MemberFolder {
    setup: Setup,
    data_dir: PathBuf,
    name: Name,
    folder: String,
    frontend: FrontendInfo,
    /// Shown to a relay that does not know the member yet.
    invitation: Option<Vec<u8>>,
}

impl MemberFolder {
    fn dir(&self) -> PathBuf {
        member_dir(&self.data_dir, &self.folder)
    }
}

/// One running client.
pub(super) struct ClientHost {
    core: HostCore,
    net: Net<HostInput>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
    first_request: u64,
    /// Input that arrived before the frontend was ready.
    early: TurnOutput,
}

/// Output of one turn.
#[derive(Debug, Default)]
pub(super) struct TurnOutput {
    /// Events to show, in order.
    pub(super) events: Vec<Event>,
    /// Input from other threads.
    pub(super) inputs: Vec<FrontendInput>,
}

impl ClientHost {
    /// Opens a member's client, with its folder on disk or through the process that has it. If the
    /// command shows letters, those not yet shown arrive as events before new ones.
    ///
    /// # Errors
    /// The member's folder cannot be used, the process that has it does not answer, or a signal
    /// ends this process.
    pub(super) fn open(setup: &Setup, name: Name, kind: FrontendKind) -> Result<ClientHost, Failure> {
        let data_dir = setup.data_dir()?;
        let folder = name.folder();
        let requests = random_number() >> 2;
        let invitation = setup.invitation()?;
        let frontend = FrontendInfo { kind, requests };
        let member_folder =
            MemberFolder { setup: setup.clone(), data_dir, name, folder, frontend, invitation };
        let net = new_net()?;
        let core =
            HostCore::new(HostRole::Connecting { again: Tick::ZERO }, Some(member_folder), net.loop_handle());
        let mut host = ClientHost::with_core(core, net, requests);
        let end = host.now().tick + CONNECTED_WITHIN;
        let mut early = TurnOutput::default();
        while !host.core.is_connected() {
            let mut output = TurnOutput::default();
            let now = host.turn(Some(end), &mut output);
            if let Some(failure) = output.inputs.iter().find_map(FrontendInput::end) {
                return Err(failure);
            }
            early.events.append(&mut output.events);
            early.inputs.append(&mut output.inputs);
            if now.tick >= end && !host.core.is_connected() {
                return Err(host.core.busy.take().expect("only a busy folder keeps it waiting").into());
            }
        }
        host.early = early;
        Ok(host)
    }

    /// Opens a client that keeps nothing: a new key, and all state in memory only.
    ///
    /// # Errors
    /// The network loop cannot be started.
    pub(super) fn open_ephemeral(name: Option<Name>, carriers: Carriers) -> Result<ClientHost, Failure> {
        ClientHost::open_in_memory(name, net::seed(), carriers)
    }

    /// Opens a client that keeps nothing, with a key from the caller.
    ///
    /// # Errors
    /// The network loop cannot be started.
    pub(super) fn open_in_memory(
        name: Option<Name>,
        private_key: [u8; 32],
        carriers: Carriers,
    ) -> Result<ClientHost, Failure> {
        let net = new_net()?;
        let primary = PrimaryHost::ephemeral(name, private_key, carriers, &net.loop_handle())?;
        let core = HostCore::new(HostRole::Primary(Box::new(primary)), None, net.loop_handle());
        Ok(ClientHost::with_core(core, net, random_number() >> 2))
    }

    fn with_core(core: HostCore, net: Net<HostInput>, first_request: u64) -> ClientHost {
        // The first turn is immediate: it takes a role.
        let deadline = (!core.is_connected()).then_some(Tick::ZERO);
        ClientHost {
            core,
            net,
            out: Outputs::default(),
            deadline,
            first_request,
            early: TurnOutput::default(),
        }
    }

    /// Returns the first request number of this command. It is random, so that the ranges of two
    /// commands do not meet.
    pub(super) const fn first_request(&self) -> u64 {
        self.first_request
    }

    /// Whether this process has the member's folder. It then receives the events about letters of
    /// earlier runs.
    pub(super) const fn has_folder(&self) -> bool {
        matches!(self.core.role, HostRole::Primary(_))
    }

    /// Records that a letter was shown; `read` if its sender may learn of it.
    pub(super) fn mark_shown(&mut self, letter: &Incoming, read: bool) {
        let command = self.core.unread.mark_shown(letter, read);
        self.command(command);
    }

    /// With `hold`, leaves letters on disk from here on. Without it, delivers those and all later
    /// ones.
    pub(super) fn set_paused(&mut self, hold: bool) {
        self.core.set_paused(hold);
    }

    /// Returns a handle for other threads.
    pub(super) fn loop_handle(&self) -> LoopHandle<HostInput> {
        self.net.loop_handle()
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Now {
        self.net.now()
    }

    /// Returns the carrier to a relay, once the client has chosen one; `None` in a secondary
    /// process.
    pub(super) fn selected_carrier(&self, relay: &HostPort) -> Option<Carrier> {
        match &self.core.role {
            HostRole::Primary(primary) => primary.client.selected_path(relay).map(Way::carrier),
            _ => None,
        }
    }

    /// Watches the address book: each edit arrives as [`FrontendInput::Book`] while the
    /// watcher is kept. If watching fails, reports it and leaves the book as it was read.
    pub(super) fn watch(&self, setup: &Setup, location: Location) -> Option<Watcher> {
        let loop_handle = self.loop_handle();
        let watched = watch(location, move |read| {
            loop_handle.command(HostInput::Frontend(FrontendInput::Book(Box::new(read))));
        });
        watched.map_err(|phrase| say(&setup.strings, &phrase)).ok().map(|(watcher, _)| watcher)
    }

    /// Queues a command for the client's next turn.
    pub(super) fn command(&mut self, command: Command) {
        self.core.commands.push_back(command);
    }

    /// Waits until something happens, or until `until`, then runs one turn. Its output replaces the
    /// contents of `news`.
    pub(super) fn turn(&mut self, until: Option<Tick>, output: &mut TurnOutput) -> Now {
        *output = std::mem::take(&mut self.early);
        let core = &mut self.core;
        let rests = core.commands.is_empty() && !core.unread.is_catching_up() && output.is_empty();
        let wanted = [self.deadline, until].into_iter().flatten().min();
        let now = self.net.wait(if rests { wanted } else { Some(Tick::ZERO) });
        self.deadline = turn(core, now, &mut self.net, &mut self.out);
        core.log_turn(&self.out);
        let loop_handle = self.net.loop_handle();
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, record) => {
                if let HostRole::Primary(primary) = &core.role {
                    primary.persist(&loop_handle, ticket, record);
                }
            }
            Effect::Show(event) => core.show(event, &mut output.events),
            _ => {}
        });
        core.catch_up(&mut output.events);
        if let HostRole::Primary(primary) = &mut core.role {
            primary.end_turn();
        }
        output.inputs.append(&mut core.inputs);
        now
    }

    /// Closes every session cleanly and commits pending records. Waits up to [`LEAVE_WITHIN`] for
    /// the last frames to arrive.
    pub(super) fn leave(mut self) {
        let mut output = TurnOutput::default();
        let end = self.now().tick + LEAVE_WITHIN;
        // `news` is not read: the next run, or the process that takes over, reports returned texts.
        self.command(Command::HoldRefusals);
        if self.core.send_bye() {
            let waits = |core: &HostCore| !core.bye && matches!(core.role, HostRole::Secondary(_));
            while waits(&self.core) && self.turn(Some(end), &mut output).tick < end {}
        }
        if !matches!(self.core.role, HostRole::Primary(_)) {
            return;
        }
        while !self.core.is_flushed() && self.turn(Some(end), &mut output).tick < end {}
        self.command(Command::Leave);
        while !output.events.contains(&Event::Left) {
            self.turn(None, &mut output);
        }
        if let HostRole::Primary(primary) = self.core.role {
            primary.finish();
        }
    }
}

impl TurnOutput {
    /// Removes and returns the next input for the frontend. Later ones stay, whatever becomes of
    /// it.
    pub(super) fn next_input(&mut self) -> Option<FrontendInput> {
        (!self.inputs.is_empty()).then(|| self.inputs.remove(0))
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.inputs.is_empty()
    }
}

/// Notifies every process on this machine that owns a member's folder that the pins have changed.
pub(super) fn tell_pins_changed(data_dir: &Path) {
    for dir in member_dirs(data_dir) {
        tell_holder(&dir, &IpcRequest::Pins);
    }
}

/// Notifies the process that owns this member's folder, if any, that part of its history was
/// erased.
pub(super) fn tell_forgotten(data_dir: &Path, folder: &str) {
    tell_holder(&member_dir(data_dir, folder), &IpcRequest::Forgotten);
}

/// Sends a request to the process that holds a member's folder, if there is one. Its socket may
/// have been removed, so tries for [`REACHABLE_WITHIN`].
fn tell_holder(dir: &Path, request: &IpcRequest) {
    let line = encode_line(request);
    let tries = REACHABLE_WITHIN.as_millis() / TRY_AGAIN.as_millis();
    for _ in 0..tries {
        if ipc::send_once(dir, &line) || !is_held(dir) {
            return;
        }
        thread::sleep(TRY_AGAIN);
    }
}

fn new_net() -> Result<Net<HostInput>, Failure> {
    Ok(Net::new(NetConfig {
        on_signal: Some(|signal| {
            let input = if signal == Signal::HangUp { FrontendInput::HangUp } else { FrontendInput::End };
            Some(HostInput::Frontend(input))
        }),
        on_network_change: Some(|| HostInput::Command(Command::NetworkChanged)),
        ..NetConfig::client()
    })?)
}

/// Returns a random number.
fn random_number() -> u64 {
    Rng::from_seed(net::seed()).next_u64()
}
