//! Screens on a terminal: first lines, unread messages, history, strangers.

use super::terminal::terminal;
use super::*;
use crate::client::HistoryEntry;

const DAY_MS: u64 = 86_400_000;

fn started(lang: Lang, book: &str, unread: &[(&str, u64)]) -> Chat {
    let mut chat = terminal(lang, book);
    let row = |(name, count): &(&str, u64)| (relay(), name.parse().unwrap(), *count);
    let unread: Vec<(HostPort, Name, u64)> = unread.iter().map(row).collect();
    let actions = chat.mode.start(&unread, NOW);
    chat.carry_out(actions);
    chat
}

#[test]
fn first_lines_name_user_relays_contacts_and_unread() {
    let chat = started(Lang::En, BOOK, &[("JANE", 3), ("TOM", 1)]);
    assert_eq!(
        chat.screen(),
        "\
! You are TOM; relays: 127.0.0.1:8081
! Contacts: JANE (3 new), TOM (1 new), JACK, 一棵树
! Type a name to write to someone, /help for commands, quit to leave
>
"
    );
    let chat = started(Lang::Zh, BOOK, &[("tree", 2)]);
    assert_eq!(
        chat.screen(),
        "\
! 你是 TOM；中继：127.0.0.1:8081
! 联系人：一棵树（2 条新消息）、JACK、JANE
! 输入名字即可聊天；/help 查看命令；quit 退出
>
"
    );
}

#[test]
fn empty_book_says_how_to_add_or_join() {
    let chat = started(Lang::En, "", &[]);
    assert_eq!(
        chat.screen(),
        "\
! You are TOM
! The address book is empty. Add a contact: queqiao contacts add NAME HOST:PORT, or accept an invitation: queqiao join
! Type a name to write to someone, /help for commands, quit to leave
>
"
    );
    let chat = started(Lang::En, "[relays]\nhome = \"127.0.0.1:8081\"\n", &[]);
    assert!(
        chat.screen().contains("! No contacts yet; type any name at 127.0.0.1:8081"),
        "{}",
        chat.screen()
    );
}

#[test]
fn pipe_has_no_first_lines() {
    let mut chat = Chat::new(Lang::En);
    assert_eq!(chat.mode.start(&[], NOW), []);
}

#[test]
fn chat_begun_with_contact_says_how_to_leave_it() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.mode.target = Some(ContactLookup::resolve(&chat.mode.book, "JACK").unwrap());
    let actions = chat.mode.start(&[], NOW);
    chat.carry_out(actions);
    let help = "! /help for commands, quit to choose someone else\n! to JACK (127.0.0.1:8081)\nTo JACK:\n";
    assert!(chat.screen().ends_with(help) && !chat.screen().contains("Type a name"), "{}", chat.screen());
}

#[test]
fn messages_of_earlier_run_are_named_until_they_arrive() {
    let mut chat = terminal(Lang::En, BOOK);
    let jack: Name = "JACK".parse().unwrap();
    for request in [7, 8] {
        chat.mode.restore_unsent(request, &relay(), &jack, "old");
    }
    let actions = chat.mode.start(&[], NOW);
    chat.carry_out(actions).line("/status");
    assert_eq!(chat.mode.unaccepted(), 0, "the end does not wait for them");
    chat.event(progress(7, Progress::Delivered)).event(progress(8, Progress::Delivered)).line("/status");
    assert_eq!(
        chat.screen(),
        "\
! You are TOM; relays: 127.0.0.1:8081
! Contacts: JACK, 一棵树, JANE
! Not sent yet: JACK (2)
! Type a name to write to someone, /help for commands, quit to leave
> /status
! 127.0.0.1:8081: connecting
!     contacts: JACK, 一棵树, JANE
!     waiting to be sent: JACK (2)
! 12:03:05  All your messages to JACK have been delivered
> /status
! 127.0.0.1:8081: connecting
!     contacts: JACK, 一棵树, JANE
! No messages waiting
>
"
    );
}

#[test]
fn blocked_contacts_are_marked_in_lists() {
    let book =
        "[contacts]\nJACK = { relay = \"127.0.0.1:8081\", blocked = true }\nJANE = \"127.0.0.1:8081\"\n";
    let mut chat = started(Lang::En, book, &[]);
    chat.line("/who");
    assert_eq!(chat.screen().matches("! Contacts: JACK (blocked), JANE\n").count(), 2, "{}", chat.screen());
    let chat = started(Lang::Zh, book, &[]);
    assert!(chat.screen().contains("! 联系人：JACK（已屏蔽）、JANE\n"), "{}", chat.screen());
}

#[test]
fn path_and_receipts_alone_show_what_is_set() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("/path")
        .line("/path udp")
        .line("/path")
        .line("/receipts")
        .line("/receipts on")
        .line("/receipts");
    assert_eq!(
        chat.screen(),
        "\
> /path
! Transport: UDP or TCP, chosen automatically
> /path udp
! Transport: UDP only
[Udp]
> /path
! Transport: UDP only
> /receipts
! Delivery receipts off
> /receipts on
! Delivery receipts on
> /receipts
! Delivery receipts on
>
"
    );
}

#[test]
fn status_tells_relay_with_another_key_from_silent_one() {
    let mut chat = terminal(Lang::En, BOOK);
    let pinned = crate::base::PublicKey([1; 32]);
    let reason = ConnectFailure::KeyChanged { pinned, offered: crate::base::PublicKey([2; 32]) };
    chat.event(Event::Unreached { relay: relay(), reason }).line("/status");
    let line = "! 127.0.0.1:8081: shows another key than expected; nothing is sent to it\n";
    assert!(chat.screen().contains(line), "{}", chat.screen());
}

#[test]
fn stranger_is_added_under_label() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.letter("ZED", "hi").line("ZED").line("/add JACK").line("/add ZED as a b").line("/add ZED as Zeddy");
    let who = ResolvedContact { label: "ZED".to_owned(), relay: relay(), member: "ZED".parse().unwrap() };
    chat.mode.handle_added(&who, &"Zeddy".parse().unwrap());
    assert_eq!(
        chat.screen(),
        "\
Message from ZED (not in your contacts) [udp] 12:03:05: hi
> ZED
! to ZED (127.0.0.1:8081)
[last 20 with ZED, 1 new]
To ZED: /add JACK
! JACK is in your contacts already
To ZED: /add ZED as a b
! a name cannot contain a space
To ZED: /add ZED as Zeddy
[add ZED as Zeddy]
To Zeddy:
"
    );
}

#[test]
fn blocked_or_removed_recipient_is_reported_once() {
    let book =
        "[contacts]\nJACK = { relay = \"127.0.0.1:8081\", blocked = true }\nJANE = \"127.0.0.1:8081\"\n";
    let mut chat = terminal(Lang::En, book);
    chat.line("JACK").line("hi").line("hi").line("/to JANE").line("hi");
    let without = "[contacts]\nJACK = \"127.0.0.1:8081\"\n";
    *chat.mode.book_mut() = contacts::AddressBook::parse(without, "contacts.toml").unwrap();
    chat.line("are you there").line("well");
    assert_eq!(
        chat.screen(),
        "\
> JACK
! to JACK (127.0.0.1:8081)
! You block JACK: replies are refused until you run /unblock JACK
To JACK: hi
To JACK: hi
To JACK: /to JANE
! to JANE (127.0.0.1:8081)
To JANE: hi
To JANE: are you there
! JANE is no longer in your contacts
To JANE: well
To JANE:
"
    );
}

fn entry(by_me: bool, at: u64, text: &str) -> HistoryEntry {
    HistoryEntry {
        by_me,
        relay: relay(),
        member: "JACK".parse().unwrap(),
        id: LetterId { outbox: OutboxId(1), number: 1 },
        text: text.to_owned(),
        note: None,
        at: Wall(at),
        state: Progress::Read,
        via: (!by_me).then_some(Carrier::Udp),
        missing: 0,
        damaged: false,
        is_old_copy: false,
    }
}

#[test]
fn history_has_days_and_marks_new_messages() {
    let mut chat = terminal(Lang::En, BOOK);
    let who = ResolvedContact { label: "JACK".to_owned(), relay: relay(), member: "JACK".parse().unwrap() };
    let today = NOW.wall.0;
    let entries = [
        entry(true, today - DAY_MS, "yesterday"),
        entry(false, today - 2_000, "seen"),
        entry(true, today - 1_000, "mine"),
        HistoryEntry {
            state: Progress::Waiting { until: Wall(today + DAY_MS) },
            ..entry(true, today, "kept")
        },
        HistoryEntry { is_old_copy: true, state: Progress::Queued, ..entry(true, today, "of a copy") },
        entry(false, today, "new\nlines"),
        HistoryEntry { state: Progress::Delivered, ..entry(false, today, "about to be shown") },
    ];
    let actions = chat.mode.history(&entries, &who, 1, NOW.wall);
    chat.carry_out(actions);
    assert_eq!(
        chat.seen,
        "\
! ── 2024-06-30 ──
To JACK [read] 12:03:05: yesterday
! ── 2024-07-01 ──
Message from JACK [udp] 12:03:03: seen
To JACK [read] 12:03:04: mine
To JACK [waiting until 2 Jul] 12:03:05: kept
To JACK [refused: old copy of the data directory; may have arrived] 12:03:05: of a copy
! ── new ──
Message from JACK [udp] 12:03:05: new
    lines
"
    );
    let mut chinese = terminal(Lang::Zh, BOOK);
    let states = [Progress::Queued, Progress::Accepted, Progress::Delivered, Progress::Read];
    let entries = states.map(|state| HistoryEntry { state, ..entry(true, today, "在") });
    let actions = chinese.mode.history(&entries, &who, 0, NOW.wall);
    chinese.carry_out(actions);
    let states = ["待发送", "中继已接收", "已送达", "已读"];
    assert_eq!(chinese.seen, states.map(|state| format!("发给 JACK [{state}] 12:03:05：在\n")).concat());
    chat.seen.clear();
    chat.line("/history").line("JACK").line("/history 5").line("/history x");
    assert_eq!(
        chat.screen(),
        "\
> /history
! No recipient; choose one first: /to CONTACT
> JACK
! to JACK (127.0.0.1:8081)
To JACK: /history 5
[last 5 with JACK, 0 new]
To JACK: /history x
! Usage: /history [N]
To JACK:
"
    );
}

fn tcp_unreached(relay: &str, is_refused: bool) -> Event {
    Event::TcpUnreached { relay: relay.parse().unwrap(), is_refused }
}

fn online(relay: &str, via: Carrier) -> Event {
    Event::Online { relay: relay.parse().unwrap(), via }
}

#[test]
fn tcp_alone_is_given_up_if_relay_refuses_it() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.event(online(RELAY, Carrier::Udp)).line("/path tcp").event(tcp_unreached(RELAY, true));
    chat.line("/path tcp").event(tcp_unreached(RELAY, false));
    chat.line("/path tcp").event(Event::Moved {
        relay: relay(),
        via: Carrier::Tcp,
        reason: MoveReason::Asked,
    });
    chat.line("/path tcp");
    assert_eq!(
        chat.screen(),
        "\
> /path tcp
[Tcp]
! 12:03:05  127.0.0.1:8081 does not accept TCP and stays on UDP; to accept it, its operator starts it with --tcp
[Auto]
> /path tcp
[Tcp]
! 12:03:05  127.0.0.1:8081 does not respond over TCP and stays on UDP
[Auto]
> /path tcp
[Tcp]
! 12:03:05  127.0.0.1:8081: switched to TCP as requested
> /path tcp
! Transport: TCP only
[Tcp]
>
"
    );
}

const TWO_RELAYS: &str = r#"
[contacts]
JACK = "127.0.0.1:8081"
JANE = "127.0.0.1:8082"
TINA = "127.0.0.1:8082"
LUCY = "127.0.0.1:8082"
MARY = "127.0.0.1:8082"
"#;
const SECOND: &str = "127.0.0.1:8082";

#[test]
fn each_relay_accepts_or_refuses_tcp_alone() {
    let mut chat = terminal(Lang::Zh, TWO_RELAYS);
    chat.event(online(RELAY, Carrier::Udp)).event(online(SECOND, Carrier::Udp)).line("/path tcp");
    chat.event(Event::Moved { relay: relay(), via: Carrier::Tcp, reason: MoveReason::Asked });
    chat.event(tcp_unreached(SECOND, true)).line("/path auto").line("/path tcp");
    chat.event(tcp_unreached(SECOND, true)).line("/path udp");
    assert_eq!(
        chat.screen(),
        "\
> /path tcp
[Tcp]
! 12:03:05  127.0.0.1:8081：已按你的要求切换到 TCP
! 12:03:05  127.0.0.1:8082 不接受 TCP，继续使用 UDP；须由管理员带 --tcp 启动
> /path auto
! 通道：自动选择 UDP 或 TCP
[Auto]
> /path tcp
[Tcp]
! 12:03:05  127.0.0.1:8082 不接受 TCP，继续使用 UDP；须由管理员带 --tcp 启动
> /path udp
! 通道：只用 UDP
[Udp]
>
"
    );
}

#[test]
fn relay_that_is_not_connected_refuses_tcp_too() {
    let mut chat = terminal(Lang::En, BOOK);
    let refused = Event::Unreached { relay: relay(), reason: ConnectFailure::NoTcpListener };
    chat.line("/path tcp").event(refused.clone()).event(refused);
    let screen = chat.screen();
    assert!(screen.starts_with("> /path tcp\n! Transport: TCP only\n[Tcp]\n"), "{screen}");
    assert_eq!(screen.matches("[Auto]").count(), 1, "{screen}");
}

#[test]
fn status_is_one_block_for_each_relay() {
    let mut chat = terminal(Lang::En, BOOK);
    let waiting = |request| Event::Progress {
        request,
        id: LetterId { outbox: OutboxId(9), number: request },
        progress: Progress::Waiting { until: Wall(NOW.wall.0 + 86_400_000) },
        via: Carrier::Udp,
        taken_at: Wall(0),
    };
    chat.line("JACK").line("hi").line("/to JANE").line("one").event(waiting(2)).line("two");
    chat.seen.clear();
    chat.line("/status");
    chat.event(online(RELAY, Carrier::Udp)).line("/status");
    let rtt = std::time::Duration::from_micros(1_240);
    let pong = Event::Pong { relay: relay(), via: Carrier::Udp, rtt };
    chat.event(pong.clone()).event(pong).line("/status").seconds_pass(1).seconds_pass(1);
    assert_eq!(
        chat.screen(),
        "\
To JANE: /status
! 127.0.0.1:8081: connecting
!     contacts: JACK, 一棵树, JANE
!     waiting to be sent: JACK (1), JANE (1)
!     kept by the relay: JANE (1)
To JANE: /status
[ping 127.0.0.1:8081]
! 127.0.0.1:8081: connected over UDP, round trip 1.2 ms
!     contacts: JACK, 一棵树, JANE
!     waiting to be sent: JACK (1), JANE (1)
!     kept by the relay: JANE (1)
To JANE: /status
[ping 127.0.0.1:8081]
! 127.0.0.1:8081: connected over UDP
!     contacts: JACK, 一棵树, JANE
!     waiting to be sent: JACK (1), JANE (1)
!     kept by the relay: JANE (1)
To JANE:
"
    );
}

#[test]
fn status_names_several_relays_by_their_contacts() {
    let mut chat = terminal(Lang::En, TWO_RELAYS);
    chat.line("/status");
    assert_eq!(
        chat.screen(),
        "\
> /status
! relay of JACK (127.0.0.1:8081): connecting
!     contacts: JACK
! relay of JANE, TINA, LUCY, … (127.0.0.1:8082): connecting
!     contacts: JANE, TINA, LUCY, MARY
! No messages waiting
>
"
    );
    let mut chat = terminal(Lang::Zh, TWO_RELAYS);
    chat.line("JACK").line("约不").line("/status");
    let screen = chat.screen();
    assert!(screen.contains("! JACK 的中继（127.0.0.1:8081）：正在连接\n!     联系人：JACK\n"), "{screen}");
    assert!(screen.contains("!     待发送：JACK（1）\n"), "{screen}");
}

#[test]
fn entered_line_becomes_message_with_time() {
    let mut chat = terminal(Lang::En, BOOK);
    assert!(chat.mode.echo().is_none(), "no recipient");
    chat.line("JACK");
    let shown = |chat: &Chat, line: &str| {
        let entered = chat.mode.echo().unwrap().render(line, NOW.wall);
        entered.map(|entered| entered.render(Style::default()))
    };
    assert_eq!(shown(&chat, "hi\nyou").as_deref(), Some("To JACK 12:03:05: hi\n    you\n"));
    assert_eq!(shown(&chat, "//x").as_deref(), Some("To JACK 12:03:05: /x\n"));
    for line in ["", "/to JANE", "quit", "q", "JANE", &"x\n".repeat(21), &"x".repeat(LETTER_TEXT_MAX + 1)] {
        assert_eq!(shown(&chat, line), None, "{line:.9}");
    }
    chat.line("JANE");
    assert_eq!(shown(&chat, "").as_deref(), Some("To JACK 12:03:05: JANE\n"));
    assert_eq!(shown(&chat, "other").as_deref(), Some("To JACK 12:03:05: other\n"));
    assert_eq!(shown(&chat, "\x1b[2J").as_deref(), Some("To JACK 12:03:05: \\u{1b}[2J\n"));
}

#[test]
fn day_line_is_shown_at_midnight() {
    let mut chat = started(Lang::En, BOOK, &[]);
    let until_midnight = 11 * 3_600 + 56 * 60 + 55;
    let deadline = chat.mode.next_deadline().unwrap();
    assert!(deadline <= Tick::from_micros(3_600_000_000), "{deadline:?}");
    chat.seen.clear();
    let later = Now {
        tick: Tick::from_micros(until_midnight * 1_000_000),
        wall: Wall(NOW.wall.0 + until_midnight * 1_000),
    };
    let actions = chat.mode.handle_time(later);
    chat.carry_out(actions);
    assert_eq!(chat.seen, "! ── 2024-07-02 ──\n");
}

#[test]
fn text_without_recipient_is_kept_until_one_is_chosen() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("a lost line").line("and another!").line("JANE");
    assert_eq!(
        chat.screen(),
        "\
> a lost line
! Not sent: “a lost line”; choose a recipient first (JACK, 一棵树, JANE), then the up arrow brings it back
> and another!
! Not sent: “and another!”; choose a recipient first (JACK, 一棵树, JANE), then the up arrow brings it back
> JANE
! to JANE (127.0.0.1:8081)
To JANE:
"
    );
    assert!(chat.sent.is_empty());
    assert_eq!(chat.mode.take_kept_text().as_deref(), Some("a lost line\nand another!"));
    assert_eq!(chat.mode.take_kept_text(), None);
    let mut chat = terminal(Lang::Zh, "");
    chat.line("在吗？");
    assert_eq!(chat.mode.take_kept_text(), None, "there is no recipient yet");
    assert!(
        chat.screen().contains("! 未发送：“在吗？”；请先选择联系人，再按向上键取回\n"),
        "{}",
        chat.screen()
    );
    let mut chat = Chat::new(Lang::En);
    chat.line("a lost line").line("JACK");
    assert_eq!(chat.mode.take_kept_text(), None, "a script does not look at the next prompt");
}

#[test]
fn name_with_relay_is_offered_where_name_is_not_enough() {
    let mut chat = terminal(Lang::En, TWO_RELAYS);
    let eve = |relay: &str| (relay.parse().unwrap(), "EVE".parse().unwrap(), 1);
    let actions = chat.mode.start(&[eve(SECOND)], NOW);
    chat.carry_out(actions);
    chat.line("/to EVE").line("one").line("/to BOB").line("/block JAK").line("/add EVE@127.0.0.1:8082");
    chat.letter("EVE", "hi").line("/unread").line("/to EVE").line("/to EVE@127.0.0.1:8081").line("two");
    assert_eq!(
        chat.screen(),
        "\
! You are TOM; relays: 127.0.0.1:8081, 127.0.0.1:8082
! Contacts: EVE@127.0.0.1:8082 (1 new), JACK, JANE, TINA, LUCY, MARY
! Type a name to write to someone, /help for commands, quit to leave
> /to EVE
! to EVE@127.0.0.1:8082
To EVE@127.0.0.1:8082: one
To EVE@127.0.0.1:8082: /to BOB
! no contact named BOB; for a member who is not a contact, add the relay: BOB@127.0.0.1:8081, BOB@127.0.0.1:8082
> /block JAK
! no contact named JAK: did you mean JACK? For a member who is not a contact, add the relay: JAK@127.0.0.1:8081, JAK@127.0.0.1:8082
> /add EVE@127.0.0.1:8082
[add EVE@127.0.0.1:8082 as EVE]
Message from EVE@127.0.0.1:8081 (not in your contacts) [udp] 12:03:05: hi
> /unread
! Unread: EVE@127.0.0.1:8081 (1 new)
> /to EVE
! EVE: which one? EVE@127.0.0.1:8081, EVE@127.0.0.1:8082
> /to EVE@127.0.0.1:8081
! to EVE@127.0.0.1:8081
[last 20 with EVE@127.0.0.1:8081, 1 new]
To EVE@127.0.0.1:8081: two
To EVE@127.0.0.1:8081:
"
    );
    let sent: Vec<&str> = chat.texts_sent();
    assert_eq!(sent, ["one", "two"]);
}
