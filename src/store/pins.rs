//! The known keys of relays on this machine.
//!
//! ```toml
//! ["127.0.0.1:8081"]
//! key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
//! first_seen = "2026-01-31T12:00:00Z"
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, Unit};
use serde::Deserialize;
use toml::Spanned;

use super::error::{StoreError, StoreErrorCause};
use super::files::{check_folder, create_folder, io_error, open_private, read_small, write_atomically};
use crate::base::{HostPort, PublicKey};

const HEADER: &str = "\
# The keys of the relays this machine knows; a relay that shows another one is refused.
# Written by queqiao. To accept or replace a key: queqiao trust
";

/// The pinned key of one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Key that the relay must prove.
    pub key: PublicKey,
    /// Time when the relay first showed this key, or the user accepted it; whole seconds.
    pub first_seen: Timestamp,
}

/// `known_relays.toml` in the data folder, shared by all members of the machine.
///
/// Holds the content of the file as last read. A change reads it again under a lock, so that no
/// process undoes a change of another.
#[derive(Clone, Debug)]
pub struct Pins {
    path: PathBuf,
    by_relay: BTreeMap<HostPort, Pin>,
}

impl Pins {
    /// Reads the pins in this data folder. Returns none if the file or folder does not exist.
    ///
    /// # Errors
    /// Returns `PinsDamaged`, `FolderOpen`, or
    /// an error of the system.
    pub fn load(data_dir: &Path) -> Result<Pins, StoreError> {
        check_folder(data_dir)?;
        let mut pins = Pins { path: data_dir.join("known_relays.toml"), by_relay: BTreeMap::new() };
        pins.read()?;
        Ok(pins)
    }

    /// Returns the pin of this relay.
    pub fn get(&self, relay: &HostPort) -> Option<Pin> {
        self.by_relay.get(relay).copied()
    }

    /// Returns every pin, ordered by relay.
    pub fn list(&self) -> impl Iterator<Item = (&HostPort, Pin)> {
        self.by_relay.iter().map(|(relay, pin)| (relay, *pin))
    }

    /// Pins this key, replacing any other. Returns the replaced key. Durable on return.
    ///
    /// # Errors
    /// As [`Pins::load`]; the file is then unchanged.
    pub fn set(&mut self, relay: &HostPort, key: PublicKey) -> Result<Option<PublicKey>, StoreError> {
        let _lock = self.lock()?;
        self.read()?;
        let old = self.by_relay.get(relay).map(|pin| pin.key);
        if old != Some(key) {
            self.by_relay.insert(relay.clone(), Pin { key, first_seen: now() });
            self.write()?;
        }
        Ok(old.filter(|old| *old != key))
    }

    /// Pins these keys for relays without a pin. Returns the indexes of those with another pinned
    /// key. Durable on return.
    ///
    /// # Errors
    /// As [`Pins::load`]; the file is then unchanged.
    pub fn set_first<'a>(
        &mut self,
        pins: impl IntoIterator<Item = (&'a HostPort, PublicKey)>,
    ) -> Result<Vec<usize>, StoreError> {
        let _lock = self.lock()?;
        self.read()?;
        let mut refused = Vec::new();
        let mut is_changed = false;
        for (index, (relay, key)) in pins.into_iter().enumerate() {
            match self.by_relay.entry(relay.clone()) {
                Entry::Occupied(old) if old.get().key == key => {}
                Entry::Occupied(_) => refused.push(index),
                Entry::Vacant(free) => {
                    free.insert(Pin { key, first_seen: now() });
                    is_changed = true;
                }
            }
        }
        if is_changed {
            self.write()?;
        }
        Ok(refused)
    }

    /// Waits for other writers; each needs only one small write.
    fn lock(&self) -> Result<File, StoreError> {
        let path = self.path.with_extension("lock");
        create_folder(path.parent().expect("the file is in the data folder"))?;
        let locked = open_private(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| io_error(&path, &error))
    }

    fn read(&mut self) -> Result<(), StoreError> {
        self.by_relay = match read_small(&self.path)? {
            Some((_, bytes)) => parse(&bytes).map_err(|damage| self.damaged(&damage))?,
            None => BTreeMap::new(),
        };
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let written = write_atomically(&self.path, self.text().as_bytes());
        if written.is_err() {
            // Discard pins that were not written. If reading fails too, none remain.
            self.by_relay.clear();
            let _ = self.read();
        }
        written
    }

    fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (relay, Pin { key, first_seen }) in &self.by_relay {
            write!(text, "\n[\"{relay}\"]\nkey = \"{key}\"\nfirst_seen = \"{first_seen}\"\n")
                .expect("writing to a string cannot fail");
        }
        text
    }

    fn damaged(&self, damage: &Damage) -> StoreError {
        StoreErrorCause::PinsDamaged { line: damage.line, damage: damage.cause.clone() }.at(&self.path)
    }
}

fn now() -> Timestamp {
    Timestamp::now().round(Unit::Second).expect("the clock is far from the largest timestamp")
}

#[derive(Debug)]
struct Damage {
    line: usize,
    cause: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    key: Spanned<String>,
    first_seen: Spanned<String>,
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<HostPort, Pin>, Damage> {
    let damage = |at: usize, cause: &str| {
        let newlines = bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
        Damage { line: newlines + 1, cause: cause.to_owned() }
    };
    let text = str::from_utf8(bytes).map_err(|error| damage(error.valid_up_to(), "UTF-8"))?;
    let rows: BTreeMap<Spanned<String>, Row> = toml::from_str(text)
        .map_err(|error| damage(error.span().map_or(0, |span| span.start), error.message()))?;
    let mut rows = Vec::from_iter(&rows);
    rows.sort_by_key(|(written, _)| written.span().start);
    let mut by_relay = BTreeMap::new();
    for (written, row) in rows {
        let wrong = |spanned: &Spanned<String>| damage(spanned.span().start, spanned.get_ref());
        let relay: HostPort = written.get_ref().parse().map_err(|_| wrong(written))?;
        let key = row.key.get_ref().parse().map_err(|_| wrong(&row.key))?;
        let first_seen = row.first_seen.get_ref().parse().map_err(|_| wrong(&row.first_seen))?;
        if by_relay.insert(relay, Pin { key, first_seen }).is_some() {
            return Err(wrong(written));
        }
    }
    Ok(by_relay)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn relay(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn pins_persist_and_are_replaced_only_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("new/data");
        let mut pins = Pins::load(&data).unwrap();
        assert_eq!(pins.list().count(), 0);
        let a = PublicKey([1; 32]);
        let b = PublicKey([2; 32]);
        let here = relay("127.0.0.1:8081");
        let there = relay("[::1]:443");
        assert_eq!(pins.set_first([(&here, a), (&there, b), (&here, a), (&here, b)]), Ok(vec![3]));
        assert_eq!(Pins::load(&data).unwrap().get(&here).unwrap().key, a);
        assert_eq!(pins.set(&here, a), Ok(None));
        assert_eq!(pins.set(&here, b), Ok(Some(a)));
        let again = Pins::load(&data).unwrap();
        assert_eq!(Vec::from_iter(again.list()), Vec::from_iter(pins.list()));
        assert_eq!(again.list().map(|(_, pin)| pin.key).collect::<Vec<_>>(), [b, b]);
    }

    #[test]
    fn damaged_line_is_reported_and_file_left_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known_relays.toml");
        let key = PublicKey([1; 32]).to_string();
        let row = format!("key = \"{key}\"\n");
        let seen = "first_seen = \"2026-01-31T12:00:00Z\"\n";
        let whole = format!("# relays\n[\"h:1\"]\n{row}{seen}");
        let table = [
            (format!("{whole}["), 5),
            (format!("{whole}colour = 1\n"), 5),
            (whole.replace("h:1", "h"), 2),
            (whole.replace(&key, &key[1..]), 3),
            (whole.replace("2026", "year"), 4),
            (format!("{whole}[\"H:1\"]\n{row}{seen}"), 5),
            (whole[..whole.len() - 3].to_owned(), 4),
        ];
        fs::write(&path, &whole).unwrap();
        let mut pins = Pins::load(dir.path()).unwrap();
        for (text, line) in table {
            fs::write(&path, &text).unwrap();
            let error = Pins::load(dir.path()).unwrap_err();
            let StoreErrorCause::PinsDamaged { line: found, .. } = error.cause else { panic!("{error}") };
            assert_eq!((found, &error.path), (line, &path.display().to_string()), "{error}");
            assert_eq!(pins.set(&relay("x:1"), PublicKey([3; 32])), Err(error));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, b"\n\xff").unwrap();
        let error = Pins::load(dir.path()).unwrap_err();
        assert!(matches!(error.cause, StoreErrorCause::PinsDamaged { line: 2, .. }), "{error}");
    }

    #[test]
    fn two_concurrent_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for host in ["a", "b"] {
                let mut pins = Pins::load(dir.path()).unwrap();
                scope.spawn(move || {
                    for port in 1..=20 {
                        pins.set(&relay(&format!("{host}:{port}")), PublicKey([port; 32])).unwrap();
                    }
                });
            }
        });
        assert_eq!(Pins::load(dir.path()).unwrap().list().count(), 40);
    }

    #[test]
    fn failed_write_pins_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut pins = Pins::load(dir.path()).unwrap();
        pins.set(&relay("a:1"), PublicKey([1; 32])).unwrap();
        // A folder that is not empty cannot be replaced by a file, even as root.
        fs::create_dir_all(dir.path().join("known_relays.toml.new/x")).unwrap();
        pins.set(&relay("b:1"), PublicKey([2; 32])).unwrap_err();
        assert_eq!(pins.get(&relay("b:1")), None);
        assert_eq!(pins.get(&relay("a:1")), Pins::load(dir.path()).unwrap().get(&relay("a:1")));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[\\[\\]\"=a-z:0-9\n# ]{0,60}") {
            for damage in [parse(&bytes).err(), parse(text.as_bytes()).err()].into_iter().flatten() {
                prop_assert!(damage.line >= 1);
            }
        }
    }
}
