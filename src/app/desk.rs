//! One running client: its core, its outside and its store, with whatever a face asks of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{
    Carrier, Core, Effect, HostPort, Input, Name, Now, OutboxId, Outputs, Path, Phrase, Rng, Tick, Ticket,
    turn,
};
use crate::client::{Carriers, Client, Command, Config, Event, Incoming, Record};
use crate::contacts::{Book, Location, Watcher, watch};
use crate::net::{self, Inlet, Net, NetConfig};
use crate::store::{Archive, Done, Ephemeral, MemberStore, Worker};
use crate::ui::Typed;

use super::{Failure, Setup, Status, say};

/// What was said last, such as that a letter is stored, has so long to be acknowledged before the session ends.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// Letters that wait to be shown are read from disk so many at a time.
const UNSHOWN_PAGE: usize = 256;

/// What other threads put into a desk's inlet.
#[derive(Debug)]
pub(super) enum Mail {
    /// For the client.
    Command(Command),
    /// For the face.
    Ask(Ask),
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
}

impl Ask {
    /// Why the command ends, if it is told to.
    pub(super) fn end(&self) -> Option<Failure> {
        match self {
            Ask::End => Some(Failure::silent(Status::Interrupted)),
            Ask::Broken(phrase) => Some(Failure { status: Status::Disk, phrase: Some(phrase.clone()) }),
            _ => None,
        }
    }
}

/// A client's core with a tray beside it for what is not the core's business.
struct Tray {
    client: Client,
    commands: VecDeque<Command>,
    asks: Vec<Ask>,
}

impl Core for Tray {
    type Command = Mail;
    type Record = Record;
    type Event = Event;

    fn handle_time(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        self.client.handle_time(now, out);
        while let Some(command) = self.commands.pop_front() {
            self.client.handle(now, Input::Command(command), out);
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_, Mail>, out: &mut Outputs<Record, Event>) {
        let passed = match input {
            Input::Command(Mail::Command(command)) => Input::Command(command),
            Input::Command(Mail::Ask(ask)) => return self.asks.push(ask),
            Input::Packet { path, bytes } => Input::Packet { path, bytes },
            Input::Text { path, bytes } => Input::Text { path, bytes },
            Input::TextEnded(path) => Input::TextEnded(path),
            Input::PathOpened { path, remote } => Input::PathOpened { path, remote },
            Input::PathClosed(path, why) => Input::PathClosed(path, why),
            Input::SendRefused(path, why) => Input::SendRefused(path, why),
            Input::Unsent(path, bytes) => Input::Unsent(path, bytes),
            Input::Committed(ticket) => Input::Committed(ticket),
            Input::NotCommitted(ticket) => Input::NotCommitted(ticket),
            Input::Rows(ticket, rows) => Input::Rows(ticket, rows),
            Input::Resolved(host, addrs) => Input::Resolved(host, addrs),
        };
        self.client.handle(now, passed, out);
    }

    fn flush(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        self.client.flush(now, out);
    }

    fn next_deadline(&self) -> Option<Tick> {
        self.client.next_deadline()
    }
}

/// One running client.
pub(super) struct Desk {
    tray: Tray,
    net: Net<Mail>,
    worker: Worker<Record>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
    refused: Vec<Ticket>,
    /// The member's letters, and the last of them that was looked at for [`Desk::next_unshown`].
    archive: Option<Archive>,
    unshown_behind: u64,
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
    /// The client of a member, with its folder on disk.
    ///
    /// # Errors
    /// The member's folder cannot be used, or is in use by another process.
    pub(super) fn open(setup: &Setup, name: Name) -> Result<Desk, Failure> {
        let (data_dir, folder) = (setup.data_dir()?, name.folder());
        let (store, state) = MemberStore::open(&data_dir, &name, &folder, net::seed)?;
        let archive = Archive::open(&data_dir, &folder)?;
        let net = new_net()?;
        let worker = spawn(store, net.inlet())?;
        let config = Config {
            name: Some(name),
            private_key: state.private_key,
            outbox: state.outbox,
            carriers: setup.carriers,
            counter_reserved: state.counter_reserved,
            kept: Some(state.kept),
            seed: net::seed(),
        };
        Ok(Desk { archive, ..Desk::join(config, net, worker) })
    }

    /// A client that keeps nothing: a new key, and whatever it writes down is forgotten with it.
    ///
    /// # Errors
    /// The network loop cannot be started.
    pub(super) fn open_ephemeral(name: Option<Name>, carriers: Carriers) -> Result<Desk, Failure> {
        let net = new_net()?;
        let worker = spawn(Ephemeral, net.inlet())?;
        let (private_key, outbox, seed) = (net::seed(), OutboxId(random_number()), net::seed());
        let (counter_reserved, kept) = (0, None);
        let config = Config { name, private_key, outbox, carriers, counter_reserved, kept, seed };
        Ok(Desk::join(config, net, worker))
    }

    fn join(config: Config, net: Net<Mail>, worker: Worker<Record>) -> Desk {
        let client = Client::new(config);
        let tray = Tray { client, commands: VecDeque::new(), asks: Vec::new() };
        let (out, refused) = (Outputs::default(), Vec::new());
        Desk { tray, net, worker, out, deadline: None, refused, archive: None, unshown_behind: 0 }
    }

    /// Letters of earlier runs that nobody was shown, oldest first, some at a time; empty when those are all. To be
    /// asked for before any relay is spoken to, or what comes meanwhile would come twice.
    ///
    /// # Errors
    /// The letters cannot be read.
    pub(super) fn next_unshown(&mut self) -> Result<Vec<Incoming>, Phrase> {
        let Some(archive) = &self.archive else { return Ok(Vec::new()) };
        let page = archive.unshown(self.unshown_behind, UNSHOWN_PAGE)?;
        self.unshown_behind = page.last().map_or(self.unshown_behind, |last| last.place);
        Ok(page.into_iter().map(|unshown| unshown.letter).collect())
    }

    /// A letter was shown; `read` if its sender may know.
    pub(super) fn shown(&mut self, letter: &Incoming, read: bool) {
        let (relay, from, id) = (letter.relay.clone(), letter.from.clone(), letter.id);
        self.command(Command::Shown { relay, from, id, read });
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
        self.tray.client.settled_path(relay).map(Path::carrier)
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
        news.events.clear();
        news.asks.clear();
        let wanted = [self.deadline, until].into_iter().flatten().min();
        let now = match self.tray.commands.is_empty() {
            true => self.net.wait(wanted),
            false => self.net.wait(Some(Tick::ZERO)),
        };
        self.deadline = turn(&mut self.tray, now, &mut self.net, &mut self.out);
        let (worker, refused) = (&self.worker, &mut self.refused);
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, record) => {
                refused.extend(worker.persist(ticket, record).err().map(|_| ticket))
            }
            Effect::Show(event) => news.events.push(event),
            _ => {}
        });
        self.refused.drain(..).for_each(|ticket| self.net.inlet().not_committed(ticket));
        std::mem::swap(&mut news.asks, &mut self.tray.asks);
        now
    }

    /// Ends every session in good order, and commits what is to be kept. What was said last is given a moment to arrive.
    pub(super) fn leave(mut self) {
        let (mut news, end) = (News::default(), self.now().tick + LEAVE_WITHIN);
        while !self.tray.client.is_settled() && self.turn(Some(end), &mut news).tick < end {}
        self.command(Command::Leave);
        while !news.events.contains(&Event::Left) {
            self.turn(None, &mut news);
        }
        // The writer leaves last, and folds its log into the database.
        drop(self.archive);
        self.worker.finish();
    }
}

fn new_net() -> Result<Net<Mail>, Failure> {
    Ok(Net::new(NetConfig { on_signal: Some(|_| Mail::Ask(Ask::End)), ..NetConfig::client() })?)
}

fn spawn(backend: impl crate::store::Backend<Record>, inlet: Inlet<Mail>) -> Result<Worker<Record>, Failure> {
    Ok(Worker::spawn(backend, move |done| match done {
        Done::Committed(ticket) => inlet.committed(ticket),
        Done::Failed(ticket) => inlet.not_committed(ticket),
        Done::Rows(ticket, rows) => inlet.rows(ticket, rows),
        Done::Trouble(phrase) => {
            inlet.command(Mail::Ask(Ask::Trouble(phrase)));
        }
        Done::Broken(phrase) => {
            inlet.command(Mail::Ask(Ask::Broken(phrase)));
        }
    })?)
}

/// A number that nobody has used.
fn random_number() -> u64 {
    Rng::from_seed(net::seed()).next_u64()
}

/// Where the requests of one run begin: far from those of every other.
pub(super) fn first_request() -> u64 {
    random_number() >> 2
}
