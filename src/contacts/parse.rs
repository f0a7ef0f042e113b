//! Parses an address book: checks every entry, and reports a mistake with its position and fix.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, Key, TableLike};

use super::diagnose::diagnose;
use super::position::{Lines, SourceText};
use super::{AddressBook, Contact, NamedRelay, RelayEntry};
use crate::base::{
    Fingerprint, FingerprintError, HostPort, HostPortError, Name, NameError, Phrase, with_brackets,
};

/// Setting that refuses letters from senders who are not contacts.
const CONTACTS_ONLY: &str = "contacts_only";
const TOP_KEYS: [&str; 4] = ["me", "relays", "contacts", CONTACTS_ONLY];
const ME_KEYS: [&str; 1] = ["name"];
const RELAY_KEYS: [&str; 3] = ["address", "tcp", "key"];
const CONTACT_KEYS: [&str; 7] = ["relay", "tcp", "relay_key", "member", "note", "group", "blocked"];

impl AddressBook {
    /// Parses a book. A byte order mark and CRLF are accepted.
    ///
    /// `file` is the name of the file in errors.
    ///
    /// # Errors
    /// The first mistake: a phrase `book-…` with `file`, `line` and `column` (both from 1, in
    /// characters).
    pub fn parse(text: &str, file: &str) -> Result<AddressBook, Phrase> {
        let source = SourceText::new(text, file);
        let document = Document::parse(source.text).map_err(|error| diagnose(source, &error))?;
        BookParser::new(source).book(document.as_table())
    }
}

/// One value of the file, with its key and position.
#[derive(Clone, Copy)]
struct Spanned<'a> {
    key: &'a Key,
    item: &'a Item,
}

impl Spanned<'_> {
    fn key_at(&self) -> usize {
        self.key.span().map_or(0, |span| span.start)
    }

    fn value_at(&self) -> usize {
        self.item.span().map_or_else(|| self.key_at(), |span| span.start)
    }
}

struct BookParser<'a> {
    source: SourceText<'a>,
    lines: Lines,
    /// Lines of the labels seen, by case-folded label.
    lines_by_label: BTreeMap<String, usize>,
    /// Named relays and the lines of their names, by case-folded name.
    named: BTreeMap<String, (NamedRelay, usize)>,
    /// Each relay's TCP address, and the line that gave it.
    tcp_by_relay: BTreeMap<HostPort, (HostPort, usize)>,
    /// Each relay's key, and the line that gave it.
    key_by_relay: BTreeMap<HostPort, (Fingerprint, usize)>,
}

impl<'a> BookParser<'a> {
    fn new(source: SourceText<'a>) -> BookParser<'a> {
        BookParser {
            source,
            lines: Lines::of(source),
            lines_by_label: BTreeMap::new(),
            named: BTreeMap::new(),
            tcp_by_relay: BTreeMap::new(),
            key_by_relay: BTreeMap::new(),
        }
    }

    fn book(mut self, top: &'a dyn TableLike) -> Result<AddressBook, Phrase> {
        let mut book = AddressBook::default();
        // Parse relays first: a contact may name a relay that the file defines below it.
        if let Some(spanned) = spanned_items(top).find(|spanned| spanned.key.get() == "relays") {
            for entry in spanned_items(self.table(spanned)?) {
                let relay = self.named_relay(entry)?;
                book.contacts.change_named().push(relay);
            }
        }
        for spanned in spanned_items(top) {
            match spanned.key.get() {
                "relays" => {}
                CONTACTS_ONLY => book.contacts_only = self.switch(spanned)?,
                "me" => book.me = self.me(self.table(spanned)?)?,
                "contacts" => {
                    for entry in spanned_items(self.table(spanned)?) {
                        let contact = self.contact(entry)?;
                        self.compare(entry, &contact)?;
                        book.contacts.push(contact);
                    }
                }
                _ => return Err(self.unknown_top_key(spanned)),
            }
        }
        Ok(book)
    }

    fn me(&self, table: &dyn TableLike) -> Result<Option<Name>, Phrase> {
        let mut me = None;
        for spanned in spanned_items(table) {
            self.check_place(spanned)?;
            if spanned.key.get() != "name" {
                return Err(self.unknown_key(spanned, &ME_KEYS));
            }
            if self.text(spanned)?.is_empty() {
                return Err(self.source.mistake("book-me-empty", spanned.value_at()));
            }
            let name = self.name(self.text(spanned)?, spanned.value_at())?;
            if name.is_reserved() {
                return Err(self.source.mistake("book-me-reserved", spanned.value_at()).with("name", name));
            }
            me = Some(name);
        }
        Ok(me)
    }

    fn named_relay(&mut self, entry: Spanned<'a>) -> Result<NamedRelay, Phrase> {
        self.check_place(entry)?;
        let relay = match entry.item.as_table_like() {
            Some(table) => {
                self.check_dotted(entry, table, &RELAY_KEYS)?;
                self.long_relay(entry, table)?
            }
            None if entry.item.is_str() => RelayEntry { address: self.address(entry)?, tcp: None, key: None },
            None => {
                let wrong = self.source.mistake("book-not-relay", entry.value_at());
                return Err(wrong.with("name", entry.key.get()));
            }
        };
        let name = self.name(entry.key.get(), entry.key_at())?;
        let line = self.lines.line(entry.key_at());
        let named = NamedRelay { name, relay };
        if let Some((_, first)) = self.named.insert(named.name.folded(), (named.clone(), line)) {
            let wrong = self.source.mistake("book-duplicate-name", entry.key_at());
            return Err(wrong.with("name", &named.name).with("first", first));
        }
        let NamedRelay { relay: RelayEntry { address, tcp, key }, .. } = &named;
        self.agree(address, tcp, field_at(entry, "tcp"), *key, field_at(entry, "key"))?;
        Ok(named)
    }

    fn long_relay(&self, entry: Spanned<'_>, table: &'a dyn TableLike) -> Result<RelayEntry, Phrase> {
        let mut address = None;
        let mut tcp = None;
        let mut key = None;
        for spanned in spanned_items(table) {
            match spanned.key.get() {
                "address" => address = Some(self.address(spanned)?),
                "tcp" => tcp = Some(self.address(spanned)?),
                "key" => key = Some(self.fingerprint(spanned)?),
                _ => return Err(self.unknown_key(spanned, &RELAY_KEYS)),
            }
        }
        let lacking =
            || self.source.mistake("book-no-relay-address", entry.key_at()).with("name", entry.key.get());
        Ok(RelayEntry { address: address.ok_or_else(lacking)?, tcp, key })
    }

    /// Rejects a dot outside quotes, which turns an intended name into a table.
    fn check_dotted(&self, entry: Spanned<'_>, table: &dyn TableLike, known: &[&str]) -> Result<(), Phrase> {
        if table.is_dotted()
            && let Some(inner) = spanned_items(table).next()
            && !known.contains(&inner.key.get())
        {
            let whole = format!("{}.{}", entry.key.get(), inner.key.get());
            return Err(self.source.mistake("book-dotted-name", entry.key_at()).with("name", whole));
        }
        Ok(())
    }

    /// Rejects a setting of the whole file inside one of its tables.
    fn check_place(&self, spanned: Spanned<'_>) -> Result<(), Phrase> {
        match spanned.key.get() == CONTACTS_ONLY && spanned.item.as_bool().is_some() {
            true => Err(self.source.mistake("book-below-table", spanned.key_at()).with("key", CONTACTS_ONLY)),
            false => Ok(()),
        }
    }

    fn contact(&self, entry: Spanned<'a>) -> Result<Contact, Phrase> {
        self.check_place(entry)?;
        let Some(table) = entry.item.as_table_like() else {
            if !entry.item.is_str() {
                let wrong = self.source.mistake("book-not-entry", entry.value_at());
                return Err(wrong.with("name", entry.key.get()));
            }
            let (relay, relay_name) = self.relay(entry)?;
            let label = self.name(entry.key.get(), entry.key_at())?;
            return Ok(Contact { relay_name, ..Contact::new(label, relay) });
        };
        self.check_dotted(entry, table, &CONTACT_KEYS)?;
        let label = self.name(entry.key.get(), entry.key_at())?;
        self.long_form(entry, label, table)
    }

    fn long_form(
        &self,
        entry: Spanned<'_>,
        label: Name,
        table: &'a dyn TableLike,
    ) -> Result<Contact, Phrase> {
        let mut relay = None;
        let mut tcp = None;
        let mut member = None;
        let mut relay_key = None;
        let mut note = None;
        let mut group = None;
        let mut blocked = false;
        for spanned in spanned_items(table) {
            match spanned.key.get() {
                "relay" => relay = Some(self.relay(spanned)?),
                "tcp" => tcp = Some(self.address(spanned)?),
                "member" => member = Some(self.name(self.text(spanned)?, spanned.value_at())?),
                "relay_key" => relay_key = Some(self.fingerprint(spanned)?),
                "note" => note = Some(self.text(spanned)?.to_owned()),
                "group" => group = Some(self.text(spanned)?.to_owned()),
                "blocked" => blocked = self.switch(spanned)?,
                "key" => return Err(self.source.mistake("book-contact-key", spanned.key_at())),
                _ => return Err(self.unknown_key(spanned, &CONTACT_KEYS)),
            }
        }
        let Some((relay, relay_name)) = relay else {
            return Err(self.source.mistake("book-no-relay", entry.key_at()).with("name", label));
        };
        let member = member.unwrap_or_else(|| label.clone());
        Ok(Contact { member, label, relay, relay_name, tcp, relay_key, note, group, blocked })
    }

    fn switch(&self, spanned: Spanned<'_>) -> Result<bool, Phrase> {
        let wrong =
            || self.source.mistake("book-not-switch", spanned.value_at()).with("key", spanned.key.get());
        spanned.item.as_bool().ok_or_else(wrong)
    }

    /// Rejects an entry that contradicts an earlier one.
    fn compare(&mut self, entry: Spanned<'_>, contact: &Contact) -> Result<(), Phrase> {
        let at = entry.key_at();
        let line = self.lines.line(at);
        if let Some(first) = self.lines_by_label.insert(contact.label.folded(), line) {
            let wrong = self.source.mistake("book-duplicate-name", at);
            return Err(wrong.with("name", &contact.label).with("first", first));
        }
        let tcp_at = field_at(entry, "tcp");
        let key_at = field_at(entry, "relay_key");
        self.agree(&contact.relay, &contact.tcp, tcp_at, contact.relay_key, key_at)
    }

    /// Rejects a TCP address or a key that differs from an earlier one of the same relay.
    fn agree(
        &mut self,
        relay: &HostPort,
        tcp: &Option<HostPort>,
        tcp_at: usize,
        key: Option<Fingerprint>,
        key_at: usize,
    ) -> Result<(), Phrase> {
        if let Some(tcp) = tcp {
            let here = || (tcp.clone(), self.lines.line(tcp_at));
            let (other, first) = self.tcp_by_relay.entry(relay.clone()).or_insert_with(here);
            if other != tcp {
                let wrong = self.source.mistake("book-tcp-conflict", tcp_at).with("relay", relay);
                return Err(wrong.with("tcp", other).with("first", first));
            }
        }
        if let Some(key) = key {
            let here = || (key, self.lines.line(key_at));
            let (other, first) = self.key_by_relay.entry(relay.clone()).or_insert_with(here);
            if *other != key {
                let wrong = self.source.mistake("book-key-conflict", key_at).with("relay", relay);
                return Err(wrong.with("key", other).with("first", first));
            }
        }
        Ok(())
    }

    fn table(&self, spanned: Spanned<'a>) -> Result<&'a dyn TableLike, Phrase> {
        let wrong = || self.source.mistake("book-not-table", spanned.key_at()).with("key", spanned.key.get());
        spanned.item.as_table_like().ok_or_else(wrong)
    }

    fn text(&self, spanned: Spanned<'a>) -> Result<&'a str, Phrase> {
        let wrong =
            || self.source.mistake("book-not-text", spanned.value_at()).with("key", spanned.key.get());
        spanned.item.as_str().ok_or_else(wrong)
    }

    fn name(&self, text: &str, at: usize) -> Result<Name, Phrase> {
        text.parse().map_err(|error| name_mistake(self.source, error, text, at))
    }

    fn fingerprint(&self, spanned: Spanned<'a>) -> Result<Fingerprint, Phrase> {
        let wrong = |_: FingerprintError| self.source.mistake("book-bad-fingerprint", spanned.value_at());
        self.text(spanned)?.parse().map_err(wrong)
    }

    /// Parses an address, or the name of a relay.
    fn relay(&self, spanned: Spanned<'a>) -> Result<(HostPort, Option<Name>), Phrase> {
        let text = self.text(spanned)?;
        let is_address = text.contains([':', '：']);
        let Some(name) = text.parse::<Name>().ok().filter(|_| !is_address && !self.named.is_empty()) else {
            return Ok((self.address(spanned)?, None));
        };
        if let Some((named, _)) = self.named.get(&name.folded()) {
            return Ok((named.relay.address.clone(), Some(named.name.clone())));
        }
        // A name with a dot is more likely a host without a port.
        if text.contains('.') {
            return Err(self.address(spanned).expect_err("a text without a colon has no port"));
        }
        let names: Vec<&Name> = self.named.values().map(|(named, _)| &named.name).collect();
        let nearest = Name::nearest(text, names.iter().copied(), 1);
        let wrong = |key| self.source.mistake(key, spanned.value_at()).with("name", &name);
        Err(match nearest.first() {
            Some(nearest) => wrong("book-unknown-relay-near").with("near", nearest),
            None => {
                let known_names: Vec<&str> =
                    names.iter().take(RELAYS_SHOWN_MAX).map(|name| name.as_str()).collect();
                wrong("book-unknown-relay").with("known", known_names.join(", "))
            }
        })
    }

    fn address(&self, spanned: Spanned<'a>) -> Result<HostPort, Phrase> {
        let text = self.text(spanned)?;
        text.parse().map_err(|error| {
            let mut at = spanned.value_at();
            let key = address_key(error);
            if error == HostPortError::FullWidthColon {
                at += self.source.text[at..].find('：').unwrap_or(0);
            }
            let fix = with_brackets(text);
            self.source.mistake(key, at).with("address", text).with("fix", fix)
        })
    }

    fn unknown_top_key(&self, spanned: Spanned<'_>) -> Phrase {
        let is_contact = spanned.item.as_str().is_some_and(|text| text.parse::<HostPort>().is_ok());
        if is_contact {
            return self.source.mistake("book-outside", spanned.key_at()).with("name", spanned.key.get());
        }
        self.unknown_key(spanned, &TOP_KEYS)
    }

    fn unknown_key(&self, spanned: Spanned<'_>, known: &[&str]) -> Phrase {
        let key = spanned.key.get();
        let wanted: String = key.chars().take(KEY_COMPARED_CHARS_MAX).collect::<String>().to_lowercase();
        let nearest = known.iter().map(|k| (strsim::osa_distance(&wanted, k), k)).min();
        match nearest {
            Some((distance, name)) if distance <= name.len() / 2 => {
                let wrong = self.source.mistake("book-unknown-key-near", spanned.key_at());
                wrong.with("key", key).with("near", name)
            }
            _ => {
                let wrong = self.source.mistake("book-unknown-key", spanned.key_at());
                wrong.with("key", key).with("known", known.join(", "))
            }
        }
    }
}

/// Maximum names of relays in the phrase about an unknown one: they fit one line.
const RELAYS_SHOWN_MAX: usize = 8;

/// Maximum characters of an unknown key that are compared.
///
/// The cost of a comparison grows with the length, and no key of ours is near a longer one.
const KEY_COMPARED_CHARS_MAX: usize = 32;

/// Returns the phrase for an invalid name in the file.
pub(super) fn name_mistake(source: SourceText<'_>, error: NameError, name: &str, at: usize) -> Phrase {
    let key = match error {
        NameError::Empty => "book-name-empty",
        NameError::TooLong => "book-name-too-long",
        NameError::Space => "book-name-space",
        NameError::NoLetter => "book-name-no-letter",
        NameError::BadCharacter(_) => "book-name-bad-character",
    };
    let shown: String = name.chars().take(Name::GRAPHEMES_MAX).collect();
    let wrong = source.mistake(key, at).with("name", shown);
    match error {
        NameError::BadCharacter(c) => wrong.with("character", c),
        _ => wrong,
    }
}

const fn address_key(error: HostPortError) -> &'static str {
    match error {
        HostPortError::Empty => "book-address-empty",
        HostPortError::NoPort => "book-address-no-port",
        HostPortError::BadPort => "book-address-bad-port",
        HostPortError::BadHost => "book-address-bad-host",
        HostPortError::NoBrackets => "book-address-no-brackets",
        HostPortError::FullWidthColon => "book-full-width-colon",
        HostPortError::Url => "book-address-url",
        HostPortError::NotAscii => "book-address-not-ascii",
    }
}

fn spanned_items(table: &dyn TableLike) -> impl Iterator<Item = Spanned<'_>> {
    table.iter().filter_map(|(key, _)| table.get_key_value(key)).map(|(key, item)| Spanned { key, item })
}

fn field_at(entry: Spanned<'_>, field: &str) -> usize {
    let found = entry
        .item
        .as_table_like()
        .and_then(|table| spanned_items(table).find(|spanned| spanned.key.get() == field));
    found.map_or_else(|| entry.key_at(), |spanned| spanned.value_at())
}
