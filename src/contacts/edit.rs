//! Edits the address book: adds or removes one contact and keeps every other byte.
//!
//! toml_edit provides positions, and the notation of keys and values. The text itself is cut and
//! joined here: serialising a whole document would turn CRLF into LF and lose a byte order mark.
//! Only a book that has its contacts in one inline table, or in dotted keys, is written by
//! toml_edit. In both cases the result is parsed again before it is used.

use std::ops::Range;

use toml_edit::{Document, DocumentMut, InlineTable, Item, Key, Table, Value};

use super::position::SourceText;
use super::{AddressBook, Contact};
use crate::base::{Name, Phrase};

/// Returns the text with a contact added below the others.
///
/// The entry is `NAME = "HOST:PORT"` if nothing else is known of the contact.
///
/// # Errors
/// `contact-exists` (`name`, `file`), `book-edit-by-hand` (`file`), and all errors of
/// [`AddressBook::parse`], including contradictions with the new entry.
pub fn add(text: &str, file: &str, contact: &Contact) -> Result<String, Phrase> {
    let mut book = AddressBook::parse(text, file)?;
    if let Some(there) = book.contact(&contact.label) {
        return Err(Phrase::new("contact-exists").with("name", &there.label).with("file", file));
    }
    let source = SourceText::new(text, file);
    let document = Document::parse(source.text).expect("the book was parsed from this text");
    let insert_at = match document.get("contacts") {
        None => Some(source.text.len()),
        Some(Item::Table(table)) if table.is_dotted() => None,
        Some(Item::Table(table)) if table.is_implicit() => Some(source.text.len()),
        Some(Item::Table(table)) => Some(source.line_end(body_end(table))),
        Some(_) => None,
    };
    let has_header = document.get("contacts").and_then(Item::as_table).is_some_and(|t| !t.is_implicit());
    let edited = match insert_at {
        Some(at) => insert(source.text, at, (!has_header).then_some("[contacts]"), &entry(contact)),
        None => rewrite(source.text, "contacts", |contacts| {
            contacts.insert(contact.label.as_str(), value(contact));
        }),
    };
    book.contacts.push(contact.clone());
    checked(with_mark_of(text, edited), file, book)
}

/// Returns the text without this contact. Its lines go, with comments at their ends; comments above
/// stay.
///
/// # Errors
/// [`RemoveError`]; `book-edit-by-hand` and all errors of [`AddressBook::parse`] are edit errors.
pub fn remove(text: &str, file: &str, label: &str) -> Result<String, RemoveError> {
    let mut book = AddressBook::parse(text, file)?;
    let existing = label.parse::<Name>().ok().and_then(|name| book.contact(&name).cloned());
    let removed = existing.ok_or_else(|| RemoveError::NoSuchContact { nearest: book.nearest(label) })?;
    let source = SourceText::new(text, file);
    let document = Document::parse(source.text).expect("the book was parsed from this text");
    let contacts = document.get("contacts").expect("the book has at least one contact");
    let edited = match contacts.as_table() {
        Some(table) => {
            let (key, item) = table
                .iter()
                .filter_map(|(key, _)| table.get_key_value(key))
                .find(|(key, _)| key.get().parse::<Name>().as_ref() == Ok(&removed.label))
                .expect("the contact was parsed from this table");
            without(source, lines_of(source, key, item))
        }
        None => rewrite(source.text, "contacts", |contacts| {
            contacts.retain(&mut |key: &str| key.parse::<Name>().as_ref() != Ok(&removed.label));
        }),
    };
    book.contacts.change().retain(|contact| contact.label != removed.label);
    Ok(checked(with_mark_of(text, edited), file, book)?)
}

/// Why a contact was not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoveError {
    /// The book has no contact of this name.
    NoSuchContact {
        /// Similar names, the nearest first.
        nearest: Vec<Name>,
    },
    /// The file cannot be read, edited or written. The phrase is for the user.
    Edit(Phrase),
}

impl From<Phrase> for RemoveError {
    fn from(phrase: Phrase) -> RemoveError {
        RemoveError::Edit(phrase)
    }
}

/// Returns the text with `[me]` below everything else. A book that has a name keeps it.
///
/// # Errors
/// `book-edit-by-hand`, and all errors of [`AddressBook::parse`].
pub fn set_me(text: &str, file: &str, name: &Name) -> Result<String, Phrase> {
    let mut book = AddressBook::parse(text, file)?;
    if book.me.is_some() {
        return Ok(text.to_owned());
    }
    book.me = Some(name.clone());
    let source = SourceText::new(text, file);
    let line = format!("name = {}", Value::from(name.as_str()));
    let edited = insert(source.text, source.text.len(), Some("[me]"), &line);
    let by_hand = || Phrase::new("book-edit-by-hand").with("file", file);
    checked(with_mark_of(text, edited), file, book).map_err(|_| by_hand())
}

/// Parses an edited text again and returns it if it equals the intended book.
pub(super) fn checked(text: String, file: &str, expected: AddressBook) -> Result<String, Phrase> {
    let parsed = AddressBook::parse(&text, file)?;
    let same_settings = (&parsed.me, parsed.contacts_only) == (&expected.me, expected.contacts_only);
    if same_settings && parsed.contacts.is_same_as(&expected.contacts) {
        return Ok(text);
    }
    Err(Phrase::new("book-edit-by-hand").with("file", file))
}

/// Returns the line of a contact, as written under `[contacts]`.
pub fn entry(contact: &Contact) -> String {
    format!("{} = {}", Key::new(contact.label.as_str()).display_repr(), value(contact))
}

pub(super) fn value(contact: &Contact) -> Value {
    let relay_name = contact.relay_name.as_ref().map(Name::to_string);
    let relay = Value::from(relay_name.unwrap_or_else(|| contact.relay.to_string()));
    let member = (contact.member != contact.label).then(|| contact.member.to_string());
    let options = [
        ("tcp", contact.tcp.as_ref().map(ToString::to_string)),
        ("relay_key", contact.relay_key.map(|key| key.to_string())),
        ("member", member),
        ("note", contact.note.clone()),
        ("group", contact.group.clone()),
    ];
    if options.iter().all(|(_, value)| value.is_none()) && !contact.blocked {
        return relay;
    }
    let mut table = InlineTable::new();
    table.insert("relay", relay);
    for (key, value) in options {
        if let Some(value) = value {
            table.insert(key, value.into());
        }
    }
    if contact.blocked {
        table.insert("blocked", true.into());
    }
    Value::InlineTable(table)
}

/// Inserts a line after the one that ends at `at`.
///
/// `header` is inserted before it if the table does not exist yet.
pub(super) fn insert(text: &str, at: usize, header: Option<&str>, line: &str) -> String {
    let newline = newline_of(text);
    let (above, below) = text.split_at((at + 1).min(text.len()));
    let mut edited = above.to_owned();
    if !above.is_empty() && !above.ends_with('\n') {
        edited.push_str(newline);
    }
    if let Some(header) = header {
        if !above.trim().is_empty() {
            edited.push_str(newline);
        }
        edited.push_str(header);
        edited.push_str(newline);
    }
    edited + line + newline + below
}

/// Returns the end of the last value directly in a table, or of its header.
pub(super) fn body_end(table: &Table) -> usize {
    let own = table.iter().filter(|(_, item)| match item {
        Item::Table(inner) => inner.is_dotted(),
        _ => true,
    });
    let header = table.span().map_or(0, |span| span.end);
    own.map(|(_, item)| item_end(item)).max().unwrap_or(0).max(header)
}

/// Returns the end of the last value anywhere in an item.
pub(super) fn item_end(item: &Item) -> usize {
    match item {
        Item::Table(table) => {
            let header = table.span().map_or(0, |span| span.end);
            table.iter().map(|(_, inner)| item_end(inner)).max().unwrap_or(0).max(header)
        }
        _ => item.span().map_or(0, |span| span.end),
    }
}

/// Returns the complete lines of an entry: one line, its own table, or one line per dotted key.
pub(super) fn lines_of(source: SourceText<'_>, key: &Key, item: &Item) -> Vec<Range<usize>> {
    let lines =
        |from: usize, to: usize| source.line_start(from)..(source.line_end(to) + 1).min(source.text.len());
    match item {
        Item::Table(table) if table.is_dotted() => table
            .iter()
            .filter_map(|(key, _)| table.get_key_value(key))
            .flat_map(|(key, item)| lines_of(source, key, item))
            .collect(),
        Item::Table(table) => vec![lines(table.span().map_or(0, |span| span.start), item_end(item))],
        _ => vec![lines(key.span().map_or(0, |span| span.start), item_end(item))],
    }
}

pub(super) fn without(source: SourceText<'_>, mut lines: Vec<Range<usize>>) -> String {
    lines.sort_by_key(|range| std::cmp::Reverse(range.start));
    let mut text = source.text.to_owned();
    for range in lines {
        text.replace_range(range, "");
    }
    text
}

/// Sets a field of an entry, or removes it (`None`). An entry on one line is replaced by `whole`.
pub(super) fn edit_entry(
    source: SourceText<'_>,
    key: &Key,
    item: &Item,
    field: &str,
    word: Option<&str>,
    whole: &str,
) -> String {
    let mut text = source.text.to_owned();
    let Item::Table(table) = item else {
        text.replace_range(item.span().unwrap_or_default(), whole);
        return text;
    };
    match (table.get_key_value(field), word) {
        (Some((key, item)), None) => without(source, lines_of(source, key, item)),
        (Some((_, item)), Some(word)) => {
            text.replace_range(item.span().unwrap_or_default(), word);
            text
        }
        (None, None) => text,
        (None, Some(word)) => {
            let last = table.iter().filter_map(|(_, item)| item.span()).map(|span| span.end).max();
            let at = source.line_end(last.unwrap_or(0).max(body_end(table)));
            let newline = newline_of(source.text);
            let line = match table.is_dotted() {
                true => format!("{}.{field} = {word}", key.display_repr()),
                false => format!("{field} = {word}"),
            };
            let (above, below) = text.split_at((at + 1).min(text.len()));
            let gap = if above.ends_with('\n') { "" } else { newline };
            format!("{above}{gap}{line}{newline}{below}")
        }
    }
}

/// Changes a table of the document with toml_edit and serialises the whole document.
pub(super) fn rewrite(text: &str, table: &str, change: impl FnOnce(&mut dyn EntryTable)) -> String {
    let mut document: DocumentMut = text.parse().expect("the book was parsed from this text");
    match document.get_mut(table) {
        Some(Item::Table(table)) => change(table),
        Some(Item::Value(Value::InlineTable(table))) => change(table),
        _ => {}
    }
    document.to_string().replace("\r\n", "\n").replace('\n', newline_of(text))
}

/// Operations common to both kinds of table.
pub(super) trait EntryTable {
    fn insert(&mut self, key: &str, value: Value);
    fn retain(&mut self, keep: &mut dyn FnMut(&str) -> bool);
}

impl EntryTable for Table {
    fn insert(&mut self, key: &str, value: Value) {
        Table::insert(self, key, Item::Value(value));
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&str) -> bool) {
        Table::retain(self, |key, _| keep(key));
    }
}

impl EntryTable for InlineTable {
    fn insert(&mut self, key: &str, value: Value) {
        InlineTable::insert(self, key, value);
    }

    fn retain(&mut self, keep: &mut dyn FnMut(&str) -> bool) {
        InlineTable::retain(self, |key, _| keep(key));
    }
}

pub(super) fn newline_of(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

pub(super) fn with_mark_of(original: &str, edited: String) -> String {
    if original.starts_with('\u{feff}') { format!("\u{feff}{edited}") } else { edited }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn name_is_added_once_and_other_bytes_stay() {
        let set = |text: &str| set_me(text, "f", &"一棵树".parse().unwrap()).unwrap();
        assert_eq!(set(""), "[me]\nname = \"一棵树\"\n");
        let book = "contacts_only = true\n[contacts]\nA = \"h:1\" # a";
        assert_eq!(set(book), format!("{book}\n\n[me]\nname = \"一棵树\"\n"));
        let named = "[me]\nname = \"TOM\"\n";
        assert_eq!(set(named), named);
    }

    #[test]
    fn book_with_empty_me_is_left_alone() {
        let error = set_me("[me]\n", "f", &"TOM".parse().unwrap()).unwrap_err();
        assert_eq!(error.key(), "book-edit-by-hand");
    }

    proptest! {
        #[test]
        fn added_contact_round_trips_and_removal_restores_text(
            label in "[a-zA-Z0-9._-]{0,8}[a-zé武大郎]{1,4}",
            note in proptest::option::of("[ -~\t\n\r\"'\\\\武\u{0}-\u{1f}]{0,20}"),
            group in proptest::option::of("\\PC{0,12}"),
            windows in any::<bool>(),
        ) {
            let text = "# top\n[contacts]\nTOM = \"h:1\" # t\n\n[me]\nname = \"TOM\"\n";
            let text = if windows { text.replace('\n', "\r\n") } else { text.to_owned() };
            let contact = Contact { note, group, ..Contact::new(label.parse().unwrap(), "h:1".parse().unwrap()) };
            prop_assume!(contact.label.folded() != "tom");
            let with = add(&text, "f", &contact).unwrap();
            prop_assert_eq!(&AddressBook::parse(&with, "f").unwrap().contacts[1], &contact);
            prop_assert_eq!(remove(&with, "f", &label).unwrap(), text);
        }
    }

    fn ann() -> Contact {
        Contact::new("ann".parse().unwrap(), "h:1".parse().unwrap())
    }

    fn added(text: &str) -> String {
        add(text, "f", &ann()).unwrap()
    }

    #[test]
    fn contact_is_added_below_others_and_nothing_else_moves() {
        let table = [
            ("", "[contacts]\nann = \"h:1\"\n"),
            ("# mine\n", "# mine\n\n[contacts]\nann = \"h:1\"\n"),
            ("[contacts]", "[contacts]\nann = \"h:1\"\n"),
            ("[contacts] # here\n\n# later\n", "[contacts] # here\nann = \"h:1\"\n\n# later\n"),
            (
                "[contacts]\nA   =   \"h:1\"   # first\n# B = \"h:2\"\n\n[me]\nname = \"X\" # me\n",
                "[contacts]\nA   =   \"h:1\"   # first\nann = \"h:1\"\n# B = \"h:2\"\n\n[me]\nname = \"X\" # me\n",
            ),
            ("[contacts]\nA = \"h:1\"", "[contacts]\nA = \"h:1\"\nann = \"h:1\"\n"),
            ("[contacts]\r\nA = \"h:1\" # é\r\n", "[contacts]\r\nA = \"h:1\" # é\r\nann = \"h:1\"\r\n"),
            ("\u{feff}[contacts]\r\n", "\u{feff}[contacts]\r\nann = \"h:1\"\r\n"),
            (
                "[contacts]\nA.relay = \"h:1\" # a\n[contacts.B] # b\nrelay = \"h:1\"\n",
                "[contacts]\nA.relay = \"h:1\" # a\nann = \"h:1\"\n[contacts.B] # b\nrelay = \"h:1\"\n",
            ),
            (
                "[contacts.B]\nrelay = \"h:1\" # b\n",
                "[contacts.B]\nrelay = \"h:1\" # b\n\n[contacts]\nann = \"h:1\"\n",
            ),
            ("contacts = { A = \"h:1\" } # one\r\n", "contacts = { A = \"h:1\" , ann = \"h:1\" } # one\r\n"),
            ("contacts.A = \"h:1\" # a\n", "contacts.A = \"h:1\" # a\ncontacts.ann = \"h:1\"\n"),
        ];
        for (before, after) in table {
            assert_eq!(added(before), after, "{before:?}");
        }
    }

    #[test]
    fn contact_with_more_fields_is_written_in_long_form() {
        let mut contact = Contact::new("一棵树".parse().unwrap(), "[::1]:9".parse().unwrap());
        assert_eq!(add("", "f", &contact).unwrap(), "[contacts]\n\"一棵树\" = \"[::1]:9\"\n");
        contact.member = "tree".parse().unwrap();
        contact.tcp = "h:2".parse().ok();
        contact.note = Some("says \"hi\"\nand 'bye'".into());
        contact.group = Some("work".into());
        let text = add("", "f", &contact).unwrap();
        assert!(text.starts_with(
            "[contacts]\n\"一棵树\" = { relay = \"[::1]:9\", tcp = \"h:2\", member = \"tree\", note = "
        ));
        assert_eq!(AddressBook::parse(&text, "f").unwrap().contacts[..], [contact]);
    }

    #[test]
    fn contradicting_contact_is_not_added() {
        let error = |text: &str, contact: &Contact| add(text, "f", contact).unwrap_err().to_string();
        assert_eq!(error("[contacts]\nANN = \"h:9\"", &ann()), r#"contact-exists name="ANN" file="f""#);
        assert!(error("[contacts]\nB = h:9", &ann()).starts_with("book-bare-value"));
        let mut other = ann();
        other.tcp = "h:2".parse().ok();
        let before = "[contacts]\nB = { relay = \"h:1\", tcp = \"h:3\" }\n";
        assert!(error(before, &other).starts_with("book-tcp-conflict"));
    }

    #[test]
    fn removal_deletes_lines_of_contact_only() {
        let table = [
            (
                "# a\n[contacts]\n# x\nX = \"h:1\" # x\nY = \"h:1\" # y\n",
                "# a\n[contacts]\n# x\nY = \"h:1\" # y\n",
            ),
            ("[contacts]\nY = \"h:1\"\nX = \"h:1\"", "[contacts]\nY = \"h:1\"\n"),
            ("\u{feff}[contacts]\r\nX = \"h:1\"\r\n# z\r\n", "\u{feff}[contacts]\r\n# z\r\n"),
            ("[contacts]\nX.relay = \"h:1\"\nY = \"h:1\"\nX.note = \"n\" # n\n", "[contacts]\nY = \"h:1\"\n"),
            (
                "[contacts.X] # x\n# in x\nrelay = \"h:1\"\n\n# of y\n[contacts.Y]\nrelay = \"h:1\"\n",
                "\n# of y\n[contacts.Y]\nrelay = \"h:1\"\n",
            ),
            ("[contacts]\nX = { relay = \"h:1\", note = \"\"\"a\nb\"\"\" }\n# z\n", "[contacts]\n# z\n"),
            ("contacts.X = \"h:1\"\ncontacts.Y = \"h:1\" # y\n", "contacts.Y = \"h:1\" # y\n"),
            ("contacts = { X = \"h:1\", Y = \"h:1\" } # c\n", "contacts = { Y = \"h:1\" } # c\n"),
        ];
        for (before, after) in table {
            assert_eq!(remove(before, "f", "x").unwrap(), after, "{before:?}");
        }
    }

    #[test]
    fn removing_unknown_name_is_refused() {
        let near = RemoveError::NoSuchContact { nearest: vec!["JACK".parse().unwrap()] };
        assert_eq!(remove("[contacts]\nJACK = \"h:1\"", "f", "JAK").unwrap_err(), near);
        let unknown = RemoveError::NoSuchContact { nearest: Vec::new() };
        assert_eq!(remove("", "f", "../x").unwrap_err(), unknown);
    }

    #[test]
    fn adding_and_removing_restores_file() {
        let shipped = include_str!("../../contacts.toml");
        assert_eq!(remove(&added(shipped), "f", "ann").unwrap(), shipped);
        let windows = format!("\u{feff}{}", shipped.replace('\n', "\r\n"));
        assert_eq!(remove(&added(&windows), "f", "ann").unwrap(), windows);
    }
}
