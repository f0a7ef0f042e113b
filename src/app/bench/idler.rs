//! One idle member of the bench: the session of a client, its handshake and its keep-alives, and nothing else of one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::base::{Carrier, Effect, Now, Outputs, Path, PublicKey, Rng, Tick};
use crate::net::Crowd;
use crate::peer::{Begin, Heard, Peer, Role};
use crate::session::{AccessSecret, Answered, Hello, Identity, Initiator, Lifetime};
use crate::wire::features::Features;
use crate::wire::frame::StreamId;
use crate::wire::message::{ToClient, ToRelay};

/// A first message that has no answer goes again after so long: a busy relay has many to answer.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Who is not signed in so long after its first message begins anew, as a client does.
const ANEW_AFTER: Duration = Duration::from_secs(5);

/// Where members of a bench are and whom they talk to.
pub(super) struct Scene<'a> {
    pub(super) crowd: &'a Crowd,
    pub(super) relay: SocketAddr,
    pub(super) key: PublicKey,
}

/// What came of something for one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// It has keys.
    Answered,
    /// It is signed in.
    Online,
    /// It cannot be, or is no longer.
    Gone,
}

enum Stage {
    Shaking { initiator: Box<Initiator>, again: Tick, rng: Box<Rng> },
    Talking { peer: Box<Peer>, online: bool },
    Gone,
}

/// One member.
pub(super) struct Idler {
    number: u32,
    stage: Stage,
    begun: Tick,
    was_answered: bool,
}

impl Idler {
    /// A member that has sent its first message. Its name and its key are those of every run, so that a relay that has
    /// seen it before knows it.
    pub(super) fn begin(number: u32, now: Now, scene: &Scene<'_>, rng: &mut Rng) -> Idler {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(b"q idler ");
        seed[8..12].copy_from_slice(&number.to_be_bytes());
        let identity = Identity::generate(&mut Rng::from_seed(seed));
        let hello = Hello { counter: now.wall.0, continues: None };
        let (secret, mut rng) = (AccessSecret::default(), rng.fork());
        // Addresses tell members apart; so each may call its only session by the same index.
        let initiator = Initiator::new(&identity, &scene.key, &secret, &hello, 1, Carrier::Udp, &mut rng);
        let initiator = Box::new(initiator.expect("a key of low order was refused when it came"));
        scene.crowd.send(address(number), scene.relay, initiator.packet());
        Idler {
            number,
            stage: Stage::Shaking { initiator, again: now.tick + AGAIN_AFTER, rng: Box::new(rng) },
            begun: now.tick,
            was_answered: false,
        }
    }

    /// A datagram came to its address.
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
                // An answer that was lost and is not remembered any more makes the same message look old.
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

    /// Lets time pass.
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

    /// When it wants time to pass.
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

    /// Whether it is signed in and has heard the relay since `since`.
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
    let (name, mut message) = (format!("bench-idle-{number}"), Vec::new());
    let features = Features::OURS;
    ToRelay::SignIn { name: &name, invite: &[], screen_follows: false, outbox: None, features }
        .encode(&mut message);
    peer.send(StreamId::Control, &[&message]).expect("a fresh stream has room");
}

fn read(peer: &mut Peer, online: &mut bool) -> News {
    let (mut message, mut news) = (Vec::new(), News::Nothing);
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

/// The first 65,536 addresses of 127/8 are left to others.
const ADDRESSES_FROM: u32 = 0x7f01_0000;
/// So many addresses are used.
pub(super) const IDLERS_MAX: u32 = 1_000_000;

/// The address of a member.
pub(super) fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(ADDRESSES_FROM + number)
}

/// The member of an address.
pub(super) fn number_of(address: Ipv4Addr) -> Option<u32> {
    u32::from(address).checked_sub(ADDRESSES_FROM).filter(|number| *number < IDLERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_an_address_of_its_own_on_this_machine() {
        for number in [0, 1, 255, 256, 99_999, IDLERS_MAX - 1] {
            assert!(address(number).is_loopback());
            assert_eq!(number_of(address(number)), Some(number));
        }
        assert_eq!(number_of(Ipv4Addr::LOCALHOST), None);
        assert_eq!(number_of(address(IDLERS_MAX)), None);
    }
}
