//! A member's folder replaced by an earlier copy of itself. Letters that the copy writes under used
//! numbers are returned to their sender, and none is reported delivered that was not.

use std::fs;
use std::path::Path;

use crate::world::{Ended, Home, Relay, texts, town};

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
fn keep(home: &Home) {
    copy(&home.path("tom"), &home.path("old"));
}

/// Restores that copy.
fn put_back(home: &Home) {
    fs::remove_dir_all(home.path("tom")).unwrap();
    copy(&home.path("old"), &home.path("tom"));
}

fn tom(home: &Home, args: &[&str]) -> Ended {
    home.run(&[&["send", "--as", "TOM", "--data", "tom", "--wait", "delivered"], args].concat())
}

fn delivers(home: &Home, text: &str) {
    let sent = tom(home, &["JACK", text]);
    assert!(sent.code == 0 && sent.result().starts_with("delivered "), "{sent:?}");
}

/// Asserts that the next letter of the copy is refused as `old-copy` with its text, and that later
/// ones arrive.
fn comes_to_light(home: &Home) {
    let sent = tom(home, &["JACK", "by the copy"]);
    assert!(sent.code == 1 && sent.out.is_empty(), "{sent:?}");
    let said = |what: &str| sent.err.iter().filter(|line| line.contains(what)).count();
    assert_eq!(said(" old-copy (may have arrived)"), 1, "{sent:?}");
    assert_eq!((said("This data folder is an old copy"), said("by the copy")), (1, 1), "{sent:?}");
    let history = home.run(&["history", "--as", "TOM", "--data", "tom", "JACK"]).with(0);
    assert!(history.out.last().unwrap().ends_with("TOM → JACK [old-copy] by the copy"), "{history:?}");
    for text in ["once more", "and again"] {
        let sent = tom(home, &["JACK", text]);
        assert!(sent.code == 0 && sent.result().starts_with("delivered "), "{sent:?}");
        assert!(sent.err.is_empty(), "{sent:?}");
    }
}

fn restart(home: &Home, relay: Relay, in_good_order: bool) -> Relay {
    let addr = relay.udp.to_string();
    if in_good_order {
        relay.stop().with(0);
    } else {
        relay.running.kill();
    }
    home.relay(&["--data", "kept", "--bind", &addr])
}

// faults.md: R55
#[test]
fn old_copy_is_detected_after_relay_restart() {
    for in_good_order in [true, false] {
        let (home, relay) = town(&["--data", "kept"], &["TOM", "JACK"]);
        let mut jack = home.listen("JACK", &[]);
        delivers(&home, "first");
        keep(&home);
        delivers(&home, "second");
        delivers(&home, "third");
        put_back(&home);
        let _relay = restart(&home, relay, in_good_order);
        comes_to_light(&home);
        let heard: Vec<String> = (0..5).map(|_| jack.out()).collect();
        assert_eq!(texts(&heard), ["first", "second", "third", "once more", "and again"]);
    }
}

// faults.md: R55
/// More letters than a relay could keep digests of.
#[test]
fn old_copy_is_detected_behind_400_messages() {
    let (home, _relay) = town(&["--data", "kept"], &["TOM", "JACK"]);
    let _jack = home.listen("JACK", &[]);
    delivers(&home, "first");
    keep(&home);
    let lines: String = (0..400).map(|n| format!("line {n}\n")).collect();
    let args = ["send", "--as", "TOM", "--data", "tom", "--wait", "delivered", "--lines", "JACK"];
    assert_eq!(home.run_with(&args, lines.as_bytes()).with(0).out.len(), 400);
    put_back(&home);
    comes_to_light(&home);
}

// faults.md: R55
/// One sign-in serves all letters, so that of the copy is as new as that of the original. If the
/// relay is killed in between, only the recipient knows which letters it has.
#[test]
fn copy_made_while_listen_runs_is_detected() {
    for killed in [false, true] {
        let (home, mut relay) = town(&["--data", "kept"], &["TOM", "JACK"]);
        let mut jack = home.listen("JACK", &[]);
        let running = home.listen("TOM", &["--data", "tom"]);
        delivers(&home, "first");
        keep(&home);
        delivers(&home, "second");
        delivers(&home, "third");
        running.kill();
        put_back(&home);
        if killed {
            relay = restart(&home, relay, false);
        }
        comes_to_light(&home);
        let heard: Vec<String> = (0..5).map(|_| jack.out()).collect();
        assert_eq!(texts(&heard), ["first", "second", "third", "once more", "and again"]);
        relay.stop().with(0);
    }
}

// faults.md: R55
/// The copy writes several letters before it reaches the relay. It is detected however far it has
/// counted.
#[test]
fn texts_written_offline_by_copy_are_all_returned() {
    let (home, relay) = town(&["--data", "kept"], &["TOM", "JACK"]);
    let mut jack = home.listen("JACK", &[]);
    delivers(&home, "first");
    keep(&home);
    delivers(&home, "second");
    put_back(&home);
    let addr = relay.udp.to_string();
    relay.stop().with(0);
    for n in 0..4 {
        tom(&home, &["--timeout", "200ms", "JACK", &format!("offline {n}")]).with(75);
    }
    let _relay = home.relay(&["--data", "kept", "--bind", &addr]);
    let sent = tom(&home, &["JACK", "by the copy"]);
    assert!(sent.code == 1 && sent.out.is_empty(), "{sent:?}");
    for text in ["offline 0", "offline 1", "offline 2", "offline 3", "by the copy"] {
        assert_eq!(sent.err.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {sent:?}");
    }
    delivers(&home, "once more");
    let heard: Vec<String> = (0..3).map(|_| jack.out()).collect();
    assert_eq!(texts(&heard), ["first", "second", "once more"]);
}
