//! Bytes of a guest on their way to UTF-8 or GBK: telnet commands are left out, UTF-16 becomes
//! UTF-8. It also recognizes input that is not plain text.
//!
//! The byte 0xFF begins no character of UTF-8 or GBK, so leaving out telnet commands (RFC 854)
//! changes no text. UTF-16 shows itself by its byte order mark or by the zero bytes of ASCII.

use std::borrow::Cow;

use super::text::Charset;

const IAC: u8 = 0xff;
/// Telnet commands with an option: WILL, WONT, DO and DONT.
const WITH_OPTION: std::ops::RangeInclusive<u8> = 0xfb..=0xfe;
const SUBNEGOTIATION: u8 = 0xfa;
const SUBNEGOTIATION_END: u8 = 0xf0;

/// Minimum method of a request, in letters.
const METHOD_LEN_MIN: usize = 3;

/// Position in a telnet command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TelnetState {
    #[default]
    Text,
    /// After the first byte of a command.
    Command,
    /// Before the option of a command.
    Option,
    /// In a subnegotiation; `true` after an IAC in it.
    Sub(bool),
    /// After CR. A NUL that follows is padding.
    Return,
}

/// Removes telnet commands from a stream.
#[derive(Clone, Copy, Debug, Default)]
struct TelnetFilter {
    state: TelnetState,
    /// Whether there was a command.
    is_telnet: bool,
}

impl TelnetFilter {
    /// Handles one byte. Returns whether it is text.
    fn take(&mut self, byte: u8) -> bool {
        let state = self.state;
        self.state = match (state, byte) {
            (TelnetState::Text | TelnetState::Return, IAC) => TelnetState::Command,
            (TelnetState::Command, SUBNEGOTIATION) => TelnetState::Sub(false),
            (TelnetState::Command, command) if WITH_OPTION.contains(&command) => TelnetState::Option,
            (TelnetState::Sub(true), SUBNEGOTIATION_END) => TelnetState::Text,
            (TelnetState::Sub(false), IAC) => TelnetState::Sub(true),
            (TelnetState::Sub(_), _) => TelnetState::Sub(false),
            (TelnetState::Text | TelnetState::Return, b'\r') => TelnetState::Return,
            _ => TelnetState::Text,
        };
        self.is_telnet |= self.state == TelnetState::Command;
        let is_padding = state == TelnetState::Return && byte == 0 && self.is_telnet;
        matches!(state, TelnetState::Text | TelnetState::Return) && byte != IAC && !is_padding
    }
}

/// Converts the input of one guest.
#[derive(Debug, Default)]
pub(super) struct RawInput {
    telnet: TelnetFilter,
    has_begun: bool,
    /// UTF-16, if it is that.
    wide: Option<Charset>,
    /// Start of a character that is not complete: less than four bytes.
    rest: Vec<u8>,
}

impl RawInput {
    /// Returns the text of a datagram, and its character set if it is UTF-16.
    pub(super) fn of_datagram(bytes: &[u8]) -> (Cow<'_, [u8]>, Option<Charset>) {
        let mut input = RawInput::default();
        let text = input.decode(Cow::Borrowed(bytes));
        (text, input.wide)
    }

    /// Returns the text in the next bytes of a stream.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        // The mark of UTF-16 is not a telnet command, though it has the same first byte.
        let is_wide = self.wide.is_some() || !self.has_begun && wide_charset(bytes).is_some();
        let is_plain =
            self.telnet.state == TelnetState::Text && !self.telnet.is_telnet && !bytes.contains(&IAC);
        if is_wide || is_plain {
            return self.decode(Cow::Borrowed(bytes));
        }
        let text = bytes.iter().copied().filter(|byte| self.telnet.take(*byte)).collect();
        self.decode(Cow::Owned(text))
    }

    /// Returns UTF-16 if the guest writes that.
    pub(super) fn wide(&self) -> Option<Charset> {
        self.wide
    }

    fn decode<'a>(&mut self, bytes: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        if !self.has_begun && !bytes.is_empty() {
            self.has_begun = true;
            self.wide = wide_charset(&bytes);
        }
        let Some(charset) = self.wide else { return bytes };
        self.rest.extend_from_slice(&bytes);
        let whole = self.rest.len() - charset.open_tail(&self.rest);
        let text = charset.decode(&self.rest[..whole]);
        self.rest.drain(..whole);
        Cow::Owned(text.trim_start_matches('\u{feff}').as_bytes().to_vec())
    }
}

/// Returns UTF-16 in the byte order that these first bytes show: by their mark, or because every
/// second byte is zero.
fn wide_charset(bytes: &[u8]) -> Option<Charset> {
    let every_second =
        |first: usize, is_zero: bool| bytes.iter().skip(first).step_by(2).all(|byte| (*byte == 0) == is_zero);
    match bytes {
        [0xff, 0xfe, ..] => Some(Charset::Utf16Le),
        [0xfe, 0xff, ..] => Some(Charset::Utf16Be),
        [_, _, ..] if !bytes.len().is_multiple_of(2) => None,
        [_, _, ..] if every_second(1, true) && every_second(0, false) => Some(Charset::Utf16Le),
        [_, _, ..] if every_second(0, true) && every_second(1, false) => Some(Charset::Utf16Be),
        _ => None,
    }
}

/// Kind of an input that is not plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherProtocol {
    /// A request of HTTP.
    Http,
    /// Another protocol, or other bytes, such as a TLS hello.
    Unknown,
}

/// Recognizes input of another protocol. `is_first`: it is the first of its guest, where a greeting
/// or a request would be.
pub(super) fn other_protocol(text: &[u8], is_first: bool) -> Option<OtherProtocol> {
    // No text has a zero byte, and none begins with another byte that no key of a terminal sends.
    let is_greeting = matches!(text.first(), Some(0..=6 | 0x0e..=0x19 | 0x1c..=0x1f));
    if text.contains(&0) || is_first && is_greeting {
        return Some(OtherProtocol::Unknown);
    }
    let line = text.split(|byte| *byte == b'\n').next().filter(|_| is_first)?.trim_ascii();
    if line.starts_with(b"SSH-") || line.starts_with(b"PROXY TCP") {
        return Some(OtherProtocol::Unknown);
    }
    let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
    let [method, _, version] = words[..] else { return None };
    let is_method = method.len() >= METHOD_LEN_MIN
        && method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    match version {
        _ if !is_method => None,
        version if version.starts_with(b"HTTP/") => Some(OtherProtocol::Http),
        b"SIP/2.0" | b"RTSP/1.0" | b"RTSP/2.0" => Some(OtherProtocol::Unknown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes in pieces of `len`.
    fn taken(bytes: &[u8], len: usize) -> (String, Option<Charset>) {
        let mut input = RawInput::default();
        let text: Vec<u8> = bytes.chunks(len).flat_map(|piece| input.take(piece).into_owned()).collect();
        (String::from_utf8(text).unwrap(), input.wide())
    }

    #[test]
    fn telnet_commands_are_left_out_however_they_are_cut() {
        let bytes =
            b"\xff\xfb\x1f\xff\xfd\x03hi\xff\xfa\x18\x00xterm\xff\xff\xff\xf0 there\r\x00\xff\xf1\r\n";
        for len in 1..bytes.len() {
            assert_eq!(taken(bytes, len), ("hi there\r\r\n".to_owned(), None), "{len}");
        }
    }

    #[test]
    fn utf16_is_read_in_both_byte_orders() {
        for (charset, mark) in [(Charset::Utf16Le, [0xff, 0xfe]), (Charset::Utf16Be, [0xfe, 0xff])] {
            let text = "你好, hi 😀\n";
            let bytes = [&mark[..], &charset.encode(text)].concat();
            for len in 2..bytes.len() {
                assert_eq!(taken(&bytes, len), (text.to_owned(), Some(charset)), "{len}");
            }
            let ascii = charset.encode("hello\n");
            assert_eq!(taken(&ascii, ascii.len()), ("hello\n".to_owned(), Some(charset)), "without mark");
            let (text, wide) = RawInput::of_datagram(&bytes);
            assert_eq!((&*text, wide), ("你好, hi 😀\n".as_bytes(), Some(charset)));
        }
        assert_eq!(taken("你好".as_bytes(), 3).1, None);
        assert_eq!(taken(b"a", 1), ("a".to_owned(), None));
    }

    #[test]
    fn requests_and_binary_protocols_are_no_text() {
        let http: [&[u8]; 4] =
            [b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.0", b"PRI * HTTP/2.0\r\n\r\n", b"M-SEARCH * HTTP/1.1"];
        for line in http {
            assert_eq!(other_protocol(line, true), Some(OtherProtocol::Http));
            assert_eq!(other_protocol(line, false), None, "a text about it");
        }
        let others: [&[u8]; 5] = [
            b"\x16\x03\x01\x02\x00\x01",
            b"\x05\x01\x00",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"OPTIONS sip:nm SIP/2.0\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        ];
        assert!(others.iter().all(|line| other_protocol(line, true) == Some(OtherProtocol::Unknown)));
        assert_eq!(other_protocol(b"\x02left", false), None, "shown as an escape");
        let texts: [&[u8]; 6] = [
            b"hello\r\n",
            b"GET it",
            b"what is HTTP/1.1",
            b"I like HTTP/1.1",
            b"a\tb\x1b[A\x08",
            "你好 HTTP/1.1".as_bytes(),
        ];
        for text in texts {
            assert_eq!(other_protocol(text, true), None, "{text:?}");
        }
    }
}
