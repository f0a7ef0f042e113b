//! Letters that a secondary process asked the primary to send and that have not come to their end.
//! If the primary ends, these requests are repeated to the next one.

use std::collections::BTreeMap;

use crate::base::{Carrier, Wall};
use crate::client::{Command, Event, NotQueued, Progress};
use crate::store::RequestOutcome;

/// Maximum bytes of texts that are not yet in the outbox, 64 MiB. A letter above it comes back as
/// not kept. Chosen: far above one command's input, yet bounded while no primary answers.
const UNQUEUED_BYTES_MAX: usize = 64 << 20;
/// Maximum letters followed. Above it the first that is in the outbox is forgotten: its further
/// progress is lost if the primary ends. A letter that is not in the outbox is never forgotten.
const PENDING_MAX: usize = 65_536;

#[derive(Debug)]
struct PendingSend {
    /// The command to repeat; `None` once the letter is durably in the outbox.
    command: Option<Command>,
}

impl PendingSend {
    /// Returns the bytes of text that are not in the outbox.
    fn unqueued_bytes(&self) -> usize {
        match &self.command {
            Some(Command::Send { text, .. }) => text.len(),
            _ => 0,
        }
    }
}

/// Pending letters by request.
#[derive(Debug, Default)]
pub(super) struct PendingSends {
    by_request: BTreeMap<u64, PendingSend>,
    unqueued_bytes: usize,
}

impl PendingSends {
    /// Records a command that sends something. Returns the event to show if [`UNQUEUED_BYTES_MAX`]
    /// would be exceeded.
    pub(super) fn add(&mut self, command: Command) -> Option<Event> {
        let request = match command {
            Command::Send { request, to, text, .. }
                if self.unqueued_bytes + text.len() > UNQUEUED_BYTES_MAX =>
            {
                return Some(Event::Unkept { request, to, reason: NotQueued::Full, text });
            }
            Command::Send { request, .. } | Command::Close { request, .. } => request,
            _ => return None,
        };
        let letter = PendingSend { command: Some(command) };
        self.unqueued_bytes += letter.unqueued_bytes();
        self.by_request.insert(request, letter);
        if self.by_request.len() > PENDING_MAX
            && let Some(kept) =
                self.by_request.iter().find(|(_, letter)| letter.command.is_none()).map(|l| *l.0)
        {
            self.by_request.remove(&kept);
        }
        None
    }

    /// Returns every request, in the order in which they were made.
    pub(super) fn requests(&self) -> Vec<u64> {
        self.by_request.keys().copied().collect()
    }

    /// Returns the command to repeat; `None` if the letter reached an outbox.
    pub(super) fn command(&self, request: u64) -> Option<Command> {
        self.by_request.get(&request)?.command.clone()
    }

    /// Follows an event. Returns whether the frontend should see it: the end of a letter is shown
    /// once.
    pub(super) fn handle_event(&mut self, event: &Event) -> bool {
        match event {
            Event::Progress { request, progress: Progress::Delivered | Progress::Read, .. } => {
                self.remove(*request);
                true
            }
            Event::Progress { request, .. } => {
                if let Some(letter) = self.by_request.get_mut(request) {
                    self.unqueued_bytes -= letter.unqueued_bytes();
                    letter.command = None;
                }
                true
            }
            Event::Refused { request, .. } | Event::Unkept { request, .. } => self.remove(*request),
            _ => true,
        }
    }

    fn remove(&mut self, request: u64) -> bool {
        let ended = self.by_request.remove(&request);
        self.unqueued_bytes -= ended.as_ref().map_or(0, PendingSend::unqueued_bytes);
        ended.is_some()
    }
}

/// Returns the events for a letter found in the history: every step that the frontend may have
/// missed.
pub(super) fn events(request: u64, outcome: RequestOutcome) -> Vec<Event> {
    let (id, progress) = match outcome {
        RequestOutcome::Refused { id, to, reason, may_have_arrived, text, .. } => {
            let nearest = Vec::new();
            return vec![Event::Refused { request, id, to, reason, may_have_arrived, nearest, text }];
        }
        RequestOutcome::Going { id, progress } => (id, progress),
    };
    let waiting = Some(progress).filter(|progress| matches!(progress, Progress::Waiting { .. }));
    let steps = [Progress::Queued, Progress::Accepted].into_iter().chain(waiting);
    let steps = steps.chain([Progress::Delivered, Progress::Read]).filter(|step| *step <= progress);
    // Neither the carrier nor the time of acceptance is kept in the history.
    let taken_at = Wall(0);
    steps.map(|progress| Event::Progress { request, id, progress, via: Carrier::Udp, taken_at }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LetterId, OutboxId};

    fn add(sends: &mut PendingSends, request: u64, text: String) -> Option<Event> {
        let relay = "h:1".parse().unwrap();
        let to = "JACK".parse().unwrap();
        sends.add(Command::Send { request, relay, to, text })
    }

    fn steps(progress: Progress) -> Vec<Progress> {
        let id = LetterId { outbox: OutboxId(1), number: 2 };
        let step = |event| match event {
            Event::Progress { progress, .. } => progress,
            other => panic!("{other:?}"),
        };
        events(1, RequestOutcome::Going { id, progress }).into_iter().map(step).collect()
    }

    #[test]
    fn letter_is_requested_until_in_outbox_then_followed_to_its_end() {
        let mut sends = PendingSends::default();
        (1..=2).for_each(|request| assert_eq!(add(&mut sends, request, "hi".into()), None));
        let id = LetterId { outbox: OutboxId(1), number: 1 };
        let step =
            |progress| Event::Progress { request: 1, id, progress, via: Carrier::Udp, taken_at: Wall(0) };
        assert!(sends.command(1).is_some());
        assert!(sends.handle_event(&step(Progress::Queued)));
        assert_eq!(sends.command(1), None);
        assert_eq!(sends.requests(), [1, 2]);
        assert!(sends.handle_event(&step(Progress::Delivered)));
        assert_eq!(sends.requests(), [2]);
        let to = "JACK".parse().unwrap();
        let unkept = Event::Unkept { request: 2, to, reason: NotQueued::Disk, text: String::new() };
        assert!(sends.handle_event(&unkept));
        assert!(!sends.handle_event(&unkept), "an end is shown once");
        assert_eq!(sends.unqueued_bytes, 0);
    }

    #[test]
    fn letter_above_byte_limit_comes_back() {
        let mut sends = PendingSends::default();
        assert_eq!(add(&mut sends, 1, "x".repeat(UNQUEUED_BYTES_MAX)), None);
        assert!(matches!(
            add(&mut sends, 2, "y".into()),
            Some(Event::Unkept { reason: NotQueued::Full, .. })
        ));
    }

    #[test]
    fn history_yields_every_step_possibly_missed() {
        let waiting = Progress::Waiting { until: Wall(9) };
        assert_eq!(steps(Progress::Queued), [Progress::Queued]);
        assert_eq!(steps(waiting), [Progress::Queued, Progress::Accepted, waiting]);
        let all = [Progress::Queued, Progress::Accepted, Progress::Delivered, Progress::Read];
        assert_eq!(steps(Progress::Delivered), all[..3]);
        assert_eq!(steps(Progress::Read), all);
    }
}
