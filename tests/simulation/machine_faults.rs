//! Machine faults: full and failing disks, processes that end in the middle of a turn, suspended
//! machines, clock jumps. Node 0 is the relay's, the others are the clients'.

use std::time::Duration;

use super::agreement;
use super::coverage::Count;
use super::link_conditions::chance;
use super::node::CrashPoint;
use super::simulation::Simulation;

/// Forward jump of a wall clock: ten years, in milliseconds.
const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;
/// Backward jump: one hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Plans faults of machines over `span`.
pub fn schedule_machine_faults(sim: &mut Simulation, span: Duration) {
    agreement::schedule_refusals(sim, span);
    let nodes = sim.machines.len() + 1;
    for node in 0..nodes {
        if chance(&mut sim.rng, 100) {
            set_fails(sim, node, 100);
        }
    }
    for _ in 0..[0, 2, 4, 8][sim.rng.below(4) as usize] {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, inject_machine_fault);
    }
}

fn set_fails(sim: &mut Simulation, node: usize, fails: u64) {
    match node.checked_sub(1) {
        None => sim.relay_sim_disk.full_chance = fails,
        Some(client) => sim.machines[client].disk.sim_disk.full_chance = fails,
    }
}

fn inject_machine_fault(sim: &mut Simulation) {
    let member_count = sim.machines.len() as u64;
    let node = if chance(&mut sim.rng, 400) { 0 } else { 1 + sim.rng.below(member_count) as usize };
    match sim.rng.below(9) {
        0 => sim.schedule_crash(node, CrashPoint::NextEffect),
        1..=3 => sim.schedule_crash(node, CrashPoint::NextPersist),
        4 => {
            let span = Duration::from_millis(200 + sim.rng.below(10_000));
            sim.fill_disk(node, span);
        }
        5 => sim.break_disk(node),
        6 => kill(sim, node),
        7 => {
            let long = [8_000, 8_000, 90_000, 600_000][sim.rng.below(4) as usize];
            let span = Duration::from_millis(1_000 + sim.rng.below(long));
            sim.suspend(node, span);
        }
        _ => {
            let jump = [-HOUR_MS, -HOUR_MS, TEN_YEARS_MS][sim.rng.below(3) as usize];
            sim.jump_clock(node, jump);
        }
    }
}

fn kill(sim: &mut Simulation, node: usize) {
    match node.checked_sub(1) {
        None => {
            let down = Duration::from_millis(sim.rng.below(4_000));
            sim.restart_relay(down);
        }
        Some(client) => {
            sim.coverage.add(Count::Replacements);
            sim.restart_client(client);
        }
    }
}

impl Simulation {
    /// Lets the process end in the middle of one of its next turns.
    pub fn schedule_crash(&mut self, node: usize, point: CrashPoint) {
        match node.checked_sub(1) {
            None => self.relay.crash_point = Some(point),
            Some(client) => self.machines[client].node.crash_point = Some(point),
        }
    }

    /// Lets the disk be full for `span`.
    pub fn fill_disk(&mut self, node: usize, span: Duration) {
        self.coverage.add(Count::FullDisks);
        self.log(|| format!("the disk of node {node} is full for {span:?}"));
        let until = self.now + span;
        match node.checked_sub(1) {
            None => self.relay_sim_disk.full_until = until,
            Some(client) => self.machines[client].disk.sim_disk.full_until = until,
        }
    }

    /// Lets the next fsync fail.
    fn break_disk(&mut self, node: usize) {
        match node.checked_sub(1) {
            None => self.relay_sim_disk.fsync_fails = true,
            Some(client) => self.machines[client].disk.sim_disk.fsync_fails = true,
        }
    }

    /// Suspends the machine. Inputs that arrive in the meantime are there at once when it wakes.
    pub fn suspend(&mut self, node: usize, span: Duration) {
        self.log(|| format!("node {node} sleeps for {span:?}"));
        let until = self.now + span;
        match node.checked_sub(1) {
            None => {
                self.coverage.add(Count::RelaySleeps);
                self.relay.paused_until = until.max(self.relay.paused_until);
            }
            Some(client) => {
                self.coverage.add(Count::Pauses);
                let node = &mut self.machines[client].node;
                node.paused_until = until.max(node.paused_until);
            }
        }
    }

    /// Sets the wall clock forward or back.
    pub fn jump_clock(&mut self, node: usize, jump_ms: i64) {
        self.coverage.add(if jump_ms < 0 { Count::ClockJumpsBack } else { Count::ClockJumps });
        self.log(|| format!("the clock of node {node} jumps by {jump_ms} ms"));
        match node.checked_sub(1) {
            None => self.relay.wall_offset_ms += jump_ms,
            Some(client) => self.machines[client].node.wall_offset_ms += jump_ms,
        }
    }

    /// Returns when every machine is awake.
    pub fn all_awake_at(&self) -> queqiao::base::Tick {
        let clients = self.machines.iter().map(|machine| machine.node.paused_until);
        clients.fold(self.relay.paused_until, std::cmp::Ord::max)
    }
}
