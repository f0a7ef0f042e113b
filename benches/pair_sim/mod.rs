//! A relay and pairs of members in memory: the real cores in virtual time, without sockets or
//! disks. The packets are the same in every run, to the byte.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Effect, HostPort, Input, InputSource, Now, OutboxId, Outputs, Path, Tick, Wall, turn};
use queqiao::client::{self, Carriers, Client, Event, Progress, RelayConfig};
use queqiao::relay::{self, Limits, Relay};
use queqiao::store::{Backend, RelayStore};
use queqiao::wire::message::Reason;

const START: Tick = Tick::from_micros(1_000_000);
/// One-way delay.
const DELAY: Duration = Duration::from_micros(20);
/// Maximum turns for one letter. Beyond it the simulation is stuck.
const TURNS_MAX: u64 = 100_000;
/// Interval between two letters to unknown names. A member gets one answer in 2 s.
const UNKNOWN_EVERY: Duration = Duration::from_millis(2_100);

fn now_at(tick: Tick) -> Now {
    Now { tick, wall: Wall(1_800_000_000_000 + tick.as_micros() / 1_000) }
}

fn relay_addr() -> SocketAddr {
    ([198, 18, 0, 1], 8081).into()
}

const FIRST_PORT: u16 = 4_000;

fn member_addr(number: usize) -> SocketAddr {
    ([198, 18, 0, 2], FIRST_PORT + number as u16).into()
}

fn number_of(addr: SocketAddr) -> usize {
    usize::from(addr.port() - FIRST_PORT)
}

fn name_of(number: usize) -> String {
    format!("M{number}")
}

/// Pending inputs of one end.
struct InputQueue<C> {
    packets: VecDeque<(Path, Vec<u8>)>,
    others: VecDeque<Input<'static, C>>,
    lent: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl<C> Default for InputQueue<C> {
    fn default() -> Self {
        InputQueue { packets: VecDeque::new(), others: VecDeque::new(), lent: Vec::new(), spare: Vec::new() }
    }
}

impl<C> InputQueue<C> {
    fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.others.is_empty()
    }

    fn push(&mut self, path: Path, bytes: &[u8]) {
        let mut packet = self.spare.pop().unwrap_or_default();
        packet.clear();
        packet.extend_from_slice(bytes);
        self.packets.push_back((path, packet));
    }
}

impl<C> InputSource<C> for InputQueue<C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        if let Some(input) = self.others.pop_front() {
            return Some(input);
        }
        let (path, bytes) = self.packets.pop_front()?;
        let old = std::mem::replace(&mut self.lent, bytes);
        self.spare.push(old);
        Some(Input::Packet { path, bytes: &mut self.lent })
    }
}

struct Member {
    client: Client,
    inputs: InputQueue<client::Command>,
    out: Outputs<client::Record, Event>,
    deadline: Option<Tick>,
    /// Letters it has sent.
    written: u64,
    /// How many of them were delivered.
    delivered: u64,
    /// How many of its letters to unknown names were refused.
    refused: u64,
}

/// The relay and its members. Each member with an even number writes to the next one.
pub struct PairSim {
    relay: Relay,
    store: RelayStore,
    inputs: InputQueue<relay::Command>,
    out: Outputs<relay::Record, relay::Event>,
    deadline: Option<Tick>,
    members: Vec<Member>,
    tick: Tick,
    online: usize,
    text: String,
}

impl PairSim {
    /// Creates pairs of members, all signed in, each with a few letters delivered.
    pub fn open(pairs: usize, text_len: usize) -> PairSim {
        PairSim::open_among(pairs, text_len, 0)
    }

    /// As [`PairSim::open`], with `others` further members that are offline and whose names share
    /// their first six characters.
    pub fn open_among(pairs: usize, text_len: usize, others: usize) -> PairSim {
        let other = |number: usize| {
            let mut key = [0xA0; 32];
            key[..8].copy_from_slice(&(number as u64).to_be_bytes());
            (other_name(number).parse().expect("a valid name"), queqiao::base::PublicKey(key))
        };
        let (store, state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
        let config = relay::Config {
            private_key: state.private_key,
            reset_id: [0; 16],
            members: state.members.into_iter().chain((0..others).map(other)).collect(),
            membership: state.membership,
            mail: state.mail,
            limits: Limits { per_sender: false, ..Limits::default() },
            guests: None,
            seed: [9; 32],
        };
        let mut sim = PairSim {
            relay: Relay::new(config),
            store,
            inputs: InputQueue::default(),
            out: Outputs::default(),
            deadline: Some(START),
            members: (0..2 * pairs).map(member).collect(),
            tick: START,
            online: 0,
            text: "x".repeat(text_len),
        };
        for _ in 0..TURNS_MAX {
            if sim.online == 2 * pairs {
                break;
            }
            sim.step();
        }
        assert_eq!(sim.online, 2 * pairs, "all sign in");
        sim.exchange(64, 8);
        sim
    }

    /// Passes `letters` for each pair, `window` of them in flight. Returns when all senders know
    /// that all were delivered.
    pub fn exchange(&mut self, letters: u64, window: u64) {
        let writers = || (0..self.members.len()).step_by(2);
        let ends: Vec<u64> = writers().map(|number| self.members[number].delivered + letters).collect();
        let mut turns = 0;
        while ends.iter().enumerate().any(|(pair, end)| self.members[2 * pair].delivered < *end) {
            for (pair, end) in ends.iter().enumerate() {
                let writer = |sim: &PairSim| {
                    let Member { written, delivered, .. } = sim.members[2 * pair];
                    written < *end && written - delivered < window
                };
                while writer(self) {
                    self.write(2 * pair);
                }
            }
            self.step();
            turns += 1;
            assert!(turns < TURNS_MAX * letters, "no letter makes progress");
        }
    }

    /// Sends `times` letters from the first member to unknown names, each a mistype of one of
    /// `others`. Each refusal must suggest similar names.
    pub fn send_to_mistyped(&mut self, times: u64, others: usize) {
        for time in 0..times {
            let name = mistyped(&other_name(time as usize * 7 % others), time);
            // Afterwards the budget for similar names is full again.
            self.tick = self.tick + UNKNOWN_EVERY;
            self.write_to(0, &name);
            for _ in 0..TURNS_MAX {
                if self.members[0].refused > time {
                    break;
                }
                self.step();
            }
            assert_eq!(self.members[0].refused, time + 1, "{name} is refused");
        }
        assert!(self.relay.stats().names_looked_at >= times, "similar names were looked up");
    }

    fn write(&mut self, number: usize) {
        let to = name_of(number + 1);
        self.write_to(number, &to);
    }

    fn write_to(&mut self, number: usize, to: &str) {
        let writer = &mut self.members[number];
        writer.written += 1;
        writer.inputs.others.push_back(Input::Command(client::Command::Send {
            request: writer.written,
            relay: HostPort::from(relay_addr()),
            to: to.parse().expect("a valid name"),
            text: self.text.clone(),
        }));
    }

    /// Runs a turn of each end that has something to do. Time advances by one delay, or to the next
    /// deadline if all are idle.
    fn step(&mut self) {
        let all = |sim: &PairSim| {
            let deadlines = sim.members.iter().map(|member| member.deadline);
            deadlines.chain([sim.deadline]).flatten().min()
        };
        let busy = !self.inputs.is_empty() || self.members.iter().any(|member| !member.inputs.is_empty());
        self.tick = match all(self) {
            Some(at) if !busy => at.max(self.tick),
            _ => self.tick + DELAY,
        };
        let now = now_at(self.tick);
        while !self.inputs.is_empty() || self.deadline.is_some_and(|at| at <= self.tick) {
            self.deadline = relay_turn(&mut self.relay, now, &mut self.inputs, &mut self.out);
            self.apply_relay_effects();
        }
        for number in 0..self.members.len() {
            let member = &mut self.members[number];
            if !member.inputs.is_empty() || member.deadline.is_some_and(|at| at <= self.tick) {
                member.deadline = turn(&mut member.client, now, &mut member.inputs, &mut member.out);
                self.apply_member_effects(number);
            }
        }
    }

    fn apply_relay_effects(&mut self) {
        for effect in self.out.effects.drain(..) {
            match effect {
                Effect::Send(Path::Udp(dest), range) => {
                    let from = Path::Udp(relay_addr());
                    self.members[number_of(dest)].inputs.push(from, &self.out.bytes[range]);
                }
                Effect::Persist(ticket, record) => {
                    self.store.commit(&[record], &mut Vec::new()).expect("memory suffices");
                    self.inputs.others.push_back(Input::Committed(ticket));
                }
                Effect::Load(ticket, query) => {
                    let rows = self.store.load(&query).expect("an in-memory store can be read");
                    self.inputs.others.push_back(Input::Rows(ticket, rows));
                }
                _ => {}
            }
        }
        self.out.clear();
    }

    fn apply_member_effects(&mut self, number: usize) {
        let member = &mut self.members[number];
        for effect in member.out.effects.drain(..) {
            match effect {
                Effect::Send(Path::Udp(_), range) => {
                    self.inputs.push(Path::Udp(member_addr(number)), &member.out.bytes[range]);
                }
                Effect::Persist(ticket, _) => member.inputs.others.push_back(Input::Committed(ticket)),
                Effect::LookUp(host) => {
                    member.inputs.others.push_back(Input::Resolved(host, vec![relay_addr()]));
                }
                Effect::Show(Event::Online { .. }) => self.online += 1,
                Effect::Show(Event::Progress { progress: Progress::Delivered, .. }) => member.delivered += 1,
                Effect::Show(Event::Refused { reason: Reason::Unknown, nearest, .. }) => {
                    assert!(!nearest.is_empty(), "a mistype has a similar name");
                    member.refused += 1;
                }
                Effect::Show(Event::Refused { reason, .. }) => panic!("refused: {reason:?}"),
                _ => {}
            }
        }
        member.out.clear();
    }
}

fn member(number: usize) -> Member {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let config = client::Config {
        name: Some(name_of(number).parse().expect("a valid name")),
        private_key: seed,
        outbox: OutboxId(number as u64),
        carriers: Carriers::Udp,
        counter_reserved: 0,
        persisted: None,
        strangers_bytes_max: 0,
        seed,
    };
    let spec = RelayConfig { addr: HostPort::from(relay_addr()), tcp: None, key: None, fingerprint: None };
    let mut inputs = InputQueue::default();
    inputs.others.push_back(Input::Command(client::Command::Relays(vec![spec])));
    Member {
        client: Client::new(config),
        inputs,
        out: Outputs::default(),
        deadline: Some(START),
        written: 0,
        delivered: 0,
        refused: 0,
    }
}

fn other_name(number: usize) -> String {
    format!("member{number:06}")
}

/// Returns the name with its first, a middle, or its last character wrong.
fn mistyped(name: &str, time: u64) -> String {
    let mut chars: Vec<char> = name.chars().collect();
    let at = [0, 4, chars.len() - 1][time as usize % 3];
    chars[at] = 'x';
    chars.into_iter().collect()
}

/// The relay's turn, as a separate function, so that a profiler can select it.
#[inline(never)]
fn relay_turn(
    relay: &mut Relay,
    now: Now,
    inputs: &mut InputQueue<relay::Command>,
    out: &mut Outputs<relay::Record, relay::Event>,
) -> Option<Tick> {
    turn(relay, now, inputs, out)
}
