//! Ctrl-C ends every process within a second, with the promised status and at most one further
//! line.

use rustix::process::Signal;

use crate::harness::{Machine, Process, SOON, relay_with_members, socket};

/// Ends the process as Ctrl-C does. It prints at most one more line.
fn interrupt(process: Process, status: i32, said_before: usize) {
    process.signal(Signal::INT);
    let exited = process.end_within(SOON).with(status);
    assert!(exited.err.len() <= said_before + 1, "{exited:?}");
}

#[test]
fn relay_with_members_exits_0_on_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
        let listeners = [machine.listen("TOM", &["--udp"]), machine.listen("JACK", &["--tcp"])];
        relay.process.signal(signal);
        let exited = relay.process.end_within(SOON).with(0);
        assert_eq!((exited.out.len(), exited.without_log().len()), (1, 2), "{exited:?}");
        for mut listener in listeners {
            listener.until_err_within("lost", SOON);
        }
    }
}

#[test]
fn interrupted_listen_exits_130() {
    let (machine, _relay) = relay_with_members(&["--tcp"], &["TOM"]);
    interrupt(machine.listen("TOM", &["--udp"]), 130, 2);
    interrupt(machine.listen("TOM", &["--tcp"]), 130, 2);
    interrupt(machine.listen("TOM", &["--json", "--count", "3", "--for", "1h"]), 130, 2);
}

#[test]
fn interrupted_send_exits_130() {
    let (machine, relay) = relay_with_members(&[], &["JACK", "TOM"]);
    let mut lines = machine.start(&["send", "--as", "TOM", "--lines", "echo"]);
    lines.write("x\n");
    assert!(lines.out().starts_with("delivered "));
    interrupt(lines, 130, 1);
    let _jack = machine.listen("JACK", &[]);
    let mut reply = machine.start(&["send", "--as", "TOM", "JACK", "x", "--reply", "1h"]);
    assert!(reply.out().starts_with("delivered "));
    interrupt(reply, 130, 1);
    relay.stop().with(0);
    let mut nowhere = machine.start(&["send", "--as", "TOM", "--timeout", "1h", "JACK", "x"]);
    nowhere.until_err("no relay answers");
    interrupt(nowhere, 130, 1);
}

#[test]
fn interrupted_chat_exits_130() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let mut chat = machine.start(&["chat", "--as", "TOM"]);
    chat.write("/status\n");
    chat.until_err("connect");
    interrupt(chat, 130, 2);
    let mut target = machine.start(&["chat", "--as", "TOM", "JACK"]);
    target.write("/help\n");
    target.until_err("/quit");
    interrupt(target, 130, 20);
}

#[test]
fn interrupted_ping_and_trust_exit_130() {
    let machine = Machine::new();
    let silent = socket();
    let addr = silent.local_addr().unwrap().to_string();
    for args in [&["ping", "--udp", &addr][..], &["trust", &addr, "aaaaa-aaaaa-aaaaa-aaaaa"]] {
        let process = machine.start(args);
        // Its first packet has arrived, so it is running and waits.
        silent.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        silent.recv_from(&mut [0; 2048]).unwrap();
        interrupt(process, 130, 0);
        silent.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
        while silent.recv_from(&mut [0; 2048]).is_ok() {}
    }
}
