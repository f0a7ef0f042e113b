//! Two clients, one of which sends to the other. The other may answer each letter with a letter.

use std::sync::Arc;

use crate::base::{Name, Phrase, Tick};
use crate::client::{Carriers, RelaySpec};

use super::end::End;
use super::pace::Pace;
use super::side::Side;
use super::texts::Texts;
use super::totals::Totals;
use super::{Phase, Told};

/// Index of the sending side of a pair.
const WRITER: usize = 0;
/// Index of the receiving side of a pair.
const READER: usize = 1;

/// Settings that all pairs share.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Part of all names, so that two runs never use the same ones.
    pub(super) run: String,
    pub(super) relay: RelaySpec,
    pub(super) carriers: Carriers,
    pub(super) texts: Arc<Texts>,
    /// Whether each letter is answered with a letter.
    pub(super) answer: bool,
}

pub(super) struct Pair {
    sides: [Side; 2],
    pace: Pace,
    answer: bool,
    /// Letters without an answer yet, if letters are answered.
    unanswered: usize,
}

impl Pair {
    /// Opens pair `number`, not signed in yet.
    ///
    /// # Errors
    /// Those of [`End::open`].
    pub(super) fn open(manner: &Manner, number: usize, pace: Pace) -> Result<Pair, Phrase> {
        let Manner { run, relay, carriers, texts, answer } = manner;
        let name = |side| -> Name {
            format!("{run}-{side}{number}").parse().expect("ASCII letters, digits and dashes are valid")
        };
        let side = |me, other| {
            let end = End::open(name(me), relay.clone(), *carriers)?;
            Ok::<_, Phrase>(Side::new(end, name(me), name(other), relay.addr.clone(), texts.clone()))
        };
        Ok(Pair { sides: [side('a', 'b')?, side('b', 'a')?], pace, answer: *answer, unanswered: 0 })
    }

    /// Returns both clients: the sending one, then the receiving one.
    pub(super) fn ends(&self) -> [&End; 2] {
        self.sides.each_ref().map(|side| &side.end)
    }

    /// Returns both clients for modification.
    pub(super) fn ends_mut(&mut self) -> [&mut End; 2] {
        self.sides.each_mut().map(|side| &mut side.end)
    }

    /// Sends the packets that turns of a side produced. Returns whether it needs another turn at
    /// once.
    pub(super) fn release(&mut self, side: usize) -> bool {
        self.sides[side].end.net.release()
    }

    /// Runs one turn of a side. Returns when it needs the next one if nothing arrives.
    pub(super) fn turn(
        &mut self,
        side: usize,
        phase: Phase,
        totals: &mut Totals,
        tell: &mut impl FnMut(Told),
    ) -> Option<Tick> {
        let others_sent = self.sides[1 - side].sent;
        let came = self.sides[side].turn(phase, others_sent, totals, tell);
        let mut due = None;
        if side == WRITER {
            self.unanswered = self.unanswered.saturating_sub(came.letters + came.refused);
            if (Phase::WarmUp..Phase::Drain).contains(&phase) {
                due = self.write_what_is_due(came.now.tick);
            }
        } else if self.answer {
            (0..came.letters).for_each(|_| self.sides[READER].write(came.now.tick));
        }
        let end = &mut self.sides[side].end;
        end.say(came.now);
        end.sleep_until().into_iter().chain(due).min()
    }

    /// Writes the letters that are due. Returns when the next one is due.
    fn write_what_is_due(&mut self, now: Tick) -> Option<Tick> {
        loop {
            let under_way = if self.answer { self.unanswered } else { self.sides[WRITER].in_flight() };
            let due = self.pace.next_due(now, under_way)?;
            if due > now {
                return Some(due);
            }
            self.sides[WRITER].write(due);
            self.pace.written();
            self.unanswered += usize::from(self.answer);
        }
    }

    /// Ends the measurement: counts letters that were due and not written.
    pub(super) fn close(&mut self, now: Tick, totals: &mut Totals) {
        self.pace.backlog(now, |due| totals.count_backlog(now, due));
    }

    /// Whether every letter has ended.
    pub(super) fn is_idle(&self) -> bool {
        self.sides.iter().all(|side| side.in_flight() == 0)
    }

    /// Signs out of the relay and adds the counts of both sides.
    pub(super) fn leave(&mut self, totals: &mut Totals) {
        let written = self.sides.each_ref().map(Side::written);
        self.sides[WRITER].leave(written[READER], totals);
        self.sides[READER].leave(written[WRITER], totals);
    }
}
