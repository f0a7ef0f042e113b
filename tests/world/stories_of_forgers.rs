//! Scenarios with an attacker that sends text from forged addresses. No owner of such an address
//! receives more than it seems to have sent, and no guest and no member loses anything.

use std::net::SocketAddr;

use super::stories::{delivered, millis, secs};
use super::stories_of_guests::{addr, answer, desk, letters, name, texts_of};

/// Guests that come before, during, and after the flood.
fn story(seed: u64) {
    let (mut world, tom, jack) = desk(seed, 16);
    world.caller(addr(1), 0);
    let before = world.guest(addr(2), 0);
    world.say_by_udp(addr(1), "here first");
    world.say_by_tcp(before, "here first too\n");
    world.run_for(secs(1));
    let mut answered = 0;
    answer(&mut world, jack, &mut answered);
    world.run_for(secs(1));
    world.flood_with_text(3_000, secs(10));
    world.run_for(secs(5));
    let letter = world.send(tom, "JACK", "a member's letter");
    world.say_by_udp(addr(1), "still here");
    world.say_by_tcp(before, "still here too\n");
    let during = world.guest(addr(4), 0);
    world.say_by_tcp(during, "new by TCP\n");
    world.caller(addr(3), 0);
    for text in ["new by UDP", "is anybody there?"] {
        world.say_by_udp(addr(3), text);
        world.run_for(millis(1_500));
    }
    assert!(delivered(&world, letter), "seed {seed}");
    assert_eq!(texts_of(&world, jack, &name(1)), ["here first", "still here"], "seed {seed}");
    assert_eq!(texts_of(&world, jack, &name(2)), ["here first too", "still here too"], "seed {seed}");
    assert_eq!(texts_of(&world, jack, &name(4)), ["new by TCP"], "seed {seed}");
    let new = texts_of(&world, jack, &name(3));
    assert_eq!(new.last().unwrap(), "is anybody there?", "seed {seed}: {new:?}");
    for host in [1, 2, 3, 4] {
        world.send(jack, &name(host), "you are still answered");
    }
    world.run_for(secs(10));
    assert!(!world.visitors.on(before).closed && !world.visitors.on(during).closed, "seed {seed}");
    for host in [1, 3] {
        let last = world.visitors.at(addr(host)).heard.last().map(String::as_str);
        assert_eq!(last, Some("you are still answered"), "seed {seed}");
    }
    for conn in [before, during] {
        assert!(world.visitors.on(conn).heard().ends_with("you are still answered\n"), "seed {seed}");
    }
    let forged = letters(&world, jack).iter().filter(|(who, _)| who.starts_with("guest-10.")).count();
    assert!((500..3_000).contains(&forged), "seed {seed}: {forged} of 6,000");
}

#[test]
fn guests_and_members_are_served_during_forged_text_flood() {
    (1..9).for_each(story);
}

/// Servers that answer any packet: DNS, NTP, and one more below port 1024.
#[test]
fn text_from_forged_server_address_gets_no_reply() {
    let (mut world, _, jack) = desk(9, 16);
    let servers = [(1, 53), (2, 123), (3, 1_023)];
    let servers = servers.map(|(host, port)| SocketAddr::from(([192, 0, 2, host], port)));
    for from in servers {
        world.forged_caller(from);
        for text in ["hello", "@echo hello"] {
            world.say_by_udp(from, text);
        }
    }
    world.run_for(secs(5));
    assert_eq!(letters(&world, jack), []);
    assert_eq!(world.relay.core.stats().guests_forged, 6);
    assert!(servers.iter().all(|addr| world.visitors.at(*addr).heard.is_empty()));
}
