//! Many letters among many members, over both carriers at once.

use std::collections::BTreeMap;

use crate::harness::{Machine, Process, Relay, relay_with_members};

const MEMBERS: [&str; 4] = ["TOM", "JACK", "一棵树", "武大郎"];
/// Letters of one member to another. Eight conversations make 10,000.
const EACH: usize = 1_250;

/// Returns the option for a member's carrier.
fn carrier(name: &str) -> &'static str {
    match name {
        "TOM" => "--udp",
        "JACK" => "--tcp",
        _ => "--data=.local/share/queqiao",
    }
}

/// Lets both of `from` write to both of `to`, and asserts that all letters arrive.
fn write_letters(machine: &Machine, from: [&str; 2], to: [&str; 2]) {
    let count = (2 * EACH).to_string();
    let listeners = to.map(|name| machine.listen(name, &["--json", "--count", &count, carrier(name)]));
    for recipient in to {
        let mut senders = from.map(|name| {
            machine.start(&[
                "send",
                "--as",
                name,
                "--wait",
                "delivered",
                "--timeout",
                "60s",
                "--lines",
                recipient,
                carrier(name),
            ])
        });
        for (sender, name) in senders.iter_mut().zip(from) {
            let lines: String = (0..EACH).map(|n| format!("{name} 给 {recipient} {n}\n")).collect();
            sender.write_and_close(lines.as_bytes());
        }
        for sender in senders {
            let exited = sender.end().with(0);
            assert_eq!(exited.out.len(), EACH);
            assert_eq!(exited.out.iter().find(|line| !line.starts_with("delivered ")), None);
        }
    }
    for (listener, name) in listeners.into_iter().zip(to) {
        check(listener, name, from);
    }
}

fn check(listener: Process, me: &str, from: [&str; 2]) {
    let via = if me == "JACK" { "tcp" } else { "udp" };
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in listener.end().with(0).out {
        let letter: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(letter["via"], via, "{line}");
        let text = letter["text"].as_str().unwrap().to_owned();
        texts.entry(letter["from"].as_str().unwrap().to_owned()).or_default().push(text);
    }
    for name in from {
        let wanted: Vec<String> = (0..EACH).map(|n| format!("{name} 给 {me} {n}")).collect();
        assert!(
            texts.remove(name).as_ref() == Some(&wanted),
            "{name} to {me}: lost, doubled or out of order"
        );
    }
    assert!(texts.is_empty());
}

#[test]
fn ten_thousand_letters_over_udp_and_tcp_arrive_once_in_order() {
    let (machine, relay): (Machine, Relay) = relay_with_members(&["--tcp", "--limits", "off"], &MEMBERS);
    write_letters(&machine, ["TOM", "武大郎"], ["JACK", "一棵树"]);
    write_letters(&machine, ["JACK", "一棵树"], ["TOM", "武大郎"]);
    relay.stop().with(0);
}
