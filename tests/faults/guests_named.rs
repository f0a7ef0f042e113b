//! Guests that name a member (`--guest-anyone`): they may ask for as many names as a member, and
//! learn of none whether it is here.

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

/// The answer to a guest's line, on a connection of its own.
fn asks(rig: &mut Rig, host: u8, port: u16, line: &str) -> (Path, String) {
    let path = rig.connect(SocketAddr::from(([198, 18, host, 1], port)));
    (path, writes(rig, path, line))
}

fn writes(rig: &mut Rig, path: Path, line: &str) -> String {
    rig.take(vec![Given::Text(path, format!("{line}\n").into_bytes())]);
    rig.answers(path).into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn guests_ask_for_as_many_names_as_a_member() {
    let mut rig = rig();
    for n in 0..30 {
        assert_eq!(asks(&mut rig, 1, 2_000 + n, &format!("@name{n} hello")).1, "nobody\n", "{n}");
    }
    assert_eq!(asks(&mut rig, 1, 3_000, "@name99 hello").1, "full\n");
    assert_eq!(asks(&mut rig, 1, 3_001, "@TOM hello").1, "full\n", "a name that exists sounds the same");
    assert_eq!(asks(&mut rig, 2, 2_000, "@name99 hello").1, "nobody\n", "another network");
    rig.wait(secs(2));
    let (path, told) = asks(&mut rig, 1, 3_002, "@TOM hello");
    assert_eq!(told, "");
    assert_eq!(asks(&mut rig, 1, 3_003, "@name99 hello").1, "full\n");
    assert_eq!(writes(&mut rig, path, "@TOM again"), "", "it may write again to a member it has written to");
}

#[test]
fn named_member_that_is_away_sounds_like_one_that_is_here() {
    let mut rig = rig();
    rig.wait(secs(300));
    Hand::member(&mut rig, udp(200, 2), 1, "TOM");
    assert_eq!(asks(&mut rig, 1, 2_000, "@TOM hello").1, "", "here");
    assert_eq!(asks(&mut rig, 1, 2_001, "@ANN hello").1, "", "away");
    assert_eq!(asks(&mut rig, 1, 2_002, "hello").1, "away\n", "the one for all guests says so");
    assert_eq!(asks(&mut rig, 1, 2_003, "@JACK hello").1, "away\n");
}
