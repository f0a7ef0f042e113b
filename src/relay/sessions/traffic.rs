//! Dispatches packets to their sessions, and ends silent sessions.

use std::collections::VecDeque;

use crate::base::{Now, Path, Tick};
use crate::peer::{HibernatedOutcome, PacketOutcome};
use crate::session::answer_key_query;
use crate::wire::frame::close;
use crate::wire::limits::{MAGIC, TEXT_SECOND_BYTE_MIN};
use crate::wire::packet::{self, Packet};

use crate::relay::limits::{CLOSING_FOR, FORGOTTEN_AFTER, OFFLINE_AFTER, RESET_RATE, UNCONFIRMED_FOR};
use crate::relay::{Event, Out, Relay, Timer};

use super::SignInState;
use crate::relay::ids::SessionSlot;

/// Whether a datagram can be the text of a guest.
const fn is_text(bytes: &[u8]) -> bool {
    match bytes {
        [MAGIC, second, ..] => *second >= TEXT_SECOND_BYTE_MIN,
        bytes => !matches!(bytes, [MAGIC]),
    }
}

impl Relay {
    pub(in crate::relay) fn handle_packet(&mut self, now: Now, path: Path, bytes: &mut [u8], out: &mut Out) {
        if let Path::Tcp(conn) = path
            && self.conns.get_mut(conn).is_none()
        {
            return;
        }
        match path {
            Path::Tcp(conn) => self.note_no_guest(now.tick, conn),
            _ if self.guests.is_some() && is_text(bytes) => {
                return self.handle_guest_datagram(now, path, bytes, out);
            }
            Path::Udp(_) | Path::UdpAt(_) => {}
        }
        match packet::parse(path.carrier(), bytes) {
            Ok(Packet::Data { receiver, .. }) => self.handle_data(now, path, receiver, bytes, out),
            Ok(Packet::Init(_)) => self.handle_init(now, path, bytes, out),
            Ok(Packet::KeyQuery { .. }) => self.handle_key_query(path, bytes, out),
            _ => self.drop_packet(now.tick, path, out),
        }
    }

    /// Drops a packet, and closes its connection on TCP: TCP delivers everything once and in order,
    /// so an unreadable packet will not be repeated.
    pub(super) fn drop_packet(&mut self, now: Tick, path: Path, out: &mut Out) {
        self.stats.dropped += 1;
        if let Path::Tcp(conn) = path {
            self.close_conn(now, conn, out);
        }
    }

    fn handle_key_query(&mut self, path: Path, bytes: &[u8], out: &mut Out) {
        let key = self.responder.public();
        out.send_with(path, |buf| {
            answer_key_query(&key, path.carrier(), bytes, buf);
        });
    }

    pub(super) fn free_indexes(&mut self, now: Tick, slot: SessionSlot) {
        if self.sessions.free_indexes(now, slot) {
            self.sessions.schedule_indexes(&mut self.deadlines);
        }
    }

    fn handle_data(&mut self, now: Now, path: Path, index: u32, bytes: &mut [u8], out: &mut Out) {
        let Some(slot) = self.sessions.indexes.get(index).copied() else {
            return self.reset(now.tick, path, index, out);
        };
        match self.answer_hibernated(now.tick, path, slot, bytes, out) {
            HibernatedOutcome::Answered => return,
            HibernatedOutcome::Wake if self.sessions.may_wake(slot, (now.tick, path), bytes) => {}
            HibernatedOutcome::Wake | HibernatedOutcome::Dropped => {
                return self.drop_packet(now.tick, path, out);
            }
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let was_confirmed = session.peer.is_confirmed();
        let outcome = self.sessions.handle_packet(now.tick, slot, path, bytes);
        if outcome == PacketOutcome::Dropped {
            self.sessions.hibernate(slot);
            return self.drop_packet(now.tick, path, out);
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if let Some(handshake) = session.peer.take_confirmed() {
            self.responder.confirm(session.key, handshake);
            session.peer.handle_confirmed(now.tick);
        }
        if !was_confirmed {
            session.peer.handle_round_trip_bound(now.tick, now.tick.since(session.opened));
            // The limit for its name would have passed if this packet was late.
            session.opened = now.tick;
            for earlier in self.sessions.nameless_before(slot) {
                self.displace(now, earlier);
            }
        }
        if let Path::Tcp(conn) = path {
            self.note_valid_packet(now.tick, conn, slot);
        }
        self.sessions.mark(slot);
        self.free_indexes(now.tick, slot);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.closing_until.is_some() {
            return;
        }
        session.is_silent = false;
        match outcome {
            PacketOutcome::Closed(_) => self.forget_session_and_report(now.tick, slot, out),
            PacketOutcome::Violated(violation) => self.break_off(now.tick, slot, violation.as_str(), out),
            PacketOutcome::Accepted | PacketOutcome::Dropped => {
                self.read_control(now, slot, out);
                self.read_chat(now, slot, out);
            }
        }
    }

    /// Answers a keep-alive of a hibernated session without waking it. In the turn after a
    /// suspension all sessions are woken, to report it.
    fn answer_hibernated(
        &mut self,
        now: Tick,
        path: Path,
        slot: SessionSlot,
        bytes: &[u8],
        out: &mut Out,
    ) -> HibernatedOutcome {
        match self.woken_at == Some(now) {
            true => HibernatedOutcome::Wake,
            false => {
                self.sessions.answer_hibernated(slot, (now, path), self.session_hints.are_full(), bytes, out)
            }
        }
    }

    /// Answers a data packet of an unknown session, perhaps one of a previous process, with a
    /// reset.
    fn reset(&mut self, now: Tick, path: Path, index: u32, out: &mut Out) {
        if !self.resets.admit(now, RESET_RATE) {
            return self.drop_packet(now, path, out);
        }
        self.stats.resets += 1;
        let token = self.responder.reset_token(index);
        out.send_with(path, |buf| packet::write_reset(buf, index, token.bytes()));
        self.drop_packet(now, path, out);
    }

    pub(in crate::relay) fn handle_path_closed(&mut self, now: Now, path: Path, out: &mut Out) {
        let Path::Tcp(conn) = path else { return };
        self.handle_guest_closed(now, conn, out);
        if let Some(closed) = self.conns.forget(conn)
            && let Some(slot) = closed.session
        {
            self.leave_path(now.tick, slot, path);
        }
    }

    pub(in crate::relay) fn handle_unsent(&mut self, now: Tick, path: Path, bytes: usize) {
        let Path::Tcp(conn) = path else { return };
        let Some(slot) = self.conns.get_mut(conn).and_then(|c| c.session) else { return };
        if let Some(session) = self.sessions.get_mut(slot) {
            session.peer.handle_unsent(now, path, bytes);
            self.sessions.mark(slot);
        }
    }

    pub(in crate::relay) fn leave_path(&mut self, now: Tick, slot: SessionSlot, path: Path) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.peer.handle_path_closed(now, path);
            self.sessions.mark(slot);
        }
    }

    pub(in crate::relay) fn handle_session_time(
        &mut self,
        now: Now,
        tick: Tick,
        slot: SessionSlot,
        out: &mut Out,
    ) {
        if self.sessions.stay_hibernated(now.tick, tick, slot, &mut self.deadlines) {
            return;
        }
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.scheduled == Some(tick) {
            session.scheduled = None;
        }
        // Deadlines that moved later stay in the set; a busy session meets many of them.
        if let Some(later) = session.deadline(Tick::ZERO).filter(|deadline| *deadline > now.tick) {
            self.deadlines.set(Timer::Session(slot), Some(later), &mut session.scheduled);
            return;
        }
        let silent = now.tick.since(session.peer.link().last_received());
        let unconfirmed = !session.peer.is_confirmed() && now.tick.since(session.opened) >= UNCONFIRMED_FOR;
        let closed = session.closing_until.is_some_and(|until| until <= now.tick);
        if closed || unconfirmed || (session.closing_until.is_none() && silent >= FORGOTTEN_AFTER) {
            return self.forget_session_and_report(now.tick, slot, out);
        }
        if session.closing_until.is_some() {
            self.deadlines.set(Timer::Session(slot), session.deadline(now.tick), &mut session.scheduled);
            return;
        }
        if session.name_deadline().is_some_and(|deadline| deadline <= now.tick) {
            return self.forget_nameless(now.tick, slot, out);
        }
        session.peer.handle_time(now.tick);
        session.handle_hibernate_time(now.tick);
        let sign_in = session.sign_in;
        if !session.is_silent && silent >= OFFLINE_AFTER {
            session.is_silent = true;
            if let Some(member) = session.member() {
                self.mark_mailbox_due(member);
            }
        }
        self.free_indexes(now.tick, slot);
        match sign_in {
            SignInState::Held(member, until) if until <= now.tick => {
                self.release_sign_in(now, slot, member, out)
            }
            _ => {
                self.read_control(now, slot, out);
                self.read_chat(now, slot, out);
            }
        }
        self.sessions.mark(slot);
    }

    pub(in crate::relay) fn flush_session(&mut self, now: Now, slot: SessionSlot, out: &mut Out) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.marked = false;
        if let Some(member) = session.member().filter(|_| !session.block_list.awaited)
            && self.member_states[member.0].mailbox.has_waiting()
        {
            self.send_mailbox(now.tick, slot, member, out);
        }
        self.send_receipts(now, slot);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if self.woken_at == Some(now.tick) {
            session.peer.handle_woken(now.tick);
        }
        session.peer.flush(now.tick, out);
        session.record_activity(now.tick);
        self.deadlines.set(Timer::Session(slot), session.deadline(now.tick), &mut session.scheduled);
        let moved = session.wants_hint();
        let may_hibernate = session.may_hibernate();
        if moved {
            self.schedule_hint(now.tick, slot);
        }
        if may_hibernate && let Some(member) = self.sessions.hibernate(slot) {
            self.member_states[member.0].shrink(now.tick);
        }
    }

    /// Closes a session that another one of the same member replaces.
    pub(in crate::relay) fn displace(&mut self, now: Now, slot: SessionSlot) {
        self.close_session(now.tick, slot, close::REPLACED, "replaced");
    }

    /// Stops the relay. Closes one session after another, so that only one hibernated session is
    /// unpacked at a time.
    pub(in crate::relay) fn stop(&mut self, now: Now, out: &mut Out) {
        self.close_mailboxes(now.tick, out);
        for slot in self.sessions.all() {
            self.sessions.close(slot, close::GOING_AWAY, "relay stops");
            let Some(session) = self.sessions.get_mut(slot) else { continue };
            session.peer.flush(now.tick, out);
            self.forget_session(now.tick, slot);
        }
        out.show(Event::Stopped);
    }

    pub(in crate::relay) fn break_off(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        reason: &'static str,
        out: &mut Out,
    ) {
        self.stats.violations += 1;
        self.sign_out(now, slot, out);
        self.close_session(now, slot, close::PROTOCOL_VIOLATION, reason);
    }

    pub(in crate::relay) fn close_session(
        &mut self,
        now: Tick,
        slot: SessionSlot,
        code: u16,
        reason: &'static str,
    ) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.closing_until = Some(now + CLOSING_FOR);
        session.sign_in = SignInState::Refused;
        session.pending_control = VecDeque::new();
        session.refusals = super::Refusals::default();
        self.sessions.close(slot, code, reason);
        self.sessions.set_stranger(slot, true);
        self.sessions.mark(slot);
        self.conns.end_session(now, slot);
    }

    fn forget_session_and_report(&mut self, now: Tick, slot: SessionSlot, out: &mut Out) {
        self.sign_out(now, slot, out);
        self.forget_session(now, slot);
    }

    /// Ends a session that has not signed in, and its connection, to free both.
    fn forget_nameless(&mut self, now: Tick, slot: SessionSlot, out: &mut Out) {
        let path = self.sessions.path(slot);
        self.forget_session(now, slot);
        if let Some(Path::Tcp(conn)) = path {
            self.close_conn(now, conn, out);
        }
    }

    pub(super) fn forget_session(&mut self, now: Tick, slot: SessionSlot) {
        self.conns.end_session(now, slot);
        let session = self.sessions.forget(now, slot);
        if let Some(hint) = session.and_then(|session| session.stored_hint) {
            self.remove_hint(now, hint);
        }
        self.sessions.schedule_indexes(&mut self.deadlines);
    }

    /// Signs out the member of this session.
    pub(in crate::relay) fn sign_out(&mut self, now: Tick, slot: SessionSlot, out: &mut Out) {
        let Some(member) = self.sessions.member(slot) else { return };
        if self.member_states[member.0].session == Some(slot) {
            self.member_states[member.0].session = None;
            self.release_mailbox(member, out);
            self.record_seen(member, out);
            self.note_present(now, member, out);
            out.show(Event::SignedOut(self.directory.members.name(member).clone()));
        }
    }
}
