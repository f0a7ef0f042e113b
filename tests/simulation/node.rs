//! One process of the simulation: a core, its pending inputs, and the time of its next turn.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use queqiao::base::{Core, Effect, Input, InputSource, Now, Outputs, Path, Rng, Tick, Wall, turn};
use queqiao::client::Client;
use queqiao::relay::Relay;

use super::off_path_attacker::is_reset;

/// Reading of the wall clock at the start, in milliseconds.
const WALL_START_MS: i64 = 1_800_000_000_000;

/// A pending input. Packets keep their bytes.
pub enum PendingInput<C> {
    Packet(Path, Vec<u8>),
    /// Plain text on a connection.
    Text(Path, Vec<u8>),
    Other(Input<'static, C>),
}

/// Turn in which a process will crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The next one with any effect.
    NextEffect,
    /// The next one that submits a record.
    NextPersist,
}

/// Resets among the inputs of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resets {
    /// None that matters: forged ones may be there next to other inputs.
    None,
    /// Forged ones and no other input.
    OnlyForged,
    /// At least one that is not forged.
    Genuine,
}

/// A core of which the simulation counts idle turns.
pub trait CountedCore: Core {
    /// Number of letters handled so far.
    ///
    /// A relay reads the letters of a fast sender one by one, by its clock. Most of these turns
    /// have neither input nor effect, and yet are not idle.
    fn handled_letters(&self) -> u64;
}

impl CountedCore for Relay {
    fn handled_letters(&self) -> u64 {
        let stats = self.stats();
        stats.letters_taken + stats.letters_refused
    }
}

impl CountedCore for Client {
    fn handled_letters(&self) -> u64 {
        0
    }
}

pub struct Node<K: CountedCore> {
    pub core: K,
    pub inputs: VecDeque<PendingInput<K::Command>>,
    /// The scheduled turn. Any other turn on the agenda is stale.
    pub turn_at: Option<Tick>,
    /// The machine is suspended until then.
    pub paused_until: Tick,
    /// Offset of the wall clock, in milliseconds.
    pub wall_offset_ms: i64,
    /// The process will end in the middle of a turn.
    pub crash_point: Option<CrashPoint>,
    /// Number of restarts. Results of an earlier process's requests are ignored.
    pub incarnation: u32,
    pub out: Outputs<K::Record, K::Event>,
    /// Deadline returned by the last turn.
    deadline: Option<Tick>,
    /// Turns of the current second.
    turn_log: TurnLog,
}

#[derive(Default)]
struct TurnLog {
    second: u64,
    idle: u32,
    busy: u32,
}

struct InputFeed<'a, C> {
    inbox: &'a mut VecDeque<PendingInput<C>>,
    lent: Vec<u8>,
}

impl<C> InputSource<C> for InputFeed<'_, C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.inbox.pop_front()? {
            PendingInput::Other(input) => input,
            PendingInput::Text(path, bytes) => {
                self.lent = bytes;
                Input::Text { path, bytes: &mut self.lent }
            }
            PendingInput::Packet(path, bytes) => {
                self.lent = bytes;
                Input::Packet { path, bytes: &mut self.lent }
            }
        })
    }
}

/// Turns in one virtual second that may be idle; above it a node spins. Two
/// more are allowed for each other turn, because a deadline that moved back still wakes once.
const IDLE_TURNS_PER_SECOND_MAX: u32 = 100;

/// A deadline met this late means that the machine was suspended.
const OVERSLEPT: Duration = Duration::from_secs(1);

impl<K: CountedCore> Node<K> {
    pub fn new(core: K) -> Node<K> {
        Node {
            core,
            inputs: VecDeque::new(),
            turn_at: None,
            paused_until: Tick::ZERO,
            wall_offset_ms: 0,
            crash_point: None,
            incarnation: 0,
            out: Outputs::default(),
            deadline: None,
            turn_log: TurnLog::default(),
        }
    }

    /// Replaces the process. Pending inputs are lost.
    pub fn restart(&mut self, core: K) {
        self.core = core;
        self.inputs.clear();
        self.turn_at = None;
        self.crash_point = None;
        self.paused_until = Tick::ZERO;
        self.deadline = None;
        self.incarnation += 1;
    }

    /// Whether the process ends in this turn. Then `out` keeps only the first of its effects.
    pub fn crashes_now(&mut self, rng: &mut Rng) -> bool {
        let effects = &mut self.out.effects;
        let ends = match self.crash_point {
            None => false,
            Some(CrashPoint::NextEffect) => !effects.is_empty(),
            Some(CrashPoint::NextPersist) => {
                effects.iter().any(|effect| matches!(effect, Effect::Persist(..)))
            }
        };
        if ends {
            effects.truncate(rng.below(effects.len() as u64 + 1) as usize);
        }
        ends
    }

    /// Returns the kind of resets among the pending inputs.
    pub fn pending_resets(&self, forged: &BTreeSet<Vec<u8>>) -> Resets {
        let mut found = Resets::None;
        let mut others = false;
        for input in &self.inputs {
            match input {
                PendingInput::Packet(_, bytes) if !is_reset(bytes) => others = true,
                PendingInput::Packet(_, bytes) if !forged.contains(bytes) => return Resets::Genuine,
                PendingInput::Packet(..) => found = Resets::OnlyForged,
                PendingInput::Text(..) | PendingInput::Other(_) => others = true,
            }
        }
        if others { Resets::None } else { found }
    }

    /// Runs one turn and leaves its effects in `out`. Checks and returns the deadline.
    pub fn take_turn(&mut self, at: Tick) -> Option<Tick> {
        let wall_ms = WALL_START_MS + self.wall_offset_ms + (at.as_micros() / 1000) as i64;
        let now = Now { tick: at, wall: Wall(wall_ms.max(0) as u64) };
        self.out.clear();
        let had_input = !self.inputs.is_empty();
        let handled = self.core.handled_letters();
        let mut feed = InputFeed { inbox: &mut self.inputs, lent: Vec::new() };
        let deadline = turn(&mut self.core, now, &mut feed, &mut self.out);
        assert!(
            deadline.is_none_or(|deadline| deadline > at),
            "spin: a deadline of {deadline:?} at {at:?}, {}",
            std::any::type_name::<K>()
        );
        let is_idle = !had_input && self.out.effects.is_empty() && self.core.handled_letters() == handled;
        self.count_turn(at, is_idle);
        self.deadline = deadline;
        deadline
    }

    /// Returns the packets of the last turn.
    pub fn sent_packets(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.out.effects.iter().filter_map(|effect| match effect {
            Effect::Send(path, range) => Some((path, &self.out.bytes[range.clone()])),
            _ => None,
        })
    }

    /// Whether a turn now is so late that the machine must have been suspended.
    pub fn has_overslept(&self, now: Tick) -> bool {
        self.deadline.is_some_and(|deadline| now.since(deadline) > OVERSLEPT)
    }

    fn count_turn(&mut self, at: Tick, idle: bool) {
        let second = at.as_micros() / 1_000_000;
        if self.turn_log.second != second {
            self.turn_log = TurnLog { second, ..TurnLog::default() };
        }
        let turns = &mut self.turn_log;
        turns.idle += u32::from(idle);
        turns.busy += u32::from(!idle);
        let most = IDLE_TURNS_PER_SECOND_MAX + 2 * turns.busy;
        assert!(
            turns.idle <= most,
            "spin: {} turns without effect in one second, {most} allowed",
            turns.idle
        );
    }
}
