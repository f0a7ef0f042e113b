//! A member's own letters, in which the disk has flipped a bit: which letters are still sent, and
//! what the user sees.

use std::fs;
use std::path::PathBuf;

use crate::world::{Home, texts, town};

/// Returns the database of the only member whose letters contain `text`, and its position.
fn database_with(home: &Home, text: &str) -> (PathBuf, usize) {
    let members = fs::read_dir(home.path(".local/share/queqiao/members")).unwrap();
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
fn flip(home: &Home, text: &str) {
    let (file, at) = database_with(home, text);
    let mut bytes = fs::read(&file).unwrap();
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
}

// faults.md: R71
#[test]
fn damaged_outbox_letter_is_returned_and_others_arrive() {
    let (home, relay) = town(&["--data", "r"], &["TOM", "JACK"]);
    home.away("JACK");
    home.send("TOM", "JACK", "before").with(0);
    let addr = relay.udp.to_string();
    relay.stop().with(0);
    for text in ["one", "better not", "three"] {
        home.run(&["send", "--as", "TOM", "--timeout", "0.3s", "JACK", text]).with(75);
    }
    flip(&home, "better not");
    let history = home.run(&["history", "--as", "TOM"]).with(0).out;
    assert!(history[2].ends_with(" TOM → JACK [damaged] cetter not"), "{history:?}");

    let relay = home.relay(&["--data", "r", "--bind", &addr]);
    let jack = home.listen("JACK", &["--count", "4"]);
    let tom = home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", "four"]).with(0);
    let named: Vec<_> = tom.said().into_iter().filter(|line| line.contains("letters.sqlite")).collect();
    assert!(matches!(named[..], [line] if line.contains("letter 3 to JACK at ")), "{tom:?}");
    let refused: Vec<_> = tom.err.iter().filter(|line| line.starts_with("refused ")).collect();
    assert!(matches!(refused[..], [line] if line.ends_with("-3 damaged (may have arrived)")), "{tom:?}");
    assert!(tom.err.iter().any(|line| line.contains("cetter not")), "the readable text is returned: {tom:?}");
    let heard = jack.end().with(0).out;
    assert_eq!(texts(&heard), ["before", "one", "three", "four"]);

    let again = home.run(&["send", "--as", "TOM", "echo", "again"]).with(0);
    assert!(again.said().is_empty(), "reported once: {again:?}");
    let history = home.run(&["history", "--as", "TOM", "JACK"]).with(0).out;
    assert!(history.len() == 4 && history.iter().all(|line| !line.contains("damaged")), "{history:?}");
    relay.stop().with(0);
}

// faults.md: R71
/// Both the history and `listen` show it as damaged.
#[test]
fn damaged_received_letter_is_shown_as_damaged_once() {
    let (home, relay) = town(&[], &["TOM", "JACK"]);
    let mut jack = home.sending("JACK", "first\n");
    for text in ["one", "better not", "three"] {
        home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", text]).with(0);
    }
    jack.feed(b"");
    jack.terminate();
    let folders = fs::read_dir(home.path(".local/share/queqiao/members")).unwrap();
    for folder in folders.map(|folder| folder.unwrap().path()) {
        if fs::read_to_string(folder.join("name")).unwrap() == "TOM\n" {
            fs::rename(folder, home.path("tom")).unwrap();
        }
    }
    flip(&home, "better not");
    let history = home.run(&["history", "--as", "JACK", "--json", "TOM"]).with(0).out;
    let states: Vec<_> = history.iter().map(|line| line.contains(r#""state":"damaged""#)).collect();
    assert_eq!(states, [false, true, false], "{history:?}");
    assert!(
        history[1].contains(r#""from":"TOM","to":"JACK""#) && history[1].contains(r#""text":"cetter not""#)
    );
    let people = home.run(&["history", "--as", "JACK", "TOM"]).with(0).out;
    assert!(people[1].ends_with(" TOM → JACK [damaged] cetter not"), "{people:?}");

    let heard = home.run(&["listen", "--as", "JACK", "--json", "--count", "4"]).with(0).out;
    let damaged: Vec<_> = heard.iter().filter(|line| line.contains(r#""state":"damaged""#)).collect();
    assert!(matches!(damaged[..], [line] if line.contains(r#""text":"cetter not""#)), "{heard:?}");
    let again = home.run(&["listen", "--as", "JACK", "--for", "0.3s"]).with(0);
    assert!(again.out.is_empty(), "each is shown once: {again:?}");
    relay.stop().with(0);
}
