//! Relays in line mode: how each is reached, and `/status`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Carrier, HostPort, Phrase, Tick, Wall};
use crate::client::{Carriers, Event};
use crate::ui::notice;

use super::recipient::first_of;
use super::relay_status::{RelayStatus, StatusRequest};
use super::{Action, ContactLookup, LineMode};

/// Time in which `/status` waits for answers to its pings.
const ROUND_TRIPS_WITHIN: Duration = Duration::from_secs(1);
/// Maximum contacts that name a relay.
const NAMES_MAX: usize = 3;
/// Indent of the lines below a relay.
const INDENT: &str = "    ";

impl<B: ContactLookup> LineMode<B> {
    pub(super) fn handle_online(&mut self, relay: &HostPort, via: Carrier, event: &Event) -> Vec<Action> {
        self.handle_reached(relay, via);
        match self.relay_statuses.insert(relay.clone(), RelayStatus::Online(via)) {
            None if via == Carrier::Tcp && self.options.carriers == Carriers::Auto => self.notice(event),
            None | Some(RelayStatus::Online(_)) => Vec::new(),
            Some(_) => vec![self.tell(&notice::online_again(relay, via))],
        }
    }

    pub(super) fn handle_moved(
        &mut self,
        relay: &HostPort,
        via: Carrier,
        event: &Event,
        now: Wall,
    ) -> Vec<Action> {
        self.handle_reached(relay, via);
        self.relay_statuses.insert(relay.clone(), RelayStatus::Online(via));
        let time = self.options.time_format.format(now, now);
        let phrase = notice::of_event(event, &self.options.me);
        let timed = phrase.map(|phrase| match self.options.is_terminal {
            true => phrase,
            false => notice::timed(&self.options.strings, phrase, event, &time),
        });
        timed.map(|phrase| self.tell(&phrase)).into_iter().collect()
    }

    pub(super) fn update_status(
        &mut self,
        relay: &HostPort,
        relay_status: RelayStatus,
        event: &Event,
    ) -> Vec<Action> {
        self.relay_statuses.insert(relay.clone(), relay_status);
        self.notice(event)
    }

    pub(super) fn all_stopped(&self) -> bool {
        self.relays().iter().all(|relay| self.relay_statuses.get(relay) == Some(&RelayStatus::Stopped))
    }

    /// Returns the relays of the book, of the recipient, and of past events.
    pub(super) fn relays(&self) -> BTreeSet<HostPort> {
        let target = self.target.iter().map(|target| target.relay.clone());
        self.book.relays().into_iter().chain(target).chain(self.relay_statuses.keys().cloned()).collect()
    }

    /// Returns one line for each relay. On a terminal it measures the round trips first, and
    /// [`LineMode::handle_pong`] or [`LineMode::end_status`] returns the lines.
    pub(super) fn status(&mut self, now: Tick) -> Vec<Action> {
        let relays = self.relays();
        if !self.options.is_terminal {
            let line = |relay| {
                status_phrase(self.relay_statuses.get(relay), &BTreeMap::new(), relay).with("relay", relay)
            };
            return relays.iter().map(|relay| self.tell(&line(relay))).collect();
        }
        let is_online =
            |relay: &HostPort| matches!(self.relay_statuses.get(relay), Some(RelayStatus::Online(_)));
        let pending: BTreeSet<HostPort> = relays.into_iter().filter(is_online).collect();
        if pending.is_empty() {
            return self.status_lines(None);
        }
        let pings = pending.iter().map(|relay| Action::Ping { relay: relay.clone() }).collect();
        let deadline = now + ROUND_TRIPS_WITHIN;
        self.status_request = Some(StatusRequest { deadline, pending, round_trips: BTreeMap::new() });
        pings
    }

    /// Handles the answer to a ping.
    pub(super) fn handle_pong(&mut self, relay: &HostPort, rtt: Duration) -> Vec<Action> {
        let Some(request) = &mut self.status_request else { return Vec::new() };
        if request.pending.remove(relay) {
            request.round_trips.insert(relay.clone(), rtt);
        }
        let is_complete = self.status_request.take_if(|request| request.pending.is_empty());
        is_complete.map_or_else(Vec::new, |request| self.status_lines(Some(&request)))
    }

    /// Returns the lines of `/status` once the time for answers is over.
    pub(super) fn end_status(&mut self, now: Tick) -> Vec<Action> {
        let request = self.status_request.take_if(|request| request.deadline <= now);
        request.map_or_else(Vec::new, |request| self.status_lines(Some(&request)))
    }

    fn status_lines(&self, request: Option<&StatusRequest>) -> Vec<Action> {
        let contacts = self.contacts_by_relay();
        let no_round_trips = BTreeMap::new();
        let round_trips = request.map_or(&no_round_trips, |request| &request.round_trips);
        let mut lines = Vec::new();
        for relay in self.relays() {
            let status = self.relay_statuses.get(&relay);
            let names = contacts.get(&relay).map_or(&[][..], Vec::as_slice);
            let phrase = status_phrase(status, round_trips, &relay);
            lines.push(self.options.strings.say(&phrase.with("relay", self.relay_name(&relay, names))));
            let marked: Vec<String> = names.iter().map(|name| self.marked(name.clone())).collect();
            let below = [
                (!names.is_empty())
                    .then(|| Phrase::new("chat-status-contacts").with("names", marked.join(", "))),
                self.counts("chat-status-unsent", &self.delivery_watch.unaccepted_at(&relay)),
                self.counts("chat-status-kept", &self.delivery_watch.waiting_at(&relay)),
            ];
            let below = below.iter().flatten().map(|phrase| self.options.strings.say(phrase));
            lines.extend(below.map(|line| format!("{INDENT}{line}")));
        }
        if self.delivery_watch.is_idle() {
            lines.push(self.options.strings.say(&Phrase::new("chat-status-nothing-waits")));
        }
        lines.into_iter().map(Action::PrintNotice).collect()
    }

    /// Returns a line with the number of messages of each contact, if there are any.
    pub(super) fn counts(&self, key: &'static str, counts: &BTreeMap<String, usize>) -> Option<Phrase> {
        let count = |(who, count): (&String, &usize)| {
            self.options.strings.say(&Phrase::new("chat-name-count").with("who", who).with("count", count))
        };
        let names: Vec<String> = counts.iter().map(count).collect();
        (!names.is_empty()).then(|| Phrase::new(key).with("names", names.join(", ")))
    }

    /// Returns a relay's name: with several relays that of its contacts, which users know better
    /// than its address.
    fn relay_name(&self, relay: &HostPort, contacts: &[String]) -> String {
        if contacts.is_empty() || self.relays().len() < 2 {
            return relay.to_string();
        }
        let names = first_of(contacts, NAMES_MAX);
        let phrase = Phrase::new("chat-relay-of").with("names", names).with("relay", relay);
        self.options.strings.say(&phrase)
    }

    fn contacts_by_relay(&self) -> BTreeMap<HostPort, Vec<String>> {
        let mut contacts: BTreeMap<HostPort, Vec<String>> = BTreeMap::new();
        for label in self.book.labels() {
            if let Ok(contact) = self.book.resolve(&label) {
                contacts.entry(contact.relay).or_default().push(label);
            }
        }
        contacts
    }
}

fn status_phrase(
    status: Option<&RelayStatus>,
    round_trips: &BTreeMap<HostPort, Duration>,
    relay: &HostPort,
) -> Phrase {
    match status {
        None => Phrase::new("chat-status-connecting"),
        Some(RelayStatus::Online(via)) => {
            let round_trip = round_trips.get(relay);
            let key = if round_trip.is_some() { "chat-status-measured" } else { "chat-status-online" };
            let phrase = Phrase::new(key).with("via", notice::upper(*via));
            match round_trip {
                Some(rtt) => phrase.with("ms", format!("{:.1}", rtt.as_secs_f64() * 1_000.0)),
                None => phrase,
            }
        }
        Some(RelayStatus::Lost) => Phrase::new("chat-status-lost"),
        Some(RelayStatus::Unreached) => Phrase::new("chat-status-unreached"),
        Some(RelayStatus::OtherKey) => Phrase::new("chat-status-other-key"),
        Some(RelayStatus::Stopped) => Phrase::new("chat-status-stopped"),
    }
}
