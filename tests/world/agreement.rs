//! Checks that every failed record is reported to the relay and written again. Once the disk takes
//! records again, the relay's state equals that of a relay started from this disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use queqiao::base::{Name, Rng, Wall};
use queqiao::relay::{Change, FlowNames, Known, Marks, Record};

use super::cover::Count;
use super::refusals::screen;
use super::unknown;
use super::weather::chance;
use super::world::{World, config};

/// Chances, in thousandths, that a record is refused, in seeds with such disks.
const REFUSES: [u64; 3] = [30, 200, 700];
/// Longest pause before a failed record is tried again, plus some commits.
const AGREED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Facts that only records carry, because no relay keeps them, and whether disks refuse records.
pub struct Agreement {
    /// A separate generator, so that all other random choices of a seed stay the same.
    pub rng: Rng,
    /// When each member was last seen, as the current relay process reported.
    seen: BTreeMap<Name, Wall>,
    /// Disks refuse single records.
    is_refusing: bool,
}

impl Agreement {
    pub fn new(seed: u64) -> Agreement {
        let mut bytes = *b"records that disks refuse, alone";
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Agreement { rng: Rng::from_seed(bytes), seen: BTreeMap::new(), is_refusing: false }
    }

    /// Handles a record that the relay submits to its disk.
    pub fn handed(&mut self, record: &Record) {
        match record {
            Record::Roll(Change::Seen { name, at }) => drop(self.seen.insert(name.clone(), *at)),
            Record::Roll(Change::Freed { name }) => drop(self.seen.remove(name)),
            _ => {}
        }
    }

    /// Handles a relay restart. Unwritten records of the previous process are lost.
    pub fn restarted(&mut self) {
        self.seen.clear();
    }
}

/// In some seeds the relay's disk refuses single records, and perhaps those of clients do. In the
/// meantime members change their block lists, with names that never sign in.
pub fn refuse_some(world: &mut World, span: Duration) {
    let rng = &mut world.agreement.rng;
    if !chance(rng, 250) {
        return;
    }
    world.relay_platter.refuses = REFUSES[rng.below(REFUSES.len() as u64) as usize];
    for station in &mut world.stations {
        if chance(rng, 300) {
            station.disk.platter.refuses = REFUSES[rng.below(2) as usize];
        }
    }
    world.agreement.is_refusing = true;
    for _ in 0..4 + world.agreement.rng.below(8) {
        let at = Duration::from_micros(world.agreement.rng.below(span.as_micros() as u64));
        world.later(at, block_nuisance);
    }
}

fn block_nuisance(world: &mut World) {
    let people = world.stations.len() as u64;
    let rng = &mut world.agreement.rng;
    let client = rng.below(people) as usize;
    let nuisance = format!("nuisance-{}", rng.below(5));
    if world.stations[client].started && world.agreement.is_refusing {
        screen(world, client, vec![nuisance.parse().unwrap()]);
        world.cover.add(Count::BlocksRefused);
    }
}

/// Checks, after the simulation was healed, that memory and disk soon agree.
pub fn check(world: &mut World) {
    let mut differs = None;
    for _ in 0..=AGREED_WITHIN.as_secs() / LOOK_EVERY.as_secs() {
        differs = difference(world);
        if differs.is_none() {
            break;
        }
        world.run_for(LOOK_EVERY);
    }
    assert_eq!(differs, None, "the relay's disk differs from its memory");
    world.cover.add(Count::RelaysCompared);
}

/// Returns the first difference between the relay's state and that of a relay started from its
/// disk.
fn difference(world: &mut World) -> Option<String> {
    let now = world.now;
    let mine = world.relay.core.known(now);
    let mut rng = Rng::from_seed([0; 32]);
    let mut other = config(world.relay_key, &world.relay_disk, &world.limits, None, &mut rng);
    let mut theirs = other.known(now);
    theirs.members.retain(|name| mine.members.contains(name) || !unknown::is_planted(name.as_str()));
    let mut noted = world.relay_disk.mail().sessions;
    noted.sort();
    if mine.unwritten > 0 {
        return Some(format!("{} records wait to be written again", mine.unwritten));
    }
    let lists = [
        differ("members", &mine.members, &theirs.members),
        differ("blocks", &mine.blocks, &theirs.blocks),
        differ("unused names", &mine.unused, &theirs.unused),
        differ("outboxes", &mine.outboxes, &theirs.outboxes),
        differ("refusals", &mine.refusals, &theirs.refusals),
        differ("sessions", &mine.sessions, &noted),
        marks_differ(&mine, &theirs),
    ];
    let seen = world.agreement.seen.iter().find(|(name, at)| world.relay_disk.seen.get(*name) != Some(at));
    let seen = seen.map(|(name, at)| format!("{name} was seen at {at:?}"));
    let clock = (theirs.clock > mine.clock).then(|| format!("clock: {} > {}", theirs.clock, mine.clock));
    lists.into_iter().flatten().chain(seen).chain(clock).next()
}

fn differ<T: std::fmt::Debug + PartialEq>(what: &str, mine: &[T], theirs: &[T]) -> Option<String> {
    let memory = mine.iter().find(|one| !theirs.contains(one));
    let disk = theirs.iter().find(|one| !mine.contains(one));
    (mine != theirs).then(|| format!("{what}: memory has {memory:?}, the disk {disk:?}"))
}

/// Compares watermarks. The disk may lag in flows whose marks are in memory only, and knows no flow
/// that memory lacks.
fn marks_differ(mine: &Known, theirs: &Known) -> Option<String> {
    let flow = |marks: &Marks| (marks.from.clone(), marks.to.clone(), marks.outbox);
    let of_names = |names: &FlowNames| (names.from.clone(), names.to.clone(), names.outbox);
    let ahead: BTreeSet<_> = mine.ahead.iter().map(of_names).collect();
    let all = |known: &Known| -> Vec<_> {
        let marks =
            known.marks.iter().map(|marks| (flow(marks), (marks.accepted, marks.delivered, marks.read)));
        marks.filter(|(flow, _)| !ahead.contains(flow)).collect()
    };
    differ("marks", &all(mine), &all(theirs))
}
