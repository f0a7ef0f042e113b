//! The bytes of letters in queues: shared with the disk's thread while they are written, and used again when they are
//! stored, so that a busy relay allocates nothing for a letter.

use std::ops::Deref;
use std::sync::Arc;

use crate::wire::message::Delivery;

/// A delivery as it goes to its recipient ([`Delivery`]). An empty one takes no memory.
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

/// Spare parcels kept: what a few hundred busy members have on their way at a time, half a megabyte.
const SPARE_MAX: usize = 1_024;
/// One with room for more bytes is not kept: most letters are short, and would each take that room.
const SPARE_LEN_MAX: usize = 512;

/// Most heads of deliveries are shorter, the name aside.
const HEAD_LEN: usize = 40;

/// Parcels whose letters are gone, for letters to come.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    /// At most [`SPARE_MAX`]; nobody else has them.
    spare: Vec<Arc<Vec<u8>>>,
}

impl Parcels {
    /// The parcel of a letter.
    pub(super) fn pack(&mut self, delivery: &Delivery<'_>) -> Parcel {
        let mut parcel = self.spare.pop().unwrap_or_default();
        let bytes = Arc::get_mut(&mut parcel).expect("nobody else has a spare one");
        bytes.clear();
        bytes.reserve(HEAD_LEN + delivery.from.len() + delivery.body.len());
        delivery.encode_head(bytes);
        bytes.extend_from_slice(delivery.body);
        Parcel(Some(parcel))
    }

    /// The letter of this parcel is gone.
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
    fn small_parcels_are_used_again_once_nobody_else_has_them() {
        let mut parcels = Parcels::default();
        let first = pack(&mut parcels, "TOM");
        let (place, shared) = (first.as_ptr(), first.clone());
        parcels.take_back(first);
        assert!(parcels.spare.is_empty(), "the disk's thread still reads it");
        parcels.take_back(shared);
        parcels.take_back(vec![7; SPARE_LEN_MAX + 1].into());
        parcels.take_back(Parcel::default());
        assert_eq!(parcels.spare.len(), 1);
        let second = pack(&mut parcels, "ANN");
        assert_eq!((second.as_ptr(), &*second), (place, &*pack(&mut Parcels::default(), "ANN")));
    }

    #[test]
    fn spare_parcels_are_bounded() {
        let mut parcels = Parcels::default();
        for _ in 0..=SPARE_MAX {
            parcels.take_back(vec![7].into());
        }
        assert_eq!(parcels.spare.len(), SPARE_MAX);
    }
}
