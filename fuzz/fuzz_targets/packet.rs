//! A packet from the network, as far as it can be parsed without keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queqiao::base::Carrier;
use queqiao::wire::packet::{self, Packet};

fuzz_target!(|bytes: &[u8]| {
    for carrier in [Carrier::Udp, Carrier::Tcp] {
        let Ok(packet) = packet::parse(carrier, bytes) else { continue };
        let mut again = Vec::new();
        match packet {
            Packet::Data { receiver, number } => again.extend_from_slice(&packet::data_header(receiver, number)),
            Packet::Cookie { receiver, nonce, sealed } => packet::write_cookie(&mut again, receiver, nonce, sealed),
            Packet::Reset { index, token } => packet::write_reset(&mut again, index, token),
            Packet::KeyAnswer { nonce, key } => packet::write_key_answer(&mut again, nonce, key),
            Packet::KeyQuery { nonce } => {
                packet::write_key_query(&mut again, carrier, nonce);
                assert_eq!(packet::parse(carrier, &again), Ok(packet));
                continue;
            }
            Packet::Init(handshake) | Packet::Response { handshake, .. } => {
                assert_eq!(handshake.covered.len() + 16, handshake.covered_by_mac2.len());
                assert_eq!([handshake.covered_by_mac2, &handshake.mac2[..]].concat(), bytes);
                continue;
            }
        }
        assert!(bytes.starts_with(&again));
    }
});
