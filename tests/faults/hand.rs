//! A hand-made peer of a relay: it performs the handshake as a client does, and then seals any
//! frames.

use std::collections::BTreeSet;

use queqiao::base::{Carrier, LetterId, Mark, OutboxId, Path, Rng, Wall};
use queqiao::session::{AccessSecret, Answered, Hello, Identity, Initiator, Keys, SessionId};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, Frames, StreamId, encode_ack};
use queqiao::wire::letter::encode_text;
use queqiao::wire::limits::{DATA_HEADER_LEN, STREAM_CREDIT};
use queqiao::wire::message::{KIND_TEXT, Letter, NameReason, Reason, ToClient, ToRelay};
use queqiao::wire::packet::{self, Packet};
use queqiao::wire::varint::{read_varint, write_varint};

use super::rig::Rig;

/// Content of one frame from the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Close(u16, String),
    Challenge([u8; 8]),
    Response([u8; 8]),
    Ack(u64),
    Limit(StreamId, u64),
    Piece(StreamId, usize),
}

/// One message from the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Welcome,
    Marked(Mark),
    NameRefused(NameReason, String),
    Receipt { to: String, delivered: u64 },
    Refused { to: String, number: u64, through: u64, reason: Reason, may_have_arrived: bool, nearest: usize },
    Delivery { from: String, number: u64, prev: u64, body: Vec<u8> },
}

pub struct Hand {
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
    pub heard: Vec<Said>,
    /// Number of messages of each stream that were read already.
    read: [usize; 3],
    sent: [u64; 3],
    streams: [Vec<u8>; 3],
    received: BTreeSet<u64>,
}

/// Returns a distinct private key for each number.
pub fn private(n: u64) -> [u8; 32] {
    let mut key = [0; 32];
    Rng::from_seed(std::array::from_fn(|i| n.to_be_bytes()[i % 8])).fill(&mut key);
    key
}

/// Returns a first handshake packet and the state that reads its answer.
pub fn init(rig: &Rig, private: [u8; 32], carrier: Carrier, hello: &Hello, index: u32) -> Initiator {
    let seed: [u8; 32] =
        std::array::from_fn(|i| private[i] ^ hello.counter.to_be_bytes()[i % 8] ^ index as u8);
    let identity = Identity::from_private(private);
    let secret = AccessSecret::default();
    Initiator::new(&identity, &rig.key(), &secret, hello, index, carrier, &mut Rng::from_seed(seed))
        .expect("the relay's key is valid")
}

/// Reports all letters of this outbox up to `through` as stored, whatever their mark.
pub fn stored(from: &str, outbox: u64, through: u64) -> ToRelay<'_> {
    let outbox = OutboxId(outbox);
    let mark = Mark(u32::MAX);
    let at_full_second = false;
    ToRelay::Stored { from, outbox, through, mark, at_full_second }
}

/// The same report of a recipient that does not know the sender.
pub fn stored_of_stranger(from: &str, outbox: u64, through: u64) -> ToRelay<'_> {
    let outbox = OutboxId(outbox);
    let mark = Mark(u32::MAX);
    let at_full_second = true;
    ToRelay::Stored { from, outbox, through, mark, at_full_second }
}

impl Hand {
    /// Performs a handshake with key number `who`. Returns `None` if the relay grants no session.
    pub fn shake(rig: &mut Rig, path: Path, who: u64, counter: u64) -> Option<Hand> {
        Hand::shake_on(rig, path, private(who), &Hello { counter, continues: None })
    }

    /// The same with this key and payload.
    pub fn shake_on(rig: &mut Rig, path: Path, private: [u8; 32], hello: &Hello) -> Option<Hand> {
        let mut initiator =
            init(rig, private, path.carrier(), hello, (hello.counter as u32 | 1) ^ 0x5000_0000);
        rig.give(path, initiator.packet());
        let mut answers = rig.answers(path);
        // Under load the relay answers with a cookie. Send the packet again with it.
        if answers.iter().any(|bytes| initiator.handle_cookie(bytes) == Ok(true)) {
            rig.give(path, initiator.packet());
            answers = rig.answers(path);
        }
        let answered = answers.iter().find_map(|bytes| initiator.handle_response(bytes).ok())?;
        let Answered::Established(established) = answered else { return None };
        Some(Hand {
            path,
            session: established.welcome.session,
            continued: established.welcome.continued,
            keys: established.keys,
            number: 0,
            mark: Mark(1),
            acks: true,
            heard: Vec::new(),
            read: [0; 3],
            sent: [0; 3],
            streams: Default::default(),
            received: BTreeSet::new(),
        })
    }

    /// Performs a handshake and signs in. Asserts the welcome.
    pub fn member(rig: &mut Rig, path: Path, who: u64, name: &str) -> Hand {
        let counter = rig.counter();
        let mut hand = Hand::shake(rig, path, who, counter).expect("the relay answers");
        hand.sign_in(rig, name);
        assert_eq!(hand.told(StreamId::Control).first(), Some(&Told::Welcome), "{name}");
        hand
    }

    /// Performs a handshake and signs in, without waiting for the welcome.
    pub fn member_or_held(rig: &mut Rig, path: Path, who: u64, name: &str) -> Hand {
        let counter = rig.counter();
        let mut hand = Hand::shake(rig, path, who, counter).expect("the relay answers");
        hand.sign_in(rig, name);
        hand
    }

    pub fn sign_in(&mut self, rig: &mut Rig, name: &str) {
        self.say(
            rig,
            StreamId::Control,
            &ToRelay::SignIn {
                name,
                invite: &[],
                screen_follows: false,
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
    pub fn send(&mut self, rig: &mut Rig, frames: &[Frame<'_>]) {
        let packet = self.seal(frames);
        rig.give(self.path, &packet);
        self.hear(rig);
    }

    pub fn send_raw(&mut self, rig: &mut Rig, plain: &[u8]) {
        let packet = self.seal_raw(plain);
        rig.give(self.path, &packet);
        self.hear(rig);
    }

    /// Sends a message, in as many packets as it takes.
    pub fn say(&mut self, rig: &mut Rig, stream: StreamId, message: &ToRelay<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.say_bytes(rig, stream, &bytes);
    }

    pub fn say_bytes(&mut self, rig: &mut Rig, stream: StreamId, message: &[u8]) {
        let mut bytes = Vec::new();
        write_varint(&mut bytes, message.len() as u64);
        bytes.extend_from_slice(message);
        for piece in bytes.chunks(900) {
            let offset = self.sent[stream.index()];
            self.sent[stream.index()] += piece.len() as u64;
            self.send(rig, &[Frame::Stream { stream, offset, data: piece }]);
        }
    }

    /// Returns the bytes of this stream for which a member has credit.
    pub fn room(&self, stream: StreamId) -> usize {
        self.room_of(stream, STREAM_CREDIT[stream.index()])
    }

    /// The same if the first credit was `first` bytes.
    pub fn room_of(&self, stream: StreamId, first: usize) -> usize {
        let limits = self.heard.iter().rev().filter_map(|said| match said {
            Said::Limit(of, limit) if *of == stream => Some(*limit),
            _ => None,
        });
        (limits.take(1).fold(first as u64, u64::max) - self.sent[stream.index()]) as usize
    }

    /// Writes a letter.
    pub fn write(&mut self, rig: &mut Rig, to: &str, number: u64, prev: u64, text: &str) {
        self.write_from(rig, OutboxId(0xB0), to, (number, prev), &encode_text(text, Wall(1)));
    }

    pub fn write_from(
        &mut self,
        rig: &mut Rig,
        outbox: OutboxId,
        to: &str,
        (number, prev): (u64, u64),
        body: &[u8],
    ) {
        let letter =
            Letter { to, id: LetterId { outbox, number }, prev, mark: self.mark, kind: KIND_TEXT, body };
        self.say(rig, StreamId::Chat, &ToRelay::Letter(letter));
    }

    /// Writes a letter of any kind.
    pub fn write_kind(
        &mut self,
        rig: &mut Rig,
        to: &str,
        (number, prev): (u64, u64),
        (kind, body): (u8, &[u8]),
    ) {
        let id = LetterId { outbox: OutboxId(0xB0), number };
        let letter = Letter { to, id, prev, mark: self.mark, kind, body };
        self.say(rig, StreamId::Chat, &ToRelay::Letter(letter));
        self.hear(rig);
    }

    /// Reports the letters of the usual outbox up to `through` as stored.
    pub fn store(&mut self, rig: &mut Rig, from: &str, through: u64) {
        self.say(rig, StreamId::Control, &stored(from, 0xB0, through));
    }

    /// Receives the packets sent to its path.
    pub fn hear(&mut self, rig: &mut Rig) {
        for mut bytes in rig.answers(self.path) {
            self.open(&mut bytes);
        }
    }

    pub fn open(&mut self, bytes: &mut [u8]) {
        let Ok(Packet::Data { receiver, number }) = packet::parse(self.path.carrier(), bytes) else { return };
        if receiver != self.keys.local_index {
            return;
        }
        let Ok(plain) = self.keys.open(number, bytes) else { return };
        self.received.insert(number);
        for frame in Frames::new(plain).map(|frame| frame.expect("the relay sends valid frames")) {
            match frame {
                Frame::Close { code, reason } => self.heard.push(Said::Close(code, reason.to_owned())),
                Frame::PathChallenge(data) => self.heard.push(Said::Challenge(data)),
                Frame::PathResponse(data) => self.heard.push(Said::Response(data)),
                Frame::Ack(ack) => self.heard.push(Said::Ack(ack.largest)),
                Frame::MaxStreamData { stream, limit } => self.heard.push(Said::Limit(stream, limit)),
                Frame::Stream { stream, offset, data } => {
                    let have = &mut self.streams[stream.index()];
                    let offset = offset as usize;
                    assert!(offset <= have.len(), "no packet is lost here");
                    let known = have.len() - offset;
                    have.extend_from_slice(data.get(known..).unwrap_or_default());
                    self.heard.push(Said::Piece(stream, data.len()));
                }
                Frame::MaxAckDelay(_) | Frame::Probe(_) | Frame::ProbeAnswer(_) => {}
                Frame::Padding(_) | Frame::Ping | Frame::Skipped { .. } => {}
            }
        }
    }

    /// Returns the new messages of a stream.
    pub fn told(&mut self, stream: StreamId) -> Vec<Told> {
        self.messages(stream).iter().map(|message| told(message)).collect()
    }

    /// Returns the new receipts: accepted, delivered, read, and whether the last accepted letter
    /// waits in the mailbox.
    pub fn receipts(&mut self, rig: &mut Rig) -> Vec<(u64, u64, u64, bool)> {
        self.hear(rig);
        let receipt = |message: &Vec<u8>| match ToClient::decode(message) {
            Ok(Some(ToClient::Receipt(r))) => Some((r.accepted, r.delivered, r.read, r.until.0 > 0)),
            _ => None,
        };
        self.messages(StreamId::Control).iter().filter_map(receipt).collect()
    }

    fn messages(&mut self, stream: StreamId) -> Vec<Vec<u8>> {
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
    pub fn refusals(&mut self, rig: &mut Rig) -> Vec<(u64, Reason)> {
        self.hear(rig);
        let mut refusals = Vec::new();
        for told in self.told(StreamId::Control) {
            if let Told::Refused { number, through, reason, .. } = told {
                refusals.extend((number..=through).map(|number| (number, reason)));
            }
        }
        refusals
    }

    /// Returns the new letters to it: senders, numbers and bodies.
    pub fn deliveries(&mut self, rig: &mut Rig) -> Vec<(String, u64, Vec<u8>)> {
        self.hear(rig);
        let letter = |told| match told {
            Told::Delivery { from, number, body, .. } => Some((from, number, body)),
            _ => None,
        };
        self.told(StreamId::Chat).into_iter().filter_map(letter).collect()
    }

    /// Whether its session answers and is not closed.
    pub fn is_alive(&mut self, rig: &mut Rig) -> bool {
        self.heard.clear();
        self.send(rig, &[Frame::Ping]);
        !self.heard.is_empty() && self.closed().is_none()
    }

    /// Returns the code of the first CLOSE received.
    pub fn closed(&self) -> Option<u16> {
        self.heard.iter().find_map(|said| if let Said::Close(code, _) = said { Some(*code) } else { None })
    }
}

fn told(message: &[u8]) -> Told {
    match ToClient::decode(message).expect("the relay sends valid messages").expect("of this version") {
        ToClient::Welcome { .. } => Told::Welcome,
        ToClient::NameRefused { reason, name } => Told::NameRefused(reason, name.to_owned()),
        ToClient::Receipt(r) => Told::Receipt { to: r.to.to_owned(), delivered: r.delivered },
        ToClient::Refused(r) => Told::Refused {
            to: r.to.to_owned(),
            number: r.id.number,
            through: r.through,
            reason: r.reason,
            may_have_arrived: r.may_have_arrived,
            nearest: r.nearest.0.iter().flatten().count(),
        },
        ToClient::Marked { mark } => Told::Marked(mark),
        ToClient::Delivery(d) => Told::Delivery {
            from: d.from.to_owned(),
            number: d.id.number,
            prev: d.prev,
            body: d.body.to_vec(),
        },
    }
}
