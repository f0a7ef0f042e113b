//! Room `session` (being written).

mod hello;
mod identity;
mod indexes;
mod initiator;
mod key_query;
mod keyring;
mod keys;
mod mac;
mod memory;
mod noise;
mod paths;
mod responder;
mod throttle;
mod window;

pub use hello::{Hello, SessionId, Welcome};
pub use identity::{AccessSecret, Identity, fingerprint};
pub use indexes::Indexes;
pub use initiator::{Answered, Established, HandshakeError, Initiator};
pub use key_query::{KeyQuery, answer_key_query};
pub use keyring::{Keyring, Lifetime, Opened};
pub use keys::{Keys, OpenError, SEALED_OVERHEAD};
pub use noise::is_low_order;
pub use paths::{CHALLENGE_PACKET_MAX, Direction, Moved, PATHS_MAX, Paths};
pub use responder::{HandshakeLimits, InitDrop, Offer, Responder, Verdict};
pub use window::{ReplayWindow, WINDOW_LEN};
