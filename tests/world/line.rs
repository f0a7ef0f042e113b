//! The hostile member's TCP connection: records cut anywhere, invalid records, and a peer that may
//! not read.

use std::time::Duration;

use queqiao::base::{ConnId, Input, Path, Why};
use queqiao::wire::limits::{MAGIC, TCP_PACKET_MAX, TCP_QUEUE_MAX};
use queqiao::wire::record::{Deframer, RECORD_HEADER_LEN, frame_record};

use super::cover::Count;
use super::node::Waiting;
use super::weather::chance;
use super::world::World;

/// Transmission delay of bytes.
const DELAY: Duration = Duration::from_millis(5);

pub struct Line {
    pub id: ConnId,
    /// Process of the relay that accepted it.
    relay_life: u32,
    /// Parses the bytes as the relay does.
    deframer: Deframer,
    /// It reads nothing: data from the relay stays in the relay's queue.
    pub is_deaf: bool,
    queued: usize,
}

impl World {
    /// Connects the hostile member, if the relay listens.
    pub fn open_line(&mut self, remote: std::net::SocketAddr) -> Option<Line> {
        if !self.has_tcp || self.relay_up_at > self.now {
            return None;
        }
        let (_, id) = self.new_conn_id();
        self.tell_relay(Waiting::Other(Input::PathOpened { path: Path::Tcp(id), remote }));
        let mut deframer = Deframer::for_relay();
        deframer.push(&[MAGIC]);
        Some(Line { id, relay_life: self.relay.life, deframer, is_deaf: false, queued: 0 })
    }

    /// Whether the current process of the relay has this connection.
    pub fn has_line(&self, line: &Line) -> bool {
        line.relay_life == self.relay.life
    }

    /// Sends a packet as a record, in pieces. Now and then the record is invalid.
    pub fn send_on_line(&mut self, id: ConnId, packet: &[u8]) {
        let mut bytes = Vec::new();
        if chance(&mut self.rng, 15) {
            let len = [0, TCP_PACKET_MAX as u16 + 1, u16::MAX][self.rng.below(3) as usize];
            bytes.extend_from_slice(&len.to_be_bytes());
            self.cover.add(Count::HostileRecords);
        }
        frame_record(packet, &mut bytes);
        self.cover.add(Count::HostileRecords);
        while !bytes.is_empty() {
            let len = 1 + self.rng.below(bytes.len() as u64) as usize;
            let piece: Vec<u8> = bytes.drain(..len).collect();
            self.later(DELAY, move |world| world.line_brings(id, &piece));
        }
    }

    fn line_brings(&mut self, id: ConnId, piece: &[u8]) {
        let Some(mut line) = self.take_line_of(id) else { return };
        let path = Path::Tcp(line.id);
        line.deframer.push(piece);
        loop {
            match line.deframer.next_packet() {
                Ok(Some(packet)) => {
                    let packet = packet.to_vec();
                    self.tell_relay(Waiting::Packet(path, packet));
                }
                Ok(None) => break,
                Err(_) => return self.tell_relay(Waiting::Other(Input::PathClosed(path, Why::Framing))),
            }
        }
        self.put_line(line);
    }

    /// Takes a packet that the relay sends on `id`. Returns `false` if that is another connection.
    pub fn line_takes(&mut self, id: ConnId, packet: &[u8]) -> bool {
        let Some(mut line) = self.take_line_of(id) else { return false };
        line.queued += packet.len() + RECORD_HEADER_LEN;
        assert!(line.queued <= TCP_QUEUE_MAX, "{} bytes queued for a peer that does not read", line.queued);
        if !line.is_deaf {
            if line.queued == packet.len() + RECORD_HEADER_LEN {
                self.later(DELAY, move |world| world.line_is_read(id));
            }
            self.hostile_member
                .as_mut()
                .expect("the connection belongs to the hostile member")
                .heard
                .push(packet.to_vec());
        }
        self.put_line(line);
        true
    }

    fn line_is_read(&mut self, id: ConnId) {
        let Some(mut line) = self.take_line_of(id) else { return };
        line.queued = 0;
        self.tell_relay(Waiting::Other(Input::Unsent(Path::Tcp(id), 0)));
        self.put_line(line);
    }

    /// Handles the end of connection `id`, which the relay has closed. It may be another one.
    pub fn line_is_closed(&mut self, id: ConnId) {
        drop(self.take_line_of(id));
    }

    /// Closes the connection from the hostile member's side.
    pub fn hang_up(&mut self, line: &Line) {
        if self.has_line(line) {
            self.tell_relay(Waiting::Other(Input::PathClosed(Path::Tcp(line.id), Why::Closed)));
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        let line = self.hostile_member.as_mut()?.line.take()?;
        self.has_line(&line).then_some(line)
    }

    fn take_line_of(&mut self, id: ConnId) -> Option<Line> {
        let is_ours = self.hostile_member.as_ref()?.line.as_ref()?.id == id;
        if is_ours { self.take_line() } else { None }
    }

    fn put_line(&mut self, line: Line) {
        if let Some(member) = &mut self.hostile_member {
            member.line = Some(line);
        }
    }
}
