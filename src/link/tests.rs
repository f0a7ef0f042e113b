//! Stories of two links over a bad wire.

mod hostile;
mod moves;
mod world;

use std::time::Duration;

use self::world::{CALM, STORM, UDP_ROOM, Weather, World, ms, udp};
use super::{Full, Link, MESSAGE_MAX, Params};
use crate::base::Tick;
use crate::wire::frame::StreamId::{self, Bulk, Chat, Control};
use crate::wire::limits::{STREAM_CREDIT, UNACKED_MAX};

/// The `n`th message of a stream: of another length and content than its neighbours.
fn message(stream: StreamId, n: usize) -> Vec<u8> {
    let len = (n * 977 + 13) % MESSAGE_MAX[stream.index()].min(9_000);
    (0..len).map(|at| (at * 7 + n) as u8).collect()
}

/// Sends `count` messages on every stream both ways, as room permits, and waits until all is acknowledged.
fn exchange(world: &mut World, count: usize) {
    let mut sent = [[0; 3]; 2];
    for _ in 0..6_000 {
        for (end, sent) in sent.iter_mut().enumerate() {
            for stream in StreamId::ALL {
                let n = &mut sent[stream.index()];
                let next = message(stream, *n);
                if *n < count && world.ends[end].link.send(stream, &[&next]).is_ok() {
                    *n += 1;
                }
            }
        }
        world.run(ms(20));
        if sent.as_flattened().iter().all(|n| *n == count)
            && world.ends.iter().all(|end| end.link.unacked_bytes() == 0)
        {
            break;
        }
    }
    world.run(ms(4_000));
    for end in &world.ends {
        for stream in StreamId::ALL {
            let expected: Vec<_> = (0..count).map(|n| message(stream, n)).collect();
            assert!(end.got[stream.index()] == expected, "{stream:?}: every message, once, in order");
        }
    }
    world.assert_quiet();
}

#[test]
fn row_27_every_message_arrives_once_in_order_through_a_storm_without_a_storm_of_our_own() {
    for seed in 0..8 {
        let mut world = World::new(seed, udp(1), STORM);
        exchange(&mut world, 40);
        let needed: usize =
            StreamId::ALL.iter().flat_map(|stream| (0..40).map(|n| message(*stream, n).len() * 2)).sum();
        assert!(world.bytes_sent <= 3 * needed, "sent {} for {needed}", world.bytes_sent);
        assert!(world.ends.iter().all(|end| end.link.stats().packets_lost > 0));
    }
}

#[test]
fn a_calm_wire_loses_nothing_repeats_nothing_and_grows_the_window() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 60);
    for end in &world.ends {
        let stats = end.link.stats();
        assert_eq!((stats.packets_lost, stats.stream_bytes_resent, stats.ptos), (0, 0, 0));
        assert!(end.link.window() > 3 * 12_000, "{}", end.link.window());
        assert!((ms(40)..ms(50)).contains(&end.link.smoothed_rtt()));
    }
}

#[test]
fn after_a_letter_both_ends_fall_silent() {
    let mut world = World::new(1, udp(1), CALM);
    world.send(0, Chat, b"hello");
    world.run(ms(30));
    assert_eq!(world.ends[1].got[1], [b"hello".to_vec()]);
    world.run(ms(10));
    world.assert_quiet();
    assert_eq!((world.ends[0].link.stats().packets_sent, world.ends[1].link.stats().packets_sent), (1, 1));
    world.run(ms(15_000));
    assert_eq!(world.sizes.len(), 2, "a letter and its ack, then nothing");
    assert_eq!(world.ends[1].link.next_deadline(), None);
}

#[test]
fn in_a_quick_dialogue_acks_cost_no_packets_of_their_own_and_a_loss_ends_that() {
    let mut world = World::new(1, udp(1), Weather { delay: ms(2), ..CALM });
    let exchange = |world: &mut World| {
        world.send(0, Chat, b"question");
        world.run(ms(2));
        world.send(1, Chat, b"answer");
        world.run(ms(3));
    };
    exchange(&mut world);
    assert!(world.sizes.len() > 2, "who knows whether an answer follows");
    (0..100).for_each(|_| exchange(&mut world));
    let before = world.sizes.len();
    (0..20).for_each(|_| exchange(&mut world));
    assert_eq!(world.sizes.len() - before, 40, "a question and its answer");
    world.send(0, Chat, b"goodbye");
    world.run(ms(100));
    assert_eq!(world.sizes.len() - before, 42, "and the ack of the last word");
    world.assert_quiet();
    world.weather.loss = 100;
    world.send(0, Chat, b"one more thing");
    world.flush();
    world.weather.loss = 0;
    world.run(ms(100));
    let before = world.sizes.len();
    exchange(&mut world);
    assert!(world.sizes.len() - before > 2);
}

#[test]
fn a_burst_of_short_letters_costs_a_few_datagrams_of_one_size() {
    let mut world = World::new(1, udp(1), CALM);
    (0..100).for_each(|_| world.send(0, Chat, &[7; 49]));
    world.flush();
    assert_eq!(world.sizes[..4], [UDP_ROOM; 4]);
    assert_eq!(world.sizes.len(), 5);
    world.run(ms(100));
    assert_eq!(world.ends[1].got[1].len(), 100);
}

#[test]
fn packets_of_a_train_are_of_one_size_wherever_a_message_ends() {
    for len in UDP_ROOM - 60..UDP_ROOM {
        let mut world = World::new(1, udp(1), CALM);
        world.send(0, Control, &vec![1; len]);
        world.send(0, Chat, &[1; 5_000]);
        world.flush();
        assert_eq!(world.sizes[..4], [UDP_ROOM; 4], "a message of {len} bytes");
    }
}

#[test]
fn gaps_that_the_other_end_knows_of_are_not_told_for_ever() {
    let mut world = World::new(1, udp(1), STORM);
    exchange(&mut world, 40);
    world.weather = CALM;
    for _ in 0..3 {
        world.ends.iter_mut().for_each(|end| end.link.ping());
        world.run(ms(100));
    }
    world.ends[0].link.ping();
    world.run(ms(100));
    assert!(world.sizes.last().is_some_and(|len| *len < 12), "an ack of one range: {:?}", world.sizes.last());
}

#[test]
fn a_receipt_overtakes_letters_and_files_and_has_room_when_they_have_none() {
    let mut world = World::new(1, udp(1), CALM);
    for stream in [Bulk, Chat] {
        while world.ends[0].link.send(stream, &[&[1; 10_000]]).is_ok() {}
    }
    assert_eq!(world.ends[0].link.send(Chat, &[&[1; 10_000]]), Err(Full));
    assert!(world.ends[0].link.room(Control) >= MESSAGE_MAX[0]);
    world.send(0, Control, b"receipt");
    world.run(ms(25));
    assert_eq!(world.ends[1].got[0], [b"receipt".to_vec()]);
    assert!(world.ends[1].got[1].len() <= 1);
    world.run(ms(5_000));
    world.assert_quiet();
}

#[test]
fn a_stream_nobody_reads_is_held_back_by_credit_and_the_others_flow_on() {
    let mut world = World::new(1, udp(1), CALM);
    world.ends[1].reads[Chat.index()] = false;
    for _ in 0..20 {
        world.send(0, Chat, &[1; 10_000]);
    }
    world.run(ms(5_000));
    world.send(0, Control, b"receipt");
    world.run(ms(100));
    assert_eq!(world.ends[1].got[0].len(), 1);
    let held_back = 20 * 10_002 - STREAM_CREDIT[1];
    assert_eq!(world.ends[0].link.unacked_bytes(), held_back);
    world.ends[1].reads[Chat.index()] = true;
    world.read(1);
    world.run(ms(5_000));
    assert_eq!(world.ends[1].got[1].len(), 20);
    world.assert_quiet();
}

#[test]
fn on_a_dead_path_probes_back_off_to_eight_seconds_and_memory_stays_bounded() {
    let mut world = World::new(1, udp(1), Weather { loss: 100, ..CALM });
    while world.ends[0].link.send(Chat, &[&[1; 9_000]]).is_ok() {}
    world.run(ms(1_200));
    assert_eq!(world.ends[0].link.pto_count(), 1);
    world.run(ms(75_000));
    let link = &world.ends[0].link;
    assert!(link.unacked_bytes() <= UNACKED_MAX);
    assert!((11..=13).contains(&link.stats().ptos), "{:?}", link.stats());
    assert!(link.bytes_in_flight() <= link.window() + 2 * 1_200);
    assert!(link.next_deadline().unwrap().since(world.now) <= ms(8_000));
    world.weather.loss = 0;
    world.run(ms(30_000));
    assert!(world.ends[1].got[1].len() >= 20);
    world.assert_quiet();
}

#[test]
fn a_path_that_comes_back_after_a_long_silence_starts_again_with_two_packets() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 20);
    world.weather.loss = 100;
    (0..10).for_each(|_| world.send(0, Chat, &[1; 9_000]));
    world.run(ms(5_000));
    world.weather.loss = 0;
    while world.ends[0].link.stats().persistent_congestions == 0 {
        world.run(ms(10));
    }
    assert!(world.ends[0].link.window() <= 2 * 2_400);
    world.run(ms(10_000));
    assert_eq!(world.ends[1].got[1].len(), 30);
    world.assert_quiet();
}

#[test]
fn a_stopped_process_does_not_take_its_sleep_for_a_round_trip() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 20);
    world.send(0, Chat, b"good night");
    world.flush();
    world.now = world.now + Duration::from_secs(60);
    let sent = world.sizes.len();
    world.run(ms(1_000));
    assert!(world.sizes.len() <= sent + 4, "one probe and its answers");
    assert!(world.ends[0].link.smoothed_rtt() < ms(50));
    world.assert_quiet();
}

#[test]
fn what_a_process_is_late_for_its_timers_counts_once_and_is_no_silence_of_the_path() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 20);
    world.weather.loss = 100;
    world.send(0, Chat, b"is anybody there?");
    world.flush();
    let asked = world.now;
    assert_eq!(world.ends[0].link.silent_since(), asked);
    for late in [ms(0), ms(300), ms(50)] {
        let link = &mut world.ends[0].link;
        let (before, ptos) = (link.silent_since(), link.pto_count());
        world.now = link.next_deadline().expect("a probe is to be sent") + late;
        link.handle_time(world.now);
        assert_eq!((link.pto_count(), link.silent_since()), (ptos + 1, before + late));
        world.flush();
    }
    world.weather.loss = 0;
    world.run(ms(2_000));
    assert!(world.ends[0].link.silent_since() > asked + ms(350), "it was answered");
    world.assert_quiet();
}

#[test]
fn the_second_probe_time_out_comes_within_a_second_at_a_known_round_trip() {
    let mut world = World::new(1, udp(1), CALM);
    world.send(0, Chat, b"hello");
    world.run(ms(1_000));
    world.weather.loss = 100;
    for _ in 0..10 {
        world.send(0, Chat, b"is anybody there?");
        world.run(ms(50));
    }
    assert!(world.ends[0].link.pto_count() >= 2, "steady typing does not put the timer off");
}

#[test]
fn answered_probes_tell_the_round_trip_and_leave_no_timer_in_the_past() {
    let mut world = World::new(1, udp(1), CALM);
    let link = &mut world.ends[0].link;
    let before = link.pto();
    (0..3).for_each(|_| link.handle_round_trip(world.now, ms(400)));
    world.weather.loss = 100;
    world.send(0, Chat, b"is anybody there?");
    world.run(ms(300));
    let link = &mut world.ends[0].link;
    assert_eq!(link.pto_count(), 0, "the far end is 400 ms away");
    (0..40).for_each(|_| link.handle_round_trip(world.now, ms(1)));
    assert!(link.pto() < before && link.next_deadline().is_some_and(|at| at > world.now));
    world.run(ms(700));
    assert!(world.ends[0].link.pto_count() >= 2);
}

#[test]
fn two_packets_a_round_trip_survive_the_worst() {
    let mut world = World::new(3, udp(1), Weather { loss: 60, ..CALM });
    (0..10).for_each(|_| world.send(0, Chat, &[1; 9_000]));
    world.run(Duration::from_secs(400));
    assert!(world.ends[0].link.window() >= 2_400);
    assert_eq!(world.ends[1].got[1].len(), 10);
}

#[test]
fn only_clients_keep_an_idle_link_alive() {
    let mut world = World::new(1, udp(1), CALM);
    world.run(ms(17_900));
    assert!(world.sizes.is_empty());
    world.run(Duration::from_secs(190));
    let [client, relay] = [0, 1].map(|end: usize| world.ends[end].link.stats());
    assert_eq!((client.packets_sent, relay.packets_sent), (10, 10), "a PING and its ack every 20 s");
    assert_eq!(world.ends[1].link.next_deadline(), None);
    let span = |jitter| {
        let link = Link::new(udp(1), Tick::ZERO, Params { initial_rtt: None, is_client: true, jitter })
            .with_full_credit();
        link.next_deadline().unwrap().since(Tick::ZERO)
    };
    assert_eq!((span(0), span(u32::MAX)), (ms(18_000), ms(22_000)));
}

#[test]
fn a_ping_is_answered_with_its_round_trip_even_if_the_first_one_is_lost() {
    let mut world = World::new(1, udp(1), CALM);
    world.ends[1].link.ping();
    world.run(ms(100));
    assert_eq!(world.ends[1].link.take_pong(), Some(ms(40)));
    assert_eq!(world.ends[1].link.take_pong(), None);
    world.ends[1].link.ping();
    world.weather.loss = 100;
    world.run(ms(50));
    world.weather.loss = 0;
    world.run(ms(1_000));
    assert_eq!(world.ends[1].link.take_pong(), Some(ms(40)));
    world.assert_quiet();
}

#[test]
fn an_answered_handshake_makes_the_first_probe_come_soon_and_a_sample_makes_it_idle_talk() {
    let mut link = Link::new(udp(1), Tick::ZERO, Params { initial_rtt: None, is_client: false, jitter: 0 })
        .with_full_credit();
    let (now, unknown) = (Tick::from_micros(1), link.pto());
    link.handle_round_trip_bound(now, Duration::from_secs(9));
    assert!(unknown > Duration::from_secs(1) && link.pto() == ms(250), "{:?}", link.pto());
    link.handle_round_trip_bound(now, ms(3));
    assert_eq!(link.pto(), ms(3) * 3 + ms(25));
    link.handle_round_trip(now, ms(400));
    let measured = link.pto();
    link.handle_round_trip_bound(now, ms(3));
    assert_eq!(link.pto(), measured);
}
