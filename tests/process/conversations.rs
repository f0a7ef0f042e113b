//! Several conversations of one member on a terminal: each message goes to the recipient of its
//! prompt.

use crate::harness::{Machine, relay_with_members};
use crate::terminal::Terminal;

fn tom(machine: &Machine, lang: &str) -> Terminal {
    Terminal::start(machine, &["chat", "--line", "--as", "TOM", "--lang", lang])
}

#[test]
fn two_conversations_reach_their_own_recipients() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK", "JANE"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut jane = machine.chat("JANE", &relay, &[]);
    machine.register("TOM");
    let mut tom = tom(&machine, "en");
    tom.until("> ");
    tom.press("JACK\r");
    tom.until("To JACK: ");
    for round in 0..3 {
        // JANE's message arrives while a line to JACK is typed.
        tom.press(format!("jack {round}"));
        tom.until(&format!("jack {round}"));
        if round == 0 {
            jane.write("TOM\n");
        }
        jane.write(&format!("from jane {round}\n"));
        tom.until(&format!("from jane {round}\n"));
        tom.until(&format!("To JACK: jack {round}"));
        tom.press("\r");
        assert!(jack.out().ends_with(&format!("jack {round}")));
        tom.until("To JACK: ");
        tom.press("/reply\r");
        tom.until("to JANE");
        tom.until("To JANE: ");
        tom.press(format!("jane {round}\r"));
        assert!(jane.out().ends_with(&format!("jane {round}")));
        tom.until("To JANE: ");
        // A failed choice leaves no recipient, and text is kept until one is chosen.
        tom.press("/to GHOST\r");
        tom.until("no contact named GHOST; for a member who is not a contact, add the relay: ");
        tom.until(&format!("GHOST@{}", relay.udp));
        tom.until("> ");
        tom.press(format!("for jack, number {round}\r"));
        tom.until("Not sent: “for jack, number");
        tom.until("> ");
        tom.press("jack\r");
        tom.until("The up arrow brings back “for jack, number");
        tom.until("To JACK: ");
        tom.press("\u{1b}[A");
        tom.until(&format!("To JACK: for jack, number {round}"));
        tom.press("\r");
        assert!(jack.out().ends_with(&format!("for jack, number {round}")));
        tom.until("To JACK: ");
    }
    tom.press("\u{3}");
    tom.ends_with(130);
    // Nothing else had come in between.
    for (process, name) in [(&mut jack, "JACK"), (&mut jane, "JANE")] {
        machine.send("TOM", name, "last").with(0);
        assert!(process.out().ends_with("last"), "{name}");
    }
}

/// The program says why it does not end at once, and what stays when the user does not wait.
#[test]
fn end_with_unsent_message_says_what_it_waits_for() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    machine.register("TOM");
    relay.stop().with(0);
    for (lang, at_start, waits, stays) in [
        (
            "en",
            "Type a name",
            "for the last message to be sent; Ctrl-C ends at once",
            "1 unsent message stays in the outbox",
        ),
        ("zh", "尚未发出：JACK（1）", "还有 1 条消息未发出", "有 1 条消息尚未发送，已存入发件箱"),
    ] {
        let mut tom = tom(&machine, lang);
        tom.until(at_start);
        tom.until("> ");
        tom.press("JACK\r");
        tom.until("127.");
        tom.press("hello\r");
        tom.until("hello\n");
        tom.press("/quit\r");
        tom.until(waits);
        tom.press("\u{3}");
        tom.until(stays);
        tom.ends_with(130);
    }
}

#[test]
fn stranger_is_added_by_name_and_written_to() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut eve = machine.chat("EVE", &relay, &[]);
    machine.register("TOM");
    let mut tom = tom(&machine, "en");
    tom.until("> ");
    tom.press("JACK\r");
    tom.until("To JACK: ");
    eve.write(&format!("TOM@{}\nhello\n", relay.udp));
    tom.until("Message from EVE (not in your contacts)");
    tom.until("hello\n");
    tom.until("To JACK: ");
    tom.press("/add EVE as Evie\r");
    tom.until("Evie");
    tom.until("To JACK: ");
    assert!(machine.read("contacts.toml").contains("Evie"), "{}", machine.read("contacts.toml"));
    tom.press("/to evie\r");
    tom.until(&format!("to Evie (EVE@{})", relay.udp));
    tom.until("To Evie: ");
    tom.press("welcome\r");
    assert!(eve.out().ends_with("welcome"));
    tom.until("To Evie: ");
    tom.press("q\r");
    tom.until("> ");
    tom.press(":q\r");
    tom.ends_with(0);
}

#[test]
fn first_lines_count_unread_messages() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK", "JANE"]);
    machine.register("JACK");
    for (lang, me, contacts) in [
        ("en", "You are TOM; relays: ", "Contacts: JANE (2 new), JACK (1 new), TOM\n"),
        ("zh", "你是 TOM；中继：", "联系人：JANE（2 条新消息）、JACK（1 条新消息）、TOM\n"),
    ] {
        // This command of TOM stores the messages and shows none.
        let mut sender = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        sender.write("hello\n");
        sender.out();
        for (from, text) in [("JACK", "1"), ("JANE", "2"), ("JANE", "3")] {
            assert!(machine.send(from, "TOM", text).result().starts_with("delivered "));
        }
        sender.terminate();
        let mut tom = tom(&machine, lang);
        tom.until(&format!("{me}{}\n", relay.udp));
        tom.until(contacts);
        tom.until("> ");
        tom.press("quit\r");
        tom.ends_with(0);
    }
}
