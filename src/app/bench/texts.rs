//! Texts of the bench's letters: each contains its number, from which all other bytes follow.

/// Length of the letter's number at the beginning, in hexadecimal digits.
pub(super) const NUMBER_LEN: usize = 16;
/// Cycle that fills the rest of a text, starting at an offset that depends on the number.
const FILLING: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// All texts of one length.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// Repeated [`FILLING`], longer than any text by one cycle.
    filling: String,
    size: usize,
}

impl Texts {
    /// Prepares texts of `size` bytes, at least [`NUMBER_LEN`].
    pub(super) fn new(size: usize) -> Texts {
        let round = FILLING.iter().map(|byte| char::from(*byte));
        Texts { filling: round.cycle().take(size + FILLING.len()).collect(), size }
    }

    /// Returns the text of a number.
    pub(super) fn write(&self, number: u64) -> String {
        let mut text = String::with_capacity(self.size);
        let digit = |place: usize| {
            let value = (number >> (4 * (NUMBER_LEN - 1 - place))) as u32 & 0xf;
            char::from_digit(value, 16).expect("four bits are a hexadecimal digit")
        };
        text.extend((0..NUMBER_LEN).map(digit));
        text.push_str(self.filling_of(number));
        text
    }

    /// Returns the number of a text; `None` if any byte differs from the text of that number.
    pub(super) fn read(&self, text: &str) -> Option<u64> {
        let (digits, filling) = text.split_at_checked(NUMBER_LEN)?;
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(u64::from(byte - b'0')),
            b'a'..=b'f' => Some(u64::from(byte - b'a') + 10),
            _ => None,
        };
        let number = digits.as_bytes().iter().try_fold(0, |sum, byte| Some(sum << 4 | digit(byte)?))?;
        (filling == self.filling_of(number)).then_some(number)
    }

    fn filling_of(&self, number: u64) -> &str {
        let place = (number % FILLING.len() as u64) as usize;
        &self.filling[place..place + self.size - NUMBER_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_contains_its_number() {
        for size in [NUMBER_LEN, 17, 100, 5_000] {
            let texts = Texts::new(size);
            for number in [0, 1, 35, 36, 0xdead_beef, u64::MAX] {
                let text = texts.write(number);
                assert_eq!(text.len(), size);
                assert_eq!(texts.read(&text), Some(number));
            }
        }
    }

    #[test]
    fn flipped_bit_is_detected_or_changes_number() {
        let texts = Texts::new(100);
        let text = texts.write(77);
        for place in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let read = texts.read(std::str::from_utf8(&bytes).unwrap());
                assert_ne!(read, Some(77), "bit {bit} of byte {place}");
                assert!(place < NUMBER_LEN || read.is_none(), "bit {bit} of byte {place}");
            }
        }
    }

    #[test]
    fn truncated_or_extended_text_is_rejected() {
        let texts = Texts::new(40);
        let text = texts.write(9);
        assert_eq!(texts.read(&text[..39]), None);
        assert_eq!(texts.read(&format!("{text}a")), None);
        assert_eq!(texts.read("short"), None);
        assert_eq!(texts.read(&"一".repeat(14)), None);
    }
}
