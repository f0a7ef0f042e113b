//! Letters to an absent member, and a relay that is killed in the meantime.

use crate::harness::{Machine, relay_with_members, texts};

fn numbered(machine: &Machine, from: &str, to: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    let lines: String = numbers.map(|n| format!("letter {n}\n")).collect();
    machine.run_with(&["send", "--as", from, to, "--lines"], lines.as_bytes()).with(0).out
}

// faults.md: R70
/// They arrive once and in order.
#[test]
fn letters_to_absent_member_survive_relay_kill() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.register("JACK");
    let accepted = numbered(&machine, "TOM", "JACK", 0..40);
    assert_eq!(accepted.len(), 40);
    assert!(accepted.iter().all(|line| line.starts_with("accepted ")), "{accepted:?}");
    relay.process.kill();

    let relay = machine.relay(&["--bind", &addr, "--tcp"]);
    let more = numbered(&machine, "TOM", "JACK", 40..60);
    assert!(more.iter().all(|line| line.starts_with("accepted ")), "{more:?}");
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "60"]).with(0);
    let wanted: Vec<String> = (0..60).map(|n| format!("letter {n}")).collect();
    assert_eq!(texts(&jack.out), wanted);
    relay.process.kill();

    let relay = machine.relay(&["--bind", &addr, "--tcp"]);
    let nothing = machine.run(&["listen", "--as", "JACK", "--count", "1", "--for", "2s"]).with(75);
    assert_eq!(nothing.out, [""; 0], "each letter came once");
    relay.stop().with(0);
}

// faults.md: R70
/// The sender gets the receipt whenever it signs in, and the relay has been killed by then.
#[test]
fn read_receipt_survives_absent_sender_and_relay_kill() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.register("JACK");
    assert!(machine.send("TOM", "JACK", "first").result().starts_with("accepted "));
    assert_eq!(machine.run(&["listen", "--as", "JACK", "--count", "1"]).with(0).out.len(), 1);
    relay.process.kill();

    let _relay = machine.relay(&["--bind", &addr]);
    // JACK repeats the reports that were lost with the relay.
    machine.register("JACK");
    assert!(machine.send("TOM", "JACK", "second").result().starts_with("accepted "));
    let history = machine.run(&["history", "--as", "TOM", "JACK", "--json"]).with(0).out;
    let state = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].clone();
    assert_eq!(history.iter().map(state).collect::<Vec<_>>(), ["read", "waiting"], "{history:?}");
}

/// Both are first letters, and TOM's client takes them for two conversations.
#[test]
fn letters_to_two_addresses_of_relay_are_separate() {
    let (machine, relay) = relay_with_members(&["--bind", "127.0.0.1:0"], &["TOM", "JACK"]);
    machine.register("JACK");
    for (host, text) in [("127.0.0.1", "first"), ("localhost", "second"), ("127.0.0.1", "third")] {
        let to = format!("JACK@{host}:{}", relay.udp.port());
        assert!(machine.send("TOM", &to, text).result().starts_with("accepted "));
    }
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "3"]).with(0);
    assert_eq!(texts(&jack.out), ["first", "second", "third"]);
}

// faults.md: R52
#[test]
fn full_mailbox_refuses_letters_as_full() {
    let (machine, _relay) = relay_with_members(&["--pair-letters", "3"], &["TOM", "JACK"]);
    machine.register("JACK");
    for _ in 0..3 {
        assert!(machine.send("TOM", "JACK", "x").result().starts_with("accepted "));
    }
    let refused = machine.send("TOM", "JACK", "x").with(1);
    assert!(refused.notices()[0].ends_with(" full"), "{refused:?}");
    assert!(machine.send("武大郎", "JACK", "x").result().starts_with("accepted "), "others are unaffected");
}

/// The stranger's letters wait at the relay, all of them accepted. The recipient's folder has as
/// many as the pair rate allows.
#[test]
fn megabytes_of_stranger_delay_no_friend_and_fill_no_disk() {
    let (machine, _relay) =
        relay_with_members(&["--pair-rate", "1K", "--pair-burst", "100K"], &["TOM", "JACK", "MARY"]);
    let mut jack = machine.listen("JACK", &["--data", "jack"]);
    let line = "x".repeat(20_000);
    let lines: String = (0..250).map(|n| format!("TOM-{n} {line}\n")).collect();
    let sent =
        machine.run_with(&["send", "--as", "TOM", "JACK", "--lines", "--timeout", "60s"], lines.as_bytes());
    assert_eq!(sent.with(0).out.len(), 250);
    for n in 0..5 {
        machine.send("MARY", "JACK", &format!("MARY-{n}")).with(0);
    }
    let mut greedy = 0;
    let mut friend = 0;
    while friend < 5 {
        let line = jack.out();
        greedy += usize::from(line.contains("TOM-"));
        friend += usize::from(line.contains("MARY-"));
    }
    assert!((1..50).contains(&greedy), "{greedy} of 250");
    jack.terminate().with(130);
    let size = folder_size(&machine.path("jack"));
    assert!(size > 0 && size < 3 << 20, "{size} bytes of 5 MB");
}

fn folder_size(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            if path.is_dir() {
                folder_size(&path)
            } else {
                path.symlink_metadata().map_or(0, |data| data.len())
            }
        })
        .sum()
}
