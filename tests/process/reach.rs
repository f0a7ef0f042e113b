//! Relays that are there, half there and not there.

use crate::world::{Home, Running, UdpProxy, nobody, socket, town};

#[test]
fn no_relay_at_all_is_told_with_the_command_that_starts_one() {
    let home = Home::new();
    let addr = nobody();
    home.book(&["JACK"], &addr);
    let wanted = format!("no relay answers at {addr}; start one: queqiao relay --tcp");
    let commands: [&[&str]; 4] = [
        &["listen", "--as", "TOM"],
        &["listen", "--as", "TOM", "--udp"],
        &["chat", "--as", "TOM"],
        &["send", "--as", "TOM", "JACK", "x"],
    ];
    for args in commands {
        let mut running = home.start(args);
        assert_eq!(running.until_err("no relay"), wanted, "{args:?}");
        assert_eq!(running.terminate().with(130).err, [wanted.as_str()], "{args:?}");
    }
}

#[test]
fn a_relay_without_tcp_is_told_to_who_asks_for_tcp() {
    let (home, relay) = town(&[], &["JACK"]);
    let wanted = format!("no TCP listener at {}; start the relay with --tcp", relay.udp);
    for args in [&["listen", "--as", "TOM", "--tcp"][..], &["send", "--as", "TOM", "--tcp", "JACK", "x"]] {
        let mut running = home.start(args);
        assert_eq!(running.until_err("no TCP"), wanted, "{args:?}");
        running.terminate().with(130);
    }
    relay.stop().with(0);
}

#[test]
fn a_host_without_an_address_is_told() {
    let home = Home::new();
    let mut running = home.start(&["send", "--as", "TOM", "JACK@host.invalid:8081", "x"]);
    running.until_err("the host of host.invalid:8081 has no address");
}

#[test]
fn a_client_finds_the_relay_that_starts_after_it() {
    let home = Home::new();
    let addr = nobody();
    home.book(&["TOM", "JACK"], &addr);
    let mut jack = home.start(&["listen", "--as", "JACK", "--count", "1"]);
    jack.until_err("no relay answers");
    let _relay = home.relay(&["--bind", &addr]);
    jack.until_err("connected to");
    home.send("TOM", "JACK", "x").with(0);
    jack.end().with(0);
}

#[test]
fn a_letter_not_accepted_in_time_ends_with_75() {
    let home = Home::new();
    // Somebody is there and says nothing: neither ICMP nor a refused connection.
    let silent = socket();
    let addr = silent.local_addr().unwrap();
    let args = ["send", "--as", "TOM", "--udp", "--timeout", "1500ms"];
    let ended = home.run(&[&args[..], &[&format!("JACK@{addr}"), "x"]].concat()).with(75);
    assert_eq!(ended.out, [""; 0]);
    assert_eq!(
        ended.err.last().unwrap(),
        "not accepted within 1.5s; it stays in the outbox and goes out with the next run"
    );
}

#[test]
fn two_relays_in_one_book_are_both_spoken_to() {
    let home = Home::new();
    let east = home.relay(&["--data", "east"]);
    let west = home.relay(&["--data", "west", "--tcp"]);
    let book = format!("[contacts]\nJACK = \"{}\"\nROSE = \"{}\"\n", east.udp, west.udp);
    home.write("contacts.toml", book);
    let mut tom = home.start(&["listen", "--as", "TOM", "--json", "--count", "2"]);
    tom.until_err("connected to");
    tom.until_err("connected to");
    home.send("JACK", &format!("TOM@{}", east.udp), "east").with(0);
    home.send("ROSE", &format!("TOM@{}", west.udp), "west").with(0);
    for (from, relay, text) in [("JACK", east.udp, "east"), ("ROSE", west.udp, "west")] {
        let letter: serde_json::Value = serde_json::from_str(&tom.out()).unwrap();
        assert_eq!((&letter["from"], &letter["text"]), (&from.into(), &text.into()));
        assert_eq!(letter["relay"], relay.to_string());
    }
    tom.end().with(0);
    // A name alone does not say which relay is meant.
    home.send("TOM", "NOBODY", "x").one_line(1, "no contact NOBODY");
}

#[test]
fn where_udp_is_swallowed_letters_go_over_tcp() {
    let (home, relay) = town(&["--tcp"], &[]);
    let hole = socket();
    home.split_book("contacts.toml", &["TOM", "JACK"], hole.local_addr().unwrap(), relay.udp);
    let mut jack = home.start(&["listen", "--as", "JACK", "--count", "1"]);
    assert!(jack.until_err("connected to").ends_with("over TCP"));
    home.send("TOM", "JACK", "绕过").with(0);
    assert!(jack.out().ends_with("TOM [tcp] 绕过"));
}

#[test]
fn a_conversation_goes_on_over_tcp_when_udp_dies_and_nothing_is_lost_or_doubled() {
    const LETTERS: usize = 60;
    let (home, relay) = town(&["--tcp"], &[]);
    let proxy = UdpProxy::open(relay.udp);
    home.book(&["TOM", "JACK"], relay.udp);
    home.split_book("through.toml", &["JACK"], proxy.addr, relay.udp);
    let mut jack = home.listen("JACK", &["--count", &LETTERS.to_string()]);
    let mut tom = home.start(&["send", "--as", "TOM", "--contacts", "through.toml", "--lines", "JACK"]);
    for n in 0..LETTERS {
        tom.write(&format!("{n}\n"));
        if n == LETTERS / 2 {
            assert!(tom.out().starts_with("delivered "));
            proxy.swallow();
        }
    }
    tom.feed(b"");
    tom.until_err("UDP has fallen silent, the conversation goes on over TCP");
    for n in 0..LETTERS {
        assert!(jack.out().ends_with(&format!(" TOM [udp] {n}")));
    }
    let ended = tom.end().with(0);
    assert_eq!(ended.out.len(), LETTERS);
    jack.end().with(0);
}

#[test]
fn a_conversation_goes_to_tcp_when_udp_is_swallowed_and_back_when_udp_is_proved() {
    let (home, relay) = town(&["--tcp"], &[]);
    let proxy = UdpProxy::open(relay.udp);
    home.split_book("through.toml", &["echo"], proxy.addr, relay.udp);
    let mut tom = home.start(&["send", "--as", "TOM", "--contacts", "through.toml", "--lines", "echo"]);
    let say = |tom: &mut Running| {
        tom.write("hello\n");
        assert!(tom.out().starts_with("delivered "));
    };
    say(&mut tom);
    proxy.swallow();
    say(&mut tom);
    tom.until_err("UDP has fallen silent, the conversation goes on over TCP");
    proxy.pass();
    tom.until_err("UDP gets through, the conversation goes on over UDP");
    say(&mut tom);
    tom.feed(b"");
    tom.end().with(0);
}

#[test]
fn a_relay_that_was_killed_and_runs_again_has_its_sessions_back_at_once() {
    let home = Home::new();
    let relay = home.relay(&["--data", "kept"]);
    let addr = relay.udp.to_string();
    let mut tom = home.start(&["send", "--as", "TOM", "--lines", &format!("echo@{addr}")]);
    tom.write("before\n");
    assert!(tom.out().starts_with("delivered "));
    relay.running.kill();
    let _relay = home.relay(&["--data", "kept", "--bind", &addr]);
    tom.write("after\n");
    assert!(tom.out().starts_with("delivered "));
    tom.feed(b"");
    tom.end().with(0);
}

#[test]
fn a_client_whose_address_changes_goes_on_without_a_word() {
    const LETTERS: usize = 40;
    let (home, relay) = town(&[], &["JACK", "TOM"]);
    let proxy = UdpProxy::open(relay.udp);
    let mut jack = home.listen("JACK", &["--count", &LETTERS.to_string()]);
    let mut tom = home.start(&["send", "--as", "TOM", "--lines", &format!("JACK@{}", proxy.addr)]);
    for n in 0..LETTERS {
        tom.write(&format!("{n}\n"));
        assert!(tom.out().starts_with("delivered "));
        if n % 10 == 5 {
            proxy.change_address();
        }
    }
    tom.feed(b"");
    assert_eq!(tom.end().with(0).said(), [""; 0]);
    for n in 0..LETTERS {
        assert!(jack.out().ends_with(&format!(" TOM [udp] {n}")));
    }
    jack.end().with(0);
}
