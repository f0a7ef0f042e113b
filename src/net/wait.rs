//! The wait between two turns, and the dispatch of readiness events.

use std::io;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Token};

use super::address_monitor::LOOK_EVERY;
use super::conns::Opened;
use super::poll_group::SocketReadiness;
use super::{FIRST_CONN, FIRST_LISTENER, FIRST_UDP, Net, Source, Timer, VISITS_PER_TURN};
use crate::base::{Input, Now, Tick};

/// Maximum events taken from one poll. Further ones come with the next poll.
pub(super) const EVENTS_LEN: usize = 256;

impl<C: Send + 'static> Net<C> {
    /// Waits until there may be an input or `deadline` has come; without a deadline, indefinitely.
    /// Handles events of this module itself during the wait. Returns the time of the next turn.
    pub fn wait(&mut self, deadline: Option<Tick>) -> Now {
        self.visits_left = VISITS_PER_TURN;
        self.ctx.begin_turn();
        loop {
            let tick = self.ctx.clock.tick();
            self.fire_timers(tick);
            let is_due = deadline.is_some_and(|deadline| deadline <= tick);
            let at_once = is_due || self.may_have_input();
            let timer = self.timers.first().map(|(until, _)| *until);
            let until = deadline.into_iter().chain(timer).min();
            self.poll(if at_once { Some(Duration::ZERO) } else { until.map(|until| until.since(tick)) });
            if at_once || self.may_have_input() {
                return self.now();
            }
        }
    }

    pub(super) fn may_have_input(&self) -> bool {
        self.current != Source::None || !self.ctx.inputs.is_empty() || !self.ctx.ready.is_empty()
    }

    fn poll(&mut self, timeout: Option<Duration>) {
        if !self.take_readiness() {
            return;
        }
        self.ctx.stats.polls += 1;
        match self.ctx.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => panic!("the poll on our own descriptors failed: {error}"),
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        events.iter().for_each(|event| self.note(event));
        self.events = events;
    }

    fn note(&mut self, event: &Event) {
        match event.token() {
            Token(index) if index >= FIRST_CONN => self.note_conn(event),
            Token(index) if index >= FIRST_UDP => {
                let readiness = SocketReadiness { writable: event.is_writable(), error: event.is_error() };
                self.note_udp(index - FIRST_UDP, readiness);
                self.ctx.ready.push(event.token());
            }
            token => self.ctx.ready.push(token),
        }
    }

    pub(super) fn note_udp(&mut self, index: usize, readiness: SocketReadiness) {
        if readiness.writable {
            self.flush_udp(index);
        }
        if let Some(port) = self.udp.get_mut(index) {
            port.may_have_errors |= readiness.error;
        }
    }

    fn note_conn(&mut self, event: &Event) {
        let slot = self.conns.slot_of(event.token());
        if let Some(conn) = self.conns.get(slot) {
            conn.read_closed |= event.is_read_closed() || event.is_error();
        }
        if (event.is_writable() || event.is_error())
            && let Opened::Until(until) = self.conns.writable(slot, &mut self.ctx)
        {
            self.timers.remove(&(until, Timer::GiveUp(slot)));
            self.ctx.ready.push(event.token());
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.ctx.ready.push(event.token());
        }
    }

    pub(super) fn fire_timers(&mut self, tick: Tick) {
        while let Some((until, timer)) = self.timers.first().copied()
            && until <= tick
        {
            self.timers.pop_first();
            match timer {
                Timer::GiveUp(slot) => self.conns.give_up(slot, until, &mut self.ctx),
                Timer::AcceptAgain => {
                    self.accept_paused = false;
                    let listeners = FIRST_LISTENER..FIRST_LISTENER + self.listeners.len();
                    listeners.for_each(|token| self.ctx.ready.push(Token(token)));
                }
                Timer::CheckAddresses => self.check_addresses(tick),
            }
        }
    }

    fn check_addresses(&mut self, tick: Tick) {
        let Some(command) = self.on_network_change else { return };
        self.timers.insert((tick + LOOK_EVERY, Timer::CheckAddresses));
        if self.address_monitor.has_changed() {
            self.ctx.inputs.push_back(Input::Command(command()));
        }
    }
}
