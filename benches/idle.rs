//! Memory of an idle member at a relay: counts all allocations of the relay's core, and fails above
//! the limits: `cargo bench --bench idle`.

mod idle_sim;

use std::cell::Cell;
use std::time::Duration;

use idle_sim::IdleSim;

/// Members that sign in. Only the second half is counted: by then tables of a fixed size exist, and
/// tables that double grow once.
const MEMBERS: usize = 2_000;
/// Interval between two sign-ins of a rush. 100,000 members sign in within 40 s.
const RUSH: Duration = Duration::from_micros(400);
/// Idle sessions are hibernated after 1 s. Only members that signed in within this time are awake.
const AWAKE_FOR: Duration = Duration::from_millis(1_500);
/// Approximate overhead of the allocator for each piece of memory, in bytes.
const PIECE_OVERHEAD: i64 = 12;
/// Maximum for each idle member with a name of 16 letters, including all tables of the relay that
/// grow with members, in bytes.
const BYTES_MAX: i64 = 1_024;
/// Maximum for each idle member while the relay stops, in bytes: its CLOSE, which leaves at the end
/// of the turn. An awake session takes kilobytes.
const STOP_BYTES_MAX: i64 = 512;

thread_local! {
    /// Bytes and pieces of memory that the relay holds.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
    /// Maximum of the bytes so far.
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn bytes_held() -> i64 {
    let (bytes, pieces) = HELD.get();
    bytes + pieces * PIECE_OVERHEAD
}

fn counted(work: &mut dyn FnMut()) {
    let before = bytes_held();
    let info = allocation_counter::measure(work);
    let (bytes, pieces) = HELD.get();
    HELD.set((bytes + info.bytes_current, pieces + info.count_current));
    PEAK.set(PEAK.get().max(before + info.bytes_max as i64).max(bytes_held()));
}

fn main() {
    measure_idle_members();
    measure_stop();
}

/// Measures members that are idle, and that only send keep-alives.
fn measure_idle_members() {
    let mut sim = IdleSim::open(counted);
    sim.add_members(MEMBERS / 2, RUSH);
    sim.run(AWAKE_FOR);
    let at_half = bytes_held();
    sim.add_members(MEMBERS / 2, RUSH);
    sim.run(AWAKE_FOR);
    let at_rest = bytes_held();
    let each = (at_rest - at_half) / (MEMBERS / 2) as i64;
    println!("{each} bytes for each member; {} in the rush", (PEAK.get() - at_half) / (MEMBERS / 2) as i64);
    assert!(each < BYTES_MAX, "{each} bytes");
    PEAK.set(0);
    // Every member sends keep-alives, and the deadline of every session passes.
    sim.run(Duration::from_secs(80));
    assert_eq!(sim.online(), MEMBERS);
    let grown = PEAK.get() - at_rest;
    println!("{grown} bytes more at most while they keep alive");
    assert!(grown < 64 * 1_024, "{grown} bytes more: some were awake");
}

/// Measures a relay that stops: it wakes hibernated sessions one by one.
fn measure_stop() {
    let mut sim = IdleSim::open(counted);
    sim.add_members(MEMBERS, RUSH);
    sim.run(AWAKE_FOR);
    let at_rest = bytes_held();
    PEAK.set(0);
    assert_eq!(sim.stop(), MEMBERS, "each is notified that the relay stops");
    let each = (PEAK.get() - at_rest) / MEMBERS as i64;
    println!("{each} bytes more for each member at most while the relay stops");
    assert!(each < STOP_BYTES_MAX, "{each} bytes: some were awake together");
    assert_eq!(sim.online(), 0);
}
