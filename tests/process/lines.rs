//! Conversations over lines that fail in each way that the table of faults names.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::line::{Lane, Line, Weather};
use crate::world::{Home, Relay, Running, SOON};

const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Time in which a listening end notices a dead path: four seconds, doubled for a busy machine.
const LISTENER_NOTICES: Duration = Duration::from_secs(8);
/// Directions that fail: both, up, down.
const DIRECTIONS: [(bool, bool); 3] = [(true, true), (true, false), (false, true)];

/// TOM writes to JACK, each behind a separate line.
struct Talk {
    home: Home,
    relay: Relay,
    lines: [Line; 2],
    tom: Running,
    jack: Running,
    said: usize,
}

/// Returns a machine with a relay and two lines to it.
fn place(weather: Weather) -> (Home, Relay, [Line; 2]) {
    let home = Home::new();
    let relay = home.relay(&["--tcp"]);
    let lines = [21, 28].map(|seed| Line::open(relay.udp, seed, weather));
    home.write("contacts.toml", format!("[contacts]\nJACK = \"{}\"\n", lines[0].addr));
    home.write("jack.toml", format!("[contacts]\nTOM = \"{}\"\n", lines[1].addr));
    (home, relay, lines)
}

impl Talk {
    /// Starts a conversation of twelve letters, so that UDP is validated.
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

    /// Sends the next letter. Returns the time until it was accepted, and asserts that it arrives
    /// as the next.
    fn say(&mut self) -> Duration {
        let start = Instant::now();
        self.write();
        self.tom.out();
        let took = start.elapsed();
        let number = self.said - 1;
        self.hear(number);
        took
    }

    /// Asserts that the next letter of JACK is this one. Returns the carrier by which it came.
    fn hear(&mut self, number: usize) -> String {
        let letter: Value = serde_json::from_str(&self.jack.out()).unwrap();
        assert_eq!((&letter["text"], &letter["missing"]), (&number.to_string().into(), &Value::Null));
        letter["via"].as_str().unwrap().to_owned()
    }

    fn hole(&self, line: usize, (up, down): (bool, bool)) {
        self.lines[line].set(Weather::distant(ROUND_TRIP).with_hole(up, down));
    }

    /// Ends both. Asserts that neither printed one of these words, and that JACK's history has each
    /// letter once.
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

// faults.md: R28
#[test]
fn sender_with_dead_udp_continues_on_tcp() {
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

// faults.md: R28
#[test]
fn listener_with_dead_udp_notices_within_8_s() {
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

// faults.md: R29
#[test]
fn udp_dead_after_third_packet_fails_over() {
    let (home, relay, lines) = place(Weather::distant(ROUND_TRIP));
    let mut jack = home.listen("JACK", &["--contacts", "jack.toml"]);
    let mut swallowed = 0;
    let mut connections = 0;
    for (up, down) in DIRECTIONS {
        let mut weather = Weather::distant(ROUND_TRIP);
        weather.up.left = up.then_some(3);
        weather.down.left = down.then_some(3);
        lines[0].set(weather);
        let mut tom = home.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        for text in ["one", "two", "three"] {
            tom.write(&format!("{text}\n"));
            tom.out();
            assert!(jack.out().ends_with(text));
        }
        let tally = lines[0].tally();
        assert!(tally.swallowed > swallowed && tally.connections > connections, "{tally:?}");
        swallowed = tally.swallowed;
        connections = tally.connections;
        tom.feed(b"");
        tom.end().with(0);
    }
    relay.stop().with(0);
}

// faults.md: R29
#[test]
fn udp_losing_packets_over_1100_bytes_fails_over() {
    for (up, down) in DIRECTIONS {
        let (home, relay, lines) = place(Weather::distant(ROUND_TRIP));
        let longest = |narrow: bool| if narrow { 1_100 } else { 0 };
        lines.iter().for_each(|line| {
            line.change(|weather| {
                weather.up.longest = longest(up);
                weather.down.longest = longest(down);
            });
        });
        let mut jack = home.start(&["listen", "--as", "JACK", "--contacts", "jack.toml", "--count", "1"]);
        jack.until_err("connected to");
        let text = "x".repeat(20_000);
        home.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", &text]).with(0);
        assert!(jack.end().with(0).out[0].ends_with(&text));
        assert!(lines[0].tally().swallowed > 0, "a packet was too long");
        relay.stop().with(0);
    }
}

// faults.md: R21
/// The users see no notice either.
#[test]
fn port_change_every_100_packets_loses_no_letter() {
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

// faults.md: R30
#[test]
fn closed_udp_port_starts_tcp_at_once() {
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
    assert!(least < Duration::from_millis(240), "{least:?}: the closed port did not start TCP early");
    relay.stop().with(0);
}

// faults.md: R30
#[test]
fn port_closing_mid_conversation_ends_no_session() {
    let mut talk = Talk::begin();
    talk.lines[0].change(|weather| weather.closed = true);
    talk.say();
    talk.tom.until_err("the conversation goes on over TCP");
    talk.lines[0].change(|weather| weather.closed = false);
    talk.tom.until_err("UDP gets through, the conversation goes on over UDP");
    talk.say();
    talk.end(&["lost"]);
}

// faults.md: R39
#[test]
fn stalled_or_reset_connections_lose_no_letter() {
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

// faults.md: R27
#[test]
fn loss_copies_and_reordering_change_no_letter() {
    let lane =
        Lane { loss: 300, copies: 50, reordered: 100, delay: Duration::from_millis(5), ..Lane::default() };
    let mut talk = Talk::begin();
    talk.lines.iter().for_each(|line| line.set(Weather::both(lane)));
    (0..200).for_each(|_| talk.write());
    (talk.said - 200..talk.said).for_each(|number| drop(talk.hear(number)));
    talk.end(&["lost"]);
}

/// Stops the process of `of` for `time`, with a letter written before and one after.
fn suspend(talk: &mut Talk, of: fn(&Talk) -> &Running, time: Duration) {
    talk.say();
    of(talk).signal(Signal::STOP);
    let before = talk.said;
    talk.write();
    let start = Instant::now();
    // Count the results printed in the meantime.
    let mut accepted = 0;
    while let Some(left) = time.checked_sub(start.elapsed()) {
        accepted += usize::from(talk.tom.out_within(left).is_some());
    }
    talk.write();
    of(talk).signal(Signal::CONT);
    let woken = Instant::now();
    (before..talk.said).for_each(|number| drop(talk.hear(number)));
    (accepted..2).for_each(|_| drop(talk.tom.out()));
    println!("stopped for {time:?}: all letters arrived {:?} after it continued", woken.elapsed());
    assert!(woken.elapsed() < SOON, "{:?}", woken.elapsed());
}

// faults.md: R74
/// Sender, recipient and relay are stopped in turn.
#[test]
fn process_stopped_for_1_or_4_s_continues() {
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
                // A relay silent for this long is correctly reported.
                let silent = place == 2 && *time > Duration::from_secs(1);
                talk.end(if silent { &[] } else { &["lost", "no relay"] });
            });
        }
    });
}

// faults.md: R74
/// At most ten datagrams each way in the first 100 ms.
#[test]
fn waking_client_sends_no_burst() {
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
