//! Full, broken or damaged disks: accepted letters are kept, and the error is named.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::harness::{ExitedProcess, FaultInjector, Machine, Process, Relay, relay_with_members};

/// Returns a letter of 50 kB.
fn long(n: usize) -> String {
    format!("{n} {}", "x".repeat(50_000))
}

fn send_long(machine: &Machine, n: usize) -> ExitedProcess {
    machine.run_with(&["send", "--as", "TOM", "JACK", "-"], long(n).as_bytes())
}

/// Returns the first word of each of `count` letters that JACK gets.
fn received_texts(machine: &Machine, count: usize) -> Vec<String> {
    let jack = machine.run(&["listen", "--as", "JACK", "--count", &count.to_string()]).with(0);
    let first = |line: &String| line.split_once("] ").unwrap().1.split(' ').next().unwrap().to_owned();
    jack.out.iter().map(first).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Sends long letters of TOM from this number on. Returns the number of the refused one.
fn send_until_full(machine: &Machine, first: usize) -> usize {
    for n in first..first + 60 {
        let exited = send_long(machine, n);
        if exited.code != 0 {
            assert!(exited.code == 1 && exited.notices()[0].ends_with(" full"), "{exited:?}");
            return n;
        }
    }
    panic!("the disk does not fill");
}

/// Runs a relay whose disk is full from `fill` until `free`.
fn full_disk(machine: &Machine, relay: &mut Relay, fill: impl FnOnce(&Relay), free: impl FnOnce(&Relay)) {
    machine.register("JACK");
    for n in 0..3 {
        assert!(machine.send("TOM", "JACK", &n.to_string()).result().starts_with("accepted "));
    }
    fill(relay);
    let accepted = send_until_full(machine, 3);
    let log = relay.process.until_err("relay.sqlite");
    assert!(log.contains(" warn: disk: "), "{log}");
    assert_eq!(received_texts(machine, accepted), numbers(0..accepted), "accepted letters are delivered");
    free(relay);
    let again = send_long(machine, accepted);
    assert!(again.result().starts_with("accepted "), "{again:?}");
    relay.process.until_err("disk: writing works again");
    assert_eq!(received_texts(machine, 1), numbers(accepted..accepted + 1));
}

/// Whether tests can make namespaces of users and mounts here.
pub fn can_unshare() -> bool {
    Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success())
}

// faults.md: R72
#[test]
fn full_disk_refuses_new_letters_serves_old_and_recovers() {
    if !can_unshare() {
        eprintln!("no namespaces here: the test with a file size limit covers this case");
        return;
    }
    let machine = Machine::new();
    fs::create_dir(machine.path("disk")).unwrap();
    let script = r#"mount -t tmpfs -o size=1536k none disk && exec "$0" "$@""#;
    let args = ["relay", "--bind", "127.0.0.1:0", "--data", "disk/r"];
    let mut relay = machine.relay_from(machine.command_behind(&["unshare", "-rm", "sh"], script, &args));
    machine.book(&["TOM", "JACK"], relay.udp);
    let filler = |relay: &Relay| -> PathBuf {
        Path::new("/proc")
            .join(relay.process.pid())
            .join("root")
            .join(machine.path("disk/filler").strip_prefix("/").unwrap())
    };
    let fill = |relay: &Relay| {
        let mut file = File::create(filler(relay)).unwrap();
        while file.write_all(&[7; 4_096]).is_ok() {}
    };
    full_disk(&machine, &mut relay, fill, |relay| fs::remove_file(filler(relay)).unwrap());
    relay.stop().with(0);
}

/// Sends a block list to a relay whose disk is full. Once there is space the disk has it, though
/// JACK does not send it again. The relay that starts after a kill refuses TOM.
fn block_on_full_disk(
    machine: &Machine,
    start: impl Fn(&str) -> Relay,
    fill: impl Fn(&Relay),
    free: impl Fn(&Relay),
    folder: &Path,
) {
    let relay = start("127.0.0.1:0");
    let addr = relay.udp.to_string();
    machine.book(&["TOM", "JACK"], &addr);
    machine.register("JACK");
    machine.send("TOM", "JACK", "one").with(0);
    machine.run(&["listen", "--as", "JACK", "--count", "1"]).with(0);
    relay.stop().with(0);
    // The database log is empty, so it has no free space.
    let mut relay = start(&addr);
    fill(&relay);
    machine.run(&["contacts", "block", "TOM"]).with(0);
    machine.register("JACK");
    relay.process.until_err("relay.sqlite");
    assert_eq!(machine.send("TOM", "JACK", "two").code, 1, "it holds at once");
    assert_eq!(blocked_by_jack(folder), None);
    free(&relay);
    let is_kept = |_| {
        machine.send("TOM", "echo", "x").with(0);
        blocked_by_jack(folder).is_some_and(|names| names == "TOM")
    };
    assert!((0..100).any(is_kept), "the list is not written");
    relay.process.kill();
    let relay = start(&addr);
    let refused = machine.send("TOM", "JACK", "three").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
    relay.stop().with(0);
}

/// Returns the names that JACK blocks, from a copy of the files in this folder. SQLite does not
/// find the originals in another file system.
fn blocked_by_jack(folder: &Path) -> Option<String> {
    let copy = tempfile::tempdir().unwrap();
    for file in ["relay.sqlite", "relay.sqlite-wal"] {
        fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    let db = Connection::open(copy.path().join("relay.sqlite")).unwrap();
    let row = db.query_row("SELECT blocked FROM lists WHERE owner = 'JACK'", [], |row| row.get(0));
    row.ok().filter(|names: &String| !names.is_empty())
}

// faults.md: R72
#[test]
fn block_list_refused_by_full_disk_holds_after_restart() {
    if !can_unshare() {
        eprintln!("no namespaces here: the test with a file size limit covers this case");
        return;
    }
    let machine = Machine::new();
    fs::create_dir(machine.path("disk")).unwrap();
    // Keeps the file system while relays start and stop.
    let script = "mount -t tmpfs -o size=1536k none disk && echo up && exec cat";
    let mut keeper = Process::start(machine.command_behind(&["unshare", "-rm", "sh"], script, &[]));
    assert_eq!(keeper.out(), "up");
    let pid = keeper.pid();
    let enter = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", &pid, "--", "sh"];
    let start = |addr: &str| {
        let args = ["relay", "--bind", addr, "--data", "disk/r"];
        machine.relay_from(machine.command_behind(&enter, r#"cd "$HOME" && exec "$0" "$@""#, &args))
    };
    let inside = |file: &str| {
        let path = machine.path(file);
        Path::new("/proc").join(&pid).join("root").join(path.strip_prefix("/").unwrap())
    };
    let fill = |_: &Relay| {
        let mut file = File::create(inside("disk/filler")).unwrap();
        while file.write_all(&[7; 4_096]).is_ok() {}
    };
    let free = |_: &Relay| fs::remove_file(inside("disk/filler")).unwrap();
    block_on_full_disk(&machine, start, fill, free, &inside("disk/r"));
    keeper.kill();
}

// faults.md: R72
#[test]
fn block_list_over_file_limit_holds_after_restart() {
    let machine = Machine::new();
    let start = |addr: &str| machine.relay(&["--data", "r", "--bind", addr]);
    let fill = |relay: &Relay| limit_files(&relay.process, Some(0));
    let free = |relay: &Relay| limit_files(&relay.process, None);
    block_on_full_disk(&machine, start, fill, free, &machine.path("r"));
}

fn limit_files(process: &Process, len: Option<u64>) {
    let pid = Pid::from_raw(process.pid().parse().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: len, maximum: None }).unwrap();
}

// faults.md: R72
#[test]
fn file_size_limit_refuses_new_letters_and_recovers() {
    let (machine, mut relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    let fill = |relay: &Relay| limit_files(&relay.process, Some(300_000));
    full_disk(&machine, &mut relay, fill, |relay| limit_files(&relay.process, None));
    let addr = relay.udp.to_string();

    // Killed while the disk is full and restarted before there is space: it delivers its letters.
    limit_files(&relay.process, Some(300_000));
    let accepted = send_until_full(&machine, 0);
    relay.process.kill();
    let args = ["relay", "--data", "r", "--bind", &addr];
    let script = r#"ulimit -f 500 && exec "$0" "$@""#;
    let relay = machine.relay_from(machine.command_behind(&["sh"], script, &args));
    assert_eq!(received_texts(&machine, accepted), numbers(0..accepted));
    relay.process.kill();
    machine.relay(&["--data", "r", "--bind", &addr]).stop().with(0);
}

// faults.md: R72
/// The relay cannot write the sign-in. It delivers waiting letters and refuses new ones.
#[test]
fn full_disk_at_sign_in_excludes_no_member() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    machine.register("JACK");
    assert!(machine.send("TOM", "JACK", "waits").result().starts_with("accepted "));
    limit_files(&relay.process, Some(0));
    let mut jack = machine.listen("JACK", &[]);
    assert!(jack.out().ends_with("waits"), "waiting letters are delivered");
    let refused = machine.send("JACK", "TOM", "new");
    assert!(refused.code == 1 && refused.notices()[0].ends_with(" full"), "{refused:?}");
    limit_files(&relay.process, None);
    let sent = || machine.send("JACK", "TOM", "later");
    let taken = (0..50).map(|_| sent()).find(|sent| sent.code == 0).expect("there is space again");
    assert!(taken.result().starts_with("accepted "), "{taken:?}");
    jack.terminate().with(130);
}

// faults.md: R72
#[test]
fn registration_on_full_disk_is_retried_until_space_is_free() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM"]);
    limit_files(&relay.process, Some(0));
    let mut tom = machine.start(&["send", "--as", "TOM", "--timeout", "60s", "echo", "x"]);
    tom.until_err("cannot register new names at the moment; retrying");
    limit_files(&relay.process, None);
    let exited = tom.end().with(0);
    assert!(exited.out.last().unwrap().starts_with("delivered "), "{exited:?}");
    assert_eq!(exited.err.iter().filter(|line| line.contains("cannot register")).count(), 1);
}

// faults.md: R72
#[test]
fn send_to_relay_with_full_disk_exits_75_and_keeps_letter() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM"]);
    limit_files(&relay.process, Some(0));
    machine.run(&["send", "--as", "TOM", "--timeout", "2s", "echo", "x"]).with(75);
    let kept = machine.run(&["history", "--as", "TOM"]).with(0);
    assert!(kept.out.len() == 1 && kept.out[0].ends_with("TOM → echo [queued] x"), "{kept:?}");
    limit_files(&relay.process, None);
    machine.run(&["send", "--as", "TOM", "--timeout", "60s", "echo", "y"]).with(0);
    let sent = machine.run(&["history", "--as", "TOM"]).with(0);
    let of_tom: Vec<_> = sent.out.iter().filter(|line| line.contains("TOM → echo")).collect();
    assert!(of_tom.iter().all(|line| !line.contains("[queued]")) && of_tom.len() == 2, "{sent:?}");
}

// faults.md: R72
#[test]
fn relay_with_failed_sync_exits_74_and_keeps_accepted() {
    for file in ["relay.sqlite-wal", "relay.sqlite"] {
        let faults = FaultInjector::new();
        let machine = Machine::with_faults(&faults);
        let relay = machine.relay(&["--data", "r"]);
        let addr = relay.udp.to_string();
        machine.book(&["TOM", "JACK"], &addr);
        machine.register("JACK");
        (0..3).for_each(|n| assert!(send_long(&machine, n).result().starts_with("accepted ")));
        faults.fail_sync(file);
        // The log is synced with each letter, the database once the log is long.
        let lines: String = (3..123).map(|n| long(n) + "\n").collect();
        let tom = ["send", "--as", "TOM", "--lines", "--timeout", "3s", "JACK"];
        let late = machine.run_with(&tom, lines.as_bytes()).with(75);
        assert!(late.out.len() < 120, "the disk did not fail");
        let exited = relay.process.end().with(74);
        let notices = exited.without_log();
        let is_cause = |line: &&str| line.contains("r/relay.sqlite: disk I/O error (fsync)");
        assert!(notices.len() == 4 && notices.iter().any(is_cause), "{exited:?}");
        assert_eq!(faults.heal(), 1, "a failed sync is not repeated");

        let relay = machine.relay(&["--data", "r", "--bind", &addr]);
        let rest = machine.run(&["send", "--as", "TOM", "--timeout", "20s", "JACK", "last"]);
        assert!(rest.out.last().unwrap().starts_with("accepted "), "{rest:?}");
        assert_eq!(received_texts(&machine, 123), numbers(0..123), "{file}");
        relay.stop().with(0);
    }
}

// faults.md: R72
#[test]
fn client_with_failed_sync_exits_74_and_loses_nothing() {
    let faults = FaultInjector::new();
    let machine = Machine::with_faults(&faults);
    let relay = machine.relay(&["--data", "r"]);
    machine.book(&["TOM", "JACK"], relay.udp);
    machine.send("TOM", "echo", "x").with(0);
    let jack = machine.listen("JACK", &[]);
    faults.fail_sync("letters.sqlite-wal");
    let exited = machine.send("TOM", "JACK", "0").with(74);
    // An earlier record may have failed already. Then the store does not take the letter.
    let (last, before) = exited.err.split_last().unwrap();
    assert!(last.contains("letters.sqlite: disk I/O error (fsync)"), "{exited:?}");
    assert!(before.iter().all(|line| line.contains("could not be written to disk")), "{exited:?}");
    assert_eq!(faults.heal(), 1);
    // The user saw the failure: the letter goes out with the next run, or was never written.
    machine.send("TOM", "JACK", "1").result();
    drop(jack);

    let jack = machine.listen("JACK", &[]);
    faults.fail_sync("letters.sqlite-wal");
    // TOM is on the same machine, so a member on another machine writes.
    let other = Machine::new();
    other.book(&["JACK"], relay.udp);
    other.send("MARY", "JACK", "2").result();
    let exited = jack.end().with(74);
    assert!(exited.err.last().unwrap().contains("letters.sqlite: "), "{exited:?}");
    assert_eq!(faults.heal(), 1);
    let shown = machine.run(&["listen", "--as", "JACK", "--count", "1"]).with(0);
    assert!(shown.out.last().unwrap().ends_with("] 2"), "{shown:?}");
    relay.stop().with(0);
}

// faults.md: R72
#[test]
fn read_only_folder_is_named_by_relay_and_client() {
    if !can_unshare() {
        eprintln!("no namespaces here: nothing is read-only for root");
        return;
    }
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM"]);
    machine.run(&["send", "--as", "TOM", "--data", "c", "echo", "x"]).with(0);
    relay.stop().with(0);
    let before = machine.read("r/relay.key");
    let start = ["relay", "--bind", "127.0.0.1:0", "--data", "r"];
    let send = ["send", "--as", "TOM", "--data", "c", "echo@127.0.0.1:1", "x"];
    for (dir, args) in [("r", &start[..]), ("c", &send[..])] {
        let script =
            format!(r#"mount --bind {dir} {dir} && mount -o remount,bind,ro {dir} && exec "$0" "$@""#);
        let exited = Process::start(machine.command_behind(&["unshare", "-rm", "sh"], &script, args)).end();
        exited.one_line(74, "lock: it is on a read-only file system");
    }
    assert_eq!(machine.read("r/relay.key"), before);
    machine.relay(&["--data", "r"]).stop().with(0);
}

// faults.md: R71
/// A missing log is reported too. The relay changes nothing.
#[test]
fn flipped_bit_in_log_is_reported_at_start_and_kept() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.register("JACK");
    for n in 0..5 {
        machine.send("TOM", "JACK", &n.to_string()).result();
    }
    relay.process.kill();
    let log = machine.path("r/relay.sqlite-wal");
    let whole = fs::read(&log).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 4;
    let start = ["relay", "--data", "r", "--bind", &addr];
    for bytes in [Some(damaged), None] {
        match &bytes {
            Some(bytes) => fs::write(&log, bytes).unwrap(),
            None => fs::remove_file(&log).unwrap(),
        }
        for _ in 0..2 {
            machine.run(&start).one_line(1, "r/relay.sqlite has lost messages: it contains ");
        }
        if bytes.is_some() {
            assert_eq!(fs::read(&log).ok(), bytes);
        }
    }
    fs::write(&log, whole).unwrap();
    let _relay = machine.relay(&start[1..]);
    assert_eq!(received_texts(&machine, 5), numbers(0..5));
}

// faults.md: R71
/// A database too large to be checked completely at the start. A bit of the second of three letters
/// flips, and the other two are delivered.
#[test]
fn damaged_letter_in_large_database_is_reported_once() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.register("JACK");
    for n in 0..3 {
        machine.send("TOM", "JACK", &format!("number {n}")).result();
    }
    relay.stop().with(0);
    let file = machine.path("r/relay.sqlite");
    let db = Connection::open(&file).unwrap();
    db.execute_batch(
        "CREATE TABLE filler(x); INSERT INTO filler VALUES (zeroblob(70000000)); DROP TABLE filler",
    )
    .unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(8).position(|window| window == b"number 1").unwrap();
    bytes[at + 7] ^= 4;
    fs::write(&file, bytes).unwrap();

    let start = ["--data", "r", "--bind", &addr];
    let mut relay = machine.relay(&start);
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "2"]).with(0);
    let shown = jack.out.join("\n");
    assert!(
        shown.contains("number 0") && shown.contains("number 2") && !shown.contains("number 5"),
        "{jack:?}"
    );
    assert!(jack.err.iter().any(|line| line.contains("1 message missing here")), "{jack:?}");
    let line = relay.process.until_err("r/relay.sqlite: a message from TOM to JACK is damaged (row 2)");
    assert!(line.contains("it stays in the file"), "{line}");
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    tom.write("number 3\n");
    tom.until_err("-2 damaged");
    tom.until_err("number 1");
    tom.write_and_close(b"");
    tom.end();
    let notices = machine.run(&["history", "--as", "TOM", "--json"]).with(0).out.join("\n");
    assert!(notices.contains("number 2") && !notices.contains("number 1"), "{notices}");
    let named =
        |relay: Relay| relay.stop().with(0).err.iter().filter(|line| line.contains("damaged")).count();
    assert_eq!(named(relay), 1);

    let relay = machine.relay(&start);
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "1"]).with(0);
    assert!(jack.out[0].ends_with("number 3"), "{jack:?}");
    assert_eq!(named(relay), 0, "it is reported once");
    assert!(fs::read(&file).unwrap().windows(8).any(|window| window == b"number 5"), "the bytes are kept");
}

// faults.md: R71
#[test]
fn lost_or_damaged_member_database_is_named() {
    let (machine, _relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    machine.send("TOM", "echo", "x").with(0);
    let member = fs::read_dir(machine.path(".local/share/queqiao/members")).unwrap().next().unwrap().unwrap();
    let letters = member.path().join("letters.sqlite");
    let whole = fs::read(&letters).unwrap();
    type Damage = fn(&Path, &[u8]);
    let table: [(Damage, &str); 4] = [
        (|path, _| fs::remove_file(path).unwrap(), "letters.sqlite has lost messages: it contains 0 of "),
        (|path, _| fs::write(path, "").unwrap(), "letters.sqlite has lost messages: it contains 0 of "),
        (
            |path, whole| fs::write(path, &whole[..whole.len() - 5_000]).unwrap(),
            "letters.sqlite is damaged (",
        ),
        (
            |path, whole| fs::write(path, [b"?", &whole[1..]].concat()).unwrap(),
            "letters.sqlite is not a queqiao database",
        ),
    ];
    for (harm, notice) in table {
        harm(&letters, &whole);
        machine.send("TOM", "echo", "x").one_line(1, notice);
        machine.run(&["history", "--as", "TOM"]).one_line(1, notice);
        fs::write(&letters, &whole).unwrap();
    }
    machine.send("TOM", "echo", "x").with(0);
}

// faults.md: R72
#[test]
fn client_that_cannot_write_returns_the_text() {
    // JACK is away: no answer comes that must be written first.
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    machine.register("JACK");
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    tom.write("one\n");
    assert!(tom.out().starts_with("accepted "));
    limit_files(&tom, Some(0));
    tom.write("two\n");
    tom.until_err("Not sent: your message to JACK could not be written to disk");
    tom.until_err("two");
    limit_files(&tom, None);
    tom.write("three\n");
    assert!(tom.out().starts_with("accepted "));
    tom.write_and_close(b"");
    tom.end().with(74);
    let notices = machine.run(&["history", "--as", "TOM"]).with(0).out.join("\n");
    assert!(["one", "three"].iter().all(|text| notices.contains(text)) && !notices.contains("two"));

    let args = ["send", "--as", "TOM", "echo", "x"];
    let tom = machine.command_behind(&["sh"], r#"ulimit -f 0 && exec "$0" "$@""#, &args);
    Process::start(tom).end().one_line(74, "letters.sqlite: disk I/O error");
}

// faults.md: R76
#[test]
fn unsynced_state_file_is_named_and_not_used() {
    let faults = FaultInjector::new();
    let machine = Machine::with_faults(&faults);
    let relay = machine.relay(&["--data", "r"]);
    machine.book(&["TOM"], relay.udp);
    faults.fail_sync("counter.new");
    // The letter is kept if it was committed before the counter failed. No relay is contacted.
    let failed = machine.run(&["send", "--as", "TOM", "--timeout", "2s", "echo", "x"]);
    let reason = failed.err.iter().find(|line| line.contains("/counter: Input/output error"));
    assert!([1, 74, 75].contains(&failed.code) && failed.out.is_empty() && reason.is_some(), "{failed:?}");
    assert!(faults.heal() > 0);
    machine.send("TOM", "echo", "x").result();
}

// faults.md: R76
#[test]
fn all_files_are_private_whatever_umask() {
    let machine = Machine::new();
    let script = r#"umask 000 && exec "$0" "$@""#;
    let args = ["relay", "--bind", "127.0.0.1:0", "--data", "data/relay"];
    let relay = machine.relay_from(machine.command_behind(&["sh"], script, &args));
    let args = ["listen", "--as", "TOM", "--data", "data", "--contacts", "book"];
    machine.write("book", format!("[contacts]\nTOM = \"{}\"\n", relay.udp));
    let mut tom = Process::start(machine.command_behind(&["sh"], script, &args));
    tom.until_err("connected to");
    machine.run(&["send", "--as", "JACK", &format!("TOM@{}", relay.udp), "x"]).with(0);
    tom.out();
    let mut folders = vec![machine.path("data")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{folder:?}");
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    assert_eq!(mode(&path), 0o600, "{path:?}");
                    files += 1;
                }
            }
        }
    }
    assert!(files >= 14, "{files}: keys, locks, databases, their logs and counts");
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
