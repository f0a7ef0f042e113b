//! Lazily boxed state. Costs one pointer until first modified, which keeps hot structs small.

use std::ops::{Deref, DerefMut};

/// A type with an empty value.
pub trait EmptyValue: Sized + 'static {
    /// Returns the shared empty value.
    fn empty() -> &'static Self;

    /// Returns a new, owned empty value.
    fn new_empty() -> Self;

    /// Whether this value is empty, so that its memory may be freed.
    fn is_empty_value(&self) -> bool;
}

/// The shared empty value, or an owned one in the heap.
#[derive(Debug)]
pub struct LazyBox<T>(Option<Box<T>>);

impl<T> Default for LazyBox<T> {
    fn default() -> LazyBox<T> {
        LazyBox(None)
    }
}

impl<T: EmptyValue> LazyBox<T> {
    /// Returns the owned value, if one was allocated.
    pub fn get_allocated_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Frees the owned value if it is empty.
    pub fn shrink(&mut self) {
        self.0.take_if(|value| value.is_empty_value());
    }
}

impl<T: EmptyValue> Deref for LazyBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => T::empty(),
        }
    }
}

impl<T: EmptyValue> DerefMut for LazyBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(allocate)
    }
}

/// Allocates the value. Out of line, because almost all callers find it allocated.
#[cold]
#[inline(never)]
fn allocate<T: EmptyValue>() -> Box<T> {
    Box::new(T::new_empty())
}

/// Implements [`EmptyValue`] for a type: the type, its empty value as a constant, and the test for
/// empty.
macro_rules! empty_value {
    ($type:ty, $empty_value:expr, $is_empty_value:expr) => {
        impl $crate::base::EmptyValue for $type {
            fn empty() -> &'static Self {
                static EMPTY: $type = $empty_value;
                &EMPTY
            }

            fn new_empty() -> Self {
                $empty_value
            }

            fn is_empty_value(&self) -> bool {
                let is_empty_value: fn(&$type) -> bool = $is_empty_value;
                is_empty_value(self)
            }
        }
    };
}
pub(crate) use empty_value;

#[cfg(test)]
mod tests {
    use super::*;

    empty_value!(Vec<u8>, Vec::new(), |bytes| bytes.is_empty());

    #[test]
    fn only_non_empty_value_stays_allocated() {
        let mut bytes: LazyBox<Vec<u8>> = LazyBox::default();
        assert!(bytes.is_empty() && bytes.get_allocated_mut().is_none());
        bytes.push(7);
        bytes.shrink();
        assert_eq!(bytes.get_allocated_mut(), Some(&mut vec![7]));
        bytes.clear();
        bytes.shrink();
        assert!(bytes.get_allocated_mut().is_none());
    }
}
