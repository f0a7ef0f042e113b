//! Sentences about a refused command line, in the user's language: one line, made of the kind and
//! the context of clap's error.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::environment::Environment;
use super::help;
use crate::base::{Phrase, sanitize_line};
use crate::ui::Strings;

/// Returns the line for a refused command line. `command` is the grammar with all variables.
pub(super) fn line(
    error: &clap::Error,
    command: &Command,
    environment: &Environment<'_>,
    strings: &Strings,
) -> String {
    if let Some(mistake) = environment.mistake(command, error) {
        return strings.say(&mistake);
    }
    let used = UsedCommand::find(command, environment.args);
    let mut parts = vec![match phrase(error, &used, environment, strings) {
        Some(phrase) => strings.say(&phrase),
        // Kinds without a sentence of ours: the first line of clap's text.
        None => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            sanitize_line(line.strip_prefix("error: ").unwrap_or(line)).into_owned()
        }
    }];
    parts.extend(environment.origins(command, error).iter().map(|origin| strings.say(origin)));
    let text = |key| strings.find(key).expect("the tables have this text");
    let mut line = parts.join(&text("cli-joint"));
    if is_about_grammar(error.kind()) {
        let stop = text("cli-full-stop");
        let is_question = line.ends_with(['?', '？']);
        line += if is_question { stop.trim_start_matches(['.', '。']) } else { &stop };
        line += &help::more(&used.path, strings);
    }
    line
}

/// Whether the help of the command says more about this kind of mistake.
const fn is_about_grammar(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownArgument
            | ErrorKind::InvalidSubcommand
            | ErrorKind::MissingSubcommand
            | ErrorKind::MissingRequiredArgument
    )
}

/// The command that a command line names.
struct UsedCommand<'a> {
    root: &'a Command,
    command: &'a Command,
    /// Name with those of the commands above it: `queqiao contacts add`.
    path: String,
}

impl<'a> UsedCommand<'a> {
    fn find(root: &'a Command, args: &[OsString]) -> UsedCommand<'a> {
        let mut used = UsedCommand { root, command: root, path: root.get_name().to_owned() };
        for arg in args.iter().take_while(|arg| *arg != "--") {
            if let Some(sub) = arg.to_str().and_then(|name| used.command.find_subcommand(name)) {
                used.command = sub;
                used.path += &format!(" {}", sub.get_name());
            }
        }
        used
    }

    fn is_root(&self) -> bool {
        std::ptr::eq(self.root, self.command)
    }

    /// Whether texts, which may begin with `-`, are among the arguments.
    fn takes_text(&self) -> bool {
        self.command.get_positionals().any(|arg| arg.get_id() == "text")
    }
}

fn phrase(
    error: &clap::Error,
    used: &UsedCommand<'_>,
    environment: &Environment<'_>,
    strings: &Strings,
) -> Option<Phrase> {
    let argument = one(error, ContextKind::InvalidArg).map(|usage| name_of(&usage));
    let value = one(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::InvalidValue => Some(invalid_choice(error, &argument?, &value?)),
        ErrorKind::ValueValidation => {
            let source = std::error::Error::source(error);
            let reason = match source.and_then(|source| source.downcast_ref::<Phrase>()) {
                Some(phrase) => strings.say(phrase),
                None => source?.to_string(),
            };
            let phrase = Phrase::new("cli-invalid-value").with("value", value?);
            Some(phrase.with("argument", argument?).with("why", reason))
        }
        ErrorKind::UnknownArgument => Some(unknown_argument(error, &argument?, used, environment)),
        ErrorKind::InvalidSubcommand => {
            let command = one(error, ContextKind::InvalidSubcommand)?;
            Some(unknown_command(error, &command, environment))
        }
        ErrorKind::MissingSubcommand => Some(Phrase::new("cli-no-command")),
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> =
                all(error, ContextKind::InvalidArg).iter().map(|usage| name_of(usage)).collect();
            Some(Phrase::new("cli-missing").with("arguments", missing.join(", ")))
        }
        ErrorKind::ArgumentConflict => {
            let argument = argument.or_else(|| one(error, ContextKind::InvalidSubcommand))?;
            Some(match all(error, ContextKind::PriorArg).first().map(|usage| name_of(usage)) {
                Some(other) if other != argument => {
                    Phrase::new("cli-conflict").with("argument", argument).with("other", other)
                }
                _ => Phrase::new("cli-twice").with("argument", argument),
            })
        }
        _ => None,
    }
}

fn invalid_choice(error: &clap::Error, argument: &str, value: &str) -> Phrase {
    if value.is_empty() {
        return Phrase::new("cli-no-value").with("argument", argument);
    }
    let values = all(error, ContextKind::ValidValue).join(", ");
    Phrase::new("cli-invalid-choice").with("argument", argument).with("value", value).with("values", values)
}

fn unknown_argument(
    error: &clap::Error,
    argument: &str,
    used: &UsedCommand<'_>,
    environment: &Environment<'_>,
) -> Phrase {
    let is_option = argument.len() > 1 && argument.starts_with('-');
    if !is_option {
        return extra(argument, environment).with("value", argument);
    }
    let phrase = if let Some(near) = one(error, ContextKind::SuggestedArg) {
        Phrase::new("cli-unknown-option-near").with("near", near)
    } else if argument.strip_prefix("--").is_some_and(|long| has_option(used.root, long)) {
        let is_it = |arg: &OsString| arg.to_string_lossy().split('=').next() == Some(argument);
        let at = environment.args.iter().position(is_it).unwrap_or_default();
        let is_before_command = UsedCommand::find(used.root, &environment.args[..at]).is_root();
        if is_before_command {
            Phrase::new("cli-option-after-command")
        } else {
            Phrase::new("cli-option-elsewhere")
        }
    } else if used.takes_text() {
        Phrase::new("cli-unknown-option")
    } else {
        Phrase::new("cli-unknown-option-plain")
    };
    phrase.with("argument", argument).with("command", &used.path)
}

/// Whether a command or one below it has this option.
fn has_option(command: &Command, long: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(long) && !arg.is_hide_set())
        || command.get_subcommands().any(|sub| has_option(sub, long))
}

fn unknown_command(error: &clap::Error, command: &str, environment: &Environment<'_>) -> Phrase {
    if let Some(option) = option_before(command, environment) {
        return Phrase::new("cli-needs-equals").with("argument", option).with("value", command);
    }
    // clap sorts by similarity, the most similar last.
    match all(error, ContextKind::SuggestedSubcommand).pop() {
        Some(near) => Phrase::new("cli-unknown-command-near").with("command", command).with("near", near),
        None => Phrase::new("cli-unknown-command").with("command", command),
    }
}

fn extra(value: &str, environment: &Environment<'_>) -> Phrase {
    match option_before(value, environment) {
        Some(option) => Phrase::new("cli-needs-equals").with("argument", option),
        None => Phrase::new("cli-extra"),
    }
}

/// Returns the option before a value, if it takes values only after `=`.
fn option_before(value: &str, environment: &Environment<'_>) -> Option<&'static str> {
    let at = environment.args.iter().position(|arg| arg == value)?;
    let before = environment.args.get(at.checked_sub(1)?)?;
    (before == "--tcp").then_some("--tcp")
}

/// Returns the first text of a kind.
fn one(error: &clap::Error, kind: ContextKind) -> Option<String> {
    all(error, kind).into_iter().next()
}

fn all(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// Returns the name of an argument from clap's notation: `--keep` of `--keep <DURATION>`, `TEXT` of
/// `[TEXT]...`, `--guests|--desk` of `<--guests <NAME>|--desk[=<NAME>]>`.
fn name_of(usage: &str) -> String {
    let usage = usage.trim_end_matches("...");
    let inner = ['<', '['].iter().find_map(|open| usage.strip_prefix(*open));
    if usage.starts_with('-') {
        return usage.split([' ', '=', '[']).next().unwrap_or(usage).to_owned();
    }
    let Some(inner) = inner else { return usage.to_owned() };
    let inner = inner.strip_suffix(['>', ']']).unwrap_or(inner);
    match inner.starts_with('-') {
        true => {
            inner.split('|').filter(|part| part.starts_with('-')).map(name_of).collect::<Vec<_>>().join("|")
        }
        false => inner.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::args::Args;
    use super::*;
    use crate::ui::Lang;

    /// Returns the line for the arguments in a shell's notation without quotes.
    fn usage_error_line(args: &str, lang: Lang) -> String {
        let strings = Strings::new(lang);
        let args: Vec<OsString> = args.split_ascii_whitespace().map(OsString::from).collect();
        let environment = Environment { args: &args, variable: &|_| None };
        let grammar = Args::command();
        let command = help::localize(environment.apply(grammar.clone()), &strings);
        let all = std::iter::once(OsString::from("queqiao")).chain(args.iter().cloned());
        let error = command.try_get_matches_from(all).expect_err("a refused command line");
        line(&error, &grammar, &environment, &strings)
    }

    #[test]
    fn mistakes_have_sentences_in_english() {
        for (args, line) in [
            ("", "no command given. More: queqiao --help"),
            ("contacts", "no command given. More: queqiao contacts --help"),
            ("frobnicate", "unknown command frobnicate. More: queqiao --help"),
            ("lisen", "unknown command lisen; did you mean listen? More: queqiao --help"),
            (
                "send JACK --zzz",
                "unknown option --zzz; to send text that begins with -, put -- before it. More: queqiao send --help",
            ),
            ("listen --jsno", "unknown option --jsno; did you mean --json? More: queqiao listen --help"),
            ("listen --xyz", "unknown option --xyz. More: queqiao listen --help"),
            ("demo --tcp", "queqiao demo does not use --tcp. More: queqiao demo --help"),
            ("--tcp send JACK x", "--tcp must come after the command. More: queqiao send --help"),
            ("send", "missing: CONTACT, TEXT. More: queqiao send --help"),
            ("listen --count", "--count needs a value"),
            (
                "listen --for 10",
                "invalid value 10 for --for: a unit is missing, for example 10s, 10m, 10h or 10d",
            ),
            (
                "listen --for x",
                "invalid value x for --for: expected a duration such as 500ms, 10s, 2m, 1h or 30d",
            ),
            (
                "relay --mailbox-bytes x",
                "invalid value x for --mailbox-bytes: expected a size such as 512K, 32M or 1G",
            ),
            ("ping --count 0", "invalid value 0 for --count: expected a number from 1 to 1000000"),
            (
                "send JACK x --wait read",
                "invalid value read for --wait; possible values: accepted, delivered",
            ),
            ("listen --tcp --udp", "--tcp cannot be used with --udp"),
            ("send JACK x --lines", "TEXT cannot be used with --lines"),
            ("listen --json --json", "--json can be given only once"),
            ("trust a b c", "unexpected argument c. More: queqiao trust --help"),
            ("--lang fr listen", "invalid value fr for --lang: en or zh"),
            (
                "relay --tcp 0.0.0.0:1",
                "write --tcp=0.0.0.0:1, with = before the value. More: queqiao relay --help",
            ),
            ("relay --guest-anyone", "missing: --guests|--desk. More: queqiao relay --help"),
        ] {
            assert_eq!(usage_error_line(args, Lang::En), line, "{args}");
        }
    }

    #[test]
    fn mistakes_have_sentences_in_chinese() {
        for (args, line) in [
            ("", "未指定命令。更多信息：queqiao --help"),
            ("lisen", "未知命令 lisen，是不是 listen？更多信息：queqiao --help"),
            (
                "send JACK --zzz",
                "未知选项 --zzz；要发送以 - 开头的文字，请在前面加 --。更多信息：queqiao send --help",
            ),
            ("send", "缺少参数：联系人、文字。更多信息：queqiao send --help"),
            ("listen --count", "--count 需要一个值"),
            ("listen --for x", "--for 的值 x 无效：应为时长，例如 500ms、10s、2m、1h 或 30d"),
            ("send JACK x --wait read", "--wait 的值 read 无效；可选值：accepted、delivered"),
            ("listen --tcp --udp", "--tcp 不能与 --udp 同时使用"),
            ("trust a b c", "多余的参数 c。更多信息：queqiao trust --help"),
            ("--lang fr listen", "--lang 的值 fr 无效：en 或 zh"),
        ] {
            assert_eq!(usage_error_line(args, Lang::Zh), line, "{args}");
        }
    }

    #[test]
    fn names_of_arguments_lose_notation_of_clap() {
        for (usage, name) in [
            ("--keep <DURATION>", "--keep"),
            ("--tcp[=<HOST:PORT>]", "--tcp"),
            ("[TEXT]...", "TEXT"),
            ("<CONTACT>", "CONTACT"),
            ("<--guests <NAME>|--desk[=<NAME>]>", "--guests|--desk"),
            ("x", "x"),
        ] {
            assert_eq!(name_of(usage), name);
        }
    }

    #[test]
    fn value_cannot_break_line_or_control_terminal() {
        let line = usage_error_line("listen --for \u{1b}[2J", Lang::En);
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}
