//! A relay with many idle members in memory: the real core in virtual time, without sockets or
//! disks. Each member has its own address, signs in, and then keeps its session alive.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use queqiao::base::{
    Carrier, Effect, Input, InputSource, Now, Outputs, Path, PublicKey, Rng, Tick, Wall, turn,
};
use queqiao::peer::{PacketOutcome, Peer, PeerOptions, Role};
use queqiao::relay::{self, Limits, Relay};
use queqiao::session::{Identity, InitPayload, Initiator, Lifetime, ResponseOutcome};
use queqiao::store::{Backend, RelayStore};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{StreamId, close};
use queqiao::wire::message::ToRelay;

/// One-way delay.
const DELAY: Duration = Duration::from_millis(1);
const PORT: u16 = 4_000;

type Out = Outputs<relay::Record, relay::Event>;

/// Runs a part of the relay's work, in order to measure it.
pub type Measure = fn(&mut dyn FnMut());

fn now_at(tick: Tick) -> Now {
    Now { tick, wall: Wall(1_800_000_000_000 + tick.as_micros() / 1_000) }
}

fn relay_path() -> Path {
    Path::Udp((Ipv4Addr::new(198, 18, 0, 1), 8_081).into())
}

fn address(number: usize) -> SocketAddr {
    (Ipv4Addr::from(0x0a00_0000 + number as u32), PORT).into()
}

/// Returns the number of the member with this address.
fn number_of(path: Path) -> usize {
    match path {
        Path::Udp(SocketAddr::V4(addr)) => (u32::from(*addr.ip()) - 0x0a00_0000) as usize,
        _ => unreachable!("all members use UDP over IPv4"),
    }
}

enum Member {
    Handshake(Box<Initiator>),
    Online(Box<Peer>),
}

/// Pending inputs of the relay.
#[derive(Default)]
struct InputQueue {
    packets: VecDeque<(Path, Vec<u8>)>,
    others: VecDeque<Input<'static, relay::Command>>,
    /// Packets lent to the relay. Freed by the caller, so that only the relay's own memory is
    /// measured.
    lent: Vec<Vec<u8>>,
}

impl InputSource<relay::Command> for InputQueue {
    fn next_input(&mut self) -> Option<Input<'_, relay::Command>> {
        if let Some(input) = self.others.pop_front() {
            return Some(input);
        }
        let (path, bytes) = self.packets.pop_front()?;
        self.lent.push(bytes);
        self.lent.last_mut().map(|bytes| Input::Packet { path, bytes })
    }
}

/// The relay and its members.
pub struct IdleSim {
    relay: Relay,
    key: PublicKey,
    store: RelayStore,
    inputs: InputQueue,
    out: Out,
    deadline: Option<Tick>,
    measure: Measure,
    members: Vec<Member>,
    deadlines: BTreeSet<(Tick, usize)>,
    scheduled: Vec<Option<Tick>>,
    /// Packets under way: arrival time, whether to the relay, member number, bytes.
    in_flight: VecDeque<(Tick, bool, usize, Vec<u8>)>,
    rng: Rng,
    tick: Tick,
    datagrams_to_relay: u64,
    /// Count of notices to members that the relay shuts down.
    notified: usize,
    stopped: bool,
}

impl IdleSim {
    /// Creates a relay without members. `around` runs all work of the relay.
    pub fn open(measure: Measure) -> IdleSim {
        let (store, state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        let config = relay::Config {
            private_key: state.private_key,
            reset_id: [0; 16],
            members: state.members,
            membership: state.membership,
            mail: state.mail,
            limits: Limits { per_sender: false, ..Limits::default() },
            guests: None,
            seed: [9; 32],
        };
        let mut relay = None;
        let mut config = Some(config);
        measure(&mut || relay = config.take().map(Relay::new));
        let relay = relay.expect("`around` has run the closure");
        IdleSim {
            key: relay.public_key(),
            relay,
            store,
            inputs: InputQueue::default(),
            out: Outputs::default(),
            deadline: None,
            measure,
            members: Vec::new(),
            deadlines: BTreeSet::new(),
            scheduled: Vec::new(),
            in_flight: VecDeque::new(),
            rng: Rng::from_seed([3; 32]),
            tick: Tick::from_micros(1_000_000),
            datagrams_to_relay: 0,
            notified: 0,
            stopped: false,
        }
    }

    /// Returns the number of signed-in members.
    pub fn online(&self) -> usize {
        self.relay.session_count()
    }

    /// Advances time until the members have sent `datagrams` more.
    #[allow(dead_code, reason = "the test of memory goes by the clock")]
    pub fn run_until_sent(&mut self, datagrams: u64) {
        let end = self.datagrams_to_relay + datagrams;
        while self.datagrams_to_relay < end {
            self.run(Duration::from_secs(1));
        }
    }

    /// Stops the relay. Returns the number of members notified at once.
    #[allow(dead_code, reason = "the instruction bench never stops the relay")]
    pub fn stop(&mut self) -> usize {
        self.inputs.others.push_back(Input::Command(relay::Command::Stop));
        self.turn();
        assert!(self.stopped, "the relay stops in the same turn");
        self.run(2 * DELAY);
        self.notified
    }

    /// Adds `count` members at intervals of `every`.
    pub fn add_members(&mut self, count: usize, every: Duration) {
        for _ in 0..count {
            let number = self.members.len();
            let mut seed = [1; 32];
            seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let identity = Identity::generate(&mut Rng::from_seed(seed));
            let hello = InitPayload { counter: 1, continues: None };
            let mut rng = self.rng.fork();
            let initiator = Initiator::new(&identity, &self.key, &hello, 1, Carrier::Udp, &mut rng);
            let initiator = initiator.expect("the relay's key is valid");
            self.send(true, number, initiator.packet().to_vec());
            self.members.push(Member::Handshake(Box::new(initiator)));
            self.scheduled.push(None);
            self.run(every);
        }
    }

    /// Advances time by `span`.
    pub fn run(&mut self, span: Duration) {
        let end = self.tick + span;
        loop {
            let in_flight = self.in_flight.front().map(|packet| packet.0);
            let due = self.deadlines.first().map(|due| due.0);
            let next = [in_flight, due, self.deadline].into_iter().flatten().min();
            self.tick = next.filter(|at| *at < end).map_or(end, |at| at.max(self.tick));
            if self.tick == end {
                return;
            }
            self.step();
        }
    }

    fn send(&mut self, up: bool, number: usize, bytes: Vec<u8>) {
        self.datagrams_to_relay += u64::from(up);
        self.in_flight.push_back((self.tick + DELAY, up, number, bytes));
    }

    fn step(&mut self) {
        while self.in_flight.front().is_some_and(|packet| packet.0 <= self.tick) {
            let (_, up, number, bytes) = self.in_flight.pop_front().expect("the front was checked");
            match up {
                true => self.inputs.packets.push_back((Path::Udp(address(number)), bytes)),
                false => self.receive(number, bytes),
            }
        }
        while let Some((_, number)) = self.deadlines.first().copied().filter(|due| due.0 <= self.tick) {
            self.deadlines.pop_first();
            self.scheduled[number] = None;
            if let Member::Online(peer) = &mut self.members[number] {
                peer.handle_time(self.tick);
            }
            self.flush(number);
        }
        let is_due = self.deadline.is_some_and(|at| at <= self.tick);
        while is_due || !self.inputs.packets.is_empty() || !self.inputs.others.is_empty() {
            self.turn();
            if self.inputs.packets.is_empty() && self.inputs.others.is_empty() {
                break;
            }
        }
    }

    fn turn(&mut self) {
        let now = now_at(self.tick);
        let IdleSim { relay, inputs, out, deadline, .. } = self;
        (self.measure)(&mut || *deadline = relay_turn(relay, now, inputs, out));
        self.inputs.lent.clear();
        let effects = std::mem::take(&mut self.out.effects);
        for effect in &effects {
            match effect {
                Effect::Send(path, range) => {
                    let bytes = self.out.bytes[range.clone()].to_vec();
                    self.send(false, number_of(*path), bytes);
                }
                Effect::Persist(ticket, record) => {
                    self.store
                        .commit(std::slice::from_ref(record), &mut Vec::new())
                        .expect("memory suffices");
                    self.inputs.others.push_back(Input::Committed(*ticket));
                }
                Effect::Show(event) => self.stopped |= *event == relay::Event::Stopped,
                _ => {}
            }
        }
        self.out.effects = effects;
        let out = &mut self.out;
        (self.measure)(&mut || out.clear());
    }

    fn receive(&mut self, number: usize, mut bytes: Vec<u8>) {
        match &mut self.members[number] {
            Member::Handshake(initiator) => {
                let Ok(ResponseOutcome::Established(established)) = initiator.handle_response(&bytes) else {
                    panic!("a relay without limits answers immediately");
                };
                let begin = PeerOptions {
                    role: Role::Client,
                    path: relay_path(),
                    keys: established.keys,
                    id: established.grant.session,
                    rtt: None,
                    lifetime: Lifetime::default(),
                    rng: self.rng.fork(),
                };
                let mut peer = Box::new(Peer::new(self.tick, begin));
                let name = format!("idle-member-{number}");
                let mut message = Vec::new();
                let features = Features::OURS;
                ToRelay::SignIn {
                    name: &name,
                    invite: &[],
                    block_list_follows: false,
                    outbox: None,
                    features,
                }
                .encode(&mut message);
                peer.send(StreamId::Control, &[&message]).expect("a new stream has space");
                self.members[number] = Member::Online(peer);
            }
            Member::Online(peer) => {
                let outcome = peer.handle_packet(self.tick, relay_path(), &mut bytes);
                self.notified += usize::from(outcome == PacketOutcome::Closed(close::GOING_AWAY));
                while peer.receive(StreamId::Control, &mut bytes) {}
            }
        }
        self.flush(number);
    }

    fn flush(&mut self, number: usize) {
        let Member::Online(peer) = &mut self.members[number] else { return };
        let mut out = Outputs::<(), ()>::default();
        peer.flush(self.tick, &mut out);
        let wanted = peer.next_deadline(self.tick);
        for effect in std::mem::take(&mut out.effects) {
            if let Effect::Send(_, range) = effect {
                self.send(true, number, out.bytes[range].to_vec());
            }
        }
        if let Some(before) = std::mem::replace(&mut self.scheduled[number], wanted) {
            self.deadlines.remove(&(before, number));
        }
        self.deadlines.extend(wanted.map(|tick| (tick, number)));
    }
}

/// The relay's turn, as a separate function, so that a profiler can select it.
#[inline(never)]
fn relay_turn(relay: &mut Relay, now: Now, inputs: &mut InputQueue, out: &mut Out) -> Option<Tick> {
    turn(relay, now, inputs, out)
}
