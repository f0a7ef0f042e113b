//! Produces inputs one at a time by visiting the ready sources.

use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::Token;

use super::conns::Accepted;
use super::inlet::Mail;
use super::stats::Line;
use super::tcp::{Next, ReadEnd};
use super::{FIRST_CONN, FIRST_UDP, LISTENER, Net, SIGNALS, Source, Timer, WAKER};
use crate::base::{Inbox, Input, Path};

/// Maximum inputs from other threads in one visit. Then other sources have their turn.
pub(super) const MAIL_PER_VISIT: usize = 64;
/// Maximum connections accepted in one visit. Then other sources have their turn.
const ACCEPTS_PER_VISIT: usize = 64;
/// Consecutive receive errors after which a socket is left alone until its next readiness. A
/// lasting error must not keep the loop busy.
const RECEIVE_ERRORS_MAX: usize = 16;
/// Pause in accepting when descriptors run out. Others may be closed in the meantime, and the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Location of the next input, before it is lent.
enum Found<C> {
    Owned(Input<'static, C>),
    Datagram(Path, Range<usize>),
    Record(usize),
    Text(usize),
}

impl<C: Send + 'static> Inbox<C> for Net<C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.find()? {
            Found::Owned(input) => input,
            Found::Datagram(path, range) => Input::Packet { path, bytes: self.batch.bytes_mut(range) },
            Found::Record(slot) => {
                self.hub.stats.records_in += 1;
                let conn = self.conns.get(slot)?;
                let path = Path::Tcp(conn.id);
                Input::Packet { path, bytes: conn.packet()? }
            }
            Found::Text(slot) => {
                let (id, bytes) = self.conns.text(slot)?;
                Input::Text { path: Path::Tcp(id), bytes }
            }
        })
    }
}

impl<C: Send + 'static> Net<C> {
    fn find(&mut self) -> Option<Found<C>> {
        loop {
            if let Some(input) = self.hub.told.pop_front() {
                return Some(Found::Owned(input));
            }
            match self.current {
                Source::Mail(left) => {
                    if let Some(input) = self.next_mail(left) {
                        return Some(Found::Owned(input));
                    }
                }
                Source::Batch => match self.batch.next(&mut self.hub.stats) {
                    Some((path, range)) => return Some(Found::Datagram(path, range)),
                    None => self.current = Source::None,
                },
                Source::Conn(slot) => match self.conns.next(slot, &mut self.hub) {
                    Next::Packet => return Some(Found::Record(slot)),
                    Next::Text => return Some(Found::Text(slot)),
                    Next::TextEnd => {
                        let conn = self.conns.get(slot)?;
                        conn.end_text();
                        return Some(Found::Owned(Input::TextEnded(Path::Tcp(conn.id))));
                    }
                    Next::Nothing => self.current = Source::None,
                },
                Source::None => {
                    self.visits_left = self.visits_left.checked_sub(1)?;
                    let token = self.hub.ready.pop()?;
                    self.visit(token);
                }
            }
        }
    }

    fn visit(&mut self, token: Token) {
        match token {
            WAKER => {
                if self.mail.is_empty() {
                    self.inlet.take(&mut self.mail);
                } else {
                    // The wake-up may belong to inputs queued after these. Look at the inlet again
                    // after them.
                    self.hub.ready.push(WAKER);
                }
                self.current = Source::Mail(MAIL_PER_VISIT);
            }
            SIGNALS => {
                if let (Some(signals), Some(on_signal)) = (&mut self.signals, self.on_signal) {
                    self.hub.told.extend(signals.pending().map(|signal| Input::Command(on_signal(signal))));
                }
            }
            LISTENER => self.visit_listener(),
            Token(index) if index < FIRST_CONN => self.visit_udp(index - FIRST_UDP),
            token => {
                let slot = self.conns.slot_of(token);
                if self.conns.read(slot) == ReadEnd::More {
                    self.hub.ready.push(token);
                }
                self.current = Source::Conn(slot);
            }
        }
    }

    fn visit_udp(&mut self, index: usize) {
        let token = Token(FIRST_UDP + index);
        let Some(port) = self.udp.get_mut(index) else {
            return;
        };
        let hub = &mut self.hub;
        if port.may_have_errors {
            port.may_have_errors = port.take_errors(|dest, why| hub.refuse(dest, why));
        }
        let more_errors = port.may_have_errors;
        match port.receive(&mut self.batch) {
            Ok(read) => {
                self.receive_errors = 0;
                self.current = Source::Batch;
                if more_errors || read == ReadEnd::More {
                    self.hub.ready.push(token);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.receive_errors = 0;
                if more_errors {
                    self.hub.ready.push(token);
                }
            }
            Err(error) => {
                self.receive_errors += 1;
                self.hub.stats.receive_errors += 1;
                self.hub.log(Line::Receive, || format!("receiving failed: {error}"));
                if self.receive_errors < RECEIVE_ERRORS_MAX {
                    self.hub.ready.push(token);
                }
            }
        }
    }

    fn visit_listener(&mut self) {
        let Some(listener) = self.listener.as_ref().filter(|_| !self.accept_paused) else {
            return;
        };
        for _ in 0..ACCEPTS_PER_VISIT {
            match self.conns.accept(listener, self.connections_max, &mut self.hub) {
                Accepted::Conn(slot) => self.hub.ready.push(self.conns.token(slot)),
                Accepted::Passed => {}
                Accepted::Drained => return,
                Accepted::NoRoom => {
                    self.accept_paused = true;
                    self.timers.insert((self.hub.clock.tick() + ACCEPT_PAUSE, Timer::AcceptAgain));
                    return;
                }
            }
        }
        self.hub.ready.push(LISTENER);
    }

    fn next_mail(&mut self, left: usize) -> Option<Input<'static, C>> {
        if left == 0 || self.mail.is_empty() {
            if !self.mail.is_empty() {
                self.hub.ready.push(WAKER);
            }
            self.current = Source::None;
            return None;
        }
        self.current = Source::Mail(left - 1);
        Some(match self.mail.pop_front()? {
            Mail::Command(command) => Input::Command(command),
            Mail::Committed(ticket) => Input::Committed(ticket),
            Mail::NotCommitted(ticket) => Input::NotCommitted(ticket),
            Mail::Rows(ticket, rows) => Input::Rows(ticket, rows),
            Mail::Resolved(host, addrs) => {
                self.resolver.answered(&host, &self.inlet);
                Input::Resolved(host, addrs)
            }
        })
    }
}
