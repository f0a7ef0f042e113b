//! Mailboxes that one sender, or many names of one, try to fill. Others keep their part, also
//! across a restart.

use std::path::Path as FolderPath;

use queqiao::relay::Limits;
use queqiao::wire::frame::Frame;
use queqiao::wire::message::Reason;

use super::raw_client::RawClient;
use super::relay_harness::{RelayHarness, START, ms, secs, udp};

/// Returns how many of the offered letters the relay takes from a member to this recipient.
fn taken(relay: &mut RelayHarness, client: &mut RawClient, to: &str, (first, many): (u64, u64)) -> u64 {
    let text = "x".repeat(1_000);
    for number in first..first + many {
        client.send_letter(relay, to, number, 0, &text);
        if !client.take_refusals(relay).is_empty() {
            return number - first;
        }
        // Leave time for the commit.
        relay.wait(ms(50));
    }
    many
}

fn again(relay: RelayHarness, dir: &FolderPath, limits: &Limits) -> RelayHarness {
    relay.core.check_sums();
    let tick = relay.tick;
    drop(relay);
    let relay = RelayHarness::open(dir, limits.clone(), tick);
    relay.core.check_sums();
    relay
}

// faults.md: R52
/// One member once filled all mailboxes, and others could not write to each other.
#[test]
fn sender_fills_only_its_share_of_all_mailboxes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { all_bytes: 16 * 6_000, keep: secs(3_600), ..Limits::default() };
    let mut relay = RelayHarness::open(dir.path(), limits.clone(), START);
    for n in 10..20 {
        RawClient::signed_in(&mut relay, udp(n, 1), n.into(), &format!("member-{n}"));
    }
    let greedy = |relay: &mut RelayHarness, first: u64| {
        let mut tom = RawClient::signed_in(relay, udp(1, first as u16), 1, "TOM");
        let to = (10..20).map(|n| format!("member-{n}"));
        to.map(|to| taken(relay, &mut tom, &to, (first, 3))).sum::<u64>()
    };
    assert_eq!(greedy(&mut relay, 1), 5, "5 of 1,078 bytes fit into 6,000");
    relay.wait(secs(1));
    let mut relay = again(relay, dir.path(), &limits);
    assert_eq!(greedy(&mut relay, 100), 0, "its letters on disk count");
    let mut mary = RawClient::signed_in(&mut relay, udp(2, 1), 2, "MARY");
    assert_eq!(taken(&mut relay, &mut mary, "member-10", (1, 5)), 5);
    let mut member = RawClient::signed_in(&mut relay, udp(10, 2), 10, "member-10");
    assert_eq!(member.take_deliveries(&mut relay).len(), 8);
    member.report_stored(&mut relay, "TOM", 2);
    relay.core.check_sums();
    assert_eq!(greedy(&mut relay, 200), 2, "two were stored");
    relay.wait(secs(3_700));
    assert!(relay.core.stats().letters_expired > 5);
    relay.core.check_sums();
    assert_eq!(greedy(&mut relay, 300), 5, "expired letters do not count");
}

// faults.md: R52
/// Ten unknown senders fill a mailbox, and a correspondent's letters are still taken.
#[test]
fn strangers_leave_quarter_of_mailbox_to_correspondents() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { mailbox_letters: 40, ..Limits::default() };
    let mut relay = RelayHarness::open(dir.path(), limits.clone(), START);
    let mut friend = RawClient::signed_in(&mut relay, udp(3, 1), 3, "FRIEND");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    jack.send_letter(&mut relay, "FRIEND", 1, 0, "hello");
    assert_eq!(friend.take_deliveries(&mut relay).len(), 1);
    friend.report_stored(&mut relay, "JACK", 1);
    // JACK is away, and its session is forgotten.
    relay.wait(secs(200));
    for n in 10..20 {
        let mut stranger = RawClient::signed_in(&mut relay, udp(n, 1), n.into(), &format!("stranger-{n}"));
        let most = taken(&mut relay, &mut stranger, "JACK", (1, 40));
        assert_eq!(most, [15, 8, 4, 2, 1][usize::from(n - 10).min(4)] * u64::from(n < 15), "stranger {n}");
    }
    let mut friend = RawClient::signed_in(&mut relay, udp(3, 2), 3, "FRIEND");
    assert_eq!(taken(&mut relay, &mut friend, "JACK", (1, 2)), 2);
    let mut relay = again(relay, dir.path(), &limits);
    let mut friend = RawClient::signed_in(&mut relay, udp(3, 3), 3, "FRIEND");
    let more = taken(&mut relay, &mut friend, "JACK", (3, 40));
    assert_eq!(more, 3, "as much as is left free, and known after a restart too");
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
    for _ in 0..40 {
        jack.send(&mut relay, &[Frame::Ping]);
        relay.wait(ms(20));
    }
    assert_eq!(jack.take_deliveries(&mut relay).len(), 35, "nothing that was accepted is evicted");
}

// faults.md: R52
#[test]
fn echo_and_owner_may_use_reserved_quarter() {
    let limits = Limits { mailbox_letters: 8, ..Limits::default() };
    let mut relay = RelayHarness::with(limits);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    let mut stranger = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    assert_eq!(taken(&mut relay, &mut stranger, "JACK", (1, 9)), 3, "of six");
    for (to, number) in [("echo", 1), ("JACK", 2)] {
        jack.send_letter(&mut relay, to, number, 0, "hello");
        assert_eq!(jack.take_refusals(&mut relay), [], "{to}");
    }
    stranger.send_letter(&mut relay, "JACK", 20, 0, "hello");
    assert_eq!(stranger.take_refusals(&mut relay), [(20, Reason::Full)]);
    relay.core.check_sums();
}

/// Delivers waiting letters in steps of 100 ms and returns how many of TOM's came. MARY writes a
/// letter in each step, which arrives in the same step. TOM's letters stay within 20,000 bytes and
/// 10,000 a second.
fn watch_pace(relay: &mut RelayHarness, jack: &mut RawClient, mary: &mut RawClient, steps: u64) -> u64 {
    let start = relay.tick;
    let mut greedy = 0;
    let mut bytes = 0;
    for step in 1..=steps {
        mary.send_letter(relay, "JACK", step, step - 1, "a word");
        let mut has_come = false;
        for _ in 0..5 {
            jack.send(relay, &[Frame::Ping]);
            for (from, number, body) in jack.take_deliveries(relay) {
                if from == "TOM" {
                    assert_eq!(number, greedy + 1, "in order");
                    greedy = number;
                    bytes += body.len() + 64;
                } else {
                    assert_eq!((from.as_str(), number), ("MARY", step));
                    has_come = true;
                }
                jack.report_stored(relay, &from, number);
            }
            let allowed = 20_000 + 10_000 * relay.tick.since(start).as_millis() as usize / 1_000;
            assert!(bytes <= allowed, "step {step}: {greedy} letters, {bytes} of {allowed} bytes");
            relay.wait(ms(20));
        }
        assert!(has_come, "MARY's letter {step} is held up");
    }
    relay.core.check_sums();
    greedy
}

/// Without this rate a stranger wrote 78 MB into a recipient's database in 12 s.
#[test]
fn pair_rate_delays_only_its_sender() {
    let limits = Limits { pair_rate: 10_000, pair_burst: 20_000, ..Limits::default() };
    let text = "x".repeat(920);
    for is_away in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut relay = RelayHarness::open(dir.path(), limits.clone(), START);
        let mut jack = RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
        if is_away {
            relay.wait(secs(200));
        }
        let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
        for number in 1..=60 {
            tom.send_letter(&mut relay, "JACK", number, number - 1, &text);
        }
        if is_away {
            relay = again(relay, dir.path(), &limits);
            jack = RawClient::signed_in(&mut relay, udp(2, 2), 2, "JACK");
        }
        let mut mary = RawClient::signed_in(&mut relay, udp(3, 1), 3, "MARY");
        let early = watch_pace(&mut relay, &mut jack, &mut mary, 20);
        assert!((30..=40).contains(&early), "{early} in two seconds, away: {is_away}");
        let more = watch_rest(&mut relay, &mut jack, early);
        let start = relay.tick;
        assert_eq!(more, 60, "all come in the end");
        assert!(relay.tick.since(start) < secs(4));
        let written = relay.core.stats().letters_written;
        assert!(is_away || written >= 20, "what waits is written in time: {written}");
    }
}

/// Delivers the last of TOM's letters for three seconds. Returns the last number.
fn watch_rest(relay: &mut RelayHarness, jack: &mut RawClient, early: u64) -> u64 {
    let mut last = early;
    for _ in 0..150 {
        jack.send(relay, &[Frame::Ping]);
        for (from, number, _) in jack.take_deliveries(relay) {
            assert_eq!((from.as_str(), number), ("TOM", last + 1));
            last = number;
            jack.report_stored(relay, &from, number);
        }
        relay.wait(ms(20));
    }
    last
}

#[test]
fn limits_off_lifts_pair_rate() {
    let limits = Limits { pair_rate: 1, pair_burst: 1, per_sender: false, ..Limits::default() };
    let mut relay = RelayHarness::with(limits);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 1), 2, "JACK");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1), 1, "TOM");
    for number in 1..=9 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "hello");
    }
    assert_eq!(jack.take_deliveries(&mut relay).len(), 9);
}
