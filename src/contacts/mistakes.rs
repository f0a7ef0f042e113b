//! Tests: every mistake in an address book yields its phrase, line and column.

use super::AddressBook;
use proptest::prelude::*;

/// Text, phrase key, line, column, and one argument `name=value` with the fix (empty: not checked).
type Row = (&'static str, &'static str, usize, usize, &'static str);

const TYPING: &[Row] = &[
    ("[contacts]\n一棵树 = \"127.0.0.1:8081\"", "book-bare-key", 2, 1, "name=一棵树"),
    ("[contacts]\n  Zoë=\"h:1\"", "book-bare-key", 2, 3, "name=Zoë"),
    ("[contacts.一棵树]\nrelay = \"h:1\"", "book-bare-key", 1, 11, "name=一棵树"),
    ("[contacts]\n一棵树.relay = \"h:1\"", "book-bare-key", 2, 1, "name=一棵树.relay"),
    ("[contacts]\n一棵 树 = \"h:1\"", "book-bare-key", 2, 1, "name=一棵"),
    ("[contacts]\n树🌳 = \"h:1\"", "book-name-bad-character", 2, 1, "character=🌳"),
    ("[contacts]\n“一棵树” = \"h:1\"", "book-full-width-quotes", 2, 1, ""),
    ("[contacts]\nTOM = “127.0.0.1:8081”", "book-full-width-quotes", 2, 7, ""),
    ("[contacts]\nTOM = \"127.0.0.1:8081”", "book-full-width-quotes", 2, 22, ""),
    ("[contacts]\nTOM = ‘h:1’", "book-full-width-quotes", 2, 7, ""),
    ("[contacts]\nA = { relay = \"h:1\", note = “友” }", "book-full-width-quotes", 2, 29, ""),
    ("[contacts]\n\"一棵树\"： \"h:1\"", "book-full-width-colon", 2, 6, ""),
    ("[contacts]\nTOM：\"h:1\"", "book-full-width-colon", 2, 4, ""),
    ("[contacts]\n\"一棵树\" ＝ \"h:1\"", "book-full-width-equals", 2, 7, ""),
    ("[contacts]\nTOM = \"127.0.0.1：8081\"", "book-full-width-colon", 2, 17, ""),
    ("[contacts]\nA = { relay = \"h:1\"，note = \"n\" }", "book-full-width-mark", 2, 20, "wanted=,"),
    ("【contacts】\nA = \"h:1\"", "book-full-width-mark", 1, 1, "wanted=["),
    ("[contacts]\nA = \"h:1\" ＃ note", "book-full-width-mark", 2, 11, "wanted=#"),
    ("[contacts]\nA =\u{3000}\"h:1\"", "book-full-width-space", 2, 4, ""),
    ("[contacts]\nTOM: \"h:1\"", "book-colon", 2, 4, ""),
    ("[contacts]\nTOM: \"h:1\" # = no", "book-colon", 2, 4, ""),
    ("[contacts]\nTOM = 127.0.0.1:8081", "book-bare-value", 2, 7, "value=127.0.0.1:8081"),
    ("[contacts]\nTOM = [::1]:8081", "book-bare-value", 2, 7, "value=[::1]:8081"),
    ("[contacts]\nTOM = localhost:1 # x", "book-bare-value", 2, 7, "value=localhost:1"),
    ("[contacts]\nA = { relay = \"h:1\", note = 邻居 }", "book-bare-value", 2, 29, "value=邻居"),
    ("[contacts]\nTOM = \"h:1\nJACK = \"h:1\"", "book-unclosed-quote", 2, 7, ""),
    ("[contacts]\r\nTOM =\r\n", "book-no-value", 2, 6, "name=TOM"),
    ("[contacts]\nTOM", "book-no-value", 2, 4, "name=TOM"),
    ("[contacts]\nA B = \"h:1\"", "book-name-space", 2, 1, "name=A B"),
    ("[contacts]\na@b = \"h:1\"", "book-name-bad-character", 2, 1, "character=@"),
    ("[contacts\nA = \"h:1\"", "book-syntax", 1, 10, "why=unclosed table, expected `]`"),
    ("[contacts]\nA = \"h:1\" B = \"h:2\"", "book-syntax", 2, 11, ""),
];

const MEANING: &[Row] = &[
    ("[contacts]\nTOM = \"\"", "book-address-empty", 2, 7, "address="),
    ("[contacts]\nTOM = \"127.0.0.1\"", "book-address-no-port", 2, 7, "address=127.0.0.1"),
    ("[contacts]\nTOM = \"h:0\"", "book-address-bad-port", 2, 7, "address=h:0"),
    ("[contacts]\nTOM = \"h:99999\"", "book-address-bad-port", 2, 7, "address=h:99999"),
    ("[contacts]\nTOM = \"中继:1\"", "book-address-not-ascii", 2, 7, "address=中继:1"),
    ("[contacts]\nTOM = \"a b:1\"", "book-address-bad-host", 2, 7, "address=a b:1"),
    ("[contacts]\nTOM = \"::1\"", "book-address-no-brackets", 2, 7, "fix=[::1]:8081"),
    ("[contacts]\nTOM = \"fe80::1:99999\"", "book-address-bad-port", 2, 7, ""),
    ("[contacts]\nTOM = \"fe80::1:9001\"", "book-address-no-brackets", 2, 7, "fix=[fe80::1]:9001"),
    (
        "[contacts]\nTOM = \"http://127.0.0.1:8081\"",
        "book-address-url",
        2,
        7,
        "address=http://127.0.0.1:8081",
    ),
    ("[contacts]\nA = { relay = \"h:1\", tcp = \"h\" }", "book-address-no-port", 2, 28, "address=h"),
    ("[contacts]\nA = { relay = \"h:1\", key = \"AAAA\" }", "book-contact-key", 2, 22, ""),
    ("[contacts.A]\nrelay = \"h:1\"\nkey = 7", "book-contact-key", 3, 1, ""),
    ("[contacts]\nA = { relay = \"h:1\", relay_key = \"AAAA\" }", "book-bad-fingerprint", 2, 34, ""),
    ("[contacts]\nA = { relay = \"h:1\", relay_key = 7 }", "book-not-text", 2, 34, "key=relay_key"),
    ("[contacts]\nA = { relay = \"h:1\", memebr = \"B\" }", "book-unknown-key-near", 2, 22, "near=member"),
    ("[contacts]\nA = { relya = \"h:1\" }", "book-unknown-key-near", 2, 7, "near=relay"),
    (
        "[contacts]\nA = { relay = \"h:1\", colour = \"red\" }",
        "book-unknown-key",
        2,
        22,
        "known=relay, tcp, relay_key, member, note, group, blocked",
    ),
    ("[contact]\nA = \"h:1\"", "book-unknown-key-near", 1, 2, "near=contacts"),
    ("[me]\nnmae = \"A\"", "book-unknown-key-near", 2, 1, "near=name"),
    ("version = 2", "book-unknown-key", 1, 1, "known=me, relays, contacts, contacts_only"),
    ("contacts-only = true", "book-unknown-key-near", 1, 1, "near=contacts_only"),
    ("contacts_only = \"yes\"", "book-not-switch", 1, 17, "key=contacts_only"),
    ("[contacts]\ncontacts_only = true", "book-below-table", 2, 1, "key=contacts_only"),
    ("[me]\ncontacts_only = false", "book-below-table", 2, 1, "key=contacts_only"),
    ("[relays]\ncontacts_only = true", "book-below-table", 2, 1, "key=contacts_only"),
    ("JACK = \"127.0.0.1:8081\"", "book-outside", 1, 1, "name=JACK"),
    ("[contacts]\nTOM = 8081", "book-not-entry", 2, 7, "name=TOM"),
    ("[contacts]\nTOM = [\"h:1\"]", "book-not-entry", 2, 7, "name=TOM"),
    ("[contacts]\nA = { relay = 1 }", "book-not-text", 2, 15, "key=relay"),
    ("[contacts]\nA = { relay = \"h:1\", note = true }", "book-not-text", 2, 29, "key=note"),
    ("[me]\nname = 7", "book-not-text", 2, 8, "key=name"),
    ("contacts = \"h:1\"", "book-not-table", 1, 1, "key=contacts"),
    ("[[contacts]]\nA = \"h:1\"", "book-not-table", 1, 3, "key=contacts"),
    ("me = \"TOM\"", "book-not-table", 1, 1, "key=me"),
    ("[contacts]\nA = \"h:1\"\nA = \"h:2\"", "book-duplicate-name", 3, 1, "first=2"),
    ("[contacts]\nA = \"h:1\"\n\"A\" = \"h:2\"", "book-duplicate-name", 3, 1, "first=2"),
    ("[contacts.A]\nrelay=\"h:1\"\n[contacts.A]\nrelay=\"h:1\"", "book-duplicate-name", 3, 11, "first=1"),
    ("[contacts]\nTom = \"h:1\"\nTOM = \"h:2\"", "book-duplicate-name", 3, 1, "first=2"),
    ("[contacts]\n\"Zoë\" = \"h:1\"\n\n\"Zoe\u{308}\" = \"h:2\"", "book-duplicate-name", 4, 1, "first=2"),
    ("[contacts]\n[contacts]", "book-duplicate-key", 2, 2, "key=contacts"),
    ("[me]\nname = \"A\"\nname = \"B\"", "book-duplicate-key", 3, 1, "key=name"),
    ("[contacts]\nA = { relay = \"h:1\", relay = \"h:2\" }", "book-duplicate-key", 2, 22, "key=relay"),
    (
        "[contacts]\nA = { relay = \"h:1\", tcp = \"h:2\" }\nB = \"h:1\"\nC = { relay = \"H:1\", tcp = \"h:3\" }",
        "book-tcp-conflict",
        4,
        28,
        "first=2",
    ),
    ("[contacts]\n\"../x\" = \"h:1\"", "book-name-bad-character", 2, 1, "character=/"),
    ("[contacts]\n\"alice \" = \"h:1\"", "book-name-space", 2, 1, "name=alice "),
    ("[contacts]\n\"\" = \"h:1\"", "book-name-empty", 2, 1, ""),
    ("[contacts]\n\"..\" = \"h:1\"", "book-name-no-letter", 2, 1, ""),
    ("[contacts]\n\"a\\u200bb\" = \"h:1\"", "book-name-bad-character", 2, 1, "character=\u{200b}"),
    ("[contacts]\nA = { relay = \"h:1\", member = \"a b\" }", "book-name-space", 2, 31, "name=a b"),
    ("[contacts]\nj.doe = \"h:1\"", "book-dotted-name", 2, 1, "name=j.doe"),
    ("[contacts]\nA = { note = \"n\" }", "book-no-relay", 2, 1, "name=A"),
    ("[contacts]\n[contacts.A]\nnote = \"n\"", "book-no-relay", 2, 11, "name=A"),
    ("[me]\nname = \"\"", "book-me-empty", 2, 8, ""),
    ("[me]\nname = \"echo\"", "book-me-reserved", 2, 8, "name=echo"),
    ("\u{feff}[contacts]\r\n\"武\" = \"h:1\"\r\n 大 = \"h:1\"\r\n", "book-bare-key", 3, 2, "name=大"),
];

const RELAYS: &[Row] = &[
    ("[relays]\nhome = 7", "book-not-relay", 2, 8, "name=home"),
    ("[relays]\nhome = \"h\"", "book-address-no-port", 2, 8, "address=h"),
    ("[relays]\nhome = { address = \"h：1\" }", "book-full-width-colon", 2, 22, "address=h：1"),
    ("[relays]\nhome = { address = \"h:1\", tcp = \"h\" }", "book-address-no-port", 2, 33, "address=h"),
    ("[relays]\nhome = { address = \"h:1\", key = \"aaaaa\" }", "book-bad-fingerprint", 2, 33, ""),
    ("[relays]\nhome = { tcp = \"h:1\" }", "book-no-relay-address", 2, 1, "name=home"),
    ("[relays.home]\ntcp = \"h:1\"", "book-no-relay-address", 1, 9, "name=home"),
    ("[relays]\nhome = { adress = \"h:1\" }", "book-unknown-key-near", 2, 10, "near=address"),
    (
        "[relays]\nhome = { address = \"h:1\", note = \"n\" }",
        "book-unknown-key",
        2,
        27,
        "known=address, tcp, key",
    ),
    ("[relays]\na.b = \"h:1\"", "book-dotted-name", 2, 1, "name=a.b"),
    ("[relays]\n家 = \"h:1\"", "book-bare-key", 2, 1, "name=家"),
    ("[relays]\nhome = h:1", "book-bare-value", 2, 8, "value=h:1"),
    ("[relays]\n\"a b\" = \"h:1\"", "book-name-space", 2, 1, "name=a b"),
    ("relays = \"h:1\"", "book-not-table", 1, 1, "key=relays"),
    ("[relay]\nhome = \"h:1\"", "book-unknown-key-near", 1, 2, "near=relays"),
    ("[relays]\nhome = \"h:1\"\n\nHome = \"h:2\"", "book-duplicate-name", 4, 1, "first=2"),
    (
        "[contacts]\nhome = \"h:1\"\n[relays]\nhome = \"h:1\"\nhome = \"h:2\"",
        "book-duplicate-name",
        5,
        1,
        "first=4",
    ),
    ("[relays]\nA = \"h:1\"\n[contacts]\nA = \"h:1\"\nA = \"h:2\"", "book-duplicate-name", 5, 1, "first=4"),
    ("[contacts]\nA = \"home\"\n[relays]\nhome = \"h\"", "book-address-no-port", 4, 8, "address=h"),
    (
        "[relays]\nhome = \"h:1\"\n[contacts]\nA = { relay = \"hoem\" }",
        "book-unknown-relay-near",
        4,
        15,
        "near=home",
    ),
    (
        "[relays]\nhome = \"h:1\"\nb = \"h:2\"\n[contacts]\nA = \"work\"",
        "book-unknown-relay",
        5,
        5,
        "known=b, home",
    ),
    (
        "[relays]\nhome = \"h:1\"\n[contacts]\nA = \"10.0.0.1\"",
        "book-address-no-port",
        4,
        5,
        "address=10.0.0.1",
    ),
    ("[contacts]\nA = \"home\"", "book-address-no-port", 2, 5, "address=home"),
    (
        "[relays]\nhome = { address = \"h:1\", key = \"aaaaa-aaaaa-aaaaa-aaaaa\" }\n[contacts]\n\
         A = { relay = \"H:1\", relay_key = \"bbbbb-bbbbb-bbbbb-bbbbb\" }",
        "book-key-conflict",
        4,
        34,
        "first=2",
    ),
    (
        "[contacts]\nA = { relay = \"h:1\", relay_key = \"aaaaa-aaaaa-aaaaa-aaaaa\" }\nB = \"h:1\"\n[contacts.C]\n\
         relay = \"h:1\"\nrelay_key = \"bbbbb-bbbbb-bbbbb-bbbbb\"",
        "book-key-conflict",
        6,
        13,
        "key=aaaaa-aaaaa-aaaaa-aaaaa",
    ),
    (
        "[relays]\na = { address = \"h:1\", key = \"aaaaa-aaaaa-aaaaa-aaaaa\" }\n\
         b = { address = \"h:1\", key = \"bbbbb-bbbbb-bbbbb-bbbbb\" }",
        "book-key-conflict",
        3,
        30,
        "first=2",
    ),
    (
        "[relays]\nhome = { address = \"h:1\", tcp = \"h:2\" }\n[contacts]\nA = { relay = \"home\", tcp = \"h:3\" }",
        "book-tcp-conflict",
        4,
        29,
        "first=2",
    ),
];

fn check(rows: &[Row]) {
    for &(text, key, line, column, arg) in rows {
        let phrase = AddressBook::parse(text, "my.toml").expect_err(text);
        let value = |name: &str| {
            phrase
                .args()
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.as_str())
                .unwrap_or_default()
        };
        let got = format!("{} {} {}:{}", phrase.key(), value("file"), value("line"), value("column"));
        assert_eq!(got, format!("{key} my.toml {line}:{column}"), "{text}\n{phrase}");
        if let Some((name, wanted)) = arg.split_once('=') {
            assert_eq!(value(name), wanted, "{text}\n{phrase}");
        }
    }
}

#[test]
fn syntax_mistake_reports_position_and_fix() {
    check(TYPING);
}

// faults.md: R49
#[test]
fn semantic_mistake_reports_position_and_fix() {
    check(MEANING);
}

#[test]
fn relay_mistake_reports_position_and_fix() {
    check(RELAYS);
}

#[test]
fn relay_settings_apply_to_all_its_contacts() {
    let text = "[contacts]\nA = \"home\"\nB = { relay = \"Home\", member = \"b\" }\nC = \"h:1\"\nD = \"h:2\"\n\
        [relays]\nwork = \"h:3\"\nhome = { address = \"h:1\", tcp = \"h:9\", key = \"AAAAA-aaaaa-aaaaa-aaaaa\" }\n";
    let book = AddressBook::parse(text, "f").unwrap();
    let relays: Vec<String> = book.relays().iter().map(|relay| relay.address.to_string()).collect();
    assert_eq!(relays, ["h:3", "h:1", "h:2"]);
    for name in ["A", "b@h:1", "C", "stranger@h:1"] {
        let target = book.resolve(name).unwrap();
        let tcp = target.tcp.map(|tcp| tcp.to_string());
        let key = target.relay_key.map(|key| key.to_string());
        assert_eq!(tcp.as_deref(), Some("h:9"), "{name}");
        assert_eq!(key.as_deref(), Some("aaaaa-aaaaa-aaaaa-aaaaa"), "{name}");
    }
    assert_eq!(book.resolve("D").unwrap().relay_key, None);
    let alone = AddressBook::parse("[relays]\nhome = \"h:1\"", "f").unwrap();
    assert_eq!(alone.resolve("stranger").unwrap().relay.to_string(), "h:1");
}

#[test]
fn long_name_is_refused_and_shown_shortened() {
    let phrase =
        AddressBook::parse(&format!("[contacts]\n{} = \"h:1\"", "a".repeat(10_000)), "f").unwrap_err();
    assert_eq!(phrase.key(), "book-name-too-long");
    assert!(phrase.args().iter().all(|(_, value)| value.len() <= 32));
}

#[test]
fn shipped_book_has_four_contacts_and_no_user_name() {
    let book = AddressBook::parse(include_str!("../../contacts.toml"), "contacts.toml").unwrap();
    let names: Vec<&str> = book.contacts.iter().map(|c| c.label.as_str()).collect();
    assert_eq!(names, ["TOM", "JACK", "一棵树", "武大郎"]);
    assert!(book.contacts.iter().all(|c| c.relay.to_string() == "127.0.0.1:8081" && c.member == c.label));
    assert_eq!(book.me, None);
    assert!(!book.contacts_only);
}

#[test]
fn examples_in_comments_of_shipped_book_are_valid() {
    let shown: String = include_str!("../../contacts.toml")
        .lines()
        .filter(|line| {
            ["# [", "# name =", "# \"", "# contacts_only ="].iter().any(|start| line.starts_with(start))
        })
        .map(|line| format!("{}\n", &line[2..]))
        .collect();
    let (me, long) = shown.split_at(shown.find("\"潘").unwrap());
    let book = AddressBook::parse(&format!("{me}[contacts]\n{long}"), "f").unwrap();
    assert_eq!(book.me, "TOM".parse().ok());
    assert!(book.contacts_only);
    assert_eq!(book.contacts[0].member.as_str(), "jinlian");
    assert_eq!(book.contacts[0].group.as_deref(), Some("阳谷县"));
    let home =
        include_str!("../../contacts.toml").lines().find(|line| line.starts_with("# home = ")).unwrap();
    let book = AddressBook::parse(&format!("[relays]\n{}", &home[2..]), "f").unwrap();
    assert!(book.relays()[0].key.is_some() && book.relays()[0].tcp.is_some());
}

#[test]
fn all_notations_of_entry_are_equal() {
    let forms = [
        "[contacts]\nA = { relay = \"h:1\", member = \"b\" }",
        "[contacts.A]\nrelay = \"h:1\"\nmember = \"b\"",
        "[contacts]\nA.relay = \"h:1\"\nA.member = \"b\"",
        "contacts = { A = { relay = \"h:1\", member = \"b\" } }",
        "\u{feff}[me]\r\n[contacts]\r\n'A' = { relay = 'H:1', member = \"b\" }\r\n",
    ];
    let first = AddressBook::parse(forms[0], "f").unwrap();
    for form in forms {
        assert_eq!(AddressBook::parse(form, "f").as_ref(), Ok(&first), "{form}");
    }
    assert_eq!(AddressBook::parse("", "f"), Ok(AddressBook::default()));
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in "(\\[contacts\\]|\\[me\\])?\n?([A-Za树“”：＝，=:.{}\\[\\]\"'#\\\\ \r\n\t1]|\\PC){0,60}") {
        let _ = AddressBook::parse(&text, "f");
    }
}
