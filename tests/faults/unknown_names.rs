//! Letters to names that do not exist: the cost of an answer, and the budget of all members
//! together.

use queqiao::relay::{Limits, NAMES_LOOKED_AT_MAX};
use queqiao::wire::frame::StreamId;
use queqiao::wire::message::Reason;

use super::raw_client::{RawClient, SeenMessage};
use super::relay_harness::{RelayHarness, ms, secs, udp};

/// Signs in members with names of one form: each has another character at the same place. They are
/// syllables of Hangul, because some of as many consecutive Chinese characters look alike.
fn crowd(relay: &mut RelayHarness, count: u32) -> Vec<RawClient> {
    let name = |n: u32| format!("p{}q", char::from_u32(0xAC00 + n).unwrap());
    (0..count)
        .map(|n| {
            relay.wait(ms(20));
            RawClient::signed_in(relay, udp(1 + n as u8, 1), u64::from(n), &name(n))
        })
        .collect()
}

/// Returns the new refusals: their numbers and the count of similar names in each.
fn refused(relay: &mut RelayHarness, client: &mut RawClient) -> Vec<(u64, usize)> {
    client.receive(relay);
    let unknown = |messages| match messages {
        SeenMessage::Refused { reason: Reason::Unknown, number, nearest, .. } => Some((number, nearest)),
        _ => None,
    };
    client.take_messages(StreamId::Control).into_iter().filter_map(unknown).collect()
}

// faults.md: R61
/// Forty members mistype a name at once. Each is refused in the same turn. As many answers have
/// similar names as the common budget allows.
#[test]
fn similar_names_stay_within_budget_of_all_members() {
    let mut relay = RelayHarness::with(Limits { all_names_per_hour: None, ..Limits::default() });
    let mut clients = crowd(&mut relay, 40);
    relay.wait(secs(60));
    let mut with_names = 0;
    for client in &mut clients {
        let before = relay.core.stats().names_looked_at;
        client.send_letter(&mut relay, "pq", 1, 0, "hello");
        let looked_at = relay.core.stats().names_looked_at - before;
        let answers = refused(&mut relay, client);
        assert_eq!(answers.len(), 1, "it is refused at once");
        assert!(looked_at <= NAMES_LOOKED_AT_MAX as u64);
        assert_eq!(looked_at > 0, answers[0].1 > 0);
        with_names += usize::from(answers[0].1 > 0);
    }
    assert_eq!(with_names, 32);
    relay.wait(secs(1));
    clients[39].send_letter(&mut relay, "pq", 2, 0, "hello");
    assert_eq!(refused(&mut relay, &mut clients[39]), [(2, 3)]);
}

// faults.md: R61
/// A name with two wrong characters is found only among the sender's correspondents, also after a
/// restart.
#[test]
fn two_mistypes_find_only_correspondents() {
    let dir = tempfile::tempdir().unwrap();
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), super::relay_harness::START);
    let names = ["alexander", "TOM", "JACK"];
    let come = |relay: &mut RelayHarness, port: u16| -> Vec<RawClient> {
        let member = |(member, name): (usize, &&str)| {
            RawClient::signed_in(relay, udp(member as u8, port), member as u64, name)
        };
        names.iter().enumerate().map(member).collect()
    };
    let mut clients = come(&mut relay, 1);
    let asks = |relay: &mut RelayHarness, client: &mut RawClient, wanted: &str, number: u64| {
        // `prev` is 0, as from a client that knows the earlier refusals.
        client.send_letter(relay, wanted, number, 0, "hello");
        refused(relay, client).first().map(|answer| answer.1)
    };
    for client in &mut clients[1..] {
        assert_eq!(asks(&mut relay, client, "elaxender", 1), Some(0));
    }
    clients[1].send_letter(&mut relay, "alexander", 1, 0, "hello");
    clients[0].receive(&mut relay);
    clients[0].report_stored(&mut relay, "TOM", 1);
    assert_eq!(asks(&mut relay, &mut clients[1], "elaxender", 2), Some(1), "a correspondent");
    assert_eq!(asks(&mut relay, &mut clients[2], "elaxender", 2), Some(0));
    relay.take_turn(vec![super::relay_harness::HarnessInput::Other(queqiao::base::Input::Command(
        queqiao::relay::Command::Stop,
    ))]);
    let tick = relay.tick;
    drop(relay);
    let mut relay = RelayHarness::open(dir.path(), Limits::default(), tick + secs(1));
    (0..10).for_each(|_| assert!(relay.next_counter() > 0));
    let mut clients = come(&mut relay, 2);
    assert_eq!(asks(&mut relay, &mut clients[1], "elaxender", 3), Some(1), "after a restart");
    assert_eq!(asks(&mut relay, &mut clients[2], "elaxender", 3), Some(0));
}
