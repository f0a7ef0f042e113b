//! Buffers of letters in mailboxes: shared with the store's thread while they are written, and
//! reused once the letters are stored. A busy relay therefore allocates nothing for a letter.

use std::ops::Deref;
use std::sync::Arc;

use crate::wire::message::Delivery;

/// A delivery as it is sent to its recipient ([`Delivery`]). An empty one takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedBytes(Option<Arc<Vec<u8>>>);

impl Deref for SharedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> SharedBytes {
        SharedBytes(Some(Arc::new(bytes)))
    }
}

/// Maximum spare buffers: enough for the letters in flight of a few hundred busy members, half a
/// megabyte.
const SPARE_MAX: usize = 1_024;
/// Maximum capacity of a spare buffer, in bytes. Most letters are short, and larger buffers would
/// waste memory on them.
const SPARE_LEN_MAX: usize = 512;

/// Typical maximum length of a delivery's header without the name, in bytes.
const HEAD_LEN: usize = 40;

/// Pool of buffers of letters that are gone.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    /// At most [`SPARE_MAX`]; none is shared.
    spare: Vec<Arc<Vec<u8>>>,
}

impl BufferPool {
    /// Encodes a letter into a buffer.
    pub(super) fn pack(&mut self, delivery: &Delivery<'_>) -> SharedBytes {
        let mut buffer = self.spare.pop().unwrap_or_default();
        let bytes = Arc::get_mut(&mut buffer).expect("spare buffers are not shared");
        bytes.clear();
        bytes.reserve(HEAD_LEN + delivery.from.len() + delivery.body.len());
        delivery.encode_head(bytes);
        bytes.extend_from_slice(delivery.body);
        SharedBytes(Some(buffer))
    }

    /// Returns a letter's buffer to the pool.
    pub(super) fn take_back(&mut self, buffer: SharedBytes) {
        if self.spare.len() < SPARE_MAX
            && let Some(mut buffer) = buffer.0
            && Arc::get_mut(&mut buffer).is_some_and(|bytes| bytes.capacity() <= SPARE_LEN_MAX)
        {
            self.spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LetterId, Mark, OutboxId, Wall};

    fn pack(pool: &mut BufferPool, from: &str) -> SharedBytes {
        let id = LetterId { outbox: OutboxId(1), number: 1 };
        pool.pack(&Delivery { from, id, prev: 0, accepted: Wall(0), mark: Mark(1), kind: 1, body: b"body" })
    }

    #[test]
    fn small_buffers_are_reused_once_not_shared() {
        let mut pool = BufferPool::default();
        let first = pack(&mut pool, "TOM");
        let address = first.as_ptr();
        let shared = first.clone();
        pool.take_back(first);
        assert!(pool.spare.is_empty(), "the store's thread still reads it");
        pool.take_back(shared);
        pool.take_back(vec![7; SPARE_LEN_MAX + 1].into());
        pool.take_back(SharedBytes::default());
        assert_eq!(pool.spare.len(), 1);
        let second = pack(&mut pool, "ANN");
        assert_eq!(second.as_ptr(), address);
        assert_eq!(&*second, &*pack(&mut BufferPool::default(), "ANN"));
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let mut pool = BufferPool::default();
        for _ in 0..=SPARE_MAX {
            pool.take_back(vec![7].into());
        }
        assert_eq!(pool.spare.len(), SPARE_MAX);
    }
}
