//! Checks that every failed record is reported to the relay and written again. Once the disk takes
//! records again, the relay's state equals that of a relay started from this disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use queqiao::base::{Name, Rng, Wall};
use queqiao::client::BlockList;
use queqiao::relay::{FlowNames, MembershipChange, PersistedFlow, Record, RelaySnapshot};

use super::coverage::Count;
use super::link_conditions::chance;
use super::refusals::send_lists;
use super::simulation::{Simulation, new_relay};
use super::unknown_names;

/// Chances, in thousandths, that a record is refused, in seeds with such disks.
const REFUSES: [u64; 3] = [30, 200, 700];
/// Longest pause before a failed record is tried again, plus some commits.
const AGREEMENT_MAX: Duration = Duration::from_secs(60);
const COMPARE_EVERY: Duration = Duration::from_secs(5);

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
    pub fn record_submitted(&mut self, record: &Record) {
        match record {
            Record::Membership(MembershipChange::Seen { name, at }) => {
                self.seen.insert(name.clone(), *at);
            }
            Record::Membership(MembershipChange::Freed { name }) => {
                self.seen.remove(name);
            }
            _ => {}
        }
    }

    /// Handles a relay restart. Unwritten records of the previous process are lost.
    pub fn handle_relay_restart(&mut self) {
        self.seen.clear();
    }
}

/// In some seeds the relay's disk refuses single records, and perhaps those of clients do. In the
/// meantime members change their block lists, with names that never sign in.
pub fn schedule_refusals(sim: &mut Simulation, span: Duration) {
    let rng = &mut sim.agreement.rng;
    if !chance(rng, 250) {
        return;
    }
    sim.relay_sim_disk.refuse_chance = REFUSES[rng.below(REFUSES.len() as u64) as usize];
    for machine in &mut sim.machines {
        if chance(rng, 300) {
            machine.disk.sim_disk.refuse_chance = REFUSES[rng.below(2) as usize];
        }
    }
    sim.agreement.is_refusing = true;
    for _ in 0..4 + sim.agreement.rng.below(8) {
        let at = Duration::from_micros(sim.agreement.rng.below(span.as_micros() as u64));
        sim.schedule(at, block_unknown_name);
    }
}

fn block_unknown_name(sim: &mut Simulation) {
    let member_count = sim.machines.len() as u64;
    let rng = &mut sim.agreement.rng;
    let client = rng.below(member_count) as usize;
    let name = format!("nuisance-{}", rng.below(5));
    if sim.machines[client].started && sim.agreement.is_refusing {
        let members = sim.machines.iter().map(|machine| machine.name.parse().unwrap());
        let lists = BlockList { blocked: vec![name.parse().unwrap()], only: Some(members.collect()) };
        send_lists(sim, client, lists);
        sim.coverage.add(Count::BlocksRefused);
    }
}

/// Checks, after the simulation was healed, that memory and disk soon agree.
pub fn check(sim: &mut Simulation) {
    let mut differs = None;
    for _ in 0..=AGREEMENT_MAX.as_secs() / COMPARE_EVERY.as_secs() {
        differs = difference(sim);
        if differs.is_none() {
            break;
        }
        sim.run_for(COMPARE_EVERY);
    }
    assert_eq!(differs, None, "the relay's disk differs from its memory");
    sim.coverage.add(Count::RelaysCompared);
}

/// Returns the first difference between the relay's state and that of a relay started from its
/// disk.
fn difference(sim: &mut Simulation) -> Option<String> {
    let now = sim.now;
    let mine = sim.relay.core.snapshot(now);
    let mut rng = Rng::from_seed([0; 32]);
    let mut other = new_relay(sim.relay_key, &sim.relay_disk, &sim.limits, None, &mut rng);
    let mut theirs = other.snapshot(now);
    theirs
        .members
        .retain(|name| mine.members.contains(name) || !unknown_names::is_similar_name(name.as_str()));
    let mut noted = sim.relay_disk.mail().sessions;
    noted.sort();
    if mine.unwritten > 0 {
        return Some(format!("{} records wait to be written again", mine.unwritten));
    }
    let lists = [
        first_difference("members", &mine.members, &theirs.members),
        first_difference("lists", &mine.lists, &theirs.lists),
        first_difference("unused names", &mine.unused, &theirs.unused),
        first_difference("outboxes", &mine.outboxes, &theirs.outboxes),
        first_difference("refusals", &mine.refusals, &theirs.refusals),
        first_difference("sessions", &mine.sessions, &noted),
        watermark_difference(&mine, &theirs),
    ];
    let seen = sim.agreement.seen.iter().find(|(name, at)| sim.relay_disk.seen.get(*name) != Some(at));
    let seen = seen.map(|(name, at)| format!("{name} was seen at {at:?}"));
    let clock = (theirs.clock > mine.clock).then(|| format!("clock: {} > {}", theirs.clock, mine.clock));
    lists.into_iter().flatten().chain(seen).chain(clock).next()
}

fn first_difference<T: std::fmt::Debug + PartialEq>(what: &str, mine: &[T], theirs: &[T]) -> Option<String> {
    let memory = mine.iter().find(|one| !theirs.contains(one));
    let disk = theirs.iter().find(|one| !mine.contains(one));
    (mine != theirs).then(|| format!("{what}: memory has {memory:?}, the disk {disk:?}"))
}

/// Compares watermarks. The disk may lag in flows whose marks are in memory only, and knows no flow
/// that memory lacks.
fn watermark_difference(mine: &RelaySnapshot, theirs: &RelaySnapshot) -> Option<String> {
    let flow = |marks: &PersistedFlow| (marks.from.clone(), marks.to.clone(), marks.outbox);
    let of_names = |names: &FlowNames| (names.from.clone(), names.to.clone(), names.outbox);
    let ahead: BTreeSet<_> = mine.ahead.iter().map(of_names).collect();
    let all = |known: &RelaySnapshot| -> Vec<_> {
        let marks = known.flows.iter().map(|marks| (flow(marks), marks.watermarks));
        marks.filter(|(flow, _)| !ahead.contains(flow)).collect()
    };
    first_difference("marks", &all(mine), &all(theirs))
}
