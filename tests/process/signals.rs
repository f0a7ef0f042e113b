//! Signals: those that were ignored at the start, hang-up, and continuing after a stop.

use rustix::process::Signal;

use crate::harness::{Machine, Process, Relay, relay_with_members, socket};
use crate::terminal::Terminal;

/// Starts the program with a signal ignored, as `nohup` and shell scripts do.
fn ignoring(machine: &Machine, signal: &str, args: &[&str]) -> Process {
    let script = format!("trap '' {signal}; exec \"$0\" \"$@\"");
    Process::start(machine.command_behind(&["sh"], &script, args))
}

/// Asserts that the relay answers, after every signal that it received before.
fn answers(machine: &Machine, relay: &Relay) {
    let ping = machine.run(&["ping", "--udp", &relay.udp.to_string(), "--count", "1"]);
    assert_eq!(ping.code, 0, "{ping:?}");
}

// faults.md: R82
#[test]
fn relay_survives_signals_ignored_at_start() {
    let machine = Machine::new();
    for (name, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT)] {
        let script = format!("trap '' {name}; exec \"$0\" \"$@\"");
        let args = ["relay", "--bind", "127.0.0.1:0", "--data", name];
        let relay = machine.relay_from(machine.command_behind(&["sh"], &script, &args));
        relay.process.signal(signal);
        answers(&machine, &relay);
        let exited = relay.stop().with(0);
        assert_eq!(exited.without_log().len(), 2, "an ignored signal is not reported: {exited:?}");
    }
}

#[test]
fn member_survives_hangup_ignored_at_start() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut tom = ignoring(&machine, "HUP", &["listen", "--as", "TOM"]);
    tom.until_err("connected to");
    tom.signal(Signal::HUP);
    machine.send("JACK", "TOM", "still there").with(0);
    assert!(tom.out().ends_with("still there"));
    tom.terminate().with(130);
}

/// The commands have no frontend of their own, and wait for a relay that stays silent.
#[test]
fn hangup_ends_commands_that_wait_for_relay() {
    let machine = Machine::new();
    let silent = socket();
    let relay = silent.local_addr().unwrap().to_string();
    for args in [&["ping", "--udp", &relay][..], &["trust", &relay]] {
        let mut command = machine.command(args);
        command.env("RUST_LOG", "debug");
        let mut process = Process::start(command);
        process.until_err(&relay);
        process.signal(Signal::HUP);
        process.end().with(130);
    }
}

// faults.md: R82
#[test]
fn hangup_makes_relay_read_addresses_again() {
    let (machine, mut relay) = relay_with_members(&["--data", "relay"], &["TOM", "JACK"]);
    let mut tom = machine.listen("TOM", &[]);
    machine.write("relay/reach.toml", "old");
    relay.process.signal(Signal::HUP);
    relay.process.until_err("the addresses that members use were read again (1)");
    relay.process.until_err(&relay.udp.to_string());
    assert!(machine.read("relay/reach.toml").contains(&relay.udp.to_string()));
    machine.send("JACK", "TOM", "no session was lost").with(0);
    assert!(tom.out().ends_with("no session was lost"));
    relay.stop().with(0);
}

#[test]
fn hangup_without_terminal_keeps_console_serving() {
    let machine = Machine::new();
    let mut relay = machine.relay(&["--desk", "--data", "desk", "--lang", "zh"]);
    relay.process.until_err("DESK");
    relay.process.signal(Signal::HUP);
    relay.process.until_err("收到挂断信号");
    answers(&machine, &relay);
    relay.process.write("quit\n");
    relay.process.end().with(0);
}

/// The status tells that the relay was interrupted.
#[test]
fn relay_ends_when_its_window_is_closed() {
    let machine = Machine::new();
    for args in [&["relay", "--bind", "127.0.0.1:0"][..], &["relay", "--bind", "127.0.0.1:0", "--desk"]] {
        let mut terminal = Terminal::start(&machine, args);
        terminal.until("ready udp=");
        let relay = terminal.close();
        relay.signal(Signal::HUP);
        relay.end().with(130);
    }
}
