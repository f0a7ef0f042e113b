//! The opened part of a data packet. Decoded frames are encoded, and decode to the same frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queqiao::wire::frame::{Frame, Frames};

fuzz_target!(|bytes: &[u8]| {
    let Ok(frames) = Frames::new(bytes).collect::<Result<Vec<_>, _>>() else { return };
    let mut again = Vec::new();
    for frame in &frames {
        if let Frame::Ack(ack) = frame {
            let ranges: Vec<_> = ack.ranges().collect();
            assert!(!ranges.is_empty() && ranges.iter().all(|range| range.start() <= range.end()));
            assert!(ranges.windows(2).all(|two| two[1].end() < two[0].start()));
        }
        let start = again.len();
        frame.encode(&mut again);
        assert_eq!(again.len() - start, frame.encoded_len());
    }
    let back: Vec<_> = Frames::new(&again).map(|frame| frame.expect("what we write can be read")).collect();
    assert_eq!(back, frames);
});
