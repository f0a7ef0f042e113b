//! What every command of a member begins with: the address book, who the user is, where things are kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{Fingerprint, HostPort, Name, Phrase};
use crate::client::{Carriers, Contacts, RelaySpec, Screen, Screens, Unreached};
use crate::contacts::{self, Book, Invite, Location, Target, locate};
use crate::store::{Pins, default_data_dir};
use crate::ui::{Strings, notice};

use super::Failure;

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
    /// `--contacts-only`: letters of those who are not in the book are refused, also where the book
    /// does not say so.
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
        let secret = Invite::secret_of(code.trim()).map(|secret| Some(secret.to_vec()));
        secret.ok_or_else(|| Failure::usage(Phrase::new("invite-bad")))
    }

    /// Whose letters are refused, as the book and the command line say.
    pub fn screens(&self, book: &Book) -> Screens {
        let contacts_only = self.contacts_only || book.contacts_only;
        let mut relays = BTreeMap::<_, Screen>::new();
        for contact in &book.contacts {
            let screen = relays.entry(contact.relay.clone()).or_default();
            if contact.blocked {
                screen.blocked.push(contact.member.clone());
            }
            if contacts_only {
                screen.only.get_or_insert_default().push(contact.member.clone());
            }
        }
        let others = contacts_only.then(|| Screen { blocked: Vec::new(), only: Some(Vec::new()) });
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
        Ok(book.relays().iter().map(|relay| spec_of(relay, &pins)).collect())
    }

    /// The relay at an address, with its pinned key, and what the book knows of it.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_in(&self, book: &Book, addr: HostPort) -> Result<RelaySpec, Phrase> {
        let pins = self.pins()?;
        let unknown = || contacts::RelaySpec { address: addr.clone(), tcp: None, key: None };
        Ok(spec_of(&book.relay(&addr).cloned().unwrap_or_else(unknown), &pins))
    }

    /// The relay that is meant by a contact there, or by its own name in the book.
    ///
    /// # Errors
    /// Those of [`Book::resolve`] and of [`Setup::pins`].
    pub fn relay_meant(&self, book: &Book, text: &str) -> Result<RelaySpec, Phrase> {
        let name = text.parse::<Name>().ok().filter(|name| book.contact(name).is_none());
        match name.and_then(|name| book.relay_named(&name)) {
            Some(named) => self.relay_in(book, named.relay.address.clone()),
            None => self.relay_of(&book.resolve(text)?),
        }
    }

    /// Whether a key that the book has, or is to have, is the pinned one, where one is pinned.
    ///
    /// # Errors
    /// `relay-key-unlike-pin`, and those of [`Setup::pins`].
    pub fn check_key(&self, relay: &HostPort, wanted: Fingerprint) -> Result<(), Phrase> {
        let pinned = self.pins()?.get(relay).map(|pin| pin.key);
        match pinned.filter(|pinned| !wanted.is_of(pinned)) {
            Some(pinned) => Err(notice::unreached(relay, &Unreached::BookUnlikePin { wanted, pinned })),
            None => Ok(()),
        }
    }

    /// The same for every relay of the book.
    ///
    /// # Errors
    /// Those of [`Setup::check_key`].
    pub fn check_keys(&self, book: &Book) -> Result<(), Phrase> {
        let keys = book.relays().iter().filter_map(|relay| Some((&relay.address, relay.key?)));
        keys.into_iter().try_for_each(|(relay, key)| self.check_key(relay, key))
    }

    /// The relay of one target, with its pinned key.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_of(&self, target: &Target) -> Result<RelaySpec, Phrase> {
        let relay = self.relay_at(target.relay.clone(), target.tcp.clone())?;
        Ok(RelaySpec { fingerprint: target.relay_key, ..relay })
    }

    /// The relay at an address, with its pinned key, whatever the book says.
    ///
    /// # Errors
    /// Those of [`Setup::pins`].
    pub fn relay_at(&self, addr: HostPort, tcp: Option<HostPort>) -> Result<RelaySpec, Phrase> {
        let key = self.pins()?.get(&addr).map(|pin| pin.key);
        Ok(RelaySpec { addr, tcp, key, fingerprint: None })
    }
}

fn spec_of(relay: &contacts::RelaySpec, pins: &Pins) -> RelaySpec {
    RelaySpec {
        key: pins.get(&relay.address).map(|pin| pin.key),
        addr: relay.address.clone(),
        tcp: relay.tcp.clone(),
        fingerprint: relay.key,
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
