//! No unfinished work, no bare `unwrap()` outside of tests, no sleep in tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::Sources;
use crate::modules::Target;

/// Marks of unfinished work in comments.
const MARKS: &[&str] = &["FIXME", "XXX", "TODO"];

/// Calls that sleep.
const SLEEPS: &[&str] = &["std::thread::sleep", "std::thread::sleep_ms", "std::thread::sleep_until"];

/// Returns unfinished work and ignored tests.
pub fn unfinished(sources: &Sources) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    for (path, file) in &sources.rust {
        for (line, mark) in &file.facts.unfinished {
            wrong.insert(format!("{path}:{line}: `{mark}`"));
        }
        for comment in &file.comments {
            let words = comment.text.split(|c: char| !c.is_alphanumeric());
            if let Some(mark) = words.into_iter().find(|word| MARKS.contains(word)) {
                wrong.insert(format!("{path}:{}: `{mark}`", comment.line));
            }
        }
    }
    wrong
}

/// Returns each bare `unwrap()` in `src` that is compiled outside of tests.
pub fn unwraps(sources: &Sources) -> BTreeSet<String> {
    let in_tests = files_of_tests(sources);
    let mut wrong = BTreeSet::new();
    for (path, file) in sources.rust.iter().filter(|(path, _)| path.starts_with("src/")) {
        if in_tests.get(path.as_str()) != Some(&true) {
            for (line, _) in file.facts.unwraps.iter().filter(|(_, in_test)| !in_test) {
                wrong.insert(format!("{path}:{line}: a bare `unwrap()`; say with `expect` why it holds"));
            }
        }
    }
    wrong
}

/// Returns each sleep in `tests` and in the tests of `src`.
pub fn sleeps(sources: &Sources) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    for (id, module) in sources.modules.all() {
        let paths = sources.rust[&module.file].facts.paths.iter();
        for path in paths.filter(|path| path.inside == module.inside) {
            let in_test = module.in_test || path.in_test || module.file.starts_with("tests/");
            let Target::External(used) = sources.modules.resolve(id, path).target else { continue };
            if in_test && SLEEPS.contains(&used.join("::").as_str()) {
                wrong
                    .insert(format!("{}:{}: a test that sleeps; wait for the event", module.file, path.line));
            }
        }
    }
    wrong
}

/// Returns for each file whether all modules in it are for tests only.
fn files_of_tests(sources: &Sources) -> BTreeMap<&str, bool> {
    let mut files = BTreeMap::new();
    for (_, module) in sources.modules.all().filter(|(_, module)| module.inside.is_empty()) {
        *files.entry(module.file.as_str()).or_insert(true) &= module.in_test;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::REPOSITORY;

    fn count_unwraps(text: &str) -> usize {
        unwraps(&Sources::made_up(&[("src/lib.rs", text)])).len()
    }

    #[test]
    fn nothing_is_unfinished_or_ignored() {
        crate::assert_none(unfinished(&REPOSITORY));
    }

    #[test]
    fn no_bare_unwrap_outside_tests() {
        crate::assert_none(unwraps(&REPOSITORY));
    }

    #[test]
    fn no_test_sleeps() {
        crate::assert_none(sleeps(&REPOSITORY));
    }

    #[test]
    fn unfinished_work_is_found() {
        for text in [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"later\") }",
            "fn f() { std::todo!() }",
            "fn f() { vec![todo!()] }",
            "fn f() { dbg!(1); }",
            "#[test] #[ignore] fn f() {}",
            "#[test] #[ignore = \"slow\"] fn f() {}",
            "#[test] #[cfg_attr(unix, ignore)] fn f() {}",
            "fn f() { vec![std::todo!()] }",
            "proptest! { #[test] #[ignore] fn f(a in 0..1) {} }",
            "// FIXME: later",
            "/* XXX */",
        ] {
            assert_eq!(unfinished(&Sources::made_up(&[("tests/a.rs", text)])).len(), 1, "{text}");
        }
        for text in ["fn todo() {} fn f() { todo(); }", "const A: &str = \"todo!() FIXME\";", "/// ignore"] {
            let text = format!("{text}\nfn g() {{}}");
            assert!(unfinished(&Sources::made_up(&[("tests/a.rs", &text)])).is_empty(), "{text}");
        }
    }

    #[test]
    fn bare_unwrap_is_found_anywhere_in_a_file() {
        for text in [
            "fn f() { x.unwrap(); }",
            "fn f() { x\n.g()\n.unwrap(); }",
            "#[cfg(test)] fn t() {} fn f() { x.unwrap(); }",
            "#[cfg(test)] mod tests { fn t() { x.unwrap(); } } fn f() { x.unwrap(); }",
            "#[cfg(not(test))] fn f() { x.unwrap(); }",
            "#[cfg(any(test, unix))] fn f() { x.unwrap(); }",
            "fn f() { assert!(x.unwrap()); }",
            "fn f() { x.map(Option::unwrap); }",
            "impl A { fn f() { x.unwrap(); } }",
            "const A: u8 = x.unwrap();",
        ] {
            assert_eq!(count_unwraps(text), 1, "{text}");
        }
    }

    #[test]
    fn unwrap_of_tests_and_its_neighbours_pass() {
        for text in [
            "#[cfg(test)] fn t() { x.unwrap(); }",
            "#[cfg(all(test, unix))] mod tests { fn t() { x.unwrap(); } }",
            "impl A { #[cfg(test)] fn t() { x.unwrap(); } }",
            "#[cfg(test)] impl A { fn t() { assert!(x.unwrap()); } }",
            "#[test] fn t() { x.unwrap(); }",
            "fn f() { #[cfg(test)] x.unwrap(); }",
            "fn f() { x.unwrap_or(1); x.expect(\"why\"); x.unwrap_or_default(); }",
            "// x.unwrap()\nconst A: &str = \"x.unwrap()\";",
            "fn unwrap() {} fn f() { unwrap(); }",
        ] {
            assert_eq!(count_unwraps(text), 0, "{text}");
        }
        let test_file = ("src/tests.rs", "mod inner; fn f() { x.unwrap(); }");
        let inner = ("src/tests/inner.rs", "fn f() { x.unwrap(); }");
        let count = |lib| unwraps(&Sources::made_up(&[("src/lib.rs", lib), test_file, inner])).len();
        assert_eq!(count("#[cfg(test)] mod tests;"), 0);
        assert_eq!(count("mod tests;"), 2);
    }

    #[test]
    fn sleep_is_found_in_tests_only() {
        let count = |path: &str, text: &str| sleeps(&Sources::made_up(&[(path, text)])).len();
        assert_eq!(count("tests/a.rs", "fn f() { std::thread::sleep(a); }"), 1);
        assert_eq!(count("tests/a.rs", "use std::thread; fn f() { thread::sleep(a); }"), 1);
        assert_eq!(count("tests/a.rs", "use std::{thread::{self, sleep as wait}}; fn f() { wait(a); }"), 1);
        assert_eq!(count("src/lib.rs", "#[cfg(test)] mod tests { fn f() { std::thread::sleep(a); } }"), 1);
        assert_eq!(count("src/lib.rs", "fn f() { std::thread::sleep(a); }"), 0);
        assert_eq!(count("benches/a.rs", "fn f() { std::thread::sleep(a); }"), 0);
        assert_eq!(count("tests/a.rs", "mod thread { pub fn sleep() {} } fn f() { thread::sleep(); }"), 0);
    }
}
