//! Membership in the relay's database: round trips, atomicity and damage.

use std::path::Path;

use super::*;
use crate::base::Wall;
use crate::relay::{Invitation, InvitationId, MembershipChange, MembershipSnapshot, SenderLists};
use crate::store::members_list;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn open(dir: &Path) -> Result<(RelayStore, RelayState), StoreError> {
    RelayStore::open(dir, || [1; 32])
}

/// Commits changes and returns the indexes of refused ones.
fn commit(store: &mut RelayStore, changes: &[MembershipChange]) -> Vec<usize> {
    let records: Vec<Record> = changes.iter().cloned().map(Record::Membership).collect();
    let mut refused = Vec::new();
    store.commit(&records, &mut refused).unwrap();
    refused
}

fn invitation(id: u8, text: Option<&str>, until: u64) -> Invitation {
    let name = text.map(name);
    Invitation { id: InvitationId([id; 32]), name, created_at: Wall(u64::from(id)), until: Wall(until) }
}

fn allowing(one: &str) -> SenderLists {
    SenderLists { allowed: Some([name(one)].into()), ..SenderLists::default() }
}

#[test]
fn membership_round_trips() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, state) = open(dir.path()).unwrap();
    assert_eq!(state.membership, MembershipSnapshot::default());
    let tom = name("TOM");
    let jack = name("JACK");
    let key = PublicKey([7; 32]);
    let names = |names: &[&str]| names.iter().copied().map(name).collect();
    let lists = |blocked: &[&str], allowed: Option<&[&str]>| MembershipChange::Lists {
        owner: name("TOM"),
        lists: SenderLists { blocked: names(blocked), allowed: allowed.map(names) },
    };
    let changes = [
        MembershipChange::Invited(invitation(1, Some("TOM"), 1_000)),
        MembershipChange::Invited(invitation(2, None, u64::MAX)),
        MembershipChange::Invited(invitation(3, Some("JACK"), 1_000)),
        MembershipChange::Invited(invitation(4, Some("JACK"), 1_000)),
        MembershipChange::Joined { name: tom.clone(), key, by: InvitationId([1; 32]), since: 9 },
        lists(&["武大郎", "ann"], None),
        lists(&[], Some(&["bob"])),
        lists(&["ann", "武大郎"], Some(&[])),
        MembershipChange::Seen { name: tom.clone(), at: Wall(5) },
    ];
    assert_eq!(commit(&mut store, &changes), [0; 0]);
    drop(store);
    let (mut store, state) = open(dir.path()).unwrap();
    assert_eq!(state.members, [(tom.clone(), key)]);
    let waiting = vec![invitation(2, None, i64::MAX as u64), invitation(4, Some("JACK"), 1_000)];
    assert_eq!(state.membership.invitations, waiting, "one for each name");
    let kept = SenderLists { blocked: names(&["ann", "武大郎"]), allowed: Some(names(&[])) };
    assert_eq!(state.membership.lists, [(tom.clone(), kept)]);
    let (listed, invited) = members_list(dir.path()).unwrap();
    assert_eq!(listed[0].name, tom);
    assert_eq!(listed[0].key, key);
    assert_eq!(listed[0].seen, Some(Wall(5)));
    assert_eq!(invited, waiting);
    let joined = |name: &Name, by: u8| MembershipChange::Joined {
        name: name.clone(),
        key: PublicKey([8; 32]),
        by: InvitationId([by; 32]),
        since: 9,
    };
    assert_eq!(commit(&mut store, &[joined(&jack, 1)]), [0], "the invitation was used");
    assert_eq!(commit(&mut store, &[joined(&tom, 2)]), [0], "the name is another key's");
    assert_eq!(commit(&mut store, &[MembershipChange::Removed { name: tom.clone(), key }]), [0; 0]);
    drop(store);
    let (mut store, state) = open(dir.path()).unwrap();
    assert_eq!(state.members, []);
    assert_eq!(state.membership.lists, []);
    assert_eq!(state.membership.removed, [(tom.clone(), key)]);
    let again = [MembershipChange::Invited(invitation(9, Some("TOM"), 1_000)), joined(&tom, 9)];
    assert_eq!(commit(&mut store, &again), [0; 0]);
    drop(store);
    let state = open(dir.path()).unwrap().1;
    assert_eq!(state.members, [(tom, PublicKey([8; 32]))]);
    assert_eq!(state.membership.removed, []);
}

/// A name is unused from its registration, with or without an invitation, until it is used or
/// removed. A freed member leaves no rows.
#[test]
fn unused_name_is_kept_until_used_freed_or_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(dir.path()).unwrap();
    let key = |n: u8| PublicKey([n; 32]);
    let member = |text: &str, n: u8| Record::Member { name: name(text), key: key(n), since: u64::from(n) };
    let records = [member("ann", 1), member("bob", 2), member("TOM", 3), member("TOM", 3), member("bob", 9)];
    let mut refused = Vec::new();
    store.commit(&records, &mut refused).unwrap();
    assert_eq!(refused, [4], "the name is another key's");
    let by = InvitationId([1; 32]);
    let joined = MembershipChange::Joined { name: name("JACK"), key: key(4), by, since: 4 };
    let changes = [
        MembershipChange::Invited(invitation(1, None, 1_000)),
        joined,
        MembershipChange::Used { name: name("ann") },
        MembershipChange::Seen { name: name("bob"), at: Wall(5) },
        MembershipChange::Lists { owner: name("bob"), lists: allowing("ann") },
    ];
    commit(&mut store, &changes);
    drop(store);
    let (mut store, state) = open(dir.path()).unwrap();
    let unused = |names: &[(&str, u64)]| Vec::from_iter(names.iter().map(|(n, since)| (name(n), *since)));
    assert_eq!(state.membership.unused, unused(&[("JACK", 4), ("TOM", 3), ("bob", 2)]));
    let changes = [
        MembershipChange::Freed { name: name("bob") },
        MembershipChange::Removed { name: name("TOM"), key: key(3) },
        MembershipChange::Used { name: name("ann") },
    ];
    assert_eq!(commit(&mut store, &changes), [0; 0]);
    drop(store);
    let (store, state) = open(dir.path()).unwrap();
    assert_eq!(state.membership.unused, unused(&[("JACK", 4)]));
    assert_eq!(state.members, [(name("JACK"), key(4)), (name("ann"), key(1))]);
    assert_eq!(state.membership.lists, []);
    let seen: u32 = store.db.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, 0);
}

#[test]
fn damaged_membership_row_is_detected_at_start() {
    let harms = [
        ("UPDATE invitations SET until = until + 1", "invitations"),
        ("UPDATE invitations SET name = 'ann'", "invitations"),
        ("UPDATE removed SET name = 'ann'", "removed"),
        ("UPDATE lists SET blocked = 'ann'", "lists"),
        ("UPDATE lists SET allowed = NULL", "lists"),
        ("UPDATE lists SET allowed = 'bob'", "lists"),
        ("UPDATE unused SET since = since + 1", "unused"),
    ];
    for (harm, table) in harms {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = open(dir.path()).unwrap();
        let owner = name("TOM");
        let key = PublicKey([7; 32]);
        let changes = [
            MembershipChange::Invited(invitation(1, None, 1_000)),
            MembershipChange::Removed { name: name("JACK"), key },
            MembershipChange::Lists { owner, lists: allowing("ann") },
        ];
        commit(&mut store, &changes);
        let member = Record::Member { name: name("bob"), key, since: 7 };
        store.commit(&[member], &mut Vec::new()).unwrap();
        store.db.execute(harm, []).unwrap();
        drop(store);
        let error = open(dir.path()).unwrap_err();
        assert_eq!(error.cause, StoreErrorCause::Damaged(table.to_owned()), "{harm}");
    }
}
