//! Letters that their recipient cannot understand: a later version of the sender's program wrote
//! them and left them in the outbox for this one.
//!
//! They are sent as stored. The recipient keeps nothing of them, and the text returns to the
//! sender.

use std::time::Duration;

use queqiao::base::{LetterId, Mark, Name, OutboxId, Wall};
use queqiao::client::{Event, Progress, Reason, Record};
use queqiao::wire::letter::{GuestEvent, LetterBody, encode_text};
use queqiao::wire::message::KIND_TEXT;

use super::coverage::Count;
use super::link_conditions::chance;
use super::oracle::LetterEnd;
use super::scenarios::basic::{delivered, ended, millis, secs, shows};
use super::simulation::Simulation;

/// In some seeds a member goes back to this version with such letters in the outbox.
pub fn schedule_unsupported(sim: &mut Simulation, span: Duration) {
    if !chance(&mut sim.rng, 200) {
        return;
    }
    for _ in 0..1 + sim.rng.below(4) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, |sim| {
            let member_count = sim.machines.len() as u64;
            let [sender, recipient] = [0, 1].map(|_| sim.rng.below(member_count) as usize);
            let to = if chance(&mut sim.rng, 50) {
                "echo".to_owned()
            } else {
                sim.machines[recipient].name.clone()
            };
            if sim.machines[sender].started {
                let encoded = unsupported_letter(sim);
                sim.leave_letter(sender, &to, encoded);
            }
        });
    }
}

/// Returns a letter of an unknown kind, with a malformed body, or with an event that only guests
/// cause.
fn unsupported_letter(sim: &mut Simulation) -> LetterBody {
    let rng = &mut sim.rng;
    match rng.below(4) {
        0 => LetterBody::from_guest_event(
            [GuestEvent::Ended, GuestEvent::Left, GuestEvent::Close][rng.below(3) as usize],
        ),
        1 => {
            let mut body = encode_text("broken", Wall(7));
            body.truncate(rng.below(body.len() as u64) as usize);
            LetterBody { kind: KIND_TEXT, body: body.into() }
        }
        _ => {
            let kind = [0, 2, 3, 6, 7, 9, 200, 255][rng.below(8) as usize];
            LetterBody { kind, body: encode_text("from another time", Wall(7)).into() }
        }
    }
}

impl Simulation {
    /// Ends the client's process and starts one of this version, with this letter in its outbox.
    pub fn leave_letter(&mut self, client: usize, to: &str, encoded: LetterBody) -> u64 {
        self.cut_off(client);
        self.requests += 1;
        let request = self.requests;
        let text = format!("of a later version: {}", self.requests);
        self.oracle.record_send(client, request, to, &text);
        let machine = &self.machines[client];
        let relay = machine.relay.clone();
        let to = to.parse::<Name>().unwrap();
        let written = Wall(7);
        let conversation = (relay.clone(), to.clone());
        let last = machine
            .disk
            .kept
            .conversations
            .get(&conversation)
            .map_or(0, |conversation| conversation.reach.last);
        let number = last + 1;
        let base = OutboxId(machine.outbox);
        let known = machine.disk.kept.outboxes.get(&relay);
        // A client increments its mark when it starts.
        let (outbox, last_mark) = known.map_or((base, 0), |known| (known.id, known.mark.0));
        let mark = Mark(last_mark + 1);
        let id = LetterId { outbox: outbox.for_relay(&relay), number };
        self.oracle.record_number(request, id, mark);
        self.oracle.unsupported.insert(request);
        let record = Record::Written { relay, to, outbox, number, mark, request, text, written, encoded };
        self.apply(client, &record);
        self.coverage.add(Count::StrangeLetters);
        self.restart_client(client);
        request
    }
}

/// The first of two members sends such letters among others.
#[test]
fn unsupported_letters_return_with_their_texts() {
    let mut sim = Simulation::new(1);
    let [tom, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, queqiao::client::Carriers::Auto));
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(1));
    let before = sim.send(tom, "JACK", "before");
    assert!(sim.run_until(secs(1), |sim| delivered(sim, before)));
    let unsupported = [2, 200].map(|kind| {
        let body = encode_text("from another time", Wall(7)).into();
        sim.leave_letter(tom, "JACK", LetterBody { kind, body })
    });
    let after = sim.send(tom, "JACK", "after");
    assert!(
        sim.run_until(secs(20), |sim| unsupported.iter().all(|l| ended(sim, *l)) && delivered(sim, after))
    );
    // The run that wrote them may have sent them too.
    let refused = LetterEnd::Refused { reason: Reason::Unsupported, may_have_arrived: true };
    assert_eq!(unsupported.map(|letter| sim.fate(letter).end), [Some(refused); 2]);
    assert!(shows(&sim, jack, |event| matches!(event, Event::Unreadable { .. })));
    sim.restart_relay(millis(100));
    sim.restart_client(jack);
    let last = sim.send(tom, "JACK", "last");
    assert!(sim.run_until(secs(20), |sim| delivered(sim, last)));
}

/// The sender of such a letter knows its recipient: the letter counts like any other.
#[test]
fn unsupported_letter_makes_its_recipient_known() {
    let mut sim = Simulation::new(1);
    let [tom, jack] = ["TOM", "JACK"].map(|name| sim.add_client(name, queqiao::client::Carriers::Auto));
    sim.machines[jack].book = Some(std::collections::BTreeSet::new());
    sim.start(tom);
    sim.start(jack);
    sim.run_for(secs(1));
    let body = encode_text("from another time", Wall(7)).into();
    sim.leave_letter(jack, "TOM", LetterBody { kind: 200, body });
    sim.run_for(secs(2));
    sim.send(tom, "JACK", "what was that?");
    sim.run_for(secs(2));
    let is_read = |event: &Event| matches!(event, Event::Progress { progress: Progress::Read, .. });
    assert!(shows(&sim, tom, is_read));
}
