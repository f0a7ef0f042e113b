//! What a client finds again after its process has ended: what its records add up to.
//!
//! [`Kept::apply`] says what each record means; a store that keeps them must load the same.

use std::collections::BTreeMap;

use crate::base::{HostPort, Name, OutboxId, Wall};

use crate::wire::letter::Made;
use crate::wire::message::Reason;

use super::api::Record;
use super::strangers::{Holdings, cost};

/// Outboxes of one sender that are remembered: one for each machine it ever wrote from. Above it
/// that sender's own are forgotten, so that no member makes this one forget what another has sent.
pub const OUTBOXES_OF_ONE_MAX: usize = 64;
/// Letters of all relays that were refused here and are remembered: as many as four relays have
/// under way ([`crate::wire::limits::REFUSALS_REMEMBERED`]).
pub const DECLINED_KEPT_MAX: usize = 4_096;

/// Everything the client's core begins with. Bounded by the outbox's limits, and by what the store loads of the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How far each conversation has come, for each relay and recipient.
    pub conversations: BTreeMap<(HostPort, Name), KeptConversation>,
    /// Letters that were neither delivered nor refused, for each relay, recipient and number.
    pub letters: BTreeMap<(HostPort, Name, u64), KeptLetter>,
    /// Letters that were refused, of which the user was not told yet.
    pub refusals: BTreeMap<(HostPort, Name, u64), KeptRefusal>,
    /// For each relay, sender and outbox, how far its letters have come here.
    pub senders: BTreeMap<(HostPort, Name, OutboxId), KeptSender>,
    /// Letters that were refused here, by relay, sender, outbox and number: the last
    /// [`DECLINED_KEPT_MAX`], each with its place among all and why.
    pub declined: BTreeMap<(HostPort, Name, OutboxId, u64), (u64, Reason)>,
    /// Bytes kept of each sender.
    pub held: Holdings,
    /// Relays that UDP did not get through to, and when.
    pub udp_failed: BTreeMap<HostPort, Wall>,
    /// Numbers up to this one may have been used for recipients that are not in `conversations`.
    pub number_floor: u64,
    /// Letters ever written down, in and out.
    pub clock: u64,
}

/// One conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptConversation {
    /// How far it has come.
    pub reach: Reach,
    /// What [`Kept::clock`] was when it was last written to.
    pub touched: u64,
}

/// How far one conversation has come: numbers of letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The last number given out; none is ever given out again.
    pub last: u64,
    /// The last letter that was delivered, 0 if none was: what the next one's `prev` begins with.
    pub taken: u64,
    /// The relay answers for all up to this one that were not refused.
    pub accepted: u64,
    /// The recipient has them.
    pub delivered: u64,
    /// The recipient has read them.
    pub read: u64,
    /// When the last accepted one leaves the mailbox undelivered; 0 if it waits in none.
    pub until: Wall,
}

impl Reach {
    /// Takes over every watermark that is higher.
    pub fn raise(&mut self, other: &Reach) {
        self.last = self.last.max(other.last);
        self.taken = self.taken.max(other.taken);
        self.accepted = self.accepted.max(other.accepted);
        self.delivered = self.delivered.max(other.delivered);
        self.read = self.read.max(other.read);
        self.until = other.until;
    }
}

/// A letter that waits for its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLetter {
    /// The command's number.
    pub request: u64,
    /// What it says.
    pub text: String,
    /// When it was written.
    pub written: Wall,
    /// Kind and body as they were first sent; empty once it is refused.
    pub made: Made,
}

/// A refused letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRefusal {
    /// The letter.
    pub letter: KeptLetter,
    /// Why.
    pub reason: Reason,
    /// It may have arrived all the same.
    pub may_have_arrived: bool,
}

/// One outbox of one sender, as its recipient knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptSender {
    /// The last letter stored.
    pub last: u64,
    /// The last letter the reader has seen, as far as the sender may know it.
    pub read: u64,
    /// What [`Kept::clock`] was when it was last heard of.
    pub heard: u64,
    /// Bytes kept of its letters.
    pub held: u64,
}

impl Kept {
    /// What is kept once this record is; `false` if the record contradicts what is kept, which then stays as it is.
    pub fn apply(&mut self, record: &Record) -> bool {
        match record {
            Record::Counter(_) | Record::Pin { .. } => {}
            Record::UdpFailed { relay, at: Some(at) } => {
                self.udp_failed.insert(relay.clone(), *at);
            }
            Record::UdpFailed { relay, at: None } => {
                self.udp_failed.remove(relay);
            }
            Record::Written { relay, to, number, request, text, written, made } => {
                let talk = (relay.clone(), to.clone());
                self.clock += 1;
                let conversation = self.conversations.entry(talk).or_default();
                conversation.reach.last = conversation.reach.last.max(*number);
                conversation.touched = self.clock;
                let (text, made) = (text.clone(), made.clone());
                let letter = KeptLetter { request: *request, text, written: *written, made };
                self.letters.entry((relay.clone(), to.clone(), *number)).or_insert(letter);
            }
            Record::Reached { relay, to, reach } => {
                self.conversations.entry((relay.clone(), to.clone())).or_default().reach.raise(reach);
                let delivered = reach.delivered;
                self.letters.retain(|(r, t, number), _| r != relay || t != to || *number > delivered);
            }
            Record::Refused { relay, to, number, reason, may_have_arrived } => {
                let key = (relay.clone(), to.clone(), *number);
                if let Some(mut letter) = self.letters.remove(&key) {
                    letter.made = Made::default();
                    let (reason, may_have_arrived) = (*reason, *may_have_arrived);
                    self.refusals.insert(key, KeptRefusal { letter, reason, may_have_arrived });
                }
            }
            Record::Told { relay, to, number } => {
                self.refusals.remove(&(relay.clone(), to.clone(), *number));
            }
            Record::Received { letter, after } => {
                let key = (letter.relay.clone(), letter.from.clone(), letter.id.outbox);
                return self.store(key, letter.id.number, *after, cost(letter.text.len()));
            }
            Record::Declined { relay, from, id, reason, after } => {
                let key = (relay.clone(), from.clone(), id.outbox);
                return self.decline(key, id.number, *after, *reason);
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

    fn store(&mut self, key: (HostPort, Name, OutboxId), number: u64, after: u64, bytes: u64) -> bool {
        let last = self.senders.get(&key).map_or(0, |sender| sender.last);
        let follows = after == 0 || last == after || last >= number;
        if follows && last < number {
            self.clock += 1;
            *self.held.entry(key.0.clone()).or_default().entry(key.1.clone()).or_default() += bytes;
            let sender = self.senders.entry(key).or_default();
            (sender.last, sender.heard) = (number, self.clock);
            sender.held += bytes;
        }
        follows
    }

    fn decline(&mut self, key: (HostPort, Name, OutboxId), number: u64, after: u64, reason: Reason) -> bool {
        let last = self.senders.get(&key).map_or(0, |sender| sender.last);
        let follows = after == 0 || last == after || last >= number;
        if follows && last < number {
            let (relay, from, outbox) = key.clone();
            let place = self.declined.values().map(|(place, _)| place + 1).max().unwrap_or(1);
            self.declined.insert((relay, from, outbox, number), (place, reason));
            self.declined.retain(|_, (other, _)| *other + DECLINED_KEPT_MAX as u64 > place);
            let sender = self.senders.entry(key.clone()).or_default();
            (sender.last, sender.heard) = (number, self.clock);
            if last == 0 {
                self.forget_outboxes(&key);
            }
        }
        follows
    }

    /// Forgets the outboxes of a sender above [`OUTBOXES_OF_ONE_MAX`] of which nothing is kept;
    /// never the one that was just heard of.
    fn forget_outboxes(&mut self, (relay, from, heard): &(HostPort, Name, OutboxId)) {
        let theirs = self.senders.iter().filter(|((r, f, _), _)| r == relay && f == from);
        let mut theirs: Vec<_> = theirs.map(|((.., outbox), row)| (row.heard, *outbox, row.held)).collect();
        theirs.sort_unstable_by_key(|(at, outbox, _)| (outbox == heard, *at, *outbox));
        let beyond = theirs.len().saturating_sub(OUTBOXES_OF_ONE_MAX);
        for (_, outbox, _) in theirs.into_iter().take(beyond).filter(|(.., held)| *held == 0) {
            self.senders.remove(&(relay.clone(), from.clone(), outbox));
        }
    }
}
