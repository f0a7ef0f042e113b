//! A line that can be cut: passes the datagrams of one member on to the relay and back, until it is told to swallow them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wire::limits::UDP_PACKET_MAX;

/// How often a thread looks whether it is wanted any more.
const LOOK: Duration = Duration::from_millis(50);

/// What a cut line did first, and what a mended one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// The first datagram of the member vanished.
    Swallowed,
    /// The first datagram of the member passed.
    Passed,
}

/// One line, with a thread for each direction.
pub(super) struct Wire {
    addr: SocketAddr,
    shared: Arc<Shared>,
    noticed: Receiver<Noticed>,
    threads: [JoinHandle<()>; 2],
}

struct Shared {
    /// Where the member sends, and what speaks to the relay for it.
    front: UdpSocket,
    back: UdpSocket,
    member: Mutex<Option<SocketAddr>>,
    is_cut: AtomicBool,
    is_over: AtomicBool,
}

impl Wire {
    /// A line to the relay; everything passes.
    ///
    /// # Errors
    /// No socket, or no thread.
    pub(super) fn open(relay: SocketAddr) -> io::Result<Wire> {
        let (front, back) = (socket()?, socket()?);
        back.connect(relay)?;
        let (member, is_cut, is_over) = (Mutex::default(), AtomicBool::default(), AtomicBool::default());
        let (addr, shared) = (front.local_addr()?, Arc::new(Shared { front, back, member, is_cut, is_over }));
        let (notice, noticed) = channel();
        let (out, home) = (shared.clone(), shared.clone());
        let threads = [
            thread::Builder::new().name("wire-out".to_owned()).spawn(move || out.carry_out(&notice))?,
            thread::Builder::new().name("wire-home".to_owned()).spawn(move || home.carry_home())?,
        ];
        Ok(Wire { addr, shared, noticed, threads })
    }

    /// Where the member finds the relay.
    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on nothing passes and nobody is told, or everything passes again.
    pub(super) fn cut(&self, cut: bool) {
        self.shared.is_cut.store(cut, Ordering::SeqCst);
    }

    /// What has happened since the line was cut or mended; none if that takes too long.
    pub(super) fn wait(&self, most: Duration) -> Option<Noticed> {
        self.noticed.recv_timeout(most).ok()
    }

    /// Ends both threads.
    pub(super) fn close(self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

impl Shared {
    fn carry_out(&self, notice: &Sender<Noticed>) {
        let (mut bytes, mut was_cut) = ([0; UDP_PACKET_MAX + 1], false);
        loop {
            let received = self.front.recv_from(&mut bytes);
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            // The end of a wait, or ICMP's answer to an earlier datagram.
            let Ok((len, from)) = received else { continue };
            *self.member.lock().expect("nobody panics with it") = Some(from);
            let is_cut = self.is_cut.load(Ordering::SeqCst);
            if is_cut != was_cut {
                was_cut = is_cut;
                let _ = notice.send(if is_cut { Noticed::Swallowed } else { Noticed::Passed });
            }
            if !is_cut {
                let _ = self.back.send(&bytes[..len]);
            }
        }
    }

    fn carry_home(&self) {
        let mut bytes = [0; UDP_PACKET_MAX + 1];
        loop {
            let received = self.back.recv(&mut bytes);
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let member = *self.member.lock().expect("nobody panics with it");
            if let (Ok(len), Some(member), false) = (received, member, self.is_cut.load(Ordering::SeqCst)) {
                let _ = self.front.send_to(&bytes[..len], member);
            }
        }
    }
}
