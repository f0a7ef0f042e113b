//! The relay's process: `queqiao relay`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Fingerprint, HostPort, Name, Phrase};
use crate::net::{self, NetConfig, Signal};
use crate::relay::{Command, Event, GuestEncoding, GuestRules, GuestTexts, Limits};
use crate::store::{RELAY_DATABASE, RelayAddresses, RelayStore, default_data_dir};
use crate::ui::Strings;
use crate::ui::terminal::write_err;

use super::operator_requests::OperatorRequests;
use super::server::{RelayServer, ServeOptions, ServerNews};
use super::{CommandResult, ExitStatus, Failure, files, print, relay_addresses, relay_console, say};

/// Connections that the sockets hold in addition to those of the core. Within one turn, these are
/// new ones that will be closed again, or that replace others.
const CONNS_COMING: usize = 512;

/// Options of `relay`.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// UDP address to bind.
    pub bind: SocketAddr,
    /// TCP address to bind: `None` for no TCP, `Some(None)` for the port of UDP.
    pub tcp: Option<Option<SocketAddr>>,
    /// Address at which members reach it, if not the bound one.
    pub address: Option<HostPort>,
    /// Data folder.
    pub data: Option<PathBuf>,
    /// Resource limits.
    pub limits: Limits,
    /// Settings for guests with plain text, if they are allowed.
    pub guests: Option<GuestOptions>,
}

/// Settings for guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestOptions {
    /// Member that they write to.
    pub to: Name,
    /// Whether they may write to other members.
    pub anyone: bool,
    /// Text encoding of their input.
    pub encoding: GuestEncoding,
    /// First text on a TCP connection; empty for none.
    pub greeting: String,
    /// Maximum guests connected at once.
    pub limit: usize,
    /// Whether the member that they write to is in this process.
    pub desk: bool,
}

/// Runs a relay until it receives a signal to stop.
///
/// # Errors
/// [`Failure`]: status 1 if it cannot start, 74 if its disk fails.
pub fn relay(options: &RelayOptions, strings: &Arc<Strings>) -> CommandResult {
    // Port 0 is replaced by the port of UDP, which the system may choose.
    let tcp = options.tcp.map(|addr| addr.unwrap_or_else(|| SocketAddr::new(options.bind.ip(), 0)));
    check_limits_off(options, tcp)?;
    let dir = match &options.data {
        Some(dir) => dir.clone(),
        None => default_data_dir()?.join("relay"),
    };
    let (mut store, mut state) = RelayStore::open(&dir, net::seed)?;
    let at_desk = options.guests.as_ref().filter(|guests| guests.desk);
    if let Some(guests) = at_desk {
        relay_console::register(&guests.to, &dir, &mut store, &mut state)?;
    }
    let on_signal: Option<fn(Signal) -> Command> = match at_desk {
        // The operator's client handles signals, and stops the relay.
        Some(_) => None,
        None => Some(|_| Command::Stop),
    };
    let conns = tcp.map_or(0, |_| options.limits.conns);
    if let Some(few) = files::raise_limit(files::promised(conns)) {
        say(strings, &few);
    }
    let bound = NetConfig::relay(options.bind, tcp);
    let connections_max = bound.connections_max.max(conns + CONNS_COMING);
    let config = NetConfig { on_signal, connections_max, ..bound };
    let guests = options.guests.as_ref().map(|guests| guest_rules(guests, strings));
    if let Some(guests) = &guests
        && !guests.to.is_reserved()
        && !state.members.iter().any(|member| member.0 == guests.to)
    {
        say(strings, &Phrase::new("relay-guests-nobody").with("name", &guests.to));
    }
    let mut limits = options.limits.clone();
    // A relay that is reachable from this machine only needs no limit for all addresses together.
    limits.all_names_per_hour.take_if(|_| public_addr(options, tcp).is_none());
    let serving = ServeOptions { limits, guests };
    let server = RelayServer::open(config, store, state, serving)?;
    // Without them the relay still serves its members.
    let operators =
        OperatorRequests::start(&dir, server.loop_handle()).map_err(|why| say(strings, &why)).ok();
    if let Some(guests) = at_desk {
        let console = relay_console::ConsoleTarget {
            name: guests.to.clone(),
            data: relay_console::data_of(&dir),
            reach: reachable(server.udp_addr()),
        };
        let words = Arc::clone(strings);
        let folder = dir.clone();
        let ready = |server: &RelayServer| announce(server, options, &folder, strings);
        let tell = move |news| tell(news, operators.as_ref(), &dir, &words);
        return relay_console::answer(console, strings, server, ready, tell);
    }
    announce(&server, options, &dir, strings)?;
    match server.run(|news| tell(news, operators.as_ref(), &dir, strings)) {
        Ok(()) => Ok(ExitStatus::Done),
        Err(phrase) => Err(Failure { status: ExitStatus::Disk, phrase: Some(phrase) }),
    }
}

fn tell(news: ServerNews, operators: Option<&OperatorRequests>, dir: &Path, strings: &Strings) {
    match news {
        ServerNews::Event(Event::Answered { id, outcome }) => {
            if let Some(operators) = operators {
                operators.answer(id, outcome);
            }
        }
        ServerNews::Event(Event::Damaged { seq: place, to, from }) => {
            let phrase = match from {
                Some(from) => Phrase::new("store-letter-damaged").with("from", from),
                None => Phrase::new("store-letter-damaged-nameless"),
            };
            let file = dir.join(RELAY_DATABASE);
            say(strings, &phrase.with("file", file.display()).with("to", to).with("row", place));
        }
        ServerNews::Event(event) => log::debug!("{event:?}"),
        ServerNews::Trouble(phrase) => say(strings, &phrase),
    }
}

/// Returns the address for clients on this machine.
fn reachable(udp: SocketAddr) -> SocketAddr {
    match udp.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), udp.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), udp.port()),
        _ => udp,
    }
}

fn guest_rules(options: &GuestOptions, strings: &Strings) -> GuestRules {
    let text = |key| strings.say(&Phrase::new(key).with("name", &options.to));
    GuestRules {
        to: options.to.clone(),
        anyone: options.anyone,
        encoding: options.encoding,
        greeting: options.greeting.clone(),
        limit: options.limit,
        texts: GuestTexts {
            away: text("guest-told-away"),
            nobody: text("guest-told-nobody"),
            full: text("guest-told-full"),
        },
    }
}

/// Returns a bound address that other machines can reach.
fn public_addr(options: &RelayOptions, tcp: Option<SocketAddr>) -> Option<SocketAddr> {
    [Some(options.bind), tcp].into_iter().flatten().find(|addr| !addr.ip().is_loopback())
}

fn check_limits_off(options: &RelayOptions, tcp: Option<SocketAddr>) -> Result<(), Failure> {
    match public_addr(options, tcp) {
        Some(addr) if !options.limits.per_sender => {
            Err(Failure::usage(Phrase::new("relay-limits-off-public").with("addr", addr)))
        }
        _ => Ok(()),
    }
}

/// Prints the ready line for scripts, and for each address of the machine a line for members'
/// address books. Saves the addresses for `members invite`.
fn announce(
    server: &RelayServer,
    options: &RelayOptions,
    dir: &Path,
    strings: &Strings,
) -> Result<(), Failure> {
    let udp = server.udp_addr();
    let tcp = server.tcp_addr();
    let at = match &options.address {
        Some(address) => vec![relay_addresses::named(address, tcp.map(|tcp| tcp.port()), udp.port())],
        None => relay_addresses::relay_addresses(udp, tcp, &net::own_addresses()),
    };
    let reach = RelayAddresses { key: Fingerprint::from(&server.public_key()), at };
    if let Err(why) = reach.save(dir) {
        say(strings, &why);
    }
    let tcp = tcp.map_or("-".to_owned(), |addr| addr.to_string());
    let guests = options.guests.as_ref().map_or(String::new(), |guests| format!(" guests={}", guests.to));
    print(&format!("ready udp={udp} tcp={tcp} key={}{guests}", reach.key))?;
    say(strings, &Phrase::new("relay-contacts-line").with("count", reach.at.len()));
    let who = strings.say(&Phrase::new("relay-contacts-name"));
    for place in &reach.at {
        // A closed stderr is not an error.
        let _ = write_err(&format!("{}\n", relay_addresses::contacts_line(&who, place, &reach)));
    }
    Ok(())
}
