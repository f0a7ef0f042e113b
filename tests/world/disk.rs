//! A client's disk: what is durable, and what is on its way to it when the process is killed.

use std::collections::VecDeque;
use std::time::Duration;

use queqiao::base::{Tick, Ticket};
use queqiao::client::{Kept, Record};

use super::cover::Count;
use super::weather::{below, chance};
use super::world::{Happening, World};

#[derive(Default)]
pub struct Disk {
    pub kept: Kept,
    pub counter_reserved: u64,
    /// Given to the disk and not answered, in order; `false` if it will fail.
    waiting: VecDeque<(Ticket, Record, bool)>,
    /// The commit at work, and the one that what comes meanwhile forms.
    begun: Tick,
    ends: Tick,
    next_ends: Tick,
}

impl Disk {
    /// When a record given now is durable; a commit takes so long.
    fn durable_at(&mut self, now: Tick, takes: Duration) -> Tick {
        if self.ends <= now && self.next_ends > now {
            (self.begun, self.ends) = (self.ends, self.next_ends);
        }
        if self.ends <= now {
            (self.begun, self.ends) = (now, now + takes);
        }
        if self.begun == now {
            return self.ends;
        }
        if self.next_ends <= self.ends {
            self.next_ends = self.ends + takes;
        }
        self.next_ends
    }
}

impl World {
    pub fn persist_of_client(&mut self, client: usize, ticket: Ticket, record: Record) {
        let durable = !chance(&mut self.rng, self.disk_fails);
        self.cover.add_many(Count::NotCommitted, u64::from(!durable));
        if let Record::Written { number, request, .. } = &record {
            self.oracle.numbered(client, *request, *number);
        }
        let takes = below(&mut self.rng, self.disk) + Duration::from_micros(1);
        let now = self.now;
        let station = &mut self.stations[client];
        let (life, disk) = (station.node.life, &mut station.disk);
        disk.waiting.push_back((ticket, record, durable));
        let at = disk.durable_at(now, takes);
        self.agenda.enter(at, Happening::Committed { node: client + 1, life, ticket, durable });
    }

    /// The first record that waits becomes durable, or not.
    pub fn write(&mut self, client: usize, ticket: Ticket) -> bool {
        let first = self.stations[client].disk.waiting.pop_front().expect("it was given to the disk");
        assert_eq!(first.0, ticket, "answers come in the order of questions");
        first.2 && self.apply(client, &first.1)
    }

    fn apply(&mut self, client: usize, record: &Record) -> bool {
        let station = &mut self.stations[client];
        match record {
            Record::Counter(mark) => station.disk.counter_reserved = *mark,
            Record::Pin { key, .. } => station.pinned = Some(*key),
            _ => {}
        }
        let applied = station.disk.kept.apply(record);
        if let (Record::Written { request, .. }, true) = (record, applied) {
            self.oracle.written(*request);
        }
        if let (Record::Received { letter, .. }, true) = (record, applied) {
            self.oracle.stored(client, letter);
        }
        applied
    }

    /// The process is killed: of what was on its way to the disk, some is durable, and the rest never will be.
    pub fn cut_off(&mut self, client: usize) {
        let waiting = std::mem::take(&mut self.stations[client].disk.waiting);
        let written = self.rng.below(waiting.len() as u64 + 1) as usize;
        self.cover.add_many(Count::KilledInCommit, u64::from(!waiting.is_empty()));
        for (_, record, _) in waiting.iter().take(written).filter(|(_, _, durable)| *durable) {
            self.apply(client, record);
        }
        let kept = &self.stations[client].disk.kept;
        let left: Vec<u64> = kept.letters.values().map(|letter| letter.request).collect();
        let told: Vec<u64> = kept.refusals.values().map(|refusal| refusal.letter.request).collect();
        self.oracle.killed(client, |request| left.contains(&request) || told.contains(&request));
    }
}
