//! Relays that are reachable, partly reachable and unreachable.

use crate::harness::{Machine, Process, UdpProxy, relay_with_members, socket, unused_addr};

#[test]
fn missing_relay_is_reported_with_command_to_start_one() {
    let machine = Machine::new();
    let addr = unused_addr();
    machine.book(&["JACK"], &addr);
    let wanted = format!("no relay answers at {addr}; start one: queqiao relay --tcp");
    let commands: [&[&str]; 4] = [
        &["listen", "--as", "TOM"],
        &["listen", "--as", "TOM", "--udp"],
        &["chat", "--as", "TOM"],
        &["send", "--as", "TOM", "JACK", "x"],
    ];
    for args in commands {
        let mut process = machine.start(args);
        assert_eq!(process.until_err("no relay"), wanted, "{args:?}");
        assert_eq!(process.terminate().with(130).err, [wanted.as_str()], "{args:?}");
    }
}

#[test]
fn relay_without_tcp_is_reported_if_tcp_is_pinned() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let wanted = format!("no TCP listener at {}; start the relay with --tcp", relay.udp);
    for args in [&["listen", "--as", "TOM", "--tcp"][..], &["send", "--as", "TOM", "--tcp", "JACK", "x"]] {
        let mut process = machine.start(args);
        assert_eq!(process.until_err("no TCP"), wanted, "{args:?}");
        process.terminate().with(130);
    }
    relay.stop().with(0);
}

#[test]
fn host_without_address_is_reported() {
    let machine = Machine::new();
    let mut process = machine.start(&["send", "--as", "TOM", "JACK@host.invalid:8081", "x"]);
    process.until_err("cannot resolve the host of host.invalid:8081");
}

#[test]
fn client_finds_relay_started_later() {
    let machine = Machine::new();
    let addr = unused_addr();
    machine.book(&["TOM", "JACK"], &addr);
    let mut jack = machine.start(&["listen", "--as", "JACK", "--count", "1"]);
    jack.until_err("no relay answers");
    let _relay = machine.relay(&["--bind", &addr]);
    jack.until_err("connected to");
    machine.send("TOM", "JACK", "x").with(0);
    jack.end().with(0);
}

#[test]
fn letter_not_accepted_in_time_exits_75() {
    let machine = Machine::new();
    // A socket that never answers: neither ICMP nor a refused connection.
    let silent = socket();
    let addr = silent.local_addr().unwrap();
    let args = ["send", "--as", "TOM", "--udp", "--timeout", "1500ms"];
    let exited = machine.run(&[&args[..], &[&format!("JACK@{addr}"), "x"]].concat()).with(75);
    assert_eq!(exited.out, [""; 0]);
    assert_eq!(
        exited.err.last().unwrap(),
        "not accepted within 1.5 s; the message stays in the outbox and will be sent next time you run queqiao"
    );
}

#[test]
fn two_relays_in_book_are_both_used() {
    let machine = Machine::new();
    let east = machine.relay(&["--data", "east"]);
    let west = machine.relay(&["--data", "west", "--tcp"]);
    let book = format!("[contacts]\nJACK = \"{}\"\nROSE = \"{}\"\n", east.udp, west.udp);
    machine.write("contacts.toml", book);
    let mut tom = machine.start(&["listen", "--as", "TOM", "--json", "--count", "2"]);
    tom.until_err("connected to");
    tom.until_err("connected to");
    machine.send("JACK", &format!("TOM@{}", east.udp), "east").with(0);
    machine.send("ROSE", &format!("TOM@{}", west.udp), "west").with(0);
    for (from, relay, text) in [("JACK", east.udp, "east"), ("ROSE", west.udp, "west")] {
        let letter: serde_json::Value = serde_json::from_str(&tom.out()).unwrap();
        assert_eq!((&letter["from"], &letter["text"]), (&from.into(), &text.into()));
        assert_eq!(letter["relay"], relay.to_string());
    }
    tom.end().with(0);
    // A name alone does not say which relay is meant.
    machine.send("TOM", "NOBODY", "x").one_line(1, "no contact named NOBODY");
}

// faults.md: R28
#[test]
fn letters_use_tcp_where_udp_is_dropped() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let hole = socket();
    machine.split_book("contacts.toml", &["TOM", "JACK"], hole.local_addr().unwrap(), relay.udp);
    let mut jack = machine.start(&["listen", "--as", "JACK", "--count", "1"]);
    assert!(jack.until_err("connected to").ends_with("over TCP"));
    machine.send("TOM", "JACK", "绕过").with(0);
    assert!(jack.out().ends_with("TOM [tcp] 绕过"));
}

// faults.md: R28
#[test]
fn failover_to_tcp_neither_loses_nor_duplicates() {
    const LETTERS: usize = 60;
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let proxy = UdpProxy::open(relay.udp);
    machine.book(&["TOM", "JACK"], relay.udp);
    machine.split_book("through.toml", &["JACK"], proxy.addr, relay.udp);
    let mut jack = machine.listen("JACK", &["--count", &LETTERS.to_string()]);
    let mut tom = machine.start(&["send", "--as", "TOM", "--contacts", "through.toml", "--lines", "JACK"]);
    for n in 0..LETTERS {
        tom.write(&format!("{n}\n"));
        if n == LETTERS / 2 {
            assert!(tom.out().starts_with("delivered "));
            proxy.drop_packets();
        }
    }
    tom.write_and_close(b"");
    tom.until_err("no answer over UDP; switched to TCP");
    for n in 0..LETTERS {
        assert!(jack.out().ends_with(&format!(" TOM [udp] {n}")));
    }
    let exited = tom.end().with(0);
    assert_eq!(exited.out.len(), LETTERS);
    jack.end().with(0);
}

// faults.md: R28
#[test]
fn conversation_returns_to_udp_once_validated() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let proxy = UdpProxy::open(relay.udp);
    machine.split_book("through.toml", &["echo"], proxy.addr, relay.udp);
    let mut tom = machine.start(&["send", "--as", "TOM", "--contacts", "through.toml", "--lines", "echo"]);
    let say = |tom: &mut Process| {
        tom.write("hello\n");
        assert!(tom.out().starts_with("delivered "));
    };
    say(&mut tom);
    proxy.drop_packets();
    say(&mut tom);
    tom.until_err("no answer over UDP; switched to TCP");
    proxy.forward_packets();
    tom.until_err("UDP works; switched to UDP");
    say(&mut tom);
    tom.write_and_close(b"");
    tom.end().with(0);
}

// faults.md: R31
#[test]
fn killed_relay_gets_sessions_back_at_once() {
    let machine = Machine::new();
    let relay = machine.relay(&["--data", "kept"]);
    let addr = relay.udp.to_string();
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", &format!("echo@{addr}")]);
    tom.write("before\n");
    assert!(tom.out().starts_with("delivered "));
    relay.process.kill();
    let _relay = machine.relay(&["--data", "kept", "--bind", &addr]);
    tom.write("after\n");
    assert!(tom.out().starts_with("delivered "));
    tom.write_and_close(b"");
    tom.end().with(0);
}

// faults.md: R21
#[test]
fn client_with_changing_address_continues_silently() {
    const LETTERS: usize = 40;
    let (machine, relay) = relay_with_members(&[], &["JACK", "TOM"]);
    let proxy = UdpProxy::open(relay.udp);
    let mut jack = machine.listen("JACK", &["--count", &LETTERS.to_string()]);
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", &format!("JACK@{}", proxy.addr)]);
    for n in 0..LETTERS {
        tom.write(&format!("{n}\n"));
        assert!(tom.out().starts_with("delivered "));
        if n % 10 == 5 {
            proxy.change_address();
        }
    }
    tom.write_and_close(b"");
    assert_eq!(tom.end().with(0).notices(), [""; 0]);
    for n in 0..LETTERS {
        assert!(jack.out().ends_with(&format!(" TOM [udp] {n}")));
    }
    jack.end().with(0);
}
