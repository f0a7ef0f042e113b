//! Usage of one mailbox by sender. Letters of one sender are mostly adjacent, so the entry changed
//! last is checked first.

use std::collections::BTreeMap;

use super::Sender;
use super::capacity::SenderUsage;

#[derive(Debug, Default)]
pub(super) struct SenderUsages {
    usages: Vec<(Sender, SenderUsage)>,
    /// Position of each sender in `usages`.
    positions: BTreeMap<Sender, usize>,
    /// Position changed last.
    last: usize,
}

impl SenderUsages {
    pub(super) const EMPTY: SenderUsages =
        SenderUsages { usages: Vec::new(), positions: BTreeMap::new(), last: 0 };

    pub(super) fn len(&self) -> usize {
        self.usages.len()
    }

    #[inline]
    fn find(&self, sender: Sender) -> Option<usize> {
        match self.usages.get(self.last) {
            Some((last, _)) if *last == sender => Some(self.last),
            _ => self.positions.get(&sender).copied(),
        }
    }

    #[inline]
    pub(super) fn get(&self, sender: Sender) -> Option<&SenderUsage> {
        self.find(sender).map(|position| &self.usages[position].1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, sender: Sender) -> Option<&mut SenderUsage> {
        self.last = self.find(sender)?;
        Some(&mut self.usages[self.last].1)
    }

    /// Returns the sender's usage, adding an entry if necessary.
    #[inline]
    pub(super) fn entry(&mut self, sender: Sender) -> &mut SenderUsage {
        self.last = self.find(sender).unwrap_or_else(|| self.add(sender));
        &mut self.usages[self.last].1
    }

    #[cold]
    fn add(&mut self, sender: Sender) -> usize {
        self.positions.insert(sender, self.usages.len());
        self.usages.push((sender, SenderUsage::EMPTY));
        self.usages.len() - 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Sender, &SenderUsage)> {
        self.usages.iter().map(|(sender, usage)| (*sender, usage))
    }

    /// Keeps the entries for which `keeps` returns `true`.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(Sender, &SenderUsage) -> bool) {
        self.usages.retain(|(sender, usage)| keeps(*sender, usage));
        self.positions =
            self.usages.iter().enumerate().map(|(position, (sender, _))| (*sender, position)).collect();
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::ids::MemberId;

    #[test]
    fn every_entry_is_found_for_any_entry_changed_last() {
        let mut usages = SenderUsages::EMPTY;
        let sender = |n: usize| if n == 0 { Sender::Echo } else { Sender::Member(MemberId(n)) };
        (0..9).for_each(|n| usages.entry(sender(n)).letters = n);
        for n in [0, 5, 5, 8, 1, 0] {
            assert_eq!(usages.get(sender(n)).map(|usage| usage.letters), Some(n));
            assert_eq!(usages.get_mut(sender(n)).map(|usage| usage.letters), Some(n));
        }
        usages.retain(|_, usage| usage.letters % 2 == 1);
        let left: Vec<usize> = (0..10).filter(|n| usages.get(sender(*n)).is_some()).collect();
        assert_eq!(left, [1, 3, 5, 7]);
        assert_eq!(usages.len(), 4);
        assert!(usages.iter().all(|(of, usage)| of == sender(usage.letters)));
        assert!(usages.get_mut(sender(2)).is_none() && usages.entry(sender(2)).letters == 0);
    }
}
