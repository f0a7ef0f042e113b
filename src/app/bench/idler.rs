//! One idle member of the bench: a client's session with its handshake and keep-alives, and nothing
//! else.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::{Carrier, Effect, Now, Outputs, Path, PublicKey, Rng, Tick};
use crate::net::Crowd;
use crate::peer::{Begin, Heard, Peer, Role};
use crate::session::{AccessSecret, Answered, Hello, Identity, Initiator, Lifetime};
use crate::wire::features::Features;
use crate::wire::frame::StreamId;
use crate::wire::message::{ToClient, ToRelay};

/// Time after which an unanswered first message is repeated. 1 s: a busy relay has many to answer.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Time without a sign-in after which a member starts again from scratch, as a client does.
const ANEW_AFTER: Duration = Duration::from_secs(5);

/// The members' socket and relay.
pub(super) struct Scene<'a> {
    pub(super) crowd: &'a Crowd,
    pub(super) relay: SocketAddr,
    pub(super) key: PublicKey,
}

/// Result of one input for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// Its handshake has completed.
    Answered,
    /// It has signed in.
    Online,
    /// Its sign-in was refused, or its session has ended.
    Gone,
}

enum Stage {
    Shaking { initiator: Box<Initiator>, again: Tick, rng: Box<Rng> },
    Talking { peer: Box<Peer>, online: bool },
    Gone,
}

/// One idle member.
pub(super) struct Idler {
    number: u32,
    stage: Stage,
    begun: Tick,
    was_answered: bool,
}

impl Idler {
    /// Starts a member by sending its first message. Its name and key are the same in every run, so
    /// that a relay recognizes it.
    pub(super) fn begin(number: u32, now: Now, scene: &Scene<'_>, rng: &mut Rng) -> Idler {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(b"q idler ");
        seed[8..12].copy_from_slice(&number.to_be_bytes());
        let identity = Identity::generate(&mut Rng::from_seed(seed));
        let hello = Hello { counter: now.wall.0, continues: None };
        let secret = AccessSecret::default();
        let mut rng = rng.fork();
        // Each member has its own address, so all may use the same index for their session.
        let initiator = Initiator::new(&identity, &scene.key, &secret, &hello, 1, Carrier::Udp, &mut rng);
        let initiator = Box::new(initiator.expect("`KeyQuery` rejects keys of low order"));
        scene.crowd.send(address(number), scene.relay, initiator.packet());
        Idler {
            number,
            stage: Stage::Shaking { initiator, again: now.tick + AGAIN_AFTER, rng: Box::new(rng) },
            begun: now.tick,
            was_answered: false,
        }
    }

    /// Handles a datagram sent to its address.
    pub(super) fn handle(
        &mut self,
        now: Tick,
        bytes: &mut [u8],
        scene: &Scene<'_>,
        out: &mut Outputs<(), ()>,
    ) -> News {
        let news = match &mut self.stage {
            Stage::Shaking { initiator, rng, .. } => {
                if initiator.handle_cookie(bytes) == Ok(true) {
                    initiator.begin_sending();
                    scene.crowd.send(address(self.number), scene.relay, initiator.packet());
                    return News::Nothing;
                }
                let Ok(answered) = initiator.handle_response(bytes) else { return News::Nothing };
                // If the answer was lost and is no longer cached, the repeated message looks old to
                // the relay.
                let Answered::Established(established) = answered else { return News::Nothing };
                let begin = Begin {
                    role: Role::Client,
                    path: Path::Udp(scene.relay),
                    keys: established.keys,
                    id: established.welcome.session,
                    rtt: None,
                    lifetime: Lifetime::default(),
                    rng: rng.fork(),
                };
                let mut peer = Box::new(Peer::new(now, begin));
                sign_in(&mut peer, self.number);
                self.stage = Stage::Talking { peer, online: false };
                if std::mem::replace(&mut self.was_answered, true) { News::Nothing } else { News::Answered }
            }
            Stage::Talking { peer, online } => match peer.handle_packet(now, Path::Udp(scene.relay), bytes) {
                Heard::Dropped => return News::Nothing,
                Heard::Closed(_) | Heard::Broken(_) => return self.leave(),
                Heard::Taken => read(peer, online),
            },
            Stage::Gone => return News::Nothing,
        };
        self.flush(now, scene, out);
        if news == News::Gone { self.leave() } else { news }
    }

    /// Handles the passing of time.
    pub(super) fn handle_time(
        &mut self,
        at: Now,
        scene: &Scene<'_>,
        rng: &mut Rng,
        out: &mut Outputs<(), ()>,
    ) {
        let now = at.tick;
        if self.anew_at().is_some_and(|anew| anew <= now) {
            let was_answered = self.was_answered;
            *self = Idler { was_answered, ..Idler::begin(self.number, at, scene, rng) };
            return;
        }
        match &mut self.stage {
            Stage::Shaking { initiator, again, .. } if *again <= now => {
                initiator.begin_sending();
                scene.crowd.send(address(self.number), scene.relay, initiator.packet());
                *again = now + AGAIN_AFTER;
            }
            Stage::Talking { peer, .. } => {
                peer.handle_time(now);
                self.flush(now, scene, out);
            }
            Stage::Shaking { .. } | Stage::Gone => {}
        }
    }

    /// Returns its next deadline.
    pub(super) fn next_deadline(&self, now: Tick) -> Option<Tick> {
        let own = match &self.stage {
            Stage::Shaking { again, .. } => Some(*again),
            Stage::Talking { peer, .. } => peer.next_deadline(now),
            Stage::Gone => None,
        };
        own.into_iter().chain(self.anew_at()).min()
    }

    fn anew_at(&self) -> Option<Tick> {
        let comes = matches!(&self.stage, Stage::Shaking { .. } | Stage::Talking { online: false, .. });
        comes.then(|| self.begun + ANEW_AFTER)
    }

    /// Whether it is signed in and has received a packet since `since`.
    pub(super) fn is_alive(&self, since: Tick) -> bool {
        match &self.stage {
            Stage::Talking { peer, online } => *online && peer.link().last_heard() >= since,
            _ => false,
        }
    }

    fn leave(&mut self) -> News {
        self.stage = Stage::Gone;
        News::Gone
    }

    fn flush(&mut self, now: Tick, scene: &Scene<'_>, out: &mut Outputs<(), ()>) {
        let Stage::Talking { peer, .. } = &mut self.stage else { return };
        peer.flush(now, out);
        for effect in out.effects.drain(..) {
            if let Effect::Send(_, range) = effect {
                scene.crowd.send(address(self.number), scene.relay, &out.bytes[range]);
            }
        }
        out.bytes.clear();
    }
}

fn sign_in(peer: &mut Peer, number: u32) {
    let name = format!("bench-idle-{number}");
    let mut message = Vec::new();
    let features = Features::OURS;
    ToRelay::SignIn { name: &name, invite: &[], screen_follows: false, outbox: None, features }
        .encode(&mut message);
    peer.send(StreamId::Control, &[&message]).expect("a new stream has credit for one message");
}

fn read(peer: &mut Peer, online: &mut bool) -> News {
    let mut message = Vec::new();
    let mut news = News::Nothing;
    while peer.receive(StreamId::Control, &mut message) {
        match ToClient::decode(&message) {
            Ok(Some(ToClient::Welcome { .. })) => {
                *online = true;
                news = News::Online;
            }
            Ok(Some(ToClient::NameRefused { .. })) | Err(_) => return News::Gone,
            Ok(_) => {}
        }
    }
    news
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
