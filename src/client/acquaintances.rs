//! Members that the user knows: contacts, and members that the user has written to.
//!
//! Other senders see `delivered` with a resolution of a second, and never `read`. Blocked members
//! are unknown, even if the user has written to them. When a member becomes known, the relay
//! receives `read` for that member's earlier letters; a reply shows that anyway.

use crate::base::{HostPort, Name};

use super::screen::Screens;
use super::strangers::{Contacts, is_stranger};
use super::uplink::{Shared, Uplink};

/// Known members, by relay.
#[derive(Debug, Default)]
pub(super) struct Acquaintances {
    me: Option<Name>,
    book: Book,
    written_to: Contacts,
}

/// The address book's view of members.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// `None` if no address book is known; then all members are known.
    contacts: Option<Contacts>,
    blocked: Contacts,
}

impl Acquaintances {
    /// Creates the set from the stored members `written_to`.
    pub(super) fn new(me: Option<Name>, written_to: Contacts) -> Acquaintances {
        Acquaintances { me, book: Book::default(), written_to }
    }

    /// Whether this member of this relay is known.
    pub(super) fn knows(&self, relay: &HostPort, member: &Name) -> bool {
        self.knows_by(&self.book, relay, member)
    }

    fn knows_by(&self, book: &Book, relay: &HostPort, member: &Name) -> bool {
        let Some(contacts) = &book.contacts else { return true };
        let is_in = |list: &Contacts| list.get(relay).is_some_and(|names| names.contains(member));
        let is_known = !is_stranger(contacts, self.me.as_ref(), relay, member) || is_in(&self.written_to);
        is_known && !is_in(&book.blocked)
    }

    /// Records that the user writes to this member. Returns `true` if that makes it known.
    fn note_written_to(&mut self, relay: &HostPort, member: &Name) -> bool {
        let knew = self.knows(relay, member);
        if !self.written_to.get(relay).is_some_and(|names| names.contains(member)) {
            self.written_to.entry(relay.clone()).or_default().insert(member.clone());
        }
        !knew && self.knows(relay, member)
    }

    /// Replaces the address book. Returns the previous one.
    pub(super) fn set_book(&mut self, screens: &Screens) -> Book {
        let blocked = screens.relays.iter();
        let blocked =
            blocked.map(|(relay, screen)| (relay.clone(), screen.blocked.iter().cloned().collect()));
        let book = Book { contacts: screens.contacts.clone(), blocked: blocked.collect() };
        std::mem::replace(&mut self.book, book)
    }
}

impl Uplink {
    /// Records that the user writes to this member. If that makes it known, queues `read` for it.
    pub(super) fn note_written_to(&mut self, shared: &mut Shared, to: &Name) {
        if shared.acquaintances.note_written_to(&self.spec.addr, to) {
            self.mail.ledger.tell_read(|from| from == to);
        }
    }

    /// Handles a change of the address book from `before`.
    pub(super) fn handle_book(&mut self, before: &Book, shared: &Shared) {
        let relay = &self.spec.addr;
        let known = &shared.acquaintances;
        let is_new = |from: &Name| known.knows(relay, from) && !known.knows_by(before, relay, from);
        self.mail.ledger.tell_read(is_new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Screen;

    fn relay() -> HostPort {
        "h:1".parse().unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn screens(contacts: &[&str], blocked: &[&str]) -> Screens {
        let names = |of: &[&str]| of.iter().map(|text| name(text)).collect::<Vec<_>>();
        let screen = Screen { blocked: names(blocked), only: None };
        let contacts = Contacts::from([(relay(), names(contacts).into_iter().collect())]);
        Screens { relays: [(relay(), screen)].into(), others: None, contacts: Some(contacts) }
    }

    #[test]
    fn contacts_and_members_written_to_are_known() {
        let written_to = Contacts::from([(relay(), [name("MARY")].into())]);
        let mut known = Acquaintances::new(Some(name("TOM")), written_to);
        assert!(known.knows(&relay(), &name("ZOE")), "no address book is known");
        known.set_book(&screens(&["JACK"], &[]));
        for (who, is_known) in [("JACK", true), ("MARY", true), ("TOM", true), ("echo", true), ("ZOE", false)]
        {
            assert_eq!(known.knows(&relay(), &name(who)), is_known, "{who}");
        }
        let other: HostPort = "h:2".parse().unwrap();
        assert!(!known.knows(&other, &name("JACK")) && !known.knows(&other, &name("MARY")));
        assert!(known.note_written_to(&relay(), &name("ZOE")));
        assert!(!known.note_written_to(&relay(), &name("ZOE")), "known already");
        assert!(known.knows(&relay(), &name("ZOE")));
    }

    #[test]
    fn blocked_members_are_unknown() {
        let mut known = Acquaintances::new(None, Contacts::new());
        known.set_book(&screens(&["JACK", "MARY"], &["MARY"]));
        assert!(!known.knows(&relay(), &name("MARY")));
        assert!(!known.note_written_to(&relay(), &name("MARY")));
        let before = known.set_book(&screens(&["JACK"], &[]));
        assert!(known.knows(&relay(), &name("MARY")), "a letter was written to MARY");
        assert!(!known.knows_by(&before, &relay(), &name("MARY")));
    }
}
