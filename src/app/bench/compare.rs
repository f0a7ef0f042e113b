//! CPU cost of a letter in a relay, as a multiple of the cost of a message in the bare loop, in one
//! run.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::app::{CommandResult, ExitStatus, Failure, print};
use crate::base::{HostPort, Phrase};

use super::baseline::{self, Carried, Shape};
use super::child::Child;
use super::cpu_placement::{CpuPlacement, pin};
use super::meter::Meter;
use super::report::{Report, rounded};
use super::{BenchOptions, BenchServer, run, unsound};

/// Pairs and window of each row: one where batching is impossible, one where batches are small, and
/// one where they are full.
const SHAPES: [(usize, usize); 3] = [(400, 1), (50, 8), (50, 64)];

/// One JSON object; its keys are these field names.
#[derive(Debug, Serialize)]
struct Comparison {
    /// CPU of the servers; `null` if the machine has only one.
    server_cpu: Option<usize>,
    load_cpu: Option<usize>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    pairs: usize,
    window: usize,
    bare: Baseline,
    relay: Report,
    /// CPU time of the relay per letter, divided by that of the loop per message.
    ratio: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Baseline {
    messages: u64,
    messages_per_second: f64,
    cpu_us_per_message: Option<f64>,
    busy: f64,
    /// Windows that were lost entirely and filled again.
    stalls: u64,
}

/// Measures both servers in each shape. Prints one line for each shape, or one JSON object for all.
///
/// # Errors
/// Those of [`run::measure`] and of starting processes. Status 1 if letters were lost, refused,
/// duplicated, changed, or out of order.
pub(super) fn compare(options: &BenchOptions, one_shape: bool) -> CommandResult {
    let own = [(options.pairs, options.window)];
    let shapes = if one_shape { own.as_slice() } else { &SHAPES };
    let placement = CpuPlacement::find();
    if !options.json {
        head(options, placement).iter().try_for_each(|line| print(line).map(drop))?;
    }
    let mut rows = Vec::new();
    for (pairs, window) in shapes {
        let options = BenchOptions { pairs: *pairs, window: *window, ..options.clone() };
        let row = Row::measure(&options, placement)?;
        if !options.json {
            print(&row.line())?;
        }
        rows.push(row);
    }
    let sound = rows.iter().all(|row| row.relay.is_sound());
    let server_cpu = placement.map(|placement| placement.server);
    let load_cpu = placement.map(|placement| placement.load);
    if options.json {
        let object = serde_json::to_string(&Comparison { server_cpu, load_cpu, rows });
        print(&object.expect("strings and numbers always serialize"))?;
    }
    if sound { Ok(ExitStatus::Done) } else { Err(unsound()) }
}

/// Starts a server on its CPU, and leaves this thread on the CPU of the load.
fn start(server: BenchServer, placement: Option<CpuPlacement>) -> Result<Child, Phrase> {
    if let Some(placement) = placement {
        pin(placement.server);
    }
    let child = Child::start(server);
    if let Some(placement) = placement {
        pin(placement.load);
    }
    child
}

impl Row {
    fn measure(options: &BenchOptions, placement: Option<CpuPlacement>) -> Result<Row, Failure> {
        let bare = Baseline::measure(options, &start(BenchServer::Baseline, placement)?)?;
        let child = start(BenchServer::Relay, placement)?;
        let options = BenchOptions { relay_pid: Some(child.pid()), ..options.clone() };
        let relay = run::measure(&options, &HostPort::from(child.addr))?;
        let ratio = relay.cpu_us_per_letter.zip(bare.cpu_us_per_message);
        let ratio = ratio.map(|(relay, bare)| rounded(relay / bare, 2));
        Ok(Row { pairs: options.pairs, window: options.window, bare, relay, ratio })
    }

    fn line(&self) -> String {
        let Row { pairs, window, bare, relay, ratio } = self;
        let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.2}"));
        format!(
            "{pairs:>5} {window:>6} {:>9} {:>9} {:>6} {:>10.0} {:>8} {:>8} {:>7} {:>7} {:>9.2} {:>10} {:>10}",
            number(bare.cpu_us_per_message),
            number(relay.cpu_us_per_letter),
            number(*ratio),
            relay.letters_per_second,
            relay.p50_us,
            relay.p99_us,
            number(relay.packets_in_per_letter),
            number(relay.packets_out_per_letter),
            bare.busy,
            number(relay.relay_busy),
            number(relay.bench_busy),
        )
    }
}

/// Returns the two lines above the rows.
fn head(options: &BenchOptions, placement: Option<CpuPlacement>) -> [String; 2] {
    let cpus = match placement {
        Some(CpuPlacement { server, load }) => format!("servers on cpu {server}, load on cpu {load}"),
        None => "one cpu for all".to_owned(),
    };
    let via = if options.tcp { "tcp" } else { "udp" };
    let answers = if options.answer { ", answered" } else { "" };
    let secs = options.time.as_secs_f64();
    let columns = format!(
        "{:>5} {:>6} {:>9} {:>9} {:>6} {:>10} {:>8} {:>8} {:>7} {:>7} {:>9} {:>10} {:>10}",
        "pairs",
        "window",
        "bare_us",
        "relay_us",
        "ratio",
        "letters/s",
        "p50_us",
        "p99_us",
        "in",
        "out",
        "bare_busy",
        "relay_busy",
        "bench_busy"
    );
    [format!("via {via}{answers}, {} bytes, {secs} s each, {cpus}", options.size), columns]
}

/// Failure that ended a measurement of the loop.
struct BaselineError(Failure);

impl From<io::Error> for BaselineError {
    fn from(error: io::Error) -> BaselineError {
        BaselineError(Phrase::new("bench-no-server").with("cause", error).into())
    }
}

impl Baseline {
    fn measure(options: &BenchOptions, child: &Child) -> Result<Baseline, Failure> {
        let meter = Meter::open(child.pid())?;
        let shape = Shape { pairs: options.pairs, window: options.window, size: options.size };
        let mut used = Vec::new();
        let mark = || {
            used.push(meter.read().map_err(|error| BaselineError(error.into()))?.cpu);
            Ok(())
        };
        let carried = baseline::measure(child.addr, shape, (run::WARM_UP, options.time), mark);
        let carried = carried.map_err(|BaselineError(failure)| failure)?;
        let cpu = used[1].saturating_sub(used[0]);
        Ok(Baseline::new(carried, cpu, options.time))
    }

    fn new(carried: Carried, cpu: Duration, time: Duration) -> Baseline {
        let messages = carried.messages as f64;
        let per_message = rounded(cpu.as_secs_f64() * 1e6 / messages, 2);
        Baseline {
            messages: carried.messages,
            messages_per_second: rounded(messages / time.as_secs_f64(), 2),
            cpu_us_per_message: (carried.messages > 0).then_some(per_message),
            busy: rounded(cpu.as_secs_f64() / time.as_secs_f64(), 2),
            stalls: carried.stalls,
        }
    }
}
