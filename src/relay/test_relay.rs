//! Fixture for unit tests: a relay core with two members.

use crate::base::{Name, PublicKey};

use super::records::PersistedMail;
use super::{Config, Limits, MembershipSnapshot, Relay};

/// Returns a relay whose disk has `mail`, with the members TOM (id 0) and JACK (id 1).
pub(super) fn relay_of_two(mail: PersistedMail) -> Relay {
    let [tom, jack]: [Name; 2] = ["TOM", "JACK"].map(|name| name.parse().expect("a valid name"));
    Relay::new(Config {
        private_key: [7; 32],
        reset_id: [1; 16],
        members: vec![(tom, PublicKey([1; 32])), (jack, PublicKey([2; 32]))],
        membership: MembershipSnapshot::default(),
        mail,
        limits: Limits::default(),
        guests: None,
        seed: [9; 32],
    })
}
