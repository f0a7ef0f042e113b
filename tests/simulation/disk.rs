//! Disks of the simulation: jobs that processes submit, the replies, and the state that remains
//! after a process has ended.

use std::time::Duration;

use queqiao::base::{Input, LetterId, Query, Ticket};
use queqiao::client::{self, PersistedClient, Record};
use queqiao::relay;

use super::coverage::Count;
use super::link_conditions::below;
use super::node::PendingInput;
use super::sim_disk::{CommitResult, Job, SimDisk};
use super::simulation::{SimEvent, Simulation};

/// A client's disk.
#[derive(Default)]
pub struct Disk {
    pub kept: PersistedClient,
    pub counter_reserved: u64,
    pub sim_disk: SimDisk<Record>,
}

impl Simulation {
    pub fn persist_for_client(&mut self, client: usize, ticket: Ticket, record: Record) {
        if let Record::OldCopy { relay, outbox } = &record {
            self.coverage.add(Count::OldCopies);
            self.oracle.outboxes.insert(outbox.for_relay(relay).0, client);
        }
        if let Record::Written { relay, outbox, number, mark, request, .. } = &record {
            let id = LetterId { outbox: outbox.for_relay(relay), number: *number };
            self.oracle.record_number(*request, id, *mark);
        }
        if let Record::Counter(mark) = &record {
            self.log(|| format!("client {client}: wants counters up to {mark}"));
        }
        let now = self.now;
        let time = self.commit_time();
        let node = &mut self.machines[client];
        let incarnation = node.node.incarnation;
        if let Some(at) = node.disk.sim_disk.submit(now, time, ticket, Job::Persist(record)) {
            self.event_queue.push(at, SimEvent::CommitEnds { node: client + 1, incarnation });
        }
    }

    pub fn persist_for_relay(&mut self, ticket: Ticket, record: relay::Record) {
        if let relay::Record::Sessions { hints: noted, .. } = &record {
            for note in noted {
                assert!(
                    self.address_limits.is_proven(note.addr),
                    "{} is noted without being proven",
                    note.addr
                );
            }
        }
        self.agreement.record_submitted(&record);
        self.submit_to_relay(ticket, Job::Persist(record));
    }

    pub fn load_for_relay(&mut self, ticket: Ticket, query: Query) {
        self.coverage.add(Count::MailboxLoads);
        self.submit_to_relay(ticket, Job::Load(query));
    }

    fn submit_to_relay(&mut self, ticket: Ticket, job: Job<relay::Record>) {
        let now = self.now;
        let time = self.commit_time();
        let incarnation = self.relay.incarnation;
        if let Some(at) = self.relay_sim_disk.submit(now, time, ticket, job) {
            self.event_queue.push(at, SimEvent::CommitEnds { node: 0, incarnation });
        }
    }

    fn commit_time(&mut self) -> Duration {
        below(&mut self.rng, self.commit_time_max) + Duration::from_micros(1)
    }

    /// Handles the end of a node's commit.
    pub fn end_commit(&mut self, node: usize, incarnation: u32) {
        match node.checked_sub(1) {
            None if self.relay.incarnation == incarnation => self.end_relay_commit(),
            Some(client) if self.machines[client].node.incarnation == incarnation => {
                self.end_client_commit(client)
            }
            _ => {}
        }
    }

    fn end_relay_commit(&mut self) {
        let (result, jobs) = self.relay_sim_disk.end_commit(self.now, &mut self.rng, &mut self.coverage);
        if result == CommitResult::Broken {
            self.log(|| "the relay's disk breaks".to_owned());
            let down = below(&mut self.rng, Duration::from_secs(3));
            return self.restart_relay(down);
        }
        for (ticket, job) in jobs {
            let answer = match job {
                Job::Load(query) => Input::Rows(ticket, self.relay_disk.load(&query)),
                Job::Persist(record)
                    if result == CommitResult::Durable
                        && self.is_taken(None)
                        && self.relay_disk.apply(&record) =>
                {
                    Input::Committed(ticket)
                }
                Job::Persist(record) => {
                    self.log(|| format!("the relay's disk refuses {record:?}").chars().take(200).collect());
                    self.coverage.add(Count::RelayNotCommitted);
                    Input::NotCommitted(ticket)
                }
            };
            self.push_relay_input(PendingInput::Other(answer));
        }
    }

    fn end_client_commit(&mut self, client: usize) {
        let sim_disk = &mut self.machines[client].disk.sim_disk;
        let (result, jobs) = sim_disk.end_commit(self.now, &mut self.rng, &mut self.coverage);
        if result == CommitResult::Broken {
            self.log(|| format!("client {client}: its disk breaks"));
            return self.restart_client(client);
        }
        for (ticket, job) in jobs {
            let Job::Persist(record) = job else { panic!("a client loads nothing") };
            let durable =
                result == CommitResult::Durable && self.is_taken(Some(client)) && self.apply(client, &record);
            self.coverage.add_many(Count::NotCommitted, u64::from(!durable));
            if !durable {
                self.log(|| format!("client {client}: {ticket:?} is not on its disk"));
            }
            let answer = if durable { Input::Committed(ticket) } else { Input::NotCommitted(ticket) };
            self.push_client_input(client, PendingInput::Other(answer));
        }
    }

    /// Whether the disk of the relay (`None`) or of this client takes the next record of its
    /// commit.
    fn is_taken(&mut self, client: Option<usize>) -> bool {
        let time = match client {
            None => self.relay_sim_disk.accepts_record(&mut self.agreement.rng),
            Some(client) => self.machines[client].disk.sim_disk.accepts_record(&mut self.agreement.rng),
        };
        self.coverage.add_many(Count::RecordsRefused, u64::from(!time));
        time
    }

    pub(super) fn apply(&mut self, client: usize, record: &client::Record) -> bool {
        let machine = &mut self.machines[client];
        match record {
            Record::Counter(mark) => machine.disk.counter_reserved = *mark,
            Record::Pin { key, .. } => machine.pinned = Some(*key),
            _ => {}
        }
        let had = machine.disk.kept.clock;
        let had_declined = last_declined(&machine.disk.kept);
        let applied = machine.disk.kept.apply(record);
        let is_new = machine.disk.kept.clock > had;
        let is_declined = last_declined(&machine.disk.kept) > had_declined;
        if applied && let Record::Written { request, .. } = record {
            self.oracle.record_written(*request);
        }
        if applied && let Record::Received { letter, mark, .. } = record {
            self.oracle.record_stored(client, letter, *mark, is_new, &self.relay_disk);
            self.record_stored_at(client, letter, *mark);
        }
        if is_declined && let Record::Declined { from, id, mark, .. } = record {
            self.oracle.record_declined(client, from, *id, *mark, is_declined);
        }
        self.coverage.add_many(Count::OldCopiesMet, matches!(record, Record::Closed { .. }).into());
        applied
    }

    /// Handles the end of the relay's process: applies the records of its last commit that survive.
    pub fn cut_off_relay(&mut self) {
        self.coverage.add_many(Count::RelayKilledInCommit, u64::from(!self.relay_sim_disk.is_idle()));
        for record in self.relay_sim_disk.cut_off(self.now, &mut self.rng, &mut self.coverage) {
            self.relay_disk.apply(&record);
        }
    }

    /// Handles the end of a client's process: applies the records of its last commit that survive.
    pub fn cut_off(&mut self, client: usize) {
        let sim_disk = &mut self.machines[client].disk.sim_disk;
        self.coverage.add_many(Count::KilledInCommit, u64::from(!sim_disk.is_idle()));
        for record in sim_disk.cut_off(self.now, &mut self.rng, &mut self.coverage) {
            self.apply(client, &record);
        }
        let kept = &self.machines[client].disk.kept;
        let left: Vec<u64> = kept.letters.values().map(|letter| letter.request).collect();
        let notified: Vec<u64> = kept.refusals.values().map(|refusal| refusal.letter.request).collect();
        self.oracle.record_kill(client, |request| left.contains(&request) || notified.contains(&request));
    }
}

/// Returns the sequence number of the last letter that this client has refused.
fn last_declined(kept: &PersistedClient) -> u64 {
    kept.declined.values().map(|(place, _)| *place).max().unwrap_or(0)
}
