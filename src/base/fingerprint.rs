//! The fingerprint of a key, which users read aloud, paste and compare.

use std::fmt;
use std::str::FromStr;

use super::PublicKey;

/// Base-32 digits of a fingerprint: 100 bits, so that finding a second key for one is infeasible.
pub(super) const DIGITS: usize = 20;
/// Digits between two dashes: a group is short enough to read aloud at once.
pub(super) const GROUP: usize = 5;

/// The first 100 bits of BLAKE2s-256(`queqiao fingerprint` ‖ key), as 20 digits of base 32.
///
/// Lower case (RFC 4648 alphabet), shown in four groups: `abcde-fghij-klmno-pqrst`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; DIGITS]);

/// Text that is not a valid fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerprintError;

impl Fingerprint {
    /// Whether this is the fingerprint of `key`.
    pub fn is_of(&self, key: &PublicKey) -> bool {
        *self == Fingerprint::from(key)
    }
}

impl From<&PublicKey> for Fingerprint {
    fn from(key: &PublicKey) -> Fingerprint {
        key.fingerprint().parse().expect("`PublicKey::fingerprint` returns a valid fingerprint")
    }
}

/// Parses 20 digits in either case, with dashes between groups of five or without dashes.
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        let is_grouped = text.contains('-');
        let groups: Vec<&str> = text.split('-').collect();
        if is_grouped && (groups.len() != DIGITS / GROUP || groups.iter().any(|group| group.len() != GROUP)) {
            return Err(FingerprintError);
        }
        let digits = groups.concat().to_ascii_lowercase().into_bytes();
        let is_digit = |digit: &u8| matches!(digit, b'a'..=b'z' | b'2'..=b'7');
        let digits: [u8; DIGITS] = digits.try_into().map_err(|_| FingerprintError)?;
        digits.iter().all(is_digit).then_some(Fingerprint(digits)).ok_or(FingerprintError)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, digit) in self.0.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_round_trips_and_invalid_text_is_refused() {
        let key = PublicKey([1; 32]);
        let other = PublicKey([2; 32]);
        let fingerprint = Fingerprint::from(&key);
        assert_eq!(fingerprint.to_string(), key.fingerprint());
        assert!(fingerprint.is_of(&key) && !fingerprint.is_of(&other));
        for text in [key.fingerprint(), key.fingerprint().to_uppercase(), key.fingerprint().replace('-', "")]
        {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        let cut = &key.fingerprint()[1..];
        let long = format!("{}a", key.fingerprint());
        let whole = key.to_string();
        for text in [
            "",
            "-",
            cut,
            &long,
            &whole,
            "aaaaa-aaaaa-aaaaa-aaaa1",
            "aaaa-aaaaaa-aaaaa-aaaaa",
            "aaaaa-aaaaa-aaaaa-aaaa\u{e9}",
            "aaaaa-aaaaa-aaaaa-aaa\u{e9}",
            "aaaaa aaaaa aaaaa aaaaa",
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
