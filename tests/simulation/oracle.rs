//! Rules for letters: each ends once and is shown at most once, in its sender's order and
//! unchanged.

use std::collections::{BTreeMap, BTreeSet};

use queqiao::base::{LetterId, Mark, Name, OutboxId};
use queqiao::client::{Event, Incoming, Progress};
use queqiao::wire::message::Reason;

use super::coverage::{Count, Coverage};
use super::relay_disk::RelayDisk;

/// How a letter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterEnd {
    Delivered,
    Refused {
        reason: Reason,
        may_have_arrived: bool,
    },
    /// The disk did not take it, and its sender has the text back.
    GivenBack,
    /// The sender's process was killed before it reported the letter as queued.
    Forgotten,
}

#[derive(Clone, Debug)]
pub struct LetterFate {
    pub sender: usize,
    pub to: String,
    /// Its outbox at its relay, and its number there among the letters to that recipient, once
    /// assigned.
    pub outbox: u64,
    pub number: u64,
    /// The mark under which it was numbered.
    pub mark: Mark,
    pub text: String,
    /// It is durable at its sender.
    written: bool,
    queued: bool,
    pub accepted: bool,
    pub end: Option<LetterEnd>,
    /// Its sender has received the relay's refusal. A copy of the sender's folder may not know
    /// that, but the relay has kept its promise.
    refusal_shown: bool,
    /// How often its recipient showed it.
    pub shown: u32,
    stored: Stored,
    /// Its refusal is durable at its recipient.
    pub declined: bool,
    /// The sender's process was killed since: reports may be repeated.
    pub sender_was_killed: bool,
}

/// Whether a letter is durable at its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Never,
    Yes,
    /// It was. Then the recipient's folder was replaced by an earlier copy, which lacks it and may
    /// refuse it.
    BeforeRestore,
}

impl LetterFate {
    /// Returns a copy with only the beginning of a long text, for messages of failed tests.
    pub fn in_short(&self) -> LetterFate {
        LetterFate { text: self.text.chars().take(20).collect(), ..self.clone() }
    }
}

#[derive(Default)]
pub struct Oracle {
    /// By request number. Requests count up over the whole simulation.
    pub letters: BTreeMap<u64, LetterFate>,
    /// Requests by outbox, recipient, and number: more than one where a folder was replaced by an
    /// earlier copy.
    pub(super) by_number: BTreeMap<(u64, String, u64), Vec<u64>>,
    /// The request that each client has stored, by outbox and number.
    stored_as: BTreeMap<(usize, u64, u64), u64>,
    /// The last number that each client showed, by outbox.
    pub(super) last_shown: BTreeMap<(usize, u64), u64>,
    /// The last number that each client stored, by outbox.
    pub(super) last_stored: BTreeMap<(usize, u64), u64>,
    /// Clients whose folders were replaced by earlier copies.
    pub restored_clients: BTreeSet<usize>,
    pub names: Vec<String>,
    /// Owner of each outbox.
    pub outboxes: BTreeMap<u64, usize>,
    pub echoes_shown: u64,
    /// Members that receive no promise, and whose letters may say anything.
    pub untrusted: BTreeSet<String>,
    /// Senders, and the members that block them: their letters may be refused.
    pub blocked: BTreeSet<(String, String)>,
    /// Names of clients that were killed. Letters stored and not shown are left for the next
    /// `listen` or `chat`, and the simulation has no such frontend.
    killed_names: BTreeSet<String>,
    /// Letters that no recipient can understand.
    pub unsupported: BTreeSet<u64>,
    /// Letters that their recipient has skipped: each was refused, or will be.
    pub(super) skipped: BTreeSet<u64>,
    /// Sender and recipient of each letter, however it came into the outbox.
    pairs_written: BTreeSet<(String, String)>,
}

impl LetterFate {
    pub(super) const fn is_stored(&self) -> bool {
        !matches!(self.stored, Stored::Never)
    }
}

impl Oracle {
    pub fn record_send(&mut self, sender: usize, request: u64, to: &str, text: &str) {
        let to = to.to_owned();
        let text = text.to_owned();
        self.pairs_written.insert((self.names[sender].clone(), to.clone()));
        let fate = LetterFate {
            sender,
            to,
            outbox: 0,
            number: 0,
            mark: Mark(0),
            text,
            written: false,
            queued: false,
            accepted: false,
            end: None,
            refusal_shown: false,
            shown: 0,
            stored: Stored::Never,
            declined: false,
            sender_was_killed: false,
        };
        assert!(self.letters.insert(request, fate).is_none(), "a request number is used once");
    }

    /// Whether a machine of this member has written to `to`.
    pub fn has_written(&self, from: &str, to: &str) -> bool {
        self.pairs_written.contains(&(from.to_owned(), to.to_owned()))
    }

    /// Records that a client numbers a letter and submits its record.
    pub fn record_number(&mut self, request: u64, id: LetterId, mark: Mark) {
        let fate = self.letters.get_mut(&request).expect("a letter that was sent");
        fate.outbox = id.outbox.0;
        fate.number = id.number;
        fate.mark = mark;
        let sender = fate.sender;
        let key = (id.outbox.0, fate.to.clone(), id.number);
        let others = self.by_number.entry(key).or_default();
        for other in others.iter() {
            let other_fate = &self.letters[other];
            let never_left = matches!(other_fate.end, Some(LetterEnd::Forgotten | LetterEnd::GivenBack));
            let is_of_copies = self.restored_clients.contains(&sender);
            assert!(never_left || is_of_copies, "letters {other} and {request} have the same number");
        }
        others.push(request);
    }

    /// Records that a letter is durable at its sender.
    pub fn record_written(&mut self, request: u64) {
        self.letters.get_mut(&request).expect("a letter that was sent").written = true;
    }

    /// Records that a letter is durable at its recipient. `is_new`: it was not before.
    pub fn record_stored(
        &mut self,
        client: usize,
        letter: &Incoming,
        mark: Mark,
        is_new: bool,
        disk: &RelayDisk,
    ) {
        let by_a_member = letter.from.as_str() != "echo" && letter.from.guest_address().is_none();
        if !by_a_member || self.untrusted.contains(letter.from.as_str()) {
            return;
        }
        let request = self.request_of(client, &letter.from, letter.id, mark, Some(&letter.text));
        let alone = self.has_one_machine(client);
        if is_new {
            self.stored_as.insert((client, letter.id.outbox.0, letter.id.number), request);
            self.check_gap(client, request, letter, disk);
        }
        let fate = self.letters.get_mut(&request).expect("it was found by its number");
        assert!(fate.written, "letter {request} arrived, and was in no outbox");
        assert!(
            !self.unsupported.contains(&request),
            "letter {request} was stored, and cannot be understood"
        );
        let was_put_back = self.restored_clients.contains(&client);
        assert!(!alone || !fate.declined || was_put_back, "letter {request} was refused, and then stored");
        if is_new {
            let last = self.last_stored.entry((client, fate.outbox)).or_default();
            let number = letter.id.number;
            assert!(
                number > *last,
                "letter {request} ({number} of {:016x}) was stored by {client} after number {last}",
                fate.outbox
            );
            *last = number;
        }
        fate.stored = Stored::Yes;
    }

    /// Checks that each accepted letter is stored by its recipient or on the relay's disk.
    pub fn check_accepted(&self, disk: &RelayDisk) {
        for (request, fate) in self.letters.iter().filter(|(_, fate)| fate.accepted && !fate.is_stored()) {
            self.check_one(*request, fate, disk);
        }
    }

    fn check_one(&self, request: u64, fate: &LetterFate, disk: &RelayDisk) {
        let over = matches!(fate.end, Some(LetterEnd::Refused { .. }))
            || fate.to == "echo"
            || fate.to.starts_with("guest-")
            || fate.is_stored()
            || fate.refusal_shown
            || self.untrusted.contains(&fate.to);
        let id = LetterId { outbox: OutboxId(fate.outbox), number: fate.number };
        let safe = over || disk.answers_for(&fate.to, id);
        assert!(
            safe,
            "letter {request} to {} was accepted, and neither its recipient nor the relay's disk has it",
            fate.to
        );
    }

    /// Records that a client's folder is replaced by an earlier copy, which has the letters of each
    /// outbox up to `last`.
    pub(super) fn record_stored_lost(&mut self, client: usize, last: impl Fn(OutboxId) -> u64) {
        let stored = self.stored_as.range((client, 0, 0)..(client + 1, 0, 0));
        for (_, request) in stored.filter(|((_, outbox, number), _)| *number > last(OutboxId(*outbox))) {
            let fate = self.letters.get_mut(request).expect("a letter that was sent");
            fate.stored = Stored::BeforeRestore;
        }
    }

    /// Records that the relay's disk is replaced by an earlier one. Letters that it does not have
    /// are no longer accepted. Returns how many of them their recipients lack too.
    pub fn forget_lost(&mut self, disk: &RelayDisk) -> usize {
        let mut lost = 0;
        for fate in self.letters.values_mut().filter(|fate| fate.accepted && fate.end.is_none()) {
            let id = LetterId { outbox: OutboxId(fate.outbox), number: fate.number };
            if !disk.answers_for(&fate.to, id) {
                fate.accepted = false;
                lost += usize::from(!fate.is_stored());
            }
        }
        lost
    }

    /// Records that a client's process is killed. `kept`: whether the letter of a request is on its
    /// disk.
    pub fn record_kill(&mut self, sender: usize, kept: impl Fn(u64) -> bool) {
        self.killed_names.insert(self.names[sender].clone());
        for (request, fate) in self.letters.iter_mut().filter(|(_, fate)| fate.sender == sender) {
            fate.sender_was_killed = true;
            if fate.end.is_none() && !kept(*request) {
                assert!(!fate.queued, "letter {request} was in the outbox and is lost");
                fate.end = Some(LetterEnd::Forgotten);
            }
        }
    }

    /// Returns the request of a letter that `who` received.
    ///
    /// Two copies of a folder may have used one number twice: the mark and the text, if known, tell
    /// the letters apart.
    pub(super) fn request_of(
        &self,
        client: usize,
        from: &Name,
        id: LetterId,
        mark: Mark,
        text: Option<&str>,
    ) -> u64 {
        let sender = *self.outboxes.get(&id.outbox.0).expect("a known outbox");
        assert_eq!(self.names[sender], from.as_str(), "the sender is the session's identity");
        let key = (id.outbox.0, self.names[client].clone(), id.number);
        let mut requests = self.by_number.get(&key).into_iter().flatten().rev().copied();
        let is_it = |fate: &LetterFate| fate.mark == mark && text.is_none_or(|text| fate.text == *text);
        let request = requests.find(|request| is_it(&self.letters[request]));
        request.unwrap_or_else(|| panic!("no member sent {id:?} under {mark:?}"))
    }

    /// Returns the requests of all letters that were given this ID.
    pub(super) fn requests_named(&self, id: LetterId, to: &str) -> impl Iterator<Item = u64> + '_ {
        self.by_number.get(&(id.outbox.0, to.to_owned(), id.number)).into_iter().flatten().copied()
    }

    /// Handles an event that a client shows.
    pub fn check_event(&mut self, client: usize, event: &Event, disk: &RelayDisk, coverage: &mut Coverage) {
        match event {
            Event::Letter(letter) => self.check_shown(client, letter, coverage),
            Event::Progress { request, id, progress, .. } => {
                self.check_progress(client, *request, *id, *progress);
                let fate = &self.letters[request];
                if *progress == Progress::Accepted {
                    self.check_one(*request, fate, disk);
                }
            }
            Event::Refused { .. } => self.check_refused(client, event, disk, coverage),
            Event::Unkept { request, text, .. } => {
                let fate = self.letters.get_mut(request).expect("an event about a letter that was sent");
                assert!(fate.end.is_none() && !fate.queued && fate.text == *text, "{fate:?}");
                fate.end = Some(LetterEnd::GivenBack);
                coverage.add(Count::GivenBack);
            }
            Event::Unreadable { from, .. } if self.untrusted.contains(from.as_str()) => {}
            Event::Unreadable { from, id, .. } => {
                assert_eq!(self.names[self.outboxes[&id.outbox.0]], from.as_str(), "{id:?}");
                let mut named = self.requests_named(*id, &self.names[client]);
                let is_unsupported = named.any(|request| self.unsupported.contains(&request));
                assert!(is_unsupported, "it can be understood: {id:?}");
            }
            _ => {}
        }
        if let Event::Progress { progress: Progress::Delivered, .. } = event {
            coverage.add(Count::LettersDelivered);
        }
    }

    /// Handles a refusal that a client shows for a letter it sent.
    fn check_refused(&mut self, client: usize, event: &Event, disk: &RelayDisk, coverage: &mut Coverage) {
        let Event::Refused { request, reason, may_have_arrived, text, id, .. } = event else {
            unreachable!("it is one")
        };
        let fate = self.letters.get_mut(request).expect("an event about a letter that was sent");
        assert_eq!(fate.sender, client, "an event about another client's letter");
        assert_eq!(fate.number, id.number, "the letter that was sent");
        let again = fate.sender_was_killed && (*may_have_arrived || fate.end != Some(LetterEnd::Delivered));
        assert!(again || fate.end.is_none(), "letter {request} ended twice: {:?}, refused", fate.end);
        assert_eq!(&fate.text, text, "a refusal gives the text back");
        assert!(*may_have_arrived || fate.stored != Stored::Yes, "letter {request} arrived, and was refused");
        let is_untrusted = self.untrusted.contains(&fate.to);
        let is_old_copy = *reason == Reason::OldCopy;
        assert!(
            !is_old_copy || is_untrusted || self.restored_clients.contains(&client),
            "no folder of {client} was replaced"
        );
        assert!(!is_old_copy || *may_have_arrived, "letter {request} may have arrived");
        let is_unsupported = self.unsupported.contains(request);
        let by_recipient = [Reason::Full, Reason::Unsupported].contains(reason) && fate.declined;
        let late = is_old_copy || *reason == Reason::Expired || by_recipient;
        assert!(
            again || is_untrusted || !fate.accepted || late,
            "an accepted letter is refused only when it is too old, or by its recipient"
        );
        coverage.add_many(Count::RefusedByReader, by_recipient.into());
        fate.end = Some(LetterEnd::Refused { reason: *reason, may_have_arrived: *may_have_arrived });
        fate.refusal_shown |= !is_old_copy;
        coverage.add(Count::RefusalsTold);
        coverage.add_many(Count::MayHaveArrived, (*may_have_arrived).into());
        match reason {
            Reason::Unknown => coverage.add(Count::RefusedUnknown),
            Reason::Full => coverage.add(Count::RefusedFull),
            Reason::TooLong => coverage.add(Count::RefusedTooLong),
            Reason::Expired => {
                let id = LetterId { outbox: id.outbox, number: fate.number };
                let sender = self.names[client].clone();
                let expired = disk.expired.get(&(sender, fate.to.clone(), id));
                let did = expired.is_some_and(|marks| marks.contains(&fate.mark));
                assert!(did, "letter {request} is not too old");
                coverage.add(Count::RefusedExpired);
            }
            _ if is_untrusted => {}
            Reason::OldCopy => coverage.add(Count::RefusedOldCopy),
            Reason::Unsupported => {
                assert!(is_unsupported, "letter {request} can be understood");
                coverage.add(Count::RefusedUnsupported);
            }
            Reason::Blocked if self.blocked.contains(&(self.names[client].clone(), fate.to.clone())) => {}
            Reason::Blocked | Reason::Behind | Reason::Damaged | Reason::Other(_) => {
                panic!(
                    "no relay refuses for this reason, no such block exists, and no data is damaged: {reason:?}"
                )
            }
        }
    }

    fn check_progress(&mut self, client: usize, request: u64, id: LetterId, progress: Progress) {
        let earlier = self.earlier_open(request);
        let killed = self.letters.get(&request).is_some_and(|fate| self.killed_names.contains(&fate.to));
        let is_untrusted = self.letters.get(&request).is_some_and(|fate| self.untrusted.contains(&fate.to));
        let is_unsupported = self.unsupported.contains(&request);
        let put_back = self.restored_clients.contains(&client);
        let fate = self.letter_fate(client, request, id);
        match progress {
            Progress::Queued => {
                assert!(!fate.queued && fate.end.is_none(), "letter {request} was queued twice");
                fate.queued = true;
            }
            Progress::Accepted => {
                let first = !fate.accepted && fate.end.is_none();
                assert!(fate.sender_was_killed || first, "letter {request} was accepted twice: {fate:?}");
                fate.accepted = true;
            }
            Progress::Waiting { .. } => {
                assert!(fate.accepted, "letter {request} waits, and was not accepted");
            }
            Progress::Delivered => {
                let unwatched = is_untrusted || fate.to == "echo";
                assert!(
                    unwatched || fate.is_stored(),
                    "letter {request} was delivered and is not at its recipient"
                );
                // A copy from before the refusal sends the letter again.
                let sent_by_copy = put_back && matches!(fate.end, Some(LetterEnd::Refused { .. }));
                let again =
                    fate.sender_was_killed && (sent_by_copy || fate.end == Some(LetterEnd::Delivered));
                assert!(again || fate.end.is_none(), "letter {request} ended twice: {:?}", fate.end);
                fate.end = Some(LetterEnd::Delivered);
                assert!(
                    is_untrusted || !is_unsupported,
                    "letter {request} was delivered, and cannot be understood"
                );
                assert_eq!(earlier, None, "letter {request} was delivered before an earlier one had ended");
            }
            Progress::Read => {
                let left_for_later = fate.is_stored() && killed;
                assert!(
                    is_untrusted || fate.shown > 0 || left_for_later,
                    "letter {request} was read, and was not shown"
                );
                assert_eq!(
                    fate.end,
                    Some(LetterEnd::Delivered),
                    "letter {request} was read before it was delivered"
                );
            }
        }
    }

    /// Returns an earlier letter of the same conversation that has not ended.
    fn earlier_open(&self, request: u64) -> Option<u64> {
        let fate = &self.letters[&request];
        let id = LetterId { outbox: OutboxId(fate.outbox), number: fate.number.checked_sub(1)? };
        self.requests_named(id, &fate.to)
            .find(|before| *before < request && self.letters[before].end.is_none())
    }

    fn letter_fate(&mut self, client: usize, request: u64, id: LetterId) -> &mut LetterFate {
        let fate = self.letters.get_mut(&request).expect("an event about a letter that was sent");
        assert_eq!(fate.sender, client, "an event about another client's letter");
        assert_eq!(fate.number, id.number, "letter {request} has another number");
        fate
    }

    fn check_shown(&mut self, client: usize, letter: &Incoming, coverage: &mut Coverage) {
        if self.untrusted.contains(letter.from.as_str()) {
            return coverage.add(Count::LettersOfLiars);
        }
        coverage.add(Count::LettersShown);
        let machines = self.names.iter().filter(|name| **name == self.names[client]).count();
        let is_reported = letter.missing > 0 && machines == 1 && letter.from.as_str() != "echo";
        coverage.add_many(Count::MissingShown, is_reported.into());
        if letter.from.as_str() == "echo" {
            self.echoes_shown += 1;
            coverage.add(Count::EchoLetters);
            return;
        }
        if letter.from.guest_address().is_some() {
            return;
        }
        let request = self.stored_as[&(client, letter.id.outbox.0, letter.id.number)];
        let last = self.last_shown.entry((client, letter.id.outbox.0)).or_default();
        let number = letter.id.number;
        assert!(number != *last, "letter {request} was shown twice");
        assert!(number > *last, "letter {request} ({number}) was shown after number {last}: order");
        *last = number;
        let fate = self.letters.get_mut(&request).expect("it was found by its number");
        assert!(fate.text == letter.text, "letter {request} was shown with another text");
        if let Some(LetterEnd::Refused { may_have_arrived, .. }) = fate.end {
            let sent_by_copy = fate.sender_was_killed && self.restored_clients.contains(&fate.sender);
            assert!(may_have_arrived || sent_by_copy, "letter {request} was refused, and then it was shown");
        }
        assert!(fate.is_stored(), "letter {request} was shown before it was durable");
        fate.shown += 1;
    }

    /// Returns the letters of these clients that have not ended.
    pub fn open_letters(&self, counts: impl Fn(usize) -> bool) -> Vec<u64> {
        let open = self.letters.iter().filter(|(_, fate)| {
            fate.end.is_none() && counts(fate.sender) && !self.untrusted.contains(&fate.to)
        });
        open.map(|(request, _)| *request).collect()
    }
}
