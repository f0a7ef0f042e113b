//! The operator's requests to a running relay. A thread polls the relay's folder, passes requests
//! to the loop, and stores each result.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::base::Name;
use crate::net::{self, LoopHandle};
use crate::relay::{Command, OperatorOutcome, Record};
use crate::store::{
    BackupProgress, BackupReply, Backups, QueuedRequest, RequestQueue, StoreError, StoreErrorCause,
    SubmitError,
};
use crate::wire::message::NameReason;

use super::backup;
use super::relay_addresses::Announcement;

/// Polling interval of the folder. 150 ms: not noticed by the operator, and each poll reads shared
/// memory once.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Maximum results queued for the thread: as many requests as it passes on at once.
const ANSWERS_MAX: usize = 256;
/// Progress of a backup between two answers, in percent.
const PERCENT_STEP: u64 = 5;

/// An answer to a request, for the polling thread.
enum Answer {
    Outcome(OperatorOutcome),
    Backup(BackupReply),
}

type Answers = SyncSender<(u64, Answer)>;

/// The polling thread; it ends when this value is dropped.
pub(super) struct OperatorRequests {
    answers: Option<Arc<Answers>>,
    thread: Option<JoinHandle<()>>,
}

impl OperatorRequests {
    /// Starts polling for requests in the folder of a relay that this process has locked. The
    /// addresses in `announcement`, which the operator's commands read there, are saved again if
    /// their file is removed.
    ///
    /// # Errors
    /// Those of [`RequestQueue::serve`]; `store-no-thread`.
    pub(super) fn start(
        dir: &Path,
        loop_handle: LoopHandle<Command>,
        backups: Backups<Record>,
        announcement: Announcement,
    ) -> Result<OperatorRequests, StoreError> {
        let requests = RequestQueue::serve(dir)?;
        let (answers, from_loop) = sync_channel(ANSWERS_MAX);
        let answers = Arc::new(answers);
        // Weak: the thread ends when the owner of this value drops its sender.
        let for_backups = Arc::downgrade(&answers);
        let begin = move |id, file| begin_backup(&backups, &for_backups, id, file);
        let serve = move || serve(requests, &loop_handle, begin, &from_loop, &announcement);
        let thread = thread::Builder::new().name("operators".to_owned()).spawn(serve);
        let thread = thread.map_err(|error| StoreErrorCause::NoThread(error.to_string()).alone())?;
        Ok(OperatorRequests { answers: Some(answers), thread: Some(thread) })
    }

    /// Passes on the result of a request. Never blocks: a result beyond [`ANSWERS_MAX`] is dropped,
    /// and its command reports that it got no answer.
    pub(super) fn answer(&self, id: u64, outcome: OperatorOutcome) {
        let answers = self.answers.as_ref().expect("only drop takes it");
        if answers.try_send((id, Answer::Outcome(outcome))).is_err() {
            log::warn!("queue full: no answer to request {id}");
        }
    }
}

impl Drop for OperatorRequests {
    fn drop(&mut self) {
        self.answers = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Requests a backup. Its answers come from the store's thread.
fn begin_backup(
    backups: &Backups<Record>,
    answers: &Weak<Answers>,
    id: i64,
    file: PathBuf,
) -> Result<(), SubmitError> {
    let answers = answers.clone();
    let mut reported = 0;
    backups.begin(file, net::wall, move |reply| {
        if let BackupReply::Progress(BackupProgress { done, total }) = reply {
            let percent = done * 100 / total.max(1);
            // Each answer costs a commit.
            if percent < reported + PERCENT_STEP {
                return;
            }
            reported = percent;
        }
        if let Some(answers) = answers.upgrade() {
            let _ = answers.try_send((id as u64, Answer::Backup(reply)));
        }
    })
}

fn serve(
    mut requests: RequestQueue,
    loop_handle: &LoopHandle<Command>,
    begin_backup: impl Fn(i64, PathBuf) -> Result<(), SubmitError>,
    answers: &Receiver<(u64, Answer)>,
    announcement: &Announcement,
) {
    let mut in_trouble = false;
    let mut was_saved = true;
    loop {
        let is_saved = announcement.is_saved();
        if was_saved && !is_saved {
            announcement.save();
        }
        // Once: if it cannot be written, that is reported.
        was_saved = is_saved;
        let served = match answers.recv_timeout(LOOK_EVERY) {
            Ok((id, Answer::Outcome(outcome))) => requests.answer(id as i64, &word_of(&outcome)),
            Ok((id, Answer::Backup(reply))) => requests.answer(id as i64, &backup::encode(&reply)),
            Err(RecvTimeoutError::Timeout) => requests.new_ones().and_then(|new| {
                new.into_iter().try_for_each(|(id, request)| match request {
                    QueuedRequest::Core(request) => {
                        loop_handle.command(Command::Request { id: id as u64, request });
                        Ok(())
                    }
                    QueuedRequest::Backup(file) => match begin_backup(id, file) {
                        Ok(()) => Ok(()),
                        Err(_) => {
                            let busy = BackupReply::Failed(StoreErrorCause::BackupBusy.alone());
                            requests.answer(id, &backup::encode(&busy))
                        }
                    },
                })
            }),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = &served
            && !in_trouble
        {
            log::warn!("requests of the operator cannot be read: {error}");
        }
        in_trouble = served.is_err();
    }
}

/// Returns the stored form of an outcome.
fn word_of(outcome: &OperatorOutcome) -> String {
    match outcome {
        OperatorOutcome::Done => "done".to_owned(),
        OperatorOutcome::Unknown => "unknown".to_owned(),
        OperatorOutcome::Full => "full".to_owned(),
        OperatorOutcome::Disk => "disk".to_owned(),
        OperatorOutcome::Alike(other) => format!("alike {other}"),
        OperatorOutcome::NotFree(NameReason::Confusable, other) => format!("confusable {other}"),
        OperatorOutcome::NotFree(NameReason::Reserved, other) => format!("reserved {other}"),
        OperatorOutcome::NotFree(_, other) => format!("taken {other}"),
    }
}

/// Parses the output of [`word_of`]; `None` for anything else.
pub(super) fn read_outcome(text: &str) -> Option<OperatorOutcome> {
    let not_free = |reason, name: &str| Some(OperatorOutcome::NotFree(reason, name.parse::<Name>().ok()?));
    match text.split_once(' ') {
        Some(("alike", other)) => other.parse::<Name>().ok().map(OperatorOutcome::Alike),
        Some(("confusable", other)) => not_free(NameReason::Confusable, other),
        Some(("reserved", other)) => not_free(NameReason::Reserved, other),
        Some(("taken", other)) => not_free(NameReason::Taken, other),
        Some(_) => None,
        None => {
            [OperatorOutcome::Done, OperatorOutcome::Unknown, OperatorOutcome::Full, OperatorOutcome::Disk]
                .into_iter()
                .find(|outcome| word_of(outcome) == text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_reads_back_as_written() {
        let name: Name = "一棵树".parse().unwrap();
        let not_free = [NameReason::Taken, NameReason::Confusable, NameReason::Reserved]
            .map(|reason| OperatorOutcome::NotFree(reason, name.clone()));
        let plain = [
            OperatorOutcome::Done,
            OperatorOutcome::Alike(name),
            OperatorOutcome::Unknown,
            OperatorOutcome::Full,
            OperatorOutcome::Disk,
        ];
        for outcome in plain.iter().chain(&not_free) {
            assert_eq!(read_outcome(&word_of(outcome)).as_ref(), Some(outcome));
        }
        for wrong in ["", "do", "taken ", "taken a b"] {
            assert_eq!(read_outcome(wrong), None, "{wrong}");
        }
    }
}
