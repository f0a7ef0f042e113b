//! The random number that a relay's stateless resets are derived from, in a file next to its key.
//!
//! ```text
//! # queqiao: made at random for this folder; a copy of it that runs elsewhere should have another.
//! 5f1c0e64b5d84ea7b9a2c3d4e5f60718
//! ```
//!
//! A restart keeps the number, so that clients recognise the resets of their sessions. If it is
//! missing or damaged, a new one is created at little cost: clients ignore resets for older
//! sessions and detect their loss by a time-out.

use std::path::Path;

use data_encoding::HEXLOWER;

use super::error::StoreError;
use super::files::{read_small, write_atomically};

pub(super) const RESET_ID_LEN: usize = 16;

/// Name of the file in the relay's folder.
pub(super) const FILE: &str = "relay.id";

/// Reads the number, or creates it durably from `random` bytes.
///
/// # Errors
/// Returns an error of the system.
pub(super) fn load_or_make(
    dir: &Path,
    random: impl FnOnce() -> [u8; 32],
) -> Result<[u8; RESET_ID_LEN], StoreError> {
    match load(dir)? {
        Some(id) => Ok(id),
        None => renew_reset_id(dir, random),
    }
}

/// Reads the number. Returns `None` if it is missing or damaged.
///
/// # Errors
/// Returns an error of the system.
pub(super) fn load(dir: &Path) -> Result<Option<[u8; RESET_ID_LEN]>, StoreError> {
    Ok(read_small(&dir.join(FILE))?.and_then(|(_, bytes)| decode(&bytes)))
}

/// Replaces the number durably. For a folder that is a copy of another one, before a relay runs on
/// it. `random` returns 32 random bytes. The caller must hold the folder.
///
/// # Errors
/// Returns an error of the system.
pub fn renew_reset_id(
    dir: &Path,
    random: impl FnOnce() -> [u8; 32],
) -> Result<[u8; RESET_ID_LEN], StoreError> {
    let id = *random().first_chunk().expect("32 bytes contain the first 16");
    let comment =
        "# queqiao: made at random for this folder; a copy of it that runs elsewhere should have another.";
    write_atomically(&dir.join(FILE), format!("{comment}\n{}\n", HEXLOWER.encode(&id)).as_bytes())?;
    Ok(id)
}

fn decode(bytes: &[u8]) -> Option<[u8; RESET_ID_LEN]> {
    let is_id = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let line = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(is_id)?;
    HEXLOWER.decode(line).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_created_once_and_again_if_missing_or_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let load = |byte| load_or_make(dir.path(), || [byte; 32]).unwrap();
        assert_eq!(load(1), [1; 16]);
        assert_eq!(load(2), [1; 16], "a restart keeps it");
        for damaged in ["", "# only a comment\n", "5f1c\n", "not a number at all, but of 32 chars\n"] {
            std::fs::write(dir.path().join(FILE), damaged).unwrap();
            assert_eq!(load(3), [3; 16], "{damaged:?}");
            assert_eq!(load(4), [3; 16], "{damaged:?}");
            renew_reset_id(dir.path(), || [1; 32]).unwrap();
        }
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_eq!(load(5), [5; 16]);
    }
}
