//! Scenarios with two links over a lossy network.

mod hostile;
mod moves;
mod world;

use std::time::Duration;

use self::world::{CALM, STORM, UDP_ROOM, Weather, World, ms, udp};
use super::{Link, MESSAGE_MAX, Params, StreamsFull};
use crate::base::Tick;
use crate::wire::frame::StreamId::{self, Bulk, Chat, Control};
use crate::wire::limits::{STREAM_CREDIT, UNACKED_MAX};

/// Returns the `n`th message of a stream, whose length and content differ from those of its
/// neighbours.
fn message(stream: StreamId, n: usize) -> Vec<u8> {
    let len = (n * 977 + 13) % MESSAGE_MAX[stream.index()].min(9_000);
    (0..len).map(|at| (at * 7 + n) as u8).collect()
}

/// Sends `count` messages on every stream in both directions, as capacity permits, and waits until
/// all are acknowledged.
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

/// Every message arrives once and in order, and retransmissions stay below three times the data.
// faults.md: R27
#[test]
fn messages_survive_storm_once_in_order_without_resend_storm() {
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
fn lossless_path_repeats_nothing_and_grows_window() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 60);
    for end in &world.ends {
        let stats = end.link.stats();
        assert_eq!(stats.packets_lost, 0);
        assert_eq!(stats.stream_bytes_resent, 0);
        assert_eq!(stats.ptos, 0);
        assert!(end.link.window() > 3 * 12_000, "{}", end.link.window());
        assert!((ms(40)..ms(50)).contains(&end.link.smoothed_rtt()));
    }
}

#[test]
fn both_ends_fall_silent_after_letter() {
    let mut world = World::new(1, udp(1), CALM);
    world.send(0, Chat, b"hello");
    world.run(ms(30));
    assert_eq!(world.ends[1].got[1], [b"hello".to_vec()]);
    world.run(ms(10));
    world.assert_quiet();
    assert_eq!(world.ends[0].link.stats().packets_sent, 1);
    assert_eq!(world.ends[1].link.stats().packets_sent, 1);
    world.run(ms(15_000));
    assert_eq!(world.sizes.len(), 2, "a letter and its ack only");
    assert_eq!(world.ends[1].link.next_deadline(), None);
}

/// In a dialogue each ack rides on the reply. After a loss acks are sent alone again.
#[test]
fn quick_dialogue_piggybacks_acks_until_loss() {
    let mut world = World::new(1, udp(1), Weather { delay: ms(2), ..CALM });
    let exchange = |world: &mut World| {
        world.send(0, Chat, b"question");
        world.run(ms(2));
        world.send(1, Chat, b"answer");
        world.run(ms(3));
    };
    exchange(&mut world);
    assert!(world.sizes.len() > 2, "a reply is not expected yet");
    (0..100).for_each(|_| exchange(&mut world));
    let before = world.sizes.len();
    (0..20).for_each(|_| exchange(&mut world));
    assert_eq!(world.sizes.len() - before, 40, "a question and its answer each");
    world.send(0, Chat, b"goodbye");
    world.run(ms(100));
    assert_eq!(world.sizes.len() - before, 42, "and the ack of the last message");
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
fn burst_of_short_letters_needs_few_datagrams_of_one_size() {
    let mut world = World::new(1, udp(1), CALM);
    (0..100).for_each(|_| world.send(0, Chat, &[7; 49]));
    world.flush();
    assert_eq!(world.sizes[..4], [UDP_ROOM; 4]);
    assert_eq!(world.sizes.len(), 5);
    world.run(ms(100));
    assert_eq!(world.ends[1].got[1].len(), 100);
}

#[test]
fn packets_of_train_have_one_size_despite_message_ends() {
    for len in UDP_ROOM - 60..UDP_ROOM {
        let mut world = World::new(1, udp(1), CALM);
        world.send(0, Control, &vec![1; len]);
        world.send(0, Chat, &[1; 5_000]);
        world.flush();
        assert_eq!(world.sizes[..4], [UDP_ROOM; 4], "a message of {len} bytes");
    }
}

/// After a storm an ack has a single range again.
#[test]
fn reported_gaps_are_dropped_from_later_acks() {
    let mut world = World::new(1, udp(1), STORM);
    exchange(&mut world, 40);
    world.weather = CALM;
    for _ in 0..3 {
        world.ends.iter_mut().for_each(|end| end.link.measure_ping());
        world.run(ms(100));
    }
    world.ends[0].link.measure_ping();
    world.run(ms(100));
    assert!(world.sizes.last().is_some_and(|len| *len < 12), "an ack of one range: {:?}", world.sizes.last());
}

/// With letters and files queued to the limit, a receipt is still accepted and arrives first.
#[test]
fn receipt_overtakes_letters_and_has_separate_capacity() {
    let mut world = World::new(1, udp(1), CALM);
    for stream in [Bulk, Chat] {
        while world.ends[0].link.send(stream, &[&[1; 10_000]]).is_ok() {}
    }
    assert_eq!(world.ends[0].link.send(Chat, &[&[1; 10_000]]), Err(StreamsFull));
    assert!(world.ends[0].link.room(Control) >= MESSAGE_MAX[0]);
    world.send(0, Control, b"receipt");
    world.run(ms(25));
    assert_eq!(world.ends[1].got[0], [b"receipt".to_vec()]);
    assert!(world.ends[1].got[1].len() <= 1);
    world.run(ms(5_000));
    world.assert_quiet();
}

/// The sender keeps the rest of an unread stream, while other streams are delivered.
#[test]
fn unread_stream_is_stopped_by_credit_others_continue() {
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

/// On a dead path 11 to 13 probe timeouts occur in 76 s, and all data arrives once the path works
/// again.
#[test]
fn probes_on_dead_path_back_off_to_8_s_in_bounded_memory() {
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

/// After persistent congestion the window starts at its minimum, and everything still arrives.
#[test]
fn path_back_after_long_silence_restarts_with_two_packets() {
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

/// A process is stopped for 60 s between a letter and its ack. The round trip stays at the true
/// value.
#[test]
fn sleep_of_stopped_process_is_not_taken_as_rtt() {
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
/// A deadline handled late adds to `silent_since`, so that this process's delay does not count as
/// silence of the path.
fn late_timers_count_once_and_not_as_path_silence() {
    let mut world = World::new(1, udp(1), CALM);
    exchange(&mut world, 20);
    world.weather.loss = 100;
    world.send(0, Chat, b"is anybody there?");
    world.flush();
    let sent_at = world.now;
    assert_eq!(world.ends[0].link.silent_since(), sent_at);
    for late in [ms(0), ms(300), ms(50)] {
        let link = &mut world.ends[0].link;
        let before = link.silent_since();
        let ptos = link.pto_count();
        world.now = link.next_deadline().expect("a probe is due") + late;
        link.handle_time(world.now);
        assert_eq!(link.pto_count(), ptos + 1);
        assert_eq!(link.silent_since(), before + late);
        world.flush();
    }
    world.weather.loss = 0;
    world.run(ms(2_000));
    assert!(world.ends[0].link.silent_since() > sent_at + ms(350), "the probe was answered");
    world.assert_quiet();
}

/// A user who types steadily on a dead path gets the second timeout within a second.
#[test]
fn second_pto_fires_within_1_s_at_known_rtt() {
    let mut world = World::new(1, udp(1), CALM);
    world.send(0, Chat, b"hello");
    world.run(ms(1_000));
    world.weather.loss = 100;
    for _ in 0..10 {
        world.send(0, Chat, b"is anybody there?");
        world.run(ms(50));
    }
    assert!(world.ends[0].link.pto_count() >= 2, "steady typing does not delay the timer");
}

#[test]
fn answered_probes_measure_rtt_and_leave_no_past_timer() {
    let mut world = World::new(1, udp(1), CALM);
    let link = &mut world.ends[0].link;
    let before = link.pto();
    (0..3).for_each(|_| link.handle_round_trip(world.now, ms(400)));
    world.weather.loss = 100;
    world.send(0, Chat, b"is anybody there?");
    world.run(ms(300));
    let link = &mut world.ends[0].link;
    assert_eq!(link.pto_count(), 0, "the other end is 400 ms away");
    (0..40).for_each(|_| link.handle_round_trip(world.now, ms(1)));
    assert!(link.pto() < before && link.next_deadline().is_some_and(|at| at > world.now));
    world.run(ms(700));
    assert!(world.ends[0].link.pto_count() >= 2);
}

/// With 60 % loss the minimum window still delivers all messages.
#[test]
fn two_packets_per_rtt_survive_worst_conditions() {
    let mut world = World::new(3, udp(1), Weather { loss: 60, ..CALM });
    (0..10).for_each(|_| world.send(0, Chat, &[1; 9_000]));
    world.run(Duration::from_secs(400));
    assert!(world.ends[0].link.window() >= 2_400);
    assert_eq!(world.ends[1].got[1].len(), 10);
}

/// An idle client sends a PING every 20 s ± 10 %, starting after 18 s at the earliest.
#[test]
fn only_clients_keep_idle_link_alive() {
    let mut world = World::new(1, udp(1), CALM);
    world.run(ms(17_900));
    assert!(world.sizes.is_empty());
    world.run(Duration::from_secs(190));
    let [client, relay] = [0, 1].map(|end: usize| world.ends[end].link.stats());
    assert_eq!(client.packets_sent, 10, "a PING every 20 s");
    assert_eq!(relay.packets_sent, 10, "an ack each");
    assert_eq!(world.ends[1].link.next_deadline(), None);
    let span = |jitter| {
        let link = Link::new(udp(1), Tick::ZERO, Params { initial_rtt: None, is_client: true, jitter })
            .with_full_credit();
        link.next_deadline().unwrap().since(Tick::ZERO)
    };
    assert_eq!(span(0), ms(18_000));
    assert_eq!(span(u32::MAX), ms(22_000));
}

#[test]
fn ping_measures_rtt_even_if_first_one_is_lost() {
    let mut world = World::new(1, udp(1), CALM);
    world.ends[1].link.measure_ping();
    world.run(ms(100));
    assert_eq!(world.ends[1].link.take_pong(), Some(ms(40)));
    assert_eq!(world.ends[1].link.take_pong(), None);
    world.ends[1].link.measure_ping();
    world.weather.loss = 100;
    world.run(ms(50));
    world.weather.loss = 0;
    world.run(ms(1_000));
    assert_eq!(world.ends[1].link.take_pong(), Some(ms(40)));
    world.assert_quiet();
}

/// The time to the handshake's answer gives a first probe timeout of 250 ms at most. A real sample
/// replaces it.
#[test]
fn handshake_rtt_shortens_first_pto_until_sample() {
    let mut link = Link::new(udp(1), Tick::ZERO, Params { initial_rtt: None, is_client: false, jitter: 0 })
        .with_full_credit();
    let now = Tick::from_micros(1);
    let unknown = link.pto();
    link.handle_round_trip_bound(now, Duration::from_secs(9));
    assert!(unknown > Duration::from_secs(1) && link.pto() == ms(250), "{:?}", link.pto());
    link.handle_round_trip_bound(now, ms(3));
    assert_eq!(link.pto(), ms(3) * 3 + ms(25));
    link.handle_round_trip(now, ms(400));
    let measured = link.pto();
    link.handle_round_trip_bound(now, ms(3));
    assert_eq!(link.pto(), measured);
}
