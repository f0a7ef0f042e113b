//! Storage limit for members outside the address book ("strangers").
//!
//! A stranger writes as fast as a relay permits, and nothing stored is deleted unless the user
//! wants it. So the storage for all strangers together is bounded. Beyond the limit their letters
//! are refused as `full`.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{HostPort, Name};

/// Usual limit in bytes: about 100,000 short letters, more than strangers need and little on any
/// disk.
pub const STRANGERS_BYTES_MAX: u64 = 16 << 20;
/// Cost of a letter on disk besides its text, in bytes: its row and its keys in two indexes.
pub const LETTER_COST: u64 = 128;
/// Name of the relay's echo service. Its letters answer this member's own.
const ECHO: &str = "echo";

/// Members in the address book, by relay.
pub type Contacts = BTreeMap<HostPort, BTreeSet<Name>>;

/// Bytes stored of each sender, by relay; [`cost`] for each letter.
pub type Holdings = BTreeMap<HostPort, BTreeMap<Name, u64>>;

/// Returns the bytes counted for a letter with a text of this length.
pub const fn cost(text_len: usize) -> u64 {
    text_len as u64 + LETTER_COST
}

/// Bytes stored of each sender, and of all strangers together.
#[derive(Debug)]
pub(super) struct Strangers {
    bytes_max: u64,
    /// Whether letters are stored at all.
    keeps: bool,
    own_name: Option<Name>,
    /// `None` until the address book is known; all letters are accepted until then.
    contacts: Option<Contacts>,
    holdings: Holdings,
    /// The strangers' part of `holdings`.
    bytes: u64,
    /// The user was notified that letters are refused. Reset when the address book or the disk
    /// changes, or another frontend begins to show letters.
    reported: bool,
}

impl Strangers {
    /// `holdings` is the stored state. Without it nothing is stored and all letters are accepted.
    pub(super) fn new(bytes_max: u64, own_name: Option<Name>, holdings: Option<Holdings>) -> Strangers {
        let keeps = holdings.is_some();
        let holdings = holdings.unwrap_or_default();
        Strangers { bytes_max, keeps, own_name, contacts: None, holdings, bytes: 0, reported: false }
    }

    /// Replaces the address book.
    pub(super) fn set_contacts(&mut self, contacts: Contacts) {
        self.contacts = Some(contacts);
        self.count();
    }

    /// Replaces the stored state; `incoming` are letters whose records are pending.
    pub(super) fn set_held<'a>(
        &mut self,
        holdings: Holdings,
        incoming: impl Iterator<Item = (&'a HostPort, &'a Name, usize)>,
    ) {
        self.holdings = holdings;
        incoming.for_each(|(relay, from, len)| self.add(relay, from, cost(len)));
        self.count();
    }

    /// Whether a letter with a text of this length is accepted. If so, it is counted.
    pub(super) fn take(&mut self, relay: &HostPort, from: &Name, text_len: usize) -> bool {
        if !self.keeps {
            return true;
        }
        let Some(contacts) = &self.contacts else {
            self.add(relay, from, cost(text_len));
            return true;
        };
        let cost = cost(text_len);
        if is_stranger(contacts, self.own_name.as_ref(), relay, from) {
            if self.bytes + cost > self.bytes_max {
                return false;
            }
            self.bytes += cost;
        }
        self.add(relay, from, cost);
        true
    }

    /// Returns `true` if the user must be notified of a refused letter. No sender can repeat the
    /// notification.
    pub(super) fn may_report(&mut self) -> bool {
        !std::mem::replace(&mut self.reported, true)
    }

    fn add(&mut self, relay: &HostPort, from: &Name, bytes: u64) {
        // Avoid cloning the key of a known sender.
        if let Some(holdings) = self.holdings.get_mut(relay).and_then(|of_relay| of_relay.get_mut(from)) {
            *holdings += bytes;
            return;
        }
        self.holdings.entry(relay.clone()).or_default().insert(from.clone(), bytes);
    }

    fn count(&mut self) {
        let Some(contacts) = &self.contacts else { return };
        let own_name = self.own_name.as_ref();
        let of_relay = |(relay, senders): (&HostPort, &BTreeMap<Name, u64>)| -> u64 {
            let strangers = senders.iter().filter(|(from, _)| is_stranger(contacts, own_name, relay, from));
            strangers.map(|(_, bytes)| bytes).sum()
        };
        self.bytes = self.holdings.iter().map(of_relay).sum();
        self.reported = false;
    }
}

/// Whether this member is neither a contact, nor the user, nor the echo service.
pub(super) fn is_stranger(
    contacts: &Contacts,
    own_name: Option<&Name>,
    relay: &HostPort,
    from: &Name,
) -> bool {
    let is_contact = contacts.get(relay).is_some_and(|names| names.contains(from));
    !is_contact && own_name != Some(from) && from.as_str() != ECHO
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay() -> HostPort {
        "h:1".parse().unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn book(names: &[&str]) -> Contacts {
        [(relay(), names.iter().map(|text| name(text)).collect())].into()
    }

    fn holdings(of: &[(&str, u64)]) -> Holdings {
        [(relay(), of.iter().map(|(text, bytes)| (name(text), *bytes)).collect())].into()
    }

    fn takes(strangers: &mut Strangers, from: &str, len: u64) -> bool {
        strangers.take(&relay(), &name(from), (len - LETTER_COST) as usize)
    }

    #[test]
    fn strangers_share_limit_that_contacts_do_not_have() {
        let mut strangers =
            Strangers::new(1_000, Some(name("TOM")), Some(holdings(&[("JACK", 5_000), ("MARY", 300)])));
        strangers.set_contacts(book(&["JACK"]));
        assert!(takes(&mut strangers, "ZOE", 700), "1,000 in all");
        assert!(!takes(&mut strangers, "MARY", 128) && !takes(&mut strangers, "guest-1", 128));
        for exempt in ["JACK", "TOM", "echo"] {
            assert!(takes(&mut strangers, exempt, 2_000), "{exempt}");
        }
        let other: HostPort = "h:2".parse().unwrap();
        assert!(!strangers.take(&other, &name("JACK"), 0), "contacts are per relay");
        assert!(strangers.may_report() && !strangers.may_report(), "once");
    }

    #[test]
    fn adding_stranger_to_book_or_erasing_frees_space() {
        let mut strangers = Strangers::new(1_000, None, Some(Holdings::new()));
        strangers.set_contacts(book(&[]));
        assert!(takes(&mut strangers, "ZOE", 1_000) && !takes(&mut strangers, "MARY", 200));
        assert!(strangers.may_report());
        strangers.set_contacts(book(&["ZOE"]));
        assert!(takes(&mut strangers, "MARY", 1_000) && !takes(&mut strangers, "MARY", 128));
        assert!(strangers.may_report(), "full again");
        let relay = relay();
        let mary = name("MARY");
        strangers.set_held(holdings(&[("ZOE", 1_000)]), [(&relay, &mary, 72)].into_iter());
        assert!(takes(&mut strangers, "MARY", 800) && !takes(&mut strangers, "MARY", 128));
        strangers.set_contacts(book(&[]));
        assert!(!takes(&mut strangers, "ANN", 128), "a removed contact counts");
    }

    #[test]
    fn all_letters_are_accepted_before_book_is_known() {
        let mut strangers = Strangers::new(1_000, None, Some(Holdings::new()));
        assert!(takes(&mut strangers, "ZOE", 5_000));
        strangers.set_contacts(book(&[]));
        assert!(!takes(&mut strangers, "ZOE", 128), "earlier letters count too");
    }
}
