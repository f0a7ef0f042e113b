//! The names nearest to one that does not exist.

use super::Name;

impl Name {
    /// The candidates one might have meant by `wanted`, nearest first, at most `most`. `wanted` need not be a name.
    ///
    /// Near is: one look ([`Name::skeleton`]), or at most one character in three changed, added, dropped or swapped
    /// (optimal string alignment), so one character in a Chinese name of three counts; or a beginning. The work is
    /// that of one comparison for each candidate; a `wanted` longer than any name is near to nothing.
    pub fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a Name>, most: usize) -> Vec<Name> {
        if wanted.len() > super::RAW_BYTES_MAX {
            return Vec::new();
        }
        let (want, look) = (super::fold(wanted).collect::<String>(), super::skeleton(wanted));
        let mut near: Vec<(usize, &Name)> =
            candidates.filter_map(|name| Some((distance(&want, &look, name)?, name))).collect();
        near.sort();
        near.into_iter().take(most).map(|(_, name)| name.clone()).collect()
    }
}

/// How far the candidate is from what was wanted, in characters; `None` is too far.
fn distance(want: &str, look: &str, candidate: &Name) -> Option<usize> {
    let have = super::fold(candidate.as_str()).collect::<String>();
    if want == have || look == candidate.skeleton() {
        return Some(0);
    }
    let (want_len, have_len) = (want.chars().count(), have.chars().count());
    let far = strsim::osa_distance(want, &have);
    // Two characters in which one differs have half in common, which is no mistype but the shortest Chinese names.
    let allowed = (want_len.max(have_len) / 3).max(usize::from(want_len > 1));
    let begins = !want.is_empty() && have.starts_with(want);
    (far <= allowed || begins).then_some(far)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_is_far_is_not_named() {
        assert_eq!(near("zzz", &["TOM", "JACK"]), [""; 0]);
        assert_eq!(near("", &["TOM"]), [""; 0]);
        assert_eq!(near(&"a".repeat(100_000), &["a"]), [""; 0]);
    }

    #[test]
    fn the_nearest_come_first_and_only_as_many_as_asked_for() {
        assert_eq!(near("mari", &["marion", "maria", "mari", "marc", "mary"]), ["mari", "marc", "maria"]);
    }
}
