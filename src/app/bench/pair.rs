//! Two clients, one of which writes to the other, which may answer each letter with a letter.

use std::sync::Arc;

use crate::base::{Name, Phrase, Tick};
use crate::client::{Carriers, RelaySpec};

use super::end::End;
use super::pace::Pace;
use super::side::Side;
use super::texts::Texts;
use super::totals::Totals;
use super::{Phase, Told};

/// The sides of a pair by their place.
const WRITER: usize = 0;
const READER: usize = 1;

/// What all pairs have alike.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Stands in all names, so that two runs never meet.
    pub(super) run: String,
    pub(super) relay: RelaySpec,
    pub(super) carriers: Carriers,
    pub(super) texts: Arc<Texts>,
    /// Each letter is answered with a letter.
    pub(super) answer: bool,
}

pub(super) struct Pair {
    sides: [Side; 2],
    pace: Pace,
    answer: bool,
    /// Letters of the writer that were not answered, where they are to be.
    unanswered: usize,
}

impl Pair {
    /// The pair of this number, not signed in yet.
    ///
    /// # Errors
    /// Those of [`End::open`].
    pub(super) fn open(manner: &Manner, number: usize, pace: Pace) -> Result<Pair, Phrase> {
        let Manner { run, relay, carriers, texts, answer } = manner;
        let name = |side| -> Name {
            format!("{run}-{side}{number}").parse().expect("letters, digits and dashes are a name")
        };
        let side = |me, other| {
            let end = End::open(name(me), relay.clone(), *carriers)?;
            Ok::<_, Phrase>(Side::new(end, name(me), name(other), relay.addr.clone(), texts.clone()))
        };
        Ok(Pair { sides: [side('a', 'b')?, side('b', 'a')?], pace, answer: *answer, unanswered: 0 })
    }

    /// Both clients: the one that writes, then the one that reads.
    pub(super) fn ends(&self) -> [&End; 2] {
        self.sides.each_ref().map(|side| &side.end)
    }

    /// Both clients, to be changed.
    pub(super) fn ends_mut(&mut self) -> [&mut End; 2] {
        self.sides.each_mut().map(|side| &mut side.end)
    }

    /// Sends what turns of a side brought. Whether it wants another turn at once.
    pub(super) fn release(&mut self, side: usize) -> bool {
        self.sides[side].end.net.release()
    }

    /// One turn of a side. When it wants the next one though nothing comes.
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

    /// Writes, and tells when the next letter is due.
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

    /// The measurement is over: what was due and was not written is counted.
    pub(super) fn close(&mut self, now: Tick, totals: &mut Totals) {
        self.pace.backlog(now, |due| totals.count_backlog(now, due));
    }

    /// Whether every letter has come to its end.
    pub(super) fn is_idle(&self) -> bool {
        self.sides.iter().all(|side| side.in_flight() == 0)
    }

    /// Leaves the relay, and closes the books.
    pub(super) fn leave(&mut self, totals: &mut Totals) {
        let written = self.sides.each_ref().map(Side::written);
        self.sides[WRITER].leave(written[READER], totals);
        self.sides[READER].leave(written[WRITER], totals);
    }
}
