//! Every patch in `tests/mutants` must still apply. `tests/mutants/run` builds and tests them.

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
