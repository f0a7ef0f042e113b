//! Grammar of the command line. Help texts are in the string tables (see `help`), in the user's
//! language.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::app::{
    BackupAction, BindAddr, BindAddrError, ContactsAction, Failure, ForgetOptions, GuestOptions,
    HistoryOptions, ListenOptions, MembersAction, NewContact, RelayOptions, SendOptions, TextSource,
};
use crate::base::{HostPort, Name, NameError, Phrase};
use crate::client::{Carriers, Progress};
use crate::relay::GuestEncoding;
use crate::ui::Color;
use crate::wire::record::GREETING_LEN_MAX;

pub(super) use super::bench_args::BenchArgs;
use super::limit_args::LimitArgs;

/// Parses the value of a flag's variable: 1, true, yes or on, or 0, false, no or off.
pub(super) fn yes_or_no() -> BoolishValueParser {
    BoolishValueParser::new()
}

#[derive(Debug, Parser)]
#[command(name = "queqiao", version, propagate_version = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: CliCommand,
    /// Read before all other arguments; defined here so that it is valid anywhere.
    #[arg(long, global = true, value_name = "en|zh")]
    lang: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    Demo(DemoArgs),
    Relay(RelayArgs),
    Chat(ChatArgs),
    Send(SendArgs),
    Listen(ListenArgs),
    History(HistoryArgs),
    Ping(PingArgs),
    Bench(BenchArgs),
    Contacts(ContactsArgs),
    Members(MembersArgs),
    Trust(TrustArgs),
    Join(JoinArgs),
}

/// Flags that all commands of a member share.
#[derive(Debug, ClapArgs)]
pub(super) struct ClientArgs {
    #[arg(long, value_name = "FILE", env = "QUEQIAO_CONTACTS", global = true)]
    pub(super) contacts: Option<PathBuf>,
    #[arg(long = "as", value_name = "NAME", env = "QUEQIAO_AS", global = true)]
    pub(super) name: Option<String>,
    #[arg(long, value_name = "DIR", env = "QUEQIAO_DATA", global = true)]
    pub(super) data: Option<PathBuf>,
    #[arg(long, conflicts_with = "udp", global = true, env = "QUEQIAO_TCP", value_parser = yes_or_no())]
    tcp: bool,
    #[arg(long, conflicts_with = "tcp", global = true, env = "QUEQIAO_UDP", value_parser = yes_or_no())]
    udp: bool,
    #[arg(long, value_name = "CODE", env = "QUEQIAO_INVITE", hide_env_values = true, global = true)]
    pub(super) invite: Option<String>,
}

impl ClientArgs {
    /// Returns the carriers to use.
    pub(super) const fn carriers(&self) -> Carriers {
        match (self.udp, self.tcp) {
            (true, _) => Carriers::Udp,
            (_, true) => Carriers::Tcp,
            _ => Carriers::Auto,
        }
    }
}

/// The flag of the commands that print in colour.
#[derive(Debug, ClapArgs)]
pub(super) struct ColorArgs {
    #[arg(
        id = "color",
        long = "color",
        value_name = "auto|always|never",
        default_value = "auto",
        env = "QUEQIAO_COLOR",
        ignore_case = true
    )]
    choice: ColorChoice,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[command(flatten)]
    pub(super) color: ColorArgs,
}

#[derive(Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("guest_mode").args(["guests", "desk"]))]
pub(super) struct RelayArgs {
    #[command(subcommand)]
    action: Option<RelayCommand>,
    #[arg(
        long,
        value_name = "ADDR:PORT",
        env = "QUEQIAO_BIND",
        default_value = "127.0.0.1:8081",
        value_parser = bind_addr
    )]
    bind: BindAddr,
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, require_equals = true, value_parser = bind_addr)]
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
    #[arg(long, value_name = "N", default_value = "256", env = "QUEQIAO_GUEST_LIMIT")]
    guest_limit: u32,
    #[arg(long, requires = "guest_mode")]
    guest_anyone: bool,
}

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

/// Parses a greeting of at most [`GREETING_LEN_MAX`] bytes: that many a member's client skips
/// before the relay's first packet.
fn greeting(text: &str) -> Result<String, String> {
    if text.len() <= GREETING_LEN_MAX {
        Ok(text.to_owned())
    } else {
        Err(format!("{} bytes > {GREETING_LEN_MAX}", text.len()))
    }
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    #[value(aliases = ["1", "true", "yes", "on"])]
    Always,
    #[value(aliases = ["0", "false", "no", "off"])]
    Never,
}

impl From<ColorArgs> for Color {
    fn from(args: ColorArgs) -> Color {
        match args.choice {
            ColorChoice::Auto => Color::Auto,
            ColorChoice::Always => Color::Always,
            ColorChoice::Never => Color::Never,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(value_name = "CONTACT")]
    pub(super) contact: Option<String>,
    /// Line mode. It is also the default, since there is no other mode.
    #[arg(long)]
    line: bool,
    #[arg(long, env = "QUEQIAO_CONTACTS_ONLY", value_parser = yes_or_no())]
    pub(super) contacts_only: bool,
    #[command(flatten)]
    pub(super) color: ColorArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WaitFor {
    Accepted,
    Delivered,
}

#[derive(Debug, ClapArgs)]
pub(super) struct SendArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(value_name = "CONTACT")]
    contact: String,
    #[arg(value_name = "TEXT", required_unless_present = "lines", conflicts_with = "lines")]
    text: Vec<String>,
    #[arg(long)]
    lines: bool,
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, env = "QUEQIAO_TIMEOUT")]
    timeout: Duration,
    #[arg(long, value_name = "accepted|delivered", default_value = "accepted")]
    wait: WaitFor,
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    reply: Option<Duration>,
}

impl SendArgs {
    pub(super) fn options(&self) -> Result<SendOptions, Failure> {
        let source = match self.text.as_slice() {
            _ if self.lines => TextSource::Lines,
            [dash] if dash == "-" => TextSource::Input,
            words => TextSource::Given(words.join(" ")),
        };
        if source == TextSource::Lines && self.reply.is_some() {
            return Err(Failure::usage(Phrase::new("send-lines-no-reply")));
        }
        let wait = match self.wait {
            WaitFor::Accepted => Progress::Accepted,
            WaitFor::Delivered => Progress::Delivered,
        };
        Ok(SendOptions {
            contact: self.contact.clone(),
            source,
            timeout: self.timeout,
            wait,
            reply: self.reply,
        })
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct ListenArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(long)]
    json: bool,
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    #[arg(long, env = "QUEQIAO_CONTACTS_ONLY", value_parser = yes_or_no())]
    pub(super) contacts_only: bool,
}

impl ListenArgs {
    pub(super) fn options(&self) -> ListenOptions {
        ListenOptions { json: self.json, count: self.count, time: self.time }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(value_name = "CONTACT")]
    contact: Option<String>,
    #[arg(long)]
    json: bool,
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    #[arg(long)]
    forget: bool,
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older: Option<Duration>,
    #[arg(long)]
    yes: bool,
}

impl HistoryArgs {
    pub(super) fn options(&self) -> Result<HistoryOptions, Failure> {
        if self.older.is_some() || self.yes {
            return Err(Failure::usage(Phrase::new("history-needs-forget")));
        }
        Ok(HistoryOptions { contact: self.contact.clone(), json: self.json, last: self.last })
    }

    /// Returns which letters to erase; `None` to print the history.
    pub(super) fn forget(&self) -> Result<Option<ForgetOptions>, Failure> {
        if self.forget && (self.json || self.last.is_some()) {
            return Err(Failure::usage(Phrase::new("history-forget-alone")));
        }
        let options = ForgetOptions { contact: self.contact.clone(), older: self.older, yes: self.yes };
        Ok(self.forget.then_some(options))
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct PingArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(value_name = "CONTACT or ADDR")]
    pub(super) target: Option<String>,
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) count: u32,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ContactsArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[command(subcommand)]
    pub(super) action: ContactsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ContactsCommand {
    List,
    Add(AddArgs),
    Remove {
        #[arg(value_name = "NAME")]
        name: String,
    },
    Block {
        #[arg(value_name = "CONTACT")]
        name: String,
    },
    Unblock {
        #[arg(value_name = "CONTACT")]
        name: String,
    },
    Check,
}

#[derive(Debug, ClapArgs)]
pub(super) struct AddArgs {
    #[arg(value_name = "NAME")]
    name: String,
    #[arg(value_name = "RELAY")]
    relay: String,
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    #[arg(long, value_name = "FINGERPRINT")]
    relay_key: Option<String>,
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[arg(long, value_name = "TEXT")]
    group: Option<String>,
    #[arg(long, value_name = "HOST:PORT")]
    tcp_addr: Option<String>,
}

impl From<ContactsCommand> for ContactsAction {
    fn from(sub: ContactsCommand) -> ContactsAction {
        match sub {
            ContactsCommand::List => ContactsAction::List,
            ContactsCommand::Check => ContactsAction::Check,
            ContactsCommand::Remove { name } => ContactsAction::Remove(name),
            ContactsCommand::Block { name } => ContactsAction::Block(name, true),
            ContactsCommand::Unblock { name } => ContactsAction::Block(name, false),
            ContactsCommand::Add(AddArgs { name, relay, member, relay_key, note, group, tcp_addr }) => {
                ContactsAction::Add(NewContact { name, relay, member, relay_key, note, group, tcp_addr })
            }
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct MembersArgs {
    #[arg(long, value_name = "DIR", env = "QUEQIAO_DATA", global = true)]
    pub(super) data: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) action: MembersCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum MembersCommand {
    List {
        #[arg(long)]
        json: bool,
    },
    Invite {
        #[arg(value_name = "NAME")]
        name: Option<String>,
        #[arg(long = "for", value_name = "TIME", default_value = "7d", value_parser = parse_positive_duration)]
        time: Duration,
        #[arg(long, value_name = "HOST:PORT", value_parser = address)]
        address: Option<HostPort>,
    },
    Remove {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

impl From<MembersCommand> for MembersAction {
    fn from(sub: MembersCommand) -> MembersAction {
        match sub {
            MembersCommand::List { json } => MembersAction::List { json },
            MembersCommand::Invite { name, time, address } => MembersAction::Invite { name, time, address },
            MembersCommand::Remove { name } => MembersAction::Remove { name },
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct JoinArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(value_name = "INVITATION")]
    pub(super) invitation: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct TrustArgs {
    #[command(flatten)]
    pub(super) common: ClientArgs,
    #[arg(value_name = "RELAY or CONTACT")]
    pub(super) relay: Option<String>,
    #[arg(value_name = "FINGERPRINT", requires = "relay")]
    pub(super) fingerprint: Option<String>,
}

/// Parses an address to listen on.
fn bind_addr(text: &str) -> Result<BindAddr, String> {
    let examples =
        |_: BindAddrError| "127.0.0.1:8081, [::1]:8081, localhost:8081, 8081, or :8081 for every address";
    text.parse().map_err(|error| examples(error).to_owned())
}

/// Parses a relay's address.
fn address(text: &str) -> Result<HostPort, String> {
    text.parse().map_err(|_| "HOST:PORT".to_owned())
}

/// Longest duration: a century, far below what clocks can count.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);
/// Examples of a duration, for error messages.
const DURATIONS: &str = "a number and a unit, for example 500ms, 10s, 2m, 1h or 30d";

/// Parses a duration: `10s`, `500ms`, `2m`, `1h`, `30d`. A number without a unit is refused,
/// because users mean seconds, minutes or days by it.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| DURATIONS.to_owned())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        "" => return Err(format!("the unit is missing: {text}s, {text}m, {text}h or {text}d")),
        _ => return Err(DURATIONS.to_owned()),
    };
    let duration = Duration::try_from_secs_f64(seconds).ok().filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| "at most 36500d".to_owned())
}

/// Parses a duration that must not be zero.
pub(super) fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("longer than 0, for example 10s, 2m, 1h or 30d".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_units_only() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_duration("36500d"), Ok(DURATION_MAX));
        for wrong in ["", "s", "10x", "-1s", "1..2s", "30D", "１０s", "36501d", "999999999999999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn duration_without_unit_or_of_zero_gets_example() {
        assert_eq!(parse_duration("30").unwrap_err(), "the unit is missing: 30s, 30m, 30h or 30d");
        for zero in ["0s", "0d", "0.0s", "0ms"] {
            assert_eq!(parse_duration(zero), Ok(Duration::ZERO));
            assert!(parse_positive_duration(zero).unwrap_err().ends_with(" 30d"), "{zero}");
        }
        assert_eq!(parse_positive_duration("1ms"), Ok(Duration::from_millis(1)));
    }

    /// A limit in the environment is not an error if no guests are allowed: several relays may
    /// share the environment.
    #[test]
    fn guest_limit_has_flag_variable_and_documented_default() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            relay: RelayArgs,
        }
        let parse = |args: &[&str]| <Line as clap::Parser>::try_parse_from(args).unwrap().relay;
        assert_eq!(
            parse(&["relay", "--guests=JACK", "--guest-limit=7"]).options().unwrap().guests.unwrap().limit,
            7
        );
        assert!(parse(&["relay", "--guest-limit=7"]).options().unwrap().guests.is_none());
        let command = <Line as clap::CommandFactory>::command();
        let flag = command.get_arguments().find(|arg| arg.get_id() == "guest_limit").unwrap();
        assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some("QUEQIAO_GUEST_LIMIT"));
        let page = include_str!("../../docs/limits.md");
        let row = page.lines().find(|line| line.starts_with("| `--guest-limit` |")).unwrap();
        assert!(row.contains(&format!("`{}`", flag.get_default_values()[0].to_str().unwrap())), "{row}");
    }

    #[test]
    fn grammar_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
