//! State that few have, or seldom: a word until its first change. What many have of little is then small, and more of it
//! stays in a processor's cache.

use std::ops::{Deref, DerefMut};

/// A type with a value that says nothing.
pub trait Blank: Sized + 'static {
    /// That value, for all who have it.
    fn blank() -> &'static Self;

    /// A value of one's own.
    fn fresh() -> Self;

    /// Whether this one may be put away.
    fn is_blank(&self) -> bool;
}

/// Blank, or a value of its own in the heap.
#[derive(Debug)]
pub struct Seldom<T>(Option<Box<T>>);

impl<T> Default for Seldom<T> {
    fn default() -> Seldom<T> {
        Seldom(None)
    }
}

impl<T: Blank> Seldom<T> {
    /// The value, if it is one of its own.
    pub fn there(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Puts a value away that says nothing.
    pub fn put_away(&mut self) {
        self.0.take_if(|own| own.is_blank());
    }
}

impl<T: Blank> Deref for Seldom<T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.0 {
            Some(own) => own,
            None => T::blank(),
        }
    }
}

impl<T: Blank> DerefMut for Seldom<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(own)
    }
}

/// Apart from those who find a value there, as almost all do.
#[cold]
#[inline(never)]
fn own<T: Blank>() -> Box<T> {
    Box::new(T::fresh())
}

/// Makes a type [`Blank`] by a constant: the type, its value, and what may be put away.
macro_rules! blank {
    ($type:ty, $blank:expr, $is_blank:expr) => {
        impl $crate::base::Blank for $type {
            fn blank() -> &'static Self {
                static BLANK: $type = $blank;
                &BLANK
            }

            fn fresh() -> Self {
                $blank
            }

            fn is_blank(&self) -> bool {
                let is_blank: fn(&$type) -> bool = $is_blank;
                is_blank(self)
            }
        }
    };
}
pub(crate) use blank;

#[cfg(test)]
mod tests {
    use super::*;

    blank!(Vec<u8>, Vec::new(), |bytes| bytes.is_empty());

    #[test]
    fn only_what_says_something_takes_memory() {
        let mut bytes: Seldom<Vec<u8>> = Seldom::default();
        assert!(bytes.is_empty() && bytes.there().is_none());
        bytes.push(7);
        bytes.put_away();
        assert_eq!(bytes.there(), Some(&mut vec![7]));
        bytes.clear();
        bytes.put_away();
        assert!(bytes.there().is_none());
    }
}
