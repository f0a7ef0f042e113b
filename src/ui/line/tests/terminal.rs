//! Screens on a terminal: the prompt names the recipient, and every choice is confirmed.

use super::*;

/// Two relays, and a contact whose name begins another's.
const TWO_RELAYS: &str = r#"
[contacts]
JACK = "127.0.0.1:8081"
JACKSON = "127.0.0.1:9"
"一棵树" = { relay = "127.0.0.1:8081", member = "tree" }
"#;

pub(super) fn terminal(lang: Lang, book: &str) -> Chat {
    let mut chat = Chat::with(lang, Carriers::Auto, book);
    chat.mode.options.is_terminal = true;
    chat
}

fn sent_to(chat: &Chat) -> Vec<(&str, &str)> {
    chat.sent.iter().map(|(_, to, text)| (to.as_str(), text.as_str())).collect()
}

#[test]
fn prompt_names_recipient_in_english() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("JACK").line("hi").line("/to jane").line("you too").line("quit");
    assert_eq!(
        chat.screen(),
        "\
> JACK
! to JACK (127.0.0.1:8081)
To JACK: hi
To JACK: /to jane
! to JANE (127.0.0.1:8081)
To JANE: you too
To JANE: quit
>
"
    );
    assert_eq!(sent_to(&chat), [("JACK", "hi"), ("JANE", "you too")]);
}

#[test]
fn prompt_names_recipient_in_chinese() {
    let mut chat = terminal(Lang::Zh, BOOK);
    chat.line("一").line("在吗").line("JACK").line("/to JACK").line("约不").line("退").line("/to JAN");
    assert_eq!(
        chat.screen(),
        "\
> 一
! 发给一棵树（tree@127.0.0.1:8081）
发给一棵树：在吗
发给一棵树：JACK
! 要把“JACK”发给一棵树吗？再按回车发送；输入“/to JACK”则改为与其聊天
发给一棵树：/to JACK
! 发给 JACK（127.0.0.1:8081）
发给 JACK：约不
发给 JACK：退
发给 JACK：/to JAN
! 发给 JANE（127.0.0.1:8081）
发给 JANE：
"
    );
    assert_eq!(sent_to(&chat), [("tree", "在吗"), ("JACK", "约不"), ("JACK", "退")]);
}

#[test]
fn prefix_of_several_names_chooses_none() {
    let mut chat = terminal(Lang::En, TWO_RELAYS);
    chat.line("j").line("jacks").line("/to JA").line("hello");
    assert_eq!(
        chat.screen(),
        "\
> j
! j: which one? JACK, JACKSON
> jacks
! to JACKSON (127.0.0.1:9)
To JACKSON: /to JA
! JA: which one? JACK, JACKSON
> hello
! no contact named hello; for a member who is not a contact, add the relay: hello@127.0.0.1:8081, hello@127.0.0.1:9
>
"
    );
    assert_eq!(chat.sent, []);
}

#[test]
fn failed_choice_leaves_no_recipient_on_pipe_too() {
    let mut chat = Chat::new(Lang::En);
    chat.line("JACK").line("/to JAN").line("for Jane's eyes");
    assert_eq!(chat.sent, []);
    assert!(chat.screen().contains("! no contact named JAN: did you mean JANE?\n"), "{}", chat.screen());
    assert!(chat.screen().ends_with("Choose a contact:\n"));
}

#[test]
fn lone_name_of_another_is_sent_by_enter_alone() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("JACK").line("jane").line("").line("jane").line("jane").line("jane").line("well").line("JACK");
    assert_eq!(
        chat.screen(),
        "\
> JACK
! to JACK (127.0.0.1:8081)
To JACK: jane
! send \"jane\" to JACK? Enter again sends, /to jane switches
To JACK:
To JACK: jane
! send \"jane\" to JACK? Enter again sends, /to jane switches
To JACK: jane
! send \"jane\" to JACK? Enter again sends, /to jane switches
To JACK: jane
! send \"jane\" to JACK? Enter again sends, /to jane switches
To JACK: well
! Not sent: “jane”; the up arrow brings it back
To JACK: JACK
To JACK:
"
    );
    let texts = ["jane", "well", "JACK"].map(|text| ("JACK", text));
    assert_eq!(sent_to(&chat), texts);
}

/// Ctrl-C answers a question with no; only without a question it ends the program.
#[test]
fn interrupt_at_question_is_no() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("JACK").line("JANE");
    let now = chat.now();
    let actions = chat.mode.handle_input(UserInput::Interrupted, now);
    chat.carry_out(actions);
    assert!(chat.sent.is_empty() && chat.quit.is_none());
    assert!(chat.screen().ends_with("! Not sent: “JANE”; the up arrow brings it back\nTo JACK:\n"));
    chat.line("");
    assert!(chat.sent.is_empty(), "the question is over");
    let actions = chat.mode.handle_input(UserInput::Interrupted, now);
    chat.carry_out(actions);
    assert_eq!(chat.quit, Some(130));
}

#[test]
fn long_paste_is_asked_about() {
    let mut chat = terminal(Lang::En, BOOK);
    let paste = |lines: usize| vec!["line"; lines].join("\n");
    chat.line("JACK").line(&paste(20)).line(&paste(21)).line("/to JANE").line("").line(&paste(21)).line("");
    assert_eq!(sent_to(&chat), [("JACK", paste(20).as_str()), ("JANE", paste(21).as_str())]);
    let question = "! send these 21 lines to JANE as one message? Enter again sends\n";
    assert!(chat.screen().contains(question), "{}", chat.screen());
    let mut script = Chat::new(Lang::En);
    script.line("JACK").line(&paste(21));
    assert_eq!(script.sent.len(), 1, "a script is not asked");
}

#[test]
fn words_that_end_lead_back_and_then_out() {
    for word in ["quit", "EXIT", "q", ":q"] {
        let mut chat = terminal(Lang::En, BOOK);
        chat.line("JACK").line(" q").line(word);
        assert_eq!((chat.quit, chat.mode.prompt().as_str()), (None, "> "), "{word}");
        assert_eq!(chat.line(word).quit, Some(0), "{word}");
        assert_eq!(sent_to(&chat), [("JACK", " q")]);
    }
    let mut chat = terminal(Lang::En, BOOK);
    assert_eq!(chat.line("JACK").line("/quit").quit, Some(0));
}

#[test]
fn q_also_ends_guest_and_quit_does_not() {
    let mut chat = terminal(Lang::En, BOOK);
    let guest = "guest-127.0.0.1-62851";
    chat.letter(guest, "hello").line(guest).line("hi").line("q");
    assert_eq!(sent_to(&chat), [(guest, "hi"), (guest, "[close]")]);
    assert_eq!(chat.mode.prompt(), "> ");
    // The others only leave the conversation.
    chat.line(guest).line("quit");
    assert_eq!(sent_to(&chat).len(), 2);
    assert_eq!(chat.mode.prompt(), "> ");
}

#[test]
fn long_names_are_short_in_prompt_unless_alike() {
    let names =
        ["第三事业部上海研发中心王小伟", "第三事业部北京研发中心王小伟", "第四事业部上海研发中心王小明"];
    let entries = names.map(|name| format!("\"{name}\" = \"127.0.0.1:1\"\n")).concat();
    let book = format!("[contacts]\n{entries}");
    let mut chat = terminal(Lang::Zh, &book);
    for (name, shown) in [
        ("第三事业部上海研发中心王小伟", "第三事业部上海研发中心王小伟"),
        ("第三事业部北京研发中心王小伟", "第三事业部北京研发中心王小伟"),
        ("第四事业部上海研发中心王小明", "第四事业部…中心王小明"),
    ] {
        chat.line(&format!("/to {name}"));
        assert_eq!(chat.mode.prompt(), format!("发给{shown}："));
    }
}

#[test]
fn stranger_is_found_by_name_with_two_relays() {
    let mut chat = terminal(Lang::En, TWO_RELAYS);
    chat.letter("TOM", "hi").line("TOM").line("hello").line("/to JACK");
    let other = Incoming { relay: "127.0.0.1:9".parse().unwrap(), ..incoming("TOM", "me too") };
    chat.event(Event::Letter(other)).line("/to TOM").line("who is this").line("/to TOM@127.0.0.1:9");
    assert_eq!(
        chat.screen(),
        "\
Message from TOM@127.0.0.1:8081 (not in your contacts) [udp] 12:03:05: hi
> TOM
! to TOM@127.0.0.1:8081
[last 20 with TOM@127.0.0.1:8081, 1 new]
To TOM@127.0.0.1:8081: hello
To TOM@127.0.0.1:8081: /to JACK
! to JACK (127.0.0.1:8081)
Message from TOM@127.0.0.1:9 (not in your contacts) [udp] 12:03:05: me too
To JACK: /to TOM
! TOM: which one? TOM@127.0.0.1:8081, TOM@127.0.0.1:9
> who is this
! Not sent: “who is this”; choose a recipient first (JACK, JACKSON, 一棵树, TOM@127.0.0.1:8081, TOM@127.0.0.1:9), then the up arrow brings it back
> /to TOM@127.0.0.1:9
! to TOM@127.0.0.1:9
[last 20 with TOM@127.0.0.1:9, 1 new]
To TOM@127.0.0.1:9:
"
    );
    assert_eq!(sent_to(&chat), [("TOM", "hello")]);
}
