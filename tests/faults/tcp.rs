//! TCP connections as the core of the relay sees them: their number, their lifetime, and the
//! reasons to close one.

use std::net::SocketAddr;

use queqiao::base::{Carrier, ConnId, Path, Rng};
use queqiao::relay::Limits;
use queqiao::session::{Hello, KeyQuery};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::limits::TCP_UNSENT_MAX;
use queqiao::wire::packet::RESET_LEN;

use super::hand::{Hand, Told, init, private};
use super::rig::{Given, Rig, ms, secs, udp};

fn remote(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([198, 18, 1, host], port))
}

// faults.md: R37
#[test]
fn connection_without_valid_packet_is_closed_after_5_s() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    rig.wait(ms(4_999));
    assert!(!rig.is_closed(path));
    rig.wait(ms(1));
    assert!(rig.is_closed(path));
    rig.assert_silent();
}

// faults.md: R37
#[test]
fn key_queries_keep_no_connection_open() {
    let mut rig = Rig::new();
    let mut rng = Rng::from_seed([1; 32]);
    let path = rig.connect(remote(1, 1));
    for _ in 0..20 {
        let query = KeyQuery::new(Carrier::Tcp, &mut rng);
        rig.give(path, query.packet());
        rig.wait(secs(1));
    }
    assert_eq!(rig.answers(path).len(), 5, "each is answered until the connection is closed");
    assert!(rig.is_closed(path));
}

// faults.md: R37
#[test]
fn unconfirmed_handshake_keeps_connection_for_10_s() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    Hand::shake(&mut rig, path, 1, 1).unwrap();
    rig.wait(ms(9_999));
    assert!(!rig.is_closed(path), "the client has not had its answer yet");
    rig.wait(ms(1));
    assert!(rig.is_closed(path));
    assert_eq!(rig.relay.session_count(), 0);
}

#[test]
fn idle_connection_is_closed_after_75_s_and_session_later() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    let mut tom = Hand::member(&mut rig, path, 1, "TOM");
    rig.wait(ms(74_999));
    assert!(!rig.is_closed(path));
    rig.wait(ms(1));
    assert!(rig.is_closed(path));
    tom.path = udp(1, 1);
    tom.send(&mut rig, &[Frame::Ping]);
    assert!(!tom.heard.is_empty(), "the session is still alive");
    rig.wait(secs(200));
    assert_eq!(rig.relay.session_count(), 0);
}

// faults.md: R34, R39
#[test]
fn connection_reset_removes_path_and_keeps_session() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    let mut tom = Hand::member(&mut rig, path, 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    rig.disconnect(path);
    jack.write(&mut rig, "TOM", 1, 0, "are you there?");
    rig.wait(ms(500));
    assert!(rig.answers(path).is_empty(), "nothing is sent on a path that is gone");
    tom.path = rig.connect(remote(1, 2));
    tom.send(&mut rig, &[Frame::Ping]);
    tom.hear(&mut rig);
    assert!(matches!(&tom.told(StreamId::Chat)[..], [Told::Delivery { number: 1, .. }]));
}

// faults.md: R43
#[test]
fn garbage_closes_connection_and_keeps_session() {
    let garbage = |hand: &mut Hand, kind: u64| match kind {
        0 => vec![7; 50],
        1 => {
            let mut packet = hand.seal(&[Frame::Ping]);
            packet[20] ^= 1;
            packet
        }
        2 => {
            let mut packet = hand.seal(&[Frame::Ping]);
            packet[5] ^= 1;
            packet
        }
        3 => hand.seal(&[Frame::Ping])[..10].to_vec(),
        _ => {
            let mut packet = vec![0xFF, 1, 1, 0];
            packet.resize(300, 9);
            packet
        }
    };
    let mut rig = Rig::new();
    let first = rig.connect(remote(1, 1));
    let mut tom = Hand::member(&mut rig, first, 1, "TOM");
    for kind in 0..5 {
        let bytes = garbage(&mut tom, kind);
        rig.give(tom.path, &bytes);
        assert!(rig.is_closed(tom.path), "garbage number {kind}");
        let answers = rig.answers(tom.path);
        assert!(
            answers.iter().all(|bytes| kind == 2 && bytes.len() == RESET_LEN),
            "an unknown index is reset"
        );
        tom.path = rig.connect(remote(1, 2 + kind as u16));
        tom.heard.clear();
        tom.send(&mut rig, &[Frame::Ping]);
        assert!(!tom.heard.is_empty(), "the session continues on the new connection");
    }
}

// faults.md: R44
#[test]
fn address_has_at_most_256_connections() {
    let mut rig = Rig::new();
    for port in 1..=256 {
        let path = rig.connect(remote(1, port));
        assert!(!rig.is_closed(path));
    }
    let refused = rig.connect(remote(1, 257));
    assert!(rig.is_closed(refused));
    assert_eq!(rig.relay.stats().conns_refused, 1);
    rig.disconnect(Path::Tcp(ConnId(1)));
    let again = rig.connect(remote(1, 300));
    assert!(!rig.is_closed(again), "a closed one leaves its place");
}

// faults.md: R44
/// Each address opens twice as many connections as it may have.
#[test]
fn four_addresses_cannot_take_all_connections() {
    let mut rig = Rig::new();
    for port in 1..=512 {
        for host in 1..=4 {
            rig.connect(SocketAddr::from(([198, 18, host, 1], port)));
        }
    }
    let open = 2_048 - rig.closed.len();
    assert_eq!(open, 512, "half of the places are reserved for members");
    let others: Vec<Path> =
        (10..=20).map(|host| rig.connect(SocketAddr::from(([198, 18, host, 1], 1)))).collect();
    for port in 1_000..=1_500 {
        for host in 1..=4 {
            rig.connect(SocketAddr::from(([198, 18, host, 1], port)));
        }
    }
    assert!(others.iter().all(|path| !rig.is_closed(*path)), "the four displace only each other");
    for (who, path) in (1..).zip(others) {
        Hand::member(&mut rig, path, who, &format!("M{who}"));
    }
}

// faults.md: R44
#[test]
fn members_displace_strangers_from_full_table() {
    let mut rig = Rig::with(Limits { conns: 8, ..Limits::default() });
    let strangers: Vec<Path> = (1..=4).map(|host| rig.connect(remote(host, 1))).collect();
    let mut members: Vec<Hand> = Vec::new();
    for who in 1..=8 {
        let path = rig.connect(SocketAddr::from(([198, 18, 100 + who, 1], 1)));
        assert!(!rig.is_closed(path), "the quietest stranger gives way to member {who}");
        members.push(Hand::member(&mut rig, path, who.into(), &format!("M{who}")));
    }
    assert!(strangers.iter().all(|path| rig.is_closed(*path)));
    assert!(members.iter_mut().all(|member| member.is_alive(&mut rig)));
    let refused = rig.connect(remote(9, 1));
    assert!(rig.is_closed(refused), "no member gives way to a stranger");
    members[0].send(&mut rig, &[Frame::Close { code: 0, reason: "bye" }]);
    let next = rig.connect(remote(9, 2));
    assert!(
        !rig.is_closed(next) && rig.is_closed(members[0].path),
        "a member whose session is over counts as stranger"
    );
    assert!(members[1..].iter_mut().all(|member| member.is_alive(&mut rig)));
}

// faults.md: R44
/// A member that sends on many connections has two of the places reserved for members.
#[test]
fn session_holds_at_most_two_member_places() {
    let mut rig = Rig::with(Limits { conns: 8, ..Limits::default() });
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    for port in 1..=12 {
        tom.path = rig.connect(remote(1, port));
        assert!(tom.is_alive(&mut rig));
    }
    assert_eq!(rig.closed.len(), 12 - 6, "four count as a stranger's");
    for port in 1..=6_u8 {
        let path = rig.connect(SocketAddr::from(([198, 18, 100 + port, 1], 1)));
        let name = format!("M{port}");
        Hand::member(&mut rig, path, 10 + u64::from(port), &name);
    }
    assert!(tom.is_alive(&mut rig));
}

// faults.md: R37
#[test]
fn repeated_handshakes_hold_no_connection() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    for counter in 1..=3 {
        let is_answered = Hand::shake(&mut rig, path, counter, 1).is_some();
        assert_eq!(is_answered, counter < 3, "number {counter}");
        assert!(rig.relay.session_count() <= 1, "one for each connection");
        rig.wait(secs(8));
    }
    assert!(rig.is_closed(path));
    assert_eq!(rig.relay.session_count(), 0);
}

// faults.md: R44
#[test]
fn ipv6_64_counts_as_one_address_and_loopback_is_exempt() {
    let limits = Limits { conns_per_address: 2, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, n, 0, 0, 1], 1));
    for n in 1..=2 {
        let path = rig.connect(v6(n));
        assert!(!rig.is_closed(path));
    }
    let path = rig.connect(v6(3));
    assert!(rig.is_closed(path));
    for port in 1..=20 {
        let path = rig.connect(([127, 0, 0, 1], port).into());
        assert!(!rig.is_closed(path));
    }
}

// faults.md: R41
/// The buffers of the kernel and the program are full: no packet is built until some bytes have
/// left.
#[test]
fn peer_that_never_reads_gets_at_most_80_kib_queued() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    let tom = Hand::member(&mut rig, path, 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    let mut queued = 0;
    for number in 1..=40 {
        jack.write(&mut rig, "TOM", number, number - 1, &"x".repeat(10_000));
        queued += rig.answers(path).iter().map(|bytes| bytes.len() + 2).sum::<usize>();
        let unsent = queqiao::base::Input::Unsent(path, queued);
        rig.take(vec![Given::Other(unsent)]);
    }
    rig.wait(secs(5));
    let most = TCP_UNSENT_MAX + 16 * 1024 + 2;
    assert!((TCP_UNSENT_MAX..=most).contains(&queued), "{queued}");
    rig.take(vec![Given::Other(queqiao::base::Input::Unsent(path, 0))]);
    assert!(!rig.answers(path).is_empty(), "free space is used");
    assert_eq!((tom.closed(), jack.closed()), (None, None));
}

// faults.md: R41
#[test]
fn ended_session_sends_one_close_to_peer_that_never_reads() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    Hand::member(&mut rig, path, 1, "TOM");
    rig.answers(path);
    Hand::member(&mut rig, udp(3, 3), 1, "TOM");
    let told = rig.answers(path);
    assert_eq!(told.len(), 1, "another machine has the name now");
    let queued = told[0].len() + 2;
    for _ in 0..10 {
        rig.take(vec![Given::Other(queqiao::base::Input::Unsent(path, queued))]);
    }
    assert_eq!(rig.answers(path).len(), 0);
}

// faults.md: R41
#[test]
fn peer_that_never_reads_is_closed_and_mailbox_keeps_all() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    Hand::member(&mut rig, path, 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    for number in 1..=40 {
        jack.write(&mut rig, "TOM", number, number - 1, &"x".repeat(3_000));
    }
    for _ in 0..9 {
        rig.wait(secs(10));
        jack.send(&mut rig, &[queqiao::wire::frame::Frame::Ping]);
    }
    assert!(rig.is_closed(path));
    assert_eq!(rig.relay.stats().letters_written, 40);
    let refused = |t: &Told| matches!(t, Told::Refused { .. });
    assert!(!jack.told(StreamId::Control).iter().any(refused), "they were accepted");
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    let mut numbers = Vec::new();
    for _ in 0..100 {
        tom.send(&mut rig, &[queqiao::wire::frame::Frame::Ping]);
        rig.wait(ms(20));
        tom.hear(&mut rig);
        for letter in tom.told(StreamId::Chat) {
            let Told::Delivery { number, .. } = letter else { panic!("{letter:?}") };
            numbers.push(number);
            tom.store(&mut rig, "JACK", number);
        }
    }
    assert_eq!(numbers, Vec::from_iter(1..=40));
}

#[test]
fn init_for_another_relay_closes_connection_at_once() {
    let mut rig = Rig::new();
    let other = Rig::with(Limits::default());
    let hello = Hello { counter: 1, continues: None };
    let mut packet = init(&other, private(1), Carrier::Tcp, &hello, 1).packet().to_vec();
    packet[9] ^= 1;
    let path = rig.connect(remote(1, 1));
    rig.give(path, &packet);
    assert!(rig.is_closed(path));
    rig.assert_silent();
}
