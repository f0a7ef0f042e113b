//! Where the book is, and reading it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::Book;
use super::place::Page;
use crate::base::Phrase;

/// The largest address book, in bytes: some ten thousand contacts; more is another file by mistake.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

const FILE: &str = "contacts.toml";

/// Which file is the address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file; it need not be there.
    pub path: PathBuf,
    /// Whether the user named it: then it must be there.
    pub named: bool,
}

/// Where the book is: the file the user named, else `./contacts.toml`, else `$XDG_CONFIG_HOME/queqiao/contacts.toml`,
/// where a new one is made.
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
    /// Reads the book; an empty one if there is no file and the user named none.
    ///
    /// # Errors
    ///
    /// `book-missing` (`file`), `book-unreadable` (`file`, `why`), `book-too-big`, `book-not-utf8`, and all of
    /// [`Book::parse`].
    pub fn load(&self) -> Result<Book, Phrase> {
        match read(&self.path)? {
            Some(text) => Book::parse(&text, &self.file()),
            None if self.named => Err(self.missing()),
            None => Ok(Book::default()),
        }
    }

    /// Reads the book that is to be edited; an empty one if there is no file yet.
    ///
    /// # Errors
    ///
    /// Those of [`Location::load`], but a missing file is no error.
    pub fn load_or_new(&self) -> Result<Book, Phrase> {
        Location { named: false, ..self.clone() }.load()
    }

    /// What the file is called in phrases.
    pub fn file(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn missing(&self) -> Phrase {
        Phrase::new("book-missing").with("file", self.file())
    }
}

/// The whole text of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Phrase> {
    let file = path.display();
    let unreadable =
        |why: std::io::Error| Phrase::new("book-unreadable").with("file", path.display()).with("why", why);
    let mut bytes = Vec::new();
    let opened = match File::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(unreadable)?,
    };
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Phrase::new("book-too-big").with("file", file).with("most", FILE_BYTES_MAX));
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let good = std::str::from_utf8(good).expect("valid up to here, as it said");
        let page = Page::new(good, "");
        Phrase::new("book-not-utf8").with("file", file).with("line", page.line(good.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_this_folder_then_the_configuration() {
        let (here, config) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (here, config) = (here.path(), config.path());
        let flag = locate_among(Some(Path::new("x.toml")), here, Some(config));
        assert_eq!(flag, Location { path: "x.toml".into(), named: true });
        let far = locate_among(None, here, Some(config));
        assert_eq!(far, Location { path: config.join("queqiao/contacts.toml"), named: false });
        assert_eq!(far.load(), Ok(Book::default()));
        std::fs::write(here.join("contacts.toml"), "[contacts]\nA = \"h:1\"").unwrap();
        let near = locate_among(None, here, Some(config));
        assert_eq!(near.path, here.join("contacts.toml"));
        assert_eq!(near.load().unwrap().contacts.len(), 1);
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no.toml");
        let error = locate(Some(&path)).load().unwrap_err();
        assert_eq!((error.key(), error.args()[0].1.as_str()), ("book-missing", path.to_str().unwrap()));
        assert_eq!(locate(Some(folder.path())).load().unwrap_err().key(), "book-unreadable");
    }

    #[test]
    fn other_encodings_and_other_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(&path, b"[contacts]\n\"\xd2\xbb\xbf\xc3\xca\xf7\" = \"h:1\"\n").unwrap();
        let error = locate(Some(&path)).load().unwrap_err();
        assert_eq!((error.key(), error.args()[1].1.as_str()), ("book-not-utf8", "2"));
        std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(locate(Some(&path)).load().unwrap_err().key(), "book-too-big");
    }
}
