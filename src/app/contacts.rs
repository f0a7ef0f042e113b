//! `queqiao contacts`: the address book from the command line.

use std::io::{self, IsTerminal};

use crate::base::{Fingerprint, HostPort, HostPortError, Name, NameError, Phrase, sanitize_line};
use crate::contacts::{AddressBook, Contact, Location, RemoveError};
use crate::ui::ResolvedContact;
use crate::ui::json;
use crate::ui::line::is_end_word;

use super::{CommandResult, ExitStatus, Failure, Setup, print, say};

/// A contact as given on the command line, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct NewContact {
    /// The user's label for the contact.
    pub name: String,
    /// The contact's relay: an address, or a name from the address book.
    pub relay: String,
    /// The contact's name there, if it differs.
    pub member: Option<String>,
    /// The fingerprint of that relay's key.
    pub relay_key: Option<String>,
    /// A free text.
    pub note: Option<String>,
    /// A group heading.
    pub group: Option<String>,
    /// TCP address of the relay, if it differs.
    pub tcp_addr: Option<String>,
}

/// Form of the list of contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactsForm {
    /// Columns for people.
    Text,
    /// One JSON object per line.
    Json,
    /// The names alone, one per line.
    Names,
}

/// Action on the address book.
#[derive(Clone, Debug)]
pub enum ContactsAction {
    /// Prints all contacts.
    List(ContactsForm),
    /// Adds a contact.
    Add(NewContact),
    /// Removes a contact.
    Remove(String),
    /// Blocks or unblocks a contact.
    Block(String, bool),
    /// Checks the book for errors.
    Check,
}

/// Reads or edits the address book.
///
/// # Errors
/// [`Failure`]: 2 for an invalid contact, 1 for a book that cannot be read or written.
pub fn contacts(setup: &Setup, action: &ContactsAction) -> CommandResult {
    let location = setup.location();
    let changed = |key: &'static str, name: &str| {
        say(&setup.strings, &Phrase::new(key).with("name", name).with("file", location.file()));
        Ok(ExitStatus::Done)
    };
    match action {
        ContactsAction::List(form) => list(setup, &location.load()?, *form),
        ContactsAction::Check => {
            if !location.path.exists() {
                return Err(Phrase::new("book-missing").with("file", location.file()).into());
            }
            let book = location.load()?;
            setup.check_keys(&book)?;
            let phrase =
                Phrase::new("book-good").with("file", location.file()).with("count", book.contacts.len());
            warn_of_alike(setup, &book, |_| true);
            if warn_of_useless(setup, &book, |_| true) {
                return Ok(ExitStatus::Failed);
            }
            print(&setup.strings.say(&phrase))?;
            Ok(ExitStatus::Done)
        }
        ContactsAction::Add(new) => {
            let contact = checked(new, &location.load_or_new()?)?;
            if let Some(key) = contact.relay_key {
                setup.check_key(&contact.relay, key)?;
            }
            location.add(&contact)?;
            let book = location.load()?;
            warn_of_alike(setup, &book, |label| *label == contact.label);
            warn_of_useless(setup, &book, |label| *label == contact.label);
            changed("contact-added", contact.label.as_str())
        }
        ContactsAction::Block(name, blocked) => {
            let book = location.load()?;
            let who = book.resolve(name)?;
            let who = ResolvedContact { label: who.label, relay: who.relay, member: who.member };
            say(&setup.strings, &set_blocked(&location, &book, &who, *blocked)?);
            Ok(ExitStatus::Done)
        }
        ContactsAction::Remove(name) => {
            location.remove(name).map_err(|error| match error {
                RemoveError::NoSuchContact { nearest } if nearest.is_empty() => {
                    Phrase::new("contact-none").with("name", name).with("file", location.file())
                }
                RemoveError::NoSuchContact { nearest } => {
                    let near: Vec<&str> = nearest.iter().map(Name::as_str).collect();
                    Phrase::new("contact-unknown-near").with("name", name).with("near", near.join(", "))
                }
                RemoveError::Edit(phrase) => phrase,
            })?;
            changed("contact-removed", name)
        }
    }
}

/// Warns about contacts whose labels look alike, if one of the two `is_meant`.
fn warn_of_alike(setup: &Setup, book: &AddressBook, is_meant: impl Fn(&Name) -> bool) {
    for (contact, other) in book.alike() {
        if is_meant(&contact.label) || is_meant(&other.label) {
            let phrase = Phrase::new("contact-alike").with("name", &contact.label);
            say(&setup.strings, &phrase.with("other", &other.label));
        }
    }
}

/// Warns about contacts that cannot be reached, or cannot be chosen in a chat, if one `is_meant`.
/// Returns whether there are any.
fn warn_of_useless(setup: &Setup, book: &AddressBook, is_meant: impl Fn(&Name) -> bool) -> bool {
    let mut any = false;
    let mut warn = |phrase| {
        any = true;
        say(&setup.strings, &phrase);
    };
    for contact in book.contacts.iter().filter(|contact| is_meant(&contact.label)) {
        let addresses = [Some(&contact.relay), contact.tcp.as_ref()];
        if let Some(relay) = addresses.into_iter().flatten().find(|relay| relay.is_unreachable()) {
            let phrase = Phrase::new("contact-unreachable").with("name", &contact.label);
            warn(phrase.with("relay", relay));
        }
        if is_end_word(contact.label.as_str()) {
            warn(Phrase::new("contact-word").with("name", &contact.label));
        }
    }
    any
}

/// Blocks or unblocks a contact in the book. A contact that is not in it is added if blocked.
/// Returns the phrase to show.
///
/// # Errors
/// Those of editing the book.
pub(super) fn set_blocked(
    location: &Location,
    book: &AddressBook,
    who: &ResolvedContact,
    blocked: bool,
) -> Result<Phrase, Phrase> {
    let name = match book.contact_of(&who.relay, &who.member) {
        Some(contact) => {
            location.set_blocked(contact.label.as_str(), blocked)?;
            contact.label.to_string()
        }
        None if blocked => {
            let new = Contact { blocked, ..Contact::new(who.member.clone(), who.relay.clone()) };
            location.add(&new)?;
            new.label.to_string()
        }
        None => return Err(book.unknown(&who.label)),
    };
    let phrase = if blocked { Phrase::new("contact-blocked") } else { Phrase::new("contact-unblocked") };
    Ok(phrase.with("name", name).with("file", location.file()))
}

/// Prints one contact per line; as text in columns: label, relay, and the optional fields.
fn list(setup: &Setup, book: &AddressBook, form: ContactsForm) -> CommandResult {
    match form {
        ContactsForm::Text => list_text(setup, book),
        ContactsForm::Json => print_each(book, json::contact),
        ContactsForm::Names => print_each(book, |contact| contact.label.to_string()),
    }
}

fn print_each(book: &AddressBook, line: impl Fn(&Contact) -> String) -> CommandResult {
    for contact in &book.contacts {
        print(&line(contact))?;
    }
    Ok(ExitStatus::Done)
}

fn list_text(setup: &Setup, book: &AddressBook) -> CommandResult {
    if book.contacts.is_empty() && io::stdout().is_terminal() {
        say(&setup.strings, &Phrase::new("book-no-relays").with("file", setup.location().file()));
    }
    let cells = |name: &Name| unicode_width::UnicodeWidthStr::width(name.as_str());
    let widest = book.contacts.iter().map(|contact| cells(&contact.label)).max().unwrap_or(0);
    for contact in &book.contacts {
        let padding = " ".repeat(widest - cells(&contact.label));
        let mut line = format!("{}{padding}  {}", contact.label, contact.relay);
        if contact.member != contact.label {
            line += &format!("  member={}", contact.member);
        }
        let relay = contact.relay_name.as_ref().map(Name::to_string);
        let tcp = contact.tcp.as_ref().map(HostPort::to_string);
        let key = contact.relay_key.map(|key| key.to_string());
        let words = [
            ("relay", relay),
            ("tcp", tcp),
            ("relay_key", key),
            ("group", contact.group.clone()),
            ("note", contact.note.clone()),
        ];
        for (word, value) in words {
            if let Some(value) = &value {
                line += &format!("  {word}={}", sanitize_line(value));
            }
        }
        if contact.blocked {
            line += "  blocked";
        }
        print(&line)?;
    }
    Ok(ExitStatus::Done)
}

fn checked(new: &NewContact, book: &AddressBook) -> Result<Contact, Failure> {
    let name = |text: &str| text.parse::<Name>().map_err(|error: NameError| Failure::usage(error.phrase()));
    let address = |text: &str| {
        let wrong = |error: HostPortError| Failure::usage(Phrase::new(error.key()).with("address", text));
        text.parse::<HostPort>().map_err(wrong)
    };
    let named = new.relay.parse::<Name>().ok().and_then(|name| book.relay_named(&name));
    let mut contact = match named {
        Some(named) => Contact {
            relay_name: Some(named.name.clone()),
            ..Contact::new(name(&new.name)?, named.relay.address.clone())
        },
        None => Contact::new(name(&new.name)?, address(&new.relay)?),
    };
    if let Some(member) = &new.member {
        contact.member = name(member)?;
    }
    contact.tcp = new.tcp_addr.as_deref().map(address).transpose()?;
    let bad_key = |_| Failure::usage(Phrase::new("fingerprint-bad"));
    let key = |text: &str| text.parse::<Fingerprint>().map_err(bad_key);
    contact.relay_key = new.relay_key.as_deref().map(key).transpose()?;
    contact.note = new.note.clone();
    contact.group = new.group.clone();
    Ok(contact)
}
