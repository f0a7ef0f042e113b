//! How much is kept of members who are not in the address book, and whether more of them is taken.
//!
//! A stranger writes as fast as a relay lets it, and nothing on this machine is deleted unless its
//! user wants it. What all strangers together may leave here is therefore bounded; beyond the bound
//! their letters are refused as `full`.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{HostPort, Name};

/// Bytes kept of all who are not in the address book: some 100,000 short letters, more than
/// strangers have to say, and little on any disk.
pub const STRANGERS_BYTES_MAX: u64 = 16 << 20;
/// Cost of a letter on the disk besides its text, in bytes: its row, and its keys in two indexes.
pub const LETTER_COST: u64 = 128;
/// The relay's own letters answer what this member wrote.
const ECHO: &str = "echo";

/// Members in the address book, by relay.
pub type Contacts = BTreeMap<HostPort, BTreeSet<Name>>;

/// Bytes kept of each sender, by relay; [`cost`] for each letter.
pub type Holdings = BTreeMap<HostPort, BTreeMap<Name, u64>>;

/// Bytes that a letter whose text has this length is counted for.
pub const fn cost(text_len: usize) -> u64 {
    text_len as u64 + LETTER_COST
}

/// Bytes kept of each sender, and of strangers in all.
#[derive(Debug)]
pub(super) struct Strangers {
    bytes_max: u64,
    /// Letters are kept at all.
    keeps: bool,
    me: Option<Name>,
    /// `None` before the book is known: then everything is taken.
    contacts: Option<Contacts>,
    held: Holdings,
    /// The part of `held` that is of strangers.
    bytes: u64,
    /// The user knows that letters are refused, since the book or the disk changed or another
    /// frontend began to show letters.
    told: bool,
}

impl Strangers {
    /// `held` is what the disk has; without one nothing is kept, and everything taken.
    pub(super) fn new(bytes_max: u64, me: Option<Name>, held: Option<Holdings>) -> Strangers {
        let (keeps, held) = (held.is_some(), held.unwrap_or_default());
        Strangers { bytes_max, keeps, me, contacts: None, held, bytes: 0, told: false }
    }

    /// The address book is another.
    pub(super) fn set_contacts(&mut self, contacts: Contacts) {
        self.contacts = Some(contacts);
        self.count();
    }

    /// The disk has this now, and these letters are on their way to it.
    pub(super) fn set_held<'a>(
        &mut self,
        held: Holdings,
        coming: impl Iterator<Item = (&'a HostPort, &'a Name, usize)>,
    ) {
        self.held = held;
        coming.for_each(|(relay, from, len)| self.add(relay, from, cost(len)));
        self.count();
    }

    /// Whether a letter whose text has this length is taken; then it counts.
    pub(super) fn take(&mut self, relay: &HostPort, from: &Name, text_len: usize) -> bool {
        if !self.keeps {
            return true;
        }
        let Some(contacts) = &self.contacts else {
            self.add(relay, from, cost(text_len));
            return true;
        };
        let cost = cost(text_len);
        if is_stranger(contacts, self.me.as_ref(), relay, from) {
            if self.bytes + cost > self.bytes_max {
                return false;
            }
            self.bytes += cost;
        }
        self.add(relay, from, cost);
        true
    }

    /// A letter was refused. Returns `true` if the user does not know yet that some are: no sender
    /// can make this be said again.
    pub(super) fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    fn add(&mut self, relay: &HostPort, from: &Name, bytes: u64) {
        // No key is made for one that is there.
        if let Some(held) = self.held.get_mut(relay).and_then(|of_relay| of_relay.get_mut(from)) {
            *held += bytes;
            return;
        }
        self.held.entry(relay.clone()).or_default().insert(from.clone(), bytes);
    }

    fn count(&mut self) {
        let Some(contacts) = &self.contacts else { return };
        let me = self.me.as_ref();
        let of_relay = |(relay, senders): (&HostPort, &BTreeMap<Name, u64>)| -> u64 {
            let strangers = senders.iter().filter(|(from, _)| is_stranger(contacts, me, relay, from));
            strangers.map(|(_, bytes)| bytes).sum()
        };
        self.bytes = self.held.iter().map(of_relay).sum();
        self.told = false;
    }
}

/// Whether this member is neither in the address book nor the user or the relay itself.
pub(super) fn is_stranger(contacts: &Contacts, me: Option<&Name>, relay: &HostPort, from: &Name) -> bool {
    let is_contact = contacts.get(relay).is_some_and(|names| names.contains(from));
    !is_contact && me != Some(from) && from.as_str() != ECHO
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

    fn held(of: &[(&str, u64)]) -> Holdings {
        [(relay(), of.iter().map(|(text, bytes)| (name(text), *bytes)).collect())].into()
    }

    fn takes(strangers: &mut Strangers, from: &str, len: u64) -> bool {
        strangers.take(&relay(), &name(from), (len - LETTER_COST) as usize)
    }

    #[test]
    fn strangers_share_a_bound_that_contacts_do_not_have() {
        let mut strangers =
            Strangers::new(1_000, Some(name("TOM")), Some(held(&[("JACK", 5_000), ("MARY", 300)])));
        strangers.set_contacts(book(&["JACK"]));
        assert!(takes(&mut strangers, "ZOE", 700), "1,000 in all");
        assert!(!takes(&mut strangers, "MARY", 128) && !takes(&mut strangers, "guest-1", 128));
        for exempt in ["JACK", "TOM", "echo"] {
            assert!(takes(&mut strangers, exempt, 2_000), "{exempt}");
        }
        let other: HostPort = "h:2".parse().unwrap();
        assert!(!strangers.take(&other, &name("JACK"), 0), "a contact at one relay is a stranger at another");
        assert!(strangers.tell() && !strangers.tell(), "once");
    }

    #[test]
    fn a_stranger_in_the_book_or_forgotten_makes_room() {
        let mut strangers = Strangers::new(1_000, None, Some(Holdings::new()));
        strangers.set_contacts(book(&[]));
        assert!(takes(&mut strangers, "ZOE", 1_000) && !takes(&mut strangers, "MARY", 200));
        assert!(strangers.tell());
        strangers.set_contacts(book(&["ZOE"]));
        assert!(takes(&mut strangers, "MARY", 1_000) && !takes(&mut strangers, "MARY", 128));
        assert!(strangers.tell(), "it was full again");
        let (relay, mary) = (relay(), name("MARY"));
        strangers.set_held(held(&[("ZOE", 1_000)]), [(&relay, &mary, 72)].into_iter());
        assert!(takes(&mut strangers, "MARY", 800) && !takes(&mut strangers, "MARY", 128));
        strangers.set_contacts(book(&[]));
        assert!(!takes(&mut strangers, "ANN", 128), "who leaves the book counts");
    }

    #[test]
    fn everything_is_taken_before_the_book_is_known() {
        let mut strangers = Strangers::new(1_000, None, Some(Holdings::new()));
        assert!(takes(&mut strangers, "ZOE", 5_000));
        strangers.set_contacts(book(&[]));
        assert!(!takes(&mut strangers, "ZOE", 128), "and counts after that");
    }
}
