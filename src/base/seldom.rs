//! Lazily boxed state. Costs one pointer until first modified, which keeps hot structs small.

use std::ops::{Deref, DerefMut};

/// A type with an empty value.
pub trait Blank: Sized + 'static {
    /// Returns the shared empty value.
    fn blank() -> &'static Self;

    /// Returns a new, owned empty value.
    fn fresh() -> Self;

    /// Whether this value is empty, so that its memory may be freed.
    fn is_blank(&self) -> bool;
}

/// The shared empty value, or an owned one in the heap.
#[derive(Debug)]
pub struct Seldom<T>(Option<Box<T>>);

impl<T> Default for Seldom<T> {
    fn default() -> Seldom<T> {
        Seldom(None)
    }
}

impl<T: Blank> Seldom<T> {
    /// Returns the owned value, if one was allocated.
    pub fn there(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Frees the owned value if it is empty.
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

/// Allocates the value. Out of line, because almost all callers find it allocated.
#[cold]
#[inline(never)]
fn own<T: Blank>() -> Box<T> {
    Box::new(T::fresh())
}

/// Implements [`Blank`] for a type: the type, its empty value as a constant, and the test for
/// empty.
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
    fn only_non_empty_value_stays_allocated() {
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
