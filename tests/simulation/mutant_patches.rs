//! Every patch in `tests/mutants` must still apply, and its row in the README must name the test
//! that finds it. `tests/mutants/run` builds and tests them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

#[test]
fn every_mutant_patch_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".git").exists() || Command::new("git").arg("--version").output().is_err() {
        println!("no checkout, or no git: not checked");
        return;
    }
    let mut patches: Vec<_> =
        std::fs::read_dir(root.join("tests/mutants")).unwrap().map(|entry| entry.unwrap().path()).collect();
    patches.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    assert!(patches.len() >= 8, "{} mutants", patches.len());
    let mut wrong = Vec::new();
    for patch in patches {
        let check = Command::new("git").current_dir(root).args(["apply", "--check"]).arg(&patch).output();
        let check = check.expect("git runs");
        if !check.status.success() {
            wrong.push(format!("{}: {}", patch.display(), String::from_utf8_lossy(&check.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mutant_has_row_with_test_that_finds_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("tests/mutants/README.md")).unwrap();
    let row = |line: &str| {
        let [_, name, _, found_by, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            return None;
        };
        Some((name.strip_prefix('`')?.strip_suffix('`')?.to_owned(), found_by.to_owned()))
    };
    let rows: BTreeMap<String, String> = page.lines().filter_map(row).collect();
    let patches = std::fs::read_dir(root.join("tests/mutants")).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".patch").map(str::to_owned)
    });
    assert_eq!(patches.collect::<BTreeSet<_>>(), rows.keys().cloned().collect());
    for (name, found_by) in rows {
        let is_found = found_by == "seeds" || has_scenario(root, found_by.trim_matches('`'));
        assert!(is_found, "{name}: no test {found_by}");
    }
}

/// Whether the simulation has this scenario, as `module::function`.
fn has_scenario(root: &Path, scenario: &str) -> bool {
    let Some((module, function)) = scenario.rsplit_once("::") else { return false };
    let file = root.join("tests/simulation").join(module.replace("::", "/")).with_extension("rs");
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {function}(")))
}
