//! Reasons for which a relay cannot be reached, as reported to the user.

use serde::{Deserialize, Serialize};

use crate::base::{Fingerprint, PublicKey};

/// Why a client cannot reach a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectFailure {
    /// The host name has no address.
    NoSuchHost,
    /// No name server answers for the host name.
    NoNameServer,
    /// This machine has no route to any address of the relay.
    NoRoute,
    /// This machine's own rules forbid to send to the relay.
    NotPermitted,
    /// The network takes no UDP packets of full size, and TCP gives no answer.
    TooBig,
    /// The system has no socket left.
    NoRoom,
    /// Every permitted carrier was refused or stayed silent.
    Silent,
    /// Only TCP is permitted, and the TCP port is closed.
    NoTcpListener,
    /// The relay showed a key other than the pinned one.
    KeyChanged {
        /// The pinned key.
        pinned: PublicKey,
        /// The key it showed.
        offered: PublicKey,
    },
    /// The relay showed a key other than the expected one; none is pinned.
    KeyUnlikeBook {
        /// The expected fingerprint.
        wanted: Fingerprint,
        /// The key it showed.
        offered: PublicKey,
    },
    /// The pinned key differs from the expected one. Nothing is sent to the relay.
    BookUnlikePin {
        /// The expected fingerprint.
        wanted: Fingerprint,
        /// The pinned key.
        pinned: PublicKey,
    },
    /// The relay answered, but did not prove the pinned key, or refused our key.
    HandshakeRefused,
    /// The relay answered, but cannot register the name now, or had too many requests from here.
    NameNotWritten,
}

impl ConnectFailure {
    /// Whether the network is at fault. A later attempt may then succeed.
    pub const fn is_of_network(&self) -> bool {
        !self.is_other_key() && !matches!(self, Self::HandshakeRefused | Self::NameNotWritten)
    }

    /// Whether the relay's key differs from the known one, so that the user must decide.
    pub const fn is_other_key(&self) -> bool {
        matches!(
            self,
            ConnectFailure::KeyChanged { .. }
                | ConnectFailure::KeyUnlikeBook { .. }
                | ConnectFailure::BookUnlikePin { .. }
        )
    }
}
