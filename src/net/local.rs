//! Connections between the processes of one user on this machine, over a Unix socket for each
//! member folder.
//!
//! The socket is in `$XDG_RUNTIME_DIR/queqiao`, else `/run/user/UID/queqiao`, else
//! `/tmp/queqiao-UID`. Its name is a hash of the folder's absolute path, because socket paths are
//! short (108 bytes). A [`Door`] uses the first usable directory and leaves a link in the folder
//! (`socket`), which also processes with another environment (cron) find. The directory is checked
//! to be ours with mode 0700, so no other user can connect. Only the holder of the folder's lock
//! opens a door: an existing socket belongs to a dead process and is replaced.
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

use super::Inlet;

/// Maximum length of a line, in bytes. A letter with every character escaped has 400 KiB, and an
/// address book may list many relays. A longer line ends the connection.
pub const LINE_LEN_MAX: u64 = 8 << 20;
/// Maximum connections of a listener. Further ones are closed on arrival. Chosen: far more
/// processes than one user runs for one member.
pub const CALLERS_MAX: usize = 64;
/// Bytes of the hash in a socket's name. 128 bits: two folders never share a name.
const NAME_LEN: usize = 16;
/// Link in the folder to its socket.
const LINK: &str = "socket";
/// Mode of a socket directory: only its owner enters.
const FOLDER_MODE: u32 = 0o700;
/// Pause in accepting when descriptors or threads run out. Others may be released in the meantime,
/// and the thread does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest wait of [`tell`] for the receiver to process its line. A stopped receiver must not hold
/// up its caller.
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(1);

/// An event of a connection.
#[derive(Debug)]
pub enum Heard {
    /// A process has connected; the value is the way to reply.
    Called(Line),
    /// One line, without its line end.
    Said(Vec<u8>),
    /// The connection has ended.
    Closed,
}

/// The writing end of a connection. Lines queued before it is dropped are still sent.
#[derive(Debug)]
pub struct Line {
    outgoing: Arc<Outgoing>,
    stream: Arc<UnixStream>,
    unread_max: usize,
}

#[derive(Debug, Default)]
struct Outgoing {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// At most [`Line::unread_max`] bytes, plus one line.
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    ended: bool,
}

impl Outgoing {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics while it holds this lock")
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

impl Line {
    /// Connects to the process that holds `folder`. Events go into the inlet as commands made by
    /// `mail`.
    ///
    /// # Errors
    /// Returns an error if no process listens there.
    pub fn call<C: Send + 'static>(
        folder: &Path,
        inlet: Inlet<C>,
        mail: impl Fn(Heard) -> C + Send + 'static,
    ) -> io::Result<Line> {
        let (line, reading) = Line::open(connect(folder)?, usize::MAX)?;
        listen(reading, inlet, mail, None)?;
        Ok(line)
    }

    fn open(stream: UnixStream, unread_max: usize) -> io::Result<(Line, Arc<UnixStream>)> {
        let outgoing = Arc::new(Outgoing::default());
        let stream = Arc::new(stream);
        let reading = Arc::clone(&stream);
        let writing = Arc::clone(&stream);
        let queue = Arc::clone(&outgoing);
        thread::Builder::new().name("line out".into()).spawn(move || write(&writing, &queue))?;
        Ok((Line { outgoing, stream, unread_max }, reading))
    }

    /// Sends one line, which must not contain a line end. Returns `false` if the connection has
    /// ended. If the other end has left too much unread, cuts the connection and returns `false`.
    pub fn say(&self, mut text: Vec<u8>) -> bool {
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

impl Drop for Line {
    fn drop(&mut self) {
        self.outgoing.end();
    }
}

fn write(mut stream: &UnixStream, outgoing: &Outgoing) {
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
struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes one of [`CALLERS_MAX`] places. Returns `None` if all are in use.
    fn take(open: &Arc<AtomicUsize>) -> Option<Place> {
        let one_more = |open: usize| (open < CALLERS_MAX).then_some(open + 1);
        open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Place(Arc::clone(open)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads a connection on a separate thread, which holds its place.
fn listen<C: Send + 'static>(
    stream: Arc<UnixStream>,
    inlet: Inlet<C>,
    mail: impl Fn(Heard) -> C + Send + 'static,
    place: Option<Place>,
) -> io::Result<()> {
    thread::Builder::new().name("line in".into()).spawn(move || {
        read(&stream, |heard| inlet.command(mail(heard)));
        let _ = stream.shutdown(Shutdown::Both);
        drop(place);
    })?;
    Ok(())
}

fn read(stream: &UnixStream, heard: impl Fn(Heard) -> bool) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(LINE_LEN_MAX).read_until(b'\n', &mut line);
        if read.is_err() || line.pop() != Some(b'\n') {
            break;
        }
        if !heard(Heard::Said(line)) {
            return;
        }
    }
    heard(Heard::Closed);
}

/// Listener for the other processes of a member. Closes when dropped; open connections stay open.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Door {
    /// Starts listening for `folder`, whose lock the caller must hold. Connections are numbered
    /// from 1; `mail` converts their events to commands. At most `unread_max` bytes wait for a
    /// process that does not read.
    ///
    /// # Errors
    /// Returns an error if no directory for a socket can be used.
    pub fn open<C: Send + 'static>(
        folder: &Path,
        inlet: Inlet<C>,
        unread_max: usize,
        mail: fn(u64, Heard) -> C,
    ) -> io::Result<Door> {
        let (path, listener) = bind(folder)?;
        let closed = Arc::new(AtomicBool::new(false));
        let door = Door { path, closed: Arc::clone(&closed) };
        let wait = move || accept(&listener, &closed, unread_max, &inlet, mail);
        thread::Builder::new().name("door".into()).spawn(wait)?;
        Ok(door)
    }
}

fn accept<C: Send + 'static>(
    listener: &UnixListener,
    closed: &AtomicBool,
    unread_max: usize,
    inlet: &Inlet<C>,
    mail: fn(u64, Heard) -> C,
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
        let Some(place) = Place::take(&open) else { continue };
        number += 1;
        let caller = number;
        let Ok((line, reading)) = Line::open(stream, unread_max) else { continue };
        inlet.command(mail(caller, Heard::Called(line)));
        let read = listen(reading, inlet.clone(), move |heard| mail(caller, heard), Some(place));
        if read.is_err() {
            inlet.command(mail(caller, Heard::Closed));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

/// Sends one line, best effort. Waits up to 1 s for the receiver to process it, so that a later
/// caller sees the effect. A stopped receiver delays the caller by no more than that.
pub fn tell(folder: &Path, text: &[u8]) {
    let tell = |mut stream: UnixStream| {
        stream.write_all(&[text, b"\n"].concat())?;
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(TAKEN_IN_WITHIN))?;
        // The receiver closes its end once it has seen the end of ours, which follows the line.
        stream.read(&mut [0])
    };
    let _ = connect(folder).and_then(tell);
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
    use crate::net::inlet::Mail;

    /// One event loop with the events it received, by connection number.
    struct End {
        poll: mio::Poll,
        inlet: Inlet<(u64, Heard)>,
        heard: VecDeque<Mail<(u64, Heard)>>,
    }

    impl End {
        fn new() -> End {
            let poll = mio::Poll::new().unwrap();
            let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
            End { poll, inlet: Inlet::new(waker), heard: VecDeque::new() }
        }

        fn next(&mut self) -> (u64, Heard) {
            loop {
                match self.heard.pop_front() {
                    Some(Mail::Command(heard)) => return heard,
                    Some(_) => unreachable!("only commands are put in"),
                    None => {
                        let patience = Some(Duration::from_secs(20));
                        self.inlet.take(&mut self.heard);
                        if self.heard.is_empty() {
                            let mut events = mio::Events::with_capacity(1);
                            self.poll.poll(&mut events, patience).unwrap();
                            assert!(!events.is_empty(), "no event arrived");
                        }
                    }
                }
            }
        }

        fn called(&mut self) -> (u64, Line) {
            match self.next() {
                (number, Heard::Called(line)) => (number, line),
                other => panic!("{other:?}"),
            }
        }

        fn said(&mut self) -> (u64, String) {
            match self.next() {
                (number, Heard::Said(line)) => (number, String::from_utf8(line).unwrap()),
                other => panic!("{other:?}"),
            }
        }

        fn closed(&mut self) -> u64 {
            match self.next() {
                (number, Heard::Closed) => number,
                other => panic!("{other:?}"),
            }
        }

        fn open(&self, folder: &Path, unread_max: usize) -> Door {
            Door::open(folder, self.inlet.clone(), unread_max, |number, heard| (number, heard)).unwrap()
        }

        fn call(&self, folder: &Path) -> io::Result<Line> {
            Line::call(folder, self.inlet.clone(), |heard| (0, heard))
        }
    }

    #[test]
    fn lines_arrive_whole_and_in_order_then_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = End::new();
        let mut caller = End::new();
        caller.call(folder.path()).unwrap_err();
        let door = owner.open(folder.path(), 1 << 20);
        let line = caller.call(folder.path()).unwrap();
        let (number, answer) = owner.called();
        let long = "字".repeat(100_000);
        for text in ["one", "", &long] {
            assert!(line.say(text.into()));
            assert_eq!(owner.said(), (number, text.to_owned()));
        }
        assert!(answer.say("last".into()));
        drop(answer);
        assert_eq!(caller.said(), (0, "last".to_owned()));
        caller.closed();
        assert_eq!(owner.closed(), number);
        tell(folder.path(), b"in passing");
        let (second, _answer) = owner.called();
        assert!(second > number);
        assert_eq!(owner.said(), (second, "in passing".to_owned()));
        assert_eq!(owner.closed(), second);
        drop(door);
        caller.call(folder.path()).unwrap_err();
    }

    /// Connections up to the bound are accepted; each later one is closed on arrival.
    #[test]
    fn burst_of_callers_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = End::new();
        let _door = owner.open(folder.path(), 1 << 20);
        let patience = Some(Duration::from_secs(20));
        let mut callers: Vec<UnixStream> = (0..2 * CALLERS_MAX)
            .map(|_| {
                let stream = connect(folder.path()).unwrap();
                stream.set_read_timeout(patience).unwrap();
                stream
            })
            .collect();
        for mut late in callers.split_off(CALLERS_MAX) {
            assert_eq!(late.read(&mut [0]).unwrap(), 0, "the connection is closed");
        }
        let lines: Vec<(u64, Line)> = (0..CALLERS_MAX).map(|_| owner.called()).collect();
        drop(callers);
        for _ in &lines {
            owner.closed();
        }
    }

    #[test]
    fn place_is_free_again_when_connection_ends() {
        let open = Arc::default();
        let mut places: Vec<_> = (0..CALLERS_MAX).map(|_| Place::take(&open).unwrap()).collect();
        assert!(Place::take(&open).is_none());
        places.pop();
        assert!(Place::take(&open).is_some());
    }

    #[test]
    fn peer_that_never_reads_is_cut_off_at_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = End::new();
        let _door = owner.open(folder.path(), 1 << 20);
        let mute = connect(folder.path()).unwrap();
        let (number, answer) = owner.called();
        let said = (0..1_000).take_while(|_| answer.say(vec![b'x'; 10_000])).count();
        assert!((100..999).contains(&said), "{said}");
        assert!(!answer.say(b"more".to_vec()));
        assert_eq!(owner.closed(), number);
        drop(mute);
    }

    #[test]
    fn stale_socket_is_replaced_and_unfinished_line_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let mut owner = End::new();
        std::mem::forget(bind(folder.path()).unwrap().1.set_nonblocking(true));
        let _door = owner.open(folder.path(), 1 << 20);
        let mut half = connect(folder.path()).unwrap();
        half.write_all(b"half a li").unwrap();
        drop(half);
        let (number, _answer) = owner.called();
        assert_eq!(owner.closed(), number);
    }

    #[test]
    fn copied_link_is_not_followed() {
        let one = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let mut owner = End::new();
        let _door = owner.open(one.path(), 1 << 20);
        let link = fs::read_link(one.path().join(LINK)).unwrap();
        symlink(link, other.path().join(LINK)).unwrap();
        assert_eq!(connect(other.path()).unwrap_err().kind(), ErrorKind::NotFound);
        connect(one.path()).unwrap();
        owner.called();
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
