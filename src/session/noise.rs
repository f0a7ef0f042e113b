//! The Noise handshake: snow, with seeded randomness and a Diffie-Hellman that refuses low-order
//! keys.

use std::cell::Cell;

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use subtle::ConstantTimeEq;

use crate::base::{PublicKey, Rng};
use crate::wire::packet::INIT_HEADER_LEN;

use super::identity::{AccessSecret, Identity};

/// Name of the protocol (Noise revision 34, §8).
pub(super) const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// First part of the prologue. The INIT's header follows, with version and index.
const PROLOGUE: &[u8; 7] = b"queqiao";
/// Bytes that the first message adds to its payload: e(32), s(32) with tag(16), the payload's
/// tag(16).
pub(super) const FIRST_OVERHEAD: usize = 96;
/// Bytes that the second message adds to its payload: e(32), the payload's tag(16).
pub(super) const SECOND_OVERHEAD: usize = 48;

/// Creates the client's state of a handshake whose INIT has this header.
pub(super) fn initiator(
    identity: &Identity,
    relay: &PublicKey,
    psk: &AccessSecret,
    init_header: &[u8; INIT_HEADER_LEN],
    rng: Rng,
) -> HandshakeState {
    builder(identity, psk, &prologue(init_header), rng)
        .and_then(|builder| builder.remote_public_key(&relay.0)?.build_initiator())
        .expect("the pattern is supported, and every key has its length")
}

/// Creates the relay's state of a handshake whose INIT has this header.
pub(super) fn responder(
    identity: &Identity,
    psk: &AccessSecret,
    init_header: &[u8; INIT_HEADER_LEN],
    rng: Rng,
) -> HandshakeState {
    builder(identity, psk, &prologue(init_header), rng)
        .and_then(Builder::build_responder)
        .expect("the pattern is supported, and every key has its length")
}

fn builder<'a>(
    identity: &'a Identity,
    psk: &'a AccessSecret,
    prologue: &'a [u8],
    rng: Rng,
) -> Result<Builder<'a>, snow::Error> {
    let params: NoiseParams = PATTERN.parse()?;
    Builder::with_resolver(params, Box::new(SeededResolver(Cell::new(Some(rng)))))
        .local_private_key(identity.private_bytes())?
        .psk(2, psk.bytes())?
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
    let mut dh = curve25519();
    dh.set(private);
    PublicKey(dh.pubkey().try_into().expect("an X25519 key has 32 bytes"))
}

/// Whether a public key is of low order, such as all zeros. Its product with any key is zeros, so
/// it proves nothing about its holder (RFC 7748 §6.1).
///
/// Such keys are refused in handshakes, responses and registration.
pub fn is_low_order(key: &PublicKey) -> bool {
    let mut dh = StrictDh(curve25519());
    dh.set(&[1; 32]);
    dh.dh(&key.0, &mut [0; 32]).is_err()
}

fn curve25519() -> Box<dyn Dh> {
    DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("snow is built with use-curve25519")
}

/// snow's own algorithms, with randomness from a seeded generator and [`StrictDh`].
struct SeededResolver(Cell<Option<Rng>>);

impl CryptoResolver for SeededResolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.0.take().map(|rng| Box::new(SeededRandom(rng)) as Box<dyn Random>)
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice).map(|dh| Box::new(StrictDh(dh)) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct SeededRandom(Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(dest);
        Ok(())
    }
}

/// X25519 that fails with [`snow::Error::Dh`] on a low-order public key, where snow's own returns
/// zeros.
struct StrictDh(Box<dyn Dh>);

impl Dh for StrictDh {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn pub_len(&self) -> usize {
        self.0.pub_len()
    }

    fn priv_len(&self) -> usize {
        self.0.priv_len()
    }

    fn set(&mut self, privkey: &[u8]) {
        self.0.set(privkey);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        self.0.generate(rng)
    }

    fn pubkey(&self) -> &[u8] {
        self.0.pubkey()
    }

    fn privkey(&self) -> &[u8] {
        self.0.privkey()
    }

    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        self.0.dh(pubkey, out)?;
        let shared = out.get(..32).ok_or(snow::Error::Dh)?;
        if bool::from(shared.ct_eq(&[0; 32])) { Err(snow::Error::Dh) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    fn snow_with(private: &[u8; 32], ephemeral: &[u8; 32], remote: Option<&[u8; 32]>) -> HandshakeState {
        let identity = Identity::from_private(*private);
        let psk = AccessSecret::new(*b"This is my Austrian perspective!");
        let builder = builder(&identity, &psk, b"John Galt", Rng::from_seed([0; 32])).unwrap();
        let builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
        match remote {
            Some(remote) => builder.remote_public_key(remote).unwrap().build_initiator().unwrap(),
            None => builder.build_responder().unwrap(),
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
