//! Rows of docs/faults.md and the comments of tests that name them.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::Sources;

/// The table of faults.
const TABLE: &str = "docs/faults.md";

/// Start of a comment that names rows.
const MARK: &str = "faults.md:";

/// Start of the first cell of a row, before its number.
const ANCHOR: &str = "| <a id=\"R";

/// Returns malformed rows and references, references to missing rows, and rows without a reference.
pub fn faults(sources: &Sources) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    let rows = rows(sources, &mut wrong);
    let mut named = BTreeSet::new();
    for (path, file) in &sources.rust {
        for comment in file.comments.iter().filter(|comment| comment.text.starts_with(MARK)) {
            let place = format!("{path}:{}", comment.line);
            let Some(references) = references(&comment.text).filter(|_| comment.marks == "//") else {
                wrong.insert(format!("{place}: `{}`: write `// {MARK} R1, R2`", comment.text));
                continue;
            };
            for row in references {
                if !rows.contains_key(&row) {
                    wrong.insert(format!("{place}: R{row} is not a row of {TABLE}"));
                }
                named.insert(row);
            }
        }
    }
    for (row, line) in rows.iter().filter(|(row, _)| !named.contains(row)) {
        wrong.insert(format!("{TABLE}:{line}: no test names R{row} with `// {MARK} R{row}`"));
    }
    wrong
}

/// Returns the rows of the table with their lines, and inserts malformed ones into `wrong`.
fn rows(sources: &Sources, wrong: &mut BTreeSet<String>) -> BTreeMap<u32, usize> {
    let mut rows = BTreeMap::new();
    let text = sources.texts.get(TABLE).map_or("", String::as_str);
    for (line, rest) in
        (1..).zip(text.lines()).filter_map(|(line, row)| Some((line, row.strip_prefix(ANCHOR)?)))
    {
        // The number is repeated as the text that readers see.
        let row = rest.split_once("\"></a>R").and_then(|(anchor, shown)| {
            let (label, _) = shown.split_once(" |")?;
            number(anchor).filter(|_| anchor == label)
        });
        if row.is_none_or(|row| rows.insert(row, line).is_some()) {
            wrong.insert(format!("{TABLE}:{line}: not `{ANCHOR}7\"></a>R7 |` with a new number"));
        }
    }
    rows
}

/// Returns the rows that a comment names, or `None` if it is not a list of rows.
fn references(comment: &str) -> Option<Vec<u32>> {
    let list = comment.strip_prefix(MARK)?.strip_prefix(' ')?;
    list.split(", ").map(|row| number(row.strip_prefix('R')?)).collect()
}

/// Returns a number that is written without sign and leading zeros.
fn number(digits: &str) -> Option<u32> {
    digits.parse().ok().filter(|number: &u32| number.to_string() == digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::REPOSITORY;

    const ROWS: &str = "# Faults\n\n| row | input |\n| --- | --- |\n| <a id=\"R2\"></a>R2 | x |\n\
                        | <a id=\"R71\"></a>R71 | y |\n";

    fn found(table: &str, source: &str) -> Vec<String> {
        let sources = Sources::made_up(&[(TABLE, table), ("src/a.rs", source)]);
        faults(&sources).into_iter().collect()
    }

    #[test]
    fn each_reference_has_row_and_each_row_reference() {
        crate::assert_none(faults(&REPOSITORY));
    }

    #[test]
    fn table_of_repository_has_rows() {
        assert!(rows(&REPOSITORY, &mut BTreeSet::new()).len() > 50);
    }

    #[test]
    fn references_to_all_rows_pass() {
        for source in [
            "// faults.md: R2, R71\n/// A story.\n#[test]\nfn f() {}",
            "// faults.md: R2\nfn f() {}\nmod tests {\n    // faults.md: R71\n    fn g() {}\n}",
            "// faults.md: R71\nfn f() {}\n// faults.md: R2, R71\nfn g() {}",
            "// faults.md: R2, R71\nconst A: &str = \"// faults.md: R99\";\n// See faults.md: R99.",
        ] {
            assert_eq!(found(ROWS, source), [""; 0], "{source}");
        }
    }

    #[test]
    fn reference_to_missing_row_is_found() {
        let all = "// faults.md: R2, R71\nfn f() {}\n";
        let missing = ["src/a.rs:3: R99 is not a row of docs/faults.md"];
        assert_eq!(found(ROWS, &format!("{all}// faults.md: R99\nfn g() {{}}")), missing);
        assert_eq!(found(ROWS, &format!("{all}    // faults.md: R2, R99\nfn g() {{}}")), missing);
    }

    #[test]
    fn row_without_reference_is_found() {
        let missing = ["docs/faults.md:6: no test names R71 with `// faults.md: R71`"];
        assert_eq!(found(ROWS, "// faults.md: R2\nfn f() {}"), missing);
        assert_eq!(found(ROWS, "// faults.md: R2\nconst A: &str = \"// faults.md: R71\";"), missing);
        assert_eq!(found(ROWS, "fn f() {}").len(), 2);
    }

    #[test]
    fn malformed_reference_is_found() {
        let all = "// faults.md: R2, R71\nfn f() {}\n";
        for comment in [
            "// faults.md: row 2",
            "// faults.md: R2 R71",
            "// faults.md: R2,R71",
            "// faults.md: R02",
            "// faults.md: R+2",
            "// faults.md:R2",
            "// faults.md:",
            "/// faults.md: R2",
        ] {
            let wrong = found(ROWS, &format!("{all}{comment}\nfn g() {{}}"));
            assert!(matches!(&wrong[..], [one] if one.starts_with("src/a.rs:3: ")), "{comment}: {wrong:?}");
        }
    }

    #[test]
    fn malformed_row_is_found() {
        let all = "// faults.md: R2, R71\nfn f() {}";
        for row in [
            "| <a id=\"R3\"></a>R4 | x |",
            "| <a id=\"R3\"></a> R3 | x |",
            "| <a id=\"R03\"></a>R03 | x |",
            "| <a id=\"Rx\"></a>Rx | x |",
            "| <a id=\"R2\"></a>R2 | again |",
        ] {
            let wrong = found(&format!("{ROWS}{row}\n"), all);
            assert!(matches!(&wrong[..], [one] if one.starts_with("docs/faults.md:7: ")), "{row}: {wrong:?}");
        }
    }
}
