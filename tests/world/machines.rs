//! Machine faults: full and failing disks, processes that end in the middle of a turn, suspended
//! machines, clock jumps. Node 0 is the relay's, the others are the clients'.

use std::time::Duration;

use super::agreement;
use super::cover::Count;
use super::node::Doom;
use super::weather::chance;
use super::world::World;

/// Forward jump of a wall clock: ten years, in milliseconds.
const TEN_YEARS_MS: i64 = 10 * 365 * 86_400_000;
/// Backward jump: one hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Plans faults of machines over `span`.
pub fn act_up(world: &mut World, span: Duration) {
    agreement::refuse_some(world, span);
    let nodes = world.stations.len() + 1;
    for node in 0..nodes {
        if chance(&mut world.rng, 100) {
            set_fails(world, node, 100);
        }
    }
    for _ in 0..[0, 2, 4, 8][world.rng.below(4) as usize] {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, fault);
    }
}

fn set_fails(world: &mut World, node: usize, fails: u64) {
    match node.checked_sub(1) {
        None => world.relay_platter.fails = fails,
        Some(client) => world.stations[client].disk.platter.fails = fails,
    }
}

fn fault(world: &mut World) {
    let people = world.stations.len() as u64;
    let node = if chance(&mut world.rng, 400) { 0 } else { 1 + world.rng.below(people) as usize };
    match world.rng.below(9) {
        0 => world.doom(node, Doom::Soon),
        1..=3 => world.doom(node, Doom::AtWrite),
        4 => {
            let span = Duration::from_millis(200 + world.rng.below(10_000));
            world.fill_disk(node, span);
        }
        5 => world.break_disk(node),
        6 => kill(world, node),
        7 => {
            let long = [8_000, 8_000, 90_000, 600_000][world.rng.below(4) as usize];
            let span = Duration::from_millis(1_000 + world.rng.below(long));
            world.suspend(node, span);
        }
        _ => {
            let jump = [-HOUR_MS, -HOUR_MS, TEN_YEARS_MS][world.rng.below(3) as usize];
            world.jump_clock(node, jump);
        }
    }
}

fn kill(world: &mut World, node: usize) {
    match node.checked_sub(1) {
        None => {
            let down = Duration::from_millis(world.rng.below(4_000));
            world.restart_relay(down);
        }
        Some(client) => {
            world.cover.add(Count::Replacements);
            world.restart_client(client);
        }
    }
}

impl World {
    /// Lets the process end in the middle of one of its next turns.
    pub fn doom(&mut self, node: usize, doom: Doom) {
        match node.checked_sub(1) {
            None => self.relay.doom = Some(doom),
            Some(client) => self.stations[client].node.doom = Some(doom),
        }
    }

    /// Lets the disk be full for `span`.
    pub fn fill_disk(&mut self, node: usize, span: Duration) {
        self.cover.add(Count::FullDisks);
        self.note(|| format!("the disk of node {node} is full for {span:?}"));
        let until = self.now + span;
        match node.checked_sub(1) {
            None => self.relay_platter.full_until = until,
            Some(client) => self.stations[client].disk.platter.full_until = until,
        }
    }

    /// Lets the next fsync fail.
    fn break_disk(&mut self, node: usize) {
        match node.checked_sub(1) {
            None => self.relay_platter.breaks = true,
            Some(client) => self.stations[client].disk.platter.breaks = true,
        }
    }

    /// Suspends the machine. Inputs that arrive in the meantime are there at once when it wakes.
    pub fn suspend(&mut self, node: usize, span: Duration) {
        self.note(|| format!("node {node} sleeps for {span:?}"));
        let until = self.now + span;
        match node.checked_sub(1) {
            None => {
                self.cover.add(Count::RelaySleeps);
                self.relay.paused_until = until.max(self.relay.paused_until);
            }
            Some(client) => {
                self.cover.add(Count::Pauses);
                let node = &mut self.stations[client].node;
                node.paused_until = until.max(node.paused_until);
            }
        }
    }

    /// Sets the wall clock forward or back.
    pub fn jump_clock(&mut self, node: usize, jump_ms: i64) {
        self.cover.add(if jump_ms < 0 { Count::ClockJumpsBack } else { Count::ClockJumps });
        self.note(|| format!("the clock of node {node} jumps by {jump_ms} ms"));
        match node.checked_sub(1) {
            None => self.relay.wall_offset_ms += jump_ms,
            Some(client) => self.stations[client].node.wall_offset_ms += jump_ms,
        }
    }

    /// Returns when every machine is awake.
    pub fn all_awake_at(&self) -> queqiao::base::Tick {
        let clients = self.stations.iter().map(|station| station.node.paused_until);
        clients.fold(self.relay.paused_until, std::cmp::Ord::max)
    }
}
