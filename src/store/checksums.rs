//! Checksums of database rows, and unsigned numbers.

use blake2::{Blake2s256, Digest};
use rusqlite::types::ValueRef;

/// Length of a checksum in bytes. With 64 bits no accidental damage passes as an intact row.
pub(super) const CHECKSUM_LEN: usize = 8;

pub(super) type Checksum = [u8; CHECKSUM_LEN];

/// Returns the BLAKE2s checksum over every field. Each text is preceded by its length; `rest` comes
/// last.
pub(super) fn checksum(table: &str, texts: &[&str], numbers: &[u64], rest: &[u8]) -> Checksum {
    let mut hash = Blake2s256::new().chain_update(table);
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    hash.update(rest);
    *hash.finalize().first_chunk().expect("a hash has 32 bytes")
}

/// Returns the BLAKE2s checksum over every field as SQLite stores it: the type, then the value.
/// Texts and blobs are preceded by their length.
pub(super) fn checksum_of_values(table: &str, values: &[ValueRef<'_>]) -> Checksum {
    let mut hash = Blake2s256::new().chain_update(table);
    for value in values {
        let (kind, number, bytes): (u8, u64, &[u8]) = match *value {
            ValueRef::Null => (0, 0, &[]),
            ValueRef::Integer(number) => (1, number as u64, &[]),
            ValueRef::Real(number) => (2, number.to_bits(), &[]),
            ValueRef::Text(bytes) => (3, bytes.len() as u64, bytes),
            ValueRef::Blob(bytes) => (4, bytes.len() as u64, bytes),
        };
        hash.update([kind]);
        hash.update(number.to_be_bytes());
        hash.update(bytes);
    }
    *hash.finalize().first_chunk().expect("a hash has 32 bytes")
}

/// Reads an unsigned 64-bit number, which SQLite stores as a signed one.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| n as u64)
}
