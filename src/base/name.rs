//! Names of members.
//!
//! A name is an address that users type, read aloud and trust. Therefore it contains visible
//! characters only, and a relay never registers two names that [look alike](Name::looks_like) (UTS
//! #39 §4).

mod classes;
mod guest;
mod han;
mod looks;
mod nearest;

use std::fmt;
use std::sync::Arc;

use blake2::{Blake2s256, Digest};
use data_encoding::HEXLOWER;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

pub use han::is_han;
pub use looks::Looks;
pub use nearest::Folded;

use super::Phrase;
use super::sanitize::MARKS_PER_BASE_MAX;

/// A member's name: NFC, 1–32 grapheme clusters and at most 96 bytes.
///
/// Consists of letters, marks, digits and `._-` of any script, with at least one letter or digit.
/// Comparison is exact: `Tom` and `tom` are two values, but no relay registers both (see
/// [`Name::looks_like`]). Copies share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is not a valid name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// No characters.
    Empty,
    /// More than 32 grapheme clusters or 96 bytes.
    TooLong,
    /// A space of any width.
    Space,
    /// Only `._-`: neither a letter nor a digit.
    NoLetter,
    /// A control, invisible character or symbol; a mark without a letter, or one mark too many.
    BadCharacter(char),
}

impl NameError {
    /// Returns the key of the phrase with the fix; `name-bad-character` has the argument
    /// `character`.
    pub const fn key(self) -> &'static str {
        match self {
            NameError::Empty => "name-empty",
            NameError::TooLong => "name-too-long",
            NameError::Space => "name-space",
            NameError::NoLetter => "name-no-letter",
            NameError::BadCharacter(_) => "name-bad-character",
        }
    }

    /// Returns the complete phrase. The frontend sanitizes the character.
    pub fn phrase(self) -> Phrase {
        match self {
            NameError::BadCharacter(c) => Phrase::new(self.key()).with("character", c),
            _ => Phrase::new(self.key()),
        }
    }
}

/// Names reserved for the relay: its echo service, and the relay itself.
const RESERVED: [&str; 2] = ["echo", "relay"];
/// Prefix of all guest names, which the relay assigns.
const RESERVED_PREFIX: &str = "guest-";
/// Maximum grapheme clusters in a guest's name: a complete IPv6 address and a port need 51.
const GUEST_GRAPHEMES_MAX: usize = 64;
/// Maximum bytes before normalisation: NFC shortens text at most three-fold (Unicode FAQ).
///
/// Longer text cannot become a name of 96 bytes, and is refused before any work is done on it.
const RAW_BYTES_MAX: usize = 3 * Name::BYTES_MAX;

impl Name {
    /// Maximum grapheme clusters in a name.
    pub const GRAPHEMES_MAX: usize = 32;
    /// Maximum bytes of UTF-8 in a name: 32 Chinese characters.
    pub const BYTES_MAX: usize = 96;

    /// Returns the name's text, in NFC.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the possible appearances of the name, for comparison with others.
    pub fn looks(&self) -> Looks {
        Looks::new(&self.0)
    }

    /// Whether a user would confuse the two names ([`Looks::matches`]).
    ///
    /// A relay that has registered one refuses the other, and an address book warns of such
    /// strangers.
    pub fn looks_like(&self, other: &Name) -> bool {
        self.looks().matches(&other.looks())
    }

    /// Whether no member may register it; letters to it are allowed.
    ///
    /// Reserved are `echo`, `relay`, everything with the prefix `guest-`, and all that looks like
    /// these.
    pub fn is_reserved(&self) -> bool {
        let mine = self.looks();
        RESERVED.iter().any(|name| mine.matches(&Looks::new(name)))
            || mine.starts_with(&Looks::new(RESERVED_PREFIX))
    }

    /// Returns the name in one case, for comparisons that ignore case.
    pub fn folded(&self) -> String {
        fold(&self.0).nfc().collect()
    }

    /// Returns the name of this member's folder on disk: the first half of the name's BLAKE2s hash.
    ///
    /// 32 hexadecimal digits, valid on every file system for every name.
    pub fn folder(&self) -> String {
        HEXLOWER.encode(&Blake2s256::digest(self.0.as_bytes())[..16])
    }
}

/// Allows lookups by text in maps keyed by name; both have the same order.
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    /// Checks a text and normalises it to NFC. Accepts reserved names: see [`Name::is_reserved`].
    fn from_str(text: &str) -> Result<Name, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > RAW_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        let name: String = text.nfc().collect();
        check_characters(&name)?;
        let graphemes_max =
            if name.starts_with(RESERVED_PREFIX) { GUEST_GRAPHEMES_MAX } else { Name::GRAPHEMES_MAX };
        if name.len() > Name::BYTES_MAX || name.graphemes(true).count() > graphemes_max {
            return Err(NameError::TooLong);
        }
        Ok(Name(name.into()))
    }
}

fn check_characters(name: &str) -> Result<(), NameError> {
    let mut letters = 0;
    // At the limit, so that a name cannot begin with a mark.
    let mut marks = MARKS_PER_BASE_MAX;
    for c in name.chars() {
        if c.is_whitespace() {
            return Err(NameError::Space);
        }
        if is_invisible(c) {
            return Err(NameError::BadCharacter(c));
        }
        if is_combining_mark(c) {
            marks += 1;
            if marks > MARKS_PER_BASE_MAX {
                return Err(NameError::BadCharacter(c));
            }
        } else if c.is_alphanumeric() {
            letters += 1;
            marks = 0;
        } else if matches!(c, '.' | '_' | '-') {
            marks = MARKS_PER_BASE_MAX;
        } else {
            return Err(NameError::BadCharacter(c));
        }
    }
    if letters == 0 { Err(NameError::NoLetter) } else { Ok(()) }
}

/// Whether this letter or mark is invisible (Default_Ignorable_Code_Point in categories L and M).
///
/// All other invisible characters are neither letters nor marks.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}')
}

/// Maps compatibility forms and case: `Ａ`, `A` and `a` are equal, `ß` is `ss`, `ς` is `σ`.
fn fold(text: &str) -> impl Iterator<Item = char> + '_ {
    text.nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_of_every_script_are_valid() {
        for text in
            ["CON", "Zoë", "一棵树", "武大郎", "TOM", "a", "j.doe_2-x", "สมชาย", "प्रिया", "٣", "〇", "한글"]
        {
            assert_eq!(name(text).as_str(), text);
        }
        assert_eq!(name(&"武".repeat(32)).as_str().len(), 96);
    }

    #[test]
    fn normalisation_forms_of_name_are_equal() {
        assert_eq!(name("Zoe\u{308}"), name("Zoë"));
        assert_eq!(name("\u{1112}\u{1161}\u{11ab}"), name("한"));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        use NameError::*;
        let table = [
            ("", Empty),
            ("alice ", Space),
            ("a\u{3000}b", Space),
            ("a\u{a0}b", Space),
            ("../x", BadCharacter('/')),
            ("a@b", BadCharacter('@')),
            ("..", NoLetter),
            ("_-.", NoLetter),
            ("a\u{200b}", BadCharacter('\u{200b}')),
            ("a\u{200d}b", BadCharacter('\u{200d}')),
            ("\u{202e}bob", BadCharacter('\u{202e}')),
            ("a\u{2066}", BadCharacter('\u{2066}')),
            ("a\u{1b}[2J", BadCharacter('\u{1b}')),
            ("a\u{9b}", BadCharacter('\u{9b}')),
            ("a\0", BadCharacter('\0')),
            ("a\u{feff}", BadCharacter('\u{feff}')),
            ("\u{3164}", BadCharacter('\u{3164}')),
            ("a\u{fe0f}", BadCharacter('\u{fe0f}')),
            ("a\u{e0041}", BadCharacter('\u{e0041}')),
            ("a\u{2800}", BadCharacter('\u{2800}')),
            ("\u{301}a", BadCharacter('\u{301}')),
            ("😀", BadCharacter('😀')),
        ];
        for (text, wrong) in table {
            assert_eq!(text.parse::<Name>(), Err(wrong), "{text:?}");
        }
    }

    #[test]
    fn long_names_are_refused() {
        for text in ["a".repeat(33), "武".repeat(33), "a".repeat(10_240), format!("{}é", "𠀀".repeat(31))]
        {
            assert_eq!(text.parse::<Name>(), Err(NameError::TooLong));
        }
        assert_eq!(
            format!("x{}", "\u{323}".repeat(20)).parse::<Name>(),
            Err(NameError::BadCharacter('\u{323}'))
        );
    }

    #[test]
    fn reserved_names_and_look_alikes_are_recognised() {
        for text in
            ["echo", "ECHO", "eсho", "relay", "Relay", "rеlay", "reIay", "guest-1", "Guest-x", "gυest-1"]
        {
            assert!(name(text).is_reserved(), "{text}");
        }
        for text in ["echoes", "guest", "guests", "relay1", "一棵树"] {
            assert!(!name(text).is_reserved(), "{text}");
        }
    }

    #[test]
    fn folder_name_is_hash() {
        let folder = name("CON").folder();
        assert_eq!(folder.len(), 32);
        assert!(folder.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
        assert_ne!(folder, name("con").folder());
        assert_eq!(folder, name("CON").folder());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_round_trips_as_name(text in "\\PC{0,40}|[a-zéñ武ёश्.]{1,40}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert!(name.as_str().len() <= Name::BYTES_MAX);
                prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
                prop_assert!(!name.as_str().contains(|c: char| c.is_control() || c.is_whitespace() || c == '/'));
                prop_assert!(name.looks_like(&name));
            }
        }
    }
}
