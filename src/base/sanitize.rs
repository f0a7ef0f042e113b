//! Sanitizes text from peers for display on a terminal.
//!
//! | input | output |
//! | --- | --- |
//! | control characters: C0, DEL, C1 (so every escape sequence) | a visible escape: `\u{1b}` |
//! | overrides, isolates and marks of direction; line and paragraph separators | a visible escape |
//! | invisible characters (zero width, tags, soft hyphen, format controls) | a visible escape |
//! | U+200C and U+200D that shape a script or join an emoji | kept |
//! | a tab | four spaces |
//! | a carriage return before a line feed | removed ([`sanitize`] only) |
//! | more than 8 marks on one letter | the first 8 |
//!
//! A joiner is kept between two emoji, and after a letter or mark of a script that needs it: the
//! blocks from Arabic to Sinhala, Myanmar, Khmer, Mongolian. Regional flags made of tag characters
//! lose their tags, because they are rare and tags can hide a whole text. A backslash is kept. A
//! peer can therefore imitate an escape, which does not matter.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_normalization::char::is_combining_mark;

/// Maximum marks on one letter: no living script needs more, and a tall stack covers adjacent
/// lines.
pub(super) const MARKS_PER_BASE_MAX: usize = 8;
/// Replacement of a tab, whose real width would depend on the column.
const TAB: &str = "    ";

/// Sanitizes text of several lines: the only control character in the result is `\n`.
///
/// Borrows the input if nothing changes. Idempotent.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    clean(text, true)
}

/// Sanitizes one line (a name, a log line, an error): `\n` becomes a visible escape as well.
pub fn sanitize_line(text: &str) -> Cow<'_, str> {
    clean(text, false)
}

enum CharAction {
    Keep,
    Drop,
    Spaces,
    Escape,
}

fn clean(text: &str, lines: bool) -> Cow<'_, str> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~') || (lines && b == b'\n')) {
        return text.into();
    }
    let mut out: Option<String> = None;
    let mut previous = PreviousChar { shown: None, marks: 0 };
    for (at, c) in text.char_indices() {
        let after = text[at + c.len_utf8()..].chars().next();
        let action = match c {
            '\n' if lines => CharAction::Keep,
            '\r' if lines && after == Some('\n') => CharAction::Drop,
            _ => action_for(c, &previous, after),
        };
        if let CharAction::Keep = action {
            previous.keep(c);
            if let Some(out) = &mut out {
                out.push(c);
            }
            continue;
        }
        let out = out.get_or_insert_with(|| text[..at].to_owned());
        match action {
            CharAction::Spaces => previous.write(out, format_args!("{TAB}")),
            CharAction::Escape => previous.write(out, format_args!("\\u{{{:x}}}", u32::from(c))),
            CharAction::Keep | CharAction::Drop => {}
        }
    }
    out.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The previous character, as it appears in the result.
struct PreviousChar {
    shown: Option<char>,
    marks: usize,
}

impl PreviousChar {
    fn keep(&mut self, c: char) {
        // A joiner is not a letter: marks after it still accumulate on the letter before it.
        if is_combining_mark(c) {
            self.marks += 1;
        } else if !is_joiner(c) {
            self.marks = 0;
        }
        self.shown = Some(c);
    }

    fn write(&mut self, out: &mut String, text: std::fmt::Arguments<'_>) {
        out.write_fmt(text).expect("writing to a string cannot fail");
        *self = PreviousChar { shown: None, marks: 0 };
    }
}

fn action_for(c: char, previous: &PreviousChar, after: Option<char>) -> CharAction {
    match c {
        '\t' => CharAction::Spaces,
        _ if is_joiner(c) => match previous.shown {
            Some(b) if needs_joiner(b) || (is_emoji(b) && after.is_some_and(is_emoji)) => CharAction::Keep,
            _ => CharAction::Escape,
        },
        _ if c.is_control() || is_hidden(c) => CharAction::Escape,
        _ if is_combining_mark(c) && previous.marks >= MARKS_PER_BASE_MAX => CharAction::Drop,
        _ => CharAction::Keep,
    }
}

const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Whether this is a format control (general category Cf, Zl, Zp).
///
/// Excludes joiners and the visible signs of Arabic, Syriac and Kaithi.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

const fn needs_joiner(c: char) -> bool {
    matches!(c,
        '\u{620}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1807}'..='\u{18af}'
        | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

/// Whether this can be adjacent to a joiner in an emoji sequence: a picture, skin tone or selector.
const fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_borrowed() {
        for text in ["", "hello, world", "你好，世界", "one\ntwo", "Zoe\u{308}", "👩‍👩‍👧 ❤️ 👩🏽‍⚕️", "می‌خواهم", "ක්‍ය"]
        {
            assert!(matches!(sanitize(text), Cow::Borrowed(t) if t == text), "{text:?}");
        }
    }

    // faults.md: R47
    #[test]
    fn terminal_controls_become_visible_escapes() {
        let table = [
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\x1b]52;c;eA==\x07", "\\u{1b}]52;c;eA==\\u{7}"),
            ("a\u{9b}6nb\u{9d}", "a\\u{9b}6nb\\u{9d}"),
            ("good\rbad", "good\\u{d}bad"),
            ("a\r\nb", "a\nb"),
            ("a\tb", "a    b"),
            ("nul\0 del\x7f", "nul\\u{0} del\\u{7f}"),
            ("\u{202e}evil\u{202c}", "\\u{202e}evil\\u{202c}"),
            ("\u{2066}x\u{2069}\u{200f}\u{61c}", "\\u{2066}x\\u{2069}\\u{200f}\\u{61c}"),
            ("a\u{200b}b\u{2060}\u{feff}", "a\\u{200b}b\\u{2060}\\u{feff}"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("x\u{e0041}\u{e007f}", "x\\u{e0041}\\u{e007f}"),
            ("pay\u{200d}pal", "pay\\u{200d}pal"),
            ("👩\u{200d}x", "👩\\u{200d}x"),
            ("ن\u{200d}\u{200d}", "ن\u{200d}\\u{200d}"),
        ];
        for (text, shown) in table {
            assert_eq!(sanitize(text), shown, "{text:?}");
        }
    }

    #[test]
    fn line_stays_single_line() {
        assert_eq!(sanitize_line("a\nb\r\n"), "a\\u{a}b\\u{d}\\u{a}");
        assert!(matches!(sanitize_line("名字"), Cow::Borrowed(_)));
    }

    // faults.md: R46
    #[test]
    fn stack_of_marks_is_cut() {
        assert_eq!(
            sanitize(&format!("a{}b", "\u{301}".repeat(30_000))),
            format!("a{}b", "\u{301}".repeat(8))
        );
        let tower = "\u{64b}".repeat(8);
        assert_eq!(sanitize(&format!("ن{tower}\u{200d}{tower}")), format!("ن{tower}\u{200d}"));
    }

    /// Text rich in special characters, which random text rarely contains.
    fn nasty() -> impl Strategy<Value = String> {
        let special = proptest::sample::select(
            "\0\n\r\t\x1b\x7f\u{85}\u{9b}\u{ad}\u{200b}\u{200c}\u{200d}\u{200e}\u{2028}\u{202e}\u{2066}\u{61c}\u{feff}\
             \u{e0041}\u{301}\u{64b}\u{fe0f}नن👩a}\\é武"
                .chars()
                .collect::<Vec<_>>(),
        );
        proptest::collection::vec(prop_oneof![4 => special, 1 => any::<char>()], 0..60)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn result_has_no_control_characters(text in nasty()) {
            for c in sanitize(&text).chars() {
                prop_assert!(c == '\n' || !c.is_control(), "{c:?}");
                prop_assert!(!is_hidden(c), "{c:?}");
            }
            prop_assert!(!sanitize_line(&text).contains(char::is_control));
        }

        #[test]
        fn sanitizing_is_idempotent(text in nasty()) {
            let once = sanitize(&text);
            prop_assert_eq!(sanitize(&once), once.clone());
            let line = sanitize_line(&text);
            prop_assert_eq!(sanitize_line(&line), line.clone());
        }
    }
}
