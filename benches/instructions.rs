//! Instructions of the relay for one relayed letter, and for one keep-alive of an idle member, counted by callgrind:
//! `cargo bench --bench instructions`.
//!
//! The real core between two real clients in memory, one run with more letters than the other: the difference is what the
//! letters cost, sign-in and start left out. Counted is the relay's turn alone: opening, routing, sealing, acks, timers; the
//! sockets and the kernel are not in it. The figures stand in `benches/instructions.txt` beside the compiler they were
//! counted with; with that compiler a figure that differs by more than 5 % ends this with status 1, and with another one
//! it is only told. `QUEQIAO_BLESS=1` writes the figures anew. Without valgrind nothing is counted, and that is said.
#![allow(clippy::disallowed_types, reason = "a bench is a process, not a core")]

mod bridge;
mod hall;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use bridge::Bridge;
use hall::Hall;

/// Letters in flight, each a line of the golden figures; none: the members are idle and keep alive.
const WINDOWS: [u64; 4] = [1, 8, 64, IDLE];
const IDLE: u64 = 0;
/// Idle members.
const MEMBERS: usize = 64;
/// Bytes of a letter's text.
const TEXT_LEN: usize = 100;
/// Letters of the shorter run: every buffer has its size by then.
const WARM_UP: u64 = 512;
/// How many letters more the longer run has.
const LETTERS: u64 = 1_024;
/// A figure may differ by one part in so many.
const BAND: u64 = 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let Some(place) = args.iter().position(|arg| arg == "--inside") {
        let number = |at: usize| args.get(place + at).and_then(|arg| arg.parse().ok()).expect("a number");
        match number(2) {
            IDLE => keep_alive(number(1)),
            window => Bridge::open(TEXT_LEN).carry(number(1), window),
        }
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("valgrind is not installed: nothing was counted");
        return ExitCode::SUCCESS;
    }
    let figures: Vec<(u64, u64)> = WINDOWS.map(|window| (window, per_letter(window))).to_vec();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    if std::env::var_os("QUEQIAO_BLESS").is_some() {
        fs::write(&golden, written(&figures)).expect("the golden figures can be written");
        println!("wrote {}", golden.display());
    }
    judge(&figures, &fs::read_to_string(&golden).expect("the golden figures are there"))
}

/// So many keep-alives of members who say nothing.
fn keep_alive(times: u64) {
    let mut hall = Hall::open(|work| work());
    hall.come(MEMBERS, Duration::from_millis(300));
    hall.run(Duration::from_secs(2));
    assert_eq!(hall.online(), MEMBERS, "all sign in");
    hall.run_until_sent(times);
}

fn name_of(window: u64) -> String {
    if window == IDLE { "keep-alive".to_owned() } else { format!("window {window}") }
}

/// Instructions of the relay for each letter, with so many in flight.
fn per_letter(window: u64) -> u64 {
    (counted(WARM_UP + LETTERS, window) - counted(WARM_UP, window)) / LETTERS
}

fn counted(letters: u64, window: u64) -> u64 {
    let file = out_file(letters, window);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*relay_turn*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().expect("a process knows its file"))
        .args(["--inside", &letters.to_string(), &window.to_string()])
        .stderr(Stdio::null())
        .status()
        .expect("valgrind was there a moment ago");
    assert!(status.success(), "callgrind ended with {status}");
    let text = fs::read_to_string(&file).expect("callgrind has written its file");
    fs::remove_file(&file).expect("it is ours");
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|figure| figure.trim().parse().ok()).expect("callgrind ends with a total");
    assert!(total > letters, "callgrind found no `relay_turn` to count");
    total
}

fn out_file(letters: u64, window: u64) -> PathBuf {
    std::env::temp_dir().join(format!("queqiao-{}-{letters}-{window}.callgrind", std::process::id()))
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("--version").output().expect("rustc has built this");
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

fn written(figures: &[(u64, u64)]) -> String {
    let lines: String =
        figures.iter().map(|(window, figure)| format!("{}: {figure}\n", name_of(*window))).collect();
    format!(
        "# Instructions of the relay for a letter of {TEXT_LEN} bytes; see instructions.rs.\n{}\n{lines}",
        compiler()
    )
}

fn judge(figures: &[(u64, u64)], golden: &str) -> ExitCode {
    let same_compiler = golden.lines().any(|line| line == compiler());
    let mut far = false;
    for (window, figure) in figures {
        let head = format!("{}: ", name_of(*window));
        let held = golden.lines().find_map(|line| line.strip_prefix(&head)?.parse().ok()).unwrap_or(0_u64);
        let differs = held.abs_diff(*figure) * BAND > held;
        far |= differs;
        println!("{head}{figure} instructions, golden {held}{}", if differs { ": DIFFERS" } else { "" });
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
