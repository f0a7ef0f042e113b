//! Lines of text for people and scripts alike: one letter or one result a line, never translated.

use crate::base::{LetterId, Wall, harmless};
use crate::client::Incoming;
use crate::wire::message::Reason;

use super::clock::Clock;

/// A letter on one line: `12:03:05 JACK [udp] text`. A new line in the text is shown as `\n`.
pub fn letter(letter: &Incoming, who: &str, clock: &Clock, now: Wall) -> String {
    let text = harmless(letter.text.trim_end_matches('\n')).replace('\n', "\\n");
    format!("{} {} [{}] {text}", clock.show(letter.at, now), super::paint::one_line(who), letter.via)
}

/// `delivered ID`.
pub fn delivered(id: LetterId) -> String {
    format!("delivered {id}")
}

/// `accepted ID`.
pub fn accepted(id: LetterId) -> String {
    format!("accepted {id}")
}

/// `refused ID REASON`, with ` (may have arrived)` where that is so.
pub fn refused(id: LetterId, reason: Reason, may_have_arrived: bool) -> String {
    let doubt = if may_have_arrived { " (may have arrived)" } else { "" };
    format!("refused {id} {}{doubt}", reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Carrier, OutboxId};
    use jiff::tz::TimeZone;

    const ID: LetterId = LetterId { outbox: OutboxId(1), number: 7 };

    #[test]
    fn a_letter_of_two_lines_is_one_line() {
        let now = Wall(1_719_835_385_678);
        let incoming = Incoming {
            relay: "127.0.0.1:8081".parse().unwrap(),
            from: "JACK".parse().unwrap(),
            id: ID,
            text: "不约\n12:03:05 TOM [udp] forged\n".to_owned(),
            at: now,
            via: Carrier::Tcp,
            missing: 0,
        };
        let line = letter(&incoming, "JACK", &Clock::new(TimeZone::UTC), now);
        assert_eq!(line, "12:03:05 JACK [tcp] 不约\\n12:03:05 TOM [udp] forged");
    }

    #[test]
    fn results_of_sending_are_what_scripts_read() {
        assert_eq!(delivered(ID), "delivered 0000000000000001-7");
        assert_eq!(accepted(ID), "accepted 0000000000000001-7");
        assert_eq!(refused(ID, Reason::TooLong, false), "refused 0000000000000001-7 too-long");
        let line = refused(ID, Reason::Offline, true);
        assert_eq!(line, "refused 0000000000000001-7 offline (may have arrived)");
    }
}
