//! The primary process: the client's core, its store, and the listener for secondary processes.

use crate::base::{Core, Input, Name, Now, OutboxId, Outputs, Phrase, Ticket};
use crate::client::{Carriers, Client, Command, Config, Event, Record, STRANGERS_BYTES_MAX};
use crate::net::local::{Door, Heard};
use crate::net::{self, Inlet};
use crate::store::{Archive, Backend, Done, Ephemeral, Fate, MemberStore, Worker};

use super::asked::{self, Asked};
use super::callers::{Callers, UNREAD_MAX, Wish};
use super::speech::{Face, Part};
use super::{Ask, Home, Mail, random_number};

/// Parts of the primary process.
pub(super) struct Owner {
    /// First, because fields are dropped in order: its socket is removed while the folder is still
    /// locked.
    door: Option<Door>,
    pub(super) client: Client,
    worker: Worker<Record>,
    pub(super) callers: Callers,
    carriers: Carriers,
    home: Option<Home>,
    /// Problems of the folder to show to the user.
    pub(super) troubles: Vec<Phrase>,
}

impl Owner {
    /// Locks and opens the member's folder.
    ///
    /// # Errors
    /// The folder cannot be used, or is in use by another process (`member-busy`).
    pub(super) fn open(home: &Home, inlet: &Inlet<Mail>) -> Result<Owner, Phrase> {
        let (store, state) = MemberStore::open(&home.data_dir, &home.name, &home.folder, net::seed)?;
        let config = Config {
            name: Some(home.name.clone()),
            private_key: state.private_key,
            outbox: state.outbox,
            carriers: home.setup.carriers,
            counter_reserved: state.counter_reserved,
            kept: Some(state.kept),
            strangers_bytes_max: STRANGERS_BYTES_MAX,
            seed: net::seed(),
        };
        let mut owner = Owner::join(config, spawn(store, inlet.clone())?, home.face);
        let opened = Door::open(&home.dir(), inlet.clone(), UNREAD_MAX, Mail::Caller);
        match opened {
            Ok(door) => owner.door = Some(door),
            Err(why) => {
                let trouble = Ask::Trouble(Phrase::new("member-no-door").with("cause", why));
                // A full inlet means worse problems than this one.
                let _ = inlet.try_command(Mail::Ask(trouble));
            }
        }
        owner.home = Some(home.clone());
        owner.troubles = state.damaged;
        Ok(owner)
    }

    /// Opens a client that keeps nothing and serves no other process.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub(super) fn ephemeral(
        name: Option<Name>,
        private_key: [u8; 32],
        carriers: Carriers,
        inlet: &Inlet<Mail>,
    ) -> Result<Owner, Phrase> {
        let config = Config {
            name,
            private_key,
            outbox: OutboxId(random_number()),
            carriers,
            counter_reserved: 0,
            kept: None,
            strangers_bytes_max: STRANGERS_BYTES_MAX,
            seed: net::seed(),
        };
        let face = Face { part: Part::Shows, requests: 0 };
        Ok(Owner::join(config, spawn(Ephemeral, inlet.clone())?, face))
    }

    fn join(config: Config, worker: Worker<Record>, face: Face) -> Owner {
        let carriers = config.carriers;
        let client = Client::new(config);
        let callers = Callers::new(face);
        Owner { client, worker, callers, carriers, home: None, door: None, troubles: Vec::new() }
    }

    /// Executes a command of our own frontend.
    pub(super) fn command(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        match command {
            Command::Relays(specs) => {
                self.callers.set_own_relays(specs);
                self.set_relays(now, out);
            }
            command => self.carry_out(now, command, out),
        }
    }

    /// Handles input from secondary process `number`.
    pub(super) fn handle_caller(
        &mut self,
        now: Now,
        number: u64,
        heard: Heard,
        out: &mut Outputs<Record, Event>,
    ) {
        let given = self.client.given_and_settled().0;
        match self.callers.handle(number, heard, given, self.carriers) {
            Some(Wish::Relays) => self.set_relays(now, out),
            Some(Wish::Recount) => self.recount(now, out),
            Some(Wish::Command(command)) => self.carry_out(now, command, out),
            None => {}
        }
    }

    /// Resumes the requests made to an earlier primary: repeats each, or shows its outcome from the
    /// history.
    ///
    /// # Errors
    /// The letters cannot be read.
    pub(super) fn take_over(
        &mut self,
        now: Now,
        asked: &Asked,
        archive: Option<&Archive>,
        out: &mut Outputs<Record, Event>,
    ) -> Result<(), Phrase> {
        for request in asked.requests() {
            match archive.map(|archive| archive.fate(request)).transpose()?.flatten() {
                // The client shows every refusal that an earlier run may not have shown, this one
                // too.
                Some(Fate::Refused { told: false, .. }) => {}
                Some(fate) => asked::events(request, fate).into_iter().for_each(|event| out.show(event)),
                None => {
                    if let Some(command) = asked.command(request) {
                        self.carry_out(now, command, out);
                    }
                }
            }
        }
        Ok(())
    }

    /// Submits a record to the store.
    pub(super) fn persist(&self, inlet: &Inlet<Mail>, ticket: Ticket, record: Record) {
        if self.worker.persist(ticket, record).is_err() {
            inlet.not_committed(ticket);
        }
    }

    /// Reports the end of a turn to the secondary processes.
    pub(super) fn end_turn(&mut self) {
        self.callers.end_turn(self.client.given_and_settled().1);
    }

    /// Commits everything and unlocks the folder. Then the connections of the secondary processes
    /// end, and one of them takes over.
    pub(super) fn finish(self) {
        // The socket is removed while the folder is locked; afterwards it may be another process's.
        drop(self.door);
        self.worker.finish();
        drop(self.callers);
    }

    fn carry_out(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        if let Command::Carriers(carriers) = &command {
            self.carriers = *carriers;
        }
        self.client.handle(now, Input::Command(command), out);
    }

    /// Reloads the counts of stored bytes after part of the history was erased.
    fn recount(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        let Some(home) = &self.home else { return };
        let archive = Archive::open(&home.data_dir, &home.folder).ok().flatten();
        // If the history cannot be read, the counts stay as they are. The next run reports the
        // cause.
        if let Some(held) = archive.and_then(|archive| archive.holdings().ok()) {
            self.carry_out(now, Command::Held(held), out);
        }
    }

    fn set_relays(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        // If the pins cannot be read, the frontend has already reported it. Each `RelaySpec`
        // carries the key that was pinned when it was made.
        let pins = self.home.as_ref().and_then(|home| home.setup.pins().ok());
        let pinned = |relay: &_| pins.as_ref().and_then(|pins| pins.get(relay)).map(|pin| pin.key);
        let relays = self.callers.relays(pinned);
        self.callers.keep_links(&relays);
        self.client.handle(now, Input::Command(Command::Relays(relays)), out);
    }
}

fn spawn(backend: impl Backend<Record>, inlet: Inlet<Mail>) -> Result<Worker<Record>, Phrase> {
    Worker::spawn(backend, move |done| match done {
        Done::Committed(ticket) => inlet.committed(ticket),
        Done::Failed(ticket) => inlet.not_committed(ticket),
        Done::Rows(ticket, rows) => inlet.rows(ticket, rows),
        Done::Trouble(phrase) => {
            inlet.command(Mail::Ask(Ask::Trouble(phrase)));
        }
        Done::Broken(phrase) => {
            inlet.command(Mail::Ask(Ask::Broken(phrase)));
        }
    })
}
