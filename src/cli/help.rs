//! Help texts in the user's language: each command and argument has one in the string tables.

use clap::Command;

use crate::ui::Strings;

/// Sets the help texts in the grammar.
pub(super) fn localize(command: Command, strings: &Strings) -> Command {
    localize_under(command, "help", strings)
}

fn localize_under(mut command: Command, prefix: &str, strings: &Strings) -> Command {
    command = command.about(help_text(strings, prefix));
    let args: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    for id in args.iter().filter(|id| *id != "help" && *id != "version") {
        let text = help_text(strings, &format!("{prefix}--{}", id.replace('_', "-")));
        command = command.mut_arg(id, |arg| arg.help(text));
    }
    let subs: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in subs {
        command =
            command.mut_subcommand(&name, |sub| localize_under(sub, &format!("{prefix}-{name}"), strings));
    }
    command
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
    use super::*;
    use crate::ui::Lang;

    fn walk(command: &Command, lacking: &mut Vec<String>) {
        let told = |text: Option<&clap::builder::StyledStr>| {
            text.is_some_and(|t| !t.to_string().starts_with("help"))
        };
        if !told(command.get_about()) {
            lacking.push(command.get_name().to_owned());
        }
        for arg in command.get_arguments().filter(|a| a.get_id() != "help" && a.get_id() != "version") {
            if !told(arg.get_help()) {
                lacking.push(format!("{} {}", command.get_name(), arg.get_id()));
            }
        }
        command.get_subcommands().for_each(|sub| walk(sub, lacking));
    }

    #[test]
    fn every_command_and_argument_has_help_in_each_language() {
        for lang in [Lang::En, Lang::Zh] {
            let mut lacking = Vec::new();
            let command =
                localize(<super::super::args::Args as clap::CommandFactory>::command(), &Strings::new(lang));
            walk(&command, &mut lacking);
            assert!(lacking.is_empty(), "{lang:?}: {lacking:?}");
        }
    }
}
