//! `queqiao send`: its output and its exit status.

use crate::harness::relay_with_members;

const LETTER_MAX: usize = 64 * 1024;

#[test]
fn words_are_one_letter_and_options_may_come_anywhere() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.listen("JACK", &["--json"]);
    for (args, text) in [
        (&["send", "--as", "TOM", "JACK", "hello", "there"][..], "hello there"),
        (&["send", "JACK", "约不", "--as", "TOM", "--udp"], "约不"),
        (&["--lang", "en", "send", "JACK", "--as=TOM", "--", "--as", "-x"], "--as -x"),
        (
            &["send", "--as", "TOM", "--wait", "delivered", "JACK", "a  b\n\tc \u{1b}[31m"],
            "a  b\n\tc \u{1b}[31m",
        ),
    ] {
        let exited = machine.run(args);
        let id = exited.result().strip_prefix("delivered ").unwrap_or_else(|| panic!("{exited:?}"));
        let line = jack.out();
        let letter: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&letter["text"], &letter["id"]), (&text.into(), &id.into()));
        assert!(!line.contains('\u{1b}'));
    }
}

#[test]
fn standard_input_is_one_letter_or_one_per_line() {
    let (machine, _relay) = relay_with_members(&[], &["JACK", "TOM"]);
    let mut jack = machine.listen("JACK", &["--json"]);
    let mut next = || serde_json::from_str::<serde_json::Value>(&jack.out()).unwrap()["text"].clone();
    machine.run_with(&["send", "--as", "TOM", "JACK", "-"], "一\n二\n".as_bytes()).result();
    assert_eq!(next(), "一\n二");
    let lines =
        machine.run_with(&["send", "--as", "TOM", "JACK", "--lines"], "一\r\n\n二\n三".as_bytes()).with(0);
    assert_eq!(lines.out.len(), 3);
    assert!(lines.out.iter().all(|line| line.starts_with("delivered ")), "{lines:?}");
    assert_eq!([next(), next(), next()], ["一", "二", "三"]);
    assert_eq!(machine.run(&["send", "--as", "TOM", "JACK", "--lines"]).with(0).out, [""; 0]);
}

// faults.md: R46
#[test]
fn letter_over_64_kib_is_refused() {
    let (machine, _relay) = relay_with_members(&["--tcp"], &["JACK"]);
    let full = "字".repeat(LETTER_MAX / 3) + "x";
    assert_eq!(full.len(), LETTER_MAX);
    let wanted = format!("the text has {} bytes; a message can have at most {LETTER_MAX}", LETTER_MAX + 1);
    for carrier in ["--udp", "--tcp"] {
        let mut jack = machine.listen("JACK", &["--json", "--count", "2", carrier]);
        let send = ["send", "--as", "TOM", carrier, "JACK"];
        machine.run_with(&[&send[..], &["-"]].concat(), full.as_bytes()).result();
        machine.run(&[&send[..], &[&full]].concat()).result();
        for _ in 0..2 {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&jack.out()).unwrap()["text"], full);
        }
        jack.end().with(0);
        machine.run_with(&[&send[..], &["-"]].concat(), format!("{full}y").as_bytes()).one_line(1, &wanted);
        machine.run(&[&send[..], &[&format!("{full}y")]].concat()).one_line(1, &wanted);
    }
    for (language, wanted) in [("en", "has more than 65536 bytes"), ("zh", "超过 65536 字节")] {
        let send = ["--lang", language, "send", "--as", "TOM", "JACK", "-"];
        for much in ["x".repeat(70_000), "字".repeat(30_000), full.clone() + "yyyyy\n"] {
            machine.run_with(&send, much.as_bytes()).one_line(1, wanted);
        }
    }
    let lines = format!("a\n{full}y\nb\n");
    let _jack = machine.listen("JACK", &[]);
    let exited = machine.run_with(&["send", "--as", "TOM", "JACK", "--lines"], lines.as_bytes()).with(1);
    assert_eq!(exited.out.len(), 2);
    assert!(exited.notices()[0].contains(&wanted), "{exited:?}");
}

// faults.md: R46
#[test]
fn empty_or_non_utf8_text_is_not_sent() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let _jack = machine.listen("JACK", &[]);
    machine.send("TOM", "JACK", "").one_line(2, "nothing to send");
    machine.run(&["send", "--as", "TOM", "JACK", "-"]).one_line(2, "nothing to send");
    machine
        .run_with(&["send", "--as", "TOM", "JACK", "-"], b"\xb2\xbb\xd4\xbc")
        .one_line(1, "not valid UTF-8");
    let lines = machine.run_with(&["send", "--as", "TOM", "JACK", "--lines"], b"a\n\xb2\xbb\nb\n").with(1);
    assert_eq!(lines.out.len(), 2);
    let refused = "Not sent: this text is not valid UTF-8; convert it first (for GBK: iconv -f GBK -t UTF-8)";
    assert_eq!(lines.notices(), [refused]);
}

// faults.md: R61
#[test]
fn unknown_name_is_refused_with_similar_names() {
    let (machine, _relay) = relay_with_members(&[], &["TOM"]);
    machine.send("JACK", "echo", "x").with(0);
    machine.send("武大郎", "echo", "x").with(0);
    for (name, near) in [("JAKC", "JACK"), ("武大", "武大郎")] {
        let refused = machine.send("TOM", name, "x").with(1);
        assert_eq!(refused.out, [""; 0]);
        let notices = refused.notices();
        assert!(notices[0].starts_with("refused ") && notices[0].ends_with(" unknown"), "{notices:?}");
        assert_eq!(notices[1..], [format!("Similar names: {near}")]);
    }
    machine.send("TOM", "完全不同", "x").one_line(1, " unknown");
}

#[test]
fn recipient_may_be_address() {
    let (machine, relay) = relay_with_members(&[], &[]);
    machine.run(&["contacts", "add", "朋友", &relay.udp.to_string(), "--member", "JACK"]).with(0);
    let mut jack = machine.listen("JACK", &[]);
    for to in [format!("JACK@{}", relay.udp), "朋友".to_owned(), "JACK".to_owned()] {
        machine.send("TOM", &to, "x").result();
        assert!(jack.out().ends_with(" TOM [udp] x"));
    }
    machine.send("TOM", "JACK@h", "x").one_line(1, "an address needs a port");
    machine.send("TOM", "JACK＠127.0.0.1:1", "x").one_line(1, "JACK＠127.0.0.1:1: use @");
    machine.send("TOM", &relay.udp.to_string(), "x").one_line(1, "is a relay: add a name");
}

#[test]
fn reply_is_printed_and_missing_reply_exits_75() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    jack.write("/to TOM\n");
    let tom = machine.start(&["send", "--as", "TOM", "--reply", "30s", "JACK", "约不"]);
    assert!(jack.out().ends_with("约不"));
    jack.write("不约\n再见\n");
    let exited = tom.end().with(0);
    assert!(exited.out[0].starts_with("delivered ") && exited.out[1..] == ["不约"], "{exited:?}");
    let none = machine.run(&["send", "--as", "TOM", "--reply", "300ms", "JACK", "在吗"]).with(75);
    assert!(none.out[0].starts_with("delivered ") && none.out.len() == 1, "{none:?}");
    assert_eq!(none.notices(), ["no reply within 0.3 s"]);
}

#[test]
fn letter_from_mailbox_is_not_taken_as_reply() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    machine.send("TOM", "echo", "signed in").with(0);
    machine.run(&["listen", "--as", "TOM", "--count", "1"]).with(0);
    let mut jack = machine.chat("JACK", &_relay, &[]);
    machine.send("JACK", "TOM", "it waits").with(0);
    let unanswered = machine.run(&["send", "--as", "TOM", "--reply", "0.5s", "JACK", "one?"]).with(75);
    assert_eq!(unanswered.out.len(), 1, "{unanswered:?}");
    assert!(jack.out().ends_with("one?"));
    let received = machine.run(&["listen", "--as", "TOM", "--count", "1", "--for", "20s"]).with(0);
    assert!(received.result().ends_with("it waits"));

    machine.send("JACK", "TOM", "so does this").with(0);
    let asking = machine.start(&["send", "--as", "TOM", "--reply", "30s", "JACK", "two?"]);
    assert!(jack.out().ends_with("two?"));
    jack.write("TOM\nyes\n");
    assert_eq!(asking.end().with(0).out[1..], ["yes"]);
}

/// Text files and pipes of Windows.
#[test]
fn input_loses_byte_order_mark_and_carriage_returns() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let mut jack = machine.listen("JACK", &["--json"]);
    let mut expect = |text: &str| {
        let line = jack.out();
        assert!(line.contains(&format!(r#""text":"{text}""#)), "{line}");
    };
    let send = ["send", "--as", "TOM", "JACK", "-"];
    machine.run_with(&send, "\u{feff}one\r\ntwo\r\n".as_bytes()).result();
    expect("one\\ntwo");
    let lines = ["send", "--as", "TOM", "--lines", "JACK"];
    machine.run_with(&lines, "\u{feff}first\r\nlast".as_bytes()).with(0);
    expect("first");
    expect("last");
}
