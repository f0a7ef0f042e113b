//! Stateless resets (RFC 9000 §10.3): a relay that lost its state ends a session, authenticated by
//! a token.

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::wire::packet::RESET_TOKEN_LEN;

use super::identity::Identity;

/// Proof that the sender of a RESET holds the relay's key.
///
/// It is sent sealed in the response to the handshake, and in the clear once the session is lost.
#[derive(Clone, Copy, Debug)]
pub struct ResetToken(pub(super) [u8; RESET_TOKEN_LEN]);

impl ResetToken {
    /// Whether `token` is the same. Runs in constant time.
    pub fn is(&self, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        self.0.ct_eq(token).into()
    }

    /// Returns the bytes to send.
    pub const fn bytes(&self) -> &[u8; RESET_TOKEN_LEN] {
        &self.0
    }
}

/// Length of the random id in the key, in bytes.
pub(super) const RESET_ID_LEN: usize = 16;

/// The relay's key for tokens. It is the same after a restart, because it depends only on the
/// content of the relay's folder.
pub(super) struct ResetKey(Zeroizing<[u8; 32]>);

impl ResetKey {
    pub(super) fn new(identity: &Identity, id: &[u8; RESET_ID_LEN]) -> ResetKey {
        let hash = Blake2s256::new().chain_update(b"queqiao reset").chain_update(identity.private_bytes());
        ResetKey(Zeroizing::new(hash.chain_update(id).finalize().into()))
    }

    /// Returns the token of the session whose packets arrive under `index`.
    pub(super) fn token(&self, index: u32) -> ResetToken {
        let mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(&*self.0).expect("BLAKE2s takes 32-byte keys");
        ResetToken(mac.chain_update(index.to_be_bytes()).finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The token depends on the private key, the id in the folder, and the index only.
    #[test]
    fn reset_token_is_bound_to_relay_and_index_across_restarts() {
        let key = |byte| ResetKey::new(&Identity::from_private([byte; 32]), &[4; 16]);
        let token = key(1).token(7);
        let copy = ResetKey::new(&Identity::from_private([1; 32]), &[5; 16]);
        assert!(!token.is(copy.token(7).bytes()), "another folder");
        assert!(token.is(key(1).token(7).bytes()));
        assert!(!token.is(key(1).token(8).bytes()) && !token.is(key(2).token(7).bytes()));
        let mut near = *token.bytes();
        near[15] ^= 1;
        assert!(!token.is(&near));
    }
}
