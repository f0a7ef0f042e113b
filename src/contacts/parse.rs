//! Parses an address book: checks every entry, and reports a mistake with its position and fix.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, Key, TableLike};

use super::diagnose::diagnose;
use super::place::{Lines, Page};
use super::{Book, Contact, NamedRelay, RelaySpec};
use crate::base::{Fingerprint, FingerprintError, HostPort, HostPortError, Name, NameError, Phrase};

/// Setting that refuses letters from senders who are not contacts.
const CONTACTS_ONLY: &str = "contacts_only";
const TOP_KEYS: [&str; 4] = ["me", "relays", "contacts", CONTACTS_ONLY];
const ME_KEYS: [&str; 1] = ["name"];
const RELAY_KEYS: [&str; 3] = ["address", "tcp", "key"];
const CONTACT_KEYS: [&str; 7] = ["relay", "tcp", "relay_key", "member", "note", "group", "blocked"];

impl Book {
    /// Parses a book. A byte order mark and CRLF are accepted.
    ///
    /// `file` is the name of the file in errors.
    ///
    /// # Errors
    /// The first mistake: a phrase `book-…` with `file`, `line` and `column` (both from 1, in
    /// characters).
    pub fn parse(text: &str, file: &str) -> Result<Book, Phrase> {
        let page = Page::new(text, file);
        let document = Document::parse(page.text).map_err(|error| diagnose(page, &error))?;
        Reader::new(page).book(document.as_table())
    }
}

/// One value of the file, with its key and position.
#[derive(Clone, Copy)]
struct Spot<'a> {
    key: &'a Key,
    item: &'a Item,
}

impl Spot<'_> {
    fn key_at(&self) -> usize {
        self.key.span().map_or(0, |span| span.start)
    }

    fn value_at(&self) -> usize {
        self.item.span().map_or_else(|| self.key_at(), |span| span.start)
    }
}

struct Reader<'a> {
    page: Page<'a>,
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

impl<'a> Reader<'a> {
    fn new(page: Page<'a>) -> Reader<'a> {
        Reader {
            page,
            lines: Lines::of(page),
            lines_by_label: BTreeMap::new(),
            named: BTreeMap::new(),
            tcp_by_relay: BTreeMap::new(),
            key_by_relay: BTreeMap::new(),
        }
    }

    fn book(mut self, top: &'a dyn TableLike) -> Result<Book, Phrase> {
        let mut book = Book::default();
        // Parse relays first: a contact may name a relay that the file defines below it.
        if let Some(spot) = spots(top).find(|spot| spot.key.get() == "relays") {
            for entry in spots(self.table(spot)?) {
                let relay = self.named_relay(entry)?;
                book.contacts.change_named().push(relay);
            }
        }
        for spot in spots(top) {
            match spot.key.get() {
                "relays" => {}
                CONTACTS_ONLY => book.contacts_only = self.switch(spot)?,
                "me" => book.me = self.me(self.table(spot)?)?,
                "contacts" => {
                    for entry in spots(self.table(spot)?) {
                        let contact = self.contact(entry)?;
                        self.compare(entry, &contact)?;
                        book.contacts.push(contact);
                    }
                }
                _ => return Err(self.unknown_top_key(spot)),
            }
        }
        Ok(book)
    }

    fn me(&self, table: &dyn TableLike) -> Result<Option<Name>, Phrase> {
        let mut me = None;
        for spot in spots(table) {
            self.check_place(spot)?;
            if spot.key.get() != "name" {
                return Err(self.unknown_key(spot, &ME_KEYS));
            }
            if self.text(spot)?.is_empty() {
                return Err(self.page.mistake("book-me-empty", spot.value_at()));
            }
            let name = self.name(self.text(spot)?, spot.value_at())?;
            if name.is_reserved() {
                return Err(self.page.mistake("book-me-reserved", spot.value_at()).with("name", name));
            }
            me = Some(name);
        }
        Ok(me)
    }

    fn named_relay(&mut self, entry: Spot<'a>) -> Result<NamedRelay, Phrase> {
        self.check_place(entry)?;
        let relay = match entry.item.as_table_like() {
            Some(table) => {
                self.check_dotted(entry, table, &RELAY_KEYS)?;
                self.long_relay(entry, table)?
            }
            None if entry.item.is_str() => RelaySpec { address: self.address(entry)?, tcp: None, key: None },
            None => {
                let wrong = self.page.mistake("book-not-relay", entry.value_at());
                return Err(wrong.with("name", entry.key.get()));
            }
        };
        let name = self.name(entry.key.get(), entry.key_at())?;
        let line = self.lines.line(entry.key_at());
        let named = NamedRelay { name, relay };
        if let Some((_, first)) = self.named.insert(named.name.folded(), (named.clone(), line)) {
            let wrong = self.page.mistake("book-duplicate-name", entry.key_at());
            return Err(wrong.with("name", &named.name).with("first", first));
        }
        let NamedRelay { relay: RelaySpec { address, tcp, key }, .. } = &named;
        self.agree(address, tcp, field_at(entry, "tcp"), *key, field_at(entry, "key"))?;
        Ok(named)
    }

    fn long_relay(&self, entry: Spot<'_>, table: &'a dyn TableLike) -> Result<RelaySpec, Phrase> {
        let mut address = None;
        let mut tcp = None;
        let mut key = None;
        for spot in spots(table) {
            match spot.key.get() {
                "address" => address = Some(self.address(spot)?),
                "tcp" => tcp = Some(self.address(spot)?),
                "key" => key = Some(self.fingerprint(spot)?),
                _ => return Err(self.unknown_key(spot, &RELAY_KEYS)),
            }
        }
        let lacking =
            || self.page.mistake("book-no-relay-address", entry.key_at()).with("name", entry.key.get());
        Ok(RelaySpec { address: address.ok_or_else(lacking)?, tcp, key })
    }

    /// Rejects a dot outside quotes, which turns an intended name into a table.
    fn check_dotted(&self, entry: Spot<'_>, table: &dyn TableLike, known: &[&str]) -> Result<(), Phrase> {
        if table.is_dotted()
            && let Some(inner) = spots(table).next()
            && !known.contains(&inner.key.get())
        {
            let whole = format!("{}.{}", entry.key.get(), inner.key.get());
            return Err(self.page.mistake("book-dotted-name", entry.key_at()).with("name", whole));
        }
        Ok(())
    }

    /// Rejects a setting of the whole file inside one of its tables.
    fn check_place(&self, spot: Spot<'_>) -> Result<(), Phrase> {
        match spot.key.get() == CONTACTS_ONLY && spot.item.as_bool().is_some() {
            true => Err(self.page.mistake("book-below-table", spot.key_at()).with("key", CONTACTS_ONLY)),
            false => Ok(()),
        }
    }

    fn contact(&self, entry: Spot<'a>) -> Result<Contact, Phrase> {
        self.check_place(entry)?;
        let Some(table) = entry.item.as_table_like() else {
            if !entry.item.is_str() {
                let wrong = self.page.mistake("book-not-entry", entry.value_at());
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

    fn long_form(&self, entry: Spot<'_>, label: Name, table: &'a dyn TableLike) -> Result<Contact, Phrase> {
        let mut relay = None;
        let mut tcp = None;
        let mut member = None;
        let mut relay_key = None;
        let mut note = None;
        let mut group = None;
        let mut blocked = false;
        for spot in spots(table) {
            match spot.key.get() {
                "relay" => relay = Some(self.relay(spot)?),
                "tcp" => tcp = Some(self.address(spot)?),
                "member" => member = Some(self.name(self.text(spot)?, spot.value_at())?),
                "relay_key" => relay_key = Some(self.fingerprint(spot)?),
                "note" => note = Some(self.text(spot)?.to_owned()),
                "group" => group = Some(self.text(spot)?.to_owned()),
                "blocked" => blocked = self.switch(spot)?,
                "key" => return Err(self.page.mistake("book-contact-key", spot.key_at())),
                _ => return Err(self.unknown_key(spot, &CONTACT_KEYS)),
            }
        }
        let Some((relay, relay_name)) = relay else {
            return Err(self.page.mistake("book-no-relay", entry.key_at()).with("name", label));
        };
        let member = member.unwrap_or_else(|| label.clone());
        Ok(Contact { member, label, relay, relay_name, tcp, relay_key, note, group, blocked })
    }

    fn switch(&self, spot: Spot<'_>) -> Result<bool, Phrase> {
        let wrong = || self.page.mistake("book-not-switch", spot.value_at()).with("key", spot.key.get());
        spot.item.as_bool().ok_or_else(wrong)
    }

    /// Rejects an entry that contradicts an earlier one.
    fn compare(&mut self, entry: Spot<'_>, contact: &Contact) -> Result<(), Phrase> {
        let at = entry.key_at();
        let line = self.lines.line(at);
        if let Some(first) = self.lines_by_label.insert(contact.label.folded(), line) {
            let wrong = self.page.mistake("book-duplicate-name", at);
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
            let (known, first) = self.tcp_by_relay.entry(relay.clone()).or_insert_with(here);
            if known != tcp {
                let wrong = self.page.mistake("book-tcp-conflict", tcp_at).with("relay", relay);
                return Err(wrong.with("tcp", known).with("first", first));
            }
        }
        if let Some(key) = key {
            let here = || (key, self.lines.line(key_at));
            let (known, first) = self.key_by_relay.entry(relay.clone()).or_insert_with(here);
            if *known != key {
                let wrong = self.page.mistake("book-key-conflict", key_at).with("relay", relay);
                return Err(wrong.with("key", known).with("first", first));
            }
        }
        Ok(())
    }

    fn table(&self, spot: Spot<'a>) -> Result<&'a dyn TableLike, Phrase> {
        let wrong = || self.page.mistake("book-not-table", spot.key_at()).with("key", spot.key.get());
        spot.item.as_table_like().ok_or_else(wrong)
    }

    fn text(&self, spot: Spot<'a>) -> Result<&'a str, Phrase> {
        let wrong = || self.page.mistake("book-not-text", spot.value_at()).with("key", spot.key.get());
        spot.item.as_str().ok_or_else(wrong)
    }

    fn name(&self, text: &str, at: usize) -> Result<Name, Phrase> {
        text.parse().map_err(|error| name_mistake(self.page, error, text, at))
    }

    fn fingerprint(&self, spot: Spot<'a>) -> Result<Fingerprint, Phrase> {
        let wrong = |_: FingerprintError| self.page.mistake("book-bad-fingerprint", spot.value_at());
        self.text(spot)?.parse().map_err(wrong)
    }

    /// Parses an address, or the name of a relay.
    fn relay(&self, spot: Spot<'a>) -> Result<(HostPort, Option<Name>), Phrase> {
        let text = self.text(spot)?;
        let is_address = text.contains([':', '：']);
        let Some(name) = text.parse::<Name>().ok().filter(|_| !is_address && !self.named.is_empty()) else {
            return Ok((self.address(spot)?, None));
        };
        if let Some((named, _)) = self.named.get(&name.folded()) {
            return Ok((named.relay.address.clone(), Some(named.name.clone())));
        }
        // A name with a dot is more likely a host without a port.
        if text.contains('.') {
            return Err(self.address(spot).expect_err("a text without a colon has no port"));
        }
        let names: Vec<&Name> = self.named.values().map(|(named, _)| &named.name).collect();
        let near = Name::nearest(text, names.iter().copied(), 1);
        let wrong = |key| self.page.mistake(key, spot.value_at()).with("name", &name);
        Err(match near.first() {
            Some(near) => wrong("book-unknown-relay-near").with("near", near),
            None => {
                let known: Vec<&str> =
                    names.iter().take(RELAYS_SHOWN_MAX).map(|name| name.as_str()).collect();
                wrong("book-unknown-relay").with("known", known.join(", "))
            }
        })
    }

    fn address(&self, spot: Spot<'a>) -> Result<HostPort, Phrase> {
        let text = self.text(spot)?;
        text.parse().map_err(|error| {
            let mut at = spot.value_at();
            let key = address_key(error);
            if error == HostPortError::FullWidthColon {
                at += self.page.text[at..].find('：').unwrap_or(0);
            }
            self.page.mistake(key, at).with("address", text)
        })
    }

    fn unknown_top_key(&self, spot: Spot<'_>) -> Phrase {
        let is_contact = spot.item.as_str().is_some_and(|text| text.parse::<HostPort>().is_ok());
        if is_contact {
            return self.page.mistake("book-outside", spot.key_at()).with("name", spot.key.get());
        }
        self.unknown_key(spot, &TOP_KEYS)
    }

    fn unknown_key(&self, spot: Spot<'_>, known: &[&str]) -> Phrase {
        let key = spot.key.get();
        let wanted: String = key.chars().take(KEY_COMPARED_CHARS_MAX).collect::<String>().to_lowercase();
        let nearest = known.iter().map(|k| (strsim::osa_distance(&wanted, k), k)).min();
        match nearest {
            Some((far, near)) if far <= near.len() / 2 => {
                let wrong = self.page.mistake("book-unknown-key-near", spot.key_at());
                wrong.with("key", key).with("near", near)
            }
            _ => {
                let wrong = self.page.mistake("book-unknown-key", spot.key_at());
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
pub(super) fn name_mistake(page: Page<'_>, error: NameError, name: &str, at: usize) -> Phrase {
    let key = match error {
        NameError::Empty => "book-name-empty",
        NameError::TooLong => "book-name-too-long",
        NameError::Space => "book-name-space",
        NameError::NoLetter => "book-name-no-letter",
        NameError::BadCharacter(_) => "book-name-bad-character",
    };
    let shown: String = name.chars().take(Name::GRAPHEMES_MAX).collect();
    let wrong = page.mistake(key, at).with("name", shown);
    match error {
        NameError::BadCharacter(c) => wrong.with("character", c),
        _ => wrong,
    }
}

const fn address_key(error: HostPortError) -> &'static str {
    match error {
        HostPortError::NoPort => "book-address-no-port",
        HostPortError::BadPort => "book-address-bad-port",
        HostPortError::BadHost => "book-address-bad-host",
        HostPortError::NoBrackets => "book-address-no-brackets",
        HostPortError::FullWidthColon => "book-full-width-colon",
    }
}

fn spots(table: &dyn TableLike) -> impl Iterator<Item = Spot<'_>> {
    table.iter().filter_map(|(key, _)| table.get_key_value(key)).map(|(key, item)| Spot { key, item })
}

fn field_at(entry: Spot<'_>, field: &str) -> usize {
    let found =
        entry.item.as_table_like().and_then(|table| spots(table).find(|spot| spot.key.get() == field));
    found.map_or_else(|| entry.key_at(), |spot| spot.value_at())
}
