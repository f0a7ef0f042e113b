//! The relay's process: its start, its output, and the reasons not to start.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Machine, Process, relay_with_members};

#[test]
fn relay_prints_ready_line_and_line_to_paste() {
    let machine = Machine::new();
    let mut plain = machine.relay(&[]);
    let wanted = format!("ready udp={} tcp=- key={}", plain.udp, plain.key);
    assert_eq!(plain.line, wanted);
    let pasted = format!("NAME = {{ relay = \"{}\", relay_key = \"{}\" }}", plain.udp, plain.key);
    assert_eq!(plain.process.until_err("NAME"), pasted);
    let both = machine.relay(&["--tcp", "--data", "both"]);
    assert_eq!(both.tcp, Some(both.udp));
    assert_ne!(both.key, plain.key);
    let parts: Vec<usize> = both.key.split('-').map(str::len).collect();
    assert_eq!(parts, [5; 4]);
    let mut apart = machine.relay(&["--tcp=127.0.0.1:0", "--data", "apart"]);
    let tcp = apart.tcp.unwrap();
    assert!(tcp.port() != 0);
    assert!(apart.process.until_err("NAME").contains(&format!("tcp = \"{tcp}\"")));
    for relay in [plain, both, apart] {
        let exited = relay.stop().with(0);
        // Besides the lines for address books, the log has the start and the end.
        assert_eq!((exited.out.len(), exited.err.len()), (1, 4), "{exited:?}");
    }
}

#[test]
fn relay_keeps_its_key() {
    let machine = Machine::new();
    let first = machine.relay(&[]);
    let key = first.key.clone();
    first.stop().with(0);
    assert_eq!(machine.relay(&[]).key, key);
}

#[test]
fn ipv6_relay_also_serves_ipv4() {
    let Ok(probe) = UdpSocket::bind("[::1]:0") else { return };
    drop(probe);
    let machine = Machine::new();
    let relay = machine.relay(&["--bind", "[::]:0", "--tcp"]);
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let to = format!("echo@{host}:{}", relay.udp.port());
        for carrier in ["--udp", "--tcp"] {
            machine.run(&["send", "--as", "TOM", carrier, &to, "x"]).with(0);
        }
    }
}

/// A port alone is one of 127.0.0.1, a colon before it means every address of the machine, and a
/// host name means all its addresses.
#[test]
fn relay_binds_port_every_address_and_host_name() {
    let machine = Machine::new();
    let table =
        [("0", "127.0.0.1", "port"), (":0", "127.0.0.2", "every"), ("localhost:0", "localhost", "name")];
    for (bind, host, data) in table {
        let relay = machine.relay(&["--bind", bind, "--tcp", "--data", data]);
        assert_eq!(relay.udp.ip().is_unspecified(), bind == ":0", "{}", relay.line);
        assert_eq!(relay.tcp, Some(relay.udp));
        let to = format!("echo@{host}:{}", relay.udp.port());
        for carrier in ["--udp", "--tcp"] {
            machine.run(&["send", "--as", "TOM", carrier, &to, "x"]).with(0);
        }
        relay.stop().with(0);
    }
    machine.run(&["relay", "--bind", "relay.invalid:0"]).one_line(1, "relay.invalid has no address");
    machine.run(&["relay", "--bind", ":0", "--limits", "off"]).one_line(2, "--limits off");
}

#[test]
fn port_in_use_is_named() {
    let machine = Machine::new();
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = udp.local_addr().unwrap().to_string();
    let wanted =
        format!("{addr} is already in use (udp); choose another port, or stop the program that uses it");
    machine.run(&["relay", "--bind", &addr]).one_line(1, &wanted);
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = tcp.local_addr().unwrap().to_string();
    let wanted =
        format!("{addr} is already in use (tcp); choose another port, or stop the program that uses it");
    machine.run(&["relay", "--bind", &addr, "--tcp"]).one_line(1, &wanted);
    machine.run(&["relay", "--bind", "127.0.0.1:0", &format!("--tcp={addr}")]).one_line(1, &wanted);
}

#[test]
fn address_of_another_machine_is_named() {
    let wanted = "cannot listen on 192.0.2.1:8081 (udp)";
    Machine::new().run(&["relay", "--bind", "192.0.2.1:8081"]).one_line(1, wanted);
}

// faults.md: R77
#[test]
fn two_relays_do_not_share_folder_or_port() {
    let machine = Machine::new();
    let first = machine.relay(&["--tcp"]);
    let busy = format!("another relay (process {}) is using", first.process.pid());
    machine.run(&["relay", "--bind", "127.0.0.1:0"]).one_line(1, &busy);
    let port = format!("{} is already in use", first.udp);
    machine.run(&["relay", "--bind", &first.udp.to_string(), "--data", "other"]).one_line(1, &port);
    first.stop().with(0);
}

#[test]
fn file_in_place_of_data_folder_is_named() {
    let machine = Machine::new();
    machine.write("file", "");
    let relay = ["relay", "--bind", "127.0.0.1:0", "--data"];
    machine.run(&[&relay[..], &["file"]].concat()).one_line(1, "file");
    machine.run(&[&relay[..], &["file/deeper"]].concat()).one_line(1, "file");
    machine.run(&["send", "--as", "TOM", "--data", "file", "echo@127.0.0.1:1", "x"]).one_line(1, "file");
}

// faults.md: R71, R76
#[test]
fn damaged_or_readable_relay_key_is_named_and_kept() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM"]);
    machine.send("TOM", "echo", "x").with(0);
    relay.stop().with(0);
    let key = machine.path("r/relay.key");
    let good = fs::read_to_string(&key).unwrap();
    let start = ["relay", "--bind", "127.0.0.1:0", "--data", "r"];

    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    machine.run(&start).one_line(
        1,
        "r/relay.key contains a private key but is accessible to others (mode 644); run: chmod 600",
    );
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let damaged = good.replace('\n', "A\n");
    fs::write(&key, &damaged).unwrap();
    machine.run(&start).one_line(1, "the key in r/relay.key is damaged; restore the file from a backup");
    assert_eq!(fs::read_to_string(&key).unwrap(), damaged);

    fs::remove_file(&key).unwrap();
    machine.run(&start).one_line(1, "r/relay.key is missing");
    fs::write(&key, good).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    fs::write(machine.path("r/relay.sqlite"), "not a database, and long enough to look like one".repeat(50))
        .unwrap();
    machine.run(&start).one_line(1, "r/relay.sqlite is not a queqiao database");
}

// faults.md: R76
#[test]
fn readable_member_key_is_named() {
    let (machine, _relay) = relay_with_members(&[], &["TOM"]);
    machine.send("TOM", "echo", "x").with(0);
    let member = fs::read_dir(machine.path(".local/share/queqiao/members")).unwrap().next().unwrap().unwrap();
    let key = member.path().join("identity.key");
    fs::set_permissions(&key, Permissions::from_mode(0o604)).unwrap();
    machine
        .send("TOM", "echo", "x")
        .one_line(1, "identity.key contains a private key but is accessible to others (mode 604)");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "x").unwrap();
    machine.send("TOM", "echo", "x").one_line(1, "identity.key is damaged");
}

#[test]
fn relay_restarts_on_its_port_despite_time_wait() {
    let (machine, relay) = relay_with_members(&["--tcp"], &["TOM"]);
    let addr = relay.udp.to_string();
    let listener = machine.listen("TOM", &["--tcp"]);
    // The relay closes first, so its end of the connection stays in TIME_WAIT.
    relay.stop().with(0);
    let again = machine.relay(&["--bind", &addr, "--tcp"]);
    assert_eq!(again.tcp.unwrap().to_string(), addr);
    drop(listener);
    again.stop().with(0);
    machine.relay(&["--bind", &addr, "--tcp"]).stop().with(0);
}

#[test]
fn limits_off_requires_loopback() {
    let machine = Machine::new();
    let wanted = "--limits off is for benchmarks and requires a loopback address, not 0.0.0.0:0";
    machine.run(&["relay", "--bind", "0.0.0.0:0", "--limits", "off"]).one_line(2, wanted);
    machine
        .run(&["relay", "--bind", "127.0.0.1:0", "--tcp=0.0.0.0:0", "--limits", "off"])
        .one_line(2, wanted);
    machine.relay(&["--bind", "127.0.0.1:0", "--limits", "off"]).stop().with(0);
}

#[test]
fn limits_come_from_flags_and_variables() {
    let machine = Machine::new();
    let wanted = "no message would fit: --pair-bytes, --mailbox-bytes, --all-mailboxes-bytes and --memory-bytes must \
                  each be greater than 128; for messages of every length, use 128K";
    machine.run(&["relay", "--bind", "127.0.0.1:0", "--memory-bytes", "100"]).one_line(2, wanted);
    for (variable, value) in
        [("QUEQIAO_MEMORY_BYTES", "100"), ("QUEQIAO_CONNECTIONS", "0"), ("QUEQIAO_SESSIONS", "all")]
    {
        let mut command = machine.command(&["relay", "--bind", "127.0.0.1:0"]);
        command.env(variable, value);
        Process::start(command).end().with(2);
    }
    let mut command =
        machine.command(&["relay", "--bind", "127.0.0.1:0", "--data", "r", "--connections", "9"]);
    command.envs([("QUEQIAO_CONNECTIONS", "0"), ("QUEQIAO_STRANGER_SESSIONS", "9")]);
    assert!(Process::start(command).out().starts_with("ready "), "a flag wins over its variable");
}
