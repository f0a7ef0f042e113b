//! First contact: invitations taken by `queqiao join`, keys in the address book, and lines to
//! paste.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use rustix::process::Signal;

use crate::terminal::Terminal;
use crate::world::{Ended, Home, Relay, nobody, town};

/// A newcomer's own address book and data folder.
const NEW: [&str; 4] = ["--contacts", "new.toml", "--data", "new"];
const OTHER: [&str; 4] = ["--contacts", "other.toml", "--data", "other"];
const WRONG_KEY: &str = "aaaaa-bbbbb-ccccc-ddddd";

fn closed() -> (Home, Relay) {
    let (home, relay) = town(&["--data", "r", "--closed", "--tcp"], &["JACK"]);
    home.run(&["join", "--as", "JACK", &invite(&home, &["JACK"])]).with(0);
    (home, relay)
}

/// Returns the line that `members invite` prints.
fn invite(home: &Home, args: &[&str]) -> String {
    home.run(&[&["members", "--data", "r", "invite"], args].concat()).result().to_owned()
}

fn join_with(home: &Home, own: &[&str], input: &str) -> Ended {
    home.run_with(&[&["join"], own].concat(), input.as_bytes())
}

/// Sends a letter of `who` to JACK, at the only relay of its book. It is the first letter of that
/// folder to JACK.
fn sends(home: &Home, who: &str, own: &[&str]) -> Ended {
    home.run(&[&["send", "--as", who], own, &["JACK", "hi"]].concat())
}

#[test]
fn invitation_from_pipe_is_sufficient_to_join() {
    let (home, relay) = closed();
    let line = invite(&home, &["TOM"]);
    let wanted = format!("queqiao:{}?tcp={}&key={}&code=", relay.udp, relay.udp.port(), relay.key);
    assert!(line.starts_with(&wanted) && line.ends_with("&name=TOM"), "{line}");
    let joined = join_with(&home, &NEW, &format!("Here it is:\r\n  {line}\r\n"));
    assert_eq!(joined.result(), format!("joined {} TOM", relay.udp));
    let book = home.read("new.toml");
    assert_eq!(
        book,
        format!("[relays]\nhome = {{ address = \"{}\", key = \"{}\" }}\n", relay.udp, relay.key)
    );
    assert!(joined.err.iter().any(|line| line.contains("queqiao chat --as TOM")), "{joined:?}");
    assert!(
        joined.err.iter().all(|line| !line.contains("first contact")),
        "the key was announced: {joined:?}"
    );
    let sent = sends(&home, "TOM", &NEW);
    sent.result();
    assert!(sent.err.is_empty(), "{sent:?}");
    let chat = home.run_with(&[&["chat", "--as", "TOM"], &NEW[..]].concat(), b"JACK\nagain\n");
    assert!(chat.with(0).err.iter().all(|line| line.contains("JACK does not have it yet")));
}

/// With two relays in the book a name alone is ambiguous, so the printed command names the relay.
#[test]
fn command_printed_after_join_works_with_two_relays() {
    let (home, relay) = closed();
    home.write("new.toml", format!("[relays]\nhome = \"{}\"\n", nobody()));
    let joined = join_with(&home, &NEW, &invite(&home, &["TOM"]));
    joined.result();
    let printed = joined.err.iter().find(|line| line.contains("queqiao send --as TOM")).unwrap();
    let who = printed.split(' ').find(|word| word.starts_with("NAME")).unwrap();
    assert_eq!(who, format!("NAME@{}", relay.udp));
    let who = who.replace("NAME", "JACK");
    home.run(&[&["send", "--as", "TOM"], &NEW[..], &[&who, "hi"]].concat()).result();
}

#[test]
fn invitation_is_not_shown_on_terminal() {
    let (home, relay) = closed();
    let line = invite(&home, &["一棵树"]);
    assert!(line.ends_with("&name=%E4%B8%80%E6%A3%B5%E6%A0%91"), "{line}");
    for signal in [Signal::INT, Signal::TERM] {
        let mut left = Terminal::start(&home, &[&["join"], &NEW[..]].concat());
        left.until("not shown): ");
        left.signal(signal);
        left.ends_with(130);
    }
    let mut terminal = Terminal::start(&home, &[&["join"], &NEW[..]].concat());
    terminal.until("not shown): ");
    terminal.press(&format!("{line}\n"));
    terminal.until(&format!("joined {} 一棵树", relay.udp));
    terminal.until("queqiao chat --as 一棵树");
    let code = line.split_once("code=").unwrap().1.split('&').next().unwrap();
    assert!(!terminal.raw.contains(code), "{}", terminal.raw);
    terminal.ends_with(0);
    sends(&home, "一棵树", &NEW).result();
}

#[test]
fn invitation_to_any_name_asks_for_name() {
    let (home, relay) = closed();
    let line = invite(&home, &[]);
    join_with(&home, &NEW, &line).one_line(2, "who are you?");
    assert!(!home.path("new.toml").exists() && !home.path("new").exists());
    let mut terminal = Terminal::start(&home, &[&["join"], &NEW[..]].concat());
    terminal.until("not shown): ");
    terminal.press(&format!("{line}\n"));
    terminal.until("Your name: ");
    terminal.press("a b\n");
    terminal.until("a name cannot have a space in it");
    terminal.press("TOM\n");
    terminal.until(&format!("joined {} TOM", relay.udp));
    terminal.ends_with(0);
}

/// Other users of the machine can read arguments.
#[test]
fn invitation_as_argument_works_with_warning() {
    let (home, relay) = closed();
    let line = invite(&home, &["TOM"]);
    let joined = home.run(&[&["join", &line], &NEW[..]].concat());
    assert_eq!(joined.result(), format!("joined {} TOM", relay.udp));
    assert!(joined.err[0].contains("other users of this machine can read"), "{joined:?}");
}

// faults.md: R51
#[test]
fn invitation_with_wrong_key_changes_nothing() {
    let (home, relay) = closed();
    let line = invite(&home, &["TOM"]);
    let wrong = line.replace(&relay.key, WRONG_KEY);
    for carrier in ["--udp", "--tcp"] {
        let refused = join_with(&home, &[&NEW[..], &[carrier]].concat(), &wrong);
        refused.one_line(1, &format!("shows the key {}, but the expected one is {WRONG_KEY}", relay.key));
        refused.one_line(1, &format!("queqiao trust {} {}", relay.udp, relay.key));
    }
    assert!(!home.path("new.toml").exists());
    assert_eq!(home.run(&[&["trust"], &NEW[..]].concat()).with(0).out, [""; 0], "nothing is pinned");
    join_with(&home, &NEW, &line).result();
    // The right key is pinned and in the book, so the wrong one is a changed key.
    let refused = join_with(&home, &NEW, &wrong);
    refused.one_line(1, &format!("{WRONG_KEY}, is not the pinned one ({})", relay.key));
    std::fs::remove_file(home.path("new/known_relays.toml")).unwrap();
    join_with(&home, &NEW, &wrong).one_line(1, &format!("is {}, not {WRONG_KEY}", relay.key));
}

#[test]
fn invitation_serves_one_newcomer_repeatedly() {
    let (home, _relay) = closed();
    let line = invite(&home, &["TOM"]);
    join_with(&home, &NEW, &line).result();
    let book = home.read("new.toml");
    join_with(&home, &NEW, &line).result();
    assert_eq!(home.read("new.toml"), book);
    join_with(&home, &OTHER, &line).one_line(1, "this invitation was used already");
    let as_another = line.replace("name=TOM", "name=ann");
    join_with(&home, &OTHER, &as_another).one_line(1, "this invitation was used already");
    assert!(!home.path("other.toml").exists());
    let other = invite(&home, &["tim"]);
    join_with(&home, &[&OTHER[..], &["--as", "ann"]].concat(), &other).one_line(2, "is for the name tim");
}

#[test]
fn invalid_invitations_are_explained_in_both_languages() {
    let home = Home::new();
    let line =
        format!("queqiao:127.0.0.1:8081?tcp=443&key={WRONG_KEY}&code=abcdefghijklmnopqrstuvwxya&name=TOM");
    let table = [
        (String::new(), "it is a line that begins with queqiao:", "以 queqiao: 开头的一行"),
        ("hello".to_owned(), "not an invitation: hello", "不是邀请：hello"),
        (line.replace(":8081", ""), "an address needs a port", "地址要带端口"),
        (line.replace("tcp=443", "tcp=99999"), "tcp=99999", "tcp=99999"),
        (line.replace("-ddddd", ""), "aaaaa-bbbbb-ccccc in the invitation", "aaaaa-bbbbb-ccccc"),
        (line.replace(&format!("&key={WRONG_KEY}"), ""), "lacks key=", "缺少 key="),
        (line.replace("ya&", "&"), "26 letters and digits", "26"),
        (line.replace("name=TOM", "name=%"), "% in the invitation", "百分号编码"),
        (line.replace("&name", "&colour=1&name"), "has a field colour", "未知的字段 colour"),
        (line.replace("&code", " &code"), "broken after “…cc-ddddd”", "在“…cc-ddddd”之后断开"),
    ];
    for (line, english, chinese) in table {
        for (lang, wanted) in [("en", english), ("zh", chinese)] {
            join_with(&home, &["--lang", lang], &line).one_line(2, wanted);
        }
    }
    assert!(!home.path(".local").exists(), "no folder was created");
    let silent = line.replace("127.0.0.1:8081", &nobody());
    let ended = join_with(&home, &NEW, &silent).with(75);
    assert!(ended.err.last().unwrap().contains("nothing was changed: run queqiao join again"), "{ended:?}");
    assert!(!home.path("new.toml").exists());
}

#[test]
fn unwritable_book_gets_line_to_add() {
    let (home, relay) = closed();
    let line = invite(&home, &["TOM"]);
    home.write("new.toml", "# mine\n");
    std::fs::set_permissions(home.path("new.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o444))
        .unwrap();
    let entry = format!("home = {{ address = \"{}\", key = \"{}\" }}", relay.udp, relay.key);
    join_with(&home, &NEW, &line).one_line(1, &entry);
    home.write("mended.toml", format!("[relays]\n{entry}\n"));
    sends(&home, "TOM", &["--contacts", "mended.toml", "--data", "new"]).result();
}

#[test]
fn pasted_line_of_relay_on_all_addresses_works() {
    let free = || TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap();
    let own = queqiao::net::own_addresses();
    for (bind, tcp) in [("0.0.0.0:0", "0.0.0.0"), ("[::]:0", "[::]"), ("127.0.0.1:0", "0.0.0.0")] {
        if bind.starts_with('[') && UdpSocket::bind("[::1]:0").is_err() {
            continue;
        }
        let home = Home::new();
        let tcp_port = free().port();
        let mut relay = home.relay(&["--bind", bind, &format!("--tcp={tcp}:{tcp_port}"), "--data", "r"]);
        let told = relay.running.until_err("[contacts]");
        let reached = |ip: &&IpAddr| bind.starts_with('[') || bind.starts_with("0") && ip.is_ipv4();
        let is_choice = own.iter().filter(reached).count() > 1;
        assert_eq!(told.contains("one of these lines"), is_choice, "{bind}: {told}");
        let line = relay.running.until_err("NAME");
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
        home.write("contacts.toml", format!("[contacts]\n{}\n", line.replace("NAME", "echo")));
        for carrier in ["--udp", "--tcp"] {
            let sent = home.run(&["send", "--as", "TOM", carrier, "echo", "x"]);
            sent.result();
            assert!(sent.err.is_empty(), "its key is known: {sent:?}");
        }
        let line = invite(&home, &["JACK"]);
        assert!(line.starts_with(&format!("queqiao:{udp}?tcp={tcp_port}&key=")), "{line}");
        join_with(&home, &NEW, &line).result();
    }
}

#[test]
fn operator_sets_address_of_invitations() {
    let home = Home::new();
    home.run(&["members", "--data", "r", "invite"]).one_line(1, "is not the folder of a relay");
    let mut relay = home.relay(&["--tcp", "--data", "r", "--address", "chat.example.org:443"]);
    let port = relay.udp.port();
    assert!(relay.running.until_err("NAME").contains("{ relay = \"chat.example.org:443\", relay_key"));
    assert!(invite(&home, &[]).starts_with("queqiao:chat.example.org:443?tcp=443&key="));
    relay.stop().with(0);
    assert!(
        invite(&home, &[]).starts_with("queqiao:chat.example.org:443?"),
        "the address of the last run is kept"
    );
    let there = invite(&home, &["--address", "[2001:db8::1]:8081"]);
    assert!(there.starts_with("queqiao:[2001:db8::1]:8081?tcp=8081&key="), "{there}");
    home.run(&["members", "--data", "r", "invite", "--address", "chat.example.org"]).with(2);
    let relay = home.relay(&["--data", "r"]);
    let line = home.run(&["members", "--data", "r", "invite", "TOM"]);
    assert!(line.result().starts_with(&format!("queqiao:{}?key=", relay.udp)), "{line:?}");
    assert!(line.err[0].contains("is reached on this machine only"), "{line:?}");
    assert_ne!(port, 0);
}

// faults.md: R51
#[test]
fn key_in_book_is_checked_at_first_contact() {
    let (home, relay) = town(&["--tcp", "--data", "r"], &[]);
    let book = |key: &str| {
        let relay = format!("home = {{ address = \"{}\", key = \"{key}\" }}", relay.udp);
        home.write("contacts.toml", format!("[relays]\n{relay} # mine\n\n[contacts]\nJACK = \"home\"\n"));
    };
    book(WRONG_KEY);
    for command in [&["send", "--as", "TOM", "JACK", "x"][..], &["send", "--as", "TOM", "--tcp", "echo", "x"]]
    {
        home.run(command)
            .one_line(1, &format!("shows the key {}, but the expected one is {WRONG_KEY}", relay.key));
    }
    let mut jack = home.start(&["listen", "--as", "JACK"]);
    let told = jack.until_err("shows the key");
    assert_eq!(home.run(&["trust"]).with(0).out, [""; 0], "nothing is pinned");
    // The printed command accepts the key, in the pins and in the book.
    let words: Vec<&str> = told[told.find("trust ").unwrap()..].split(' ').collect();
    let trusted = home.run(&words);
    assert_eq!(trusted.result(), format!("trusted {} {}", relay.udp, relay.key));
    assert!(trusted.err[0].starts_with("contacts.toml now has the key"), "{trusted:?}");
    let after = home.read("contacts.toml");
    assert!(
        after.contains(&format!("key = \"{}\" }} # mine\n", relay.key)) && !after.contains(WRONG_KEY),
        "{after}"
    );
    jack.until_err("connected to");
    home.send("TOM", "JACK", "x").result();
    assert!(jack.out().ends_with(" x"));
    // The book has another key than the pin: nothing is sent, and both keys are named.
    book(WRONG_KEY);
    let wanted = format!("{WRONG_KEY}, is not the pinned one ({})", relay.key);
    jack.until_err(&wanted);
    home.send("TOM", "JACK", "y").one_line(1, &wanted);
    home.send("TOM", "JACK", "y").one_line(1, &format!("queqiao trust {} {WRONG_KEY}", relay.udp));
    home.run(&["contacts", "check"]).one_line(1, &wanted);
    home.run(&["ping", "JACK"]).with(1);
    home.run(&["trust", "home", WRONG_KEY]).one_line(1, "has another key now");
    home.run(&["trust", "home", "xyz"]).one_line(2, "not the fingerprint of a key");
    let add =
        ["contacts", "add", "ann", &relay.udp.to_string(), "--relay-key", WRONG_KEY, "--contacts", "o.toml"];
    home.run(&add).one_line(1, &wanted);
    home.run(&["trust", "home", &relay.key]).result();
    jack.until_err("connected to");
    assert!(home.read("contacts.toml").contains(&relay.key));
    home.send("TOM", "JACK", "z").result();
    jack.until_out(" z");
}

#[test]
fn named_relay_works_in_every_command() {
    let (home, relay) = town(&["--data", "r"], &[]);
    home.write("contacts.toml", format!("[relays]\n\"家\" = \"{}\"\n", relay.udp));
    home.run(&["contacts", "add", "JACK", "家", "--note", "n"]).with(0);
    assert!(home.read("contacts.toml").contains("JACK = { relay = \"家\", note = \"n\" }"));
    let listed = home.run(&["contacts", "list"]);
    assert_eq!(listed.result(), format!("JACK  {}  relay=家  note=n", relay.udp));
    home.away("JACK");
    home.send("TOM", "JACK", "x").result();
    home.send("TOM", "echo", "x").result();
    home.run(&["ping", "家", "--count", "1"]).with(0);
    assert_eq!(home.run(&["trust", "家"]).with(0).out[0], format!("pinned {} {}", relay.udp, relay.key));
    home.run(&["contacts", "block", "JACK"]).with(0);
    assert!(home.read("contacts.toml").contains("{ relay = \"家\", note = \"n\", blocked = true }"));
}
