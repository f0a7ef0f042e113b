//! The letters a client has not seen delivered or refused yet: one conversation for each recipient, in order.
//!
//! A letter goes out when it is durable and the relay's session has room for it, with `prev`, the last number before
//! it that was not refused. A refusal as `behind` puts it back, to go again with the `prev` it then has; any other
//! refusal holds everything behind it until it is durable, so that no crash can make a refused letter pass for an
//! accepted one. A session that is lost puts back what was not accepted. No conversation waits for
//! another.
//!
//! Files: `letters` (those of one conversation), `refused` (what follows from a refusal),
//! `old_copy` (an outbox that is given up for another), `watermarks` (the contents of receipts).

mod letters;
mod old_copy;
mod refused;
mod watermarks;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::base::{LetterId, Mark, Name, OutboxId, Wall};
use crate::wire::letter::Made;
use crate::wire::message::{Reason, Receipt};

use super::api::Progress;
use super::kept::{KeptLetter, KeptRefusal, Reach};
use super::marks::Marks;
use letters::{Letters, OutLetter};
pub(super) use refused::Refusing;
use refused::Verdict;
use watermarks::Watermarks;

/// Letters of one conversation on their way at once, short ones: those of 100 bytes meet [`WINDOW_BYTES`] first.
pub(super) const WINDOW_LETTERS: usize = 1_024;
/// Letters on their way at once of those that an earlier session may have brought to the relay,
/// after a refusal too: only the relay knows what became of them, and one at a time would take a
/// round trip and a commit each.
const WINDOW_IN_DOUBT: usize = 32;
/// Bytes that one conversation sends before the next has its turn.
const OFFERED_BYTES: usize = 16 * 1024;
/// Bytes of one conversation on their way at once, so that one recipient's slowness fills neither the relay's queue nor
/// the session, of 256 KiB each; one letter always may be.
pub(super) const WINDOW_BYTES: usize = 128 * 1024;
/// What a letter counts for in that beside its body, as in the relay's queue; in the session it is 131 bytes at most.
pub(super) const LETTER_COST: usize = 64;
/// Letters of one relay that were neither delivered nor refused. At the bound no more are taken.
pub const OUTBOX_LETTERS_MAX: usize = 100_000;
/// Bytes of their bodies. At the bound no more are taken, and accepted letters are kept without their bodies.
pub const OUTBOX_BYTES_MAX: usize = 256 << 20;
/// No relay makes us believe that our letters have come to this number.
const NUMBER_MAX: u64 = 1 << 63;
/// Conversations asked about in a new session, those written to last first.
const ASKED_MAX: usize = 256;
/// Delivered letters of one conversation whose reading would be told; beyond it the oldest is no longer waited for.
const UNREAD_MAX: usize = 1_024;
/// Refusals whose receipt is to be told to the relay; more are told when the relay repeats them.
const HEARD_MAX: usize = 4_096;

/// A letter got further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) request: u64,
    pub(super) id: LetterId,
    pub(super) progress: Progress,
    /// What the receipt says of when the relay took it.
    pub(super) taken: Wall,
}

/// A letter refused for good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) request: u64,
    pub(super) id: LetterId,
    pub(super) reason: Reason,
    pub(super) may_have_arrived: bool,
    pub(super) nearest: Vec<Name>,
    /// Its body is empty if it was not kept.
    pub(super) made: Made,
    /// What it said, where `made` does not tell.
    pub(super) text: Option<String>,
    /// The relay had accepted it, and waits to hear that this is known.
    pub(super) is_owed: bool,
}

/// The next letter to send.
#[derive(Debug)]
pub(super) struct Sendable<'a> {
    pub(super) to: &'a Name,
    pub(super) id: LetterId,
    pub(super) prev: u64,
    pub(super) mark: Mark,
    pub(super) made: &'a Made,
}

#[derive(Debug)]
struct Conversation {
    letters: Letters,
    /// Delivered, not yet known to be read: number and request.
    unread: VecDeque<(u64, u64)>,
    /// Refused, but that is not durable yet.
    refusals: VecDeque<Refusal>,
    /// The letters that were written before the conversation was known to be refused are refused
    /// with it.
    verdict: Option<Verdict>,
    /// What the relay has said of letters behind those in the meantime.
    held: Watermarks,
    reach: Reach,
    /// How many letters, and bytes of [`WINDOW_BYTES`], are on their way.
    sent_letters: usize,
    sent_bytes: usize,
    /// How many letters may be: one after a refusal that the next letter is likely to meet as well,
    /// half as many after any other, since all behind a refused one go for nothing, and one more
    /// after each that is accepted.
    window: usize,
    /// When it was last written to, by the outbox's own count.
    touched: u64,
    /// Its last refusal, as [`Marks::refused`] counts them.
    refused: u64,
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation {
            letters: Letters::default(),
            unread: VecDeque::new(),
            refusals: VecDeque::new(),
            verdict: None,
            held: Watermarks::default(),
            reach: Reach::default(),
            sent_letters: 0,
            sent_bytes: 0,
            window: WINDOW_LETTERS,
            touched: 0,
            refused: 0,
        }
    }
}

/// Result of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    /// Every letter that may go was sent.
    All,
    /// Others have their turn.
    More,
    /// There is no more room.
    NoRoom,
}

/// All conversations with one relay.
#[derive(Debug)]
pub(super) struct Outbox {
    /// What it is called on disk, and at its relay.
    base: OutboxId,
    id: OutboxId,
    pub(super) marks: Marks,
    number_floor: u64,
    conversations: BTreeMap<Name, Conversation>,
    letters: usize,
    bytes: usize,
    clock: u64,
    /// The conversation that had no room left.
    turn: Option<Name>,
    asks: Vec<Name>,
    heard: VecDeque<(Name, LetterId, u64)>,
    /// Refusals an earlier run wrote down and may not have told.
    old_refusals: VecDeque<(Name, Refusal)>,
    /// Of the outbox before this one: letters that are refused with it, and refusals that are not
    /// durable yet.
    given_back: Vec<(Name, Refusal)>,
    ending: VecDeque<(Name, Refusal)>,
    is_switching: bool,
}

impl Outbox {
    /// `base` is what it is called on disk.
    pub(super) fn new((base, id): (OutboxId, OutboxId), marks: Marks, number_floor: u64) -> Outbox {
        Outbox {
            base,
            id,
            marks,
            number_floor,
            conversations: BTreeMap::new(),
            letters: 0,
            bytes: 0,
            clock: 0,
            turn: None,
            asks: Vec::new(),
            heard: VecDeque::new(),
            old_refusals: VecDeque::new(),
            given_back: Vec::new(),
            ending: VecDeque::new(),
            is_switching: false,
        }
    }

    /// What it is called on disk.
    pub(super) const fn base(&self) -> OutboxId {
        self.base
    }

    /// What stands in the ids of its letters.
    pub(super) const fn id(&self) -> OutboxId {
        self.id
    }

    /// Takes over a conversation that an earlier run left; those written to last come last.
    pub(super) fn restore(&mut self, to: Name, reach: Reach) {
        self.clock += 1;
        let conversation = self.conversations.entry(to).or_default();
        (conversation.reach, conversation.touched) = (reach, self.clock);
    }

    /// Takes over a letter that an earlier run left, in the order of numbers.
    pub(super) fn restore_letter(&mut self, to: &Name, number: u64, kept: &KeptLetter) {
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        let made = kept.made.clone();
        let tells = made.text().is_some_and(|text| text == kept.text);
        let text = (!tells).then(|| kept.text.clone());
        (self.letters, self.bytes) = (self.letters + 1, self.bytes + made.body.len());
        conversation.letters.push(OutLetter {
            request: kept.request,
            number,
            mark: kept.mark,
            made,
            text,
            recorded: true,
            sent: false,
            accepted: number <= conversation.reach.accepted,
            until: Wall(0),
            unanswered_before: true,
            accepted_before: number <= conversation.reach.accepted,
        });
    }

    /// Takes over a refusal that an earlier run wrote down and may not have told.
    pub(super) fn restore_refusal(&mut self, to: Name, id: LetterId, kept: KeptRefusal) {
        let KeptRefusal { letter: KeptLetter { request, text, made, .. }, reason, may_have_arrived } = kept;
        let text = Some(text);
        let (nearest, is_owed) = (Vec::new(), false);
        let refusal = Refusal { request, id, reason, may_have_arrived, nearest, made, text, is_owed };
        self.old_refusals.push_back((to, refusal));
    }

    /// The next refusal of [`Outbox::restore_refusal`], in the order of numbers; each is shown
    /// once.
    pub(super) fn next_old_refusal(&mut self) -> Option<(Name, Refusal)> {
        self.old_refusals.pop_front()
    }

    /// Whether another letter of this length has room.
    pub(super) const fn has_room(&self, len: usize) -> bool {
        self.letters < OUTBOX_LETTERS_MAX && self.bytes + len <= OUTBOX_BYTES_MAX
    }

    /// Whether a letter of this request waits for its end.
    pub(super) fn has_request(&self, to: &Name, request: u64) -> bool {
        self.conversations.get(to).is_some_and(|c| c.letters.has_request(request))
    }

    /// Takes a letter from the user and gives it its number. It goes out after [`Outbox::recorded`].
    pub(super) fn push(&mut self, request: u64, to: Name, made: Made) -> u64 {
        let bytes = self.bytes + made.body.len();
        (self.letters, self.bytes, self.clock) = (self.letters + 1, bytes, self.clock + 1);
        let floor = Reach { last: self.number_floor, ..Reach::default() };
        let fresh = || Conversation { reach: floor, ..Conversation::default() };
        let conversation = self.conversations.entry(to).or_insert_with(fresh);
        conversation.touched = self.clock;
        conversation.reach.last += 1;
        let number = conversation.reach.last;
        conversation.letters.push(OutLetter {
            request,
            number,
            mark: self.marks.mark(),
            made,
            text: None,
            recorded: false,
            sent: false,
            accepted: false,
            until: Wall(0),
            unanswered_before: false,
            accepted_before: false,
        });
        number
    }

    /// A letter is durable, and may go out.
    pub(super) fn recorded(&mut self, to: &Name, id: LetterId) {
        let number = id.number;
        if id.outbox != self.id {
            return;
        }
        let letters = self.conversations.get_mut(to).map(|c| &mut c.letters);
        // The newest stand at the end.
        if let Some(letter) = letters.and_then(|l| l.iter_mut().rev().find(|l| l.number == number)) {
            letter.recorded = true;
        }
    }

    /// A letter could not be made durable: it never was.
    pub(super) fn unrecorded(&mut self, to: &Name, id: LetterId) {
        if id.outbox != self.id {
            return self.unrecorded_before(to, id);
        }
        let number = id.number;
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        if let Some(place) = conversation.letters.iter().position(|l| l.number == number) {
            let letter = conversation.remove(place);
            (self.letters, self.bytes) = (self.letters - 1, self.bytes - letter.made.body.len());
        }
    }

    /// Offers every letter that may go now, each conversation's in order, until `send` says that
    /// there is no more room. The conversations take turns, so that one with much to say leaves
    /// room for the others.
    pub(super) fn offer(&mut self, mut send: impl FnMut(Sendable<'_>) -> bool) {
        loop {
            let (mut more, turn) = (false, self.turn.take());
            let from = turn.as_ref().map_or(Bound::Unbounded, Bound::Included);
            for (to, conversation) in self.conversations.range_mut::<Name, _>((from, Bound::Unbounded)) {
                match conversation.offer((self.id, &self.marks), to, &mut send) {
                    Offered::NoRoom => return self.turn = Some(to.clone()),
                    offered => more |= offered == Offered::More,
                }
            }
            let through = turn.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rest = (Bound::Unbounded, through);
            for (to, conversation) in self.conversations.range_mut::<Name, _>(rest).filter(|_| turn.is_some())
            {
                match conversation.offer((self.id, &self.marks), to, &mut send) {
                    Offered::NoRoom => return self.turn = Some(to.clone()),
                    offered => more |= offered == Offered::More,
                }
            }
            if !more {
                return;
            }
        }
    }

    /// The session is gone: everything on its way that was not accepted goes again.
    pub(super) fn session_lost(&mut self) {
        for conversation in self.conversations.values_mut() {
            for letter in conversation.letters.iter_mut().filter(|letter| !letter.accepted) {
                letter.unanswered_before |= std::mem::take(&mut letter.sent);
            }
            conversation.sent_letters = 0;
            conversation.sent_bytes = 0;
            conversation.verdict = None;
        }
        self.asks.clear();
        self.heard.clear();
        self.marks.session_lost();
    }

    /// Signed in: asks about conversations whose letters an earlier session may have got further.
    pub(super) fn signed_in(&mut self) {
        let open = self.conversations.iter().filter(|(_, conversation)| conversation.is_open());
        let mut open: Vec<(u64, &Name)> = open.map(|(to, c)| (c.touched, to)).collect();
        open.sort_unstable_by_key(|(touched, _)| std::cmp::Reverse(*touched));
        self.asks = open.into_iter().take(ASKED_MAX).map(|(_, to)| to.clone()).rev().collect();
    }

    /// Whom the relay is to be asked about next, and in which outbox. [`Outbox::asked`] when it was.
    pub(super) fn next_ask(&self) -> Option<(&Name, OutboxId)> {
        self.asks.last().map(|to| (to, self.id))
    }

    /// The question of [`Outbox::next_ask`] was sent.
    pub(super) fn asked(&mut self) {
        self.asks.pop();
    }

    /// A refusal of which the relay is to be told that it is known: to this copy, and to no other
    /// that it does not call old. [`Outbox::paid_heard`] when it was.
    pub(super) fn next_heard(&self) -> Option<(&Name, LetterId)> {
        let next = self.heard.front().filter(|(.., refusal)| self.marks.is_confirmed(*refusal));
        next.map(|(to, id, _)| (to, *id))
    }

    /// The answer of [`Outbox::next_heard`] was sent.
    pub(super) fn paid_heard(&mut self) {
        self.heard.pop_front();
    }

    /// The relay tells how far letters have come; what is to be written down of it. Of letters behind a refusal that is not
    /// told yet it counts after that: see [`Outbox::resume`].
    pub(super) fn handle_receipt(&mut self, receipt: &Receipt<'_>, tell: impl FnMut(Step)) -> Option<Reach> {
        // No outbox comes to such numbers: the relay lies, and ours would have no room left.
        let absurd = receipt.accepted.max(receipt.delivered) >= NUMBER_MAX;
        if receipt.outbox != self.id || absurd {
            return None;
        }
        let conversation = self.conversations.get_mut(receipt.to)?;
        let Receipt { accepted, delivered, until, taken, .. } = *receipt;
        // What was read is the reader's word alone, and believed of what was delivered only.
        let read =
            receipt.read.min(delivered.max(conversation.reach.delivered).max(conversation.held.delivered));
        conversation.held.raise(Watermarks { accepted, delivered, read, until, taken });
        self.advance(receipt.to, tell)
    }

    /// A refusal was told: what the relay has said since of letters behind it counts now.
    pub(super) fn resume(&mut self, to: &Name, tell: impl FnMut(Step)) -> Option<Reach> {
        self.advance(to.as_str(), tell)
    }

    fn advance(&mut self, to: &str, mut tell: impl FnMut(Step)) -> Option<Reach> {
        let conversation = self.conversations.get_mut(to)?;
        let before = conversation.reach;
        let marks = conversation.take_marks();
        conversation.accept(self.id, marks, &mut tell);
        let (letters, bytes) = conversation.deliver(self.id, marks, &mut tell);
        conversation.read(self.id, marks, &mut tell);
        (self.letters, self.bytes) = (self.letters - letters, self.bytes - bytes);
        if self.bytes > OUTBOX_BYTES_MAX / 2 {
            self.bytes -= conversation.drop_accepted_bodies();
        }
        (conversation.reach != before).then_some(conversation.reach)
    }

    /// Whether a letter is on its way that the relay has not answered for.
    pub(super) fn awaits_answer(&self) -> bool {
        self.conversations.values().any(|conversation| conversation.sent_letters > 0)
    }

    /// Whether no letter waits for its relay any more.
    pub(super) fn is_empty(&self) -> bool {
        self.given_back.is_empty()
            && self.ending.is_empty()
            && self.conversations.values().all(|c| c.letters.is_empty() && c.refusals.is_empty())
    }
}

impl Conversation {
    fn is_open(&self) -> bool {
        let asked = |letter: &OutLetter| letter.accepted || letter.unanswered_before;
        self.reach.read < self.reach.taken || self.letters.iter().any(asked)
    }

    /// Offers its next letters, at most [`OFFERED_BYTES`] at a time.
    fn offer(
        &mut self,
        (outbox, marks): (OutboxId, &Marks),
        to: &Name,
        send: &mut impl FnMut(Sendable<'_>) -> bool,
    ) -> Offered {
        let is_held_up = !self.refusals.is_empty() || self.verdict.is_some();
        if self.letters.is_empty() || is_held_up || !marks.is_confirmed(self.refused) {
            return Offered::All;
        }
        let (mut prev, mut offered) = (self.reach.taken, 0);
        for letter in self.letters.iter_mut() {
            if !letter.recorded {
                return Offered::All;
            }
            if !letter.sent && !letter.accepted {
                let cost = letter.cost();
                let fits = self.sent_letters == 0 || self.sent_bytes + cost <= WINDOW_BYTES;
                let window = self.window.max(if letter.unanswered_before { WINDOW_IN_DOUBT } else { 1 });
                if self.sent_letters >= window || !fits {
                    return Offered::All;
                }
                if offered >= OFFERED_BYTES {
                    return Offered::More;
                }
                let id = LetterId { outbox, number: letter.number };
                if !send(Sendable { to, id, prev, mark: letter.mark, made: &letter.made }) {
                    return Offered::NoRoom;
                }
                letter.sent = true;
                self.sent_letters += 1;
                self.sent_bytes += cost;
                offered += cost;
            }
            prev = letter.number;
        }
        Offered::All
    }

    /// What the relay has said of letters before the first refusal that is not told yet.
    fn take_marks(&mut self) -> Watermarks {
        match self.refusals.iter().map(|refusal| refusal.id.number).min() {
            Some(first) => self.held.before(first),
            None => std::mem::take(&mut self.held),
        }
    }

    fn accept(&mut self, outbox: OutboxId, marks: Watermarks, tell: &mut impl FnMut(Step)) {
        let through = marks.accepted.max(marks.delivered).max(marks.read);
        for place in 0..self.letters.len() {
            let letter = &mut self.letters[place];
            if letter.number > through {
                break;
            }
            if !(letter.accepted || letter.sent || letter.unanswered_before) {
                continue;
            }
            let (request, id) = (letter.request, LetterId { outbox, number: letter.number });
            if !letter.accepted {
                self.put_back(place);
                let letter = &mut self.letters[place];
                letter.accepted = true;
                self.verdict = self.verdict.filter(|verdict| letter.number < verdict.refused);
                self.window = WINDOW_LETTERS.min(self.window + 1);
                self.reach.accepted = self.reach.accepted.max(letter.number);
                tell(Step { request, id, progress: Progress::Accepted, taken: marks.taken });
            }
            let letter = &mut self.letters[place];
            if marks.until.0 > 0 && letter.number > marks.delivered && letter.until.0 == 0 {
                letter.until = marks.until;
                tell(Step {
                    request,
                    id,
                    progress: Progress::Waiting { until: marks.until },
                    taken: marks.taken,
                });
            }
        }
        self.reach.until = marks.until;
    }

    /// Takes the delivered letters out; how many, and the bytes of their bodies.
    fn deliver(
        &mut self,
        outbox: OutboxId,
        marks: Watermarks,
        tell: &mut impl FnMut(Step),
    ) -> (usize, usize) {
        let through = marks.delivered.max(marks.read);
        let (mut letters, mut bytes) = (0, 0);
        while self.letters.front().is_some_and(|l| l.number <= through && l.accepted) {
            let OutLetter { request, number, made, .. } = self.remove(0);
            (letters, bytes) = (letters + 1, bytes + made.body.len());
            self.reach.taken = number;
            self.reach.delivered = number;
            if self.unread.len() == UNREAD_MAX {
                self.unread.pop_front();
            }
            self.unread.push_back((number, request));
            tell(Step {
                request,
                id: LetterId { outbox, number },
                progress: Progress::Delivered,
                taken: marks.taken,
            });
        }
        (letters, bytes)
    }

    fn read(&mut self, outbox: OutboxId, marks: Watermarks, tell: &mut impl FnMut(Step)) {
        while let Some((number, request)) = self.unread.front().copied().filter(|u| u.0 <= marks.read) {
            self.unread.pop_front();
            tell(Step {
                request,
                id: LetterId { outbox, number },
                progress: Progress::Read,
                taken: marks.taken,
            });
        }
        self.reach.read = self.reach.read.max(marks.read.min(self.reach.delivered));
    }

    /// Forgets what accepted letters say; the bytes this frees.
    fn drop_accepted_bodies(&mut self) -> usize {
        let accepted = self.letters.iter_mut().filter(|letter| letter.accepted);
        accepted.map(|letter| std::mem::take(&mut letter.made.body).len()).sum()
    }

    fn put_back(&mut self, place: usize) {
        let letter = &mut self.letters[place];
        if !letter.accepted && std::mem::take(&mut letter.sent) {
            self.sent_letters -= 1;
            self.sent_bytes -= letter.cost();
        }
    }

    fn remove(&mut self, place: usize) -> OutLetter {
        self.put_back(place);
        self.letters.remove(place).expect("the caller has found it there")
    }
}

#[cfg(test)]
mod tests;
