//! The commands in README, run as they are written, each member in its own directory.
//!
//! Only the relay's address differs, because tests use a free port instead of 8081, and the time
//! for a reply, because the machine may be busy.

use std::process::{Command, Stdio};

use crate::harness::{ExitedProcess, Machine, Process, Relay};

const README: [(&str, &str); 2] =
    [("en", include_str!("../../README.md")), ("zh", include_str!("../../README.zh-CN.md"))];

/// Returns the blocks of shell commands below each heading, in order.
fn shell_blocks(page: &str) -> Vec<Vec<&str>> {
    let mut sections = vec![Vec::new()];
    for part in page.split("\n## ").skip(1) {
        let blocks = part.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
        sections.push(blocks.collect());
    }
    sections
}

/// Returns the only block that contains `part`.
fn block<'a>(page: &'a str, part: &str) -> &'a str {
    let blocks: Vec<&str> =
        shell_blocks(page).concat().into_iter().filter(|block| block.contains(part)).collect();
    assert_eq!(blocks.len(), 1, "blocks with {part}: {blocks:?}");
    blocks[0]
}

/// Starts commands of README in a shell in which `queqiao` is this program.
fn start(machine: &Machine, lang: &str, script: &str, relay: &Relay) -> Process {
    let script = script.replace("127.0.0.1:8081", &relay.udp.to_string());
    let program = "set -e\nqueqiao() { \"$QUEQIAO\" \"$@\"; }\n";
    let mut command: Command =
        machine.command_behind(&["sh"], &format!("QUEQIAO=\"$0\"\n{program}{script}"), &[]);
    command.env("QUEQIAO_LANG", lang);
    Process::start(command)
}

fn run(machine: &Machine, lang: &str, script: &str, relay: &Relay) -> ExitedProcess {
    let mut process = start(machine, lang, script, relay);
    process.write_and_close(b"");
    process.end()
}

/// Starts the relay of the section about one machine, at a free port.
fn relay(machine: &Machine, page: &str, extra: &[&str]) -> Relay {
    let line = block(page, "queqiao relay --tcp\n").trim();
    let args: Vec<&str> =
        line.split(' ').skip(1).chain(["--bind", "127.0.0.1:0"]).chain(extra.iter().copied()).collect();
    let mut command = machine.command(&args);
    command.stdin(Stdio::null());
    Relay::start(command)
}

#[test]
fn two_members_of_readme_chat_in_own_directories() {
    for (lang, page) in README {
        let machine = Machine::new();
        let relay = relay(&machine, page, &[]);
        let mut jack = start(&machine, lang, block(page, "--as JACK\n"), &relay);
        // TOM is not registered yet. The refusal shows that JACK is.
        jack.write("TOM\nare you there\nquit\n");
        jack.until_err("are you there");
        let mut tom = start(&machine, lang, block(page, "--as TOM\n"), &relay);
        tom.write("JACK\nhello from the readme\n");
        assert!(jack.until_out("hello from the readme").contains("TOM"), "{lang}");
        for (process, book) in [(&mut tom, "queqiao/tom"), (&mut jack, "queqiao/jack")] {
            process.write("/quit\n");
            assert!(machine.read(&format!("{book}/contacts.toml")).contains("[contacts]"), "{lang}: {book}");
        }
        tom.end().with(0);
        jack.end().with(0);
        assert!(!machine.path("contacts.toml").exists() && !machine.path(".config/queqiao").exists());
        relay.stop().with(0);
    }
}

#[test]
fn scripts_of_readme_run() {
    for (lang, page) in README {
        let machine = Machine::new();
        let relay = relay(&machine, page, &[]);
        machine.book(&["TOM", "JACK"], relay.udp);
        let lines: Vec<&str> = block(page, "--json --count 1").lines().collect();
        let [send, pipe, ask, listen] = lines[..] else { panic!("{lang}: {lines:?}") };
        let mut jack = start(&machine, lang, listen, &relay);
        jack.until_err(&relay.udp.to_string());
        let sent = run(&machine, lang, send, &relay);
        assert!(["delivered ", "accepted "].iter().any(|state| sent.result().starts_with(state)), "{sent:?}");
        let exited = jack.end().with(0);
        assert!(exited.out[0].starts_with(r#"{"from":"TOM","relay":"#), "{exited:?}");
        let piped = run(&machine, lang, &format!("make() {{ echo one; echo two; }}\n{pipe}"), &relay).with(0);
        assert_eq!(piped.out.len(), 2, "{lang}: {piped:?}");
        let mut bot = start(&machine, lang, "queqiao listen --as JACK --count 3", &relay);
        let asked = start(&machine, lang, &ask.replace("--reply 5s", "--reply 60s"), &relay);
        bot.until_out("one");
        bot.end().with(0);
        machine.send("JACK", "TOM", "yes").with(0);
        assert!(asked.end().with(0).out.last().unwrap().contains("yes"), "{lang}");
        relay.stop().with(0);
    }
}

/// The commands for a relay that others reach are only parsed: the test listens on loopback.
#[test]
fn other_commands_of_readme_are_accepted() {
    for (_, page) in README {
        let machine = Machine::new();
        let line = block(page, "queqiao relay --bind 0.0.0.0:8081").trim();
        let line = line.replace("0.0.0.0:8081", "127.0.0.1:0");
        let args: Vec<&str> = line.split(' ').skip(1).collect();
        Relay::start(machine.command(&args)).stop().with(0);
        let relay = relay(&machine, page, &["--guests", "echo"]);
        let pinged = machine.run(&["ping", &relay.udp.to_string(), "--count", "1"]).with(0);
        assert!(pinged.out.last().unwrap().contains("chosen="), "{pinged:?}");
        relay.stop().with(0);
    }
}
