//! Letters that a secondary process asked the primary to send and that have not come to their end.
//! If the primary ends, these requests are repeated to the next one.

use std::collections::BTreeMap;

use crate::base::{Carrier, Wall};
use crate::client::{Command, Event, Progress, Unkept};
use crate::store::Fate;

/// Maximum bytes of texts that are not yet in the outbox, 64 MiB. A letter above it comes back as
/// not kept. Chosen: far above one command's input, yet bounded while no primary answers.
const UNKEPT_BYTES_MAX: usize = 64 << 20;
/// Maximum letters followed. Above it the first that is in the outbox is forgotten: its further
/// progress is lost if the primary ends. A letter that is not in the outbox is never forgotten.
const FOLLOWED_MAX: usize = 65_536;

#[derive(Debug)]
struct Letter {
    /// The command to repeat; `None` once the letter is durably in the outbox.
    command: Option<Command>,
}

impl Letter {
    /// Returns the bytes of text that are not in the outbox.
    fn unkept_bytes(&self) -> usize {
        match &self.command {
            Some(Command::Send { text, .. }) => text.len(),
            _ => 0,
        }
    }
}

/// Pending letters by request.
#[derive(Debug, Default)]
pub(super) struct Asked {
    by_request: BTreeMap<u64, Letter>,
    unkept_bytes: usize,
}

impl Asked {
    /// Records a command that sends something. Returns the event to show if [`UNKEPT_BYTES_MAX`]
    /// would be exceeded.
    pub(super) fn ask(&mut self, command: Command) -> Option<Event> {
        let request = match command {
            Command::Send { request, to, text, .. } if self.unkept_bytes + text.len() > UNKEPT_BYTES_MAX => {
                return Some(Event::Unkept { request, to, why: Unkept::Full, text });
            }
            Command::Send { request, .. } | Command::Close { request, .. } => request,
            _ => return None,
        };
        let letter = Letter { command: Some(command) };
        self.unkept_bytes += letter.unkept_bytes();
        self.by_request.insert(request, letter);
        if self.by_request.len() > FOLLOWED_MAX
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
    pub(super) fn follow(&mut self, event: &Event) -> bool {
        match event {
            Event::Progress { request, progress: Progress::Delivered | Progress::Read, .. } => {
                self.end(*request);
                true
            }
            Event::Progress { request, .. } => {
                if let Some(letter) = self.by_request.get_mut(request) {
                    self.unkept_bytes -= letter.unkept_bytes();
                    letter.command = None;
                }
                true
            }
            Event::Refused { request, .. } | Event::Unkept { request, .. } => self.end(*request),
            _ => true,
        }
    }

    fn end(&mut self, request: u64) -> bool {
        let ended = self.by_request.remove(&request);
        self.unkept_bytes -= ended.as_ref().map_or(0, Letter::unkept_bytes);
        ended.is_some()
    }
}

/// Returns the events for a letter found in the history: every step that the frontend may have
/// missed.
pub(super) fn events(request: u64, fate: Fate) -> Vec<Event> {
    let (id, progress) = match fate {
        Fate::Refused { id, to, reason, may_have_arrived, text, .. } => {
            let nearest = Vec::new();
            return vec![Event::Refused { request, id, to, reason, may_have_arrived, nearest, text }];
        }
        Fate::Going { id, progress } => (id, progress),
    };
    let waiting = Some(progress).filter(|progress| matches!(progress, Progress::Waiting { .. }));
    let steps = [Progress::Queued, Progress::Accepted].into_iter().chain(waiting);
    let steps = steps.chain([Progress::Delivered, Progress::Read]).filter(|step| *step <= progress);
    // Neither the carrier nor the time of acceptance is kept in the history.
    let taken = Wall(0);
    steps.map(|progress| Event::Progress { request, id, progress, via: Carrier::Udp, taken }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LetterId, OutboxId};

    fn ask(asked: &mut Asked, request: u64, text: String) -> Option<Event> {
        let relay = "h:1".parse().unwrap();
        let to = "JACK".parse().unwrap();
        asked.ask(Command::Send { request, relay, to, text })
    }

    fn steps(progress: Progress) -> Vec<Progress> {
        let id = LetterId { outbox: OutboxId(1), number: 2 };
        let step = |event| match event {
            Event::Progress { progress, .. } => progress,
            other => panic!("{other:?}"),
        };
        events(1, Fate::Going { id, progress }).into_iter().map(step).collect()
    }

    #[test]
    fn letter_is_requested_until_in_outbox_then_followed_to_its_end() {
        let mut asked = Asked::default();
        (1..=2).for_each(|request| assert_eq!(ask(&mut asked, request, "hi".into()), None));
        let id = LetterId { outbox: OutboxId(1), number: 1 };
        let step = |progress| Event::Progress { request: 1, id, progress, via: Carrier::Udp, taken: Wall(0) };
        assert!(asked.command(1).is_some());
        assert!(asked.follow(&step(Progress::Queued)));
        assert_eq!(asked.command(1), None);
        assert_eq!(asked.requests(), [1, 2]);
        assert!(asked.follow(&step(Progress::Delivered)));
        assert_eq!(asked.requests(), [2]);
        let to = "JACK".parse().unwrap();
        let unkept = Event::Unkept { request: 2, to, why: Unkept::Disk, text: String::new() };
        assert!(asked.follow(&unkept));
        assert!(!asked.follow(&unkept), "an end is shown once");
        assert_eq!(asked.unkept_bytes, 0);
    }

    #[test]
    fn letter_above_byte_limit_comes_back() {
        let mut asked = Asked::default();
        assert_eq!(ask(&mut asked, 1, "x".repeat(UNKEPT_BYTES_MAX)), None);
        assert!(matches!(ask(&mut asked, 2, "y".into()), Some(Event::Unkept { why: Unkept::Full, .. })));
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
