//! Effects of receipts on the letters of one conversation.

use crate::base::{LetterId, OutboxId, Watermarks};
use crate::client::api::Progress;

use super::letters::OutboxLetter;
use super::receipt_content::ReceiptContent;
use super::{Conversation, ProgressUpdate, UNREAD_MAX, WINDOW_LETTERS};

impl Conversation {
    /// Takes the held receipts for letters before the first refusal that was not shown yet.
    pub(super) fn take_receipts(&mut self) -> ReceiptContent {
        match self.refusals.iter().map(|refusal| refusal.id.number).min() {
            Some(first) => self.held_receipts.before(first),
            None => std::mem::take(&mut self.held_receipts),
        }
    }

    /// Marks letters as accepted, or as waiting in the mailbox, up to the watermarks.
    pub(super) fn accept(
        &mut self,
        outbox: OutboxId,
        receipts: ReceiptContent,
        tell: &mut impl FnMut(ProgressUpdate),
    ) {
        let Watermarks { accepted, delivered, read } = receipts.watermarks;
        let through = accepted.max(delivered).max(read);
        for index in 0..self.letters.len() {
            let letter = &mut self.letters[index];
            if letter.number > through {
                break;
            }
            // Never sent: the relay cannot have accepted it, whatever it claims.
            if !(letter.accepted || letter.sent || letter.unanswered_before) {
                continue;
            }
            let request = letter.request;
            let id = LetterId { outbox, number: letter.number };
            if !letter.accepted {
                self.put_back(index);
                let letter = &mut self.letters[index];
                letter.accepted = true;
                self.standing_refusal =
                    self.standing_refusal.filter(|refusal| letter.number < refusal.refused);
                self.window = WINDOW_LETTERS.min(self.window + 1);
                self.reach.watermarks.accept(letter.number);
                tell(ProgressUpdate {
                    request,
                    id,
                    progress: Progress::Accepted,
                    taken_at: receipts.taken_at,
                });
            }
            let letter = &mut self.letters[index];
            if receipts.until.0 > 0 && letter.number > delivered && letter.until.0 == 0 {
                letter.until = receipts.until;
                tell(ProgressUpdate {
                    request,
                    id,
                    progress: Progress::Waiting { until: receipts.until },
                    taken_at: receipts.taken_at,
                });
            }
        }
        self.reach.until = receipts.until;
    }

    /// Removes the delivered letters. Returns their number and the bytes of their bodies.
    pub(super) fn deliver(
        &mut self,
        outbox: OutboxId,
        receipts: ReceiptContent,
        tell: &mut impl FnMut(ProgressUpdate),
    ) -> (usize, usize) {
        let through = receipts.watermarks.delivered.max(receipts.watermarks.read);
        let mut letters = 0;
        let mut bytes = 0;
        while self.letters.front().is_some_and(|l| l.number <= through && l.accepted) {
            let OutboxLetter { request, number, encoded, .. } = self.remove(0);
            letters += 1;
            bytes += encoded.body.len();
            self.reach.last_taken = number;
            self.reach.watermarks.delivered = number;
            if self.unread.len() == UNREAD_MAX {
                self.unread.pop_front();
            }
            self.unread.push_back((number, request));
            tell(ProgressUpdate {
                request,
                id: LetterId { outbox, number },
                progress: Progress::Delivered,
                taken_at: receipts.taken_at,
            });
        }
        (letters, bytes)
    }

    /// Reports delivered letters that were read.
    pub(super) fn read(
        &mut self,
        outbox: OutboxId,
        receipts: ReceiptContent,
        tell: &mut impl FnMut(ProgressUpdate),
    ) {
        let read = receipts.watermarks.read;
        while let Some((number, request)) = self.unread.front().copied().filter(|u| u.0 <= read) {
            self.unread.pop_front();
            tell(ProgressUpdate {
                request,
                id: LetterId { outbox, number },
                progress: Progress::Read,
                taken_at: receipts.taken_at,
            });
        }
        let reached = &mut self.reach.watermarks;
        reached.read = reached.read.max(read.min(reached.delivered));
    }

    /// Drops the bodies of accepted letters. Returns the bytes freed.
    pub(super) fn drop_accepted_bodies(&mut self) -> usize {
        let accepted = self.letters.iter_mut().filter(|letter| letter.accepted);
        accepted.map(|letter| std::mem::take(&mut letter.encoded.body).len()).sum()
    }
}
