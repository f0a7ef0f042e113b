//! TCP for comparison: two connections in a row, from a sender through a server to a recipient,
//! with receipts all the way back. Lanes lose segments and acks at random. This is a server over
//! TCP at its best: only bytes are modelled, and neither end spends time.
//!
//! NewReno's window (RFC 5681) starts at ten segments and grows only while it is used (RFC 7661).
//! Selective acks report everything. A loss is known as soon as anything sent later has arrived
//! (RFC 8985 without a window for reordering).
//!
//! There is a probe of the tail. Time-outs follow RFC 6298 with Linux's minimum variation of 200
//! ms. Acks are sent for every second segment or after 40 ms; Nagle's algorithm is off.

use std::collections::BTreeMap;
use std::time::Duration;

use queqiao::base::{Rng, Tick};

use super::event_queue::EventQueue;
use super::link_conditions::chance;

/// Bytes in a segment on Ethernet, with timestamps (RFC 7323).
const SEGMENT_MAX: u64 = 1448;
const WINDOW_INITIAL: f64 = 10.0 * SEGMENT_MAX as f64;
const VARIATION_MIN: Duration = Duration::from_millis(200);
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
const ACK_DELAY: Duration = Duration::from_millis(40);
/// Length of a message on each way, in bytes. A letter of 100 bytes to and from the server is as
/// long as Queqiao's own; the others are receipts.
const LEN: [u64; 4] = [151, 158, 28, 28];
/// The opposite direction of each way. The first two carry letters, the others receipts.
const BACK: [usize; 4] = [3, 2, 1, 0];
/// The way that each way feeds at its end.
const NEXT: [Option<usize>; 4] = [Some(1), Some(2), Some(3), None];

#[derive(Clone, Debug)]
struct Segment {
    end: u64,
    sent: Tick,
    come: bool,
    lost: bool,
    again: bool,
}

/// One direction of a connection, with both its ends.
struct Hop {
    written: u64,
    next: u64,
    segments: BTreeMap<u64, Segment>,
    window: f64,
    threshold: f64,
    recovery: Option<u64>,
    srtt: Duration,
    variation: Duration,
    backoff: u32,
    probed: bool,
    timer_from: Tick,
    /// Sending time of the newest segment that has arrived.
    newest_come: Tick,
    /// At the other end: everything before this has arrived, and `beyond` too.
    received: u64,
    beyond: BTreeMap<u64, u64>,
    unacked: u32,
    ack_at: Option<Tick>,
    /// Next check of its timers: never later than any of them.
    look_at: Option<Tick>,
}

#[derive(Clone, Debug)]
struct Ack {
    received: u64,
    beyond: BTreeMap<u64, u64>,
}

enum TcpEvent {
    Write,
    Arrives { hop: usize, start: u64, end: u64, ack: Option<Ack> },
    Acked { hop: usize, ack: Ack },
    Look(usize),
}

/// Both connections.
pub struct Tcp {
    hops: [Hop; 4],
    event_queue: EventQueue<TcpEvent>,
    rng: Rng,
    loss: u64,
    delay: Duration,
    written_at: Vec<Tick>,
    /// For each letter, in order, the time from writing it to the receipt at its sender.
    pub latencies: Vec<Duration>,
}

impl Hop {
    fn new(rtt: Duration) -> Hop {
        Hop {
            written: 0,
            next: 0,
            segments: BTreeMap::new(),
            window: WINDOW_INITIAL,
            threshold: f64::INFINITY,
            recovery: None,
            srtt: rtt,
            variation: rtt / 2,
            backoff: 0,
            probed: false,
            timer_from: Tick::ZERO,
            newest_come: Tick::ZERO,
            received: 0,
            beyond: BTreeMap::new(),
            unacked: 0,
            ack_at: None,
            look_at: None,
        }
    }

    fn in_flight(&self) -> u64 {
        let flies = |segment: &&Segment| !segment.come && !segment.lost;
        self.segments.iter().filter(|(_, s)| flies(s)).map(|(start, s)| s.end - start).sum()
    }

    /// Returns when the timer fires, and whether it only probes.
    fn timer(&self) -> Option<(Tick, bool)> {
        let outstanding = self.segments.values().filter(|segment| !segment.come).count();
        let timeout = self.srtt + (4 * self.variation).max(VARIATION_MIN);
        let timeout = (timeout * 2u32.pow(self.backoff.min(9))).min(TIMEOUT_MAX);
        let probe = outstanding > 1 && !self.probed && self.backoff == 0 && 2 * self.srtt < timeout;
        let wait = if probe { 2 * self.srtt } else { timeout };
        (outstanding > 0).then(|| (self.timer_from + wait, probe))
    }

    fn handle_timer(&mut self, probe: bool) {
        if probe {
            self.probed = true;
            if let Some(segment) = self.segments.values_mut().rev().find(|segment| !segment.come) {
                segment.lost = true;
            }
            return;
        }
        self.segments.values_mut().filter(|segment| !segment.come).for_each(|segment| segment.lost = true);
        self.threshold = (self.window / 2.0).max(2.0 * SEGMENT_MAX as f64);
        self.window = SEGMENT_MAX as f64;
        self.recovery = None;
        self.backoff += 1;
    }

    fn handle_ack(&mut self, now: Tick, ack: &Ack) {
        let mut progress = 0;
        let mut sample = None;
        let in_flight = self.in_flight();
        for (start, segment) in &mut self.segments {
            let beyond = ack.beyond.range(..=start).next_back().is_some_and(|(_, end)| segment.end <= *end);
            if !segment.come && (segment.end <= ack.received || beyond) {
                segment.come = true;
                progress += segment.end - start;
                self.newest_come = self.newest_come.max(segment.sent);
                sample = (!segment.again).then(|| now.since(segment.sent)).or(sample);
            }
        }
        self.segments.retain(|_, segment| segment.end > ack.received);
        if progress == 0 {
            return;
        }
        if let Some(sample) = sample {
            self.variation = (3 * self.variation + self.srtt.abs_diff(sample)) / 4;
            self.srtt = (7 * self.srtt + sample) / 8;
        }
        self.backoff = 0;
        self.probed = false;
        self.timer_from = now;
        self.recovery = self.recovery.filter(|until| ack.received < *until);
        let slow_start = self.window < self.threshold;
        let needed = if slow_start { 2 * in_flight } else { in_flight + SEGMENT_MAX };
        if self.recovery.is_none() && needed as f64 >= self.window {
            let step = if slow_start { 1.0 } else { SEGMENT_MAX as f64 / self.window };
            self.window += progress as f64 * step;
        }
        self.find_losses();
    }

    fn find_losses(&mut self) {
        let newest = self.newest_come;
        let overtaken = |s: &&mut Segment| !s.come && !s.lost && s.sent < newest;
        let lost = self.segments.values_mut().filter(overtaken).map(|segment| segment.lost = true).count();
        if lost > 0 && self.recovery.is_none() {
            self.threshold = (self.window / 2.0).max(2.0 * SEGMENT_MAX as f64);
            self.window = self.threshold;
            self.recovery = Some(self.next);
        }
    }

    /// Returns the next segment that may leave.
    fn next_segment(&mut self, now: Tick) -> Option<(u64, u64)> {
        let flies = self.in_flight();
        let fits = |len: u64| flies == 0 || (flies + len) as f64 <= self.window;
        let lost = self.segments.iter().find(|(_, s)| s.lost && !s.come).map(|(start, s)| (*start, s.end));
        let (start, end) = lost.unwrap_or((self.next, self.written.min(self.next + SEGMENT_MAX)));
        if start == end || !fits(end - start) {
            return None;
        }
        if flies == 0 {
            self.timer_from = now;
        }
        let again = lost.is_some();
        self.segments.insert(start, Segment { end, sent: now, come: false, lost: false, again });
        self.next = self.next.max(end);
        Some((start, end))
    }

    /// Receives a segment. Returns whether it must be acknowledged at once.
    fn receive(&mut self, now: Tick, start: u64, end: u64) -> bool {
        let in_order = start <= self.received && self.beyond.is_empty();
        if end > self.received {
            let held = self.beyond.entry(start).or_insert(end);
            *held = (*held).max(end);
        }
        while let Some((start, end)) = self.beyond.first_key_value().map(|(start, end)| (*start, *end))
            && start <= self.received
        {
            self.received = self.received.max(end);
            self.beyond.pop_first();
        }
        self.unacked += 1;
        self.ack_at = self.ack_at.or(Some(now + ACK_DELAY));
        !in_order || self.unacked >= 2
    }

    fn take_ack(&mut self) -> Option<Ack> {
        self.ack_at.take()?;
        self.unacked = 0;
        Some(Ack { received: self.received, beyond: self.beyond.clone() })
    }
}

impl Tcp {
    /// Returns connections on paths with this round trip each, which lose `loss` thousandths each
    /// way.
    pub fn new(seed: u64, loss: u64, rtt: Duration) -> Tcp {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Tcp {
            hops: std::array::from_fn(|_| Hop::new(rtt)),
            event_queue: EventQueue::new(),
            rng: Rng::from_seed(bytes),
            loss,
            delay: rtt / 2,
            written_at: Vec::new(),
            latencies: Vec::new(),
        }
    }

    /// Schedules a letter.
    pub fn write_at(&mut self, at: Tick) {
        self.written_at.push(at);
        self.event_queue.push(at, TcpEvent::Write);
    }

    /// Runs until every letter has its receipt. Returns when the last one arrived.
    pub fn run(&mut self) -> Tick {
        let remote = Tick::from_micros(u64::MAX);
        let mut now = Tick::ZERO;
        while self.latencies.len() < self.written_at.len() {
            let (at, event) =
                self.event_queue.pop_until(remote).expect("timers run while anything is outstanding");
            now = at;
            self.handle_event(now, event);
        }
        now
    }

    fn handle_event(&mut self, now: Tick, event: TcpEvent) {
        match event {
            TcpEvent::Write => self.write(now, 0, LEN[0]),
            TcpEvent::Acked { hop, ack } => self.handle_ack(now, hop, &ack),
            TcpEvent::Arrives { hop, start, end, ack } => {
                let before = self.hops[hop].received / LEN[hop];
                let at_once = self.hops[hop].receive(now, start, end);
                let came = self.hops[hop].received / LEN[hop] - before;
                if let Some(ack) = ack {
                    self.handle_ack(now, BACK[hop], &ack);
                }
                self.pass_on(now, hop, came);
                if at_once {
                    self.ack(now, hop);
                }
            }
            TcpEvent::Look(hop) => {
                self.hops[hop].look_at = self.hops[hop].look_at.filter(|at| *at > now);
                if self.hops[hop].ack_at.is_some_and(|at| at <= now) {
                    self.ack(now, hop);
                }
                if let Some((_, probe)) = self.hops[hop].timer().filter(|(at, _)| *at <= now) {
                    self.hops[hop].handle_timer(probe);
                    self.hops[hop].timer_from = now;
                    self.send(now, hop);
                }
            }
        }
        for hop in 0..4 {
            let timers = [self.hops[hop].ack_at, self.hops[hop].timer().map(|(at, _)| at)];
            let next = timers.into_iter().flatten().min();
            if let Some(at) = next.filter(|next| self.hops[hop].look_at.is_none_or(|look| *next < look)) {
                self.hops[hop].look_at = Some(at);
                self.event_queue.push(at.max(now), TcpEvent::Look(hop));
            }
        }
    }

    fn pass_on(&mut self, now: Tick, hop: usize, count: u64) {
        match NEXT[hop] {
            Some(next) if count > 0 => self.write(now, next, count * LEN[next]),
            Some(_) => {}
            None => {
                let first = self.latencies.len();
                let came = &self.written_at[first..first + count as usize];
                self.latencies.extend(came.iter().map(|given| now.since(*given)));
            }
        }
    }

    fn write(&mut self, now: Tick, hop: usize, len: u64) {
        self.hops[hop].written += len;
        self.send(now, hop);
    }

    fn handle_ack(&mut self, now: Tick, hop: usize, ack: &Ack) {
        self.hops[hop].handle_ack(now, ack);
        self.send(now, hop);
    }

    fn send(&mut self, now: Tick, hop: usize) {
        while let Some((start, end)) = self.hops[hop].next_segment(now) {
            let ack = self.hops[BACK[hop]].take_ack();
            if !chance(&mut self.rng, self.loss) {
                self.event_queue.push(now + self.delay, TcpEvent::Arrives { hop, start, end, ack });
            }
        }
    }

    fn ack(&mut self, now: Tick, hop: usize) {
        if let Some(ack) = self.hops[hop].take_ack()
            && !chance(&mut self.rng, self.loss)
        {
            self.event_queue.push(now + self.delay, TcpEvent::Acked { hop, ack });
        }
    }
}

#[cfg(test)]
mod tests {
    use queqiao::base::{LetterId, Mark, OutboxId, Wall};
    use queqiao::wire::letter::encode_text;
    use queqiao::wire::message::{Delivery, KIND_TEXT, Letter, ToClient, ToRelay};

    use super::*;

    const RTT: Duration = Duration::from_millis(50);
    /// Length prefix of a message in a stream, from 64 bytes on.
    const HEAD: usize = 2;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1_000)
    }

    #[test]
    fn lost_letter_waits_for_time_out_others_two_round_trips() {
        let mut clear = Tcp::new(1, 0, RTT);
        clear.write_at(at(0));
        assert_eq!(clear.run(), at(100));
        let mut lossy = Tcp::new(1, 200, RTT);
        (0..200).for_each(|letter| lossy.write_at(at(letter * 2_000)));
        lossy.run();
        let worst = lossy.latencies.iter().max().unwrap();
        assert!(lossy.latencies.iter().all(|latency| *latency >= 2 * RTT));
        assert!(*worst >= 2 * RTT + VARIATION_MIN, "{worst:?}");
    }

    #[test]
    fn window_doubles_each_round_trip_without_loss() {
        let mut tcp = Tcp::new(1, 0, RTT);
        (0..1_000).for_each(|_| tcp.write_at(at(0)));
        let took = tcp.run().since(at(0));
        assert!((4 * RTT..8 * RTT).contains(&took), "{took:?}");
    }

    #[test]
    fn modelled_letters_have_length_of_real_ones() {
        let now = Wall(1_750_000_000_000);
        let body = encode_text(&format!("{:<100}", 7), now);
        let id = LetterId { outbox: OutboxId(7), number: 7 };
        let prev = 6;
        let kind = KIND_TEXT;
        let mut up = Vec::new();
        let mut down = Vec::new();
        ToRelay::Letter(Letter { to: "JACK", id, prev, mark: Mark(1), kind, body: &body }).encode(&mut up);
        ToClient::Delivery(Delivery {
            from: "TOM",
            id,
            prev,
            accepted: now,
            mark: Mark(1),
            kind,
            body: &body,
        })
        .encode(&mut down);
        assert_eq!([(up.len() + HEAD) as u64, (down.len() + HEAD) as u64], LEN[..2]);
    }

    #[test]
    fn unused_window_does_not_grow() {
        let mut tcp = Tcp::new(1, 0, RTT);
        (0..100).for_each(|letter| tcp.write_at(at(letter * 200)));
        tcp.run();
        assert!(tcp.hops.iter().all(|hop| hop.window == WINDOW_INITIAL));
    }
}
