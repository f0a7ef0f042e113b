//! A protocol violator: a member that completes a normal handshake and then sends frames that no
//! client sends. The relay must close its session at once, and no other.

use std::net::SocketAddr;
use std::time::Duration;

use queqiao::base::{Carrier, Path};
use queqiao::session::{Identity, InitPayload, Initiator, Keyring, Lifetime, ResponseOutcome};
use queqiao::wire::frame::{Ack, Frame, Probe, StreamId};
use queqiao::wire::limits::{CREDIT_BEFORE_WELCOME, DATA_HEADER_LEN};

use super::coverage::Count;
use super::simulation::{SimEvent, Simulation};

/// Credit on the control stream before sign-in, in bytes.
const CREDIT: u64 = CREDIT_BEFORE_WELCOME[StreamId::Control.index()] as u64;
/// Memory that a byte behind a gap may take at the relay, in bytes.
const SINGLE_BYTE_MEMORY_MAX: usize = 256;

/// A violation of the protocol.
#[derive(Clone, Copy, Debug)]
pub enum Violation {
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

pub const VIOLATIONS: [Violation; 7] = [
    Violation::TooEarly,
    Violation::PastCredit,
    Violation::Differs,
    Violation::LongMessage,
    Violation::AckOfUnsent,
    Violation::ManyFrames,
    Violation::UnknownFrame,
];

/// State of the violator.
pub struct ProtocolViolator {
    pub addr: SocketAddr,
    /// Packets from the relay.
    pub received: Vec<Vec<u8>>,
}

/// Lets a violator complete a handshake, and checks that its session is closed.
///
/// Does nothing while another member holds nearly all that the relay keeps behind gaps: further
/// data behind a gap would be ignored.
pub fn violate_protocol(sim: &mut Simulation) {
    if sim.relay.core.gapped_bytes() + SINGLE_BYTE_MEMORY_MAX > sim.limits.reassembly_bytes {
        return;
    }
    let action = VIOLATIONS[sim.rng.below(VIOLATIONS.len() as u64) as usize];
    let addr = SocketAddr::from(([198, 51, 100, 250], 1_000 + sim.rng.below(50_000) as u16));
    sim.violator = Some(ProtocolViolator { addr, received: Vec::new() });
    sim.violations += 1;
    let before = sim.relay.core.stats().violations;
    let mut keyring = handshake(sim, addr);
    probe_elsewhere(sim, &mut keyring, addr);
    send_last_byte(sim, &mut keyring, addr);
    for (number, frames) in (3..).zip(frames_of(action)) {
        send_frames(sim, &mut keyring, addr, number, &frames);
    }
    sim.run_for(Duration::from_millis(100));
    let after = sim.relay.core.stats().violations;
    assert_eq!(after, before + 1, "a member broke the protocol ({action:?}) and was not closed");
    sim.coverage.add(Count::Intrusions);
    sim.violator = None;
}

fn handshake(sim: &mut Simulation, addr: SocketAddr) -> Keyring {
    let mut private_key = [0; 32];
    sim.rng.fill(&mut private_key);
    let identity = Identity::from_private(private_key);
    let relay = sim.relay.core.public_key();
    let hello = InitPayload { counter: 1, continues: None };
    let mut rng = sim.rng.fork();
    let initiator = Initiator::new(&identity, &relay, &hello, 77, Carrier::Udp, &mut rng);
    let mut initiator = initiator.expect("the relay's key is sound");
    send(sim, addr, initiator.packet().to_vec());
    sim.run_for(Duration::from_millis(100));
    let received = std::mem::take(&mut sim.violator.as_mut().expect("the violator is present").received);
    let response = received.last().expect("the relay answers a handshake");
    match initiator.handle_response(response) {
        Ok(ResponseOutcome::Established(established)) => {
            Keyring::new(sim.now, established.keys, Lifetime::default())
        }
        other => panic!("no session for a stranger: {other:?}"),
    }
}

fn send_frames(sim: &mut Simulation, keyring: &mut Keyring, from: SocketAddr, number: u64, frames: &[u8]) {
    let mut packet = [&[0; DATA_HEADER_LEN][..], frames].concat();
    keyring.seal(number, &mut packet, 0);
    send(sim, from, packet);
}

/// Sends the last byte of the window only. The relay stores a byte and takes no memory for the gap.
fn send_last_byte(sim: &mut Simulation, keyring: &mut Keyring, addr: SocketAddr) {
    let last = Frame::Stream { stream: StreamId::Control, offset: CREDIT - 1, data: &[7] };
    send_frames(sim, keyring, addr, 2, &encoded(&last));
    sim.run_for(Duration::from_millis(100));
    let mut held = 0;
    sim.relay.core.visit_peers(|peer| {
        if peer.path() == Some(Path::Udp(addr)) {
            held = peer.link().received_memory();
        }
    });
    assert!((1..=SINGLE_BYTE_MEMORY_MAX).contains(&held), "one byte behind a gap takes {held} bytes");
}

/// Sends a packet that only probes another path. The relay must not move there.
fn probe_elsewhere(sim: &mut Simulation, keyring: &mut Keyring, addr: SocketAddr) {
    let elsewhere = SocketAddr::new(addr.ip(), addr.port() - 1);
    let probe = Frame::Probe(Probe::of_len([1; 8], 0));
    for (number, from, frame) in [(0, addr, Frame::Ping), (1, elsewhere, probe)] {
        send_frames(sim, keyring, from, number, &encoded(&frame));
        sim.run_for(Duration::from_millis(100));
    }
    let is_at = |addr| {
        let mut found = false;
        sim.relay.core.visit_peers(|peer| found |= peer.path() == Some(Path::Udp(addr)));
        found
    };
    assert!(is_at(addr) && !is_at(elsewhere), "a probe moved the path");
}

fn send(sim: &mut Simulation, from: SocketAddr, bytes: Vec<u8>) {
    let proves = sim.address_limits.provable_addrs(from);
    let event = SimEvent::ToRelay { from, bytes, proves, genuine: false };
    sim.event_queue.push(sim.now, event);
}

/// Returns the frames of each packet.
pub fn frames_of(violation: Violation) -> Vec<Vec<u8>> {
    let stream = StreamId::Control;
    let piece = |offset, data: &[u8]| encoded(&Frame::Stream { stream, offset, data });
    match violation {
        Violation::TooEarly => {
            vec![encoded(&Frame::Stream { stream: StreamId::Chat, offset: 0, data: &[1] })]
        }
        Violation::PastCredit => vec![piece(CREDIT - 50, &[1; 100])],
        Violation::Differs => vec![piece(100, &[1; 100]), piece(150, &[2; 100])],
        Violation::LongMessage => vec![piece(0, &[0xBF, 0xFF, 0xFF, 0xFF, 1, 2, 3])],
        Violation::AckOfUnsent => {
            let mut frames = Vec::new();
            queqiao::wire::frame::encode_ack([900..=1000].into_iter(), 0, 100, &mut frames);
            assert!(matches!(
                queqiao::wire::frame::Frames::new(&frames).next(),
                Some(Ok(Frame::Ack(Ack { .. })))
            ));
            vec![frames]
        }
        Violation::ManyFrames => vec![encoded(&Frame::Ping).repeat(1_000)],
        Violation::UnknownFrame => vec![vec![0x3D, 0, 0, 0]],
    }
}

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}
