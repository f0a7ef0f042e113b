//! `queqiao relay backup` and `queqiao relay restore`.
//!
//! A running relay makes its backup itself, because only its own connection to the database sees
//! every commit without starting again. The request and its answers go through the relay's folder
//! ([`relay_request`]). This process then reads the file back.

use std::path::{self, Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{Fingerprint, Phrase, Wall};
use crate::net;
use crate::session::Identity;
use crate::store::{
    self, Backend, BackupContent, BackupProgress, BackupReply, StoreError, StoreErrorCause, default_data_dir,
    verify_backup,
};
use crate::ui::store_error;
use crate::ui::time_format::{TimeFormat, rfc3339};

use super::outcome::Failure;
use super::relay_request;

/// Longest time without progress. A backup of 1 GiB on a slow disk advances by several percent in
/// this time; a relay that makes none is stopped or stuck.
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);

/// Action on a backup.
#[derive(Clone, Debug)]
pub enum BackupAction {
    /// Copies the relay into this new file.
    Backup(PathBuf),
    /// Makes a relay of this file.
    Restore(PathBuf),
}

/// Result of an action.
pub(super) struct BackupDone {
    /// For the operator.
    pub(super) notice: Phrase,
    /// The line of results.
    pub(super) line: String,
}

/// Executes the operator's action on the relay's folder `data`.
///
/// # Errors
/// [`Failure`]: 74 if a disk fails or is full, 75 if the relay does not answer, otherwise 1.
pub(super) fn run(data: Option<&Path>, action: &BackupAction) -> Result<BackupDone, Failure> {
    let dir = match data {
        Some(dir) => dir.to_owned(),
        None => default_data_dir()?.join("relay"),
    };
    match action {
        BackupAction::Backup(file) => back_up(&dir, file),
        BackupAction::Restore(file) => restore(&dir, file),
    }
}

fn back_up(dir: &Path, file: &Path) -> Result<BackupDone, Failure> {
    // The relay has another working directory.
    let file = path::absolute(file).map_err(|error| StoreErrorCause::Io(error.to_string()).at(file))?;
    let created_at = carry_out(dir, &file)?;
    let elsewhere = || Failure::from(Phrase::new("backup-elsewhere").with("file", file.display()));
    let content = verify_backup(&file).map_err(|error| match error.cause {
        // The relay has written it, but into another file system.
        StoreErrorCause::BackupMissing => elsewhere(),
        _ => failure(error),
    })?;
    if content.created_at != created_at {
        return Err(elsewhere());
    }
    let notice = Phrase::new("backup-made").with("file", file.display()).with("until", local(created_at));
    Ok(BackupDone { notice, line: format!("backup {}", summary(&content)) })
}

fn restore(dir: &Path, file: &Path) -> Result<BackupDone, Failure> {
    let content = store::restore(file, dir, net::seed).map_err(failure)?;
    let notice = Phrase::new("restore-done").with("folder", dir.display());
    let notice = notice.with("since", local(content.created_at));
    Ok(BackupDone { notice, line: format!("restored {}", summary(&content)) })
}

/// Returns the part of a result line that scripts read.
fn summary(content: &BackupContent) -> String {
    let BackupContent { created_at, private_key, members, letters } = content;
    let key = Fingerprint::from(&Identity::from_private(*private_key).public());
    let until = rfc3339(*created_at).unwrap_or_else(|| "?".to_owned());
    format!("members={members} messages={letters} until={until} key={key}")
}

/// Returns a time as people read it, with its date.
pub(super) fn local(at: Wall) -> String {
    TimeFormat::new(TimeZone::system()).format(at, Wall(0))
}

/// Returns the failure of a backup.
fn failure(error: StoreError) -> Failure {
    match error.cause {
        StoreErrorCause::BackupBusy | StoreErrorCause::BackupStopped => Failure::later(store_error(&error)),
        _ => error.into(),
    }
}

/// Makes a backup through the running relay, or in this process if the relay does not run. Returns
/// the time up to which it is complete.
fn carry_out(dir: &Path, file: &Path) -> Result<Wall, Failure> {
    relay_request::execute(
        dir,
        PROGRESS_WITHIN,
        |requests| requests.ask_backup(file),
        finished,
        |mut store, _| store.backup(file, net::wall, &mut |_, _| true).map_err(failure),
        |pid| Failure::later(Phrase::new("backup-silent").with("pid", pid)),
    )
}

/// Returns the result in an answer; `None` while the backup continues.
fn finished(answer: &str) -> Option<Result<Wall, Failure>> {
    match decode(answer) {
        Some(BackupReply::Progress(_)) => None,
        Some(BackupReply::Done(created_at)) => Some(Ok(created_at)),
        Some(BackupReply::Failed(StoreError { cause: StoreErrorCause::NotPermitted(text), path })) => {
            // The user of this command may have other rights than the relay.
            let denied = Phrase::new("backup-denied").with("file", path).with("cause", text);
            Some(Err(denied.into()))
        }
        Some(BackupReply::Failed(error)) => Some(Err(failure(error))),
        None => {
            let error = StoreErrorCause::Damaged(answer.to_owned()).at(Path::new("requests.sqlite"));
            Some(Err(error.into()))
        }
    }
}

/// Returns the stored form of a reply.
pub(super) fn encode(reply: &BackupReply) -> String {
    match reply {
        BackupReply::Progress(BackupProgress { done, total }) => format!("copied {done} {total}"),
        BackupReply::Done(created_at) => format!("done {}", created_at.0),
        BackupReply::Failed(error) => {
            format!(
                "failed {}",
                serde_json::to_string(error).expect("an error consists of texts and numbers")
            )
        }
    }
}

/// Parses the output of [`encode`]; `None` for anything else.
fn decode(answer: &str) -> Option<BackupReply> {
    let (word, rest) = answer.split_once(' ')?;
    match word {
        "copied" => {
            let (done, total) = rest.split_once(' ')?;
            let progress = BackupProgress { done: done.parse().ok()?, total: total.parse().ok()? };
            Some(BackupReply::Progress(progress))
        }
        "done" => rest.parse().ok().map(|created_at| BackupReply::Done(Wall(created_at))),
        "failed" => serde_json::from_str(rest).ok().map(BackupReply::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StoreErrorCause::{BackupBusy, BackupExists, DiskFull, KeyOpen, NotPermitted, ReadOnly};

    #[test]
    fn every_reply_reads_back_as_written() {
        let failed = |cause| StoreError { cause, path: "/a b\n\"c".to_owned() };
        let text = || "完".to_owned();
        let causes = [DiskFull, ReadOnly, BackupBusy, BackupExists, NotPermitted(text()), KeyOpen(text())];
        let replies = causes.map(|cause| BackupReply::Failed(failed(cause)));
        let others =
            [BackupReply::Progress(BackupProgress { done: 3, total: 9 }), BackupReply::Done(Wall(7))];
        for reply in replies.iter().chain(&others) {
            assert_eq!(decode(&encode(reply)).as_ref(), Some(reply));
        }
        let status = |cause| failure(failed(cause)).status as u8;
        assert_eq!([status(ReadOnly), status(BackupBusy), status(BackupExists)], [74, 75, 1]);
        for wrong in ["", "done", "done x", "failed other []", "failed {}", "copied 1"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
