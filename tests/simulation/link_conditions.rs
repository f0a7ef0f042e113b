//! Conditions of one direction of a client's line. They cover loss, bursts, copies, reordering,
//! flipped bits, delay, a rate with a queue before it, a maximum size, and holes.

use std::time::Duration;

use queqiao::base::{Rng, Tick};

use super::coverage::{Count, Coverage};

/// Link conditions. Chances are in thousandths.
#[derive(Clone, Debug)]
pub struct LinkConditions {
    pub loss: u64,
    /// Chance that a burst of losses begins with a packet. A burst lasts 8 packets on average.
    pub burst: u64,
    pub copies: u64,
    pub reordered: u64,
    pub corrupt: u64,
    pub delay: Duration,
    pub jitter: Duration,
    /// Bytes per second; 0 is unlimited.
    pub rate: u64,
    /// Bytes that may wait before the bottleneck.
    pub queue: u64,
    /// Largest datagram, in bytes. TCP finds its own size.
    pub mtu: usize,
    pub udp_hole: bool,
    /// Datagrams that still pass before the hole begins.
    pub udp_left: Option<u32>,
    pub tcp_hole: bool,
}

impl LinkConditions {
    pub fn clear(delay: Duration) -> LinkConditions {
        LinkConditions {
            loss: 0,
            burst: 0,
            copies: 0,
            reordered: 0,
            corrupt: 0,
            delay,
            jitter: Duration::ZERO,
            rate: 0,
            queue: 64 * 1024,
            mtu: 1500,
            udp_hole: false,
            udp_left: None,
            tcp_hole: false,
        }
    }
}

/// One direction of one line.
pub struct LinkDirection {
    pub conditions: LinkConditions,
    in_burst: bool,
    busy_until: Tick,
}

/// One copy of a datagram that will arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub at: Tick,
    /// A bit that is flipped on the way.
    pub flipped: Option<usize>,
}

pub fn chance(rng: &mut Rng, thousandths: u64) -> bool {
    thousandths > 0 && rng.below(1000) < thousandths
}

impl LinkDirection {
    pub fn new(delay: Duration) -> LinkDirection {
        LinkDirection { conditions: LinkConditions::clear(delay), in_burst: false, busy_until: Tick::ZERO }
    }

    /// Returns the arriving copies of a datagram that is sent now, none if it is lost.
    pub fn transmit(
        &mut self,
        now: Tick,
        len: usize,
        rng: &mut Rng,
        coverage: &mut Coverage,
    ) -> Vec<Arrival> {
        if let Some(cause) = self.loss_cause(len, rng) {
            coverage.add(cause);
            return Vec::new();
        }
        let Some(leaves) = self.pass_bottleneck(now, len) else {
            coverage.add(Count::LostInQueue);
            return Vec::new();
        };
        let mut arrivals = vec![self.arrival(leaves, len, rng, coverage)];
        if chance(rng, self.conditions.copies) {
            coverage.add(Count::Copied);
            arrivals.push(self.arrival(leaves, len, rng, coverage));
        }
        arrivals
    }

    /// Returns when TCP data that leaves now arrives. A lost segment arrives a retransmission
    /// later.
    pub fn transmit_segment(&mut self, now: Tick, len: usize, rng: &mut Rng) -> Tick {
        let leaves = self.pass_bottleneck(now, len).unwrap_or(self.busy_until.max(now));
        let late = if chance(rng, self.conditions.loss.min(500)) {
            self.conditions.delay * 2 + Duration::from_millis(200)
        } else {
            Duration::ZERO
        };
        leaves + self.conditions.delay + late
    }

    fn loss_cause(&mut self, len: usize, rng: &mut Rng) -> Option<Count> {
        let ends = 125;
        let begins = chance(rng, self.conditions.burst);
        self.in_burst = self.conditions.burst > 0 && if self.in_burst { !chance(rng, ends) } else { begins };
        self.conditions.udp_hole |= self.conditions.udp_left == Some(0);
        self.conditions.udp_left = self.conditions.udp_left.map(|left| left.saturating_sub(1));
        let conditions = &self.conditions;
        if conditions.udp_hole {
            return Some(Count::LostInHole);
        }
        if len > conditions.mtu {
            return Some(Count::LostForSize);
        }
        if self.in_burst {
            return Some(Count::LostInBurst);
        }
        chance(rng, conditions.loss).then_some(Count::LostAlone)
    }

    fn pass_bottleneck(&mut self, now: Tick, len: usize) -> Option<Tick> {
        let LinkConditions { rate, queue, .. } = self.conditions;
        if rate == 0 {
            return Some(now);
        }
        let start = self.busy_until.max(now);
        let waiting = start.since(now).as_micros() as u64 * rate / 1_000_000;
        if waiting + len as u64 > queue {
            return None;
        }
        self.busy_until = start + Duration::from_micros(len as u64 * 1_000_000 / rate);
        Some(self.busy_until)
    }

    fn arrival(&self, leaves: Tick, len: usize, rng: &mut Rng, coverage: &mut Coverage) -> Arrival {
        let conditions = &self.conditions;
        let mut at = leaves + conditions.delay + below(rng, conditions.jitter);
        if chance(rng, conditions.reordered) {
            coverage.add(Count::Reordered);
            at = at + conditions.delay / 2 + below(rng, Duration::from_millis(50));
        }
        let flipped = chance(rng, conditions.corrupt).then(|| rng.below(len as u64 * 8) as usize);
        if flipped.is_some() {
            coverage.add(Count::Corrupted);
        }
        Arrival { at, flipped }
    }
}

pub fn below(rng: &mut Rng, span: Duration) -> Duration {
    Duration::from_micros(rng.below(span.as_micros() as u64 + 1))
}
