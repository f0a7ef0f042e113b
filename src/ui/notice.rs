//! Events of a client as phrases for users, the same in every frontend.

use crate::base::{Carrier, HostPort, Name, Phrase, Wall};
use crate::client::{
    Carriers, ConnectFailure, Event, HistoryEntry, MoveReason, NotQueued, OUTBOX_LETTERS_MAX, Progress,
    STRANGERS_BYTES_MAX,
};
use crate::wire::letter::GuestEvent;
use crate::wire::message::{NameReason, Reason};

use super::strings::Strings;

/// Returns the phrase about `event` for the member `me`. Returns `None` for letters and their
/// progress, which each frontend shows in its own way, and for events that need no notice.
pub fn of_event(event: &Event, me: &str) -> Option<Phrase> {
    Some(match event {
        Event::Online { relay, via } => {
            Phrase::new("relay-online").with("relay", relay).with("via", upper(*via))
        }
        Event::Moved { relay, via, reason } => moved(relay, *via, *reason),
        Event::TcpUnreached { relay, is_refused: true } => {
            Phrase::new("path-tcp-refused").with("relay", relay)
        }
        Event::TcpUnreached { relay, .. } => Phrase::new("path-tcp-silent").with("relay", relay),
        Event::NameRefused { relay, reason, name } => name_refused(*reason, me, relay, name.as_ref()),
        // No other machine can have answered, so there is no key to compare.
        Event::Pinned { relay, .. } if relay.is_loopback() => return None,
        Event::Pinned { relay, key } => {
            Phrase::new("relay-pinned").with("relay", relay).with("key", key.fingerprint())
        }
        Event::Unreached { relay, reason } => connect_failure(relay, reason),
        Event::Lost { relay } => Phrase::new("relay-lost").with("relay", relay),
        Event::Unreadable { from, id, .. } => {
            Phrase::new("letter-unreadable").with("who", from).with("id", id)
        }
        Event::StrangersFull { .. } => Phrase::new("strangers-full").with("size", STRANGERS_BYTES_MAX >> 20),
        Event::Replaced { relay } => Phrase::new("relay-replaced").with("relay", relay),
        Event::OldCopy { relay } => Phrase::new("outbox-old-copy").with("relay", relay),
        Event::LostByRelay { relay, to, letters } => {
            Phrase::new("outbox-lost").with("relay", relay).with("who", to).with("count", letters)
        }
        Event::Letter(_)
        | Event::Progress { .. }
        | Event::Refused { .. }
        | Event::Unkept { .. }
        | Event::Pong { .. }
        | Event::Left => return None,
    })
}

fn moved(relay: &HostPort, via: Carrier, reason: MoveReason) -> Phrase {
    match reason {
        MoveReason::Silent => Phrase::new("relay-moved-silent"),
        MoveReason::Poor => Phrase::new("relay-moved-poor"),
        MoveReason::Proved => Phrase::new("relay-moved-proved"),
        MoveReason::Broken => Phrase::new("relay-moved-broken"),
        MoveReason::Asked => Phrase::new("relay-moved-asked").with("via", upper(via)),
    }
    .with("relay", relay)
}

/// Adds the time to a notice about a change of path; the user needs to know when it happened.
pub fn timed(strings: &Strings, phrase: Phrase, event: &Event, time: &str) -> Phrase {
    if !matches!(event, Event::Moved { .. }) {
        return phrase;
    }
    Phrase::new("notice-at").with("time", time).with("what", strings.say(&phrase))
}

/// Returns the phrase for a new sign-in, after the connection was lost or could not be opened.
pub fn online_again(relay: &HostPort, via: Carrier) -> Phrase {
    Phrase::new("relay-online-again").with("relay", relay).with("via", upper(via))
}

/// Returns why a relay cannot be reached, and what the user can do about it.
pub fn connect_failure(relay: &HostPort, reason: &ConnectFailure) -> Phrase {
    match reason {
        // Only the interface of a link-local address can be unknown.
        ConnectFailure::NoSuchHost => match relay.host().split_once('%') {
            Some((_, zone)) => Phrase::new("relay-no-zone").with("zone", zone),
            None => Phrase::new("relay-no-host"),
        },
        ConnectFailure::NoNameServer => Phrase::new("relay-no-name-server"),
        ConnectFailure::NoRoute => Phrase::new("relay-no-route"),
        ConnectFailure::NotPermitted => Phrase::new("relay-not-permitted"),
        ConnectFailure::TooBig => Phrase::new("relay-too-big"),
        ConnectFailure::NoRoom => Phrase::new("relay-no-room"),
        ConnectFailure::Silent => Phrase::new("relay-silent"),
        ConnectFailure::NoTcpListener => Phrase::new("relay-no-tcp"),
        ConnectFailure::HandshakeRefused => Phrase::new("relay-refused"),
        ConnectFailure::NameNotWritten => Phrase::new("relay-name-not-written"),
        ConnectFailure::KeyChanged { pinned, offered } => Phrase::new("relay-key-changed")
            .with("pinned", pinned.fingerprint())
            .with("offered", offered.fingerprint()),
        ConnectFailure::KeyUnlikeBook { wanted, offered } => {
            Phrase::new("relay-key-unlike-book").with("wanted", wanted).with("offered", offered.fingerprint())
        }
        ConnectFailure::BookUnlikePin { wanted, pinned } => {
            Phrase::new("relay-key-unlike-pin").with("wanted", wanted).with("pinned", pinned.fingerprint())
        }
    }
    .with("relay", relay)
}

/// Returns why `relay` refuses the name `me`. `other` is the conflicting name.
pub fn name_refused(reason: NameReason, me: &str, relay: &HostPort, other: Option<&Name>) -> Phrase {
    let in_the_way = other.map_or(me, Name::as_str);
    match reason {
        NameReason::Taken => Phrase::new("name-taken"),
        NameReason::Confusable => Phrase::new("name-confusable").with("other", in_the_way),
        NameReason::Reserved => Phrase::new("name-reserved"),
        NameReason::Bad => Phrase::new("name-bad"),
        NameReason::Other if other.is_none() => Phrase::new("name-other-unknown"),
        NameReason::Other => Phrase::new("name-other").with("other", in_the_way),
        NameReason::TooMany => Phrase::new("name-too-many"),
        NameReason::Disk => Phrase::new("relay-name-not-written"),
        NameReason::Closed => Phrase::new("name-closed"),
        NameReason::Kept if in_the_way == me => Phrase::new("name-kept"),
        NameReason::Kept => Phrase::new("name-invited-other").with("other", in_the_way),
        NameReason::Removed => Phrase::new("name-removed"),
        NameReason::Full => Phrase::new("name-relay-full"),
        // The client signs in again with a new outbox, so this is not shown.
        NameReason::OldCopy => Phrase::new("outbox-old-copy"),
    }
    .with("name", me)
    .with("relay", relay)
}

/// Returns why a letter to `who` was refused, with doubts and similar names. `relay` is its relay,
/// if known.
pub fn letter_refused(
    reason: Reason,
    (who, relay): (&str, Option<&HostPort>),
    may_have_arrived: bool,
    nearest: &[Name],
) -> Vec<Phrase> {
    // A label may contain a relay after `@`.
    let name = who.split('@').next().and_then(|name| name.parse::<Name>().ok());
    let is_guest = name.is_some_and(|name| name.guest_address().is_some());
    let phrase = match reason {
        Reason::Unknown if is_guest => Phrase::new("refused-guest-gone"),
        Reason::Unknown => return unknown_member((who, relay), may_have_arrived, nearest),
        Reason::Full => Phrase::new("refused-full"),
        Reason::TooLong => Phrase::new("refused-too-long"),
        Reason::Blocked => Phrase::new("refused-blocked"),
        Reason::Expired => Phrase::new("refused-expired"),
        Reason::Behind => Phrase::new("refused-behind"),
        Reason::OldCopy => Phrase::new("refused-old-copy"),
        Reason::Damaged => Phrase::new("refused-damaged"),
        Reason::Unsupported => Phrase::new("refused-unsupported"),
        Reason::Other(code) => Phrase::new("refused-other").with("code", code),
    };
    with_doubts(phrase.with("who", who), may_have_arrived, nearest)
}

/// Returns the phrase that says which carriers are used.
pub const fn of_carriers(carriers: Carriers) -> Phrase {
    match carriers {
        Carriers::Udp => Phrase::new("chat-path-udp"),
        Carriers::Tcp => Phrase::new("chat-path-tcp"),
        Carriers::Auto => Phrase::new("chat-path-auto"),
    }
}

/// Returns the phrases for an unknown recipient.
fn unknown_member(
    (who, relay): (&str, Option<&HostPort>),
    may_have_arrived: bool,
    nearest: &[Name],
) -> Vec<Phrase> {
    let phrase = match relay {
        // The phrase already names the relay, so it is cut off the label.
        Some(relay) => Phrase::new("refused-unknown")
            .with("who", who.split_once('@').map_or(who, |(name, _)| name))
            .with("relay", relay),
        None => Phrase::new("refused-unknown-there").with("who", who),
    };
    with_doubts(phrase, may_have_arrived, nearest)
}

fn with_doubts(phrase: Phrase, may_have_arrived: bool, nearest: &[Name]) -> Vec<Phrase> {
    let mut phrases = vec![phrase];
    if may_have_arrived {
        phrases.push(Phrase::new("refused-may-have-arrived"));
    }
    if !nearest.is_empty() {
        let names: Vec<&str> = nearest.iter().map(Name::as_str).collect();
        phrases.push(Phrase::new("refused-nearest").with("names", names.join(", ")));
    }
    phrases
}

/// Returns the phrase for a relay's report about a guest.
pub fn of_guest(note: GuestEvent, who: &str) -> Phrase {
    match note {
        GuestEvent::Ended => Phrase::new("guest-ended"),
        GuestEvent::Left => Phrase::new("guest-left"),
        GuestEvent::Close => Phrase::new("guest-closed"),
    }
    .with("who", who)
}

/// Returns why a letter to `who` was not taken into the outbox.
pub fn not_queued(reason: NotQueued, who: &str) -> Phrase {
    match reason {
        NotQueued::Disk => Phrase::new("unkept-disk"),
        NotQueued::Full => Phrase::new("unkept-full").with("count", OUTBOX_LETTERS_MAX),
    }
    .with("who", who)
}

/// Returns the name of a carrier in a sentence.
pub(in crate::ui) const fn upper(via: Carrier) -> &'static str {
    match via {
        Carrier::Udp => "UDP",
        Carrier::Tcp => "TCP",
    }
}

/// Returns the words for the state of a message in the history. `day` formats the day until which a
/// message waits.
pub fn history_state(entry: &HistoryEntry, day: impl Fn(Wall) -> String) -> Phrase {
    match entry.state {
        _ if entry.damaged => Phrase::new("history-damaged"),
        _ if entry.is_old_copy => Phrase::new("history-old-copy"),
        Progress::Queued => Phrase::new("history-queued"),
        Progress::Accepted => Phrase::new("history-accepted"),
        Progress::Waiting { until } => Phrase::new("history-waiting").with("until", day(until)),
        Progress::Delivered => Phrase::new("history-delivered"),
        Progress::Read => Phrase::new("history-read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::PublicKey;
    use crate::ui::{Lang, Strings};

    fn say(event: &Event) -> String {
        Strings::new(Lang::En).say(&of_event(event, "TOM").unwrap())
    }

    fn relay() -> HostPort {
        "127.0.0.1:8081".parse().unwrap()
    }

    #[test]
    fn absent_relay_is_reported_with_command_to_start_one() {
        let event = Event::Unreached { relay: relay(), reason: ConnectFailure::Silent };
        assert_eq!(say(&event), "no relay answers at 127.0.0.1:8081; start one: queqiao relay --tcp");
        let event = Event::Unreached { relay: relay(), reason: ConnectFailure::NoTcpListener };
        assert_eq!(say(&event), "no TCP listener at 127.0.0.1:8081; start the relay with --tcp");
    }

    #[test]
    fn first_key_is_reported_except_on_loopback() {
        let pinned = |relay: &str| {
            let event = Event::Pinned { relay: relay.parse().unwrap(), key: PublicKey([0; 32]) };
            of_event(&event, "TOM")
        };
        assert_eq!(pinned("127.0.0.1:8081"), None);
        assert_eq!(pinned("localhost:8081"), None);
        let phrase = pinned("chat.example.org:8081").unwrap();
        assert_eq!(
            Strings::new(Lang::En).say(&phrase),
            "first connection to chat.example.org:8081: compare its key iljo5-6n3w2-lkvso-o5yj5, now pinned, with the one that its operator sees (key=… in the relay's first line)"
        );
    }

    #[test]
    fn changed_key_is_reported_with_command_to_accept_it() {
        let pinned = PublicKey([1; 32]);
        let offered = PublicKey([2; 32]);
        let said =
            say(&Event::Unreached { relay: relay(), reason: ConnectFailure::KeyChanged { pinned, offered } });
        assert!(said.ends_with(&format!("queqiao trust 127.0.0.1:8081 {}", offered.fingerprint())), "{said}");
        assert!(said.contains(&pinned.fingerprint()));
    }

    #[test]
    fn every_name_refusal_contains_name() {
        use NameReason::{
            Bad, Closed, Confusable, Disk, Full, Kept, Other, Removed, Reserved, Taken, TooMany,
        };
        for reason in [Taken, Confusable, Reserved, Bad, Other, TooMany, Disk, Closed, Kept, Removed, Full] {
            for name in [None, Some("T0M".parse().unwrap())] {
                let said = say(&Event::NameRefused { relay: relay(), reason, name });
                assert!(!said.contains("{") && !said.starts_with("name-"), "{said}");
            }
        }
        let event = Event::NameRefused { relay: relay(), reason: Taken, name: None };
        assert!(say(&event).starts_with("TOM is taken at 127.0.0.1:8081"));
    }

    #[test]
    fn refused_letter_is_reported_with_doubt_and_similar_names() {
        let nearest = ["TOM".parse().unwrap(), "TIM".parse().unwrap()];
        let strings = Strings::new(Lang::En);
        let said: Vec<String> = letter_refused(Reason::Unknown, ("TAM", Some(&relay())), true, &nearest)
            .iter()
            .map(|p| strings.say(p))
            .collect();
        assert_eq!(
            said,
            [
                "Not delivered: TAM has never signed in at 127.0.0.1:8081, or was removed there",
                "It may have arrived anyway",
                "Similar names: TOM, TIM",
            ]
        );
    }
}
