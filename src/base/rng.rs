//! Seeded randomness: the same seed gives the same run.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

use super::{Unpacker, pack_number};

/// A stream of random bytes fit for keys (ChaCha20), made from a seed that comes from outside.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// The stream of this seed.
    pub fn from_seed(seed: [u8; 32]) -> Rng {
        Rng(ChaCha20Rng::from_seed(seed))
    }

    /// A stream of its own for a part of the program, drawn from this one.
    #[must_use]
    pub fn fork(&mut self) -> Rng {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Rng::from_seed(seed)
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A random 32-bit number.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A random 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A random number below `bound`, 0 if `bound` is 0. The bias is under 2⁻⁶⁴ times `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// A stream that nobody draws from now, in 40 bytes instead of 300.
#[derive(Clone, PartialEq, Eq)]
pub struct StillRng {
    seed: [u8; 32],
    /// Words drawn so far.
    drawn: u64,
}

impl StillRng {
    /// The stream as it stands.
    pub fn new(rng: &Rng) -> StillRng {
        let drawn = u64::try_from(rng.0.get_word_pos()).expect("nobody draws 2⁶⁴ words");
        StillRng { seed: rng.0.get_seed(), drawn }
    }

    /// The next number of the stream.
    pub fn next_u64(&mut self) -> u64 {
        let mut rng = ChaCha20Rng::from_seed(self.seed);
        rng.set_word_pos(self.drawn.into());
        let mut rng = Rng(rng);
        let number = rng.next_u64();
        *self = StillRng::new(&rng);
        number
    }

    /// Appends it to what is at rest.
    pub fn pack(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.seed);
        pack_number(into, self.drawn);
    }

    /// The stream that was packed.
    pub fn unpack(from: &mut Unpacker<'_>) -> StillRng {
        StillRng { seed: from.bytes(), drawn: from.number() }
    }
}

/// Shows nothing of the stream.
impl fmt::Debug for StillRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StillRng")
    }
}

/// Shows nothing of the stream.
impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let (mut a, mut b) = (Rng::from_seed([7; 32]), Rng::from_seed([7; 32]));
        assert_eq!(a.fork().next_u64(), b.fork().next_u64());
        assert!((0..1000).all(|_| a.below(10) < 10));
        assert_eq!(a.below(0), 0);
    }

    #[test]
    fn a_still_stream_goes_on_where_it_stood() {
        for drawn in 0..70 {
            let mut rng = Rng::from_seed([9; 32]);
            let _ = (0..drawn).map(|_| rng.next_u32()).last();
            let mut still = StillRng::new(&rng);
            let mut packed = Vec::new();
            still.pack(&mut packed);
            assert_eq!(StillRng::unpack(&mut Unpacker::new(&packed)), still);
            assert!((0..40).all(|_| still.next_u64() == rng.next_u64()));
        }
    }
}
