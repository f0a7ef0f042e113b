//! `queqiao trust`: the relays' keys this machine has pinned, and accepting another.

use std::time::Duration;

use crate::base::{HostPort, Phrase, PublicKey};
use crate::client::{Command, Event, RelaySpec};
use crate::ui::notice;

use super::desk::{Ask, Desk, News, tell_pins_changed};
use super::{Failure, Outcome, Setup, Status, print, say};

/// A relay has this long to show and prove its key.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Without arguments, lists the pinned keys; with a relay or contact, shows its pinned key and the one it has now; with a
/// fingerprint too, or a whole key, pins that one.
///
/// # Errors
/// [`Failure`]: status 1 if the relay does not answer or has another key than the one given.
pub fn trust(setup: &Setup, relay: Option<&str>, fingerprint: Option<&str>) -> Outcome {
    let Some(relay) = relay else { return list(setup) };
    let spec = find(setup, relay)?;
    let Some(wanted) = fingerprint else { return show(setup, &spec) };
    let key = match wanted.parse::<PublicKey>() {
        Ok(key) => key,
        Err(_) => {
            let offered = ask_key(setup, &spec)?;
            if offered.fingerprint() != wanted {
                let phrase =
                    Phrase::new("trust-differs").with("relay", &spec.addr).with("key", offered.fingerprint());
                return Err(phrase.into());
            }
            offered
        }
    };
    setup.pins()?.set(&spec.addr, key)?;
    tell_pins_changed(&setup.data_dir()?);
    print(&format!("trusted {} {}", spec.addr, key.fingerprint()))?;
    Ok(Status::Done)
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
    if spec.key.is_some_and(|key| key != offered) {
        let phrase =
            Phrase::new("trust-changed").with("relay", &spec.addr).with("offered", offered.fingerprint());
        say(&setup.strings, &phrase);
    }
    Ok(Status::Done)
}

fn find(setup: &Setup, relay: &str) -> Result<RelaySpec, Failure> {
    if let Ok(addr) = relay.parse::<HostPort>() {
        return Ok(setup.relay_at(addr, None)?);
    }
    let book = setup.location().load()?;
    Ok(setup.relay_of(&book.resolve(relay)?)?)
}

/// The key the relay has now: shown, and proved by a handshake.
fn ask_key(setup: &Setup, spec: &RelaySpec) -> Result<PublicKey, Failure> {
    let mut desk = Desk::open_ephemeral(None, setup.carriers)?;
    desk.command(Command::Relays(vec![RelaySpec { key: None, ..spec.clone() }]));
    let (mut news, end) = (News::default(), desk.now().tick + ANSWER_WITHIN);
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
