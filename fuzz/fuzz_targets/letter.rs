//! The body of a letter: decoding, and the text that reaches a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use queqiao::base::{Wall, harmless};
use queqiao::wire::letter::{decode_text, encode_text};

fuzz_target!(|bytes: &[u8]| {
    let Ok((text, written)) = decode_text(bytes) else { return };
    let written = written.unwrap_or(Wall(0));
    assert_eq!(decode_text(&encode_text(&text, written)), Ok((text.clone(), Some(written))));
    assert!(harmless(&text).chars().all(|c| c == '\n' || !c.is_control()));
});
