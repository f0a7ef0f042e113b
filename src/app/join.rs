//! `queqiao join`: accepts an invitation. Checks the relay's key and registers the name there, then
//! adds the relay to the address book. If that fails, nothing has changed and the same line can be
//! used again.

use std::io::{self, Read};
use std::time::Duration;

use crate::base::{HostPort, Name, NameError, Phrase};
use crate::client::{Command, ConnectFailure, Event, RelayConfig};
use crate::contacts::{AddressBook, Invite, Location};
use crate::ui::notice;
use crate::wire::message::NameReason;

use super::client_host::{ClientHost, FrontendInput, FrontendKind, TurnOutput};
use super::send::in_seconds;
use super::{CommandResult, ExitStatus, Failure, Setup, print, question, say};

/// Time limit for the relay to accept the new member.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);
/// Maximum bytes of standard input searched for the invitation, 64 KiB: a mail with a few lines
/// around it.
const INPUT_LEN_MAX: u64 = 64 * 1024;

/// Accepts the invitation given as an argument or on standard input.
///
/// # Errors
/// [`Failure`]: 2 for an invalid invitation. 1 if the relay has another key or refuses the name. 75
/// if it does not answer in time.
pub fn join(setup: &Setup, argument: Option<&str>) -> CommandResult {
    if argument.is_some() {
        say(&setup.strings, &Phrase::new("join-on-command-line"));
    }
    let line = match argument {
        Some(line) => line.to_owned(),
        None => read_line(setup)?,
    };
    let invite: Invite = line.parse().map_err(Failure::usage)?;
    let location = setup.location();
    let book = location.load_or_new()?;
    // A conflict with the invitation is reported before anything is sent.
    setup.check_key(&invite.relay, invite.key)?;
    location.try_put_relay(&invite.relay_entry())?;
    let name = name_of(setup, &book, &invite)?;
    sign_in(setup, &book, &invite, &name)?;
    finish(setup, &location, &invite, &name)
}

/// Reads the line from a terminal, without echo. Otherwise returns the first line of standard input
/// that can be an invitation.
fn read_line(setup: &Setup) -> Result<String, Failure> {
    if question::can_ask() {
        let line = question::ask(&setup.strings, &Phrase::new("join-ask"), true)?;
        return Ok(line.unwrap_or_default());
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(INPUT_LEN_MAX).read_to_end(&mut bytes);
    read.map_err(|error| Phrase::new("input-failed").with("cause", error))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let found = lines().find(|line| line.parse::<Invite>().is_ok());
    Ok(found
        .or_else(|| lines().find(|line| line.contains("queqiao:")))
        .or(lines().next())
        .unwrap_or_default()
        .to_owned())
}

/// Returns the name to register: from `--as`, else from the invitation, else from the book, else
/// the user is asked.
fn name_of(setup: &Setup, book: &AddressBook, invite: &Invite) -> Result<Name, Failure> {
    let given = setup.name.as_ref().map(|text| text.parse::<Name>()).transpose();
    let given = given.map_err(|error: NameError| Failure::usage(error.phrase()))?;
    match (given, &invite.name) {
        (Some(given), Some(invited)) if given != *invited => {
            let phrase = Phrase::new("name-invited-other").with("relay", &invite.relay);
            Err(Failure::usage(phrase.with("other", invited)))
        }
        (Some(name), _) => Ok(name),
        (None, Some(name)) => Ok(name.clone()),
        (None, None) => match &book.me {
            Some(me) => Ok(me.clone()),
            None => question::ask_name(setup),
        },
    }
}

/// Registers the name at the relay, which must prove that it has the invitation's key.
fn sign_in(setup: &Setup, book: &AddressBook, invite: &Invite, name: &Name) -> Result<(), Failure> {
    let with_code = Setup { invite: Some(Invite::code_of(&invite.secret)), ..setup.clone() };
    let known = setup.relay_in(book, invite.relay.clone())?;
    let tcp = known.tcp.or_else(|| invite.relay_entry().tcp);
    let config = RelayConfig { tcp, fingerprint: Some(invite.key), ..known };
    let mut host = ClientHost::open(&with_code, name.clone(), FrontendKind::SendOnly)?;
    // Returned texts are left to a command that sends or shows letters.
    host.command(Command::HoldRefusals);
    host.command(Command::Screen(setup.block_lists(book)));
    host.command(Command::Relays(vec![config]));
    let result = await_online(setup, &mut host, &invite.relay, name);
    host.leave();
    result
}

fn await_online(setup: &Setup, host: &mut ClientHost, relay: &HostPort, name: &Name) -> Result<(), Failure> {
    let mut output = TurnOutput::default();
    let end = host.now().tick + SIGN_IN_WITHIN;
    loop {
        let now = host.turn(Some(end), &mut output);
        for event in output.events.drain(..) {
            match &event {
                Event::Online { relay: at, .. } if at == relay => return Ok(()),
                Event::NameRefused { relay: at, reason: NameReason::Closed, .. } if at == relay => {
                    return Err(Phrase::new("join-used").with("relay", relay).into());
                }
                Event::NameRefused { relay: at, .. } | Event::Replaced { relay: at } if at == relay => {
                    let reason = notice::of_event(&event, name.as_str());
                    return Err(Failure { status: ExitStatus::Failed, phrase: reason });
                }
                Event::Unreached { relay: at, reason } if at == relay => {
                    let phrase = notice::connect_failure(relay, reason);
                    if reason.is_other_key() || *reason == ConnectFailure::HandshakeRefused {
                        return Err(phrase.into());
                    }
                    say(&setup.strings, &phrase);
                }
                _ => {}
            }
        }
        while let Some(input) = output.next_input() {
            if let Some(failure) = input.end() {
                return Err(failure);
            }
            if let FrontendInput::Trouble(phrase) = input {
                say(&setup.strings, &phrase);
            }
        }
        if now.tick >= end {
            let phrase = Phrase::new("join-silent").with("relay", relay);
            return Err(Failure::later(phrase.with("time", in_seconds(SIGN_IN_WITHIN))));
        }
    }
}

/// Adds the relay to the book, and reports the next step.
fn finish(setup: &Setup, location: &Location, invite: &Invite, name: &Name) -> CommandResult {
    let config = invite.relay_entry();
    let relay_name = location.put_relay(&config).map_err(|error| {
        let line = crate::contacts::relay_entry(&config);
        let phrase = Phrase::new("join-not-written").with("name", name).with("relay", &invite.relay);
        phrase.with("line", line).with("why", setup.strings.say(&error))
    })?;
    print(&format!("joined {} {name}", invite.relay))?;
    let done = Phrase::new("join-done").with("name", name).with("relay", &invite.relay);
    let done = done.with("key", invite.key).with("file", location.file()).with("relay_name", relay_name);
    say(&setup.strings, &done);
    let book = location.load_or_new()?;
    let is_saved = match &book.me {
        Some(me) => me == name,
        None if setup.name.is_none() && invite.name.is_none() => question::offer_to_save(setup, name)?,
        None => question::save_name(setup, name),
    };
    let name_option = if is_saved { String::new() } else { format!(" --as {name}") };
    // A name alone identifies the relay only if the book has no other.
    let is_only = book.relays().len() == 1;
    let at = if is_only { String::new() } else { format!("@{}", invite.relay) };
    say(&setup.strings, &Phrase::new("join-next").with("as", name_option).with("at", at));
    Ok(ExitStatus::Done)
}
