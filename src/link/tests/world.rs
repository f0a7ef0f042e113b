//! Two links over a simulated network with virtual time, loss, duplication, delay and reordering.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Carrier, ConnId, Path, Rng, Tick};
use crate::link::{BuiltPacket, ExtraFrame, Link, Params, ReceivedPacket};
use crate::wire::frame::StreamId;
use crate::wire::limits::UDP_PACKET_MAX;

pub const UDP_ROOM: usize = UDP_PACKET_MAX - 32;
pub const TCP_ROOM: usize = 16 * 1024 - 32;
pub const TCP: Path = Path::Tcp(ConnId(1));

pub fn udp(port: u16) -> Path {
    Path::Udp(([10, 0, 0, 1], port).into())
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Faults of the network for datagrams, in percent. TCP packets are only delayed, unless all are
/// lost.
#[derive(Clone, Copy)]
pub struct Weather {
    pub loss: u64,
    pub twice: u64,
    pub late: u64,
    pub delay: Duration,
}

pub const CALM: Weather = Weather { loss: 0, twice: 0, late: 0, delay: ms(20) };
pub const STORM: Weather = Weather { loss: 30, twice: 5, late: 10, delay: ms(20) };

struct Packet {
    to: usize,
    path: Path,
    number: u64,
    bytes: Vec<u8>,
}

pub struct End {
    pub link: Link,
    pub got: [Vec<Vec<u8>>; 3],
    /// Streams that are read at once.
    pub reads: [bool; 3],
    pub seen: Vec<ReceivedPacket>,
    numbers: BTreeSet<u64>,
}

pub struct World {
    pub ends: [End; 2],
    pub now: Tick,
    pub weather: Weather,
    pub bytes_sent: usize,
    pub sizes: Vec<usize>,
    /// Turns since the beginning, to detect a busy loop.
    pub turns: u64,
    rng: Rng,
    wire: BTreeMap<(Tick, u64), Packet>,
    count: u64,
}

impl World {
    /// Creates two ends: the client is end 0, the relay end 1.
    pub fn new(seed: u8, path: Path, weather: Weather) -> World {
        let now = Tick::from_micros(1_000_000);
        let end = |is_client| End {
            link: Link::new(path, now, Params { initial_rtt: None, is_client, jitter: 1 << 31 })
                .with_full_credit(),
            got: Default::default(),
            reads: [true; 3],
            seen: Vec::new(),
            numbers: BTreeSet::new(),
        };
        World {
            ends: [end(true), end(false)],
            now,
            weather,
            bytes_sent: 0,
            sizes: Vec::new(),
            turns: 0,
            rng: Rng::from_seed([seed; 32]),
            wire: BTreeMap::new(),
            count: 0,
        }
    }

    pub fn send(&mut self, from: usize, stream: StreamId, message: &[u8]) {
        self.ends[from].link.send(stream, &[message]).expect("the stream has space");
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn carry(&mut self, from: usize, path: Path, built: BuiltPacket, bytes: &[u8]) {
        self.bytes_sent += bytes.len() + 32;
        self.sizes.push(bytes.len());
        let is_udp = path.carrier() == Carrier::Udp;
        if (is_udp || self.weather.loss == 100) && self.chance(self.weather.loss) {
            return;
        }
        let copies = 1 + usize::from(is_udp && self.chance(self.weather.twice));
        for _ in 0..copies {
            let late = is_udp && self.chance(self.weather.late);
            let delay = self.weather.delay * if late { 2 } else { 1 };
            self.count += 1;
            let packet = Packet { to: 1 - from, path, number: built.number, bytes: bytes.to_vec() };
            self.wire.insert((self.now + delay, self.count), packet);
        }
    }

    /// Sends everything that the two ends can send. No deadline may have passed afterwards.
    pub fn flush(&mut self) {
        for from in 0..2 {
            let mut buf = Vec::new();
            while let Some(path) = self.ends[from].link.path() {
                let link = &mut self.ends[from].link;
                let room = if path.carrier() == Carrier::Udp { UDP_ROOM } else { TCP_ROOM };
                let in_flight = link.bytes_in_flight();
                let wants = link.wants_to_send(self.now);
                buf.clear();
                let built = link.build(self.now, room, 0, &[], &mut buf);
                assert_eq!(built.is_some(), wants, "wants_to_send agrees with build");
                let Some(built) = built else { break };
                assert!(!buf.is_empty() && buf.len() <= room);
                let grew = link.bytes_in_flight() > in_flight;
                let most = link.window().max(in_flight) + 2 * UDP_PACKET_MAX;
                assert!(!grew || path == TCP || link.bytes_in_flight() <= most, "within window and probes");
                self.carry(from, path, built, &buf);
            }
            let next = self.ends[from].link.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a passed deadline makes the loop spin");
        }
    }

    fn deliver(&mut self, packet: &Packet) {
        let end = &mut self.ends[packet.to];
        if !end.numbers.insert(packet.number) {
            return;
        }
        let sink = &mut |_: ExtraFrame<'_>| ();
        let seen = end.link.handle_packet(self.now, packet.path, packet.number, &packet.bytes, sink);
        end.seen.push(seen.expect("honest ends do not violate the protocol"));
        self.read(packet.to);
    }

    /// Reads every stream that is enabled in `reads`.
    pub fn read(&mut self, end: usize) {
        let end = &mut self.ends[end];
        let mut message = Vec::new();
        for stream in StreamId::ALL {
            while end.reads[stream.index()] && end.link.receive(stream, &mut message) {
                end.got[stream.index()].push(message.clone());
            }
        }
    }

    /// Returns the time of the next event.
    fn next(&self) -> Option<Tick> {
        let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
        let deadlines = self.ends.iter().map(|end| end.link.next_deadline());
        deadlines.chain([arrival]).flatten().min()
    }

    /// Advances time by `span`, with one turn per event.
    pub fn run(&mut self, span: Duration) {
        let until = self.now + span;
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.link.handle_time(now));
        self.flush();
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.turns += 1;
            assert!(self.turns < 200_000, "no spin");
            self.now = next.max(self.now);
            let now = self.now;
            self.ends.iter_mut().for_each(|end| end.link.handle_time(now));
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= now) {
                let packet = entry.remove();
                self.deliver(&packet);
            }
            self.flush();
        }
        self.now = until;
    }

    /// Drops all packets on the network.
    pub fn clear_wire(&mut self) {
        self.wire.clear();
    }

    /// Asserts that nothing is outstanding at either end.
    pub fn assert_quiet(&self) {
        for end in &self.ends {
            assert_eq!(end.link.unacked_bytes(), 0);
            assert_eq!(end.link.bytes_in_flight(), 0);
        }
        assert!(self.wire.is_empty());
    }
}
