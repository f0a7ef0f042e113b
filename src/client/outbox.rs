//! Letters that are neither delivered nor refused: one ordered conversation per recipient.
//!
//! A letter is sent once it is durable and the session has space for it. It carries `prev`, the
//! last number before it that was not refused. A letter refused as `behind` is sent again with its
//! new `prev`. Any other refusal holds back the letters behind it until the refusal is durable;
//! otherwise a crash could make a refused letter pass for an accepted one. A lost session puts back
//! all letters that were not accepted. Conversations never wait for each other.

mod letters;
mod lost;
mod old_copy;
mod receipt_content;
mod receipts;
mod refused;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::base::{LetterId, Mark, Name, OutboxId, Wall};
use crate::wire::letter::LetterBody;
use crate::wire::message::{Reason, Receipt};

use super::api::Progress;
use super::marks::Marks;
use super::persisted::{PersistedLetter, PersistedRefusal, Reach};
use letters::{ConversationQueue, OutboxLetter};
use receipt_content::ReceiptContent;
pub(super) use refused::ReceivedRefusal;
use refused::StandingRefusal;

/// Maximum letters of one conversation on their way. At 100 bytes [`WINDOW_BYTES`] comes first.
pub(super) const WINDOW_LETTERS: usize = 1_024;
/// Maximum unanswered letters of an earlier session on their way, even after a refusal. Only the
/// relay knows their state, and one at a time would take a round trip and a commit each.
const WINDOW_IN_DOUBT: usize = 32;
/// Bytes that one conversation sends before the next one's turn.
const SEND_BYTES: usize = 16 * 1024;
/// Maximum bytes of one conversation on their way; one letter is always allowed. Below the 256 KiB
/// of the relay's queue and of the session, so that one slow recipient fills neither.
pub(super) const WINDOW_BYTES: usize = 128 * 1024;
/// Cost of a letter in [`WINDOW_BYTES`] in addition to its body, as in the relay's queue. In the
/// session it is at most 131 bytes.
pub(super) const LETTER_COST: usize = 64;
/// Maximum letters of one relay's outbox. Beyond it new letters are rejected.
pub const OUTBOX_LETTERS_MAX: usize = 100_000;
/// Maximum bytes of their bodies. Beyond half of it accepted letters lose their bodies.
pub const OUTBOX_BYTES_MAX: usize = 256 << 20;
/// A receipt with a number from here on is ignored, so that no relay exhausts our numbers.
const NUMBER_MAX: u64 = 1 << 63;
/// Maximum conversations queried in a new session, the last used first.
const QUERIES_MAX: usize = 256;
/// Maximum delivered letters of one conversation that wait for `read`. Then the oldest is dropped.
const UNREAD_MAX: usize = 1_024;
/// Maximum refusals to be acknowledged. Others are acknowledged when the relay repeats them.
const RECEIVED_REFUSALS_MAX: usize = 4_096;

/// Progress of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProgressUpdate {
    pub(super) request: u64,
    pub(super) id: LetterId,
    pub(super) progress: Progress,
    /// When the relay accepted it, according to the receipt.
    pub(super) taken_at: Wall,
}

/// A letter that was refused for good.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) request: u64,
    pub(super) id: LetterId,
    pub(super) reason: Reason,
    pub(super) may_have_arrived: bool,
    pub(super) nearest: Vec<Name>,
    /// The body is empty if it was dropped.
    pub(super) encoded: LetterBody,
    /// The text, if `encoded` does not contain it.
    pub(super) text: Option<String>,
    /// The relay had accepted the letter and waits for an acknowledgement of the refusal.
    pub(super) is_owed: bool,
}

/// The next letter to send.
#[derive(Debug)]
pub(super) struct NextLetter<'a> {
    pub(super) to: &'a Name,
    pub(super) id: LetterId,
    pub(super) prev: u64,
    pub(super) mark: Mark,
    pub(super) encoded: &'a LetterBody,
}

/// The next query of a conversation's receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiptQuery<'a> {
    pub(super) to: &'a Name,
    pub(super) outbox: OutboxId,
    /// The last letter that is accepted and not delivered, or 0.
    pub(super) accepted: u64,
    /// The last letter before all of those in the outbox.
    pub(super) settled: u64,
}

#[derive(Debug)]
struct Conversation {
    letters: ConversationQueue,
    /// Number and request of delivered letters that are not known to be read.
    unread: VecDeque<(u64, u64)>,
    /// Refusals that are not durable yet.
    refusals: VecDeque<Refusal>,
    /// The refusal of the whole conversation, which also ends letters written before it was known.
    standing_refusal: Option<StandingRefusal>,
    /// Receipts for letters behind those refusals, held back until these are shown.
    held_receipts: ReceiptContent,
    reach: Reach,
    /// Letters on their way.
    sent_letters: usize,
    /// Their bytes, as counted for [`WINDOW_BYTES`].
    sent_bytes: usize,
    /// Maximum of `sent_letters`. It is 1 after a refusal that the next letter would probably get
    /// too, and half after any other, because all letters behind a refused one are wasted. It grows
    /// by one for each accepted letter.
    window: usize,
    /// Value of the outbox's `clock` when a letter was last written.
    touched: u64,
    /// Its last refusal, as counted by [`Marks::record_refusal`].
    refused: u64,
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation {
            letters: ConversationQueue::default(),
            unread: VecDeque::new(),
            refusals: VecDeque::new(),
            standing_refusal: None,
            held_receipts: ReceiptContent::default(),
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
enum SendResult {
    /// Every letter that may be sent was sent.
    All,
    /// Other conversations have their turn first.
    More,
    /// The session is full.
    NoRoom,
}

/// All conversations with one relay.
#[derive(Debug)]
pub(super) struct Outbox {
    /// The id on disk.
    base: OutboxId,
    /// The id at the relay.
    id: OutboxId,
    pub(super) marks: Marks,
    number_floor: u64,
    conversations: BTreeMap<Name, Conversation>,
    letters: usize,
    bytes: usize,
    clock: u64,
    /// The conversation for which the session had no space.
    next_to_send: Option<Name>,
    queries: Vec<Name>,
    received_refusals: VecDeque<(Name, LetterId, u64)>,
    /// Refusals of an earlier run that the user may not have seen.
    old_refusals: VecDeque<(Name, Refusal)>,
    /// Letters of the previous outbox that are refused with it.
    returned: Vec<(Name, Refusal)>,
    /// Refusals of the previous outbox that are not durable yet.
    ending: VecDeque<(Name, Refusal)>,
    is_switching: bool,
}

impl Outbox {
    /// Creates an empty outbox. `base` is its id on disk, `id` that at its relay.
    pub(super) fn new(base: OutboxId, id: OutboxId, marks: Marks, number_floor: u64) -> Outbox {
        Outbox {
            base,
            id,
            marks,
            number_floor,
            conversations: BTreeMap::new(),
            letters: 0,
            bytes: 0,
            clock: 0,
            next_to_send: None,
            queries: Vec::new(),
            received_refusals: VecDeque::new(),
            old_refusals: VecDeque::new(),
            returned: Vec::new(),
            ending: VecDeque::new(),
            is_switching: false,
        }
    }

    /// Returns the id on disk.
    pub(super) const fn base(&self) -> OutboxId {
        self.base
    }

    /// Returns the outbox id of its letters.
    pub(super) const fn id(&self) -> OutboxId {
        self.id
    }

    /// Restores a conversation of an earlier run. Those used last are restored last.
    pub(super) fn restore(&mut self, to: Name, reach: Reach) {
        self.clock += 1;
        let conversation = self.conversations.entry(to).or_default();
        conversation.reach = reach;
        conversation.touched = self.clock;
    }

    /// Restores a letter of an earlier run, in the order of numbers.
    pub(super) fn restore_letter(&mut self, to: &Name, number: u64, persisted: &PersistedLetter) {
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        let encoded = persisted.encoded.clone();
        let contains_text = encoded.text().is_some_and(|text| text == persisted.text);
        let text = (!contains_text).then(|| persisted.text.clone());
        let accepted = number <= conversation.reach.watermarks.accepted;
        self.letters += 1;
        self.bytes += encoded.body.len();
        conversation.letters.push(OutboxLetter {
            request: persisted.request,
            number,
            mark: persisted.mark,
            encoded,
            text,
            recorded: true,
            sent: false,
            accepted,
            until: Wall(0),
            unanswered_before: true,
            lost_unanswered: !accepted,
            is_lost: false,
        });
    }

    /// Restores a refusal of an earlier run that the user may not have seen.
    pub(super) fn restore_refusal(&mut self, to: Name, id: LetterId, persisted: PersistedRefusal) {
        let PersistedRefusal {
            letter: PersistedLetter { request, text, encoded, .. },
            reason,
            may_have_arrived,
        } = persisted;
        let text = Some(text);
        let nearest = Vec::new();
        let is_owed = false;
        let refusal = Refusal { request, id, reason, may_have_arrived, nearest, encoded, text, is_owed };
        self.old_refusals.push_back((to, refusal));
    }

    /// Returns the next refusal of [`Outbox::restore_refusal`], in the order of numbers, each once.
    pub(super) fn next_old_refusal(&mut self) -> Option<(Name, Refusal)> {
        self.old_refusals.pop_front()
    }

    /// Whether a letter with a body of `len` bytes fits in.
    pub(super) const fn has_room(&self, len: usize) -> bool {
        self.letters < OUTBOX_LETTERS_MAX && self.bytes + len <= OUTBOX_BYTES_MAX
    }

    /// Whether a letter of this request is neither delivered nor refused.
    pub(super) fn has_request(&self, to: &Name, request: u64) -> bool {
        self.conversations.get(to).is_some_and(|c| c.letters.has_request(request))
    }

    /// Takes a letter from the user and returns its number. It is sent after
    /// [`Outbox::mark_durable`].
    pub(super) fn push(&mut self, request: u64, to: Name, encoded: LetterBody) -> u64 {
        self.letters += 1;
        self.bytes += encoded.body.len();
        self.clock += 1;
        let floor = Reach { last: self.number_floor, ..Reach::default() };
        let new_conversation = || Conversation { reach: floor, ..Conversation::default() };
        let conversation = self.conversations.entry(to).or_insert_with(new_conversation);
        conversation.touched = self.clock;
        conversation.reach.last += 1;
        let number = conversation.reach.last;
        conversation.letters.push(OutboxLetter {
            request,
            number,
            mark: self.marks.mark(),
            encoded,
            text: None,
            recorded: false,
            sent: false,
            accepted: false,
            until: Wall(0),
            unanswered_before: false,
            lost_unanswered: false,
            is_lost: false,
        });
        number
    }

    /// Marks a letter as durable, so that it may be sent.
    pub(super) fn mark_durable(&mut self, to: &Name, id: LetterId) {
        let number = id.number;
        if id.outbox != self.id {
            return;
        }
        let letters = self.conversations.get_mut(to).map(|c| &mut c.letters);
        // New letters are at the end.
        if let Some(letter) = letters.and_then(|l| l.iter_mut().rev().find(|l| l.number == number)) {
            letter.recorded = true;
        }
    }

    /// Removes a letter that could not be made durable, without a trace.
    pub(super) fn remove_failed(&mut self, to: &Name, id: LetterId) {
        if id.outbox != self.id {
            return self.remove_failed_before(to, id);
        }
        let number = id.number;
        let Some(conversation) = self.conversations.get_mut(to) else { return };
        if let Some(index) = conversation.letters.iter().position(|l| l.number == number) {
            let letter = conversation.remove(index);
            self.letters -= 1;
            self.bytes -= letter.encoded.body.len();
        }
    }

    /// Offers all letters that may be sent, each conversation's in order, until `send` returns
    /// `false`: the session is full. Conversations take turns, so that a busy one leaves space.
    pub(super) fn send_ready(&mut self, mut send: impl FnMut(NextLetter<'_>) -> bool) {
        loop {
            let mut more = false;
            let first = self.next_to_send.take();
            let from = first.as_ref().map_or(Bound::Unbounded, Bound::Included);
            for (to, conversation) in self.conversations.range_mut::<Name, _>((from, Bound::Unbounded)) {
                match conversation.send_ready(self.id, &self.marks, to, &mut send) {
                    SendResult::NoRoom => return self.next_to_send = Some(to.clone()),
                    result => more |= result == SendResult::More,
                }
            }
            let through = first.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rest = (Bound::Unbounded, through);
            for (to, conversation) in
                self.conversations.range_mut::<Name, _>(rest).filter(|_| first.is_some())
            {
                match conversation.send_ready(self.id, &self.marks, to, &mut send) {
                    SendResult::NoRoom => return self.next_to_send = Some(to.clone()),
                    result => more |= result == SendResult::More,
                }
            }
            if !more {
                return;
            }
        }
    }

    /// Puts back all letters on their way that were not accepted: the session is gone.
    pub(super) fn handle_session_lost(&mut self) {
        for conversation in self.conversations.values_mut() {
            for letter in conversation.letters.iter_mut().filter(|letter| !letter.accepted) {
                let was_sent = std::mem::take(&mut letter.sent);
                letter.unanswered_before |= was_sent;
                letter.lost_unanswered |= was_sent;
            }
            conversation.sent_letters = 0;
            conversation.sent_bytes = 0;
            conversation.standing_refusal = None;
        }
        self.queries.clear();
        self.received_refusals.clear();
        self.marks.handle_session_lost();
    }

    /// Queues queries for conversations that an earlier session may have advanced, after a sign-in.
    pub(super) fn handle_signed_in(&mut self) {
        let open = self.conversations.iter().filter(|(_, conversation)| conversation.is_open());
        let mut open: Vec<(u64, &Name)> = open.map(|(to, c)| (c.touched, to)).collect();
        open.sort_unstable_by_key(|(touched, _)| std::cmp::Reverse(*touched));
        self.queries = open.into_iter().take(QUERIES_MAX).map(|(_, to)| to.clone()).rev().collect();
    }

    /// Returns the next query. [`Outbox::mark_query_sent`] follows once it is sent.
    pub(super) fn next_query(&self) -> Option<ReceiptQuery<'_>> {
        let to = self.queries.last()?;
        let conversation = self.conversations.get(to);
        let accepted = conversation.map_or(0, Conversation::last_accepted);
        let settled = conversation.map_or(0, |conversation| conversation.reach.last_taken);
        Some(ReceiptQuery { to, outbox: self.id, accepted, settled })
    }

    /// Removes the query of [`Outbox::next_query`], which was sent.
    pub(super) fn mark_query_sent(&mut self) {
        self.queries.pop();
    }

    /// Returns the next refusal to acknowledge to the relay: one that each copy knows that the
    /// relay does not consider old. [`Outbox::mark_refusal_sent`] follows once it is sent.
    pub(super) fn next_received_refusal(&self) -> Option<(&Name, LetterId)> {
        let next = self.received_refusals.front().filter(|(.., refusal)| self.marks.is_confirmed(*refusal));
        next.map(|(to, id, _)| (to, *id))
    }

    /// Removes the acknowledgement of [`Outbox::next_received_refusal`], which was sent.
    pub(super) fn mark_refusal_sent(&mut self) {
        self.received_refusals.pop_front();
    }

    /// Applies a receipt. Returns the new watermarks if they must be stored. Receipts for letters
    /// behind a refusal take effect after the user has seen that: see [`Outbox::resume`].
    pub(super) fn handle_receipt(
        &mut self,
        receipt: &Receipt<'_>,
        tell: impl FnMut(ProgressUpdate),
    ) -> Option<Reach> {
        let Receipt { mut watermarks, until, taken_at, .. } = *receipt;
        // No outbox reaches such numbers. If believed, they would leave none for new letters.
        let is_impossible = watermarks.accepted.max(watermarks.delivered) >= NUMBER_MAX;
        if receipt.outbox != self.id || is_impossible {
            return None;
        }
        let conversation = self.conversations.get_mut(receipt.to)?;
        // `read` is the recipient's claim; accept it for delivered letters only.
        let reached = conversation.reach.watermarks.delivered;
        let held = conversation.held_receipts.watermarks.delivered;
        watermarks.read = watermarks.read.min(watermarks.delivered.max(reached).max(held));
        conversation.held_receipts.raise(ReceiptContent { watermarks, until, taken_at });
        self.advance(receipt.to, tell)
    }

    /// Applies held receipts after a refusal was shown.
    pub(super) fn resume(&mut self, to: &Name, tell: impl FnMut(ProgressUpdate)) -> Option<Reach> {
        self.advance(to.as_str(), tell)
    }

    fn advance(&mut self, to: &str, mut tell: impl FnMut(ProgressUpdate)) -> Option<Reach> {
        let conversation = self.conversations.get_mut(to)?;
        let before = conversation.reach;
        let receipts = conversation.take_receipts();
        conversation.accept(self.id, receipts, &mut tell);
        let (letters, bytes) = conversation.deliver(self.id, receipts, &mut tell);
        conversation.read(self.id, receipts, &mut tell);
        self.letters -= letters;
        self.bytes -= bytes;
        if self.bytes > OUTBOX_BYTES_MAX / 2 {
            self.bytes -= conversation.drop_accepted_bodies();
        }
        (conversation.reach != before).then_some(conversation.reach)
    }

    /// Whether a letter is on its way without a receipt.
    pub(super) fn is_awaiting_answer(&self) -> bool {
        self.conversations.values().any(|conversation| conversation.sent_letters > 0)
    }

    /// Whether no letter waits for its relay.
    pub(super) fn is_empty(&self) -> bool {
        self.returned.is_empty()
            && self.ending.is_empty()
            && self.conversations.values().all(|c| c.letters.is_empty() && c.refusals.is_empty())
    }
}

impl Conversation {
    /// Whether an earlier session may have advanced this conversation.
    fn is_open(&self) -> bool {
        let may_have_advanced = |letter: &OutboxLetter| letter.accepted || letter.unanswered_before;
        self.reach.watermarks.read < self.reach.last_taken || self.letters.iter().any(may_have_advanced)
    }

    /// Offers its next letters, at most [`SEND_BYTES`] in one call.
    fn send_ready(
        &mut self,
        outbox: OutboxId,
        marks: &Marks,
        to: &Name,
        send: &mut impl FnMut(NextLetter<'_>) -> bool,
    ) -> SendResult {
        let is_held_up = !self.refusals.is_empty() || self.standing_refusal.is_some();
        if self.letters.is_empty() || is_held_up || !marks.is_confirmed(self.refused) {
            return SendResult::All;
        }
        let mut prev = self.reach.last_taken;
        let mut offered_bytes = 0;
        for letter in self.letters.iter_mut() {
            if !letter.recorded {
                return SendResult::All;
            }
            if !letter.sent && !letter.accepted {
                let cost = letter.cost();
                let fits = self.sent_letters == 0 || self.sent_bytes + cost <= WINDOW_BYTES;
                let window = self.window.max(if letter.unanswered_before { WINDOW_IN_DOUBT } else { 1 });
                if self.sent_letters >= window || !fits {
                    return SendResult::All;
                }
                if offered_bytes >= SEND_BYTES {
                    return SendResult::More;
                }
                let id = LetterId { outbox, number: letter.number };
                if !send(NextLetter { to, id, prev, mark: letter.mark, encoded: &letter.encoded }) {
                    return SendResult::NoRoom;
                }
                letter.sent = true;
                self.sent_letters += 1;
                self.sent_bytes += cost;
                offered_bytes += cost;
            }
            prev = letter.number;
        }
        SendResult::All
    }

    /// Removes a letter from those on their way, if it is one.
    fn put_back(&mut self, index: usize) {
        let letter = &mut self.letters[index];
        if !letter.accepted && std::mem::take(&mut letter.sent) {
            self.sent_letters -= 1;
            self.sent_bytes -= letter.cost();
        }
    }

    fn remove(&mut self, index: usize) -> OutboxLetter {
        self.put_back(index);
        self.letters.remove(index).expect("the caller has found it there")
    }
}

#[cfg(test)]
mod tests;
