//! Identities: long-term keys, and a relay's access secret.

use std::fmt;

use zeroize::Zeroizing;

use crate::base::{PublicKey, Rng};

use super::noise::public_of;

/// A long-term X25519 key pair of a member or a relay.
pub struct Identity {
    private: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

impl Identity {
    /// Creates a new key pair.
    pub fn generate(rng: &mut Rng) -> Identity {
        let mut private = Zeroizing::new([0; 32]);
        rng.fill(&mut *private);
        Identity::from_private(*private)
    }

    /// Returns the key pair of a private key (any 32 bytes; RFC 7748 §5 clamps them on use).
    pub fn from_private(private: [u8; 32]) -> Identity {
        let private = Zeroizing::new(private);
        let public = public_of(&private);
        Identity { private, public }
    }

    /// Returns the public key.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Returns the private key. It must be written only to a file that only its owner can read.
    pub fn private_bytes(&self) -> &[u8; 32] {
        &self.private
    }
}

/// Shows only the public key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.public).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_key_yields_public_key_of_rfc_7748() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap();
        let private = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
        let public = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
        assert_eq!(Identity::from_private(private).public(), PublicKey(public));
    }

    #[test]
    fn private_key_is_never_shown() {
        let identity = Identity::from_private([0xAB; 32]);
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.public()));
    }
}
