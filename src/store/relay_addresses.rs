//! Addresses at which members reach a relay, as of its last start: `reach.toml` in its folder. The
//! operator's commands read it for invitations, whether or not the relay is running.
//!
//! ```toml
//! key = "m7s22-7gq4x-…"
//! [[at]]
//! address = "192.0.2.1:8081"
//! tcp = "192.0.2.1:443"
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{StoreError, StoreErrorCause};
use super::files::{read_small, write_atomically};
use crate::base::{Fingerprint, HostPort};

const HEADER: &str = "\
# Where members reach this relay, as it was when it last started. Written by queqiao.
";

/// A relay's key and addresses for its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayAddresses {
    /// Key of the relay.
    pub key: Fingerprint,
    /// Addresses, the likeliest first; at least one.
    pub at: Vec<RelayAddress>,
}

/// One address of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayAddress {
    /// Address over UDP.
    pub address: HostPort,
    /// Address over TCP, if the relay listens there for peers of the UDP address.
    pub tcp: Option<HostPort>,
}

impl RelayAddresses {
    /// Reads the file of the relay in this folder. Returns `None` if the relay has not run yet.
    ///
    /// # Errors
    /// Returns `AddressesDamaged`, or an error of the system.
    pub fn load(dir: &Path) -> Result<Option<RelayAddresses>, StoreError> {
        let path = path_in(dir);
        let Some((_, bytes)) = read_small(&path)? else { return Ok(None) };
        let damaged = |cause: String| StoreErrorCause::AddressesDamaged(cause).at(&path);
        let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
        let addresses: RelayAddresses =
            toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        if addresses.at.is_empty() { Err(damaged("at = []".to_owned())) } else { Ok(Some(addresses)) }
    }

    /// Whether the file is there.
    pub fn is_saved(dir: &Path) -> bool {
        path_in(dir).exists()
    }

    /// Writes the file. The caller must hold the relay's folder.
    ///
    /// # Errors
    /// Returns an error of the system.
    pub fn save(&self, dir: &Path) -> Result<(), StoreError> {
        let text = toml::to_string(self).expect("all fields serialise to strings");
        write_atomically(&path_in(dir), format!("{HEADER}{text}").as_bytes())
    }
}

fn path_in(dir: &Path) -> PathBuf {
    dir.join("reach.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_round_trips_and_damage_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RelayAddresses::load(dir.path()), Ok(None));
        let at = |address: &str, tcp: Option<&str>| RelayAddress {
            address: address.parse().unwrap(),
            tcp: tcp.map(|tcp| tcp.parse().unwrap()),
        };
        let reach = RelayAddresses {
            key: "aaaaa-bbbbb-ccccc-ddddd".parse().unwrap(),
            at: vec![at("192.0.2.1:8081", Some("192.0.2.1:443")), at("[2001:db8::1]:8081", None)],
        };
        reach.save(dir.path()).unwrap();
        assert_eq!(RelayAddresses::load(dir.path()), Ok(Some(reach)));
        for text in ["", "key = \"aaaaa-bbbbb-ccccc-ddddd\"\nat = []\n", "\u{0}", "key = 1\n"] {
            std::fs::write(path_in(dir.path()), text).unwrap();
            assert!(
                matches!(
                    RelayAddresses::load(dir.path()).unwrap_err().cause,
                    StoreErrorCause::AddressesDamaged(_)
                ),
                "{text:?}"
            );
        }
    }
}
