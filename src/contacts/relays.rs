//! Edits the relays of an address book: adds one, or changes its key. Keeps every other byte.

use std::ops::Range;

use toml_edit::{Document, InlineTable, Item, Key, TableLike, Value};

use super::edit::{body_end, checked, edit_entry, insert, rewrite, with_mark_of};
use super::position::SourceText;
use super::{AddressBook, NamedRelay, RelayEntry};
use crate::base::{Fingerprint, HostPort, Name, Phrase};

/// Name of a relay that the user has not named; a number follows if it is taken.
const NAME: &str = "home";

/// Returns the text with this relay and its key under `[relays]`, and its name there.
///
/// A relay whose address is already listed keeps its name and its TCP address.
///
/// # Errors
/// `book-other-relay-key` (`file`, `relay`, `key`, `offered`), `book-edit-by-hand` (`file`), and
/// all errors of [`AddressBook::parse`].
pub fn put_relay(text: &str, file: &str, relay: &RelayEntry) -> Result<(String, Name), Phrase> {
    let mut book = AddressBook::parse(text, file)?;
    let existing = book.relay(&relay.address).cloned();
    if let Some((key, offered)) = existing.as_ref().and_then(|existing| existing.key).zip(relay.key)
        && key != offered
    {
        let differs = Phrase::new("book-other-relay-key").with("file", file).with("relay", &relay.address);
        return Err(differs.with("key", key).with("offered", offered));
    }
    let tcp = existing.as_ref().and_then(|existing| existing.tcp.clone()).or_else(|| relay.tcp.clone());
    let relay = RelayEntry { tcp, ..relay.clone() };
    let index = book.contacts.named().iter().position(|named| named.relay.address == relay.address);
    let source = SourceText::new(text, file);
    let (name, edited) = match index {
        Some(index) => {
            let before = book.contacts.named()[index].clone();
            let after = RelayEntry { key: relay.key.or(before.relay.key), ..before.relay.clone() };
            if after == before.relay {
                return Ok((text.to_owned(), before.name));
            }
            book.contacts.change_named()[index].relay = after.clone();
            let edited = with_key(source, &before.name, &after);
            (before.name, edited)
        }
        None => {
            let name = free_name(&book);
            book.contacts.change_named().push(NamedRelay { name: name.clone(), relay: relay.clone() });
            let edited = with_entry(source, &name, &relay);
            (name, edited)
        }
    };
    Ok((checked(with_mark_of(text, edited), file, book)?, name))
}

/// Returns the text with every key of this relay replaced. A relay without a key stays without.
///
/// # Errors
/// `book-edit-by-hand` (`file`), and all errors of [`AddressBook::parse`].
pub fn set_relay_key(text: &str, file: &str, relay: &HostPort, key: Fingerprint) -> Result<String, Phrase> {
    let mut book = AddressBook::parse(text, file)?;
    let source = SourceText::new(text, file);
    let document = Document::parse(source.text).expect("the book was parsed from this text");
    let table = |name: &str| document.get(name).and_then(Item::as_table_like);
    let mut spans = Vec::new();
    for named in book.contacts.named().iter().filter(|named| named.relay.address == *relay) {
        spans.extend(table("relays").and_then(|table| span_of(table, &named.name, "key")));
    }
    for contact in book.contacts.iter().filter(|contact| contact.relay == *relay) {
        spans.extend(table("contacts").and_then(|table| span_of(table, &contact.label, "relay_key")));
    }
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut edited = source.text.to_owned();
    spans.into_iter().for_each(|span| edited.replace_range(span, &format!("\"{key}\"")));
    let change = |current: &mut Option<Fingerprint>| *current = current.map(|_| key);
    for named in book.contacts.change_named().iter_mut().filter(|named| named.relay.address == *relay) {
        change(&mut named.relay.key);
    }
    for contact in book.contacts.change().iter_mut().filter(|contact| contact.relay == *relay) {
        change(&mut contact.relay_key);
    }
    checked(with_mark_of(text, edited), file, book)
}

/// Returns the span of the value of a field of an entry.
fn span_of(table: &dyn TableLike, name: &Name, field: &str) -> Option<Range<usize>> {
    let (_, item) = entry_of(table, name)?;
    item.as_table_like()?.get(field)?.span()
}

fn entry_of<'a>(table: &'a dyn TableLike, name: &Name) -> Option<(&'a Key, &'a Item)> {
    let entries = table.iter().filter_map(|(key, _)| table.get_key_value(key));
    entries.into_iter().find(|(key, _)| key.get().parse::<Name>().as_ref() == Ok(name))
}

fn free_name(book: &AddressBook) -> Name {
    let names = (1..).map(|n| if n == 1 { NAME.to_owned() } else { format!("{NAME}-{n}") });
    let mut names =
        names.map(|name| name.parse::<Name>().expect("`home-N` consists of letters, digits and a dash"));
    names.find(|name| book.relay_named(name).is_none()).expect("a book has finitely many relays")
}

fn with_key(source: SourceText<'_>, name: &Name, relay: &RelayEntry) -> String {
    let document = Document::parse(source.text).expect("the book was parsed from this text");
    let word = relay.key.map(|key| format!("\"{key}\""));
    let table = document.get("relays").and_then(Item::as_table).filter(|table| !table.is_dotted());
    match table.and_then(|table| entry_of(table, name)) {
        Some((key, item)) => edit_entry(source, key, item, "key", word.as_deref(), &value(relay).to_string()),
        None => rewrite(source.text, "relays", |relays| relays.insert(name.as_str(), value(relay))),
    }
}

/// Returns the line of a relay, as written under `[relays]`.
pub fn relay_entry(relay: &RelayEntry) -> String {
    format!("{NAME} = {}", value(relay))
}

fn with_entry(source: SourceText<'_>, name: &Name, relay: &RelayEntry) -> String {
    let document = Document::parse(source.text).expect("the book was parsed from this text");
    let line = format!("{} = {}", Key::new(name.as_str()).display_repr(), value(relay));
    let header = Some("[relays]");
    match document.get("relays") {
        None => insert(source.text, source.text.len(), header, &line),
        Some(Item::Table(table)) if table.is_dotted() => {
            rewrite(source.text, "relays", |relays| relays.insert(name.as_str(), value(relay)))
        }
        Some(Item::Table(table)) if table.is_implicit() => {
            insert(source.text, source.text.len(), header, &line)
        }
        Some(Item::Table(table)) => insert(source.text, source.line_end(body_end(table)), None, &line),
        Some(_) => rewrite(source.text, "relays", |relays| relays.insert(name.as_str(), value(relay))),
    }
}

fn value(relay: &RelayEntry) -> Value {
    let mut table = InlineTable::new();
    table.insert("address", relay.address.to_string().into());
    let tcp = relay.tcp.as_ref().map(HostPort::to_string);
    let key = relay.key.map(|key| key.to_string());
    for (field, value) in [("tcp", tcp), ("key", key)] {
        if let Some(value) = value {
            table.insert(field, value.into());
        }
    }
    Value::InlineTable(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "aaaaa-bbbbb-ccccc-ddddd";
    const OTHER: &str = "eeeee-fffff-ggggg-hhhhh";

    fn relay() -> RelayEntry {
        RelayEntry { address: "h:1".parse().unwrap(), tcp: None, key: KEY.parse().ok() }
    }

    fn put(text: &str) -> String {
        put_relay(text, "f", &relay()).unwrap().0
    }

    #[test]
    fn relay_is_added_below_others_and_nothing_else_moves() {
        let line = format!("home = {{ address = \"h:1\", key = \"{KEY}\" }}\n");
        let table = [
            ("", format!("[relays]\n{line}")),
            (
                "# mine\n[contacts]\nA = \"h:1\" # a\n",
                format!("# mine\n[contacts]\nA = \"h:1\" # a\n\n[relays]\n{line}"),
            ),
            (
                "[relays] # r\nx = \"y:1\"\n\n[contacts]\n",
                format!("[relays] # r\nx = \"y:1\"\n{line}\n[contacts]\n"),
            ),
            (
                "[relays]\nHome = \"y:1\"",
                format!("[relays]\nHome = \"y:1\"\n{}", line.replace("home", "home-2")),
            ),
            ("\u{feff}[me]\r\n", format!("\u{feff}[me]\r\n\r\n[relays]\r\n{}", line.replace('\n', "\r\n"))),
            ("[relays.x]\naddress = \"y:1\"\n", format!("[relays.x]\naddress = \"y:1\"\n\n[relays]\n{line}")),
            ("relays = { x = \"y:1\" }\n", format!("relays = {{ x = \"y:1\" , {} }}\n", line.trim_end())),
        ];
        for (before, after) in table {
            assert_eq!(put(before), after, "{before:?}");
            assert_eq!(put(&after), after, "already listed");
        }
    }

    #[test]
    fn listed_relay_gets_key_in_place() {
        let with_key = format!("{{ address = \"h:1\", key = \"{KEY}\" }}");
        let table = [
            ("[relays]\nx = \"h:1\" # x\n", format!("[relays]\nx = {with_key} # x\n")),
            ("[relays]\nx = { address = \"h:1\" } # x\n", format!("[relays]\nx = {with_key} # x\n")),
            (
                "[relays.x] # x\naddress = \"h:1\"\n",
                format!("[relays.x] # x\naddress = \"h:1\"\nkey = \"{KEY}\"\n"),
            ),
            (
                "[relays]\nx.address = \"h:1\"\n",
                format!("[relays]\nx.address = \"h:1\"\nx.key = \"{KEY}\"\n"),
            ),
        ];
        for (before, after) in table {
            assert_eq!(put(before), after, "{before:?}");
        }
        let text = format!("[relays]\nx = {{ address = \"h:1\", key = \"{OTHER}\" }}\n");
        let swapped = set_relay_key(&text, "f", &relay().address, KEY.parse().unwrap()).unwrap();
        assert_eq!(swapped, text.replace(OTHER, KEY));
    }

    #[test]
    fn every_occurrence_of_key_is_changed() {
        let text = format!(
            "[relays]\nx = {{ address = \"h:1\", key = \"{OTHER}\" }} # x\ny = {{ address = \"h:2\", key = \"{OTHER}\" }}\n\
             [contacts]\nA = {{ relay = \"h:1\", relay_key = \"{OTHER}\" }}\nB = \"h:1\"\n\
             [contacts.C]\nrelay = \"x\"\nrelay_key = '{OTHER}' # c\n"
        );
        let after = set_relay_key(&text, "f", &relay().address, KEY.parse().unwrap()).unwrap();
        let quoted = text.replace(&format!("'{OTHER}'"), &format!("\"{OTHER}\""));
        let wanted = quoted
            .replace(OTHER, KEY)
            .replace(&format!("h:2\", key = \"{KEY}"), &format!("h:2\", key = \"{OTHER}"));
        assert_eq!(after, wanted);
        let without = "[contacts]\nA = \"h:1\"\n";
        assert_eq!(set_relay_key(without, "f", &relay().address, KEY.parse().unwrap()).unwrap(), without);
    }

    #[test]
    fn relay_with_contradicting_key_is_not_added() {
        for text in [
            format!("[relays]\nx = {{ address = \"h:1\", key = \"{OTHER}\" }}\n"),
            format!("[contacts]\nA = {{ relay = \"h:1\", relay_key = \"{OTHER}\" }}\n"),
        ] {
            let put = put_relay(&text, "f", &relay());
            assert!(put.is_err(), "{put:?}");
        }
        let text = "[contacts]\nA = { relay = \"h:1\", tcp = \"h:2\" }\n";
        let other = RelayEntry { tcp: "h:3".parse().ok(), ..relay() };
        let (text, _) = put_relay(text, "f", &other).unwrap();
        assert_eq!(AddressBook::parse(&text, "f").unwrap().relays()[0].tcp, "h:2".parse().ok());
    }
}
