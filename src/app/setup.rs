//! What every command of a member begins with: the address book, who the user is, where things are kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;

use crate::base::{HostPort, Name, Phrase};
use crate::client::{Carriers, Contacts, RelaySpec, Screen, Screens};
use crate::contacts::{Book, Location, Target, locate};
use crate::store::{Pins, default_data_dir};
use crate::ui::Strings;

use super::Failure;
use super::members::SECRET_LEN;

/// The flags that all commands of a member share.
#[derive(Clone)]
pub struct Setup {
    /// `--contacts`: the address book.
    pub contacts: Option<PathBuf>,
    /// `--as`: who the user is.
    pub name: Option<String>,
    /// `--data`: the data folder.
    pub data: Option<PathBuf>,
    /// `--tcp`, `--udp`.
    pub carriers: Carriers,
    /// `--invite`: the code of an invitation.
    pub invite: Option<String>,
    /// `--contacts-only`: letters of those who are not in the book are refused.
    pub contacts_only: bool,
    /// The language.
    pub strings: Arc<Strings>,
}

impl Setup {
    /// Where the address book is.
    pub fn location(&self) -> Location {
        locate(self.contacts.as_deref())
    }

    /// The data folder.
    ///
    /// # Errors
    /// `store-no-home` if none is given and none can be found.
    pub fn data_dir(&self) -> Result<PathBuf, Phrase> {
        match &self.data {
            Some(dir) => Ok(dir.clone()),
            None => default_data_dir(),
        }
    }

    /// Who the user is: `--as`, then `[me]` of the book; `None` if neither says so.
    ///
    /// # Errors
    /// A usage failure if `--as` is no name.
    pub fn name(&self, book: &Book) -> Result<Option<Name>, Failure> {
        match &self.name {
            Some(text) => {
                text.parse().map(Some).map_err(|why: crate::base::NameError| Failure::usage(why.phrase()))
            }
            None => Ok(book.me.clone()),
        }
    }

    /// Like [`Setup::name`], for commands that cannot do without and have nobody to ask.
    ///
    /// # Errors
    /// A usage failure if there is no name.
    pub fn name_needed(&self, book: &Book) -> Result<Name, Failure> {
        self.name(book)?.ok_or_else(|| Failure::usage(Phrase::new("name-not-given")))
    }

    /// The secret of the invitation that was given, if one was.
    ///
    /// # Errors
    /// A usage failure if it is no such code.
    pub fn invitation(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(code) = self.invite.as_ref().filter(|code| !code.is_empty()) else { return Ok(None) };
        let secret = BASE32_NOPAD.decode(code.trim().to_uppercase().as_bytes()).ok();
        let secret = secret.filter(|secret| secret.len() == SECRET_LEN);
        secret.map(Some).ok_or_else(|| Failure::usage(Phrase::new("invite-bad")))
    }

    /// Whose letters are refused, as the book and the command line say.
    pub fn screens(&self, book: &Book) -> Screens {
        let mut relays = BTreeMap::<_, Screen>::new();
        for contact in &book.contacts {
            let screen = relays.entry(contact.relay.clone()).or_default();
            if contact.blocked {
                screen.blocked.push(contact.member.clone());
            }
            if self.contacts_only {
                screen.only.get_or_insert_default().push(contact.member.clone());
            }
        }
        let others = self.contacts_only.then(|| Screen { blocked: Vec::new(), only: Some(Vec::new()) });
        Screens { relays, others, contacts: Some(contacts_of(book)) }
    }

    /// The keys this machine has pinned.
    ///
    /// # Errors
    /// `pins-damaged`, or that the file cannot be read.
    pub fn pins(&self) -> Result<Pins, Phrase> {
        Pins::load(&self.data_dir()?)
    }

    /// Every relay of the book, with its pinned key.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relays(&self, book: &Book) -> Result<Vec<RelaySpec>, Phrase> {
        let pins = self.pins()?;
        let spec = |relay: &crate::contacts::RelaySpec| RelaySpec {
            key: pins.get(&relay.address).map(|pin| pin.key),
            addr: relay.address.clone(),
            tcp: relay.tcp.clone(),
        };
        Ok(book.relays().iter().map(spec).collect())
    }

    /// The relay of one target, with its pinned key.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_of(&self, target: &Target) -> Result<RelaySpec, Phrase> {
        self.relay_at(target.relay.clone(), target.tcp.clone())
    }

    /// The relay at an address, with its pinned key.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_at(&self, addr: HostPort, tcp: Option<HostPort>) -> Result<RelaySpec, Phrase> {
        let key = self.pins()?.get(&addr).map(|pin| pin.key);
        Ok(RelaySpec { addr, tcp, key })
    }
}

/// Members in the book, by relay.
fn contacts_of(book: &Book) -> Contacts {
    let mut contacts: Contacts = BTreeMap::new();
    for contact in &book.contacts {
        contacts.entry(contact.relay.clone()).or_default().insert(contact.member.clone());
    }
    contacts
}
