//! Mailboxes that one sender, or many names of one, try to fill. Others keep their part, also
//! across a restart.

use std::path::Path as FolderPath;

use queqiao::relay::Limits;
use queqiao::wire::frame::Frame;
use queqiao::wire::message::Reason;

use super::hand::Hand;
use super::rig::{Rig, START, ms, secs, udp};

/// Returns how many of the offered letters the relay takes from a member to this recipient.
fn taken(rig: &mut Rig, hand: &mut Hand, to: &str, (first, many): (u64, u64)) -> u64 {
    let text = "x".repeat(1_000);
    for number in first..first + many {
        hand.write(rig, to, number, 0, &text);
        if !hand.refusals(rig).is_empty() {
            return number - first;
        }
        // Leave time for the commit.
        rig.wait(ms(50));
    }
    many
}

fn again(rig: Rig, dir: &FolderPath, limits: &Limits) -> Rig {
    rig.relay.check_sums();
    let tick = rig.tick;
    drop(rig);
    let rig = Rig::open(dir, limits.clone(), tick);
    rig.relay.check_sums();
    rig
}

// faults.md: R52
/// One member once filled all mailboxes, and others could not write to each other.
#[test]
fn sender_fills_only_its_share_of_all_mailboxes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { all_bytes: 16 * 6_000, keep: secs(3_600), ..Limits::default() };
    let mut rig = Rig::open(dir.path(), limits.clone(), START);
    for n in 10..20 {
        Hand::member(&mut rig, udp(n, 1), n.into(), &format!("member-{n}"));
    }
    let greedy = |rig: &mut Rig, first: u64| {
        let mut tom = Hand::member(rig, udp(1, first as u16), 1, "TOM");
        let to = (10..20).map(|n| format!("member-{n}"));
        to.map(|to| taken(rig, &mut tom, &to, (first, 3))).sum::<u64>()
    };
    assert_eq!(greedy(&mut rig, 1), 5, "5 of 1,078 bytes fit into 6,000");
    rig.wait(secs(1));
    let mut rig = again(rig, dir.path(), &limits);
    assert_eq!(greedy(&mut rig, 100), 0, "its letters on disk count");
    let mut mary = Hand::member(&mut rig, udp(2, 1), 2, "MARY");
    assert_eq!(taken(&mut rig, &mut mary, "member-10", (1, 5)), 5);
    let mut member = Hand::member(&mut rig, udp(10, 2), 10, "member-10");
    assert_eq!(member.deliveries(&mut rig).len(), 8);
    member.store(&mut rig, "TOM", 2);
    rig.relay.check_sums();
    assert_eq!(greedy(&mut rig, 200), 2, "two were stored");
    rig.wait(secs(3_700));
    assert!(rig.relay.stats().letters_expired > 5);
    rig.relay.check_sums();
    assert_eq!(greedy(&mut rig, 300), 5, "expired letters do not count");
}

// faults.md: R52
/// Ten unknown senders fill a mailbox, and a correspondent's letters are still taken.
#[test]
fn strangers_leave_quarter_of_mailbox_to_correspondents() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { queue_letters: 40, ..Limits::default() };
    let mut rig = Rig::open(dir.path(), limits.clone(), START);
    let mut friend = Hand::member(&mut rig, udp(3, 1), 3, "FRIEND");
    let mut jack = Hand::member(&mut rig, udp(2, 1), 2, "JACK");
    jack.write(&mut rig, "FRIEND", 1, 0, "hello");
    assert_eq!(friend.deliveries(&mut rig).len(), 1);
    friend.store(&mut rig, "JACK", 1);
    // JACK is away, and its session is forgotten.
    rig.wait(secs(200));
    for n in 10..20 {
        let mut stranger = Hand::member(&mut rig, udp(n, 1), n.into(), &format!("stranger-{n}"));
        let most = taken(&mut rig, &mut stranger, "JACK", (1, 40));
        assert_eq!(most, [15, 8, 4, 2, 1][usize::from(n - 10).min(4)] * u64::from(n < 15), "stranger {n}");
    }
    let mut friend = Hand::member(&mut rig, udp(3, 2), 3, "FRIEND");
    assert_eq!(taken(&mut rig, &mut friend, "JACK", (1, 2)), 2);
    let mut rig = again(rig, dir.path(), &limits);
    let mut friend = Hand::member(&mut rig, udp(3, 3), 3, "FRIEND");
    let more = taken(&mut rig, &mut friend, "JACK", (3, 40));
    assert_eq!(more, 3, "as much as is left free, and known after a restart too");
    let mut jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
    for _ in 0..40 {
        jack.send(&mut rig, &[Frame::Ping]);
        rig.wait(ms(20));
    }
    assert_eq!(jack.deliveries(&mut rig).len(), 35, "nothing that was accepted is evicted");
}

// faults.md: R52
#[test]
fn echo_and_owner_may_use_reserved_quarter() {
    let limits = Limits { queue_letters: 8, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let mut jack = Hand::member(&mut rig, udp(2, 1), 2, "JACK");
    let mut stranger = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    assert_eq!(taken(&mut rig, &mut stranger, "JACK", (1, 9)), 3, "of six");
    for (to, number) in [("echo", 1), ("JACK", 2)] {
        jack.write(&mut rig, to, number, 0, "hello");
        assert_eq!(jack.refusals(&mut rig), [], "{to}");
    }
    stranger.write(&mut rig, "JACK", 20, 0, "hello");
    assert_eq!(stranger.refusals(&mut rig), [(20, Reason::Full)]);
    rig.relay.check_sums();
}

/// Delivers waiting letters in steps of 100 ms and returns how many of TOM's came. MARY writes a
/// letter in each step, which arrives in the same step. TOM's letters stay within 20,000 bytes and
/// 10,000 a second.
fn watch_pace(rig: &mut Rig, jack: &mut Hand, mary: &mut Hand, steps: u64) -> u64 {
    let start = rig.tick;
    let mut greedy = 0;
    let mut bytes = 0;
    for step in 1..=steps {
        mary.write(rig, "JACK", step, step - 1, "a word");
        let mut has_come = false;
        for _ in 0..5 {
            jack.send(rig, &[Frame::Ping]);
            for (from, number, body) in jack.deliveries(rig) {
                if from == "TOM" {
                    assert_eq!(number, greedy + 1, "in order");
                    greedy = number;
                    bytes += body.len() + 64;
                } else {
                    assert_eq!((from.as_str(), number), ("MARY", step));
                    has_come = true;
                }
                jack.store(rig, &from, number);
            }
            let allowed = 20_000 + 10_000 * rig.tick.since(start).as_millis() as usize / 1_000;
            assert!(bytes <= allowed, "step {step}: {greedy} letters, {bytes} of {allowed} bytes");
            rig.wait(ms(20));
        }
        assert!(has_come, "MARY's letter {step} is held up");
    }
    rig.relay.check_sums();
    greedy
}

/// Without this rate a stranger wrote 78 MB into a recipient's database in 12 s.
#[test]
fn pair_rate_delays_only_its_sender() {
    let limits = Limits { pair_rate: 10_000, pair_burst: 20_000, ..Limits::default() };
    let text = "x".repeat(920);
    for is_away in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(dir.path(), limits.clone(), START);
        let mut jack = Hand::member(&mut rig, udp(2, 1), 2, "JACK");
        if is_away {
            rig.wait(secs(200));
        }
        let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
        for number in 1..=60 {
            tom.write(&mut rig, "JACK", number, number - 1, &text);
        }
        if is_away {
            rig = again(rig, dir.path(), &limits);
            jack = Hand::member(&mut rig, udp(2, 2), 2, "JACK");
        }
        let mut mary = Hand::member(&mut rig, udp(3, 1), 3, "MARY");
        let early = watch_pace(&mut rig, &mut jack, &mut mary, 20);
        assert!((30..=40).contains(&early), "{early} in two seconds, away: {is_away}");
        let more = watch_rest(&mut rig, &mut jack, early);
        let start = rig.tick;
        assert_eq!(more, 60, "all come in the end");
        assert!(rig.tick.since(start) < secs(4));
        let written = rig.relay.stats().letters_written;
        assert!(is_away || written >= 20, "what waits is written in time: {written}");
    }
}

/// Delivers the last of TOM's letters for three seconds. Returns the last number.
fn watch_rest(rig: &mut Rig, jack: &mut Hand, early: u64) -> u64 {
    let mut last = early;
    for _ in 0..150 {
        jack.send(rig, &[Frame::Ping]);
        for (from, number, _) in jack.deliveries(rig) {
            assert_eq!((from.as_str(), number), ("TOM", last + 1));
            last = number;
            jack.store(rig, &from, number);
        }
        rig.wait(ms(20));
    }
    last
}

#[test]
fn limits_off_lifts_pair_rate() {
    let limits = Limits { pair_rate: 1, pair_burst: 1, per_sender: false, ..Limits::default() };
    let mut rig = Rig::with(limits);
    let mut jack = Hand::member(&mut rig, udp(2, 1), 2, "JACK");
    let mut tom = Hand::member(&mut rig, udp(1, 1), 1, "TOM");
    for number in 1..=9 {
        tom.write(&mut rig, "JACK", number, number - 1, "hello");
    }
    assert_eq!(jack.deliveries(&mut rig).len(), 9);
}
