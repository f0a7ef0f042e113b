//! The other processes of the member, which work through this one: who they are, what each is told, what they want.
//!
//! Every face that shows letters is told of each letter as it comes; one of them, the first, also shows those that were
//! stored and not shown. What concerns a letter goes to the one who sent it, or to our own face if that one has gone.
//! What concerns a relay goes to all who speak to it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, PublicKey};
use crate::client::{Carriers, Command, Event, RelaySpec, Unreached};
use crate::net::local::{Heard, Line};

use super::speech::{Answer, Call, Face, Part, VERSION, line};

/// Bytes that wait for a caller that does not read; at the bound it is cut off, and calls again when it reads.
pub(super) const UNREAD_MAX: usize = 8 << 20;
/// Relays of callers that have gone which are still spoken to, so that what they left in the outbox goes out; beyond it
/// the oldest waits for the next who has something to say there.
const RELAYS_LEFT_MAX: usize = 64;

/// What a caller wants of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Carry this out.
    Command(Command),
    /// The relays spoken to are others now, or their pins.
    Relays,
    /// The disk has less of some senders than the client believes.
    Recount,
}

#[derive(Debug)]
struct Caller {
    line: Line,
    /// `None` before it has said hello.
    face: Option<Face>,
    relays: Vec<RelaySpec>,
    /// It was told events in this turn.
    told: bool,
    /// It reads no more events: a text that comes back is shown here.
    leaves: bool,
    /// What is said once the records given so far have settled.
    owed: VecDeque<(u64, Answer)>,
}

/// Everybody who works through this process, by number.
#[derive(Debug)]
pub(super) struct Callers {
    own: Face,
    own_relays: Vec<RelaySpec>,
    by_number: BTreeMap<u64, Caller>,
    /// How it stands with each relay.
    links: BTreeMap<HostPort, Event>,
    /// At most [`RELAYS_LEFT_MAX`], the newest last.
    left: VecDeque<RelaySpec>,
    /// The caller that shows what was stored and not shown; none if our own face does, or nobody.
    catcher: Option<u64>,
}

impl Callers {
    pub(super) fn new(own: Face) -> Callers {
        Callers {
            own,
            own_relays: Vec::new(),
            by_number: BTreeMap::new(),
            links: BTreeMap::new(),
            left: VecDeque::new(),
            catcher: None,
        }
    }

    /// Our own face speaks to these relays.
    pub(super) fn set_own_relays(&mut self, relays: Vec<RelaySpec>) {
        self.own_relays = relays;
    }

    /// Every relay anybody speaks to, once, with the key that is pinned now.
    pub(super) fn relays(&self, pinned: impl Fn(&HostPort) -> Option<PublicKey>) -> Vec<RelaySpec> {
        let mut by_addr: BTreeMap<&HostPort, RelaySpec> = BTreeMap::new();
        let theirs = self.by_number.values().flat_map(|caller| &caller.relays);
        let merge = |known: &mut RelaySpec, spec: &RelaySpec| {
            known.tcp = known.tcp.take().or_else(|| spec.tcp.clone());
            known.key = pinned(&spec.addr).or(known.key).or(spec.key);
        };
        for spec in self.own_relays.iter().chain(theirs) {
            let known = by_addr.entry(&spec.addr).or_insert_with(|| spec.clone());
            merge(known, spec);
            known.fingerprint = known.fingerprint.or(spec.fingerprint);
        }
        // What an address book said whose reader has gone keeps no other from speaking.
        for spec in &self.left {
            merge(by_addr.entry(&spec.addr).or_insert_with(|| spec.clone()), spec);
        }
        by_addr.into_values().collect()
    }

    /// Takes in what caller `number` says. `given` is how many records were given so far.
    pub(super) fn handle(
        &mut self,
        number: u64,
        heard: Heard,
        given: u64,
        carriers: Carriers,
    ) -> Option<Wish> {
        match heard {
            Heard::Called(line) => {
                let (relays, owed) = (Vec::new(), VecDeque::new());
                let caller = Caller { line, face: None, relays, told: false, leaves: false, owed };
                self.by_number.insert(number, caller);
                None
            }
            Heard::Said(text) => match serde_json::from_slice(&text) {
                Ok(call) => self.take(number, call, given, carriers),
                Err(_) => self.forget(number, given),
            },
            Heard::Closed => self.forget(number, given),
        }
    }

    fn take(&mut self, number: u64, call: Call, given: u64, carriers: Carriers) -> Option<Wish> {
        let caller = self.by_number.get_mut(&number)?;
        match call {
            Call::Pins => return Some(Wish::Relays),
            Call::Forgotten => return Some(Wish::Recount),
            Call::Hello { version, face } => {
                let shows = version == VERSION && face.part == Part::Shows;
                let catch_up = shows && self.own.part != Part::Shows && self.catcher.is_none();
                if catch_up {
                    self.catcher = Some(number);
                }
                caller.face = Some(face);
                let welcome = Answer::Welcome { version: VERSION.to_owned(), catch_up, carriers };
                caller.owed.push_back((given, welcome));
            }
            Call::Bye => {
                caller.leaves = true;
                caller.owed.push_back((given, Answer::Bye));
            }
            // Only those who have said who they are have wishes; the session is ours to leave.
            Call::Command(_) if caller.face.is_none() => return self.forget(number, given),
            Call::Command(Command::Leave | Command::HoldRefusals) => {}
            Call::Command(Command::Relays(specs)) => {
                let before = std::mem::replace(&mut caller.relays, specs);
                let new = caller.relays.iter().filter(|spec| before.iter().all(|old| old.addr != spec.addr));
                for event in new.filter_map(|spec| self.links.get(&spec.addr)) {
                    caller.told = true;
                    caller.line.say(line(&Answer::Event(event.clone())));
                }
                return Some(Wish::Relays);
            }
            Call::Command(command) => {
                if let Command::Invitation(_) = command {
                    // They are tried again: who speaks to them is not to hear of the refusal before.
                    self.links.retain(|_, event| !matches!(event, Event::NameRefused { .. }));
                }
                return Some(Wish::Command(command));
            }
        }
        None
    }

    /// The one place a caller is forgotten. What it left in the outbox still goes out.
    fn forget(&mut self, number: u64, given: u64) -> Option<Wish> {
        let gone = self.by_number.remove(&number)?;
        if self.catcher == Some(number) {
            let shows = |face: Option<Face>| face.is_some_and(|face| face.part == Part::Shows);
            self.catcher = self.by_number.iter().find(|(_, caller)| shows(caller.face)).map(|(n, _)| *n);
            if let Some(next) = self.catcher.and_then(|next| self.by_number.get_mut(&next)) {
                next.owed.push_back((given, Answer::CatchUp));
            }
        }
        for spec in gone.relays {
            self.left.retain(|other| other.addr != spec.addr);
            if self.left.len() == RELAYS_LEFT_MAX {
                self.left.pop_front();
            }
            self.left.push_back(spec);
        }
        None
    }

    /// Tells an event to those whom it concerns; it comes back if our own face is one of them.
    pub(super) fn pass(&mut self, event: Event) -> Option<Event> {
        self.note_link(&event);
        if let Some(request) = request_of(&event) {
            let is_refusal = matches!(event, Event::Refused { .. });
            let owns = |caller: &Caller| {
                caller.face.is_some_and(|face| face.has(request)) && !(is_refusal && caller.leaves)
            };
            return if self.tell(&event, owns) { None } else { Some(event) };
        }
        match relay_of(&event) {
            None => Some(event),
            Some(_) if matches!(event, Event::Letter(_) | Event::Unreadable { .. }) => {
                self.tell(&event, |caller| caller.face.is_some_and(|face| face.hears()));
                Some(event)
            }
            Some(relay) => {
                let speaks = |specs: &[RelaySpec]| specs.iter().any(|spec| spec.addr == *relay);
                self.tell(&event, |caller| speaks(&caller.relays));
                speaks(&self.own_relays).then_some(event)
            }
        }
    }

    /// Ends a turn, and says what was owed until so many records had settled.
    pub(super) fn end_turn(&mut self, settled: u64) {
        for caller in self.by_number.values_mut() {
            if std::mem::take(&mut caller.told) {
                caller.line.say(line(&Answer::Turn));
            }
            while caller.owed.front().is_some_and(|(mark, _)| *mark <= settled) {
                let owed = caller.owed.pop_front();
                let (_, answer) = owed.expect("it was just seen");
                caller.line.say(line(&answer));
            }
        }
    }

    /// Whether there was anybody to tell. One whose line is over, or cut, is forgotten when that is heard.
    fn tell(&mut self, event: &Event, concerned: impl Fn(&Caller) -> bool) -> bool {
        let mut text = None;
        for caller in self.by_number.values_mut().filter(|caller| concerned(caller)) {
            caller.told = true;
            let text = text.get_or_insert_with(|| line(&Answer::Event(event.clone())));
            caller.line.say(text.clone());
        }
        text.is_some()
    }

    fn note_link(&mut self, event: &Event) {
        let (relay, state) = match event {
            Event::Online { relay, .. }
            | Event::Lost { relay }
            | Event::Unreached { relay, .. }
            | Event::NameRefused { relay, .. }
            | Event::Replaced { relay } => (relay, event.clone()),
            Event::Moved { relay, via, .. } => (relay, Event::Online { relay: relay.clone(), via: *via }),
            _ => return,
        };
        self.links.insert(relay.clone(), state);
    }

    /// Forgets how it stands with relays that nobody speaks to, and with those whose new key is trusted now: they are tried
    /// again, and who speaks to them is not to hear of the old one before.
    pub(super) fn keep_links(&mut self, relays: &[RelaySpec]) {
        self.links.retain(|relay, event| {
            let spec = relays.iter().find(|spec| spec.addr == *relay);
            let Event::Unreached { why, .. } = event else { return spec.is_some() };
            spec.is_some_and(|spec| holds_still(why, spec))
        });
    }
}

/// Whether the reason a relay is not spoken to is one still, now that this is known of its key.
fn holds_still(why: &Unreached, spec: &RelaySpec) -> bool {
    match why {
        Unreached::KeyChanged { offered, .. } => spec.key != Some(*offered),
        Unreached::KeyUnlikeBook { wanted, offered } => {
            spec.fingerprint == Some(*wanted) && spec.key != Some(*offered)
        }
        Unreached::BookUnlikePin { wanted, pinned } => {
            spec.fingerprint == Some(*wanted) && spec.key == Some(*pinned)
        }
        _ => true,
    }
}

fn request_of(event: &Event) -> Option<u64> {
    match event {
        Event::Progress { request, .. } | Event::Refused { request, .. } | Event::Unkept { request, .. } => {
            Some(*request)
        }
        _ => None,
    }
}

fn relay_of(event: &Event) -> Option<&HostPort> {
    match event {
        Event::Letter(letter) => Some(&letter.relay),
        Event::Unreadable { relay, .. }
        | Event::Online { relay, .. }
        | Event::Moved { relay, .. }
        | Event::NameRefused { relay, .. }
        | Event::Pinned { relay, .. }
        | Event::Unreached { relay, .. }
        | Event::Lost { relay }
        | Event::Replaced { relay }
        | Event::OldCopy { relay }
        | Event::StrangersFull { relay }
        | Event::Pong { relay, .. } => Some(relay),
        Event::Progress { .. } | Event::Refused { .. } | Event::Unkept { .. } | Event::Left => None,
    }
}

#[cfg(test)]
mod tests;
