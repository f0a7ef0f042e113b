//! `queqiao chat`: a conversation in line mode.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{HostPort, Name, Now, Phrase, Tick};
use crate::client::{Command, Event, RelaySpec};
use crate::contacts::Book;
use crate::ui::clock::Clock;
use crate::ui::line::{Do, LineMode, Resolved, Settings};
use crate::ui::terminal::{Output, Screen, Written, width, write_err};
use crate::ui::{Color, Paint, Typed};

use super::contacts::set_blocked;
use super::desk::{Ask, Desk, Mail, News, Part};
use super::listen::follow;
use super::printer::{FINISH_WITHIN, Printer, fared, finish};
use super::{Failure, Outcome, Setup, Status, say};

/// Maximum wait at the end for letters that are not yet accepted.
const LINGER: Duration = Duration::from_secs(10);

/// Chats until the user ends it.
///
/// # Errors
/// [`Failure`] if it cannot start, or every relay refuses the user.
pub fn chat(setup: &Setup, contact: Option<&str>, color: Color) -> Outcome {
    let location = setup.location();
    let book = location.load()?;
    let name = match setup.name(&book)? {
        Some(name) => name,
        None => ask_name(setup)?,
    };
    let target = contact.map(|text| book.resolve(text)).transpose()?;
    let target = target.map(|who| Resolved { label: who.label, relay: who.relay, member: who.member });
    let relays = setup.relays(&book)?;
    let mut desk = Desk::open(setup, name.clone(), Part::Shows)?;
    let _watcher = desk.watch(setup, location);
    desk.command(Command::Screen(setup.screens(&book)));
    let outcome =
        converse(setup, &mut desk, Begin { me: &name, book, relays, target, is_desk: false, color });
    desk.leave();
    outcome
}

/// Options of a conversation.
pub(super) struct Begin<'a> {
    pub(super) me: &'a Name,
    pub(super) book: Book,
    pub(super) relays: Vec<RelaySpec>,
    pub(super) target: Option<Resolved>,
    /// Answer the guest that has waited longest.
    pub(super) is_desk: bool,
    pub(super) color: Color,
}

/// Asks for the name if there is a terminal; otherwise a usage error. The answer is not stored.
fn ask_name(setup: &Setup) -> Result<Name, Failure> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Failure::usage(Phrase::new("name-not-given")));
    }
    loop {
        let _ = write_err(&setup.strings.say(&Phrase::new("name-ask")));
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        match read {
            Ok(0) | Err(_) => return Err(Failure::usage(Phrase::new("name-not-given"))),
            Ok(_) if line.trim().is_empty() => {}
            Ok(_) => match line.trim().parse::<Name>() {
                Ok(name) => return Ok(name),
                Err(why) => say(&setup.strings, &why.phrase()),
            },
        }
    }
}

/// Runs a conversation on this process's terminal, until the user ends it.
pub(super) fn converse(setup: &Setup, desk: &mut Desk, begin: Begin<'_>) -> Outcome {
    let Begin { me, book, relays, target, is_desk, color } = begin;
    let settings = Settings {
        first_request: desk.first_request(),
        strings: setup.strings.clone(),
        me: me.to_string(),
        carriers: setup.carriers,
        clock: Clock::new(TimeZone::system()),
        desk: is_desk,
    };
    let line = LineMode::new(settings, book, target);
    let inlet = desk.inlet();
    let (screen, pen) = Screen::open(move |typed| {
        inlet.command(Mail::Ask(Ask::Typed(typed)));
    })
    .map_err(|why| Phrase::new("input-failed").with("cause", why))?;
    let printer = Printer::open(desk.inlet(), pen)?;
    let colored = color.enabled(io::stdout().is_terminal(), |name| std::env::var(name).ok());
    let read = io::stdout().is_terminal();
    let mut talk = Talk {
        setup,
        line,
        screen: &screen,
        printer,
        held: false,
        asked: false,
        colored,
        read,
        relays,
        beyond: Vec::new(),
        quitting: None,
    };
    let mut news = News::default();
    let outcome = talk.run(desk, &mut news);
    talk.finish(desk, &mut news, &outcome);
    screen.finish();
    outcome
}

/// A running conversation.
struct Talk<'a> {
    setup: &'a Setup,
    line: LineMode<Book>,
    screen: &'a Screen,
    printer: Printer,
    /// Letters stay on disk, because too much output waits to be printed.
    held: bool,
    /// An input line is being read.
    asked: bool,
    colored: bool,
    /// Whether output goes to a terminal, so that a user sees it.
    read: bool,
    /// Relays in use, and in `beyond` those of them that are not in the book.
    relays: Vec<RelaySpec>,
    beyond: Vec<RelaySpec>,
    /// Exit status, and the time limit until which pending letters may still be accepted.
    quitting: Option<(Status, Tick)>,
}

impl Talk<'_> {
    fn run(&mut self, desk: &mut Desk, news: &mut News) -> Outcome {
        desk.command(Command::Relays(self.relays.clone()));
        self.ask();
        loop {
            if let Some((status, end)) = self.quitting
                && (self.line.unaccepted() == 0 || status != Status::Done || desk.now().tick >= end)
            {
                return self.end(status);
            }
            let until = [self.line.next_deadline(), self.quitting.map(|q| q.1)].into_iter().flatten().min();
            let now = desk.turn(until, news);
            if !self.take(desk, news, now)? {
                return Ok(Status::Done);
            }
        }
    }

    /// Shows an event. A letter is marked as shown once it is printed, so that a kill between the
    /// two shows it again.
    fn show(&mut self, desk: &mut Desk, event: Event, now: Now) -> Result<(), Failure> {
        let dos = self.line.handle_event(&event, now);
        match event {
            Event::Letter(letter) => {
                self.carry_out(desk, dos, now)?;
                self.printer.put_letter(letter, String::new());
            }
            Event::Refused { .. } | Event::Unkept { .. } => self.carry_out(desk, dos, now)?,
            _ => {
                let crammed = self.printer.is_crammed();
                let words = |wanted: &Do| matches!(wanted, Do::Print(_) | Do::Tell(_));
                let dos = dos.into_iter().filter(|wanted| !(crammed && words(wanted))).collect();
                self.carry_out(desk, dos, now)?;
            }
        }
        Ok(())
    }

    /// Handles the output of one turn. Returns `false` if stdout has no reader left.
    fn take(&mut self, desk: &mut Desk, news: &mut News, now: Now) -> Result<bool, Failure> {
        for event in news.events.drain(..) {
            self.show(desk, event, now)?;
        }
        let mut dos = Vec::new();
        while let Some(ask) = news.next_ask() {
            if let Some(failure) = ask.end() {
                return Err(failure);
            }
            match ask {
                Ask::End | Ask::Broken(_) | Ask::Failed(_) => {}
                Ask::Printed(to, written) => {
                    let letter = self.printer.printed();
                    if fared(to, written)? == Written::Closed {
                        return Ok(false);
                    }
                    letter.iter().for_each(|letter| desk.shown(letter, self.read));
                }
                Ask::Trouble(phrase) => self.say(&phrase),
                Ask::Typed(typed) => {
                    self.asked = typed == Typed::EndOfInput;
                    dos.extend(self.line.handle_typed(typed, now));
                }
                Ask::Book(read) => {
                    let (phrase, followed) = follow(self.setup, desk, *read, &self.beyond);
                    self.say(&phrase);
                    if let Some((book, relays)) = followed {
                        *self.line.book_mut() = book;
                        self.relays = relays;
                    }
                }
            }
        }
        dos.extend(self.line.handle_time(now.tick));
        self.carry_out(desk, dos, now)?;
        self.printer.hold(desk, &mut self.held);
        if !self.asked && self.quitting.is_none() && !self.held {
            self.ask();
        }
        Ok(true)
    }

    fn carry_out(&mut self, desk: &mut Desk, dos: Vec<Do>, now: Now) -> Result<(), Failure> {
        for wanted in dos {
            match wanted {
                Do::Print(styled) => {
                    let paint = Paint { color: self.colored, width: width() };
                    self.printer.put(Output::Out, styled.render(paint));
                }
                Do::Tell(words) => self.printer.put(Output::Err, format!("{words}\n")),
                Do::Send { request, relay, to, text } => {
                    self.reach(desk, &relay)?;
                    desk.command(Command::Send { request, relay, to, text });
                }
                Do::Close { request, relay, to } => {
                    self.reach(desk, &relay)?;
                    desk.command(Command::Close { request, relay, to });
                }
                Do::Carriers(carriers) => desk.command(Command::Carriers(carriers)),
                Do::Block { who, blocked } => self.block(desk, &who, blocked),
                Do::Quit { status } => {
                    let status = match status {
                        0 => Status::Done,
                        130 => Status::Interrupted,
                        _ => Status::Failed,
                    };
                    self.quitting = Some((status, now.tick + LINGER));
                }
            }
        }
        Ok(())
    }

    /// Blocks or unblocks a contact. The address book records it, so that every program of the user
    /// knows.
    fn block(&mut self, desk: &mut Desk, who: &Resolved, blocked: bool) {
        let location = self.setup.location();
        let changed = set_blocked(&location, self.line.book_mut(), who, blocked);
        match changed.and_then(|phrase| Ok((phrase, location.load()?))) {
            Ok((phrase, book)) => {
                desk.command(Command::Screen(self.setup.screens(&book)));
                *self.line.book_mut() = book;
                self.say(&phrase);
            }
            Err(phrase) => self.say(&phrase),
        }
    }

    /// Adds a relay that was named with a contact and is not in the book, until the end of the
    /// conversation.
    fn reach(&mut self, desk: &mut Desk, relay: &HostPort) -> Result<(), Failure> {
        if !self.relays.iter().any(|spec| spec.addr == *relay) {
            let spec = self.setup.relay_at(relay.clone(), None)?;
            self.beyond.push(spec.clone());
            self.relays.push(spec);
            desk.command(Command::Relays(self.relays.clone()));
        }
        Ok(())
    }

    fn end(&self, status: Status) -> Outcome {
        let left = self.line.unaccepted();
        if left > 0 && status == Status::Done {
            let phrase = Phrase::new("chat-left-unsent").with("count", left);
            return Err(Failure::later(phrase));
        }
        Ok(status)
    }

    /// Waits for output to be printed, unless interrupted. On a terminal that takes microseconds,
    /// or the user is searching the input history; any other reader may be slow.
    fn finish(&mut self, desk: &mut Desk, news: &mut News, outcome: &Outcome) {
        let patient = matches!(outcome, Ok(Status::Done | Status::Failed)) && !self.read;
        let within = if patient { LINGER } else { FINISH_WITHIN };
        finish(desk, news, &mut [&mut self.printer], within, self.read, &self.setup.strings);
    }

    fn say(&mut self, phrase: &Phrase) {
        let words = self.setup.strings.say(phrase);
        self.printer.put(Output::Err, format!("{words}\n"));
    }

    fn ask(&mut self) {
        self.asked = true;
        self.screen.ask(self.line.prompt(), self.line.candidates());
    }
}
