//! Plain text from any address, in any order and size.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use queqiao::base::{ConnId, Input, Path};
use queqiao::relay::{GuestRules, GuestTexts, Limits};

use crate::guest_rules;
use crate::raw_client::RawClient;
use crate::relay_harness::{HarnessInput, RelayHarness, ms, secs, udp};

/// JACK's address, if he is signed in.
const JACKS: Path = Path::Udp(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 100)), 1));

fn rules(to: &str) -> GuestRules {
    let texts = GuestTexts { nobody: "nobody".into(), ..GuestTexts::default() };
    let to = to.parse().unwrap();
    let greeting = "welcome".into();
    GuestRules { to, anyone: true, greeting, ..guest_rules::to_jack(8, texts) }
}

fn new_relay(to: &str) -> RelayHarness {
    RelayHarness::with_guests(Limits::default(), Some(rules(to)))
}

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, 0, host], 4_000))
}

/// One step of a script of guests.
#[derive(Clone, Debug)]
enum Act {
    Datagram(u8, Vec<u8>),
    Open,
    Text(u8, Vec<u8>),
    End(u8),
    Close(u8),
    Wait(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let bytes = prop_oneof![
        any::<Vec<u8>>(),
        "[@a-zA-Z 你好\n]{0,40}".prop_map(String::into_bytes),
        Just(b"@echo hello".to_vec()),
        Just(b"q".to_vec()),
        Just(b"exit\r\n".to_vec()),
        Just(vec![0xff; 30]),
        Just(vec![0x81; 9_000]),
    ];
    let act = prop_oneof![
        (0..20u8, bytes.clone()).prop_map(|(host, bytes)| Act::Datagram(host, bytes)),
        Just(Act::Open),
        (0..6u8, bytes).prop_map(|(conn, bytes)| Act::Text(conn, bytes)),
        (0..6u8).prop_map(Act::End),
        (0..6u8).prop_map(Act::Close),
        (0..2_000u16).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 0..60)
}

/// Plays a script. Returns the bytes from and to each UDP address.
fn play(relay: &mut RelayHarness, acts: Vec<Act>) -> BTreeMap<Path, (usize, usize)> {
    let mut counted = BTreeMap::<Path, (usize, usize)>::new();
    let mut conns = 0;
    for act in acts {
        let is_open = |conn: u8| (1..=conns).contains(&u64::from(conn));
        let path_of = |conn: u8| Path::Tcp(ConnId(u64::from(conn)));
        match act {
            Act::Datagram(host, bytes) => {
                counted.entry(udp(host, 4_000)).or_default().0 += bytes.len();
                relay.take_turn(vec![HarnessInput::Packet(udp(host, 4_000), bytes)]);
            }
            Act::Open => {
                conns += 1;
                let path = Path::Tcp(ConnId(conns));
                relay.take_turn(vec![HarnessInput::Other(Input::PathOpened {
                    path,
                    remote: addr(conns as u8),
                })]);
            }
            Act::Text(conn, bytes) if is_open(conn) => {
                relay.take_turn(vec![HarnessInput::Text(path_of(conn), bytes)])
            }
            Act::End(conn) if is_open(conn) => {
                relay.take_turn(vec![HarnessInput::Other(Input::TextEnded(path_of(conn)))])
            }
            Act::Close(conn) if is_open(conn) => {
                relay.take_turn(vec![HarnessInput::Other(Input::PathClosed(
                    path_of(conn),
                    queqiao::base::PathError::Reset,
                ))]);
            }
            Act::Wait(millis) => {
                relay.wait(ms(u64::from(millis)));
            }
            Act::Text(..) | Act::End(_) | Act::Close(_) => {}
        }
    }
    let to_guest = |sent: &&(Path, Vec<u8>)| matches!(sent.0, Path::Udp(_)) && sent.0 != JACKS;
    for (path, bytes) in relay.sent.iter().filter(to_guest) {
        counted.get_mut(path).expect("the relay writes only to addresses that wrote to it").1 += bytes.len();
    }
    counted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // faults.md: R11
    #[test]
    fn automatic_udp_output_to_guest_is_not_larger_than_input(
        acts in acts(),
        echo: bool,
        with_jack: bool,
    ) {
        let mut relay = new_relay(if echo { "echo" } else { "JACK" });
        if with_jack {
            RawClient::signed_in(&mut relay, JACKS, 1, "JACK");
        }
        for (path, (came, went)) in play(&mut relay, acts) {
            prop_assert!(went <= came, "{path:?}: {came} came, {went} went");
        }
        let mut closed = relay.closed.clone();
        closed.sort_unstable();
        closed.dedup();
        prop_assert_eq!(closed.len(), relay.closed.len(), "each connection is closed once");
        relay.wait(secs(1_300));
        let later = relay.deadline.filter(|at| *at < relay.tick + secs(3_600));
        prop_assert!(with_jack || later.is_none(), "a deadline is left: {later:?}");
    }
}

#[test]
fn silent_connection_is_greeted_and_closed_after_10_min() {
    let mut relay = new_relay("JACK");
    let path = Path::Tcp(ConnId(1));
    relay.take_turn(vec![HarnessInput::Other(Input::PathOpened { path, remote: addr(1) })]);
    relay.wait(ms(299));
    assert_eq!(relay.sent, []);
    relay.wait(ms(2));
    assert_eq!(relay.sent, [(path, b"welcome".to_vec())]);
    relay.wait(secs(590));
    assert_eq!(relay.closed, []);
    relay.wait(secs(11));
    assert_eq!(relay.closed, [ConnId(1)]);
    assert_eq!(
        relay.deadline.filter(|at| *at < relay.tick + Duration::from_secs(3_600)),
        None,
        "nothing is left"
    );
}

#[test]
fn plain_text_with_guests_off_gets_no_answer() {
    let mut relay = RelayHarness::new();
    relay.take_turn(vec![
        HarnessInput::Packet(udp(1, 1), b"hello".to_vec()),
        HarnessInput::Packet(udp(1, 1), Vec::new()),
    ]);
    relay.wait(secs(5));
    assert_eq!(relay.sent, []);
}

#[test]
fn flood_of_lines_closes_its_connection() {
    let mut relay = new_relay("echo");
    let path = Path::Tcp(ConnId(1));
    relay.take_turn(vec![HarnessInput::Other(Input::PathOpened { path, remote: addr(1) })]);
    relay.take_turn(vec![HarnessInput::Text(path, b"x\n".repeat(2_000))]);
    assert_eq!(relay.closed, [ConnId(1)]);
    assert_eq!(relay.sent.len(), 1 + 1_000, "a greeting, and what was admitted");
}

#[test]
fn unanswered_udp_guests_are_forgotten_after_10_min() {
    let mut relay = new_relay("JACK");
    for host in 0..20 {
        relay.handle_packet(udp(host, 4_000), b"hello");
    }
    assert_eq!(relay.sent, []);
    relay.wait(secs(601));
    assert_eq!(
        relay.deadline.filter(|at| *at < relay.tick + Duration::from_secs(3_600)),
        None,
        "all are forgotten"
    );
}
