//! Closed relays: invitations and removals, while the relay runs and while it is stopped.

use serde_json::Value;

use crate::world::{Home, Relay, town};

const CLOSED: &str = "this relay is closed; ask its operator for an invitation";

/// Returns the code in the line that `members invite` prints.
fn code_in(line: &str) -> String {
    let fields = line.strip_prefix("queqiao:").and_then(|line| line.split_once('?')).unwrap().1;
    fields.split('&').find_map(|field| field.strip_prefix("code=")).unwrap().to_owned()
}

/// Returns the code of a new invitation.
fn invite(home: &Home, args: &[&str]) -> String {
    code_in(home.run(&[&["members", "--data", "r", "invite"], args].concat()).with(0).result())
}

fn closed_town(names: &[&str]) -> (Home, Relay) {
    town(&["--data", "r", "--closed"], names)
}

fn members(home: &Home) -> Vec<Value> {
    let ended = home.run(&["members", "list", "--json", "--data", "r"]).with(0);
    ended.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// faults.md: R61
/// Members from before the relay was closed stay members.
#[test]
fn closed_relay_admits_each_invitation_once() {
    let (home, relay) = town(&["--data", "r"], &["JACK"]);
    let addr = relay.udp.to_string();
    home.send("JACK", "echo", "here first").with(0);
    relay.stop().with(0);
    let _relay = home.relay(&["--bind", &addr, "--data", "r", "--closed"]);
    home.send("JACK", "echo", "still here").with(0);
    home.send("TOM", "echo", "x").one_line(1, CLOSED);
    home.run(&["listen", "--as", "TOM"]).one_line(1, CLOSED);
    let code = invite(&home, &["TOM"]);
    let other = ["send", "--as", "tim", "--invite", &code, "echo", "x"];
    home.run(&other).one_line(1, "your invitation to");
    home.run(&["send", "--as", "TOM", "--invite", &code, "echo", "x"]).with(0);
    home.send("TOM", "echo", "now without").with(0);
    let again = ["send", "--as", "ann", "--invite", &code, "echo", "x"];
    home.run(&again).one_line(1, CLOSED);
    let wrong = ["send", "--as", "ann", "--invite", &"a".repeat(26), "echo", "x"];
    home.run(&wrong).one_line(1, CLOSED);
    home.run(&["send", "--as", "ann", "--invite", "abc", "echo", "x"])
        .one_line(2, "no code of an invitation");
    let mut by_environment = home.command(&["send", "--as", "ann", "echo", "x"]);
    by_environment.env("QUEQIAO_INVITE", invite(&home, &[]).to_uppercase());
    crate::world::Running::start(by_environment).end().with(0);
}

#[test]
fn invitation_expires_on_time_and_survives_relay() {
    let (home, relay) = closed_town(&["JACK"]);
    let addr = relay.udp.to_string();
    let over = invite(&home, &["TOM", "--for", "0s"]);
    home.run(&["send", "--as", "TOM", "--invite", &over, "echo", "x"]).one_line(1, CLOSED);
    let good = invite(&home, &["TOM", "--for", "1h"]);
    relay.running.kill();
    let while_down = invite(&home, &["ann"]);
    let _relay = home.relay(&["--bind", &addr, "--data", "r", "--closed"]);
    home.run(&["send", "--as", "TOM", "--invite", &good, "echo", "x"]).with(0);
    home.run(&["send", "--as", "ann", "--invite", &while_down, "echo", "x"]).with(0);
}

#[test]
fn members_and_invitations_are_listed() {
    let (home, relay) = closed_town(&["JACK"]);
    home.run(&["members", "list", "--data", "r"]).one_line(0, "no members and no invitations");
    let code = invite(&home, &["TOM"]);
    home.run(&["send", "--as", "TOM", "--invite", &code, "echo", "x"]).with(0);
    invite(&home, &["一棵树"]);
    invite(&home, &[]);
    let rows = members(&home);
    assert_eq!((rows.len(), &rows[0]["member"]), (3, &"TOM".into()), "{rows:?}");
    assert!(rows[0]["fingerprint"].is_string() && rows[0]["registered"].is_string(), "{rows:?}");
    assert!(rows[0]["seen"].is_string(), "{rows:?}");
    let invited: Vec<&Value> = rows[1..].iter().map(|row| &row["invited"]).collect();
    assert!(invited.contains(&&"一棵树".into()) && invited.contains(&&Value::Null), "{rows:?}");
    relay.stop().with(0);
    assert_eq!(members(&home), rows, "without the relay as well");
    let plain = home.run(&["members", "list", "--data", "r"]).with(0);
    assert!(plain.out[0].starts_with("TOM  ") && plain.out[0].contains("  seen=2"), "{plain:?}");
    let taken = home.run(&["members", "invite", "TOM", "--data", "r"]);
    taken.one_line(1, "TOM is a member already");
    home.run(&["members", "invite", "T0M", "--data", "r"]).one_line(1, "T0M looks like the member TOM");
    home.run(&["members", "invite", "echo", "--data", "r"]).one_line(1, "reserved");
    home.run(&["members", "invite", "a b", "--data", "r"]).one_line(2, "space");
}

// faults.md: R48
/// The operator of a closed relay is warned, and may admit both.
#[test]
fn look_alike_is_admitted_by_invitation_to_its_name() {
    let (home, _relay) = closed_town(&["JACK"]);
    let code = invite(&home, &["王五"]);
    home.run(&["send", "--as", "王五", "--invite", &code, "echo", "x"]).with(0);
    let any = invite(&home, &[]);
    let like = |code: &str| home.run(&["send", "--as", "玊五", "--invite", code, "echo", "x"]);
    like(&any).one_line(1, "玊五 looks like 王五");
    let named = home.run(&["members", "--data", "r", "invite", "玊五"]).with(0);
    assert!(named.err[0].starts_with("玊五 looks like the member 王五"), "{named:?}");
    like(&code_in(named.result())).with(0);
}

#[test]
fn removed_member_is_notified_and_letters_are_refused() {
    let (home, _relay) = town(&["--data", "r"], &["JACK", "TOM"]);
    let jack = home.listen("JACK", &[]);
    home.send("TOM", "JACK", "hello").with(0);
    home.run(&["members", "remove", "JACK", "--data", "r"]).one_line(0, "JACK was removed");
    let jack = jack.end().with(1);
    assert!(jack.err.last().unwrap().contains("its operator has removed you"), "{jack:?}");
    let refused = home.send("TOM", "JACK", "gone").with(1);
    assert!(refused.err[0].ends_with(" unknown"), "{refused:?}");
    home.send("JACK", "echo", "again?").one_line(1, "its operator has removed you");
    let stranger = ["send", "--as", "JACK", "--data", "second", "echo", "mine now"];
    home.run(&stranger).one_line(1, "JACK is kept at");
    let code = invite(&home, &["JACK"]);
    home.run(&[&stranger[..], &["--invite", &code]].concat()).with(0);
    home.run(&["members", "remove", "JACK", "--data", "r"]).one_line(0, "JACK was removed");
    home.run(&["members", "remove", "JACK", "--data", "r"]).one_line(1, "JACK is no member");
}

/// Removes JACK while letters wait for it, with the relay running or stopped. TOM gets each of them
/// back.
fn mailbox_of_a_removed_member(while_running: bool) {
    let (home, relay) = town(&["--data", "r"], &["JACK", "TOM"]);
    let addr = relay.udp.to_string();
    home.send("JACK", "echo", "x").with(0);
    home.run_with(&["send", "--as", "TOM", "--lines", "JACK"], b"one\ntwo\nthree\n").with(0);
    let remove = ["members", "remove", "JACK", "--data", "r"];
    let relay = if while_running {
        home.run(&remove).with(0);
        relay
    } else {
        relay.stop().with(0);
        home.run(&remove).with(0);
        home.relay(&["--bind", &addr, "--data", "r"])
    };
    let mut tom = home.listen("TOM", &["--for", "20s"]);
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
    let home = Home::new();
    for args in [&["members", "list"][..], &["members", "invite"], &["members", "remove", "TOM"]] {
        let wrong = [args, &["--data", "nowhere"]].concat();
        home.run(&wrong)
            .one_line(1, "nowhere is not the folder of a relay; give that folder with --data DIR");
    }
    assert!(!home.path("nowhere").exists());
    home.write("file", "x");
    home.run(&["members", "list", "--data", "file"]).one_line(1, "file is not the folder of a relay");
    std::fs::create_dir(home.path("other")).unwrap();
    home.write("other/relay.sqlite", "no database");
    for args in [&["members", "list"][..], &["members", "invite"]] {
        let other = [args, &["--data", "other"]].concat();
        home.run(&other).one_line(1, "other/relay.sqlite is not a database of queqiao");
    }
}

#[test]
fn unanswered_operator_request_is_withdrawn() {
    let (home, relay) = closed_town(&["JACK"]);
    relay.running.signal(rustix::process::Signal::STOP);
    let ended = home.run(&["members", "invite", "TOM", "--data", "r"]);
    let wanted = format!("the relay (process {}) does not answer", relay.running.pid());
    ended.one_line(1, &wanted);
    home.run(&["members", "list", "--data", "r"]).one_line(0, "no members and no invitations");
    relay.running.signal(rustix::process::Signal::CONT);
    let code = invite(&home, &["TOM"]);
    home.run(&["send", "--as", "TOM", "--invite", &code, "echo", "x"]).with(0);
}

#[test]
fn invitation_works_through_primary_process() {
    let home = Home::new();
    let open = home.relay(&["--data", "open"]);
    let closed = home.relay(&["--data", "r", "--closed"]);
    home.book(&["JACK"], open.udp);
    let mut owner = home.listen("TOM", &[]);
    let echo = format!("echo@{}", closed.udp);
    let code = invite(&home, &["TOM"]);
    home.send("TOM", &echo, "x").one_line(1, CLOSED);
    home.run(&["send", "--as", "TOM", "--invite", &code, &echo, "with it"]).with(0);
    // The letter refused without it is in the outbox, and is sent too.
    assert!(owner.out().ends_with(" X"));
    assert!(owner.out().ends_with("WITH IT"));
    home.send("TOM", &echo, "now without").with(0);
}
