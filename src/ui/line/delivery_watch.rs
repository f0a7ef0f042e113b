//! Letters on their way. Reports those that take unusually long, so that silence means success.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation;

use crate::base::{HostPort, Phrase, Tick};
use crate::client::Progress;

use super::api::ResolvedContact;

/// Time after which a letter is slow. A letter between two connected members takes milliseconds;
/// toxic marks one as unread after 5 s, but users wonder sooner.
const SLOW_AFTER: Duration = Duration::from_secs(3);
/// Maximum letters watched. Beyond it the oldest is no longer watched; its refusal is still
/// reported.
const WATCHED_MAX: usize = 1024;
/// Grapheme clusters of a letter shown to identify it.
const EXCERPT_MAX: usize = 16;

#[derive(Debug)]
struct WatchedLetter {
    who: String,
    relay: HostPort,
    excerpt: String,
    accepted: bool,
    waiting: bool,
    is_reported: bool,
    /// `Accepted` is the last state that will be known: it is to a guest.
    ends_accepted: bool,
}

impl WatchedLetter {
    fn new(to: &ResolvedContact, text: &str) -> WatchedLetter {
        WatchedLetter {
            who: to.label.clone(),
            relay: to.relay.clone(),
            excerpt: excerpt(text),
            accepted: false,
            waiting: false,
            is_reported: false,
            ends_accepted: to.member.guest_address().is_some(),
        }
    }
}

/// A letter that has reached a further state.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LetterProgress {
    pub(super) who: String,
    pub(super) excerpt: String,
    /// Whether to report it: the first to wait for its recipient, or the last to arrive of those
    /// reported as slow or waiting.
    pub(super) is_news: bool,
    /// No further state will be known, but that it was read.
    pub(super) is_last: bool,
}

/// All letters that have not arrived yet.
#[derive(Debug, Default)]
pub(super) struct DeliveryWatch {
    sent_by_request: BTreeMap<u64, WatchedLetter>,
    /// All letters that the relay has not accepted, without [`WATCHED_MAX`]: at most the outbox's
    /// limit.
    unaccepted: BTreeMap<u64, (HostPort, String)>,
    /// Those of earlier runs. The end of the chat does not wait for them.
    unaccepted_earlier: BTreeMap<u64, (HostPort, String)>,
    /// Times at which letters become slow, in order. Letters that have arrived by then are skipped.
    slow_at: VecDeque<(Tick, u64)>,
    /// Recipient and excerpt of letters that have arrived, at most [`WATCHED_MAX`].
    arrived_by_request: BTreeMap<u64, (String, String)>,
}

impl DeliveryWatch {
    /// Adds a sent letter.
    pub(super) fn record_sent(&mut self, request: u64, to: &ResolvedContact, text: &str, now: Tick) {
        if self.sent_by_request.len() == WATCHED_MAX {
            self.sent_by_request.pop_first();
        }
        self.sent_by_request.insert(request, WatchedLetter::new(to, text));
        self.unaccepted.insert(request, (to.relay.clone(), to.label.clone()));
        self.slow_at.push_back((now + SLOW_AFTER, request));
        self.drop_accepted();
    }

    /// Adds a letter of an earlier run that its relay has not accepted. Its arrival is news.
    pub(super) fn restore(&mut self, request: u64, to: &ResolvedContact, text: &str) {
        let letter = WatchedLetter::new(to, text);
        self.sent_by_request.insert(request, WatchedLetter { is_reported: true, ..letter });
        self.unaccepted_earlier.insert(request, (to.relay.clone(), to.label.clone()));
    }

    pub(super) fn record_progress(&mut self, request: u64, progress: Progress) -> Option<LetterProgress> {
        if progress >= Progress::Accepted {
            self.remove_unaccepted(request);
        }
        let ends = progress == Progress::Accepted
            && self.sent_by_request.get(&request).is_some_and(|letter| letter.ends_accepted);
        match progress {
            _ if ends => self.record_arrival(request),
            Progress::Queued | Progress::Accepted | Progress::Waiting { .. } => {
                self.record_waiting(request, progress)
            }
            Progress::Delivered => self.record_arrival(request),
            Progress::Read => {
                let (who, excerpt) = self.arrived_by_request.remove(&request)?;
                Some(LetterProgress { who, excerpt, is_news: false, is_last: true })
            }
        }
    }

    fn record_waiting(&mut self, request: u64, progress: Progress) -> Option<LetterProgress> {
        let waits = matches!(progress, Progress::Waiting { .. });
        let who = self.sent_by_request.get(&request)?.who.clone();
        let news = waits && !self.sent_by_request.values().any(|other| other.waiting && other.who == who);
        let letter = self.sent_by_request.get_mut(&request)?;
        letter.accepted |= progress >= Progress::Accepted;
        letter.waiting |= waits;
        letter.is_reported |= waits;
        Some(LetterProgress { who, excerpt: letter.excerpt.clone(), is_news: news, is_last: false })
    }

    fn record_arrival(&mut self, request: u64) -> Option<LetterProgress> {
        let WatchedLetter { who, excerpt, is_reported, .. } = self.sent_by_request.remove(&request)?;
        self.drop_accepted();
        let news =
            is_reported && !self.sent_by_request.values().any(|other| other.is_reported && other.who == who);
        if self.arrived_by_request.len() == WATCHED_MAX {
            self.arrived_by_request.pop_first();
        }
        self.arrived_by_request.insert(request, (who.clone(), excerpt.clone()));
        Some(LetterProgress { who, excerpt, is_news: news, is_last: true })
    }

    /// Removes a refused letter. Returns its recipient.
    pub(super) fn record_refusal(&mut self, request: u64) -> Option<String> {
        self.remove_unaccepted(request);
        let letter = self.sent_by_request.remove(&request);
        self.drop_accepted();
        letter.map(|letter| letter.who)
    }

    /// Returns phrases about letters that have become slow: one for each recipient and state.
    pub(super) fn take_slow(&mut self, now: Tick) -> Vec<Phrase> {
        let mut groups: BTreeMap<(String, bool), (u64, String)> = BTreeMap::new();
        while let Some((_, request)) = self.slow_at.front().copied().filter(|(at, _)| *at <= now) {
            self.slow_at.pop_front();
            if let Some(letter) = self.sent_by_request.get_mut(&request).filter(|letter| !letter.waiting) {
                letter.is_reported = true;
                let group = groups.entry((letter.who.clone(), letter.accepted)).or_default();
                *group = (group.0 + 1, letter.excerpt.clone());
            }
        }
        self.drop_accepted();
        let phrase = |((who, accepted), (count, excerpt))| {
            let key = if accepted {
                Phrase::new("chat-not-delivered-yet")
            } else {
                Phrase::new("chat-not-accepted-yet")
            };
            key.with("who", who).with("count", count).with("text", excerpt)
        };
        groups.into_iter().map(phrase).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Tick> {
        self.slow_at.front().map(|(at, _)| *at)
    }

    fn remove_unaccepted(&mut self, request: u64) {
        self.unaccepted.remove(&request);
        self.unaccepted_earlier.remove(&request);
    }

    /// Returns the number of letters of this run that the relay has not accepted.
    pub(super) fn unaccepted(&self) -> usize {
        self.unaccepted.len()
    }

    /// Returns the number of letters to each recipient at this relay that the relay has not
    /// accepted.
    pub(super) fn unaccepted_at(&self, relay: &HostPort) -> BTreeMap<String, usize> {
        let all = self.unaccepted_earlier.values().chain(self.unaccepted.values());
        counted(all.filter(|to| to.0 == *relay).map(|to| &to.1))
    }

    /// Returns the number of letters of earlier runs to each recipient that the relay has not
    /// accepted.
    pub(super) fn unsent_earlier(&self) -> BTreeMap<String, usize> {
        counted(self.unaccepted_earlier.values().map(|to| &to.1))
    }

    /// Returns the number of letters to each recipient that wait in its mailbox at this relay.
    pub(super) fn waiting_at(&self, relay: &HostPort) -> BTreeMap<String, usize> {
        let letters = self.sent_by_request.values();
        counted(letters.filter(|letter| letter.waiting && letter.relay == *relay).map(|letter| &letter.who))
    }

    /// Whether no letter waits anywhere.
    pub(super) fn is_idle(&self) -> bool {
        self.unaccepted.is_empty()
            && self.unaccepted_earlier.is_empty()
            && !self.sent_by_request.values().any(|letter| letter.waiting)
    }

    /// Keeps the first deadline correct. Also bounds the queue if letters settle out of order.
    fn drop_accepted(&mut self) {
        while self.slow_at.front().is_some_and(|(_, request)| !self.sent_by_request.contains_key(request)) {
            self.slow_at.pop_front();
        }
        if self.slow_at.len() > 2 * WATCHED_MAX {
            self.slow_at.retain(|(_, request)| self.sent_by_request.contains_key(request));
        }
    }
}

fn counted<'a>(recipients: impl Iterator<Item = &'a String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    recipients.for_each(|who| *counts.entry(who.clone()).or_default() += 1);
    counts
}

/// Returns the start of a text, to identify it.
pub fn excerpt(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut clusters = line.graphemes(true);
    let mut excerpt: String = clusters.by_ref().take(EXCERPT_MAX).collect();
    if clusters.next().is_some() || line.len() < text.trim_end().len() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jack() -> ResolvedContact {
        let relay = "h:1".parse().unwrap();
        ResolvedContact { label: "JACK".to_owned(), relay, member: "JACK".parse().unwrap() }
    }

    fn second(s: u64) -> Tick {
        Tick::from_micros(s * 1_000_000)
    }

    #[test]
    fn fast_letter_is_never_slow() {
        let mut watch = DeliveryWatch::default();
        watch.record_sent(1, &jack(), "hi", second(0));
        assert_eq!(watch.next_deadline(), Some(second(3)));
        let arrived = watch.record_progress(1, Progress::Delivered).unwrap();
        assert!(!arrived.is_news);
        assert_eq!(watch.next_deadline(), None);
        assert!(watch.take_slow(second(9)).is_empty());
    }

    #[test]
    fn slow_letters_are_reported_together_and_once() {
        let mut watch = DeliveryWatch::default();
        for request in 1..=3 {
            watch.record_sent(request, &jack(), "hi", second(0));
        }
        watch.record_progress(3, Progress::Accepted);
        assert_eq!(watch.unaccepted(), 2);
        let slow: Vec<String> = watch.take_slow(second(3)).iter().map(ToString::to_string).collect();
        assert_eq!(
            slow,
            [
                r#"chat-not-accepted-yet who="JACK" count="2" text="hi""#,
                r#"chat-not-delivered-yet who="JACK" count="1" text="hi""#
            ]
        );
        assert!(watch.take_slow(second(60)).is_empty());
        let late: Vec<bool> = (1..=3)
            .map(|request| watch.record_progress(request, Progress::Delivered).unwrap().is_news)
            .collect();
        assert_eq!(late, [false, false, true]);
    }

    #[test]
    fn oldest_letter_is_forgotten_at_limit() {
        let mut watch = DeliveryWatch::default();
        for request in 0..5_000 {
            watch.record_sent(request, &jack(), "hi", second(0));
        }
        assert_eq!(watch.sent_by_request.len(), WATCHED_MAX);
        assert!(watch.slow_at.len() <= 2 * WATCHED_MAX);
        assert_eq!(watch.unaccepted(), 5_000, "all letters that the relay has not accepted count at the end");
        assert_eq!(watch.record_refusal(0), None);
        assert_eq!(watch.record_refusal(4_999).as_deref(), Some("JACK"));
        assert_eq!(watch.record_progress(1, Progress::Accepted), None);
        assert_eq!(watch.unaccepted(), 4_997);
    }

    #[test]
    fn waiting_letters_are_counted_for_each_recipient() {
        let mut watch = DeliveryWatch::default();
        let tom = ResolvedContact { label: "TOM".to_owned(), ..jack() };
        for (request, to) in [(1, jack()), (2, jack()), (3, tom)] {
            watch.record_sent(request, &to, "hi", second(0));
        }
        watch.record_progress(2, Progress::Waiting { until: crate::base::Wall(1) });
        let relay = jack().relay;
        let counts = |counts: BTreeMap<String, usize>| counts.into_iter().collect::<Vec<_>>();
        assert_eq!(counts(watch.unaccepted_at(&relay)), [("JACK".to_owned(), 1), ("TOM".to_owned(), 1)]);
        assert_eq!(counts(watch.waiting_at(&relay)), [("JACK".to_owned(), 1)]);
        assert!(watch.unaccepted_at(&"h:2".parse().unwrap()).is_empty() && !watch.is_idle());
        for request in 1..=3 {
            watch.record_progress(request, Progress::Delivered);
        }
        assert!(watch.is_idle());
    }

    #[test]
    fn excerpt_is_short_and_marks_omission() {
        assert_eq!(excerpt("hi"), "hi");
        assert_eq!(excerpt("\n hi\nthere"), " hi…");
        assert_eq!(excerpt(&"鹊".repeat(40)), format!("{}…", "鹊".repeat(16)));
    }
}
