//! Messages between client and relay, both ways. A decoded message is encoded, and decodes to the
//! same message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queqiao::wire::message::{ToClient, ToRelay};

fuzz_target!(|bytes: &[u8]| {
    let mut again = Vec::new();
    if let Ok(Some(message)) = ToRelay::decode(bytes) {
        message.encode(&mut again);
        assert_eq!(ToRelay::decode(&again), Ok(Some(message)));
    }
    again.clear();
    if let Ok(Some(message)) = ToClient::decode(bytes) {
        message.encode(&mut again);
        assert_eq!(ToClient::decode(&again), Ok(Some(message)));
    }
});
