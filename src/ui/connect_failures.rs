//! Reports unreachable relays together: an address book may list thousands that are gone.

use std::time::Duration;

use crate::base::{HostPort, Phrase, Tick};
use crate::client::ConnectFailure;

use super::notice;

/// Unreachable relays are reported when no further one has been added for this long. 1 s: relays
/// are tried within a few seconds of each other.
const QUIET: Duration = Duration::from_secs(1);
/// Maximum delay of the report after the first of them.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Unreachable relays that are not reported yet.
#[derive(Debug, Default)]
pub struct ConnectFailures {
    held: Option<HeldFailure>,
}

#[derive(Debug)]
struct HeldFailure {
    relay: HostPort,
    reason: ConnectFailure,
    others: usize,
    /// Whether this machine's own network is at fault for one of them.
    is_of_machine: bool,
    since: Tick,
    last: Tick,
}

impl ConnectFailures {
    /// Records that one of `relays` relays is unreachable. Returns the phrase to show at once: if
    /// it is the only relay, or if the user must decide something.
    pub fn put(
        &mut self,
        now: Tick,
        relay: &HostPort,
        reason: &ConnectFailure,
        relays: usize,
    ) -> Option<Phrase> {
        if relays <= 1 || !reason.is_of_network() {
            return Some(notice::connect_failure(relay, reason));
        }
        match &mut self.held {
            Some(held) => {
                held.others += 1;
                held.is_of_machine |= is_of_machine(reason);
                held.last = now;
            }
            None => {
                let relay = relay.clone();
                let reason = *reason;
                self.held = Some(HeldFailure {
                    relay,
                    reason,
                    others: 0,
                    is_of_machine: is_of_machine(&reason),
                    since: now,
                    last: now,
                });
            }
        }
        None
    }

    /// Handles the passing of time. Returns the report if it is due.
    pub fn handle_time(&mut self, now: Tick) -> Option<Phrase> {
        let held = self.held.take_if(|held| held.due() <= now)?;
        Some(match held.others {
            0 => notice::connect_failure(&held.relay, &held.reason),
            others => {
                let key = match held.is_of_machine {
                    true => Phrase::new("relays-unreached"),
                    false => Phrase::new("relays-silent"),
                };
                key.with("relay", &held.relay).with("count", others)
            }
        })
    }

    /// Returns the time of the next report.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.held.as_ref().map(HeldFailure::due)
    }
}

/// Whether starting a relay would not help.
const fn is_of_machine(reason: &ConnectFailure) -> bool {
    !matches!(reason, ConnectFailure::Silent | ConnectFailure::NoSuchHost | ConnectFailure::NoTcpListener)
}

impl HeldFailure {
    fn due(&self) -> Tick {
        (self.last + QUIET).min(self.since + HELD_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PublicKey;
    use crate::ui::{Lang, Strings};

    fn at(millis: u64) -> Tick {
        Tick::from_micros(5_000_000 + millis * 1_000)
    }

    fn relay(n: u64) -> HostPort {
        format!("127.0.0.1:{}", 8_081 + n).parse().unwrap()
    }

    #[test]
    fn only_relay_is_reported_at_once_as_itself() {
        let mut relays = ConnectFailures::default();
        let phrase = relays.put(at(0), &relay(0), &ConnectFailure::Silent, 1);
        assert_eq!(phrase, Some(notice::connect_failure(&relay(0), &ConnectFailure::Silent)));
        assert_eq!(relays.next_deadline(), None);
    }

    #[test]
    fn thousands_are_one_line_in_both_languages() {
        let mut relays = ConnectFailures::default();
        for n in 0..1_500 {
            assert_eq!(relays.handle_time(at(n)), None);
            assert_eq!(relays.put(at(n), &relay(n), &ConnectFailure::Silent, 1_501), None);
        }
        let due = relays.next_deadline().unwrap();
        assert_eq!(due, at(1_499) + QUIET);
        let phrase = relays.handle_time(due).unwrap();
        let said = |lang| Strings::new(lang).say(&phrase);
        let english = "no relay answers at 127.0.0.1:8081 and 1499 others; start one: queqiao relay --tcp";
        assert_eq!(said(Lang::En), english);
        assert_eq!(
            said(Lang::Zh),
            "127.0.0.1:8081 及另外 1499 处没有中继响应；可用以下命令启动：queqiao relay --tcp"
        );
        assert_eq!(relays.handle_time(due), None);
        assert_eq!(relays.next_deadline(), None);
    }

    #[test]
    fn single_unreachable_relay_is_reported_as_if_it_were_alone() {
        let mut relays = ConnectFailures::default();
        assert_eq!(relays.put(at(0), &relay(0), &ConnectFailure::NoSuchHost, 2), None);
        let phrase = relays.handle_time(at(1_000));
        assert_eq!(phrase, Some(notice::connect_failure(&relay(0), &ConnectFailure::NoSuchHost)));
    }

    #[test]
    fn two_of_several_are_one_line() {
        let mut relays = ConnectFailures::default();
        (0..2).for_each(|n| drop(relays.put(at(n), &relay(n), &ConnectFailure::Silent, 3)));
        let said = Strings::new(Lang::En).say(&relays.handle_time(at(2_000)).unwrap());
        assert_eq!(said, "no relay answers at 127.0.0.1:8081 and 1 other; start one: queqiao relay --tcp");
    }

    #[test]
    fn fault_of_this_machine_does_not_ask_for_relay() {
        let mut relays = ConnectFailures::default();
        relays.put(at(0), &relay(0), &ConnectFailure::Silent, 3);
        relays.put(at(0), &relay(1), &ConnectFailure::NoRoute, 3);
        let said = Strings::new(Lang::En).say(&relays.handle_time(at(2_000)).unwrap());
        assert!(said.starts_with("127.0.0.1:8081 and 1 other cannot be reached"), "{said}");
    }

    #[test]
    fn failure_needing_decision_is_reported_at_once() {
        let mut relays = ConnectFailures::default();
        let key = |byte| PublicKey([byte; 32]);
        let reason = ConnectFailure::KeyChanged { pinned: key(1), offered: key(2) };
        assert!(relays.put(at(0), &relay(0), &reason, 1_500).is_some());
    }

    #[test]
    fn endless_failures_are_reported_after_10_s() {
        let mut relays = ConnectFailures::default();
        let said = (0..20_000).step_by(500).filter_map(|n| {
            relays.put(at(n), &relay(n % 9), &ConnectFailure::Silent, 9);
            relays.handle_time(at(n))
        });
        assert_eq!(said.count(), 1);
    }
}
