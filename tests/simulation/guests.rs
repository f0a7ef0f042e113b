//! Guests of the simulation: sockets that speak plain text, with datagrams that may be lost and
//! connections that are cut anywhere.
//!
//! These rules hold in every scenario. A guest on UDP receives at most three datagrams more than
//! the relay has received from it. Automatic replies are no larger than the text they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{ConnId, Input, Path, PathError, Tick};
use queqiao::relay::GuestRules;

use super::link_conditions::LinkDirection;
use super::node::PendingInput;
use super::simulation::{SimEvent, Simulation};

/// Datagrams of answers that a guest may receive before its next one.
const AHEAD_MAX: u64 = 3;

/// All guests, and how the relay serves them.
#[derive(Default)]
pub struct Guests {
    pub rules: Option<GuestRules>,
    by_addr: BTreeMap<SocketAddr, UdpGuest>,
    by_conn: BTreeMap<ConnId, TcpGuest>,
    /// Connections of a relay process that has ended.
    lost: BTreeSet<ConnId>,
}

/// One address that sends datagrams.
pub struct UdpGuest {
    up: LinkDirection,
    down: LinkDirection,
    /// Datagrams and bytes that reached the relay, and that the relay sent.
    to_relay: (u64, u64),
    from_relay: (u64, u64),
    /// No member answers it: everything it receives is automatic.
    pub unanswered: bool,
    pub received: Vec<String>,
}

/// One connection.
pub struct TcpGuest {
    up: LinkDirection,
    down: LinkDirection,
    last: [Tick; 2],
    bytes: Vec<u8>,
    /// The relay has closed it or has ended.
    pub closed: bool,
}

impl TcpGuest {
    /// Returns everything that it has read.
    pub fn received_text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

impl Guests {
    pub fn new(rules: Option<GuestRules>) -> Guests {
        Guests { rules, ..Guests::default() }
    }

    pub fn has_conn(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn) || self.lost.contains(&conn)
    }

    pub fn has_addr(&self, addr: SocketAddr) -> bool {
        self.by_addr.contains_key(&addr)
    }

    pub fn udp_guest(&self, addr: SocketAddr) -> &UdpGuest {
        &self.by_addr[&addr]
    }

    pub fn tcp_guest(&self, conn: ConnId) -> &TcpGuest {
        &self.by_conn[&conn]
    }

    /// Handles the end of the relay's process.
    pub fn handle_relay_end(&mut self) {
        for guest in self.by_conn.values_mut() {
            guest.closed = true;
        }
        self.lost.extend(self.by_conn.keys());
    }
}

impl Simulation {
    /// Adds a guest on UDP, with this loss both ways, in thousandths.
    pub fn add_udp_guest(&mut self, addr: SocketAddr, loss: u64) {
        let direction = || {
            let mut direction = LinkDirection::new(Duration::from_millis(5));
            direction.conditions.loss = loss;
            direction
        };
        let up = direction();
        let down = direction();
        let received = Vec::new();
        let guest = UdpGuest { up, down, to_relay: (0, 0), from_relay: (0, 0), unanswered: false, received };
        self.guests.by_addr.insert(addr, guest);
    }

    /// Adds an address that the attacker forges. It receives no more than seems to come from it.
    pub fn add_forged_udp_guest(&mut self, addr: SocketAddr) {
        self.add_udp_guest(addr, 0);
        self.guests.by_addr.get_mut(&addr).expect("it was just made").unanswered = true;
    }

    /// Sends a datagram of the guest.
    pub fn send_udp_text(&mut self, from: SocketAddr, text: &str) {
        let guest = self.guests.by_addr.get_mut(&from).expect("a caller of this world");
        let arrivals = guest.up.transmit(self.now, text.len(), &mut self.rng, &mut self.coverage);
        for arrival in arrivals {
            let bytes = text.as_bytes().to_vec();
            self.schedule_at(arrival.at, move |sim| {
                if sim.relay_up_at <= sim.now {
                    let guest = sim.guests.by_addr.get_mut(&from).expect("guests are never removed");
                    guest.to_relay = (guest.to_relay.0 + 1, guest.to_relay.1 + bytes.len() as u64);
                    sim.push_relay_input(PendingInput::Packet(Path::Udp(from), bytes));
                }
            });
        }
    }

    pub fn deliver_to_udp_guest(&mut self, to: SocketAddr, bytes: &[u8]) {
        let guest = self.guests.by_addr.get_mut(&to).expect("the caller has checked the address");
        guest.from_relay = (guest.from_relay.0 + 1, guest.from_relay.1 + bytes.len() as u64);
        let to_relay = guest.to_relay;
        let from_relay = guest.from_relay;
        assert!(
            from_relay.0 <= to_relay.0 + AHEAD_MAX,
            "{to} sent {} datagrams and gets the {}th",
            to_relay.0,
            from_relay.0
        );
        assert!(
            !guest.unanswered || from_relay.1 <= to_relay.1,
            "{to} sent {} bytes and gets {}",
            to_relay.1,
            from_relay.1
        );
        assert!(bytes.len() <= 1_024, "plain-text clients read at most 1,024 bytes");
        let text = String::from_utf8(bytes.to_vec()).expect("no piece ends inside a character");
        for arrival in guest.down.transmit(self.now, bytes.len(), &mut self.rng, &mut self.coverage) {
            let text = text.clone();
            self.schedule_at(arrival.at, move |sim| {
                sim.guests.by_addr.get_mut(&to).expect("guests are never removed").received.push(text);
            });
        }
    }

    /// Connects a guest.
    pub fn add_tcp_guest(&mut self, addr: SocketAddr, loss: u64) -> ConnId {
        let (_, conn) = self.new_conn_id();
        let direction = || {
            let mut direction = LinkDirection::new(Duration::from_millis(5));
            direction.conditions.loss = loss;
            direction
        };
        let up = direction();
        let down = direction();
        let guest = TcpGuest { up, down, last: [self.now; 2], bytes: Vec::new(), closed: false };
        self.guests.by_conn.insert(conn, guest);
        self.push_relay_input(PendingInput::Other(Input::PathOpened { path: Path::Tcp(conn), remote: addr }));
        conn
    }

    /// Sends text of the guest, in segments cut anywhere.
    pub fn send_tcp_text(&mut self, conn: ConnId, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let len = (1 + self.rng.below(40) as usize).min(rest.len());
            let (bytes, more) = rest.split_at(len);
            rest = more;
            let bytes = bytes.to_vec();
            self.schedule_from_guest(conn, len, move |sim| {
                sim.push_relay_input(PendingInput::Text(Path::Tcp(conn), bytes));
            });
        }
    }

    /// Ends the guest's text. The guest still reads.
    pub fn end_tcp_guest(&mut self, conn: ConnId) {
        self.schedule_from_guest(conn, 0, move |sim| {
            sim.push_relay_input(PendingInput::Other(Input::TextEnded(Path::Tcp(conn))));
        });
    }

    /// Resets the guest's connection.
    pub fn reset_tcp_guest(&mut self, conn: ConnId) {
        self.schedule_from_guest(conn, 0, move |sim| {
            sim.guests.by_conn.get_mut(&conn).expect("guests are never removed").closed = true;
            sim.push_relay_input(PendingInput::Other(Input::PathClosed(Path::Tcp(conn), PathError::Reset)));
        });
    }

    fn schedule_from_guest(
        &mut self,
        conn: ConnId,
        len: usize,
        action: impl FnOnce(&mut Simulation) + 'static,
    ) {
        let guest = self.guests.by_conn.get_mut(&conn).expect("a guest of this world");
        let at = guest.up.transmit_segment(self.now, len, &mut self.rng).max(guest.last[0]);
        guest.last[0] = at;
        self.schedule_at(at, move |sim| {
            if !sim.guests.tcp_guest(conn).closed {
                action(sim);
            }
        });
    }

    pub fn deliver_to_tcp_guest(&mut self, conn: ConnId, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.schedule_from_relay(conn, bytes.len(), move |guest| guest.bytes.extend(bytes));
    }

    pub fn close_tcp_guest(&mut self, conn: ConnId) {
        self.schedule_from_relay(conn, 0, |guest| guest.closed = true);
    }

    fn schedule_from_relay(
        &mut self,
        conn: ConnId,
        len: usize,
        action: impl FnOnce(&mut TcpGuest) + 'static,
    ) {
        let Some(guest) = self.guests.by_conn.get_mut(&conn) else { return };
        let at = guest.down.transmit_segment(self.now, len, &mut self.rng).max(guest.last[1]);
        guest.last[1] = at;
        self.schedule_at(at, move |sim| {
            let guest = sim.guests.by_conn.get_mut(&conn).expect("guests are never removed");
            action(guest);
        });
    }

    fn schedule_at(&mut self, at: Tick, action: impl FnOnce(&mut Simulation) + 'static) {
        self.event_queue.push(at, SimEvent::ScheduledAction(Box::new(action)));
    }
}
