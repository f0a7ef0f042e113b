//! The simulation: one relay, clients, and the network between them, on virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{ConnId, HostPort, OutboxId, PublicKey, Rng, Tick};
use queqiao::client::{self, Carriers, Client, Command, Event, RelayConfig};
use queqiao::relay::{self, GuestRules, Limits, Relay};
use queqiao::session::SessionId;

use super::agreement::Agreement;
use super::copies::Copies;
use super::coverage::{Count, Coverage};
use super::decoys::Decoys;
use super::disk::Disk;
use super::event_queue::EventQueue;
use super::guests::Guests;
use super::handshakes::{HandshakeAttacks, HandshakeWatch};
use super::hostile_member::HostileMember;
use super::invariants::{AddressLimits, PeerWatch};
use super::link_conditions::LinkDirection;
use super::node::{Node, PendingInput};
use super::oracle::{LetterFate, Oracle};
use super::path_changes::PathChanges;
use super::protocol_violator::ProtocolViolator;
use super::relay_disk::RelayDisk;
use super::resource_abuse::Written;
use super::sim_disk::SimDisk;
use super::strangers::Strangers;
use super::tcp::{Conn, Side};
use super::uniqueness::Uniqueness;
use super::unknown_names::check_lookups;

/// Address of the relay, for every client.
pub const RELAY_ADDR: &str = "192.0.2.1:8081";
/// The same address, as a name that must be looked up.
pub const RELAY_HOST: &str = "relay.example:8081";

/// A scheduled event.
pub enum SimEvent {
    /// A node's turn, unless it was rescheduled. The relay is node 0, client `c` is node `c + 1`.
    Turn(usize),
    ToRelay {
        from: SocketAddr,
        bytes: Vec<u8>,
        proves: Vec<SocketAddr>,
        genuine: bool,
    },
    ToClient {
        public: SocketAddr,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    Syn(u64),
    Segments(u64, Side),
    /// A commit of a node's disk ends.
    CommitEnds {
        node: usize,
        incarnation: u32,
    },
    Resolved {
        client: usize,
        incarnation: u32,
        host: HostPort,
    },
    ScheduledAction(ScheduledAction),
}

/// A scheduled action of a user, or a fault.
pub type ScheduledAction = Box<dyn FnOnce(&mut Simulation)>;

/// One client's machine and its line to the relay.
pub struct ClientMachine {
    pub node: Node<Client>,
    pub name: String,
    pub private_key: [u8; 32],
    pub carriers: Carriers,
    /// The relay's address in the address book.
    pub relay: HostPort,
    pub pinned: Option<PublicKey>,
    pub up: LinkDirection,
    pub down: LinkDirection,
    /// The UDP address that the relay sees.
    pub public: SocketAddr,
    pub events: Vec<(Tick, Event)>,
    pub peer_watch: PeerWatch,
    pub path_changes: PathChanges,
    /// Its name was refused, or another machine took over: its letters need not end.
    pub stopped: bool,
    /// It has been given its relay.
    pub started: bool,
    pub disk: Disk,
    pub outbox: u64,
    /// Contents of its address book, if it has one. It then keeps little of other members.
    pub book: Option<BTreeSet<queqiao::base::Name>>,
    pub epoch_since: Option<(u32, Tick)>,
    pub handshakes: HandshakeWatch,
}

pub struct Simulation {
    pub now: Tick,
    pub rng: Rng,
    pub event_queue: EventQueue<SimEvent>,
    pub relay: Node<Relay>,
    pub relay_key: [u8; 32],
    pub limits: Limits,
    /// Durable state of the relay.
    pub relay_disk: RelayDisk,
    pub relay_sim_disk: SimDisk<relay::Record>,
    /// The relay does not run before this time; its packets meet a closed port.
    pub relay_up_at: Tick,
    /// Bytes that a client with an address book keeps of all members outside it.
    pub strangers_bytes_max: u64,
    /// Start of the relay's process.
    pub relay_since: Tick,
    pub has_tcp: bool,
    pub machines: Vec<ClientMachine>,
    pub conns: BTreeMap<u64, Conn>,
    pub last_conn: u64,
    pub ports: u16,
    /// Clients by their current public address.
    pub mapped: BTreeMap<SocketAddr, usize>,
    pub address_limits: AddressLimits,
    pub uniqueness: Uniqueness,
    /// Datagrams that the relay received, kept for replay.
    pub overheard_up: VecDeque<Vec<u8>>,
    /// Datagrams that clients received, with the client.
    pub overheard_down: VecDeque<(usize, Vec<u8>)>,
    /// Some of those that were pushed out of these two, also from before restarts.
    pub kept_up: VecDeque<Vec<u8>>,
    pub kept_down: VecDeque<(usize, Vec<u8>)>,
    /// Resets that the attacker made.
    pub forged: BTreeSet<Vec<u8>>,
    pub hostile_addrs: BTreeMap<SocketAddr, ()>,
    pub violator: Option<ProtocolViolator>,
    pub hostile_member: Option<HostileMember>,
    pub copies: Copies,
    pub decoys: Decoys,
    pub handshake_attacks: HandshakeAttacks,
    /// Lists of names that the relay's process has written.
    pub list_writes: Written,
    /// Guests that speak plain text.
    pub guests: Guests,
    /// Number of protocol violations.
    pub violations: u64,
    pub oracle: Oracle,
    pub strangers: Strangers,
    pub agreement: Agreement,
    pub coverage: Coverage,
    pub requests: u64,
    /// Maximum duration of a commit.
    pub commit_time_max: Duration,
    /// Maximum length of a TCP segment.
    pub segment_max: usize,
    pub tcp_corrupt: u64,
    /// Datagrams sent so far, and packets on TCP.
    pub datagrams: u64,
    pub records: u64,
    pub relay_watches: BTreeMap<SessionId, PeerWatch>,
    pub trace: bool,
    last_stats: relay::Stats,
}

pub(super) fn new_relay(
    key: [u8; 32],
    disk: &RelayDisk,
    limits: &Limits,
    guests: Option<GuestRules>,
    rng: &mut Rng,
) -> Relay {
    let mut seed = [0; 32];
    rng.fill(&mut seed);
    let members = disk.members.clone();
    let mail = disk.mail();
    let limits = limits.clone();
    let roll = disk.roll();
    Relay::new(relay::Config {
        private_key: key,
        reset_id: [0; 16],
        members,
        membership: roll,
        mail,
        guests,
        limits,
        seed,
    })
}

impl Simulation {
    pub fn new(seed: u64) -> Simulation {
        Simulation::with_limits(seed, Limits::default())
    }

    pub fn with_limits(seed: u64, limits: Limits) -> Simulation {
        Simulation::with_guests(seed, limits, None)
    }

    /// Returns a simulation whose relay serves guests.
    pub fn with_guests(seed: u64, limits: Limits, guests: Option<GuestRules>) -> Simulation {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::from_seed(bytes);
        let mut relay_key = [0; 32];
        rng.fill(&mut relay_key);
        let relay = Node::new(new_relay(relay_key, &RelayDisk::default(), &limits, guests.clone(), &mut rng));
        Simulation {
            now: Tick::from_micros(1_000_000),
            rng,
            event_queue: EventQueue::new(),
            relay,
            relay_key,
            limits,
            relay_disk: RelayDisk::default(),
            relay_sim_disk: SimDisk::default(),
            relay_up_at: Tick::ZERO,
            strangers_bytes_max: client::STRANGERS_BYTES_MAX,
            relay_since: Tick::ZERO,
            has_tcp: true,
            machines: Vec::new(),
            conns: BTreeMap::new(),
            last_conn: 0,
            ports: 20_000,
            mapped: BTreeMap::new(),
            address_limits: AddressLimits::default(),
            uniqueness: Uniqueness::default(),
            overheard_up: VecDeque::new(),
            overheard_down: VecDeque::new(),
            kept_up: VecDeque::new(),
            kept_down: VecDeque::new(),
            forged: BTreeSet::new(),
            hostile_addrs: BTreeMap::new(),
            violator: None,
            hostile_member: None,
            copies: Copies::default(),
            decoys: Decoys::default(),
            handshake_attacks: HandshakeAttacks::default(),
            list_writes: Written::default(),
            guests: Guests::new(guests),
            violations: 0,
            oracle: Oracle::default(),
            strangers: Strangers::default(),
            agreement: Agreement::new(seed),
            coverage: Coverage::default(),
            requests: 0,
            commit_time_max: Duration::from_millis(5),
            segment_max: 16 * 1024,
            tcp_corrupt: 0,
            datagrams: 0,
            records: 0,
            relay_watches: BTreeMap::new(),
            trace: std::env::var_os("QUEQIAO_SEED").is_some(),
            last_stats: relay::Stats::default(),
        }
    }

    /// Adds a client at 10 ms from the relay, without starting it. Returns its index.
    pub fn add_client(&mut self, name: &str, carriers: Carriers) -> usize {
        let mut private_key = [0; 32];
        self.rng.fill(&mut private_key);
        self.add_client_with_key(name, carriers, private_key)
    }

    pub fn add_client_with_key(&mut self, name: &str, carriers: Carriers, private_key: [u8; 32]) -> usize {
        let index = self.machines.len();
        self.oracle.names.push(name.to_owned());
        let outbox = self.rng.next_u64();
        for relay in [RELAY_ADDR, RELAY_HOST] {
            let through = OutboxId(outbox).for_relay(&relay.parse().unwrap());
            self.oracle.outboxes.insert(through.0, index);
        }
        let node = Node::new(self.make_client(name, carriers, private_key, outbox, &Disk::default()));
        let delay = Duration::from_millis(5);
        let public = SocketAddr::from(([198, 51, 100, index as u8 + 1], 10_000));
        self.mapped.insert(public, index);
        self.machines.push(ClientMachine {
            node,
            name: name.to_owned(),
            private_key,
            carriers,
            relay: RELAY_ADDR.parse().unwrap(),
            pinned: None,
            up: LinkDirection::new(delay),
            down: LinkDirection::new(delay),
            public,
            events: Vec::new(),
            peer_watch: PeerWatch::default(),
            path_changes: PathChanges::default(),
            stopped: false,
            started: false,
            disk: Disk::default(),
            outbox,
            book: None,
            epoch_since: None,
            handshakes: HandshakeWatch::default(),
        });
        index
    }

    fn make_client(
        &mut self,
        name: &str,
        carriers: Carriers,
        private_key: [u8; 32],
        outbox: u64,
        disk: &Disk,
    ) -> Client {
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let name = Some(name.parse().unwrap());
        let outbox = OutboxId(outbox);
        let counter_reserved = disk.counter_reserved;
        let kept = Some(disk.kept.clone());
        let strangers_bytes_max = self.strangers_bytes_max;
        Client::new(client::Config {
            name,
            private_key,
            outbox,
            carriers,
            counter_reserved,
            persisted: kept,
            strangers_bytes_max,
            seed,
        })
    }

    /// Gives the client its relay, so that it connects.
    pub fn start(&mut self, client: usize) {
        let machine = &mut self.machines[client];
        machine.started = true;
        let spec =
            RelayConfig { addr: machine.relay.clone(), tcp: None, key: machine.pinned, fingerprint: None };
        self.send_contacts(client);
        self.send_command(client, Command::Relays(vec![spec]));
    }

    pub fn send_command(&mut self, client: usize, command: Command) {
        let input = queqiao::base::Input::Command(command);
        self.machines[client].node.inputs.push_back(PendingInput::Other(input));
        self.wake(client + 1, self.now);
    }

    /// Sends a letter. Returns the number of the request.
    pub fn send(&mut self, client: usize, to: &str, text: &str) -> u64 {
        self.requests += 1;
        let request = self.requests;
        self.oracle.record_send(client, request, to, text);
        let relay = self.machines[client].relay.clone();
        self.log(|| format!("client {client}: says letter {request} to {to}, {} B", text.len()));
        self.coverage.add_many(Count::LongLetters, u64::from(text.len() > 16_000));
        let to = to.parse().unwrap();
        let text = text.to_owned();
        self.send_command(client, Command::Send { request, relay, to, text });
        request
    }

    pub fn fate(&self, request: u64) -> &LetterFate {
        &self.oracle.letters[&request]
    }

    /// Schedules an action.
    pub fn schedule(&mut self, after: Duration, action: impl FnOnce(&mut Simulation) + 'static) {
        self.event_queue.push(self.now + after, SimEvent::ScheduledAction(Box::new(action)));
    }

    /// Gives the client another address. The old one leads nowhere.
    pub fn rebind(&mut self, client: usize, new_host: bool) {
        self.ports += 1;
        let machine = &mut self.machines[client];
        let host =
            if new_host { [203, 0, 113, (self.ports % 250) as u8 + 1] } else { host_of(machine.public) };
        let public = SocketAddr::from((host, self.ports));
        self.mapped.remove(&machine.public);
        machine.public = public;
        self.mapped.insert(public, client);
        self.coverage.add(Count::Rebinds);
        self.log(|| format!("client {client} is at {public}"));
    }

    /// Kills the relay's process. Another one runs after `down`.
    pub fn restart_relay(&mut self, down: Duration) {
        self.count_relay_stats();
        self.cut_off_relay();
        let noted = self.relay_disk.mail().sessions;
        self.address_limits = AddressLimits::after_restart(noted.iter().map(|note| note.addr));
        let key = self.relay_key;
        let disk = &self.relay_disk;
        let core = new_relay(key, disk, &self.limits, self.guests.rules.clone(), &mut self.rng);
        self.guests.handle_relay_end();
        self.relay.restart(core);
        self.list_writes = Written::default();
        self.agreement.handle_relay_restart();
        self.relay_since = self.now;
        self.relay_up_at = self.now + down;
        self.wake(0, self.relay_up_at);
        self.last_stats = relay::Stats::default();
        self.oracle.check_accepted(&self.relay_disk);
        self.coverage.add(Count::RelayRestarts);
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            self.reset_tcp(conn);
        }
        self.wake(0, self.relay_up_at);
        self.log(|| "the relay restarts".to_owned());
    }

    /// Kills the client's process. Another one continues with the state on its disk.
    pub fn restart_client(&mut self, client: usize) {
        self.cut_off(client);
        let machine = &mut self.machines[client];
        let name = machine.name.clone();
        let carriers = machine.carriers;
        let key = machine.private_key;
        let outbox = machine.outbox;
        let disk = std::mem::take(&mut machine.disk);
        let core = self.make_client(&name, carriers, key, outbox, &disk);
        let machine = &mut self.machines[client];
        machine.disk = disk;
        machine.node.restart(core);
        machine.peer_watch.finish(&mut self.coverage);
        machine.path_changes = PathChanges::default();
        machine.stopped = false;
        self.coverage.add(Count::ClientRestarts);
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            if self.conns[&conn].client == client {
                self.reset_tcp(conn);
            }
        }
        self.start(client);
    }

    /// Cuts this client off, until the network is healed.
    pub fn isolate(&mut self, client: usize) {
        let machine = &mut self.machines[client];
        for direction in [&mut machine.up, &mut machine.down] {
            direction.conditions.udp_hole = true;
            direction.conditions.tcp_hole = true;
        }
    }

    /// Ends every fault of the network and of machines.
    pub fn heal(&mut self) {
        let now = self.now;
        for machine in &mut self.machines {
            for direction in [&mut machine.up, &mut machine.down] {
                let delay = direction.conditions.delay.min(Duration::from_millis(200));
                *direction = LinkDirection::new(delay);
            }
            machine.node.paused_until = now;
            machine.node.crash_point = None;
            machine.disk.sim_disk.heal();
        }
        self.relay.paused_until = now;
        self.relay.crash_point = None;
        self.relay_sim_disk.heal();
        for conn in self.conns.values_mut() {
            conn.socket.iter_mut().for_each(|socket| socket.stalled_until = now);
            conn.corrupt = 0;
        }
        self.tcp_corrupt = 0;
        self.has_tcp = true;
        self.relay_up_at = self.relay_up_at.min(now);
        (0..=self.machines.len()).for_each(|node| self.wake(node, now));
        self.log(|| "healed".to_owned());
    }

    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until `holds` returns `true`, but no longer than `most`. Returns whether it did.
    pub fn run_until(&mut self, most: Duration, holds: impl Fn(&Simulation) -> bool) -> bool {
        let until = self.now + most;
        while !holds(self) {
            if !self.step(until) {
                self.now = until;
                return holds(self);
            }
        }
        true
    }

    /// Handles one event. Returns `false` if none is due by `until`.
    fn step(&mut self, until: Tick) -> bool {
        let Some((at, event)) = self.event_queue.pop_until(until) else { return false };
        self.now = at;
        self.handle_event(event);
        true
    }

    fn count_relay_stats(&mut self) {
        let stats = self.relay.core.stats();
        check_lookups(&self.last_stats, &stats);
        self.coverage.add_many(Count::Handshakes, stats.handshakes - self.last_stats.handshakes);
        self.coverage.add_many(Count::LettersKept, stats.letters_written - self.last_stats.letters_written);
        self.coverage.add_many(Count::LettersPaced, stats.letters_paced - self.last_stats.letters_paced);
        self.coverage.add_many(Count::DroppedByRelay, stats.dropped - self.last_stats.dropped);
        self.coverage.add_many(Count::Resets, stats.resets - self.last_stats.resets);
        self.coverage.add_many(Count::Continued, stats.continued - self.last_stats.continued);
        self.last_stats = stats;
    }

    /// Adds the final statistics to the coverage.
    pub fn finish(&mut self) {
        self.count_relay_stats();
        self.relay_watches.values_mut().for_each(|watch| watch.finish(&mut self.coverage));
        for machine in &mut self.machines {
            machine.peer_watch.finish(&mut self.coverage);
        }
    }

    pub fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>12.6}  {}", self.now.as_micros() as f64 / 1e6, what());
        }
    }

    /// Returns the letters that have not ended, of clients that still try.
    pub fn open_letters(&self) -> Vec<u64> {
        self.oracle.open_letters(|client| !self.machines[client].stopped)
    }

    pub fn new_conn_id(&mut self) -> (u64, ConnId) {
        self.last_conn += 1;
        (self.last_conn, ConnId(self.last_conn))
    }
}

fn host_of(addr: SocketAddr) -> [u8; 4] {
    match addr {
        SocketAddr::V4(v4) => v4.ip().octets(),
        SocketAddr::V6(_) => panic!("the simulation has IPv4 addresses only"),
    }
}
