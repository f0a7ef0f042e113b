//! One idle member of the bench: a client's session with its handshake and keep-alives, and nothing
//! else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::{Carrier, Effect, Now, Outputs, Path, PublicKey, Rng, Tick};
use crate::net::MultiAddrSocket;
use crate::peer::{PacketOutcome, Peer, PeerOptions, Role};
use crate::session::{Identity, InitPayload, Initiator, Lifetime, ResponseOutcome};
use crate::wire::features::Features;
use crate::wire::frame::StreamId;
use crate::wire::message::{ToClient, ToRelay};

/// Time after which an unanswered first message is repeated. 1 s: a busy relay has many to answer.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Time without a sign-in after which a member starts again from scratch, as a client does.
const ANEW_AFTER: Duration = Duration::from_secs(5);

/// The members' socket and relay.
pub(super) struct IdlerConfig<'a> {
    pub(super) socket: &'a MultiAddrSocket,
    pub(super) relay: SocketAddr,
    pub(super) key: PublicKey,
}

/// Result of one input for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdlerEvent {
    Nothing,
    /// Its handshake has completed.
    Answered,
    /// It has signed in.
    Online,
    /// Its sign-in was refused, or its session has ended.
    Gone,
}

enum IdlerState {
    Handshaking { initiator: Box<Initiator>, again: Tick, rng: Box<Rng> },
    Connected { peer: Box<Peer>, online: bool },
    Gone,
}

/// One idle member.
pub(super) struct Idler {
    number: u32,
    state: IdlerState,
    begun: Tick,
    was_answered: bool,
}

impl Idler {
    /// Starts a member by sending its first message. Its name and key are the same in every run, so
    /// that a relay recognizes it.
    pub(super) fn begin(number: u32, now: Now, config: &IdlerConfig<'_>, rng: &mut Rng) -> Idler {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(b"q idler ");
        seed[8..12].copy_from_slice(&number.to_be_bytes());
        let identity = Identity::generate(&mut Rng::from_seed(seed));
        let hello = InitPayload { counter: now.wall.0, continues: None };
        let mut rng = rng.fork();
        // Each member has its own address, so all may use the same index for their session.
        let initiator = Initiator::new(&identity, &config.key, &hello, 1, Carrier::Udp, &mut rng);
        let initiator = Box::new(initiator.expect("`KeyQuery` rejects keys of low order"));
        config.socket.send(address(number), config.relay, initiator.packet());
        Idler {
            number,
            state: IdlerState::Handshaking { initiator, again: now.tick + AGAIN_AFTER, rng: Box::new(rng) },
            begun: now.tick,
            was_answered: false,
        }
    }

    /// Handles a datagram sent to its address.
    pub(super) fn handle(
        &mut self,
        now: Tick,
        bytes: &mut [u8],
        config: &IdlerConfig<'_>,
        out: &mut Outputs<(), ()>,
    ) -> IdlerEvent {
        let event = match &mut self.state {
            IdlerState::Handshaking { initiator, rng, .. } => {
                if initiator.handle_cookie(bytes) == Ok(true) {
                    initiator.begin_sending();
                    config.socket.send(address(self.number), config.relay, initiator.packet());
                    return IdlerEvent::Nothing;
                }
                let Ok(answered) = initiator.handle_response(bytes) else { return IdlerEvent::Nothing };
                // If the answer was lost and is no longer cached, the repeated message looks old to
                // the relay.
                let ResponseOutcome::Established(established) = answered else { return IdlerEvent::Nothing };
                let begin = PeerOptions {
                    role: Role::Client,
                    path: Path::Udp(config.relay),
                    keys: established.keys,
                    id: established.grant.session,
                    rtt: None,
                    lifetime: Lifetime::default(),
                    rng: rng.fork(),
                };
                let mut peer = Box::new(Peer::new(now, begin));
                sign_in(&mut peer, self.number);
                self.state = IdlerState::Connected { peer, online: false };
                if std::mem::replace(&mut self.was_answered, true) {
                    IdlerEvent::Nothing
                } else {
                    IdlerEvent::Answered
                }
            }
            IdlerState::Connected { peer, online } => {
                match peer.handle_packet(now, Path::Udp(config.relay), bytes) {
                    PacketOutcome::Dropped => return IdlerEvent::Nothing,
                    PacketOutcome::Closed(_) | PacketOutcome::Violated(_) => return self.leave(),
                    PacketOutcome::Accepted => read(peer, online),
                }
            }
            IdlerState::Gone => return IdlerEvent::Nothing,
        };
        self.flush(now, config, out);
        if event == IdlerEvent::Gone { self.leave() } else { event }
    }

    /// Handles the passing of time.
    pub(super) fn handle_time(
        &mut self,
        at: Now,
        config: &IdlerConfig<'_>,
        rng: &mut Rng,
        out: &mut Outputs<(), ()>,
    ) {
        let now = at.tick;
        if self.anew_at().is_some_and(|anew| anew <= now) {
            let was_answered = self.was_answered;
            *self = Idler { was_answered, ..Idler::begin(self.number, at, config, rng) };
            return;
        }
        match &mut self.state {
            IdlerState::Handshaking { initiator, again, .. } if *again <= now => {
                initiator.begin_sending();
                config.socket.send(address(self.number), config.relay, initiator.packet());
                *again = now + AGAIN_AFTER;
            }
            IdlerState::Connected { peer, .. } => {
                peer.handle_time(now);
                self.flush(now, config, out);
            }
            IdlerState::Handshaking { .. } | IdlerState::Gone => {}
        }
    }

    /// Returns its next deadline.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let own = match &self.state {
            IdlerState::Handshaking { again, .. } => Some(*again),
            IdlerState::Connected { peer, .. } => peer.next_deadline(now),
            IdlerState::Gone => None,
        };
        own.into_iter().chain(self.anew_at()).min()
    }

    fn anew_at(&self) -> Option<Tick> {
        let comes = matches!(
            &self.state,
            IdlerState::Handshaking { .. } | IdlerState::Connected { online: false, .. }
        );
        comes.then(|| self.begun + ANEW_AFTER)
    }

    /// Whether it is signed in and has received a packet since `since`.
    pub(super) fn is_alive(&self, since: Tick) -> bool {
        match &self.state {
            IdlerState::Connected { peer, online } => *online && peer.link().last_received() >= since,
            _ => false,
        }
    }

    fn leave(&mut self) -> IdlerEvent {
        self.state = IdlerState::Gone;
        IdlerEvent::Gone
    }

    fn flush(&mut self, now: Tick, config: &IdlerConfig<'_>, out: &mut Outputs<(), ()>) {
        let IdlerState::Connected { peer, .. } = &mut self.state else { return };
        peer.flush(now, out);
        for effect in out.effects.drain(..) {
            if let Effect::Send(_, range) = effect {
                config.socket.send(address(self.number), config.relay, &out.bytes[range]);
            }
        }
        out.bytes.clear();
    }
}

fn sign_in(peer: &mut Peer, number: u32) {
    let name = format!("bench-idle-{number}");
    let mut message = Vec::new();
    let features = Features::OURS;
    ToRelay::SignIn { name: &name, invite: &[], block_list_follows: false, outbox: None, features }
        .encode(&mut message);
    peer.send(StreamId::Control, &[&message]).expect("a new stream has credit for one message");
}

fn read(peer: &mut Peer, online: &mut bool) -> IdlerEvent {
    let mut message = Vec::new();
    let mut event = IdlerEvent::Nothing;
    while peer.receive(StreamId::Control, &mut message) {
        match ToClient::decode(&message) {
            Ok(Some(ToClient::Welcome { .. })) => {
                *online = true;
                event = IdlerEvent::Online;
            }
            Ok(Some(ToClient::NameRefused { .. })) | Err(_) => return IdlerEvent::Gone,
            Ok(_) => {}
        }
    }
    event
}

/// First address of a member. The 65,536 below it in 127/8 are left to other programs.
const ADDRESSES_FROM: u32 = 0x7f01_0000;
/// Maximum members, and so addresses in use.
pub(super) const IDLERS_MAX: u32 = 1_000_000;

/// Returns the address of a member.
pub(super) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(ADDRESSES_FROM + number)
}

/// Returns the member of an address.
pub(super) fn number_of(address: Ipv4Addr) -> Option<u32> {
    u32::from(address).checked_sub(ADDRESSES_FROM).filter(|number| *number < IDLERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_its_own_loopback_address() {
        for number in [0, 1, 255, 256, 99_999, IDLERS_MAX - 1] {
            assert!(address(number).is_loopback());
            assert_eq!(number_of(address(number)), Some(number));
        }
        assert_eq!(number_of(Ipv4Addr::LOCALHOST), None);
        assert_eq!(number_of(address(IDLERS_MAX)), None);
    }
}
