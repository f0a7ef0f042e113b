//! Letters that never arrive. Each of them, expired or not, was refused, and the recipient is
//! notified where letters are missing and how many.

use queqiao::base::{LetterId, Name};
use queqiao::client::Incoming;
use queqiao::wire::message::Reason;

use super::oracle::{LetterEnd, LetterFate, Oracle};
use super::relay_disk::RelayDisk;

impl Oracle {
    /// Checks the gap before a letter that is newly durable at its recipient.
    ///
    /// `letter.missing` counts the numbers from the last stored letter up to one that was accepted
    /// and expired later. Letters between that one and this one had been refused when this one was
    /// sent.
    pub fn check_gap(&mut self, client: usize, request: u64, letter: &Incoming, disk: &RelayDisk) {
        let sender = self.letters[&request].sender;
        let to = self.names[client].clone();
        if self.restored_clients.contains(&client) || self.restored_clients.contains(&sender) {
            return;
        }
        if self.names.iter().filter(|name| **name == to).count() > 1 {
            return;
        }
        let taken = self.last_stored.get(&(client, letter.id.outbox.0)).copied().unwrap_or(0);
        let number = letter.id.number;
        let last = taken + letter.missing;
        assert!(last < number, "{} letters missing between {taken} and {number}", letter.missing);
        if letter.missing > 0 {
            let id = LetterId { outbox: letter.id.outbox, number: last };
            let was_too_old = disk.expired.contains_key(&(self.names[sender].clone(), to.clone(), id));
            assert!(
                was_too_old,
                "letter {request} reports {} missing, and {last} had not expired",
                letter.missing
            );
        }
        for between in taken + 1..number {
            let id = LetterId { outbox: letter.id.outbox, number: between };
            let Some(passed) = self.requests_named(id, &to).last() else { continue };
            let fate = &self.letters[&passed];
            let known = fate.sender_was_killed
                || taken == 0
                || fate.end.is_some_and(|end| end != LetterEnd::Delivered);
            assert!(
                between <= last || known,
                "letter {passed} is missing before {request}, unreported: {fate:?}"
            );
            self.skipped.insert(passed);
        }
    }

    /// Checks at the end that each sender that still tries knows the outcome of its letters. This
    /// concerns expired letters and those that their recipient has skipped.
    pub fn check_skipped(&self, disk: &RelayDisk, counts: impl Fn(usize) -> bool) {
        let honest = |fate: &LetterFate| counts(fate.sender) && !self.untrusted.contains(&fate.to);
        for request in &self.skipped {
            let fate = &self.letters[request];
            let ended = !honest(fate) || fate.end.is_some_and(|end| end != LetterEnd::Delivered);
            assert!(ended, "letter {request} never arrived: {fate:?}");
        }
        for (from, to, id) in disk.expired.keys() {
            let sender = self.outboxes.get(&id.outbox.0).filter(|sender| self.names[**sender] == *from);
            let Some(sender) = sender.filter(|_| to.parse::<Name>().is_ok()) else { continue };
            // A client whose folder was replaced by an earlier copy is notified only of letters
            // that the copy knows.
            if self.restored_clients.contains(sender) {
                continue;
            }
            let Some(request) = self.requests_named(*id, to).last() else { continue };
            let fate = &self.letters[&request];
            let notified = matches!(
                fate.end,
                Some(LetterEnd::Refused { reason: Reason::Expired, .. } | LetterEnd::Delivered)
            );
            assert!(notified || !honest(fate), "letter {request} expired without a refusal: {fate:?}");
        }
    }
}
