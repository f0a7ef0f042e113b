//! Relays that are not reached, told of together: an address book may name thousands that are gone.

use std::time::Duration;

use crate::base::{HostPort, Phrase, Tick};
use crate::client::Unreached;

use super::notice;

/// Unreached relays are reported when no further one came for this long. Relays are tried within a
/// few seconds of each other.
const QUIET: Duration = Duration::from_secs(1);
/// And this long after the first of them, whatever comes.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Relays that were not reached and are not told of yet.
#[derive(Debug, Default)]
pub struct NotReached {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    relay: HostPort,
    why: Unreached,
    others: usize,
    since: Tick,
    last: Tick,
}

impl NotReached {
    /// Takes in that a relay was not reached, one of this many. Returns what is said at once: all
    /// there is where it is the only one, and what the user has to decide.
    pub fn put(&mut self, now: Tick, relay: &HostPort, why: &Unreached, relays: usize) -> Option<Phrase> {
        let waits = matches!(why, Unreached::Silent | Unreached::NoSuchHost | Unreached::NoTcpListener);
        if relays <= 1 || !waits {
            return Some(notice::unreached(relay, why));
        }
        match &mut self.held {
            Some(held) => (held.others, held.last) = (held.others + 1, now),
            None => {
                let (relay, why) = (relay.clone(), *why);
                self.held = Some(Held { relay, why, others: 0, since: now, last: now });
            }
        }
        None
    }

    /// Lets time pass. Returns what is said now.
    pub fn handle_time(&mut self, now: Tick) -> Option<Phrase> {
        let held = self.held.take_if(|held| held.due() <= now)?;
        Some(match held.others {
            0 => notice::unreached(&held.relay, &held.why),
            others => Phrase::new("relays-silent").with("relay", &held.relay).with("count", others),
        })
    }

    /// When [`NotReached::handle_time`] has something to say.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.held.as_ref().map(Held::due)
    }
}

impl Held {
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
    fn the_only_relay_is_told_of_at_once_and_as_ever() {
        let mut relays = NotReached::default();
        let phrase = relays.put(at(0), &relay(0), &Unreached::Silent, 1);
        assert_eq!(phrase, Some(notice::unreached(&relay(0), &Unreached::Silent)));
        assert_eq!(relays.next_deadline(), None);
    }

    #[test]
    fn thousands_are_one_line_in_both_languages() {
        let mut relays = NotReached::default();
        for n in 0..1_500 {
            assert_eq!(relays.handle_time(at(n)), None);
            assert_eq!(relays.put(at(n), &relay(n), &Unreached::Silent, 1_501), None);
        }
        let due = relays.next_deadline().unwrap();
        assert_eq!(due, at(1_499) + QUIET);
        let phrase = relays.handle_time(due).unwrap();
        let said = |lang| Strings::new(lang).say(&phrase);
        let english = "no relay answers at 127.0.0.1:8081 and 1499 others; start one: queqiao relay --tcp";
        assert_eq!(said(Lang::En), english);
        assert_eq!(said(Lang::Zh), "127.0.0.1:8081 及另外 1499 处没有中继应答;启动一个: queqiao relay --tcp");
        assert_eq!((relays.handle_time(due), relays.next_deadline()), (None, None));
    }

    #[test]
    fn one_of_several_is_told_of_as_if_it_were_alone() {
        let mut relays = NotReached::default();
        assert_eq!(relays.put(at(0), &relay(0), &Unreached::NoSuchHost, 2), None);
        let phrase = relays.handle_time(at(1_000));
        assert_eq!(phrase, Some(notice::unreached(&relay(0), &Unreached::NoSuchHost)));
    }

    #[test]
    fn two_of_several_are_one_line() {
        let mut relays = NotReached::default();
        (0..2).for_each(|n| drop(relays.put(at(n), &relay(n), &Unreached::Silent, 3)));
        let said = Strings::new(Lang::En).say(&relays.handle_time(at(2_000)).unwrap());
        assert_eq!(said, "no relay answers at 127.0.0.1:8081 and 1 other; start one: queqiao relay --tcp");
    }

    #[test]
    fn what_needs_a_decision_is_said_at_once() {
        let mut relays = NotReached::default();
        let key = |byte| PublicKey([byte; 32]);
        let why = Unreached::KeyChanged { pinned: key(1), offered: key(2) };
        assert!(relays.put(at(0), &relay(0), &why, 1_500).is_some());
    }

    #[test]
    fn a_row_without_end_is_told_of_after_ten_seconds() {
        let mut relays = NotReached::default();
        let said = (0..20_000).step_by(500).filter_map(|n| {
            relays.put(at(n), &relay(n % 9), &Unreached::Silent, 9);
            relays.handle_time(at(n))
        });
        assert_eq!(said.count(), 1);
    }
}
