//! `queqiao trust`: lists the relay keys that this machine has pinned, and accepts other keys.

use std::io::{self, IsTerminal};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{Fingerprint, HostPort, Phrase, PublicKey, Wall};
use crate::client::{Command, Event, RelayConfig};
use crate::ui::notice;
use crate::ui::time_format::TimeFormat;

use super::client_host::{ClientHost, TurnOutput, tell_pins_changed};
use super::{CommandResult, ExitStatus, Failure, Setup, print, say};

/// Time limit for a relay to send and prove its key.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Lists the pinned keys if called without arguments. With a relay or contact, prints its pinned
/// key and its present one. With a fingerprint or a whole key as well, pins that key.
///
/// # Errors
/// [`Failure`]: status 1 if the relay does not answer, or has another key than the given one.
pub fn trust(setup: &Setup, relay: Option<&str>, fingerprint: Option<&str>) -> CommandResult {
    let Some(relay) = relay else { return list(setup) };
    let config = find(setup, relay)?;
    let Some(wanted) = fingerprint else { return show(setup, &config) };
    let key = match (wanted.parse::<PublicKey>(), wanted.parse::<Fingerprint>()) {
        (Ok(key), _) => key,
        (_, Ok(wanted)) => {
            let offered = ask_key(setup, &config)?;
            if !wanted.is_of(&offered) {
                let phrase = Phrase::new("trust-differs")
                    .with("relay", &config.addr)
                    .with("key", offered.fingerprint());
                return Err(phrase.into());
            }
            offered
        }
        _ => return Err(Failure::usage(Phrase::new("fingerprint-bad"))),
    };
    trust_in_book(setup, &config, Fingerprint::from(&key))?;
    setup.pins()?.set(&config.addr, key)?;
    tell_pins_changed(&setup.data_dir()?);
    print(&format!("trusted {} {}", config.addr, key.fingerprint()))?;
    Ok(ExitStatus::Done)
}

/// Replaces another key for the relay in the address book. Otherwise the book would refuse the
/// relay.
fn trust_in_book(setup: &Setup, config: &RelayConfig, key: Fingerprint) -> Result<(), Phrase> {
    if config.fingerprint.is_none_or(|known| known == key) {
        return Ok(());
    }
    let location = setup.location();
    location.set_relay_key(&config.addr, key)?;
    let phrase = Phrase::new("trust-book").with("file", location.file()).with("relay", &config.addr);
    say(&setup.strings, &phrase.with("key", key));
    Ok(())
}

fn list(setup: &Setup) -> CommandResult {
    let local = io::stdout().is_terminal().then(|| TimeFormat::new(TimeZone::system()));
    for (relay, pin) in setup.pins()?.list() {
        let seen = match &local {
            Some(local) => local.minute(Wall(u64::try_from(pin.first_seen.as_millisecond()).unwrap_or(0))),
            None => format!("{:.0}", pin.first_seen),
        };
        print(&format!("{relay} {} {seen}", pin.key.fingerprint()))?;
    }
    Ok(ExitStatus::Done)
}

fn show(setup: &Setup, config: &RelayConfig) -> CommandResult {
    let pinned = config.key.map_or("-".to_owned(), |key| key.fingerprint());
    print(&format!("pinned {} {pinned}", config.addr))?;
    let offered = ask_key(setup, config)?;
    print(&format!("offered {} {}", config.addr, offered.fingerprint()))?;
    let is_expected = config.fingerprint.is_none_or(|wanted| wanted.is_of(&offered));
    if !is_expected || config.key.is_some_and(|key| key != offered) {
        let phrase =
            Phrase::new("trust-changed").with("relay", &config.addr).with("offered", offered.fingerprint());
        say(&setup.strings, &phrase);
    }
    Ok(ExitStatus::Done)
}

fn find(setup: &Setup, relay: &str) -> Result<RelayConfig, Failure> {
    let book = setup.location().load();
    if let Ok(addr) = relay.parse::<HostPort>() {
        // A key can be shown even if the book has an error.
        return setup.relay_in(&book.unwrap_or_default(), addr);
    }
    setup.relay_meant(&book?, relay)
}

/// Returns the relay's present key, proved by a handshake.
fn ask_key(setup: &Setup, config: &RelayConfig) -> Result<PublicKey, Failure> {
    let mut host = ClientHost::open_ephemeral(None, setup.carriers)?;
    host.command(Command::Relays(vec![RelayConfig { key: None, fingerprint: None, ..config.clone() }]));
    let mut output = TurnOutput::default();
    let end = host.now().tick + ANSWER_WITHIN;
    loop {
        let now = host.turn(Some(end), &mut output);
        for event in output.events.drain(..) {
            match event {
                Event::Pinned { key, .. } => {
                    host.leave();
                    return Ok(key);
                }
                Event::Unreached { ref relay, ref reason } => {
                    return Err(notice::connect_failure(relay, reason).into());
                }
                _ => {}
            }
        }
        if let Some(end) = output.inputs.drain(..).find_map(|input| input.end()) {
            return Err(end);
        }
        if now.tick >= end {
            return Err(notice::connect_failure(&config.addr, &crate::client::ConnectFailure::Silent).into());
        }
    }
}
