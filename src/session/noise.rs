//! The Noise handshake: snow, with seeded randomness and a Diffie-Hellman that refuses low-order
//! keys.

use blake2::Blake2sMac256;
use blake2::digest::{KeyInit, Mac};
use snow::Builder;
use snow::params::NoiseParams;
use snow::types::Dh;
use zeroize::Zeroizing;

use crate::base::{PublicKey, Rng};
use crate::wire::packet::INIT_HEADER_LEN;

use super::identity::Identity;
use super::wiped::{WipedHandshake, WipedResolver, X25519};

/// Source of 32 bytes of the system's randomness, or of another that is fresh at each call.
pub type FreshBytes = fn() -> [u8; 32];

/// Name of the protocol (Noise revision 34, §8).
pub(super) const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// First part of the prologue. The INIT's header follows, with version and index.
const PROLOGUE: &[u8; 7] = b"queqiao";
/// Bytes that the first message adds to its payload: e(32), s(32) with tag(16), the payload's
/// tag(16).
pub(super) const FIRST_OVERHEAD: usize = 96;
/// Bytes that the second message adds to its payload: e(32), the payload's tag(16).
pub(super) const SECOND_OVERHEAD: usize = 48;

/// The psk of Noise IKpsk2: no relay requires a secret of its clients.
pub(super) const NO_PSK: [u8; 32] = [0; 32];

/// Creates the client's state of a handshake whose INIT has this header.
pub(super) fn initiator(
    identity: &Identity,
    relay: &PublicKey,
    psk: &[u8; 32],
    init_header: &[u8; INIT_HEADER_LEN],
    rng: Rng,
) -> WipedHandshake {
    builder(identity, psk, &prologue(init_header), rng)
        .and_then(|builder| builder.remote_public_key(&relay.0)?.build_initiator())
        .map(WipedHandshake::new)
        .expect("the pattern is supported, and every key has its length")
}

/// Creates the relay's state of a handshake whose INIT has this header.
pub(super) fn responder(
    identity: &Identity,
    psk: &[u8; 32],
    init_header: &[u8; INIT_HEADER_LEN],
    rng: Rng,
) -> WipedHandshake {
    builder(identity, psk, &prologue(init_header), rng)
        .and_then(Builder::build_responder)
        .map(WipedHandshake::new)
        .expect("the pattern is supported, and every key has its length")
}

fn builder<'a>(
    identity: &'a Identity,
    psk: &'a [u8; 32],
    prologue: &'a [u8],
    rng: Rng,
) -> Result<Builder<'a>, snow::Error> {
    let params: NoiseParams = PATTERN.parse()?;
    Builder::with_resolver(params, Box::new(WipedResolver::new(rng)))
        .local_private_key(identity.private_bytes())?
        .psk(2, psk)?
        .prologue(prologue)
}

fn prologue(init_header: &[u8; INIT_HEADER_LEN]) -> [u8; PROLOGUE.len() + INIT_HEADER_LEN] {
    let mut prologue = [0; PROLOGUE.len() + INIT_HEADER_LEN];
    prologue[..PROLOGUE.len()].copy_from_slice(PROLOGUE);
    prologue[PROLOGUE.len()..].copy_from_slice(init_header);
    prologue
}

/// Returns the public key of a private one.
pub(super) fn public_of(private: &[u8; 32]) -> PublicKey {
    let mut dh = X25519::default();
    dh.set(private);
    PublicKey(dh.pubkey().try_into().expect("an X25519 key has 32 bytes"))
}

/// Whether a public key is of low order, such as all zeros. Its product with any key is zeros, so
/// it proves nothing about its holder (RFC 7748 §6.1).
///
/// Such keys are refused in handshakes, responses and registration.
pub fn is_low_order(key: &PublicKey) -> bool {
    let mut dh = X25519::default();
    dh.set(&[1; 32]);
    dh.dh(&key.0, &mut [0; 32]).is_err()
}

/// Returns the randomness of one handshake: the stream's, mixed with fresh bytes and the private
/// key as in RFC 8937 §3.
///
/// A copy of this process in another machine then has other ephemeral keys. An attacker who knows
/// the stream or the fresh bytes cannot compute them without the private key.
pub fn handshake_rng(identity: &Identity, rng: &mut Rng, fresh: FreshBytes) -> Rng {
    let mut drawn = Zeroizing::new([0; 32]);
    rng.fill(&mut *drawn);
    let mac = <Blake2sMac256 as KeyInit>::new_from_slice(identity.private_bytes());
    let mut mac = mac.expect("a key of 32 bytes fits");
    mac.update(b"queqiao handshake randomness");
    mac.update(&*drawn);
    mac.update(&*Zeroizing::new(fresh()));
    let seed = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
    Rng::from_seed(*seed)
}

#[cfg(test)]
mod tests {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    use snow::HandshakeState;

    fn snow_with(private: &[u8; 32], ephemeral: &[u8; 32], remote: Option<&[u8; 32]>) -> HandshakeState {
        let identity = Identity::from_private(*private);
        let psk = *b"This is my Austrian perspective!";
        let builder = builder(&identity, &psk, b"John Galt", Rng::from_seed([0; 32])).unwrap();
        let builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
        match remote {
            Some(remote) => builder.remote_public_key(remote).unwrap().build_initiator().unwrap(),
            None => builder.build_responder().unwrap(),
        }
    }

    // RFC 8937
    #[test]
    fn stream_key_and_fresh_bytes_decide_handshake_randomness() {
        let drawn = |stream: u8, private: u8, fresh: FreshBytes| {
            let identity = Identity::from_private([private; 32]);
            handshake_rng(&identity, &mut Rng::from_seed([stream; 32]), fresh).next_u64()
        };
        let first = drawn(1, 2, || [3; 32]);
        assert_eq!(drawn(1, 2, || [3; 32]), first);
        for other in [drawn(9, 2, || [3; 32]), drawn(1, 9, || [3; 32]), drawn(1, 2, || [9; 32])] {
            assert_ne!(other, first);
        }
    }

    /// The vector of the cacophony library for this pattern.
    #[test]
    fn pattern_matches_published_vector() {
        let relay = hex("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62");
        let mut client = snow_with(
            &hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
            &hex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"),
            Some(&relay),
        );
        let mut responder = snow_with(
            &hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"),
            &hex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"),
            None,
        );
        let mut message = [0; 200];
        let mut payload = [0; 200];

        let len = client.write_message(b"Ludwig von Mises", &mut message).unwrap();
        let first: [u8; 112] = hex(
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb5\
             6253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985\
             464cf17e51ee93109008399a21f7e13f",
        );
        assert_eq!(message[..len], first);
        assert_eq!(responder.read_message(&first, &mut payload).unwrap(), 16);

        let len = responder.write_message(b"Murray Rothbard", &mut message).unwrap();
        let second: [u8; 63] = hex(
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab03222\
             17755c0632f365717edbf34d33e87a",
        );
        assert_eq!(message[..len], second);
        assert_eq!(client.read_message(&second, &mut payload).unwrap(), 15);

        let (up, down) = client.dangerously_get_raw_split();
        assert_eq!((up, down), responder.dangerously_get_raw_split());
        let mut sealed: [u8; 27] = hex("8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7");
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &up).unwrap());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        assert_eq!(key.open_in_place(nonce, Aad::empty(), &mut sealed).unwrap(), b"F. A. Hayek");
    }
}
