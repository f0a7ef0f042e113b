//! The relay's process: `queqiao relay`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use crate::base::{Effect, HostPort, Outputs, Phrase, Ticket, turn};
use crate::net::{self, Inlet, Net, NetConfig, Signal};
use crate::relay::{Command, Config, Event, Limits, Record, Relay};
use crate::store::{Done, RelayStore, Worker, default_data_dir};
use crate::ui::Strings;

use super::{Failure, Outcome, Status, print, say};

/// What a relay is told on its command line.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Where UDP is bound.
    pub bind: SocketAddr,
    /// Where TCP listens: `None` nowhere, `Some(None)` at the port of UDP.
    pub tcp: Option<Option<SocketAddr>>,
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Lift the limits on senders, for benchmarks on loopback.
    pub limits_off: bool,
}

/// Runs a relay until it is told to end.
///
/// # Errors
/// [`Failure`]: status 1 if it cannot start, 74 if its disk fails.
pub fn relay(options: &RelayOptions, strings: &Strings) -> Outcome {
    // Port 0 is the port of UDP, whichever that is.
    let tcp = options.tcp.map(|addr| addr.unwrap_or_else(|| SocketAddr::new(options.bind.ip(), 0)));
    check_limits_off(options, tcp)?;
    let dir = match &options.data {
        Some(dir) => dir.clone(),
        None => default_data_dir()?.join("relay"),
    };
    let (store, state) = RelayStore::open(&dir, net::seed)?;
    let on_signal = |_: Signal| Command::Stop;
    let config = NetConfig { on_signal: Some(on_signal), ..NetConfig::relay(options.bind, tcp) };
    let net = Net::new(config)?;
    let limits = Limits { per_sender: !options.limits_off, ..Limits::default() };
    let core = Relay::new(Config {
        private_key: state.private_key,
        access_secret: [0; 32],
        members: state.members,
        limits,
        seed: net::seed(),
    });
    announce(&net, &core, strings)?;
    serve(net, core, store, strings)
}

fn check_limits_off(options: &RelayOptions, tcp: Option<SocketAddr>) -> Result<(), Failure> {
    let open = [Some(options.bind), tcp].into_iter().flatten().find(|addr| !addr.ip().is_loopback());
    match open {
        Some(addr) if options.limits_off => {
            Err(Failure::usage(Phrase::new("relay-limits-off-public").with("addr", addr)))
        }
        _ => Ok(()),
    }
}

/// The ready line for scripts, and a line for people to paste into their address books.
fn announce(net: &Net<Command>, core: &Relay, strings: &Strings) -> Result<(), Failure> {
    let udp = net.udp_addr().expect("a relay binds UDP before anything else");
    let tcp = net.tcp_addr().map_or("-".to_owned(), |addr| addr.to_string());
    let reachable = match udp.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), udp.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), udp.port()),
        _ => udp,
    };
    print(&format!("ready udp={udp} tcp={tcp} key={}", core.public_key().fingerprint()))?;
    say(strings, &Phrase::new("relay-contacts-line"));
    say(strings, &Phrase::new("relay-contacts-example").with("relay", HostPort::from(reachable)));
    Ok(())
}

fn serve(mut net: Net<Command>, mut core: Relay, store: RelayStore, strings: &Strings) -> Outcome {
    let (worker, broken) = start_store(store, net.inlet())?;
    let mut out = Outputs::default();
    let mut refused: Vec<Ticket> = Vec::new();
    let (mut deadline, mut stopped) = (None, false);
    while !stopped {
        let now = net.wait(deadline);
        deadline = turn(&mut core, now, &mut net, &mut out);
        net.carry_out(&mut out, |effect| match effect {
            Effect::Persist(ticket, record) => {
                refused.extend(worker.persist(ticket, record).err().map(|_| ticket))
            }
            Effect::Show(Event::Stopped) => stopped = true,
            Effect::Show(event) => log::debug!("{event:?}"),
            _ => {}
        });
        refused.drain(..).for_each(|ticket| net.inlet().not_committed(ticket));
        while let Ok(trouble) = broken.try_recv() {
            match trouble {
                Trouble::Passing(phrase) => say(strings, &phrase),
                Trouble::Broken(phrase) => {
                    return Err(Failure { status: Status::Disk, phrase: Some(phrase) });
                }
            }
        }
    }
    log::debug!("{:?} {:?}", core.stats(), net.stats());
    worker.finish();
    Ok(Status::Done)
}

enum Trouble {
    Passing(Phrase),
    Broken(Phrase),
}

type StoreThread = (Worker<Record>, Receiver<Trouble>);

/// The store thread answers through the inlet. A broken disk stops the loop, which then looks here for the reason.
fn start_store(store: RelayStore, inlet: Inlet<Command>) -> Result<StoreThread, Failure> {
    let (told, trouble) = channel();
    let worker = Worker::spawn(store, move |done| match done {
        Done::Committed(ticket) => inlet.committed(ticket),
        Done::Failed(ticket) => inlet.not_committed(ticket),
        Done::Trouble(phrase) => {
            let _ = told.send(Trouble::Passing(phrase));
        }
        Done::Broken(phrase) => {
            let _ = told.send(Trouble::Broken(phrase));
            inlet.command(Command::Stop);
        }
    })?;
    Ok((worker, trouble))
}
