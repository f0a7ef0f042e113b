//! Asking a relay for its key. The answer is not authenticated: it is shown, and pinned on first use.

use subtle::ConstantTimeEq;

use crate::base::{Carrier, PublicKey, Rng};
use crate::wire::packet::{self, Packet, QUERY_NONCE_LEN};

use super::initiator::HandshakeError;
use super::noise::is_low_order;

/// A question for a relay's public key.
#[derive(Debug)]
pub struct KeyQuery {
    nonce: [u8; QUERY_NONCE_LEN],
    packet: Vec<u8>,
    carrier: Carrier,
}

impl KeyQuery {
    /// A new question, padded as `carrier` wants it.
    pub fn new(carrier: Carrier, rng: &mut Rng) -> KeyQuery {
        let (mut nonce, mut packet) = ([0; QUERY_NONCE_LEN], Vec::new());
        rng.fill(&mut nonce);
        packet::write_key_query(&mut packet, carrier, &nonce);
        KeyQuery { nonce, packet, carrier }
    }

    /// The KEY_QUERY; a retransmission sends the same bytes again.
    pub fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// Takes in a packet that may be the answer: the relay's key, as good as the path it came on.
    ///
    /// # Errors
    /// [`HandshakeError`] if it is no answer to this question or the key is of low order: to be dropped.
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

/// Appends the answer to a question that came on `carrier`; nothing, and `false`, if `bytes` are none. Keeps no state,
/// and on UDP the answer is always smaller than the question.
pub fn answer_key_query(key: &PublicKey, carrier: Carrier, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(Packet::KeyQuery { nonce }) = packet::parse(carrier, bytes) else { return false };
    packet::write_key_answer(out, nonce, &key.0);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_with_less_than_it_took() {
        let mut rng = Rng::from_seed([1; 32]);
        let key = super::super::Identity::generate(&mut rng).public();
        for carrier in [Carrier::Udp, Carrier::Tcp] {
            let (query, other) = (KeyQuery::new(carrier, &mut rng), KeyQuery::new(carrier, &mut rng));
            let mut answer = Vec::new();
            assert!(answer_key_query(&key, carrier, query.packet(), &mut answer));
            assert!(carrier == Carrier::Tcp || answer.len() < query.packet().len());
            assert_eq!(query.handle_answer(&answer), Ok(key));
            assert_eq!(other.handle_answer(&answer), Err(HandshakeError::NotOurs));
            assert_eq!(query.handle_answer(&answer[1..]), Err(HandshakeError::Malformed));
        }
    }

    #[test]
    fn an_unpadded_question_on_udp_gets_silence() {
        let query = KeyQuery::new(Carrier::Tcp, &mut Rng::from_seed([1; 32]));
        let mut answer = Vec::new();
        assert!(!answer_key_query(&PublicKey([9; 32]), Carrier::Udp, query.packet(), &mut answer));
        assert!(answer.is_empty());
    }

    #[test]
    fn a_low_order_key_is_refused() {
        let query = KeyQuery::new(Carrier::Udp, &mut Rng::from_seed([1; 32]));
        let mut answer = Vec::new();
        answer_key_query(&PublicKey([0; 32]), Carrier::Udp, query.packet(), &mut answer);
        assert_eq!(query.handle_answer(&answer), Err(HandshakeError::LowOrder));
    }
}
