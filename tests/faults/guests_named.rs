//! Guests that name a member (`--guest-anyone`). They have the look-up budget of a member, and do
//! not learn whether a named member is present.

use std::net::SocketAddr;

use queqiao::base::Path;
use queqiao::relay::{GuestRules, GuestTexts, Limits};

use crate::guest_rules;
use crate::raw_client::RawClient;
use crate::relay_harness::{HarnessInput, RelayHarness, secs, udp};

fn new_relay() -> RelayHarness {
    let texts = GuestTexts {
        away: "away".into(),
        nobody: "nobody".into(),
        full: "full".into(),
        ..GuestTexts::default()
    };
    let rules = GuestRules { anyone: true, ..guest_rules::to_jack(256, texts) };
    let mut relay = RelayHarness::with_guests(Limits::default(), Some(rules));
    for (member, name) in ["JACK", "TOM", "ANN"].iter().enumerate() {
        RawClient::signed_in(&mut relay, udp(200 + member as u8, 1), member as u64, name);
    }
    relay
}

/// Returns the answer to a guest's line on a new connection.
fn connect_and_send(relay: &mut RelayHarness, host: u8, port: u16, line: &str) -> (Path, String) {
    let path = relay.connect(SocketAddr::from(([198, 18, host, 1], port)));
    (path, writes(relay, path, line))
}

/// Returns the answer to a guest's line on this connection.
fn writes(relay: &mut RelayHarness, path: Path, line: &str) -> String {
    relay.take_turn(vec![HarnessInput::Text(path, format!("{line}\n").into_bytes())]);
    relay.take_sent_on(path).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn guests_of_network_have_look_up_budget_of_member() {
    let mut relay = new_relay();
    for n in 0..30 {
        assert_eq!(
            connect_and_send(&mut relay, 1, 2_000 + n, &format!("@name{n} hello")).1,
            "nobody\n",
            "{n}"
        );
    }
    assert_eq!(connect_and_send(&mut relay, 1, 3_000, "@name99 hello").1, "full\n");
    assert_eq!(
        connect_and_send(&mut relay, 1, 3_001, "@TOM hello").1,
        "full\n",
        "a name that exists gets the same answer"
    );
    assert_eq!(connect_and_send(&mut relay, 2, 2_000, "@name99 hello").1, "nobody\n", "another network");
    relay.wait(secs(2));
    let (path, messages) = connect_and_send(&mut relay, 1, 3_002, "@TOM hello");
    assert_eq!(messages, "");
    assert_eq!(connect_and_send(&mut relay, 1, 3_003, "@name99 hello").1, "full\n");
    assert_eq!(writes(&mut relay, path, "@TOM again"), "", "it may write again to the same member");
}

#[test]
fn absent_and_present_named_member_look_alike() {
    let mut relay = new_relay();
    relay.wait(secs(300));
    RawClient::signed_in(&mut relay, udp(200, 2), 1, "TOM");
    assert_eq!(connect_and_send(&mut relay, 1, 2_000, "@TOM hello").1, "", "here");
    assert_eq!(connect_and_send(&mut relay, 1, 2_001, "@ANN hello").1, "", "away");
    assert_eq!(
        connect_and_send(&mut relay, 1, 2_002, "hello").1,
        "away\n",
        "the member for all guests is reported away"
    );
    assert_eq!(connect_and_send(&mut relay, 1, 2_003, "@JACK hello").1, "away\n");
}
