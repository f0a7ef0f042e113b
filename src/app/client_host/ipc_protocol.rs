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
pub(in crate::app) enum FrontendKind {
    /// Shows incoming letters.
    Display,
    /// Sends, and waits for an incoming letter.
    SendAndReceive,
    /// Only sends.
    SendOnly,
}

/// A command that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FrontendInfo {
    pub(super) kind: FrontendKind,
    /// First request number of the command.
    pub(super) requests: u64,
}

impl FrontendInfo {
    /// Whether `request` belongs to this command.
    pub(super) const fn has_request(&self, request: u64) -> bool {
        request.wrapping_sub(self.requests) < REQUESTS_LEN
    }

    /// Whether incoming letters are passed to this command.
    pub(super) fn wants_letters(&self) -> bool {
        self.kind != FrontendKind::SendOnly
    }
}

/// A line from a secondary process to the primary.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum IpcRequest {
    /// Introduces the process. From here on it receives letters and the progress of its requests.
    Hello { version: String, frontend: FrontendInfo },
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
pub(super) enum IpcResponse {
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
    /// An event. It takes effect at [`IpcResponse::Turn`]: events of one turn of the primary are
    /// seen in one turn here, so that both come to the same results.
    Event(Event),
    /// End of the events of one turn.
    Turn,
    /// Everything sent before `Bye` is durable.
    Bye,
}

/// Serializes one line, without the newline.
pub(super) fn encode_line(said: &impl Serialize) -> Vec<u8> {
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
        let text = encode_line(&IpcRequest::Command(command.clone()));
        assert!(!text.contains(&b'\n'));
        match serde_json::from_slice(&text).unwrap() {
            IpcRequest::Command(read) => assert_eq!(read, command),
            other => panic!("{other:?}"),
        }
        assert!(serde_json::from_slice::<IpcRequest>(b"{\"Hello\":{}}").is_err());
    }

    #[test]
    fn command_recognizes_its_own_requests() {
        let frontend = FrontendInfo { kind: FrontendKind::SendOnly, requests: 7 };
        assert!(
            frontend.has_request(7)
                && frontend.has_request(1 << 32)
                && !frontend.has_request(6)
                && !frontend.has_request((1 << 32) + 7)
        );
    }
}
