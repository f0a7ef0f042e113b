//! Authentication and encryption: which peer is there, and which bytes are authentic.
//!
//! The layouts of packets are [`crate::wire::packet`]'s. This page fixes, to the byte, the input of
//! every seal, hash and derived key. `tests/vectors/handshake.txt` holds one complete handshake.
//!
//! Must not depend on: frames, streams, acks, members' names. Sealed content is opaque here.
//!
//! Invariant: nothing is acted on before its tag or mac has been verified. Unauthenticated peers
//! create no state, and every table has a bound. No packet number is ever sealed twice under one
//! key.
//!
//! # Handshake
//!
//! `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (Noise revision 34), client to relay. The psk is
//! 32 zero bytes: no relay requires a secret. The prologue names the protocol, its version and the
//! client's index:
//!
//! ```text
//! prologue = "queqiao"(7)  INIT header(4)  sender(4)
//!
//! INIT      header(4)  sender(4)
//!           e(32)  s(32)+tag(16)  payload(n)+tag(16)  mac1(16)  mac2(16)
//! RESPONSE  header(4)  sender(4)  receiver(4)
//!           e(32)  payload(n)+tag(16)  mac1(16)  mac2(16)=0
//!
//! INIT payload      counter(8)  continues(16)  rest
//!                     continues: the session to continue under new keys; zeros: none
//! RESPONSE payload  kind(1)=1  flags(1)  session(16)  token(16)  rest
//!                     a session is granted
//!                     flags: bit 0: the requested session is continued
//!                            bit 1: the key is a member's, and streams begin with full credit
//!                            the others: 0, ignored
//!                     token: the content of a RESET of the sender index of this packet
//!                            zeros: none will come
//!                   kind(1)=2  0(1)  highest(8)  0(24)  rest
//!                     STALE: begin again above `highest`
//! ```
//!
//! *rest* is zeros that pad the packet to 1,200 bytes on UDP, and may be absent on TCP. A reader
//! skips it, whatever it contains. A later version may therefore put fields there, for which zeros
//! must mean "absent". A RESPONSE with STALE has sender 0.
//!
//! Any Diffie-Hellman result of 32 zero bytes ends the handshake. In this way both ends refuse keys
//! of low order, ephemeral and long-term (RFC 7748 §6.1).
//!
//! ```text
//! mac1 = BLAKE2s(key, all bytes before mac1), 16 bytes
//!   key  = BLAKE2s-256("queqiao mac1"  receiver's public key(32))
//! ```
//!
//! The relay processes an INIT in this order:
//!
//! 1. It verifies mac1.
//! 2. It looks for the same mac1 among its responses of the last five seconds on that path. If one
//!    is found, the same bytes are sent again.
//! 3. It verifies a cookie where one is needed, and checks the budget of handshakes.
//! 4. Only then does it do curve arithmetic, after all other packets that came with the message.
//!
//! A counter becomes the highest of an identity with its first data packet, not before. No data
//! packet follows a message that is replayed or made without the access secret. Until then such a
//! message may get a response, with keys that wait. The keys of the identity's two newest
//! handshakes are kept. A message that repeats one of the two, or is older than both, is STALE too.
//!
//! # Budget of handshakes
//!
//! All handshakes together have a tenth of the loop's time ([`HANDSHAKE_BUDGET`]), whether their
//! addresses are validated or not. The budget is shared by networks ([`FairShare`]): /48, /56, /64
//! and address of IPv6, /24 and address of IPv4, and the port. An INIT beyond the budget is dropped
//! silently, or gets a COOKIE if its address is not validated.
//!
//! A message whose seal does not verify costs its address and port its own cost and that of ten
//! granted ones. The networks around them are charged its own cost only. Handshakes with a member's
//! key count against that key and not against its address, once the message is opened. Loopback is
//! exempt.
//!
//! # Cookies
//!
//! The relay is *under load* while it receives more than 100 new INITs per second with a correct
//! mac1, granted or not. An INIT on UDP is then opened only with mac2, made with a cookie that its
//! address and port received at most 120 s ago. One whose mac2 is zeros gets only a COOKIE. One
//! with another mac2 gets no answer. The same holds at any time for a source beyond the budget. A
//! TCP connection proves its address by being open. Its INITs are counted, and mac2 is ignored.
//!
//! ```text
//! COOKIE    header(4)  receiver(4)  nonce(24)  sealed cookie(16)  tag(16)    64 bytes, for 1,200
//!                      └ sender of the INIT
//!   sealed  = XChaCha20-Poly1305(key, nonce, associated data = mac1 of the INIT,  cookie)
//!   key     = BLAKE2s-256("queqiao cookie"  relay's public key(32))
//!   cookie  = BLAKE2s(key = secret(32),  IPv6 or IPv4-mapped address(16)  port(2)), 16 bytes
//!             private to the relay
//! mac2      = BLAKE2s(key = cookie(16),  all bytes before mac2), 16 bytes
//! ```
//!
//! The relay's secret is random, makes cookies for 60 s and verifies them for 120 s. The client
//! accepts a COOKIE only if its tag matches the client's INIT. A peer that has not seen the INIT
//! can therefore not send one (WireGuard §5.4.7). The client sends the INIT again at once, within
//! its schedule. A cookie serves two transmissions of one handshake. The next is sent without, and
//! gets another.
//!
//! An answered INIT may arrive again from another UDP address within 5 s, because an attacker on
//! the path was faster with a copy. It gets a COOKIE there at any time, and with mac2 the same
//! response.
//!
//! # Data packets
//!
//! ```text
//! DATA      header(4)  receiver(4)  number(8)  sealed frames(n)  tag(16)
//!           └──────── associated data ──────┘
//! nonce   = 0(4)  number(8, little-endian)
//! ```
//!
//! ChaCha20-Poly1305 with the raw keys of Noise's split. The first seals packets of the client, the
//! second packets of the relay. A number is opened once ([`ReplayWindow`]: the last 1,024), across
//! all keys of a session.
//!
//! The client seals with new keys as soon as it has the response. The relay seals with them only
//! after it has opened a packet under them ([`Keyring`]). That packet confirms the keys, makes a
//! new session replace an old one, and validates the path that the response was sent on. Old keys
//! open for three more PTOs after the first packet under the new ones.
//!
//! # Stateless reset
//!
//! ```text
//! RESET     header(4)  index(4)  token(16)
//! token   = BLAKE2s(key, index(4)), 16 bytes
//!   key   = BLAKE2s-256("queqiao reset"  relay's private key(32)  id(16))
//! ```
//!
//! A relay answers a data packet under an unknown index with the token of that index, at a bounded
//! rate. The client accepts a token only for the index under which it currently seals packets, and
//! reacts with a handshake. So even a token that an attacker has obtained from the relay beforehand
//! costs its owner one handshake (RFC 9000 §21.11). From the second reset within ten seconds, the
//! client waits 1, 2, 4 … 30 s first. The id is random, made with the relay's folder, and kept
//! across restarts.
//!
//! # Paths
//!
//! [`PathSet`] holds the paths to the other end. A UDP address is sent at most three times the
//! bytes received from it, until it has returned the 8 random bytes of a challenge. Challenges,
//! their responses and other probes never move the session to another path. A response leaves on
//! the path of its challenge.
//!
//! If the newest packet comes from an unvalidated address, a validated path before it is challenged
//! too. Packets may be copied on the way, and copies may be faster. A client that is challenged on
//! its current path also sends a PING, which moves the relay back.
//!
//! The relay returns to the old path if that has answered and the new one has not within the same
//! time again. It returns as well if the new path may not be sent the data that waits, or after
//! three probe timeouts (RFC 9000 §9.3.2, §9.3.3). From then on a new address must be validated
//! first, until one has been.
//!
//! # Limits of this design
//!
//! A first message that was never confirmed can be replayed, even later. It then gets one response
//! and keys that are never confirmed, and never replaces those of a newer message. The client's
//! long-term key is hidden from all but the holder of the relay's private key. snow does not wipe
//! its copies of ephemeral keys.
//!
//! Cookies stop attackers that forge addresses. An attacker with thousands of networks takes the
//! rest of the budget. A network without a handshake in the last twenty seconds is served before
//! it.

mod admission;
mod cookie;
#[cfg(test)]
mod cookie_tests;
mod fair_share;
#[cfg(test)]
mod handshake_tests;
mod identity;
mod index_table;
mod indexes;
mod initiator;
mod key_query;
mod keyring;
mod keys;
mod mac;
mod noise;
mod paths;
mod payload;
mod prefix_len;
mod replay_cache;
mod reset;
mod responder;
mod source_rate_limiter;
mod window;
mod wiped;

pub use admission::{FORGED_COST_US, GRANTED_COST_US, HANDSHAKE_BUDGET, HandshakeLimits};
pub use fair_share::{Budget, FairShare, Source};
pub use identity::Identity;
pub use indexes::Indexes;
pub use initiator::{Established, HandshakeError, Initiator, ResponseOutcome};
pub use key_query::{KeyQuery, answer_key_query};
pub use keyring::{Keyring, Lifetime, OpenedPacket};
pub use keys::{Keys, OpenError, SEALED_OVERHEAD};
pub use noise::{FreshBytes, handshake_rng, is_low_order};
pub use paths::{CHALLENGE_PACKET_MAX, PATHS_MAX, PathChange, PathPolicy, PathSet};
pub use payload::{InitPayload, SessionGrant, SessionId};
pub use prefix_len::PrefixLen;
pub use reset::ResetToken;
pub use responder::{InitOutcome, InitRejection, PendingSession, Responder};
pub use source_rate_limiter::SourceRateLimiter;
pub use window::{ReplayWindow, WINDOW_LEN};
