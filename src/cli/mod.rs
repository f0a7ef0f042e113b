//! Floor 7: arguments in, results and exit statuses out; no logic.
//!
//! Flags stand before environment variables (`QUEQIAO_…`), those before the address book, that before defaults. Options
//! may stand anywhere; a text that begins with `-` follows `--`.

mod args;
mod bench_args;
mod help;
mod limit_args;

use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches;

use crate::app::{self, Failure, Outcome, Setup, Status};
use crate::ui::{Lang, Strings};

use args::{Args, Common, Sub};

/// Runs the program: reads the arguments, does what they say, says at most one sentence about a failure.
pub fn main() -> ExitCode {
    env_logger::Builder::from_default_env().format_timestamp_millis().init();
    forgive_file_size_signal();
    let strings = Arc::new(Strings::new(language()));
    let command = help::speak(<Args as clap::CommandFactory>::command(), &strings);
    let args = match command.try_get_matches().and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let status = match run(args.sub, &strings) {
        Ok(status) => status,
        Err(Failure { status, phrase }) => {
            if let Some(phrase) = phrase {
                app::say(&strings, &phrase);
            }
            status
        }
    };
    ExitCode::from(status as u8)
}

/// The language has to be known before the arguments are read, because their helps are in it.
fn language() -> Lang {
    let mut args = std::env::args();
    let mut flag = None;
    while let Some(arg) = args.next() {
        if arg == "--" {
            break;
        }
        if arg == "--lang" {
            flag = args.next();
        } else if let Some(value) = arg.strip_prefix("--lang=") {
            flag = Some(value.to_owned());
        }
    }
    Lang::pick(flag.as_deref(), |name| std::env::var(name).ok())
}

/// Helps and versions are results; everything else about arguments is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    // A pipe that is closed already needs no help.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { Status::Usage as u8 } else { Status::Done as u8 })
}

/// A file that may not grow fails its write, as a full disk does, instead of ending the process.
fn forgive_file_size_signal() {
    let seen = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // Where the system has no such signal there is nothing to forgive.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, seen);
}

fn setup(common: Common, strings: &Arc<Strings>) -> Setup {
    let carriers = common.carriers(|name| std::env::var(name).ok());
    let Common { contacts, name, data, invite, .. } = common;
    let contacts_only = false;
    Setup { contacts, name, data, carriers, invite, contacts_only, strings: strings.clone() }
}

fn run(sub: Sub, strings: &Arc<Strings>) -> Outcome {
    match sub {
        Sub::Demo(args) => app::demo(&setup(args.common, strings), args.color.into()),
        Sub::Relay(args) => app::relay(&args.options()?, strings),
        Sub::Chat(args) => {
            let (color, contacts_only) = (args.color.into(), args.contacts_only);
            let setup = Setup { contacts_only, ..setup(args.common, strings) };
            app::chat(&setup, args.contact.as_deref(), color)
        }
        Sub::Send(args) => {
            let options = args.options()?;
            app::send(&setup(args.common, strings), &options)
        }
        Sub::Listen(args) => {
            let (options, contacts_only) = (args.options(), args.contacts_only);
            app::listen(&Setup { contacts_only, ..setup(args.common, strings) }, &options)
        }
        Sub::History(args) => {
            if let Some(options) = args.forget()? {
                return app::forget(&setup(args.common, strings), &options);
            }
            let options = args.options()?;
            app::history(&setup(args.common, strings), &options)
        }
        Sub::Ping(args) => {
            let options = app::PingOptions { target: args.target, count: args.count };
            app::ping(&setup(args.common, strings), &options)
        }
        Sub::Bench(args) => match args.idle()? {
            Some(options) => app::bench_idle(&options),
            None => app::bench(&args.options()?, strings),
        },
        Sub::Contacts(args) => app::contacts(&setup(args.common, strings), &args.action.into()),
        Sub::Members(args) => app::members(args.data.as_deref(), &args.action.into(), strings),
        Sub::Join(args) => app::join(&setup(args.common, strings), args.invitation.as_deref()),
        Sub::Trust(args) => {
            let (relay, fingerprint) = (args.relay, args.fingerprint);
            app::trust(&setup(args.common, strings), relay.as_deref(), fingerprint.as_deref())
        }
    }
}
