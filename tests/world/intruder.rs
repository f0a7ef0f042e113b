//! A protocol violator: a member that completes a normal handshake and then sends frames that no
//! client sends. The relay must close its session at once, and no other.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Carrier, Path};
use queqiao::session::{AccessSecret, Answered, Hello, Identity, Initiator, Keyring, Lifetime};
use queqiao::wire::frame::{Ack, Frame, Probe, StreamId};
use queqiao::wire::limits::{CREDIT_BEFORE_WELCOME, DATA_HEADER_LEN};

use super::cover::Count;
use super::world::{Happening, World};

/// Credit on the control stream before sign-in, in bytes.
const CREDIT: u64 = CREDIT_BEFORE_WELCOME[StreamId::Control.index()] as u64;
/// Memory that a byte behind a gap may take at the relay, in bytes.
const ALONE_MAX: usize = 256;

/// A violation of the protocol.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// Stream data before the relay has given any credit for it.
    TooEarly,
    /// Stream data past the credit, behind a gap, so that it would have to be kept.
    PastCredit,
    /// Other bytes at an offset that had some already.
    Differs,
    /// A message above the length limit.
    LongMessage,
    /// An ack of a packet that was never sent.
    AckOfUnsent,
    /// More frames than one packet may hold.
    ManyFrames,
    /// A frame of an unknown critical type.
    UnknownFrame,
}

pub const DEEDS: [Deed; 7] = [
    Deed::TooEarly,
    Deed::PastCredit,
    Deed::Differs,
    Deed::LongMessage,
    Deed::AckOfUnsent,
    Deed::ManyFrames,
    Deed::UnknownFrame,
];

/// State of the violator.
pub struct Intruder {
    pub addr: SocketAddr,
    /// Packets from the relay.
    pub heard: Vec<Vec<u8>>,
}

/// Lets a violator complete a handshake, and checks that its session is closed.
///
/// Does nothing while another member holds nearly all that the relay keeps behind gaps: further
/// data behind a gap would be ignored.
pub fn intrude(world: &mut World) {
    if world.relay.core.gapped_bytes() + ALONE_MAX > world.limits.reassembly_bytes {
        return;
    }
    let deed = DEEDS[world.rng.below(DEEDS.len() as u64) as usize];
    let addr = SocketAddr::from(([198, 51, 100, 250], 1_000 + world.rng.below(50_000) as u16));
    world.intruder = Some(Intruder { addr, heard: Vec::new() });
    world.intrusions += 1;
    let before = world.relay.core.stats().violations;
    let mut keyring = shake_hands(world, addr);
    probe_elsewhere(world, &mut keyring, addr);
    say_last_byte(world, &mut keyring, addr);
    for (number, frames) in (3..).zip(frames_of(deed)) {
        say(world, &mut keyring, addr, number, &frames);
    }
    world.run_for(Duration::from_millis(100));
    let after = world.relay.core.stats().violations;
    assert_eq!(after, before + 1, "a member broke the protocol ({deed:?}) and was not closed");
    world.cover.add(Count::Intrusions);
    world.intruder = None;
}

fn shake_hands(world: &mut World, addr: SocketAddr) -> Keyring {
    let mut private_key = [0; 32];
    world.rng.fill(&mut private_key);
    let identity = Identity::from_private(private_key);
    let relay = world.relay.core.public_key();
    let hello = Hello { counter: 1, continues: None };
    let mut rng = world.rng.fork();
    let secret = AccessSecret::default();
    let initiator = Initiator::new(&identity, &relay, &secret, &hello, 77, Carrier::Udp, &mut rng);
    let mut initiator = initiator.expect("the relay's key is sound");
    send(world, addr, initiator.packet().to_vec());
    world.run_for(Duration::from_millis(100));
    let heard = std::mem::take(&mut world.intruder.as_mut().expect("the violator is present").heard);
    let response = heard.last().expect("the relay answers a handshake");
    match initiator.handle_response(response) {
        Ok(Answered::Established(established)) => {
            Keyring::new(world.now, established.keys, Lifetime::default())
        }
        other => panic!("no session for a stranger: {other:?}"),
    }
}

fn say(world: &mut World, keyring: &mut Keyring, from: SocketAddr, number: u64, frames: &[u8]) {
    let mut packet = [&[0; DATA_HEADER_LEN][..], frames].concat();
    keyring.seal(number, &mut packet, 0);
    send(world, from, packet);
}

/// Sends the last byte of the window only. The relay stores a byte and takes no memory for the gap.
fn say_last_byte(world: &mut World, keyring: &mut Keyring, addr: SocketAddr) {
    let last = Frame::Stream { stream: StreamId::Control, offset: CREDIT - 1, data: &[7] };
    say(world, keyring, addr, 2, &encoded(&last));
    world.run_for(Duration::from_millis(100));
    let mut held = 0;
    world.relay.core.look_at_peers(|peer| {
        if peer.path() == Some(Path::Udp(addr)) {
            held = peer.link().received_memory();
        }
    });
    assert!((1..=ALONE_MAX).contains(&held), "one byte behind a gap takes {held} bytes");
}

/// Sends a packet that only probes another path. The relay must not move there.
fn probe_elsewhere(world: &mut World, keyring: &mut Keyring, addr: SocketAddr) {
    let elsewhere = SocketAddr::new(addr.ip(), addr.port() - 1);
    let probe = Frame::Probe(Probe::of_len([1; 8], 0));
    for (number, from, frame) in [(0, addr, Frame::Ping), (1, elsewhere, probe)] {
        say(world, keyring, from, number, &encoded(&frame));
        world.run_for(Duration::from_millis(100));
    }
    let is_at = |addr| {
        let mut found = false;
        world.relay.core.look_at_peers(|peer| found |= peer.path() == Some(Path::Udp(addr)));
        found
    };
    assert!(is_at(addr) && !is_at(elsewhere), "a probe moved the path");
}

fn send(world: &mut World, from: SocketAddr, bytes: Vec<u8>) {
    let proves = world.addresses.leaves(from);
    let happening = Happening::ToRelay { from, bytes, proves, genuine: false };
    world.agenda.enter(world.now, happening);
}

/// Returns the frames of each packet.
pub fn frames_of(deed: Deed) -> Vec<Vec<u8>> {
    let stream = StreamId::Control;
    let piece = |offset, data: &[u8]| encoded(&Frame::Stream { stream, offset, data });
    match deed {
        Deed::TooEarly => vec![encoded(&Frame::Stream { stream: StreamId::Chat, offset: 0, data: &[1] })],
        Deed::PastCredit => vec![piece(CREDIT - 50, &[1; 100])],
        Deed::Differs => vec![piece(100, &[1; 100]), piece(150, &[2; 100])],
        Deed::LongMessage => vec![piece(0, &[0xBF, 0xFF, 0xFF, 0xFF, 1, 2, 3])],
        Deed::AckOfUnsent => {
            let mut frames = Vec::new();
            queqiao::wire::frame::encode_ack([900..=1000].into_iter(), 0, 100, &mut frames);
            assert!(matches!(
                queqiao::wire::frame::Frames::new(&frames).next(),
                Some(Ok(Frame::Ack(Ack { .. })))
            ));
            vec![frames]
        }
        Deed::ManyFrames => vec![encoded(&Frame::Ping).repeat(1_000)],
        Deed::UnknownFrame => vec![vec![0x3D, 0, 0, 0]],
    }
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}
