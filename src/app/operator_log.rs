//! The log of a relay for its operator: what happened, in the operator's language, with counts
//! where it happens often.
//!
//! Must not depend on: texts of members. Invariant: no line contains a member's address, except at
//! level `debug`. No peer can cause more than [`LINES_PER_SECOND`] lines of one kind in a second.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::Level;

use crate::base::{Fingerprint, Name, Phrase, Wall};
use crate::net::{self, Signal};
use crate::relay::{Event, Limits};
use crate::store::RELAY_DATABASE;
use crate::ui::Strings;
use crate::wire::message::NameReason;

use super::log_output::OPERATOR;
use super::relay_meter::{Flood, FloodKind, MeterReport, Totals};
use super::server::ServerNews;

/// Maximum lines of one kind in a second: enough to see what happens, too few to fill a disk.
const LINES_PER_SECOND: u32 = 10;

/// Kinds of lines that peers can cause. Each has its own budget.
#[derive(Clone, Copy, Debug)]
enum LineKind {
    Registered,
    NameRefused,
    Session,
    Damaged,
}

/// Start of a relay, as the log tells it.
#[derive(Clone, Debug)]
pub(super) struct RelayStart {
    pub(super) udp: SocketAddr,
    pub(super) tcp: Option<SocketAddr>,
    pub(super) key: Fingerprint,
    pub(super) data: PathBuf,
    pub(super) members: usize,
    /// Member that guests write to.
    pub(super) guests: Option<Name>,
    pub(super) limits: Limits,
}

/// Writes the log.
#[derive(Debug)]
pub(super) struct OperatorLog {
    strings: Arc<Strings>,
    file: PathBuf,
    /// Lines above this level are left out.
    level: Level,
    /// The current second, and for each kind the lines written and left out in it.
    second: u64,
    written: [(u32, u32); 4],
}

impl OperatorLog {
    /// Returns the log of a relay with the data folder `dir`.
    pub(super) fn new(strings: &Arc<Strings>, dir: &Path, level: Level) -> OperatorLog {
        OperatorLog {
            strings: Arc::clone(strings),
            file: dir.join(RELAY_DATABASE),
            level,
            second: 0,
            written: [(0, 0); 4],
        }
    }

    /// Logs the start of the relay.
    pub(super) fn start(&self, start: &RelayStart) {
        let version = Phrase::new("relay-log-started").with("version", env!("CARGO_PKG_VERSION"));
        self.write(Level::Info, &version.with("what", start_words(start)));
    }

    /// Logs news of the relay.
    pub(super) fn handle(&mut self, news: &ServerNews) {
        match news {
            ServerNews::Event(event) => self.handle_event(event),
            ServerNews::Trouble(reason) => {
                let reason = self.strings.say(reason);
                self.write(Level::Warn, &Phrase::new("relay-log-disk").with("why", reason));
            }
            // Its result is printed.
            ServerNews::HangUp => {}
            ServerNews::Recovered => self.write(Level::Info, &Phrase::new("relay-log-disk-over")),
            ServerNews::Meter(MeterReport::Totals(totals)) => {
                self.write(Level::Info, &totals_phrase(totals, &self.strings));
            }
            ServerNews::Meter(MeterReport::Flood(flood)) => {
                self.write(Level::Warn, &flood_phrase(flood, &self.strings));
            }
            ServerNews::Broken => self.write(Level::Error, &Phrase::new("relay-log-broken")),
            ServerNews::Stopped { signal } => {
                let reason = signal.map_or("--desk", signal_name);
                self.write(Level::Info, &Phrase::new("relay-log-stopped").with("why", reason));
            }
        }
    }

    fn handle_event(&mut self, event: &Event) {
        match event {
            Event::Registered { name, by_invitation } => {
                let key = if *by_invitation { "relay-log-joined" } else { "relay-log-registered" };
                self.limited(Level::Info, LineKind::Registered, &Phrase::new(key).with("name", name));
            }
            Event::NameRefused { name, reason } => {
                let reason = self.strings.say(&Phrase::new(refusal(*reason)));
                let phrase =
                    Phrase::new("relay-log-refused").with("name", shortened(name)).with("why", reason);
                self.limited(Level::Info, LineKind::NameRefused, &phrase);
            }
            Event::Invited { name, replaces } => {
                let phrase = match name {
                    None => Phrase::new("relay-log-invited-anybody"),
                    Some(name) if *replaces => Phrase::new("relay-log-invited-again").with("name", name),
                    Some(name) => Phrase::new("relay-log-invited").with("name", name),
                };
                self.write(Level::Info, &phrase);
            }
            Event::Removed(name) => {
                self.write(Level::Info, &Phrase::new("relay-log-removed").with("name", name));
            }
            Event::Freed(name) => {
                self.limited(
                    Level::Info,
                    LineKind::Registered,
                    &Phrase::new("relay-log-freed").with("name", name),
                );
            }
            Event::Damaged { seq, to, from } => {
                let phrase = match from {
                    Some(from) => Phrase::new("store-letter-damaged").with("from", from),
                    None => Phrase::new("store-letter-damaged-nameless"),
                };
                let phrase = phrase.with("file", self.file.display()).with("to", to).with("row", seq);
                self.limited(Level::Warn, LineKind::Damaged, &phrase);
            }
            Event::SignedIn { name, from, via } => {
                let from = from.map_or("-".to_owned(), |from| from.to_string());
                let via = via.map_or("-", |via| via.as_str());
                let phrase = Phrase::new("relay-log-signed-in").with("name", name);
                self.limited(Level::Debug, LineKind::Session, &phrase.with("from", from).with("via", via));
            }
            Event::SignedOut(name) => {
                let phrase = Phrase::new("relay-log-signed-out").with("name", name);
                self.limited(Level::Debug, LineKind::Session, &phrase);
            }
            Event::Answered { .. } | Event::Stopped => {}
        }
    }

    fn write(&self, level: Level, phrase: &Phrase) {
        if level <= self.level {
            log::log!(target: OPERATOR, level, "{}", self.strings.say(phrase));
        }
    }

    fn limited(&mut self, level: Level, kind: LineKind, phrase: &Phrase) {
        if level > self.level || !log::log_enabled!(target: OPERATOR, level) {
            return;
        }
        self.begin_second(net::wall());
        let (written, left_out) = &mut self.written[kind as usize];
        if *written >= LINES_PER_SECOND {
            *left_out += 1;
            return;
        }
        *written += 1;
        self.write(level, phrase);
    }

    /// Begins a new second, and tells how many lines were left out in the one before.
    fn begin_second(&mut self, now: Wall) {
        let second = now.0 / 1_000;
        if second == self.second {
            return;
        }
        self.second = second;
        let left_out: u32 = std::mem::take(&mut self.written).iter().map(|kind| kind.1).sum();
        if left_out > 0 {
            self.write(Level::Info, &Phrase::new("relay-log-left-out").with("count", left_out));
        }
    }
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Interrupt => "SIGINT",
        Signal::Terminate => "SIGTERM",
        Signal::HangUp => "SIGHUP",
    }
}

/// Returns a name as a peer wrote it, shortened to what a valid name may have.
fn shortened(name: &str) -> String {
    name.chars().take(Name::GRAPHEMES_MAX).collect()
}

/// Returns the key of the phrase with the reason of a refused sign-in.
const fn refusal(reason: NameReason) -> &'static str {
    match reason {
        NameReason::Taken => "relay-log-why-taken",
        NameReason::Confusable => "relay-log-why-confusable",
        NameReason::Reserved => "relay-log-why-reserved",
        NameReason::Bad => "relay-log-why-bad",
        NameReason::Other => "relay-log-why-other",
        NameReason::TooMany => "relay-log-why-too-many",
        NameReason::Disk => "relay-log-why-disk",
        NameReason::Closed => "relay-log-why-closed",
        NameReason::Kept => "relay-log-why-kept",
        NameReason::Removed => "relay-log-why-removed",
        NameReason::Full => "relay-log-why-full",
        NameReason::OldCopy => "relay-log-why-old-copy",
    }
}

fn totals_phrase(totals: &Totals, strings: &Strings) -> Phrase {
    let counts = totals.counts.iter().filter(|count| count.1 > 0);
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name}={count}")).collect();
    Phrase::new("relay-log-totals")
        .with("time", time(totals.time, strings))
        .with("what", format!("online={} {}", totals.online, counts.join(" ")))
}

fn flood_phrase(flood: &Flood, strings: &Strings) -> Phrase {
    let kind = match flood.kind {
        FloodKind::Datagrams => "relay-log-flood-datagrams",
        FloodKind::Handshakes => "relay-log-flood-handshakes",
        FloodKind::Connections => "relay-log-flood-connections",
        FloodKind::Guests => "relay-log-flood-guests",
        FloodKind::SignIns => "relay-log-flood-sign-ins",
    };
    let what = strings.say(&Phrase::new(kind));
    let phrase = match flood.lasted {
        None => Phrase::new("relay-log-flood"),
        Some(lasted) => Phrase::new("relay-log-flood-over").with("time", time(lasted, strings)),
    };
    phrase.with("what", what).with("number", flood.count)
}

/// Returns a duration in whole seconds, or in whole minutes if it is one.
fn time(duration: Duration, strings: &Strings) -> String {
    match duration.as_secs() {
        secs if secs >= 60 && secs.is_multiple_of(60) => {
            strings.say(&Phrase::new("relay-log-minutes").with("count", secs / 60))
        }
        secs => strings.say(&Phrase::new("relay-log-seconds").with("count", secs)),
    }
}

/// Returns the addresses, the key, the data folder, and the options that differ from their
/// defaults, as on a command line.
fn start_words(start: &RelayStart) -> String {
    let RelayStart { udp, tcp, key, data, members, guests, limits } = start;
    let tcp = tcp.map_or("-".to_owned(), |tcp| tcp.to_string());
    let mut words = vec![format!("udp={udp} tcp={tcp} key={key} data={} members={members}", data.display())];
    words.extend(guests.iter().map(|name| format!("--guests {name}")));
    words.extend(options(limits));
    words.join(" ")
}

/// Returns the limits that differ from their defaults, as options.
fn options(limits: &Limits) -> Vec<String> {
    let rows = |limits: &Limits| {
        let count = |count: usize| count.to_string();
        let secs = |time: Duration| match time.as_secs() {
            secs if secs > 0 && secs.is_multiple_of(86_400) => format!("{}d", secs / 86_400),
            secs if secs > 0 && secs.is_multiple_of(3_600) => format!("{}h", secs / 3_600),
            _ => format!("{}s", time.as_secs_f64()),
        };
        [
            ("limits", if limits.per_sender { "on" } else { "off" }.to_owned()),
            ("loopback-too", limits.loopback_too.to_string()),
            ("closed", limits.closed.to_string()),
            ("keep", secs(limits.keep)),
            ("mailbox-letters", count(limits.mailbox_letters)),
            ("mailbox-bytes", size(limits.mailbox_bytes)),
            ("pair-letters", count(limits.pair_letters)),
            ("pair-bytes", size(limits.pair_bytes)),
            ("sender-bytes", size(limits.sender_bytes)),
            ("pair-rate", size(limits.pair_rate)),
            ("pair-burst", size(limits.pair_burst)),
            ("all-mailboxes-bytes", size(limits.all_bytes)),
            ("memory-bytes", size(limits.memory_bytes)),
            ("letters-per-second", limits.letters_per_second.to_string()),
            ("letters-burst", limits.letters_burst.to_string()),
            ("control-per-second", limits.control_per_second.to_string()),
            ("control-burst", limits.control_burst.to_string()),
            ("names-per-hour", limits.names_per_hour.to_string()),
            ("all-names-per-hour", limits.all_names_per_hour.map_or(String::new(), |all| all.to_string())),
            ("members-max", count(limits.members_max)),
            ("sessions", count(limits.sessions)),
            ("stranger-sessions", count(limits.strangers)),
            ("reassembly-bytes", size(limits.reassembly_bytes)),
            ("connections", count(limits.conns)),
            ("connections-per-address", count(limits.conns_per_address)),
        ]
    };
    let differing = |((name, value), (_, default)): ((&str, String), (_, String))| {
        (value != default && !value.is_empty()).then(|| match value.as_str() {
            "true" => format!("--{name}"),
            value => format!("--{name} {value}"),
        })
    };
    rows(limits).into_iter().zip(rows(&Limits::default())).filter_map(differing).collect()
}

/// Formats a size as on the command line.
fn size(bytes: usize) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let fitting = units.iter().find(|unit| bytes >> unit.0 > 0 && bytes.is_multiple_of(1 << unit.0));
    fitting.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}
