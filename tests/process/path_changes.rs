//! One conversation on two carriers: the notices of its ends, and the choice of the user.

use crate::harness::{Process, UdpProxy, relay_with_members};

/// Whether the line begins with `HH:MM:SS` and two spaces.
fn is_timed(line: &str) -> bool {
    let shape: String = line.chars().take(10).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "00:00:00  "
}

/// Returns the carrier and the text of the next letter.
fn next_letter(listening: &mut Process) -> (String, String) {
    let letter: serde_json::Value = serde_json::from_str(&listening.out()).unwrap();
    let field = |key: &str| letter[key].as_str().unwrap().to_owned();
    (field("via"), field("text"))
}

// faults.md: R28
#[test]
fn listener_reports_path_changes_and_carrier_of_letters() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["JACK"]);
    let proxy = UdpProxy::open(relay.udp);
    machine.split_book("through.toml", &["TOM"], proxy.addr, relay.udp);
    let mut jack = machine.start(&["listen", "--as", "JACK", "--contacts", "through.toml", "--json"]);
    assert!(jack.until_err("connected to").ends_with("over UDP"));
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    let mut notices = |text: &str| {
        tom.write(&format!("{text}\n"));
        // A letter not stored by its recipient within 500 ms is accepted into the mailbox.
        let state = tom.out();
        assert!(state.starts_with("delivered ") || state.starts_with("accepted "), "{state}");
    };
    notices("one");
    assert_eq!(next_letter(&mut jack), ("udp".to_owned(), "one".to_owned()));
    proxy.drop_packets();
    notices("two");
    assert_eq!(next_letter(&mut jack), ("tcp".to_owned(), "two".to_owned()));
    let line = jack.until_err("no answer over UDP; switched to TCP");
    assert!(is_timed(&line), "{line}");
    proxy.forward_packets();
    let line = jack.until_err("UDP works; switched to UDP");
    assert!(is_timed(&line), "{line}");
    notices("three");
    assert_eq!(next_letter(&mut jack), ("udp".to_owned(), "three".to_owned()));
    tom.write_and_close(b"");
    tom.end().with(0);
    jack.terminate();
}

/// `RUST_LOG=debug` shows how a client reaches its relay, and each change of path.
#[test]
fn debug_log_tells_handshakes_paths_and_switches() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["JACK"]);
    let proxy = UdpProxy::open(relay.udp);
    machine.split_book("through.toml", &["TOM"], proxy.addr, relay.udp);
    let mut command = machine.command(&["listen", "--as", "JACK", "--contacts", "through.toml"]);
    command.env("RUST_LOG", "debug");
    let mut jack = Process::start(command);
    let udp = proxy.addr;
    for line in [
        format!("question for the relay's key to udp {udp}"),
        format!("handshake to udp {udp}"),
        format!("answer to the handshake from udp {udp}"),
        format!("{udp}: signed in over udp"),
        format!("{udp}: path chosen: udp {udp}"),
    ] {
        jack.until_err(&line);
    }
    proxy.drop_packets();
    machine.send("TOM", "JACK", "two");
    assert!(jack.out().ends_with(" TOM [tcp] two"));
    jack.until_err(&format!("{udp}: switched to tcp: "));
    let log = jack.terminate().err.join("\n");
    for line in [format!("tcp {} (connection ", relay.udp), format!("{udp}: path chosen: tcp {}", relay.udp)]
    {
        assert!(log.contains(&line), "{line}: {log}");
    }
    assert!(!log.contains("two"), "no text is logged: {log}");
}

// faults.md: R15, R21
/// A proxy that drops no datagram. Only the way back from its other address leads nowhere.
#[test]
fn copies_from_other_address_do_not_silence_listener() {
    for from_the_start in [true, false] {
        let (machine, relay) = relay_with_members(&[], &["JACK"]);
        let proxy = UdpProxy::open(relay.udp);
        machine.split_book("through.toml", &["TOM"], proxy.addr, relay.udp);
        if from_the_start {
            proxy.copy_first();
        }
        let mut jack =
            machine.start(&["listen", "--as", "JACK", "--contacts", "through.toml", "--json", "--udp"]);
        assert!(jack.until_err("connected to").ends_with("over UDP"));
        proxy.copy_first();
        for text in ["one", "two", "three", "four", "five", "six"] {
            let args = ["send", "--as", "TOM", "--wait", "delivered", "JACK", text];
            assert!(machine.run(&args).with(0).result().starts_with("delivered "), "{text}");
            assert_eq!(next_letter(&mut jack), ("udp".to_owned(), text.to_owned()));
        }
        jack.terminate();
    }
}

#[test]
fn chat_user_selects_carrier_and_letters_show_it() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    let mut tom = machine.chat("TOM", &relay, &[]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    tom.write("JACK\n");
    jack.write("TOM\n");
    for (carrier, name) in [("tcp", "TCP"), ("udp", "UDP"), ("tcp", "TCP")] {
        tom.write(&format!("/path {carrier}\n"));
        let line = tom.until_err(&format!("switched to {name} as requested"));
        assert!(is_timed(&line), "{line}");
        jack.write(&format!("by {carrier}\n"));
        let line = tom.out();
        assert!(line.contains(&format!("JACK [{carrier}] ")) && line.ends_with(carrier), "{line}");
    }
    tom.write("/path auto\n");
    tom.until_err("UDP works; switched to UDP");
    for mut chat in [tom, jack] {
        chat.write_and_close(b"");
        chat.end().with(0);
    }
}

#[test]
fn udp_failure_is_remembered_until_validated() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let proxy = UdpProxy::open(relay.udp);
    proxy.drop_packets();
    machine.split_book("through.toml", &["echo"], proxy.addr, relay.udp);
    let args = ["--as", "TOM", "--contacts", "through.toml"];
    machine.run(&[&["send"], &args[..], &["echo", "x"]].concat()).with(0);
    let members = std::fs::read_dir(machine.path(".local/share/queqiao/members")).unwrap();
    let file = members.last().unwrap().unwrap().path().join("udp_failed.toml");
    let entry = format!("\"{}\" = ", proxy.addr);
    let failed = || std::fs::read_to_string(&file).unwrap().contains(&entry);
    assert!(failed());
    proxy.forward_packets();
    machine.run(&[&["listen", "--for", "2s"], &args[..]].concat()).with(0);
    assert!(!failed(), "UDP passes and the entry stays");
}
