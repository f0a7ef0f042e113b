//! Terminal input and output for line mode: a [`InputReader`] reads lines, a [`OutputWriter`]
//! writes. On a terminal, lines are edited while letters appear above them; otherwise they are read
//! without editing. No decisions are made here.
//!
//! A pen blocks while the reader is slow, the terminal is stopped, or the user searches the
//! history, so it needs its own thread. Reading has its own thread too, which waits after each line
//! for [`InputReader::prompt`]. So the prompt is always current, and a piped file is read no faster
//! than it is processed.

mod editor;
mod filtered_terminal;
mod key_filter;
mod plain_lines;
mod resize;

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::io::Errno;
use rustix::termios::{tcgetattr, tcgetwinsize};

use crate::base::Phrase;

use super::line::{PromptChange, UserInput};
use filtered_terminal::FilteredTerminal;

/// Why the lock of the input's consumer is not poisoned.
const NO_PANIC: &str = "the consumer only queues input";

/// Returns the phrase `key` for standard input that is not UTF-8. If that is a terminal, and the
/// user's locale has another encoding, returns a hint in ASCII instead, because the terminal shows
/// nothing else correctly.
pub fn not_utf8(key: &'static str) -> Phrase {
    match io::stdin().is_terminal() {
        true => not_utf8_in(key, |name| std::env::var(name).ok()),
        false => Phrase::new(key),
    }
}

fn not_utf8_in(key: &'static str, env: impl Fn(&str) -> Option<String>) -> Phrase {
    // POSIX, XBD 8.2: the first that is set and not empty.
    let set = |name: &&str| env(name).is_some_and(|value| !value.is_empty());
    let Some(name) = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set) else {
        return Phrase::new("input-set-locale").with("locale", "LANG=");
    };
    let value = env(name).unwrap_or_default();
    let encoding = value.to_ascii_lowercase().replace('-', "");
    match encoding.contains("utf8") {
        true => Phrase::new(key),
        false => Phrase::new("input-set-locale").with("locale", format!("{name}={value}")),
    }
}

/// Reports that input has failed and that no more follows.
fn fail(on_input: &mut impl FnMut(UserInput), cause: impl std::fmt::Display) {
    on_input(UserInput::Refused(Phrase::new("input-failed").with("cause", cause)));
    on_input(end_of_input());
}

/// Returns what the end of standard input means: a user ends it on a terminal; a closed pipe, or a
/// terminal that is gone, does not.
fn end_of_input() -> UserInput {
    if io::stdin().is_terminal() && !has_hung_up() { UserInput::EndOfInput } else { UserInput::NoInput }
}

/// Returns the text that replaces prompt and line after Enter, without a final newline. `None`
/// leaves them as they are.
pub type Echo = Box<dyn Fn(&str) -> Option<String> + Send>;

/// Request for a line.
#[derive(Default)]
pub struct Prompt {
    /// Shown before the line.
    pub prompt: String,
    /// Completions.
    pub candidates: Vec<String>,
    /// How the line is shown after Enter, if the terminal can replace it.
    pub echo: Option<Echo>,
    /// The up arrow brings this text back first, if it is not empty and the terminal can edit it.
    pub recalled: String,
}

/// Prompt in place of the one whose line is being typed.
struct Replacement {
    /// Number of the prompt that it replaces, counted from 1.
    of: u64,
    change: PromptChange,
    candidates: Vec<String>,
    echo: Option<Echo>,
}

/// The last replacement that the editor has not shown yet.
type NextReplacement = Arc<Mutex<Option<Replacement>>>;

/// Prompt that is visible on a terminal without editing, while its line is read.
type VisiblePrompt = Arc<Mutex<Option<String>>>;

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
pub struct InputReader {
    prompts: Sender<Prompt>,
    /// Number of prompts so far.
    asked: Cell<u64>,
    replacement: NextReplacement,
    visible: VisiblePrompt,
    /// Restored when the value is dropped.
    terminal: Option<FilteredTerminal>,
}

/// Writer for both outputs of a process.
#[derive(Default)]
pub struct OutputWriter {
    /// Draws above the line that is being typed. It takes one text at a time.
    above: Option<Box<dyn rustyline::ExternalPrinter + Send>>,
    /// Without editing, output begins below it and repeats it.
    prompt: VisiblePrompt,
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
        let is_empty = Arc::new(AtomicBool::new(true));
        let Ok((editor, printer, redraw)) = editor::open(Arc::clone(&is_empty)) else {
            return InputReader::open_plain(prompt_sender, prompts, on_input);
        };
        let on_input = Arc::new(Mutex::new(on_input));
        let is_reading = Arc::new(AtomicBool::new(false));
        let report = Arc::clone(&on_input);
        let on_dropped = move || {
            (*report.lock().expect(NO_PANIC))(UserInput::Dropped(not_utf8("input-dropped")));
        };
        let Ok(terminal) = FilteredTerminal::open(Arc::clone(&is_reading), is_empty, redraw, on_dropped)
        else {
            let on_input = move |input| (*on_input.lock().expect(NO_PANIC))(input);
            return InputReader::open_plain(prompt_sender, prompts, on_input);
        };
        let on_input = move |input| (*on_input.lock().expect(NO_PANIC))(input);
        let replacement = NextReplacement::default();
        let next = Arc::clone(&replacement);
        let run = move || editor::run(editor, &prompts, &next, &is_reading, on_input);
        thread::Builder::new().name("keys".into()).spawn(run)?;
        let visible = VisiblePrompt::default();
        let writer = OutputWriter { above: Some(Box::new(printer)), prompt: Arc::clone(&visible) };
        let terminal = Some(terminal);
        Ok((
            InputReader { prompts: prompt_sender, asked: Cell::new(0), replacement, visible, terminal },
            writer,
        ))
    }

    fn open_plain(
        prompt_sender: Sender<Prompt>,
        prompts: Receiver<Prompt>,
        on_input: impl FnMut(UserInput) + Send + 'static,
    ) -> io::Result<(InputReader, OutputWriter)> {
        let prompt = VisiblePrompt::default();
        let visible = Arc::clone(&prompt);
        let run = move || plain_lines::run(&prompts, &visible, on_input);
        thread::Builder::new().name("lines".into()).spawn(run)?;
        let reader = InputReader {
            prompts: prompt_sender,
            asked: Cell::new(0),
            replacement: NextReplacement::default(),
            visible: Arc::clone(&prompt),
            terminal: None,
        };
        Ok((reader, OutputWriter { above: None, prompt }))
    }

    /// Asks for the next line.
    pub fn prompt(&self, prompt: Prompt) {
        self.asked.set(self.asked.get() + 1);
        // After the end of input the reader is gone, and no line is needed.
        let _ = self.prompts.send(prompt);
    }

    /// Whether lines are edited, so that the up arrow brings a text back.
    pub const fn is_editing(&self) -> bool {
        self.terminal.is_some()
    }

    /// Replaces the prompt of the line that is being typed. The text of the line stays. The editor
    /// answers with [`UserInput::PromptReplaced`], unless the line is entered first. Without an
    /// editor the prompt is replaced at once and `true` is returned, if a line is being read.
    pub fn replace_prompt(&self, change: PromptChange, candidates: Vec<String>, echo: Option<Echo>) -> bool {
        if let Some(terminal) = &self.terminal {
            let next = Replacement { of: self.asked.get(), change, candidates, echo };
            *self.replacement.lock().expect(NO_PANIC) = Some(next);
            terminal.request_replacement();
            return false;
        }
        let mut visible = self.visible.lock().expect(NO_PANIC);
        let Some(shown) = visible.as_mut() else { return false };
        let _ = write_err(&format!("\n{}", change.prompt));
        *shown = change.prompt;
        true
    }

    /// Stops reading and restores the terminal. The process may exit afterwards, even if the
    /// reading thread still waits for a key.
    pub fn finish(self) {
        drop(self.prompts);
        drop(self.terminal);
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
            _ => {
                let (write, is_terminal): (fn(&str) -> io::Result<WriteResult>, bool) = match to {
                    Output::Out => (write_out, io::stdout().is_terminal()),
                    Output::Err => (write_err, io::stderr().is_terminal()),
                };
                let prompt = self.prompt.lock().expect(NO_PANIC);
                match prompt.as_ref().filter(|_| is_terminal) {
                    Some(prompt) => write(&format!("\n{lines}{prompt}")),
                    None => write(lines),
                }
            }
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

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("prompt", &self.prompt).finish_non_exhaustive()
    }
}

impl fmt::Debug for InputReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputReader").field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

impl fmt::Debug for OutputWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("above", &self.above.is_some()).finish()
    }
}

/// Whether a terminal of this process is gone: its window was closed, or the connection to it
/// broke.
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

/// Returns an input without a byte order mark at its start.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
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
    fn other_locale_is_named_in_ascii() {
        let phrase = |vars: &[(&str, &str)]| {
            let found = |name: &str| vars.iter().find(|(known, _)| *known == name);
            not_utf8_in("input-dropped", |name| found(name).map(|(_, value)| (*value).to_owned()))
        };
        let plain = Phrase::new("input-dropped");
        assert_eq!(phrase(&[("LANG", "zh_CN.UTF-8")]), plain);
        assert_eq!(phrase(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]), plain);
        let set = |locale| Phrase::new("input-set-locale").with("locale", locale);
        assert_eq!(phrase(&[("LANG", "zh_CN.GBK")]), set("LANG=zh_CN.GBK"));
        assert_eq!(phrase(&[("LC_ALL", "POSIX"), ("LANG", "zh_CN.UTF-8")]), set("LC_ALL=POSIX"));
        assert_eq!(phrase(&[]), set("LANG="));
        for lang in [crate::ui::Lang::En, crate::ui::Lang::Zh] {
            assert!(crate::ui::Strings::new(lang).say(&set("LANG=zh_CN.GBK")).is_ascii());
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
