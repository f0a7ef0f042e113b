//! A client facing a hostile relay, a hostile member, or a network that fails at the worst moment.

use queqiao::base::{Fingerprint, PublicKey};
use queqiao::client::{Carriers, Command, ConnectFailure, Event, Progress, Record, RelayConfig};
use queqiao::session::{Identity, InitPayload};
use queqiao::wire::frame::{Frame, close};

use super::client_harness::{ClientHarness, relay_addr, relay_config};
use super::raw_client::{RawClient, private_key};
use super::relay_harness::{RelayHarness, ms, secs, udp};

fn is_online(event: &Event) -> bool {
    matches!(event, Event::Online { .. })
}

fn is_replaced(event: &Event) -> bool {
    matches!(event, Event::Replaced { .. })
}

fn delivered(event: &Event) -> bool {
    matches!(event, Event::Progress { progress: Progress::Delivered, .. })
}

/// Signs TOM in on another machine, whose handshake counter is far higher.
fn newer_machine(relay: &mut RelayHarness) -> RawClient {
    let hello = InitPayload { counter: u64::MAX / 2, continues: None };
    let mut client = RawClient::handshake_with(relay, udp(9, 9), private_key(1), &hello).unwrap();
    client.sign_in(relay, "TOM");
    client
}

/// A relay can claim to have seen the highest counter that exists. The client still signs in at
/// another relay, now and later.
#[test]
fn false_counter_of_one_relay_does_not_block_another() {
    let mut dishonest = RelayHarness::new();
    let mut honest = RelayHarness::new();
    RawClient::handshake(&mut dishonest, udp(66, 1), 1, u64::MAX)
        .unwrap()
        .send(&mut dishonest, &[Frame::Ping]);
    let mut tom = ClientHarness::new("TOM", 1, 1, Carriers::Udp);
    tom.push_command(Command::Relays(vec![
        relay_config(1, Some(&dishonest)),
        relay_config(2, Some(&honest)),
    ]));
    tom.run(&mut [(relay_addr(1), &mut dishonest), (relay_addr(2), &mut honest)], secs(30));
    assert_eq!(tom.count_events(is_online), 1, "the honest one");
    assert!(tom.packets_up < 200, "{} packets in half a minute", tom.packets_up);

    tom.push_command(Command::Relays(Vec::new()));
    tom.run(&mut [(relay_addr(2), &mut honest)], secs(1));
    tom.push_command(Command::Relays(vec![relay_config(2, Some(&honest))]));
    tom.run(&mut [(relay_addr(2), &mut honest)], secs(20));
    assert_eq!(tom.count_events(is_online), 2, "and once more");
}

#[test]
fn corrected_relay_key_triggers_new_attempt() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::new("TOM", 1, 1, Carriers::Udp);
    let wrong = queqiao::session::Identity::from_private([3; 32]).public();
    tom.push_command(Command::Relays(vec![queqiao::client::RelayConfig {
        key: Some(wrong),
        ..relay_config(1, None)
    }]));
    tom.run_with(&mut relay, secs(9));
    assert_eq!(tom.count_events(is_online), 0);
    tom.push_command(Command::Relays(vec![relay_config(1, Some(&relay))]));
    tom.run_with(&mut relay, ms(1));
    assert!(!tom.has_no_deadline());
    tom.run_with(&mut relay, secs(2));
    assert_eq!(tom.count_events(is_online), 1);
}

/// Returns `spec` with this key as the one that the address book expects.
fn expecting(key: &PublicKey, spec: RelayConfig) -> RelayConfig {
    RelayConfig { fingerprint: Some(Fingerprint::from(key)), ..spec }
}

#[test]
fn key_is_checked_against_book_before_pinning() {
    for carrier in [Carriers::Udp, Carriers::Auto] {
        let mut relay = RelayHarness::new();
        let mut tom = ClientHarness::new("TOM", 1, 1, carrier);
        let offered = relay.key();
        let wrong = Identity::from_private([3; 32]).public();
        tom.push_command(Command::Relays(vec![expecting(&wrong, relay_config(1, None))]));
        tom.run_with(&mut relay, secs(60));
        let reason = ConnectFailure::KeyUnlikeBook { wanted: Fingerprint::from(&wrong), offered };
        let is_unreached = |e: &Event| matches!(e, Event::Unreached { reason: seen, .. } if *seen == reason);
        assert_eq!(
            (tom.count_events(is_unreached), tom.count_events(is_online)),
            (1, 0),
            "{carrier:?} {:?}",
            tom.events
        );
        assert!(tom.records.iter().all(|record| !matches!(record, Record::Pin { .. })));
        tom.push_command(Command::Relays(vec![expecting(&offered, relay_config(1, None))]));
        tom.run_with(&mut relay, secs(2));
        assert_eq!(tom.count_events(is_online), 1, "{carrier:?} {:?}", tom.events);
        assert!(
            tom.records.iter().any(|record| matches!(record, Record::Pin { key, .. } if *key == offered))
        );
        assert_eq!(
            tom.count_events(|e| matches!(e, Event::Pinned { .. })),
            0,
            "the book has announced the key"
        );
    }
}

#[test]
fn relay_with_pin_unlike_book_gets_no_packets() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::new("TOM", 1, 1, Carriers::Auto);
    let pinned = relay.key();
    let wrong = Identity::from_private([3; 32]).public();
    let reason = ConnectFailure::BookUnlikePin { wanted: Fingerprint::from(&wrong), pinned };
    let is_unreached = |e: &Event| matches!(e, Event::Unreached { reason: seen, .. } if *seen == reason);
    tom.push_command(Command::Relays(vec![expecting(&wrong, relay_config(1, Some(&relay)))]));
    tom.run_with(&mut relay, secs(60));
    assert_eq!(
        (tom.count_events(is_unreached), tom.count_events(is_online), tom.packets_up),
        (1, 0, 0),
        "{:?}",
        tom.events
    );
    for round in 1..3 {
        tom.push_command(Command::Relays(vec![expecting(&pinned, relay_config(1, Some(&relay)))]));
        tom.run_with(&mut relay, secs(2));
        assert_eq!(tom.count_events(is_online), round, "{:?}", tom.events);
        // The book changes in mid-session.
        tom.push_command(Command::Relays(vec![expecting(&wrong, relay_config(1, Some(&relay)))]));
        tom.run_with(&mut relay, secs(1));
        let sent = tom.packets_up;
        tom.run_with(&mut relay, secs(60));
        assert_eq!((tom.count_events(is_unreached), tom.packets_up), (round + 1, sent), "{:?}", tom.events);
    }
}

// faults.md: R72
/// Five minutes of attempts would use up every hourly allowance if failures counted. The user sees
/// one event for all of them.
#[test]
fn failed_registration_is_retried_until_disk_takes_it() {
    let mut relay = RelayHarness::new();
    relay.disk_is_full = true;
    let mut tom = ClientHarness::known_to(&relay, "TOM", 1, Carriers::Udp);
    tom.run_with(&mut relay, secs(300));
    let not_written =
        |e: &Event| matches!(e, Event::Unreached { reason: ConnectFailure::NameNotWritten, .. });
    let others = |e: &Event| !matches!(e, Event::Unreached { .. } | Event::Pinned { .. });
    assert_eq!(
        (tom.count_events(not_written), tom.count_events(others)),
        (1, 0),
        "reported once: {:?}",
        tom.events
    );
    assert!(tom.packets_up < 200, "{} packets in five minutes", tom.packets_up);
    relay.disk_is_full = false;
    tom.send(1, 7, "echo", "hello");
    tom.run_with(&mut relay, secs(40));
    assert_eq!((tom.count_events(is_online), tom.count_events(delivered)), (1, 1));
    assert_eq!(relay.core.member_count(), 1);
}

// faults.md: R72
/// An address may register five names in an hour. The client does not retry within seconds and
/// reports the reason once.
#[test]
fn registration_over_hourly_limit_is_retried_for_an_hour() {
    let mut relay = RelayHarness::new();
    for member in 10..15 {
        RawClient::signed_in(&mut relay, udp(1, 1_000 + member as u16), member, &format!("name{member}"));
    }
    let mut tom = ClientHarness::known_to(&relay, "TOM", 1, Carriers::Udp);
    tom.send(1, 7, "echo", "hello");
    tom.run_with(&mut relay, secs(3));
    let once = tom.packets_up;
    tom.run_with(&mut relay, ms(900));
    assert_eq!(tom.packets_up, once, "not again within seconds");
    tom.run_with(&mut relay, secs(300));
    let not_written =
        |e: &Event| matches!(e, Event::Unreached { reason: ConnectFailure::NameNotWritten, .. });
    let over =
        |e: &Event| matches!(e, Event::NameRefused { .. } | Event::Lost { .. } | Event::Refused { .. });
    assert_eq!(
        (tom.count_events(not_written), tom.count_events(over)),
        (1, 0),
        "reported once: {:?}",
        tom.events
    );
    assert!(tom.packets_up > once && tom.packets_up < 200, "{} packets in five minutes", tom.packets_up);
    tom.run_with(&mut relay, secs(3_600));
    assert_eq!((tom.count_events(is_online), tom.count_events(delivered)), (1, 1));
    assert_eq!((tom.count_events(not_written), relay.core.member_count()), (1, 6));
}

// faults.md: R22
#[test]
fn replaced_client_gets_one_event_and_stays_away() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::signed_in(&mut relay, "TOM", 1, Carriers::Udp);
    let elsewhere = newer_machine(&mut relay);
    tom.run_with(&mut relay, secs(60));
    assert_eq!(tom.count_events(is_replaced), 1);
    let before = tom.packets_up;
    tom.run_with(&mut relay, secs(60));
    assert_eq!((tom.count_events(is_replaced), tom.packets_up), (1, before));
    assert!(tom.has_no_deadline() && elsewhere.close_code().is_none());
}

// faults.md: R22
/// The path is silent and a repair is being attempted when the `REPLACED` close arrives.
#[test]
fn client_replaced_during_handshake_abandons_it() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::signed_in(&mut relay, "TOM", 1, Carriers::Udp);
    tom.cut_down = true;
    tom.send(1, 1, "echo", "hello");
    tom.run_with(&mut relay, ms(300));
    tom.held_back.clear();
    let mut elsewhere = newer_machine(&mut relay);
    tom.run_with(&mut relay, secs(4));
    tom.release();
    tom.run_with(&mut relay, secs(60));
    assert_eq!(tom.count_events(is_replaced), 1);
    elsewhere.receive(&mut relay);
    assert_eq!(elsewhere.close_code(), None, "the newer machine keeps its place");
}

#[test]
fn lost_session_leaves_no_connection_and_no_attempt() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::signed_in(&mut relay, "TOM", 1, Carriers::Auto);
    tom.cut_down = true;
    tom.send(1, 1, "echo", "hello");
    tom.run_with(&mut relay, secs(3));
    assert_eq!(tom.open_conns.len(), 1, "the fallback is tried while UDP is silent");
    tom.held_back.clear();
    tom.cut_down = false;
    newer_machine(&mut relay);
    tom.run_with(&mut relay, secs(20));
    assert_eq!(tom.count_events(is_replaced), 1);
    assert_eq!(tom.open_conns, [], "every connection is closed");
}

/// A relay closes each session after half a second: at most 35 handshakes in a minute.
#[test]
fn closing_relay_gets_few_handshakes() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::known_to(&relay, "TOM", 1, Carriers::Udp);
    for _ in 0..60 {
        tom.run_with(&mut relay, ms(500));
        relay.take_turn(vec![super::relay_harness::HarnessInput::Other(queqiao::base::Input::Command(
            queqiao::relay::Command::Stop,
        ))]);
        tom.run_with(&mut relay, ms(500));
    }
    assert!(relay.core.stats().handshakes <= 35, "{} handshakes a minute", relay.core.stats().handshakes);
}

// faults.md: R34
/// Packets of another session, garbage, and an empty datagram from the relay's address. None closes
/// the session.
#[test]
fn packets_of_others_to_client_are_dropped() {
    let mut relay = RelayHarness::new();
    let mut tom = ClientHarness::signed_in(&mut relay, "TOM", 1, Carriers::Udp);
    let mut other = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let before = tom.packets_up;
    let from = queqiao::base::Path::Udp(relay_addr(1));
    let forged = [
        other.seal(&[Frame::Close { code: close::REPLACED, reason: "go away" }]),
        other.seal(&[Frame::Ping]),
        vec![0xFF; 1_200],
        Vec::new(),
    ];
    for mut bytes in forged {
        for first in [0u8, 1, 2, 3, 4, 5, 6, 7] {
            if bytes.len() > 1 {
                bytes[1] = first;
            }
            tom.push_packet(from, bytes.clone());
        }
    }
    tom.run_with(&mut relay, secs(1));
    assert_eq!((tom.packets_up, tom.count_events(is_replaced)), (before, 0));
    tom.send(1, 1, "echo", "still here");
    tom.run_with(&mut relay, secs(1));
    assert_eq!(tom.count_events(delivered), 1);
}
