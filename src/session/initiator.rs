//! The client's side of a handshake.

use std::fmt;

use snow::HandshakeState;
use zeroize::Zeroizing;

use crate::base::{Carrier, PublicKey, Rng};
use crate::wire::packet::{self, HANDSHAKE_LEN, INIT_HEADER_LEN, MAC_LEN, Packet};

use super::cookie::CookieKey;
use super::identity::Identity;
use super::keys::Keys;
use super::mac::Mac1Key;
use super::noise::{self, FIRST_OVERHEAD, NO_PSK};
use super::payload::{INIT_PAYLOAD_LEN, InitPayload, ResponsePayload, SessionGrant};
use super::wiped::WipedHandshake;

/// The reason why a handshake could not begin, or why a packet does not answer it. A wrong response
/// is dropped, and the handshake continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// Not a handshake packet, or an unknown payload.
    Malformed,
    /// mac1 was made for another receiver.
    Mac1,
    /// It answers another handshake, or one that is finished.
    NotOurs,
    /// A public key of low order (RFC 7748 §6.1).
    LowOrder,
    /// The seal does not verify: another key, another secret, or changed bytes.
    Noise,
}

impl From<snow::Error> for HandshakeError {
    fn from(error: snow::Error) -> HandshakeError {
        match error {
            snow::Error::Dh => HandshakeError::LowOrder,
            _ => HandshakeError::Noise,
        }
    }
}

/// Transmissions with mac2 of one cookie.
///
/// A cookie without a response is discarded. The relay may have restarted, a NAT may have moved the
/// client, or an attacker may have forged the cookie. An INIT without mac2 gets another one.
const COOKIE_USES_MAX: u32 = 2;

/// A handshake that a client has begun. A race over two carriers has two of them.
pub struct Initiator {
    relay: PublicKey,
    noise: Option<WipedHandshake>,
    packet: Vec<u8>,
    carrier: Carrier,
    local_index: u32,
    mac1: Mac1Key,
    cookies: CookieKey,
    cookie_uses: u32,
}

/// The relay's response.
#[derive(Debug)]
pub enum ResponseOutcome {
    /// There are keys. Packets may be sealed with them at once.
    Established(Established),
    /// The counter was too low: begin again above `highest`.
    Stale {
        /// The highest counter that the relay has seen of this identity.
        highest: u64,
    },
}

/// The result of a handshake for the client.
#[derive(Debug)]
pub struct Established {
    /// The relay's key, which it has proved to hold.
    pub relay: PublicKey,
    /// The keys and indexes.
    pub keys: Keys,
    /// The session granted by the relay.
    pub grant: SessionGrant,
}

impl Initiator {
    /// Begins a handshake with the holder of `relay`, which will send packets to us under
    /// `local_index` (from [`super::Indexes`], never 0).
    ///
    /// # Errors
    /// [`HandshakeError::LowOrder`] if the relay's key is of low order.
    pub fn new(
        identity: &Identity,
        relay: &PublicKey,
        payload: &InitPayload,
        local_index: u32,
        carrier: Carrier,
        rng: &mut Rng,
    ) -> Result<Initiator, HandshakeError> {
        let mut packet = Vec::with_capacity(HANDSHAKE_LEN);
        packet::write_init_header(&mut packet, local_index);
        let header = packet[..].try_into().expect("only the header has been written");
        let mut noise = noise::initiator(identity, relay, &NO_PSK, &header, rng.fork());
        let payload_len = payload_len(carrier, INIT_HEADER_LEN + FIRST_OVERHEAD, INIT_PAYLOAD_LEN);
        write_noise(&mut noise, &payload.encode(), payload_len, FIRST_OVERHEAD, &mut packet)?;
        Mac1Key::new(relay).append(&mut packet, 0);
        let mac1 = Mac1Key::new(&identity.public());
        let cookies = CookieKey::new(relay);
        let noise = Some(noise);
        Ok(Initiator { relay: *relay, noise, packet, carrier, local_index, mac1, cookies, cookie_uses: 0 })
    }

    /// Returns the INIT. A retransmission sends the same bytes again, except for mac2.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// Returns the relay's key given to [`Initiator::new`].
    pub const fn relay(&self) -> PublicKey {
        self.relay
    }

    /// Returns the index given to [`Initiator::new`].
    pub const fn local_index(&self) -> u32 {
        self.local_index
    }

    /// Prepares the INIT for one transmission. Removes mac2 after two transmissions with one
    /// cookie.
    pub fn begin_sending(&mut self) {
        self.cookie_uses = self.cookie_uses.saturating_sub(1);
        if self.cookie_uses == 0 {
            self.set_mac2([0; MAC_LEN]);
        }
    }

    /// Handles a packet that may be the COOKIE for the INIT. From then on mac2 is made with it.
    ///
    /// Returns whether the cookie is new, in which case the INIT should be sent again at once.
    ///
    /// # Errors
    /// [`HandshakeError`] if the packet is not such a COOKIE, or the handshake is finished. It must
    /// be dropped.
    pub fn handle_cookie(&mut self, bytes: &[u8]) -> Result<bool, HandshakeError> {
        let Ok(Packet::Cookie { receiver, nonce, sealed }) = packet::parse(self.carrier, bytes) else {
            return Err(HandshakeError::Malformed);
        };
        if receiver != self.local_index || self.noise.is_none() {
            return Err(HandshakeError::NotOurs);
        }
        let mac2_start = self.packet.len() - MAC_LEN;
        let covered = &self.packet[..mac2_start];
        let mac1 = covered.last_chunk().expect("a finished INIT ends with two macs");
        let cookie = self.cookies.open(nonce, mac1, sealed).ok_or(HandshakeError::Noise)?;
        let mac2 = cookie.mac2(covered);
        let is_new = self.packet[mac2_start..] != mac2;
        self.set_mac2(mac2);
        if is_new {
            self.cookie_uses = COOKIE_USES_MAX + 1;
        }
        Ok(is_new)
    }

    fn set_mac2(&mut self, mac2: [u8; MAC_LEN]) {
        let mac2_start = self.packet.len() - MAC_LEN;
        self.packet[mac2_start..].copy_from_slice(&mac2);
    }

    /// Handles a packet that may be the response.
    ///
    /// # Errors
    /// [`HandshakeError`] if it is not. It must be dropped; the true response may still arrive.
    pub fn handle_response(&mut self, bytes: &[u8]) -> Result<ResponseOutcome, HandshakeError> {
        let Ok(Packet::Response { receiver, handshake }) = packet::parse(self.carrier, bytes) else {
            return Err(HandshakeError::Malformed);
        };
        if receiver != self.local_index {
            return Err(HandshakeError::NotOurs);
        }
        if !self.mac1.verifies(&handshake) {
            return Err(HandshakeError::Mac1);
        }
        let noise = self.noise.as_mut().ok_or(HandshakeError::NotOurs)?;
        let mut payload = [0; HANDSHAKE_LEN];
        let len = noise.read_message(handshake.noise, &mut payload)?;
        let split = Zeroizing::new(noise.dangerously_get_raw_split());
        let (send, recv) = *split;
        self.noise = None;
        match ResponsePayload::decode(&payload[..len]).ok_or(HandshakeError::Malformed)? {
            ResponsePayload::Stale { highest } => Ok(ResponseOutcome::Stale { highest }),
            ResponsePayload::Grant(grant, token) => {
                let keys = Keys::new(self.local_index, handshake.sender, send, recv).with_reset(token);
                Ok(ResponseOutcome::Established(Established { relay: self.relay, keys, grant }))
            }
        }
    }
}

/// Shows only the index.
impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").field("local_index", &self.local_index).finish_non_exhaustive()
    }
}

/// Returns the length of a payload: on UDP the rest of the packet, on TCP the length needed.
pub(super) fn payload_len(carrier: Carrier, before: usize, needed: usize) -> usize {
    match carrier {
        Carrier::Udp => HANDSHAKE_LEN - before - 2 * MAC_LEN,
        Carrier::Tcp => needed,
    }
}

/// Appends a Noise message whose payload is `head`, padded with zeros to `payload_len`.
pub(super) fn write_noise(
    noise: &mut HandshakeState,
    head: &[u8],
    payload_len: usize,
    overhead: usize,
    out: &mut Vec<u8>,
) -> Result<(), HandshakeError> {
    let mut payload = [0; HANDSHAKE_LEN];
    payload[..head.len()].copy_from_slice(head);
    let start = out.len();
    out.resize(start + overhead + payload_len, 0);
    let written = noise.write_message(&payload[..payload_len], &mut out[start..])?;
    debug_assert_eq!(written, overhead + payload_len);
    Ok(())
}
