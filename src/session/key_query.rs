//! Requests for a relay's key. The response is not authenticated: it is shown, and pinned on first
//! use.

use subtle::ConstantTimeEq;

use crate::base::{Carrier, PublicKey, Rng};
use crate::wire::packet::{self, Packet, QUERY_NONCE_LEN};

use super::initiator::HandshakeError;
use super::noise::is_low_order;

/// A request for a relay's public key.
#[derive(Debug)]
pub struct KeyQuery {
    nonce: [u8; QUERY_NONCE_LEN],
    packet: Vec<u8>,
    carrier: Carrier,
}

impl KeyQuery {
    /// Creates a request, padded as `carrier` requires.
    pub fn new(carrier: Carrier, rng: &mut Rng) -> KeyQuery {
        let mut nonce = [0; QUERY_NONCE_LEN];
        let mut packet = Vec::new();
        rng.fill(&mut nonce);
        packet::write_key_query(&mut packet, carrier, &nonce);
        KeyQuery { nonce, packet, carrier }
    }

    /// Returns the KEY_QUERY. A retransmission sends the same bytes again.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// Handles a packet that may be the response. Returns the relay's key, which is as trustworthy
    /// as the path it arrived on.
    ///
    /// # Errors
    /// [`HandshakeError`] if it does not answer this request, or the key is of low order. It must
    /// be dropped.
    pub fn handle_answer(&self, bytes: &[u8]) -> Result<PublicKey, HandshakeError> {
        let Ok(Packet::KeyAnswer { nonce, key }) = packet::parse(self.carrier, bytes) else {
            return Err(HandshakeError::Malformed);
        };
        if !bool::from(nonce.ct_eq(&self.nonce)) {
            return Err(HandshakeError::NotOurs);
        }
        let key = PublicKey(*key);
        if is_low_order(&key) { Err(HandshakeError::LowOrder) } else { Ok(key) }
    }
}

/// Appends the response to a request that arrived on `carrier`. Returns `false`, appending nothing,
/// if `bytes` are not a request.
///
/// Keeps no state. On UDP the response is always smaller than the request.
pub fn answer_key_query(key: &PublicKey, carrier: Carrier, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(Packet::KeyQuery { nonce }) = packet::parse(carrier, bytes) else { return false };
    packet::write_key_answer(out, nonce, &key.0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_answer_is_shorter_than_its_query() {
        let mut rng = Rng::from_seed([1; 32]);
        let key = super::super::Identity::generate(&mut rng).public();
        for carrier in [Carrier::Udp, Carrier::Tcp] {
            let query = KeyQuery::new(carrier, &mut rng);
            let other = KeyQuery::new(carrier, &mut rng);
            let mut answer = Vec::new();
            assert!(answer_key_query(&key, carrier, query.packet(), &mut answer));
            assert!(carrier == Carrier::Tcp || answer.len() < query.packet().len());
            assert_eq!(query.handle_answer(&answer), Ok(key));
            assert_eq!(other.handle_answer(&answer), Err(HandshakeError::NotOurs));
            assert_eq!(query.handle_answer(&answer[1..]), Err(HandshakeError::Malformed));
        }
    }

    #[test]
    fn unpadded_key_query_on_udp_gets_no_answer() {
        let query = KeyQuery::new(Carrier::Tcp, &mut Rng::from_seed([1; 32]));
        let mut answer = Vec::new();
        assert!(!answer_key_query(&PublicKey([9; 32]), Carrier::Udp, query.packet(), &mut answer));
        assert!(answer.is_empty());
    }

    #[test]
    fn low_order_key_is_refused() {
        let query = KeyQuery::new(Carrier::Udp, &mut Rng::from_seed([1; 32]));
        let mut answer = Vec::new();
        answer_key_query(&PublicKey([0; 32]), Carrier::Udp, query.packet(), &mut answer);
        assert_eq!(query.handle_answer(&answer), Err(HandshakeError::LowOrder));
    }
}
