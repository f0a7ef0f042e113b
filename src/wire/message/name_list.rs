//! Lists of names, as block lists and allow lists carry them.

use super::super::bytes::{DecodeError, Reader, put_short_text};

/// Flag of a block list or an allow list: the first part.
pub const BLOCK_LIST_FIRST: u8 = 1;
/// Flag of a block list or an allow list: the last part.
pub const BLOCK_LIST_LAST: u8 = 2;
/// Flag of an allow list: accept letters from these names only.
pub const ALLOW_LIST: u8 = 4;

/// Concatenated names, each with a length prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameList<'a>(&'a [u8]);

impl<'a> NameList<'a> {
    /// Returns the names, unchecked.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut rest = Reader::new(self.0);
        std::iter::from_fn(move || rest.short_text().ok())
    }

    /// Wraps bytes that [`NameList::put`] has written.
    pub const fn new(bytes: &'a [u8]) -> NameList<'a> {
        NameList(bytes)
    }

    /// Appends a name of at most 255 bytes.
    pub fn put(buf: &mut Vec<u8>, name: &str) {
        put_short_text(buf, name);
    }

    /// Returns the encoded list.
    pub(super) const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn decode(r: Reader<'a>) -> Result<NameList<'a>, DecodeError> {
        let bytes = r.rest();
        let read: usize = NameList(bytes).iter().map(|name| name.len() + 1).sum();
        if read == bytes.len() { Ok(NameList(bytes)) } else { Err(DecodeError) }
    }
}
