//! Key queries and handshakes of attempts, and the handling of the relay's answers.

use std::time::Duration;

use crate::base::{Now, Path, PublicKey};
use crate::peer::{Peer, PeerOptions, Role};
use crate::session::{
    Established, InitPayload, Initiator, KeyQuery, Lifetime, ResponseOutcome, handshake_rng,
};

use super::super::api::{Event, Record};
use super::super::attempt::AttemptStage;
use super::super::connect_failure::ConnectFailure;
use super::super::relay_connection::{ClientContext, Out, RelayConnection, close_conn};
use super::ConnectReason;

impl RelayConnection {
    /// Moves a ready attempt to its next stage: the key query, or the handshake if the key is
    /// known.
    pub(super) fn make_ready(&mut self, now: Now, ctx: &mut ClientContext, position: usize, out: &mut Out) {
        if !matches!(self.connector.attempts[position].stage, AttemptStage::Ready) {
            return;
        }
        if self.peer.is_none() && !self.prepare_sign_in(now.tick, ctx, out) {
            return;
        }
        let attempt = &mut self.connector.attempts[position];
        let Some(key) = self.config.key else {
            let query = KeyQuery::new(attempt.carrier, &mut ctx.rng);
            return attempt.enter(now.tick, AttemptStage::Querying(query));
        };
        let Some(counter) = ctx.counter.next(now.wall, out) else { return };
        let counter = counter.max(self.connector.counter.saturating_add(1));
        let Some(index) = ctx.indexes.allocate(&mut ctx.rng, self.config.addr.clone()) else { return };
        self.connector.counter = counter;
        let hello = InitPayload { counter, continues: self.peer.as_ref().map(Peer::id) };
        let identity = &ctx.identity;
        let carrier = attempt.carrier;
        let mut mixed_rng = ctx.fresh.map(|fresh| handshake_rng(identity, &mut ctx.rng, fresh));
        let rng = mixed_rng.as_mut().unwrap_or(&mut ctx.rng);
        match Initiator::new(identity, &key, &hello, index, carrier, rng) {
            Ok(initiator) => attempt.enter(now.tick, AttemptStage::Handshaking(initiator, None)),
            Err(_) => {
                ctx.indexes.free(now.tick, Duration::ZERO, index);
                self.report_unreached(ConnectFailure::HandshakeRefused, out);
            }
        }
    }

    /// Handles the answer to a key query.
    pub(in super::super) fn handle_key_answer(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        path: Path,
        bytes: &[u8],
        out: &mut Out,
    ) {
        for position in 0..self.connector.attempts.len() {
            let attempt = &mut self.connector.attempts[position];
            match &mut attempt.stage {
                AttemptStage::Querying(query) => {
                    let Ok(key) = query.handle_answer(bytes) else { continue };
                    if !self.is_expected(&key, out) {
                        return;
                    }
                    let attempt = &mut self.connector.attempts[position];
                    attempt.enter(now.tick, AttemptStage::Ready);
                    attempt.conn().into_iter().for_each(|conn| ctx.pace.dials.advance(now.tick, conn));
                    attempt.continue_on(path);
                    self.connector.delay_tcp(now.tick);
                    self.take_unproven_key(key);
                    return self.drive_attempts(now, ctx, out);
                }
                AttemptStage::Handshaking(initiator, Some(query)) => {
                    let Ok(offered) = query.handle_answer(bytes) else { continue };
                    let index = initiator.local_index();
                    let pinned = self.config.key.filter(|_| self.connector.unproven_key.is_none());
                    if let Some(pinned) = pinned {
                        if offered != pinned {
                            self.report_unreached(ConnectFailure::KeyChanged { pinned, offered }, out);
                        }
                    } else if offered != initiator.relay() {
                        if !self.is_expected(&offered, out) {
                            return;
                        }
                        // The first answer may have been damaged in transit: handshake again with
                        // this key.
                        ctx.indexes.free(now.tick, Duration::ZERO, index);
                        let attempt = &mut self.connector.attempts[position];
                        attempt.enter(now.tick, AttemptStage::Ready);
                        attempt.continue_on(path);
                        self.take_unproven_key(offered);
                        self.drive_attempts(now, ctx, out);
                    }
                    return;
                }
                _ => {}
            }
        }
    }

    /// Handles the answer to a handshake.
    pub(in super::super) fn handle_response(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        path: Path,
        bytes: &[u8],
        out: &mut Out,
    ) {
        for position in 0..self.connector.attempts.len() {
            let attempt = &mut self.connector.attempts[position];
            let AttemptStage::Handshaking(initiator, _) = &mut attempt.stage else { continue };
            let index = initiator.local_index();
            match initiator.handle_response(bytes) {
                Err(_) => {}
                Ok(ResponseOutcome::Stale { highest }) => {
                    self.connector.counter = self.connector.counter.max(highest);
                    ctx.indexes.free(now.tick, Duration::ZERO, index);
                    attempt.handle_stale(now.tick);
                    attempt.continue_on(path);
                    return self.drive_attempts(now, ctx, out);
                }
                Ok(ResponseOutcome::Established(established)) => {
                    let rtt = attempt.rtt(now.tick);
                    let attempt = self.connector.attempts.remove(position);
                    match (path.udp_peer(), attempt.addr()) {
                        (Some(addr), _) => self.connector.udp.handle_answer(addr),
                        (None, Some(addr)) => self.connector.tcp.handle_answer(addr),
                        (None, None) => {}
                    }
                    return self.establish(now, ctx, path, established, rtt, out);
                }
            }
        }
    }

    /// Puts the session on the path of the first authenticated answer. All other attempts end. A
    /// TCP connection among them is kept as fallback while UDP is validated.
    fn establish(
        &mut self,
        now: Now,
        ctx: &mut ClientContext,
        path: Path,
        established: Established,
        rtt: Duration,
        out: &mut Out,
    ) {
        let Established { relay, keys, grant: welcome } = established;
        let rekey = self.connector.reason == Some(ConnectReason::Rekey);
        let fallback = self.racing_conn(self.carriers(ctx.carriers));
        let kept_conn = match path {
            Path::Tcp(conn) => Some(conn),
            _ => fallback.map(|(conn, _)| conn),
        };
        self.cancel_attempts_but(now.tick, ctx, kept_conn, out);
        kept_conn.into_iter().for_each(|conn| ctx.pace.dials.end(conn));
        self.connector.handle_success();
        self.connector.loss_backoff.record_handshake(now.tick);
        self.pin(relay, ctx, out);
        let before = self.peer.as_ref().and_then(Peer::path);
        let continued = self.peer.as_mut().filter(|peer| welcome.continued && peer.id() == welcome.session);
        // A rekey began on the path of that moment. The session may have returned to UDP since.
        let keeps_path = rekey && before.is_some_and(|before| continued.is_some() || before == path);
        if let Some(peer) = continued {
            peer.renew(now.tick, keys);
            if !keeps_path {
                peer.select(now.tick, path);
                if let Some(Path::Tcp(conn)) = before.filter(|before| *before != path) {
                    close_conn(ctx, conn, out);
                }
            }
            self.free_indexes(now.tick, ctx);
        } else {
            self.drop_peer_but(now.tick, ctx, Some(path), out);
            let id = welcome.session;
            let rtt = Some(rtt);
            let rng = ctx.rng.fork();
            let begin =
                PeerOptions { role: Role::Client, path, keys, id, rtt, lifetime: Lifetime::default(), rng };
            self.connector.session_began = now.tick;
            let peer = Peer::new(now.tick, begin);
            let mut peer = if welcome.member { peer.with_full_credit() } else { peer };
            if self.path_manager.woken_at == Some(now.tick) {
                peer.handle_woken(now.tick);
            }
            self.begin(now.tick, peer, ctx, out);
        }
        if !keeps_path {
            self.handle_handshake_done(now.tick, before, path, fallback, ctx, out);
        }
        self.tell_online(out);
    }

    /// Uses a key that the relay has shown and not proved for this round's handshakes.
    fn take_unproven_key(&mut self, key: PublicKey) {
        self.config.key = Some(key);
        self.connector.unproven_key = Some(key);
    }

    /// Pins the key that the relay has proved, if none was pinned. Another attempt may have
    /// received another key in a damaged answer.
    fn pin(&mut self, key: PublicKey, ctx: &mut ClientContext, out: &mut Out) {
        if self.connector.unproven_key.take().is_none() {
            return;
        }
        self.config.key = Some(key);
        let relay = self.config.addr.clone();
        let record = Record::Pin { relay: relay.clone(), key };
        ctx.facts.submit(record, &mut ctx.counter, out);
        // The user stated the expected fingerprint: nothing to report.
        if self.config.fingerprint.is_none() {
            out.show(Event::Pinned { relay, key });
        }
    }

    pub(super) fn forget_unproven_key(&mut self) {
        if self.connector.unproven_key.take().is_some() {
            self.config.key = None;
        }
    }
}
