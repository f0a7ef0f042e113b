//! Datagrams.

use std::net::UdpSocket;

use super::*;

fn plain_socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn a_train_arrives_whole_and_in_separate_datagrams() {
    let (mut client, mut relay) = (End::client(), End::relay());
    let mut sent = numbered(200, 1200);
    sent.push(b"the last is shorter".to_vec());
    let path = relay.udp_path();
    client.send(path, &sent);
    assert_eq!(relay.packets_until(sent.len()), sent);
    let stats = client.net.stats();
    assert_eq!(stats.datagrams_out, 201);
    assert_eq!(relay.net.stats().datagrams_in, 201);
    #[cfg(target_os = "linux")]
    assert_eq!(stats.batches_out, 4, "three trains of 54 and one of 39");
}

#[test]
fn a_train_is_separate_datagrams_for_an_ordinary_socket_too() {
    let (mut client, peer) = (End::client(), plain_socket());
    let sent = numbered(60, 700);
    client.send(Path::Udp(peer.local_addr().unwrap()), &sent);
    let mut buffer = [0; 2000];
    for packet in &sent {
        let len = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], &packet[..]);
    }
}

#[test]
fn the_answer_goes_where_the_packet_came_from() {
    let (mut client, mut relay) = (End::client(), End::relay());
    let path = relay.udp_path();
    client.send(path, &[b"question".to_vec()]);
    let back = relay.path_of_a_packet();
    relay.send(back, &[b"answer".to_vec()]);
    assert_eq!(client.until(|_| true), Got::Packet(path, b"answer".to_vec()));
}

#[test]
fn one_packet_each_for_many_peers_leaves_in_few_calls_and_reaches_each() {
    let (mut relay, peers) = (End::relay(), Vec::from_iter((0..40).map(|_| plain_socket())));
    for (number, peer) in peers.iter().enumerate() {
        relay.out.send(Path::Udp(peer.local_addr().unwrap()), &[number as u8; 50]);
    }
    relay.carry_out();
    let mut buffer = [0; 100];
    for (number, peer) in peers.iter().enumerate() {
        assert_eq!(peer.recv(&mut buffer).unwrap(), 50);
        assert_eq!(buffer[..50], [number as u8; 50]);
    }
    assert_eq!(relay.net.stats().datagrams_out, 40);
    #[cfg(target_os = "linux")]
    assert_eq!(relay.net.stats().batches_out, 2);
}

/// Each peer takes nothing but what comes from the address it wrote to, singly, in a train or with others.
#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let mut relay = End::new(NetConfig::relay("0.0.0.0:0".parse().unwrap(), None));
    let port = relay.net.udp_addr().unwrap().port();
    let peers: Vec<_> = (0..40)
        .map(|n| {
            let peer = plain_socket();
            peer.connect(SocketAddr::from(([127, 0, 0, 5 + n / 20], port))).unwrap();
            peer.send(&[n; 50]).unwrap();
            peer
        })
        .collect();
    relay.packets_until(40);
    let path = |got: &Got| if let Got::Packet(path, _) = got { Some(*path) } else { None };
    let paths: Vec<_> = relay.got.iter().filter_map(path).collect();
    paths.iter().for_each(|path| relay.out.send(*path, &[7; 50]));
    relay.carry_out();
    let train: Vec<_> = (0..3).map(|n| vec![n; 1200]).collect();
    relay.send(paths[39], &train);
    let mut buffer = [0; 1500];
    for peer in &peers {
        assert_eq!(peer.recv(&mut buffer).unwrap(), 50);
    }
    for n in 0..3 {
        assert_eq!((peers[39].recv(&mut buffer).unwrap(), buffer[0]), (1200, n));
    }
    #[cfg(target_os = "linux")]
    assert_eq!(
        relay.net.stats().batches_out,
        3 + 1,
        "twenty from one address, eleven and eight from the other, a train"
    );
}

#[test]
fn what_can_be_no_packet_is_dropped_and_counted() {
    let (mut relay, peer) = (End::relay(), plain_socket());
    let addr = relay.net.udp_addr().unwrap();
    for len in [0, 1201, 2000, 65_507] {
        peer.send_to(&vec![0xFF; len], addr).unwrap();
    }
    peer.send_to(&[7; 1200], addr).unwrap();
    assert_eq!(relay.packets_until(1), [vec![7; 1200]]);
    assert_eq!(relay.net.stats().datagrams_misfit, 4);
}

/// The socket sends to itself, as a forged source would have it: nothing of it comes in.
#[test]
fn datagram_from_the_socket_itself_is_dropped_and_counted() {
    for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let (mut relay, peer) = (End::new(NetConfig::relay(bind.parse().unwrap(), None)), plain_socket());
        let own: SocketAddr = ([127, 0, 0, 1], relay.net.udp_addr().unwrap().port()).into();
        relay.send(Path::Udp(own), &[b"to myself".to_vec()]);
        peer.send_to(b"from a peer", own).unwrap();
        assert_eq!(relay.packets_until(1), [b"from a peer".to_vec()]);
        assert_eq!(relay.net.stats().datagrams_from_self, 1, "{bind}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_where_nothing_listens_is_told_and_others_do_not_suffer() {
    let (mut relay, peer) = (End::relay(), plain_socket());
    let gone = plain_socket().local_addr().unwrap();
    relay.send(Path::Udp(gone), &[b"anybody?".to_vec()]);
    relay.send(Path::Udp(peer.local_addr().unwrap()), &[b"hello".to_vec()]);
    assert_eq!(peer.recv(&mut [0; 10]).unwrap(), 5);
    let told = relay.until(|got| matches!(got, Got::Refused(..)));
    assert_eq!(told, Got::Refused(Path::Udp(gone), Why::Refused));
    assert_eq!(relay.net.stats().datagrams_out, 2);
    peer.send_to(b"still there", relay.net.udp_addr().unwrap()).unwrap();
    assert_eq!(relay.packets_until(1), [b"still there".to_vec()]);
}

#[test]
fn a_family_without_a_socket_is_unreachable() {
    let mut relay = End::relay();
    let path = Path::Udp("[2001:db8::1]:9".parse().unwrap());
    relay.send(path, &[b"x".to_vec()]);
    assert_eq!(relay.until(|_| true), Got::Refused(path, Why::Unreachable));
}

#[test]
fn a_socket_of_both_families_shows_and_takes_plain_ipv4() {
    let any = "[::]:0".parse().unwrap();
    let (mut relay, peer) = (End::new(NetConfig::relay(any, Some(any))), plain_socket());
    let addr: SocketAddr = ([127, 0, 0, 1], relay.net.udp_addr().unwrap().port()).into();
    peer.send_to(b"over four", addr).unwrap();
    let back = relay.path_of_a_packet();
    assert_eq!(back, Path::udp(peer.local_addr().unwrap(), Some(addr.ip())));
    relay.send(back, &numbered(3, 9));
    for packet in numbered(3, 9) {
        let mut buffer = [0; 20];
        assert_eq!(peer.recv_from(&mut buffer).unwrap(), (9, addr));
        assert_eq!(buffer[..9], packet);
    }
    let six = UdpSocket::bind("[::1]:0").unwrap();
    six.send_to(b"over six", ("::1", addr.port())).unwrap();
    let asked = "::1".parse().unwrap();
    let path = Path::udp(six.local_addr().unwrap(), Some(asked));
    relay.until(|got| *got == Got::Packet(path, b"over six".to_vec()));
    let stream = std::net::TcpStream::connect(("127.0.0.1", relay.net.tcp_addr().unwrap().port())).unwrap();
    assert_eq!(relay.opened().1, stream.local_addr().unwrap());
}

#[test]
fn two_relays_never_share_a_port() {
    let relay = End::relay();
    let addr = relay.net.udp_addr().unwrap();
    assert_eq!(relay.net.tcp_addr(), Some(addr), "port 0 is one port for both");
    let phrase = Net::<u32>::new(NetConfig::relay(addr, None)).unwrap_err();
    assert_eq!(phrase, Phrase::new("port-in-use").with("carrier", "udp").with("addr", addr));
}
