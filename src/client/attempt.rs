//! One attempt to reach a relay over one carrier: connect, ask for the key if it is not known, shake hands.
//!
//! An attempt only says what to do next; the uplink carries it out. UDP packets are repeated at 0, 250, 500, 1000,
//! 1750 and 2750 ms (±10 %), six at most, to each address of the relay in turn; on TCP each is sent once. A relay under load may ask for the first message again, with a cookie: that is one of
//! the six.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::{Carrier, ConnId, Path, Rng, Tick};
use crate::link::RTT_IN_DOUBT;
use crate::session::{Initiator, KeyQuery};

use super::uplink::Out;

/// When each packet of a UDP attempt is sent, in milliseconds after the first.
const SCHEDULE_MS: [u64; 6] = [0, 250, 500, 1_000, 1_750, 2_750];
/// How long an attempt may take in all over TCP, which repeats what gets lost by itself ...
const GIVE_UP_AFTER: Duration = Duration::from_secs(8);
/// ... and over UDP: where many packets get lost, the next round has its six within the same time.
const GIVE_UP_UDP_AFTER: Duration = Duration::from_secs(4);
/// Answers that a counter was too low, for one attempt: one tells how far to go, another may cross a second attempt.
const STALES_MAX: u32 = 2;
/// From this packet of a handshake on, the relay's key is asked for beside it: silence may mean that it has changed.
const CHECK_KEY_FROM: usize = 2;

/// How far an attempt has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// The TCP path is being opened.
    Connecting,
    /// It may go on as soon as there is a counter.
    Ready,
    /// The relay's key was asked for.
    Querying(KeyQuery),
    /// The first handshake packet is on its way; beside it perhaps a question for the key.
    Shaking(Initiator, Option<KeyQuery>),
}

/// An attempt over one carrier.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) carrier: Carrier,
    pub(super) stage: Stage,
    /// The addresses tried in turn.
    addrs: Vec<SocketAddr>,
    turn: usize,
    conn: Option<ConnId>,
    /// Packets of the present stage sent.
    sent: usize,
    /// When the first packet of the present stage was sent.
    stage_since: Tick,
    next_at: Tick,
    sent_at: Tick,
    give_up_at: Tick,
    /// How often the relay said that the counter was too low.
    stales: u32,
}

/// What an attempt is to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until [`Attempt::next_deadline`].
    Wait,
    /// Send the stage's packets there.
    Send(Path),
    /// It has failed.
    GiveUp,
}

impl Attempt {
    pub(super) fn new(carrier: Carrier, addrs: Vec<SocketAddr>, now: Tick) -> Attempt {
        Attempt {
            carrier,
            stage: Stage::Ready,
            addrs,
            turn: 0,
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

    /// An attempt that waits for this connection to be opened.
    pub(super) fn connecting(mut self, conn: ConnId) -> Attempt {
        self.conn = Some(conn);
        self.stage = Stage::Connecting;
        self
    }

    /// An attempt on a connection that is open already.
    pub(super) fn on(mut self, conn: ConnId) -> Attempt {
        self.conn = Some(conn);
        self
    }

    pub(super) fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// The address the present turn goes to.
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        self.addrs.get(self.turn % self.addrs.len().max(1)).copied()
    }

    /// The relay has answered a question from there: the next packet goes there too.
    pub(super) fn go_on_at(&mut self, path: Path) {
        if let Path::Udp(addr) = path
            && let Some(turn) = self.addrs.iter().position(|known| *known == addr)
        {
            self.turn = turn;
        }
    }

    /// Where the stage's packets go.
    pub(super) fn path(&self) -> Option<Path> {
        match self.carrier {
            Carrier::Tcp => self.conn.map(Path::Tcp),
            Carrier::Udp => self.addr().map(Path::Udp),
        }
    }

    /// A new stage whose packets are sent from `now` on.
    pub(super) fn enter(&mut self, now: Tick, stage: Stage) {
        self.stage = stage;
        self.sent = 0;
        self.stage_since = now;
        self.next_at = now;
    }

    /// The relay wants a higher counter; one that says so again and again is not asked again in this round.
    pub(super) fn handle_stale(&mut self, now: Tick) {
        self.stales += 1;
        if self.stales > STALES_MAX {
            self.give_up_at = now;
        }
        self.enter(now, Stage::Ready);
    }

    /// What the answer that has just come says of the round trip, to begin with. Where the packet was sent more than once,
    /// nobody knows which of them was answered (Karn's rule): then it is what makes the first probe as patient as the
    /// handshake's own first repeat, and more if even the last packet was sent longer ago.
    pub(super) fn rtt(&self, now: Tick) -> Duration {
        match self.sent {
            0 | 1 => now.since(self.stage_since),
            _ => now.since(self.sent_at).max(RTT_IN_DOUBT),
        }
    }

    /// The relay has shown that it is there: what was sent a while ago is sent again at once.
    pub(super) fn hurry(&mut self, now: Tick) {
        if self.carrier == Carrier::Udp && now.since(self.sent_at) >= Duration::from_millis(SCHEDULE_MS[1]) {
            self.next_at = self.next_at.min(now);
        }
    }

    /// The relay may be under load and want the first message again, with a cookie: it goes out at once, in place of a later
    /// repeat. Whether it is to go now.
    pub(super) fn handle_cookie(&mut self, now: Tick, path: Path, bytes: &[u8]) -> bool {
        let Stage::Shaking(initiator, _) = &mut self.stage else { return false };
        let again = initiator.handle_cookie(bytes) == Ok(true) && self.sent < SCHEDULE_MS.len();
        if again {
            self.next_at = now;
            self.go_on_at(path);
        }
        again
    }

    /// Whether its connection is open.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Connecting)
    }

    /// Whether the key should be asked for beside the handshake. On TCP each packet is sent once, so it is asked for at
    /// once.
    pub(super) fn doubts_key(&self) -> bool {
        let asks = self.carrier == Carrier::Tcp || self.sent > CHECK_KEY_FROM;
        asks && matches!(self.stage, Stage::Shaking(_, None))
    }

    /// Sends the stage's packets.
    pub(super) fn send(&self, path: Path, out: &mut Out) {
        match &self.stage {
            Stage::Querying(query) => out.send(path, query.packet()),
            Stage::Shaking(initiator, check) => {
                // The question first: a relay with another key closes a TCP connection whose handshake it cannot read.
                if let Some(check) = check {
                    out.send(path, check.packet());
                }
                out.send(path, initiator.packet());
            }
            Stage::Connecting | Stage::Ready => {}
        }
    }

    /// Lets time pass.
    pub(super) fn step(&mut self, now: Tick, rng: &mut Rng) -> Step {
        if now >= self.give_up_at {
            return Step::GiveUp;
        }
        if matches!(self.stage, Stage::Connecting | Stage::Ready) || now < self.next_at {
            return Step::Wait;
        }
        let Some(path) = self.path() else { return Step::GiveUp };
        if let Stage::Shaking(initiator, _) = &mut self.stage {
            initiator.begin_sending();
        }
        self.sent += 1;
        self.sent_at = now;
        self.turn += usize::from(self.carrier == Carrier::Udp);
        self.next_at = match SCHEDULE_MS.get(self.sent).filter(|_| self.carrier == Carrier::Udp) {
            Some(after) => now.max(self.stage_since + jittered(*after, rng)),
            None => self.give_up_at,
        };
        if self.next_at <= now {
            self.next_at = now + Duration::from_millis(SCHEDULE_MS[1]);
        }
        Step::Send(path)
    }

    pub(super) fn next_deadline(&self) -> Tick {
        let next = match self.stage {
            Stage::Connecting => self.give_up_at,
            Stage::Ready => self.give_up_at,
            Stage::Querying(_) | Stage::Shaking(..) => self.next_at,
        };
        next.min(self.give_up_at)
    }
}

/// `ms` ±10 %.
fn jittered(ms: u64, rng: &mut Rng) -> Duration {
    Duration::from_micros(ms * 900 + rng.below(ms * 200 + 1))
}

/// Half of it to all of it: so that not all clients of a relay come back in the same moment.
pub(super) fn pause(longest: Duration, rng: &mut Rng) -> Duration {
    let micros = longest.as_micros() as u64;
    Duration::from_micros(micros / 2 + rng.below(micros / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{AccessSecret, HandshakeLimits, Hello, Identity, Responder};

    fn udp(addr: &str) -> Path {
        Path::Udp(addr.parse().unwrap())
    }

    fn attempt(addrs: &[&str]) -> (Attempt, Rng) {
        let addrs = addrs.iter().map(|a| a.parse().unwrap()).collect();
        let (mut rng, start) = (Rng::from_seed([1; 32]), Tick::from_micros(1_000_000));
        let mut attempt = Attempt::new(Carrier::Udp, addrs, start);
        let query = KeyQuery::new(Carrier::Udp, &mut rng);
        attempt.enter(start, Stage::Querying(query));
        (attempt, rng)
    }

    #[test]
    fn six_packets_in_three_seconds_then_it_gives_up() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1"]);
        let start = Tick::from_micros(1_000_000);
        let (mut now, mut sent) = (start, Vec::new());
        loop {
            match attempt.step(now, &mut rng) {
                Step::Send(_) => sent.push(now.since(start).as_millis() as u64),
                Step::GiveUp => break,
                Step::Wait => {
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
    fn an_answer_measures_the_round_trip_only_if_one_packet_can_have_caused_it() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1"]);
        let ms = Duration::from_millis;
        let start = Tick::from_micros(1_000_000);
        attempt.step(start, &mut rng);
        assert_eq!(attempt.rtt(start + ms(9)), ms(9));
        let again = attempt.next_deadline();
        assert!(matches!(attempt.step(again, &mut rng), Step::Send(_)));
        assert_eq!(attempt.rtt(again + ms(9)), RTT_IN_DOUBT);
        assert_eq!(attempt.rtt(again + ms(200)), ms(200));
    }

    #[test]
    fn the_key_is_doubted_at_once_on_tcp_and_after_silence_on_udp() {
        for (carrier, doubted_from) in [(Carrier::Tcp, 1), (Carrier::Udp, 3)] {
            let (mut rng, mut now) = (Rng::from_seed([1; 32]), Tick::from_micros(1_000_000));
            let (identity, key) = (Identity::from_private([7; 32]), Identity::from_private([9; 32]).public());
            let hello = Hello { counter: 1, continues: None };
            let initiator =
                Initiator::new(&identity, &key, &AccessSecret::default(), &hello, 1, carrier, &mut rng)
                    .unwrap();
            let mut attempt = Attempt::new(carrier, vec!["127.0.0.1:1".parse().unwrap()], now).on(ConnId(1));
            attempt.enter(now, Stage::Shaking(initiator, None));
            for sent in 1..=doubted_from {
                while attempt.step(now, &mut rng) == Step::Wait {
                    now = attempt.next_deadline();
                }
                assert_eq!(attempt.doubts_key(), sent == doubted_from, "{carrier:?} {sent}");
            }
        }
    }

    /// Each COOKIE holds another cookie, as from a relay that will never be content.
    #[test]
    fn cookies_without_end_earn_six_packets_at_most() {
        let (mut rng, start) = (Rng::from_seed([1; 32]), Tick::from_micros(1_000_000));
        let (identity, relay) = (Identity::from_private([7; 32]), Identity::from_private([9; 32]));
        let (key, secret) = (relay.public(), AccessSecret::default());
        let mut relay = Responder::new(relay, secret.clone(), HandshakeLimits::On, Rng::from_seed([2; 32]));
        let mut ask = |port: u16, packet: &[u8]| {
            let (addr, mut out) = (SocketAddr::from(([192, 0, 2, 1], port)), Vec::new());
            relay.handle_init(start, Path::Udp(addr), addr, packet, &mut out);
            out
        };
        let hello = Hello { counter: 1, continues: None };
        let initiator = Initiator::new(&identity, &key, &secret, &hello, 1, Carrier::Udp, &mut rng).unwrap();
        let first = initiator.packet().to_vec();
        (0..200).for_each(|port| drop(ask(port, &first)));
        let (mut attempt, _) = attempt(&["192.0.2.9:1"]);
        attempt.enter(start, Stage::Shaking(initiator, None));
        let mut sent = 0;
        for port in 1_000..1_100 {
            sent += usize::from(matches!(attempt.step(start, &mut rng), Step::Send(_)));
            let again = attempt.handle_cookie(start, udp("192.0.2.9:1"), &ask(port, &first));
            assert_eq!(again, sent < SCHEDULE_MS.len(), "after {sent} packets");
        }
        assert_eq!(sent, SCHEDULE_MS.len());
    }

    #[test]
    fn every_address_has_its_turn() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1", "127.0.0.1:2"]);
        let mut paths = Vec::new();
        let mut now = Tick::from_micros(1_000_000);
        while paths.len() < 4 {
            match attempt.step(now, &mut rng) {
                Step::Send(path) => paths.push(path),
                _ => now = attempt.next_deadline(),
            }
        }
        assert!(paths[0] != paths[1] && paths[0] == paths[2] && paths[1] == paths[3]);
    }

    #[test]
    fn the_next_packet_goes_where_the_last_answer_came_from() {
        let (mut attempt, mut rng) = attempt(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
        let start = Tick::from_micros(1_000_000);
        assert_eq!(attempt.step(start, &mut rng), Step::Send(udp("127.0.0.1:1")));
        for (from, next) in
            [("127.0.0.1:3", "127.0.0.1:3"), ("127.0.0.1:2", "127.0.0.1:2"), ("[::1]:9", "127.0.0.1:3")]
        {
            attempt.go_on_at(udp(from));
            let query = KeyQuery::new(Carrier::Udp, &mut rng);
            attempt.enter(start, Stage::Querying(query));
            assert_eq!(attempt.step(start, &mut rng), Step::Send(udp(next)), "after {from}");
        }
    }
}
