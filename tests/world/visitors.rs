//! Guests of the simulation: sockets that speak plain text, with datagrams that may be lost and
//! connections that are cut anywhere.
//!
//! These rules hold in every scenario. A guest on UDP receives at most three datagrams more than
//! the relay has received from it. Automatic replies are no larger than the text they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{ConnId, Input, Path, Tick, Why};
use queqiao::relay::GuestRules;

use super::node::Waiting;
use super::weather::Lane;
use super::world::{Happening, World};

/// Datagrams of answers that a guest may receive before its next one.
const AHEAD_MAX: u64 = 3;

/// All guests, and how the relay serves them.
#[derive(Default)]
pub struct Visitors {
    pub rules: Option<GuestRules>,
    by_addr: BTreeMap<SocketAddr, Caller>,
    by_conn: BTreeMap<ConnId, Guest>,
    /// Connections of a relay process that has ended.
    lost: BTreeSet<ConnId>,
}

/// One address that sends datagrams.
pub struct Caller {
    up: Lane,
    down: Lane,
    /// Datagrams and bytes that reached the relay, and that the relay sent.
    came: (u64, u64),
    went: (u64, u64),
    /// No member answers it: everything it receives is automatic.
    pub unanswered: bool,
    pub heard: Vec<String>,
}

/// One connection.
pub struct Guest {
    up: Lane,
    down: Lane,
    last: [Tick; 2],
    bytes: Vec<u8>,
    /// The relay has closed it or has ended.
    pub closed: bool,
}

impl Guest {
    /// Returns everything that it has read.
    pub fn heard(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

impl Visitors {
    pub fn of(rules: Option<GuestRules>) -> Visitors {
        Visitors { rules, ..Visitors::default() }
    }

    pub fn has(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn) || self.lost.contains(&conn)
    }

    pub fn is_at(&self, addr: SocketAddr) -> bool {
        self.by_addr.contains_key(&addr)
    }

    pub fn at(&self, addr: SocketAddr) -> &Caller {
        &self.by_addr[&addr]
    }

    pub fn on(&self, conn: ConnId) -> &Guest {
        &self.by_conn[&conn]
    }

    /// Handles the end of the relay's process.
    pub fn lose_connections(&mut self) {
        for guest in self.by_conn.values_mut() {
            guest.closed = true;
        }
        self.lost.extend(self.by_conn.keys());
    }
}

impl World {
    /// Adds a guest on UDP, with this loss both ways, in thousandths.
    pub fn caller(&mut self, addr: SocketAddr, loss: u64) {
        let lane = || {
            let mut lane = Lane::new(Duration::from_millis(5));
            lane.weather.loss = loss;
            lane
        };
        let up = lane();
        let down = lane();
        let heard = Vec::new();
        let caller = Caller { up, down, came: (0, 0), went: (0, 0), unanswered: false, heard };
        self.visitors.by_addr.insert(addr, caller);
    }

    /// Adds an address that the attacker forges. It receives no more than seems to come from it.
    pub fn forged_caller(&mut self, addr: SocketAddr) {
        self.caller(addr, 0);
        self.visitors.by_addr.get_mut(&addr).expect("it was just made").unanswered = true;
    }

    /// Sends a datagram of the guest.
    pub fn say_by_udp(&mut self, from: SocketAddr, text: &str) {
        let caller = self.visitors.by_addr.get_mut(&from).expect("a caller of this world");
        let arrivals = caller.up.carry(self.now, text.len(), &mut self.rng, &mut self.cover);
        for arrival in arrivals {
            let bytes = text.as_bytes().to_vec();
            self.at(arrival.at, move |world| {
                if world.relay_up_at <= world.now {
                    let caller = world.visitors.by_addr.get_mut(&from).expect("guests are never removed");
                    caller.came = (caller.came.0 + 1, caller.came.1 + bytes.len() as u64);
                    world.tell_relay(Waiting::Packet(Path::Udp(from), bytes));
                }
            });
        }
    }

    pub fn send_to_visitor(&mut self, to: SocketAddr, bytes: &[u8]) {
        let caller = self.visitors.by_addr.get_mut(&to).expect("the caller has checked the address");
        caller.went = (caller.went.0 + 1, caller.went.1 + bytes.len() as u64);
        let came = caller.came;
        let went = caller.went;
        assert!(went.0 <= came.0 + AHEAD_MAX, "{to} sent {} datagrams and gets the {}th", came.0, went.0);
        assert!(!caller.unanswered || went.1 <= came.1, "{to} sent {} bytes and gets {}", came.1, went.1);
        assert!(bytes.len() <= 1_024, "plain-text clients read at most 1,024 bytes");
        let text = String::from_utf8(bytes.to_vec()).expect("no piece ends inside a character");
        for arrival in caller.down.carry(self.now, bytes.len(), &mut self.rng, &mut self.cover) {
            let text = text.clone();
            self.at(arrival.at, move |world| {
                world.visitors.by_addr.get_mut(&to).expect("guests are never removed").heard.push(text);
            });
        }
    }

    /// Connects a guest.
    pub fn guest(&mut self, addr: SocketAddr, loss: u64) -> ConnId {
        let (_, conn) = self.new_conn_id();
        let lane = || {
            let mut lane = Lane::new(Duration::from_millis(5));
            lane.weather.loss = loss;
            lane
        };
        let up = lane();
        let down = lane();
        let guest = Guest { up, down, last: [self.now; 2], bytes: Vec::new(), closed: false };
        self.visitors.by_conn.insert(conn, guest);
        self.tell_relay(Waiting::Other(Input::PathOpened { path: Path::Tcp(conn), remote: addr }));
        conn
    }

    /// Sends text of the guest, in segments cut anywhere.
    pub fn say_by_tcp(&mut self, conn: ConnId, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let len = (1 + self.rng.below(40) as usize).min(rest.len());
            let (bytes, more) = rest.split_at(len);
            rest = more;
            let bytes = bytes.to_vec();
            self.guest_sends(conn, len, move |world| {
                world.tell_relay(Waiting::Text(Path::Tcp(conn), bytes));
            });
        }
    }

    /// Ends the guest's text. The guest still reads.
    pub fn end_by_tcp(&mut self, conn: ConnId) {
        self.guest_sends(conn, 0, move |world| {
            world.tell_relay(Waiting::Other(Input::TextEnded(Path::Tcp(conn))));
        });
    }

    /// Resets the guest's connection.
    pub fn reset_by_guest(&mut self, conn: ConnId) {
        self.guest_sends(conn, 0, move |world| {
            world.visitors.by_conn.get_mut(&conn).expect("guests are never removed").closed = true;
            world.tell_relay(Waiting::Other(Input::PathClosed(Path::Tcp(conn), Why::Reset)));
        });
    }

    fn guest_sends(&mut self, conn: ConnId, len: usize, deed: impl FnOnce(&mut World) + 'static) {
        let guest = self.visitors.by_conn.get_mut(&conn).expect("a guest of this world");
        let at = guest.up.carry_segment(self.now, len, &mut self.rng).max(guest.last[0]);
        guest.last[0] = at;
        self.at(at, move |world| {
            if !world.visitors.on(conn).closed {
                deed(world);
            }
        });
    }

    pub fn write_to_visitor(&mut self, conn: ConnId, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.relay_writes(conn, bytes.len(), move |guest| guest.bytes.extend(bytes));
    }

    pub fn hang_up_on_visitor(&mut self, conn: ConnId) {
        self.relay_writes(conn, 0, |guest| guest.closed = true);
    }

    fn relay_writes(&mut self, conn: ConnId, len: usize, deed: impl FnOnce(&mut Guest) + 'static) {
        let Some(guest) = self.visitors.by_conn.get_mut(&conn) else { return };
        let at = guest.down.carry_segment(self.now, len, &mut self.rng).max(guest.last[1]);
        guest.last[1] = at;
        self.at(at, move |world| {
            let guest = world.visitors.by_conn.get_mut(&conn).expect("guests are never removed");
            deed(guest);
        });
    }

    fn at(&mut self, at: Tick, deed: impl FnOnce(&mut World) + 'static) {
        self.agenda.enter(at, Happening::Deed(Box::new(deed)));
    }
}
