//! Control messages, read within a rate for each member. Excess messages wait in the stream, whose
//! credit is withheld until then; nothing is dropped.
//!
//! A message costs by its length, and more if the relay writes to disk for it. News of letters
//! (stored, read, a refusal received) is paid for by the letters. A recipient of ten thousand
//! letters a second therefore never hits the rate. Nothing behind a sign-in is read before the
//! welcome, so a stranger uses at most its credit of 4 KiB.

use crate::base::{Effect, Now, RateLimiter, Tick};
use crate::wire::frame::StreamId;
use crate::wire::message::ToRelay;

use super::ids::SessionSlot;
use super::lost_letters::LostLetters;
use super::mailbox::StoredThrough;
use super::membership::MembershipChange;
use super::sessions::SignInState;
use super::sign_in::SignInRequest;
use super::{Event, Out, Record, Relay};

/// Bytes of a message that cost as much as a message: parsing one costs about as much as copying a
/// name of this length.
const BYTES_PER_UNIT: usize = 32;
/// Extra cost of a write to the disk, in messages.
const WRITE_COST: u32 = 4;
/// Extra cost of a list of names, plus one for each name: all its rows are written again.
const LIST_COST: u32 = 100;

/// Result of reading a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadResult {
    /// News of letters, which are already counted.
    News,
    /// Cost in addition to its length.
    Costs(u32),
    /// A violation of the protocol.
    Broken,
}

impl Relay {
    /// Reads control messages of this session as long as its rate allows.
    pub(super) fn read_control(&mut self, now: Now, slot: SessionSlot, out: &mut Out) {
        let mut incoming = std::mem::take(&mut self.incoming);
        while self.may_read_more(now.tick, slot) {
            let Some(session) = self.sessions.get_mut(slot) else { break };
            // No messages are defined for bulk yet. Drop them, so that they do not fill the memory.
            let is_control = session.peer.receive(StreamId::Control, &mut incoming);
            if !is_control && !session.peer.receive(StreamId::Bulk, &mut incoming) {
                break;
            }
            let read = if is_control {
                self.handle_control(now, slot, &incoming, out)
            } else {
                ReadResult::Costs(0)
            };
            match read {
                ReadResult::News => {}
                ReadResult::Costs(more) => {
                    self.spend_control(now.tick, slot, (1 + incoming.len() / BYTES_PER_UNIT) as u32 + more);
                }
                ReadResult::Broken => {
                    self.break_off(now.tick, slot, "bad control message", out);
                    break;
                }
            }
        }
        self.incoming = incoming;
    }

    /// Whether a control message is available and may be read now. If only the rate forbids it,
    /// schedules the session for the time when it is allowed.
    fn may_read_more(&mut self, now: Tick, slot: SessionSlot) -> bool {
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        session.control_from = None;
        let is_there =
            session.peer.has_message(StreamId::Control) || session.peer.has_message(StreamId::Bulk);
        if !is_there
            || matches!(
                session.sign_in,
                SignInState::Waiting(_) | SignInState::Held(..) | SignInState::Marking(_)
            )
        {
            return false;
        }
        if !self.limits.per_sender {
            return true;
        }
        let limiter = match session.member() {
            Some(member) => &self.member_states[member.0].control,
            None => &session.control,
        };
        let ready = limiter.ready(now, self.limits.control_rate());
        session.control_from = ready.err();
        session.control_from.is_none()
    }

    fn spend_control(&mut self, now: Tick, slot: SessionSlot, cost: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let limiter: &mut RateLimiter = match session.member() {
            Some(member) => &mut self.member_states[member.0].control,
            None => &mut session.control,
        };
        limiter.spend(now, self.limits.control_rate().interval() * cost);
    }

    fn handle_control(&mut self, now: Now, slot: SessionSlot, message: &[u8], out: &mut Out) -> ReadResult {
        let effects = out.effects.len();
        let mut is_news = false;
        match ToRelay::decode(message) {
            Ok(Some(ToRelay::SignIn { name, invite, block_list_follows, outbox, features })) => {
                let request = SignInRequest { name, invite, block_list_follows, outbox, features };
                self.sign_in(now, slot, request, out);
            }
            Ok(Some(ToRelay::BlockList { flags, names })) => self.handle_block_list(slot, flags, names, out),
            Ok(Some(ToRelay::Stored { from, outbox, through, mark, at_full_second })) => {
                let through = StoredThrough { number: through, mark, at_full_second };
                is_news = self.handle_stored(now.tick, slot, from, outbox, through, out);
            }
            Ok(Some(ToRelay::Read { from, outbox, through })) => {
                is_news = self.handle_read(now.tick, slot, from, outbox, through, out);
            }
            Ok(Some(ToRelay::QueryReceipt { to, outbox, accepted, settled })) => {
                self.handle_lost(now.tick, slot, to, outbox, LostLetters { accepted, settled }, out);
                self.handle_receipt_query(slot, to, outbox);
            }
            Ok(Some(ToRelay::RefusalReceived { to, id })) => {
                is_news = self.handle_refusal_received(slot, to, id, out)
            }
            Ok(Some(ToRelay::Mark { outbox, mark_token })) => {
                self.handle_mark(now, slot, outbox, mark_token, out)
            }
            Ok(Some(ToRelay::RecipientRefusal { from, id, reason })) => {
                is_news = self.handle_recipient_refusal(slot, from, id, reason, out);
            }
            Ok(None) => {}
            Ok(Some(ToRelay::Letter(_))) | Err(_) => return ReadResult::Broken,
        }
        if is_news {
            return ReadResult::News;
        }
        let written = &out.effects[effects.min(out.effects.len())..];
        ReadResult::Costs(written.iter().map(write_cost).sum())
    }
}

fn write_cost(effect: &Effect<Record, Event>) -> u32 {
    match effect {
        Effect::Persist(_, Record::Membership(MembershipChange::Lists { lists, .. })) => {
            LIST_COST + lists.names() as u32
        }
        Effect::Persist(..) => WRITE_COST,
        _ => 0,
    }
}
