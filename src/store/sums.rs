//! The sums that rows of a database carry, and its numbers without a sign.

use blake2::{Blake2s256, Digest};
use rusqlite::types::ValueRef;

/// The length of a sum: no accident passes for a whole row.
pub(super) const SUM_LEN: usize = 8;

pub(super) type Sum = [u8; SUM_LEN];

/// BLAKE2s over every field, each text with its length before it, and last what is left of the row.
pub(super) fn sum(table: &str, texts: &[&str], numbers: &[u64], rest: &[u8]) -> Sum {
    let mut hash = Blake2s256::new().chain_update(table);
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    for number in numbers {
        hash.update(number.to_be_bytes());
    }
    hash.update(rest);
    *hash.finalize().first_chunk().expect("a hash of 32 bytes")
}

/// BLAKE2s over every field as SQLite has it: its type, and what has a length with its length before it.
pub(super) fn sum_of_values(table: &str, values: &[ValueRef<'_>]) -> Sum {
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
    *hash.finalize().first_chunk().expect("a hash of 32 bytes")
}

/// A number of 64 bits without a sign, kept in SQLite's signed ones.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| n as u64)
}
