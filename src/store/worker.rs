//! The store thread: group commit.
//!
//! Must not depend on: the kind of records. Invariant: a record is reported as committed only after
//! its commit is durable. A record is committed at once if the thread is idle. Records that arrive
//! during a commit form the next one. There is no timer, so a single record waits only for its own
//! commit, and a burst needs few commits.

use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::error::{StoreError, StoreErrorCause};
use super::replies::{BackupProgress, BackupReply, Fault, StoreReply, SubmitError};
use crate::base::{Query, Row, Ticket, Wall};

/// Maximum records in one commit: a few milliseconds of SQLite's work, so that the first of a burst
/// is answered soon.
pub const BATCH_RECORDS_MAX: usize = 4_096;

/// Maximum records that wait for the thread: one commit being gathered and the one after it. At the
/// limit [`Worker::persist`] takes no more.
pub const QUEUE_RECORDS_MAX: usize = 2 * BATCH_RECORDS_MAX;

/// Maximum bytes of records ([`Backend::weight`]) in one commit. The last record may exceed it.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Maximum bytes of records that wait for the thread; a single record may always wait. The limit
/// works as [`QUEUE_RECORDS_MAX`]. Survives a disk that stalls for 1 s at 16 MiB/s.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Durable storage of records.
pub trait Backend<R>: Send + 'static {
    /// Makes all of `records` durable, or none if it fails. Leaves out records that contradict the
    /// stored state and can never be taken. Appends their indexes to `refused` in rising order.
    ///
    /// # Errors [`Fault::Transient`] if a later commit may succeed, [`Fault::Broken`] if the state
    /// on disk is unknown.
    fn commit(&mut self, records: &[R], refused: &mut Vec<usize>) -> Result<(), Fault>;

    /// Reads rows, including everything committed before. A backend without rows returns none.
    ///
    /// # Errors [`Fault::Transient`] if a later load may succeed, [`Fault::Broken`] if the disk
    /// cannot be read or is damaged.
    fn load(&mut self, _query: &Query) -> Result<Vec<Row>, Fault> {
        Ok(Vec::new())
    }

    /// Copies everything that is committed into the new file `file`, in short steps. Calls
    /// `between` after each step, and ends the copy if that returns `false`. Returns the time of
    /// `clock` up to which all commits are in the copy.
    ///
    /// # Errors
    /// Nothing is left of the file.
    fn backup(
        &mut self,
        file: &Path,
        _clock: fn() -> Wall,
        _between: &mut BetweenSteps<'_, R>,
    ) -> Result<Wall, StoreError> {
        Err(StoreErrorCause::BackupNotHere.at(file))
    }

    /// Returns the approximate memory of a record, in bytes.
    fn weight(_record: &R) -> usize {
        0
    }
}

/// The part of a [`Backend`] that is available while it is being copied.
pub trait Records<R> {
    /// As [`Backend::commit`].
    ///
    /// # Errors
    /// As there.
    fn commit_records(&mut self, records: &[R], refused: &mut Vec<usize>) -> Result<(), Fault>;

    /// As [`Backend::load`].
    ///
    /// # Errors
    /// As there.
    fn load_rows(&mut self, query: &Query) -> Result<Vec<Row>, Fault>;
}

impl<R, B: Backend<R>> Records<R> for B {
    fn commit_records(&mut self, records: &[R], refused: &mut Vec<usize>) -> Result<(), Fault> {
        self.commit(records, refused)
    }

    fn load_rows(&mut self, query: &Query) -> Result<Vec<Row>, Fault> {
        self.load(query)
    }
}

/// Called between two steps of a copy with its progress. Returns whether to continue.
pub type BetweenSteps<'a, R> = dyn FnMut(&mut dyn Records<R>, BackupProgress) -> bool + 'a;

/// A requested copy.
struct BackupJob {
    file: PathBuf,
    clock: fn() -> Wall,
    reply: Box<dyn FnMut(BackupReply) + Send>,
}

enum Job<R> {
    /// A record and its weight in bytes.
    Persist(R, usize),
    Load(Query),
    Backup(BackupJob),
}

type JobQueue<R> = SyncSender<(Ticket, Job<R>)>;

/// Requests copies of a [`Worker`]'s backend, from any thread.
pub struct Backups<R>(Arc<Mutex<Option<JobQueue<R>>>>);

impl<R> Backups<R> {
    /// Begins to copy everything that is committed into the new file `file`, one copy at a time.
    /// Records are served between its steps. `reply` is called on the store's thread and must not
    /// block. `clock` returns the wall time.
    ///
    /// # Errors
    /// As [`Worker::persist`]. Then `reply` is not called.
    pub fn begin(
        &self,
        file: PathBuf,
        clock: fn() -> Wall,
        reply: impl FnMut(BackupReply) + Send + 'static,
    ) -> Result<(), SubmitError> {
        let queue = self.0.lock().expect("nothing panics while it holds this lock");
        let job = Job::Backup(BackupJob { file, clock, reply: Box::new(reply) });
        queue.as_ref().map_or(Err(SubmitError::Ended), |queue| submit(queue, Ticket(0), job))
    }
}

fn submit<R>(queue: &JobQueue<R>, ticket: Ticket, job: Job<R>) -> Result<(), SubmitError> {
    queue.try_send((ticket, job)).map_err(|error| match error {
        TrySendError::Full(_) => SubmitError::Full,
        TrySendError::Disconnected(_) => SubmitError::Ended,
    })
}

/// A thread that makes records durable. Dropping it commits the waiting records, then waits for the
/// thread to end.
pub struct Worker<R> {
    queue: Option<JobQueue<R>>,
    /// The queue again, for [`Backups`]: the thread ends only when no sender is left.
    shared_queue: Arc<Mutex<Option<JobQueue<R>>>>,
    waiting_bytes: Arc<AtomicUsize>,
    weigh: fn(&R) -> usize,
    thread: Option<JoinHandle<()>>,
}

impl<R: Send + 'static> Worker<R> {
    /// Starts the thread. It calls `done` for each ticket, in the order of [`Worker::persist`].
    /// `done` must not block, and must wake the loop only if its own queue was empty.
    ///
    /// # Errors
    /// Returns `NoThread` if the system has no thread left.
    pub fn spawn<B: Backend<R>>(
        backend: B,
        reply: impl FnMut(StoreReply) + Send + 'static,
    ) -> Result<Worker<R>, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE_RECORDS_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&waiting_bytes);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || Committer::new(reply, waiting).run(backend, jobs))
            .map_err(|error| StoreErrorCause::NoThread(error.to_string()).alone())?;
        let shared_queue = Arc::new(Mutex::new(Some(queue.clone())));
        Ok(Worker { queue: Some(queue), shared_queue, waiting_bytes, weigh: B::weight, thread: Some(thread) })
    }

    /// Returns a handle for copies of the backend.
    pub fn backups(&self) -> Backups<R> {
        Backups(Arc::clone(&self.shared_queue))
    }

    /// Submits a record without blocking.
    ///
    /// # Errors
    /// Returns an error if the record was not accepted. Its ticket then gets no [`StoreReply`]: the
    /// caller must answer the core with [`crate::base::Input::NotCommitted`].
    pub fn persist(&self, ticket: Ticket, record: R) -> Result<(), SubmitError> {
        let bytes = (self.weigh)(&record);
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > QUEUE_BYTES_MAX {
            return Err(SubmitError::Full);
        }
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.submit(ticket, Job::Persist(record, bytes)).inspect_err(|_| {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    /// Requests rows without blocking. Everything submitted earlier is committed or has failed
    /// first.
    ///
    /// # Errors
    /// As [`Worker::persist`].
    pub fn load(&self, ticket: Ticket, query: Query) -> Result<(), SubmitError> {
        self.submit(ticket, Job::Load(query))
    }

    fn submit(&self, ticket: Ticket, job: Job<R>) -> Result<(), SubmitError> {
        let queue = self.queue.as_ref().expect("only drop removes the queue");
        submit(queue, ticket, job)
    }

    /// Commits and answers the waiting records, and ends the thread. Afterwards the backend and its
    /// locks are released.
    pub fn finish(self) {}
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        self.queue = None;
        // The lock is poisoned only if this process panics already.
        self.shared_queue.lock().map(|mut queue| *queue = None).unwrap_or_default();
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Err(panic)) = ended
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl<R> fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

struct Committer<R, D> {
    reply: D,
    waiting_bytes: Arc<AtomicUsize>,
    tickets: Vec<Ticket>,
    records: Vec<R>,
    /// Weight of all records together, in bytes.
    bytes: usize,
    refused: Vec<usize>,
    is_failing: bool,
}

/// A job that is not part of a commit.
enum OtherJob {
    Load(Ticket, Query),
    Backup(BackupJob),
}

impl<R, D: FnMut(StoreReply)> Committer<R, D> {
    fn new(reply: D, waiting_bytes: Arc<AtomicUsize>) -> Self {
        Committer {
            reply,
            waiting_bytes,
            tickets: Vec::new(),
            records: Vec::new(),
            bytes: 0,
            refused: Vec::new(),
            is_failing: false,
        }
    }

    fn run<B: Backend<R>>(mut self, mut backend: B, queue: Receiver<(Ticket, Job<R>)>) {
        while let Ok(first) = queue.recv() {
            let reply = match self.serve(&mut backend, first, &queue) {
                Ok(Some(backup)) => self.back_up(&mut backend, backup, &queue),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = reply {
                // The queue must be closed before the loop learns of the failure.
                drop(queue);
                return (self.reply)(StoreReply::Broken(error));
            }
        }
    }

    /// Serves the waiting jobs, up to the limits of a commit or up to a copy, which is returned.
    fn serve(
        &mut self,
        backend: &mut dyn Records<R>,
        first: (Ticket, Job<R>),
        queue: &Receiver<(Ticket, Job<R>)>,
    ) -> Result<Option<BackupJob>, StoreError> {
        let other = self.collect_batch(first, queue);
        self.commit(backend)?;
        match other {
            None => Ok(None),
            Some(OtherJob::Load(ticket, query)) => self.load(backend, ticket, &query).map(|()| None),
            Some(OtherJob::Backup(backup)) => Ok(Some(backup)),
        }
    }

    /// Makes a copy. Between its steps it serves the waiting jobs. The copy ends with the thread's
    /// owner, so that it does not delay the end of the process.
    fn back_up<B: Backend<R>>(
        &mut self,
        backend: &mut B,
        job: BackupJob,
        queue: &Receiver<(Ticket, Job<R>)>,
    ) -> Result<(), StoreError> {
        let BackupJob { file, clock, mut reply } = job;
        let mut served = Ok(());
        let mut between = |records: &mut dyn Records<R>, progress| {
            reply(BackupReply::Progress(progress));
            match queue.try_recv() {
                Ok(first) => match self.serve(records, first, queue) {
                    Ok(other) => refuse_backup(other),
                    Err(error) => served = Err(error),
                },
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return false,
            }
            served.is_ok()
        };
        let copied = backend.backup(&file, clock, &mut between);
        reply(copied.map_or_else(BackupReply::Failed, BackupReply::Done));
        served
    }

    /// Takes the waiting jobs up to the limits of a commit, or up to another job, which is
    /// returned.
    fn collect_batch(
        &mut self,
        first: (Ticket, Job<R>),
        queue: &Receiver<(Ticket, Job<R>)>,
    ) -> Option<OtherJob> {
        self.tickets.clear();
        self.records.clear();
        self.refused.clear();
        self.bytes = 0;
        let mut next = Some(first);
        while let Some((ticket, job)) = next {
            match job {
                Job::Load(query) => return Some(OtherJob::Load(ticket, query)),
                Job::Backup(backup) => return Some(OtherJob::Backup(backup)),
                Job::Persist(record, bytes) => {
                    self.tickets.push(ticket);
                    self.records.push(record);
                    self.bytes += bytes;
                }
            }
            let more = self.records.len() < BATCH_RECORDS_MAX && self.bytes < BATCH_BYTES_MAX;
            next = if more { queue.try_recv().ok() } else { None };
        }
        None
    }

    fn commit(&mut self, backend: &mut dyn Records<R>) -> Result<(), StoreError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let committed = backend.commit_records(&self.records, &mut self.refused);
        self.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        match committed {
            Ok(()) => self.answer_committed(),
            Err(Fault::Transient(error)) => self.answer_failed(error),
            Err(Fault::Broken(error)) => return Err(error),
        }
        Ok(())
    }

    fn load(
        &mut self,
        backend: &mut dyn Records<R>,
        ticket: Ticket,
        query: &Query,
    ) -> Result<(), StoreError> {
        match backend.load_rows(query) {
            Ok(rows) => (self.reply)(StoreReply::Rows(ticket, rows)),
            Err(Fault::Transient(_)) => (self.reply)(StoreReply::Failed(ticket)),
            Err(Fault::Broken(error)) => return Err(error),
        }
        Ok(())
    }

    fn answer_committed(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            (self.reply)(StoreReply::Recovered);
        }
        let mut refused = self.refused.iter().peekable();
        for (index, ticket) in self.tickets.iter().enumerate() {
            (self.reply)(match refused.next_if_eq(&&index) {
                Some(_) => StoreReply::Failed(*ticket),
                None => StoreReply::Committed(*ticket),
            });
        }
    }

    fn answer_failed(&mut self, error: StoreError) {
        if !self.is_failing {
            (self.reply)(StoreReply::Trouble(error));
        }
        self.is_failing = true;
        for ticket in &self.tickets {
            (self.reply)(StoreReply::Failed(*ticket));
        }
    }
}

/// Refuses a second copy during the first.
fn refuse_backup(other: Option<BackupJob>) {
    if let Some(BackupJob { mut reply, .. }) = other {
        reply(BackupReply::Failed(StoreErrorCause::BackupBusy.alone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A backend that reports the records it gets, and commits when the test permits.
    struct StubBackend {
        entered: Sender<Vec<u32>>,
        verdicts: Receiver<Result<Vec<usize>, Fault>>,
    }

    impl Backend<u32> for StubBackend {
        fn commit(&mut self, records: &[u32], refused: &mut Vec<usize>) -> Result<(), Fault> {
            self.entered.send(records.to_vec()).unwrap();
            refused.extend(self.verdicts.recv().unwrap()?);
            Ok(())
        }
    }

    struct WorkerWithStub {
        worker: Worker<u32>,
        entered: Receiver<Vec<u32>>,
        verdicts: Sender<Result<Vec<usize>, Fault>>,
        reply: Receiver<StoreReply>,
    }

    fn worker_with_stub() -> WorkerWithStub {
        let (entered_in, entered) = channel();
        let (verdicts, verdicts_out) = channel();
        let (done_in, reply) = channel();
        let gate = StubBackend { entered: entered_in, verdicts: verdicts_out };
        let worker = Worker::spawn(gate, move |d| done_in.send(d).unwrap()).unwrap();
        WorkerWithStub { worker, entered, verdicts, reply }
    }

    impl WorkerWithStub {
        fn persist(&self, numbers: std::ops::Range<u32>) {
            for n in numbers {
                self.worker.persist(Ticket(u64::from(n)), n).unwrap();
            }
        }
    }

    fn committed(numbers: std::ops::Range<u64>) -> Vec<StoreReply> {
        numbers.map(|n| StoreReply::Committed(Ticket(n))).collect()
    }

    #[test]
    fn single_record_commits_at_once_others_are_batched() {
        let bench = worker_with_stub();
        bench.persist(0..1);
        assert_eq!(bench.entered.recv().unwrap(), [0]);
        bench.persist(1..5_001);
        assert!(bench.reply.try_recv().is_err(), "no record is answered before its commit");
        bench.verdicts.send(Ok(vec![])).unwrap();
        assert_eq!(bench.entered.recv().unwrap(), Vec::from_iter(1..4_097));
        bench.verdicts.send(Ok(vec![])).unwrap();
        assert_eq!(bench.entered.recv().unwrap(), Vec::from_iter(4_097..5_001));
        bench.verdicts.send(Ok(vec![])).unwrap();
        bench.worker.finish();
        assert_eq!(Vec::from_iter(bench.reply.iter()), committed(0..5_001));
    }

    #[test]
    fn full_queue_refuses_records_and_loses_none() {
        let bench = worker_with_stub();
        bench.persist(0..1);
        bench.entered.recv().unwrap();
        let bound = QUEUE_RECORDS_MAX as u32;
        bench.persist(1..bound + 1);
        assert_eq!(bench.worker.persist(Ticket(9), 9), Err(SubmitError::Full));
        for _ in 0..3 {
            bench.verdicts.send(Ok(vec![])).unwrap();
        }
        bench.worker.finish();
        assert_eq!(Vec::from_iter(bench.reply.iter()), committed(0..u64::from(bound) + 1));
    }

    #[test]
    fn refused_record_fails_alone() {
        let bench = worker_with_stub();
        bench.persist(0..1);
        bench.entered.recv().unwrap();
        bench.persist(1..4);
        bench.verdicts.send(Ok(vec![])).unwrap();
        bench.verdicts.send(Ok(vec![1])).unwrap();
        bench.worker.finish();
        let answers = Vec::from_iter(bench.reply.iter().skip(1));
        assert_eq!(
            answers,
            [
                StoreReply::Committed(Ticket(1)),
                StoreReply::Failed(Ticket(2)),
                StoreReply::Committed(Ticket(3))
            ]
        );
    }

    #[test]
    fn failure_is_reported_once_until_commit_succeeds() {
        let bench = worker_with_stub();
        let full = || Err(Fault::Transient(StoreErrorCause::DiskFull.alone()));
        for (n, verdict) in [full(), full(), Ok(vec![]), full()].into_iter().enumerate() {
            bench.persist(n as u32..n as u32 + 1);
            bench.entered.recv().unwrap();
            bench.verdicts.send(verdict).unwrap();
        }
        bench.worker.finish();
        let trouble = || StoreReply::Trouble(StoreErrorCause::DiskFull.alone());
        let failed = |n| StoreReply::Failed(Ticket(n));
        let expected = [
            trouble(),
            failed(0),
            failed(1),
            StoreReply::Recovered,
            StoreReply::Committed(Ticket(2)),
            trouble(),
            failed(3),
        ];
        assert_eq!(Vec::from_iter(bench.reply.iter()), expected);
    }

    #[test]
    fn broken_disk_ends_thread_without_further_replies() {
        let bench = worker_with_stub();
        bench.persist(0..1);
        bench.entered.recv().unwrap();
        bench.persist(1..3);
        bench.verdicts.send(Err(Fault::Broken(StoreErrorCause::Io("eio".to_owned()).alone()))).unwrap();
        assert_eq!(
            Vec::from_iter(bench.reply.iter()),
            [StoreReply::Broken(StoreErrorCause::Io("eio".to_owned()).alone())]
        );
        assert_eq!(bench.worker.persist(Ticket(3), 3), Err(SubmitError::Ended));
    }
}
