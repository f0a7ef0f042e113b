//! A hostile member that demands more than its share of the relay. It sends endless lists of names,
//! each of which must be written to disk. After its welcome it sends the last bytes of its window,
//! with a gap before each.

use std::collections::BTreeMap;
use std::time::Duration;

use queqiao::base::{Name, Path, Tick};
use queqiao::peer::Peer;
use queqiao::relay::{Limits, MembershipChange, Record, SenderLists};
use queqiao::session::Keyring;
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, Frames, StreamId, close, encode_ack};
use queqiao::wire::limits::{DATA_HEADER_LEN, STREAM_CREDIT};
use queqiao::wire::message::{BLOCK_LIST_FIRST, BLOCK_LIST_LAST, NameList, ToRelay};
use queqiao::wire::varint::write_varint;

use super::coverage::Count;
use super::hostile_member::{HOSTILE_NAME, HostileMember, queue_message, send_as_hostile};
use super::simulation::Simulation;

/// Lists in one flood: more than a member may have written at once, and as many as are read within
/// a few seconds.
const LISTS: u32 = 130;
/// Minimum cost of a list, in control messages.
const LIST_COST: u64 = 100;
/// Lists that the disk refused and that are written again at once, beyond one a second.
const AGAIN_BURST: u64 = 8;
/// One list in millionths, the unit of a [`RateLimiter`].
const ONE: u64 = 1_000_000;
/// Single bytes on each stream: twice as many as the runs of one byte that a relay keeps.
const SINGLE_BYTES_MAX: u64 = 512;
/// Frames in one packet.
const FRAMES: u64 = 50;
/// Memory that a byte behind a gap may take at the relay, in bytes.
const SINGLE_BYTE_MEMORY_MAX: u64 = 128;
/// Time limit for its welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(2);

/// Sends more control messages than are read at once.
pub fn flood_control(sim: &mut Simulation, peer: &mut Peer) {
    sim.coverage.add(Count::ControlFloods);
    for _ in 0..LISTS {
        let mut names = Vec::new();
        NameList::put(&mut names, &format!("x{}", sim.rng.next_u32()));
        queue_message(
            peer,
            &ToRelay::BlockList { flags: BLOCK_LIST_FIRST | BLOCK_LIST_LAST, names: NameList::new(&names) },
        );
    }
}

/// Lists that the relay has written for each member.
#[derive(Default)]
pub struct Written {
    by_owner: BTreeMap<Name, WrittenLists>,
}

/// The lists of one member: new ones at the rate of its control messages, and those written again
/// because the disk had refused one.
#[derive(Default)]
struct WrittenLists {
    last: SenderLists,
    new: RateLimiter,
    again: RateLimiter,
}

/// A level that drains at a fixed rate, in millionths.
#[derive(Default)]
struct RateLimiter {
    level: u64,
    at: Tick,
}

impl RateLimiter {
    /// Adds `amount` after draining `per_second` a second. Returns the level.
    fn add(&mut self, now: Tick, amount: u64, per_second: u64) -> u64 {
        let drained = now.since(self.at).as_micros() as u64 * per_second;
        self.level = self.level.saturating_sub(drained) + amount * ONE;
        self.at = now;
        self.level
    }
}

impl Written {
    /// Checks a record that a relay with these limits submits to its disk.
    pub fn check_record(&mut self, now: Tick, limits: &Limits, record: &Record) {
        let Record::Membership(MembershipChange::Lists { owner, lists }) = record else { return };
        let written = self.by_owner.entry(owner.clone()).or_default();
        if written.last == *lists {
            let level = written.again.add(now, 1, 1);
            assert!(level <= (1 + AGAIN_BURST) * ONE, "a list of {owner} is written again too often");
            return;
        }
        written.last = lists.clone();
        let level = written.new.add(now, LIST_COST, u64::from(limits.control_per_second));
        let most = (u64::from(limits.control_burst) + LIST_COST) * ONE;
        assert!(level <= most, "{owner} has more lists written than its rate allows");
    }
}

/// A session that sends the last bytes of its window.
pub struct CreditAbuse {
    keyring: Keyring,
    since: Tick,
    number: u64,
    /// Highest packet number received.
    highest_received: Option<u64>,
    /// Credit of each stream, as an offset.
    limits: [u64; 3],
    /// Single bytes sent on each stream.
    single_bytes: u64,
    /// Turns left before it leaves.
    turns_left: u64,
}

impl CreditAbuse {
    /// Signs in on a new session. A registered member has its whole credit at once.
    pub fn sign_in(
        sim: &mut Simulation,
        member: &HostileMember,
        keyring: Keyring,
        is_member: bool,
    ) -> CreditAbuse {
        let turns_left = 15 + sim.rng.below(30);
        let limits = if is_member { STREAM_CREDIT.map(|credit| credit as u64) } else { [0; 3] };
        let since = sim.now;
        let number = 0;
        let received = None;
        let alone = 0;
        let mut abuse = CreditAbuse {
            keyring,
            since,
            number,
            highest_received: received,
            limits,
            single_bytes: alone,
            turns_left,
        };
        let mut message = Vec::new();
        let mut data = Vec::new();
        ToRelay::SignIn {
            name: HOSTILE_NAME,
            invite: &[],
            block_list_follows: false,
            outbox: None,
            features: Features::OURS,
        }
        .encode(&mut message);
        write_varint(&mut data, message.len() as u64);
        data.extend_from_slice(&message);
        abuse.send(sim, member, &[Frame::Stream { stream: StreamId::Control, offset: 0, data: &data }]);
        abuse
    }

    /// Takes one step. Returns `false` when it has left, or if it was never welcomed.
    pub fn step(&mut self, sim: &mut Simulation, member: &mut HostileMember) -> bool {
        self.read_packets(sim.now, member);
        let is_welcome = self.limits[StreamId::Chat.index()] > 0;
        if !is_welcome {
            return sim.now.since(self.since) < WELCOME_TIMEOUT;
        }
        self.check_memory(sim, member);
        if self.turns_left == 0 {
            self.close(sim, member);
            return false;
        }
        self.turns_left -= 1;
        if self.single_bytes < SINGLE_BYTES_MAX {
            self.send_last_bytes(sim, member);
        } else {
            self.send(sim, member, &[Frame::Ping]);
        }
        true
    }

    pub fn close(&mut self, sim: &mut Simulation, member: &HostileMember) {
        self.send(sim, member, &[Frame::Close { code: close::DONE, reason: "bye" }]);
    }

    fn read_packets(&mut self, now: Tick, member: &mut HostileMember) {
        let carrier = member.path().carrier();
        for mut packet in std::mem::take(&mut member.received) {
            let Ok(opened) = self.keyring.open(now, || WELCOME_TIMEOUT, carrier, &mut packet) else {
                continue;
            };
            self.highest_received = self.highest_received.max(Some(opened.number));
            for frame in Frames::new(opened.plain).flatten() {
                if let Frame::MaxStreamData { stream, limit } = frame {
                    self.limits[stream.index()] = self.limits[stream.index()].max(limit);
                }
            }
        }
    }

    /// Sends the last byte, then the last but two, and so on.
    fn send_last_bytes(&mut self, sim: &mut Simulation, member: &HostileMember) {
        if self.single_bytes == 0 {
            sim.coverage.add(Count::LastBytes);
        }
        for stream in StreamId::ALL {
            let limit = self.limits[stream.index()];
            let offset = |back: u64| limit - 1 - 2 * back;
            let frame = |back| Frame::Stream { stream, offset: offset(back), data: &[7] };
            let frames: Vec<_> = (self.single_bytes..self.single_bytes + FRAMES).map(frame).collect();
            self.send(sim, member, &frames);
        }
        self.single_bytes += FRAMES;
    }

    /// Checks that the relay stores the bytes received and takes no memory for gaps.
    fn check_memory(&self, sim: &Simulation, member: &HostileMember) {
        let path = match member.path() {
            Path::Udp(_) => Path::Udp(member.addr),
            tcp => tcp,
        };
        let mut held = 0;
        sim.relay.core.visit_peers(|peer| {
            if peer.path() == Some(path) {
                held = peer.link().received_memory() as u64;
            }
        });
        let most = SINGLE_BYTE_MEMORY_MAX * (1 + self.single_bytes * StreamId::ALL.len() as u64);
        assert!(held <= most, "{} bytes behind gaps take {held} bytes", self.single_bytes * 3);
    }

    fn send(&mut self, sim: &mut Simulation, member: &HostileMember, frames: &[Frame<'_>]) {
        let mut packet = vec![0; DATA_HEADER_LEN];
        if let Some(received) = self.highest_received {
            encode_ack([received..=received].into_iter(), 0, 100, &mut packet);
        }
        frames.iter().for_each(|frame| frame.encode(&mut packet));
        self.keyring.seal(self.number, &mut packet, 0);
        self.number += 1;
        send_as_hostile(sim, member, &packet);
    }
}

/// Returns the maximum of all bytes held behind gaps. One run of bytes may have grown by half
/// although there was less space.
pub fn gapped_max(limits: &Limits) -> usize {
    let max = limits.reassembly_bytes;
    max + max.min(STREAM_CREDIT[StreamId::Chat.index()]) / 2
}
