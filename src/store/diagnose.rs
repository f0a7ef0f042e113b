//! Asks the system why SQLite could not use a file: SQLite itself only reports "unable to open".
//!
//! Opens no database file, because closing it would drop SQLite's locks on it.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};
use rustix::io::Errno;

use super::error::StoreError;
use super::files::{folder_of, io_error};

/// Bytes that SQLite needs to open a database: its shared index has 32 KiB.
const ROOM: u64 = 64 << 10;
/// Files that SQLite opens for a database: the database, its log, its shared index, and its folder.
const FILES: usize = 4;

/// Returns the cause of a failure at `path`, if the system still shows one.
pub(super) fn diagnose(path: &Path) -> Option<StoreError> {
    let folder = folder_of(path);
    let handles: io::Result<Vec<File>> = (0..FILES).map(|_| File::open(folder)).collect();
    if let Err(error) = handles {
        return Some(io_error(path, &error));
    }
    if is_read_only(path) {
        return Some(io_error(path, &Errno::ROFS.into()));
    }
    let denied =
        |file: &Path, access_mode| access(file, access_mode).err().filter(|error| *error == Errno::ACCESS);
    for (file, access_mode) in
        [(path, Access::READ_OK | Access::WRITE_OK), (folder, Access::WRITE_OK | Access::EXEC_OK)]
    {
        if let Some(error) = denied(file, access_mode) {
            return Some(io_error(file, &error.into()));
        }
    }
    let room = statvfs(folder).map_or(ROOM, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    (room < ROOM).then(|| io_error(path, &Errno::NOSPC.into()))
}

/// Whether `path` is on a file system that nothing can be written to.
fn is_read_only(path: &Path) -> bool {
    statvfs(folder_of(path)).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorCause;

    #[test]
    fn healthy_folder_shows_no_cause() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(diagnose(&dir.path().join("x.sqlite")), None);
    }

    #[test]
    fn missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = diagnose(&dir.path().join("gone/x.sqlite")).unwrap();
        assert!(matches!(error.cause, StoreErrorCause::Io(_)));
        assert!(error.path.ends_with("gone/x.sqlite"), "{error}");
    }
}
