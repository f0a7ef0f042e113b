//! Results on standard output, and phrases on standard error.

use super::outcome::{self, Failure};
use crate::base::Phrase;
use crate::ui::Strings;
use crate::ui::terminal::{WriteResult, write_err, write_out};

/// Writes a phrase to standard error. A closed stderr is not an error.
pub fn say(strings: &Strings, phrase: &Phrase) {
    say_line(&strings.say(phrase));
}

/// Writes a line to standard error. A closed stderr is not an error.
pub fn say_line(line: &str) {
    let _ = write_err(&format!("{line}\n"));
}

/// Prints one line of results.
///
/// # Errors
/// [`Failure`] if standard output cannot be written. A closed pipe is not an error: it returns
/// `Ok(WriteResult::Closed)`, and the command ends with success.
pub fn print(line: &str) -> Result<WriteResult, Failure> {
    write_out(&format!("{line}\n")).map_err(|error| outcome::output_failure(&error))
}
