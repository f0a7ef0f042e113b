//! Letters on their way to standard output, by a thread of its own: a reader that takes its time, or that runs a command
//! of the same member for each letter, stops neither the client nor the others who work through it.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::base::Phrase;
use crate::client::Incoming;
use crate::net::Inlet;

use super::desk::{Ask, Mail};
use super::{Failure, print};

/// Bytes of lines that may wait for a reader. At the bound no more letters are taken; they wait on disk.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// Letters being printed, in order. Each is answered with [`Ask::Printed`].
#[derive(Debug)]
pub(super) struct Printer {
    lines: Sender<String>,
    letters: VecDeque<(Incoming, usize)>,
    bytes: usize,
}

impl Printer {
    /// A printer whose answers go into this inlet.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn open(inlet: Inlet<Mail>) -> Result<Printer, Failure> {
        let (lines, wanted) = channel::<String>();
        let run = move || {
            for line in wanted {
                let printed = print(&line).map_err(|failure| failure.phrase);
                if !inlet.command(Mail::Ask(Ask::Printed(printed))) {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name("printer".into()).spawn(run);
        spawned.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
        Ok(Printer { lines, letters: VecDeque::new(), bytes: 0 })
    }

    /// Prints the line of a letter.
    pub(super) fn put(&mut self, letter: Incoming, line: String) {
        self.bytes += line.len();
        self.letters.push_back((letter, line.len()));
        self.lines.send(line).expect("the thread ends with the inlet or with this");
    }

    /// The letter that has just been printed.
    pub(super) fn printed(&mut self) -> Incoming {
        let (letter, len) = self.letters.pop_front().expect("each is answered once");
        self.bytes -= len;
        letter
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.letters.len() as u64
    }

    /// Whether no more may be put.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }
}
