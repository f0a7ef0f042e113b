//! Feature bits: extensions of the base protocol that an end of a session understands.
//!
//! Each end sends its bits once: 4 bytes after the last field of sign-in and welcome. An end that
//! omits them has no features. An end does not send a message or a reason to a peer that has not
//! announced its bit. Unknown bits are ignored. Kinds of letters need no bit, because only their
//! recipients interpret them ([`super::letter`]).
//!
//! | bit | means |
//! | --- | --- |
//! | 0 | files |
//! | 1 | presence |
//! | 2 | end-to-end encryption |
//! | 3 | groups |

use super::bytes::Reader;

/// A feature and its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Files.
    Files = 0,
    /// Presence of members.
    Presence = 1,
    /// End-to-end encrypted letters.
    Encryption = 2,
    /// Mailboxes with several recipients.
    Groups = 3,
}

/// Features that one end has announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub u32);

impl Features {
    /// Features of this version: none of the four.
    pub const OURS: Features = Features(0);

    /// Whether the end has announced this feature; always `true` for `None`.
    pub fn has_all(self, needed: Option<Feature>) -> bool {
        needed.is_none_or(|feature| self.0 & (1 << feature as u8) != 0)
    }

    pub(super) fn encode(self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0.to_be_bytes());
    }

    /// Reads the bits. Returns no features if the message ends before them.
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
