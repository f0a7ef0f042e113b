//! Usage of one mailbox by sender. Letters of one sender are mostly adjacent, so the entry changed
//! last is checked first.

use std::collections::BTreeMap;

use super::Author;
use super::room::Share;

#[derive(Debug, Default)]
pub(super) struct Shares {
    shares: Vec<(Author, Share)>,
    /// Position of each sender in `shares`, and the position changed last.
    places: BTreeMap<Author, usize>,
    last: usize,
}

impl Shares {
    pub(super) const EMPTY: Shares = Shares { shares: Vec::new(), places: BTreeMap::new(), last: 0 };

    pub(super) fn len(&self) -> usize {
        self.shares.len()
    }

    #[inline]
    fn find(&self, author: Author) -> Option<usize> {
        match self.shares.get(self.last) {
            Some((last, _)) if *last == author => Some(self.last),
            _ => self.places.get(&author).copied(),
        }
    }

    #[inline]
    pub(super) fn get(&self, author: Author) -> Option<&Share> {
        self.find(author).map(|place| &self.shares[place].1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, author: Author) -> Option<&mut Share> {
        self.last = self.find(author)?;
        Some(&mut self.shares[self.last].1)
    }

    /// Returns the sender's usage, adding an entry if necessary.
    #[inline]
    pub(super) fn entry(&mut self, author: Author) -> &mut Share {
        self.last = self.find(author).unwrap_or_else(|| self.add(author));
        &mut self.shares[self.last].1
    }

    #[cold]
    fn add(&mut self, author: Author) -> usize {
        self.places.insert(author, self.shares.len());
        self.shares.push((author, Share::EMPTY));
        self.shares.len() - 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Author, &Share)> {
        self.shares.iter().map(|(author, share)| (*author, share))
    }

    /// Keeps the entries for which `keeps` returns `true`.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(Author, &Share) -> bool) {
        self.shares.retain(|(author, share)| keeps(*author, share));
        self.places = self.shares.iter().enumerate().map(|(place, (author, _))| (*author, place)).collect();
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::members::MemberId;

    #[test]
    fn every_entry_is_found_for_any_entry_changed_last() {
        let mut shares = Shares::EMPTY;
        let author = |n: usize| if n == 0 { Author::Echo } else { Author::Member(MemberId(n)) };
        (0..9).for_each(|n| shares.entry(author(n)).letters = n);
        for n in [0, 5, 5, 8, 1, 0] {
            assert_eq!(shares.get(author(n)).map(|share| share.letters), Some(n));
            assert_eq!(shares.get_mut(author(n)).map(|share| share.letters), Some(n));
        }
        shares.retain(|_, share| share.letters % 2 == 1);
        let left: Vec<usize> = (0..10).filter(|n| shares.get(author(*n)).is_some()).collect();
        assert_eq!(left, [1, 3, 5, 7]);
        assert_eq!(shares.len(), 4);
        assert!(shares.iter().all(|(of, share)| of == author(share.letters)));
        assert!(shares.get_mut(author(2)).is_none() && shares.entry(author(2)).letters == 0);
    }
}
