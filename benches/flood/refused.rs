//! Attack: a conversation that is refused again and again. A member sends lines at the maximum rate
//! to a member that blocks it.

use super::stage::world::Home;
use super::{Measured, Options, measure};

/// Lines of the refused member. More than it can send during the measurement.
const LINES: usize = 4_000_000;

pub fn run(options: &Options) -> Option<Measured> {
    let home = Home::new();
    let relay = home.relay(&[]);
    home.book(&["TOM", "JACK"], relay.udp);
    home.away("JACK");
    home.run(&["contacts", "block", "TOM"]).with(0);
    home.away("JACK");
    let timeout = format!("{}s", 2 * options.seconds + 10);
    let mut tom = home.start(&["send", "--as", "TOM", "--timeout", &timeout, "--lines", "JACK"]);
    tom.feed(&b"a line that no one takes\n".repeat(LINES));
    tom.until_err("blocked");
    let measured = measure("refused", &home, &relay, options.seconds, None);
    let ended = tom.kill();
    let refused = ended.err.iter().filter(|line| line.ends_with(" blocked")).count();
    println!("{refused} lines of one conversation were refused in that time");
    relay.stop();
    measured
}
