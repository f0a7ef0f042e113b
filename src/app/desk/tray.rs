//! Runs the client in this process, or forwards to the process that holds the lock.
//!
//! The process that gets the folder's lock is the primary. Any other connects to it, and tries for
//! the lock when the connection ends. The new primary repeats its own pending requests, unless the
//! history knows them, so that no letter is sent twice.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Core, Input, Now, Outputs, Phrase, Tick};
use crate::client::{Carriers, Command, Event, Record, RelaySpec, Screens};
use crate::net::Inlet;
use crate::net::local::{Heard, Line};
use crate::store::Archive;

use super::asked::{self, Asked};
use super::owner::Owner;
use super::speech::{Answer, Call, Part, VERSION, line};
use super::unshown::Unshown;
use super::{Ask, Home, Mail};

/// Time between two attempts to become primary or to reach it: about as long as opening the folder
/// takes.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Role of this process.
pub(super) enum Seat {
    /// Primary: it has the folder.
    Owner(Box<Owner>),
    /// Secondary: it works through the primary.
    Caller(Calling),
    /// Neither, until the next attempt.
    Waiting { again: Tick },
}

/// The connection to the primary.
pub(super) struct Calling {
    line: Line,
    number: u64,
    /// The primary has answered.
    welcome: bool,
    /// Events of the turn that the primary is reporting.
    turn: Vec<Event>,
}

impl Calling {
    fn say(&self, command: Command) {
        self.line.say(line(&Call::Command(command)));
    }
}

/// Requests of the frontend that outlive a primary.
#[derive(Default)]
struct Wanted {
    /// Block lists, set by a frontend that shows letters.
    screens: Option<Screens>,
    relays: Option<Vec<RelaySpec>>,
    carriers: Option<Carriers>,
    asked: Asked,
    /// Commands given while no primary was reachable: at most one mark for each letter shown.
    backlog: Vec<Command>,
}

/// The core of a desk.
pub(super) struct Tray {
    pub(super) seat: Seat,
    pub(super) commands: VecDeque<Command>,
    pub(super) asks: Vec<Ask>,
    pub(super) unshown: Unshown,
    /// Why this process could not become primary.
    pub(super) busy: Option<Phrase>,
    /// The primary has confirmed our `Bye`.
    pub(super) bye: bool,
    home: Option<Home>,
    inlet: Inlet<Mail>,
    wanted: Wanted,
    calls: u64,
}

impl Tray {
    pub(super) fn new(seat: Seat, home: Option<Home>, inlet: Inlet<Mail>) -> Tray {
        Tray {
            seat,
            commands: VecDeque::new(),
            asks: Vec::new(),
            unshown: Unshown::default(),
            busy: None,
            bye: false,
            home,
            inlet,
            wanted: Wanted::default(),
            calls: 0,
        }
    }

    /// Whether commands reach a client.
    pub(super) const fn is_seated(&self) -> bool {
        matches!(self.seat, Seat::Owner(_) | Seat::Caller(Calling { welcome: true, .. }))
    }

    /// Passes an event to the processes it concerns. Those for our own frontend are appended to
    /// `events`.
    pub(super) fn show(&mut self, event: Event, events: &mut Vec<Event>) {
        let ours = match &mut self.seat {
            Seat::Owner(owner) => owner.callers.pass(event),
            _ => Some(event),
        };
        match ours {
            Some(Event::Letter(letter)) if !self.unshown.take(&letter) => {}
            Some(event) => events.push(event),
            None => {}
        }
    }

    /// Appends the next page of letters from disk, if any are left.
    pub(super) fn catch_up(&mut self, events: &mut Vec<Event>) {
        match self.unshown.next_page() {
            Ok((letters, marks)) => {
                events.extend(letters.into_iter().map(Event::Letter));
                self.commands.extend(marks);
            }
            Err(phrase) => self.fail(phrase),
        }
    }

    /// Holds letters back, or releases them.
    pub(super) fn hold_letters(&mut self, hold: bool) {
        self.unshown.hold(hold);
        if !hold {
            match self.archive() {
                Ok(archive) => self.unshown.catch_up(archive),
                Err(phrase) => self.fail(phrase),
            }
        }
    }

    /// Whether everything is durable and every relay has received all pending frames.
    pub(super) fn is_settled(&self) -> bool {
        match &self.seat {
            Seat::Owner(owner) => owner.client.is_settled(),
            _ => true,
        }
    }

    /// Sends `Bye` to the primary. Returns `false` if there is none.
    pub(super) fn say_bye(&mut self) -> bool {
        self.unshown.catch_up(None);
        match &self.seat {
            Seat::Caller(calling) if calling.welcome => calling.line.say(line(&Call::Bye)),
            _ => false,
        }
    }

    fn sit(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        let Some(home) = self.home.clone() else { return };
        self.seat = Seat::Waiting { again: now.tick + TRY_AGAIN };
        match Owner::open(&home, &self.inlet) {
            Ok(owner) => {
                if let Err(phrase) = self.own(now, &home, owner, out) {
                    self.fail(phrase);
                }
            }
            Err(phrase) if phrase.key() == "member-busy" => {
                self.busy = Some(phrase);
                self.call(&home);
            }
            Err(phrase) => self.fail(phrase),
        }
    }

    fn own(
        &mut self,
        now: Now,
        home: &Home,
        mut owner: Owner,
        out: &mut Outputs<Record, Event>,
    ) -> Result<(), Phrase> {
        self.asks.extend(owner.troubles.drain(..).map(Ask::Trouble));
        let archive = Archive::open(&home.data_dir, &home.folder)?;
        let Wanted { screens, relays, carriers, asked, backlog } = std::mem::take(&mut self.wanted);
        owner.client.handle_time(now, out);
        let settings = [
            home.invitation.clone().map(Command::Invitation),
            screens.map(Command::Screen),
            relays.map(Command::Relays),
            carriers.map(Command::Carriers),
        ];
        for command in settings.into_iter().flatten() {
            owner.command(now, command, out);
        }
        owner.take_over(now, &asked, archive.as_ref(), out)?;
        backlog.into_iter().for_each(|command| owner.command(now, command, out));
        if home.face.part == Part::Shows {
            self.unshown.catch_up(archive);
        }
        self.seat = Seat::Owner(Box::new(owner));
        Ok(())
    }

    fn call(&mut self, home: &Home) {
        self.calls += 1;
        let number = self.calls;
        let called = Line::call(&home.dir(), self.inlet.clone(), move |heard| Mail::Owner(number, heard));
        // No listener: the primary is about to open it, or has just ended.
        let Ok(line_out) = called else { return };
        line_out.say(line(&Call::Hello { version: VERSION.to_owned(), face: home.face }));
        self.seat = Seat::Caller(Calling { line: line_out, number, welcome: false, turn: Vec::new() });
    }

    /// Handles input from the primary on connection `number`.
    fn hear(&mut self, now: Now, number: u64, heard: Heard, out: &mut Outputs<Record, Event>) {
        let Seat::Caller(calling) = &mut self.seat else { return };
        if calling.number != number {
            return;
        }
        let text = match heard {
            Heard::Said(text) => text,
            Heard::Closed => {
                let welcome = calling.welcome;
                let turn = std::mem::take(&mut calling.turn);
                let again = if welcome { now.tick } else { now.tick + TRY_AGAIN };
                self.seat = Seat::Waiting { again };
                if welcome {
                    self.take(turn, out);
                }
                return;
            }
            Heard::Called(_) => return,
        };
        let done = match serde_json::from_slice(&text) {
            Ok(Answer::Event(event)) => {
                calling.turn.push(event);
                Ok(())
            }
            Ok(Answer::Turn) => {
                // Events before the welcome may be newer than letters still to be read from disk.
                if calling.welcome {
                    let turn = std::mem::take(&mut calling.turn);
                    self.take(turn, out);
                }
                Ok(())
            }
            Ok(Answer::Welcome { version, catch_up, carriers }) if version == VERSION => {
                self.join(catch_up, carriers, out)
            }
            Ok(Answer::CatchUp) => self.archive().map(|archive| self.unshown.catch_up(archive)),
            Ok(Answer::Bye) => {
                self.bye = true;
                Ok(())
            }
            // The primary is of another version.
            Ok(Answer::Welcome { .. }) | Err(_) => Err(self.busy.clone().expect("we connect only if busy")),
        };
        if let Err(phrase) = done {
            self.fail(phrase);
        }
    }

    fn take(&mut self, events: Vec<Event>, out: &mut Outputs<Record, Event>) {
        for event in events {
            if self.wanted.asked.follow(&event) {
                out.show(event);
            }
        }
    }

    /// Handles the primary's welcome: sends it all settings and pending requests of this frontend.
    fn join(
        &mut self,
        catch_up: bool,
        carriers: Carriers,
        out: &mut Outputs<Record, Event>,
    ) -> Result<(), Phrase> {
        let archive = self.archive()?;
        let Seat::Caller(calling) = &mut self.seat else { return Ok(()) };
        let first = !std::mem::replace(&mut calling.welcome, true) && self.calls == 1;
        let shows = self.home.as_ref().is_some_and(|home| home.face.part == Part::Shows);
        let invitation = self.home.as_ref().and_then(|home| home.invitation.clone());
        let settings = [
            // First, because a relay must see it with the first sign-in.
            invitation.map(Command::Invitation),
            self.wanted.screens.clone().filter(|_| shows).map(Command::Screen),
            self.wanted.relays.clone().map(Command::Relays),
            self.wanted.carriers.map(Command::Carriers),
        ];
        settings.into_iter().flatten().for_each(|command| calling.say(command));
        let mut shown = Vec::new();
        let turn = std::mem::take(&mut calling.turn);
        for request in self.wanted.asked.requests() {
            let fate = archive.as_ref().map(|archive| archive.fate(request)).transpose()?.flatten();
            let told = fate.map_or(Vec::new(), |fate| asked::events(request, fate));
            if told.is_empty()
                && let Some(command) = self.wanted.asked.command(request)
            {
                calling.say(command);
            }
            shown.extend(told);
        }
        self.wanted.backlog.drain(..).for_each(|command| calling.say(command));
        if catch_up {
            self.unshown.catch_up(archive);
        }
        self.take(shown, out);
        self.take(turn, out);
        let own = self.home.as_ref().map_or(carriers, |home| home.setup.carriers);
        if first && own != Carriers::Auto && own != carriers {
            let busy = self.busy.as_ref().and_then(|phrase| phrase.args().last()).map(|(_, pid)| pid.clone());
            let phrase = Phrase::new("member-carriers").with("pid", busy.unwrap_or_default());
            self.asks.push(Ask::Trouble(phrase));
        }
        Ok(())
    }

    fn command(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        let calling = match &mut self.seat {
            Seat::Owner(owner) => return owner.command(now, command, out),
            Seat::Caller(calling) if calling.welcome => Some(&*calling),
            _ => None,
        };
        match &command {
            Command::Leave | Command::HoldRefusals => return,
            Command::Screen(screens) => {
                self.wanted.screens = Some(screens.clone());
                if self.home.as_ref().is_none_or(|home| home.face.part != Part::Shows) {
                    return;
                }
            }
            Command::Relays(relays) => self.wanted.relays = Some(relays.clone()),
            Command::Carriers(carriers) => self.wanted.carriers = Some(*carriers),
            Command::Send { .. } | Command::Close { .. } => {
                if let Some(event) = self.wanted.asked.ask(command.clone()) {
                    return out.show(event);
                }
            }
            other if calling.is_none() => self.wanted.backlog.push(other.clone()),
            _ => {}
        }
        if let Some(calling) = calling {
            calling.say(command);
        }
    }

    fn archive(&self) -> Result<Option<Archive>, Phrase> {
        let open = |home: &Home| Archive::open(&home.data_dir, &home.folder);
        self.home.as_ref().map(open).transpose().map(Option::flatten)
    }

    fn fail(&mut self, phrase: Phrase) {
        self.asks.push(Ask::Failed(phrase));
    }
}

impl Core for Tray {
    type Command = Mail;
    type Record = Record;
    type Event = Event;

    fn handle_time(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        match &mut self.seat {
            Seat::Owner(owner) => owner.client.handle_time(now, out),
            Seat::Waiting { again } if *again <= now.tick => self.sit(now, out),
            Seat::Caller(_) | Seat::Waiting { .. } => {}
        }
        while let Some(command) = self.commands.pop_front() {
            self.command(now, command, out);
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_, Mail>, out: &mut Outputs<Record, Event>) {
        let passed = match input {
            Input::Command(Mail::Command(command)) => return self.command(now, command, out),
            Input::Command(Mail::Ask(ask)) => return self.asks.push(ask),
            Input::Command(Mail::Owner(number, heard)) => return self.hear(now, number, heard, out),
            Input::Command(Mail::Caller(number, heard)) => {
                if let Seat::Owner(owner) = &mut self.seat {
                    owner.handle_caller(now, number, heard, out);
                }
                return;
            }
            Input::Packet { path, bytes } => Input::Packet { path, bytes },
            Input::Text { path, bytes } => Input::Text { path, bytes },
            Input::TextEnded(path) => Input::TextEnded(path),
            Input::PathOpened { path, remote } => Input::PathOpened { path, remote },
            Input::PathClosed(path, why) => Input::PathClosed(path, why),
            Input::SendRefused(path, why) => Input::SendRefused(path, why),
            Input::Unsent(path, bytes) => Input::Unsent(path, bytes),
            Input::Committed(ticket) => Input::Committed(ticket),
            Input::NotCommitted(ticket) => Input::NotCommitted(ticket),
            Input::Rows(ticket, rows) => Input::Rows(ticket, rows),
            Input::Resolved(host, addrs) => Input::Resolved(host, addrs),
        };
        if let Seat::Owner(owner) = &mut self.seat {
            owner.client.handle(now, passed, out);
        }
    }

    fn flush(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        if let Seat::Owner(owner) = &mut self.seat {
            owner.client.flush(now, out);
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        match &self.seat {
            Seat::Owner(owner) => owner.client.next_deadline(),
            Seat::Caller(_) => None,
            Seat::Waiting { again } => Some(*again),
        }
    }
}
