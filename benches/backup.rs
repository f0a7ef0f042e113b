//! Latency of commits while the relay's database is copied: `cargo bench --bench backup [-- MIB]`.
//!
//! A database of this size (default 256 MiB) in a temporary folder takes 200 letters a second, one
//! record at a time, first without a copy and then until a copy is complete. Both rows come from
//! one run, because the speed of a disk changes.
//!
//! Exits with status 1 if a commit waited longer than [`GOAL`] above the slowest one without a
//! copy.
#![allow(clippy::disallowed_types, reason = "commits are measured in real time")]

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use queqiao::base::{LetterId, Mark, Name, OutboxId, Ticket, Wall};
use queqiao::relay::{MailboxLetter, Record};
use queqiao::store::{Backend, BackupReply, RelayStore, StoreReply, Worker};

/// Default size of the database, in MiB.
const MIB: u64 = 256;
/// Time between two letters.
const INTERVAL: Duration = Duration::from_millis(5);
/// Letters of the row without a copy: ten seconds.
const LETTERS_WITHOUT_COPY: u64 = 2_000;
/// Most time that a copy may add to the slowest commit.
const GOAL: Duration = Duration::from_millis(50);
/// Bytes of a letter that fills the database.
const FILLER_LEN: usize = 4_000;
/// Bytes of a measured letter.
const LETTER_LEN: usize = 200;

/// A store thread, and the sequence number of its next letter.
struct Store {
    worker: Worker<Record>,
    replies: Receiver<StoreReply>,
    next_seq: u64,
}

impl Store {
    /// Opens a store in `dir` and fills it with letters.
    fn filled(dir: &Path, mib: u64) -> Store {
        let (mut store, _) = RelayStore::open(dir, || [1; 32]).expect("the folder is new");
        let count = (mib << 20) / FILLER_LEN as u64;
        for first in (1..=count).step_by(1_000) {
            let letters = (first..first + 1_000).map(|seq| letter(seq, FILLER_LEN)).collect();
            let mut refused = Vec::new();
            store.commit(&[record(letters)], &mut refused).expect("the disk takes the letters");
            assert!(refused.is_empty(), "the letters are new");
        }
        let (sender, replies) = channel();
        let worker = Worker::spawn(store, move |reply| drop(sender.send(reply))).expect("a thread starts");
        Store { worker, replies, next_seq: count + 1_000 }
    }

    /// Commits one letter. Returns the time until the store reports it as committed.
    fn commit_one(&mut self) -> Duration {
        let started_at = Instant::now();
        let ticket = Ticket(self.next_seq);
        let record = record(vec![letter(self.next_seq, LETTER_LEN)]);
        self.next_seq += 1;
        self.worker.persist(ticket, record).expect("nothing else waits");
        let reply = self.replies.recv().expect("the store thread runs");
        assert_eq!(reply, StoreReply::Committed(ticket));
        started_at.elapsed()
    }

    /// Commits letters at their interval while `continues` returns `true`.
    fn commit_while(&mut self, mut continues: impl FnMut(u64) -> bool) -> Histogram<u64> {
        let mut latencies = Histogram::new(3).expect("three digits are possible");
        let started_at = Instant::now();
        let mut count = 0;
        while continues(count) {
            let due = started_at + INTERVAL * u32::try_from(count).expect("a run takes minutes");
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let latency = self.commit_one();
            latencies.record(latency.as_micros().try_into().expect("minutes at most")).expect("it grows");
            count += 1;
        }
        latencies
    }

    /// Commits letters until a copy into `file` is complete. Returns the copy's time as well.
    fn commit_during_copy(&mut self, file: &Path) -> (Histogram<u64>, Duration) {
        let (sender, done) = channel();
        let started_at = Instant::now();
        let reply = move |reply| match reply {
            BackupReply::Progress(_) => {}
            BackupReply::Done(_) => drop(sender.send(())),
            BackupReply::Failed(phrase) => panic!("the copy failed: {phrase:?}"),
        };
        self.worker.backups().begin(file.to_owned(), || Wall(1), reply).expect("nothing else waits");
        let latencies = self.commit_while(|_| done.try_recv().is_err());
        (latencies, started_at.elapsed())
    }
}

fn letter(seq: u64, len: usize) -> MailboxLetter {
    MailboxLetter {
        seq,
        stored_at: 5,
        from: name("TOM"),
        id: LetterId { outbox: OutboxId(7), number: seq },
        len: len as u64,
        mark: Mark(1),
        message: vec![seq as u8; len].into(),
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a valid name")
}

fn record(letters: Vec<MailboxLetter>) -> Record {
    Record::Letters { to: name("JACK"), letters, deliveries: Vec::new() }
}

fn print_row(title: &str, latencies: &Histogram<u64>) {
    let ms = |micros: u64| micros as f64 / 1e3;
    let [half, most, nearly_all] = [0.5, 0.99, 0.999].map(|share| ms(latencies.value_at_quantile(share)));
    let max = ms(latencies.max());
    let count = latencies.len();
    println!("{title:<14} {count:>8} {half:>9.1} {most:>9.1} {nearly_all:>9.1} {max:>9.1}");
}

fn main() -> ExitCode {
    let mib = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(MIB);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut store = Store::filled(&dir.path().join("relay"), mib);
    let without = store.commit_while(|count| count < LETTERS_WITHOUT_COPY);
    let (during, took) = store.commit_during_copy(&dir.path().join("copy"));
    println!("{mib} MiB copied in {:.1} s; commits, in ms:", took.as_secs_f64());
    println!("{:<14} {:>8} {:>9} {:>9} {:>9} {:>9}", "", "letters", "50 %", "99 %", "99.9 %", "slowest");
    print_row("without a copy", &without);
    print_row("during a copy", &during);
    let added = Duration::from_micros(during.max().saturating_sub(without.max()));
    if added > GOAL {
        eprintln!("the slowest commit took {} ms longer than without a copy", added.as_millis());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
