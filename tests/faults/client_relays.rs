//! A client whose address book names many unreachable relays.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::client::{Carriers, Command, Event, Progress, RelayConfig};

use crate::client_harness::{ClientHarness, TcpOpens, relay_addr, relay_config};
use crate::relay_harness::{RelayHarness, ms, secs};

/// Number of relays that do not answer.
const DEAD: u16 = 1_500;
/// Maximum TCP connections that attempts may have open at once.
const CONNS_MAX: usize = 256;

/// Returns a client of 1,500 relays that do not answer and of relay number 1, which it tries last.
fn crowd(relay: &RelayHarness, carriers: Carriers, known: bool) -> ClientHarness {
    let mut client = ClientHarness::new("TOM", 1, 1, carriers);
    client.tick = relay.tick;
    let key = known.then(|| relay.key());
    let dead = |n: u16| {
        let [high, low] = n.to_be_bytes();
        RelayConfig {
            addr: SocketAddr::from(([192, 0, high, low], 8_081)).into(),
            tcp: None,
            key,
            fingerprint: None,
        }
    };
    let all = (0..DEAD).map(dead).chain([relay_config(1, Some(relay))]).collect();
    client.push_command(Command::Relays(all));
    client
}

fn is_online(event: &Event) -> bool {
    matches!(event, Event::Online { relay, .. } if *relay == relay_addr(1).into())
}

fn unreached(client: &ClientHarness) -> usize {
    client.count_events(|event| matches!(event, Event::Unreached { .. }))
}

/// Runs the client and checks after each 100 ms that its connections are bounded.
fn run(client: &mut ClientHarness, relay: &mut RelayHarness, span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        let step = left.min(ms(100));
        client.run_with(relay, step);
        left -= step;
        assert!(client.open_conns.len() <= CONNS_MAX, "{} connections", client.open_conns.len());
    }
}

#[test]
fn living_relay_among_1500_dead_is_reached_within_2_s() {
    for (carriers, known) in [(Carriers::Udp, true), (Carriers::Auto, false)] {
        let mut relay = RelayHarness::new();
        let mut tom = crowd(&relay, carriers, known);
        run(&mut tom, &mut relay, secs(2));
        assert_eq!(tom.count_events(is_online), 1, "{carriers:?}");
        tom.send(1, 1, "echo", "hello");
        run(&mut tom, &mut relay, ms(100));
        let delivered =
            |event: &Event| matches!(event, Event::Progress { progress: Progress::Delivered, .. });
        assert_eq!(tom.count_events(delivered), 1, "at once");
    }
}

/// Only TCP reaches the living relay. Connections to the others are accepted or not, and carry no
/// bytes.
#[test]
fn tcp_only_relay_among_1500_silent_is_reached_within_8_s() {
    for (tcp, known) in [(TcpOpens::Always, true), (TcpOpens::WithRelays, false)] {
        let mut relay = RelayHarness::new();
        let mut tom = crowd(&relay, Carriers::Tcp, known);
        tom.tcp = tcp;
        run(&mut tom, &mut relay, secs(8));
        assert_eq!(tom.count_events(is_online), 1, "{tcp:?}");
    }
}

/// All connections belong to silent relays when the letter is written. Its relay gets one within
/// 100 ms.
#[test]
fn relay_with_letter_displaces_silent_attempt() {
    let mut relay = RelayHarness::new();
    let mut tom = crowd(&relay, Carriers::Tcp, false);
    tom.tcp = TcpOpens::Always;
    run(&mut tom, &mut relay, secs(2));
    assert_eq!((tom.open_conns.len(), tom.count_events(is_online)), (CONNS_MAX, 0));
    tom.send(1, 1, "echo", "hello");
    tom.run_with(&mut relay, ms(100));
    assert_eq!(tom.count_events(is_online), 1);
}

/// All relays share one rate of attempts, so that unreachable ones cost little however many they
/// are.
#[test]
fn unreachable_relays_share_one_retry_rate() {
    let mut relay = RelayHarness::new();
    let mut tom = crowd(&relay, Carriers::Udp, false);
    run(&mut tom, &mut relay, secs(10));
    assert_eq!(unreached(&tom), usize::from(DEAD), "each was tried");
    let before = tom.packets_up;
    run(&mut tom, &mut relay, secs(60));
    let packets = tom.packets_up - before;
    // Ten rounds a second of six packets, and a little for the living one.
    assert!((3_000..3_700).contains(&packets), "{packets} packets");
    run(&mut tom, &mut relay, secs(120));
    assert_eq!(unreached(&tom), usize::from(DEAD), "and is reported once");
}

/// A relay that is reachable again and has a letter waiting does not wait for its turn among the
/// others.
#[test]
fn relay_with_letter_is_retried_before_others() {
    let mut relay = RelayHarness::new();
    let mut tom = crowd(&relay, Carriers::Udp, false);
    tom.cut_up = true;
    run(&mut tom, &mut relay, secs(60));
    tom.cut_up = false;
    tom.send(1, 1, "echo", "hello");
    run(&mut tom, &mut relay, secs(32));
    assert_eq!(tom.count_events(is_online), 1);
}

/// Each unreachable relay is retried, none twice before all the others.
#[test]
fn unreachable_relays_take_turns() {
    let mut relay = RelayHarness::new();
    let mut tom = crowd(&relay, Carriers::Udp, false);
    tom.cut_up = true;
    run(&mut tom, &mut relay, secs(60));
    tom.cut_up = false;
    run(&mut tom, &mut relay, secs(200));
    assert_eq!(tom.count_events(is_online), 1, "without a letter it waits for its turn");
}
