//! One process of the world: a core, its inputs that wait, and when it has its next turn.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use queqiao::base::{Core, Effect, Inbox, Input, Now, Outputs, Path, Rng, Tick, Wall, turn};

use super::attacker::is_reset;

/// The wall clock's reading at the world's beginning, in milliseconds.
const WALL_START_MS: i64 = 1_800_000_000_000;

/// An input that waits; packets keep their bytes.
pub enum Waiting<C> {
    Packet(Path, Vec<u8>),
    /// Plain text on a connection.
    Text(Path, Vec<u8>),
    Other(Input<'static, C>),
}

/// In which of its turns a process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// In the next that wants anything.
    Soon,
    /// In the next that wants something made durable.
    AtWrite,
}

/// Resets among the inputs of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resets {
    /// None that counts: forged ones beside other inputs may be there.
    None,
    /// Forged ones and no other input.
    OnlyForged,
    /// Not only forged ones.
    Genuine,
}

pub struct Node<K: Core> {
    pub core: K,
    pub inbox: VecDeque<Waiting<K::Command>>,
    /// The turn that is on the agenda; others are stale.
    pub turn_at: Option<Tick>,
    /// Stopped by the machine until then.
    pub paused_until: Tick,
    /// How far the wall clock is off, in milliseconds.
    pub wall_offset_ms: i64,
    /// The process is to end in the middle of a turn.
    pub doom: Option<Doom>,
    /// Counts restarts: what was begun by an earlier process is not for this one.
    pub life: u32,
    pub out: Outputs<K::Record, K::Event>,
    /// When it wanted its next turn, at the end of the last.
    deadline: Option<Tick>,
    /// Of the present second: turns for nothing, and others.
    turns: Turns,
}

#[derive(Default)]
struct Turns {
    second: u64,
    idle: u32,
    busy: u32,
}

struct Feed<'a, C> {
    inbox: &'a mut VecDeque<Waiting<C>>,
    lent: Vec<u8>,
}

impl<C> Inbox<C> for Feed<'_, C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.inbox.pop_front()? {
            Waiting::Other(input) => input,
            Waiting::Text(path, bytes) => {
                self.lent = bytes;
                Input::Text { path, bytes: &mut self.lent }
            }
            Waiting::Packet(path, bytes) => {
                self.lent = bytes;
                Input::Packet { path, bytes: &mut self.lent }
            }
        })
    }
}

/// Turns within one virtual second that had no input and did nothing, beside two for each that had some (a deadline
/// that moved back still wakes once): above it a node spins.
const IDLE_TURNS_PER_SECOND_MAX: u32 = 100;

/// A deadline met so late was slept through.
const OVERSLEPT: Duration = Duration::from_secs(1);

impl<K: Core> Node<K> {
    pub fn new(core: K) -> Node<K> {
        Node {
            core,
            inbox: VecDeque::new(),
            turn_at: None,
            paused_until: Tick::ZERO,
            wall_offset_ms: 0,
            doom: None,
            life: 0,
            out: Outputs::default(),
            deadline: None,
            turns: Turns::default(),
        }
    }

    /// Another process in this one's place: what waited is gone.
    pub fn restart(&mut self, core: K) {
        self.core = core;
        self.inbox.clear();
        self.turn_at = None;
        self.doom = None;
        self.paused_until = Tick::ZERO;
        self.deadline = None;
        self.life += 1;
    }

    /// Whether the process ends in this turn: then only some of what it wants is left in `out`, from the beginning.
    pub fn meets_its_end(&mut self, rng: &mut Rng) -> bool {
        let effects = &mut self.out.effects;
        let ends = match self.doom {
            None => false,
            Some(Doom::Soon) => !effects.is_empty(),
            Some(Doom::AtWrite) => effects.iter().any(|effect| matches!(effect, Effect::Persist(..))),
        };
        if ends {
            effects.truncate(rng.below(effects.len() as u64 + 1) as usize);
        }
        ends
    }

    /// What of the inputs that wait are resets.
    pub fn resets_in_inbox(&self, forged: &BTreeSet<Vec<u8>>) -> Resets {
        let mut found = Resets::None;
        let mut others = false;
        for waiting in &self.inbox {
            match waiting {
                Waiting::Packet(_, bytes) if !is_reset(bytes) => others = true,
                Waiting::Packet(_, bytes) if !forged.contains(bytes) => return Resets::Genuine,
                Waiting::Packet(..) => found = Resets::OnlyForged,
                Waiting::Text(..) | Waiting::Other(_) => others = true,
            }
        }
        if others { Resets::None } else { found }
    }

    /// One turn. Its effects stand in `out`; the deadline is checked and returned.
    pub fn take_turn(&mut self, at: Tick) -> Option<Tick> {
        let wall_ms = WALL_START_MS + self.wall_offset_ms + (at.as_micros() / 1000) as i64;
        let now = Now { tick: at, wall: Wall(wall_ms.max(0) as u64) };
        self.out.clear();
        let had_input = !self.inbox.is_empty();
        let mut feed = Feed { inbox: &mut self.inbox, lent: Vec::new() };
        let deadline = turn(&mut self.core, now, &mut feed, &mut self.out);
        assert!(
            deadline.is_none_or(|deadline| deadline > at),
            "spin: a deadline of {deadline:?} at {at:?}, {}",
            std::any::type_name::<K>()
        );
        self.count_turn(at, !had_input && self.out.effects.is_empty());
        self.deadline = deadline;
        deadline
    }

    /// The packets of the last turn.
    pub fn sends(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.out.effects.iter().filter_map(|effect| match effect {
            Effect::Send(path, range) => Some((path, &self.out.bytes[range.clone()])),
            _ => None,
        })
    }

    /// Whether a turn now comes so late that the machine must have slept.
    pub fn overslept(&self, now: Tick) -> bool {
        self.deadline.is_some_and(|deadline| now.since(deadline) > OVERSLEPT)
    }

    fn count_turn(&mut self, at: Tick, idle: bool) {
        let second = at.as_micros() / 1_000_000;
        if self.turns.second != second {
            self.turns = Turns { second, ..Turns::default() };
        }
        let turns = &mut self.turns;
        turns.idle += u32::from(idle);
        turns.busy += u32::from(!idle);
        let most = IDLE_TURNS_PER_SECOND_MAX + 2 * turns.busy;
        assert!(turns.idle <= most, "spin: {} turns for nothing in one second, {most} allowed", turns.idle);
    }
}
