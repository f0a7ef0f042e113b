//! Scenarios with a link that changes its path.

use super::exchange;
use super::world::{CALM, STORM, TCP, UDP_ROOM, Weather, World, ms, udp};
use crate::base::{Path, Tick};
use crate::link::{ExtraFrame, Link, Params};
use crate::wire::frame::{Frame, StreamId::Chat};
use crate::wire::limits::{TCP_UNSENT_MAX, UDP_PACKET_MAX};

fn both_move(world: &mut World, path: Path) {
    for end in &mut world.ends {
        end.link.move_to(path, world.now);
    }
}

#[test]
fn moving_to_tcp_and_back_in_storm_loses_nothing() {
    let mut world = World::new(5, udp(1), STORM);
    (0..10).for_each(|_| world.send(0, Chat, &[1; 9_000]));
    world.run(ms(300));
    world.clear_wire();
    both_move(&mut world, TCP);
    world.run(ms(70));
    world.clear_wire();
    both_move(&mut world, udp(2));
    world.run(ms(10_000));
    assert_eq!(world.ends[1].got[1], vec![vec![1; 9_000]; 10]);
    assert_eq!(world.ends[0].link.stats().moves, 2);
    world.assert_quiet();
}

#[test]
fn everything_arrives_once_in_order_on_tcp() {
    let mut world = World::new(1, TCP, STORM);
    exchange(&mut world, 60);
    assert!(world.ends.iter().all(|end| end.link.stats().packets_lost == 0));
    assert!(world.ends.iter().all(|end| end.link.stats().stream_bytes_resent == 0));
}

/// TCP's checksum has missed a flipped bit, and the other end dropped the packet. The ack of the
/// next one shows that, or the ack of a probe.
#[test]
fn packet_damaged_on_tcp_is_sent_again() {
    for next in [Some(b"next"), None] {
        let mut world = World::new(1, TCP, CALM);
        world.send(0, Chat, b"damaged");
        world.flush();
        world.clear_wire();
        next.into_iter().for_each(|next| world.send(0, Chat, next));
        world.run(if next.is_some() { ms(200) } else { ms(3_200) });
        let expected: Vec<_> = std::iter::once(b"damaged".to_vec()).chain(next.map(|n| n.to_vec())).collect();
        assert_eq!(world.ends[1].got[1], expected);
        assert_eq!(world.ends[0].link.stats().packets_lost, 1);
        world.assert_quiet();
    }
}

/// Nothing is sent for a minute without a path. After the move both messages arrive.
#[test]
fn broken_connection_stalls_link_until_move_then_resends_all() {
    let mut world = World::new(1, TCP, CALM);
    world.send(0, Chat, b"first");
    world.flush();
    world.clear_wire();
    world.ends.iter_mut().for_each(|end| end.link.handle_path_lost(TCP));
    assert_eq!(world.ends[0].link.path(), None);
    assert_eq!(world.ends[0].link.next_deadline(), None);
    world.send(0, Chat, b"second");
    world.run(ms(60_000));
    assert_eq!(world.sizes.len(), 1);
    both_move(&mut world, udp(1));
    world.run(ms(100));
    assert_eq!(world.ends[1].got[1], [b"first".to_vec(), b"second".to_vec()]);
    world.assert_quiet();
}

/// No deadline wakes a link without a path, and the packet that moves it may request no ack.
#[test]
fn ack_due_while_path_was_lost_leaves_after_move() {
    let mut world = World::new(1, TCP, CALM);
    for _ in 0..2 {
        world.send(0, Chat, b"hello");
        world.run(ms(10));
    }
    world.run(ms(15));
    let relay = &mut world.ends[1].link;
    let due = relay.next_deadline().expect("the second message waits for its ack");
    relay.handle_path_lost(TCP);
    assert_eq!(relay.next_deadline(), None);
    let now = due + ms(1);
    relay.move_to(udp(1), now);
    let mut buf = Vec::new();
    assert!(relay.build(now, UDP_ROOM, 0, &[], &mut buf).is_some());
    assert!(relay.next_deadline().is_none_or(|next| next > now), "a loop would spin");
}

/// RFC 9000 §9.4: a new port is probably the same path behind a NAT.
#[test]
fn rtt_survives_new_port_and_return_but_not_new_address() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 20);
    let [link, _] = &mut world.ends;
    let link = &mut link.link;
    let now = world.now;
    let rtt = link.smoothed_rtt();
    let window = link.window();
    assert!(window > 12_000);
    link.move_to(udp(2), now);
    assert_eq!(link.smoothed_rtt(), rtt);
    assert_eq!(link.window(), window);
    link.move_to(Path::Udp(([10, 0, 0, 2], 1).into()), now);
    assert_eq!(link.smoothed_rtt(), ms(333));
    assert_eq!(link.window(), 12_000);
    link.move_to(TCP, now);
    link.move_to(udp(2), now);
    assert_eq!(link.smoothed_rtt(), rtt);
    assert_eq!(link.window(), window);
}

#[test]
fn changing_ports_cost_repeats_but_no_message() {
    let mut world = World::new(7, udp(1), STORM);
    (0..20).for_each(|_| world.send(0, Chat, &[1; 9_000]));
    for port in 2..40 {
        world.run(ms(100));
        both_move(&mut world, udp(port));
    }
    world.run(ms(20_000));
    assert_eq!(world.ends[1].got[1].len(), 20);
    world.assert_quiet();
}

#[test]
fn tcp_gets_no_new_packet_while_kernel_holds_old_ones() {
    let now = Tick::from_micros(1);
    let mut link =
        Link::new(TCP, now, Params { initial_rtt: None, is_client: true, jitter: 0 }).with_full_credit();
    link.send(Chat, &[&[1; 40_000]]).unwrap();
    let mut buf = Vec::new();
    assert!(link.build(now, UDP_ROOM, TCP_UNSENT_MAX, &[], &mut buf).is_none());
    assert!(link.build(now, UDP_ROOM, TCP_UNSENT_MAX - 1, &[], &mut buf).is_some());
}

#[test]
fn acks_wait_too_while_kernel_holds_old_packets() {
    let now = Tick::from_micros(1);
    let mut link =
        Link::new(TCP, now, Params { initial_rtt: None, is_client: false, jitter: 0 }).with_full_credit();
    let mut ping = Vec::new();
    let mut buf = Vec::new();
    Frame::Ping.encode(&mut ping);
    for number in 0..10 {
        link.handle_packet(now, TCP, number, &ping, &mut |_| {}).unwrap();
        assert!(link.build(now, UDP_ROOM, TCP_UNSENT_MAX, &[], &mut buf).is_none());
        assert!(link.next_deadline().is_none_or(|at| at > now), "a loop would spin");
    }
    assert!(link.build(now, UDP_ROOM, TCP_UNSENT_MAX - 1, &[], &mut buf).is_some());
    assert!(link.build(now, UDP_ROOM, 0, &[], &mut buf).is_none(), "one ack covers all");
}

#[test]
fn silent_tcp_is_probed_every_3_s_without_repeating_data() {
    let mut world = World::new(1, TCP, Weather { loss: 100, ..CALM });
    world.send(0, Chat, b"hello");
    for missed in 0..4 {
        world.run(ms(2_990));
        assert_eq!(world.ends[0].link.pto_count(), missed);
        world.run(ms(10));
    }
    assert_eq!(world.ends[0].link.stats().stream_bytes_resent, 0);
}

/// Challenges on another path are acknowledged, but count neither as samples nor as losses.
#[test]
fn challenges_use_ackable_numbers_and_move_nothing() {
    let mut world = World::new(1, udp(1), CALM);
    let mut challenge = Vec::new();
    Frame::PathChallenge([9; 8]).encode(&mut challenge);
    let mut buf = Vec::new();
    for number in 0..5 {
        let built = world.ends[0].link.build_elsewhere(world.now, &challenge, &mut buf);
        assert!(built.ack_eliciting && built.number == number && buf.ends_with(&challenge));
        let mut challenged = None;
        let sink = &mut |other: ExtraFrame<'_>| challenged = Some(other == ExtraFrame::PathChallenge([9; 8]));
        let seen = world.ends[1].link.handle_packet(world.now, udp(9), number, &challenge, sink).unwrap();
        assert!(seen.ack_eliciting && !seen.non_probing && challenged == Some(true));
    }
    assert_eq!(world.ends[0].link.bytes_in_flight(), 0);
    world.run(ms(100));
    assert_eq!(world.ends[0].link.latest_rtt(), None);
    world.send(0, Chat, b"hello");
    world.run(ms(1_000));
    assert_eq!(world.ends[0].link.stats().packets_lost, 0);
    assert!(world.ends[0].seen.iter().all(|seen| seen.non_probing));
    world.assert_quiet();
}

/// At a round trip of 2 ms the announced ack delay shortens the probe timeout below 8 ms.
#[test]
fn near_end_announces_short_ack_delay_once() {
    let calm = Weather { delay: ms(1), ..CALM };
    let mut world = World::new(1, udp(1), calm);
    for _ in 0..50 {
        world.send(0, Chat, b"hello");
        world.send(1, Chat, b"hello");
        world.run(ms(100));
    }
    for end in &world.ends {
        assert!(end.link.pto() < ms(8), "{:?}", end.link.pto());
    }
    world.assert_quiet();
}

#[test]
fn tcp_records_are_short_until_long_ones_are_acked_soon() {
    let mut world = World::new(1, TCP, Weather { delay: ms(10), ..CALM });
    assert_eq!(world.ends[0].link.packet_max(), UDP_PACKET_MAX);
    world.send(0, Chat, b"hello");
    world.run(ms(100));
    assert_eq!(world.ends[0].link.packet_max(), UDP_PACKET_MAX, "a short packet does not count");
}
