//! Unwanted letters: from blocked members and from strangers.

use serde_json::Value;

use crate::harness::{Machine, Process, relay_with_members};

/// Asserts that `name` gets these letters back at its next run: for each the reason, then the text.
fn refused_later(machine: &Machine, name: &str, texts: &[&str]) {
    let mut back = machine.listen(name, &["--for", "20s"]);
    for text in texts {
        back.until_err("does not accept messages from you");
        assert_eq!(back.until_err(text), *text);
    }
    back.terminate().with(130);
}

#[test]
fn block_during_conversation_applies_at_once() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut tom = machine.chat("TOM", &relay, &[]);
    tom.write("JACK\nbefore\n");
    assert!(jack.out().ends_with(": before"));
    jack.write("/block TOM\n");
    assert!(jack.until_err("TOM is blocked in").contains("contacts.toml"));
    // The client notices its own edit like any other, within half a second.
    jack.until_err(" reloaded");
    assert!(
        machine.read("contacts.toml").contains("\"TOM\" = { relay = "),
        "{}",
        machine.read("contacts.toml")
    );
    // The relay has JACK's block list once this echo has returned.
    jack.write(&format!("/to echo@{}\nping\n", relay.udp));
    assert!(jack.out().ends_with("PING"));
    tom.write("after\n");
    tom.until_err("JACK does not accept messages from you");
    assert_eq!(tom.until_err("after"), "after");
    jack.write("/unblock TOM\nping\n");
    jack.until_err("TOM is no longer blocked");
    assert!(jack.out().ends_with("PING"));
    jack.until_err(" reloaded");
    jack.write("ping\n");
    assert!(jack.out().ends_with("PING"));
    tom.write("again\n");
    assert!(jack.out().ends_with(": again"));
}

#[test]
fn block_while_away_returns_every_waiting_letter() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "ann", "JACK"]);
    machine.register("JACK");
    machine.run_with(&["send", "--as", "TOM", "--lines", "JACK"], b"one\ntwo\n").with(0);
    machine.send("ann", "JACK", "wanted").with(0);
    machine.run(&["contacts", "block", "TOM"]).one_line(0, "TOM is blocked in");
    let listed = machine.run(&["contacts", "list"]).with(0);
    assert!(listed.out[0].ends_with("  blocked"), "{listed:?}");
    let received = machine.run(&["listen", "--as", "JACK", "--count", "1", "--for", "20s"]).with(0);
    assert!(received.result().ends_with(" ann [udp] wanted"), "{received:?}");
    refused_later(&machine, "TOM", &["one", "two"]);
    let refused = machine.send("TOM", "JACK", "three").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "the relay has the list while JACK is away: {refused:?}");
    machine.run(&["contacts", "unblock", "TOM"]).one_line(0, "TOM is no longer blocked");
    machine.register("JACK");
    machine.send("TOM", "JACK", "four").with(0);
}

/// The ending command prints refusals that still arrive, or the next one does.
#[test]
fn text_refused_while_send_ends_is_returned_once() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut texts = Vec::new();
    let mut notices = Vec::new();
    for round in 0..6 {
        machine.run(&["contacts", "unblock", "TOM"]);
        machine.register("JACK");
        texts.push(format!("waits {round}"));
        let sent = machine.send("TOM", "JACK", texts.last().unwrap());
        notices.extend(sent.with(0).err);
        machine.run(&["contacts", "block", "TOM"]).with(0);
        let jack = machine.listen("JACK", &[]);
        notices.extend(machine.send("TOM", "JACK", "refused").with(1).err);
        jack.terminate().with(130);
    }
    let _jack = machine.listen("JACK", &[]);
    // Texts of an earlier run come back before this one is connected.
    let mut last = machine.start(&["listen", "--as", "TOM", "--for", "20s"]);
    for text in texts.iter().filter(|text| !notices.contains(text)) {
        last.until_err(text);
    }
    let twice = texts.iter().find(|text| notices.iter().filter(|line| line == text).count() > 1);
    assert_eq!(twice, None, "{notices:?}");
}

/// Returns the texts that a member got back, in order.
fn texts_back(err: &[String]) -> Vec<&str> {
    err.iter().map(String::as_str).filter(|line| line.starts_with("line ")).collect()
}

#[test]
fn hundreds_of_blocked_lines_are_returned_once_in_order() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK", "ann"]);
    machine.write("jack.toml", machine.read("contacts.toml"));
    machine.run(&["contacts", "block", "TOM", "--contacts", "jack.toml"]).one_line(0, "TOM is blocked in");
    let _jack = machine.listen("JACK", &["--contacts", "jack.toml"]);
    let mut ann = machine.listen("ann", &[]);
    let lines: Vec<String> = (0..1_500).map(|number| format!("line {number}")).collect();
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    tom.write_and_close(format!("{}\n", lines.join("\n")).as_bytes());
    let to_ann = machine.send("TOM", "ann", "through the same client").with(0);
    assert!(ann.out().ends_with("through the same client"), "{to_ann:?}");
    let exited = tom.end().with(1);
    assert_eq!(texts_back(&exited.err), lines, "each text once, in order");
    assert_eq!(exited.out, [""; 0]);
}

/// Endless input, and a refusal for each line: no line counts as progress.
#[test]
fn send_lines_times_out_if_all_lines_are_refused() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    machine.register("JACK");
    machine.run(&["contacts", "block", "TOM"]).one_line(0, "TOM is blocked in");
    machine.register("JACK");
    let mut tom = machine.start(&["send", "--as", "TOM", "--timeout", "2s", "--lines", "JACK"]);
    tom.write_and_close(&b"x\n".repeat(4_000_000));
    let exited = tom.end().with(75);
    assert!(exited.err.iter().any(|line| line.ends_with(" blocked")), "{:?}", exited.err.first());
}

#[test]
fn block_survives_relay_restart() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.run(&["contacts", "block", "TOM"]).with(0);
    machine.send("JACK", "echo", "x").with(0);
    relay.stop().with(0);
    let _relay = machine.relay(&["--bind", &addr, "--data", "r"]);
    let refused = machine.send("TOM", "JACK", "x").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
}

#[test]
fn contacts_only_refuses_strangers_and_their_old_letters() {
    let (machine, relay) = relay_with_members(&[], &["JACK", "TOM"]);
    machine.register("JACK");
    machine.send("stranger", "JACK", "it waits").with(0);
    machine.send("TOM", "JACK", "it waits too").with(0);
    let mut jack = machine.listen("JACK", &["--contacts-only", "--json"]);
    let letter: Value = serde_json::from_str(&jack.out()).unwrap();
    assert_eq!((&letter["text"], &letter["contact"]), (&"it waits too".into(), &"TOM".into()));
    refused_later(&machine, "stranger", &["it waits"]);
    let refused = machine.send("stranger", "JACK", "hello?").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
    machine.send("TOM", "JACK", "hi").with(0);
    jack.out();
    jack.terminate().with(130);
    let refused = machine.send("stranger", "JACK", "and now?").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "as while JACK was there: {refused:?}");
    // `listen` without the option.
    machine.register("JACK");
    machine.send("stranger", "JACK", "and now?").with(0);
    let mut chat = machine.start(&["chat", "--as", "JACK", "--contacts-only"]);
    machine.send("TOM", "JACK", "seen").with(0);
    assert!(chat.out().ends_with("seen"));
    refused_later(&machine, "stranger", &["and now?"]);
    drop(relay);
}

/// Asserts that JACK refuses a stranger's letter.
fn refuses_strangers(machine: &Machine) {
    let refused = machine.send("stranger", "JACK", "hello?").with(1);
    assert!(refused.err[0].ends_with(" blocked"), "{refused:?}");
}

/// The setting of the book applies without the flag, and a running client follows its changes.
#[test]
fn contacts_only_in_book_applies_and_is_followed() {
    let (machine, _relay) = relay_with_members(&[], &["JACK", "TOM"]);
    let all = machine.read("contacts.toml");
    let only = format!("contacts_only = true\n{all}");
    machine.write("of-jack.toml", &only);
    machine.run(&["contacts", "check", "--contacts", "of-jack.toml"]).with(0);
    let mut jack = machine.listen("JACK", &["--contacts", "of-jack.toml"]);
    refuses_strangers(&machine);
    for text in [&all, &only] {
        machine.write("of-jack.toml", text);
        jack.until_err(" reloaded");
        // The relay has JACK's list once this letter has arrived.
        machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "hi"]).with(0);
        assert!(jack.out().ends_with(" hi"));
        if *text == all {
            machine.send("stranger", "JACK", "hello!").with(0);
            assert!(jack.out().ends_with(" hello!"));
        }
    }
    refuses_strangers(&machine);
    jack.terminate().with(130);
}

/// A recipient may reply, although otherwise only contacts may write.
#[test]
fn contacts_only_accepts_replies_of_recipients() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    machine.write("of-jack.toml", "contacts_only = true\n");
    let mut rose = machine.chat("ROSE", &relay, &[]);
    let to = format!("ROSE@{}", relay.udp);
    let ask = ["send", "--as", "JACK", "--contacts", "of-jack.toml", "--reply", "20s", &to, "well?"];
    let mut jack = machine.start(&ask);
    assert!(rose.out().ends_with("well?"));
    rose.write("/to JACK\nyes\n");
    assert!(jack.until_out("yes").ends_with("yes"));
}

// faults.md: R48
#[test]
fn strangers_are_marked_and_look_alikes_warned_about() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    machine.write("of-jack.toml", format!("[contacts]\nalice = \"127.0.0.1:9\"\nann = \"{}\"\n", relay.udp));
    let args = ["--contacts", "of-jack.toml"];
    let mut jack: Process = machine.chat("JACK", &relay, &args);
    machine.send("Αlice", "JACK", "it is me").with(0);
    let notices = jack.until_err("Warning: ");
    assert!(notices.contains("Αlice at") && notices.contains("is not your contact alice"), "{notices}");
    assert!(jack.out().contains(" (not in your contacts) [udp] "));
    machine.send("ann", "JACK", "hi").with(0);
    assert!(jack.out().starts_with("Message from ann [udp] "));
    // A killed process may not have recorded yet that it has shown the message.
    jack.terminate();
    let mut jack = machine.listen("JACK", &["--contacts", "of-jack.toml", "--json"]);
    machine.send("Αlice", "JACK", "me again").with(0);
    let letter: Value = serde_json::from_str(&jack.out()).unwrap();
    assert_eq!((&letter["contact"], &letter["looks_like"]), (&Value::Null, &"alice".into()));
    jack.terminate().with(130);
    let mut jack = machine.listen("JACK", &["--contacts", "of-jack.toml"]);
    machine.send("Αlice", "JACK", "and again").with(0);
    assert!(jack.until_err("Warning: ").contains("is not your contact alice"));
    assert!(jack.out().ends_with("and again"));
}
