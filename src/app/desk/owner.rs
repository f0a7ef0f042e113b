//! The process that owns the member's folder: the client's core, its store, and the door for the others.

use crate::base::{Core, Input, Name, Now, OutboxId, Outputs, Phrase, Ticket};
use crate::client::{Carriers, Client, Command, Config, Event, Record, STRANGERS_BYTES_MAX};
use crate::net::local::{Door, Heard};
use crate::net::{self, Inlet};
use crate::store::{Archive, Backend, Done, Ephemeral, Fate, MemberStore, Worker};

use super::asked::{self, Asked};
use super::callers::{Callers, UNREAD_MAX, Wish};
use super::speech::{Face, Part};
use super::{Ask, Home, Mail, random_number};

/// The owner's parts.
pub(super) struct Owner {
    /// Stands first: however this value ends, its socket is removed while the folder is still held.
    door: Option<Door>,
    pub(super) client: Client,
    worker: Worker<Record>,
    pub(super) callers: Callers,
    carriers: Carriers,
    home: Option<Home>,
    /// What the user is to be told of the folder.
    pub(super) troubles: Vec<Phrase>,
}

impl Owner {
    /// Takes the member's folder.
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
                // An inlet this full has other troubles.
                let _ = inlet.try_command(Mail::Ask(trouble));
            }
        }
        owner.home = Some(home.clone());
        owner.troubles = state.damaged;
        Ok(owner)
    }

    /// A client that keeps nothing and is alone.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn ephemeral(
        name: Option<Name>,
        private_key: [u8; 32],
        carriers: Carriers,
        inlet: &Inlet<Mail>,
    ) -> Result<Owner, Phrase> {
        let (outbox, seed, counter_reserved, kept) = (OutboxId(random_number()), net::seed(), 0, None);
        let strangers_bytes_max = STRANGERS_BYTES_MAX;
        let config =
            Config { name, private_key, outbox, carriers, counter_reserved, kept, strangers_bytes_max, seed };
        let face = Face { part: Part::Shows, requests: 0 };
        Ok(Owner::join(config, spawn(Ephemeral, inlet.clone())?, face))
    }

    fn join(config: Config, worker: Worker<Record>, face: Face) -> Owner {
        let (carriers, client, callers) = (config.carriers, Client::new(config), Callers::new(face));
        Owner { client, worker, callers, carriers, home: None, door: None, troubles: Vec::new() }
    }

    /// Carries out a command of our own face.
    pub(super) fn command(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        match command {
            Command::Relays(specs) => {
                self.callers.set_own_relays(specs);
                self.set_relays(now, out);
            }
            command => self.carry_out(now, command, out),
        }
    }

    /// Takes in what caller `number` says.
    pub(super) fn handle_caller(
        &mut self,
        now: Now,
        (number, heard): (u64, Heard),
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

    /// Asks for what an earlier owner was asked for, or tells what became of it.
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
                // The client tells it, as it tells every refusal that an earlier run may not have told.
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

    /// Hands a record to the store.
    pub(super) fn persist(&self, inlet: &Inlet<Mail>, ticket: Ticket, record: Record) {
        if self.worker.persist(ticket, record).is_err() {
            inlet.not_committed(ticket);
        }
    }

    /// Tells callers that the turn has ended.
    pub(super) fn end_turn(&mut self) {
        self.callers.end_turn(self.client.given_and_settled().1);
    }

    /// Commits everything and lets go of the folder; then the lines of the callers end, and one of them takes over.
    pub(super) fn finish(self) {
        // Only who has the lock removes the socket.
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

    /// Something of the history was erased: the client hears what the disk has now.
    fn recount(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        let Some(home) = &self.home else { return };
        let archive = Archive::open(&home.data_dir, &home.folder).ok().flatten();
        // A history that cannot be read counts as before. The next run names the cause.
        if let Some(held) = archive.and_then(|archive| archive.holdings().ok()) {
            self.carry_out(now, Command::Held(held), out);
        }
    }

    fn set_relays(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        // Where the pins cannot be read, those who named the relays have said so, and have their own of earlier.
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
