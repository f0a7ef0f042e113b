//! Arguments of `queqiao bench`, and which of them exclude each other.

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use crate::app::{BENCH_SIZE_MIN, BenchMode, BenchOptions, BenchServer, Failure, IDLE_MAX, IdleOptions};
use crate::base::Phrase;
use crate::wire::limits::{LETTER_TEXT_MAX, UDP_PACKET_MAX};

use super::values::{number, number_from, seconds};

const RELAY: &str = "127.0.0.1:8081";
const PAIRS: u64 = 4;
const WINDOW: u64 = 64;

#[derive(Debug, Default, ClapArgs)]
pub(super) struct BenchArgs {
    #[arg(long, value_name = "HOST:PORT")]
    relay: Option<String>,
    #[arg(long, value_name = "N", value_parser = number::<u64>(1, 4_096))]
    pairs: Option<u64>,
    #[arg(long, value_name = "N", value_parser = number::<u64>(1, 65_536))]
    window: Option<u64>,
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = number::<u64>(BENCH_SIZE_MIN as u64, LETTER_TEXT_MAX as u64))]
    size: u64,
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    secs: Duration,
    #[arg(long, value_name = "N", value_parser = number::<u32>(1, 10_000_000))]
    rate: Option<u32>,
    #[arg(long)]
    answer: bool,
    #[arg(long)]
    bare: bool,
    #[arg(long)]
    tcp: bool,
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number_from(0))]
    flood: u32,
    #[arg(long, value_name = "N", value_parser = number::<u64>(1, IDLE_MAX as u64))]
    idle: Option<u64>,
    #[arg(long, value_name = "PID", value_parser = number_from(1))]
    relay_pid: Option<u32>,
    #[arg(long)]
    json: bool,
    /// Used by the bench to start its own servers.
    #[arg(long, hide = true)]
    as_server: Option<Server>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Server {
    Relay,
    Bare,
}

impl BenchArgs {
    /// Returns the options for idle members, if `--idle` is given.
    ///
    /// # Errors
    /// Status 2 for arguments that exclude `--idle`.
    pub(super) fn idle(&self) -> Result<Option<IdleOptions>, Failure> {
        let Some(members) = self.idle else { return Ok(None) };
        let excluded = [
            ("--pairs", self.pairs.is_some()),
            ("--window", self.window.is_some()),
            ("--rate", self.rate.is_some()),
            ("--answer", self.answer),
            ("--tcp", self.tcp),
            ("--flood", self.flood > 0),
        ];
        let servers = [("--relay", self.relay.is_some()), ("--relay-pid", self.relay_pid.is_some())];
        if let Some((argument, _)) = servers.into_iter().find(|(_, given)| self.bare && *given) {
            return Err(Failure::usage(Phrase::new("bench-bare-alone").with("argument", argument)));
        }
        if let Some((argument, _)) = excluded.into_iter().find(|(_, given)| *given) {
            return Err(Failure::usage(Phrase::new("bench-idle-alone").with("argument", argument)));
        }
        let relay = (!self.bare).then(|| self.relay.clone().unwrap_or_else(|| RELAY.to_owned()));
        Ok(Some(IdleOptions {
            relay,
            members: members as usize,
            time: self.secs,
            relay_pid: self.relay_pid,
            json: self.json,
        }))
    }

    /// Returns the options for a measurement with letters.
    ///
    /// # Errors
    /// Status 2 for arguments that exclude each other.
    pub(super) fn options(self) -> Result<BenchOptions, Failure> {
        if let Some(wrong) = self.wrong() {
            return Err(Failure::usage(wrong));
        }
        let mode = match self.as_server {
            Some(Server::Relay) => BenchMode::Serve(BenchServer::Relay),
            Some(Server::Bare) => BenchMode::Serve(BenchServer::Baseline),
            None if self.bare => {
                BenchMode::Compare { one_shape: self.pairs.is_some() || self.window.is_some() }
            }
            None => BenchMode::Measure,
        };
        Ok(BenchOptions {
            mode,
            relay: self.relay.unwrap_or_else(|| RELAY.to_owned()),
            pairs: self.pairs.unwrap_or(PAIRS) as usize,
            window: self.window.unwrap_or(WINDOW) as usize,
            size: self.size as usize,
            time: self.secs,
            rate: self.rate,
            answer: self.answer,
            tcp: self.tcp,
            flood: self.flood,
            relay_pid: self.relay_pid,
            json: self.json,
        })
    }

    fn wrong(&self) -> Option<Phrase> {
        if self.rate.is_some() && self.window.is_some() {
            return Some(Phrase::new("bench-rate-and-window"));
        }
        if self.secs.is_zero() {
            return Some(Phrase::new("bench-no-time"));
        }
        let excluded = [
            ("--relay", self.relay.is_some()),
            ("--relay-pid", self.relay_pid.is_some()),
            ("--flood", self.flood > 0),
            ("--rate", self.rate.is_some()),
        ];
        if !self.bare {
            return None;
        }
        if self.size > UDP_PACKET_MAX as u64 {
            return Some(Phrase::new("bench-bare-size").with("max", UDP_PACKET_MAX));
        }
        let (argument, _) = excluded.into_iter().find(|(_, given)| *given)?;
        Some(Phrase::new("bench-bare-alone").with("argument", argument))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::app::ExitStatus;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn options(line: &str) -> Result<BenchOptions, Failure> {
        let words = std::iter::once("bench").chain(line.split_ascii_whitespace());
        Command::try_parse_from(words).expect("the grammar accepts it").bench.options()
    }

    #[test]
    fn conflicting_arguments_are_refused_by_name() {
        let wrong = |line: &str| {
            let failure = options(line).expect_err(line);
            assert_eq!(failure.status, ExitStatus::Usage, "{line}");
            let phrase = failure.phrase.expect("a usage failure has a phrase");
            (phrase.key(), phrase.args().iter().map(|(_, value)| value.as_str()).collect::<String>())
        };
        assert_eq!(wrong("--rate 10 --window 3").0, "bench-rate-and-window");
        assert_eq!(wrong("--secs 0").0, "bench-no-time");
        for argument in ["--relay", "--relay-pid", "--flood", "--rate"] {
            let (key, named) = wrong(&format!("--bare {argument} 1"));
            assert_eq!(key, "bench-bare-alone");
            assert_eq!(named, argument);
        }
        assert_eq!(wrong("--bare --size 1201").0, "bench-bare-size");
    }

    #[test]
    fn idle_members_write_no_letters() {
        let idle = |line: &str| {
            let words = std::iter::once("bench").chain(line.split_ascii_whitespace());
            Command::try_parse_from(words).expect("the grammar accepts it").bench.idle()
        };
        assert!(idle("").is_ok_and(|options| options.is_none()));
        assert!(idle("--idle 7 --secs 3").is_ok_and(|options| options.is_some_and(|o| o.members == 7)));
        assert!(
            idle("--idle 7").is_ok_and(|options| options.is_some_and(|o| o.relay.as_deref() == Some(RELAY)))
        );
        assert!(idle("--idle 7 --bare").is_ok_and(|options| options.is_some_and(|o| o.relay.is_none())));
        let wrong = |argument: &str| {
            let failure = idle(&format!("--idle 7 {argument}")).expect_err(argument);
            failure.phrase.expect("a usage failure has a phrase").key()
        };
        for argument in ["--pairs 1", "--window 1", "--rate 1", "--answer", "--tcp", "--flood 1"] {
            assert_eq!(wrong(argument), "bench-idle-alone");
        }
        for argument in ["--bare --relay 127.0.0.1:1", "--bare --relay-pid 1"] {
            assert_eq!(wrong(argument), "bench-bare-alone");
        }
    }

    #[test]
    fn options_have_defaults() {
        let usual = options("").unwrap();
        assert_eq!(usual.mode, BenchMode::Measure);
        assert_eq!(usual.pairs, 4);
        assert_eq!(usual.window, 64);
        assert_eq!(usual.relay, "127.0.0.1:8081");
        assert_eq!(usual.rate, None);
        assert_eq!(options("--bare").unwrap().mode, BenchMode::Compare { one_shape: false });
        assert_eq!(options("--bare --pairs 2").unwrap().mode, BenchMode::Compare { one_shape: true });
        assert_eq!(options("--rate 100 --answer").unwrap().rate, Some(100));
    }
}
