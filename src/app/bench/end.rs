//! One client of the bench: its core and its own outside, with nothing kept on disk.

use std::collections::VecDeque;

use crate::base::{Effect, Inbox, Input, Name, Now, OutboxId, Outputs, Phrase, Rng, Tick, turn};
use crate::client::{Carriers, Client, Command, Config, Event, Record, RelaySpec};
use crate::net::{self, Net, NetConfig};

pub(super) struct End {
    pub(super) client: Client,
    pub(super) net: Net<Command>,
    /// For the next turn.
    pub(super) commands: VecDeque<Command>,
    /// What the last turn brought.
    pub(super) events: Vec<Event>,
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
            seed: net::seed(),
        });
        Ok(End {
            client,
            net: Net::new(NetConfig::client())?,
            commands: VecDeque::from([Command::Relays(vec![relay])]),
            events: Vec::new(),
            out: Outputs::default(),
            deadline: None,
        })
    }

    /// One turn that does not wait. What it brought replaces what was in `events`.
    pub(super) fn turn(&mut self) -> Now {
        self.events.clear();
        let now = self.net.wait(Some(Tick::ZERO));
        let mut fed = Fed { commands: &mut self.commands, net: &mut self.net };
        self.deadline = turn(&mut self.client, now, &mut fed, &mut self.out);
        let (events, inlet) = (&mut self.events, self.net.inlet());
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, _) => inlet.committed(ticket),
            Effect::Show(event) => events.push(event),
            _ => {}
        });
        now
    }

    /// When it wants its next turn though nothing comes.
    pub(super) fn sleep_until(&self) -> Option<Tick> {
        if self.commands.is_empty() { self.net.sleep_until(self.deadline) } else { Some(Tick::ZERO) }
    }
}

/// Commands first, then what comes from outside.
struct Fed<'a> {
    commands: &'a mut VecDeque<Command>,
    net: &'a mut Net<Command>,
}

impl Inbox<Command> for Fed<'_> {
    fn next_input(&mut self) -> Option<Input<'_, Command>> {
        match self.commands.pop_front() {
            Some(command) => Some(Input::Command(command)),
            None => self.net.next_input(),
        }
    }
}
