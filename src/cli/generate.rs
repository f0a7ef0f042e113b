//! `queqiao generate` and `queqiao help`: documents made of the grammar, in the user's language.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, Args as ClapArgs, Command, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell as ClapShell;
use clap_mangen::Man;

use super::help;
use crate::app::{self, CommandResult, ExitStatus, Failure};
use crate::base::Phrase;
use crate::ui::Strings;

/// Hint of arguments that complete to names of contacts. No argument is the name of a system user.
pub(super) const CONTACT: ValueHint = ValueHint::Username;
/// Prints the names of contacts, one per line, for the scripts of shells.
const LIST_NAMES: &str = "queqiao contacts list --names 2>/dev/null";

#[derive(Debug, ClapArgs)]
pub(super) struct GenerateArgs {
    #[command(subcommand)]
    action: GenerateCommand,
}

#[derive(Debug, Subcommand)]
enum GenerateCommand {
    Man {
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    Completions {
        #[arg(value_name = "bash|zsh|fish")]
        shell: Shell,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, ClapArgs)]
pub(super) struct HelpArgs {
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Writes manual pages into a directory, or prints the completions of a shell.
///
/// # Errors
/// [`Failure`]: 1 if a file cannot be written, 74 if the disk fails.
pub(super) fn generate(args: &GenerateArgs, grammar: Command, strings: &Strings) -> CommandResult {
    let grammar = help::localize(grammar, strings);
    match &args.action {
        GenerateCommand::Man { dir } => {
            let pages = man_pages(&grammar, strings);
            app::write_documents(dir, &pages)?;
            let phrase = Phrase::new("generate-man").with("count", pages.len()).with("folder", dir.display());
            app::say(strings, &phrase);
        }
        GenerateCommand::Completions { shell } => {
            app::print(completions(grammar, *shell).trim_end())?;
        }
    }
    Ok(ExitStatus::Done)
}

/// Prints the help of a command.
///
/// # Errors
/// [`Failure`]: 2 for an unknown command.
pub(super) fn print_help(args: &HelpArgs, grammar: Command, strings: &Strings) -> CommandResult {
    let mut grammar = help::localize(grammar, strings);
    let mut command = &mut grammar;
    for name in &args.command {
        let Some(found) = command.find_subcommand_mut(name) else {
            return Err(Failure::usage(
                Phrase::new("cli-unknown-command").with("command", args.command.join(" ")),
            ));
        };
        command = found;
    }
    help::print(&command.render_help(), strings);
    Ok(ExitStatus::Done)
}

/// Returns the manual pages by file name: one for the program, and one for each command.
fn man_pages(grammar: &Command, strings: &Strings) -> BTreeMap<String, Vec<u8>> {
    let mut pages = BTreeMap::new();
    add_pages(grammar, "queqiao", strings, &mut pages);
    pages
}

fn add_pages(command: &Command, name: &str, strings: &Strings, pages: &mut BTreeMap<String, Vec<u8>>) {
    if command.is_hide_set() {
        return;
    }
    let page = command.clone().display_name(name.to_owned());
    let manual = strings.say(&Phrase::new("man-manual"));
    let man =
        Man::new(page).title(name).source(format!("queqiao {}", env!("CARGO_PKG_VERSION"))).manual(manual);
    let mut text = Vec::new();
    man.render(&mut text).expect("writing to memory succeeds");
    let text = String::from_utf8(text).expect("all texts are UTF-8");
    pages.insert(format!("{name}.1"), with_headings(&text, strings).into_bytes());
    for sub in command.get_subcommands() {
        add_pages(sub, &format!("{name}-{}", sub.get_name()), strings, pages);
    }
}

/// Replaces the headings of `clap_mangen`, which are English, by those of this language.
fn with_headings(page: &str, strings: &Strings) -> String {
    let headings = [
        ("NAME", "man-name"),
        ("SYNOPSIS", "man-synopsis"),
        ("DESCRIPTION", "man-description"),
        ("OPTIONS", "man-options"),
        ("SUBCOMMANDS", "man-commands"),
        ("EXTRA", "man-extra"),
        ("VERSION", "man-version"),
    ];
    let line = |line: &str| {
        let heading = headings.iter().find(|(english, _)| line == format!(".SH {english}"));
        match heading.and_then(|(_, key)| strings.find(key)) {
            Some(text) => format!(".SH {text}"),
            None => line.to_owned(),
        }
    };
    // Commands and paths must not be hyphenated, or justified: readers copy them (man(7)).
    let flush_left = |text: &str| if text.starts_with(".TH ") { ".ad l\n.nh\n" } else { "" };
    page.lines().map(|text| format!("{}\n{}", line(text), flush_left(text))).collect()
}

/// Returns the script that completes the program's arguments in a shell. CONTACT completes to the
/// names in the address book.
fn completions(grammar: Command, shell: Shell) -> String {
    let mut grammar = without_file_names(grammar);
    let commands = commands_with_contact(&grammar);
    let mut script = Vec::new();
    let kind = match shell {
        Shell::Bash => ClapShell::Bash,
        Shell::Zsh => ClapShell::Zsh,
        Shell::Fish => ClapShell::Fish,
    };
    clap_complete::generate(kind, &mut grammar, "queqiao", &mut script);
    let script = String::from_utf8(script).expect("all texts are UTF-8");
    match shell {
        Shell::Bash => bash_with_contacts(&script, &commands),
        Shell::Zsh => zsh_with_contacts(&script),
        Shell::Fish => fish_with_contacts(&script, &commands),
    }
}

/// Marks values that are not files, which shells would complete to names of files.
fn without_file_names(command: Command) -> Command {
    let mark = |arg: Arg| match arg.get_value_hint() {
        ValueHint::Unknown if arg.get_action().takes_values() => arg.value_hint(ValueHint::Other),
        _ => arg,
    };
    command.mut_args(mark).mut_subcommands(without_file_names)
}

/// Returns the commands with a CONTACT, such as `contacts remove`.
fn commands_with_contact(grammar: &Command) -> Vec<String> {
    let takes_contact =
        |command: &Command| command.get_positionals().any(|arg| arg.get_value_hint() == CONTACT);
    let mut found = Vec::new();
    for command in grammar.get_subcommands() {
        if takes_contact(command) {
            found.push(command.get_name().to_owned());
        }
        let subs = command.get_subcommands().filter(|sub| takes_contact(sub));
        found.extend(subs.map(|sub| format!("{} {}", command.get_name(), sub.get_name())));
    }
    found
}

/// Adds the names to the words of each command with a CONTACT. A name has no character that a shell
/// interprets.
fn bash_with_contacts(script: &str, commands: &[String]) -> String {
    let mut case = String::new();
    let mut line = |line: &str| {
        if let Some(name) =
            line.trim().strip_suffix(')').and_then(|case| case.strip_prefix("queqiao__subcmd__"))
        {
            case = name.replace("__subcmd__", " ");
        }
        match line.trim().starts_with("opts=\"") && commands.contains(&case) {
            true => format!("{} $({LIST_NAMES})\"\n", line.trim_end_matches('"')),
            false => format!("{line}\n"),
        }
    };
    script.lines().map(&mut line).collect()
}

/// Replaces the completion of user names, the hint for CONTACT, by that of contacts.
fn zsh_with_contacts(script: &str) -> String {
    let function = format!(
        "_queqiao_contacts() {{\n    local -a names\n    names=(${{(f)\"$({LIST_NAMES})\"}})\n    compadd -a names\n}}\n\n"
    );
    let script = script.replace(":_users'", ":_queqiao_contacts'");
    script.replacen("_queqiao() {", &format!("{function}_queqiao() {{"), 1)
}

/// Adds a line for each command with a CONTACT: `clap_complete` has none for positional arguments.
/// Those of `help` are commands, which fish would complete to names of files.
fn fish_with_contacts(script: &str, commands: &[String]) -> String {
    let mut script = script.to_owned();
    script += "complete -c queqiao -n \"__fish_queqiao_using_subcommand help\" -f\n";
    for command in commands {
        let seen = match command.split_once(' ') {
            Some((command, sub)) => format!("{command}; and __fish_seen_subcommand_from {sub}"),
            None => command.clone(),
        };
        script += &format!(
            "complete -c queqiao -n \"__fish_queqiao_using_subcommand {seen}\" -f -a \"({LIST_NAMES})\"\n"
        );
    }
    script
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::CommandFactory;

    use super::super::args::Args;
    use super::*;
    use crate::ui::Lang;

    fn localized(lang: Lang) -> (Command, Strings) {
        let strings = Strings::new(lang);
        (help::localize(Args::command(), &strings), strings)
    }

    /// Compares a golden file below `tests/golden` with `now`. `QUEQIAO_BLESS=1` rewrites the file.
    fn check_golden(name: &str, now: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("QUEQIAO_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, now).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert!(golden == now, "{name} differs; if the change is meant, run the test with QUEQIAO_BLESS=1");
    }

    #[test]
    fn manual_pages_match_golden_files() {
        for (lang, folder) in [(Lang::En, "man/en"), (Lang::Zh, "man/zh")] {
            let (grammar, strings) = localized(lang);
            let pages = man_pages(&grammar, &strings);
            for (name, page) in &pages {
                check_golden(&format!("{folder}/{name}"), &String::from_utf8_lossy(page));
            }
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder);
            assert_eq!(fs::read_dir(path).unwrap().count(), pages.len(), "{folder} has a page of no command");
        }
    }

    #[test]
    fn completions_match_golden_files() {
        for (lang, code) in [(Lang::En, "en"), (Lang::Zh, "zh")] {
            for (shell, ending) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
                let script = completions(localized(lang).0, shell);
                check_golden(&format!("completions/queqiao.{code}.{ending}"), &script);
            }
        }
    }

    #[test]
    fn contacts_complete_in_each_command_that_takes_one() {
        let commands = commands_with_contact(&localized(Lang::En).0);
        let wanted = [
            "chat",
            "send",
            "history",
            "ping",
            "contacts remove",
            "contacts block",
            "contacts unblock",
            "trust",
        ];
        assert_eq!(commands, wanted);
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(localized(Lang::En).0, shell);
            let count = if shell == Shell::Zsh {
                script.matches("_queqiao_contacts'")
            } else {
                script.matches(LIST_NAMES)
            }
            .count();
            assert_eq!(count, wanted.len(), "{shell:?}");
        }
    }

    #[test]
    fn chinese_pages_have_chinese_headings() {
        let (grammar, strings) = localized(Lang::Zh);
        for (name, page) in man_pages(&grammar, &strings) {
            let page = String::from_utf8(page).unwrap();
            let mut headings = page.lines().filter(|line| line.starts_with(".SH "));
            assert!(headings.all(|line| !line[4..].is_ascii()), "{name}: {page}");
        }
    }
}
