//! Who is who: long-term keys, a relay's access secret, and keys as people compare them.

use std::fmt;

use blake2::{Blake2s256, Digest};
use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use crate::base::{PublicKey, Rng};

use super::noise::public_of;

/// A long-term X25519 key pair: a member, or a relay.
pub struct Identity {
    private: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl Identity {
    /// A new key pair.
    pub fn generate(rng: &mut Rng) -> Identity {
        let mut private = Zeroizing::new([0; 32]);
        rng.fill(&mut *private);
        Identity::from_private(*private)
    }

    /// The key pair of a private key (any 32 bytes; RFC 7748 §5 clamps them on use).
    pub fn from_private(private: [u8; 32]) -> Identity {
        let private = Zeroizing::new(private);
        let public = public_of(&private);
        Identity { private, public }
    }

    /// The public key.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The private key, to be written into a file that only its owner can read.
    pub fn private_bytes(&self) -> &[u8; 32] {
        &self.private
    }
}

/// Shows the public key only.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.public).finish()
    }
}

/// What a relay may ask of everybody who shakes hands with it (the psk of Noise IKpsk2), all zeros where it asks for
/// none. It is mixed in last: who has another one cannot read the answer, nor seal a packet that the relay opens.
#[derive(Clone, Default)]
pub struct AccessSecret(Zeroizing<[u8; 32]>);

impl AccessSecret {
    /// The secret of these bytes.
    pub fn new(bytes: [u8; 32]) -> AccessSecret {
        AccessSecret(Zeroizing::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows nothing.
impl fmt::Debug for AccessSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessSecret")
    }
}

/// Base-32 digits of a fingerprint: 100 bits, so that finding a second key for one is out of reach.
const FINGERPRINT_DIGITS: usize = 20;
/// Digits between two dashes: what people can read aloud in one breath.
const FINGERPRINT_GROUP: usize = 5;

/// A public key as people compare it: the first 100 bits of BLAKE2s-256(`queqiao fingerprint` ‖ key) in lower-case
/// base 32 (RFC 4648), in four groups: `abcde-fghij-klmno-pqrst`.
pub fn fingerprint(key: &PublicKey) -> String {
    let hash = Blake2s256::new().chain_update(b"queqiao fingerprint").chain_update(key.0).finalize();
    let digits = BASE32_NOPAD.encode(&hash).to_ascii_lowercase();
    let groups: Vec<&str> = (0..FINGERPRINT_DIGITS / FINGERPRINT_GROUP)
        .map(|group| &digits[group * FINGERPRINT_GROUP..(group + 1) * FINGERPRINT_GROUP])
        .collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_gives_the_public_key_of_rfc_7748() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap();
        let private = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let public = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        assert_eq!(Identity::from_private(private).public(), PublicKey(public));
    }

    #[test]
    fn secrets_are_never_shown() {
        let identity = Identity::from_private([0xAB; 32]);
        let shown = format!("{identity:?} {:?}", AccessSecret::new([0xCD; 32]));
        assert_eq!(shown, format!("Identity({}) AccessSecret", identity.public()));
    }

    #[test]
    fn fingerprints_have_four_groups_and_tell_keys_apart() {
        let (a, b) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let shown = fingerprint(&a);
        assert_eq!(shown.len(), 23);
        assert!(shown.split('-').all(|group| group.len() == 5));
        assert_eq!(shown, fingerprint(&a));
        assert_ne!(shown, fingerprint(&b));
    }
}
