//! Seeded randomness: the same seed gives the same run.

use std::fmt;
use std::hint::black_box;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{Unpacker, pack_number};

/// A stream of random bytes suitable for keys (ChaCha20), from an external seed.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// Returns the stream of this seed.
    pub fn from_seed(seed: [u8; 32]) -> Rng {
        Rng(ChaCha20Rng::from_seed(seed))
    }

    /// Returns an independent stream for a part of the program, seeded from this one.
    #[must_use]
    pub fn fork(&mut self) -> Rng {
        let mut seed = Zeroizing::new([0; 32]);
        self.fill(&mut *seed);
        Rng::from_seed(*seed)
    }

    /// Fills `bytes` with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Returns a random 32-bit number.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Returns a random 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a random number below `bound`, or 0 if `bound` is 0. The bias is less than 2⁻⁶⁴ ×
    /// `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

impl Rng {
    fn wipe(&mut self) {
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        // Without a reader, the compiler may leave out the write before the memory is freed.
        black_box(&mut self.0);
    }
}

/// Overwrites the seed and what was drawn in advance.
impl Drop for Rng {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Saved state of a stream, in 40 bytes instead of 300. For streams that are rarely used.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct RngState {
    seed: [u8; 32],
    /// 32-bit words drawn so far.
    words_drawn: u64,
}

impl RngState {
    /// Saves the current state of the stream.
    pub fn new(rng: &Rng) -> RngState {
        let words_drawn = u64::try_from(rng.0.get_word_pos()).expect("no stream reaches 2⁶⁴ words");
        RngState { seed: rng.0.get_seed(), words_drawn }
    }

    /// Returns the next number of the stream.
    pub fn next_u64(&mut self) -> u64 {
        let mut rng = ChaCha20Rng::from_seed(self.seed);
        rng.set_word_pos(self.words_drawn.into());
        let mut rng = Rng(rng);
        let number = rng.next_u64();
        *self = RngState::new(&rng);
        number
    }

    /// Appends the state to packed state.
    pub fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.seed);
        pack_number(into, self.words_drawn);
    }

    /// Reads a packed state.
    pub fn unpack(from: &mut Unpacker<'_>) -> RngState {
        RngState { seed: from.bytes(), words_drawn: from.number() }
    }
}

/// Reveals no part of the stream.
impl fmt::Debug for RngState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StillRng")
    }
}

/// Reveals no part of the stream.
impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_stream() {
        let mut a = Rng::from_seed([7; 32]);
        let mut b = Rng::from_seed([7; 32]);
        assert_eq!(a.fork().next_u64(), b.fork().next_u64());
        assert!((0..1000).all(|_| a.below(10) < 10));
        assert_eq!(a.below(0), 0);
    }

    #[test]
    fn wiped_stream_is_that_of_zeros() {
        let mut rng = Rng::from_seed([7; 32]);
        rng.next_u32();
        rng.wipe();
        assert_eq!(rng.next_u64(), Rng::from_seed([0; 32]).next_u64());
    }

    #[test]
    fn saved_stream_continues_at_same_position() {
        for drawn in 0..70 {
            let mut rng = Rng::from_seed([9; 32]);
            let _ = (0..drawn).map(|_| rng.next_u32()).last();
            let mut still = RngState::new(&rng);
            let mut packed = Vec::new();
            still.pack(&mut packed);
            assert_eq!(RngState::unpack(&mut Unpacker::new(&packed)), still);
            assert!((0..40).all(|_| still.next_u64() == rng.next_u64()));
        }
    }
}
