//! mac1: proof that the sender of a handshake packet knows the public key of its receiver
//! (WireGuard §5.4.4).
//!
//! It rejects strangers at the cost of a hash.

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac, Digest};
use subtle::ConstantTimeEq;

use crate::base::PublicKey;
use crate::wire::packet::{Handshake, MAC_LEN};

/// The key of mac1 on packets for one receiver: BLAKE2s-256(`queqiao mac1` ‖ the receiver's public
/// key).
#[derive(Clone, Copy)]
pub(super) struct Mac1Key([u8; 32]);

impl Mac1Key {
    /// Creates the key for packets to the holder of `receiver`.
    pub(super) fn new(receiver: &PublicKey) -> Mac1Key {
        let hash = Blake2s256::new().chain_update(b"queqiao mac1").chain_update(receiver.0).finalize();
        Mac1Key(hash.into())
    }

    /// Whether the packet's mac1 is correct. Runs in constant time.
    pub(super) fn verifies(&self, handshake: &Handshake<'_>) -> bool {
        self.mac(handshake.covered).ct_eq(handshake.mac1).into()
    }

    /// Finishes the handshake packet that begins at `start` of `out`: appends mac1, and zeros in
    /// place of mac2.
    pub(super) fn append(&self, out: &mut Vec<u8>, start: usize) {
        let mac1 = self.mac(&out[start..]);
        out.extend_from_slice(&mac1);
        out.extend_from_slice(&[0; MAC_LEN]);
    }

    fn mac(&self, bytes: &[u8]) -> [u8; MAC_LEN] {
        let mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(&self.0).expect("BLAKE2s takes 32-byte keys");
        mac.chain_update(bytes).finalize().into_bytes().into()
    }
}
