//! One member of the demo, on its own thread.

use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use crate::base::{Name, Phrase};
use crate::client::{Carriers, Command, Event, RelayConfig};
use crate::net::LoopHandle;
use crate::wire::limits::LETTER_TEXT_MAX;

use super::super::Failure;
use super::super::client_host::{ClientHost, FrontendInput, HostInput, TurnOutput};

/// Event of one member.
pub(super) struct DemoEvent {
    pub(super) who: Name,
    pub(super) event: Event,
}

/// Identity of a member, and its relay.
#[derive(Clone)]
pub(super) struct DemoMember {
    pub(super) name: Name,
    pub(super) private_key: [u8; 32],
    pub(super) carriers: Carriers,
    pub(super) relay: RelayConfig,
}

/// A running member.
pub(super) struct Player {
    pub(super) member: DemoMember,
    loop_handle: LoopHandle<HostInput>,
    thread: JoinHandle<()>,
}

impl Player {
    /// Signs in. The member sends its events to `heard`, and answers letters with `replies` in
    /// turn, if there are any.
    ///
    /// # Errors
    /// The network loop, or the thread, cannot be started.
    pub(super) fn enter(
        member: DemoMember,
        events: Sender<DemoEvent>,
        replies: Vec<String>,
    ) -> Result<Player, Failure> {
        let mut host =
            ClientHost::open_in_memory(Some(member.name.clone()), member.private_key, member.carriers)?;
        host.command(Command::Relays(vec![member.relay.clone()]));
        let loop_handle = host.loop_handle();
        let who = member.name.clone();
        let thread = thread::Builder::new().name("member".to_owned());
        let thread = thread.spawn(move || play(host, &who, &events, &replies));
        let thread = thread.map_err(|error| Phrase::new("store-no-thread").with("cause", error))?;
        Ok(Player { member, loop_handle, thread })
    }

    /// Sends a letter.
    pub(super) fn say(&self, request: u64, to: &Name, text: &str) {
        let relay = self.member.relay.addr.clone();
        let to = to.clone();
        let text = text.to_owned();
        self.loop_handle.command(HostInput::Command(Command::Send { request, relay, to, text }));
    }

    /// Signs out. On return the relay knows of it.
    pub(super) fn leave(self) -> DemoMember {
        self.loop_handle.command(HostInput::Frontend(FrontendInput::End));
        // A panic of the thread was noticed already, because its events stopped.
        let _ = self.thread.join();
        self.member
    }
}

fn play(mut host: ClientHost, who: &Name, events: &Sender<DemoEvent>, replies: &[String]) {
    let mut output = TurnOutput::default();
    let mut answered = 0;
    loop {
        host.turn(None, &mut output);
        for event in output.events.drain(..) {
            if let (Event::Letter(letter), false) = (&event, replies.is_empty()) {
                let mut text = format!("{} — {}", letter.text, replies[answered % replies.len()]);
                if text.len() > LETTER_TEXT_MAX {
                    text = replies[answered % replies.len()].clone();
                }
                answered += 1;
                let relay = letter.relay.clone();
                let to = letter.from.clone();
                host.command(Command::Send { request: answered as u64, relay, to, text });
            }
            // On a terminal there is no receiver: the user sees the letters themselves.
            let _ = events.send(DemoEvent { who: who.clone(), event });
        }
        if output.inputs.drain(..).any(|input| input.end().is_some()) {
            return host.leave();
        }
    }
}
