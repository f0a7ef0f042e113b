//! Watches the address book, so that a running client follows edits.
//!
//! The folder is watched, not the file: editors replace files, and a watch on a file ends with the
//! file. If the book's folder is missing, the nearest existing folder above it is watched. The
//! folder of the file behind a symbolic link is watched too. A change is a change of content,
//! because reading a file produces events as well.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use blake2::{Blake2s256, Digest};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::atomic_write::{folder_of, followed};
use super::locate::read;
use super::{AddressBook, Location};
use crate::base::Phrase;

/// Time without events after which the file is read: one save produces several events.
const QUIET: Duration = Duration::from_millis(50);
/// Maximum waits of [`QUIET`] before the file is read anyway, so that a change is noticed within a
/// second.
const QUIETS_MAX: usize = 6;
/// Polling interval if the system sends no events (no inotify watches left).
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Stops watching when dropped; one call in progress may still finish.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A full channel means that the thread is about to wake up.
        let _ = self.wake.try_send(());
    }
}

/// Reads the book and watches it from then on.
///
/// `changed` is called on a separate thread within a second after the content has changed, and
/// never twice for the same content. A deleted file is reported as `book-missing`. On every error
/// the caller keeps the previous book.
///
/// # Errors
/// The returned book has the errors of [`Location::load`] and is watched even then.
/// `book-watch-failed` (`file`, `why`) if no thread can be started.
pub fn watch(
    location: Location,
    changed: impl FnMut(Result<AddressBook, Phrase>) + Send + 'static,
) -> Result<(Watcher, Result<AddressBook, Phrase>), Phrase> {
    let failed = |error: std::io::Error, file: &str| {
        Phrase::new("book-watch-failed").with("file", file).with("why", error)
    };
    let file = location.file();
    let path = std::path::absolute(&location.path).map_err(|error| failed(error, &file))?;
    let (wake, wakes) = sync_channel(1);
    let stop = Arc::new(AtomicBool::new(false));
    let mut folders = Folders::new(path, wake.clone());
    let has_events = folders.renew();
    let content = read(&location.path);
    let last_seen = fingerprint(&content);
    let book = match content {
        Ok(None) if !location.named => Ok(AddressBook::default()),
        content => book_of(&location, content),
    };
    let watch = WatchThread {
        location,
        folders,
        is_reported: has_events,
        last_seen,
        changed,
        wakes,
        stop: Arc::clone(&stop),
    };
    thread::Builder::new()
        .name("contacts".into())
        .spawn(move || watch.run())
        .map_err(|error| failed(error, &file))?;
    Ok((Watcher { stop, wake }, book))
}

struct WatchThread<F> {
    location: Location,
    folders: Folders,
    /// Whether the system sends events; if not, the file is polled.
    is_reported: bool,
    last_seen: [u8; 32],
    changed: F,
    wakes: Receiver<()>,
    stop: Arc<AtomicBool>,
}

impl<F: FnMut(Result<AddressBook, Phrase>)> WatchThread<F> {
    fn run(mut self) {
        while self.wait() {
            self.is_reported = self.folders.renew();
            let content = read(&self.location.path);
            let now = fingerprint(&content);
            if now != self.last_seen {
                self.last_seen = now;
                (self.changed)(book_of(&self.location, content));
            }
        }
    }

    /// Waits for an event and then for quiet. Returns `false` when watching ends.
    fn wait(&self) -> bool {
        if self.is_reported {
            if self.wakes.recv().is_err() {
                return false;
            }
        } else {
            let _ = self.wakes.recv_timeout(LOOK_INTERVAL);
        }
        for _ in 0..QUIETS_MAX {
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            match self.wakes.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }
}

fn book_of(location: &Location, content: Result<Option<String>, Phrase>) -> Result<AddressBook, Phrase> {
    match content? {
        Some(text) => AddressBook::parse(&text, &location.file()),
        None => Err(location.missing()),
    }
}

/// Returns a hash of the content or of the error, so that an unchanged result can be recognised.
fn fingerprint(content: &Result<Option<String>, Phrase>) -> [u8; 32] {
    let mut hash = Blake2s256::new();
    match content {
        Ok(Some(text)) => hash.update(text),
        Ok(None) => hash.update([0xff]),
        Err(phrase) => hash.update([&[0xfe], phrase.to_string().as_bytes()].concat()),
    }
    hash.finalize().into()
}

/// The watched folders, at most two.
struct Folders {
    path: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: Vec<PathBuf>,
    /// The book and its link target. Events of these files, or of folders above them, are relevant.
    ours: Arc<Mutex<Vec<PathBuf>>>,
}

impl Folders {
    fn new(path: PathBuf, wake: SyncSender<()>) -> Folders {
        let ours = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&ours);
        let tell = move |event: notify::Result<notify::Event>| {
            let ours = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            if event.map_or(true, |event| concerns(&event, &ours)) {
                // One pending wake-up is enough: the channel holds one.
                if let Err(TrySendError::Disconnected(())) = wake.try_send(()) {
                    log::debug!("the address book is no longer watched");
                }
            }
        };
        let watcher = notify::recommended_watcher(tell).ok();
        Folders { path, watcher, watched: Vec::new(), ours }
    }

    /// Renews all watches. Returns whether the system will send events.
    fn renew(&mut self) -> bool {
        let behind = followed(&self.path).unwrap_or_else(|_| self.path.clone());
        let files = vec![self.path.clone(), behind];
        let mut folders: Vec<PathBuf> = files.iter().map(|file| nearest_folder(file)).collect();
        folders.dedup();
        *self.ours.lock().unwrap_or_else(PoisonError::into_inner) = files;
        let Some(watcher) = &mut self.watcher else { return false };
        // A folder that was deleted and created again has the same name but no watch. Renew all of
        // them.
        for folder in self.watched.drain(..) {
            let _ = watcher.unwatch(&folder);
        }
        for folder in folders {
            if watcher.watch(&folder, RecursiveMode::NonRecursive).is_err() {
                return false;
            }
            self.watched.push(folder);
        }
        true
    }
}

fn concerns(event: &notify::Event, ours: &[PathBuf]) -> bool {
    let is_reading = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    };
    let is_near = |path: &PathBuf| ours.iter().any(|file| file.starts_with(path));
    !is_reading && (event.need_rescan() || event.paths.iter().any(is_near))
}

fn nearest_folder(file: &Path) -> PathBuf {
    let mut folder = folder_of(file);
    while !folder.is_dir() {
        folder = folder_of(folder);
    }
    folder.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};

    /// Longer than any loaded machine needs; waiting ends with the event.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct WatchedFolder {
        folder: tempfile::TempDir,
        reported: Receiver<String>,
        _watcher: Watcher,
    }

    fn names(book: Result<AddressBook, Phrase>) -> String {
        match book {
            Ok(book) => book.contacts.iter().map(|c| c.label.as_str()).collect::<Vec<_>>().join(" "),
            Err(phrase) => phrase.key().to_owned(),
        }
    }

    fn watched_folder(file: &str, before: impl FnOnce(&Path)) -> (WatchedFolder, String) {
        let folder = tempfile::tempdir().unwrap();
        before(folder.path());
        let (tell, reported) = channel();
        let location = Location { path: folder.path().join(file), named: false };
        let (watcher, book) = watch(location, move |book| tell.send(names(book)).unwrap()).unwrap();
        (WatchedFolder { folder, reported, _watcher: watcher }, names(book))
    }

    impl WatchedFolder {
        fn write(&self, file: &str, text: &str) {
            fs::write(self.folder.path().join(file), text).unwrap();
        }

        fn next(&self) -> String {
            self.reported.recv_timeout(PATIENCE).expect("the change is reported in time")
        }
    }

    const A: &str = "[contacts]\nA = \"h:1\"\n";
    const B: &str = "[contacts]\nB = \"h:1\"\n";

    #[test]
    fn edit_is_reported_once_and_unchanged_content_never() {
        let (world, first) = watched_folder("c.toml", |folder| fs::write(folder.join("c.toml"), A).unwrap());
        assert_eq!(first, "A");
        world.write("c.toml", A);
        world.write("other.toml", B);
        world.write("c.toml", B);
        assert_eq!(world.next(), "B");
        world.write("c.toml", "[contacts]\nB = \"h\"\n");
        assert_eq!(world.next(), "book-address-no-port");
        world.write("c.toml", A);
        assert_eq!(world.next(), "A");
    }

    #[test]
    fn repeated_atomic_renames_are_followed() {
        let (world, _) = watched_folder("c.toml", |folder| fs::write(folder.join("c.toml"), A).unwrap());
        for n in 0..3 {
            world.write("new", &format!("[contacts]\nN{n} = \"h:1\"\n"));
            fs::rename(world.folder.path().join("new"), world.folder.path().join("c.toml")).unwrap();
            assert_eq!(world.next(), format!("N{n}"));
        }
    }

    #[test]
    fn deletion_and_new_file_are_reported() {
        let (world, _) = watched_folder("c.toml", |folder| fs::write(folder.join("c.toml"), A).unwrap());
        fs::remove_file(world.folder.path().join("c.toml")).unwrap();
        assert_eq!(world.next(), "book-missing");
        world.write("c.toml", A);
        assert_eq!(world.next(), "A");
    }

    #[test]
    fn folders_created_later_or_again_are_watched() {
        let (world, first) = watched_folder("x/y/c.toml", |_| ());
        assert_eq!(first, "");
        for text in [A, B] {
            fs::create_dir_all(world.folder.path().join("x/y")).unwrap();
            world.write("x/y/c.toml", text);
            assert_eq!(world.next(), names(AddressBook::parse(text, "f")));
            fs::remove_dir_all(world.folder.path().join("x")).unwrap();
            assert_eq!(world.next(), "book-missing");
        }
    }

    #[test]
    fn file_behind_link_is_watched() {
        let (world, first) = watched_folder("c.toml", |folder| {
            fs::create_dir(folder.join("real")).unwrap();
            fs::write(folder.join("real/c.toml"), A).unwrap();
            std::os::unix::fs::symlink("real/c.toml", folder.join("c.toml")).unwrap();
        });
        assert_eq!(first, "A");
        world.write("real/c.toml", B);
        assert_eq!(world.next(), "B");
    }

    #[test]
    fn dropped_watcher_stops_thread() {
        let (world, _) = watched_folder("c.toml", |_| ());
        let WatchedFolder { folder, reported, _watcher } = world;
        drop(_watcher);
        fs::write(folder.path().join("c.toml"), A).unwrap();
        // The sender lives in the watching thread, so a closed channel shows that the thread has
        // ended.
        while reported.recv_timeout(PATIENCE).is_ok() {}
        assert_eq!(reported.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected));
    }
}
