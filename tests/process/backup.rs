//! `queqiao relay backup` of a relay that serves its members, and `queqiao relay restore`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::harness::{Machine, Process, Relay, relay_with_members, texts};

/// Longest pause between two messages: at least 200 a second.
const PACE: Duration = Duration::from_millis(5);
/// The relay takes that many, whatever the machine's speed.
const FAST: [&str; 4] = ["--letters-per-second", "2000", "--letters-burst", "20000"];

/// Fills the database, so that a backup takes several steps.
fn fill(machine: &Machine) {
    let lines = format!("{}\n", "x".repeat(60_000)).repeat(100);
    let sent = machine.run_with(&["send", "--as", "ROSE", "JIM", "--lines"], lines.as_bytes()).with(0);
    assert_eq!(sent.out.len(), 100);
}

/// Kills a relay, restores it into another folder, and starts it at the same address.
fn restored(machine: &Machine, relay: Relay, file: &str) -> Relay {
    let addr = relay.udp.to_string();
    let key = relay.key.clone();
    relay.process.kill();
    let done = machine.run(&["relay", "restore", file, "--data", "again"]).with(0);
    assert!(done.result().starts_with("restored members="), "{done:?}");
    let mut relay = machine.relay(&["--data", "again", "--bind", &addr]);
    assert_eq!(relay.key, key);
    relay.process.until_err("restored from a backup: messages accepted after 20");
    relay
}

/// Everything that was accepted before the backup began is in it, whatever came during it.
#[test]
fn backup_under_load_has_each_accepted_message_once() {
    let args = [&["--data", "kept"][..], &FAST].concat();
    let (machine, relay) = relay_with_members(&args, &["TOM", "JACK", "ROSE", "JIM", "MARY"]);
    for name in ["JACK", "JIM"] {
        machine.register(name);
    }
    fill(&machine);
    let mut tom = machine.start(&["send", "--as", "TOM", "JACK", "--lines"]);
    let mut written = 0;
    let mut accepted = 0;
    let mut write = |tom: &mut Process| {
        written += 1;
        tom.write(&format!("message {written}\n"));
        accepted += usize::from(tom.out_within(PACE).is_some());
        accepted
    };
    while write(&mut tom) < 200 {}
    let before = write(&mut tom);
    let mut backup = machine.start(&["relay", "backup", "copy.sqlite", "--data", "kept"]);
    let mut result = None;
    while result.is_none() {
        write(&mut tom);
        result = backup.out_within(Duration::ZERO);
    }
    let result = result.unwrap();
    assert!(result.starts_with("backup members=4 messages="), "{result}");
    backup.end().with(0);
    for _ in 0..50 {
        write(&mut tom);
    }
    // Everything up to here was accepted, by the relay that is now lost.
    tom.write_and_close(b"");
    tom.end().with(0);
    let relay = restored(&machine, relay, "copy.sqlite");
    // TOM never returns. The last message comes from another member, behind all of his.
    assert!(machine.send("MARY", "JACK", "the last one").result().starts_with("accepted "));
    let mut jack = machine.listen("JACK", &[]);
    let mut lines = vec![jack.out()];
    while !lines.last().unwrap().ends_with("the last one") {
        lines.push(jack.out());
    }
    lines.pop();
    let expected: Vec<String> = (1..=lines.len()).map(|n| format!("message {n}")).collect();
    assert_eq!(texts(&lines), expected, "each once and in order");
    assert!(lines.len() >= before, "{} of {before}", lines.len());
    relay.stop().with(0);
}

/// The relay accepts two more messages after the backup. Their sender learns of the loss, and
/// sends them again before the next one.
#[test]
fn messages_lost_by_restore_are_reported_and_sent_again() {
    let (machine, relay) = relay_with_members(&["--data", "kept"], &["TOM", "JACK"]);
    machine.register("JACK");
    machine.send("TOM", "JACK", "one").result();
    machine.run(&["relay", "backup", "copy.sqlite", "--data", "kept"]).with(0);
    machine.send("TOM", "JACK", "two").result();
    machine.send("TOM", "JACK", "three").result();
    let relay = restored(&machine, relay, "copy.sqlite");
    let sent = machine.run(&["--lang", "zh", "send", "--as", "TOM", "JACK", "four"]).with(0);
    assert!(sent.err.iter().any(|line| line.contains("2 条给 JACK 的消息可能没有送达")), "{sent:?}");
    let listened = machine.run(&["listen", "--as", "JACK", "--count", "4"]).with(0);
    assert_eq!(texts(&listened.out), ["one", "two", "three", "four"]);
    let history = machine.run(&["history", "--as", "TOM"]).with(0);
    assert_eq!(texts(&history.out).len(), 4);
    relay.stop().with(0);
}

/// The recipient has them: nothing is shown twice, and the conversation continues.
#[test]
fn messages_that_arrived_before_restore_are_not_repeated() {
    let (machine, relay) = relay_with_members(&["--data", "kept"], &["TOM", "JACK"]);
    machine.register("JACK");
    machine.run(&["relay", "backup", "copy.sqlite", "--data", "kept"]).with(0);
    machine.send("TOM", "JACK", "one").result();
    machine.send("TOM", "JACK", "two").result();
    machine.run(&["listen", "--as", "JACK", "--count", "2"]).with(0);
    let relay = restored(&machine, relay, "copy.sqlite");
    let mut jack = machine.listen("JACK", &[]);
    let sent = machine.run(&["send", "--as", "TOM", "JACK", "three", "--wait", "delivered"]).with(0);
    assert!(sent.result().starts_with("delivered "));
    assert!(jack.out().ends_with("three"));
    assert!(jack.terminate().out.len() == 1);
    relay.stop().with(0);
}

#[test]
fn backup_is_private_and_verified_and_replaces_no_file() {
    let (machine, relay) = relay_with_members(&["--data", "kept"], &["TOM"]);
    machine.register("TOM");
    let backup = ["relay", "backup", "copy.sqlite", "--data", "kept"];
    let done = machine.run(&backup).with(0);
    let line = done.result();
    assert!(line.starts_with("backup members=1 messages=0 until=20") && line.ends_with(&relay.key), "{line}");
    assert!(done.notices()[0].contains("secret key"), "{done:?}");
    assert_eq!(fs::metadata(machine.path("copy.sqlite")).unwrap().permissions().mode() & 0o777, 0o600);
    machine.run(&backup).one_line(1, "exists already");
    machine.run(&["relay", "backup", "none/copy", "--data", "kept"]).one_line(1, "no directory for");
    relay.stop().with(0);
    // A stopped relay is copied by the command itself.
    machine.run(&["relay", "--data", "kept", "backup", "other.sqlite"]).with(0).result();
    machine
        .run(&["relay", "backup", "third", "--data", "nothing"])
        .one_line(1, "is not a relay's data directory");
    assert!(!machine.path("nothing").exists() && !machine.path("third").exists());
}

#[test]
fn restore_refuses_other_files_and_used_folders() {
    let (machine, relay) = relay_with_members(&["--data", "kept"], &["TOM"]);
    machine.run(&["relay", "backup", "copy.sqlite", "--data", "kept"]).with(0);
    relay.stop().with(0);
    let restore = |file, folder| machine.run(&["relay", "restore", file, "--data", folder]);
    restore("copy.sqlite", "kept").one_line(1, "kept is not empty");
    restore("contacts.toml", "again").one_line(1, "contacts.toml is no backup");
    restore("none", "again").one_line(1, "no backup in none");
    let mut bytes = fs::read(machine.path("copy.sqlite")).unwrap();
    let half = bytes.len() / 2;
    bytes.truncate(half);
    machine.write("half.sqlite", bytes);
    restore("half.sqlite", "again").one_line(1, "half.sqlite is damaged");
    assert!(!machine.path("again").exists());
    fs::rename(machine.path("copy.sqlite"), machine.path("kept/relay.sqlite")).unwrap();
    machine.run(&["relay", "--data", "kept"]).one_line(1, "kept/relay.sqlite");
}
