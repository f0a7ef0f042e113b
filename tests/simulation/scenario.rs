//! Scenario of one seed: members, network, letters, and faults, each with its time.

use std::time::Duration;

use queqiao::base::Path;
use queqiao::client::{Carriers, Command};
use queqiao::relay::{GuestTexts, Limits};
use queqiao::wire::limits::UDP_PACKET_MAX;

use super::absence::schedule_absences;
use super::agreement;
use super::copies;
use super::coverage::Count;
use super::decoys;
use super::guest_rules;
use super::handshakes;
use super::hostile_member;
use super::later_versions;
use super::link_conditions::{LinkConditions, chance};
use super::machine_faults::schedule_machine_faults;
use super::old_copies;
use super::oracle::{LetterEnd, LetterFate};
use super::protocol_violator::violate_protocol;
use super::recipient_limits;
use super::refusals;
use super::simulation::{RELAY_HOST, Simulation};
use super::strangers;
use super::tcp::Side;

const NAMES: [&str; 5] = ["TOM", "JACK", "一棵树", "武大郎", "Zoë"];
/// Once the network has healed, everything ends within this time.
const HEALED_FOR: Duration = Duration::from_secs(90);
/// The same where the relay holds less than a packet behind gaps: a sender in a lossy moment is
/// then left with two packets for each round trip, and a flood has 300 letters of two packets.
const HEALED_WITHOUT_REASSEMBLY_FOR: Duration = Duration::from_secs(240);
/// Both ends must then be nearly silent for this long.
const QUIET_FOR: Duration = Duration::from_secs(60);
/// Packets that a client and the relay may exchange in that time: keep-alives and their acks, and
/// one renewal of keys.
const QUIET_PACKETS_MAX: u64 = 24;
/// Packets in addition for a client whose datagrams are copied and that may choose its carrier. The
/// relay answers its probes at the addresses of the copies, so UDP is never validated. In a minute
/// it tries at most six times: on UDP every 31 s, 1, 3, 10 and 30 s after its move to TCP, and
/// after a renewal of keys. Each attempt has up to eleven probes and as many answers.
const COPIED_PROBES_MAX: u64 = 6 * 2 * 11;

/// Runs one seed, from beginning to end.
pub fn run_seed(sim: &mut Simulation) {
    decoys::schedule(sim);
    add_members(sim);
    let span = Duration::from_secs(10 + sim.rng.below(50));
    let long = chance(&mut sim.rng, 80);
    schedule_letters(sim, span);
    schedule_faults(sim, span);
    schedule_machine_faults(sim, span);
    schedule_absences(sim, span);
    old_copies::schedule(sim, span);
    later_versions::schedule_unsupported(sim, span);
    schedule_letter_flood(sim, span);
    forge_guest_text(sim, span);
    if chance(&mut sim.rng, 120) {
        hostile_member::add_hostile_member(sim, span);
    }
    handshakes::schedule(sim, span);
    copies::schedule(sim, span);
    sim.run_for(span);
    run_endless_faults(sim);
    let asleep = sim.all_awake_at().since(sim.now);
    if !asleep.is_zero() {
        sim.run_for(asleep + Duration::from_secs(1));
    }
    if long {
        run_half_hour(sim);
    }
    sim.heal();
    let reassembles = sim.limits.reassembly_bytes >= UDP_PACKET_MAX;
    let healed_for = if reassembles { HEALED_FOR } else { HEALED_WITHOUT_REASSEMBLY_FOR };
    let ended = sim.run_until(healed_for, |sim| sim.open_letters().is_empty());
    let open = sim.open_letters();
    let first = open.first().map(|letter| sim.fate(*letter));
    let first = first.map(LetterFate::in_short);
    assert!(ended, "{} letters have no end: {first:?}", open.len());
    sim.run_for(HEALED_FOR);
    check_quiet(sim);
    copies::check_paths(sim);
    check_reachability(sim);
    refusals::check_independence(sim);
    violate_protocol(sim);
    check_receipt_overtakes(sim);
    sim.oracle.check_skipped(&sim.relay_disk, |client| !sim.machines[client].stopped);
    agreement::check(sim);
    sim.finish();
}

/// Returns a simulation with everything that a seed decides about the relay itself.
pub fn new_simulation(seed: u64) -> Simulation {
    let tight = seed % 8 == 3;
    let limits = Limits { pair_letters: 6, pair_bytes: 200_000, ..Limits::default() };
    let mut limits = if tight { limits } else { Limits::default() };
    if seed % 8 == 1 {
        // Without effect for members that write little; the longest text still fits.
        limits.mailbox_letters = 40;
        limits.mailbox_bytes = 400_000;
        limits.sender_bytes = 600_000;
        limits.all_bytes = 16 << 20;
        limits.pair_rate = 60_000;
        limits.pair_burst = 20_000;
    }
    if seed % 8 == 6 {
        // This is small enough that data behind a gap is mostly refused and must be sent again.
        limits.reassembly_bytes = 512 << (seed / 8 % 6);
    }
    if seed % 8 == 5 {
        limits.keep = Duration::from_secs(10 + seed % 20);
    }
    // Guests write to the first member, and so does a forger of their addresses.
    let guests = (seed % 16 == 9).then(|| guest_rules::to(NAMES[0], 16, GuestTexts::default()));
    let mut sim = Simulation::with_guests(seed, limits, guests);
    if seed % 8 == 1 {
        sim.strangers_bytes_max = recipient_limits::STRANGER_BYTES;
    }
    sim.strangers.is_enabled = seed % 8 == 2;
    sim
}

fn add_members(sim: &mut Simulation) {
    let many = 2 + sim.rng.below(4) as usize;
    sim.commit_time_max = Duration::from_micros(50 + sim.rng.below(20_000));
    if chance(&mut sim.rng, 300) {
        sim.segment_max = [1, 7, 100, 536, 1460][sim.rng.below(5) as usize];
    }
    sim.has_tcp = !chance(&mut sim.rng, 150);
    for name in &NAMES[..many] {
        let carriers = match sim.rng.below(10) {
            0 => Carriers::Udp,
            1 | 2 if sim.has_tcp => Carriers::Tcp,
            _ => Carriers::Auto,
        };
        let client = sim.add_client(name, carriers);
        if chance(&mut sim.rng, 300) {
            sim.machines[client].relay = RELAY_HOST.parse().unwrap();
        }
        if chance(&mut sim.rng, 500) {
            sim.machines[client].pinned = Some(sim.relay.core.public_key());
        }
        recipient_limits::limit_strangers(sim, client, &NAMES[..many], Duration::from_secs(60));
        strangers::choose_avoided(sim, client, &NAMES[..many]);
        change_conditions(sim, client);
        let wait = Duration::from_millis(sim.rng.below(3_000));
        sim.schedule(wait, move |sim| sim.start(client));
    }
}

/// Changes both directions of one client's line.
fn change_conditions(sim: &mut Simulation, client: usize) {
    let delay = Duration::from_micros(500 + sim.rng.below(100_000));
    let severity = sim.rng.below(4);
    for up in [true, false] {
        let mut conditions = LinkConditions::clear(delay);
        let rng = &mut sim.rng;
        if severity > 0 {
            conditions.loss = [0, 5, 20, 100, 300][rng.below(2 + severity) as usize];
            conditions.jitter = Duration::from_micros(rng.below(severity * 5_000));
        }
        if severity > 1 {
            conditions.burst = rng.below(12);
            conditions.copies = rng.below(60);
            conditions.reordered = rng.below(120);
            conditions.corrupt = rng.below(12);
        }
        if chance(rng, 200) {
            conditions.rate = 6_000 + rng.below(200_000);
            conditions.queue = 4_000 + rng.below(40_000);
        }
        if chance(rng, 40) {
            conditions.mtu = 600 + rng.below(600) as usize;
        }
        let machine = &mut sim.machines[client];
        let direction = if up { &mut machine.up } else { &mut machine.down };
        direction.conditions = conditions;
    }
}

fn schedule_letters(sim: &mut Simulation, span: Duration) {
    let many = 10 + sim.rng.below(90);
    for _ in 0..many {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        let burst = if chance(&mut sim.rng, 50) { 20 } else { 1 };
        sim.schedule(at, move |sim| (0..burst).for_each(|_| send_random_letter(sim)));
    }
}

fn send_random_letter(sim: &mut Simulation) {
    let member_count = sim.machines.len() as u64;
    let from = sim.rng.below(member_count) as usize;
    if !sim.machines[from].started {
        return;
    }
    let to = match sim.rng.below(20) {
        0 => "echo".to_owned(),
        1 => "nobody".to_owned(),
        2 if !sim.oracle.untrusted.is_empty() => {
            sim.coverage.add(Count::LettersToLiars);
            hostile_member::HOSTILE_NAME.to_owned()
        }
        _ => sim.machines[sim.rng.below(member_count) as usize].name.clone(),
    };
    let len = match sim.rng.below(40) {
        0 => 64 * 1024,
        1 => sim.rng.below(64 * 1024) as usize,
        2 if chance(&mut sim.rng, 100) => 64 * 1024 + 1,
        2..=5 => sim.rng.below(4_000) as usize,
        _ => sim.rng.below(120) as usize,
    };
    let word = format!("{:08x} ", sim.rng.next_u32());
    let mut text = word.repeat(len / word.len() + 1);
    text.truncate(len);
    if sim.avoids_writing_to(from, &to) {
        return;
    }
    sim.send(from, &to, &text);
    if chance(&mut sim.rng, 50) {
        let relay = sim.machines[from].relay.clone();
        sim.coverage.add(Count::Pings);
        sim.send_command(from, Command::Ping { relay });
    }
}

fn schedule_faults(sim: &mut Simulation, span: Duration) {
    for _ in 0..sim.rng.below(24) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, inject_fault);
    }
    if chance(&mut sim.rng, 120) {
        sim.tcp_corrupt = 2;
    }
    if chance(&mut sim.rng, 150) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, |sim| {
            let down = Duration::from_millis(sim.rng.below(4_000));
            sim.restart_relay(down);
        });
    }
    for _ in 0..[0, 0, 1, 4][sim.rng.below(4) as usize] {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, |sim| {
            let client = sim.rng.below(sim.machines.len() as u64) as usize;
            sim.coverage.add(Count::Replacements);
            sim.restart_client(client);
        });
    }
    if chance(&mut sim.rng, 60) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, start_second_machine);
    }
    if chance(&mut sim.rng, 80) {
        let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
        sim.schedule(at, flood_until_cookies);
    }
}

/// Two members send each other more than every queue between them holds.
fn schedule_letter_flood(sim: &mut Simulation, span: Duration) {
    if !chance(&mut sim.rng, 60) {
        return;
    }
    sim.coverage.add(Count::Floods);
    let at = Duration::from_micros(sim.rng.below(span.as_micros() as u64));
    let many = 200 + sim.rng.below(300) as usize;
    let len = 1 + sim.rng.below(6_000) as usize;
    sim.schedule(at, move |sim| {
        let pair = [(0, NAMES[1]), (1, NAMES[0])];
        for (from, to) in pair {
            (0..many).for_each(|_| _ = sim.send(from, to, &"flood ".repeat(len / 6)));
        }
    });
}

/// Faults that do not end. The only promise is that nothing is lost, repeated, or reported too
/// early.
fn run_endless_faults(sim: &mut Simulation) {
    if !chance(&mut sim.rng, 90) {
        return;
    }
    let is_long = chance(&mut sim.rng, 500);
    sim.coverage.add(if is_long { Count::LongStorms } else { Count::Storms });
    for _ in 0..if is_long { 20 } else { 4 } {
        let span = Duration::from_secs(60);
        schedule_letters(sim, span);
        schedule_faults(sim, span);
        schedule_machine_faults(sim, span);
        sim.run_for(span);
    }
}

/// Sends text with forged source addresses to a relay that serves guests.
fn forge_guest_text(sim: &mut Simulation, span: Duration) {
    if sim.guests.rules.is_some() {
        let many = 100 + sim.rng.below(900) as u32;
        sim.flood_with_text(many, span);
    }
}

/// Strangers perform handshakes until the relay asks for cookies. In the meantime a known client
/// must return.
fn flood_until_cookies(sim: &mut Simulation) {
    sim.flood_with_handshakes(400);
    sim.schedule(Duration::from_millis(700), |sim| {
        let client = sim.rng.below(sim.machines.len() as u64) as usize;
        if sim.machines[client].started {
            sim.restart_client(client);
        }
    });
}

/// Signs in with the same key from another machine, whose clock is 20 s ahead.
fn start_second_machine(sim: &mut Simulation) {
    let machine = &sim.machines[0];
    let name = machine.name.clone();
    let key = machine.private_key;
    let second = sim.add_client_with_key(&name, Carriers::Auto, key);
    sim.machines[second].node.wall_offset_ms = 20_000;
    sim.start(second);
}

fn inject_fault(sim: &mut Simulation) {
    let client = sim.rng.below(sim.machines.len() as u64) as usize;
    let long = chance(&mut sim.rng, 200);
    let span = Duration::from_millis(sim.rng.below(if long { 90_000 } else { 8_000 }));
    match sim.rng.below(13) {
        0 | 1 => change_conditions(sim, client),
        2 | 3 => {
            let new_host = chance(&mut sim.rng, 300);
            sim.rebind(client, new_host);
            if chance(&mut sim.rng, 500) {
                sim.coverage.add(Count::NetworksChanged);
                sim.send_command(client, Command::NetworkChanged);
            }
        }
        4 => open_hole(sim, client, span, [true, false], true),
        5 => open_hole(sim, client, span, [false, true], true),
        6 => open_hole(sim, client, span + Duration::from_secs(10), [true, true], false),
        12 => open_hole(sim, client, span, [true, true], true),
        7 => break_tcp(sim, client, span),
        8 => sim.suspend(client + 1, span),
        9 => {
            let jump = sim.rng.below(40_000_000) as i64 - 10_000_000;
            sim.jump_clock(client + 1, jump);
        }
        10 => {
            let many = 1 + sim.rng.below(20);
            sim.replay_to_relay(many);
            sim.replay_to_client(many);
            sim.forge_resets(many);
        }
        _ => {
            let many = 1 + sim.rng.below(20);
            sim.inject_garbage(many);
        }
    }
}

/// Lets nothing pass for a while in the given directions (up, down): UDP alone, or TCP as well.
fn open_hole(sim: &mut Simulation, client: usize, span: Duration, directions: [bool; 2], udp_only: bool) {
    set_hole(sim, client, directions, udp_only, true);
    sim.schedule(span, move |sim| set_hole(sim, client, directions, udp_only, false));
}

fn set_hole(sim: &mut Simulation, client: usize, directions: [bool; 2], udp_only: bool, hole: bool) {
    let machine = &mut sim.machines[client];
    for (direction, wanted) in [&mut machine.up, &mut machine.down].into_iter().zip(directions) {
        if wanted {
            direction.conditions.udp_hole = hole;
            direction.conditions.tcp_hole = hole && !udp_only;
        }
    }
}

fn break_tcp(sim: &mut Simulation, client: usize, span: Duration) {
    let ours = sim.conns.iter().find(|(_, conn)| conn.client == client && conn.established);
    let Some((&number, _)) = ours else { return };
    if chance(&mut sim.rng, 500) {
        return sim.reset_tcp(number);
    }
    let side = if chance(&mut sim.rng, 500) { Side::Client } else { Side::Relay };
    let until = sim.now + span;
    sim.coverage.add(Count::TcpStalls);
    sim.conns.get_mut(&number).expect("it was just found").side(side).stalled_until = until;
}

/// Half an hour of occasional letters, in which keys are renewed.
fn run_half_hour(sim: &mut Simulation) {
    for minute in 0..32 {
        for second in [7, 31] {
            sim.schedule(Duration::from_secs(minute * 60 + second), send_random_letter);
        }
    }
    sim.run_for(Duration::from_secs(32 * 60));
}

fn check_quiet(sim: &mut Simulation) {
    check_forged_resets(sim);
    let before = sim.datagrams + sim.records;
    sim.run_for(QUIET_FOR);
    let sent = sim.datagrams + sim.records - before;
    let most = QUIET_PACKETS_MAX * sim.machines.len() as u64 + COPIED_PROBES_MAX * sim.copied_and_free();
    assert!(sent <= most, "{sent} packets without any letter, {most} allowed");
    for (client, machine) in sim.machines.iter().enumerate() {
        let peer = machine.node.core.peer(&machine.relay);
        assert!(machine.stopped || peer.is_some(), "client {client} has no session though all is well");
        let unacked = peer.map_or(0, |peer| peer.link().unacked_bytes());
        assert!(machine.stopped || unacked == 0, "client {client} has {unacked} bytes unacknowledged");
    }
}

/// Checks that forged resets make no client give up its session.
fn check_forged_resets(sim: &mut Simulation) {
    let before = sim.relay.core.stats().handshakes;
    let forged = sim.forge_reset_for_each();
    sim.run_for(Duration::from_secs(1));
    let made = sim.relay.core.stats().handshakes - before;
    // The keys of one client may have reached the end of their lifetime just then.
    assert!(forged < 2 || made < forged, "{made} handshakes after {forged} forged resets");
}

/// Checks that every member that still tries can reach every other.
fn check_reachability(sim: &mut Simulation) {
    sim.add_all_contacts();
    old_copies::reveal_restored(sim);
    let present: Vec<usize> = (0..sim.machines.len()).filter(|c| !sim.machines[*c].stopped).collect();
    let mut letters = Vec::new();
    for from in &present {
        for to in &present {
            let name = sim.machines[*to].name.clone();
            letters.push(sim.send(*from, &name, "are you there?"));
        }
    }
    let all = |sim: &Simulation| letters.iter().all(|l| sim.fate(*l).end == Some(LetterEnd::Delivered));
    let received = sim.run_until(Duration::from_secs(5), all);
    let undelivered =
        letters.iter().map(|l| sim.fate(*l)).find(|fate| fate.end != Some(LetterEnd::Delivered));
    assert!(received, "a letter was not delivered without any fault: {undelivered:?}");
}

/// Sends long letters down a slow line: a receipt for a short letter must overtake them.
fn check_receipt_overtakes(sim: &mut Simulation) {
    let present = |c: &usize| !sim.machines[*c].stopped;
    let present: Vec<usize> = (0..sim.machines.len()).filter(present).collect();
    let [from, to, ..] = present[..] else { return };
    let from_name = sim.machines[from].name.clone();
    let to_name = sim.machines[to].name.clone();
    let machine = &mut sim.machines[from];
    let path = machine.node.core.peer(&machine.relay).and_then(|peer| peer.path());
    if !matches!(path, Some(Path::Udp(_))) {
        // TCP's own buffers hold more than this line carries in the time limit.
        return;
    }
    machine.down.conditions.rate = 40_000;
    machine.down.conditions.queue = 8_000;
    for _ in 0..2 {
        sim.send(to, &from_name, &"long ".repeat(12_000));
    }
    sim.run_for(Duration::from_millis(700));
    let short = sim.send(from, &to_name, "short");
    let passed = sim.run_until(Duration::from_millis(1_900), |sim| sim.fate(short).end.is_some());
    assert!(passed, "a receipt is stuck behind letters");
    sim.heal();
    sim.run_for(Duration::from_secs(20));
}
