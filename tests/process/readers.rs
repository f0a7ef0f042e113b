//! Recipients that keep as many bytes of strangers as they may: refused letters, letters still
//! taken, and ways to free space.

use std::path::Path;

use queqiao::base::{Carrier, HostPort, LetterId, Mark, Name, OutboxId, Wall};
use queqiao::client::{Incoming, Record, STRANGERS_BYTES_MAX, letter_cost};
use queqiao::store::{Backend, MemberStore};

use crate::guests::{Tcp, Udp};
use crate::world::{Ended, Home, Relay, Running, texts, town};

/// JACK has a separate address book, with MARY in it, and a separate folder.
const JACK: [&str; 6] = ["--as", "JACK", "--contacts", "jack.toml", "--data", "jack"];

/// Returns a relay and JACK, who is away. JACK keeps the maximum of strangers less `left` bytes,
/// all from a stranger called OLD.
fn full_reader(relay_args: &[&str], left: u64) -> (Home, Relay) {
    let (home, relay) = town(relay_args, &["TOM", "JACK", "MARY", "ZOE"]);
    home.write("jack.toml", format!("[contacts]\nMARY = \"{}\"\n", relay.udp));
    fill(&home.path("jack"), &relay.udp.to_string().parse().unwrap(), STRANGERS_BYTES_MAX - left);
    (home, relay)
}

/// Stores letters of OLD that JACK has seen, of this size together.
fn fill(data: &Path, relay: &HostPort, mut bytes: u64) {
    let me: Name = "JACK".parse().unwrap();
    let from: Name = "OLD".parse().unwrap();
    let (mut store, _) = MemberStore::open(data, &me, &me.folder(), || [5; 32]).unwrap();
    let mut records = Vec::new();
    let mut number = 0;
    while bytes > 0 {
        let len = bytes.min(letter_cost(64 * 1024)) - letter_cost(0);
        bytes -= letter_cost(len as usize);
        number += 1;
        let id = LetterId { outbox: OutboxId(1), number };
        let relay = relay.clone();
        let from = from.clone();
        let text = "o".repeat(len as usize);
        let at = Wall(1);
        let via = Carrier::Udp;
        let missing = 0;
        let damaged = false;
        let shown = Record::Shown { relay: relay.clone(), from: from.clone(), id, read: true };
        let after = 0;
        let letter = Incoming { relay, from, id, text, at, via, missing, damaged, note: None };
        records.extend([Record::Received { letter, after, mark: Mark(1) }, shown]);
    }
    let mut refused = Vec::new();
    store.commit(&records, &mut refused).unwrap();
    assert!(refused.is_empty());
}

fn jack(command: &str, args: &[&str]) -> Vec<String> {
    [&[command], &JACK[..], args].concat().into_iter().map(str::to_owned).collect()
}

fn start(home: &Home, command: &str, args: &[&str]) -> Running {
    let args = jack(command, args);
    home.start(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run(home: &Home, command: &str, args: &[&str]) -> Ended {
    let args = jack(command, args);
    home.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn listen(home: &Home) -> Running {
    let mut listening = start(home, "listen", &[]);
    listening.until_err("connected to");
    listening
}

/// Sends one letter and waits for its outcome.
fn send(home: &Home, from: &str, text: &str) -> Ended {
    home.run(&["send", "--as", from, "--wait", "delivered", "JACK", text])
}

fn comes_back(ended: &Ended) {
    let said = ended.said();
    let told = said.first().is_some_and(|line| line.starts_with("refused ") && line.ends_with(" full"));
    assert!(ended.code == 1 && ended.out.is_empty() && told, "{said:?}");
}

const TOLD: &str = "not in your address book take 16 MiB";

#[test]
fn recipient_full_of_strangers_refuses_and_reports_once() {
    let (home, relay) = full_reader(&[], 2_000);
    let mut listening = listen(&home);
    let large = "x".repeat(5_000);
    comes_back(&send(&home, "TOM", &large));
    listening.until_err(TOLD);
    send(&home, "TOM", "small").with(0);
    listening.until_out("] small");
    send(&home, "MARY", &large).with(0);
    listening.until_out(&large);
    comes_back(&send(&home, "ZOE", &large));
    let said = listening.terminate().err;
    assert_eq!(said.iter().filter(|line| line.contains(TOLD)).count(), 1, "{said:?}");
    assert!(!said.iter().any(|line| line.contains("missing")), "{said:?}");
    // The next run counts the letters on the disk.
    let mut listening = listen(&home);
    comes_back(&send(&home, "TOM", &large));
    listening.until_err(TOLD);
    relay.stop().with(0);
}

#[test]
fn forgetting_or_adding_contact_frees_space() {
    let (home, relay) = full_reader(&[], 0);
    let mut listening = listen(&home);
    comes_back(&send(&home, "TOM", "one"));
    listening.until_err(TOLD);
    run(&home, "contacts", &["add", "TOM", &relay.udp.to_string()]).with(0);
    listening.until_err("jack.toml");
    send(&home, "TOM", "two").with(0);
    listening.until_out("] two");
    comes_back(&send(&home, "ZOE", "three"));
    listening.until_err(TOLD);
    assert!(run(&home, "history", &["--forget", "OLD"]).result().starts_with("erased 25"));
    send(&home, "ZOE", "four").with(0);
    listening.until_out("] four");
    let said = run(&home, "history", &[]).with(0).out;
    assert_eq!(texts(&said), ["two", "four"], "refused letters are in no history");
    relay.stop().with(0);
}

/// The notice reaches the process that shows letters, whichever process is the primary.
#[test]
fn listener_in_secondary_process_gets_notice_too() {
    let (home, relay) = full_reader(&[], 0);
    let mut owner = start(&home, "send", &["--lines", &format!("echo@{}", relay.udp)]);
    owner.write("first\n");
    owner.out();
    let mut listening = listen(&home);
    comes_back(&send(&home, "TOM", "one"));
    listening.until_err(TOLD);
    owner.feed(b"");
    owner.end().with(0);
    comes_back(&send(&home, "TOM", "two"));
    assert!(run(&home, "history", &["--forget", "OLD"]).result().starts_with("erased 25"));
    send(&home, "TOM", "three").with(0);
    listening.until_out("] three");
    relay.stop().with(0);
}

/// Letters waited in the mailbox while the recipient was away. Their sender is away when they are
/// refused.
#[test]
fn refused_mailbox_letter_is_returned_by_next_run() {
    let (home, relay) = full_reader(&[], 0);
    listen(&home).terminate().with(130);
    assert!(home.send("TOM", "JACK", "too much").result().starts_with("accepted "));
    let mut listening = listen(&home);
    listening.until_err(TOLD);
    listening.terminate().with(130);
    let mut tom = home.start(&["listen", "--as", "TOM"]);
    tom.until_err("Not delivered: the mailbox of JACK is full, or JACK keeps no more");
    tom.until_err("too much");
    relay.stop().with(0);
}

/// Texts of guests count too. A guest on TCP is notified that its text was not taken. A guest on
/// UDP gets no notice.
#[test]
fn guests_of_full_recipient_get_notice_on_tcp_only() {
    let (home, relay) = full_reader(&["--tcp", "--guests", "JACK"], 1_000);
    let mut listening = listen(&home);
    let mut by_tcp = Tcp::at(relay.tcp.unwrap());
    let by_udp = Udp::at(relay.udp);
    by_tcp.say("hello\n");
    listening.until_out("] hello");
    by_tcp.say(format!("{}\n", "x".repeat(900)));
    assert!(by_tcp.text().contains("Your message could not be taken"), "the guest gets the notice");
    by_udp.say("y".repeat(900));
    by_udp.say("short");
    listening.until_out("] short");
    relay.stop().with(0);
}
