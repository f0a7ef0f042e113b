//! Letters that their recipient cannot understand: a later version of the sender's program wrote
//! them and left them in the outbox for this one.
//!
//! They are sent as stored. The recipient keeps nothing of them, and the text returns to the
//! sender.

use std::time::Duration;

use queqiao::base::{LetterId, Mark, Name, OutboxId, Wall};
use queqiao::client::{Event, Progress, Reason, Record};
use queqiao::wire::letter::{GuestNote, Made, encode_text};
use queqiao::wire::message::KIND_TEXT;

use super::cover::Count;
use super::oracle::End;
use super::stories::{delivered, ended, millis, secs, shows};
use super::weather::chance;
use super::world::World;

/// In some seeds a member goes back to this version with such letters in the outbox.
pub fn go_back(world: &mut World, span: Duration) {
    if !chance(&mut world.rng, 200) {
        return;
    }
    for _ in 0..1 + world.rng.below(4) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, |w| {
            let people = w.stations.len() as u64;
            let [author, reader] = [0, 1].map(|_| w.rng.below(people) as usize);
            let to = if chance(&mut w.rng, 50) { "echo".to_owned() } else { w.stations[reader].name.clone() };
            if w.stations[author].started {
                let made = strange(w);
                w.leave_letter(author, &to, made);
            }
        });
    }
}

/// Returns a letter of an unknown kind, with a malformed body, or with an event that only guests
/// cause.
fn strange(world: &mut World) -> Made {
    let rng = &mut world.rng;
    match rng.below(4) {
        0 => Made::of_note([GuestNote::Ended, GuestNote::Left, GuestNote::Close][rng.below(3) as usize]),
        1 => {
            let mut body = encode_text("broken", Wall(7));
            body.truncate(rng.below(body.len() as u64) as usize);
            Made { kind: KIND_TEXT, body: body.into() }
        }
        _ => {
            let kind = [0, 2, 3, 6, 7, 9, 200, 255][rng.below(8) as usize];
            Made { kind, body: encode_text("from another time", Wall(7)).into() }
        }
    }
}

impl World {
    /// Ends the client's process and starts one of this version, with this letter in its outbox.
    pub fn leave_letter(&mut self, client: usize, to: &str, made: Made) -> u64 {
        self.cut_off(client);
        self.requests += 1;
        let request = self.requests;
        let text = format!("of a later version: {}", self.requests);
        self.oracle.sent(client, request, to, &text);
        let station = &self.stations[client];
        let relay = station.relay.clone();
        let to = to.parse::<Name>().unwrap();
        let written = Wall(7);
        let talk = (relay.clone(), to.clone());
        let last = station.disk.kept.conversations.get(&talk).map_or(0, |talk| talk.reach.last);
        let number = last + 1;
        let base = OutboxId(station.outbox);
        let known = station.disk.kept.outboxes.get(&relay);
        // A client increments its mark when it starts.
        let (outbox, last_mark) = known.map_or((base, 0), |known| (known.id, known.mark.0));
        let mark = Mark(last_mark + 1);
        let id = LetterId { outbox: outbox.through(&relay), number };
        self.oracle.numbered(request, id, mark);
        self.oracle.strange.insert(request);
        let record = Record::Written { relay, to, outbox, number, mark, request, text, written, made };
        self.apply(client, &record);
        self.cover.add(Count::StrangeLetters);
        self.restart_client(client);
        request
    }
}

/// The first of two members sends such letters among others.
#[test]
fn unsupported_letters_return_with_their_texts() {
    let mut world = World::new(1);
    let [tom, jack] = ["TOM", "JACK"].map(|name| world.client(name, queqiao::client::Carriers::Auto));
    world.start(tom);
    world.start(jack);
    world.run_for(secs(1));
    let before = world.send(tom, "JACK", "before");
    assert!(world.run_until(secs(1), |w| delivered(w, before)));
    let strange = [2, 200].map(|kind| {
        let body = encode_text("from another time", Wall(7)).into();
        world.leave_letter(tom, "JACK", Made { kind, body })
    });
    let after = world.send(tom, "JACK", "after");
    assert!(world.run_until(secs(20), |w| strange.iter().all(|l| ended(w, *l)) && delivered(w, after)));
    let refused = End::Refused { reason: Reason::Unsupported, may_have_arrived: false };
    assert_eq!(strange.map(|letter| world.fate(letter).end), [Some(refused); 2]);
    assert!(shows(&world, jack, |event| matches!(event, Event::Unreadable { .. })));
    world.restart_relay(millis(100));
    world.restart_client(jack);
    let last = world.send(tom, "JACK", "last");
    assert!(world.run_until(secs(20), |w| delivered(w, last)));
}

/// The sender of such a letter knows its recipient: the letter counts like any other.
#[test]
fn unsupported_letter_makes_its_recipient_known() {
    let mut world = World::new(1);
    let [tom, jack] = ["TOM", "JACK"].map(|name| world.client(name, queqiao::client::Carriers::Auto));
    world.stations[jack].book = Some(std::collections::BTreeSet::new());
    world.start(tom);
    world.start(jack);
    world.run_for(secs(1));
    let body = encode_text("from another time", Wall(7)).into();
    world.leave_letter(jack, "TOM", Made { kind: 200, body });
    world.run_for(secs(2));
    world.send(tom, "JACK", "what was that?");
    world.run_for(secs(2));
    let is_read = |event: &Event| matches!(event, Event::Progress { progress: Progress::Read, .. });
    assert!(shows(&world, tom, is_read));
}
