//! Stateless resets (RFC 9000 §10.3): how a relay that has lost a session says so, and its client believes nobody else.

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::wire::packet::RESET_TOKEN_LEN;

use super::identity::Identity;

/// Proof that whoever sends it holds the relay's key: told sealed with the answer to the handshake, and openly once the
/// session is lost.
#[derive(Clone, Copy, Debug)]
pub struct ResetToken(pub(super) [u8; RESET_TOKEN_LEN]);

impl ResetToken {
    /// Whether `token` is the same; takes the same time wherever it differs.
    pub fn is(&self, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        self.0.ct_eq(token).into()
    }

    /// Its bytes, to be sent.
    pub const fn bytes(&self) -> &[u8; RESET_TOKEN_LEN] {
        &self.0
    }
}

/// The length of what is random in it.
pub(super) const RESET_ID_LEN: usize = 16;

/// The key that a relay makes tokens with; the same after a restart, because it is made of what is
/// in the relay's folder alone.
pub(super) struct ResetKey(Zeroizing<[u8; 32]>);

impl ResetKey {
    pub(super) fn new(identity: &Identity, id: &[u8; RESET_ID_LEN]) -> ResetKey {
        let hash = Blake2s256::new().chain_update(b"queqiao reset").chain_update(identity.private_bytes());
        ResetKey(Zeroizing::new(hash.chain_update(id).finalize().into()))
    }

    /// The token of the session whose packets come under `index`.
    pub(super) fn token(&self, index: u32) -> ResetToken {
        let mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(&*self.0).expect("BLAKE2s takes 32-byte keys");
        ResetToken(mac.chain_update(index.to_be_bytes()).finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_relay_and_one_index_and_outlives_the_process() {
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
