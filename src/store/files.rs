//! Private folders, and small files that are written atomically and durably.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::base::Phrase;

/// Mode of folders: only the owner enters a folder with keys in it.
const FOLDER_MODE: u32 = 0o700;

/// Mode of files: only the owner reads them.
const FILE_MODE: u32 = 0o600;

/// Maximum bytes read of a small file. Our files are far smaller, so a larger one is foreign and
/// must not fill memory.
const SMALL_FILE_LEN_MAX: u64 = 1 << 20;

/// Returns the default data folder of this user: `$XDG_DATA_HOME/queqiao`, else
/// `~/.local/share/queqiao` (XDG Base Directory Specification). It contains a relay's folder
/// `relay` and the members' folders `members/*`.
///
/// # Errors
/// Returns `store-no-home` if the user has no home folder.
pub fn default_data_dir() -> Result<PathBuf, Phrase> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| Phrase::new("store-no-home"))?;
    Ok(strategy.data_dir().join("queqiao"))
}

/// Returns the phrase for a system error at `path`.
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

/// Creates the folder and its parents durably. Leaves an existing folder unchanged.
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

/// Opens a file for reading and writing without changing its content. A new file is private.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// Reads a small text file. Returns `None` if it does not exist.
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

/// Replaces `path` by a private file with these bytes. After a crash at any moment the file is
/// either the old or the new one. The caller must hold the lock that excludes other writers.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Phrase> {
    let mut name = path.file_name().expect("every path of the store has a file name").to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let written = write_and_rename(&fresh, path, bytes);
    written.map_err(|error| {
        // Best effort: the next write replaces it too.
        let _ = fs::remove_file(&fresh);
        io_phrase(path, &error)
    })
}

fn write_and_rename(fresh: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A file left by a crash may have another owner or mode.
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

/// Makes the directory entry of `path` durable.
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
        assert_eq!(mode(&deep), 0o700);
        assert_eq!(mode(&dir.path().join("a")), 0o700);
        let file = deep.join("f");
        fs::write(deep.join("f.new"), "left by a crash, and longer").unwrap();
        for text in ["one", "two"] {
            write_atomically(&file, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(mode(&file), 0o600);
        }
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn non_folder_in_path_is_reported() {
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
    fn uncreatable_folder_is_reported() {
        // Not even root can create folders in /proc.
        let error = create_folder(Path::new("/proc/queqiao")).unwrap_err();
        assert!(["store-io", "store-not-permitted"].contains(&error.key()), "{error}");
        assert_eq!(error.args()[0], ("file", "/proc/queqiao".to_owned()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn system_errors_get_their_own_phrases() {
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
            assert_eq!(phrase.key(), key, "{errno}");
            assert_eq!(phrase.args()[0].1, "/d/f", "{errno}");
        }
    }
}
