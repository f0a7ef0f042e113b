//! A member's own letters, in which the disk has flipped a bit: which letters are still sent, and
//! what the user sees.

use std::fs;
use std::path::PathBuf;

use crate::harness::{Machine, relay_with_members, texts};

/// Returns the database of the only member whose letters contain `text`, and its position.
fn database_with(machine: &Machine, text: &str) -> (PathBuf, usize) {
    let members = fs::read_dir(machine.path(".local/share/queqiao/members")).unwrap();
    let files = members.map(|member| member.unwrap().path().join("letters.sqlite"));
    let at = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap();
        bytes.windows(text.len()).position(|part| part == text.as_bytes())
    };
    let mut found = files.filter_map(|file| Some((at(&file)?, file)));
    let (at, file) = found.next().expect("the letter was committed and no process holds the file");
    assert!(found.next().is_none());
    (file, at)
}

/// Flips a bit of the first letter of `text`.
fn flip(machine: &Machine, text: &str) {
    let (file, at) = database_with(machine, text);
    let mut bytes = fs::read(&file).unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
}

// faults.md: R71
#[test]
fn damaged_outbox_letter_is_returned_and_others_arrive() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM", "JACK"]);
    machine.register("JACK");
    machine.send("TOM", "JACK", "before").with(0);
    let addr = relay.udp.to_string();
    relay.stop().with(0);
    for text in ["one", "better not", "three"] {
        machine.run(&["send", "--as", "TOM", "--timeout", "0.3s", "JACK", text]).with(75);
    }
    flip(&machine, "better not");
    let history = machine.run(&["history", "--as", "TOM"]).with(0).out;
    assert!(history[2].ends_with(" TOM → JACK [damaged] cetter not"), "{history:?}");

    let relay = machine.relay(&["--data", "r", "--bind", &addr]);
    let jack = machine.listen("JACK", &["--count", "4"]);
    let tom = machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "four"]).with(0);
    let named: Vec<_> = tom.notices().into_iter().filter(|line| line.contains("letters.sqlite")).collect();
    assert!(matches!(named[..], [line] if line.contains("message 3 to JACK at ")), "{tom:?}");
    let refused: Vec<_> = tom.err.iter().filter(|line| line.starts_with("refused ")).collect();
    assert!(matches!(refused[..], [line] if line.ends_with("-3 damaged (may have arrived)")), "{tom:?}");
    assert!(tom.err.iter().any(|line| line.contains("cetter not")), "the readable text is returned: {tom:?}");
    let received = jack.end().with(0).out;
    assert_eq!(texts(&received), ["before", "one", "three", "four"]);

    let again = machine.run(&["send", "--as", "TOM", "echo", "again"]).with(0);
    assert!(again.notices().is_empty(), "reported once: {again:?}");
    let history = machine.run(&["history", "--as", "TOM", "JACK"]).with(0).out;
    assert!(history.len() == 4 && history.iter().all(|line| !line.contains("damaged")), "{history:?}");
    relay.stop().with(0);
}

// faults.md: R71
/// Both the history and `listen` show it as damaged.
#[test]
fn damaged_received_letter_is_shown_as_damaged_once() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.start_send("JACK", "first\n");
    for text in ["one", "better not", "three"] {
        machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", text]).with(0);
    }
    jack.write_and_close(b"");
    jack.terminate();
    let folders = fs::read_dir(machine.path(".local/share/queqiao/members")).unwrap();
    for folder in folders.map(|folder| folder.unwrap().path()) {
        if fs::read_to_string(folder.join("name")).unwrap() == "TOM\n" {
            fs::rename(folder, machine.path("tom")).unwrap();
        }
    }
    flip(&machine, "better not");
    let history = machine.run(&["history", "--as", "JACK", "--json", "TOM"]).with(0).out;
    let states: Vec<_> = history.iter().map(|line| line.contains(r#""state":"damaged""#)).collect();
    assert_eq!(states, [false, true, false], "{history:?}");
    assert!(
        history[1].contains(r#""from":"TOM","to":"JACK""#) && history[1].contains(r#""text":"cetter not""#)
    );
    let people = machine.run(&["history", "--as", "JACK", "TOM"]).with(0).out;
    assert!(people[1].ends_with(" TOM → JACK [damaged] cetter not"), "{people:?}");

    let received = machine.run(&["listen", "--as", "JACK", "--json", "--count", "4"]).with(0).out;
    let damaged: Vec<_> = received.iter().filter(|line| line.contains(r#""state":"damaged""#)).collect();
    assert!(matches!(damaged[..], [line] if line.contains(r#""text":"cetter not""#)), "{received:?}");
    let again = machine.run(&["listen", "--as", "JACK", "--for", "0.3s"]).with(0);
    assert!(again.out.is_empty(), "each is shown once: {again:?}");
    relay.stop().with(0);
}
