//! The keys of one session over time: successive epochs, with one number space and one replay
//! window for all.

use std::time::Duration;

use smallvec::SmallVec;

use crate::base::{Carrier, KeepAliveCount, LazyBox, Tick, Unpacker, empty_value, pack_number, pack_tick};
use crate::wire::packet::{self, Packet, RESET_TOKEN_LEN};

use super::keys::{Keys, OpenError};
use super::window::ReplayWindow;

/// Maximum handshakes whose keys wait at the relay: one per carrier of a client that tries both.
/// The client continues with the first response that arrives.
const UNCONFIRMED_MAX: usize = 2;

/// Limits on the use of one epoch's keys, after which the client performs a new handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Time in use.
    pub age: Duration,
    /// Packets sealed and opened.
    pub packets: u64,
}

impl Default for Lifetime {
    /// 15 minutes, so that stolen keys open little. 2^40 packets, far below the limit of
    /// ChaCha20-Poly1305.
    fn default() -> Lifetime {
        Lifetime { age: Duration::from_secs(15 * 60), packets: 1 << 40 }
    }
}

impl Lifetime {
    /// Appends the lifetime. The default takes one byte: 0 packets means the default.
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

/// An opened data packet.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenedPacket<'a> {
    /// Its number, not seen before.
    pub number: u64,
    /// Its frames.
    pub plain: &'a mut [u8],
    /// Whether it is the first packet under waiting keys: it confirms that the client has our
    /// response.
    pub confirmed_new: bool,
}

/// The keys of one session: the current ones, the previous ones while late packets may arrive, and
/// at the relay those of unconfirmed handshakes.
///
/// Waiting keys are never used for sealing. Packet numbers are the link's: they rise across epochs
/// and are never used twice.
#[derive(Debug)]
pub struct Keyring {
    current: Option<Epoch>,
    window: ReplayWindow,
    next_number: u64,
    lifetime: Lifetime,
    key_change: LazyBox<KeyChange>,
}

/// Keys before or after their use.
#[derive(Debug)]
struct KeyChange {
    previous: Option<Previous>,
    /// At most [`UNCONFIRMED_MAX`], each of another handshake.
    unconfirmed: SmallVec<[Keys; UNCONFIRMED_MAX]>,
    /// Counter of the handshake confirmed last, until it is taken.
    confirmed: Option<u64>,
    /// Indexes to free, which do not lead here any more.
    freed: SmallVec<[u32; 2]>,
}

impl KeyChange {
    const NONE: KeyChange = KeyChange {
        previous: None,
        unconfirmed: SmallVec::new_const(),
        confirmed: None,
        freed: SmallVec::new_const(),
    };

    fn is_done(&self) -> bool {
        self.previous.is_none()
            && self.unconfirmed.is_empty()
            && self.confirmed.is_none()
            && self.freed.is_empty()
    }
}

empty_value!(KeyChange, KeyChange::NONE, KeyChange::is_done);

#[derive(Debug)]
struct Epoch {
    keys: Keys,
    since: Tick,
    packets: u64,
}

#[derive(Debug)]
struct Previous {
    keys: Keys,
    /// Set with the first packet opened under newer keys.
    until: Option<Tick>,
}

#[derive(Clone, Copy)]
enum KeySlot {
    Current,
    Previous,
    Unconfirmed,
}

impl Keyring {
    /// Creates the client's keyring, which can seal at once.
    pub fn new(now: Tick, keys: Keys, lifetime: Lifetime) -> Keyring {
        let mut keyring = Keyring::empty(lifetime);
        keyring.advance(now, keys);
        keyring
    }

    /// Creates the relay's keyring, whose keys wait for the client's first packet. It cannot seal
    /// before that.
    pub fn new_unconfirmed(keys: Keys, lifetime: Lifetime) -> Keyring {
        let mut keyring = Keyring::empty(lifetime);
        keyring.key_change.unconfirmed.push(keys);
        keyring
    }

    fn empty(lifetime: Lifetime) -> Keyring {
        Keyring {
            current: None,
            window: ReplayWindow::default(),
            next_number: 0,
            lifetime,
            key_change: LazyBox::default(),
        }
    }

    /// Uses the client's new keys for sealing at once. The old ones still open.
    pub fn switch(&mut self, now: Tick, keys: Keys) {
        self.advance(now, keys);
    }

    /// Returns the counter of the newest waiting handshake.
    pub fn newest_unconfirmed(&self) -> Option<u64> {
        self.key_change.unconfirmed.iter().map(Keys::handshake).max()
    }

    /// Whether keys of the handshake with this counter must not wait: they wait already, or would
    /// replace newer ones.
    ///
    /// Repeated old first messages can therefore never replace the newest keys.
    pub fn is_too_late(&self, handshake: u64) -> bool {
        let mut unconfirmed = self.key_change.unconfirmed.iter().map(Keys::handshake);
        let is_full = unconfirmed.len() == UNCONFIRMED_MAX;
        unconfirmed.clone().any(|other| other == handshake)
            || is_full && unconfirmed.all(|other| other > handshake)
    }

    /// Keeps keys of a new handshake until the client's first packet. At the bound they replace
    /// those of the oldest waiting handshake.
    pub fn add_unconfirmed(&mut self, keys: Keys) {
        let KeyChange { unconfirmed, freed, .. } = &mut *self.key_change;
        let oldest = (0..unconfirmed.len()).min_by_key(|at| unconfirmed[*at].handshake());
        if unconfirmed.len() == UNCONFIRMED_MAX
            && let Some(oldest) = oldest
        {
            freed.push(unconfirmed.remove(oldest).local_index);
        }
        unconfirmed.push(keys);
    }

    /// Takes the counter of the handshake that the client has just confirmed. Returns it once.
    pub fn take_confirmed(&mut self) -> Option<u64> {
        let confirmed = self.key_change.get_allocated_mut()?.confirmed.take();
        if confirmed.is_some() {
            self.key_change.shrink();
        }
        confirmed
    }

    /// Whether there are keys to seal with.
    pub const fn can_seal(&self) -> bool {
        self.current.is_some()
    }

    /// Returns the keys to seal with.
    pub fn sealing_keys(&self) -> Option<&Keys> {
        self.current.as_ref().map(|epoch| &epoch.keys)
    }

    /// Whether a RESET of `index` with `token` proves that the other end has lost the keys in use.
    pub fn is_reset(&self, index: u32, token: &[u8; RESET_TOKEN_LEN]) -> bool {
        self.sealing_keys().is_some_and(|keys| keys.is_reset(index, token))
    }

    /// Seals in place the packet that begins at `packet_start` of `buf` with 16 bytes reserved for
    /// its header.
    ///
    /// # Panics
    /// If there are no keys to seal with, or if `number` is not above all numbers sealed before. A
    /// number used twice would reveal both packets.
    pub fn seal(&mut self, number: u64, buf: &mut Vec<u8>, packet_start: usize) {
        assert!(number >= self.next_number && number <= packet::NUMBER_MAX, "packet numbers only go up");
        let epoch = self.current.as_mut().expect("nothing is sealed before the keys are confirmed");
        epoch.keys.seal(number, buf, packet_start);
        epoch.packets += 1;
        self.next_number = number + 1;
    }

    /// Opens in place a data packet that arrived on `carrier`, and marks its number as seen.
    ///
    /// The first packet under new keys starts the end of the old ones, `linger` (three PTOs) later.
    ///
    /// # Errors
    /// [`OpenError`]: the packet must be dropped silently, and nothing has changed.
    pub fn open<'a>(
        &mut self,
        now: Tick,
        linger: impl FnOnce() -> Duration,
        carrier: Carrier,
        bytes: &'a mut [u8],
    ) -> Result<OpenedPacket<'a>, OpenError> {
        let Ok(Packet::Data { receiver, number }) = packet::parse(carrier, bytes) else {
            return Err(OpenError::Malformed);
        };
        let (slot, keys) = self.find(now, receiver).ok_or(OpenError::Index)?;
        if !self.window.is_new(number) {
            return Err(OpenError::Replayed);
        }
        let plain = keys.open(number, bytes)?;
        self.window.mark(number);
        self.record_opened(now, linger, slot, receiver);
        Ok(OpenedPacket { number, plain, confirmed_new: matches!(slot, KeySlot::Unconfirmed) })
    }

    fn find(&self, now: Tick, index: u32) -> Option<(KeySlot, &Keys)> {
        if let Some(epoch) = self.current.as_ref().filter(|epoch| epoch.keys.local_index == index) {
            return Some((KeySlot::Current, &epoch.keys));
        }
        let live = |previous: &&Previous| previous.until.is_none_or(|until| until > now);
        let KeyChange { previous, unconfirmed, .. } = &*self.key_change;
        let previous = previous.as_ref().filter(live).map(|previous| (KeySlot::Previous, &previous.keys));
        let unconfirmed = unconfirmed.iter().map(|keys| (KeySlot::Unconfirmed, keys));
        previous.into_iter().chain(unconfirmed).find(|(_, keys)| keys.local_index == index)
    }

    fn record_opened(&mut self, now: Tick, linger: impl FnOnce() -> Duration, slot: KeySlot, index: u32) {
        match slot {
            KeySlot::Previous => return,
            KeySlot::Current => {}
            KeySlot::Unconfirmed => self.confirm(now, index),
        }
        if let Some(KeyChange { previous: Some(previous), .. }) = self.key_change.get_allocated_mut() {
            previous.until.get_or_insert_with(|| now + linger());
        }
        if let Some(epoch) = &mut self.current {
            epoch.packets += 1;
        }
    }

    /// Uses the waiting keys that the client chose, and frees the others: the client has discarded
    /// those responses.
    fn confirm(&mut self, now: Tick, index: u32) {
        for keys in std::mem::take(&mut self.key_change.unconfirmed) {
            if keys.local_index == index {
                self.key_change.confirmed = Some(keys.handshake()).filter(|handshake| *handshake > 0);
                self.advance(now, keys);
            } else {
                self.key_change.freed.push(keys.local_index);
            }
        }
    }

    fn advance(&mut self, now: Tick, keys: Keys) {
        let epoch = Epoch { keys, since: now, packets: 0 };
        let Some(old) = self.current.replace(epoch) else { return };
        let KeyChange { previous, freed, .. } = &mut *self.key_change;
        if let Some(older) = previous.replace(Previous { keys: old.keys, until: None }) {
            freed.push(older.keys.local_index);
        }
    }

    /// Whether the keys in use are old enough for the client to continue the session with a new
    /// handshake.
    pub fn needs_rekey(&self, now: Tick) -> bool {
        let Lifetime { age, packets } = self.lifetime;
        self.current.as_ref().is_some_and(|epoch| now.since(epoch.since) >= age || epoch.packets >= packets)
    }

    /// Forgets old keys whose time is over.
    pub fn handle_time(&mut self, now: Tick) {
        let is_expired = |previous: &mut Previous| previous.until.is_some_and(|until| until <= now);
        if let Some(KeyChange { previous, freed, .. }) = self.key_change.get_allocated_mut()
            && let Some(previous) = previous.take_if(is_expired)
        {
            freed.push(previous.keys.local_index);
        }
    }

    /// Returns the first time after `now` at which old keys must be forgotten, or those in use
    /// renewed.
    pub fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let renew = self.current.as_ref().map(|epoch| epoch.since + self.lifetime.age);
        let renew = renew.filter(|at| *at > now);
        match &self.key_change.previous {
            None => renew,
            Some(previous) => Tick::earliest([previous.until.filter(|at| *at > now), renew]),
        }
    }

    /// Returns an index to free, which does not lead here any more.
    ///
    /// Call until `None` after every call that adds keys, opens a packet or advances time.
    pub fn next_freed(&mut self) -> Option<u32> {
        let freed = self.key_change.get_allocated_mut()?.freed.pop();
        if freed.is_none() {
            self.key_change.shrink();
        }
        freed
    }

    /// Returns every index that leads here: all must be freed when the session ends.
    pub fn local_indexes(&self) -> impl Iterator<Item = u32> {
        let current = self.current.as_ref().map(|epoch| &epoch.keys);
        let previous = self.key_change.previous.as_ref().map(|previous| &previous.keys);
        let unconfirmed = self.key_change.unconfirmed.iter();
        [current, previous].into_iter().flatten().chain(unconfirmed).map(|keys| keys.local_index)
    }

    /// Returns the highest number opened.
    pub const fn highest_opened(&self) -> Option<u64> {
        self.window.highest()
    }

    /// Whether one pair of keys is in use, and no other is known or must be forgotten. Only such a
    /// keyring can be packed.
    pub fn may_hibernate(&self) -> bool {
        let confirmed = self.current.as_ref().is_some_and(|epoch| epoch.keys.is_without_reset());
        confirmed && self.key_change.is_done() && self.window.highest().is_some()
    }

    /// Appends a quiet keyring to a hibernated session.
    ///
    /// Only the upper end of the replay window is kept: packets sent before and still on the way
    /// are not opened any more.
    pub fn pack(&self, into: &mut Vec<u8>) {
        let epoch = self.current.as_ref().expect("only quiet keyrings are packed, and those have keys");
        epoch.keys.pack(into);
        pack_tick(into, epoch.since);
        pack_number(into, epoch.packets);
        pack_number(into, self.window.highest().expect("a quiet keyring has opened a packet"));
        pack_number(into, self.next_number);
        self.lifetime.pack(into);
    }

    /// Restores a keyring written by [`Keyring::pack`], which has opened and sealed `beats` since.
    pub fn unpack(from: &mut Unpacker<'_>, keep_alives: KeepAliveCount) -> Keyring {
        let count = u64::from(keep_alives.count);
        let current =
            Epoch { keys: Keys::unpack(from), since: from.tick(), packets: from.number() + 2 * count };
        let window = ReplayWindow::after_hibernation(from.number() + count);
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
        let client = 100 + u32::from(epoch);
        let relay = 200 + u32::from(epoch);
        let up = [epoch; 32];
        let down = [epoch + 100; 32];
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
        let mut client = Keyring::new(at(0), client, LIFETIME);
        let mut relay = Keyring::new_unconfirmed(relay, LIFETIME);
        assert!(!relay.can_seal());
        let first = seal(&mut client, 0);
        assert_eq!(open(&mut relay, at(0), &first), Ok((0, true)));
        assert!(relay.can_seal());
        (client, relay)
    }

    /// Packets under old and new keys are opened in any order, until three PTOs after the first new
    /// one.
    // faults.md: R33
    #[test]
    fn rekey_loses_nothing_if_both_epochs_are_reordered() {
        let (mut client, mut relay) = session();
        let old_up = seal(&mut client, 1);
        let old_down = seal(&mut relay, 0);
        let late_down = seal(&mut relay, 1);
        let (new_client, new_relay) = pair(2);
        relay.add_unconfirmed(new_relay);
        let unconfirmed = seal(&mut relay, 2);
        client.switch(at(1), new_client);
        assert_eq!(open(&mut client, at(1), &unconfirmed), Ok((2, false)), "still the old keys");

        let new_a = seal(&mut client, 2);
        let new_b = seal(&mut client, 3);
        assert_eq!(open(&mut relay, at(1), &new_b), Ok((3, true)));
        assert_eq!(open(&mut relay, at(1), &new_a), Ok((2, false)));
        assert_eq!(open(&mut relay, at(1), &old_up), Ok((1, false)), "old keys, behind the new");

        let new_down = seal(&mut relay, 3);
        assert_eq!(open(&mut client, at(2), &new_down), Ok((3, false)));
        assert_eq!(open(&mut client, at(4), &old_down), Ok((0, false)));
        assert_eq!(client.next_deadline(at(4)), Some(at(5)));
        assert_eq!(open(&mut client, at(5), &late_down), Err(OpenError::Index), "three PTOs are over");
        client.handle_time(at(5));
        assert_eq!(client.next_freed(), Some(101));
        assert_eq!(client.next_freed(), None);
        assert_eq!(client.local_indexes().collect::<Vec<_>>(), [102]);
    }

    /// A packet replayed after a rekey is not opened.
    #[test]
    fn replay_window_spans_all_epochs() {
        let (mut client, mut relay) = session();
        let up = seal(&mut client, 1);
        let replay = seal(&mut client, 2);
        assert!(open(&mut relay, at(0), &replay).is_ok());
        let (new_client, new_relay) = pair(2);
        relay.add_unconfirmed(new_relay);
        client.switch(at(1), new_client);
        let ahead = seal(&mut client, 2000);
        assert_eq!(open(&mut relay, at(1), &ahead), Ok((2000, true)));
        assert_eq!(open(&mut relay, at(1), &replay), Err(OpenError::Replayed));
        assert_eq!(open(&mut relay, at(1), &up), Err(OpenError::Replayed), "behind the window");
    }

    #[test]
    fn forged_packet_changes_nothing() {
        let (mut client, mut relay) = session();
        let (new_client, new_relay) = pair(2);
        relay.add_unconfirmed(new_relay);
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

    /// The first packet under waiting keys selects them and frees the others.
    #[test]
    fn client_may_confirm_either_of_two_waiting_handshakes() {
        let (mut client, mut relay) = session();
        relay.add_unconfirmed(pair(2).1);
        relay.add_unconfirmed(pair(3).1);
        relay.add_unconfirmed(pair(4).1);
        assert_eq!(relay.next_freed(), Some(202));
        assert_eq!(relay.next_freed(), None);
        assert_eq!(relay.local_indexes().collect::<Vec<_>>(), [201, 203, 204]);
        client.switch(at(1), pair(3).0);
        let first = seal(&mut client, 1);
        assert_eq!(open(&mut relay, at(1), &first), Ok((1, true)), "not the newest, but received first");
        assert_eq!(relay.next_freed(), Some(204));
        assert_eq!(relay.next_freed(), None);
    }

    #[test]
    fn keys_are_renewed_after_lifetime_or_packet_limit() {
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
    fn sealing_number_twice_panics() {
        let (mut client, _) = session();
        seal(&mut client, 0);
    }
}
