//! Routing of letters: from the sender's chat stream into the recipient's mailbox, and from there
//! to the recipient's session.

use std::collections::BTreeMap;

use crate::base::{LazyBox, LetterId, Mark, Now, OutboxId, RateLimiter, Tick, empty_value};
use crate::wire::frame::StreamId;
use crate::wire::letter::{Content, LetterBody};
use crate::wire::message::{Delivery, Letter, Reason, ToRelay};

use super::buffer_pool::SharedBytes;
use super::flows::{Flows, LetterOrder, OrderCheck};
use super::ids::{Destination, FlowId, MemberId, SessionSlot};
use super::limits::{PENDING_REFUSAL_COST, REFUSALS_MAX, REJECT_INTERVAL, REJECTED_MAX, SPILL_AFTER};
use super::lookups::LookupPolicy;
use super::mailbox::{Mailbox, MailboxEntry, Sender, SenderClass};
use super::marks::{IntakePolicy, Outboxes};
use super::membership::SenderLists;
use super::pace::Pace;
use super::sessions::RefusedLetter;
use super::{Out, Relay};

/// The relay's own name, for connection tests.
pub(super) const ECHO: &str = "echo";
/// Prefix of every guest's name.
pub(super) const GUEST_PREFIX: &str = "guest-";

/// State that the relay keeps for one member.
#[derive(Debug, Default)]
pub(super) struct MemberState {
    /// The session the member is signed in with.
    pub(super) session: Option<SessionSlot>,
    /// Letters for the member.
    pub(super) mailbox: LazyBox<Mailbox>,
    /// Letters from the member.
    pub(super) flows: LazyBox<Flows>,
    /// Bytes of its letters in all mailboxes; see [`Relay::held_bytes_mut`].
    pub(super) held_bytes: usize,
    /// Its outboxes.
    pub(super) outboxes: LazyBox<Outboxes>,
    /// Its read watermarks for letters that the relay does not know; at most
    /// [`ORPHAN_READS_MAX`](super::limits::ORPHAN_READS_MAX).
    pub(super) orphan_reads: LazyBox<OrphanReads>,
    /// The senders whose letters it refuses.
    pub(super) lists: LazyBox<SenderLists>,
    /// Number of the last letter that `echo` wrote to the member.
    echo_number: u64,
    /// Time at which the member's name last moved to another machine.
    pub(super) taken_over_at: Option<Tick>,
    /// Its rates of letters and of lookups, over any session.
    letters: RateLimiter,
    pub(super) lookups: RateLimiter,
    /// Its rate of control messages.
    pub(super) control: RateLimiter,
}

/// The relay has one for every member.
const _: () = assert!(size_of::<MemberState>() <= 104);

/// A read watermark for letters that the relay does not know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OrphanRead {
    /// The last letter read.
    pub(super) through: u64,
    /// Time at which it was received, in milliseconds of the uptime clock.
    pub(super) since: u64,
}

type OrphanReads = BTreeMap<(MemberId, OutboxId), OrphanRead>;
empty_value!(OrphanReads, BTreeMap::new(), |orphan_reads| orphan_reads.is_empty());

impl MemberState {
    /// Frees memory that an inactive member does not need.
    pub(super) fn shrink(&mut self, now: Tick) {
        if let Some(mailbox) = self.mailbox.get_allocated_mut() {
            mailbox.clear_pacing(now);
        }
        self.mailbox.shrink();
        self.flows.shrink();
        self.outboxes.shrink();
        self.orphan_reads.shrink();
        self.lists.shrink();
    }
}

impl Relay {
    /// Reads letters for as long as this member may send more.
    pub(super) fn read_chat(&mut self, now: Now, slot: SessionSlot, out: &mut Out) {
        if let Some(sender) = self.sessions.member(slot)
            && self.member_states[sender.0].flows.has_waiting()
        {
            self.answer_waiting(now.tick, slot);
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        while let Some(sender) = self.next_letter(now.tick, slot, &mut incoming) {
            match ToRelay::decode(&incoming) {
                Ok(Some(ToRelay::Letter(letter))) if self.sessions.intake(slot) == IntakePolicy::None => {
                    self.refuse_old_copy(slot, &letter);
                }
                Ok(Some(ToRelay::Letter(letter))) => self.take_letter(now, slot, sender, &letter, out),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    self.break_off(now.tick, slot, "bad chat message", out);
                    break;
                }
            }
        }
        self.incoming = incoming;
    }

    fn take_letter(
        &mut self,
        now: Now,
        slot: SessionSlot,
        sender: MemberId,
        letter: &Letter<'_>,
        out: &mut Out,
    ) {
        let policy = self.lookup_policy(now.tick, sender, letter);
        match policy {
            LookupPolicy::Known => self.refuse_unknown(now.tick, slot, sender, letter, true),
            LookupPolicy::Later => self.drop_for_now(slot, sender, letter),
            LookupPolicy::Now | LookupPolicy::Silent => {
                if policy == LookupPolicy::Now || self.begin_waiting(slot, sender, letter) {
                    self.route(now, slot, sender, letter, out);
                }
            }
        }
        if self.member_states[sender.0].flows.has_waiting() {
            self.answer_waiting(now.tick, slot);
        }
    }

    fn next_letter(&mut self, now: Tick, slot: SessionSlot, incoming: &mut Vec<u8>) -> Option<MemberId> {
        let limits = &self.limits;
        let session = self.sessions.get_mut(slot)?;
        let sender = session.member()?;
        session.throttled_until = None;
        if !session.peer.has_message(StreamId::Chat) {
            return None;
        }
        if session.pending_len() >= REFUSALS_MAX {
            return None;
        }
        let limiter =
            limits.per_sender.then(|| (&mut self.member_states[sender.0].letters, limits.letter_rate()));
        if let Some((limiter, rate)) = &limiter
            && let Err(until) = limiter.ready(now, *rate)
        {
            session.throttled_until = Some(until);
            return None;
        }
        if !session.peer.receive(StreamId::Chat, incoming) {
            return None;
        }
        if let Some((limiter, rate)) = limiter {
            limiter.spend(now, rate.interval());
        }
        Some(sender)
    }

    fn route(&mut self, now: Now, slot: SessionSlot, sender: MemberId, letter: &Letter<'_>, out: &mut Out) {
        let Some(to) = self.cached_recipient(slot, letter.to) else {
            return self.refuse_unknown(now.tick, slot, sender, letter, false);
        };
        let flow = FlowId { outbox: letter.id.outbox, to };
        self.redeem_retry_pass(sender, flow, letter.id.number);
        let order = LetterOrder { number: letter.id.number, prev: letter.prev, mark: letter.mark };
        let refusal = match self.member_states[sender.0].flows.check_order(flow, letter.to, order) {
            OrderCheck::OldCopy => return self.refuse_old_copy(slot, letter),
            OrderCheck::Repeated => return self.sessions.mark(slot),
            OrderCheck::Next if self.is_behind_lost(now.tick, sender, flow, letter) => {
                return self.refuse_behind_lost(now, slot, sender, flow, letter, out);
            }
            OrderCheck::Next if self.sessions.intake(slot) == IntakePolicy::KnownOnly => Some(Reason::Full),
            OrderCheck::Behind(reason) => Some(reason),
            OrderCheck::Full => Some(Reason::Full),
            OrderCheck::Next if letter.body.len() > self.limits.body_max() => Some(Reason::TooLong),
            OrderCheck::Next
                if to.member().is_some_and(|to| self.is_unwanted(to, Sender::Member(sender))) =>
            {
                Some(Reason::Blocked)
            }
            OrderCheck::Next if !self.member_states[sender.0].flows.may_queue_refusal_to(to) => {
                Some(Reason::Full)
            }
            OrderCheck::Next => match to {
                Destination::Echo => self.echo(now, sender, letter),
                Destination::Guest(guest) => self.answer_guest(now, sender, guest, letter, out),
                Destination::Member(to) => self.enqueue(now, sender, to, letter),
            },
        };
        let clock = self.mailboxes.clock.now(now.tick);
        match refusal {
            Some(reason) => {
                self.member_states[sender.0].flows.record_letter_time(flow, clock);
                self.record_letter(now.tick, sender, to, out);
                let refusal =
                    RefusedLetter { prev: letter.prev, ..RefusedLetter::of(letter.to, letter.id, reason) };
                self.refuse_taken(sender, flow, refusal);
            }
            None => {
                self.stats.letters_taken += 1;
                self.apply_orphan_read(sender, flow);
                let flows = &mut self.member_states[sender.0].flows;
                if flows.record_taken(flow, letter.id.number, letter.mark, now.wall, clock) {
                    self.record_letter(now.tick, sender, to, out);
                    self.record_correspondents(sender, to);
                }
                let flows = &mut self.member_states[sender.0].flows;
                match to {
                    Destination::Echo => flows.raise_delivered(flow, letter.id.number),
                    Destination::Guest(_) => flows.raise_accepted(flow, letter.id.number, 0),
                    Destination::Member(_) => return,
                }
                self.stats.letters_stored += 1;
                self.sessions.mark(slot);
            }
        }
    }

    /// Refunds the cost of a letter that is sent again because it was refused as `behind`.
    fn redeem_retry_pass(&mut self, sender: MemberId, flow: FlowId, number: u64) {
        let MemberState { flows, letters, .. } = &mut self.member_states[sender.0];
        if flows.redeem_retry_pass(flow, number) && self.limits.per_sender {
            letters.refund(self.limits.letter_rate().interval());
        }
    }

    /// Records a letter, taken or refused, that began a new flow. Both names count as used, so that
    /// nothing ever refers to an unused name.
    pub(super) fn record_letter(&mut self, now: Tick, sender: MemberId, to: Destination, out: &mut Out) {
        self.watch_flows(now);
        self.note_used(sender, out);
        if let Destination::Member(to) = to {
            self.note_used(to, out);
        }
    }

    /// Records that two members write to each other.
    pub(super) fn record_correspondents(&mut self, sender: MemberId, to: Destination) {
        if let Destination::Member(to) = to
            && to != sender
        {
            self.member_states[sender.0].flows.note_written_to(to);
            self.member_states[to.0].flows.note_wrote(sender);
        }
    }

    /// As [`Relay::recipient`], but tries the last recipient of this session first.
    fn cached_recipient(&mut self, slot: SessionSlot, name: &str) -> Option<Destination> {
        let last = self.sessions.get_mut(slot).and_then(|session| session.last_recipient);
        if let Some(again) = last.filter(|last| self.directory.members.is(*last, name)) {
            return Some(Destination::Member(again));
        }
        let to = self.recipient(name);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.last_recipient = to.and_then(Destination::member);
        }
        to
    }

    /// Returns the owner of this name: a member, a guest, or the relay itself.
    pub(super) fn recipient(&self, name: &str) -> Option<Destination> {
        if name == ECHO {
            return Some(Destination::Echo);
        }
        let guest = || self.guests.as_ref().and_then(|guests| guests.find(name)).map(Destination::Guest);
        self.directory.members.find(name).map(Destination::Member).or_else(guest)
    }

    fn enqueue(&mut self, now: Now, sender: MemberId, to: MemberId, letter: &Letter<'_>) -> Option<Reason> {
        let from = self.directory.members.name(sender).as_str();
        let Letter { id, prev, mark, kind, body, .. } = *letter;
        let delivery = Delivery { from, id, prev, accepted: now.wall, mark, kind, body };
        let message = self.mailboxes.buffers.pack(&delivery);
        self.push(now.tick, to, Sender::Member(sender), (id, mark, body.len()), message)
    }

    /// Appends a letter to a mailbox. `mark` is the outbox mark it is numbered under, `len` the
    /// length of its body. Returns the reason of a refusal.
    pub(super) fn push(
        &mut self,
        now: Tick,
        to: MemberId,
        sender: Sender,
        (id, mark, len): (LetterId, Mark, usize),
        message: SharedBytes,
    ) -> Option<Reason> {
        if !self.has_capacity(to, sender, len) {
            return Some(Reason::Full);
        }
        let taken_at = self.mailboxes.clock.now(now);
        let mailbox = &mut *self.member_states[to.0].mailbox;
        mailbox.push(MailboxEntry::new(sender, id, len, now, taken_at, message).with_mark(mark));
        let must_write = mailbox.is_above_memory_only_max();
        self.count_mailbox(to);
        match self.receiving_session(to) {
            Some(slot) => {
                self.sessions.mark(slot);
                self.wake_mailbox(to, now + SPILL_AFTER);
                if must_write {
                    self.mark_mailbox_due(to);
                }
            }
            None => self.mark_mailbox_due(to),
        }
        None
    }

    /// Whether the mailbox, all mailboxes together, and the disk have space for one more letter of
    /// this sender.
    fn has_capacity(&mut self, to: MemberId, sender: Sender, len: usize) -> bool {
        let refusal_cost = match sender {
            Sender::Member(sender) => {
                self.member_states[sender.0].flows.refusals_above_bound() * PENDING_REFUSAL_COST
            }
            Sender::Echo | Sender::Guest(_) => 0,
        };
        let held_bytes = *self.held_bytes_mut(sender) + refusal_cost;
        let mailbox = &self.member_states[to.0].mailbox;
        let limits = &self.limits;
        let admits = || match mailbox.check_capacity(sender, len, limits) {
            Some(SenderClass::Stranger) => true,
            Some(SenderClass::Known) => self.is_known_sender(to, sender),
            None => false,
        };
        self.mailboxes.usage.has_capacity(len, held_bytes, limits) && admits()
    }

    /// Whether the member has written to this sender recently.
    ///
    /// Letters of `echo` are answers to the member's own. All guests of one carrier are one sender,
    /// and therefore unknown, whichever of them the member has replied to.
    fn is_known_sender(&self, member: MemberId, sender: Sender) -> bool {
        match sender {
            Sender::Echo => true,
            Sender::Guest(_) => false,
            Sender::Member(sender) => {
                sender == member
                    || self.member_states[member.0].flows.has_written_to(Destination::Member(sender))
            }
        }
    }

    /// Returns the session over which the member receives letters, if it is online.
    pub(super) fn receiving_session(&self, member: MemberId) -> Option<SessionSlot> {
        self.member_states[member.0].session.filter(|slot| self.sessions.is_responsive(*slot))
    }

    /// Answers a letter to `echo` with its text, ASCII letters in upper case.
    fn echo(&mut self, now: Now, sender: MemberId, letter: &Letter<'_>) -> Option<Reason> {
        let Ok(Content::Text(text)) = Content::read(letter.kind, letter.body) else {
            return Some(Reason::Unsupported);
        };
        let prev = self.member_states[sender.0].echo_number;
        let upper = text.to_ascii_uppercase();
        let id = LetterId { outbox: self.echo_outbox, number: prev + 1 };
        let encoded = LetterBody::from_text(&upper, now.wall);
        let mark = Mark::default();
        let body = &*encoded.body;
        let delivery = Delivery { from: ECHO, id, prev, accepted: now.wall, mark, kind: encoded.kind, body };
        let message = self.mailboxes.buffers.pack(&delivery);
        let refused = self.push(now.tick, sender, Sender::Echo, (id, mark, body.len()), message);
        if refused.is_none() {
            self.member_states[sender.0].echo_number += 1;
        }
        refused
    }

    /// Moves letters from the member's mailbox into its session while there is space. Blocked
    /// letters are refused, a bounded number in one turn.
    pub(super) fn send_mailbox(&mut self, now: Tick, slot: SessionSlot, member: MemberId, out: &mut Out) {
        let pace = Pace::of(&self.limits);
        let mut turned_away = 0;
        loop {
            if pace.is_some() {
                self.stats.letters_paced += self.member_states[member.0].mailbox.apply_pace(now, pace);
            }
            let Some(entry) = self.member_states[member.0].mailbox.next_waiting() else { break };
            let sender = entry.sender;
            if self.is_unwanted(member, sender) {
                if turned_away == REJECTED_MAX {
                    return self.wake_mailbox(member, now + REJECT_INTERVAL);
                }
                turned_away += 1;
                self.reject_next(member, Reason::Blocked, out);
                continue;
            }
            let Some(session) = self.sessions.get_mut(slot) else { return };
            let mailbox = &mut self.member_states[member.0].mailbox;
            let sent =
                mailbox.next_waiting().map(|entry| session.peer.send(StreamId::Chat, &[&entry.message]));
            if !matches!(sent, Some(Ok(_))) {
                break;
            }
            mailbox.mark_sent(now, pace);
        }
        self.load_mailbox(now, member, out);
        if pace.is_some()
            && let Some(at) =
                self.member_states[member.0].mailbox.next_release(now, pace).filter(|at| *at > now)
        {
            self.wake_mailbox(member, at);
        }
    }
}
