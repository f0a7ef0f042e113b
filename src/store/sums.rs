//! The sums that rows of the relay's database carry, and its numbers without a sign.

use blake2::{Blake2s256, Digest};

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

/// A number of 64 bits without a sign, kept in SQLite's signed ones.
pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|n| n as u64)
}
