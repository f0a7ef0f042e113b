//! Buffers of letters in mailboxes: shared with the store's thread while they are written, and
//! reused once the letters are stored. A busy relay therefore allocates nothing for a letter.

use std::ops::Deref;
use std::sync::Arc;

use crate::wire::message::Delivery;

/// A delivery as it is sent to its recipient ([`Delivery`]). An empty one takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel(Option<Arc<Vec<u8>>>);

impl Deref for Parcel {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl From<Vec<u8>> for Parcel {
    fn from(bytes: Vec<u8>) -> Parcel {
        Parcel(Some(Arc::new(bytes)))
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
pub(super) struct Parcels {
    /// At most [`SPARE_MAX`]; none is shared.
    spare: Vec<Arc<Vec<u8>>>,
}

impl Parcels {
    /// Encodes a letter into a buffer.
    pub(super) fn pack(&mut self, delivery: &Delivery<'_>) -> Parcel {
        let mut parcel = self.spare.pop().unwrap_or_default();
        let bytes = Arc::get_mut(&mut parcel).expect("spare buffers are not shared");
        bytes.clear();
        bytes.reserve(HEAD_LEN + delivery.from.len() + delivery.body.len());
        delivery.encode_head(bytes);
        bytes.extend_from_slice(delivery.body);
        Parcel(Some(parcel))
    }

    /// Returns a letter's buffer to the pool.
    pub(super) fn take_back(&mut self, parcel: Parcel) {
        if self.spare.len() < SPARE_MAX
            && let Some(mut parcel) = parcel.0
            && Arc::get_mut(&mut parcel).is_some_and(|bytes| bytes.capacity() <= SPARE_LEN_MAX)
        {
            self.spare.push(parcel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LetterId, Mark, OutboxId, Wall};

    fn pack(parcels: &mut Parcels, from: &str) -> Parcel {
        let id = LetterId { outbox: OutboxId(1), number: 1 };
        parcels.pack(&Delivery {
            from,
            id,
            prev: 0,
            accepted: Wall(0),
            mark: Mark(1),
            kind: 1,
            body: b"body",
        })
    }

    #[test]
    fn small_buffers_are_reused_once_not_shared() {
        let mut parcels = Parcels::default();
        let first = pack(&mut parcels, "TOM");
        let place = first.as_ptr();
        let shared = first.clone();
        parcels.take_back(first);
        assert!(parcels.spare.is_empty(), "the store's thread still reads it");
        parcels.take_back(shared);
        parcels.take_back(vec![7; SPARE_LEN_MAX + 1].into());
        parcels.take_back(Parcel::default());
        assert_eq!(parcels.spare.len(), 1);
        let second = pack(&mut parcels, "ANN");
        assert_eq!(second.as_ptr(), place);
        assert_eq!(&*second, &*pack(&mut Parcels::default(), "ANN"));
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let mut parcels = Parcels::default();
        for _ in 0..=SPARE_MAX {
            parcels.take_back(vec![7].into());
        }
        assert_eq!(parcels.spare.len(), SPARE_MAX);
    }
}
