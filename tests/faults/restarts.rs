//! A relay that is killed, and the next one on the same disk: its knowledge, and the clients it
//! resets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path as FolderPath;

use queqiao::base::{Carrier, Input, OutboxId, Path, Tick};
use queqiao::client::{Carriers, Event, Progress};
use queqiao::relay::{Limits, Record, SessionHint};
use queqiao::store::{Backend, RelayStore, renew_reset_id};
use queqiao::wire::frame::{Frame, StreamId};
use queqiao::wire::message::{Reason, ToRelay};
use queqiao::wire::packet::{self, Packet, RESET_LEN};

use super::client_harness::{ClientHarness, relay_addr};
use super::raw_client::{RawClient, stored_report};
use super::relay_harness::{HarnessInput, RelayHarness, START, ms, secs, udp};

fn later(relay: RelayHarness, dir: &FolderPath, limits: &Limits) -> RelayHarness {
    let tick = relay.tick;
    drop(relay);
    RelayHarness::open(dir, limits.clone(), tick)
}

/// Returns the resets sent since the last call, by address.
fn resets(relay: &mut RelayHarness) -> BTreeMap<SocketAddr, usize> {
    let mut counts = BTreeMap::new();
    for (path, bytes) in std::mem::take(&mut relay.sent) {
        if let Path::Udp(addr) = path
            && bytes.len() == RESET_LEN
        {
            *counts.entry(addr).or_default() += 1;
        }
    }
    counts
}

// faults.md: R31
/// The first resets are spread over a second, and a session that got three is forgotten.
#[test]
fn lost_sessions_get_three_resets_at_1000_per_s() {
    const LOST: u32 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let addr = |n: u32| SocketAddr::from(([198, 18, 1 + (n / 250) as u8, (n % 250) as u8], 1_000));
    let noted = (1..=LOST).map(|n| SessionHint { addr: addr(n), index: n, local: None }).collect();
    let (mut store, _) = RelayStore::open(dir.path(), || [7; 32]).unwrap();
    store.commit(&[Record::Sessions { hints: noted, ended: Vec::new() }], &mut Vec::new()).unwrap();
    drop(store);
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
    let mut counts = resets(&mut relay);
    assert!(counts.len() <= 20, "not all at once");
    relay.wait(ms(999));
    resets(&mut relay).into_iter().for_each(|(addr, count)| *counts.entry(addr).or_default() += count);
    assert_eq!(
        (counts.len(), counts.values().max()),
        (LOST as usize, Some(&1)),
        "one each in the first second"
    );
    let Path::Udp(back) = udp(1, 1) else { unreachable!() };
    relay.wait(secs(3));
    resets(&mut relay).into_iter().for_each(|(addr, count)| *counts.entry(addr).or_default() += count);
    assert!(counts.values().all(|count| *count == 3), "{counts:?}");
    assert!(!counts.contains_key(&back));
    let mut relay = later(relay, dir.path(), &Limits::default());
    relay.wait(secs(2));
    assert!(resets(&mut relay).is_empty(), "they had their three resets");
}

// faults.md: R31
#[test]
fn returned_client_gets_no_further_reset() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
    RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    relay.wait(secs(2));
    let mut relay = later(relay, dir.path(), &Limits::default());
    assert_eq!(resets(&mut relay).values().copied().collect::<Vec<_>>(), [1, 1]);
    RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.wait(secs(2));
    let Path::Udp(jack) = udp(2, 2) else { unreachable!() };
    assert_eq!(resets(&mut relay), BTreeMap::from([(jack, 2)]));
}

#[test]
fn ended_session_gets_no_reset_after_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
    RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.wait(secs(2));
    relay.wait(secs(200));
    assert_eq!(relay.core.session_count(), 0);
    let mut relay = later(relay, dir.path(), &Limits::default());
    relay.wait(secs(2));
    assert!(resets(&mut relay).is_empty());
}

/// Whether this packet is a valid reset of this session.
fn is_reset_of(client: &RawClient, bytes: &[u8]) -> bool {
    match packet::parse(Carrier::Udp, bytes) {
        Ok(Packet::Reset { index, token }) => client.keys.is_reset(index, token),
        _ => false,
    }
}

// faults.md: R31
/// A thousand sessions by separate handshakes: after a restart the relay has the same tokens. A
/// relay on a copy of its folder with another id has not.
#[test]
fn resets_of_1000_sessions_after_restart_are_valid() {
    const LOST: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { per_sender: false, ..Limits::default() };
    let mut relay = RelayHarness::open(dir.path(), limits.clone(), START);
    let path = |n: usize| udp(1 + (n / 250) as u8, 1 + n as u16);
    let mut clients: Vec<_> = (0..LOST)
        .map(|n| RawClient::signed_in(&mut relay, path(n), n as u64, &format!("member{n}")))
        .collect();
    relay.wait(secs(2));
    let mut relay = later(relay, dir.path(), &limits);
    relay.wait(secs(4));
    let mut counts = vec![0; LOST];
    for (to, bytes) in std::mem::take(&mut relay.sent) {
        let n = (0..LOST).find(|n| path(*n) == to).expect("every reset goes to a session's address");
        counts[n] += usize::from(is_reset_of(&clients[n], &bytes));
    }
    let once_more = counts.iter().filter(|count| **count != 3).count();
    assert_eq!(once_more, 0, "three resets for each");
    drop(relay);

    renew_reset_id(dir.path(), || [99; 32]).unwrap();
    let mut copy = RelayHarness::open(dir.path(), limits, START);
    let ping = clients[5].seal(&[Frame::Ping]);
    copy.handle_packet(path(5), &ping);
    let answers = copy.take_sent_on(path(5));
    assert!(!answers.is_empty() && !answers.iter().any(|bytes| is_reset_of(&clients[5], bytes)));
}

/// Both were online, so the relay wrote nothing of it. The recipient reports it again, and the
/// sender queries it.
#[test]
fn read_receipt_survives_relay_kill() {
    for killed_again in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
        let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
        let mut tom = ClientHarness::signed_in(&mut relay, "TOM", 1, Carriers::Udp);
        tom.send(1, 7, "JACK", "hello");
        tom.run_with(&mut relay, ms(100));
        let outbox = OutboxId(1).for_relay(&relay_addr(1).into());
        jack.send_message(&mut relay, StreamId::Control, &stored_report("TOM", outbox.0, 1));
        tom.run_with(&mut relay, secs(2));
        let reached = |tom: &ClientHarness, wanted| {
            tom.count_events(|e| matches!(e, Event::Progress { progress, .. } if *progress == wanted))
        };
        assert_eq!((reached(&tom, Progress::Delivered), reached(&tom, Progress::Read)), (1, 0));
        assert_eq!(relay.core.stats().letters_written, 0);

        let mut relay = later(relay, dir.path(), &Limits::default());
        let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
        jack.send_message(&mut relay, StreamId::Control, &ToRelay::Read { from: "TOM", outbox, through: 1 });
        if killed_again {
            relay = later(relay, dir.path(), &Limits::default());
        }
        tom.run_with(&mut relay, secs(40));
        assert_eq!(reached(&tom, Progress::Read), 1, "killed again: {killed_again}");
    }
}

/// False READ claims use up the recipient's own quota and do not change the sender's state.
#[test]
fn false_read_reports_are_bounded_and_have_no_effect() {
    let mut relay = RelayHarness::new();
    let mut mallory = RawClient::signed_in(&mut relay, udp(3, 3), 3, "mallory");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.auto_commit = false;
    for outbox in 0..3_000 {
        let claim = ToRelay::Read { from: "TOM", outbox: OutboxId(outbox), through: u64::MAX };
        mallory.send_message(&mut relay, StreamId::Control, &claim);
    }
    relay.records.retain(|(_, record)| matches!(record, Record::Progress { .. }));
    assert_eq!(relay.records.len(), 1_024, "the number of stored reports is bounded");
    tom.receive(&mut relay);
    assert!(tom.take_messages(StreamId::Control).is_empty());
    tom.send_letter(&mut relay, "mallory", 1, 0, "hello");
    mallory.receive(&mut relay);
    assert_eq!(mallory.take_messages(StreamId::Chat).len(), 1, "letters are still taken");
}

/// The sender's letter was refused: the flow is known, and none of its letters was ever taken.
#[test]
fn stored_read_watermark_never_decreases() {
    let mut relay = RelayHarness::with(Limits { pair_bytes: 1_000, ..Limits::default() });
    let mut mallory = RawClient::signed_in(&mut relay, udp(3, 3), 3, "mallory");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.auto_commit = false;
    let claim = |through| ToRelay::Read { from: "TOM", outbox: OutboxId(0xB0), through };
    mallory.send_message(&mut relay, StreamId::Control, &claim(u64::MAX));
    tom.send_letter(&mut relay, "mallory", 1, 0, &"x".repeat(2_000));
    assert_eq!(tom.take_refusals(&mut relay), [(1, Reason::TooLong)]);
    relay.wait(secs(200));
    let mut mallory = RawClient::signed_in(&mut relay, udp(3, 4), 3, "mallory");
    mallory.send_message(&mut relay, StreamId::Control, &claim(17));
    let read = |(_, record): &(_, Record)| match record {
        Record::Progress { flow: Some(flow), .. } => Some(flow.watermarks.read),
        _ => None,
    };
    let written: Vec<u64> = relay.records.iter().filter_map(read).collect();
    assert_eq!((written.first(), written.iter().min()), (Some(&u64::MAX), Some(&u64::MAX)));
    assert!(written.len() > 1, "it was written again");
}

/// Returns a relay whose mailbox has three letters of TOM to JACK, who is away.
fn waiting(dir: &FolderPath, limits: &Limits) -> RelayHarness {
    let mut relay = RelayHarness::open(dir, limits.clone(), START);
    RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    relay.wait(secs(200));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    (1..=3).for_each(|number| tom.send_letter(&mut relay, "JACK", number, number - 1, "hello"));
    assert_eq!(relay.core.stats().letters_written, 3);
    relay
}

// faults.md: R52
#[test]
fn full_mailbox_stays_full_across_restart_until_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { pair_letters: 3, ..Limits::default() };
    let relay = waiting(dir.path(), &limits);
    let mut relay = later(relay, dir.path(), &limits);
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 2), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 3, 2, "hello");
    assert_eq!(tom.take_refusals(&mut relay), [], "it was accepted");
    tom.send_letter(&mut relay, "JACK", 4, 3, "hello");
    assert_eq!(tom.take_refusals(&mut relay), [(4, Reason::Full)]);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
    assert_eq!(jack.take_messages(StreamId::Chat).len(), 3);
    jack.report_stored(&mut relay, "TOM", 3);
    tom.send_letter(&mut relay, "JACK", 4, 3, "hello");
    assert_eq!(tom.take_refusals(&mut relay), []);
}

#[test]
fn letters_expire_across_restart_and_never_early() {
    let limits = Limits { keep: secs(100), ..Limits::default() };
    for stopped in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = waiting(dir.path(), &limits);
        relay.wait(secs(60));
        if stopped {
            relay.take_turn(vec![HarnessInput::Other(Input::Command(queqiao::relay::Command::Stop))]);
        }
        let mut relay = later(relay, dir.path(), &limits);
        let expired = |relay: &RelayHarness| relay.core.stats().letters_expired;
        relay.wait(secs(30));
        assert_eq!(expired(&relay), 0);
        // A killed relay has lost part of its uptime clock: letters wait longer, not shorter.
        relay.wait(if stopped { secs(20) } else { secs(80) });
        assert_eq!(expired(&relay), 3, "stopped in good order: {stopped}");
        let mut relay = later(relay, dir.path(), &limits);
        let counter = relay.next_counter();
        let mut tom = RawClient::handshake(&mut relay, udp(1, 2), 1, counter).unwrap();
        tom.sign_in(&mut relay, "TOM");
        let gone = |number| (number, Reason::Expired);
        assert_eq!(
            tom.take_refusals(&mut relay),
            [gone(1), gone(2), gone(3)],
            "the sender gets the refusals at its next sign-in"
        );
    }
}

// faults.md: R12
#[test]
fn reset_tokens_survive_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), Tick::from_micros(5));
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    relay.wait(secs(2));
    let mut relay = later(relay, dir.path(), &Limits::default());
    let path = tom.path;
    let by_itself = relay.take_sent_on(path);
    let packet = tom.seal(&[queqiao::wire::frame::Frame::Ping]);
    relay.handle_packet(path, &packet);
    assert_eq!((by_itself.len(), by_itself), (1, relay.take_sent_on(path)));
}

/// The sender is away while its first letter expires and the second is delivered. The receipt for
/// the second must not count for the first, also across a restart.
#[test]
fn expired_letter_does_not_pass_as_delivered() {
    let limits = Limits { keep: secs(100), ..Limits::default() };
    for restarted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), limits.clone(), START);
        RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
        relay.wait(secs(200));
        let mut tom = ClientHarness::signed_in(&mut relay, "TOM", 1, Carriers::Udp);
        for (request, pause) in [(7, 60), (8, 5)] {
            tom.send(1, request, "JACK", "hello");
            tom.run_with(&mut relay, secs(pause));
        }
        tom.cut_up = true;
        tom.cut_down = true;
        tom.run_with(&mut relay, secs(50));
        assert_eq!(relay.core.stats().letters_expired, 1);
        let mut jack = RawClient::signed_in(&mut relay, udp(2, 3), 2, "JACK");
        assert_eq!(jack.take_messages(StreamId::Chat).len(), 1);
        jack.send_message(
            &mut relay,
            StreamId::Control,
            &stored_report("TOM", OutboxId(1).for_relay(&relay_addr(1).into()).0, 2),
        );
        if restarted {
            relay = later(relay, dir.path(), &limits);
        }
        tom.cut_up = false;
        tom.cut_down = false;
        tom.run_with(&mut relay, secs(60));
        let end = |event: &Event| match event {
            Event::Progress { request, progress: Progress::Delivered, .. } => Some((*request, None)),
            Event::Refused { request, reason, .. } => Some((*request, Some(*reason))),
            _ => None,
        };
        let ends: Vec<_> = tom.events.iter().filter_map(end).collect();
        assert_eq!(ends, [(7, Some(Reason::Expired)), (8, None)], "restarted: {restarted}");
    }
}

/// Returns a query about the letters to JACK.
fn query(accepted: u64, settled: u64) -> ToRelay<'static> {
    ToRelay::QueryReceipt { to: "JACK", outbox: OutboxId(0xB0), accepted, settled }
}

/// The recipient has stored the first letter, and the second one waits on the disk. A relay that
/// finds only the second one takes both for accepted, so the disk must have that delivery.
#[test]
fn delivery_before_waiting_letter_survives_relay_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), START);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 1, 0, "stored");
    jack.report_stored(&mut relay, "TOM", 1);
    tom.send_letter(&mut relay, "JACK", 2, 1, "waiting");
    assert_eq!(relay.core.stats().letters_written, 0);
    relay.wait(secs(3));
    assert_eq!(relay.core.stats().letters_written, 1);
    let mut relay = later(relay, dir.path(), &Limits::default());
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 2), 1, "TOM");
    tom.send_message(&mut relay, StreamId::Control, &query(0, 0));
    assert_eq!(tom.take_receipts(&mut relay), [(2, 1, 0, true)]);
}
