//! Cleans the bytes of a terminal before the line editor reads them. Pure: bytes in, bytes out.
//!
//! The editor gives up on bytes that are not UTF-8, and it takes an escape sequence that it does
//! not know for text in part. So neither must reach it: an escape sequence passes whole, if it is a
//! key that the editor knows, or is dropped whole. In pasted text every sequence is dropped
//! (ECMA-48 §5, xterm control sequences), and every control character but tabs and line ends.

/// Character that the keyboard thread puts at the cursor, and an Enter after it, to end the line
/// for another prompt. Noncharacters are for use inside a program (Unicode §23.7). The filter drops
/// it, so no text of a user has it.
pub(super) const REPLACE_MARK: char = '\u{fdd0}';

/// Maximum bytes of a control sequence that are kept. The longest key has 7.
const SEQUENCE_LEN_MAX: usize = 16;
/// Parameter that begins a paste, and the one that ends it (xterm, "Bracketed Paste Mode").
const PASTE_BEGINS: &str = "200~";
const PASTE_ENDS: &str = "201~";
/// Alt-Enter begins a new line of the text. The editor takes a line end for text in a paste only.
const NEW_LINE: &str = "\x1b[200~\n\x1b[201~";
const ESC: char = '\x1b';
const BEL: char = '\x07';

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes, as for choosing a character set.
    Intermediate,
    /// In a control sequence (ESC `[`), with the bytes after the bracket.
    Control(String),
    /// After ESC `O`: one more character.
    SingleShift,
    /// In a string (OSC, DCS, APC, PM, SOS), until ST or BEL.
    Text8,
    /// In such a string, after ESC.
    Text8Escape,
}

/// Filter of one terminal's input.
#[derive(Debug)]
pub(super) struct KeyFilter {
    state: State,
    is_pasting: bool,
    /// First bytes of a character.
    begun: Vec<u8>,
    /// Bytes of the input at hand were dropped.
    is_damaged: bool,
    /// That was reported for this input and all before it since the last pause or good input.
    is_reported: bool,
}

impl KeyFilter {
    pub(super) const fn new() -> KeyFilter {
        KeyFilter {
            state: State::Text,
            is_pasting: false,
            begun: Vec::new(),
            is_damaged: false,
            is_reported: false,
        }
    }

    /// Filters input, and appends what the editor may read. Returns `true` if bytes were dropped
    /// that are not UTF-8, once for a burst of such input.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        self.is_damaged = false;
        let mut bytes = std::mem::take(&mut self.begun);
        bytes.extend_from_slice(input);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    text.chars().for_each(|c| self.take(c, out));
                    rest = &[];
                }
                Err(error) => {
                    let (text, after) = rest.split_at(error.valid_up_to());
                    let text = std::str::from_utf8(text).expect("it is valid up to there");
                    text.chars().for_each(|c| self.take(c, out));
                    rest = match error.error_len() {
                        Some(invalid) => &after[invalid..],
                        // The next input may hold the rest, unless this is another encoding.
                        None => {
                            if !self.is_damaged {
                                self.begun = after.to_vec();
                                break;
                            }
                            &[]
                        }
                    };
                    self.is_damaged = true;
                }
            }
        }
        self.report()
    }

    /// Returns whether damage must be reported.
    const fn report(&mut self) -> bool {
        let reports = self.is_damaged && !self.is_reported;
        self.is_reported = self.is_damaged;
        reports
    }

    /// Whether the input is inside a paste.
    pub(super) const fn is_pasting(&self) -> bool {
        self.is_pasting
    }

    /// Whether a pause would change something.
    pub(super) const fn awaits_pause(&self) -> bool {
        let has_begun = !self.begun.is_empty() || !matches!(self.state, State::Text);
        self.is_reported || (has_begun && !self.is_pasting)
    }

    /// Handles a pause in the input: the user has pressed single keys. A paste may have pauses.
    /// Returns as [`KeyFilter::push`].
    pub(super) fn handle_pause(&mut self, out: &mut Vec<u8>) -> bool {
        self.is_damaged = false;
        if !self.is_pasting {
            // The Esc key. Begun sequences are keys such as Alt-[, which mean nothing to the
            // editor.
            if std::mem::replace(&mut self.state, State::Text) == State::Escape {
                push(out, ESC);
            }
            self.is_damaged = !std::mem::take(&mut self.begun).is_empty();
        }
        self.report()
    }

    fn take(&mut self, c: char, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Text) {
            State::Text => self.take_text(c, out),
            State::Escape => self.take_after_escape(c, out),
            State::Intermediate => match c {
                ' '..='/' => self.state = State::Intermediate,
                '0'..='~' => {}
                _ => self.take_text(c, out),
            },
            State::Control(mut sequence) => {
                // The Linux console sends ESC [ [ A for F1.
                let is_final = ('@'..='~').contains(&c) && !(sequence.is_empty() && c == '[');
                if !(' '..='~').contains(&c) {
                    return self.take_text(c, out);
                }
                if sequence.len() < SEQUENCE_LEN_MAX {
                    sequence.push(c);
                }
                match is_final {
                    true => self.end_control(&sequence, out),
                    false => self.state = State::Control(sequence),
                }
            }
            State::SingleShift => match c {
                ' '..='~' if self.is_pasting => {}
                'A'..='Z' | 'a'..='z' => format!("\x1bO{c}").chars().for_each(|c| push(out, c)),
                ' '..='~' => {}
                _ => self.take_text(c, out),
            },
            State::Text8 => match c {
                BEL | '\u{9c}' => {}
                ESC => self.state = State::Text8Escape,
                // A string without an end: it takes its line with it, and no more.
                '\r' | '\n' => self.take_text(c, out),
                _ => self.state = State::Text8,
            },
            State::Text8Escape if c == '\\' => {}
            State::Text8Escape => self.take_after_escape(c, out),
        }
    }

    fn take_text(&mut self, c: char, out: &mut Vec<u8>) {
        match c {
            ESC => self.state = State::Escape,
            '\u{9b}' => self.state = State::Control(String::new()),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.state = State::Text8,
            '\u{80}'..='\u{9f}' | REPLACE_MARK => {}
            // The text is not what was meant, so it is not sent before the user has seen it. An
            // Enter that comes by itself is the user's.
            '\r' | '\n' if self.is_damaged && !self.is_pasting => push(out, ' '),
            '\t' | '\r' | '\n' => push(out, c),
            '\0'..=' ' | '\x7f' if self.is_pasting && c != ' ' => {}
            _ => push(out, c),
        }
    }

    fn take_after_escape(&mut self, c: char, out: &mut Vec<u8>) {
        match c {
            '[' => self.state = State::Control(String::new()),
            'O' => self.state = State::SingleShift,
            ']' | 'P' | 'X' | '^' | '_' => self.state = State::Text8,
            ' '..='/' => self.state = State::Intermediate,
            // Alt with a key that sends a sequence itself.
            ESC => {
                if !self.is_pasting {
                    push(out, ESC);
                }
                self.state = State::Escape;
            }
            '\r' | '\n' if !self.is_pasting => NEW_LINE.chars().for_each(|c| push(out, c)),
            '0'..='~' if self.is_pasting => {}
            _ if self.is_pasting => self.take_text(c, out),
            REPLACE_MARK => {}
            // Alt with a key.
            _ => {
                push(out, ESC);
                push(out, c);
            }
        }
    }

    fn end_control(&mut self, sequence: &str, out: &mut Vec<u8>) {
        let passes = match sequence {
            PASTE_BEGINS => !std::mem::replace(&mut self.is_pasting, true),
            PASTE_ENDS => std::mem::replace(&mut self.is_pasting, false),
            _ => !self.is_pasting && is_key(sequence),
        };
        if passes {
            out.extend_from_slice(format!("\x1b[{sequence}").as_bytes());
        }
    }
}

/// Whether the editor reads a control sequence as one key, known or not: letters, `N~`, `NN~`, and
/// `N;M` before `~` or a letter.
fn is_key(sequence: &str) -> bool {
    match sequence.as_bytes() {
        [b'A'..=b'D' | b'F' | b'H' | b'Z' | b'a'..=b'd'] | [b'[', b'A'..=b'E'] => true,
        [b'1'..=b'8', b'~' | b'^' | b'@'] => true,
        [b'1'..=b'8', digit, b'~'] => digit.is_ascii_digit(),
        [b'1'..=b'8', b';', modifier, last] => modifier.is_ascii_digit() && is_letter_or_tilde(*last),
        [b'1'..=b'8', digit, b';', modifier, b'~'] => digit.is_ascii_digit() && modifier.is_ascii_digit(),
        _ => false,
    }
}

const fn is_letter_or_tilde(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'~'
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters `input`, cut into pieces of every length, each time from scratch.
    fn filtered(input: &[u8]) -> String {
        let whole = filtered_in(input, input.len().max(1));
        for len in 1..input.len() {
            assert_eq!(filtered_in(input, len), whole, "pieces of {len}: {input:?}");
        }
        whole
    }

    fn filtered_in(input: &[u8], len: usize) -> String {
        let mut filter = KeyFilter::new();
        let mut out = Vec::new();
        for piece in input.chunks(len) {
            filter.push(piece, &mut out);
        }
        filter.handle_pause(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn pasted(text: &str) -> String {
        let out = filtered(format!("a\x1b[200~{text}\x1b[201~b").as_bytes());
        let inner = out.strip_prefix("a\x1b[200~").and_then(|out| out.strip_suffix("\x1b[201~b"));
        inner.unwrap_or_else(|| panic!("{out:?}")).to_owned()
    }

    #[test]
    fn text_and_keys_pass_unchanged() {
        for keys in
            ["约不\r", "a\tb", "\x03\x04\x1a\x7f", "\x1b[A\x1b[1;5C\x1b[3~\x1b[15~", "\x1bOP", "\x1bb"]
        {
            assert_eq!(filtered(keys.as_bytes()), keys);
        }
        assert_eq!(filtered(b"\x1b"), "\x1b");
        assert_eq!(filtered(b"\x1b\x1b[A"), "\x1b\x1b[A");
        assert_eq!(filtered(b"\x1b[[A"), "\x1b[[A");
        assert_eq!(filtered(b"one\x1b\rtwo\r"), "one\x1b[200~\n\x1b[201~two\r");
    }

    #[test]
    fn pasted_sequences_are_dropped_whole() {
        for (text, kept) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[1;38;5;196mred\x1b[m", "red"),
            ("\x1b[38:2::255:0:0mred", "red"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bPq#0\x1b\\text", "text"),
            ("\x1b(Btext\x1b7\x1b=", "text"),
            ("\u{9b}31mred\u{9b}0m", "red"),
            ("\u{9d}0;title\u{9c}text", "text"),
            ("\x1bOAtext", "text"),
            ("\x1b[200~text", "text"),
            ("one\x1b\ntwo\x1b[\nthree\x1b]0\nfour", "one\ntwo\nthree\nfour"),
            ("a\tb\x08\x07\x00\x03c\r\nd", "a\tbc\r\nd"),
            ("\x1b[12345678901234567890mtext", "text"),
        ] {
            assert_eq!(pasted(text), kept, "{text:?}");
        }
    }

    #[test]
    fn typed_sequences_that_are_no_keys_leave_nothing() {
        for keys in
            ["\x1b[31mred", "\x1b[0;1;31mred", "\x1b]0;title\x07red", "\x1b[I\x1b[Ored", "\x1b[24;80Rred"]
        {
            assert_eq!(filtered(keys.as_bytes()), "red", "{keys:?}");
        }
        assert_eq!(filtered(b"\x1b[201~red"), "red");
    }

    #[test]
    fn unended_sequence_of_paste_does_not_hide_its_end() {
        assert_eq!(filtered(b"\x1b[200~one\x1b[31\x1b[201~two"), "\x1b[200~one\x1b[201~two");
        assert_eq!(filtered(b"\x1b[200~one\x1b]0;\x1b[201~two"), "\x1b[200~one\x1b[201~two");
        assert_eq!(filtered(b"\x1b[200~one\x1b\x1b[201~two"), "\x1b[200~one\x1b[201~two");
    }

    #[test]
    fn invalid_bytes_are_dropped_and_reported_once() {
        let mut filter = KeyFilter::new();
        let mut out = Vec::new();
        assert!(!filter.push("draft".as_bytes(), &mut out));
        // U+4F60 in GBK.
        assert!(filter.push(b"\xc4\xe3", &mut out));
        assert!(!filter.push(b"\xff!\r", &mut out), "it is the same burst");
        assert!(filter.awaits_pause());
        assert_eq!(out, b"draft! ", "a line of which a part was dropped is not sent");
        filter.push(b"\r", &mut out);
        assert!(filter.push(b"\xff", &mut out), "good input came between");
        filter.handle_pause(&mut out);
        assert!(filter.push(b"\xff", &mut out));
        filter.handle_pause(&mut out);
        assert!(!filter.handle_pause(&mut out));
        // One byte that may begin a character.
        assert!(!filter.push(b"\xe9", &mut out));
        assert!(filter.awaits_pause() && filter.handle_pause(&mut out));
        assert!(!filter.push("你\r".as_bytes(), &mut out));
        assert_eq!(String::from_utf8(out).unwrap(), "draft! \r你\r");
    }

    #[test]
    fn key_that_begins_a_sequence_ends_at_pause() {
        let mut filter = KeyFilter::new();
        let mut out = Vec::new();
        for begun in ["\x1b[", "\x1b]", "\x1b[1;", "\x1bO"] {
            filter.push(begun.as_bytes(), &mut out);
            filter.handle_pause(&mut out);
            assert_eq!(out, b"", "{begun:?}");
        }
        filter.push(b"text", &mut out);
        assert_eq!(out, b"text");
    }
}
