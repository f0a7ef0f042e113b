//! Relays in line mode: how each is reached, `/status`, and `/path`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Carrier, HostPort, Phrase, Tick, Wall};
use crate::client::{Carriers, Event};
use crate::ui::notice;

use super::relay_status::{PathTrial, RelayStatus};
use super::{Action, ContactLookup, LineMode};

/// Time in which a relay must be reached over TCP after `/path tcp`. 3 s: a connect, once
/// retransmitted (RFC 6298: after 1 s), and a handshake.
const TRIAL_WITHIN: Duration = Duration::from_secs(3);

impl<B: ContactLookup> LineMode<B> {
    pub(super) fn handle_online(&mut self, relay: &HostPort, via: Carrier, event: &Event) -> Vec<Action> {
        self.end_path_trial(via);
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
        self.end_path_trial(via);
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

    /// Returns one line for each relay. On a terminal also the contacts there and what waits; the
    /// round trips follow.
    pub(super) fn status(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut contacts = self.contacts_by_relay();
        for relay in self.relays() {
            let status = self.relay_statuses.get(&relay);
            actions.push(self.tell(&status_phrase(status).with("relay", &relay)));
            if !self.options.is_terminal {
                continue;
            }
            if let Some(names) = contacts.remove(&relay) {
                let phrase = Phrase::new("chat-status-contacts").with("names", names.join(", "));
                actions.push(self.tell(&phrase));
            }
            if matches!(status, Some(RelayStatus::Online(_))) {
                actions.push(Action::Ping { relay });
            }
        }
        if self.options.is_terminal {
            let unaccepted = self.unaccepted();
            let waits = match unaccepted {
                0 => Phrase::new("chat-status-nothing-waits"),
                _ => Phrase::new("chat-status-waits").with("count", unaccepted),
            };
            actions.push(self.tell(&waits));
        }
        actions
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

    /// Uses other carriers from here on. TCP alone is a trial until a relay was reached over it.
    pub(super) fn set_carriers(&mut self, carriers: Carriers, now: Tick) -> Vec<Action> {
        let before = self.path_trial.take().map_or(self.options.carriers, |trial| trial.before);
        self.options.carriers = carriers;
        let phrase = match carriers {
            Carriers::Udp => Phrase::new("chat-path-udp"),
            Carriers::Auto => Phrase::new("chat-path-auto"),
            Carriers::Tcp if before != Carriers::Tcp && self.relay_on_udp().is_some() => {
                self.path_trial = Some(PathTrial { before, deadline: now + TRIAL_WITHIN });
                return vec![Action::Carriers(carriers)];
            }
            Carriers::Tcp => Phrase::new("chat-path-tcp"),
        };
        vec![self.tell(&phrase), Action::Carriers(carriers)]
    }

    /// Returns the first relay that is reached over UDP.
    fn relay_on_udp(&self) -> Option<&HostPort> {
        let on_udp = RelayStatus::Online(Carrier::Udp);
        self.relay_statuses.iter().find(|(_, status)| **status == on_udp).map(|(relay, _)| relay)
    }

    fn end_path_trial(&mut self, via: Carrier) {
        if via == Carrier::Tcp {
            self.path_trial = None;
        }
    }

    /// Goes back to the carriers before, if no relay was reached over TCP in time.
    pub(super) fn give_up_path_trial(&mut self, now: Tick) -> Vec<Action> {
        let Some(trial) = self.path_trial.take_if(|trial| trial.deadline <= now) else { return Vec::new() };
        let Some(relay) = self.relay_on_udp() else { return Vec::new() };
        let phrase = Phrase::new("chat-path-no-tcp").with("relay", relay);
        let actions = vec![self.tell(&phrase), Action::Carriers(trial.before)];
        self.options.carriers = trial.before;
        actions
    }
}

fn status_phrase(status: Option<&RelayStatus>) -> Phrase {
    match status {
        None => Phrase::new("chat-status-connecting"),
        Some(RelayStatus::Online(via)) => Phrase::new("chat-status-online").with("via", notice::upper(*via)),
        Some(RelayStatus::Lost) => Phrase::new("chat-status-lost"),
        Some(RelayStatus::Unreached) => Phrase::new("chat-status-unreached"),
        Some(RelayStatus::Stopped) => Phrase::new("chat-status-stopped"),
    }
}
