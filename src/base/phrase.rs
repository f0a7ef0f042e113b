//! Localisable sentences: a key into the tables of `ui`, and its arguments.
//!
//! Modules below `ui` never write sentences. They return a [`Phrase`]; the frontend chooses the
//! language.

use std::fmt;

/// One sentence for users: its key and its arguments.
///
/// Also the error type of start-up and of the address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    key: &'static str,
    args: Vec<(&'static str, String)>,
    is_of_disk: bool,
}

impl Phrase {
    /// Returns the sentence `key`, whose text is in `src/ui/strings/*.ftl`.
    pub const fn new(key: &'static str) -> Phrase {
        Phrase { key, args: Vec::new(), is_of_disk: false }
    }

    /// Adds the argument `name`. The value is data: the frontend sanitizes it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Phrase {
        self.args.push((name, value.to_string()));
        self
    }

    /// Marks an error of a disk that fails, is full or is read-only.
    #[must_use]
    pub const fn of_disk(mut self) -> Phrase {
        self.is_of_disk = true;
        self
    }

    /// Whether this is an error of a disk.
    pub const fn is_of_disk(&self) -> bool {
        self.is_of_disk
    }

    /// Returns the key of the sentence.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// Returns the arguments.
    pub fn args(&self) -> &[(&'static str, String)] {
        &self.args
    }
}

/// For logs and tests only: the key and the arguments, not a sentence.
impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)?;
        for (name, value) in &self.args {
            write!(f, " {name}={value:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Phrase {}
