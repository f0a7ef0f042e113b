//! CPU cost of the relay, counted by callgrind: `cargo bench --bench instructions`. Counts
//! instructions per relayed letter and per keep-alive of an idle member, and cache misses per
//! letter among many members.
//!
//! The real core runs between two real clients in memory, once with more letters than the other
//! time. The difference is the cost of the letters, without start and sign-in. Only the relay's
//! turn is counted: opening, routing, sealing, acks, timers, but no sockets and no kernel. Cache
//! misses are 64-byte lines missing in a second-level cache of 256 KiB, which is smaller than the
//! sessions of these members.
//!
//! `benches/instructions.txt` has the golden figures and their compiler. With that compiler a
//! difference of more than 5 % exits with status 1; with any other it is only printed.
//! `QUEQIAO_BLESS=1` writes the figures again. Without valgrind the bench prints that nothing was
//! counted.
#![allow(clippy::disallowed_types, reason = "a bench is a process, not a core")]

mod idle_sim;
mod pair_sim;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use idle_sim::IdleSim;
use pair_sim::PairSim;

/// A figure; each has a line in the golden file.
#[derive(Clone, Copy)]
enum Figure {
    /// Instructions per letter of one pair with `window` letters in flight.
    Letter { window: u64 },
    /// Instructions per keep-alive of idle members.
    KeepAlive,
    /// Cache misses per letter, where many pairs have one letter in flight.
    Lines,
    /// Instructions per letter to an unknown name, a mistype of one of `members`.
    Unknown { members: usize },
}

const FIGURES: [Figure; 7] = [
    Figure::Letter { window: 1 },
    Figure::Letter { window: 8 },
    Figure::Letter { window: 64 },
    Figure::KeepAlive,
    Figure::Lines,
    Figure::Unknown { members: FEW },
    Figure::Unknown { members: MANY },
];
/// Members among which an unknown name is looked up, in the small case.
const FEW: usize = 100;
/// The same in the large case.
const MANY: usize = 100_000;
/// Maximum cost of the large case, in multiples of the small one.
const UNKNOWN_RATIO_MAX: u64 = 2;
/// Idle members.
const MEMBERS: usize = 64;
/// Pairs for [`Figure::Lines`].
const PAIRS: usize = 100;
/// Bytes of a letter's text.
const TEXT_LEN: usize = 100;
/// Letters or keep-alives of the shorter run, over all pairs. Every buffer has its final size by
/// then.
const WARM_UP: u64 = 512;
/// Additional letters or keep-alives of the longer run.
const MORE: u64 = 1_024;
/// Tolerance: one part in this many.
const BAND: u64 = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(place) = args.iter().position(|arg| arg == "--inside") {
        let number = |at: usize| args.get(place + at).and_then(|arg| arg.parse().ok()).expect("a number");
        FIGURES[number(1) as usize].run(number(2));
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("valgrind is not installed: nothing was counted");
        return ExitCode::SUCCESS;
    }
    let counted = |number: usize| (FIGURES[number], count(number));
    let figures: Vec<(Figure, u64)> = (0..FIGURES.len()).map(counted).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    if std::env::var_os("QUEQIAO_BLESS").is_some() {
        fs::write(&golden, written(&figures)).expect("the golden figures can be written");
        println!("wrote {}", golden.display());
    }
    judge(&figures, &fs::read_to_string(&golden).expect("the golden figures are there"))
}

impl Figure {
    fn name(self) -> String {
        match self {
            Figure::Letter { window } => format!("window {window}"),
            Figure::KeepAlive => "keep-alive".to_owned(),
            Figure::Lines => format!("lines, {PAIRS} pairs"),
            Figure::Unknown { members } => format!("unknown name, {members} members"),
        }
    }

    /// Runs the work of this figure `times` times.
    fn run(self, times: u64) {
        match self {
            Figure::Letter { window } => PairSim::open(1, TEXT_LEN).exchange(times, window),
            Figure::KeepAlive => keep_alive(times),
            Figure::Lines => PairSim::open(PAIRS, TEXT_LEN).exchange(times.div_ceil(PAIRS as u64), 1),
            Figure::Unknown { members } => {
                PairSim::open_among(1, TEXT_LEN, members).send_to_mistyped(times, members)
            }
        }
    }

    /// Returns how often the work really runs for `times`.
    fn times(self, times: u64) -> u64 {
        match self {
            Figure::Lines => times.div_ceil(PAIRS as u64) * PAIRS as u64,
            Figure::Letter { .. } | Figure::KeepAlive | Figure::Unknown { .. } => times,
        }
    }

    /// Returns the callgrind events that are summed.
    fn events(self) -> &'static [&'static str] {
        match self {
            Figure::Letter { .. } | Figure::KeepAlive | Figure::Unknown { .. } => &["Ir"],
            Figure::Lines => &["DLmr", "DLmw"],
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Figure::Letter { .. } | Figure::KeepAlive | Figure::Unknown { .. } => &[],
            Figure::Lines => &["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=262144,8,64"],
        }
    }
}

/// Runs `times` keep-alives of idle members.
fn keep_alive(times: u64) {
    let mut sim = IdleSim::open(|work| work());
    sim.add_members(MEMBERS, Duration::from_millis(300));
    sim.run(Duration::from_secs(2));
    assert_eq!(sim.online(), MEMBERS, "all sign in");
    sim.run_until_sent(times);
}

/// Returns the figure with this number, per letter or keep-alive.
fn count(number: usize) -> u64 {
    let figure = FIGURES[number];
    let few = WARM_UP;
    let many = WARM_UP + MORE;
    (counted(number, many) - counted(number, few)) / (figure.times(many) - figure.times(few))
}

fn counted(number: usize, times: u64) -> u64 {
    let figure = FIGURES[number];
    let file = out_file(number, times);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*relay_turn*"])
        .args(figure.options())
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().expect("the path of this program is known"))
        .args(["--inside", &number.to_string(), &times.to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("valgrind was found before");
    assert!(status.success(), "callgrind ended with {status}");
    let text = fs::read_to_string(&file).expect("callgrind has written its file");
    fs::remove_file(&file).expect("this process created the file");
    let line =
        |head| text.lines().rev().find_map(|line| line.strip_prefix(head)).expect("callgrind's format");
    let totals = line("events: ").split_whitespace().zip(line("totals: ").split_whitespace());
    let ours = totals.filter(|(event, _)| figure.events().contains(event));
    let total = ours.map(|(_, total)| total.parse::<u64>().expect("a number")).sum();
    assert!(total > times, "callgrind found no `relay_turn` to count");
    total
}

fn out_file(number: usize, times: u64) -> PathBuf {
    std::env::temp_dir().join(format!("queqiao-{}-{number}-{times}.callgrind", std::process::id()))
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc has built this");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn written(figures: &[(Figure, u64)]) -> String {
    let lines: String =
        figures.iter().map(|(figure, count)| format!("{}: {count}\n", figure.name())).collect();
    format!(
        "# Instructions of the relay for a letter of {TEXT_LEN} bytes; see instructions.rs.\n{}\n{lines}",
        compiler()
    )
}

fn judge(figures: &[(Figure, u64)], golden: &str) -> ExitCode {
    let same_compiler = golden.lines().any(|line| line == compiler());
    let mut far = false;
    for (figure, count) in figures {
        let head = format!("{}: ", figure.name());
        let held = golden.lines().find_map(|line| line.strip_prefix(&head)?.parse().ok()).unwrap_or(0_u64);
        let differs = held.abs_diff(*count) * BAND > held;
        far |= differs;
        println!("{head}{count}, golden {held}{}", if differs { ": DIFFERS" } else { "" });
    }
    let unknown = |among: usize| {
        let mut all = figures.iter();
        all.find(|(figure, _)| matches!(figure, Figure::Unknown { members } if *members == among))
            .map(|f| f.1)
    };
    if unknown(MANY) > unknown(FEW).map(|few| few * UNKNOWN_RATIO_MAX) {
        println!(
            "an unknown name costs more than {UNKNOWN_RATIO_MAX} times as much among {MANY} as among {FEW}"
        );
        return ExitCode::FAILURE;
    }
    if far && !same_compiler {
        println!("another compiler than the golden figures': nothing follows from it");
        return ExitCode::SUCCESS;
    }
    if far {
        println!("more than 5 % away; if that is meant: QUEQIAO_BLESS=1 cargo bench --bench instructions");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
