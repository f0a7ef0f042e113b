//! A hand-made peer of a relay: it performs the handshake as a client does, and then seals any
//! frames.

use std::collections::BTreeSet;

use queqiao::base::{Carrier, LetterId, Mark, OutboxId, Path, Rng, Wall, Watermarks};
use queqiao::session::{Identity, InitPayload, Initiator, Keys, ResponseOutcome, SessionId};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, Frames, StreamId, encode_ack};
use queqiao::wire::letter::encode_text;
use queqiao::wire::limits::{DATA_HEADER_LEN, STREAM_CREDIT};
use queqiao::wire::message::{KIND_TEXT, Letter, NameReason, Reason, ToClient, ToRelay};
use queqiao::wire::packet::{self, Packet};
use queqiao::wire::varint::{read_varint, write_varint};

use super::relay_harness::RelayHarness;

/// Content of one frame from the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenFrame {
    Close(u16, String),
    Challenge([u8; 8]),
    Response([u8; 8]),
    Ack(u64),
    Limit(StreamId, u64),
    StreamData(StreamId, usize),
}

/// One message from the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenMessage {
    Welcome,
    Marked(Mark),
    NameRefused(NameReason, String),
    Receipt { to: String, delivered: u64 },
    Refused { to: String, number: u64, through: u64, reason: Reason, may_have_arrived: bool, nearest: usize },
    Delivery { from: String, number: u64, prev: u64, body: Vec<u8> },
}

pub struct RawClient {
    pub path: Path,
    pub session: SessionId,
    pub continued: bool,
    pub keys: Keys,
    /// Number of the next packet.
    pub number: u64,
    /// Mark that its letters carry.
    pub mark: Mark,
    /// Whether each sent packet acknowledges the packets received before.
    pub acks: bool,
    /// All frames received, in order.
    pub seen_frames: Vec<SeenFrame>,
    /// Number of messages of each stream that were read already.
    read: [usize; 3],
    sent: [u64; 3],
    streams: [Vec<u8>; 3],
    received: BTreeSet<u64>,
}

/// Returns a distinct private key for each number.
pub fn private_key(n: u64) -> [u8; 32] {
    let mut key = [0; 32];
    Rng::from_seed(std::array::from_fn(|i| n.to_be_bytes()[i % 8])).fill(&mut key);
    key
}

/// Returns a first handshake packet and the state that reads its answer.
pub fn new_initiator(
    relay: &RelayHarness,
    private: [u8; 32],
    carrier: Carrier,
    hello: &InitPayload,
    index: u32,
) -> Initiator {
    let seed: [u8; 32] =
        std::array::from_fn(|i| private[i] ^ hello.counter.to_be_bytes()[i % 8] ^ index as u8);
    let identity = Identity::from_private(private);
    Initiator::new(&identity, &relay.key(), hello, index, carrier, &mut Rng::from_seed(seed))
        .expect("the relay's key is valid")
}

/// Reports all letters of this outbox up to `through` as stored, whatever their mark.
pub fn stored_report(from: &str, outbox: u64, through: u64) -> ToRelay<'_> {
    let outbox = OutboxId(outbox);
    let mark = Mark(u32::MAX);
    let at_full_second = false;
    ToRelay::Stored { from, outbox, through, mark, at_full_second }
}

/// The same report of a recipient that does not know the sender.
pub fn stored_report_of_stranger(from: &str, outbox: u64, through: u64) -> ToRelay<'_> {
    let outbox = OutboxId(outbox);
    let mark = Mark(u32::MAX);
    let at_full_second = true;
    ToRelay::Stored { from, outbox, through, mark, at_full_second }
}

impl RawClient {
    /// Performs a handshake with key number `who`. Returns `None` if the relay grants no session.
    pub fn handshake(relay: &mut RelayHarness, path: Path, member: u64, counter: u64) -> Option<RawClient> {
        RawClient::handshake_with(relay, path, private_key(member), &InitPayload { counter, continues: None })
    }

    /// The same with this key and payload.
    pub fn handshake_with(
        relay: &mut RelayHarness,
        path: Path,
        private: [u8; 32],
        hello: &InitPayload,
    ) -> Option<RawClient> {
        let mut initiator =
            new_initiator(relay, private, path.carrier(), hello, (hello.counter as u32 | 1) ^ 0x5000_0000);
        relay.handle_packet(path, initiator.packet());
        let mut answers = relay.take_sent_on(path);
        // Under load the relay answers with a cookie. Send the packet again with it.
        if answers.iter().any(|bytes| initiator.handle_cookie(bytes) == Ok(true)) {
            relay.handle_packet(path, initiator.packet());
            answers = relay.take_sent_on(path);
        }
        let answered = answers.iter().find_map(|bytes| initiator.handle_response(bytes).ok())?;
        let ResponseOutcome::Established(established) = answered else { return None };
        Some(RawClient {
            path,
            session: established.grant.session,
            continued: established.grant.continued,
            keys: established.keys,
            number: 0,
            mark: Mark(1),
            acks: true,
            seen_frames: Vec::new(),
            read: [0; 3],
            sent: [0; 3],
            streams: Default::default(),
            received: BTreeSet::new(),
        })
    }

    /// Performs a handshake and signs in. Asserts the welcome.
    pub fn signed_in(relay: &mut RelayHarness, path: Path, member: u64, name: &str) -> RawClient {
        let counter = relay.next_counter();
        let mut client = RawClient::handshake(relay, path, member, counter).expect("the relay answers");
        client.sign_in(relay, name);
        assert_eq!(client.take_messages(StreamId::Control).first(), Some(&SeenMessage::Welcome), "{name}");
        client
    }

    /// Performs a handshake and signs in, without waiting for the welcome.
    pub fn signing_in(relay: &mut RelayHarness, path: Path, member: u64, name: &str) -> RawClient {
        let counter = relay.next_counter();
        let mut client = RawClient::handshake(relay, path, member, counter).expect("the relay answers");
        client.sign_in(relay, name);
        client
    }

    pub fn sign_in(&mut self, relay: &mut RelayHarness, name: &str) {
        self.send_message(
            relay,
            StreamId::Control,
            &ToRelay::SignIn {
                name,
                invite: &[],
                block_list_follows: false,
                outbox: None,
                features: Features::OURS,
            },
        );
    }

    /// Returns a packet of these frames, sealed under the next number.
    pub fn seal(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut buf = vec![0; DATA_HEADER_LEN];
        if self.acks && !frames.iter().any(|frame| matches!(frame, Frame::Ack(_))) {
            let newest_first = self.received.iter().rev().map(|n| *n..=*n);
            // One range suffices: acknowledge the highest run of consecutive numbers.
            let run = newest_first
                .clone()
                .zip(0..)
                .take_while(|(r, at)| self.received.last().is_some_and(|last| last - at == *r.start()));
            let run: Vec<u64> = run.map(|(r, _)| *r.start()).collect();
            if let (Some(last), Some(first)) = (run.first(), run.last()) {
                encode_ack(std::iter::once(*first..=*last), 0, 100, &mut buf);
            }
        }
        frames.iter().for_each(|frame| frame.encode(&mut buf));
        self.number += 1;
        self.keys.seal(self.number - 1, &mut buf, 0);
        buf
    }

    /// Returns a packet of these bytes in place of frames.
    pub fn seal_raw(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut buf = vec![0; DATA_HEADER_LEN];
        buf.extend_from_slice(plain);
        self.number += 1;
        self.keys.seal(self.number - 1, &mut buf, 0);
        buf
    }

    /// Sends a packet of these frames and receives the answers.
    pub fn send(&mut self, relay: &mut RelayHarness, frames: &[Frame<'_>]) {
        let packet = self.seal(frames);
        relay.handle_packet(self.path, &packet);
        self.receive(relay);
    }

    pub fn send_raw(&mut self, relay: &mut RelayHarness, plain: &[u8]) {
        let packet = self.seal_raw(plain);
        relay.handle_packet(self.path, &packet);
        self.receive(relay);
    }

    /// Sends a message, in as many packets as it takes.
    pub fn send_message(&mut self, relay: &mut RelayHarness, stream: StreamId, message: &ToRelay<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.send_message_bytes(relay, stream, &bytes);
    }

    pub fn send_message_bytes(&mut self, relay: &mut RelayHarness, stream: StreamId, message: &[u8]) {
        let mut bytes = Vec::new();
        write_varint(&mut bytes, message.len() as u64);
        bytes.extend_from_slice(message);
        for piece in bytes.chunks(900) {
            let offset = self.sent[stream.index()];
            self.sent[stream.index()] += piece.len() as u64;
            self.send(relay, &[Frame::Stream { stream, offset, data: piece }]);
        }
    }

    /// Returns the bytes of this stream for which a member has credit.
    pub fn credit(&self, stream: StreamId) -> usize {
        self.credit_of(stream, STREAM_CREDIT[stream.index()])
    }

    /// The same if the first credit was `first` bytes.
    pub fn credit_of(&self, stream: StreamId, first: usize) -> usize {
        let limits = self.seen_frames.iter().rev().filter_map(|frame| match frame {
            SeenFrame::Limit(of, limit) if *of == stream => Some(*limit),
            _ => None,
        });
        (limits.take(1).fold(first as u64, u64::max) - self.sent[stream.index()]) as usize
    }

    /// Writes a letter.
    pub fn send_letter(&mut self, relay: &mut RelayHarness, to: &str, number: u64, prev: u64, text: &str) {
        self.send_letter_from(relay, OutboxId(0xB0), to, (number, prev), &encode_text(text, Wall(1)));
    }

    pub fn send_letter_from(
        &mut self,
        relay: &mut RelayHarness,
        outbox: OutboxId,
        to: &str,
        (number, prev): (u64, u64),
        body: &[u8],
    ) {
        let letter =
            Letter { to, id: LetterId { outbox, number }, prev, mark: self.mark, kind: KIND_TEXT, body };
        self.send_message(relay, StreamId::Chat, &ToRelay::Letter(letter));
    }

    /// Writes a letter of any kind.
    pub fn send_letter_of_kind(
        &mut self,
        relay: &mut RelayHarness,
        to: &str,
        (number, prev): (u64, u64),
        (kind, body): (u8, &[u8]),
    ) {
        let id = LetterId { outbox: OutboxId(0xB0), number };
        let letter = Letter { to, id, prev, mark: self.mark, kind, body };
        self.send_message(relay, StreamId::Chat, &ToRelay::Letter(letter));
        self.receive(relay);
    }

    /// Reports the letters of the usual outbox up to `through` as stored.
    pub fn report_stored(&mut self, relay: &mut RelayHarness, from: &str, through: u64) {
        self.send_message(relay, StreamId::Control, &stored_report(from, 0xB0, through));
    }

    /// Receives the packets sent to its path.
    pub fn receive(&mut self, relay: &mut RelayHarness) {
        for mut bytes in relay.take_sent_on(self.path) {
            self.open_packet(&mut bytes);
        }
    }

    pub fn open_packet(&mut self, bytes: &mut [u8]) {
        let Ok(Packet::Data { receiver, number }) = packet::parse(self.path.carrier(), bytes) else { return };
        if receiver != self.keys.local_index {
            return;
        }
        let Ok(plain) = self.keys.open(number, bytes) else { return };
        self.received.insert(number);
        for frame in Frames::new(plain).map(|frame| frame.expect("the relay sends valid frames")) {
            match frame {
                Frame::Close { code, reason } => {
                    self.seen_frames.push(SeenFrame::Close(code, reason.to_owned()))
                }
                Frame::PathChallenge(data) => self.seen_frames.push(SeenFrame::Challenge(data)),
                Frame::PathResponse(data) => self.seen_frames.push(SeenFrame::Response(data)),
                Frame::Ack(ack) => self.seen_frames.push(SeenFrame::Ack(ack.largest)),
                Frame::MaxStreamData { stream, limit } => {
                    self.seen_frames.push(SeenFrame::Limit(stream, limit))
                }
                Frame::Stream { stream, offset, data } => {
                    let have = &mut self.streams[stream.index()];
                    let offset = offset as usize;
                    assert!(offset <= have.len(), "no packet is lost here");
                    let known = have.len() - offset;
                    have.extend_from_slice(data.get(known..).unwrap_or_default());
                    self.seen_frames.push(SeenFrame::StreamData(stream, data.len()));
                }
                Frame::MaxAckDelay(_) | Frame::Probe(_) | Frame::ProbeAnswer(_) => {}
                Frame::Padding(_) | Frame::Ping | Frame::Skipped { .. } => {}
            }
        }
    }

    /// Returns the new messages of a stream.
    pub fn take_messages(&mut self, stream: StreamId) -> Vec<SeenMessage> {
        self.take_message_bytes(stream).iter().map(|message| decode_message(message)).collect()
    }

    /// Returns the new receipts: accepted, delivered, read, and whether the last accepted letter
    /// waits in the mailbox.
    pub fn take_receipts(&mut self, relay: &mut RelayHarness) -> Vec<(u64, u64, u64, bool)> {
        self.receive(relay);
        let receipt = |message: &Vec<u8>| match ToClient::decode(message) {
            Ok(Some(ToClient::Receipt(r))) => {
                let Watermarks { accepted, delivered, read } = r.watermarks;
                Some((accepted, delivered, read, r.until.0 > 0))
            }
            _ => None,
        };
        self.take_message_bytes(StreamId::Control).iter().filter_map(receipt).collect()
    }

    fn take_message_bytes(&mut self, stream: StreamId) -> Vec<Vec<u8>> {
        let mut rest = &self.streams[stream.index()][..];
        let mut all = Vec::new();
        while let Some(len) = read_varint(&mut rest).map(|len| len as usize).filter(|len| *len <= rest.len())
        {
            let (message, left) = rest.split_at(len);
            rest = left;
            all.push(message.to_vec());
        }
        let new = all.split_off(self.read[stream.index()]);
        self.read[stream.index()] += new.len();
        new
    }

    /// Returns the new refusals of its letters: numbers and reasons.
    pub fn take_refusals(&mut self, relay: &mut RelayHarness) -> Vec<(u64, Reason)> {
        self.receive(relay);
        let mut refusals = Vec::new();
        for message in self.take_messages(StreamId::Control) {
            if let SeenMessage::Refused { number, through, reason, .. } = message {
                refusals.extend((number..=through).map(|number| (number, reason)));
            }
        }
        refusals
    }

    /// Returns the new letters to it: senders, numbers and bodies.
    pub fn take_deliveries(&mut self, relay: &mut RelayHarness) -> Vec<(String, u64, Vec<u8>)> {
        self.receive(relay);
        let letter = |message| match message {
            SeenMessage::Delivery { from, number, body, .. } => Some((from, number, body)),
            _ => None,
        };
        self.take_messages(StreamId::Chat).into_iter().filter_map(letter).collect()
    }

    /// Whether its session answers and is not closed.
    pub fn is_alive(&mut self, relay: &mut RelayHarness) -> bool {
        self.seen_frames.clear();
        self.send(relay, &[Frame::Ping]);
        !self.seen_frames.is_empty() && self.close_code().is_none()
    }

    /// Returns the code of the first CLOSE received.
    pub fn close_code(&self) -> Option<u16> {
        self.seen_frames
            .iter()
            .find_map(|frame| if let SeenFrame::Close(code, _) = frame { Some(*code) } else { None })
    }
}

fn decode_message(message: &[u8]) -> SeenMessage {
    match ToClient::decode(message).expect("the relay sends valid messages").expect("of this version") {
        ToClient::Welcome { .. } => SeenMessage::Welcome,
        ToClient::NameRefused { reason, name } => SeenMessage::NameRefused(reason, name.to_owned()),
        ToClient::Receipt(r) => {
            SeenMessage::Receipt { to: r.to.to_owned(), delivered: r.watermarks.delivered }
        }
        ToClient::Refused(r) => SeenMessage::Refused {
            to: r.to.to_owned(),
            number: r.id.number,
            through: r.through,
            reason: r.reason,
            may_have_arrived: r.may_have_arrived,
            nearest: r.nearest.0.iter().flatten().count(),
        },
        ToClient::Marked { mark } => SeenMessage::Marked(mark),
        ToClient::Delivery(d) => SeenMessage::Delivery {
            from: d.from.to_owned(),
            number: d.id.number,
            prev: d.prev,
            body: d.body.to_vec(),
        },
    }
}
