//! Refusals of one conversation never delay another. While hundreds of letters of a member are
//! refused, its letters to others are accepted within a bounded time, and nothing is sent again
//! repeatedly.

use std::time::Duration;

use queqiao::base::Name;
use queqiao::client::{BlockList, BlockLists, Command};
use queqiao::wire::message::Reason;

use super::coverage::Count;
use super::link_conditions::chance;
use super::oracle::LetterEnd;
use super::simulation::Simulation;

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
pub fn check_independence(sim: &mut Simulation) {
    let present = |client: &usize| !sim.machines[*client].stopped;
    let present: Vec<usize> = (0..sim.machines.len()).filter(present).collect();
    let [sender, recipient, ..] = present[..] else { return };
    if sim.machines[sender].name == sim.machines[recipient].name {
        return;
    }
    write_to_blocking_member(sim, sender, recipient);
    write_to_unknown_names(sim, sender);
}

fn write_to_blocking_member(sim: &mut Simulation, sender: usize, recipient: usize) {
    let names = [sender, recipient].map(|client| sim.machines[client].name.clone());
    let [own, to] = names.clone();
    sim.oracle.blocked.insert(names.into());
    let all = sim.machines.iter().map(|machine| machine.name.parse().unwrap());
    let others: Vec<Name> = all.filter(|name: &Name| name.as_str() != own).collect();
    let by_name = BlockList { blocked: vec![own.parse().unwrap()], only: None };
    let by_absence = BlockList { blocked: Vec::new(), only: Some(others) };
    let lists = if chance(&mut sim.rng, 500) { by_name } else { by_absence };
    send_lists(sim, recipient, lists);
    sim.run_for(Duration::from_secs(1));
    let refused_before = sim.relay.core.stats().letters_refused;
    let mut lines: Vec<u64> = (0..LINES).map(|n| sim.send(sender, &to, &format!("line {n}"))).collect();
    for wait in [0, 20, 150, 500, 1_000] {
        sim.run_for(Duration::from_millis(wait));
        check_other_conversation(sim, sender, &own);
        lines.push(sim.send(sender, &to, "one more"));
    }
    let back = |sim: &Simulation| lines.iter().all(|line| sim.fate(*line).end.is_some());
    let all_back = sim.run_until(BACK_WITHIN, back);
    let open = lines.iter().filter(|line| sim.fate(**line).end.is_none()).count();
    assert!(all_back, "{open} of {} lines that were refused are not back", lines.len());
    let blocked = LetterEnd::Refused { reason: Reason::Blocked, may_have_arrived: false };
    assert!(
        lines.iter().all(|line| sim.fate(*line).end == Some(blocked)),
        "each was refused and cannot have arrived"
    );
    let refused = sim.relay.core.stats().letters_refused - refused_before;
    let most = lines.len() as u64 + AGAIN_MAX;
    assert!(refused <= most, "{refused} letters were sent and refused, {most} at most");
    send_lists(sim, recipient, BlockList::default());
    sim.coverage.add(Count::Blocks);
}

fn write_to_unknown_names(sim: &mut Simulation, sender: usize) {
    let own = sim.machines[sender].name.clone();
    let name = |n: usize| format!("nobody-{n}");
    let letters: Vec<u64> = (0..NAMES).map(|n| sim.send(sender, &name(n), "are you there?")).collect();
    sim.run_for(Duration::from_millis(500));
    check_other_conversation(sim, sender, &own);
    let notified = |sim: &Simulation| letters.iter().all(|letter| sim.fate(*letter).end.is_some());
    assert!(sim.run_until(TOLD_WITHIN, notified), "an unknown name has no answer");
}

/// Checks that a letter in another conversation of the same sender is accepted in time.
fn check_other_conversation(sim: &mut Simulation, sender: usize, to: &str) {
    let letter = sim.send(sender, to, "by the way");
    let passes = sim.run_until(ACCEPTED_WITHIN, |sim| sim.fate(letter).accepted);
    assert!(passes, "a letter waits for the refusals of another conversation: {:?}", sim.fate(letter));
}

pub(super) fn send_lists(sim: &mut Simulation, client: usize, lists: BlockList) {
    let machine = &sim.machines[client];
    let contacts = machine.book.clone().map(|book| [(machine.relay.clone(), book)].into());
    let others = Some(lists);
    sim.send_command(client, Command::Screen(BlockLists { others, contacts, ..BlockLists::default() }));
}
