//! Words for people: a key into the tables of `ui`'s strings, with what fills the gaps.
//!
//! Rooms below `ui` never write sentences. They return a [`Phrase`]; the face that shows it picks the language.

use std::fmt;

/// One sentence for people: which one, and its arguments. Also the error type of start-up, disk and address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    key: &'static str,
    args: Vec<(&'static str, String)>,
}

impl Phrase {
    /// The sentence called `key`, whose text stands in `src/ui/strings/*.ftl`.
    pub const fn new(key: &'static str) -> Phrase {
        Phrase { key, args: Vec::new() }
    }

    /// The same sentence with the gap `name` filled. The value is data: the face makes it harmless.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Phrase {
        self.args.push((name, value.to_string()));
        self
    }

    /// Which sentence.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// What fills its gaps.
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
