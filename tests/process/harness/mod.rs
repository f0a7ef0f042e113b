//! Test harness: a folder that represents a machine, and the processes that run on it.

mod fault_injector;
mod process;
mod proxy;

pub use fault_injector::FaultInjector;
pub use process::{ExitedProcess, Process, SOON};
pub use proxy::{TcpProxy, UdpProxy, socket};

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_queqiao");

/// A machine. Its home folder contains every file of its processes and is their working folder.
pub struct Machine {
    dir: TempDir,
    /// Folder of the sockets.
    run: TempDir,
    faults: Option<FaultInjector>,
}

impl Machine {
    pub fn new() -> Machine {
        Machine { dir: tempfile::tempdir().unwrap(), run: tempfile::tempdir().unwrap(), faults: None }
    }

    /// Returns a machine that can be made to fail.
    pub fn with_faults(faults: &FaultInjector) -> Machine {
        Machine { faults: Some(faults.clone()), ..Machine::new() }
    }

    /// Returns the directory of run-time files, `XDG_RUNTIME_DIR`.
    pub fn run_path(&self) -> &Path {
        self.run.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes an address book in which every name is reached at `relay`.
    pub fn book(&self, names: &[&str], relay: impl std::fmt::Display) {
        let entries: String = names.iter().map(|name| format!("{name:?} = \"{relay}\"\n")).collect();
        self.write("contacts.toml", format!("[contacts]\n{entries}"));
    }

    /// Writes an address book in which every relay has a separate address for TCP.
    pub fn split_book(&self, file: &str, names: &[&str], udp: SocketAddr, tcp: SocketAddr) {
        let entry = |name| format!("{name} = {{ relay = \"{udp}\", tcp = \"{tcp}\" }}\n");
        let entries: String = names.iter().map(entry).collect();
        self.write(file, format!("[contacts]\n{entries}"));
    }

    /// Returns the program with these arguments, as a user in this home would start it. The
    /// environment of the test is cleared.
    pub fn command(&self, args: &[&str]) -> Command {
        self.set_up(Command::new(PROGRAM), args)
    }

    /// The same in a shell that runs `script` first, which ends with `exec "$0" "$@"`.
    pub fn command_behind(&self, shell: &[&str], script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", script, PROGRAM]);
        self.set_up(command, args)
    }

    fn set_up(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).current_dir(self.dir.path()).env_clear();
        if let Ok(path) = std::env::var("PATH") {
            command.env("PATH", path);
        }
        if let Some(faults) = &self.faults {
            faults.load_into(&mut command);
        }
        command.env("XDG_RUNTIME_DIR", self.run.path());
        command.env("HOME", self.dir.path()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a process. Its standard input stays open.
    pub fn start(&self, args: &[&str]) -> Process {
        Process::start(self.command(args))
    }

    /// Runs a process to its end, without input.
    pub fn run(&self, args: &[&str]) -> ExitedProcess {
        self.run_with(args, b"")
    }

    /// Runs a process to its end with this on its standard input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> ExitedProcess {
        let mut process = self.start(args);
        process.write_and_close(input);
        process.end()
    }

    /// Starts a relay and waits until it is ready. Adds `--bind` unless it is among `args`.
    pub fn relay(&self, args: &[&str]) -> Relay {
        let own = own_address().to_string();
        let mut all = vec!["relay"];
        if !args.contains(&"--bind") {
            all.extend(["--bind", &own]);
        }
        all.extend(args);
        self.relay_from(self.command(&all))
    }

    /// Starts a relay by this command and waits until it is ready.
    pub fn relay_from(&self, command: Command) -> Relay {
        Relay::ready(Process::start(command))
    }

    /// Starts a member that listens, and waits until it has signed in.
    pub fn listen(&self, name: &str, args: &[&str]) -> Process {
        let mut all = vec!["listen", "--as", name];
        all.extend(args);
        let mut process = self.start(&all);
        process.until_err("connected to");
        process
    }

    /// Registers a member, which is away afterwards.
    pub fn register(&self, name: &str) {
        self.listen(name, &[]).terminate().with(130);
    }

    /// Starts a member that chats in line mode over a pipe. It has signed in and had an answer from
    /// `echo`.
    pub fn chat(&self, name: &str, relay: &Relay, args: &[&str]) -> Process {
        let echo = format!("echo@{}", relay.udp);
        let mut all = vec!["chat", "--as", name, &echo];
        all.extend(args);
        let mut process = self.start(&all);
        process.write("are you there\nquit\n");
        assert!(process.out().ends_with("ARE YOU THERE"));
        process
    }

    /// Starts a member that sends lines to `echo` and shows no letters. This line has been
    /// accepted.
    pub fn start_send(&self, name: &str, line: &str) -> Process {
        let mut process = self.start(&["send", "--as", name, "--lines", "echo"]);
        process.write(line);
        process.out();
        process
    }

    /// Sends one letter and waits for the end of the command.
    pub fn send(&self, from: &str, to: &str, text: &str) -> ExitedProcess {
        self.run(&["send", "--as", from, to, text])
    }
}

/// Returns a loopback address for one relay of one test, so that the relay finds it free when it
/// starts again. The port is below the ephemeral ports, which begin at 32,768: no other socket gets
/// it by chance, not even one bound to all addresses.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = [127, 1 + high % 254, low, 1 + (next % 254) as u8];
    SocketAddr::from((host, 20_000 + next / 254))
}

/// Returns an address without a listener on either carrier, where a relay may be started later.
pub fn unused_addr() -> String {
    own_address().to_string()
}

/// A relay that has printed its ready line.
pub struct Relay {
    pub process: Process,
    /// The whole ready line.
    pub line: String,
    pub udp: SocketAddr,
    pub tcp: Option<SocketAddr>,
    pub key: String,
}

impl Relay {
    /// Starts a relay by this command and waits until it is ready.
    pub fn start(command: Command) -> Relay {
        Relay::ready(Process::start(command))
    }

    fn ready(mut process: Process) -> Relay {
        let line = process.out();
        let fields: Vec<&str> = line.split(' ').collect();
        let ["ready", udp, tcp, key, ..] = fields[..] else { panic!("not a ready line: {line}") };
        let udp = udp.strip_prefix("udp=").unwrap().parse().unwrap();
        let tcp = tcp.strip_prefix("tcp=").unwrap();
        let tcp = (tcp != "-").then(|| tcp.parse().unwrap());
        let key = key.strip_prefix("key=").unwrap().to_owned();
        Relay { process, line, udp, tcp, key }
    }

    /// Stops the relay in good order.
    pub fn stop(self) -> ExitedProcess {
        self.process.terminate()
    }
}

/// Returns the texts of letters in lines of `listen` or `history` for people.
pub fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split_once("] ").expect("a line has the carrier in brackets").1).collect()
}

/// Returns a machine with a relay and an address book of these names.
pub fn relay_with_members(relay_args: &[&str], names: &[&str]) -> (Machine, Relay) {
    let machine = Machine::new();
    let relay = machine.relay(relay_args);
    machine.book(names, relay.udp);
    (machine, relay)
}
