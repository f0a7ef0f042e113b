//! Plain text of guests, over UDP and TCP. Automatic replies over UDP are never larger than the
//! input.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use queqiao::base::{ConnId, Core, Effect, Input, Now, Outputs, Path, PublicKey, Tick, Wall};
use queqiao::relay::{Config, GuestEncoding, GuestRules, GuestTexts, Limits, Mail, Relay, Roll};

fuzz_target!(|script: Vec<(u8, Vec<u8>)>| {
    let rules = GuestRules {
        to: "JACK".parse().unwrap(),
        anyone: true,
        encoding: GuestEncoding::Auto,
        greeting: "welcome".into(),
        limit: 4,
        texts: GuestTexts::default(),
    };
    let mut relay = Relay::new(Config {
        private_key: [7; 32],
        reset_id: [0; 16],
        access_secret: [0; 32],
        members: vec![("JACK".parse().unwrap(), PublicKey([1; 32]))],
        roll: Roll::default(),
        mail: Mail::default(),
        limits: Limits::default(),
        guests: Some(rules),
        seed: [9; 32],
    });
    let mut out = Outputs::default();
    let mut came = 0;
    let mut went = 0;
    let mut tick = Tick::from_micros(1_000_000);
    let conn = Path::Tcp(ConnId(1));
    let remote = SocketAddr::from(([198, 18, 0, 1], 4_000));
    let now = |tick: Tick| Now { tick, wall: Wall(tick.as_micros() / 1_000) };
    relay.handle(now(tick), Input::PathOpened { path: conn, remote }, &mut out);
    for (kind, mut bytes) in script {
        tick = tick + std::time::Duration::from_millis(u64::from(kind));
        relay.handle_time(now(tick), &mut out);
        if kind == 255 {
            relay.handle(now(tick), Input::TextEnded(conn), &mut out);
        } else if kind % 2 == 0 {
            came += bytes.len();
            relay.handle(now(tick), Input::Packet { path: Path::Udp(remote), bytes: &mut bytes }, &mut out);
        } else {
            relay.handle(now(tick), Input::Text { path: conn, bytes: &mut bytes }, &mut out);
        }
        relay.flush(now(tick), &mut out);
    }
    for effect in &out.effects {
        if let Effect::Send(Path::Udp(_), range) = effect {
            went += range.len();
        }
    }
    assert!(went <= came);
});
