//! Two clients, one of which sends to the other. The other may answer each letter with a letter.

use std::sync::Arc;

use crate::base::{Name, Phrase, Tick};
use crate::client::{Carriers, RelayConfig};

use super::bench_client::BenchClient;
use super::bench_member::BenchMember;
use super::pace::Pace;
use super::texts::Texts;
use super::totals::Totals;
use super::{Phase, WorkerReport};

/// Index of the sending side of a pair.
const WRITER: usize = 0;
/// Index of the receiving side of a pair.
const READER: usize = 1;

/// Settings that all pairs share.
#[derive(Clone, Debug)]
pub(super) struct PairOptions {
    /// Part of all names, so that two runs never use the same ones.
    pub(super) run: String,
    pub(super) relay: RelayConfig,
    pub(super) carriers: Carriers,
    pub(super) texts: Arc<Texts>,
    /// Whether each letter is answered with a letter.
    pub(super) answer: bool,
}

pub(super) struct Pair {
    members: [BenchMember; 2],
    pace: Pace,
    answer: bool,
    /// Letters without an answer yet, if letters are answered.
    unanswered: usize,
}

impl Pair {
    /// Opens pair `number`, not signed in yet.
    ///
    /// # Errors
    /// Those of [`BenchClient::open`].
    pub(super) fn open(options: &PairOptions, number: usize, pace: Pace) -> Result<Pair, Phrase> {
        let PairOptions { run, relay, carriers, texts, answer } = options;
        let name = |member| -> Name {
            format!("{run}-{member}{number}").parse().expect("ASCII letters, digits and dashes are valid")
        };
        let member = |me, other| {
            let client = BenchClient::open(name(me), relay.clone(), *carriers)?;
            Ok::<_, Phrase>(BenchMember::new(
                client,
                name(me),
                name(other),
                relay.addr.clone(),
                texts.clone(),
            ))
        };
        Ok(Pair { members: [member('a', 'b')?, member('b', 'a')?], pace, answer: *answer, unanswered: 0 })
    }

    /// Returns both clients: the sending one, then the receiving one.
    pub(super) fn clients(&self) -> [&BenchClient; 2] {
        self.members.each_ref().map(|member| &member.client)
    }

    /// Returns both clients for modification.
    pub(super) fn clients_mut(&mut self) -> [&mut BenchClient; 2] {
        self.members.each_mut().map(|member| &mut member.client)
    }

    /// Sends the packets that turns of a side produced. Returns whether it needs another turn at
    /// once.
    pub(super) fn release(&mut self, member: usize) -> bool {
        self.members[member].client.net.release()
    }

    /// Runs one turn of a side. Returns when it needs the next one if nothing arrives.
    pub(super) fn turn(
        &mut self,
        member: usize,
        phase: Phase,
        totals: &mut Totals,
        tell: &mut impl FnMut(WorkerReport),
    ) -> Option<Tick> {
        let others_sent = self.members[1 - member].sent;
        let report = self.members[member].turn(phase, others_sent, totals, tell);
        let mut due = None;
        if member == WRITER {
            self.unanswered = self.unanswered.saturating_sub(report.letters + report.refused);
            if (Phase::WarmUp..Phase::Drain).contains(&phase) {
                due = self.write_what_is_due(report.now.tick);
            }
        } else if self.answer {
            (0..report.letters).for_each(|_| self.members[READER].write(report.now.tick));
        }
        let client = &mut self.members[member].client;
        client.flush_commands(report.now);
        client.sleep_until().into_iter().chain(due).min()
    }

    /// Writes the letters that are due. Returns when the next one is due.
    fn write_what_is_due(&mut self, now: Tick) -> Option<Tick> {
        loop {
            let under_way = if self.answer { self.unanswered } else { self.members[WRITER].in_flight() };
            let due = self.pace.next_due(now, under_way)?;
            if due > now {
                return Some(due);
            }
            self.members[WRITER].write(due);
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
        self.members.iter().all(|member| member.in_flight() == 0)
    }

    /// Signs out of the relay and adds the counts of both sides.
    pub(super) fn leave(&mut self, totals: &mut Totals) {
        let written = self.members.each_ref().map(BenchMember::written);
        self.members[WRITER].leave(written[READER], totals);
        self.members[READER].leave(written[WRITER], totals);
    }
}
