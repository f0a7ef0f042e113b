//! A link that can be cut: forwards the datagrams of one member to the relay and back, or drops
//! them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wire::limits::UDP_PACKET_MAX;

/// Interval at which a thread checks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// Observation on the link after a cut or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProxyEvent {
    /// A datagram of the member was dropped for the first time since the cut.
    Swallowed,
    /// A datagram of the member passed for the first time since the end of the cut.
    Passed,
}

/// The link, with a thread for each direction.
pub(super) struct CuttableProxy {
    addr: SocketAddr,
    sockets: Arc<ProxySockets>,
    events: Receiver<ProxyEvent>,
    threads: [JoinHandle<()>; 2],
}

struct ProxySockets {
    /// Socket to the member, and in `back` the socket to the relay.
    front: UdpSocket,
    back: UdpSocket,
    member: Mutex<Option<SocketAddr>>,
    is_cut: AtomicBool,
    is_over: AtomicBool,
}

impl CuttableProxy {
    /// Opens a link to the relay that forwards everything.
    ///
    /// # Errors
    /// A socket or thread cannot be created.
    pub(super) fn open(relay: SocketAddr) -> io::Result<CuttableProxy> {
        let front = socket()?;
        let back = socket()?;
        back.connect(relay)?;
        let addr = front.local_addr()?;
        let shared = Arc::new(ProxySockets {
            front,
            back,
            member: Mutex::default(),
            is_cut: AtomicBool::default(),
            is_over: AtomicBool::default(),
        });
        let (notice, noticed) = channel();
        let out = shared.clone();
        let home = shared.clone();
        let threads = [
            thread::Builder::new().name("wire-out".to_owned()).spawn(move || out.carry_out(&notice))?,
            thread::Builder::new().name("wire-home".to_owned()).spawn(move || home.carry_home())?,
        ];
        Ok(CuttableProxy { addr, sockets: shared, events: noticed, threads })
    }

    /// Returns the address at which the member reaches the relay.
    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// With `cut`, drops all datagrams from here on, without an ICMP error. Otherwise forwards them
    /// again.
    pub(super) fn cut(&self, cut: bool) {
        self.sockets.is_cut.store(cut, Ordering::SeqCst);
    }

    /// Waits for the first observation since the cut or its end; `None` after `most`.
    pub(super) fn wait(&self, most: Duration) -> Option<ProxyEvent> {
        self.events.recv_timeout(most).ok()
    }

    /// Ends both threads.
    pub(super) fn close(self) {
        self.sockets.is_over.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

impl ProxySockets {
    fn carry_out(&self, notice: &Sender<ProxyEvent>) {
        let mut bytes = [0; UDP_PACKET_MAX + 1];
        let mut was_cut = false;
        loop {
            let received = self.front.recv_from(&mut bytes);
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            // Either the time-out, or an ICMP error for an earlier datagram.
            let Ok((len, from)) = received else { continue };
            *self.member.lock().expect("no thread panics while holding it") = Some(from);
            let is_cut = self.is_cut.load(Ordering::SeqCst);
            if is_cut != was_cut {
                was_cut = is_cut;
                let _ = notice.send(if is_cut { ProxyEvent::Swallowed } else { ProxyEvent::Passed });
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
            let member = *self.member.lock().expect("no thread panics while holding it");
            if let (Ok(len), Some(member), false) = (received, member, self.is_cut.load(Ordering::SeqCst)) {
                let _ = self.front.send_to(&bytes[..len], member);
            }
        }
    }
}
