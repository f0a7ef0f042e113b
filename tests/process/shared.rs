//! Several commands of one member at once: the first is the primary process, the others work
//! through it and take over.

use std::io::{BufRead, BufReader, PipeReader};

use rustix::process::Signal;

use crate::world::{Home, Running, SOON, texts, town};

fn history(home: &Home, name: &str, other: &str) -> Vec<String> {
    home.run(&["history", "--as", name, other]).with(0).out
}

/// TOM listens, and his output is not read yet.
struct SlowListener {
    listening: Running,
    shown: PipeReader,
    letters: usize,
}

impl SlowListener {
    /// Lets JACK send him this many letters: each is its number and dots.
    fn with_letters(home: &Home, letters: usize, dots: usize) -> SlowListener {
        let (shown, writer) = std::io::pipe().unwrap();
        let mut command = home.command(&["listen", "--as", "TOM", "--count", &letters.to_string()]);
        command.stdout(writer);
        let mut listening = Running::start(command);
        listening.until_err("connected to");
        let lines: String = (0..letters).map(|n| format!("{n}{}\n", ".".repeat(dots))).collect();
        let sent = home.run_with(&["send", "--as", "JACK", "--lines", "TOM"], lines.as_bytes()).with(0);
        assert_eq!(sent.out.len(), letters);
        SlowListener { listening, shown, letters }
    }

    /// Asserts that each letter is printed, in order.
    fn reads_all(self) {
        let heard: Vec<String> = BufReader::new(self.shown).lines().map(|line| line.unwrap()).collect();
        let numbers: Vec<&str> = texts(&heard).iter().map(|text| text.trim_end_matches('.')).collect();
        assert_eq!(numbers, (0..self.letters).map(|n| n.to_string()).collect::<Vec<_>>());
        self.listening.end().with(0);
    }
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("letter {n}")).collect()
}

// faults.md: R77
#[test]
fn send_during_chat_works_and_chat_continues() {
    let (home, relay) = town(&[], &["TOM", "JACK"]);
    let mut jack = home.chat("JACK", &relay, &[]);
    let mut tom = home.chat("TOM", &relay, &[]);
    assert!(home.send("TOM", "JACK", "one").result().starts_with("delivered "));
    assert!(jack.out().ends_with("one"));
    let two = home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "two"]);
    assert!(two.result().starts_with("delivered "));
    assert!(jack.out().ends_with("two"));
    let refused = home.send("TOM", "nobody", "x").with(1);
    assert!(refused.said()[0].ends_with(" unknown"), "{refused:?}");

    let asking = home.start(&["send", "--as", "TOM", "--reply", "30s", "JACK", "three?"]);
    assert!(jack.out().ends_with("three?"));
    jack.write("/to TOM\nyes\n");
    let asked = asking.end().with(0);
    assert_eq!(asked.out[1..], ["yes"]);
    assert!(tom.out().ends_with("yes"), "the chat shows this one too");

    tom.write("JACK\nfour\n");
    assert!(jack.out().ends_with("four"));
    tom.feed(b"");
    let tom = tom.end().with(0);
    assert!(tom.said().is_empty(), "letters of other processes are not the chat's: {tom:?}");
    let said = history(&home, "JACK", "TOM");
    assert_eq!(texts(&said), ["one", "two", "three?", "yes", "four"]);
}

// faults.md: R77
#[test]
fn history_and_book_work_while_listening() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let mut tom = home.listen("TOM", &[]);
    home.send("JACK", "TOM", "hi").result();
    assert!(tom.out().ends_with("hi"));
    home.send("TOM", "echo", "x").result();
    assert_eq!(texts(&history(&home, "TOM", "JACK")), ["hi"]);
    home.run(&["contacts", "add", "武大郎", &_relay.udp.to_string()]).with(0);
    tom.until_err("was read again");
    home.run(&["ping", "--count", "1", "JACK"]).with(0);
}

// faults.md: R77
#[test]
fn second_listener_continues_after_first_is_killed() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let mut first = home.listen("TOM", &[]);
    let mut second = home.listen("TOM", &["--count", "4"]);
    for text in ["one", "two"] {
        home.send("JACK", "TOM", text).result();
        assert!(first.out().ends_with(text));
        assert!(second.out().ends_with(text));
    }
    first.kill();
    for text in ["three", "four"] {
        home.send("JACK", "TOM", text).with(0);
    }
    assert_eq!(texts(&second.end().with(0).out), ["one", "two", "three", "four"]);
    let nothing = home.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0);
    assert!(nothing.out.is_empty(), "each letter was shown: {nothing:?}");
}

// faults.md: R77
#[test]
fn killing_primary_mid_send_delivers_each_letter_once() {
    let (home, relay) = town(&["--tcp"], &["TOM", "JACK"]);
    let jack = home.listen("JACK", &[]);
    for round in 0..3 {
        let owner = home.listen("TOM", &[]);
        let mut sender = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        sender.write("first\n");
        sender.out();
        let lines: String = numbered(0..50).iter().map(|line| format!("{round} {line}\n")).collect();
        sender.feed(lines.as_bytes());
        (0..round * 10).for_each(|_| drop(sender.out()));
        owner.kill();
        let sent = sender.end().with(0);
        assert_eq!(sent.out.len(), 51, "{sent:?}");
    }
    let wanted: Vec<String> = (0..3)
        .flat_map(|round| {
            let letters = numbered(0..50).into_iter().map(move |line| format!("{round} {line}"));
            std::iter::once("first".to_owned()).chain(letters)
        })
        .collect();
    for name in ["JACK", "TOM"] {
        let other = if name == "JACK" { "TOM" } else { "JACK" };
        assert_eq!(texts(&history(&home, name, other)), wanted, "{name}'s");
    }
    assert_eq!(texts(&jack.terminate().with(130).out), wanted);
    relay.stop().with(0);
}

// faults.md: R77
#[test]
fn pending_letter_survives_terminated_primary() {
    let (home, relay) = town(&[], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    home.send("TOM", "echo", "x").with(0);
    home.away("JACK");
    relay.stop().with(0);
    let mut owner = home.start(&["listen", "--as", "TOM"]);
    owner.until_err("no relay answers at");
    let mut sender = home.start(&["send", "--as", "TOM", "--timeout", "30s", "JACK", "patience"]);
    sender.until_err("no relay answers at");
    owner.terminate().with(130);
    let relay = home.relay(&["--bind", &addr]);
    assert!(sender.end().with(0).out[0].starts_with("accepted "));
    let jack = home.run(&["listen", "--as", "JACK", "--count", "1"]).with(0);
    assert_eq!(texts(&jack.out), ["patience"]);
    relay.stop().with(0);
}

// faults.md: R77
/// The primary process does not show letters.
#[test]
fn unread_letters_go_to_first_listener() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let mut owner = home.sending("TOM", "x\n");
    home.send("JACK", "TOM", "while nobody looked").with(0);
    let first = home.run(&["listen", "--as", "TOM", "--count", "2"]).with(0);
    assert_eq!(texts(&first.out), ["X", "while nobody looked"]);
    let second = home.run(&["listen", "--as", "TOM", "--for", "0.3s"]).with(0);
    assert!(second.out.is_empty(), "{second:?}");
    owner.feed(b"");
    owner.end().with(0);
}

// faults.md: R51, R77
#[test]
fn key_accepted_elsewhere_reaches_running_client() {
    let (home, relay) = town(&["--data", "old"], &["TOM", "JACK"]);
    let addr = relay.udp.to_string();
    let mut jack = home.listen("JACK", &[]);
    relay.stop().with(0);
    let other = home.relay(&["--bind", &addr, "--data", "new"]);
    let told = jack.until_err("shows another key");
    let words: Vec<&str> = told.split("queqiao ").last().unwrap().split(' ').collect();
    home.run(&words).with(0);
    jack.until_err("connected to");
    home.send("TOM", "JACK", "hello again").result();
    assert!(jack.out().ends_with("hello again"));
    other.stop().with(0);
}

// faults.md: R77
#[test]
fn unresponsive_primary_is_named() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let owner: Running = home.listen("TOM", &[]);
    owner.signal(Signal::STOP);
    let wanted = format!("TOM is already running on this machine (process {})", owner.pid());
    home.send("TOM", "JACK", "x").one_line(1, &wanted);
    owner.signal(Signal::CONT);
    home.send("TOM", "echo", "x").result();
    owner.terminate().with(130);
}

// faults.md: R77
#[test]
fn listener_takes_over_from_finished_sender() {
    let (home, relay) = town(&["--tcp"], &["TOM", "JACK"]);
    let mut owner = home.start(&["send", "--as", "TOM", "--udp", "--lines", "echo"]);
    owner.write("x\n");
    owner.out();
    let mut listening = home.start(&["listen", "--as", "TOM", "--tcp"]);
    let told = listening.until_err("speaks for you already");
    assert!(told.contains(&owner.pid()), "{told}");
    assert!(listening.out().ends_with(" X"));
    owner.feed(b"");
    owner.end().with(0);
    home.send("JACK", "TOM", "still there?").with(0);
    assert!(listening.out().ends_with("[tcp] still there?"), "it uses its own carrier now");
    home.send("TOM", "echo", "through it").result();
    relay.stop().with(0);
}

// faults.md: R77
/// Letters that it had submitted are sent.
#[test]
fn stopped_or_killed_secondary_disturbs_no_other() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let mut jack = home.listen("JACK", &[]);
    let mut owner = home.listen("TOM", &[]);
    let stopped = home.listen("TOM", &[]);
    stopped.signal(Signal::STOP);
    let mut sender = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
    sender.write("one\ntwo\n");
    (0..2).for_each(|_| drop(sender.out()));
    sender.kill();
    home.send("TOM", "JACK", "three").with(0);
    for text in ["one", "two", "three"] {
        assert!(jack.out().ends_with(text));
    }
    home.send("JACK", "TOM", "four").with(0);
    assert!(owner.out().ends_with("four"));
    stopped.signal(Signal::CONT);
    let mut stopped = stopped;
    assert!(stopped.out().ends_with("four"));
}

// faults.md: R77
#[test]
fn killing_primaries_in_turn_loses_and_repeats_nothing() {
    let (home, relay) = town(&["--tcp"], &["TOM", "JACK"]);
    let jack = home.listen("JACK", &[]);
    let mut owners: Vec<Running> = (0..4).map(|_| home.listen("TOM", &[])).collect();
    let senders = ["a", "b"].map(|who| {
        let mut sender = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        let lines: String = numbered(0..100).iter().map(|line| format!("{who} {line}\n")).collect();
        sender.feed(lines.as_bytes());
        sender
    });
    for mut sender in senders {
        for _ in 0..2 {
            (0..20).for_each(|_| drop(sender.out()));
            owners.remove(0).kill();
        }
        assert_eq!(sender.end().with(0).out.len(), 100);
    }
    let said = history(&home, "JACK", "TOM");
    for who in ["a", "b"] {
        let wanted: Vec<String> = numbered(0..100).iter().map(|line| format!("{who} {line}")).collect();
        let heard: Vec<&str> = texts(&said).into_iter().filter(|text| text.starts_with(who)).collect();
        assert_eq!(heard, wanted);
    }
    assert_eq!(said.len(), 200);
    jack.terminate().with(130);
    relay.stop().with(0);
}

// faults.md: R77
/// As a script that runs a command for each letter.
#[test]
fn slow_reader_of_listen_blocks_no_other_command() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    // More bytes than a pipe holds.
    let listening = SlowListener::with_letters(&home, 60, 4_000);
    home.send("TOM", "echo", "meanwhile").result();
    listening.reads_all();
}

// faults.md: R77
#[test]
fn secondary_with_other_environment_finds_primary() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let _owner = home.listen("TOM", &[]);
    let mut command = home.command(&["send", "--as", "TOM", "echo", "x"]);
    command.env_remove("XDG_RUNTIME_DIR");
    let mut sender = Running::start(command);
    sender.feed(b"");
    sender.end().result();
}

// faults.md: R77
/// Each letter is shown once by it, also after the primary process dies.
#[test]
fn other_listener_continues_after_showing_one_dies() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let owner = home.sending("TOM", "x\n");
    let mut first = home.listen("TOM", &[]);
    let mut second = home.listen("TOM", &[]);
    assert!(first.out().ends_with("X"));
    home.send("JACK", "TOM", "one").with(0);
    assert!(first.out().ends_with("one"));
    assert!(second.out().ends_with("one"));
    first.kill();
    home.send("JACK", "TOM", "two").with(0);
    assert!(second.out().ends_with("two"));
    owner.kill();
    home.send("JACK", "TOM", "three").with(0);
    assert!(second.out().ends_with("three"));
    assert_eq!(texts(&second.terminate().with(130).out), ["one", "two", "three"]);
    assert!(home.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0).out.is_empty());
}

// faults.md: R77
/// Only a bounded number of bytes waits in memory for a slow reader.
#[test]
fn letters_for_slow_reader_stay_on_disk() {
    let (home, _relay) = town(&["--limits", "off"], &["TOM", "JACK"]);
    let listening = SlowListener::with_letters(&home, 120, 60_000);
    listening.reads_all();
}

/// Returns a chat whose standard output is a pipe that is not read, with more bytes for it than a
/// pipe holds.
fn chat_that_nobody_reads(home: &Home) -> (Running, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = home.command(&["chat", "--as", "TOM"]);
    command.stdout(writer);
    let mut chat = Running::start(command);
    chat.until_err("is pinned");
    home.send("TOM", "echo", "signed in").result();
    let lines: String = (0..60).map(|n| format!("{n}{}\n", ".".repeat(4_000))).collect();
    let sent = home.run_with(&["send", "--as", "JACK", "--lines", "TOM"], lines.as_bytes()).with(0);
    assert_eq!(sent.out.len(), 60);
    (chat, reader)
}

// faults.md: R77
/// It loses no letter either.
#[test]
fn unread_chat_blocks_no_other_command() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let (mut chat, reader) = chat_that_nobody_reads(&home);
    let sending = home.start(&["send", "--as", "TOM", "JACK", "meanwhile"]);
    sending.end_within(SOON).with(0).result();
    assert_eq!(history(&home, "TOM", "JACK").len(), 61);
    chat.feed(b"");
    let heard: Vec<String> = BufReader::new(reader).lines().map(|line| line.unwrap()).collect();
    let numbers: Vec<&str> =
        heard[1..].iter().map(|line| line.rsplit(' ').next().unwrap().trim_end_matches('.')).collect();
    assert_eq!(numbers, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());
    chat.end().with(0);
    let nothing = home.run(&["listen", "--as", "TOM", "--for", "0.2s"]).with(0);
    assert!(nothing.out.is_empty(), "each letter was shown: {nothing:?}");
}

// faults.md: R77
#[test]
fn letters_unprinted_by_killed_chat_are_shown_next() {
    let (home, _relay) = town(&[], &["TOM", "JACK"]);
    let (chat, reader) = chat_that_nobody_reads(&home);
    chat.kill();
    let printed = BufReader::new(reader).split(b'\n').map_while(Result::ok).count();
    let rest = home.run(&["listen", "--as", "TOM", "--for", "1s"]).with(0).out;
    assert!(printed < 61 && printed + rest.len() >= 61, "{printed} and {}", rest.len());
    assert!(texts(&rest).last().is_some_and(|text| text.starts_with("59.")));
}

// faults.md: R77
/// It loses no result either.
#[test]
fn sender_with_unread_results_blocks_no_other_command() {
    let (home, _relay) = town(&["--limits", "off"], &["TOM", "JACK"]);
    let jack = home.listen("JACK", &["--count", "3000"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = home.command(&["send", "--as", "TOM", "--lines", "JACK"]);
    command.stdout(writer);
    let mut sending = Running::start(command);
    sending.feed("x\n".repeat(3_000).as_bytes());
    assert_eq!(jack.end().with(0).out.len(), 3_000);
    let other = home.start(&["send", "--as", "TOM", "echo", "meanwhile"]);
    other.end_within(SOON).with(0).result();
    assert_eq!(BufReader::new(reader).lines().count(), 3_000);
    sending.end().with(0);
}
