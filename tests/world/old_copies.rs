//! Folders of members that are replaced by earlier copies. A copy may be made at any time: while no
//! process runs, while a session runs, before or after any commit.
//!
//! No letter counts as delivered that its recipient does not have, and no text that the copy knows
//! is lost.

use std::time::Duration;

use queqiao::client::{Command, Event, Kept, Reason};
use queqiao::wire::message::NameReason;

use super::cover::Count;
use super::oracle::{End, Oracle};
use super::readers::{reader_of_strangers, refused_as_full};
use super::stories::{delivered, ended, millis, secs, shows};
use super::weather::chance;
use super::world::World;

/// Durable state of a client's folder at one time.
#[derive(Clone)]
pub struct Folder {
    kept: Kept,
    counter_reserved: u64,
    pinned: Option<queqiao::base::PublicKey>,
}

/// In some seeds folders are copied, and the copies are restored later.
pub fn plan(world: &mut World, span: Duration) {
    if !chance(&mut world.rng, 250) {
        return;
    }
    let people = world.stations.len() as u64;
    for _ in 0..1 + world.rng.below(3) {
        let client = world.rng.below(people) as usize;
        let [from, to] = [(); 2].map(|()| Duration::from_micros(world.rng.below(span.as_micros() as u64)));
        world.later(from.min(to), move |w| {
            let folder = w.copy_of(client);
            w.later(from.max(to) - from.min(to), move |w| put_back_somehow(w, client, folder));
        });
    }
}

/// The copy may write before it reaches the relay, and the relay may have been killed.
fn put_back_somehow(world: &mut World, client: usize, folder: Folder) {
    if !world.stations[client].started {
        return;
    }
    if chance(&mut world.rng, 500) {
        let down = Duration::from_millis(world.rng.below(2_000));
        world.restart_relay(down);
    }
    let offline = chance(&mut world.rng, 500);
    if offline {
        world.isolate(client);
    }
    world.put_back(client, folder);
    let others: Vec<String> = world.stations.iter().map(|station| station.name.clone()).collect();
    for n in 0..world.rng.below(6) {
        let to = others[world.rng.below(others.len() as u64) as usize].clone();
        let wait = Duration::from_millis(world.rng.below(400));
        let text = format!("by a copy of {:?}: {n}", world.now);
        world.later(wait, move |w| _ = w.send(client, &to, &text));
    }
    if offline {
        if chance(&mut world.rng, 300) {
            world.later(millis(500), move |w| w.restart_client(client));
        }
        world.later(secs(1), move |w| w.rejoin(client));
    }
}

/// Lets each restored copy write to every member.
///
/// A copy made while its session ran is detected only when it reuses numbers of its original. After
/// that all conversations work.
pub fn come_to_light(world: &mut World) {
    let mut letters = Vec::new();
    for from in world.oracle.put_back.clone() {
        if !world.stations[from].stopped {
            let names: Vec<String> = world.stations.iter().map(|station| station.name.clone()).collect();
            letters.extend(names.iter().map(|to| world.send(from, to, "is this an old copy?")));
        }
    }
    let all = world.run_until(secs(10), |w| letters.iter().all(|letter| ended(w, *letter)));
    let open = letters.iter().find(|letter| !ended(world, **letter));
    assert!(all, "a letter of a copy has no end: {:?}", open.map(|letter| world.fate(*letter)));
    if !letters.is_empty() {
        world.run_for(secs(5));
    }
}

impl World {
    /// Returns a copy of this client's durable state.
    pub fn copy_of(&self, client: usize) -> Folder {
        let station = &self.stations[client];
        let kept = station.disk.kept.clone();
        let counter_reserved = station.disk.counter_reserved;
        Folder { kept, counter_reserved, pinned: station.pinned }
    }

    /// Ends the client's process and starts another one in the copy of its folder.
    pub fn put_back(&mut self, client: usize, folder: Folder) {
        self.note(|| format!("client {client}: an earlier copy of its folder is put back"));
        self.cover.add(Count::FoldersPutBack);
        self.cut_off(client);
        let station = &mut self.stations[client];
        station.disk.kept = folder.kept;
        station.disk.counter_reserved = folder.counter_reserved;
        station.pinned = folder.pinned;
        self.oracle.replaced(client, &self.stations[client].disk.kept);
        self.restart_client(client);
    }

    /// Ends the isolation of a single client.
    fn rejoin(&mut self, client: usize) {
        let station = &mut self.stations[client];
        for lane in [&mut station.up, &mut station.down] {
            lane.weather.udp_hole = false;
            lane.weather.tcp_hole = false;
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
    fn replaced(&mut self, client: usize, kept: &Kept) {
        self.put_back.insert(client);
        let waits = |request: u64| kept.letters.values().any(|letter| letter.request == request);
        let knows = |request: u64| {
            waits(request) || kept.refusals.values().any(|refusal| refusal.letter.request == request)
        };
        for (request, fate) in self.letters.iter_mut().filter(|(_, fate)| fate.sender == client) {
            fate.retold = true;
            match fate.end {
                None if !knows(*request) => fate.end = Some(End::Forgotten),
                Some(End::Forgotten) if knows(*request) => fate.end = None,
                Some(End::Refused { reason, may_have_arrived, .. })
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
        let honest = |name: &str| !self.liars.contains(name);
        for ((.., outbox), sender) in kept.senders.iter().filter(|((_, name, _), _)| honest(name.as_str())) {
            self.last_stored.insert((client, outbox.0), sender.last);
        }
    }
}

fn pair(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let [tom, jack] = ["TOM", "JACK"].map(|name| world.client(name, queqiao::client::Carriers::Auto));
    world.start(tom);
    world.start(jack);
    world.run_for(secs(1));
    let first = world.send(tom, "JACK", "first");
    assert!(world.run_until(secs(1), |w| delivered(w, first)));
    (world, tom, jack)
}

fn is_old_copy(world: &World, letter: u64) -> bool {
    world.fate(letter).end == Some(End::Refused { reason: Reason::OldCopy, may_have_arrived: true })
}

/// Two more letters are delivered, the copy is restored, and the relay may be killed. Letters of
/// the copy come back, each text once, and later ones arrive.
fn story(world: &mut World, tom: usize, jack: usize, folder: Folder, kill_relay: bool) {
    for n in 0..2 {
        let letter = world.send(tom, "JACK", &format!("of the original: {n}"));
        assert!(world.run_until(secs(1), |w| delivered(w, letter)));
    }
    if kill_relay {
        world.restart_relay(millis(100));
    }
    world.isolate(tom);
    world.put_back(tom, folder);
    let offline: Vec<u64> = (0..3).map(|n| world.send(tom, "JACK", &format!("offline: {n}"))).collect();
    world.run_for(millis(500));
    world.restart_client(tom);
    world.run_for(millis(500));
    world.rejoin(tom);
    assert!(world.run_until(secs(60), |w| offline.iter().all(|letter| ended(w, *letter))));
    assert!(is_old_copy(world, offline[0]) && is_old_copy(world, offline[1]), "{:?}", world.fate(offline[0]));
    world.run_for(secs(5));
    let told = |(_, event): &&(_, Event)| matches!(event, Event::OldCopy { .. });
    assert_eq!(world.stations[tom].events.iter().filter(told).count(), 1, "reported once");
    let refused = |e: &Event| matches!(e, Event::NameRefused { reason: NameReason::OldCopy, .. });
    assert!(!shows(world, tom, refused), "the name is not refused");
    let after = world.send(tom, "JACK", "after all");
    assert!(world.run_until(secs(5), |w| delivered(w, after)), "{:?}", world.fate(after));
    let back = world.send(jack, "TOM", "and back");
    assert!(world.run_until(secs(5), |w| delivered(w, back)));
}

/// The copy was made while no process ran: its sign-in reveals it.
#[test]
fn copy_made_before_last_sign_in_is_detected_at_sign_in() {
    for (seed, kill_relay) in [(1, false), (2, true)] {
        let (mut world, tom, jack) = pair(seed);
        let folder = world.copy_of(tom);
        world.restart_client(tom);
        world.run_for(secs(1));
        story(&mut world, tom, jack, folder, kill_relay);
    }
}

/// One sign-in serves all letters, and the copy was made after it. Its letters reveal it to the
/// relay, or to their recipient if the relay has forgotten its watermarks.
#[test]
fn copy_made_during_session_is_detected_by_its_letters() {
    for (seed, kill_relay) in [(3, false), (4, true)] {
        let (mut world, tom, jack) = pair(seed);
        let folder = world.copy_of(tom);
        story(&mut world, tom, jack, folder, kill_relay);
    }
}

/// A letter that waits in one copy is not mistaken for the other copy's letter of the same number.
#[test]
fn alternating_copies_lose_no_text() {
    let (mut world, tom, _) = pair(5);
    world.command(tom, Command::Leave);
    world.run_for(millis(100));
    let folder = world.copy_of(tom);
    world.isolate(tom);
    let mine = world.send(tom, "JACK", "of the one, not sent");
    world.run_for(millis(100));
    let other = world.copy_of(tom);
    world.put_back(tom, folder);
    world.rejoin(tom);
    let theirs = world.send(tom, "JACK", "of the other");
    assert!(world.run_until(secs(10), |w| delivered(w, theirs)), "{:?}", world.fate(theirs));
    world.put_back(tom, other);
    assert!(world.run_until(secs(10), |w| is_old_copy(w, mine)), "{:?}", world.fate(mine));
}

/// A client continues although the relay has lost its state about it.
#[test]
fn restored_relay_reports_no_client_as_old_copy() {
    let (mut world, tom, _) = pair(6);
    let disk = world.relay_disk.clone();
    for _ in 0..20 {
        world.restart_client(tom);
        world.run_for(secs(1));
        let letter = world.send(tom, "JACK", "again");
        assert!(world.run_until(secs(2), |w| delivered(w, letter)));
    }
    world.relay_disk = disk;
    world.restart_relay(millis(100));
    let letter = world.send(tom, "JACK", "and again");
    assert!(world.run_until(secs(5), |w| delivered(w, letter)), "{:?}", world.fate(letter));
    assert!(!shows(&world, tom, |e| matches!(e, Event::OldCopy { .. })));
}

/// The relay's disk takes no mark. Waiting letters are delivered, and new ones come back as `full`
/// until there is space again.
#[test]
fn full_disk_at_sign_in_locks_no_member_out() {
    let (mut world, tom, jack) = pair(7);
    world.command(jack, Command::Leave);
    world.run_for(millis(100));
    let waits = world.send(tom, "JACK", "waits");
    assert!(world.run_until(secs(2), |w| w.fate(waits).accepted));
    world.relay_platter.full_until = world.now + secs(10);
    world.restart_client(jack);
    assert!(world.run_until(secs(3), |w| w.fate(waits).shown == 1), "the waiting letter is delivered");
    let full = End::Refused { reason: Reason::Full, may_have_arrived: false };
    let new = world.send(jack, "TOM", "new");
    assert!(world.run_until(secs(2), |w| w.fate(new).end == Some(full)), "{:?}", world.fate(new));
    world.run_for(secs(12));
    let later = world.send(jack, "TOM", "later");
    assert!(world.run_until(secs(2), |w| delivered(w, later)), "{:?}", world.fate(later));
}

/// The recipient refuses a letter and takes the next one. A copy in which both wait is restored,
/// and does not take the receipt of the second letter for one of the first.
#[test]
fn copy_that_missed_refusal_reports_nothing_delivered() {
    for kill_relay in [false, true] {
        let (mut world, tom, _) = reader_of_strangers();
        let large = world.send(tom, "JACK", &"x".repeat(3_000));
        let small = world.send(tom, "JACK", "small");
        assert!(world.run_until(millis(100), |w| w.stations[tom].disk.kept.letters.len() == 2));
        let folder = world.copy_of(tom);
        assert!(world.run_until(secs(5), |w| refused_as_full(w, large) && delivered(w, small)));
        world.run_for(secs(1));
        if kill_relay {
            world.restart_relay(millis(100));
        }
        world.put_back(tom, folder);
        assert!(world.run_until(secs(20), |w| is_old_copy(w, large)), "{:?}", world.fate(large));
        let after = world.send(tom, "JACK", "after all");
        assert!(world.run_until(secs(5), |w| delivered(w, after)), "{:?}", world.fate(after));
    }
}

/// Each refusal leaves a mark at the relay. A copy that knows them all is not an old copy.
#[test]
fn copy_knowing_every_refusal_is_not_reported_as_old() {
    let (mut world, tom, _) = reader_of_strangers();
    let large: Vec<u64> = (0..30).map(|_| world.send(tom, "JACK", &"x".repeat(3_000))).collect();
    let small = world.send(tom, "JACK", "small");
    assert!(world.run_until(secs(20), |w| large.iter().all(|l| ended(w, *l)) && delivered(w, small)));
    world.run_for(secs(1));
    let folder = world.copy_of(tom);
    world.restart_relay(millis(100));
    world.put_back(tom, folder);
    let after = world.send(tom, "JACK", "after");
    assert!(world.run_until(secs(10), |w| delivered(w, after)), "{:?}", world.fate(after));
    assert!(!shows(&world, tom, |e| matches!(e, Event::OldCopy { .. })));
}
