//! Common start of a member's commands: address book, user's name, and data folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{Fingerprint, HostPort, Name, Phrase};
use crate::client::{BlockList, BlockLists, Carriers, ConnectFailure, Contacts, RelayConfig};
use crate::contacts::{self, AddressBook, Invite, Location, Recipient, locate};
use crate::store::{Pins, StoreError, default_data_dir};
use crate::ui::{Strings, notice};

use super::Failure;

/// Flags that all commands of a member share.
#[derive(Clone)]
pub struct Setup {
    /// `--contacts`: address book.
    pub contacts: Option<PathBuf>,
    /// `--as`: name of the user.
    pub name: Option<String>,
    /// `--data`: data folder.
    pub data: Option<PathBuf>,
    /// `--tcp`, `--udp`.
    pub carriers: Carriers,
    /// `--invite`: code of an invitation.
    pub invite: Option<String>,
    /// `--contacts-only`: refuse letters from members that are not in the book, even if the book
    /// does not require it.
    pub contacts_only: bool,
    /// Texts in the user's language.
    pub strings: Arc<Strings>,
}

impl Setup {
    /// Returns the location of the address book.
    pub fn location(&self) -> Location {
        locate(self.contacts.as_deref())
    }

    /// Returns the data folder.
    ///
    /// # Errors
    /// `NoHome` if none is given and there is no default.
    pub fn data_dir(&self) -> Result<PathBuf, StoreError> {
        match &self.data {
            Some(dir) => Ok(dir.clone()),
            None => default_data_dir(),
        }
    }

    /// Returns the user's name: `--as`, else `[me]` of the book; `None` if neither is given.
    ///
    /// # Errors
    /// A usage failure if `--as` is not a valid name.
    pub fn name(&self, book: &AddressBook) -> Result<Option<Name>, Failure> {
        match &self.name {
            Some(text) => {
                text.parse().map(Some).map_err(|error: crate::base::NameError| Failure::usage(error.phrase()))
            }
            None => Ok(book.me.clone()),
        }
    }

    /// Like [`Setup::name`], for commands that need a name and cannot ask for it.
    ///
    /// # Errors
    /// A usage failure if the name is missing.
    pub fn name_needed(&self, book: &AddressBook) -> Result<Name, Failure> {
        self.name(book)?.ok_or_else(|| Failure::usage(Phrase::new("name-not-given")))
    }

    /// Returns the secret of the given invitation, if any.
    ///
    /// # Errors
    /// A usage failure if the code is invalid.
    pub fn invitation(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(code) = self.invite.as_ref().filter(|code| !code.is_empty()) else { return Ok(None) };
        let secret = Invite::secret_of(code.trim()).map(|secret| Some(secret.to_vec()));
        secret.ok_or_else(|| Failure::usage(Phrase::new("invite-bad")))
    }

    /// Returns the block lists of the book and of the command line.
    pub fn block_lists(&self, book: &AddressBook) -> BlockLists {
        let contacts_only = self.contacts_only || book.contacts_only;
        let mut relays = BTreeMap::<_, BlockList>::new();
        for contact in &book.contacts {
            let block_list = relays.entry(contact.relay.clone()).or_default();
            if contact.blocked {
                block_list.blocked.push(contact.member.clone());
            }
            if contacts_only {
                block_list.only.get_or_insert_default().push(contact.member.clone());
            }
        }
        let others = contacts_only.then(|| BlockList { blocked: Vec::new(), only: Some(Vec::new()) });
        BlockLists { relays, others, contacts: Some(contacts_of(book)) }
    }

    /// Loads the relay keys that this machine has pinned.
    ///
    /// # Errors
    /// `PinsDamaged`, or the file cannot be read.
    pub fn pins(&self) -> Result<Pins, StoreError> {
        Pins::load(&self.data_dir()?)
    }

    /// Returns every relay of the book, with its pinned key.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relays(&self, book: &AddressBook) -> Result<Vec<RelayConfig>, Failure> {
        let pins = self.pins()?;
        Ok(book.relays().iter().map(|relay| config_of(relay, &pins)).collect())
    }

    /// Returns the relay at an address, with its pinned key and its entry in the book.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_in(&self, book: &AddressBook, addr: HostPort) -> Result<RelayConfig, Failure> {
        let pins = self.pins()?;
        let unknown = || contacts::RelayEntry { address: addr.clone(), tcp: None, key: None };
        Ok(config_of(&book.relay(&addr).cloned().unwrap_or_else(unknown), &pins))
    }

    /// Returns the relay of a contact, or the one with this name in the book.
    ///
    /// # Errors
    /// Those of [`AddressBook::resolve`] and of [`Setup::pins`].
    pub fn relay_meant(&self, book: &AddressBook, text: &str) -> Result<RelayConfig, Failure> {
        let name = text.parse::<Name>().ok().filter(|name| book.contact(name).is_none());
        match name.and_then(|name| book.relay_named(&name)) {
            Some(named) => self.relay_in(book, named.relay.address.clone()),
            None => self.relay_of(&book.resolve(text)?),
        }
    }

    /// Checks that an expected key equals the pinned one, if there is one.
    ///
    /// # Errors
    /// `relay-key-unlike-pin`, and those of [`Setup::pins`].
    pub fn check_key(&self, relay: &HostPort, wanted: Fingerprint) -> Result<(), Failure> {
        let pinned = self.pins()?.get(relay).map(|pin| pin.key);
        match pinned.filter(|pinned| !wanted.is_of(pinned)) {
            Some(pinned) => {
                Err(notice::connect_failure(relay, &ConnectFailure::BookUnlikePin { wanted, pinned }).into())
            }
            None => Ok(()),
        }
    }

    /// Checks the expected key of every relay in the book.
    ///
    /// # Errors
    /// Those of [`Setup::check_key`].
    pub fn check_keys(&self, book: &AddressBook) -> Result<(), Failure> {
        let keys = book.relays().iter().filter_map(|relay| Some((&relay.address, relay.key?)));
        keys.into_iter().try_for_each(|(relay, key)| self.check_key(relay, key))
    }

    /// Returns the relay of one target, with its pinned key.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_of(&self, recipient: &Recipient) -> Result<RelayConfig, Failure> {
        let relay = self.relay_at(recipient.relay.clone(), recipient.tcp.clone())?;
        Ok(RelayConfig { fingerprint: recipient.relay_key, ..relay })
    }

    /// Returns the relay at an address, with its pinned key, regardless of the book.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_at(&self, addr: HostPort, tcp: Option<HostPort>) -> Result<RelayConfig, Failure> {
        let key = self.pins()?.get(&addr).map(|pin| pin.key);
        Ok(RelayConfig { addr, tcp, key, fingerprint: None })
    }
}

fn config_of(relay: &contacts::RelayEntry, pins: &Pins) -> RelayConfig {
    RelayConfig {
        key: pins.get(&relay.address).map(|pin| pin.key),
        addr: relay.address.clone(),
        tcp: relay.tcp.clone(),
        fingerprint: relay.key,
    }
}

/// Returns the members in the book, by relay.
fn contacts_of(book: &AddressBook) -> Contacts {
    let mut contacts: Contacts = BTreeMap::new();
    for contact in &book.contacts {
        contacts.entry(contact.relay.clone()).or_default().insert(contact.member.clone());
    }
    contacts
}
