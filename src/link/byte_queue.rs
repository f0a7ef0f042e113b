//! A queue of bytes in one piece of memory, so that they can be read as a slice.

/// Maximum memory of an empty queue, in bytes: many links are idle most of the time.
pub const IDLE_CAPACITY_MAX: usize = 16 * 1024;

/// A first-in, first-out queue of bytes.
///
/// The space of consumed bytes is reused once it is as large as the rest. So no more bytes are
/// moved than consumed, and the memory is at most twice the content.
#[derive(Debug, Default)]
pub struct ByteQueue {
    bytes: Vec<u8>,
    /// Number of consumed bytes at the front.
    consumed: usize,
}

impl ByteQueue {
    /// Returns the content.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.consumed..]
    }

    /// Returns the number of bytes in the queue.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.consumed
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the end of the queue. The caller must only append to it.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Removes the first `count` bytes. There must be this many.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "only queued bytes can be consumed");
        self.consumed += count;
        if self.consumed == self.bytes.len() {
            self.bytes.clear();
            self.consumed = 0;
            if self.bytes.capacity() > IDLE_CAPACITY_MAX {
                self.bytes.shrink_to(IDLE_CAPACITY_MAX);
            }
        } else if self.consumed >= self.len() {
            self.bytes.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// Returns the allocated memory, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_are_fifo_and_freed_memory_is_reused(
            steps in proptest::collection::vec((0_usize..200, 0_usize..200), 1..80)
        ) {
            let mut queue = ByteQueue::default();
            let mut model = Vec::new();
            for (number, (come, leave)) in steps.into_iter().enumerate() {
                queue.end().extend(std::iter::repeat_n(number as u8, come));
                model.resize(model.len() + come, number as u8);
                let leave = leave.min(model.len());
                queue.consume(leave);
                model.drain(..leave);
                prop_assert_eq!(queue.as_slice(), &model[..]);
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert!(queue.consumed < queue.len().max(1));
            }
        }
    }
}
