//! Members that the user knows: contacts, and members that the user has written to.
//!
//! Other senders see `delivered` with a resolution of a second, and never `read`. Blocked members
//! are unknown, even if the user has written to them. When a member becomes known, the relay
//! receives `read` for that member's earlier letters; a reply shows that anyway.

use crate::base::{HostPort, Name};

use super::block_list::BlockLists;
use super::relay_connection::{ClientContext, RelayConnection};
use super::strangers::{Contacts, is_stranger};

/// Known members, by relay.
#[derive(Debug, Default)]
pub(super) struct KnownSenders {
    own_name: Option<Name>,
    contacts: ContactSet,
    written_to: Contacts,
}

/// The address book's view of members.
#[derive(Debug, Default)]
pub(super) struct ContactSet {
    /// `None` if no address book is known; then all members are known.
    contacts: Option<Contacts>,
    blocked: Contacts,
}

impl KnownSenders {
    /// Creates the set from the stored members `written_to`.
    pub(super) fn new(own_name: Option<Name>, written_to: Contacts) -> KnownSenders {
        KnownSenders { own_name, contacts: ContactSet::default(), written_to }
    }

    /// Whether this member of this relay is known.
    pub(super) fn is_known(&self, relay: &HostPort, member: &Name) -> bool {
        self.is_known_by(&self.contacts, relay, member)
    }

    fn is_known_by(&self, book: &ContactSet, relay: &HostPort, member: &Name) -> bool {
        let Some(contacts) = &book.contacts else { return true };
        let is_in = |list: &Contacts| list.get(relay).is_some_and(|names| names.contains(member));
        let is_known =
            !is_stranger(contacts, self.own_name.as_ref(), relay, member) || is_in(&self.written_to);
        is_known && !is_in(&book.blocked)
    }

    /// Records that the user writes to this member. Returns `true` if that makes it known.
    fn record_written_to(&mut self, relay: &HostPort, member: &Name) -> bool {
        let was_known = self.is_known(relay, member);
        if !self.written_to.get(relay).is_some_and(|names| names.contains(member)) {
            self.written_to.entry(relay.clone()).or_default().insert(member.clone());
        }
        !was_known && self.is_known(relay, member)
    }

    /// Replaces the address book. Returns the previous one.
    pub(super) fn set_contacts(&mut self, block_lists: &BlockLists) -> ContactSet {
        let blocked = block_lists.relays.iter();
        let blocked =
            blocked.map(|(relay, block_list)| (relay.clone(), block_list.blocked.iter().cloned().collect()));
        let book = ContactSet { contacts: block_lists.contacts.clone(), blocked: blocked.collect() };
        std::mem::replace(&mut self.contacts, book)
    }
}

impl RelayConnection {
    /// Records that the user writes to this member. If that makes it known, queues `read` for it.
    pub(super) fn record_written_to(&mut self, ctx: &mut ClientContext, to: &Name) {
        if ctx.known_senders.record_written_to(&self.config.addr, to) {
            self.mail.received.queue_reads(|from| from == to);
        }
    }

    /// Handles a change of the address book from `before`.
    pub(super) fn handle_contacts(&mut self, before: &ContactSet, ctx: &ClientContext) {
        let relay = &self.config.addr;
        let known_senders = &ctx.known_senders;
        let is_new = |from: &Name| {
            known_senders.is_known(relay, from) && !known_senders.is_known_by(before, relay, from)
        };
        self.mail.received.queue_reads(is_new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::BlockList;

    fn relay() -> HostPort {
        "h:1".parse().unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn block_lists(contacts: &[&str], blocked: &[&str]) -> BlockLists {
        let names = |of: &[&str]| of.iter().map(|text| name(text)).collect::<Vec<_>>();
        let block_list = BlockList { blocked: names(blocked), only: None };
        let contacts = Contacts::from([(relay(), names(contacts).into_iter().collect())]);
        BlockLists { relays: [(relay(), block_list)].into(), others: None, contacts: Some(contacts) }
    }

    #[test]
    fn contacts_and_members_written_to_are_known() {
        let written_to = Contacts::from([(relay(), [name("MARY")].into())]);
        let mut known = KnownSenders::new(Some(name("TOM")), written_to);
        assert!(known.is_known(&relay(), &name("ZOE")), "no address book is known");
        known.set_contacts(&block_lists(&["JACK"], &[]));
        for (who, is_known) in [("JACK", true), ("MARY", true), ("TOM", true), ("echo", true), ("ZOE", false)]
        {
            assert_eq!(known.is_known(&relay(), &name(who)), is_known, "{who}");
        }
        let other: HostPort = "h:2".parse().unwrap();
        assert!(!known.is_known(&other, &name("JACK")) && !known.is_known(&other, &name("MARY")));
        assert!(known.record_written_to(&relay(), &name("ZOE")));
        assert!(!known.record_written_to(&relay(), &name("ZOE")), "known already");
        assert!(known.is_known(&relay(), &name("ZOE")));
    }

    #[test]
    fn blocked_members_are_unknown() {
        let mut known = KnownSenders::new(None, Contacts::new());
        known.set_contacts(&block_lists(&["JACK", "MARY"], &["MARY"]));
        assert!(!known.is_known(&relay(), &name("MARY")));
        assert!(!known.record_written_to(&relay(), &name("MARY")));
        let before = known.set_contacts(&block_lists(&["JACK"], &[]));
        assert!(known.is_known(&relay(), &name("MARY")), "a letter was written to MARY");
        assert!(!known.is_known_by(&before, &relay(), &name("MARY")));
    }
}
