//! A relay and its console in one window.

use std::net::SocketAddr;

use crate::guests::{Tcp, Udp};
use crate::terminal::Terminal;
use crate::world::Home;

/// Returns a relay with a console on a terminal, and its addresses for UDP and TCP.
fn desk_on_a_terminal(home: &Home, lang: &str) -> (Terminal, SocketAddr, SocketAddr) {
    let args = ["relay", "--bind", "127.0.0.1:0", "--tcp", "--desk", "--data", "desk", "--lang", lang];
    let mut terminal = Terminal::start(home, &args);
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
    let home = Home::new();
    let (mut desk, by_udp, by_tcp) = desk_on_a_terminal(&home, "zh");
    desk.until("回复消息: ");
    let one = Udp::at(by_udp);
    let mut two = Tcp::at(by_tcp);
    one.say("约不");
    let first = format!("来自[{}]的一条消息: 约不", one.0.local_addr().unwrap());
    desk.until(&format!("{first}\n"));
    desk.until("回复消息: ");
    two.say("你好\x1b[2J");
    desk.until("你好\\u{1b}[2J\n");
    desk.press("不约\r");
    assert_eq!(one.text(), "不约");
    desk.press("您好\r");
    assert_eq!(two.text(), "您好");
    two.say("q");
    desk.until(&format!("[{}] 已离开\n", two.0.local_addr().unwrap()));
    desk.press("/who\r");
    desk.until("未认证,未加密\n");
    assert!(desk.raw.contains(&format!("\x1b[30;46m{first}\x1b[0m")), "{:?}", desk.raw);
    assert!(!desk.raw.contains("\x1b[2J"));
    desk.press("quit\r");
    desk.ends_with(0);
}

#[test]
fn console_on_terminal_in_english() {
    let home = Home::new();
    let (mut desk, by_udp, _) = desk_on_a_terminal(&home, "en");
    desk.until("Answer: ");
    let guest = Udp::at(by_udp);
    guest.say("hello");
    desk.until(&format!("A message from [{}]: hello\n", guest.0.local_addr().unwrap()));
    desk.until("Answer: ");
    desk.press("hello yourself\r");
    assert_eq!(guest.text(), "hello yourself");
    desk.press("anybody?\r");
    // The prompt may be redrawn between the two. Ctrl-C is a key only while a line is read.
    for shown in ["Nobody waits for an answer. Your text:\n", "anybody?\n", "Answer: "] {
        desk.until(shown);
    }
    desk.press("\u{3}");
    desk.ends_with(130);
}

#[test]
fn console_over_pipe_answers_longest_waiting_guest() {
    let home = Home::new();
    let mut relay = home.relay(&["--tcp", "--desk", "--data", "desk", "--lang", "zh"]);
    assert!(relay.line.ends_with(" guests=DESK"), "{}", relay.line);
    relay.running.until_err("DESK");
    let one = Udp::at(relay.udp);
    let two = Udp::at(relay.udp);
    one.say("约不");
    let line = relay.running.out();
    assert_eq!(line, format!("来自[{}]的一条消息: 约不", one.0.local_addr().unwrap()));
    two.say("你好");
    relay.running.until_out("你好");
    one.say("?");
    relay.running.until_out("?");
    relay.running.write("不约\n您好\n没人\n");
    assert_eq!((one.text(), two.text()), ("不约".to_owned(), "您好".to_owned()));
    relay.running.until_err("没有人在等回复");
    relay.running.until_err("没人");
    let mut visitor = Tcp::at(relay.tcp.unwrap());
    visitor.say("hello");
    relay.running.until_out("hello");
    relay.running.write("q\n");
    assert_eq!(visitor.rest(), "q");
    relay.running.write("quit\n");
    relay.running.end().with(0);
    let again = home.relay(&["--desk=JACK", "--data", "desk"]);
    assert!(again.line.ends_with(" guests=JACK"), "{}", again.line);
    again.stop().with(130);
}
