//! First contact: invitations taken by `queqiao join`, keys in the address book, and lines to
//! paste.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use rustix::process::Signal;

use crate::harness::{ExitedProcess, Machine, Relay, relay_with_members, unused_addr};
use crate::terminal::Terminal;

/// A newcomer's own address book and data folder.
const NEW: [&str; 4] = ["--contacts", "new.toml", "--data", "new"];
const OTHER: [&str; 4] = ["--contacts", "other.toml", "--data", "other"];
const WRONG_KEY: &str = "aaaaa-bbbbb-ccccc-ddddd";

fn closed() -> (Machine, Relay) {
    let (machine, relay) = relay_with_members(&["--data", "r", "--closed", "--tcp"], &["JACK"]);
    machine.run(&["join", "--as", "JACK", &invite(&machine, &["JACK"])]).with(0);
    (machine, relay)
}

/// Returns the line that `members invite` prints.
fn invite(machine: &Machine, args: &[&str]) -> String {
    machine.run(&[&["members", "--data", "r", "invite"], args].concat()).result().to_owned()
}

fn join_with(machine: &Machine, own: &[&str], input: &str) -> ExitedProcess {
    machine.run_with(&[&["join"], own].concat(), input.as_bytes())
}

/// Sends a letter of `who` to JACK, at the only relay of its book. It is the first letter of that
/// folder to JACK.
fn sends(machine: &Machine, who: &str, own: &[&str]) -> ExitedProcess {
    machine.run(&[&["send", "--as", who], own, &["JACK", "hi"]].concat())
}

#[test]
fn invitation_from_pipe_is_sufficient_to_join() {
    let (machine, relay) = closed();
    let line = invite(&machine, &["TOM"]);
    let wanted = format!("queqiao:{}?tcp={}&key={}&code=", relay.udp, relay.udp.port(), relay.key);
    assert!(line.starts_with(&wanted) && line.ends_with("&name=TOM"), "{line}");
    let joined = join_with(&machine, &NEW, &format!("Here it is:\r\n  {line}\r\n"));
    assert_eq!(joined.result(), format!("joined {} TOM", relay.udp));
    let book = machine.read("new.toml");
    assert_eq!(
        book,
        format!(
            "[relays]\nhome = {{ address = \"{}\", key = \"{}\" }}\n\n[me]\nname = \"TOM\"\n",
            relay.udp, relay.key
        )
    );
    assert!(joined.err.iter().any(|line| line.contains("next: queqiao chat, or")), "{joined:?}");
    assert!(
        joined.err.iter().all(|line| !line.contains("first connection")),
        "the key was announced: {joined:?}"
    );
    let sent = sends(&machine, "TOM", &NEW);
    sent.result();
    assert!(sent.err.is_empty(), "{sent:?}");
    // The book has the name.
    let chat = machine.run_with(&[&["chat"], &NEW[..]].concat(), b"JACK\nagain\n");
    assert!(chat.with(0).err.iter().all(|line| line.contains("Not delivered to JACK yet; waiting until ")));
}

/// With two relays in the book a name alone is ambiguous, so the printed command names the relay.
/// The book has another name of the user, which stays.
#[test]
fn command_printed_after_join_works_with_two_relays() {
    let (machine, relay) = closed();
    let book = format!("[me]\nname = \"OTHER\"\n[relays]\nhome = \"{}\"\n", unused_addr());
    machine.write("new.toml", book);
    let joined = join_with(&machine, &NEW, &invite(&machine, &["TOM"]));
    joined.result();
    let printed = joined.err.iter().find(|line| line.contains("queqiao send --as TOM")).unwrap();
    let who = printed.split(' ').find(|word| word.starts_with("NAME")).unwrap();
    assert_eq!(who, format!("NAME@{}", relay.udp));
    let who = who.replace("NAME", "JACK");
    machine.run(&[&["send", "--as", "TOM"], &NEW[..], &[&who, "hi"]].concat()).result();
}

#[test]
fn invitation_is_not_shown_on_terminal() {
    let (machine, relay) = closed();
    let line = invite(&machine, &["一棵树"]);
    assert!(line.ends_with("&name=%E4%B8%80%E6%A3%B5%E6%A0%91"), "{line}");
    for signal in [Signal::INT, Signal::TERM] {
        let mut left = Terminal::start(&machine, &[&["join"], &NEW[..]].concat());
        left.until("not shown): ");
        left.signal(signal);
        left.ends_with(130);
    }
    let mut terminal = Terminal::start(&machine, &[&["join"], &NEW[..]].concat());
    terminal.until("not shown): ");
    terminal.press(format!("{line}\n"));
    terminal.until(&format!("joined {} 一棵树", relay.udp));
    terminal.until("your name is 一棵树 from now on");
    terminal.until("next: queqiao chat, or");
    let code = line.split_once("code=").unwrap().1.split('&').next().unwrap();
    assert!(!terminal.raw.contains(code), "{}", terminal.raw);
    terminal.ends_with(0);
    sends(&machine, "一棵树", &NEW).result();
}

#[test]
fn invitation_to_any_name_asks_for_name() {
    let (machine, relay) = closed();
    let line = invite(&machine, &[]);
    join_with(&machine, &NEW, &line).one_line(2, "no name given");
    assert!(!machine.path("new.toml").exists() && !machine.path("new").exists());
    let mut terminal = Terminal::start(&machine, &[&["join"], &NEW[..]].concat());
    terminal.until("not shown): ");
    terminal.press(format!("{line}\n"));
    terminal.until("Your name: ");
    terminal.press("a b\n");
    terminal.until("a name cannot contain a space");
    terminal.press("TOM\n");
    terminal.until(&format!("joined {} TOM", relay.udp));
    terminal.until("[y/N] ");
    terminal.press("\n");
    terminal.until("next: queqiao chat --as TOM, or");
    terminal.ends_with(0);
    assert!(!machine.read("new.toml").contains("[me]"), "a typed name is written only after a yes");
}

/// Other users of the machine can read arguments.
#[test]
fn invitation_as_argument_works_with_warning() {
    let (machine, relay) = closed();
    let line = invite(&machine, &["TOM"]);
    let joined = machine.run(&[&["join", &line], &NEW[..]].concat());
    assert_eq!(joined.result(), format!("joined {} TOM", relay.udp));
    assert!(joined.err[0].contains("other users of this machine can read"), "{joined:?}");
}

// faults.md: R51
#[test]
fn invitation_with_wrong_key_changes_nothing() {
    let (machine, relay) = closed();
    let line = invite(&machine, &["TOM"]);
    let wrong = line.replace(&relay.key, WRONG_KEY);
    for carrier in ["--udp", "--tcp"] {
        let refused = join_with(&machine, &[&NEW[..], &[carrier]].concat(), &wrong);
        refused.one_line(1, &format!("shows the key {}, but {WRONG_KEY} is expected", relay.key));
        refused.one_line(1, &format!("queqiao trust {} {}", relay.udp, relay.key));
    }
    assert!(!machine.path("new.toml").exists());
    assert_eq!(machine.run(&[&["trust"], &NEW[..]].concat()).with(0).out, [""; 0], "nothing is pinned");
    join_with(&machine, &NEW, &line).result();
    // The right key is pinned and in the book, so the wrong one is a changed key.
    let refused = join_with(&machine, &NEW, &wrong);
    refused.one_line(1, &format!("{WRONG_KEY}, differs from the pinned one ({})", relay.key));
    std::fs::remove_file(machine.path("new/known_relays.toml")).unwrap();
    join_with(&machine, &NEW, &wrong).one_line(1, &format!("gives {} as the key of the relay", relay.key));
}

#[test]
fn invitation_serves_one_newcomer_repeatedly() {
    let (machine, _relay) = closed();
    let line = invite(&machine, &["TOM"]);
    join_with(&machine, &NEW, &line).result();
    let book = machine.read("new.toml");
    join_with(&machine, &NEW, &line).result();
    assert_eq!(machine.read("new.toml"), book);
    join_with(&machine, &OTHER, &line).one_line(1, "this invitation was used already");
    let as_another = line.replace("name=TOM", "name=ann");
    join_with(&machine, &OTHER, &as_another).one_line(1, "this invitation was used already");
    assert!(!machine.path("other.toml").exists());
    let other = invite(&machine, &["tim"]);
    join_with(&machine, &[&OTHER[..], &["--as", "ann"]].concat(), &other).one_line(2, "is for the name tim");
}

#[test]
fn invalid_invitations_are_explained_in_both_languages() {
    let machine = Machine::new();
    let line =
        format!("queqiao:127.0.0.1:8081?tcp=443&key={WRONG_KEY}&code=abcdefghijklmnopqrstuvwxya&name=TOM");
    let table = [
        (String::new(), "it is a line that begins with queqiao:", "以 queqiao: 开头的一行"),
        ("hello".to_owned(), "not an invitation: hello", "不是邀请：hello"),
        (line.replace(":8081", ""), "an address needs a port", "地址需要端口"),
        (line.replace("tcp=443", "tcp=99999"), "tcp=99999", "tcp=99999"),
        (line.replace("-ddddd", ""), "aaaaa-bbbbb-ccccc in the invitation", "aaaaa-bbbbb-ccccc"),
        (line.replace(&format!("&key={WRONG_KEY}"), ""), "key=… is missing", "缺少 key="),
        (line.replace("ya&", "&"), "26 letters and digits", "26"),
        (line.replace("name=TOM", "name=%"), "% in the invitation", "百分号编码"),
        (line.replace("&name", "&colour=1&name"), "unknown field colour", "未知的字段 colour"),
        (line.replace("&code", " &code"), "after “…cc-ddddd”", "在“…cc-ddddd”之后有空格或换行"),
    ];
    for (line, english, chinese) in table {
        for (lang, wanted) in [("en", english), ("zh", chinese)] {
            join_with(&machine, &["--lang", lang], &line).one_line(2, wanted);
        }
    }
    assert!(!machine.path(".local").exists(), "no folder was created");
    let silent = line.replace("127.0.0.1:8081", &unused_addr());
    let exited = join_with(&machine, &NEW, &silent).with(75);
    assert!(exited.err.last().unwrap().contains("nothing was changed; run queqiao join again"), "{exited:?}");
    assert!(!machine.path("new.toml").exists());
}

#[test]
fn unwritable_book_gets_line_to_add() {
    let (machine, relay) = closed();
    let line = invite(&machine, &["TOM"]);
    machine.write("new.toml", "# mine\n");
    std::fs::set_permissions(machine.path("new.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o444))
        .unwrap();
    let entry = format!("home = {{ address = \"{}\", key = \"{}\" }}", relay.udp, relay.key);
    join_with(&machine, &NEW, &line).one_line(1, &entry);
    machine.write("mended.toml", format!("[relays]\n{entry}\n"));
    sends(&machine, "TOM", &["--contacts", "mended.toml", "--data", "new"]).result();
}

#[test]
fn pasted_line_of_relay_on_all_addresses_works() {
    let free = || TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap();
    let own = queqiao::net::own_addresses();
    for (bind, tcp) in [("0.0.0.0:0", "0.0.0.0"), ("[::]:0", "[::]"), ("127.0.0.1:0", "0.0.0.0")] {
        if bind.starts_with('[') && UdpSocket::bind("[::1]:0").is_err() {
            continue;
        }
        let machine = Machine::new();
        let tcp_port = free().port();
        let mut relay = machine.relay(&["--bind", bind, &format!("--tcp={tcp}:{tcp_port}"), "--data", "r"]);
        let notice = relay.process.until_err("[contacts]");
        let reached = |ip: &&IpAddr| bind.starts_with('[') || bind.starts_with("0") && ip.is_ipv4();
        let is_choice = own.iter().filter(reached).count() > 1;
        assert_eq!(notice.contains("one of these lines"), is_choice, "{bind}: {notice}");
        let line = relay.process.until_err("NAME");
        assert!(!line.contains("0.0.0.0") && !line.contains("[::]"), "{line}");
        let host = match own.first() {
            Some(host) if bind != "127.0.0.1:0" => host.to_string(),
            _ => "127.0.0.1".to_owned(),
        };
        let udp: SocketAddr = format!("{host}:{}", relay.udp.port()).parse().unwrap();
        let wanted = format!(
            "NAME = {{ relay = \"{udp}\", tcp = \"{host}:{tcp_port}\", relay_key = \"{}\" }}",
            relay.key
        );
        assert_eq!(line, wanted);
        machine.write("contacts.toml", format!("[contacts]\n{}\n", line.replace("NAME", "echo")));
        for carrier in ["--udp", "--tcp"] {
            let sent = machine.run(&["send", "--as", "TOM", carrier, "echo", "x"]);
            sent.result();
            assert!(sent.err.is_empty(), "its key is known: {sent:?}");
        }
        let line = invite(&machine, &["JACK"]);
        assert!(line.starts_with(&format!("queqiao:{udp}?tcp={tcp_port}&key=")), "{line}");
        join_with(&machine, &NEW, &line).result();
    }
}

#[test]
fn operator_sets_address_of_invitations() {
    let machine = Machine::new();
    machine.run(&["members", "--data", "r", "invite"]).one_line(1, "is not a relay's data directory");
    let mut relay = machine.relay(&["--tcp", "--data", "r", "--address", "chat.example.org:443"]);
    let port = relay.udp.port();
    assert!(relay.process.until_err("NAME").contains("{ relay = \"chat.example.org:443\", relay_key"));
    assert!(invite(&machine, &[]).starts_with("queqiao:chat.example.org:443?tcp=443&key="));
    relay.stop().with(0);
    assert!(
        invite(&machine, &[]).starts_with("queqiao:chat.example.org:443?"),
        "the address of the last run is kept"
    );
    let there = invite(&machine, &["--address", "[2001:db8::1]:8081"]);
    assert!(there.starts_with("queqiao:[2001:db8::1]:8081?tcp=8081&key="), "{there}");
    machine.run(&["members", "--data", "r", "invite", "--address", "chat.example.org"]).with(2);
    let relay = machine.relay(&["--data", "r"]);
    let line = machine.run(&["members", "--data", "r", "invite", "TOM"]);
    assert!(line.result().starts_with(&format!("queqiao:{}?key=", relay.udp)), "{line:?}");
    assert!(line.err[0].contains("can be reached from this machine only"), "{line:?}");
    assert!(line.err[0].contains(&format!("--bind 0.0.0.0:{},", relay.udp.port())), "{line:?}");
    assert_ne!(port, 0);
}

// faults.md: R51
#[test]
fn key_in_book_is_checked_at_first_contact() {
    let (machine, relay) = relay_with_members(&["--tcp", "--data", "r"], &[]);
    let book = |key: &str| {
        let relay = format!("home = {{ address = \"{}\", key = \"{key}\" }}", relay.udp);
        machine.write("contacts.toml", format!("[relays]\n{relay} # mine\n\n[contacts]\nJACK = \"home\"\n"));
    };
    book(WRONG_KEY);
    for command in [&["send", "--as", "TOM", "JACK", "x"][..], &["send", "--as", "TOM", "--tcp", "echo", "x"]]
    {
        machine
            .run(command)
            .one_line(1, &format!("shows the key {}, but {WRONG_KEY} is expected", relay.key));
    }
    let mut jack = machine.start(&["listen", "--as", "JACK"]);
    let notice = jack.until_err("shows the key");
    assert_eq!(machine.run(&["trust"]).with(0).out, [""; 0], "nothing is pinned");
    // The printed command accepts the key, in the pins and in the book.
    let words: Vec<&str> = notice[notice.find("trust ").unwrap()..].split(' ').collect();
    let trusted = machine.run(&words);
    assert_eq!(trusted.result(), format!("trusted {} {}", relay.udp, relay.key));
    assert!(trusted.err[0].starts_with("contacts.toml now has the key"), "{trusted:?}");
    let after = machine.read("contacts.toml");
    assert!(
        after.contains(&format!("key = \"{}\" }} # mine\n", relay.key)) && !after.contains(WRONG_KEY),
        "{after}"
    );
    jack.until_err("connected to");
    machine.send("TOM", "JACK", "x").result();
    assert!(jack.out().ends_with(" x"));
    // The book has another key than the pin: nothing is sent, and both keys are named.
    book(WRONG_KEY);
    let wanted = format!("{WRONG_KEY}, differs from the pinned one ({})", relay.key);
    jack.until_err(&wanted);
    machine.send("TOM", "JACK", "y").one_line(1, &wanted);
    machine.send("TOM", "JACK", "y").one_line(1, &format!("queqiao trust {} {WRONG_KEY}", relay.udp));
    machine.run(&["contacts", "check"]).one_line(1, &wanted);
    machine.run(&["ping", "JACK"]).with(1);
    machine.run(&["trust", "home", WRONG_KEY]).one_line(1, "not the one given");
    machine.run(&["trust", "home", "xyz"]).one_line(2, "not a key fingerprint");
    let add =
        ["contacts", "add", "ann", &relay.udp.to_string(), "--relay-key", WRONG_KEY, "--contacts", "o.toml"];
    machine.run(&add).one_line(1, &wanted);
    machine.run(&["trust", "home", &relay.key]).result();
    jack.until_err("connected to");
    assert!(machine.read("contacts.toml").contains(&relay.key));
    machine.send("TOM", "JACK", "z").result();
    jack.until_out(" z");
}

#[test]
fn named_relay_works_in_every_command() {
    let (machine, relay) = relay_with_members(&["--data", "r"], &[]);
    machine.write("contacts.toml", format!("[relays]\n\"家\" = \"{}\"\n", relay.udp));
    machine.run(&["contacts", "add", "JACK", "家", "--note", "n"]).with(0);
    assert!(machine.read("contacts.toml").contains("JACK = { relay = \"家\", note = \"n\" }"));
    let listed = machine.run(&["contacts", "list"]);
    assert_eq!(listed.result(), format!("JACK  {}  relay=家  note=n", relay.udp));
    machine.register("JACK");
    machine.send("TOM", "JACK", "x").result();
    machine.send("TOM", "echo", "x").result();
    machine.run(&["ping", "家", "--count", "1"]).with(0);
    assert_eq!(machine.run(&["trust", "家"]).with(0).out[0], format!("pinned {} {}", relay.udp, relay.key));
    machine.run(&["contacts", "block", "JACK"]).with(0);
    assert!(machine.read("contacts.toml").contains("{ relay = \"家\", note = \"n\", blocked = true }"));
}
