//! The real cause of an unreachable relay is reported: no route, no name server, a small MTU, or no
//! relay.

use std::process::Command;

use crate::harness::{ExitedProcess, Machine, Process, unused_addr};

/// Runs a command in its own network, which has nothing but what `script` sets up. `None` if the
/// system has no namespaces for this user, or cannot set it up.
fn run_in(machine: &Machine, script: &str, args: &[&str]) -> Option<ExitedProcess> {
    let set_up = format!(r#"{script} || exit 99; cd "$HOME" && exec "$0" "$@""#);
    let has_namespaces = Command::new("unshare").args(["-rmn", "true"]).status().is_ok_and(|s| s.success());
    let run = || Process::start(machine.command_behind(&["unshare", "-rmn", "sh"], &set_up, args)).end();
    let exited = has_namespaces.then(run).filter(|exited| exited.code != 99);
    if exited.is_none() {
        eprintln!("no such network here: {script}");
    }
    exited
}

fn send_to(relay: &str) -> [String; 6] {
    ["send", "--as", "TOM", "--timeout=4s", &format!("JACK@{relay}"), "x"].map(str::to_owned)
}

#[track_caller]
fn assert_cause(machine: &Machine, script: &str, relay: &str, cause: &str) {
    let send = send_to(relay);
    let send = send.each_ref().map(String::as_str);
    for (args, code) in [(&send[..], 75), (&["ping", "--count=1", relay], 1)] {
        let Some(exited) = run_in(machine, script, args) else { return };
        let exited = exited.with(code);
        assert_eq!(exited.err.iter().filter(|line| line.contains(cause)).count(), 1, "{exited:?}");
        assert!(!exited.err.iter().any(|line| line.contains("start one")), "{exited:?}");
    }
}

const DUMMY: &str = "ip link set lo up && ip link add name q0 type veth peer name q1 \
    && ip addr add 192.0.2.2/24 dev q0 && ip link set q1 up \
    && ip link set q0 up && ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev q0";

#[test]
fn machine_without_network_has_no_route() {
    let machine = Machine::new();
    for relay in ["127.0.0.1:8081", "192.0.2.1:8081", "[2001:db8::1]:8081"] {
        assert_cause(&machine, "true", relay, &format!("no route to {relay}"));
    }
}

#[test]
fn forbidden_destination_is_named() {
    let script = format!("{DUMMY} && ip route add prohibit 192.0.2.77");
    assert_cause(
        &Machine::new(),
        &script,
        "192.0.2.77:8081",
        "a firewall or rule on this machine forbids sending to",
    );
}

/// A name server that refuses, and one that is silent. Neither says that the name does not exist.
#[test]
fn missing_name_server_is_named() {
    for server in ["127.0.0.1", "192.0.2.1"] {
        let machine = Machine::new();
        machine.write("resolv.conf", format!("nameserver {server}\n"));
        let script = format!("{DUMMY} && mount --bind \"$HOME/resolv.conf\" /etc/resolv.conf");
        assert_cause(&machine, &script, "chat.example.org:8081", "no name server answers for the host of");
    }
}

#[test]
fn small_mtu_is_named() {
    let script = format!("{DUMMY} && ip link set q0 mtu 1000");
    assert_cause(&Machine::new(), &script, "192.0.2.1:8081", "takes no UDP packets of 1,200 bytes");
}

/// Over UDP nothing answers, and over TCP nothing listens: one line for both.
#[test]
fn ping_gives_one_advice_for_absent_relay() {
    let machine = Machine::new();
    let relay = unused_addr();
    let exited = machine.run(&["ping", &relay, "--count", "1"]).with(1);
    assert_eq!(exited.err, [format!("no relay answers at {relay}; start one: queqiao relay --tcp")]);
}
