//! Members that stay away for longer than a mailbox keeps letters.

use std::time::Duration;

use queqiao::client::Command;

use super::cover::Count;
use super::world::World;

/// No seed runs this long: with this retention or more, letters never expire.
const LONG: Duration = Duration::from_secs(3_600);

/// In simulations that keep letters for a short time only, some members leave for longer than that.
pub fn go_away(world: &mut World, span: Duration) {
    if world.limits.keep >= LONG {
        return;
    }
    for _ in 0..1 + world.rng.below(4) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, leave_for_long);
    }
}

/// Letters arrive while a member is away: some expire, others do not.
fn leave_for_long(world: &mut World) {
    let people = world.stations.len() as u64;
    let who = world.rng.below(people) as usize;
    let from = world.rng.below(people) as usize;
    let usable = |client: usize| world.stations[client].started && !world.stations[client].stopped;
    if who == from || !usable(who) || !usable(from) {
        return;
    }
    world.cover.add(Count::Absences);
    world.command(who, Command::Leave);
    let keep = world.limits.keep;
    let name = world.stations[who].name.clone();
    let old = 1 + world.rng.below(4);
    let young = world.rng.below(3);
    let young_from = keep.saturating_sub(Duration::from_secs(2));
    let early = (0..old).map(|n| Duration::from_millis(100 + 200 * n));
    let late = (0..young).map(|n| young_from + Duration::from_millis(100 * n));
    for at in early.chain(late) {
        let name = name.clone();
        world.later(at, move |w| _ = w.send(from, &name, &format!("are you coming back? ({:?})", w.now)));
    }
    let away = keep + Duration::from_millis(2_000 + world.rng.below(6_000));
    world.later(away, move |w| w.restart_client(who));
}
