//! A question to the user on a terminal, before there is a loop: a line is read, shown as it is typed or not.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};

use crate::base::Phrase;
use crate::ui::Strings;
use crate::ui::terminal::write_err;

use super::{Failure, Status};

/// Longest answer: what a terminal gives as one line at most (N_TTY_BUF_SIZE on Linux).
const ANSWER_LEN_MAX: usize = 4096;
/// A signal that comes just before the wait begins is seen after this time.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Asks `phrase`, and reads one line, without its end. A terminal does not show the line where it is `hidden`, and is left
/// as it was found.
///
/// # Errors
/// [`Failure`]: 1 if the terminal cannot be read, 130 if the user, or a signal, ends it.
pub(super) fn ask(strings: &Strings, phrase: &Phrase, hidden: bool) -> Result<Option<String>, Failure> {
    let failed = |why: io::Error| Failure::from(Phrase::new("input-failed").with("cause", why));
    let signals = Signals::watch().map_err(failed)?;
    let quiet = hidden.then(Quiet::begin).transpose().map_err(failed)?;
    let _ = write_err(&strings.say(phrase));
    let mut line = Vec::new();
    loop {
        if signals.came() {
            drop(quiet);
            let _ = write_err("\n");
            return Err(Failure::silent(Status::Interrupted));
        }
        if !is_readable().map_err(failed)? {
            continue;
        }
        let mut bytes = [0; ANSWER_LEN_MAX];
        let len = match io::stdin().lock().read(&mut bytes) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        };
        line.extend_from_slice(&bytes[..len]);
        if len == 0 && line.is_empty() {
            return Ok(None);
        }
        if len == 0 || line.contains(&b'\n') || line.len() > ANSWER_LEN_MAX {
            let first = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let text = String::from_utf8(first.to_vec()).map_err(|_| Phrase::new("input-not-utf8"))?;
            return Ok(Some(text.trim_end_matches('\r').to_owned()));
        }
    }
}

/// Whether the user can be asked: input and talk are on a terminal.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn is_readable() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&LOOK_EVERY)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(why) => Err(why.into()),
    }
}

/// The terminal does not show what is typed, until this is dropped.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Quiet> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // The end of the line is shown: what is said next begins on a line of its own.
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &quiet)?;
        Ok(Quiet { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}

/// Signals that would end the process, and leave the terminal as it is.
struct Signals {
    came: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Signals {
    fn watch() -> io::Result<Signals> {
        let came = Arc::new(AtomicBool::new(false));
        let ids = [SIGINT, SIGTERM, SIGHUP].into_iter().map(|signal| flag::register(signal, came.clone()));
        Ok(Signals { ids: ids.collect::<io::Result<_>>()?, came })
    }

    fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            low_level::unregister(id);
        }
    }
}
