//! Character sets of guests: UTF-8 or GBK, detected for each guest.
//!
//! GBK is decoded without byte order marks and encoded as GB18030, its superset, because GBK itself
//! has no encoding of emoji. Decoded text is valid, and its length is bounded by the input,
//! whatever the bytes are.

use encoding_rs::{GB18030, UTF_16BE, UTF_16LE};

/// Character encoding of guests' text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestEncoding {
    /// UTF-8 if the bytes are valid UTF-8, otherwise GBK. Replies use the charset of the guest's
    /// last text.
    #[default]
    Auto,
    /// Always UTF-8; invalid bytes are replaced.
    Utf8,
    /// Always GBK; invalid bytes are replaced.
    Gbk,
}

/// Character set of one guest, as far as known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Charset {
    #[default]
    Utf8,
    Gbk,
    /// Only for replies; such a guest's text is converted when it arrives.
    Utf16Le,
    Utf16Be,
}

/// Longest text of one datagram to a guest, in bytes: the size of such clients' read buffers.
pub(super) const PIECE_MAX: usize = 1_024;

impl GuestEncoding {
    /// Detects the character set of `bytes`; returns `before` if they do not show it. Unless
    /// `whole`, they may end inside a character.
    pub(super) fn charset_of(self, before: Charset, bytes: &[u8], whole: bool) -> Charset {
        match self {
            GuestEncoding::Utf8 => Charset::Utf8,
            GuestEncoding::Gbk => Charset::Gbk,
            GuestEncoding::Auto if bytes.is_ascii() => before,
            GuestEncoding::Auto => match std::str::from_utf8(bytes) {
                Ok(text) if before == Charset::Gbk && text.chars().all(|c| c.len_utf8() <= 2) => before,
                Ok(_) => Charset::Utf8,
                Err(error) if !whole && error.error_len().is_none() => match error.valid_up_to() {
                    0 => before,
                    _ => Charset::Utf8,
                },
                Err(_) => Charset::Gbk,
            },
        }
    }
}

impl Charset {
    /// Decodes bytes; invalid ones become U+FFFD.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Charset::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Charset::Gbk => GB18030.decode_without_bom_handling(bytes).0.into_owned(),
            Charset::Utf16Le => UTF_16LE.decode_without_bom_handling(bytes).0.into_owned(),
            Charset::Utf16Be => UTF_16BE.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }

    /// Whether this is UTF-16.
    pub(super) fn is_wide(self) -> bool {
        matches!(self, Charset::Utf16Le | Charset::Utf16Be)
    }

    /// Encodes text.
    pub(super) fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Charset::Utf8 => text.as_bytes().to_vec(),
            Charset::Gbk => GB18030.encode(text).0.into_owned(),
            Charset::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Charset::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    /// Encodes text in pieces of at most [`PIECE_MAX`] bytes, none of which ends inside a
    /// character.
    pub(super) fn pieces(self, text: &str) -> Vec<Vec<u8>> {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let mut char_buf = [0; 4];
        for char in text.chars() {
            let bytes = self.encode(char.encode_utf8(&mut char_buf));
            match pieces.last_mut() {
                Some(last) if last.len() + bytes.len() <= PIECE_MAX => last.extend_from_slice(&bytes),
                _ => pieces.push(bytes),
            }
        }
        pieces
    }

    /// Converts ASCII letters to upper case, except those that are half of a character. The length
    /// stays the same.
    pub(super) fn make_upper(self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(len) = self.step(&bytes[at..]) {
            if len == 1 {
                bytes[at].make_ascii_uppercase();
            }
            at += len;
        }
    }

    /// Whether [`Charset::make_upper`] changes nothing.
    pub(super) fn is_upper(self, bytes: &[u8]) -> bool {
        let mut at = 0;
        while let Some(len) = self.step(&bytes[at..]) {
            if len == 1 && bytes[at].is_ascii_lowercase() {
                return false;
            }
            at += len;
        }
        true
    }

    /// Returns the length of the next unit: a byte, or both halves of a character.
    fn step(self, rest: &[u8]) -> Option<usize> {
        let pair = self == Charset::Gbk && *rest.first()? >= 0x81 && rest.len() > 1;
        (!rest.is_empty()).then_some(if pair { 2 } else { 1 })
    }

    /// Returns the number of bytes at the end that begin an incomplete character: less than four.
    pub(super) fn open_tail(self, bytes: &[u8]) -> usize {
        match self {
            Charset::Utf8 => match std::str::from_utf8(bytes) {
                Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
                _ => 0,
            },
            Charset::Gbk => {
                let mut at = 0;
                while at < bytes.len() {
                    let left = &bytes[at..];
                    let len = match left {
                        [0x81..=0xfe, 0x30..=0x39, ..] => 4,
                        [0x81..=0xfe, ..] => 2,
                        _ => 1,
                    };
                    if len > left.len() {
                        return left.len();
                    }
                    at += len;
                }
                0
            }
            Charset::Utf16Le | Charset::Utf16Be => {
                let odd = bytes.len() % 2;
                let last = bytes[..bytes.len() - odd].last_chunk().copied();
                let unit = match self {
                    Charset::Utf16Le => last.map(u16::from_le_bytes),
                    _ => last.map(u16::from_be_bytes),
                };
                // Half of a pair of surrogates waits for the other half.
                odd + if unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit)) { 2 } else { 0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gbk(text: &str) -> Vec<u8> {
        Charset::Gbk.encode(text)
    }

    #[test]
    fn utf8_is_read_as_utf8_and_other_bytes_as_gbk() {
        let auto = |bytes: &[u8]| {
            let charset = GuestEncoding::Auto.charset_of(Charset::default(), bytes, true);
            (charset, charset.decode(bytes))
        };
        assert_eq!(auto("你好".as_bytes()), (Charset::Utf8, "你好".into()));
        assert_eq!(auto(&gbk("你好")), (Charset::Gbk, "你好".into()));
        assert_eq!(auto(b"hello"), (Charset::Utf8, "hello".into()));
        assert_eq!(
            GuestEncoding::Auto.charset_of(Charset::Gbk, b"123", true),
            Charset::Gbk,
            "ASCII shows nothing"
        );
        assert_eq!(GuestEncoding::Utf8.charset_of(Charset::Gbk, &gbk("你好"), true), Charset::Utf8);
    }

    #[test]
    fn ambiguous_bytes_are_gbk_after_gbk_and_utf8_after_utf8() {
        let one = gbk("一");
        assert!(std::str::from_utf8(&one).is_ok(), "these bytes are a Cyrillic letter too");
        assert_eq!(GuestEncoding::Auto.charset_of(Charset::Gbk, &one, true), Charset::Gbk);
        assert_eq!(GuestEncoding::Auto.charset_of(Charset::Gbk, "你好".as_bytes(), true), Charset::Utf8);
        assert_eq!(
            GuestEncoding::Auto.charset_of(Charset::Utf8, &"你好".as_bytes()[..4], false),
            Charset::Utf8
        );
        assert_eq!(
            GuestEncoding::Auto.charset_of(Charset::Utf8, &"你好".as_bytes()[..4], true),
            Charset::Gbk
        );
    }

    #[test]
    fn gbk_has_bytes_for_everything() {
        assert_eq!(gbk("你"), [0xc4, 0xe3]);
        assert_eq!(Charset::Gbk.decode(&gbk("笑😀")), "笑😀");
    }

    #[test]
    fn upper_case_leaves_halves_of_characters_alone() {
        // 0x8161 is one character whose second byte is an ASCII `a`.
        let mut bytes = vec![0x81, b'a', b'a', 0xc4, 0xe3];
        Charset::Gbk.make_upper(&mut bytes);
        assert_eq!(bytes, [0x81, b'a', b'A', 0xc4, 0xe3]);
        let mut bytes = "hello,server 你好".as_bytes().to_vec();
        Charset::Utf8.make_upper(&mut bytes);
        assert_eq!(bytes, "HELLO,SERVER 你好".as_bytes());
    }

    proptest! {
        #[test]
        fn pieces_are_short_and_whole_and_join_to_text(text in "\\PC{0,900}", is_gbk: bool) {
            let charset = if is_gbk { Charset::Gbk } else { Charset::Utf8 };
            let pieces = charset.pieces(&text);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_MAX));
            prop_assert!(pieces.iter().all(|piece| charset.open_tail(piece) == 0));
            let joined: String = pieces.iter().map(|piece| charset.decode(piece)).collect();
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn any_bytes_give_bounded_text(bytes: Vec<u8>, is_gbk: bool) {
            let charset = if is_gbk { Charset::Gbk } else { Charset::Utf8 };
            prop_assert!(charset.decode(&bytes).len() <= 3 * bytes.len());
            prop_assert!(charset.open_tail(&bytes) < 4);
            let mut upper = bytes.clone();
            charset.make_upper(&mut upper);
            prop_assert_eq!(upper.len(), bytes.len());
            prop_assert_eq!(charset.is_upper(&bytes), upper == bytes);
            prop_assert!(charset.is_upper(&upper));
        }

        #[test]
        fn cut_character_is_open_tail(text in "[a-z你好😀é]{1,20}", is_gbk: bool) {
            let charset = if is_gbk { Charset::Gbk } else { Charset::Utf8 };
            let bytes = charset.encode(&text);
            for cut in 0..bytes.len() {
                let open = charset.open_tail(&bytes[..cut]);
                let whole = charset.decode(&bytes[..cut - open]);
                prop_assert!(text.starts_with(&whole), "{whole}");
            }
        }
    }
}
