//! Block lists: members whose letters each relay refuses for the user.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::base::{HostPort, Name};
use crate::wire::message::{ALLOW_LIST, BLOCK_LIST_FIRST, BLOCK_LIST_LAST, NameList, ToRelay};

use super::strangers::Contacts;

/// Maximum names in one list for one relay; as many as a relay stores. Further ones are left out.
pub const BLOCK_LIST_MAX: usize = 1_024;
/// Maximum bytes of names in one message. Well below the limit of a control message.
const PART_BYTES: usize = 3 * 1024;

/// The block list of one relay. It refuses letters of these members as `blocked`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// These members. The relay stores this list, so it also holds while the user is away.
    pub blocked: Vec<Name>,
    /// All members except these, during the session.
    pub only: Option<Vec<Name>>,
}

/// The block lists of all relays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLists {
    /// The list for each of these relays.
    pub relays: BTreeMap<HostPort, BlockList>,
    /// The list for all other relays. Without it they keep the list that they have.
    pub others: Option<BlockList>,
    /// Members in the address book; storage for all others is bounded. `None` if no address book is
    /// known.
    pub contacts: Option<Contacts>,
}

impl BlockLists {
    /// Allows letters of this member, even where only contacts are allowed.
    pub fn admit(&mut self, relay: &HostPort, member: &Name) {
        let Some(only) = self.of(relay).and_then(|block_list| block_list.only.as_ref()) else { return };
        if !only.contains(member) {
            let others = self.others.clone().unwrap_or_default();
            let block_list = self.relays.entry(relay.clone()).or_insert(others);
            block_list.only.get_or_insert_default().push(member.clone());
        }
    }

    /// Returns the list for this relay.
    pub(super) fn of(&self, relay: &HostPort) -> Option<&BlockList> {
        self.relays.get(relay).or(self.others.as_ref())
    }
}

impl BlockList {
    /// Returns the messages that announce the list, in order.
    pub(super) fn messages(&self) -> VecDeque<Vec<u8>> {
        let mut messages = VecDeque::new();
        if let Some(only) = &self.only {
            put(only, ALLOW_LIST, &mut messages);
        }
        put(&self.blocked, 0, &mut messages);
        messages
    }
}

/// Encodes a list into as many messages as it needs, at least one.
fn put(list: &[Name], kind: u8, messages: &mut VecDeque<Vec<u8>>) {
    let mut flags = kind | BLOCK_LIST_FIRST;
    let mut names = Vec::new();
    let mut push_part = |flags: u8, names: &mut Vec<u8>| {
        let mut message = Vec::new();
        ToRelay::BlockList { flags, names: NameList::new(names) }.encode(&mut message);
        names.clear();
        messages.push_back(message);
    };
    for name in list.iter().take(BLOCK_LIST_MAX) {
        if names.len() >= PART_BYTES {
            push_part(flags, &mut names);
            flags = kind;
        }
        NameList::put(&mut names, name.as_str());
    }
    push_part(flags | BLOCK_LIST_LAST, &mut names);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::CONTROL_MESSAGE_MAX;

    #[test]
    fn member_written_to_may_answer() {
        let [h, other]: [HostPort; 2] = ["h:1", "h:2"].map(|text| text.parse().unwrap());
        let [jack, rose]: [Name; 2] = ["JACK", "ROSE"].map(|text| text.parse().unwrap());
        let none = BlockList { blocked: vec![jack.clone()], only: Some(Vec::new()) };
        let others = Some(BlockList { only: Some(Vec::new()), ..BlockList::default() });
        let mut block_lists = BlockLists { relays: [(h.clone(), none)].into(), others, contacts: None };
        for relay in [&h, &other, &h] {
            block_lists.admit(relay, &rose);
            assert_eq!(block_lists.of(relay).unwrap().only.as_deref(), Some(&[rose.clone()][..]));
        }
        assert_eq!(block_lists.of(&h).unwrap().blocked, [jack]);
        let mut all = BlockLists::default();
        all.admit(&h, &rose);
        assert_eq!(all, BlockLists::default(), "all members are allowed already");
    }

    #[test]
    fn long_list_is_sent_in_parts_and_empty_one_too() {
        let names =
            |count: usize| (0..count).map(|n| format!("member-number-{n}").parse().unwrap()).collect();
        let block_list = BlockList { blocked: names(2_000), only: Some(Vec::new()) };
        let messages = block_list.messages();
        assert!(messages.len() > 3 && messages.iter().all(|m| m.len() <= CONTROL_MESSAGE_MAX));
        let read = |message: &Vec<u8>| match ToRelay::decode(message) {
            Ok(Some(ToRelay::BlockList { flags, names })) => (flags, names.iter().count()),
            other => panic!("{other:?}"),
        };
        let parts: Vec<(u8, usize)> = messages.iter().map(read).collect();
        assert_eq!(parts[0], (ALLOW_LIST | BLOCK_LIST_FIRST | BLOCK_LIST_LAST, 0));
        assert_eq!(parts[1].0, BLOCK_LIST_FIRST);
        assert_eq!(parts.last().unwrap().0, BLOCK_LIST_LAST);
        assert!(parts[2..parts.len() - 1].iter().all(|part| part.0 == 0));
        assert_eq!(parts.iter().map(|part| part.1).sum::<usize>(), BLOCK_LIST_MAX);
    }
}
