//! Routing of letters: from the sender's chat stream into the recipient's mailbox, and from there
//! to the recipient's session.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{LetterId, Mark, Name, Now, OutboxId, Seldom, Tick, blank};
use crate::wire::frame::StreamId;
use crate::wire::letter::{Content, Made};
use crate::wire::message::{Delivery, Letter, Reason, ToRelay};

use super::flows::{FlowId, Flows, Numbered, To, Turn};
use super::limits::{
    Bucket, OWED_REFUSAL_COST, REFUSALS_MAX, SPILL_AFTER, TURNED_AWAY_EVERY, TURNED_AWAY_MAX,
};
use super::lookups::Look;
use super::marks::{Outboxes, Taking};
use super::members::MemberId;
use super::pace::Pace;
use super::parcels::Parcel;
use super::queue::{Author, Entry, Queue, Sender};
use super::sessions::{RefusedLetter, Slot};
use super::{Out, Relay};

/// The relay's own name, for connection tests.
pub(super) const ECHO: &str = "echo";
/// Prefix of every guest's name.
pub(super) const GUEST_PREFIX: &str = "guest-";

/// State that the relay keeps for one member.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The session the member is signed in with.
    pub(super) session: Option<Slot>,
    /// Letters for the member.
    pub(super) queue: Seldom<Queue>,
    /// Letters from the member.
    pub(super) flows: Seldom<Flows>,
    /// Bytes of its letters in all mailboxes; see [`Relay::holds`].
    pub(super) holds: usize,
    /// Its outboxes.
    pub(super) outboxes: Seldom<Outboxes>,
    /// Its read marks for letters that the relay does not know; at most
    /// [`CLAIMS_MAX`](super::limits::CLAIMS_MAX).
    pub(super) claims: Seldom<Claims>,
    /// Names on its block list, at most [`super::roll::SCREENED_MAX`].
    pub(super) blocked: Seldom<Blocked>,
    /// Number of the last letter that `echo` wrote to the member.
    echo_number: u64,
    /// Time at which the member's name last moved to another machine.
    pub(super) flipped: Option<Tick>,
    /// Its rates of letters and of lookups, over any session.
    letters: Bucket,
    pub(super) lookups: Bucket,
    /// Its rate of control messages.
    pub(super) control: Bucket,
}

/// A read mark for letters that the relay does not know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadClaim {
    /// The last letter read.
    pub(super) through: u64,
    /// Time of the mark, in milliseconds of the uptime clock.
    pub(super) since: u64,
}

type Claims = BTreeMap<(MemberId, OutboxId), ReadClaim>;
type Blocked = BTreeSet<Name>;
blank!(Claims, BTreeMap::new(), |claims| claims.is_empty());
blank!(Blocked, BTreeSet::new(), |blocked| blocked.is_empty());

impl Place {
    /// Frees memory that an inactive member does not need.
    pub(super) fn rest(&mut self, now: Tick) {
        if let Some(queue) = self.queue.there() {
            queue.settle(now);
        }
        self.queue.put_away();
        self.flows.put_away();
        self.outboxes.put_away();
        self.claims.put_away();
        self.blocked.put_away();
    }
}

impl Relay {
    /// Reads letters for as long as this member may send more.
    pub(super) fn read_chat(&mut self, now: Now, slot: Slot, out: &mut Out) {
        if let Some(author) = self.sessions.member(slot)
            && self.places[author.0].flows.has_waiting()
        {
            self.answer_waiting(now.tick, slot);
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        while let Some(author) = self.next_letter(now.tick, slot, &mut incoming) {
            match ToRelay::decode(&incoming) {
                Ok(Some(ToRelay::Letter(letter))) if self.sessions.taking(slot) == Taking::Nothing => {
                    self.refuse_old_copy(slot, &letter);
                }
                Ok(Some(ToRelay::Letter(letter))) => self.take_letter(now, slot, author, &letter, out),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    self.break_off(now.tick, slot, "bad chat message", out);
                    break;
                }
            }
        }
        self.incoming = incoming;
    }

    fn take_letter(&mut self, now: Now, slot: Slot, author: MemberId, letter: &Letter<'_>, out: &mut Out) {
        let look = self.look_for(now.tick, author, letter);
        match look {
            Look::Known => self.refuse_unknown(now.tick, slot, author, letter, true),
            Look::Later => self.drop_for_now(slot, author, letter),
            Look::Now | Look::Silent => {
                if look == Look::Now || self.begin_waiting(slot, author, letter) {
                    self.route(now, slot, author, letter, out);
                }
            }
        }
        if self.places[author.0].flows.has_waiting() {
            self.answer_waiting(now.tick, slot);
        }
    }

    fn next_letter(&mut self, now: Tick, slot: Slot, incoming: &mut Vec<u8>) -> Option<MemberId> {
        let limits = &self.limits;
        let session = self.sessions.get_mut(slot)?;
        let author = session.member()?;
        session.throttled_until = None;
        if !session.peer.has_message(StreamId::Chat) {
            return None;
        }
        if session.owed_len() >= REFUSALS_MAX {
            return None;
        }
        let share = limits.per_sender.then(|| (&mut self.places[author.0].letters, limits.letter_interval()));
        if let Some((share, interval)) = &share
            && let Err(until) = share.ready(now, *interval, limits.letters_burst)
        {
            session.throttled_until = Some(until);
            return None;
        }
        if !session.peer.receive(StreamId::Chat, incoming) {
            return None;
        }
        if let Some((share, interval)) = share {
            share.spend(now, interval);
        }
        Some(author)
    }

    fn route(&mut self, now: Now, slot: Slot, author: MemberId, letter: &Letter<'_>, out: &mut Out) {
        let Some(to) = self.recipient_again(slot, letter.to) else {
            return self.refuse_unknown(now.tick, slot, author, letter, false);
        };
        let flow = FlowId { outbox: letter.id.outbox, to };
        let Place { flows, letters, .. } = &mut self.places[author.0];
        if flows.comes_again(flow, letter.id.number) && self.limits.per_sender {
            letters.refund(self.limits.letter_interval());
        }
        let numbered = Numbered { number: letter.id.number, prev: letter.prev, mark: letter.mark };
        let refusal = match flows.turn_of(flow, letter.to, numbered) {
            Turn::OldCopy => return self.refuse_old_copy(slot, letter),
            Turn::Repeated => return self.sessions.mark(slot),
            Turn::Next if self.sessions.taking(slot) == Taking::NoNewOnes => Some(Reason::Full),
            Turn::Behind(reason) => Some(reason),
            Turn::Crowded => Some(Reason::Full),
            Turn::Next if letter.body.len() > self.limits.body_max() => Some(Reason::TooLong),
            Turn::Next if to.member().is_some_and(|to| self.is_unwanted(to, Author::Member(author))) => {
                Some(Reason::Blocked)
            }
            Turn::Next if !self.places[author.0].flows.may_owe_refusal_of(to) => Some(Reason::Full),
            Turn::Next => match to {
                To::Echo => self.echo(now, author, letter),
                To::Guest(guest) => self.answer_guest(now, author, guest, letter, out),
                To::Member(to) => self.enqueue(now, author, to, letter),
            },
        };
        let clock = self.post.clock.now(now.tick);
        match refusal {
            Some(reason) => {
                self.places[author.0].flows.touch(flow, clock);
                self.note_letter(now.tick, author, to, out);
                let refusal =
                    RefusedLetter { prev: letter.prev, ..RefusedLetter::of(letter.to, letter.id, reason) };
                self.refuse_taken(author, flow, refusal);
            }
            None => {
                self.stats.letters_taken += 1;
                self.settle_claim(author, flow);
                let flows = &mut self.places[author.0].flows;
                if flows.took(flow, letter.id.number, letter.mark, now.wall, clock) {
                    self.note_letter(now.tick, author, to, out);
                    self.note_correspondents(author, to);
                }
                let flows = &mut self.places[author.0].flows;
                match to {
                    To::Echo => flows.delivered(flow, letter.id.number),
                    To::Guest(_) => flows.accepted(flow, letter.id.number, 0),
                    To::Member(_) => return,
                }
                self.stats.letters_stored += 1;
                self.sessions.mark(slot);
            }
        }
    }

    /// Records a letter, taken or refused, that began a new flow. Both names count as used, so that
    /// nothing ever refers to an unused name.
    fn note_letter(&mut self, now: Tick, author: MemberId, to: To, out: &mut Out) {
        self.watch_flows(now);
        self.note_used(author, out);
        if let To::Member(to) = to {
            self.note_used(to, out);
        }
    }

    /// Records that two members write to each other.
    pub(super) fn note_correspondents(&mut self, author: MemberId, to: To) {
        if let To::Member(to) = to
            && to != author
        {
            self.places[author.0].flows.note_written_to(to);
            self.places[to.0].flows.note_wrote(author);
        }
    }

    /// As [`Relay::recipient`], but tries the last recipient of this session first.
    fn recipient_again(&mut self, slot: Slot, name: &str) -> Option<To> {
        let last = self.sessions.get_mut(slot).and_then(|session| session.wrote_to);
        if let Some(again) = last.filter(|last| self.members.is(*last, name)) {
            return Some(To::Member(again));
        }
        let to = self.recipient(name);
        if let Some(session) = self.sessions.get_mut(slot) {
            session.wrote_to = to.and_then(To::member);
        }
        to
    }

    /// Returns the owner of this name: a member, a guest, or the relay itself.
    pub(super) fn recipient(&self, name: &str) -> Option<To> {
        if name == ECHO {
            return Some(To::Echo);
        }
        let guest = || self.guests.as_ref().and_then(|guests| guests.find(name)).map(To::Guest);
        self.members.find(name).map(To::Member).or_else(guest)
    }

    fn enqueue(&mut self, now: Now, author: MemberId, to: MemberId, letter: &Letter<'_>) -> Option<Reason> {
        let from = self.members.name(author).as_str();
        let Letter { id, prev, mark, kind, body, .. } = *letter;
        let delivery = Delivery { from, id, prev, accepted: now.wall, mark, kind, body };
        let parcel = self.post.parcels.pack(&delivery);
        self.push(now.tick, to, Author::Member(author), (id, mark, body.len()), parcel)
    }

    /// Appends a letter to a mailbox. `mark` is the outbox mark it is numbered under, `len` the
    /// length of its body. Returns the reason of a refusal.
    pub(super) fn push(
        &mut self,
        now: Tick,
        to: MemberId,
        author: Author,
        (id, mark, len): (LetterId, Mark, usize),
        parcel: Parcel,
    ) -> Option<Reason> {
        if !self.has_room(to, author, len) {
            return Some(Reason::Full);
        }
        let born = self.post.clock.now(now);
        let queue = &mut *self.places[to.0].queue;
        queue.push(Entry::new(author, id, len, now, born, parcel).under(mark));
        let is_too_big = queue.is_too_big();
        self.count_queue(to);
        match self.present(to) {
            Some(slot) => {
                self.sessions.mark(slot);
                self.wake_queue(to, now + SPILL_AFTER);
                if is_too_big {
                    self.look_at_queue(to);
                }
            }
            None => self.look_at_queue(to),
        }
        None
    }

    /// Whether the mailbox, all mailboxes together, and the disk have space for one more letter of
    /// this sender.
    fn has_room(&mut self, to: MemberId, author: Author, len: usize) -> bool {
        let owed = match author {
            Author::Member(author) => self.places[author.0].flows.refusals_above_bound() * OWED_REFUSAL_COST,
            Author::Echo | Author::Guest(_) => 0,
        };
        let held = *self.holds(author) + owed;
        let queue = &self.places[to.0].queue;
        let limits = &self.limits;
        let admits = || match queue.admits(author, len, limits) {
            Some(Sender::Stranger) => true,
            Some(Sender::Known) => self.knows(to, author),
            None => false,
        };
        self.post.stock.has_room(len, held, limits) && admits()
    }

    /// Whether the member has written to this sender recently.
    ///
    /// Letters of `echo` are answers to the member's own. All guests of one carrier are one sender,
    /// and therefore unknown, whichever of them the member has replied to.
    fn knows(&self, member: MemberId, author: Author) -> bool {
        match author {
            Author::Echo => true,
            Author::Guest(_) => false,
            Author::Member(author) => {
                author == member || self.places[member.0].flows.has_written_to(To::Member(author))
            }
        }
    }

    /// Returns the session over which the member receives letters, if it is online.
    pub(super) fn present(&self, member: MemberId) -> Option<Slot> {
        self.places[member.0].session.filter(|slot| self.sessions.is_heard(*slot))
    }

    /// Answers a letter to `echo` with its text, ASCII letters in upper case.
    fn echo(&mut self, now: Now, author: MemberId, letter: &Letter<'_>) -> Option<Reason> {
        let Ok(Content::Text(text)) = Content::read(letter.kind, letter.body) else {
            return Some(Reason::Unsupported);
        };
        let prev = self.places[author.0].echo_number;
        let upper = text.to_ascii_uppercase();
        let id = LetterId { outbox: self.echo_outbox, number: prev + 1 };
        let made = Made::of_text(&upper, now.wall);
        let mark = Mark::default();
        let body = &*made.body;
        let delivery = Delivery { from: ECHO, id, prev, accepted: now.wall, mark, kind: made.kind, body };
        let parcel = self.post.parcels.pack(&delivery);
        let refused = self.push(now.tick, author, Author::Echo, (id, mark, body.len()), parcel);
        if refused.is_none() {
            self.places[author.0].echo_number += 1;
        }
        refused
    }

    /// Moves letters from the member's mailbox into its session while there is space. Blocked
    /// letters are refused, a bounded number in one turn.
    pub(super) fn hand_over(&mut self, now: Tick, slot: Slot, member: MemberId, out: &mut Out) {
        let pace = Pace::of(&self.limits);
        let mut turned_away = 0;
        loop {
            if pace.is_some() {
                self.stats.letters_paced += self.places[member.0].queue.keep_pace(now, pace);
            }
            let Some(entry) = self.places[member.0].queue.next_waiting() else { break };
            let author = entry.author;
            if self.is_unwanted(member, author) {
                if turned_away == TURNED_AWAY_MAX {
                    return self.wake_queue(member, now + TURNED_AWAY_EVERY);
                }
                turned_away += 1;
                self.turn_away_next(member, Reason::Blocked, out);
                continue;
            }
            let Some(session) = self.sessions.get_mut(slot) else { return };
            let queue = &mut self.places[member.0].queue;
            let sent = queue.next_waiting().map(|entry| session.peer.send(StreamId::Chat, &[&entry.message]));
            if !matches!(sent, Some(Ok(_))) {
                break;
            }
            queue.mark_handed(now, pace);
        }
        self.load_mailbox(now, member, out);
        if pace.is_some()
            && let Some(at) = self.places[member.0].queue.next_release(now, pace).filter(|at| *at > now)
        {
            self.wake_queue(member, at);
        }
    }
}
