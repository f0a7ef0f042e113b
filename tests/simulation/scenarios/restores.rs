//! A relay is restored from a backup. Letters that it accepted in between are lost with it. Their
//! senders learn of it and send them again: each arrives, once and in order.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use queqiao::client::{Carriers, Event, Reason};

use crate::agreement;
use crate::link_conditions::LinkConditions;
use crate::oracle::LetterEnd;
use crate::relay_disk::RelayDisk;
use crate::scenarios::basic::{millis, secs};
use crate::simulation::Simulation;

const NAMES: [&str; 4] = ["TOM", "JACK", "一棵树", "武大郎"];
/// Seeds of the random restores.
const SEEDS: std::ops::Range<u64> = 0..40;
/// Letters are written over this time.
const SPAN: Duration = Duration::from_secs(40);

/// Counts over all seeds.
#[derive(Default)]
struct Met {
    lost: usize,
    reported: usize,
    refused: usize,
}

fn set_hole(sim: &mut Simulation, client: usize, hole: bool) {
    let machine = &mut sim.machines[client];
    for direction in [&mut machine.up, &mut machine.down] {
        direction.conditions.udp_hole = hole;
        direction.conditions.tcp_hole = hole;
    }
}

/// Returns the number of letters that this client's events report as lost by the relay.
fn told_lost(sim: &Simulation, client: usize) -> usize {
    let events = sim.machines[client].events.iter();
    events.map(|(_, event)| if let Event::LostByRelay { letters, .. } = event { *letters } else { 0 }).sum()
}

fn add_members(sim: &mut Simulation) {
    for name in NAMES {
        let carriers = [Carriers::Auto, Carriers::Auto, Carriers::Tcp][sim.rng.below(3) as usize];
        let client = sim.add_client(name, carriers);
        let delay = Duration::from_micros(500 + sim.rng.below(60_000));
        let loss = [0, 0, 20, 100][sim.rng.below(4) as usize];
        let conditions = LinkConditions { loss, ..LinkConditions::clear(delay) };
        let machine = &mut sim.machines[client];
        machine.up.conditions = conditions.clone();
        machine.down.conditions = conditions;
        sim.start(client);
    }
}

/// Members write to each other, leave and return, and some processes end.
fn schedule_use(sim: &mut Simulation) {
    for _ in 0..40 + sim.rng.below(80) {
        let at = millis(sim.rng.below(SPAN.as_millis() as u64));
        sim.schedule(at, |sim| {
            let from = sim.rng.below(NAMES.len() as u64) as usize;
            let to = sim.rng.below(NAMES.len() as u64) as usize;
            let many = [1, 1, 1, 8][sim.rng.below(4) as usize];
            (0..many).for_each(|_| _ = sim.send(from, NAMES[to], "a letter"));
        });
    }
    for _ in 0..6 {
        let at = millis(sim.rng.below(SPAN.as_millis() as u64));
        let away = millis(1_000 + sim.rng.below(15_000));
        let client = sim.rng.below(NAMES.len() as u64) as usize;
        sim.schedule(at, move |sim| {
            set_hole(sim, client, true);
            sim.schedule(away, move |sim| set_hole(sim, client, false));
        });
    }
    for _ in 0..sim.rng.below(4) {
        let at = millis(sim.rng.below(SPAN.as_millis() as u64));
        let client = sim.rng.below(NAMES.len() as u64) as usize;
        sim.schedule(at, move |sim| sim.restart_client(client));
    }
}

/// Runs one seed: a backup, a restore of it later, and perhaps a restart after that.
fn run(seed: u64, met: &mut Met) {
    let mut sim = Simulation::new(seed);
    add_members(&mut sim);
    schedule_use(&mut sim);
    let backup = Rc::new(RefCell::new(RelayDisk::default()));
    let copy = Rc::clone(&backup);
    let made = millis(2_000 + sim.rng.below(15_000));
    sim.schedule(made, move |sim| *copy.borrow_mut() = sim.relay_disk.clone());
    let restored = made + millis(sim.rng.below(15_000));
    let lost = Rc::new(RefCell::new(0));
    let count = Rc::clone(&lost);
    sim.schedule(restored, move |sim| {
        let down = millis(sim.rng.below(4_000));
        *count.borrow_mut() = sim.restore_relay(&backup.borrow(), down);
    });
    if sim.rng.below(3) == 0 {
        let again = restored + millis(sim.rng.below(12_000));
        sim.schedule(again, |sim| sim.restart_relay(millis(500)));
    }
    sim.run_for(SPAN);
    sim.heal();
    let ended = sim.run_until(secs(120), |sim| sim.open_letters().is_empty());
    let open = sim.open_letters();
    assert!(ended, "seed {seed}: no end of {:?}", open.first().map(|letter| sim.fate(*letter)));
    sim.run_for(secs(60));
    for (request, fate) in &sim.oracle.letters {
        match fate.end {
            // Its recipient was registered after the backup, and had not returned yet.
            Some(LetterEnd::Refused { reason: Reason::Unknown, .. }) => met.refused += 1,
            Some(LetterEnd::Forgotten) => {}
            end => assert_eq!(end, Some(LetterEnd::Delivered), "seed {seed}: {request} {fate:?}"),
        }
    }
    agreement::check(&mut sim);
    met.lost += *lost.borrow();
    met.reported += (0..NAMES.len()).map(|client| told_lost(&sim, client)).sum::<usize>();
}

#[test]
fn letters_lost_by_restore_are_sent_again() {
    let mut met = Met::default();
    SEEDS.for_each(|seed| run(seed, &mut met));
    let Met { lost, reported, refused } = met;
    println!("lost {lost}, told {reported}, refused as unknown {refused}");
    assert!(lost > 30 && reported >= lost / 2, "lost {lost}, told {reported}");
}

/// TOM's letter waits for JACK. The relay is restored from before it, and TOM writes another one.
/// Taken for delivered with that, the first one would never arrive.
#[test]
fn letter_lost_by_restore_arrives_before_later_one() {
    let mut sim = Simulation::new(1);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.start(tom);
    sim.start(jack);
    let zero = sim.send(tom, "JACK", "zero");
    assert!(sim.run_until(secs(5), |sim| sim.fate(zero).end == Some(LetterEnd::Delivered)));
    set_hole(&mut sim, jack, true);
    sim.run_for(secs(60));
    let backup = sim.relay_disk.clone();
    let one = sim.send(tom, "JACK", "one");
    assert!(sim.run_until(secs(5), |sim| sim.fate(one).accepted));
    assert_eq!(sim.restore_relay(&backup, secs(1)), 1);
    let two = sim.send(tom, "JACK", "two");
    assert!(sim.run_until(secs(20), |sim| sim.fate(two).accepted));
    assert_eq!(told_lost(&sim, tom), 1);
    assert!(sim.fate(one).accepted, "it is sent again before the second");
    set_hole(&mut sim, jack, false);
    assert!(sim.run_until(secs(60), |sim| sim.open_letters().is_empty()));
    assert!([one, two].iter().all(|letter| sim.fate(*letter).shown == 1));
}

/// JACK has what the relay has lost, and TOM does not have it any more.
#[test]
fn conversation_continues_after_delivered_letters_are_lost() {
    let mut sim = Simulation::new(3);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(2));
    let backup = sim.relay_disk.clone();
    for _ in 0..3 {
        let letter = sim.send(tom, "JACK", "delivered");
        assert!(sim.run_until(secs(5), |sim| sim.fate(letter).end == Some(LetterEnd::Delivered)));
    }
    assert_eq!(sim.restore_relay(&backup, secs(1)), 0);
    let next = sim.send(tom, "JACK", "the next");
    assert!(sim.run_until(secs(20), |sim| sim.fate(next).end == Some(LetterEnd::Delivered)));
    assert_eq!(told_lost(&sim, tom), 0);
}

/// No sequence number of a letter is used again after a restore.
#[test]
fn restored_relay_uses_no_sequence_number_again() {
    let mut sim = Simulation::new(2);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(2));
    set_hole(&mut sim, jack, true);
    sim.run_for(secs(60));
    let backup = sim.relay_disk.clone();
    let one = sim.send(tom, "JACK", "one");
    assert!(sim.run_until(secs(5), |sim| sim.fate(one).accepted));
    let before = sim.relay_disk.mail().last_seq;
    sim.restore_relay(&backup, secs(1));
    assert!(sim.run_until(secs(20), |sim| sim.fate(one).accepted));
    let after = sim.relay_disk.mail().last_seq;
    assert!(after > before + (1 << 39), "{before}, {after}");
}
