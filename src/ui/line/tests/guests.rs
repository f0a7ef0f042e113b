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

/// A desk on a terminal.
struct Desk(Chat);

impl Desk {
    fn new(lang: Lang) -> Desk {
        let mut desk = Desk(desk(lang));
        desk.0.mode.options.is_terminal = true;
        desk.0.mode.begin_line();
        desk
    }

    /// A guest writes or leaves while the line has this text. Returns the new prompt, if any.
    fn event(&mut self, guest: &str, event: Result<&str, GuestEvent>, draft: Draft) -> Option<String> {
        match event {
            Ok(text) => self.0.letter(guest, text),
            Err(note) => self.0.note(guest, note),
        };
        self.change_prompt(draft)
    }

    /// Time passes while the line has this text. Returns the new prompt, if any. It is empty if the
    /// prompt stays.
    fn seconds_pass(&mut self, seconds: u64, draft: Draft) -> Option<String> {
        self.0.seconds_pass(seconds);
        self.change_prompt(draft)
    }

    fn change_prompt(&mut self, draft: Draft) -> Option<String> {
        let change = self.0.mode.change_prompt()?;
        let input = UserInput::PromptReplaced { id: change.id, draft };
        assert_eq!(self.0.mode.handle_input(input, NOW), []);
        Some(if draft == Draft::Begun { change.prompt_of_draft.unwrap_or_default() } else { change.prompt })
    }

    /// Enters a line below its prompt, and shows the prompt after it.
    fn enter(&mut self, line: &str) -> &mut Desk {
        self.0.seen += &format!("…{line}\n");
        let actions = self.0.mode.handle_input(UserInput::Line(line.to_owned()), self.0.now());
        self.0.carry_out(actions);
        self.0.mode.begin_line();
        self.0.seen += &format!("{}\n", self.0.mode.prompt().trim_end());
        self
    }

    fn seen(&mut self) -> String {
        std::mem::take(&mut self.0.seen)
    }
}

#[test]
fn quit_stops_desk_only_while_no_guest_waits() {
    let mut desk = Desk::new(Lang::En);
    desk.event(ONE, Ok("hello"), Draft::Empty);
    desk.seen();
    desk.enter("quit");
    assert_eq!(desk.0.quit, None);
    assert!(desk.seen().contains("guest 1 is waiting for an answer; /quit stops the relay"));
    desk.enter("hello yourself").enter("quit");
    assert_eq!(desk.0.quit, Some(0));
    let mut desk = Desk::new(Lang::Zh);
    desk.event(ONE, Ok("hello"), Draft::Empty);
    desk.enter("/quit");
    assert_eq!(desk.0.quit, Some(0));
}

#[test]
fn second_quick_line_goes_to_same_guest() {
    let mut desk = Desk::new(Lang::En);
    desk.event(ONE, Ok("hello"), Draft::Empty);
    desk.event(TWO, Ok("hi"), Draft::Empty);
    desk.enter("hello yourself").enter("how are you?");
    assert_eq!(desk.seconds_pass(2, Draft::Empty), None);
    assert_eq!(desk.seconds_pass(1, Draft::Empty).unwrap(), "To guest 2: ");
    desk.enter("hi yourself");
    assert_eq!(sent_to(&desk.0), [(ONE, "hello yourself"), (ONE, "how are you?"), (TWO, "hi yourself")]);
    assert_eq!(desk.seconds_pass(3, Draft::Empty).unwrap(), "> ");
}

#[test]
fn draft_for_answered_guest_stays_its_own() {
    let mut desk = Desk::new(Lang::En);
    desk.event(ONE, Ok("hello"), Draft::Empty);
    desk.event(TWO, Ok("hi"), Draft::Empty);
    desk.enter("hello yourself");
    assert_eq!(desk.seconds_pass(3, Draft::Begun).unwrap(), "", "the prompt stays");
    desk.enter("a long second line");
    assert_eq!(sent_to(&desk.0)[1], (ONE, "a long second line"));
    // A terminal without editing does not tell under which prompt the text was begun.
    desk.seen();
    assert_eq!(desk.seconds_pass(3, Draft::Unknown).unwrap(), "To guest 2: ");
    desk.enter("for whom?");
    assert_eq!(sent_to(&desk.0).len(), 2);
    assert!(desk.seen().contains("! send \"for whom?\" to guest 2? Enter again sends"));
}

#[test]
fn close_ends_guest_whose_prompt_stayed() {
    let mut desk = Desk::new(Lang::En);
    desk.event(ONE, Ok("hello"), Draft::Empty);
    desk.event(TWO, Ok("hi"), Draft::Empty);
    desk.enter("bye").seconds_pass(3, Draft::Begun);
    desk.enter("/close");
    assert_eq!(sent_to(&desk.0), [(ONE, "bye"), (ONE, "[close]")]);
    assert_eq!(desk.0.mode.prompt(), "To guest 2: ");
    desk.enter("hi yourself").event(TWO, Err(GuestEvent::Left), Draft::Empty);
    assert_eq!(desk.0.mode.prompt(), "> ", "a guest who has left is not named");
}

#[test]
fn desk_prompt_names_guest_in_english() {
    let mut desk = Desk::new(Lang::En);
    assert_eq!(desk.0.mode.prompt(), "> ");
    assert_eq!(desk.event(ONE, Ok("hello"), Draft::Empty).unwrap(), "To guest 1: ");
    assert_eq!(desk.event(TWO, Ok("hi"), Draft::Empty), None, "the first one is answered first");
    let own = desk.0.mode.echo().unwrap().render("hello yourself", NOW.wall).unwrap();
    assert_eq!(own.render(Style::default()), "To guest 1 12:03:05: hello yourself\n");
    desk.enter("hello yourself").enter("/to 1").enter("again").enter("quit").enter("/to 7").enter("q");
    desk.enter("anyone?").enter("/who").enter("quit");
    assert_eq!(sent_to(&desk.0), [(ONE, "hello yourself"), (ONE, "again"), (TWO, "[close]")]);
    assert_eq!(desk.0.quit, Some(0));
    assert_eq!(
        desk.seen(),
        "\
Message from guest 1 (127.0.0.1:62851) 12:03:05: hello
Message from guest 2 (127.0.0.1:62852) 12:03:05: hi
…hello yourself
To guest 1:
…/to 1
! to guest 1 (127.0.0.1:62851)
To guest 1:
…again
To guest 1:
…quit
To guest 2:
…/to 7
! no guest 7; /who lists the guests
To guest 2:
…q
>
…anyone?
! No guest is waiting for a reply. Not sent:
! anyone?
>
…/who
! guest 1 at 127.0.0.1:62851, last message 12:03:05; not authenticated, not encrypted
! guest 2 at 127.0.0.1:62852, last message 12:03:05; not authenticated, not encrypted
>
…quit
>
"
    );
}

#[test]
fn text_begun_for_guest_who_left_goes_to_no_other() {
    let mut desk = Desk::new(Lang::En);
    desk.event(ONE, Ok("hello"), Draft::Empty);
    desk.event(TWO, Ok("hi"), Draft::Empty);
    desk.seen();
    assert_eq!(desk.event(ONE, Err(GuestEvent::Left), Draft::Begun).unwrap(), "> ");
    desk.enter("for one").enter("/to 2").enter("for two").enter("quit").enter("for nobody");
    assert_eq!(sent_to(&desk.0), [(TWO, "for two")]);
    assert_eq!(
        desk.seen(),
        "\
[guest 1] has left
…for one
! guest 1 has left; send \"for one\" to guest 2 instead? Enter again sends, /to N chooses another guest
To guest 2:
…/to 2
! to guest 2 (127.0.0.1:62852)
To guest 2:
…for two
To guest 2:
…quit
>
…for nobody
! No guest is waiting for a reply. Not sent:
! for nobody
>
"
    );
}

#[test]
fn text_for_another_guest_is_sent_after_second_enter() {
    let mut desk = Desk::new(Lang::Zh);
    desk.event(ONE, Ok("你好"), Draft::Empty);
    desk.event(TWO, Ok("在吗"), Draft::Empty);
    desk.seen();
    // The line is entered before the screen shows another prompt.
    desk.0.note(ONE, GuestEvent::Left);
    desk.enter("在").enter("");
    assert_eq!(sent_to(&desk.0), [(TWO, "在")]);
    assert_eq!(
        desk.seen(),
        "\
[访客 1] 已离开
…在
! 访客 1 已离开；要把“在”改发给访客 2 吗？再按回车发送；/to N 选择其他访客
发给访客 2：
…
发给访客 2：
"
    );
}

#[test]
fn question_ends_when_its_guest_leaves() {
    let mut desk = Desk::new(Lang::En);
    desk.event(ONE, Ok("hello"), Draft::Begun);
    desk.seen();
    desk.enter("so");
    desk.event(TWO, Ok("hi"), Draft::Empty);
    assert_eq!(desk.event(ONE, Err(GuestEvent::Left), Draft::Empty).unwrap(), "To guest 2: ");
    desk.enter("").enter("q").enter("/close");
    assert_eq!(sent_to(&desk.0), [(TWO, "[close]")]);
    assert_eq!(
        desk.seen(),
        "\
…so
! send \"so\" to guest 1? Enter again sends, /to N chooses another guest
To guest 1:
Message from guest 2 (127.0.0.1:62852) 12:03:05: hi
[guest 1] has left
…
! Not sent: “so”; the up arrow brings it back
To guest 2:
…q
>
…/close
! No guest selected; choose a guest first
>
"
    );
}

/// Members may write to a desk as well. They have no numbers.
#[test]
fn member_at_desk_is_answered_by_name() {
    let mut desk = Desk::new(Lang::En);
    assert_eq!(desk.event("TOM", Ok("hello"), Draft::Empty).unwrap(), "To TOM: ");
    assert_eq!(desk.event(ONE, Ok("hi"), Draft::Empty), None);
    desk.enter("hello yourself").enter("/to TOM").enter("q").enter("quit").enter("hi yourself");
    assert_eq!(sent_to(&desk.0), [("TOM", "hello yourself"), ("TOM", "q"), (ONE, "hi yourself")]);
    let screen = desk.seen();
    assert!(screen.starts_with("Message from TOM [udp] 12:03:05: hello\n"), "{screen}");
    assert!(screen.contains("…hello yourself\nTo TOM:\n"), "{screen}");
    assert!(screen.contains("! to TOM (127.0.0.1:8081)\n"), "{screen}");
}

#[test]
fn guest_who_left_is_not_closed_in_anothers_place() {
    for word in ["q", "/close"] {
        let mut desk = Desk::new(Lang::En);
        desk.event(ONE, Ok("hello"), Draft::Empty);
        desk.event(TWO, Ok("hi"), Draft::Empty);
        desk.0.note(ONE, GuestEvent::Left);
        desk.enter(word);
        assert_eq!(desk.0.sent, []);
        assert!(desk.seen().contains("! guest 1 has left already\n"));
    }
}

#[test]
fn desk_help_lists_its_commands_in_each_language() {
    let mut english = Desk::new(Lang::En);
    english.enter("/help").enter("/block JACK");
    assert_eq!(
        english.seen(),
        "\
…/help
! A text goes to the guest that the prompt names. Commands:
! quit                  go back to the guest that has waited longest; if no guest waits, stop the relay
! //…                   send text that begins with /
! /who                  list the guests
! /to N                 answer guest N
! /close, q             end the conversation with the guest that the prompt names
! /help                 show this help
! /quit, Ctrl-D         stop the relay
>
…/block JACK
! Not sent: unknown command /block. /help lists the commands. To send text that begins with /, type //
>
"
    );
    let mut chinese = Desk::new(Lang::Zh);
    chinese.enter("/help");
    assert_eq!(
        chinese.seen(),
        "\
…/help
! 文字发给提示符中的访客。命令：
! quit                  返回等待最久的访客；没有访客等待时停止中继
! //…                   发送以 / 开头的文字
! /who                  列出访客
! /to N                 回复访客 N
! /close, q             结束与提示符中的访客的对话
! /help                 显示本帮助
! /quit, Ctrl-D         停止中继
>
"
    );
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
