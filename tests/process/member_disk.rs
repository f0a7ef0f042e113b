//! The disk of a member or operator is full or read-only, or the process may open few files.
//! Commands that only read work; the others name the cause.

use std::process::Command;

use crate::harness::{ExitedProcess, Machine, Process, Relay, relay_with_members};

/// A small file system at `disk` in a machine's home, in namespaces that last as long as `keeper`.
struct SmallDisk {
    machine: Machine,
    relay: Relay,
    keeper: Process,
}

impl SmallDisk {
    /// Returns a disk with TOM's folder and a relay's folder. TOM has a letter of `echo`. `None` if
    /// the system has no namespaces for this user.
    fn new() -> Option<SmallDisk> {
        if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success()) {
            eprintln!("no namespaces here");
            return None;
        }
        let (machine, relay) = relay_with_members(&["--tcp"], &["JACK"]);
        std::fs::create_dir(machine.path("disk")).unwrap();
        let script = "mount -t tmpfs -o size=1m,mode=700 none disk && echo up && exec cat";
        let mut keeper = Process::start(machine.command_behind(&["unshare", "-rm", "sh"], script, &[]));
        assert_eq!(keeper.out(), "up");
        let disk = SmallDisk { machine, relay, keeper };
        disk.shell("cp contacts.toml disk");
        assert!(disk.run(&["send", "echo", "hello"]).result().starts_with("delivered "));
        let args = ["relay", "--bind", "127.0.0.1:0", "--data", "disk/r"];
        Relay::start(disk.command(r#"exec "$0" "$@""#, &args)).stop().with(0);
        Some(disk)
    }

    fn command(&self, script: &str, args: &[&str]) -> Command {
        let pid = self.keeper.pid();
        let enter = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", &pid, "--", "sh"];
        let script = format!(r#"cd "$HOME" && {script}"#);
        let mut command = self.machine.command_behind(&enter, &script, args);
        command.env("QUEQIAO_AS", "TOM").env("QUEQIAO_CONTACTS", "disk/contacts.toml");
        command.env("QUEQIAO_DATA", "disk/d");
        command
    }

    fn shell(&self, script: &str) {
        Process::start(self.command(script, &[])).end().with(0);
    }

    fn run(&self, args: &[&str]) -> ExitedProcess {
        let mut process = Process::start(self.command(r#"exec "$0" "$@""#, args));
        process.write_and_close(b"");
        process.end()
    }

    fn assert_reading_works(&self) {
        assert!(self.run(&["history"]).with(0).out.last().unwrap().ends_with("HELLO"));
        assert_eq!(self.run(&["contacts", "list"]).with(0).out.len(), 1);
        self.run(&["contacts", "check"]).with(0);
        assert_eq!(self.run(&["trust"]).with(0).out.len(), 1);
        self.run(&["ping", "JACK", "--count", "1"]).with(0);
        self.run(&["members", "list", "--data", "disk/r"]).with(0);
    }

    fn assert_refused(&self, args: &[&str], needle: &str) {
        let exited = self.run(args).with(74);
        assert!(exited.err.iter().any(|line| line.contains(needle)), "{args:?}: {exited:?}");
        assert!(exited.out.is_empty(), "{args:?}: {exited:?}");
    }
}

// faults.md: R72
#[test]
fn read_only_disk_is_named_and_reading_works() {
    let Some(disk) = SmallDisk::new() else { return };
    disk.shell("mount -o remount,ro disk");
    disk.assert_reading_works();
    for args in [
        &["send", "echo", "again"][..],
        &["listen", "--for", "1s"],
        &["chat", "JACK"],
        &["send", "--as", "NEW", "echo", "x"],
        &["contacts", "add", "TIM", "127.0.0.1:1"],
        &["history", "--forget", "--yes"],
        &["members", "invite", "--data", "disk/r"],
        &["relay", "--bind", "127.0.0.1:0", "--data", "disk/r"],
        &["relay", "--bind", "127.0.0.1:0", "--data", "disk/new"],
    ] {
        disk.assert_refused(args, "is on a read-only file system");
    }
    disk.shell("mount -o remount,rw disk");
    assert!(disk.run(&["send", "echo", "again"]).result().starts_with("delivered "));
    disk.relay.stop().with(0);
}

// faults.md: R72
#[test]
fn full_disk_of_member_is_named_and_reading_works() {
    let Some(disk) = SmallDisk::new() else { return };
    disk.shell("cat /dev/zero > disk/filler; true");
    disk.assert_reading_works();
    for args in [
        &["send", "echo", "again"][..],
        &["send", "--as", "NEW", "echo", "x"],
        &["members", "invite", "--data", "disk/r"],
        &["relay", "--bind", "127.0.0.1:0", "--data", "disk/r"],
        &["relay", "--bind", "127.0.0.1:0", "--data", "disk/new"],
    ] {
        disk.assert_refused(args, "no space left on the disk for disk/");
    }
    disk.shell("rm disk/filler");
    assert!(disk.run(&["send", "echo", "again"]).result().starts_with("delivered "));
    disk.relay.stop().with(0);
}

#[test]
fn full_disk_for_results_is_named() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let (machine, _relay) = relay_with_members(&[], &["JACK"]);
    machine.send("TOM", "echo", "x").with(0);
    for args in
        [&["history", "--as", "TOM"][..], &["contacts", "list"], &["send", "--as", "TOM", "echo", "x"]]
    {
        let script = r#"exec "$0" "$@" > /dev/full"#;
        let exited = Process::start(machine.command_behind(&["sh"], script, args)).end().with(74);
        assert!(exited.err.last().unwrap().contains("standard output"), "{exited:?}");
    }
}

/// No limit leads to another cause, such as a missing permission or a silent relay.
#[test]
fn limit_on_open_files_is_named() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["JACK"]);
    machine.send("TOM", "echo", "x").with(0);
    let causes = ["open no more files", "Too many open files", "no socket left"];
    for limit in 6..17 {
        let script = format!(r#"ulimit -n {limit}; exec "$0" "$@""#);
        for args in
            [&["send", "--as", "TOM", "echo", "x", "--timeout", "1s"][..], &["ping", "JACK", "--count", "1"]]
        {
            let mut process = Process::start(machine.command_behind(&["sh"], &script, args));
            process.write_and_close(b"");
            let exited = process.end();
            let is_told = exited.err.iter().any(|line| causes.iter().any(|cause| line.contains(cause)));
            assert!(exited.code == 0 || is_told, "{limit}: {exited:?}");
            assert!(!exited.err.iter().any(|line| line.contains("no permission")), "{limit}: {exited:?}");
            assert!(!exited.err.iter().any(|line| line.contains("no relay answers")), "{limit}: {exited:?}");
        }
    }
    relay.stop().with(0);
}
