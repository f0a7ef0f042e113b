//! Recipients that do not know a sender: it never receives `read`, and `delivered` no earlier than
//! at the next full second.

use std::collections::{BTreeMap, BTreeSet};

use queqiao::base::{Mark, Name, Tick};
use queqiao::client::{Carriers, Command, Event, Incoming, Progress};

use super::coverage::Count;
use super::link_conditions::chance;
use super::scenarios::basic::{delivered, millis, secs, shows};
use super::simulation::Simulation;

const SECOND_US: u64 = 1_000_000;

/// Clients that write to few members, and when letters were stored.
#[derive(Default)]
pub struct Strangers {
    /// In this seed some recipients write only to members in their address books.
    pub is_enabled: bool,
    avoiding: BTreeSet<usize>,
    /// When a letter first became durable at its recipient, by request.
    stored: BTreeMap<u64, Tick>,
}

/// In some seeds recipients have address books with some of the other members, and write to no
/// others.
pub fn choose_avoided(sim: &mut Simulation, client: usize, others: &[&str]) {
    if !sim.strangers.is_enabled || chance(&mut sim.rng, 300) {
        return;
    }
    let book = others.iter().filter(|_| chance(&mut sim.rng, 400)).map(|name| name.parse().unwrap());
    sim.machines[client].book = Some(book.collect());
    sim.strangers.avoiding.insert(client);
}

impl Simulation {
    /// Whether this client does not write to `to`.
    pub fn avoids_writing_to(&self, client: usize, to: &str) -> bool {
        let book = self.machines[client].book.as_ref();
        self.strangers.avoiding.contains(&client)
            && book.is_some_and(|book| book.iter().all(|name| name.as_str() != to))
    }

    /// Records that a letter is durable at its recipient.
    pub fn record_stored_at(&mut self, client: usize, letter: &Incoming, mark: Mark) {
        let by_a_member = letter.from.as_str() != "echo" && letter.from.guest_address().is_none();
        if by_a_member && !self.oracle.untrusted.contains(letter.from.as_str()) {
            let request = self.oracle.request_of(client, &letter.from, letter.id, mark, Some(&letter.text));
            self.strangers.stored.entry(request).or_insert(self.now);
        }
    }

    /// Whether the recipient knows the sender, or may. It does if one of its machines has no
    /// address book or has the sender in it, and if it has written to the sender.
    fn may_know(&self, recipient: &str, sender: &str) -> bool {
        let machines = || self.machines.iter().filter(|machine| machine.name == recipient);
        let has = |book: &BTreeSet<Name>| book.contains(sender);
        machines().count() == 0
            || recipient == sender
            || machines().any(|machine| machine.book.as_ref().is_none_or(has))
            || self.oracle.has_written(recipient, sender)
    }

    /// Checks an event that a client shows about its own letter.
    pub fn check_receipt(&mut self, client: usize, event: &Event) {
        let Event::Progress { request, progress, .. } = event else { return };
        let recipient = self.oracle.letters[request].to.clone();
        if self.oracle.untrusted.contains(&recipient)
            || self.may_know(&recipient, &self.machines[client].name)
        {
            return;
        }
        assert!(
            *progress != Progress::Read,
            "letter {request} was reported as read by a recipient that does not know its sender"
        );
        if *progress == Progress::Delivered {
            let [stored, notified] =
                [self.strangers.stored[request], self.now].map(|at| at.as_micros() / SECOND_US);
            assert!(
                stored < notified,
                "letter {request} was stored in second {stored}, and reported as delivered in second {notified}"
            );
            self.coverage.add(Count::ToldAtFullSecond);
        }
    }
}

/// TOM, whom JACK does not know.
fn unknown() -> (Simulation, usize, usize) {
    let mut sim = Simulation::new(1);
    let [tom, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, Carriers::Auto));
    sim.machines[jack].book = Some(BTreeSet::new());
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(3));
    // 300 ms after a full second.
    let rest = (sim.now + millis(1)).rounded_up(secs(1)) + millis(300);
    sim.run_for(rest.since(sim.now));
    (sim, tom, jack)
}

fn times(sim: &Simulation, client: usize, wanted: Progress) -> Vec<Tick> {
    let is_it = |event: &Event| match event {
        Event::Progress { progress, .. } => {
            std::mem::discriminant(progress) == std::mem::discriminant(&wanted)
        }
        _ => false,
    };
    let events = sim.machines[client].events.iter();
    events.filter(|(_, event)| is_it(event)).map(|(at, _)| *at).collect()
}

/// Returns the progress that a sender has received before `until`, in order.
fn progress_until(sim: &Simulation, client: usize, until: Tick) -> Vec<Progress> {
    let early = sim.machines[client].events.iter().filter(|(at, _)| *at < until);
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
    let (mut sim, tom, jack) = unknown();
    let sent = sim.now;
    let letter = sim.send(tom, "JACK", "who are you?");
    assert!(sim.run_until(secs(2), |sim| delivered(sim, letter)));
    sim.run_for(secs(5));
    let accepted = times(&sim, tom, Progress::Accepted)[0];
    assert!(accepted.since(sent) < millis(80), "{:?}", accepted.since(sent));
    let notified = times(&sim, tom, Progress::Delivered)[0].as_micros() % SECOND_US;
    assert!(notified < 20_000, "{notified} µs after a full second");
    assert_eq!(sim.fate(letter).shown, 1);
    assert!(times(&sim, tom, Progress::Read).is_empty());
    // Nor in a later session.
    sim.restart_client(jack);
    sim.run_for(secs(5));
    assert!(times(&sim, tom, Progress::Read).is_empty());
}

/// Until the full second, a sender receives the same for a recipient that is online as for one that
/// is away.
#[test]
fn stranger_letter_seems_to_wait_until_full_second() {
    let reports = |is_there: bool| {
        let (mut sim, tom, jack) = unknown();
        if !is_there {
            sim.send_command(jack, Command::Leave);
            sim.run_for(millis(100));
        }
        let second = sim.now.rounded_up(secs(1));
        sim.send(tom, "JACK", "are you there?");
        sim.run_for(secs(3));
        progress_until(&sim, tom, second)
    };
    let waits = reports(false);
    assert_eq!(waits.len(), 3, "queued, accepted, waiting: {waits:?}");
    assert_eq!(reports(true), waits);
}

/// An answer, or an entry in the address book, releases earlier read receipts.
#[test]
fn read_receipt_is_sent_once_recipient_knows_sender() {
    for answers in [true, false] {
        let (mut sim, tom, jack) = unknown();
        let letter = sim.send(tom, "JACK", "who are you?");
        assert!(sim.run_until(secs(2), |sim| delivered(sim, letter)));
        sim.restart_client(jack);
        sim.run_for(secs(2));
        assert!(times(&sim, tom, Progress::Read).is_empty());
        if answers {
            sim.send(jack, "TOM", "JACK");
        } else {
            sim.add_all_contacts();
        }
        sim.run_for(secs(1));
        assert_eq!(times(&sim, tom, Progress::Read).len(), 1, "{answers}");
        assert!(shows(&sim, tom, |e| matches!(e, Event::Letter(_))) == answers);
    }
}

/// A recipient that has written to the sender knows it after a restart, and with another outbox.
#[test]
fn members_once_written_to_stay_known() {
    let (mut sim, tom, jack) = unknown();
    let first = sim.send(jack, "TOM", "hello");
    assert!(sim.run_until(secs(2), |sim| delivered(sim, first)));
    let folder = sim.copy_folder(jack);
    sim.restart_client(jack);
    sim.run_for(secs(1));
    sim.restore_folder(jack, folder);
    sim.run_for(secs(2));
    assert!(shows(&sim, jack, |e| matches!(e, Event::OldCopy { .. })));
    sim.restart_client(jack);
    sim.run_for(secs(2));
    let letter = sim.send(tom, "JACK", "hello");
    assert!(sim.run_until(millis(200), |sim| delivered(sim, letter)), "{:?}", sim.fate(letter));
    sim.run_for(secs(1));
    assert_eq!(times(&sim, tom, Progress::Read).len(), 1);
}

/// A relay killed at any time before the full second loses neither an accepted letter nor its
/// delivery.
#[test]
fn relay_killed_before_full_second_loses_nothing() {
    for after in 0..60 {
        let (mut sim, tom, _) = unknown();
        let letter = sim.send(tom, "JACK", "who are you?");
        sim.run_for(millis(after));
        sim.restart_relay(millis(20));
        assert!(sim.run_until(secs(10), |sim| delivered(sim, letter)), "{after}: {:?}", sim.fate(letter));
        assert!(times(&sim, tom, Progress::Read).is_empty());
    }
}
