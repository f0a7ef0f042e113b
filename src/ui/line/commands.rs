//! Parses input lines. One table feeds parser, completion and `/help`.

use crate::base::Phrase;
use crate::client::Carriers;

/// Returns to choosing a contact, and ends the chat there.
const BACK: &str = "quit";
/// Ends the conversation with a guest.
pub(super) const CLOSE: &str = "/close";

/// Effect of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Help,
    Who,
    To,
    Status,
    Receipts(bool),
    Path(Carriers),
    Block(bool),
    Close,
    Quit,
}

/// Meaning of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    /// An empty line.
    Nothing,
    /// `quit`.
    Back,
    /// A command and its argument.
    Act(Act, &'a str),
    /// Text that is not sent because it looks like a command.
    Typo(Typo),
    /// A text to send, or a contact to choose.
    Text(&'a str),
}

/// An invalid command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typo {
    /// Unknown command.
    Unknown(String),
    /// Wrong arguments; the correct usage.
    Usage(&'static str),
    /// Spaces or a full-width slash before what looks like this command.
    Guarded(String),
}

/// A command: its words, usage, meaning, and its effect for an argument (`None` if the argument is
/// invalid).
struct Command {
    words: &'static [&'static str],
    usage: &'static str,
    meaning: Phrase,
    act: fn(&str) -> Option<Act>,
}

static COMMANDS: [Command; 10] = [
    Command {
        words: &["/help", "/?"],
        usage: "/help",
        meaning: Phrase::new("chat-help-help"),
        act: |argument| alone(argument, Act::Help),
    },
    Command {
        words: &["/who", "/contacts"],
        usage: "/who, /contacts",
        meaning: Phrase::new("chat-help-who"),
        act: |argument| alone(argument, Act::Who),
    },
    Command {
        words: &["/to"],
        usage: "/to CONTACT",
        meaning: Phrase::new("chat-help-to"),
        act: |argument| (!argument.is_empty()).then_some(Act::To),
    },
    Command {
        words: &["/status"],
        usage: "/status",
        meaning: Phrase::new("chat-help-status"),
        act: |argument| alone(argument, Act::Status),
    },
    Command {
        words: &["/path"],
        usage: "/path udp|tcp|auto",
        meaning: Phrase::new("chat-help-path"),
        act: |argument| match argument {
            "udp" => Some(Act::Path(Carriers::Udp)),
            "tcp" => Some(Act::Path(Carriers::Tcp)),
            "auto" => Some(Act::Path(Carriers::Auto)),
            _ => None,
        },
    },
    Command {
        words: &["/receipts"],
        usage: "/receipts on|off",
        meaning: Phrase::new("chat-help-receipts"),
        act: |argument| match argument {
            "on" => Some(Act::Receipts(true)),
            "off" => Some(Act::Receipts(false)),
            _ => None,
        },
    },
    Command {
        words: &["/block"],
        usage: "/block NAME",
        meaning: Phrase::new("chat-help-block"),
        act: |argument| (!argument.is_empty()).then_some(Act::Block(true)),
    },
    Command {
        words: &["/unblock"],
        usage: "/unblock NAME",
        meaning: Phrase::new("chat-help-unblock"),
        act: |argument| (!argument.is_empty()).then_some(Act::Block(false)),
    },
    Command {
        words: &[CLOSE],
        usage: CLOSE,
        meaning: Phrase::new("chat-help-close"),
        act: |argument| alone(argument, Act::Close),
    },
    Command {
        words: &["/quit", "/exit"],
        usage: "/quit, Ctrl-D",
        meaning: Phrase::new("chat-help-quit"),
        act: |argument| alone(argument, Act::Quit),
    },
];

fn alone(argument: &str, act: Act) -> Option<Act> {
    argument.is_empty().then_some(act)
}

/// Parses a line. A line that begins with `/`, or with spaces and `/`, is never a text; a text that
/// begins with `/` is written with `//`.
pub(super) fn read(line: &str) -> Word<'_> {
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return Word::Nothing;
    }
    if line.trim_end() == BACK {
        return Word::Back;
    }
    if line.starts_with("//") {
        return Word::Text(&line[1..]);
    }
    if line.starts_with('/') {
        return read_command(trimmed);
    }
    let guarded = trimmed.starts_with('/') || is_full_width_command(trimmed);
    if guarded {
        let word = trimmed.split_whitespace().next().expect("`trimmed` is not empty").replacen('／', "/", 1);
        return Word::Typo(Typo::Guarded(word));
    }
    Word::Text(line)
}

fn read_command(line: &str) -> Word<'_> {
    let (word, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let Some(command) = COMMANDS.iter().find(|command| command.words.contains(&word)) else {
        return Word::Typo(Typo::Unknown(word.to_owned()));
    };
    let argument = argument.trim();
    match (command.act)(argument).filter(|_| !argument.contains('\n')) {
        Some(act) => Word::Act(act, argument),
        None => Word::Typo(Typo::Usage(command.usage)),
    }
}

/// Whether a Chinese keyboard wrote `／quit` for `/quit`.
fn is_full_width_command(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    let half_width = word.strip_prefix('／').map(|rest| format!("/{rest}"));
    half_width.is_some_and(|word| words().any(|known| known == word))
}

/// Returns every command word.
pub(super) fn words() -> impl Iterator<Item = String> {
    COMMANDS.iter().flat_map(|command| command.words).map(|word| (*word).to_owned())
}

/// Returns the lines of `/help`: usage and meaning. The usage of the title is empty.
pub(super) fn help() -> Vec<(&'static str, Phrase)> {
    let mut lines = vec![
        ("", Phrase::new("chat-help-title")),
        (BACK, Phrase::new("chat-help-quit-word")),
        ("//…", Phrase::new("chat-help-slashes")),
    ];
    lines.extend(COMMANDS.iter().map(|command| (command.usage, command.meaning.clone())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_line_has_one_meaning() {
        let unknown = |word: &str| Word::Typo(Typo::Unknown(word.to_owned()));
        let guarded = |word: &str| Word::Typo(Typo::Guarded(word.to_owned()));
        let table = [
            ("", Word::Nothing),
            (" \t ", Word::Nothing),
            ("quit", Word::Back),
            ("quit ", Word::Back),
            (" quit", Word::Text(" quit")),
            ("Quit", Word::Text("Quit")),
            ("quit it", Word::Text("quit it")),
            ("/quit", Word::Act(Act::Quit, "")),
            ("/quit now", Word::Typo(Typo::Usage("/quit, Ctrl-D"))),
            ("/to  一棵树 ", Word::Act(Act::To, "一棵树")),
            ("/block TOM", Word::Act(Act::Block(true), "TOM")),
            ("/unblock", Word::Typo(Typo::Usage("/unblock NAME"))),
            ("/to", Word::Typo(Typo::Usage("/to CONTACT"))),
            ("/receipts on", Word::Act(Act::Receipts(true), "on")),
            ("/path tcp", Word::Act(Act::Path(Carriers::Tcp), "tcp")),
            ("/path", Word::Typo(Typo::Usage("/path udp|tcp|auto"))),
            ("/receipts", Word::Typo(Typo::Usage("/receipts on|off"))),
            ("/qiut", unknown("/qiut")),
            ("/", unknown("/")),
            ("//quit", Word::Text("/quit")),
            ("//", Word::Text("/")),
            (" /quit", guarded("/quit")),
            ("\t/etc/hosts", guarded("/etc/hosts")),
            ("／quit", guarded("/quit")),
            ("／或者", Word::Text("／或者")),
            ("a / b", Word::Text("a / b")),
            ("/to a\nb", Word::Typo(Typo::Usage("/to CONTACT"))),
        ];
        for (line, meaning) in table {
            assert_eq!(read(line), meaning, "{line:?}");
        }
    }

    #[test]
    fn help_lists_every_command() {
        let usages: Vec<&str> = help().iter().map(|line| line.0).collect();
        for command in &COMMANDS {
            assert!(usages.contains(&command.usage) && command.usage.starts_with(command.words[0]));
        }
    }

    proptest! {
        #[test]
        fn only_two_slashes_send_slash(line in "[ \t]{0,3}/[^/].{0,20}") {
            let is_text = matches!(read(&line), Word::Text(_));
            prop_assert!(!is_text);
        }
    }
}
