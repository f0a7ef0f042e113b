//! The address book: errors, and edits by the program and by hand.

use crate::harness::{ExitedProcess, Machine, relay_with_members};

/// Books with an error, the error's position, and a part of the message that names the fix.
const MISTAKES: [(&str, &str, &str); 23] = [
    ("[contacts]\n一棵树 = \"h:1\"\n", "2:1", "put quotes around 一棵树"),
    ("[contacts]\n“一棵树” = \"h:1\"\n", "2:1", "use straight quotes (\")"),
    ("[contacts]\nTOM = “h:1”\n", "2:7", "use straight quotes (\")"),
    ("[contacts]\nTOM：\"h:1\"\n", "2:4", "full-width colon (：): use ="),
    ("[contacts]\nTOM = \"127.0.0.1：8081\"\n", "2:17", "full-width colon (：)"),
    ("[contacts]\nTOM ＝ \"h:1\"\n", "2:5", "full-width equals sign (＝)"),
    ("[contacts]\nTOM: \"h:1\"\n", "2:4", "use = (not :)"),
    ("[contacts]\nTOM = 127.0.0.1:8081\n", "2:7", "put quotes around 127.0.0.1:8081"),
    ("[contacts]\nTOM = \"127.0.0.1\"\n", "2:7", "127.0.0.1 has no port"),
    ("[contacts]\nTOM = \"h:99999\"\n", "2:7", "number from 1 to 65535"),
    ("[contacts]\nTOM = \"::1\"\n", "2:7", "[::1]:8081"),
    ("[contacts]\nTOM = \"fe80::1:9001\"\n", "2:7", "[fe80::1]:9001"),
    ("[contacts]\nTOM = \"http://127.0.0.1:8081\"\n", "2:7", "leave out http://"),
    ("[contacts]\nTOM = \"中继.example:8081\"\n", "2:7", "begins with xn--"),
    ("[contacts]\nTOM = { relya = \"h:1\" }\n", "2:9", "did you mean relay?"),
    ("[contacts]\nTOM = \"h:1\"\nTom = \"h:2\"\n", "3:1", "is already defined on line 2"),
    ("[contacts]\nTOM = \"h:1\n", "2:7", "unclosed quote"),
    ("TOM = \"h:1\"\n", "1:1", "outside [contacts]"),
    (
        "[contacts]\nTOM = { relay = \"h:1\", key = \"x\" }\n",
        "2:24",
        "remove it (the key of the relay is relay_key)",
    ),
    ("[relays]\nhome = { adress = \"h:1\" }\n", "2:10", "did you mean address?"),
    ("[relays]\nhome = \"h:1\"\n[contacts]\nTOM = \"hoem\"\n", "4:7", "did you mean home?"),
    (
        "[relays]\nhome = { address = \"h:1\", key = \"aaaaa-aaaaa-aaaaa-aaaaa\" }\n[contacts]\n\
         TOM = { relay = \"h:1\", relay_key = \"bbbbb-bbbbb-bbbbb-bbbbb\" }\n",
        "4:36",
        "line 2 gives aaaaa-aaaaa-aaaaa-aaaaa as the key of the relay at h:1",
    ),
    ("# 注释\n[me]\nname = \"echo\"\n", "3:8", "reserved for the relay"),
];

// faults.md: R49
#[test]
fn every_command_reports_book_error_with_position_and_fix() {
    let machine = Machine::new();
    for (text, place, fix) in MISTAKES {
        machine.write("contacts.toml", text);
        for command in [
            &["contacts", "check"][..],
            &["contacts", "list"],
            &["send", "--as", "TOM", "JACK", "x"],
            &["listen", "--as", "TOM"],
            &["chat", "--as", "TOM"],
            &["ping"],
        ] {
            let exited = machine.run(command);
            exited.one_line(1, &format!("contacts.toml:{place}: "));
            exited.one_line(1, fix);
        }
    }
    assert!(!machine.path(".local").exists(), "an invalid book leaves no folders");
}

#[test]
fn book_errors_are_also_in_chinese() {
    let machine = Machine::new();
    machine.write("contacts.toml", MISTAKES[0].0);
    let notices = machine.run(&["--lang", "zh", "contacts", "check"]).with(1).err;
    assert!(notices[0].starts_with("contacts.toml:2:1") && notices[0].contains("引号"), "{notices:?}");
}

// faults.md: R76
#[test]
fn missing_or_unreadable_book_is_named() {
    let machine = Machine::new();
    machine.run(&["contacts", "check"]).one_line(1, "no address book at");
    for command in
        [&["contacts", "list"][..], &["send", "--as", "TOM", "JACK", "x"], &["listen", "--as", "TOM"]]
    {
        machine
            .run(&[command, &["--contacts", "my.toml"]].concat())
            .one_line(1, "no address book at my.toml");
    }
    machine.run(&["listen", "--as", "TOM"]).one_line(1, "no contacts in");
    std::fs::create_dir(machine.path("contacts.toml")).unwrap();
    machine
        .run(&["contacts", "list", "--contacts", "contacts.toml"])
        .one_line(1, "cannot read contacts.toml");
    machine.write("gbk.toml", b"[contacts]\n\"\xca\xf7\" = \"h:1\"\n");
    machine.run(&["contacts", "check", "--contacts", "gbk.toml"]).one_line(1, "gbk.toml:2: not UTF-8");
}

#[test]
fn shipped_book_has_four_contacts_and_no_errors() {
    let machine = Machine::new();
    machine.write("contacts.toml", include_str!("../../contacts.toml"));
    assert_eq!(machine.run(&["contacts", "check"]).result(), "contacts.toml: 4 contacts, no errors");
    let listed = machine.run(&["contacts", "list"]).with(0).out;
    assert_eq!(
        listed,
        [
            "TOM     127.0.0.1:8081",
            "JACK    127.0.0.1:8081",
            "一棵树  127.0.0.1:8081",
            "武大郎  127.0.0.1:8081"
        ]
    );
    let who = machine.run(&["send", "JACK", "x"]);
    who.one_line(2, "no name given: use --as NAME, or set name under [me] in the address book");
}

#[test]
fn adding_and_removing_contact_keeps_other_bytes() {
    let shipped = include_str!("../../contacts.toml");
    let own = "# mine\n[me]   # who\nname = \"TOM\"\n\n[contacts] # people\nJACK = \"h:1\"  # a friend \n\n# the end";
    let windows = "\u{feff}[contacts]\r\n# 朋友\r\nJACK = \"h:1\" # x\r\n";
    for before in [shipped, own, windows] {
        let machine = Machine::new();
        machine.write("contacts.toml", before);
        machine.run(&["contacts", "add", "潘金莲", "[::1]:8081"]).with(0);
        let after = machine.read("contacts.toml");
        let (added, kept): (Vec<&str>, Vec<&str>) =
            after.split_inclusive('\n').partition(|line| line.contains("潘金莲") && !before.contains(line));
        assert_eq!(added.len(), 1, "{after}");
        assert_eq!(kept.concat().trim_end(), before.trim_end());
        machine.run(&["contacts", "remove", "潘金莲"]).with(0);
        assert_eq!(machine.read("contacts.toml"), before);
    }
}

#[test]
fn contact_with_all_fields_is_listed_with_all_fields() {
    let machine = Machine::new();
    let key = "aaaaa-bbbbb-ccccc-ddddd";
    let mut add = vec!["contacts", "add", "武大郎", "chat.example.org:8081", "--member", "wudalang"];
    add.extend([
        "--tcp-addr",
        "chat.example.org:443",
        "--relay-key",
        key,
        "--note",
        "colleague",
        "--group",
        "work",
    ]);
    let notices = machine.run(&add).with(0).err;
    assert!(
        notices[0].contains("武大郎 added to ") && notices[0].ends_with("queqiao/contacts.toml"),
        "{notices:?}"
    );
    let listed = machine.run(&["contacts", "list"]);
    let rest =
        format!("member=wudalang  tcp=chat.example.org:443  relay_key={key}  group=work  note=colleague");
    assert_eq!(listed.result(), format!("武大郎  chat.example.org:8081  {rest}"));
    machine.run(&add).one_line(1, "武大郎 is already in ");
    machine.run(&["contacts", "remove", "潘金莲"]).one_line(1, "no contact named 潘金莲");
    for (name, relay, reason) in [
        ("a b", "h:1", "a name cannot contain a space"),
        ("X", "h", "an address needs a port"),
        ("X", "h:0", "the port must be a number"),
        ("X", "::1", "brackets"),
        ("X", "127.0.0.1：8081", "use an ASCII colon (:)"),
    ] {
        machine.run(&["contacts", "add", name, relay]).one_line(2, reason);
    }
}

// faults.md: R49
#[test]
fn running_client_follows_edits_and_ignores_invalid_ones() {
    let (machine, east) = relay_with_members(&["--data", "east"], &["JACK"]);
    let west = machine.relay(&["--data", "west"]);
    let mut tom = machine.listen("TOM", &[]);
    let send = |machine: &Machine, relay, text| -> ExitedProcess {
        machine.run(&["send", "--as", "JACK", "--contacts", "none.toml", &format!("TOM@{relay}"), text])
    };
    machine.write("none.toml", "");
    send(&machine, west.udp, "early").one_line(1, " unknown");

    let both = format!("[contacts]\nJACK = \"{}\"\nROSE = \"{}\"\n", east.udp, west.udp);
    machine.write("contacts.toml", &both);
    tom.until_err(&format!("connected to {}", west.udp));
    send(&machine, west.udp, "west").with(0);
    assert!(tom.out().ends_with(" west"));

    machine.write("contacts.toml", both.replace("ROSE", "一棵树"));
    let notices = tom.until_err("still using the previous address book");
    assert!(notices.contains("contacts.toml:3:1: put quotes around 一棵树"), "{notices}");
    send(&machine, west.udp, "still west").with(0);
    assert!(tom.out().ends_with(" still west"));

    // Editors replace the file with a new one.
    machine.write("new.toml", format!("[contacts]\nJACK = \"{}\"\n", east.udp));
    std::fs::rename(machine.path("new.toml"), machine.path("contacts.toml")).unwrap();
    tom.until_err(" reloaded");
    send(&machine, east.udp, "east").with(0);
    assert!(tom.out().ends_with(" east"));
    assert!(
        send(&machine, west.udp, "gone").result().starts_with("accepted "),
        "it waits in a mailbox there"
    );
}

/// These can be written, and lead nowhere.
#[test]
fn check_finds_contacts_that_cannot_be_reached_or_chosen() {
    let machine = Machine::new();
    for address in ["0.0.0.0:8081", "255.255.255.255:8081", "224.0.0.1:8081", "[ff02::1]:8081", "[::]:8081"] {
        machine.write("contacts.toml", format!("[contacts]\nTOM = \"{address}\"\n"));
        let wanted = format!("no relay can be reached at {address}, the address of TOM");
        machine.run(&["contacts", "check"]).one_line(1, &wanted);
        machine.run(&["contacts", "list"]).with(0);
    }
    for word in ["quit", "q", "Exit"] {
        machine.write("contacts.toml", format!("[contacts]\n{word} = \"127.0.0.1:8081\"\n"));
        let wanted = format!("{word} ends a chat, so this contact cannot be chosen there");
        machine.run(&["contacts", "check"]).one_line(1, &wanted);
    }
    let added = machine.run(&["contacts", "--contacts", "new.toml", "add", "TOM", "0.0.0.0:8081"]).with(0);
    assert!(added.err[0].starts_with("no relay can be reached at 0.0.0.0:8081"), "{added:?}");
}

#[test]
fn wrong_addresses_are_refused_with_their_reason() {
    let machine = Machine::new();
    for (address, wanted) in [
        ("http://127.0.0.1:8081", "just HOST:PORT, with no http://"),
        ("127.0.0.1:8081/chat", "just HOST:PORT, with no http://"),
        ("中继.example:8081", "the form that begins with xn--"),
        ("fe80::1%eth0:8081", "put an IPv6 address in brackets"),
        ("a:b:8081", "must be an IP address or a host name"),
    ] {
        machine.run(&["contacts", "--contacts", "c.toml", "add", "TOM", address]).one_line(2, wanted);
    }
}
