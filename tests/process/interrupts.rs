//! Ctrl-C ends every process within a second, with the promised status and at most one further
//! line.

use rustix::process::Signal;

use crate::world::{Home, Running, SOON, socket, town};

/// Ends the process as Ctrl-C does. It prints at most one more line.
fn interrupt(running: Running, status: i32, said_before: usize) {
    running.signal(Signal::INT);
    let ended = running.end_within(SOON).with(status);
    assert!(ended.err.len() <= said_before + 1, "{ended:?}");
}

#[test]
fn relay_with_members_exits_0_on_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let (home, relay) = town(&["--tcp"], &["TOM", "JACK"]);
        let listeners = [home.listen("TOM", &["--udp"]), home.listen("JACK", &["--tcp"])];
        relay.running.signal(signal);
        let ended = relay.running.end_within(SOON).with(0);
        assert_eq!((ended.out.len(), ended.err.len()), (1, 2), "{ended:?}");
        for mut listener in listeners {
            listener.until_err_within("lost", SOON);
        }
    }
}

#[test]
fn interrupted_listen_exits_130() {
    let (home, _relay) = town(&["--tcp"], &["TOM"]);
    interrupt(home.listen("TOM", &["--udp"]), 130, 2);
    interrupt(home.listen("TOM", &["--tcp"]), 130, 2);
    interrupt(home.listen("TOM", &["--json", "--count", "3", "--for", "1h"]), 130, 2);
}

#[test]
fn interrupted_send_exits_130() {
    let (home, relay) = town(&[], &["JACK", "TOM"]);
    let mut lines = home.start(&["send", "--as", "TOM", "--lines", "echo"]);
    lines.write("x\n");
    assert!(lines.out().starts_with("delivered "));
    interrupt(lines, 130, 1);
    let _jack = home.listen("JACK", &[]);
    let mut reply = home.start(&["send", "--as", "TOM", "JACK", "x", "--reply", "1h"]);
    assert!(reply.out().starts_with("delivered "));
    interrupt(reply, 130, 1);
    relay.stop().with(0);
    let mut nowhere = home.start(&["send", "--as", "TOM", "--timeout", "1h", "JACK", "x"]);
    nowhere.until_err("no relay answers");
    interrupt(nowhere, 130, 1);
}

#[test]
fn interrupted_chat_exits_130() {
    let (home, _relay) = town(&[], &["JACK"]);
    let mut chat = home.start(&["chat", "--as", "TOM"]);
    chat.write("/status\n");
    chat.until_err("connect");
    interrupt(chat, 130, 2);
    let mut target = home.start(&["chat", "--as", "TOM", "JACK"]);
    target.write("/help\n");
    target.until_err("/quit");
    interrupt(target, 130, 20);
}

#[test]
fn interrupted_ping_and_trust_exit_130() {
    let home = Home::new();
    let silent = socket();
    let addr = silent.local_addr().unwrap().to_string();
    for args in [&["ping", "--udp", &addr][..], &["trust", &addr, "aaaaa-aaaaa-aaaaa-aaaaa", "--udp"]] {
        let running = home.start(args);
        // Its first packet has arrived, so it is running and waits.
        silent.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        silent.recv_from(&mut [0; 2048]).unwrap();
        interrupt(running, 130, 0);
        silent.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
        while silent.recv_from(&mut [0; 2048]).is_ok() {}
    }
}
