//! Test harness for one relay core: virtual time, hand-made inputs, inspectable effects.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path as FolderPath;
use std::time::Duration;

use queqiao::base::{
    ConnId, Effect, Inbox, Input, Now, Outputs, Path, PublicKey, Query, Tick, Ticket, Wall, Why, turn,
};
use queqiao::relay::{Config, Event, GuestRules, Limits, Mail, Record, Relay};
use queqiao::session::Identity;
use queqiao::store::{Backend, RelayState, RelayStore};
use queqiao::wire::packet::{PacketType, RESET_LEN};

use super::hand::private;

/// An input for a later turn. Packets and texts own their bytes.
pub enum Given<C> {
    Packet(Path, Vec<u8>),
    Text(Path, Vec<u8>),
    Other(Input<'static, C>),
}

/// Lends the inputs to one turn.
pub struct Feed<C> {
    pub waiting: VecDeque<Given<C>>,
    pub lent: Vec<u8>,
}

impl<C> Inbox<C> for Feed<C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.waiting.pop_front()? {
            Given::Other(input) => input,
            Given::Text(path, bytes) => {
                self.lent = bytes;
                Input::Text { path, bytes: &mut self.lent }
            }
            Given::Packet(path, bytes) => {
                self.lent = bytes;
                Input::Packet { path, bytes: &mut self.lent }
            }
        })
    }
}

/// Start of virtual time.
pub const START: Tick = Tick::from_micros(1_000_000);
/// Wall clock at tick 0, in milliseconds since 1970.
const WALL_START: u64 = 1_800_000_000_000;

pub fn now_at(tick: Tick) -> Now {
    Now { tick, wall: Wall(WALL_START + tick.as_micros() / 1_000) }
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Returns a UDP path from an address that is not loopback.
pub fn udp(host: u8, port: u16) -> Path {
    Path::Udp(SocketAddr::from(([198, 18, 0, host], port)))
}

/// A relay and its effects.
pub struct Rig {
    pub relay: Relay,
    pub tick: Tick,
    pub sent: Vec<(Path, Vec<u8>)>,
    pub closed: Vec<ConnId>,
    pub shown: Vec<Event>,
    /// Whether records are committed in the next turn. Otherwise they wait in `asked`.
    pub commits: bool,
    pub asked: Vec<(Ticket, Record)>,
    /// Number of membership records submitted so far. Block lists are among them.
    pub changes: usize,
    /// Whether the disk is full: no record is committed, and rows can still be read.
    pub full: bool,
    /// Whether the disk refuses this record.
    pub refuses: fn(&Record) -> bool,
    /// Number of records that were not committed.
    pub refused: usize,
    loads: Vec<(Ticket, Query)>,
    store: RelayStore,
    out: Outputs<Record, Event>,
    pub deadline: Option<Tick>,
    conns: u64,
    counters: u64,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Rig {
        Rig::serving(limits, None)
    }

    /// Returns a relay that also serves guests.
    pub fn serving(limits: Limits, guests: Option<GuestRules>) -> Rig {
        let (store, state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        Rig::begin(limits, guests, store, state)
    }

    /// Returns a relay that begins with these members and this mail. The keys of the members are
    /// those of the hands 1, 2, ….
    pub fn with_mail(limits: Limits, names: &[&str], mail: Mail) -> Rig {
        let (store, mut state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        let key = |who| Identity::from_private(private(who)).public();
        state.members = names.iter().zip(1..).map(|(name, who)| (name.parse().unwrap(), key(who))).collect();
        Rig::begin(limits, None, store, RelayState { mail, ..state })
    }

    /// Returns a relay that begins with the contents of this folder, at this time.
    pub fn open(dir: &FolderPath, limits: Limits, tick: Tick) -> Rig {
        let (store, state) = RelayStore::open(dir, || [7; 32]).expect("the folder is intact");
        let mut rig = Rig { tick, ..Rig::begin(limits, None, store, state) };
        rig.take(Vec::new());
        rig
    }

    fn begin(limits: Limits, guests: Option<GuestRules>, store: RelayStore, state: RelayState) -> Rig {
        let config = Config {
            private_key: state.private_key,
            reset_id: state.reset_id,
            access_secret: [0; 32],
            members: state.members,
            roll: state.roll,
            mail: state.mail,
            guests,
            limits,
            seed: [9; 32],
        };
        Rig {
            relay: Relay::new(config),
            tick: START,
            sent: Vec::new(),
            closed: Vec::new(),
            shown: Vec::new(),
            commits: true,
            asked: Vec::new(),
            changes: 0,
            full: false,
            refuses: |_| false,
            refused: 0,
            loads: Vec::new(),
            store,
            out: Outputs::default(),
            deadline: None,
            conns: 0,
            counters: 0,
        }
    }

    pub fn key(&self) -> PublicKey {
        self.relay.public_key()
    }

    /// Runs one turn with these inputs.
    pub fn take(&mut self, waiting: Vec<Given<queqiao::relay::Command>>) {
        let mut feed = Feed { waiting: waiting.into(), lent: Vec::new() };
        self.out.clear();
        self.deadline = turn(&mut self.relay, now_at(self.tick), &mut feed, &mut self.out);
        assert!(self.deadline.is_none_or(|at| at > self.tick), "a deadline in the past: the loop would spin");
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send(path, range) => self.sent.push((path, self.out.bytes[range].to_vec())),
                Effect::Close(Path::Tcp(conn)) => self.closed.push(conn),
                Effect::Persist(ticket, record) => {
                    self.changes += usize::from(matches!(record, Record::Roll(_)));
                    self.asked.push((ticket, record));
                }
                Effect::Load(ticket, query) => self.loads.push((ticket, query)),
                Effect::Show(event) => self.shown.push(event),
                Effect::Close(Path::Udp(_) | Path::UdpAt(_)) | Effect::OpenTcp(..) | Effect::LookUp(_) => {}
            }
        }
        if self.commits && !(self.asked.is_empty() && self.loads.is_empty()) {
            let asked = std::mem::take(&mut self.asked);
            let loads = std::mem::take(&mut self.loads);
            let mut answers = Vec::new();
            for (ticket, record) in asked {
                if self.full || (self.refuses)(&record) {
                    self.refused += 1;
                    answers.push(Given::Other(Input::NotCommitted(ticket)));
                    continue;
                }
                self.store.commit(&[record], &mut Vec::new()).expect("the store takes the record");
                answers.push(Given::Other(Input::Committed(ticket)));
            }
            for (ticket, query) in loads {
                let rows = self.store.load(&query).expect("the store is intact");
                answers.push(Given::Other(Input::Rows(ticket, rows)));
            }
            self.take(answers);
        }
    }

    /// Runs one turn with one packet.
    pub fn give(&mut self, path: Path, bytes: &[u8]) {
        self.take(vec![Given::Packet(path, bytes.to_vec())]);
    }

    /// Returns a handshake counter higher than all before.
    pub fn counter(&mut self) -> u64 {
        self.counters += 1;
        self.counters
    }

    /// Returns the bytes sent on a path since the last call.
    pub fn answers(&mut self, path: Path) -> Vec<Vec<u8>> {
        let (mine, others) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == path);
        self.sent = others;
        let mine: Vec<(Path, Vec<u8>)> = mine;
        mine.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// Lets time pass with a turn at each deadline. Returns the number of turns.
    pub fn wait(&mut self, span: Duration) -> usize {
        let end = self.tick + span;
        let mut turns = 0;
        while let Some(at) = self.deadline.filter(|at| *at <= end) {
            self.tick = at;
            self.take(Vec::new());
            turns += 1;
        }
        self.tick = end;
        turns
    }

    /// Opens a TCP connection from this address.
    pub fn connect(&mut self, remote: SocketAddr) -> Path {
        self.conns += 1;
        let path = Path::Tcp(ConnId(self.conns));
        self.take(vec![Given::Other(Input::PathOpened { path, remote })]);
        path
    }

    pub fn disconnect(&mut self, path: Path) {
        self.take(vec![Given::Other(Input::PathClosed(path, Why::Reset))]);
    }

    pub fn is_closed(&self, path: Path) -> bool {
        matches!(path, Path::Tcp(conn) if self.closed.contains(&conn))
    }

    /// Asserts that nothing was sent and no event shown.
    pub fn assert_silent(&self) {
        let to: Vec<_> = self.sent.iter().map(|(path, bytes)| (path, bytes.len())).collect();
        assert!(to.is_empty() && self.shown.is_empty(), "it sent {to:?} and showed {:?}", self.shown);
    }

    /// As [`Rig::assert_silent`], but allows stateless resets, each shorter than any data packet.
    /// Returns their number.
    pub fn assert_silent_but_for_resets(&mut self) -> usize {
        let before = self.sent.len();
        self.sent.retain(|(_, bytes)| {
            let is_reset = bytes.get(1) == Some(&(PacketType::Reset as u8)) && bytes.len() == RESET_LEN;
            !is_reset
        });
        self.assert_silent();
        before - self.sent.len()
    }

    /// As [`Rig::assert_silent`], but allows sign-ins of members.
    pub fn assert_silent_but_for_sign_ins(&mut self) {
        self.shown.retain(|event| !matches!(event, Event::SignedIn(_)));
        self.assert_silent();
    }

    /// Reports that the record of this ticket could not be committed.
    pub fn fail(&mut self, ticket: Ticket) {
        self.take(vec![Given::Other(Input::NotCommitted(ticket))]);
    }
}
