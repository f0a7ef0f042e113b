//! Arguments, environment and languages.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::harness::{ExitedProcess, Machine, Process, Relay, relay_with_members};

/// 你 in GBK, which is not UTF-8.
const GBK: &[u8] = b"\xc4\xe3";

#[test]
fn wrong_usage_exits_2() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    for args in [
        &[][..],
        &["frobnicate"],
        &["send"],
        &["send", "--as", "TOM", "JACK"],
        &["send", "--as", "TOM", "JACK", "x", "--lines"],
        &["send", "--as", "TOM", "JACK", "--lines", "--reply", "1s"],
        &["send", "--as", "TOM", "JACK", "x", "--timeout", "soon"],
        &["send", "--as", "TOM", "JACK", "x", "--wait", "read"],
        &["send", "JACK", "x"],
        &["listen"],
        &["listen", "--as", "TOM", "--udp", "--tcp"],
        &["listen", "--as", "TOM", "--count", "-1"],
        &["chat"],
        &["ping", "--count", "0"],
        &["relay", "--bind", "localhost"],
        &["relay", "--bind", "127.0.0.1:0", "backup", "b.sqlite"],
        &["relay", "--closed", "restore", "b.sqlite"],
        &["relay", "--limits", "maybe"],
        &["relay", "--bind", "127.0.0.1:0", "--tcp=nonsense"],
        &["contacts"],
        &["contacts", "add", "JACK"],
        &["contacts", "list", "--tcp"],
        &["demo", "--tcp"],
        &["history", "--as", "TOM", "--udp"],
        &["history", "--as", "TOM", "--all", "--last", "3"],
        &["trust", "--tcp"],
        &["help", "frobnicate"],
        &["generate", "completions", "tcsh"],
        &["trust", "a", "b", "c"],
    ] {
        for lang in ["en", "zh"] {
            let exited = machine.run(&[&["--lang", lang], args].concat());
            exited.one_line(2, "");
            assert_eq!(exited.err[0].is_ascii(), lang == "en", "{exited:?}");
        }
    }
    relay.stop().with(0);
}

#[test]
fn help_and_version_are_results_in_both_languages() {
    let machine = Machine::new();
    assert_eq!(machine.run(&["--version"]).result(), format!("queqiao {}", env!("CARGO_PKG_VERSION")));
    for command in ["relay", "chat", "send", "listen", "ping", "bench", "contacts", "trust"] {
        let english = machine.run(&[command, "--help"]).with(0).out.join("\n");
        let chinese = machine.run(&[command, "--help", "--lang", "zh"]).with(0).out.join("\n");
        assert!(english.is_ascii() && !chinese.is_ascii(), "{english}\n{chinese}");
        assert!(
            machine.run(&["--help"]).with(0).out.iter().any(|line| line.trim_start().starts_with(command))
        );
    }
}

#[test]
fn chinese_output_follows_option_and_environment() {
    let machine = Machine::new();
    let notices = |variables: &[(&str, &str)], args: &[&str]| -> String {
        let mut command = machine.command(&[args, &["contacts", "check"]].concat());
        command.envs(variables.iter().copied());
        Process::start(command).end().with(1).err.join("\n")
    };
    let english = notices(&[], &[]);
    let chinese = notices(&[], &["--lang", "zh"]);
    assert!(english.is_ascii() && !chinese.is_ascii(), "{english}\n{chinese}");
    for variables in [[("LC_ALL", "zh_CN.UTF-8")], [("QUEQIAO_LANG", "zh")]] {
        assert_eq!(notices(&variables, &[]), chinese, "{variables:?}");
        assert_eq!(notices(&variables, &["--lang", "en"]), english, "{variables:?}");
    }
    assert_eq!(notices(&[("LC_ALL", "zh_CN.UTF-8"), ("QUEQIAO_LANG", "en")], &[]), english);
}

#[test]
fn script_output_is_never_translated() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let sent = machine.run(&["--lang", "zh", "send", "--as", "TOM", "echo", "x"]);
    assert!(sent.result().starts_with("delivered "));
    let refused = machine.run(&["--lang", "zh", "send", "--as", "TOM", "JACK", "x"]).with(1);
    assert!(
        refused.notices()[0].starts_with("refused ") && refused.notices()[0].ends_with(" unknown"),
        "{refused:?}"
    );
    let mut command = machine.command(&["relay", "--bind", "127.0.0.1:0", "--data", "other", "--lang", "zh"]);
    command.env("LC_ALL", "zh_CN.UTF-8");
    assert!(Process::start(command).out().starts_with("ready udp="));
}

#[test]
fn environment_sets_flags_and_flags_win() {
    let (machine, relay) = relay_with_members(&["--tcp"], &[]);
    machine.write("mine.toml", format!("[contacts]\nJACK = \"{}\"\n", relay.udp));
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = machine.command(args);
        command.envs([("QUEQIAO_CONTACTS", "mine.toml"), ("QUEQIAO_AS", "TOM"), ("QUEQIAO_DATA", "d")]);
        command.envs(variables.iter().copied());
        Process::start(command)
    };
    assert!(run(&[], &["send", "echo", "x"]).end().result().starts_with("delivered "));
    assert!(machine.path("d/members").is_dir() && !machine.path(".local/share/queqiao/members").exists());
    for yes in ["1", "true"] {
        let mut tom = run(&[("QUEQIAO_TCP", yes)], &["listen"]);
        assert!(tom.until_err("connected to").ends_with("over TCP"));
        tom.terminate().with(130);
    }
    let mut tom = run(&[("QUEQIAO_TCP", "1")], &["listen", "--udp"]);
    assert!(tom.until_err("connected to").ends_with("over UDP"));
    tom.terminate().with(130);
    run(&[("QUEQIAO_AS", "")], &["send", "echo", "x"]).end().with(2);
    let mut jack = run(&[], &["listen", "--as", "JACK"]);
    jack.until_err("connected to");
    // TOM is not in JACK's book, so the receipt comes at the relay's next full second.
    let sent = run(&[], &["send", "--wait", "delivered", "JACK", "x"]).end();
    assert!(sent.result().starts_with("delivered "));
    assert!(jack.out().contains(" TOM ["));
    let late = [("QUEQIAO_TIMEOUT", "300ms")];
    let exited = run(&late, &["send", "--udp", "JACK@192.0.2.1:8081", "x"]).end().with(75);
    assert_eq!(
        exited.err.last().unwrap(),
        "not accepted within 0.3 s; the message stays in the outbox and will be sent next time you run queqiao"
    );
    let mut other = machine.command(&["relay"]);
    other.envs([("QUEQIAO_BIND", "127.0.0.1:0"), ("QUEQIAO_DATA", "r2")]);
    assert!(Process::start(other).out().starts_with("ready udp=127.0.0.1:"));
    assert!(machine.path("r2/relay.key").is_file());
}

#[test]
fn name_comes_from_book_without_flag() {
    let (machine, relay) = relay_with_members(&[], &[]);
    machine.write("contacts.toml", format!("[me]\nname = \"武大郎\"\n[contacts]\nTOM = \"{}\"\n", relay.udp));
    let mut tom = machine.listen("TOM", &[]);
    machine.run(&["send", "TOM", "x"]).result();
    assert!(tom.out().contains(" 武大郎 [udp] x"));
    machine.run(&["send", "--as", "JACK", "TOM", "x"]).result();
    assert!(tom.out().contains(" JACK [udp] x"));
}

#[test]
fn log_goes_to_standard_error_only() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let mut command = machine.command(&["send", "--as", "TOM", "echo", "x"]);
    command.env("RUST_LOG", "trace");
    assert!(Process::start(command).end().result().starts_with("delivered "));
}

/// Runs the program with these variables, without input.
fn run_in(machine: &Machine, variables: &[(&str, &str)], args: &[&str]) -> ExitedProcess {
    let mut command = machine.command(args);
    command.envs(variables.iter().copied());
    let mut process = Process::start(command);
    process.write_and_close(b"");
    process.end()
}

#[test]
fn text_that_is_not_utf8_is_refused_in_one_line() {
    let machine = Machine::new();
    let gbk = OsStr::from_bytes(GBK);
    let before: [&[&str]; 6] = [
        &[],
        &["send", "--as", "TOM", "JACK"],
        &["contacts", "add"],
        &["--lang"],
        &["relay", "--bind"],
        &["send", "--"],
    ];
    for before in before {
        let mut command = machine.command(before);
        command.arg(gbk);
        Process::start(command).end().one_line(2, "is not UTF-8");
    }
    let mut command = machine.command(&["listen"]);
    command.env("QUEQIAO_AS", gbk);
    Process::start(command).end().one_line(2, "QUEQIAO_AS is not UTF-8");
}

#[test]
fn data_folder_and_address_book_may_have_any_bytes() {
    let machine = Machine::new();
    let name = |prefix: &str| -> OsString {
        OsStr::from_bytes(&[machine.path(prefix).as_os_str().as_bytes(), GBK].concat()).to_owned()
    };
    let mut command = machine.command(&["relay", "--bind", "127.0.0.1:0", "--data"]);
    command.arg(name("relay"));
    let relay = Relay::start(command);
    std::fs::write(name("book"), format!("[contacts]\nJACK = \"{}\"\n", relay.udp)).unwrap();
    let mut command = machine.command(&["send", "--as", "TOM", "echo", "x"]);
    command.arg("--data").arg(name("data")).env("QUEQIAO_CONTACTS", name("book"));
    assert!(Process::start(command).end().result().starts_with("delivered "));
    relay.stop().with(0);
}

#[test]
fn empty_variables_are_unset() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["JACK"]);
    let names =
        ["AS", "CONTACTS", "DATA", "TCP", "UDP", "INVITE", "LANG", "TIMEOUT", "CONTACTS_ONLY", "COLOR"];
    let names: Vec<String> = names.iter().map(|name| format!("QUEQIAO_{name}")).collect();
    let empty: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let sent = run_in(&machine, &empty, &["send", "--as", "TOM", "echo", "x"]);
    assert!(sent.result().starts_with("delivered "));
    let names = ["BIND", "DATA", "ADDRESS", "GUESTS", "GUEST_LIMIT", "KEEP", "CLOSED", "LIMITS", "SESSIONS"];
    let mut command = machine.command(&["relay", "--bind", "127.0.0.1:0", "--data", "other"]);
    command.envs(names.map(|name| (format!("QUEQIAO_{name}"), "")));
    Relay::start(command).stop().with(0);
    relay.stop().with(0);
}

#[test]
fn flag_variables_take_yes_and_no_in_every_form() {
    let machine = Machine::new();
    for (value, closed) in
        [("1", true), ("true", true), ("YES", true), ("0", false), ("no", false), ("off", false)]
    {
        let mut command = machine.command(&["relay", "--bind", "127.0.0.1:0", "--data", value]);
        command.env("QUEQIAO_CLOSED", value).env("QUEQIAO_LIMITS", "1");
        let relay = Relay::start(command);
        let echo = format!("echo@{}", relay.udp);
        let sent = machine.run(&["send", "--as", &format!("TOM{value}"), &echo, "x"]);
        assert_eq!(sent.code, i32::from(closed), "{value}: {sent:?}");
        relay.stop().with(0);
    }
    run_in(&machine, &[("QUEQIAO_CLOSED", "maybe")], &["relay"]).one_line(2, "QUEQIAO_CLOSED=maybe");
    let other = run_in(&machine, &[("QUEQIAO_CLOSED", "maybe")], &["contacts", "list"]);
    assert_eq!(other.with(0).err, [""; 0], "a variable of another command");
}

#[test]
fn contradicting_variables_are_refused_and_options_win() {
    let machine = Machine::new();
    let both = [("QUEQIAO_TCP", "1"), ("QUEQIAO_UDP", "yes")];
    let refused = run_in(&machine, &both, &["ping"]);
    for variable in ["--tcp was set by QUEQIAO_TCP", "--udp was set by QUEQIAO_UDP"] {
        refused.one_line(2, variable);
    }
    // Without an address book there is no relay to probe.
    run_in(&machine, &both, &["ping", "--udp"]).one_line(1, "no contacts in");
    run_in(&machine, &[("QUEQIAO_TCP", "1"), ("QUEQIAO_UDP", "0")], &["ping"]).one_line(1, "no contacts in");
    run_in(&machine, &both, &["contacts", "list"]).with(0);
    let mut desk = machine.command(&["relay", "--bind", "127.0.0.1:0", "--desk"]);
    desk.env("QUEQIAO_GUESTS", "JACK");
    assert!(Process::start(desk).out().ends_with(" guests=DESK"));
}

#[test]
fn times_need_unit_and_keep_needs_more_than_zero() {
    let machine = Machine::new();
    let refused = |args: &[&str], needle: &str| {
        machine.run(args).one_line(2, needle);
    };
    refused(&["relay", "--keep", "0s"], "30d");
    refused(&["members", "invite", "--for", "0d"], "30d");
    refused(&["relay", "--keep", "30"], "30d");
    refused(&["send", "--as", "TOM", "JACK", "x", "--timeout", "10"], "10s");
    let exited = run_in(&machine, &[("QUEQIAO_KEEP", "7")], &["relay"]);
    exited.one_line(2, "7d; --keep was set by QUEQIAO_KEEP");
}

#[test]
fn mistakes_are_reported_in_chosen_language() {
    let machine = Machine::new();
    for variables in [[("QUEQIAO_LANG", "zh")], [("LC_ALL", "zh_CN.UTF-8")]] {
        run_in(&machine, &variables, &["frobnicate"]).one_line(2, "未知命令 frobnicate");
        run_in(&machine, &variables, &["frobnicate", "--lang", "en"])
            .one_line(2, "unknown command frobnicate");
        run_in(&machine, &variables, &["--lang", "fr", "chat"]).one_line(2, "--lang 的值 fr 无效：en 或 zh");
    }
    run_in(&machine, &[("QUEQIAO_LANG", "fr")], &["chat"])
        .one_line(2, "invalid value fr for --lang: en or zh; --lang was set by QUEQIAO_LANG");
    run_in(&machine, &[("LC_ALL", "fr_FR.UTF-8")], &["frobnicate"]).one_line(2, "unknown command");
}

#[test]
fn help_command_prints_help_of_command() {
    let machine = Machine::new();
    for path in [&[][..], &["send"], &["contacts", "add"]] {
        let help = machine.run(&[&["help"], path].concat()).with(0);
        assert_eq!(help.out, machine.run(&[path, &["--help"]].concat()).with(0).out);
    }
    machine.run(&["help", "contacts", "frobnicate"]).one_line(2, "contacts frobnicate");
}

/// `backup` and `restore` use `--data` only, at either place.
#[test]
fn relay_options_next_to_backup_are_refused() {
    let machine = Machine::new();
    machine
        .run(&["relay", "--bind", ":9", "backup", "b"])
        .one_line(2, "--bind cannot be used with relay backup");
    for args in [&["relay", "--data", "none", "backup", "b"][..], &["relay", "backup", "b", "--data", "none"]]
    {
        let mut command = machine.command(args);
        command.env("QUEQIAO_BIND", "127.0.0.1:0");
        assert_eq!(Process::start(command).end().code, 1, "there is no relay in that directory");
    }
}

#[test]
fn documents_are_generated_in_both_languages() {
    let machine = Machine::new();
    for (lang, word) in [("en", "SYNOPSIS"), ("zh", "概要")] {
        machine.run(&["generate", "man", lang, "--lang", lang]).with(0);
        for page in ["queqiao.1", "queqiao-send.1", "queqiao-contacts-add.1"] {
            assert!(machine.read(&format!("{lang}/{page}")).contains(word), "{lang}/{page}");
        }
    }
    machine.write("file", "");
    machine.run(&["generate", "man", "file/x"]).one_line(1, "file");
    for shell in ["bash", "zsh", "fish"] {
        let script = machine.run(&["generate", "completions", shell]).with(0).out.join("\n");
        assert!(script.contains("queqiao contacts list --names"), "{shell}");
    }
}

/// Runs the script in bash, and asks it for what may follow `queqiao send `.
#[test]
fn contacts_complete_by_name_in_bash() {
    let machine = Machine::new();
    machine.book(&["JACK", "一棵树"], "127.0.0.1:8081");
    let script = "queqiao() { \"$0\" \"$@\"; }; export -f queqiao 2>/dev/null
        eval \"$(queqiao generate completions bash)\"
        COMP_WORDS=(queqiao send J); COMP_CWORD=2
        _queqiao queqiao J send; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = machine.command_behind(&["bash"], script, &[]);
    command.env("QUEQIAO_LANG", "en");
    let completed = Process::start(command).end().with(0);
    assert_eq!(completed.out, ["JACK"], "{completed:?}");
}
