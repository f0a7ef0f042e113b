//! A member with valid keys that lies: random and malformed messages, floods of letters, acks and
//! watermarks of others, frames that no client sends.
//!
//! It keeps no promise and receives none. All promises to other members must still hold.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Effect, LetterId, Mark, OutboxId, Outputs, Path, Wall};
use queqiao::peer::{Peer, PeerOptions, Role};
use queqiao::session::{Identity, InitPayload, Initiator, Keyring, Lifetime, ResponseOutcome};
use queqiao::wire::features::Features;
use queqiao::wire::frame::StreamId;
use queqiao::wire::letter::encode_text;
use queqiao::wire::limits::DATA_HEADER_LEN;
use queqiao::wire::message::{KIND_TEXT, Letter, NameList, Reason, ToRelay};

use super::coverage::Count;
use super::hostile_tcp::HostileTcp;
use super::link_conditions::chance;
use super::protocol_violator::{VIOLATIONS, frames_of};
use super::resource_abuse::{CreditAbuse, flood_control};
use super::simulation::{RELAY_ADDR, SimEvent, Simulation};
use super::unknown_names::{add_similar_names, write_to_unknown};

/// Its registered name.
pub const HOSTILE_NAME: &str = "MALLORY";
/// Time limit for an answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

enum HostileState {
    Offline,
    Handshake(Box<Initiator>, queqiao::base::Tick),
    Online(Box<Peer>),
    AbusingCredit(Box<CreditAbuse>),
}

pub struct HostileMember {
    pub addr: SocketAddr,
    private_key: [u8; 32],
    counter: u64,
    state: HostileState,
    /// Packets from the relay that it has not processed.
    pub received: Vec<Vec<u8>>,
    /// Its TCP connection, if it uses one.
    pub tcp: Option<HostileTcp>,
    on_tcp: bool,
    numbers: u64,
}

impl HostileMember {
    /// Whether its session was on a connection that is lost.
    fn is_cut_off(&self, sim: &Simulation) -> bool {
        let lost = self.tcp.as_ref().is_none_or(|tcp| !sim.has_hostile_tcp(tcp));
        self.on_tcp && lost
    }

    pub fn path(&self) -> Path {
        match &self.tcp {
            Some(tcp) => Path::Tcp(tcp.id),
            None => Path::Udp(RELAY_ADDR.parse().unwrap()),
        }
    }
}

/// Lets the member sign in and misbehave until `span` is over.
pub fn add_hostile_member(sim: &mut Simulation, span: Duration) {
    let mut private_key = [0; 32];
    sim.rng.fill(&mut private_key);
    let addr = SocketAddr::from(([198, 51, 100, 240], 7_000));
    let state = HostileState::Offline;
    let received = Vec::new();
    let tcp = None;
    let member =
        HostileMember { addr, private_key, counter: 1, state, received, tcp, on_tcp: false, numbers: 0 };
    sim.hostile_member = Some(member);
    sim.oracle.untrusted.insert(HOSTILE_NAME.to_owned());
    sim.coverage.add(Count::HostileMembers);
    if chance(&mut sim.rng, 300) {
        add_similar_names(sim);
    }
    let until = sim.now + span;
    sim.schedule(Duration::from_millis(500), move |sim| step_hostile_member(sim, until));
}

fn step_hostile_member(sim: &mut Simulation, until: queqiao::base::Tick) {
    let Some(mut member) = sim.hostile_member.take() else { return };
    if sim.now >= until {
        match std::mem::replace(&mut member.state, HostileState::Offline) {
            HostileState::Online(mut peer) => {
                peer.close(queqiao::wire::frame::close::DONE, "bye");
                flush_peer(sim, &member, &mut peer);
            }
            HostileState::AbusingCredit(mut abuse) => abuse.close(sim, &member),
            HostileState::Offline | HostileState::Handshake(..) => {}
        }
        return member.tcp.iter().for_each(|tcp| sim.close_hostile_tcp(tcp));
    }
    if member.is_cut_off(sim) {
        member.tcp = None;
        member.state = HostileState::Offline;
    }
    member.state = match std::mem::replace(&mut member.state, HostileState::Offline) {
        HostileState::Offline => start_handshake(sim, &mut member),
        HostileState::Handshake(initiator, since) => await_response(sim, &mut member, initiator, since),
        HostileState::Online(peer) => step_online(sim, &mut member, peer),
        HostileState::AbusingCredit(mut abuse) => match abuse.step(sim, &mut member) {
            true => HostileState::AbusingCredit(abuse),
            false => HostileState::Offline,
        },
    };
    sim.hostile_member = Some(member);
    let wait = Duration::from_millis(10 + sim.rng.below(300));
    sim.schedule(wait, move |sim| step_hostile_member(sim, until));
}

fn start_handshake(sim: &mut Simulation, member: &mut HostileMember) -> HostileState {
    member.counter += 1;
    member.tcp.take().iter().for_each(|tcp| sim.close_hostile_tcp(tcp));
    member.received.clear();
    if chance(&mut sim.rng, 500) {
        member.tcp = sim.open_hostile_tcp(member.addr);
    }
    member.on_tcp = member.tcp.is_some();
    let carrier = member.path().carrier();
    let identity = Identity::from_private(member.private_key);
    let hello = InitPayload { counter: member.counter, continues: None };
    let relay = sim.relay.core.public_key();
    let mut rng = sim.rng.fork();
    let index = 1 + rng.next_u32() / 2;
    let initiator = Initiator::new(&identity, &relay, &hello, index, carrier, &mut rng);
    let initiator = initiator.expect("the relay's key is sound");
    send_as_hostile(sim, member, initiator.packet());
    HostileState::Handshake(Box::new(initiator), sim.now)
}

fn await_response(
    sim: &mut Simulation,
    member: &mut HostileMember,
    mut initiator: Box<Initiator>,
    since: queqiao::base::Tick,
) -> HostileState {
    for packet in std::mem::take(&mut member.received) {
        match initiator.handle_response(&packet) {
            Ok(ResponseOutcome::Stale { highest }) => {
                member.counter = highest;
                return HostileState::Offline;
            }
            Ok(ResponseOutcome::Established(done)) if chance(&mut sim.rng, 200) => {
                let keyring = Keyring::new(sim.now, done.keys, Lifetime::default());
                return send_violation(sim, member, keyring);
            }
            Ok(ResponseOutcome::Established(done)) if chance(&mut sim.rng, 200) => {
                let keyring = Keyring::new(sim.now, done.keys, Lifetime::default());
                return HostileState::AbusingCredit(Box::new(CreditAbuse::sign_in(
                    sim,
                    member,
                    keyring,
                    done.grant.member,
                )));
            }
            Ok(ResponseOutcome::Established(done)) => {
                let path = member.path();
                let rng = sim.rng.fork();
                let role = Role::Client;
                let lifetime = Lifetime::default();
                let id = done.grant.session;
                let begin = PeerOptions { role, path, keys: done.keys, id, rtt: None, lifetime, rng };
                let mut peer = Box::new(Peer::new(sim.now, begin));
                let features = Features(sim.rng.next_u32());
                queue_message(
                    &mut peer,
                    &ToRelay::SignIn {
                        name: HOSTILE_NAME,
                        invite: &[],
                        block_list_follows: false,
                        outbox: None,
                        features,
                    },
                );
                flush_peer(sim, member, &mut peer);
                if let Some(tcp) = &mut member.tcp {
                    tcp.reads_nothing = chance(&mut sim.rng, 300);
                }
                return HostileState::Online(peer);
            }
            Err(_) => {}
        }
    }
    let waits = sim.now.since(since) < RESPONSE_TIMEOUT;
    if waits { HostileState::Handshake(initiator, since) } else { HostileState::Offline }
}

/// Sends frames that no client sends. The relay ends the session.
fn send_violation(sim: &mut Simulation, member: &HostileMember, mut keyring: Keyring) -> HostileState {
    let violation = VIOLATIONS[sim.rng.below(VIOLATIONS.len() as u64) as usize];
    sim.violations += 1;
    for (number, frames) in frames_of(violation).into_iter().enumerate() {
        let mut packet = [&[0; DATA_HEADER_LEN][..], &frames].concat();
        keyring.seal(number as u64, &mut packet, 0);
        send_as_hostile(sim, member, &packet);
    }
    sim.coverage.add(Count::HostileFrames);
    HostileState::Offline
}

fn step_online(sim: &mut Simulation, member: &mut HostileMember, mut peer: Box<Peer>) -> HostileState {
    let path = member.path();
    let now = sim.now;
    for mut packet in std::mem::take(&mut member.received) {
        let outcome = peer.handle_packet(now, path, &mut packet);
        if matches!(
            outcome,
            queqiao::peer::PacketOutcome::Closed(_) | queqiao::peer::PacketOutcome::Violated(_)
        ) {
            return HostileState::Offline;
        }
    }
    peer.handle_time(now);
    if now.since(peer.link().last_received()) > RESPONSE_TIMEOUT * 5 {
        return HostileState::Offline;
    }
    let mut ignored = Vec::new();
    while peer.receive(StreamId::Control, &mut ignored) || peer.receive(StreamId::Chat, &mut ignored) {
        ignored.clear();
    }
    if chance(&mut sim.rng, 10) {
        flood_control(sim, &mut peer);
    }
    let many = if chance(&mut sim.rng, 30) { 200 } else { 1 + sim.rng.below(4) };
    (0..many).for_each(|_| send_false_message(sim, member, &mut peer));
    flush_peer(sim, member, &mut peer);
    HostileState::Online(peer)
}

/// Sends one false message.
fn send_false_message(sim: &mut Simulation, member: &mut HostileMember, peer: &mut Peer) {
    sim.coverage.add(Count::Lies);
    let victim = sim.rng.below(sim.machines.len() as u64) as usize;
    let name = sim.machines[victim].name.clone();
    let known = sim.oracle.outboxes.keys().copied().collect::<Vec<_>>();
    let outbox = OutboxId(known[sim.rng.below(known.len() as u64) as usize]);
    let through = [sim.rng.below(40), sim.rng.next_u64()][sim.rng.below(2) as usize];
    match sim.rng.below(40) {
        0..=7 => {
            let mark = Mark(u32::MAX);
            let at_full_second = through % 2 == 1;
            queue_message(peer, &ToRelay::Stored { from: &name, outbox, through, mark, at_full_second });
        }
        8..=14 => queue_message(peer, &ToRelay::Read { from: &name, outbox, through }),
        15..=17 => queue_message(peer, &ToRelay::QueryReceipt { to: &name, outbox, accepted: 0, settled: 0 }),
        18..=20 => queue_message(
            peer,
            &ToRelay::RefusalReceived { to: &name, id: LetterId { outbox, number: through } },
        ),
        21 => {
            let features = Features::OURS;
            queue_message(
                peer,
                &ToRelay::SignIn {
                    name: &name,
                    invite: &[],
                    block_list_follows: false,
                    outbox: None,
                    features,
                },
            );
        }
        22 => {
            let mut names = Vec::new();
            NameList::put(&mut names, &name);
            queue_message(
                peer,
                &ToRelay::BlockList { flags: sim.rng.below(8) as u8, names: NameList::new(&names) },
            );
        }
        23 => {
            // A malformed message: the relay may end the session.
            sim.violations += 1;
            let mut bytes = vec![0; 1 + sim.rng.below(60) as usize];
            sim.rng.fill(&mut bytes);
            let stream = StreamId::ALL[sim.rng.below(3) as usize];
            let _ = peer.send(stream, &[&bytes]);
        }
        24..=27 => {
            let id = LetterId { outbox, number: through };
            queue_message(peer, &ToRelay::RecipientRefusal { from: &name, id, reason: Reason::Full });
        }
        28 => write_to_unknown_names(sim, member, peer),
        29 => send_rising_numbers(sim, member, peer, &name),
        30..=31 => write_to_unknown(sim, &mut member.numbers, peer, &name),
        _ => write_letter(sim, member, peer, &name, outbox),
    }
}

/// Sends a letter in an outbox that may be another member's, with a number that may be arbitrary.
fn write_letter(
    sim: &mut Simulation,
    member: &mut HostileMember,
    peer: &mut Peer,
    to: &str,
    stolen: OutboxId,
) {
    let rng = &mut sim.rng;
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
fn write_to_unknown_names(sim: &mut Simulation, member: &mut HostileMember, peer: &mut Peer) {
    for _ in 0..60 {
        member.numbers += 1;
        let to = format!("nobody-{}", sim.rng.below(2_000));
        put_letter(peer, &to, 7, member.numbers, sim.rng.below(2));
    }
}

/// Sends rising numbers behind a refused one, so that each is refused in turn. Some are sent twice.
fn send_rising_numbers(sim: &mut Simulation, member: &mut HostileMember, peer: &mut Peer, to: &str) {
    let start = [member.numbers + 1, u64::MAX - 8][sim.rng.below(2) as usize];
    for number in start..start + 8 {
        put_letter(peer, to, 8, number, number - 1);
        if chance(&mut sim.rng, 300) {
            put_letter(peer, to, 8, number, sim.rng.next_u64());
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
pub fn queue_message(peer: &mut Peer, message: &ToRelay<'_>) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let _ = peer.send(StreamId::Control, &[&bytes]);
}

fn flush_peer(sim: &mut Simulation, member: &HostileMember, peer: &mut Peer) {
    let mut out = Outputs::<(), ()>::default();
    peer.flush(sim.now, &mut out);
    for effect in &out.effects {
        if let Effect::Send(_, range) = effect {
            send_as_hostile(sim, member, &out.bytes[range.clone()]);
        }
    }
    peer.handle_unsent(sim.now, member.path(), 0);
}

pub fn send_as_hostile(sim: &mut Simulation, member: &HostileMember, packet: &[u8]) {
    match &member.tcp {
        Some(tcp) => return sim.send_hostile_record(tcp.id, packet),
        None if member.on_tcp => return,
        None => {}
    }
    let from = member.addr;
    let bytes = packet.to_vec();
    let proves = sim.address_limits.provable_addrs(from);
    let event = SimEvent::ToRelay { from, bytes, proves, genuine: false };
    sim.event_queue.push(sim.now + Duration::from_millis(5), event);
}
