//! Public keys and ids of letters.

use std::fmt;
use std::str::FromStr;

use blake2::{Blake2s256, Digest};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::HostPort;
use super::fingerprint::{DIGITS, GROUP};

/// An X25519 public key, the identity of a member or a relay.
///
/// Shown as 43 characters of unpadded URL-safe base 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Returns the text of its [`super::Fingerprint`], which users compare.
    pub fn fingerprint(&self) -> String {
        let hash = Blake2s256::new().chain_update(b"queqiao fingerprint").chain_update(self.0).finalize();
        let digits = BASE32_NOPAD.encode(&hash).to_ascii_lowercase();
        let groups: Vec<&str> =
            (0..DIGITS / GROUP).map(|group| &digits[group * GROUP..(group + 1) * GROUP]).collect();
        groups.join("-")
    }
}

/// Text that is not a valid public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError)?;
        Ok(PublicKey(bytes.try_into().map_err(|_| KeyError)?))
    }
}

/// A random number created with an outbox; distinguishes two outboxes of one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboxId(pub u64);

impl OutboxId {
    /// Returns the id of the part of this outbox that goes through `relay`.
    ///
    /// Letters are numbered per relay and recipient. Without this, a relay with two addresses would
    /// take two different letters for one. The hash is FNV-1a (64 bits) over the relay's address.
    /// Changing it would rename letters in flight.
    #[must_use]
    pub fn for_relay(self, relay: &HostPort) -> OutboxId {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = relay.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        OutboxId(self.0 ^ hash)
    }
}

/// Counts how often a client has opened an outbox or signed in with it.
///
/// Each value is durable before anything is numbered or sent under it, and is never reused. 0 is
/// for letters that no outbox has numbered, those of guests and of the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark(pub u32);

impl Mark {
    /// The highest mark, used where a letter's own one is unknown.
    pub const MAX: Mark = Mark(u32::MAX);
}

/// Identifies a letter between one sender and one recipient. Shown as `0123456789abcdef-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterId {
    /// The outbox that it was written to.
    pub outbox: OutboxId,
    /// Its number there: counts from 1 for each recipient and is never reused.
    pub number: u64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", HEXLOWER.encode(&self.outbox.0.to_be_bytes()), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_round_trips_as_text() {
        let key = PublicKey(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(key.to_string().len(), 43);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("AAAA".parse::<PublicKey>(), Err(KeyError));
        assert_eq!("!".repeat(43).parse::<PublicKey>(), Err(KeyError));
    }

    #[test]
    fn outbox_id_differs_per_relay() {
        let at = |relay: &str| OutboxId(7).for_relay(&relay.parse().unwrap());
        assert_eq!(at("127.0.0.1:8081"), at("127.0.0.1:8081"));
        assert_ne!(at("127.0.0.1:8081"), at("[::1]:8081"));
        assert_ne!(at("127.0.0.1:8081"), at("127.0.0.1:8082"));
        assert_ne!(at("127.0.0.1:8081"), OutboxId(8).for_relay(&"127.0.0.1:8081".parse().unwrap()));
    }

    #[test]
    fn letter_id_shows_outbox_and_number() {
        let id = LetterId { outbox: OutboxId(0xabc), number: 12 };
        assert_eq!(id.to_string(), "0000000000000abc-12");
    }

    #[test]
    fn fingerprint_has_four_groups_and_differs_per_key() {
        let a = PublicKey([1; 32]);
        let b = PublicKey([2; 32]);
        let shown = a.fingerprint();
        assert_eq!(shown.len(), 23);
        assert!(shown.split('-').all(|group| group.len() == 5));
        assert_eq!(shown, a.fingerprint());
        assert_ne!(shown, b.fingerprint());
    }
}
