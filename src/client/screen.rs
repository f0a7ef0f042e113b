//! Block lists: members whose letters each relay refuses for the user.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::{HostPort, Name};
use crate::wire::message::{Names, SCREEN_FIRST, SCREEN_LAST, SCREEN_ONLY, ToRelay};

use super::strangers::Contacts;

/// Maximum names in one list for one relay; as many as a relay stores. Further ones are left out.
pub const SCREENED_MAX: usize = 1_024;
/// Maximum bytes of names in one message. Well below the limit of a control message.
const PART_BYTES: usize = 3 * 1024;

/// The block list of one relay. It refuses letters of these members as `blocked`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// These members. The relay stores this list, so it also holds while the user is away.
    pub blocked: Vec<Name>,
    /// All members except these, during the session.
    pub only: Option<Vec<Name>>,
}

/// The block lists of all relays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screens {
    /// The list for each of these relays.
    pub relays: BTreeMap<HostPort, Screen>,
    /// The list for all other relays. Without it they keep the list that they have.
    pub others: Option<Screen>,
    /// Members in the address book; storage for all others is bounded. `None` if no address book is
    /// known.
    pub contacts: Option<Contacts>,
}

impl Screens {
    /// Allows letters of this member, even where only contacts are allowed.
    pub fn admit(&mut self, relay: &HostPort, member: &Name) {
        let Some(only) = self.of(relay).and_then(|screen| screen.only.as_ref()) else { return };
        if !only.contains(member) {
            let others = self.others.clone().unwrap_or_default();
            let screen = self.relays.entry(relay.clone()).or_insert(others);
            screen.only.get_or_insert_default().push(member.clone());
        }
    }

    /// Returns the list for this relay.
    pub(super) fn of(&self, relay: &HostPort) -> Option<&Screen> {
        self.relays.get(relay).or(self.others.as_ref())
    }
}

impl Screen {
    /// Returns the messages that announce the list, in order.
    pub(super) fn messages(&self) -> VecDeque<Vec<u8>> {
        let mut messages = VecDeque::new();
        if let Some(only) = &self.only {
            put(only, SCREEN_ONLY, &mut messages);
        }
        put(&self.blocked, 0, &mut messages);
        messages
    }
}

/// Encodes a list into as many messages as it needs, at least one.
fn put(list: &[Name], kind: u8, messages: &mut VecDeque<Vec<u8>>) {
    let mut flags = kind | SCREEN_FIRST;
    let mut names = Vec::new();
    let mut say = |flags: u8, names: &mut Vec<u8>| {
        let mut message = Vec::new();
        ToRelay::Screen { flags, names: Names::new(names) }.encode(&mut message);
        names.clear();
        messages.push_back(message);
    };
    for name in list.iter().take(SCREENED_MAX) {
        if names.len() >= PART_BYTES {
            say(flags, &mut names);
            flags = kind;
        }
        Names::put(&mut names, name.as_str());
    }
    say(flags | SCREEN_LAST, &mut names);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::CONTROL_MESSAGE_MAX;

    #[test]
    fn member_written_to_may_answer() {
        let [h, other]: [HostPort; 2] = ["h:1", "h:2"].map(|text| text.parse().unwrap());
        let [jack, rose]: [Name; 2] = ["JACK", "ROSE"].map(|text| text.parse().unwrap());
        let none = Screen { blocked: vec![jack.clone()], only: Some(Vec::new()) };
        let others = Some(Screen { only: Some(Vec::new()), ..Screen::default() });
        let mut screens = Screens { relays: [(h.clone(), none)].into(), others, contacts: None };
        for relay in [&h, &other, &h] {
            screens.admit(relay, &rose);
            assert_eq!(screens.of(relay).unwrap().only.as_deref(), Some(&[rose.clone()][..]));
        }
        assert_eq!(screens.of(&h).unwrap().blocked, [jack]);
        let mut all = Screens::default();
        all.admit(&h, &rose);
        assert_eq!(all, Screens::default(), "all members are allowed already");
    }

    #[test]
    fn long_list_is_sent_in_parts_and_empty_one_too() {
        let names =
            |count: usize| (0..count).map(|n| format!("member-number-{n}").parse().unwrap()).collect();
        let screen = Screen { blocked: names(2_000), only: Some(Vec::new()) };
        let messages = screen.messages();
        assert!(messages.len() > 3 && messages.iter().all(|m| m.len() <= CONTROL_MESSAGE_MAX));
        let read = |message: &Vec<u8>| match ToRelay::decode(message) {
            Ok(Some(ToRelay::Screen { flags, names })) => (flags, names.iter().count()),
            other => panic!("{other:?}"),
        };
        let parts: Vec<(u8, usize)> = messages.iter().map(read).collect();
        assert_eq!(parts[0], (SCREEN_ONLY | SCREEN_FIRST | SCREEN_LAST, 0));
        assert_eq!(parts[1].0, SCREEN_FIRST);
        assert_eq!(parts.last().unwrap().0, SCREEN_LAST);
        assert!(parts[2..parts.len() - 1].iter().all(|part| part.0 == 0));
        assert_eq!(parts.iter().map(|part| part.1).sum::<usize>(), SCREENED_MAX);
    }
}
