//! Tests of the module's interface, over real loopback sockets.

mod others;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::base::{ConnId, Effect, HostPort, Input, InputSource, Outputs, Path, PathError, Ticket};

type Out = Outputs<&'static str, &'static str>;

/// Longest wait for an event, far longer than anything on loopback takes. A test that reaches it
/// has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// An input as an owned value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SeenInput {
    Packet(Path, Vec<u8>),
    Text(Path, Vec<u8>),
    TextEnded(Path),
    Opened(Path, SocketAddr),
    Closed(Path, PathError),
    Refused(Path, PathError),
    Unsent(Path, usize),
    Committed(Ticket),
    NotCommitted(Ticket),
    Resolved(HostPort, Vec<SocketAddr>),
    Command(u32),
}

/// A [`Net`] with the inputs it received.
struct NetUnderTest {
    net: Net<u32>,
    out: Out,
    seen: Vec<SeenInput>,
}

impl NetUnderTest {
    fn new(config: NetConfig<u32>) -> NetUnderTest {
        NetUnderTest { net: Net::new(config).unwrap(), out: Outputs::default(), seen: Vec::new() }
    }

    fn relay() -> NetUnderTest {
        let any = "127.0.0.1:0".parse().unwrap();
        NetUnderTest::new(NetConfig::relay(any, Some(any)))
    }

    fn client() -> NetUnderTest {
        NetUnderTest::new(NetConfig::client())
    }

    /// Runs one turn that waits 1 ms at most.
    fn turn(&mut self) {
        let deadline = self.net.now().tick + Duration::from_millis(1);
        self.net.wait(Some(deadline));
        for _ in 0..crate::base::TURN_INPUTS_MAX {
            let Some(input) = self.net.next_input() else { break };
            self.seen.push(match input {
                Input::Packet { path, bytes } => SeenInput::Packet(path, bytes.to_vec()),
                Input::Text { path, bytes } => SeenInput::Text(path, bytes.to_vec()),
                Input::TextEnded(path) => SeenInput::TextEnded(path),
                Input::PathOpened { path, remote } => SeenInput::Opened(path, remote),
                Input::PathClosed(path, reason) => SeenInput::Closed(path, reason),
                Input::SendRefused(path, reason) => SeenInput::Refused(path, reason),
                Input::Unsent(path, len) => SeenInput::Unsent(path, len),
                Input::Committed(ticket) => SeenInput::Committed(ticket),
                Input::NotCommitted(ticket) => SeenInput::NotCommitted(ticket),
                Input::Rows(ticket, _) => panic!("no rows were requested with {ticket:?}"),
                Input::Resolved(host, addrs) => SeenInput::Resolved(host, addrs),
                Input::Unresolved(host) => panic!("no name server answered for {host}"),
                Input::Command(command) => SeenInput::Command(command),
            });
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        self.net.carry_out(&mut self.out, |effect| panic!("unexpected effect: {effect:?}"));
    }

    fn send(&mut self, path: Path, packets: &[Vec<u8>]) {
        packets.iter().for_each(|packet| self.out.send(path, packet));
        self.carry_out();
    }

    fn act(&mut self, effect: Effect<&'static str, &'static str>) {
        self.out.effects.push(effect);
        self.carry_out();
    }

    /// Runs turns until a `wanted` input arrives, and returns it.
    fn until(&mut self, wanted: impl Fn(&SeenInput) -> bool) -> SeenInput {
        self.turn_until(|end| end.seen.iter().find(|got| wanted(got)).cloned())
    }

    fn turn_until<T>(&mut self, done: impl Fn(&NetUnderTest) -> Option<T>) -> T {
        let patience = self.net.now().tick + PATIENCE;
        loop {
            if let Some(value) = done(self) {
                return value;
            }
            assert!(self.net.now().tick < patience, "no such input; received {:?}", self.seen);
            self.turn();
        }
    }

    fn packets(&self) -> Vec<Vec<u8>> {
        let packet = |got: &SeenInput| match got {
            SeenInput::Packet(_, bytes) => Some(bytes.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(packet).collect()
    }

    fn packets_until(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.turn_until(|end| Some(end.packets()).filter(|packets| packets.len() >= count))
    }

    /// Returns the path on which a packet arrives.
    fn path_of_a_packet(&mut self) -> Path {
        match self.until(|got| matches!(got, SeenInput::Packet(..))) {
            SeenInput::Packet(path, _) => path,
            _ => unreachable!("the pattern above"),
        }
    }

    fn opened(&mut self) -> (Path, SocketAddr) {
        match self.until(|got| matches!(got, SeenInput::Opened(..))) {
            SeenInput::Opened(path, remote) => (path, remote),
            _ => unreachable!("the pattern above"),
        }
    }

    fn closed(&mut self) -> (Path, PathError) {
        match self.until(|got| matches!(got, SeenInput::Closed(..))) {
            SeenInput::Closed(path, reason) => (path, reason),
            _ => unreachable!("the pattern above"),
        }
    }

    fn udp_path(&self) -> Path {
        Path::Udp(self.net.udp_addr().unwrap())
    }
}

fn numbered(count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| (0..len).map(|at| (i * 31 + at) as u8).collect()).collect()
}
