//! Floor 5: the address book, `contacts.toml`: found, read, checked, edited without losing comments, watched.
//!
//! ```toml
//! contacts_only = true
//!
//! [me]
//! name = "TOM"
//!
//! [relays]
//! home = { address = "chat.example.org:8081", tcp = "chat.example.org:443", key = "m7s22-7gq4x-…" }
//!
//! [contacts]
//! JACK = "127.0.0.1:8081"
//! "武大郎" = { relay = "home", member = "wudalang" }
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
mod invite;
mod locate;
#[cfg(test)]
mod mistakes;
mod parse;
mod place;
mod relays;
mod resolve;
mod save;
mod steps;
mod watch;

use crate::base::{Fingerprint, HostPort, Name};

pub use block::set_blocked;
pub use edit::{add, entry, remove};
pub use entries::Entries;
pub use invite::{Invite, SECRET_LEN};
pub use locate::{FILE_BYTES_MAX, Location, locate};
pub use relays::{put_relay, relay_entry, set_relay_key};
pub use resolve::Target;
pub use watch::{Watcher, watch};

/// An address book as read. Contacts stand in the order of the file; no two have one name, whatever its case; all
/// that is said of one relay agrees on where it listens for TCP and on its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Who the user is, unless the command line says otherwise.
    pub me: Option<Name>,
    /// Letters of others than contacts are refused.
    pub contacts_only: bool,
    /// Who can be written to, and the relays that have names.
    pub contacts: Entries,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// What the user calls them.
    pub label: Name,
    /// The relay where they are reached.
    pub relay: HostPort,
    /// What `[relays]` calls it, if the entry says that name in place of an address.
    pub relay_name: Option<Name>,
    /// Where that relay listens for TCP, if not at the same address.
    pub tcp: Option<HostPort>,
    /// Their name at the relay: the label unless the book says otherwise.
    pub member: Name,
    /// The key of that relay, if the entry says it.
    pub relay_key: Option<Fingerprint>,
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
        let (relay_name, tcp, relay_key, note, group) = (None, None, None, None, None);
        let (member, blocked) = (label.clone(), false);
        Contact { member, label, relay, relay_name, tcp, relay_key, note, group, blocked }
    }
}

/// A relay as the book knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelaySpec {
    /// Its address; over UDP, and over TCP unless `tcp` is given.
    pub address: HostPort,
    /// Where it listens for TCP, if not there.
    pub tcp: Option<HostPort>,
    /// Its key, if the book says it.
    pub key: Option<Fingerprint>,
}

/// A relay of `[relays]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRelay {
    /// What the user calls it.
    pub name: Name,
    /// What is known of it.
    pub relay: RelaySpec,
}

impl Book {
    /// The distinct relays: those of `[relays]`, then those of contacts, in the order of their first mention; a `tcp` or
    /// a key that any entry gives counts for all.
    pub fn relays(&self) -> &[RelaySpec] {
        self.contacts.relays()
    }

    /// The relay of this address.
    pub fn relay(&self, address: &HostPort) -> Option<&RelaySpec> {
        self.contacts.relay(address)
    }

    /// The relay that `[relays]` calls by this name, whatever its case.
    pub fn relay_named(&self, name: &Name) -> Option<&NamedRelay> {
        self.contacts.named().iter().find(|relay| relay.name.folded() == name.folded())
    }

    /// The entry of this member of this relay, so that what they write is shown under the user's own name for them.
    pub fn contact_of(&self, relay: &HostPort, member: &Name) -> Option<&Contact> {
        self.contacts.member_of(relay, member)
    }

    /// The entry of this name; if none has it exactly, the one that differs only in case.
    pub fn contact(&self, label: &Name) -> Option<&Contact> {
        self.contacts.labelled(label)
    }

    /// Where a member is reached of whom only the name there is known: at the only relay, or where the entry of that name
    /// says.
    pub fn relay_of_member(&self, member: &Name) -> Option<&HostPort> {
        match self.relays() {
            [relay] => Some(&relay.address),
            _ => {
                self.contact(member).filter(|contact| contact.member == *member).map(|contact| &contact.relay)
            }
        }
    }

    /// The contact whose label, or name at its relay, a stranger's name looks like
    /// ([`Name::looks_like`]).
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
