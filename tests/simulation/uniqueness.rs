//! Values that must be unique across crashes: ephemeral keys, indexes, packet numbers, nonces.
//!
//! A key that seals packets derives from two ephemeral keys, one of each end. It belongs to one
//! index, which its receiver chose in the message with its ephemeral key.
//!
//! No number may seal twice under one key. This holds if no ephemeral key and no index belongs to
//! two messages, and no number leaves twice for one index.

use std::collections::BTreeMap;

use queqiao::wire::packet::{COOKIE_NONCE_LEN, HEADER_LEN, INIT_HEADER_LEN, MAC_LEN, PacketType};
use queqiao::wire::packet::{QUERY_NONCE_LEN, RESPONSE_HEADER_LEN};

use super::coverage::{Count, Coverage};

/// One process: its node, and how often that was restarted.
type Process = (usize, u32);
/// Packet type and nonce.
type Nonce = (u8, Vec<u8>);

/// Values used by all processes of a simulation. Copies that the network makes are not seen here.
#[derive(Default)]
pub struct Uniqueness {
    /// The one message of each ephemeral key. Its process may repeat it with another mac2.
    ephemerals: BTreeMap<[u8; 32], (Process, Vec<u8>)>,
    /// The ephemeral key that came with each index of each node.
    indexes: BTreeMap<(usize, u32), [u8; 32]>,
    /// Highest packet number that each node sent for an index.
    numbers: BTreeMap<(usize, u32), u64>,
    nonces: BTreeMap<Nonce, Process>,
}

impl Uniqueness {
    /// Checks a packet that a process sends, on any carrier.
    pub fn check_packet(&mut self, process: Process, packet: &[u8], coverage: &mut Coverage) {
        match packet[1] {
            kind if kind == PacketType::Init as u8 => self.check_handshake(process, packet, INIT_HEADER_LEN),
            kind if kind == PacketType::Response as u8 => {
                self.check_handshake(process, packet, RESPONSE_HEADER_LEN)
            }
            kind if kind == PacketType::Data as u8 => self.check_data(process, packet),
            kind if kind == PacketType::Cookie as u8 => {
                let nonce = packet[HEADER_LEN + 4..][..COOKIE_NONCE_LEN].to_vec();
                let earlier = self.nonces.insert((kind, nonce), process);
                assert!(earlier.is_none(), "a cookie's nonce is used twice: by {earlier:?} and {process:?}");
                coverage.add(Count::Cookies);
            }
            kind if kind == PacketType::KeyQuery as u8 => {
                let nonce = packet[HEADER_LEN..][..QUERY_NONCE_LEN].to_vec();
                let first = *self.nonces.entry((kind, nonce)).or_insert(process);
                assert!(first == process, "the nonce of a key query is used by {first:?} and {process:?}");
            }
            _ => {}
        }
    }

    fn check_handshake(&mut self, process: Process, packet: &[u8], header_len: usize) {
        let ephemeral: [u8; 32] = packet[header_len..][..32].try_into().unwrap();
        let message = packet[..packet.len() - MAC_LEN].to_vec();
        let this = (process, message);
        let first = self.ephemerals.entry(ephemeral).or_insert_with(|| this.clone());
        assert!(*first == this, "an ephemeral key is used twice: by {:?} and {process:?}", first.0);
        let index = index_of(packet);
        if index != 0 {
            let given = *self.indexes.entry((process.0, index)).or_insert(ephemeral);
            assert!(given == ephemeral, "{process:?} gives index {index:08x} again, with another key");
        }
    }

    fn check_data(&mut self, process: Process, packet: &[u8]) {
        let index = index_of(packet);
        let number = u64::from_be_bytes(packet[8..16].try_into().unwrap());
        let earlier = self.numbers.insert((process.0, index), number);
        let rose = earlier.is_none_or(|earlier| earlier < number);
        assert!(rose, "{process:?} seals number {number} for index {index:08x} after {earlier:?}");
    }
}

/// Returns the sender's index of a handshake message, or the receiver's index of a data packet.
fn index_of(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[HEADER_LEN..][..4].try_into().unwrap())
}
