//! A client core and its relays over a simulated network.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{ConnId, Core, Effect, Input, OutboxId, Outputs, Path, Tick, turn};
use queqiao::client::{Carriers, Client, Command, Config, Event, Record, RelaySpec};

use super::hand::private;
use super::rig::{Feed, Given, Rig, START, now_at, udp};

/// TCP connections that are established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOpens {
    Never,
    /// Connections to a relay that exists.
    WithRelays,
    /// All: other hosts accept them and send nothing.
    Always,
}

pub struct Visitor {
    pub client: Client,
    pub tick: Tick,
    pub shown: Vec<Event>,
    pub records: Vec<Record>,
    /// TCP connections that it opened and that are not closed.
    pub open: Vec<(ConnId, SocketAddr)>,
    pub tcp: TcpOpens,
    /// Connections to existing relays, with the path that the relay knows.
    lines: Vec<(ConnId, SocketAddr, Path)>,
    /// Whether packets from the client are lost.
    pub cut_up: bool,
    /// Whether packets to the client are held back.
    pub cut_down: bool,
    /// Packets to the client that wait while `cut_down`.
    pub held: VecDeque<(Path, Vec<u8>)>,
    /// Number of packets that the client sent.
    pub packets_up: usize,
    waiting: VecDeque<Given<Command>>,
    out: Outputs<Record, Event>,
    deadline: Option<Tick>,
    addr: Path,
}

/// Returns the address of relay number `n`.
pub fn relay_addr(n: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, n], 8_081))
}

pub fn spec(n: u8, rig: Option<&Rig>) -> RelaySpec {
    RelaySpec { addr: relay_addr(n).into(), tcp: None, key: rig.map(Rig::key), fingerprint: None }
}

impl Visitor {
    /// Returns a client of the member with key number `who`, on a machine whose address ends with
    /// `host`.
    pub fn new(name: &str, who: u64, host: u8, carriers: Carriers) -> Visitor {
        let client = Client::new(Config {
            name: Some(name.parse().unwrap()),
            private_key: private(who),
            outbox: OutboxId(u64::from(host)),
            carriers,
            counter_reserved: 0,
            kept: None,
            strangers_bytes_max: 0,
            seed: [host; 32],
        });
        Visitor {
            client,
            tick: START,
            shown: Vec::new(),
            records: Vec::new(),
            open: Vec::new(),
            tcp: TcpOpens::Never,
            lines: Vec::new(),
            cut_up: false,
            cut_down: false,
            held: VecDeque::new(),
            packets_up: 0,
            waiting: VecDeque::new(),
            out: Outputs::default(),
            deadline: None,
            addr: udp(host, 5_000),
        }
    }

    /// Returns a client of the member whose key and machine have number `who`. It knows this relay
    /// as number 1 and starts now.
    pub fn of(rig: &Rig, name: &str, who: u8, carriers: Carriers) -> Visitor {
        let mut visitor = Visitor::new(name, who.into(), who, carriers);
        visitor.tick = rig.tick;
        visitor.command(Command::Relays(vec![spec(1, Some(rig))]));
        visitor
    }

    /// The same a second later, signed in.
    pub fn signed_in(rig: &mut Rig, name: &str, who: u8, carriers: Carriers) -> Visitor {
        let mut visitor = Visitor::of(rig, name, who, carriers);
        visitor.run_with(rig, Duration::from_secs(1));
        visitor
    }

    pub fn command(&mut self, command: Command) {
        self.waiting.push_back(Given::Other(Input::Command(command)));
    }

    pub fn send(&mut self, n: u8, request: u64, to: &str, text: &str) {
        let to = to.parse().unwrap();
        self.command(Command::Send { request, relay: relay_addr(n).into(), to, text: text.to_owned() });
    }

    pub fn give(&mut self, path: Path, bytes: Vec<u8>) {
        self.waiting.push_back(Given::Packet(path, bytes));
    }

    pub fn shows(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.shown.iter().filter(|event| is(event)).count()
    }

    /// Delivers the packets that were held back.
    pub fn release(&mut self) {
        self.cut_down = false;
        for (path, bytes) in std::mem::take(&mut self.held) {
            self.give(path, bytes);
        }
    }

    /// Runs both sides for `span`.
    pub fn run(&mut self, relays: &mut [(SocketAddr, &mut Rig)], span: Duration) {
        let end = self.tick + span;
        loop {
            self.settle(relays);
            let theirs = relays.iter().filter_map(|(_, rig)| rig.deadline);
            let Some(next) = theirs.chain(self.deadline).min().filter(|next| *next <= end) else { break };
            self.go_to(relays, next);
        }
        self.go_to(relays, end);
    }

    /// The same with relay number 1 only.
    pub fn run_with(&mut self, rig: &mut Rig, span: Duration) {
        self.run(&mut [(relay_addr(1), rig)], span);
    }

    fn go_to(&mut self, relays: &mut [(SocketAddr, &mut Rig)], tick: Tick) {
        self.tick = tick;
        for (_, rig) in relays {
            rig.wait(tick.since(rig.tick));
        }
    }

    fn settle(&mut self, relays: &mut [(SocketAddr, &mut Rig)]) {
        for _ in 0..1_000 {
            self.collect(relays);
            let due = self.deadline.is_some_and(|at| at <= self.tick);
            if self.waiting.is_empty() && !due {
                return;
            }
            self.take_turn(relays);
        }
        panic!("the client and its relays never stop sending");
    }

    fn collect(&mut self, relays: &mut [(SocketAddr, &mut Rig)]) {
        for (addr, rig) in relays {
            for bytes in rig.answers(self.addr) {
                let path = Path::Udp(*addr);
                match self.cut_down {
                    true => self.held.push_back((path, bytes)),
                    false => self.give(path, bytes),
                }
            }
            for (conn, _, theirs) in self.lines.clone().into_iter().filter(|(_, relay, _)| relay == addr) {
                rig.answers(theirs).into_iter().for_each(|bytes| self.give(Path::Tcp(conn), bytes));
            }
        }
    }

    fn open_tcp(&mut self, conn: ConnId, addr: SocketAddr, relays: &mut [(SocketAddr, &mut Rig)]) {
        self.open.push((conn, addr));
        let Path::Udp(from) = self.addr else { panic!("the client has a UDP address") };
        let relay = relays.iter_mut().find(|(relay, _)| *relay == addr);
        match (self.tcp, relay) {
            (TcpOpens::Never, _) | (TcpOpens::WithRelays, None) => return,
            (TcpOpens::Always, None) => {}
            (_, Some((_, rig))) => self.lines.push((conn, addr, rig.connect(from))),
        }
        self.waiting.push_back(Given::Other(Input::PathOpened { path: Path::Tcp(conn), remote: addr }));
    }

    fn send_on(&self, conn: ConnId, bytes: &[u8], relays: &mut [(SocketAddr, &mut Rig)]) {
        let Some((_, addr, theirs)) = self.lines.iter().find(|(ours, ..)| *ours == conn) else { return };
        if let Some((_, rig)) = relays.iter_mut().find(|(relay, _)| relay == addr) {
            rig.give(*theirs, bytes);
        }
    }

    fn take_turn(&mut self, relays: &mut [(SocketAddr, &mut Rig)]) {
        let mut feed = Feed { waiting: std::mem::take(&mut self.waiting), lent: Vec::new() };
        self.out.clear();
        self.deadline = turn(&mut self.client, now_at(self.tick), &mut feed, &mut self.out);
        assert!(self.deadline.is_none_or(|at| at > self.tick), "a deadline in the past: the loop would spin");
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send(Path::Udp(to), range) => {
                    self.packets_up += 1;
                    let rig = relays.iter_mut().find(|(addr, _)| *addr == to).filter(|_| !self.cut_up);
                    if let Some((_, rig)) = rig {
                        rig.give(self.addr, &self.out.bytes[range]);
                    }
                }
                Effect::Persist(ticket, record) => {
                    self.records.push(record);
                    self.waiting.push_back(Given::Other(Input::Committed(ticket)));
                }
                Effect::Show(event) => self.shown.push(event),
                Effect::OpenTcp(conn, addr) => self.open_tcp(conn, addr, relays),
                Effect::Close(Path::Tcp(conn)) => self.open.retain(|(open, _)| *open != conn),
                Effect::Send(Path::Tcp(conn), range) => self.send_on(conn, &self.out.bytes[range], relays),
                Effect::Close(Path::Udp(_) | Path::UdpAt(_)) | Effect::Send(Path::UdpAt(_), _) => {}
                Effect::LookUp(_) | Effect::Load(..) => {}
            }
        }
    }

    pub fn sleeps_for_ever(&self) -> bool {
        self.client.next_deadline().is_none()
    }
}
