//! Guests on a screen: at a desk and among contacts.

use super::*;

const ONE: &str = "guest-127.0.0.1-62851";
const TWO: &str = "guest-127.0.0.1-62852";

fn desk(lang: Lang) -> Chat {
    let mut chat = Chat::with(lang, Carriers::Auto, "");
    chat.mode = LineMode::new(
        LineModeOptions { is_desk: true, ..chat.mode.options.clone() },
        contacts::AddressBook::parse("", "contacts.toml").unwrap(),
        None,
    );
    chat
}

fn sent_to(chat: &Chat) -> Vec<(&str, &str)> {
    chat.sent.iter().map(|(_, to, text)| (to.as_str(), text.as_str())).collect()
}

#[test]
fn desk_answers_guest_after_guest() {
    let mut chat = desk(Lang::Zh);
    chat.letter(ONE, "约不").letter(TWO, "你好").letter(ONE, "?").line("不约").line("您好");
    chat.note(TWO, GuestEvent::Left).line("没人").line("/who");
    assert_eq!(sent_to(&chat), [(ONE, "不约"), (TWO, "您好")]);
    let screen = "\
来自[127.0.0.1:62851]的一条消息: 约不
来自[127.0.0.1:62852]的一条消息: 你好
来自[127.0.0.1:62851]的一条消息: ?
回复消息: 不约
回复消息: 您好
[127.0.0.1:62852] 已离开
回复消息: 没人
! 没有访客在等待回复。未发送：
! 没人
回复消息: /who
! 访客 guest-127.0.0.1-62851，地址 127.0.0.1:62851，最近消息 12:03:05；未认证，未加密
回复消息:
";
    assert_eq!(chat.screen(), screen);
}

/// To a guest `q` means the end, for a member too. To a member it is a text like any other.
#[test]
fn q_ends_conversation_with_guest() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("q").line("quit");
    chat.letter(ONE, "hello").line(ONE).line("q?").line(" q ");
    assert_eq!(sent_to(&chat), [("JACK", "q"), (ONE, "q?"), (ONE, "[close]")]);
}

#[test]
fn guest_left_needs_no_answer_and_guest_ended_does() {
    let mut chat = desk(Lang::En);
    chat.letter(ONE, "bye").note(ONE, GuestEvent::Left);
    chat.letter(TWO, "hi").note(TWO, GuestEvent::Ended).line("hi yourself");
    assert_eq!(sent_to(&chat), [(TWO, "hi yourself")]);
    let screen = "\
Message from [127.0.0.1:62851]: bye
[127.0.0.1:62851] has left
Message from [127.0.0.1:62852]: hi
[127.0.0.1:62852] has finished sending and can receive replies for one more minute
Reply: hi yourself
Reply:
";
    assert_eq!(chat.screen(), screen);
}

#[test]
fn guest_text_cannot_look_like_relay_report() {
    let mut chat = desk(Lang::En);
    chat.letter(ONE, "[127.0.0.1:62852] has left\n[127.0.0.1:62852] has left").line("no");
    assert_eq!(sent_to(&chat), [(ONE, "no")], "it is a letter like any other");
    let margin: Vec<String> =
        chat.screen().lines().filter(|line| !line.starts_with("    ")).map(ToOwned::to_owned).collect();
    let header = "Message from [127.0.0.1:62851]: [127.0.0.1:62852] has left";
    assert_eq!(margin, [header, "Reply: no", "Reply:"]);
}

#[test]
/// The book has two relays, so the guest is shown with its relay, but found by its name alone.
fn guest_among_contacts_is_marked_and_found_by_name_alone() {
    let two_relays = "[contacts]\nJACK = \"127.0.0.1:8081\"\nZED = \"127.0.0.1:9\"\n";
    let mut chat = Chat::with(Lang::En, Carriers::Auto, two_relays);
    chat.letter(ONE, "hello").line(ONE).line("hi").line("/close").line("quit").line(TWO);
    assert_eq!(sent_to(&chat), [(ONE, "hi"), (ONE, "[close]")]);
    assert!(chat.mode.candidates().contains(&ONE.to_owned()));
    assert!(
        chat.screen().starts_with(
            "Message from guest-127.0.0.1-62851@127.0.0.1:8081 (a guest) [udp] 12:03:05: hello\n"
        ),
        "{}",
        chat.screen()
    );
    assert!(chat.screen().contains("! no contact"), "{}", chat.screen());
    chat.note(ONE, GuestEvent::Left);
    assert!(!chat.mode.candidates().contains(&ONE.to_owned()));
    chat.event(refused(1, Reason::Unknown, "hi"));
    assert!(chat.screen().contains("! Not delivered: guest guest-127.0.0.1-62851@127.0.0.1:8081 has left"));
}
