//! Servers that the bench starts: each is this program in a separate process that ends with the
//! bench.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{self, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::{env, fs, thread};

use crate::app::relay::{RelayOptions, relay};
use crate::app::{CommandResult, ExitStatus, Failure, print};
use crate::base::{Phrase, Rng};
use crate::net::{self, BindAddr};
use crate::relay::Limits;
use crate::ui::Strings;

use super::{BenchServer, baseline};

/// Address of the servers; the system chooses the port.
const BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl BenchServer {
    /// Returns the server's name on the command line of its process.
    pub(super) const fn word(self) -> &'static str {
        match self {
            BenchServer::Relay => "relay",
            BenchServer::Baseline => "bare",
        }
    }
}

/// A server process that runs until this value is dropped.
pub(super) struct Child {
    process: process::Child,
    /// Kept open, so that the server can print while it ends.
    _out: BufReader<ChildStdout>,
    /// Address for datagrams, and for TCP connections if it is a relay.
    pub(super) addr: SocketAddr,
}

impl Child {
    /// Starts a server on the CPU of the calling thread.
    ///
    /// # Errors
    /// `bench-no-server` if it does not start.
    pub(super) fn start(server: BenchServer) -> Result<Child, Phrase> {
        let failed = |reason: &dyn ToString| Phrase::new("bench-no-server").with("cause", reason.to_string());
        let mut command = Command::new(env::current_exe().map_err(|error| failed(&error))?);
        command.args(["bench", "--as-server", server.word()]).env("RUST_LOG", "warn");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|error| failed(&error))?;
        let mut out = BufReader::new(process.stdout.take().expect("stdout was set to a pipe"));
        let mut line = String::new();
        let addr = out.read_line(&mut line).ok().and_then(|_| udp_of(&line));
        let Some(addr) = addr else {
            drop(process.stdin.take());
            let status = process.wait().map_err(|error| failed(&error))?;
            return Err(failed(&status));
        };
        Ok(Child { process, _out: out, addr })
    }

    /// Returns its process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Returns the UDP address in a server's ready line.
fn udp_of(line: &str) -> Option<SocketAddr> {
    let mut words = line.strip_prefix("ready ")?.split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix("udp="))?.parse().ok()
}

/// Runs such a server until standard input ends.
///
/// # Errors
/// Those of [`relay`], or `cannot-start`.
pub(super) fn serve(server: BenchServer, strings: &Arc<Strings>) -> CommandResult {
    match server {
        BenchServer::Relay => {
            let folder = folder();
            let watched = folder.clone();
            end_with_input(move || remove(&watched))?;
            let ended = relay(&relay_options(folder.clone()), strings);
            remove(&folder);
            ended
        }
        BenchServer::Baseline => {
            end_with_input(|| ())?;
            let ended = baseline::forward(BIND, |addr| {
                print(&format!("ready udp={addr}")).map(drop).map_err(|_| io::ErrorKind::BrokenPipe.into())
            });
            let cause = ended.expect_err("the loop ends by an error only");
            Err(Phrase::new("cannot-start").with("cause", cause).into())
        }
    }
}

/// Exits when the parent closes our stdin, after calling `clean_up`.
fn end_with_input(clean_up: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let watch = || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        clean_up();
        process::exit(ExitStatus::Done as i32);
    };
    let spawned = thread::Builder::new().name("parent".to_owned()).spawn(watch);
    spawned.map(drop).map_err(|error| Phrase::new("cannot-start").with("cause", error).into())
}

fn folder() -> PathBuf {
    let number = Rng::from_seed(net::seed()).next_u64();
    env::temp_dir().join(format!("queqiao-bench-{number:016x}"))
}

fn remove(folder: &PathBuf) {
    // Leftovers are in the system's folder for temporary files.
    let _ = fs::remove_dir_all(folder);
}

fn relay_options(folder: PathBuf) -> RelayOptions {
    let limits = Limits { per_sender: false, ..Limits::default() };
    let bind = BindAddr::Ip(BIND);
    RelayOptions { bind, tcp: Some(None), address: None, data: Some(folder), limits, guests: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_read_from_ready_line_only() {
        let addr = "127.0.0.1:18081".parse().ok();
        assert_eq!(udp_of("ready udp=127.0.0.1:18081 tcp=127.0.0.1:18081 key=abcde\n"), addr);
        assert_eq!(udp_of("ready udp=127.0.0.1:18081\n"), addr);
        assert_eq!(udp_of("ready tcp=127.0.0.1:18081\n"), None);
        assert_eq!(udp_of("udp=127.0.0.1:18081\n"), None);
        assert_eq!(udp_of(""), None);
    }
}
