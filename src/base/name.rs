//! Names of members.

use std::fmt;

/// A member's name: NFC, 1–32 grapheme clusters and at most 96 bytes; letters, digits and `._-` of any script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing in it.
    Empty,
    /// More than 32 grapheme clusters or 96 bytes.
    TooLong,
    /// A character no name may have.
    BadCharacter(char),
    /// Reserved for the relay.
    Reserved,
}

impl Name {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Name, NameError> {
        if text.is_empty() { Err(NameError::Empty) } else { Ok(Name(text.to_owned())) }
    }
}
