//! Keys and letter ids.

use std::fmt;
use std::str::FromStr;

use blake2::{Blake2s256, Digest};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

use super::HostPort;
use super::fingerprint::{DIGITS, GROUP};

/// An X25519 public key: who a member or a relay is. Shown whole as 43 characters of unpadded URL-safe base 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The key as people compare it: the text of its [`super::Fingerprint`].
    pub fn fingerprint(&self) -> String {
        let hash = Blake2s256::new().chain_update(b"queqiao fingerprint").chain_update(self.0).finalize();
        let digits = BASE32_NOPAD.encode(&hash).to_ascii_lowercase();
        let groups: Vec<&str> =
            (0..DIGITS / GROUP).map(|group| &digits[group * GROUP..(group + 1) * GROUP]).collect();
        groups.join("-")
    }
}

/// A text that is not a public key.
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

/// A random number made with the outbox a letter was written into; it tells two outboxes of one sender apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboxId(pub u64);

impl OutboxId {
    /// What the part of this outbox that goes through `relay` is called: letters are numbered for each relay and
    /// recipient, and a relay that is known by two addresses must not take two letters for one. By FNV-1a (64 bits)
    /// over the relay's address; a change of it would rename letters on their way.
    #[must_use]
    pub fn through(self, relay: &HostPort) -> OutboxId {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = relay.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        OutboxId(self.0 ^ hash)
    }
}

/// Counts the times a client has opened an outbox or signed in with it: each is durable before
/// anything is numbered or said under it, and none is used again. 0 for letters that are numbered
/// in none, those of guests and of the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mark(pub u32);

/// What a letter is called between one sender and one recipient: the outbox, and a number that counts up from 1
/// for each recipient and is never used again. Shown as `0123456789abcdef-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterId {
    /// The outbox it was written into.
    pub outbox: OutboxId,
    /// Its number there, for this recipient.
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
    fn a_key_reads_back_from_its_text() {
        let key = PublicKey(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(key.to_string().len(), 43);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("AAAA".parse::<PublicKey>(), Err(KeyError));
        assert_eq!("!".repeat(43).parse::<PublicKey>(), Err(KeyError));
    }

    #[test]
    fn an_outbox_has_a_name_of_its_own_at_each_relay() {
        let at = |relay: &str| OutboxId(7).through(&relay.parse().unwrap());
        assert_eq!(at("127.0.0.1:8081"), at("127.0.0.1:8081"));
        assert_ne!(at("127.0.0.1:8081"), at("[::1]:8081"));
        assert_ne!(at("127.0.0.1:8081"), at("127.0.0.1:8082"));
        assert_ne!(at("127.0.0.1:8081"), OutboxId(8).through(&"127.0.0.1:8081".parse().unwrap()));
    }

    #[test]
    fn a_letter_id_shows_outbox_and_number() {
        let id = LetterId { outbox: OutboxId(0xabc), number: 12 };
        assert_eq!(id.to_string(), "0000000000000abc-12");
    }

    #[test]
    fn fingerprints_have_four_groups_and_tell_keys_apart() {
        let (a, b) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let shown = a.fingerprint();
        assert_eq!(shown.len(), 23);
        assert!(shown.split('-').all(|group| group.len() == 5));
        assert_eq!(shown, a.fingerprint());
        assert_ne!(shown, b.fingerprint());
    }
}
