//! Errors of the store as sentences.

use crate::base::Phrase;
use crate::store::{DamagedLetter, StoreError, StoreErrorCause};

/// Returns the phrase for an error of the store.
pub fn store_error(error: &StoreError) -> Phrase {
    let phrase = phrase(error);
    if error.cause.is_of_disk() { phrase.of_disk() } else { phrase }
}

fn phrase(error: &StoreError) -> Phrase {
    use StoreErrorCause::*;
    let StoreError { cause, path } = error;
    let of_file = |key| Phrase::new(key).with("file", path);
    let of_folder = |key| Phrase::new(key).with("folder", path);
    match cause {
        NoHome => Phrase::new("store-no-home"),
        NoThread(text) => Phrase::new("store-no-thread").with("cause", text),
        BackupBusy => Phrase::new("backup-busy"),
        MemberBusy { name, pid } => Phrase::new("member-busy").with("name", name).with("pid", pid),
        RelayBusy { pid } => of_folder("relay-busy").with("pid", pid),
        NoRelay => of_folder("members-no-relay"),
        NotEmpty => of_folder("restore-not-empty"),
        FolderOpen(mode) => of_folder("store-folder-open").with("mode", mode),
        Link => of_file("store-link"),
        NoFilesLeft => of_file("store-no-files"),
        ReadOnly => of_file("store-read-only"),
        DiskFull => of_file("store-disk-full"),
        NotPermitted(text) => of_file("store-not-permitted").with("cause", text),
        NotFolder => of_file("store-not-folder"),
        Io(text) => of_file("store-io").with("cause", text),
        KeyOpen(mode) => of_file("store-key-open").with("mode", mode),
        KeyDamaged => of_file("store-key-damaged"),
        KeyMissing => of_file("store-key-missing"),
        NotDatabase => of_file("store-not-database"),
        Older(version) => of_file("store-older").with("version", version),
        Newer(version) => of_file("store-newer").with("version", version),
        Damaged(text) => of_file("store-database-damaged").with("cause", text),
        DatabaseMissing => of_file("store-database-missing"),
        CommitsMissing { found, known, counter_file } => of_file("store-commits-missing")
            .with("found", found)
            .with("known", known)
            .with("beside", counter_file),
        CommitsDamaged => of_file("store-commits-damaged"),
        CounterDamaged => of_file("store-counter-damaged"),
        PinsDamaged { line, damage } => of_file("pins-damaged").with("line", line).with("cause", damage),
        AddressesDamaged(text) => of_file("reach-damaged").with("cause", text),
        HistoryInUse => of_file("history-in-use"),
        BackupExists => of_file("backup-exists"),
        BackupNoFolder => of_file("backup-no-folder"),
        BackupStopped => of_file("backup-stopped"),
        BackupNotHere => of_file("backup-not-here"),
        BackupMissing => of_file("backup-missing"),
        NoBackup => of_file("backup-not-one"),
    }
}

/// Returns the phrase for a damaged letter of the outbox.
pub fn damaged_letter(letter: &DamagedLetter) -> Phrase {
    let DamagedLetter { file, relay, to, number } = letter;
    let phrase = Phrase::new("letter-damaged").with("file", file).with("relay", relay);
    phrase.with("to", to).with("number", number)
}
