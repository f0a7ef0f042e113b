//! How guests are served in stories of a relay without sockets, in a vice or in a simulated world.

use queqiao::relay::{GuestEncoding, GuestRules, GuestTexts};

/// Guests write to JACK and to nobody else, and are not greeted.
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
