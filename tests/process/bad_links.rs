//! Conversations over lines that fail in each way that the table of faults names.
#![allow(clippy::disallowed_types, reason = "real processes live in real time")]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Machine, Process, Relay, SOON};
use crate::netem::{LinkConditions, LinkDirection, NetworkEmulator};

const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Time in which a listening end notices a dead path: four seconds, doubled for a busy machine.
const LISTENER_NOTICES: Duration = Duration::from_secs(8);
/// Directions that fail: both, up, down.
const DIRECTIONS: [(bool, bool); 3] = [(true, true), (true, false), (false, true)];

/// TOM writes to JACK, each behind a separate line.
struct Conversation {
    machine: Machine,
    relay: Relay,
    links: [NetworkEmulator; 2],
    tom: Process,
    jack: Process,
    next_number: usize,
}

/// Returns a machine with a relay and two lines to it.
fn two_links(conditions: LinkConditions) -> (Machine, Relay, [NetworkEmulator; 2]) {
    let machine = Machine::new();
    let relay = machine.relay(&["--tcp"]);
    let links = [21, 28].map(|seed| NetworkEmulator::open(relay.udp, seed, conditions));
    machine.write("contacts.toml", format!("[contacts]\nJACK = \"{}\"\n", links[0].addr));
    machine.write("jack.toml", format!("[contacts]\nTOM = \"{}\"\n", links[1].addr));
    (machine, relay, links)
}

impl Conversation {
    /// Starts a conversation of twelve letters, so that UDP is validated.
    fn begin() -> Conversation {
        let (machine, relay, links) = two_links(LinkConditions::distant(ROUND_TRIP));
        let jack = machine.listen("JACK", &["--contacts", "jack.toml", "--json"]);
        let tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        let mut conversation = Conversation { machine, relay, links, tom, jack, next_number: 0 };
        for _ in 0..12 {
            conversation.send_and_check();
        }
        conversation
    }

    fn write(&mut self) {
        self.tom.write(&format!("{}\n", self.next_number));
        self.next_number += 1;
    }

    /// Sends the next letter. Returns the time until it was accepted, and asserts that it arrives
    /// as the next.
    fn send_and_check(&mut self) -> Duration {
        let start = Instant::now();
        self.write();
        self.tom.out();
        let took = start.elapsed();
        let number = self.next_number - 1;
        self.expect_letter(number);
        took
    }

    /// Asserts that the next letter of JACK is this one. Returns the carrier by which it came.
    fn expect_letter(&mut self, number: usize) -> String {
        let letter: Value = serde_json::from_str(&self.jack.out()).unwrap();
        assert_eq!((&letter["text"], &letter["missing"]), (&number.to_string().into(), &Value::Null));
        letter["via"].as_str().unwrap().to_owned()
    }

    fn hole(&self, link: usize, (up, down): (bool, bool)) {
        self.links[link].set(LinkConditions::distant(ROUND_TRIP).with_hole(up, down));
    }

    /// Ends both. Asserts that neither printed one of these words, and that JACK's history has each
    /// letter once.
    fn end(mut self, never: &[&str]) {
        self.tom.write_and_close(b"");
        let exited = [self.tom.end().with(0), self.jack.terminate().with(130)];
        for line in exited.iter().flat_map(|exited| &exited.err) {
            assert!(!never.iter().any(|word| line.contains(word)), "{line}");
        }
        let history =
            self.machine.run(&["history", "--as", "JACK", "--contacts", "jack.toml", "--json"]).with(0);
        let texts =
            history.out.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone());
        assert!(texts.eq((0..self.next_number).map(|number| Value::from(number.to_string()))));
        self.relay.stop().with(0);
    }
}

// faults.md: R28
#[test]
fn sender_with_dead_udp_continues_on_tcp() {
    for direction in DIRECTIONS {
        let mut conversation = Conversation::begin();
        conversation.hole(0, direction);
        let took = conversation.send_and_check();
        println!("{direction:?}: accepted after {took:?}");
        assert!(took < SOON, "{took:?} {direction:?}");
        conversation.tom.until_err_within("no answer over UDP; switched to TCP", SOON);
        conversation.end(&["lost"]);
    }
}

// faults.md: R28
#[test]
fn listener_with_dead_udp_notices_within_8_s() {
    let mut talks = DIRECTIONS.map(|direction| (direction, Conversation::begin()));
    let start = Instant::now();
    talks.iter().for_each(|(direction, conversation)| conversation.hole(1, *direction));
    for (direction, conversation) in &mut talks {
        conversation.jack.until_err_within("switched to TCP", LISTENER_NOTICES);
        println!("{direction:?}: on TCP after {:?}", start.elapsed());
        conversation.write();
        assert_eq!(conversation.expect_letter(conversation.next_number - 1), "tcp");
    }
    talks.into_iter().for_each(|(_, conversation)| conversation.end(&["lost"]));
}

// faults.md: R29
#[test]
fn udp_dead_after_third_packet_fails_over() {
    let (machine, relay, links) = two_links(LinkConditions::distant(ROUND_TRIP));
    let mut jack = machine.listen("JACK", &["--contacts", "jack.toml"]);
    let mut dropped = 0;
    let mut connections = 0;
    for (up, down) in DIRECTIONS {
        let mut conditions = LinkConditions::distant(ROUND_TRIP);
        conditions.up.left = up.then_some(3);
        conditions.down.left = down.then_some(3);
        links[0].set(conditions);
        let mut tom = machine.start(&["send", "--as", "TOM", "--lines", "JACK"]);
        for text in ["one", "two", "three"] {
            tom.write(&format!("{text}\n"));
            tom.out();
            assert!(jack.out().ends_with(text));
        }
        let counts = links[0].counts();
        assert!(counts.dropped > dropped && counts.connections > connections, "{counts:?}");
        dropped = counts.dropped;
        connections = counts.connections;
        tom.write_and_close(b"");
        tom.end().with(0);
    }
    relay.stop().with(0);
}

// faults.md: R29
#[test]
fn udp_losing_packets_over_1100_bytes_fails_over() {
    for (up, down) in DIRECTIONS {
        let (machine, relay, links) = two_links(LinkConditions::distant(ROUND_TRIP));
        let size_max = |narrow: bool| if narrow { 1_100 } else { 0 };
        links.iter().for_each(|link| {
            link.change(|conditions| {
                conditions.up.size_max = size_max(up);
                conditions.down.size_max = size_max(down);
            });
        });
        let mut jack = machine.start(&["listen", "--as", "JACK", "--contacts", "jack.toml", "--count", "1"]);
        jack.until_err("connected to");
        let text = "x".repeat(20_000);
        machine.run(&["send", "--as", "TOM", "--wait", "delivered", "JACK", &text]).with(0);
        assert!(jack.end().with(0).out[0].ends_with(&text));
        assert!(links[0].counts().dropped > 0, "a packet was too long");
        relay.stop().with(0);
    }
}

// faults.md: R21
/// The users see no notice either.
#[test]
fn port_change_every_100_packets_loses_no_letter() {
    let mut conversation = Conversation::begin();
    for link in &conversation.links {
        link.change(|conditions| conditions.rebind_every = 100);
    }
    while conversation.links[0].counts().rebound < 2 || conversation.links[1].counts().rebound < 2 {
        // Ten at once, so that packets are on their way when the address changes.
        (0..10).for_each(|_| conversation.write());
        (conversation.next_number - 10..conversation.next_number).for_each(|number| {
            assert_eq!(conversation.expect_letter(number), "udp");
            conversation.tom.out();
        });
    }
    conversation.end(&["TCP", "lost"]);
}

// faults.md: R30
#[test]
fn closed_udp_port_starts_tcp_at_once() {
    let (machine, relay, links) = two_links(LinkConditions::default());
    machine.listen("JACK", &["--contacts", "jack.toml"]).terminate().with(130);
    links[0].change(|conditions| conditions.closed = true);
    let least = (0..5).map(|_| {
        let start = Instant::now();
        machine.send("TOM", "JACK", "hello").with(0);
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
    let mut conversation = Conversation::begin();
    conversation.links[0].change(|conditions| conditions.closed = true);
    conversation.send_and_check();
    conversation.tom.until_err("switched to TCP");
    conversation.links[0].change(|conditions| conditions.closed = false);
    conversation.tom.until_err("UDP works; switched to UDP");
    conversation.send_and_check();
    conversation.end(&["lost"]);
}

// faults.md: R39
#[test]
fn stalled_or_reset_connections_lose_no_letter() {
    let mut conversation = Conversation::begin();
    conversation.hole(0, (true, true));
    conversation.send_and_check();
    for _ in 0..5 {
        (0..5).for_each(|_| conversation.write());
        conversation.links[0].reset();
        (conversation.next_number - 5..conversation.next_number).for_each(|number| {
            conversation.expect_letter(number);
            conversation.tom.out();
        });
    }
    conversation.links[0].change(|conditions| conditions.stalled = true);
    conversation.write();
    assert_eq!(conversation.jack.out_within(Duration::from_millis(300)), None, "nothing passes");
    conversation.links[0].change(|conditions| conditions.stalled = false);
    conversation.expect_letter(conversation.next_number - 1);
    conversation.end(&[]);
}

// faults.md: R27
#[test]
fn loss_copies_and_reordering_change_no_letter() {
    let direction = LinkDirection {
        loss: 300,
        copies: 50,
        reordered: 100,
        delay: Duration::from_millis(5),
        ..LinkDirection::default()
    };
    let mut conversation = Conversation::begin();
    conversation.links.iter().for_each(|link| link.set(LinkConditions::both(direction)));
    (0..200).for_each(|_| conversation.write());
    (conversation.next_number - 200..conversation.next_number)
        .for_each(|number| drop(conversation.expect_letter(number)));
    conversation.end(&["lost"]);
}

/// Stops the process of `of` for `time`, with a letter written before and one after.
fn suspend(conversation: &mut Conversation, of: fn(&Conversation) -> &Process, time: Duration) {
    conversation.send_and_check();
    of(conversation).signal(Signal::STOP);
    let before = conversation.next_number;
    conversation.write();
    let start = Instant::now();
    // Count the results printed in the meantime.
    let mut accepted = 0;
    while let Some(left) = time.checked_sub(start.elapsed()) {
        accepted += usize::from(conversation.tom.out_within(left).is_some());
    }
    conversation.write();
    of(conversation).signal(Signal::CONT);
    let woken = Instant::now();
    (before..conversation.next_number).for_each(|number| drop(conversation.expect_letter(number)));
    (accepted..2).for_each(|_| drop(conversation.tom.out()));
    println!("stopped for {time:?}: all letters arrived {:?} after it continued", woken.elapsed());
    assert!(woken.elapsed() < SOON, "{:?}", woken.elapsed());
}

// faults.md: R74
/// Sender, recipient and relay are stopped in turn.
#[test]
fn process_stopped_for_1_or_4_s_continues() {
    let victims: [fn(&Conversation) -> &Process; 3] = [
        |conversation| &conversation.tom,
        |conversation| &conversation.jack,
        |conversation| &conversation.relay.process,
    ];
    let times = [Duration::from_secs(1), Duration::from_millis(3_900)];
    std::thread::scope(|scope| {
        for (time, (two_links, of)) in
            times.iter().flat_map(|time| victims.iter().enumerate().map(move |v| (time, v)))
        {
            scope.spawn(move || {
                let mut conversation = Conversation::begin();
                suspend(&mut conversation, *of, *time);
                conversation.send_and_check();
                // A relay silent for this long is correctly reported.
                let silent = two_links == 2 && *time > Duration::from_secs(1);
                conversation.end(if silent { &[] } else { &["lost", "no relay"] });
            });
        }
    });
}

// faults.md: R74
/// At most ten datagrams each way in the first 100 ms.
#[test]
fn waking_client_sends_no_burst() {
    let mut conversation = Conversation::begin();
    conversation.tom.signal(Signal::STOP);
    assert_eq!(conversation.tom.out_within(Duration::from_secs(3)), None);
    let before = conversation.links[0].counts();
    conversation.tom.signal(Signal::CONT);
    assert_eq!(conversation.tom.out_within(Duration::from_millis(100)), None);
    let after = conversation.links[0].counts();
    println!("{} datagrams both ways in the first tenth of a second", after.passed - before.passed);
    assert!(after.passed - before.passed <= 20, "ten each way");
    conversation.send_and_check();
    conversation.end(&["lost"]);
}
