//! A relay bound to every address of its machine, addressed at one that the system would not answer
//! from.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use crate::guests::UdpGuest;
use crate::harness::{Machine, UdpProxy};

/// Returns a socket at 127.0.0.1 that receives only from this address.
fn guest_of(asked: SocketAddr) -> UdpGuest {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(asked).unwrap();
    UdpGuest(socket)
}

/// Returns bind addresses for IPv4 alone and for both. A machine may have no IPv6.
fn binds() -> Vec<&'static str> {
    let has_ipv6 = UdpSocket::bind("[::1]:0").is_ok();
    ["0.0.0.0:0", "[::]:0"].into_iter().filter(|bind| has_ipv6 || !bind.starts_with('[')).collect()
}

#[test]
fn guest_is_answered_from_address_it_wrote_to() {
    for bind in binds() {
        let machine = Machine::new();
        let relay = machine.relay(&["--bind", bind, "--guests", "JACK"]);
        let port = relay.udp.port();
        let at = |ip: [u8; 4]| SocketAddr::from((ip, port));
        machine.book(&["JACK"], at([127, 0, 0, 1]));
        let mut jack = machine.listen("JACK", &[]);
        for ip in [[127, 0, 0, 5], [127, 0, 0, 1], [127, 9, 9, 9]] {
            let guest = guest_of(at(ip));
            guest.say("@echo hello");
            assert_eq!(guest.text(), "HELLO", "{bind}, {ip:?}");
            guest.say("is anybody there?");
            jack.until_out("is anybody there?");
            let to = format!("{}@{}", guest.name(), at([127, 0, 0, 1]));
            machine.run(&["send", "--as", "JACK", &to, "an answer"]).with(0);
            assert_eq!(guest.text(), "an answer", "{bind}, {ip:?}");
        }
        jack.terminate();
    }
}

/// The proxy receives nothing from other addresses. Long messages leave in GSO batches.
#[test]
fn member_is_answered_from_address_it_wrote_to() {
    for bind in binds() {
        let machine = Machine::new();
        let relay = machine.relay(&["--bind", bind]);
        let proxy = UdpProxy::open(SocketAddr::from(([127, 0, 0, 5], relay.udp.port())));
        let echo = format!("echo@{}", proxy.addr);
        for text in ["short".to_owned(), "long ".repeat(4_000)] {
            let args = ["send", "--as", "TOM", "--udp", "--reply", "10s", &echo, &text];
            let sent = machine.run(&args).with(0);
            assert!(sent.out[1].contains(text.to_uppercase().trim_end()), "{bind}: {sent:?}");
        }
        proxy.change_address();
        machine.run(&["send", "--as", "TOM", "--udp", "--wait", "delivered", &echo, "moved"]).with(0);
    }
}

/// The other address of the name accepts connections and datagrams and never answers. A machine may
/// resolve `localhost` to one address only.
#[test]
fn relay_is_reached_if_another_address_of_its_name_is_silent() {
    let is_ipv6 = |addr: SocketAddr| addr.ip() == Ipv6Addr::LOCALHOST;
    if !("localhost", 1).to_socket_addrs().is_ok_and(|mut all| all.any(is_ipv6)) {
        return;
    }
    let machine = Machine::new();
    let relay = machine.relay(&["--tcp"]);
    let tcp_port = relay.tcp.expect("it serves TCP").port();
    let silent_udp = UdpSocket::bind((Ipv6Addr::LOCALHOST, relay.udp.port())).unwrap();
    let silent_tcp = TcpListener::bind((Ipv6Addr::LOCALHOST, tcp_port)).unwrap();
    for (carrier, port) in [("--udp", relay.udp.port()), ("--tcp", tcp_port)] {
        let echo = format!("echo@localhost:{port}");
        machine.run(&["send", "--as", "TOM", carrier, "--wait", "delivered", &echo, "hello"]).with(0);
    }
    drop((silent_udp, silent_tcp));
}

/// Returns a link-local address of this machine with its zone, if it has one.
fn link_local() -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    let line = table.lines().find(|line| line.starts_with("fe80"))?;
    let mut words = line.split_ascii_whitespace();
    let ip = Ipv6Addr::from(u128::from_str_radix(words.next()?, 16).ok()?);
    Some(format!("{ip}%{}", words.next_back()?))
}

#[test]
fn link_local_address_with_zone_is_served() {
    let Some(host) = link_local() else { return };
    let machine = Machine::new();
    let relay = machine.relay(&["--bind", "[::]:0", "--tcp"]);
    let address = format!("[{host}]:{}", relay.udp.port());
    machine.book(&["JACK"], &address);
    machine.run(&["contacts", "check"]).with(0);
    let mut jack = machine.listen("JACK", &[]);
    for carrier in ["--udp", "--tcp"] {
        let text = format!("hello {carrier}");
        let sent = machine.run(&["send", "--as", "TOM", carrier, "JACK", &text]);
        sent.result();
        assert!(jack.out().ends_with(&text), "{text}");
    }
}
