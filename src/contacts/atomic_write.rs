//! Writes the address book atomically: after a crash the file is either the old or the new version.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid, fchown};

use super::edit::RemoveError;
use super::locate::read;
use super::{Contact, Location, RelayEntry, add, put_relay, remove, set_blocked, set_me, set_relay_key};
use crate::base::{Fingerprint, HostPort, Name, Phrase};

/// Maximum symbolic links that are followed; more are a loop. Linux itself stops at 40.
const LINKS_MAX: usize = 8;

impl Location {
    /// Adds a contact to the file, which is created if it is missing.
    ///
    /// # Errors
    /// Those of [`add`] and of reading, and `book-unwritable` (`file`, `why`). The file is then
    /// unchanged.
    pub fn add(&self, contact: &Contact) -> Result<(), Phrase> {
        self.change(|text| add(text, &self.file(), contact))
    }

    /// Removes a contact from the file.
    ///
    /// # Errors
    /// Those of [`remove`] and of reading, and `book-unwritable` (`file`, `why`). The file is then
    /// unchanged.
    pub fn remove(&self, label: &str) -> Result<(), RemoveError> {
        if self.named && !self.path.exists() {
            return Err(self.missing().into());
        }
        self.change(|text| remove(text, &self.file(), label))
    }

    /// Blocks or unblocks a contact.
    ///
    /// # Errors
    /// Those of [`set_blocked`] and of reading, and `book-unwritable` (`file`, `why`). The file is
    /// then unchanged.
    pub fn set_blocked(&self, label: &str, blocked: bool) -> Result<(), Phrase> {
        self.change(|text| set_blocked(text, &self.file(), label, blocked))
    }

    /// Writes the user's name, unless the file has one. The file is created if it is missing.
    ///
    /// # Errors
    /// Those of [`set_me`] and of reading, and `book-unwritable` (`file`, `why`). The file is then
    /// unchanged.
    pub fn set_me(&self, name: &Name) -> Result<(), Phrase> {
        self.change(|text| set_me(text, &self.file(), name))
    }

    /// Adds a relay to the file, which is created if it is missing. Returns the relay's name there.
    ///
    /// # Errors
    /// Those of [`put_relay`] and of reading, and `book-unwritable` (`file`, `why`). The file is
    /// then unchanged.
    pub fn put_relay(&self, relay: &RelayEntry) -> Result<Name, Phrase> {
        let mut name = None;
        self.change(|text| {
            let (text, put) = put_relay(text, &self.file(), relay)?;
            name = Some(put);
            Ok::<String, Phrase>(text)
        })?;
        Ok(name.expect("a successful edit sets the name"))
    }

    /// Checks whether [`Location::put_relay`] would succeed; changes nothing.
    ///
    /// # Errors
    /// Those of [`put_relay`] and of reading.
    pub fn try_put_relay(&self, relay: &RelayEntry) -> Result<(), Phrase> {
        put_relay(&read(&self.path)?.unwrap_or_default(), &self.file(), relay).map(drop)
    }

    /// Changes the key of a relay wherever the file has one.
    ///
    /// # Errors
    /// Those of [`set_relay_key`] and of reading, and `book-unwritable` (`file`, `why`). The file
    /// is then unchanged.
    pub fn set_relay_key(&self, relay: &HostPort, key: Fingerprint) -> Result<(), Phrase> {
        self.change(|text| set_relay_key(text, &self.file(), relay, key))
    }

    /// Reads, edits and writes under a lock of the folder, so that no concurrent edit is lost.
    fn change<E: From<Phrase>>(&self, edit: impl FnOnce(&str) -> Result<String, E>) -> Result<(), E> {
        let unwritable = |error: io::Error| unwritable(&self.file(), &error);
        let path = followed(&self.path).map_err(unwritable)?;
        let folder = folder_of(&path);
        create_folders(folder).map_err(unwritable)?;
        let locked_folder = File::open(folder).map_err(unwritable)?;
        match locked_folder.lock() {
            // Not every file system has locks. A book on such a file system is still written
            // atomically.
            Err(error) if error.kind() != ErrorKind::Unsupported => return Err(unwritable(error).into()),
            _ => {}
        }
        let text = read(&path)?.unwrap_or_default();
        let edited = edit(&text)?;
        if edited == text && path.exists() {
            return Ok(());
        }
        check_owner(&path)?;
        let written = replace(&path, folder, &edited).and_then(|()| locked_folder.sync_all());
        Ok(written.map_err(unwritable)?)
    }
}

/// Returns the phrase for an error of the system.
fn unwritable(file: &str, error: &io::Error) -> Phrase {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Phrase::new("store-disk-full").with("file", file).of_disk()
        }
        ErrorKind::ReadOnlyFilesystem => Phrase::new("store-read-only").with("file", file).of_disk(),
        _ => Phrase::new("book-unwritable").with("file", file).with("why", error),
    }
}

/// Replaces the file: writes a new one in the same folder, syncs it and renames it over the old
/// one.
///
/// The new file has the mode and the owner of the old one.
fn replace(path: &Path, folder: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let temp_path = folder.join(format!(".{name}.new"));
    let old = match fs::metadata(path) {
        Ok(old) if old.permissions().readonly() => return Err(ErrorKind::PermissionDenied.into()),
        Ok(old) => Some(old),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let written = write_new(&temp_path, text, old.as_ref()).and_then(|()| fs::rename(&temp_path, path));
    if written.is_err() {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_file(&temp_path);
    }
    written
}

fn write_new(path: &Path, text: &str, old: Option<&Metadata>) -> io::Result<()> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = create().or_else(|error| match error.kind() {
        // Left by a run that was killed. We hold the lock, so no other process is writing it.
        ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| create()),
        _ => Err(error),
    })?;
    match old {
        Some(old) => {
            keep_owner(&file, old)?;
            file.set_permissions(old.permissions())?;
        }
        None => give_to_folder_owner(&file, path)?,
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Checks that the new file can belong to the owner of the old one: only root gives files away.
///
/// # Errors
/// `book-of-other` (`file`).
fn check_owner(path: &Path) -> Result<(), Phrase> {
    let euid = rustix::process::geteuid();
    match fs::metadata(path) {
        Ok(old) if old.uid() != euid.as_raw() && !euid.is_root() => {
            Err(Phrase::new("book-of-other").with("file", path.display()))
        }
        _ => Ok(()),
    }
}

/// Gives the new file to the owner of the old one.
fn keep_owner(new: &File, old: &Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    let owner = Some(Uid::from_raw(old.uid()));
    if own.gid() != old.gid() && fchown(new, owner, Some(Gid::from_raw(old.gid()))).is_ok() {
        return Ok(());
    }
    if own.uid() == old.uid() { Ok(()) } else { Ok(fchown(new, owner, None)?) }
}

/// Gives a file or folder that root has just created at `path` to the owner of the folder it is in,
/// who could not change it otherwise.
fn give_to_folder_owner(created: &File, path: &Path) -> io::Result<()> {
    let folder = fs::metadata(folder_of(path))?;
    if rustix::process::geteuid().is_root() && folder.uid() != 0 {
        fchown(created, Some(Uid::from_raw(folder.uid())), Some(Gid::from_raw(folder.gid())))?;
    }
    Ok(())
}

/// Creates a folder and its parents, as far as they are missing.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if folder_of(folder) != folder {
        create_folders(folder_of(folder))?;
    }
    match fs::create_dir(folder) {
        // Another process has created it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        created => created.and_then(|()| give_to_folder_owner(&File::open(folder)?, folder)),
    }
}

/// Returns the target of symbolic links, which may be missing.
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

/// Returns the folder of a path; `.` for a bare file name.
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
    fn missing_book_is_created_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let book = at(folder.path().join("a/b/contacts.toml"));
        book.add(&contact("JACK")).unwrap();
        assert_eq!(fs::read_to_string(&book.path).unwrap(), "[contacts]\nJACK = \"h:1\"\n");
        assert_eq!(fs::read_dir(book.path.parent().unwrap()).unwrap().count(), 1);
        book.remove("JACK").unwrap();
        assert_eq!(fs::read_to_string(&book.path).unwrap(), "[contacts]\n");
        assert_eq!(
            at(folder.path().join("no")).remove("x").unwrap_err(),
            at(folder.path().join("no")).missing().into()
        );
    }

    #[test]
    fn file_mode_and_symbolic_link_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.toml");
        let link = folder.path().join("contacts.toml");
        fs::write(&real, "# mine\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.toml", &link).unwrap();
        fs::write(folder.path().join(".real.toml.new"), "left by a killed run").unwrap();
        at(link.clone()).add(&contact("JACK")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "# mine\n\n[contacts]\nJACK = \"h:1\"\n");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    /// As after `sudo queqiao contacts add`.
    #[test]
    fn book_written_by_root_keeps_its_owner() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can give files away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let owner = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
        let book = at(folder.path().join("contacts.toml"));
        book.add(&contact("JACK")).unwrap();
        fs::set_permissions(&book.path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&book.path, Some(1_234), Some(5_678)).unwrap();
        book.add(&contact("TOM")).unwrap();
        assert_eq!(owner(&book.path), (1_234, 5_678));
        assert_eq!(fs::metadata(&book.path).unwrap().mode() & 0o777, 0o600);
        std::os::unix::fs::chown(folder.path(), Some(1_234), Some(5_678)).unwrap();
        let fresh = at(folder.path().join("a/b/contacts.toml"));
        fresh.add(&contact("JACK")).unwrap();
        for path in ["a", "a/b", "a/b/contacts.toml"] {
            assert_eq!(owner(&folder.path().join(path)), (1_234, 5_678), "{path}");
        }
    }

    // faults.md: R76
    #[test]
    fn unwritable_book_is_reported_and_left_unchanged() {
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
    fn concurrent_writers_lose_no_edit() {
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
