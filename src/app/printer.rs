//! Words on their way to an output, by a thread of its own: a reader that takes its time or none at all, a terminal that
//! was stopped, or a reader that runs a command of the same member for each letter, stops neither the client nor the
//! others who work through it.
//!
//! What is waiting is bounded, and its behaviour at the bound is the face's: it takes no more letters, which wait on disk
//! ([`Printer::is_full`]), asks for no more input, and leaves notices out ([`Printer::is_crammed`]).

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use crate::base::{Phrase, harmless};
use crate::client::{Event, Incoming};
use crate::net::Inlet;
use crate::ui::terminal::{Output, Pen, Written};
use crate::ui::{Strings, notice};

use super::desk::{Ask, Desk, Mail, News};
use super::{Failure, Status};

/// Bytes of words that may wait for a reader. At the bound no more letters are taken; they wait on disk.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// The bound for words that are not of letters: as much again, for the letters that were on their way at the other.
const CRAMMED_BYTES: usize = 2 * WAITING_BYTES_MAX;
/// What each word costs beside its bytes.
const WORDS_COST: usize = 64;

/// At the end, words being printed are waited for this long: printing takes microseconds, unless nobody reads.
pub(super) const FINISH_WITHIN: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct Words {
    to: Output,
    text: String,
    /// They are the last of a letter, which counts as printed when everything is where it can be seen.
    of_letter: bool,
}

/// Words being printed, in order. Each is answered with [`Ask::Printed`].
#[derive(Debug)]
pub(super) struct Printer {
    words: Sender<Words>,
    waiting: VecDeque<(Option<Incoming>, usize)>,
    letters: u64,
    bytes: usize,
}

impl Printer {
    /// A printer whose answers go into this inlet.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn open(inlet: Inlet<Mail>, mut pen: Pen) -> Result<Printer, Failure> {
        let (words, wanted) = channel::<Words>();
        let run = move || {
            for Words { to, text, of_letter } in wanted {
                let written = pen.write(to, &text);
                if of_letter {
                    pen.settle();
                }
                let failed = |why| Phrase::new("output-failed").with("cause", why);
                if !inlet.command(Mail::Ask(Ask::Printed(to, written.map_err(failed)))) {
                    return;
                }
            }
        };
        let spawned = thread::Builder::new().name("printer".into()).spawn(run);
        spawned.map_err(|why| Phrase::new("store-no-thread").with("cause", why))?;
        Ok(Printer { words, waiting: VecDeque::new(), letters: 0, bytes: 0 })
    }

    /// Prints whole lines.
    pub(super) fn put(&mut self, to: Output, text: String) {
        self.hand(to, text, None);
    }

    /// Prints the last lines of a letter.
    pub(super) fn put_letter(&mut self, letter: Incoming, text: String) {
        self.hand(Output::Out, text, Some(letter));
    }

    fn hand(&mut self, to: Output, text: String, letter: Option<Incoming>) {
        let (cost, of_letter) = (text.len() + WORDS_COST, letter.is_some());
        self.bytes += cost;
        self.letters += u64::from(of_letter);
        self.waiting.push_back((letter, cost));
        self.words.send(Words { to, text, of_letter }).expect("the thread ends with the inlet or with this");
    }

    /// The first of those waiting has been printed; the letter it was the end of.
    pub(super) fn printed(&mut self) -> Option<Incoming> {
        let (letter, cost) = self.waiting.pop_front().expect("each is answered once");
        self.bytes -= cost;
        self.letters -= u64::from(letter.is_some());
        letter
    }

    /// How many letters wait.
    pub(super) const fn letters_waiting(&self) -> u64 {
        self.letters
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether no more letters may be put.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }

    /// Whether nothing may be put that can be done without.
    pub(super) const fn is_crammed(&self) -> bool {
        self.bytes >= CRAMMED_BYTES
    }

    /// Letters wait on disk from when the printer is full until nothing waits in it; `held` is how it was until now.
    pub(super) fn hold(&self, desk: &mut Desk, held: &mut bool) {
        let hold = if *held { !self.is_empty() } else { self.is_full() };
        if std::mem::replace(held, hold) != hold {
            desk.hold_letters(hold);
        }
    }
}

/// Gives what is being printed at the end so much time, and marks the letters among it as shown, as `read` or not. Nobody who
/// interrupts has to wait. The first of the printers writes to standard output, the last to standard error. `news` is what
/// was not taken in before.
pub(super) fn finish(
    desk: &mut Desk,
    news: &mut News,
    printers: &mut [&mut Printer],
    within: Duration,
    read: bool,
    strings: &Strings,
) {
    let mut now = desk.now().tick;
    let (end, last) = (now + within, printers.len() - 1);
    desk.hold_letters(true);
    loop {
        // No later run says it of a text that comes back now.
        for words in news.events.drain(..).filter_map(|event| given_back_words(strings, event)) {
            printers[last].put(Output::Err, words);
        }
        while let Some(ask) = news.next_ask() {
            match ask {
                Ask::Printed(to, written) => {
                    let letter = printers[if to == Output::Out { 0 } else { last }].printed();
                    let seen = written == Ok(Written::Yes);
                    letter.iter().filter(|_| seen).for_each(|letter| desk.shown(letter, read));
                }
                ask if ask.end().is_some() => return,
                _ => {}
            }
        }
        let done = printers.iter().all(|printer| printer.is_empty());
        if done || now >= end {
            return;
        }
        now = desk.turn(Some(end), news).tick;
    }
}

/// Returns what a command that is about to end says of a refused letter, with its text.
fn given_back_words(strings: &Strings, event: Event) -> Option<String> {
    let Event::Refused { to, reason, may_have_arrived, nearest, text, .. } = event else { return None };
    let phrases = notice::letter_refused(reason, (to.as_str(), None), may_have_arrived, &nearest);
    let mut words: String = phrases.iter().map(|phrase| strings.say(phrase) + "\n").collect();
    words.push_str(&given_back(strings, &text));
    Some(words)
}

/// Returns the lines that give a text back; an empty string for an empty text.
pub(super) fn given_back(strings: &Strings, text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("{}\n{}\n", strings.say(&Phrase::new("chat-text-back")), harmless(text)),
    }
}

/// How words fared; that an output for talk is closed or broken is no failure.
///
/// # Errors
/// [`Failure`] if results cannot be written.
pub(super) fn fared(to: Output, written: Result<Written, Phrase>) -> Result<Written, Failure> {
    match (to, written) {
        (Output::Out, Err(phrase)) => Err(Failure { status: Status::Failed, phrase: Some(phrase) }),
        (Output::Out, Ok(written)) => Ok(written),
        (Output::Err, _) => Ok(Written::Yes),
    }
}
