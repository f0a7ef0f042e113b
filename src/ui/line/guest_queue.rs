//! Guests that wait for an answer at a desk, the oldest first.

use std::collections::VecDeque;

use super::ResolvedContact;

/// Maximum guests that wait. At the limit a new one is still shown, but must be chosen by name.
const WAITING_MAX: usize = 1_024;

/// Senders whose letters are not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GuestQueue {
    queue: VecDeque<ResolvedContact>,
}

impl GuestQueue {
    /// Adds a sender. If it waits already, it keeps its place.
    pub(super) fn push(&mut self, who: &ResolvedContact) {
        if let Some(guest) = self.queue.iter_mut().find(|guest| is_same(guest, who)) {
            guest.label.clone_from(&who.label);
        } else if self.queue.len() < WAITING_MAX {
            self.queue.push_back(who.clone());
        }
    }

    /// Removes a sender that was answered or has left.
    pub(super) fn remove(&mut self, who: &ResolvedContact) {
        self.queue.retain(|guest| !is_same(guest, who));
    }

    /// Returns the sender that has waited longest.
    pub(super) fn first(&self) -> Option<&ResolvedContact> {
        self.queue.front()
    }
}

/// Whether these are one sender, whatever its label.
fn is_same(guest: &ResolvedContact, who: &ResolvedContact) -> bool {
    guest.relay == who.relay && guest.member == who.member
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> ResolvedContact {
        let relay = "127.0.0.1:1".parse().unwrap();
        ResolvedContact { label: name.into(), relay, member: name.parse().unwrap() }
    }

    #[test]
    fn oldest_unanswered_comes_first_and_each_once() {
        let mut guests = GuestQueue::default();
        for name in ["guest-1", "guest-2", "guest-1"] {
            guests.push(&who(name));
        }
        assert_eq!(guests.first(), Some(&who("guest-1")));
        guests.remove(&who("guest-1"));
        assert_eq!(guests.first(), Some(&who("guest-2")));
        guests.push(&who("guest-1"));
        guests.remove(&who("guest-2"));
        assert_eq!(guests.first(), Some(&who("guest-1")));
        guests.remove(&who("guest-1"));
        assert_eq!(guests.first(), None);
    }
}
