//! An off-path attacker that can send from any address: replayed, random, and damaged packets.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::Path;
use queqiao::wire::packet::{self, PacketType, RESET_TOKEN_LEN};

use super::coverage::Count;
use super::link_conditions::{below, chance};
use super::simulation::{RELAY_ADDR, SimEvent, Simulation};

impl Simulation {
    /// Replays packets to the relay from the attacker's addresses.
    pub fn replay_to_relay(&mut self, many: u64) {
        for _ in 0..many {
            let old = !self.kept_up.is_empty() && chance(&mut self.rng, 400);
            let from = if old { &self.kept_up } else { &self.overheard_up };
            let place = self.rng.below(from.len() as u64) as usize;
            let Some(bytes) = from.get(place).cloned() else { return };
            self.coverage.add_many(Count::ReplaysOfOld, old.into());
            let from = self.attacker_address();
            self.coverage.add(Count::Replays);
            self.inject_to_relay(from, bytes);
        }
    }

    /// Replays packets that a client received before, from the relay's address or the attacker's.
    pub fn replay_to_client(&mut self, many: u64) {
        for _ in 0..many {
            let old = !self.kept_down.is_empty() && chance(&mut self.rng, 400);
            let from = if old { &self.kept_down } else { &self.overheard_down };
            let place = self.rng.below(from.len() as u64) as usize;
            let Some((client, bytes)) = from.get(place).cloned() else { return };
            self.coverage.add_many(Count::ReplaysOfOld, old.into());
            let spoofed = chance(&mut self.rng, 700);
            let from = if spoofed { RELAY_ADDR.parse().unwrap() } else { self.attacker_address() };
            let public = self.machines[client].public;
            self.coverage.add(Count::Replays);
            self.event_queue.push(self.now, SimEvent::ToClient { public, from, bytes });
        }
    }

    /// Sends clients forged resets, with overheard indexes of their sessions and wrong tokens.
    pub fn forge_resets(&mut self, many: u64) {
        for _ in 0..many {
            let place = self.rng.below(self.overheard_down.len() as u64) as usize;
            let Some((client, bytes)) = self.overheard_down.get(place) else { return };
            let client = *client;
            let index = bytes.get(4..8).map(|index| index.try_into().unwrap());
            let Some(index) = index.map(u32::from_be_bytes) else { continue };
            let mut token = [0; RESET_TOKEN_LEN];
            let mut packet = Vec::new();
            self.rng.fill(&mut token);
            packet::write_reset(&mut packet, index, &token);
            self.forged.insert(packet.clone());
            self.coverage.add(Count::ResetsForged);
            let wait = below(&mut self.rng, Duration::from_secs(1));
            self.schedule(wait, move |sim| sim.inject_to_client(client, packet));
        }
    }

    /// Sends the relay and clients packets that no honest peer sends.
    pub fn inject_garbage(&mut self, many: u64) {
        for _ in 0..many {
            let bytes = self.garbage_packet();
            if chance(&mut self.rng, 700) {
                let from = self.attacker_address();
                self.inject_to_relay(from, bytes);
            } else {
                let client = self.rng.below(self.machines.len() as u64) as usize;
                let public = self.machines[client].public;
                let from = RELAY_ADDR.parse().unwrap();
                self.event_queue.push(self.now, SimEvent::ToClient { public, from, bytes });
            }
        }
    }

    /// Puts the relay under load: overheard first messages arrive from `many` addresses in a
    /// second.
    pub fn flood_with_handshakes(&mut self, many: u16) {
        let is_init = |bytes: &&Vec<u8>| bytes.get(1) == Some(&(PacketType::Init as u8));
        let Some(init) = self.overheard_up.iter().chain(&self.kept_up).find(is_init).cloned() else {
            return;
        };
        self.coverage.add(Count::HandshakeFloods);
        for place in 0..many {
            let [high, low] = place.to_be_bytes();
            let from = SocketAddr::from(([198, 18, 1 + high, low], 4_000));
            let bytes = init.clone();
            self.hostile_addrs.insert(from, ());
            let wait = below(&mut self.rng, Duration::from_secs(1));
            self.schedule(wait, move |sim| sim.inject_to_relay(from, bytes));
        }
    }

    /// Sends plain text from `many` forged addresses within `span`, a few times from each.
    ///
    /// Returns the addresses. None of them may receive more bytes than it seems to have sent.
    pub fn flood_with_text(&mut self, many: u32, span: Duration) -> Vec<SocketAddr> {
        let first = self.rng.next_u32() & 0x00FF_FFFF;
        let forged = (0..many).map(|n| {
            let [_, a, b, c] = first.wrapping_add(n).to_be_bytes();
            SocketAddr::from(([10, a, b, c], 6_000))
        });
        let forged: Vec<_> = forged.collect();
        self.coverage.add(Count::TextFloods);
        for from in &forged {
            let from = *from;
            self.add_forged_udp_guest(from);
            let repeats = 1 + self.rng.below(3);
            for _ in 0..repeats {
                let texts = ["", "hello", "@echo hello", "q", "@JACK hello", "\u{2}left", "@echo HELLO"];
                let text = texts[self.rng.below(texts.len() as u64) as usize];
                let wait = below(&mut self.rng, span);
                self.schedule(wait, move |sim| sim.send_udp_text(from, text));
            }
        }
        forged
    }

    fn garbage_packet(&mut self) -> Vec<u8> {
        let place = self.rng.below(self.overheard_up.len().max(1) as u64) as usize;
        let mut bytes = match self.overheard_up.get(place) {
            Some(bytes) if chance(&mut self.rng, 600) => bytes.clone(),
            _ => {
                let mut bytes = vec![0; self.rng.below(1500) as usize + 1];
                self.rng.fill(&mut bytes);
                if chance(&mut self.rng, 500) {
                    let head = [0xFF, 1 + self.rng.below(8) as u8, 1, 0];
                    let len = bytes.len().min(4);
                    bytes[..len].copy_from_slice(&head[..len]);
                }
                self.coverage.add(Count::Garbage);
                return bytes;
            }
        };
        self.coverage.add(Count::Truncated);
        match self.rng.below(3) {
            0 => bytes.truncate(self.rng.below(bytes.len() as u64) as usize),
            1 => {
                let bit = self.rng.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            _ => bytes.extend_from_slice(&[7; 9]),
        }
        bytes
    }

    fn inject_to_relay(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        let event = SimEvent::ToRelay { from, bytes, proves: Vec::new(), genuine: false };
        self.event_queue.push(self.now, event);
    }

    fn attacker_address(&mut self) -> SocketAddr {
        let addr = SocketAddr::from(([198, 18, 0, 1 + self.rng.below(3) as u8], 4_000));
        self.hostile_addrs.insert(addr, ());
        addr
    }
}

impl Simulation {
    /// Sends each client on UDP a forged reset without a valid token. Returns how many were sent.
    pub fn forge_reset_for_each(&mut self) -> u64 {
        let mut forged = 0;
        for client in 0..self.machines.len() {
            let machine = &self.machines[client];
            let path = machine.node.core.peer(&machine.relay).and_then(|peer| peer.path());
            let Some(Path::Udp(_)) = path else { continue };
            let Some((index, _)) = machine.epoch_since else { continue };
            let mut bytes = Vec::new();
            packet::write_reset(&mut bytes, index, &[7; RESET_TOKEN_LEN]);
            self.inject_to_client(client, bytes);
            forged += 1;
        }
        forged
    }

    /// Sends a packet to a client from the relay's address.
    pub fn inject_to_client(&mut self, client: usize, bytes: Vec<u8>) {
        let public = self.machines[client].public;
        let from = RELAY_ADDR.parse().unwrap();
        self.event_queue.push(self.now, SimEvent::ToClient { public, from, bytes });
    }
}

/// Whether these bytes are a RESET packet.
pub fn is_reset(bytes: &[u8]) -> bool {
    bytes.get(1) == Some(&(PacketType::Reset as u8))
}
