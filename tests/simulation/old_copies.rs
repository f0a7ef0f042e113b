//! Folders of members that are replaced by earlier copies. A copy may be made at any time: while no
//! process runs, while a session runs, before or after any commit.
//!
//! No letter counts as delivered that its recipient does not have, and no text that the copy knows
//! is lost.

use std::time::Duration;

use queqiao::client::{Carriers, Command, Event, PersistedClient, Reason};
use queqiao::relay::Limits;
use queqiao::wire::message::NameReason;

use super::coverage::Count;
use super::link_conditions::chance;
use super::oracle::{LetterEnd, Oracle};
use super::recipient_limits::{recipient_with_stranger_limit, refused_as_full};
use super::scenarios::basic::{delivered, ended, is_online, millis, secs, shows};
use super::simulation::Simulation;

/// Durable state of a client's folder at one time.
#[derive(Clone)]
pub struct FolderCopy {
    kept: PersistedClient,
    counter_reserved: u64,
    pinned: Option<queqiao::base::PublicKey>,
}

/// In some seeds folders are copied, and the copies are restored later.
pub fn schedule(sim: &mut Simulation, span: Duration) {
    if !chance(&mut sim.rng, 250) {
        return;
    }
    let member_count = sim.machines.len() as u64;
    for _ in 0..1 + sim.rng.below(3) {
        let client = sim.rng.below(member_count) as usize;
        let [from, to] = [(); 2].map(|()| Duration::from_micros(sim.rng.below(span.as_micros() as u64)));
        sim.schedule(from.min(to), move |sim| {
            let folder = sim.copy_folder(client);
            sim.schedule(from.max(to) - from.min(to), move |sim| restore_with_faults(sim, client, folder));
        });
    }
}

/// The copy may write before it reaches the relay, and the relay may have been killed.
fn restore_with_faults(sim: &mut Simulation, client: usize, folder: FolderCopy) {
    if !sim.machines[client].started {
        return;
    }
    if chance(&mut sim.rng, 500) {
        let down = Duration::from_millis(sim.rng.below(2_000));
        sim.restart_relay(down);
    }
    let offline = chance(&mut sim.rng, 500);
    if offline {
        sim.isolate(client);
    }
    sim.restore_folder(client, folder);
    let others: Vec<String> = sim.machines.iter().map(|machine| machine.name.clone()).collect();
    for n in 0..sim.rng.below(6) {
        let to = others[sim.rng.below(others.len() as u64) as usize].clone();
        let wait = Duration::from_millis(sim.rng.below(800));
        let text = format!("by a copy of {:?}: {n}", sim.now);
        sim.schedule(wait, move |sim| _ = sim.send(client, &to, &text));
    }
    if offline {
        let starts = if chance(&mut sim.rng, 300) { 1 + sim.rng.below(4) } else { 0 };
        for n in 1..=starts {
            sim.schedule(millis(200 * n), move |sim| sim.restart_client(client));
        }
        sim.schedule(secs(1), move |sim| sim.rejoin(client));
    }
}

/// Lets each restored copy write to every member.
///
/// A copy made while its session ran is detected only when it reuses numbers of its original. After
/// that all conversations work.
pub fn reveal_restored(sim: &mut Simulation) {
    let mut letters = Vec::new();
    for from in sim.oracle.restored_clients.clone() {
        if !sim.machines[from].stopped {
            let names: Vec<String> = sim.machines.iter().map(|machine| machine.name.clone()).collect();
            letters.extend(names.iter().map(|to| sim.send(from, to, "is this an old copy?")));
        }
    }
    let all = sim.run_until(secs(10), |sim| letters.iter().all(|letter| ended(sim, *letter)));
    let open = letters.iter().find(|letter| !ended(sim, **letter));
    assert!(all, "a letter of a copy has no end: {:?}", open.map(|letter| sim.fate(*letter)));
    if !letters.is_empty() {
        sim.run_for(secs(5));
    }
}

impl Simulation {
    /// Returns a copy of this client's durable state.
    pub fn copy_folder(&self, client: usize) -> FolderCopy {
        let machine = &self.machines[client];
        let kept = machine.disk.kept.clone();
        let counter_reserved = machine.disk.counter_reserved;
        FolderCopy { kept, counter_reserved, pinned: machine.pinned }
    }

    /// Ends the client's process and starts another one in the copy of its folder.
    pub fn restore_folder(&mut self, client: usize, folder: FolderCopy) {
        self.log(|| format!("client {client}: an earlier copy of its folder is put back"));
        self.coverage.add(Count::FoldersPutBack);
        self.cut_off(client);
        let machine = &mut self.machines[client];
        machine.disk.kept = folder.kept;
        machine.disk.counter_reserved = folder.counter_reserved;
        machine.pinned = folder.pinned;
        self.oracle.record_restore(client, &self.machines[client].disk.kept);
        self.restart_client(client);
    }

    /// Ends the isolation of a single client.
    fn rejoin(&mut self, client: usize) {
        let machine = &mut self.machines[client];
        for direction in [&mut machine.up, &mut machine.down] {
            direction.conditions.udp_hole = false;
            direction.conditions.tcp_hole = false;
        }
    }
}

impl Oracle {
    /// Records that a client's folder is replaced by an earlier copy, whose state is `kept`.
    ///
    /// Letters unknown to the copy are gone with the folder. Known ones may be reported again.
    ///
    /// A letter that waits in the copy is open and ends once more in two cases. The relay refused
    /// it at once and does not know yet that the refusal was received. Or another copy gave it up
    /// as a letter of an old copy.
    fn record_restore(&mut self, client: usize, kept: &PersistedClient) {
        self.restored_clients.insert(client);
        let waits = |request: u64| kept.letters.values().any(|letter| letter.request == request);
        let knows = |request: u64| {
            waits(request) || kept.refusals.values().any(|refusal| refusal.letter.request == request)
        };
        for (request, fate) in self.letters.iter_mut().filter(|(_, fate)| fate.sender == client) {
            fate.sender_was_killed = true;
            match fate.end {
                None if !knows(*request) => fate.end = Some(LetterEnd::Forgotten),
                Some(LetterEnd::Forgotten) if knows(*request) => fate.end = None,
                Some(LetterEnd::Refused { reason, may_have_arrived, .. })
                    if waits(*request)
                        && (reason == Reason::OldCopy || !fate.accepted && !may_have_arrived) =>
                {
                    fate.end = None;
                }
                _ => {}
            }
        }
        self.last_stored.retain(|(who, _), _| *who != client);
        self.last_shown.retain(|(who, _), _| *who != client);
        let honest = |name: &str| !self.untrusted.contains(name);
        for ((.., outbox), sender) in kept.senders.iter().filter(|((_, name, _), _)| honest(name.as_str())) {
            self.last_stored.insert((client, outbox.0), sender.last);
        }
        self.record_stored_lost(client, |outbox| {
            let senders = kept.senders.iter().filter(|((.., id), _)| *id == outbox);
            senders.map(|(_, sender)| sender.last).max().unwrap_or(0)
        });
    }
}

fn pair(seed: u64) -> (Simulation, usize, usize) {
    let mut sim = Simulation::new(seed);
    let [tom, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, Carriers::Auto));
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(1));
    let first = sim.send(tom, "JACK", "first");
    assert!(sim.run_until(secs(1), |sim| delivered(sim, first)));
    (sim, tom, jack)
}

fn is_old_copy(sim: &Simulation, letter: u64) -> bool {
    sim.fate(letter).end == Some(LetterEnd::Refused { reason: Reason::OldCopy, may_have_arrived: true })
}

/// Two more letters are delivered, the copy is restored, and the relay may be killed. Letters of
/// the copy come back, each text once, and later ones arrive.
fn restore_after_exchange(
    sim: &mut Simulation,
    tom: usize,
    jack: usize,
    folder: FolderCopy,
    kill_relay: bool,
) {
    for n in 0..2 {
        let letter = sim.send(tom, "JACK", &format!("of the original: {n}"));
        assert!(sim.run_until(secs(1), |sim| delivered(sim, letter)));
    }
    if kill_relay {
        sim.restart_relay(millis(100));
    }
    sim.isolate(tom);
    sim.restore_folder(tom, folder);
    let offline: Vec<u64> = (0..3).map(|n| sim.send(tom, "JACK", &format!("offline: {n}"))).collect();
    sim.run_for(millis(500));
    sim.restart_client(tom);
    sim.run_for(millis(500));
    sim.rejoin(tom);
    assert!(sim.run_until(secs(60), |sim| offline.iter().all(|letter| ended(sim, *letter))));
    assert!(is_old_copy(sim, offline[0]) && is_old_copy(sim, offline[1]), "{:?}", sim.fate(offline[0]));
    sim.run_for(secs(5));
    let notified = |(_, event): &&(_, Event)| matches!(event, Event::OldCopy { .. });
    assert_eq!(sim.machines[tom].events.iter().filter(notified).count(), 1, "reported once");
    let refused = |e: &Event| matches!(e, Event::NameRefused { reason: NameReason::OldCopy, .. });
    assert!(!shows(sim, tom, refused), "the name is not refused");
    let after = sim.send(tom, "JACK", "after all");
    assert!(sim.run_until(secs(5), |sim| delivered(sim, after)), "{:?}", sim.fate(after));
    let back = sim.send(jack, "TOM", "and back");
    assert!(sim.run_until(secs(5), |sim| delivered(sim, back)));
}

/// The copy was made while no process ran: its sign-in reveals it.
#[test]
fn copy_made_before_last_sign_in_is_detected_at_sign_in() {
    for (seed, kill_relay) in [(1, false), (2, true)] {
        let (mut sim, tom, jack) = pair(seed);
        let folder = sim.copy_folder(tom);
        sim.restart_client(tom);
        sim.run_for(secs(1));
        restore_after_exchange(&mut sim, tom, jack, folder, kill_relay);
    }
}

/// The copy has no sign-in of the original. Its mark is higher, because it was opened more often
/// while its disk took letters and no sign-ins. Its first sign-in does not arrive.
#[test]
fn copy_made_before_first_sign_in_is_detected_at_sign_in() {
    let mut sim = Simulation::new(5);
    let tom = sim.add_client("TOM", Carriers::Auto);
    let jack = sim.add_client("JACK", Carriers::Auto);
    let folder = sim.copy_folder(tom);
    sim.start(tom);
    sim.start(jack);
    assert!(sim.run_until(secs(2), |sim| is_online(sim, tom)));
    let first = sim.send(tom, "JACK", "first");
    assert!(sim.run_until(secs(2), |sim| delivered(sim, first)));
    sim.run_for(secs(5));
    sim.restart_relay(millis(100));
    sim.isolate(tom);
    sim.restore_folder(tom, folder);
    let offline: Vec<u64> = (0..4)
        .map(|n| {
            let letter = sim.send(tom, "JACK", &format!("offline: {n}"));
            sim.run_for(millis(400));
            sim.restart_client(tom);
            letter
        })
        .collect();
    let outboxes = &mut sim.machines[tom].disk.kept.outboxes;
    outboxes.values_mut().for_each(|outbox| outbox.sign_ins.clear());
    sim.restart_client(tom);
    sim.run_for(millis(400));
    sim.restart_client(tom);
    sim.rejoin(tom);
    assert!(sim.run_until(secs(60), |sim| offline.iter().all(|letter| is_old_copy(sim, *letter))));
    let after = sim.send(tom, "JACK", "after all");
    assert!(sim.run_until(secs(5), |sim| delivered(sim, after)), "{:?}", sim.fate(after));
}

/// One sign-in serves all letters, and the copy was made after it. Its letters reveal it to the
/// relay, or to their recipient if the relay has forgotten its watermarks.
#[test]
fn copy_made_during_session_is_detected_by_its_letters() {
    for (seed, kill_relay) in [(3, false), (4, true)] {
        let (mut sim, tom, jack) = pair(seed);
        let folder = sim.copy_folder(tom);
        restore_after_exchange(&mut sim, tom, jack, folder, kill_relay);
    }
}

/// The letters of the original expire while it is offline. The relay restarts and knows only their
/// refusals, which are no answers to letters of the copy.
#[test]
fn copy_does_not_get_refusals_of_expired_letters() {
    for writes_offline in [false, true] {
        let limits = Limits { keep: secs(60), ..Limits::default() };
        let mut sim = Simulation::with_limits(8, limits);
        let [tom, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, Carriers::Auto));
        sim.start(tom);
        sim.start(jack);
        sim.run_for(secs(1));
        sim.send_command(jack, Command::Leave);
        sim.run_for(millis(100));
        let folder = sim.copy_folder(tom);
        let old = [(); 2].map(|()| sim.send(tom, "JACK", "of the original"));
        assert!(sim.run_until(secs(2), |sim| old.iter().all(|letter| sim.fate(*letter).accepted)));
        sim.isolate(tom);
        assert!(sim.run_until(secs(90), |sim| sim.relay.core.stats().letters_expired == 2));
        sim.restart_relay(millis(100));
        sim.restore_folder(tom, folder);
        let mut new = Vec::new();
        if writes_offline {
            new.extend((0..2).map(|n| sim.send(tom, "JACK", &format!("of the copy, offline: {n}"))));
            sim.run_for(millis(100));
            sim.restart_client(tom);
        }
        sim.rejoin(tom);
        sim.run_for(secs(if writes_offline { 0 } else { 30 }));
        new.extend((0..2).map(|n| sim.send(tom, "JACK", &format!("of the copy: {n}"))));
        sim.restart_client(jack);
        assert!(sim.run_until(secs(60), |sim| new.iter().all(|letter| ended(sim, *letter))));
        for letter in new {
            assert!(is_old_copy(&sim, letter) || delivered(&sim, letter), "{:?}", sim.fate(letter));
        }
        let after = sim.send(tom, "JACK", "after all");
        assert!(sim.run_until(secs(10), |sim| delivered(sim, after)), "{:?}", sim.fate(after));
    }
}

/// A letter that waits in one copy is not mistaken for the other copy's letter of the same number.
#[test]
fn alternating_copies_lose_no_text() {
    let (mut sim, tom, _) = pair(5);
    sim.send_command(tom, Command::Leave);
    sim.run_for(millis(100));
    let folder = sim.copy_folder(tom);
    sim.isolate(tom);
    let mine = sim.send(tom, "JACK", "of the one, not sent");
    sim.run_for(millis(100));
    let other = sim.copy_folder(tom);
    sim.restore_folder(tom, folder);
    sim.rejoin(tom);
    let theirs = sim.send(tom, "JACK", "of the other");
    assert!(sim.run_until(secs(10), |sim| delivered(sim, theirs)), "{:?}", sim.fate(theirs));
    sim.restore_folder(tom, other);
    assert!(sim.run_until(secs(10), |sim| is_old_copy(sim, mine)), "{:?}", sim.fate(mine));
}

/// A client continues although the relay has lost its state about it.
#[test]
fn restored_relay_reports_no_client_as_old_copy() {
    let (mut sim, tom, _) = pair(6);
    let disk = sim.relay_disk.clone();
    for _ in 0..20 {
        sim.restart_client(tom);
        sim.run_for(secs(1));
        let letter = sim.send(tom, "JACK", "again");
        assert!(sim.run_until(secs(2), |sim| delivered(sim, letter)));
    }
    sim.relay_disk = disk;
    sim.restart_relay(millis(100));
    let letter = sim.send(tom, "JACK", "and again");
    assert!(sim.run_until(secs(5), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
    assert!(!shows(&sim, tom, |e| matches!(e, Event::OldCopy { .. })));
}

/// The relay's disk takes no mark. Waiting letters are delivered, and new ones come back as `full`
/// until there is space again.
#[test]
fn full_disk_at_sign_in_locks_no_member_out() {
    let (mut sim, tom, jack) = pair(7);
    sim.send_command(jack, Command::Leave);
    sim.run_for(millis(100));
    let waits = sim.send(tom, "JACK", "waits");
    assert!(sim.run_until(secs(2), |sim| sim.fate(waits).accepted));
    sim.relay_sim_disk.full_until = sim.now + secs(10);
    sim.restart_client(jack);
    assert!(sim.run_until(secs(3), |sim| sim.fate(waits).shown == 1), "the waiting letter is delivered");
    let full = LetterEnd::Refused { reason: Reason::Full, may_have_arrived: false };
    let new = sim.send(jack, "TOM", "new");
    assert!(sim.run_until(secs(2), |sim| sim.fate(new).end == Some(full)), "{:?}", sim.fate(new));
    sim.run_for(secs(12));
    let later = sim.send(jack, "TOM", "later");
    assert!(sim.run_until(secs(2), |sim| delivered(sim, later)), "{:?}", sim.fate(later));
}

/// The recipient refuses a letter and takes the next one. A copy in which both wait is restored,
/// and does not take the receipt of the second letter for one of the first.
#[test]
fn copy_that_missed_refusal_reports_nothing_delivered() {
    for kill_relay in [false, true] {
        let (mut sim, tom, _) = recipient_with_stranger_limit();
        let large = sim.send(tom, "JACK", &"x".repeat(3_000));
        let small = sim.send(tom, "JACK", "small");
        assert!(sim.run_until(millis(100), |sim| sim.machines[tom].disk.kept.letters.len() == 2));
        let folder = sim.copy_folder(tom);
        assert!(sim.run_until(secs(5), |sim| refused_as_full(sim, large) && delivered(sim, small)));
        sim.run_for(secs(1));
        if kill_relay {
            sim.restart_relay(millis(100));
        }
        sim.restore_folder(tom, folder);
        assert!(sim.run_until(secs(20), |sim| is_old_copy(sim, large)), "{:?}", sim.fate(large));
        let after = sim.send(tom, "JACK", "after all");
        assert!(sim.run_until(secs(5), |sim| delivered(sim, after)), "{:?}", sim.fate(after));
    }
}

/// Each refusal leaves a mark at the relay. A copy that knows them all is not an old copy.
#[test]
fn copy_knowing_every_refusal_is_not_reported_as_old() {
    let (mut sim, tom, _) = recipient_with_stranger_limit();
    let large: Vec<u64> = (0..30).map(|_| sim.send(tom, "JACK", &"x".repeat(3_000))).collect();
    let small = sim.send(tom, "JACK", "small");
    assert!(sim.run_until(secs(20), |sim| large.iter().all(|l| ended(sim, *l)) && delivered(sim, small)));
    sim.run_for(secs(1));
    let folder = sim.copy_folder(tom);
    sim.restart_relay(millis(100));
    sim.restore_folder(tom, folder);
    let after = sim.send(tom, "JACK", "after");
    assert!(sim.run_until(secs(10), |sim| delivered(sim, after)), "{:?}", sim.fate(after));
    assert!(!shows(&sim, tom, |e| matches!(e, Event::OldCopy { .. })));
}
