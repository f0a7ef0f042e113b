//! Clock jumps: letters are still delivered, retention times hold, members can still sign in.

use crate::harness::{FaultInjector, Machine, texts};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// Errors of the clock in seconds, one after another. The last but one is before 1970.
const JUMPS: [i64; 6] = [0, -HOUR, 10 * YEAR, -HOUR, -80 * YEAR, 0];

// faults.md: R73
#[test]
fn clock_jumps_of_relay_and_clients_stop_no_letter() {
    let relay_faults = FaultInjector::new();
    let faults = FaultInjector::new();
    let relay_machine = Machine::with_faults(&relay_faults);
    let machine = Machine::with_faults(&faults);
    let relay = relay_machine.relay(&["--tcp"]);
    machine.book(&["TOM", "JACK"], relay.udp);
    let mut jack = machine.listen("JACK", &["--json"]);
    for (n, jump) in JUMPS.into_iter().enumerate() {
        for clocks in [[jump, 0], [0, jump], [jump, jump]] {
            relay_faults.set_clock(clocks[0]);
            faults.set_clock(clocks[1]);
            let text = format!("{n} {clocks:?}");
            let sent = machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", &text]);
            assert!(sent.result().starts_with("delivered "), "{clocks:?} {sent:?}");
            let came = jack.out();
            assert!(came.contains(&text), "{clocks:?} {came}");
        }
    }
    // The history is in the order of sending, whatever the clocks were.
    let notices = machine.run(&["history", "--as", "TOM", "--json", "JACK"]).with(0);
    let order: Vec<&str> = notices.out.iter().map(|line| line.split_once(r#""text":""#).unwrap().1).collect();
    assert!(order.len() == 18 && order.is_sorted_by_key(|text| text[..1].to_owned()), "{order:?}");
    assert!(jack.terminate().out.len() == 18);
}

// faults.md: R73
#[test]
fn relay_clock_jumps_do_not_expire_letters() {
    let relay_faults = FaultInjector::new();
    let machine = Machine::new();
    let relay_machine = Machine::with_faults(&relay_faults);
    let mut relay = relay_machine.relay(&[]);
    let addr = relay.udp.to_string();
    machine.book(&["TOM", "JACK"], &addr);
    machine.register("JACK");
    for (n, jump) in JUMPS.into_iter().enumerate() {
        relay_faults.set_clock(jump);
        assert!(machine.send("TOM", "JACK", &n.to_string()).result().starts_with("accepted "), "{jump}");
        if n % 2 == 0 {
            relay.process.kill();
        } else {
            relay.stop().with(0);
        }
        relay = relay_machine.relay(&["--bind", &addr]);
    }
    let jack = machine.run(&["listen", "--as", "JACK", "--count", "6"]).with(0);
    assert_eq!(texts(&jack.out), ["0", "1", "2", "3", "4", "5"]);
}

// faults.md: R62
#[test]
fn impossible_time_is_shown_as_question_mark() {
    let faults = FaultInjector::new();
    let machine = Machine::new();
    let relay = Machine::with_faults(&faults).relay(&[]);
    machine.book(&["TOM", "JACK"], relay.udp);
    let mut jack = machine.listen("JACK", &[]);
    for (jump, shown) in [(-80 * YEAR, "? "), (8_500 * YEAR, "? "), (0, "")] {
        faults.set_clock(jump);
        machine.send("TOM", "JACK", "what time is it?").result();
        let line = jack.out();
        assert!(line.starts_with(shown) && line.ends_with("TOM [udp] what time is it?"), "{line}");
    }
}
