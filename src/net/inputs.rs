//! Produces inputs one at a time by visiting the ready sources.

use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::Token;

use super::conns::Accepted;
use super::loop_handle::{InjectedInput, input_of};
use super::signals::Signal;
use super::stats::LogKind;
use super::tcp::{ConnOutput, ReadStop};
use super::{FIRST_CONN, FIRST_LISTENER, FIRST_UDP, Net, SIGNALS, Source, Timer, WAKER};
use crate::base::{Input, InputSource, Path};

/// Maximum inputs from other threads in one visit. Then other sources have their turn.
pub(super) const INJECTED_PER_VISIT: usize = 64;
/// Maximum connections accepted in one visit. Then other sources have their turn.
const ACCEPTS_PER_VISIT: usize = 64;
/// Consecutive receive errors after which a socket is left alone until its next readiness. A
/// lasting error must not keep the loop busy.
const RECEIVE_ERRORS_MAX: usize = 16;
/// Pause in accepting when descriptors run out. Others may be closed in the meantime, and the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Location of the next input, before it is lent.
enum InputLocation<C> {
    Owned(Input<'static, C>),
    Datagram(Path, Range<usize>),
    Record(usize),
    Text(usize),
}

impl<C: Send + 'static> InputSource<C> for Net<C> {
    fn next_input(&mut self) -> Option<Input<'_, C>> {
        Some(match self.find()? {
            InputLocation::Owned(input) => input,
            InputLocation::Datagram(path, range) => {
                Input::Packet { path, bytes: self.rx_batch.bytes_mut(range) }
            }
            InputLocation::Record(slot) => {
                self.ctx.stats.records_in += 1;
                let conn = self.conns.get(slot)?;
                let path = Path::Tcp(conn.id);
                Input::Packet { path, bytes: conn.packet()? }
            }
            InputLocation::Text(slot) => {
                let (id, bytes) = self.conns.text(slot)?;
                Input::Text { path: Path::Tcp(id), bytes }
            }
        })
    }
}

impl<C: Send + 'static> Net<C> {
    fn find(&mut self) -> Option<InputLocation<C>> {
        loop {
            if let Some(input) = self.ctx.inputs.pop_front() {
                return Some(InputLocation::Owned(input));
            }
            match self.current {
                Source::Injected(left) => {
                    if let Some(input) = self.next_injected(left) {
                        return Some(InputLocation::Owned(input));
                    }
                }
                Source::Batch => match self.rx_batch.next(&mut self.ctx.stats) {
                    Some((path, range)) => return Some(InputLocation::Datagram(path, range)),
                    None => self.current = Source::None,
                },
                Source::Conn(slot) => match self.conns.next(slot, &mut self.ctx) {
                    ConnOutput::Packet => return Some(InputLocation::Record(slot)),
                    ConnOutput::Text => return Some(InputLocation::Text(slot)),
                    ConnOutput::TextEnd => {
                        let conn = self.conns.get(slot)?;
                        conn.end_text();
                        return Some(InputLocation::Owned(Input::TextEnded(Path::Tcp(conn.id))));
                    }
                    ConnOutput::Nothing => self.current = Source::None,
                },
                Source::None => {
                    self.visits_left = self.visits_left.checked_sub(1)?;
                    let token = self.ctx.ready.pop()?;
                    self.visit(token);
                }
            }
        }
    }

    fn visit(&mut self, token: Token) {
        match token {
            WAKER => {
                if self.injected.is_empty() {
                    self.loop_handle.take(&mut self.injected);
                } else {
                    // The wake-up may belong to inputs queued after these. Look at the input queue
                    // again after them.
                    self.ctx.ready.push(WAKER);
                }
                self.current = Source::Injected(INJECTED_PER_VISIT);
            }
            SIGNALS => {
                if let (Some(signals), Some(on_signal)) = (&mut self.signals, self.on_signal) {
                    for signal in signals.pending() {
                        self.last_signal = Some(signal);
                        self.hung_up |= signal == Signal::HangUp;
                        self.ctx.inputs.extend(on_signal(signal).map(Input::Command));
                    }
                }
            }
            Token(index) if index < FIRST_UDP => self.visit_listener(index - FIRST_LISTENER),
            Token(index) if index < FIRST_CONN => self.visit_udp(index - FIRST_UDP),
            token => {
                let slot = self.conns.slot_of(token);
                if self.conns.read(slot) == ReadStop::More {
                    self.ctx.ready.push(token);
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
        let ctx = &mut self.ctx;
        if port.may_have_errors {
            port.may_have_errors = port.take_errors(|dest, error| ctx.refuse(dest, error));
        }
        let more_errors = port.may_have_errors;
        match port.receive(&mut self.rx_batch) {
            Ok(read) => {
                self.receive_errors = 0;
                self.current = Source::Batch;
                if more_errors || read == ReadStop::More {
                    self.ctx.ready.push(token);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.receive_errors = 0;
                if more_errors {
                    self.ctx.ready.push(token);
                }
            }
            Err(error) => {
                self.receive_errors += 1;
                self.ctx.stats.receive_errors += 1;
                self.ctx.log(LogKind::Receive, || format!("receiving failed: {error}"));
                if self.receive_errors < RECEIVE_ERRORS_MAX {
                    self.ctx.ready.push(token);
                }
            }
        }
    }

    fn visit_listener(&mut self, index: usize) {
        let Some(listener) = self.listeners.get(index).filter(|_| !self.accept_paused) else {
            return;
        };
        for _ in 0..ACCEPTS_PER_VISIT {
            match self.conns.accept(listener, self.connections_max, &mut self.ctx) {
                Accepted::Conn(slot) => self.ctx.ready.push(self.conns.token(slot)),
                Accepted::Passed => {}
                Accepted::Drained => return,
                Accepted::NoRoom => {
                    self.accept_paused = true;
                    self.timers.insert((self.ctx.clock.tick() + ACCEPT_PAUSE, Timer::AcceptAgain));
                    return;
                }
            }
        }
        self.ctx.ready.push(Token(FIRST_LISTENER + index));
    }

    fn next_injected(&mut self, left: usize) -> Option<Input<'static, C>> {
        if left == 0 || self.injected.is_empty() {
            if !self.injected.is_empty() {
                self.ctx.ready.push(WAKER);
            }
            self.current = Source::None;
            return None;
        }
        self.current = Source::Injected(left - 1);
        Some(match self.injected.pop_front()? {
            InjectedInput::Command(command) => Input::Command(command),
            InjectedInput::Committed(ticket) => Input::Committed(ticket),
            InjectedInput::NotCommitted(ticket) => Input::NotCommitted(ticket),
            InjectedInput::Rows(ticket, rows) => Input::Rows(ticket, rows),
            InjectedInput::Resolved(host, answer) => {
                self.resolver.handle_answer(&host, &self.loop_handle);
                input_of(host, answer)
            }
        })
    }
}
