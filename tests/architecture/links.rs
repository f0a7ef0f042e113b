//! Links of documents: each leads to a file of the repository, and to a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::files::Sources;

/// A link in a document.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

/// Returns a line for each link that leads nowhere. `exists` tells whether a path is in the
/// repository.
pub fn faults(sources: &Sources, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let documents = sources.texts.iter().filter(|(path, _)| path.ends_with(".md"));
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        documents.clone().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let mut faults = Vec::new();
    for (path, text) in documents {
        for Link { line, target } in links(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { resolve(path, file) };
            let has_anchor = || anchors.get(file.as_str()).is_some_and(|known| known.contains(anchor));
            if !exists(&file) {
                faults.push(format!("{path}:{line}: {target}: there is no {file}"));
            } else if !anchor.is_empty() && !has_anchor() {
                faults.push(format!("{path}:{line}: {target}: {file} has no heading #{anchor}"));
            }
        }
    }
    faults
}

/// Returns the path of a file that a document names relative to itself.
fn resolve(document: &str, file: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the lines of a document that are not in a code block, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((at + 1, line))
    })
}

/// Returns the targets in `[…](target)` and `[…]: target`, outside code.
fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, text) in prose(text) {
        let outside: String = text.split('`').step_by(2).collect();
        for rest in outside.split("](").skip(1) {
            if let Some((target, _)) = rest.split_once(')') {
                links.push(Link { line, target: target.split(' ').next().unwrap_or(target).to_owned() });
            }
        }
        if let Some((_, target)) = outside.split_once("]: ").filter(|_| outside.starts_with('[')) {
            links.push(Link { line, target: target.trim().to_owned() });
        }
    }
    links
}

/// Returns the anchors of the headings, as GitHub makes them: lower case, without marks, hyphens
/// for spaces, numbered if they occur again. Those of `<a id="…">` are added.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let headings = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (line.starts_with('#') && title.starts_with(' ')).then_some(title.trim())
    });
    for heading in headings {
        let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let slug: String = heading.to_lowercase().chars().filter(is_kept).collect();
        let slug = slug.replace(' ', "-");
        let numbered = (1..).map(|number| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(numbered).find(|slug| !anchors.contains(slug));
        anchors.extend(free);
    }
    let ids = prose(text).flat_map(|(_, line)| line.split("<a id=\"").skip(1));
    anchors.extend(ids.filter_map(|id| id.split('"').next()).map(str::to_owned));
    anchors
}

/// Whether a path is in the folder of the repository.
pub fn exists(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(documents: &[(&str, &str)]) -> Vec<String> {
        let sources = Sources::made_up(documents);
        faults(&sources, |path| sources.texts.contains_key(path))
    }

    #[test]
    fn links_to_missing_files_and_headings_are_found() {
        let good = [
            ("README.md", "[a](docs/a.md#two-words) [b](#head) [c](https://example.org/x)\n\n# Head"),
            ("docs/a.md", "[up](../README.md)\n\n## Two, words!\n\n[self](a.md)"),
        ];
        assert_eq!(faults_of(&good), [""; 0]);
        let wrong =
            [("README.md", "\n[a](docs/b.md)\n[b](#gone)"), ("docs/a.md", "[c](README.md \"title\")")];
        assert_eq!(
            faults_of(&wrong),
            [
                "README.md:2: docs/b.md: there is no docs/b.md",
                "README.md:3: #gone: README.md has no heading #gone",
                "docs/a.md:1: README.md: there is no docs/README.md",
            ]
        );
    }

    #[test]
    fn code_has_no_links() {
        assert_eq!(
            links("```\n[a](b)\n```\n`[a](b)` [c](d)\n[e]: f"),
            [Link { line: 4, target: "d".to_owned() }, Link { line: 5, target: "f".to_owned() },]
        );
        assert!(anchors("```\n# not a heading\n```").is_empty());
    }

    #[test]
    fn anchors_are_those_of_github() {
        let anchors = anchors("# 邀请：`relay --closed`\n## A b\n## A b\n#no\n| <a id=\"R1\"></a> |");
        let wanted = ["邀请relay---closed", "a-b", "a-b-1", "R1"];
        assert_eq!(anchors, wanted.map(str::to_owned).into());
    }
}
