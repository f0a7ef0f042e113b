//! How near a mistyped name is to one that exists.

use unicode_normalization::UnicodeNormalization;

use super::{Looks, Name};

/// Maximum characters of a [`Folded`] text: as many as the bytes of the longest name. Only
/// compatibility forms that unfold to several characters make a name longer; such a name is found
/// by its look alone.
const FOLDED_MAX: usize = Name::BYTES_MAX;

impl Name {
    /// Returns the candidates one might have meant by `wanted`, nearest first, at most `most`.
    /// `wanted` need not be a name; one longer than any name is near to nothing.
    ///
    /// Near is: looking alike ([`Name::looks_like`]), or near as [`Folded::distance`] says.
    /// Compares with each candidate: for address books, which are small. A relay has an index.
    pub fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a Name>, most: usize) -> Vec<Name> {
        let Some(want) = Folded::new(wanted) else { return Vec::new() };
        let looks = Looks::new(wanted);
        let distance = |name: &Name| match name.looks().meet(&looks) {
            true => Some(0),
            false => want.distance(&Folded::new(name.as_str())?),
        };
        let mut near: Vec<(usize, &Name)> =
            candidates.filter_map(|name| Some((distance(name)?, name))).collect();
        near.sort();
        near.into_iter().take(most).map(|(_, name)| name.clone()).collect()
    }
}

/// A text in one case, as composed characters on the stack: comparing two of them allocates
/// nothing.
pub struct Folded {
    len: usize,
    chars: [char; FOLDED_MAX],
}

impl Folded {
    /// Folds a text; `None` if it is longer than any name.
    pub fn new(text: &str) -> Option<Folded> {
        if text.len() > super::RAW_BYTES_MAX {
            return None;
        }
        let mut folded = Folded { len: 0, chars: ['\0'; FOLDED_MAX] };
        match text.is_ascii() {
            // ASCII is composed, and its fold is its lower case.
            true => text.chars().try_for_each(|c| folded.push(c.to_ascii_lowercase()))?,
            false => super::fold(text).nfc().try_for_each(|c| folded.push(c))?,
        }
        Some(folded)
    }

    fn push(&mut self, c: char) -> Option<()> {
        *self.chars.get_mut(self.len)? = c;
        self.len += 1;
        Some(())
    }

    /// The characters.
    pub fn chars(&self) -> &[char] {
        &self.chars[..self.len]
    }

    /// Returns how many characters `have` is from this text, which was wanted; `None` if it is too
    /// far.
    ///
    /// Near is: at most one character in three changed, added, dropped or swapped (optimal string
    /// alignment), so one character in a Chinese name of three counts; or a beginning.
    pub fn distance(&self, have: &Folded) -> Option<usize> {
        let (want, have) = (self.chars(), have.chars());
        // Two characters in which one differs have half in common, which is no mistype but the
        // shortest Chinese names.
        let allowed = (want.len().max(have.len()) / 3).max(usize::from(want.len() > 1));
        if !want.is_empty() && have.starts_with(want) {
            return Some(have.len() - want.len());
        }
        alignment(want, have, allowed)
    }
}

/// The optimal string alignment distance, if it is at most `allowed`. Work is the product of both
/// lengths at most; it ends early where every way is too long.
fn alignment(want: &[char], have: &[char], allowed: usize) -> Option<usize> {
    if want.len().abs_diff(have.len()) > allowed {
        return None;
    }
    // A cell is at most the longer length, which fits into a byte.
    let mut rows = [[0_u8; FOLDED_MAX + 1]; 3];
    for (cell, at) in rows[0].iter_mut().zip(0_u8..) {
        *cell = at;
    }
    for (at, c) in want.iter().enumerate() {
        // Three rows take turns: the one being made, the one above it, and the one above that.
        let [above2, above, row] = [(at + 2) % 3, at % 3, (at + 1) % 3];
        rows[row][0] = (at + 1) as u8;
        let mut least = rows[row][0];
        for (place, other) in have.iter().enumerate() {
            let changed = rows[above][place] + u8::from(c != other);
            let mut cell = changed.min(rows[above][place + 1] + 1).min(rows[row][place] + 1);
            if at > 0 && place > 0 && *c == have[place - 1] && want[at - 1] == *other {
                cell = cell.min(rows[above2][place - 1] + 1);
            }
            rows[row][place + 1] = cell;
            least = least.min(cell);
        }
        // A swap leads from two rows above, which may be one less than the row above.
        if usize::from(least) > allowed + 1 {
            return None;
        }
    }
    let far = usize::from(rows[want.len() % 3][have.len()]);
    (far <= allowed).then_some(far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(wanted: &str, names: &[&str]) -> Vec<String> {
        let names: Vec<Name> = names.iter().map(|n| n.parse().unwrap()).collect();
        Name::nearest(wanted, names.iter(), 3).iter().map(Name::to_string).collect()
    }

    #[test]
    fn a_mistype_finds_the_name() {
        let names = ["TOM", "JACK", "一棵树", "武大郎", "alexander"];
        assert_eq!(near("JAKC", &names), ["JACK"]);
        assert_eq!(near("jack", &names), ["JACK"]);
        assert_eq!(near("Аlехаnder", &names), ["alexander"]);
        assert_eq!(near("alex", &names), ["alexander"]);
        assert_eq!(near("alxeandr", &names), ["alexander"]);
    }

    #[test]
    fn one_wrong_character_in_a_chinese_name_is_near() {
        let names = ["一棵树", "武大郎", "王伟"];
        assert_eq!(near("一颗树", &names), ["一棵树"]);
        assert_eq!(near("武二郎", &names), ["武大郎"]);
        assert_eq!(near("王韦", &names), ["王伟"]);
        assert_eq!(near("武", &names), ["武大郎"]);
    }

    /// A syllable of Hangul is one character, whatever it is made of.
    #[test]
    fn one_wrong_syllable_of_hangul_is_near() {
        assert_eq!(near("한글날", &["한굴날", "서울시"]), ["한굴날"]);
        assert_eq!(near("김철수", &["김영수"]), ["김영수"]);
    }

    #[test]
    fn what_is_far_is_not_named() {
        assert_eq!(near("zzz", &["TOM", "JACK"]), [""; 0]);
        assert_eq!(near("", &["TOM"]), [""; 0]);
        assert_eq!(near(&"a".repeat(100_000), &["a"]), [""; 0]);
        // Unfolds to eighteen characters each: longer than any name.
        assert_eq!(near(&"\u{fdfa}".repeat(32), &["a"]), [""; 0]);
    }

    #[test]
    fn the_nearest_come_first_and_only_as_many_as_asked_for() {
        assert_eq!(near("mari", &["marion", "maria", "mari", "marc", "mary"]), ["mari", "marc", "maria"]);
    }

    proptest! {
        #[test]
        fn alignment_is_that_of_the_textbook(want in "[abc]{0,9}", have in "[abc]{0,9}", allowed in 0..6_usize) {
            let far = strsim::osa_distance(&want, &have);
            let (want, have) = (Folded::new(&want).unwrap(), Folded::new(&have).unwrap());
            let found = alignment(want.chars(), have.chars(), allowed);
            prop_assert_eq!(found, (far <= allowed).then_some(far));
        }
    }
}
