//! Networks between a client and its relay that cut, delay or drop.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Read time-out, after which a proxy thread checks whether it must stop.
const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// Time that a datagram may wait for the turn of the other direction.
const TURN_MAX: Duration = Duration::from_millis(1);

/// Forwards TCP connections to a relay, both ways in segments of one byte.
pub struct TcpProxy {
    pub addr: SocketAddr,
}

impl TcpProxy {
    pub fn byte_by_byte(relay: SocketAddr) -> TcpProxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(relay) else { return };
                let back = client.try_clone().unwrap();
                let forth = server.try_clone().unwrap();
                thread::spawn(move || forward_bytewise(client, forth));
                thread::spawn(move || forward_bytewise(server, back));
            }
        });
        TcpProxy { addr }
    }
}

fn forward_bytewise(mut from: TcpStream, mut to: TcpStream) {
    to.set_nodelay(true).unwrap();
    let mut bytes = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        for byte in &bytes[..len] {
            if to.write_all(&[*byte]).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Forwards the datagrams of one client to a relay, until it drops them.
pub struct UdpProxy {
    pub addr: SocketAddr,
    drops: Arc<AtomicBool>,
    changes_address: Arc<AtomicBool>,
    copies: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl UdpProxy {
    pub fn open(relay: SocketAddr) -> UdpProxy {
        let front = socket();
        let proxy = UdpProxy {
            addr: front.local_addr().unwrap(),
            drops: Arc::default(),
            changes_address: Arc::default(),
            copies: Arc::default(),
            stopped: Arc::default(),
        };
        let drops = proxy.drops.clone();
        let changes_address = proxy.changes_address.clone();
        let stopped = proxy.stopped.clone();
        let copies = proxy.copies.clone();
        thread::spawn(move || {
            let mut bytes = [0; 2048];
            let mut client = None;
            let mut back = socket_to(relay);
            let elsewhere = socket_to(relay);
            front.set_read_timeout(Some(TURN_MAX)).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                if changes_address.swap(false, Ordering::Relaxed) {
                    back = socket_to(relay);
                }
                let passes = || !drops.load(Ordering::SeqCst);
                if let Ok((len, from)) = front.recv_from(&mut bytes) {
                    client = Some(from);
                    let copies = copies.load(Ordering::SeqCst);
                    let _ = copies.then(|| elsewhere.send(&bytes[..len]));
                    let _ = passes().then(|| back.send(&bytes[..len]));
                }
                if let (Ok(len), Some(client)) = (back.recv(&mut bytes), client) {
                    let _ = passes().then(|| front.send_to(&bytes[..len], client));
                }
            }
        });
        proxy
    }

    /// Shows the client at another address to the relay from now on, as after a NAT rebinding.
    pub fn change_address(&self) {
        self.changes_address.store(true, Ordering::Relaxed);
    }

    /// Sends the relay a copy of each datagram of the client first from now on, from an address
    /// that is not read.
    pub fn copy_first(&self) {
        self.copies.store(true, Ordering::SeqCst);
    }

    /// Drops all datagrams from now on, without an ICMP error.
    pub fn drop_packets(&self) {
        self.drops.store(true, Ordering::SeqCst);
    }

    /// Forwards all datagrams again from now on.
    pub fn forward_packets(&self) {
        self.drops.store(false, Ordering::SeqCst);
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

fn socket_to(relay: SocketAddr) -> UdpSocket {
    let back = socket();
    back.connect(relay).unwrap();
    back.set_read_timeout(Some(TURN_MAX)).unwrap();
    back
}

/// Returns a UDP socket on loopback whose reads time out.
pub fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    socket
}
