//! Recipients that keep little of members outside their address books: each refused text returns to
//! its sender.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use queqiao::base::{LetterId, Mark, Name};
use queqiao::client::{BlockLists, Command, Event, Reason};

use super::coverage::Count;
use super::link_conditions::chance;
use super::oracle::{LetterEnd, Oracle};
use super::scenarios::basic::{delivered, ended, millis, secs, shows};
use super::simulation::Simulation;

/// Bytes that such a recipient keeps of strangers: a dozen short letters.
pub const STRANGER_BYTES: u64 = 2_048;

/// In some seeds recipients have address books with some of the other members, and erase letters
/// now and then.
pub fn limit_strangers(sim: &mut Simulation, client: usize, others: &[&str], span: Duration) {
    if sim.strangers_bytes_max != STRANGER_BYTES {
        return;
    }
    let book = others.iter().filter(|_| chance(&mut sim.rng, 300)).map(|name| name.parse().unwrap());
    sim.machines[client].book = Some(book.collect());
    for _ in 0..sim.rng.below(4) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, move |sim| sim.erase_letters(client));
    }
}

impl Simulation {
    /// Passes the address book to the client, if it has one.
    pub fn send_contacts(&mut self, client: usize) {
        let machine = &self.machines[client];
        let Some(book) = machine.book.clone() else { return };
        let contacts = Some(BTreeMap::from([(machine.relay.clone(), book)]));
        self.send_command(client, Command::Screen(BlockLists { contacts, ..BlockLists::default() }));
    }

    /// Erases all letters of others that this client keeps, as its user may.
    pub fn erase_letters(&mut self, client: usize) {
        let kept = &mut self.machines[client].disk.kept;
        kept.holdings.clear();
        kept.senders.values_mut().for_each(|sender| sender.stored_bytes = 0);
        self.coverage.add(Count::Forgotten);
        self.send_command(client, Command::Held(BTreeMap::new()));
    }

    /// Adds all members to every client's address book. After that no letter is refused for lack of
    /// space.
    pub fn add_all_contacts(&mut self) {
        let names: BTreeSet<Name> =
            self.machines.iter().map(|machine| machine.name.parse().unwrap()).collect();
        for client in 0..self.machines.len() {
            if self.machines[client].book.replace(names.clone()).is_some() {
                self.send_contacts(client);
            }
        }
    }
}

impl Oracle {
    /// Records that a refusal is durable at the recipient. `is_new`: it was not before.
    pub fn record_declined(&mut self, client: usize, from: &Name, id: LetterId, mark: Mark, is_new: bool) {
        assert_ne!(from.as_str(), "echo", "the relay's own letters are always taken");
        if from.guest_address().is_some() || self.untrusted.contains(from.as_str()) {
            return;
        }
        let request = self.request_of(client, from, id, mark, None);
        let alone = self.has_one_machine(client);
        let fate = self.letters.get_mut(&request).expect("it was found by its number");
        let was_put_back = self.restored_clients.contains(&client);
        assert!(!alone || !fate.is_stored() || was_put_back, "letter {request} was stored, and then refused");
        fate.declined = true;
        if is_new {
            let last = self.last_stored.entry((client, id.outbox.0)).or_default();
            assert!(id.number > *last, "letter {request} was refused after number {last} was stored");
            *last = id.number;
        }
    }

    /// Whether no other client has this one's name.
    pub fn has_one_machine(&self, client: usize) -> bool {
        self.names.iter().filter(|name| **name == self.names[client]).count() == 1
    }
}

pub fn recipient_with_stranger_limit() -> (Simulation, usize, usize) {
    let mut sim = Simulation::new(1);
    sim.strangers_bytes_max = STRANGER_BYTES;
    let [tom, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, queqiao::client::Carriers::Auto));
    sim.machines[jack].book = Some(BTreeSet::new());
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(1));
    (sim, tom, jack)
}

pub fn refused_as_full(sim: &Simulation, letter: u64) -> bool {
    sim.fate(letter).end == Some(LetterEnd::Refused { reason: Reason::Full, may_have_arrived: false })
}

fn full_notices(sim: &Simulation, client: usize) -> usize {
    let is_it = |(_, event): &&(_, Event)| matches!(event, Event::StrangersFull { .. });
    sim.machines[client].events.iter().filter(is_it).count()
}

/// Letters beyond the limit come back, smaller ones may still fit, and the recipient is notified
/// once.
#[test]
fn stranger_letters_beyond_limit_return_to_sender() {
    let (mut sim, tom, jack) = recipient_with_stranger_limit();
    let first = sim.send(tom, "JACK", &"x".repeat(1_500));
    assert!(sim.run_until(secs(2), |sim| delivered(sim, first)));
    let large: Vec<u64> = (0..20).map(|_| sim.send(tom, "JACK", &"y".repeat(500))).collect();
    let small = sim.send(tom, "JACK", "small");
    assert!(sim.run_until(secs(5), |sim| large.iter().all(|l| ended(sim, *l)) && delivered(sim, small)));
    assert!(large.iter().all(|letter| refused_as_full(&sim, *letter)), "{:?}", sim.fate(large[0]));
    assert_eq!(full_notices(&sim, jack), 1);
    let missing = |e: &Event| matches!(e, Event::Letter(letter) if letter.missing > 0);
    assert!(!shows(&sim, jack, missing), "refused letters are not missing");
    assert_eq!(sim.relay_disk.len(), 0);
    sim.erase_letters(jack);
    let again = sim.send(tom, "JACK", &"y".repeat(500));
    assert!(sim.run_until(secs(5), |sim| delivered(sim, again)), "there is space again");
}

/// A contact's letters are taken even if the recipient is full, and so are those of a stranger that
/// becomes a contact.
#[test]
fn contact_letters_are_taken_while_strangers_are_refused() {
    let (mut sim, tom, jack) = recipient_with_stranger_limit();
    let large = sim.send(tom, "JACK", &"x".repeat(3_000));
    assert!(sim.run_until(secs(5), |sim| refused_as_full(sim, large)), "{:?}", sim.fate(large));
    sim.add_all_contacts();
    let letters: Vec<u64> = (0..5).map(|_| sim.send(tom, "JACK", &"x".repeat(3_000))).collect();
    assert!(sim.run_until(secs(5), |sim| letters.iter().all(|l| delivered(sim, *l))));
    sim.restart_client(jack);
    sim.run_for(secs(1));
    let one_more = sim.send(tom, "JACK", &"x".repeat(3_000));
    assert!(sim.run_until(secs(5), |sim| delivered(sim, one_more)));
}

/// A letter from a mailbox is refused too, although its sender is away. The sender receives the
/// refusal after a relay restart.
#[test]
fn refusal_reaches_absent_sender_after_relay_restart() {
    let (mut sim, tom, jack) = recipient_with_stranger_limit();
    sim.send_command(jack, Command::Leave);
    sim.run_for(millis(100));
    let letters: Vec<u64> =
        [10, 3_000, 10, 3_000, 10].iter().map(|len| sim.send(tom, "JACK", &"z".repeat(*len))).collect();
    assert!(sim.run_until(secs(2), |sim| letters.iter().all(|l| sim.fate(*l).accepted)));
    sim.send_command(tom, Command::Leave);
    sim.run_for(millis(100));
    sim.restart_client(jack);
    assert!(sim.run_until(secs(10), |sim| sim.fate(letters[4]).shown == 1));
    sim.run_for(secs(1));
    sim.restart_relay(millis(100));
    sim.run_for(secs(2));
    sim.restart_client(tom);
    assert!(sim.run_until(secs(20), |sim| letters.iter().all(|l| ended(sim, *l))));
    let ends: Vec<bool> = letters.iter().map(|letter| refused_as_full(&sim, *letter)).collect();
    assert_eq!(ends, [false, true, false, true, false]);
}

/// A recipient that is killed as soon as it has refused a letter refuses it again, although there
/// is space by then.
#[test]
fn refused_letter_is_never_taken_later() {
    for after in 0..60 {
        let (mut sim, tom, jack) = recipient_with_stranger_limit();
        sim.commit_time_max = millis(3);
        let large = sim.send(tom, "JACK", &"x".repeat(3_000));
        let small = sim.send(tom, "JACK", "small");
        sim.run_for(millis(after));
        let was_declined = sim.fate(large).declined;
        sim.add_all_contacts();
        sim.restart_client(jack);
        assert!(sim.run_until(secs(20), |sim| ended(sim, large) && delivered(sim, small)), "{after}");
        assert!(!was_declined || refused_as_full(&sim, large), "{after}: {:?}", sim.fate(large));
    }
}

/// While the relay's disk is full, nothing is lost and nothing false is reported. The refusal
/// waits, and so does the receipt of the letter stored behind the refused one.
#[test]
fn refusal_waits_until_relay_disk_has_space() {
    let (mut sim, tom, _) = recipient_with_stranger_limit();
    sim.relay_sim_disk.full_until = sim.now + secs(4);
    let large = sim.send(tom, "JACK", &"x".repeat(3_000));
    let small = sim.send(tom, "JACK", "small");
    sim.run_for(millis(3_500));
    assert!(!ended(&sim, large) && !ended(&sim, small) && sim.fate(small).shown == 1);
    assert!(sim.run_until(secs(5), |sim| refused_as_full(sim, large) && delivered(sim, small)));
}

/// JACK has stored TOM's first letter, and refuses the second one. The relay is killed as soon as
/// its disk has the second one, and before TOM learns of the first.
///
/// The next process tells TOM that both are accepted, and JACK stores no later letter.
#[test]
fn letter_stored_before_refused_one_is_delivered_after_kill() {
    for after in [0, 100, 2_000] {
        let (mut sim, tom, jack) = recipient_with_stranger_limit();
        // JACK's reports about those to whom it has written do not wait for a full second.
        let known = sim.send(jack, "TOM", "a letter");
        assert!(sim.run_until(secs(5), |sim| delivered(sim, known)));
        sim.machines[tom].down.conditions.udp_hole = true;
        sim.machines[tom].down.conditions.tcp_hole = true;
        let small = sim.send(tom, "JACK", "small");
        assert!(sim.run_until(secs(2), |sim| sim.fate(small).shown == 1));
        sim.run_for(millis(after));
        let large = sim.send(tom, "JACK", &"x".repeat(3_000));
        assert!(sim.run_until(secs(2), |sim| sim.relay_disk.len() > 0));
        assert!(!sim.fate(small).accepted && sim.fate(large).declined);
        sim.restart_relay(millis(100));
        sim.machines[tom].down.conditions.udp_hole = false;
        sim.machines[tom].down.conditions.tcp_hole = false;
        assert!(
            sim.run_until(secs(60), |sim| ended(sim, large) && delivered(sim, small)),
            "{:?}",
            sim.fate(small)
        );
        assert_eq!(sim.fate(small).shown, 1);
    }
}

/// JACK has stored a letter behind one that he refused, and the relay has heard of neither. In his
/// next session it sends all again, over a slow line. His first report comes while the refused
/// letter is on its way, and must not cover it.
#[test]
fn report_of_stored_letters_covers_none_still_to_come() {
    let (mut sim, tom, jack) = recipient_with_stranger_limit();
    let known = sim.send(jack, "TOM", "a letter");
    assert!(sim.run_until(secs(5), |sim| delivered(sim, known)));
    sim.machines[jack].up.conditions.udp_hole = true;
    sim.machines[jack].up.conditions.tcp_hole = true;
    let letters = [10, 8_000, 10].map(|len| sim.send(tom, "JACK", &"x".repeat(len)));
    let [first, large, last] = letters;
    assert!(sim.run_until(secs(2), |sim| sim.fate(large).declined && sim.fate(last).shown == 1));
    sim.heal();
    sim.machines[jack].down.conditions.rate = 8_000;
    sim.restart_client(jack);
    assert!(sim.run_until(secs(60), |sim| letters.iter().all(|letter| ended(sim, *letter))));
    assert!(delivered(&sim, first) && delivered(&sim, last));
    // It was sent in the earlier session too.
    let full = LetterEnd::Refused { reason: Reason::Full, may_have_arrived: true };
    assert_eq!(sim.fate(large).end, Some(full));
}
