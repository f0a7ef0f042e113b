//! A guest's TCP stream cut into letters: a letter is a line, or what has arrived before a pause.

use std::time::Duration;

use crate::base::Tick;

use super::text::{Charset, GuestEncoding};

/// What has arrived without a newline is a letter after this pause: such clients send none.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// Half a character waits for its other half so long, and a line of a guest who ends its lines for its end: a segment
/// that was lost comes again within it.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// The longest letter of a guest, in bytes; what is longer comes as several.
pub(super) const LINE_MAX: usize = 4 * 1_024;

/// One end of a stream of text, as far as it has come: at most [`LINE_MAX`] bytes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    encoding: GuestEncoding,
    charset: Charset,
    bytes: Vec<u8>,
    heard: Tick,
    /// Whether the guest ends its lines: answers then end in a newline also.
    uses_newlines: bool,
}

impl Lines {
    pub(super) fn new(encoding: GuestEncoding) -> Lines {
        let charset = encoding.charset_of(Charset::default(), b"", true);
        Lines { encoding, charset, ..Lines::default() }
    }

    /// Takes bytes in and gives each letter that is complete to `letter`: a line with its newline, or a piece of one.
    pub(super) fn push(&mut self, now: Tick, bytes: &[u8], mut letter: impl FnMut(Charset, &[u8])) {
        self.heard = now;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = part;
            while !rest.is_empty() {
                let (some, more) = rest.split_at(rest.len().min(LINE_MAX - self.bytes.len()));
                self.bytes.extend_from_slice(some);
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

    /// Lets time pass: after a pause what has arrived is a letter; half a character waits for longer.
    pub(super) fn handle_time(&mut self, now: Tick, letter: impl FnMut(Charset, &[u8])) {
        let waited = now.since(self.heard);
        if waited >= LONG_PAUSE {
            self.finish(letter);
        } else if waited >= PAUSE && !self.uses_newlines {
            self.cut(letter);
        }
    }

    /// What has arrived is a letter, but for half a character at its end.
    pub(super) fn cut(&mut self, mut letter: impl FnMut(Charset, &[u8])) {
        let whole = self.look(false);
        if whole > 0 {
            letter(self.charset, &self.bytes[..whole]);
            self.bytes.drain(..whole);
        }
    }

    /// What is left is a letter, whole or not: its line or the stream has ended.
    pub(super) fn finish(&mut self, mut letter: impl FnMut(Charset, &[u8])) {
        if !self.bytes.is_empty() {
            self.look(true);
            letter(self.charset, &self.bytes);
            self.bytes.clear();
        }
    }

    /// When time alone makes a letter of what has arrived.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
        let pause = if self.uses_newlines || self.is_half() { LONG_PAUSE } else { PAUSE };
        (!self.bytes.is_empty()).then(|| self.heard + pause)
    }

    /// How the guest writes, as far as it has shown.
    pub(super) fn charset(&self) -> Charset {
        self.charset
    }

    /// Text came in a datagram, which is a letter whatever it ends in.
    pub(super) fn note_datagram(&mut self, charset: Charset, ends_in_newline: bool) {
        (self.charset, self.uses_newlines) = (charset, ends_in_newline);
    }

    /// Whether answers should end in a newline.
    pub(super) fn uses_newlines(&self) -> bool {
        self.uses_newlines
    }

    /// Sees how the bytes are written, and how many of them are whole characters.
    fn look(&mut self, is_end: bool) -> usize {
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

    fn push(lines: &mut Lines, now: Tick, bytes: &[u8]) -> Vec<String> {
        let mut letters = Vec::new();
        lines.push(now, bytes, |charset, letter| letters.push(charset.decode(letter)));
        letters
    }

    fn wait(lines: &mut Lines, now: Tick) -> Vec<String> {
        let mut letters = Vec::new();
        lines.handle_time(now, |charset, letter| letters.push(charset.decode(letter)));
        letters
    }

    #[test]
    fn lines_are_letters_at_once_and_one_under_way_waits_for_its_end() {
        let mut lines = Lines::default();
        assert_eq!(push(&mut lines, START, b"one\r\ntwo\nthr"), ["one\r\n", "two\n"]);
        assert!(lines.uses_newlines());
        assert_eq!(lines.next_deadline(), Some(START + LONG_PAUSE));
        assert!(wait(&mut lines, START + LONG_PAUSE / 2).is_empty(), "its newline may be late");
        assert_eq!(push(&mut lines, START + LONG_PAUSE / 2, b"ee\nfour"), ["three\n"]);
        assert_eq!(wait(&mut lines, START + LONG_PAUSE * 2), ["four"]);
        assert_eq!(lines.next_deadline(), None);
    }

    #[test]
    fn where_no_newline_comes_a_letter_is_what_came_before_a_pause() {
        let mut lines = Lines::default();
        assert!(push(&mut lines, START, b"thr").is_empty());
        assert_eq!(lines.next_deadline(), Some(START + PAUSE));
        assert!(wait(&mut lines, START + PAUSE / 2).is_empty());
        assert!(push(&mut lines, START + PAUSE / 2, b"ee").is_empty());
        assert!(wait(&mut lines, START + PAUSE).is_empty(), "the pause begins anew");
        assert_eq!(wait(&mut lines, START + PAUSE + PAUSE / 2), ["three"]);
        assert_eq!(lines.next_deadline(), None);
    }

    #[test]
    fn half_a_character_waits_for_its_other_half_but_not_for_ever() {
        for charset in [Charset::Utf8, Charset::Gbk] {
            let mut lines = Lines::default();
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
    fn a_megabyte_without_a_newline_is_cut_between_characters() {
        for charset in [Charset::Utf8, Charset::Gbk] {
            let (mut lines, text) = (Lines::default(), "好".repeat(1 << 20));
            let mut all = push(&mut lines, START, &charset.encode(&text));
            assert!(all.iter().all(|letter| letter.len() <= 2 * LINE_MAX));
            lines.finish(|charset, letter| all.push(charset.decode(letter)));
            assert!(all.concat() == text, "{charset:?}");
        }
    }
}
