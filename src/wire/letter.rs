//! Kind and body of a letter. One member writes them for another; the relay never reads them.
//!
//! A body is a CBOR map with numbered fields (RFC 8949), so that later versions can add fields that
//! older clients skip.
//!
//! Kind 1, a text:
//!
//! | field | type | means |
//! | --- | --- | --- |
//! | 0 | text | the text, at most 64 KiB of UTF-8 |
//! | 1 | unsigned | when it was written by the sender's wall clock, in milliseconds since the Unix epoch |
//!
//! Kind 8, about the conversation with a guest, who uses a plain-text connection:
//!
//! | field | type | means |
//! | --- | --- | --- |
//! | 0 | unsigned | 1 and 2 come from the relay, in the guest's name. 1: the guest has sent everything and still reads answers for a minute. 2: the guest has left. 3 comes from a member and goes to the guest: end the conversation |
//!
//! A recipient refuses a letter with any other kind or body as `unsupported`, and keeps nothing of
//! it.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::base::Wall;

use super::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};
use super::message::{KIND_GUEST, KIND_TEXT};

/// Body of kind 1, a text.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct TextBody<'a> {
    #[b(0)]
    text: &'a str,
    #[n(1)]
    written_ms: Option<u64>,
}

/// Body of kind 8, about the conversation with a guest.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct GuestBody {
    #[n(0)]
    event: u64,
}

/// An event in the conversation with a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuestEvent {
    /// From the relay: the guest has sent everything and still reads answers for a minute.
    Ended,
    /// From the relay: the guest has left.
    Left,
    /// From a member: the relay must end the conversation.
    Close,
}

/// Every event with its number in a body and its word.
const GUEST_EVENTS: [(GuestEvent, u64, &str); 3] =
    [(GuestEvent::Ended, 1, "ended"), (GuestEvent::Left, 2, "left"), (GuestEvent::Close, 3, "closed")];

impl GuestEvent {
    /// Returns the word that scripts read and that is stored on disk.
    pub fn word(self) -> &'static str {
        GUEST_EVENTS.iter().find(|entry| entry.0 == self).expect("every event is in the table").2
    }

    /// Returns the event of this word.
    pub fn from_word(word: &str) -> Option<GuestEvent> {
        GUEST_EVENTS.iter().find(|entry| entry.2 == word).map(|entry| entry.0)
    }

    /// Whether this comes from the relay and not from a member.
    pub const fn is_from_relay(self) -> bool {
        !matches!(self, GuestEvent::Close)
    }
}

/// Kind and body of a letter, encoded once so that a retransmission is identical byte for byte.
///
/// Copies share the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterBody {
    /// Determines the format of the body.
    pub kind: u8,
    /// Encoded content, which only the two members read.
    pub body: Arc<[u8]>,
}

impl LetterBody {
    /// Encodes a text written at `written`.
    pub fn from_text(text: &str, written: Wall) -> LetterBody {
        LetterBody { kind: KIND_TEXT, body: encode_text(text, written).into() }
    }

    /// Encodes an event in the conversation with a guest.
    pub fn from_guest_event(event: GuestEvent) -> LetterBody {
        let event =
            GUEST_EVENTS.iter().find(|entry| entry.0 == event).expect("every event is in the table").1;
        let mut bytes = Vec::new();
        minicbor::encode(GuestBody { event }, &mut bytes).expect("writing to memory cannot fail");
        LetterBody { kind: KIND_GUEST, body: bytes.into() }
    }

    /// Returns its text, empty for a kind without one; `None` if this version cannot read the
    /// letter.
    pub fn text(&self) -> Option<String> {
        Content::read(self.kind, &self.body).map(Content::into_text).ok()
    }

    /// Returns its guest event; `None` if the letter is of another kind.
    pub fn guest_event(&self) -> Option<GuestEvent> {
        if self.kind == KIND_GUEST { decode_guest_event(&self.body).ok() } else { None }
    }
}

/// Decoded content of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// An event in the conversation with a guest.
    GuestEvent(GuestEvent),
}

impl Content {
    /// Decodes a letter.
    ///
    /// # Errors
    /// [`BodyError`] if this version does not know the kind, or the body does not match the kind.
    pub fn read(kind: u8, body: &[u8]) -> Result<Content, BodyError> {
        match kind {
            KIND_TEXT => Ok(Content::Text(decode_text(body)?.0)),
            KIND_GUEST => decode_guest_event(body).map(Content::GuestEvent),
            _ => Err(BodyError),
        }
    }

    /// Returns the text; empty for other content.
    pub fn into_text(self) -> String {
        match self {
            Content::Text(text) => text,
            Content::GuestEvent(_) => String::new(),
        }
    }
}

/// Malformed or oversized body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError;

/// Returns the body of a text written at `written`.
pub fn encode_text(text: &str, written: Wall) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + LETTER_BODY_MAX - LETTER_TEXT_MAX);
    let body = TextBody { text, written_ms: Some(written.0) };
    minicbor::encode(&body, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// Returns the text of a body, and the time at which its sender claims to have written it.
///
/// # Errors
/// [`BodyError`] if the body is not such a map, not strict UTF-8, or too long.
pub fn decode_text(body: &[u8]) -> Result<(String, Option<Wall>), BodyError> {
    if body.len() > LETTER_BODY_MAX {
        return Err(BodyError);
    }
    let body: TextBody = minicbor::decode(body).map_err(|_| BodyError)?;
    if body.text.len() > LETTER_TEXT_MAX {
        return Err(BodyError);
    }
    Ok((body.text.to_owned(), body.written_ms.map(Wall)))
}

fn decode_guest_event(body: &[u8]) -> Result<GuestEvent, BodyError> {
    let body: GuestBody = minicbor::decode(body).map_err(|_| BodyError)?;
    GUEST_EVENTS.iter().find(|entry| entry.1 == body.event).map(|entry| entry.0).ok_or(BodyError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_text_fits_body() {
        let text = "鹊".repeat(LETTER_TEXT_MAX / 3);
        let body = encode_text(&text, Wall(u64::MAX));
        assert!(body.len() <= LETTER_BODY_MAX);
        assert_eq!(decode_text(&body), Ok((text, Some(Wall(u64::MAX)))));
    }

    #[test]
    fn letters_round_trip() {
        let text = LetterBody::from_text("约不", Wall(7));
        assert_eq!(Content::read(text.kind, &text.body), Ok(Content::Text("约不".to_owned())));
        for event in [GuestEvent::Ended, GuestEvent::Left, GuestEvent::Close] {
            let letter_body = LetterBody::from_guest_event(event);
            assert_eq!(Content::read(letter_body.kind, &letter_body.body), Ok(Content::GuestEvent(event)));
            assert_eq!(GuestEvent::from_word(event.word()), Some(event));
        }
    }

    #[test]
    fn unknown_kind_or_body_of_other_kind_is_refused() {
        let text = LetterBody::from_text("hi", Wall(7));
        let event = LetterBody::from_guest_event(GuestEvent::Left);
        for kind in (0..=u8::MAX).filter(|kind| ![KIND_TEXT, KIND_GUEST].contains(kind)) {
            assert_eq!(Content::read(kind, &text.body), Err(BodyError), "{kind}");
        }
        assert_eq!(Content::read(KIND_GUEST, &text.body), Err(BodyError));
        assert_eq!(Content::read(KIND_TEXT, &event.body), Err(BodyError));
        for body in [&[0xa1, 0x00, 0x04][..], &[0xa0], &[0xa1, 0x00], &[]] {
            assert_eq!(Content::read(KIND_GUEST, body), Err(BodyError));
        }
    }

    #[test]
    fn oversized_text_and_bad_utf8_are_refused() {
        assert_eq!(decode_text(&encode_text(&"x".repeat(LETTER_TEXT_MAX + 1), Wall(0))), Err(BodyError));
        assert_eq!(decode_text(&[0xa1, 0x00, 0x62, 0xff, 0xfe]), Err(BodyError));
        assert_eq!(decode_text(&[]), Err(BodyError));
    }
}
