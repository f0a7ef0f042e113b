//! Several commands of one member at once: the first is the primary process, the others work
//! through it and take over.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::disk::can_unshare;
use crate::harness::{Machine, Process, SOON, relay_with_members, texts};

fn history(machine: &Machine, name: &str, other: &str) -> Vec<String> {
    machine.run(&["history", "--as", name, other]).with(0).out
}

/// TOM listens, and his output is not read yet.
struct SlowListener {
    listening: Process,
    shown: PipeReader,
    letters: usize,
}

impl SlowListener {
    /// Lets JACK send him this many letters: each is its number and dots.
    fn with_letters(machine: &Machine, letters: usize, dots: usize) -> SlowListener {
        let (shown, writer) = std::io::pipe().unwrap();
        let mut command = machine.command(&["listen", "--as", "TOM", "--count", &letters.to_string()]);
        command.stdout(writer);
        let mut listening = Process::start(command);
        listening.until_err("connected to");
        let lines: String = (0..letters).map(|n| format!("{n}{}\n", ".".repeat(dots))).collect();
        let sent = machine.run_with(&["send", "--as", "JACK", "--lines", "TOM"], lines.as_bytes()).with(0);
        assert_eq!(sent.out.len(), letters);
        SlowListener { listening, shown, letters }
    }

    /// Asserts that each letter is printed, in order.
    fn reads_all(self) {
        let received: Vec<String> = BufReader::new(self.shown).lines().map(|line| line.unwrap()).collect();
        let numbers: Vec<&str> = texts(&received).iter().map(|text| text.trim_end_matches('.')).collect();
        assert_eq!(numbers, (0..self.letters).map(|n| n.to_string()).collect::<Vec<_>>());
        self.listening.end().with(0);
    }
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("letter {n}")).collect()
}

// faults.md: R77
#[test]
fn send_during_chat_works_and_chat_continues() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut tom = machine.chat("TOM", &relay, &[]);
    assert!(machine.send("TOM", "JACK", "one").result().starts_with("delivered "));
    assert!(jack.out().ends_with("one"));
    let two = machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "two"]);
    assert!(two.result().starts_with("delivered "));
    assert!(jack.out().ends_with("two"));
    let refused = machine.send("TOM", "nobody", "x").with(1);
    assert!(refused.notices()[0].ends_with(" unknown"), "{refused:?}");

    let asking = machine.start(&["send", "--as", "TOM", "--reply", "30s", "JACK", "three?"]);
    assert!(jack.out().ends_with("three?"));
    jack.write("/to TOM\nyes\n");
    let asked = asking.end().with(0);
    assert_eq!(asked.out[1..], ["yes"]);
    assert!(tom.out().ends_with("yes"), "the chat shows this one too");

    tom.write("JACK\nfour\n");
    assert!(jack.out().ends_with("four"));
    tom.write_and_close(b"");
    let tom = tom.end().with(0);
    assert!(tom.notices().is_empty(), "letters of other processes are not the chat's: {tom:?}");
    let notices = history(&machine, "JACK", "TOM");
    assert_eq!(texts(&notices), ["one", "two", "three?", "yes", "four"]);
}

// faults.md: R77
#[test]
fn history_and_book_work_while_listening() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut tom = machine.listen("TOM", &[]);
    machine.send("JACK", "TOM", "hi").result();
    assert!(tom.out().ends_with("hi"));
    machine.send("TOM", "echo", "x").result();
    assert_eq!(texts(&history(&machine, "TOM", "JACK")), ["hi"]);
    machine.run(&["contacts", "add", "武大郎", &_relay.udp.to_string()]).with(0);
    tom.until_err(" reloaded");
    machine.run(&["ping", "--count", "1", "JACK"]).with(0);
}

// faults.md: R77
#[test]
fn second_listener_continues_after_first_is_killed() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut first = machine.listen("TOM", &[]);
    let mut second = machine.listen("TOM", &["--count", "4"]);
    for text in ["one", "two"] {
        machine.send("JACK", "TOM", text).result();
        assert!(first.out().ends_with(text));
        assert!(second.out().ends_with(text));
    }
    first.kill();
    for text in ["three", "four"] {
        machine.send("JACK", "TOM", text).with(0);
    }
    assert_eq!(texts(&second.end().with(0).out), ["one", "two", "three", "four"]);
    let nothing = machine.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0);
    assert!(nothing.out.is_empty(), "each letter was shown: {nothing:?}");
}

// faults.md: R77
#[test]
fn killing_primary_mid_send_delivers_each_letter_once() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    let jack = machine.listen("JACK", &[]);
    for round in 0..3 {
        let owner = machine.listen("TOM", &[]);
        let mut sender = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        sender.write("first\n");
        sender.out();
        let lines: String = numbered(0..50).iter().map(|line| format!("{round} {line}\n")).collect();
        sender.write_and_close(lines.as_bytes());
        (0..round * 10).for_each(|_| drop(sender.out()));
        owner.kill();
        let sent = sender.end().with(0);
        assert_eq!(sent.out.len(), 51, "{sent:?}");
    }
    let wanted: Vec<String> = (0..3)
        .flat_map(|round| {
            let letters = numbered(0..50).into_iter().map(move |line| format!("{round} {line}"));
            std::iter::once("first".to_owned()).chain(letters)
        })
        .collect();
    for name in ["JACK", "TOM"] {
        let other = if name == "JACK" { "TOM" } else { "JACK" };
        assert_eq!(texts(&history(&machine, name, other)), wanted, "{name}'s");
    }
    assert_eq!(texts(&jack.terminate().with(130).out), wanted);
    relay.stop().with(0);
}

// faults.md: R77
#[test]
fn pending_letter_survives_terminated_primary() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.send("TOM", "echo", "x").with(0);
    machine.register("JACK");
    relay.stop().with(0);
    let mut owner = machine.start(&["listen", "--as", "TOM"]);
    owner.until_err("no relay answers at");
    let mut sender = machine.start(&["send", "--as", "TOM", "--timeout", "30s", "JACK", "patience"]);
    sender.until_err("no relay answers at");
    owner.terminate().with(130);
    let relay = machine.relay(&["--bind", &addr]);
    assert!(sender.end().with(0).out[0].starts_with("accepted "));
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "1"]).with(0);
    assert_eq!(texts(&jack.out), ["patience"]);
    relay.stop().with(0);
}

// faults.md: R77
/// The primary process does not show letters.
#[test]
fn unread_letters_go_to_first_listener() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut owner = machine.start_send("TOM", "x\n");
    machine.send("JACK", "TOM", "while nobody looked").with(0);
    let first = machine.run(&["listen", "--as", "TOM", "--count", "2"]).with(0);
    assert_eq!(texts(&first.out), ["X", "while nobody looked"]);
    let second = machine.run(&["listen", "--as", "TOM", "--for", "0.3s"]).with(0);
    assert!(second.out.is_empty(), "{second:?}");
    owner.write_and_close(b"");
    owner.end().with(0);
}

// faults.md: R51, R77
#[test]
fn key_accepted_elsewhere_reaches_running_client() {
    let (machine, relay) = relay_with_members(&["--data", "old"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    let mut jack = machine.listen("JACK", &[]);
    relay.stop().with(0);
    let other = machine.relay(&["--bind", &addr, "--data", "new"]);
    let notice = jack.until_err("differs from the pinned one");
    let words: Vec<&str> = notice.split("queqiao ").last().unwrap().split(' ').collect();
    // The client is reached also if its socket was removed a moment ago.
    clean(&machine, "socket");
    machine.run(&words).with(0);
    jack.until_err("connected to");
    machine.send("TOM", "JACK", "hello again").result();
    assert!(jack.out().ends_with("hello again"));
    other.stop().with(0);
}

// faults.md: R77
#[test]
fn unresponsive_primary_is_named() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let owner: Process = machine.listen("TOM", &[]);
    owner.signal(Signal::STOP);
    let wanted = format!("TOM is already running on this machine (process {})", owner.pid());
    machine.send("TOM", "JACK", "x").one_line(1, &wanted);
    owner.signal(Signal::CONT);
    machine.send("TOM", "echo", "x").result();
    owner.terminate().with(130);
}

// faults.md: R77
#[test]
fn listener_takes_over_from_finished_sender() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    let mut owner = machine.start(&["send", "--as", "TOM", "--udp", "--lines", "echo"]);
    owner.write("x\n");
    owner.out();
    let mut listening = machine.start(&["listen", "--as", "TOM", "--tcp"]);
    let notice = listening.until_err("holds your session");
    assert!(notice.contains(&owner.pid()), "{notice}");
    assert!(listening.out().ends_with(" X"));
    owner.write_and_close(b"");
    owner.end().with(0);
    machine.send("JACK", "TOM", "still there?").with(0);
    assert!(listening.out().ends_with("[tcp] still there?"), "it uses its own carrier now");
    machine.send("TOM", "echo", "through it").result();
    relay.stop().with(0);
}

// faults.md: R77
/// Letters that it had submitted are sent.
#[test]
fn stopped_or_killed_secondary_disturbs_no_other() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.listen("JACK", &[]);
    let mut owner = machine.listen("TOM", &[]);
    let stopped = machine.listen("TOM", &[]);
    stopped.signal(Signal::STOP);
    let mut sender = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    sender.write("one\ntwo\n");
    (0..2).for_each(|_| drop(sender.out()));
    sender.kill();
    machine.send("TOM", "JACK", "three").with(0);
    for text in ["one", "two", "three"] {
        assert!(jack.out().ends_with(text));
    }
    machine.send("JACK", "TOM", "four").with(0);
    assert!(owner.out().ends_with("four"));
    stopped.signal(Signal::CONT);
    let mut stopped = stopped;
    assert!(stopped.out().ends_with("four"));
}

// faults.md: R77
#[test]
fn killing_primaries_in_turn_loses_and_repeats_nothing() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    let jack = machine.listen("JACK", &[]);
    let mut owners: Vec<Process> = (0..4).map(|_| machine.listen("TOM", &[])).collect();
    let senders = ["a", "b"].map(|who| {
        let mut sender = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        let lines: String = numbered(0..100).iter().map(|line| format!("{who} {line}\n")).collect();
        sender.write_and_close(lines.as_bytes());
        sender
    });
    for mut sender in senders {
        for _ in 0..2 {
            (0..20).for_each(|_| drop(sender.out()));
            owners.remove(0).kill();
        }
        assert_eq!(sender.end().with(0).out.len(), 100);
    }
    let notices = history(&machine, "JACK", "TOM");
    for who in ["a", "b"] {
        let wanted: Vec<String> = numbered(0..100).iter().map(|line| format!("{who} {line}")).collect();
        let received: Vec<&str> = texts(&notices).into_iter().filter(|text| text.starts_with(who)).collect();
        assert_eq!(received, wanted);
    }
    assert_eq!(notices.len(), 200);
    jack.terminate().with(130);
    relay.stop().with(0);
}

// faults.md: R77
/// As a script that runs a command for each letter.
#[test]
fn slow_reader_of_listen_blocks_no_other_command() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    // More bytes than a pipe holds.
    let listening = SlowListener::with_letters(&machine, 60, 4_000);
    machine.send("TOM", "echo", "meanwhile").result();
    listening.reads_all();
}

// faults.md: R77
#[test]
fn secondary_with_other_environment_finds_primary() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let _owner = machine.listen("TOM", &[]);
    let mut command = machine.command(&["send", "--as", "TOM", "echo", "x"]);
    command.env_remove("XDG_RUNTIME_DIR");
    let mut sender = Process::start(command);
    sender.write_and_close(b"");
    sender.end().result();
}

// faults.md: R77
/// Each letter is shown once by it, also after the primary process dies.
#[test]
fn other_listener_continues_after_showing_one_dies() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let owner = machine.start_send("TOM", "x\n");
    let mut first = machine.listen("TOM", &[]);
    let mut second = machine.listen("TOM", &[]);
    assert!(first.out().ends_with("X"));
    machine.send("JACK", "TOM", "one").with(0);
    assert!(first.out().ends_with("one"));
    assert!(second.out().ends_with("one"));
    first.kill();
    machine.send("JACK", "TOM", "two").with(0);
    assert!(second.out().ends_with("two"));
    owner.kill();
    machine.send("JACK", "TOM", "three").with(0);
    assert!(second.out().ends_with("three"));
    assert_eq!(texts(&second.terminate().with(130).out), ["one", "two", "three"]);
    assert!(machine.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0).out.is_empty());
}

// faults.md: R77
/// Only a bounded number of bytes waits in memory for a slow reader.
#[test]
fn letters_for_slow_reader_stay_on_disk() {
    let (machine, _relay) = relay_with_members(&["--limits", "off"], &["TOM", "JACK"]);
    let listening = SlowListener::with_letters(&machine, 120, 60_000);
    listening.reads_all();
}

/// Returns a chat whose standard output is a pipe that is not read, with more bytes for it than a
/// pipe holds.
fn chat_that_nobody_reads(machine: &Machine) -> (Process, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = machine.command(&["chat", "--as", "TOM"]);
    command.stdout(writer).env("RUST_LOG", "debug");
    let mut chat = Process::start(command);
    chat.until_err("signed in over");
    machine.send("TOM", "echo", "signed in").result();
    let lines: String = (0..60).map(|n| format!("{n}{}\n", ".".repeat(4_000))).collect();
    let sent = machine.run_with(&["send", "--as", "JACK", "--lines", "TOM"], lines.as_bytes()).with(0);
    assert_eq!(sent.out.len(), 60);
    (chat, reader)
}

// faults.md: R77
/// It loses no letter either.
#[test]
fn unread_chat_blocks_no_other_command() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let (mut chat, reader) = chat_that_nobody_reads(&machine);
    let start_send = machine.start(&["send", "--as", "TOM", "JACK", "meanwhile"]);
    start_send.end_within(SOON).with(0).result();
    assert_eq!(history(&machine, "TOM", "JACK").len(), 61);
    chat.write_and_close(b"");
    let received: Vec<String> = BufReader::new(reader).lines().map(|line| line.unwrap()).collect();
    let numbers: Vec<&str> =
        received[1..].iter().map(|line| line.rsplit(' ').next().unwrap().trim_end_matches('.')).collect();
    assert_eq!(numbers, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());
    chat.end().with(0);
    let nothing = machine.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0);
    assert!(nothing.out.is_empty(), "each letter was shown: {nothing:?}");
}

// faults.md: R77
#[test]
fn letters_unprinted_by_killed_chat_are_shown_next() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let (chat, reader) = chat_that_nobody_reads(&machine);
    chat.kill();
    let printed = BufReader::new(reader).split(b'\n').map_while(Result::ok).count();
    let rest = machine.run(&["listen", "--as", "TOM", "--for", "1s"]).with(0).out;
    assert!(printed < 61 && printed + rest.len() >= 61, "{printed} and {}", rest.len());
    assert!(texts(&rest).last().is_some_and(|text| text.starts_with("59.")));
}

// faults.md: R77
/// It loses no result either.
#[test]
fn sender_with_unread_results_blocks_no_other_command() {
    let (machine, _relay) = relay_with_members(&["--limits", "off"], &["TOM", "JACK"]);
    let jack = machine.listen("JACK", &["--count", "3000"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = machine.command(&["send", "--as", "TOM", "--lines", "JACK"]);
    command.stdout(writer);
    let mut start_send = Process::start(command);
    start_send.write_and_close("x\n".repeat(3_000).as_bytes());
    assert_eq!(jack.end().with(0).out.len(), 3_000);
    let other = machine.start(&["send", "--as", "TOM", "echo", "meanwhile"]);
    other.end_within(SOON).with(0).result();
    assert_eq!(BufReader::new(reader).lines().count(), 3_000);
    start_send.end().with(0);
}

/// Removes `what` below the directory of sockets or the member's folder, as cleaners do.
fn clean(machine: &Machine, what: &str) {
    let member = member_folder(machine);
    let [socket] = &files_in(&machine.run_path().join("queqiao"))[..] else { panic!("one socket") };
    match what {
        "socket" => fs::remove_file(socket).unwrap(),
        "directory" => fs::remove_dir_all(machine.run_path().join("queqiao")).unwrap(),
        "link" => fs::remove_file(member.join("socket")).unwrap(),
        "lock" => fs::remove_file(member.join("lock")).unwrap(),
        "mode" => {
            let dir = machine.run_path().join("queqiao");
            fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
        }
        other => panic!("{other}"),
    }
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Returns the folder of the only member that has one.
fn member_folder(machine: &Machine) -> PathBuf {
    let [folder] = &files_in(&machine.path(".local/share/queqiao/members"))[..] else { panic!("one member") };
    folder.clone()
}

// faults.md: R83
/// The listener keeps its sessions and serves further commands, whatever was cleaned away.
#[test]
fn listener_is_reachable_after_its_socket_was_removed() {
    let (machine, _relay) = relay_with_members(&[], &["TOM"]);
    let mut tom = machine.listen("TOM", &[]);
    for what in ["socket", "directory", "link", "lock", "mode"] {
        clean(&machine, what);
        machine.start(&["send", "--as", "TOM", "TOM", what]).end_within(SOON).with(0);
        assert!(tom.out().ends_with(what));
    }
}

// faults.md: R83
/// Commands that meet the directory say the same. Once it is repaired, the listener uses it.
#[test]
fn foreign_socket_directory_is_named_until_repaired() {
    if !can_unshare() {
        eprintln!("no namespaces here");
        return;
    }
    let (machine, _relay) = relay_with_members(&[], &["TOM"]);
    let place = machine.path("place");
    let set = |mode, owner| {
        fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
        chown(&place, Some(owner), None)
    };
    fs::create_dir(&place).unwrap();
    // Only root can give it away; others leave it open to everybody.
    let reason = match set(0o755, 1) {
        Ok(()) => "the directory for sockets /tmp/queqiao-0 belongs to another user (user id ",
        Err(_) => "enter the directory for sockets /tmp/queqiao-0 (mode 755); run: chmod 700 /tmp/queqiao-0",
    };
    let script = r#"
        mkdir -p -m 700 /tmp/queqiao-0 && mount --bind place /tmp/queqiao-0 || exit
        [ ! -d /run/user ] || mount -t tmpfs none /run/user || exit
        unset XDG_RUNTIME_DIR && exec "$0" "$@""#;
    let args = ["listen", "--as", "TOM"];
    let mut tom = Process::start(machine.command_behind(&["unshare", "-rm", "sh"], script, &args));
    tom.until_err(reason);
    tom.until_err("connected to");
    let pid = tom.pid();
    let enter = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", &pid, "--", "sh"];
    let inside = r#"cd "$HOME" && unset XDG_RUNTIME_DIR && exec "$0" "$@""#;
    let send = || {
        let args = ["send", "--as", "TOM", "TOM", "reachable"];
        Process::start(machine.command_behind(&enter, inside, &args)).end()
    };
    send().one_line(1, reason);
    let _ = set(0o700, rustix::process::geteuid().as_raw());
    send().with(0);
    assert!(tom.out().ends_with("reachable"));
}
