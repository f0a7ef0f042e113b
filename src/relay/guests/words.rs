//! Command words of plain text, between a guest and the relay only. Members' letters are never
//! searched for them.

/// Ends a conversation: sent by a guest to the relay, and by the relay to a guest.
pub(super) const BYE: &str = "q";

/// Meaning of a guest's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The guest ends the conversation, and gets the same word back.
    Bye,
    /// The guest leaves, and expects no answer.
    Gone,
    Empty,
    Text(&'a [u8]),
}

/// Returns the line without its line ending.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Parses a line, with or without its line ending.
pub(super) fn read(line: &[u8]) -> Line<'_> {
    let line = without_end(line);
    match line {
        b"" => Line::Empty,
        b"exit" | b"quit" => Line::Gone,
        _ if line == BYE.as_bytes() => Line::Bye,
        _ => Line::Text(line),
    }
}
