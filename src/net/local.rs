//! Lines between the processes of one user on this machine, over a Unix socket that stands for a folder.
//!
//! The socket lies in `$XDG_RUNTIME_DIR/queqiao`, else in `/run/user/UID/queqiao`, else in `/tmp/queqiao-UID`, and is
//! named by a hash of the folder's absolute path, because paths of sockets are short (108 bytes). The one who opens a
//! [`Door`] takes the first of these places there is, and leaves a link to the socket in the folder (`socket`), so that
//! a process with another environment (cron) finds it too. The place is ours alone (mode 0700, checked), so nobody else
//! gets in.
//!
//! A door is opened only by the process that holds its folder's lock: a socket that is there already is of one that
//! has died, and is replaced.
//!
//! Each end has two threads for each line, one that reads and one that writes, so that no loop waits for another
//! process. What waits for a process that does not read has a bound; at the bound the line is cut.

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

/// The longest line: a letter whose every character is escaped has 400 KiB, a book's relays may be many. A longer one
/// ends the connection.
pub const LINE_LEN_MAX: u64 = 8 << 20;
/// Lines open at a door; one more is closed as it comes.
pub const CALLERS_MAX: usize = 64;
/// Bytes of the hash in a socket's name: two folders never share one.
const NAME_LEN: usize = 16;
/// In the folder: where its socket is.
const LINK: &str = "socket";
/// Only its owner enters a folder of sockets.
const FOLDER_MODE: u32 = 0o700;
/// Without descriptors or threads accepting rests for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long whoever tells something waits until it was taken in.
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(1);

/// What happens on a line.
#[derive(Debug)]
pub enum Heard {
    /// Somebody has called: the way to answer.
    Called(Line),
    /// One line, without its end.
    Said(Vec<u8>),
    /// It is over.
    Closed,
}

/// The writing end of a line. What was said still goes out after it is dropped.
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
    /// At most [`Line::unread_max`] bytes, and one line.
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
    /// Calls whoever has opened the door of `folder`. What is heard goes into the inlet.
    ///
    /// # Errors
    /// Nobody answers there.
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
        let (outgoing, stream) = (Arc::new(Outgoing::default()), Arc::new(stream));
        let (reading, writing, queue) = (Arc::clone(&stream), Arc::clone(&stream), outgoing.clone());
        thread::Builder::new().name("line out".into()).spawn(move || write(&writing, &queue))?;
        Ok((Line { outgoing, stream, unread_max }, reading))
    }

    /// Says one line, which holds no line end. `false` if it is over, or the other end has left too much unread: then
    /// the line is cut.
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

/// One of the lines that may be open at a door, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// Takes one of [`CALLERS_MAX`] places; `None` if there is none.
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

/// Reads a line on a thread of its own, which holds its place.
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

/// Where others reach the process that holds a folder. Closes when dropped; lines that are open stay so.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Door {
    /// Opens the door of `folder`, whose lock the caller holds. Who calls is numbered, from 1 on, and `mail` makes mail
    /// of what they say. At most `unread_max` bytes wait for one who does not read.
    ///
    /// # Errors
    /// No place for a socket can be used.
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
    let (mut number, open) = (0, Arc::new(AtomicUsize::new(0)));
    loop {
        let accepted = listener.accept();
        if closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        // Taken here, not by the thread that reads: a burst is accepted before any of those has
        // run.
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
        // Wakes the thread that accepts.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

/// Says one line to whoever has opened the door of `folder`, and nothing more; nobody needs to be there. Returns when it
/// was taken in, so that whoever calls next finds it done, or after a second: who is stopped holds up nobody.
pub fn tell(folder: &Path, text: &[u8]) {
    let tell = |mut stream: UnixStream| {
        stream.write_all(&[text, b"\n"].concat())?;
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(TAKEN_IN_WITHIN))?;
        // They close their end once they have taken in that ours is closed, which comes behind the line.
        stream.read(&mut [0])
    };
    let _ = connect(folder).and_then(tell);
}

fn connect(folder: &Path) -> io::Result<UnixStream> {
    let path = fs::read_link(folder.join(LINK))?;
    // In a copy of a folder stands the link of the other.
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

/// Whether a folder of sockets is ours, and nobody else's to enter.
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

    /// One end: what it hears, from whom.
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
                            assert!(!events.is_empty(), "nothing was heard");
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
    fn lines_come_whole_in_order_and_their_end_comes_last() {
        let (folder, mut owner, mut caller) = (tempfile::tempdir().unwrap(), End::new(), End::new());
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

    /// The first of a burst are let in up to the bound, each later one is closed as it comes.
    #[test]
    fn burst_of_callers_does_not_pass_the_bound() {
        let (folder, mut owner) = (tempfile::tempdir().unwrap(), End::new());
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
            assert_eq!(late.read(&mut [0]).unwrap(), 0, "it is closed");
        }
        let lines: Vec<(u64, Line)> = (0..CALLERS_MAX).map(|_| owner.called()).collect();
        drop(callers);
        for _ in &lines {
            owner.closed();
        }
    }

    #[test]
    fn place_at_a_door_is_free_again_when_its_line_ends() {
        let open = Arc::default();
        let mut places: Vec<_> = (0..CALLERS_MAX).map(|_| Place::take(&open).unwrap()).collect();
        assert!(Place::take(&open).is_none());
        places.pop();
        assert!(Place::take(&open).is_some());
    }

    #[test]
    fn one_who_never_reads_is_cut_off_at_the_bound() {
        let (folder, mut owner) = (tempfile::tempdir().unwrap(), End::new());
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
    fn a_socket_left_behind_is_replaced_and_a_line_without_an_end_is_none() {
        let (folder, mut owner) = (tempfile::tempdir().unwrap(), End::new());
        std::mem::forget(bind(folder.path()).unwrap().1.set_nonblocking(true));
        let _door = owner.open(folder.path(), 1 << 20);
        let mut half = connect(folder.path()).unwrap();
        half.write_all(b"half a li").unwrap();
        drop(half);
        let (number, _answer) = owner.called();
        assert_eq!(owner.closed(), number);
    }

    #[test]
    fn a_copied_link_leads_nowhere() {
        let (one, other, mut owner) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), End::new());
        let _door = owner.open(one.path(), 1 << 20);
        let link = fs::read_link(one.path().join(LINK)).unwrap();
        symlink(link, other.path().join(LINK)).unwrap();
        assert_eq!(connect(other.path()).unwrap_err().kind(), ErrorKind::NotFound);
        connect(one.path()).unwrap();
        owner.called();
    }

    #[test]
    fn a_place_that_others_may_enter_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(bind_in(dir.path(), dir.path()).unwrap_err().kind(), ErrorKind::PermissionDenied);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        bind_in(dir.path(), dir.path()).unwrap();
    }
}
