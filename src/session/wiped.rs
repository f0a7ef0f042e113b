//! State of a handshake that is overwritten when it is dropped: X25519 keys, cipher keys, the
//! hash's buffers, the chaining key and the access secret.
//!
//! `snow` leaves them in freed memory. Copies that the compiler makes in registers and on the stack
//! are out of reach.

use std::cell::Cell;
use std::hint::black_box;
use std::ops::{Deref, DerefMut};

use curve25519_dalek::MontgomeryPoint;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::Rng;

/// Place of the access secret in [`super::noise::PATTERN`].
const PSK_PLACE: usize = 2;
/// A pattern without keys, for the state that overwrites another.
const BLANK: &str = "Noise_NN_25519_ChaChaPoly_BLAKE2s";

/// A handshake, overwritten when it is dropped.
///
/// Boxed from the start: a moved state would leave a copy of itself behind.
pub(super) struct WipedHandshake(Box<HandshakeState>);

impl WipedHandshake {
    /// Takes a state in which no secret has been mixed yet, except for the access secret.
    pub(super) fn new(state: HandshakeState) -> WipedHandshake {
        WipedHandshake(Box::new(state))
    }

    fn wipe(&mut self) {
        // The blank state has none, so moving it here might leave the bytes as they are.
        let _ = self.0.set_psk(PSK_PLACE, &[0; 32]);
        black_box(&mut self.0);
        let builder = Builder::with_resolver(
            BLANK.parse().expect("the pattern is valid"),
            Box::new(WipedResolver::new(Rng::from_seed([0; 32]))),
        );
        *self.0 = builder.build_responder().expect("the pattern needs no key");
        // Without a reader, the compiler may leave out the writes before the memory is freed.
        black_box(&mut self.0);
    }
}

impl Drop for WipedHandshake {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Deref for WipedHandshake {
    type Target = HandshakeState;

    fn deref(&self) -> &HandshakeState {
        &self.0
    }
}

impl DerefMut for WipedHandshake {
    fn deref_mut(&mut self) -> &mut HandshakeState {
        &mut self.0
    }
}

/// `snow`'s ciphers and hashes, overwritten when they are dropped, with [`X25519`] and a seeded
/// generator.
pub(super) struct WipedResolver(Cell<Option<Rng>>);

impl WipedResolver {
    pub(super) fn new(rng: Rng) -> WipedResolver {
        WipedResolver(Cell::new(Some(rng)))
    }
}

impl CryptoResolver for WipedResolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.0.take().map(|rng| Box::new(SeededRandom(rng)) as Box<dyn Random>)
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(|| Box::new(X25519::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        let hash = DefaultResolver.resolve_hash(choice)?;
        Some(Box::new(WipedHash(hash)))
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        let cipher = DefaultResolver.resolve_cipher(choice)?;
        Some(Box::new(WipedCipher(cipher)))
    }
}

struct SeededRandom(Rng);

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill(dest);
        Ok(())
    }
}

/// X25519 that fails with [`snow::Error::Dh`] on a low-order public key, where `snow`'s own returns
/// zeros.
#[derive(Default)]
pub(super) struct X25519 {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl X25519 {
    fn set_private(&mut self, private: [u8; 32]) {
        *self.private = private;
        self.public = MontgomeryPoint::mul_base_clamped(private).to_bytes();
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        let private = Zeroizing::new(private.try_into().expect("an X25519 key has 32 bytes"));
        self.set_private(*private);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut private = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *private)?;
        self.set_private(*private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public: &[u8; 32] = public.first_chunk().ok_or(snow::Error::Dh)?;
        let shared = Zeroizing::new(MontgomeryPoint(*public).mul_clamped(*self.private).to_bytes());
        out.get_mut(..32).ok_or(snow::Error::Dh)?.copy_from_slice(&*shared);
        if bool::from(shared.ct_eq(&[0; 32])) { Err(snow::Error::Dh) } else { Ok(()) }
    }
}

struct WipedCipher(Box<dyn Cipher>);

impl Cipher for WipedCipher {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0.set(key);
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        self.0.encrypt(nonce, authtext, plaintext, out)
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        self.0.decrypt(nonce, authtext, ciphertext, out)
    }
}

impl Drop for WipedCipher {
    fn drop(&mut self) {
        self.0.set(&[0; 32]);
        black_box(&mut self.0);
    }
}

struct WipedHash(Box<dyn Hash>);

impl Hash for WipedHash {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn block_len(&self) -> usize {
        self.0.block_len()
    }

    fn hash_len(&self) -> usize {
        self.0.hash_len()
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.input(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        self.0.result(out);
    }
}

impl Drop for WipedHash {
    fn drop(&mut self) {
        self.0.reset();
        black_box(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const SECRET: [u8; 32] = *b"a secret that must not stay here";

    /// Keys given to a cipher, and calls of a hash, which outlive both.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<[u8; 32]>>>);

    impl Cipher for Calls {
        fn name(&self) -> &'static str {
            "calls"
        }

        fn set(&mut self, key: &[u8; 32]) {
            self.0.lock().unwrap().push(*key);
        }

        fn encrypt(&self, _: u64, _: &[u8], _: &[u8], _: &mut [u8]) -> usize {
            0
        }

        fn decrypt(&self, _: u64, _: &[u8], _: &[u8], _: &mut [u8]) -> Result<usize, snow::Error> {
            Ok(0)
        }
    }

    impl Hash for Calls {
        fn name(&self) -> &'static str {
            "calls"
        }

        fn block_len(&self) -> usize {
            64
        }

        fn hash_len(&self) -> usize {
            32
        }

        fn reset(&mut self) {
            self.0.lock().unwrap().push([0; 32]);
        }

        fn input(&mut self, _: &[u8]) {
            self.0.lock().unwrap().push(SECRET);
        }

        fn result(&mut self, _: &mut [u8]) {}
    }

    #[test]
    fn dropped_cipher_and_hash_are_overwritten() {
        let calls = Calls::default();
        let mut cipher = WipedCipher(Box::new(calls.clone()));
        cipher.set(&SECRET);
        drop(cipher);
        let mut hash = WipedHash(Box::new(calls.clone()));
        hash.input(&SECRET);
        drop(hash);
        assert_eq!(*calls.0.lock().unwrap(), [SECRET, [0; 32], SECRET, [0; 32]]);
    }

    /// The chaining key and everything derived from it.
    #[test]
    fn wiped_handshake_is_blank() {
        let identity = crate::session::Identity::from_private([7; 32]);
        let blank = |seed: u8| {
            let rng = Rng::from_seed([seed; 32]);
            let mut noise = crate::session::noise::responder(&identity, &SECRET, &[seed; 8], rng);
            let before = noise.dangerously_get_raw_split();
            noise.wipe();
            assert_ne!(noise.dangerously_get_raw_split(), before);
            noise.dangerously_get_raw_split()
        };
        assert_eq!(blank(1), blank(2));
    }
}
