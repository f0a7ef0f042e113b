//! Connections between the processes of one user on this machine, over a Unix socket for each
//! member folder.
//!
//! The socket is in `$XDG_RUNTIME_DIR/queqiao`, else `/run/user/UID/queqiao`, else
//! `/tmp/queqiao-UID`. Its name is a hash of the folder's absolute path, because socket paths are
//! short (108 bytes). A [`IpcListener`] uses the first usable directory and leaves a link in the
//! folder (`socket`), which also processes with another environment (cron) find. The directory is
//! checked to be ours with mode 0700, so no other user can connect. Only the holder of the folder's
//! lock opens a listener: an existing socket belongs to a dead process and is replaced.
//!
//! Must not depend on: the meaning of lines. Invariant: no event loop waits for another process.
//! Each end has a reading and a writing thread; unread output is bounded, and a connection at the
//! bound is cut.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use blake2::{Blake2s256, Digest};
use data_encoding::HEXLOWER;

use super::LoopHandle;

/// Maximum length of a line, in bytes. A letter with every character escaped has 400 KiB, and an
/// address book may list many relays. A longer line ends the connection.
pub const LINE_LEN_MAX: u64 = 8 << 20;
/// Maximum connections of a listener. Further ones are closed on arrival. Chosen: far more
/// processes than one user runs for one member.
pub const CONNECTIONS_MAX: usize = 64;
/// Bytes of the hash in a socket's name. 128 bits: two folders never share a name.
const NAME_LEN: usize = 16;
/// Link in the folder to its socket.
const LINK: &str = "socket";
/// Mode of a socket directory: only its owner enters.
const FOLDER_MODE: u32 = 0o700;
/// Pause in accepting when descriptors or threads run out. Others may be released in the meantime,
/// and the thread does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest wait of [`send_once`] for the receiver to process its line. A stopped receiver must not
/// hold up its caller.
const DELIVERED_WITHIN: Duration = Duration::from_secs(1);

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
        self.queue.lock().expect("nothing panics while it holds this lock")
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
            queue = outgoing.changed.wait(queue).expect("nothing panics while it holds this lock");
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
    /// Takes one of [`CONNECTIONS_MAX`] places. Returns `None` if all are in use.
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

/// Reads a connection on a separate thread, which holds its place.
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
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl IpcListener {
    /// Starts listening for `folder`, whose lock the caller must hold. Connections are numbered
    /// from 1; `to_command` turns their events into commands. At most `unread_max` bytes wait for a
    /// process that does not read.
    ///
    /// # Errors
    /// Returns an error if no directory for a socket can be used.
    pub fn open<C: Send + 'static>(
        folder: &Path,
        loop_handle: LoopHandle<C>,
        unread_max: usize,
        to_command: fn(u64, IpcEvent) -> C,
    ) -> io::Result<IpcListener> {
        let (path, listener) = bind(folder)?;
        let closed = Arc::new(AtomicBool::new(false));
        let ipc_listener = IpcListener { path, closed: Arc::clone(&closed) };
        let wait = move || accept(&listener, &closed, unread_max, &loop_handle, to_command);
        thread::Builder::new().name("ipc listener".into()).spawn(wait)?;
        Ok(ipc_listener)
    }
}

fn accept<C: Send + 'static>(
    listener: &UnixListener,
    closed: &AtomicBool,
    unread_max: usize,
    loop_handle: &LoopHandle<C>,
    to_command: fn(u64, IpcEvent) -> C,
) {
    let mut number = 0;
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = listener.accept();
        if closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
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
        self.closed.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

/// Sends one line, best effort. Waits up to 1 s for the receiver to process it, so that a later
/// caller sees the effect. A stopped receiver delays the caller by no more than that.
pub fn send_once(folder: &Path, text: &[u8]) {
    let send = |mut stream: UnixStream| {
        stream.write_all(&[text, b"\n"].concat())?;
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(DELIVERED_WITHIN))?;
        // The receiver closes its end once it has seen the end of ours, which follows the line.
        stream.read(&mut [0])
    };
    let _ = connect(folder).and_then(send);
}

fn connect(folder: &Path) -> io::Result<UnixStream> {
    let path = fs::read_link(folder.join(LINK))?;
    // A copy of a folder contains the link of the original.
    let place = path.parent().filter(|_| path.ends_with(name(folder)));
    check(place.ok_or(ErrorKind::NotFound)?)?;
    UnixStream::connect(path)
}

fn bind(folder: &Path) -> io::Result<(PathBuf, UnixListener)> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for place in places() {
        match bind_in(&place, folder) {
            Ok((path, listener)) => {
                let link = folder.join(LINK);
                let _ = fs::remove_file(&link);
                symlink(&path, &link)?;
                return Ok((path, listener));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_in(place: &Path, folder: &Path) -> io::Result<(PathBuf, UnixListener)> {
    match DirBuilder::new().mode(FOLDER_MODE).create(place) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => check(place)?,
    }
    let path = place.join(name(folder));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok((path, listener))
}

/// Fails unless a socket directory is ours and no other user can enter it.
fn check(place: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(place)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    match ours && found.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(io::Error::from(ErrorKind::PermissionDenied)),
    }
}

fn places() -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let told = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let mut places: Vec<PathBuf> = told.map(|dir| dir.join("queqiao")).into_iter().collect();
    places.push(PathBuf::from(format!("/run/user/{uid}/queqiao")));
    places.push(PathBuf::from(format!("/tmp/queqiao-{uid}")));
    places
}

fn name(folder: &Path) -> String {
    let absolute = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let hash = Blake2s256::digest(absolute.as_os_str().as_bytes());
    format!("{}.sock", HEXLOWER.encode(&hash[..NAME_LEN]))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

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
            IpcListener::open(folder, self.loop_handle.clone(), unread_max, |number, event| (number, event))
                .unwrap()
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
        let mut places: Vec<_> =
            (0..CONNECTIONS_MAX).map(|_| ConnectionPermit::take(&open).unwrap()).collect();
        assert!(ConnectionPermit::take(&open).is_none());
        places.pop();
        assert!(ConnectionPermit::take(&open).is_some());
    }

    #[test]
    fn peer_that_never_reads_is_cut_off_at_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut primary = IpcReader::new();
        let _door = primary.open(folder.path(), 1 << 20);
        let mute = connect(folder.path()).unwrap();
        let (number, answer) = primary.connected();
        let said = (0..1_000).take_while(|_| answer.send(vec![b'x'; 10_000])).count();
        assert!((100..999).contains(&said), "{said}");
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
        symlink(link, other.path().join(LINK)).unwrap();
        assert_eq!(connect(other.path()).unwrap_err().kind(), ErrorKind::NotFound);
        connect(one.path()).unwrap();
        primary.connected();
    }

    #[test]
    fn directory_open_to_others_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(bind_in(dir.path(), dir.path()).unwrap_err().kind(), ErrorKind::PermissionDenied);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        bind_in(dir.path(), dir.path()).unwrap();
    }
}
