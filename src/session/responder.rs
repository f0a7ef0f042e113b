//! The relay's side of handshakes.

use std::fmt;
use std::net::SocketAddr;

use snow::HandshakeState;

use crate::base::{Path, PublicKey, Rng, Tick};
use crate::wire::packet::{
    self, HANDSHAKE_LEN, Handshake, INIT_HEADER_LEN, MAC_LEN, Packet, PacketError, RESPONSE_HEADER_LEN,
};

use super::fair_share::Source;
use super::gate::{Gate, HandshakeLimits};
use super::hello::{Hello, REPLY_LEN, Reply, Welcome};
use super::identity::{AccessSecret, Identity};
use super::initiator::{payload_len, write_noise};
use super::keys::Keys;
use super::mac::Mac1Key;
use super::memory::{Answers, Counters};
use super::noise::{self, SECOND_OVERHEAD};
use super::reset::{RESET_ID_LEN, ResetKey, ResetToken};

/// Answers first handshake messages. Keeps no state for unauthenticated clients, and a bounded
/// amount for authenticated ones.
pub struct Responder {
    identity: Identity,
    psk: AccessSecret,
    mac1: Mac1Key,
    reset: ResetKey,
    /// `None` without limits.
    gate: Option<Gate>,
    counters: Counters,
    answers: Answers,
    rng: Rng,
}

/// The reason why a first message gets no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitDrop {
    /// It is not an INIT of this version.
    Malformed(PacketError),
    /// mac1 was not made for our public key.
    Mac1,
    /// mac2 is not zeros, and not made with a cookie that this address received lately.
    Mac2,
    /// Its source has used up its share.
    Throttled,
    /// A public key is of low order.
    LowOrder,
    /// The seal does not verify: forged.
    Noise,
    /// The payload has an unknown form.
    Payload,
}

impl InitDrop {
    /// Whether curve arithmetic was done before the message was dropped.
    pub const fn is_late(self) -> bool {
        matches!(self, InitDrop::LowOrder | InitDrop::Noise | InitDrop::Payload)
    }
}

/// The result of a first message.
#[derive(Debug)]
pub enum Verdict {
    /// It is dropped, and nothing is sent.
    Drop(InitDrop),
    /// The message is a repetition. The same response has been appended.
    Repeat,
    /// The message is a repetition from another address, which has proved itself by a cookie. The
    /// same response has been appended; it contains this index of ours.
    Elsewhere(u32),
    /// Only a COOKIE has been appended: the address must be validated first.
    Cookie,
    /// The counter is an old one. A STALE response has been appended.
    Stale(PublicKey),
    /// It may cost curve arithmetic. Call [`Responder::open_init`] after more urgent work.
    Admitted(Source),
    /// A client requests a session. Call [`Responder::accept`], [`Responder::refuse`] or drop it.
    Offer(Box<Offer>),
}

/// A client that has authenticated, perhaps by a replay or with another access secret.
///
/// Only its first data packet proves that it is present and has the secret
/// ([`Responder::confirm`]).
pub struct Offer {
    /// The client's public key.
    pub client: PublicKey,
    /// Its request.
    pub hello: Hello,
    /// The path it asked on, which the response is sent on.
    pub path: Path,
    source: Source,
    remote_index: u32,
    init_mac1: [u8; MAC_LEN],
    noise: HandshakeState,
}

impl Responder {
    /// Creates a responder for `identity`. Every client must know `psk`.
    pub fn new(identity: Identity, psk: AccessSecret, limits: HandshakeLimits, mut rng: Rng) -> Responder {
        let gate = Gate::new(limits, &identity.public(), &mut rng);
        Responder {
            mac1: Mac1Key::new(&identity.public()),
            reset: ResetKey::new(&identity, &[0; RESET_ID_LEN]),
            identity,
            psk,
            gate,
            counters: Counters::default(),
            answers: Answers::default(),
            rng,
        }
    }

    /// Derives resets from this random id, which a restart keeps.
    ///
    /// A copy of the relay's private key in a folder with another id cannot reset this relay's
    /// sessions.
    pub fn with_reset_id(self, id: &[u8; RESET_ID_LEN]) -> Responder {
        Responder { reset: ResetKey::new(&self.identity, id), ..self }
    }

    /// Returns the relay's public key.
    pub const fn public(&self) -> PublicKey {
        self.identity.public()
    }

    /// Handles an INIT that arrived on `path` from `source`, without curve arithmetic.
    ///
    /// A response already due is appended to `out`. On UDP it is no longer than the INIT.
    pub fn check_init(
        &mut self,
        now: Tick,
        path: Path,
        source: SocketAddr,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Verdict {
        self.check(now, path, source, bytes, out).unwrap_or_else(Verdict::Drop)
    }

    /// Opens an INIT that [`Responder::check_init`] has admitted, with the source given there.
    pub fn open_init(
        &mut self,
        now: Tick,
        path: Path,
        source: Source,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Verdict {
        let init = match parse_init(path, bytes) {
            Ok(init) => init,
            Err(why) => return Verdict::Drop(why),
        };
        // The same message may have arrived twice before it was opened.
        if let Some(answer) = self.answers.get(now, path, init.mac1) {
            out.extend_from_slice(answer);
            self.gate.iter_mut().for_each(|gate| gate.refund(now, source));
            return Verdict::Repeat;
        }
        if let Some(verdict) = self.answer_elsewhere(now, path, &init, out) {
            self.gate.iter_mut().for_each(|gate| gate.refund(now, source));
            return verdict;
        }
        let mut offer = match self.read_init(path, source, &init) {
            Ok(offer) => offer,
            Err(why) => {
                self.gate.iter_mut().for_each(|gate| gate.fine(now, source));
                return Verdict::Drop(why);
            }
        };
        match self.counters.highest(&offer.client) {
            Some(highest) if offer.hello.counter <= highest => {
                self.answer(now, &mut offer, 0, &Reply::Stale { highest }, out);
                Verdict::Stale(offer.client)
            }
            _ => Verdict::Offer(offer),
        }
    }

    /// Checks and opens an INIT in one step.
    pub fn handle_init(
        &mut self,
        now: Tick,
        path: Path,
        source: SocketAddr,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Verdict {
        match self.check_init(now, path, source, bytes, out) {
            Verdict::Admitted(source) => self.open_init(now, path, source, bytes, out),
            verdict => verdict,
        }
    }

    /// Records that an offer is of a known client. Its handshakes do not count against others at
    /// its address.
    pub fn note_known(&mut self, now: Tick, offer: &Offer) {
        if let Some(gate) = &mut self.gate {
            gate.forgive(now, offer.source, &offer.client);
        }
    }

    /// Answers an offer as STALE: one of the same client has a counter of at least its own,
    /// `highest`.
    ///
    /// A client that is present begins again above it and loses one round trip. A replay of an old
    /// message has no effect.
    pub fn refuse(&mut self, now: Tick, mut offer: Box<Offer>, highest: u64, out: &mut Vec<u8>) {
        self.answer(now, &mut offer, 0, &Reply::Stale { highest }, out);
    }

    /// Grants an offer a session. Appends the response to `out`, which must be sent on the offer's
    /// path.
    ///
    /// The client will send packets under `local_index`. Call [`Responder::confirm`] when the first
    /// of them has been opened. Do not seal with the keys before that (see [`super::Keyring`]).
    pub fn accept(
        &mut self,
        now: Tick,
        mut offer: Box<Offer>,
        local_index: u32,
        welcome: &Welcome,
        out: &mut Vec<u8>,
    ) -> Keys {
        let reply = Reply::Welcome(*welcome, Some(self.reset_token(local_index)));
        self.answer(now, &mut offer, local_index, &reply, out);
        let (recv, send) = offer.noise.dangerously_get_raw_split();
        Keys::new(local_index, offer.remote_index, send, recv).of_handshake(offer.hello.counter)
    }

    /// Records that the client has shown that it has the keys of the handshake with this counter.
    /// Handshakes with lower counters are stale from then on.
    ///
    /// Not earlier: a message that is replayed, or made without the access secret, is not followed
    /// by a data packet.
    pub fn confirm(&mut self, client: PublicKey, counter: u64) {
        self.counters.raise(client, counter);
    }

    /// Returns the content of a RESET of `index`.
    pub fn reset_token(&self, index: u32) -> ResetToken {
        self.reset.token(index)
    }

    fn check(
        &mut self,
        now: Tick,
        path: Path,
        source: SocketAddr,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Verdict, InitDrop> {
        let init = parse_init(path, bytes)?;
        if !self.mac1.verifies(&init) {
            return Err(InitDrop::Mac1);
        }
        if let Some(answer) = self.answers.get(now, path, init.mac1) {
            out.extend_from_slice(answer);
            return Ok(Verdict::Repeat);
        }
        if let Some(verdict) = self.answer_elsewhere(now, path, &init, out) {
            return Ok(verdict);
        }
        let mut source = Source { ip: source.ip(), port: source.port().into(), proven: false };
        if let Some(gate) = &mut self.gate
            && !gate.admits(now, path, &mut source, &init)?
        {
            gate.ask(now, path, &init, &mut self.rng, out);
            return Ok(Verdict::Cookie);
        }
        Ok(Verdict::Admitted(source))
    }

    /// Answers a first message that was answered at another address.
    ///
    /// An attacker on the path may send a copy first, from its own address. So each further address
    /// must prove itself by a cookie, and then receives the same response.
    fn answer_elsewhere(
        &mut self,
        now: Tick,
        path: Path,
        init: &Handshake<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Verdict> {
        let (Some(addr), Some(gate)) = (path.udp_peer(), &mut self.gate) else { return None };
        let answer = self.answers.elsewhere(now, path, init.mac1)?;
        match gate.proves(now, addr, init) {
            Ok(true) => {}
            Ok(false) => {
                gate.ask(now, path, init, &mut self.rng, out);
                return Some(Verdict::Cookie);
            }
            Err(why) => return Some(Verdict::Drop(why)),
        }
        let Ok(Packet::Response { handshake, .. }) = packet::parse(path.carrier(), answer) else {
            return None;
        };
        let index = handshake.sender;
        let start = out.len();
        out.extend_from_slice(answer);
        self.answers.insert(now, path, *init.mac1, &out[start..]);
        Some(Verdict::Elsewhere(index))
    }

    fn read_init(
        &mut self,
        path: Path,
        source: Source,
        init: &Handshake<'_>,
    ) -> Result<Box<Offer>, InitDrop> {
        let header: &[u8; INIT_HEADER_LEN] =
            init.covered.first_chunk().expect("a parsed INIT has its header");
        let mut noise = noise::responder(&self.identity, &self.psk, header, self.rng.fork());
        let mut payload = [0; HANDSHAKE_LEN];
        let len = noise.read_message(init.noise, &mut payload).map_err(|error| match error {
            snow::Error::Dh => InitDrop::LowOrder,
            _ => InitDrop::Noise,
        })?;
        let client = noise.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(InitDrop::Noise)?;
        let hello = Hello::decode(&payload[..len]).ok_or(InitDrop::Payload)?;
        Ok(Box::new(Offer {
            client: PublicKey(client),
            hello,
            path,
            source,
            remote_index: init.sender,
            init_mac1: *init.mac1,
            noise,
        }))
    }

    fn answer(&mut self, now: Tick, offer: &mut Offer, sender: u32, reply: &Reply, out: &mut Vec<u8>) {
        let start = out.len();
        packet::write_response_header(out, sender, offer.remote_index);
        let payload_len = payload_len(offer.path.carrier(), RESPONSE_HEADER_LEN + SECOND_OVERHEAD, REPLY_LEN);
        write_noise(&mut offer.noise, &reply.encode(), payload_len, SECOND_OVERHEAD, out)
            .expect("reading the first message has checked its keys");
        Mac1Key::new(&offer.client).append(out, start);
        self.answers.insert(now, offer.path, offer.init_mac1, &out[start..]);
    }
}

fn parse_init(path: Path, bytes: &[u8]) -> Result<Handshake<'_>, InitDrop> {
    match packet::parse(path.carrier(), bytes) {
        Ok(Packet::Init(init)) => Ok(init),
        Ok(_) => Err(InitDrop::Malformed(PacketError::Type)),
        Err(error) => Err(InitDrop::Malformed(error)),
    }
}

/// Shows only the public key.
impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("client", &self.client)
            .field("hello", &self.hello)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
