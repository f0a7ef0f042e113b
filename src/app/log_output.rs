//! The log's way to standard error: a thread, so that a terminal that was stopped or a pipe that is
//! not read stops no event loop.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use env_logger::{Builder, Env, Target};
use jiff::Zoned;

use crate::ui::terminal::write_err;

/// Target of the lines for a relay's operator.
pub const OPERATOR: &str = "queqiao::operator";
/// Filter without `RUST_LOG`.
const DEFAULT_FILTER: &str = "warn,queqiao::operator=info";
/// Maximum lines that wait for the reader. Further ones are dropped and counted.
const WAITING_MAX: usize = 1_024;
/// Time limit for the last lines at the end of the process. 300 ms: they take microseconds, unless
/// the reader is stopped.
const FINISH_WITHIN: Duration = Duration::from_millis(300);

enum Job {
    Line(Vec<u8>),
    /// Everything before it has been written once the sender is dropped.
    Flush(SyncSender<()>),
}

/// The log of this process.
#[derive(Clone)]
pub struct LogOutput(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    /// The thread's queue, from the first line on.
    jobs: Option<SyncSender<Job>>,
    dropped: u64,
}

impl LogOutput {
    /// Starts logging to standard error by `RUST_LOG`, of which an empty one counts as unset.
    pub fn start() -> LogOutput {
        let output = LogOutput(Arc::default());
        let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
        Builder::from_env(Env::default())
            .parse_filters(filter.as_deref().unwrap_or(DEFAULT_FILTER))
            .format(|line, record| {
                let level = record.level().as_str().to_ascii_lowercase();
                let now = Zoned::now().strftime("%Y-%m-%dT%H:%M:%S.%3f%:z");
                match record.target() {
                    OPERATOR => writeln!(line, "{now} {level}: {}", record.args()),
                    target => writeln!(line, "{now} {level} {target}: {}", record.args()),
                }
            })
            .target(Target::Pipe(Box::new(output.clone())))
            .init();
        output
    }

    /// Waits until everything logged so far is written, for a short time.
    pub fn finish(&self) {
        let (done, finished) = sync_channel(1);
        let sent = self.lines().jobs.as_ref().map(|jobs| jobs.try_send(Job::Flush(done)));
        if matches!(sent, Some(Ok(()))) {
            // The sender is dropped without a message.
            let _ = finished.recv_timeout(FINISH_WITHIN);
        }
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.lines();
        let mut text = Vec::new();
        if lines.dropped > 0 {
            text.extend_from_slice(format!("({} lines were not written)\n", lines.dropped).as_bytes());
        }
        text.extend_from_slice(line);
        match lines.jobs.get_or_insert_with(spawn).try_send(Job::Line(text)) {
            Ok(()) => lines.dropped = 0,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => lines.dropped += 1,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts the thread. Without another thread in the system, the lines are dropped.
fn spawn() -> SyncSender<Job> {
    let (jobs, wanted) = sync_channel(WAITING_MAX);
    let _ = thread::Builder::new().name("log".to_owned()).spawn(move || write(&wanted));
    jobs
}

fn write(jobs: &Receiver<Job>) {
    for job in jobs {
        match job {
            // A closed standard error is not an error.
            Job::Line(line) => drop(write_err(&String::from_utf8_lossy(&line))),
            Job::Flush(done) => drop(done),
        }
    }
}
