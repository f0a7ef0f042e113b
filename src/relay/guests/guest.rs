//! One guest: what it has sent so far, and what waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, Name, OutboxId, Path, Tick};
use crate::relay::Out;
use crate::relay::members::MemberId;
use crate::wire::message::Reason;

use super::lines::Lines;
use super::seats::Standing;
use super::text::{GuestEncoding, PIECE_MAX};

/// Datagrams of answers that a guest gets before its next one: a forged address is worth no more to an attacker.
const AHEAD_MAX: u64 = 3;
/// Bytes of answers that wait for a guest's next datagram; above it a member's letter is refused.
const WAITING_MAX: usize = 64 * 1_024;
/// The same of a guest without a place: 16 MiB of as many as there may be.
const WAITING_LOOSE_MAX: usize = 4 * 1_024;
/// A guest that is silent for so long, and was not written to, is forgotten.
pub(super) const IDLE: Duration = Duration::from_secs(600);

/// One guest for as long as the relay knows it; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::relay) struct GuestId(pub(super) u64);

#[cfg(test)]
impl GuestId {
    pub(in crate::relay) const fn new(number: u64) -> GuestId {
        GuestId(number)
    }
}

/// The outbox of one guest. Its lowest bit is the carrier: a letter's id tells whose share of a mailbox it is in, after a
/// restart too.
pub(super) fn outbox_of(random: u64, carrier: Carrier) -> OutboxId {
    OutboxId(random & !1 | u64::from(carrier == Carrier::Tcp))
}

/// The carrier of the guest whose outbox this is.
pub(in crate::relay) fn carrier_of(outbox: OutboxId) -> Carrier {
    if outbox.0 & 1 == 1 { Carrier::Tcp } else { Carrier::Udp }
}

/// What a guest on TCP may be told about its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::relay) enum Notice {
    /// Its recipient is away; it waits.
    Away,
    /// Nobody has that name.
    Nobody,
    /// There is no room for it.
    Full,
}

#[derive(Debug)]
pub(super) struct Guest {
    pub(super) id: GuestId,
    pub(super) path: Path,
    pub(super) remote: SocketAddr,
    pub(super) name: Name,
    pub(super) outbox: OutboxId,
    /// The last letter to each recipient.
    pub(super) numbers: BTreeMap<MemberId, u64>,
    /// The members who have written to it.
    pub(super) authors: BTreeSet<MemberId>,
    pub(super) lines: Lines,
    /// It was heard, or written to.
    pub(super) busy: Tick,
    /// It has written a letter.
    pub(super) is_heard: bool,
    /// How far a guest on UDP has come.
    pub(super) standing: Standing,
    /// It has one of the places for guests.
    pub(super) has_place: bool,
    pub(super) is_greeted: bool,
    /// When it is greeted, if it is silent until then.
    pub(super) greet_at: Option<Tick>,
    /// It has sent everything, and may read answers until then.
    pub(super) ended_until: Option<Tick>,
    pub(super) told: BTreeSet<Notice>,
    /// When it stands in the list of those that want time to pass.
    pub(super) due: Tick,
    /// Datagrams, both ways.
    received: u64,
    sent: u64,
    /// Answers that wait for its next datagram: at most [`Guest::waiting_max`] bytes.
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
            authors: BTreeSet::new(),
            lines: Lines::new(encoding),
            busy: now,
            is_heard: false,
            standing: Standing::Unanswered,
            has_place: false,
            is_greeted: false,
            greet_at: None,
            ended_until: None,
            told: BTreeSet::new(),
            due: now + IDLE,
            received: 0,
            sent: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    /// When time alone changes something.
    pub(super) fn next_deadline(&self) -> Tick {
        let own = [self.lines.next_deadline(), self.greet_at, self.ended_until];
        own.into_iter().flatten().fold(self.busy + IDLE, Tick::min)
    }

    /// One more datagram came: it earns what waits.
    pub(super) fn handle_datagram(&mut self, now: Tick, out: &mut Out) {
        self.busy = now;
        self.received += 1;
        if self.standing == Standing::Answered {
            self.standing = Standing::Talking;
        }
        self.send_waiting(out);
    }

    /// Whether a guest on UDP asks for a place: it has written twice, or was answered.
    pub(super) fn asks_for_place(&self) -> bool {
        self.received > 1 || self.standing > Standing::Unanswered
    }

    /// Another guest has its place now: the last answers that would wait for too long are dropped.
    pub(super) fn lose_place(&mut self) {
        self.has_place = false;
        while self.waiting_bytes > self.waiting_max() {
            let Some(piece) = self.waiting.pop_back() else { return };
            self.waiting_bytes -= piece.len();
        }
    }

    fn waiting_max(&self) -> usize {
        if self.has_place { WAITING_MAX } else { WAITING_LOOSE_MAX }
    }

    /// Writes to the guest, at once or when it has earned it.
    ///
    /// # Errors
    /// [`Reason::Full`]: too much waits for it already.
    pub(super) fn write(&mut self, now: Tick, text: &str, out: &mut Out) -> Result<(), Reason> {
        let mut pieces = self.lines.charset().pieces(text);
        let is_tcp = matches!(self.path, Path::Tcp(_));
        if let Some(last) = pieces.last_mut()
            && self.lines.uses_newlines()
            && !last.ends_with(b"\n")
            && (is_tcp || last.len() < PIECE_MAX)
        {
            last.push(b'\n');
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
        self.busy = now;
        Ok(())
    }

    /// Writes what a guest on TCP is told first, at most [`PIECE_MAX`] bytes of it in whatever encoding: a member's client
    /// skips no more.
    pub(super) fn greet(&mut self, greeting: &str, out: &mut Out) {
        let mut first = self.lines.charset().pieces(greeting).into_iter().next().unwrap_or_default();
        if self.lines.uses_newlines() && !first.ends_with(b"\n") {
            first.push(b'\n');
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
    fn outbox_tells_by_which_carrier_its_guest_came() {
        for carrier in [Carrier::Udp, Carrier::Tcp] {
            assert!((0..9).all(|random| carrier_of(outbox_of(random, carrier)) == carrier));
        }
    }
}
