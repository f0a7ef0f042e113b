//! Members that are present, that left, and whose connection was lost.

use crate::harness::relay_with_members;

#[test]
fn letters_to_killed_client_wait_until_it_returns() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    machine.listen("JACK", &[]).kill();
    for text in ["在吗", "还在吗"] {
        assert!(machine.send("TOM", "JACK", text).result().starts_with("accepted "));
    }
    let mut jack = machine.listen("JACK", &["--count", "3"]);
    assert!(jack.out().ends_with(" TOM [udp] 在吗"));
    assert!(jack.out().ends_with(" TOM [udp] 还在吗"));
    assert!(machine.send("TOM", "JACK", "回来了").result().starts_with("delivered "));
    assert!(jack.out().ends_with(" TOM [udp] 回来了"));
    jack.end().with(0);
    relay.stop().with(0);
}

#[test]
fn letters_to_departed_client_wait_in_mailbox() {
    let (machine, _relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    for carrier in ["--udp", "--tcp"] {
        machine.listen("JACK", &[carrier]).terminate().with(130);
        assert!(machine.send("TOM", "JACK", "在吗").result().starts_with("accepted "));
    }
}

#[test]
fn unregistered_name_is_unknown_and_member_has_mailbox() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK", "一棵树"]);
    for (lang, words) in
        [("en", "Not delivered: 一棵树 has never signed in at"), ("zh", "未送达：一棵树从未在")]
    {
        let refused = machine.run(&["--lang", lang, "send", "--as", "TOM", "一棵树", "x"]).with(1);
        let notices = refused.notices();
        assert!(notices.len() == 2 && notices[0].ends_with(" unknown"), "{refused:?}");
        assert!(notices[1].starts_with(words) && notices[1].contains(&relay.udp.to_string()), "{refused:?}");
    }
    machine.register("一棵树");
    assert!(machine.send("TOM", "一棵树", "x").result().starts_with("accepted "));
    relay.stop().with(0);
}

// faults.md: R31
#[test]
fn clients_reconnect_to_restarted_relay_with_names() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK", "武大郎"]);
    let addr = relay.udp.to_string();
    let key = relay.key.clone();
    let mut listeners = [machine.listen("JACK", &["--udp"]), machine.listen("TOM", &["--tcp"])];
    relay.stop().with(0);
    let again = machine.relay(&["--bind", &addr, "--tcp"]);
    assert_eq!(again.key, key);
    for listener in &mut listeners {
        listener.until_err("connected to");
    }
    assert!(machine.send("武大郎", "JACK", "1").result().starts_with("delivered "));
    assert!(machine.send("武大郎", "TOM", "2").result().starts_with("delivered "));
    assert!(listeners[0].out().ends_with(" 武大郎 [udp] 1"));
    assert!(listeners[1].out().ends_with(" 武大郎 [tcp] 2"));
}

// faults.md: R31
#[test]
fn killed_relay_restarts_with_key_and_names() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    let key = relay.key.clone();
    let mut jack = machine.listen("JACK", &["--tcp"]);
    machine.send("TOM", "JACK", "x").with(0);
    relay.process.kill();
    jack.until_err("lost");
    let again = machine.relay(&["--bind", &addr, "--tcp"]);
    assert_eq!(again.key, key);
    jack.until_err("connected to");
    let thief = machine.run(&["send", "--as", "TOM", "--data", "thief", "JACK", "x"]);
    thief.one_line(1, "TOM is taken");
    machine.send("TOM", "JACK", "y").with(0);
}
