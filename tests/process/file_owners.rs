//! Whose files: owners, links, folders that others may write, and core dumps.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Machine, Process, relay_with_members};

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("only root can write another user's files");
    }
    is_root
}

/// Returns the files and folders below `folder` whose owner is not `owner`.
fn foreign(folder: &Path, owner: u32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        if metadata.uid() != owner && !metadata.is_symlink() {
            found.push(entry.path().display().to_string());
        }
        if metadata.is_dir() {
            found.extend(foreign(&entry.path(), owner));
        }
    }
    found
}

#[test]
fn address_book_written_by_root_stays_with_its_user() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    machine.write("contacts.toml", "[contacts]\n");
    let book = machine.path("contacts.toml");
    fs::set_permissions(&book, Permissions::from_mode(0o600)).unwrap();
    chown(&book, Some(1_234), Some(5_678)).unwrap();
    machine.run(&["contacts", "add", "JACK", "127.0.0.1:8081"]).with(0);
    let metadata = fs::metadata(&book).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o777), (1_234, 5_678, 0o600));
    assert_eq!(foreign(&machine.path(""), 0), [book.display().to_string()]);
}

/// As `sudo queqiao send`, `sudo queqiao relay` and `sudo queqiao members` with the user's folders.
#[test]
fn data_written_by_root_stays_with_its_user() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    for folder in ["user", "operator"] {
        fs::create_dir(machine.path(folder)).unwrap();
        chown(machine.path(folder), Some(1_234), Some(5_678)).unwrap();
    }
    let relay = machine.relay(&["--data", "operator/r"]);
    let to = format!("echo@{}", relay.udp);
    machine.run(&["send", "--as", "TOM", "--data", "user/d", &to, "x"]).with(0);
    machine.run(&["members", "invite", "--data", "operator/r"]).with(0);
    relay.stop().with(0);
    machine.run(&["members", "invite", "--data", "operator/r"]).with(0);
    for folder in ["user", "operator"] {
        assert_eq!(foreign(&machine.path(folder), 1_234), [""; 0]);
    }
}

#[test]
fn folder_that_others_may_write_is_refused_with_command() {
    let (machine, relay) = relay_with_members(&[], &["JACK"]);
    for folder in ["d", "r"] {
        fs::create_dir(machine.path(folder)).unwrap();
        fs::set_permissions(machine.path(folder), Permissions::from_mode(0o777)).unwrap();
    }
    let send = ["send", "--as", "TOM", "--data", "d", "echo", "x"];
    machine.run(&send).one_line(1, "others may write in d (mode 777); run: chmod go-w d");
    let serve = ["relay", "--bind", "127.0.0.1:0", "--data", "r"];
    machine.run(&serve).one_line(1, "run: chmod go-w r");
    assert_eq!(fs::read_dir(machine.path("d")).unwrap().count(), 0);
    Process::start(machine.command_behind(&["sh"], "chmod go-w d", &[])).end().with(0);
    machine.run(&send).with(0);
    relay.stop().with(0);
}

#[test]
fn private_file_that_is_symbolic_link_is_refused() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["JACK"]);
    machine.send("TOM", "echo", "x").with(0);
    relay.stop().with(0);
    let member = fs::read_dir(machine.path(".local/share/queqiao/members")).unwrap().next().unwrap().unwrap();
    let member_files = ["identity.key", "letters.sqlite", "lock"].map(|name| member.path().join(name));
    let relay_files =
        ["relay.key", "relay.sqlite", "relay.sqlite-commits"].map(|name| machine.path("r").join(name));
    for file in member_files.iter().chain(&relay_files) {
        let moved = file.with_extension("moved");
        fs::rename(file, &moved).unwrap();
        symlink(&moved, file).unwrap();
        let exited = match member_files.contains(file) {
            true => machine.send("TOM", "echo", "x"),
            false => machine.run(&["relay", "--bind", "127.0.0.1:0", "--data", "r"]),
        };
        exited.one_line(1, "is a symbolic link");
        fs::rename(&moved, file).unwrap();
    }
}

/// The shell has no such protection: without its dump the system makes none anyway.
#[test]
fn no_core_dump_holds_keys() {
    let machine = Machine::new();
    let dumps = |script: &str, args: &[&str]| -> bool {
        let mut command = machine.command_behind(&["sh"], &format!("ulimit -c unlimited; {script}"), args);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        if !args.is_empty() {
            let mut line = String::new();
            let out = child.stdout.take().unwrap();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
            assert!(line.starts_with("ready "), "{line}");
            rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::ABORT).unwrap();
        }
        child.wait().unwrap().core_dumped()
    };
    if !dumps("kill -ABRT $$", &[]) {
        eprintln!("the system makes no core dumps here");
        return;
    }
    assert!(!dumps(r#"exec "$0" "$@""#, &["relay", "--bind", "127.0.0.1:0"]));
}
