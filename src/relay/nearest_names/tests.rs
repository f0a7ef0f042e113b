//! Tests of the name index: mistyped names are found, and the number of compared names is bounded.

use super::*;
use crate::base::Looks;

const MOST: usize = 3;

/// Members by number, and their index.
struct Town {
    names: Vec<Name>,
    index: NameIndex,
}

impl Town {
    fn new(names: impl Iterator<Item = String>) -> Town {
        let names: Vec<Name> = names.map(|name| name.parse().unwrap()).collect();
        let index = NameIndex::new(names.iter().enumerate().map(|(id, name)| (MemberId(id), name)));
        Town { names, index }
    }

    fn ask_as(&mut self, wanted: &str, correspondents: &[usize]) -> Found {
        let looks = Looks::of(wanted).unwrap();
        let same = self.names.iter().position(|name| wanted.len() < 40 && name.looks().matches(&looks));
        let correspondents = correspondents.iter().copied().map(MemberId);
        self.index.nearest(wanted, same.map(MemberId), correspondents, |id| self.names.get(id.0), MOST)
    }

    /// Without the search for look-alikes, which is the members' own index.
    fn ask(&mut self, wanted: &str) -> Vec<String> {
        let names = &self.names;
        let found = self.index.nearest(wanted, None, std::iter::empty(), |id| names.get(id.0), MOST);
        assert!(found.looked_at <= NAMES_LOOKED_AT_MAX, "{wanted}: {} names", found.looked_at);
        found.nearest.iter().map(Name::to_string).collect()
    }

    fn finds(&mut self, wanted: &str, name: &str) {
        let found = self.ask(wanted);
        assert!(found.iter().any(|near| near == name), "{wanted} finds {found:?}, expected {name}");
    }
}

/// Mistyped names are found among many others, of which `others` are the first six characters.
fn mistypes_are_found(others: &str, count: usize) {
    let honest = ["alexander", "一棵树", "武大郎", "Zoë", "memberalice", "한글날"];
    let crowd = (0..count).map(|n| format!("{others}{n:06}"));
    let mut town = Town::new(crowd.clone().chain(honest.map(str::to_owned)).chain(crowd.map(|n| n + "b")));
    let table = [
        // First, a middle and the last character changed; one dropped, one added, two swapped;
        // either end dropped.
        ("olexander", "alexander"),
        ("alexunder", "alexander"),
        ("alexandet", "alexander"),
        ("alexnder", "alexander"),
        ("alexxander", "alexander"),
        ("alexnader", "alexander"),
        ("lexander", "alexander"),
        ("alexande", "alexander"),
        ("laexander", "alexander"),
        ("alexandre", "alexander"),
        ("ALEXANDRE", "alexander"),
        ("二棵树", "一棵树"),
        ("一颗树", "一棵树"),
        ("一棵村", "一棵树"),
        ("武郎", "武大郎"),
        ("武大大郎", "武大郎"),
        ("武郎大", "武大郎"),
        ("Zoé", "Zoë"),
        ("memberalicf", "memberalice"),
        ("memebralice", "memberalice"),
        ("한굴날", "한글날"),
        ("alex", "alexander"),
    ];
    for (wanted, name) in table {
        town.finds(wanted, name);
    }
    assert_eq!(town.ask("zzzzzzzz"), [""; 0]);
    assert_eq!(town.ask(""), [""; 0]);
}

#[test]
fn mistype_is_found_among_few() {
    mistypes_are_found("user", 5);
}

/// A hundred thousand members, most of them with names of the same six first characters.
#[test]
fn mistype_is_found_among_hundred_thousand_similar_names() {
    mistypes_are_found("member", 50_000);
}

#[test]
fn look_alike_of_another_script_is_nearest() {
    let mut town = Town::new(["alexander", "alexandra"].map(str::to_owned).into_iter());
    let found = town.ask_as("Аlехаnder", &[]);
    assert_eq!(found.nearest.first(), Some(&"alexander".parse().unwrap()));
}

/// Each of 20,000 names shares one form with all others: they differ in one character at the same
/// place.
#[test]
fn shared_form_is_bounded_and_hides_no_other_form() {
    let crowd = (0..20_000_u32).map(|n| format!("p{}q", char::from_u32(0x4E00 + n).unwrap()));
    let mut town = Town::new(["paq".to_owned()].into_iter().chain(crowd).chain(["pqrs".to_owned()]));
    for wanted in ["pq", "pbq", "ppq"] {
        let found = town.ask(wanted);
        assert_eq!(found.len(), MOST);
        assert!(found.contains(&"paq".to_owned()), "the one that was there first: {found:?}");
        assert_eq!(found, town.ask(wanted), "the same each time");
    }
    town.finds("r一q", "p一q");
    town.finds("pqr", "pqrs");
}

fn contents(index: &NameIndex) -> (Vec<(u32, FormOf)>, Vec<ShortId>) {
    let forms = index.forms.range_from(|_| Ordering::Equal);
    let in_order = index.in_order.range_from(|_| Ordering::Equal);
    (forms.copied().collect(), in_order.copied().collect())
}

/// Two changes are found in names of correspondents only.
#[test]
fn two_changes_are_found_in_correspondents() {
    let others = (0..1_000).map(|n| format!("member{n:06}"));
    let mut town = Town::new(others.chain(["alexander".to_owned()]));
    assert_eq!(town.ask("elaxonder"), [""; 0]);
    let found = town.ask_as("elaxender", &[3, 1_000, 7]);
    assert_eq!(found.nearest, ["alexander".parse().unwrap()]);
    let many: Vec<usize> = (0..=1_000).rev().collect();
    assert_eq!(town.ask_as("elaxender", &many).nearest, ["alexander".parse().unwrap()]);
    assert!(town.ask_as("elaxender", &many).looked_at <= NAMES_LOOKED_AT_MAX);
}

#[test]
fn removed_name_is_not_found_and_leaves_nothing() {
    let mut town = Town::new(["alexander", "ab", "a", "abba"].map(str::to_owned).into_iter());
    town.index.remove(MemberId(0), &town.names[0], |id| town.names.get(id.0));
    assert_eq!(town.ask("alexandr"), [""; 0]);
    for (id, name) in town.names.iter().enumerate() {
        town.index.remove(MemberId(id), name, |id| town.names.get(id.0));
    }
    assert_eq!(contents(&town.index), (vec![], vec![]));
}

#[test]
fn incremental_index_equals_bulk_index() {
    let names = ["TOM", "一棵树", "aab", "Zoë", "a", "Tim"].map(|name| name.parse::<Name>().unwrap());
    let at_once = NameIndex::new(names.iter().enumerate().map(|(id, name)| (MemberId(id), name)));
    let mut grown = NameIndex::default();
    for (id, name) in names.iter().enumerate() {
        grown.insert(MemberId(id), name, |id| names.get(id.0));
    }
    assert_eq!(contents(&grown), contents(&at_once));
}

/// The longest names: each of their letters is left out, and the wanted text may be longer than any
/// name.
#[test]
fn longest_names_are_found_and_longer_text_finds_nothing() {
    let long = |c: &str| (0..31).map(|n| if n % 2 == 0 { "x" } else { "y" }).collect::<String>() + c;
    let thai = "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยร";
    let mut town = Town::new([long("z"), thai.to_owned()].into_iter());
    town.finds(&long("w"), &long("z"));
    town.finds(&thai.replace('ร', "ล"), thai);
    for wanted in ["x".repeat(96), "\u{fdfa}".repeat(96), "é".repeat(100), "a\u{301}".repeat(140)] {
        assert_eq!(town.ask(&wanted), [""; 0]);
    }
}
