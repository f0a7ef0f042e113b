//! Refusals of one conversation never delay another. While hundreds of letters of a member are
//! refused, its letters to others are accepted within a bounded time, and nothing is sent again
//! repeatedly.

use std::time::Duration;

use queqiao::client::{Command, Screen, Screens};
use queqiao::wire::message::Reason;

use super::cover::Count;
use super::oracle::End;
use super::world::World;

/// Letters for a member that takes none of them: more than are in flight at the beginning.
const LINES: usize = 300;
/// Unknown names: more than a member may receive answers for at once.
const NAMES: usize = 36;
/// Time limit for accepting a letter on a line that has healed. It covers two round trips of 400
/// ms, three commits, and the relay's delay before it writes a letter down.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(3);
/// Time limit for the return of all refused letters: a few round trips and commits for each window.
const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Time limit for answers about names beyond the burst, which come every two seconds.
const TOLD_WITHIN: Duration = Duration::from_secs(90);
/// Letters that may be sent again in addition to the refused ones.
const AGAIN_MAX: u64 = 4;

/// Lets one member write to another that blocks it, and to unknown names.
pub fn pass_by(world: &mut World) {
    let present = |client: &usize| !world.stations[*client].stopped;
    let present: Vec<usize> = (0..world.stations.len()).filter(present).collect();
    let [author, reader, ..] = present[..] else { return };
    if world.stations[author].name == world.stations[reader].name {
        return;
    }
    write_to_blocking_member(world, author, reader);
    write_to_unknown_names(world, author);
}

fn write_to_blocking_member(world: &mut World, author: usize, reader: usize) {
    let names = [author, reader].map(|client| world.stations[client].name.clone());
    let [own, to] = names.clone();
    world.oracle.blocked.insert(names.into());
    screen(world, reader, vec![own.parse().unwrap()]);
    world.run_for(Duration::from_secs(1));
    let refused_before = world.relay.core.stats().letters_refused;
    let mut lines: Vec<u64> = (0..LINES).map(|n| world.send(author, &to, &format!("line {n}"))).collect();
    for wait in [0, 20, 150, 500, 1_000] {
        world.run_for(Duration::from_millis(wait));
        pass(world, author, &own);
        lines.push(world.send(author, &to, "one more"));
    }
    let back = |w: &World| lines.iter().all(|line| w.fate(*line).end.is_some());
    let all_back = world.run_until(BACK_WITHIN, back);
    let open = lines.iter().filter(|line| world.fate(**line).end.is_none()).count();
    assert!(all_back, "{open} of {} lines that were refused are not back", lines.len());
    let blocked = End::Refused { reason: Reason::Blocked, may_have_arrived: false };
    assert!(
        lines.iter().all(|line| world.fate(*line).end == Some(blocked)),
        "each was refused and cannot have arrived"
    );
    let refused = world.relay.core.stats().letters_refused - refused_before;
    let most = lines.len() as u64 + AGAIN_MAX;
    assert!(refused <= most, "{refused} letters were sent and refused, {most} at most");
    screen(world, reader, Vec::new());
    world.cover.add(Count::Blocks);
}

fn write_to_unknown_names(world: &mut World, author: usize) {
    let own = world.stations[author].name.clone();
    let name = |n: usize| format!("nobody-{n}");
    let letters: Vec<u64> = (0..NAMES).map(|n| world.send(author, &name(n), "are you there?")).collect();
    world.run_for(Duration::from_millis(500));
    pass(world, author, &own);
    let told = |w: &World| letters.iter().all(|letter| w.fate(*letter).end.is_some());
    assert!(world.run_until(TOLD_WITHIN, told), "an unknown name has no answer");
}

/// Checks that a letter in another conversation of the same sender is accepted in time.
fn pass(world: &mut World, author: usize, to: &str) {
    let letter = world.send(author, to, "by the way");
    let passes = world.run_until(ACCEPTED_WITHIN, |w| w.fate(letter).accepted);
    assert!(passes, "a letter waits for the refusals of another conversation: {:?}", world.fate(letter));
}

pub(super) fn screen(world: &mut World, client: usize, blocked: Vec<queqiao::base::Name>) {
    let station = &world.stations[client];
    let contacts = station.book.clone().map(|book| [(station.relay.clone(), book)].into());
    let others = Some(Screen { blocked, ..Screen::default() });
    world.command(client, Command::Screen(Screens { others, contacts, ..Screens::default() }));
}
