//! Members that stay away for longer than a mailbox keeps letters.

use std::time::Duration;

use queqiao::client::{Carriers, Command};
use queqiao::relay::Limits;

use super::coverage::Count;
use super::scenarios::basic::{delivered, is_online, secs};
use super::simulation::Simulation;

/// No seed runs this long: with this retention or more, letters never expire.
const LONG: Duration = Duration::from_secs(3_600);

/// In simulations that keep letters for a short time only, some members leave for longer than that.
pub fn schedule_absences(sim: &mut Simulation, span: Duration) {
    if sim.limits.keep >= LONG {
        return;
    }
    for _ in 0..1 + sim.rng.below(4) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, check_long_absence);
    }
}

/// Letters arrive while a member is away: some expire, others do not.
fn check_long_absence(sim: &mut Simulation) {
    let member_count = sim.machines.len() as u64;
    let who = sim.rng.below(member_count) as usize;
    let from = sim.rng.below(member_count) as usize;
    let usable = |client: usize| sim.machines[client].started && !sim.machines[client].stopped;
    if who == from || !usable(who) || !usable(from) {
        return;
    }
    sim.coverage.add(Count::Absences);
    sim.send_command(who, Command::Leave);
    let keep = sim.limits.keep;
    let name = sim.machines[who].name.clone();
    let old = 1 + sim.rng.below(4);
    let young = sim.rng.below(3);
    let young_from = keep.saturating_sub(Duration::from_secs(2));
    let early = (0..old).map(|n| Duration::from_millis(100 + 200 * n));
    let late = (0..young).map(|n| young_from + Duration::from_millis(100 * n));
    for at in early.chain(late) {
        let name = name.clone();
        sim.schedule(at, move |sim| {
            _ = sim.send(from, &name, &format!("are you coming back? ({:?})", sim.now))
        });
    }
    let away = keep + Duration::from_millis(2_000 + sim.rng.below(6_000));
    sim.schedule(away, move |sim| sim.restart_client(who));
}

/// A member uses one machine for longer than the relay keeps letters, and then the other one. The
/// letter of the other one was delivered in the meantime.
#[test]
fn delivery_waits_for_the_machine_that_sent_the_letter() {
    for restarts_relay in [false, true] {
        let mut sim = Simulation::with_limits(1, Limits { keep: secs(20), ..Limits::default() });
        let [laptop, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, Carriers::Auto));
        let key = sim.machines[laptop].private_key;
        let desktop = sim.add_client_with_key("TOM", Carriers::Auto, key);
        sim.start(laptop);
        sim.start(jack);
        sim.run_for(secs(2));
        sim.send_command(jack, Command::Leave);
        sim.run_for(secs(1));
        let letter = sim.send(laptop, "JACK", "while you are away");
        assert!(sim.run_until(secs(2), |sim| sim.fate(letter).accepted));
        sim.send_command(laptop, Command::Leave);
        sim.run_for(secs(1));
        sim.start(desktop);
        assert!(sim.run_until(secs(2), |sim| is_online(sim, desktop)));
        sim.restart_client(jack);
        assert!(sim.run_until(secs(5), |sim| sim.fate(letter).shown == 1));
        if restarts_relay {
            sim.restart_relay(secs(1));
        }
        sim.run_for(secs(200));
        sim.restart_client(laptop);
        assert!(sim.run_until(secs(10), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
    }
}
