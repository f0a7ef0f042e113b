//! Resolves the CONTACT of a command line to a member of a relay.

use std::net::IpAddr;

use super::{AddressBook, Contact};
use crate::base::{Fingerprint, HostPort, HostPortError, Name, Phrase};

/// The recipient of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The label of the entry, or the text as written.
    pub label: String,
    /// Address of their relay.
    pub relay: HostPort,
    /// The relay's TCP address, if it differs; from any entry at that relay.
    pub tcp: Option<HostPort>,
    /// Their name at the relay.
    pub member: Name,
    /// The relay's key, if the book gives it.
    pub relay_key: Option<Fingerprint>,
}

/// Why a text resolves to no member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// It is a name without an entry. The phrase is for the user.
    Unknown(Phrase),
    /// It is neither a name nor `NAME@HOST:PORT` nor `NAME@RELAY`. The phrase is for the user.
    Invalid(Phrase),
}

impl ResolveError {
    /// Returns the phrase for the user.
    pub fn into_phrase(self) -> Phrase {
        match self {
            ResolveError::Unknown(phrase) | ResolveError::Invalid(phrase) => phrase,
        }
    }
}

impl AddressBook {
    /// Resolves `text` to a member, as [`AddressBook::try_resolve`] does.
    ///
    /// # Errors
    /// The phrase of its error.
    pub fn resolve(&self, text: &str) -> Result<Recipient, Phrase> {
        self.try_resolve(text).map_err(ResolveError::into_phrase)
    }

    /// Resolves `text` to a member.
    ///
    /// `text` is the label of an entry (in NFC, or else ignoring case), `NAME@HOST:PORT`, or
    /// `NAME@RELAY` with the name of a relay in `[relays]`. If the book has only one relay, it may
    /// be any name there. If the member has an entry, the result has its label.
    ///
    /// # Errors
    /// Unknown: `contact-unknown`, `contact-unknown-near`, or `contact-book-empty`. Invalid:
    /// `contact-needs-name`, `contact-full-width-at`, or those of [`HostPortError::key`] with
    /// `address` and of [`crate::base::NameError::phrase`].
    pub fn try_resolve(&self, text: &str) -> Result<Recipient, ResolveError> {
        let invalid_name = |error: crate::base::NameError| ResolveError::Invalid(error.phrase());
        if let Some((name, address)) = text.split_once('@') {
            let relay = self.relay_address(address)?;
            let member: Name = name.parse().map_err(invalid_name)?;
            return Ok(self.member_at(text, member, relay));
        }
        if text.contains('＠') {
            return Err(ResolveError::Invalid(Phrase::new("contact-full-width-at").with("name", text)));
        }
        if is_address(text) {
            parse_address(text)?;
            return Err(ResolveError::Invalid(Phrase::new("contact-needs-name").with("address", text)));
        }
        let name: Name = text.parse().map_err(invalid_name)?;
        if let Some(contact) = self.contact(&name) {
            return Ok(self.recipient(contact));
        }
        match self.relays() {
            [relay] => Ok(self.member_at(text, name, relay.address.clone())),
            [] => Err(ResolveError::Unknown(Phrase::new("contact-book-empty").with("name", name))),
            _ => Err(ResolveError::Unknown(self.unknown(text))),
        }
    }

    /// Returns the address of the relay that the book calls `text`, or `text` as an address.
    fn relay_address(&self, text: &str) -> Result<HostPort, ResolveError> {
        let named = text.parse().ok().and_then(|name| self.relay_named(&name));
        named.map_or_else(|| parse_address(text), |named| Ok(named.relay.address.clone()))
    }

    /// Returns the phrase for an unknown name, with the nearest labels if there are any.
    pub fn unknown(&self, text: &str) -> Phrase {
        let near: Vec<String> = self.nearest(text).iter().map(Name::to_string).collect();
        if near.is_empty() {
            return Phrase::new("contact-unknown").with("name", text);
        }
        Phrase::new("contact-unknown-near").with("name", text).with("near", near.join(", "))
    }

    fn member_at(&self, text: &str, member: Name, relay: HostPort) -> Recipient {
        if let Some(contact) = self.contact_of(&relay, &member) {
            return self.recipient(contact);
        }
        let (tcp, relay_key) = self.known_of(&relay);
        Recipient { label: text.to_owned(), tcp, relay, relay_key, member }
    }

    fn recipient(&self, contact: &Contact) -> Recipient {
        let (tcp, relay_key) = self.known_of(&contact.relay);
        Recipient {
            label: contact.label.to_string(),
            relay: contact.relay.clone(),
            tcp,
            member: contact.member.clone(),
            relay_key,
        }
    }

    /// Returns this relay's TCP address, if it differs, and its key, if any entry gives it.
    fn known_of(&self, relay: &HostPort) -> (Option<HostPort>, Option<Fingerprint>) {
        self.relay(relay).map_or((None, None), |relay| (relay.tcp.clone(), relay.key))
    }
}

/// Whether a text is meant as an address.
fn is_address(text: &str) -> bool {
    text.contains([':', '：']) || text.parse::<IpAddr>().is_ok()
}

fn parse_address(text: &str) -> Result<HostPort, ResolveError> {
    let invalid = |error: HostPortError| Phrase::new(error.key()).with("address", text);
    text.parse().map_err(|error| ResolveError::Invalid(invalid(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_RELAYS: &str = r#"
[contacts]
JACK = "127.0.0.1:8081"
"Zoë" = { relay = "127.0.0.1:8081", tcp = "127.0.0.1:443" }
"武大郎" = { relay = "b.example:9", member = "wudalang", relay_key = "aaaaa-bbbbb-ccccc-ddddd" }
"#;

    fn book(text: &str) -> AddressBook {
        AddressBook::parse(text, "f").unwrap()
    }

    fn found(book: &AddressBook, text: &str) -> String {
        match book.resolve(text) {
            Ok(t) => format!("{} = {}@{} tcp {:?}", t.label, t.member, t.relay, t.tcp.map(|t| t.to_string())),
            Err(phrase) => phrase.to_string(),
        }
    }

    #[test]
    fn contact_is_label_or_name_at_address() {
        let book = book(TWO_RELAYS);
        let tcp = r#"tcp Some("127.0.0.1:443")"#;
        assert_eq!(found(&book, "JACK"), format!("JACK = JACK@127.0.0.1:8081 {tcp}"));
        assert_eq!(found(&book, "jack"), format!("JACK = JACK@127.0.0.1:8081 {tcp}"));
        assert_eq!(found(&book, "Zoe\u{308}"), format!("Zoë = Zoë@127.0.0.1:8081 {tcp}"));
        assert_eq!(found(&book, "武大郎"), "武大郎 = wudalang@b.example:9 tcp None");
        assert_eq!(
            found(&book, "ann@127.0.0.1:8081"),
            format!("ann@127.0.0.1:8081 = ann@127.0.0.1:8081 {tcp}")
        );
        assert_eq!(found(&book, "ann@[::1]:9"), "ann@[::1]:9 = ann@[::1]:9 tcp None");
        assert_eq!(found(&book, "wudalang@B.example:9"), "武大郎 = wudalang@b.example:9 tcp None");
        assert!(book.resolve("ann@b.example:9").unwrap().relay_key.is_some());
    }

    #[test]
    fn any_name_resolves_if_book_has_one_relay() {
        let book = book("[contacts]\nJACK = \"h:1\"\nX = { relay = \"h:1\", member = \"xavier\" }");
        assert_eq!(found(&book, "stranger"), "stranger = stranger@h:1 tcp None");
        assert_eq!(found(&book, "xavier"), "X = xavier@h:1 tcp None");
        assert_eq!(found(&book, "echo"), "echo = echo@h:1 tcp None");
    }

    #[test]
    fn relay_after_at_sign_may_be_one_of_the_book() {
        let book = book(&format!("[relays]\nHome = \"b.example:9\"\n{TWO_RELAYS}"));
        assert_eq!(found(&book, "ann@home"), "ann@home = ann@b.example:9 tcp None");
        assert_eq!(found(&book, "wudalang@Home"), "武大郎 = wudalang@b.example:9 tcp None");
        assert_eq!(found(&book, "ann@away"), r#"address-no-port address="away""#);
    }

    #[test]
    fn unresolved_text_returns_phrase_with_fix() {
        let book = book(TWO_RELAYS);
        let table = [
            ("JAKC", r#"contact-unknown-near name="JAKC" near="JACK""#),
            ("武二郎", r#"contact-unknown-near name="武二郎" near="武大郎""#),
            ("zebra", r#"contact-unknown name="zebra""#),
            ("ann@h", r#"address-no-port address="h""#),
            ("ann@h：1", r#"address-full-width-colon address="h：1""#),
            ("@h:1", "name-empty"),
            ("a b@h:1", "name-space"),
            ("ann＠h:1", r#"contact-full-width-at name="ann＠h:1""#),
            ("127.0.0.1:8081", r#"contact-needs-name address="127.0.0.1:8081""#),
            ("http://127.0.0.1:8081", r#"address-url address="http://127.0.0.1:8081""#),
            ("127.0.0.1", r#"address-no-port address="127.0.0.1""#),
            ("::1", r#"address-no-brackets address="::1""#),
            ("h:0", r#"address-bad-port address="h:0""#),
            (":8081", r#"address-bad-host address=":8081""#),
            ("中继:1", r#"address-not-ascii address="中继:1""#),
            ("h：1", r#"address-full-width-colon address="h：1""#),
            ("../x", r#"name-bad-character character="/""#),
        ];
        for (text, phrase) in table {
            assert_eq!(found(&book, text), phrase);
        }
        assert_eq!(found(&AddressBook::default(), "ann"), r#"contact-book-empty name="ann""#);
    }

    #[test]
    fn each_relay_is_listed_once() {
        let relays: Vec<_> = book(TWO_RELAYS).relays().iter().map(|r| r.address.to_string()).collect();
        assert_eq!(relays, ["127.0.0.1:8081", "b.example:9"]);
        assert_eq!(book(TWO_RELAYS).relays()[0].tcp, Some("127.0.0.1:443".parse().unwrap()));
    }
}
