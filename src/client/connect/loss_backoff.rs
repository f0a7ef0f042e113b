//! Limits handshakes with a relay whose sessions are lost as soon as they begin. Examples: a relay
//! that resets each session, two relays behind one address, a relay that closes every connection.

use std::time::Duration;

use crate::base::{Rng, Tick};
use crate::client::attempt::pause;

use super::{BACKOFF_MAX, BACKOFF_MIN};

/// A loss counts as the first again if it occurs this long after the last loss and the last
/// handshake.
const CALM_AFTER: Duration = Duration::from_secs(10);

/// Consecutive session losses, and the pause after them.
#[derive(Debug, Default)]
pub(in crate::client) struct LossBackoff {
    /// Losses less than [`CALM_AFTER`] apart.
    losses: u32,
    /// Time of the last loss or handshake.
    last: Option<Tick>,
    /// No handshake begins before this time.
    held_until: Option<Tick>,
}

impl LossBackoff {
    /// Records a completed handshake.
    pub(super) fn record_handshake(&mut self, now: Tick) {
        self.last = Some(now);
        self.held_until = None;
    }

    /// Records a lost session. The first handshake after it is immediate, later ones wait 1, 2, 4 …
    /// 30 s with jitter.
    pub(in crate::client) fn record_loss(&mut self, now: Tick, rng: &mut Rng) {
        if self.is_holding(now) {
            return;
        }
        if self.last.is_none_or(|last| now.since(last) >= CALM_AFTER) {
            self.losses = 0;
        }
        self.losses = self.losses.saturating_add(1);
        self.last = Some(now);
        if let Some(doublings) = self.losses.checked_sub(2) {
            let longest = (BACKOFF_MIN * (1 << doublings.min(5))).min(BACKOFF_MAX);
            self.held_until = Some(now + pause(longest, rng));
        }
    }

    /// Whether a handshake must wait.
    pub(in crate::client) fn is_holding(&self, now: Tick) -> bool {
        self.held_until.is_some_and(|until| until > now)
    }

    /// Whether a pause has ended, so that a handshake is due. Returns `true` once for each pause.
    pub(super) fn is_over(&mut self, now: Tick) -> bool {
        self.held_until.take_if(|until| *until <= now).is_some()
    }

    pub(super) const fn next_deadline(&self) -> Option<Tick> {
        self.held_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Performs a handshake, and loses the session after `lived`. Returns how long the next
    /// handshake waits.
    fn wait_after(backoff: &mut LossBackoff, now: &mut Tick, rng: &mut Rng, lived: Duration) -> Duration {
        backoff.record_handshake(*now);
        *now = *now + lived;
        backoff.record_loss(*now, rng);
        let until = backoff.next_deadline().filter(|_| backoff.is_holding(*now)).unwrap_or(*now);
        let wait = until.since(*now);
        *now = until;
        assert_eq!(backoff.is_over(*now), !wait.is_zero());
        wait
    }

    #[test]
    fn second_loss_waits_1_s_and_later_ones_twice_as_long() {
        let mut backoff = LossBackoff::default();
        let mut now = Tick::from_micros(9);
        let mut rng = Rng::from_seed([1; 32]);
        let short = Duration::from_millis(1);
        for longest in [0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = wait_after(&mut backoff, &mut now, &mut rng, short).as_millis();
            assert!(wait <= longest && wait >= longest / 2, "{wait} of {longest} ms");
        }
        assert_eq!(wait_after(&mut backoff, &mut now, &mut rng, CALM_AFTER), Duration::ZERO, "calm again");
        assert_ne!(wait_after(&mut backoff, &mut now, &mut rng, short), Duration::ZERO);
    }

    /// The pause ends when it would have ended without further losses.
    #[test]
    fn loss_during_pause_does_not_lengthen_it() {
        let mut backoff = LossBackoff::default();
        let now = Tick::from_micros(9);
        let mut rng = Rng::from_seed([1; 32]);
        (0..2).for_each(|_| backoff.record_loss(now, &mut rng));
        let until = backoff.next_deadline();
        assert!(until.is_some() && backoff.is_holding(now));
        (0..100).for_each(|_| backoff.record_loss(now, &mut rng));
        assert_eq!(backoff.next_deadline(), until);
    }
}
