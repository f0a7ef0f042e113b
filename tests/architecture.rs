//! The rules of this crate, checked: layers and circles, sizes, names, words.
//!
//! Each failure names the file, the line and the words to write instead.
//! `architecture/baseline.txt` counts the older faults and `architecture/circles.txt` lists the
//! circles between files. Both may only shrink, and `QUEQIAO_BLESS=1` lowers them. If a file moves,
//! replace its path in both. The tests below each check run it on made-up sources and show that it
//! fails on each thing it guards.

#[path = "architecture/baseline.rs"]
mod baseline;
#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/comments.rs"]
mod comments;
#[path = "architecture/facts.rs"]
mod facts;
#[path = "architecture/faults.rs"]
mod faults;
#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/links.rs"]
mod links;
#[path = "architecture/modules.rs"]
mod modules;
#[path = "architecture/phrases.rs"]
mod phrases;
#[path = "architecture/prose.rs"]
mod prose;
#[path = "architecture/sizes.rs"]
mod sizes;
#[path = "architecture/tokens.rs"]
mod tokens;
#[path = "architecture/types.rs"]
mod types;
#[path = "architecture/unfinished.rs"]
mod unfinished;

use std::sync::LazyLock;

use baseline::Offence;
use files::{REPOSITORY, Sources};

/// Types that [`figures`] prints.
const LARGEST_SHOWN: usize = 20;

/// Fails with one line for each fault.
fn assert_none(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Everything that the baseline counts in this repository.
static OFFENCES: LazyLock<Vec<Offence>> = LazyLock::new(|| offences(&REPOSITORY));

/// Returns everything that the baseline counts.
fn offences(sources: &Sources) -> Vec<Offence> {
    phrases::offences(sources).into_iter().chain(sizes::offences(sources)).collect()
}

/// Prints totals: `cargo test --test architecture -- --nocapture figures`.
#[test]
fn figures() {
    let counts = baseline::count(&OFFENCES);
    let total =
        |name: &str| counts.iter().filter(|(key, _)| key.2 == name).map(|(_, count)| count).sum::<usize>();
    for phrase in phrases::BAN_LIST {
        println!("{:<14} {:>5}", phrase.name, total(phrase.name));
    }
    println!("comment lines over 100 columns: {}", total("columns"));
    println!("statements that bind several things: {}", total("let"));
    let functions = REPOSITORY.rust.values().flat_map(|file| &file.facts.functions);
    let mut lengths: Vec<usize> =
        functions.filter(|function| function.is_test).map(|test| test.name.chars().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    let longest = lengths[lengths.len() - 1];
    println!("{} test names: median {median}, maximum {longest} characters", lengths.len());
    println!("imports inside circles: {}", circles::edges_in_circles(&REPOSITORY).len());
    let types = types::types(&REPOSITORY);
    let mut largest: Vec<_> = types.iter().collect();
    largest.sort_by_key(|(_, size)| std::cmp::Reverse(size.methods));
    println!("{:<36} {:>7} {:>7} {:>7}", "types with most methods", "methods", "blocks", "fields");
    for ((module, name), size) in largest.iter().take(LARGEST_SHOWN) {
        let name = format!("{module}::{name}");
        println!("{name:<36} {:>7} {:>7} {:>7}", size.methods, size.impls, size.fields);
    }
    println!("{:<36} {:>7} {:>7}", "lines by module", "program", "tests");
    for (module, [program, tests]) in types::lines(&REPOSITORY) {
        println!("{module:<36} {program:>7} {tests:>7}");
    }
}

#[test]
fn every_link_in_documents_leads_somewhere() {
    assert_none(links::faults(&REPOSITORY, links::exists));
}

#[test]
fn readme_has_at_most_150_lines() {
    for path in ["README.md", "README.zh-CN.md"] {
        let lines = REPOSITORY.texts[path].lines().count();
        assert!(lines <= 150, "{path} has {lines} lines; move something to docs");
    }
}
