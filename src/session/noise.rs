//! The Noise handshake's engine: snow, with our randomness and a Diffie-Hellman that refuses low-order keys.

use std::cell::Cell;

use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use subtle::ConstantTimeEq;

use crate::base::{PublicKey, Rng};
use crate::wire::packet::INIT_HEADER_LEN;

use super::identity::{AccessSecret, Identity};

/// The protocol, as Noise names it (Noise revision 34, §8).
pub(super) const PATTERN: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// The prologue begins with this; the INIT's header, version and index in it, follows.
const PROLOGUE: &[u8; 7] = b"queqiao";
/// What the first message adds to its payload: e(32), s(32) and its tag(16), the payload's tag(16).
pub(super) const FIRST_OVERHEAD: usize = 96;
/// What the second message adds to its payload: e(32), the payload's tag(16).
pub(super) const SECOND_OVERHEAD: usize = 48;

/// Starts a handshake whose INIT has this header.
pub(super) fn initiator(
    identity: &Identity,
    relay: &PublicKey,
    psk: &AccessSecret,
    init_header: &[u8; INIT_HEADER_LEN],
    rng: Rng,
) -> HandshakeState {
    builder(identity, psk, &prologue(init_header), rng)
        .and_then(|builder| builder.remote_public_key(&relay.0)?.build_initiator())
        .expect("the pattern is known, and every key has its length")
}

/// Answers a handshake whose INIT has this header.
pub(super) fn responder(
    identity: &Identity,
    psk: &AccessSecret,
    init_header: &[u8; INIT_HEADER_LEN],
    rng: Rng,
) -> HandshakeState {
    builder(identity, psk, &prologue(init_header), rng)
        .and_then(Builder::build_responder)
        .expect("the pattern is known, and every key has its length")
}

fn builder<'a>(
    identity: &'a Identity,
    psk: &'a AccessSecret,
    prologue: &'a [u8],
    rng: Rng,
) -> Result<Builder<'a>, snow::Error> {
    let params: NoiseParams = PATTERN.parse()?;
    Builder::with_resolver(params, Box::new(Resolver(Cell::new(Some(rng)))))
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

/// The public key of a private one.
pub(super) fn public_of(private: &[u8; 32]) -> PublicKey {
    let mut dh = curve25519();
    dh.set(private);
    PublicKey(dh.pubkey().try_into().expect("an X25519 key has 32 bytes"))
}

/// Whether a public key is of low order (all zeros among them): whatever it is combined with gives zeros, so it
/// proves nothing about who holds it (RFC 7748 §6.1). Such keys are refused in handshakes, answers and registration.
pub fn is_low_order(key: &PublicKey) -> bool {
    let mut dh = StrictDh(curve25519());
    dh.set(&[1; 32]);
    dh.dh(&key.0, &mut [0; 32]).is_err()
}

fn curve25519() -> Box<dyn Dh> {
    DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("built with use-curve25519")
}

/// snow's own algorithms, with the randomness of a seeded stream and [`StrictDh`].
struct Resolver(Cell<Option<Rng>>);

impl CryptoResolver for Resolver {
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

/// X25519 that fails with [`snow::Error::Dh`] on a low-order public key, where snow's own answers with zeros.
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
