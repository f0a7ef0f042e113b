//! Runs many seeds on all cores. Their coverage is summed, and a count that stays low fails the
//! test.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::coverage::{Count, Coverage};
use super::scenario::{new_simulation, run_seed};

const SEEDS: std::ops::Range<u64> = 0..300;
/// From this many seeds on, every counted case must have been met.
const SEEDS_FOR_COVERAGE: u64 = 300;
/// Characters of a failure that are printed: letters are long.
const TEXT_MAX: usize = 500;
/// Minimum of each count.
const MET_MIN: u64 = 5;

#[derive(Default)]
struct RunResults {
    coverage: Coverage,
    failures: Vec<(u64, String)>,
}

fn seeds() -> std::ops::Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("QUEQIAO_SEED") {
        return number(&seed)..number(&seed) + 1;
    }
    match std::env::var("QUEQIAO_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("QUEQIAO_SEEDS=a..b");
            number(from)..number(to)
        }
        Err(_) => SEEDS,
    }
}

fn run(seed: u64) -> Result<Coverage, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut sim = new_simulation(seed);
        run_seed(&mut sim);
        sim.coverage.clone()
    }));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

/// Runs all seeds. `QUEQIAO_FIRST=1` stops at the first failure, which is enough for mutants.
///
/// Seeds start in order, and each that was started is finished. The lowest seed that fails is thus
/// the same, whatever the order of the threads.
fn run_all() -> RunResults {
    let seeds = seeds();
    let first_only = std::env::var_os("QUEQIAO_FIRST").is_some();
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(RunResults::default());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let enough = first_only && !found.lock().unwrap().failures.is_empty();
                    if seed >= seeds.end || enough {
                        return;
                    }
                    let outcome = run(seed);
                    let mut found = found.lock().unwrap();
                    match outcome {
                        Ok(coverage) => found.coverage.merge(&coverage),
                        Err(text) => found.failures.push((seed, text)),
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.failures.sort();
    if first_only {
        found.failures.truncate(1);
    }
    found
}

#[test]
fn every_seed_keeps_all_promises() {
    let RunResults { coverage, failures } = run_all();
    let seeds = seeds();
    println!("{}", coverage.table());
    for (seed, text) in &failures {
        println!("seed {seed}: {}", text.chars().take(TEXT_MAX).collect::<String>());
        println!("  replay: QUEQIAO_SEED={seed} cargo test --test simulation every_seed -- --nocapture");
    }
    assert!(failures.is_empty(), "{} seeds failed, the first is {}", failures.len(), failures[0].0);
    if seeds.end - seeds.start >= SEEDS_FOR_COVERAGE {
        let missing: Vec<_> = Count::ALL.iter().filter(|count| coverage.get(**count) < MET_MIN).collect();
        assert!(missing.is_empty(), "met fewer than {MET_MIN} times: {missing:?}");
    }
}

#[test]
fn same_seed_gives_same_run() {
    let outcome_of = |seed| {
        let mut sim = new_simulation(seed);
        run_seed(&mut sim);
        (sim.datagrams, sim.now, sim.coverage.table())
    };
    assert_eq!(outcome_of(7), outcome_of(7));
}
