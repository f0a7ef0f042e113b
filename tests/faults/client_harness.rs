//! A client core and its relays over a simulated network.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{ConnId, Core, Effect, Input, OutboxId, Outputs, Path, Tick, turn};
use queqiao::client::{Carriers, Client, Command, Config, Event, Record, RelayConfig};

use super::raw_client::private_key;
use super::relay_harness::{HarnessInput, InputFeed, RelayHarness, START, now_at, udp};

/// TCP connections that are established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOpens {
    Never,
    /// Connections to a relay that exists.
    WithRelays,
    /// All: other hosts accept them and send nothing.
    Always,
}

pub struct ClientHarness {
    pub core: Client,
    pub tick: Tick,
    pub events: Vec<Event>,
    pub records: Vec<Record>,
    /// TCP connections that it opened and that are not closed.
    pub open_conns: Vec<(ConnId, SocketAddr)>,
    pub tcp: TcpOpens,
    /// Connections to existing relays, with the path that the relay knows.
    tcp_paths: Vec<(ConnId, SocketAddr, Path)>,
    /// Whether packets from the client are lost.
    pub cut_up: bool,
    /// Whether packets to the client are held back.
    pub cut_down: bool,
    /// Packets to the client that wait while `cut_down`.
    pub held_back: VecDeque<(Path, Vec<u8>)>,
    /// Number of packets that the client sent.
    pub packets_up: usize,
    inputs: VecDeque<HarnessInput<Command>>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
    addr: Path,
}

/// Returns the address of relay number `n`.
pub fn relay_addr(n: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n], 8_081))
}

pub fn relay_config(n: u8, relay: Option<&RelayHarness>) -> RelayConfig {
    RelayConfig {
        addr: relay_addr(n).into(),
        tcp: None,
        key: relay.map(RelayHarness::key),
        fingerprint: None,
    }
}

impl ClientHarness {
    /// Returns a client of the member with key number `who`, on a machine whose address ends with
    /// `host`.
    pub fn new(name: &str, member: u64, host: u8, carriers: Carriers) -> ClientHarness {
        let client = Client::new(Config {
            name: Some(name.parse().unwrap()),
            private_key: private_key(member),
            outbox: OutboxId(u64::from(host)),
            carriers,
            counter_reserved: 0,
            persisted: None,
            strangers_bytes_max: 0,
            seed: [host; 32],
        });
        ClientHarness {
            core: client,
            tick: START,
            events: Vec::new(),
            records: Vec::new(),
            open_conns: Vec::new(),
            tcp: TcpOpens::Never,
            tcp_paths: Vec::new(),
            cut_up: false,
            cut_down: false,
            held_back: VecDeque::new(),
            packets_up: 0,
            inputs: VecDeque::new(),
            out: Outputs::default(),
            deadline: None,
            addr: udp(host, 5_000),
        }
    }

    /// Returns a client of the member whose key and machine have number `who`. It knows this relay
    /// as number 1 and starts now.
    pub fn known_to(relay: &RelayHarness, name: &str, member: u8, carriers: Carriers) -> ClientHarness {
        let mut client = ClientHarness::new(name, member.into(), member, carriers);
        client.tick = relay.tick;
        client.push_command(Command::Relays(vec![relay_config(1, Some(relay))]));
        client
    }

    /// The same a second later, signed in.
    pub fn signed_in(relay: &mut RelayHarness, name: &str, member: u8, carriers: Carriers) -> ClientHarness {
        let mut client = ClientHarness::known_to(relay, name, member, carriers);
        client.run_with(relay, Duration::from_secs(1));
        client
    }

    pub fn push_command(&mut self, command: Command) {
        self.inputs.push_back(HarnessInput::Other(Input::Command(command)));
    }

    pub fn send(&mut self, n: u8, request: u64, to: &str, text: &str) {
        let to = to.parse().unwrap();
        self.push_command(Command::Send { request, relay: relay_addr(n).into(), to, text: text.to_owned() });
    }

    pub fn push_packet(&mut self, path: Path, bytes: Vec<u8>) {
        self.inputs.push_back(HarnessInput::Packet(path, bytes));
    }

    pub fn count_events(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }

    /// Delivers the packets that were held back.
    pub fn release(&mut self) {
        self.cut_down = false;
        for (path, bytes) in std::mem::take(&mut self.held_back) {
            self.push_packet(path, bytes);
        }
    }

    /// Runs both sides for `span`.
    pub fn run(&mut self, relays: &mut [(SocketAddr, &mut RelayHarness)], span: Duration) {
        let end = self.tick + span;
        loop {
            self.run_until_idle(relays);
            let theirs = relays.iter().filter_map(|(_, relay)| relay.deadline);
            let Some(next) = theirs.chain(self.deadline).min().filter(|next| *next <= end) else { break };
            self.advance_to(relays, next);
        }
        self.advance_to(relays, end);
    }

    /// The same with relay number 1 only.
    pub fn run_with(&mut self, relay: &mut RelayHarness, span: Duration) {
        self.run(&mut [(relay_addr(1), relay)], span);
    }

    fn advance_to(&mut self, relays: &mut [(SocketAddr, &mut RelayHarness)], tick: Tick) {
        self.tick = tick;
        for (_, relay) in relays {
            relay.wait(tick.since(relay.tick));
        }
    }

    fn run_until_idle(&mut self, relays: &mut [(SocketAddr, &mut RelayHarness)]) {
        for _ in 0..1_000 {
            self.collect(relays);
            let due = self.deadline.is_some_and(|at| at <= self.tick);
            if self.inputs.is_empty() && !due {
                return;
            }
            self.take_turn(relays);
        }
        panic!("the client and its relays never stop sending");
    }

    fn collect(&mut self, relays: &mut [(SocketAddr, &mut RelayHarness)]) {
        for (addr, relay) in relays {
            for bytes in relay.take_sent_on(self.addr) {
                let path = Path::Udp(*addr);
                match self.cut_down {
                    true => self.held_back.push_back((path, bytes)),
                    false => self.push_packet(path, bytes),
                }
            }
            for (conn, _, theirs) in self.tcp_paths.clone().into_iter().filter(|(_, relay, _)| relay == addr)
            {
                relay
                    .take_sent_on(theirs)
                    .into_iter()
                    .for_each(|bytes| self.push_packet(Path::Tcp(conn), bytes));
            }
        }
    }

    fn open_tcp(&mut self, conn: ConnId, addr: SocketAddr, relays: &mut [(SocketAddr, &mut RelayHarness)]) {
        self.open_conns.push((conn, addr));
        let Path::Udp(from) = self.addr else { panic!("the client has a UDP address") };
        let relay = relays.iter_mut().find(|(relay, _)| *relay == addr);
        match (self.tcp, relay) {
            (TcpOpens::Never, _) | (TcpOpens::WithRelays, None) => return,
            (TcpOpens::Always, None) => {}
            (_, Some((_, relay))) => self.tcp_paths.push((conn, addr, relay.connect(from))),
        }
        self.inputs.push_back(HarnessInput::Other(Input::PathOpened { path: Path::Tcp(conn), remote: addr }));
    }

    fn send_on(&self, conn: ConnId, bytes: &[u8], relays: &mut [(SocketAddr, &mut RelayHarness)]) {
        let Some((_, addr, theirs)) = self.tcp_paths.iter().find(|(ours, ..)| *ours == conn) else { return };
        if let Some((_, relay)) = relays.iter_mut().find(|(relay, _)| relay == addr) {
            relay.handle_packet(*theirs, bytes);
        }
    }

    fn take_turn(&mut self, relays: &mut [(SocketAddr, &mut RelayHarness)]) {
        let mut feed = InputFeed { waiting: std::mem::take(&mut self.inputs), lent: Vec::new() };
        self.out.clear();
        self.deadline = turn(&mut self.core, now_at(self.tick), &mut feed, &mut self.out);
        assert!(self.deadline.is_none_or(|at| at > self.tick), "a deadline in the past: the loop would spin");
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send(Path::Udp(to), range) => {
                    self.packets_up += 1;
                    let relay = relays.iter_mut().find(|(addr, _)| *addr == to).filter(|_| !self.cut_up);
                    if let Some((_, relay)) = relay {
                        relay.handle_packet(self.addr, &self.out.bytes[range]);
                    }
                }
                Effect::Persist(ticket, record) => {
                    self.records.push(record);
                    self.inputs.push_back(HarnessInput::Other(Input::Committed(ticket)));
                }
                Effect::Show(event) => self.events.push(event),
                Effect::OpenTcp(conn, addr) => self.open_tcp(conn, addr, relays),
                Effect::Close(Path::Tcp(conn)) => self.open_conns.retain(|(open, _)| *open != conn),
                Effect::Send(Path::Tcp(conn), range) => self.send_on(conn, &self.out.bytes[range], relays),
                Effect::Close(Path::Udp(_) | Path::UdpAt(_)) | Effect::Send(Path::UdpAt(_), _) => {}
                Effect::LookUp(_) | Effect::Load(..) => {}
            }
        }
    }

    pub fn has_no_deadline(&self) -> bool {
        self.core.next_deadline().is_none()
    }
}
