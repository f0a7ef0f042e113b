//! Scenario of one seed: members, network, letters, and faults, each with its time.

use std::time::Duration;

use queqiao::base::Path;
use queqiao::client::{Carriers, Command};
use queqiao::relay::{GuestTexts, Limits};
use queqiao::wire::limits::UDP_PACKET_MAX;

use super::absence::go_away;
use super::agreement;
use super::copies;
use super::cover::Count;
use super::decoys;
use super::guest_rules;
use super::hostile;
use super::intruder::intrude;
use super::later_versions;
use super::machines::act_up;
use super::old_copies;
use super::oracle::{End, Fate};
use super::readers;
use super::refusals;
use super::shakes;
use super::strangers;
use super::tcp::Side;
use super::weather::{Weather, chance};
use super::world::{RELAY_HOST, World};

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

/// Runs one seed, from beginning to end.
pub fn live(world: &mut World) {
    decoys::plan(world);
    people(world);
    let trouble = Duration::from_secs(10 + world.rng.below(50));
    let long = chance(&mut world.rng, 80);
    talk(world, trouble);
    go_wrong(world, trouble);
    act_up(world, trouble);
    go_away(world, trouble);
    old_copies::plan(world, trouble);
    later_versions::go_back(world, trouble);
    flood(world, trouble);
    forge(world, trouble);
    if chance(&mut world.rng, 120) {
        hostile::join(world, trouble);
    }
    shakes::plan(world, trouble);
    copies::plan(world, trouble);
    world.run_for(trouble);
    storm(world);
    let asleep = world.all_awake_at().since(world.now);
    if !asleep.is_zero() {
        world.run_for(asleep + Duration::from_secs(1));
    }
    if long {
        grow_old(world);
    }
    world.heal();
    let reassembles = world.limits.reassembly_bytes >= UDP_PACKET_MAX;
    let healed_for = if reassembles { HEALED_FOR } else { HEALED_WITHOUT_REASSEMBLY_FOR };
    let ended = world.run_until(healed_for, |w| w.open_letters().is_empty());
    let open = world.open_letters();
    let first = open.first().map(|letter| world.fate(*letter));
    let first = first.map(Fate::in_short);
    assert!(ended, "{} letters have no end: {first:?}", open.len());
    world.run_for(HEALED_FOR);
    be_quiet(world);
    copies::check_paths(world);
    speak_again(world);
    refusals::pass_by(world);
    intrude(world);
    overtake(world);
    world.oracle.check_passed_by(&world.relay_disk, |client| !world.stations[client].stopped);
    agreement::check(world);
    world.finish();
}

/// Returns a simulation with everything that a seed decides about the relay itself.
pub fn world(seed: u64) -> World {
    let tight = seed % 8 == 3;
    let limits = Limits { pair_letters: 6, pair_bytes: 200_000, ..Limits::default() };
    let mut limits = if tight { limits } else { Limits::default() };
    if seed % 8 == 1 {
        // Without effect for members that write little; the longest text still fits.
        limits.queue_letters = 40;
        limits.queue_bytes = 400_000;
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
    let mut world = World::serving(seed, limits, guests);
    if seed % 8 == 1 {
        world.strangers_bytes_max = readers::LITTLE;
    }
    world.strangers.are_there = seed % 8 == 2;
    world
}

fn people(world: &mut World) {
    let many = 2 + world.rng.below(4) as usize;
    world.disk = Duration::from_micros(50 + world.rng.below(20_000));
    if chance(&mut world.rng, 300) {
        world.cut = [1, 7, 100, 536, 1460][world.rng.below(5) as usize];
    }
    world.has_tcp = !chance(&mut world.rng, 150);
    for name in &NAMES[..many] {
        let carriers = match world.rng.below(10) {
            0 => Carriers::Udp,
            1 | 2 if world.has_tcp => Carriers::Tcp,
            _ => Carriers::Auto,
        };
        let client = world.client(name, carriers);
        if chance(&mut world.rng, 300) {
            world.stations[client].relay = RELAY_HOST.parse().unwrap();
        }
        if chance(&mut world.rng, 500) {
            world.stations[client].pinned = Some(world.relay.core.public_key());
        }
        readers::keep_little(world, client, &NAMES[..many], Duration::from_secs(60));
        strangers::plan(world, client, &NAMES[..many]);
        change_weather(world, client);
        let wait = Duration::from_millis(world.rng.below(3_000));
        world.later(wait, move |w| w.start(client));
    }
}

/// Changes both directions of one client's line.
fn change_weather(world: &mut World, client: usize) {
    let delay = Duration::from_micros(500 + world.rng.below(100_000));
    let bad = world.rng.below(4);
    for up in [true, false] {
        let mut weather = Weather::clear(delay);
        let rng = &mut world.rng;
        if bad > 0 {
            weather.loss = [0, 5, 20, 100, 300][rng.below(2 + bad) as usize];
            weather.jitter = Duration::from_micros(rng.below(bad * 5_000));
        }
        if bad > 1 {
            weather.burst = rng.below(12);
            weather.copies = rng.below(60);
            weather.reordered = rng.below(120);
            weather.corrupt = rng.below(12);
        }
        if chance(rng, 200) {
            weather.rate = 6_000 + rng.below(200_000);
            weather.queue = 4_000 + rng.below(40_000);
        }
        if chance(rng, 40) {
            weather.mtu = 600 + rng.below(600) as usize;
        }
        let station = &mut world.stations[client];
        let lane = if up { &mut station.up } else { &mut station.down };
        lane.weather = weather;
    }
}

fn talk(world: &mut World, span: Duration) {
    let many = 10 + world.rng.below(90);
    for _ in 0..many {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        let burst = if chance(&mut world.rng, 50) { 20 } else { 1 };
        world.later(at, move |w| (0..burst).for_each(|_| say_something(w)));
    }
}

fn say_something(world: &mut World) {
    let people = world.stations.len() as u64;
    let from = world.rng.below(people) as usize;
    if !world.stations[from].started {
        return;
    }
    let to = match world.rng.below(20) {
        0 => "echo".to_owned(),
        1 => "nobody".to_owned(),
        2 if !world.oracle.liars.is_empty() => {
            world.cover.add(Count::LettersToLiars);
            hostile::NAME.to_owned()
        }
        _ => world.stations[world.rng.below(people) as usize].name.clone(),
    };
    let len = match world.rng.below(40) {
        0 => 64 * 1024,
        1 => world.rng.below(64 * 1024) as usize,
        2 if chance(&mut world.rng, 100) => 64 * 1024 + 1,
        2..=5 => world.rng.below(4_000) as usize,
        _ => world.rng.below(120) as usize,
    };
    let word = format!("{:08x} ", world.rng.next_u32());
    let mut text = word.repeat(len / word.len() + 1);
    text.truncate(len);
    if world.is_shy_of(from, &to) {
        return;
    }
    world.send(from, &to, &text);
    if chance(&mut world.rng, 50) {
        let relay = world.stations[from].relay.clone();
        world.cover.add(Count::Pings);
        world.command(from, Command::Ping { relay });
    }
}

fn go_wrong(world: &mut World, span: Duration) {
    for _ in 0..world.rng.below(24) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, fault);
    }
    if chance(&mut world.rng, 120) {
        world.tcp_corrupt = 2;
    }
    if chance(&mut world.rng, 150) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, |w| {
            let down = Duration::from_millis(w.rng.below(4_000));
            w.restart_relay(down);
        });
    }
    for _ in 0..[0, 0, 1, 4][world.rng.below(4) as usize] {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, |w| {
            let client = w.rng.below(w.stations.len() as u64) as usize;
            w.cover.add(Count::Replacements);
            w.restart_client(client);
        });
    }
    if chance(&mut world.rng, 60) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, second_machine);
    }
    if chance(&mut world.rng, 80) {
        let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
        world.later(at, press);
    }
}

/// Two members send each other more than every queue between them holds.
fn flood(world: &mut World, span: Duration) {
    if !chance(&mut world.rng, 60) {
        return;
    }
    world.cover.add(Count::Floods);
    let at = Duration::from_micros(world.rng.below(span.as_micros() as u64));
    let many = 200 + world.rng.below(300) as usize;
    let len = 1 + world.rng.below(6_000) as usize;
    world.later(at, move |w| {
        let pair = [(0, NAMES[1]), (1, NAMES[0])];
        for (from, to) in pair {
            (0..many).for_each(|_| _ = w.send(from, to, &"flood ".repeat(len / 6)));
        }
    });
}

/// Faults that do not end. The only promise is that nothing is lost, repeated, or reported too
/// early.
fn storm(world: &mut World) {
    if !chance(&mut world.rng, 60) {
        return;
    }
    let is_long = chance(&mut world.rng, 400);
    world.cover.add(if is_long { Count::LongStorms } else { Count::Storms });
    for _ in 0..if is_long { 20 } else { 4 } {
        let span = Duration::from_secs(60);
        talk(world, span);
        go_wrong(world, span);
        act_up(world, span);
        world.run_for(span);
    }
}

/// Sends text with forged source addresses to a relay that serves guests.
fn forge(world: &mut World, span: Duration) {
    if world.visitors.rules.is_some() {
        let many = 100 + world.rng.below(900) as u32;
        world.flood_with_text(many, span);
    }
}

/// Strangers perform handshakes until the relay asks for cookies. In the meantime a known client
/// must return.
fn press(world: &mut World) {
    world.flood_with_handshakes(400);
    world.later(Duration::from_millis(700), |w| {
        let client = w.rng.below(w.stations.len() as u64) as usize;
        if w.stations[client].started {
            w.restart_client(client);
        }
    });
}

/// Signs in with the same key from another machine, whose clock is 20 s ahead.
fn second_machine(world: &mut World) {
    let station = &world.stations[0];
    let name = station.name.clone();
    let key = station.private_key;
    let second = world.client_with_key(&name, Carriers::Auto, key);
    world.stations[second].node.wall_offset_ms = 20_000;
    world.start(second);
}

fn fault(world: &mut World) {
    let client = world.rng.below(world.stations.len() as u64) as usize;
    let long = chance(&mut world.rng, 200);
    let span = Duration::from_millis(world.rng.below(if long { 90_000 } else { 8_000 }));
    match world.rng.below(13) {
        0 | 1 => change_weather(world, client),
        2 | 3 => {
            let new_host = chance(&mut world.rng, 300);
            world.rebind(client, new_host);
            if chance(&mut world.rng, 500) {
                world.cover.add(Count::NetworksChanged);
                world.command(client, Command::NetworkChanged);
            }
        }
        4 => hole(world, client, span, [true, false], true),
        5 => hole(world, client, span, [false, true], true),
        6 => hole(world, client, span + Duration::from_secs(10), [true, true], false),
        12 => hole(world, client, span, [true, true], true),
        7 => break_tcp(world, client, span),
        8 => world.suspend(client + 1, span),
        9 => {
            let jump = world.rng.below(40_000_000) as i64 - 10_000_000;
            world.jump_clock(client + 1, jump);
        }
        10 => {
            let many = 1 + world.rng.below(20);
            world.replay_to_relay(many);
            world.replay_to_client(many);
            world.forge_resets(many);
        }
        _ => {
            let many = 1 + world.rng.below(20);
            world.garbage(many);
        }
    }
}

/// Lets nothing pass for a while in the given directions (up, down): UDP alone, or TCP as well.
fn hole(world: &mut World, client: usize, span: Duration, directions: [bool; 2], udp_only: bool) {
    set_hole(world, client, directions, udp_only, true);
    world.later(span, move |w| set_hole(w, client, directions, udp_only, false));
}

fn set_hole(world: &mut World, client: usize, directions: [bool; 2], udp_only: bool, hole: bool) {
    let station = &mut world.stations[client];
    for (lane, wanted) in [&mut station.up, &mut station.down].into_iter().zip(directions) {
        if wanted {
            lane.weather.udp_hole = hole;
            lane.weather.tcp_hole = hole && !udp_only;
        }
    }
}

fn break_tcp(world: &mut World, client: usize, span: Duration) {
    let ours = world.conns.iter().find(|(_, conn)| conn.client == client && conn.established);
    let Some((&number, _)) = ours else { return };
    if chance(&mut world.rng, 500) {
        return world.reset(number);
    }
    let side = if chance(&mut world.rng, 500) { Side::Client } else { Side::Relay };
    let until = world.now + span;
    world.cover.add(Count::TcpStalls);
    world.conns.get_mut(&number).expect("it was just found").side(side).stalled_until = until;
}

/// Half an hour of occasional letters, in which keys are renewed.
fn grow_old(world: &mut World) {
    for minute in 0..32 {
        for second in [7, 31] {
            world.later(Duration::from_secs(minute * 60 + second), say_something);
        }
    }
    world.run_for(Duration::from_secs(32 * 60));
}

fn be_quiet(world: &mut World) {
    forge_resets(world);
    let before = world.datagrams + world.records;
    world.run_for(QUIET_FOR);
    let sent = world.datagrams + world.records - before;
    let most = QUIET_PACKETS_MAX * world.stations.len() as u64;
    assert!(sent <= most, "{sent} packets without any letter");
    for (client, station) in world.stations.iter().enumerate() {
        let peer = station.node.core.peer(&station.relay);
        assert!(station.stopped || peer.is_some(), "client {client} has no session though all is well");
        let unacked = peer.map_or(0, |peer| peer.link().unacked_bytes());
        assert!(station.stopped || unacked == 0, "client {client} has {unacked} bytes unacknowledged");
    }
}

/// Checks that forged resets make no client give up its session.
fn forge_resets(world: &mut World) {
    let before = world.relay.core.stats().handshakes;
    let forged = world.forge_a_reset_for_each();
    world.run_for(Duration::from_secs(1));
    let made = world.relay.core.stats().handshakes - before;
    // The keys of one client may have reached the end of their lifetime just then.
    assert!(forged < 2 || made < forged, "{made} handshakes after {forged} forged resets");
}

/// Checks that every member that still tries can reach every other.
fn speak_again(world: &mut World) {
    world.befriend_all();
    old_copies::come_to_light(world);
    let present: Vec<usize> = (0..world.stations.len()).filter(|c| !world.stations[*c].stopped).collect();
    let mut letters = Vec::new();
    for from in &present {
        for to in &present {
            let name = world.stations[*to].name.clone();
            letters.push(world.send(*from, &name, "are you there?"));
        }
    }
    let all = |w: &World| letters.iter().all(|l| w.fate(*l).end == Some(End::Delivered));
    let heard = world.run_until(Duration::from_secs(5), all);
    let deaf = letters.iter().map(|l| world.fate(*l)).find(|fate| fate.end != Some(End::Delivered));
    assert!(heard, "a letter was not delivered without any fault: {deaf:?}");
}

/// Sends long letters down a slow line: a receipt for a short letter must overtake them.
fn overtake(world: &mut World) {
    let present = |c: &usize| !world.stations[*c].stopped;
    let present: Vec<usize> = (0..world.stations.len()).filter(present).collect();
    let [from, to, ..] = present[..] else { return };
    let from_name = world.stations[from].name.clone();
    let to_name = world.stations[to].name.clone();
    let station = &mut world.stations[from];
    let path = station.node.core.peer(&station.relay).and_then(|peer| peer.path());
    if !matches!(path, Some(Path::Udp(_))) {
        // TCP's own buffers hold more than this line carries in the time limit.
        return;
    }
    station.down.weather.rate = 40_000;
    station.down.weather.queue = 8_000;
    for _ in 0..2 {
        world.send(to, &from_name, &"long ".repeat(12_000));
    }
    world.run_for(Duration::from_millis(700));
    let short = world.send(from, &to_name, "short");
    let passed = world.run_until(Duration::from_millis(1_900), |w| w.fate(short).end.is_some());
    assert!(passed, "a receipt is stuck behind letters");
    world.heal();
    world.run_for(Duration::from_secs(20));
}
