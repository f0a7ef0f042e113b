//! `queqiao trust`: lists the relay keys that this machine has pinned, and accepts other keys.

use std::time::Duration;

use crate::base::{Fingerprint, HostPort, Phrase, PublicKey};
use crate::client::{Command, Event, RelaySpec};
use crate::ui::notice;

use super::desk::{Ask, Desk, News, tell_pins_changed};
use super::{Failure, Outcome, Setup, Status, print, say};

/// Time limit for a relay to send and prove its key.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Lists the pinned keys if called without arguments. With a relay or contact, prints its pinned
/// key and its present one. With a fingerprint or a whole key as well, pins that key.
///
/// # Errors
/// [`Failure`]: status 1 if the relay does not answer, or has another key than the given one.
pub fn trust(setup: &Setup, relay: Option<&str>, fingerprint: Option<&str>) -> Outcome {
    let Some(relay) = relay else { return list(setup) };
    let spec = find(setup, relay)?;
    let Some(wanted) = fingerprint else { return show(setup, &spec) };
    let key = match (wanted.parse::<PublicKey>(), wanted.parse::<Fingerprint>()) {
        (Ok(key), _) => key,
        (_, Ok(wanted)) => {
            let offered = ask_key(setup, &spec)?;
            if !wanted.is_of(&offered) {
                let phrase =
                    Phrase::new("trust-differs").with("relay", &spec.addr).with("key", offered.fingerprint());
                return Err(phrase.into());
            }
            offered
        }
        _ => return Err(Failure::usage(Phrase::new("fingerprint-bad"))),
    };
    trust_in_book(setup, &spec, Fingerprint::from(&key))?;
    setup.pins()?.set(&spec.addr, key)?;
    tell_pins_changed(&setup.data_dir()?);
    print(&format!("trusted {} {}", spec.addr, key.fingerprint()))?;
    Ok(Status::Done)
}

/// Replaces another key for the relay in the address book. Otherwise the book would refuse the
/// relay.
fn trust_in_book(setup: &Setup, spec: &RelaySpec, key: Fingerprint) -> Result<(), Phrase> {
    if spec.fingerprint.is_none_or(|known| known == key) {
        return Ok(());
    }
    let location = setup.location();
    location.set_relay_key(&spec.addr, key)?;
    let phrase = Phrase::new("trust-book").with("file", location.file()).with("relay", &spec.addr);
    say(&setup.strings, &phrase.with("key", key));
    Ok(())
}

fn list(setup: &Setup) -> Outcome {
    for (relay, pin) in setup.pins()?.list() {
        print(&format!("{relay} {} {:.0}", pin.key.fingerprint(), pin.first_seen))?;
    }
    Ok(Status::Done)
}

fn show(setup: &Setup, spec: &RelaySpec) -> Outcome {
    let pinned = spec.key.map_or("-".to_owned(), |key| key.fingerprint());
    print(&format!("pinned {} {pinned}", spec.addr))?;
    let offered = ask_key(setup, spec)?;
    print(&format!("offered {} {}", spec.addr, offered.fingerprint()))?;
    let is_expected = spec.fingerprint.is_none_or(|wanted| wanted.is_of(&offered));
    if !is_expected || spec.key.is_some_and(|key| key != offered) {
        let phrase =
            Phrase::new("trust-changed").with("relay", &spec.addr).with("offered", offered.fingerprint());
        say(&setup.strings, &phrase);
    }
    Ok(Status::Done)
}

fn find(setup: &Setup, relay: &str) -> Result<RelaySpec, Failure> {
    let book = setup.location().load();
    if let Ok(addr) = relay.parse::<HostPort>() {
        // A key can be shown even if the book has an error.
        return Ok(setup.relay_in(&book.unwrap_or_default(), addr)?);
    }
    Ok(setup.relay_meant(&book?, relay)?)
}

/// Returns the relay's present key, proved by a handshake.
fn ask_key(setup: &Setup, spec: &RelaySpec) -> Result<PublicKey, Failure> {
    let mut desk = Desk::open_ephemeral(None, setup.carriers)?;
    desk.command(Command::Relays(vec![RelaySpec { key: None, fingerprint: None, ..spec.clone() }]));
    let mut news = News::default();
    let end = desk.now().tick + ANSWER_WITHIN;
    loop {
        let now = desk.turn(Some(end), &mut news);
        for event in news.events.drain(..) {
            match event {
                Event::Pinned { key, .. } => {
                    desk.leave();
                    return Ok(key);
                }
                Event::Unreached { ref relay, ref why } => return Err(notice::unreached(relay, why).into()),
                _ => {}
            }
        }
        if news.asks.iter().any(|ask| matches!(ask, Ask::End)) {
            return Err(Failure::silent(Status::Interrupted));
        }
        if now.tick >= end {
            return Err(notice::unreached(&spec.addr, &crate::client::Unreached::Silent).into());
        }
    }
}
