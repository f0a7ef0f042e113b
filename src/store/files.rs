//! Private folders, and small files that are written atomically and durably.
//!
//! Private files are not opened through symbolic links, and not in folders that other users may
//! write. Files that root creates belong to the owner of their folder, who could not open them
//! otherwise.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use rustix::io::Errno;

use super::error::{StoreError, StoreErrorCause};
/// Mode of folders: only the owner enters a folder with keys in it.
const FOLDER_MODE: u32 = 0o700;

/// Mode of files: only the owner reads them.
const FILE_MODE: u32 = 0o600;

/// Mode bits of a folder that others than its owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// Flag of an open that fails at a symbolic link, which another user may have put there.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Maximum bytes read of a small file. Our files are far smaller, so a larger one is foreign and
/// must not fill memory.
const SMALL_FILE_LEN_MAX: u64 = 1 << 20;

/// Returns the default data folder of this user: `$XDG_DATA_HOME/queqiao`, else
/// `~/.local/share/queqiao` (XDG Base Directory Specification). It contains a relay's folder
/// `relay` and the members' folders `members/*`.
///
/// # Errors
/// Returns `NoHome` if the user has no home folder.
pub fn default_data_dir() -> Result<PathBuf, StoreError> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| StoreErrorCause::NoHome.alone())?;
    Ok(strategy.data_dir().join("queqiao"))
}

/// Converts an error of the system at `path`.
pub(super) fn io_error(path: &Path, error: &io::Error) -> StoreError {
    match Errno::from_io_error(error) {
        Some(Errno::LOOP) => return StoreErrorCause::Link.at(path),
        Some(Errno::MFILE | Errno::NFILE) => return StoreErrorCause::NoFilesLeft.at(path),
        Some(Errno::ROFS) => return StoreErrorCause::ReadOnly.at(path),
        _ => {}
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreErrorCause::DiskFull.at(path)
        }
        ErrorKind::PermissionDenied => StoreErrorCause::NotPermitted(error.to_string()).at(path),
        ErrorKind::NotADirectory => not_folder(path),
        _ => StoreErrorCause::Io(error.to_string()).at(path),
    }
}

/// Returns the error for a path with a file in place of a folder. It names that file.
fn not_folder(path: &Path) -> StoreError {
    let is_file = |above: &&Path| fs::metadata(above).is_ok_and(|metadata| !metadata.is_dir());
    let file = path.ancestors().find(is_file).unwrap_or(path);
    StoreErrorCause::NotFolder.at(file)
}

/// Writes files that are not private into a folder, which is created if it is missing.
///
/// # Errors
/// An error of the system.
pub fn write_documents(dir: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), StoreError> {
    fs::create_dir_all(dir).map_err(|error| io_error(dir, &error))?;
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(|error| io_error(&path, &error))?;
    }
    Ok(())
}

/// Creates the private folder and its parents durably. Leaves an existing folder unchanged.
///
/// # Errors
/// Those of [`check_folder`], and an error of the system.
pub(super) fn create_folder(dir: &Path) -> Result<(), StoreError> {
    create_missing(dir)?;
    check_folder(dir)
}

/// Checks that only the owner of a folder may write in it. A missing folder is not an error.
///
/// # Errors
/// `FolderOpen`.
pub(super) fn check_folder(dir: &Path) -> Result<(), StoreError> {
    let mode = fs::metadata(dir).map_or(0, |metadata| metadata.mode());
    if mode & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let mode = format!("{:03o}", mode & 0o7777);
    Err(StoreErrorCause::FolderOpen(mode).at(dir))
}

fn create_missing(dir: &Path) -> Result<(), StoreError> {
    let missing = match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => return Err(not_folder(dir)),
        Err(error) => error,
    };
    let above = match (missing.kind(), dir.parent()) {
        (ErrorKind::NotFound | ErrorKind::NotADirectory, Some(above)) => above,
        _ => return Err(io_error(dir, &missing)),
    };
    if !above.as_os_str().is_empty() {
        create_missing(above)?;
    }
    let created = match DirBuilder::new().mode(FOLDER_MODE).create(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| give_to_folder_owner(&File::open(dir)?, dir)),
    };
    created.and_then(|()| sync_folder_of(dir)).map_err(|error| io_error(dir, &error))
}

/// Opens a private file for reading and writing without changing its content. Creates it if it is
/// missing. Fails at a symbolic link.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut existing = OpenOptions::new();
    existing.read(true).write(true).custom_flags(NO_FOLLOW);
    match existing.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => match create_private(path) {
            // Another process has created it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => existing.open(path),
            created => created,
        },
        opened => opened,
    }
}

/// Opens a private file for reading. Fails at a symbolic link.
pub(super) fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NO_FOLLOW).open(path)
}

fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
    give_to_folder_owner(&file, path)?;
    Ok(file)
}

/// Gives a file or folder that root has just created at `path` to the owner of the folder it is in.
fn give_to_folder_owner(created: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{Gid, Uid, fchown};

    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = fs::metadata(folder_of(path))?;
    if folder.uid() != 0 {
        fchown(created, Some(Uid::from_raw(folder.uid())), Some(Gid::from_raw(folder.gid())))?;
    }
    Ok(())
}

/// Reads a small text file. Returns `None` if it does not exist.
pub(super) fn read_small(path: &Path) -> Result<Option<(File, Vec<u8>)>, StoreError> {
    let file = match open_to_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path, &error)),
    };
    let mut bytes = Vec::new();
    let read = (&file).take(SMALL_FILE_LEN_MAX).read_to_end(&mut bytes);
    read.map_err(|error| io_error(path, &error))?;
    Ok(Some((file, bytes)))
}

/// Replaces `path` by a private file with these bytes. After a crash at any moment the file is
/// either the old or the new one. The caller must hold the lock that excludes other writers.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut name = path.file_name().expect("every path of the store has a file name").to_owned();
    name.push(".new");
    let temp_path = path.with_file_name(name);
    let written = write_and_rename(&temp_path, path, bytes);
    written.map_err(|error| {
        // Best effort: the next write replaces it too.
        let _ = fs::remove_file(&temp_path);
        io_error(path, &error)
    })
}

fn write_and_rename(temp_path: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A file left by a crash may have another owner or mode.
    match fs::remove_file(temp_path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_private(temp_path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temp_path, path)?;
    sync_folder_of(path)
}

/// Makes the directory entry of `path` durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Returns the folder that a path is in; `.` for a bare file name.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
    fn private_file_is_not_opened_through_symbolic_link() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for target_exists in [false, true] {
            for error in [open_private(&link).unwrap_err(), open_to_read(&link).unwrap_err()] {
                assert!(matches!(io_error(&link, &error).cause, StoreErrorCause::Link), "{target_exists}");
            }
            assert_eq!(target.exists(), target_exists);
            fs::write(&target, "x").unwrap();
        }
        assert!(matches!(read_small(&link).unwrap_err().cause, StoreErrorCause::Link));
        write_atomically(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "x", "the link itself is replaced");
    }

    #[test]
    fn folder_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o777, 0o702, 0o770, 0o1777, 0o720] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = create_folder(dir.path()).unwrap_err();
            assert_eq!(error, StoreErrorCause::FolderOpen(format!("{mode:03o}")).at(dir.path()));
            create_folder(&dir.path().join(format!("{mode:o}"))).unwrap();
        }
        for mode in [0o700, 0o755, 0o750] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            create_folder(dir.path()).unwrap();
        }
    }

    #[test]
    fn files_of_root_belong_to_owner_of_folder() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can give files away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let owner = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
        std::os::unix::fs::chown(dir.path(), Some(1_234), Some(5_678)).unwrap();
        let deep = dir.path().join("a/b");
        create_folder(&deep).unwrap();
        open_private(&deep.join("opened")).unwrap();
        write_atomically(&deep.join("written"), b"x").unwrap();
        for name in ["", "opened", "written"] {
            assert_eq!(owner(&deep.join(name)), (1_234, 5_678), "{name}");
        }
        assert_eq!(owner(&dir.path().join("a")), (1_234, 5_678));
    }

    #[test]
    fn non_folder_in_path_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("x"), file.join("x/y")] {
            let expected = StoreErrorCause::NotFolder.at(&file);
            assert_eq!(create_folder(&path), Err(expected), "{path:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn uncreatable_folder_is_reported() {
        // Not even root can create folders in /proc.
        let error = create_folder(Path::new("/proc/queqiao")).unwrap_err();
        assert!(matches!(error.cause, StoreErrorCause::Io(_) | StoreErrorCause::NotPermitted(_)), "{error}");
        assert_eq!(error.path, "/proc/queqiao");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn system_errors_get_their_own_causes() {
        use StoreErrorCause::{DiskFull, Link, NoFilesLeft, NotFolder, ReadOnly};
        let error = |errno: i32| io::Error::from_raw_os_error(errno);
        let denied = |errno| StoreErrorCause::NotPermitted(error(errno).to_string());
        let table = [
            (28, DiskFull),  // ENOSPC
            (122, DiskFull), // EDQUOT
            (27, DiskFull),  // EFBIG
            (13, denied(13)),
            (1, denied(1)),
            (30, ReadOnly),    // EROFS
            (24, NoFilesLeft), // EMFILE
            (23, NoFilesLeft), // ENFILE
            (40, Link),        // ELOOP
            (20, NotFolder),
            (5, StoreErrorCause::Io(error(5).to_string())),
        ];
        for (errno, cause) in table {
            let path = Path::new("/d/f");
            assert_eq!(io_error(path, &error(errno)), cause.at(path), "{errno}");
        }
    }
}
