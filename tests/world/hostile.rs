//! A member with valid keys that lies: random and malformed messages, floods of letters, acks and
//! watermarks of others, frames that no client sends.
//!
//! It keeps no promise and receives none. All promises to other members must still hold.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Effect, LetterId, Mark, OutboxId, Outputs, Path, Wall};
use queqiao::peer::{Begin, Peer, Role};
use queqiao::session::{AccessSecret, Answered, Hello, Identity, Initiator, Keyring, Lifetime};
use queqiao::wire::features::Features;
use queqiao::wire::frame::StreamId;
use queqiao::wire::letter::encode_text;
use queqiao::wire::limits::DATA_HEADER_LEN;
use queqiao::wire::message::{KIND_TEXT, Letter, Names, Reason, ToRelay};

use super::cover::Count;
use super::greed::{Reach, flood_control};
use super::intruder::{DEEDS, frames_of};
use super::line::Line;
use super::unknown::{crowd, write_to_unknown};
use super::weather::chance;
use super::world::{Happening, RELAY_ADDR, World};

/// Its registered name.
pub const NAME: &str = "MALLORY";
/// Time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

enum Stage {
    Away,
    Shaking(Box<Initiator>, queqiao::base::Tick),
    On(Box<Peer>),
    Reaching(Box<Reach>),
}

pub struct Hostile {
    pub addr: SocketAddr,
    private_key: [u8; 32],
    counter: u64,
    stage: Stage,
    /// Packets from the relay that it has not processed.
    pub heard: Vec<Vec<u8>>,
    /// Its TCP connection, if it uses one.
    pub line: Option<Line>,
    on_tcp: bool,
    numbers: u64,
}

impl Hostile {
    /// Whether its session was on a connection that is lost.
    fn is_cut_off(&self, world: &World) -> bool {
        let lost = self.line.as_ref().is_none_or(|line| !world.has_line(line));
        self.on_tcp && lost
    }

    pub fn path(&self) -> Path {
        match &self.line {
            Some(line) => Path::Tcp(line.id),
            None => Path::Udp(RELAY_ADDR.parse().unwrap()),
        }
    }
}

/// Lets the member sign in and misbehave until `span` is over.
pub fn join(world: &mut World, span: Duration) {
    let mut private_key = [0; 32];
    world.rng.fill(&mut private_key);
    let addr = SocketAddr::from(([198, 51, 100, 240], 7_000));
    let stage = Stage::Away;
    let heard = Vec::new();
    let line = None;
    let member = Hostile { addr, private_key, counter: 1, stage, heard, line, on_tcp: false, numbers: 0 };
    world.hostile_member = Some(member);
    world.oracle.liars.insert(NAME.to_owned());
    world.cover.add(Count::HostileMembers);
    if chance(&mut world.rng, 300) {
        crowd(world);
    }
    let until = world.now + span;
    world.later(Duration::from_millis(500), move |w| misbehave(w, until));
}

fn misbehave(world: &mut World, until: queqiao::base::Tick) {
    let Some(mut member) = world.hostile_member.take() else { return };
    if world.now >= until {
        match std::mem::replace(&mut member.stage, Stage::Away) {
            Stage::On(mut peer) => {
                peer.close(queqiao::wire::frame::close::DONE, "bye");
                leave_packets(world, &member, &mut peer);
            }
            Stage::Reaching(mut reach) => reach.leave(world, &member),
            Stage::Away | Stage::Shaking(..) => {}
        }
        return member.line.iter().for_each(|line| world.hang_up(line));
    }
    if member.is_cut_off(world) {
        member.line = None;
        member.stage = Stage::Away;
    }
    member.stage = match std::mem::replace(&mut member.stage, Stage::Away) {
        Stage::Away => shake(world, &mut member),
        Stage::Shaking(initiator, since) => look_for_answer(world, &mut member, initiator, since),
        Stage::On(peer) => talk(world, &mut member, peer),
        Stage::Reaching(mut reach) => match reach.step(world, &mut member) {
            true => Stage::Reaching(reach),
            false => Stage::Away,
        },
    };
    world.hostile_member = Some(member);
    let wait = Duration::from_millis(10 + world.rng.below(300));
    world.later(wait, move |w| misbehave(w, until));
}

fn shake(world: &mut World, member: &mut Hostile) -> Stage {
    member.counter += 1;
    member.line.take().iter().for_each(|line| world.hang_up(line));
    member.heard.clear();
    if chance(&mut world.rng, 500) {
        member.line = world.open_line(member.addr);
    }
    member.on_tcp = member.line.is_some();
    let carrier = member.path().carrier();
    let identity = Identity::from_private(member.private_key);
    let hello = Hello { counter: member.counter, continues: None };
    let relay = world.relay.core.public_key();
    let mut rng = world.rng.fork();
    let secret = AccessSecret::default();
    let index = 1 + rng.next_u32() / 2;
    let initiator = Initiator::new(&identity, &relay, &secret, &hello, index, carrier, &mut rng);
    let initiator = initiator.expect("the relay's key is sound");
    send(world, member, initiator.packet());
    Stage::Shaking(Box::new(initiator), world.now)
}

fn look_for_answer(
    world: &mut World,
    member: &mut Hostile,
    mut initiator: Box<Initiator>,
    since: queqiao::base::Tick,
) -> Stage {
    for packet in std::mem::take(&mut member.heard) {
        match initiator.handle_response(&packet) {
            Ok(Answered::Stale { highest }) => {
                member.counter = highest;
                return Stage::Away;
            }
            Ok(Answered::Established(done)) if chance(&mut world.rng, 200) => {
                let keyring = Keyring::new(world.now, done.keys, Lifetime::default());
                return break_frames(world, member, keyring);
            }
            Ok(Answered::Established(done)) if chance(&mut world.rng, 200) => {
                let keyring = Keyring::new(world.now, done.keys, Lifetime::default());
                return Stage::Reaching(Box::new(Reach::begin(world, member, keyring, done.welcome.member)));
            }
            Ok(Answered::Established(done)) => {
                let path = member.path();
                let rng = world.rng.fork();
                let role = Role::Client;
                let lifetime = Lifetime::default();
                let id = done.welcome.session;
                let begin = Begin { role, path, keys: done.keys, id, rtt: None, lifetime, rng };
                let mut peer = Box::new(Peer::new(world.now, begin));
                let features = Features(world.rng.next_u32());
                say(
                    &mut peer,
                    &ToRelay::SignIn {
                        name: NAME,
                        invite: &[],
                        screen_follows: false,
                        outbox: None,
                        features,
                    },
                );
                leave_packets(world, member, &mut peer);
                if let Some(line) = &mut member.line {
                    line.is_deaf = chance(&mut world.rng, 300);
                }
                return Stage::On(peer);
            }
            Err(_) => {}
        }
    }
    let waits = world.now.since(since) < PATIENCE;
    if waits { Stage::Shaking(initiator, since) } else { Stage::Away }
}

/// Sends frames that no client sends. The relay ends the session.
fn break_frames(world: &mut World, member: &Hostile, mut keyring: Keyring) -> Stage {
    let deed = DEEDS[world.rng.below(DEEDS.len() as u64) as usize];
    world.intrusions += 1;
    for (number, frames) in frames_of(deed).into_iter().enumerate() {
        let mut packet = [&[0; DATA_HEADER_LEN][..], &frames].concat();
        keyring.seal(number as u64, &mut packet, 0);
        send(world, member, &packet);
    }
    world.cover.add(Count::HostileFrames);
    Stage::Away
}

fn talk(world: &mut World, member: &mut Hostile, mut peer: Box<Peer>) -> Stage {
    let path = member.path();
    let now = world.now;
    for mut packet in std::mem::take(&mut member.heard) {
        let heard = peer.handle_packet(now, path, &mut packet);
        if matches!(heard, queqiao::peer::Heard::Closed(_) | queqiao::peer::Heard::Broken(_)) {
            return Stage::Away;
        }
    }
    peer.handle_time(now);
    if now.since(peer.link().last_heard()) > PATIENCE * 5 {
        return Stage::Away;
    }
    let mut ignored = Vec::new();
    while peer.receive(StreamId::Control, &mut ignored) || peer.receive(StreamId::Chat, &mut ignored) {
        ignored.clear();
    }
    if chance(&mut world.rng, 10) {
        flood_control(world, &mut peer);
    }
    let many = if chance(&mut world.rng, 30) { 200 } else { 1 + world.rng.below(4) };
    (0..many).for_each(|_| lie(world, member, &mut peer));
    leave_packets(world, member, &mut peer);
    Stage::On(peer)
}

/// Sends one false message.
fn lie(world: &mut World, member: &mut Hostile, peer: &mut Peer) {
    world.cover.add(Count::Lies);
    let victim = world.rng.below(world.stations.len() as u64) as usize;
    let name = world.stations[victim].name.clone();
    let known = world.oracle.outboxes.keys().copied().collect::<Vec<_>>();
    let outbox = OutboxId(known[world.rng.below(known.len() as u64) as usize]);
    let through = [world.rng.below(40), world.rng.next_u64()][world.rng.below(2) as usize];
    match world.rng.below(40) {
        0..=7 => {
            let mark = Mark(u32::MAX);
            let at_full_second = through % 2 == 1;
            say(peer, &ToRelay::Stored { from: &name, outbox, through, mark, at_full_second });
        }
        8..=14 => say(peer, &ToRelay::Read { from: &name, outbox, through }),
        15..=17 => say(peer, &ToRelay::Ask { to: &name, outbox }),
        18..=20 => say(peer, &ToRelay::Heard { to: &name, id: LetterId { outbox, number: through } }),
        21 => {
            let features = Features::OURS;
            say(
                peer,
                &ToRelay::SignIn { name: &name, invite: &[], screen_follows: false, outbox: None, features },
            );
        }
        22 => {
            let mut names = Vec::new();
            Names::put(&mut names, &name);
            say(peer, &ToRelay::Screen { flags: world.rng.below(8) as u8, names: Names::new(&names) });
        }
        23 => {
            // A malformed message: the relay may end the session.
            world.intrusions += 1;
            let mut bytes = vec![0; 1 + world.rng.below(60) as usize];
            world.rng.fill(&mut bytes);
            let stream = StreamId::ALL[world.rng.below(3) as usize];
            let _ = peer.send(stream, &[&bytes]);
        }
        24..=27 => {
            let id = LetterId { outbox, number: through };
            say(peer, &ToRelay::ReaderRefusal { from: &name, id, reason: Reason::Full });
        }
        28 => write_to_unknown_names(world, member, peer),
        29 => climb(world, member, peer, &name),
        30..=31 => write_to_unknown(world, &mut member.numbers, peer, &name),
        _ => write_letter(world, member, peer, &name, outbox),
    }
}

/// Sends a letter in an outbox that may be another member's, with a number that may be arbitrary.
fn write_letter(world: &mut World, member: &mut Hostile, peer: &mut Peer, to: &str, stolen: OutboxId) {
    let rng = &mut world.rng;
    member.numbers += 1;
    let own = OutboxId(7);
    let number = [member.numbers, member.numbers, rng.below(30), rng.next_u64()][rng.below(4) as usize];
    let prev = [number.wrapping_sub(1), 0, rng.below(30), rng.next_u64()][rng.below(4) as usize];
    let mut body = encode_text("believe me", Wall(rng.next_u64() >> 20));
    if chance(rng, 300) {
        rng.fill(&mut body);
    }
    if chance(rng, 50) {
        body.resize(30_000, 7);
    }
    let kind = if chance(rng, 100) { rng.below(256) as u8 } else { KIND_TEXT };
    let outbox = if chance(rng, 500) { own } else { stolen };
    let letter =
        Letter { to, id: LetterId { outbox, number }, prev, mark: Mark(number as u32), kind, body: &body };
    let mut bytes = Vec::new();
    ToRelay::Letter(letter).encode(&mut bytes);
    let _ = peer.send(StreamId::Chat, &[&bytes]);
}

/// Sends letters to unknown names, more than it may receive answers for.
fn write_to_unknown_names(world: &mut World, member: &mut Hostile, peer: &mut Peer) {
    for _ in 0..60 {
        member.numbers += 1;
        let to = format!("nobody-{}", world.rng.below(2_000));
        put_letter(peer, &to, 7, member.numbers, world.rng.below(2));
    }
}

/// Sends rising numbers behind a refused one, so that each is refused in turn. Some are sent twice.
fn climb(world: &mut World, member: &mut Hostile, peer: &mut Peer, to: &str) {
    let start = [member.numbers + 1, u64::MAX - 8][world.rng.below(2) as usize];
    for number in start..start + 8 {
        put_letter(peer, to, 8, number, number - 1);
        if chance(&mut world.rng, 300) {
            put_letter(peer, to, 8, number, world.rng.next_u64());
        }
    }
    member.numbers += 8;
}

fn put_letter(peer: &mut Peer, to: &str, outbox: u64, number: u64, prev: u64) {
    let id = LetterId { outbox: OutboxId(outbox), number };
    let mut bytes = Vec::new();
    ToRelay::Letter(Letter { to, id, prev, mark: Mark(0), kind: KIND_TEXT, body: b"" }).encode(&mut bytes);
    let _ = peer.send(StreamId::Chat, &[&bytes]);
}

/// Sends a control message, or drops it if the stream has no space.
pub fn say(peer: &mut Peer, message: &ToRelay<'_>) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let _ = peer.send(StreamId::Control, &[&bytes]);
}

fn leave_packets(world: &mut World, member: &Hostile, peer: &mut Peer) {
    let mut out = Outputs::<(), ()>::default();
    peer.flush(world.now, &mut out);
    for effect in &out.effects {
        if let Effect::Send(_, range) = effect {
            send(world, member, &out.bytes[range.clone()]);
        }
    }
    peer.handle_unsent(world.now, member.path(), 0);
}

pub fn send(world: &mut World, member: &Hostile, packet: &[u8]) {
    match &member.line {
        Some(line) => return world.send_on_line(line.id, packet),
        None if member.on_tcp => return,
        None => {}
    }
    let from = member.addr;
    let bytes = packet.to_vec();
    let proves = world.addresses.leaves(from);
    let happening = Happening::ToRelay { from, bytes, proves, genuine: false };
    world.agenda.enter(world.now + Duration::from_millis(5), happening);
}
