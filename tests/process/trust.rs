//! A relay's key: pinned at first contact. A change of it always stops the client.

use crate::harness::relay_with_members;

/// On loopback there is no key to compare: no other machine can have answered.
#[test]
fn first_key_on_loopback_is_pinned_without_notice() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let addr = relay.udp;
    let first = machine.listen("TOM", &[]).terminate().with(130);
    assert_eq!(first.err, [format!("connected to {addr} over UDP")]);
    let listed = machine.run(&["trust"]);
    assert!(listed.result().starts_with(&format!("{addr} {} ", relay.key)), "{listed:?}");
    let shown = machine.run(&["trust", "JACK"]).with(0);
    assert_eq!(shown.out, [format!("pinned {addr} {}", relay.key), format!("offered {addr} {}", relay.key)]);
}

// faults.md: R51
/// The client prints the command that accepts the key.
#[test]
fn changed_key_blocks_sending_until_trusted() {
    let (machine, relay) = relay_with_members(&["--data", "old", "--tcp"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    let old = relay.key.clone();
    let mut jack = machine.listen("JACK", &[]);
    machine.send("TOM", "JACK", "x").with(0);
    relay.stop().with(0);

    let other = machine.relay(&["--bind", &addr, "--data", "new", "--tcp"]);
    let command = format!("queqiao trust {addr} {}", other.key);
    let notice = jack.until_err("differs from the pinned one");
    assert!(
        notice.contains(&format!("({old}); nothing is sent to it.")) && notice.ends_with(&command),
        "{notice}"
    );
    for carrier in ["--udp", "--tcp"] {
        let refused = machine.run(&["send", "--as", "TOM", carrier, "JACK", "x"]);
        refused.one_line(1, &command);
    }
    let shown = machine.run(&["trust", &addr]).with(0);
    assert_eq!(shown.out, [format!("pinned {addr} {old}"), format!("offered {addr} {}", other.key)]);
    assert!(shown.err[0].ends_with(&command));

    // Neither another fingerprint nor the old one is accepted.
    for wrong in ["aaaaa-aaaaa-aaaaa-aaaaa", &old] {
        let differs = format!("the key of {addr} is {}, not the one given; nothing was changed", other.key);
        machine.run(&["trust", &addr, wrong]).one_line(1, &differs);
    }
    machine.send("TOM", "JACK", "x").one_line(1, &command);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(machine.run(&words).result(), format!("trusted {addr} {}", other.key));
    jack.terminate().with(130);
    let _jack = machine.listen("JACK", &[]);
    machine.send("TOM", "JACK", "x").result();
}

#[test]
fn key_can_be_trusted_before_first_contact() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let addr = relay.udp.to_string();
    machine.run(&["trust", "JACK", &relay.key]).with(0);
    assert_eq!(machine.listen("TOM", &[]).terminate().err.len(), 1);
    relay.stop().with(0);
    let exited = machine.run(&["trust", &addr, "aaaaa-aaaaa-aaaaa-aaaaa"]);
    exited.one_line(1, "no relay answers at");
}

// faults.md: R76
#[test]
fn damaged_pins_are_named_and_block_sending() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    machine.send("TOM", "echo", "x").with(0);
    let file = ".local/share/queqiao/known_relays.toml";
    let damaged = machine.read(file).replace("key", "kex");
    machine.write(file, &damaged);
    machine.send("TOM", "echo", "x").one_line(1, "known_relays.toml, line ");
    machine.run(&["trust"]).one_line(1, "known_relays.toml, line ");
    assert_eq!(machine.read(file), damaged);
}
