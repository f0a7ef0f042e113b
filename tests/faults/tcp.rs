//! TCP connections as the relay's core sees them: how many, until when, and what ends one.

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

#[test]
fn row_37_a_connection_without_a_valid_packet_is_closed_after_five_seconds() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    rig.wait(ms(4_999));
    assert!(!rig.is_closed(path));
    rig.wait(ms(1));
    assert!(rig.is_closed(path));
    rig.assert_silent();
}

#[test]
fn row_37_questions_for_the_key_keep_no_connection_open() {
    let (mut rig, mut rng) = (Rig::new(), Rng::from_seed([1; 32]));
    let path = rig.connect(remote(1, 1));
    for _ in 0..20 {
        let query = KeyQuery::new(Carrier::Tcp, &mut rng);
        rig.give(path, query.packet());
        rig.wait(secs(1));
    }
    assert_eq!(rig.answers(path).len(), 5, "each is answered until the connection is closed");
    assert!(rig.is_closed(path));
}

#[test]
fn row_37_handshakes_that_nobody_confirms_keep_a_connection_for_ten_seconds() {
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
fn an_idle_connection_is_closed_after_75_seconds_and_its_session_later() {
    let mut rig = Rig::new();
    let path = rig.connect(remote(1, 1));
    let mut tom = Hand::member(&mut rig, path, 1, "TOM");
    rig.wait(ms(74_999));
    assert!(!rig.is_closed(path));
    rig.wait(ms(1));
    assert!(rig.is_closed(path));
    tom.path = udp(1, 1);
    tom.send(&mut rig, &[Frame::Ping]);
    assert!(!tom.heard.is_empty(), "the session lives on");
    rig.wait(secs(200));
    assert_eq!(rig.relay.session_count(), 0);
}

#[test]
fn row_39_a_reset_takes_the_path_and_not_the_session() {
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

#[test]
fn row_43_what_cannot_be_read_closes_the_connection_and_not_the_session() {
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
        assert!(!tom.heard.is_empty(), "the session goes on elsewhere");
    }
}

#[test]
fn row_44_an_address_has_256_connections() {
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
    assert!(!rig.is_closed(again), "one that went makes room");
}

/// Each of them opens as many as an address may have, twice over.
#[test]
fn four_addresses_do_not_take_all_places() {
    let mut rig = Rig::new();
    for port in 1..=512 {
        for host in 1..=4 {
            rig.connect(SocketAddr::from(([198, 18, host, 1], port)));
        }
    }
    let open = 2_048 - rig.closed.len();
    assert_eq!(open, 512, "half of the places are for those who have signed in");
    let others: Vec<Path> =
        (10..=20).map(|host| rig.connect(SocketAddr::from(([198, 18, host, 1], 1)))).collect();
    for port in 1_000..=1_500 {
        for host in 1..=4 {
            rig.connect(SocketAddr::from(([198, 18, host, 1], port)));
        }
    }
    assert!(others.iter().all(|path| !rig.is_closed(*path)), "they displace each other, and no member");
    for (who, path) in (1..).zip(others) {
        Hand::member(&mut rig, path, who, &format!("M{who}"));
    }
}

#[test]
fn members_get_places_while_strangers_hold_some() {
    let mut rig = Rig::with(Limits { conns: 8, ..Limits::default() });
    let strangers: Vec<Path> = (1..=4).map(|host| rig.connect(remote(host, 1))).collect();
    let mut members: Vec<Hand> = Vec::new();
    for who in 1..=8 {
        let path = rig.connect(SocketAddr::from(([198, 18, 100 + who, 1], 1)));
        assert!(!rig.is_closed(path), "the quietest stranger makes room for number {who}");
        members.push(Hand::member(&mut rig, path, who.into(), &format!("M{who}")));
    }
    assert!(strangers.iter().all(|path| rig.is_closed(*path)));
    assert!(members.iter_mut().all(|member| member.is_alive(&mut rig)));
    let refused = rig.connect(remote(9, 1));
    assert!(rig.is_closed(refused), "no member gives way to a stranger");
    members[0].send(&mut rig, &[Frame::Close { code: 0, reason: "bye" }]);
    let next = rig.connect(remote(9, 2));
    assert!(!rig.is_closed(next) && rig.is_closed(members[0].path), "whose session is over is a stranger");
    assert!(members[1..].iter_mut().all(|member| member.is_alive(&mut rig)));
}

/// A member that says something on many connections has two of the places that are for members.
#[test]
fn one_session_holds_two_places_of_members() {
    let mut rig = Rig::with(Limits { conns: 8, ..Limits::default() });
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    for port in 1..=12 {
        tom.path = rig.connect(remote(1, port));
        assert!(tom.is_alive(&mut rig));
    }
    assert_eq!(rig.closed.len(), 12 - 6, "four are a stranger's");
    for port in 1..=6_u8 {
        let path = rig.connect(SocketAddr::from(([198, 18, 100 + port, 1], 1)));
        let name = format!("M{port}");
        Hand::member(&mut rig, path, 10 + u64::from(port), &name);
    }
    assert!(tom.is_alive(&mut rig));
}

#[test]
fn handshakes_without_an_end_hold_no_connection() {
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

#[test]
fn row_44_an_ipv6_network_is_one_address_and_loopback_is_exempt() {
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

/// The kernel and the program are full: nothing new is made until something has left.
#[test]
fn row_41_a_reader_that_never_reads_gets_no_more_than_the_program_may_queue() {
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
    assert!(!rig.answers(path).is_empty(), "when it has left, more is made");
    assert_eq!((tom.closed(), jack.closed()), (None, None));
}

#[test]
fn row_41_a_session_that_ends_says_so_once_to_a_reader_that_never_reads() {
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

#[test]
fn row_41_a_reader_that_never_reads_is_closed_and_its_mailbox_keeps_everything() {
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
fn a_first_packet_for_nobody_here_closes_its_connection_at_once() {
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
