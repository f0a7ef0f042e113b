//! Unread messages and `/reply` on a terminal.

use super::terminal::terminal;
use super::*;

#[test]
fn unread_senders_are_listed_and_answered_newest_first() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("/unread")
        .line("JACK")
        .letter("JANE", "1")
        .letter("JACK", "x")
        .letter("TOM", "2")
        .letter("JANE", "3");
    chat.line("/unread").seconds_pass(3).line("/reply").line("hi").line("/reply").line("/reply");
    assert_eq!(
        chat.screen(),
        "\
> /unread
! No unread messages
> JACK
! to JACK (127.0.0.1:8081)
Message from JANE [udp] 12:03:05: 1
Message from JACK [udp] 12:03:05: x
Message from TOM (not in your contacts) [udp] 12:03:05: 2
Message from JANE [udp] 12:03:05: 3
To JACK: /unread
! Unread: JANE (2 new), TOM (1 new)
To JACK: /reply
! to JANE (127.0.0.1:8081)
[last 20 with JANE, 2 new]
To JANE: hi
To JANE: /reply
! to TOM (127.0.0.1:8081)
[last 20 with TOM, 1 new]
To TOM: /reply
! No unread messages
To TOM:
"
    );
}

/// The user reads JANE's message and types `/reply`, and another one comes before Enter.
#[test]
fn reply_asks_when_a_newer_message_came_while_typing() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("JACK").letter("JANE", "1").seconds_pass(4).letter("tree", "2");
    chat.seconds_pass(2).line("/reply").line("secret!").line("/to JANE").line("hi");
    assert_eq!(chat.texts_sent(), ["hi"]);
    let screen = chat.screen();
    let asked =
        "To JACK: /reply\n! 一棵树 has just written too; choose one with /to: 一棵树, JANE\n> secret!\n";
    assert!(screen.contains(asked), "{screen}");
    let mut chat = terminal(Lang::Zh, BOOK);
    chat.letter("JANE", "1").line("/reply");
    assert!(chat.screen().ends_with("发给 JANE：\n"), "a single sender needs no question");
}

/// JACK, to whom the user writes, has just written, and JANE earlier.
#[test]
fn reply_asks_when_the_recipient_has_just_written() {
    let mut chat = terminal(Lang::En, BOOK);
    chat.line("JACK")
        .letter("JANE", "1")
        .seconds_pass(4)
        .letter("JACK", "at 8?")
        .seconds_pass(2)
        .line("/reply")
        .line("yes!");
    assert!(chat.sent.is_empty());
    let asked = "! JACK has just written too; choose one with /to: JACK, JANE\n> yes!\n";
    assert!(chat.screen().contains(asked), "{}", chat.screen());
    chat.line("/to JACK").letter("JACK", "well?").seconds_pass(3).line("/reply");
    assert!(chat.screen().ends_with("To JANE:\n"), "{}", chat.screen());
}
