//! The durable state of a client: the sum of its records.
//!
//! [`PersistedClient::apply`] defines each record's meaning; a store must load the same state.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, Mark, Name, OutboxId, Wall, Watermarks};

use crate::wire::letter::LetterBody;
use crate::wire::message::{EARLIER_MARKS_MAX, MarkToken as SignedIn, Reason};

use super::api::Record;
use super::strangers::{Contacts, Holdings, cost};

/// Maximum outboxes per sender, one for each machine it ever wrote from. Beyond it the sender's own
/// oldest one is dropped, so that no member displaces what another has sent.
pub const OUTBOXES_OF_ONE_MAX: usize = 64;
/// Maximum letters refused here that are remembered, over all relays. As many as four relays have
/// under way ([`crate::wire::limits::REFUSALS_REMEMBERED`]).
pub const DECLINED_PERSISTED_MAX: usize = 4_096;

/// Initial state of the client core. Bounded by the outbox limits and by the store's own limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedClient {
    /// The outbox of each relay with letters or a sign-in. [`PersistedClient::letters`] and
    /// [`PersistedClient::conversations`] belong to these outboxes only.
    pub outboxes: BTreeMap<HostPort, PersistedOutbox>,
    /// Progress of each conversation, by relay and recipient.
    pub conversations: BTreeMap<(HostPort, Name), PersistedConversation>,
    /// Members written to from any outbox, by relay.
    pub written_to: Contacts,
    /// Letters neither delivered nor refused, by relay, recipient, and number.
    pub letters: BTreeMap<(HostPort, Name, u64), PersistedLetter>,
    /// Refusals that the user has not seen, by relay, recipient, outbox, and number.
    pub refusals: BTreeMap<(HostPort, Name, OutboxId, u64), PersistedRefusal>,
    /// Received letters, by relay, sender, and outbox.
    pub senders: BTreeMap<(HostPort, Name, OutboxId), PersistedSender>,
    /// The last [`DECLINED_PERSISTED_MAX`] letters refused here, by relay, sender, outbox, and
    /// number. The values are the position among all and the reason.
    pub declined: BTreeMap<(HostPort, Name, OutboxId, u64), (u64, Reason)>,
    /// Bytes stored of each sender.
    pub holdings: Holdings,
    /// When UDP failed to reach these relays.
    pub udp_failed: BTreeMap<HostPort, Wall>,
    /// Highest number that may have been used for recipients missing in `conversations`.
    pub number_floor: u64,
    /// Count of letters ever stored, in both directions.
    pub clock: u64,
}

/// The outbox of letters through one relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistedOutbox {
    /// The outbox.
    pub id: OutboxId,
    /// The highest mark used for letters or sign-ins.
    pub mark: Mark,
    /// Contents of the last sign-ins, the oldest first, at most [`EARLIER_MARKS_MAX`].
    pub sign_ins: VecDeque<SignedIn>,
}

/// One conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersistedConversation {
    /// Its watermarks.
    pub reach: Reach,
    /// Value of [`PersistedClient::clock`] when a letter was last written.
    pub touched: u64,
}

/// Watermarks of one conversation: numbers of letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The last number assigned; numbers are never reused.
    pub last: u64,
    /// The last letter delivered, 0 for none. The initial `prev` of the next one.
    pub last_taken: u64,
    /// Progress of its letters.
    pub watermarks: Watermarks,
    /// When the last accepted letter leaves the mailbox undelivered; 0 if none waits.
    pub until: Wall,
}

impl Reach {
    /// Adopts every higher watermark, and `until`.
    pub fn raise(&mut self, other: &Reach) {
        self.last = self.last.max(other.last);
        self.last_taken = self.last_taken.max(other.last_taken);
        self.watermarks.raise(other.watermarks);
        self.until = other.until;
    }
}

/// A letter that is neither delivered nor refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistedLetter {
    /// The command's number.
    pub request: u64,
    /// Its text.
    pub text: String,
    /// Time of writing.
    pub written: Wall,
    /// The mark under which it was numbered.
    pub mark: Mark,
    /// Kind and body as first sent; empty once it is refused.
    pub encoded: LetterBody,
}

/// A refused letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistedRefusal {
    /// The letter.
    pub letter: PersistedLetter,
    /// The reason.
    pub reason: Reason,
    /// Whether it may have arrived nevertheless.
    pub may_have_arrived: bool,
}

/// One outbox of one sender, from the recipient's view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersistedSender {
    /// The last letter stored.
    pub last: u64,
    /// The last letter read, as far as the sender may know.
    pub read: u64,
    /// Value of [`PersistedClient::clock`] when a letter last came.
    pub last_received: u64,
    /// Bytes stored of its letters.
    pub stored_bytes: u64,
    /// The mark under which the last letter was numbered.
    pub mark: Mark,
    /// From this mark on, letters belong to an old copy and are not accepted.
    pub closed: Option<Mark>,
}

impl PersistedLetter {
    /// Converts the letter into a refusal. Keeps the text, and drops the encoded form.
    fn refused(self, reason: Reason, may_have_arrived: bool) -> PersistedRefusal {
        let letter = PersistedLetter { encoded: LetterBody::default(), ..self };
        PersistedRefusal { letter, reason, may_have_arrived }
    }
}

impl PersistedOutbox {
    fn add_sign_in(&mut self, sign_in: SignedIn) {
        self.mark = self.mark.max(sign_in.mark);
        self.sign_ins.push_back(sign_in);
        if self.sign_ins.len() > EARLIER_MARKS_MAX {
            self.sign_ins.pop_front();
        }
    }
}

impl PersistedClient {
    /// Applies a record. Returns `false`, changing nothing, if it contradicts the current state.
    pub fn apply(&mut self, record: &Record) -> bool {
        match record {
            Record::Counter(_) | Record::Pin { .. } => {}
            Record::UdpFailed { relay, at: Some(at) } => {
                self.udp_failed.insert(relay.clone(), *at);
            }
            Record::UdpFailed { relay, at: None } => {
                self.udp_failed.remove(relay);
            }
            Record::SigningIn { relay, outbox, sign_in } => self.outbox(relay, *outbox).add_sign_in(*sign_in),
            Record::OldCopy { relay, outbox } => drop(self.outbox(relay, *outbox)),
            Record::Written { relay, to, outbox, number, mark, request, text, written, encoded } => {
                let text = text.clone();
                let encoded = encoded.clone();
                let letter =
                    PersistedLetter { request: *request, text, written: *written, mark: *mark, encoded };
                self.write(relay, *outbox, to, *number, letter);
            }
            Record::Reached { relay, outbox, .. } if !self.is_of(relay, *outbox) => {}
            Record::Reached { relay, to, reach, .. } => {
                self.conversations.entry((relay.clone(), to.clone())).or_default().reach.raise(reach);
                let delivered = reach.watermarks.delivered;
                self.letters.retain(|(r, t, number), _| r != relay || t != to || *number > delivered);
            }
            Record::Refused { relay, outbox, .. } if !self.is_of(relay, *outbox) => {}
            Record::Refused { relay, to, outbox, number, reason, may_have_arrived } => {
                if let Some(letter) = self.letters.remove(&(relay.clone(), to.clone(), *number)) {
                    let key = (relay.clone(), to.clone(), *outbox, *number);
                    self.refusals.insert(key, letter.refused(*reason, *may_have_arrived));
                }
            }
            Record::RefusalShown { relay, to, outbox, number } => {
                self.refusals.remove(&(relay.clone(), to.clone(), *outbox, *number));
            }
            Record::Received { letter, after, mark } => {
                let key = (letter.relay.clone(), letter.from.clone(), letter.id.outbox);
                return self.store(key, letter.id.number, *mark, *after, cost(letter.text.len()));
            }
            Record::Declined { relay, from, id, reason, after, mark } => {
                let key = (relay.clone(), from.clone(), id.outbox);
                return self.decline(key, id.number, *mark, *after, *reason);
            }
            Record::Closed { relay, from, outbox, mark } => {
                let key = (relay.clone(), from.clone(), *outbox);
                if let Some(sender) = self.senders.get_mut(&key) {
                    sender.closed = Some(sender.closed.map_or(*mark, |closed| closed.min(*mark)));
                }
            }
            Record::Shown { relay, from, id, read } => {
                if let Some(sender) = self.senders.get_mut(&(relay.clone(), from.clone(), id.outbox))
                    && *read
                {
                    sender.read = sender.read.max(id.number);
                }
            }
        }
        true
    }

    fn write(&mut self, relay: &HostPort, outbox: OutboxId, to: &Name, number: u64, letter: PersistedLetter) {
        if !self.written_to.get(relay).is_some_and(|names| names.contains(to)) {
            self.written_to.entry(relay.clone()).or_default().insert(to.clone());
        }
        let own = self.outbox(relay, outbox);
        own.mark = own.mark.max(letter.mark);
        self.clock += 1;
        let conversation = self.conversations.entry((relay.clone(), to.clone())).or_default();
        conversation.reach.last = conversation.reach.last.max(number);
        conversation.touched = self.clock;
        self.letters.entry((relay.clone(), to.clone(), number)).or_insert(letter);
    }

    /// Returns a relay's outbox. If it replaces another one, letters waiting there are refused.
    fn outbox(&mut self, relay: &HostPort, id: OutboxId) -> &mut PersistedOutbox {
        let new_outbox = PersistedOutbox { id, ..PersistedOutbox::default() };
        let before = self.outboxes.entry(relay.clone()).or_insert_with(|| new_outbox.clone());
        if before.id != id {
            let old = std::mem::replace(before, new_outbox).id;
            self.conversations.retain(|(other, _), _| other != relay);
            let waiting = self.letters.keys().filter(|(other, ..)| other == relay).cloned();
            for key in waiting.collect::<Vec<_>>() {
                let Some(letter) = self.letters.remove(&key) else { continue };
                let refusal = letter.refused(Reason::OldCopy, true);
                self.refusals.insert((key.0, key.1, old, key.2), refusal);
            }
        }
        self.outboxes.get_mut(relay).expect("it was put there just now")
    }

    /// Whether this is the relay's outbox, as far as known.
    fn is_of(&self, relay: &HostPort, id: OutboxId) -> bool {
        self.outboxes.get(relay).is_none_or(|outbox| outbox.id == id)
    }

    fn store(
        &mut self,
        key: (HostPort, Name, OutboxId),
        number: u64,
        mark: Mark,
        after: u64,
        bytes: u64,
    ) -> bool {
        let last = self.senders.get(&key).map_or(0, |sender| sender.last);
        let follows = after == 0 || last == after || last >= number;
        if follows && last < number {
            self.clock += 1;
            *self.holdings.entry(key.0.clone()).or_default().entry(key.1.clone()).or_default() += bytes;
            let sender = self.senders.entry(key).or_default();
            sender.last = number;
            sender.mark = mark;
            sender.last_received = self.clock;
            sender.stored_bytes += bytes;
        }
        follows
    }

    fn decline(
        &mut self,
        key: (HostPort, Name, OutboxId),
        number: u64,
        mark: Mark,
        after: u64,
        reason: Reason,
    ) -> bool {
        let last = self.senders.get(&key).map_or(0, |sender| sender.last);
        let follows = after == 0 || last == after || last >= number;
        if follows && last < number {
            let (relay, from, outbox) = key.clone();
            let position = self.declined.values().map(|(position, _)| position + 1).max().unwrap_or(1);
            self.declined.insert((relay, from, outbox, number), (position, reason));
            self.declined.retain(|_, (other, _)| *other + DECLINED_PERSISTED_MAX as u64 > position);
            let sender = self.senders.entry(key.clone()).or_default();
            sender.last = number;
            sender.mark = mark;
            sender.last_received = self.clock;
            if last == 0 {
                self.forget_outboxes(&key);
            }
        }
        follows
    }

    /// Drops a sender's oldest empty outboxes beyond [`OUTBOXES_OF_ONE_MAX`], but never the given
    /// one.
    fn forget_outboxes(&mut self, (relay, from, newest): &(HostPort, Name, OutboxId)) {
        let outboxes = self.senders.iter().filter(|((r, f, _), _)| r == relay && f == from);
        let mut outboxes: Vec<_> =
            outboxes.map(|((.., outbox), row)| (row.last_received, *outbox, row.stored_bytes)).collect();
        outboxes.sort_unstable_by_key(|(at, outbox, _)| (outbox == newest, *at, *outbox));
        let beyond = outboxes.len().saturating_sub(OUTBOXES_OF_ONE_MAX);
        for (_, outbox, _) in
            outboxes.into_iter().take(beyond).filter(|(.., stored_bytes)| *stored_bytes == 0)
        {
            self.senders.remove(&(relay.clone(), from.clone(), outbox));
        }
    }
}
