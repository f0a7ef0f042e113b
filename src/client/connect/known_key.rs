//! The known key of a relay: the pinned key and the fingerprint in the address book.

use crate::base::{Fingerprint, Now, PublicKey};

use super::super::connect_failure::ConnectFailure;
use super::super::relay_connection::{ClientContext, Out, RelayConnection};

impl RelayConnection {
    /// Returns the conflict that forbids any packet to the relay: the pinned key does not match the
    /// expected fingerprint.
    pub(super) fn key_contradiction(&self) -> Option<ConnectFailure> {
        let pinned = self.config.key.filter(|_| self.connector.unproven_key.is_none())?;
        let expected = self.config.fingerprint.filter(|expected| !expected.is_of(&pinned))?;
        Some(ConnectFailure::BookUnlikePin { wanted: expected, pinned })
    }

    /// Whether a previously unknown key matches the expected fingerprint. Reports a mismatch.
    pub(super) fn is_expected(&mut self, offered: &PublicKey, out: &mut Out) -> bool {
        let mismatch = self.config.fingerprint.filter(|expected| !expected.is_of(offered));
        if let Some(expected) = mismatch {
            self.report_unreached(ConnectFailure::KeyUnlikeBook { wanted: expected, offered: *offered }, out);
        }
        mismatch.is_none()
    }

    /// Handles a new key or fingerprint from the address book. The user has decided, so the relay
    /// is tried at once, or its session ends on a conflict.
    pub(in super::super) fn set_key(
        &mut self,
        now: Now,
        key: Option<PublicKey>,
        fingerprint: Option<Fingerprint>,
        ctx: &mut ClientContext,
        out: &mut Out,
    ) {
        let key = key.filter(|key| self.config.key != Some(*key));
        let expects_another = self.config.fingerprint != fingerprint;
        let before = self.key_contradiction();
        self.config.fingerprint = fingerprint;
        if key.is_some() {
            self.config.key = key;
            ctx.facts.forget_pin(&self.config.addr);
            self.connector.unproven_key = None;
        } else if expects_another {
            self.forget_unproven_key();
        }
        let after = self.key_contradiction();
        let is_unproven = expects_another && self.config.key.is_none();
        if key.is_none() && before == after && !is_unproven {
            return;
        }
        self.connector.reported_key_changed = false;
        if after.is_some() {
            let stopped = self.stopped;
            self.leave(now, ctx, out);
            self.stopped = stopped;
        }
        self.cancel_attempts(now.tick, ctx, out);
        self.connector.start_over();
        if !self.stopped {
            self.drive(now, ctx, out);
        }
    }
}
