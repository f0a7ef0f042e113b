//! Variable-length integers (RFC 9000 §16): the two highest bits of the first byte give the length.
//!
//! | first two bits | bytes | largest value |
//! | --- | --- | --- |
//! | 00 | 1 | 63 |
//! | 01 | 2 | 16,383 |
//! | 10 | 4 | 1,073,741,823 |
//! | 11 | 8 | [`VARINT_MAX`] |
//!
//! Writers use the shortest form; readers accept every form.

/// Maximum value of a varint: 2⁶² − 1.
pub const VARINT_MAX: u64 = (1 << 62) - 1;

/// Returns the number of bytes of the shortest form of `value`.
pub const fn varint_len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

/// Appends the shortest form of `value`.
///
/// # Panics
/// If `value` exceeds [`VARINT_MAX`], which has no form: callers never write such a value.
#[inline]
pub fn write_varint(out: &mut Vec<u8>, value: u64) {
    assert!(value <= VARINT_MAX, "no counter of ours reaches 2^62");
    let len = varint_len(value);
    let marked = value << (64 - 8 * len) | u64::from(len.trailing_zeros()) << 62;
    let end = out.len() + len;
    // Eight bytes at once and a truncation cost less than a copy whose length the compiler does not
    // know.
    out.extend_from_slice(&marked.to_be_bytes());
    out.truncate(end);
}

/// Takes a varint from the front of `bytes`. Returns `None`, changing nothing, if it is incomplete.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let (value, len) = match first >> 6 {
        0 => (u64::from(first), 1),
        1 => (u64::from(u16::from_be_bytes(*bytes.first_chunk()?)) & 0x3fff, 2),
        2 => (u64::from(u32::from_be_bytes(*bytes.first_chunk()?)) & 0x3fff_ffff, 4),
        _ => (u64::from_be_bytes(*bytes.first_chunk()?) & VARINT_MAX, 8),
    };
    *bytes = &bytes[len..];
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_rfc_9000_are_read() {
        let table: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (mut bytes, value) in table {
            assert_eq!(read_varint(&mut bytes), Some(value));
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn torn_varint_is_none_and_consumes_nothing() {
        for torn in [&[][..], &[0x40], &[0x80, 0, 0], &[0xff; 7]] {
            let mut bytes = torn;
            assert_eq!(read_varint(&mut bytes), None);
            assert_eq!(bytes, torn);
        }
    }

    proptest! {
        #[test]
        fn every_value_round_trips(value in 0..=VARINT_MAX, shift in 0_u32..62) {
            let value = value >> shift;
            let mut out = Vec::new();
            write_varint(&mut out, value);
            prop_assert_eq!(out.len(), varint_len(value));
            prop_assert_eq!(read_varint(&mut &out[..]), Some(value));
        }
    }
}
