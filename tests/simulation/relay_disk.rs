//! The relay's disk: the records submitted to it, and the state that the next process finds.

use std::collections::{BTreeMap, BTreeSet};

use queqiao::base::{LetterId, Mark, Name, OutboxId, Payload, PublicKey, Query, Row, SeqFilter, Wall};
use queqiao::client::Reason;
use queqiao::relay::{
    FlowNames, MailboxLetter, MembershipChange, MembershipSnapshot, PendingRefusal, PersistedFlow,
    PersistedMail, PersistedOutbox, Record, Restored, SenderLists, SessionHint, WaitingCount,
};

/// Everything except invitations and removed members.
#[derive(Clone, Default)]
pub struct RelayDisk {
    pub members: Vec<(Name, PublicKey)>,
    unused: BTreeMap<Name, u64>,
    lists: BTreeMap<Name, SenderLists>,
    /// When each member was last seen.
    pub seen: BTreeMap<Name, Wall>,
    letters: BTreeMap<u64, (Name, MailboxLetter)>,
    marks: BTreeMap<(Name, Name, u64), PersistedFlow>,
    refusals: Vec<PendingRefusal>,
    outboxes: BTreeMap<(Name, OutboxId), PersistedOutbox>,
    sessions: BTreeMap<u32, SessionHint>,
    clock: u64,
    restored: Option<Restored>,
    /// The marks of every letter that was ever refused because it waited for too long, by sender,
    /// recipient and id. Letters of several copies may have one id.
    pub expired: BTreeMap<(String, String, LetterId), BTreeSet<Mark>>,
}

impl RelayDisk {
    /// Applies a record. Returns `false` if it contradicts the current state.
    pub fn apply(&mut self, record: &Record) -> bool {
        match record {
            Record::Member { name, key, since } => {
                let taken = self.members.iter().any(|(known, owner)| known == name || owner == key);
                if taken {
                    return self.members.contains(&(name.clone(), *key));
                }
                self.members.push((name.clone(), *key));
                self.unused.insert(name.clone(), *since);
            }
            Record::Membership(change) => self.apply_membership(change),
            Record::Letters { to, letters, deliveries } => {
                deliveries.iter().for_each(|marks| self.raise_marks(marks));
                self.insert_letters(to, letters);
            }
            Record::Progress { flow, stored } => {
                stored.iter().for_each(|seq| drop(self.letters.remove(seq)));
                if let Some(flow) = flow {
                    self.raise_marks(flow);
                }
            }
            Record::Expired { seq, refusal } => {
                self.letters.remove(seq);
                if refusal.reason == Reason::Expired {
                    let key = (refusal.from.to_string(), refusal.to.to_string(), refusal.id);
                    self.expired.entry(key).or_default().insert(refusal.mark);
                }
                self.refusals.push(refusal.clone());
            }
            Record::Damaged { .. } => panic!("nothing is damaged here"),
            Record::Pruned(flows) => {
                flows.iter().for_each(|flow| self.forget_flow(flow));
            }
            Record::SignedIn { outbox, forgotten } => {
                let member = &outbox.member;
                if let Some(forgotten) = forgotten {
                    self.forget_outbox(member, *forgotten);
                }
                self.outboxes.insert((member.clone(), outbox.outbox), outbox.clone());
            }
            Record::RefusalAcknowledged(owed) => self.refusals.retain(|kept| kept != owed),
            Record::Clock(clock) => self.clock = *clock,
            Record::Sessions { hints: noted, ended } => {
                self.sessions.retain(|index, _| !ended.contains(index));
                self.sessions.extend(noted.iter().map(|note| (note.index, *note)));
            }
        }
        true
    }

    fn apply_membership(&mut self, change: &MembershipChange) {
        match change {
            MembershipChange::Used { name } => drop(self.unused.remove(name)),
            MembershipChange::Freed { name } => {
                assert!(self.unused.remove(name).is_some(), "{name} is free again, and was used");
                self.members.retain(|(known, _)| known != name);
                self.outboxes.retain(|(member, _), _| member != name);
                self.lists.remove(name);
                self.seen.remove(name);
            }
            MembershipChange::Lists { owner, lists } => {
                self.lists.insert(owner.clone(), lists.clone());
            }
            MembershipChange::Seen { name, at } => {
                self.seen.insert(name.clone(), *at);
            }
            MembershipChange::Invited(_)
            | MembershipChange::Joined { .. }
            | MembershipChange::Removed { .. } => panic!("no member is invited or removed here"),
        }
    }

    fn insert_letters(&mut self, to: &Name, letters: &[MailboxLetter]) {
        for letter in letters {
            let earlier = self.letters.insert(letter.seq, (to.clone(), letter.clone()));
            assert_eq!(earlier, None, "a place is used once");
        }
    }

    fn forget_flow(&mut self, flow: &FlowNames) {
        self.marks.remove(&(flow.from.clone(), flow.to.clone(), flow.outbox.0));
        let is_of = |owed: &PendingRefusal| {
            (&owed.from, &owed.to, owed.id.outbox) == (&flow.from, &flow.to, flow.outbox)
        };
        self.refusals.retain(|owed| !is_of(owed));
    }

    fn raise_marks(&mut self, marks: &PersistedFlow) {
        let key = (marks.from.clone(), marks.to.clone(), marks.outbox.0);
        let earlier = self.marks.insert(key, marks.clone());
        let rose = earlier.as_ref().is_none_or(|earlier| {
            let mut both = earlier.watermarks;
            both.raise(marks.watermarks);
            both == marks.watermarks && earlier.mark <= marks.mark
        });
        assert!(rose, "watermarks only rise: {earlier:?}, {marks:?}");
    }

    fn forget_outbox(&mut self, member: &Name, outbox: OutboxId) {
        self.outboxes.remove(&(member.clone(), outbox));
        self.marks.retain(|(from, _, of), _| from != member || *of != outbox.0);
        self.refusals.retain(|owed| owed.from != *member || owed.id.outbox != outbox);
    }

    pub fn load(&self, query: &Query) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        let after = if let SeqFilter::After(after) = query.filter { after } else { 0 };
        let asked =
            |place| if let SeqFilter::At(places) = &query.filter { places.contains(place) } else { true };
        for (place, (to, letter)) in self.letters.range(after + 1..).filter(|(place, _)| asked(place)) {
            if query.owner.as_ref().is_none_or(|owner| owner == to) && bytes < query.bytes_max {
                let message = letter.message.to_vec();
                bytes += message.len();
                rows.push(Row {
                    owner: to.clone(),
                    seq: *place,
                    stored_at: letter.stored_at,
                    payload: Payload::Intact(message),
                });
            }
        }
        rows
    }

    /// Returns the state that a process finds when it starts.
    pub fn mail(&self) -> PersistedMail {
        let mut waiting = BTreeMap::<_, WaitingCount>::new();
        for (to, letter) in self.letters.values() {
            let key = (to.clone(), letter.from.clone(), letter.id.outbox);
            let (to, from, outbox) = key.clone();
            let last_number = 0;
            let last_since = 0;
            let last_mark = letter.mark;
            let none =
                WaitingCount { to, from, outbox, letters: 0, bytes: 0, last_number, last_since, last_mark };
            let flow = waiting.entry(key).or_insert(none);
            flow.last_mark = flow.last_mark.max(letter.mark);
            flow.letters += 1;
            flow.bytes += letter.len as usize;
            flow.last_number = flow.last_number.max(letter.id.number);
            flow.last_since = flow.last_since.max(letter.stored_at);
        }
        PersistedMail {
            clock: self.clock,
            last_seq: self.letters.keys().last().copied().unwrap_or(0),
            waiting: waiting.into_values().collect(),
            flows: self.marks.values().cloned().collect(),
            refusals: self.refusals.clone(),
            outboxes: self.outboxes.values().cloned().collect(),
            sessions: self.sessions.values().copied().collect(),
            restored: self.restored,
        }
    }

    /// Returns the disk of a relay that was restored from this one, as `missing_since` tells.
    pub fn restored(&self, missing_since: Wall) -> RelayDisk {
        let PersistedMail { clock, last_seq, .. } = self.mail();
        let restored = Some(Restored::new(missing_since, clock, last_seq));
        RelayDisk { restored, sessions: BTreeMap::new(), ..self.clone() }
    }

    /// Returns the lists of the members and the unused names.
    pub fn roll(&self) -> MembershipSnapshot {
        let unused = self.unused.iter().map(|(name, since)| (name.clone(), *since)).collect();
        let lists = self.lists.iter().map(|(owner, lists)| (owner.clone(), lists.clone())).collect();
        MembershipSnapshot { unused, lists, ..MembershipSnapshot::default() }
    }

    /// Returns how many sessions have noted addresses.
    pub fn noted(&self) -> usize {
        self.sessions.len()
    }

    /// Whether a letter waits, or its refusal must still be sent to its sender.
    pub fn answers_for(&self, to: &str, id: LetterId) -> bool {
        let waits = |(owner, letter): &(Name, MailboxLetter)| letter.id == id && owner.as_str() == to;
        let owed = |owed: &PendingRefusal| owed.id == id && owed.to.as_str() == to;
        self.letters.values().any(waits) || self.refusals.iter().any(owed)
    }

    /// Returns how many letters wait.
    pub fn len(&self) -> usize {
        self.letters.len()
    }
}
