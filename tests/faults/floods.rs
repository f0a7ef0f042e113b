//! State that many strangers can make the relay keep, and for how long.

use queqiao::base::{Carrier, Path};
use queqiao::relay::{Limits, Record};
use queqiao::session::Hello;
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::limits::REASSEMBLY_MAX;
use queqiao::wire::message::NameReason;

use super::hand::{Hand, Told, init, private};
use super::rig::{Rig, ms, secs, udp};

/// Confirms a session with a ping, which the relay acknowledges.
fn confirm(rig: &mut Rig, hand: &mut Hand) {
    hand.send(rig, &[Frame::Ping]);
    assert!(!hand.heard.is_empty(), "the relay acknowledges a confirmed session");
    hand.heard.clear();
}

// faults.md: R7
#[test]
fn flood_of_sources_makes_at_most_the_allowed_sessions() {
    let mut rig = Rig::with(Limits { sessions: 100, ..Limits::default() });
    for source in 0..600u32 {
        let path = Path::Udp(std::net::SocketAddr::from((0xC612_0000u32.to_be_bytes(), 1 + source as u16)));
        let mut addr = path;
        if let Path::Udp(a) = &mut addr {
            a.set_ip(std::net::Ipv4Addr::from(0xC612_0000 + source).into());
        }
        let hello = Hello { counter: 1, continues: None };
        let packet = init(&rig, private(u64::from(source)), Carrier::Udp, &hello, 1);
        rig.give(addr, packet.packet());
        assert!(rig.relay.session_count() <= 100);
        assert!(rig.answers(addr).iter().map(Vec::len).sum::<usize>() <= packet.packet().len());
    }
    rig.wait(secs(11));
    assert_eq!(rig.relay.session_count(), 0, "unconfirmed sessions are forgotten");
}

#[test]
fn key_has_one_live_unnamed_session() {
    let mut rig = Rig::new();
    let mut hands: Vec<Hand> = Vec::new();
    for counter in 1..=20 {
        let mut hand = Hand::shake(&mut rig, udp(1, 1_000), 1, counter).unwrap();
        confirm(&mut rig, &mut hand);
        hands.push(hand);
        rig.wait(ms(250));
    }
    assert!(hands.last_mut().unwrap().is_alive(&mut rig), "the newest lives");
    rig.wait(secs(40));
    assert_eq!(rig.relay.session_count(), 0, "and none without a name for long");
}

#[test]
fn unnamed_session_does_not_replace_signed_in_one() {
    let mut rig = Rig::new();
    let mut tom = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    for _ in 0..5 {
        let counter = rig.counter();
        let mut other = Hand::shake(&mut rig, udp(1, 1_001), 1, counter).unwrap();
        confirm(&mut rig, &mut other);
        rig.wait(ms(250));
    }
    assert!(tom.is_alive(&mut rig), "only signing in takes over");
}

#[test]
fn full_session_table_evicts_oldest_stranger() {
    let mut rig = Rig::with(Limits { sessions: 8, ..Limits::default() });
    let mut tom = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    let mut strangers: Vec<Hand> = Vec::new();
    for who in 0..8 {
        let mut hand = Hand::shake(&mut rig, udp(10 + who as u8, 1_000), 100 + who, 1).unwrap();
        confirm(&mut rig, &mut hand);
        strangers.push(hand);
    }
    let jack = Hand::member(&mut rig, udp(2, 2_000), 2, "JACK");
    assert!(rig.relay.session_count() <= 8);
    assert!(tom.is_alive(&mut rig));
    assert!(!strangers[0].is_alive(&mut rig), "the oldest gave way");
    assert!(strangers.last_mut().unwrap().is_alive(&mut rig), "the newest did not");
    drop(jack);
}

// faults.md: R78
#[test]
fn table_full_of_members_refuses_newcomer() {
    let mut rig = Rig::with(Limits { sessions: 2, ..Limits::default() });
    let mut tom = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    let mut jack = Hand::member(&mut rig, udp(2, 2_000), 2, "JACK");
    assert!(Hand::shake(&mut rig, udp(3, 3_000), 3, 1).is_none());
    rig.assert_silent_but_for_sign_ins();
    assert!(tom.is_alive(&mut rig) && jack.is_alive(&mut rig));
}

/// One packet of three pieces makes the relay hold the whole credit of a session, so strangers have
/// few sessions even if the table is large.
#[test]
fn strangers_have_a_separate_session_limit() {
    let limits = Limits::default();
    assert!(limits.strangers * REASSEMBLY_MAX <= 512 << 20);
    let mut rig = Rig::with(Limits { strangers: 50, ..limits });
    for who in 0..120u64 {
        if let Some(mut hand) = Hand::shake(&mut rig, udp(1 + (who / 8) as u8, 1 + who as u16), who, 1) {
            confirm(&mut rig, &mut hand);
        }
        rig.wait(ms(5));
    }
    assert_eq!(rig.relay.session_count(), 50);
    Hand::member(&mut rig, udp(99, 1), 999, "TOM");
}

#[test]
fn names_over_hourly_limit_leave_no_state() {
    let mut rig = Rig::with(Limits { names_per_hour: 2, ..Limits::default() });
    let refused = |rig: &mut Rig, who: u64| {
        let counter = rig.counter();
        let mut hand = Hand::shake(rig, udp(1, 1_000), who, counter).unwrap();
        hand.sign_in(rig, &format!("name{who}"));
        let told = hand.told(StreamId::Control);
        rig.wait(ms(250));
        told == [Told::NameRefused(NameReason::TooMany, String::new())]
    };
    let results: Vec<bool> = (0..40).map(|who| refused(&mut rig, who)).collect();
    assert_eq!(results.iter().filter(|r| !**r).count(), 2);
    assert!(rig.relay.member_count() <= 3, "a refused name costs no memory, but for one place");
}

// faults.md: R72
#[test]
fn unwritten_name_leaves_no_state_and_is_free() {
    let mut rig = Rig::new();
    rig.commits = false;
    for who in 0..5 {
        let mut hand = Hand::shake(&mut rig, udp(1 + who as u8, 1_000), who, 1).unwrap();
        hand.sign_in(&mut rig, "TOM");
        let asked = std::mem::take(&mut rig.asked);
        assert!(matches!(&asked[..], [(_, Record::Member { name, .. })] if name.as_str() == "TOM"));
        rig.fail(asked[0].0);
        hand.hear(&mut rig);
        assert_eq!(hand.told(StreamId::Control), [Told::NameRefused(NameReason::Disk, String::new())]);
    }
    assert!(rig.relay.member_count() <= 1, "the place of a name that failed is used again");
    rig.commits = true;
    Hand::member(&mut rig, udp(9, 1_000), 9, "TOM");
}
