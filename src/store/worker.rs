//! The store's thread: group commit.
//!
//! A record is committed at once when the thread is idle; what arrives meanwhile forms the next commit. There is no
//! timer, so a lone record waits for its own commit only, and a burst pays for few.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use crate::base::{Phrase, Query, Row, Ticket};

/// At most this many records in one commit: a few milliseconds of SQLite's work, so that the first of a flood is
/// answered soon.
pub const BATCH_RECORDS_MAX: usize = 4_096;

/// At most this many records wait for the thread: one commit being gathered and one behind it. At the bound
/// [`Worker::persist`] takes nothing more.
pub const QUEUE_RECORDS_MAX: usize = 2 * BATCH_RECORDS_MAX;

/// At most so many bytes of records ([`Backend::weight`]) in one commit, by one record more at most.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// At most so many bytes of records wait for the thread, and one record always may; at the bound as with
/// [`QUEUE_RECORDS_MAX`]. A disk that stalls for a second at 16 MiB/s is outlived.
pub const QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where records become durable.
pub trait Backend<R>: Send + 'static {
    /// Makes all of `records` durable, or none if it fails. Those it will never take (they contradict what is stored)
    /// are left out; their indexes are appended to `refused` in rising order.
    ///
    /// # Errors
    /// [`Fault::Passing`] if a later commit may succeed, [`Fault::Broken`] if what is on disk is no longer known.
    fn commit(&mut self, records: &[R], refused: &mut Vec<usize>) -> Result<(), Fault>;

    /// Reads rows; everything committed before is in them. A backend that keeps no rows has none.
    ///
    /// # Errors
    /// [`Fault::Passing`] if a later one may succeed, [`Fault::Broken`] if the disk cannot be read or is damaged.
    fn load(&mut self, _query: &Query) -> Result<Vec<Row>, Fault> {
        Ok(Vec::new())
    }

    /// About how many bytes a record keeps in memory.
    fn weight(_record: &R) -> usize {
        0
    }
}

/// Why a commit failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is on disk, and a later one may succeed: the disk is full.
    Passing(Phrase),
    /// The disk failed at a write or an fsync; what it holds is known only after a restart.
    Broken(Phrase),
}

/// What the store's thread tells the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The record is durable.
    Committed(Ticket),
    /// The record is not durable and will not become so.
    Failed(Ticket),
    /// The rows asked for. A load that failed is [`Done::Failed`].
    Rows(Ticket, Vec<Row>),
    /// Why records are failing; told before the first of them, and again only after a commit succeeded between.
    Trouble(Phrase),
    /// The disk failed, and the thread has ended: the relay's process ends with status 74. Tickets without an answer
    /// get none.
    Broken(Phrase),
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// [`QUEUE_RECORDS_MAX`] records or [`QUEUE_BYTES_MAX`] bytes are waiting.
    Full,
    /// The thread has ended, after [`Done::Broken`].
    Ended,
}

enum Job<R> {
    /// A record, and what it weighs.
    Persist(R, usize),
    Load(Query),
}

/// A thread that makes records durable. Dropping it commits what is waiting, then waits for the thread's end.
pub struct Worker<R> {
    queue: Option<SyncSender<(Ticket, Job<R>)>>,
    waiting_bytes: Arc<AtomicUsize>,
    weigh: fn(&R) -> usize,
    thread: Option<JoinHandle<()>>,
}

impl<R: Send + 'static> Worker<R> {
    /// Starts the thread. `done` is called on it, for each ticket, in the order of [`Worker::persist`]; it must not
    /// wait, and wakes the loop at most when its own queue was empty.
    ///
    /// # Errors
    /// `store-no-thread` if the system has no thread left.
    pub fn spawn<B: Backend<R>>(
        backend: B,
        done: impl FnMut(Done) + Send + 'static,
    ) -> Result<Worker<R>, Phrase> {
        let (queue, jobs) = sync_channel(QUEUE_RECORDS_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&waiting_bytes);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || Committer::new(backend, done, waiting).run(jobs))
            .map_err(|error| Phrase::new("store-no-thread").with("cause", error))?;
        Ok(Worker { queue: Some(queue), waiting_bytes, weigh: B::weight, thread: Some(thread) })
    }

    /// Hands a record over; never waits.
    ///
    /// # Errors
    /// The record was not taken and its ticket gets no [`Done`]: the caller answers the core with
    /// [`crate::base::Input::NotCommitted`].
    pub fn persist(&self, ticket: Ticket, record: R) -> Result<(), NotTaken> {
        let bytes = (self.weigh)(&record);
        let waiting = self.waiting_bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > QUEUE_BYTES_MAX {
            return Err(NotTaken::Full);
        }
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.hand_over(ticket, Job::Persist(record, bytes)).inspect_err(|_| {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    /// Asks for rows; never waits. Everything handed over before is committed first, or has failed.
    ///
    /// # Errors
    /// As with [`Worker::persist`].
    pub fn load(&self, ticket: Ticket, query: Query) -> Result<(), NotTaken> {
        self.hand_over(ticket, Job::Load(query))
    }

    fn hand_over(&self, ticket: Ticket, job: Job<R>) -> Result<(), NotTaken> {
        let queue = self.queue.as_ref().expect("only drop takes the queue away");
        queue.try_send((ticket, job)).map_err(|error| match error {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Disconnected(_) => NotTaken::Ended,
        })
    }

    /// Commits what is waiting, answers it, and ends the thread; the backend and its locks are gone afterwards.
    pub fn finish(self) {}
}

impl<R> Drop for Worker<R> {
    fn drop(&mut self) {
        self.queue = None;
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

struct Committer<R, B, D> {
    backend: B,
    done: D,
    waiting_bytes: Arc<AtomicUsize>,
    tickets: Vec<Ticket>,
    records: Vec<R>,
    /// What the records weigh together.
    bytes: usize,
    refused: Vec<usize>,
    in_trouble: bool,
}

impl<R, B: Backend<R>, D: FnMut(Done)> Committer<R, B, D> {
    fn new(backend: B, done: D, waiting_bytes: Arc<AtomicUsize>) -> Self {
        let (tickets, records, refused) = (Vec::new(), Vec::new(), Vec::new());
        Committer { backend, done, waiting_bytes, tickets, records, bytes: 0, refused, in_trouble: false }
    }

    fn run(mut self, queue: Receiver<(Ticket, Job<R>)>) {
        while let Ok(first) = queue.recv() {
            let load = self.gather(first, &queue);
            let done = match self.commit() {
                Ok(()) => load.map_or(Ok(()), |(ticket, query)| self.load(ticket, &query)),
                Err(why) => Err(why),
            };
            if let Err(why) = done {
                // Nothing is taken any more by the time anybody hears of it.
                drop(queue);
                return (self.done)(Done::Broken(why));
            }
        }
    }

    /// Takes what waits, up to the bounds of a commit or to a load, which is answered.
    fn gather(
        &mut self,
        first: (Ticket, Job<R>),
        queue: &Receiver<(Ticket, Job<R>)>,
    ) -> Option<(Ticket, Query)> {
        self.tickets.clear();
        self.records.clear();
        self.refused.clear();
        self.bytes = 0;
        let mut next = Some(first);
        while let Some((ticket, job)) = next {
            match job {
                Job::Load(query) => return Some((ticket, query)),
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

    fn commit(&mut self) -> Result<(), Phrase> {
        if self.records.is_empty() {
            return Ok(());
        }
        let committed = self.backend.commit(&self.records, &mut self.refused);
        self.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        match committed {
            Ok(()) => self.answer_committed(),
            Err(Fault::Passing(why)) => self.answer_failed(why),
            Err(Fault::Broken(why)) => return Err(why),
        }
        Ok(())
    }

    fn load(&mut self, ticket: Ticket, query: &Query) -> Result<(), Phrase> {
        match self.backend.load(query) {
            Ok(rows) => (self.done)(Done::Rows(ticket, rows)),
            Err(Fault::Passing(_)) => (self.done)(Done::Failed(ticket)),
            Err(Fault::Broken(why)) => return Err(why),
        }
        Ok(())
    }

    fn answer_committed(&mut self) {
        self.in_trouble = false;
        let mut refused = self.refused.iter().peekable();
        for (index, ticket) in self.tickets.iter().enumerate() {
            (self.done)(match refused.next_if_eq(&&index) {
                Some(_) => Done::Failed(*ticket),
                None => Done::Committed(*ticket),
            });
        }
    }

    fn answer_failed(&mut self, why: Phrase) {
        if !self.in_trouble {
            (self.done)(Done::Trouble(why));
        }
        self.in_trouble = true;
        for ticket in &self.tickets {
            (self.done)(Done::Failed(*ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Commits when it is told to, and tells what it was given.
    struct Gate {
        entered: Sender<Vec<u32>>,
        verdicts: Receiver<Result<Vec<usize>, Fault>>,
    }

    impl Backend<u32> for Gate {
        fn commit(&mut self, records: &[u32], refused: &mut Vec<usize>) -> Result<(), Fault> {
            self.entered.send(records.to_vec()).unwrap();
            refused.extend(self.verdicts.recv().unwrap()?);
            Ok(())
        }
    }

    struct Bench {
        worker: Worker<u32>,
        entered: Receiver<Vec<u32>>,
        verdicts: Sender<Result<Vec<usize>, Fault>>,
        done: Receiver<Done>,
    }

    fn bench() -> Bench {
        let (entered_in, entered) = channel();
        let (verdicts, verdicts_out) = channel();
        let (done_in, done) = channel();
        let gate = Gate { entered: entered_in, verdicts: verdicts_out };
        let worker = Worker::spawn(gate, move |d| done_in.send(d).unwrap()).unwrap();
        Bench { worker, entered, verdicts, done }
    }

    impl Bench {
        fn persist(&self, numbers: std::ops::Range<u32>) {
            for n in numbers {
                self.worker.persist(Ticket(u64::from(n)), n).unwrap();
            }
        }
    }

    fn committed(numbers: std::ops::Range<u64>) -> Vec<Done> {
        numbers.map(|n| Done::Committed(Ticket(n))).collect()
    }

    #[test]
    fn a_lone_record_is_committed_at_once_and_what_comes_meanwhile_forms_bounded_commits() {
        let bench = bench();
        bench.persist(0..1);
        assert_eq!(bench.entered.recv().unwrap(), [0]);
        bench.persist(1..5_001);
        assert!(bench.done.try_recv().is_err(), "nothing is answered before its commit");
        bench.verdicts.send(Ok(vec![])).unwrap();
        assert_eq!(bench.entered.recv().unwrap(), Vec::from_iter(1..4_097));
        bench.verdicts.send(Ok(vec![])).unwrap();
        assert_eq!(bench.entered.recv().unwrap(), Vec::from_iter(4_097..5_001));
        bench.verdicts.send(Ok(vec![])).unwrap();
        bench.worker.finish();
        assert_eq!(Vec::from_iter(bench.done.iter()), committed(0..5_001));
    }

    #[test]
    fn a_full_queue_takes_nothing_more_and_loses_nothing() {
        let bench = bench();
        bench.persist(0..1);
        bench.entered.recv().unwrap();
        let bound = QUEUE_RECORDS_MAX as u32;
        bench.persist(1..bound + 1);
        assert_eq!(bench.worker.persist(Ticket(9), 9), Err(NotTaken::Full));
        for _ in 0..3 {
            bench.verdicts.send(Ok(vec![])).unwrap();
        }
        bench.worker.finish();
        assert_eq!(Vec::from_iter(bench.done.iter()), committed(0..u64::from(bound) + 1));
    }

    #[test]
    fn a_refused_record_fails_alone() {
        let bench = bench();
        bench.persist(0..1);
        bench.entered.recv().unwrap();
        bench.persist(1..4);
        bench.verdicts.send(Ok(vec![])).unwrap();
        bench.verdicts.send(Ok(vec![1])).unwrap();
        bench.worker.finish();
        let answers = Vec::from_iter(bench.done.iter().skip(1));
        assert_eq!(
            answers,
            [Done::Committed(Ticket(1)), Done::Failed(Ticket(2)), Done::Committed(Ticket(3))]
        );
    }

    #[test]
    fn trouble_is_told_once_until_a_commit_succeeds() {
        let bench = bench();
        let full = || Err(Fault::Passing(Phrase::new("full")));
        for (n, verdict) in [full(), full(), Ok(vec![]), full()].into_iter().enumerate() {
            bench.persist(n as u32..n as u32 + 1);
            bench.entered.recv().unwrap();
            bench.verdicts.send(verdict).unwrap();
        }
        bench.worker.finish();
        let trouble = || Done::Trouble(Phrase::new("full"));
        let failed = |n| Done::Failed(Ticket(n));
        let told = [trouble(), failed(0), failed(1), Done::Committed(Ticket(2)), trouble(), failed(3)];
        assert_eq!(Vec::from_iter(bench.done.iter()), told);
    }

    #[test]
    fn a_broken_disk_ends_the_thread_and_answers_nothing_more() {
        let bench = bench();
        bench.persist(0..1);
        bench.entered.recv().unwrap();
        bench.persist(1..3);
        bench.verdicts.send(Err(Fault::Broken(Phrase::new("eio")))).unwrap();
        assert_eq!(Vec::from_iter(bench.done.iter()), [Done::Broken(Phrase::new("eio"))]);
        assert_eq!(bench.worker.persist(Ticket(3), 3), Err(NotTaken::Ended));
    }
}
