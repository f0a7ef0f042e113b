//! Registration and block lists: closed relays, invitations, removals, unwanted senders.

use queqiao::base::{Path, Wall};
use queqiao::relay::{Command, Event, Invitation, InvitationId, Limits, Outcome, Request};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{StreamId, close};
use queqiao::wire::message::{NameReason, Names, Reason, SCREEN_FIRST, SCREEN_LAST, SCREEN_ONLY, ToRelay};

use super::hand::{Hand, Told};
use super::house::two;
use super::rig::{Given, Rig, ms, secs, udp};

const SECRET: [u8; 16] = [5; 16];

fn closed() -> Rig {
    Rig::with(Limits { closed: true, ..Limits::default() })
}

/// Gives the relay an operator's request and returns its outcome.
fn ask(rig: &mut Rig, request: Request) -> Outcome {
    rig.take(vec![Given::Other(queqiao::base::Input::Command(Command::Ask { id: 7, request }))]);
    let answers = rig.shown.iter().filter_map(|event| match event {
        Event::Answered { id: 7, outcome } => Some(outcome.clone()),
        _ => None,
    });
    let outcome = answers.into_iter().next_back().expect("the relay answers every request");
    rig.shown.clear();
    outcome
}

fn invite(rig: &mut Rig, name: Option<&str>) -> Outcome {
    let made = Wall(0);
    let until = Wall(u64::MAX);
    let name = name.map(|name| name.parse().unwrap());
    ask(rig, Request::Invite(Invitation { id: InvitationId::of(&SECRET), name, made, until }))
}

fn remove(rig: &mut Rig, name: &str) -> Outcome {
    ask(rig, Request::Remove(name.parse().unwrap()))
}

/// Claims a name with this secret. Returns the first message of the relay.
fn come(rig: &mut Rig, who: u64, name: &str, invite: &[u8]) -> Told {
    let path = udp(9, 9_000 + who as u16);
    let counter = rig.counter();
    let mut hand = Hand::shake(rig, path, who, counter).expect("the relay answers");
    let features = Features::OURS;
    let sign_in = ToRelay::SignIn { name, invite, screen_follows: false, outbox: None, features };
    hand.say(rig, StreamId::Control, &sign_in);
    hand.told(StreamId::Control).remove(0)
}

fn refused(reason: NameReason, name: &str) -> Told {
    Told::NameRefused(reason, name.to_owned())
}

// faults.md: R61
#[test]
fn closed_relay_reveals_no_names_to_strangers() {
    let mut rig = closed();
    assert_eq!(invite(&mut rig, Some("TOM")), Outcome::Done);
    assert_eq!(come(&mut rig, 1, "TOM", &SECRET), Told::Welcome);
    assert_eq!(invite(&mut rig, Some("ann")), Outcome::Done);
    for (who, name) in (10..).zip(["TOM", "T0M", "ann", "echo", "nobody"]) {
        rig.wait(secs(1));
        assert_eq!(come(&mut rig, who, name, &[]), refused(NameReason::Closed, ""), "{name}");
        assert_eq!(come(&mut rig, who + 100, name, &[6; 16]), refused(NameReason::Closed, ""), "{name}");
    }
}

// faults.md: R61
#[test]
fn address_may_try_20_invitation_codes_per_hour() {
    let mut rig = closed();
    invite(&mut rig, None);
    for who in 1..=20 {
        rig.wait(secs(1));
        assert_eq!(come(&mut rig, who, "ann", &who.to_be_bytes()), refused(NameReason::Closed, ""));
    }
    rig.wait(secs(1));
    assert_eq!(come(&mut rig, 21, "ann", &SECRET), refused(NameReason::TooMany, ""));
    rig.wait(secs(3_600));
    assert_eq!(come(&mut rig, 22, "ann", &SECRET), Told::Welcome);
}

// faults.md: R48
/// An invitation to a taken, confusable or reserved name is refused.
#[test]
fn invitation_reserves_name_and_its_look_alikes() {
    let mut rig = Rig::new();
    Hand::member(&mut rig, udp(1, 1_000), 1, "alice");
    let not_free = |reason, name: &str| Outcome::NotFree(reason, name.parse().unwrap());
    assert_eq!(invite(&mut rig, Some("alice")), not_free(NameReason::Taken, "alice"));
    assert_eq!(invite(&mut rig, Some("Αlice")), not_free(NameReason::Confusable, "alice"));
    assert_eq!(invite(&mut rig, Some("echo")), not_free(NameReason::Reserved, "echo"));
    assert_eq!(invite(&mut rig, Some("bob")), Outcome::Done);
    assert_eq!(come(&mut rig, 2, "BOB", &[]), refused(NameReason::Kept, "BOB"));
    assert_eq!(come(&mut rig, 3, "bob", &[]), refused(NameReason::Kept, "bob"));
    assert_eq!(come(&mut rig, 4, "tim", &SECRET), refused(NameReason::Kept, "bob"), "it is for bob");
    assert_eq!(come(&mut rig, 4, "bob", &SECRET), Told::Welcome);
    assert_eq!(come(&mut rig, 5, "tim", &SECRET), Told::Welcome, "an open relay needs no invitation");
}

// faults.md: R48
/// An open relay refuses a name that looks like a member's. A closed relay leaves it to its
/// operator, whose invitation must be for that exact name.
#[test]
fn look_alike_joins_only_if_invited_by_that_name() {
    for is_closed in [false, true] {
        let mut rig = if is_closed { closed() } else { Rig::new() };
        for (who, (name, like)) in (1..).zip([("TOM", "ТОМ"), ("王五", "玊五"), ("黄", "黃")]) {
            invite(&mut rig, None);
            assert_eq!(come(&mut rig, who, name, &SECRET), Told::Welcome);
            invite(&mut rig, None);
            let confusable = refused(NameReason::Confusable, name);
            assert_eq!(come(&mut rig, who + 10, like, &SECRET), confusable, "{like}");
            let outcome = invite(&mut rig, Some(like));
            if is_closed {
                assert_eq!(outcome, Outcome::Alike(name.parse().unwrap()));
                assert_eq!(come(&mut rig, who + 10, like, &SECRET), Told::Welcome, "{like}");
                assert_eq!(come(&mut rig, who + 10, like, &[]), Told::Welcome, "{like} is a member");
            } else {
                assert_eq!(outcome, Outcome::NotFree(NameReason::Confusable, name.parse().unwrap()));
                assert_eq!(come(&mut rig, who + 10, like, &[]), confusable, "{like}");
            }
            rig.wait(secs(600));
        }
    }
}

#[test]
fn invitation_stays_valid_if_registration_fails() {
    let mut rig = closed();
    invite(&mut rig, None);
    rig.commits = false;
    let counter = rig.counter();
    let mut hand = Hand::shake(&mut rig, udp(1, 1_000), 1, counter).unwrap();
    let features = Features::OURS;
    let sign_in =
        ToRelay::SignIn { name: "ann", invite: &SECRET, screen_follows: false, outbox: None, features };
    hand.say(&mut rig, StreamId::Control, &sign_in);
    let ticket = rig.asked.remove(0).0;
    assert_eq!(come(&mut rig, 2, "tim", &SECRET), refused(NameReason::Closed, ""), "it is being used");
    rig.fail(ticket);
    hand.hear(&mut rig);
    assert_eq!(hand.told(StreamId::Control), [refused(NameReason::Disk, "")]);
    rig.commits = true;
    assert_eq!(come(&mut rig, 3, "tim", &SECRET), Told::Welcome);
}

/// Sends one part of a block list or allow list.
fn screen(hand: &mut Hand, rig: &mut Rig, flags: u8, names: &[&str]) {
    let mut bytes = Vec::new();
    names.iter().for_each(|name| Names::put(&mut bytes, name));
    hand.say(rig, StreamId::Control, &ToRelay::Screen { flags, names: Names::new(&bytes) });
}

/// Returns the letters delivered: sender and number.
fn delivered(hand: &mut Hand, rig: &mut Rig) -> Vec<(String, u64)> {
    hand.deliveries(rig).into_iter().map(|(from, number, _)| (from, number)).collect()
}

fn leave(rig: &mut Rig, hand: &mut Hand) {
    use queqiao::wire::frame::Frame;
    hand.send(rig, &[Frame::Close { code: close::DONE, reason: "" }]);
}

fn come_back(rig: &mut Rig, path: Path, who: u64, name: &str) -> Hand {
    let counter = rig.counter();
    let mut hand = Hand::shake(rig, path, who, counter).unwrap();
    hand.say(
        rig,
        StreamId::Control,
        &ToRelay::SignIn { name, invite: &[], screen_follows: true, outbox: None, features: Features::OURS },
    );
    hand
}

/// Waiting letters of blocked senders are refused one by one. Nothing is delivered before the last
/// part of the list has come. The relay keeps the list while its owner is away.
#[test]
fn block_list_applies_only_once_complete() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    let mut ann = Hand::member(&mut rig, udp(3, 3_000), 3, "ann");
    leave(&mut rig, &mut jack);
    for number in 1..=3 {
        tom.write(&mut rig, "JACK", number, number - 1, "unwanted");
        ann.write(&mut rig, "JACK", number, number - 1, "wanted");
    }
    rig.wait(secs(1));
    let mut jack = come_back(&mut rig, udp(2, 2_001), 2, "JACK");
    rig.wait(secs(1));
    assert_eq!(delivered(&mut jack, &mut rig), []);
    screen(&mut jack, &mut rig, SCREEN_FIRST, &["TOM"]);
    assert_eq!(delivered(&mut jack, &mut rig), []);
    screen(&mut jack, &mut rig, SCREEN_LAST, &["tim"]);
    let of_ann: Vec<(String, u64)> = (1..=3).map(|number| ("ann".to_owned(), number)).collect();
    assert_eq!(delivered(&mut jack, &mut rig), of_ann);
    let blocked: Vec<(u64, Reason)> = (1..=3).map(|number| (number, Reason::Blocked)).collect();
    assert_eq!(tom.refusals(&mut rig), blocked);
    leave(&mut rig, &mut jack);
    tom.write(&mut rig, "JACK", 4, 0, "he is away");
    assert_eq!(tom.refusals(&mut rig), [(4, Reason::Blocked)], "the relay keeps the list");
}

#[test]
fn allow_list_holds_for_its_session_only() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    leave(&mut rig, &mut jack);
    tom.write(&mut rig, "JACK", 1, 0, "waits");
    rig.wait(secs(1));
    let mut jack = come_back(&mut rig, udp(2, 2_001), 2, "JACK");
    screen(&mut jack, &mut rig, SCREEN_FIRST | SCREEN_LAST | SCREEN_ONLY, &["ann"]);
    assert_eq!(delivered(&mut jack, &mut rig), [], "the other list is still to come");
    screen(&mut jack, &mut rig, SCREEN_FIRST | SCREEN_LAST, &[]);
    tom.write(&mut rig, "JACK", 2, 0, "now");
    let mut all = tom.refusals(&mut rig);
    all.sort();
    assert_eq!(all, [(1, Reason::Blocked), (2, Reason::Blocked)]);
    jack.write(&mut rig, "JACK", 1, 0, "to myself");
    jack.write(&mut rig, "echo", 1, 0, "to nobody");
    let from: Vec<String> = delivered(&mut jack, &mut rig).into_iter().map(|d| d.0).collect();
    assert_eq!(from, ["JACK", "echo"], "letters of its own and of `echo` always pass");
    leave(&mut rig, &mut jack);
    let mut jack = Hand::member(&mut rig, udp(2, 2_002), 2, "JACK");
    tom.write(&mut rig, "JACK", 3, 0, "later");
    assert!(delivered(&mut jack, &mut rig).contains(&("TOM".to_owned(), 3)));
}

#[test]
fn list_before_sign_in_is_not_kept() {
    let mut rig = Rig::new();
    let counter = rig.counter();
    let mut stranger = Hand::shake(&mut rig, udp(9, 9_000), 9, counter).unwrap();
    screen(&mut stranger, &mut rig, SCREEN_FIRST | SCREEN_LAST, &["TOM"]);
    stranger.sign_in(&mut rig, "JACK");
    let mut tom = Hand::member(&mut rig, udp(1, 1_000), 1, "TOM");
    tom.write(&mut rig, "JACK", 1, 0, "hi");
    assert_eq!(delivered(&mut stranger, &mut rig), [("TOM".to_owned(), 1)]);
}

/// Letters in memory and letters being written are refused when the member is removed.
#[test]
fn new_owner_of_removed_name_gets_no_old_letters() {
    let mut rig = Rig::new();
    let (mut tom, jack) = two(&mut rig);
    rig.commits = false;
    for number in 1..=3 {
        tom.write(&mut rig, "JACK", number, number - 1, "for the old one");
    }
    rig.wait(ms(600));
    assert!(
        rig.asked.iter().any(|(_, record)| format!("{record:?}").starts_with("Letters")),
        "being written"
    );
    rig.commits = true;
    tom.write(&mut rig, "JACK", 4, 3, "in memory");
    let mut old = jack;
    assert_eq!(remove(&mut rig, "JACK"), Outcome::Done);
    old.hear(&mut rig);
    assert_eq!(old.closed(), Some(close::REFUSED));
    let unknown: Vec<(u64, Reason)> = (1..=4).map(|number| (number, Reason::Unknown)).collect();
    let mut told = tom.refusals(&mut rig);
    told.sort();
    assert_eq!(told, unknown);
    assert_eq!(remove(&mut rig, "JACK"), Outcome::Unknown);
    assert_eq!(come(&mut rig, 2, "JACK", &[]), refused(NameReason::Removed, ""));
    invite(&mut rig, Some("JACK"));
    let counter = rig.counter();
    let mut new = Hand::shake(&mut rig, udp(4, 4_000), 4, counter).unwrap();
    let features = Features::OURS;
    let sign_in =
        ToRelay::SignIn { name: "JACK", invite: &SECRET, screen_follows: false, outbox: None, features };
    new.say(&mut rig, StreamId::Control, &sign_in);
    rig.wait(secs(2));
    assert_eq!(delivered(&mut new, &mut rig), []);
    tom.write(&mut rig, "JACK", 5, 0, "for the new one");
    assert_eq!(delivered(&mut new, &mut rig), [("TOM".to_owned(), 5)]);
}

#[test]
fn letters_of_removed_sender_still_arrive() {
    let mut rig = Rig::new();
    let (mut tom, mut jack) = two(&mut rig);
    leave(&mut rig, &mut jack);
    tom.write(&mut rig, "JACK", 1, 0, "accepted before");
    rig.wait(secs(1));
    assert_eq!(remove(&mut rig, "TOM"), Outcome::Done);
    let mut jack = Hand::member(&mut rig, udp(2, 2_001), 2, "JACK");
    rig.wait(ms(10));
    assert_eq!(delivered(&mut jack, &mut rig), [("TOM".to_owned(), 1)]);
    jack.store(&mut rig, "TOM", 1);
    jack.write(&mut rig, "TOM", 1, 0, "are you there?");
    assert_eq!(jack.refusals(&mut rig), [(1, Reason::Unknown)]);
}
