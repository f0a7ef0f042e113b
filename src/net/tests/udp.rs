//! Datagrams.

use std::net::UdpSocket;

use super::*;

fn plain_socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn gso_batch_arrives_whole_in_separate_datagrams() {
    let mut client = NetUnderTest::client();
    let mut relay = NetUnderTest::relay();
    let mut sent = numbered(200, 1200);
    sent.push(b"the last is shorter".to_vec());
    let path = relay.udp_path();
    client.send(path, &sent);
    assert_eq!(relay.packets_until(sent.len()), sent);
    let stats = client.net.stats();
    assert_eq!(stats.datagrams_out, 201);
    assert_eq!(relay.net.stats().datagrams_in, 201);
    #[cfg(target_os = "linux")]
    assert_eq!(stats.batches_out, 4, "three batches of 54 datagrams and one of 39");
}

#[test]
fn gso_batch_is_separate_datagrams_for_plain_socket() {
    let mut client = NetUnderTest::client();
    let peer = plain_socket();
    let sent = numbered(60, 700);
    client.send(Path::Udp(peer.local_addr().unwrap()), &sent);
    let mut buffer = [0; 2000];
    for packet in &sent {
        let len = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], &packet[..]);
    }
}

#[test]
fn reply_goes_to_source_of_packet() {
    let mut client = NetUnderTest::client();
    let mut relay = NetUnderTest::relay();
    let path = relay.udp_path();
    client.send(path, &[b"question".to_vec()]);
    let back = relay.path_of_a_packet();
    relay.send(back, &[b"answer".to_vec()]);
    assert_eq!(client.until(|_| true), SeenInput::Packet(path, b"answer".to_vec()));
}

#[test]
fn packets_for_many_peers_leave_in_few_calls() {
    let mut relay = NetUnderTest::relay();
    let peers = Vec::from_iter((0..40).map(|_| plain_socket()));
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

/// Each peer accepts only datagrams from the address it wrote to, whether sent singly, in a GSO
/// batch or with others.
#[test]
fn replies_leave_from_queried_address() {
    let mut relay = NetUnderTest::new(NetConfig::relay("0.0.0.0:0".parse().unwrap(), None));
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
    let path = |got: &SeenInput| if let SeenInput::Packet(path, _) = got { Some(*path) } else { None };
    let paths: Vec<_> = relay.seen.iter().filter_map(path).collect();
    paths.iter().for_each(|path| relay.out.send(*path, &[7; 50]));
    relay.carry_out();
    let gso: Vec<_> = (0..3).map(|n| vec![n; 1200]).collect();
    relay.send(paths[39], &gso);
    let mut buffer = [0; 1500];
    for peer in &peers {
        assert_eq!(peer.recv(&mut buffer).unwrap(), 50);
    }
    for n in 0..3 {
        assert_eq!(peers[39].recv(&mut buffer).unwrap(), 1200);
        assert_eq!(buffer[0], n);
    }
    #[cfg(target_os = "linux")]
    assert_eq!(
        relay.net.stats().batches_out,
        3 + 1,
        "twenty from one address, eleven and eight from the other, and a GSO batch"
    );
}

/// As for a relay at a host name with several addresses.
#[test]
fn replies_leave_from_socket_that_was_written_to() {
    let [first, second] = ["127.0.0.5:0", "127.0.0.6:0"].map(|addr| addr.parse().unwrap());
    let config = NetConfig { udp: vec![first, second], ..NetConfig::relay(first, None) };
    let mut relay = NetUnderTest::new(config);
    let peers: Vec<_> = (relay.net.udp_addrs().collect::<Vec<_>>().into_iter())
        .map(|addr| {
            let peer = plain_socket();
            peer.connect(addr).unwrap();
            peer.send(addr.ip().to_string().as_bytes()).unwrap();
            peer
        })
        .collect();
    relay.packets_until(2);
    for got in relay.seen.clone() {
        let SeenInput::Packet(path, bytes) = got else { continue };
        relay.send(path, &[bytes]);
    }
    let mut buffer = [0; 100];
    for (peer, ip) in peers.iter().zip(["127.0.0.5", "127.0.0.6"]) {
        let len = peer.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], ip.as_bytes());
    }
}

#[test]
fn datagram_of_invalid_length_is_dropped_and_counted() {
    let mut relay = NetUnderTest::relay();
    let peer = plain_socket();
    let addr = relay.net.udp_addr().unwrap();
    for len in [0, 1201, 2000, 65_507] {
        peer.send_to(&vec![0xFF; len], addr).unwrap();
    }
    peer.send_to(&[7; 1200], addr).unwrap();
    assert_eq!(relay.packets_until(1), [vec![7; 1200]]);
    assert_eq!(relay.net.stats().datagrams_misfit, 4);
}

/// The socket sends to itself, as a forged source address would appear. None of it reaches the
/// core.
#[test]
fn datagram_from_own_socket_is_dropped_and_counted() {
    for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let mut relay = NetUnderTest::new(NetConfig::relay(bind.parse().unwrap(), None));
        let peer = plain_socket();
        let own: SocketAddr = ([127, 0, 0, 1], relay.net.udp_addr().unwrap().port()).into();
        relay.send(Path::Udp(own), &[b"to myself".to_vec()]);
        peer.send_to(b"from a peer", own).unwrap();
        assert_eq!(relay.packets_until(1), [b"from a peer".to_vec()]);
        assert_eq!(relay.net.stats().datagrams_from_self, 1, "{bind}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn closed_port_is_reported_without_affecting_other_peers() {
    let mut relay = NetUnderTest::relay();
    let peer = plain_socket();
    let closed_addr = plain_socket().local_addr().unwrap();
    relay.send(Path::Udp(closed_addr), &[b"anybody?".to_vec()]);
    relay.send(Path::Udp(peer.local_addr().unwrap()), &[b"hello".to_vec()]);
    assert_eq!(peer.recv(&mut [0; 10]).unwrap(), 5);
    let refused = relay.until(|got| matches!(got, SeenInput::Refused(..)));
    assert_eq!(refused, SeenInput::Refused(Path::Udp(closed_addr), PathError::Refused));
    assert_eq!(relay.net.stats().datagrams_out, 2);
    peer.send_to(b"still there", relay.net.udp_addr().unwrap()).unwrap();
    assert_eq!(relay.packets_until(1), [b"still there".to_vec()]);
}

#[test]
fn address_family_without_socket_is_unreachable() {
    let mut relay = NetUnderTest::relay();
    let path = Path::Udp("[2001:db8::1]:9".parse().unwrap());
    relay.send(path, &[b"x".to_vec()]);
    assert_eq!(relay.until(|_| true), SeenInput::Refused(path, PathError::Unreachable));
}

#[test]
fn dual_stack_socket_uses_plain_ipv4_addresses() {
    let any = "[::]:0".parse().unwrap();
    let mut relay = NetUnderTest::new(NetConfig::relay(any, Some(any)));
    let peer = plain_socket();
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
    let local_ip = "::1".parse().unwrap();
    let path = Path::udp(six.local_addr().unwrap(), Some(local_ip));
    relay.until(|got| *got == SeenInput::Packet(path, b"over six".to_vec()));
    let stream = std::net::TcpStream::connect(("127.0.0.1", relay.net.tcp_addr().unwrap().port())).unwrap();
    assert_eq!(relay.opened().1, stream.local_addr().unwrap());
}

#[test]
fn two_relays_cannot_share_port() {
    let relay = NetUnderTest::relay();
    let addr = relay.net.udp_addr().unwrap();
    assert_eq!(relay.net.tcp_addr(), Some(addr), "port 0 is one port for both");
    let phrase = Net::<u32>::new(NetConfig::relay(addr, None)).unwrap_err();
    assert_eq!(phrase, Phrase::new("port-in-use").with("carrier", "udp").with("addr", addr));
}
