//! Scenarios with bursts and restarts, and with members whose faults must not affect others.

use queqiao::client::{Carriers, Event, Progress};
use queqiao::relay::Limits;
use queqiao::wire::message::Reason;

use super::cover::Count;
use super::oracle::End;
use super::stories::{
    delivered, ended, is_online, leave_letter, millis, one_has_left, say, secs, shows, two, two_in,
};
use super::world::World;

#[test]
fn relay_restart_loses_and_repeats_no_letter() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    let mut letters = Vec::new();
    for n in 0..40 {
        letters.push(world.send(tom, "JACK", &format!("letter {n}")));
        letters.push(world.send(jack, "TOM", &format!("letter {n}")));
        if n == 20 {
            world.restart_relay(millis(300));
        }
        world.run_for(millis(20));
    }
    let all = |w: &World| letters.iter().all(|l| ended(w, *l));
    assert!(world.run_until(secs(90), all), "{:?}", world.open_letters());
    assert!(is_online(&world, tom) && is_online(&world, jack));
    assert!(world.relay.core.stats().handshakes >= 2, "sessions are established again");
    say(&mut world, tom, "JACK", secs(5));
}

/// JACK's machine is suspended with 300 letters under way.
#[test]
fn suspended_recipient_does_not_delay_others() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    let mary = world.client("MARY", Carriers::Auto);
    world.start(mary);
    assert!(world.run_until(secs(2), |w| is_online(w, mary)));
    world.stations[jack].node.paused_until = world.now + secs(600);
    for _ in 0..300 {
        world.send(tom, "JACK", &"to nobody ".repeat(100));
    }
    for n in 0..20 {
        let letter = world.send(tom, "MARY", &format!("letter {n}"));
        assert!(world.run_until(secs(2), |w| delivered(w, letter)), "{n}: {:?}", world.fate(letter));
    }
}

#[test]
fn second_machine_with_same_key_takes_over() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    let key = world.stations[tom].private_key;
    let second = world.client_with_key("TOM", Carriers::Auto, key);
    world.stations[second].node.wall_offset_ms = 5_000;
    world.start(second);
    assert!(world.run_until(secs(3), |w| is_online(w, second)));
    let replaced = |e: &Event| matches!(e, Event::Replaced { .. });
    assert!(world.run_until(secs(30), |w| shows(w, tom, replaced)), "the earlier one is notified");
    say(&mut world, jack, "TOM", secs(1));
    assert!(shows(&world, second, |e| matches!(e, Event::Letter(_))));
    world.run_for(secs(120));
    assert!(!shows(&world, second, replaced), "they do not take turns");
}

/// 3,000 letters at 1,000 per second, with a burst of 1,000 and a rate of 100 per second.
#[test]
fn sender_above_its_rate_is_slowed_and_loses_nothing() {
    let (mut world, tom, _) = two(Carriers::Auto);
    let start = world.now;
    let mut letters = Vec::new();
    for n in 0..3_000 {
        letters.push(world.send(tom, "JACK", &format!("letter {n}")));
        world.run_for(millis(1));
    }
    let all = |w: &World| w.cover.get(Count::LettersDelivered) == 3_000;
    assert!(world.run_until(secs(60), all), "{} still wait", world.open_letters().len());
    assert!(letters.iter().all(|l| delivered(&world, *l)));
    let took = world.now.since(start);
    assert!(took >= secs(19), "1,000 at once, then 100 a second: {took:?}");
}

#[test]
fn order_is_kept_when_letters_in_between_are_refused() {
    let limits = Limits { pair_letters: 4, ..Limits::default() };
    let (mut world, tom, _) = two_in(World::with_limits(1, limits), Carriers::Auto);
    let letters: Vec<u64> = (0..200).map(|n| world.send(tom, "JACK", &format!("letter {n}"))).collect();
    let all = |w: &World| letters.iter().all(|l| ended(w, *l));
    assert!(world.run_until(secs(60), all), "{} still wait", world.open_letters().len());
    let full = End::Refused { reason: Reason::Full, may_have_arrived: false };
    let refused = letters.iter().filter(|l| world.fate(**l).end == Some(full)).count();
    let arrived = letters.iter().filter(|l| delivered(&world, **l)).count();
    assert!(refused > 0 && arrived > 0 && refused + arrived == 200, "{refused} refused, {arrived} delivered");
    say(&mut world, tom, "JACK", secs(1));
}

#[test]
fn refusal_lost_in_kill_does_not_become_delivery() {
    let limits = Limits { pair_bytes: 90_000, ..Limits::default() };
    let (mut world, tom, jack) = one_has_left(World::with_limits(5, limits));
    let letters = [60_000, 60_000, 10].map(|len| world.send(tom, "JACK", &"x".repeat(len)));
    assert!(world.run_until(secs(1), |w| w.stations[tom].disk.kept.letters.len() == 3));
    world.fill_disk(tom + 1, secs(10));
    world.run_for(secs(3));
    world.restart_client(tom);
    world.heal();
    // The client sends it again, while there is no more space than before.
    world.run_for(secs(1));
    world.restart_client(jack);
    assert!(world.run_until(secs(60), |w| w.open_letters().is_empty()), "{:?}", world.open_letters());
    let ends = letters.map(|letter| world.fate(letter).end);
    let refused = matches!(ends[1], Some(End::Refused { reason: Reason::Full, .. }));
    assert!(refused && ends[0] == Some(End::Delivered) && ends[2] == Some(End::Delivered), "{ends:?}");
}

#[test]
fn receipt_lost_by_two_killed_processes_is_queried_again() {
    for seed in 0..12 {
        let (mut world, tom, jack) = one_has_left(World::new(seed));
        leave_letter(&mut world, tom, "hello");
        world.run_for(secs(1));
        world.restart_client(jack);
        let receipt = |e: &Event| matches!(e, Event::Progress { progress: Progress::Delivered, .. });
        let told = |w: &World| w.stations[tom].events.iter().filter(|(_, event)| receipt(event)).count();
        let is_kept = |w: &World| w.stations[tom].disk.kept.letters.is_empty();
        for _ in 0..2 {
            let before = told(&world);
            assert!(world.run_until(secs(10), |w| told(w) > before || is_kept(w)), "seed {seed}");
            world.restart_client(tom);
        }
        assert!(world.run_until(secs(30), is_kept), "seed {seed}: the receipt was not queried");
    }
}

#[test]
fn member_receives_all_letters_after_udp_hole() {
    let (mut world, tom, jack) = two(Carriers::Udp);
    world.stations[jack].down.weather.udp_hole = true;
    let lost: Vec<u64> = (0..10).map(|n| world.send(tom, "JACK", &format!("kept {n}"))).collect();
    assert!(world.run_until(secs(2), |w| lost.iter().all(|l| w.fate(*l).accepted)));
    world.heal();
    assert!(world.run_until(secs(40), |w| lost.iter().all(|l| delivered(w, *l))));
    let letters: Vec<u64> = (0..10).map(|n| world.send(tom, "JACK", &format!("found {n}"))).collect();
    assert!(world.run_until(secs(5), |w| letters.iter().all(|l| delivered(w, *l))));
    assert!(is_online(&world, tom));
}

#[test]
fn killed_clients_continue_their_conversations() {
    let (mut world, tom, jack) = two(Carriers::Auto);
    for round in 0..30 {
        for n in 0..10 {
            world.send(tom, "JACK", &format!("letter {n} of round {round}"));
            world.send(jack, "TOM", &format!("letter {n} of round {round}"));
        }
        let span = world.rng.below(60);
        world.run_for(millis(span));
        world.restart_client(if round % 2 == 0 { tom } else { jack });
        world.run_for(secs(12));
    }
    assert!(world.run_until(secs(90), |w| w.open_letters().is_empty()), "{:?}", world.open_letters());
    let arrived = world.oracle.letters.keys().filter(|letter| delivered(&world, **letter)).count();
    assert!(arrived > 300, "{arrived} of 600");
}

/// MARY's letters arrive while TOM's are paced, across kills of the recipient or the relay. All of
/// TOM's arrive in the end.
#[test]
fn greedy_sender_does_not_delay_others() {
    for seed in 0..6 {
        let limits = Limits { pair_rate: 50_000, pair_burst: 30_000, ..Limits::default() };
        let (mut world, tom, jack) = two_in(World::with_limits(seed, limits), Carriers::Auto);
        let mary = world.client("MARY", Carriers::Auto);
        world.start(mary);
        assert!(world.run_until(secs(2), |w| is_online(w, mary)));
        let greedy: Vec<u64> =
            (0..300).map(|n| world.send(tom, "JACK", &format!("{n} ").repeat(1_500))).collect();
        world.run_for(secs(2));
        for n in 0..20 {
            match (n, seed % 3) {
                (8, 1) => world.restart_client(jack),
                (8, 2) => world.restart_relay(millis(100)),
                _ => {}
            }
            // A session begins with a burst, and a restart with a handshake.
            let most = if n == 8 { secs(8) } else { secs(2) };
            say(&mut world, mary, "JACK", most);
            world.run_for(millis(300));
        }
        let waiting = greedy.iter().filter(|letter| !ended(&world, **letter)).count();
        assert!(waiting > 50, "seed {seed}: TOM's letters waited: {waiting}");
        let all = |w: &World| greedy.iter().all(|letter| delivered(w, *letter));
        assert!(world.run_until(secs(120), all), "seed {seed}: {} still wait", world.open_letters().len());
    }
}
