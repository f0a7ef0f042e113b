//! Members that stay away for longer than a mailbox keeps letters.

use std::time::Duration;

use queqiao::client::Command;

use super::coverage::Count;
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
