//! A TCP stream. The packets depend on the bytes alone, not on how they are divided into reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queqiao::wire::record::{Deframer, RecordError};

fn packets(mut deframer: Deframer, pushes: &[&[u8]]) -> (Vec<Vec<u8>>, Option<RecordError>) {
    let mut packets = Vec::new();
    for bytes in pushes {
        deframer.push(bytes);
        loop {
            match deframer.next_packet() {
                Ok(Some(packet)) => packets.push(packet.to_vec()),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(piece).max(1)).collect();
    for new in [Deframer::for_relay, Deframer::for_client] {
        assert_eq!(packets(new(), &[bytes]), packets(new(), &pieces));
    }
});
