//! The sealed payloads of the two handshake messages.

use crate::base::Rng;
use crate::wire::packet::RESET_TOKEN_LEN;

use super::reset::ResetToken;

/// The random name of one session of a relay, with which a later handshake continues it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl SessionId {
    /// Creates a random id. All zeros mean none and are never returned.
    pub fn random(rng: &mut Rng) -> SessionId {
        let mut id = [0; 16];
        rng.fill(&mut id);
        id[0] |= u8::from(id == [0; 16]);
        SessionId(id)
    }
}

/// The payload of the first message: the client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitPayload {
    /// Higher than in every earlier handshake of this identity: `max(clock, last + 1)`, stored
    /// durably before it is sent.
    pub counter: u64,
    /// The session to continue under new keys, if any.
    pub continues: Option<SessionId>,
}

/// The payload of the second message if a session is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionGrant {
    /// The session that the keys are for.
    pub session: SessionId,
    /// Whether that is the requested one, so that packet numbers and streams continue.
    pub continued: bool,
    /// Whether the relay knows the client's key as a member's.
    ///
    /// Such a client has full credit on every stream from the start. Others get it with the welcome
    /// of the sign-in.
    pub member: bool,
}

/// The payload of the second message.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResponsePayload {
    /// A session.
    Grant(SessionGrant, Option<ResetToken>),
    /// The counter was not above `highest`: try again.
    Stale {
        /// The highest counter seen of this identity.
        highest: u64,
    },
}

/// Length of a [`InitPayload`] without padding, in bytes.
pub(super) const INIT_PAYLOAD_LEN: usize = 24;
/// Length of a [`ResponsePayload`] without padding, in bytes.
pub(super) const RESPONSE_PAYLOAD_LEN: usize = 18 + RESET_TOKEN_LEN;

const KIND_GRANT: u8 = 1;
const KIND_STALE: u8 = 2;
const FLAG_CONTINUED: u8 = 1;
const FLAG_MEMBER: u8 = 2;

impl InitPayload {
    pub(super) fn encode(&self) -> [u8; INIT_PAYLOAD_LEN] {
        let mut bytes = [0; INIT_PAYLOAD_LEN];
        bytes[..8].copy_from_slice(&self.counter.to_be_bytes());
        bytes[8..].copy_from_slice(&self.continues.map_or([0; 16], |session| session.0));
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<InitPayload> {
        let (counter, rest) = bytes.split_first_chunk()?;
        let session = *rest.first_chunk()?;
        let continues = (session != [0; 16]).then_some(SessionId(session));
        Some(InitPayload { counter: u64::from_be_bytes(*counter), continues })
    }
}

impl ResponsePayload {
    pub(super) fn encode(&self) -> [u8; RESPONSE_PAYLOAD_LEN] {
        let mut bytes = [0; RESPONSE_PAYLOAD_LEN];
        match self {
            ResponsePayload::Grant(grant, token) => {
                bytes[0] = KIND_GRANT;
                bytes[1] = if grant.continued { FLAG_CONTINUED } else { 0 };
                bytes[1] |= if grant.member { FLAG_MEMBER } else { 0 };
                bytes[2..18].copy_from_slice(&grant.session.0);
                bytes[18..].copy_from_slice(&token.map_or([0; RESET_TOKEN_LEN], |token| token.0));
            }
            ResponsePayload::Stale { highest } => {
                bytes[0] = KIND_STALE;
                bytes[2..10].copy_from_slice(&highest.to_be_bytes());
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<ResponsePayload> {
        let bytes: &[u8; RESPONSE_PAYLOAD_LEN] = bytes.first_chunk()?;
        let body = &bytes[2..];
        match bytes[0] {
            KIND_GRANT => {
                let (session, token) = body.split_first_chunk()?;
                let token = *token.first_chunk()?;
                let continued = bytes[1] & FLAG_CONTINUED != 0;
                let member = bytes[1] & FLAG_MEMBER != 0;
                let token = (token != [0; RESET_TOKEN_LEN]).then_some(ResetToken(token));
                Some(ResponsePayload::Grant(
                    SessionGrant { session: SessionId(*session), continued, member },
                    token,
                ))
            }
            KIND_STALE => Some(ResponsePayload::Stale { highest: u64::from_be_bytes(*body.first_chunk()?) }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_decode_with_any_trailing_bytes() {
        for continues in [None, Some(SessionId([9; 16]))] {
            let payload = InitPayload { counter: u64::MAX, continues };
            let bytes = [&payload.encode()[..], &[7; 100]].concat();
            assert_eq!(InitPayload::decode(&bytes), Some(payload));
            assert_eq!(InitPayload::decode(&bytes[..INIT_PAYLOAD_LEN - 1]), None);
        }
        let session = SessionId([3; 16]);
        for reply in [
            ResponsePayload::Stale { highest: u64::MAX },
            ResponsePayload::Grant(
                SessionGrant { session, continued: true, member: true },
                Some(ResetToken([5; 16])),
            ),
            ResponsePayload::Grant(SessionGrant { session, continued: false, member: false }, None),
        ] {
            let bytes = [&reply.encode()[..], &[7; 100]].concat();
            let read = ResponsePayload::decode(&bytes).unwrap();
            assert_eq!(read.encode(), reply.encode());
            assert!(ResponsePayload::decode(&bytes[..RESPONSE_PAYLOAD_LEN - 1]).is_none());
        }
        assert!(ResponsePayload::decode(&[3; RESPONSE_PAYLOAD_LEN]).is_none());
    }
}
