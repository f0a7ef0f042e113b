//! Exclusive use of a folder by one process.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::error::StoreError;
use super::files::{io_error, open_private};

/// A folder held by this process until the value is dropped or the process ends.
///
/// The locks are on the folder itself and on the file `lock` in it, which contains the process id
/// for users. If a user removes that file, the folder is still locked. A network file system may
/// not lock folders; there the file alone counts.
#[derive(Debug)]
pub(super) struct FolderLock {
    _held: File,
    _held_folder: Option<File>,
}

/// Reason why a folder could not be locked.
#[derive(Debug)]
pub(super) enum LockError {
    /// The process with this id holds it; `?` if it has not written its id.
    Held(String),
    /// The system refused.
    System(StoreError),
}

impl FolderLock {
    /// Locks the folder without waiting.
    pub(super) fn take(dir: &Path) -> Result<FolderLock, LockError> {
        let path = dir.join("lock");
        let system = |error: io::Error| LockError::System(io_error(&path, &error));
        let mut file = open_private(&path).map_err(system)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&file))),
            Err(TryLockError::Error(error)) => return Err(system(error)),
        }
        let held_folder = match File::open(dir).map(|folder| (folder.try_lock(), folder)) {
            Ok((Ok(()), folder)) => Some(folder),
            Ok((Err(TryLockError::WouldBlock), _)) => return Err(LockError::Held(holder(&file))),
            Ok((Err(TryLockError::Error(_)), _)) | Err(_) => None,
        };
        // The id is for users only. A full disk must not prevent a start, but the file must not
        // name an earlier holder.
        if write_pid(&mut file).is_err() {
            file.set_len(0).map_err(system)?;
        }
        Ok(FolderLock { _held: file, _held_folder: held_folder })
    }
}

/// Whether a process holds the folder.
pub fn is_held(dir: &Path) -> bool {
    let result = File::open(dir).map(|folder| folder.try_lock_shared());
    matches!(result, Ok(Err(TryLockError::WouldBlock)))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    let text = format!("{}\n", std::process::id());
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    // A process id has at most ten digits.
    let _ = file.take(11).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) => pid.to_string(),
        Err(_) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_stays_locked_when_its_lock_file_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let held = FolderLock::take(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        match FolderLock::take(dir.path()) {
            Err(LockError::Held(pid)) => assert_eq!(pid, "?"),
            other => panic!("{other:?}"),
        }
        assert!(is_held(dir.path()));
        drop(held);
        assert!(!is_held(dir.path()));
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn held_folder_reports_holder_and_is_free_after_drop() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "1234567890123").unwrap();
        let held = FolderLock::take(dir.path()).unwrap();
        match FolderLock::take(dir.path()) {
            Err(LockError::Held(pid)) => assert_eq!(pid, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(held);
        FolderLock::take(dir.path()).unwrap();
    }
}
