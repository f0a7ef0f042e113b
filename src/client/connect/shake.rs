//! Key queries and handshakes of attempts, and the handling of the relay's answers.

use std::time::Duration;

use crate::base::{Now, Path, PublicKey};
use crate::peer::{Begin, Peer, Role};
use crate::session::{Answered, Established, Hello, Initiator, KeyQuery, Lifetime};

use super::super::api::{Event, Record, Unreached};
use super::super::attempt::Stage;
use super::super::uplink::{Out, Shared, Uplink, close_conn};
use super::Round;

impl Uplink {
    /// Moves a ready attempt to its next stage: the key query, or the handshake if the key is
    /// known.
    pub(super) fn make_ready(&mut self, now: Now, shared: &mut Shared, place: usize, out: &mut Out) {
        if !matches!(self.connecting.attempts[place].stage, Stage::Ready) {
            return;
        }
        if self.peer.is_none() && !self.prepare_sign_in(now.tick, shared, out) {
            return;
        }
        let attempt = &mut self.connecting.attempts[place];
        let Some(key) = self.spec.key else {
            let query = KeyQuery::new(attempt.carrier, &mut shared.rng);
            return attempt.enter(now.tick, Stage::Querying(query));
        };
        let Some(counter) = shared.counter.next(now.wall, out) else { return };
        let counter = counter.max(self.connecting.counter.saturating_add(1));
        let Some(index) = shared.indexes.allocate(&mut shared.rng, self.spec.addr.clone()) else { return };
        self.connecting.counter = counter;
        let hello = Hello { counter, continues: self.peer.as_ref().map(Peer::id) };
        let identity = &shared.identity;
        let secret = &shared.secret;
        let carrier = attempt.carrier;
        match Initiator::new(identity, &key, secret, &hello, index, carrier, &mut shared.rng) {
            Ok(initiator) => attempt.enter(now.tick, Stage::Shaking(initiator, None)),
            Err(_) => {
                shared.indexes.free(now.tick, Duration::ZERO, index);
                self.tell_unreached(Unreached::HandshakeRefused, out);
            }
        }
    }

    /// Handles the answer to a key query.
    pub(in super::super) fn handle_key_answer(
        &mut self,
        now: Now,
        shared: &mut Shared,
        path: Path,
        bytes: &[u8],
        out: &mut Out,
    ) {
        for place in 0..self.connecting.attempts.len() {
            let attempt = &mut self.connecting.attempts[place];
            match &mut attempt.stage {
                Stage::Querying(query) => {
                    let Ok(key) = query.handle_answer(bytes) else { continue };
                    if !self.is_expected(&key, out) {
                        return;
                    }
                    let attempt = &mut self.connecting.attempts[place];
                    attempt.enter(now.tick, Stage::Ready);
                    attempt.conn().into_iter().for_each(|conn| shared.pace.dials.advance(now.tick, conn));
                    attempt.go_on_at(path);
                    self.connecting.give_a_start(now.tick);
                    self.take_unproven_key(key);
                    return self.drive_attempts(now, shared, out);
                }
                Stage::Shaking(initiator, Some(query)) => {
                    let Ok(offered) = query.handle_answer(bytes) else { continue };
                    let index = initiator.local_index();
                    let pinned = self.spec.key.filter(|_| self.connecting.unproven_key.is_none());
                    if let Some(pinned) = pinned {
                        if offered != pinned {
                            self.tell_unreached(Unreached::KeyChanged { pinned, offered }, out);
                        }
                    } else if offered != initiator.relay() {
                        if !self.is_expected(&offered, out) {
                            return;
                        }
                        // The first answer may have been damaged in transit: handshake again with
                        // this key.
                        shared.indexes.free(now.tick, Duration::ZERO, index);
                        let attempt = &mut self.connecting.attempts[place];
                        attempt.enter(now.tick, Stage::Ready);
                        attempt.go_on_at(path);
                        self.take_unproven_key(offered);
                        self.drive_attempts(now, shared, out);
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
        shared: &mut Shared,
        path: Path,
        bytes: &[u8],
        out: &mut Out,
    ) {
        for place in 0..self.connecting.attempts.len() {
            let attempt = &mut self.connecting.attempts[place];
            let Stage::Shaking(initiator, _) = &mut attempt.stage else { continue };
            let index = initiator.local_index();
            match initiator.handle_response(bytes) {
                Err(_) => {}
                Ok(Answered::Stale { highest }) => {
                    self.connecting.counter = self.connecting.counter.max(highest);
                    shared.indexes.free(now.tick, Duration::ZERO, index);
                    attempt.handle_stale(now.tick);
                    attempt.go_on_at(path);
                    return self.drive_attempts(now, shared, out);
                }
                Ok(Answered::Established(established)) => {
                    let rtt = attempt.rtt(now.tick);
                    let attempt = self.connecting.attempts.remove(place);
                    match (path.udp_peer(), attempt.addr()) {
                        (Some(addr), _) => self.connecting.udp.handle_answer(addr),
                        (None, Some(addr)) => self.connecting.tcp.handle_answer(addr),
                        (None, None) => {}
                    }
                    return self.establish(now, shared, path, established, rtt, out);
                }
            }
        }
    }

    /// Puts the session on the path of the first authenticated answer. All other attempts end. A
    /// TCP connection among them is kept as fallback while UDP is validated.
    fn establish(
        &mut self,
        now: Now,
        shared: &mut Shared,
        path: Path,
        established: Established,
        rtt: Duration,
        out: &mut Out,
    ) {
        let Established { relay, keys, welcome } = established;
        let rekey = self.connecting.round == Some(Round::Rekey);
        let beside = self.racing_conn(shared.carriers);
        let kept = match path {
            Path::Tcp(conn) => Some(conn),
            _ => beside.map(|(conn, _)| conn),
        };
        self.cancel_attempts_but(now.tick, shared, kept, out);
        kept.into_iter().for_each(|conn| shared.pace.dials.end(conn));
        self.connecting.succeeded();
        self.connecting.loss_backoff.shaken(now.tick);
        self.pin(relay, shared, out);
        let before = self.peer.as_ref().and_then(Peer::path);
        let continued = self.peer.as_mut().filter(|peer| welcome.continued && peer.id() == welcome.session);
        if let Some(peer) = continued {
            peer.renew(now.tick, keys);
            peer.select(now.tick, path);
            if let Some(Path::Tcp(conn)) = before.filter(|before| *before != path) {
                close_conn(shared, conn, out);
            }
            self.free_indexes(now.tick, shared);
        } else {
            self.drop_peer_but(now.tick, shared, Some(path), out);
            let id = welcome.session;
            let rtt = Some(rtt);
            let rng = shared.rng.fork();
            let begin = Begin { role: Role::Client, path, keys, id, rtt, lifetime: Lifetime::default(), rng };
            self.connecting.begun = now.tick;
            let peer = Peer::new(now.tick, begin);
            let mut peer = if welcome.member { peer.with_full_credit() } else { peer };
            if self.choice.woken_at == Some(now.tick) {
                peer.handle_woken(now.tick);
            }
            self.begin(now.tick, peer, shared, out);
        }
        if !rekey {
            self.settled_on(now.tick, before, path, beside, shared, out);
        }
        self.tell_online(out);
    }

    /// Uses a key that the relay has shown and not proved for this round's handshakes.
    fn take_unproven_key(&mut self, key: PublicKey) {
        self.spec.key = Some(key);
        self.connecting.unproven_key = Some(key);
    }

    /// Pins the key that the relay has proved, if none was pinned. Another attempt may have
    /// received another key in a damaged answer.
    fn pin(&mut self, key: PublicKey, shared: &mut Shared, out: &mut Out) {
        if self.connecting.unproven_key.take().is_none() {
            return;
        }
        self.spec.key = Some(key);
        let relay = self.spec.addr.clone();
        let record = Record::Pin { relay: relay.clone(), key };
        shared.facts.give(record, &mut shared.counter, out);
        // The user stated the expected fingerprint: nothing to report.
        if self.spec.fingerprint.is_none() {
            out.show(Event::Pinned { relay, key });
        }
    }

    pub(super) fn forget_unproven_key(&mut self) {
        if self.connecting.unproven_key.take().is_some() {
            self.spec.key = None;
        }
    }
}
