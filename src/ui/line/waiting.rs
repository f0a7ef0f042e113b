//! Guests that wait for an answer at a desk, the oldest first.

use std::collections::VecDeque;

use super::Resolved;

/// Maximum guests that wait. At the limit a new one is still shown, but must be chosen by name.
const WAITING_MAX: usize = 1_024;

/// Senders whose letters are not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    queue: VecDeque<Resolved>,
}

impl Waiting {
    /// Adds a sender, unless it waits already.
    pub(super) fn heard(&mut self, who: &Resolved) {
        if self.queue.len() < WAITING_MAX && !self.queue.contains(who) {
            self.queue.push_back(who.clone());
        }
    }

    /// Removes a sender that was answered or has left.
    pub(super) fn answered(&mut self, who: &Resolved) {
        self.queue.retain(|waiting| waiting != who);
    }

    /// Returns the sender that has waited longest.
    pub(super) fn first(&self) -> Option<&Resolved> {
        self.queue.front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Resolved {
        let relay = "127.0.0.1:1".parse().unwrap();
        Resolved { label: name.into(), relay, member: name.parse().unwrap() }
    }

    #[test]
    fn oldest_unanswered_comes_first_and_each_once() {
        let mut waiting = Waiting::default();
        for name in ["guest-1", "guest-2", "guest-1"] {
            waiting.heard(&who(name));
        }
        assert_eq!(waiting.first(), Some(&who("guest-1")));
        waiting.answered(&who("guest-1"));
        assert_eq!(waiting.first(), Some(&who("guest-2")));
        waiting.heard(&who("guest-1"));
        waiting.answered(&who("guest-2"));
        assert_eq!(waiting.first(), Some(&who("guest-1")));
        waiting.answered(&who("guest-1"));
        assert_eq!(waiting.first(), None);
    }
}
