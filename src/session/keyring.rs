//! The keys of one session over time: one epoch after another, one number space and one replay window over all.

use std::time::Duration;

use smallvec::SmallVec;

use crate::base::{Beats, Carrier, Seldom, Tick, Unpacker, blank, pack_number, pack_tick};
use crate::wire::packet::{self, Packet, RESET_TOKEN_LEN};

use super::keys::{Keys, OpenError};
use super::window::ReplayWindow;

/// Answers whose keys wait at the relay: one for each carrier of a client that tries both, since it goes on with the
/// answer that comes first.
const WAITING_MAX: usize = 2;

/// How long an epoch's keys are used before the client shakes hands anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Time in use.
    pub age: Duration,
    /// Packets sealed and opened.
    pub packets: u64,
}

impl Default for Lifetime {
    /// 15 minutes, so that stolen keys open little; 2^40 packets, far below what ChaCha20-Poly1305 bears.
    fn default() -> Lifetime {
        Lifetime { age: Duration::from_secs(15 * 60), packets: 1 << 40 }
    }
}

impl Lifetime {
    /// The usual one takes a byte: no packets stand for it.
    fn pack(self, into: &mut Vec<u8>) {
        if self == Lifetime::default() {
            return pack_number(into, 0);
        }
        pack_number(into, self.packets.max(1));
        pack_number(into, self.age.as_micros() as u64);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Lifetime {
        match from.number() {
            0 => Lifetime::default(),
            packets => Lifetime { packets, age: Duration::from_micros(from.number()) },
        }
    }
}

/// A data packet that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Its number; new, and from now on seen.
    pub number: u64,
    /// Its frames.
    pub plain: &'a mut [u8],
    /// Whether it is the first under keys that waited for it: the client has had our answer (key confirmation).
    pub confirmed_new: bool,
}

/// The keys of one session: those in use, those before while packets under them may still come, and, at the relay,
/// those of an answer whose client has not yet shown that it has them.
///
/// Waiting keys are never sealed with. Numbers are the link's: they go up across epochs and are never used twice.
#[derive(Debug)]
pub struct Keyring {
    current: Option<Epoch>,
    window: ReplayWindow,
    next_number: u64,
    lifetime: Lifetime,
    turnover: Seldom<Turnover>,
}

/// Keys that come or go.
#[derive(Debug)]
struct Turnover {
    previous: Option<Previous>,
    /// At most [`WAITING_MAX`], each of another handshake.
    waiting: SmallVec<[Keys; WAITING_MAX]>,
    /// The counter of the handshake that was confirmed last, until it is asked for.
    confirmed: Option<u64>,
    /// Indexes that lead here no longer.
    freed: SmallVec<[u32; 2]>,
}

impl Turnover {
    const NONE: Turnover = Turnover {
        previous: None,
        waiting: SmallVec::new_const(),
        confirmed: None,
        freed: SmallVec::new_const(),
    };

    fn is_over(&self) -> bool {
        self.previous.is_none()
            && self.waiting.is_empty()
            && self.confirmed.is_none()
            && self.freed.is_empty()
    }
}

blank!(Turnover, Turnover::NONE, Turnover::is_over);

#[derive(Debug)]
struct Epoch {
    keys: Keys,
    since: Tick,
    packets: u64,
}

#[derive(Debug)]
struct Previous {
    keys: Keys,
    /// Set with the first packet opened under the keys after them.
    until: Option<Tick>,
}

#[derive(Clone, Copy)]
enum Slot {
    Current,
    Previous,
    Waiting,
}

impl Keyring {
    /// The client's: keys to be sealed with at once.
    pub fn new(now: Tick, keys: Keys, lifetime: Lifetime) -> Keyring {
        let mut keyring = Keyring::empty(lifetime);
        keyring.advance(now, keys);
        keyring
    }

    /// The relay's: keys that wait for the client's first packet; until then nothing can be sealed.
    pub fn waiting(keys: Keys, lifetime: Lifetime) -> Keyring {
        let mut keyring = Keyring::empty(lifetime);
        keyring.turnover.waiting.push(keys);
        keyring
    }

    fn empty(lifetime: Lifetime) -> Keyring {
        Keyring {
            current: None,
            window: ReplayWindow::default(),
            next_number: 0,
            lifetime,
            turnover: Seldom::default(),
        }
    }

    /// The client has new keys: they are sealed with at once; the old ones still open.
    pub fn switch(&mut self, now: Tick, keys: Keys) {
        self.advance(now, keys);
    }

    /// The newest handshake whose keys wait, by its counter; if there is one.
    pub fn newest_waiting(&self) -> Option<u64> {
        self.turnover.waiting.iter().map(Keys::handshake).max()
    }

    /// Whether keys of a handshake with this counter would take the place of newer ones, or of the
    /// same, that wait: so old first messages that are repeated never push out the newest.
    pub fn is_too_late(&self, handshake: u64) -> bool {
        let mut waiting = self.turnover.waiting.iter().map(Keys::handshake);
        let is_full = waiting.len() == WAITING_MAX;
        waiting.clone().any(|other| other == handshake) || is_full && waiting.all(|other| other > handshake)
    }

    /// The relay has answered with new keys: they wait for the client's first packet. At the bound
    /// they replace those of the oldest handshake that wait.
    pub fn wait_for(&mut self, keys: Keys) {
        let Turnover { waiting, freed, .. } = &mut *self.turnover;
        let oldest = (0..waiting.len()).min_by_key(|at| waiting[*at].handshake());
        if waiting.len() == WAITING_MAX
            && let Some(oldest) = oldest
        {
            freed.push(waiting.remove(oldest).local_index);
        }
        waiting.push(keys);
    }

    /// The counter of the handshake whose keys the client has just shown to have, once.
    pub fn take_confirmed(&mut self) -> Option<u64> {
        let confirmed = self.turnover.there()?.confirmed.take();
        if confirmed.is_some() {
            self.turnover.put_away();
        }
        confirmed
    }

    /// Whether there are keys to seal with.
    pub const fn can_seal(&self) -> bool {
        self.current.is_some()
    }

    /// The keys to seal with.
    pub fn sealing_keys(&self) -> Option<&Keys> {
        self.current.as_ref().map(|epoch| &epoch.keys)
    }

    /// Whether a RESET of `index` with `token` says that the other end has lost the keys in use.
    pub fn is_reset(&self, index: u32, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        self.sealing_keys().is_some_and(|keys| keys.is_reset(index, token))
    }

    /// Seals in place the packet that begins at `packet_start` of `buf` with 16 bytes kept free for its header.
    ///
    /// # Panics
    /// If there are no keys to seal with, or `number` is not above every number sealed before: a number used twice
    /// would give both packets away.
    pub fn seal(&mut self, number: u64, buf: &mut Vec<u8>, packet_start: usize) {
        assert!(number >= self.next_number && number <= packet::NUMBER_MAX, "packet numbers only go up");
        let epoch = self.current.as_mut().expect("nothing is sealed before the keys are confirmed");
        epoch.keys.seal(number, buf, packet_start);
        epoch.packets += 1;
        self.next_number = number + 1;
    }

    /// Opens in place a data packet that came on `carrier`, and marks its number as seen. The first packet under new
    /// keys begins the end of the old ones, `linger` (three PTOs) later.
    ///
    /// # Errors
    /// [`OpenError`]: the packet is dropped without an answer, and nothing has changed.
    pub fn open<'a>(
        &mut self,
        now: Tick,
        linger: impl FnOnce() -> Duration,
        carrier: Carrier,
        bytes: &'a mut [u8],
    ) -> Result<Opened<'a>, OpenError> {
        let Ok(Packet::Data { receiver, number }) = packet::parse(carrier, bytes) else {
            return Err(OpenError::Malformed);
        };
        let (slot, keys) = self.find(now, receiver).ok_or(OpenError::Index)?;
        if !self.window.is_new(number) {
            return Err(OpenError::Replayed);
        }
        let plain = keys.open(number, bytes)?;
        self.window.mark(number);
        self.note_opened(now, linger, slot, receiver);
        Ok(Opened { number, plain, confirmed_new: matches!(slot, Slot::Waiting) })
    }

    fn find(&self, now: Tick, index: u32) -> Option<(Slot, &Keys)> {
        if let Some(epoch) = self.current.as_ref().filter(|epoch| epoch.keys.local_index == index) {
            return Some((Slot::Current, &epoch.keys));
        }
        let live = |previous: &&Previous| previous.until.is_none_or(|until| until > now);
        let Turnover { previous, waiting, .. } = &*self.turnover;
        let previous = previous.as_ref().filter(live).map(|previous| (Slot::Previous, &previous.keys));
        let waiting = waiting.iter().map(|keys| (Slot::Waiting, keys));
        previous.into_iter().chain(waiting).find(|(_, keys)| keys.local_index == index)
    }

    fn note_opened(&mut self, now: Tick, linger: impl FnOnce() -> Duration, slot: Slot, index: u32) {
        match slot {
            Slot::Previous => return,
            Slot::Current => {}
            Slot::Waiting => self.confirm(now, index),
        }
        if let Some(Turnover { previous: Some(previous), .. }) = self.turnover.there() {
            previous.until.get_or_insert_with(|| now + linger());
        }
        if let Some(epoch) = &mut self.current {
            epoch.packets += 1;
        }
    }

    /// The client goes on with these keys; it has let every other answer fall.
    fn confirm(&mut self, now: Tick, index: u32) {
        for keys in std::mem::take(&mut self.turnover.waiting) {
            if keys.local_index == index {
                self.turnover.confirmed = Some(keys.handshake()).filter(|handshake| *handshake > 0);
                self.advance(now, keys);
            } else {
                self.turnover.freed.push(keys.local_index);
            }
        }
    }

    fn advance(&mut self, now: Tick, keys: Keys) {
        let epoch = Epoch { keys, since: now, packets: 0 };
        let Some(old) = self.current.replace(epoch) else { return };
        let Turnover { previous, freed, .. } = &mut *self.turnover;
        if let Some(older) = previous.replace(Previous { keys: old.keys, until: None }) {
            freed.push(older.keys.local_index);
        }
    }

    /// Whether the keys in use are old enough for the client to shake hands anew, continuing the session.
    pub fn needs_rekey(&self, now: Tick) -> bool {
        let Lifetime { age, packets } = self.lifetime;
        self.current.as_ref().is_some_and(|epoch| now.since(epoch.since) >= age || epoch.packets >= packets)
    }

    /// Forgets old keys whose time is over.
    pub fn handle_time(&mut self, now: Tick) {
        let over = |previous: &mut Previous| previous.until.is_some_and(|until| until <= now);
        if let Some(Turnover { previous, freed, .. }) = self.turnover.there()
            && let Some(previous) = previous.take_if(over)
        {
            freed.push(previous.keys.local_index);
        }
    }

    /// When old keys are to be forgotten, or those in use to be renewed, whichever is first after `now`.
    pub fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let renew = self.current.as_ref().map(|epoch| epoch.since + self.lifetime.age);
        let renew = renew.filter(|at| *at > now);
        match &self.turnover.previous {
            None => renew,
            Some(previous) => Tick::earliest([previous.until.filter(|at| *at > now), renew]),
        }
    }

    /// An index that leads here no longer, to be freed; ask until there is none after every call that takes keys, opens
    /// a packet or lets time pass.
    pub fn next_freed(&mut self) -> Option<u32> {
        let freed = self.turnover.there()?.freed.pop();
        if freed.is_none() {
            self.turnover.put_away();
        }
        freed
    }

    /// Every index that leads here: all are to be freed when the session ends.
    pub fn local_indexes(&self) -> impl Iterator<Item = u32> {
        let current = self.current.as_ref().map(|epoch| &epoch.keys);
        let previous = self.turnover.previous.as_ref().map(|previous| &previous.keys);
        let waiting = self.turnover.waiting.iter();
        [current, previous].into_iter().flatten().chain(waiting).map(|keys| keys.local_index)
    }

    /// The highest number opened.
    pub const fn highest_opened(&self) -> Option<u64> {
        self.window.highest()
    }

    /// Whether one pair of keys is in use, and no other is known or to be forgotten.
    pub fn is_quiet(&self) -> bool {
        let confirmed = self.current.as_ref().is_some_and(|epoch| epoch.keys.is_without_reset());
        confirmed && self.turnover.is_over() && self.window.highest().is_some()
    }

    /// Appends a quiet keyring to what is at rest. Late packets from before are not opened any more: of the replay window
    /// its upper end is kept.
    pub fn pack(&self, into: &mut Vec<u8>) {
        let epoch = self.current.as_ref().expect("only a quiet keyring is packed, and that has keys");
        epoch.keys.pack(into);
        pack_tick(into, epoch.since);
        pack_number(into, epoch.packets);
        pack_number(into, self.window.highest().expect("a quiet keyring has opened a packet"));
        pack_number(into, self.next_number);
        self.lifetime.pack(into);
    }

    /// A keyring that was packed, and has opened and sealed these since.
    pub fn unpack(from: &mut Unpacker<'_>, beats: Beats) -> Keyring {
        let count = u64::from(beats.count);
        let current =
            Epoch { keys: Keys::unpack(from), since: from.tick(), packets: from.number() + 2 * count };
        let window = ReplayWindow::resting(from.number() + count);
        let next_number = from.number() + count;
        let lifetime = Lifetime::unpack(from);
        Keyring { current: Some(current), window, next_number, ..Keyring::empty(lifetime) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::DATA_HEADER_LEN;

    const LINGER: Duration = Duration::from_secs(3);
    const LIFETIME: Lifetime = Lifetime { age: Duration::from_secs(60), packets: 1000 };

    fn at(secs: u64) -> Tick {
        Tick::ZERO + Duration::from_secs(secs)
    }

    /// The keys of handshake `epoch`, at the client and at the relay.
    fn pair(epoch: u8) -> (Keys, Keys) {
        let (client, relay) = (100 + u32::from(epoch), 200 + u32::from(epoch));
        let (up, down) = ([epoch; 32], [epoch + 100; 32]);
        (Keys::new(client, relay, up, down), Keys::new(relay, client, down, up))
    }

    fn seal(keyring: &mut Keyring, number: u64) -> Vec<u8> {
        let mut buf = vec![0; DATA_HEADER_LEN];
        buf.extend_from_slice(b"frames");
        keyring.seal(number, &mut buf, 0);
        buf
    }

    fn open(keyring: &mut Keyring, now: Tick, packet: &[u8]) -> Result<(u64, bool), OpenError> {
        let mut bytes = packet.to_vec();
        let opened = keyring.open(now, || LINGER, Carrier::Udp, &mut bytes)?;
        assert_eq!(opened.plain, b"frames");
        Ok((opened.number, opened.confirmed_new))
    }

    fn session() -> (Keyring, Keyring) {
        let (client, relay) = pair(1);
        let (mut client, mut relay) =
            (Keyring::new(at(0), client, LIFETIME), Keyring::waiting(relay, LIFETIME));
        assert!(!relay.can_seal());
        let first = seal(&mut client, 0);
        assert_eq!(open(&mut relay, at(0), &first), Ok((0, true)));
        assert!(relay.can_seal());
        (client, relay)
    }

    #[test]
    fn row_33_rekey_loses_nothing_though_both_epochs_are_reordered() {
        let (mut client, mut relay) = session();
        let old_up = seal(&mut client, 1);
        let (old_down, late_down) = (seal(&mut relay, 0), seal(&mut relay, 1));
        let (new_client, new_relay) = pair(2);
        relay.wait_for(new_relay);
        let unconfirmed = seal(&mut relay, 2);
        client.switch(at(1), new_client);
        assert_eq!(open(&mut client, at(1), &unconfirmed), Ok((2, false)), "still the old keys");

        let (new_a, new_b) = (seal(&mut client, 2), seal(&mut client, 3));
        assert_eq!(open(&mut relay, at(1), &new_b), Ok((3, true)));
        assert_eq!(open(&mut relay, at(1), &new_a), Ok((2, false)));
        assert_eq!(open(&mut relay, at(1), &old_up), Ok((1, false)), "old keys, behind the new");

        let new_down = seal(&mut relay, 3);
        assert_eq!(open(&mut client, at(2), &new_down), Ok((3, false)));
        assert_eq!(open(&mut client, at(4), &old_down), Ok((0, false)));
        assert_eq!(client.next_deadline(at(4)), Some(at(5)));
        assert_eq!(open(&mut client, at(5), &late_down), Err(OpenError::Index), "three PTOs are over");
        client.handle_time(at(5));
        assert_eq!((client.next_freed(), client.next_freed()), (Some(101), None));
        assert_eq!(client.local_indexes().collect::<Vec<_>>(), [102]);
    }

    #[test]
    fn the_window_is_one_over_all_epochs() {
        let (mut client, mut relay) = session();
        let (up, replay) = (seal(&mut client, 1), seal(&mut client, 2));
        assert!(open(&mut relay, at(0), &replay).is_ok());
        let (new_client, new_relay) = pair(2);
        relay.wait_for(new_relay);
        client.switch(at(1), new_client);
        let ahead = seal(&mut client, 2000);
        assert_eq!(open(&mut relay, at(1), &ahead), Ok((2000, true)));
        assert_eq!(open(&mut relay, at(1), &replay), Err(OpenError::Replayed));
        assert_eq!(open(&mut relay, at(1), &up), Err(OpenError::Replayed), "behind the window");
    }

    #[test]
    fn a_forged_packet_moves_nothing() {
        let (mut client, mut relay) = session();
        let (new_client, new_relay) = pair(2);
        relay.wait_for(new_relay);
        client.switch(at(1), new_client);
        let packet = seal(&mut client, 1);
        for bit in 0..packet.len() * 8 {
            let mut bad = packet.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&mut relay, at(1), &bad).is_err(), "bit {bit}");
        }
        assert_eq!(relay.highest_opened(), Some(0));
        assert_eq!(relay.sealing_keys().map(|keys| keys.local_index), Some(201));
        assert_eq!(open(&mut relay, at(1), &packet), Ok((1, true)));
    }

    #[test]
    fn two_answers_wait_and_the_client_goes_on_with_either() {
        let (mut client, mut relay) = session();
        relay.wait_for(pair(2).1);
        relay.wait_for(pair(3).1);
        relay.wait_for(pair(4).1);
        assert_eq!((relay.next_freed(), relay.next_freed()), (Some(202), None));
        assert_eq!(relay.local_indexes().collect::<Vec<_>>(), [201, 203, 204]);
        client.switch(at(1), pair(3).0);
        let first = seal(&mut client, 1);
        assert_eq!(
            open(&mut relay, at(1), &first),
            Ok((1, true)),
            "not the newest, but the one it had first"
        );
        assert_eq!((relay.next_freed(), relay.next_freed()), (Some(204), None));
    }

    #[test]
    fn keys_are_renewed_after_their_time_or_their_packets() {
        let (mut client, _) = session();
        assert_eq!(client.next_deadline(at(0)), Some(at(60)));
        assert!(!client.needs_rekey(at(59)) && client.needs_rekey(at(60)));
        assert_eq!(client.next_deadline(at(60)), None, "no deadline in the past");
        for number in 1..LIFETIME.packets {
            assert!(!client.needs_rekey(at(0)));
            seal(&mut client, number);
        }
        assert!(client.needs_rekey(at(0)));
        client.switch(at(10), pair(2).0);
        assert!(!client.needs_rekey(at(69)));
    }

    #[test]
    #[should_panic(expected = "packet numbers only go up")]
    fn a_number_is_never_sealed_twice() {
        let (mut client, _) = session();
        seal(&mut client, 0);
    }
}
