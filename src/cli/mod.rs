//! Layer 8: arguments in, results and exit statuses out; no logic.
//!
//! Flags take precedence over environment variables (`QUEQIAO_…`), those over the address book, and
//! that over defaults. Options may be anywhere; a text that begins with `-` follows `--`.
//!
//! Must not depend on: `net`, `session`, `store`.

mod args;
mod bench_args;
mod client_args;
mod environment;
mod generate;
mod help;
mod help_layout;
mod limit_args;
mod relay_args;
mod usage_error;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::app::{self, CommandResult, ExitStatus, Failure, LogOutput, Setup};
use crate::ui::{Lang, Strings};

use args::{Args, CliCommand};
use environment::Environment;

/// Runs the program: reads the arguments, executes the command, and reports a failure in at most
/// one phrase.
pub fn main() -> ExitCode {
    let log = LogOutput::start();
    ignore_file_size_signal();
    forbid_core_dumps();
    let all: Vec<OsString> = std::env::args_os().collect();
    let given = all.get(1..).unwrap_or_default();
    let strings = Arc::new(Strings::new(language(given)));
    let environment = Environment { args: given, variable: &|name| std::env::var_os(name) };
    let grammar = Args::command();
    let parsed = parse(grammar.clone(), &environment, &all, &strings);
    let (args, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if !error.use_stderr() => {
            // Help and version are results.
            help::print(&error.render(), &strings);
            return ExitCode::from(ExitStatus::Done as u8);
        }
        Err(error) => {
            app::say_line(&usage_error::line(&error, &grammar, &environment, &strings));
            return ExitCode::from(ExitStatus::Usage as u8);
        }
    };
    let status = match run(args.command, &matches, &strings) {
        Ok(status) => status,
        Err(Failure { status, phrase }) => {
            if let Some(phrase) = phrase {
                app::say(&strings, &phrase);
            }
            status
        }
    };
    log.finish();
    ExitCode::from(status as u8)
}

/// Returns the language. It must be known before the arguments are read, because the help texts use
/// it.
fn language(given: &[OsString]) -> Lang {
    let mut args = given.iter().take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
    let mut flag = None;
    while let Some(arg) = args.next() {
        if arg == "--lang" {
            flag = args.next().map(|value| value.into_owned());
        } else if let Some(value) = arg.strip_prefix("--lang=") {
            flag = Some(value.to_owned());
        }
    }
    Lang::pick(flag.as_deref(), |name| std::env::var(name).ok())
}

/// Parses the arguments by a grammar without texts.
fn parse(
    grammar: clap::Command,
    environment: &Environment<'_>,
    all: &[OsString],
    strings: &Strings,
) -> Result<(Args, ArgMatches), clap::Error> {
    let grammar = environment.apply(help::with_texts(grammar, strings));
    let matches = help::with_usage(grammar, strings).try_get_matches_from(all)?;
    Ok((Args::from_arg_matches(&matches)?, matches))
}

/// Handles SIGXFSZ, so that reaching the file size limit is a write error and does not kill the
/// process.
fn ignore_file_size_signal() {
    let seen = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // Registration fails if the system has no such signal; then there is nothing to handle.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen);
}

/// Keeps private keys and messages out of core dumps, and other processes of the user from reading
/// them.
fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    // A refusal is not an error: dumps are then as the system has configured them.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

fn run(command: CliCommand, matches: &ArgMatches, strings: &Arc<Strings>) -> CommandResult {
    match command {
        CliCommand::Demo(args) => app::demo(&args.common.setup(strings), args.color.into()),
        CliCommand::Relay(args) => match args.backup() {
            Some((data, action)) => {
                let relay = matches.subcommand_matches("relay").expect("this command was parsed");
                relay_args::refuse_unused(relay)?;
                app::backup(data, &action, strings)
            }
            None => app::relay(&args.options()?, strings),
        },
        CliCommand::Chat(args) => {
            let color = args.color.into();
            let contacts_only = args.contacts_only;
            let setup = Setup { contacts_only, ..args.common.setup(strings) };
            app::chat(&setup, args.contact.as_deref(), color)
        }
        CliCommand::Send(args) => {
            let options = args.options()?;
            app::send(&args.common.setup(strings), &options)
        }
        CliCommand::Listen(args) => {
            let options = args.options();
            let contacts_only = args.contacts_only;
            app::listen(&Setup { contacts_only, ..args.common.setup(strings) }, &options)
        }
        CliCommand::History(args) => {
            if let Some(options) = args.forget()? {
                return app::forget(&args.common.setup(strings), &options);
            }
            let options = args.options()?;
            app::history(&args.common.setup(strings), &options)
        }
        CliCommand::Ping(args) => {
            let options = app::PingOptions { target: args.target, count: args.count };
            app::ping(&args.common.setup(strings), &options)
        }
        CliCommand::Bench(args) => match args.idle()? {
            Some(options) => app::bench_idle(&options),
            None => app::bench(&args.options()?, strings),
        },
        CliCommand::Contacts(args) => app::contacts(&args.common.setup(strings), &args.action.into()),
        CliCommand::Members(args) => app::members(args.data.as_deref(), &args.action.into(), strings),
        CliCommand::Join(args) => app::join(&args.common.setup(strings), args.invitation.as_deref()),
        CliCommand::Generate(args) => generate::generate(&args, Args::command(), strings),
        CliCommand::Help(args) => generate::print_help(&args, Args::command(), strings),
        CliCommand::Trust(args) => {
            app::trust(&args.common.setup(strings), args.relay.as_deref(), args.fingerprint.as_deref())
        }
    }
}
