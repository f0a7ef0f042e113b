//! The two keys of a handshake, and the sealing of packets.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::base::Unpacker;
use crate::wire::limits::{DATA_HEADER_LEN, TAG_LEN};
use crate::wire::packet::{RESET_TOKEN_LEN, data_header};

use super::reset::ResetToken;

/// Bytes that a sealed packet has in addition to its frames.
pub const SEALED_OVERHEAD: usize = DATA_HEADER_LEN + TAG_LEN;

/// The result of a handshake for each end: a key per direction, and the indexes of its packets.
///
/// Only the raw 32-byte keys are stored. The cipher's own form (1,088 bytes per pair) is made on
/// use.
pub struct Keys {
    /// The index in packets to us.
    pub local_index: u32,
    /// The index in packets to the other end.
    pub remote_index: u32,
    send: Zeroizing<[u8; 32]>,
    recv: Zeroizing<[u8; 32]>,
    reset: Option<ResetToken>,
    /// At a relay: the counter of the handshake that made the keys.
    handshake: u64,
}

/// The reason why a data packet was not opened. It is dropped silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Too short, too long, or not a data packet.
    Malformed,
    /// None of the keys has this index.
    Index,
    /// The number has been seen, or is below the replay window.
    Replayed,
    /// The tag does not match header, bytes and key.
    Tag,
}

impl Keys {
    /// Creates keys from the split of a handshake. Packets sealed with `send` here are opened with
    /// `recv` there.
    pub fn new(local_index: u32, remote_index: u32, send: [u8; 32], recv: [u8; 32]) -> Keys {
        Keys {
            local_index,
            remote_index,
            send: Zeroizing::new(send),
            recv: Zeroizing::new(recv),
            reset: None,
            handshake: 0,
        }
    }

    /// Adds the content of a RESET by the other end.
    pub(super) fn with_reset(self, reset: Option<ResetToken>) -> Keys {
        Keys { reset, ..self }
    }

    /// Adds the counter of the handshake that made the keys.
    pub(super) fn of_handshake(self, handshake: u64) -> Keys {
        Keys { handshake, ..self }
    }

    /// Returns the counter of the handshake that made the keys. It is 0 after unpacking.
    pub(super) const fn handshake(&self) -> u64 {
        self.handshake
    }

    /// Whether the other end's reset token is unknown, as it always is at a relay.
    pub(super) const fn is_without_reset(&self) -> bool {
        self.reset.is_none()
    }

    /// Appends the keys to a hibernated session.
    pub(super) fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.local_index.to_be_bytes());
        into.extend_from_slice(&self.remote_index.to_be_bytes());
        into.extend_from_slice(&*self.send);
        into.extend_from_slice(&*self.recv);
    }

    /// Restores keys written by [`Keys::pack`].
    pub(super) fn unpack(from: &mut Unpacker<'_>) -> Keys {
        let local = u32::from_be_bytes(from.bytes());
        let remote = u32::from_be_bytes(from.bytes());
        Keys::new(local, remote, from.bytes(), from.bytes())
    }

    /// Whether a RESET of `index` with `token` can only come from the other end.
    pub fn is_reset(&self, index: u32, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        index == self.remote_index && self.reset.is_some_and(|expected| expected.is(token))
    }

    /// Seals in place the packet that begins at `packet_start` of `buf`: 16 bytes reserved for its
    /// header, then its frames.
    ///
    /// Writes the header and appends the tag. A number must never be sealed twice under one key.
    ///
    /// # Panics
    /// If fewer than 16 bytes follow `packet_start`.
    pub fn seal(&self, number: u64, buf: &mut Vec<u8>, packet_start: usize) {
        let header = data_header(self.remote_index, number);
        let (space, plain) = buf[packet_start..]
            .split_first_chunk_mut::<DATA_HEADER_LEN>()
            .expect("a packet being built begins with space for its header");
        *space = header;
        let tag = cipher(&self.send)
            .seal_in_place_separate_tag(nonce(number), Aad::from(header), plain)
            .expect("a packet is far below the limit of ChaCha20");
        buf.extend_from_slice(tag.as_ref());
    }

    /// Opens in place a data packet whose header has been parsed. Returns its frames. Does not
    /// detect replays.
    ///
    /// # Errors
    /// [`OpenError::Tag`] if it was not sealed with our peer's key, or any bit has changed.
    /// [`OpenError::Malformed`] if it is shorter than a header.
    pub fn open<'a>(&self, number: u64, packet: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let (header, sealed) =
            packet.split_first_chunk_mut::<DATA_HEADER_LEN>().ok_or(OpenError::Malformed)?;
        let plain = cipher(&self.recv)
            .open_in_place(nonce(number), Aad::from(*header), sealed)
            .map_err(|_| OpenError::Tag)?;
        Ok(plain)
    }
}

/// Shows only the indexes.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("local_index", &self.local_index)
            .field("remote_index", &self.remote_index)
            .finish_non_exhaustive()
    }
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("a ChaCha20 key has 32 bytes"))
}

/// Returns the nonce of a packet number: four zero bytes and the number in little-endian, as Noise
/// numbers its messages (Noise §12.3).
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Keys, Keys) {
        (Keys::new(1, 2, [3; 32], [4; 32]), Keys::new(2, 1, [4; 32], [3; 32]))
    }

    fn sealed(keys: &Keys, number: u64, plain: &[u8]) -> Vec<u8> {
        let mut buf = b"before".to_vec();
        buf.extend_from_slice(&[0; DATA_HEADER_LEN]);
        buf.extend_from_slice(plain);
        keys.seal(number, &mut buf, 6);
        buf.split_off(6)
    }

    #[test]
    fn packet_opens_at_other_end_only() {
        let (ours, theirs) = pair();
        for plain in [&b""[..], b"frames", &[7; 1168]] {
            let packet = sealed(&ours, 5, plain);
            assert_eq!(packet.len(), plain.len() + SEALED_OVERHEAD);
            assert_eq!(theirs.open(5, &mut packet.clone()).unwrap(), plain);
            assert_eq!(ours.open(5, &mut packet.clone()), Err(OpenError::Tag));
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let (ours, theirs) = pair();
        let packet = sealed(&ours, 9, b"frames");
        for bit in (0..packet.len() * 8).filter(|bit| !(64..128).contains(bit)) {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(theirs.open(9, &mut bad), Err(OpenError::Tag), "bit {bit}");
        }
        assert_eq!(theirs.open(9, &mut [0; 15]), Err(OpenError::Malformed));
        assert_eq!(theirs.open(9, &mut packet[..20].to_vec()), Err(OpenError::Tag));
    }

    #[test]
    fn keys_are_never_shown() {
        assert_eq!(format!("{:?}", pair().0), "Keys { local_index: 1, remote_index: 2, .. }");
    }
}
