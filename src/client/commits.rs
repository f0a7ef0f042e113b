//! Commits of the client's records, and what follows from them.

use crate::base::{Carrier, HostPort, LetterId, Name, Now, Ticket};

use super::api::{Event, Record};
use super::relay_connection::{self, Out, RelayConnection};
use super::relay_mail::refused_event;
use super::{Client, refusal_shown_record};

impl Client {
    pub(super) fn handle_committed(&mut self, now: Now, ticket: Ticket, durable: bool, out: &mut Out) {
        if self.ctx.counter.handle_committed(ticket, durable) {
            let change =
                |connection: &mut RelayConnection| connection.drive_attempts(now, &mut self.ctx, out);
            self.connections.each_of(RelayConnection::is_connecting, change);
            return;
        }
        let ctx = &mut self.ctx;
        let mark = |connection: &mut RelayConnection| connection.handle_mark(now, ctx, durable, out);
        if self.connections.each_of(|connection| connection.mail.outbox.marks.is_waiting_for(ticket), mark) {
            return;
        }
        if let Some(mail) = self.parked.values_mut().find(|mail| mail.outbox.marks.is_waiting_for(ticket)) {
            return mail.outbox.marks.handle_committed(now.tick, durable);
        }
        if self.ctx.facts.handle_committed(now.tick, ticket, durable) {
            return;
        }
        let had_capacity = self.ctx.commit_queue.has_room();
        self.ctx.commit_queue.handle_committed(now, ticket, durable);
        self.handle_commits(now, out);
        if !had_capacity && self.ctx.commit_queue.has_room() {
            let change = |connection: &mut RelayConnection| connection.read(now, &mut self.ctx, out);
            self.connections.each_of(|connection| connection.peer.is_some(), change);
        }
    }

    /// Carries out the consequences of settled records.
    pub(super) fn handle_commits(&mut self, now: Now, out: &mut Out) {
        while let Some((record, durable)) = self.ctx.commit_queue.next_outcome() {
            let Some(relay) = record.relay().cloned() else { continue };
            let via = self.connections.get(&relay).map_or(Carrier::Udp, RelayConnection::via);
            if let Record::OldCopy { .. } = record {
                self.handle_old_copy_recorded(now, &relay, out);
            } else if let Some(event) = self.mail(&relay).handle_commit(via, record, durable) {
                if self.holds_refusals && matches!(event, Event::Refused { .. }) {
                    continue;
                }
                let refused =
                    if let Event::Refused { to, id, .. } = &event { Some((to.clone(), *id)) } else { None };
                out.show(event);
                if let Some((to, id)) = refused {
                    self.handle_refusal_shown(relay.clone(), to, id, out);
                    if let Some(connection) = self.connections.get_mut(&relay) {
                        connection.mark_refusals(now.tick, &mut self.ctx, out);
                    }
                }
            }
        }
    }

    /// Handles a refusal that was shown: receipts of letters behind it may be shown now.
    pub(super) fn handle_refusal_shown(&mut self, relay: HostPort, to: Name, id: LetterId, out: &mut Out) {
        self.ctx.commit_queue.push(refusal_shown_record(&relay, &to, id));
        if id.outbox != self.mail(&relay).outbox.id() {
            return;
        }
        let via = self.connections.get(&relay).map_or(Carrier::Udp, RelayConnection::via);
        let reach = self.mail(&relay).outbox.resume(&to, |update| out.show(update.event(via)));
        let mut more = Vec::new();
        let outbox = self.mail(&relay).outbox.base();
        self.mail(&relay).outbox.refuse_written(&to, |to, number, reason, may_have_arrived| {
            more.push(relay_connection::record_of_refusal(
                &relay,
                outbox,
                to,
                number,
                reason,
                may_have_arrived,
            ));
        });
        more.into_iter().for_each(|record| self.ctx.commit_queue.push(record));
        if let Some(reach) = reach {
            self.ctx.commit_queue.push(Record::Reached { relay, to, outbox, reach });
        }
    }

    /// Returns the letters of an outbox that was an old copy, after its replacement became durable.
    pub(super) fn handle_old_copy_recorded(&mut self, now: Now, relay: &HostPort, out: &mut Out) {
        let returned = self.mail(relay).outbox.take_returned();
        for (to, refusal) in returned.into_iter().filter(|_| !self.holds_refusals) {
            self.ctx.commit_queue.push(refusal_shown_record(relay, &to, refusal.id));
            out.show(refused_event(to, refusal));
        }
        if let Some(connection) = self.connections.get_mut(relay) {
            connection.sign_in(now.tick, &mut self.ctx, out);
        }
    }
}
