//! Fixtures of the benches with real processes: machines, relays, and members of the process tests,
//! and the network emulator. Must not depend on: what is measured.
//!
//! Invariant: nothing is defined here, so the guarantees of the tests hold in the benches too.

#[allow(
    dead_code,
    unused_imports,
    reason = "the stage of the stories about processes has more than is needed here"
)]
#[path = "../../tests/process/harness/mod.rs"]
pub mod harness;
#[path = "../../tests/netem/mod.rs"]
pub mod netem;
