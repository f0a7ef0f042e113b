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

use crate::base::Wall;

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
    fn a_longer_text_and_bad_utf8_are_refused() {
        assert_eq!(decode_text(&encode_text(&"x".repeat(LETTER_TEXT_MAX + 1), Wall(0))), Err(BadBody));
        assert_eq!(decode_text(&[0xa1, 0x00, 0x62, 0xff, 0xfe]), Err(BadBody));
        assert_eq!(decode_text(&[]), Err(BadBody));
    }
}
