//! Attack: letters to unknown names, at a relay with 20,000 names. Each answer requires a search
//! for similar names.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use queqiao::base::{Name, PublicKey};
use queqiao::relay::Record;
use queqiao::store::{Backend, RelayStore};

use super::process_harness::harness::Machine;
use super::{Attack, Measured, Options, measure};

/// Names at the relay, which share their first six characters.
const NAMES: u64 = 20_000;
/// Members that write to unknown names. This many, so that none reaches its own limit of 30 per
/// minute for long.
const WRITERS: u64 = 20;

pub fn run(options: &Options) -> Option<Measured> {
    let machine = Machine::new();
    register(&machine);
    let relay = machine.relay(&["--data", "r", "--members-max", "40000"]);
    machine.book(&["JACK"], relay.udp);
    let addr = relay.udp;
    let command = |number: u64| {
        let writer = format!("writer{}", number % WRITERS);
        let wanted = format!("member{number:06}x@{addr}");
        machine.command(&["send", "--as", &writer, "--timeout", "5s", &wanted, "hello"])
    };
    // Each writer signs in once before the measurement.
    (0..WRITERS).for_each(|number| drop(command(number).output()));
    let commands: Vec<Command> = (0..10_000).map(command).collect();
    let attack = Attack::start(move |sent, over| send_flood(commands, sent, over));
    let measured = measure("unknown-names", &machine, &relay, options.seconds, Some(attack));
    relay.stop();
    measured
}

/// Writes the names into the relay's database, as if their owners had registered.
fn register(machine: &Machine) {
    let (mut store, _) = RelayStore::open(&machine.path("r"), || [3; 32]).expect("the folder is new");
    let records: Vec<Record> = (0..NAMES)
        .map(|number| {
            let name: Name = format!("member{number:06}").parse().expect("a valid name");
            let mut key = [1; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            Record::Member { name, key: PublicKey(key), since: 0 }
        })
        .collect();
    store.commit(&records, &mut Vec::new()).expect("the disk has room");
}

/// Writes to one unknown name after the other, each a mistype of an existing name.
fn send_flood(commands: Vec<Command>, sent: &AtomicU64, over: &AtomicBool) {
    for mut command in commands {
        if over.load(Ordering::Relaxed) {
            return;
        }
        // The refusal is the expected result.
        let _ = command.output();
        sent.fetch_add(1, Ordering::Relaxed);
    }
}
