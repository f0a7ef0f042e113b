//! A machine whose address changes under a running client: real addresses, in a separate network
//! namespace. The test reports that it is left out where the system gives none (`unshare -rn` and
//! `ip` are needed).

use std::process::{Command, Stdio};

use crate::harness::{Machine, Process};

/// The relay's address, which stays.
const RELAY: &str = "10.9.0.9:8081";
/// The machine's address before the change.
const BEFORE: &str = "10.9.0.1";
/// The machine's address after the change.
const AFTER: &str = "10.9.0.2";
/// Prints a line when the network is ready, reads one, and prints another when it has changed.
const NETWORK: &str = "set -e
    export PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
    ip link set lo up
    for a in 10.9.0.9 10.9.0.1 10.9.0.2; do ip addr add $a/32 dev lo; done
    ip route replace local 10.9.0.9 dev lo table local src 10.9.0.1
    echo there
    read change
    ip route replace local 10.9.0.9 dev lo table local src 10.9.0.2
    ip addr del 10.9.0.1/32 dev lo
    echo changed
    read end";

/// A network namespace, for the lifetime of its shell.
struct Network(Process);

impl Network {
    fn open() -> Option<Network> {
        let mut able = Command::new("unshare");
        able.args(["-rn", "sh", "-c", "PATH=$PATH:/usr/sbin:/sbin ip link"]);
        let status = able.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(["-rn", "sh", "-c", NETWORK]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = Process::start(command);
        assert_eq!(shell.out(), "there");
        Some(Network(shell))
    }

    fn change(&mut self) {
        self.0.write("\n");
        assert_eq!(self.0.out(), "changed");
    }

    /// Starts the program in this network.
    fn start(&self, machine: &Machine, args: &[&str]) -> Process {
        let command = machine.command(args);
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.0.pid(), "-U", "-n", "--preserve-credentials", "--"]);
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        inside.current_dir(machine.path("."));
        inside.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::start(inside)
    }
}

// faults.md: R21
/// Neither client would send before its keep-alive, some twenty seconds after its sign-in.
#[test]
fn listener_is_reached_soon_after_address_change() {
    let Some(mut network) = Network::open() else {
        println!("left out: no network namespace here");
        return;
    };
    let machine = Machine::new();
    machine.book(&["TOM", "JACK", "ROSE"], RELAY);
    let mut relay = network.start(&machine, &["relay", "--bind", RELAY, "--tcp", "--data", "relay"]);
    assert!(relay.out().starts_with("ready "));
    let mut jack = network.start(&machine, &["listen", "--as", "JACK", "--json"]);
    let mut rose = network.start(&machine, &["listen", "--as", "ROSE", "--json", "--tcp"]);
    for listening in [&mut jack, &mut rose] {
        listening.until_err("connected to");
    }
    network.change();
    for (name, listening, via) in [("JACK", &mut jack, "udp"), ("ROSE", &mut rose, "tcp")] {
        let args = ["send", "--as", "TOM", name, "--wait", "delivered", "--timeout", "10s", "x"];
        let sent = network.start(&machine, &args).end().with(0);
        assert!(sent.result().starts_with("delivered "), "from {BEFORE} to {AFTER}: {sent:?}");
        assert!(listening.out().contains(&format!("\"via\":\"{via}\"")));
    }
    jack.terminate().with(130);
    rose.terminate().with(130);
    relay.terminate().with(0);
}
