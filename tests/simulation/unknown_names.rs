//! Letters of the hostile member to unknown names: mistyped ones, look-alikes, and many of one
//! form.

use queqiao::base::{LetterId, Mark, OutboxId, PublicKey, Rng, Wall};
use queqiao::peer::Peer;
use queqiao::relay::{NAMES_LOOKED_AT_MAX, Stats};
use queqiao::wire::frame::StreamId;
use queqiao::wire::letter::encode_text;
use queqiao::wire::message::{KIND_TEXT, Letter, ToRelay};

use super::coverage::Count;
use super::simulation::Simulation;

/// Members whose names differ in one character at the same position, from the relay's next start
/// on.
const CROWD: u32 = 300;
/// Answers with similar names, at once and for all members together.
const ANSWERS_MAX: u64 = 32;

/// Fills the relay's disk with names of one form.
pub fn add_similar_names(sim: &mut Simulation) {
    for n in 0..CROWD {
        let mut key = [0xC0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        let name = format!("p{}q", char::from_u32(0x4E00 + n).expect("a Chinese character"));
        sim.relay_disk.members.push((name.parse().expect("a name"), PublicKey(key)));
    }
}

/// Whether this is one of these names. The relay that is running when they are added does not know
/// them.
pub fn is_similar_name(name: &str) -> bool {
    name.starts_with('p') && name.ends_with('q') && name.chars().count() == 3
}

/// Returns a name that is probably unknown.
fn mistyped_name(rng: &mut Rng, like: &str) -> String {
    let mut chars: Vec<char> = like.chars().collect();
    let at = rng.below(chars.len() as u64) as usize;
    match rng.below(8) {
        0 => chars[at] = 'z',
        1 => drop(chars.remove(at)),
        2 => chars.insert(at, 'z'),
        3 => chars.swap(at, 0),
        // Cyrillic letters that look like Latin ones.
        4 => chars.iter_mut().for_each(|c| *c = if matches!(c, 'O' | 'o') { 'о' } else { *c }),
        5 => return "pq".to_owned(),
        6 => return "p".repeat(1 + rng.below(255) as usize),
        _ => return String::from_utf8_lossy(&rng.next_u64().to_be_bytes()).into_owned(),
    }
    chars.into_iter().collect()
}

/// Writes to several unknown names at once.
pub fn write_to_unknown(sim: &mut Simulation, number: &mut u64, peer: &mut Peer, like: &str) {
    for _ in 0..1 + sim.rng.below(60) {
        *number += 1;
        let to = mistyped_name(&mut sim.rng, like);
        let body = encode_text("who are you?", Wall(1));
        let id = LetterId { outbox: OutboxId(7), number: *number };
        let letter = Letter { to: &to, id, prev: *number - 1, mark: Mark(0), kind: KIND_TEXT, body: &body };
        let mut bytes = Vec::new();
        ToRelay::Letter(letter).encode(&mut bytes);
        let _ = peer.send(StreamId::Chat, &[&bytes]);
        sim.coverage.add(Count::UnknownNames);
    }
}

/// Checks how many names the relay has looked at between these two states of its statistics.
pub fn check_lookups(before: &Stats, after: &Stats) {
    let looked_at = after.names_looked_at - before.names_looked_at;
    let refused = after.letters_refused - before.letters_refused;
    let most = NAMES_LOOKED_AT_MAX as u64 * refused.min(ANSWERS_MAX + 1);
    assert!(looked_at <= most, "{looked_at} names looked at for {refused} letters, {most} allowed");
}
