//! Floods of text from forged addresses.

use std::net::SocketAddr;

use queqiao::base::{Name, Path};
use queqiao::client::{Carriers, Event};
use queqiao::relay::{GuestTexts, Limits};

use crate::client_harness::ClientHarness;
use crate::guest_rules;
use crate::relay_harness::{HarnessInput, RelayHarness, ms, secs, udp};

/// Text of one forged datagram: one byte, 29 with the headers of UDP and IP.
const TEXT: &[u8] = b"x";

/// Returns a relay whose guests write to JACK, and JACK's client.
fn guest_relay(limit: usize) -> (RelayHarness, ClientHarness) {
    let texts = GuestTexts { full: "full".into(), ..GuestTexts::default() };
    let mut relay = RelayHarness::with_guests(Limits::default(), Some(guest_rules::to_jack(limit, texts)));
    let jack = ClientHarness::signed_in(&mut relay, "JACK", 100, Carriers::Udp);
    (relay, jack)
}

/// Returns a forged address, each in another network.
fn forged(n: u32) -> Path {
    let [_, a, b, c] = n.to_be_bytes();
    Path::Udp(SocketAddr::from(([a + 20, b, c, 7], 6_000)))
}

fn flood(relay: &mut RelayHarness, from: std::ops::Range<u32>) {
    from.for_each(|n| relay.handle_packet(forged(n), TEXT));
}

fn addr(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, 0, host], 4_000))
}

fn name(host: u8) -> String {
    Name::of_guest(addr(host)).to_string()
}

fn line(relay: &mut RelayHarness, path: Path, text: &str) {
    relay.take_turn(vec![HarnessInput::Text(path, format!("{text}\n").into_bytes())]);
}

/// Lets a second pass. Returns the texts that came to JACK from honest guests, and the number of
/// forged ones.
fn letters(relay: &mut RelayHarness, jack: &mut ClientHarness) -> (Vec<String>, usize) {
    jack.run_with(relay, secs(1));
    let mut honest = Vec::new();
    let mut others = 0;
    for event in std::mem::take(&mut jack.events) {
        match event {
            Event::Letter(letter) if letter.text.as_bytes() == TEXT => others += 1,
            Event::Letter(letter) => honest.push(letter.text),
            _ => {}
        }
    }
    (honest, others)
}

/// Lets JACK answer the guest at `host`. Returns the texts sent to `path`.
fn answer(
    relay: &mut RelayHarness,
    jack: &mut ClientHarness,
    host: u8,
    path: Path,
    text: &str,
) -> Vec<String> {
    jack.send(1, relay.next_counter(), &name(host), text);
    jack.run_with(relay, secs(1));
    texts(relay, path)
}

fn texts(relay: &mut RelayHarness, path: Path) -> Vec<String> {
    relay.take_sent_on(path).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn burst_of_forged_addresses_excludes_no_guest() {
    let (mut relay, mut jack) = guest_relay(256);
    flood(&mut relay, 0..256);
    let conn = relay.connect(addr(1));
    line(&mut relay, conn, "by TCP");
    relay.handle_packet(Path::Udp(addr(2)), b"by UDP");
    let (honest, _) = letters(&mut relay, &mut jack);
    assert_eq!(honest, ["by TCP", "by UDP"]);
    assert_eq!(answer(&mut relay, &mut jack, 1, conn, "one"), ["one\n"]);
    assert_eq!(answer(&mut relay, &mut jack, 2, Path::Udp(addr(2)), "two"), ["two"]);
}

#[test]
fn forged_flood_closes_no_guest_on_tcp() {
    for repeats in [1, 2, 3] {
        let (mut relay, mut jack) = guest_relay(16);
        let conns: Vec<Path> = (1..=8).map(|host| relay.connect(addr(host))).collect();
        conns.iter().for_each(|conn| line(&mut relay, *conn, "before"));
        for n in 0..10_000 {
            (0..repeats).for_each(|_| relay.handle_packet(forged(n), TEXT));
        }
        conns.iter().for_each(|conn| line(&mut relay, *conn, "after"));
        let late: Vec<Path> = (11..=18).map(|host| relay.connect(addr(host))).collect();
        late.iter().for_each(|conn| line(&mut relay, *conn, "late"));
        assert_eq!(relay.closed, [], "{repeats}");
        let (honest, others) = letters(&mut relay, &mut jack);
        assert_eq!(honest.iter().filter(|text| *text == "after").count(), 8, "{repeats}");
        assert_eq!(honest.iter().filter(|text| *text == "late").count(), 8, "{repeats}");
        assert!(others <= 2_000, "{repeats}: {others} forged texts got through");
    }
}

/// 2,000 forged addresses a second: the number of their texts is bounded, and a guest's second
/// datagram is taken.
#[test]
fn second_datagram_is_taken_during_flood() {
    let (mut relay, mut jack) = guest_relay(16);
    flood(&mut relay, 0..20_000);
    let mut forged_texts = letters(&mut relay, &mut jack).1;
    for round in 1..=20u8 {
        let first = 20_000 + u32::from(round) * 2_000;
        flood(&mut relay, first..first + 1_500);
        let guest = Path::Udp(addr(round));
        relay.handle_packet(guest, format!("first of {round}").as_bytes());
        relay.handle_packet(guest, format!("second of {round}").as_bytes());
        flood(&mut relay, first + 1_500..first + 2_000);
        let (honest, others) = letters(&mut relay, &mut jack);
        forged_texts += others;
        assert_eq!(honest.last(), Some(&format!("second of {round}")));
        assert_eq!(answer(&mut relay, &mut jack, round, guest, "re"), ["re"], "{round}");
    }
    assert!(forged_texts <= 500 + 50 * 41, "{forged_texts}");
}

/// A guest whose text was taken is kept for as long as an answer may take.
#[test]
fn known_guest_is_answered_half_a_minute_later() {
    let (mut relay, mut jack) = guest_relay(16);
    relay.handle_packet(Path::Udp(addr(1)), b"hello");
    let mut n = 0;
    for _ in 0..30 {
        // Each address twice: the second time it is known.
        (n..n + 2_000).for_each(|n| (0..2).for_each(|_| relay.handle_packet(forged(n), TEXT)));
        n += 2_000;
        letters(&mut relay, &mut jack);
    }
    assert_eq!(answer(&mut relay, &mut jack, 1, Path::Udp(addr(1)), "at last"), ["at last"]);
}

/// Returns a relay whose guests may have 100 letters by each carrier in the mailbox of JACK, who is
/// away.
fn guest_relay_with_jack_away() -> RelayHarness {
    let texts = GuestTexts { full: "full".into(), away: "away".into(), ..GuestTexts::default() };
    let limits = Limits { pair_letters: 100, ..Limits::default() };
    let mut relay = RelayHarness::with_guests(limits, Some(guest_rules::to_jack(16, texts)));
    ClientHarness::signed_in(&mut relay, "JACK", 100, Carriers::Udp);
    relay.wait(secs(200));
    relay
}

/// Whether the relay takes a letter that `gives` sends.
fn takes(relay: &mut RelayHarness, gives: impl FnOnce(&mut RelayHarness)) -> bool {
    let taken = relay.core.stats().letters_taken;
    gives(relay);
    relay.core.check_sums();
    relay.core.stats().letters_taken > taken
}

#[test]
fn forged_flood_leaves_mailbox_space_to_tcp_guests() {
    let mut relay = guest_relay_with_jack_away();
    for n in 0..20 {
        flood(&mut relay, n * 100..n * 100 + 100);
        relay.wait(secs(1));
    }
    assert_eq!(relay.core.stats().letters_taken, 100);
    assert!(!takes(&mut relay, |relay| relay.handle_packet(forged(9_000), TEXT)));
    let conn = relay.connect(addr(1));
    assert!(takes(&mut relay, |relay| line(relay, conn, "by TCP")));
    assert_eq!(relay.take_sent_on(conn), [b"away\n"]);
}

#[test]
fn tcp_guests_leave_mailbox_space_to_udp_guests() {
    let mut relay = guest_relay_with_jack_away();
    let conns: Vec<Path> = (1..=15).map(|host| relay.connect(addr(host))).collect();
    for n in 0..120 {
        line(&mut relay, conns[n % 15], "by TCP");
        relay.wait(ms(100));
    }
    assert_eq!(relay.core.stats().letters_taken, 100);
    assert!(!takes(&mut relay, |relay| line(relay, conns[0], "one more")));
    assert!(takes(&mut relay, |relay| relay.handle_packet(Path::Udp(addr(20)), b"by UDP")));
}

/// Low ports belong to servers that answer anything, and multicast addresses cannot be answered.
#[test]
fn text_from_low_port_or_multicast_is_dropped_and_counted() {
    let (mut relay, mut jack) = guest_relay(16);
    let sources = ["192.0.2.1:53", "192.0.2.1:123", "192.0.2.1:19", "192.0.2.1:1023", "224.0.0.5:5000"];
    for source in sources {
        let path = Path::Udp(source.parse().unwrap());
        for text in ["hello", "@echo hello"] {
            relay.handle_packet(path, text.as_bytes());
        }
        assert_eq!(relay.take_sent_on(path), [b""; 0]);
    }
    assert_eq!(relay.core.stats().guests_forged, 2 * sources.len() as u64);
    assert_eq!(letters(&mut relay, &mut jack).0, [""; 0]);
}

/// Runs two relays whose guests write to `echo`, after one datagram forged in the name of the
/// other. Returns the number of datagrams.
fn forged_echo(text: &[u8]) -> usize {
    let rules = || Some(guest_rules::to("echo", 16, GuestTexts::default()));
    let mut rigs = [
        RelayHarness::with_guests(Limits::default(), rules()),
        RelayHarness::with_guests(Limits::default(), rules()),
    ];
    let at = |n: usize| udp(10 + n as u8, 8_081);
    let mut waiting = vec![text.to_vec()];
    let mut to = 0;
    let mut datagrams = 0;
    while !waiting.is_empty() {
        for bytes in std::mem::take(&mut waiting) {
            datagrams += 1;
            rigs[to].handle_packet(at(1 - to), &bytes);
        }
        rigs[to].wait(ms(1));
        waiting = rigs[to].take_sent_on(at(1 - to));
        to = 1 - to;
        assert!(datagrams < 10_000, "it has no end");
    }
    datagrams
}

#[test]
fn loop_of_two_relays_after_forged_datagram_ends() {
    for text in ["hello", "HELLO", "鹊桥", "@echo @echo hello"] {
        let datagrams = forged_echo(text.as_bytes());
        assert!(datagrams <= 130, "{text}: {datagrams}");
    }
}

/// A person who writes Chinese is answered each time, and so is a script that sends letters as fast
/// as a source may.
#[test]
fn echo_answers_repeated_and_frequent_texts() {
    let mut relay = RelayHarness::with_guests(
        Limits::default(),
        Some(guest_rules::to("echo", 16, GuestTexts::default())),
    );
    for _ in 0..500 {
        relay.wait(secs(1));
        relay.handle_packet(udp(1, 4_000), "你好".as_bytes());
        assert_eq!(texts(&mut relay, udp(1, 4_000)), ["你好"]);
    }
    for n in 0..1_000 {
        relay.handle_packet(udp(2, 4_000), format!("hello {n}").as_bytes());
    }
    assert_eq!(texts(&mut relay, udp(2, 4_000)).len(), 1_000);
}

/// The budget of a source on TCP is its own, whatever number of others have written.
#[test]
fn busy_sources_exclude_no_tcp_guest() {
    let (mut relay, mut jack) = guest_relay(16);
    flood(&mut relay, 0..5_000);
    for n in 0..5_000u32 {
        let conn = relay.connect(SocketAddr::from(([30, 1 + (n >> 8) as u8, n as u8, 1], 4_000)));
        line(&mut relay, conn, "x");
        line(&mut relay, conn, "exit");
        if n % 1_000 == 999 {
            letters(&mut relay, &mut jack);
        }
    }
    let conn = relay.connect(addr(1));
    line(&mut relay, conn, "still here");
    assert!(!relay.is_closed(conn));
    assert_eq!(letters(&mut relay, &mut jack).0.last().unwrap(), "still here");
}

/// The flood lasts a second. Ten minutes later its guests are forgotten in a few turns.
#[test]
fn guests_of_flood_are_forgotten_in_few_turns() {
    let texts = GuestTexts::default();
    let mut relay = RelayHarness::with_guests(Limits::default(), Some(guest_rules::to_jack(256, texts)));
    for n in 0..500 {
        relay.tick = relay.tick + ms(2);
        relay.handle_packet(forged(n), TEXT);
    }
    relay.wait(secs(598));
    let turns = relay.wait(secs(4));
    assert!((1..=8).contains(&turns), "{turns} turns");
    assert!(relay.deadline.is_none_or(|at| at > relay.tick + secs(60)), "all are forgotten");
}
