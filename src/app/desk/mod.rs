//! One running client, with whatever a face asks of it: its own, or another process's of the same member.
//!
//! The first process of a member owns its folder and its sessions; the others work through it, with the same commands
//! and events, and take over when it ends (`tray`). Which of the two a desk is makes no difference to its face.
//!
//! Files: `tray` (how this process takes part), `owner` and `callers` (with the folder), `asked` (without it), `speech`
//! (what they say to each other), `unshown` (letters on their way to the face).

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

/// What was said last, such as that a letter is stored, has so long to be acknowledged before the session ends.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);
/// An owner that does not answer within this time is stopped, or stuck: longer than it takes to open a large folder.
const SEATED_WITHIN: Duration = Duration::from_secs(10);

/// What other threads put into a desk's inlet.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the client.
    Command(Command),
    /// For the face.
    Ask(Ask),
    /// From the process that works through this one on this line.
    Caller(u64, local::Heard),
    /// From the process that this one works through, on this line.
    Owner(u64, local::Heard),
}

/// What a face is asked by other threads.
#[derive(Debug)]
pub(super) enum Ask {
    /// From the keyboard, or standard input.
    Typed(Typed),
    /// The address book was edited.
    Book(Box<Result<Book, Phrase>>),
    /// The process is told to end.
    End,
    /// The store has trouble that people should know of.
    Trouble(Phrase),
    /// The disk failed: nothing more can be kept.
    Broken(Phrase),
    /// The member's folder cannot be used any more, or not by this version.
    Failed(Phrase),
    /// Words were printed there, or nobody reads any more, or they could not be.
    Printed(Output, Result<Written, Phrase>),
}

impl Ask {
    /// Why the command ends, if it is told to.
    pub(super) fn end(&self) -> Option<Failure> {
        match self {
            Ask::End => Some(Failure::silent(Status::Interrupted)),
            Ask::Broken(phrase) => Some(Failure { status: Status::Disk, phrase: Some(phrase.clone()) }),
            Ask::Failed(phrase) => Some(phrase.clone().into()),
            _ => None,
        }
    }
}

/// Where a member's letters are, and what this command does with them.
#[derive(Clone)]
struct Home {
    setup: Setup,
    data_dir: PathBuf,
    name: Name,
    folder: String,
    face: Face,
    /// What a relay is shown where it does not know the member yet.
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
    /// What came before the face was there.
    early: News,
}

/// What one turn brought.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What the client shows, in order.
    pub(super) events: Vec<Event>,
    /// What came from other threads.
    pub(super) asks: Vec<Ask>,
}

impl Desk {
    /// The client of a member, with its folder on disk, or through the process that has it. Letters that nobody was
    /// shown come as events, before those that come now, to a command that shows letters.
    ///
    /// # Errors
    /// The member's folder cannot be used, or the process that has it does not answer; or the process is told to end.
    pub(super) fn open(setup: &Setup, name: Name, part: Part) -> Result<Desk, Failure> {
        let (data_dir, folder, requests) = (setup.data_dir()?, name.folder(), random_number() >> 2);
        let (invitation, face) = (setup.invitation()?, Face { part, requests });
        let home = Home { setup: setup.clone(), data_dir, name, folder, face, invitation };
        let net = new_net()?;
        let tray = Tray::new(Seat::Waiting { again: Tick::ZERO }, Some(home), net.inlet());
        let mut desk = Desk::join(tray, net, requests);
        let (end, mut early) = (desk.now().tick + SEATED_WITHIN, News::default());
        while !desk.tray.is_seated() {
            let mut news = News::default();
            let now = desk.turn(Some(end), &mut news);
            if let Some(failure) = news.asks.iter().find_map(Ask::end) {
                return Err(failure);
            }
            early.events.append(&mut news.events);
            early.asks.append(&mut news.asks);
            if now.tick >= end && !desk.tray.is_seated() {
                return Err(desk.tray.busy.take().expect("only another process keeps it waiting").into());
            }
        }
        desk.early = early;
        Ok(desk)
    }

    /// A client that keeps nothing: a new key, and whatever it writes down is forgotten with it.
    ///
    /// # Errors
    /// The network loop cannot be started.
    pub(super) fn open_ephemeral(name: Option<Name>, carriers: Carriers) -> Result<Desk, Failure> {
        Desk::open_in_memory(name, net::seed(), carriers)
    }

    /// The same with a key that the caller keeps.
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
        // The first turn is at once: a seat is to be found.
        let deadline = (!tray.is_seated()).then_some(Tick::ZERO);
        Desk { tray, net, out: Outputs::default(), deadline, first_request, early: News::default() }
    }

    /// Where the requests of this command begin: far from those of every other.
    pub(super) const fn first_request(&self) -> u64 {
        self.first_request
    }

    /// A letter was shown; `read` if its sender may know.
    pub(super) fn shown(&mut self, letter: &Incoming, read: bool) {
        let command = self.tray.unshown.shown(letter, read);
        self.command(command);
    }

    /// From now on letters wait on disk; or, those that do come, and what comes from now on.
    pub(super) fn hold_letters(&mut self, hold: bool) {
        self.tray.hold_letters(hold);
    }

    /// A handle for other threads.
    pub(super) fn inlet(&self) -> Inlet<Mail> {
        self.net.inlet()
    }

    /// The time.
    pub(super) fn now(&self) -> Now {
        self.net.now()
    }

    /// What the client speaks to a relay on, once it has made its choice.
    pub(super) fn settled_on(&self, relay: &HostPort) -> Option<Carrier> {
        match &self.tray.seat {
            Seat::Owner(owner) => owner.client.settled_path(relay).map(Way::carrier),
            _ => None,
        }
    }

    /// Follows the address book: each edit comes as [`Ask::Book`] for as long as the watcher is kept. Where it cannot be
    /// watched, that is said, and the book stays as it was read.
    pub(super) fn watch(&self, setup: &Setup, location: Location) -> Option<Watcher> {
        let inlet = self.inlet();
        let watched = watch(location, move |read| {
            inlet.command(Mail::Ask(Ask::Book(Box::new(read))));
        });
        watched.map_err(|phrase| say(&setup.strings, &phrase)).ok().map(|(watcher, _)| watcher)
    }

    /// Gives a command to the client; it is carried out in the next turn.
    pub(super) fn command(&mut self, command: Command) {
        self.tray.commands.push_back(command);
    }

    /// Waits until something happens, or until `until`, then takes one turn. What it brought replaces what was in `news`.
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

    /// Ends every session in good order, and commits what is to be kept. What was said last is given a moment to arrive.
    pub(super) fn leave(mut self) {
        let (mut news, end) = (News::default(), self.now().tick + LEAVE_WITHIN);
        // `news` is not read: the next run, or the process that takes over, says what comes back.
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
    /// The next question; those behind it stay, whatever becomes of this one.
    pub(super) fn next_ask(&mut self) -> Option<Ask> {
        (!self.asks.is_empty()).then(|| self.asks.remove(0))
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.asks.is_empty()
    }
}

/// Tells every process of this machine that has a member's folder that the pins have changed.
pub(super) fn tell_pins_changed(data_dir: &Path) {
    for dir in member_dirs(data_dir) {
        local::tell(&dir, &line(&Call::Pins));
    }
}

/// Tells the process that has this member's folder, if one does, that something of its history was
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

/// A number that nobody has used.
fn random_number() -> u64 {
    Rng::from_seed(net::seed()).next_u64()
}
