//! The known key of a relay: the pinned key and the fingerprint in the address book.

use crate::base::{Fingerprint, Now, PublicKey};

use super::super::api::Unreached;
use super::super::uplink::{Out, Shared, Uplink};

impl Uplink {
    /// Returns the conflict that forbids any packet to the relay: the pinned key does not match the
    /// expected fingerprint.
    pub(super) fn contradiction(&self) -> Option<Unreached> {
        let pinned = self.spec.key.filter(|_| self.connecting.unproven_key.is_none())?;
        let wanted = self.spec.fingerprint.filter(|wanted| !wanted.is_of(&pinned))?;
        Some(Unreached::BookUnlikePin { wanted, pinned })
    }

    /// Whether a previously unknown key matches the expected fingerprint. Reports a mismatch.
    pub(super) fn is_expected(&mut self, offered: &PublicKey, out: &mut Out) -> bool {
        let unlike = self.spec.fingerprint.filter(|wanted| !wanted.is_of(offered));
        if let Some(wanted) = unlike {
            self.tell_unreached(Unreached::KeyUnlikeBook { wanted, offered: *offered }, out);
        }
        unlike.is_none()
    }

    /// Handles a new key or fingerprint from the address book. The user has decided, so the relay
    /// is tried at once, or its session ends on a conflict.
    pub(in super::super) fn set_key(
        &mut self,
        now: Now,
        key: Option<PublicKey>,
        fingerprint: Option<Fingerprint>,
        shared: &mut Shared,
        out: &mut Out,
    ) {
        let key = key.filter(|key| self.spec.key != Some(*key));
        let expects_another = self.spec.fingerprint != fingerprint;
        let before = self.contradiction();
        self.spec.fingerprint = fingerprint;
        if key.is_some() {
            self.spec.key = key;
            shared.facts.forget_pin(&self.spec.addr);
            self.connecting.unproven_key = None;
        } else if expects_another {
            self.forget_unproven_key();
        }
        let after = self.contradiction();
        let is_unproven = expects_another && self.spec.key.is_none();
        if key.is_none() && before == after && !is_unproven {
            return;
        }
        self.connecting.told_key_changed = false;
        if after.is_some() {
            let stopped = self.stopped;
            self.leave(now, shared, out);
            self.stopped = stopped;
        }
        self.cancel_attempts(now.tick, shared, out);
        self.connecting.start_over();
        if !self.stopped {
            self.pursue(now, shared, out);
        }
    }
}
