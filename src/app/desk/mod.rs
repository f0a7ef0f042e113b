//! One running client with its frontend, in this process or through another one of the same member.
//!
//! The first process of a member (primary) owns its folder and sessions. The others (secondary)
//! work through it with the same commands and events, and one takes over when it ends. The frontend
//! does not notice the difference.
//!
//! Files: `tray` (role of this process), `owner` and `callers` (primary), `asked` (secondary),
//! `speech` (protocol between them), `unshown` (letters on their way to the frontend).

mod asked;
mod callers;
mod owner;
mod speech;
mod tray;
mod unshown;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::{Carrier, Effect, HostPort, Name, Now, Outputs, Path as Way, Phrase, Rng, Tick, turn};
use crate::client::{Carriers, Command, Event, Incoming, Record};
use crate::contacts::{Book, Location, Watcher, watch};
use crate::net::{self, Inlet, Net, NetConfig, local};
use crate::store::{member_dir, member_dirs};
use crate::ui::Typed;
use crate::ui::terminal::{Output, Written};

use self::owner::Owner;
pub(super) use self::speech::Part;
use self::speech::{Call, Face, line};
use self::tray::{Seat, Tray};
use super::{Failure, Setup, Status, say};

/// Grace period for acks of the last frames (such as STORED) before the session closes. 500 ms: a
/// retransmission on most paths, and short enough for a user who waits for the prompt.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);
/// Time within which the primary must answer; a slower one is stopped or stuck. 10 s: longer than
/// opening a large folder takes.
const SEATED_WITHIN: Duration = Duration::from_secs(10);

/// Input that other threads put into the inlet of a desk.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the client.
    Command(Command),
    /// For the frontend.
    Ask(Ask),
    /// From the secondary process on this connection.
    Caller(u64, local::Heard),
    /// From the primary process, on this connection.
    Owner(u64, local::Heard),
}

/// Input for the frontend from other threads.
#[derive(Debug)]
pub(super) enum Ask {
    /// From the keyboard, or standard input.
    Typed(Typed),
    /// The address book was edited.
    Book(Box<Result<Book, Phrase>>),
    /// A signal asks the process to end.
    End,
    /// The store reports a problem that the user should know of.
    Trouble(Phrase),
    /// The disk failed: nothing more can be stored.
    Broken(Phrase),
    /// The member's folder has become unusable, or unusable by this version.
    Failed(Phrase),
    /// Output was printed, or its reader has gone, or printing failed.
    Printed(Output, Result<Written, Phrase>),
}

impl Ask {
    /// Returns why the command ends, if this input ends it.
    pub(super) fn end(&self) -> Option<Failure> {
        match self {
            Ask::End => Some(Failure::silent(Status::Interrupted)),
            Ask::Broken(phrase) => Some(Failure { status: Status::Disk, phrase: Some(phrase.clone()) }),
            Ask::Failed(phrase) => Some(phrase.clone().into()),
            _ => None,
        }
    }
}

/// The member's folder, and how this command uses it.
#[derive(Clone)]
struct Home {
    setup: Setup,
    data_dir: PathBuf,
    name: Name,
    folder: String,
    face: Face,
    /// Shown to a relay that does not know the member yet.
    invitation: Option<Vec<u8>>,
}

impl Home {
    fn dir(&self) -> PathBuf {
        member_dir(&self.data_dir, &self.folder)
    }
}

/// One running client.
pub(super) struct Desk {
    tray: Tray,
    net: Net<Mail>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
    first_request: u64,
    /// Input that arrived before the frontend was ready.
    early: News,
}

/// Output of one turn.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Events to show, in order.
    pub(super) events: Vec<Event>,
    /// Input from other threads.
    pub(super) asks: Vec<Ask>,
}

impl Desk {
    /// Opens a member's client, with its folder on disk or through the process that has it. If the
    /// command shows letters, those not yet shown arrive as events before new ones.
    ///
    /// # Errors
    /// The member's folder cannot be used, the process that has it does not answer, or a signal
    /// ends this process.
    pub(super) fn open(setup: &Setup, name: Name, part: Part) -> Result<Desk, Failure> {
        let data_dir = setup.data_dir()?;
        let folder = name.folder();
        let requests = random_number() >> 2;
        let invitation = setup.invitation()?;
        let face = Face { part, requests };
        let home = Home { setup: setup.clone(), data_dir, name, folder, face, invitation };
        let net = new_net()?;
        let tray = Tray::new(Seat::Waiting { again: Tick::ZERO }, Some(home), net.inlet());
        let mut desk = Desk::join(tray, net, requests);
        let end = desk.now().tick + SEATED_WITHIN;
        let mut early = News::default();
        while !desk.tray.is_seated() {
            let mut news = News::default();
            let now = desk.turn(Some(end), &mut news);
            if let Some(failure) = news.asks.iter().find_map(Ask::end) {
                return Err(failure);
            }
            early.events.append(&mut news.events);
            early.asks.append(&mut news.asks);
            if now.tick >= end && !desk.tray.is_seated() {
                return Err(desk.tray.busy.take().expect("only a busy folder keeps it waiting").into());
            }
        }
        desk.early = early;
        Ok(desk)
    }

    /// Opens a client that keeps nothing: a new key, and all state in memory only.
    ///
    /// # Errors
    /// The network loop cannot be started.
    pub(super) fn open_ephemeral(name: Option<Name>, carriers: Carriers) -> Result<Desk, Failure> {
        Desk::open_in_memory(name, net::seed(), carriers)
    }

    /// Opens a client that keeps nothing, with a key from the caller.
    ///
    /// # Errors
    /// The network loop cannot be started.
    pub(super) fn open_in_memory(
        name: Option<Name>,
        private_key: [u8; 32],
        carriers: Carriers,
    ) -> Result<Desk, Failure> {
        let net = new_net()?;
        let owner = Owner::ephemeral(name, private_key, carriers, &net.inlet())?;
        let tray = Tray::new(Seat::Owner(Box::new(owner)), None, net.inlet());
        Ok(Desk::join(tray, net, random_number() >> 2))
    }

    fn join(tray: Tray, net: Net<Mail>, first_request: u64) -> Desk {
        // The first turn is immediate: it takes a role.
        let deadline = (!tray.is_seated()).then_some(Tick::ZERO);
        Desk { tray, net, out: Outputs::default(), deadline, first_request, early: News::default() }
    }

    /// Returns the first request number of this command. It is random, so that the ranges of two
    /// commands do not meet.
    pub(super) const fn first_request(&self) -> u64 {
        self.first_request
    }

    /// Records that a letter was shown; `read` if its sender may learn of it.
    pub(super) fn shown(&mut self, letter: &Incoming, read: bool) {
        let command = self.tray.unshown.shown(letter, read);
        self.command(command);
    }

    /// With `hold`, leaves letters on disk from here on. Without it, delivers those and all later
    /// ones.
    pub(super) fn hold_letters(&mut self, hold: bool) {
        self.tray.hold_letters(hold);
    }

    /// Returns a handle for other threads.
    pub(super) fn inlet(&self) -> Inlet<Mail> {
        self.net.inlet()
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Now {
        self.net.now()
    }

    /// Returns the carrier to a relay, once the client has chosen one; `None` in a secondary
    /// process.
    pub(super) fn settled_on(&self, relay: &HostPort) -> Option<Carrier> {
        match &self.tray.seat {
            Seat::Owner(owner) => owner.client.settled_path(relay).map(Way::carrier),
            _ => None,
        }
    }

    /// Watches the address book: each edit arrives as [`Ask::Book`] while the watcher is kept. If
    /// watching fails, reports it and leaves the book as it was read.
    pub(super) fn watch(&self, setup: &Setup, location: Location) -> Option<Watcher> {
        let inlet = self.inlet();
        let watched = watch(location, move |read| {
            inlet.command(Mail::Ask(Ask::Book(Box::new(read))));
        });
        watched.map_err(|phrase| say(&setup.strings, &phrase)).ok().map(|(watcher, _)| watcher)
    }

    /// Queues a command for the client's next turn.
    pub(super) fn command(&mut self, command: Command) {
        self.tray.commands.push_back(command);
    }

    /// Waits until something happens, or until `until`, then runs one turn. Its output replaces the
    /// contents of `news`.
    pub(super) fn turn(&mut self, until: Option<Tick>, news: &mut News) -> Now {
        *news = std::mem::take(&mut self.early);
        let tray = &mut self.tray;
        let rests = tray.commands.is_empty() && !tray.unshown.is_catching_up() && news.is_empty();
        let wanted = [self.deadline, until].into_iter().flatten().min();
        let now = self.net.wait(if rests { wanted } else { Some(Tick::ZERO) });
        self.deadline = turn(tray, now, &mut self.net, &mut self.out);
        let inlet = self.net.inlet();
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, record) => {
                if let Seat::Owner(owner) = &tray.seat {
                    owner.persist(&inlet, ticket, record);
                }
            }
            Effect::Show(event) => tray.show(event, &mut news.events),
            _ => {}
        });
        tray.catch_up(&mut news.events);
        if let Seat::Owner(owner) = &mut tray.seat {
            owner.end_turn();
        }
        news.asks.append(&mut tray.asks);
        now
    }

    /// Closes every session cleanly and commits pending records. Waits up to [`LEAVE_WITHIN`] for
    /// the last frames to arrive.
    pub(super) fn leave(mut self) {
        let mut news = News::default();
        let end = self.now().tick + LEAVE_WITHIN;
        // `news` is not read: the next run, or the process that takes over, reports returned texts.
        self.command(Command::HoldRefusals);
        if self.tray.say_bye() {
            let waits = |tray: &Tray| !tray.bye && matches!(tray.seat, Seat::Caller(_));
            while waits(&self.tray) && self.turn(Some(end), &mut news).tick < end {}
        }
        if !matches!(self.tray.seat, Seat::Owner(_)) {
            return;
        }
        while !self.tray.is_settled() && self.turn(Some(end), &mut news).tick < end {}
        self.command(Command::Leave);
        while !news.events.contains(&Event::Left) {
            self.turn(None, &mut news);
        }
        if let Seat::Owner(owner) = self.tray.seat {
            owner.finish();
        }
    }
}

impl News {
    /// Removes and returns the next input for the frontend. Later ones stay, whatever becomes of
    /// it.
    pub(super) fn next_ask(&mut self) -> Option<Ask> {
        (!self.asks.is_empty()).then(|| self.asks.remove(0))
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.asks.is_empty()
    }
}

/// Notifies every process on this machine that owns a member's folder that the pins have changed.
pub(super) fn tell_pins_changed(data_dir: &Path) {
    for dir in member_dirs(data_dir) {
        local::tell(&dir, &line(&Call::Pins));
    }
}

/// Notifies the process that owns this member's folder, if any, that part of its history was
/// erased.
pub(super) fn tell_forgotten(data_dir: &Path, folder: &str) {
    local::tell(&member_dir(data_dir, folder), &line(&Call::Forgotten));
}

fn new_net() -> Result<Net<Mail>, Failure> {
    Ok(Net::new(NetConfig {
        on_signal: Some(|_| Mail::Ask(Ask::End)),
        on_network_change: Some(|| Mail::Command(Command::NetworkChanged)),
        ..NetConfig::client()
    })?)
}

/// Returns a random number.
fn random_number() -> u64 {
    Rng::from_seed(net::seed()).next_u64()
}
