//! The relay's process: `queqiao relay`.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::{Fingerprint, HostPort, Name, Phrase};
use crate::net::{self, BindAddr, LoopHandle, NetConfig, Signal};
use crate::relay::{Command, Event, GuestEncoding, GuestRules, GuestTexts, Limits, PersistedMail};
use crate::store::{RelayAddresses, RelayState, RelayStore, default_data_dir};
use crate::ui::terminal::has_hung_up;
use crate::ui::{Strings, store_error};

use super::backup;
use super::operator_log::{OperatorLog, RelayStart};
use super::operator_requests::OperatorRequests;
use super::relay_addresses::Announcement;
use super::server::{RelayServer, ServeOptions, ServerNews};
use super::{CommandResult, ExitStatus, Failure, files, print, relay_console, say};

/// Connections that the sockets hold in addition to those of the core. Within one turn, these are
/// new ones that will be closed again, or that replace others.
const CONNS_COMING: usize = 512;

/// Reserved name under which the relay itself answers guests.
const ECHO: &str = "echo";

/// Options of `relay`.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// UDP address to bind.
    pub bind: BindAddr,
    /// TCP address to bind: `None` for no TCP, `Some(None)` for the port of UDP.
    pub tcp: Option<Option<BindAddr>>,
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
    let bound = bound_addrs(options, strings)?;
    check_limits_off(options, &bound)?;
    let dir = match &options.data {
        Some(dir) => dir.clone(),
        None => default_data_dir()?.join("relay"),
    };
    let (mut store, mut state) = RelayStore::open(&dir, net::seed)?;
    let at_desk = options.guests.as_ref().filter(|guests| guests.desk);
    if let Some(guests) = at_desk {
        relay_console::register(&guests.to, &dir, &mut store, &mut state)?;
    }
    let on_signal: fn(Signal) -> Option<Command> = match at_desk {
        // The operator's client handles signals, and stops the relay.
        Some(_) => |_| None,
        None => |signal| (signal != Signal::HangUp).then_some(Command::Stop),
    };
    let conns = if bound.tcp.is_empty() { 0 } else { options.limits.conns };
    if let Some(few) = files::raise_limit(files::promised(conns)) {
        say(strings, &few);
    }
    let is_public = public_addr(&bound).is_some();
    let config = NetConfig { udp: bound.udp, tcp: bound.tcp, udp_on_demand: false, ..NetConfig::client() };
    let connections_max = config.connections_max.max(conns + CONNS_COMING);
    let config = NetConfig { on_signal: Some(on_signal), connections_max, ..config };
    let guests = options.guests.as_ref().map(|guests| guest_rules(guests, strings));
    warn_of_unknown_recipient(guests.as_ref(), &state, strings);
    tell_restored(&state.mail, &options.limits, strings);
    let members = state.members.len();
    let mut limits = options.limits.clone();
    // A relay that is reachable from this machine only needs no limit for all addresses together.
    limits.all_names_per_hour.take_if(|_| !is_public);
    let serving = ServeOptions { limits, guests };
    let server = RelayServer::open(config, store, state, serving)?;
    serve(options, &dir, members, server, strings)
}

/// Runs an opened relay, with the operator's requests and console.
fn serve(
    options: &RelayOptions,
    dir: &Path,
    members: usize,
    server: RelayServer,
    strings: &Arc<Strings>,
) -> CommandResult {
    let announcement = announcement(options, &server, dir, strings);
    let reach = announcement.save();
    let operators =
        OperatorRequests::start(dir, server.loop_handle(), server.backups(), announcement.clone());
    // Without them the relay still serves its members.
    let operators = operators.map_err(|error| say(strings, &store_error(&error))).ok();
    let hung_up = Arc::new(AtomicBool::new(false));
    let at_desk = options.guests.as_ref().filter(|guests| guests.desk);
    let mut news_handler = NewsHandler {
        log: OperatorLog::new(strings, dir, log_level(at_desk.is_some())),
        operators,
        announcement: announcement.clone(),
        stop: server.loop_handle(),
        hung_up: Arc::clone(&hung_up),
    };
    let start = start_of(&announcement, members, options);
    let ready = || announce(&announcement, &reach);
    if let Some(guests) = at_desk {
        let console = relay_console::ConsoleTarget {
            name: guests.to.clone(),
            data: relay_console::data_of(dir),
            reach: reachable(server.udp_addr()),
        };
        news_handler.log.start(&start);
        return relay_console::answer(console, strings, server, ready, move |news| news_handler.handle(news));
    }
    ready()?;
    tell_about_echo(options, strings);
    news_handler.log.start(&start);
    match server.run(|news| news_handler.handle(news)) {
        Ok(()) if hung_up.load(Ordering::Relaxed) => Ok(ExitStatus::Interrupted),
        Ok(()) => Ok(ExitStatus::Done),
        Err(error) => Err(Failure::disk(store_error(&error))),
    }
}

fn announcement(
    options: &RelayOptions,
    server: &RelayServer,
    dir: &Path,
    strings: &Arc<Strings>,
) -> Announcement {
    Announcement {
        udp: server.udp_addrs(),
        tcp: server.tcp_addrs(),
        key: Fingerprint::from(&server.public_key()),
        address: options.address.clone(),
        guests: options.guests.as_ref().map(|guests| guests.to.clone()),
        dir: dir.to_owned(),
        strings: Arc::clone(strings),
        writing: Arc::default(),
    }
}

/// Prints the ready line and the lines for address books.
fn announce(announcement: &Announcement, reach: &RelayAddresses) -> Result<(), Failure> {
    print(&announcement.ready_line())?;
    announcement.print_contacts("relay-contacts-line", reach);
    Ok(())
}

/// Reports a running relay's news to its operator.
struct NewsHandler {
    log: OperatorLog,
    operators: Option<OperatorRequests>,
    announcement: Announcement,
    stop: LoopHandle<Command>,
    /// Whether the relay ends because its terminal is gone.
    hung_up: Arc<AtomicBool>,
}

impl NewsHandler {
    fn handle(&mut self, news: ServerNews) {
        self.log.handle(&news);
        match news {
            ServerNews::Event(Event::Answered { id, outcome }) => {
                if let Some(operators) = &self.operators {
                    operators.answer(id, outcome);
                }
            }
            // The user has closed the window in which the relay ran.
            ServerNews::HangUp if has_hung_up() => {
                self.hung_up.store(true, Ordering::Relaxed);
                self.stop.command(Command::Stop);
            }
            ServerNews::HangUp => self.announcement.renew(),
            _ => {}
        }
    }
}

/// Tells the operator of a relay that was restored from a backup since when letters are missing.
fn tell_restored(mail: &PersistedMail, limits: &Limits, strings: &Strings) {
    if let Some(restored) = mail.restored.filter(|_| mail.is_restore_recent(limits)) {
        let since = backup::local(restored.missing_since);
        say(strings, &Phrase::new("relay-restored").with("since", since));
    }
}

/// Says on a terminal how guests are answered that write to no member.
fn tell_about_echo(options: &RelayOptions, strings: &Strings) {
    if options.guests.as_ref().is_some_and(|guests| guests.to.as_str() == ECHO)
        && std::io::stderr().is_terminal()
    {
        say(strings, &Phrase::new("relay-guests-echo"));
    }
}

fn start_of(announcement: &Announcement, members: usize, options: &RelayOptions) -> RelayStart {
    RelayStart {
        udp: announcement.udp[0],
        tcp: announcement.tcp.first().copied(),
        key: announcement.key,
        data: announcement.dir.clone(),
        members,
        guests: announcement.guests.clone(),
        limits: options.limits.clone(),
    }
}

/// Warns if the member that guests write to is not registered.
fn warn_of_unknown_recipient(guests: Option<&GuestRules>, state: &RelayState, strings: &Strings) {
    if let Some(GuestRules { to, .. }) = guests
        && !to.is_reserved()
        && !state.members.iter().any(|member| member.0 == *to)
    {
        say(strings, &Phrase::new("relay-guests-unregistered").with("name", to));
    }
}

/// Returns the lowest level that is logged. At a desk on a terminal only problems are: the terminal
/// belongs to the conversation.
fn log_level(is_at_desk: bool) -> log::Level {
    match is_at_desk && std::io::stderr().is_terminal() {
        true => log::Level::Warn,
        false => log::Level::Trace,
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
            no_web: text("guest-told-no-web"),
        },
    }
}

/// Addresses that a relay binds.
struct BoundAddrs {
    udp: Vec<SocketAddr>,
    /// Port 0 is replaced by the port of UDP, which the system may choose.
    tcp: Vec<SocketAddr>,
}

fn bound_addrs(options: &RelayOptions, strings: &Strings) -> Result<BoundAddrs, Phrase> {
    let resolve = |addr: &BindAddr| {
        let found = addr.resolve()?;
        for addr in found.foreign {
            say(strings, &Phrase::new("bind-skipped").with("addr", addr));
        }
        Ok(found.usable)
    };
    let udp: Vec<SocketAddr> = resolve(&options.bind)?;
    let tcp = match &options.tcp {
        None => Vec::new(),
        Some(None) => udp.iter().map(|addr| SocketAddr::new(addr.ip(), 0)).collect(),
        Some(Some(addr)) => resolve(addr)?,
    };
    Ok(BoundAddrs { udp, tcp })
}

/// Returns a bound address that other machines can reach.
fn public_addr(bound: &BoundAddrs) -> Option<SocketAddr> {
    bound.udp.iter().chain(&bound.tcp).find(|addr| !addr.ip().is_loopback()).copied()
}

fn check_limits_off(options: &RelayOptions, bound: &BoundAddrs) -> Result<(), Failure> {
    match public_addr(bound) {
        Some(addr) if !options.limits.per_sender => {
            Err(Failure::usage(Phrase::new("relay-limits-off-public").with("addr", addr)))
        }
        _ => Ok(()),
    }
}
