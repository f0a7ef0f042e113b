//! One client of the bench: its core and its own network loop, without a disk.

use std::collections::VecDeque;

use crate::base::{
    Effect, Input, InputSource, Name, Now, OutboxId, Outputs, Phrase, Rng, Tick, Ticket, turn,
};
use crate::client::{Carriers, Client, Command, Config, Event, Record, RelayConfig};
use crate::net::{self, Net, NetConfig};

/// Turns in a row without input from the network: enough for commands, the records they made
/// durable, and the results of those.
const INNER_TURNS_MAX: usize = 8;

pub(super) struct BenchClient {
    pub(super) client: Client,
    pub(super) net: Net<Command>,
    /// Commands for the next turn.
    pub(super) commands: VecDeque<Command>,
    /// Events of past turns that were not taken yet.
    pub(super) events: Vec<Event>,
    /// Records that count as durable from the next turn on.
    durable: VecDeque<Ticket>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
}

impl BenchClient {
    /// Opens a client that will sign in as `name`, with a new key.
    ///
    /// # Errors
    /// Those of [`Net::new`].
    pub(super) fn open(name: Name, relay: RelayConfig, carriers: Carriers) -> Result<BenchClient, Phrase> {
        let client = Client::new(Config {
            name: Some(name),
            private_key: net::seed(),
            outbox: OutboxId(Rng::from_seed(net::seed()).next_u64()),
            carriers,
            counter_reserved: 0,
            persisted: None,
            strangers_bytes_max: 0,
            seed: net::seed(),
        });
        Ok(BenchClient {
            client,
            net: Net::new(NetConfig::client())?,
            commands: VecDeque::from([Command::Relays(vec![relay])]),
            events: Vec::new(),
            durable: VecDeque::new(),
            out: Outputs::default(),
            deadline: None,
        })
    }

    /// Runs one turn that does not wait, and those that follow from newly durable records.
    pub(super) fn turn(&mut self) -> Now {
        let now = self.net.wait(Some(Tick::ZERO));
        self.step(now, true);
        self.flush_commands(now);
        now
    }

    /// Runs turns for commands and durable records only, without input from the network.
    pub(super) fn flush_commands(&mut self, now: Now) {
        for _ in 0..INNER_TURNS_MAX {
            if self.commands.is_empty() && self.durable.is_empty() {
                break;
            }
            self.step(now, false);
        }
    }

    fn step(&mut self, now: Now, looks_outside: bool) {
        let net = looks_outside.then_some(&mut self.net);
        let mut fed = BenchInputs { commands: &mut self.commands, durable: &mut self.durable, net };
        self.deadline = turn(&mut self.client, now, &mut fed, &mut self.out);
        let events = &mut self.events;
        let durable = &mut self.durable;
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, _) => durable.push_back(ticket),
            Effect::Show(event) => events.push(event),
            _ => {}
        });
    }

    /// Returns when it needs its next turn if nothing arrives.
    pub(super) fn sleep_until(&self) -> Option<Tick> {
        let waits = !self.commands.is_empty() || !self.durable.is_empty();
        if waits { Some(Tick::ZERO) } else { self.net.sleep_until(self.deadline) }
    }
}

/// Input of one turn: commands first, then durable records, then the network.
struct BenchInputs<'a> {
    commands: &'a mut VecDeque<Command>,
    durable: &'a mut VecDeque<Ticket>,
    net: Option<&'a mut Net<Command>>,
}

impl InputSource<Command> for BenchInputs<'_> {
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
