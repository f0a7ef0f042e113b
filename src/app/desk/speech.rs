//! Protocol between the processes of one member: one JSON object per line, without a newline in it.
//!
//! The secondary process sends `Hello`, the primary answers `Welcome`. Then commands flow one way
//! and events the other. If the versions differ, the secondary process gives up.

use serde::{Deserialize, Serialize};

use crate::client::{Carriers, Command, Event};

/// Protocol version. Two programs of different versions do not work together.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Requests per command: more letters than any command sends.
const REQUESTS_LEN: u64 = 1 << 32;

/// How a command uses a member's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) enum Part {
    /// Shows incoming letters.
    Shows,
    /// Sends, and waits for an incoming letter.
    Asks,
    /// Only sends.
    Sends,
}

/// A command that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Face {
    pub(super) part: Part,
    /// First request number of the command.
    pub(super) requests: u64,
}

impl Face {
    /// Whether `request` belongs to this command.
    pub(super) const fn has(&self, request: u64) -> bool {
        request.wrapping_sub(self.requests) < REQUESTS_LEN
    }

    /// Whether incoming letters are passed to this command.
    pub(super) fn hears(&self) -> bool {
        self.part != Part::Sends
    }
}

/// A line from a secondary process to the primary.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// Introduces the process. From here on it receives letters and the progress of its requests.
    Hello { version: String, face: Face },
    /// Executes a command.
    Command(Command),
    /// Announces the end. Answered once everything sent before is durable.
    Bye,
    /// Pins have changed. Needs no `Hello`.
    Pins,
    /// Part of the history was erased. Needs no `Hello`.
    Forgotten,
}

/// A line from the primary to a secondary process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Answers `Hello`. Everything shown or known before it is on disk.
    Welcome {
        version: String,
        /// This process must show the letters that were stored and not shown.
        catch_up: bool,
        /// Carriers that the primary uses.
        carriers: Carriers,
    },
    /// The process that had to show stored letters has gone: this one must show them.
    CatchUp,
    /// An event. It takes effect at [`Answer::Turn`]: events of one turn of the primary are seen in
    /// one turn here, so that both come to the same results.
    Event(Event),
    /// End of the events of one turn.
    Turn,
    /// Everything sent before `Bye` is durable.
    Bye,
}

/// Serializes one line, without the newline.
pub(super) fn line(said: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(said).expect("commands and events always serialize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_is_one_line_and_reads_back() {
        let command = Command::Send {
            request: u64::MAX,
            relay: "[::1]:8081".parse().unwrap(),
            to: "一棵树".parse().unwrap(),
            text: "a\n\u{0}\u{2028}b".to_owned(),
        };
        let text = line(&Call::Command(command.clone()));
        assert!(!text.contains(&b'\n'));
        match serde_json::from_slice(&text).unwrap() {
            Call::Command(read) => assert_eq!(read, command),
            other => panic!("{other:?}"),
        }
        assert!(serde_json::from_slice::<Call>(b"{\"Hello\":{}}").is_err());
    }

    #[test]
    fn command_recognizes_its_own_requests() {
        let face = Face { part: Part::Sends, requests: 7 };
        assert!(face.has(7) && face.has(1 << 32) && !face.has(6) && !face.has((1 << 32) + 7));
    }
}
