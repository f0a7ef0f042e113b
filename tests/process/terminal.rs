//! `queqiao chat --line` on a terminal: prompts, letters above the line, and the terminal settings
//! restored.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    Action, LocalModes, OptionalActions, Termios, Winsize, tcflow, tcgetattr, tcsetattr, tcsetwinsize,
};

use crate::harness::{Machine, Process, Relay, SOON, relay_with_members};

const DEADLINE: Duration = Duration::from_secs(30);

/// A terminal with a process on it.
pub struct Terminal {
    keyboard: File,
    shows: Receiver<Vec<u8>>,
    shown: String,
    /// Start of a character or escape sequence that is split between reads.
    cut: Vec<u8>,
    /// All output, including escapes.
    pub raw: String,
    process: Process,
    /// Kept open, so that the settings can be checked after the process.
    screen: OwnedFd,
    before: Termios,
}

impl Terminal {
    pub fn start(machine: &Machine, args: &[&str]) -> Terminal {
        Terminal::of(machine.command(args))
    }

    /// Starts a command on a terminal, in a separate process group.
    pub fn of(mut command: Command) -> Terminal {
        let front = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&front).unwrap();
        unlockpt(&front).unwrap();
        let name = ptsname(&front, Vec::new()).unwrap();
        let screen = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        tcsetwinsize(&screen, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = tcgetattr(&screen).unwrap();
        let end = || screen.try_clone().unwrap();
        if !command.get_envs().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm");
        }
        command.process_group(0).stdin(end()).stdout(end()).stderr(end());
        let process = Process::start(command);
        let keyboard = File::from(front);
        let mut output = keyboard.try_clone().unwrap();
        let (bytes_sender, shows) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                if bytes_sender.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal {
            keyboard,
            shows,
            shown: String::new(),
            raw: String::new(),
            cut: Vec::new(),
            process,
            screen,
            before,
        }
    }

    pub fn press(&mut self, keys: impl AsRef<[u8]>) {
        self.keyboard.write_all(keys.as_ref()).unwrap();
    }

    /// Closes the window, and returns the process that was in it.
    pub fn close(self) -> Process {
        let Terminal { keyboard, shows, process, screen, .. } = self;
        drop((keyboard, shows));
        // The reading thread still holds the window open until it reads something.
        let _ = rustix::io::write(&screen, b"\n");
        let is_gone = |_| {
            thread::yield_now();
            tcgetattr(&screen).is_err()
        };
        assert!((0..1_000_000).any(is_gone), "another process holds the window open");
        process
    }

    /// Sets the modes in which a shell leaves the terminal, as it does when a process is stopped.
    pub fn set_shell_modes(&self) {
        tcsetattr(&self.screen, OptionalActions::Now, &self.before).unwrap();
    }

    /// Whether the terminal shows what is typed, as it does in a shell.
    pub fn has_echo(&self) -> bool {
        tcgetattr(&self.screen).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Returns the process id of the process on it.
    pub fn pid(&self) -> String {
        self.process.pid()
    }

    /// Waits until `text` is shown, and discards everything up to it.
    pub fn until(&mut self, text: &str) {
        self.line_until(text);
    }

    /// As [`Terminal::until`]. Returns the output before it.
    pub fn line_until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(text) {
                let before = self.shown[..at].to_owned();
                self.shown.drain(..at + text.len());
                return before;
            }
            self.receive(text);
        }
    }

    /// Waits until the output has `sequence`, in which escape sequences count.
    pub fn until_raw(&mut self, sequence: &str) {
        while !self.raw.contains(sequence) {
            self.receive(sequence);
        }
    }

    /// Receives more output, because `wanted` has not come.
    fn receive(&mut self, wanted: &str) {
        match self.shows.recv_timeout(DEADLINE) {
            Ok(bytes) => self.cut.extend(bytes),
            Err(reason) => panic!("`{wanted}` was not shown ({reason}); since the last: {:?}", self.shown),
        }
        let whole = whole_len(&self.cut);
        // The terminal itself echoes bytes that are not UTF-8.
        let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
        if !std::str::from_utf8(&self.cut[..whole]).is_err_and(is_cut) {
            let text = String::from_utf8_lossy(&self.cut[..whole]).into_owned();
            self.shown.push_str(&without_escapes(&text));
            self.raw.push_str(&text);
            self.cut.drain(..whole);
        }
    }

    /// Stops its output, as Ctrl-S does.
    pub fn stop_output(&self) {
        tcflow(&self.screen, Action::OOff).unwrap();
    }

    /// Continues its output, as Ctrl-Q does.
    pub fn resume_output(&self) {
        tcflow(&self.screen, Action::OOn).unwrap();
    }

    /// Changes the number of columns, as a window does.
    pub fn resize(&self, columns: u16) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.screen, size).unwrap();
        // The system signals only processes that this terminal controls.
        self.signal(rustix::process::Signal::WINCH);
    }

    /// Sends a signal to the process on it.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self.process.signal(signal);
    }

    pub fn ends_with(self, status: i32) {
        self.process.end_within(SOON).with(status);
        let after = tcgetattr(&self.screen).unwrap();
        assert_eq!(after.local_modes, self.before.local_modes);
        assert_eq!(after.input_modes, self.before.input_modes);
        assert_eq!(after.output_modes, self.before.output_modes);
    }
}

/// Returns the length before a CSI sequence that has not ended.
fn whole_len(bytes: &[u8]) -> usize {
    let begun = bytes.iter().rposition(|byte| *byte == 0x1b);
    let exited = |at: &usize| bytes[*at..].iter().skip(2).any(|byte| (b'@'..=b'~').contains(byte));
    begun.filter(|at| !exited(at)).unwrap_or(bytes.len())
}

/// Returns the text without CSI sequences (ECMA-48 §5.4) and carriage returns.
fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                let _ = chars.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
            }
            '\r' => {}
            _ => plain.push(c),
        }
    }
    plain
}

/// Returns TOM on a terminal, in a conversation with JACK, who has received his first letter.
pub fn talking() -> ((Machine, Relay), Process, Terminal) {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut tom = Terminal::start(&machine, &["chat", "--line", "--as", "TOM", "JACK"]);
    tom.until("To JACK: ");
    tom.press("first\r");
    assert!(jack.out().ends_with("first"));
    ((machine, relay), jack, tom)
}

#[test]
fn chinese_conversation_with_prompts() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut tom = Terminal::start(&machine, &["chat", "--line", "--as", "TOM", "--lang", "zh"]);
    tom.until("> ");
    tom.press("JACK\r");
    tom.until("发给 JACK：");
    tom.press("约不\r");
    assert!(jack.out().ends_with("约不"));
    jack.write("TOM\n不约\n");
    tom.until("来自 JACK [udp] ");
    tom.until(" 的一条消息：不约\n");
    tom.until("发给 JACK：");
    tom.press("quit\r");
    tom.until("> ");
    tom.press("quit\r");
    tom.ends_with(0);
}

#[test]
fn lines_pasted_together_are_all_taken() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut tom = Terminal::start(&machine, &["chat", "--line", "--as", "TOM"]);
    tom.until("> ");
    tom.press("JACK\rone\rtwo\rthree\r");
    for text in ["one", "two", "three"] {
        assert!(jack.out().ends_with(text));
    }
    tom.until("three");
    tom.until("To JACK: ");
    tom.press("quit\rquit\r");
    tom.ends_with(0);
}

#[test]
fn letter_appears_above_half_typed_line() {
    let (_machine, mut jack, mut tom) = talking();
    tom.press("half a");
    tom.until("half a");
    jack.write("TOM\nhello\n");
    tom.until("Message from JACK [udp] ");
    tom.until("hello\n");
    tom.until("To JACK: half a");
    tom.press(" line\r");
    assert!(jack.out().ends_with("half a line"));
    tom.press("/status\r");
    tom.until("connected over UDP");
    tom.until("To JACK: ");
    tom.press("\u{3}");
    tom.ends_with(130);
}

#[test]
fn terminal_asks_for_name_and_stores_it_only_if_wanted() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let book = machine.read("contacts.toml");
    let mut chat = Terminal::start(&machine, &["chat", "--line"]);
    chat.until("Your name: ");
    chat.press("a b\n");
    chat.until("a name cannot contain a space");
    chat.until("Your name: ");
    chat.press("TOM\n");
    chat.until("Save TOM as your name in contacts.toml? [y/N] ");
    chat.press("\n");
    chat.until("> ");
    chat.press("\u{4}");
    chat.ends_with(0);
    assert_eq!(machine.read("contacts.toml"), book);
    let mut chat = Terminal::start(&machine, &["chat", "--line"]);
    chat.until("Your name: ");
    chat.press("TOM\n");
    chat.until("[y/N] ");
    chat.press("y\n");
    chat.until("contacts.toml: your name is TOM from now on");
    chat.until("> ");
    chat.press("\u{4}");
    chat.ends_with(0);
    assert_eq!(machine.read("contacts.toml"), format!("{book}\n[me]\nname = \"TOM\"\n"));
}

#[test]
fn signals_leave_terminal_restored() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut chat = Terminal::start(&machine, &["chat", "--line", "--as", "TOM"]);
        chat.until("> ");
        chat.press("half");
        chat.until("half");
        chat.process.signal(signal);
        chat.ends_with(130);
    }
}

// faults.md: R77
/// It shows every letter when it continues.
#[test]
fn stopped_terminal_blocks_no_other_command() {
    let ((machine, _relay), _jack, mut tom) = talking();
    tom.stop_output();
    // More texts than the queue towards a terminal holds.
    let lines: String = (0..600).map(|n| format!("letter {n}\n")).collect();
    let sent = machine.run_with(&["send", "--as", "JACK", "--lines", "TOM"], lines.as_bytes()).with(0);
    assert_eq!(sent.out.len(), 600);
    let start_send = machine.start(&["send", "--as", "TOM", "JACK", "meanwhile"]);
    start_send.end_within(SOON).with(0).result();
    tom.resume_output();
    (0..600).for_each(|n| tom.until(&format!("letter {n}\n")));
    tom.press("\u{3}");
    tom.ends_with(130);
}

/// A failed choice leaves no recipient.
#[test]
fn entered_line_becomes_message_with_time() {
    let (_machine, mut jack, mut tom) = talking();
    tom.until("To JACK ");
    tom.until(": first");
    tom.press("one\x1b\rtwo\r");
    assert!(jack.out().ends_with("one"));
    assert!(jack.out().ends_with("two"));
    tom.until(": one\n    two\n");
    tom.press("/to GHOST\r");
    tom.until("no contact named GHOST");
    tom.until("> ");
    tom.press("hello\r");
    tom.until("no contact named hello");
    tom.until("> ");
    tom.press("exit\r");
    tom.ends_with(0);
}

/// The terminal wraps the rows again; drawing them would leave a second copy.
#[test]
fn resized_window_keeps_draft_without_drawing_it_again() {
    let (_machine, mut jack, mut tom) = talking();
    tom.until("To JACK: ");
    tom.press("draft of more than ten characters");
    tom.until("draft of more than ten characters");
    for columns in [10, 80] {
        tom.raw.clear();
        tom.resize(columns);
        // A cleared row below the text, then back up to its end.
        tom.until_raw("\x1b[K\x1b[A");
        tom.press("!");
        tom.until("!");
        assert!(!tom.raw.contains("draft"), "{:?}", tom.raw);
    }
    tom.press("\r");
    assert!(jack.out().ends_with("draft of more than ten characters!!"));
    tom.press("\u{3}");
    tom.ends_with(130);
}

/// Without an editor a letter begins on a new line, and the prompt is repeated below it.
#[test]
fn letter_on_dumb_terminal_begins_on_its_own_line() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut command = machine.command(&["chat", "--as", "TOM", "JACK"]);
    command.env("TERM", "dumb");
    let mut tom = Terminal::of(command);
    tom.until("To JACK: ");
    tom.press("first\r");
    assert!(jack.out().ends_with("first"));
    tom.until("To JACK: ");
    jack.write("TOM\nhello\n");
    tom.until("\nMessage from JACK [udp] ");
    tom.until("hello\nTo JACK: ");
    tom.press("/quit\r");
    tom.ends_with(0);
}
