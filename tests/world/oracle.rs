//! What must become of letters: each ends once, is shown at most once, in its sender's order, as it was written.

use std::collections::BTreeMap;

use queqiao::base::LetterId;
use queqiao::client::{Event, Incoming, Progress};
use queqiao::wire::limits::LETTER_TEXT_MAX;
use queqiao::wire::message::Reason;

use super::cover::{Count, Cover};

/// A client and one life of it.
pub type Life = (usize, u32);

/// How a letter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    Refused { reason: Reason, may_have_arrived: bool },
}

#[derive(Debug)]
pub struct Fate {
    pub sender: Life,
    pub to: String,
    /// Its number among the sender's letters to that recipient; 0 if it is too long to be sent.
    number: u64,
    pub text: String,
    pub accepted: bool,
    pub end: Option<End>,
    /// How often each life of the recipient showed it.
    pub shown: u32,
}

#[derive(Default)]
pub struct Oracle {
    /// By request number; requests count up over the whole world.
    pub letters: BTreeMap<u64, Fate>,
    numbers: BTreeMap<(Life, String), u64>,
    by_number: BTreeMap<(Life, String, u64), u64>,
    /// The last number each life showed of each sender's life.
    last_shown: BTreeMap<(Life, Life), u64>,
    pub names: Vec<String>,
    /// The outbox of each life.
    pub outboxes: BTreeMap<Life, u64>,
    pub echoes_shown: u64,
}

impl Oracle {
    pub fn sent(&mut self, sender: Life, request: u64, to: &str, text: &str) {
        let too_long = text.len() > LETTER_TEXT_MAX;
        let number = if too_long {
            0
        } else {
            let number = self.numbers.entry((sender, to.to_owned())).or_default();
            *number += 1;
            *number
        };
        if !too_long {
            self.by_number.insert((sender, to.to_owned(), number), request);
        }
        let (to, text) = (to.to_owned(), text.to_owned());
        let fate = Fate { sender, to, number, text, accepted: false, end: None, shown: 0 };
        assert!(self.letters.insert(request, fate).is_none(), "a request number is used once");
    }

    /// Takes in what a client shows.
    pub fn show(&mut self, who: Life, event: &Event, cover: &mut Cover) {
        match event {
            Event::Letter(letter) => self.shown(who, letter, cover),
            Event::Progress { request, id, progress, .. } => self.progress(who, *request, *id, *progress),
            Event::Refused { request, reason, may_have_arrived, text, id, .. } => {
                let fate = self.fate_of(who, *request, *id);
                assert!(fate.end.is_none(), "letter {request} ended twice: {:?}, then refused", fate.end);
                assert_eq!(&fate.text, text, "a refusal gives the text back");
                assert!(*may_have_arrived || fate.shown == 0, "letter {request} arrived, and was refused");
                assert!(!fate.accepted, "letter {request} was accepted, then refused");
                fate.end = Some(End::Refused { reason: *reason, may_have_arrived: *may_have_arrived });
                cover.add_many(Count::MayHaveArrived, (*may_have_arrived).into());
                match reason {
                    Reason::Unknown => cover.add(Count::RefusedUnknown),
                    Reason::Offline => cover.add(Count::RefusedOffline),
                    Reason::Full => cover.add(Count::RefusedFull),
                    Reason::TooLong => cover.add(Count::RefusedTooLong),
                    Reason::Blocked | Reason::Behind | Reason::Expired => {
                        panic!("nobody is blocked, and that is not for people")
                    }
                }
            }
            Event::Unreadable { .. } => panic!("nobody wrote what cannot be read"),
            _ => {}
        }
        if let Event::Progress { progress: Progress::Delivered, .. } = event {
            cover.add(Count::LettersDelivered);
        }
    }

    fn progress(&mut self, who: Life, request: u64, id: LetterId, progress: Progress) {
        let earlier = self.earlier_open(request);
        let fate = self.fate_of(who, request, id);
        assert!(fate.end.is_none(), "letter {request} ended twice: {:?}, then {progress:?}", fate.end);
        match progress {
            Progress::Accepted => {
                assert!(!fate.accepted, "letter {request} was accepted twice");
                fate.accepted = true;
            }
            Progress::Delivered => {
                let echo = fate.to == "echo";
                assert!(echo || fate.shown > 0, "letter {request} was delivered and not shown");
                fate.end = Some(End::Delivered);
                assert_eq!(earlier, None, "letter {request} was delivered before an earlier one had ended");
            }
        }
    }

    /// A letter of the same conversation before this one that has not ended.
    fn earlier_open(&self, request: u64) -> Option<u64> {
        let fate = &self.letters[&request];
        let (number, request) = (fate.number.checked_sub(1)?, request);
        let before = *self.by_number.get(&(fate.sender, fate.to.clone(), number))?;
        (before < request && self.letters[&before].end.is_none()).then_some(before)
    }

    fn fate_of(&mut self, who: Life, request: u64, id: LetterId) -> &mut Fate {
        let fate = self.letters.get_mut(&request).expect("an event about a letter that was sent");
        assert_eq!(fate.sender, who, "an event about somebody else's letter");
        assert_eq!(fate.number, id.number, "letter {request} has another number");
        fate
    }

    fn shown(&mut self, who: Life, letter: &Incoming, cover: &mut Cover) {
        cover.add(Count::LettersShown);
        let machines = self.names.iter().filter(|name| **name == self.names[who.0]).count();
        let elsewhere = machines > 1;
        assert!(elsewhere || letter.missing == 0, "a letter before it came to nobody, and was not refused");
        if letter.from.as_str() == "echo" {
            self.echoes_shown += 1;
            cover.add(Count::EchoLetters);
            return;
        }
        let outbox = letter.id.outbox.0;
        let sender = *self.outboxes.iter().find(|(_, o)| **o == outbox).expect("a known outbox").0;
        assert_eq!(self.names[sender.0], letter.from.as_str(), "the sender is the session's identity");
        let to = self.names[who.0].clone();
        let key = (sender, to, letter.id.number);
        let request = *self.by_number.get(&key).unwrap_or_else(|| panic!("nobody sent {:?}", letter.id));
        let last = self.last_shown.entry((who, sender)).or_default();
        let number = letter.id.number;
        assert!(number != *last, "letter {request} was shown twice");
        assert!(number > *last, "letter {request} ({number}) was shown after number {last}: order");
        *last = number;
        let fate = self.letters.get_mut(&request).expect("it was found by its number");
        assert!(fate.text == letter.text, "letter {request} was shown with another text");
        if let Some(End::Refused { may_have_arrived, .. }) = fate.end {
            assert!(may_have_arrived, "letter {request} was refused, and then it was shown");
        }
        fate.shown += 1;
    }

    /// Letters of these lives that have not ended.
    pub fn open(&self, counts: impl Fn(Life) -> bool) -> Vec<u64> {
        let open = self.letters.iter().filter(|(_, fate)| fate.end.is_none() && counts(fate.sender));
        open.map(|(request, _)| *request).collect()
    }
}
