//! Locates and reads the address book.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use rustix::io::Errno;

use super::AddressBook;
use super::position::SourceText;
use crate::base::Phrase;

/// Maximum size of an address book, in bytes: about ten thousand contacts.
///
/// A larger file was probably named by mistake.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

const FILE: &str = "contacts.toml";

/// The file of the address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Path of the file, which may be missing.
    pub path: PathBuf,
    /// Whether the user named the file; then it must exist.
    pub named: bool,
}

/// Returns the location of the address book.
///
/// The file that the user named, else `./contacts.toml`, else
/// `$XDG_CONFIG_HOME/queqiao/contacts.toml`, where a new book is created.
pub fn locate(flag: Option<&Path>) -> Location {
    let config = etcetera::choose_base_strategy().ok().map(|dirs| dirs.config_dir());
    locate_among(flag, Path::new("."), config.as_deref())
}

fn locate_among(flag: Option<&Path>, here: &Path, config: Option<&Path>) -> Location {
    if let Some(path) = flag {
        return Location { path: path.to_owned(), named: true };
    }
    let path = match config {
        Some(config) if !here.join(FILE).is_file() => config.join("queqiao").join(FILE),
        _ if here == Path::new(".") => PathBuf::from(FILE),
        _ => here.join(FILE),
    };
    Location { path, named: false }
}

impl Location {
    /// Reads the book. Returns an empty one if the file is missing and the user named none.
    ///
    /// # Errors
    /// `book-missing` (`file`), `book-unreadable` (`file`, `why`), `book-too-big`, `book-not-utf8`,
    /// and all errors of [`AddressBook::parse`].
    pub fn load(&self) -> Result<AddressBook, Phrase> {
        match read(&self.path)? {
            Some(text) => AddressBook::parse(&text, &self.file()),
            None if self.named => Err(self.missing()),
            None => Ok(AddressBook::default()),
        }
    }

    /// Reads the book for editing. Returns an empty one if the file is missing.
    ///
    /// # Errors
    /// Those of [`Location::load`] except `book-missing`.
    pub fn load_or_new(&self) -> Result<AddressBook, Phrase> {
        Location { named: false, ..self.clone() }.load()
    }

    /// Returns the name of the file for phrases.
    pub fn file(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn missing(&self) -> Phrase {
        Phrase::new("book-missing").with("file", self.file())
    }
}

/// Returns the whole text of a file; `None` if it is missing.
pub(super) fn read(path: &Path) -> Result<Option<String>, Phrase> {
    let file = path.display();
    let unreadable = |error: std::io::Error| match Errno::from_io_error(&error) {
        Some(Errno::IO) => {
            Phrase::new("store-io").with("file", path.display()).with("cause", error).of_disk()
        }
        Some(Errno::MFILE | Errno::NFILE) => Phrase::new("store-no-files").with("file", path.display()),
        _ => Phrase::new("book-unreadable").with("file", path.display()).with("why", error),
    };
    let mut bytes = Vec::new();
    let opened = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(unreadable)?,
    };
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Phrase::new("book-too-big").with("file", file).with("most", FILE_BYTES_MAX));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let good = std::str::from_utf8(good).expect("`valid_up_to` ends on valid UTF-8");
        let source = SourceText::new(good, "");
        Phrase::new("book-not-utf8").with("file", file).with("line", source.line(good.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_wins_then_current_folder_then_configuration() {
        let here = tempfile::tempdir().unwrap();
        let here = here.path();
        let config = tempfile::tempdir().unwrap();
        let config = config.path();
        let flag = locate_among(Some(Path::new("x.toml")), here, Some(config));
        assert_eq!(flag, Location { path: "x.toml".into(), named: true });
        let far = locate_among(None, here, Some(config));
        assert_eq!(far, Location { path: config.join("queqiao/contacts.toml"), named: false });
        assert_eq!(far.load(), Ok(AddressBook::default()));
        std::fs::write(here.join("contacts.toml"), "[contacts]\nA = \"h:1\"").unwrap();
        let near = locate_among(None, here, Some(config));
        assert_eq!(near.path, here.join("contacts.toml"));
        assert_eq!(near.load().unwrap().contacts.len(), 1);
    }

    #[test]
    fn missing_file_named_by_user_is_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no.toml");
        let error = locate(Some(&path)).load().unwrap_err();
        assert_eq!(error.key(), "book-missing");
        let file = error.args()[0].1.as_str();
        assert_eq!(file, path.to_str().unwrap());
        assert_eq!(locate(Some(folder.path())).load().unwrap_err().key(), "book-unreadable");
    }

    #[test]
    fn wrong_encoding_and_oversized_file_are_different_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, b"[contacts]\n\"\xd2\xbb\xbf\xc3\xca\xf7\" = \"h:1\"\n").unwrap();
        let error = locate(Some(&path)).load().unwrap_err();
        assert_eq!(error.key(), "book-not-utf8");
        let line = error.args()[1].1.as_str();
        assert_eq!(line, "2");
        std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(locate(Some(&path)).load().unwrap_err().key(), "book-too-big");
    }
}
