//! Control messages, read within a rate for each member: what would be more waits in its stream,
//! whose credit is withheld until then. Nothing is dropped.
//!
//! A message costs by its length, and more when it makes the relay write to its disk. One with news
//! of letters (stored, read, a refusal heard) is paid for by those, so that a recipient of ten
//! thousand letters a second never meets the rate. Before the welcome nothing is read behind a
//! sign-in: what a stranger says takes its credit of 4 KiB and no more.

use crate::base::{Effect, Now, Tick};
use crate::wire::frame::StreamId;
use crate::wire::message::ToRelay;

use super::limits::Bucket;
use super::names::SigningIn;
use super::queue::Through;
use super::roll::Change;
use super::sessions::{SignIn, Slot};
use super::{Event, Out, Record, Relay};

/// Bytes of a message that cost as much as a message: reading one costs about as much as copying a
/// name of them.
const BYTES_A_UNIT: usize = 32;
/// Extra cost of a write to the disk, in messages.
const WRITE_COST: u32 = 4;
/// Extra cost of a list of names, plus one for each name: all of its rows are written again.
const LIST_COST: u32 = 100;

/// Result of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// It was news of letters, which are counted already.
    News,
    /// It costs this much more than its length.
    Costs(u32),
    /// It breaks the protocol.
    Broken,
}

impl Relay {
    /// Reads what this session says, for as long as it may say more.
    pub(super) fn read_control(&mut self, now: Now, slot: Slot, out: &mut Out) {
        let mut incoming = std::mem::take(&mut self.incoming);
        while self.may_say_more(now.tick, slot) {
            let Some(session) = self.sessions.get_mut(slot) else { break };
            // Bulk has no messages yet. What comes there is dropped, so that it does not fill the
            // memory.
            let is_control = session.peer.receive(StreamId::Control, &mut incoming);
            if !is_control && !session.peer.receive(StreamId::Bulk, &mut incoming) {
                break;
            }
            let read =
                if is_control { self.handle_control(now, slot, &incoming, out) } else { Read::Costs(0) };
            match read {
                Read::News => {}
                Read::Costs(more) => {
                    self.spend_control(now.tick, slot, (1 + incoming.len() / BYTES_A_UNIT) as u32 + more);
                }
                Read::Broken => {
                    self.break_off(now.tick, slot, "bad control message", out);
                    break;
                }
            }
        }
        self.incoming = incoming;
    }

    /// Whether one more message is there and is read now; if only the rate forbids it, the session
    /// is looked at again in time.
    fn may_say_more(&mut self, now: Tick, slot: Slot) -> bool {
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        session.control_from = None;
        let is_there =
            session.peer.has_message(StreamId::Control) || session.peer.has_message(StreamId::Bulk);
        if !is_there || matches!(session.sign_in, SignIn::Waiting(_) | SignIn::Held(..) | SignIn::Marking(_))
        {
            return false;
        }
        if !self.limits.per_sender {
            return true;
        }
        let share = match session.member() {
            Some(member) => &self.places[member.0].control,
            None => &session.control,
        };
        let ready = share.ready(now, self.limits.control_interval(), self.limits.control_burst);
        session.control_from = ready.err();
        session.control_from.is_none()
    }

    fn spend_control(&mut self, now: Tick, slot: Slot, cost: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let share: &mut Bucket = match session.member() {
            Some(member) => &mut self.places[member.0].control,
            None => &mut session.control,
        };
        share.spend(now, self.limits.control_interval() * cost);
    }

    fn handle_control(&mut self, now: Now, slot: Slot, message: &[u8], out: &mut Out) -> Read {
        let (effects, mut is_news) = (out.effects.len(), false);
        match ToRelay::decode(message) {
            Ok(Some(ToRelay::SignIn { name, invite, screen_follows, outbox, features })) => {
                let claim = SigningIn { name, invite, screen_follows, outbox, features };
                self.sign_in(now, slot, claim, out);
            }
            Ok(Some(ToRelay::Screen { flags, names })) => self.handle_screen(slot, flags, names, out),
            Ok(Some(ToRelay::Stored { from, outbox, through, mark, at_full_second })) => {
                let through = Through { number: through, mark, at_full_second };
                is_news = self.handle_stored(now.tick, slot, (from, outbox), through, out);
            }
            Ok(Some(ToRelay::Read { from, outbox, through })) => {
                is_news = self.handle_read(now.tick, slot, from, outbox, through, out);
            }
            Ok(Some(ToRelay::Ask { to, outbox })) => self.handle_ask(slot, to, outbox),
            Ok(Some(ToRelay::Heard { to, id })) => is_news = self.handle_heard(slot, to, id, out),
            Ok(Some(ToRelay::Mark { outbox, said })) => self.handle_mark(now, slot, outbox, said, out),
            Ok(Some(ToRelay::ReaderRefusal { from, id, reason })) => {
                is_news = self.handle_reader_refusal(slot, from, id, reason, out);
            }
            Ok(None) => {}
            Ok(Some(ToRelay::Letter(_))) | Err(_) => return Read::Broken,
        }
        if is_news {
            return Read::News;
        }
        let written = &out.effects[effects.min(out.effects.len())..];
        Read::Costs(written.iter().map(write_cost).sum())
    }
}

fn write_cost(effect: &Effect<Record, Event>) -> u32 {
    match effect {
        Effect::Persist(_, Record::Roll(Change::Blocks { blocked, .. })) => LIST_COST + blocked.len() as u32,
        Effect::Persist(..) => WRITE_COST,
        _ => 0,
    }
}
