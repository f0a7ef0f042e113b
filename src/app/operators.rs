//! The operator's requests to a running relay. A thread polls the relay's folder, passes requests
//! to the loop, and stores each result.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::{Name, Phrase};
use crate::net::Inlet;
use crate::relay::{Command, Outcome};
use crate::store::Requests;
use crate::wire::message::NameReason;

/// Polling interval of the folder. 150 ms: not noticed by the operator, and each poll reads shared
/// memory once.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Maximum results queued for the thread: as many requests as it passes on at once.
const ANSWERS_MAX: usize = 256;

/// The polling thread; it ends when this value is dropped.
pub(super) struct Operators {
    answers: Option<SyncSender<(u64, Outcome)>>,
    thread: Option<JoinHandle<()>>,
}

impl Operators {
    /// Starts polling for requests in the folder of a relay that this process has locked.
    ///
    /// # Errors
    /// Those of [`Requests::serve`]; `store-no-thread`.
    pub(super) fn start(dir: &Path, inlet: Inlet<Command>) -> Result<Operators, Phrase> {
        let requests = Requests::serve(dir)?;
        let (answers, from_loop) = sync_channel(ANSWERS_MAX);
        let serve = move || serve(requests, &inlet, &from_loop);
        let thread = thread::Builder::new().name("operators".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| Phrase::new("store-no-thread").with("cause", error))?;
        Ok(Operators { answers: Some(answers), thread: Some(thread) })
    }

    /// Passes on the result of a request. Never blocks: a result beyond [`ANSWERS_MAX`] is dropped,
    /// and its command reports that it got no answer.
    pub(super) fn answer(&self, id: u64, outcome: Outcome) {
        let answers = self.answers.as_ref().expect("only drop takes it");
        if answers.try_send((id, outcome)).is_err() {
            log::warn!("queue full: no answer to request {id}");
        }
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        self.answers = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut requests: Requests, inlet: &Inlet<Command>, answers: &Receiver<(u64, Outcome)>) {
    let mut in_trouble = false;
    loop {
        let served = match answers.recv_timeout(LOOK_EVERY) {
            Ok((id, outcome)) => requests.answer(id as i64, &word_of(&outcome)),
            Err(RecvTimeoutError::Timeout) => requests.new_ones().map(|new| {
                for (id, request) in new {
                    inlet.command(Command::Ask { id: id as u64, request });
                }
            }),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(why) = &served
            && !in_trouble
        {
            log::warn!("requests of the operator cannot be read: {why}");
        }
        in_trouble = served.is_err();
    }
}

/// Returns the stored form of an outcome.
fn word_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Unknown => "unknown".to_owned(),
        Outcome::Full => "full".to_owned(),
        Outcome::Disk => "disk".to_owned(),
        Outcome::Alike(other) => format!("alike {other}"),
        Outcome::NotFree(NameReason::Confusable, other) => format!("confusable {other}"),
        Outcome::NotFree(NameReason::Reserved, other) => format!("reserved {other}"),
        Outcome::NotFree(_, other) => format!("taken {other}"),
    }
}

/// Parses the output of [`word_of`]; `None` for anything else.
pub(super) fn read_outcome(text: &str) -> Option<Outcome> {
    let not_free = |reason, name: &str| Some(Outcome::NotFree(reason, name.parse::<Name>().ok()?));
    match text.split_once(' ') {
        Some(("alike", other)) => other.parse::<Name>().ok().map(Outcome::Alike),
        Some(("confusable", other)) => not_free(NameReason::Confusable, other),
        Some(("reserved", other)) => not_free(NameReason::Reserved, other),
        Some(("taken", other)) => not_free(NameReason::Taken, other),
        Some(_) => None,
        None => [Outcome::Done, Outcome::Unknown, Outcome::Full, Outcome::Disk]
            .into_iter()
            .find(|outcome| word_of(outcome) == text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_reads_back_as_written() {
        let name: Name = "一棵树".parse().unwrap();
        let not_free = [NameReason::Taken, NameReason::Confusable, NameReason::Reserved]
            .map(|reason| Outcome::NotFree(reason, name.clone()));
        let plain = [Outcome::Done, Outcome::Alike(name), Outcome::Unknown, Outcome::Full, Outcome::Disk];
        for outcome in plain.iter().chain(&not_free) {
            assert_eq!(read_outcome(&word_of(outcome)).as_ref(), Some(outcome));
        }
        for wrong in ["", "do", "taken ", "taken a b"] {
            assert_eq!(read_outcome(wrong), None, "{wrong}");
        }
    }
}
