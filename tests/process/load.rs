//! `queqiao bench`: its counts, and that it leaves no files.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{ExitedProcess, Machine, Process};

/// Returns the object on the last line.
#[track_caller]
fn report(exited: &ExitedProcess) -> Value {
    serde_json::from_str(exited.out.last().expect("there is a report")).expect("it is JSON")
}

fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("no {key} in {report}"))
}

#[test]
fn bench_at_rate_counts_letters_and_answers() {
    let machine = Machine::new();
    let relay = machine.relay(&["--limits", "off"]);
    let addr = relay.udp.to_string();
    let pid = relay.process.pid();
    let rate = ["--pairs", "2", "--rate", "100", "--answer", "--secs", "1", "--json"];
    let exited =
        machine.run(&[&["bench", "--relay", &addr, "--relay-pid", &pid][..], &rate].concat()).with(0);
    let report = report(&exited);
    let letters = count(&report, "letters");
    assert!((1..=200).contains(&letters), "{report}");
    for amiss in ["loss", "duplicates", "disorder", "corrupt", "refused"] {
        assert_eq!(count(&report, amiss), 0, "{report}");
    }
    let quantiles = ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|key| count(&report, key));
    assert!(quantiles.is_sorted() && quantiles[0] > 0, "{report}");
    for known in ["packets_in_per_letter", "packets_out_per_letter", "cpu_us_per_letter", "rss_kib_after"] {
        assert!(report[known].as_f64().is_some_and(|number| number > 0.0), "{known} in {report}");
    }
    relay.stop().with(0);
}

/// Returns the bench on a machine whose folder for temporary files is in its home.
#[cfg(target_os = "linux")]
fn with_own_tmp(machine: &Machine, args: &[&str]) -> Command {
    fs::create_dir(machine.path("tmp")).unwrap();
    let mut command = machine.command(args);
    command.env("TMPDIR", machine.path("tmp"));
    command
}

#[test]
#[cfg(target_os = "linux")]
fn bare_ratio_comes_from_one_command_without_files() {
    let machine = Machine::new();
    let args = ["bench", "--bare", "--pairs", "2", "--window", "4", "--secs", "1", "--json"];
    let exited = Process::start(with_own_tmp(&machine, &args)).end().with(0);
    let report = report(&exited);
    let row = &report["rows"][0];
    assert!(count(&row["bare"], "messages") > 0 && count(&row["relay"], "letters") > 0, "{report}");
    assert!(row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0), "{report}");
    assert_eq!(fs::read_dir(machine.path("tmp")).unwrap().count(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn servers_of_killed_bench_end_too() {
    let machine = Machine::new();
    let args = ["bench", "--as-server", "relay"];
    let mut server = Process::start(with_own_tmp(&machine, &args));
    server.until_out("ready udp=");
    assert_eq!(fs::read_dir(machine.path("tmp")).unwrap().count(), 1);
    server.write_and_close(b"");
    server.end().with(0);
    assert_eq!(fs::read_dir(machine.path("tmp")).unwrap().count(), 0);
}

#[test]
fn contradictory_bench_options_are_refused_in_one_line() {
    let machine = Machine::new();
    for (args, named) in [
        (&["--rate", "10", "--window", "2"][..], "--window"),
        (&["--bare", "--relay", "127.0.0.1:1"], "--relay"),
        (&["--bare", "--rate", "10"], "--rate"),
        (&["--bare", "--size", "5000"], "1200"),
        (&["--secs", "0"], "--secs"),
    ] {
        machine.run(&[&["bench"], args].concat()).one_line(2, named);
    }
}
