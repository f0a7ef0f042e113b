//! Secondary processes of the member: who they are, which events each receives, and which commands
//! they give.
//!
//! Each frontend that shows letters receives every letter as it arrives. The first of them also
//! shows those that were stored and not shown. Events about one letter go to the process that sent
//! it, or to our own frontend if that process has gone. Events about a relay go to all processes
//! that use it.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{HostPort, PublicKey};
use crate::client::{Carriers, Command, Event, RelaySpec, Unreached};
use crate::net::local::{Heard, Line};

use super::speech::{Answer, Call, Face, Part, VERSION, line};

/// Maximum bytes queued for a caller that does not read, 8 MiB. At the limit it is disconnected,
/// and connects again when it reads. Chosen: many turns of events, yet bounded per process.
pub(super) const UNREAD_MAX: usize = 8 << 20;
/// Maximum relays kept for callers that have gone, so that the letters they left in the outbox are
/// sent. Beyond it the oldest is dropped; its letters wait for the next process that uses that
/// relay.
const RELAYS_LEFT_MAX: usize = 64;

/// A request of a caller to the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Execute this command.
    Command(Command),
    /// The set of relays in use has changed, or their pins have.
    Relays,
    /// The history was partly erased: the client counts more bytes from some senders than the disk
    /// has.
    Recount,
}

#[derive(Debug)]
struct Caller {
    line: Line,
    /// `None` until it has sent `Hello`.
    face: Option<Face>,
    relays: Vec<RelaySpec>,
    /// It received events in this turn, so `Turn` must follow.
    told: bool,
    /// It has sent `Bye` and reads no more events: returned texts are shown here.
    leaves: bool,
    /// Answers to send, each once the given number of records has settled.
    owed: VecDeque<(u64, Answer)>,
}

/// All secondary processes, by number.
#[derive(Debug)]
pub(super) struct Callers {
    own: Face,
    own_relays: Vec<RelaySpec>,
    by_number: BTreeMap<u64, Caller>,
    /// Last known connection state of each relay.
    links: BTreeMap<HostPort, Event>,
    /// At most [`RELAYS_LEFT_MAX`], the newest last.
    left: VecDeque<RelaySpec>,
    /// The caller that shows letters stored and not shown; `None` if our own frontend does, or none
    /// shows letters.
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

    /// Sets the relays that our own frontend uses.
    pub(super) fn set_own_relays(&mut self, relays: Vec<RelaySpec>) {
        self.own_relays = relays;
    }

    /// Returns every relay in use, once, with its pinned key.
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
        // The fingerprint is left out: the expectation of an address book whose process has gone
        // must not block others.
        for spec in &self.left {
            merge(by_addr.entry(&spec.addr).or_insert_with(|| spec.clone()), spec);
        }
        by_addr.into_values().collect()
    }

    /// Handles input from caller `number`. `given` is the number of records submitted to the store
    /// so far.
    pub(super) fn handle(
        &mut self,
        number: u64,
        heard: Heard,
        given: u64,
        carriers: Carriers,
    ) -> Option<Wish> {
        match heard {
            Heard::Called(line) => {
                let caller = Caller {
                    line,
                    face: None,
                    relays: Vec::new(),
                    told: false,
                    leaves: false,
                    owed: VecDeque::new(),
                };
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
            // Commands are accepted after `Hello` only. The primary alone decides when to leave the
            // session.
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
                    // Relays that refused the name are tried again, so their old refusals are
                    // obsolete.
                    self.links.retain(|_, event| !matches!(event, Event::NameRefused { .. }));
                }
                return Some(Wish::Command(command));
            }
        }
        None
    }

    /// Forgets a caller; the only place that does. Letters it left in the outbox are still sent.
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

    /// Passes an event to the callers it concerns. Returns it if it also concerns our own frontend.
    pub(super) fn pass(&mut self, event: Event) -> Option<Event> {
        // Progress goes to the process that sent the letter, and a received letter to every process
        // that shows letters. A relay event goes to every process that uses the relay.
        self.note_link(&event);
        if let Some(request) = request_of(&event) {
            // After `Bye` a caller shows no text, so a refused text must not go to it.
            let is_refusal = matches!(event, Event::Refused { .. });
            let owns = |caller: &Caller| {
                caller.face.is_some_and(|face| face.has(request)) && !(is_refusal && caller.leaves)
            };
            return if self.tell(&event, owns) { None } else { Some(event) };
        }
        match relay_of(&event) {
            // Concerns the client itself, which is ours.
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

    /// Ends a turn, and sends each answer whose records are among the first `settled`.
    pub(super) fn end_turn(&mut self, settled: u64) {
        for caller in self.by_number.values_mut() {
            if std::mem::take(&mut caller.told) {
                caller.line.say(line(&Answer::Turn));
            }
            while caller.owed.front().is_some_and(|(mark, _)| *mark <= settled) {
                let (_, answer) = caller.owed.pop_front().expect("the loop condition saw a front element");
                caller.line.say(line(&answer));
            }
        }
    }

    /// Sends an event to the callers concerned; `false` if there is none. A caller whose connection
    /// is lost or cut is forgotten when the loop reports the closure.
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

    /// Forgets the state of relays that are not in use, and of those whose new key is trusted by
    /// now. The latter are tried again, and a newcomer must not receive the obsolete failure.
    pub(super) fn keep_links(&mut self, relays: &[RelaySpec]) {
        self.links.retain(|relay, event| {
            let spec = relays.iter().find(|spec| spec.addr == *relay);
            let Event::Unreached { why, .. } = event else { return spec.is_some() };
            spec.is_some_and(|spec| holds_still(why, spec))
        });
    }
}

/// Whether the reason for not using a relay still holds, given what `spec` says about its key.
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
