//! Floor 5: the address book, `contacts.toml`: found, read, checked, edited without losing comments, watched.
//!
//! ```toml
//! [me]
//! name = "TOM"
//!
//! [contacts]
//! JACK = "127.0.0.1:8081"
//! "武大郎" = { relay = "chat.example.org:8081", tcp = "chat.example.org:443", member = "wudalang" }
//! ```
//!
//! It must not know: sessions, sockets, the disk's other files, sentences for people.
//! Invariant: a [`Book`] in hand is whole and free of contradictions; a file with a mistake in it gives no book but a
//! phrase naming file, line, column and the fix. The file belongs to the user: an edit changes the lines of one
//! contact and no other byte.

mod block;
mod diagnose;
mod edit;
mod entries;
mod locate;
#[cfg(test)]
mod mistakes;
mod parse;
mod place;
mod resolve;
mod save;
mod steps;
mod watch;

use crate::base::{HostPort, Name, PublicKey};

pub use block::set_blocked;
pub use edit::{add, remove};
pub use entries::Entries;
pub use locate::{FILE_BYTES_MAX, Location, locate};
pub use resolve::Target;
pub use watch::{Watcher, watch};

/// An address book as read. Contacts stand in the order of the file; no two have one name, whatever its case, or one
/// key; contacts at one relay agree on where it listens for TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Who the user is, unless the command line says otherwise.
    pub me: Option<Name>,
    /// Who can be written to.
    pub contacts: Entries,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// What the user calls them.
    pub label: Name,
    /// The relay where they are reached.
    pub relay: HostPort,
    /// Where that relay listens for TCP, if not at the same address.
    pub tcp: Option<HostPort>,
    /// Their name at the relay: the label unless the book says otherwise.
    pub member: Name,
    /// Their identity key, if the user pinned it.
    pub key: Option<PublicKey>,
    /// The user's own words.
    pub note: Option<String>,
    /// A heading to list them under.
    pub group: Option<String>,
    /// Letters from them are not wanted.
    pub blocked: bool,
}

impl Contact {
    /// A contact of whom only the name and the relay are known.
    pub fn new(label: Name, relay: HostPort) -> Contact {
        let (tcp, key, note, group) = (None, None, None, None);
        Contact { member: label.clone(), label, relay, tcp, key, note, group, blocked: false }
    }
}

/// A relay as the book knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelaySpec {
    /// Its address; over UDP, and over TCP unless `tcp` is given.
    pub address: HostPort,
    /// Where it listens for TCP, if not there.
    pub tcp: Option<HostPort>,
}

impl Book {
    /// The distinct relays, in the order of their first mention; a `tcp` that any entry gives counts for all.
    pub fn relays(&self) -> &[RelaySpec] {
        self.contacts.relays()
    }

    /// The entry of this member of this relay, so that what they write is shown under the user's own name for them.
    pub fn contact_of(&self, relay: &HostPort, member: &Name) -> Option<&Contact> {
        self.contacts.member_of(relay, member)
    }

    /// The entry of this name; if none has it exactly, the one that differs only in case.
    pub fn contact(&self, label: &Name) -> Option<&Contact> {
        self.contacts.labelled(label)
    }

    /// The contact that somebody who is not in the book looks like ([`Name::looks_like`]), by its
    /// label or its name at its relay.
    pub fn looks_like(&self, member: &Name) -> Option<&Contact> {
        self.contacts.looking_like(member)
    }

    /// Pairs of contacts whose labels look alike: each with the first of them in the file.
    pub fn alike(&self) -> Vec<(&Contact, &Contact)> {
        self.contacts.alike()
    }

    /// The labels nearest to a name that nobody has, at most three.
    pub fn nearest(&self, wanted: &str) -> Vec<Name> {
        Name::nearest(wanted, self.contacts.iter().map(|c| &c.label), 3)
    }
}
