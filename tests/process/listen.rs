//! `queqiao listen`: its output, and when it ends.

use std::process::Command;

use crate::harness::{Process, relay_with_members};

// faults.md: R47
#[test]
fn letters_are_lines_with_time_name_and_carrier() {
    let (machine, _relay) = relay_with_members(&["--tcp"], &["JACK"]);
    for carrier in ["udp", "tcp"] {
        let mut tom = machine.listen("TOM", &["--count", "2", &format!("--{carrier}")]);
        machine.send("武大郎", "TOM", "两行\n不是两封 \u{1b}[2J\u{202e}").result();
        let line = tom.out();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 8 && time.split(':').all(|part| part.len() == 2), "{line}");
        assert!(rest.starts_with(&format!("武大郎 [{carrier}] 两行\\n不是两封 ")), "{line}");
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
        machine.send("武大郎", "TOM", "2").result();
        tom.end().with(0);
    }
}

#[test]
fn json_lines_have_documented_keys() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let mut tom = machine.listen("TOM", &["--json", "--count", "1"]);
    let id = machine.send("一棵树", "TOM", "引号\"和\n换行").result()["accepted ".len()..].to_owned();
    let letter: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&tom.out()).unwrap();
    let keys: Vec<&str> = letter.keys().map(String::as_str).collect();
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 7, "{keys:?}");
    assert_eq!(letter["from"], "一棵树");
    assert!(letter["contact"].is_null(), "not in the address book");
    assert_eq!(letter["relay"], relay.udp.to_string());
    assert_eq!(letter["id"], id);
    assert_eq!(letter["text"], "引号\"和\n换行");
    assert_eq!(letter["via"], "udp");
    let at = letter["at"].as_str().unwrap();
    assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    tom.end().with(0);
}

#[test]
fn sender_is_shown_by_name_in_own_book() {
    let (machine, relay) = relay_with_members(&[], &[]);
    machine.write(
        "contacts.toml",
        format!("[contacts]\n\"大郎\" = {{ relay = \"{}\", member = \"武大郎\" }}\n", relay.udp),
    );
    let mut tom = machine.listen("TOM", &["--count", "1"]);
    machine.send("武大郎", "TOM", "x").result();
    assert!(tom.out().ends_with(" 大郎 [udp] x"));
    tom.end().with(0);
}

#[test]
fn timeout_exits_75_only_with_count() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let exited = machine.run(&["listen", "--as", "TOM", "--for", "200ms"]).with(0);
    assert_eq!(exited.out, [""; 0]);
    let mut tom = machine.listen("TOM", &["--for", "1500ms", "--count", "2"]);
    machine.send("JACK", "TOM", "1").result();
    assert!(tom.out().ends_with(" 1"));
    let exited = tom.end().with(75);
    assert_eq!(exited.err.last().unwrap(), "timed out after 1 message");
    assert_eq!(machine.run(&["listen", "--as", "TOM", "--count", "0"]).with(0).out, [""; 0]);
}

#[test]
fn closed_output_pipe_ends_listen_with_0() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    for format in [&[][..], &["--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = machine.command(&[&["listen", "--as", "TOM"], format].concat());
        command.stdout(writer);
        let mut tom = Process::start(command);
        tom.until_err("connected to");
        drop(reader);
        machine.send("JACK", "TOM", "x").with(0);
        tom.end().with(0);
    }
}

/// The relay keeps the last session of a key, which may be one of the same process at another
/// address.
#[test]
fn relay_at_two_addresses_in_book_is_explained() {
    let (machine, relay) = relay_with_members(&["--bind", "0.0.0.0:0"], &[]);
    let at = |host: &str| format!("{host}:{}", relay.udp.port());
    machine.write(
        "contacts.toml",
        format!("[contacts]\nA = \"{}\"\nB = \"{}\"\n", at("127.0.0.1"), at("127.0.0.2")),
    );
    let mut tom = machine.start(&["listen", "--as", "TOM"]);
    tom.until_err("or at another address of the same relay");
    tom.terminate().with(130);
}

// faults.md: R22
#[test]
fn second_machine_with_same_key_replaces_first() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let first = machine.listen("TOM", &[]);
    let copied = Command::new("cp")
        .args(["-R", ".local/share/queqiao", "copy"])
        .current_dir(machine.path("."))
        .status();
    assert!(copied.unwrap().success());
    let mut second = machine.listen("TOM", &["--data", "copy", "--count", "1"]);
    let exited = first.end().with(1);
    let wanted = format!("your key has signed in at {} again, from another machine or at", relay.udp);
    assert!(exited.err.last().unwrap().starts_with(&wanted), "{exited:?}");
    machine.send("JACK", "TOM", "x").result();
    assert!(second.out().ends_with(" x"));
    second.end().with(0);
}
