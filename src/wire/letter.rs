//! The body of a letter: what one member writes for another, and the relay never looks into.
//!
//! A body is a CBOR map with numbered fields (RFC 8949), so that later kinds of letter can add fields that older
//! clients skip:
//!
//! | field | type | means |
//! | --- | --- | --- |
//! | 0 | text | what was written, at most 64 KiB of UTF-8 |
//! | 1 | unsigned | when it was written by the sender's wall clock, in milliseconds since the Unix epoch |

use minicbor::{Decode, Encode};

use crate::base::{Name, Wall};

use super::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};

/// A text from one member to another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct TextBody<'a> {
    #[b(0)]
    text: &'a str,
    #[n(1)]
    written_ms: Option<u64>,
}

/// What a relay says about a guest who speaks plain text, in the guest's own name. Its text begins with U+0002, which the
/// relay takes out of what guests write: nobody can forge one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestNote {
    /// The guest has sent everything, and still reads answers for a minute.
    Ended,
    /// The guest is gone.
    Left,
}

impl GuestNote {
    const MARK: char = '\u{2}';

    /// The text of a letter that says so.
    pub const fn as_text(self) -> &'static str {
        match self {
            GuestNote::Ended => "\u{2}ended",
            GuestNote::Left => "\u{2}left",
        }
    }

    /// What a letter says about the guest `from`; `None` if it is somebody's own.
    pub fn of(from: &Name, text: &str) -> Option<GuestNote> {
        let all = [GuestNote::Ended, GuestNote::Left];
        all.into_iter().find(|note| note.as_text() == text).filter(|_| from.guest_address().is_some())
    }

    /// A guest's own text, which is none of these.
    pub fn unlike(text: String) -> String {
        match text.starts_with(GuestNote::MARK) {
            true => text.replacen(GuestNote::MARK, "\u{fffd}", 1),
            false => text,
        }
    }
}

/// A body that is none, or holds more than a letter may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBody;

/// The body of a text written at `written`.
pub fn encode_text(text: &str, written: Wall) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + LETTER_BODY_MAX - LETTER_TEXT_MAX);
    let body = TextBody { text, written_ms: Some(written.0) };
    minicbor::encode(&body, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// The text of a body, and when its sender says it was written.
///
/// # Errors
/// [`BadBody`] if it is not such a map, not strict UTF-8, or too long.
pub fn decode_text(body: &[u8]) -> Result<(String, Option<Wall>), BadBody> {
    if body.len() > LETTER_BODY_MAX {
        return Err(BadBody);
    }
    let body: TextBody = minicbor::decode(body).map_err(|_| BadBody)?;
    if body.text.len() > LETTER_TEXT_MAX {
        return Err(BadBody);
    }
    Ok((body.text.to_owned(), body.written_ms.map(Wall)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_fits_a_body() {
        let text = "鹊".repeat(LETTER_TEXT_MAX / 3);
        let body = encode_text(&text, Wall(u64::MAX));
        assert!(body.len() <= LETTER_BODY_MAX);
        assert_eq!(decode_text(&body), Ok((text, Some(Wall(u64::MAX)))));
    }

    #[test]
    fn only_a_relay_says_that_a_guest_has_left() {
        let (guest, member) = ("guest-127.0.0.1-9".parse().unwrap(), "TOM".parse().unwrap());
        for note in [GuestNote::Ended, GuestNote::Left] {
            assert_eq!(GuestNote::of(&guest, note.as_text()), Some(note));
            assert_eq!(GuestNote::of(&member, note.as_text()), None);
            let forged = GuestNote::unlike(note.as_text().to_owned());
            assert_eq!(GuestNote::of(&guest, &forged), None);
        }
        assert_eq!(GuestNote::unlike("left\u{2}".to_owned()), "left\u{2}");
    }

    #[test]
    fn a_longer_text_and_bad_utf8_are_refused() {
        assert_eq!(decode_text(&encode_text(&"x".repeat(LETTER_TEXT_MAX + 1), Wall(0))), Err(BadBody));
        assert_eq!(decode_text(&[0xa1, 0x00, 0x62, 0xff, 0xfe]), Err(BadBody));
        assert_eq!(decode_text(&[]), Err(BadBody));
    }
}
