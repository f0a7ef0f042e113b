//! Circles between files of the library: files that import each other, directly or through others.
//!
//! `circles.txt` lists today's imports inside of circles, and may only shrink.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::files::Sources;
use crate::modules::Target;

/// The checked-in list.
pub const LIST: &str = "tests/architecture/circles.txt";

/// Head of a new list.
const HEAD: &str = "\
# Imports between files that are in one circle, as `from -> to`. Lines may only go:
# QUEQIAO_BLESS=1 cargo test --test architecture
# If a file moves, replace its path here and in baseline.txt.
";

/// An import of a file by another.
type Edge = (String, String);

/// Returns the imports whose two files are in one circle.
///
/// An import counts for the file that defines the item, even if a third file re-exports it. Imports
/// in tests do not count: tests can be moved to another file without a change of the program.
pub fn edges_in_circles(sources: &Sources) -> BTreeSet<Edge> {
    let modules = &sources.modules;
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, module) in modules.all().filter(|(id, module)| modules.is_in_library(*id) && !module.in_test) {
        let paths = &sources.rust[&module.file].facts.paths;
        for path in paths.iter().filter(|path| path.inside == module.inside && !path.in_test) {
            if let Target::Module(used) | Target::Item(used) = modules.resolve(id, path).target {
                let used = modules.get(used).file.as_str();
                if used != module.file {
                    graph.entry(&module.file).or_default().insert(used);
                }
            }
        }
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (*file, reach(&graph, file))).collect();
    let returns = |from: &str, to: &str| reached.get(to).is_some_and(|files| files.contains(from));
    let edges = graph.iter().flat_map(|(from, files)| files.iter().map(|to| (*from, *to)));
    edges
        .filter(|(from, to)| returns(from, to))
        .map(|(from, to)| (from.to_string(), to.to_string()))
        .collect()
}

fn reach<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if found.insert(*next) {
                open.push(next);
            }
        }
    }
    found
}

/// Returns the edges of a list, one `from -> to` on a line.
pub fn read_list(list: &str) -> BTreeSet<Edge> {
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| line.split_once(" -> ").unwrap_or_else(|| panic!("{LIST}: `{line}` is not `from -> to`")))
        .map(|(from, to)| (from.trim().to_string(), to.trim().to_string()))
        .collect()
}

/// Returns the differences between the circles that are there and those on the list.
pub fn differences(there: &BTreeSet<Edge>, listed: &BTreeSet<Edge>) -> Vec<String> {
    let new = there.difference(listed).map(|(from, to)| {
        let back = way(there, to, from).join(" -> ");
        format!("{from}: a new circle: it imports {back}")
    });
    let gone = listed.difference(there).map(|(from, to)| format!("{LIST}: remove this line: {from} -> {to}"));
    new.chain(gone).collect()
}

/// Returns the files on the shortest way along `edges`, both ends included.
fn way<'a>(edges: &'a BTreeSet<Edge>, from: &'a str, to: &str) -> Vec<&'a str> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::from([from]);
    while let Some(way) = ways.pop_front() {
        let last = way[way.len() - 1];
        if last == to {
            return way;
        }
        for (_, next) in edges.iter().filter(|edge| edge.0 == last) {
            if seen.insert(next) {
                ways.push_back(way.iter().copied().chain([next.as_str()]).collect());
            }
        }
    }
    vec![from]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{self, Update};
    use crate::files::REPOSITORY;

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let edges = edges_in_circles(&Sources::made_up(files));
        edges.into_iter().map(|(from, to)| format!("{from} -> {to}")).collect()
    }

    const ROOT: (&str, &str) = ("src/lib.rs", "mod a; mod b; mod c;");

    #[test]
    fn circles_between_files_only_shrink() {
        let there = edges_in_circles(&REPOSITORY);
        let lines = there.iter().map(|(from, to)| format!("{from} -> {to}"));
        if baseline::starts(LIST) {
            return baseline::write(LIST, HEAD, lines);
        }
        let written = baseline::read(LIST);
        let listed = read_list(&written);
        let wrong = differences(&there, &listed);
        if baseline::update() == Update::Lower && there.is_subset(&listed) {
            return baseline::write(LIST, &written, lines);
        }
        crate::assert_none(wrong);
    }

    #[test]
    fn circle_of_two_files_is_found() {
        let a = ("src/a.rs", "use crate::b::B; pub struct A;");
        let b = ("src/b.rs", "pub struct B; fn f() { super::a::A::new(); }");
        assert_eq!(edges(&[ROOT, a, b]), ["src/a.rs -> src/b.rs", "src/b.rs -> src/a.rs"]);
    }

    #[test]
    fn circle_of_three_files_is_found() {
        let a = ("src/a.rs", "use crate::b::B; pub struct A;");
        let b = ("src/b.rs", "use crate::c; pub struct B;");
        let c = ("src/c.rs", "use crate::{\n    a::{\n        A as First,\n    },\n};");
        let found = edges(&[ROOT, a, b, c]);
        assert_eq!(found, ["src/a.rs -> src/b.rs", "src/b.rs -> src/c.rs", "src/c.rs -> src/a.rs"]);
    }

    #[test]
    fn circle_between_parent_and_child_is_found() {
        let lib = ("src/lib.rs", "mod a;");
        let parent = ("src/a/mod.rs", "mod child; use child::Child; pub struct A { child: Child }");
        let child = ("src/a/child.rs", "use super::A; pub struct Child;");
        assert_eq!(edges(&[lib, parent, child]).len(), 2);
    }

    #[test]
    fn circle_through_alias_macro_or_local_import_is_found() {
        let a = ("src/a.rs", "use crate::b::B; pub struct A;");
        for text in [
            "use crate as root; pub struct B; fn f() { root::a::A; }",
            "pub struct B; fn f() { vec![crate::a::A]; }",
            "pub struct B; fn f() { use super::a::*; }",
            "pub struct B; pub use crate::a::A as Other;",
            "pub struct B; mod inner { use super::super::a; }",
        ] {
            assert_eq!(edges(&[ROOT, a, ("src/b.rs", text)]).len(), 2, "{text}");
        }
    }

    #[test]
    fn imports_in_one_direction_are_no_circle() {
        let a = ("src/a.rs", "use crate::b::B; use crate::c::C;");
        let b = ("src/b.rs", "use crate::c::C; pub struct B;");
        assert!(edges(&[ROOT, a, b, ("src/c.rs", "pub struct C;")]).is_empty());
    }

    #[test]
    fn reexport_counts_for_the_file_that_defines() {
        let lib = ("src/lib.rs", "mod a;");
        let parent = ("src/a/mod.rs", "mod one; mod two; pub use one::One; pub use two::Two;");
        let one = ("src/a/one.rs", "use super::Two; pub struct One;");
        assert!(edges(&[lib, parent, one, ("src/a/two.rs", "pub struct Two;")]).is_empty());
        let two = ("src/a/two.rs", "use crate::a::One; pub struct Two;");
        let found = edges(&[lib, parent, one, two]);
        assert_eq!(found, ["src/a/one.rs -> src/a/two.rs", "src/a/two.rs -> src/a/one.rs"]);
    }

    #[test]
    fn imports_of_tests_are_no_circle() {
        let a = ("src/a.rs", "use crate::b::B; pub struct A;");
        let b = ("src/b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }");
        assert!(edges(&[ROOT, a, b]).is_empty());
        let b = ("src/b.rs", "pub struct B; #[cfg(test)] mod tests;");
        assert!(edges(&[ROOT, a, b, ("src/b/tests.rs", "use crate::a::A; use super::B;")]).is_empty());
    }

    #[test]
    fn new_edge_and_outdated_line_are_reported() {
        let edge = |from: &str, to: &str| (from.to_string(), to.to_string());
        let there = BTreeSet::from([edge("a", "b"), edge("b", "a")]);
        assert!(differences(&there, &read_list("# head\na -> b\nb -> a\n")).is_empty());
        assert_eq!(differences(&there, &read_list("b -> a")), ["a: a new circle: it imports b -> a"]);
        let outdated = differences(&there, &read_list("a -> b\na -> c\nb -> a"));
        assert_eq!(outdated, [format!("{LIST}: remove this line: a -> c")]);
    }
}
