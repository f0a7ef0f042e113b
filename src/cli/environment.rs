//! Variables of options: an empty one counts as unset, and so does a flag set to "no". An option on
//! the command line overrides the variables that contradict it.
//!
//! Contradictions between variables remain, so clap refuses them as it does for options.

use std::ffi::{OsStr, OsString};

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use crate::base::Phrase;

/// Options whose values are names of files, which may be any bytes, and their variables.
const FILE_OPTIONS: [(&str, &str); 2] = [("--contacts", "QUEQIAO_CONTACTS"), ("--data", "QUEQIAO_DATA")];

/// The arguments, without the program's name, and the environment of this process.
pub(super) struct Environment<'a> {
    pub(super) args: &'a [OsString],
    pub(super) variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Environment<'_> {
    /// Returns the grammar without the variables that do not count.
    pub(super) fn apply(&self, mut command: Command) -> Command {
        let counts = |arg: &Arg| self.is_set(arg) && !self.is_overridden(&command, arg);
        let args = command.get_arguments().map(|arg| (arg.get_id().clone(), counts(arg)));
        // All of them, because a changed argument moves to the end of the help.
        for (id, counts) in args.collect::<Vec<_>>() {
            command = command.mut_arg(id, |arg| if counts { arg } else { arg.env(None::<&'static str>) });
        }
        command.mut_subcommands(|sub| self.apply(sub))
    }

    /// Returns the mistake behind a refused command line, if one phrase tells it better than clap:
    /// `argument-not-utf8`, `variable-not-utf8`, or `variable-not-flag`.
    pub(super) fn mistake(&self, command: &Command, error: &clap::Error) -> Option<Phrase> {
        if let Some(argument) = self.foreign_argument() {
            return Some(Phrase::new("argument-not-utf8").with("argument", argument));
        }
        if error.kind() == clap::error::ErrorKind::InvalidUtf8 {
            let variable = self.foreign_variable(command)?;
            return Some(Phrase::new("variable-not-utf8").with("variable", variable));
        }
        let mut blamed = blamed(error).into_iter().filter_map(|usage| self.origin(command, &usage));
        let (_, variable) = blamed.find(|(arg, _)| is_flag(arg))?;
        let value = (self.variable)(&variable).filter(|value| parse_flag(value).is_none())?;
        let phrase = Phrase::new("variable-not-flag").with("variable", variable);
        Some(phrase.with("value", value.to_string_lossy()))
    }

    /// Returns a phrase for each option behind a refused command line that was set by a variable.
    pub(super) fn origins(&self, command: &Command, error: &clap::Error) -> Vec<Phrase> {
        let origins = blamed(error).into_iter().filter_map(|usage| self.origin(command, &usage));
        let phrase = |(arg, variable): (Arg, String)| {
            let option = format!("--{}", arg.get_long().expect("only options have variables"));
            Phrase::new("option-from-variable").with("option", option).with("variable", variable)
        };
        origins.map(phrase).collect()
    }

    /// Returns the option in clap's notation, such as `--keep <TIME>`, and its variable, if the
    /// variable has set it.
    fn origin(&self, command: &Command, usage: &str) -> Option<(Arg, String)> {
        let option = usage.split([' ', '=', '[']).next()?;
        let arg = option_of(command, option.strip_prefix("--")?)?;
        let variable = arg.get_env()?.to_str()?.to_owned();
        let is_set = !self.is_given(option) && self.value(&variable).is_some();
        is_set.then(|| (arg.clone(), variable))
    }

    /// Returns the first argument that is not UTF-8 and not the name of a file.
    fn foreign_argument(&self) -> Option<String> {
        let is_name = |before: &OsStr| FILE_OPTIONS.iter().any(|(option, _)| before == *option);
        let names_file = |arg: &OsStr| {
            let text = arg.to_string_lossy();
            text.split_once('=').is_some_and(|(option, _)| is_name(OsStr::new(option)))
        };
        let before = std::iter::once(OsStr::new("")).chain(self.args.iter().map(OsString::as_os_str));
        let mut others = before.zip(self.args).filter(|(before, arg)| !is_name(before) && !names_file(arg));
        others.find(|(_, arg)| arg.to_str().is_none()).map(|(_, arg)| arg.to_string_lossy().into_owned())
    }

    /// Returns the first variable that is not UTF-8 and not the name of a file.
    fn foreign_variable(&self, command: &Command) -> Option<String> {
        let is_foreign = |name: &&str| {
            FILE_OPTIONS.iter().all(|(_, file)| name != file)
                && self.value(name).is_some_and(|value| value.to_str().is_none())
        };
        let own = command.get_arguments().filter_map(Arg::get_env).filter_map(OsStr::to_str).find(is_foreign);
        own.map(str::to_owned)
            .or_else(|| command.get_subcommands().find_map(|sub| self.foreign_variable(sub)))
    }

    fn value(&self, variable: &str) -> Option<OsString> {
        (self.variable)(variable).filter(|value| !value.is_empty())
    }

    /// Whether the variable of this option sets it. An invalid flag counts, and clap refuses it.
    fn is_set(&self, arg: &Arg) -> bool {
        let value = arg.get_env().and_then(OsStr::to_str).and_then(|name| self.value(name));
        value.is_some_and(|value| !is_flag(arg) || parse_flag(&value) != Some(false))
    }

    fn is_overridden(&self, command: &Command, arg: &Arg) -> bool {
        let others = command.get_arg_conflicts_with(arg);
        let mut names = others.iter().filter_map(|other| other.get_long()).map(|long| format!("--{long}"));
        names.any(|name| self.is_given(&name))
    }

    /// Whether an option is on the command line.
    fn is_given(&self, option: &str) -> bool {
        let args = self.args.iter().take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
        args.into_iter().any(|arg| arg.split('=').next() == Some(option))
    }
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn parse_flag(value: &OsStr) -> Option<bool> {
    BoolishValueParser::new().parse_ref(&Command::default(), None, value).ok()
}

/// Returns the options that an error names, in clap's notation.
fn blamed(error: &clap::Error) -> Vec<String> {
    let kinds = [ContextKind::InvalidArg, ContextKind::PriorArg];
    let texts = kinds.into_iter().filter_map(|kind| match error.get(kind)? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        _ => None,
    });
    texts.flatten().collect()
}

/// Returns the option with this long name, of a command or of one below it.
fn option_of<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(long) && arg.get_env().is_some());
    own.or_else(|| command.get_subcommands().find_map(|sub| option_of(sub, long)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    /// Two options that contradict each other, a file, and a plain option, all with variables.
    fn grammar() -> Command {
        let flag = |name| Arg::new(name).long(name).action(ArgAction::SetTrue);
        let flag = |name| flag(name).value_parser(BoolishValueParser::new());
        let data = clap::value_parser!(std::path::PathBuf);
        let send = Command::new("send")
            .arg(flag("tcp").conflicts_with("udp"))
            .arg(flag("udp").conflicts_with("tcp"))
            .arg(Arg::new("data").long("data").value_parser(data))
            .arg(Arg::new("keep").long("keep").value_parser(clap::value_parser!(u32)))
            .arg(Arg::new("text"));
        let with_variable = |arg: Arg| match arg.get_long() {
            // The variables of the test process itself are not set.
            Some(long) => {
                let name = format!("QUEQIAO_{}", long.to_uppercase());
                arg.env(name)
            }
            None => arg,
        };
        Command::new("queqiao").subcommand(send.mut_args(with_variable))
    }

    /// Returns the options whose variables count.
    fn counting(variables: &[(&str, &str)], args: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let value = |name: &str| variables.iter().find(|pair| pair.0 == name).map(|pair| pair.1.into());
        let environment = Environment { args: &args, variable: &value };
        let command = environment.apply(grammar());
        let send = command.find_subcommand("send").unwrap();
        let counting = send.get_arguments().filter(|arg| arg.get_env().is_some());
        counting.map(|arg| arg.get_id().to_string()).collect()
    }

    #[test]
    fn empty_variable_and_flag_of_no_are_unset() {
        assert_eq!(counting(&[], &[]), [""; 0]);
        assert_eq!(counting(&[("QUEQIAO_KEEP", ""), ("QUEQIAO_TCP", "")], &[]), [""; 0]);
        for no in ["0", "false", "no", "off", "NO", "False"] {
            assert_eq!(counting(&[("QUEQIAO_TCP", no), ("QUEQIAO_KEEP", "0")], &[]), ["keep"], "{no}");
        }
        for yes in ["1", "true", "yes", "on", "YES", "maybe"] {
            assert_eq!(counting(&[("QUEQIAO_TCP", yes)], &[]), ["tcp"], "{yes}");
        }
    }

    #[test]
    fn option_overrides_variable_that_contradicts_it() {
        let both = [("QUEQIAO_TCP", "1"), ("QUEQIAO_UDP", "1")];
        assert_eq!(counting(&both, &["send"]), ["tcp", "udp"]);
        assert_eq!(counting(&both, &["send", "--udp"]), ["udp"]);
        assert_eq!(counting(&both, &["--tcp", "send"]), ["tcp"]);
        assert_eq!(counting(&both, &["send", "--", "--tcp"]), ["tcp", "udp"]);
    }

    #[test]
    fn only_file_names_may_be_other_bytes() {
        let foreign = |args: &[&[u8]]| {
            let args: Vec<OsString> = args.iter().map(|arg| OsString::from_vec(arg.to_vec())).collect();
            Environment { args: &args, variable: &|_| None }.foreign_argument()
        };
        let gbk: &[u8] = b"\xc4\xe3";
        assert_eq!(foreign(&[b"send", b"JACK", "\u{4f60}".as_bytes()]), None);
        assert_eq!(foreign(&[b"send", b"--data", gbk, b"--data=\xc4\xe3", b"x"]), None);
        assert!(foreign(&[b"send", b"--data", b"d", gbk]).is_some());
        assert!(foreign(&[b"send", b"--as=\xc4\xe3"]).is_some());
        assert!(foreign(&[gbk]).is_some());
    }
}
