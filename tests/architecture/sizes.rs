//! Sizes: of files, functions, comment lines and test names; statements that bind several things.

use unicode_width::UnicodeWidthStr;

use crate::baseline::Offence;
use crate::facts::FunctionFact;
use crate::files::Sources;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 60;
const TEST_NAME_CHARS_MAX: usize = 60;
/// Columns of a comment line with its indentation.
const COMMENT_COLUMNS_MAX: usize = 100;

/// Parts of file names that do not say what is in the file.
const EMPTY_NAMES: &[&str] = &["utils", "common", "helper"];

/// Returns files and functions that are too long, and files without a purpose.
pub fn oversized(sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, file) in &sources.rust {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        if !file.text.starts_with("//!") {
            wrong.push(format!("{path}: does not open with `//!` and its purpose"));
        }
        if let Some(name) = EMPTY_NAMES.iter().find(|name| path.contains(*name)) {
            wrong.push(format!("{path}: `{name}` does not say what is in the file"));
        }
        for function in file.facts.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            let FunctionFact { name, line, lines, .. } = function;
            wrong.push(format!("{path}:{line}: `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}"));
        }
    }
    wrong
}

/// Returns comment lines and test names that are too long, and statements that bind several things.
pub fn offences(sources: &Sources) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, file) in &sources.rust {
        let mut add = |rule, what, line, advice| {
            offences.push(Offence { file: path.clone(), rule, what, line, advice });
        };
        let lines: Vec<&str> = file.text.lines().collect();
        for comment in &file.comments {
            let columns = lines[comment.line - 1].width();
            let is_table = comment.text.starts_with('|');
            let is_link = !comment.text.contains(' ') && comment.text.contains("://");
            if comment.alone && columns > COMMENT_COLUMNS_MAX && !is_table && !is_link {
                let advice = format!("{columns} columns; wrap the comment at {COMMENT_COLUMNS_MAX}");
                add("comment", "columns", comment.line, advice);
            }
        }
        for test in file.facts.functions.iter().filter(|function| function.is_test) {
            let chars = test.name.chars().count();
            if chars > TEST_NAME_CHARS_MAX {
                let advice = format!("`{}` has {chars} characters, at most {TEST_NAME_CHARS_MAX}", test.name);
                add("test-name", "characters", test.line, advice);
            }
        }
        for line in &file.facts.tuples {
            add("tuple", "let", *line, "one statement binds one thing".to_string());
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::REPOSITORY;

    fn count(text: &str) -> usize {
        oversized(&Sources::made_up(&[("src/a.rs", text)])).len()
    }

    fn found(text: &str) -> Vec<(usize, &'static str)> {
        let sources = Sources::made_up(&[("tests/a.rs", text)]);
        offences(&sources).into_iter().map(|offence| (offence.line, offence.rule)).collect()
    }

    #[test]
    fn files_and_functions_are_short_and_have_a_purpose() {
        crate::assert_none(oversized(&REPOSITORY));
    }

    #[test]
    fn file_of_601_lines_is_found() {
        assert_eq!(count(&format!("//! x\n{}", "\n".repeat(599))), 0);
        assert_eq!(count(&format!("//! x\n{}", "\n".repeat(600))), 1);
    }

    #[test]
    fn function_of_61_lines_is_found() {
        for (head, tail) in [("fn f() {", "}"), ("impl A { fn f() {", "} }"), ("trait A { fn f() {", "} }")] {
            let text =
                |lines: usize| format!("//! x\n/// doc\n#[inline]\n{head}{}{tail}", "\n".repeat(lines - 1));
            assert_eq!(count(&text(60)), 0, "{head}");
            assert_eq!(count(&text(61)), 1, "{head}");
        }
        let in_test = format!("//! x\n#[cfg(test)]\nmod tests {{ #[test] fn f() {{{}}} }}", "\n".repeat(60));
        assert_eq!(count(&in_test), 1);
    }

    #[test]
    fn file_without_purpose_or_with_empty_name_is_found() {
        assert_eq!(count("// x"), 1);
        for path in ["src/utils.rs", "tests/common/mod.rs", "src/relay/helpers.rs"] {
            assert_eq!(oversized(&Sources::made_up(&[(path, "//! x")])).len(), 1, "{path}");
        }
    }

    #[test]
    fn comment_of_101_columns_is_found() {
        for (before, marks) in [("", "//! "), ("", "// "), ("    ", "/// "), ("        ", "// "), ("", "/* ")]
        {
            let end = if marks == "/* " { " */" } else { "" };
            let text = |columns: usize| {
                let filled = columns - before.len() - marks.len() - end.len();
                format!("{before}{marks}a {}{end}\nfn f() {{}}", "b".repeat(filled - 2))
            };
            assert_eq!(found(&text(100)), [], "{marks}");
            assert_eq!(found(&text(101)), [(1, "comment")], "{marks}");
        }
        // A wide character has two columns.
        assert_eq!(found(&format!("// {}", "鹊 ".repeat(33))), [(1, "comment")]);
        assert_eq!(found(&format!("let_it!(\"// {}\");", "a ".repeat(60))), []);
        assert_eq!(found(&format!("// https://{}", "a".repeat(100))), []);
        assert_eq!(found(&format!("/// | a | {} |\nfn f() {{}}", "a".repeat(100))), []);
    }

    #[test]
    fn test_name_of_61_characters_is_found() {
        let text = |chars: usize| format!("#[test]\nfn {}() {{}}", "a".repeat(chars));
        assert_eq!(found(&text(60)), []);
        assert_eq!(found(&text(61)), [(2, "test-name")]);
        assert_eq!(found(&format!("fn {}() {{}}", "a".repeat(61))), []);
        let nested =
            format!("#[cfg(test)] mod tests {{\n#[test]\n#[cfg(unix)]\nfn {}() {{}} }}", "a".repeat(61));
        assert_eq!(found(&nested), [(4, "test-name")]);
        let in_macro = format!("proptest! {{ #[test]\n/// x\nfn {}(a in 0..1) {{}} }}", "a".repeat(61));
        assert_eq!(found(&in_macro), [(3, "test-name")]);
    }

    #[test]
    fn statement_that_binds_several_things_is_found() {
        for statement in [
            "let (a, b) = (1, 2);",
            "let (mut a, _, (b, c)) = (1, 2, (3, 4));",
            "let (a, b): (u8, u8) = (1, 2);",
            "let (a, b) = (\n1,\n2);",
            "(a, b) = (1, 2);",
        ] {
            assert_eq!(found(&format!("fn f() {{\n{statement} }}")), [(2, "tuple")], "{statement}");
        }
        assert_eq!(found("proptest! { fn f(a in 0..1) {\nlet (a, b) = (1, 2); } }"), [(2, "tuple")]);
        for statement in [
            "let (a, b) = f();",
            "let a = (1, 2);",
            "let (Some(a), Some(b)) = (c, d) else { return };",
            "if let (Some(a), None) = (c, d) {}",
            "let Point { x, y } = Point { x: 1, y: 2 };",
            "match (a, b) { (1, 2) => {} _ => {} }",
        ] {
            assert_eq!(found(&format!("fn f() {{ {statement} }}")), [], "{statement}");
        }
    }
}
