//! Puts a filter between the terminal and the line editor.
//!
//! The editor reads standard input itself and keeps what it has read, so its input can only be
//! cleaned before: standard input becomes a pseudo-terminal, and a thread copies the keys of the
//! user's terminal to it through a [`KeyFilter`]. Output is not touched.
//!
//! The user's terminal stays in raw mode between lines too, so the thread does what the system does
//! for other terminals: it stops the process on Ctrl-Z, and interrupts it on Ctrl-C while no line
//! is read. After a stop (SIGCONT) it sets the terminal again, which the shell has changed. A
//! process in the background leaves the keys to others.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGINT, SIGWINCH};
use signal_hook::low_level;

use super::key_filter::{KeyFilter, REPLACE_MARK};

/// Time without input after which a begun escape sequence is a key such as Esc. 50 ms: longer than
/// the parts of a sequence are apart, and not noticed by a user.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Longest wait for the stop after Ctrl-Z, and for the foreground. A process group without a shell
/// is never stopped.
const STOPPED_WITHIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
/// Bracketed paste on and off (xterm, "Bracketed Paste Mode").
const PASTE_ON: &str = "\x1b[?2004h";
const PASTE_OFF: &str = "\x1b[?2004l";
/// To the margin, and erase what follows (ECMA-48 CR, ED).
const ERASE_LINE: &str = "\r\x1b[J";

/// Key that leaves a search of the history (Ctrl-G), so that the mark is put into the line.
const LEAVE_SEARCH: char = '\x07';

/// The user's terminal while the editor reads its keys through the filter. Its modes are restored
/// on drop.
#[derive(Debug)]
pub(super) struct FilteredTerminal {
    terminal: Arc<Terminal>,
    /// Each byte asks the filter to end the line for another prompt.
    requests: UnixStream,
}

#[derive(Debug)]
struct Terminal {
    tty: OwnedFd,
    before: Termios,
    raw: Termios,
    /// The editor is reading a line.
    is_reading: Arc<AtomicBool>,
    /// The line has no text yet.
    is_empty: Arc<AtomicBool>,
    is_closed: AtomicBool,
}

impl FilteredTerminal {
    /// Replaces standard input by filtered input, and starts the filter. `redraw` draws the line of
    /// the editor again and may block. `on_dropped` is called when input was dropped that is not
    /// UTF-8.
    ///
    /// # Errors
    /// Standard input is no terminal, or the system has no pseudo-terminals.
    pub(super) fn open(
        is_reading: Arc<AtomicBool>,
        is_empty: Arc<AtomicBool>,
        redraw: impl Fn() + Clone + Send + 'static,
        on_dropped: impl Fn() + Send + 'static,
    ) -> io::Result<FilteredTerminal> {
        let tty = io::stdin().as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&tty)?;
        let raw = raw_modes(&before);
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keys)?;
        unlockpt(&keys)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let editor_input = open(ptsname(&keys, Vec::new())?, flags, Mode::empty())?;
        tcsetattr(&editor_input, OptionalActions::Now, &raw)?;
        let (continued, on_continue) = UnixStream::pair()?;
        continued.set_nonblocking(true)?;
        low_level::pipe::register(SIGCONT, on_continue)?;
        let (requested, requests) = UnixStream::pair()?;
        requested.set_nonblocking(true)?;
        requests.set_nonblocking(true)?;
        let terminal =
            Arc::new(Terminal { tty, before, raw, is_reading, is_empty, is_closed: AtomicBool::new(false) });
        let is_foreground = terminal.is_foreground();
        let keyboard = Keyboard {
            began: is_foreground,
            terminal: Arc::clone(&terminal),
            keys: File::from(keys),
            continued,
            requested,
            wants_replacement: false,
            filter: KeyFilter::new(),
        };
        rustix::stdio::dup2_stdin(&editor_input)?;
        // In the background the system stops a process that changes the modes.
        if is_foreground {
            terminal.begin();
        }
        let filtered = FilteredTerminal { terminal, requests };
        thread::Builder::new().name("keyboard".into()).spawn(move || keyboard.run(redraw, on_dropped))?;
        Ok(filtered)
    }

    /// Ends the line that is being typed, for another prompt. The editor finds [`REPLACE_MARK`] at
    /// the cursor.
    pub(super) fn request_replacement(&self) {
        // If the pipe is full, the filter has not handled earlier requests yet.
        let _ = (&self.requests).write(&[0]);
    }
}

impl Drop for FilteredTerminal {
    fn drop(&mut self) {
        self.terminal.is_closed.store(true, Ordering::Relaxed);
        self.terminal.end();
    }
}

impl Terminal {
    fn begin(&self) {
        // An error means that the terminal has gone.
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.raw);
        let _ = show(PASTE_ON);
    }

    /// Restores the modes, with the cursor below a half-typed line, or in place of a prompt without
    /// one. In the background the modes are those of another process.
    fn end(&self) {
        if !self.is_foreground() {
            return;
        }
        let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
        let below = match self.is_reading.load(Ordering::Relaxed) {
            true if self.is_empty.load(Ordering::Relaxed) => ERASE_LINE,
            true => "\r\n",
            false => "",
        };
        let _ = show(&format!("{PASTE_OFF}{below}"));
    }

    /// Whether this process may read keys. A terminal that controls no session has no background.
    fn is_foreground(&self) -> bool {
        tcgetpgrp(&self.tty).map_or(true, |group| group == getpgrp())
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

fn show(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Returns the modes in which each key is passed on as it is. Output modes stay, so that other
/// threads can write whole lines.
fn raw_modes(before: &Termios) -> Termios {
    let mut raw = before.clone();
    raw.input_modes.remove(
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON,
    );
    raw.control_modes.insert(ControlModes::CS8);
    raw.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG);
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    raw
}

/// The thread that copies keys.
struct Keyboard {
    /// The modes were set at the start.
    began: bool,
    terminal: Arc<Terminal>,
    /// The other end of the editor's input.
    keys: File,
    /// Readable after SIGCONT.
    continued: UnixStream,
    /// Readable after [`FilteredTerminal::request_replacement`].
    requested: UnixStream,
    /// The line must end for another prompt, once no text is pasted.
    wants_replacement: bool,
    filter: KeyFilter,
}

/// Why a wait has ended.
#[derive(PartialEq, Eq)]
enum Woken {
    Keys,
    Continued,
    Requested,
    TimedOut,
}

impl Keyboard {
    /// Copies keys until the terminal is gone or closed. Then the editor finds the end of its
    /// input.
    fn run(mut self, redraw: impl Fn() + Clone + Send + 'static, on_dropped: impl Fn()) {
        let mut bytes = [0; 4096];
        let mut was_foreground = self.began;
        loop {
            let is_foreground = self.terminal.is_foreground();
            // A shell sends no signal to a process that runs in the background already.
            if !std::mem::replace(&mut was_foreground, is_foreground) && is_foreground {
                self.resume(&redraw);
            }
            let patience = match is_foreground {
                true => self.filter.awaits_pause().then_some(PAUSE),
                false => Some(STOPPED_WITHIN),
            };
            let woken = self.wait(is_foreground, patience);
            if self.terminal.is_closed() {
                return;
            }
            let mut out = Vec::new();
            match woken {
                Woken::Continued => self.resume(&redraw),
                Woken::Requested => self.wants_replacement = true,
                Woken::TimedOut if is_foreground => {
                    if self.filter.handle_pause(&mut out) {
                        on_dropped();
                    }
                }
                Woken::TimedOut => {}
                Woken::Keys => match rustix::io::read(&self.terminal.tty, &mut bytes) {
                    Ok(len @ 1..) => {
                        if self.filter.push(&bytes[..len], &mut out) {
                            on_dropped();
                        }
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    // A process that has just got into the background reads EIO too.
                    Err(Errno::IO) if !self.terminal.is_foreground() => {}
                    Ok(0) | Err(_) => return,
                },
            }
            if self.pass_on(&out, &redraw).is_err() {
                return;
            }
            if !self.filter.is_pasting() && std::mem::take(&mut self.wants_replacement) {
                let keys = format!("{LEAVE_SEARCH}{REPLACE_MARK}\r");
                if self.keys.write_all(keys.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }

    fn wait(&mut self, with_keys: bool, patience: Option<Timespec>) -> Woken {
        let mut fds = [
            PollFd::new(&self.continued, PollFlags::IN),
            PollFd::new(&self.requested, PollFlags::IN),
            PollFd::new(&self.terminal.tty, PollFlags::IN),
        ];
        let count = if with_keys { 3 } else { 1 };
        let ready = poll(&mut fds[..count], patience.as_ref());
        let has_continued = !fds[0].revents().is_empty();
        let is_requested = with_keys && !fds[1].revents().is_empty();
        let has_keys = with_keys && !fds[2].revents().is_empty();
        match ready {
            // A signal ended the wait; the next one finds it in the pipe.
            Err(_) => Woken::TimedOut,
            Ok(_) if has_continued => {
                // All signals since the last look count once.
                while matches!(self.continued.read(&mut [0; 64]), Ok(1..)) {}
                Woken::Continued
            }
            // The user's keys come first.
            Ok(_) if has_keys => Woken::Keys,
            // All requests since the last look count once.
            Ok(_) if is_requested => match self.requested.read(&mut [0; 64]) {
                Ok(1..) => Woken::Requested,
                _ => Woken::TimedOut,
            },
            Ok(_) => Woken::TimedOut,
        }
    }

    /// Passes keys to the editor, but for those that are signals.
    fn pass_on(&mut self, keys: &[u8], redraw: &(impl Fn() + Clone + Send + 'static)) -> io::Result<()> {
        let codes = &self.terminal.before.special_codes;
        // 0 means a signal that has no key (_POSIX_VDISABLE).
        let [stop, interrupt] = [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VINTR].map(|index| codes[index]);
        for part in keys
            .chunk_by(|before, after| ![*before, *after].iter().any(|key| *key == stop || *key == interrupt))
        {
            match part {
                [key] if *key == stop && stop != 0 => self.stop(redraw),
                [key] if *key == interrupt && interrupt != 0 && !self.is_reading() => {
                    low_level::raise(SIGINT)?;
                }
                _ => self.keys.write_all(part)?,
            }
        }
        Ok(())
    }

    fn is_reading(&self) -> bool {
        self.terminal.is_reading.load(Ordering::Relaxed)
    }

    /// Stops the process group until it is continued.
    fn stop(&mut self, redraw: &(impl Fn() + Clone + Send + 'static)) {
        self.terminal.end();
        let _ = kill_current_process_group(Signal::TSTP);
        // The signal stops this thread some time after it was sent.
        self.wait(false, Some(STOPPED_WITHIN));
        self.resume(redraw);
    }

    /// Sets the terminal again and draws the line, unless the process is in the background.
    fn resume(&self, redraw: &(impl Fn() + Clone + Send + 'static)) {
        if self.terminal.is_closed() || !self.terminal.is_foreground() {
            return;
        }
        self.terminal.begin();
        // The window may have another size by now.
        let _ = low_level::raise(SIGWINCH);
        let redraw = redraw.clone();
        // Without a thread the line is drawn with the next key.
        let _ = thread::Builder::new().name("redraw".into()).spawn(redraw);
    }
}
