//! Members that are present, that left, and whose connection was lost.

use crate::world::town;

#[test]
fn letters_to_killed_client_wait_until_it_returns() {
    let (home, relay) = town(&[], &["TOM", "JACK"]);
    home.listen("JACK", &[]).kill();
    for text in ["在吗", "还在吗"] {
        assert!(home.send("TOM", "JACK", text).result().starts_with("accepted "));
    }
    let mut jack = home.listen("JACK", &["--count", "3"]);
    assert!(jack.out().ends_with(" TOM [udp] 在吗"));
    assert!(jack.out().ends_with(" TOM [udp] 还在吗"));
    assert!(home.send("TOM", "JACK", "回来了").result().starts_with("delivered "));
    assert!(jack.out().ends_with(" TOM [udp] 回来了"));
    jack.end().with(0);
    relay.stop().with(0);
}

#[test]
fn letters_to_departed_client_wait_in_mailbox() {
    let (home, _relay) = town(&["--tcp"], &["TOM", "JACK"]);
    for carrier in ["--udp", "--tcp"] {
        home.listen("JACK", &[carrier]).terminate().with(130);
        assert!(home.send("TOM", "JACK", "在吗").result().starts_with("accepted "));
    }
}

#[test]
fn unregistered_name_is_unknown_and_member_has_mailbox() {
    let (home, relay) = town(&[], &["TOM", "JACK", "一棵树"]);
    for (lang, words) in
        [("en", "Not delivered: 一棵树 has never signed in at"), ("zh", "未送达：一棵树 从未在")]
    {
        let refused = home.run(&["--lang", lang, "send", "--as", "TOM", "一棵树", "x"]).with(1);
        let said = refused.said();
        assert!(said.len() == 2 && said[0].ends_with(" unknown"), "{refused:?}");
        assert!(said[1].starts_with(words) && said[1].contains(&relay.udp.to_string()), "{refused:?}");
    }
    home.away("一棵树");
    assert!(home.send("TOM", "一棵树", "x").result().starts_with("accepted "));
    relay.stop().with(0);
}

// faults.md: R31
#[test]
fn clients_reconnect_to_restarted_relay_with_names() {
    let (home, relay) = town(&["--tcp"], &["TOM", "JACK", "武大郎"]);
    let addr = relay.udp.to_string();
    let key = relay.key.clone();
    let mut listeners = [home.listen("JACK", &["--udp"]), home.listen("TOM", &["--tcp"])];
    relay.stop().with(0);
    let again = home.relay(&["--bind", &addr, "--tcp"]);
    assert_eq!(again.key, key);
    for listener in &mut listeners {
        listener.until_err("connected to");
    }
    assert!(home.send("武大郎", "JACK", "1").result().starts_with("delivered "));
    assert!(home.send("武大郎", "TOM", "2").result().starts_with("delivered "));
    assert!(listeners[0].out().ends_with(" 武大郎 [udp] 1"));
    assert!(listeners[1].out().ends_with(" 武大郎 [tcp] 2"));
}

// faults.md: R31
#[test]
fn killed_relay_restarts_with_key_and_names() {
    let (home, relay) = town(&["--tcp"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    let key = relay.key.clone();
    let mut jack = home.listen("JACK", &["--tcp"]);
    home.send("TOM", "JACK", "x").with(0);
    relay.running.kill();
    jack.until_err("lost");
    let again = home.relay(&["--bind", &addr, "--tcp"]);
    assert_eq!(again.key, key);
    jack.until_err("connected to");
    let thief = home.run(&["send", "--as", "TOM", "--data", "thief", "JACK", "x"]);
    thief.one_line(1, "TOM is taken");
    home.send("TOM", "JACK", "y").with(0);
}
