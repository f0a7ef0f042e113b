//! Floor 2: who is there, and whose bytes these are. The layouts of packets are [`crate::wire::packet`]'s; this page
//! fixes what is sealed, hashed and derived, to the byte. `tests/vectors/handshake.txt` holds one whole handshake.
//!
//! It must not know: frames, streams, acks, members' names; what is sealed is bytes to it.
//! Invariant: nothing is believed before its tag or mac has been verified, strangers create no state, every table has
//! a bound, and no packet number is ever sealed twice under one key.
//!
//! # Handshake
//!
//! `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (Noise revision 34), client to relay. The psk is the relay's
//! [`AccessSecret`] or 32 zero bytes. The prologue names the protocol, its version and the client's index:
//!
//! ```text
//! prologue = "queqiao"(7)  INIT header(4)  sender(4)
//!
//! INIT      header(4)  sender(4)               e(32)  s(32)+tag(16)  payload(n)+tag(16)  mac1(16)  mac2(16)
//! RESPONSE  header(4)  sender(4)  receiver(4)  e(32)                 payload(n)+tag(16)  mac1(16)  mac2(16)=0
//!
//! INIT payload      counter(8)  continues(16)  rest
//!                     continues: the session to go on under new keys; zeros: none
//! RESPONSE payload  kind(1)=1  flags(1)  session(16)  token(16)  rest a session is granted
//!                     flags: bit 0: it is the one to be continued; bit 1: the key is a member's, and the credit
//!                     of every stream is full from the start; the others 0, not looked at
//!                     token: what a RESET of the sender index of this packet will hold; zeros: none will come
//!                   kind(1)=2  0(1)  highest(8)  0(24)  rest          STALE: begin again above `highest`
//! ```
//!
//! *rest* is zeros that fill the packet to 1,200 bytes on UDP and may be absent on TCP; a reader skips it whatever it
//! holds, so a later version may put fields there, for which zeros must mean "not said". A RESPONSE that says STALE has
//! sender 0. Any Diffie-Hellman result of 32 zero bytes ends the handshake: that is how keys of low order are refused,
//! both ephemeral and long-term, by both ends (RFC 7748 §6.1).
//!
//! ```text
//! mac1 = BLAKE2s(key = BLAKE2s-256("queqiao mac1"  receiver's public key(32)),  all bytes before mac1), 16 bytes
//! ```
//!
//! The relay checks mac1 first, then looks for the same mac1 among its answers of the last five seconds on that path
//! (found: the same bytes go out again), then for a cookie where one is needed and for room in the
//! budget of handshakes, and only then does curve arithmetic, when all other packets that came with
//! the message have been handled.
//!
//! A counter is the highest of an identity from its first data packet on, not before: a message
//! that is replayed, or made without the access secret, is followed by none. Until then it may earn
//! an answer and keys that wait; those of the identity's two newest handshakes are kept, and a
//! message that is one of them or older is STALE too.
//!
//! # Budget of handshakes
//!
//! All handshakes together have a tenth of the loop's time ([`HANDSHAKE_BUDGET`]), whether their
//! addresses are proved or not. It is shared by networks ([`FairShare`]): /48, /56, /64 and address
//! of IPv6, /24 and address of IPv4, and the port. What finds no room is dropped in silence, or
//! earns a COOKIE where the address is not proved. A message whose seal does not fit costs its
//! address and port ten times as much as one that is granted, and the networks around it what it
//! took. What comes of a member's key is counted against that key and not against its address, once
//! it is opened. Loopback is exempt.
//!
//! # Cookies
//!
//! The relay is *under load* while more than 100 INITs a second with a right mac1 ask for something new, whether they are
//! granted it or not. An INIT on UDP then earns curve arithmetic only with mac2, made with a cookie that its address and
//! port have been given at most 120 s ago. One whose mac2 is zeros gets a COOKIE and nothing else, one with another mac2
//! gets silence. The same holds at any time for a source that finds no room in the budget. A TCP
//! connection proves its address by being open: its INITs are counted, and mac2 is not looked at.
//!
//! ```text
//! COOKIE    header(4)  receiver(4)  nonce(24)  sealed cookie(16)  tag(16)         64 bytes, for 1,200
//!                      └ sender of the INIT
//!   sealed  = XChaCha20-Poly1305(key, nonce, associated data = mac1 of the INIT,  cookie)
//!   key     = BLAKE2s-256("queqiao cookie"  relay's public key(32))
//!   cookie  = BLAKE2s(key = secret(32),  IPv6 or IPv4-mapped address(16)  port(2)), 16 bytes: the relay's own affair
//! mac2      = BLAKE2s(key = cookie(16),  all bytes before mac2), 16 bytes
//! ```
//!
//! The relay's secret is random, makes cookies for 60 s and counts for 120 s. The client takes a COOKIE only if its tag fits
//! its own INIT, so nobody who has not seen that can send it one (WireGuard §5.4.7); it sends the INIT again at once,
//! within its schedule. A cookie serves two sendings of one handshake; the next goes out without, and earns another.
//!
//! An INIT that was answered and comes again from another UDP address within 5 s earns a COOKIE there at any time, and with
//! mac2 the same answer: somebody on the way may have been faster with a copy.
//!
//! # Data packets
//!
//! ```text
//! DATA      header(4)  receiver(4)  number(8)  sealed frames(n)  tag(16)
//!           └──────── associated data ──────┘
//! nonce   = 0(4)  number(8, little-endian)
//! ```
//!
//! ChaCha20-Poly1305 with the raw keys of Noise's split: the first seals what the client sends, the second what the
//! relay sends. A number is opened once ([`ReplayWindow`]: the last 1,024), across all keys of a session.
//!
//! The client seals with new keys as soon as it has the answer. The relay seals with them only after it has opened a
//! packet under them ([`Keyring`]); that packet confirms the keys, makes a new session displace an old one, and proves
//! the path the answer was sent on. Old keys open for three more PTOs after the first packet under the new ones.
//!
//! # Stateless reset
//!
//! ```text
//! RESET     header(4)  index(4)  token(16)
//! token   = BLAKE2s(key = BLAKE2s-256("queqiao reset"  relay's private key(32)  id(16)),  index(4)), 16 bytes
//! ```
//!
//! A relay answers a data packet under an index it knows nothing of with the token of that index, at a bounded rate. The
//! client believes it only for the index it seals packets for now, and what it does then is to shake hands: so even a
//! token that an attacker has drawn from the relay beforehand costs its owner one handshake (RFC
//! 9000 §21.11). From the second reset within ten seconds on it waits 1, 2, 4 … 30 s first. The id
//! is random, made with the relay's folder, and kept over restarts.
//!
//! # Paths
//!
//! [`Paths`] holds where the other end is answered. An unproven UDP address is sent at most three times what came from
//! it, until it has given back the 8 random bytes of a challenge. Challenges, their answers and other probes never move
//! the path, and answers leave on the path the challenge came by.
//!
//! When the newest packet comes from an address that is not proven, the path before it is challenged too, if that is proven:
//! packets may be copied on the way, and copies be faster. Who is challenged on its own path answers with a packet of its
//! own. The relay goes back when the old path has answered and the new one has not within as long again, or may not be sent
//! what waits; or after three probe time-outs (RFC 9000 §9.3.2, §9.3.3). From then on a new address proves itself first,
//! until one has.
//!
//! # Limits of this design
//!
//! A first message that was never confirmed can be replayed, later too: it earns one answer and
//! keys that are never confirmed, and never pushes out those of a newer one. The client's long-term
//! key is hidden from all but the holder of the relay's private key. snow does not wipe its copies
//! of ephemeral keys. Cookies keep off those who forge addresses. Those who hold thousands of
//! networks take what the budget has left over; a network that has shaken no hands for twenty
//! seconds is served before them.

mod cookie;
#[cfg(test)]
mod cookie_tests;
mod fair_share;
mod gate;
#[cfg(test)]
mod handshake_tests;
mod hello;
mod identity;
mod index_table;
mod indexes;
mod initiator;
mod key_query;
mod keyring;
mod keys;
mod mac;
mod memory;
mod noise;
mod paths;
mod prefix_len;
mod reset;
mod responder;
mod throttle;
mod window;

pub use fair_share::{Budget, FairShare, Source};
pub use gate::{FORGED_COST_US, GRANTED_COST_US, HANDSHAKE_BUDGET, HandshakeLimits};
pub use hello::{Hello, SessionId, Welcome};
pub use identity::{AccessSecret, Identity};
pub use indexes::Indexes;
pub use initiator::{Answered, Established, HandshakeError, Initiator};
pub use key_query::{KeyQuery, answer_key_query};
pub use keyring::{Keyring, Lifetime, Opened};
pub use keys::{Keys, OpenError, SEALED_OVERHEAD};
pub use noise::is_low_order;
pub use paths::{CHALLENGE_PACKET_MAX, Direction, Moved, PATHS_MAX, Paths};
pub use prefix_len::PrefixLen;
pub use reset::ResetToken;
pub use responder::{InitDrop, Offer, Responder, Verdict};
pub use throttle::Throttle;
pub use window::{ReplayWindow, WINDOW_LEN};
