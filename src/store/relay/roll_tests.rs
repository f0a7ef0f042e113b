//! The roll in the relay's database: what is written is read again, whole or not at all.

use std::path::Path;

use super::*;
use crate::base::Wall;
use crate::relay::{Change, Invitation, InvitationId, Roll};
use crate::store::members_list;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn open(dir: &Path) -> Result<(RelayStore, RelayState), Phrase> {
    RelayStore::open(dir, || [1; 32])
}

/// Writes changes down; those that were refused.
fn commit(store: &mut RelayStore, changes: &[Change]) -> Vec<usize> {
    let (records, mut refused): (Vec<Record>, _) =
        (changes.iter().cloned().map(Record::Roll).collect(), Vec::new());
    store.commit(&records, &mut refused).unwrap();
    refused
}

fn invitation(id: u8, text: Option<&str>, until: u64) -> Invitation {
    let name = text.map(name);
    Invitation { id: InvitationId([id; 32]), name, made: Wall(u64::from(id)), until: Wall(until) }
}

#[test]
fn the_roll_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, state) = open(dir.path()).unwrap();
    assert_eq!(state.roll, Roll::default());
    let (tom, jack, key) = (name("TOM"), name("JACK"), PublicKey([7; 32]));
    let blocks = |names: &[&str]| Change::Blocks {
        owner: name("TOM"),
        blocked: names.iter().copied().map(name).collect(),
    };
    let changes = [
        Change::Invited(invitation(1, Some("TOM"), 1_000)),
        Change::Invited(invitation(2, None, u64::MAX)),
        Change::Invited(invitation(3, Some("JACK"), 1_000)),
        Change::Invited(invitation(4, Some("JACK"), 1_000)),
        Change::Joined { name: tom.clone(), key, by: InvitationId([1; 32]) },
        blocks(&["武大郎", "ann"]),
        blocks(&[]),
        blocks(&["ann", "武大郎"]),
        Change::Seen { name: tom.clone(), at: Wall(5) },
    ];
    assert_eq!(commit(&mut store, &changes), [0; 0]);
    drop(store);
    let (mut store, state) = open(dir.path()).unwrap();
    assert_eq!(state.members, [(tom.clone(), key)]);
    let waiting = vec![invitation(2, None, i64::MAX as u64), invitation(4, Some("JACK"), 1_000)];
    assert_eq!(state.roll.invitations, waiting, "one for each name");
    assert_eq!(state.roll.blocks, [(tom.clone(), vec![name("ann"), name("武大郎")])]);
    let (listed, invited) = members_list(dir.path()).unwrap();
    assert_eq!((&listed[0].name, listed[0].key, listed[0].seen), (&tom, key, Some(Wall(5))));
    assert_eq!(invited, waiting);
    let by = InvitationId([1; 32]);
    let used = Change::Joined { name: jack.clone(), key: PublicKey([8; 32]), by };
    assert_eq!(commit(&mut store, &[used]), [0], "it was used up");
    let other = Change::Joined { name: tom.clone(), key: PublicKey([8; 32]), by: InvitationId([2; 32]) };
    assert_eq!(commit(&mut store, &[other]), [0], "the name is another key's");
    assert_eq!(commit(&mut store, &[Change::Removed { name: tom.clone(), key }]), [0; 0]);
    drop(store);
    let (mut store, state) = open(dir.path()).unwrap();
    assert_eq!((state.members, state.roll.blocks), (vec![], vec![]));
    assert_eq!(state.roll.removed, [(tom.clone(), key)]);
    let again = [
        Change::Invited(invitation(9, Some("TOM"), 1_000)),
        Change::Joined { name: tom.clone(), key: PublicKey([8; 32]), by: InvitationId([9; 32]) },
    ];
    assert_eq!(commit(&mut store, &again), [0; 0]);
    drop(store);
    let state = open(dir.path()).unwrap().1;
    assert_eq!((state.members, state.roll.removed), (vec![(tom, PublicKey([8; 32]))], vec![]));
}

#[test]
fn a_damaged_row_of_the_roll_is_found_when_the_relay_starts() {
    let harms = [
        ("UPDATE invitations SET until = until + 1", "invitations"),
        ("UPDATE invitations SET name = 'ann'", "invitations"),
        ("UPDATE removed SET name = 'ann'", "removed"),
        ("UPDATE blocks SET blocked = 'ann'", "blocks"),
    ];
    for (harm, table) in harms {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path()).unwrap();
        let (owner, key) = (name("TOM"), PublicKey([7; 32]));
        let changes = [
            Change::Invited(invitation(1, None, 1_000)),
            Change::Removed { name: name("JACK"), key },
            Change::Blocks { owner, blocked: Vec::new() },
        ];
        commit(&mut store, &changes);
        store.db.execute(harm, []).unwrap();
        drop(store);
        let error = open(dir.path()).unwrap_err();
        assert_eq!((error.key(), error.args()[1].1.as_str()), ("store-database-damaged", table), "{harm}");
    }
}
