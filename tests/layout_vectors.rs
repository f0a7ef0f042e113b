//! Packets without keys, frames, messages, letters, and records, each with its fixed bytes.
//! Encoding must yield the bytes, and decoding must yield the value. A change here is a change of
//! the protocol.

use data_encoding::HEXLOWER;
use queqiao::base::{Carrier, LetterId, Mark, OutboxId, Wall, Watermarks};
use queqiao::wire::features::Features;
use queqiao::wire::frame::{Frame, Frames, Probe, StreamId, encode_ack};
use queqiao::wire::letter::{Content, GuestEvent, LetterBody, decode_text, encode_text};
use queqiao::wire::message::{
    Delivery, EarlierMarks, KIND_TEXT, Letter, MarkToken, NameList, NameReason, Nearest, OutboxMark, Reason,
    Receipt, Refused, ToClient, ToRelay,
};
use queqiao::wire::packet::{self, Packet};
use queqiao::wire::record::{Deframer, frame_record};

const ID: LetterId = LetterId { outbox: OutboxId(0x0123_4567_89ab_cdef), number: 7 };

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.replace(' ', "").as_bytes()).unwrap()
}

fn holds_frame(frame: &Frame<'_>, bytes: &str) {
    let bytes = hex(bytes);
    let mut written = Vec::new();
    frame.encode(&mut written);
    assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&bytes), "{frame:?}");
    let read: Vec<_> = Frames::new(&bytes).collect::<Result<_, _>>().unwrap();
    assert_eq!(read, [*frame]);
}

#[test]
fn packets_without_keys_have_fixed_bytes() {
    let nonce = [6; 24];
    let sealed = [7; 32];
    let mut cookie = Vec::new();
    let mut answer = Vec::new();
    let mut reset = Vec::new();
    packet::write_cookie(&mut cookie, 0x0102_0304, &nonce, &sealed);
    packet::write_key_answer(&mut answer, &[6; 16], &sealed);
    packet::write_reset(&mut reset, 0x0102_0304, &[7; 16]);
    let table = [
        (cookie, format!("ff030100 01020304 {} {}", "06".repeat(24), "07".repeat(32))),
        (answer, format!("ff050100 {} {}", "06".repeat(16), "07".repeat(32))),
        (reset, format!("ff070100 01020304 {}", "07".repeat(16))),
    ];
    for (written, bytes) in &table {
        assert_eq!(HEXLOWER.encode(written), bytes.replace(' ', ""));
    }
    let read = packet::parse(Carrier::Udp, &table[0].0);
    assert_eq!(read, Ok(Packet::Cookie { receiver: 0x0102_0304, nonce: &nonce, sealed: &sealed }));
}

#[test]
fn frames_have_fixed_bytes() {
    holds_frame(&Frame::Padding(3), "00 00 00");
    holds_frame(&Frame::Ping, "01");
    let chat = Frame::Stream { stream: StreamId::Chat, offset: 16_384, data: b"abc" };
    holds_frame(&chat, "03 01 80004000 03 616263");
    let control = Frame::Stream { stream: StreamId::Control, offset: 5, data: b"" };
    holds_frame(&control, "03 00 05 00");
    holds_frame(&Frame::MaxStreamData { stream: StreamId::Bulk, limit: 1 << 40 }, "04 02 c000010000000000");
    holds_frame(&Frame::PathChallenge([1, 2, 3, 4, 5, 6, 7, 8]), "05 0102030405060708");
    holds_frame(&Frame::PathResponse([8, 7, 6, 5, 4, 3, 2, 1]), "06 0807060504030201");
    holds_frame(&Frame::Close { code: 2, reason: "replaced" }, "07 0002 08 7265706c61636564");
    holds_frame(&Frame::MaxAckDelay(25_000), "08 800061a8");
    holds_frame(&Frame::Probe(Probe::of_len([1, 2, 3, 4, 5, 6, 7, 8], 12)), "40 0a 0102030405060708 0000");
    holds_frame(&Frame::ProbeAnswer(Probe::of_len([8; 8], 10)), "41 08 0808080808080808");
    holds_frame(&Frame::Skipped { kind: 0x42, body: b"later" }, "42 05 6c61746572");
}

#[test]
fn acks_have_bytes_of_rfc_9000() {
    // Received: 100, 98–97, and 90; the delay is 1,000 µs. First range: 0 below the largest. Then
    // gap 0 with length 1, and gap 5 with length 0.
    let bytes = hex("02 4064 43e8 02 00 00 01 05 00");
    let mut written = Vec::new();
    assert!(encode_ack([100..=100, 97..=98, 90..=90].into_iter(), 1_000, 64, &mut written));
    assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&bytes));
    let Some(Ok(Frame::Ack(ack))) = Frames::new(&bytes).next() else { panic!("an ack") };
    assert_eq!(ack.ranges().collect::<Vec<_>>(), [100..=100, 97..=98, 90..=90]);
}

#[test]
fn client_messages_have_fixed_bytes() {
    let letter = Letter { to: "鹊", id: ID, prev: 6, mark: Mark(5), kind: KIND_TEXT, body: b"hi" };
    let said = MarkToken { mark: Mark(5), token: 0xa1b2_c3d4 };
    let earlier = EarlierMarks::new(&[0, 0, 0, 3, 9, 8, 7, 6]);
    let outbox = Some(OutboxMark { outbox: ID.outbox, mark_token: said, earlier });
    let features = Features::OURS;
    let table = [
        (
            ToRelay::SignIn { name: "TOM", invite: &[], block_list_follows: false, outbox: None, features },
            "01 03 544f4d 00 00 00000000",
        ),
        (
            ToRelay::SignIn {
                name: "TOM",
                invite: &[0xab; 16],
                block_list_follows: true,
                outbox: None,
                features: Features(0x0102_0304),
            },
            "01 03 544f4d 10 abababababababababababababababab 01 01020304",
        ),
        (
            ToRelay::SignIn { name: "TOM", invite: &[], block_list_follows: true, outbox, features },
            "01 03 544f4d 00 03 0123456789abcdef 00000005 a1b2c3d4 01 00000003 09080706 00000000",
        ),
        (ToRelay::Mark { outbox: ID.outbox, mark_token: said }, "07 0123456789abcdef 00000005 a1b2c3d4"),
        (
            ToRelay::BlockList { flags: 3, names: NameList::new(b"\x03TOM\x03\xe9\xb9\x8a") },
            "06 03 03 544f4d 03 e9b98a",
        ),
        (stored(false), "02 04 4a41434b 0123456789abcdef 0000000000000007 00000005 00"),
        (stored(true), "02 04 4a41434b 0123456789abcdef 0000000000000007 00000005 01"),
        (
            ToRelay::Letter(letter),
            "10 03 e9b98a 0123456789abcdef 0000000000000007 0000000000000006 00000005 01 6869",
        ),
    ];
    for (message, bytes) in table {
        let bytes = hex(bytes);
        let mut written = Vec::new();
        message.encode(&mut written);
        assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&bytes), "{message:?}");
        assert_eq!(ToRelay::decode(&bytes), Ok(Some(message)));
    }
}

fn stored(at_full_second: bool) -> ToRelay<'static> {
    ToRelay::Stored { from: "JACK", outbox: ID.outbox, through: 7, mark: Mark(5), at_full_second }
}

fn welcome(mark_unwritten: bool) -> ToClient<'static> {
    let mailbox_letters = 5_000;
    let mailbox_bytes = 8 << 20;
    let kept_s = 2_592_000;
    let features = Features(0x0102_0304);
    ToClient::Welcome { text_max: 65_536, mailbox_letters, mailbox_bytes, kept_s, mark_unwritten, features }
}

#[test]
fn relay_messages_have_fixed_bytes() {
    let nearest = Nearest([Some("TOM"), None, None]);
    let reason = Reason::Unknown;
    let may_have_arrived = false;
    let refused = Refused { to: "TAM", id: ID, through: 7, mark: Mark(5), reason, may_have_arrived, nearest };
    let range = Refused { through: 0x107, reason: Reason::Blocked, nearest: Nearest::default(), ..refused };
    let lost = Refused { through: 7, reason: Reason::Expired, may_have_arrived: true, ..range };
    let receipt = Receipt {
        to: "JACK",
        outbox: ID.outbox,
        watermarks: Watermarks { accepted: 7, delivered: 6, read: 0 },
        until: Wall(1),
        taken_at: Wall(2),
        mark: Mark(5),
    };
    let accepted = Wall(0x0190_0000_0000);
    let delivery =
        Delivery { from: "TOM", id: ID, prev: 6, accepted, mark: Mark(5), kind: KIND_TEXT, body: b"hi" };
    let table = [
        (welcome(false), "41 00010000 00001388 0000000000800000 00278d00 00 01020304"),
        (welcome(true), "41 00010000 00001388 0000000000800000 00278d00 01 01020304"),
        (ToClient::NameRefused { reason: NameReason::Taken, name: "TOM" }, "42 01 03 544f4d"),
        (ToClient::NameRefused { reason: NameReason::Disk, name: "" }, "42 07 00"),
        (ToClient::NameRefused { reason: NameReason::Closed, name: "" }, "42 08 00"),
        (ToClient::NameRefused { reason: NameReason::Kept, name: "TOM" }, "42 09 03 544f4d"),
        (ToClient::NameRefused { reason: NameReason::Removed, name: "" }, "42 0a 00"),
        (ToClient::NameRefused { reason: NameReason::OldCopy, name: "" }, "42 0c 00"),
        (
            ToClient::Receipt(receipt),
            "43 04 4a41434b 0123456789abcdef 0000000000000007 0000000000000006 0000000000000000 \
             0000000000000001 0000000000000002 00000005",
        ),
        (
            ToClient::Refused(refused),
            "44 03 54414d 0123456789abcdef 0000000000000007 0000000000000007 00000005 01 00 01 03 544f4d",
        ),
        (
            ToClient::Refused(range),
            "44 03 54414d 0123456789abcdef 0000000000000007 0000000000000107 00000005 05 00 00",
        ),
        (
            ToClient::Refused(lost),
            "44 03 54414d 0123456789abcdef 0000000000000007 0000000000000007 00000005 07 01 00",
        ),
        (ToClient::Marked { mark: Mark(5) }, "46 00000005"),
        (
            ToClient::Delivery(delivery),
            "50 03 544f4d 0123456789abcdef 0000000000000007 0000000000000006 0000019000000000 00000005 01 6869",
        ),
    ];
    for (message, bytes) in table {
        let bytes = hex(bytes);
        let mut written = Vec::new();
        message.encode(&mut written);
        assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&bytes), "{message:?}");
        assert_eq!(ToClient::decode(&bytes), Ok(Some(message)));
    }
}

#[test]
fn every_reason_has_fixed_number_and_word() {
    let reasons = [
        (Reason::Unknown, 1, "unknown"),
        (Reason::Full, 3, "full"),
        (Reason::TooLong, 4, "too-long"),
        (Reason::Blocked, 5, "blocked"),
        (Reason::Behind, 6, "behind"),
        (Reason::Expired, 7, "expired"),
        (Reason::OldCopy, 8, "old-copy"),
        (Reason::Damaged, 9, "damaged"),
        (Reason::Unsupported, 10, "unsupported"),
        (Reason::Other(200), 200, "reason-200"),
    ];
    for (reason, code, word) in reasons {
        let nearest = Nearest::default();
        let refused =
            Refused { to: "", id: ID, through: 7, mark: Mark(5), reason, may_have_arrived: false, nearest };
        let mut written = Vec::new();
        ToClient::Refused(refused).encode(&mut written);
        assert_eq!(written[30], code);
        assert_eq!(&*reason.word(), word);
        assert_eq!(Reason::from_word(word), Some(reason));
        assert_eq!(Reason::from_code(code), reason);
    }
}

#[test]
fn text_is_cbor_map() {
    let bytes = hex("a2 00 63 e9b98a 01 1b 0000019000000000");
    assert_eq!(HEXLOWER.encode(&encode_text("鹊", Wall(0x0190_0000_0000))), HEXLOWER.encode(&bytes));
    assert_eq!(decode_text(&bytes), Ok(("鹊".to_owned(), Some(Wall(0x0190_0000_0000)))));
    let grown = hex("a3 00 62 6869 01 00 18 2a 65 6c61746572");
    assert_eq!(
        decode_text(&grown),
        Ok(("hi".to_owned(), Some(Wall(0)))),
        "field 42 of a later version is skipped"
    );
}

#[test]
fn guest_event_is_cbor_map() {
    for (note, body) in
        [(GuestEvent::Ended, "a1 00 01"), (GuestEvent::Left, "a1 00 02"), (GuestEvent::Close, "a1 00 03")]
    {
        let made = LetterBody::from_guest_event(note);
        assert_eq!(made.kind, 8);
        assert_eq!(HEXLOWER.encode(&made.body), HEXLOWER.encode(&hex(body)));
    }
    assert_eq!(
        Content::read(8, &hex("a2 00 02 18 2a 01")),
        Ok(Content::GuestEvent(GuestEvent::Left)),
        "later fields are skipped"
    );
}

#[test]
fn record_is_length_and_packet_after_magic_byte() {
    let bytes = hex("ff 0003 ff0601 0001 aa");
    let mut written = vec![0xff];
    frame_record(&hex("ff0601"), &mut written);
    frame_record(&[0xaa], &mut written);
    assert_eq!(HEXLOWER.encode(&written), HEXLOWER.encode(&bytes));
    let mut deframer = Deframer::for_relay();
    deframer.push(&bytes);
    assert_eq!(deframer.next_packet().unwrap().map(|p| p.to_vec()), Some(hex("ff0601")));
    assert_eq!(deframer.next_packet().unwrap().map(|p| p.to_vec()), Some(vec![0xaa]));
    assert_eq!(deframer.next_packet(), Ok(None));
}
