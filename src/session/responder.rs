//! The relay's side of handshakes.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use snow::HandshakeState;

use crate::base::{Path, PublicKey, Rng, Tick};
use crate::wire::packet::{
    self, HANDSHAKE_LEN, Handshake, INIT_HEADER_LEN, MAC_LEN, Packet, PacketError, RESPONSE_HEADER_LEN,
};

use super::cookie::Cookies;
use super::hello::{Hello, REPLY_LEN, Reply, Welcome};
use super::identity::{AccessSecret, Identity};
use super::initiator::{payload_len, write_noise};
use super::keys::Keys;
use super::mac::Mac1Key;
use super::memory::{Answers, Counters};
use super::noise::{self, SECOND_OVERHEAD};
use super::reset::{ResetKey, ResetToken};
use super::throttle::{Load, Throttle};

/// One handshake of a source each 200 ms in the long run: 5 a second.
const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(200);
/// Handshakes of a source at once after a pause.
const HANDSHAKES_BURST: u32 = 10;

/// Whether the relay limits handshakes, of one source and of all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeLimits {
    /// 5 a second, 10 at once, per IPv4 address or IPv6 /64; loopback exempt, identical repeats not counted. Above 100 a
    /// second in all: cookies, for everybody on UDP.
    On,
    /// None (`--limits off`, for benchmarks on loopback).
    Off,
}

/// Answers first handshake messages. Keeps no state for who has not authenticated, and a bounded amount for who has.
pub struct Responder {
    identity: Identity,
    psk: AccessSecret,
    mac1: Mac1Key,
    reset: ResetKey,
    /// `None`: without limits.
    gate: Option<Gate>,
    counters: Counters,
    answers: Answers,
    rng: Rng,
}

/// What stands before curve arithmetic.
struct Gate {
    load: Load,
    cookies: Cookies,
    /// Sources whose address may be forged, and those that have proved it. Each has the whole rate, counted apart: so that
    /// who forges an address takes nothing from its owner.
    unproven: Throttle,
    proven: Throttle,
}

/// Why a first message gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitDrop {
    /// No INIT of this version.
    Malformed(PacketError),
    /// Not made for our public key.
    Mac1,
    /// mac2 is there, and not of a cookie that this address has been given lately.
    Mac2,
    /// Its source has had its share.
    Throttled,
    /// A public key of low order.
    LowOrder,
    /// The seal does not fit: forged.
    Noise,
    /// Nothing known inside.
    Payload,
}

impl InitDrop {
    /// Whether curve arithmetic was done before it was dropped.
    pub const fn is_late(self) -> bool {
        matches!(self, InitDrop::LowOrder | InitDrop::Noise | InitDrop::Payload)
    }
}

/// What became of a first message.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing is sent.
    Drop(InitDrop),
    /// The same message again: the same answer has been appended.
    Repeat,
    /// Only a COOKIE has been appended: the address is to be proved first.
    Cookie,
    /// A message with an old counter: the answer that says so has been appended.
    Stale(PublicKey),
    /// A client asks for a session: [`Responder::accept`] it, or let it fall.
    Offer(Box<Offer>),
}

/// A client that has authenticated, though perhaps by a replay or with another access secret: only its first data packet
/// proves that it is there and may be.
pub struct Offer {
    /// Who it is.
    pub client: PublicKey,
    /// What it wants.
    pub hello: Hello,
    /// Where it asked, and where the answer goes.
    pub path: Path,
    remote_index: u32,
    init_mac1: [u8; MAC_LEN],
    noise: HandshakeState,
}

impl Responder {
    /// A responder for `identity`; `psk` as every client must know it.
    pub fn new(identity: Identity, psk: AccessSecret, limits: HandshakeLimits, mut rng: Rng) -> Responder {
        let gate = (limits == HandshakeLimits::On).then(|| Gate::new(&identity.public(), &mut rng));
        Responder {
            mac1: Mac1Key::new(&identity.public()),
            reset: ResetKey::new(&identity),
            identity,
            psk,
            gate,
            counters: Counters::default(),
            answers: Answers::default(),
            rng,
        }
    }

    /// The relay's public key.
    pub const fn public(&self) -> PublicKey {
        self.identity.public()
    }

    /// Takes in an INIT that came on `path` from the address `source`. An answer already due is appended to `out`; on
    /// UDP it is as long as the INIT.
    pub fn handle_init(
        &mut self,
        now: Tick,
        path: Path,
        source: IpAddr,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Verdict {
        self.check_init(now, path, source, bytes, out).unwrap_or_else(Verdict::Drop)
    }

    /// Grants an offer a session: appends the answer to `out`, to be sent on the offer's path, and remembers the
    /// counter. The client will send packets under `local_index`.
    ///
    /// Nothing may be sealed with the keys before a packet has been opened with them (see [`super::Keyring`]).
    pub fn accept(
        &mut self,
        now: Tick,
        mut offer: Box<Offer>,
        local_index: u32,
        welcome: &Welcome,
        out: &mut Vec<u8>,
    ) -> Keys {
        self.counters.raise(offer.client, offer.hello.counter);
        let reply = Reply::Welcome(*welcome, Some(self.reset_token(local_index)));
        self.answer(now, &mut offer, local_index, &reply, out);
        let (recv, send) = offer.noise.dangerously_get_raw_split();
        Keys::new(local_index, offer.remote_index, send, recv)
    }

    /// What a RESET of `index` holds.
    pub fn reset_token(&self, index: u32) -> ResetToken {
        self.reset.token(index)
    }

    fn check_init(
        &mut self,
        now: Tick,
        path: Path,
        source: IpAddr,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Verdict, InitDrop> {
        let init = match packet::parse(path.carrier(), bytes) {
            Ok(Packet::Init(init)) => init,
            Ok(_) => return Err(InitDrop::Malformed(PacketError::Type)),
            Err(error) => return Err(InitDrop::Malformed(error)),
        };
        if !self.mac1.verifies(&init) {
            return Err(InitDrop::Mac1);
        }
        if let Some(answer) = self.answers.get(now, path, init.mac1) {
            out.extend_from_slice(answer);
            return Ok(Verdict::Repeat);
        }
        if let Some(gate) = &mut self.gate
            && !gate.admits(now, path, source, &init)?
        {
            gate.ask(now, path, &init, &mut self.rng, out);
            return Ok(Verdict::Cookie);
        }
        let mut offer = self.read_init(path, &init)?;
        match self.counters.highest(&offer.client) {
            Some(highest) if offer.hello.counter <= highest => {
                self.answer(now, &mut offer, 0, &Reply::Stale { highest }, out);
                Ok(Verdict::Stale(offer.client))
            }
            _ => Ok(Verdict::Offer(offer)),
        }
    }

    fn read_init(&mut self, path: Path, init: &Handshake<'_>) -> Result<Box<Offer>, InitDrop> {
        let header: &[u8; INIT_HEADER_LEN] = init.covered.first_chunk().expect("the packet has been parsed");
        let mut noise = noise::responder(&self.identity, &self.psk, header, self.rng.fork());
        let mut payload = [0; HANDSHAKE_LEN];
        let len = noise.read_message(init.noise, &mut payload).map_err(|error| match error {
            snow::Error::Dh => InitDrop::LowOrder,
            _ => InitDrop::Noise,
        })?;
        let client = noise.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(InitDrop::Noise)?;
        let hello = Hello::decode(&payload[..len]).ok_or(InitDrop::Payload)?;
        let (remote_index, init_mac1) = (init.sender, *init.mac1);
        Ok(Box::new(Offer { client: PublicKey(client), hello, path, remote_index, init_mac1, noise }))
    }

    fn answer(&mut self, now: Tick, offer: &mut Offer, sender: u32, reply: &Reply, out: &mut Vec<u8>) {
        let start = out.len();
        packet::write_response_header(out, sender, offer.remote_index);
        let payload_len = payload_len(offer.path.carrier(), RESPONSE_HEADER_LEN + SECOND_OVERHEAD, REPLY_LEN);
        write_noise(&mut offer.noise, &reply.encode(), payload_len, SECOND_OVERHEAD, out)
            .expect("the keys of the first message have been checked by reading it");
        Mac1Key::new(&offer.client).append(out, start);
        self.answers.insert(now, offer.path, offer.init_mac1, &out[start..]);
    }
}

impl Gate {
    fn new(relay: &PublicKey, rng: &mut Rng) -> Gate {
        let mut key = [0; 32];
        rng.fill(&mut key);
        let throttle = || Throttle::new(key, HANDSHAKE_INTERVAL, HANDSHAKES_BURST);
        let (unproven, proven) = (throttle(), throttle());
        Gate { load: Load::default(), cookies: Cookies::new(relay), unproven, proven }
    }

    /// Whether curve arithmetic may be done for this INIT: at once, or not before its address is proved. A TCP connection
    /// has proved it by being open.
    fn admits(
        &mut self,
        now: Tick,
        path: Path,
        source: IpAddr,
        init: &Handshake<'_>,
    ) -> Result<bool, InitDrop> {
        let under_load = self.load.count(now);
        let has_mac2 = *init.mac2 != [0; MAC_LEN];
        let is_proven = match path {
            Path::Tcp(_) => true,
            Path::Udp(addr) => has_mac2 && self.cookies.verifies(now, addr, init),
        };
        if is_proven {
            return if self.proven.admits(now, source) { Ok(true) } else { Err(InitDrop::Throttled) };
        }
        let admitted = !under_load && self.unproven.admits(now, source);
        if has_mac2 && !admitted { Err(InitDrop::Mac2) } else { Ok(admitted) }
    }

    fn ask(&mut self, now: Tick, path: Path, init: &Handshake<'_>, rng: &mut Rng, out: &mut Vec<u8>) {
        if let Path::Udp(addr) = path {
            self.cookies.answer(now, addr, init, rng, out);
        }
    }
}

/// Shows the public key only.
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
