//! State that many strangers can make the relay keep, and for how long.

use queqiao::base::{Carrier, Path};
use queqiao::relay::{Limits, Record};
use queqiao::session::InitPayload;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::limits::REASSEMBLY_MAX;
use queqiao::wire::message::NameReason;

use super::raw_client::{RawClient, SeenMessage, new_initiator, private_key};
use super::relay_harness::{RelayHarness, ms, secs, udp};

/// Confirms a session with a ping, which the relay acknowledges.
fn confirm(relay: &mut RelayHarness, client: &mut RawClient) {
    client.send(relay, &[Frame::Ping]);
    assert!(!client.seen_frames.is_empty(), "the relay acknowledges a confirmed session");
    client.seen_frames.clear();
}

// faults.md: R7
#[test]
fn flood_of_sources_makes_at_most_the_allowed_sessions() {
    let mut relay = RelayHarness::with(Limits { sessions: 100, ..Limits::default() });
    for source in 0..600u32 {
        let path = Path::Udp(std::net::SocketAddr::from((0xC612_0000u32.to_be_bytes(), 1 + source as u16)));
        let mut addr = path;
        if let Path::Udp(a) = &mut addr {
            a.set_ip(std::net::Ipv4Addr::from(0xC612_0000 + source).into());
        }
        let hello = InitPayload { counter: 1, continues: None };
        let packet = new_initiator(&relay, private_key(u64::from(source)), Carrier::Udp, &hello, 1);
        relay.handle_packet(addr, packet.packet());
        assert!(relay.core.session_count() <= 100);
        assert!(relay.take_sent_on(addr).iter().map(Vec::len).sum::<usize>() <= packet.packet().len());
    }
    relay.wait(secs(11));
    assert_eq!(relay.core.session_count(), 0, "unconfirmed sessions are forgotten");
}

#[test]
fn key_has_one_live_unnamed_session() {
    let mut relay = RelayHarness::new();
    let mut clients: Vec<RawClient> = Vec::new();
    for counter in 1..=20 {
        let mut client = RawClient::handshake(&mut relay, udp(1, 1_000), 1, counter).unwrap();
        confirm(&mut relay, &mut client);
        clients.push(client);
        relay.wait(ms(250));
    }
    assert!(clients.last_mut().unwrap().is_alive(&mut relay), "the newest lives");
    relay.wait(secs(40));
    assert_eq!(relay.core.session_count(), 0, "and none without a name for long");
}

#[test]
fn unnamed_session_does_not_replace_signed_in_one() {
    let mut relay = RelayHarness::new();
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    for _ in 0..5 {
        let counter = relay.next_counter();
        let mut other = RawClient::handshake(&mut relay, udp(1, 1_001), 1, counter).unwrap();
        confirm(&mut relay, &mut other);
        relay.wait(ms(250));
    }
    assert!(tom.is_alive(&mut relay), "only signing in takes over");
}

#[test]
fn full_session_table_evicts_oldest_stranger() {
    let mut relay = RelayHarness::with(Limits { sessions: 8, ..Limits::default() });
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    let mut strangers: Vec<RawClient> = Vec::new();
    for member in 0..8 {
        let mut client =
            RawClient::handshake(&mut relay, udp(10 + member as u8, 1_000), 100 + member, 1).unwrap();
        confirm(&mut relay, &mut client);
        strangers.push(client);
    }
    let jack = RawClient::signed_in(&mut relay, udp(2, 2_000), 2, "JACK");
    assert!(relay.core.session_count() <= 8);
    assert!(tom.is_alive(&mut relay));
    assert!(!strangers[0].is_alive(&mut relay), "the oldest gave way");
    assert!(strangers.last_mut().unwrap().is_alive(&mut relay), "the newest did not");
    drop(jack);
}

// faults.md: R78
#[test]
fn table_full_of_members_refuses_newcomer() {
    let mut relay = RelayHarness::with(Limits { sessions: 2, ..Limits::default() });
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2_000), 2, "JACK");
    assert!(RawClient::handshake(&mut relay, udp(3, 3_000), 3, 1).is_none());
    relay.assert_silent_but_for_sign_ins();
    assert!(tom.is_alive(&mut relay) && jack.is_alive(&mut relay));
}

/// One packet of three pieces makes the relay hold the whole credit of a session, so strangers have
/// few sessions even if the table is large.
#[test]
fn strangers_have_a_separate_session_limit() {
    let limits = Limits::default();
    assert!(limits.strangers * REASSEMBLY_MAX <= 512 << 20);
    let mut relay = RelayHarness::with(Limits { strangers: 50, ..limits });
    for member in 0..120u64 {
        if let Some(mut client) =
            RawClient::handshake(&mut relay, udp(1 + (member / 8) as u8, 1 + member as u16), member, 1)
        {
            confirm(&mut relay, &mut client);
        }
        relay.wait(ms(5));
    }
    assert_eq!(relay.core.session_count(), 50);
    RawClient::signed_in(&mut relay, udp(99, 1), 999, "TOM");
}

#[test]
fn names_over_hourly_limit_leave_no_state() {
    let mut relay = RelayHarness::with(Limits { names_per_hour: 2, ..Limits::default() });
    let refused = |relay: &mut RelayHarness, member: u64| {
        let counter = relay.next_counter();
        let mut client = RawClient::handshake(relay, udp(1, 1_000), member, counter).unwrap();
        client.sign_in(relay, &format!("name{member}"));
        let messages = client.take_messages(StreamId::Control);
        relay.wait(ms(250));
        messages == [SeenMessage::NameRefused(NameReason::TooMany, String::new())]
    };
    let results: Vec<bool> = (0..40).map(|member| refused(&mut relay, member)).collect();
    assert_eq!(results.iter().filter(|r| !**r).count(), 2);
    assert!(relay.core.member_count() <= 3, "a refused name costs no memory, but for one place");
}

// faults.md: R72
#[test]
fn unwritten_name_leaves_no_state_and_is_free() {
    let mut relay = RelayHarness::new();
    relay.auto_commit = false;
    for member in 0..5 {
        let mut client = RawClient::handshake(&mut relay, udp(1 + member as u8, 1_000), member, 1).unwrap();
        client.sign_in(&mut relay, "TOM");
        let asked = std::mem::take(&mut relay.records);
        assert!(matches!(&asked[..], [(_, Record::Member { name, .. })] if name.as_str() == "TOM"));
        relay.fail_commit(asked[0].0);
        client.receive(&mut relay);
        assert_eq!(
            client.take_messages(StreamId::Control),
            [SeenMessage::NameRefused(NameReason::Disk, String::new())]
        );
    }
    assert!(relay.core.member_count() <= 1, "the place of a name that failed is used again");
    relay.auto_commit = true;
    RawClient::signed_in(&mut relay, udp(9, 1_000), 9, "TOM");
}
