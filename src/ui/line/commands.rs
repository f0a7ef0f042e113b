//! Parses input lines. One table feeds parser, completion and `/help`.

use crate::base::{Name, Phrase};
use crate::client::Carriers;

/// Returns to choosing a contact, and ends the chat there.
const QUIT: &str = "quit";
/// Words with the same effect on a terminal, in any case: those of shells and of vi.
const END_WORDS: [&str; 4] = [QUIT, "exit", "q", ":q"];
/// Ends the conversation with a guest.
pub(super) const CLOSE: &str = "/close";
/// A guest's word for the end of its conversation; a member may use it too.
const BYE: &str = "q";

/// Words that are not texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputMode {
    /// Of the words that end a conversation only that of the tutorials, so that no text of a script
    /// is taken for one.
    Pipe,
    /// Every word that users type to leave a program.
    Terminal,
    /// As for pipes, and the commands of a desk only. `q` is a guest's word.
    Desk,
}

/// Effect of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlashCommand {
    Help,
    Contacts,
    SwitchTo,
    Reply,
    Unread,
    History(u64),
    Add,
    Status,
    /// Shows whether they are on, or turns them on or off.
    Receipts(Option<bool>),
    /// Shows the carriers that are used, or sets them.
    Path(Option<Carriers>),
    Block(bool),
    CloseGuest,
    Quit,
}

/// Meaning of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ParsedLine<'a> {
    /// An empty line.
    Empty,
    /// `quit`.
    Quit,
    /// `q` on a terminal: as `quit`, but it ends the conversation with a guest.
    Bye,
    /// A command and its argument.
    CommandSpec(SlashCommand, &'a str),
    /// Text that is not sent because it looks like a command.
    Error(ParseError),
    /// A text to send, or a contact to choose.
    Text(&'a str),
}

/// An invalid command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ParseError {
    /// Unknown command.
    Unknown(String),
    /// Wrong arguments; the correct usage.
    Usage(&'static str),
    /// Spaces or a full-width slash before what looks like this command.
    SpaceBeforeSlash(String),
}

/// A command: its words, usage, meaning, and its effect for an argument (`None` if the argument is
/// invalid).
struct Command {
    words: &'static [&'static str],
    usage: &'static str,
    meaning: Phrase,
    parse: fn(&str) -> Option<SlashCommand>,
}

/// Messages that `/history` shows without a number.
const HISTORY_LEN: u64 = 50;
/// Maximum messages that it shows; `queqiao history` shows all.
const HISTORY_LEN_MAX: u64 = 1_000;

static COMMANDS: [Command; 14] = [
    Command {
        words: &["/help", "/?"],
        usage: "/help",
        meaning: Phrase::new("chat-help-help"),
        parse: |argument| alone(argument, SlashCommand::Help),
    },
    Command {
        words: &["/who", "/contacts"],
        usage: "/who, /contacts",
        meaning: Phrase::new("chat-help-who"),
        parse: |argument| alone(argument, SlashCommand::Contacts),
    },
    Command {
        words: &["/to"],
        usage: "/to CONTACT",
        meaning: Phrase::new("chat-help-to"),
        parse: |argument| (!argument.is_empty()).then_some(SlashCommand::SwitchTo),
    },
    Command {
        words: &["/reply"],
        usage: "/reply",
        meaning: Phrase::new("chat-help-reply"),
        parse: |argument| alone(argument, SlashCommand::Reply),
    },
    Command {
        words: &["/unread"],
        usage: "/unread",
        meaning: Phrase::new("chat-help-unread"),
        parse: |argument| alone(argument, SlashCommand::Unread),
    },
    Command {
        words: &["/history"],
        usage: "/history [N]",
        meaning: Phrase::new("chat-help-history"),
        parse: |argument| match argument {
            "" => Some(SlashCommand::History(HISTORY_LEN)),
            number => {
                number.parse().ok().map(|last: u64| SlashCommand::History(last.clamp(1, HISTORY_LEN_MAX)))
            }
        },
    },
    Command {
        words: &["/add"],
        usage: "/add NAME [as NAME]",
        meaning: Phrase::new("chat-help-add"),
        parse: |argument| (!argument.is_empty()).then_some(SlashCommand::Add),
    },
    Command {
        words: &["/status"],
        usage: "/status",
        meaning: Phrase::new("chat-help-status"),
        parse: |argument| alone(argument, SlashCommand::Status),
    },
    Command {
        words: &["/path"],
        usage: "/path [udp|tcp|auto]",
        meaning: Phrase::new("chat-help-path"),
        parse: |argument| match argument {
            "" => Some(SlashCommand::Path(None)),
            "udp" => Some(SlashCommand::Path(Some(Carriers::Udp))),
            "tcp" => Some(SlashCommand::Path(Some(Carriers::Tcp))),
            "auto" => Some(SlashCommand::Path(Some(Carriers::Auto))),
            _ => None,
        },
    },
    Command {
        words: &["/receipts"],
        usage: "/receipts [on|off]",
        meaning: Phrase::new("chat-help-receipts"),
        parse: |argument| match argument {
            "" => Some(SlashCommand::Receipts(None)),
            "on" => Some(SlashCommand::Receipts(Some(true))),
            "off" => Some(SlashCommand::Receipts(Some(false))),
            _ => None,
        },
    },
    Command {
        words: &["/block"],
        usage: "/block NAME",
        meaning: Phrase::new("chat-help-block"),
        parse: |argument| (!argument.is_empty()).then_some(SlashCommand::Block(true)),
    },
    Command {
        words: &["/unblock"],
        usage: "/unblock NAME",
        meaning: Phrase::new("chat-help-unblock"),
        parse: |argument| (!argument.is_empty()).then_some(SlashCommand::Block(false)),
    },
    Command {
        words: &[CLOSE],
        usage: CLOSE,
        meaning: Phrase::new("chat-help-close"),
        parse: |argument| alone(argument, SlashCommand::CloseGuest),
    },
    Command {
        words: &["/quit", "/exit"],
        usage: "/quit, Ctrl-D",
        meaning: Phrase::new("chat-help-quit"),
        parse: |argument| alone(argument, SlashCommand::Quit),
    },
];

/// Commands of a desk. Guests are no contacts: they cannot be blocked or added, and send no
/// receipts.
static DESK_COMMANDS: [Command; 5] = [
    Command {
        words: &["/who"],
        usage: "/who",
        meaning: Phrase::new("desk-help-who"),
        parse: |argument| alone(argument, SlashCommand::Contacts),
    },
    Command {
        words: &["/to"],
        usage: "/to N",
        meaning: Phrase::new("desk-help-to"),
        parse: |argument| (!argument.is_empty()).then_some(SlashCommand::SwitchTo),
    },
    Command {
        words: &[CLOSE],
        usage: "/close, q",
        meaning: Phrase::new("desk-help-close"),
        parse: |argument| alone(argument, SlashCommand::CloseGuest),
    },
    Command {
        words: &["/help", "/?"],
        usage: "/help",
        meaning: Phrase::new("chat-help-help"),
        parse: |argument| alone(argument, SlashCommand::Help),
    },
    Command {
        words: &["/quit", "/exit"],
        usage: "/quit, Ctrl-D",
        meaning: Phrase::new("desk-help-quit"),
        parse: |argument| alone(argument, SlashCommand::Quit),
    },
];

const fn commands_in(mode: InputMode) -> &'static [Command] {
    match mode {
        InputMode::Pipe | InputMode::Terminal => &COMMANDS,
        InputMode::Desk => &DESK_COMMANDS,
    }
}

fn alone(argument: &str, command: SlashCommand) -> Option<SlashCommand> {
    argument.is_empty().then_some(command)
}

/// Whether this text ends the conversation with its recipient instead of being sent. Guests know no
/// other word for it.
pub fn ends_conversation(to: &Name, text: &str) -> bool {
    to.guest_address().is_some() && [BYE, CLOSE].contains(&text.trim())
}

/// Whether a user on a terminal ends a conversation by this line. A space before the word makes it
/// a text.
pub fn is_end_word(line: &str) -> bool {
    END_WORDS.contains(&line.trim_end().to_ascii_lowercase().as_str())
}

/// Parses a line. A line that begins with `/`, or with spaces and `/`, is never a text; a text that
/// begins with `/` is written with `//`.
pub(super) fn parse(line: &str, mode: InputMode) -> ParsedLine<'_> {
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return ParsedLine::Empty;
    }
    if line.trim_end() == QUIT {
        return ParsedLine::Quit;
    }
    if mode == InputMode::Terminal && is_end_word(line) {
        return if trimmed.eq_ignore_ascii_case(BYE) { ParsedLine::Bye } else { ParsedLine::Quit };
    }
    if line.starts_with("//") {
        return ParsedLine::Text(&line[1..]);
    }
    if line.starts_with('/') {
        return parse_command(trimmed, mode);
    }
    let guarded = trimmed.starts_with('/') || is_full_width_command(trimmed, mode);
    if guarded {
        let word = trimmed.split_whitespace().next().expect("`trimmed` is not empty").replacen('／', "/", 1);
        return ParsedLine::Error(ParseError::SpaceBeforeSlash(word));
    }
    ParsedLine::Text(line)
}

fn parse_command(line: &str, mode: InputMode) -> ParsedLine<'_> {
    let (word, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let Some(command) = commands_in(mode).iter().find(|command| command.words.contains(&word)) else {
        return ParsedLine::Error(ParseError::Unknown(word.to_owned()));
    };
    let argument = argument.trim();
    match (command.parse)(argument).filter(|_| !argument.contains('\n')) {
        Some(command) => ParsedLine::CommandSpec(command, argument),
        None => ParsedLine::Error(ParseError::Usage(command.usage)),
    }
}

/// Whether a Chinese keyboard wrote `／quit` for `/quit`.
fn is_full_width_command(text: &str, mode: InputMode) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    let half_width = word.strip_prefix('／').map(|rest| format!("/{rest}"));
    half_width.is_some_and(|word| words(mode).any(|known| known == word))
}

/// Returns every command word.
fn words(mode: InputMode) -> impl Iterator<Item = &'static str> {
    commands_in(mode).iter().flat_map(|command| command.words).copied()
}

/// Returns every command as completed: with a space if it needs an argument.
pub(super) fn completions(mode: InputMode) -> impl Iterator<Item = String> {
    let completed = |command: &'static Command| {
        let space = if (command.parse)("").is_none() { " " } else { "" };
        command.words.iter().map(move |word| format!("{word}{space}"))
    };
    commands_in(mode).iter().flat_map(completed)
}

/// Returns the lines of `/help`: usage and meaning. The usage of the title is empty.
pub(super) fn help(mode: InputMode) -> Vec<(&'static str, Phrase)> {
    let (title, quit) = match mode {
        InputMode::Pipe | InputMode::Terminal => ("chat-help-title", "chat-help-quit-word"),
        InputMode::Desk => ("desk-help-title", "desk-help-quit-word"),
    };
    let mut lines =
        vec![("", Phrase::new(title)), (QUIT, Phrase::new(quit)), ("//…", Phrase::new("chat-help-slashes"))];
    lines.extend(commands_in(mode).iter().map(|command| (command.usage, command.meaning.clone())));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_line_has_one_meaning() {
        let unknown = |word: &str| ParsedLine::Error(ParseError::Unknown(word.to_owned()));
        let guarded = |word: &str| ParsedLine::Error(ParseError::SpaceBeforeSlash(word.to_owned()));
        let table = [
            ("", ParsedLine::Empty),
            (" \t ", ParsedLine::Empty),
            ("quit", ParsedLine::Quit),
            ("quit ", ParsedLine::Quit),
            (" quit", ParsedLine::Text(" quit")),
            ("Quit", ParsedLine::Text("Quit")),
            ("quit it", ParsedLine::Text("quit it")),
            ("/quit", ParsedLine::CommandSpec(SlashCommand::Quit, "")),
            ("/quit now", ParsedLine::Error(ParseError::Usage("/quit, Ctrl-D"))),
            ("/to  一棵树 ", ParsedLine::CommandSpec(SlashCommand::SwitchTo, "一棵树")),
            ("/block TOM", ParsedLine::CommandSpec(SlashCommand::Block(true), "TOM")),
            ("/unblock", ParsedLine::Error(ParseError::Usage("/unblock NAME"))),
            ("/to", ParsedLine::Error(ParseError::Usage("/to CONTACT"))),
            ("/receipts on", ParsedLine::CommandSpec(SlashCommand::Receipts(Some(true)), "on")),
            ("/path tcp", ParsedLine::CommandSpec(SlashCommand::Path(Some(Carriers::Tcp)), "tcp")),
            ("/path", ParsedLine::CommandSpec(SlashCommand::Path(None), "")),
            ("/path quic", ParsedLine::Error(ParseError::Usage("/path [udp|tcp|auto]"))),
            ("/receipts", ParsedLine::CommandSpec(SlashCommand::Receipts(None), "")),
            ("/receipts yes", ParsedLine::Error(ParseError::Usage("/receipts [on|off]"))),
            ("/qiut", unknown("/qiut")),
            ("/", unknown("/")),
            ("//quit", ParsedLine::Text("/quit")),
            ("//", ParsedLine::Text("/")),
            (" /quit", guarded("/quit")),
            ("\t/etc/hosts", guarded("/etc/hosts")),
            ("／quit", guarded("/quit")),
            ("／或者", ParsedLine::Text("／或者")),
            ("a / b", ParsedLine::Text("a / b")),
            ("/to a\nb", ParsedLine::Error(ParseError::Usage("/to CONTACT"))),
        ];
        for (line, meaning) in table {
            assert_eq!(parse(line, InputMode::Pipe), meaning, "{line:?}");
        }
    }

    #[test]
    fn terminal_has_more_words_that_end() {
        for word in ["quit", "QUIT", "Exit ", ":q"] {
            assert_eq!(parse(word, InputMode::Terminal), ParsedLine::Quit, "{word}");
        }
        for word in ["q", "Q "] {
            assert_eq!(parse(word, InputMode::Terminal), ParsedLine::Bye, "{word}");
        }
        for text in [" q", "q?", "quit it", ":wq"] {
            assert_eq!(parse(text, InputMode::Terminal), ParsedLine::Text(text));
        }
        for text in ["QUIT", "exit", "q", ":q"] {
            assert_eq!(parse(text, InputMode::Pipe), ParsedLine::Text(text));
        }
    }

    #[test]
    fn desk_has_its_own_commands() {
        assert_eq!(parse("/to 3", InputMode::Desk), ParsedLine::CommandSpec(SlashCommand::SwitchTo, "3"));
        assert_eq!(parse("/close", InputMode::Desk), ParsedLine::CommandSpec(SlashCommand::CloseGuest, ""));
        assert_eq!(parse("quit", InputMode::Desk), ParsedLine::Quit);
        for text in ["q", "exit", ":q"] {
            assert_eq!(parse(text, InputMode::Desk), ParsedLine::Text(text));
        }
        for word in ["/block", "/add", "/receipts", "/path", "/history"] {
            let unknown = ParsedLine::Error(ParseError::Unknown(word.to_owned()));
            assert_eq!(parse(word, InputMode::Desk), unknown);
        }
    }

    #[test]
    fn completed_command_has_space_before_its_argument() {
        let completed: Vec<String> = completions(InputMode::Terminal).collect();
        for word in ["/to ", "/block ", "/add ", "/help", "/history", "/path", "/quit"] {
            assert!(completed.iter().any(|completion| completion == word), "{word:?}");
        }
    }

    #[test]
    fn help_lists_every_command() {
        for mode in [InputMode::Terminal, InputMode::Desk] {
            let usages: Vec<&str> = help(mode).iter().map(|line| line.0).collect();
            for command in commands_in(mode) {
                assert!(usages.contains(&command.usage) && command.usage.starts_with(command.words[0]));
            }
        }
    }

    proptest! {
        #[test]
        fn only_two_slashes_send_slash(line in "[ \t]{0,3}/[^/].{0,20}") {
            let is_text = matches!(parse(&line, InputMode::Terminal), ParsedLine::Text(_));
            prop_assert!(!is_text);
        }
    }
}
