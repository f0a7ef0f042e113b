//! A store that keeps nothing.

use super::replies::Fault;
use super::worker::Backend;

/// Reports every record as committed and keeps nothing. For `ping`, `demo` and `bench`, which need
/// no files and leave none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullStore;

impl<R> Backend<R> for NullStore {
    fn commit(&mut self, _records: &[R], _refused: &mut Vec<usize>) -> Result<(), Fault> {
        Ok(())
    }
}
