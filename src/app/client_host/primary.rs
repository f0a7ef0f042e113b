//! The primary process: the client's core, its store, and the listener for secondary processes.

use std::sync::Arc;

use crate::base::{Core, Input, Name, Now, OutboxId, Outputs, Phrase, Ticket};
use crate::client::{Carriers, Client, Command, Config, Event, Record, STRANGERS_BYTES_MAX};
use crate::net::ipc::{IpcEvent, IpcListener};
use crate::net::{self, LoopHandle};
use crate::store::{
    Archive, Backend, MemberStore, NullStore, RequestOutcome, StoreError, StoreReply, Worker,
};
use crate::ui::{damaged_letter, store_error};

use super::ipc_protocol::{FrontendInfo, FrontendKind};
use super::ipc_server::{ForwardedCommand, IpcServer, UNREAD_MAX};
use super::pending_sends::{self, PendingSends};
use super::{FrontendInput, HostInput, MemberFolder, random_number};

/// Parts of the primary process.
pub(super) struct PrimaryHost {
    /// First, because fields are dropped in order: its socket is removed while the folder is still
    /// locked.
    listener: Option<IpcListener>,
    pub(super) client: Client,
    worker: Worker<Record>,
    pub(super) ipc_server: IpcServer,
    carriers: Carriers,
    member_folder: Option<MemberFolder>,
    /// Problems of the folder to show to the user.
    pub(super) troubles: Vec<Phrase>,
}

impl PrimaryHost {
    /// Locks and opens the member's folder.
    ///
    /// # Errors
    /// The folder cannot be used, or is in use by another process (`member-busy`).
    pub(super) fn open(
        member_folder: &MemberFolder,
        loop_handle: &LoopHandle<HostInput>,
    ) -> Result<PrimaryHost, StoreError> {
        let (store, state) = MemberStore::open(
            &member_folder.data_dir,
            &member_folder.name,
            &member_folder.folder,
            net::seed,
        )?;
        let config = Config {
            name: Some(member_folder.name.clone()),
            private_key: state.private_key,
            outbox: state.outbox,
            carriers: member_folder.setup.carriers,
            counter_reserved: state.counter_reserved,
            persisted: Some(state.persisted),
            strangers_bytes_max: STRANGERS_BYTES_MAX,
            seed: net::seed(),
        };
        let mut primary =
            PrimaryHost::with_config(config, spawn(store, loop_handle.clone())?, member_folder.frontend);
        let strings = Arc::clone(&member_folder.setup.strings);
        let frontend = loop_handle.clone();
        let on_trouble = move |error: Phrase| {
            let phrase = Phrase::new("member-no-door").with("cause", strings.say(&error));
            // A full queue means worse problems than this one.
            let _ = frontend.try_command(HostInput::Frontend(FrontendInput::Trouble(phrase)));
        };
        let handle = loop_handle.clone();
        let dir = member_folder.dir();
        match IpcListener::open(&dir, handle, UNREAD_MAX, HostInput::Secondary, on_trouble.clone()) {
            Ok(listener) => primary.listener = Some(listener),
            Err(error) => on_trouble(Phrase::new("store-no-thread").with("cause", error)),
        }
        primary.member_folder = Some(member_folder.clone());
        primary.troubles = state.damaged.iter().map(damaged_letter).collect();
        Ok(primary)
    }

    /// Opens a client that keeps nothing and serves no other process.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub(super) fn ephemeral(
        name: Option<Name>,
        private_key: [u8; 32],
        carriers: Carriers,
        loop_handle: &LoopHandle<HostInput>,
    ) -> Result<PrimaryHost, StoreError> {
        let config = Config {
            name,
            private_key,
            outbox: OutboxId(random_number()),
            carriers,
            counter_reserved: 0,
            persisted: None,
            strangers_bytes_max: STRANGERS_BYTES_MAX,
            seed: net::seed(),
        };
        let frontend = FrontendInfo { kind: FrontendKind::Display, requests: 0 };
        Ok(PrimaryHost::with_config(config, spawn(NullStore, loop_handle.clone())?, frontend))
    }

    fn with_config(config: Config, worker: Worker<Record>, frontend: FrontendInfo) -> PrimaryHost {
        let carriers = config.carriers;
        let client = Client::new(config).with_fresh_bytes(net::seed);
        let ipc_server = IpcServer::new(frontend);
        PrimaryHost {
            client,
            worker,
            ipc_server,
            carriers,
            member_folder: None,
            listener: None,
            troubles: Vec::new(),
        }
    }

    /// Executes a command of our own frontend.
    pub(super) fn command(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        match command {
            Command::Relays(configs) => {
                self.ipc_server.set_own_relays(configs);
                self.set_relays(now, out);
            }
            command => self.carry_out(now, command, out),
        }
    }

    /// Handles input from secondary process `number`.
    pub(super) fn handle_ipc_event(
        &mut self,
        now: Now,
        number: u64,
        ipc_event: IpcEvent,
        out: &mut Outputs<Record, Event>,
    ) {
        let given = self.client.commit_progress().pushed;
        match self.ipc_server.handle(number, ipc_event, given, self.carriers) {
            Some(ForwardedCommand::Relays) => self.set_relays(now, out),
            Some(ForwardedCommand::Recount) => self.recount(now, out),
            Some(ForwardedCommand::Command(command)) => self.carry_out(now, command, out),
            None => {}
        }
    }

    /// Resumes the requests made to an earlier primary: repeats each, or shows its outcome from the
    /// history.
    ///
    /// # Errors
    /// The letters cannot be read.
    pub(super) fn resume_requests(
        &mut self,
        now: Now,
        pending_sends: &PendingSends,
        archive: Option<&Archive>,
        out: &mut Outputs<Record, Event>,
    ) -> Result<(), StoreError> {
        for request in pending_sends.requests() {
            match archive.map(|archive| archive.request_outcome(request)).transpose()?.flatten() {
                // The client shows every refusal that an earlier run may not have shown, this one
                // too.
                Some(RequestOutcome::Refused { is_reported: false, .. }) => {}
                Some(outcome) => {
                    pending_sends::events(request, outcome).into_iter().for_each(|event| out.show(event))
                }
                None => {
                    if let Some(command) = pending_sends.command(request) {
                        self.carry_out(now, command, out);
                    }
                }
            }
        }
        Ok(())
    }

    /// Submits a record to the store.
    pub(super) fn persist(&self, loop_handle: &LoopHandle<HostInput>, ticket: Ticket, record: Record) {
        if self.worker.persist(ticket, record).is_err() {
            loop_handle.not_committed(ticket);
        }
    }

    /// Reports the end of a turn to the secondary processes.
    pub(super) fn end_turn(&mut self) {
        self.ipc_server.end_turn(self.client.commit_progress().settled);
    }

    /// Commits everything and unlocks the folder. Then the connections of the secondary processes
    /// end, and one of them takes over.
    pub(super) fn finish(self) {
        // The socket is removed while the folder is locked; afterwards it may be another process's.
        drop(self.listener);
        self.worker.finish();
        drop(self.ipc_server);
    }

    fn carry_out(&mut self, now: Now, command: Command, out: &mut Outputs<Record, Event>) {
        if let Command::Carriers(carriers) = &command {
            self.carriers = *carriers;
        }
        self.client.handle(now, Input::Command(command), out);
    }

    /// Reloads the counts of stored bytes after part of the history was erased.
    fn recount(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        let Some(member_folder) = &self.member_folder else { return };
        let archive = Archive::open(&member_folder.data_dir, &member_folder.folder).ok().flatten();
        // If the history cannot be read, the counts stay as they are. The next run reports the
        // cause.
        if let Some(held) = archive.and_then(|archive| archive.holdings().ok()) {
            self.carry_out(now, Command::Held(held), out);
        }
    }

    fn set_relays(&mut self, now: Now, out: &mut Outputs<Record, Event>) {
        // If the pins cannot be read, the frontend has already reported it. Each `RelayEntry`
        // carries the key that was pinned when it was made.
        let pins = self.member_folder.as_ref().and_then(|member_folder| member_folder.setup.pins().ok());
        let pinned = |relay: &_| pins.as_ref().and_then(|pins| pins.get(relay)).map(|pin| pin.key);
        let relays = self.ipc_server.relays(pinned);
        self.ipc_server.retain_relay_states(&relays);
        self.client.handle(now, Input::Command(Command::Relays(relays)), out);
    }
}

fn spawn(
    backend: impl Backend<Record>,
    loop_handle: LoopHandle<HostInput>,
) -> Result<Worker<Record>, StoreError> {
    Worker::spawn(backend, move |done| match done {
        StoreReply::Committed(ticket) => loop_handle.committed(ticket),
        StoreReply::Failed(ticket) => loop_handle.not_committed(ticket),
        StoreReply::Rows(ticket, rows) => loop_handle.rows(ticket, rows),
        // The next record that succeeds shows the user that it has ended.
        StoreReply::Recovered => {}
        StoreReply::Trouble(error) => {
            loop_handle.command(HostInput::Frontend(FrontendInput::Trouble(store_error(&error))));
        }
        StoreReply::Broken(error) => {
            loop_handle.command(HostInput::Frontend(FrontendInput::Broken(store_error(&error))));
        }
    })
}
