//! Derives the user's mistake from a TOML syntax error, by inspecting the line of the error.

use toml_edit::{Key, TomlError};

use super::parse::name_mistake;
use super::position::SourceText;
use crate::base::{Name, Phrase};

/// Punctuation of a Chinese keyboard, and the TOML punctuation for it.
///
/// Quotes, colon and equals sign have their own phrases.
const FULL_WIDTH: [(char, &str); 13] = [
    ('，', ","),
    ('、', ","),
    ('。', "."),
    ('．', "."),
    ('＃', "#"),
    ('［', "["),
    ('］', "]"),
    ('【', "["),
    ('】', "]"),
    ('｛', "{"),
    ('｝', "}"),
    ('－', "-"),
    ('＿', "_"),
];

/// Tables whose keys are names that the user chooses.
const TABLES_OF_NAMES: [&str; 2] = ["contacts", "relays"];

/// Returns the phrase for a TOML syntax error.
pub(super) fn diagnose(source: SourceText<'_>, error: &TomlError) -> Phrase {
    let span = error.span().unwrap_or(0..0);
    if error.message().starts_with("duplicate key") {
        return duplicate(source, span);
    }
    let line = Line::of(source, span.start);
    line.full_width()
        .or_else(|| line.plain())
        .unwrap_or_else(|| source.mistake("book-syntax", span.start).with("why", error.message()))
}

fn duplicate(source: SourceText<'_>, span: std::ops::Range<usize>) -> Phrase {
    let key = unquoted(&source.text[span.clone()]);
    let start = source.line_start(span.start);
    let above = &source.text[..start];
    let header = above.lines().rev().map(str::trim).find(|line| line.starts_with('['));
    let lead = source.text[start..span.start].trim();
    let is_name_in = |table: &&str| match lead.is_empty() {
        true => header.is_some_and(|header| header.starts_with(&format!("[{table}]"))),
        false => lead == format!("[{table}."),
    };
    let table = TABLES_OF_NAMES.iter().find(|table| is_name_in(table));
    match table.and_then(|table| first_line_of(above, table, &key)) {
        Some(first) => {
            source.mistake("book-duplicate-name", span.start).with("name", key).with("first", first)
        }
        None => source.mistake("book-duplicate-key", span.start).with("key", key),
    }
}

/// Returns the first line, from 1, on which a table has this name.
fn first_line_of(above: &str, table: &str, name: &str) -> Option<usize> {
    let mut inside = false;
    let is_name =
        |text: &str, end: char| text.find(end).is_some_and(|at| unquoted(text[..at].trim()) == name);
    let at = above.lines().position(|line| {
        let line = line.trim_start();
        let Some(header) = line.strip_prefix('[') else { return inside && is_name(line, '=') };
        let rest = header.strip_prefix(table).unwrap_or_default();
        inside = rest.starts_with(']');
        rest.strip_prefix('.').is_some_and(|rest| is_name(rest, ']'))
    });
    at.map(|at| at + 1)
}

/// Returns the first part of a key without its quotes.
fn unquoted(key: &str) -> String {
    let parsed = Key::parse(key).ok().and_then(|parts| parts.first().map(|part| part.get().to_owned()));
    parsed.unwrap_or_else(|| key.to_owned())
}

/// The line of the error, up to its comment.
struct Line<'a> {
    source: SourceText<'a>,
    start: usize,
    text: &'a str,
    /// Offset of an opening quote without a closing one.
    unclosed: Option<usize>,
    /// Characters outside quotes, with their offsets.
    outside: Vec<(usize, char)>,
}

impl<'a> Line<'a> {
    fn of(source: SourceText<'a>, at: usize) -> Line<'a> {
        let start = source.line_start(at);
        let mut text = source.text[start..source.line_end(at)].trim_end_matches('\r');
        let mut quote = None;
        let mut escaped = false;
        let mut outside = Vec::new();
        for (at, c) in text.char_indices() {
            match quote {
                Some((_, '"')) if escaped => escaped = false,
                Some((_, '"')) if c == '\\' => escaped = true,
                Some((_, open)) if c == open => quote = None,
                Some(_) => {}
                None if c == '#' => {
                    text = &text[..at];
                    break;
                }
                None if matches!(c, '"' | '\'') => quote = Some((at, c)),
                None => outside.push((at, c)),
            }
        }
        Line { source, start, text, unclosed: quote.map(|(at, _)| at), outside }
    }

    /// Finds a mistake of a Chinese keyboard: the first non-ASCII character outside quotes.
    fn full_width(&self) -> Option<Phrase> {
        if let Some(open) = self.unclosed {
            let close = self.text[open..].find(['”', '“', '＂'])?;
            return Some(self.mistake("book-full-width-quotes", open + close));
        }
        let (at, c) = *self.outside.iter().find(|(_, c)| !c.is_ascii())?;
        Some(match c {
            '“' | '”' | '„' | '＂' | '‘' | '’' | '「' | '」' | '『' | '』' | '«' | '»' => {
                self.mistake("book-full-width-quotes", at)
            }
            '：' => self.mistake("book-full-width-colon", at),
            '＝' => self.mistake("book-full-width-equals", at),
            _ if c.is_whitespace() => self.mistake("book-full-width-space", at),
            _ => match FULL_WIDTH.iter().find(|(wide, _)| *wide == c) {
                Some((_, ascii)) => {
                    self.mistake("book-full-width-mark", at).with("found", c).with("wanted", ascii)
                }
                None => self.bare_word(at),
            },
        })
    }

    /// Reports a word of another script without quotes.
    fn bare_word(&self, at: usize) -> Phrase {
        let is_header = self.text.trim_start().starts_with('[');
        let ends = |c: char| c.is_whitespace() || "=,{}[]\"'“”：＝，".contains(c) || (is_header && c == '.');
        let start = self.text[..at]
            .rfind(ends)
            .map_or(0, |i| i + self.text[i..].chars().next().map_or(1, char::len_utf8));
        let end = self.text[at..].find(ends).map_or(self.text.len(), |i| at + i);
        let word = &self.text[start..end];
        if self.text[..start].trim_end().ends_with('=') {
            return self.mistake("book-bare-value", start).with("value", word);
        }
        match word.parse::<Name>() {
            Ok(name) => self.mistake("book-bare-key", start).with("name", name),
            Err(error) => name_mistake(self.source, error, word, self.start + start),
        }
    }

    /// Finds a mistake within ASCII.
    fn plain(&self) -> Option<Phrase> {
        if let Some(open) = self.unclosed {
            return Some(self.mistake("book-unclosed-quote", open));
        }
        let indent = self.text.len() - self.text.trim_start().len();
        let body = self.text.trim();
        if body.is_empty() || body.starts_with('[') {
            return None;
        }
        let equals = self.outside.iter().find(|(_, c)| *c == '=').map(|(at, _)| *at);
        let colon = self.outside.iter().find(|(_, c)| *c == ':').map(|(at, _)| *at);
        let Some(equals) = equals else {
            return Some(match colon {
                Some(colon) => self.mistake("book-colon", colon),
                None => self.mistake("book-no-value", self.text.trim_end().len()).with("name", body),
            });
        };
        if colon.is_some_and(|colon| colon < equals) {
            return Some(self.mistake("book-colon", colon?));
        }
        let key = self.text[..equals].trim();
        if Key::parse(key).is_err() && !key.contains(['"', '\'']) {
            return Some(match key.parse::<Name>() {
                Ok(name) => self.mistake("book-bare-key", indent).with("name", name),
                Err(error) => name_mistake(self.source, error, key, self.start + indent),
            });
        }
        let value = self.text[equals + 1..].trim();
        if value.is_empty() {
            return Some(self.mistake("book-no-value", self.text.trim_end().len()).with("name", key));
        }
        let at = self.text.trim_end().len() - value.len();
        let is_bare =
            value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[' && value.contains("]:"));
        is_bare.then(|| self.mistake("book-bare-value", at).with("value", value))
    }

    fn mistake(&self, key: &'static str, at: usize) -> Phrase {
        self.source.mistake(key, self.start + at)
    }
}
