//! Names belong to keys.

use crate::harness::relay_with_members;

#[test]
fn name_belongs_to_first_key_across_restart() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.send("TOM", "echo", "mine").with(0);
    let claim = ["send", "--as", "TOM", "--data", "second", "echo", "mine"];
    let refusal =
        format!("TOM is taken at {addr}: it is registered with another key; choose another name with --as");
    machine.run(&claim).one_line(1, &refusal);
    machine.run(&["listen", "--as", "TOM", "--data", "second"]).one_line(1, &refusal);
    let chat = machine.run_with(&["chat", "--as", "TOM", "--data", "second"], b"");
    assert!(chat.notices().is_empty() || chat.notices() == [refusal.as_str()], "{chat:?}");
    relay.stop().with(0);
    let _again = machine.relay(&["--bind", &addr]);
    machine.run(&claim).one_line(1, &refusal);
    machine.send("TOM", "echo", "mine").with(0);
}

#[test]
fn relay_echoes() {
    let (machine, _relay) = relay_with_members(&["--tcp"], &["TOM"]);
    for carrier in ["--udp", "--tcp"] {
        let exited =
            machine.run(&["send", "--as", "TOM", carrier, "echo", "--reply", "20s", "hello 鹊桥"]).with(0);
        assert!(exited.out[0].starts_with("delivered "), "{exited:?}");
        assert_eq!(exited.out[1..], ["HELLO 鹊桥"]);
    }
}

// faults.md: R48
#[test]
fn reserved_names_are_refused() {
    let (machine, relay) = relay_with_members(&[], &["TOM"]);
    for name in ["echo", "relay", "guest-1", "Echo", "еcho"] {
        let wanted = format!("{name} is reserved for the relay; choose another name with --as");
        machine.send(name, "TOM", "x").one_line(1, &wanted);
    }
    relay.stop().with(0);
}

// faults.md: R48
#[test]
fn look_alike_name_is_refused_with_taken_name() {
    let (machine, relay) = relay_with_members(&[], &["TOM"]);
    machine.send("alice", "echo", "x").with(0);
    for name in ["Αlice", "ALICE", "аlice"] {
        let wanted = format!("{name} looks too much like alice, which is registered at {}", relay.udp);
        let refused = machine.send(name, "echo", "x");
        refused.one_line(1, &wanted);
        assert!(refused.err[0].starts_with("not sent: "), "another name has another outbox: {refused:?}");
    }
    for name in ["一棵树", "武大郎", "Zoë", "CON", "a.b_c-d"] {
        machine.send(name, "echo", "x").with(0);
    }
}

// faults.md: R48
/// Letters of other scripts, Chinese look-alikes, and variant forms of Chinese characters. The
/// address book warns of them.
#[test]
fn look_alikes_of_every_script_are_refused() {
    let (machine, relay) = relay_with_members(&[], &["TOM"]);
    for (name, like) in [("自己", "自已"), ("TOM", "ТОМ"), ("黄", "黃"), ("王五", "玊五")] {
        machine.send(name, "echo", "x").with(0);
        let wanted = format!("{like} looks too much like {name}, which is registered at {}", relay.udp);
        machine.send(like, "echo", "x").one_line(1, &wanted);
    }
    machine.send("王伍", "echo", "x").with(0);
    let address = relay.udp.to_string();
    let added = machine.run(&["contacts", "add", "ТОМ", &address]).with(0);
    let warning = "ТОМ looks like your contact TOM".to_owned();
    assert!(added.err.contains(&warning), "{added:?}");
    assert_eq!(machine.run(&["contacts", "check"]).with(0).err, [warning]);
}

// faults.md: R48
#[test]
fn invalid_name_is_wrong_usage() {
    let (machine, _relay) = relay_with_members(&[], &["TOM"]);
    let long = "x".repeat(97);
    for (name, reason) in [
        ("", "a name cannot be empty"),
        ("a b", "a name cannot contain a space"),
        ("../x", "a name cannot contain /"),
        ("..", "a name must contain a letter or a digit"),
        ("a\u{200b}b", "a name cannot contain"),
        ("a\u{202e}b", "a name cannot contain"),
        (&long, "a name can have at most 32 characters and 96 bytes"),
    ] {
        machine.send(name, "TOM", "x").one_line(2, reason);
    }
}

#[test]
fn key_has_one_name_only() {
    let (machine, relay) = relay_with_members(&[], &["TOM"]);
    let elsewhere = machine.relay(&["--data", "elsewhere"]);
    machine.send("TOM", "echo", "x").with(0);
    let members = machine.path(".local/share/queqiao/members");
    let folders = || std::fs::read_dir(&members).unwrap().map(|folder| folder.unwrap().path());
    let key = std::fs::read(folders().next().unwrap().join("identity.key")).unwrap();
    machine.send("JACK", &format!("echo@{}", elsewhere.udp), "x").with(0);
    for folder in folders() {
        std::fs::write(folder.join("identity.key"), &key).unwrap();
    }
    let wanted = format!("you are already registered at {} as TOM; use --as TOM", relay.udp);
    machine.send("JACK", "echo", "x").one_line(1, &wanted);
}
