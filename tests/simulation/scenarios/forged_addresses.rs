//! Scenarios with an attacker that sends text from forged addresses. No owner of such an address
//! receives more than it seems to have sent, and no guest and no member loses anything.

use std::net::SocketAddr;

use super::guests::{addr, answer_all, letters, member_with_guests, name, texts_of};
use crate::scenarios::basic::{delivered, millis, secs};

/// Guests that come before, during, and after the flood.
fn guests_despite_forger(seed: u64) {
    let (mut sim, tom, jack) = member_with_guests(seed, 16);
    sim.add_udp_guest(addr(1), 0);
    let before = sim.add_tcp_guest(addr(2), 0);
    sim.send_udp_text(addr(1), "here first");
    sim.send_tcp_text(before, "here first too\n");
    sim.run_for(secs(1));
    let mut answered = 0;
    answer_all(&mut sim, jack, &mut answered);
    sim.run_for(secs(1));
    sim.flood_with_text(3_000, secs(10));
    sim.run_for(secs(5));
    let letter = sim.send(tom, "JACK", "a member's letter");
    sim.send_udp_text(addr(1), "still here");
    sim.send_tcp_text(before, "still here too\n");
    let during = sim.add_tcp_guest(addr(4), 0);
    sim.send_tcp_text(during, "new by TCP\n");
    sim.add_udp_guest(addr(3), 0);
    for text in ["new by UDP", "is anybody there?"] {
        sim.send_udp_text(addr(3), text);
        sim.run_for(millis(1_500));
    }
    assert!(delivered(&sim, letter), "seed {seed}");
    assert_eq!(texts_of(&sim, jack, &name(1)), ["here first", "still here"], "seed {seed}");
    assert_eq!(texts_of(&sim, jack, &name(2)), ["here first too", "still here too"], "seed {seed}");
    assert_eq!(texts_of(&sim, jack, &name(4)), ["new by TCP"], "seed {seed}");
    let new = texts_of(&sim, jack, &name(3));
    assert_eq!(new.last().unwrap(), "is anybody there?", "seed {seed}: {new:?}");
    for host in [1, 2, 3, 4] {
        sim.send(jack, &name(host), "you are still answered");
    }
    sim.run_for(secs(10));
    assert!(!sim.guests.tcp_guest(before).closed && !sim.guests.tcp_guest(during).closed, "seed {seed}");
    for host in [1, 3] {
        let last = sim.guests.udp_guest(addr(host)).received.last().map(String::as_str);
        assert_eq!(last, Some("you are still answered"), "seed {seed}");
    }
    for conn in [before, during] {
        assert!(
            sim.guests.tcp_guest(conn).received_text().ends_with("you are still answered\n"),
            "seed {seed}"
        );
    }
    let forged = letters(&sim, jack).iter().filter(|(who, _)| who.starts_with("guest-10.")).count();
    assert!((500..3_000).contains(&forged), "seed {seed}: {forged} of 6,000");
}

#[test]
fn guests_and_members_are_served_during_forged_text_flood() {
    (1..9).for_each(guests_despite_forger);
}

/// Servers that answer any packet: DNS, NTP, and one more below port 1024.
#[test]
fn text_from_forged_server_address_gets_no_reply() {
    let (mut sim, _, jack) = member_with_guests(9, 16);
    let servers = [(1, 53), (2, 123), (3, 1_023)];
    let servers = servers.map(|(host, port)| SocketAddr::from(([192, 0, 2, host], port)));
    for from in servers {
        sim.add_forged_udp_guest(from);
        for text in ["hello", "@echo hello"] {
            sim.send_udp_text(from, text);
        }
    }
    sim.run_for(secs(5));
    assert_eq!(letters(&sim, jack), []);
    assert_eq!(sim.relay.core.stats().guests_forged, 6);
    assert!(servers.iter().all(|addr| sim.guests.udp_guest(*addr).received.is_empty()));
}
