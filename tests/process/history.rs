//! `queqiao history`: how much of it is shown.

use crate::harness::{Machine, Relay, relay_with_members, texts};
use crate::terminal::Terminal;

/// Returns a machine on which TOM has sent this many messages.
fn history_of(count: usize) -> (Machine, Relay) {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    // JACK registers.
    machine.start(&["listen", "--as", "JACK"]).until_err("connected to");
    let lines: String = (1..=count).map(|n| format!("message {n}.\n")).collect();
    machine.run_with(&["send", "--as", "TOM", "--lines", "JACK"], lines.as_bytes()).with(0);
    (machine, relay)
}

/// A terminal shows the last 50, with a notice if there are more. A pipe gets all.
#[test]
fn terminal_shows_last_50_messages_and_pipe_all() {
    for (count, is_cut) in [(50, false), (51, true)] {
        let (machine, _relay) = history_of(count);
        let mut terminal = Terminal::start(&machine, &["history", "--as", "TOM"]);
        let before = terminal.line_until(&format!("message {count}.\n"));
        assert_eq!(before.contains("the last 50 messages; for more: --last N"), is_cut, "{before}");
        assert_eq!(before.contains("message 1.\n"), !is_cut, "{before}");
        assert!(before.contains("message 2.\n"), "{before}");
        terminal.ends_with(0);
        let piped = machine.run(&["history", "--as", "TOM"]).with(0);
        assert_eq!(texts(&piped.out).len(), count);
        let mut all = Terminal::start(&machine, &["history", "--as", "TOM", "--all"]);
        assert!(all.line_until(&format!("message {count}.\n")).contains("message 1.\n"));
        all.ends_with(0);
    }
}

/// A pipe gets the fixed words that scripts read.
#[test]
fn states_are_words_of_the_language_on_a_terminal_only() {
    let (machine, _relay) = relay_with_members(&[], &["TOM"]);
    machine.run(&["send", "--as", "TOM", "--wait", "delivered", "echo", "hello"]).with(0);
    for (lang, word) in [("en", "[delivered]"), ("zh", "[已送达]")] {
        let mut terminal = Terminal::start(&machine, &["history", "--as", "TOM", "--lang", lang, "echo"]);
        let before = terminal.line_until("HELLO");
        assert!(before.contains(&format!("TOM → echo {word} hello")), "{before}");
        let piped = machine.run(&["history", "--as", "TOM", "--lang", lang, "echo"]).with(0);
        assert!(piped.out[0].contains("TOM → echo [delivered] hello"), "{:?}", piped.out);
    }
}
