//! The relay's side of handshakes: answers INITs in two steps, before and after curve arithmetic.
//! The specification is in [`session`](super). It allocates no index and keeps no session.
//!
//! Must not depend on: members, and which sessions exist.

use std::fmt;
use std::net::SocketAddr;

use zeroize::Zeroizing;

use crate::base::{Path, PublicKey, Rng, Tick};
use crate::wire::packet::{
    self, HANDSHAKE_LEN, Handshake, INIT_HEADER_LEN, MAC_LEN, Packet, PacketError, RESPONSE_HEADER_LEN,
};

use super::admission::{Admission, HandshakeLimits};
use super::fair_share::Source;
use super::identity::Identity;
use super::initiator::{payload_len, write_noise};
use super::keys::Keys;
use super::mac::Mac1Key;
use super::noise::{self, FreshBytes, NO_PSK, SECOND_OVERHEAD};
use super::payload::{InitPayload, RESPONSE_PAYLOAD_LEN, ResponsePayload, SessionGrant};
use super::replay_cache::{HandshakeCounters, ResponseCache};
use super::reset::{RESET_ID_LEN, ResetKey, ResetToken};
use super::wiped::WipedHandshake;

/// Answers first handshake messages. Keeps no state for unauthenticated clients except fixed-size
/// rate counters, and a bounded amount for authenticated ones.
pub struct Responder {
    identity: Identity,
    mac1: Mac1Key,
    reset: ResetKey,
    /// `None` without limits.
    admission: Option<Admission>,
    counters: HandshakeCounters,
    responses: ResponseCache,
    rng: Rng,
    /// `None`: only `rng` is used, so that a simulation is reproducible.
    fresh: Option<FreshBytes>,
}

/// The reason why a first message gets no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitRejection {
    /// It is not an INIT of this version.
    Malformed(PacketError),
    /// mac1 was not made for our public key.
    Mac1,
    /// mac2 is not zeros and was not made with a cookie that this address received lately. Without
    /// a valid cookie the INIT is not admitted.
    Mac2,
    /// Its source has used up its share.
    Throttled,
    /// A public key is of low order.
    LowOrder,
    /// The seal does not verify: the message is forged.
    Noise,
    /// The payload has an unknown form.
    Payload,
}

impl InitRejection {
    /// Whether curve arithmetic was done before the message was dropped.
    pub const fn was_opened(self) -> bool {
        matches!(self, InitRejection::LowOrder | InitRejection::Noise | InitRejection::Payload)
    }
}

/// The result of a first message.
#[derive(Debug)]
pub enum InitOutcome {
    /// It is dropped, and nothing is sent.
    Rejected(InitRejection),
    /// The message is a repetition. The same response has been appended.
    Repeated,
    /// The message is a repetition from another address, validated by a cookie. The same response
    /// has been appended. This is the relay's index in that response.
    RepeatedElsewhere(u32),
    /// Only a COOKIE has been appended: the address must be validated first.
    CookieSent,
    /// The counter is not above the highest confirmed one of this client. A STALE response has been
    /// appended.
    Stale(PublicKey),
    /// Curve arithmetic is permitted. Call [`Responder::open_init`] after more urgent work.
    Admitted(Source),
    /// A client requests a session. Call [`Responder::accept`], [`Responder::refuse`] or drop it.
    Pending(Box<PendingSession>),
}

/// A handshake under a client's key. The message may still be a replay, or made with another access
/// secret.
///
/// Only the first data packet proves that the client is present and has the secret
/// ([`Responder::confirm`]).
pub struct PendingSession {
    /// The client's public key.
    pub client: PublicKey,
    /// Its request.
    pub payload: InitPayload,
    /// The path of the request, which the response is sent on.
    pub path: Path,
    source: Source,
    remote_index: u32,
    init_mac1: [u8; MAC_LEN],
    noise: WipedHandshake,
}

impl Responder {
    /// Creates a responder for `identity`.
    pub fn new(identity: Identity, limits: HandshakeLimits, mut rng: Rng) -> Responder {
        let admission = Admission::new(limits, &identity.public(), &mut rng);
        Responder {
            mac1: Mac1Key::new(&identity.public()),
            reset: ResetKey::new(&identity, &[0; RESET_ID_LEN]),
            identity,
            admission,
            counters: HandshakeCounters::default(),
            responses: ResponseCache::default(),
            rng,
            fresh: None,
        }
    }

    /// Mixes fresh bytes into the randomness of each handshake.
    pub fn with_fresh_bytes(self, fresh: FreshBytes) -> Responder {
        Responder { fresh: Some(fresh), ..self }
    }

    /// Derives reset tokens from this random id, which is kept across restarts.
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
    /// A response that needs no curve arithmetic is appended to `out`. On UDP it is no longer than
    /// the INIT.
    pub fn check_init(
        &mut self,
        now: Tick,
        path: Path,
        source: SocketAddr,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> InitOutcome {
        self.check(now, path, source, bytes, out).unwrap_or_else(InitOutcome::Rejected)
    }

    /// Opens an INIT that [`Responder::check_init`] has admitted, with the source given there.
    pub fn open_init(
        &mut self,
        now: Tick,
        path: Path,
        source: Source,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> InitOutcome {
        let init = match parse_init(path, bytes) {
            Ok(init) => init,
            Err(rejection) => return InitOutcome::Rejected(rejection),
        };
        // The same message may have arrived twice before it was opened.
        if let Some(response) = self.responses.get(now, path, init.mac1) {
            out.extend_from_slice(response);
            self.admission.iter_mut().for_each(|admission| admission.refund(now, source));
            return InitOutcome::Repeated;
        }
        if let Some(outcome) = self.respond_to_other_address(now, path, &init, out) {
            self.admission.iter_mut().for_each(|admission| admission.refund(now, source));
            return outcome;
        }
        let mut pending = match self.read_init(path, source, &init) {
            Ok(pending) => pending,
            Err(rejection) => {
                self.admission.iter_mut().for_each(|admission| admission.penalize(now, source));
                return InitOutcome::Rejected(rejection);
            }
        };
        match self.counters.highest(&pending.client) {
            Some(highest) if pending.payload.counter <= highest => {
                self.write_response(now, &mut pending, 0, &ResponsePayload::Stale { highest }, out);
                InitOutcome::Stale(pending.client)
            }
            _ => InitOutcome::Pending(pending),
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
    ) -> InitOutcome {
        match self.check_init(now, path, source, bytes, out) {
            InitOutcome::Admitted(source) => self.open_init(now, path, source, bytes, out),
            outcome => outcome,
        }
    }

    /// Exempts this handshake of a known client from the share of its address. The allowance of the
    /// client's key limits that: ten handshakes, then one per second.
    pub fn exempt_known_client(&mut self, now: Tick, pending: &PendingSession) {
        if let Some(admission) = &mut self.admission {
            admission.exempt_known_key(now, pending.source, &pending.client);
        }
    }

    /// Refuses a pending session with STALE: the newest unconfirmed handshake of this client has
    /// the counter `highest`, which is not below this one's.
    ///
    /// A live client starts a new handshake with a counter above `highest` and loses one round
    /// trip. A replay of an old message has no effect.
    pub fn refuse(&mut self, now: Tick, mut pending: Box<PendingSession>, highest: u64, out: &mut Vec<u8>) {
        self.write_response(now, &mut pending, 0, &ResponsePayload::Stale { highest }, out);
    }

    /// Grants a pending session. Appends the response to `out`, which must be sent on the path of
    /// the request.
    ///
    /// The client will send packets under `local_index`. Call [`Responder::confirm`] when the first
    /// of them has been opened. Do not seal with the keys before that (see [`super::Keyring`]).
    pub fn accept(
        &mut self,
        now: Tick,
        mut pending: Box<PendingSession>,
        local_index: u32,
        grant: &SessionGrant,
        out: &mut Vec<u8>,
    ) -> Keys {
        let response = ResponsePayload::Grant(*grant, Some(self.reset_token(local_index)));
        self.write_response(now, &mut pending, local_index, &response, out);
        let split = Zeroizing::new(pending.noise.dangerously_get_raw_split());
        let (recv, send) = *split;
        Keys::new(local_index, pending.remote_index, send, recv).of_handshake(pending.payload.counter)
    }

    /// Records that the client has shown that it has the keys of the handshake with this counter.
    /// Handshakes with lower counters are stale from then on.
    ///
    /// Do not call it earlier: no data packet follows a replayed message or one made without the
    /// access secret.
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
    ) -> Result<InitOutcome, InitRejection> {
        let init = parse_init(path, bytes)?;
        if !self.mac1.verifies(&init) {
            return Err(InitRejection::Mac1);
        }
        if let Some(response) = self.responses.get(now, path, init.mac1) {
            out.extend_from_slice(response);
            return Ok(InitOutcome::Repeated);
        }
        if let Some(outcome) = self.respond_to_other_address(now, path, &init, out) {
            return Ok(outcome);
        }
        let mut source = Source { ip: source.ip(), port: source.port().into(), validated: false };
        if let Some(admission) = &mut self.admission
            && !admission.admit(now, path, &mut source, &init)?
        {
            admission.send_cookie(now, path, &init, &mut self.rng, out);
            return Ok(InitOutcome::CookieSent);
        }
        Ok(InitOutcome::Admitted(source))
    }

    /// Answers a first message that was answered at another address.
    ///
    /// An attacker on the path may send a copy first, from its own address. Each further address is
    /// therefore validated by a cookie, and then receives the same response.
    fn respond_to_other_address(
        &mut self,
        now: Tick,
        path: Path,
        init: &Handshake<'_>,
        out: &mut Vec<u8>,
    ) -> Option<InitOutcome> {
        let (Some(addr), Some(admission)) = (path.udp_peer(), &mut self.admission) else { return None };
        let response = self.responses.get_of_other_path(now, path, init.mac1)?;
        match admission.check_cookie(now, addr, init) {
            Ok(true) => {}
            Ok(false) => {
                admission.send_cookie(now, path, init, &mut self.rng, out);
                return Some(InitOutcome::CookieSent);
            }
            Err(rejection) => return Some(InitOutcome::Rejected(rejection)),
        }
        let Ok(Packet::Response { handshake, .. }) = packet::parse(path.carrier(), response) else {
            return None;
        };
        let index = handshake.sender;
        let start = out.len();
        out.extend_from_slice(response);
        self.responses.insert(now, path, *init.mac1, &out[start..]);
        Some(InitOutcome::RepeatedElsewhere(index))
    }

    fn read_init(
        &mut self,
        path: Path,
        source: Source,
        init: &Handshake<'_>,
    ) -> Result<Box<PendingSession>, InitRejection> {
        let header: &[u8; INIT_HEADER_LEN] =
            init.covered.first_chunk().expect("a parsed INIT has its header");
        let rng = match self.fresh {
            Some(fresh) => noise::handshake_rng(&self.identity, &mut self.rng, fresh),
            None => self.rng.fork(),
        };
        let mut noise = noise::responder(&self.identity, &NO_PSK, header, rng);
        let mut payload = [0; HANDSHAKE_LEN];
        let len = noise.read_message(init.noise, &mut payload).map_err(|error| match error {
            snow::Error::Dh => InitRejection::LowOrder,
            _ => InitRejection::Noise,
        })?;
        let client =
            noise.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(InitRejection::Noise)?;
        let payload = InitPayload::decode(&payload[..len]).ok_or(InitRejection::Payload)?;
        Ok(Box::new(PendingSession {
            client: PublicKey(client),
            payload,
            path,
            source,
            remote_index: init.sender,
            init_mac1: *init.mac1,
            noise,
        }))
    }

    fn write_response(
        &mut self,
        now: Tick,
        pending: &mut PendingSession,
        sender: u32,
        response: &ResponsePayload,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        packet::write_response_header(out, sender, pending.remote_index);
        let payload_len =
            payload_len(pending.path.carrier(), RESPONSE_HEADER_LEN + SECOND_OVERHEAD, RESPONSE_PAYLOAD_LEN);
        write_noise(&mut pending.noise, &response.encode(), payload_len, SECOND_OVERHEAD, out)
            .expect("reading the first message has checked its keys");
        Mac1Key::new(&pending.client).append(out, start);
        self.responses.insert(now, pending.path, pending.init_mac1, &out[start..]);
    }
}

fn parse_init(path: Path, bytes: &[u8]) -> Result<Handshake<'_>, InitRejection> {
    match packet::parse(path.carrier(), bytes) {
        Ok(Packet::Init(init)) => Ok(init),
        Ok(_) => Err(InitRejection::Malformed(PacketError::Type)),
        Err(error) => Err(InitRejection::Malformed(error)),
    }
}

/// Shows only the public key.
impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl fmt::Debug for PendingSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSession")
            .field("client", &self.client)
            .field("payload", &self.payload)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
