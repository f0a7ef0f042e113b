//! Words of prose in comments, Markdown and Fluent texts, without code and link targets.

use crate::comments::Comment;

/// A word of prose.
#[derive(Clone, Debug)]
pub struct Word {
    /// In lower case, without a possessive `'s`.
    pub text: String,
    /// Whether its first letter is a capital.
    pub is_capital: bool,
    pub line: usize,
    /// The separator from the word before.
    pub gap: Gap,
    /// Whether its sentence ends with a question mark.
    pub in_question: bool,
}

/// The separator of two words.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Gap {
    /// White space.
    Space,
    /// A comma, a bracket or code: the sentence continues, a phrase does not.
    Mark,
    /// The end of a sentence, a paragraph, a list item or a cell.
    Sentence,
}

/// Returns the words of comments; lines that follow each other form paragraphs.
pub fn of_comments(comments: &[Comment]) -> Vec<Word> {
    let mut writer = Writer::default();
    let mut before: Option<&Comment> = None;
    for comment in comments {
        let continues = before.is_some_and(|before| {
            before.line + 1 == comment.line && before.marks == comment.marks && comment.alone && before.alone
        });
        if !continues {
            writer.end_block();
        }
        writer.line(comment.line, &comment.text);
        before = Some(comment);
    }
    writer.finish()
}

/// Returns the words of a Markdown text.
pub fn of_markdown(text: &str) -> Vec<Word> {
    let mut writer = Writer::default();
    for (number, line) in text.lines().enumerate() {
        writer.line(number + 1, line);
    }
    writer.finish()
}

/// Returns the words of the values in a Fluent file: no comments, keys, selectors or arguments.
pub fn of_fluent(text: &str) -> Vec<Word> {
    let mut writer = Writer::default();
    for (number, line) in text.lines().enumerate() {
        let is_variant = line.trim_start().starts_with(['[', '*']);
        let value = match line.split_once('=') {
            _ if line.starts_with('#') => continue,
            Some((_, value)) if !line.starts_with(' ') => value,
            _ if is_variant => line.split_once(']').map_or("", |(_, value)| value),
            _ => line,
        };
        writer.sentence();
        writer.line(number + 1, &without_placeables(value));
    }
    writer.finish()
}

/// Returns the words of a function's name.
pub fn of_name(name: &str, line: usize) -> Vec<Word> {
    let parts = name.split('_').filter(|part| !part.is_empty()).enumerate();
    parts
        .map(|(at, part)| Word {
            text: part.to_lowercase(),
            is_capital: at == 0,
            line,
            gap: if at == 0 { Gap::Sentence } else { Gap::Space },
            in_question: false,
        })
        .collect()
}

fn without_placeables(value: &str) -> String {
    let mut depth = 0;
    let mut kept = String::new();
    for c in value.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                // An argument separates words as a mark does.
                kept.push(',');
            }
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Collects words from lines.
struct Writer {
    words: Vec<Word>,
    gap: Gap,
    /// Whether lines are inside of a code block.
    in_fence: bool,
    /// Number of backquotes that opened the code span around the place.
    span: usize,
    /// Index of the first word of the sentence.
    sentence: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self { words: Vec::new(), gap: Gap::Sentence, in_fence: false, span: 0, sentence: 0 }
    }
}

impl Writer {
    fn end_block(&mut self) {
        self.in_fence = false;
        self.sentence();
    }

    fn sentence(&mut self) {
        self.span = 0;
        self.gap = Gap::Sentence;
        self.sentence = self.words.len();
    }

    fn line(&mut self, number: usize, line: &str) {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            self.in_fence = !self.in_fence;
            return self.sentence();
        }
        if self.in_fence {
            return;
        }
        let is_item = ["- ", "* ", "+ ", "> "].iter().any(|mark| trimmed.starts_with(mark));
        if trimmed.is_empty() || trimmed.starts_with(['#', '|']) || is_item {
            self.sentence();
        }
        self.text(number, line, trimmed.starts_with('|'));
        if trimmed.starts_with('#') {
            self.sentence();
        }
    }

    fn text(&mut self, number: usize, line: &str, is_table: bool) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            if c == '`' {
                length = rest.len() - rest.trim_start_matches('`').len();
                self.backquotes(length);
            } else if self.span > 0 {
                // Inside of a code span.
                rest = &rest[length..];
                continue;
            } else if c.is_alphanumeric() || c == '_' {
                length = word_length(rest);
                self.word(number, &rest[..length]);
            } else if rest.starts_with("](") {
                // The target of a link.
                length = rest.find(')').map_or(rest.len(), |end| end + 1);
                self.widen(Gap::Mark);
            } else {
                self.mark(c, &rest[length..], is_table);
            }
            rest = &rest[length..];
        }
    }

    fn backquotes(&mut self, count: usize) {
        if self.span == 0 {
            self.span = count;
            self.widen(Gap::Mark);
        } else if self.span == count {
            self.span = 0;
        }
    }

    fn mark(&mut self, c: char, after: &str, is_table: bool) {
        let ends_word = after.is_empty() || after.starts_with(|next: char| !next.is_alphanumeric());
        match c {
            ' ' | '\t' | '*' => {}
            '?' => {
                let sentence = self.sentence;
                self.words[sentence..].iter_mut().for_each(|word| word.in_question = true);
                self.sentence();
            }
            '.' | '!' if ends_word => self.sentence(),
            '|' if is_table => self.sentence(),
            '。' => self.sentence(),
            _ => self.widen(Gap::Mark),
        }
    }

    fn widen(&mut self, gap: Gap) {
        if gap > self.gap {
            self.gap = gap;
        }
    }

    fn word(&mut self, line: usize, word: &str) {
        let lower = word.to_lowercase();
        let text = ["'s", "’s"].iter().find_map(|end| lower.strip_suffix(end)).unwrap_or(&lower).to_string();
        let is_capital = word.starts_with(char::is_uppercase);
        self.words.push(Word { text, is_capital, line, gap: self.gap, in_question: false });
        self.gap = Gap::Space;
    }

    fn finish(self) -> Vec<Word> {
        self.words
    }
}

/// Length of the word at the start of `text`; apostrophes and hyphens inside belong to it.
fn word_length(text: &str) -> usize {
    let is_inner = |c: char| matches!(c, '\'' | '’' | '-');
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && !is_inner(c)).unwrap_or(text.len());
    text[..end].trim_end_matches(is_inner).len()
}
