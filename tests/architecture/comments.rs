//! Comments of a Rust text. `syn` drops them; this scanner finds them.

/// One line of a comment.
#[derive(Debug, PartialEq)]
pub struct Comment {
    /// Line number, from 1.
    pub line: usize,
    /// Its text without the marks and one space after them.
    pub text: String,
    /// The marks: `//`, `///`, `//!` or `/*`.
    pub marks: &'static str,
    /// Whether no code precedes it on its line.
    pub alone: bool,
}

/// Returns the comments of `text` in order.
pub fn of(text: &str) -> Vec<Comment> {
    let mut scanner = Scanner { text, at: 0, line: 1, alone: true, found: Vec::new() };
    while scanner.at < text.len() {
        scanner.step();
    }
    scanner.found
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    alone: bool,
    found: Vec<Comment>,
}

impl Scanner<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        let end = (self.at + bytes).min(self.text.len());
        self.line += self.text.as_bytes()[self.at..end].iter().filter(|byte| **byte == b'\n').count();
        self.at = end;
    }

    fn step(&mut self) {
        let rest = self.rest();
        match rest[0] {
            b'\n' => {
                self.advance(1);
                self.alone = true;
            }
            byte if byte.is_ascii_whitespace() => self.advance(1),
            b'/' if rest.starts_with(b"//") => self.line_comment(),
            b'/' if rest.starts_with(b"/*") => self.block_comment(),
            _ => {
                self.alone = false;
                self.code();
            }
        }
    }

    fn line_comment(&mut self) {
        let end = self.text[self.at..].find('\n').map_or(self.text.len(), |length| self.at + length);
        let whole = &self.text[self.at..end];
        // Four slashes and more are a plain comment.
        let marks = match whole {
            doc if doc.starts_with("///") && !doc.starts_with("////") => "///",
            doc if doc.starts_with("//!") => "//!",
            _ => "//",
        };
        let text = whole[marks.len()..].trim_end();
        let text = text.strip_prefix(' ').unwrap_or(text).to_string();
        self.found.push(Comment { line: self.line, text, marks, alone: self.alone });
        self.at = end;
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        let mut length = 0;
        let rest = self.rest();
        while length < rest.len() {
            match &rest[length..] {
                [b'/', b'*', ..] => {
                    depth += 1;
                    length += 2;
                }
                [b'*', b'/', ..] => {
                    depth -= 1;
                    length += 2;
                }
                _ => length += 1,
            }
            if depth == 0 {
                break;
            }
        }
        let whole = &self.text[self.at..self.at + length];
        for (number, line) in whole.lines().enumerate() {
            let text = line.trim().trim_start_matches(['/', '*', '!']).trim_end_matches(['/', '*']).trim();
            let alone = self.alone || number > 0;
            self.found.push(Comment { line: self.line + number, text: text.to_string(), marks: "/*", alone });
        }
        self.advance(length);
    }

    /// Passes one token of code, a whole literal at a time.
    fn code(&mut self) {
        let rest = self.rest();
        let length = match rest[0] {
            b'"' => string_length(rest),
            b'\'' => quote_length(&self.text[self.at..]),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let word =
                    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                let is_raw = matches!(&rest[..word], b"r" | b"br" | b"cr");
                if is_raw { raw_string_length(rest, word).unwrap_or(word) } else { word }
            }
            _ => self.text[self.at..].chars().next().map_or(1, char::len_utf8),
        };
        self.advance(length);
    }
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a raw string after a prefix of `prefix` bytes; `None` for an identifier like `r#type`.
fn raw_string_length(rest: &[u8], prefix: usize) -> Option<usize> {
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = prefix + hashes + 1;
    let found = rest[body..].windows(end.len()).position(|window| window == end);
    Some(found.map_or(rest.len(), |at| body + at + end.len()))
}

/// Length of a character literal, or of the quote that opens a lifetime.
fn quote_length(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escaped, _))) => {
            rest[escaped + 1..].find('\'').map_or(rest.len(), |at| escaped + 1 + at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, String)> {
        of(text).into_iter().map(|comment| (comment.line, comment.text)).collect()
    }

    #[test]
    fn comments_are_found_with_their_lines() {
        let text = "//! head\nfn f() {} // tail\n    /// doc\n/* one\n * two */\n//// rule";
        let found = of(text);
        let marks: Vec<_> =
            found.iter().map(|comment| (comment.line, comment.marks, comment.alone)).collect();
        let expected = [
            (1, "//!", true),
            (2, "//", false),
            (3, "///", true),
            (4, "/*", true),
            (5, "/*", true),
            (6, "//", true),
        ];
        assert_eq!(marks, expected);
        assert_eq!(found[1].text, "tail");
        assert_eq!(found[4].text, "two");
    }

    #[test]
    fn slashes_in_literals_are_not_comments() {
        assert_eq!(lines("let a = \"// no \\\" // no\";"), []);
        assert_eq!(lines("let a = r#\"// \" no\"#; // yes"), [(1, "yes".to_string())]);
        assert_eq!(lines("let a = '\"'; // yes"), [(1, "yes".to_string())]);
        assert_eq!(lines("let a = '\\''; // yes"), [(1, "yes".to_string())]);
        assert_eq!(lines("fn f<'a>(a: &'a str) {} // yes"), [(1, "yes".to_string())]);
        assert_eq!(lines("let a = \"one\n// no\n\"; // yes"), [(3, "yes".to_string())]);
        assert_eq!(lines("let r#type = 1; // yes"), [(1, "yes".to_string())]);
    }
}
