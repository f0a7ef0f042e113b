//! Writes output on a separate thread, so that a slow or stopped reader blocks neither this client
//! nor the processes it serves. A reader may also run a command of the same member for each letter.
//!
//! The waiting output is bounded. At the limit the frontend takes no more letters, which stay on
//! disk ([`OutputThread::is_full`]), asks for no input, and omits notices
//! ([`OutputThread::is_over_notice_limit`]).

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use crate::base::{Phrase, sanitize};
use crate::client::{Event, Incoming};
use crate::net::LoopHandle;
use crate::ui::terminal::{Output, OutputWriter, WriteResult};
use crate::ui::{Strings, notice};

use super::Failure;
use super::client_host::{ClientHost, FrontendInput, HostInput, TurnOutput};
use super::outcome::output_failure;

/// Maximum bytes of output waiting for a reader, 4 MiB. At the limit no more letters are taken;
/// they stay on disk.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// Limit for output other than letters. Twice as much: leaves space for the letters that were on
/// their way at the first limit.
const NOTICE_BYTES_MAX: usize = 2 * WAITING_BYTES_MAX;
/// Memory that each waiting text costs besides its bytes.
const CHUNK_COST: usize = 64;

/// Time limit for output at the end. 300 ms: printing takes microseconds, unless the reader is
/// stopped.
pub(super) const FINISH_WITHIN: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct OutputChunk {
    to: Output,
    text: String,
    kind: ChunkKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkKind {
    Lines,
    /// Last text of a letter, which counts as printed once everything is visible.
    EndOfLetter,
    /// A prompt. If the reader has closed its end, that is no reason to end.
    Prompt,
}

/// Output being printed, in order. Each text is answered with [`FrontendInput::Printed`].
#[derive(Debug)]
pub(super) struct OutputThread {
    chunks: Sender<OutputChunk>,
    waiting: VecDeque<(Option<Incoming>, usize)>,
    letters: u64,
    bytes: usize,
}

impl OutputThread {
    /// Starts a thread that answers into `loop_handle`.
    ///
    /// # Errors
    /// The system cannot start another thread.
    pub(super) fn open(
        loop_handle: LoopHandle<HostInput>,
        mut writer: OutputWriter,
    ) -> Result<OutputThread, Failure> {
        let (chunks, wanted) = channel::<OutputChunk>();
        let run = move || {
            for OutputChunk { to, text, kind } in wanted {
                let written = writer.write(to, &text);
                let written = match kind {
                    ChunkKind::Prompt => written.map(|_| WriteResult::Yes),
                    _ => written,
                };
                if kind == ChunkKind::EndOfLetter {
                    writer.settle();
                }
                if !loop_handle.command(HostInput::Frontend(FrontendInput::Printed(
                    to,
                    written.map_err(|error| output_failure(&error)),
                ))) {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name("printer".into()).spawn(run);
        spawned.map_err(|error| Phrase::new("store-no-thread").with("cause", error))?;
        Ok(OutputThread { chunks, waiting: VecDeque::new(), letters: 0, bytes: 0 })
    }

    /// Prints whole lines.
    pub(super) fn put(&mut self, to: Output, text: String) {
        self.enqueue(to, text, None, ChunkKind::Lines);
    }

    /// Prints a prompt behind everything that waits.
    pub(super) fn put_prompt(&mut self, text: String) {
        self.enqueue(Output::Out, text, None, ChunkKind::Prompt);
    }

    /// Prints the last lines of a letter.
    pub(super) fn put_letter(&mut self, letter: Incoming, text: String) {
        self.enqueue(Output::Out, text, Some(letter), ChunkKind::EndOfLetter);
    }

    fn enqueue(&mut self, to: Output, text: String, letter: Option<Incoming>, kind: ChunkKind) {
        let cost = text.len() + CHUNK_COST;
        self.bytes += cost;
        self.letters += u64::from(letter.is_some());
        self.waiting.push_back((letter, cost));
        self.chunks
            .send(OutputChunk { to, text, kind })
            .expect("the thread ends with the loop or this sender");
    }

    /// Removes the first waiting text, which has been printed. Returns the letter that it
    /// completes.
    pub(super) fn take_printed(&mut self) -> Option<Incoming> {
        let (letter, cost) = self.waiting.pop_front().expect("each text is answered once");
        self.bytes -= cost;
        self.letters -= u64::from(letter.is_some());
        letter
    }

    /// Returns the number of letters waiting.
    pub(super) const fn letters_waiting(&self) -> u64 {
        self.letters
    }

    /// Whether no output waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the limit for letters is reached.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }

    /// Whether the limit for notices is reached.
    pub(super) const fn is_over_notice_limit(&self) -> bool {
        self.bytes >= NOTICE_BYTES_MAX
    }

    /// Holds letters back on disk from when the printer is full until it is empty. `held` is the
    /// previous state, and is updated.
    pub(super) fn pause_if_full(&self, host: &mut ClientHost, held: &mut bool) {
        let hold = if *held { !self.is_empty() } else { self.is_full() };
        if std::mem::replace(held, hold) != hold {
            host.set_paused(hold);
        }
    }
}

/// Waits up to `within` for output at the end, and marks letters in it as shown, as `read` or not.
/// An interrupt ends the wait. The first of the printers writes to standard output, the last to
/// standard error.
///
/// # Errors
/// The first [`Failure`] to write results.
pub(super) fn finish(
    host: &mut ClientHost,
    output: &mut TurnOutput,
    threads: &mut [&mut OutputThread],
    within: Duration,
    read: bool,
    strings: &Strings,
) -> Result<(), Failure> {
    let mut result = Ok(());
    let mut now = host.now().tick;
    let end = now + within;
    let last = threads.len() - 1;
    host.set_paused(true);
    loop {
        // A text that is returned at this point must be shown: no later run reports it.
        for chunks in output.events.drain(..).filter_map(|event| given_back_words(strings, event)) {
            threads[last].put(Output::Err, chunks);
        }
        while let Some(input) = output.next_input() {
            match input {
                FrontendInput::Printed(to, written) => {
                    let letter = threads[if to == Output::Out { 0 } else { last }].take_printed();
                    let seen = written == Ok(WriteResult::Yes);
                    letter.iter().filter(|_| seen).for_each(|letter| host.mark_shown(letter, read));
                    result = result.and(check_written(to, written).map(drop));
                }
                input if input.end().is_some() => return result,
                _ => {}
            }
        }
        let done = threads.iter().all(|thread| thread.is_empty());
        if done || now >= end {
            return result;
        }
        now = host.turn(Some(end), output).tick;
    }
}

/// Returns the output of a command that is about to end about a refused letter, with its text.
fn given_back_words(strings: &Strings, event: Event) -> Option<String> {
    let Event::Refused { to, reason, may_have_arrived, nearest, text, .. } = event else { return None };
    let phrases = notice::letter_refused(reason, (to.as_str(), None), may_have_arrived, &nearest);
    let mut chunks: String = phrases.iter().map(|phrase| strings.say(phrase) + "\n").collect();
    chunks.push_str(&given_back(strings, &text));
    Some(chunks)
}

/// Returns the lines that return a text; an empty string for an empty text.
pub(super) fn given_back(strings: &Strings, text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{}\n{}\n", strings.say(&Phrase::new("chat-text-back")), sanitize(text)),
    }
}

/// Judges the result of a write. An error on standard error is ignored.
///
/// # Errors
/// [`Failure`] if results cannot be written.
pub(super) fn check_written(
    to: Output,
    written: Result<WriteResult, Failure>,
) -> Result<WriteResult, Failure> {
    match (to, written) {
        (Output::Out, Err(failure)) => Err(failure),
        (Output::Out, Ok(written)) => Ok(written),
        (Output::Err, _) => Ok(WriteResult::Yes),
    }
}
