//! `queqiao history --forget`: erases letters of the history, even if another process of the member
//! is running.

use std::path::Path;
use std::time::Duration;

use crate::base::{Phrase, Wall};
use crate::contacts::AddressBook;
use crate::net;
use crate::store::{Archive, EraseCounts, EraseFilter, Eraser, StoreErrorCause};
use crate::ui::store_error;
use crate::ui::terminal::WriteResult;

use super::client_host::tell_forgotten;
use super::{CommandResult, ExitStatus, Failure, Setup, conversation, print, question, say};

/// Options of `history --forget`.
#[derive(Clone, Debug, Default)]
pub struct ForgetOptions {
    /// Conversation with this contact; `None` for all.
    pub contact: Option<String>,
    /// Only letters older than this.
    pub older: Option<Duration>,
    /// No question, even if everything is erased.
    pub yes: bool,
}

/// Erases letters and prints how many. Without a contact and an age, the user must confirm: on the
/// terminal, or by `--yes`.
///
/// # Errors
/// [`Failure`]: 1 if the letters cannot be erased or the user declines. 2 for an unknown contact,
/// or for a script without `--yes`. 75 if another process keeps the log of the file in use.
pub fn forget(setup: &Setup, options: &ForgetOptions) -> CommandResult {
    let book = setup.location().load()?;
    let me = setup.name_needed(&book)?;
    let data_dir = setup.data_dir()?;
    let folder = me.folder();
    let which = which(&book, options, &data_dir, &folder)?;
    let Some(mut eraser) = Eraser::open(&data_dir, &folder)? else {
        return report_count(setup, EraseCounts::default());
    };
    if options.contact.is_none() && options.older.is_none() && !options.yes {
        confirm(setup, eraser.count(&which)?)?;
    }
    let erased = eraser.erase(&which);
    // Also after a failure: erased letters must leave no copy, and their space is freed.
    let finished = eraser.finish();
    tell_forgotten(&data_dir, &folder);
    let ended = report_count(setup, erased?)?;
    match finished {
        Ok(()) => Ok(ended),
        Err(error) if error.cause == StoreErrorCause::HistoryInUse => {
            Err(Failure::later(store_error(&error)))
        }
        Err(error) => Err(error.into()),
    }
}

fn which(
    book: &AddressBook,
    options: &ForgetOptions,
    data_dir: &Path,
    folder: &str,
) -> Result<EraseFilter, Failure> {
    let with = match &options.contact {
        Some(contact) => {
            let archive = Archive::open(data_dir, folder)?;
            let known = archive.map(|archive| archive.conversations(true)).transpose()?.unwrap_or_default();
            Some(conversation::find(book, contact, &known)?)
        }
        None => None,
    };
    let before = |older: Duration| {
        let millis = u64::try_from(older.as_millis()).unwrap_or(u64::MAX);
        Wall(net::wall().0.saturating_sub(millis))
    };
    Ok(EraseFilter { with, before: options.older.map(before) })
}

/// Asks whether to erase everything. A script must use `--yes`.
fn confirm(setup: &Setup, count: EraseCounts) -> Result<(), Failure> {
    if !question::can_ask() {
        return Err(Failure::usage(Phrase::new("history-forget-all")));
    }
    let phrase = Phrase::new("history-forget-ask").with("count", count.erased);
    let answer = question::ask(&setup.strings, &phrase, false)?;
    match answer.as_deref().map(str::trim) {
        Some("y" | "Y" | "yes" | "是") => Ok(()),
        _ => Err(Phrase::new("history-forget-not").into()),
    }
}

fn report_count(setup: &Setup, count: EraseCounts) -> CommandResult {
    let stays = [("history-waiting-stay", count.waiting), ("history-unseen-stay", count.unseen)];
    for (key, count) in stays.into_iter().filter(|(_, count)| *count > 0) {
        say(&setup.strings, &Phrase::new(key).with("count", count));
    }
    match print(&format!("erased {}", count.erased))? {
        WriteResult::Yes | WriteResult::Closed => Ok(ExitStatus::Done),
    }
}
