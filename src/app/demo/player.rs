//! One member of the demo, on its own thread.

use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use crate::base::{Name, Phrase};
use crate::client::{Carriers, Command, Event, RelaySpec};
use crate::net::Inlet;
use crate::wire::limits::LETTER_TEXT_MAX;

use super::super::Failure;
use super::super::desk::{Ask, Desk, Mail, News};

/// Event of one member.
pub(super) struct Heard {
    pub(super) who: Name,
    pub(super) event: Event,
}

/// Identity of a member, and its relay.
#[derive(Clone)]
pub(super) struct Role {
    pub(super) name: Name,
    pub(super) private_key: [u8; 32],
    pub(super) carriers: Carriers,
    pub(super) relay: RelaySpec,
}

/// A running member.
pub(super) struct Player {
    pub(super) role: Role,
    inlet: Inlet<Mail>,
    thread: JoinHandle<()>,
}

impl Player {
    /// Signs in. The member sends its events to `heard`, and answers letters with `replies` in
    /// turn, if there are any.
    ///
    /// # Errors
    /// The network loop, or the thread, cannot be started.
    pub(super) fn enter(role: Role, heard: Sender<Heard>, replies: Vec<String>) -> Result<Player, Failure> {
        let mut desk = Desk::open_in_memory(Some(role.name.clone()), role.private_key, role.carriers)?;
        desk.command(Command::Relays(vec![role.relay.clone()]));
        let inlet = desk.inlet();
        let who = role.name.clone();
        let thread = thread::Builder::new().name("member".to_owned());
        let thread = thread.spawn(move || play(desk, &who, &heard, &replies));
        let thread = thread.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
        Ok(Player { role, inlet, thread })
    }

    /// Sends a letter.
    pub(super) fn say(&self, request: u64, to: &Name, text: &str) {
        let relay = self.role.relay.addr.clone();
        let to = to.clone();
        let text = text.to_owned();
        self.inlet.command(Mail::Command(Command::Send { request, relay, to, text }));
    }

    /// Signs out. On return the relay knows of it.
    pub(super) fn leave(self) -> Role {
        self.inlet.command(Mail::Ask(Ask::End));
        // A panic of the thread was noticed already, because its events stopped.
        let _ = self.thread.join();
        self.role
    }
}

fn play(mut desk: Desk, who: &Name, heard: &Sender<Heard>, replies: &[String]) {
    let mut news = News::default();
    let mut answered = 0;
    loop {
        desk.turn(None, &mut news);
        for event in news.events.drain(..) {
            if let (Event::Letter(letter), false) = (&event, replies.is_empty()) {
                let mut text = format!("{} — {}", letter.text, replies[answered % replies.len()]);
                if text.len() > LETTER_TEXT_MAX {
                    text = replies[answered % replies.len()].clone();
                }
                answered += 1;
                let relay = letter.relay.clone();
                let to = letter.from.clone();
                desk.command(Command::Send { request: answered as u64, relay, to, text });
            }
            // On a terminal there is no receiver: the user sees the letters themselves.
            let _ = heard.send(Heard { who: who.clone(), event });
        }
        if news.asks.drain(..).any(|ask| matches!(ask, Ask::End)) {
            return desk.leave();
        }
    }
}
