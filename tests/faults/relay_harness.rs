//! Test harness for one relay core: virtual time, hand-made inputs, inspectable effects.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path as FolderPath;
use std::time::Duration;

use queqiao::base::{
    ConnId, Effect, Input, InputSource, Now, Outputs, Path, PathError, PublicKey, Query, Tick, Ticket, Wall,
    turn,
};
use queqiao::relay::{Config, Event, GuestRules, Limits, PersistedMail, Record, Relay};
use queqiao::session::Identity;
use queqiao::store::{Backend, RelayState, RelayStore};
use queqiao::wire::packet::{PacketType, RESET_LEN};

use super::raw_client::private_key;

/// An input for a later turn. Packets and texts own their bytes.
pub enum HarnessInput<C> {
    Packet(Path, Vec<u8>),
    Text(Path, Vec<u8>),
    Other(Input<'static, C>),
}

/// Lends the inputs to one turn.
pub struct InputFeed<C> {
    pub waiting: VecDeque<HarnessInput<C>>,
    pub lent: Vec<u8>,
}

impl<C> InputSource<C> for InputFeed<C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.waiting.pop_front()? {
            HarnessInput::Other(input) => input,
            HarnessInput::Text(path, bytes) => {
                self.lent = bytes;
                Input::Text { path, bytes: &mut self.lent }
            }
            HarnessInput::Packet(path, bytes) => {
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
pub struct RelayHarness {
    pub core: Relay,
    pub tick: Tick,
    pub sent: Vec<(Path, Vec<u8>)>,
    pub closed: Vec<ConnId>,
    pub events: Vec<Event>,
    /// Whether records are committed in the next turn. Otherwise they wait in `asked`.
    pub auto_commit: bool,
    pub records: Vec<(Ticket, Record)>,
    /// Number of membership records submitted so far. Block lists are among them.
    pub membership_records: usize,
    /// Whether the disk is full: no record is committed, and rows can still be read.
    pub disk_is_full: bool,
    /// Whether the disk refuses this record.
    pub disk_refuses: fn(&Record) -> bool,
    /// Number of records that were not committed.
    pub refused: usize,
    loads: Vec<(Ticket, Query)>,
    store: RelayStore,
    out: Outputs<Record, Event>,
    pub deadline: Option<Tick>,
    conns: u64,
    counters: u64,
}

impl RelayHarness {
    pub fn new() -> RelayHarness {
        RelayHarness::with(Limits::default())
    }

    pub fn with(limits: Limits) -> RelayHarness {
        RelayHarness::with_guests(limits, None)
    }

    /// Returns a relay that also serves guests.
    pub fn with_guests(limits: Limits, guests: Option<GuestRules>) -> RelayHarness {
        let (store, state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        RelayHarness::begin(limits, guests, store, state)
    }

    /// Returns a relay that begins with these members and this mail. The keys of the members are
    /// those of the hands 1, 2, ….
    pub fn with_mail(limits: Limits, names: &[&str], mail: PersistedMail) -> RelayHarness {
        let (store, mut state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        let key = |member| Identity::from_private(private_key(member)).public();
        state.members =
            names.iter().zip(1..).map(|(name, member)| (name.parse().unwrap(), key(member))).collect();
        RelayHarness::begin(limits, None, store, RelayState { mail, ..state })
    }

    /// Returns a relay that begins with the contents of this folder, at this time.
    pub fn open(dir: &FolderPath, limits: Limits, tick: Tick) -> RelayHarness {
        let (store, state) = RelayStore::open(dir, || [7; 32]).expect("the folder is intact");
        let mut relay = RelayHarness { tick, ..RelayHarness::begin(limits, None, store, state) };
        relay.take_turn(Vec::new());
        relay
    }

    fn begin(
        limits: Limits,
        guests: Option<GuestRules>,
        store: RelayStore,
        state: RelayState,
    ) -> RelayHarness {
        let config = Config {
            private_key: state.private_key,
            reset_id: state.reset_id,
            members: state.members,
            membership: state.membership,
            mail: state.mail,
            guests,
            limits,
            seed: [9; 32],
        };
        RelayHarness {
            core: Relay::new(config),
            tick: START,
            sent: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            auto_commit: true,
            records: Vec::new(),
            membership_records: 0,
            disk_is_full: false,
            disk_refuses: |_| false,
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
        self.core.public_key()
    }

    /// Runs one turn with these inputs.
    pub fn take_turn(&mut self, waiting: Vec<HarnessInput<queqiao::relay::Command>>) {
        let mut feed = InputFeed { waiting: waiting.into(), lent: Vec::new() };
        self.out.clear();
        self.deadline = turn(&mut self.core, now_at(self.tick), &mut feed, &mut self.out);
        assert!(self.deadline.is_none_or(|at| at > self.tick), "a deadline in the past: the loop would spin");
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send(path, range) => self.sent.push((path, self.out.bytes[range].to_vec())),
                Effect::Close(Path::Tcp(conn)) => self.closed.push(conn),
                Effect::Persist(ticket, record) => {
                    self.membership_records += usize::from(matches!(record, Record::Membership(_)));
                    self.records.push((ticket, record));
                }
                Effect::Load(ticket, query) => self.loads.push((ticket, query)),
                Effect::Show(event) => self.events.push(event),
                Effect::Close(Path::Udp(_) | Path::UdpAt(_)) | Effect::OpenTcp(..) | Effect::LookUp(_) => {}
            }
        }
        if self.auto_commit && !(self.records.is_empty() && self.loads.is_empty()) {
            let records = std::mem::take(&mut self.records);
            let loads = std::mem::take(&mut self.loads);
            let mut inputs = Vec::new();
            for (ticket, record) in records {
                if self.disk_is_full || (self.disk_refuses)(&record) {
                    self.refused += 1;
                    inputs.push(HarnessInput::Other(Input::NotCommitted(ticket)));
                    continue;
                }
                self.store.commit(&[record], &mut Vec::new()).expect("the store takes the record");
                inputs.push(HarnessInput::Other(Input::Committed(ticket)));
            }
            for (ticket, query) in loads {
                let rows = self.store.load(&query).expect("the store is intact");
                inputs.push(HarnessInput::Other(Input::Rows(ticket, rows)));
            }
            self.take_turn(inputs);
        }
    }

    /// Runs one turn with one packet.
    pub fn handle_packet(&mut self, path: Path, bytes: &[u8]) {
        self.take_turn(vec![HarnessInput::Packet(path, bytes.to_vec())]);
    }

    /// Returns a handshake counter higher than all before.
    pub fn next_counter(&mut self) -> u64 {
        self.counters += 1;
        self.counters
    }

    /// Returns the bytes sent on a path since the last call.
    pub fn take_sent_on(&mut self, path: Path) -> Vec<Vec<u8>> {
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
            self.take_turn(Vec::new());
            turns += 1;
        }
        self.tick = end;
        turns
    }

    /// Opens a TCP connection from this address.
    pub fn connect(&mut self, remote: SocketAddr) -> Path {
        self.conns += 1;
        let path = Path::Tcp(ConnId(self.conns));
        self.take_turn(vec![HarnessInput::Other(Input::PathOpened { path, remote })]);
        path
    }

    pub fn disconnect(&mut self, path: Path) {
        self.take_turn(vec![HarnessInput::Other(Input::PathClosed(path, PathError::Reset))]);
    }

    pub fn is_closed(&self, path: Path) -> bool {
        matches!(path, Path::Tcp(conn) if self.closed.contains(&conn))
    }

    /// Asserts that nothing was sent and no event shown.
    pub fn assert_silent(&self) {
        let to: Vec<_> = self.sent.iter().map(|(path, bytes)| (path, bytes.len())).collect();
        assert!(to.is_empty() && self.events.is_empty(), "it sent {to:?} and showed {:?}", self.events);
    }

    /// As [`RelayHarness::assert_silent`], but allows stateless resets, each shorter than any data
    /// packet. Returns their number.
    pub fn assert_silent_but_for_resets(&mut self) -> usize {
        let before = self.sent.len();
        self.sent.retain(|(_, bytes)| {
            let is_reset = bytes.get(1) == Some(&(PacketType::Reset as u8)) && bytes.len() == RESET_LEN;
            !is_reset
        });
        self.assert_silent();
        before - self.sent.len()
    }

    /// As [`RelayHarness::assert_silent`], but allows sign-ins and registrations.
    pub fn assert_silent_but_for_sign_ins(&mut self) {
        self.events.retain(|event| !matches!(event, Event::SignedIn { .. } | Event::Registered { .. }));
        self.assert_silent();
    }

    /// Reports that the record of this ticket could not be committed.
    pub fn fail_commit(&mut self, ticket: Ticket) {
        self.take_turn(vec![HarnessInput::Other(Input::NotCommitted(ticket))]);
    }
}
