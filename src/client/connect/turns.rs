//! When a round and a connection of one relay get their turn among those of all relays; see [`crate::client::pace`].

use crate::base::{Now, Tick};
use crate::client::pace::Lane;
use crate::client::uplink::{Out, Shared, Uplink};

impl Uplink {
    /// Whether a round may begin; if not, it waits until [`Uplink::handle_turn`].
    pub(super) fn is_its_turn(&mut self, now: Tick, shared: &mut Shared) -> bool {
        if std::mem::take(&mut self.connecting.granted) {
            return true;
        }
        if self.connecting.asked.is_none() {
            let (lane, urgent) = (self.lane(), self.is_urgent());
            self.connecting.asked = shared.pace.ask(now, lane, urgent, &self.spec.addr);
            return self.connecting.asked.is_none();
        }
        self.raise(shared);
        false
    }

    /// The turn of this relay's round has come.
    pub(in crate::client) fn handle_turn(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        let waits = self.connecting.asked.take().is_some();
        if waits && !self.stopped {
            self.connecting.granted = true;
            self.pursue(now, shared, out);
            self.connecting.granted = false;
        }
    }

    /// The turn of this relay's connection has come.
    pub(in crate::client) fn handle_dial_turn(&mut self, now: Now, shared: &mut Shared, out: &mut Out) {
        if std::mem::take(&mut self.connecting.dial_waits) && self.connecting.round.is_some() {
            self.open_tcp(now.tick, shared, out);
            self.drive_attempts(now, shared, out);
        }
    }

    /// A round that waits goes before others if there are letters to go, or the user asks for the relay.
    pub(in crate::client) fn raise(&mut self, shared: &mut Shared) {
        if self.is_urgent()
            && let Some(asked) = &mut self.connecting.asked
        {
            shared.pace.raise(asked, &self.spec.addr);
        }
    }

    /// The relay is not spoken to any more.
    pub(in crate::client) fn forget_turn(&mut self, shared: &mut Shared) {
        if let Some(asked) = self.connecting.asked.take() {
            shared.pace.forget(asked, &self.spec.addr);
        }
    }

    fn lane(&self) -> Lane {
        if self.connecting.failures == 0 { Lane::First } else { Lane::Again }
    }
}
