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
pub struct Hello {
    /// Higher than in every earlier handshake of this identity: `max(clock, last + 1)`, stored
    /// durably before it is sent.
    pub counter: u64,
    /// The session to continue under new keys, if any.
    pub continues: Option<SessionId>,
}

/// The payload of the second message if a session is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
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
pub(super) enum Reply {
    /// A session.
    Welcome(Welcome, Option<ResetToken>),
    /// The counter was not above `highest`: try again.
    Stale {
        /// The highest counter seen of this identity.
        highest: u64,
    },
}

/// Length of a [`Hello`] without padding, in bytes.
pub(super) const HELLO_LEN: usize = 24;
/// Length of a [`Reply`] without padding, in bytes.
pub(super) const REPLY_LEN: usize = 18 + RESET_TOKEN_LEN;

const KIND_WELCOME: u8 = 1;
const KIND_STALE: u8 = 2;
const FLAG_CONTINUED: u8 = 1;
const FLAG_MEMBER: u8 = 2;

impl Hello {
    pub(super) fn encode(&self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..8].copy_from_slice(&self.counter.to_be_bytes());
        bytes[8..].copy_from_slice(&self.continues.map_or([0; 16], |session| session.0));
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Hello> {
        let (counter, rest) = bytes.split_first_chunk()?;
        let session = *rest.first_chunk()?;
        let continues = (session != [0; 16]).then_some(SessionId(session));
        Some(Hello { counter: u64::from_be_bytes(*counter), continues })
    }
}

impl Reply {
    pub(super) fn encode(&self) -> [u8; REPLY_LEN] {
        let mut bytes = [0; REPLY_LEN];
        match self {
            Reply::Welcome(welcome, token) => {
                bytes[0] = KIND_WELCOME;
                bytes[1] = if welcome.continued { FLAG_CONTINUED } else { 0 };
                bytes[1] |= if welcome.member { FLAG_MEMBER } else { 0 };
                bytes[2..18].copy_from_slice(&welcome.session.0);
                bytes[18..].copy_from_slice(&token.map_or([0; RESET_TOKEN_LEN], |token| token.0));
            }
            Reply::Stale { highest } => {
                bytes[0] = KIND_STALE;
                bytes[2..10].copy_from_slice(&highest.to_be_bytes());
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Reply> {
        let bytes: &[u8; REPLY_LEN] = bytes.first_chunk()?;
        let body = &bytes[2..];
        match bytes[0] {
            KIND_WELCOME => {
                let (session, token) = body.split_first_chunk()?;
                let token = *token.first_chunk()?;
                let continued = bytes[1] & FLAG_CONTINUED != 0;
                let member = bytes[1] & FLAG_MEMBER != 0;
                let token = (token != [0; RESET_TOKEN_LEN]).then_some(ResetToken(token));
                Some(Reply::Welcome(Welcome { session: SessionId(*session), continued, member }, token))
            }
            KIND_STALE => Some(Reply::Stale { highest: u64::from_be_bytes(*body.first_chunk()?) }),
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
            let hello = Hello { counter: u64::MAX, continues };
            let bytes = [&hello.encode()[..], &[7; 100]].concat();
            assert_eq!(Hello::decode(&bytes), Some(hello));
            assert_eq!(Hello::decode(&bytes[..HELLO_LEN - 1]), None);
        }
        let session = SessionId([3; 16]);
        for reply in [
            Reply::Stale { highest: u64::MAX },
            Reply::Welcome(Welcome { session, continued: true, member: true }, Some(ResetToken([5; 16]))),
            Reply::Welcome(Welcome { session, continued: false, member: false }, None),
        ] {
            let bytes = [&reply.encode()[..], &[7; 100]].concat();
            let read = Reply::decode(&bytes).unwrap();
            assert_eq!(read.encode(), reply.encode());
            assert!(Reply::decode(&bytes[..REPLY_LEN - 1]).is_none());
        }
        assert!(Reply::decode(&[3; REPLY_LEN]).is_none());
    }
}
