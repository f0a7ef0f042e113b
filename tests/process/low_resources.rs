//! Few descriptors, little memory, many strangers: new connections are refused, old ones are
//! served, and neither CPU time nor memory grows.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use queqiao::base::{Carrier, PublicKey, Rng};
use queqiao::session::{Identity, InitPayload, Initiator, KeyQuery};

use crate::harness::{Machine, Relay, relay_with_members};

/// Returns a number from `/proc/PID/status`, such as the kB of `VmRSS`.
fn status(relay: &Relay, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", relay.process.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
}

/// Returns the CPU time so far, in ticks of 10 ms.
fn cpu(relay: &Relay) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", relay.process.pid())).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Returns the number of open descriptors; 0 unless root asks, because a relay hides its memory and
/// descriptors from the other processes of its user.
fn descriptors(relay: &Relay) -> usize {
    let listed = fs::read_dir(format!("/proc/{}/fd", relay.process.pid()));
    if rustix::process::geteuid().is_root() { listed.unwrap().count() } else { 0 }
}

/// Returns a relay, also on TCP, within this limit of its shell, and a book with TOM and JACK.
fn relay_with_limit(limit: &str) -> (Machine, Relay) {
    let machine = Machine::new();
    let args = ["relay", "--bind", "127.0.0.1:0", "--tcp", "--data", "r"];
    let script = format!(r#"{limit} && exec "$0" "$@""#);
    let relay = machine.relay_from(machine.command_behind(&["sh"], &script, &args));
    machine.book(&["TOM", "JACK"], relay.udp);
    (machine, relay)
}

/// Waits until the relay has read all earlier input and sent its answers.
fn close_connections(machine: &Machine, relay: &Relay, carrier: &str) {
    let to = format!("echo@{}", relay.udp);
    machine.run(&["send", "--as", "TOM", "--timeout", "25s", carrier, &to, "x"]).with(0);
}

// faults.md: R38, R78
/// Without descriptors it does not spin either.
#[test]
fn relay_with_64_descriptors_refuses_new_and_serves_old() {
    let (machine, relay) = relay_with_limit("ulimit -n 64");
    let mut jack = machine.listen("JACK", &["--tcp"]);
    machine.register("MARY");
    let strangers: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(relay.udp).unwrap()).collect();
    let before = cpu(&relay);
    let waited = machine.run(&["listen", "--as", "TOM", "--udp", "--for", "1s"]).with(0);
    assert_eq!(waited.out, [""; 0]);
    let used = cpu(&relay) - before;
    assert!(used < 30, "{used} ticks of 10 ms in an idle second");
    for n in 0..5 {
        machine.run(&["send", "--as", "TOM", "--udp", "JACK", &n.to_string()]).result();
        assert!(jack.out().ends_with(&format!(" TOM [tcp] {n}")), "the older connection is served");
    }
    let kept = machine.run(&["send", "--as", "TOM", "--udp", "MARY", "x"]);
    assert!(kept.result().starts_with("accepted "), "the store needs no further descriptor");
    drop(strangers);
    close_connections(&machine, &relay, "--tcp");
    relay.stop().with(0);
}

/// It raises the soft limit of its shell to the hard one.
#[test]
fn relay_raises_its_own_limit_of_open_files() {
    let open_files = |relay: &Relay| {
        let text = fs::read_to_string(format!("/proc/{}/limits", relay.process.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().take(2).map(|number| number.parse().unwrap()).collect::<Vec<u64>>()
    };
    let (_machine, relay) = relay_with_limit("ulimit -S -n 64 && ulimit -H -n 2000");
    assert_eq!(open_files(&relay), [2_000, 2_000]);
    let strangers: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(relay.udp).unwrap()).collect();
    close_connections(&_machine, &relay, "--udp");
    let open = descriptors(&relay);
    assert!(open > 400 || !rustix::process::geteuid().is_root(), "{open}");
    drop(strangers);
    let exited = relay.stop().with(0);
    assert!(!exited.err.iter().any(|line| line.contains("open")), "{exited:?}");
}

#[test]
fn relay_reports_if_it_may_open_too_few_files() {
    for (lang, wanted) in [
        (
            "en",
            "the system lets this relay open 256 files, but its limits require 1056; raise ulimit -n, or lower --connections",
        ),
        (
            "zh",
            "系统只允许本中继打开 256 个文件，而它的上限需要 1056 个；请提高 ulimit -n，或调低 --connections",
        ),
    ] {
        let machine = Machine::new();
        let args = ["relay", "--bind", "127.0.0.1:0", "--tcp", "--data", "r", "--lang", lang];
        let script = r#"ulimit -n 256 && exec "$0" "$@""#;
        let exited = machine.relay_from(machine.command_behind(&["sh"], script, &args)).stop().with(0);
        assert_eq!(
            exited.err.iter().filter(|line| line.contains("1056") || line.contains("1,056")).count(),
            1,
            "{exited:?}"
        );
        assert!(exited.err.iter().any(|line| line == wanted), "{exited:?}");
        let fewer = [&args[..], &["--connections", "200"]].concat();
        let exited = machine.relay_from(machine.command_behind(&["sh"], script, &fewer)).stop().with(0);
        assert!(!exited.err.iter().any(|line| line.contains("256")), "{exited:?}");
    }
}

// faults.md: R78
/// 500 strangers are connected too.
#[test]
fn relay_with_little_memory_survives_full_mailbox() {
    // The program, its stacks and its libraries use most of it.
    let (machine, relay) = relay_with_limit("ulimit -v 200000");
    machine.register("JACK");
    let _strangers: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(relay.udp).unwrap()).collect();
    // One more than the 8 MiB that a pair may have waiting.
    let lines = format!("{}\n", "x".repeat(60_000)).repeat(140);
    let tom = machine.run_with(&["send", "--as", "TOM", "--lines", "JACK"], lines.as_bytes());
    let taken = tom.out.iter().filter(|line| line.starts_with("accepted ")).count();
    assert!(tom.code == 1 && taken == 139 && tom.notices()[0].ends_with(" full"), "{taken} of 140");
    let jack = machine.run(&["listen", "--as", "JACK", "--count", &taken.to_string()]).with(0);
    assert_eq!(jack.out.len(), taken);
    assert!(status(&relay, "VmHWM:") < 65_536, "{} kB at most", status(&relay, "VmHWM:"));
    relay.stop().with(0);
}

// faults.md: R38
#[test]
fn ten_thousand_short_connections_leave_no_descriptor() {
    let (machine, relay) = relay_with_members(&["--tcp", "--data", "r"], &["TOM"]);
    close_connections(&machine, &relay, "--tcp");
    let before = descriptors(&relay);
    let memory = status(&relay, "VmRSS:");
    for _ in 0..10_000 {
        drop(TcpStream::connect(relay.udp).unwrap());
    }
    close_connections(&machine, &relay, "--tcp");
    let stream = TcpStream::connect(relay.udp).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(
        matches!((&stream).read(&mut [0; 9]), Ok(0) | Err(_)),
        "the relay has seen the connections before"
    );
    assert!(descriptors(&relay) <= before + 1, "{} of {before}", descriptors(&relay));
    assert!(status(&relay, "VmRSS:") < memory + 8_192);
}

// faults.md: R39
#[test]
fn reset_or_end_at_every_byte_closes_only_its_connection() {
    let (machine, relay) = relay_with_members(&["--tcp", "--data", "r"], &["TOM"]);
    close_connections(&machine, &relay, "--tcp");
    let before = descriptors(&relay);
    let query = KeyQuery::new(Carrier::Tcp, &mut Rng::from_seed([1; 32]));
    let packet = query.packet();
    let mut bytes = vec![0xFF];
    bytes.extend((packet.len() as u16).to_be_bytes());
    bytes.extend(packet);
    for len in 0..=bytes.len() {
        for is_reset in [true, false] {
            let mut stream = TcpStream::connect(relay.udp).unwrap();
            std::io::Write::write_all(&mut stream, &bytes[..len]).unwrap();
            if is_reset {
                let linger = Some(Duration::ZERO);
                rustix::net::sockopt::set_socket_linger(&stream, linger).unwrap();
            } else {
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut came = Vec::new();
                let end = stream.read_to_end(&mut came);
                assert!(end.is_ok() && (came.len() > 1) == (len == bytes.len()), "{len}: {end:?} {came:?}");
            }
        }
    }
    close_connections(&machine, &relay, "--tcp");
    assert!(descriptors(&relay) <= before + 1);
}

// faults.md: R7
#[test]
fn inits_from_2000_addresses_cost_no_memory() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &["TOM"]);
    close_connections(&machine, &relay, "--udp");
    let first = |n: u16, key: &PublicKey| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        let identity = Identity::from_private(seed);
        let mut rng = Rng::from_seed(seed);
        let hello = InitPayload { counter: 1, continues: None };
        Initiator::new(&identity, key, &hello, u32::from(n) + 1, Carrier::Udp, &mut rng).unwrap()
    };
    let key = query_key(&relay);
    let mut memory = 0;
    for n in 0..2_000u16 {
        let [high, low] = n.to_be_bytes();
        let Ok(socket) = UdpSocket::bind((Ipv4Addr::new(127, 9, high, low), 0)) else { return };
        socket.send_to(first(n, &key).packet(), relay.udp).unwrap();
        if n == 200 {
            close_connections(&machine, &relay, "--udp");
            memory = status(&relay, "VmRSS:");
        }
    }
    close_connections(&machine, &relay, "--udp");
    let grown = status(&relay, "VmRSS:").saturating_sub(memory);
    assert!(grown < 8_192, "{grown} kB more");
}

fn query_key(relay: &Relay) -> PublicKey {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let query = KeyQuery::new(Carrier::Udp, &mut Rng::from_seed([2; 32]));
    socket.send_to(query.packet(), relay.udp).unwrap();
    let mut answer = [0; 2_000];
    let (len, _) = socket.recv_from(&mut answer).unwrap();
    query.handle_answer(&answer[..len]).unwrap()
}
