//! `queqiao ping`: measures round trips and losses to a relay over UDP and TCP, with the link's own
//! probes, and reports which carrier a client chooses.

use std::time::Duration;

use crate::base::{Carrier, Phrase, Tick};
use crate::client::{Carriers, Command, Event, RelaySpec, Unreached};
use crate::ui::notice;

use super::desk::{Ask, Desk, News};
use super::{Failure, Outcome, Setup, Status, print, say};

/// Time after which an unanswered probe counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Time between an answer and the next probe.
const PAUSE: Duration = Duration::from_millis(200);
/// Time limit for a client's choice of carrier. 7 s: UDP is validated, or not, within 3 s of a
/// handshake.
const CHOOSE_WITHIN: Duration = Duration::from_secs(7);
/// Time limit for a handshake.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

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
pub fn ping(setup: &Setup, options: &PingOptions) -> Outcome {
    let carriers: &[Carriers] = match setup.carriers {
        Carriers::Auto => &[Carriers::Udp, Carriers::Tcp],
        Carriers::Udp => &[Carriers::Udp],
        Carriers::Tcp => &[Carriers::Tcp],
    };
    let mut silent = false;
    for relay in relays(setup, options)? {
        let mut answered = 0;
        for carrier in carriers {
            let measured = measure(setup, &relay, *carrier, options.count)?;
            report(&relay, *carrier, options.count, &measured)?;
            answered += measured.len();
        }
        if answered > 0
            && setup.carriers == Carriers::Auto
            && let Some(chosen) = choose(setup, &relay)?
        {
            print(&format!("{} chosen={chosen}", relay.addr))?;
        }
        silent |= answered == 0;
    }
    Ok(if silent { Status::Failed } else { Status::Done })
}

fn relays(setup: &Setup, options: &PingOptions) -> Result<Vec<RelaySpec>, Failure> {
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

fn measure(
    setup: &Setup,
    relay: &RelaySpec,
    carriers: Carriers,
    count: u32,
) -> Result<Vec<Duration>, Failure> {
    let mut measured = Vec::new();
    let (mut desk, mut probing) = connect(setup, relay, carriers)?;
    let mut renewed_at = desk.now().tick + SESSION_FOR;
    for _ in 0..if probing.online { count } else { 0 } {
        if desk.now().tick >= renewed_at {
            desk.leave();
            (desk, probing) = connect(setup, relay, carriers)?;
            renewed_at = desk.now().tick + SESSION_FOR;
        }
        let start = desk.now().tick;
        desk.command(Command::Ping { relay: relay.addr.clone() });
        while probing.pong.is_none() && probing.turn(&mut desk, start + LOST_AFTER)? < start + LOST_AFTER {}
        if let Some(rtt) = probing.pong.take() {
            measured.push(rtt);
            print(&format!("{} {} time={:.3} ms", name(carriers), relay.addr, rtt.as_secs_f64() * 1e3))?;
        }
        let next = desk.now().tick + PAUSE;
        while probing.turn(&mut desk, next)? < next {}
        probing.pong = None;
    }
    desk.leave();
    Ok(measured)
}

/// Opens a session with the relay. Waits up to [`CONNECT_WITHIN`]; `Probing::online` is set on
/// success.
fn connect<'a>(
    setup: &'a Setup,
    relay: &RelaySpec,
    carriers: Carriers,
) -> Result<(Desk, Probing<'a>), Failure> {
    let mut desk = Desk::open_ephemeral(None, carriers)?;
    desk.command(Command::Relays(vec![relay.clone()]));
    let mut probing = Probing { setup, news: News::default(), online: false, unreached: None, pong: None };
    let end = desk.now().tick + CONNECT_WITHIN;
    while !probing.online && probing.unreached.is_none() && probing.turn(&mut desk, end)? < end {}
    Ok((desk, probing))
}

/// Returns the carrier that a client chooses if it may use both.
fn choose(setup: &Setup, relay: &RelaySpec) -> Result<Option<Carrier>, Failure> {
    let mut desk = Desk::open_ephemeral(None, Carriers::Auto)?;
    desk.command(Command::Relays(vec![relay.clone()]));
    let mut probing = Probing { setup, news: News::default(), online: false, unreached: None, pong: None };
    let end = desk.now().tick + CHOOSE_WITHIN;
    while desk.settled_on(&relay.addr).is_none() && probing.turn(&mut desk, end)? < end {}
    let chosen = desk.settled_on(&relay.addr);
    desk.leave();
    Ok(chosen)
}

fn report(relay: &RelaySpec, carriers: Carriers, count: u32, measured: &[Duration]) -> Result<(), Failure> {
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

struct Probing<'a> {
    setup: &'a Setup,
    news: News,
    online: bool,
    unreached: Option<Unreached>,
    pong: Option<Duration>,
}

impl Probing<'_> {
    fn turn(&mut self, desk: &mut Desk, until: Tick) -> Result<Tick, Failure> {
        let now = desk.turn(Some(until), &mut self.news);
        for event in self.news.events.drain(..) {
            match &event {
                Event::Online { .. } => self.online = true,
                Event::Pong { rtt, .. } => self.pong = Some(*rtt),
                Event::Unreached { why, .. } => self.unreached = Some(*why),
                _ => {}
            }
            let phrase = notice::of_event(&event, "").filter(|_| matches!(event, Event::Unreached { .. }));
            if let Some(phrase) = phrase {
                say(&self.setup.strings, &phrase);
            }
        }
        if self.news.asks.drain(..).any(|ask| matches!(ask, Ask::End)) {
            return Err(Failure::silent(Status::Interrupted));
        }
        Ok(now.tick)
    }
}
