//! The thin outside of line mode: lines in by a [`Screen`], words out by a [`Pen`]. On a terminal, lines are edited while
//! letters appear above them; otherwise they are read plainly. Decides nothing.
//!
//! A pen waits for as long as nobody reads, a terminal is stopped, or the user searches the history: it belongs on a
//! thread of its own. Reading has its own thread, which waits after each line for [`Screen::ask`]: so the prompt is always the right one,
//! and a file piped in is read no faster than it is worked off.

mod editor;
mod plain_lines;

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::base::Phrase;

use super::line::Typed;

/// Tells that input has failed: nothing more comes.
fn fail(typed: &mut impl FnMut(Typed), cause: impl std::fmt::Display) {
    typed(Typed::Refused(Phrase::new("input-failed").with("cause", cause)));
    typed(Typed::EndOfInput);
}

/// What is asked of the user next.
#[derive(Debug)]
struct Ask {
    prompt: String,
    candidates: Vec<String>,
}

/// Whether anybody still reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written, or will be drawn.
    Yes,
    /// The reader has closed its end (`… | head`): end with success.
    Closed,
}

/// An output of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output: results.
    Out,
    /// Standard error: talk.
    Err,
}

/// The input of a process, read line by line.
#[derive(Debug)]
pub struct Screen {
    asks: Sender<Ask>,
    before: Option<Termios>,
}

/// What writes to both outputs of a process.
#[derive(Default)]
pub struct Pen {
    /// Draws above the line that is being typed; it takes one text at a time.
    above: Option<Box<dyn rustyline::ExternalPrinter + Send>>,
}

impl Screen {
    /// Starts reading, and gives the pen that writes beside it; it is to be kept for as long as the screen. `typed` is called
    /// on the reading thread; it must not wait for long. The first line is read after the first [`Screen::ask`].
    ///
    /// # Errors
    /// The terminal's or the thread's, as the system gives it.
    pub fn open(typed: impl FnMut(Typed) + Send + 'static) -> io::Result<(Screen, Pen)> {
        let (asks, asked) = channel();
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Screen::open_plain(asks, asked, typed);
        }
        let before = tcgetattr(io::stdin())?;
        let Ok((editor, printer)) = editor::open() else {
            return Screen::open_plain(asks, asked, typed);
        };
        thread::Builder::new().name("keys".into()).spawn(move || editor::run(editor, &asked, typed))?;
        Ok((Screen { asks, before: Some(before) }, Pen { above: Some(Box::new(printer)) }))
    }

    fn open_plain(
        asks: Sender<Ask>,
        asked: Receiver<Ask>,
        typed: impl FnMut(Typed) + Send + 'static,
    ) -> io::Result<(Screen, Pen)> {
        thread::Builder::new().name("lines".into()).spawn(move || plain_lines::run(&asked, typed))?;
        Ok((Screen { asks, before: None }, Pen::default()))
    }

    /// Asks for the next line. `candidates` complete it.
    pub fn ask(&self, prompt: &str, candidates: Vec<String>) {
        // The reader is gone after the end of input: then nothing more is asked.
        let _ = self.asks.send(Ask { prompt: prompt.to_owned(), candidates });
    }

    /// Ends: the terminal is left as it was found. The process may exit after it, though the reading thread may still wait
    /// for a key.
    pub fn finish(self) {
        drop(self.asks);
        let Some(before) = self.before else { return };
        let raw = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != before.local_modes);
        if raw {
            // Nothing is left to do about a terminal that is gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            let _ = write_out(editor::LEAVE);
        }
    }
}

impl Pen {
    /// Writes whole lines; above the line that is being typed if they go to that terminal.
    ///
    /// # Errors
    /// The system's, but not that of a closed pipe.
    pub fn write(&mut self, to: Output, lines: &str) -> io::Result<Written> {
        match &mut self.above {
            _ if lines.is_empty() => Ok(Written::Yes),
            Some(printer) if to == Output::Out || io::stderr().is_terminal() => {
                match printer.print(lines.to_owned()) {
                    Ok(()) => Ok(Written::Yes),
                    Err(_) => write_out(lines),
                }
            }
            _ if to == Output::Err => write_err(lines),
            _ => write_out(lines),
        }
    }

    /// Waits until what was written can be seen. The editor takes one text at a time and only after it has drawn the one
    /// before: when it has taken two that show nothing, all others are drawn.
    pub fn settle(&mut self) {
        let Some(printer) = &mut self.above else { return };
        for _ in 0..2 {
            if printer.print(editor::NOTHING.to_owned()).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("above", &self.above.is_some()).finish()
    }
}

/// The width of standard output in cells, if it is a terminal.
pub fn width() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Writes to standard output and flushes it.
///
/// # Errors
/// The system's, but not that of a closed pipe.
pub fn write_out(lines: &str) -> io::Result<Written> {
    write_to(io::stdout().lock(), lines)
}

/// Writes to standard error.
///
/// # Errors
/// The system's, but not that of a closed pipe.
pub fn write_err(lines: &str) -> io::Result<Written> {
    write_to(io::stderr().lock(), lines)
}

fn write_to(mut output: impl Write, lines: &str) -> io::Result<Written> {
    match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(Written::Yes),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Written::Closed),
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
    fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
        assert_eq!(write_to(Failing(ErrorKind::BrokenPipe), "x\n").unwrap(), Written::Closed);
        assert_eq!(
            write_to(Failing(ErrorKind::StorageFull), "x\n").unwrap_err().kind(),
            ErrorKind::StorageFull
        );
        let mut out = Vec::new();
        assert_eq!(write_to(&mut out, "x\n").unwrap(), Written::Yes);
        assert_eq!(out, b"x\n");
    }
}
