//! Writing the book: whole or not at all, whoever pulls the plug.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::locate::read;
use super::{Contact, Location, RelaySpec, add, put_relay, remove, set_blocked, set_relay_key};
use crate::base::{Fingerprint, HostPort, Name, Phrase};

/// Symbolic links followed to the file; more are a loop (Linux gives up at 40, we need not).
const LINKS_MAX: usize = 8;

impl Location {
    /// Adds a contact to the file, which is made if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`add`] and of reading, and `book-unwritable` (`file`, `why`); the file is then as it was.
    pub fn add(&self, contact: &Contact) -> Result<(), Phrase> {
        self.change(|text| add(text, &self.file(), contact))
    }

    /// Takes a contact out of the file.
    ///
    /// # Errors
    ///
    /// Those of [`remove`] and of reading, and `book-unwritable` (`file`, `why`); the file is then as it was.
    pub fn remove(&self, label: &str) -> Result<(), Phrase> {
        if self.named && !self.path.exists() {
            return Err(self.missing());
        }
        self.change(|text| remove(text, &self.file(), label))
    }

    /// Blocks a contact, or takes letters from it again.
    ///
    /// # Errors
    ///
    /// Those of [`set_blocked`] and of reading, and `book-unwritable` (`file`, `why`); the file is then as it was.
    pub fn set_blocked(&self, label: &str, blocked: bool) -> Result<(), Phrase> {
        self.change(|text| set_blocked(text, &self.file(), label, blocked))
    }

    /// Adds a relay to the file, which is created if it is missing; returns the relay's name there.
    ///
    /// # Errors
    ///
    /// Those of [`put_relay`] and of reading, and `book-unwritable` (`file`, `why`); the file is then as it was.
    pub fn put_relay(&self, relay: &RelaySpec) -> Result<Name, Phrase> {
        let mut name = None;
        self.change(|text| {
            let (text, put) = put_relay(text, &self.file(), relay)?;
            name = Some(put);
            Ok(text)
        })?;
        Ok(name.expect("the edit has named it"))
    }

    /// Whether [`Location::put_relay`] would find a mistake; changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`put_relay`] and of reading.
    pub fn try_put_relay(&self, relay: &RelaySpec) -> Result<(), Phrase> {
        put_relay(&read(&self.path)?.unwrap_or_default(), &self.file(), relay).map(drop)
    }

    /// Changes the key of a relay wherever the file has one.
    ///
    /// # Errors
    ///
    /// Those of [`set_relay_key`] and of reading, and `book-unwritable` (`file`, `why`); the file is then as it was.
    pub fn set_relay_key(&self, relay: &HostPort, key: Fingerprint) -> Result<(), Phrase> {
        self.change(|text| set_relay_key(text, &self.file(), relay, key))
    }

    /// Reads, edits and writes under a lock of the folder, so that two commands at once both count.
    fn change(&self, edit: impl FnOnce(&str) -> Result<String, Phrase>) -> Result<(), Phrase> {
        let unwritable =
            |why: io::Error| Phrase::new("book-unwritable").with("file", self.file()).with("why", why);
        let path = followed(&self.path).map_err(unwritable)?;
        let folder = folder_of(&path);
        fs::create_dir_all(folder).map_err(unwritable)?;
        let held = File::open(folder).map_err(unwritable)?;
        match held.lock() {
            // Not every file system has locks; a book on such a one is still written whole.
            Err(why) if why.kind() != ErrorKind::Unsupported => return Err(unwritable(why)),
            _ => {}
        }
        let text = read(&path)?.unwrap_or_default();
        let edited = edit(&text)?;
        if edited == text && path.exists() {
            return Ok(());
        }
        replace(&path, folder, &edited).and_then(|()| held.sync_all()).map_err(unwritable)
    }
}

/// Puts a new file in the place of the old: written beside it, synced, renamed over it, with the old one's mode.
fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    let permissions = match fs::metadata(path) {
        Ok(old) if old.permissions().readonly() => return Err(ErrorKind::PermissionDenied.into()),
        Ok(old) => Some(old.permissions()),
        Err(why) if why.kind() == ErrorKind::NotFound => None,
        Err(why) => return Err(why),
    };
    let written = write_new(&beside, text, permissions).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Best effort: what matters is the error that brought us here.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(path: &Path, text: &str, permissions: Option<fs::Permissions>) -> io::Result<()> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = create().or_else(|why| match why.kind() {
        // Left by a run that was killed: the lock says nobody is writing it now.
        ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| create()),
        _ => Err(why),
    })?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The file behind symbolic links, which need not be there yet.
pub(super) fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// The folder a path is in; `.` for a bare file name.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn at(path: PathBuf) -> Location {
        Location { path, named: true }
    }

    fn contact(name: &str) -> Contact {
        Contact::new(name.parse().unwrap(), "h:1".parse().unwrap())
    }

    #[test]
    fn a_missing_book_is_made_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let book = at(folder.path().join("a/b/contacts.toml"));
        book.add(&contact("JACK")).unwrap();
        assert_eq!(fs::read_to_string(&book.path).unwrap(), "[contacts]\nJACK = \"h:1\"\n");
        assert_eq!(fs::read_dir(book.path.parent().unwrap()).unwrap().count(), 1);
        book.remove("JACK").unwrap();
        assert_eq!(fs::read_to_string(&book.path).unwrap(), "[contacts]\n");
        assert_eq!(at(folder.path().join("no")).remove("x").unwrap_err().key(), "book-missing");
    }

    #[test]
    fn the_mode_and_a_symbolic_link_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.toml"), folder.path().join("contacts.toml"));
        fs::write(&real, "# mine\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.toml", &link).unwrap();
        fs::write(folder.path().join(".real.toml.new"), "left by a killed run").unwrap();
        at(link.clone()).add(&contact("JACK")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "# mine\n\n[contacts]\nJACK = \"h:1\"\n");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn row_76_a_book_that_cannot_be_written_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contacts.toml");
        fs::write(&path, "# mine\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert_eq!(at(path.clone()).add(&contact("A")).unwrap_err().key(), "book-unwritable");
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
        let looped = folder.path().join("loop");
        symlink("loop", &looped).unwrap();
        assert_eq!(at(looped).add(&contact("A")).unwrap_err().key(), "book-unwritable");
    }

    #[test]
    fn two_writers_at_once_both_count() {
        let folder = tempfile::tempdir().unwrap();
        let book = at(folder.path().join("contacts.toml"));
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let book = &book;
                scope.spawn(move || {
                    for n in 0..5 {
                        book.add(&contact(&format!("w{writer}-{n}"))).unwrap();
                    }
                });
            }
        });
        assert_eq!(book.load().unwrap().contacts.len(), 20);
    }
}
