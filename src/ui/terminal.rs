//! Terminal input and output for line mode: a [`InputReader`] reads lines, a [`OutputWriter`]
//! writes. On a terminal, lines are edited while letters appear above them; otherwise they are read
//! without editing. No decisions are made here.
//!
//! A pen blocks while the reader is slow, the terminal is stopped, or the user searches the
//! history, so it needs its own thread. Reading has its own thread too, which waits after each line
//! for [`InputReader::prompt`]. So the prompt is always current, and a piped file is read no faster
//! than it is processed.

mod editor;
mod plain_lines;

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::base::Phrase;

use super::line::UserInput;

/// Reports that input has failed and that no more follows.
fn fail(on_input: &mut impl FnMut(UserInput), cause: impl std::fmt::Display) {
    on_input(UserInput::Refused(Phrase::new("input-failed").with("cause", cause)));
    on_input(UserInput::EndOfInput);
}

/// Prompt for the next line, and its completions.
#[derive(Debug)]
struct Prompt {
    prompt: String,
    candidates: Vec<String>,
}

/// Whether output still has a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// The text was written, or will be drawn.
    Yes,
    /// The reader has closed its end (`… | head`): end with success.
    Closed,
}

/// An output of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output: results.
    Out,
    /// Standard error: notices.
    Err,
}

/// Input of a process, read line by line.
#[derive(Debug)]
pub struct InputReader {
    prompts: Sender<Prompt>,
    before: Option<Termios>,
}

/// Writer for both outputs of a process.
#[derive(Default)]
pub struct OutputWriter {
    /// Draws above the line that is being typed. It takes one text at a time.
    above: Option<Box<dyn rustyline::ExternalPrinter + Send>>,
}

impl InputReader {
    /// Starts reading, and returns the matching pen. Keep the pen as long as the screen. `typed` is
    /// called on the reading thread and must not block for long. The first line is read after the
    /// first [`InputReader::prompt`].
    ///
    /// # Errors
    /// System errors of the terminal or thread.
    pub fn open(on_input: impl FnMut(UserInput) + Send + 'static) -> io::Result<(InputReader, OutputWriter)> {
        let (prompt_sender, prompts) = channel();
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return InputReader::open_plain(prompt_sender, prompts, on_input);
        }
        let before = tcgetattr(io::stdin())?;
        let Ok((editor, printer)) = editor::open() else {
            return InputReader::open_plain(prompt_sender, prompts, on_input);
        };
        thread::Builder::new().name("keys".into()).spawn(move || editor::run(editor, &prompts, on_input))?;
        Ok((
            InputReader { prompts: prompt_sender, before: Some(before) },
            OutputWriter { above: Some(Box::new(printer)) },
        ))
    }

    fn open_plain(
        prompt_sender: Sender<Prompt>,
        prompts: Receiver<Prompt>,
        on_input: impl FnMut(UserInput) + Send + 'static,
    ) -> io::Result<(InputReader, OutputWriter)> {
        thread::Builder::new().name("lines".into()).spawn(move || plain_lines::run(&prompts, on_input))?;
        Ok((InputReader { prompts: prompt_sender, before: None }, OutputWriter::default()))
    }

    /// Asks for the next line, with completions `candidates`.
    pub fn prompt(&self, prompt: &str, candidates: Vec<String>) {
        // After the end of input the reader is gone, and no line is needed.
        let _ = self.prompts.send(Prompt { prompt: prompt.to_owned(), candidates });
    }

    /// Stops reading and restores the terminal. The process may exit afterwards, even if the
    /// reading thread still waits for a key.
    pub fn finish(self) {
        drop(self.prompts);
        let Some(before) = self.before else { return };
        let raw = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != before.local_modes);
        if raw {
            // An error means that the terminal has gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            let _ = write_out(editor::LEAVE);
        }
    }
}

impl OutputWriter {
    /// Writes whole lines, above the line that is being typed if they go to that terminal.
    ///
    /// # Errors
    /// System errors, except for a closed pipe.
    pub fn write(&mut self, to: Output, lines: &str) -> io::Result<WriteResult> {
        match &mut self.above {
            _ if lines.is_empty() => Ok(WriteResult::Yes),
            Some(printer) if to == Output::Out || io::stderr().is_terminal() => {
                match printer.print(lines.to_owned()) {
                    Ok(()) => Ok(WriteResult::Yes),
                    Err(_) => write_out(lines),
                }
            }
            _ if to == Output::Err => write_err(lines),
            _ => write_out(lines),
        }
    }

    /// Waits until everything written is visible. The editor takes one text at a time, and only
    /// after it has drawn the one before. When it has taken two texts that draw nothing, all others
    /// are drawn.
    pub fn settle(&mut self) {
        let Some(printer) = &mut self.above else { return };
        for _ in 0..2 {
            if printer.print(editor::NOTHING.to_owned()).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for OutputWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("above", &self.above.is_some()).finish()
    }
}

/// Whether a terminal of this process is gone: its window was closed, or the connection to it broke.
///
/// Its descriptors then fail with EIO, unlike those of files and pipes (ENOTTY).
pub fn has_hung_up() -> bool {
    let ends = [tcgetattr(io::stdin()).err(), tcgetattr(io::stdout()).err(), tcgetattr(io::stderr()).err()];
    ends.contains(&Some(Errno::IO))
}

/// Returns the width of standard output in cells, if it is a terminal.
pub fn width() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Writes to standard output and flushes it.
///
/// # Errors
/// System errors, except for a closed pipe.
pub fn write_out(lines: &str) -> io::Result<WriteResult> {
    write_to(io::stdout().lock(), lines)
}

/// Writes to standard error.
///
/// # Errors
/// System errors, except for a closed pipe.
pub fn write_err(lines: &str) -> io::Result<WriteResult> {
    write_to(io::stderr().lock(), lines)
}

fn write_to(mut output: impl Write, lines: &str) -> io::Result<WriteResult> {
    match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(WriteResult::Yes),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(WriteResult::Closed),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn closed_pipe_is_not_an_error_but_full_disk_is() {
        assert_eq!(write_to(Failing(ErrorKind::BrokenPipe), "x\n").unwrap(), WriteResult::Closed);
        assert_eq!(
            write_to(Failing(ErrorKind::StorageFull), "x\n").unwrap_err().kind(),
            ErrorKind::StorageFull
        );
        let mut out = Vec::new();
        assert_eq!(write_to(&mut out, "x\n").unwrap(), WriteResult::Yes);
        assert_eq!(out, b"x\n");
    }
}
