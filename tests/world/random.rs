//! Many seeds on two threads; what they met is summed, and a count at zero fails.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cover::{Count, Cover};
use super::plan::{live, world};

const SEEDS: Range<u64> = 0..300;
/// So many seeds meet everything that is counted; fewer need not.
const SEEDS_MEET_ALL: u64 = 300;
const THREADS: usize = 2;

#[derive(Default)]
struct Found {
    cover: Cover,
    failures: Vec<(u64, String)>,
}

fn seeds() -> Range<u64> {
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

fn run(seed: u64) -> Result<Cover, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = world(seed);
        live(&mut world);
        world.cover.clone()
    }));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

/// `QUEQIAO_FIRST=1` stops at the first failure: planted bugs need one.
fn run_all() -> Found {
    let seeds = seeds();
    let first_only = std::env::var_os("QUEQIAO_FIRST").is_some();
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new(Found::default()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
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
                        Ok(cover) => found.cover.merge(&cover),
                        Err(text) => found.failures.push((seed, text)),
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn every_seed_keeps_the_promises() {
    let Found { cover, mut failures } = run_all();
    println!("seeds {:?}\n{}", seeds(), cover.table());
    failures.sort();
    for (seed, text) in &failures {
        println!("seed {seed}: {text}");
        println!("  replay: QUEQIAO_SEED={seed} cargo test --test world every_seed -- --nocapture");
    }
    assert!(failures.is_empty(), "{} seeds failed, the first is {}", failures.len(), failures[0].0);
    let Range { start, end } = seeds();
    if end - start >= SEEDS_MEET_ALL {
        let missing: Vec<_> = Count::ALL.iter().filter(|count| cover.get(**count) == 0).collect();
        assert!(missing.is_empty(), "never met: {missing:?}");
    }
}

#[test]
fn a_seed_gives_the_same_world_twice() {
    let story = |seed| {
        let mut world = world(seed);
        live(&mut world);
        (world.datagrams, world.now, world.cover.table())
    };
    assert_eq!(story(7), story(7));
}
