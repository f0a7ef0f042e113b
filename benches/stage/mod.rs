//! What benches of real processes play on: the machines, relays and members of the stories about processes, and the line
//! that loses. It must not know what is measured.
//!
//! Invariant: it has nothing of its own; what the stories promise holds here too.

#[path = "../../tests/line/mod.rs"]
pub mod line;
#[allow(
    dead_code,
    unused_imports,
    reason = "the stage of the stories about processes has more than is needed here"
)]
#[path = "../../tests/process/world/mod.rs"]
pub mod world;
