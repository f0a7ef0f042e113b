//! Distance between a mistyped name and existing ones.

use unicode_normalization::UnicodeNormalization;

use super::{Looks, Name};

/// Maximum characters of a [`Folded`] text: the maximum bytes of a name.
///
/// Only compatibility forms that expand to several characters make a name longer. Such a name is
/// found by its look alone.
const FOLDED_MAX: usize = Name::BYTES_MAX;

impl Name {
    /// Returns up to `count_max` candidates that `wanted` may have meant, nearest first.
    ///
    /// Near means looking alike ([`Name::looks_like`]) or near by [`Folded::distance`]. `wanted`
    /// need not be a valid name; a text longer than any name is near to no candidate. Compares with
    /// every candidate, which suits address books. A relay has an index.
    pub fn nearest<'a>(
        wanted: &str,
        candidates: impl Iterator<Item = &'a Name>,
        count_max: usize,
    ) -> Vec<Name> {
        let Some(folded) = Folded::new(wanted) else { return Vec::new() };
        let looks = Looks::new(wanted);
        let distance = |name: &Name| match name.looks().matches(&looks) {
            true => Some(0),
            false => folded.distance(&Folded::new(name.as_str())?),
        };
        let mut matches: Vec<(usize, &Name)> =
            candidates.filter_map(|name| Some((distance(name)?, name))).collect();
        matches.sort();
        matches.into_iter().take(count_max).map(|(_, name)| name.clone()).collect()
    }
}

/// A text in one case, as composed characters on the stack. Comparing two does not allocate.
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
            // ASCII is composed, and folding it is lower-casing it.
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

    /// Returns the characters.
    pub fn chars(&self) -> &[char] {
        &self.chars[..self.len]
    }

    /// Returns how many edits `candidate` is away from this wanted text; `None` if it is too far.
    ///
    /// Near means at most one character in three changed, added, removed or swapped (optimal string
    /// alignment), or a prefix. Thus one wrong character in a Chinese name of three is near.
    pub fn distance(&self, candidate: &Folded) -> Option<usize> {
        let wanted = self.chars();
        let candidate = candidate.chars();
        // The shortest Chinese names have two characters: allow one difference although half then
        // differs.
        let allowed = (wanted.len().max(candidate.len()) / 3).max(usize::from(wanted.len() > 1));
        if !wanted.is_empty() && candidate.starts_with(wanted) {
            return Some(candidate.len() - wanted.len());
        }
        alignment(wanted, candidate, allowed)
    }
}

/// Returns the optimal string alignment distance if it is at most `allowed`.
///
/// Takes time for the product of both lengths at most; stops early when every alignment is too
/// long.
fn alignment(wanted: &[char], candidate: &[char], allowed: usize) -> Option<usize> {
    if wanted.len().abs_diff(candidate.len()) > allowed {
        return None;
    }
    // A cell is at most the longer length, which fits into a byte.
    let mut rows = [[0_u8; FOLDED_MAX + 1]; 3];
    for (cell, at) in rows[0].iter_mut().zip(0_u8..) {
        *cell = at;
    }
    for (at, c) in wanted.iter().enumerate() {
        // Three rows rotate: the one being filled, the one above it, and the one above that.
        let [above2, above, row] = [(at + 2) % 3, at % 3, (at + 1) % 3];
        rows[row][0] = (at + 1) as u8;
        let mut row_min = rows[row][0];
        for (column, other) in candidate.iter().enumerate() {
            let changed = rows[above][column] + u8::from(c != other);
            let mut cell = changed.min(rows[above][column + 1] + 1).min(rows[row][column] + 1);
            if at > 0 && column > 0 && *c == candidate[column - 1] && wanted[at - 1] == *other {
                cell = cell.min(rows[above2][column - 1] + 1);
            }
            rows[row][column + 1] = cell;
            row_min = row_min.min(cell);
        }
        // A swap continues from two rows above, whose minimum may be one less than that of the row
        // above.
        if usize::from(row_min) > allowed + 1 {
            return None;
        }
    }
    let distance = usize::from(rows[wanted.len() % 3][candidate.len()]);
    (distance <= allowed).then_some(distance)
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
    fn mistyped_name_is_found() {
        let names = ["TOM", "JACK", "一棵树", "武大郎", "alexander"];
        assert_eq!(near("JAKC", &names), ["JACK"]);
        assert_eq!(near("jack", &names), ["JACK"]);
        assert_eq!(near("Аlехаnder", &names), ["alexander"]);
        assert_eq!(near("alex", &names), ["alexander"]);
        assert_eq!(near("alxeandr", &names), ["alexander"]);
    }

    #[test]
    fn one_wrong_character_in_chinese_name_is_near() {
        let names = ["一棵树", "武大郎", "王伟"];
        assert_eq!(near("一颗树", &names), ["一棵树"]);
        assert_eq!(near("武二郎", &names), ["武大郎"]);
        assert_eq!(near("王韦", &names), ["王伟"]);
        assert_eq!(near("武", &names), ["武大郎"]);
    }

    /// A syllable of Hangul is one character, regardless of its letters.
    #[test]
    fn one_wrong_syllable_of_hangul_is_near() {
        assert_eq!(near("한글날", &["한굴날", "서울시"]), ["한굴날"]);
        assert_eq!(near("김철수", &["김영수"]), ["김영수"]);
    }

    #[test]
    fn distant_names_are_not_suggested() {
        assert_eq!(near("zzz", &["TOM", "JACK"]), [""; 0]);
        assert_eq!(near("", &["TOM"]), [""; 0]);
        assert_eq!(near(&"a".repeat(100_000), &["a"]), [""; 0]);
        // Expands to 18 characters each: longer than any name.
        assert_eq!(near(&"\u{fdfa}".repeat(32), &["a"]), [""; 0]);
    }

    #[test]
    fn nearest_come_first_up_to_requested_number() {
        assert_eq!(near("mari", &["marion", "maria", "mari", "marc", "mary"]), ["mari", "marc", "maria"]);
    }

    proptest! {
        #[test]
        fn alignment_equals_reference_implementation(want in "[abc]{0,9}", have in "[abc]{0,9}", allowed in 0..6_usize) {
            let far = strsim::osa_distance(&want, &have);
            let want = Folded::new(&want).unwrap();
            let have = Folded::new(&have).unwrap();
            let found = alignment(want.chars(), have.chars(), allowed);
            prop_assert_eq!(found, (far <= allowed).then_some(far));
        }
    }
}
