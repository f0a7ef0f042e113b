//! TCP connections as the core of the relay sees them: their number, their lifetime, and the
//! reasons to close one.

use std::net::SocketAddr;

use queqiao::base::{Carrier, ConnId, Path, Rng};
use queqiao::relay::Limits;
use queqiao::session::{InitPayload, KeyQuery};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::limits::TCP_UNSENT_MAX;
use queqiao::wire::packet::RESET_LEN;

use super::raw_client::{RawClient, SeenMessage, new_initiator, private_key};
use super::relay_harness::{HarnessInput, RelayHarness, ms, secs, udp};

fn remote(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([198, 18, 1, host], port))
}

// faults.md: R37
#[test]
fn connection_without_valid_packet_is_closed_after_5_s() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    relay.wait(ms(4_999));
    assert!(!relay.is_closed(path));
    relay.wait(ms(1));
    assert!(relay.is_closed(path));
    relay.assert_silent();
}

// faults.md: R37
#[test]
fn key_queries_keep_no_connection_open() {
    let mut relay = RelayHarness::new();
    let mut rng = Rng::from_seed([1; 32]);
    let path = relay.connect(remote(1, 1));
    for _ in 0..20 {
        let query = KeyQuery::new(Carrier::Tcp, &mut rng);
        relay.handle_packet(path, query.packet());
        relay.wait(secs(1));
    }
    assert_eq!(relay.take_sent_on(path).len(), 5, "each is answered until the connection is closed");
    assert!(relay.is_closed(path));
}

// faults.md: R37
#[test]
fn unconfirmed_handshake_keeps_connection_for_10_s() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    RawClient::handshake(&mut relay, path, 1, 1).unwrap();
    relay.wait(ms(9_999));
    assert!(!relay.is_closed(path), "the client has not had its answer yet");
    relay.wait(ms(1));
    assert!(relay.is_closed(path));
    assert_eq!(relay.core.session_count(), 0);
}

#[test]
fn idle_connection_is_closed_after_75_s_and_session_later() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    let mut tom = RawClient::signed_in(&mut relay, path, 1, "TOM");
    relay.wait(ms(74_999));
    assert!(!relay.is_closed(path));
    relay.wait(ms(1));
    assert!(relay.is_closed(path));
    tom.path = udp(1, 1);
    tom.send(&mut relay, &[Frame::Ping]);
    assert!(!tom.seen_frames.is_empty(), "the session is still alive");
    relay.wait(secs(200));
    assert_eq!(relay.core.session_count(), 0);
}

// faults.md: R34, R39
#[test]
fn connection_reset_removes_path_and_keeps_session() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    let mut tom = RawClient::signed_in(&mut relay, path, 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    relay.disconnect(path);
    jack.send_letter(&mut relay, "TOM", 1, 0, "are you there?");
    relay.wait(ms(500));
    assert!(relay.take_sent_on(path).is_empty(), "nothing is sent on a path that is gone");
    tom.path = relay.connect(remote(1, 2));
    tom.send(&mut relay, &[Frame::Ping]);
    tom.receive(&mut relay);
    assert!(matches!(&tom.take_messages(StreamId::Chat)[..], [SeenMessage::Delivery { number: 1, .. }]));
}

// faults.md: R43
#[test]
fn garbage_closes_connection_and_keeps_session() {
    let garbage = |client: &mut RawClient, kind: u64| match kind {
        0 => vec![7; 50],
        1 => {
            let mut packet = client.seal(&[Frame::Ping]);
            packet[20] ^= 1;
            packet
        }
        2 => {
            let mut packet = client.seal(&[Frame::Ping]);
            packet[5] ^= 1;
            packet
        }
        3 => client.seal(&[Frame::Ping])[..10].to_vec(),
        _ => {
            let mut packet = vec![0xFF, 1, 1, 0];
            packet.resize(300, 9);
            packet
        }
    };
    let mut relay = RelayHarness::new();
    let first = relay.connect(remote(1, 1));
    let mut tom = RawClient::signed_in(&mut relay, first, 1, "TOM");
    for kind in 0..5 {
        let bytes = garbage(&mut tom, kind);
        relay.handle_packet(tom.path, &bytes);
        assert!(relay.is_closed(tom.path), "garbage number {kind}");
        let answers = relay.take_sent_on(tom.path);
        assert!(
            answers.iter().all(|bytes| kind == 2 && bytes.len() == RESET_LEN),
            "an unknown index is reset"
        );
        tom.path = relay.connect(remote(1, 2 + kind as u16));
        tom.seen_frames.clear();
        tom.send(&mut relay, &[Frame::Ping]);
        assert!(!tom.seen_frames.is_empty(), "the session continues on the new connection");
    }
}

// faults.md: R44
#[test]
fn address_has_at_most_256_connections() {
    let mut relay = RelayHarness::new();
    for port in 1..=256 {
        let path = relay.connect(remote(1, port));
        assert!(!relay.is_closed(path));
    }
    let refused = relay.connect(remote(1, 257));
    assert!(relay.is_closed(refused));
    assert_eq!(relay.core.stats().conns_refused, 1);
    relay.disconnect(Path::Tcp(ConnId(1)));
    let again = relay.connect(remote(1, 300));
    assert!(!relay.is_closed(again), "a closed one leaves its place");
}

// faults.md: R44
/// Each address opens twice as many connections as it may have.
#[test]
fn four_addresses_cannot_take_all_connections() {
    let mut relay = RelayHarness::new();
    for port in 1..=512 {
        for host in 1..=4 {
            relay.connect(SocketAddr::from(([198, 18, host, 1], port)));
        }
    }
    let open = 2_048 - relay.closed.len();
    assert_eq!(open, 512, "half of the places are reserved for members");
    let others: Vec<Path> =
        (10..=20).map(|host| relay.connect(SocketAddr::from(([198, 18, host, 1], 1)))).collect();
    for port in 1_000..=1_500 {
        for host in 1..=4 {
            relay.connect(SocketAddr::from(([198, 18, host, 1], port)));
        }
    }
    assert!(others.iter().all(|path| !relay.is_closed(*path)), "the four displace only each other");
    for (member, path) in (1..).zip(others) {
        RawClient::signed_in(&mut relay, path, member, &format!("M{member}"));
    }
}

// faults.md: R44
#[test]
fn members_displace_strangers_from_full_table() {
    let mut relay = RelayHarness::with(Limits { conns: 8, ..Limits::default() });
    let strangers: Vec<Path> = (1..=4).map(|host| relay.connect(remote(host, 1))).collect();
    let mut members: Vec<RawClient> = Vec::new();
    for member in 1..=8 {
        let path = relay.connect(SocketAddr::from(([198, 18, 100 + member, 1], 1)));
        assert!(!relay.is_closed(path), "the quietest stranger gives way to member {member}");
        members.push(RawClient::signed_in(&mut relay, path, member.into(), &format!("M{member}")));
    }
    assert!(strangers.iter().all(|path| relay.is_closed(*path)));
    assert!(members.iter_mut().all(|member| member.is_alive(&mut relay)));
    let refused = relay.connect(remote(9, 1));
    assert!(relay.is_closed(refused), "no member gives way to a stranger");
    members[0].send(&mut relay, &[Frame::Close { code: 0, reason: "bye" }]);
    let next = relay.connect(remote(9, 2));
    assert!(
        !relay.is_closed(next) && relay.is_closed(members[0].path),
        "a member whose session is over counts as stranger"
    );
    assert!(members[1..].iter_mut().all(|member| member.is_alive(&mut relay)));
}

// faults.md: R44
/// A member that sends on many connections has two of the places reserved for members.
#[test]
fn session_holds_at_most_two_member_places() {
    let mut relay = RelayHarness::with(Limits { conns: 8, ..Limits::default() });
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    for port in 1..=12 {
        tom.path = relay.connect(remote(1, port));
        assert!(tom.is_alive(&mut relay));
    }
    assert_eq!(relay.closed.len(), 12 - 6, "four count as a stranger's");
    for port in 1..=6_u8 {
        let path = relay.connect(SocketAddr::from(([198, 18, 100 + port, 1], 1)));
        let name = format!("M{port}");
        RawClient::signed_in(&mut relay, path, 10 + u64::from(port), &name);
    }
    assert!(tom.is_alive(&mut relay));
}

// faults.md: R37
#[test]
fn repeated_handshakes_hold_no_connection() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    for counter in 1..=3 {
        let is_answered = RawClient::handshake(&mut relay, path, counter, 1).is_some();
        assert_eq!(is_answered, counter < 3, "number {counter}");
        assert!(relay.core.session_count() <= 1, "one for each connection");
        relay.wait(secs(8));
    }
    assert!(relay.is_closed(path));
    assert_eq!(relay.core.session_count(), 0);
}

// faults.md: R44
#[test]
fn ipv6_64_counts_as_one_address_and_loopback_is_exempt() {
    let limits = Limits { conns_per_address: 2, ..Limits::default() };
    let mut relay = RelayHarness::with(limits);
    let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, n, 0, 0, 1], 1));
    for n in 1..=2 {
        let path = relay.connect(v6(n));
        assert!(!relay.is_closed(path));
    }
    let path = relay.connect(v6(3));
    assert!(relay.is_closed(path));
    for port in 1..=20 {
        let path = relay.connect(([127, 0, 0, 1], port).into());
        assert!(!relay.is_closed(path));
    }
}

// faults.md: R41
/// The buffers of the kernel and the program are full: no packet is built until some bytes have
/// left.
#[test]
fn peer_that_never_reads_gets_at_most_80_kib_queued() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    let tom = RawClient::signed_in(&mut relay, path, 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let mut queued = 0;
    for number in 1..=40 {
        jack.send_letter(&mut relay, "TOM", number, number - 1, &"x".repeat(10_000));
        queued += relay.take_sent_on(path).iter().map(|bytes| bytes.len() + 2).sum::<usize>();
        let unsent = queqiao::base::Input::Unsent(path, queued);
        relay.take_turn(vec![HarnessInput::Other(unsent)]);
    }
    relay.wait(secs(5));
    let most = TCP_UNSENT_MAX + 16 * 1024 + 2;
    assert!((TCP_UNSENT_MAX..=most).contains(&queued), "{queued}");
    relay.take_turn(vec![HarnessInput::Other(queqiao::base::Input::Unsent(path, 0))]);
    assert!(!relay.take_sent_on(path).is_empty(), "free space is used");
    assert_eq!((tom.close_code(), jack.close_code()), (None, None));
}

// faults.md: R41
#[test]
fn ended_session_sends_one_close_to_peer_that_never_reads() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    RawClient::signed_in(&mut relay, path, 1, "TOM");
    relay.take_sent_on(path);
    RawClient::signed_in(&mut relay, udp(3, 3), 1, "TOM");
    let packets = relay.take_sent_on(path);
    assert_eq!(packets.len(), 1, "another machine has the name now");
    let queued = packets[0].len() + 2;
    for _ in 0..10 {
        relay.take_turn(vec![HarnessInput::Other(queqiao::base::Input::Unsent(path, queued))]);
    }
    assert_eq!(relay.take_sent_on(path).len(), 0);
}

// faults.md: R41
#[test]
fn peer_that_never_reads_is_closed_and_mailbox_keeps_all() {
    let mut relay = RelayHarness::new();
    let path = relay.connect(remote(1, 1));
    RawClient::signed_in(&mut relay, path, 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    for number in 1..=40 {
        jack.send_letter(&mut relay, "TOM", number, number - 1, &"x".repeat(3_000));
    }
    for _ in 0..9 {
        relay.wait(secs(10));
        jack.send(&mut relay, &[queqiao::wire::frame::Frame::Ping]);
    }
    assert!(relay.is_closed(path));
    assert_eq!(relay.core.stats().letters_written, 40);
    let refused = |t: &SeenMessage| matches!(t, SeenMessage::Refused { .. });
    assert!(!jack.take_messages(StreamId::Control).iter().any(refused), "they were accepted");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    let mut numbers = Vec::new();
    for _ in 0..100 {
        tom.send(&mut relay, &[queqiao::wire::frame::Frame::Ping]);
        relay.wait(ms(20));
        tom.receive(&mut relay);
        for letter in tom.take_messages(StreamId::Chat) {
            let SeenMessage::Delivery { number, .. } = letter else { panic!("{letter:?}") };
            numbers.push(number);
            tom.report_stored(&mut relay, "JACK", number);
        }
    }
    assert_eq!(numbers, Vec::from_iter(1..=40));
}

#[test]
fn init_for_another_relay_closes_connection_at_once() {
    let mut relay = RelayHarness::new();
    let other = RelayHarness::with(Limits::default());
    let hello = InitPayload { counter: 1, continues: None };
    let mut packet = new_initiator(&other, private_key(1), Carrier::Tcp, &hello, 1).packet().to_vec();
    packet[9] ^= 1;
    let path = relay.connect(remote(1, 1));
    relay.handle_packet(path, &packet);
    assert!(relay.is_closed(path));
    relay.assert_silent();
}
