//! Words of plain text, between a guest and the relay alone: what members write is never searched
//! for them.

/// Says to the other end that the conversation is over: a guest's word for its relay, and the
/// relay's for a guest.
pub(super) const BYE: &str = "q";

/// What a line of a guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// The guest ends the conversation, and hears the same.
    Bye,
    /// The guest goes, and expects no answer.
    Gone,
    Empty,
    Text(&'a [u8]),
}

/// A line without its end.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Reads a line, with its end or without.
pub(super) fn read(line: &[u8]) -> Line<'_> {
    let line = without_end(line);
    match line {
        b"" => Line::Empty,
        b"exit" | b"quit" => Line::Gone,
        _ if line == BYE.as_bytes() => Line::Bye,
        _ => Line::Text(line),
    }
}
