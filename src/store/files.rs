//! Folders and small files: private, atomic, and in the end on disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::base::Phrase;

/// Only the owner enters a folder with keys in it.
const FOLDER_MODE: u32 = 0o700;

/// Only the owner reads what we write.
const FILE_MODE: u32 = 0o600;

/// No small file of ours comes near this; a larger one is not ours and is not read into memory.
const SMALL_FILE_LEN_MAX: u64 = 1 << 20;

/// Where this user's data is kept unless told otherwise: `$XDG_DATA_HOME/queqiao`, else `~/.local/share/queqiao`
/// (XDG Base Directory Specification). A relay's folder is `relay` in it; members' folders are `members/*`.
///
/// # Errors
/// `store-no-home` if the user has no home folder.
pub fn default_data_dir() -> Result<PathBuf, Phrase> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| Phrase::new("store-no-home"))?;
    Ok(strategy.data_dir().join("queqiao"))
}

/// What a person is told of an error of the system at `path`.
pub(super) fn io_phrase(path: &Path, error: &io::Error) -> Phrase {
    let file = path.display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Phrase::new("store-disk-full").with("file", file)
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Phrase::new("store-not-permitted").with("file", file).with("cause", error)
        }
        ErrorKind::NotADirectory => Phrase::new("store-not-folder").with("file", file),
        _ => Phrase::new("store-io").with("file", file).with("cause", error),
    }
}

/// Makes the folder and those above it, durably; leaves one that is there as it is.
pub(super) fn create_folder(dir: &Path) -> Result<(), Phrase> {
    let missing = match fs::metadata(dir) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(Phrase::new("store-not-folder").with("file", dir.display())),
        Err(error) => error,
    };
    let above = match (missing.kind(), dir.parent()) {
        (ErrorKind::NotFound | ErrorKind::NotADirectory, Some(above)) => above,
        _ => return Err(io_phrase(dir, &missing)),
    };
    if !above.as_os_str().is_empty() {
        create_folder(above)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io_phrase(dir, &error)),
        _ => sync_folder_of(dir).map_err(|error| io_phrase(dir, &error)),
    }
}

/// Opens a file for reading and writing, private if it is new, without changing what is in it.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// Reads a small text file; `None` if there is none.
pub(super) fn read_small(path: &Path) -> Result<Option<(File, Vec<u8>)>, Phrase> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_phrase(path, &error)),
    };
    let mut bytes = Vec::new();
    let read = (&file).take(SMALL_FILE_LEN_MAX).read_to_end(&mut bytes);
    read.map_err(|error| io_phrase(path, &error))?;
    Ok(Some((file, bytes)))
}

/// Puts a private file with these bytes in place of `path`: after a crash at any moment there is the old file or the
/// new one, whole. The caller holds the lock that keeps other writers of `path` away.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Phrase> {
    let mut name = path.file_name().expect("the store names its files").to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let written = write_and_rename(&fresh, path, bytes);
    written.map_err(|error| {
        // Best effort: the next write replaces it as well.
        let _ = fs::remove_file(&fresh);
        io_phrase(path, &error)
    })
}

fn write_and_rename(fresh: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One left by a crash may have another owner or mode.
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(fresh, path)?;
    sync_folder_of(path)
}

/// Makes the entry of `path` in its folder durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn new_folders_and_files_are_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        assert_eq!((mode(&deep), mode(&dir.path().join("a"))), (0o700, 0o700));
        let file = deep.join("f");
        fs::write(deep.join("f.new"), "left by a crash, and longer").unwrap();
        for text in ["one", "two"] {
            write_atomically(&file, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(mode(&file), 0o600);
        }
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn each_place_that_holds_no_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("x"), file.join("x/y")] {
            let told = Phrase::new("store-not-folder").with("file", file.display());
            assert_eq!(create_folder(&path), Err(told), "{path:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_place_that_takes_no_folder_is_named() {
        // Nobody makes folders in /proc, not even root.
        let error = create_folder(Path::new("/proc/queqiao")).unwrap_err();
        assert!(["store-io", "store-not-permitted"].contains(&error.key()), "{error}");
        assert_eq!(error.args()[0], ("file", "/proc/queqiao".to_owned()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_of_the_system_get_their_own_phrase() {
        let table = [
            (28, "store-disk-full"),  // ENOSPC
            (122, "store-disk-full"), // EDQUOT
            (27, "store-disk-full"),  // EFBIG
            (13, "store-not-permitted"),
            (1, "store-not-permitted"),
            (30, "store-not-permitted"), // EROFS
            (20, "store-not-folder"),
            (5, "store-io"),
        ];
        for (errno, key) in table {
            let phrase = io_phrase(Path::new("/d/f"), &io::Error::from_raw_os_error(errno));
            assert_eq!((phrase.key(), phrase.args()[0].1.as_str()), (key, "/d/f"), "{errno}");
        }
    }
}
