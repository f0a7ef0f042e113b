//! Deterministic simulation: one relay, several clients, and the network between them. It is driven
//! by the same `turn` as the real program, on virtual time and from one seed.
//!
//! `QUEQIAO_SEED=n` replays one seed with a trace. `QUEQIAO_SEEDS=a..b` runs that range instead of
//! the default. `QUEQIAO_FIRST=1` stops at the first failing seed. `QUEQIAO_BLESS=1` rewrites the
//! golden tables.

#[path = "../guest_rules/mod.rs"]
mod guest_rules;

mod absence;
mod agenda;
mod agreement;
mod attacker;
mod beside_tcp;
mod carry;
mod copies;
mod cover;
mod decoys;
mod disk;
mod fresh;
mod gaps;
mod golden;
mod greed;
mod guard;
mod hostile;
mod intruder;
mod later_versions;
mod line;
mod machines;
mod moves;
mod node;
mod old_copies;
mod oracle;
mod plan;
mod planted;
mod platter;
mod random;
mod readers;
mod refusals;
mod relay_disk;
mod reno;
mod shakes;
mod stories;
mod stories_of_forgers;
mod stories_of_greed;
mod stories_of_guests;
mod stories_of_many;
mod stories_of_networks;
mod stories_of_paths;
mod stories_of_races;
mod strangers;
mod tcp;
mod turns;
mod unknown;
mod visitors;
mod weather;
mod world;
