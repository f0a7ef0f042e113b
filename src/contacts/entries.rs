//! The contacts of an address book, with sorted indexes for lookups.
//!
//! Each index is built when first needed, and costs 4 bytes per contact. A letter from a stranger
//! then costs 17 comparisons in a book of 100,000 contacts, and not 100,000.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::OnceLock;

use super::steps::step;
use super::{Contact, NamedRelay, RelayEntry};
use crate::base::{HostPort, Looks, Name};

/// Contacts in the order of the file.
#[derive(Debug, Default)]
pub struct Entries {
    all: Vec<Contact>,
    named: Vec<NamedRelay>,
    orders: Orders,
}

/// Indexes into `Entries::all`, sorted by key; equal keys in the order of the file.
#[derive(Debug, Default)]
struct Orders {
    by_label: OnceLock<Vec<u32>>,
    by_member: OnceLock<Vec<u32>>,
    by_visible_name: OnceLock<Vec<(u32, NameKind)>>,
    relays: OnceLock<Relays>,
}

/// Which of a contact's two names an index entry refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NameKind {
    Label,
    Member,
}

/// Distinct relays in order of first mention, and their indexes sorted by address.
#[derive(Debug, Default)]
struct Relays {
    all: Vec<RelayEntry>,
    sorted: Vec<u32>,
}

impl Entries {
    /// Appends a contact.
    pub fn push(&mut self, contact: Contact) {
        self.change().push(contact);
    }

    /// Returns the contacts for modification. Drops all indexes.
    pub fn change(&mut self) -> &mut Vec<Contact> {
        self.orders = Orders::default();
        &mut self.all
    }

    /// Returns the relays of `[relays]`, in the order of the file.
    pub(super) fn named(&self) -> &[NamedRelay] {
        &self.named
    }

    /// Returns the relays of `[relays]` for modification. Drops all indexes.
    pub(super) fn change_named(&mut self) -> &mut Vec<NamedRelay> {
        self.orders = Orders::default();
        &mut self.named
    }

    /// Returns the entry with this label, or else the one whose label differs only in case.
    pub(super) fn labelled(&self, label: &Name) -> Option<&Contact> {
        let key = |contact: &Contact| contact.label.folded();
        let order = self.orders.by_label.get_or_init(|| sorted(&self.all, |at| key(&self.all[at as usize])));
        let same = equal(order, &label.folded(), |at| key(&self.all[*at as usize]));
        let same = || same.iter().map(|at| &self.all[*at as usize]);
        same().find(|contact| contact.label == *label).or_else(|| same().next())
    }

    /// Returns the entry of this member of this relay.
    pub(super) fn member_of(&self, relay: &HostPort, member: &Name) -> Option<&Contact> {
        let key = |at: u32| (&self.all[at as usize].relay, &self.all[at as usize].member);
        let order = self.orders.by_member.get_or_init(|| sorted(&self.all, key));
        let same = equal(order, &(relay, member), |at| key(*at));
        same.first().map(|at| &self.all[*at as usize])
    }

    /// Returns the first entry whose label or member name looks like this name.
    pub(super) fn looking_like(&self, name: &Name) -> Option<&Contact> {
        let looks = name.looks();
        let of_class = equal(self.by_visible_name(), &looks.class(), |name_at| {
            self.visible_name(*name_at).looks().class()
        });
        let alike = of_class.iter().find(|name_at| self.visible_name(**name_at).looks().matches(&looks));
        alike.map(|(at, _)| &self.all[*at as usize])
    }

    /// Returns pairs of entries whose labels look alike, in the order of the file.
    ///
    /// The second of each pair is the first such entry before it. No entry is compared with more
    /// than [`Looks::COMPARED_MAX`] others.
    pub(super) fn alike(&self) -> Vec<(&Contact, &Contact)> {
        let label = |at: u32| &self.all[at as usize].label;
        let mut of_class = BTreeMap::<String, Vec<u32>>::new();
        let mut pairs = Vec::new();
        for at in 0..self.all.len() as u32 {
            let looks = label(at).looks();
            let before = of_class.entry(looks.class()).or_default();
            let mut compared = before.iter().take(Looks::COMPARED_MAX);
            let first = compared.find(|other| label(**other).looks().matches(&looks));
            pairs.extend(first.map(|first| (&self.all[at as usize], &self.all[*first as usize])));
            before.push(at);
        }
        pairs
    }

    /// Returns the name that an index entry refers to.
    fn visible_name(&self, (at, look): (u32, NameKind)) -> &Name {
        match look {
            NameKind::Label => &self.all[at as usize].label,
            NameKind::Member => &self.all[at as usize].member,
        }
    }

    /// Returns the index by look; an entry whose member differs from its label appears twice.
    fn by_visible_name(&self) -> &[(u32, NameKind)] {
        self.orders.by_visible_name.get_or_init(|| {
            let mut order: Vec<_> = (0..self.all.len() as u32).map(|at| (at, NameKind::Label)).collect();
            let differs = |at: &u32| self.all[*at as usize].member != self.all[*at as usize].label;
            order.extend((0..self.all.len() as u32).filter(differs).map(|at| (at, NameKind::Member)));
            order.sort_by_cached_key(|name_at| (self.visible_name(*name_at).looks().class(), name_at.0));
            order
        })
    }

    /// Returns the distinct relays, named ones first, in order of first mention.
    ///
    /// A `tcp` or a key in any entry applies to all entries of that relay.
    pub(super) fn relays(&self) -> &[RelayEntry] {
        &self.relays_sorted().all
    }

    /// Returns the relay at this address.
    pub(super) fn relay(&self, address: &HostPort) -> Option<&RelayEntry> {
        let relays = self.relays_sorted();
        let same = equal(&relays.sorted, &address, |at| &relays.all[*at as usize].address);
        same.first().map(|at| &relays.all[*at as usize])
    }

    fn relays_sorted(&self) -> &Relays {
        self.orders.relays.get_or_init(|| {
            let named_relays = self.named.iter().map(|named_relays| &named_relays.relay);
            let named_relays = named_relays.map(|relay| (&relay.address, &relay.tcp, relay.key));
            let of_contacts =
                self.all.iter().map(|contact| (&contact.relay, &contact.tcp, contact.relay_key));
            let mentions: Vec<_> = named_relays.chain(of_contacts).collect();
            let mut all: Vec<(usize, RelayEntry)> = Vec::new();
            for at in sorted(&mentions, |at| mentions[at as usize].0) {
                let (address, tcp, key) = mentions[at as usize];
                match all.last_mut().filter(|(_, relay)| relay.address == *address) {
                    Some((_, relay)) => {
                        relay.tcp = relay.tcp.take().or_else(|| tcp.clone());
                        relay.key = relay.key.or(key);
                    }
                    None => {
                        let relay_entry = RelayEntry { address: address.clone(), tcp: tcp.clone(), key };
                        all.push((at as usize, relay_entry));
                    }
                }
            }
            all.sort_by_key(|(first, _)| *first);
            let all: Vec<RelayEntry> = all.into_iter().map(|(_, relay)| relay).collect();
            let sorted = sorted(&all, |at| &all[at as usize].address);
            Relays { sorted, all }
        })
    }

    /// Whether both have the same contacts and named relays, in any order.
    ///
    /// No two contacts of a book have the same label.
    pub(super) fn is_same_as(&self, other: &Entries) -> bool {
        let own_order = sorted(&self.all, |at| &self.all[at as usize].label);
        let other_order = sorted(&other.all, |at| &other.all[at as usize].label);
        let pairs = own_order
            .iter()
            .zip(&other_order)
            .map(|(own_order, other_order)| (*own_order as usize, *other_order as usize));
        let same_relays = self.named.len() == other.named.len()
            && self.named.iter().all(|relay| other.named.contains(relay));
        same_relays
            && self.all.len() == other.all.len()
            && pairs.into_iter().all(|(own_order, other_order)| self.all[own_order] == other.all[other_order])
    }
}

/// Returns the indexes of `all`, sorted by a key, which is computed once per item.
fn sorted<T, K: Ord>(all: &[T], key: impl Fn(u32) -> K) -> Vec<u32> {
    // An index fits into 32 bits: a book has at most 1 MiB.
    let mut keyed: Vec<(K, u32)> = (0..all.len() as u32).map(|at| (key(at), at)).collect();
    keyed.sort_by(|a, b| {
        step(1);
        a.cmp(b)
    });
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// Returns the part of a sorted list whose keys equal `wanted`.
fn equal<'a, T, K: Ord>(order: &'a [T], wanted: &K, key: impl Fn(&'a T) -> K) -> &'a [T] {
    let compare = |item: &'a T| {
        step(1);
        key(item).cmp(wanted)
    };
    let mut from = 0;
    let mut to = order.len();
    while from < to {
        let middle = from + (to - from) / 2;
        match compare(&order[middle]) {
            Ordering::Less => from = middle + 1,
            Ordering::Equal | Ordering::Greater => to = middle,
        }
    }
    let count = order[from..].iter().take_while(|item| compare(item) == Ordering::Equal).count();
    &order[from..from + count]
}

impl Deref for Entries {
    type Target = [Contact];

    fn deref(&self) -> &[Contact] {
        &self.all
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Contact;
    type IntoIter = std::slice::Iter<'a, Contact>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

/// Does not copy the indexes; they are rebuilt on demand.
impl Clone for Entries {
    fn clone(&self) -> Entries {
        Entries { all: self.all.clone(), named: self.named.clone(), orders: Orders::default() }
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self.all == other.all && self.named == other.named
    }
}

impl Eq for Entries {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::steps::steps_of;
    use crate::contacts::{AddressBook, add, remove, set_blocked};

    /// A book with this many contacts at this many relays.
    fn text(contacts: usize, relays: usize) -> String {
        let entry = |n: usize| format!("name{n:05} = \"h:{}\"\n", 1 + n % relays);
        "[contacts]\n".to_owned() + &(0..contacts).map(entry).collect::<String>()
    }

    /// Asserts that twice the contacts cost little more than twice the steps: n log n.
    fn grows_slowly(what: &str, work: impl Fn(&str)) {
        let steps = [1_000, 2_000, 4_000].map(|n| [1, n].map(|relays| steps_of(|| work(&text(n, relays)))));
        for (less, more) in steps.iter().zip(&steps[1..]) {
            for (less, more) in less.iter().zip(more) {
                assert!(*less > 500 && *more < less * 9 / 4, "{what}: {less} steps, then {more}");
            }
        }
    }

    #[test]
    fn work_grows_almost_linearly_with_contacts() {
        let new = || Contact::new("zoe".parse().unwrap(), "h:1".parse().unwrap());
        grows_slowly("check", |text| drop(AddressBook::parse(text, "f").unwrap()));
        grows_slowly("add", |text| drop(add(text, "f", &new()).unwrap()));
        grows_slowly("remove", |text| drop(remove(text, "f", "name00500").unwrap()));
        grows_slowly("block", |text| drop(set_blocked(text, "f", "name00500", true).unwrap()));
        grows_slowly("relays", |text| drop(AddressBook::parse(text, "f").unwrap().relays().to_vec()));
    }

    #[test]
    fn contact_is_found_in_few_steps() {
        let book = AddressBook::parse(&text(4_000, 4_000), "f").unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let look_up = || {
            for n in (0..4_000).step_by(100) {
                let label = name(&format!("NAME{n:05}"));
                let contact = book.contact(&label).unwrap();
                assert_eq!(contact.label, name(&format!("name{n:05}")));
                assert_eq!(book.contact_of(&contact.relay, &contact.member), Some(contact));
                assert_eq!(
                    book.looks_like(&name(&format!("nаme{n:05}"))),
                    Some(contact),
                    "with a Cyrillic а"
                );
                assert_eq!(book.resolve(contact.label.as_str()).unwrap().relay, contact.relay);
            }
            assert_eq!(book.looks_like(&name("stranger")), None);
            assert_eq!(book.contact_of(&"h:9999".parse().unwrap(), &name("name00001")), None);
        };
        look_up();
        let steps = steps_of(look_up);
        assert!(steps < 40 * 6 * 16, "{steps}");
    }

    /// A lookup returns the same entry as a linear search in the order of the file.
    #[test]
    fn first_of_several_is_found() {
        let text = "[contacts]\nA = { relay = \"h:2\", member = \"zed\" }\nB = { relay = \"h:1\", member = \"zed\" }\n\
            zed = \"h:2\"\nC = { relay = \"h:2\", tcp = \"h:3\", member = \"d\" }\n";
        let book = AddressBook::parse(text, "f").unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let label = |contact: Option<&Contact>| contact.map(|contact| contact.label.to_string());
        assert_eq!(label(book.contact_of(&"h:2".parse().unwrap(), &name("zed"))).as_deref(), Some("A"));
        assert_eq!(label(book.looks_like(&name("ZED"))).as_deref(), Some("A"));
        assert_eq!(label(book.contact(&name("ZED"))).as_deref(), Some("zed"));
        let relays: Vec<String> = book.relays().iter().map(|relay| relay.address.to_string()).collect();
        assert_eq!(relays, ["h:2", "h:1"]);
        assert_eq!(book.resolve("zed").unwrap().tcp, "h:3".parse().ok());
    }

    #[test]
    fn contacts_that_look_alike_are_paired() {
        let labels = ["TOM", "自己", "ТОМ", "自已", "TIM"];
        let text: String = labels.iter().map(|label| format!("\"{label}\" = \"h:1\"\n")).collect();
        let book = AddressBook::parse(&format!("[contacts]\n{text}"), "f").unwrap();
        let pairs: Vec<_> =
            book.alike().iter().map(|pair| (pair.0.label.as_str(), pair.1.label.as_str())).collect();
        assert_eq!(pairs, [("ТОМ", "TOM"), ("自已", "自己")]);
        let like = |text: &str| book.looks_like(&text.parse().unwrap()).map(|contact| contact.label.as_str());
        assert_eq!(
            [like("自巳"), like("Том"), like("T1M"), like("自我")],
            [Some("自己"), Some("TOM"), Some("TIM"), None]
        );
    }
}
