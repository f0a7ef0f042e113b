//! Cases that need real sockets: a relay on loopback receives traffic that no client sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use queqiao::app::{RelayServer, ServerNews};
use queqiao::net::{LoopHandle, NetConfig};
use queqiao::relay::{Command, Limits};
use queqiao::store::RelayStore;

struct Running {
    udp: SocketAddr,
    tcp: SocketAddr,
    inlet: LoopHandle<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Running {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (messages, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (store, state) = RelayStore::in_memory([7; 32]).expect("an in-memory store opens");
            let config = NetConfig::relay(any, Some(any));
            let server =
                RelayServer::open(config, store, state, Limits::default()).expect("loopback has free ports");
            messages.send((server.udp_addr(), server.tcp_addr().unwrap(), server.loop_handle())).unwrap();
            server.run(|_: ServerNews| ()).expect("there is no disk to fail");
        });
        let (udp, tcp, inlet) = ready.recv().unwrap();
        Running { udp, tcp, inlet, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inlet.command(Command::Stop);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the relay has panicked");
    }
}

/// Reads until the relay closes the connection.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes,
        Err(error) => panic!("it was not closed: {error}"),
    }
}

// faults.md: R36
#[test]
fn other_protocols_are_closed_without_a_byte() {
    let relay = Running::start();
    for greeting in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0", b"SSH-2.0-x\r\n", b"\x05\x01\0", b"\0"]
    {
        let mut stream = relay.connect();
        stream.write_all(greeting).unwrap();
        assert_eq!(until_closed(stream), b"", "{greeting:?}");
    }
}

// faults.md: R35
#[test]
fn invalid_record_lengths_and_packets_are_closed() {
    let relay = Running::start();
    let records: [&[u8]; 4] = [&[0xFF, 0, 0], &[0xFF, 0x40, 0x01], &[0xFF, 0xFF, 0xFF], b"\xFF\x00\x05hello"];
    for record in records {
        let mut stream = relay.connect();
        stream.write_all(record).unwrap();
        let came = until_closed(stream);
        assert!(came.is_empty() || came == [0xFF], "{came:?}");
    }
}

// faults.md: R37
#[test]
fn slow_and_silent_connections_are_closed() {
    let relay = Running::start();
    let mut streams: Vec<TcpStream> = (0..60).map(|_| relay.connect()).collect();
    for (n, stream) in streams.iter_mut().enumerate() {
        let begun: &[u8] = match n % 3 {
            0 => &[],
            1 => &[0xFF],
            _ => &[0xFF, 0x40, 0x00, 0xFF],
        };
        stream.write_all(begun).unwrap();
    }
    for stream in streams {
        let came = until_closed(stream);
        assert!(came.is_empty() || came == [0xFF], "{came:?}");
    }
}

// faults.md: R38
#[test]
fn thousand_short_connections_do_not_delay_the_next() {
    let relay = Running::start();
    for _ in 0..1_000 {
        drop(relay.connect());
    }
    let mut stream = relay.connect();
    stream.write_all(b"x").unwrap();
    assert_eq!(until_closed(stream), b"");
}

// faults.md: R3
#[test]
fn largest_datagrams_are_dropped_and_key_query_answered() {
    let relay = Running::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for len in [0, 1, 1_201, 2_000, 9_000, 65_507] {
        let mut bytes = vec![0xFF; len];
        bytes.iter_mut().zip([0xFF, 4, 1, 0]).for_each(|(byte, header)| *byte = header);
        socket.send_to(&bytes, relay.udp).unwrap();
    }
    let mut rng = queqiao::base::Rng::from_seed([1; 32]);
    let query = queqiao::session::KeyQuery::new(queqiao::base::Carrier::Udp, &mut rng);
    socket.send_to(query.packet(), relay.udp).unwrap();
    let mut answer = [0; 2_000];
    let (len, _) = socket.recv_from(&mut answer).expect("the relay answers the key query");
    assert!(query.handle_answer(&answer[..len]).is_ok(), "and nothing before it");
}
