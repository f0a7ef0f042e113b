//! Guests that name a member (`--guest-anyone`). They have the look-up budget of a member, and do
//! not learn whether a named member is present.

use std::net::SocketAddr;

use queqiao::base::Path;
use queqiao::relay::{GuestRules, GuestTexts, Limits};

use crate::guest_rules;
use crate::hand::Hand;
use crate::rig::{Given, Rig, secs, udp};

fn rig() -> Rig {
    let texts = GuestTexts { away: "away".into(), nobody: "nobody".into(), full: "full".into() };
    let rules = GuestRules { anyone: true, ..guest_rules::to_jack(256, texts) };
    let mut rig = Rig::serving(Limits::default(), Some(rules));
    for (who, name) in ["JACK", "TOM", "ANN"].iter().enumerate() {
        Hand::member(&mut rig, udp(200 + who as u8, 1), who as u64, name);
    }
    rig
}

/// Returns the answer to a guest's line on a new connection.
fn asks(rig: &mut Rig, host: u8, port: u16, line: &str) -> (Path, String) {
    let path = rig.connect(SocketAddr::from(([198, 18, host, 1], port)));
    (path, writes(rig, path, line))
}

/// Returns the answer to a guest's line on this connection.
fn writes(rig: &mut Rig, path: Path, line: &str) -> String {
    rig.take(vec![Given::Text(path, format!("{line}\n").into_bytes())]);
    rig.answers(path).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn guests_of_network_have_look_up_budget_of_member() {
    let mut rig = rig();
    for n in 0..30 {
        assert_eq!(asks(&mut rig, 1, 2_000 + n, &format!("@name{n} hello")).1, "nobody\n", "{n}");
    }
    assert_eq!(asks(&mut rig, 1, 3_000, "@name99 hello").1, "full\n");
    assert_eq!(asks(&mut rig, 1, 3_001, "@TOM hello").1, "full\n", "a name that exists gets the same answer");
    assert_eq!(asks(&mut rig, 2, 2_000, "@name99 hello").1, "nobody\n", "another network");
    rig.wait(secs(2));
    let (path, told) = asks(&mut rig, 1, 3_002, "@TOM hello");
    assert_eq!(told, "");
    assert_eq!(asks(&mut rig, 1, 3_003, "@name99 hello").1, "full\n");
    assert_eq!(writes(&mut rig, path, "@TOM again"), "", "it may write again to the same member");
}

#[test]
fn absent_and_present_named_member_look_alike() {
    let mut rig = rig();
    rig.wait(secs(300));
    Hand::member(&mut rig, udp(200, 2), 1, "TOM");
    assert_eq!(asks(&mut rig, 1, 2_000, "@TOM hello").1, "", "here");
    assert_eq!(asks(&mut rig, 1, 2_001, "@ANN hello").1, "", "away");
    assert_eq!(asks(&mut rig, 1, 2_002, "hello").1, "away\n", "the member for all guests is reported away");
    assert_eq!(asks(&mut rig, 1, 2_003, "@JACK hello").1, "away\n");
}
