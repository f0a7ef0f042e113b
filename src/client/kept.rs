//! What a client finds again after its process has ended: what its records add up to.
//!
//! [`Kept::apply`] says what each record means; a store that keeps them must load the same.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, Mark, Name, OutboxId, Wall};

use crate::wire::letter::Made;
use crate::wire::message::{EARLIER_MAX, Reason, Said as SignedIn};

use super::api::Record;
use super::strangers::{Contacts, Holdings, cost};

/// Outboxes of one sender that are remembered: one for each machine it ever wrote from. Above it
/// that sender's own are forgotten, so that no member makes this one forget what another has sent.
pub const OUTBOXES_OF_ONE_MAX: usize = 64;
/// Letters of all relays that were refused here and are remembered: as many as four relays have
/// under way ([`crate::wire::limits::REFUSALS_REMEMBERED`]).
pub const DECLINED_KEPT_MAX: usize = 4_096;

/// Everything the client's core begins with. Bounded by the outbox's limits, and by what the store loads of the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The outbox of each relay that letters were written to or that was signed in at; another one
    /// than [`Kept::letters`] and [`Kept::conversations`] are of is never there.
    pub outboxes: BTreeMap<HostPort, KeptOutbox>,
    /// How far each conversation has come, for each relay and recipient.
    pub conversations: BTreeMap<(HostPort, Name), KeptConversation>,
    /// Members who were written to, by relay, whatever the outbox.
    pub written_to: Contacts,
    /// Letters that were neither delivered nor refused, for each relay, recipient and number.
    pub letters: BTreeMap<(HostPort, Name, u64), KeptLetter>,
    /// Letters that were refused, of which the user was not told yet, with their outbox.
    pub refusals: BTreeMap<(HostPort, Name, OutboxId, u64), KeptRefusal>,
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

/// The outbox of letters that go through one relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptOutbox {
    /// The outbox.
    pub id: OutboxId,
    /// The highest mark that letters were numbered under or that was said.
    pub mark: Mark,
    /// What the last sign-ins said, the oldest first, at most [`EARLIER_MAX`].
    pub said: VecDeque<SignedIn>,
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
    /// The mark under which it was numbered.
    pub mark: Mark,
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
    /// The mark under which the last letter was numbered.
    pub mark: Mark,
    /// Letters from this mark on are an old copy's, and are not taken.
    pub closed: Option<Mark>,
}

impl KeptLetter {
    /// Of a refused letter the text is kept, and not what was sent.
    fn refused(self, reason: Reason, may_have_arrived: bool) -> KeptRefusal {
        let letter = KeptLetter { made: Made::default(), ..self };
        KeptRefusal { letter, reason, may_have_arrived }
    }
}

impl KeptOutbox {
    fn say(&mut self, said: SignedIn) {
        self.mark = self.mark.max(said.mark);
        self.said.push_back(said);
        if self.said.len() > EARLIER_MAX {
            self.said.pop_front();
        }
    }
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
            Record::SigningIn { relay, outbox, said } => self.outbox(relay, *outbox).say(*said),
            Record::OldCopy { relay, outbox } => drop(self.outbox(relay, *outbox)),
            Record::Written { relay, to, outbox, number, mark, request, text, written, made } => {
                let (text, made) = (text.clone(), made.clone());
                let letter = KeptLetter { request: *request, text, written: *written, mark: *mark, made };
                self.write((relay, *outbox), (to, *number), letter);
            }
            Record::Reached { relay, outbox, .. } if !self.is_of(relay, *outbox) => {}
            Record::Reached { relay, to, reach, .. } => {
                self.conversations.entry((relay.clone(), to.clone())).or_default().reach.raise(reach);
                let delivered = reach.delivered;
                self.letters.retain(|(r, t, number), _| r != relay || t != to || *number > delivered);
            }
            Record::Refused { relay, outbox, .. } if !self.is_of(relay, *outbox) => {}
            Record::Refused { relay, to, outbox, number, reason, may_have_arrived } => {
                if let Some(letter) = self.letters.remove(&(relay.clone(), to.clone(), *number)) {
                    let key = (relay.clone(), to.clone(), *outbox, *number);
                    self.refusals.insert(key, letter.refused(*reason, *may_have_arrived));
                }
            }
            Record::Told { relay, to, outbox, number } => {
                self.refusals.remove(&(relay.clone(), to.clone(), *outbox, *number));
            }
            Record::Received { letter, after, mark } => {
                let key = (letter.relay.clone(), letter.from.clone(), letter.id.outbox);
                return self.store(key, (letter.id.number, *mark), *after, cost(letter.text.len()));
            }
            Record::Declined { relay, from, id, reason, after, mark } => {
                let key = (relay.clone(), from.clone(), id.outbox);
                return self.decline(key, (id.number, *mark), *after, *reason);
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

    fn write(
        &mut self,
        (relay, outbox): (&HostPort, OutboxId),
        (to, number): (&Name, u64),
        letter: KeptLetter,
    ) {
        if !self.written_to.get(relay).is_some_and(|names| names.contains(to)) {
            self.written_to.entry(relay.clone()).or_default().insert(to.clone());
        }
        let kept = self.outbox(relay, outbox);
        kept.mark = kept.mark.max(letter.mark);
        self.clock += 1;
        let conversation = self.conversations.entry((relay.clone(), to.clone())).or_default();
        conversation.reach.last = conversation.reach.last.max(number);
        conversation.touched = self.clock;
        self.letters.entry((relay.clone(), to.clone(), number)).or_insert(letter);
    }

    /// The outbox of a relay. If that was another one, the letters that wait in it are refused.
    fn outbox(&mut self, relay: &HostPort, id: OutboxId) -> &mut KeptOutbox {
        let fresh = KeptOutbox { id, ..KeptOutbox::default() };
        let before = self.outboxes.entry(relay.clone()).or_insert_with(|| fresh.clone());
        if before.id != id {
            let old = std::mem::replace(before, fresh).id;
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

    /// Whether this is the outbox of the relay, as far as it is known.
    fn is_of(&self, relay: &HostPort, id: OutboxId) -> bool {
        self.outboxes.get(relay).is_none_or(|outbox| outbox.id == id)
    }

    fn store(
        &mut self,
        key: (HostPort, Name, OutboxId),
        (number, mark): (u64, Mark),
        after: u64,
        bytes: u64,
    ) -> bool {
        let last = self.senders.get(&key).map_or(0, |sender| sender.last);
        let follows = after == 0 || last == after || last >= number;
        if follows && last < number {
            self.clock += 1;
            *self.held.entry(key.0.clone()).or_default().entry(key.1.clone()).or_default() += bytes;
            let sender = self.senders.entry(key).or_default();
            (sender.last, sender.mark, sender.heard) = (number, mark, self.clock);
            sender.held += bytes;
        }
        follows
    }

    fn decline(
        &mut self,
        key: (HostPort, Name, OutboxId),
        (number, mark): (u64, Mark),
        after: u64,
        reason: Reason,
    ) -> bool {
        let last = self.senders.get(&key).map_or(0, |sender| sender.last);
        let follows = after == 0 || last == after || last >= number;
        if follows && last < number {
            let (relay, from, outbox) = key.clone();
            let place = self.declined.values().map(|(place, _)| place + 1).max().unwrap_or(1);
            self.declined.insert((relay, from, outbox, number), (place, reason));
            self.declined.retain(|_, (other, _)| *other + DECLINED_KEPT_MAX as u64 > place);
            let sender = self.senders.entry(key.clone()).or_default();
            (sender.last, sender.mark, sender.heard) = (number, mark, self.clock);
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
