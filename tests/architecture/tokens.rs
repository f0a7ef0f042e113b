//! Reads the tokens of macros and attributes, for which there is no syntax tree.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::facts::{PathKind, Reader};

/// Macros that mark unfinished work.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// Returns the name of a macro if it marks unfinished work.
pub fn unfinished(name: &str) -> Option<&'static str> {
    UNFINISHED.iter().copied().find(|mark| *mark == name)
}

/// Reads the arguments of a macro.
pub fn read(tokens: TokenStream, reader: &mut Reader) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut is_test = false;
    let mut at = 0;
    while at < tokens.len() {
        read_call(&tokens[at..], at.checked_sub(1).map(|before| &tokens[before]), reader);
        match &tokens[at] {
            TokenTree::Group(group) => {
                is_test |= is_attribute(&tokens, at) && group.stream().to_string() == "test";
                read(group.stream(), reader);
            }
            TokenTree::Ident(word) if word == "fn" => {
                if let (true, Some(TokenTree::Ident(name))) = (is_test, tokens.get(at + 1)) {
                    reader.add_test(name.to_string(), line_of(&tokens[at]));
                }
                is_test = false;
            }
            _ => {}
        }
        at = match path_at(&tokens, at) {
            Some(end) => read_path(&tokens, at, end, reader),
            None => at + 1,
        };
    }
}

/// Whether an attribute's list names `ignore`, as in `cfg_attr(unix, ignore)`.
pub fn ignores(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(word) if word == "ignore"))
}

/// Reads the list of an attribute: its paths, and whether it allows what clippy disallows.
pub fn read_attribute(tokens: TokenStream, line: usize, reader: &mut Reader) {
    let text = tokens.to_string();
    if text.contains("clippy :: disallowed") || text.contains("clippy::disallowed") {
        reader.facts.allowed.push(line);
    }
    read(tokens, reader);
}

/// Reads calls and statements at the first token: `unwrap()`, unfinished work, tuples.
fn read_call(tokens: &[TokenTree], before: Option<&TokenTree>, reader: &mut Reader) {
    let line = line_of(&tokens[0]);
    match tokens {
        [TokenTree::Ident(word), TokenTree::Group(arguments), ..]
            if word == "unwrap"
                && arguments.stream().is_empty()
                && before.is_some_and(|t| is_punct(t, '.')) =>
        {
            reader.add_unwrap(line);
        }
        [TokenTree::Ident(word), TokenTree::Group(names), equals, TokenTree::Group(values), end, ..]
            if word == "let"
                && is_punct(equals, '=')
                && is_punct(end, ';')
                && is_tuple(names)
                && is_tuple(values) =>
        {
            reader.facts.tuples.push(line);
        }
        [mark, TokenTree::Group(attribute), ..]
            if is_punct(mark, '#') && attribute.stream().to_string().starts_with("ignore") =>
        {
            reader.facts.unfinished.push((line, "#[ignore]"));
        }
        _ => {}
    }
}

/// Returns where the first name of a path is that begins at token `at`.
fn path_at(tokens: &[TokenTree], at: usize) -> Option<usize> {
    let follows = |back: usize| at.checked_sub(back).map(|before| &tokens[before]);
    if matches!(&tokens[at], TokenTree::Ident(_)) {
        return Some(at).filter(|_| !follows(1).is_some_and(|token| is_punct(token, '.')));
    }
    // A leading `::`, unless a type in angle brackets precedes it.
    let leads = is_colons(tokens, at) && !follows(1).is_some_and(|token| is_punct(token, '>'));
    (leads && matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)))).then_some(at + 2)
}

/// Reads the path from `start`, whose first name is token `at`; returns the token after it.
fn read_path(tokens: &[TokenTree], start: usize, mut at: usize, reader: &mut Reader) -> usize {
    let line = line_of(&tokens[start]);
    let mut segments: Vec<String> = if at > start { vec![String::new()] } else { Vec::new() };
    while let TokenTree::Ident(name) = &tokens[at] {
        segments.push(name.to_string());
        if !is_colons(tokens, at + 1) {
            break;
        }
        match tokens.get(at + 3) {
            Some(TokenTree::Ident(_)) => at += 3,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                read_group(group.stream(), &segments, reader);
                return at + 4;
            }
            Some(star) if is_punct(star, '*') => {
                reader.add_path(segments, line, PathKind::Glob);
                return at + 4;
            }
            _ => break,
        }
    }
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "unwrap") {
        reader.add_unwrap(line);
    }
    if let (Some(mark), Some(true)) = (
        segments.last().and_then(|last| unfinished(last)),
        tokens.get(at + 1).map(|token| is_punct(token, '!')),
    ) {
        reader.facts.unfinished.push((line, mark));
    }
    reader.add_path(segments, line, PathKind::Code);
    at + 1
}

/// Reads a group of imports below `prefix`.
fn read_group(group: TokenStream, prefix: &[String], reader: &mut Reader) {
    let tokens: Vec<TokenTree> = group.into_iter().collect();
    for part in tokens.split(|token| is_punct(token, ',')).filter(|part| !part.is_empty()) {
        let mut segments = prefix.to_vec();
        let line = line_of(&part[0]);
        let mut at = 0;
        while let Some(TokenTree::Ident(name)) = part.get(at) {
            segments.push(name.to_string());
            at += if is_colons(part, at + 1) { 3 } else { part.len() };
        }
        match part.get(at) {
            Some(TokenTree::Group(inner)) => read_group(inner.stream(), &segments, reader),
            Some(_) => reader.add_path(segments, line, PathKind::Glob),
            None => {
                segments.retain(|segment| segment != "self" || prefix.is_empty());
                reader.add_path(segments, line, PathKind::Code);
            }
        }
    }
}

fn is_attribute(tokens: &[TokenTree], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| is_punct(&tokens[before], '#'))
}

fn is_tuple(group: &proc_macro2::Group) -> bool {
    group.delimiter() == Delimiter::Parenthesis
        && group.stream().into_iter().any(|token| is_punct(&token, ','))
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| is_punct(token, ':'))
        && tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn line_of(token: &TokenTree) -> usize {
    token.span().start().line
}
