//! Fixtures of the benches with real processes: machines, relays, and members of the process tests,
//! and the network emulator. Must not depend on: what is measured.
//!
//! Invariant: nothing is defined here, so the guarantees of the tests hold in the benches too.

#[path = "../../tests/line/mod.rs"]
pub mod line;
#[allow(
    dead_code,
    unused_imports,
    reason = "the stage of the stories about processes has more than is needed here"
)]
#[path = "../../tests/process/world/mod.rs"]
pub mod world;
