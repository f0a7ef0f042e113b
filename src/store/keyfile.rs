//! A private key in its own file.
//!
//! ```text
//! # queqiao: the secret key of TOM. Whoever reads it can be TOM.
//! bWFkZSBvZiBieXRlcyBvZiBubyBtZWFuaW5nIGF0IGFsbCwg
//! ```
//!
//! The line has 48 characters of URL-safe base64: the 32 bytes of an X25519 private key and the
//! first 4 bytes of its BLAKE2s hash. Without the hash a flipped bit would give another key, which
//! no relay knows.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use blake2::{Blake2s256, Digest};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::error::{StoreError, StoreErrorCause};
use super::files::{io_error, read_small, write_atomically};

const KEY_LEN: usize = 32;

/// Bytes of the hash. Enough to detect a flipped bit or a missing character; it protects against
/// accidents, not attacks.
const CHECKSUM_LEN: usize = 4;

/// Reads a key. Returns `None` if the file does not exist.
///
/// # Errors
/// Returns `KeyOpen` if other users may read it, `KeyDamaged`, or an error of the system.
pub(super) fn load(path: &Path) -> Result<Option<[u8; KEY_LEN]>, StoreError> {
    let Some((file, bytes)) = read_small(path)? else { return Ok(None) };
    let bytes = Zeroizing::new(bytes);
    let mode = file.metadata().map_err(|error| io_error(path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        let mode = format!("{:03o}", mode & 0o777);
        return Err(StoreErrorCause::KeyOpen(mode).at(path));
    }
    match decode(&bytes) {
        Some(key) => Ok(Some(key)),
        None => Err(StoreErrorCause::KeyDamaged.at(path)),
    }
}

/// Writes a new key of `owner`. The caller must hold the folder and know that there is no key yet.
pub(super) fn create(path: &Path, owner: &str, key: &[u8; KEY_LEN]) -> Result<(), StoreError> {
    write_atomically(path, encode(owner, key).as_bytes())
}

fn encode(owner: &str, key: &[u8; KEY_LEN]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; KEY_LEN + CHECKSUM_LEN]);
    bytes[..KEY_LEN].copy_from_slice(key);
    bytes[KEY_LEN..].copy_from_slice(&checksum(key));
    let line = Zeroizing::new(BASE64URL_NOPAD.encode(&*bytes));
    let line = line.as_str();
    Zeroizing::new(format!(
        "# queqiao: the secret key of {owner}. Whoever reads it can be {owner}.\n{line}\n"
    ))
}

fn decode(bytes: &[u8]) -> Option<[u8; KEY_LEN]> {
    let is_key = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(is_key);
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let decoded = Zeroizing::new(BASE64URL_NOPAD.decode(line).ok()?);
    let (key, rest) = decoded.split_first_chunk()?;
    (rest == checksum(key)).then_some(*key)
}

fn checksum(key: &[u8; KEY_LEN]) -> [u8; CHECKSUM_LEN] {
    let hash = Blake2s256::digest(key);
    *hash.first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = *b"thirty-two bytes made for a test";

    #[test]
    fn key_round_trips_and_is_private_to_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        assert_eq!(load(&path), Ok(None));
        create(&path, "一棵树", &KEY).unwrap();
        assert_eq!(load(&path), Ok(Some(KEY)));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = load(&path).unwrap_err();
            assert_eq!(error, StoreErrorCause::KeyOpen(format!("{mode:o}")).at(&path));
        }
    }

    #[test]
    fn damaged_key_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        create(&path, "TOM", &KEY).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let line = whole.lines().nth(1).unwrap();
        let table = [
            String::new(),
            whole[..whole.len() - 2].to_owned(),
            whole.replace(line, &line[4..]),
            whole.replace(line, &line.replace(&line[7..8], "!")),
            format!("{whole}{line}\n"),
            "\0".repeat(whole.len()),
        ];
        for text in table {
            fs::write(&path, &text).unwrap();
            let expected = StoreErrorCause::KeyDamaged.at(&path);
            assert_eq!(load(&path), Err(expected), "{text:?}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(load(&path).unwrap_err().cause, StoreErrorCause::Io(_)));
    }

    #[test]
    fn flipped_bit_never_gives_another_key() {
        let whole = encode("TOM", &KEY);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_none_or(|key| key == KEY), "{bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_not_a_key(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&bytes), None);
        }
    }
}
