//! JSON Lines for scripts: one object for each letter (RFC 8259, one a line). Keys are never translated or changed.

use serde::Serialize;

use crate::base::{Name, PublicKey, Wall};
use crate::client::{Incoming, Progress, Said};

use super::clock::rfc3339;
use super::plain::{DAMAGED, OLD_COPY};

#[derive(Serialize)]
struct Letter<'a> {
    from: &'a str,
    relay: String,
    id: String,
    text: Option<&'a str>,
    at: Option<String>,
    via: &'static str,
    contact: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_like: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<&'static str>,
    #[serde(skip_serializing_if = "is_zero")]
    missing: u64,
}

/// Who wrote a letter, as far as the address book knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The user's name for them; `None` for a stranger.
    pub contact: Option<String>,
    /// The contact that a stranger's name looks like.
    pub looks_like: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A letter as one object on one line, without the new line: `from` (the member's name), `relay`,
/// `id`, `text` (exactly as it was written), `at` (RFC 3339 in UTC with milliseconds, `null` beyond
/// the year 9999), `via` (`udp` or `tcp`), `contact` (the user's name for the sender, `null` for
/// one who is not in the address book), `looks_like` (the contact whose name a stranger's could be
/// mistaken for) where there is one, `guest` (`left` or `ended`, with an empty text) where the
/// relay says so about a guest, `missing` where letters before it never came, and `state`:
/// `damaged` for a letter that the disk has damaged since, whose `text` is what can be read of it,
/// or `null`. All characters that a terminal could act on are escaped.
pub fn letter(letter: &Incoming, sender: &Sender) -> String {
    let object = Letter {
        from: letter.from.as_str(),
        relay: letter.relay.to_string(),
        id: letter.id.to_string(),
        text: text(&letter.text, letter.damaged),
        at: rfc3339(letter.at),
        via: letter.via.as_str(),
        contact: sender.contact.as_deref(),
        state: letter.damaged.then_some(DAMAGED),
        looks_like: sender.looks_like.as_deref(),
        guest: letter.note.map(|note| note.word()),
        missing: letter.missing,
    };
    escape(&serde_json::to_string(&object).expect("texts and numbers always serialise"))
}

#[derive(Serialize)]
struct OfMember<'a> {
    member: &'a str,
    fingerprint: String,
    registered: Option<String>,
    seen: Option<String>,
}

/// A member of a relay as one object on one line: `member`, `fingerprint` of its key, `registered` and `seen`, which is
/// `null` where it is not known (both as `at` in [`letter`]).
pub fn member(name: &Name, key: &PublicKey, registered: Wall, seen: Option<Wall>) -> String {
    let member = name.as_str();
    let (registered, seen) = (rfc3339(registered), seen.and_then(rfc3339));
    let object = OfMember { member, fingerprint: key.fingerprint(), registered, seen };
    escape(&serde_json::to_string(&object).expect("texts always serialise"))
}

#[derive(Serialize)]
struct OfInvitation<'a> {
    invited: Option<&'a str>,
    until: Option<String>,
}

/// An invitation that waits as one object on one line: `invited`, the name it is for or `null`, and `until`.
pub fn invitation(name: Option<&Name>, until: Wall) -> String {
    let object = OfInvitation { invited: name.map(Name::as_str), until: rfc3339(until) };
    escape(&serde_json::to_string(&object).expect("texts always serialise"))
}

#[derive(Serialize)]
struct OfHistory<'a> {
    from: &'a str,
    to: &'a str,
    id: String,
    text: Option<&'a str>,
    at: Option<String>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    missing: u64,
}

/// A letter of the history of the member `me` as one object on one line: `from` and `to` (members'
/// names), `id`, `text`, `at` (as in [`letter`]), `state` (`queued`, `accepted`, `waiting`,
/// `delivered`, `read`; a letter that came in was delivered, and read once it was shown), `until`
/// for one that waits in a mailbox, `missing` and `guest` as in [`letter`], which is `closed` where
/// this member ended the conversation. A letter that the disk has damaged is `damaged` whatever its
/// state, its `text` is what can be read of it, or `null`.
pub fn said(said: &Said, me: &str) -> String {
    let member = said.member.as_str();
    let (from, to) = if said.by_me { (me, member) } else { (member, me) };
    let until = if let (Progress::Waiting { until }, false) = (said.state, said.damaged) {
        rfc3339(until)
    } else {
        None
    };
    let object = OfHistory {
        from,
        to,
        id: said.id.to_string(),
        text: text(&said.text, said.damaged),
        at: rfc3339(said.at),
        state: match said.state {
            _ if said.damaged => DAMAGED,
            _ if said.is_old_copy => OLD_COPY,
            state => state.as_str(),
        },
        guest: said.note.map(|note| note.word()),
        until,
        missing: said.missing,
    };
    escape(&serde_json::to_string(&object).expect("texts and numbers always serialise"))
}

/// What a letter says; `None` where nothing can be read of a damaged one.
const fn text(text: &str, damaged: bool) -> Option<&str> {
    if damaged && text.is_empty() { None } else { Some(text) }
}

/// Escapes what JSON permits and a terminal or a reader could be fooled by; it stands inside strings only.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_inert(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// Not a control (C0, DEL, C1), a line or paragraph separator, an invisible or bidirectional format character, or a tag.
const fn is_inert(c: char) -> bool {
    !matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Carrier, LetterId, OutboxId};
    use proptest::prelude::*;

    fn incoming(text: &str) -> Incoming {
        Incoming {
            relay: "[::1]:8081".parse().unwrap(),
            from: "一棵树".parse().unwrap(),
            id: LetterId { outbox: OutboxId(0xabc), number: 2 },
            text: text.to_owned(),
            at: Wall(1_719_835_385_678),
            via: Carrier::Udp,
            missing: 0,
            damaged: false,
            note: None,
        }
    }

    /// An own letter that waits, in the history.
    fn outgoing(text: &str) -> Said {
        Said {
            by_me: true,
            relay: "[::1]:8081".parse().unwrap(),
            member: "一棵树".parse().unwrap(),
            id: LetterId { outbox: OutboxId(0xabc), number: 2 },
            text: text.to_owned(),
            at: Wall(1_719_835_385_678),
            state: Progress::Waiting { until: Wall(1_719_835_386_000) },
            via: None,
            missing: 0,
            damaged: false,
            is_old_copy: false,
            note: None,
        }
    }

    #[test]
    fn a_letter_is_one_object_with_the_promised_keys() {
        assert_eq!(
            letter(&incoming("不约\n\"x\""), &Sender { contact: Some("树".to_owned()), looks_like: None }),
            r#"{"from":"一棵树","relay":"[::1]:8081","id":"0000000000000abc-2","text":"不约\n\"x\"","at":"2024-07-01T12:03:05.678Z","via":"udp","contact":"树"}"#
        );
    }

    #[test]
    fn a_gap_and_an_absurd_time_are_told() {
        let line = letter(
            &Incoming { missing: 2, at: Wall(u64::MAX), ..incoming("") },
            &Sender { contact: None, looks_like: Some("树".to_owned()) },
        );
        assert!(
            line.ends_with(r#""at":null,"via":"udp","contact":null,"looks_like":"树","missing":2}"#),
            "{line}"
        );
    }

    #[test]
    fn a_letter_of_the_history_tells_both_ends_and_its_state() {
        let mut letter = outgoing("不约");
        assert_eq!(
            said(&letter, "TOM"),
            r#"{"from":"TOM","to":"一棵树","id":"0000000000000abc-2","text":"不约","at":"2024-07-01T12:03:05.678Z","state":"waiting","until":"2024-07-01T12:03:06.000Z"}"#
        );
        (letter.by_me, letter.state, letter.missing) = (false, Progress::Read, 2);
        assert_eq!(
            said(&letter, "TOM"),
            r#"{"from":"一棵树","to":"TOM","id":"0000000000000abc-2","text":"不约","at":"2024-07-01T12:03:05.678Z","state":"read","missing":2}"#
        );
    }

    #[test]
    fn row_71_a_damaged_letter_says_so_and_has_the_text_that_can_be_read_or_null() {
        let line = |text| letter(&Incoming { damaged: true, ..incoming(text) }, &Sender::default());
        assert!(
            line("hx").contains(r#""text":"hx","#) && line("hx").contains(r#","state":"damaged"}"#),
            "{}",
            line("hx")
        );
        assert!(line("").contains(r#""text":null,"#), "{}", line(""));
        assert!(letter(&incoming(""), &Sender::default()).contains(r#""text":"","#), "nobody writes null");
        let mut letter = Said { damaged: true, ..outgoing("") };
        assert_eq!(
            said(&letter, "TOM"),
            r#"{"from":"TOM","to":"一棵树","id":"0000000000000abc-2","text":null,"at":"2024-07-01T12:03:05.678Z","state":"damaged"}"#
        );
        letter.text = "hx".to_owned();
        assert!(said(&letter, "TOM").contains(r#""text":"hx","#));
    }

    proptest! {
        #[test]
        fn any_text_reads_back_and_holds_nothing_a_terminal_acts_on(text in any::<String>()) {
            let text = format!("{text}\x1b]52;c;x\x07\u{9b}\u{7f}\u{202e}\u{2028}\u{e0041}");
            let line = letter(&incoming(&text), &Sender::default());
            prop_assert!(line.chars().all(|c| !c.is_control() && is_inert(c)));
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(object["text"].as_str().unwrap(), text);
        }
    }
}
