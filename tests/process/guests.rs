//! Guests that have no client, only a socket, as socket tutorials write them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use encoding_rs::GBK;

use crate::harness::{Machine, Process, Relay, SOON, relay_with_members, texts};

/// Time in which unwanted output would have come: longer than a pause, the greeting delay and a
/// turn of the relay.
pub const QUIET: Duration = Duration::from_millis(800);

/// Returns `guest-ADDRESS-PORT`, with `.` for `:`.
fn name_of(addr: SocketAddr) -> String {
    format!("guest-{}-{}", addr.ip(), addr.port()).replace(':', ".")
}

pub struct UdpGuest(pub UdpSocket);

impl UdpGuest {
    fn to(relay: &Relay) -> UdpGuest {
        UdpGuest::at(relay.udp)
    }

    pub fn at(relay: SocketAddr) -> UdpGuest {
        let socket = UdpSocket::bind((relay.ip(), 0)).unwrap();
        socket.connect(relay).unwrap();
        UdpGuest(socket)
    }

    pub fn name(&self) -> String {
        name_of(self.0.local_addr().unwrap())
    }

    pub fn say(&self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes.as_ref()).unwrap();
    }

    /// Sends this text and waits until the member gets it.
    fn sends_to(&self, member: &mut Process, text: &str) {
        self.say(text);
        expect_letter(member, &self.name(), text);
    }

    pub fn expect_letter(&self, within: Duration) -> Option<Vec<u8>> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut bytes = [0; 1024];
        self.0.recv(&mut bytes).ok().map(|len| bytes[..len].to_vec())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.expect_letter(4 * SOON).expect("an answer")).unwrap()
    }
}

pub struct TcpGuest(pub TcpStream);

impl TcpGuest {
    fn to(relay: &Relay) -> TcpGuest {
        TcpGuest::at(relay.tcp.unwrap())
    }

    pub fn at(relay: SocketAddr) -> TcpGuest {
        let stream = TcpStream::connect(relay).unwrap();
        stream.set_read_timeout(Some(4 * SOON)).unwrap();
        TcpGuest(stream)
    }

    pub fn name(&self) -> String {
        name_of(self.0.local_addr().unwrap())
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads at most 1,024 bytes, as such scripts do. Returns nothing at the end.
    pub fn hear(&mut self) -> Vec<u8> {
        let mut bytes = [0; 1024];
        let len = self.0.read(&mut bytes).unwrap();
        bytes[..len].to_vec()
    }

    pub fn text(&mut self) -> String {
        String::from_utf8(self.hear()).unwrap()
    }

    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

/// Returns a relay whose guests write to JACK, who is away.
fn closed_guest_relay(args: &[&str]) -> (Machine, Relay) {
    relay_with_members(&[&["--guests", "JACK"], args].concat(), &["TOM", "JACK"])
}

/// Returns a relay, also on TCP, whose guests write to JACK, who listens.
fn guest_relay(args: &[&str]) -> (Machine, Relay, Process) {
    let (machine, relay) = closed_guest_relay(&[&["--tcp"], args].concat());
    let jack = machine.listen("JACK", &[]);
    (machine, relay, jack)
}

/// Returns a relay whose guests write to JACK, who chats and can answer.
fn chatting_guest_relay(args: &[&str]) -> (Machine, Relay, Process) {
    let (machine, relay) = closed_guest_relay(args);
    let jack = machine.chat("JACK", &relay, &[]);
    (machine, relay, jack)
}

fn expect_letter(jack: &mut Process, from: &str, text: &str) {
    let line = jack.out();
    assert!(line.contains(from) && line.ends_with(&format!("] {text}")), "{line}");
}

#[test]
fn ready_line_names_guest_member() {
    let (_machine, relay) = closed_guest_relay(&[]);
    assert!(relay.line.ends_with(" guests=JACK"), "{}", relay.line);
}

#[test]
fn udp_guests_are_answered_at_their_addresses() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&[]);
    let one = UdpGuest::to(&relay);
    let two = UdpGuest::to(&relay);
    one.say("你好");
    jack.until_out("你好");
    two.say(GBK.encode("约不").0);
    jack.until_out("约不");
    jack.write(&format!("{}\n不约\nquit\n{}\n也好\n", two.name(), one.name()));
    assert_eq!(GBK.decode(&two.expect_letter(4 * SOON).unwrap()).0, "不约");
    assert_eq!(one.text(), "也好");
    assert_eq!(
        (one.expect_letter(QUIET), two.expect_letter(Duration::from_millis(1))),
        (None, None),
        "answers never cross"
    );
}

// faults.md: R11
#[test]
fn answers_run_3_datagrams_ahead_and_polls_fetch_more() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&[]);
    let guest = UdpGuest::to(&relay);
    guest.say("hello");
    jack.until_out("hello");
    let text = "长".repeat(2_000);
    jack.write(&format!("{}\n{text}\n", guest.name()));
    let mut got: Vec<Vec<u8>> = (0..4).map(|_| guest.expect_letter(4 * SOON).unwrap()).collect();
    assert_eq!(guest.expect_letter(QUIET), None, "one earned and three ahead");
    while got.iter().map(Vec::len).sum::<usize>() < text.len() {
        guest.say("");
        got.push(guest.expect_letter(4 * SOON).unwrap());
    }
    assert!(got.iter().all(|piece| piece.len() <= 1_024 && std::str::from_utf8(piece).is_ok()));
    assert_eq!(String::from_utf8(got.concat()).unwrap(), text);
    guest.say("");
    assert_eq!(guest.expect_letter(QUIET), None);
}

#[test]
fn echo_serves_plain_text_over_udp_and_tcp() {
    let (_machine, relay) = relay_with_members(&["--tcp", "--guests", "echo"], &[]);
    let clients: Vec<UdpGuest> = (0..20).map(|_| UdpGuest::to(&relay)).collect();
    for (n, client) in clients.iter().enumerate() {
        client.say(format!("client {n} 中文"));
    }
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(client.text(), format!("CLIENT {n} 中文"));
    }
    clients[0].say("123");
    assert_eq!(clients[0].text(), "123");
    // 丂 is 0x8140 and 乤 0x8161 in GBK: the second byte of each is an ASCII character.
    let gbk = GBK.encode("丂乤abc").0.into_owned();
    clients[0].say(&gbk);
    assert_eq!(GBK.decode(&clients[0].expect_letter(4 * SOON).unwrap()).0, "丂乤ABC");
    let mut once = TcpGuest::to(&relay);
    once.say("hello,server");
    assert_eq!(once.text(), "HELLO,SERVER");
    once.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(once.rest(), "");
}

#[test]
fn tcp_guest_and_member_talk_until_either_sends_q() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&["--tcp"]);
    let mut guest = TcpGuest::to(&relay);
    guest.say("在吗");
    jack.until_out("在吗");
    jack.write(&format!("{}\n在\n", guest.name()));
    assert_eq!(guest.text(), "在");
    guest.say("有货吗");
    jack.until_out("有货吗");
    jack.write("有\n");
    assert_eq!(guest.text(), "有");
    guest.say("q");
    assert_eq!(guest.text(), "q");
    assert_eq!(guest.hear(), b"", "the relay closes");
    jack.until_out(&format!("[{}] has left", guest.name()));

    let mut guest = TcpGuest::to(&relay);
    guest.say("again\r\nand again\n");
    jack.until_out(": again");
    jack.until_out("and again");
    jack.write(&format!("quit\n{}\nq\n", guest.name()));
    assert_eq!(guest.rest(), "q\n", "it uses newlines");
}

#[test]
fn quit_and_exit_close_silently_and_member_closes_with_q() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&["--tcp"]);
    for word in ["quit", "exit\n", "quit\r\n"] {
        let mut guest = TcpGuest::to(&relay);
        guest.say("hello\n");
        jack.until_out("hello");
        guest.say(word);
        assert_eq!(guest.hear(), b"", "{word:?}");
        jack.until_out(&format!("[{}] has left", guest.name()));
    }
    let mut guest = TcpGuest::to(&relay);
    guest.say("quit it? exit? q!\n");
    jack.until_out("quit it? exit? q!");
    jack.write(&format!("{}\n/close\n", guest.name()));
    assert_eq!(guest.rest(), "q\n");
}

#[test]
fn letter_to_guest_is_accepted_and_never_delivered() {
    let (machine, relay, mut jack) = guest_relay(&[]);
    let guest = UdpGuest::to(&relay);
    guest.sends_to(&mut jack, "hello");
    let to = format!("{}@{}", guest.name(), relay.udp);
    let sent = machine.run(&["send", "--as", "TOM", "--wait", "delivered", "--timeout", "3600s", &to, "hi"]);
    let sent = sent.with(75);
    assert!(sent.out.len() == 1 && sent.out[0].starts_with("accepted "), "{:?}", sent.out);
    assert!(
        matches!(sent.notices()[..], [line] if line.contains("guests send no receipts")),
        "{:?}",
        sent.err
    );
    assert_eq!(guest.text(), "hi");
    machine.run(&["send", "--as", "TOM", "--wait", "accepted", &to, "again"]).with(0);
    assert_eq!(guest.text(), "again");
}

#[test]
fn many_lines_to_gone_guest_block_no_other_letter() {
    let (machine, relay, mut jack) = guest_relay(&[]);
    let guest = TcpGuest::to(&relay);
    let name = guest.name();
    machine.register("TOM");
    guest.0.try_clone().unwrap().write_all(b"hello\nquit\n").unwrap();
    expect_letter(&mut jack, &name, "hello");
    jack.until_out("[left]");
    let to = format!("{name}@{}", relay.udp);
    let lines: Vec<String> = (0..1_500).map(|number| format!("line {number}")).collect();
    let mut start_send = machine.start(&["send", "--as", "JACK", "--lines", &to]);
    start_send.write_and_close(format!("{}\n", lines.join("\n")).as_bytes());
    machine.run(&["send", "--as", "JACK", "TOM", "hello"]).with(0);
    let exited = start_send.end().with(1);
    let back: Vec<&String> = exited.err.iter().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(back, lines.iter().collect::<Vec<_>>(), "each text once, in order");
}

#[test]
fn guest_over_limit_is_closed_on_tcp_and_served_on_udp() {
    let (_machine, relay, mut jack) = guest_relay(&["--guest-limit", "2"]);
    let one = UdpGuest::to(&relay);
    let mut two = TcpGuest::to(&relay);
    let mut three = TcpGuest::to(&relay);
    one.sends_to(&mut jack, "one");
    one.sends_to(&mut jack, "one again");
    two.say("two\n");
    expect_letter(&mut jack, &two.name(), "two");
    three.say("three\n");
    expect_letter(&mut jack, &three.name(), "three");
    let mut four = TcpGuest::to(&relay);
    let five = UdpGuest::to(&relay);
    four.say("four\n");
    assert!(four.rest().contains("try again later"));
    five.sends_to(&mut jack, "five");
    one.sends_to(&mut jack, "one once more");
    two.say("exit\n");
    assert_eq!(two.rest(), "");
    assert!(jack.out().ends_with(&format!(" {} [left]", two.name())));
    let mut six = TcpGuest::to(&relay);
    six.say("six\n");
    expect_letter(&mut jack, &six.name(), "six");
}

/// 2,000 sockets of this machine write one text each. One more guest on each carrier is answered.
#[test]
fn flood_of_addresses_excludes_no_guest() {
    let (machine, relay, mut jack) = guest_relay(&[]);
    for _ in 0..20 {
        let sockets: Vec<UdpGuest> = (0..100).map(|_| UdpGuest::to(&relay)).collect();
        sockets.iter().for_each(|socket| socket.say("x"));
    }
    let udp = UdpGuest::to(&relay);
    let mut tcp = TcpGuest::to(&relay);
    tcp.say("by tcp\n");
    while !jack.out().ends_with(" by tcp") {}
    while {
        udp.say("by udp");
        !jack.out().ends_with(" by udp")
    } {}
    machine.run(&["send", "--as", "TOM", &format!("{}@{}", udp.name(), relay.udp), "re"]).with(0);
    assert_eq!(udp.text(), "re");
}

#[test]
fn megabyte_without_pause_becomes_bounded_letters() {
    let (_machine, relay, mut jack) = guest_relay(&["--guest-encoding", "utf-8"]);
    let mut guest = TcpGuest::to(&relay);
    let text = "好".repeat((1 << 20) / 3);
    guest.say(&text);
    guest.0.shutdown(Shutdown::Write).unwrap();
    let mut came = String::new();
    let mark = format!(" {} [udp] ", guest.name());
    loop {
        let line = jack.out();
        match line.split_once(&mark) {
            Some((_, piece)) => {
                assert!(piece.len() <= 4_096);
                came.push_str(piece);
            }
            None => break assert!(line.ends_with("[ended]"), "{line}"),
        }
    }
    assert!(came == text, "{} of {} bytes", came.len(), text.len());
}

#[test]
fn ipv6_guest_has_name_with_dots_and_is_answered() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&["--bind", "[::1]:0", "--tcp"]);
    let udp = UdpGuest::to(&relay);
    let mut tcp = TcpGuest::to(&relay);
    assert!(udp.name().starts_with("guest-..1-"), "{}", udp.name());
    udp.say("by udp");
    jack.until_out("by udp");
    tcp.say("by tcp");
    jack.until_out("by tcp");
    jack.write(&format!("{}\nto udp\nquit\n{}\nto tcp\n/who\n", udp.name(), tcp.name()));
    assert_eq!((udp.text(), tcp.text()), ("to udp".to_owned(), "to tcp".to_owned()));
    jack.until_err(&format!("at {}, last message", udp.0.local_addr().unwrap()));
}

#[test]
fn relay_greets_first_and_exit_closes_silently() {
    let (_machine, relay, mut jack) = guest_relay(&["--guest-greeting", "welcome"]);
    let mut guest = TcpGuest::to(&relay);
    assert_eq!(guest.text(), "welcome");
    guest.say("hello");
    expect_letter(&mut jack, &guest.name(), "hello");
    guest.say("exit");
    assert_eq!(guest.hear(), b"");
    assert!(jack.out().ends_with(&format!(" {} [left]", guest.name())));
}

#[test]
fn text_before_half_close_is_delivered_and_answered() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&["--tcp"]);
    let mut guest = TcpGuest::to(&relay);
    guest.say("hi");
    guest.0.shutdown(Shutdown::Write).unwrap();
    jack.until_out("hi");
    jack.until_out("has finished sending");
    jack.write(&format!("{}\nhi yourself\nq\n", guest.name()));
    assert_eq!(guest.rest(), "hi yourselfq");
}

#[test]
fn mailbox_keeps_guest_letters_and_tcp_guest_gets_notice() {
    let (machine, relay, jack) = guest_relay(&[]);
    jack.terminate().with(130);
    let udp = UdpGuest::to(&relay);
    let mut tcp = TcpGuest::to(&relay);
    udp.say("one");
    assert_eq!(udp.expect_letter(QUIET), None, "plain text proves no address");
    tcp.say("two\n");
    assert!(tcp.text().starts_with("JACK is away"));
    tcp.say("three\n");
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "3"]).with(0);
    assert_eq!(texts(&jack.out), ["one", "two", "three"]);
    tcp.say("exit\n");
    assert_eq!(tcp.rest(), "");
}

#[test]
fn guest_may_name_other_member_only_if_allowed() {
    let (_machine, relay, mut jack) = guest_relay(&[]);
    let guest = UdpGuest::to(&relay);
    guest.sends_to(&mut jack, "@TOM hello");
    guest.say("@echo hello");
    assert_eq!(guest.text(), "HELLO");
    let (machine, relay) = closed_guest_relay(&["--guest-anyone"]);
    let mut tom = machine.listen("TOM", &[]);
    let guest = UdpGuest::to(&relay);
    guest.say("@TOM hello");
    expect_letter(&mut tom, &guest.name(), "hello");
}

/// The tutorial client asks for a name, and each name means the relay. It sends lines there until
/// `quit` and asks again.
#[test]
fn plain_udp_client_with_four_names_reaches_relay() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&[]);
    let socket = UdpGuest::to(&relay);
    let script = ["TOM", "hello", "quit", "武大郎", "约不", "quit", "quit"];
    let mut chosen = None;
    let mut answers = Vec::new();
    for typed in script {
        match (chosen, typed) {
            (None, "quit") => break,
            (None, name) => {
                chosen = ["TOM", "JACK", "一棵树", "武大郎"].into_iter().find(|known| *known == name)
            }
            (Some(_), "quit") => chosen = None,
            (Some(_), text) => {
                socket.say(text);
                jack.until_out(text);
                jack.write(&format!("{}\nre: {text}\nquit\n", socket.name()));
                answers.push(socket.text());
            }
        }
    }
    assert_eq!(answers, ["re: hello", "re: 约不"]);
}

#[test]
fn gbk_is_used_both_ways_on_connection() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&["--tcp", "--guest-encoding", "gbk"]);
    let mut guest = TcpGuest::to(&relay);
    let bytes = GBK.encode("一棵树在吗").0.into_owned();
    guest.say(&bytes[..3]);
    guest.say(&bytes[3..]);
    jack.until_out("一棵树在吗");
    jack.write(&format!("{}\n在的\n", guest.name()));
    assert_eq!(GBK.decode(&guest.hear()).0, "在的");
}

#[test]
fn guests_are_listed_as_unauthenticated() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&[]);
    let guest = UdpGuest::to(&relay);
    guest.say("hello");
    jack.until_out("hello");
    jack.write("/who\n");
    let line = jack.until_err(&format!("guest {}", guest.name()));
    let address = guest.0.local_addr().unwrap().to_string();
    assert!(line.contains(&address) && line.ends_with("not authenticated, not encrypted"), "{line}");
    jack.write(&format!("{}\nhi\n/receipts on\nagain\n", guest.name()));
    assert_eq!([guest.text(), guest.text()], ["hi", "again"]);
    jack.until_err("accepted by the relay");
}

// faults.md: R47
#[test]
fn members_and_guests_share_ports_and_escapes_are_shown() {
    let (machine, relay, mut jack) = guest_relay(&[]);
    let mut tom = machine.chat("TOM", &relay, &["--tcp"]);
    let mut guest = TcpGuest::to(&relay);
    guest.say(b"\x1b[2Jred\x07\n\xe4");
    tom.write("JACK\nhello\n");
    let mut guests = Vec::new();
    let mut members = 0;
    while guests.len() < 2 || members < 1 {
        let line = jack.out();
        assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        if line.contains(" TOM ") { members += 1 } else { guests.push(line) }
    }
    assert!(guests[0].contains("red") && guests[1].ends_with('\u{fffd}'), "{guests:?}");
}

#[test]
fn wrong_guest_options_are_refused_in_one_line() {
    let machine = Machine::new();
    let relay = |args: &[&str]| machine.run(&[&["relay", "--bind", "127.0.0.1:0"], args].concat()).with(2);
    assert!(relay(&["--guests", "a b"]).notices()[0].contains("space"));
    relay(&["--guest-anyone"]);
    relay(&["--guests", "JACK", "--guest-greeting", &"x".repeat(1_025)]);
    relay(&["--guests", "JACK", "--guest-encoding", "latin1"]);
}

// faults.md: R85
/// Classic telnet clients begin with commands.
#[test]
fn telnet_guest_is_understood() {
    let (_machine, relay, mut jack) = guest_relay(&[]);
    let mut guest = TcpGuest::to(&relay);
    guest.say(b"\xff\xfb\x1f\xff\xfd\x03\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0");
    guest.say(b"hello\r\n");
    expect_letter(&mut jack, &guest.name(), "hello");
    guest.say("再见\r\n");
    expect_letter(&mut jack, &guest.name(), "再见");
}

#[test]
fn guest_that_writes_utf16_is_answered_in_utf16() {
    let (_machine, relay, mut jack) = chatting_guest_relay(&["--tcp"]);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let written = [&[0xff, 0xfe][..], &utf16("你好, hi\n")].concat();
    let udp = UdpGuest::to(&relay);
    udp.say(&written);
    jack.until_out("你好, hi");
    let mut tcp = TcpGuest::to(&relay);
    tcp.say(&written);
    jack.until_out("你好, hi");
    jack.write(&format!("{}\n收到\nquit\n{}\n收到\n", udp.name(), tcp.name()));
    assert_eq!(udp.expect_letter(4 * SOON).unwrap(), utf16("收到\n"));
    assert_eq!(tcp.hear(), utf16("收到\n"));
}

#[test]
fn long_datagram_of_guest_becomes_several_letters() {
    let (_machine, relay, mut jack) = guest_relay(&[]);
    let guest = UdpGuest::to(&relay);
    let text = "约不".repeat(10_000);
    guest.say(&text);
    let mut all = String::new();
    while all.len() < text.len() {
        let line = jack.out();
        assert!(line.contains(&guest.name()), "{line}");
        all.push_str(line.split_once("] ").unwrap().1);
    }
    assert_eq!(all, text);
}

// faults.md: R84
/// Browsers and scanners meet an open port.
#[test]
fn other_protocols_do_not_reach_member() {
    let (_machine, relay, mut jack) = guest_relay(&[]);
    let mut browser = TcpGuest::to(&relay);
    browser.say("GET / HTTP/1.1\r\nHost: chat.example.org\r\nAccept: */*\r\n\r\n");
    let answer = browser.rest();
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("not a website"),
        "{answer}"
    );
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and a host name\n";
    for bytes in [&hello[..], b"\x05\x01\x00", b"SSH-2.0-OpenSSH_9.6\r\n", b"OPTIONS sip:nm SIP/2.0\r\n\r\n"]
    {
        let mut scanner = TcpGuest::to(&relay);
        scanner.say(bytes);
        assert_eq!(scanner.rest(), "", "{bytes:?}");
    }
    let udp = UdpGuest::to(&relay);
    udp.say("OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/UDP nm\r\n\r\n");
    udp.say(hello);
    let mut guest = TcpGuest::to(&relay);
    guest.say("what does GET / HTTP/1.1 mean?\n");
    expect_letter(&mut jack, &guest.name(), "what does GET / HTTP/1.1 mean?");
    assert!(relay.stop().with(0).err.join("\n").contains("guests-refused=7"));
}
