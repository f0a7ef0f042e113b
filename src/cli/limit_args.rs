//! Resource limits of a relay from the command line and environment: one flag for each of
//! [`Limits`].

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use super::values::{number, number_from, positive_duration, size, yes_or_no};
use crate::app::Failure;
use crate::base::Phrase;
use crate::relay::Limits;

/// Flags with the defaults of [`Limits`]; a test compares them. If two limits apply to one thing,
/// such as those of a pair and of its mailbox, both hold. So either can be changed alone.
#[derive(Debug, ClapArgs)]
pub(super) struct LimitArgs {
    #[arg(long, value_name = "on|off", default_value = "on", env = "QUEQIAO_LIMITS", ignore_case = true)]
    limits: OnOff,
    #[arg(long, env = "QUEQIAO_LOOPBACK_TOO", value_parser = yes_or_no())]
    loopback_too: bool,
    #[arg(long, env = "QUEQIAO_CLOSED", value_parser = yes_or_no())]
    closed: bool,
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = positive_duration, env = "QUEQIAO_KEEP")]
    keep: Duration,
    #[arg(long, value_name = "N", default_value = "10000", value_parser = number_from(1), env = "QUEQIAO_MAILBOX_LETTERS")]
    mailbox_letters: u32,
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = size, env = "QUEQIAO_MAILBOX_BYTES")]
    mailbox_bytes: usize,
    #[arg(long, value_name = "N", default_value = "5000", value_parser = number_from(1), env = "QUEQIAO_PAIR_LETTERS")]
    pair_letters: u32,
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = size, env = "QUEQIAO_PAIR_BYTES")]
    pair_bytes: usize,
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size, env = "QUEQIAO_SENDER_BYTES")]
    sender_bytes: usize,
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = size, env = "QUEQIAO_PAIR_RATE")]
    pair_rate: usize,
    #[arg(long, value_name = "SIZE", default_value = "4M", value_parser = size, env = "QUEQIAO_PAIR_BURST")]
    pair_burst: usize,
    #[arg(long, value_name = "SIZE", default_value = "4G", value_parser = size, env = "QUEQIAO_ALL_MAILBOXES_BYTES")]
    all_mailboxes_bytes: usize,
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size, env = "QUEQIAO_MEMORY_BYTES")]
    memory_bytes: usize,
    #[arg(long, value_name = "N", default_value = "100", value_parser = number::<u32>(1, RATE_MAX), env = "QUEQIAO_LETTERS_PER_SECOND")]
    letters_per_second: u32,
    #[arg(long, value_name = "N", default_value = "1000", value_parser = number_from(1), env = "QUEQIAO_LETTERS_BURST")]
    letters_burst: u32,
    #[arg(long, value_name = "N", default_value = "1000", value_parser = number::<u32>(1, RATE_MAX), env = "QUEQIAO_CONTROL_PER_SECOND")]
    control_per_second: u32,
    #[arg(long, value_name = "N", default_value = "10000", value_parser = number_from(1), env = "QUEQIAO_CONTROL_BURST")]
    control_burst: u32,
    #[arg(long, value_name = "N", default_value = "5", value_parser = number_from(0), env = "QUEQIAO_NAMES_PER_HOUR")]
    names_per_hour: u32,
    #[arg(long, value_name = "N", default_value = "60", value_parser = number_from(0), env = "QUEQIAO_ALL_NAMES_PER_HOUR")]
    all_names_per_hour: u32,
    #[arg(long, value_name = "N", default_value = "10000", value_parser = number_from(1), env = "QUEQIAO_MEMBERS_MAX")]
    members_max: u32,
    #[arg(long, value_name = "N", default_value = "131072", value_parser = number_from(1), env = "QUEQIAO_SESSIONS")]
    sessions: u32,
    #[arg(long, value_name = "N", default_value = "2048", value_parser = number_from(1), env = "QUEQIAO_STRANGER_SESSIONS")]
    stranger_sessions: u32,
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size, env = "QUEQIAO_REASSEMBLY_BYTES")]
    reassembly_bytes: usize,
    #[arg(long, value_name = "N", default_value = "1024", value_parser = number_from(1), env = "QUEQIAO_CONNECTIONS")]
    connections: u32,
    #[arg(long, value_name = "N", default_value = "256", value_parser = number_from(1), env = "QUEQIAO_CONNECTIONS_PER_ADDRESS")]
    connections_per_address: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnOff {
    #[value(aliases = ["1", "true", "yes"])]
    On,
    #[value(aliases = ["0", "false", "no"])]
    Off,
}

impl LimitArgs {
    /// Returns the limits.
    ///
    /// # Errors
    /// `relay-no-message-fits` if not even one message would fit.
    pub(super) fn limits(&self) -> Result<Limits, Failure> {
        let limits = Limits {
            per_sender: self.limits == OnOff::On,
            loopback_too: self.loopback_too,
            letters_per_second: self.letters_per_second,
            letters_burst: self.letters_burst,
            control_per_second: self.control_per_second,
            control_burst: self.control_burst,
            mailbox_letters: self.mailbox_letters as usize,
            mailbox_bytes: self.mailbox_bytes,
            pair_letters: self.pair_letters.min(self.mailbox_letters) as usize,
            pair_bytes: self.pair_bytes.min(self.mailbox_bytes),
            sender_bytes: self.sender_bytes,
            pair_rate: self.pair_rate,
            pair_burst: self.pair_burst,
            all_bytes: self.all_mailboxes_bytes,
            memory_bytes: self.memory_bytes,
            keep: self.keep,
            conns: self.connections as usize,
            conns_per_address: self.connections_per_address as usize,
            sessions: self.sessions as usize,
            strangers: self.stranger_sessions as usize,
            reassembly_bytes: self.reassembly_bytes,
            names_per_hour: self.names_per_hour,
            all_names_per_hour: Some(self.all_names_per_hour),
            members_max: self.members_max as usize,
            closed: self.closed,
        };
        if limits.text_max() == 0 {
            return Err(Failure::usage(Phrase::new("relay-no-message-fits")));
        }
        Ok(limits)
    }
}

/// Maximum rate per second: intervals are counted in microseconds.
const RATE_MAX: u64 = 1_000_000;
#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn parse(args: &[&str]) -> Result<LimitArgs, String> {
        let line = Line::try_parse_from([&["relay"], args].concat());
        line.map(|line| line.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_without_flags_are_defaults() {
        assert_eq!(parse(&[]).unwrap().limits().unwrap(), Limits::default());
    }

    /// This command line sets every limit that has a flag. A limit without one would keep its
    /// default.
    #[test]
    fn every_limit_has_flag_and_variable() {
        let command = <Line as clap::CommandFactory>::command();
        let flags: Vec<_> = command.get_arguments().filter(|arg| arg.get_id() != "help").collect();
        let mut all = Vec::new();
        for flag in &flags {
            let name = format!("--{}", flag.get_long().unwrap());
            let variable = format!("QUEQIAO_{}", flag.get_id().as_str().to_uppercase());
            assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(variable.as_str()));
            match flag.get_id().as_str() {
                "limits" => all.push("--limits=off".to_owned()),
                "closed" | "loopback_too" => all.push(name),
                "keep" => all.push(format!("{name}=70000s")),
                _ => all.push(format!("{name}=70000")),
            }
        }
        let args: Vec<&str> = all.iter().map(String::as_str).collect();
        let given = parse(&args).unwrap().limits().unwrap();
        let default = Limits::default();
        let fields = |limits: &Limits| {
            let text = format!("{limits:?}");
            let inside = text.trim_start_matches("Limits { ").trim_end_matches(" }");
            inside.split(", ").map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(fields(&given).len(), flags.len());
        for (given, default) in fields(&given).into_iter().zip(fields(&default)) {
            assert_ne!(given, default);
        }
    }

    /// Each flag is in a row of docs/limits.md, together with its default.
    #[test]
    fn every_limit_is_documented_with_its_default() {
        let page = include_str!("../../docs/limits.md");
        let command = <Line as clap::CommandFactory>::command();
        for flag in command.get_arguments().filter(|arg| arg.get_id() != "help") {
            let name = format!("`--{}`", flag.get_long().unwrap());
            let is_of_flag = |line: &&str| line.split('|').nth(1).is_some_and(|cell| cell.contains(&name));
            let row = page.lines().find(is_of_flag);
            let row = row.unwrap_or_else(|| panic!("{name} is not in docs/limits.md"));
            for default in flag.get_default_values().iter().filter(|_| flag.get_action().takes_values()) {
                assert!(row.contains(&format!("`{}`", default.to_str().unwrap())), "{name}: {row}");
            }
        }
    }

    #[test]
    fn impossible_limits_are_refused() {
        for wrong in [
            "--connections=0",
            "--sessions=many",
            "--sessions=-1",
            "--letters-per-second=1000001",
            "--memory-bytes=0",
            "--memory-bytes=1.5M",
        ] {
            let error = parse(&[wrong]).unwrap_err();
            assert!(error.contains(wrong.split('=').next().unwrap()), "{wrong}: {error}");
        }
        for wrong in ["--mailbox-bytes", "--pair-bytes", "--all-mailboxes-bytes", "--memory-bytes"] {
            assert!(parse(&[wrong, "64"]).unwrap().limits().is_err(), "{wrong}: no message fits");
        }
    }
}
