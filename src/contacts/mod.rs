//! Layer 5: the address book `contacts.toml`. Locates, reads, checks, edits and watches it.
//!
//! Edits change only the lines of one entry and keep every other byte, comments included. See the
//! `contacts.toml` in the root of the repository for an example.
//!
//! Must not depend on: sessions, sockets, other files on disk, sentences for users.
//!
//! Invariant: a [`AddressBook`] is complete and free of contradictions. A file with a mistake
//! yields no book, but a phrase with file, line, column and fix.

mod atomic_write;
mod block;
mod diagnose;
mod edit;
mod entries;
mod invite;
mod locate;
#[cfg(test)]
mod mistakes;
mod parse;
mod position;
mod relays;
mod resolve;
mod steps;
mod watch;

use crate::base::{Fingerprint, HostPort, Name};

pub use block::set_blocked;
pub use edit::{RemoveError, add, entry, remove, set_me};
pub use entries::Entries;
pub use invite::{Invite, SECRET_LEN};
pub use locate::{FILE_BYTES_MAX, Location, locate};
pub use relays::{put_relay, relay_entry, set_relay_key};
pub use resolve::{Recipient, ResolveError};
pub use watch::{Watcher, watch};

/// An address book, as read.
///
/// Contacts are in the order of the file. Labels are unique, ignoring case. All entries for one
/// relay agree on its TCP address and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressBook {
    /// The user's name, unless the command line gives another.
    pub me: Option<Name>,
    /// Letters from senders who are not contacts are refused.
    pub contacts_only: bool,
    /// The contacts, and the relays that have names.
    pub contacts: Entries,
}

/// An entry of the address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The user's name for them.
    pub label: Name,
    /// Address of their relay.
    pub relay: HostPort,
    /// The name of that relay in `[relays]`, if the entry gives this name instead of an address.
    pub relay_name: Option<Name>,
    /// The relay's TCP address, if it differs from `relay`.
    pub tcp: Option<HostPort>,
    /// Their name at the relay; by default the label.
    pub member: Name,
    /// The relay's key, if the entry gives it.
    pub relay_key: Option<Fingerprint>,
    /// Free text of the user.
    pub note: Option<String>,
    /// Heading to list them under.
    pub group: Option<String>,
    /// Letters from them are refused.
    pub blocked: bool,
}

impl Contact {
    /// Returns a contact with only a name and a relay.
    pub fn new(label: Name, relay: HostPort) -> Contact {
        Contact {
            member: label.clone(),
            label,
            relay,
            relay_name: None,
            tcp: None,
            relay_key: None,
            note: None,
            group: None,
            blocked: false,
        }
    }
}

/// A relay in the address book.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelayEntry {
    /// Address for UDP, and for TCP unless `tcp` is given.
    pub address: HostPort,
    /// TCP address, if it differs from `address`.
    pub tcp: Option<HostPort>,
    /// Its key, if the book gives it.
    pub key: Option<Fingerprint>,
}

/// An entry of `[relays]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRelay {
    /// The user's name for it.
    pub name: Name,
    /// Its addresses and its key.
    pub relay: RelayEntry,
}

impl AddressBook {
    /// Returns the distinct relays: those of `[relays]` first, then those of contacts, in order of
    /// first mention.
    ///
    /// A `tcp` or a key in any entry applies to all entries of that relay.
    pub fn relays(&self) -> &[RelayEntry] {
        self.contacts.relays()
    }

    /// Returns the relay at this address.
    pub fn relay(&self, address: &HostPort) -> Option<&RelayEntry> {
        self.contacts.relay(address)
    }

    /// Returns the relay with this name in `[relays]`, ignoring case.
    pub fn relay_named(&self, name: &Name) -> Option<&NamedRelay> {
        self.contacts.named().iter().find(|relay| relay.name.folded() == name.folded())
    }

    /// Returns the entry of this member of this relay, for display under the user's own name for
    /// them.
    pub fn contact_of(&self, relay: &HostPort, member: &Name) -> Option<&Contact> {
        self.contacts.member_of(relay, member)
    }

    /// Returns the entry with this label, or else the one whose label differs only in case.
    pub fn contact(&self, label: &Name) -> Option<&Contact> {
        self.contacts.labelled(label)
    }

    /// Returns the relay of a member of whom only the name there is known.
    ///
    /// The only relay of the book, or the relay of the entry whose label and member both
    /// match.
    pub fn relay_of_member(&self, member: &Name) -> Option<&HostPort> {
        match self.relays() {
            [relay] => Some(&relay.address),
            _ => {
                self.contact(member).filter(|contact| contact.member == *member).map(|contact| &contact.relay)
            }
        }
    }

    /// Returns the contact whose label or member name looks like `member` ([`Name::looks_like`]).
    pub fn looks_like(&self, member: &Name) -> Option<&Contact> {
        self.contacts.looking_like(member)
    }

    /// Returns pairs of contacts whose labels look alike, each with the first such contact of the
    /// file.
    pub fn alike(&self) -> Vec<(&Contact, &Contact)> {
        self.contacts.alike()
    }

    /// Returns up to three labels nearest to an unknown name.
    pub fn nearest(&self, wanted: &str) -> Vec<Name> {
        Name::nearest(wanted, self.contacts.iter().map(|c| &c.label), 3)
    }
}
