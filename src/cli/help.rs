//! Help in the user's language: texts, headings, value names, defaults. Each command and argument
//! has a text in the string tables.
//!
//! clap writes its own headings and notes in English, so they are replaced here.

use std::io::{self, IsTerminal};

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command};

use crate::base::Phrase;
use crate::ui::terminal::{self, width};
use crate::ui::{Color, Lang, Strings};

use super::help_layout::{DEFAULT_WIDTH, lay_out};

/// Name of the placeholder for options in a usage line of clap.
const OPTIONS_PLACEHOLDER: &str = "[OPTIONS]";

/// Display order of the options that every command has, behind its own.
pub(super) const HELP_ORDER: usize = 1_000;

/// Sets all texts of the grammar, and its usage lines.
pub(super) fn localize(grammar: Command, strings: &Strings) -> Command {
    with_usage(with_texts(grammar, strings), strings)
}

/// Sets the texts of the grammar. Notes about variables are those of the grammar as it is now.
pub(super) fn with_texts(grammar: Command, strings: &Strings) -> Command {
    let grammar = localize_under(grammar, "help", strings);
    // `print` breaks the lines of Chinese. 0: clap breaks none.
    if strings.lang() == Lang::Zh { grammar.term_width(0) } else { grammar }
}

/// Prints a help text, on a terminal with colours. A closed pipe is not an error.
pub(super) fn print(help: &StyledStr, strings: &Strings) {
    let colored = Color::Auto.enabled(io::stdout().is_terminal(), |name| std::env::var(name).ok());
    let text = if colored { help.ansi().to_string() } else { help.to_string() };
    let _ = terminal::write_out(&match strings.lang() {
        Lang::En => text,
        Lang::Zh => lay_out(&text, width().unwrap_or(DEFAULT_WIDTH)),
    });
}

/// Sets the usage lines. The grammar must not change afterwards.
pub(super) fn with_usage(mut grammar: Command, strings: &Strings) -> Command {
    grammar.build();
    localize_usage(grammar, strings)
}

fn localize_under(mut command: Command, prefix: &str, strings: &Strings) -> Command {
    let is_root = prefix == "help";
    command = command.about(help_text(strings, prefix)).arg_required_else_help(false);
    let ids: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    for id in ids {
        let text = help_text(strings, &format!("{prefix}--{}", id.replace('_', "-")));
        command = command.mut_arg(id, |arg| localize_arg(arg, text, strings));
    }
    command = command.disable_help_flag(true).disable_version_flag(true);
    command = command
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).help(say(strings, "cli-help")));
    let version = Arg::new("version").short('V').long("version").action(ArgAction::Version);
    let version = version.help(say(strings, "cli-version")).display_order(HELP_ORDER);
    command = command.arg(version.hide(!is_root));
    command = command.subcommand_value_name(value_name("COMMAND", strings));
    let subs: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in subs {
        command =
            command.mut_subcommand(&name, |sub| localize_under(sub, &format!("{prefix}-{name}"), strings));
    }
    if is_root {
        let all = format!("queqiao {}", value_name("COMMAND", strings));
        command = command.after_help(more(&all, strings));
    }
    let template = template(&command, strings);
    command.help_template(template)
}

/// Returns the reference to the help of a command.
pub(super) fn more(command: &str, strings: &Strings) -> String {
    strings.say(&Phrase::new("cli-more").with("command", command))
}

/// Returns the template of a command's help: headings in this language over the parts it has.
fn template(command: &Command, strings: &Strings) -> String {
    let style = command.get_styles();
    let text = |key: &'static str| strings.find(key).expect("each heading has a text");
    let heading = |key| format!("{0}{1}{0:#}", style.get_header(), text(key));
    let usage = heading("cli-usage");
    let gap = gap_after(&text("cli-usage"));
    let mut template = format!("{{about-with-newline}}\n{usage}{gap}{{usage}}\n\n");
    let parts = [
        (command.has_subcommands(), "cli-commands", "{subcommands}"),
        (command.get_positionals().next().is_some(), "cli-arguments", "{positionals}"),
        (true, "cli-options", "{options}"),
    ];
    let parts = parts.iter().filter(|part| part.0);
    let parts: Vec<String> = parts.map(|(_, key, part)| format!("{}\n{part}", heading(key))).collect();
    template += &parts.join("\n\n");
    template + "{after-help}"
}

/// Sets the text of an argument, with notes about its values, default and variable that are not in
/// the text.
fn localize_arg(arg: Arg, mut text: String, strings: &Strings) -> Arg {
    let names: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(|name| value_name(name, strings)).collect();
    let takes_values = arg.get_action().takes_values();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    if takes_values && !values.is_empty() && !names.iter().any(|name| name.contains('|')) {
        note(&mut text, Phrase::new("cli-possible").with("values", values.join(", ")), strings);
    }
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = defaults.collect::<Vec<_>>().join(" ");
    if takes_values && !default.is_empty() {
        note(&mut text, Phrase::new("cli-default").with("value", default), strings);
    }
    if let Some(variable) = arg.get_env() {
        note(&mut text, Phrase::new("cli-env").with("name", variable.display()), strings);
    }
    let arg = if names.is_empty() { arg } else { arg.value_names(names) };
    let arg = arg.help(text).hide_env(true);
    if takes_values { arg.hide_possible_values(true).hide_default_value(true) } else { arg }
}

/// Appends a note such as `[default: 10s]`, unless the text has one that begins alike.
fn note(text: &mut String, phrase: Phrase, strings: &Strings) {
    let note = strings.say(&phrase);
    let begin: String = note.chars().take_while(|c| *c != ':' && *c != '：').collect();
    if !text.contains(&begin) {
        *text += gap_after(text);
        *text += &note;
    }
}

/// Returns the space between a text and the next one: none after a full-width mark.
fn gap_after(text: &str) -> &'static str {
    if text.ends_with(['：', '）', '。', '；']) { "" } else { " " }
}

/// Returns a value name in this language. Parts between `|` without a translation are values.
fn value_name(name: &str, strings: &Strings) -> String {
    let part = |part: &str| {
        let key = format!("value-{}", part.to_lowercase().replace(':', "-"));
        let is_word = part.chars().all(|c| c.is_ascii_uppercase() || c == ':');
        is_word.then(|| strings.find(&key)).flatten().unwrap_or_else(|| part.to_owned())
    };
    name.split('|').map(part).collect::<Vec<_>>().join("|")
}

/// Replaces the placeholder for options in every usage line.
fn localize_usage(mut command: Command, strings: &Strings) -> Command {
    let placeholder = say(strings, "cli-options-placeholder");
    if placeholder == OPTIONS_PLACEHOLDER {
        return command;
    }
    let usage = command.render_usage().ansi().to_string();
    let reset = format!("{:#}", command.get_styles().get_usage());
    let lines = usage.split_once("Usage:").map_or(usage.as_str(), |(_, lines)| lines);
    let lines = lines.strip_prefix(&reset).unwrap_or(lines).trim_start();
    command = command.override_usage(lines.replace(OPTIONS_PLACEHOLDER, &placeholder));
    command.mut_subcommands(|sub| localize_usage(sub, strings))
}

fn say(strings: &Strings, key: &'static str) -> String {
    strings.say(&Phrase::new(key))
}

/// Returns the text of a command or argument. An argument of several commands may have one shared
/// text.
fn help_text(strings: &Strings, key: &str) -> String {
    let shared = key.rsplit_once("--").map(|(_, arg)| format!("help--{arg}"));
    let own = strings.find(key);
    own.or_else(|| shared.and_then(|shared| strings.find(&shared))).unwrap_or_else(|| {
        debug_assert!(false, "no help for {key}");
        key.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use unicode_width::UnicodeWidthStr;

    use super::super::args::Args;
    use super::*;

    fn walk(command: &Command, lacking: &mut Vec<String>) {
        let is_given = |text: Option<&clap::builder::StyledStr>| {
            text.is_some_and(|t| !t.to_string().starts_with("help"))
        };
        if !is_given(command.get_about()) {
            lacking.push(command.get_name().to_owned());
        }
        for arg in command.get_arguments() {
            if !is_given(arg.get_help()) {
                lacking.push(format!("{} {}", command.get_name(), arg.get_id()));
            }
        }
        command.get_subcommands().for_each(|sub| walk(sub, lacking));
    }

    fn localized(lang: Lang) -> Command {
        localize(Args::command(), &Strings::new(lang))
    }

    /// Returns the help of a command and of those below it.
    fn helps(command: &mut Command, all: &mut Vec<String>) {
        all.push(command.render_help().to_string());
        command.get_subcommands_mut().for_each(|sub| helps(sub, all));
    }

    #[test]
    fn every_command_and_argument_has_help_in_each_language() {
        for lang in [Lang::En, Lang::Zh] {
            let mut lacking = Vec::new();
            walk(&localized(lang), &mut lacking);
            assert!(lacking.is_empty(), "{lang:?}: {lacking:?}");
        }
    }

    #[test]
    fn localized_grammar_is_consistent() {
        localized(Lang::En).debug_assert();
        localized(Lang::Zh).debug_assert();
    }

    #[test]
    fn chinese_help_has_no_english_of_clap() {
        let mut all = Vec::new();
        helps(&mut localized(Lang::Zh), &mut all);
        assert!(all.len() > 15);
        let english = [
            "Usage",
            "Commands:",
            "Options",
            "OPTIONS",
            "Arguments:",
            "[default",
            "[env",
            "[possible",
            "Print",
        ];
        for help in &all {
            let found = english.iter().find(|word| help.contains(**word));
            assert_eq!(found, None, "{help}");
            for word in
                ["COMMAND", "CONTACT>", "<NAME", "<FILE", "<DIR", "<TEXT", "<DURATION", "<SIZE", "HOST:PORT>"]
            {
                assert!(!help.contains(word), "{word} in {help}");
            }
            assert!(help.contains("用法：queqiao"), "{help}");
        }
    }

    #[test]
    fn chinese_help_fits_any_width() {
        let mut all = Vec::new();
        helps(&mut localized(Lang::Zh), &mut all);
        let without_spaces = |text: &str| text.split_whitespace().collect::<String>();
        for (help, width) in all.iter().flat_map(|help| [40, 60, 80, 100].map(|width| (help, width))) {
            let laid_out = lay_out(help, width);
            assert_eq!(without_spaces(&laid_out), without_spaces(help));
            for line in laid_out.lines() {
                let text = line.trim_start();
                // Options are not broken, as clap has it.
                let is_text = !text.starts_with('-') && !text.is_ascii() && !text.starts_with("用法");
                assert!(!is_text || UnicodeWidthStr::width(line) <= width, "{width}: {line}");
                assert!(!text.starts_with(['，', '。', '；', '：', '）', '”', '、']), "{width}: {line}");
            }
        }
    }

    #[test]
    fn help_names_default_and_variable_once() {
        let mut all = Vec::new();
        helps(&mut localized(Lang::En), &mut all);
        // Long lines are wrapped.
        let joined = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = all.iter().flat_map(|help| help.split("\n\n")).flat_map(|part| part.split("  --"));
        let parts: Vec<String> = parts.map(joined).collect();
        for part in &parts {
            let notes = |begin: &str| part.matches(begin).count();
            assert!(notes("[default") < 2 && notes("[env") < 2, "{part}");
        }
        assert!(parts.iter().any(|part| part.contains("[default: 30d] [env: QUEQIAO_KEEP]")), "{parts:#?}");
    }
}
