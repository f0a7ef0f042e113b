//! Registration and block lists: closed relays, invitations, removals, unwanted senders.

use queqiao::base::{Path, Wall};
use queqiao::relay::{Command, Event, Invitation, InvitationId, Limits, OperatorOutcome, OperatorRequest};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, StreamId, close};
use queqiao::wire::message::{
    ALLOW_LIST, BLOCK_LIST_FIRST, BLOCK_LIST_LAST, NameList, NameReason, Reason, ToRelay,
};

use super::fixtures::two_members;
use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{HarnessInput, RelayHarness, ms, secs, udp};

const SECRET: [u8; 16] = [5; 16];

fn closed_relay() -> RelayHarness {
    RelayHarness::with(Limits { closed: true, ..Limits::default() })
}

/// Gives the relay an operator's request and returns its outcome.
fn request(relay: &mut RelayHarness, request: OperatorRequest) -> OperatorOutcome {
    relay.take_turn(vec![HarnessInput::Other(queqiao::base::Input::Command(Command::Request {
        id: 7,
        request,
    }))]);
    let answers = relay.events.iter().filter_map(|event| match event {
        Event::Answered { id: 7, outcome } => Some(outcome.clone()),
        _ => None,
    });
    let outcome = answers.into_iter().next_back().expect("the relay answers every request");
    relay.events.clear();
    outcome
}

fn invite(relay: &mut RelayHarness, name: Option<&str>) -> OperatorOutcome {
    let created_at = Wall(0);
    let until = Wall(u64::MAX);
    let name = name.map(|name| name.parse().unwrap());
    request(
        relay,
        OperatorRequest::Invite(Invitation { id: InvitationId::of(&SECRET), name, created_at, until }),
    )
}

fn remove(relay: &mut RelayHarness, name: &str) -> OperatorOutcome {
    request(relay, OperatorRequest::Remove(name.parse().unwrap()))
}

/// Claims a name with this secret. Returns the first message of the relay.
fn register(relay: &mut RelayHarness, member: u64, name: &str, invite: &[u8]) -> SeenMessage {
    let path = udp(9, 9_000 + member as u16);
    let counter = relay.next_counter();
    let mut client = RawClient::handshake(relay, path, member, counter).expect("the relay answers");
    let features = Features::OURS;
    let sign_in = ToRelay::SignIn { name, invite, block_list_follows: false, outbox: None, features };
    client.send_message(relay, StreamId::Control, &sign_in);
    client.take_messages(StreamId::Control).remove(0)
}

fn refused(reason: NameReason, name: &str) -> SeenMessage {
    SeenMessage::NameRefused(reason, name.to_owned())
}

// faults.md: R61
#[test]
fn closed_relay_reveals_no_names_to_strangers() {
    let mut relay = closed_relay();
    assert_eq!(invite(&mut relay, Some("TOM")), OperatorOutcome::Done);
    assert_eq!(register(&mut relay, 1, "TOM", &SECRET), SeenMessage::Welcome);
    assert_eq!(invite(&mut relay, Some("ann")), OperatorOutcome::Done);
    for (member, name) in (10..).zip(["TOM", "T0M", "ann", "echo", "nobody"]) {
        relay.wait(secs(1));
        assert_eq!(register(&mut relay, member, name, &[]), refused(NameReason::Closed, ""), "{name}");
        assert_eq!(
            register(&mut relay, member + 100, name, &[6; 16]),
            refused(NameReason::Closed, ""),
            "{name}"
        );
    }
}

// faults.md: R61
#[test]
fn address_may_try_20_invitation_codes_per_hour() {
    let mut relay = closed_relay();
    invite(&mut relay, None);
    for member in 1..=20 {
        relay.wait(secs(1));
        assert_eq!(
            register(&mut relay, member, "ann", &member.to_be_bytes()),
            refused(NameReason::Closed, "")
        );
    }
    relay.wait(secs(1));
    assert_eq!(register(&mut relay, 21, "ann", &SECRET), refused(NameReason::TooMany, ""));
    relay.wait(secs(3_600));
    assert_eq!(register(&mut relay, 22, "ann", &SECRET), SeenMessage::Welcome);
}

// faults.md: R48
/// An invitation to a taken, confusable or reserved name is refused.
#[test]
fn invitation_reserves_name_and_its_look_alikes() {
    let mut relay = RelayHarness::new();
    RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "alice");
    let not_free = |reason, name: &str| OperatorOutcome::NotFree(reason, name.parse().unwrap());
    assert_eq!(invite(&mut relay, Some("alice")), not_free(NameReason::Taken, "alice"));
    assert_eq!(invite(&mut relay, Some("Αlice")), not_free(NameReason::Confusable, "alice"));
    assert_eq!(invite(&mut relay, Some("echo")), not_free(NameReason::Reserved, "echo"));
    assert_eq!(invite(&mut relay, Some("bob")), OperatorOutcome::Done);
    assert_eq!(register(&mut relay, 2, "BOB", &[]), refused(NameReason::Kept, "BOB"));
    assert_eq!(register(&mut relay, 3, "bob", &[]), refused(NameReason::Kept, "bob"));
    assert_eq!(register(&mut relay, 4, "tim", &SECRET), refused(NameReason::Kept, "bob"), "it is for bob");
    assert_eq!(register(&mut relay, 4, "bob", &SECRET), SeenMessage::Welcome);
    assert_eq!(
        register(&mut relay, 5, "tim", &SECRET),
        SeenMessage::Welcome,
        "an open relay needs no invitation"
    );
}

// faults.md: R48
/// An open relay refuses a name that looks like a member's. A closed relay leaves it to its
/// operator, whose invitation must be for that exact name.
#[test]
fn look_alike_joins_only_if_invited_by_that_name() {
    for is_closed in [false, true] {
        let mut relay = if is_closed { closed_relay() } else { RelayHarness::new() };
        for (member, (name, like)) in (1..).zip([("TOM", "ТОМ"), ("王五", "玊五"), ("黄", "黃")]) {
            invite(&mut relay, None);
            assert_eq!(register(&mut relay, member, name, &SECRET), SeenMessage::Welcome);
            invite(&mut relay, None);
            let confusable = refused(NameReason::Confusable, name);
            assert_eq!(register(&mut relay, member + 10, like, &SECRET), confusable, "{like}");
            let outcome = invite(&mut relay, Some(like));
            if is_closed {
                assert_eq!(outcome, OperatorOutcome::Alike(name.parse().unwrap()));
                assert_eq!(register(&mut relay, member + 10, like, &SECRET), SeenMessage::Welcome, "{like}");
                assert_eq!(
                    register(&mut relay, member + 10, like, &[]),
                    SeenMessage::Welcome,
                    "{like} is a member"
                );
            } else {
                assert_eq!(outcome, OperatorOutcome::NotFree(NameReason::Confusable, name.parse().unwrap()));
                assert_eq!(register(&mut relay, member + 10, like, &[]), confusable, "{like}");
            }
            relay.wait(secs(600));
        }
    }
}

#[test]
fn invitation_stays_valid_if_registration_fails() {
    let mut relay = closed_relay();
    invite(&mut relay, None);
    relay.auto_commit = false;
    let counter = relay.next_counter();
    let mut client = RawClient::handshake(&mut relay, udp(1, 1_000), 1, counter).unwrap();
    let features = Features::OURS;
    let sign_in =
        ToRelay::SignIn { name: "ann", invite: &SECRET, block_list_follows: false, outbox: None, features };
    client.send_message(&mut relay, StreamId::Control, &sign_in);
    let ticket = relay.records.remove(0).0;
    assert_eq!(register(&mut relay, 2, "tim", &SECRET), refused(NameReason::Closed, ""), "it is being used");
    relay.fail_commit(ticket);
    client.receive(&mut relay);
    assert_eq!(client.take_messages(StreamId::Control), [refused(NameReason::Disk, "")]);
    relay.auto_commit = true;
    assert_eq!(register(&mut relay, 3, "tim", &SECRET), SeenMessage::Welcome);
}

/// Sends one part of a block list or allow list.
fn announce_list(client: &mut RawClient, relay: &mut RelayHarness, flags: u8, names: &[&str]) {
    let mut bytes = Vec::new();
    names.iter().for_each(|name| NameList::put(&mut bytes, name));
    client.send_message(
        relay,
        StreamId::Control,
        &ToRelay::BlockList { flags, names: NameList::new(&bytes) },
    );
}

/// Returns the letters delivered: sender and number.
fn delivered(client: &mut RawClient, relay: &mut RelayHarness) -> Vec<(String, u64)> {
    client.take_deliveries(relay).into_iter().map(|(from, number, _)| (from, number)).collect()
}

fn sign_off(relay: &mut RelayHarness, client: &mut RawClient) {
    use queqiao::wire::frame::Frame;
    client.send(relay, &[Frame::Close { code: close::DONE, reason: "" }]);
}

fn return_as(relay: &mut RelayHarness, path: Path, member: u64, name: &str) -> RawClient {
    let counter = relay.next_counter();
    let mut client = RawClient::handshake(relay, path, member, counter).unwrap();
    client.send_message(
        relay,
        StreamId::Control,
        &ToRelay::SignIn {
            name,
            invite: &[],
            block_list_follows: true,
            outbox: None,
            features: Features::OURS,
        },
    );
    client
}

/// Waiting letters of blocked senders are refused one by one. Nothing is delivered before the last
/// part of the list has come. The relay keeps the list while its owner is away.
#[test]
fn block_list_applies_only_once_complete() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    let mut ann = RawClient::signed_in(&mut relay, udp(3, 3_000), 3, "ann");
    sign_off(&mut relay, &mut jack);
    for number in 1..=3 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "unwanted");
        ann.send_letter(&mut relay, "JACK", number, number - 1, "wanted");
    }
    relay.wait(secs(1));
    let mut jack = return_as(&mut relay, udp(2, 2_001), 2, "JACK");
    relay.wait(secs(1));
    assert_eq!(delivered(&mut jack, &mut relay), []);
    announce_list(&mut jack, &mut relay, BLOCK_LIST_FIRST, &["TOM"]);
    assert_eq!(delivered(&mut jack, &mut relay), []);
    announce_list(&mut jack, &mut relay, BLOCK_LIST_LAST, &["tim"]);
    let of_ann: Vec<(String, u64)> = (1..=3).map(|number| ("ann".to_owned(), number)).collect();
    assert_eq!(delivered(&mut jack, &mut relay), of_ann);
    let blocked: Vec<(u64, Reason)> = (1..=3).map(|number| (number, Reason::Blocked)).collect();
    assert_eq!(tom.take_refusals(&mut relay), blocked);
    sign_off(&mut relay, &mut jack);
    tom.send_letter(&mut relay, "JACK", 4, 0, "he is away");
    assert_eq!(tom.take_refusals(&mut relay), [(4, Reason::Blocked)], "the relay keeps the list");
}

/// A refusal does not show whether the member is away: the relay keeps the list.
#[test]
fn allow_list_holds_until_next_list_of_its_owner() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    sign_off(&mut relay, &mut jack);
    tom.send_letter(&mut relay, "JACK", 1, 0, "waits");
    relay.wait(secs(1));
    let mut jack = return_as(&mut relay, udp(2, 2_001), 2, "JACK");
    announce_list(&mut jack, &mut relay, BLOCK_LIST_FIRST | BLOCK_LIST_LAST | ALLOW_LIST, &["ann"]);
    assert_eq!(delivered(&mut jack, &mut relay), [], "the other list is still to come");
    announce_list(&mut jack, &mut relay, BLOCK_LIST_FIRST | BLOCK_LIST_LAST, &[]);
    tom.send_letter(&mut relay, "JACK", 2, 0, "now");
    let mut all = tom.take_refusals(&mut relay);
    all.sort();
    assert_eq!(all, [(1, Reason::Blocked), (2, Reason::Blocked)]);
    jack.send_letter(&mut relay, "JACK", 1, 0, "to myself");
    jack.send_letter(&mut relay, "echo", 1, 0, "to nobody");
    let from: Vec<String> = delivered(&mut jack, &mut relay).into_iter().map(|d| d.0).collect();
    assert_eq!(from, ["JACK", "echo"], "letters of its own and of `echo` always pass");
    sign_off(&mut relay, &mut jack);
    for number in 3..=4 {
        tom.send_letter(&mut relay, "JACK", number, 0, "away, and after the silence that signs him out");
        assert_eq!(tom.take_refusals(&mut relay), [(number, Reason::Blocked)]);
        relay.wait(secs(60));
        tom = RawClient::signed_in(&mut relay, udp(1, 1_001 + number as u16), 1, "TOM");
    }
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2_002), 2, "JACK");
    tom.send_letter(&mut relay, "JACK", 5, 0, "a session without lists");
    assert_eq!(tom.take_refusals(&mut relay), [(5, Reason::Blocked)]);
    announce_list(&mut jack, &mut relay, BLOCK_LIST_FIRST | BLOCK_LIST_LAST, &[]);
    tom.send_letter(&mut relay, "JACK", 6, 0, "all are welcome");
    assert!(delivered(&mut jack, &mut relay).contains(&("TOM".to_owned(), 6)));
}

#[test]
fn list_before_sign_in_is_not_kept() {
    let mut relay = RelayHarness::new();
    let counter = relay.next_counter();
    let mut stranger = RawClient::handshake(&mut relay, udp(9, 9_000), 9, counter).unwrap();
    announce_list(&mut stranger, &mut relay, BLOCK_LIST_FIRST | BLOCK_LIST_LAST, &["TOM"]);
    stranger.sign_in(&mut relay, "JACK");
    let mut tom = RawClient::signed_in(&mut relay, udp(1, 1_000), 1, "TOM");
    tom.send_letter(&mut relay, "JACK", 1, 0, "hi");
    assert_eq!(delivered(&mut stranger, &mut relay), [("TOM".to_owned(), 1)]);
}

/// Letters in memory and letters being written are refused when the member is removed.
#[test]
fn new_owner_of_removed_name_gets_no_old_letters() {
    let mut relay = RelayHarness::new();
    let (mut tom, jack) = two_members(&mut relay);
    relay.auto_commit = false;
    for number in 1..=3 {
        tom.send_letter(&mut relay, "JACK", number, number - 1, "for the old one");
    }
    relay.wait(ms(600));
    assert!(
        relay.records.iter().any(|(_, record)| format!("{record:?}").starts_with("Letters")),
        "being written"
    );
    relay.auto_commit = true;
    tom.send_letter(&mut relay, "JACK", 4, 3, "in memory");
    let mut old = jack;
    assert_eq!(remove(&mut relay, "JACK"), OperatorOutcome::Done);
    old.receive(&mut relay);
    assert_eq!(old.close_code(), Some(close::REFUSED));
    let unknown: Vec<(u64, Reason)> = (1..=4).map(|number| (number, Reason::Unknown)).collect();
    let mut refusals = tom.take_refusals(&mut relay);
    refusals.sort();
    assert_eq!(refusals, unknown);
    assert_eq!(remove(&mut relay, "JACK"), OperatorOutcome::Unknown);
    assert_eq!(register(&mut relay, 2, "JACK", &[]), refused(NameReason::Removed, ""));
    invite(&mut relay, Some("JACK"));
    let counter = relay.next_counter();
    let mut new = RawClient::handshake(&mut relay, udp(4, 4_000), 4, counter).unwrap();
    let features = Features::OURS;
    let sign_in =
        ToRelay::SignIn { name: "JACK", invite: &SECRET, block_list_follows: false, outbox: None, features };
    new.send_message(&mut relay, StreamId::Control, &sign_in);
    relay.wait(secs(2));
    assert_eq!(delivered(&mut new, &mut relay), []);
    tom.send_letter(&mut relay, "JACK", 5, 0, "for the new one");
    assert_eq!(delivered(&mut new, &mut relay), [("TOM".to_owned(), 5)]);
}

#[test]
fn letters_of_removed_sender_still_arrive() {
    let mut relay = RelayHarness::new();
    let (mut tom, mut jack) = two_members(&mut relay);
    sign_off(&mut relay, &mut jack);
    tom.send_letter(&mut relay, "JACK", 1, 0, "accepted before");
    relay.wait(secs(1));
    assert_eq!(remove(&mut relay, "TOM"), OperatorOutcome::Done);
    let mut jack = RawClient::signed_in(&mut relay, udp(2, 2_001), 2, "JACK");
    relay.wait(ms(10));
    assert_eq!(delivered(&mut jack, &mut relay), [("TOM".to_owned(), 1)]);
    jack.report_stored(&mut relay, "TOM", 1);
    jack.send_letter(&mut relay, "TOM", 1, 0, "are you there?");
    assert_eq!(jack.take_refusals(&mut relay), [(1, Reason::Unknown)]);
}

/// The first packet after the handshake is late. The time to sign in begins with it.
#[test]
fn late_first_packet_leaves_time_to_sign_in() {
    let mut relay = RelayHarness::new();
    let counter = relay.next_counter();
    let mut tom = RawClient::handshake(&mut relay, udp(1, 1), 1, counter).unwrap();
    relay.wait(ms(9_500));
    tom.send(&mut relay, &[Frame::Ping]);
    relay.wait(secs(5));
    tom.sign_in(&mut relay, "TOM");
    assert_eq!(tom.take_messages(StreamId::Control).first(), Some(&SeenMessage::Welcome));
}
