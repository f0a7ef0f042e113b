//! Bytes that come at one end and leave at the other, in one piece of memory: a slice of them costs nothing.

/// A queue that has run empty gives memory above this back, in bytes: many links are idle most of the time.
pub const IDLE_CAPACITY_MAX: usize = 16 * 1024;

/// Bytes in order. What has left is overwritten when it is as much as what is still there, so that no more bytes move than
/// leave, and the memory is at most double of what its user lets stand here.
#[derive(Debug, Default)]
pub struct ByteQueue {
    bytes: Vec<u8>,
    /// How many of them have left.
    gone: usize,
}

impl ByteQueue {
    /// What stands here.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.gone..]
    }

    /// How many bytes stand here.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.gone
    }

    /// Whether none do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where more are appended, and nothing else is done.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The first `count` bytes leave; there must be as many.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "only what stands here can leave");
        self.gone += count;
        if self.gone == self.bytes.len() {
            self.bytes.clear();
            self.gone = 0;
            if self.bytes.capacity() > IDLE_CAPACITY_MAX {
                self.bytes.shrink_to(IDLE_CAPACITY_MAX);
            }
        } else if self.gone >= self.len() {
            self.bytes.drain(..self.gone);
            self.gone = 0;
        }
    }

    /// The memory held, in bytes.
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
        fn bytes_leave_in_the_order_they_came_and_little_memory_stands_for_those_gone(
            steps in proptest::collection::vec((0_usize..200, 0_usize..200), 1..80)
        ) {
            let (mut queue, mut model) = (ByteQueue::default(), Vec::new());
            for (number, (come, leave)) in steps.into_iter().enumerate() {
                queue.end().extend(std::iter::repeat_n(number as u8, come));
                model.resize(model.len() + come, number as u8);
                let leave = leave.min(model.len());
                queue.consume(leave);
                model.drain(..leave);
                prop_assert_eq!(queue.as_slice(), &model[..]);
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(queue.gone < queue.len().max(1));
            }
        }
    }
}
