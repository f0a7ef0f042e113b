//! One attempt to reach a relay over one carrier: connect, query the key if it is unknown, perform
//! the handshake.
//!
//! An attempt only returns the next step; the uplink carries it out. Each UDP packet is sent up to
//! six times, at 0, 250, 500, 1,000, 1,750, and 2,750 ms (±10 %), to the relay's addresses in turn.
//! On TCP each packet is sent once. A relay under load may request the first message again, with a
//! cookie; that is one of the six.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, Path, Rng, Tick};
use crate::link::AMBIGUOUS_RTT;
use crate::session::{Initiator, KeyQuery};

use super::relay_connection::Out;

/// Send times of a UDP packet, in milliseconds after the first. The last leaves one second for an
/// answer before the attempt ends.
const SCHEDULE_MS: [u64; 6] = [0, 250, 500, 1_000, 1_750, 2_750];
/// Maximum duration of an attempt over TCP, which retransmits lost data itself.
const GIVE_UP_AFTER: Duration = Duration::from_secs(8);
/// Maximum duration of an attempt over UDP. Shorter than over TCP: at high loss the next round
/// sends its six packets within the same 8 s.
const GIVE_UP_UDP_AFTER: Duration = Duration::from_secs(4);
/// Maximum "counter too low" answers per attempt. The first states the required counter; a second
/// may cross another attempt.
const STALES_MAX: u32 = 2;
/// The relay's key is queried along with the handshake after this many unanswered packets. Silence
/// may mean that the key has changed.
const CHECK_KEY_FROM: usize = 2;

/// Stage of an attempt.
#[derive(Debug)]
pub(super) enum AttemptStage {
    /// The TCP connection is being opened.
    Connecting,
    /// Waits for a handshake counter.
    Ready,
    /// The relay's key was queried.
    Querying(KeyQuery),
    /// The first handshake packet is on its way, perhaps with a key query.
    Handshaking(Initiator, Option<KeyQuery>),
}

/// An attempt over one carrier.
#[derive(Debug)]
pub(super) struct ConnectAttempt {
    pub(super) carrier: Carrier,
    pub(super) stage: AttemptStage,
    /// Tried in turn.
    addrs: Vec<SocketAddr>,
    addr_index: usize,
    conn: Option<ConnId>,
    /// Packets sent in this stage.
    sent: usize,
    /// When this stage sent its first packet.
    stage_since: Tick,
    next_at: Tick,
    sent_at: Tick,
    give_up_at: Tick,
    /// "Counter too low" answers so far.
    stales: u32,
}

/// Next action of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AttemptAction {
    /// Nothing until [`ConnectAttempt::next_deadline`].
    Wait,
    /// Send the stage's packets on this path.
    Send(Path),
    /// The attempt has failed.
    GiveUp,
}

impl ConnectAttempt {
    pub(super) fn new(carrier: Carrier, addrs: Vec<SocketAddr>, now: Tick) -> ConnectAttempt {
        ConnectAttempt {
            carrier,
            stage: AttemptStage::Ready,
            addrs,
            addr_index: 0,
            conn: None,
            sent: 0,
            stage_since: now,
            next_at: now,
            sent_at: now,
            give_up_at: now
                + match carrier {
                    Carrier::Tcp => GIVE_UP_AFTER,
                    Carrier::Udp => GIVE_UP_UDP_AFTER,
                },
            stales: 0,
        }
    }

    /// Makes the attempt wait for this connection to open.
    pub(super) fn connecting(mut self, conn: ConnId) -> ConnectAttempt {
        self.conn = Some(conn);
        self.stage = AttemptStage::Connecting;
        self
    }

    /// Puts the attempt on a connection that is already open.
    pub(super) fn on(mut self, conn: ConnId) -> ConnectAttempt {
        self.conn = Some(conn);
        self
    }

    pub(super) fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// Returns the address for the next packet.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        self.addrs.get(self.addr_index % self.addrs.len().max(1)).copied()
    }

    /// Sends the next packet to `path` too: the relay has answered from there.
    pub(super) fn continue_on(&mut self, path: Path) {
        if let Path::Udp(addr) = path
            && let Some(index) = self.addrs.iter().position(|candidate| *candidate == addr)
        {
            self.addr_index = index;
        }
    }

    /// Returns the path for the stage's packets.
    pub(super) fn path(&self) -> Option<Path> {
        match self.carrier {
            Carrier::Tcp => self.conn.map(Path::Tcp),
            Carrier::Udp => self.addr().map(Path::Udp),
        }
    }

    /// Enters a new stage, whose packets are sent from `now` on.
    pub(super) fn enter(&mut self, now: Tick, stage: AttemptStage) {
        self.stage = stage;
        self.sent = 0;
        self.stage_since = now;
        self.next_at = now;
    }

    /// Handles a request for a higher counter. After too many of them the attempt ends.
    pub(super) fn handle_stale(&mut self, now: Tick) {
        self.stales += 1;
        if self.stales > STALES_MAX {
            self.give_up_at = now;
        }
        self.enter(now, AttemptStage::Ready);
    }

    /// Returns the initial RTT estimate from the answer that has just come. If the packet was sent
    /// more than once, it is unknown which of them was answered (Karn's algorithm, RFC 6298 §3).
    /// The estimate is then at least [`AMBIGUOUS_RTT`], which makes the first PTO as long as
    /// the handshake's first repetition, and more if even the last packet was sent longer ago.
    pub(super) fn rtt(&self, now: Tick) -> Duration {
        match self.sent {
            0 | 1 => now.since(self.stage_since),
            _ => now.since(self.sent_at).max(AMBIGUOUS_RTT),
        }
    }

    /// Sends again immediately what was sent a while ago: the relay is known to be reachable.
    pub(super) fn retry_now(&mut self, now: Tick) {
        if self.carrier == Carrier::Udp && now.since(self.sent_at) >= Duration::from_millis(SCHEDULE_MS[1]) {
            self.next_at = self.next_at.min(now);
        }
    }

    /// Handles a cookie from a relay under load. Returns `true` if the first message is due again,
    /// with the cookie, in place of a later repetition.
    pub(super) fn handle_cookie(&mut self, now: Tick, path: Path, bytes: &[u8]) -> bool {
        let AttemptStage::Handshaking(initiator, _) = &mut self.stage else { return false };
        let again = initiator.handle_cookie(bytes) == Ok(true) && self.sent < SCHEDULE_MS.len();
        if again {
            self.next_at = now;
            self.continue_on(path);
        }
        again
    }

    /// Whether its connection is open.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.stage, AttemptStage::Connecting)
    }

    /// Whether the key should be queried along with the handshake. On TCP each packet is sent once,
    /// so the query is sent at once.
    pub(super) fn should_query_key(&self) -> bool {
        let may_query = self.carrier == Carrier::Tcp || self.sent > CHECK_KEY_FROM;
        may_query && matches!(self.stage, AttemptStage::Handshaking(_, None))
    }

    /// Sends the stage's packets.
    pub(super) fn send(&self, path: Path, out: &mut Out) {
        match &self.stage {
            AttemptStage::Querying(query) => out.send(path, query.packet()),
            AttemptStage::Handshaking(initiator, check) => {
                // Query first: a relay with another key closes a TCP connection whose handshake it
                // cannot read.
                if let Some(check) = check {
                    out.send(path, check.packet());
                }
                out.send(path, initiator.packet());
            }
            AttemptStage::Connecting | AttemptStage::Ready => {}
        }
    }

    /// Returns the next action at time `now`.
    pub(super) fn next_action(&mut self, now: Tick, rng: &mut Rng) -> AttemptAction {
        if now >= self.give_up_at {
            return AttemptAction::GiveUp;
        }
        if matches!(self.stage, AttemptStage::Connecting | AttemptStage::Ready) || now < self.next_at {
            return AttemptAction::Wait;
        }
        let Some(path) = self.path() else { return AttemptAction::GiveUp };
        if let AttemptStage::Handshaking(initiator, _) = &mut self.stage {
            initiator.begin_sending();
        }
        self.sent += 1;
        self.sent_at = now;
        self.addr_index += usize::from(self.carrier == Carrier::Udp);
        self.next_at = match SCHEDULE_MS.get(self.sent).filter(|_| self.carrier == Carrier::Udp) {
            Some(after) => now.max(self.stage_since + jittered(*after, rng)),
            None => self.give_up_at,
        };
        // After a pause of the process the next time may have passed; never return a deadline that
        // is over.
        if self.next_at <= now {
            self.next_at = now + Duration::from_millis(SCHEDULE_MS[1]);
        }
        AttemptAction::Send(path)
    }

    pub(super) fn next_deadline(&self) -> Tick {
        let next = match self.stage {
            AttemptStage::Connecting => self.give_up_at,
            AttemptStage::Ready => self.give_up_at,
            AttemptStage::Querying(_) | AttemptStage::Handshaking(..) => self.next_at,
        };
        next.min(self.give_up_at)
    }
}

/// Returns `ms` ±10 %.
fn jittered(ms: u64, rng: &mut Rng) -> Duration {
    Duration::from_micros(ms * 900 + rng.below(ms * 200 + 1))
}

/// Returns a random duration of `longest / 2` to `longest`, so that a relay's clients do not all
/// return at once.
pub(super) fn pause(longest: Duration, rng: &mut Rng) -> Duration {
    let micros = longest.as_micros() as u64;
    Duration::from_micros(micros / 2 + rng.below(micros / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{HandshakeLimits, Identity, InitPayload, Responder};

    fn udp(addr: &str) -> Path {
        Path::Udp(addr.parse().unwrap())
    }

    fn attempt(addrs: &[&str]) -> (ConnectAttempt, Rng) {
        let addrs = addrs.iter().map(|a| a.parse().unwrap()).collect();
        let mut rng = Rng::from_seed([1; 32]);
        let start = Tick::from_micros(1_000_000);
        let mut attempt = ConnectAttempt::new(Carrier::Udp, addrs, start);
        let query = KeyQuery::new(Carrier::Udp, &mut rng);
        attempt.enter(start, AttemptStage::Querying(query));
        (attempt, rng)
    }

    #[test]
    fn six_packets_in_three_seconds_then_attempt_gives_up() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1"]);
        let start = Tick::from_micros(1_000_000);
        let mut now = start;
        let mut sent = Vec::new();
        loop {
            match attempt.next_action(now, &mut rng) {
                AttemptAction::Send(_) => sent.push(now.since(start).as_millis() as u64),
                AttemptAction::GiveUp => break,
                AttemptAction::Wait => {
                    assert!(attempt.next_deadline() > now, "it never spins");
                    now = attempt.next_deadline();
                }
            }
        }
        assert_eq!(sent.len(), SCHEDULE_MS.len());
        for (at, planned) in sent.iter().zip(SCHEDULE_MS) {
            assert!(at.abs_diff(planned) <= planned / 10 + 1, "{sent:?}");
        }
        assert_eq!(now.since(start), GIVE_UP_UDP_AFTER);
    }

    #[test]
    fn answer_measures_rtt_only_if_one_packet_was_sent() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1"]);
        let ms = Duration::from_millis;
        let start = Tick::from_micros(1_000_000);
        attempt.next_action(start, &mut rng);
        assert_eq!(attempt.rtt(start + ms(9)), ms(9));
        let again = attempt.next_deadline();
        assert!(matches!(attempt.next_action(again, &mut rng), AttemptAction::Send(_)));
        assert_eq!(attempt.rtt(again + ms(9)), AMBIGUOUS_RTT);
        assert_eq!(attempt.rtt(again + ms(200)), ms(200));
    }

    #[test]
    fn key_is_queried_at_once_on_tcp_and_after_silence_on_udp() {
        for (carrier, doubted_from) in [(Carrier::Tcp, 1), (Carrier::Udp, 3)] {
            let mut rng = Rng::from_seed([1; 32]);
            let mut now = Tick::from_micros(1_000_000);
            let identity = Identity::from_private([7; 32]);
            let key = Identity::from_private([9; 32]).public();
            let hello = InitPayload { counter: 1, continues: None };
            let initiator = Initiator::new(&identity, &key, &hello, 1, carrier, &mut rng).unwrap();
            let mut attempt =
                ConnectAttempt::new(carrier, vec!["127.0.0.1:1".parse().unwrap()], now).on(ConnId(1));
            attempt.enter(now, AttemptStage::Handshaking(initiator, None));
            for sent in 1..=doubted_from {
                while attempt.next_action(now, &mut rng) == AttemptAction::Wait {
                    now = attempt.next_deadline();
                }
                assert_eq!(attempt.should_query_key(), sent == doubted_from, "{carrier:?} {sent}");
            }
        }
    }

    /// Each COOKIE holds another cookie, as from a relay that never accepts one.
    #[test]
    fn endless_cookies_get_at_most_six_packets() {
        let mut rng = Rng::from_seed([1; 32]);
        let start = Tick::from_micros(1_000_000);
        let identity = Identity::from_private([7; 32]);
        let relay = Identity::from_private([9; 32]);
        let key = relay.public();
        let mut relay = Responder::new(relay, HandshakeLimits::On, Rng::from_seed([2; 32]));
        let mut ask = |port: u16, packet: &[u8]| {
            let addr = SocketAddr::from(([192, 0, 2, 1], port));
            let mut out = Vec::new();
            relay.handle_init(start, Path::Udp(addr), addr, packet, &mut out);
            out
        };
        let hello = InitPayload { counter: 1, continues: None };
        let initiator = Initiator::new(&identity, &key, &hello, 1, Carrier::Udp, &mut rng).unwrap();
        let first = initiator.packet().to_vec();
        (0..200).for_each(|port| drop(ask(port, &first)));
        let (mut attempt, _) = attempt(&["192.0.2.9:1"]);
        attempt.enter(start, AttemptStage::Handshaking(initiator, None));
        let mut sent = 0;
        for port in 1_000..1_100 {
            sent += usize::from(matches!(attempt.next_action(start, &mut rng), AttemptAction::Send(_)));
            let again = attempt.handle_cookie(start, udp("192.0.2.9:1"), &ask(port, &first));
            assert_eq!(again, sent < SCHEDULE_MS.len(), "after {sent} packets");
        }
        assert_eq!(sent, SCHEDULE_MS.len());
    }

    #[test]
    fn every_address_gets_its_turn() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1", "127.0.0.1:2"]);
        let mut paths = Vec::new();
        let mut now = Tick::from_micros(1_000_000);
        while paths.len() < 4 {
            match attempt.next_action(now, &mut rng) {
                AttemptAction::Send(path) => paths.push(path),
                _ => now = attempt.next_deadline(),
            }
        }
        assert!(paths[0] != paths[1] && paths[0] == paths[2] && paths[1] == paths[3]);
    }

    #[test]
    fn next_packet_goes_where_last_answer_came_from() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let start = Tick::from_micros(1_000_000);
        assert_eq!(attempt.next_action(start, &mut rng), AttemptAction::Send(udp("127.0.0.1:1")));
        for (from, next) in
            [("127.0.0.1:3", "127.0.0.1:3"), ("127.0.0.1:2", "127.0.0.1:2"), ("[::1]:9", "127.0.0.1:3")]
        {
            attempt.continue_on(udp(from));
            let query = KeyQuery::new(Carrier::Udp, &mut rng);
            attempt.enter(start, AttemptStage::Querying(query));
            assert_eq!(attempt.next_action(start, &mut rng), AttemptAction::Send(udp(next)), "after {from}");
        }
    }
}
