//! A relay with its event loop: core, network and store. `queqiao relay` runs one; so may any
//! thread that needs a relay in the same process.

use std::fmt;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};

use crate::base::{Core, Effect, Outputs, Phrase, PublicKey, Tick, Ticket, turn};
use crate::net::{self, LoopHandle, Net, NetConfig, Signal};
use crate::relay::{Command, Config, Event, GuestRules, Limits, Record, Relay, Stats};
use crate::store::{Backend, Backups, RelayState, StoreError, StoreReply, Worker};
use crate::ui::store_error;

use super::Failure;
use super::relay_meter::{Counts, Meter, MeterReport};

/// Output of a running relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerNews {
    /// Event of the core.
    Event(Event),
    /// Temporary problem of the store.
    Trouble(Phrase),
    /// The store works again.
    Recovered,
    /// The process received SIGHUP: what was read at the start should be read again.
    HangUp,
    /// Totals, or news of a flood.
    Meter(MeterReport),
    /// The disk has failed, and the relay ends. The cause is the result of [`RelayServer::run`].
    Broken,
    /// The relay has stopped in good order.
    Stopped {
        /// The last signal that the process received.
        signal: Option<Signal>,
    },
}

/// Options of a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeOptions {
    /// Resource limits.
    pub limits: Limits,
    /// Rules for guests with plain text, if they are allowed.
    pub guests: Option<GuestRules>,
}

impl From<Limits> for ServeOptions {
    fn from(limits: Limits) -> ServeOptions {
        ServeOptions { limits, guests: None }
    }
}

/// A relay with its sockets bound, ready to run on any thread.
pub struct RelayServer {
    core: Relay,
    net: Net<Command>,
    worker: Worker<Record>,
    trouble: Receiver<ServerError>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
    refused: Vec<Ticket>,
    stopped: bool,
    meter: Meter,
}

#[derive(Debug)]
enum ServerError {
    Transient(StoreError),
    Over,
    Broken(StoreError),
}

impl RelayServer {
    /// Binds the sockets and starts the store's thread. `config` must bind at least one UDP socket.
    /// With [`crate::store::RelayStore::in_memory`] and a new key no files are used.
    ///
    /// # Errors
    /// Those of [`Net::new`] and [`Worker::spawn`].
    pub fn open(
        config: NetConfig<Command>,
        backend: impl Backend<Record>,
        state: RelayState,
        serving: impl Into<ServeOptions>,
    ) -> Result<RelayServer, Failure> {
        assert!(!config.udp.is_empty(), "a relay is bound to UDP");
        let ServeOptions { limits, guests } = serving.into();
        let net = Net::new(NetConfig { text_too: guests.is_some(), ..config })?;
        let core = Relay::new(Config {
            private_key: state.private_key,
            reset_id: state.reset_id,
            members: state.members,
            membership: state.membership,
            mail: state.mail,
            limits,
            guests,
            seed: net::seed(),
        })
        .with_fresh_bytes(net::seed);
        let (worker, trouble) = start_store(backend, net.loop_handle())?;
        let deadline = core.next_deadline();
        let meter = Meter::new(net.now().tick);
        Ok(RelayServer {
            core,
            net,
            worker,
            trouble,
            out: Outputs::default(),
            deadline,
            refused: Vec::new(),
            stopped: false,
            meter,
        })
    }

    /// Returns the first bound UDP address.
    pub fn udp_addr(&self) -> SocketAddr {
        self.net.udp_addr().expect("`open` requires a UDP address")
    }

    /// Returns every bound UDP address.
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.net.udp_addrs().collect()
    }

    /// Returns the first TCP address, if TCP is bound.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.net.tcp_addr()
    }

    /// Returns every bound TCP address.
    pub fn tcp_addrs(&self) -> Vec<SocketAddr> {
        self.net.tcp_addrs().collect()
    }

    /// Returns the relay's public key.
    pub fn public_key(&self) -> PublicKey {
        self.core.public_key()
    }

    /// Returns a handle for other threads. [`Command::Stop`] ends [`RelayServer::run`].
    pub fn loop_handle(&self) -> LoopHandle<Command> {
        self.net.loop_handle()
    }

    /// Returns a handle for backups of the store, which are made while the relay runs.
    pub fn backups(&self) -> Backups<Record> {
        self.worker.backups()
    }

    /// Returns the counters of the core.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Returns the counters of the sockets.
    pub fn net_stats(&self) -> net::Stats {
        self.net.stats()
    }

    /// Waits until something happens, then runs one turn. Returns `false` once the relay has
    /// stopped.
    ///
    /// # Errors
    /// The store's error if the disk has failed.
    pub fn turn(&mut self, mut tell: impl FnMut(ServerNews)) -> Result<bool, StoreError> {
        let until = self.meter.next_deadline();
        let now = self.net.wait(Some(self.deadline.map_or(until, |deadline| deadline.min(until))));
        self.deadline = turn(&mut self.core, now, &mut self.net, &mut self.out);
        let worker = &self.worker;
        let refused = &mut self.refused;
        let stopped = &mut self.stopped;
        self.net.carry_out(&mut self.out, |effect| match effect {
            Effect::Persist(ticket, record) => {
                refused.extend(worker.persist(ticket, record).err().map(|_| ticket));
            }
            Effect::Load(ticket, query) => {
                refused.extend(worker.load(ticket, query).err().map(|_| ticket));
            }
            Effect::Show(event) => {
                *stopped |= event == Event::Stopped;
                tell(ServerNews::Event(event));
            }
            _ => {}
        });
        if self.net.take_hang_up() {
            tell(ServerNews::HangUp);
        }
        self.refused.drain(..).for_each(|ticket| self.net.loop_handle().not_committed(ticket));
        while let Ok(trouble) = self.trouble.try_recv() {
            match trouble {
                ServerError::Transient(error) => tell(ServerNews::Trouble(store_error(&error))),
                ServerError::Over => tell(ServerNews::Recovered),
                ServerError::Broken(error) => return Err(error),
            }
        }
        if self.meter.is_due(now.tick) {
            let counts = self.counts();
            let online = || self.core.online_count();
            self.meter.measure(now.tick, counts, online, |report| tell(ServerNews::Meter(report)));
        }
        Ok(!self.stopped)
    }

    fn counts(&self) -> Counts {
        Counts { relay: self.core.stats(), net: self.net.stats() }
    }

    /// Runs until the relay is stopped, then commits pending records.
    ///
    /// # Errors
    /// The store's error if the disk has failed.
    pub fn run(mut self, mut tell: impl FnMut(ServerNews)) -> Result<(), StoreError> {
        loop {
            match self.turn(&mut tell) {
                Ok(true) => {}
                Ok(false) => break,
                Err(phrase) => {
                    tell(ServerNews::Broken);
                    return Err(phrase);
                }
            }
        }
        let counts = self.counts();
        log::debug!("{:?} {:?}", counts.relay, counts.net);
        self.worker.finish();
        let online = || self.core.online_count();
        let now = self.net.now().tick;
        self.meter.finish(now, counts, online, |report| tell(ServerNews::Meter(report)));
        tell(ServerNews::Stopped { signal: self.net.last_signal() });
        Ok(())
    }
}

impl fmt::Debug for RelayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayServer").field("net", &self.net).finish_non_exhaustive()
    }
}

type StoreThread = (Worker<Record>, Receiver<ServerError>);

/// Starts the store's thread, which answers through the input queue. If the disk fails, it stops
/// the loop and sends the cause to the receiver.
fn start_store(
    backend: impl Backend<Record>,
    loop_handle: LoopHandle<Command>,
) -> Result<StoreThread, StoreError> {
    let (error_sender, trouble) = channel();
    let worker = Worker::spawn(backend, move |done| match done {
        StoreReply::Committed(ticket) => loop_handle.committed(ticket),
        StoreReply::Failed(ticket) => loop_handle.not_committed(ticket),
        StoreReply::Rows(ticket, rows) => loop_handle.rows(ticket, rows),
        StoreReply::Recovered => {
            let _ = error_sender.send(ServerError::Over);
        }
        StoreReply::Trouble(error) => {
            let _ = error_sender.send(ServerError::Transient(error));
        }
        StoreReply::Broken(error) => {
            let _ = error_sender.send(ServerError::Broken(error));
            loop_handle.command(Command::Stop);
        }
    })?;
    Ok((worker, trouble))
}
