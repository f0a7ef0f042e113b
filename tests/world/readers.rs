//! Recipients that keep little of members outside their address books: each refused text returns to
//! its sender.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use queqiao::base::{LetterId, Mark, Name};
use queqiao::client::{Command, Event, Reason, Screens};

use super::cover::Count;
use super::oracle::{End, Oracle};
use super::stories::{delivered, ended, millis, secs, shows};
use super::weather::chance;
use super::world::World;

/// Bytes that such a recipient keeps of strangers: a dozen short letters.
pub const LITTLE: u64 = 2_048;

/// In some seeds recipients have address books with some of the other members, and erase letters
/// now and then.
pub fn keep_little(world: &mut World, client: usize, others: &[&str], span: Duration) {
    if world.strangers_bytes_max != LITTLE {
        return;
    }
    let book = others.iter().filter(|_| chance(&mut world.rng, 300)).map(|name| name.parse().unwrap());
    world.stations[client].book = Some(book.collect());
    for _ in 0..world.rng.below(4) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, move |w| w.forget(client));
    }
}

impl World {
    /// Passes the address book to the client, if it has one.
    pub fn tell_book(&mut self, client: usize) {
        let station = &self.stations[client];
        let Some(book) = station.book.clone() else { return };
        let contacts = Some(BTreeMap::from([(station.relay.clone(), book)]));
        self.command(client, Command::Screen(Screens { contacts, ..Screens::default() }));
    }

    /// Erases all letters of others that this client keeps, as its user may.
    pub fn forget(&mut self, client: usize) {
        let kept = &mut self.stations[client].disk.kept;
        kept.held.clear();
        kept.senders.values_mut().for_each(|sender| sender.held = 0);
        self.cover.add(Count::Forgotten);
        self.command(client, Command::Held(BTreeMap::new()));
    }

    /// Adds all members to every client's address book. After that no letter is refused for lack of
    /// space.
    pub fn befriend_all(&mut self) {
        let names: BTreeSet<Name> =
            self.stations.iter().map(|station| station.name.parse().unwrap()).collect();
        for client in 0..self.stations.len() {
            if self.stations[client].book.replace(names.clone()).is_some() {
                self.tell_book(client);
            }
        }
    }
}

impl Oracle {
    /// Records that a refusal is durable at the recipient. `is_new`: it was not before.
    pub fn declined(&mut self, who: usize, from: &Name, id: LetterId, mark: Mark, is_new: bool) {
        assert_ne!(from.as_str(), "echo", "the relay's own letters are always taken");
        if from.guest_address().is_some() || self.liars.contains(from.as_str()) {
            return;
        }
        let request = self.request_of(who, from, id, mark, None);
        let alone = self.is_alone(who);
        let fate = self.letters.get_mut(&request).expect("it was found by its number");
        let was_put_back = self.put_back.contains(&who);
        assert!(!alone || !fate.is_stored() || was_put_back, "letter {request} was stored, and then refused");
        fate.declined = true;
        if is_new {
            let last = self.last_stored.entry((who, id.outbox.0)).or_default();
            assert!(id.number > *last, "letter {request} was refused after number {last} was stored");
            *last = id.number;
        }
    }

    /// Whether no other client has this one's name.
    pub fn is_alone(&self, who: usize) -> bool {
        self.names.iter().filter(|name| **name == self.names[who]).count() == 1
    }
}

pub fn reader_of_strangers() -> (World, usize, usize) {
    let mut world = World::new(1);
    world.strangers_bytes_max = LITTLE;
    let [tom, jack] = ["TOM", "JACK"].map(|name| world.client(name, queqiao::client::Carriers::Auto));
    world.stations[jack].book = Some(BTreeSet::new());
    world.start(tom);
    world.start(jack);
    world.run_for(secs(1));
    (world, tom, jack)
}

pub fn refused_as_full(world: &World, letter: u64) -> bool {
    world.fate(letter).end == Some(End::Refused { reason: Reason::Full, may_have_arrived: false })
}

fn told_full(world: &World, client: usize) -> usize {
    let is_it = |(_, event): &&(_, Event)| matches!(event, Event::StrangersFull { .. });
    world.stations[client].events.iter().filter(is_it).count()
}

/// Letters beyond the limit come back, smaller ones may still fit, and the recipient is notified
/// once.
#[test]
fn stranger_letters_beyond_limit_return_to_sender() {
    let (mut world, tom, jack) = reader_of_strangers();
    let first = world.send(tom, "JACK", &"x".repeat(1_500));
    assert!(world.run_until(secs(2), |w| delivered(w, first)));
    let large: Vec<u64> = (0..20).map(|_| world.send(tom, "JACK", &"y".repeat(500))).collect();
    let small = world.send(tom, "JACK", "small");
    assert!(world.run_until(secs(5), |w| large.iter().all(|l| ended(w, *l)) && delivered(w, small)));
    assert!(large.iter().all(|letter| refused_as_full(&world, *letter)), "{:?}", world.fate(large[0]));
    assert_eq!(told_full(&world, jack), 1);
    let missing = |e: &Event| matches!(e, Event::Letter(letter) if letter.missing > 0);
    assert!(!shows(&world, jack, missing), "refused letters are not missing");
    assert_eq!(world.relay_disk.len(), 0);
    world.forget(jack);
    let again = world.send(tom, "JACK", &"y".repeat(500));
    assert!(world.run_until(secs(5), |w| delivered(w, again)), "there is space again");
}

/// A contact's letters are taken even if the recipient is full, and so are those of a stranger that
/// becomes a contact.
#[test]
fn contact_letters_are_taken_while_strangers_are_refused() {
    let (mut world, tom, jack) = reader_of_strangers();
    let large = world.send(tom, "JACK", &"x".repeat(3_000));
    assert!(world.run_until(secs(5), |w| refused_as_full(w, large)), "{:?}", world.fate(large));
    world.befriend_all();
    let letters: Vec<u64> = (0..5).map(|_| world.send(tom, "JACK", &"x".repeat(3_000))).collect();
    assert!(world.run_until(secs(5), |w| letters.iter().all(|l| delivered(w, *l))));
    world.restart_client(jack);
    world.run_for(secs(1));
    let one_more = world.send(tom, "JACK", &"x".repeat(3_000));
    assert!(world.run_until(secs(5), |w| delivered(w, one_more)));
}

/// A letter from a mailbox is refused too, although its sender is away. The sender receives the
/// refusal after a relay restart.
#[test]
fn refusal_reaches_absent_sender_after_relay_restart() {
    let (mut world, tom, jack) = reader_of_strangers();
    world.command(jack, Command::Leave);
    world.run_for(millis(100));
    let letters: Vec<u64> =
        [10, 3_000, 10, 3_000, 10].iter().map(|len| world.send(tom, "JACK", &"z".repeat(*len))).collect();
    assert!(world.run_until(secs(2), |w| letters.iter().all(|l| w.fate(*l).accepted)));
    world.command(tom, Command::Leave);
    world.run_for(millis(100));
    world.restart_client(jack);
    assert!(world.run_until(secs(10), |w| w.fate(letters[4]).shown == 1));
    world.run_for(secs(1));
    world.restart_relay(millis(100));
    world.run_for(secs(2));
    world.restart_client(tom);
    assert!(world.run_until(secs(20), |w| letters.iter().all(|l| ended(w, *l))));
    let ends: Vec<bool> = letters.iter().map(|letter| refused_as_full(&world, *letter)).collect();
    assert_eq!(ends, [false, true, false, true, false]);
}

/// A recipient that is killed as soon as it has refused a letter refuses it again, although there
/// is space by then.
#[test]
fn refused_letter_is_never_taken_later() {
    for after in 0..60 {
        let (mut world, tom, jack) = reader_of_strangers();
        world.disk = millis(3);
        let large = world.send(tom, "JACK", &"x".repeat(3_000));
        let small = world.send(tom, "JACK", "small");
        world.run_for(millis(after));
        let was_declined = world.fate(large).declined;
        world.befriend_all();
        world.restart_client(jack);
        assert!(world.run_until(secs(20), |w| ended(w, large) && delivered(w, small)), "{after}");
        assert!(!was_declined || refused_as_full(&world, large), "{after}: {:?}", world.fate(large));
    }
}

/// While the relay's disk is full, nothing is lost and nothing false is reported. The refusal
/// waits, and so does the receipt of the letter stored behind the refused one.
#[test]
fn refusal_waits_until_relay_disk_has_space() {
    let (mut world, tom, _) = reader_of_strangers();
    world.relay_platter.full_until = world.now + secs(4);
    let large = world.send(tom, "JACK", &"x".repeat(3_000));
    let small = world.send(tom, "JACK", "small");
    world.run_for(millis(3_500));
    assert!(!ended(&world, large) && !ended(&world, small) && world.fate(small).shown == 1);
    assert!(world.run_until(secs(5), |w| refused_as_full(w, large) && delivered(w, small)));
}
