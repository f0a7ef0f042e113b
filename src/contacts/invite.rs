//! An invitation as one line that users send each other:
//! `queqiao:HOST:PORT?tcp=PORT&key=FINGERPRINT&code=CODE&name=NAME`.
//!
//! `tcp` (a port of the same host, or `HOST:PORT`) and `name` are optional. Names are
//! percent-encoded (RFC 3986 §2.1) if they contain more than ASCII letters, digits, `.`, `_`, `-`.
//! Unencoded names are accepted as well.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;

use super::RelayEntry;
use crate::base::{Fingerprint, HostPort, HostPortError, Name, NameError, Phrase};

const SCHEME: &str = "queqiao:";
const FIELDS: [&str; 4] = ["tcp", "key", "code", "name"];

/// Bytes of an invitation's secret: 128 bits, which cannot be guessed.
pub const SECRET_LEN: usize = 16;

/// Maximum characters of an invalid part that a phrase repeats: they fit one line.
const SHOWN_CHARS_MAX: usize = 40;

/// Characters before a break in a line that a phrase repeats: enough to find the break.
const BEFORE_BREAK_CHARS: usize = 8;

/// An invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The relay's address.
    pub relay: HostPort,
    /// The relay's TCP address; `None` if unknown.
    pub tcp: Option<HostPort>,
    /// The relay's key.
    pub key: Fingerprint,
    /// Shown to the relay once, at the first sign-in.
    pub secret: [u8; SECRET_LEN],
    /// The name reserved for the new member, if any.
    pub name: Option<Name>,
}

impl Invite {
    /// Returns the code of a secret: 26 letters and digits.
    pub fn code_of(secret: &[u8; SECRET_LEN]) -> String {
        BASE32_NOPAD.encode(secret).to_lowercase()
    }

    /// Returns the secret of a code, in either case; `None` if the code is invalid.
    pub fn secret_of(code: &str) -> Option<[u8; SECRET_LEN]> {
        BASE32_NOPAD.decode(code.to_uppercase().as_bytes()).ok()?.try_into().ok()
    }

    /// Returns the relay as the address book stores it.
    pub fn relay_entry(&self) -> RelayEntry {
        let tcp = self.tcp.clone().filter(|tcp| *tcp != self.relay);
        RelayEntry { address: self.relay.clone(), tcp, key: Some(self.key) }
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}?", self.relay)?;
        match &self.tcp {
            Some(tcp) if tcp.host() == self.relay.host() => write!(f, "tcp={}&", tcp.port())?,
            Some(tcp) => write!(f, "tcp={tcp}&")?,
            None => {}
        }
        write!(f, "key={}&code={}", self.key, Invite::code_of(&self.secret))?;
        match &self.name {
            Some(name) => write!(f, "&name={}", encoded(name.as_str())),
            None => Ok(()),
        }
    }
}

/// Omits the secret, which must not appear in logs.
impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Invite { relay, tcp, key, name, .. } = self;
        write!(f, "Invite({relay}, {tcp:?}, {key}, {name:?})")
    }
}

/// Parses a line. Ignores surrounding spaces and quotes, which pasting adds.
///
/// The error is a phrase: `invite-…`, or one about an address or a name.
impl FromStr for Invite {
    type Err = Phrase;

    fn from_str(line: &str) -> Result<Invite, Phrase> {
        let line = line.trim_matches(|c: char| c.is_whitespace() || "\"'“”‘’<>`".contains(c));
        if line.is_empty() {
            return Err(Phrase::new("invite-empty"));
        }
        let scheme = line.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
        if scheme.is_none() {
            return Err(Phrase::new("invite-not-one").with("text", shown(line)));
        }
        let rest = &line[SCHEME.len()..];
        if let Some((whole, _)) = rest.split_once(|c: char| c.is_whitespace() || c.is_control()) {
            let before: Vec<char> = whole.chars().rev().take(BEFORE_BREAK_CHARS).collect();
            return Err(Phrase::new("invite-space")
                .with("text", format!("…{}", String::from_iter(before.iter().rev()))));
        }
        let (address, fields) = rest.split_once('?').unwrap_or((rest, ""));
        let relay = parse_address(address.trim_start_matches('/').trim_end_matches('/'))?;
        Fields::read(fields)?.invite(relay)
    }
}

/// Fields of a line, each at most once.
#[derive(Default)]
struct Fields<'a> {
    by_index: [Option<&'a str>; FIELDS.len()],
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Fields<'a>, Phrase> {
        let mut fields = Fields::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (field, value) = part.split_once('=').unwrap_or((part, ""));
            let Some(index) = FIELDS.iter().position(|name| *name == field) else {
                let unknown = Phrase::new("invite-unknown-field").with("field", shown(field));
                return Err(unknown.with("known", FIELDS.join(", ")));
            };
            if fields.by_index[index].replace(value).is_some() {
                return Err(Phrase::new("invite-twice").with("field", field));
            }
        }
        Ok(fields)
    }

    fn invite(&self, relay: HostPort) -> Result<Invite, Phrase> {
        let [tcp, key, code, name] = self.by_index;
        let lacking = |field: &str| Phrase::new("invite-lacks").with("field", field);
        let key = key.ok_or_else(|| lacking("key"))?;
        let key = key.parse().map_err(|_| Phrase::new("invite-bad-key").with("key", shown(key)))?;
        let code = code.ok_or_else(|| lacking("code"))?;
        let secret = Invite::secret_of(code).ok_or_else(|| Phrase::new("invite-bad"))?;
        let tcp = tcp.map(|tcp| parse_tcp(&relay, tcp)).transpose()?;
        let name = name.map(parse_name).transpose()?;
        Ok(Invite { relay, tcp, key, secret, name })
    }
}

fn parse_address(text: &str) -> Result<HostPort, Phrase> {
    let wrong = |error: HostPortError| Phrase::new(error.key()).with("address", shown(text));
    text.parse().map_err(wrong)
}

/// Parses a port of the relay's host, or an address.
fn parse_tcp(relay: &HostPort, text: &str) -> Result<HostPort, Phrase> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.contains(':') {
            true => parse_address(text),
            false => Err(Phrase::new("invite-bad-tcp").with("tcp", shown(text))),
        };
    }
    let host =
        if relay.host().contains(':') { format!("[{}]", relay.host()) } else { relay.host().to_owned() };
    let wrong = |_| Phrase::new("invite-bad-tcp").with("tcp", shown(text));
    format!("{host}:{text}").parse().map_err(wrong)
}

fn parse_name(text: &str) -> Result<Name, Phrase> {
    let wrong = || Phrase::new("invite-bad-name").with("name", shown(text));
    let name: Result<Name, NameError> = decoded(text).ok_or_else(wrong)?.parse();
    name.map_err(|error| error.phrase())
}

/// Returns the beginning of an invalid part.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let each = text.bytes().map(|byte| match unreserved(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "queqiao:chat.example.org:8081?tcp=443&key=aaaaa-bbbbb-ccccc-ddddd&\
                        code=abcdefghijklmnopqrstuvwxya&name=TOM";

    fn read(line: &str) -> Invite {
        line.parse().unwrap()
    }

    #[test]
    fn invitation_line_round_trips() {
        let invite = read(LINE);
        assert_eq!(invite.to_string(), LINE);
        assert_eq!(invite.tcp, "chat.example.org:443".parse().ok());
        assert_eq!(invite.name, "TOM".parse().ok());
        let names = ["一棵树", "Zoë", "j.doe", "a-b_c"];
        for name in names {
            for relay in ["[2001:db8::1]:8081", "192.0.2.1:1"] {
                let relay: HostPort = relay.parse().unwrap();
                let tcp = [None, "h:2".parse().ok(), Some(relay.clone())];
                for tcp in tcp {
                    let invite =
                        Invite { relay: relay.clone(), tcp, name: name.parse().ok(), ..invite.clone() };
                    let line = invite.to_string();
                    assert!(line.is_ascii() && !line.contains(' '), "{line}");
                    assert_eq!(read(&line), invite, "{line}");
                }
            }
        }
        assert!(read(LINE).to_string().starts_with("queqiao:chat"));
        assert!(!format!("{invite:?}").contains("abcdefgh"), "{invite:?}");
    }

    #[test]
    fn pasted_spaces_quotes_and_case_are_ignored() {
        for (before, after) in [(" ", "\r\n"), ("\"", "\""), ("“", "”"), ("<", ">"), ("`", "`")] {
            assert_eq!(read(&format!("{before}{LINE}{after}")), read(LINE));
        }
        assert_eq!(read(&LINE.replace("queqiao:", "QUEQIAO:")), read(LINE));
        assert_eq!(read(&LINE.replace("queqiao:", "queqiao://")), read(LINE));
        assert_eq!(read(&LINE.replace("abcdef", "ABCDEF")), read(LINE));
        let raw = LINE.replace("TOM", "一棵树");
        let encoded = LINE.replace("TOM", "%E4%B8%80%E6%a3%b5%E6%A0%91");
        assert_eq!(read(&raw), read(&encoded));
        assert_eq!(read(&raw).name, "一棵树".parse().ok());
    }

    #[test]
    fn every_invalid_part_of_line_is_reported() {
        let without = |part: &str| LINE.replace(part, "");
        let with = |part: &str, other: &str| LINE.replace(part, other);
        let table = [
            (String::new(), "invite-empty".to_owned()),
            ("hello".to_owned(), r#"invite-not-one text="hello""#.to_owned()),
            (
                with("queqiao", "https"),
                r#"invite-not-one text="https:chat.example.org:8081?tcp=443&key=""#.to_owned(),
            ),
            (with("&code", "\n&code"), r#"invite-space text="…cc-ddddd""#.to_owned()),
            (with("chat", "ch at"), r#"invite-space text="…ch""#.to_owned()),
            (with(":8081", ""), r#"address-no-port address="chat.example.org""#.to_owned()),
            (with("8081", "99999"), r#"address-bad-port address="chat.example.org:99999""#.to_owned()),
            (with("chat.example.org", "::1"), r#"address-no-brackets address="::1:8081""#.to_owned()),
            (without("&key=aaaaa-bbbbb-ccccc-ddddd"), r#"invite-lacks field="key""#.to_owned()),
            (without("&code=abcdefghijklmnopqrstuvwxya"), r#"invite-lacks field="code""#.to_owned()),
            (with("aaaaa-", "aaaa-"), r#"invite-bad-key key="aaaa-bbbbb-ccccc-ddddd""#.to_owned()),
            (with("aaaaa-", "aaaa1-"), r#"invite-bad-key key="aaaa1-bbbbb-ccccc-ddddd""#.to_owned()),
            (with("tcp=443", "tcp=0"), r#"invite-bad-tcp tcp="0""#.to_owned()),
            (with("tcp=443", "tcp=x"), r#"invite-bad-tcp tcp="x""#.to_owned()),
            (with("tcp=443", "tcp="), r#"invite-bad-tcp tcp="""#.to_owned()),
            (with("tcp=443", "tcp=h:0"), r#"address-bad-port address="h:0""#.to_owned()),
            (with("name=TOM", "name=%zz"), r#"invite-bad-name name="%zz""#.to_owned()),
            (with("name=TOM", "name=%E4%B8"), r#"invite-bad-name name="%E4%B8""#.to_owned()),
            (with("name=TOM", "name=a%20b"), "name-space".to_owned()),
            (with("name=TOM", "name="), "name-empty".to_owned()),
            (with("name=TOM", "key=aaaaa-bbbbb-ccccc-ddddd"), r#"invite-twice field="key""#.to_owned()),
            (
                with("name=TOM", "colour=red"),
                r#"invite-unknown-field field="colour" known="tcp, key, code, name""#.to_owned(),
            ),
        ];
        for (line, wanted) in table {
            let got = line.parse::<Invite>().unwrap_err().to_string();
            assert_eq!(got, wanted, "{line}");
        }
        for code in ["", "abc", "abcdefghijklmnopqrstuvwxy1", "abcdefghijklmnopqrstuvwxyabcdef"] {
            let line = LINE.replace("abcdefghijklmnopqrstuvwxya", code);
            assert_eq!(line.parse::<Invite>().unwrap_err().key(), "invite-bad", "{code}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "(queqiao:)?\\PC{0,60}", fields in "[a-z=&%0-9\u{e9}:?]{0,60}") {
            for line in [text.clone(), format!("queqiao:h:1?{fields}"), format!("queqiao:{text}")] {
                if let Ok(invite) = line.parse::<Invite>() {
                    prop_assert_eq!(invite.to_string().parse::<Invite>(), Ok(invite));
                }
            }
        }
    }
}
