//! The hostile member's TCP connection: records cut anywhere, invalid records, and a peer that may
//! not read.

use std::time::Duration;

use queqiao::base::{ConnId, Input, Path, PathError};
use queqiao::wire::limits::{MAGIC, TCP_PACKET_MAX, TCP_QUEUE_MAX};
use queqiao::wire::record::{Deframer, RECORD_HEADER_LEN, frame_record};

use super::coverage::Count;
use super::link_conditions::chance;
use super::node::PendingInput;
use super::simulation::Simulation;

/// Transmission delay of bytes.
const DELAY: Duration = Duration::from_millis(5);

pub struct HostileTcp {
    pub id: ConnId,
    /// Process of the relay that accepted it.
    relay_incarnation: u32,
    /// Parses the bytes as the relay does.
    deframer: Deframer,
    /// It reads nothing: data from the relay stays in the relay's queue.
    pub reads_nothing: bool,
    queued: usize,
}

impl Simulation {
    /// Connects the hostile member, if the relay listens.
    pub fn open_hostile_tcp(&mut self, remote: std::net::SocketAddr) -> Option<HostileTcp> {
        if !self.has_tcp || self.relay_up_at > self.now {
            return None;
        }
        let (_, id) = self.new_conn_id();
        self.push_relay_input(PendingInput::Other(Input::PathOpened { path: Path::Tcp(id), remote }));
        let mut deframer = Deframer::for_relay();
        deframer.push(&[MAGIC]);
        Some(HostileTcp {
            id,
            relay_incarnation: self.relay.incarnation,
            deframer,
            reads_nothing: false,
            queued: 0,
        })
    }

    /// Whether the current process of the relay has this connection.
    pub fn has_hostile_tcp(&self, conn: &HostileTcp) -> bool {
        conn.relay_incarnation == self.relay.incarnation
    }

    /// Sends a packet as a record, in pieces. Now and then the record is invalid.
    pub fn send_hostile_record(&mut self, id: ConnId, packet: &[u8]) {
        let mut bytes = Vec::new();
        if chance(&mut self.rng, 15) {
            let len = [0, TCP_PACKET_MAX as u16 + 1, u16::MAX][self.rng.below(3) as usize];
            bytes.extend_from_slice(&len.to_be_bytes());
            self.coverage.add(Count::HostileRecords);
        }
        frame_record(packet, &mut bytes);
        self.coverage.add(Count::HostileRecords);
        while !bytes.is_empty() {
            let len = 1 + self.rng.below(bytes.len() as u64) as usize;
            let piece: Vec<u8> = bytes.drain(..len).collect();
            self.schedule(DELAY, move |sim| sim.receive_hostile_bytes(id, &piece));
        }
    }

    fn receive_hostile_bytes(&mut self, id: ConnId, piece: &[u8]) {
        let Some(mut conn) = self.take_hostile_tcp_of(id) else { return };
        let path = Path::Tcp(conn.id);
        conn.deframer.push(piece);
        loop {
            match conn.deframer.next_packet() {
                Ok(Some(packet)) => {
                    let packet = packet.to_vec();
                    self.push_relay_input(PendingInput::Packet(path, packet));
                }
                Ok(None) => break,
                Err(_) => {
                    return self
                        .push_relay_input(PendingInput::Other(Input::PathClosed(path, PathError::Framing)));
                }
            }
        }
        self.put_hostile_tcp(conn);
    }

    /// Takes a packet that the relay sends on `id`. Returns `false` if that is another connection.
    pub fn deliver_to_hostile_tcp(&mut self, id: ConnId, packet: &[u8]) -> bool {
        let Some(mut conn) = self.take_hostile_tcp_of(id) else { return false };
        conn.queued += packet.len() + RECORD_HEADER_LEN;
        assert!(conn.queued <= TCP_QUEUE_MAX, "{} bytes queued for a peer that does not read", conn.queued);
        if !conn.reads_nothing {
            if conn.queued == packet.len() + RECORD_HEADER_LEN {
                self.schedule(DELAY, move |sim| sim.report_hostile_read(id));
            }
            self.hostile_member
                .as_mut()
                .expect("the connection belongs to the hostile member")
                .received
                .push(packet.to_vec());
        }
        self.put_hostile_tcp(conn);
        true
    }

    fn report_hostile_read(&mut self, id: ConnId) {
        let Some(mut conn) = self.take_hostile_tcp_of(id) else { return };
        conn.queued = 0;
        self.push_relay_input(PendingInput::Other(Input::Unsent(Path::Tcp(id), 0)));
        self.put_hostile_tcp(conn);
    }

    /// Handles the end of connection `id`, which the relay has closed. It may be another one.
    pub fn remove_hostile_tcp(&mut self, id: ConnId) {
        drop(self.take_hostile_tcp_of(id));
    }

    /// Closes the connection from the hostile member's side.
    pub fn close_hostile_tcp(&mut self, conn: &HostileTcp) {
        if self.has_hostile_tcp(conn) {
            self.push_relay_input(PendingInput::Other(Input::PathClosed(
                Path::Tcp(conn.id),
                PathError::Closed,
            )));
        }
    }

    fn take_hostile_tcp(&mut self) -> Option<HostileTcp> {
        let conn = self.hostile_member.as_mut()?.tcp.take()?;
        self.has_hostile_tcp(&conn).then_some(conn)
    }

    fn take_hostile_tcp_of(&mut self, id: ConnId) -> Option<HostileTcp> {
        let is_ours = self.hostile_member.as_ref()?.tcp.as_ref()?.id == id;
        if is_ours { self.take_hostile_tcp() } else { None }
    }

    fn put_hostile_tcp(&mut self, conn: HostileTcp) {
        if let Some(member) = &mut self.hostile_member {
            member.tcp = Some(conn);
        }
    }
}
