//! The client's side of a handshake.

use std::fmt;

use snow::HandshakeState;

use crate::base::{Carrier, PublicKey, Rng};
use crate::wire::packet::{self, HANDSHAKE_LEN, INIT_HEADER_LEN, MAC_LEN, Packet};

use super::cookie::CookieKey;
use super::hello::{HELLO_LEN, Hello, Reply, Welcome};
use super::identity::{AccessSecret, Identity};
use super::keys::Keys;
use super::mac::Mac1Key;
use super::noise::{self, FIRST_OVERHEAD};

/// Why a handshake could not begin, or a packet did not answer it. A wrong answer is dropped; the handshake goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// No handshake packet, or nothing known inside.
    Malformed,
    /// A mac1 that is not for us.
    Mac1,
    /// An answer to another handshake, or to one that is finished.
    NotOurs,
    /// A public key of low order (RFC 7748 §6.1).
    LowOrder,
    /// The seal does not fit: another key, another secret, or changed bytes.
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

/// Sendings that carry mac2 of one cookie. A cookie that earns no answer is let go: the relay may have started again, a NAT
/// may have moved the client, or somebody on the way may have made it up; asked without it, the relay gives another.
const COOKIE_USES_MAX: u32 = 2;

/// A handshake a client has begun; one for each attempt, so that a race over two carriers has two of them.
pub struct Initiator {
    relay: PublicKey,
    noise: Option<Box<HandshakeState>>,
    packet: Vec<u8>,
    carrier: Carrier,
    local_index: u32,
    mac1: Mac1Key,
    cookies: CookieKey,
    cookie_uses: u32,
}

/// What the relay has answered.
#[derive(Debug)]
pub enum Answered {
    /// There are keys; packets may be sealed with them at once.
    Established(Established),
    /// The hello's counter was too low: begin again above `highest`.
    Stale {
        /// The highest counter the relay has seen of this identity.
        highest: u64,
    },
}

/// What a handshake has given the client.
#[derive(Debug)]
pub struct Established {
    /// The relay's key, which it has proved to hold.
    pub relay: PublicKey,
    /// The keys and indexes.
    pub keys: Keys,
    /// What the relay said.
    pub welcome: Welcome,
}

impl Initiator {
    /// Begins a handshake with the holder of `relay`, who will send us packets under `local_index` (from
    /// [`super::Indexes`], never 0).
    ///
    /// # Errors
    /// [`HandshakeError::LowOrder`] if the relay's key is of low order.
    pub fn new(
        identity: &Identity,
        relay: &PublicKey,
        psk: &AccessSecret,
        hello: &Hello,
        local_index: u32,
        carrier: Carrier,
        rng: &mut Rng,
    ) -> Result<Initiator, HandshakeError> {
        let mut packet = Vec::with_capacity(HANDSHAKE_LEN);
        packet::write_init_header(&mut packet, local_index);
        let header = packet[..].try_into().expect("an INIT's header has that length");
        let mut noise = noise::initiator(identity, relay, psk, &header, rng.fork());
        let payload_len = payload_len(carrier, INIT_HEADER_LEN + FIRST_OVERHEAD, HELLO_LEN);
        write_noise(&mut noise, &hello.encode(), payload_len, FIRST_OVERHEAD, &mut packet)?;
        Mac1Key::new(relay).append(&mut packet, 0);
        let mac1 = Mac1Key::new(&identity.public());
        let cookies = CookieKey::new(relay);
        let noise = Some(Box::new(noise));
        Ok(Initiator { relay: *relay, noise, packet, carrier, local_index, mac1, cookies, cookie_uses: 0 })
    }

    /// The INIT; a retransmission sends the same bytes again, but for mac2.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// The relay's key given to [`Initiator::new`].
    pub const fn relay(&self) -> PublicKey {
        self.relay
    }

    /// The index given to [`Initiator::new`].
    pub const fn local_index(&self) -> u32 {
        self.local_index
    }

    /// The INIT is about to be sent; a cookie serves two sendings.
    pub fn begin_sending(&mut self) {
        self.cookie_uses = self.cookie_uses.saturating_sub(1);
        if self.cookie_uses == 0 {
            self.set_mac2([0; MAC_LEN]);
        }
    }

    /// Takes in a packet that may be the COOKIE that answers the INIT: from now on mac2 is made with it. Whether that is
    /// news, so that the INIT should be sent again at once.
    ///
    /// # Errors
    /// [`HandshakeError`] if it is not, or if the handshake is finished: to be dropped.
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

    /// Takes in a packet that may be the answer.
    ///
    /// # Errors
    /// [`HandshakeError`] if it is not: to be dropped, the true answer may still come.
    pub fn handle_response(&mut self, bytes: &[u8]) -> Result<Answered, HandshakeError> {
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
        let (send, recv) = noise.dangerously_get_raw_split();
        self.noise = None;
        match Reply::decode(&payload[..len]).ok_or(HandshakeError::Malformed)? {
            Reply::Stale { highest } => Ok(Answered::Stale { highest }),
            Reply::Welcome(welcome, token) => {
                let keys = Keys::new(self.local_index, handshake.sender, send, recv).with_reset(token);
                Ok(Answered::Established(Established { relay: self.relay, keys, welcome }))
            }
        }
    }
}

/// Shows the index only.
impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").field("local_index", &self.local_index).finish_non_exhaustive()
    }
}

/// The length of a payload: on UDP what fills the packet, on TCP what is needed.
pub(super) fn payload_len(carrier: Carrier, before: usize, needed: usize) -> usize {
    match carrier {
        Carrier::Udp => HANDSHAKE_LEN - before - 2 * MAC_LEN,
        Carrier::Tcp => needed,
    }
}

/// Appends a Noise message whose payload is `head` and zeros up to `payload_len`.
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
