//! A relay's key: pinned at first contact. A change of it always stops the client.

use crate::world::town;

#[test]
fn first_key_is_pinned_and_reported_once() {
    let (home, relay) = town(&[], &["JACK"]);
    let addr = relay.udp;
    let mut first = home.listen("TOM", &[]).terminate().with(130);
    first.err.truncate(1);
    let wanted = format!("first contact with the relay at {addr}: its key {} is pinned; ", relay.key);
    assert!(first.err[0].starts_with(&wanted), "{first:?}");
    assert_eq!(home.listen("TOM", &[]).terminate().err.len(), 1);
    let listed = home.run(&["trust"]);
    assert!(listed.result().starts_with(&format!("{addr} {} ", relay.key)), "{listed:?}");
    let shown = home.run(&["trust", "JACK"]).with(0);
    assert_eq!(shown.out, [format!("pinned {addr} {}", relay.key), format!("offered {addr} {}", relay.key)]);
}

// faults.md: R51
/// The client prints the command that accepts the key.
#[test]
fn changed_key_blocks_sending_until_trusted() {
    let (home, relay) = town(&["--data", "old", "--tcp"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    let old = relay.key.clone();
    let mut jack = home.listen("JACK", &[]);
    home.send("TOM", "JACK", "x").with(0);
    relay.stop().with(0);

    let other = home.relay(&["--bind", &addr, "--data", "new", "--tcp"]);
    let command = format!("queqiao trust {addr} {}", other.key);
    let told = jack.until_err("shows another key");
    assert!(told.contains(&format!("({old}): nothing is sent there.")) && told.ends_with(&command), "{told}");
    for carrier in ["--udp", "--tcp"] {
        let refused = home.run(&["send", "--as", "TOM", carrier, "JACK", "x"]);
        refused.one_line(1, &command);
    }
    let shown = home.run(&["trust", &addr]).with(0);
    assert_eq!(shown.out, [format!("pinned {addr} {old}"), format!("offered {addr} {}", other.key)]);
    assert!(shown.err[0].ends_with(&command));

    // Neither another fingerprint nor the old one is accepted.
    for wrong in ["aaaaa-aaaaa-aaaaa-aaaaa", &old] {
        let differs = format!("{addr} has another key now, {}: nothing was changed", other.key);
        home.run(&["trust", &addr, wrong]).one_line(1, &differs);
    }
    home.send("TOM", "JACK", "x").one_line(1, &command);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    assert_eq!(home.run(&words).result(), format!("trusted {addr} {}", other.key));
    jack.terminate().with(130);
    let _jack = home.listen("JACK", &[]);
    home.send("TOM", "JACK", "x").result();
}

#[test]
fn key_can_be_trusted_before_first_contact() {
    let (home, relay) = town(&[], &["JACK"]);
    let addr = relay.udp.to_string();
    home.run(&["trust", "JACK", &relay.key]).with(0);
    assert_eq!(home.listen("TOM", &[]).terminate().err.len(), 1);
    relay.stop().with(0);
    let ended = home.run(&["trust", &addr, "aaaaa-aaaaa-aaaaa-aaaaa"]);
    ended.one_line(1, "no relay answers at");
}

// faults.md: R76
#[test]
fn damaged_pins_are_named_and_block_sending() {
    let (home, _relay) = town(&[], &["JACK"]);
    home.send("TOM", "echo", "x").with(0);
    let file = ".local/share/queqiao/known_relays.toml";
    let damaged = home.read(file).replace("key", "kex");
    home.write(file, &damaged);
    home.send("TOM", "echo", "x").one_line(1, "known_relays.toml, line ");
    home.run(&["trust"]).one_line(1, "known_relays.toml, line ");
    assert_eq!(home.read(file), damaged);
}
