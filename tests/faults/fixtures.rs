//! Fixtures shared by these tests.

use queqiao::base::Path;

use super::raw_client::RawClient;
use super::relay_harness::{RelayHarness, udp};

/// Returns TOM and JACK, both signed in over UDP.
pub fn two_members(relay: &mut RelayHarness) -> (RawClient, RawClient) {
    let tom = RawClient::signed_in(relay, udp(1, 1_000), 1, "TOM");
    let jack = RawClient::signed_in(relay, udp(2, 2_000), 2, "JACK");
    (tom, jack)
}

/// Bytes sent to the relay from a path, and bytes that came back to it.
#[derive(Default)]
pub struct TrafficCounter {
    pub sent: usize,
    pub received: usize,
}

impl TrafficCounter {
    pub fn send(&mut self, relay: &mut RelayHarness, path: Path, bytes: &[u8]) {
        self.sent += bytes.len();
        relay.handle_packet(path, bytes);
        self.count_received(relay, path);
    }

    pub fn count_received(&mut self, relay: &mut RelayHarness, path: Path) {
        self.received += relay.take_sent_on(path).iter().map(Vec::len).sum::<usize>();
    }
}
