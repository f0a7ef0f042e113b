//! Scenarios with bursts and restarts, and with members whose faults must not affect others.

use queqiao::client::{Carriers, Event, Progress};
use queqiao::relay::Limits;
use queqiao::wire::message::Reason;

use crate::coverage::Count;
use crate::oracle::LetterEnd;
use crate::scenarios::basic::{
    delivered, ended, is_online, leave_letter, millis, secs, send_and_time, shows, two_clients,
    two_clients_in, with_jack_away,
};
use crate::simulation::Simulation;

#[test]
fn relay_restart_loses_and_repeats_no_letter() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    let mut letters = Vec::new();
    for n in 0..40 {
        letters.push(sim.send(tom, "JACK", &format!("letter {n}")));
        letters.push(sim.send(jack, "TOM", &format!("letter {n}")));
        if n == 20 {
            sim.restart_relay(millis(300));
        }
        sim.run_for(millis(20));
    }
    let all = |sim: &Simulation| letters.iter().all(|l| ended(sim, *l));
    assert!(sim.run_until(secs(90), all), "{:?}", sim.open_letters());
    assert!(is_online(&sim, tom) && is_online(&sim, jack));
    assert!(sim.relay.core.stats().handshakes >= 2, "sessions are established again");
    send_and_time(&mut sim, tom, "JACK", secs(5));
}

/// JACK's machine is suspended with 300 letters under way.
#[test]
fn suspended_recipient_does_not_delay_others() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    let mary = sim.add_client("MARY", Carriers::Auto);
    sim.start(mary);
    assert!(sim.run_until(secs(2), |sim| is_online(sim, mary)));
    sim.machines[jack].node.paused_until = sim.now + secs(600);
    for _ in 0..300 {
        sim.send(tom, "JACK", &"to nobody ".repeat(100));
    }
    for n in 0..20 {
        let letter = sim.send(tom, "MARY", &format!("letter {n}"));
        assert!(sim.run_until(secs(2), |sim| delivered(sim, letter)), "{n}: {:?}", sim.fate(letter));
    }
}

#[test]
fn second_machine_with_same_key_takes_over() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    let key = sim.machines[tom].private_key;
    let second = sim.add_client_with_key("TOM", Carriers::Auto, key);
    sim.machines[second].node.wall_offset_ms = 5_000;
    sim.start(second);
    assert!(sim.run_until(secs(3), |sim| is_online(sim, second)));
    let replaced = |e: &Event| matches!(e, Event::Replaced { .. });
    assert!(sim.run_until(secs(30), |sim| shows(sim, tom, replaced)), "the earlier one is notified");
    send_and_time(&mut sim, jack, "TOM", secs(1));
    assert!(shows(&sim, second, |e| matches!(e, Event::Letter(_))));
    sim.run_for(secs(120));
    assert!(!shows(&sim, second, replaced), "they do not take turns");
}

/// 3,000 letters at 1,000 per second, with a burst of 1,000 and a rate of 100 per second.
#[test]
fn sender_above_its_rate_is_slowed_and_loses_nothing() {
    let (mut sim, tom, _) = two_clients(Carriers::Auto);
    let start = sim.now;
    let mut letters = Vec::new();
    for n in 0..3_000 {
        letters.push(sim.send(tom, "JACK", &format!("letter {n}")));
        sim.run_for(millis(1));
    }
    let all = |sim: &Simulation| sim.coverage.get(Count::LettersDelivered) == 3_000;
    assert!(sim.run_until(secs(60), all), "{} still wait", sim.open_letters().len());
    assert!(letters.iter().all(|l| delivered(&sim, *l)));
    let took = sim.now.since(start);
    assert!(took >= secs(19), "1,000 at once, then 100 a second: {took:?}");
}

#[test]
fn order_is_kept_when_letters_in_between_are_refused() {
    let limits = Limits { pair_letters: 4, ..Limits::default() };
    let (mut sim, tom, _) = two_clients_in(Simulation::with_limits(1, limits), Carriers::Auto);
    let letters: Vec<u64> = (0..200).map(|n| sim.send(tom, "JACK", &format!("letter {n}"))).collect();
    let all = |sim: &Simulation| letters.iter().all(|l| ended(sim, *l));
    assert!(sim.run_until(secs(60), all), "{} still wait", sim.open_letters().len());
    let full = LetterEnd::Refused { reason: Reason::Full, may_have_arrived: false };
    let refused = letters.iter().filter(|l| sim.fate(**l).end == Some(full)).count();
    let arrived = letters.iter().filter(|l| delivered(&sim, **l)).count();
    assert!(refused > 0 && arrived > 0 && refused + arrived == 200, "{refused} refused, {arrived} delivered");
    send_and_time(&mut sim, tom, "JACK", secs(1));
}

#[test]
fn refusal_lost_in_kill_does_not_become_delivery() {
    let limits = Limits { pair_bytes: 90_000, ..Limits::default() };
    let (mut sim, tom, jack) = with_jack_away(Simulation::with_limits(5, limits));
    let letters = [60_000, 60_000, 10].map(|len| sim.send(tom, "JACK", &"x".repeat(len)));
    assert!(sim.run_until(secs(1), |sim| sim.machines[tom].disk.kept.letters.len() == 3));
    sim.fill_disk(tom + 1, secs(10));
    sim.run_for(secs(3));
    sim.restart_client(tom);
    sim.heal();
    // The client sends it again, while there is no more space than before.
    sim.run_for(secs(1));
    sim.restart_client(jack);
    assert!(sim.run_until(secs(60), |sim| sim.open_letters().is_empty()), "{:?}", sim.open_letters());
    let ends = letters.map(|letter| sim.fate(letter).end);
    let refused = matches!(ends[1], Some(LetterEnd::Refused { reason: Reason::Full, .. }));
    assert!(
        refused && ends[0] == Some(LetterEnd::Delivered) && ends[2] == Some(LetterEnd::Delivered),
        "{ends:?}"
    );
}

#[test]
fn receipt_lost_by_two_killed_processes_is_queried_again() {
    for seed in 0..12 {
        let (mut sim, tom, jack) = with_jack_away(Simulation::new(seed));
        leave_letter(&mut sim, tom, "hello");
        sim.run_for(secs(1));
        sim.restart_client(jack);
        let receipt = |e: &Event| matches!(e, Event::Progress { progress: Progress::Delivered, .. });
        let notified =
            |sim: &Simulation| sim.machines[tom].events.iter().filter(|(_, event)| receipt(event)).count();
        let is_kept = |sim: &Simulation| sim.machines[tom].disk.kept.letters.is_empty();
        for _ in 0..2 {
            let before = notified(&sim);
            assert!(sim.run_until(secs(10), |sim| notified(sim) > before || is_kept(sim)), "seed {seed}");
            sim.restart_client(tom);
        }
        assert!(sim.run_until(secs(30), is_kept), "seed {seed}: the receipt was not queried");
    }
}

#[test]
fn member_receives_all_letters_after_udp_hole() {
    let (mut sim, tom, jack) = two_clients(Carriers::Udp);
    sim.machines[jack].down.conditions.udp_hole = true;
    let lost: Vec<u64> = (0..10).map(|n| sim.send(tom, "JACK", &format!("kept {n}"))).collect();
    assert!(sim.run_until(secs(2), |sim| lost.iter().all(|l| sim.fate(*l).accepted)));
    sim.heal();
    assert!(sim.run_until(secs(40), |sim| lost.iter().all(|l| delivered(sim, *l))));
    let letters: Vec<u64> = (0..10).map(|n| sim.send(tom, "JACK", &format!("found {n}"))).collect();
    assert!(sim.run_until(secs(5), |sim| letters.iter().all(|l| delivered(sim, *l))));
    assert!(is_online(&sim, tom));
}

#[test]
fn killed_clients_continue_their_conversations() {
    let (mut sim, tom, jack) = two_clients(Carriers::Auto);
    for round in 0..30 {
        for n in 0..10 {
            sim.send(tom, "JACK", &format!("letter {n} of round {round}"));
            sim.send(jack, "TOM", &format!("letter {n} of round {round}"));
        }
        let span = sim.rng.below(60);
        sim.run_for(millis(span));
        sim.restart_client(if round % 2 == 0 { tom } else { jack });
        sim.run_for(secs(12));
    }
    assert!(sim.run_until(secs(90), |sim| sim.open_letters().is_empty()), "{:?}", sim.open_letters());
    let arrived = sim.oracle.letters.keys().filter(|letter| delivered(&sim, **letter)).count();
    assert!(arrived > 300, "{arrived} of 600");
}

/// MARY's letters arrive while TOM's are paced, across kills of the recipient or the relay. All of
/// TOM's arrive in the end.
#[test]
fn greedy_sender_does_not_delay_others() {
    for seed in 0..6 {
        let limits = Limits { pair_rate: 50_000, pair_burst: 30_000, ..Limits::default() };
        let (mut sim, tom, jack) = two_clients_in(Simulation::with_limits(seed, limits), Carriers::Auto);
        let mary = sim.add_client("MARY", Carriers::Auto);
        sim.start(mary);
        assert!(sim.run_until(secs(2), |sim| is_online(sim, mary)));
        let greedy: Vec<u64> =
            (0..300).map(|n| sim.send(tom, "JACK", &format!("{n} ").repeat(1_500))).collect();
        sim.run_for(secs(2));
        for n in 0..20 {
            match (n, seed % 3) {
                (8, 1) => sim.restart_client(jack),
                (8, 2) => sim.restart_relay(millis(100)),
                _ => {}
            }
            // A session begins with a burst, and a restart with a handshake.
            let most = if n == 8 { secs(8) } else { secs(2) };
            send_and_time(&mut sim, mary, "JACK", most);
            sim.run_for(millis(300));
        }
        let waiting = greedy.iter().filter(|letter| !ended(&sim, **letter)).count();
        assert!(waiting > 50, "seed {seed}: TOM's letters waited: {waiting}");
        let all = |sim: &Simulation| greedy.iter().all(|letter| delivered(sim, *letter));
        assert!(sim.run_until(secs(120), all), "seed {seed}: {} still wait", sim.open_letters().len());
    }
}
