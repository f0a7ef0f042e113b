//! One guest: its input so far, and its waiting replies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, Name, OutboxId, Path, Tick};
use crate::relay::Out;
use crate::relay::ids::{GuestId, MemberId};
use crate::wire::message::Reason;

use super::line_splitter::LineSplitter;
use super::slots::GuestClass;
use super::text::{GuestEncoding, PIECE_MAX};

/// Datagrams of replies that a guest gets ahead of its next one. Three: more would make forged
/// addresses useful for amplification.
const AHEAD_MAX: u64 = 3;
/// Bytes of replies that wait for a guest's next datagram; beyond it a member's letter is refused.
const WAITING_MAX: usize = 64 * 1_024;
/// The same for a guest without a slot: 16 MiB for the maximum number of such guests.
const WAITING_LOOSE_MAX: usize = 4 * 1_024;
/// Time without traffic in either direction after which a guest is forgotten.
const IDLE: Duration = Duration::from_secs(600);
/// Granularity of that time. A flood leaves thousands of guests: they share a turn when they are
/// forgotten, and each is delayed by at most this.
const IDLE_GRID: Duration = Duration::from_secs(1);

/// Returns the outbox identifier of a guest, made from a random number.
///
/// Its lowest bit is the carrier, so that a letter's identifier shows which share of a mailbox it
/// counts in, after a restart too.
pub(super) fn outbox_of(random: u64, carrier: Carrier) -> OutboxId {
    OutboxId(random & !1 | u64::from(carrier == Carrier::Tcp))
}

/// Returns the carrier of the guest with this outbox.
pub(in crate::relay) fn carrier_of(outbox: OutboxId) -> Carrier {
    if outbox.0 & 1 == 1 { Carrier::Tcp } else { Carrier::Udp }
}

/// A notice to a TCP guest about its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) enum GuestReply {
    /// The recipient is offline; the letter waits.
    Away,
    /// The recipient is unknown.
    Nobody,
    /// The letter was refused because a limit is reached.
    Full,
}

fn idle_at(last_active: Tick) -> Tick {
    (last_active + IDLE).rounded_up(IDLE_GRID)
}

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) id: GuestId,
    pub(super) path: Path,
    pub(super) remote: SocketAddr,
    pub(super) name: Name,
    pub(super) outbox: OutboxId,
    /// The last letter number for each recipient.
    pub(super) numbers: BTreeMap<MemberId, u64>,
    /// The members that have written to it.
    pub(super) senders: BTreeSet<MemberId>,
    pub(super) line_splitter: LineSplitter,
    /// Time of the last text received or written.
    pub(super) last_active: Tick,
    /// Whether it has written a letter.
    pub(super) has_written: bool,
    /// Standing of a UDP guest.
    pub(super) class: GuestClass,
    /// Whether it has one of the slots for guests.
    pub(super) has_slot: bool,
    pub(super) is_greeted: bool,
    /// Time of the greeting, if the guest is silent until then.
    pub(super) greet_at: Option<Tick>,
    /// Set once it has closed its sending side: until then it may read replies.
    pub(super) ended_until: Option<Tick>,
    pub(super) replies_sent: BTreeSet<GuestReply>,
    /// Its entry in [`super::Guests`]' set of deadlines.
    pub(super) deadline: Tick,
    /// Number of datagrams in each direction.
    received: u64,
    sent: u64,
    /// Replies that wait for its next datagram: at most [`Guest::waiting_max`] bytes.
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
}

impl Guest {
    pub(super) fn new(
        now: Tick,
        id: GuestId,
        path: Path,
        remote: SocketAddr,
        outbox: OutboxId,
        encoding: GuestEncoding,
    ) -> Guest {
        Guest {
            id,
            path,
            remote,
            name: Name::of_guest(remote),
            outbox,
            numbers: BTreeMap::new(),
            senders: BTreeSet::new(),
            line_splitter: LineSplitter::new(encoding),
            last_active: now,
            has_written: false,
            class: GuestClass::Unanswered,
            has_slot: false,
            is_greeted: false,
            greet_at: None,
            ended_until: None,
            replies_sent: BTreeSet::new(),
            deadline: idle_at(now),
            received: 0,
            sent: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// Returns the time at which something changes without input.
    pub(super) fn next_deadline(&self) -> Tick {
        let own = [self.line_splitter.next_deadline(), self.greet_at, self.ended_until];
        own.into_iter().flatten().fold(self.idle_at(), Tick::min)
    }

    /// Returns the time at which it is forgotten without further traffic.
    pub(super) fn idle_at(&self) -> Tick {
        idle_at(self.last_active)
    }

    /// Handles a datagram, which permits one more waiting reply.
    pub(super) fn handle_datagram(&mut self, now: Tick, out: &mut Out) {
        self.last_active = now;
        self.received += 1;
        if self.class == GuestClass::Answered {
            self.class = GuestClass::Talking;
        }
        self.send_waiting(out);
    }

    /// Whether a UDP guest needs a slot: it has written twice, or got a reply.
    pub(super) fn wants_slot(&self) -> bool {
        self.received > 1 || self.class > GuestClass::Unanswered
    }

    /// Takes the guest's slot away and drops the latest replies beyond the lower limit.
    pub(super) fn release_slot(&mut self) {
        self.has_slot = false;
        while self.waiting_bytes > self.waiting_max() {
            let Some(piece) = self.waiting.pop_back() else { return };
            self.waiting_bytes -= piece.len();
        }
    }

    fn waiting_max(&self) -> usize {
        if self.has_slot { WAITING_MAX } else { WAITING_LOOSE_MAX }
    }

    /// Writes to the guest, at once or after its next datagrams.
    ///
    /// # Errors
    /// [`Reason::Full`]: too many bytes wait for it.
    pub(super) fn write(&mut self, now: Tick, text: &str, out: &mut Out) -> Result<(), Reason> {
        let charset = self.line_splitter.charset();
        let mut pieces = charset.pieces(text);
        let is_tcp = matches!(self.path, Path::Tcp(_));
        if let Some(last) = pieces.last_mut()
            && self.line_splitter.uses_newlines()
            && !text.ends_with('\n')
            && (is_tcp || last.len() < PIECE_MAX)
        {
            last.extend(charset.encode("\n"));
        }
        if is_tcp {
            pieces.iter().for_each(|piece| out.send(self.path, piece));
        } else {
            let bytes: usize = pieces.iter().map(Vec::len).sum();
            if self.waiting_bytes + bytes > self.waiting_max() {
                return Err(Reason::Full);
            }
            self.waiting_bytes += bytes;
            self.waiting.extend(pieces);
            self.send_waiting(out);
        }
        self.last_active = now;
        Ok(())
    }

    /// Writes the greeting to a TCP guest, at most [`PIECE_MAX`] bytes of it in any encoding,
    /// because a member's client skips no more.
    pub(super) fn write_greeting(&mut self, greeting: &str, out: &mut Out) {
        let charset = self.line_splitter.charset();
        let mut first = charset.pieces(greeting).into_iter().next().unwrap_or_default();
        let newline = charset.encode("\n");
        if self.line_splitter.uses_newlines() && !first.ends_with(&newline) {
            first.extend(newline);
        }
        out.send(self.path, &first);
    }

    fn send_waiting(&mut self, out: &mut Out) {
        while self.sent < self.received + AHEAD_MAX {
            let Some(piece) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= piece.len();
            self.sent += 1;
            out.send(self.path, &piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outbox_shows_carrier_of_its_guest() {
        for carrier in [Carrier::Udp, Carrier::Tcp] {
            assert!((0..9).all(|random| carrier_of(outbox_of(random, carrier)) == carrier));
        }
    }
}
