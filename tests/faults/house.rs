//! Fixtures shared by these tests.

use queqiao::base::Path;

use super::hand::Hand;
use super::rig::{Rig, udp};

/// Returns TOM and JACK, both signed in over UDP.
pub fn two(rig: &mut Rig) -> (Hand, Hand) {
    let tom = Hand::member(rig, udp(1, 1_000), 1, "TOM");
    let jack = Hand::member(rig, udp(2, 2_000), 2, "JACK");
    (tom, jack)
}

/// Bytes sent to the relay from a path, and bytes that came back to it.
#[derive(Default)]
pub struct Ledger {
    pub given: usize,
    pub taken: usize,
}

impl Ledger {
    pub fn give(&mut self, rig: &mut Rig, path: Path, bytes: &[u8]) {
        self.given += bytes.len();
        rig.give(path, bytes);
        self.count(rig, path);
    }

    pub fn count(&mut self, rig: &mut Rig, path: Path) {
        self.taken += rig.answers(path).iter().map(Vec::len).sum::<usize>();
    }
}
