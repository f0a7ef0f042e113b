//! Connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::wire::limits::{MAGIC, TCP_PACKET_MAX, TCP_QUEUE_MAX};
use crate::wire::record::frame_record;

const ID: ConnId = ConnId(7);
const PATH: Path = Path::Tcp(ID);

/// Opens a plain TCP connection to a relay.
fn raw(relay: &NetUnderTest) -> TcpStream {
    let stream = TcpStream::connect(relay.net.tcp_addr().unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Returns a client and a relay with an open connection, and the relay's path.
fn joined() -> (NetUnderTest, NetUnderTest, Path) {
    let mut client = NetUnderTest::client();
    let mut relay = NetUnderTest::relay();
    let addr = relay.net.tcp_addr().unwrap();
    client.act(Effect::OpenTcp(ID, addr));
    assert_eq!(client.opened(), (PATH, addr));
    let (path, _) = relay.opened();
    (client, relay, path)
}

fn stream_of(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = vec![MAGIC];
    packets.iter().for_each(|packet| frame_record(packet, &mut stream));
    stream
}

#[test]
fn packets_arrive_whole_and_in_order_both_ways() {
    let (mut client, mut relay, path) = joined();
    let mut sent = numbered(60, 1200);
    sent.push(vec![9; TCP_PACKET_MAX]);
    client.send(PATH, &sent);
    assert_eq!(relay.packets_until(61), sent);
    relay.send(path, &sent);
    assert_eq!(client.packets_until(61), sent);
    let stats = relay.net.stats();
    assert_eq!(stats.accepted, 1);
    assert_eq!(stats.records_in, 61);
    assert_eq!(stats.records_out, 61);
}

#[test]
fn held_records_leave_on_release() {
    let (mut client, mut relay, path) = joined();
    relay.net.hold();
    relay.send(path, &[b"later".to_vec()]);
    client.turn();
    assert_eq!(client.packets(), Vec::<Vec<u8>>::new());
    relay.net.release();
    assert_eq!(client.packets_until(1), [b"later".to_vec()]);
}

#[test]
fn packets_queued_while_opening_leave_once_open() {
    let mut client = NetUnderTest::client();
    let mut relay = NetUnderTest::relay();
    client.out.effects.push(Effect::OpenTcp(ID, relay.net.tcp_addr().unwrap()));
    client.send(PATH, &[b"early".to_vec()]);
    client.opened();
    assert_eq!(relay.packets_until(1), [b"early".to_vec()]);
}

// faults.md: R40
#[test]
fn single_bytes_and_60_records_at_once_are_equivalent() {
    let mut relay = NetUnderTest::relay();
    let sent = numbered(60, 9);
    let mut slow = raw(&relay);
    for byte in stream_of(&sent) {
        slow.write_all(&[byte]).unwrap();
        relay.turn();
    }
    assert_eq!(relay.packets_until(60), sent);
    relay.seen.clear();
    raw(&relay).write_all(&stream_of(&sent)).unwrap();
    assert_eq!(relay.packets_until(60), sent);
}

#[test]
fn relay_sends_nothing_before_magic_byte() {
    let mut relay = NetUnderTest::relay();
    let mut stream = raw(&relay);
    let (path, _) = relay.opened();
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    stream.write_all(&stream_of(&[b"hi".to_vec()])).unwrap();
    relay.packets_until(1);
    relay.send(path, &[b"ho".to_vec()]);
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [MAGIC, 0, 2, b'h', b'o']);
}

#[test]
fn other_protocols_are_closed_without_reply() {
    for greeting in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00", b"SSH-2.0-OpenSSH\r\n", b"\x05\x01\x00"]
    {
        let mut relay = NetUnderTest::relay();
        let mut stream = raw(&relay);
        stream.write_all(greeting).unwrap();
        assert_eq!(relay.closed().1, PathError::Framing);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(relay.net.stats().framing_errors, 1);
    }
}

#[test]
fn invalid_length_closes_connection_after_earlier_packets() {
    for header in [[0, 0], [0x40, 1], [0xFF, 0xFF]] {
        let mut relay = NetUnderTest::relay();
        let mut stream = raw(&relay);
        let mut bytes = stream_of(&[b"good".to_vec()]);
        bytes.extend_from_slice(&header);
        stream.write_all(&bytes).unwrap();
        assert_eq!(relay.closed().1, PathError::Framing);
        assert_eq!(relay.packets(), [b"good".to_vec()]);
    }
}

#[test]
fn clean_close_is_reported_after_last_packet() {
    let mut relay = NetUnderTest::relay();
    let mut stream = raw(&relay);
    stream.write_all(&stream_of(&numbered(3, 5))).unwrap();
    stream.write_all(&[0, 9, 1, 2]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(relay.closed().1, PathError::Closed);
    assert_eq!(relay.packets(), numbered(3, 5));
}

#[test]
fn reset_is_reported_as_reset() {
    let mut relay = NetUnderTest::relay();
    let stream = raw(&relay);
    let (path, _) = relay.opened();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(relay.closed(), (path, PathError::Reset));
}

#[test]
fn close_follows_last_packet_and_is_not_reported_back() {
    let (mut client, mut relay, path) = joined();
    relay.out.send(path, b"farewell");
    relay.act(Effect::Close(path));
    assert_eq!(client.closed(), (PATH, PathError::Closed));
    assert_eq!(client.packets(), [b"farewell".to_vec()]);
    relay.send(path, &[b"into the void".to_vec()]);
    relay.turn();
    assert!(!relay.seen.iter().any(|got| matches!(got, SeenInput::Closed(..))));
}

#[test]
fn close_is_not_reset_while_peer_is_sending() {
    let mut relay = NetUnderTest::relay();
    let mut stream = raw(&relay);
    let (path, _) = relay.opened();
    stream.write_all(&stream_of(&numbered(5, 100))).unwrap();
    relay.act(Effect::Close(path));
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("the connection closes cleanly");
}

// faults.md: R41
#[test]
fn peer_that_never_reads_is_closed_as_stuck() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = NetUnderTest::client();
    client.act(Effect::OpenTcp(ID, listener.local_addr().unwrap()));
    let (_peer, _) = listener.accept().unwrap();
    client.opened();
    let largest_report = |end: &NetUnderTest| {
        let unsent = |got: &SeenInput| if let SeenInput::Unsent(_, len) = got { *len } else { 0 };
        end.seen.iter().map(unsent).max().unwrap_or(0)
    };
    while client.net.stats().stuck == 0 {
        client.send(PATH, &[vec![1; TCP_PACKET_MAX]]);
        client.turn();
        assert!(largest_report(&client) <= TCP_QUEUE_MAX);
    }
    assert_eq!(client.closed(), (PATH, PathError::Stuck));
    assert!(largest_report(&client) > TCP_QUEUE_MAX / 2, "growth of the queue was reported to the core");
}

#[test]
fn reported_queue_falls_to_zero_when_late_reader_reads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = NetUnderTest::client();
    client.act(Effect::OpenTcp(ID, listener.local_addr().unwrap()));
    let (mut peer, _) = listener.accept().unwrap();
    client.opened();
    let last_report = |end: &NetUnderTest| {
        end.seen.iter().rev().find_map(|got| match got {
            SeenInput::Unsent(_, len) => Some(*len),
            _ => None,
        })
    };
    let mut sent = 0;
    while last_report(&client).unwrap_or(0) < TCP_QUEUE_MAX / 2 {
        client.send(PATH, &[vec![1; TCP_PACKET_MAX]]);
        client.turn();
        sent += 2 + TCP_PACKET_MAX;
    }
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 1 + sent];
        peer.read_exact(&mut all).map(|()| peer)
    });
    client.turn_until(|end| (last_report(end) == Some(0)).then_some(()));
    reader.join().unwrap().unwrap();
}

#[test]
fn closed_port_refuses_connection() {
    let closed_addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = NetUnderTest::client();
    client.act(Effect::OpenTcp(ID, closed_addr));
    assert_eq!(client.closed(), (PATH, PathError::Refused));
    assert_eq!(client.seen.len(), 1);
}

#[test]
fn connections_beyond_limit_are_closed_on_arrival() {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut relay = NetUnderTest::new(NetConfig { connections_max: 2, ..NetConfig::relay(any, Some(any)) });
    let mut streams = Vec::from_iter((0..3).map(|_| raw(&relay)));
    relay.turn_until(|end| (end.net.stats().accepts_refused == 1).then_some(()));
    assert_eq!(streams[2].read(&mut [0]).unwrap(), 0);
    drop(streams.remove(0));
    relay.closed();
    let opened =
        |end: &NetUnderTest| end.seen.iter().filter(|got| matches!(got, SeenInput::Opened(..))).count();
    let _another = raw(&relay);
    relay.turn_until(|end| (opened(end) == 3).then_some(()));
    let ids = relay
        .seen
        .iter()
        .filter_map(|got| if let SeenInput::Opened(path, _) = got { Some(*path) } else { None });
    assert_eq!(Vec::from_iter(ids), [1, 2, 3].map(|id| Path::Tcp(ConnId(id))), "ids are never reused");
}

#[test]
fn busy_connection_does_not_starve_another() {
    let mut relay = NetUnderTest::relay();
    let mut loud = raw(&relay);
    let mut quiet = raw(&relay);
    loud.set_nonblocking(true).unwrap();
    let mut flood = stream_of(&numbered(4000, 100));
    let mut pour = move |loud: &mut TcpStream| {
        while let Ok(len) = loud.write(&flood) {
            flood.drain(..len);
            if flood.is_empty() {
                break;
            }
        }
    };
    pour(&mut loud);
    quiet.write_all(&stream_of(&[b"psst".to_vec()])).unwrap();
    relay.until(|got| matches!(got, SeenInput::Packet(_, bytes) if bytes == b"psst"));
    assert!(relay.packets().len() < 4000, "the packet did not wait for the flood");
}

#[cfg(target_os = "linux")]
#[test]
fn opening_connection_times_out() {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let mut client = NetUnderTest::client();
    for id in 0..8 {
        client.act(Effect::OpenTcp(ConnId(id), addr));
    }
    client.opened();
    let later = client.net.now().tick + Duration::from_secs(11);
    client.net.fire_timers(later);
    assert_eq!(client.closed().1, PathError::TimedOut);
    assert!(client.net.timers.is_empty());
}

// faults.md: R38
/// Runs itself again in a separate process, because the descriptor limit applies to the whole
/// process.
#[cfg(target_os = "linux")]
#[test]
fn accepting_pauses_without_descriptors_then_resumes() {
    const INSIDE: &str = "QUEQIAO_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(INSIDE).is_none() {
        let name = "net::tests::tcp::accepting_pauses_without_descriptors_then_resumes";
        let mut inside = std::process::Command::new(std::env::current_exe().unwrap());
        let output = inside.args(["--exact", name]).env(INSIDE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut relay = NetUnderTest::relay();
    let _waiting = raw(&relay);
    let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut all = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        all.push(file);
    }
    let begin = relay.net.now().tick;
    relay.turn_until(|end| (end.net.stats().accept_errors == 3).then_some(()));
    let rested = relay.net.now().tick.since(begin);
    assert!(rested >= Duration::from_millis(200), "three tries in {rested:?}");
    drop(all);
    relay.opened();
}
