//! Lines from a file, a pipe, or a terminal that does not support editing.

use std::io::{self, BufRead, ErrorKind, IsTerminal};
use std::sync::mpsc::Receiver;

use crate::base::Phrase;
use crate::ui::line::UserInput;
use crate::wire::limits::LETTER_TEXT_MAX;

use super::{NO_PANIC, Prompt, VisiblePrompt, without_mark};

/// Maximum line length in bytes: a letter and 1 KiB, so that a letter slightly too long can be
/// returned.
const LINE_LEN_MAX: usize = LETTER_TEXT_MAX + 1024;

/// Reads a line for each prompt, until the input or the prompts end. Prompts are printed if stdin
/// is a terminal, and then are `visible` while a line is read.
pub(super) fn run(prompts: &Receiver<Prompt>, visible: &VisiblePrompt, mut on_input: impl FnMut(UserInput)) {
    let prompted = io::stdin().is_terminal();
    let mut input = io::stdin().lock();
    let mut is_first = true;
    for ask in prompts {
        if prompted {
            let mut visible = visible.lock().expect(NO_PANIC);
            let _ = super::write_err(&ask.prompt);
            *visible = Some(ask.prompt);
        }
        let next = next_line(&mut input);
        *visible.lock().expect(NO_PANIC) = None;
        let read = match next {
            Ok(UserInput::Line(line)) if is_first => UserInput::Line(without_mark(&line).to_owned()),
            Ok(UserInput::NoInput) => super::end_of_input(),
            Ok(read) => read,
            Err(error) => return super::fail(&mut on_input, error),
        };
        is_first = false;
        let last = matches!(read, UserInput::EndOfInput | UserInput::NoInput);
        on_input(read);
        if last {
            return;
        }
    }
}

/// Reads the next line, without its end (`\n` or `\r\n`). A line that is too long or not UTF-8 is
/// read to its end and refused.
fn next_line(input: &mut impl BufRead) -> io::Result<UserInput> {
    let mut line = Vec::new();
    let mut len = 0;
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(if len == 0 { UserInput::NoInput } else { finish(line, len) });
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        let left = LINE_LEN_MAX.saturating_sub(line.len());
        line.extend_from_slice(&piece[..piece.len().min(left)]);
        len += piece.len();
        let used = piece.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(finish(line, len));
        }
    }
}

fn finish(mut line: Vec<u8>, len: usize) -> UserInput {
    if len > LINE_LEN_MAX {
        return UserInput::Refused(Phrase::new("input-too-long").with("max", LINE_LEN_MAX));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line)
        .map_or_else(|_| UserInput::Refused(super::not_utf8("input-not-utf8")), UserInput::Line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn all(input: &[u8], capacity: usize) -> Vec<UserInput> {
        let mut input = BufReader::with_capacity(capacity, input);
        let mut lines = Vec::new();
        loop {
            lines.push(next_line(&mut input).unwrap());
            if lines.last() == Some(&UserInput::NoInput) {
                return lines;
            }
        }
    }

    fn line(text: &str) -> UserInput {
        UserInput::Line(text.to_owned())
    }

    #[test]
    fn lines_lose_their_ends_however_reads_are_cut() {
        for capacity in [1, 2, 3, 64] {
            let lines = all("JACK\r\n约不\n\nlast".as_bytes(), capacity);
            assert_eq!(lines, [line("JACK"), line("约不"), line(""), line("last"), UserInput::NoInput]);
        }
        assert_eq!(all(b"", 8), [UserInput::NoInput]);
    }

    #[test]
    fn unreadable_input_is_reported_once() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::IsADirectory.into())
            }
        }
        assert_eq!(next_line(&mut BufReader::new(Broken)).unwrap_err().kind(), ErrorKind::IsADirectory);
        let mut inputs = Vec::new();
        super::super::fail(&mut |on_input| inputs.push(on_input), "broken");
        let phrase = Phrase::new("input-failed").with("cause", "broken");
        assert_eq!(inputs, [UserInput::Refused(phrase), super::super::end_of_input()]);
    }

    #[test]
    fn line_of_invalid_utf8_is_refused_and_next_one_read() {
        let lines = all(b"\xff\xfe\nok\n\xe9\xb9", 4);
        let refused = UserInput::Refused(Phrase::new("input-not-utf8"));
        assert_eq!(lines, [refused.clone(), line("ok"), refused, UserInput::NoInput]);
    }

    #[test]
    fn line_longer_than_any_letter_is_skipped_and_refused() {
        let longest = "x".repeat(LINE_LEN_MAX);
        let lines = all(format!("{longest}\n{longest}x\nok\n").as_bytes(), 4096);
        let refused = UserInput::Refused(Phrase::new("input-too-long").with("max", LINE_LEN_MAX));
        assert_eq!(lines, [line(&longest), refused, line("ok"), UserInput::NoInput]);
    }
}
