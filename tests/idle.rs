//! What a member who says nothing takes of a relay's memory: everything the relay's core allocates is counted.

#[path = "../benches/hall/mod.rs"]
mod hall;

use std::cell::Cell;
use std::time::Duration;

use hall::Hall;

/// Members who come.
const MEMBERS: usize = 10_000;
/// Between two of them in a rush: 100,000 within 40 s.
const RUSH: Duration = Duration::from_micros(400);
/// What the allocator adds to each piece, about.
const PIECE_OVERHEAD: i64 = 12;

thread_local! {
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn counted(work: &mut dyn FnMut()) {
    let info = allocation_counter::measure(work);
    HELD.with(|held| {
        let (bytes, pieces) = held.get();
        let now = (bytes + info.bytes_current, pieces + info.count_current);
        held.set(now);
        PEAK.with(|peak| peak.set(peak.get().max(now.0 + now.1 * PIECE_OVERHEAD)));
    });
}

#[test]
fn an_idle_member_takes_less_than_a_kibibyte_though_all_came_in_a_rush() {
    let mut hall = Hall::open(counted);
    let empty = HELD.get();
    println!("empty: {empty:?}");
    hall.come(MEMBERS, RUSH);
    let after = HELD.get();
    println!(
        "after the rush: {} bytes, {} pieces a member",
        (after.0 - empty.0) / MEMBERS as i64,
        (after.1 - empty.1) as f64 / MEMBERS as f64
    );
    for second in 0..30 {
        hall.run(Duration::from_secs(1));
        let after = HELD.get();
        println!(
            "{second}: {} bytes, {} pieces a member",
            (after.0 - empty.0) / MEMBERS as i64,
            (after.1 - empty.1) as f64 / MEMBERS as f64
        );
    }
    assert_eq!(hall.online(), MEMBERS);
    println!("peak: {} bytes a member", PEAK.get() / MEMBERS as i64);
}
