//! What the processes of one member say to each other: one JSON object a line, without a new line in it.
//!
//! The caller says `Hello` first, the owner answers `Welcome`; then commands go one way and events the other. Both are
//! of the same version, or the caller does not go on.

use serde::{Deserialize, Serialize};

use crate::client::{Carriers, Command, Event};

/// What tells two programs that cannot work together apart.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Requests of one command: more letters than anybody sends with it.
const REQUESTS_LEN: u64 = 1 << 32;

/// What a command does with a member's letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) enum Part {
    /// It shows letters that come in.
    Shows,
    /// It sends, and waits for a letter that comes in.
    Asks,
    /// It only sends.
    Sends,
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Face {
    pub(super) part: Part,
    /// Its requests begin here.
    pub(super) requests: u64,
}

impl Face {
    /// Whether a request is one of this command's.
    pub(super) const fn has(&self, request: u64) -> bool {
        request.wrapping_sub(self.requests) < REQUESTS_LEN
    }

    /// Whether it is told of letters that come in.
    pub(super) fn hears(&self) -> bool {
        self.part != Part::Sends
    }
}

/// What a caller says to the owner of the member's folder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// I am this. From now on I hear of letters, and of my requests.
    Hello { version: String, face: Face },
    /// Carry this out for me.
    Command(Command),
    /// I am leaving: answer when what I said is durable.
    Bye,
    /// The pins have changed. Needs no hello.
    Pins,
    /// Something of the history was erased. Needs no hello.
    Forgotten,
}

/// What the owner says to a caller.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Everything that was shown or known before the hello is on disk.
    Welcome {
        version: String,
        /// Letters that were stored and not shown are this caller's to show.
        catch_up: bool,
        /// Which carriers the owner uses.
        carriers: Carriers,
    },
    /// Whoever was to show stored letters has gone: they are this caller's now.
    CatchUp,
    /// This has happened. It is not taken in before [`Answer::Turn`]: what the owner saw in one turn its callers see in one,
    /// so that they come to the same results.
    Event(Event),
    /// These were the events of one turn.
    Turn,
    /// What was said before `Bye` is durable.
    Bye,
}

/// One line of it.
pub(super) fn line(said: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(said).expect("commands and events always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_one_line_and_reads_back() {
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
    fn a_command_knows_its_own_requests() {
        let face = Face { part: Part::Sends, requests: 7 };
        assert!(face.has(7) && face.has(1 << 32) && !face.has(6) && !face.has((1 << 32) + 7));
    }
}
