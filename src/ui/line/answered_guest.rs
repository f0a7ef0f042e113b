//! The guest that was answered last at a desk. The prompt names it a little longer.

use std::time::Duration;

use crate::base::Tick;

use super::api::ResolvedContact;

/// Time after an answer in which the prompt still names that guest. Without it the second of two
/// quick lines would go to the next guest. 3 s: users begin a second line sooner.
const ANSWERED_FOR: Duration = Duration::from_secs(3);

/// The guest that was answered last.
#[derive(Debug)]
pub(super) struct AnsweredGuest {
    pub(super) who: ResolvedContact,
    /// The prompt names it until then.
    pub(super) until: Tick,
}

impl AnsweredGuest {
    pub(super) fn new(who: &ResolvedContact, now: Tick) -> AnsweredGuest {
        AnsweredGuest { who: who.clone(), until: now + ANSWERED_FOR }
    }
}
