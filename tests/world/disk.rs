//! Disks of the simulation: jobs that processes submit, the replies, and the state that remains
//! after a process has ended.

use std::time::Duration;

use queqiao::base::{Input, LetterId, Query, Ticket};
use queqiao::client::{self, Kept, Record};
use queqiao::relay;

use super::cover::Count;
use super::node::Waiting;
use super::platter::{Job, Platter, Verdict};
use super::weather::below;
use super::world::{Happening, World};

/// A client's disk.
#[derive(Default)]
pub struct Disk {
    pub kept: Kept,
    pub counter_reserved: u64,
    pub platter: Platter<Record>,
}

impl World {
    pub fn persist_of_client(&mut self, client: usize, ticket: Ticket, record: Record) {
        if let Record::OldCopy { relay, outbox } = &record {
            self.cover.add(Count::OldCopies);
            self.oracle.outboxes.insert(outbox.through(relay).0, client);
        }
        if let Record::Written { relay, outbox, number, mark, request, .. } = &record {
            let id = LetterId { outbox: outbox.through(relay), number: *number };
            self.oracle.numbered(*request, id, *mark);
        }
        if let Record::Counter(mark) = &record {
            self.note(|| format!("client {client}: wants counters up to {mark}"));
        }
        let now = self.now;
        let takes = self.commit_takes();
        let node = &mut self.stations[client];
        let life = node.node.life;
        if let Some(at) = node.disk.platter.give(now, takes, ticket, Job::Persist(record)) {
            self.agenda.enter(at, Happening::CommitEnds { node: client + 1, life });
        }
    }

    pub fn persist_of_relay(&mut self, ticket: Ticket, record: relay::Record) {
        if let relay::Record::Sessions { noted, .. } = &record {
            for note in noted {
                assert!(self.addresses.is_proven(note.addr), "{} is noted without being proven", note.addr);
            }
        }
        self.agreement.handed(&record);
        self.give_relay(ticket, Job::Persist(record));
    }

    pub fn load_of_relay(&mut self, ticket: Ticket, query: Query) {
        self.cover.add(Count::MailboxLoads);
        self.give_relay(ticket, Job::Load(query));
    }

    fn give_relay(&mut self, ticket: Ticket, job: Job<relay::Record>) {
        let now = self.now;
        let takes = self.commit_takes();
        let life = self.relay.life;
        if let Some(at) = self.relay_platter.give(now, takes, ticket, job) {
            self.agenda.enter(at, Happening::CommitEnds { node: 0, life });
        }
    }

    fn commit_takes(&mut self) -> Duration {
        below(&mut self.rng, self.disk) + Duration::from_micros(1)
    }

    /// Handles the end of a node's commit.
    pub fn end_commit(&mut self, node: usize, life: u32) {
        match node.checked_sub(1) {
            None if self.relay.life == life => self.end_relay_commit(),
            Some(client) if self.stations[client].node.life == life => self.end_client_commit(client),
            _ => {}
        }
    }

    fn end_relay_commit(&mut self) {
        let (verdict, jobs) = self.relay_platter.end_commit(self.now, &mut self.rng, &mut self.cover);
        if verdict == Verdict::Broken {
            self.note(|| "the relay's disk breaks".to_owned());
            let down = below(&mut self.rng, Duration::from_secs(3));
            return self.restart_relay(down);
        }
        for (ticket, job) in jobs {
            let answer = match job {
                Job::Load(query) => Input::Rows(ticket, self.relay_disk.load(&query)),
                Job::Persist(record)
                    if verdict == Verdict::Durable
                        && self.is_taken(None)
                        && self.relay_disk.apply(&record) =>
                {
                    Input::Committed(ticket)
                }
                Job::Persist(record) => {
                    self.note(|| format!("the relay's disk refuses {record:?}").chars().take(200).collect());
                    self.cover.add(Count::RelayNotCommitted);
                    Input::NotCommitted(ticket)
                }
            };
            self.tell_relay(Waiting::Other(answer));
        }
    }

    fn end_client_commit(&mut self, client: usize) {
        let platter = &mut self.stations[client].disk.platter;
        let (verdict, jobs) = platter.end_commit(self.now, &mut self.rng, &mut self.cover);
        if verdict == Verdict::Broken {
            self.note(|| format!("client {client}: its disk breaks"));
            return self.restart_client(client);
        }
        for (ticket, job) in jobs {
            let Job::Persist(record) = job else { panic!("a client loads nothing") };
            let durable =
                verdict == Verdict::Durable && self.is_taken(Some(client)) && self.apply(client, &record);
            self.cover.add_many(Count::NotCommitted, u64::from(!durable));
            if !durable {
                self.note(|| format!("client {client}: {ticket:?} is not on its disk"));
            }
            let answer = if durable { Input::Committed(ticket) } else { Input::NotCommitted(ticket) };
            self.tell_client(client, Waiting::Other(answer));
        }
    }

    /// Whether the disk of the relay (`None`) or of this client takes the next record of its
    /// commit.
    fn is_taken(&mut self, client: Option<usize>) -> bool {
        let takes = match client {
            None => self.relay_platter.takes_one(&mut self.agreement.rng),
            Some(client) => self.stations[client].disk.platter.takes_one(&mut self.agreement.rng),
        };
        self.cover.add_many(Count::RecordsRefused, u64::from(!takes));
        takes
    }

    pub(super) fn apply(&mut self, client: usize, record: &client::Record) -> bool {
        let station = &mut self.stations[client];
        match record {
            Record::Counter(mark) => station.disk.counter_reserved = *mark,
            Record::Pin { key, .. } => station.pinned = Some(*key),
            _ => {}
        }
        let had = station.disk.kept.clock;
        let had_declined = last_declined(&station.disk.kept);
        let applied = station.disk.kept.apply(record);
        let is_new = station.disk.kept.clock > had;
        let is_declined = last_declined(&station.disk.kept) > had_declined;
        if applied && let Record::Written { request, .. } = record {
            self.oracle.written(*request);
        }
        if applied && let Record::Received { letter, mark, .. } = record {
            self.oracle.stored(client, letter, *mark, is_new, &self.relay_disk);
            self.note_stored(client, letter, *mark);
        }
        if is_declined && let Record::Declined { from, id, mark, .. } = record {
            self.oracle.declined(client, from, *id, *mark, is_declined);
        }
        self.cover.add_many(Count::OldCopiesMet, matches!(record, Record::Closed { .. }).into());
        applied
    }

    /// Handles the end of the relay's process: applies the records of its last commit that survive.
    pub fn cut_off_relay(&mut self) {
        self.cover.add_many(Count::RelayKilledInCommit, u64::from(!self.relay_platter.is_idle()));
        for record in self.relay_platter.cut_off(self.now, &mut self.rng, &mut self.cover) {
            self.relay_disk.apply(&record);
        }
    }

    /// Handles the end of a client's process: applies the records of its last commit that survive.
    pub fn cut_off(&mut self, client: usize) {
        let platter = &mut self.stations[client].disk.platter;
        self.cover.add_many(Count::KilledInCommit, u64::from(!platter.is_idle()));
        for record in platter.cut_off(self.now, &mut self.rng, &mut self.cover) {
            self.apply(client, &record);
        }
        let kept = &self.stations[client].disk.kept;
        let left: Vec<u64> = kept.letters.values().map(|letter| letter.request).collect();
        let told: Vec<u64> = kept.refusals.values().map(|refusal| refusal.letter.request).collect();
        self.oracle.killed(client, |request| left.contains(&request) || told.contains(&request));
    }
}

/// Returns the sequence number of the last letter that this client has refused.
fn last_declined(kept: &Kept) -> u64 {
    kept.declined.values().map(|(place, _)| *place).max().unwrap_or(0)
}
