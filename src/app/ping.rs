//! `queqiao ping`: measures round trips and losses to a relay over UDP and TCP, with the link's own
//! probes, and reports which carrier a client chooses.

use std::time::Duration;

use crate::base::{Carrier, Phrase, Tick};
use crate::client::{Carriers, Command, ConnectFailure, Event, RelayConfig};
use crate::ui::notice;

use super::client_host::{ClientHost, TurnOutput};
use super::{CommandResult, ExitStatus, Failure, Setup, print, say};

/// Time after which an unanswered probe counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Time between an answer and the next probe.
const PAUSE: Duration = Duration::from_millis(200);
/// Time limit for a client's choice of carrier. 7 s: UDP is validated, or not, within 3 s of a
/// handshake.
const CHOOSE_WITHIN: Duration = Duration::from_secs(7);
/// Time limit for a handshake. 3.5 s: longer than the 3 s after which a client reports that nothing
/// answers, and why.
const CONNECT_WITHIN: Duration = Duration::from_millis(3_500);

/// Duration of a session. A session without sign-in ends after ten seconds; `ping` replaces it
/// before.
const SESSION_FOR: Duration = Duration::from_secs(6);

/// Options of `ping`.
#[derive(Clone, Debug)]
pub struct PingOptions {
    /// Contact or address; `None` for every relay of the book.
    pub target: Option<String>,
    /// Number of probes over each carrier.
    pub count: u32,
}

/// Measures each relay over each carrier.
///
/// # Errors
/// [`Failure`]: status 1 if a relay answered over no carrier, 130 if interrupted.
pub fn ping(setup: &Setup, options: &PingOptions) -> CommandResult {
    let carriers: &[Carriers] = match setup.carriers {
        Carriers::Auto => &[Carriers::Udp, Carriers::Tcp],
        Carriers::Udp => &[Carriers::Udp],
        Carriers::Tcp => &[Carriers::Tcp],
    };
    let mut silent = false;
    for relay in relays(setup, options)? {
        let mut answered = 0;
        let mut failures = Vec::new();
        for carrier in carriers {
            let measured = measure(&relay, *carrier, options.count)?;
            report(&relay, *carrier, options.count, &measured.rtts)?;
            answered += measured.rtts.len();
            failures.extend(measured.failure);
        }
        if let Some(phrase) = explain(&relay, &failures, carriers.len()) {
            say(&setup.strings, &phrase);
        }
        if answered > 0
            && setup.carriers == Carriers::Auto
            && let Some(chosen) = choose(&relay)?
        {
            print(&format!("{} chosen={chosen}", relay.addr))?;
        }
        silent |= answered == 0;
    }
    Ok(if silent { ExitStatus::Failed } else { ExitStatus::Done })
}

/// Returns why carriers failed, in one phrase. An absent relay is silent over UDP and does not
/// listen on TCP.
fn explain(relay: &RelayConfig, failures: &[ConnectFailure], carriers: usize) -> Option<Phrase> {
    let phrase = |reason: &ConnectFailure| notice::connect_failure(&relay.addr, reason);
    match failures {
        [] => None,
        // The other carrier works.
        [ConnectFailure::Silent] if carriers > 1 => {
            Some(Phrase::new("ping-one-carrier").with("relay", &relay.addr))
        }
        [reason] => Some(phrase(reason)),
        [ConnectFailure::Silent, ConnectFailure::NoTcpListener, ..] => Some(phrase(&ConnectFailure::Silent)),
        [ConnectFailure::Silent, reason, ..] | [reason, ..] => Some(phrase(reason)),
    }
}

/// Result over one carrier.
struct Measured {
    rtts: Vec<Duration>,
    /// Why no session was opened.
    failure: Option<ConnectFailure>,
}

fn relays(setup: &Setup, options: &PingOptions) -> Result<Vec<RelayConfig>, Failure> {
    let book = || setup.location().load();
    let Some(target) = &options.target else {
        let relays = setup.relays(&book()?)?;
        if relays.is_empty() {
            return Err(Phrase::new("book-no-relays").with("file", setup.location().file()).into());
        }
        return Ok(relays);
    };
    if let Ok(addr) = target.parse() {
        return Ok(vec![setup.relay_in(&book()?, addr)?]);
    }
    Ok(vec![setup.relay_meant(&book()?, target)?])
}

fn measure(relay: &RelayConfig, carriers: Carriers, count: u32) -> Result<Measured, Failure> {
    let mut measured = Vec::new();
    let (mut host, mut probing) = connect(relay, carriers)?;
    let mut renewed_at = host.now().tick + SESSION_FOR;
    for _ in 0..if probing.online { count } else { 0 } {
        if host.now().tick >= renewed_at {
            host.leave();
            (host, probing) = connect(relay, carriers)?;
            renewed_at = host.now().tick + SESSION_FOR;
        }
        let start = host.now().tick;
        host.command(Command::Ping { relay: relay.addr.clone() });
        while probing.pong.is_none() && probing.turn(&mut host, start + LOST_AFTER)? < start + LOST_AFTER {}
        if let Some(rtt) = probing.pong.take() {
            measured.push(rtt);
            print(&format!("{} {} time={:.3} ms", name(carriers), relay.addr, rtt.as_secs_f64() * 1e3))?;
        }
        let next = host.now().tick + PAUSE;
        while probing.turn(&mut host, next)? < next {}
        probing.pong = None;
    }
    host.leave();
    let unanswered = (!probing.online).then_some(ConnectFailure::Silent);
    Ok(Measured { rtts: measured, failure: probing.unreached.or(unanswered) })
}

/// Opens a session with the relay. Waits up to [`CONNECT_WITHIN`]; `PingCommand::online` is set on
/// success.
fn connect(relay: &RelayConfig, carriers: Carriers) -> Result<(ClientHost, PingCommand), Failure> {
    let mut host = ClientHost::open_ephemeral(None, carriers)?;
    host.command(Command::Relays(vec![relay.clone()]));
    let mut probing = PingCommand::default();
    let end = host.now().tick + CONNECT_WITHIN;
    while !probing.online && probing.unreached.is_none() && probing.turn(&mut host, end)? < end {}
    Ok((host, probing))
}

/// Returns the carrier that a client chooses if it may use both.
fn choose(relay: &RelayConfig) -> Result<Option<Carrier>, Failure> {
    let mut host = ClientHost::open_ephemeral(None, Carriers::Auto)?;
    host.command(Command::Relays(vec![relay.clone()]));
    let mut probing = PingCommand::default();
    let end = host.now().tick + CHOOSE_WITHIN;
    while host.selected_carrier(&relay.addr).is_none() && probing.turn(&mut host, end)? < end {}
    let chosen = host.selected_carrier(&relay.addr);
    host.leave();
    Ok(chosen)
}

fn report(relay: &RelayConfig, carriers: Carriers, count: u32, measured: &[Duration]) -> Result<(), Failure> {
    let ms = |span: &Duration| span.as_secs_f64() * 1e3;
    let sent = f64::from(count);
    let answered = measured.len();
    let loss = (sent - answered as f64) / sent.max(1.0) * 100.0;
    let mut line =
        format!("{} {} sent={count} answered={answered} loss={loss:.0}%", name(carriers), relay.addr);
    if let (Some(min), Some(max)) = (measured.iter().min(), measured.iter().max()) {
        let mean = measured.iter().sum::<Duration>() / u32::try_from(answered).unwrap_or(u32::MAX);
        line += &format!(" min={:.3} mean={:.3} max={:.3} ms", ms(min), ms(&mean), ms(max));
    }
    print(&line).map(drop)
}

fn name(carriers: Carriers) -> Carrier {
    if carriers == Carriers::Tcp { Carrier::Tcp } else { Carrier::Udp }
}

#[derive(Default)]
struct PingCommand {
    output: TurnOutput,
    online: bool,
    unreached: Option<ConnectFailure>,
    pong: Option<Duration>,
}

impl PingCommand {
    fn turn(&mut self, host: &mut ClientHost, until: Tick) -> Result<Tick, Failure> {
        let now = host.turn(Some(until), &mut self.output);
        for event in self.output.events.drain(..) {
            match &event {
                Event::Online { .. } => self.online = true,
                Event::Pong { rtt, .. } => self.pong = Some(*rtt),
                Event::Unreached { reason, .. } => self.unreached = Some(*reason),
                _ => {}
            }
        }
        if let Some(end) = self.output.inputs.drain(..).find_map(|input| input.end()) {
            return Err(end);
        }
        Ok(now.tick)
    }
}
