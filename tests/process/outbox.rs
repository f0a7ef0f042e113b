//! Stored letters: the outbox of letters without a receipt, and the history.

use crate::harness::{Machine, relay_with_members, texts, unused_addr};

#[test]
fn unaccepted_letters_are_sent_once_by_next_run() {
    let machine = Machine::new();
    let addr = unused_addr();
    machine.book(&["TOM", "JACK"], &addr);
    for text in ["one", "two"] {
        machine.run(&["send", "--as", "TOM", "--timeout", "0.3s", "JACK", text]).with(75);
    }
    let queued = machine.run(&["history", "--as", "TOM", "--json", "JACK"]).with(0);
    assert_eq!(queued.out.iter().filter(|line| line.contains(r#""state":"queued""#)).count(), 2);
    let _relay = machine.relay(&["--bind", &addr]);
    let mut jack = machine.start(&["listen", "--as", "JACK", "--count", "3"]);
    jack.until_err("connected to");
    machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "three"]).with(0);
    let received = jack.end().with(0).out;
    assert_eq!(texts(&received), ["one", "two", "three"]);
    for (name, other) in [("TOM", "JACK"), ("JACK", "TOM")] {
        let notices = machine.run(&["history", "--as", name, other]).with(0).out;
        assert_eq!(texts(&notices), ["one", "two", "three"]);
    }
    let last = machine.run(&["history", "--as", "TOM", "--last", "1"]).with(0).out;
    assert_eq!(texts(&last), ["three"]);
}

/// The notice says that the letter stays in the outbox. A user who reads only that it failed would
/// send it again.
#[test]
fn letter_blocked_on_user_decision_stays_in_outbox_then_sends() {
    let (machine, relay) = relay_with_members(&["--data", "old"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    machine.send("TOM", "echo", "before").with(0);
    relay.stop().with(0);
    let other = machine.relay(&["--bind", &addr, "--data", "new"]);
    let stays =
        "the message stays in the outbox and will be sent once this is resolved: the key of the relay at ";
    machine.send("TOM", "JACK", "one").one_line(1, stays);
    let mut owner = machine.start(&["listen", "--as", "TOM"]);
    machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "two"]).one_line(1, stays);
    let mut jack = machine.start(&["listen", "--as", "JACK", "--data", "elsewhere", "--count", "3"]);
    jack.until_err("connected to");
    machine.run(&["trust", &addr, &other.key]).with(0);
    machine.send("TOM", "JACK", "three").with(0);
    owner.until_err("connected to");
    assert_eq!(texts(&jack.end().with(0).out), ["one", "two", "three"]);
}

// faults.md: R75
#[test]
fn killed_sender_continues_where_it_was() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let jack = machine.listen("JACK", &["--count", "41"]);
    let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    (0..40).for_each(|n| tom.write(&format!("{n}\n")));
    tom.out();
    tom.kill();
    let kept = machine.run(&["history", "--as", "TOM", "JACK"]).with(0).out.len();
    machine.send("TOM", "JACK", "last").with(0);
    for _ in kept..40 {
        machine.send("TOM", "JACK", "more").with(0);
    }
    let received = jack.end().with(0).out;
    let received = texts(&received);
    let numbers: Vec<String> = (0..kept).map(|n| n.to_string()).collect();
    assert_eq!(received[..kept], numbers, "committed letters arrive once, in order");
    assert_eq!(received[kept], "last");
    relay.stop().with(0);
}

#[test]
fn letter_received_while_sending_waits_for_listener() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut tom = machine.start_send("TOM", "first\n");
    tom.write("second\n");
    tom.out();
    machine.send("JACK", "TOM", "are you there?").with(0);
    tom.write_and_close(b"");
    tom.terminate();
    let received = machine.run(&["listen", "--as", "TOM", "--count", "3", "--for", "5s"]).with(0).out;
    assert_eq!(texts(&received), ["FIRST", "SECOND", "are you there?"]);
    let again = machine.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0);
    assert!(again.out.is_empty(), "each was shown once");
    relay.stop().with(0);
}

#[test]
fn new_history_is_empty_and_lacks_refused_letters() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    assert!(machine.run(&["history", "--as", "TOM"]).with(0).out.is_empty());
    machine.send("TOM", "nobody", "x").with(1);
    assert!(machine.run(&["history", "--as", "TOM"]).with(0).out.is_empty());
    relay.stop().with(0);
}
