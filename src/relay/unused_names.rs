//! Unused names: names without a letter to or from them, whose members have not returned after
//! their first day. Such a name is free again after 30 days.
//!
//! Time is the uptime clock, which wall clock jumps do not move and which stops while the relay is
//! down. The first use of a name is persisted once. Nothing in the relay refers to an unused name,
//! so its member number is reused.

use std::cmp::Ordering;
use std::time::Duration;

use crate::base::{Name, Now, SortedChunks, Tick};

use super::ids::MemberId;
use super::mailbox_storage::StoreContinuation;
use super::membership::MembershipChange;
use super::records::Record;
use super::unwritten::RecordKey;
use super::{Event, Out, Relay, Timer};

/// Age from which a returning member counts as using its name. A user who only tries the program
/// returns within a day.
const FIRST_DAY: Duration = Duration::from_secs(24 * 3_600);
/// Time for which an unused name is kept: the default retention time of letters, longer than most
/// absences.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Names freed in one turn; the next after [`FREED_EVERY`].
const FREED_MAX: usize = 64;
/// Pause between two such batches, which lets other inputs in.
const FREED_EVERY: Duration = Duration::from_millis(10);

/// Registration times of the unused names, in milliseconds of the uptime clock.
#[derive(Debug, Default)]
pub(super) struct UnusedNames {
    /// By member number, up to the highest one with an unused name; [`USED`] for others.
    since: Vec<u64>,
    by_age: SortedChunks<(u64, MemberId)>,
    scheduled: Option<Tick>,
}

/// Encodes that the name is used.
const USED: u64 = u64::MAX;

impl UnusedNames {
    fn insert(&mut self, member: MemberId, since: u64) {
        self.remove(member);
        if self.since.len() <= member.0 {
            self.since.resize(member.0 + 1, USED);
        }
        self.since[member.0] = since;
        self.by_age.insert((since, member), |entry| entry.cmp(&(since, member)));
    }

    /// Returns the registration time of the member's name, if it is unused.
    pub(super) fn since(&self, member: MemberId) -> Option<u64> {
        self.since.get(member.0).copied().filter(|since| *since != USED)
    }

    /// Removes a member. Returns whether its name was unused.
    fn remove(&mut self, member: MemberId) -> bool {
        let Some(since) = self.since(member) else { return false };
        self.since[member.0] = USED;
        self.by_age.remove(|entry| entry.cmp(&(since, member)));
        true
    }

    fn first(&self) -> Option<(u64, MemberId)> {
        self.by_age.range_from(|_| Ordering::Equal).next().copied()
    }

    /// Whether there are no unused names, whose time passes by the uptime clock.
    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }
}

impl Relay {
    /// Restores the unused names from disk.
    pub(super) fn take_unused(&mut self, unused: Vec<(Name, u64)>) {
        for (name, since) in unused {
            if let Some(member) = self.directory.members.find(name.as_str()) {
                self.unused.insert(member, since);
            }
        }
        if !self.unused.is_empty() {
            // The first turn frees names whose time is over already.
            self.deadlines.set(Timer::UnusedNames, Some(Tick::ZERO), &mut self.unused.scheduled);
        }
    }

    /// Records a registration at this time of the uptime clock.
    pub(super) fn note_unused(&mut self, now: Tick, member: MemberId, since: u64) {
        self.unused.insert(member, since);
        self.schedule_unused(now);
        self.keep_clock(now);
    }

    /// Records a letter to or from the member.
    pub(super) fn note_used(&mut self, member: MemberId, out: &mut Out) {
        if self.unused.remove(member) {
            self.write_used(member, out);
        }
    }

    pub(super) fn write_used(&mut self, member: MemberId, out: &mut Out) {
        if self.directory.members.is_durable(member) && self.unused.since(member).is_none() {
            let name = self.directory.members.name(member).clone();
            self.persist_keyed(
                RecordKey::Used(member),
                Record::Membership(MembershipChange::Used { name }),
                out,
            );
        }
    }

    /// Records that a member with letters on disk uses its name. The disk has it as unused if that
    /// write failed at the end of the previous process.
    pub(super) fn found_used(&mut self, member: MemberId) {
        if self.unused.remove(member) {
            self.write_first(RecordKey::Used(member));
        }
    }

    /// Records that the member is online, or was until now.
    pub(super) fn note_present(&mut self, now: Tick, member: MemberId, out: &mut Out) {
        let Some(since) = self.unused.since(member) else { return };
        if self.mailboxes.clock.now(now).saturating_sub(since) >= FIRST_DAY.as_millis() as u64 {
            self.note_used(member, out);
        }
    }

    /// Forgets the member's entry, because its name was removed or freed.
    pub(super) fn forget_unused(&mut self, member: MemberId) {
        self.unused.remove(member);
    }

    /// Frees names whose time is over.
    pub(super) fn handle_unused_time(&mut self, now: Tick, tick: Tick, out: &mut Out) {
        if self.unused.scheduled == Some(tick) {
            self.unused.scheduled = None;
        }
        if !self.unwritten.has(RecordKey::FreeNames) {
            self.free_names(now, out);
        }
    }

    pub(super) fn free_names(&mut self, now: Tick, out: &mut Out) {
        if !self.limits.per_sender {
            return;
        }
        let clock = self.mailboxes.clock.now(now);
        for _ in 0..FREED_MAX {
            let is_over = |since: u64| clock.saturating_sub(since) >= KEPT_FOR.as_millis() as u64;
            let Some((since, member)) = self.unused.first().filter(|first| is_over(first.0)) else { break };
            match self.member_states[member.0].session {
                // The member has been online since its first day.
                Some(_) => self.note_used(member, out),
                None => self.free_name(member, since, out),
            }
        }
        self.schedule_unused(now);
        self.keep_clock(now);
    }

    /// Removes a name from the disk. Until that is durable no member has it, and its previous
    /// member must wait.
    fn free_name(&mut self, member: MemberId, since: u64, out: &mut Out) {
        self.unused.remove(member);
        self.directory.members.begin_freeing(member);
        let name = self.directory.members.name(member).clone();
        self.persist(
            StoreContinuation::Freed(member, since),
            Record::Membership(MembershipChange::Freed { name }),
            out,
        );
    }

    /// Handles the removal of a name from the disk. On failure it is repeated.
    pub(super) fn handle_freed(
        &mut self,
        now: Now,
        member: MemberId,
        since: u64,
        durable: bool,
        out: &mut Out,
    ) {
        if !self.directory.members.end_freeing(member) {
            // The operator has removed it in the meantime.
            return;
        }
        let name = self.directory.members.name(member).clone();
        let key = self.directory.members.key(member);
        let waiting = self.sessions.waiting_for(member, key);
        if durable {
            self.directory.members.free(member);
            self.forget_outboxes(member);
            self.member_states[member.0] = Default::default();
            self.stats.names_freed += 1;
            out.show(Event::Freed(name.clone()));
        } else {
            self.unused.insert(member, since);
            self.write_later(RecordKey::FreeNames);
        }
        for slot in waiting {
            self.sign_in_again(now, slot, name.as_str(), out);
        }
    }

    fn schedule_unused(&mut self, now: Tick) {
        let Some((since, _)) = self.unused.first() else { return };
        let unused_until = since.saturating_add(KEPT_FOR.as_millis() as u64);
        let wait = Duration::from_millis(unused_until.saturating_sub(self.mailboxes.clock.now(now)))
            .max(FREED_EVERY);
        self.deadlines.set(Timer::UnusedNames, Some(now + wait), &mut self.unused.scheduled);
    }
}
