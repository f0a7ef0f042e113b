//! Attack: a conversation that is refused again and again. A member sends lines at the maximum rate
//! to a member that blocks it.

use super::process_harness::harness::Machine;
use super::{Measured, Options, measure};

/// Lines of the refused member. More than it can send during the measurement.
const LINES: usize = 4_000_000;

pub fn run(options: &Options) -> Option<Measured> {
    let machine = Machine::new();
    let relay = machine.relay(&[]);
    machine.book(&["TOM", "JACK"], relay.udp);
    machine.register("JACK");
    machine.run(&["contacts", "block", "TOM"]).with(0);
    machine.register("JACK");
    let timeout = format!("{}s", 2 * options.seconds + 10);
    let mut tom = machine.start(&["send", "--as", "TOM", "--timeout", &timeout, "--lines", "JACK"]);
    tom.write_and_close(&b"a line that no one takes\n".repeat(LINES));
    tom.until_err("blocked");
    let measured = measure("refused", &machine, &relay, options.seconds, None);
    let exited = tom.kill();
    let refused = exited.err.iter().filter(|line| line.ends_with(" blocked")).count();
    println!("{refused} lines of one conversation were refused in that time");
    relay.stop();
    measured
}
