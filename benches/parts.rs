//! Cost of each hot path by itself: `cargo bench --bench parts [-- FILTER]`.
#![allow(clippy::disallowed_types, reason = "a bench is a process, not a core")]

#[allow(dead_code, reason = "the other bench counts unknown names too")]
mod pair_sim;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pair_sim::PairSim;
use queqiao::base::{Carrier, LetterId, Mark, OutboxId, Path, Tick};
use queqiao::link::{Link, Params};
use queqiao::relay::{MailboxLetter, Record};
use queqiao::session::Keys;
use queqiao::store::{Backend, RelayStore};
use queqiao::wire::frame::{Frame, Frames, StreamId};
use queqiao::wire::packet::{data_header, parse};

/// Header of a data packet, in bytes.
const DATA_HEADER_LEN: usize = 16;
/// Letters per round where many are sent together.
const ROUND: u64 = 64;
/// Letters per commit.
const COMMIT: u64 = 512;

fn sealing(c: &mut Criterion) {
    let ours = Keys::new(1, 2, [3; 32], [4; 32]);
    let theirs = Keys::new(2, 1, [4; 32], [3; 32]);
    let mut group = c.benchmark_group("session");
    for len in [100, 1_168] {
        let mut buf = Vec::with_capacity(2_048);
        let mut number = 0;
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("seal and open {len} bytes"), |b| {
            b.iter(|| {
                buf.clear();
                buf.resize(DATA_HEADER_LEN + len, 0x5a);
                ours.seal(number, &mut buf, 0);
                let opened = theirs.open(number, &mut buf).expect("sealed with the other end's keys").len();
                number += 1;
                opened
            });
        });
    }
    group.finish();
}

fn coding(c: &mut Criterion) {
    let data = [0x5a; 100];
    let frames = [
        Frame::Ping,
        Frame::Stream { stream: StreamId::Chat, offset: 1 << 20, data: &data },
        Frame::MaxAckDelay(25_000),
    ];
    let mut packet = data_header(7, 1 << 20).to_vec();
    frames.iter().for_each(|frame| frame.encode(&mut packet));
    let mut group = c.benchmark_group("wire");
    let mut buf = Vec::with_capacity(2_048);
    group.bench_function("encode a packet of 100 bytes", |b| {
        b.iter(|| {
            buf.clear();
            buf.extend_from_slice(&data_header(black_box(7), 1 << 20));
            frames.iter().for_each(|frame| frame.encode(&mut buf));
            buf.len()
        });
    });
    packet.extend_from_slice(&[0; 16]);
    group.bench_function("decode it", |b| {
        b.iter(|| {
            let header = parse(Carrier::Udp, black_box(&packet)).is_ok();
            let frames = Frames::new(&packet[DATA_HEADER_LEN..packet.len() - 16]);
            (header, frames.filter(Result::is_ok).count())
        });
    });
    group.finish();
}

/// Two links without a session between them.
struct TwoLinks {
    ends: [Link; 2],
    tick: Tick,
    buf: Vec<u8>,
    message: Vec<u8>,
}

impl TwoLinks {
    fn new() -> TwoLinks {
        let tick = Tick::from_micros(1_000_000);
        let link = |port, is_client| {
            let path = Path::Udp(([198, 18, 0, 1], port).into());
            let initial_rtt = Some(Duration::from_micros(100));
            Link::new(path, tick, Params { initial_rtt, is_client, jitter: 0 })
        };
        let ends = [link(1, true), link(2, false)];
        let mut pair = TwoLinks { ends, tick, buf: Vec::new(), message: Vec::new() };
        pair.ends[1].grant_credit();
        pair.pass(1);
        pair
    }

    /// Passes the packets of one end to the other. Returns their number.
    fn pass(&mut self, from: usize) -> usize {
        let mut packets = 0;
        self.tick = self.tick + Duration::from_micros(50);
        loop {
            self.buf.clear();
            let Some(built) = self.ends[from].build(self.tick, 1_168, 0, &[], &mut self.buf) else { break };
            let path = self.ends[1 - from].path().expect("no end has closed its path");
            let seen =
                self.ends[1 - from].handle_packet(self.tick, path, built.number, &self.buf, &mut |_| {});
            seen.expect("both keep to the protocol");
            packets += 1;
        }
        packets
    }

    /// Sends `letters` of 100 bytes, reads them, and waits for the acks. Returns the number read.
    fn round(&mut self, letters: u64) -> u64 {
        for _ in 0..letters {
            self.ends[0].send(StreamId::Chat, &[&[0x5a; 100]]).expect("all earlier letters are acknowledged");
        }
        let mut read = 0;
        while read < letters {
            self.pass(0);
            while self.ends[1].receive(StreamId::Chat, &mut self.message) {
                read += 1;
            }
            self.ends[1].handle_time(self.tick);
            self.pass(1);
        }
        while self.ends[0].unacked_bytes() > 0 {
            self.tick = self.tick + Duration::from_millis(5);
            self.ends.iter_mut().for_each(|end| end.handle_time(self.tick));
            self.pass(1);
            self.pass(0);
        }
        read
    }
}

fn linking(c: &mut Criterion) {
    let mut group = c.benchmark_group("link");
    let mut pair = TwoLinks::new();
    group.bench_function("send, receive and acknowledge one letter", |b| b.iter(|| pair.round(1)));
    let mut pair = TwoLinks::new();
    group.throughput(Throughput::Elements(ROUND));
    group.bench_function("the same with 64 letters", |b| b.iter(|| pair.round(ROUND)));
    group.finish();
}

fn relaying(c: &mut Criterion) {
    let mut group = c.benchmark_group("relay");
    let mut sim = PairSim::open(1, 100);
    group.bench_function("one letter from member to member, all three ends", |b| {
        b.iter(|| sim.exchange(1, 1))
    });
    let mut sim = PairSim::open(1, 100);
    group.throughput(Throughput::Elements(ROUND));
    group.bench_function("64 letters at once, all three ends", |b| b.iter(|| sim.exchange(ROUND, ROUND)));
    group.finish();
}

fn committing(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder can be created");
    let (mut store, _) = RelayStore::open(dir.path(), || [7; 32]).expect("the folder is empty");
    let mut place = 0;
    let mut group = c.benchmark_group("store");
    group.sample_size(20).throughput(Throughput::Elements(COMMIT));
    group.bench_function("commit 512 letters", |b| {
        b.iter_batched(
            || {
                place += COMMIT;
                letters(place)
            },
            |record| store.commit(&[record], &mut Vec::new()).expect("the disk has room"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Returns the record of one commit, whose letters are numbered from `place` on.
fn letters(place: u64) -> Record {
    let letter = |place| MailboxLetter {
        seq: place,
        stored_at: 0,
        from: "TOM".parse().expect("a name"),
        id: LetterId { outbox: OutboxId(1), number: place },
        len: 100,
        mark: Mark(1),
        message: vec![0x5a; 140].into(),
    };
    Record::Letters {
        to: "JACK".parse().expect("a name"),
        letters: (place..place + COMMIT).map(letter).collect(),
        deliveries: Vec::new(),
    }
}

criterion_group! {
    name = parts;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = sealing, coding, linking, relaying, committing
}
criterion_main!(parts);
