//! Clocks that jump: letters go on, wait as long as they should, and nobody is locked out.

use crate::world::{Faults, Home, texts};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// Wrong by so many seconds, one after the other; the last but one is before 1970.
const JUMPS: [i64; 6] = [0, -HOUR, 10 * YEAR, -HOUR, -80 * YEAR, 0];

#[test]
fn row_73_letters_go_on_while_the_clocks_of_relay_and_clients_jump() {
    let (relay_faults, faults) = (Faults::new(), Faults::new());
    let (relay_home, home) = (Home::with_faults(&relay_faults), Home::with_faults(&faults));
    let relay = relay_home.relay(&["--tcp"]);
    home.book(&["TOM", "JACK"], relay.udp);
    let mut jack = home.listen("JACK", &["--json"]);
    for (n, jump) in JUMPS.into_iter().enumerate() {
        for clocks in [[jump, 0], [0, jump], [jump, jump]] {
            relay_faults.set_clock(clocks[0]);
            faults.set_clock(clocks[1]);
            let text = format!("{n} {clocks:?}");
            let sent = home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", &text]);
            assert!(sent.result().starts_with("delivered "), "{clocks:?} {sent:?}");
            let came = jack.out();
            assert!(came.contains(&text), "{clocks:?} {came}");
        }
    }
    // What was said stands in the order in which it was said, whatever the clocks were.
    let said = home.run(&["history", "--as", "TOM", "--json", "JACK"]).with(0);
    let order: Vec<&str> = said.out.iter().map(|line| line.split_once(r#""text":""#).unwrap().1).collect();
    assert!(order.len() == 18 && order.is_sorted_by_key(|text| text[..1].to_owned()), "{order:?}");
    assert!(jack.terminate().out.len() == 18);
}

#[test]
fn row_73_a_letter_waits_as_long_as_it_should_whatever_the_relays_clock_says() {
    let (relay_faults, home) = (Faults::new(), Home::new());
    let relay_home = Home::with_faults(&relay_faults);
    let mut relay = relay_home.relay(&[]);
    let addr = relay.udp.to_string();
    home.book(&["TOM", "JACK"], &addr);
    home.away("JACK");
    for (n, jump) in JUMPS.into_iter().enumerate() {
        relay_faults.set_clock(jump);
        assert!(home.send("TOM", "JACK", &n.to_string()).result().starts_with("accepted "), "{jump}");
        if n % 2 == 0 {
            relay.running.kill();
        } else {
            relay.stop().with(0);
        }
        relay = relay_home.relay(&["--bind", &addr]);
    }
    let jack = home.run(&["listen", "--as", "JACK", "--count", "6"]).with(0);
    assert_eq!(texts(&jack.out), ["0", "1", "2", "3", "4", "5"]);
}

#[test]
fn row_62_a_time_that_cannot_be_true_is_shown_as_a_question_mark() {
    let (faults, home) = (Faults::new(), Home::new());
    let relay = Home::with_faults(&faults).relay(&[]);
    home.book(&["TOM", "JACK"], relay.udp);
    let mut jack = home.listen("JACK", &[]);
    for (jump, shown) in [(-80 * YEAR, "? "), (8_500 * YEAR, "? "), (0, "")] {
        faults.set_clock(jump);
        home.send("TOM", "JACK", "what time is it?").result();
        let line = jack.out();
        assert!(line.starts_with(shown) && line.ends_with("TOM [udp] what time is it?"), "{line}");
    }
}
