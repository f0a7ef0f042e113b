//! Unwanted letters: from blocked members and from strangers.

use serde_json::Value;

use crate::world::{Home, Running, town};

/// Asserts that `name` gets these letters back at its next run: for each the reason, then the text.
fn refused_later(home: &Home, name: &str, texts: &[&str]) {
    let mut back = home.listen(name, &["--for", "20s"]);
    for text in texts {
        back.until_err("does not take letters from you");
        assert_eq!(back.until_err(text), *text);
    }
    back.terminate().with(130);
}

#[test]
fn block_during_conversation_applies_at_once() {
    let (home, relay) = town(&[], &["TOM", "JACK"]);
    let mut jack = home.chat("JACK", &relay, &[]);
    let mut tom = home.chat("TOM", &relay, &[]);
    tom.write("JACK\nbefore\n");
    assert!(jack.out().ends_with(": before"));
    jack.write("/block TOM\n");
    assert!(jack.until_err("TOM is blocked in").contains("contacts.toml"));
    // The client notices its own edit like any other, within half a second.
    jack.until_err("was read again");
    assert!(home.read("contacts.toml").contains("\"TOM\" = { relay = "), "{}", home.read("contacts.toml"));
    // The relay has JACK's block list once this echo has returned.
    jack.write(&format!("/to echo@{}\nping\n", relay.udp));
    assert!(jack.out().ends_with("PING"));
    tom.write("after\n");
    tom.until_err("JACK does not take letters from you");
    assert_eq!(tom.until_err("after"), "after");
    jack.write("/unblock TOM\nping\n");
    jack.until_err("TOM is no longer blocked");
    assert!(jack.out().ends_with("PING"));
    jack.until_err("was read again");
    jack.write("ping\n");
    assert!(jack.out().ends_with("PING"));
    tom.write("again\n");
    assert!(jack.out().ends_with(": again"));
}

#[test]
fn block_while_away_returns_every_waiting_letter() {
    let (home, _relay) = town(&[], &["TOM", "ann", "JACK"]);
    home.away("JACK");
    home.run_with(&["send", "--as", "TOM", "--lines", "JACK"], b"one\ntwo\n").with(0);
    home.send("ann", "JACK", "wanted").with(0);
    home.run(&["contacts", "block", "TOM"]).one_line(0, "TOM is blocked in");
    let listed = home.run(&["contacts", "list"]).with(0);
    assert!(listed.out[0].ends_with("  blocked"), "{listed:?}");
    let heard = home.run(&["listen", "--as", "JACK", "--count", "1", "--for", "20s"]).with(0);
    assert!(heard.result().ends_with(" ann [udp] wanted"), "{heard:?}");
    refused_later(&home, "TOM", &["one", "two"]);
    let refused = home.send("TOM", "JACK", "three").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "the relay has the list while JACK is away: {refused:?}");
    home.run(&["contacts", "unblock", "TOM"]).one_line(0, "TOM is no longer blocked");
    home.away("JACK");
    home.send("TOM", "JACK", "four").with(0);
}

/// The ending command prints refusals that still arrive, or the next one does.
#[test]
fn text_refused_while_send_ends_is_returned_once() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let mut texts = Vec::new();
    let mut told = Vec::new();
    for round in 0..6 {
        home.run(&["contacts", "unblock", "TOM"]);
        home.away("JACK");
        texts.push(format!("waits {round}"));
        let sent = home.send("TOM", "JACK", texts.last().unwrap());
        told.extend(sent.with(0).err);
        home.run(&["contacts", "block", "TOM"]).with(0);
        let jack = home.listen("JACK", &[]);
        told.extend(home.send("TOM", "JACK", "refused").with(1).err);
        jack.terminate().with(130);
    }
    let _jack = home.listen("JACK", &[]);
    // Texts of an earlier run come back before this one is connected.
    let mut last = home.start(&["listen", "--as", "TOM", "--for", "20s"]);
    for text in texts.iter().filter(|text| !told.contains(text)) {
        last.until_err(text);
    }
    let twice = texts.iter().find(|text| told.iter().filter(|line| line == text).count() > 1);
    assert_eq!(twice, None, "{told:?}");
}

/// Returns the texts that a member got back, in order.
fn texts_back(err: &[String]) -> Vec<&str> {
    err.iter().map(String::as_str).filter(|line| line.starts_with("line ")).collect()
}

#[test]
fn hundreds_of_blocked_lines_are_returned_once_in_order() {
    let (home, _relay) = town(&[], &["TOM", "JACK", "ann"]);
    home.write("jack.toml", home.read("contacts.toml"));
    home.run(&["contacts", "block", "TOM", "--contacts", "jack.toml"]).one_line(0, "TOM is blocked in");
    let _jack = home.listen("JACK", &["--contacts", "jack.toml"]);
    let mut ann = home.listen("ann", &[]);
    let lines: Vec<String> = (0..1_500).map(|number| format!("line {number}")).collect();
    let mut tom = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    tom.feed(format!("{}\n", lines.join("\n")).as_bytes());
    let to_ann = home.send("TOM", "ann", "through the same client").with(0);
    assert!(ann.out().ends_with("through the same client"), "{to_ann:?}");
    let ended = tom.end().with(1);
    assert_eq!(texts_back(&ended.err), lines, "each text once, in order");
    assert_eq!(ended.out, [""; 0]);
}

/// Endless input, and a refusal for each line: no line counts as progress.
#[test]
fn send_lines_times_out_if_all_lines_are_refused() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    home.away("JACK");
    home.run(&["contacts", "block", "TOM"]).one_line(0, "TOM is blocked in");
    home.away("JACK");
    let mut tom = home.start(&["send", "--as", "TOM", "--timeout", "2s", "--lines", "JACK"]);
    tom.feed(&b"x\n".repeat(4_000_000));
    let ended = tom.end().with(75);
    assert!(ended.err.iter().any(|line| line.ends_with(" blocked")), "{:?}", ended.err.first());
}

#[test]
fn block_survives_relay_restart() {
    let (home, relay) = town(&["--data", "r"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    home.run(&["contacts", "block", "TOM"]).with(0);
    home.send("JACK", "echo", "x").with(0);
    relay.stop().with(0);
    let _relay = home.relay(&["--bind", &addr, "--data", "r"]);
    let refused = home.send("TOM", "JACK", "x").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
}

#[test]
fn contacts_only_refuses_strangers_and_their_old_letters() {
    let (home, relay) = town(&[], &["JACK", "TOM"]);
    home.away("JACK");
    home.send("stranger", "JACK", "it waits").with(0);
    home.send("TOM", "JACK", "it waits too").with(0);
    let mut jack = home.listen("JACK", &["--contacts-only", "--json"]);
    let letter: Value = serde_json::from_str(&jack.out()).unwrap();
    assert_eq!((&letter["text"], &letter["contact"]), (&"it waits too".into(), &"TOM".into()));
    refused_later(&home, "stranger", &["it waits"]);
    let refused = home.send("stranger", "JACK", "hello?").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
    home.send("TOM", "JACK", "hi").with(0);
    jack.out();
    jack.terminate().with(130);
    home.send("stranger", "JACK", "and now?").with(0);
    let mut chat = home.start(&["chat", "--as", "JACK", "--contacts-only"]);
    home.send("TOM", "JACK", "seen").with(0);
    assert!(chat.out().ends_with("seen"));
    refused_later(&home, "stranger", &["and now?"]);
    drop(relay);
}

/// Asserts that JACK refuses a stranger's letter.
fn refuses_strangers(home: &Home) {
    let refused = home.send("stranger", "JACK", "hello?").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
}

/// The setting of the book applies without the flag, and a running client follows its changes.
#[test]
fn contacts_only_in_book_applies_and_is_followed() {
    let (home, _relay) = town(&[], &["JACK", "TOM"]);
    let all = home.read("contacts.toml");
    let only = format!("contacts_only = true\n{all}");
    home.write("of-jack.toml", &only);
    home.run(&["contacts", "check", "--contacts", "of-jack.toml"]).with(0);
    let mut jack = home.listen("JACK", &["--contacts", "of-jack.toml"]);
    refuses_strangers(&home);
    for text in [&all, &only] {
        home.write("of-jack.toml", text);
        jack.until_err("was read again");
        // The relay has JACK's list once this letter has arrived.
        home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "hi"]).with(0);
        assert!(jack.out().ends_with(" hi"));
        if *text == all {
            home.send("stranger", "JACK", "hello!").with(0);
            assert!(jack.out().ends_with(" hello!"));
        }
    }
    refuses_strangers(&home);
    jack.terminate().with(130);
}

/// A recipient may reply, although otherwise only contacts may write.
#[test]
fn contacts_only_accepts_replies_of_recipients() {
    let (home, relay) = town(&[], &["JACK"]);
    home.write("of-jack.toml", "contacts_only = true\n");
    let mut rose = home.chat("ROSE", &relay, &[]);
    let to = format!("ROSE@{}", relay.udp);
    let ask = ["send", "--as", "JACK", "--contacts", "of-jack.toml", "--reply", "20s", &to, "well?"];
    let mut jack = home.start(&ask);
    assert!(rose.out().ends_with("well?"));
    rose.write("/to JACK\nyes\n");
    assert!(jack.until_out("yes").ends_with("yes"));
}

// faults.md: R48
#[test]
fn strangers_are_marked_and_look_alikes_warned_about() {
    let (home, relay) = town(&[], &["JACK"]);
    home.write("of-jack.toml", format!("[contacts]\nalice = \"127.0.0.1:9\"\nann = \"{}\"\n", relay.udp));
    let args = ["--contacts", "of-jack.toml"];
    let mut jack: Running = home.chat("JACK", &relay, &args);
    home.send("Αlice", "JACK", "it is me").with(0);
    let said = jack.until_err("Beware");
    assert!(said.contains("Αlice at") && said.contains("is not your contact alice"), "{said}");
    assert!(jack.out().contains(" (not in your contacts) [udp] "));
    home.send("ann", "JACK", "hi").with(0);
    assert!(jack.out().starts_with("Message from ann [udp] "));
    drop(jack);
    let mut jack = home.listen("JACK", &["--contacts", "of-jack.toml", "--json"]);
    home.send("Αlice", "JACK", "me again").with(0);
    let letter: Value = serde_json::from_str(&jack.out()).unwrap();
    assert_eq!((&letter["contact"], &letter["looks_like"]), (&Value::Null, &"alice".into()));
    jack.terminate().with(130);
    let mut jack = home.listen("JACK", &["--contacts", "of-jack.toml"]);
    home.send("Αlice", "JACK", "and again").with(0);
    assert!(jack.until_err("Beware").contains("is not your contact alice"));
    assert!(jack.out().ends_with("and again"));
}
