//! The socket of a member folder in the file system: its directory, its name, and the link to it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use blake2::{Blake2s256, Digest};
use data_encoding::HEXLOWER;

use crate::base::Phrase;

/// Bytes of the hash in a socket's name. 128 bits: two folders never share a name.
const NAME_LEN: usize = 16;
/// Link in the folder to its socket.
pub(super) const LINK: &str = "socket";
/// Mode of a socket directory: only its owner enters.
const FOLDER_MODE: u32 = 0o700;

/// A socket file that a listener has made.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    /// Device and inode: another file at this path is not ours.
    id: (u64, u64),
}

impl SocketFile {
    /// Whether other processes find the socket through its directory.
    pub(super) fn is_in_place(&self) -> bool {
        let dir_is_usable = self.path.parent().is_some_and(|dir| check(dir).is_ok());
        dir_is_usable && id_of(&self.path).is_ok_and(|id| id == self.id)
    }

    /// Writes the link in `folder` to this socket, unless it is there.
    pub(super) fn link(&self, folder: &Path) -> Result<(), Phrase> {
        let link = folder.join(LINK);
        if fs::read_link(&link).is_ok_and(|path| path == self.path) {
            return Ok(());
        }
        let _ = fs::remove_file(&link);
        symlink(&self.path, &link).map_err(|error| failed(&link, &error))
    }
}

/// Connects to the socket of `folder`.
pub(super) fn connect(folder: &Path) -> io::Result<UnixStream> {
    let path = fs::read_link(folder.join(LINK))?;
    let dir = dir_of(folder, &path).ok_or(ErrorKind::NotFound)?;
    check(dir).map_err(|_| ErrorKind::PermissionDenied)?;
    UnixStream::connect(path)
}

/// Returns why no process can use the socket of `folder`, if its directory is the reason.
pub(super) fn obstacle(folder: &Path) -> Option<Phrase> {
    match fs::read_link(folder.join(LINK)) {
        Ok(path) => {
            let dir = dir_of(folder, &path).filter(|dir| dir.exists())?;
            let fault = check(dir).err()?;
            Some(runs_as_other_user(dir, folder).unwrap_or(fault))
        }
        // No process has found a directory for its socket, or none has looked for one yet.
        Err(_) => candidate_dirs().into_iter().filter(|dir| dir.exists()).find_map(|dir| check(&dir).err()),
    }
}

/// Returns a phrase if the directory `dir` of sockets belongs to another user, and the member
/// folder `folder` to the same one. Then nothing is wrong: root looks at a process of that user.
fn runs_as_other_user(dir: &Path, folder: &Path) -> Option<Phrase> {
    let owner = |path: &Path| fs::symlink_metadata(path).ok().map(|metadata| metadata.uid());
    let uid = owner(dir).filter(|uid| *uid != rustix::process::geteuid().as_raw())?;
    (owner(folder) == Some(uid)).then(|| Phrase::new("socket-of-other-user").with("uid", uid))
}

/// Returns the directory of the socket at `path`. A copy of a folder contains the link of the
/// original, so the name must be that of this folder.
fn dir_of<'a>(folder: &Path, path: &'a Path) -> Option<&'a Path> {
    path.parent().filter(|_| path.ends_with(name(folder)))
}

/// Makes the socket of `folder` in the first usable directory. The phrase names the directory that
/// the user can repair, if there is one.
pub(super) fn bind(folder: &Path) -> Result<(SocketFile, UnixListener), Phrase> {
    let mut first_error: Option<Phrase> = None;
    for dir in candidate_dirs() {
        match bind_in(&dir, folder) {
            Ok((file, listener)) => {
                file.link(folder)?;
                return Ok((file, listener));
            }
            Err(new) if first_error.as_ref().is_none_or(|error| error.key() == "socket-failed") => {
                first_error = Some(new)
            }
            Err(_) => {}
        }
    }
    Err(first_error.expect("there is at least one place"))
}

/// Makes the socket in the directory `dir`. A file that is there belongs to a dead process.
pub(super) fn bind_in(dir: &Path, folder: &Path) -> Result<(SocketFile, UnixListener), Phrase> {
    match DirBuilder::new().mode(FOLDER_MODE).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(dir, &error)),
        _ => check(dir)?,
    }
    let path = dir.join(name(folder));
    let bound = make(&path).map_err(|error| failed(&path, &error))?;
    Ok((SocketFile { path, id: bound.0 }, bound.1))
}

fn make(path: &Path) -> io::Result<((u64, u64), UnixListener)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok((id_of(path)?, listener))
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn failed(path: &Path, error: &io::Error) -> Phrase {
    Phrase::new("socket-failed").with("file", path.display()).with("cause", error)
}

/// Checks that a socket directory is ours and that no other user can enter it.
///
/// # Errors
/// `socket-not-folder`, `socket-folder-foreign` (`uid`), or `socket-folder-open` (`mode`), each
/// with the directory as `folder`; `socket-failed` (`file`, `cause`).
fn check(dir: &Path) -> Result<(), Phrase> {
    let metadata = fs::symlink_metadata(dir).map_err(|error| failed(dir, &error))?;
    let about = |key| Phrase::new(key).with("folder", dir.display());
    if !metadata.is_dir() {
        return Err(about("socket-not-folder"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(about("socket-folder-foreign").with("uid", metadata.uid()));
    }
    match metadata.mode() & 0o777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(about("socket-folder-open").with("mode", format!("{mode:03o}"))),
    }
}

fn candidate_dirs() -> Vec<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let mut candidate_dirs: Vec<PathBuf> = runtime_dir.map(|dir| dir.join("queqiao")).into_iter().collect();
    candidate_dirs.push(PathBuf::from(format!("/run/user/{uid}/queqiao")));
    candidate_dirs.push(PathBuf::from(format!("/tmp/queqiao-{uid}")));
    candidate_dirs
}

fn name(folder: &Path) -> String {
    let absolute = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let hash = Blake2s256::digest(absolute.as_os_str().as_bytes());
    format!("{}.sock", HEXLOWER.encode(&hash[..NAME_LEN]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_open_to_others_is_named_and_not_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let error = bind_in(dir.path(), dir.path()).unwrap_err();
        let phrase = Phrase::new("socket-folder-open").with("folder", dir.path().display());
        assert_eq!(error, phrase.with("mode", "755"));
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        bind_in(dir.path(), dir.path()).unwrap();
    }

    /// As `sudo queqiao send` while a client of the user runs. Another owner of the member folder
    /// shows that the directory is not in its place.
    #[test]
    fn root_is_sent_to_user_whose_client_runs() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let [sockets, folder] = ["sockets", "folder"].map(|name| temp.path().join(name));
        fs::create_dir(&folder).unwrap();
        let (file, _listener) = bind_in(&sockets, &folder).unwrap();
        file.link(&folder).unwrap();
        assert_eq!(obstacle(&folder), None);
        std::os::unix::fs::chown(&sockets, Some(1_234), None).unwrap();
        assert_eq!(obstacle(&folder).unwrap().key(), "socket-folder-foreign");
        std::os::unix::fs::chown(&folder, Some(1_234), None).unwrap();
        assert_eq!(obstacle(&folder), Some(Phrase::new("socket-of-other-user").with("uid", 1_234)));
    }

    #[test]
    fn file_in_place_of_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(bind_in(&file, dir.path()).unwrap_err().key(), "socket-not-folder");
    }

    #[test]
    fn replaced_socket_is_not_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let socket_dir = dir.path().join("sockets");
        let (file, _listener) = bind_in(&socket_dir, dir.path()).unwrap();
        assert!(file.is_in_place());
        let (other, _other_listener) = bind_in(&socket_dir, dir.path()).unwrap();
        assert!(!file.is_in_place() && other.is_in_place());
        fs::remove_dir_all(&socket_dir).unwrap();
        assert!(!other.is_in_place());
    }
}
