//! The lines of a relay's log for its operator, as golden files in both languages.
//!
//! Times, addresses, keys and durations are replaced. `QUEQIAO_BLESS=1` rewrites the files.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use crate::harness::{Machine, Relay, relay_with_members, unused_addr};
use crate::terminal::Terminal;

/// A relay, and what differs in its log from run to run.
struct LoggingRelay {
    machine: Machine,
    relay: Relay,
}

impl LoggingRelay {
    fn start(lang: &str, args: &[&str]) -> LoggingRelay {
        let args = [&["--data", "r", "--lang", lang], args].concat();
        let (machine, relay) = relay_with_members(&args, &["TOM", "JACK"]);
        LoggingRelay { machine, relay }
    }

    fn members(&self, args: &[&str]) -> Vec<String> {
        self.machine.run(&[&["members", "--data", "r"], args].concat()).with(0).out
    }

    /// Stops the relay and returns the lines of its log, with `TIME`, `ADDR`, `KEY` and `N` in
    /// place of times, addresses, keys and durations.
    fn stop(self) -> String {
        let [addr, key] = [self.relay.udp.to_string(), self.relay.key.clone()];
        let lines = self.relay.stop().with(0).err;
        lines.iter().filter_map(|line| normal(line, &addr, &key)).collect()
    }
}

/// Returns a line of the log without what differs from run to run; `None` for any other line.
fn normal(line: &str, addr: &str, key: &str) -> Option<String> {
    let (time, rest) = line.split_at_checked("2026-11-30T21:22:10.123+00:00 ".len())?;
    if !(time.starts_with("20") && time.ends_with("+00:00 ")) {
        return None;
    }
    let mut rest = rest.replace(addr, "ADDR").replace(key, "KEY");
    for unit in [" s: ", " 秒："] {
        if let Some(at) = rest.find(unit) {
            let digits = rest[..at].len() - rest[..at].trim_end_matches(|c: char| c.is_ascii_digit()).len();
            rest.replace_range(at - digits..at, "N");
        }
    }
    Some(format!("TIME {rest}\n"))
}

fn check_golden(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("QUEQIAO_BLESS").is_some() {
        fs::write(&path, now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "{name} says:\n{kept}\nbut now it is:\n{now}\nQUEQIAO_BLESS=1 accepts it");
}

/// Returns the log of a relay whose operator and members do each thing that is logged.
fn log_of_a_day(lang: &str) -> String {
    let mut day = LoggingRelay::start(lang, &["--closed", "--keep", "7d", "--mailbox-bytes", "16M"]);
    day.members(&["invite"]);
    day.members(&["invite", "TOM"]);
    let line = day.members(&["invite", "TOM"]).remove(0);
    let joined = day.machine.run_with(&["join", "--contacts", "joined.toml"], line.as_bytes());
    assert!(joined.result().ends_with(" TOM"));
    day.machine.send("JACK", "TOM", "a secret").with(1);
    day.machine.send("TOM", "echo", "a secret").with(0);
    day.members(&["remove", "TOM"]);
    day.machine.send("TOM", "echo", "a secret").with(1);
    // It is written at once, not when the relay stops.
    (0..5).for_each(|_| drop(day.relay.process.until_err("TOM")));
    day.stop()
}

#[test]
fn log_of_relay_matches_golden_file_in_english() {
    check_golden("operator_log.en.txt", &log_of_a_day("en"));
}

#[test]
fn log_of_relay_matches_golden_file_in_chinese() {
    check_golden("operator_log.zh.txt", &log_of_a_day("zh"));
}

#[test]
fn empty_rust_log_is_unset_and_debug_tells_addresses() {
    let addresses = |filter: &str| {
        let machine = Machine::new();
        let bind = unused_addr();
        let mut command = machine.command(&["relay", "--bind", &bind]);
        command.env("RUST_LOG", filter);
        let mut relay = machine.relay_from(command);
        machine.book(&["TOM"], relay.udp);
        machine.send("TOM", "echo", "x").with(0);
        relay.process.until_err("registered TOM");
        let lines = relay.stop().with(0).err;
        lines.iter().filter(|line| line.contains("TOM signed in from 127.")).count()
    };
    assert_eq!(addresses(""), 0);
    assert_eq!(addresses("queqiao=debug"), 1);
}

#[test]
fn rust_log_off_silences_log() {
    let machine = Machine::new();
    let mut command = machine.command(&["relay", "--bind", &unused_addr()]);
    command.env("RUST_LOG", "off");
    let exited = machine.relay_from(command).stop().with(0);
    assert_eq!(exited.err.len(), 2, "the lines for address books: {exited:?}");
}

/// A stranger can cause few lines.
#[test]
fn refused_sign_ins_do_not_flood_log() {
    let mut day = LoggingRelay::start("en", &["--closed"]);
    for _ in 0..30 {
        day.machine.run(&["send", "--as", "stranger", "--data", "s", "echo", "x"]).with(1);
    }
    day.relay.process.until_err("refused to sign in stranger");
    let log = day.stop();
    assert!(log.contains("names-refused=30"), "{log}");
}

#[test]
fn flood_is_logged_with_counts() {
    let mut day = LoggingRelay::start("en", &[]);
    let flood = UdpSocket::bind((day.relay.udp.ip(), 0)).unwrap();
    flood.connect(day.relay.udp).unwrap();
    let line = (0..300).find_map(|_| {
        (0..1_000).for_each(|_| drop(flood.send(&[0xff; 300])));
        day.relay
            .process
            .err_within(std::time::Duration::from_millis(10))
            .filter(|line| line.contains("flood"))
    });
    let line = line.expect("a line about the flood");
    assert!(line.contains("warn: flood of datagrams that belong to no session begins: "), "{line}");
    let over = day.relay.process.until_err("has ended");
    let count = over.split_once("has ended: ").unwrap().1.split(' ').next().unwrap();
    assert!(count.parse::<u64>().unwrap() > 1_000, "{over}");
}

/// The operator presses Ctrl-S in the relay's terminal.
#[test]
fn stopped_terminal_does_not_stop_relay() {
    let machine = Machine::new();
    let bind = unused_addr();
    machine.book(&["TOM", "JACK"], &bind);
    let mut terminal = Terminal::start(&machine, &["relay", "--bind", &bind]);
    terminal.until("started: queqiao");
    terminal.stop_output();
    for name in ["TOM", "JACK"] {
        machine.send(name, "echo", "x").with(0);
    }
    terminal.resume_output();
    terminal.until("registered JACK");
    terminal.signal(rustix::process::Signal::TERM);
    terminal.until("stopped: SIGTERM");
    terminal.ends_with(0);
}

/// Scripts read UTC; people read their own time.
#[test]
fn members_list_shows_local_time_on_terminal() {
    let mut day = LoggingRelay::start("en", &["--closed"]);
    day.members(&["invite", "TOM", "--for", "30d"]);
    let again = day.machine.run(&["members", "--data", "r", "invite", "TOM"]).with(0);
    let notice = "TOM was invited already: the earlier invitation no longer works";
    assert!(again.err.iter().any(|line| line == notice), "{again:?}");
    assert!(again.err.iter().any(|line| line.contains("valid until 20") && !line.contains('Z')), "{again:?}");
    let piped = day.members(&["list"]);
    assert!(piped.len() == 1 && piped[0].starts_with("invited=TOM  until=20") && piped[0].ends_with("Z"));
    let mut terminal = Terminal::start(&day.machine, &["members", "--data", "r", "list"]);
    terminal.until("invited=TOM  until=20");
    let rest = terminal.line_until("\n");
    assert_eq!(rest.trim_end().len(), "26-12-07 05:56".len(), "{rest}");
    terminal.ends_with(0);
    day.relay.process.until_err("the earlier one no longer works");
}
