//! `queqiao send`: its output and its exit status.

use crate::world::town;

const LETTER_MAX: usize = 64 * 1024;

#[test]
fn words_are_one_letter_and_options_may_come_anywhere() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let mut jack = home.listen("JACK", &["--json"]);
    for (args, text) in [
        (&["send", "--as", "TOM", "JACK", "hello", "there"][..], "hello there"),
        (&["send", "JACK", "约不", "--as", "TOM", "--udp"], "约不"),
        (&["--lang", "en", "send", "JACK", "--as=TOM", "--", "--as", "-x"], "--as -x"),
        (
            &["send", "--as", "TOM", "--wait", "delivered", "JACK", "a  b\n\tc \u{1b}[31m"],
            "a  b\n\tc \u{1b}[31m",
        ),
    ] {
        let ended = home.run(args);
        let id = ended.result().strip_prefix("delivered ").unwrap_or_else(|| panic!("{ended:?}"));
        let line = jack.out();
        let letter: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&letter["text"], &letter["id"]), (&text.into(), &id.into()));
        assert!(!line.contains('\u{1b}'));
    }
}

#[test]
fn standard_input_is_one_letter_or_one_per_line() {
    let (home, _relay) = town(&[], &["JACK", "TOM"]);
    let mut jack = home.listen("JACK", &["--json"]);
    let mut next = || serde_json::from_str::<serde_json::Value>(&jack.out()).unwrap()["text"].clone();
    home.run_with(&["send", "--as", "TOM", "JACK", "-"], "一\n二\n".as_bytes()).result();
    assert_eq!(next(), "一\n二");
    let lines =
        home.run_with(&["send", "--as", "TOM", "JACK", "--lines"], "一\r\n\n二\n三".as_bytes()).with(0);
    assert_eq!(lines.out.len(), 3);
    assert!(lines.out.iter().all(|line| line.starts_with("delivered ")), "{lines:?}");
    assert_eq!([next(), next(), next()], ["一", "二", "三"]);
    assert_eq!(home.run(&["send", "--as", "TOM", "JACK", "--lines"]).with(0).out, [""; 0]);
}

// faults.md: R46
#[test]
fn letter_over_64_kib_is_refused() {
    let (home, _relay) = town(&["--tcp"], &["JACK"]);
    let full = "字".repeat(LETTER_MAX / 3) + "x";
    assert_eq!(full.len(), LETTER_MAX);
    let wanted = format!("the text has {} bytes, a letter at most {LETTER_MAX}", LETTER_MAX + 1);
    for carrier in ["--udp", "--tcp"] {
        let mut jack = home.listen("JACK", &["--json", "--count", "2", carrier]);
        let send = ["send", "--as", "TOM", carrier, "JACK"];
        home.run_with(&[&send[..], &["-"]].concat(), full.as_bytes()).result();
        home.run(&[&send[..], &[&full]].concat()).result();
        for _ in 0..2 {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&jack.out()).unwrap()["text"], full);
        }
        jack.end().with(0);
        home.run_with(&[&send[..], &["-"]].concat(), format!("{full}y").as_bytes()).one_line(1, &wanted);
        home.run(&[&send[..], &[&format!("{full}y")]].concat()).one_line(1, &wanted);
    }
    for (language, wanted) in [("en", "has more than 65536 bytes"), ("zh", "超过了 65536 字节")] {
        let send = ["--lang", language, "send", "--as", "TOM", "JACK", "-"];
        for much in ["x".repeat(70_000), "字".repeat(30_000), full.clone() + "y\n"] {
            home.run_with(&send, much.as_bytes()).one_line(1, wanted);
        }
    }
    let lines = format!("a\n{full}y\nb\n");
    let _jack = home.listen("JACK", &[]);
    let ended = home.run_with(&["send", "--as", "TOM", "JACK", "--lines"], lines.as_bytes()).with(1);
    assert_eq!(ended.out.len(), 2);
    assert!(ended.said()[0].contains(&wanted), "{ended:?}");
}

// faults.md: R46
#[test]
fn empty_or_non_utf8_text_is_not_sent() {
    let (home, _relay) = town(&[], &["JACK"]);
    let _jack = home.listen("JACK", &[]);
    home.send("TOM", "JACK", "").one_line(2, "there is no text to send");
    home.run(&["send", "--as", "TOM", "JACK", "-"]).one_line(2, "there is no text to send");
    home.run_with(&["send", "--as", "TOM", "JACK", "-"], b"\xb2\xbb\xd4\xbc").one_line(1, "not UTF-8");
    let lines = home.run_with(&["send", "--as", "TOM", "JACK", "--lines"], b"a\n\xb2\xbb\nb\n").with(1);
    assert_eq!(lines.out.len(), 2);
    assert_eq!(lines.said(), ["Not sent: this line is not UTF-8"]);
}

// faults.md: R61
#[test]
fn unknown_name_is_refused_with_similar_names() {
    let (home, _relay) = town(&[], &["TOM"]);
    home.send("JACK", "echo", "x").with(0);
    home.send("武大郎", "echo", "x").with(0);
    for (name, near) in [("JAKC", "JACK"), ("武大", "武大郎")] {
        let refused = home.send("TOM", name, "x").with(1);
        assert_eq!(refused.out, [""; 0]);
        let said = refused.said();
        assert!(said[0].starts_with("refused ") && said[0].ends_with(" unknown"), "{said:?}");
        assert_eq!(said[1..], [format!("Members with names like it: {near}")]);
    }
    home.send("TOM", "完全不同", "x").one_line(1, " unknown");
}

#[test]
fn recipient_may_be_address() {
    let (home, relay) = town(&[], &[]);
    home.run(&["contacts", "add", "朋友", &relay.udp.to_string(), "--member", "JACK"]).with(0);
    let mut jack = home.listen("JACK", &[]);
    for to in [format!("JACK@{}", relay.udp), "朋友".to_owned(), "JACK".to_owned()] {
        home.send("TOM", &to, "x").result();
        assert!(jack.out().ends_with(" TOM [udp] x"));
    }
    home.send("TOM", "JACK@h", "x").one_line(1, "an address needs a port");
    home.send("TOM", "JACK＠127.0.0.1:1", "x").one_line(1, "write @ instead");
    home.send("TOM", &relay.udp.to_string(), "x").one_line(1, "is a relay: write whom you mean");
}

#[test]
fn reply_is_printed_and_missing_reply_exits_75() {
    let (home, relay) = town(&[], &["TOM", "JACK"]);
    let mut jack = home.chat("JACK", &relay, &[]);
    jack.write("/to TOM\n");
    let tom = home.start(&["send", "--as", "TOM", "--reply", "30s", "JACK", "约不"]);
    assert!(jack.out().ends_with("约不"));
    jack.write("不约\n再见\n");
    let ended = tom.end().with(0);
    assert!(ended.out[0].starts_with("delivered ") && ended.out[1..] == ["不约"], "{ended:?}");
    let none = home.run(&["send", "--as", "TOM", "--reply", "300ms", "JACK", "在吗"]).with(75);
    assert!(none.out[0].starts_with("delivered ") && none.out.len() == 1, "{none:?}");
    assert_eq!(none.said(), ["no reply within 0.3s"]);
}

#[test]
fn letter_from_mailbox_is_not_taken_as_reply() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    home.send("TOM", "echo", "signed in").with(0);
    home.run(&["listen", "--as", "TOM", "--count", "1"]).with(0);
    let mut jack = home.chat("JACK", &_relay, &[]);
    home.send("JACK", "TOM", "it waits").with(0);
    let unanswered = home.run(&["send", "--as", "TOM", "--reply", "0.5s", "JACK", "one?"]).with(75);
    assert_eq!(unanswered.out.len(), 1, "{unanswered:?}");
    assert!(jack.out().ends_with("one?"));
    let heard = home.run(&["listen", "--as", "TOM", "--count", "1", "--for", "20s"]).with(0);
    assert!(heard.result().ends_with("it waits"));

    home.send("JACK", "TOM", "so does this").with(0);
    let asking = home.start(&["send", "--as", "TOM", "--reply", "30s", "JACK", "two?"]);
    assert!(jack.out().ends_with("two?"));
    jack.write("TOM\nyes\n");
    assert_eq!(asking.end().with(0).out[1..], ["yes"]);
}
