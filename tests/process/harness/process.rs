//! One process. Its lines are read on threads, so that every wait can have a deadline.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Time in which expected output comes or never will. A busy machine needs far less.
const DEADLINE: Duration = Duration::from_secs(30);

/// Time for events promised within a second: enough for busy machines, and shorter than every
/// time-out that could hide a failure.
pub const SOON: Duration = Duration::from_millis(2_500);

/// A started process. It is killed when the value is dropped.
pub struct Process {
    what: String,
    pid: Pid,
    status: Receiver<ExitStatus>,
    input: Option<ChildStdin>,
    out: OutputLines,
    err: OutputLines,
    has_ended: bool,
}

/// The lines of one output: those read so far, and those to come.
struct OutputLines {
    receiver: Receiver<String>,
    seen: Vec<String>,
}

impl OutputLines {
    fn read(output: impl Read + Send + 'static) -> OutputLines {
        let (line, receiver) = channel();
        thread::spawn(move || {
            for bytes in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let _ = line.send(String::from_utf8_lossy(&bytes).into_owned());
            }
        });
        OutputLines { receiver, seen: Vec::new() }
    }

    fn next(&mut self, until: Instant) -> Result<String, RecvTimeoutError> {
        let line = self.receiver.recv_timeout(until.saturating_duration_since(Instant::now()))?;
        self.seen.push(line.clone());
        Ok(line)
    }

    fn rest(&mut self, until: Instant) {
        while self.next(until).is_ok() {}
    }
}

impl Process {
    pub fn start(mut command: Command) -> Process {
        let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let mut child = command.spawn().unwrap();
        // An output that was not piped has no lines.
        let lines =
            |output: Option<Box<dyn Read + Send>>| OutputLines::read(output.unwrap_or(Box::new(&[][..])));
        let out = lines(child.stdout.take().map(|output| Box::new(output) as _));
        let err = lines(child.stderr.take().map(|output| Box::new(output) as _));
        let pid = Pid::from_child(&child);
        let input = child.stdin.take();
        let (report, status) = channel();
        thread::spawn(move || report.send(child.wait().unwrap()));
        Process { what, pid, status, input, out, err, has_ended: false }
    }

    /// Returns its process id.
    pub fn pid(&self) -> String {
        self.pid.as_raw_nonzero().to_string()
    }

    /// Returns its next line of results.
    pub fn out(&mut self) -> String {
        match self.out.next(Instant::now() + DEADLINE) {
            Ok(line) => line,
            Err(reason) => self.fail(&format!("no further line of results: {reason}")),
        }
    }

    /// Returns the next line on standard output that contains `needle`.
    pub fn until_out(&mut self, needle: &str) -> String {
        loop {
            let line = self.out();
            if line.contains(needle) {
                return line;
            }
        }
    }

    /// Returns its next line of results, if there is one within this time.
    pub fn out_within(&mut self, within: Duration) -> Option<String> {
        self.out.next(Instant::now() + within).ok()
    }

    /// Returns the next line on standard error that contains `needle`.
    pub fn until_err(&mut self, needle: &str) -> String {
        self.until_err_within(needle, DEADLINE)
    }

    /// The same within a shorter time.
    pub fn until_err_within(&mut self, needle: &str, within: Duration) -> String {
        let until = Instant::now() + within;
        loop {
            match self.err.next(until) {
                Ok(line) if line.contains(needle) => return line,
                Ok(_) => {}
                Err(reason) => self.fail(&format!("`{needle}` was not printed: {reason}")),
            }
        }
    }

    /// Returns the next line on standard error, if there is one within this time.
    #[allow(dead_code, reason = "the bench of lossy lines waits with it")]
    pub fn err_within(&mut self, within: Duration) -> Option<String> {
        self.err.next(Instant::now() + within).ok()
    }

    fn fail(&mut self, reason: &str) -> ! {
        let soon = Instant::now() + Duration::from_millis(100);
        self.err.rest(soon);
        self.out.rest(soon);
        panic!("{}: {reason}\nresults: {:#?}\nsaid: {:#?}", self.what, self.out.seen, self.err.seen);
    }

    /// Writes to its standard input, which stays open.
    pub fn write(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Writes to its standard input and closes it. It is not an error if the process ends before it
    /// has read everything.
    pub fn write_and_close(&mut self, bytes: &[u8]) {
        let mut input = self.input.take().unwrap();
        let bytes = bytes.to_vec();
        thread::spawn(move || input.write_all(&bytes));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn end(self) -> ExitedProcess {
        self.end_within(DEADLINE)
    }

    /// The same within a shorter time.
    pub fn end_within(mut self, within: Duration) -> ExitedProcess {
        let Ok(status) = self.status.recv_timeout(within) else { self.fail("does not end") };
        self.has_ended = true;
        let until = Instant::now() + DEADLINE;
        self.out.rest(until);
        self.err.rest(until);
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        let out = std::mem::take(&mut self.out.seen);
        let err = std::mem::take(&mut self.err.seen);
        ExitedProcess { what: std::mem::take(&mut self.what), code, out, err }
    }

    /// Asks it to end (SIGTERM), and waits.
    pub fn terminate(self) -> ExitedProcess {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Kills it (SIGKILL), and waits until the system has released it.
    pub fn kill(self) -> ExitedProcess {
        self.signal(Signal::KILL);
        self.end().with(-Signal::KILL.as_raw())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.status.recv_timeout(DEADLINE);
        }
    }
}

/// A process that has ended.
#[derive(Debug)]
pub struct ExitedProcess {
    what: String,
    /// The exit status, or minus the signal that ended it.
    pub code: i32,
    /// All lines of results.
    pub out: Vec<String>,
    /// All lines on standard error.
    pub err: Vec<String>,
}

impl ExitedProcess {
    /// Asserts this exit status.
    #[track_caller]
    pub fn with(self, code: i32) -> ExitedProcess {
        assert_eq!(self.code, code, "{} {self:#?}", self.what);
        self
    }

    /// Returns its lines for people, without the line about a relay's key at first contact.
    pub fn notices(&self) -> Vec<&str> {
        let first = |line: &&str| line.starts_with("first connection") || line.starts_with("首次连接");
        self.err.iter().map(String::as_str).filter(|line| !first(line)).collect()
    }

    /// Returns its lines for people, without those that a relay logs at level `info`.
    pub fn without_log(&self) -> Vec<&str> {
        self.err.iter().map(String::as_str).filter(|line| !line.contains(" info: ")).collect()
    }

    /// Asserts this exit status, no results, and a single line for people, which contains `needle`.
    #[track_caller]
    pub fn one_line(&self, code: i32, needle: &str) {
        let report = matches!(self.notices()[..], [line] if line.contains(needle));
        assert!(
            self.code == code && self.out.is_empty() && report,
            "wanted {code} and `{needle}`: {self:#?}"
        );
    }

    /// Asserts success and returns the only line of results.
    #[track_caller]
    pub fn result(&self) -> &str {
        assert!(self.code == 0 && self.out.len() == 1, "{self:#?}");
        &self.out[0]
    }
}
