//! Counts of faults that are older than their rule. They may only fall.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The checked-in counts.
pub const FILE: &str = "tests/architecture/baseline.txt";

/// Occurrences that one failure shows of each file and rule.
const SHOWN_MAX: usize = 20;

/// Head of a new list.
const HEAD: &str = "\
# Faults that are older than their rule, as `file rule what count`. Counts may only fall:
# QUEQIAO_BLESS=1 cargo test --test architecture
# If a file moves, replace its path here and in circles.txt.
";

/// How to write the lists that may only shrink.
const COMMAND: &str = "QUEQIAO_BLESS=1 cargo test --test architecture";

/// A place that breaks a rule.
#[derive(Debug)]
pub struct Offence {
    pub file: String,
    pub rule: &'static str,
    /// The phrase or measure.
    pub what: &'static str,
    pub line: usize,
    /// The words to write instead.
    pub advice: String,
}

/// Counts by file, rule and phrase or measure.
pub type Counts = BTreeMap<(String, String, String), usize>;

/// The update that the environment asks for.
#[derive(Clone, Copy, PartialEq)]
pub enum Update {
    /// Compare only.
    No,
    /// `QUEQIAO_BLESS=1`: lower counts, remove lines.
    Lower,
    /// `QUEQIAO_BLESS=start`: write a list that does not exist, as after a merge with conflicts.
    Start,
}

/// Returns whether the lists are rewritten.
pub fn update() -> Update {
    match std::env::var("QUEQIAO_BLESS").as_deref() {
        Ok("1") => Update::Lower,
        Ok("start") => Update::Start,
        _ => Update::No,
    }
}

/// Reads a checked-in list.
pub fn read(list: &str) -> String {
    std::fs::read_to_string(path_of(list)).unwrap_or_else(|error| panic!("{list}: {error}"))
}

/// Whether a list is written from scratch: it does not exist, and that is asked for.
pub fn starts(list: &str) -> bool {
    update() == Update::Start && !path_of(list).exists()
}

/// Writes a list below the comment at the head of its former text.
pub fn write(list: &str, former: &str, lines: impl Iterator<Item = String>) {
    let head = former.lines().take_while(|line| line.starts_with('#')).map(str::to_string);
    let text: String = head.chain(lines).map(|line| line + "\n").collect();
    std::fs::write(path_of(list), text).unwrap_or_else(|error| panic!("{list}: {error}"));
}

fn path_of(list: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(list)
}

/// Counts offences.
pub fn count(offences: &[Offence]) -> Counts {
    let mut counts = Counts::new();
    for offence in offences {
        let key = (offence.file.clone(), offence.rule.to_string(), offence.what.to_string());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// Reads counts, one `file rule what count` on a line.
///
/// # Errors
///
/// The first line that is not such a line or repeats one.
pub fn parse(list: &str) -> Result<Counts, String> {
    let mut counts = Counts::new();
    for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let invalid = || format!("{FILE}: `{line}` is not `file rule what count`, once each");
        let parts: Vec<&str> = line.split_whitespace().collect();
        let [file, rule, what, count] = parts[..] else { return Err(invalid()) };
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(invalid)?;
        let key = (file.to_string(), rule.to_string(), what.to_string());
        if counts.insert(key, count).is_some() {
            return Err(invalid());
        }
    }
    Ok(counts)
}

/// Returns the lines of a list of counts.
pub fn lines(counts: &Counts) -> impl Iterator<Item = String> {
    counts.iter().map(|((file, rule, what), count)| format!("{file} {rule} {what} {count}"))
}

/// Returns what exceeds the counts of `allowed`, with every place that may be the new one.
pub fn excess(offences: &[Offence], allowed: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, count) in count(offences) {
        let allowed = allowed.get(&key).copied().unwrap_or(0);
        if count <= allowed {
            continue;
        }
        let (file, rule, what) = &key;
        if allowed > 0 {
            wrong.push(format!("{file}: {rule} {what}: {count}, the baseline allows {allowed}; one of"));
        }
        let places =
            offences.iter().filter(|o| (&o.file, o.rule, o.what) == (file, rule.as_str(), what.as_str()));
        wrong.extend(places.take(SHOWN_MAX).map(|place| format!("{file}:{}: {}", place.line, place.advice)));
    }
    wrong
}

/// Returns the counts of `allowed` that are higher than what is there.
pub fn outdated(offences: &[Offence], allowed: &Counts) -> Vec<String> {
    let there = count(offences);
    let count = |key| there.get(key).copied().unwrap_or(0);
    let lower = allowed.iter().filter(|(key, allowed)| count(*key) < **allowed);
    lower
        .map(|(key, allowed)| {
            let (file, rule, what) = key;
            format!("{file}: {rule} {what}: {}, not {allowed} any longer; run {COMMAND}", count(key))
        })
        .collect()
}

/// Returns the counts after an update, which only lowers.
///
/// # Errors
///
/// The excess over the counts of `allowed`.
pub fn lowered(offences: &[Offence], allowed: &Counts) -> Result<Counts, Vec<String>> {
    let wrong = excess(offences, allowed);
    if wrong.is_empty() { Ok(count(offences)) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OFFENCES;

    fn offences(places: &[(&str, usize)]) -> Vec<Offence> {
        let offence = |(file, line): &(&str, usize)| Offence {
            file: file.to_string(),
            rule: "phrase",
            what: "anew",
            line: *line,
            advice: "write again".to_string(),
        };
        places.iter().map(offence).collect()
    }

    #[test]
    fn counts_of_the_baseline_only_fall() {
        if starts(FILE) {
            return write(FILE, HEAD, lines(&count(&OFFENCES)));
        }
        let written = read(FILE);
        let allowed = parse(&written).unwrap_or_else(|error| panic!("{error}"));
        if update() == Update::Lower {
            match lowered(&OFFENCES, &allowed) {
                Ok(counts) => return write(FILE, &written, lines(&counts)),
                Err(wrong) => crate::assert_none(wrong),
            }
        }
        crate::assert_none(excess(&OFFENCES, &allowed).into_iter().chain(outdated(&OFFENCES, &allowed)));
    }

    #[test]
    fn more_than_the_baseline_is_reported_with_each_place() {
        let allowed = parse("# head\na.rs phrase anew 1\n").unwrap();
        assert!(excess(&offences(&[("a.rs", 3)]), &allowed).is_empty());
        let wrong = excess(&offences(&[("a.rs", 3), ("a.rs", 5)]), &allowed);
        let expected = [
            "a.rs: phrase anew: 2, the baseline allows 1; one of",
            "a.rs:3: write again",
            "a.rs:5: write again",
        ];
        assert_eq!(wrong, expected);
        assert_eq!(excess(&offences(&[("a.rs", 3), ("b.rs", 7)]), &allowed), ["b.rs:7: write again"]);
    }

    #[test]
    fn less_than_the_baseline_is_reported_with_the_command() {
        let allowed = parse("a.rs phrase anew 2\nb.rs phrase anew 1").unwrap();
        let wrong = outdated(&offences(&[("a.rs", 3)]), &allowed);
        assert_eq!(wrong.len(), 2);
        assert!(wrong.iter().all(|line| line.contains(COMMAND)), "{wrong:?}");
        assert!(outdated(&offences(&[("a.rs", 3), ("a.rs", 4), ("b.rs", 1)]), &allowed).is_empty());
    }

    #[test]
    fn update_lowers_counts_and_removes_lines() {
        let allowed = parse("a.rs phrase anew 2\nb.rs phrase anew 1").unwrap();
        let counts = lowered(&offences(&[("a.rs", 3)]), &allowed).unwrap();
        assert_eq!(lines(&counts).collect::<Vec<_>>(), ["a.rs phrase anew 1"]);
    }

    #[test]
    fn update_refuses_to_raise_or_add() {
        let allowed = parse("a.rs phrase anew 1\nb.rs phrase anew 1").unwrap();
        // A count that falls elsewhere does not pay for one that rises.
        assert!(lowered(&offences(&[("a.rs", 3), ("a.rs", 5)]), &allowed).is_err());
        assert!(lowered(&offences(&[("c.rs", 1)]), &allowed).is_err());
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in ["a.rs phrase anew", "a.rs phrase anew x", "a.rs phrase anew 0", "a b c d 1"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("a.rs phrase anew 1\na.rs phrase anew 1").is_err());
    }
}
