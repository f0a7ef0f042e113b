//! Applies the effects of nodes and delivers their inputs.

use std::time::Duration;

use queqiao::base::{Effect, Input, Path, Why};
use queqiao::client::{self, Command, Event, Incoming, Progress};
use queqiao::relay;
use queqiao::wire::packet::PacketType;

use super::cover::Count;
use super::guard::is_data;
use super::node::Waiting;
use super::tcp::{Conn, Side, Told};
use super::weather::{Arrival, below, chance};
use super::world::{Happening, RELAY_ADDR, World};

/// Datagrams kept for replay.
const OVERHEARD_MAX: usize = 64;
/// Attempts to open a TCP connection before it times out.
const SYN_TRIES_MAX: u32 = 3;
/// Keys at least this old are renewed because of their age.
const REKEY_AGE: Duration = Duration::from_secs(15 * 60 - 1);

impl World {
    pub fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Turn(node) => self.take_turn(node),
            Happening::ToRelay { from, bytes, proves, genuine } => {
                if self.relay_up_at > self.now {
                    return self.icmp_refused(from);
                }
                self.addresses.arrives_at_relay(from, bytes.len(), &proves);
                if genuine && let Some(old) = remember(&mut self.overheard_up, bytes.clone()) {
                    hoard(&mut self.hoard_up, old, &mut self.rng);
                }
                self.tell_relay(Waiting::Packet(Path::Udp(from), bytes));
            }
            Happening::ToClient { public, from, bytes } => {
                self.addresses.arrives_there(public);
                match self.mapped.get(&public).copied() {
                    Some(client) => {
                        self.addresses.arrives_at_station(public, client, &bytes);
                        if let Some(old) = remember(&mut self.overheard_down, (client, bytes.clone())) {
                            hoard(&mut self.hoard_down, old, &mut self.rng);
                        }
                        self.tell_client(client, Waiting::Packet(Path::Udp(from), bytes));
                    }
                    None => self.cover.add(Count::StrayToOldAddress),
                }
            }
            Happening::Syn(conn) => self.try_to_open(conn),
            Happening::Segments(conn, side) => self.deliver_segments(conn, side),
            Happening::CommitEnds { node, life } => self.end_commit(node, life),
            Happening::Resolved { client, life, host } => {
                if self.stations[client].node.life == life {
                    let addrs = self.decoys.among(RELAY_ADDR.parse().unwrap());
                    self.tell_client(client, Waiting::Other(Input::Resolved(host, addrs)));
                }
            }
            Happening::Deed(deed) => deed(self),
        }
    }

    pub fn tell_relay(&mut self, what: Waiting<relay::Command>) {
        self.relay.inbox.push_back(what);
        self.wake(0, self.now);
    }

    pub fn tell_client(&mut self, client: usize, what: Waiting<client::Command>) {
        self.stations[client].node.inbox.push_back(what);
        self.wake(client + 1, self.now);
    }

    fn icmp_refused(&mut self, from: std::net::SocketAddr) {
        if let Some(client) = self.mapped.get(&from).copied() {
            let path = Path::Udp(RELAY_ADDR.parse().unwrap());
            self.tell_client(client, Waiting::Other(Input::SendRefused(path, Why::Refused)));
        }
    }

    // Effects of the relay.

    pub fn carry_out_relay(&mut self) {
        let mut out = std::mem::take(&mut self.relay.out);
        let mut touched = Vec::new();
        for effect in out.effects.drain(..) {
            if let Effect::Send(_, range) = &effect {
                self.fresh.sends((0, self.relay.life), &out.bytes[range.clone()], &mut self.cover);
            }
            match effect {
                Effect::Send(Path::Udp(to), range) => {
                    let client = self.mapped.get(&to).copied();
                    self.make_trouble(client, Some(to), &out.bytes[range.clone()]);
                    self.relay_sends(to, &out.bytes[range]);
                }
                Effect::Send(Path::Tcp(id), range) if self.visitors.has(id) => {
                    self.write_to_visitor(id, &out.bytes[range]);
                }
                Effect::Close(Path::Tcp(id)) if self.visitors.has(id) => self.hang_up_on_visitor(id),
                Effect::Send(Path::Tcp(id), range) => {
                    let client = self.conns.get(&id.0).map(|conn| conn.client);
                    self.make_trouble(client, None, &out.bytes[range.clone()]);
                    if !self.line_takes(id, &out.bytes[range.clone()]) {
                        self.queue_on(id.0, Side::Relay, &out.bytes[range]);
                        touched.push(id.0);
                    }
                }
                Effect::Close(Path::Tcp(id)) => {
                    self.line_is_closed(id);
                    self.close_side(id.0, Side::Relay);
                    touched.push(id.0);
                }
                Effect::Persist(ticket, record) => {
                    self.written.look(self.now, &self.limits, &record);
                    self.persist_of_relay(ticket, record);
                }
                Effect::Load(ticket, query) => self.load_of_relay(ticket, query),
                Effect::Show(event) => self.note(|| format!("relay: {event:?}")),
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
        touched.into_iter().for_each(|conn| self.pump(conn, Side::Relay));
    }

    fn relay_sends(&mut self, to: std::net::SocketAddr, packet: &[u8]) {
        if self.visitors.is_at(to) {
            return self.send_to_visitor(to, packet);
        }
        let hostile = self.hostile.contains_key(&to);
        self.addresses.relay_sends(to, packet, hostile);
        self.datagrams += 1;
        if let Some(intruder) = self.intruder.as_mut().filter(|intruder| intruder.addr == to) {
            intruder.heard.push(packet.to_vec());
            return self.addresses.arrives_there(to);
        }
        if let Some(member) = self.hostile_member.as_mut().filter(|member| member.addr == to) {
            member.heard.push(packet.to_vec());
            return self.addresses.arrives_there(to);
        }
        let Some(client) = self.mapped.get(&to).copied() else { return };
        let lane = &mut self.stations[client].down;
        let arrivals = lane.carry(self.now, packet.len(), &mut self.rng, &mut self.cover);
        self.note(|| format!("relay -> {client} {} {arrivals:?}", describe(packet)));
        for arrival in arrivals {
            let bytes = damaged(packet, arrival);
            let from = RELAY_ADDR.parse().unwrap();
            self.agenda.enter(arrival.at, Happening::ToClient { public: to, from, bytes });
        }
    }

    // Effects of clients.

    pub fn carry_out_client(&mut self, client: usize) {
        let mut out = std::mem::take(&mut self.stations[client].node.out);
        let life = self.stations[client].node.life;
        let mut touched = Vec::new();
        for effect in out.effects.drain(..) {
            if let Effect::Send(_, range) = &effect {
                let bytes = &out.bytes[range.clone()];
                self.fresh.sends((client + 1, life), bytes, &mut self.cover);
                self.stations[client].shakes.look(self.now, life, bytes);
            }
            match effect {
                Effect::Send(Path::Udp(to), _) if self.decoys.has(to) => self.send_to_decoy(client, to),
                Effect::OpenTcp(id, to) if self.decoys.has(to) => self.dial_decoy(client, id, to),
                Effect::Send(Path::Udp(_), range) => self.client_sends(client, &out.bytes[range]),
                Effect::Send(Path::Tcp(id), range) => {
                    if let Some(conn) = self.conn_of(client, id.0) {
                        self.queue_on(conn, Side::Client, &out.bytes[range]);
                        touched.push(conn);
                    }
                }
                Effect::OpenTcp(id, _) => {
                    let (number, relay_id) = self.new_conn_id();
                    let mut conn = Conn::new(client, life, id, relay_id, self.cut);
                    conn.corrupt = self.tcp_corrupt;
                    self.conns.insert(number, conn);
                    self.agenda.enter(self.now, Happening::Syn(number));
                }
                Effect::Close(Path::Tcp(id)) => {
                    if let Some(conn) = self.conn_of(client, id.0) {
                        self.close_side(conn, Side::Client);
                        touched.push(conn);
                    }
                }
                Effect::Persist(ticket, record) => self.persist_of_client(client, ticket, record),
                Effect::LookUp(host) => {
                    let at = self.now + below(&mut self.rng, Duration::from_millis(30));
                    self.agenda.enter(at, Happening::Resolved { client, life, host });
                }
                Effect::Show(event) => self.shown(client, event),
                Effect::Load(..) => panic!("a client loads nothing"),
                Effect::Close(Path::Udp(_)) => {}
                Effect::Send(Path::UdpAt(_), _) | Effect::Close(Path::UdpAt(_)) => {
                    panic!("no input named a local address of a client")
                }
            }
        }
        self.stations[client].node.out = out;
        touched.dedup();
        touched.into_iter().for_each(|conn| self.pump(conn, Side::Client));
    }

    fn client_sends(&mut self, client: usize, packet: &[u8]) {
        self.datagrams += 1;
        self.watch_keys(client, packet);
        let station = &mut self.stations[client];
        let may_shake = packet[1] != PacketType::Init as u8 || station.disk.counter_reserved > 0;
        assert!(may_shake, "client {client} sends a handshake with a counter that is not durable");
        let from = station.public;
        let proves = self.addresses.leaves_station(client, from, packet);
        let arrivals = station.up.carry(self.now, packet.len(), &mut self.rng, &mut self.cover);
        self.note(|| format!("{client} -> relay {} {arrivals:?}", describe(packet)));
        for arrival in arrivals {
            let bytes = damaged(packet, arrival);
            let genuine = arrival.flipped.is_none();
            let proves = proves.clone();
            self.copy_first(client, arrival.at, &bytes);
            self.agenda.enter(arrival.at, Happening::ToRelay { from, bytes, proves, genuine });
        }
    }

    /// Counts keys that are renewed because of their age.
    fn watch_keys(&mut self, client: usize, packet: &[u8]) {
        if !is_data(packet) {
            return;
        }
        let index = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        let epoch = &mut self.stations[client].epoch_since;
        if epoch.is_none_or(|(known, _)| known != index) {
            let old = epoch.replace((index, self.now));
            if old.is_some_and(|(_, since)| self.now.since(since) >= REKEY_AGE) {
                self.cover.add(Count::Rekeys);
            }
        }
    }

    fn shown(&mut self, client: usize, event: Event) {
        self.note(|| format!("client {client}: {}", brief(&event)));
        self.oracle.show(client, &event, &self.relay_disk, &mut self.cover);
        self.check_receipt(client, &event);
        if let Event::Letter(Incoming { relay, from, id, .. }) = &event {
            let relay = relay.clone();
            let from = from.clone();
            let id = *id;
            self.command(client, Command::Shown { relay, from, id, read: true });
        }
        if let Event::Online { .. } = &event {
            let name = &self.stations[client].name;
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
            self.cover.add(count);
        }
        if let Event::Replaced { .. } = event {
            let key = self.stations[client].private_key;
            let machines = self.stations.iter().filter(|station| station.private_key == key).count();
            assert!(machines > 1, "client {client} replaced its own session");
        }
        let station = &mut self.stations[client];
        station.stopped |= matches!(event, Event::Replaced { .. } | Event::NameRefused { .. } | Event::Left);
        station.events.push((self.now, event));
    }

    // TCP.

    pub fn conn_of(&self, client: usize, id: u64) -> Option<u64> {
        let life = self.stations[client].node.life;
        let ours =
            |conn: &Conn| conn.client == client && conn.client_life == life && conn.socket[0].id.0 == id;
        self.conns.iter().find(|(_, conn)| ours(conn)).map(|(number, _)| *number)
    }

    fn queue_on(&mut self, conn: u64, side: Side, packet: &[u8]) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let open = state.side(side).open;
        self.note(|| format!("tcp {conn} of {client}: {side:?} sends {}", describe(packet)));
        let Some(state) = self.conns.get_mut(&conn).filter(|_| open) else { return };
        let queued = state.queue(side, packet);
        assert_eq!(queued, Ok(()), "a core queues no more than the other end takes");
        self.records += 1;
    }

    fn close_side(&mut self, conn: u64, side: Side) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        if state.established {
            state.close(side);
            self.note(|| format!("tcp {conn} of {client}: {side:?} closes"));
        } else {
            self.conns.remove(&conn);
        }
    }

    fn try_to_open(&mut self, conn: u64) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let tries = state.tries;
        state.tries += 1;
        let station = &self.stations[client];
        let rtt = station.up.weather.delay + station.down.weather.delay;
        let hole = station.up.weather.tcp_hole || station.down.weather.tcp_hole;
        let lost = hole || chance(&mut self.rng, station.up.weather.loss.min(500));
        if tries >= SYN_TRIES_MAX {
            self.cover.add(Count::TcpTimedOut);
            self.tell_closed(conn, Side::Client, Why::TimedOut);
            self.conns.remove(&conn);
        } else if lost {
            self.agenda.enter(self.now + Duration::from_secs(1 << tries), Happening::Syn(conn));
        } else if !self.has_tcp || self.relay_up_at > self.now {
            self.cover.add(Count::TcpRefused);
            self.later(rtt, move |world| {
                world.tell_closed(conn, Side::Client, Why::Refused);
                world.conns.remove(&conn);
            });
        } else {
            self.later(rtt, move |world| world.open(conn));
        }
    }

    fn open(&mut self, conn: u64) {
        let relay_up = self.relay_up_at <= self.now;
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let client_id = state.socket[0].id;
        let relay_id = state.socket[1].id;
        if self.stations[client].node.life != state.client_life || !relay_up {
            self.conns.remove(&conn);
            return;
        }
        state.established = true;
        state.socket.iter_mut().for_each(|socket| socket.open = true);
        self.cover.add(Count::TcpOpened);
        self.note(|| format!("tcp {conn} of {client} is open"));
        let remote = self.stations[client].public;
        let dialled = Input::PathOpened { path: Path::Tcp(client_id), remote: RELAY_ADDR.parse().unwrap() };
        let accepted = Input::PathOpened { path: Path::Tcp(relay_id), remote };
        self.tell_client(client, Waiting::Other(dialled));
        self.tell_relay(Waiting::Other(accepted));
        self.pump(conn, Side::Client);
    }

    pub fn pump(&mut self, conn: u64, side: Side) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let now = self.now;
        let station = &mut self.stations[client];
        let lane = if side == Side::Client { &mut station.up } else { &mut station.down };
        let (arrives, report) = state.pump(side, now, lane, &mut self.rng);
        self.cover.add_many(Count::TcpCorrupted, std::mem::take(&mut state.flipped));
        let id = state.side(side).id;
        if let Some(at) = arrives {
            self.agenda.enter(at, Happening::Segments(conn, side.other()));
        }
        if let Some(unsent) = report {
            let path = Path::Tcp(id);
            match side {
                Side::Client => self.tell_client(client, Waiting::Other(Input::Unsent(path, unsent))),
                Side::Relay => self.tell_relay(Waiting::Other(Input::Unsent(path, unsent))),
            }
        }
    }

    fn deliver_segments(&mut self, conn: u64, side: Side) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let station = &self.stations[state.client];
        let lane = if side == Side::Client { &station.down } else { &station.up };
        let mut told = Vec::new();
        let path = Path::Tcp(state.side(side).id);
        match state.deliver(side, self.now, lane.weather.tcp_hole, &mut told) {
            Err(again) => return self.agenda.enter(again, Happening::Segments(conn, side)),
            Ok(segments) => self.cover.add_many(Count::TcpSegments, segments),
        }
        if let Some(next) = state.next_arrival(side, self.now) {
            self.agenda.enter(next, Happening::Segments(conn, side));
        }
        for told in told {
            match told {
                Told::Closed(why) => self.tell_closed(conn, side, why),
                Told::Packet(bytes) if side == Side::Client => {
                    let client = self.conns[&conn].client;
                    self.tell_client(client, Waiting::Packet(path, bytes));
                }
                Told::Packet(bytes) => {
                    self.note_keys_in_use(conn, &bytes);
                    self.tell_relay(Waiting::Packet(path, bytes));
                }
            }
        }
        self.pump(conn, Side::Client);
        self.pump(conn, Side::Relay);
        if self.conns.get(&conn).is_some_and(Conn::is_over) {
            self.conns.remove(&conn);
        }
    }

    /// Records that a client uses its session keys.
    ///
    /// A sender of data packets has received the handshake response. If that went to its UDP
    /// address, the address is proven, although the data arrives over TCP.
    fn note_keys_in_use(&mut self, conn: u64, packet: &[u8]) {
        if is_data(packet) {
            let addr = self.stations[self.conns[&conn].client].public;
            let proves = self.addresses.leaves(addr);
            self.addresses.arrives_at_relay(addr, 0, &proves);
        }
    }

    fn tell_closed(&mut self, conn: u64, side: Side, why: Why) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        let client = state.client;
        let life = state.client_life;
        let id = state.side(side).id;
        state.side(side).open = false;
        let path = Path::Tcp(id);
        self.note(|| format!("tcp {conn} of {client}: {side:?} sees {why:?}"));
        match side {
            Side::Client if self.stations[client].node.life == life => {
                self.tell_client(client, Waiting::Other(Input::PathClosed(path, why)));
            }
            Side::Client => {}
            Side::Relay => self.tell_relay(Waiting::Other(Input::PathClosed(path, why))),
        }
    }

    /// Resets a connection: both ends see it break, and data in transit is lost.
    pub fn reset(&mut self, conn: u64) {
        for side in [Side::Client, Side::Relay] {
            let opening = side == Side::Client && self.conns.get(&conn).is_some_and(|c| !c.established);
            let open = self.conns.get_mut(&conn).is_some_and(|c| c.side(side).open);
            if open || opening {
                self.tell_closed(conn, side, Why::Reset);
            }
        }
        self.conns.remove(&conn);
        self.cover.add(Count::TcpResets);
    }
}

/// Appends to the list. Returns the oldest element if that had to make space.
fn remember<T>(list: &mut std::collections::VecDeque<T>, what: T) -> Option<T> {
    let old = if list.len() >= OVERHEARD_MAX { list.pop_front() } else { None };
    list.push_back(what);
    old
}

/// Keeps one element in twenty, until later ones push it out.
fn hoard<T>(list: &mut std::collections::VecDeque<T>, what: T, rng: &mut queqiao::base::Rng) {
    if chance(rng, 50) {
        remember(list, what);
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
