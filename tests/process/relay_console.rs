//! A relay and its console in one window.

use std::net::SocketAddr;

use crate::guests::{QUIET, TcpGuest, UdpGuest};
use crate::harness::Machine;
use crate::terminal::Terminal;

/// Returns a relay with a console on a terminal, and its addresses for UDP and TCP.
fn console_on_terminal(machine: &Machine, lang: &str) -> (Terminal, SocketAddr, SocketAddr) {
    let args = ["relay", "--bind", "127.0.0.1:0", "--tcp", "--desk", "--data", "desk", "--lang", lang];
    let mut terminal = Terminal::start(machine, &args);
    terminal.until("ready udp=");
    let udp = terminal.line_until(" tcp=").parse().unwrap();
    let tcp = terminal.line_until(" key=").parse().unwrap();
    let line = terminal.line_until("\n");
    assert!(line.ends_with(" guests=DESK"), "{line}");
    (terminal, udp, tcp)
}

/// Messages have a background colour, and escapes in them are shown as text.
#[test]
fn console_on_terminal_answers_oldest_message_first() {
    let machine = Machine::new();
    let (mut console, by_udp, by_tcp) = console_on_terminal(&machine, "zh");
    console.until("> ");
    let one = UdpGuest::at(by_udp);
    let mut two = TcpGuest::at(by_tcp);
    one.say("约不");
    let first = format!("来自访客 1（{}）", one.0.local_addr().unwrap());
    console.until(&first);
    console.until(" 的一条消息：约不\n");
    console.until("发给访客 1：");
    two.say("你好\x1b[2J");
    console.until("你好\\u{1b}[2J\n");
    console.press("不约\r");
    assert_eq!(one.text(), "不约");
    console.until("发给访客 1 ");
    console.until("：不约\n");
    console.until("发给访客 2：");
    console.press("您好\r");
    assert_eq!(two.text(), "您好");
    console.until("：您好\n");
    console.until("> ");
    two.say("q");
    console.until("[访客 2] 已离开\n");
    console.press("/who\r");
    console.until("未认证，未加密\n");
    assert!(console.raw.contains(&format!("\x1b[30;46m{first}")), "{:?}", console.raw);
    assert!(!console.raw.contains("\x1b[2J"));
    console.press("quit\r");
    console.ends_with(0);
}

#[test]
fn console_on_terminal_in_english() {
    let machine = Machine::new();
    let (mut console, by_udp, _) = console_on_terminal(&machine, "en");
    console.until("> ");
    let guest = UdpGuest::at(by_udp);
    guest.say("hello");
    console.until(&format!("Message from guest 1 ({}) ", guest.0.local_addr().unwrap()));
    console.until(": hello\n");
    console.until("To guest 1: ");
    console.press("hello yourself\r");
    assert_eq!(guest.text(), "hello yourself");
    console.until("> ");
    console.press("anybody?\r");
    // The prompt may be redrawn between the two. Ctrl-C is a key only while a line is read.
    for shown in ["No guest is waiting for a reply. Not sent:\n", "anybody?\n", "> "] {
        console.until(shown);
    }
    console.press("\u{3}");
    console.ends_with(130);
}

/// The begun line stays, with the cursor in its place, and is sent to the next guest only after a
/// second Enter.
#[test]
fn line_begun_for_guest_who_left_is_kept() {
    let machine = Machine::new();
    let (mut console, by_udp, by_tcp) = console_on_terminal(&machine, "en");
    console.until("> ");
    let mut one = TcpGuest::at(by_tcp);
    one.say("hello");
    console.until("To guest 1: ");
    let two = UdpGuest::at(by_udp);
    two.say("hi");
    console.until(": hi\n");
    console.until("To guest 1: ");
    // Left: the cursor stays before the last letter.
    console.press("onlz\x1b[D");
    console.until("onlz");
    one.say("q");
    console.until("[guest 1] has left\n");
    console.until("> onlz");
    console.press("\x1b[3~y for you\r");
    console.until("guest 1 has left; send \"only for you\" to guest 2 instead?");
    console.until("To guest 2: ");
    assert_eq!(two.expect_letter(QUIET), None);
    console.press("\r");
    assert_eq!(two.text(), "only for you");
    console.until("To guest 2 ");
    console.until(": only for you\n");
    console.until("> ");
    // A text that no guest was named for.
    console.press("so");
    console.until("so");
    two.say("again");
    console.until(": again\n");
    console.until("> so");
    console.press("\r");
    console.until("send \"so\" to guest 2?");
    console.until("To guest 2: ");
    console.press("/close\r");
    console.until("Not sent: “so”");
    console.until("> ");
    console.press("quit\r");
    console.ends_with(0);
    assert_eq!(two.text(), "q");
}

/// A search of the input history is left, and what it has found is not sent.
#[test]
fn guest_change_during_history_search_sends_nothing() {
    let machine = Machine::new();
    let (mut console, by_udp, _) = console_on_terminal(&machine, "en");
    console.until("> ");
    let one = UdpGuest::at(by_udp);
    one.say("hello");
    console.until("To guest 1: ");
    console.press("secret\r");
    assert_eq!(one.text(), "secret");
    console.until("> ");
    console.press("\x12sec");
    console.until("(reverse-i-search)`sec': secret");
    let two = UdpGuest::at(by_udp);
    two.say("hi");
    console.until("To guest 2: ");
    assert_eq!(two.expect_letter(QUIET), None);
    console.press("yes\r");
    assert_eq!(two.text(), "yes");
    console.until("> ");
    console.press("quit\r");
    console.ends_with(0);
}

/// Without an editor the line cannot be looked at before Enter.
#[test]
fn dumb_terminal_asks_about_guest_who_left() {
    let machine = Machine::new();
    let mut command =
        machine.command(&["relay", "--bind", "127.0.0.1:0", "--tcp", "--desk", "--data", "desk"]);
    command.env("TERM", "dumb");
    let mut console = Terminal::of(command);
    console.until("ready udp=");
    let by_udp = console.line_until(" tcp=").parse().unwrap();
    let by_tcp = console.line_until(" key=").parse().unwrap();
    console.until("> ");
    let mut one = TcpGuest::at(by_tcp);
    one.say("hello");
    console.until("\nTo guest 1: ");
    console.press("hello yourself\r");
    // The relay may have reported before that the desk has not signed in yet.
    while !one.text().ends_with("hello yourself") {}
    one.say("more");
    console.until(": more\n");
    console.until("To guest 1: ");
    let two = UdpGuest::at(by_udp);
    two.say("hi");
    console.until(": hi\n");
    console.until("To guest 1: ");
    console.press("for one");
    one.say("q");
    console.until("\nTo guest 2: ");
    console.press("\r");
    console.until("guest 1 has left; send \"for one\" to guest 2 instead?");
    console.until("To guest 2: ");
    console.press("hi two\r");
    console.until("Not sent: “for one”");
    assert_eq!(two.text(), "hi two");
    console.press("quit\r");
    console.ends_with(0);
}

/// No window answers guests there, so that no commands of one are listed.
#[test]
fn echo_server_says_what_it_does_and_how_it_ends() {
    let machine = Machine::new();
    for (lang, words) in [("en", "answers each guest with its own text"), ("zh", "以大写字母回复")] {
        let args = ["relay", "--bind", "127.0.0.1:0", "--guests", "echo", "--data", lang, "--lang", lang];
        let mut relay = Terminal::start(&machine, &args);
        relay.until("ready udp=");
        let by_udp = relay.line_until(" tcp=").parse().unwrap();
        relay.until(words);
        relay.until("Ctrl-C");
        let guest = UdpGuest::at(by_udp);
        guest.say("hello");
        assert_eq!(guest.text(), "HELLO");
        relay.signal(rustix::process::Signal::INT);
        relay.ends_with(0);
    }
}

#[test]
fn console_over_pipe_answers_longest_waiting_guest() {
    let machine = Machine::new();
    let mut relay = machine.relay(&["--tcp", "--desk", "--data", "desk", "--lang", "zh"]);
    assert!(relay.line.ends_with(" guests=DESK"), "{}", relay.line);
    relay.process.until_err("DESK");
    let one = UdpGuest::at(relay.udp);
    let two = UdpGuest::at(relay.udp);
    one.say("约不");
    let line = relay.process.out();
    assert_eq!(line, format!("来自[{}]的一条消息: 约不", one.0.local_addr().unwrap()));
    two.say("你好");
    relay.process.until_out("你好");
    one.say("?");
    relay.process.until_out("?");
    relay.process.write("不约\n您好\n没人\n");
    assert_eq!((one.text(), two.text()), ("不约".to_owned(), "您好".to_owned()));
    relay.process.until_err("没有访客在等待回复");
    relay.process.until_err("没人");
    let mut guest = TcpGuest::at(relay.tcp.unwrap());
    guest.say("hello");
    relay.process.until_out("hello");
    relay.process.write("q\n");
    assert_eq!(guest.rest(), "q");
    relay.process.write("quit\n");
    relay.process.end().with(0);
    let again = machine.relay(&["--desk=JACK", "--data", "desk"]);
    assert!(again.line.ends_with(" guests=JACK"), "{}", again.line);
    again.stop().with(130);
}

// faults.md: R81
/// As a service has it: standard input is `/dev/null`, or a pipe whose other end is closed.
#[test]
fn console_without_input_serves_until_terminated() {
    let machine = Machine::new();
    for input in ["null", "closed"] {
        let mut command =
            machine.command(&["relay", "--bind", "127.0.0.1:0", "--desk", "--data", input, "--lang", "zh"]);
        if input == "null" {
            command.stdin(std::process::Stdio::null());
        }
        let mut relay = machine.relay_from(command);
        if input == "closed" {
            relay.process.write_and_close(b"");
        }
        relay.process.until_err("没有输入");
        let guest = UdpGuest::at(relay.udp);
        guest.say("约不");
        assert!(relay.process.out().ends_with("约不"));
        relay.stop().with(0);
    }
}
