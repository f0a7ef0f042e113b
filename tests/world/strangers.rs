//! Recipients that do not know a sender: it never receives `read`, and `delivered` no earlier than
//! at the next full second.

use std::collections::{BTreeMap, BTreeSet};

use queqiao::base::{Mark, Name, Tick};
use queqiao::client::{Carriers, Command, Event, Incoming, Progress};

use super::cover::Count;
use super::stories::{delivered, millis, secs, shows};
use super::weather::chance;
use super::world::World;

const SECOND_US: u64 = 1_000_000;

/// Clients that write to few members, and when letters were stored.
#[derive(Default)]
pub struct Strangers {
    /// In this seed some recipients write only to members in their address books.
    pub are_there: bool,
    shy: BTreeSet<usize>,
    /// When a letter first became durable at its recipient, by request.
    stored: BTreeMap<u64, Tick>,
}

/// In some seeds recipients have address books with some of the other members, and write to no
/// others.
pub fn plan(world: &mut World, client: usize, others: &[&str]) {
    if !world.strangers.are_there || chance(&mut world.rng, 300) {
        return;
    }
    let book = others.iter().filter(|_| chance(&mut world.rng, 400)).map(|name| name.parse().unwrap());
    world.stations[client].book = Some(book.collect());
    world.strangers.shy.insert(client);
}

impl World {
    /// Whether this client does not write to `to`.
    pub fn is_shy_of(&self, client: usize, to: &str) -> bool {
        let book = self.stations[client].book.as_ref();
        self.strangers.shy.contains(&client)
            && book.is_some_and(|book| book.iter().all(|name| name.as_str() != to))
    }

    /// Records that a letter is durable at its recipient.
    pub fn note_stored(&mut self, client: usize, letter: &Incoming, mark: Mark) {
        let by_a_member = letter.from.as_str() != "echo" && letter.from.guest_address().is_none();
        if by_a_member && !self.oracle.liars.contains(letter.from.as_str()) {
            let request = self.oracle.request_of(client, &letter.from, letter.id, mark, Some(&letter.text));
            self.strangers.stored.entry(request).or_insert(self.now);
        }
    }

    /// Whether the recipient knows the sender, or may. It does if one of its machines has no
    /// address book or has the sender in it, and if it has written to the sender.
    fn may_know(&self, reader: &str, author: &str) -> bool {
        let machines = || self.stations.iter().filter(|station| station.name == reader);
        let has = |book: &BTreeSet<Name>| book.contains(author);
        machines().count() == 0
            || reader == author
            || machines().any(|station| station.book.as_ref().is_none_or(has))
            || self.oracle.has_written(reader, author)
    }

    /// Checks an event that a client shows about its own letter.
    pub fn check_receipt(&mut self, client: usize, event: &Event) {
        let Event::Progress { request, progress, .. } = event else { return };
        let reader = self.oracle.letters[request].to.clone();
        if self.oracle.liars.contains(&reader) || self.may_know(&reader, &self.stations[client].name) {
            return;
        }
        assert!(
            *progress != Progress::Read,
            "letter {request} was reported as read by a recipient that does not know its sender"
        );
        if *progress == Progress::Delivered {
            let [stored, told] =
                [self.strangers.stored[request], self.now].map(|at| at.as_micros() / SECOND_US);
            assert!(
                stored < told,
                "letter {request} was stored in second {stored}, and reported as delivered in second {told}"
            );
            self.cover.add(Count::ToldAtFullSecond);
        }
    }
}

/// TOM, whom JACK does not know.
fn unknown() -> (World, usize, usize) {
    let mut world = World::new(1);
    let [tom, jack] = ["TOM", "JACK"].map(|name| world.client(name, Carriers::Auto));
    world.stations[jack].book = Some(BTreeSet::new());
    world.start(tom);
    world.start(jack);
    world.run_for(secs(3));
    // 300 ms after a full second.
    let rest = (world.now + millis(1)).rounded_up(secs(1)) + millis(300);
    world.run_for(rest.since(world.now));
    (world, tom, jack)
}

fn times(world: &World, client: usize, wanted: Progress) -> Vec<Tick> {
    let is_it = |event: &Event| match event {
        Event::Progress { progress, .. } => {
            std::mem::discriminant(progress) == std::mem::discriminant(&wanted)
        }
        _ => false,
    };
    let events = world.stations[client].events.iter();
    events.filter(|(_, event)| is_it(event)).map(|(at, _)| *at).collect()
}

/// Returns the progress that a sender has received before `until`, in order.
fn heard(world: &World, client: usize, until: Tick) -> Vec<Progress> {
    let early = world.stations[client].events.iter().filter(|(at, _)| *at < until);
    let progress = early.filter_map(|(_, event)| match event {
        Event::Progress { progress: Progress::Waiting { .. }, .. } => {
            Some(Progress::Waiting { until: queqiao::base::Wall(0) })
        }
        Event::Progress { progress, .. } => Some(*progress),
        _ => None,
    });
    progress.collect()
}

/// Accepted within two round trips and two commits, delivered at the full second, and never read.
#[test]
fn stranger_receives_delivered_at_full_second_and_no_read() {
    let (mut world, tom, jack) = unknown();
    let sent = world.now;
    let letter = world.send(tom, "JACK", "who are you?");
    assert!(world.run_until(secs(2), |w| delivered(w, letter)));
    world.run_for(secs(5));
    let accepted = times(&world, tom, Progress::Accepted)[0];
    assert!(accepted.since(sent) < millis(80), "{:?}", accepted.since(sent));
    let told = times(&world, tom, Progress::Delivered)[0].as_micros() % SECOND_US;
    assert!(told < 20_000, "{told} µs after a full second");
    assert_eq!(world.fate(letter).shown, 1);
    assert!(times(&world, tom, Progress::Read).is_empty());
    // Nor in a later session.
    world.restart_client(jack);
    world.run_for(secs(5));
    assert!(times(&world, tom, Progress::Read).is_empty());
}

/// Until the full second, a sender receives the same for a recipient that is online as for one that
/// is away.
#[test]
fn stranger_letter_seems_to_wait_until_full_second() {
    let hears = |is_there: bool| {
        let (mut world, tom, jack) = unknown();
        if !is_there {
            world.command(jack, Command::Leave);
            world.run_for(millis(100));
        }
        let second = world.now.rounded_up(secs(1));
        world.send(tom, "JACK", "are you there?");
        world.run_for(secs(3));
        heard(&world, tom, second)
    };
    let waits = hears(false);
    assert_eq!(waits.len(), 3, "queued, accepted, waiting: {waits:?}");
    assert_eq!(hears(true), waits);
}

/// An answer, or an entry in the address book, releases earlier read receipts.
#[test]
fn read_receipt_is_sent_once_recipient_knows_sender() {
    for answers in [true, false] {
        let (mut world, tom, jack) = unknown();
        let letter = world.send(tom, "JACK", "who are you?");
        assert!(world.run_until(secs(2), |w| delivered(w, letter)));
        world.restart_client(jack);
        world.run_for(secs(2));
        assert!(times(&world, tom, Progress::Read).is_empty());
        if answers {
            world.send(jack, "TOM", "JACK");
        } else {
            world.befriend_all();
        }
        world.run_for(secs(1));
        assert_eq!(times(&world, tom, Progress::Read).len(), 1, "{answers}");
        assert!(shows(&world, tom, |e| matches!(e, Event::Letter(_))) == answers);
    }
}

/// A recipient that has written to the sender knows it after a restart, and with another outbox.
#[test]
fn members_once_written_to_stay_known() {
    let (mut world, tom, jack) = unknown();
    let first = world.send(jack, "TOM", "hello");
    assert!(world.run_until(secs(2), |w| delivered(w, first)));
    let folder = world.copy_of(jack);
    world.restart_client(jack);
    world.run_for(secs(1));
    world.put_back(jack, folder);
    world.run_for(secs(2));
    assert!(shows(&world, jack, |e| matches!(e, Event::OldCopy { .. })));
    world.restart_client(jack);
    world.run_for(secs(2));
    let letter = world.send(tom, "JACK", "hello");
    assert!(world.run_until(millis(200), |w| delivered(w, letter)), "{:?}", world.fate(letter));
    world.run_for(secs(1));
    assert_eq!(times(&world, tom, Progress::Read).len(), 1);
}

/// A relay killed at any time before the full second loses neither an accepted letter nor its
/// delivery.
#[test]
fn relay_killed_before_full_second_loses_nothing() {
    for after in 0..60 {
        let (mut world, tom, _) = unknown();
        let letter = world.send(tom, "JACK", "who are you?");
        world.run_for(millis(after));
        world.restart_relay(millis(20));
        assert!(world.run_until(secs(10), |w| delivered(w, letter)), "{after}: {:?}", world.fate(letter));
        assert!(times(&world, tom, Progress::Read).is_empty());
    }
}
