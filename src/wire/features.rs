//! Feature bits: what an end of a session understands beyond what every end does.
//!
//! Each end says its own once, in 4 bytes behind the last field of sign-in and welcome; an end that
//! says nothing there has none. Neither end sends a message, or a reason, to one that has not said
//! its bit. Bits that an end does not know are ignored. Kinds of letters need no bit: they are
//! their readers' business ([`super::letter`]).
//!
//! | bit | means |
//! | --- | --- |
//! | 0 | files |
//! | 1 | presence |
//! | 2 | end-to-end encryption |
//! | 3 | groups |

use super::bytes::Reader;

/// One of them, with its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Files.
    Files = 0,
    /// Who is there.
    Presence = 1,
    /// Sealed letters.
    Encryption = 2,
    /// Mailboxes with several readers.
    Groups = 3,
}

/// What one end has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub u32);

impl Features {
    /// What this version understands: nothing that needs a bit.
    pub const OURS: Features = Features(0);

    /// Whether the end understands what needs this feature, or none.
    pub fn has_all(self, needed: Option<Feature>) -> bool {
        needed.is_none_or(|feature| self.0 & (1 << feature as u8) != 0)
    }

    pub(super) fn encode(self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0.to_be_bytes());
    }

    /// None, where a message ends before them.
    pub(super) fn decode(r: &mut Reader<'_>) -> Features {
        Features(r.u32().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_has_its_bit_and_unknown_bits_are_ignored() {
        let all = [Feature::Files, Feature::Presence, Feature::Encryption, Feature::Groups];
        for (bit, feature) in all.into_iter().enumerate() {
            assert!(Features(1 << bit | 1 << 31).has_all(Some(feature)));
            assert!(!Features(!(1 << bit)).has_all(Some(feature)));
        }
        assert!(Features::default().has_all(None));
    }

    #[test]
    fn bits_are_four_bytes_or_absent() {
        let mut bytes = Vec::new();
        Features(0x8000_0005).encode(&mut bytes);
        assert_eq!(bytes, [0x80, 0, 0, 5]);
        assert_eq!(Features::decode(&mut Reader::new(&bytes)), Features(0x8000_0005));
        for len in 0..4 {
            assert_eq!(Features::decode(&mut Reader::new(&bytes[..len])), Features::default());
        }
    }
}
