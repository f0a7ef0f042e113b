//! Recipients that keep as many bytes of strangers as they may: refused letters, letters still
//! taken, and ways to free space.

use std::path::Path;

use queqiao::base::{Carrier, HostPort, LetterId, Mark, Name, OutboxId, Wall};
use queqiao::client::{Incoming, Record, STRANGERS_BYTES_MAX, letter_cost};
use queqiao::store::{Backend, MemberStore};

use crate::guests::{TcpGuest, UdpGuest};
use crate::harness::{ExitedProcess, Machine, Process, Relay, relay_with_members, texts};

/// JACK has a separate address book, with MARY in it, and a separate folder.
const JACK: [&str; 6] = ["--as", "JACK", "--contacts", "jack.toml", "--data", "jack"];

/// Returns a relay and JACK, who is away. JACK keeps the maximum of strangers less `left` bytes,
/// all from a stranger called OLD.
fn full_recipient(relay_args: &[&str], left: u64) -> (Machine, Relay) {
    let (machine, relay) = relay_with_members(relay_args, &["TOM", "JACK", "MARY", "ZOE"]);
    machine.write("jack.toml", format!("[contacts]\nMARY = \"{}\"\n", relay.udp));
    fill(&machine.path("jack"), &relay.udp.to_string().parse().unwrap(), STRANGERS_BYTES_MAX - left);
    (machine, relay)
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

fn start(machine: &Machine, command: &str, args: &[&str]) -> Process {
    let args = jack(command, args);
    machine.start(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run(machine: &Machine, command: &str, args: &[&str]) -> ExitedProcess {
    let args = jack(command, args);
    machine.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn listen(machine: &Machine) -> Process {
    let mut listening = start(machine, "listen", &[]);
    listening.until_err("connected to");
    listening
}

/// Sends one letter and waits for its outcome.
fn send(machine: &Machine, from: &str, text: &str) -> ExitedProcess {
    machine.run(&["send", "--as", from, "--wait", "delivered", "JACK", text])
}

fn assert_returned(exited: &ExitedProcess) {
    let notices = exited.notices();
    let is_reported =
        notices.first().is_some_and(|line| line.starts_with("refused ") && line.ends_with(" full"));
    assert!(exited.code == 1 && exited.out.is_empty() && is_reported, "{notices:?}");
}

const NOTICE: &str = "not in your address book take 16 MiB";

#[test]
fn recipient_full_of_strangers_refuses_and_reports_once() {
    let (machine, relay) = full_recipient(&[], 2_000);
    let mut listening = listen(&machine);
    let large = "x".repeat(5_000);
    assert_returned(&send(&machine, "TOM", &large));
    listening.until_err(NOTICE);
    send(&machine, "TOM", "small").with(0);
    listening.until_out("] small");
    send(&machine, "MARY", &large).with(0);
    listening.until_out(&large);
    assert_returned(&send(&machine, "ZOE", &large));
    let notices = listening.terminate().err;
    assert_eq!(notices.iter().filter(|line| line.contains(NOTICE)).count(), 1, "{notices:?}");
    assert!(!notices.iter().any(|line| line.contains("missing")), "{notices:?}");
    // The next run counts the letters on the disk.
    let mut listening = listen(&machine);
    assert_returned(&send(&machine, "TOM", &large));
    listening.until_err(NOTICE);
    relay.stop().with(0);
}

#[test]
fn forgetting_or_adding_contact_frees_space() {
    let (machine, relay) = full_recipient(&[], 0);
    let mut listening = listen(&machine);
    assert_returned(&send(&machine, "TOM", "one"));
    listening.until_err(NOTICE);
    machine.run(&["contacts", "--contacts", "jack.toml", "add", "TOM", &relay.udp.to_string()]).with(0);
    listening.until_err("jack.toml");
    send(&machine, "TOM", "two").with(0);
    listening.until_out("] two");
    assert_returned(&send(&machine, "ZOE", "three"));
    listening.until_err(NOTICE);
    assert!(run(&machine, "history", &["--forget", "OLD"]).result().starts_with("erased 25"));
    send(&machine, "ZOE", "four").with(0);
    listening.until_out("] four");
    let notices = run(&machine, "history", &[]).with(0).out;
    assert_eq!(texts(&notices), ["two", "four"], "refused letters are in no history");
    relay.stop().with(0);
}

/// The notice reaches the process that shows letters, whichever process is the primary.
#[test]
fn listener_in_secondary_process_gets_notice_too() {
    let (machine, relay) = full_recipient(&[], 0);
    let mut owner = start(&machine, "send", &["--lines", &format!("echo@{}", relay.udp)]);
    owner.write("first\n");
    owner.out();
    let mut listening = listen(&machine);
    assert_returned(&send(&machine, "TOM", "one"));
    listening.until_err(NOTICE);
    owner.write_and_close(b"");
    owner.end().with(0);
    assert_returned(&send(&machine, "TOM", "two"));
    assert!(run(&machine, "history", &["--forget", "OLD"]).result().starts_with("erased 25"));
    send(&machine, "TOM", "three").with(0);
    listening.until_out("] three");
    relay.stop().with(0);
}

/// Letters waited in the mailbox while the recipient was away. Their sender is away when they are
/// refused.
#[test]
fn refused_mailbox_letter_is_returned_by_next_run() {
    let (machine, relay) = full_recipient(&[], 0);
    listen(&machine).terminate().with(130);
    assert!(machine.send("TOM", "JACK", "too much").result().starts_with("accepted "));
    let mut listening = listen(&machine);
    listening.until_err(NOTICE);
    listening.terminate().with(130);
    let mut tom = machine.start(&["listen", "--as", "TOM"]);
    tom.until_err("Not delivered: the mailbox of JACK is full, or JACK keeps no more");
    tom.until_err("too much");
    relay.stop().with(0);
}

/// Texts of guests count too. A guest on TCP is notified that its text was not taken. A guest on
/// UDP gets no notice.
#[test]
fn guests_of_full_recipient_get_notice_on_tcp_only() {
    let (machine, relay) = full_recipient(&["--tcp", "--guests", "JACK"], 1_000);
    let mut listening = listen(&machine);
    let mut by_tcp = TcpGuest::at(relay.tcp.unwrap());
    let by_udp = UdpGuest::at(relay.udp);
    by_tcp.say("hello\n");
    listening.until_out("] hello");
    by_tcp.say(format!("{}\n", "x".repeat(900)));
    assert!(by_tcp.text().contains("Your message could not be accepted"), "the guest gets the notice");
    by_udp.say("y".repeat(900));
    by_udp.say("short");
    listening.until_out("] short");
    relay.stop().with(0);
}
