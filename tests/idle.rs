//! What a member who says nothing takes of a relay's memory: everything the relay's core allocates is counted.

#[path = "../benches/hall/mod.rs"]
mod hall;

use std::cell::Cell;
use std::time::Duration;

use hall::Hall;

/// Members who come. The second half of them is what is counted: tables of a fixed size are there by then, and those that grow
/// by doubling double once.
const MEMBERS: usize = 2_000;
/// Between two of them in a rush: 100,000 would be there within 40 s.
const RUSH: Duration = Duration::from_micros(400);
/// Who says nothing for a second sleeps; by then at most this part of those who come in such a rush is awake.
const AWAKE_FOR: Duration = Duration::from_millis(1_500);
/// What the allocator adds to each piece of memory, about.
const PIECE_OVERHEAD: i64 = 12;
/// For each idle member with a name of 16 letters, all of the relay's tables that grow with members included.
const BYTES_MAX: i64 = 1_024;
/// For each idle member while the relay stops: its CLOSE, which leaves at the turn's end. A session that is awake takes
/// kilobytes.
const STOP_BYTES_MAX: i64 = 512;

thread_local! {
    /// Bytes and pieces that the relay holds.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
    /// The most bytes so far.
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

#[test]
fn idle_member_takes_less_than_a_kibibyte() {
    let mut hall = Hall::open(counted);
    hall.come(MEMBERS / 2, RUSH);
    hall.run(AWAKE_FOR);
    let at_half = bytes_held();
    hall.come(MEMBERS / 2, RUSH);
    hall.run(AWAKE_FOR);
    let at_rest = bytes_held();
    let each = (at_rest - at_half) / (MEMBERS / 2) as i64;
    println!("{each} bytes for each member; {} in the rush", (PEAK.get() - at_half) / (MEMBERS / 2) as i64);
    assert!(each < BYTES_MAX, "{each} bytes");
    PEAK.set(0);
    // Every member keeps alive, and the deadline of every session comes.
    hall.run(Duration::from_secs(80));
    assert_eq!(hall.online(), MEMBERS);
    let grown = PEAK.get() - at_rest;
    println!("{grown} bytes more at most while they keep alive");
    assert!(grown < 64 * 1_024, "{grown} bytes more: some were awake");
}

#[test]
fn relay_that_stops_wakes_sleeping_sessions_one_by_one() {
    let mut hall = Hall::open(counted);
    hall.come(MEMBERS, RUSH);
    hall.run(AWAKE_FOR);
    let at_rest = bytes_held();
    PEAK.set(0);
    assert_eq!(hall.stop(), MEMBERS, "each is told that the relay goes away");
    let each = (PEAK.get() - at_rest) / MEMBERS as i64;
    println!("{each} bytes more for each member at most while the relay stops");
    assert!(each < STOP_BYTES_MAX, "{each} bytes: some were awake together");
    assert_eq!(hall.online(), 0);
}
