//! Lines and columns of byte offsets in an address book.

use super::steps::step;
use crate::base::Phrase;

/// Text of a book without its byte order mark, and the name of its file.
#[derive(Clone, Copy)]
pub(super) struct SourceText<'a> {
    pub text: &'a str,
    pub file: &'a str,
}

impl<'a> SourceText<'a> {
    /// Removes the byte order mark, which editors on Windows write.
    pub fn new(text: &'a str, file: &'a str) -> SourceText<'a> {
        SourceText { text: text.strip_prefix('\u{feff}').unwrap_or(text), file }
    }

    /// Returns the phrase `key` with `file`, and `line` and `column` of a byte offset.
    ///
    /// Both count from 1, columns in characters.
    pub fn mistake(&self, key: &'static str, at: usize) -> Phrase {
        let column = self.text[self.line_start(at)..self.floor(at)].chars().count() + 1;
        Phrase::new(key).with("file", self.file).with("line", self.line(at)).with("column", column)
    }

    /// Returns the line of a byte offset, from 1. Linear in the offset: for many offsets see
    /// [`Lines`].
    pub fn line(&self, at: usize) -> usize {
        step(at);
        self.text[..self.floor(at)].matches('\n').count() + 1
    }

    /// Returns the start of the line of a byte offset.
    pub fn line_start(&self, at: usize) -> usize {
        self.text[..self.floor(at)].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Returns the end of that line: before its `\n`, or the end of the text.
    pub fn line_end(&self, at: usize) -> usize {
        let at = self.floor(at);
        self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline)
    }

    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Line ends of a page, for lookups of many offsets.
pub(super) struct Lines {
    newlines: Vec<usize>,
}

impl Lines {
    pub fn of(source: SourceText<'_>) -> Lines {
        step(source.text.len());
        Lines { newlines: source.text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    /// Returns the same as [`SourceText::line`], by binary search.
    pub fn line(&self, at: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < at) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_without_byte_order_mark() {
        let source = SourceText::new("\u{feff}a\r\n一棵树 = 1", "f");
        let at = source.text.find('=').unwrap();
        assert_eq!(source.mistake("k", at).to_string(), "k file=\"f\" line=\"2\" column=\"5\"");
        assert_eq!(source.mistake("k", 999).to_string(), "k file=\"f\" line=\"2\" column=\"8\"");
        assert_eq!(source.line_start(at), 3);
        assert_eq!(source.line_end(at), source.text.len());
        let lines = Lines::of(source);
        assert!((0..=source.text.len()).all(|at| lines.line(at) == source.line(at)));
    }
}
