//! A relay that is killed or stopped and runs again: which clients notice, and when.

use rusqlite::{Connection, OpenFlags};

use crate::harness::{Machine, Process, SOON, UdpProxy};

const NAMES: [&str; 3] = ["TOM", "JACK", "ROSE"];

/// Returns the number of sessions that the relay in this folder has noted.
fn noted(machine: &Machine) -> u32 {
    let path = machine.path("kept/relay.sqlite");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    db.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0)).unwrap()
}

/// Pings the relay until it has noted all members, which takes at most a second.
fn until_noted(machine: &Machine, relay: &str, members: u32) {
    let all = || noted(machine) == members;
    let pulse = || machine.run(&["ping", relay, "--udp", "--count", "1"]).with(0);
    assert!((0..500).any(|_| all() || pulse().out.is_empty()), "the relay has not noted the sessions");
}

fn gets_a_letter(machine: &Machine, listener: &mut Process, name: &str, text: &str) {
    assert!(machine.send("MARY", name, text).result().starts_with("delivered "));
    assert!(listener.out().ends_with(text));
}

/// Starts the relay of this folder again.
fn restarted(machine: &Machine, bind: &str) -> Process {
    let mut again = machine.command(&["relay", "--data", "kept", "--bind", bind]);
    again.env("RUST_LOG", "queqiao=debug");
    let mut relay = Process::start(again);
    assert!(relay.out().starts_with("ready "));
    relay
}

// faults.md: R31
/// No client sends, so none would notice for twenty seconds. The resets of the new relay bring them
/// back sooner.
#[test]
fn idle_clients_of_killed_relay_return_after_restart() {
    let machine = Machine::new();
    let relay = machine.relay(&["--data", "kept"]);
    let addr = relay.udp.to_string();
    machine.book(&[&NAMES[..], &["MARY"]].concat(), &addr);
    let mut listeners = NAMES.map(|name| machine.listen(name, &["--udp"]));
    until_noted(&machine, &addr, NAMES.len() as u32);
    relay.process.kill();
    let mut relay = restarted(&machine, &addr);
    NAMES.iter().for_each(|_| drop(relay.until_err_within("signed in from", SOON)));
    for (name, listener) in NAMES.into_iter().zip(&mut listeners) {
        gets_a_letter(&machine, listener, name, "are you there");
    }
}

// faults.md: R31
/// The relay is bound to every address. The proxy passes only packets from an address that the
/// system would not choose.
#[test]
fn resets_leave_from_address_clients_used() {
    let machine = Machine::new();
    let relay = machine.relay(&["--data", "kept", "--bind", "0.0.0.0:0"]);
    let port = relay.udp.port();
    let proxy = UdpProxy::open(([127, 0, 0, 5], port).into());
    machine.book(&["TOM"], proxy.addr);
    let _tom = machine.listen("TOM", &["--udp"]);
    until_noted(&machine, &format!("127.0.0.1:{port}"), 1);
    relay.process.kill();
    let mut relay = restarted(&machine, &format!("0.0.0.0:{port}"));
    relay.until_err_within("signed in from", SOON);
}

// faults.md: R31
#[test]
fn clients_of_stopped_relay_return_after_restart() {
    let machine = Machine::new();
    let relay = machine.relay(&["--data", "kept", "--tcp"]);
    let addr = relay.udp.to_string();
    machine.book(&[&NAMES[..], &["MARY"]].concat(), &addr);
    let carriers = [&["--udp"][..], &["--tcp"], &[]];
    let mut listeners = [0, 1, 2].map(|n| machine.listen(NAMES[n], carriers[n]));
    relay.stop().with(0);
    listeners.iter_mut().for_each(|listener| drop(listener.until_err_within("lost", SOON)));
    let _relay = machine.relay(&["--data", "kept", "--tcp", "--bind", &addr]);
    for (name, listener) in NAMES.into_iter().zip(&mut listeners) {
        listener.until_err_within("connected to", SOON);
        gets_a_letter(&machine, listener, name, "are you there");
    }
}
