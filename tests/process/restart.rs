//! A relay that is killed or stopped and runs again: which clients notice, and when.

use rusqlite::{Connection, OpenFlags};

use crate::world::{Home, Running, SOON, UdpProxy};

const NAMES: [&str; 3] = ["TOM", "JACK", "ROSE"];

/// Returns the number of sessions that the relay in this folder has noted.
fn noted(home: &Home) -> u32 {
    let path = home.path("kept/relay.sqlite");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).unwrap()
}

/// Pings the relay until it has noted all members, which takes at most a second.
fn until_noted(home: &Home, relay: &str, members: u32) {
    let all = || noted(home) == members;
    let pulse = || home.run(&["ping", relay, "--udp", "--count", "1"]).with(0);
    assert!((0..500).any(|_| all() || pulse().out.is_empty()), "the relay has not noted the sessions");
}

fn gets_a_letter(home: &Home, listener: &mut Running, name: &str, text: &str) {
    assert!(home.send("MARY", name, text).result().starts_with("delivered "));
    assert!(listener.out().ends_with(text));
}

/// Starts the relay of this folder again.
fn restarted(home: &Home, bind: &str) -> Running {
    let mut again = home.command(&["relay", "--data", "kept", "--bind", bind]);
    again.env("RUST_LOG", "queqiao=debug");
    let mut relay = Running::start(again);
    assert!(relay.out().starts_with("ready "));
    relay
}

// faults.md: R31
/// No client sends, so none would notice for twenty seconds. The resets of the new relay bring them
/// back sooner.
#[test]
fn idle_clients_of_killed_relay_return_after_restart() {
    let home = Home::new();
    let relay = home.relay(&["--data", "kept"]);
    let addr = relay.udp.to_string();
    home.book(&[&NAMES[..], &["MARY"]].concat(), &addr);
    let mut listeners = NAMES.map(|name| home.listen(name, &["--udp"]));
    until_noted(&home, &addr, NAMES.len() as u32);
    relay.running.kill();
    let mut relay = restarted(&home, &addr);
    NAMES.iter().for_each(|_| drop(relay.until_err_within("SignedIn", SOON)));
    for (name, listener) in NAMES.into_iter().zip(&mut listeners) {
        gets_a_letter(&home, listener, name, "are you there");
    }
}

// faults.md: R31
/// The relay is bound to every address. The proxy passes only packets from an address that the
/// system would not choose.
#[test]
fn resets_leave_from_address_clients_used() {
    let home = Home::new();
    let relay = home.relay(&["--data", "kept", "--bind", "0.0.0.0:0"]);
    let port = relay.udp.port();
    let proxy = UdpProxy::open(([127, 0, 0, 5], port).into());
    home.book(&["TOM"], proxy.addr);
    let _tom = home.listen("TOM", &["--udp"]);
    until_noted(&home, &format!("127.0.0.1:{port}"), 1);
    relay.running.kill();
    let mut relay = restarted(&home, &format!("0.0.0.0:{port}"));
    relay.until_err_within("SignedIn", SOON);
}

// faults.md: R31
#[test]
fn clients_of_stopped_relay_return_after_restart() {
    let home = Home::new();
    let relay = home.relay(&["--data", "kept", "--tcp"]);
    let addr = relay.udp.to_string();
    home.book(&[&NAMES[..], &["MARY"]].concat(), &addr);
    let carriers = [&["--udp"][..], &["--tcp"], &[]];
    let mut listeners = [0, 1, 2].map(|n| home.listen(NAMES[n], carriers[n]));
    relay.stop().with(0);
    listeners.iter_mut().for_each(|listener| drop(listener.until_err_within("lost", SOON)));
    let _relay = home.relay(&["--data", "kept", "--tcp", "--bind", &addr]);
    for (name, listener) in NAMES.into_iter().zip(&mut listeners) {
        listener.until_err_within("connected to", SOON);
        gets_a_letter(&home, listener, name, "are you there");
    }
}
