//! `udp_failed.toml` in a member's folder: relays that UDP did not reach, and when. It is a hint
//! for the next run. A file that cannot be read counts as empty, and a failed write has no
//! consequence.
//!
//! ```toml
//! "127.0.0.1:8081" = 1767225600000
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::files::{read_small, write_atomically};
use crate::base::{HostPort, Wall};

const HEADER: &str = "\
# Relays that UDP did not get through to, and when, in milliseconds since 1970: TCP is tried beside it at once.
# Written by queqiao; it may be deleted.
";
/// Maximum relays in the file, far more than a member uses. Beyond it the oldest failure is
/// removed.
const RELAYS_MAX: usize = 256;

/// Content of the file.
#[derive(Debug)]
pub(super) struct UdpFailures {
    path: PathBuf,
    by_relay: BTreeMap<HostPort, Wall>,
}

impl UdpFailures {
    /// Reads the file in this folder, if it exists.
    pub(super) fn load(dir: &Path) -> UdpFailures {
        let path = dir.join("udp_failed.toml");
        let bytes = read_small(&path).ok().flatten().map(|(_, bytes)| bytes).unwrap_or_default();
        UdpFailures { path, by_relay: parse(&bytes) }
    }

    pub(super) const fn by_relay(&self) -> &BTreeMap<HostPort, Wall> {
        &self.by_relay
    }

    /// Records when UDP failed for this relay. `None` records that UDP works.
    pub(super) fn set(&mut self, relay: &HostPort, at: Option<Wall>) {
        match at {
            Some(at) => self.by_relay.insert(relay.clone(), at),
            None => self.by_relay.remove(relay),
        };
        while self.by_relay.len() > RELAYS_MAX {
            let oldest = self.by_relay.iter().min_by_key(|(_, at)| **at).map(|(relay, _)| relay.clone());
            oldest.and_then(|oldest| self.by_relay.remove(&oldest));
        }
    }

    /// Writes the whole file.
    pub(super) fn write(&self) {
        let mut text = HEADER.to_owned();
        for (relay, Wall(at)) in &self.by_relay {
            writeln!(text, "\"{relay}\" = {at}").expect("writing to a string cannot fail");
        }
        if let Err(error) = write_atomically(&self.path, text.as_bytes()) {
            log::debug!("{error}");
        }
    }
}

fn parse(bytes: &[u8]) -> BTreeMap<HostPort, Wall> {
    let text = str::from_utf8(bytes).unwrap_or_default();
    let rows: BTreeMap<String, u64> = toml::from_str(text).unwrap_or_default();
    let rows = rows.iter().filter_map(|(relay, at)| Some((relay.parse().ok()?, Wall(*at))));
    rows.take(RELAYS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_kept_for_next_run_until_udp_works() {
        let dir = tempfile::tempdir().unwrap();
        let here: HostPort = "h:1".parse().unwrap();
        let there: HostPort = "[::1]:2".parse().unwrap();
        let mut failed = UdpFailures::load(dir.path());
        assert!(failed.by_relay().is_empty());
        failed.set(&here, Some(Wall(7)));
        failed.set(&there, Some(Wall(8)));
        failed.set(&here, None);
        failed.write();
        let again = UdpFailures::load(dir.path());
        assert_eq!(Vec::from_iter(again.by_relay()), [(&there, &Wall(8))]);
    }

    #[test]
    fn oldest_failure_is_removed_at_limit() {
        let mut failed = UdpFailures { path: PathBuf::new(), by_relay: BTreeMap::new() };
        for n in 1..=RELAYS_MAX as u64 + 1 {
            failed.set(&format!("h{n}:1").parse().unwrap(), Some(Wall(n)));
        }
        assert_eq!(failed.by_relay().len(), RELAYS_MAX);
        assert_eq!(failed.by_relay().get(&"h1:1".parse().unwrap()), None);
    }

    #[test]
    fn damaged_file_counts_as_empty() {
        for bytes in [&b"\xff"[..], b"x", b"\"h:1\" = \"yesterday\"", b"\"h\" = 1", b"\"h:1\" = -1"] {
            assert!(parse(bytes).is_empty(), "{bytes:?}");
        }
    }
}
