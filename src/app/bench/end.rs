//! One client of the bench: its core and its own outside, with nothing kept on disk.

use std::collections::VecDeque;

use crate::base::{Effect, Inbox, Input, Name, Now, OutboxId, Outputs, Phrase, Rng, Tick, Ticket, turn};
use crate::client::{Carriers, Client, Command, Config, Event, Record, RelaySpec};
use crate::net::{self, Net, NetConfig};

/// Turns in a row without a look outside: what a client has to say, what it made durable, and what follows from that.
const INNER_TURNS_MAX: usize = 8;

pub(super) struct End {
    pub(super) client: Client,
    pub(super) net: Net<Command>,
    /// For the next turn.
    pub(super) commands: VecDeque<Command>,
    /// What turns brought and nobody has taken.
    pub(super) events: Vec<Event>,
    /// Records that count as durable from the next turn on.
    durable: VecDeque<Ticket>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
}

impl End {
    /// A client that will sign in under this name, with a new key.
    ///
    /// # Errors
    /// Those of [`Net::new`].
    pub(super) fn open(name: Name, relay: RelaySpec, carriers: Carriers) -> Result<End, Phrase> {
        let client = Client::new(Config {
            name: Some(name),
            private_key: net::seed(),
            outbox: OutboxId(Rng::from_seed(net::seed()).next_u64()),
            carriers,
            counter_reserved: 0,
            kept: None,
            strangers_bytes_max: 0,
            seed: net::seed(),
        });
        Ok(End {
            client,
            net: Net::new(NetConfig::client())?,
            commands: VecDeque::from([Command::Relays(vec![relay])]),
            events: Vec::new(),
            durable: VecDeque::new(),
            out: Outputs::default(),
            deadline: None,
        })
    }

    /// One turn that does not wait, and those that follow from what it made durable.
    pub(super) fn turn(&mut self) -> Now {
        let now = self.net.wait(Some(Tick::ZERO));
        self.step(now, true);
        self.say(now);
        now
    }

    /// Gives the client what waits for it inside the process, without a look outside.
    pub(super) fn say(&mut self, now: Now) {
        for _ in 0..INNER_TURNS_MAX {
            if self.commands.is_empty() && self.durable.is_empty() {
                break;
            }
            self.step(now, false);
        }
    }

    fn step(&mut self, now: Now, looks_outside: bool) {
        let net = looks_outside.then_some(&mut self.net);
        let mut fed = Fed { commands: &mut self.commands, durable: &mut self.durable, net };
        self.deadline = turn(&mut self.client, now, &mut fed, &mut self.out);
        let (events, durable) = (&mut self.events, &mut self.durable);
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, _) => durable.push_back(ticket),
            Effect::Show(event) => events.push(event),
            _ => {}
        });
    }

    /// When it wants its next turn though nothing comes.
    pub(super) fn sleep_until(&self) -> Option<Tick> {
        let waits = !self.commands.is_empty() || !self.durable.is_empty();
        if waits { Some(Tick::ZERO) } else { self.net.sleep_until(self.deadline) }
    }
}

/// Commands first, then what became durable, then what comes from outside.
struct Fed<'a> {
    commands: &'a mut VecDeque<Command>,
    durable: &'a mut VecDeque<Ticket>,
    net: Option<&'a mut Net<Command>>,
}

impl Inbox<Command> for Fed<'_> {
    fn next_input(&mut self) -> Option<Input<'_, Command>> {
        if let Some(command) = self.commands.pop_front() {
            return Some(Input::Command(command));
        }
        if let Some(ticket) = self.durable.pop_front() {
            return Some(Input::Committed(ticket));
        }
        self.net.as_mut()?.next_input()
    }
}
