//! Applies the effects of nodes and delivers their inputs.

use std::time::Duration;

use queqiao::base::{Effect, Input, Path, PathError};
use queqiao::client::{self, Command, Event, Incoming, Progress};
use queqiao::relay;
use queqiao::wire::packet::PacketType;

use super::coverage::Count;
use super::invariants::is_data;
use super::link_conditions::{Arrival, below, chance};
use super::node::PendingInput;
use super::simulation::{RELAY_ADDR, SimEvent, Simulation};
use super::tcp::{Conn, Side, SocketEvent};

/// Datagrams kept for replay.
const OVERHEARD_MAX: usize = 64;
/// Attempts to open a TCP connection before it times out.
const SYN_TRIES_MAX: u32 = 3;
/// Keys at least this old are renewed because of their age.
const REKEY_AGE: Duration = Duration::from_secs(15 * 60 - 1);

impl Simulation {
    pub fn handle_event(&mut self, event: SimEvent) {
        match event {
            SimEvent::Turn(node) => self.take_turn(node),
            SimEvent::ToRelay { from, bytes, proves, genuine } => {
                if self.relay_up_at > self.now {
                    return self.icmp_refused(from);
                }
                self.address_limits.record_arrival_at_relay(from, bytes.len(), &proves);
                if genuine && let Some(old) = push_bounded(&mut self.overheard_up, bytes.clone()) {
                    keep_some(&mut self.kept_up, old, &mut self.rng);
                }
                self.push_relay_input(PendingInput::Packet(Path::Udp(from), bytes));
            }
            SimEvent::ToClient { public, from, bytes } => {
                self.address_limits.record_arrival(public);
                match self.mapped.get(&public).copied() {
                    Some(client) => {
                        self.address_limits.record_arrival_at_machine(public, client, &bytes);
                        if let Some(old) = push_bounded(&mut self.overheard_down, (client, bytes.clone())) {
                            keep_some(&mut self.kept_down, old, &mut self.rng);
                        }
                        self.push_client_input(client, PendingInput::Packet(Path::Udp(from), bytes));
                    }
                    None => self.coverage.add(Count::StrayToOldAddress),
                }
            }
            SimEvent::Syn(conn) => self.try_connect_tcp(conn),
            SimEvent::Segments(conn, side) => self.deliver_tcp(conn, side),
            SimEvent::CommitEnds { node, incarnation } => self.end_commit(node, incarnation),
            SimEvent::Resolved { client, incarnation, host } => {
                if self.machines[client].node.incarnation == incarnation {
                    let addrs = self.decoys.among(RELAY_ADDR.parse().unwrap());
                    self.push_client_input(client, PendingInput::Other(Input::Resolved(host, addrs)));
                }
            }
            SimEvent::ScheduledAction(action) => action(self),
        }
    }

    pub fn push_relay_input(&mut self, what: PendingInput<relay::Command>) {
        self.relay.inputs.push_back(what);
        self.wake(0, self.now);
    }

    pub fn push_client_input(&mut self, client: usize, what: PendingInput<client::Command>) {
        self.machines[client].node.inputs.push_back(what);
        self.wake(client + 1, self.now);
    }

    fn icmp_refused(&mut self, from: std::net::SocketAddr) {
        if let Some(client) = self.mapped.get(&from).copied() {
            let path = Path::Udp(RELAY_ADDR.parse().unwrap());
            self.push_client_input(client, PendingInput::Other(Input::SendRefused(path, PathError::Refused)));
        }
    }

    // Effects of the relay.

    pub fn apply_relay_effects(&mut self) {
        let mut out = std::mem::take(&mut self.relay.out);
        let mut touched = Vec::new();
        for effect in out.effects.drain(..) {
            if let Effect::Send(_, range) = &effect {
                self.uniqueness.check_packet(
                    (0, self.relay.incarnation),
                    &out.bytes[range.clone()],
                    &mut self.coverage,
                );
            }
            match effect {
                Effect::Send(Path::Udp(to), range) => {
                    let client = self.mapped.get(&to).copied();
                    self.feed_handshake_attacks(client, Some(to), &out.bytes[range.clone()]);
                    self.send_from_relay(to, &out.bytes[range]);
                }
                Effect::Send(Path::Tcp(id), range) if self.guests.has_conn(id) => {
                    self.deliver_to_tcp_guest(id, &out.bytes[range]);
                }
                Effect::Close(Path::Tcp(id)) if self.guests.has_conn(id) => self.close_tcp_guest(id),
                Effect::Send(Path::Tcp(id), range) => {
                    let client = self.conns.get(&id.0).map(|conn| conn.client);
                    self.feed_handshake_attacks(client, None, &out.bytes[range.clone()]);
                    if !self.deliver_to_hostile_tcp(id, &out.bytes[range.clone()]) {
                        self.queue_on_tcp(id.0, Side::Relay, &out.bytes[range]);
                        touched.push(id.0);
                    }
                }
                Effect::Close(Path::Tcp(id)) => {
                    self.coverage.add(Count::TcpClosedByRelay);
                    self.remove_hostile_tcp(id);
                    self.close_tcp_side(id.0, Side::Relay);
                    touched.push(id.0);
                }
                Effect::Persist(ticket, record) => {
                    self.list_writes.check_record(self.now, &self.limits, &record);
                    self.persist_for_relay(ticket, record);
                }
                Effect::Load(ticket, query) => self.load_for_relay(ticket, query),
                Effect::Show(event) => self.log(|| format!("relay: {event:?}")),
                Effect::Close(Path::Udp(_)) => {}
                Effect::Send(Path::UdpAt(_), _) | Effect::Close(Path::UdpAt(_)) => {
                    panic!("no input named a local address of the relay")
                }
                Effect::OpenTcp(..) | Effect::LookUp(_) => {
                    panic!("a relay neither opens connections nor resolves names")
                }
            }
        }
        self.relay.out = out;
        touched.dedup();
        touched.into_iter().for_each(|conn| self.pump_tcp(conn, Side::Relay));
    }

    fn send_from_relay(&mut self, to: std::net::SocketAddr, packet: &[u8]) {
        if self.guests.has_addr(to) {
            return self.deliver_to_udp_guest(to, packet);
        }
        let hostile = self.hostile_addrs.contains_key(&to);
        self.address_limits.check_relay_send(to, packet, hostile);
        self.datagrams += 1;
        if let Some(violator) = self.violator.as_mut().filter(|violator| violator.addr == to) {
            violator.received.push(packet.to_vec());
            return self.address_limits.record_arrival(to);
        }
        if let Some(member) = self.hostile_member.as_mut().filter(|member| member.addr == to) {
            member.received.push(packet.to_vec());
            return self.address_limits.record_arrival(to);
        }
        let Some(client) = self.mapped.get(&to).copied() else { return };
        let direction = &mut self.machines[client].down;
        let arrivals = direction.transmit(self.now, packet.len(), &mut self.rng, &mut self.coverage);
        self.log(|| format!("relay -> {client} {} {arrivals:?}", describe(packet)));
        for arrival in arrivals {
            let bytes = damaged(packet, arrival);
            let from = RELAY_ADDR.parse().unwrap();
            self.event_queue.push(arrival.at, SimEvent::ToClient { public: to, from, bytes });
        }
    }

    // Effects of clients.

    pub fn apply_client_effects(&mut self, client: usize) {
        let mut out = std::mem::take(&mut self.machines[client].node.out);
        let incarnation = self.machines[client].node.incarnation;
        let mut touched = Vec::new();
        for effect in out.effects.drain(..) {
            if let Effect::Send(_, range) = &effect {
                let bytes = &out.bytes[range.clone()];
                self.uniqueness.check_packet((client + 1, incarnation), bytes, &mut self.coverage);
                self.machines[client].handshakes.check_packet(self.now, incarnation, bytes);
            }
            match effect {
                Effect::Send(Path::Udp(to), _) if self.decoys.has(to) => self.send_to_decoy(client, to),
                Effect::OpenTcp(id, to) if self.decoys.has(to) => self.dial_decoy(client, id, to),
                Effect::Send(Path::Udp(_), range) => self.send_from_client(client, &out.bytes[range]),
                Effect::Send(Path::Tcp(id), range) => {
                    if let Some(conn) = self.tcp_conn_of(client, id.0) {
                        self.queue_on_tcp(conn, Side::Client, &out.bytes[range]);
                        touched.push(conn);
                    }
                }
                Effect::OpenTcp(id, _) => {
                    let (number, relay_id) = self.new_conn_id();
                    let mut conn = Conn::new(client, incarnation, id, relay_id, self.segment_max);
                    conn.corrupt = self.tcp_corrupt;
                    self.conns.insert(number, conn);
                    self.event_queue.push(self.now, SimEvent::Syn(number));
                }
                Effect::Close(Path::Tcp(id)) => {
                    if let Some(conn) = self.tcp_conn_of(client, id.0) {
                        self.close_tcp_side(conn, Side::Client);
                        touched.push(conn);
                    }
                }
                Effect::Persist(ticket, record) => self.persist_for_client(client, ticket, record),
                Effect::LookUp(host) => {
                    let at = self.now + below(&mut self.rng, Duration::from_millis(30));
                    self.event_queue.push(at, SimEvent::Resolved { client, incarnation, host });
                }
                Effect::Show(event) => self.handle_client_event(client, event),
                Effect::Load(..) => panic!("a client loads nothing"),
                Effect::Close(Path::Udp(_)) => {}
                Effect::Send(Path::UdpAt(_), _) | Effect::Close(Path::UdpAt(_)) => {
                    panic!("no input named a local address of a client")
                }
            }
        }
        self.machines[client].node.out = out;
        touched.dedup();
        touched.into_iter().for_each(|conn| self.pump_tcp(conn, Side::Client));
    }

    fn send_from_client(&mut self, client: usize, packet: &[u8]) {
        self.datagrams += 1;
        self.count_rekeys(client, packet);
        let machine = &mut self.machines[client];
        let may_shake = packet[1] != PacketType::Init as u8 || machine.disk.counter_reserved > 0;
        assert!(may_shake, "client {client} sends a handshake with a counter that is not durable");
        let from = machine.public;
        let proves = self.address_limits.provable_addrs_of_machine(client, from, packet);
        let arrivals = machine.up.transmit(self.now, packet.len(), &mut self.rng, &mut self.coverage);
        self.log(|| format!("{client} -> relay {} {arrivals:?}", describe(packet)));
        for arrival in arrivals {
            let bytes = damaged(packet, arrival);
            let genuine = arrival.flipped.is_none();
            let proves = proves.clone();
            self.copy_first(client, arrival.at, &bytes);
            self.event_queue.push(arrival.at, SimEvent::ToRelay { from, bytes, proves, genuine });
        }
    }

    /// Counts keys that are renewed because of their age.
    fn count_rekeys(&mut self, client: usize, packet: &[u8]) {
        if !is_data(packet) {
            return;
        }
        let index = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        let epoch = &mut self.machines[client].epoch_since;
        if epoch.is_none_or(|(known, _)| known != index) {
            let old = epoch.replace((index, self.now));
            if old.is_some_and(|(_, since)| self.now.since(since) >= REKEY_AGE) {
                self.coverage.add(Count::Rekeys);
            }
        }
    }

    fn handle_client_event(&mut self, client: usize, event: Event) {
        self.log(|| format!("client {client}: {}", brief(&event)));
        self.oracle.check_event(client, &event, &self.relay_disk, &mut self.coverage);
        self.check_receipt(client, &event);
        if let Event::Letter(Incoming { relay, from, id, .. }) = &event {
            let relay = relay.clone();
            let from = from.clone();
            let id = *id;
            self.send_command(client, Command::Shown { relay, from, id, read: true });
        }
        if let Event::Online { .. } = &event {
            let name = &self.machines[client].name;
            let kept = self.relay_disk.members.iter().any(|(member, _)| member.as_str() == name);
            assert!(kept, "client {client} was welcomed under a name that is not durable");
        }
        if let Event::Pinned { key, .. } = &event {
            assert_eq!(
                *key,
                self.relay.core.public_key(),
                "client {client} pinned a key that the relay has not proved"
            );
        }
        let count = match &event {
            Event::Online { .. } => Some(Count::Online),
            Event::Lost { .. } => Some(Count::Lost),
            Event::Replaced { .. } => Some(Count::Replaced),
            Event::Unreached { .. } => Some(Count::Unreached),
            Event::Pinned { .. } => Some(Count::Pinned),
            Event::Pong { .. } => Some(Count::Pongs),
            _ => None,
        };
        if let Some(count) = count {
            self.coverage.add(count);
        }
        if let Event::Replaced { .. } = event {
            let key = self.machines[client].private_key;
            let machines = self.machines.iter().filter(|machine| machine.private_key == key).count();
            assert!(machines > 1, "client {client} replaced its own session");
        }
        let machine = &mut self.machines[client];
        machine.stopped |= matches!(event, Event::Replaced { .. } | Event::NameRefused { .. } | Event::Left);
        machine.events.push((self.now, event));
    }

    // TCP.

    pub fn tcp_conn_of(&self, client: usize, id: u64) -> Option<u64> {
        let incarnation = self.machines[client].node.incarnation;
        let ours = |conn: &Conn| {
            conn.client == client && conn.client_incarnation == incarnation && conn.socket[0].id.0 == id
        };
        self.conns.iter().find(|(_, conn)| ours(conn)).map(|(number, _)| *number)
    }

    fn queue_on_tcp(&mut self, conn: u64, side: Side, packet: &[u8]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let open = state.side(side).open;
        self.log(|| format!("tcp {conn} of {client}: {side:?} sends {}", describe(packet)));
        let Some(state) = self.conns.get_mut(&conn).filter(|_| open) else { return };
        let queued = state.queue(side, packet);
        assert_eq!(queued, Ok(()), "a core queues no more than the other end takes");
        self.records += 1;
    }

    fn close_tcp_side(&mut self, conn: u64, side: Side) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        if state.established {
            state.close(side);
            self.log(|| format!("tcp {conn} of {client}: {side:?} closes"));
        } else {
            self.conns.remove(&conn);
        }
    }

    fn try_connect_tcp(&mut self, conn: u64) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let tries = state.tries;
        state.tries += 1;
        let machine = &self.machines[client];
        let rtt = machine.up.conditions.delay + machine.down.conditions.delay;
        let hole = machine.up.conditions.tcp_hole || machine.down.conditions.tcp_hole;
        let lost = hole || chance(&mut self.rng, machine.up.conditions.loss.min(500));
        if tries >= SYN_TRIES_MAX {
            self.coverage.add(Count::TcpTimedOut);
            self.report_tcp_closed(conn, Side::Client, PathError::TimedOut);
            self.conns.remove(&conn);
        } else if lost {
            self.event_queue.push(self.now + Duration::from_secs(1 << tries), SimEvent::Syn(conn));
        } else if !self.has_tcp || self.relay_up_at > self.now {
            self.coverage.add(Count::TcpRefused);
            self.schedule(rtt, move |sim| {
                sim.report_tcp_closed(conn, Side::Client, PathError::Refused);
                sim.conns.remove(&conn);
            });
        } else {
            self.schedule(rtt, move |sim| sim.establish_tcp(conn));
        }
    }

    fn establish_tcp(&mut self, conn: u64) {
        let relay_up = self.relay_up_at <= self.now;
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let client_id = state.socket[0].id;
        let relay_id = state.socket[1].id;
        if self.machines[client].node.incarnation != state.client_incarnation || !relay_up {
            self.conns.remove(&conn);
            return;
        }
        state.established = true;
        state.socket.iter_mut().for_each(|socket| socket.open = true);
        self.coverage.add(Count::TcpOpened);
        self.log(|| format!("tcp {conn} of {client} is open"));
        let remote = self.machines[client].public;
        let dialled = Input::PathOpened { path: Path::Tcp(client_id), remote: RELAY_ADDR.parse().unwrap() };
        let accepted = Input::PathOpened { path: Path::Tcp(relay_id), remote };
        self.push_client_input(client, PendingInput::Other(dialled));
        self.push_relay_input(PendingInput::Other(accepted));
        self.pump_tcp(conn, Side::Client);
    }

    pub fn pump_tcp(&mut self, conn: u64, side: Side) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let now = self.now;
        let machine = &mut self.machines[client];
        let direction = if side == Side::Client { &mut machine.up } else { &mut machine.down };
        let (arrives, report) = state.pump(side, now, direction, &mut self.rng);
        self.coverage.add_many(Count::TcpCorrupted, std::mem::take(&mut state.flipped));
        let id = state.side(side).id;
        if let Some(at) = arrives {
            self.event_queue.push(at, SimEvent::Segments(conn, side.other()));
        }
        if let Some(unsent) = report {
            let path = Path::Tcp(id);
            match side {
                Side::Client => {
                    self.push_client_input(client, PendingInput::Other(Input::Unsent(path, unsent)))
                }
                Side::Relay => self.push_relay_input(PendingInput::Other(Input::Unsent(path, unsent))),
            }
        }
    }

    fn deliver_tcp(&mut self, conn: u64, side: Side) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let machine = &self.machines[state.client];
        let direction = if side == Side::Client { &machine.down } else { &machine.up };
        let mut events = Vec::new();
        let path = Path::Tcp(state.side(side).id);
        match state.deliver(side, self.now, direction.conditions.tcp_hole, &mut events) {
            Err(again) => return self.event_queue.push(again, SimEvent::Segments(conn, side)),
            Ok(segments) => self.coverage.add_many(Count::TcpSegments, segments),
        }
        if let Some(next) = state.next_arrival(side, self.now) {
            self.event_queue.push(next, SimEvent::Segments(conn, side));
        }
        for event in events {
            match event {
                SocketEvent::Closed(reason) => self.report_tcp_closed(conn, side, reason),
                SocketEvent::Packet(bytes) if side == Side::Client => {
                    let client = self.conns[&conn].client;
                    self.push_client_input(client, PendingInput::Packet(path, bytes));
                }
                SocketEvent::Packet(bytes) => {
                    self.record_keys_in_use(conn, &bytes);
                    self.push_relay_input(PendingInput::Packet(path, bytes));
                }
            }
        }
        self.pump_tcp(conn, Side::Client);
        self.pump_tcp(conn, Side::Relay);
        if self.conns.get(&conn).is_some_and(Conn::is_over) {
            self.conns.remove(&conn);
        }
    }

    /// Records that a client uses its session keys.
    ///
    /// A sender of data packets has received the handshake response. If that went to its UDP
    /// address, the address is proven, although the data arrives over TCP.
    fn record_keys_in_use(&mut self, conn: u64, packet: &[u8]) {
        if is_data(packet) {
            let addr = self.machines[self.conns[&conn].client].public;
            let proves = self.address_limits.provable_addrs(addr);
            self.address_limits.record_arrival_at_relay(addr, 0, &proves);
        }
    }

    fn report_tcp_closed(&mut self, conn: u64, side: Side, reason: PathError) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let incarnation = state.client_incarnation;
        let id = state.side(side).id;
        state.side(side).open = false;
        let path = Path::Tcp(id);
        self.log(|| format!("tcp {conn} of {client}: {side:?} sees {reason:?}"));
        match side {
            Side::Client if self.machines[client].node.incarnation == incarnation => {
                self.push_client_input(client, PendingInput::Other(Input::PathClosed(path, reason)));
            }
            Side::Client => {}
            Side::Relay => self.push_relay_input(PendingInput::Other(Input::PathClosed(path, reason))),
        }
    }

    /// Resets a connection: both ends see it break, and data in transit is lost.
    pub fn reset_tcp(&mut self, conn: u64) {
        for side in [Side::Client, Side::Relay] {
            let opening = side == Side::Client && self.conns.get(&conn).is_some_and(|c| !c.established);
            let open = self.conns.get_mut(&conn).is_some_and(|c| c.side(side).open);
            if open || opening {
                self.report_tcp_closed(conn, side, PathError::Reset);
            }
        }
        self.conns.remove(&conn);
        self.coverage.add(Count::TcpResets);
    }
}

/// Appends to the list. Returns the oldest element if that had to make space.
fn push_bounded<T>(list: &mut std::collections::VecDeque<T>, what: T) -> Option<T> {
    let old = if list.len() >= OVERHEARD_MAX { list.pop_front() } else { None };
    list.push_back(what);
    old
}

/// Keeps one element in twenty, until later ones push it out.
fn keep_some<T>(list: &mut std::collections::VecDeque<T>, what: T, rng: &mut queqiao::base::Rng) {
    if chance(rng, 50) {
        push_bounded(list, what);
    }
}

fn damaged(packet: &[u8], arrival: Arrival) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    if let Some(bit) = arrival.flipped {
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    bytes
}

fn describe(packet: &[u8]) -> String {
    let number = packet.get(8..16).map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
    match packet[1] {
        1 => format!("INIT {}", packet.len()),
        2 => format!("RESPONSE {}", packet.len()),
        4 => format!("KEY_QUERY {}", packet.len()),
        5 => format!("KEY_ANSWER {}", packet.len()),
        6 => format!("DATA #{number} {}", packet.len()),
        other => format!("type {other} {}", packet.len()),
    }
}

fn brief(event: &Event) -> String {
    match event {
        Event::Letter(letter) => {
            format!("letter {} from {}, {} B", letter.id, letter.from, letter.text.len())
        }
        Event::Refused { request, id, reason, may_have_arrived, .. } => {
            format!("letter {request} ({id}) refused: {reason:?}, may have arrived: {may_have_arrived}")
        }
        Event::Progress { request, progress: Progress::Delivered, .. } => {
            format!("letter {request} delivered")
        }
        other => format!("{other:?}"),
    }
}
