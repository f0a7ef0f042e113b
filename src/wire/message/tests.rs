//! Tests of encoding and decoding messages.

use super::*;
use proptest::prelude::*;

const ID: LetterId = LetterId { outbox: OutboxId(0x0102), number: 3 };

fn stored(at_full_second: bool) -> ToRelay<'static> {
    ToRelay::Stored {
        from: "一棵树", outbox: OutboxId(9), through: u64::MAX, mark: Mark(7), at_full_second
    }
}

#[test]
fn client_messages_round_trip() {
    let letter = Letter { to: "武大郎", id: ID, prev: 2, mark: Mark(0), kind: KIND_TEXT, body: b"body" };
    let features = Features::OURS;
    let all = [
        ToRelay::SignIn { name: "TOM", invite: &[], block_list_follows: false, outbox: None, features },
        ToRelay::SignIn { name: "TOM", invite: &[7; 16], block_list_follows: false, outbox: None, features },
        ToRelay::SignIn { name: "TOM", invite: &[], block_list_follows: true, outbox: None, features },
        ToRelay::BlockList { flags: BLOCK_LIST_FIRST | BLOCK_LIST_LAST, names: NameList::default() },
        ToRelay::BlockList {
            flags: ALLOW_LIST,
            names: NameList::new(b"\x03TOM\x06\xe6\xad\xa6\xe5\xa4\xa7"),
        },
        stored(false),
        stored(true),
        ToRelay::Read { from: "一棵树", outbox: OutboxId(9), through: 1 },
        ToRelay::QueryReceipt { to: "一棵树", outbox: OutboxId(9), accepted: 7, settled: 6 },
        ToRelay::RefusalReceived { to: "一棵树", id: ID },
        ToRelay::Mark { outbox: OutboxId(9), mark_token: MarkToken { mark: Mark(7), token: u32::MAX } },
        ToRelay::RecipientRefusal { from: "一棵树", id: ID, reason: Reason::Full },
        ToRelay::Letter(letter),
    ];
    for message in all {
        let mut buf = Vec::new();
        message.encode(&mut buf);
        assert_eq!(ToRelay::decode(&buf), Ok(Some(message)));
    }
}

#[test]
fn sign_in_holds_at_most_16_earlier_ones() {
    let mark_token = |mark| MarkToken { mark: Mark(mark), token: mark * 3 };
    let mut earlier = Vec::new();
    for many in 0..=EARLIER_MARKS_MAX + 1 {
        let outbox = OutboxMark {
            outbox: OutboxId(9),
            mark_token: mark_token(99),
            earlier: EarlierMarks::new(&earlier),
        };
        let name = "TOM";
        let invite = &b""[..];
        let block_list_follows = many % 2 == 1;
        let features = Features(6);
        let sign_in = ToRelay::SignIn { name, invite, block_list_follows, outbox: Some(outbox), features };
        let mut buf = Vec::new();
        sign_in.encode(&mut buf);
        let read = if many <= EARLIER_MARKS_MAX { Ok(Some(sign_in)) } else { Err(DecodeError) };
        assert_eq!(ToRelay::decode(&buf), read, "{many}");
        assert_eq!(ToRelay::decode(&buf[..buf.len() - 5]), Err(DecodeError), "{many}: the last is cut short");
        buf.extend_from_slice(b"later");
        assert_eq!(ToRelay::decode(&buf), read, "later versions may add");
        assert_eq!(outbox.earlier.iter().count(), many);
        EarlierMarks::put(&mut earlier, mark_token(many as u32));
    }
}

fn welcome(mark_unwritten: bool) -> ToClient<'static> {
    ToClient::Welcome {
        text_max: 65_536,
        mailbox_letters: 5_000,
        mailbox_bytes: 1 << 23,
        kept_s: 9,
        mark_unwritten,
        features: Features(5),
    }
}

#[test]
fn relay_messages_round_trip() {
    let nearest = Nearest([Some("TOM"), Some("TIM"), None]);
    let reason = Reason::Unknown;
    let refused =
        Refused { to: "TAM", id: ID, through: 900, mark: Mark(5), reason, may_have_arrived: true, nearest };
    let receipt = Receipt {
        to: "JACK",
        outbox: OutboxId(1),
        watermarks: Watermarks { accepted: 4, delivered: 3, read: 2 },
        until: Wall(9),
        taken_at: Wall(8),
        mark: Mark(6),
    };
    let delivery =
        Delivery { from: "TOM", id: ID, prev: 2, accepted: Wall(7), mark: Mark(5), kind: 1, body: b"" };
    let all = [
        welcome(false),
        welcome(true),
        ToClient::NameRefused { reason: NameReason::Confusable, name: "alice" },
        ToClient::Receipt(receipt),
        ToClient::Refused(refused),
        ToClient::Marked { mark: Mark(7) },
        ToClient::Delivery(delivery),
    ];
    for message in all {
        let mut buf = Vec::new();
        message.encode(&mut buf);
        assert_eq!(ToClient::decode(&buf), Ok(Some(message)));
    }
}

/// A sign-in may end after its name or after its flags; a list of names must be complete.
#[test]
fn torn_name_list_is_malformed_and_sign_in_fields_are_optional() {
    assert_eq!(ToRelay::decode(b"\x06\x03\x03TO"), Err(DecodeError));
    assert_eq!(ToRelay::decode(b"\x06\x03\x01\xff"), Err(DecodeError));
    let Ok(Some(ToRelay::BlockList { names, .. })) = ToRelay::decode(b"\x06\x03\x03TOM\x00\x01J") else {
        panic!("not a block list")
    };
    assert_eq!(names.iter().collect::<Vec<_>>(), ["TOM", "", "J"]);
    let features = Features::OURS;
    let alone =
        ToRelay::SignIn { name: "TOM", invite: &[], block_list_follows: false, outbox: None, features };
    assert_eq!(ToRelay::decode(b"\x01\x03TOM"), Ok(Some(alone)));
    assert_eq!(ToRelay::decode(b"\x01\x03TOM\0\0"), Ok(Some(alone)), "absent bits are none");
    assert_eq!(ToRelay::decode(b"\x01\x03TOM\x02ab"), Err(DecodeError), "the flags are missing");
    assert!(ToRelay::decode(b"\x01\x03TOM\x00\xf0later").is_ok(), "later versions may add");
}

#[test]
fn reader_refusal_with_other_reason_is_malformed() {
    let refusal = |code: u8| [&b"\x09\x03TOM"[..], &[0; 15], &[7, code]].concat();
    for code in 0..=255 {
        let read = ToRelay::decode(&refusal(code)).is_ok();
        assert_eq!(read, [3, 8, 10].contains(&code), "{code}");
    }
    assert_eq!(ToRelay::decode(&refusal(3)[..21]), Err(DecodeError), "the reason is missing");
    assert!(ToRelay::decode(&[&refusal(3)[..], b"later"].concat()).is_ok(), "later versions may add");
}

#[test]
fn refusal_that_ends_before_it_begins_is_malformed() {
    let nearest = Nearest::default();
    let reason = Reason::Blocked;
    for (through, is_sound) in [(ID.number - 1, false), (ID.number, true), (u64::MAX, true)] {
        let refused =
            Refused { to: "TAM", id: ID, through, mark: Mark(5), reason, may_have_arrived: false, nearest };
        let mut buf = Vec::new();
        ToClient::Refused(refused).encode(&mut buf);
        assert_eq!(ToClient::decode(&buf).is_ok(), is_sound, "{through}");
    }
}

#[test]
fn unknown_kind_is_violation_or_skipped() {
    assert_eq!(ToRelay::decode(&[0x7f]), Err(DecodeError));
    assert_eq!(ToRelay::decode(&[0x80, 1, 2]), Ok(None));
    assert_eq!(ToClient::decode(&[0x7f]), Err(DecodeError));
    assert_eq!(ToClient::decode(&[0xff]), Ok(None));
    assert_eq!(ToClient::decode(&[]), Err(DecodeError));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ToRelay::decode(&bytes);
        let _ = ToClient::decode(&bytes);
    }

    #[test]
    fn cut_letter_without_body_is_malformed(cut in 0usize..60) {
        let mut buf = Vec::new();
        ToRelay::Letter(Letter { to: "TOM", id: ID, prev: 2, mark: Mark(4), kind: 1, body: b"" }).encode(&mut buf);
        prop_assume!(cut < buf.len());
        prop_assert_eq!(ToRelay::decode(&buf[..cut]), Err(DecodeError));
    }
}
