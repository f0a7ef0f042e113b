//! Requests of the operator's commands to a relay, whether it runs or not.
//!
//! A running relay has locked its folder: the request and its answer go through the folder
//! ([`RequestQueue`]). Otherwise this process locks the folder and executes the request itself.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::net;
use crate::store::{RelayState, RelayStore, RequestQueue, RequestStatus, StoreError, StoreErrorCause};

use super::Failure;

/// Polling interval of the folder.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Executes a request on the relay's folder `dir`.
///
/// `ask` submits it to a running relay, and `alone` executes it without one. `read` returns the
/// result in an answer; `None` while the relay only reports progress. If no new answer comes for
/// `within`, the relay's process is stopped or stuck, and the result is `silent` of its number.
///
/// # Errors
/// Those of the functions; a phrase of the store if the folder cannot be used.
pub(super) fn execute<T>(
    dir: &Path,
    within: Duration,
    ask: impl Fn(&mut RequestQueue) -> Result<i64, StoreError>,
    read: impl Fn(&str) -> Option<Result<T, Failure>>,
    alone: impl FnOnce(RelayStore, RelayState) -> Result<T, Failure>,
    silent: impl FnOnce(&str) -> Failure,
) -> Result<T, Failure> {
    // Opens an existing folder only: another one must not become a relay's.
    let mut requests = RequestQueue::open_to_ask(dir)?;
    let mut asked = None;
    let mut last_answer = String::new();
    let mut waited = Duration::ZERO;
    loop {
        let opened = RelayStore::open(dir, net::seed);
        let is_waiting = match &opened {
            Ok(_) => false,
            Err(StoreError { cause: StoreErrorCause::RelayBusy { .. }, .. }) => waited < within,
            Err(error) => return Err(error.clone().into()),
        };
        if !is_waiting {
            // The relay may have executed the request just before it ended.
            if let Some(RequestStatus::Answered(answer)) =
                asked.map(|id| requests.withdraw(id)).transpose()?
                && let Some(result) = read(&answer)
            {
                return result;
            }
            return match opened {
                Ok((store, state)) => alone(store, state),
                Err(busy) => Err(silent(process_of(&busy))),
            };
        }
        let id = match asked {
            Some(id) => id,
            None => *asked.insert(ask(&mut requests)?),
        };
        match requests.state(id)? {
            RequestStatus::Answered(answer) => {
                if let Some(result) = read(&answer) {
                    requests.withdraw(id)?;
                    return result;
                }
                if answer != last_answer {
                    waited = Duration::ZERO;
                    last_answer = answer;
                }
            }
            RequestStatus::Gone => asked = None,
            RequestStatus::Waiting => {}
        }
        thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
}

/// Returns the number of the process that has locked the folder.
fn process_of(busy: &StoreError) -> &str {
    match &busy.cause {
        StoreErrorCause::RelayBusy { pid } => pid,
        _ => "?",
    }
}
