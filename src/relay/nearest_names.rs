//! Finds the members' names nearest to one that does not exist, without examining all members.
//!
//! For each name, the index has the hash of its folded form and of that form without each of its
//! characters. As in SymSpell, two texts that differ by one change, deletion, insertion or swap
//! share a form. For prefixes it has the members in the order of their folded names. It contains
//! durable members only; look-alikes are found by [`super::members`].
//!
//! Must not depend on: sessions, letters.
//!
//! Invariant: at most [`NAMES_LOOKED_AT_MAX`] names are examined for one answer, whatever is
//! registered, and nothing is allocated for each of them. Names that share a form are examined in
//! order of registration, so that later names cannot hide an earlier one.

use std::cmp::Ordering;

use crate::base::{Folded, Name, SortedChunks};

use super::ids::MemberId;

/// Maximum names examined for one answer: about 0.1 ms with the longest names.
pub const NAMES_LOOKED_AT_MAX: usize = 1 + CORRESPONDENTS_MAX + FORMS_MAX + BEGINNINGS_MAX;
/// Of these, correspondents of the member that asks, its recent recipients first.
pub(super) const CORRESPONDENTS_MAX: usize = 96;
/// Of these, names that share a form: two for each form of the longest name.
const FORMS_MAX: usize = 128;
/// Of these, names that begin with the wanted text.
const BEGINNINGS_MAX: usize = 31;
/// Maximum characters left out, one at a time. 48: enough for any name of 32 letters, or of 32 Thai
/// or Hindi characters; only names with non-composing marks have more.
const LEFT_OUT_MAX: usize = 48;

/// Selects the members' names to compare with a name that does not exist.
#[derive(Debug, Default)]
pub(super) struct NameIndex {
    /// Hash of a form, and its member; eight bytes each. Among 100,000 names of ten characters one
    /// look-up in 4,000 meets another form with the same hash, which costs one comparison.
    forms: SortedChunks<(u32, FormOf)>,
    /// Members by folded name. Of two equal ones, possible by invitation, the lower number is
    /// first.
    in_order: SortedChunks<ShortId>,
    /// Reused buffer of the names to compare.
    found: Vec<MemberId>,
}

/// A member, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShortId(u32);

impl ShortId {
    fn new(id: MemberId) -> ShortId {
        ShortId(id.0 as u32)
    }

    fn member(self) -> MemberId {
        MemberId(self.0 as usize)
    }
}

/// A member by one of its forms; complete forms come before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FormOf(u32);

impl FormOf {
    const LEFT_OUT: u32 = 1 << 31;
    const FIRST: FormOf = FormOf(0);

    fn new(id: MemberId, is_whole: bool) -> FormOf {
        let number = id.0 as u32 & !FormOf::LEFT_OUT;
        FormOf(if is_whole { number } else { number | FormOf::LEFT_OUT })
    }

    fn member(self) -> MemberId {
        MemberId((self.0 & !FormOf::LEFT_OUT) as usize)
    }
}

/// The names found for one answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The nearest names, nearest first.
    pub(super) nearest: Vec<Name>,
    /// Number of names examined.
    pub(super) looked_at: usize,
}

impl NameIndex {
    /// Builds the index of many names, in a fraction of the time of single insertions.
    pub(super) fn new<'a>(names: impl Iterator<Item = (MemberId, &'a Name)>) -> NameIndex {
        let mut forms = Vec::new();
        let mut in_order = Vec::new();
        for (id, name) in names {
            let Some(folded) = Folded::new(name.as_str()) else { continue };
            each_form(folded.chars(), |hash, is_whole| forms.push((hash, FormOf::new(id, is_whole))));
            in_order.push((Box::<[char]>::from(folded.chars()), ShortId::new(id)));
        }
        forms.sort_unstable();
        forms.dedup();
        in_order.sort_unstable_by(|a, b| (&a.0, a.1.0).cmp(&(&b.0, b.1.0)));
        let in_order: Vec<ShortId> = in_order.into_iter().map(|(_, id)| id).collect();
        NameIndex {
            forms: SortedChunks::from_sorted(&forms),
            in_order: SortedChunks::from_sorted(&in_order),
            found: Vec::new(),
        }
    }

    /// Adds a member. `name_of` returns the name of any member of the index.
    pub(super) fn insert<'a>(
        &mut self,
        id: MemberId,
        name: &Name,
        name_of: impl Fn(MemberId) -> Option<&'a Name>,
    ) {
        let Some(folded) = Folded::new(name.as_str()) else { return };
        each_form(folded.chars(), |hash, is_whole| {
            let form = (hash, FormOf::new(id, is_whole));
            self.forms.insert(form, |entry| entry.cmp(&form));
        });
        let short = ShortId::new(id);
        let order_of =
            |entry: &ShortId| order(name_of(entry.member()), folded.chars()).then(entry.0.cmp(&short.0));
        self.in_order.insert(short, order_of);
    }

    /// Removes a member, whose name `name_of` still returns.
    pub(super) fn remove<'a>(
        &mut self,
        id: MemberId,
        name: &Name,
        name_of: impl Fn(MemberId) -> Option<&'a Name>,
    ) {
        let Some(folded) = Folded::new(name.as_str()) else { return };
        each_form(folded.chars(), |hash, is_whole| {
            let form = (hash, FormOf::new(id, is_whole));
            self.forms.remove(|entry| entry.cmp(&form));
        });
        let short = ShortId::new(id);
        let order_of =
            |entry: &ShortId| order(name_of(entry.member()), folded.chars()).then(entry.0.cmp(&short.0));
        self.in_order.remove(order_of);
    }

    /// Returns at most `count_max` names, nearest first.
    ///
    /// `same_look` is the member whose name looks like `wanted`. `correspondents` are those of the
    /// member that asks; among all other members only names with at most one difference are found.
    pub(super) fn nearest<'a>(
        &mut self,
        wanted: &str,
        same_look: Option<MemberId>,
        correspondents: impl Iterator<Item = MemberId>,
        name_of: impl Fn(MemberId) -> Option<&'a Name>,
        count_max: usize,
    ) -> Found {
        let Some(folded) = Folded::new(wanted) else {
            let nearest: Vec<Name> =
                same_look.and_then(&name_of).cloned().into_iter().take(count_max).collect();
            return Found { looked_at: nearest.len(), nearest };
        };
        let mut candidates = std::mem::take(&mut self.found);
        candidates.clear();
        candidates.extend(correspondents.take(CORRESPONDENTS_MAX));
        self.find_forms(folded.chars(), &mut candidates);
        self.find_beginnings(folded.chars(), &name_of, &mut candidates);
        candidates.sort_unstable();
        candidates.dedup();
        let mut nearest = Nearest { count_max, names: Vec::with_capacity(count_max + 1) };
        let other_candidates = candidates.iter().filter(|id| Some(**id) != same_look);
        let looked_at = other_candidates.clone().count() + usize::from(same_look.is_some());
        if let Some(name) = same_look.and_then(&name_of) {
            nearest.offer(0, name);
        }
        for name in other_candidates.filter_map(|id| name_of(*id)) {
            let distance = Folded::new(name.as_str()).and_then(|candidate| folded.distance(&candidate));
            if let Some(distance) = distance {
                nearest.offer(distance, name);
            }
        }
        self.found = candidates;
        Found { nearest: nearest.names.into_iter().map(|(_, name)| name.clone()).collect(), looked_at }
    }

    /// Adds members that share a form with the wanted text.
    ///
    /// Each form gets an equal part of the space, and later forms get the unused parts. A form that
    /// many names share therefore keeps out no names of another form.
    fn find_forms(&self, wanted: &[char], found: &mut Vec<MemberId>) {
        let mut forms = [0_u32; 1 + LEFT_OUT_MAX];
        let mut count = 0;
        each_form(wanted, |hash, _| {
            forms[count] = hash;
            count += 1;
        });
        let mut remaining = FORMS_MAX;
        for (at, hash) in forms[..count].iter().enumerate() {
            let share = remaining / (count - at);
            let from = self.forms.range_from(|entry| entry.cmp(&(*hash, FormOf::FIRST)));
            let of_form = from.take_while(|(entry, _)| entry == hash);
            let before = found.len();
            found.extend(of_form.take(share).map(|(_, form)| form.member()));
            remaining -= found.len() - before;
        }
    }

    fn find_beginnings<'a>(
        &self,
        wanted: &[char],
        name_of: &impl Fn(MemberId) -> Option<&'a Name>,
        candidates: &mut Vec<MemberId>,
    ) {
        if wanted.is_empty() {
            return;
        }
        let begins = |id: &ShortId| {
            let candidate = name_of(id.member()).and_then(|name| Folded::new(name.as_str()));
            candidate.is_some_and(|candidate| candidate.chars().starts_with(wanted))
        };
        let behind = self.in_order.range_from(|candidate| order(name_of(candidate.member()), wanted));
        candidates.extend(behind.take(BEGINNINGS_MAX).take_while(|id| begins(id)).map(|id| id.member()));
    }
}

/// Compares a member's folded name with `other`. A missing name sorts first.
fn order(name: Option<&Name>, other: &[char]) -> Ordering {
    let folded = name.and_then(|name| Folded::new(name.as_str()));
    folded.as_ref().map_or(&[][..], Folded::chars).cmp(other)
}

/// The nearest names so far.
struct Nearest<'a> {
    count_max: usize,
    names: Vec<(usize, &'a Name)>,
}

impl<'a> Nearest<'a> {
    fn offer(&mut self, distance: usize, name: &'a Name) {
        let index = self.names.partition_point(|nearer| *nearer < (distance, name));
        if index < self.count_max {
            self.names.insert(index, (distance, name));
            self.names.truncate(self.count_max);
        }
    }
}

/// Passes the hash of each form to `take`: the complete form first, then those with one character
/// left out.
///
/// Of two equal adjacent characters only one is left out. The only character of a name never is,
/// because an empty form would not distinguish names.
fn each_form(chars: &[char], mut take: impl FnMut(u32, bool)) {
    take(hash_of(START, chars), true);
    if chars.len() < 2 {
        return;
    }
    let mut before = START;
    for at in 0..chars.len().min(LEFT_OUT_MAX) {
        if at == 0 || chars[at] != chars[at - 1] {
            take(hash_of(before, &chars[at + 1..]), false);
        }
        before = step(before, chars[at]);
    }
}

const START: u64 = 0x9E37_79B9_7F4A_7C15;

/// Returns the next state of a multiplicative hash (the constant is FxHash's).
///
/// It needs no key: users can register any number of names that share a form anyway, which the
/// index tolerates.
fn step(hash: u64, c: char) -> u64 {
    (hash.rotate_left(5) ^ u64::from(c)).wrapping_mul(0x517C_C1B7_2722_0A95)
}

fn hash_of(before: u64, rest: &[char]) -> u32 {
    let hash = rest.iter().fold(before, |hash, c| step(hash, *c));
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests;
