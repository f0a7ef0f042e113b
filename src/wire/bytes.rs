//! Reads and writes the fixed parts of messages. Reading is checked and borrows; writing appends.

/// Input that ends too early or holds an invalid value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError;

/// A cursor over untrusted bytes.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.bytes(N)?.try_into().expect("`bytes` returned N bytes"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Reads a text with a length prefix of one byte.
    pub(super) fn short_text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.u8()?;
        std::str::from_utf8(self.bytes(usize::from(len))?).map_err(|_| DecodeError)
    }

    /// Returns all remaining bytes.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Appends a text of at most 255 bytes with a length prefix of one byte.
pub(super) fn put_short_text(buf: &mut Vec<u8>, text: &str) {
    buf.push(u8::try_from(text.len()).expect("names are at most 96 bytes"));
    buf.extend_from_slice(text.as_bytes());
}
