//! JSON Lines for scripts: one object per line (RFC 8259). Keys are never translated or changed.

use serde::Serialize;

use crate::base::{Name, PublicKey, Wall};
use crate::client::{HistoryEntry, Incoming, Progress};
use crate::contacts::Contact;

use super::plain::{DAMAGED, OLD_COPY};
use super::time_format::rfc3339;

#[derive(Serialize)]
struct JsonLetter<'a> {
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

/// Address book entry of a letter's sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonSender {
    /// The user's label for the sender; `None` if it is not in the address book.
    pub contact: Option<String>,
    /// Contact whose name looks like that of an unknown sender.
    pub looks_like: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Formats a letter as one object on one line, without the newline. All characters that a terminal
/// could interpret are escaped. Keys:
///
/// - `from`: name of the sender
/// - `relay`, `id`
/// - `text`: exactly as it was written
/// - `at`: RFC 3339 in UTC with milliseconds, or `null` before the year 2000 and beyond 9999
/// - `via`: `udp` or `tcp`
/// - `contact`: the user's label for the sender, or `null` if it is not in the address book
/// - `state`: `damaged` for a letter damaged on disk; its `text` is the readable part, or `null`
/// - `looks_like`: contact whose name looks like that of an unknown sender, if there is one
/// - `guest`: `left` or `ended` (with an empty text), if the relay reports that about a guest
/// - `missing`: number of letters before it that never arrived, if any
pub fn letter(letter: &Incoming, sender: &JsonSender) -> String {
    let object = JsonLetter {
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
    escape(&serde_json::to_string(&object).expect("strings and numbers always serialize"))
}

#[derive(Serialize)]
struct JsonContact<'a> {
    name: &'a str,
    member: &'a str,
    relay: String,
    relay_name: Option<&'a str>,
    tcp: Option<String>,
    relay_key: Option<String>,
    group: Option<&'a str>,
    note: Option<&'a str>,
    blocked: bool,
}

/// Formats an entry of the address book as one object on one line: `name` (the label), `member` and
/// `relay` (where the contact is reached), `relay_name` of that relay in the address book, `tcp`,
/// `relay_key`, `group`, `note` (each a text or `null`), and `blocked`.
pub fn contact(contact: &Contact) -> String {
    let object = JsonContact {
        name: contact.label.as_str(),
        member: contact.member.as_str(),
        relay: contact.relay.to_string(),
        relay_name: contact.relay_name.as_ref().map(Name::as_str),
        tcp: contact.tcp.as_ref().map(ToString::to_string),
        relay_key: contact.relay_key.map(|key| key.to_string()),
        group: contact.group.as_deref(),
        note: contact.note.as_deref(),
        blocked: contact.blocked,
    };
    escape(&serde_json::to_string(&object).expect("strings always serialize"))
}

#[derive(Serialize)]
struct JsonMember<'a> {
    member: &'a str,
    fingerprint: String,
    registered: Option<String>,
    seen: Option<String>,
}

/// Formats a member of a relay as one object on one line: `member`, `fingerprint` of its key,
/// `registered`, and `seen`, which is `null` if unknown. Times are formatted as `at` in [`letter`].
pub fn member(name: &Name, key: &PublicKey, registered: Wall, seen: Option<Wall>) -> String {
    let object = JsonMember {
        member: name.as_str(),
        fingerprint: key.fingerprint(),
        registered: rfc3339(registered),
        seen: seen.and_then(rfc3339),
    };
    escape(&serde_json::to_string(&object).expect("strings always serialize"))
}

#[derive(Serialize)]
struct JsonInvitation<'a> {
    invited: Option<&'a str>,
    until: Option<String>,
}

/// Formats an open invitation as one object on one line: `invited` (a name or `null`), and `until`.
pub fn invitation(name: Option<&Name>, until: Wall) -> String {
    let object = JsonInvitation { invited: name.map(Name::as_str), until: rfc3339(until) };
    escape(&serde_json::to_string(&object).expect("strings always serialize"))
}

#[derive(Serialize)]
struct JsonHistory<'a> {
    from: &'a str,
    to: &'a str,
    id: String,
    text: Option<&'a str>,
    at: Option<String>,
    state: &'static str,
    via: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    missing: u64,
}

/// Formats a letter of the history of member `me` as one object on one line. Keys:
///
/// - `from`, `to`: names of the members
/// - `id`, `text`, `at`, `missing`: as in [`letter`]
/// - `state`: `queued`, `accepted`, `waiting`, `delivered` or `read`. A received letter is
///   `delivered`, and `read` once it was shown. A letter damaged on disk is `damaged` in any state;
///   its `text` is the readable part, or `null`.
/// - `via`: `udp` or `tcp` for a received letter, `null` for one of this member
/// - `guest`: as in [`letter`], or `closed` if this member ended the conversation
/// - `until`: for a letter that waits in a mailbox
pub fn history_entry(entry: &HistoryEntry, me: &str) -> String {
    let member = entry.member.as_str();
    let (from, to) = if entry.by_me { (me, member) } else { (member, me) };
    let until = if let (Progress::Waiting { until }, false) = (entry.state, entry.damaged) {
        rfc3339(until)
    } else {
        None
    };
    let object = JsonHistory {
        from,
        to,
        id: entry.id.to_string(),
        text: text(&entry.text, entry.damaged),
        at: rfc3339(entry.at),
        state: match entry.state {
            _ if entry.damaged => DAMAGED,
            _ if entry.is_old_copy => OLD_COPY,
            state => state.as_str(),
        },
        via: entry.via.filter(|_| !entry.damaged).map(|via| via.as_str()),
        guest: entry.note.map(|note| note.word()),
        until,
        missing: entry.missing,
    };
    escape(&serde_json::to_string(&object).expect("strings and numbers always serialize"))
}

/// Returns the text of a letter; `None` if nothing of a damaged one is readable.
const fn text(text: &str, damaged: bool) -> Option<&str> {
    if damaged && text.is_empty() { None } else { Some(text) }
}

/// Escapes characters that JSON permits but that could deceive a terminal or a reader. They occur
/// inside strings only.
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

/// Returns `false` for controls (C0, DEL, C1), line and paragraph separators, invisible and
/// bidirectional format characters, and tags.
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

    /// An own letter in the history that waits in a mailbox.
    fn outgoing(text: &str) -> HistoryEntry {
        HistoryEntry {
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
    fn letter_is_one_object_with_documented_keys() {
        assert_eq!(
            letter(
                &incoming("不约\n\"x\""),
                &JsonSender { contact: Some("树".to_owned()), looks_like: None }
            ),
            r#"{"from":"一棵树","relay":"[::1]:8081","id":"0000000000000abc-2","text":"不约\n\"x\"","at":"2024-07-01T12:03:05.678Z","via":"udp","contact":"树"}"#
        );
    }

    #[test]
    fn gap_and_impossible_time_are_in_object() {
        let line = letter(
            &Incoming { missing: 2, at: Wall(u64::MAX), ..incoming("") },
            &JsonSender { contact: None, looks_like: Some("树".to_owned()) },
        );
        assert!(
            line.ends_with(r#""at":null,"via":"udp","contact":null,"looks_like":"树","missing":2}"#),
            "{line}"
        );
    }

    #[test]
    fn history_letter_has_both_names_and_its_state() {
        let mut letter = outgoing("不约");
        assert_eq!(
            history_entry(&letter, "TOM"),
            r#"{"from":"TOM","to":"一棵树","id":"0000000000000abc-2","text":"不约","at":"2024-07-01T12:03:05.678Z","state":"waiting","via":null,"until":"2024-07-01T12:03:06.000Z"}"#
        );
        letter.by_me = false;
        letter.via = Some(Carrier::Tcp);
        letter.state = Progress::Read;
        letter.missing = 2;
        assert_eq!(
            history_entry(&letter, "TOM"),
            r#"{"from":"一棵树","to":"TOM","id":"0000000000000abc-2","text":"不约","at":"2024-07-01T12:03:05.678Z","state":"read","via":"tcp","missing":2}"#
        );
    }

    #[test]
    fn contact_is_object_with_every_key() {
        let mut entry = Contact::new("树".parse().unwrap(), "h:1".parse().unwrap());
        assert_eq!(
            contact(&entry),
            r#"{"name":"树","member":"树","relay":"h:1","relay_name":null,"tcp":null,"relay_key":null,"group":null,"note":null,"blocked":false}"#
        );
        entry.note = Some("\u{1b}[2J".to_owned());
        entry.blocked = true;
        assert!(contact(&entry).ends_with(r#""note":"\u001b[2J","blocked":true}"#), "{}", contact(&entry));
    }

    // faults.md: R71
    #[test]
    fn damaged_letter_has_state_and_readable_text_or_null() {
        let line = |text| letter(&Incoming { damaged: true, ..incoming(text) }, &JsonSender::default());
        assert!(
            line("hx").contains(r#""text":"hx","#) && line("hx").contains(r#","state":"damaged"}"#),
            "{}",
            line("hx")
        );
        assert!(line("").contains(r#""text":null,"#), "{}", line(""));
        assert!(
            letter(&incoming(""), &JsonSender::default()).contains(r#""text":"","#),
            "an empty text is not null"
        );
        let mut letter = HistoryEntry { damaged: true, ..outgoing("") };
        assert_eq!(
            history_entry(&letter, "TOM"),
            r#"{"from":"TOM","to":"一棵树","id":"0000000000000abc-2","text":null,"at":"2024-07-01T12:03:05.678Z","state":"damaged","via":null}"#
        );
        letter.text = "hx".to_owned();
        assert!(history_entry(&letter, "TOM").contains(r#""text":"hx","#));
    }

    proptest! {
        #[test]
        fn any_text_reads_back_and_is_inert_on_terminal(text in any::<String>()) {
            let text = format!("{text}\x1b]52;c;x\x07\u{9b}\u{7f}\u{202e}\u{2028}\u{e0041}");
            let line = letter(&incoming(&text), &JsonSender::default());
            prop_assert!(line.chars().all(|c| !c.is_control() && is_inert(c)));
            let object: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(object["text"].as_str().unwrap(), text);
        }
    }
}
