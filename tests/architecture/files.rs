//! The texts that are checked, read and parsed once for all tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::thread;

use crate::comments::{self, Comment};
use crate::facts::Facts;
use crate::modules::Modules;

/// Folders with Rust sources.
const RUST_FOLDERS: &[&str] = &["src", "tests", "benches", "fuzz/fuzz_targets"];

/// Folders that no text of this repository is in.
const SKIPPED: &[&str] = &["target", "corpus", "artifacts"];

/// The sources of this repository.
pub static REPOSITORY: LazyLock<Sources> = LazyLock::new(|| Sources::of(read_repository()));

/// Texts by path, and what was found in the Rust files among them.
pub struct Sources {
    /// Rust files by path.
    pub rust: BTreeMap<String, RustFile>,
    /// Markdown and Fluent files by path.
    pub texts: BTreeMap<String, String>,
    /// The modules of all crates.
    pub modules: Modules,
}

/// One Rust file.
pub struct RustFile {
    /// The whole text.
    pub text: String,
    /// Its comments, in order.
    pub comments: Vec<Comment>,
    /// Its imports, paths, functions and statements.
    pub facts: Facts,
}

impl Sources {
    /// Parses `files`, pairs of path and text, on all cores.
    pub fn of(files: Vec<(String, String)>) -> Self {
        let (rust, texts): (Vec<_>, Vec<_>) = files.into_iter().partition(|(path, _)| path.ends_with(".rs"));
        let threads = thread::available_parallelism().map_or(1, usize::from).min(rust.len().max(1));
        let mut shares: Vec<Vec<(String, String)>> = (0..threads).map(|_| Vec::new()).collect();
        for (at, file) in rust.into_iter().enumerate() {
            shares[at % threads].push(file);
        }
        let rust: BTreeMap<String, RustFile> = thread::scope(|scope| {
            let parsers: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || parse(share))).collect();
            parsers.into_iter().flat_map(|parser| parser.join().expect("every source parses")).collect()
        });
        let modules = Modules::of(&rust);
        Self { rust, texts: texts.into_iter().collect(), modules }
    }

    /// Returns line `number`, from 1, of a text.
    pub fn line(&self, path: &str, number: usize) -> Option<&str> {
        let text = self.rust.get(path).map(|file| &file.text).or(self.texts.get(path))?;
        text.lines().nth(number.checked_sub(1)?)
    }

    /// Parses made-up sources.
    pub fn made_up(files: &[(&str, &str)]) -> Self {
        Self::of(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }
}

fn parse(share: Vec<(String, String)>) -> Vec<(String, RustFile)> {
    share
        .into_iter()
        .map(|(path, text)| {
            let facts = Facts::of(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
            let comments = comments::of(&text);
            (path, RustFile { text, comments, facts })
        })
        .collect()
}

fn read_repository() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(root, "", &mut found);
    found
}

fn walk(root: &Path, folder: &str, found: &mut Vec<(String, String)>) {
    let entries = root.join(folder).read_dir().expect("the folder is readable");
    for entry in entries {
        let name = entry.expect("the entry is readable").file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if root.join(&path).is_dir() {
            walk(root, &path, found);
        } else if is_checked(&path) {
            let text = root.join(&path);
            let text = text.to_str().and_then(|text| std::fs::read_to_string(text).ok());
            found.push((path, text.expect("the file is UTF-8")));
        }
    }
}

fn is_checked(path: &str) -> bool {
    let in_rust_folder =
        RUST_FOLDERS.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
    (path.ends_with(".rs") && in_rust_folder)
        || path.ends_with(".md")
        || (path.ends_with(".ftl") && path.starts_with("src/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_has_files_of_each_kind() {
        for folder in RUST_FOLDERS {
            assert!(REPOSITORY.rust.keys().any(|path| path.starts_with(folder)), "no Rust file in {folder}");
        }
        for path in ["README.md", "docs/limits.md", "tests/mutants/README.md", "src/ui/strings/en.ftl"] {
            assert!(REPOSITORY.texts.contains_key(path), "{path}");
        }
    }

    #[test]
    fn other_files_are_left_out() {
        for path in ["tests/golden/a.txt", "build.rs", "src/ui/strings/en.ftl.orig", "crates.rs", "srcs/a.rs"]
        {
            assert!(!is_checked(path), "{path}");
        }
    }
}
