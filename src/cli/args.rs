//! Grammar of the command line. Help texts are in the string tables (see `help`), in the user's
//! language.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::app::{
    ContactsAction, ContactsForm, Failure, ForgetOptions, HistoryOptions, ListenOptions, MembersAction,
    NewContact, SendOptions, TextSource,
};
use crate::base::{HostPort, Phrase};
use crate::client::Progress;
use crate::ui::Lang;
use crate::ui::strings::LANG_VARIABLE;

pub(super) use super::bench_args::BenchArgs;
use super::client_args::{ColorArgs, JoiningArgs, KeyArgs, NameArgs, OfflineArgs, ProbeArgs, SessionArgs};
use super::generate::CONTACT;
pub(super) use super::generate::{GenerateArgs, HelpArgs};
use super::help::HELP_ORDER;
pub(super) use super::relay_args::RelayArgs;
use super::values::{address, duration, lang, number, positive_duration, yes_or_no};

#[derive(Debug, Parser)]
#[command(name = "queqiao", version, propagate_version = true, disable_help_subcommand = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: CliCommand,
    /// Read before all other arguments; defined here so that it is valid anywhere.
    #[arg(long, global = true, value_name = "en|zh", env = LANG_VARIABLE, value_parser = lang, display_order = HELP_ORDER)]
    lang: Option<Lang>,
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
    Generate(GenerateArgs),
    Help(HelpArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    pub(super) common: NameArgs,
    #[command(flatten)]
    pub(super) color: ColorArgs,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ChatArgs {
    #[command(flatten)]
    pub(super) common: SessionArgs,
    #[arg(value_name = "CONTACT", value_hint = CONTACT)]
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
    pub(super) common: SessionArgs,
    #[arg(value_name = "CONTACT", value_hint = CONTACT)]
    contact: String,
    #[arg(value_name = "TEXT", required_unless_present = "lines", conflicts_with = "lines")]
    text: Vec<String>,
    #[arg(long)]
    lines: bool,
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "QUEQIAO_TIMEOUT")]
    timeout: Duration,
    #[arg(long, value_name = "accepted|delivered", default_value = "accepted")]
    wait: WaitFor,
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
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
    pub(super) common: SessionArgs,
    #[arg(long)]
    json: bool,
    #[arg(long, value_name = "N", value_parser = number::<u64>(0, u64::MAX))]
    count: Option<u64>,
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
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
    pub(super) common: OfflineArgs,
    #[arg(value_name = "CONTACT", value_hint = CONTACT)]
    contact: Option<String>,
    #[arg(long)]
    json: bool,
    #[arg(long, value_name = "N", value_parser = number::<u64>(0, u64::MAX))]
    last: Option<u64>,
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    #[arg(long, conflicts_with = "last")]
    all: bool,
    #[arg(long)]
    forget: bool,
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older: Option<Duration>,
    #[arg(long)]
    yes: bool,
}

impl HistoryArgs {
    pub(super) fn options(&self) -> Result<HistoryOptions, Failure> {
        if self.older.is_some() || self.yes {
            return Err(Failure::usage(Phrase::new("history-needs-forget")));
        }
        Ok(HistoryOptions {
            contact: self.contact.clone(),
            json: self.json,
            last: self.last,
            since: self.since,
            all: self.all,
        })
    }

    /// Returns which letters to erase; `None` to print the history.
    pub(super) fn forget(&self) -> Result<Option<ForgetOptions>, Failure> {
        let shows = self.json || self.all || self.last.is_some() || self.since.is_some();
        if self.forget && shows {
            return Err(Failure::usage(Phrase::new("history-forget-alone")));
        }
        let options = ForgetOptions { contact: self.contact.clone(), older: self.older, yes: self.yes };
        Ok(self.forget.then_some(options))
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct PingArgs {
    #[command(flatten)]
    pub(super) common: ProbeArgs,
    #[arg(value_name = "CONTACT|HOST:PORT", value_hint = CONTACT)]
    pub(super) target: Option<String>,
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = number::<u32>(1, 1_000_000))]
    pub(super) count: u32,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ContactsArgs {
    #[command(flatten)]
    pub(super) common: KeyArgs,
    #[command(subcommand)]
    pub(super) action: ContactsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum ContactsCommand {
    List {
        #[arg(long)]
        json: bool,
        #[arg(long, conflicts_with = "json")]
        names: bool,
    },
    Add(AddArgs),
    Remove {
        #[arg(value_name = "NAME", value_hint = CONTACT)]
        name: String,
    },
    Block {
        #[arg(value_name = "CONTACT", value_hint = CONTACT)]
        name: String,
    },
    Unblock {
        #[arg(value_name = "CONTACT", value_hint = CONTACT)]
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
            ContactsCommand::List { json, names } => ContactsAction::List(match (json, names) {
                (true, _) => ContactsForm::Json,
                (_, true) => ContactsForm::Names,
                _ => ContactsForm::Text,
            }),
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
        #[arg(long = "for", value_name = "DURATION", default_value = "7d", value_parser = positive_duration)]
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
    pub(super) common: JoiningArgs,
    #[arg(value_name = "INVITATION")]
    pub(super) invitation: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct TrustArgs {
    #[command(flatten)]
    pub(super) common: KeyArgs,
    #[arg(value_name = "RELAY|CONTACT", value_hint = CONTACT)]
    pub(super) relay: Option<String>,
    #[arg(value_name = "FINGERPRINT", requires = "relay")]
    pub(super) fingerprint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
