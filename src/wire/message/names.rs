//! Lists of names.

use super::super::bytes::{Malformed, Reader, put_short_text};

/// A screen: this is the first part of a list.
pub const SCREEN_FIRST: u8 = 1;
/// A screen: this is the last part of a list.
pub const SCREEN_LAST: u8 = 2;
/// A screen: take letters only from these.
pub const SCREEN_ONLY: u8 = 4;

/// Names one behind the other, each behind its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'a>(&'a [u8]);

impl<'a> Names<'a> {
    /// The names, as they were written.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Reader::new(self.0);
        std::iter::from_fn(move || rest.short_text().ok())
    }

    /// Names that [`Names::put`] has written.
    pub const fn new(bytes: &'a [u8]) -> Names<'a> {
        Names(bytes)
    }

    /// Appends a name of at most 255 bytes.
    pub fn put(buf: &mut Vec<u8>, name: &str) {
        put_short_text(buf, name);
    }

    /// The names, each behind its length.
    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn decode(r: Reader<'a>) -> Result<Names<'a>, Malformed> {
        let bytes = r.rest();
        let read: usize = Names(bytes).iter().map(|name| name.len() + 1).sum();
        if read == bytes.len() { Ok(Names(bytes)) } else { Err(Malformed) }
    }
}
