//! Lines of text for users and scripts: one letter or result per line, never translated.

use crate::base::{LetterId, Wall, sanitize};
use crate::client::{HistoryEntry, Incoming};
use crate::wire::message::Reason;

use super::time_format::TimeFormat;

/// Word in place of the carrier or state of a letter that was damaged on disk.
pub(super) const DAMAGED: &str = "damaged";
/// Word in place of the state of a letter from an old copy; that of [`Reason::OldCopy`].
pub(super) const OLD_COPY: &str = "old-copy";

/// Formats a letter on one line: `12:03:05 JACK [udp] text`, with newlines as `\n`. A relay's
/// report about a guest is `12:03:05 guest-127.0.0.1-9 [left]`, or `[ended]`.
pub fn letter(letter: &Incoming, who: &str, time_format: &TimeFormat, now: Wall) -> String {
    if let Some(note) = letter.note {
        return format!("{} {who} [{}]", time_format.format(letter.at, now), note.word());
    }
    let text = sanitize(letter.text.trim_end_matches('\n')).replace('\n', "\\n");
    let how = if letter.damaged { DAMAGED } else { letter.via.as_str() };
    format!("{} {} [{how}] {text}", time_format.format(letter.at, now), super::style::one_line(who))
}

/// Returns the word for the state of a letter in the history.
pub fn state_word(entry: &HistoryEntry) -> &'static str {
    match entry.state {
        _ if entry.damaged => DAMAGED,
        _ if entry.is_old_copy => OLD_COPY,
        state => state.as_str(),
    }
}

/// Formats a letter of the history on one line, with its date and newlines as `\n`. A letter of
/// `me` has its `state`: `2026-12-01 12:03:05 TOM → JACK [delivered] text`. A received one has its
/// state and carrier: `2026-12-01 12:03:05 JACK → TOM [read udp] text`. Reports about a guest are
/// formatted as in [`letter`], or `[closed]` if `me` ended the conversation.
pub fn history_entry(
    entry: &HistoryEntry,
    me: &str,
    who: &str,
    state: &str,
    time_format: &TimeFormat,
) -> String {
    let at = time_format.date_time(entry.at);
    if let Some(note) = entry.note {
        return format!("{at} {who} [{}]", note.word());
    }
    let text = sanitize(entry.text.trim_end_matches('\n')).replace('\n', "\\n");
    let me = super::style::one_line(me);
    let who = super::style::one_line(who);
    let (from, to) = if entry.by_me { (me, who) } else { (who, me) };
    let mut how = state.to_owned();
    if let (Some(via), false) = (entry.via, entry.damaged) {
        how += &format!(" {}", via.as_str());
    }
    format!("{at} {from} → {to} [{how}] {text}")
}

/// Returns `delivered ID`.
pub fn delivered(id: LetterId) -> String {
    format!("delivered {id}")
}

/// Returns `accepted ID`.
pub fn accepted(id: LetterId) -> String {
    format!("accepted {id}")
}

/// Returns `refused ID REASON`, followed by ` (may have arrived)` if that is so.
pub fn refused(id: LetterId, reason: Reason, may_have_arrived: bool) -> String {
    let doubt = if may_have_arrived { " (may have arrived)" } else { "" };
    format!("refused {id} {}{doubt}", reason.word())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Carrier, OutboxId};
    use crate::wire::letter::GuestEvent;
    use jiff::tz::TimeZone;

    const ID: LetterId = LetterId { outbox: OutboxId(1), number: 7 };

    #[test]
    fn letter_of_two_lines_is_one_line() {
        let now = Wall(1_719_835_385_678);
        let incoming = Incoming {
            relay: "127.0.0.1:8081".parse().unwrap(),
            from: "JACK".parse().unwrap(),
            id: ID,
            text: "不约\n12:03:05 TOM [udp] forged\n".to_owned(),
            note: None,
            at: now,
            via: Carrier::Tcp,
            missing: 0,
            damaged: false,
        };
        let line = letter(&incoming, "JACK", &TimeFormat::new(TimeZone::UTC), now);
        assert_eq!(line, "12:03:05 JACK [tcp] 不约\\n12:03:05 TOM [udp] forged");
    }

    #[test]
    fn guest_report_has_no_text_and_no_guest_can_forge_it() {
        let now = Wall(1_719_835_385_678);
        let says = |text: &str, note| Incoming {
            relay: "127.0.0.1:8081".parse().unwrap(),
            from: "guest-127.0.0.1-9".parse().unwrap(),
            id: ID,
            text: text.to_owned(),
            note,
            at: now,
            via: Carrier::Udp,
            missing: 0,
            damaged: false,
        };
        let line =
            |text, note| letter(&says(text, note), "guest-127.0.0.1-9", &TimeFormat::new(TimeZone::UTC), now);
        assert_eq!(line("", Some(GuestEvent::Left)), "12:03:05 guest-127.0.0.1-9 [left]");
        assert_eq!(line("", Some(GuestEvent::Ended)), "12:03:05 guest-127.0.0.1-9 [ended]");
        assert_eq!(line("left", None), "12:03:05 guest-127.0.0.1-9 [udp] left");
    }

    #[test]
    fn history_is_printed_line_by_line() {
        use crate::base::Wall;
        use crate::client::{HistoryEntry, Progress};
        let now = Wall(1_719_835_385_678);
        let letter = |number: u64, state, text: &str| HistoryEntry {
            by_me: number < 4,
            relay: "127.0.0.1:8081".parse().unwrap(),
            member: "JACK".parse().unwrap(),
            id: LetterId { outbox: OutboxId(1), number },
            text: text.to_owned(),
            note: None,
            at: Wall(now.0 - (6 - number) * 40_000_000),
            state,
            via: (number >= 4).then_some(Carrier::Tcp),
            missing: 0,
            damaged: false,
            is_old_copy: false,
        };
        let entries = [
            letter(1, Progress::Read, "约不"),
            letter(2, Progress::Waiting { until: Wall(now.0 * 2) }, "a\nb"),
            letter(3, Progress::Queued, "\x1b[2J"),
            letter(5, Progress::Delivered, "不约\n"),
            HistoryEntry { damaged: true, ..letter(5, Progress::Read, "hx") },
            HistoryEntry { is_old_copy: true, ..letter(2, Progress::Queued, "c") },
        ];
        let time_format = TimeFormat::new(TimeZone::UTC);
        let lines = entries.map(|letter| {
            super::history_entry(&letter, "TOM", "Jacky", super::state_word(&letter), &time_format)
        });
        assert_eq!(
            lines.join("\n"),
            "\
2024-06-29 04:29:45 TOM → Jacky [read] 约不
2024-06-29 15:36:25 TOM → Jacky [waiting] a\\nb
2024-06-30 02:43:05 TOM → Jacky [queued] \\u{1b}[2J
2024-07-01 00:56:25 Jacky → TOM [delivered tcp] 不约
2024-07-01 00:56:25 Jacky → TOM [damaged] hx
2024-06-29 15:36:25 TOM → Jacky [old-copy] c"
        );
    }

    #[test]
    fn send_results_have_documented_form() {
        assert_eq!(delivered(ID), "delivered 0000000000000001-7");
        assert_eq!(accepted(ID), "accepted 0000000000000001-7");
        assert_eq!(refused(ID, Reason::TooLong, false), "refused 0000000000000001-7 too-long");
        let line = refused(ID, Reason::OldCopy, true);
        assert_eq!(line, "refused 0000000000000001-7 old-copy (may have arrived)");
    }
}
