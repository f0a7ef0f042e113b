//! The thin outside of line mode: lines in, words out. On a terminal, lines are edited while letters appear above
//! them; otherwise they are read plainly. Decides nothing.
//!
//! Reading has its own thread, which waits after each line for [`Screen::ask`]: so the prompt is always the right one,
//! and a file piped in is read no faster than it is worked off.

mod editor;
mod plain_lines;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::base::Phrase;

use super::line::Typed;

/// Words waiting to be drawn above the line; beyond it the caller waits. They wait only while the user searches the
/// history.
const DRAWN_LATER_MAX: usize = 256;
/// The end waits so long for words to be drawn: drawing takes microseconds, a history search would take for ever.
const FINISH_MAX: Duration = Duration::from_millis(300);

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

/// Both outputs of a process whose input is read line by line.
#[derive(Debug)]
pub struct Screen {
    asks: Sender<Ask>,
    drawer: Option<Drawer>,
    before: Option<Termios>,
}

/// The thread that hands words to the line editor, which may take its time.
#[derive(Debug)]
struct Drawer {
    words: SyncSender<String>,
    done: Receiver<()>,
}

impl Screen {
    /// Starts reading. `typed` is called on the reading thread; it must not wait for long. The first line is read after
    /// the first [`Screen::ask`].
    ///
    /// # Errors
    /// The terminal's or the thread's, as the system gives it.
    pub fn open(typed: impl FnMut(Typed) + Send + 'static) -> io::Result<Screen> {
        let (asks, asked) = channel();
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Screen::open_plain(asks, asked, typed);
        }
        let before = tcgetattr(io::stdin())?;
        let Ok((editor, printer)) = editor::open() else {
            return Screen::open_plain(asks, asked, typed);
        };
        let drawer = Drawer::start(printer)?;
        thread::Builder::new().name("keys".into()).spawn(move || editor::run(editor, &asked, typed))?;
        Ok(Screen { asks, drawer: Some(drawer), before: Some(before) })
    }

    fn open_plain(
        asks: Sender<Ask>,
        asked: Receiver<Ask>,
        typed: impl FnMut(Typed) + Send + 'static,
    ) -> io::Result<Screen> {
        thread::Builder::new().name("lines".into()).spawn(move || plain_lines::run(&asked, typed))?;
        Ok(Screen { asks, drawer: None, before: None })
    }

    /// Asks for the next line. `candidates` complete it.
    pub fn ask(&self, prompt: &str, candidates: Vec<String>) {
        // The reader is gone after the end of input: then nothing more is asked.
        let _ = self.asks.send(Ask { prompt: prompt.to_owned(), candidates });
    }

    /// Writes whole lines to standard output; on a terminal, above the line that is being typed.
    ///
    /// # Errors
    /// The system's, but not that of a closed pipe.
    pub fn print(&self, lines: &str) -> io::Result<Written> {
        match &self.drawer {
            Some(drawer) => drawer.draw(lines),
            None => write_out(lines),
        }
    }

    /// Writes whole lines to standard error; above the line that is being typed if it is that terminal.
    ///
    /// # Errors
    /// The system's, but not that of a closed pipe.
    pub fn tell(&self, lines: &str) -> io::Result<Written> {
        match &self.drawer {
            Some(drawer) if io::stderr().is_terminal() => drawer.draw(lines),
            _ => write_err(lines),
        }
    }

    /// Ends: what was printed is drawn, and the terminal is left as it was found. The process may exit after it, though
    /// the reading thread may still wait for a key.
    pub fn finish(self) {
        drop(self.asks);
        if let Some(drawer) = self.drawer {
            drawer.finish();
        }
        let Some(before) = self.before else { return };
        let raw = tcgetattr(io::stdin()).is_ok_and(|now| now.local_modes != before.local_modes);
        if raw {
            // Nothing is left to do about a terminal that is gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            let _ = write_out(editor::LEAVE);
        }
    }
}

impl Drawer {
    fn start(mut printer: impl rustyline::ExternalPrinter + Send + 'static) -> io::Result<Drawer> {
        let (words, to_draw) = sync_channel::<String>(DRAWN_LATER_MAX);
        let (finished, done) = channel();
        thread::Builder::new().name("screen".into()).spawn(move || {
            for lines in to_draw {
                if printer.print(lines.clone()).is_err() {
                    let _ = write_out(&lines);
                }
            }
            let _ = finished.send(());
        })?;
        Ok(Drawer { words, done })
    }

    fn draw(&self, lines: &str) -> io::Result<Written> {
        self.words.send(lines.to_owned()).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        Ok(Written::Yes)
    }

    /// The editor takes one text at a time and only after it has drawn the one before: when it has taken two that
    /// show nothing, all others are drawn.
    fn finish(self) {
        for _ in 0..2 {
            let _ = self.words.try_send(editor::NOTHING.to_owned());
        }
        drop(self.words);
        let _ = self.done.recv_timeout(FINISH_MAX);
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
