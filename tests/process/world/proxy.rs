//! What stands between a client and its relay: networks that cut, delay or swallow.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a thread of a proxy looks whether it is wanted any more.
const LOOK: Duration = Duration::from_millis(50);

/// How long a datagram may wait for the other direction's turn.
const PASS: Duration = Duration::from_millis(1);

/// Passes TCP connections on to a relay, both ways in segments of one byte.
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
                let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || trickle(client, forth));
                thread::spawn(move || trickle(server, back));
            }
        });
        TcpProxy { addr }
    }
}

fn trickle(mut from: TcpStream, mut to: TcpStream) {
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

/// Passes the datagrams of one client on to a relay, until it is told to swallow them.
pub struct UdpProxy {
    pub addr: SocketAddr,
    swallows: Arc<AtomicBool>,
    moves: Arc<AtomicBool>,
    copies: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl UdpProxy {
    pub fn open(relay: SocketAddr) -> UdpProxy {
        let front = socket();
        let proxy = UdpProxy {
            addr: front.local_addr().unwrap(),
            swallows: Arc::default(),
            moves: Arc::default(),
            copies: Arc::default(),
            over: Arc::default(),
        };
        let (swallows, moves, over) = (proxy.swallows.clone(), proxy.moves.clone(), proxy.over.clone());
        let copies = proxy.copies.clone();
        thread::spawn(move || {
            let (mut bytes, mut client, mut back) = ([0; 2048], None, towards(relay));
            let elsewhere = towards(relay);
            front.set_read_timeout(Some(PASS)).unwrap();
            while !over.load(Ordering::Relaxed) {
                if moves.swap(false, Ordering::Relaxed) {
                    back = towards(relay);
                }
                let passes = || !swallows.load(Ordering::SeqCst);
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

    /// From now on the relay sees the client at another address, as when a router forgets it.
    pub fn change_address(&self) {
        self.moves.store(true, Ordering::Relaxed);
    }

    /// From now on the relay has a copy of each datagram of the client first, from an address where nobody listens.
    pub fn copy_first(&self) {
        self.copies.store(true, Ordering::SeqCst);
    }

    /// From now on nothing passes, and nobody is told.
    pub fn swallow(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }

    /// From now on everything passes again.
    pub fn pass(&self) {
        self.swallows.store(false, Ordering::SeqCst);
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn towards(relay: SocketAddr) -> UdpSocket {
    let back = socket();
    back.connect(relay).unwrap();
    back.set_read_timeout(Some(PASS)).unwrap();
    back
}

/// A UDP socket on loopback whose reads end after a while.
pub fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(LOOK)).unwrap();
    socket
}
