//! Interface of line mode: the address book, input, actions, and options.

use std::sync::Arc;

use crate::base::{HostPort, Name, Phrase};
use crate::client::Carriers;
use crate::contacts::ResolveError;
use crate::ui::strings::Strings;
use crate::ui::style::StyledText;
use crate::ui::time_format::TimeFormat;

/// Address book, as line mode uses it.
pub trait ContactLookup {
    /// Returns every contact's label, in the book's order.
    fn labels(&self) -> Vec<String>;
    /// Returns every relay of the book, each once.
    fn relays(&self) -> Vec<HostPort>;
    /// Returns the number of relays.
    fn relay_count(&self) -> usize;
    /// Whether a name without a relay is unambiguous: there is only one relay, and no contact has
    /// the name as its label.
    fn is_clear(&self, member: &Name) -> bool;
    /// Returns the contact that `text` refers to.
    ///
    /// # Errors
    /// Its phrase for the user has similar labels if there are any.
    fn resolve(&self, text: &str) -> Result<ResolvedContact, ResolveError>;
    /// Returns up to three labels nearest to an unknown name.
    fn nearest(&self, name: &str) -> Vec<Name>;
    /// Returns the label of the contact that is `member` at `relay`.
    fn label_of(&self, relay: &HostPort, member: &Name) -> Option<String>;
    /// Whether the user blocks this member.
    fn is_blocked(&self, relay: &HostPort, member: &Name) -> bool;
    /// Returns the label of a contact that an unknown sender could be mistaken for.
    fn looks_like(&self, member: &Name) -> Option<String>;
}

/// A recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedContact {
    /// The user's label.
    pub label: String,
    /// Its relay.
    pub relay: HostPort,
    /// Its name there.
    pub member: Name,
}

/// Input from the keyboard or from standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserInput {
    /// A line without its end, or several pasted lines.
    Line(String),
    /// Input that could not be read as a line.
    Refused(Phrase),
    /// Part of the line was dropped; the rest is kept, and more of the line follows.
    Dropped(Phrase),
    /// Ctrl-D: the user ends the conversation.
    EndOfInput,
    /// End of a file or pipe, or the terminal is gone: no input will follow.
    NoInput,
    /// Ctrl-C on an empty line. Lines may follow.
    Interrupted,
    /// The prompt of the line that is being typed was replaced ([`PromptChange`]).
    PromptReplaced {
        /// That of the change.
        id: u64,
        /// Text that the line had.
        draft: Draft,
    },
}

/// Text of a line when its prompt was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draft {
    /// There was none.
    Empty,
    /// It was begun under another prompt.
    Begun,
    /// The terminal edits the line and shows it to this program after Enter only.
    Unknown,
}

/// Another prompt for the line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptChange {
    /// Identifies the change in [`UserInput::PromptReplaced`].
    pub id: u64,
    /// The prompt, if the line is empty.
    pub prompt: String,
    /// The prompt before a text that was begun for another recipient. `None` if it stays.
    pub prompt_of_draft: Option<String>,
}

/// An action that line mode requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Print this to standard output: a letter.
    PrintMessage(StyledText),
    /// Print this to standard error: a notice about letters. Sanitized, and without the final
    /// newline.
    PrintNotice(String),
    /// Send a letter: [`crate::client::Command::Send`].
    Send {
        /// Identifies the letter in events.
        request: u64,
        /// The recipient's relay.
        relay: HostPort,
        /// The recipient.
        to: Name,
        /// Text of the letter.
        text: String,
    },
    /// End the conversation with a guest: [`crate::client::Command::Close`].
    Close {
        /// Identifies the command in events.
        request: u64,
        /// The guest's relay.
        relay: HostPort,
        /// The guest.
        to: Name,
    },
    /// Block or unblock a contact.
    Block {
        /// The contact.
        who: ResolvedContact,
        /// `true` to block.
        blocked: bool,
    },
    /// Add a contact to the address book; then call `LineMode::handle_added`.
    Add {
        /// The member.
        who: ResolvedContact,
        /// The user's name for it.
        label: Name,
    },
    /// Read the last messages with a contact, and show what `LineMode::history` makes of them.
    ShowHistory {
        /// The contact.
        who: ResolvedContact,
        /// Number of messages.
        last: u64,
        /// Number of those from it that are new.
        new: u64,
    },
    /// Measure a round trip: [`crate::client::Command::Ping`].
    Ping {
        /// The relay.
        relay: HostPort,
    },
    /// Use these carriers from here on: [`crate::client::Command::Carriers`].
    Carriers(Carriers),
    /// End with this exit status, once every sent letter is accepted or the time limit is over.
    Quit {
        /// 0 success, 1 refused, 130 interrupted.
        status: u8,
    },
}

/// Options of line mode.
#[derive(Clone, Debug)]
pub struct LineModeOptions {
    /// Texts in the user's language.
    pub strings: Arc<Strings>,
    /// Request number of the first letter; later ones count up.
    pub first_request: u64,
    /// The user's own name.
    pub me: String,
    /// Carriers that the user requested. A connection over them needs no notice.
    pub carriers: Carriers,
    /// Format of times.
    pub time_format: TimeFormat,
    /// Whether to answer the guest that has waited longest, without choosing a recipient.
    pub is_desk: bool,
    /// Whether a user types and reads on a terminal. Scripts read the prompts of pipes.
    pub is_terminal: bool,
}
