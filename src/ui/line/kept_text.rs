//! Text that was typed while no recipient was chosen. Once one is, the up arrow brings it back. It
//! is never in the prompt by itself: it may be meant for another recipient than the chosen one.

use std::net::IpAddr;

use crate::base::{HostPort, Name, Phrase};

use super::delivery_watch::excerpt;
use super::recipient::first_of;
use super::{Action, ContactLookup, LineMode};

/// Maximum contacts that a notice names.
const NAMES_MAX: usize = 8;

impl<B: ContactLookup> LineMode<B> {
    /// Handles a line while no recipient is chosen. On a terminal a line that cannot be a name is
    /// kept.
    pub(super) fn choose_or_keep(&mut self, text: &str) -> Vec<Action> {
        if !self.options.is_terminal || may_be_name(text.trim()) || self.find(text).is_ok() {
            return self.switch_to(text);
        }
        let kept = self.kept_text.get_or_insert_default();
        if !kept.is_empty() {
            kept.push('\n');
        }
        kept.push_str(text);
        let names = self.known_names();
        let phrase = match names.is_empty() {
            true => Phrase::new("chat-kept-alone"),
            false => Phrase::new("chat-kept").with("names", first_of(&names, NAMES_MAX)),
        };
        vec![self.tell(&phrase.with("text", excerpt(text)))]
    }

    /// Returns the text that the user can bring back, once a recipient is chosen.
    pub fn take_kept_text(&mut self) -> Option<String> {
        self.target.as_ref()?;
        self.kept_text.take()
    }
}

/// Whether a line without its spaces may be meant as a name or an address.
fn may_be_name(text: &str) -> bool {
    let is_address = text.parse::<HostPort>().is_ok() || text.parse::<IpAddr>().is_ok();
    let has_space = text.contains(char::is_whitespace);
    !has_space && (is_address || text.contains(['@', '＠']) || text.parse::<Name>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_differ_from_texts() {
        for name in ["JACK", "一棵树", "JACK@127.0.0.1:8081", "JACK＠home", "127.0.0.1:8081", "::1", "a.b"]
        {
            assert!(may_be_name(name), "{name}");
        }
        for text in ["lost line", "你好！", "really?", "...", "one\ntwo", "a@b c", &"x".repeat(33)] {
            assert!(!may_be_name(text), "{text}");
        }
    }
}
