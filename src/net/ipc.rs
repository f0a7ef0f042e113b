//! Connections between the processes of one user on this machine, over a Unix socket for each
//! member folder.
//!
//! The socket is in `$XDG_RUNTIME_DIR/queqiao`, else `/run/user/UID/queqiao`, else
//! `/tmp/queqiao-UID`. Its name is a hash of the folder's absolute path, because socket paths are
//! short (108 bytes). A [`IpcListener`] uses the first usable directory and leaves a link in the
//! folder (`socket`), which also processes with another environment (cron) find. The directory is
//! checked to be ours with mode 0700, so no other user can connect. Only the holder of the folder's
//! lock opens a listener: an existing socket belongs to a dead process and is replaced. Cleaners of
//! temporary files and the end of a login remove sockets that are in use, so a listener looks for
//! its own twice a second and makes it again.
//!
//! Must not depend on: the meaning of lines. Invariant: no event loop waits for another process.
//! Each end has a reading and a writing thread; unread output is bounded, and a connection at the
//! bound is cut.

mod socket_file;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::LoopHandle;
use crate::base::Phrase;
use socket_file::{SocketFile, bind, connect};

/// Maximum length of a line, in bytes. A letter with every character escaped has 400 KiB, and an
/// address book may list many relays. A longer line ends the connection.
pub const LINE_LEN_MAX: u64 = 8 << 20;
/// Maximum connections of a listener. Further ones are closed on arrival. Chosen: far more
/// processes than one user runs for one member.
pub const CONNECTIONS_MAX: usize = 64;
/// Interval between two looks at the socket file, 500 ms: the listener is reachable again within a
/// second, and a look costs three system calls.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
/// Pause in accepting when descriptors or threads run out. Others may be released in the meantime,
/// and the thread does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest wait of [`send_once`] for the receiver to process its line. A stopped receiver must not
/// hold up its caller.
const DELIVERED_WITHIN: Duration = Duration::from_secs(1);

/// Why no lock here is poisoned.
const NO_PANIC: &str = "nothing panics while it holds this lock";

/// An event of a connection.
#[derive(Debug)]
pub enum IpcEvent {
    /// A process has connected; the value is the way to reply.
    Connected(IpcConnection),
    /// One line, without its line end.
    Line(Vec<u8>),
    /// The connection has ended.
    Closed,
}

/// The writing end of a connection. Lines queued before it is dropped are still sent.
#[derive(Debug)]
pub struct IpcConnection {
    outgoing: Arc<OutgoingLines>,
    stream: Arc<UnixStream>,
    unread_max: usize,
}

#[derive(Debug, Default)]
struct OutgoingLines {
    queue: Mutex<LineQueue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LineQueue {
    /// At most [`IpcConnection::unread_max`] bytes, plus one line.
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    ended: bool,
}

impl OutgoingLines {
    fn lock(&self) -> MutexGuard<'_, LineQueue> {
        self.queue.lock().expect(NO_PANIC)
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

impl IpcConnection {
    /// Connects to the process that holds `folder`. `to_command` turns events into
    /// commands for `loop_handle`.
    ///
    /// # Errors
    /// Returns an error if no process listens there.
    pub fn connect<C: Send + 'static>(
        folder: &Path,
        loop_handle: LoopHandle<C>,
        to_command: impl Fn(IpcEvent) -> C + Send + 'static,
    ) -> io::Result<IpcConnection> {
        let (connection, reading) = IpcConnection::open(connect(folder)?, usize::MAX)?;
        spawn_reader(reading, loop_handle, to_command, None)?;
        Ok(connection)
    }

    fn open(stream: UnixStream, unread_max: usize) -> io::Result<(IpcConnection, Arc<UnixStream>)> {
        let outgoing = Arc::new(OutgoingLines::default());
        let stream = Arc::new(stream);
        let reading = Arc::clone(&stream);
        let writing = Arc::clone(&stream);
        let queue = Arc::clone(&outgoing);
        thread::Builder::new().name("ipc writer".into()).spawn(move || write(&writing, &queue))?;
        Ok((IpcConnection { outgoing, stream, unread_max }, reading))
    }

    /// Sends one line, which must not contain a line end. Returns `false` if the connection has
    /// ended. If the other end has left too much unread, cuts the connection and returns `false`.
    pub fn send(&self, mut text: Vec<u8>) -> bool {
        text.push(b'\n');
        let mut queue = self.outgoing.lock();
        if queue.ended {
            return false;
        }
        if queue.bytes.saturating_add(text.len()) > self.unread_max && !queue.lines.is_empty() {
            queue.lines.clear();
            queue.ended = true;
            drop(queue);
            self.outgoing.changed.notify_all();
            let _ = self.stream.shutdown(Shutdown::Both);
            return false;
        }
        queue.bytes += text.len();
        queue.lines.push_back(text);
        self.outgoing.changed.notify_all();
        true
    }
}

impl Drop for IpcConnection {
    fn drop(&mut self) {
        self.outgoing.end();
    }
}

fn write(mut stream: &UnixStream, outgoing: &OutgoingLines) {
    loop {
        let mut queue = outgoing.lock();
        while queue.lines.is_empty() && !queue.ended {
            queue = outgoing.changed.wait(queue).expect(NO_PANIC);
        }
        let Some(line) = queue.lines.pop_front() else { break };
        drop(queue);
        if stream.write_all(&line).is_err() {
            break;
        }
        let mut queue = outgoing.lock();
        queue.bytes = queue.bytes.saturating_sub(line.len());
    }
    outgoing.end();
    let _ = stream.shutdown(Shutdown::Both);
}

/// One of the connections that a listener may have, until it is dropped.
struct ConnectionPermit(Arc<AtomicUsize>);

impl ConnectionPermit {
    /// Takes one of [`CONNECTIONS_MAX`] permits. Returns `None` if all are in use.
    fn take(open: &Arc<AtomicUsize>) -> Option<ConnectionPermit> {
        let one_more = |open: usize| (open < CONNECTIONS_MAX).then_some(open + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(ConnectionPermit(Arc::clone(open)))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a connection on a separate thread, which holds its permit.
fn spawn_reader<C: Send + 'static>(
    stream: Arc<UnixStream>,
    loop_handle: LoopHandle<C>,
    to_command: impl Fn(IpcEvent) -> C + Send + 'static,
    permit: Option<ConnectionPermit>,
) -> io::Result<()> {
    thread::Builder::new().name("ipc reader".into()).spawn(move || {
        read(&stream, |event| loop_handle.command(to_command(event)));
        let _ = stream.shutdown(Shutdown::Both);
        drop(permit);
    })?;
    Ok(())
}

fn read(stream: &UnixStream, on_event: impl Fn(IpcEvent) -> bool) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(LINE_LEN_MAX).read_until(b'\n', &mut line);
        if read.is_err() || line.pop() != Some(b'\n') {
            break;
        }
        if !on_event(IpcEvent::Line(line)) {
            return;
        }
    }
    on_event(IpcEvent::Closed);
}

/// Listener for the other processes of a member. Closes when dropped; open connections stay open.
#[derive(Debug)]
pub struct IpcListener {
    shared: Arc<Mutex<ListenerState>>,
}

/// State that a listener shares with its thread. The thread changes the file system only while it
/// holds the lock and the listener is open. Afterwards the socket may be another process's.
#[derive(Debug)]
struct ListenerState {
    is_closed: bool,
    /// Not there while no directory for it can be used.
    file: Option<SocketFile>,
}

impl IpcListener {
    /// Starts listening for `folder`, whose lock the caller must hold. Connections are numbered
    /// from 1; `to_command` turns their events into commands. At most `unread_max` bytes wait for a
    /// process that does not read. If no directory for a socket can be used, `on_error` gets the
    /// reason, once until there is one again.
    ///
    /// # Errors
    /// Returns an error if the system cannot start another thread.
    pub fn open<C: Send + 'static>(
        folder: &Path,
        loop_handle: LoopHandle<C>,
        unread_max: usize,
        to_command: fn(u64, IpcEvent) -> C,
        on_error: impl Fn(Phrase) + Send + 'static,
    ) -> io::Result<IpcListener> {
        let shared = Arc::new(Mutex::new(ListenerState { is_closed: false, file: None }));
        let mut socket = ListeningSocket {
            folder: folder.to_owned(),
            shared: Arc::clone(&shared),
            listener: None,
            is_failing: false,
        };
        // Here and not on the thread, so that the caller is reachable from its next step on.
        socket.restore(&on_error);
        let wait = move || accept(socket, unread_max, &loop_handle, to_command, &on_error);
        thread::Builder::new().name("ipc listener".into()).spawn(wait)?;
        Ok(IpcListener { shared })
    }
}

/// The socket of a listener, on the listener's thread.
struct ListeningSocket {
    folder: PathBuf,
    shared: Arc<Mutex<ListenerState>>,
    listener: Option<UnixListener>,
    is_failing: bool,
}

impl ListeningSocket {
    /// Makes the socket and its link again where they are missing. Returns `false` once the
    /// listener is closed.
    fn restore(&mut self, on_error: &impl Fn(Phrase)) -> bool {
        let mut state = self.shared.lock().expect(NO_PANIC);
        if state.is_closed {
            return false;
        }
        let in_place = state.file.as_ref().is_some_and(SocketFile::is_in_place);
        let restored = match &state.file {
            Some(file) if in_place => file.link(&self.folder),
            _ => bind(&self.folder).map(|(file, listener)| {
                state.file = Some(file);
                self.listener = Some(listener);
            }),
        };
        match restored {
            Ok(()) => self.is_failing = false,
            Err(error) if !std::mem::replace(&mut self.is_failing, true) => on_error(error),
            Err(_) => {}
        }
        true
    }

    fn is_closed(&self) -> bool {
        self.shared.lock().expect(NO_PANIC).is_closed
    }

    /// Waits for a connection, or until it is time to look at the file again.
    fn accept(&self) -> Option<UnixStream> {
        let Some(listener) = &self.listener else {
            thread::sleep(ACCEPT_PAUSE);
            return None;
        };
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        if poll(&mut fds, Some(&LOOK_EVERY)).unwrap_or(0) == 0 {
            return None;
        }
        match listener.accept() {
            Ok((stream, _)) => Some(stream),
            Err(_) => {
                thread::sleep(ACCEPT_PAUSE);
                None
            }
        }
    }
}

fn accept<C: Send + 'static>(
    mut socket: ListeningSocket,
    unread_max: usize,
    loop_handle: &LoopHandle<C>,
    to_command: fn(u64, IpcEvent) -> C,
    on_error: &impl Fn(Phrase),
) {
    let mut number = 0;
    let open = Arc::new(AtomicUsize::new(0));
    while socket.restore(on_error) {
        let Some(stream) = socket.accept() else { continue };
        if socket.is_closed() {
            return;
        }
        // Counted here, not on the reading thread: a burst is accepted before any of those threads
        // has run.
        let Some(permit) = ConnectionPermit::take(&open) else { continue };
        number += 1;
        let connection_number = number;
        let Ok((connection, reading)) = IpcConnection::open(stream, unread_max) else { continue };
        loop_handle.command(to_command(connection_number, IpcEvent::Connected(connection)));
        let read = spawn_reader(
            reading,
            loop_handle.clone(),
            move |event| to_command(connection_number, event),
            Some(permit),
        );
        if read.is_err() {
            loop_handle.command(to_command(connection_number, IpcEvent::Closed));
        }
    }
}

impl Drop for IpcListener {
    fn drop(&mut self) {
        let mut state = self.shared.lock().expect(NO_PANIC);
        state.is_closed = true;
        if let Some(file) = state.file.take().filter(SocketFile::is_in_place) {
            // Wakes the accepting thread.
            let _ = UnixStream::connect(&file.path);
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// Sends one line, best effort. Waits up to 1 s for the receiver to process it, so that a later
/// caller sees the effect. A stopped receiver delays the caller by no more than that. Returns
/// `false` if no process listens for `folder`.
pub fn send_once(folder: &Path, text: &[u8]) -> bool {
    let send = |mut stream: UnixStream| {
        stream.write_all(&[text, b"\n"].concat())?;
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(DELIVERED_WITHIN))?;
        // The receiver closes its end once it has seen the end of ours, which follows the line.
        stream.read(&mut [0])
    };
    match connect(folder) {
        Ok(stream) => {
            let _ = send(stream);
            true
        }
        Err(_) => false,
    }
}

/// Returns why the process that holds `folder` cannot be reached, if the directory for its socket
/// is the reason.
pub fn obstacle(folder: &Path) -> Option<Phrase> {
    socket_file::obstacle(folder)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use std::io::ErrorKind;

    use super::socket_file::LINK;
    use super::*;
    use crate::net::loop_handle::InjectedInput;

    /// One event loop with the events it received, by connection number.
    struct IpcReader {
        poll: mio::Poll,
        loop_handle: LoopHandle<(u64, IpcEvent)>,
        events: VecDeque<InjectedInput<(u64, IpcEvent)>>,
    }

    impl IpcReader {
        fn new() -> IpcReader {
            let poll = mio::Poll::new().unwrap();
            let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
            IpcReader { poll, loop_handle: LoopHandle::new(waker), events: VecDeque::new() }
        }

        fn next(&mut self) -> (u64, IpcEvent) {
            loop {
                match self.events.pop_front() {
                    Some(InjectedInput::Command(event)) => return event,
                    Some(_) => unreachable!("only commands are put in"),
                    None => {
                        let patience = Some(Duration::from_secs(20));
                        self.loop_handle.take(&mut self.events);
                        if self.events.is_empty() {
                            let mut events = mio::Events::with_capacity(1);
                            self.poll.poll(&mut events, patience).unwrap();
                            assert!(!events.is_empty(), "no event arrived");
                        }
                    }
                }
            }
        }

        fn connected(&mut self) -> (u64, IpcConnection) {
            match self.next() {
                (number, IpcEvent::Connected(connection)) => (number, connection),
                other => panic!("{other:?}"),
            }
        }

        fn line(&mut self) -> (u64, String) {
            match self.next() {
                (number, IpcEvent::Line(line)) => (number, String::from_utf8(line).unwrap()),
                other => panic!("{other:?}"),
            }
        }

        fn closed(&mut self) -> u64 {
            match self.next() {
                (number, IpcEvent::Closed) => number,
                other => panic!("{other:?}"),
            }
        }

        fn open(&self, folder: &Path, unread_max: usize) -> IpcListener {
            let command = |number, event| (number, event);
            let on_error = |error| panic!("{error:?}");
            IpcListener::open(folder, self.loop_handle.clone(), unread_max, command, on_error).unwrap()
        }

        fn connect(&self, folder: &Path) -> io::Result<IpcConnection> {
            IpcConnection::connect(folder, self.loop_handle.clone(), |event| (0, event))
        }
    }

    #[test]
    fn lines_arrive_whole_and_in_order_then_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut primary = IpcReader::new();
        let mut secondary = IpcReader::new();
        secondary.connect(folder.path()).unwrap_err();
        let ipc_listener = primary.open(folder.path(), 1 << 20);
        let connection = secondary.connect(folder.path()).unwrap();
        let (number, answer) = primary.connected();
        let long = "字".repeat(100_000);
        for text in ["one", "", &long] {
            assert!(connection.send(text.into()));
            assert_eq!(primary.line(), (number, text.to_owned()));
        }
        assert!(answer.send("last".into()));
        drop(answer);
        assert_eq!(secondary.line(), (0, "last".to_owned()));
        secondary.closed();
        assert_eq!(primary.closed(), number);
        send_once(folder.path(), b"in passing");
        let (second, _answer) = primary.connected();
        assert!(second > number);
        assert_eq!(primary.line(), (second, "in passing".to_owned()));
        assert_eq!(primary.closed(), second);
        drop(ipc_listener);
        secondary.connect(folder.path()).unwrap_err();
    }

    /// Connections up to the bound are accepted; each later one is closed on arrival.
    #[test]
    fn burst_of_callers_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let mut primary = IpcReader::new();
        let _door = primary.open(folder.path(), 1 << 20);
        let patience = Some(Duration::from_secs(20));
        let mut streams: Vec<UnixStream> = (0..2 * CONNECTIONS_MAX)
            .map(|_| {
                let stream = connect(folder.path()).unwrap();
                stream.set_read_timeout(patience).unwrap();
                stream
            })
            .collect();
        for mut late in streams.split_off(CONNECTIONS_MAX) {
            assert_eq!(late.read(&mut [0]).unwrap(), 0, "the connection is closed");
        }
        let connections: Vec<(u64, IpcConnection)> =
            (0..CONNECTIONS_MAX).map(|_| primary.connected()).collect();
        drop(streams);
        for _ in &connections {
            primary.closed();
        }
    }

    #[test]
    fn place_is_free_again_when_connection_ends() {
        let open = Arc::default();
        let mut dirs: Vec<_> = (0..CONNECTIONS_MAX).map(|_| ConnectionPermit::take(&open).unwrap()).collect();
        assert!(ConnectionPermit::take(&open).is_none());
        dirs.pop();
        assert!(ConnectionPermit::take(&open).is_some());
    }

    #[test]
    fn peer_that_never_reads_is_cut_off_at_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut primary = IpcReader::new();
        let _door = primary.open(folder.path(), 1 << 20);
        let mute = connect(folder.path()).unwrap();
        let (number, answer) = primary.connected();
        let sent_count = (0..1_000).take_while(|_| answer.send(vec![b'x'; 10_000])).count();
        assert!((100..999).contains(&sent_count), "{sent_count}");
        assert!(!answer.send(b"more".to_vec()));
        assert_eq!(primary.closed(), number);
        drop(mute);
    }

    #[test]
    fn stale_socket_is_replaced_and_unfinished_line_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let mut primary = IpcReader::new();
        std::mem::forget(bind(folder.path()).unwrap().1.set_nonblocking(true));
        let _door = primary.open(folder.path(), 1 << 20);
        let mut half = connect(folder.path()).unwrap();
        half.write_all(b"half a li").unwrap();
        drop(half);
        let (number, _answer) = primary.connected();
        assert_eq!(primary.closed(), number);
    }

    #[test]
    fn copied_link_is_not_followed() {
        let one = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let mut primary = IpcReader::new();
        let _door = primary.open(one.path(), 1 << 20);
        let link = fs::read_link(one.path().join(LINK)).unwrap();
        std::os::unix::fs::symlink(link, other.path().join(LINK)).unwrap();
        assert_eq!(connect(other.path()).unwrap_err().kind(), ErrorKind::NotFound);
        connect(one.path()).unwrap();
        primary.connected();
    }
}
