//! Connections of a client in the log, at level `debug`: look-ups, connects, handshakes, chosen
//! paths and the events that follow.
//!
//! Everything is read from inputs, effects and events, so the core writes no log. Data packets are
//! not logged.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::base::{Carrier, Effect, HostPort, Input, Outputs, Path};
use crate::client::{Client, Event};
use crate::wire::packet::{self, Packet};

/// Target of these lines.
const TARGET: &str = "queqiao::client";

macro_rules! tell {
    ($($arg:tt)*) => { log::debug!(target: TARGET, $($arg)*) };
}

/// The paths and connections as last logged.
#[derive(Debug, Default)]
pub(super) struct ConnectionLog {
    selected: BTreeMap<HostPort, Path>,
    conns: BTreeMap<u64, SocketAddr>,
}

impl ConnectionLog {
    /// Whether anything would be logged.
    pub(super) fn is_enabled() -> bool {
        log::log_enabled!(target: TARGET, log::Level::Debug)
    }

    /// Logs an input, before the core handles it.
    pub(super) fn handle_input<C>(&mut self, input: &Input<'_, C>) {
        match input {
            Input::Packet { path, bytes } => {
                if let Some(what) = parsed(path.carrier(), bytes).and_then(|packet| received(&packet)) {
                    tell!("{what} from {}", self.place(*path));
                }
            }
            Input::PathOpened { path, remote } => tell!("{} is open, to {remote}", self.place(*path)),
            Input::PathClosed(path, reason) => {
                tell!("{} has closed: {reason:?}", self.place(*path));
                if let Path::Tcp(conn) = path {
                    self.conns.remove(&conn.0);
                }
            }
            Input::SendRefused(path, reason) => tell!("{} refuses packets: {reason:?}", self.place(*path)),
            Input::Unresolved(host) => tell!("no name server answers for {host}"),
            Input::Resolved(host, addrs) if addrs.is_empty() => tell!("{host} has no address"),
            Input::Resolved(host, addrs) => tell!("{host} has the addresses {addrs:?}"),
            _ => {}
        }
    }

    /// Logs the effects of a turn, before they are carried out.
    pub(super) fn handle_outputs<R>(&mut self, out: &Outputs<R, Event>) {
        for effect in &out.effects {
            match effect {
                Effect::Send(path, range) => {
                    let packet = parsed(path.carrier(), &out.bytes[range.clone()]);
                    if let Some(what) = packet.and_then(|packet| sent(&packet)) {
                        tell!("{what} to {}", self.place(*path));
                    }
                }
                Effect::OpenTcp(conn, addr) => {
                    self.conns.insert(conn.0, *addr);
                    tell!("{}: connecting", self.place(Path::Tcp(*conn)));
                }
                Effect::Close(path @ Path::Tcp(conn)) => {
                    tell!("{}: closing", self.place(*path));
                    self.conns.remove(&conn.0);
                }
                Effect::LookUp(host) => tell!("looking up {host}"),
                _ => {}
            }
        }
    }

    /// Logs paths that a client has chosen since the last call.
    pub(super) fn handle_client(&mut self, client: &Client) {
        // A relay without a path is left as it is: while UDP is tested again, no path is chosen.
        for (relay, path) in client.selected_paths() {
            if self.selected.get(relay) != Some(&path) {
                tell!("{relay}: path chosen: {}", self.place(path));
                self.selected.insert(relay.clone(), path);
            }
        }
    }

    /// Logs an event of a client in this process or in the one that works for it.
    pub(super) fn handle_event(&self, event: &Event) {
        match event {
            Event::Online { relay, via } => tell!("{relay}: signed in over {via}"),
            Event::Moved { relay, via, reason } => tell!("{relay}: switched to {via}: {reason:?}"),
            Event::TcpUnreached { relay, is_refused: true } => tell!("{relay}: TCP refused; stays on UDP"),
            Event::TcpUnreached { relay, .. } => tell!("{relay}: no answer over TCP; stays on UDP"),
            Event::Lost { relay } => tell!("{relay}: session lost"),
            Event::Unreached { relay, reason } => tell!("{relay}: not reached: {reason:?}"),
            Event::NameRefused { relay, reason, .. } => tell!("{relay}: name refused: {reason:?}"),
            Event::Replaced { relay } => tell!("{relay}: replaced by another machine"),
            _ => {}
        }
    }

    fn place(&self, path: Path) -> String {
        match path {
            Path::Tcp(conn) => match self.conns.get(&conn.0) {
                Some(addr) => format!("tcp {addr} (connection {})", conn.0),
                None => format!("tcp connection {}", conn.0),
            },
            path => path.udp_peer().map_or_else(String::new, |addr| format!("udp {addr}")),
        }
    }
}

fn parsed(carrier: Carrier, bytes: &[u8]) -> Option<Packet<'_>> {
    packet::parse(carrier, bytes).ok()
}

const fn sent(packet: &Packet<'_>) -> Option<&'static str> {
    match packet {
        Packet::Init(_) => Some("handshake"),
        Packet::KeyQuery { .. } => Some("question for the relay's key"),
        _ => None,
    }
}

const fn received(packet: &Packet<'_>) -> Option<&'static str> {
    match packet {
        Packet::Response { .. } => Some("answer to the handshake"),
        Packet::Cookie { .. } => Some("cookie (the relay is under load)"),
        Packet::KeyAnswer { .. } => Some("the relay's key"),
        Packet::Reset { .. } => Some("reset (the relay does not know the session)"),
        _ => None,
    }
}
