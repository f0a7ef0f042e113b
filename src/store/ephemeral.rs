//! A disk that is none.

use super::worker::{Backend, Fault};

/// Answers every record as committed and keeps nothing: for `ping`, `demo` and `bench`, which need no files and leave
/// none. What it was given is gone with the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ephemeral;

impl<R> Backend<R> for Ephemeral {
    fn commit(&mut self, _records: &[R], _refused: &mut Vec<usize>) -> Result<(), Fault> {
        Ok(())
    }
}
