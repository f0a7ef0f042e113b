//! Finds the conversation that `history CONTACT` means: with an entry of the address book, or with
//! any member that letters were exchanged with.

use std::collections::BTreeSet;

use crate::base::{HostPort, Name, Phrase};
use crate::contacts::{AddressBook, ResolveError};

/// Names that an error suggests at most.
const NEAREST: usize = 3;

/// Returns the relay and name of the member meant. `known` are the members of all conversations.
///
/// # Errors
/// `contact-unknown-near`, `history-no-contact`, `history-contact-several`, or those of
/// [`AddressBook::resolve`] for a text that is not a name or address.
pub(super) fn find(
    book: &AddressBook,
    contact: &str,
    known: &[(HostPort, Name)],
) -> Result<(HostPort, Name), Phrase> {
    match book.try_resolve(contact) {
        Ok(found) => {
            let with = (found.relay, found.member);
            if book.contact_of(&with.0, &with.1).is_some() || known.contains(&with) {
                return Ok(with);
            }
        }
        Err(ResolveError::Invalid(phrase)) => return Err(phrase),
        Err(ResolveError::Unknown(_)) => {}
    }
    let name = contact.parse::<Name>().ok();
    let namesakes: Vec<_> = known.iter().filter(|(_, member)| name.as_ref() == Some(member)).collect();
    match namesakes[..] {
        [with] => Ok(with.clone()),
        [] => Err(unknown(book, contact, known)),
        _ => {
            let names: Vec<String> =
                namesakes.iter().map(|(relay, member)| format!("{member}@{relay}")).collect();
            let phrase = Phrase::new("history-contact-several").with("name", contact);
            Err(phrase.with("names", names.join(", ")))
        }
    }
}

fn unknown(book: &AddressBook, contact: &str, known: &[(HostPort, Name)]) -> Phrase {
    let wanted = contact.split_once('@').map_or(contact, |(name, _)| name);
    let labels = book.contacts.iter().map(|contact| &contact.label);
    let strangers = known.iter().filter(|(relay, member)| book.contact_of(relay, member).is_none());
    let candidates: BTreeSet<&Name> = labels.chain(strangers.map(|(_, member)| member)).collect();
    let near = Name::nearest(wanted, candidates.into_iter(), NEAREST);
    let near: Vec<&str> = near.iter().map(Name::as_str).collect();
    match near.is_empty() {
        true => Phrase::new("history-no-contact").with("name", contact),
        false => Phrase::new("contact-unknown-near").with("name", contact).with("near", near.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(book: &str, contact: &str, known: &[&str]) -> String {
        let book = AddressBook::parse(book, "f").unwrap();
        let known: Vec<(HostPort, Name)> = known
            .iter()
            .map(|known| {
                let (name, relay) = known.split_once('@').unwrap();
                (relay.parse().unwrap(), name.parse().unwrap())
            })
            .collect();
        match find(&book, contact, &known) {
            Ok((relay, member)) => format!("{member}@{relay}"),
            Err(phrase) => phrase.to_string(),
        }
    }

    const ONE: &str = "[contacts]\nJACK = \"h:1\"\nBEN = { relay = \"h:1\", member = \"benjamin\" }";
    const TWO: &str = "[contacts]\nJACK = \"h:1\"\nTOM = \"h:2\"";

    #[test]
    fn entry_needs_no_letters_and_stranger_does() {
        assert_eq!(found(ONE, "jack", &[]), "JACK@h:1");
        assert_eq!(found(ONE, "BEN", &[]), "benjamin@h:1");
        assert_eq!(found(ONE, "EVE", &["EVE@h:1"]), "EVE@h:1");
        assert_eq!(found(TWO, "EVE", &["EVE@h:2"]), "EVE@h:2");
        assert_eq!(found(TWO, "EVE@h:3", &["EVE@h:3"]), "EVE@h:3");
        assert_eq!(found("", "EVE", &["EVE@h:3"]), "EVE@h:3");
    }

    #[test]
    fn unknown_contact_is_error_with_nearest_names() {
        assert_eq!(found(ONE, "JAKC", &[]), r#"contact-unknown-near name="JAKC" near="JACK""#);
        assert_eq!(found(ONE, "EVA", &["EVE@h:1"]), r#"contact-unknown-near name="EVA" near="EVE""#);
        assert_eq!(found(ONE, "zebra", &[]), r#"history-no-contact name="zebra""#);
        assert_eq!(found("", "zebra", &[]), r#"history-no-contact name="zebra""#);
        assert_eq!(found(TWO, "JAKC@h:1", &[]), r#"contact-unknown-near name="JAKC@h:1" near="JACK""#);
    }

    #[test]
    fn namesakes_and_bad_names_are_errors() {
        let names = r#"history-contact-several name="EVE" names="EVE@h:1, EVE@h:2""#;
        assert_eq!(found(TWO, "EVE", &["EVE@h:1", "EVE@h:2"]), names);
        assert_eq!(found(ONE, "a b", &[]), "name-space");
    }
}
