//! Many letters among many members, over both carriers at once.

use std::collections::BTreeMap;

use crate::world::{Home, Relay, Running, town};

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
fn write_letters(home: &Home, from: [&str; 2], to: [&str; 2]) {
    let count = (2 * EACH).to_string();
    let listeners = to.map(|name| home.listen(name, &["--json", "--count", &count, carrier(name)]));
    for recipient in to {
        let mut senders = from.map(|name| {
            home.start(&[
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
            sender.feed(lines.as_bytes());
        }
        for sender in senders {
            let ended = sender.end().with(0);
            assert_eq!(ended.out.len(), EACH);
            assert_eq!(ended.out.iter().find(|line| !line.starts_with("delivered ")), None);
        }
    }
    for (listener, name) in listeners.into_iter().zip(to) {
        check(listener, name, from);
    }
}

fn check(listener: Running, me: &str, from: [&str; 2]) {
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
    let (home, relay): (Home, Relay) = town(&["--tcp", "--limits", "off"], &MEMBERS);
    write_letters(&home, ["TOM", "武大郎"], ["JACK", "一棵树"]);
    write_letters(&home, ["JACK", "一棵树"], ["TOM", "武大郎"]);
    relay.stop().with(0);
}
