//! Options that several commands of a member share. Each command has only those that it uses.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use super::values::yes_or_no;
use crate::app::Setup;
use crate::client::Carriers;
use crate::ui::{Color, Strings};

#[derive(Debug, ClapArgs)]
pub(super) struct BookArgs {
    #[arg(long, value_name = "FILE", env = "QUEQIAO_CONTACTS", value_hint = ValueHint::FilePath, global = true)]
    contacts: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct NameArgs {
    #[arg(long = "as", value_name = "NAME", env = "QUEQIAO_AS")]
    name: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DataArgs {
    #[arg(long, value_name = "DIR", env = "QUEQIAO_DATA", value_hint = ValueHint::DirPath, global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct CarrierArgs {
    #[arg(long, conflicts_with = "udp", env = "QUEQIAO_TCP", value_parser = yes_or_no())]
    tcp: bool,
    #[arg(long, conflicts_with = "tcp", env = "QUEQIAO_UDP", value_parser = yes_or_no())]
    udp: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct InviteArgs {
    #[arg(long, value_name = "CODE", env = "QUEQIAO_INVITE")]
    invite: Option<String>,
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

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ColorChoice {
    Auto,
    #[value(aliases = ["1", "true", "yes", "on"])]
    Always,
    #[value(aliases = ["0", "false", "no", "off"])]
    Never,
}

/// Options of the commands that sign in.
#[derive(Debug, ClapArgs)]
pub(super) struct SessionArgs {
    #[command(flatten)]
    book: BookArgs,
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    carriers: CarrierArgs,
    #[command(flatten)]
    invite: InviteArgs,
}

/// Options of `history`, which reads the member's files only.
#[derive(Debug, ClapArgs)]
pub(super) struct OfflineArgs {
    #[command(flatten)]
    book: BookArgs,
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    data: DataArgs,
}

/// Options of `ping`, which connects without a name.
#[derive(Debug, ClapArgs)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    carriers: CarrierArgs,
}

/// Options of the commands on the address book and on pinned keys.
#[derive(Debug, ClapArgs)]
pub(super) struct KeyArgs {
    #[command(flatten)]
    book: BookArgs,
    #[command(flatten)]
    data: DataArgs,
}

/// Options of `join`.
#[derive(Debug, ClapArgs)]
pub(super) struct JoiningArgs {
    #[command(flatten)]
    offline: OfflineArgs,
    #[command(flatten)]
    carriers: CarrierArgs,
}

impl CarrierArgs {
    const fn carriers(&self) -> Carriers {
        match (self.udp, self.tcp) {
            (true, _) => Carriers::Udp,
            (_, true) => Carriers::Tcp,
            _ => Carriers::Auto,
        }
    }
}

/// Returns the setup of a command without options.
fn empty(strings: &Arc<Strings>) -> Setup {
    Setup {
        contacts: None,
        name: None,
        data: None,
        carriers: Carriers::Auto,
        invite: None,
        contacts_only: false,
        strings: Arc::clone(strings),
    }
}

impl NameArgs {
    pub(super) fn setup(self, strings: &Arc<Strings>) -> Setup {
        Setup { name: self.name, ..empty(strings) }
    }
}

impl KeyArgs {
    pub(super) fn setup(self, strings: &Arc<Strings>) -> Setup {
        Setup { contacts: self.book.contacts, data: self.data.data, ..empty(strings) }
    }
}

impl OfflineArgs {
    pub(super) fn setup(self, strings: &Arc<Strings>) -> Setup {
        let setup = self.name.setup(strings);
        Setup { contacts: self.book.contacts, data: self.data.data, ..setup }
    }
}

impl ProbeArgs {
    pub(super) fn setup(self, strings: &Arc<Strings>) -> Setup {
        Setup { carriers: self.carriers.carriers(), ..self.keys.setup(strings) }
    }
}

impl JoiningArgs {
    pub(super) fn setup(self, strings: &Arc<Strings>) -> Setup {
        Setup { carriers: self.carriers.carriers(), ..self.offline.setup(strings) }
    }
}

impl SessionArgs {
    pub(super) fn setup(self, strings: &Arc<Strings>) -> Setup {
        Setup {
            contacts: self.book.contacts,
            data: self.data.data,
            carriers: self.carriers.carriers(),
            invite: self.invite.invite,
            ..self.name.setup(strings)
        }
    }
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
