//! Splits a guest's TCP stream into letters: a letter is a line, or the text received before a
//! pause.

use std::time::Duration;

use crate::base::Tick;

use super::raw_input::RawInput;
use super::text::{Charset, GuestEncoding};

/// Pause after which text without a newline is a letter: such clients send no newlines.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// Time for which half a character waits for the other half, and an unfinished line for its end if
/// the guest ends its lines. 500 ms: a lost segment is retransmitted within it.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// Longest letter of a guest, in bytes; longer text becomes several letters.
pub(super) const LINE_MAX: usize = 4 * 1_024;

/// The unfinished end of a stream of text: at most [`LINE_MAX`] bytes.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    encoding: GuestEncoding,
    charset: Charset,
    raw: RawInput,
    bytes: Vec<u8>,
    last_received: Tick,
    /// Whether the guest ends its lines: replies then end in a newline too.
    uses_newlines: bool,
}

impl LineSplitter {
    pub(super) fn new(encoding: GuestEncoding) -> LineSplitter {
        let charset = encoding.charset_of(Charset::default(), b"", true);
        LineSplitter { encoding, charset, ..LineSplitter::default() }
    }

    /// Adds bytes and passes each complete letter to `letter`: a line with its newline, or a piece
    /// of one.
    pub(super) fn push(&mut self, now: Tick, bytes: &[u8], mut letter: impl FnMut(Charset, &[u8])) {
        self.last_received = now;
        let text;
        let bytes = match self.encoding {
            GuestEncoding::Auto => {
                text = self.raw.take(bytes);
                &*text
            }
            GuestEncoding::Utf8 | GuestEncoding::Gbk => bytes,
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = part;
            while !rest.is_empty() {
                let (line_part, more) = rest.split_at(rest.len().min(LINE_MAX - self.bytes.len()));
                self.bytes.extend_from_slice(line_part);
                rest = more;
                if self.bytes.last() == Some(&b'\n') {
                    self.uses_newlines = true;
                    self.finish(&mut letter);
                } else if self.bytes.len() == LINE_MAX {
                    self.cut(&mut letter);
                }
            }
        }
    }

    /// Handles a pause, after which the text received is a letter. Half a character waits for
    /// longer.
    pub(super) fn handle_time(&mut self, now: Tick, letter: impl FnMut(Charset, &[u8])) {
        let waited = now.since(self.last_received);
        if waited >= LONG_PAUSE {
            self.finish(letter);
        } else if waited >= PAUSE && !self.uses_newlines {
            self.cut(letter);
        }
    }

    /// Makes a letter of the text received, except for half a character at its end.
    pub(super) fn cut(&mut self, mut letter: impl FnMut(Charset, &[u8])) {
        let whole = self.update_charset(false);
        if whole > 0 {
            letter(self.charset, &self.bytes[..whole]);
            self.bytes.drain(..whole);
        }
    }

    /// Makes a letter of everything left, because the line or the stream has ended.
    pub(super) fn finish(&mut self, mut letter: impl FnMut(Charset, &[u8])) {
        if !self.bytes.is_empty() {
            self.update_charset(true);
            letter(self.charset, &self.bytes);
            self.bytes.clear();
        }
    }

    /// Returns the time at which the text received becomes a letter.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let pause = if self.uses_newlines || self.is_half() { LONG_PAUSE } else { PAUSE };
        (!self.bytes.is_empty()).then(|| self.last_received + pause)
    }

    /// Returns the guest's character set, as far as known.
    pub(super) fn charset(&self) -> Charset {
        self.raw.wide().unwrap_or(self.charset)
    }

    /// Records how a text datagram was written. It is a letter with any ending.
    pub(super) fn note_datagram(&mut self, charset: Charset, ends_in_newline: bool) {
        self.charset = charset;
        self.uses_newlines = ends_in_newline;
    }

    /// Whether replies should end in a newline.
    pub(super) fn uses_newlines(&self) -> bool {
        self.uses_newlines
    }

    /// Updates the character set and returns the number of bytes in complete characters.
    fn update_charset(&mut self, is_end: bool) -> usize {
        self.charset = self.encoding.charset_of(self.charset, &self.bytes, is_end);
        self.bytes.len() - self.charset.open_tail(&self.bytes)
    }

    fn is_half(&self) -> bool {
        let charset = self.encoding.charset_of(self.charset, &self.bytes, false);
        charset.open_tail(&self.bytes) == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Tick = Tick::from_micros(1_000_000);

    fn push(lines: &mut LineSplitter, now: Tick, bytes: &[u8]) -> Vec<String> {
        let mut letters = Vec::new();
        lines.push(now, bytes, |charset, letter| letters.push(charset.decode(letter)));
        letters
    }

    fn wait(lines: &mut LineSplitter, now: Tick) -> Vec<String> {
        let mut letters = Vec::new();
        lines.handle_time(now, |charset, letter| letters.push(charset.decode(letter)));
        letters
    }

    #[test]
    fn lines_are_letters_at_once_and_unfinished_line_waits() {
        let mut lines = LineSplitter::default();
        assert_eq!(push(&mut lines, START, b"one\r\ntwo\nthr"), ["one\r\n", "two\n"]);
        assert!(lines.uses_newlines());
        assert_eq!(lines.next_deadline(), Some(START + LONG_PAUSE));
        assert!(wait(&mut lines, START + LONG_PAUSE / 2).is_empty(), "its newline may be late");
        assert_eq!(push(&mut lines, START + LONG_PAUSE / 2, b"ee\nfour"), ["three\n"]);
        assert_eq!(wait(&mut lines, START + LONG_PAUSE * 2), ["four"]);
        assert_eq!(lines.next_deadline(), None);
    }

    #[test]
    fn without_newline_letter_is_text_before_pause() {
        let mut lines = LineSplitter::default();
        assert!(push(&mut lines, START, b"thr").is_empty());
        assert_eq!(lines.next_deadline(), Some(START + PAUSE));
        assert!(wait(&mut lines, START + PAUSE / 2).is_empty());
        assert!(push(&mut lines, START + PAUSE / 2, b"ee").is_empty());
        assert!(wait(&mut lines, START + PAUSE).is_empty(), "the pause begins again");
        assert_eq!(wait(&mut lines, START + PAUSE + PAUSE / 2), ["three"]);
        assert_eq!(lines.next_deadline(), None);
    }

    #[test]
    fn half_character_waits_for_other_half_for_limited_time() {
        for charset in [Charset::Utf8, Charset::Gbk] {
            let mut lines = LineSplitter::default();
            let text = charset.encode("你好");
            let cut = text.len() / 2 + 1;
            assert!(push(&mut lines, START, &text[..cut]).is_empty());
            assert_eq!(wait(&mut lines, START + PAUSE), ["你"], "{charset:?}");
            assert!(push(&mut lines, START + PAUSE * 2, &text[cut..]).is_empty());
            assert_eq!(wait(&mut lines, START + PAUSE * 3), ["好"], "{charset:?}");
            assert!(push(&mut lines, START, &text[..1]).is_empty());
            assert_eq!(lines.next_deadline(), Some(START + LONG_PAUSE));
            assert_eq!(wait(&mut lines, START + LONG_PAUSE), ["\u{fffd}"], "{charset:?}");
        }
    }

    #[test]
    fn megabyte_without_newline_is_cut_between_characters() {
        for charset in [Charset::Utf8, Charset::Gbk] {
            let mut lines = LineSplitter::default();
            let text = "好".repeat(1 << 20);
            let mut all = push(&mut lines, START, &charset.encode(&text));
            assert!(all.iter().all(|letter| letter.len() <= 2 * LINE_MAX));
            lines.finish(|charset, letter| all.push(charset.decode(letter)));
            assert!(all.concat() == text, "{charset:?}");
        }
    }
}
