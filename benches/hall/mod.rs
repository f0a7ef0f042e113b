//! A relay with many idle members in memory: the real core in virtual time, without sockets or
//! disks. Each member has its own address, signs in, and then keeps its session alive.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use queqiao::base::{Carrier, Effect, Inbox, Input, Now, Outputs, Path, PublicKey, Rng, Tick, Wall, turn};
use queqiao::peer::{Begin, Heard, Peer, Role};
use queqiao::relay::{self, Limits, Relay};
use queqiao::session::{AccessSecret, Answered, Hello, Identity, Initiator, Lifetime};
use queqiao::store::{Backend, RelayStore};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{StreamId, close};
use queqiao::wire::message::ToRelay;

/// One-way delay.
const DELAY: Duration = Duration::from_millis(1);
const PORT: u16 = 4_000;

type Out = Outputs<relay::Record, relay::Event>;

/// Runs a part of the relay's work, in order to measure it.
pub type Around = fn(&mut dyn FnMut());

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
    Shaking(Box<Initiator>),
    Talking(Box<Peer>),
}

/// Pending inputs of the relay.
#[derive(Default)]
struct Waiting {
    packets: VecDeque<(Path, Vec<u8>)>,
    others: VecDeque<Input<'static, relay::Command>>,
    /// Packets lent to the relay. Freed by the caller, so that only the relay's own memory is
    /// measured.
    lent: Vec<Vec<u8>>,
}

impl Inbox<relay::Command> for Waiting {
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
pub struct Hall {
    relay: Relay,
    key: PublicKey,
    store: RelayStore,
    waiting: Waiting,
    out: Out,
    deadline: Option<Tick>,
    around: Around,
    members: Vec<Member>,
    deadlines: BTreeSet<(Tick, usize)>,
    scheduled: Vec<Option<Tick>>,
    /// Packets under way: arrival time, whether to the relay, member number, bytes.
    flying: VecDeque<(Tick, bool, usize, Vec<u8>)>,
    rng: Rng,
    tick: Tick,
    to_relay: u64,
    /// Count of notices to members that the relay shuts down.
    sent_away: usize,
    stopped: bool,
}

impl Hall {
    /// Creates a relay without members. `around` runs all work of the relay.
    pub fn open(around: Around) -> Hall {
        let (store, state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        let config = relay::Config {
            private_key: state.private_key,
            reset_id: [0; 16],
            access_secret: [0; 32],
            members: state.members,
            roll: state.roll,
            mail: state.mail,
            limits: Limits { per_sender: false, ..Limits::default() },
            guests: None,
            seed: [9; 32],
        };
        let mut relay = None;
        let mut config = Some(config);
        around(&mut || relay = config.take().map(Relay::new));
        let relay = relay.expect("`around` has run the closure");
        Hall {
            key: relay.public_key(),
            relay,
            store,
            waiting: Waiting::default(),
            out: Outputs::default(),
            deadline: None,
            around,
            members: Vec::new(),
            deadlines: BTreeSet::new(),
            scheduled: Vec::new(),
            flying: VecDeque::new(),
            rng: Rng::from_seed([3; 32]),
            tick: Tick::from_micros(1_000_000),
            to_relay: 0,
            sent_away: 0,
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
        let end = self.to_relay + datagrams;
        while self.to_relay < end {
            self.run(Duration::from_secs(1));
        }
    }

    /// Stops the relay. Returns the number of members notified at once.
    #[allow(dead_code, reason = "the instruction bench never stops the relay")]
    pub fn stop(&mut self) -> usize {
        self.waiting.others.push_back(Input::Command(relay::Command::Stop));
        self.turn();
        assert!(self.stopped, "the relay stops in the same turn");
        self.run(2 * DELAY);
        self.sent_away
    }

    /// Adds `count` members at intervals of `every`.
    pub fn come(&mut self, count: usize, every: Duration) {
        for _ in 0..count {
            let number = self.members.len();
            let mut seed = [1; 32];
            seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let identity = Identity::generate(&mut Rng::from_seed(seed));
            let hello = Hello { counter: 1, continues: None };
            let secret = AccessSecret::default();
            let mut rng = self.rng.fork();
            let initiator = Initiator::new(&identity, &self.key, &secret, &hello, 1, Carrier::Udp, &mut rng);
            let initiator = initiator.expect("the relay's key is valid");
            self.fly(true, number, initiator.packet().to_vec());
            self.members.push(Member::Shaking(Box::new(initiator)));
            self.scheduled.push(None);
            self.run(every);
        }
    }

    /// Advances time by `span`.
    pub fn run(&mut self, span: Duration) {
        let end = self.tick + span;
        loop {
            let flying = self.flying.front().map(|packet| packet.0);
            let due = self.deadlines.first().map(|due| due.0);
            let next = [flying, due, self.deadline].into_iter().flatten().min();
            self.tick = next.filter(|at| *at < end).map_or(end, |at| at.max(self.tick));
            if self.tick == end {
                return;
            }
            self.step();
        }
    }

    fn fly(&mut self, up: bool, number: usize, bytes: Vec<u8>) {
        self.to_relay += u64::from(up);
        self.flying.push_back((self.tick + DELAY, up, number, bytes));
    }

    fn step(&mut self) {
        while self.flying.front().is_some_and(|packet| packet.0 <= self.tick) {
            let (_, up, number, bytes) = self.flying.pop_front().expect("the front was checked");
            match up {
                true => self.waiting.packets.push_back((Path::Udp(address(number)), bytes)),
                false => self.hear(number, bytes),
            }
        }
        while let Some((_, number)) = self.deadlines.first().copied().filter(|due| due.0 <= self.tick) {
            self.deadlines.pop_first();
            self.scheduled[number] = None;
            if let Member::Talking(peer) = &mut self.members[number] {
                peer.handle_time(self.tick);
            }
            self.flush(number);
        }
        let is_due = self.deadline.is_some_and(|at| at <= self.tick);
        while is_due || !self.waiting.packets.is_empty() || !self.waiting.others.is_empty() {
            self.turn();
            if self.waiting.packets.is_empty() && self.waiting.others.is_empty() {
                break;
            }
        }
    }

    fn turn(&mut self) {
        let now = now_at(self.tick);
        let Hall { relay, waiting, out, deadline, .. } = self;
        (self.around)(&mut || *deadline = relay_turn(relay, now, waiting, out));
        self.waiting.lent.clear();
        let effects = std::mem::take(&mut self.out.effects);
        for effect in &effects {
            match effect {
                Effect::Send(path, range) => {
                    let bytes = self.out.bytes[range.clone()].to_vec();
                    self.fly(false, number_of(*path), bytes);
                }
                Effect::Persist(ticket, record) => {
                    self.store
                        .commit(std::slice::from_ref(record), &mut Vec::new())
                        .expect("memory suffices");
                    self.waiting.others.push_back(Input::Committed(*ticket));
                }
                Effect::Show(event) => self.stopped |= *event == relay::Event::Stopped,
                _ => {}
            }
        }
        self.out.effects = effects;
        let out = &mut self.out;
        (self.around)(&mut || out.clear());
    }

    fn hear(&mut self, number: usize, mut bytes: Vec<u8>) {
        match &mut self.members[number] {
            Member::Shaking(initiator) => {
                let Ok(Answered::Established(established)) = initiator.handle_response(&bytes) else {
                    panic!("a relay without limits answers immediately");
                };
                let begin = Begin {
                    role: Role::Client,
                    path: relay_path(),
                    keys: established.keys,
                    id: established.welcome.session,
                    rtt: None,
                    lifetime: Lifetime::default(),
                    rng: self.rng.fork(),
                };
                let mut peer = Box::new(Peer::new(self.tick, begin));
                let name = format!("idle-member-{number}");
                let mut message = Vec::new();
                let features = Features::OURS;
                ToRelay::SignIn { name: &name, invite: &[], screen_follows: false, outbox: None, features }
                    .encode(&mut message);
                peer.send(StreamId::Control, &[&message]).expect("a new stream has space");
                self.members[number] = Member::Talking(peer);
            }
            Member::Talking(peer) => {
                let heard = peer.handle_packet(self.tick, relay_path(), &mut bytes);
                self.sent_away += usize::from(heard == Heard::Closed(close::GOING_AWAY));
                while peer.receive(StreamId::Control, &mut bytes) {}
            }
        }
        self.flush(number);
    }

    fn flush(&mut self, number: usize) {
        let Member::Talking(peer) = &mut self.members[number] else { return };
        let mut out = Outputs::<(), ()>::default();
        peer.flush(self.tick, &mut out);
        let wanted = peer.next_deadline(self.tick);
        for effect in std::mem::take(&mut out.effects) {
            if let Effect::Send(_, range) = effect {
                self.fly(true, number, out.bytes[range].to_vec());
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
fn relay_turn(relay: &mut Relay, now: Now, waiting: &mut Waiting, out: &mut Out) -> Option<Tick> {
    turn(relay, now, waiting, out)
}
