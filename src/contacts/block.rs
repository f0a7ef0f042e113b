//! Blocks and unblocks a contact. Changes one field of one entry and no other byte.

use toml_edit::{Document, Item};

use super::edit::{checked, edit_entry, rewrite, value, with_mark_of};
use super::position::SourceText;
use super::{AddressBook, Contact};
use crate::base::{Name, Phrase};

/// Returns the text with `blocked = true` in this contact's entry, or without it.
///
/// An entry on one line is rewritten up to its end; a comment behind it stays.
///
/// # Errors
/// `contact-unknown` or `contact-unknown-near`, `book-edit-by-hand`, and all errors of
/// [`AddressBook::parse`].
pub fn set_blocked(text: &str, file: &str, label: &str, blocked: bool) -> Result<String, Phrase> {
    let mut book = AddressBook::parse(text, file)?;
    let existing = label.parse::<Name>().ok().and_then(|name| book.contact(&name).cloned());
    let before = existing.ok_or_else(|| book.unknown(label))?;
    if before.blocked == blocked {
        return Ok(text.to_owned());
    }
    let after = Contact { blocked, ..before.clone() };
    let source = SourceText::new(text, file);
    let document = Document::parse(source.text).expect("the book was parsed from this text");
    let table = document.get("contacts").and_then(Item::as_table);
    let entry = table.filter(|table| !table.is_dotted()).and_then(|table| {
        let entries = table.iter().filter_map(|(key, _)| table.get_key_value(key));
        entries.into_iter().find(|(key, _)| key.get().parse::<Name>().as_ref() == Ok(&before.label))
    });
    let edited = match entry {
        Some((key, item)) => {
            let word = blocked.then_some("true");
            edit_entry(source, key, item, "blocked", word, &value(&after).to_string())
        }
        None => rewrite(source.text, "contacts", |contacts| {
            contacts.insert(after.label.as_str(), value(&after));
        }),
    };
    let slot = book.contacts.change().iter_mut().find(|contact| contact.label == after.label);
    *slot.expect("`book.contact` returned it above") = after;
    checked(with_mark_of(text, edited), file, book)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocking_changes_one_entry_and_no_other_byte() {
        let table = [
            (
                "[contacts]\nX = \"h:1\"  # x\nY = \"h:1\"\n",
                "[contacts]\nX = { relay = \"h:1\", blocked = true }  # x\nY = \"h:1\"\n",
            ),
            (
                "\u{feff}[contacts]\r\nX = { relay = \"h:1\", note = \"n\" } # x\r\n# z\r\n",
                "\u{feff}[contacts]\r\nX = { relay = \"h:1\", note = \"n\", blocked = true } # x\r\n# z\r\n",
            ),
            (
                "[contacts.X] # x\nrelay = \"h:1\" # r\n\n# of y\n[contacts.Y]\nrelay = \"h:1\"\n",
                "[contacts.X] # x\nrelay = \"h:1\" # r\nblocked = true\n\n# of y\n[contacts.Y]\nrelay = \"h:1\"\n",
            ),
            (
                "[contacts]\nX.relay = \"h:1\"\nY = \"h:1\"\n",
                "[contacts]\nX.relay = \"h:1\"\nX.blocked = true\nY = \"h:1\"\n",
            ),
            (
                "contacts = { X = \"h:1\" } # c\n",
                "contacts = { X = { relay = \"h:1\", blocked = true } } # c\n",
            ),
        ];
        for (free, blocked) in table {
            assert_eq!(set_blocked(free, "f", "x", true).unwrap(), blocked);
            assert_eq!(set_blocked(blocked, "f", "X", true).unwrap(), blocked, "already blocked");
            assert_eq!(set_blocked(blocked, "f", "X", false).unwrap(), free);
        }
    }

    #[test]
    fn unknown_contact_or_non_boolean_block_is_refused() {
        let error = set_blocked("[contacts]\nJACK = \"h:1\"", "f", "JAK", true).unwrap_err();
        assert_eq!(error.key(), "contact-unknown-near");
        let error =
            AddressBook::parse("[contacts]\nX = { relay = \"h:1\", blocked = \"yes\" }", "f").unwrap_err();
        assert_eq!(error.to_string(), r#"book-not-switch file="f" line="2" column="32" key="blocked""#);
    }
}
