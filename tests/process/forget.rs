//! `history --forget`: erased texts are in no file, and the rest stays.

use std::fs;
use std::path::Path;

use crate::harness::{Machine, relay_with_members, texts, unused_addr};
use crate::terminal::Terminal;

/// Whether any file below this folder contains these bytes.
fn is_anywhere(dir: &Path, text: &str) -> bool {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &Path| fs::read(path).unwrap().windows(text.len()).any(|found| found == text.as_bytes());
    let is_in =
        |path: &Path| if path.is_dir() { is_anywhere(path, text) } else { path.is_file() && has(path) };
    entries.into_iter().any(|path| is_in(&path))
}

fn forget(machine: &Machine, name: &str, args: &[&str]) -> crate::harness::ExitedProcess {
    machine.run(&[&["history", "--as", name, "--data", name, "--forget"], args].concat())
}

/// Both members write for a while, one of them in a process that continues to run.
#[test]
fn texts_are_erased_from_every_file_while_others_run() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK", "MARY"]);
    let mut jack = machine.start(&["listen", "--as", "JACK", "--data", "JACK"]);
    jack.until_err("connected to");
    let lines: String = (0..300).map(|n| format!("secret-{n}-{}\n", "s".repeat(n * 20))).collect();
    for from in ["TOM", "MARY"] {
        let sends = ["send", "--as", from, "--data", from, "--lines", "--wait", "delivered", "JACK"];
        machine.run_with(&sends, lines.replace("secret", from).as_bytes()).with(0);
    }
    jack.until_out("MARY-299-");
    assert!(is_anywhere(&machine.path("JACK"), "TOM-150-") && is_anywhere(&machine.path("TOM"), "TOM-150-"));
    assert_eq!(forget(&machine, "JACK", &["TOM"]).result(), "erased 300");
    assert!(!is_anywhere(&machine.path("JACK"), "TOM-"), "while the primary process runs");
    assert!((0..300).all(|n| is_anywhere(&machine.path("JACK"), &format!("MARY-{n}-"))));
    assert_eq!(forget(&machine, "TOM", &["JACK"]).result(), "erased 300");
    assert!(!is_anywhere(&machine.path("TOM"), "TOM-"));
    machine.run(&["send", "--as", "TOM", "--data", "TOM", "--wait", "delivered", "JACK", "again"]).with(0);
    jack.until_out("] again");
    let notices = machine.run(&["history", "--as", "JACK", "--data", "JACK", "TOM"]).with(0).out;
    assert_eq!(texts(&notices), ["again"]);
    jack.terminate().with(130);
    assert_eq!(forget(&machine, "JACK", &["--yes"]).result(), "erased 301");
    assert!(!is_anywhere(&machine.path("JACK"), "MARY-"));
    relay.stop().with(0);
}

#[test]
fn waiting_outbox_letters_are_kept_and_sent() {
    let machine = Machine::new();
    let addr = unused_addr();
    machine.book(&["TOM", "JACK"], &addr);
    let tom = ["--as", "TOM", "--data", "TOM"];
    machine.run(&[&["send"], &tom[..], &["--timeout", "0.3s", "JACK", "waits"]].concat()).with(75);
    let kept = forget(&machine, "TOM", &["JACK"]);
    assert_eq!(kept.result(), "erased 0");
    assert_eq!(kept.notices(), ["1 message still on its way was kept"]);
    let relay = machine.relay(&["--bind", &addr]);
    machine.register("JACK");
    // A letter in the mailbox: its text is erased, and its outcome is still tracked.
    machine.run(&[&["send"], &tom[..], &["JACK", "second"]].concat()).with(0);
    assert_eq!(forget(&machine, "TOM", &["JACK"]).result(), "erased 2");
    assert!(!is_anywhere(&machine.path("TOM"), "waits") && !is_anywhere(&machine.path("TOM"), "second"));
    let received = machine.run(&["listen", "--as", "JACK", "--count", "2"]).with(0).out;
    assert_eq!(texts(&received), ["waits", "second"]);
    machine.run(&[&["send"], &tom[..], &["--wait", "delivered", "JACK", "third"]].concat()).with(75);
    assert_eq!(machine.run(&[&["history"], &tom[..]].concat()).with(0).out.len(), 1);
    relay.stop().with(0);
}

#[test]
fn unread_letters_are_kept() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut tom = machine.start_send("TOM", "first\n");
    machine.send("JACK", "TOM", "are you there?").with(0);
    let kept = machine.run(&["history", "--as", "TOM", "--forget", "JACK"]);
    assert_eq!((kept.result(), kept.notices().len()), ("erased 0", 1), "{kept:?}");
    assert!(kept.notices()[0].starts_with("1 message that you have not seen was kept"), "{kept:?}");
    tom.write_and_close(b"");
    tom.end().with(0);
    let received = machine.run(&["listen", "--as", "TOM", "--count", "2"]).with(0).out;
    assert_eq!(texts(&received), ["FIRST", "are you there?"]);
    assert_eq!(machine.run(&["history", "--as", "TOM", "--forget", "JACK"]).result(), "erased 1");
    relay.stop().with(0);
}

#[test]
fn only_older_letters_are_erased() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let _jack = machine.listen("JACK", &[]);
    machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "hello"]).with(0);
    let older = |age: &str| machine.run(&["history", "--as", "TOM", "--forget", "--older", age]);
    assert_eq!(older("12h").result(), "erased 0");
    assert_eq!(older("90d").result(), "erased 0");
    assert_eq!(older("0s").result(), "erased 1", "a script that says how old needs no --yes");
    relay.stop().with(0);
}

#[test]
fn contradictory_options_are_refused_in_one_line() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let _jack = machine.listen("JACK", &[]);
    machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "hello"]).with(0);
    let history = |args: &[&str]| machine.run(&[&["history", "--as", "TOM"], args].concat());
    for print in [&["--json"][..], &["--last", "3"], &["--since", "1d"], &["--all"]] {
        history(&[&["--forget"], print].concat())
            .one_line(2, "--forget cannot be used with --json, --last, --since or --all");
    }
    history(&["--older", "90d"]).one_line(2, "--older and --yes can only be used with --forget");
    history(&["--yes", "JACK"]).one_line(2, "--older and --yes can only be used with --forget");
    history(&["--forget"]).one_line(2, "or use --yes");
    history(&["--forget", "JACK@nowhere"]).one_line(1, "an address needs a port");
    assert_eq!(history(&["JACK"]).with(0).out.len(), 1, "nothing was erased");
    history(&["--forget", "MARY"]).one_line(1, "no contact named MARY, and no messages with that name");
    history(&["--forget", "JAKC"]).one_line(1, "no contact named JAKC: did you mean JACK?");
    assert_eq!(history(&["--forget", "--yes"]).result(), "erased 1");
    assert_eq!(machine.run(&["history", "--as", "NEW", "--forget", "--yes"]).result(), "erased 0");
    relay.stop().with(0);
}

#[test]
fn terminal_asks_before_erasing_everything() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let _jack = machine.listen("JACK", &[]);
    machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "hello"]).with(0);
    for (answer, shown, code) in [("\r", "nothing was erased", 1), ("n\r", "nothing was erased", 1)] {
        let mut terminal = Terminal::start(&machine, &["history", "--as", "TOM", "--forget"]);
        terminal.until("Erase all messages with all contacts (1)? (y/N) ");
        terminal.press(answer);
        terminal.until(shown);
        terminal.ends_with(code);
    }
    let mut terminal = Terminal::start(&machine, &["history", "--as", "TOM", "--forget", "--lang", "zh"]);
    terminal.until("（y/N）");
    terminal.press("y\r");
    terminal.until("erased 1");
    terminal.ends_with(0);
    relay.stop().with(0);
}
