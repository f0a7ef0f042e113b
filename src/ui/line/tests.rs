//! Whole conversations as they appear on a screen. Compiled with tests only.

use std::sync::Arc;

use super::*;
use crate::base::Carrier;
use crate::base::Name;
use crate::base::{LetterId, OutboxId, PublicKey};
use crate::client::Carriers;
use crate::client::Incoming;
use crate::client::{ConnectFailure, MoveReason};
use crate::contacts;
use crate::ui::strings::Lang;
use crate::ui::strings::Strings;
use crate::ui::style::Style;
use crate::ui::time_format::TimeFormat;
use crate::wire::letter::GuestEvent;
use crate::wire::message::{NameReason, Reason};
use jiff::tz::TimeZone;
use proptest::prelude::*;

mod guests;
mod start;
mod terminal;
mod unread;

const NOW: Now = Now { tick: Tick::ZERO, wall: Wall(1_719_835_385_678) }; // 2024-07-01T12:03:05.678Z

const RELAY: &str = "127.0.0.1:8081";
const BOOK: &str = r#"
[contacts]
JACK = "127.0.0.1:8081"
"一棵树" = { relay = "127.0.0.1:8081", member = "tree" }
JANE = "127.0.0.1:8081"
"#;

/// A terminal as the user sees it: input after its prompt, letters, and after `!` the lines on
/// standard error.
struct Chat {
    mode: LineMode<contacts::AddressBook>,
    seen: String,
    sent: Vec<(u64, String, String)>,
    quit: Option<u8>,
    tick: Tick,
}

impl Chat {
    fn new(lang: Lang) -> Chat {
        Chat::with(lang, Carriers::Auto, BOOK)
    }

    fn with(lang: Lang, carriers: Carriers, book: &str) -> Chat {
        let options = LineModeOptions {
            strings: Arc::new(Strings::new(lang)),
            me: "TOM".to_owned(),
            first_request: 1,
            carriers,
            is_desk: false,
            is_terminal: false,
            time_format: TimeFormat::new(TimeZone::UTC),
        };
        let mode = LineMode::new(options, contacts::AddressBook::parse(book, "contacts.toml").unwrap(), None);
        Chat { mode, seen: String::new(), sent: Vec::new(), quit: None, tick: Tick::ZERO }
    }

    fn now(&self) -> Now {
        Now { tick: self.tick, wall: NOW.wall }
    }

    fn line(&mut self, line: &str) -> &mut Chat {
        self.mode.begin_line();
        self.seen += &format!("{}{line}\n", self.mode.prompt());
        let actions = self.mode.handle_input(UserInput::Line(line.to_owned()), self.now());
        self.carry_out(actions)
    }

    fn event(&mut self, event: Event) -> &mut Chat {
        let actions = self.mode.handle_event(&event, self.now());
        self.carry_out(actions)
    }

    fn letter(&mut self, from: &str, text: &str) -> &mut Chat {
        self.event(Event::Letter(incoming(from, text)))
    }

    fn note(&mut self, guest: &str, note: GuestEvent) -> &mut Chat {
        self.event(Event::Letter(Incoming { note: Some(note), ..incoming(guest, "") }))
    }

    fn seconds_pass(&mut self, seconds: u64) -> &mut Chat {
        self.tick = Tick::from_micros(self.tick.as_micros() + seconds * 1_000_000);
        let actions = self.mode.handle_time(self.now());
        self.carry_out(actions)
    }

    fn carry_out(&mut self, actions: Vec<Action>) -> &mut Chat {
        for what in actions {
            match what {
                Action::PrintMessage(styled) => self.seen += &styled.render(Style::default()),
                Action::PrintNotice(line) => self.seen += &format!("! {line}\n"),
                Action::Send { request, to, text, .. } => self.sent.push((request, to.to_string(), text)),
                Action::Close { request, to, .. } => {
                    self.sent.push((request, to.to_string(), "[close]".to_owned()))
                }
                Action::ShowHistory { who, last, new } => {
                    if new > 0 || last != 20 {
                        self.seen += &format!("[last {last} with {}, {new} new]\n", who.label);
                    }
                }
                Action::Add { who, label } => self.seen += &format!("[add {} as {label}]\n", who.label),
                Action::Carriers(carriers) => self.seen += &format!("[{carriers:?}]\n"),
                Action::Ping { relay } => self.seen += &format!("[ping {relay}]\n"),
                Action::Block { .. } => {}
                Action::Quit { status } => self.quit = Some(status),
            }
        }
        self
    }

    fn screen(&self) -> String {
        format!("{}{}", self.seen, self.mode.prompt())
            .lines()
            .map(|l| format!("{}\n", l.trim_end()))
            .collect()
    }

    fn texts_sent(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.2.as_str()).collect()
    }
}

fn relay() -> HostPort {
    RELAY.parse().unwrap()
}

fn incoming(from: &str, text: &str) -> Incoming {
    Incoming {
        relay: relay(),
        from: from.parse().unwrap(),
        id: LetterId { outbox: OutboxId(1), number: 1 },
        text: text.to_owned(),
        at: NOW.wall,
        via: Carrier::Udp,
        missing: 0,
        damaged: false,
        note: None,
    }
}

fn delivered(request: u64) -> Event {
    let id = LetterId { outbox: OutboxId(9), number: request };
    Event::Progress { request, id, progress: Progress::Delivered, via: Carrier::Udp, taken_at: Wall(0) }
}

fn refused(request: u64, reason: Reason, text: &str) -> Event {
    let id = LetterId { outbox: OutboxId(9), number: request };
    Event::Refused {
        request,
        id,
        to: "MARY".parse().unwrap(),
        reason,
        may_have_arrived: false,
        nearest: Vec::new(),
        text: text.to_owned(),
    }
}

#[test]
fn conversation_in_chinese() {
    let mut chat = Chat::new(Lang::Zh);
    chat.line("JACK").line("约不").event(delivered(1)).letter("JACK", "不约").line("quit");
    assert_eq!(
        chat.screen(),
        "\
请选择聊天对象: JACK
请输入消息,回车发送: 约不
来自 JACK [udp] 12:03:05 的一条消息：不约
请输入消息,回车发送: quit
请选择聊天对象:
"
    );
    assert_eq!(chat.sent, [(1, "JACK".to_owned(), "约不".to_owned())]);
    assert_eq!(chat.quit, None);
    assert_eq!(chat.line("quit").quit, Some(0));
}

#[test]
fn conversation_in_english() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("shall we?").event(delivered(1)).letter("JACK", "no").line("quit");
    assert_eq!(
        chat.screen(),
        "\
Choose a contact: JACK
Type a message, Enter sends: shall we?
Message from JACK [udp] 12:03:05: no
Type a message, Enter sends: quit
Choose a contact:
"
    );
}

#[test]
fn unknown_contact_is_asked_for_again_with_suggestions() {
    let mut chat = Chat::new(Lang::En);
    chat.line("").line("  ").line("JCK").line("xyz").line(" 一棵树 ").line("hi");
    assert_eq!(
        chat.screen(),
        "\
Choose a contact:
Choose a contact:
Choose a contact: JCK
! no contact named JCK: did you mean JACK?
Choose a contact: xyz
! no contact named xyz; use NAME@HOST:PORT, or add one: queqiao contacts add xyz HOST:PORT
Choose a contact:  一棵树
Type a message, Enter sends: hi
Type a message, Enter sends:
"
    );
    assert_eq!(chat.sent, [(1, "tree".to_owned(), "hi".to_owned())]);
}

#[test]
fn commands_are_never_sent_and_two_slashes_send_one() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("/qiut").line(" /quit").line("／quit").line("//quit").line("/to JANE").line("hi");
    assert_eq!(
        chat.screen(),
        "\
Choose a contact: JACK
Type a message, Enter sends: /qiut
! Not sent: unknown command /qiut. /help lists the commands. To send text that begins with /, type //
Type a message, Enter sends:  /quit
! Not sent: did you mean the command /quit? Remove what is before it. To send text that begins with /, type //
Type a message, Enter sends: ／quit
! Not sent: did you mean the command /quit? Remove what is before it. To send text that begins with /, type //
Type a message, Enter sends: //quit
Type a message, Enter sends: /to JANE
Type a message, Enter sends: hi
Type a message, Enter sends:
"
    );
    assert_eq!(chat.texts_sent(), ["/quit", "hi"]);
    assert_eq!(chat.sent[1].1, "JANE");
    assert_eq!(chat.line("/quit").quit, Some(0));
}

#[test]
fn help_contacts_and_status_respond() {
    let mut chat = Chat::new(Lang::Zh);
    chat.line("/help")
        .line("/who")
        .line("/status")
        .event(Event::Online { relay: relay(), via: Carrier::Udp });
    chat.line("/status");
    assert_eq!(
        chat.screen(),
        "\
请选择聊天对象: /help
! 命令：
! quit                  返回选择联系人；在选择界面输入则退出
! //…                   发送以 / 开头的文字
! /help                 显示本帮助
! /who, /contacts       列出联系人
! /to 联系人            切换到另一位联系人
! /reply                回复最新的未读消息
! /unread               列出未读消息的发件人
! /history [N]          显示与当前联系人的最近消息
! /add 名字 [as 名字]   把发来消息的人加入通讯录
! /status               显示与各中继的连接状态
! /path [udp|tcp|auto]  只用 UDP、只用 TCP，或自动选择
! /receipts [on|off]    开启或关闭送达回执
! /block 名字           屏蔽某人
! /unblock 名字         取消屏蔽
! /close                结束与访客的对话
! /quit, Ctrl-D         退出
请选择聊天对象: /who
! 联系人：JACK、一棵树、JANE
请选择聊天对象: /status
! 127.0.0.1:8081：正在连接
请选择聊天对象: /status
! 127.0.0.1:8081：已连接（UDP）
请选择聊天对象:
"
    );
}

#[test]
fn any_name_can_be_chosen_after_joining_relay() {
    let mut chat = Chat::with(Lang::En, Carriers::Auto, "[relays]\nhome = \"127.0.0.1:8081\"\n");
    chat.line("/who").line("JACK").line("hi");
    assert_eq!(chat.sent, [(1, "JACK".to_owned(), "hi".to_owned())]);
    assert!(
        chat.screen().contains("! No contacts yet; type any name at 127.0.0.1:8081"),
        "{}",
        chat.screen()
    );
}

#[test]
fn refused_letter_comes_back_with_its_reason() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("a\nb");
    chat.event(Event::Refused {
        request: 1,
        id: LetterId { outbox: OutboxId(9), number: 1 },
        to: "JACK".parse().unwrap(),
        reason: Reason::Unknown,
        may_have_arrived: true,
        nearest: vec!["JOCK".parse().unwrap()],
        text: "a\nb".to_owned(),
    });
    assert!(chat.screen().ends_with(
        "\
! Not delivered: JACK has never signed in at 127.0.0.1:8081, or was removed there
! It may have arrived anyway
! Similar names: JOCK
! Your text:
! a
b
Type a message, Enter sends:
"
    ));
    assert_eq!(chat.mode.unaccepted(), 0);
    assert!(chat.event(refused(77, Reason::Full, "old")).screen().contains("the mailbox of MARY is full"));
}

#[test]
fn too_long_text_is_returned_before_sending() {
    let mut chat = Chat::new(Lang::En);
    let longest = "x".repeat(LETTER_TEXT_MAX);
    chat.line("JACK").line(&longest).line(&format!("{longest}y"));
    assert_eq!(chat.texts_sent(), [longest.as_str()]);
    let tail = "the limit is 65536. Your text:\n! ";
    assert!(chat.screen().contains(&format!("Not sent: the message has 65537 bytes; {tail}{longest}y\n")));
}

#[test]
fn silence_means_success_and_slowness_is_reported_once() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("one").line("two").event(delivered(1));
    assert_eq!(chat.mode.next_deadline(), Some(Tick::from_micros(3_000_000)));
    chat.seconds_pass(3)
        .seconds_pass(9)
        .event(delivered(2))
        .line("/receipts on")
        .line("three")
        .event(delivered(3));
    assert!(
        chat.screen().ends_with(
            "\
! Not accepted by the relay yet: your message to JACK, “two”
! All your messages to JACK have been delivered
Type a message, Enter sends: /receipts on
! Delivery receipts on
Type a message, Enter sends: three
! ✓✓ delivered to JACK: “three”
Type a message, Enter sends:
"
        ),
        "{}",
        chat.screen()
    );
}

fn progress(request: u64, progress: Progress) -> Event {
    let id = LetterId { outbox: OutboxId(9), number: request };
    Event::Progress { request, id, progress, via: Carrier::Udp, taken_at: Wall(0) }
}

#[test]
fn absent_recipient_is_reported_once_and_so_is_its_return() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("one").line("two");
    let waiting = Progress::Waiting { until: Wall(NOW.wall.0 + 86_400_000) };
    for request in [1, 2] {
        chat.event(progress(request, Progress::Queued));
        chat.event(progress(request, Progress::Accepted)).event(progress(request, waiting));
    }
    assert_eq!(chat.mode.unaccepted(), 0);
    chat.seconds_pass(9).event(delivered(1)).event(delivered(2)).event(progress(2, Progress::Read));
    assert!(
        chat.screen().ends_with(
            "\
! Not delivered to JACK yet; waiting until 2 Jul
! All your messages to JACK have been delivered
Type a message, Enter sends:
"
        ),
        "{}",
        chat.screen()
    );
}

#[test]
fn receipts_show_delivered_and_read() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("/receipts on").line("one");
    let states = [
        Progress::Queued,
        Progress::Accepted,
        Progress::Waiting { until: NOW.wall },
        Progress::Delivered,
        Progress::Read,
    ];
    for state in states {
        chat.event(progress(1, state));
    }
    assert!(
        chat.screen().ends_with(
            "\
! “one” to JACK: waiting until 12:03:05
! ✓✓ delivered to JACK: “one”
! ✔✔ read by JACK: “one”
Type a message, Enter sends:
"
        ),
        "{}",
        chat.screen()
    );
}

#[test]
fn unkept_letter_comes_back() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("one");
    let to = "JACK".parse().unwrap();
    let reason = crate::client::NotQueued::Disk;
    chat.event(Event::Unkept { request: 1, to, reason, text: "one".to_owned() });
    let notices = "! Not sent: your message to JACK could not be written to disk\n! Your text:\n! one\n";
    assert!(chat.screen().contains(notices), "{}", chat.screen());
    assert_eq!(chat.mode.unaccepted(), 0);
}

#[test]
fn only_unusual_connection_events_are_reported() {
    let mut chat = Chat::new(Lang::En);
    chat.event(Event::Online { relay: relay(), via: Carrier::Udp })
        .event(Event::Moved { relay: relay(), via: Carrier::Tcp, reason: MoveReason::Silent })
        .event(Event::Moved { relay: relay(), via: Carrier::Udp, reason: MoveReason::Proved })
        .event(Event::Lost { relay: relay() })
        .event(Event::Unreached { relay: relay(), reason: ConnectFailure::Silent })
        .event(Event::Online { relay: relay(), via: Carrier::Tcp })
        .event(Event::Pinned { relay: "192.0.2.1:8081".parse().unwrap(), key: PublicKey([0; 32]) });
    assert_eq!(
        chat.screen(),
        "\
! 12:03:05  127.0.0.1:8081: no answer over UDP; switched to TCP
! 12:03:05  127.0.0.1:8081: UDP works; switched to UDP
! connection to 127.0.0.1:8081 lost; reconnecting
! no relay answers at 127.0.0.1:8081; start one: queqiao relay --tcp
! reconnected to 127.0.0.1:8081 over TCP
! first connection to 192.0.2.1:8081: compare its key iljo5-6n3w2-lkvso-o5yj5, now pinned, with the one that its operator sees (key=… in the relay's first line)
Choose a contact:
"
    );
}

#[test]
fn tcp_is_reported_unless_requested() {
    let online = || Event::Online { relay: relay(), via: Carrier::Tcp };
    let auto = Chat::with(Lang::En, Carriers::Auto, BOOK).event(online()).seen.clone();
    assert_eq!(auto, "! connected to 127.0.0.1:8081 over TCP\n");
    assert_eq!(Chat::with(Lang::En, Carriers::Tcp, BOOK).event(online()).seen, "");
}

#[test]
fn client_refused_by_all_relays_ends_with_reason() {
    let two = "[contacts]\nJACK = '127.0.0.1:8081'\nANN = '127.0.0.1:9'";
    let mut chat = Chat::with(Lang::En, Carriers::Auto, two);
    chat.event(Event::NameRefused { relay: relay(), reason: NameReason::Taken, name: None });
    assert!(chat.seen.starts_with("! TOM is taken at 127.0.0.1:8081"));
    assert_eq!(chat.quit, None);
    assert_eq!(chat.event(Event::Replaced { relay: "127.0.0.1:9".parse().unwrap() }).quit, Some(1));
}

#[test]
fn letters_of_others_and_gaps_are_shown_in_any_conversation() {
    let mut chat = Chat::new(Lang::Zh);
    chat.line("JACK").letter("tree", "在吗");
    chat.event(Event::Letter(Incoming {
        missing: 2,
        at: Wall(0),
        via: Carrier::Tcp,
        ..incoming("JACK", "在")
    }));
    chat.letter("stranger", "hi");
    assert_eq!(
        chat.screen(),
        "\
请选择聊天对象: JACK
来自一棵树 [udp] 12:03:05 的一条消息：在吗
此处缺少 2 条消息
来自 JACK [tcp] ? 的一条消息：在
来自 stranger（不在通讯录中）[udp] 12:03:05 的一条消息：hi
请输入消息,回车发送:
"
    );
}

#[test]
fn unknown_sender_with_contact_name_is_distinguished() {
    let book = "[contacts]\nJACK = '127.0.0.1:9'";
    let mut chat = Chat::with(Lang::En, Carriers::Auto, book);
    let seen = "! Warning: JACK at 127.0.0.1:8081 is not your contact JACK; the names only look alike\n\
                Message from JACK@127.0.0.1:8081 (not in your contacts) [udp]";
    assert!(chat.letter("JACK", "hi").seen.starts_with(seen), "{}", chat.seen);
    chat.letter("JACK", "again");
    assert_eq!(chat.seen.matches("Warning: ").count(), 1, "the warning comes once");
    chat.line("JACK@127.0.0.1:8081").line("hello");
    assert_eq!(chat.texts_sent(), ["hello"]);
}

#[test]
fn unknown_sender_can_be_answered_by_name() {
    let mut chat = Chat::new(Lang::Zh);
    chat.line("TOM").letter("TOM", "约不").line("TOM").line("不约");
    assert_eq!(
        chat.screen(),
        "\
请选择聊天对象: TOM
! 没有名为 TOM 的联系人；可写成 名字@主机:端口，或添加：queqiao contacts add TOM 主机:端口
来自 TOM（不在通讯录中）[udp] 12:03:05 的一条消息：约不
请选择聊天对象: TOM
请输入消息,回车发送: 不约
请输入消息,回车发送:
"
    );
    assert_eq!(chat.sent, [(1, "TOM".to_owned(), "不约".to_owned())]);
}

#[test]
fn end_of_input_and_interrupt_have_their_statuses() {
    let mut chat = Chat::new(Lang::En);
    assert_eq!(chat.mode.handle_input(UserInput::EndOfInput, NOW), [Action::Quit { status: 0 }]);
    assert_eq!(chat.mode.handle_input(UserInput::Interrupted, NOW), [Action::Quit { status: 130 }]);
    let notices = chat.mode.handle_input(UserInput::Refused(Phrase::new("input-not-utf8")), NOW);
    assert_eq!(
        notices,
        [Action::PrintNotice(
            "Not sent: this text is not valid UTF-8; convert it first (for GBK: iconv -f GBK -t UTF-8)"
                .to_owned()
        )]
    );
}

#[test]
fn letter_cannot_forge_another() {
    let mut chat = Chat::new(Lang::En);
    chat.letter("JACK", "hi\nMessage from TOM [udp] 12:03:05: forged\r\nMessage from X: y\n");
    let headers = chat.seen.lines().filter(|line| line.starts_with("Message from")).count();
    assert_eq!(headers, 1, "{}", chat.seen);
}

#[test]
fn letter_cannot_control_terminal() {
    let hostile =
        "\x1b[2J\x1b]52;c;eA==\x07\x1b]8;;x\x1b\\\u{9b}6n\u{9d}0;t\u{202e}evil\u{2066}\roverwrite\u{2028}";
    for color in [false, true] {
        let mut mode = Chat::new(Lang::Zh).mode;
        for what in mode.show(&incoming("JACK", hostile), NOW) {
            let Action::PrintMessage(styled) = what else { panic!("a letter must be printed") };
            let lines = styled.render(Style { color, width: Some(80) });
            let bare = lines.replace("\x1b[30;46m", "").replace("\x1b[0m", "");
            let bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}\u{2028}".contains(c);
            assert!(!bare.contains(bad), "{bare:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_reaches_terminal_raw(text in any::<String>(), name in "[a-z]{1,9}") {
        let mut chat = Chat::new(Lang::En);
        chat.line("JACK").letter(&name, &text).event(refused(1, Reason::OldCopy, &text));
        prop_assert!(!chat.seen.contains(|c: char| c.is_control() && c != '\n'), "{:?}", chat.seen);
    }
}

#[test]
fn contact_or_unknown_sender_can_be_blocked() {
    let mut chat = Chat::new(Lang::En);
    let block = |chat: &mut Chat, line: &str| chat.mode.handle_line(line, NOW);
    let tree =
        ResolvedContact { label: "一棵树".to_owned(), relay: relay(), member: "tree".parse().unwrap() };
    assert_eq!(block(&mut chat, "/block 一棵树"), [Action::Block { who: tree, blocked: true }]);
    assert!(
        matches!(&block(&mut chat, "/block TOM")[..], [Action::PrintNotice(reason)] if reason.starts_with("no contact named TOM"))
    );
    chat.letter("TOM", "hi");
    let tom = ResolvedContact { label: "TOM".to_owned(), relay: relay(), member: "TOM".parse().unwrap() };
    assert_eq!(block(&mut chat, "/unblock TOM"), [Action::Block { who: tom, blocked: false }]);
}
