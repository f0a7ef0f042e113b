//! Conversations over lines that fail in each of the ways the table of faults names; the rows' numbers are in the names.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::line::{Lane, Line, Weather};
use crate::world::{Home, Relay, Running, SOON};

const ROUND_TRIP: Duration = Duration::from_millis(20);
/// A listening end notices within four seconds; twice that on a busy machine.
const LISTENER_NOTICES: Duration = Duration::from_secs(8);
/// Both ways, upwards, downwards.
const DIRECTIONS: [(bool, bool); 3] = [(true, true), (true, false), (false, true)];

/// TOM writes to JACK, each behind a line of his own.
struct Talk {
    home: Home,
    relay: Relay,
    lines: [Line; 2],
    tom: Running,
    jack: Running,
    said: usize,
}

/// A machine with a relay and two lines to it.
fn place(weather: Weather) -> (Home, Relay, [Line; 2]) {
    let home = Home::new();
    let relay = home.relay(&["--tcp"]);
    let lines = [21, 28].map(|seed| Line::open(relay.udp, seed, weather));
    home.write("contacts.toml", format!("[contacts]\nJACK = \"{}\"\n", lines[0].addr));
    home.write("jack.toml", format!("[contacts]\nTOM = \"{}\"\n", lines[1].addr));
    (home, relay, lines)
}

impl Talk {
    /// They have spoken for a while: UDP is proved.
    fn begin() -> Talk {
        let (home, relay, lines) = place(Weather::distant(ROUND_TRIP));
        let jack = home.listen("JACK", &["--contacts", "jack.toml", "--json"]);
        let tom = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        let mut talk = Talk { home, relay, lines, tom, jack, said: 0 };
        for _ in 0..12 {
            talk.say();
        }
        talk
    }

    fn write(&mut self) {
        self.tom.write(&format!("{}\n", self.said));
        self.said += 1;
    }

    /// How long the next letter takes to be accepted; it comes as the next.
    fn say(&mut self) -> Duration {
        let start = Instant::now();
        self.write();
        self.tom.out();
        let took = start.elapsed();
        let number = self.said - 1;
        self.hear(number);
        took
    }

    /// The next letter JACK is shown is this one; by which carrier it came to him.
    fn hear(&mut self, number: usize) -> String {
        let letter: Value = serde_json::from_str(&self.jack.out()).unwrap();
        assert_eq!((&letter["text"], &letter["missing"]), (&number.to_string().into(), &Value::Null));
        letter["via"].as_str().unwrap().to_owned()
    }

    fn hole(&self, line: usize, (up, down): (bool, bool)) {
        self.lines[line].set(Weather::distant(ROUND_TRIP).with_hole(up, down));
    }

    /// Both end well, and neither was told anything with one of these words; JACK's history has each letter once.
    fn end(mut self, never: &[&str]) {
        self.tom.feed(b"");
        let ended = [self.tom.end().with(0), self.jack.terminate().with(130)];
        for line in ended.iter().flat_map(|ended| &ended.err) {
            assert!(!never.iter().any(|word| line.contains(word)), "{line}");
        }
        let history =
            self.home.run(&["history", "--as", "JACK", "--contacts", "jack.toml", "--json"]).with(0);
        let texts =
            history.out.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone());
        assert!(texts.eq((0..self.said).map(|number| Value::from(number.to_string()))));
        self.relay.stop().with(0);
    }
}

#[test]
fn row_28_a_writing_end_whose_udp_dies_goes_on_over_tcp() {
    for direction in DIRECTIONS {
        let mut talk = Talk::begin();
        talk.hole(0, direction);
        let took = talk.say();
        println!("{direction:?}: accepted after {took:?}");
        assert!(took < SOON, "{took:?} {direction:?}");
        talk.tom.until_err_within("UDP has fallen silent, the conversation goes on over TCP", SOON);
        talk.end(&["lost"]);
    }
}

#[test]
fn row_28_a_listening_end_whose_udp_dies_notices_by_itself() {
    let mut talks = DIRECTIONS.map(|direction| (direction, Talk::begin()));
    let start = Instant::now();
    talks.iter().for_each(|(direction, talk)| talk.hole(1, *direction));
    for (direction, talk) in &mut talks {
        talk.jack.until_err_within("the conversation goes on over TCP", LISTENER_NOTICES);
        println!("{direction:?}: on TCP after {:?}", start.elapsed());
        talk.write();
        assert_eq!(talk.hear(talk.said - 1), "tcp");
    }
    talks.into_iter().for_each(|(_, talk)| talk.end(&["lost"]));
}

#[test]
fn row_29_udp_that_dies_after_the_third_packet_is_left() {
    let (home, relay, lines) = place(Weather::distant(ROUND_TRIP));
    let mut jack = home.listen("JACK", &["--contacts", "jack.toml"]);
    let (mut swallowed, mut connections) = (0, 0);
    for (up, down) in DIRECTIONS {
        let mut weather = Weather::distant(ROUND_TRIP);
        (weather.up.left, weather.down.left) = (up.then_some(3), down.then_some(3));
        lines[0].set(weather);
        let mut tom = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        for text in ["one", "two", "three"] {
            tom.write(&format!("{text}\n"));
            tom.out();
            assert!(jack.out().ends_with(text));
        }
        let tally = lines[0].tally();
        assert!(tally.swallowed > swallowed && tally.connections > connections, "{tally:?}");
        (swallowed, connections) = (tally.swallowed, tally.connections);
        tom.feed(b"");
        tom.end().with(0);
    }
    relay.stop().with(0);
}

#[test]
fn row_29_udp_that_loses_what_is_longer_than_1100_bytes_is_left() {
    for (up, down) in DIRECTIONS {
        let (home, relay, lines) = place(Weather::distant(ROUND_TRIP));
        let longest = |narrow: bool| if narrow { 1_100 } else { 0 };
        lines.iter().for_each(|line| {
            line.change(|weather| {
                (weather.up.longest, weather.down.longest) = (longest(up), longest(down));
            });
        });
        let mut jack = home.start(&["listen", "--as", "JACK", "--contacts", "jack.toml", "--count", "1"]);
        jack.until_err("connected to");
        let text = "x".repeat(20_000);
        home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", &text]).with(0);
        assert!(jack.end().with(0).out[0].ends_with(&text));
        assert!(lines[0].tally().swallowed > 0, "something was too long");
        relay.stop().with(0);
    }
}

#[test]
fn row_21_a_port_that_changes_every_hundred_packets_costs_no_letter_and_no_word() {
    let mut talk = Talk::begin();
    for line in &talk.lines {
        line.change(|weather| weather.rebind_every = 100);
    }
    while talk.lines[0].tally().rebound < 2 || talk.lines[1].tally().rebound < 2 {
        // Ten at once, so that packets are on their way when the address changes.
        (0..10).for_each(|_| talk.write());
        (talk.said - 10..talk.said).for_each(|number| {
            assert_eq!(talk.hear(number), "udp");
            talk.tom.out();
        });
    }
    talk.end(&["TCP", "lost"]);
}

#[test]
fn row_30_a_closed_port_is_a_hint_to_take_tcp_at_once() {
    let (home, relay, lines) = place(Weather::default());
    home.listen("JACK", &["--contacts", "jack.toml"]).terminate().with(130);
    lines[0].change(|weather| weather.closed = true);
    let least = (0..5).map(|_| {
        let start = Instant::now();
        home.send("TOM", "JACK", "hello").with(0);
        start.elapsed()
    });
    let least = least.min().unwrap();
    println!("accepted after {least:?} at best");
    assert!(least < Duration::from_millis(240), "{least:?}: TCP was not tried before its time");
    relay.stop().with(0);
}

#[test]
fn row_30_a_port_that_closes_in_mid_conversation_ends_no_session() {
    let mut talk = Talk::begin();
    talk.lines[0].change(|weather| weather.closed = true);
    talk.say();
    talk.tom.until_err("the conversation goes on over TCP");
    talk.lines[0].change(|weather| weather.closed = false);
    talk.tom.until_err("UDP gets through, the conversation goes on over UDP");
    talk.say();
    talk.end(&["lost"]);
}

#[test]
fn row_39_connections_that_stall_or_are_reset_in_mid_conversation_cost_no_letter() {
    let mut talk = Talk::begin();
    talk.hole(0, (true, true));
    talk.say();
    for _ in 0..5 {
        (0..5).for_each(|_| talk.write());
        talk.lines[0].reset();
        (talk.said - 5..talk.said).for_each(|number| {
            talk.hear(number);
            talk.tom.out();
        });
    }
    talk.lines[0].change(|weather| weather.stalled = true);
    talk.write();
    assert_eq!(talk.jack.out_within(Duration::from_millis(300)), None, "nothing passes");
    talk.lines[0].change(|weather| weather.stalled = false);
    talk.hear(talk.said - 1);
    talk.end(&[]);
}

#[test]
fn row_27_bad_lines_lose_double_and_reorder_nothing() {
    let lane =
        Lane { loss: 300, copies: 50, reordered: 100, delay: Duration::from_millis(5), ..Lane::default() };
    let mut talk = Talk::begin();
    talk.lines.iter().for_each(|line| line.set(Weather::both(lane)));
    (0..200).for_each(|_| talk.write());
    (talk.said - 200..talk.said).for_each(|number| drop(talk.hear(number)));
    talk.end(&["lost"]);
}

/// Stops whoever `of` names for `time` while a letter is written before and after.
fn suspend(talk: &mut Talk, of: fn(&Talk) -> &Running, time: Duration) {
    talk.say();
    of(talk).signal(Signal::STOP);
    let before = talk.said;
    talk.write();
    let start = Instant::now();
    // What is printed meanwhile is looked at afterwards.
    let mut accepted = 0;
    while let Some(left) = time.checked_sub(start.elapsed()) {
        accepted += usize::from(talk.tom.out_within(left).is_some());
    }
    talk.write();
    of(talk).signal(Signal::CONT);
    let woken = Instant::now();
    (before..talk.said).for_each(|number| drop(talk.hear(number)));
    (accepted..2).for_each(|_| drop(talk.tom.out()));
    println!("stopped for {time:?}: all there {:?} after it went on", woken.elapsed());
    assert!(woken.elapsed() < SOON, "{:?}", woken.elapsed());
}

#[test]
fn row_74_whoever_is_stopped_for_a_second_or_four_goes_on_where_it_was() {
    let victims: [fn(&Talk) -> &Running; 3] =
        [|talk| &talk.tom, |talk| &talk.jack, |talk| &talk.relay.running];
    let times = [Duration::from_secs(1), Duration::from_millis(3_900)];
    std::thread::scope(|scope| {
        for (time, (place, of)) in
            times.iter().flat_map(|time| victims.iter().enumerate().map(move |v| (time, v)))
        {
            scope.spawn(move || {
                let mut talk = Talk::begin();
                suspend(&mut talk, *of, *time);
                talk.say();
                // A relay that is silent for so long is rightly said to be.
                let silent = place == 2 && *time > Duration::from_secs(1);
                talk.end(if silent { &[] } else { &["lost", "no relay"] });
            });
        }
    });
}

#[test]
fn row_74_a_client_that_wakes_sends_no_burst() {
    let mut talk = Talk::begin();
    talk.tom.signal(Signal::STOP);
    assert_eq!(talk.tom.out_within(Duration::from_secs(3)), None);
    let before = talk.lines[0].tally();
    talk.tom.signal(Signal::CONT);
    assert_eq!(talk.tom.out_within(Duration::from_millis(100)), None);
    let after = talk.lines[0].tally();
    println!("{} datagrams both ways in the first tenth of a second", after.passed - before.passed);
    assert!(after.passed - before.passed <= 20, "ten each way");
    talk.say();
    talk.end(&["lost"]);
}
