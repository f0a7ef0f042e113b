//! `queqiao chat` in line mode, over pipes.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::harness::{Process, relay_with_members};

/// Whether the line is, behind prompts, `来自 WHO [via] HH:MM:SS 的一条消息：TEXT`.
fn is_from(line: &str, who: &str, text: &str) -> bool {
    let Some((_, rest)) = line.split_once(&format!("来自 {who} [udp] ")) else { return false };
    let Some((time, notice)) = rest.split_at_checked(8) else { return false };
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "00:00:00" && notice == format!(" 的一条消息：{text}")
}

#[test]
fn chinese_conversation_over_pipes() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let zh = ["--lang", "zh"];
    let mut tom = machine.chat("TOM", &relay, &zh);
    let mut jack = machine.chat("JACK", &relay, &zh);
    tom.write("JACK\n约不\n");
    let line = jack.out();
    assert!(is_from(&line, "TOM", "约不"), "{line}");
    jack.write("TOM\n不约\nquit\nquit\n");
    let line = tom.out();
    assert!(is_from(&line, "JACK", "不约"), "{line}");
    // Back to the choice of a contact, and out.
    tom.write("quit\nquit\n");
    for chat in [tom, jack] {
        let exited = chat.end().with(0);
        assert!(exited.out.len() == 3 && exited.notices().is_empty(), "{exited:?}");
        assert!(exited.out[2].ends_with("请选择聊天对象: "), "{exited:?}");
    }
}

#[test]
fn script_of_lines_is_sent_completely() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM", "JACK", "一棵树"]);
    let mut jack = machine.listen("JACK", &["--tcp"]);
    let mut tree = machine.listen("一棵树", &[]);
    let script = "JACK\n1\n2\n//slash\n/to 一棵树\n3\nquit\nJACK\n4\n";
    let exited = machine.run_with(&["chat", "--as", "TOM"], script.as_bytes()).with(0);
    assert!(exited.out.len() == 1 && exited.notices().is_empty(), "{exited:?}");
    assert_eq!(exited.out[0].matches("Choose a contact: ").count(), 2, "{exited:?}");
    assert_eq!(exited.out[0].matches("Type a message, Enter sends: ").count(), 8, "{exited:?}");
    for text in ["1", "2", "/slash", "4"] {
        assert!(jack.out().ends_with(&format!(" TOM [tcp] {text}")));
    }
    assert!(tree.out().ends_with(" TOM [udp] 3"));
    drop(relay);
}

#[test]
fn refused_letter_is_returned() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut tom = machine.chat("TOM", &relay, &[]);
    tom.write("JACK\n不要丢\n");
    tom.until_err("Not delivered");
    tom.until_err("Your text:");
    assert_eq!(tom.until_err(""), "不要丢");
    tom.write(&format!("{}\n", "长".repeat(22_000)));
    assert!(tom.until_err("Not sent").contains("the message has 66000 bytes; the limit is 65536"));
    tom.until_err("长长长");
    tom.write_and_close(b"");
    tom.end().with(0);
}

#[test]
fn mistyped_contacts_and_commands_are_reported_not_sent() {
    let (machine, relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.listen("JACK", &[]);
    let mut tom = machine.chat("TOM", &relay, &[]);
    tom.write("JAKC\n");
    assert_eq!(tom.until_err("no contact"), "no contact named JAKC: did you mean JACK?");
    tom.write("JACK\n/frobnicate\n /quit\n/help\n/who\n/status\n");
    tom.until_err("unknown command /frobnicate");
    tom.until_err("did you mean the command /quit?");
    tom.until_err("/quit, Ctrl-D");
    assert_eq!(tom.until_err("Contacts: "), "Contacts: TOM, JACK");
    assert!(tom.until_err(": connected over").ends_with("UDP"));
    tom.write("hello\n/quit\n");
    tom.end().with(0);
    assert!(jack.out().ends_with(" TOM [udp] hello"));
}

#[test]
fn strangers_can_be_answered_and_receipts_shown() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let mut jack = machine.chat("JACK", &relay, &[]);
    let mut tom = machine.chat("TOM", &relay, &[]);
    tom.write("JACK\nhi\n");
    assert!(jack.out().contains("Message from TOM (not in your contacts) [udp] "));
    jack.write("/receipts on\nTOM\nwho are you\n");
    assert_eq!(jack.until_err("✓"), "✓✓ delivered to TOM: “who are you”");
    assert!(tom.out().ends_with("who are you"));
}

/// As a script of the classic kind does: it waits for each prompt, reads up to it and answers. The
/// prompts have no line end.
#[test]
fn script_waits_for_prompts_on_standard_output() {
    for (lang, choose, write) in [
        ("zh", "请选择聊天对象: ", "请输入消息,回车发送: "),
        ("en", "Choose a contact: ", "Type a message, Enter sends: "),
    ] {
        let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
        let mut jack = machine.listen("JACK", &[]);
        let mut command = machine.command(&["chat", "--as", "TOM", "--lang", lang]);
        let mut tom = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = tom.stdin.take().unwrap();
        let mut output = tom.stdout.take().unwrap();
        let mut expect = |prompt: &str| {
            let mut bytes = vec![0; prompt.len()];
            output.read_exact(&mut bytes).unwrap();
            assert_eq!(String::from_utf8_lossy(&bytes), prompt);
        };
        for (prompt, line) in [(choose, "JACK\n"), (write, "约不\n"), (write, "quit\n"), (choose, "quit\n")]
        {
            expect(prompt);
            input.write_all(line.as_bytes()).unwrap();
        }
        assert!(jack.out().ends_with("约不"));
        assert!(tom.wait().unwrap().success());
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

/// `send --lines` and `listen --json` have results only.
#[test]
fn results_for_scripts_have_no_prompts() {
    let (machine, _relay) = relay_with_members(&[], &["TOM", "JACK"]);
    let mut jack = machine.listen("JACK", &["--json"]);
    let sent = machine.run_with(&["send", "--as", "TOM", "--lines", "JACK"], b"one\ntwo\n").with(0);
    assert!(sent.out.len() == 2, "{sent:?}");
    for line in &sent.out {
        assert!(line.starts_with("accepted ") || line.starts_with("delivered "), "{sent:?}");
        assert!(jack.out().starts_with('{'));
    }
}

#[test]
fn chat_with_taken_name_exits_1() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    machine.send("TOM", "echo", "x").with(0);
    let chat: Process = machine.start(&["chat", "--as", "TOM", "--data", "second"]);
    let exited = chat.end().with(1);
    assert!(exited.err[0].starts_with(&format!("TOM is taken at {}", relay.udp)), "{exited:?}");
    assert_eq!((exited.out, exited.err.len()), (vec!["Choose a contact: ".to_owned()], 1));
}

#[test]
fn closed_output_pipe_ends_chat_with_0() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = machine.command(&["chat", "--as", "TOM", &format!("echo@{}", relay.udp)]);
    command.stdout(writer);
    let mut tom = Process::start(command);
    drop(reader);
    tom.write("x\n");
    tom.end().with(0);
}
