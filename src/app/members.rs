//! `queqiao members`: lets the operator decide who may use a relay, in the relay's data folder.
//!
//! A running relay receives the request through its folder ([`crate::store::RequestQueue`]) and
//! does all writing. Otherwise this process locks the folder and runs the relay's core, without a
//! network, until the request is done.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::base::{
    Core, Effect, Fingerprint, HostPort, Input, Name, NameError, Now, Outputs, Phrase, Tick, Wall,
};
use crate::contacts::{Invite, SECRET_LEN};
use crate::net;
use crate::relay::{
    Command, Config, Event, INVITATIONS_MAX, Invitation, InvitationId, Limits, OperatorOutcome,
    OperatorRequest, Relay,
};
use crate::store::{Backend, Fault, MemberListing, RelayAddress, RelayAddresses, RelayState, RelayStore};
use crate::store::{StoreError, StoreErrorCause, default_data_dir, members_list};
use crate::ui::time_format::{TimeFormat, rfc3339};
use crate::ui::{Strings, json};
use crate::wire::message::NameReason;

use super::operator_requests::read_outcome;
use super::{ExitStatus, Failure, print, relay_addresses, relay_request, say};

/// Time limit for an answer of a running relay, which takes milliseconds. A slower one is stopped
/// or stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Action of the operator.
#[derive(Clone, Debug)]
pub enum MembersAction {
    /// Prints members and invitations.
    List {
        /// One JSON object per line.
        json: bool,
    },
    /// Creates an invitation.
    Invite {
        /// Name that it is for; `None` for any.
        name: Option<String>,
        /// Validity.
        time: Duration,
        /// Address at which the newcomer reaches the relay, if not the one that the relay
        /// announced.
        address: Option<HostPort>,
    },
    /// Removes a member.
    Remove {
        /// Name of the member.
        name: String,
    },
}

/// Executes the operator's action on the relay's folder `data`.
///
/// # Errors
/// [`Failure`]: 2 for an invalid name, otherwise 1.
pub fn members(data: Option<&Path>, action: &MembersAction, strings: &Strings) -> super::CommandResult {
    let dir = match data {
        Some(dir) => dir.to_owned(),
        None => default_data_dir()?.join("relay"),
    };
    match action {
        MembersAction::List { json } => list(&dir, *json, strings),
        MembersAction::Invite { name, time, address } => {
            invite(&dir, name.as_deref(), *time, address.as_ref(), strings)
        }
        MembersAction::Remove { name } => remove(&dir, name, strings),
    }
}

fn list(dir: &Path, as_json: bool, strings: &Strings) -> super::CommandResult {
    let (members, invitations) = members_list(dir)?;
    let now = net::wall();
    let waiting = invitations.iter().filter(|invitation| invitation.until > now);
    let local = io::stdout().is_terminal().then(|| TimeFormat::new(TimeZone::system()));
    let when = |at: Wall| match &local {
        Some(local) => local.minute(at),
        None => rfc3339(at).unwrap_or_else(|| "?".to_owned()),
    };
    let widest = members.iter().map(|member| cells(&member.name)).max().unwrap_or(0);
    for MemberListing { name, key, since, seen } in &members {
        let padding = " ".repeat(widest - cells(name));
        let last = seen.map_or("-".to_owned(), when);
        print(&match as_json {
            true => json::member(name, key, *since, *seen),
            false => {
                format!("{name}{padding}  {}  registered={}  seen={last}", key.fingerprint(), when(*since))
            }
        })?;
    }
    for Invitation { name, until, .. } in waiting.clone() {
        print(&match as_json {
            true => json::invitation(name.as_ref(), *until),
            false => format!("invited={}  until={}", name.as_ref().map_or("-", Name::as_str), when(*until)),
        })?;
    }
    if members.is_empty() && waiting.count() == 0 {
        say(strings, &Phrase::new("members-none"));
    }
    Ok(ExitStatus::Done)
}

fn cells(name: &Name) -> usize {
    unicode_width::UnicodeWidthStr::width(name.as_str())
}

fn invite(
    dir: &Path,
    name: Option<&str>,
    time: Duration,
    address: Option<&HostPort>,
    strings: &Strings,
) -> super::CommandResult {
    let name = name.map(parsed).transpose()?;
    let (_, waiting) = members_list(dir)?;
    let (place, key, hint) = place_of(dir, address)?;
    let secret: [u8; SECRET_LEN] = *net::seed().first_chunk().expect("a seed has more bytes");
    let created_at = net::wall();
    let until = Wall(created_at.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
    let id = InvitationId::of(&secret);
    let outcome =
        carry_out(dir, &OperatorRequest::Invite(Invitation { id, name: name.clone(), created_at, until }))?;
    if let (OperatorOutcome::Alike(other), Some(name)) = (&outcome, &name) {
        say(strings, &Phrase::new("members-alike").with("name", name).with("other", other));
    }
    done(outcome, dir, name.as_ref())?;
    if let Some(hint) = hint {
        say(strings, &hint);
    }
    let is_earlier = |invitation: &Invitation| invitation.name == name && invitation.until > created_at;
    if let Some(name) = &name
        && waiting.iter().any(is_earlier)
    {
        say(strings, &Phrase::new("members-invited-again").with("name", name));
    }
    let until = TimeFormat::new(TimeZone::system()).minute(until);
    say(
        strings,
        &match &name {
            Some(name) => Phrase::new("members-invited").with("who", name),
            None => Phrase::new("members-invited-anybody"),
        }
        .with("until", until),
    );
    print(&Invite { relay: place.address, tcp: place.tcp, key, secret, name }.to_string())?;
    Ok(ExitStatus::Done)
}

/// Returns the relay's address for the newcomer, its key, and a hint for the operator about that
/// address.
fn place_of(
    dir: &Path,
    address: Option<&HostPort>,
) -> Result<(RelayAddress, Fingerprint, Option<Phrase>), Failure> {
    let unknown = || Phrase::new("members-no-address").with("folder", dir.display());
    let RelayAddresses { key, at } = RelayAddresses::load(dir)?.ok_or_else(unknown)?;
    let mut places = at.into_iter();
    let first = places.next().ok_or_else(unknown)?;
    if let Some(address) = address {
        let tcp = first.tcp.map(|tcp| tcp.port());
        return Ok((relay_addresses::named(address, tcp, first.address.port()), key, None));
    }
    let is_near = first.address.as_socket_addr().is_some_and(|addr| addr.ip().is_loopback());
    let others: Vec<String> = places.map(|place| place.address.to_string()).collect();
    let hint = match is_near {
        true => {
            let bind = format!("0.0.0.0:{}", first.address.port());
            Some(Phrase::new("members-loopback").with("relay", &first.address).with("bind", bind))
        }
        false if others.is_empty() => None,
        false => Some(Phrase::new("members-other-addresses").with("addresses", others.join(", "))),
    };
    Ok((first, key, hint))
}

fn remove(dir: &Path, name: &str, strings: &Strings) -> super::CommandResult {
    let name = parsed(name)?;
    let outcome = carry_out(dir, &OperatorRequest::Remove(name.clone()))?;
    done(outcome, dir, Some(&name))?;
    say(strings, &Phrase::new("members-removed").with("name", name));
    Ok(ExitStatus::Done)
}

fn parsed(name: &str) -> Result<Name, Failure> {
    name.parse().map_err(|error: NameError| Failure::usage(error.phrase()))
}

/// Turns an outcome other than success into a failure.
fn done(outcome: OperatorOutcome, dir: &Path, name: Option<&Name>) -> Result<(), Failure> {
    let name = name.map_or("", Name::as_str);
    let (phrase, other) = match &outcome {
        OperatorOutcome::Done | OperatorOutcome::Alike(_) => return Ok(()),
        OperatorOutcome::Unknown => (Phrase::new("members-unknown"), None),
        OperatorOutcome::Full => (Phrase::new("members-full").with("count", INVITATIONS_MAX), None),
        OperatorOutcome::Disk => (Phrase::new("members-disk").of_disk(), None),
        OperatorOutcome::NotFree(NameReason::Confusable, other) => {
            (Phrase::new("members-confusable"), Some(other))
        }
        OperatorOutcome::NotFree(NameReason::Reserved, _) => (Phrase::new("members-reserved"), None),
        OperatorOutcome::NotFree(..) => (Phrase::new("members-taken"), None),
    };
    let phrase = phrase.with("name", name).with("folder", dir.display());
    Err(other.map_or(phrase.clone(), |other| phrase.with("other", other)).into())
}

/// Executes a request through the running relay, or in this process if the relay does not run.
fn carry_out(dir: &Path, request: &OperatorRequest) -> Result<OperatorOutcome, Failure> {
    relay_request::execute(
        dir,
        ANSWER_WITHIN,
        |requests| requests.ask(request),
        |answer| Some(read(answer, dir)),
        |store, state| Ok(alone(store, state, request)?),
        |pid| Phrase::new("members-silent").with("pid", pid).with("folder", dir.display()).into(),
    )
}

fn read(answer: &str, dir: &Path) -> Result<OperatorOutcome, Failure> {
    let file: PathBuf = dir.join("requests.sqlite");
    let unknown = || StoreErrorCause::Damaged(answer.to_owned()).at(&file);
    Ok(read_outcome(answer).ok_or_else(unknown)?)
}

/// Runs a relay's core without a network until the request is executed, and with it the
/// consequences: letters that are returned to their senders.
fn alone(
    mut store: RelayStore,
    state: RelayState,
    request: &OperatorRequest,
) -> Result<OperatorOutcome, StoreError> {
    let now = Now { tick: Tick::from_micros(1), wall: net::wall() };
    let RelayState { private_key, reset_id, members, membership: roll, mail } = state;
    let mut core = Relay::new(Config {
        private_key,
        reset_id,
        members,
        membership: roll,
        mail,
        guests: None,
        limits: Limits::default(),
        seed: net::seed(),
    });
    let mut out = Outputs::default();
    let mut answered = None;
    core.handle(now, Input::Command(Command::Request { id: 0, request: request.clone() }), &mut out);
    while !out.effects.is_empty() {
        for effect in std::mem::take(&mut out.effects) {
            let (ticket, done) = match effect {
                Effect::Persist(ticket, record) => {
                    let mut refused = Vec::new();
                    (ticket, store.commit(&[record], &mut refused).map(|()| (refused.is_empty(), None)))
                }
                Effect::Load(ticket, query) => (ticket, store.load(&query).map(|rows| (true, Some(rows)))),
                Effect::Show(Event::Answered { outcome, .. }) => {
                    answered = Some(outcome);
                    continue;
                }
                _ => continue,
            };
            let input = match done {
                Ok((true, Some(rows))) => Input::Rows(ticket, rows),
                Ok((true, None)) => Input::Committed(ticket),
                Ok((false, _)) => Input::NotCommitted(ticket),
                Err(Fault::Transient(error) | Fault::Broken(error)) => return Err(error),
            };
            core.handle(now, input, &mut out);
        }
        core.flush(now, &mut out);
    }
    Ok(answered.expect("every request is answered, whether its record is durable or not"))
}
