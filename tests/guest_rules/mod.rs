//! Rules for guests in tests of a relay without sockets: in the test harness of one core, or in the
//! simulation.

use queqiao::relay::{GuestEncoding, GuestRules, GuestTexts};

/// Guests write to JACK and to no other member, and are not greeted.
pub fn to_jack(limit: usize, texts: GuestTexts) -> GuestRules {
    to("JACK", limit, texts)
}

/// Guests write to this member only, and are not greeted.
pub fn to(member: &str, limit: usize, texts: GuestTexts) -> GuestRules {
    GuestRules {
        to: member.parse().unwrap(),
        anyone: false,
        encoding: GuestEncoding::Auto,
        greeting: String::new(),
        limit,
        texts,
    }
}
