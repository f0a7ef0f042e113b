//! A question to the user on a terminal, before the event loop exists. Reads one line, with or
//! without echo.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::{SigId, flag, low_level};

use crate::base::{Name, Phrase};
use crate::net::not_ignored;
use crate::ui::Strings;
use crate::ui::terminal::{not_utf8, write_err};

use super::{ExitStatus, Failure, Setup, say};

/// Maximum answer length in bytes: the longest line of a terminal (N_TTY_BUF_SIZE on Linux).
const ANSWER_LEN_MAX: usize = 4096;
/// Answers that mean yes.
const YES: [&str; 3] = ["y", "yes", "是"];
/// Polling interval for signals. A signal that arrives just before the wait begins is noticed after
/// 200 ms.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Shows `phrase` and reads one line, without its end; `None` at the end of input. With `hidden`
/// the terminal does not echo the line. The terminal's modes are restored. A line that is not UTF-8
/// is asked for again, and so is one that the user had begun before stopping the process.
///
/// # Errors
/// [`Failure`]: 1 if the terminal cannot be read, 130 if the user or a signal interrupts.
pub(super) fn ask(strings: &Strings, phrase: &Phrase, hidden: bool) -> Result<Option<String>, Failure> {
    let failed = |error: io::Error| Failure::from(Phrase::new("input-failed").with("cause", error));
    let signals = Signals::watch().map_err(failed)?;
    let quiet = hidden.then(Quiet::begin).transpose().map_err(failed)?;
    let _ = write_err(&strings.say(phrase));
    let mut line = Vec::new();
    loop {
        if signals.came() {
            drop(quiet);
            let _ = write_err("\n");
            return Err(Failure::silent(ExitStatus::Interrupted));
        }
        if signals.must_stop() {
            // Not every shell sets the terminal for itself.
            quiet.as_ref().map_or(Ok(()), Quiet::restore).map_err(failed)?;
            low_level::emulate_default_handler(SIGTSTP).map_err(failed)?;
        }
        if signals.has_continued() {
            if let Some(quiet) = &quiet {
                quiet.apply().map_err(failed)?;
            }
            let _ = write_err(&strings.say(phrase));
        }
        if !is_readable().map_err(failed)? {
            continue;
        }
        let mut bytes = [0; ANSWER_LEN_MAX];
        let len = match io::stdin().lock().read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        };
        line.extend_from_slice(&bytes[..len]);
        if len == 0 && line.is_empty() {
            return Ok(None);
        }
        if len == 0 || line.contains(&b'\n') || line.len() > ANSWER_LEN_MAX {
            let first = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if let Ok(text) = std::str::from_utf8(first) {
                return Ok(Some(text.trim_end_matches('\r').to_owned()));
            }
            line.clear();
            let dropped = strings.say(&not_utf8("input-dropped"));
            let _ = write_err(&format!("{dropped}\n{}", strings.say(phrase)));
        }
    }
}

/// Asks for the user's name until the answer is one. The answer is not stored.
///
/// # Errors
/// `name-not-given` if the user cannot be asked or the input ends, and those of [`ask`].
pub(super) fn ask_name(setup: &Setup) -> Result<Name, Failure> {
    let not_given = || Failure::usage(Phrase::new("name-not-given"));
    if !can_ask() {
        return Err(not_given());
    }
    while let Some(line) = ask(&setup.strings, &Phrase::new("name-ask"), false)? {
        match line.trim() {
            "" => {}
            text => match text.parse::<Name>() {
                Ok(name) => return Ok(name),
                Err(error) => drop(write_err(&format!("{}\n", setup.strings.say(&error.phrase())))),
            },
        }
    }
    Err(not_given())
}

/// Asks whether to write the name into the address book. Any answer but yes means no. Returns
/// whether it is there.
///
/// # Errors
/// Those of [`ask`].
pub(super) fn offer_to_save(setup: &Setup, name: &Name) -> Result<bool, Failure> {
    let question = Phrase::new("name-save").with("name", name).with("file", setup.location().file());
    let answer = ask(&setup.strings, &question, false)?.unwrap_or_default();
    let is_yes = YES.contains(&answer.trim().to_lowercase().as_str());
    Ok(is_yes && save_name(setup, name))
}

/// Writes the user's name into the address book, so that later commands need no `--as`, and tells
/// the user. Returns whether it is there.
pub(super) fn save_name(setup: &Setup, name: &Name) -> bool {
    let location = setup.location();
    let saved = location.set_me(name);
    let phrase = match &saved {
        Ok(()) => Phrase::new("name-saved").with("name", name).with("file", location.file()),
        Err(phrase) => phrase.clone(),
    };
    say(&setup.strings, &phrase);
    saved.is_ok()
}

/// Whether the user can be asked: standard input and standard error are a terminal.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn is_readable() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&LOOK_EVERY)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Disables echo on the terminal until dropped.
struct Quiet {
    before: Termios,
    quiet: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Quiet> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // Echoes the newline only, so that later output begins on a new line.
        quiet.local_modes.insert(LocalModes::ECHONL);
        let quiet = Quiet { before, quiet };
        quiet.apply()?;
        Ok(quiet)
    }

    fn apply(&self) -> io::Result<()> {
        Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.quiet)?)
    }

    fn restore(&self) -> io::Result<()> {
        Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before)?)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // An error means that the terminal has gone.
        let _ = self.restore();
    }
}

/// Catches signals that would end or stop the process without restoring the terminal, and the one
/// after a stop, when the shell has changed the terminal.
struct Signals {
    came: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Signals {
    fn watch() -> io::Result<Signals> {
        let came = Arc::new(AtomicBool::new(false));
        let caught = not_ignored(&[SIGINT, SIGTERM, SIGHUP]).into_iter();
        let ids = caught.map(|signal| flag::register(signal, came.clone()));
        let stopped = Arc::new(AtomicBool::new(false));
        let stops = not_ignored(&[SIGTSTP]).into_iter();
        let ids = ids.chain(stops.map(|signal| flag::register(signal, stopped.clone())));
        let continued = Arc::new(AtomicBool::new(false));
        let ids = ids.chain([flag::register(SIGCONT, continued.clone())]);
        Ok(Signals { ids: ids.collect::<io::Result<_>>()?, came, stopped, continued })
    }

    fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }

    /// Whether the process was asked to stop since the last call.
    fn must_stop(&self) -> bool {
        self.stopped.swap(false, Ordering::Relaxed)
    }

    /// Whether the process was continued since the last call.
    fn has_continued(&self) -> bool {
        self.continued.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}
