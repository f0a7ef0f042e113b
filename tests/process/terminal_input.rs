//! Input on a terminal that is not plain text: other encodings, pasted escape sequences, tabs; and
//! terminals that a shell has changed while the process was stopped.

use std::fs;
use std::thread;

use rustix::process::Signal;

use crate::harness::{Machine, relay_with_members};
use crate::terminal::{Terminal, talking};

/// One Chinese character in GBK, as an input method sends it to a terminal in that encoding.
const GBK: &[u8] = b"\xc4\xe3";
const PROMPT: &str = "To JACK: ";

/// Waits until the process on the terminal is stopped.
fn until_stopped(terminal: &Terminal) {
    let stat = format!("/proc/{}/stat", terminal.pid());
    let is_stopped = |_| {
        thread::yield_now();
        fs::read_to_string(&stat).unwrap().contains(") T ")
    };
    assert!((0..1_000_000).any(is_stopped), "the process runs on");
}

// faults.md: R81
#[test]
fn invalid_bytes_leave_prompt_and_draft() {
    let (_machine, mut jack, mut tom) = talking();
    tom.press("draft");
    tom.until("draft");
    tom.press(GBK);
    tom.until("Not UTF-8, so left out; the rest of your text is kept\n");
    tom.until(&format!("{PROMPT}draft"));
    tom.press(" goes on\r");
    assert!(jack.out().ends_with("draft goes on"));
    tom.until(PROMPT);
    // Together with its Enter: the user sees it first.
    tom.press([b"cut", GBK, b"off\r"].concat());
    tom.until("Not UTF-8");
    tom.until("cutoff ");
    tom.press("\x7f!\r");
    assert!(jack.out().ends_with("cutoff!"));
    tom.until(PROMPT);
    // In Latin-1; in UTF-8 it would begin a character.
    tom.press(b"\xe9");
    tom.until("Not UTF-8");
    tom.until(PROMPT);
    tom.press("\x03");
    tom.ends_with(130);
}

#[test]
fn terminal_in_other_encoding_gets_hint_in_ascii() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let mut command = machine.command(&["chat", "--line", "--as", "TOM", "--lang", "zh", "JACK"]);
    command.env("LC_ALL", "zh_CN.GBK");
    let mut tom = Terminal::of(command);
    tom.until("发给 JACK：");
    tom.press(GBK);
    tom.until("not UTF-8, so left out. Set your terminal to UTF-8, then run: export \n");
    tom.until("    LC_ALL=C.UTF-8 (LC_ALL=zh_CN.GBK now)\n");
    tom.until("发给 JACK：");
    tom.press("\x03");
    tom.ends_with(130);
}

#[test]
fn name_that_is_not_utf8_is_asked_for_again() {
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    let mut chat = Terminal::start(&machine, &["chat", "--line"]);
    chat.until("Your name: ");
    chat.press([GBK, b"\n"].concat());
    chat.until("Not UTF-8");
    chat.until("Your name: ");
    chat.press("TOM\n");
    chat.until("[y/N] ");
    chat.press("\n");
    chat.until("> ");
    chat.press("\x04");
    chat.ends_with(0);
}

// faults.md: R81
#[test]
fn pasted_escapes_leave_nothing_and_tabs_stay() {
    let (_machine, mut jack, mut tom) = talking();
    tom.press("\x1b[200~\x1b[1;38;5;196mred\x1b[0m\x1b]0;title\x07\tend\x1b[201~\r");
    assert!(jack.out().ends_with("red    end"));
    tom.press("typed\ttab\r");
    assert!(jack.out().ends_with("typed    tab"));
    // A terminal without bracketed paste.
    tom.press("\x1b[31mred\x1b[0m\r");
    assert!(jack.out().ends_with(": red"));
    tom.press("one\x1b[D\x1b[3~E\r");
    assert!(jack.out().ends_with("onE"), "keys still edit");
    tom.press("\x03");
    tom.ends_with(130);
}

// faults.md: R82
/// The shell has set its own modes in between, in which the draft would be sent unseen.
#[test]
fn continued_process_sets_terminal_and_draws_draft() {
    let (_machine, mut jack, mut tom) = talking();
    for how in ["signal", "key"] {
        tom.press("draft");
        tom.until("draft");
        match how {
            "signal" => tom.signal(Signal::STOP),
            _ => tom.press("\x1a"),
        }
        until_stopped(&tom);
        tom.set_shell_modes();
        tom.signal(Signal::CONT);
        tom.until(&format!("{PROMPT}draft"));
        // In the shell's modes the terminal itself would erase, and send nothing before Enter.
        tom.press("\x1b[D\x1b[3~\x1b[D\x1b[3~");
        tom.press(format!("ft by {how}\r"));
        let text = jack.out();
        assert!(text.ends_with(&format!("draft by {how}")), "{text}");
        tom.until(PROMPT);
    }
    tom.press("\x03");
    tom.ends_with(130);
}

#[test]
fn stopped_question_stays_hidden_when_continued() {
    // The terminal sends the second one for Ctrl-Z.
    for signal in [Signal::STOP, Signal::TSTP] {
        let machine = Machine::new();
        let mut join = Terminal::start(&machine, &["join"]);
        join.until(": ");
        assert!(!join.has_echo());
        join.signal(signal);
        until_stopped(&join);
        assert_eq!(join.has_echo(), signal == Signal::TSTP, "not every shell sets the terminal for itself");
        join.set_shell_modes();
        join.signal(Signal::CONT);
        join.until(": ");
        join.press("secret\n");
        let shown = join.line_until("\n");
        assert!(!shown.contains("secret"), "{shown}");
        join.ends_with(2);
    }
}
