//! `queqiao demo`: its output without a terminal, and that it touches no file of the user.

use std::time::Duration;

use crate::harness::Machine;
use crate::terminal::Terminal;

/// Maximum time of the whole demonstration.
const WITHIN: Duration = Duration::from_secs(15);

/// Returns the index of the first line from `from` on that contains all of these parts.
fn find(lines: &[String], from: usize, parts: &[&str]) -> usize {
    let found = lines[from..].iter().position(|line| parts.iter().all(|part| line.contains(part)));
    from + found.unwrap_or_else(|| panic!("no line with {parts:?} behind line {from} of {lines:#?}"))
}

#[test]
fn demo_fails_over_and_back_and_leaves_no_files() {
    let machine = Machine::new();
    let lines = machine.start(&["demo"]).end_within(WITHIN).with(0).out;
    let steps: [&[&str]; 12] = [
        &["TOM [udp] to JACK", "(delivered "],
        &["JACK [tcp] to TOM", "(delivered "],
        &["UDP is blocked", "TOM"],
        &["TOM [tcp]: ", "no answer over UDP; switched to TCP"],
        &["TOM [tcp] to JACK", "(delivered "],
        &["TOM [tcp] received from JACK"],
        &["UDP is restored", "TOM"],
        &["TOM [udp]: ", "UDP works; switched to UDP"],
        &["TOM [udp] to JACK", "(delivered "],
        &["武大郎 is offline"],
        &["一棵树 [udp] to 武大郎", "(waiting in the mailbox "],
        &["武大郎 [tcp] received from 一棵树"],
    ];
    steps.iter().fold(0, |from, parts| find(&lines, from, parts) + 1);
    let id = |line: &String| line.rsplit_once(' ').map(|(_, id)| id.trim_end_matches(')').to_owned());
    let waiting: Vec<_> = lines.iter().filter(|line| line.contains("(waiting ")).filter_map(id).collect();
    assert_eq!(waiting.len(), 2);
    for id in waiting {
        find(&lines, 0, &["武大郎 [tcp] received from 一棵树", &id]);
        find(&lines, 0, &["一棵树 [udp] to 武大郎", "(delivered ", &id]);
    }
    assert_eq!(std::fs::read_dir(machine.path(".")).unwrap().count(), 0);
}

#[test]
fn demo_prints_chinese_if_asked() {
    let machine = Machine::new();
    let lines = machine.run(&["demo", "--lang", "zh"]).with(0).out;
    let steps: [&[&str]; 5] =
        [&["UDP 中断"], &["TOM [tcp]"], &["UDP 恢复"], &["武大郎已下线"], &["暂存在信箱"]];
    steps.iter().fold(0, |from, parts| find(&lines, from, parts) + 1);
}

/// The user's book has a contact of the same name, at another relay.
#[test]
fn demo_leaves_the_users_address_book_alone() {
    for (lang, refused) in
        [("en", "Not in the demo: its address book cannot be changed"), ("zh", "演示的通讯录不能修改")]
    {
        let machine = Machine::new();
        let book = "[contacts]\nJACK = \"127.0.0.1:9\"\n";
        std::fs::create_dir_all(machine.path(".config/queqiao")).unwrap();
        let files = ["contacts.toml", ".config/queqiao/contacts.toml"];
        files.iter().for_each(|file| machine.write(file, book));
        let mut demo = Terminal::start(&machine, &["demo", "--lang", lang]);
        demo.until("> ");
        for command in ["/block JACK", "/unblock JACK", "/add bob@127.0.0.1:9", "/add JACK@127.0.0.1:9 as J"]
        {
            demo.press(format!("{command}\r"));
            demo.until(refused);
            demo.until("> ");
        }
        demo.press("/who\r");
        demo.until("JACK");
        demo.until("武大郎");
        demo.until("> ");
        demo.press("q\r");
        demo.ends_with(0);
        assert!(files.iter().all(|file| machine.read(file) == book));
    }
}
