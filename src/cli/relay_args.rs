//! Options of `queqiao relay`, and its commands `backup` and `restore`.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args as ClapArgs, Subcommand, ValueEnum, parser::ValueSource};

use super::limit_args::LimitArgs;
use super::values::{address, bind_addr, greeting, number_from};
use crate::app::{BackupAction, BindAddr, Failure, GuestOptions, RelayOptions};
use crate::base::{HostPort, Name, NameError, Phrase};
use crate::relay::GuestEncoding;

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("guest_mode").args(["guests", "desk"]))]
pub(super) struct RelayArgs {
    #[command(subcommand)]
    action: Option<RelayCommand>,
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "QUEQIAO_BIND",
        default_value = "127.0.0.1:8081",
        value_parser = bind_addr
    )]
    bind: BindAddr,
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, require_equals = true, value_parser = bind_addr)]
    tcp: Option<Option<BindAddr>>,
    #[arg(long, value_name = "HOST:PORT", env = "QUEQIAO_ADDRESS", value_parser = address)]
    address: Option<HostPort>,
    #[arg(long, value_name = "DIR", env = "QUEQIAO_DATA", global = true)]
    data: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    #[arg(long, value_name = "NAME", env = "QUEQIAO_GUESTS", conflicts_with = "desk")]
    guests: Option<String>,
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "DESK")]
    desk: Option<String>,
    #[arg(long, value_name = "auto|utf-8|gbk", default_value = "auto", requires = "guest_mode")]
    guest_encoding: Encoding,
    #[arg(long, value_name = "TEXT", default_value = "", requires = "guest_mode", value_parser = greeting)]
    guest_greeting: String,
    #[arg(long, value_name = "N", default_value = "256", value_parser = number_from(0), env = "QUEQIAO_GUEST_LIMIT")]
    guest_limit: u32,
    #[arg(long, requires = "guest_mode")]
    guest_anyone: bool,
}

/// Ids of arguments of the relay that `backup` and `restore` use too, and of groups.
const USED_BY_BACKUP: [&str; 4] = ["data", "lang", "guest_mode", "RelayArgs"];

#[derive(Debug, Subcommand)]
enum RelayCommand {
    Backup {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    Restore {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Auto,
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    Gbk,
}

impl RelayArgs {
    /// Returns the relay's folder and the action on a backup; `None` to run the relay.
    pub(super) fn backup(&self) -> Option<(Option<&Path>, BackupAction)> {
        let action = match self.action.as_ref()? {
            RelayCommand::Backup { file } => BackupAction::Backup(file.clone()),
            RelayCommand::Restore { file } => BackupAction::Restore(file.clone()),
        };
        Some((self.data.as_deref(), action))
    }

    pub(super) fn options(&self) -> Result<RelayOptions, Failure> {
        let to = self.desk.as_ref().or(self.guests.as_ref());
        Ok(RelayOptions {
            bind: self.bind.clone(),
            tcp: self.tcp.clone(),
            address: self.address.clone(),
            data: self.data.clone(),
            limits: self.limits.limits()?,
            guests: to.map(|to| self.guest_options(to)).transpose()?,
        })
    }

    fn guest_options(&self, to: &str) -> Result<GuestOptions, Failure> {
        let to: Name = to.parse().map_err(|error: NameError| Failure::usage(error.phrase()))?;
        let encoding = match self.guest_encoding {
            Encoding::Auto => GuestEncoding::Auto,
            Encoding::Utf8 => GuestEncoding::Utf8,
            Encoding::Gbk => GuestEncoding::Gbk,
        };
        Ok(GuestOptions {
            to,
            anyone: self.guest_anyone,
            encoding,
            greeting: self.guest_greeting.clone(),
            limit: self.guest_limit as usize,
            desk: self.desk.is_some(),
        })
    }
}

/// Refuses an option of the relay next to `backup` or `restore`, which would not use it.
///
/// # Errors
/// `cli-conflict` for the first such option on the command line. Variables do not count, because a
/// running relay may share them.
pub(super) fn refuse_unused(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((command, _)) = matches.subcommand() else { return Ok(()) };
    let is_given = |id: &&clap::Id| {
        !USED_BY_BACKUP.contains(&id.as_str())
            && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
    };
    let Some(id) = matches.ids().find(is_given) else { return Ok(()) };
    let argument = format!("--{}", id.as_str().replace('_', "-"));
    Err(Failure::usage(
        Phrase::new("cli-conflict").with("argument", argument).with("other", format!("relay {command}")),
    ))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    /// A limit in the environment is not an error if no guests are allowed: several relays may
    /// share the environment.
    #[test]
    fn guest_limit_has_flag_variable_and_documented_default() {
        #[derive(Debug, Parser)]
        struct Line {
            #[command(flatten)]
            relay: RelayArgs,
        }
        let parse = |args: &[&str]| Line::try_parse_from(args).unwrap().relay;
        assert_eq!(
            parse(&["relay", "--guests=JACK", "--guest-limit=7"]).options().unwrap().guests.unwrap().limit,
            7
        );
        assert!(parse(&["relay", "--guest-limit=7"]).options().unwrap().guests.is_none());
        let command = Line::command();
        let flag = command.get_arguments().find(|arg| arg.get_id() == "guest_limit").unwrap();
        assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some("QUEQIAO_GUEST_LIMIT"));
        let page = include_str!("../../docs/limits.md");
        let row = page.lines().find(|line| line.starts_with("| `--guest-limit` |")).unwrap();
        assert!(row.contains(&format!("`{}`", flag.get_default_values()[0].to_str().unwrap())), "{row}");
    }
}
