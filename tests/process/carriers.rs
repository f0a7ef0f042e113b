//! Bytes of other protocols, and packets cut into pieces.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::harness::{TcpProxy, relay_with_members, socket};

// faults.md: R36
#[test]
fn other_protocols_on_tcp_are_closed_without_answer() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let greetings: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x05\x01\x00",
        b"\0",
        &[0x41; 100_000],
    ];
    for greeting in greetings {
        let mut stranger = TcpStream::connect(relay.udp).unwrap();
        stranger.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The relay may close before all of it is written.
        let _ = stranger.write_all(greeting);
        let mut answer = Vec::new();
        match stranger.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(answer, b"", "to {:?}", &greeting[..greeting.len().min(8)]);
    }
    machine.run(&["send", "--as", "TOM", "--tcp", &format!("echo@{}", relay.udp), "x"]).with(0);
}

// faults.md: R35
#[test]
fn broken_tcp_records_are_closed_and_others_served() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    for record in [&b"\xff\0\0"[..], b"\xff\xff\xff", b"\xff\x40\x01", b"\xff\0\x04\xffabc"] {
        let mut stranger = TcpStream::connect(relay.udp).unwrap();
        stranger.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stranger.write_all(record).unwrap();
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert!(answer.len() <= 1, "{record:?} was answered with {answer:?}");
    }
    machine.run(&["send", "--as", "TOM", "--tcp", &format!("echo@{}", relay.udp), "x"]).with(0);
}

// faults.md: R37
#[test]
fn silent_connections_are_closed_and_delay_no_other() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let mut silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(relay.udp).unwrap()).collect();
    machine.run(&["send", "--as", "TOM", "--tcp", &format!("echo@{}", relay.udp), "x"]).with(0);
    for stranger in &mut silent {
        stranger.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(stranger.read(&mut [0; 8]).unwrap(), 0);
        let _ = stranger.shutdown(Shutdown::Both);
    }
}

// faults.md: R1, R3
#[test]
fn garbage_on_udp_gets_no_answer() {
    let (machine, relay) = relay_with_members(&[], &[]);
    let stranger = socket();
    for first in 0..=255u8 {
        for len in [1, 2, 16, 17, 20, 64, 1199, 1200, 1201, 9000] {
            stranger.send_to(&vec![first; len], relay.udp).unwrap();
        }
    }
    stranger.send_to(b"", relay.udp).unwrap();
    // A relay answers in order of arrival: after this letter it has read all of the above.
    machine.run(&["send", "--as", "TOM", "--udp", &format!("echo@{}", relay.udp), "x"]).with(0);
    let answer = stranger.recv_from(&mut [0; 65_536]);
    assert!(matches!(&answer, Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)));
}

// faults.md: R40
#[test]
fn connection_cut_into_single_bytes_carries_same_letters() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    let proxy = TcpProxy::byte_by_byte(relay.udp);
    machine.split_book("contacts.toml", &["TOM", "JACK"], relay.udp, proxy.addr);
    let mut jack = machine.listen("JACK", &["--tcp", "--json"]);
    let texts = ["短", "", "a letter of several records: ", "一棵树"];
    let texts: Vec<String> =
        texts.iter().enumerate().map(|(n, text)| format!("{n}{}", text.repeat(800))).collect();
    let input = texts.join("\n");
    let exited =
        machine.run_with(&["send", "--as", "TOM", "--tcp", "--lines", "JACK"], input.as_bytes()).with(0);
    assert_eq!(exited.out.len(), texts.len());
    for text in texts {
        let letter: serde_json::Value = serde_json::from_str(&jack.out()).unwrap();
        assert_eq!((&letter["text"], &letter["via"]), (&text.into(), &"tcp".into()));
    }
}

/// A relay ends a session without a name after ten seconds. `ping` runs longer here.
#[test]
fn ping_outlasts_limit_of_unnamed_sessions() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    for carrier in ["--udp", "--tcp"] {
        let exited = machine.run(&["ping", &relay.udp.to_string(), carrier, "--count", "55"]).with(0);
        let sum = exited.out.last().unwrap();
        assert!(sum.contains("sent=55 answered=55 loss=0%"), "{sum}");
    }
}

#[test]
fn ping_measures_both_carriers_and_registers_no_name() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["JACK"]);
    let addr = relay.udp.to_string();
    let exited = machine.run(&["ping", "--count", "2"]).with(0);
    let wanted = |line: &String, carrier: &str| line.starts_with(&format!("{carrier} {addr} "));
    assert_eq!(exited.out.len(), 7, "{exited:?}");
    assert_eq!(exited.out[6], format!("{addr} chosen=udp"));
    assert!(exited.out[..3].iter().all(|line| wanted(line, "udp")), "{exited:?}");
    assert!(exited.out[3..6].iter().all(|line| wanted(line, "tcp")), "{exited:?}");
    for summary in [&exited.out[2], &exited.out[5]] {
        assert!(summary.contains(" sent=2 answered=2 loss=0% min="), "{summary}");
    }
    assert_eq!(machine.run(&["ping", "JACK", "--udp", "--count", "1"]).with(0).out.len(), 2);
    assert_eq!(machine.run(&["ping", &addr, "--tcp", "--count", "1"]).with(0).out.len(), 2);
    assert!(!machine.path(".local/share/queqiao/members").exists());
}

#[test]
fn ping_distinguishes_missing_carrier_from_missing_relay() {
    let (machine, relay) = relay_with_members(&[], &[]);
    let addr = relay.udp.to_string();
    let half = machine.run(&["ping", &addr, "--count", "1"]).with(0);
    assert_eq!(half.notices(), [format!("no TCP listener at {addr}; start the relay with --tcp")]);
    assert!(half.out[half.out.len() - 2].contains("sent=1 answered=0 loss=100%"), "{half:?}");
    assert_eq!(half.out.last().unwrap(), &format!("{addr} chosen=udp"));
    machine.run(&["ping", &addr, "--tcp", "--count", "1"]).with(1);
    relay.stop().with(0);
    machine.run(&["ping", &addr, "--count", "1"]).with(1);
}
