//! Closed relays: invitations and removals, while the relay runs and while it is stopped.

use serde_json::Value;

use crate::harness::{FaultInjector, Machine, Relay, relay_with_members};

const CLOSED: &str = "this relay is invitation-only; ask its operator for an invitation";

/// Returns the code in the line that `members invite` prints.
fn code_in(line: &str) -> String {
    let fields = line.strip_prefix("queqiao:").and_then(|line| line.split_once('?')).unwrap().1;
    fields.split('&').find_map(|field| field.strip_prefix("code=")).unwrap().to_owned()
}

/// Returns the code of a new invitation.
fn invite(machine: &Machine, args: &[&str]) -> String {
    code_in(machine.run(&[&["members", "--data", "r", "invite"], args].concat()).with(0).result())
}

fn closed_relay(names: &[&str]) -> (Machine, Relay) {
    relay_with_members(&["--data", "r", "--closed"], names)
}

fn members(machine: &Machine) -> Vec<Value> {
    let exited = machine.run(&["members", "list", "--json", "--data", "r"]).with(0);
    exited.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// faults.md: R61
/// Members from before the relay was closed stay members.
#[test]
fn closed_relay_admits_each_invitation_once() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["JACK"]);
    let addr = relay.udp.to_string();
    machine.send("JACK", "echo", "here first").with(0);
    relay.stop().with(0);
    let _relay = machine.relay(&["--bind", &addr, "--data", "r", "--closed"]);
    machine.send("JACK", "echo", "still here").with(0);
    machine.send("TOM", "echo", "x").one_line(1, CLOSED);
    machine.run(&["listen", "--as", "TOM"]).one_line(1, CLOSED);
    let code = invite(&machine, &["TOM"]);
    let other = ["send", "--as", "tim", "--invite", &code, "echo", "x"];
    machine.run(&other).one_line(1, "your invitation to");
    machine.run(&["send", "--as", "TOM", "--invite", &code, "echo", "x"]).with(0);
    machine.send("TOM", "echo", "now without").with(0);
    let again = ["send", "--as", "ann", "--invite", &code, "echo", "x"];
    machine.run(&again).one_line(1, CLOSED);
    let wrong = ["send", "--as", "ann", "--invite", &"a".repeat(26), "echo", "x"];
    machine.run(&wrong).one_line(1, CLOSED);
    machine
        .run(&["send", "--as", "ann", "--invite", "abc", "echo", "x"])
        .one_line(2, "not a valid invitation code");
    let mut by_environment = machine.command(&["send", "--as", "ann", "echo", "x"]);
    by_environment.env("QUEQIAO_INVITE", invite(&machine, &[]).to_uppercase());
    crate::harness::Process::start(by_environment).end().with(0);
}

#[test]
fn invitation_expires_on_time_and_survives_relay() {
    let faults = FaultInjector::new();
    let machine = Machine::with_faults(&faults);
    let relay = machine.relay(&["--data", "r", "--closed"]);
    let addr = relay.udp.to_string();
    machine.book(&["JACK"], &addr);
    let over = invite(&machine, &["TOM", "--for", "1h"]);
    faults.set_clock(3_601);
    machine.run(&["send", "--as", "TOM", "--invite", &over, "echo", "x"]).one_line(1, CLOSED);
    faults.set_clock(0);
    let good = invite(&machine, &["TOM", "--for", "1h"]);
    relay.process.kill();
    let while_down = invite(&machine, &["ann"]);
    let _relay = machine.relay(&["--bind", &addr, "--data", "r", "--closed"]);
    machine.run(&["send", "--as", "TOM", "--invite", &good, "echo", "x"]).with(0);
    machine.run(&["send", "--as", "ann", "--invite", &while_down, "echo", "x"]).with(0);
}

#[test]
fn members_and_invitations_are_listed() {
    let (machine, relay) = closed_relay(&["JACK"]);
    machine.run(&["members", "list", "--data", "r"]).one_line(0, "no members and no invitations");
    let code = invite(&machine, &["TOM"]);
    machine.run(&["send", "--as", "TOM", "--invite", &code, "echo", "x"]).with(0);
    invite(&machine, &["一棵树"]);
    invite(&machine, &[]);
    let rows = members(&machine);
    assert_eq!((rows.len(), &rows[0]["member"]), (3, &"TOM".into()), "{rows:?}");
    assert!(rows[0]["fingerprint"].is_string() && rows[0]["registered"].is_string(), "{rows:?}");
    assert!(rows[0]["seen"].is_string(), "{rows:?}");
    let invited: Vec<&Value> = rows[1..].iter().map(|row| &row["invited"]).collect();
    assert!(invited.contains(&&"一棵树".into()) && invited.contains(&&Value::Null), "{rows:?}");
    relay.stop().with(0);
    assert_eq!(members(&machine), rows, "without the relay as well");
    let plain = machine.run(&["members", "list", "--data", "r"]).with(0);
    assert!(plain.out[0].starts_with("TOM  ") && plain.out[0].contains("  seen=2"), "{plain:?}");
    let taken = machine.run(&["members", "invite", "TOM", "--data", "r"]);
    taken.one_line(1, "TOM is already a member");
    machine
        .run(&["members", "invite", "T0M", "--data", "r"])
        .one_line(1, "T0M looks too much like the member TOM");
    machine.run(&["members", "invite", "echo", "--data", "r"]).one_line(1, "reserved");
    machine.run(&["members", "invite", "a b", "--data", "r"]).one_line(2, "space");
}

// faults.md: R48
/// The operator of a closed relay is warned, and may admit both.
#[test]
fn look_alike_is_admitted_by_invitation_to_its_name() {
    let (machine, _relay) = closed_relay(&["JACK"]);
    let code = invite(&machine, &["王五"]);
    machine.run(&["send", "--as", "王五", "--invite", &code, "echo", "x"]).with(0);
    let any = invite(&machine, &[]);
    let like = |code: &str| machine.run(&["send", "--as", "玊五", "--invite", code, "echo", "x"]);
    like(&any).one_line(1, "玊五 looks too much like 王五");
    let named = machine.run(&["members", "--data", "r", "invite", "玊五"]).with(0);
    assert!(named.err[0].starts_with("玊五 looks like the member 王五"), "{named:?}");
    like(&code_in(named.result())).with(0);
}

#[test]
fn removed_member_is_notified_and_letters_are_refused() {
    let (machine, _relay) = relay_with_members(&["--data", "r"], &["JACK", "TOM"]);
    let jack = machine.listen("JACK", &[]);
    machine.send("TOM", "JACK", "hello").with(0);
    machine.run(&["members", "remove", "JACK", "--data", "r"]).one_line(0, "JACK was removed");
    let jack = jack.end().with(1);
    assert!(jack.err.last().unwrap().contains("its operator has removed you"), "{jack:?}");
    let refused = machine.send("TOM", "JACK", "gone").with(1);
    assert!(refused.err[0].ends_with(" unknown"), "{refused:?}");
    machine.send("JACK", "echo", "again?").one_line(1, "its operator has removed you");
    let stranger = ["send", "--as", "JACK", "--data", "second", "echo", "mine now"];
    machine.run(&stranger).one_line(1, "JACK is reserved at");
    let code = invite(&machine, &["JACK"]);
    machine.run(&[&stranger[..], &["--invite", &code]].concat()).with(0);
    machine.run(&["members", "remove", "JACK", "--data", "r"]).one_line(0, "JACK was removed");
    machine.run(&["members", "remove", "JACK", "--data", "r"]).one_line(1, "JACK is not a member");
}

/// Removes JACK while letters wait for it, with the relay running or stopped. TOM gets each of them
/// back.
fn mailbox_of_a_removed_member(while_running: bool) {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["JACK", "TOM"]);
    let addr = relay.udp.to_string();
    machine.send("JACK", "echo", "x").with(0);
    machine.run_with(&["send", "--as", "TOM", "--lines", "JACK"], b"one\ntwo\nthree\n").with(0);
    let remove = ["members", "remove", "JACK", "--data", "r"];
    let relay = if while_running {
        machine.run(&remove).with(0);
        relay
    } else {
        relay.stop().with(0);
        machine.run(&remove).with(0);
        machine.relay(&["--bind", &addr, "--data", "r"])
    };
    let mut tom = machine.listen("TOM", &["--for", "20s"]);
    for text in ["one", "two", "three"] {
        tom.until_err("JACK has never signed in at");
        assert_eq!(tom.until_err(text), text);
    }
    drop(tom);
    relay.stop().with(0);
}

#[test]
fn letters_for_removed_member_are_each_refused() {
    mailbox_of_a_removed_member(true);
}

#[test]
fn removal_while_relay_is_stopped_refuses_each_letter() {
    mailbox_of_a_removed_member(false);
}

#[test]
fn folder_without_relay_is_named_and_left_alone() {
    let machine = Machine::new();
    for args in [&["members", "list"][..], &["members", "invite"], &["members", "remove", "TOM"]] {
        let wrong = [args, &["--data", "nowhere"]].concat();
        machine
            .run(&wrong)
            .one_line(1, "nowhere is not a relay's data directory; specify it with --data DIR");
    }
    assert!(!machine.path("nowhere").exists());
    machine.write("file", "x");
    machine.run(&["members", "list", "--data", "file"]).one_line(1, "file is not a relay's data directory");
    std::fs::create_dir(machine.path("other")).unwrap();
    machine.write("other/relay.sqlite", "no database");
    for args in [&["members", "list"][..], &["members", "invite"]] {
        let other = [args, &["--data", "other"]].concat();
        machine.run(&other).one_line(1, "other/relay.sqlite is not a queqiao database");
    }
}

#[test]
fn unanswered_operator_request_is_withdrawn() {
    let (machine, relay) = closed_relay(&["JACK"]);
    relay.process.signal(rustix::process::Signal::STOP);
    let exited = machine.run(&["members", "invite", "TOM", "--data", "r"]);
    let wanted = format!("the relay (process {}) does not respond", relay.process.pid());
    exited.one_line(1, &wanted);
    machine.run(&["members", "list", "--data", "r"]).one_line(0, "no members and no invitations");
    relay.process.signal(rustix::process::Signal::CONT);
    let code = invite(&machine, &["TOM"]);
    machine.run(&["send", "--as", "TOM", "--invite", &code, "echo", "x"]).with(0);
}

#[test]
fn invitation_works_through_primary_process() {
    let machine = Machine::new();
    let open = machine.relay(&["--data", "open"]);
    let closed = machine.relay(&["--data", "r", "--closed"]);
    machine.book(&["JACK"], open.udp);
    let mut owner = machine.listen("TOM", &[]);
    let echo = format!("echo@{}", closed.udp);
    let code = invite(&machine, &["TOM"]);
    machine.send("TOM", &echo, "x").one_line(1, CLOSED);
    machine.run(&["send", "--as", "TOM", "--invite", &code, &echo, "with it"]).with(0);
    // The letter refused without it is in the outbox, and is sent too.
    assert!(owner.out().ends_with(" X"));
    assert!(owner.out().ends_with("WITH IT"));
    machine.send("TOM", &echo, "now without").with(0);
}

// faults.md: R83
/// Files for the operator's commands are there again, whatever was cleaned away. A second relay
/// does not get the directory.
#[test]
fn operator_reaches_relay_after_its_files_were_removed() {
    let machine = Machine::new();
    let _relay = machine.relay(&["--data", "relay"]);
    for cleaned in [&["lock"][..], &["requests.sqlite", "requests.sqlite-wal", "requests.sqlite-shm"]] {
        for file in cleaned {
            std::fs::remove_file(machine.path("relay").join(file)).unwrap();
        }
        machine.run(&["members", "invite", "--data", "relay"]).with(0);
    }
    machine.run(&["relay", "--bind", "127.0.0.1:0", "--data", "relay"]).one_line(1, "is using");
    std::fs::remove_file(machine.path("relay/reach.toml")).unwrap();
    let mut tries = (0..100).map(|_| machine.run(&["members", "invite", "--data", "relay"]).code);
    assert!(tries.any(|code| code == 0), "the relay saves its addresses again");
}
