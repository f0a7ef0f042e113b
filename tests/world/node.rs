//! One process of the world: a core, its inputs that wait, and when it has its next turn.

use std::collections::VecDeque;

use queqiao::base::{Core, Inbox, Input, Now, Outputs, Path, Tick, Wall, turn};

/// The wall clock's reading at the world's beginning, in milliseconds.
const WALL_START_MS: i64 = 1_800_000_000_000;

/// An input that waits; packets keep their bytes.
pub enum Waiting<C> {
    Packet(Path, Vec<u8>),
    Other(Input<'static, C>),
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
    /// Counts restarts: what was begun by an earlier process is not for this one.
    pub life: u32,
    pub out: Outputs<K::Record, K::Event>,
    idle_turns: (u64, u32),
}

struct Feed<'a, C> {
    inbox: &'a mut VecDeque<Waiting<C>>,
    lent: Vec<u8>,
}

impl<C> Inbox<C> for Feed<'_, C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.inbox.pop_front()? {
            Waiting::Other(input) => input,
            Waiting::Packet(path, bytes) => {
                self.lent = bytes;
                Input::Packet { path, bytes: &mut self.lent }
            }
        })
    }
}

/// Turns within one virtual second that had no input and did nothing: above it a node spins.
const IDLE_TURNS_PER_SECOND_MAX: u32 = 400;

impl<K: Core> Node<K> {
    pub fn new(core: K) -> Node<K> {
        Node {
            core,
            inbox: VecDeque::new(),
            turn_at: None,
            paused_until: Tick::ZERO,
            wall_offset_ms: 0,
            life: 0,
            out: Outputs::default(),
            idle_turns: (0, 0),
        }
    }

    /// Another process in this one's place: what waited is gone.
    pub fn restart(&mut self, core: K) {
        self.core = core;
        self.inbox.clear();
        self.turn_at = None;
        self.life += 1;
    }

    /// One turn. Its effects stand in `out`; the deadline is checked and returned.
    pub fn take_turn(&mut self, at: Tick) -> Option<Tick> {
        let wall_ms = WALL_START_MS + self.wall_offset_ms + (at.as_micros() / 1000) as i64;
        let now = Now { tick: at, wall: Wall(wall_ms.max(0) as u64) };
        self.out.clear();
        let had_input = !self.inbox.is_empty();
        let mut feed = Feed { inbox: &mut self.inbox, lent: Vec::new() };
        let deadline = turn(&mut self.core, now, &mut feed, &mut self.out);
        assert!(deadline.is_none_or(|deadline| deadline > at), "spin: a deadline of {deadline:?} at {at:?}");
        if !had_input && self.out.effects.is_empty() {
            self.count_idle_turn(at);
        }
        deadline
    }

    fn count_idle_turn(&mut self, at: Tick) {
        let second = at.as_micros() / 1_000_000;
        if self.idle_turns.0 != second {
            self.idle_turns = (second, 0);
        }
        self.idle_turns.1 += 1;
        let (_, turns) = self.idle_turns;
        assert!(turns <= IDLE_TURNS_PER_SECOND_MAX, "spin: {turns} turns for nothing in one second");
    }
}
