//! A relay and its console in one window.

use std::net::SocketAddr;

use crate::guests::{TcpGuest, UdpGuest};
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
    console.until("回复消息: ");
    let one = UdpGuest::at(by_udp);
    let mut two = TcpGuest::at(by_tcp);
    one.say("约不");
    let first = format!("来自[{}]的一条消息: 约不", one.0.local_addr().unwrap());
    console.until(&format!("{first}\n"));
    console.until("回复消息: ");
    two.say("你好\x1b[2J");
    console.until("你好\\u{1b}[2J\n");
    console.press("不约\r");
    assert_eq!(one.text(), "不约");
    console.press("您好\r");
    assert_eq!(two.text(), "您好");
    two.say("q");
    console.until(&format!("[{}] 已离开\n", two.0.local_addr().unwrap()));
    console.press("/who\r");
    console.until("未认证，未加密\n");
    assert!(console.raw.contains(&format!("\x1b[30;46m{first}\x1b[0m")), "{:?}", console.raw);
    assert!(!console.raw.contains("\x1b[2J"));
    console.press("quit\r");
    console.ends_with(0);
}

#[test]
fn console_on_terminal_in_english() {
    let machine = Machine::new();
    let (mut console, by_udp, _) = console_on_terminal(&machine, "en");
    console.until("Reply: ");
    let guest = UdpGuest::at(by_udp);
    guest.say("hello");
    console.until(&format!("Message from [{}]: hello\n", guest.0.local_addr().unwrap()));
    console.until("Reply: ");
    console.press("hello yourself\r");
    assert_eq!(guest.text(), "hello yourself");
    console.press("anybody?\r");
    // The prompt may be redrawn between the two. Ctrl-C is a key only while a line is read.
    for shown in ["No guest is waiting for a reply. Not sent:\n", "anybody?\n", "Reply: "] {
        console.until(shown);
    }
    console.press("\u{3}");
    console.ends_with(130);
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
