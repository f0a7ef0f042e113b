//! The house keeps its own rules: floors, sizes, bans. Each failure names the file, the line and the rule.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use. A room that is not in the table fails the test.
const MAY_USE: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &["base"]),
    ("session", &["base", "wire"]),
    ("link", &["base", "wire"]),
    ("peer", &["base", "wire", "session", "link"]),
    ("relay", &["base", "wire", "session", "link", "peer"]),
    ("client", &["base", "wire", "session", "link", "peer"]),
    ("contacts", &["base"]),
    ("store", &["base", "relay", "client"]),
    ("net", &["base", "wire"]),
    ("ui", &["base", "wire", "client", "contacts"]),
    (
        "app",
        &["base", "wire", "session", "link", "peer", "relay", "client", "contacts", "store", "net", "ui"],
    ),
    (
        "cli",
        &[
            "base", "wire", "session", "link", "peer", "relay", "client", "contacts", "store", "net", "ui",
            "app",
        ],
    ),
];

/// Rooms without sockets, files, threads, clocks or global randomness.
const SANS_IO: &[&str] = &["base", "wire", "session", "link", "peer", "relay", "client"];

/// What a sans-IO room may not say, each with the reason.
const BANNED_INSIDE: &[(&str, &str)] = &[
    ("std::net::Udp", "sockets belong to net"),
    ("std::net::Tcp", "sockets belong to net"),
    ("std::fs", "files belong to store and contacts"),
    ("std::io", "input and output belong to the rooms above"),
    ("std::thread", "threads belong to the rooms above"),
    ("std::env", "the environment belongs to cli"),
    ("Instant::now", "time comes in as base::Now"),
    ("SystemTime", "time comes in as base::Now"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("getrandom", "randomness comes from a seed"),
    ("allow(clippy::disallowed", "the ban holds in these rooms"),
];

const FILE_LINES_MAX: usize = 600;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("the folder is there").map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn all(top: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    if root.join(top).is_dir() {
        sources(&root.join(top), &mut found);
    }
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The files, and the folders, that only tests are in: `#[cfg(test)] mod name;` somewhere beside or above them.
fn test_only() -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in all("src") {
        let stem = file.strip_suffix("/mod.rs").or(file.strip_suffix(".rs")).expect("all are Rust files");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            if let Some(name) = pair[1].strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                found.push(format!("{stem}/{name}.rs"));
                found.push(format!("{stem}/{name}/"));
            }
        }
    }
    found
}

fn room_of(file: &str) -> Option<&str> {
    let inside = file.strip_prefix("src/")?;
    let room = inside.split('/').next()?;
    (room != "lib.rs" && room != "main.rs").then_some(room)
}

/// Every room named behind `crate::` on a line that is code; `crate::{a::x, b::y}` names each of them.
fn rooms_used(line: &str) -> Vec<String> {
    let code = line.trim_start();
    if code.starts_with("//") {
        return Vec::new();
    }
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => top_level_parts(group),
            None => vec![rest],
        };
        for name in names {
            let word: String =
                name.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !word.is_empty() {
                rooms.push(word);
            }
        }
    }
    rooms
}

fn top_level_parts(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

#[test]
fn rooms_use_only_rooms_on_lower_floors() {
    let mut wrong = Vec::new();
    for (file, text) in all("src") {
        let Some(room) = room_of(&file) else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|row| row.0 == room) else {
            wrong.push(format!("{file}: room `{room}` has no row in the table"));
            continue;
        };
        let joined = text.replace("crate::{\n", "crate::{");
        for (number, line) in joined.lines().enumerate() {
            for used in rooms_used(line) {
                if used != room && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{file}:{}: `{room}` may not use `{used}`", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sans_io_rooms_touch_nothing_outside() {
    let mut wrong = Vec::new();
    for (file, text) in all("src") {
        if !room_of(&file).is_some_and(|room| SANS_IO.contains(&room)) {
            continue;
        }
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for (banned, reason) in BANNED_INSIDE.iter().filter(|(banned, _)| line.contains(banned)) {
                wrong.push(format!("{file}:{}: `{banned}`: {reason}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    let trees = ["src", "tests", "benches", "fuzz/fuzz_targets"];
    for (file, text) in trees.iter().flat_map(|tree| all(tree)) {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{file}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{file}: does not open with what it is for"));
        }
        if file.contains("utils") || file.contains("common") || file.contains("helper") {
            wrong.push(format!("{file}: a name that says nothing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_or_asleep() {
    let (mut wrong, test_only) = (Vec::new(), test_only());
    for (file, text) in ["src", "tests", "benches"].iter().flat_map(|tree| all(tree)) {
        if file == "tests/tidy.rs" {
            continue;
        }
        let body = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let unfinished = ["todo!(", "unimplemented!(", "FIXME", "XXX", "#[ignore"];
            if let Some(mark) = unfinished.iter().find(|mark| line.contains(*mark)) {
                wrong.push(format!("{file}:{}: `{mark}`", number + 1));
            }
            if file.starts_with("tests/") && line.contains("thread::sleep") {
                wrong.push(format!("{file}:{}: a test that sleeps; wait for the event", number + 1));
            }
        }
        let shipped = file.starts_with("src/") && !test_only.iter().any(|t| file.starts_with(t.as_str()));
        for (number, line) in body.lines().enumerate().filter(|_| shipped) {
            if line.contains(".unwrap()") && !line.trim_start().starts_with("//") {
                wrong.push(format!("{file}:{}: a bare unwrap outside tests", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_in_lib_rs_names_every_room() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (room, _) in MAY_USE {
        assert!(lib.contains(&format!("[`{room}`]")), "src/lib.rs does not tell of `{room}`");
        assert!(lib.contains(&format!("pub mod {room};")), "src/lib.rs does not open `{room}`");
    }
}

#[test]
fn the_reader_of_imports_sees_groups() {
    assert_eq!(rooms_used("use crate::{base::{Now, Tick}, wire};"), ["base", "wire"]);
    assert_eq!(rooms_used("    let x = crate::net::now();"), ["net"]);
    assert!(rooms_used("// crate::net").is_empty());
}
