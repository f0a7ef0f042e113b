//! A member's folder replaced by an earlier copy of itself. Letters that the copy writes under used
//! numbers are returned to their sender, and none is reported delivered that was not.

use std::fs;
use std::path::Path;

use crate::harness::{ExitedProcess, Machine, Relay, relay_with_members, texts};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        let there = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &there);
        } else if kind.is_file() {
            fs::copy(entry.path(), there).unwrap();
        }
    }
}

/// Copies TOM's folder as it is.
fn save_copy(machine: &Machine) {
    copy(&machine.path("tom"), &machine.path("old"));
}

/// Restores that copy.
fn restore(machine: &Machine) {
    fs::remove_dir_all(machine.path("tom")).unwrap();
    copy(&machine.path("old"), &machine.path("tom"));
}

fn tom(machine: &Machine, args: &[&str]) -> ExitedProcess {
    machine.run(&[&["send", "--as", "TOM", "--data", "tom", "--wait", "delivered"], args].concat())
}

fn expect_delivery(machine: &Machine, text: &str) {
    let sent = tom(machine, &["JACK", text]);
    assert!(sent.code == 0 && sent.result().starts_with("delivered "), "{sent:?}");
}

/// Asserts that the next letter of the copy is refused as `old-copy` with its text, and that later
/// ones arrive.
fn expect_detection(machine: &Machine) {
    let sent = tom(machine, &["JACK", "by the copy"]);
    assert!(sent.code == 1 && sent.out.is_empty(), "{sent:?}");
    let notices = |what: &str| sent.err.iter().filter(|line| line.contains(what)).count();
    assert_eq!(notices(" old-copy (may have arrived)"), 1, "{sent:?}");
    assert_eq!((notices("This data directory is an old copy"), notices("by the copy")), (1, 1), "{sent:?}");
    let history = machine.run(&["history", "--as", "TOM", "--data", "tom", "JACK"]).with(0);
    assert!(history.out.last().unwrap().ends_with("TOM → JACK [old-copy] by the copy"), "{history:?}");
    for text in ["once more", "and again"] {
        let sent = tom(machine, &["JACK", text]);
        assert!(sent.code == 0 && sent.result().starts_with("delivered "), "{sent:?}");
        assert!(sent.err.is_empty(), "{sent:?}");
    }
}

fn restart(machine: &Machine, relay: Relay, in_good_order: bool) -> Relay {
    let addr = relay.udp.to_string();
    if in_good_order {
        relay.stop().with(0);
    } else {
        relay.process.kill();
    }
    machine.relay(&["--data", "kept", "--bind", &addr])
}

// faults.md: R55
#[test]
fn old_copy_is_detected_after_relay_restart() {
    for in_good_order in [true, false] {
        let (machine, relay) = relay_with_members(&["--data", "kept"], &["TOM", "JACK"]);
        let mut jack = machine.listen("JACK", &[]);
        expect_delivery(&machine, "first");
        save_copy(&machine);
        expect_delivery(&machine, "second");
        expect_delivery(&machine, "third");
        restore(&machine);
        let _relay = restart(&machine, relay, in_good_order);
        expect_detection(&machine);
        let received: Vec<String> = (0..5).map(|_| jack.out()).collect();
        assert_eq!(texts(&received), ["first", "second", "third", "once more", "and again"]);
    }
}

// faults.md: R55
/// More letters than a relay could keep digests of.
#[test]
fn old_copy_is_detected_behind_400_messages() {
    let (machine, _relay) = relay_with_members(&["--data", "kept"], &["TOM", "JACK"]);
    let _jack = machine.listen("JACK", &[]);
    expect_delivery(&machine, "first");
    save_copy(&machine);
    let lines: String = (0..400).map(|n| format!("line {n}\n")).collect();
    let args = ["send", "--as", "TOM", "--data", "tom", "--wait", "delivered", "--lines", "JACK"];
    assert_eq!(machine.run_with(&args, lines.as_bytes()).with(0).out.len(), 400);
    restore(&machine);
    expect_detection(&machine);
}

// faults.md: R55
/// One sign-in serves all letters, so that of the copy is as new as that of the original. If the
/// relay is killed in between, only the recipient knows which letters it has.
#[test]
fn copy_made_while_listen_runs_is_detected() {
    for killed in [false, true] {
        let (machine, mut relay) = relay_with_members(&["--data", "kept"], &["TOM", "JACK"]);
        let mut jack = machine.listen("JACK", &[]);
        let process = machine.listen("TOM", &["--data", "tom"]);
        expect_delivery(&machine, "first");
        save_copy(&machine);
        expect_delivery(&machine, "second");
        expect_delivery(&machine, "third");
        process.kill();
        restore(&machine);
        if killed {
            relay = restart(&machine, relay, false);
        }
        expect_detection(&machine);
        let received: Vec<String> = (0..5).map(|_| jack.out()).collect();
        assert_eq!(texts(&received), ["first", "second", "third", "once more", "and again"]);
        relay.stop().with(0);
    }
}

// faults.md: R55
/// The copy writes several letters before it reaches the relay. It is detected however far it has
/// counted.
#[test]
fn texts_written_offline_by_copy_are_all_returned() {
    let (machine, relay) = relay_with_members(&["--data", "kept"], &["TOM", "JACK"]);
    let mut jack = machine.listen("JACK", &[]);
    expect_delivery(&machine, "first");
    save_copy(&machine);
    expect_delivery(&machine, "second");
    restore(&machine);
    let addr = relay.udp.to_string();
    relay.stop().with(0);
    for n in 0..4 {
        tom(&machine, &["--timeout", "200ms", "JACK", &format!("offline {n}")]).with(75);
    }
    let _relay = machine.relay(&["--data", "kept", "--bind", &addr]);
    let sent = tom(&machine, &["JACK", "by the copy"]);
    assert!(sent.code == 1 && sent.out.is_empty(), "{sent:?}");
    for text in ["offline 0", "offline 1", "offline 2", "offline 3", "by the copy"] {
        assert_eq!(sent.err.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {sent:?}");
    }
    expect_delivery(&machine, "once more");
    let received: Vec<String> = (0..3).map(|_| jack.out()).collect();
    assert_eq!(texts(&received), ["first", "second", "once more"]);
}
