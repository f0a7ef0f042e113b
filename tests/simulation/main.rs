//! Deterministic simulation: one relay, several clients, and the network between them. It is driven
//! by the same `turn` as the real program, on virtual time and from one seed.
//!
//! `QUEQIAO_SEED=n` replays one seed with a trace. `QUEQIAO_SEEDS=a..b` runs that range instead of
//! the default. `QUEQIAO_FIRST=1` stops at the first failing seed. `QUEQIAO_BLESS=1` rewrites the
//! golden tables.

#[path = "../guest_rules/mod.rs"]
mod guest_rules;

mod absence;
mod agreement;
mod copies;
mod coverage;
mod decoys;
mod disk;
mod effects;
mod event_queue;
mod gaps;
mod golden;
mod guests;
mod handshakes;
mod hostile_member;
mod hostile_tcp;
mod invariants;
mod later_versions;
mod link_conditions;
mod machine_faults;
mod mutant_patches;
mod node;
mod off_path_attacker;
mod old_copies;
mod oracle;
mod path_changes;
mod protocol_violator;
mod random;
mod recipient_limits;
mod refusals;
mod relay_disk;
mod reno;
mod resource_abuse;
mod restored_relay;
mod scenario;
mod scenarios;
mod sim_disk;
mod simulation;
mod strangers;
mod tcp;
mod tcp_comparison;
mod turns;
mod uniqueness;
mod unknown_names;
