//! Lists of names, as block lists and allow lists carry them.

use super::super::bytes::{Malformed, Reader, put_short_text};

/// Flag of a block list or an allow list: the first part.
pub const SCREEN_FIRST: u8 = 1;
/// Flag of a block list or an allow list: the last part.
pub const SCREEN_LAST: u8 = 2;
/// Flag of an allow list: accept letters from these names only.
pub const SCREEN_ONLY: u8 = 4;

/// Concatenated names, each with a length prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names<'a>(&'a [u8]);

impl<'a> Names<'a> {
    /// Returns the names, unchecked.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Reader::new(self.0);
        std::iter::from_fn(move || rest.short_text().ok())
    }

    /// Wraps bytes that [`Names::put`] has written.
    pub const fn new(bytes: &'a [u8]) -> Names<'a> {
        Names(bytes)
    }

    /// Appends a name of at most 255 bytes.
    pub fn put(buf: &mut Vec<u8>, name: &str) {
        put_short_text(buf, name);
    }

    /// Returns the encoded list.
    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn decode(r: Reader<'a>) -> Result<Names<'a>, Malformed> {
        let bytes = r.rest();
        let read: usize = Names(bytes).iter().map(|name| name.len() + 1).sum();
        if read == bytes.len() { Ok(Names(bytes)) } else { Err(Malformed) }
    }
}
