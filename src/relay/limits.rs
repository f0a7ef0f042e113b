//! Limits of one member, of one address and of the whole relay. Each number is a default that a
//! caller may change; the reason is next to it.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::Rate;
use crate::session::PrefixLen;
use crate::wire::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};

/// Resource limits of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Whether handshakes, TCP connections, names and letters are limited for each sender, and
    /// names in total. Off for benchmarks only.
    pub per_sender: bool,
    /// Whether the handshake limits apply to loopback too; for benchmarks.
    pub loopback_too: bool,
    /// Letters per second of one member, in the long run.
    pub letters_per_second: u32,
    /// Letters a member may send at once after a pause.
    pub letters_burst: u32,
    /// Control messages per second of one member, in the long run.
    ///
    /// News of letters is free. 32 bytes count as one more message, and a write to the disk as
    /// four. A list of names counts as a hundred, plus one for each name.
    pub control_per_second: u32,
    /// Control messages a member may send at once after a pause, counted in the same way.
    pub control_burst: u32,
    /// Letters kept for one recipient, in memory and on disk together.
    pub mailbox_letters: usize,
    /// Bytes of bodies kept for one recipient.
    pub mailbox_bytes: usize,
    /// Letters of one sender kept for one recipient.
    pub pair_letters: usize,
    /// Bytes of bodies of one sender kept for one recipient.
    pub pair_bytes: usize,
    /// Bytes of bodies of one sender kept for all recipients, plus 64 for each letter.
    ///
    /// Capped at a sixteenth of `all_bytes`. All guests of one carrier count as one sender.
    pub sender_bytes: usize,
    /// Bytes per second passed to a recipient from one sender in the long run; the rest waits in
    /// its mailbox.
    ///
    /// Counts bodies, and 64 for each letter. No limit if `per_sender` is off.
    pub pair_rate: usize,
    /// Bytes passed to a recipient from one sender at once after a pause.
    pub pair_burst: usize,
    /// Bytes of bodies of all letters kept, in memory and on disk, plus 64 for each letter.
    ///
    /// Beyond it every letter is refused as `full`. It bounds the database, which is not much
    /// larger.
    pub all_bytes: usize,
    /// The same for letters that are not on disk yet; 4 MiB at most for one recipient.
    ///
    /// Letters that sessions have loaded from the disk are not counted: 64 KiB and one letter for
    /// each.
    pub memory_bytes: usize,
    /// Time a letter waits in a mailbox, counted while the relay runs.
    pub keep: Duration,
    /// TCP connections in total. Four addresses of members may hold all of them; others then use
    /// UDP.
    pub conns: usize,
    /// TCP connections of one address, except loopback.
    pub conns_per_address: usize,
    /// Sessions in total, including those of strangers that never sign in.
    pub sessions: usize,
    /// Sessions of strangers: unconfirmed, not signed in, or closing. Each may cost 256 KiB of
    /// memory.
    pub strangers: usize,
    /// Bytes received behind gaps by all sessions, including the cost of storing them.
    ///
    /// Beyond it, data received behind a gap counts as lost.
    pub reassembly_bytes: usize,
    /// Names registered in one hour from one address, except loopback.
    pub names_per_hour: u32,
    /// Names registered in one hour in total, except from loopback.
    ///
    /// Half of them are for sites (/48, /24) that have registered none within a day. Of this half a
    /// provider (/32, /16) has at most as many as are left. `None`: no limit, as on a relay that
    /// only this machine can reach.
    pub all_names_per_hour: Option<u32>,
    /// Names in total; beyond it only invited users get one. The upper half is for networks as in
    /// `all_names_per_hour`.
    pub members_max: usize,
    /// Whether names are registered by invitation only.
    pub closed: bool,
}

impl Limits {
    /// Returns the longest text, in bytes, that the relay can ever take in a letter.
    ///
    /// Its body fits into an empty mailbox while all mailboxes are empty, from a sender that the
    /// recipient has not written to. A shorter letter refused as `full` may be taken later; a
    /// longer one never is.
    pub fn text_max(&self) -> usize {
        let all = self.held_max().min(self.memory_bytes).saturating_sub(ENTRY_COST);
        let room = self.pair_bytes.min(three_quarters(self.mailbox_bytes)).min(all);
        room.saturating_sub(LETTER_BODY_MAX - LETTER_TEXT_MAX).min(LETTER_TEXT_MAX)
    }

    /// Returns the longest body, in bytes, that the relay can ever take.
    pub(super) fn body_max(&self) -> usize {
        self.text_max() + LETTER_BODY_MAX - LETTER_TEXT_MAX
    }

    /// Bytes that one sender may occupy in all mailboxes.
    pub(super) fn held_max(&self) -> usize {
        self.sender_bytes.min(self.all_bytes / SENDERS_MIN)
    }

    /// Rate of the control messages of one member.
    pub(super) fn control_rate(&self) -> Rate {
        Rate::new(Duration::from_secs(1) / self.control_per_second.max(1), self.control_burst)
    }

    /// Rate of the letters of one member.
    pub(super) fn letter_rate(&self) -> Rate {
        Rate::new(Duration::from_secs(1) / self.letters_per_second.max(1), self.letters_burst)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_sender: true,
            loopback_too: false,
            letters_per_second: 100,
            letters_burst: 1_000,
            // Each takes about 3 µs: 0.3 % of a core for one member. A client that reconnects sends
            // a few hundred.
            control_per_second: 1_000,
            control_burst: 10_000,
            mailbox_letters: 10_000,
            mailbox_bytes: 32 << 20,
            pair_letters: 5_000,
            pair_bytes: 8 << 20,
            // Eight full pairs; 64 such senders fill all mailboxes.
            sender_bytes: 64 << 20,
            // At most 22 GB a day: it fills a recipient's disk slowly enough to be noticed.
            pair_rate: 256 << 10,
            // Half of the bytes that one sender may have waiting, or sixty of the longest letters.
            pair_burst: 4 << 20,
            // A hundred full mailboxes.
            all_bytes: 4 << 30,
            memory_bytes: 256 << 20,
            keep: Duration::from_secs(30 * 24 * 3_600),
            conns: 1_024,
            conns_per_address: 256,
            sessions: 131_072,
            // Handshakes begun within one round trip: more than the relay can grant in half a
            // second.
            strangers: 2_048,
            // Three hundred members that each lost a packet of a full window at a long round-trip
            // time.
            reassembly_bytes: 64 << 20,
            names_per_hour: 5,
            // One a minute: a class registers within half an hour, and a flood needs more than a
            // week to fill the relay.
            all_names_per_hour: Some(60),
            // About 5 MB of memory and 3 MB of disk.
            members_max: 10_000,
            closed: false,
        }
    }
}

/// Minimum number of senders needed to fill all mailboxes, however small the limits are.
const SENDERS_MIN: usize = 16;

/// Returns the part of a mailbox that is open to every sender, rounded up. The rest is reserved for
/// members that its owner has written to.
pub(super) const fn three_quarters(whole: usize) -> usize {
    whole - whole / 4
}

/// Time within which a TCP connection must carry its first handshake message or data packet.
///
/// Requests for the relay's key do not count, because any stranger may send them.
pub(super) const CONN_FIRST_PACKET: Duration = Duration::from_secs(5);
/// Time after which a TCP connection without a valid packet is closed: three keep-alives and slack.
pub(super) const CONN_IDLE: Duration = Duration::from_secs(75);
/// Time without a packet after which a member is offline: three keep-alives and slack.
pub(super) const OFFLINE_AFTER: Duration = Duration::from_secs(75);
/// Time without a packet after which a session is forgotten.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(180);
/// Time after which an unconfirmed session is forgotten: the response or the client is lost.
pub(super) const UNCONFIRMED_FOR: Duration = Duration::from_secs(10);
/// Time after which a session without a name is forgotten, also if its claim was refused.
///
/// A client signs in with its first packet.
pub(super) const SIGNED_IN_WITHIN: Duration = Duration::from_secs(10);
/// Time after which a letter not stored by its recipient is written to disk; the sender gets
/// `accepted` on commit. 500 ms: longer than a round trip, shorter than a user's patience.
pub(super) const SPILL_AFTER: Duration = Duration::from_millis(500);
/// Bytes of one mailbox in memory only; beyond it the oldest letters are written.
pub(super) const MEMORY_ONLY_MAX: usize = 256 * 1024;
/// Bytes of one mailbox that are not on disk yet, including those being written. Beyond it letters
/// are refused, because the disk cannot keep up.
///
/// 4 MiB: one sender alone may use all of it, for a burst of 1,000 letters of 2 KB.
pub(super) const UNWRITTEN_MAX: usize = 4 * 1024 * 1024;
/// Approximate memory of a letter besides its body, in bytes.
pub(super) const ENTRY_COST: usize = 64;
/// Maximum letters of one mailbox written at once; further ones wait for the commit.
pub(super) const BATCH_LETTERS: usize = 1_024;
/// Maximum bytes of one mailbox written at once, exceeded by one letter at most.
pub(super) const BATCH_BYTES: usize = 512 * 1024;
/// Maximum bytes of one mailbox loaded at once, exceeded by one letter at most.
pub(super) const LOAD_BYTES: usize = 64 * 1024;
/// Maximum bytes examined in one step of expiry, exceeded by one letter at most.
pub(super) const SWEEP_BYTES: usize = 64 * 1024;
/// Letters of one mailbox refused in one turn, because of a block list or a removed recipient. The
/// next follow after [`REJECT_INTERVAL`]. The records of 256 letters are 64 KiB.
pub(super) const REJECTED_MAX: usize = 256;
/// Pause between two such batches, which lets other inputs in.
pub(super) const REJECT_INTERVAL: Duration = Duration::from_millis(1);
/// Refusals of accepted letters that one sender has not acknowledged.
///
/// At the bound, letters of that sender no longer expire until it acknowledges some. Its letters to
/// a recipient with pending refusals are refused as `full`.
pub(super) const PENDING_REFUSALS_MAX: usize = 10_000;
/// Bytes that each pending refusal above that bound counts in its sender's share of all mailboxes.
///
/// 256: about its cost in memory and on disk. A sender that acknowledges none can have a quarter of
/// a million pending, over any number of flows.
pub(super) const PENDING_REFUSAL_COST: usize = 256;
/// Interval for persisting the uptime clock while letters wait. A crash extends their retention by
/// at most this.
pub(super) const CLOCK_INTERVAL: Duration = Duration::from_secs(3_600);
/// Letters sent to one recipient's session and not stored by it yet; the rest wait in its mailbox.
pub(super) const SENT_MAX: usize = 512;
/// Flows (outbox and recipient) of one sender; each costs about 200 bytes. At the bound, a letter
/// that would begin another is refused.
pub(super) const FLOWS_MAX: usize = 4_096;
/// Read watermarks of one reader for letters the relay no longer knows. Further ones are dropped;
/// the reader's next session sends them again.
pub(super) const ORPHAN_READS_MAX: usize = 1_024;
/// Read watermarks of one session exempt from the rate of control messages, one for each stored
/// letter.
///
/// 10,000: as many as a mailbox has letters. The bound is on messages, because the numbers of
/// letters are chosen by their sender and bound nothing.
pub(super) const UNREAD_MAX: u64 = 10_000;
/// Outboxes of one member whose last sign-in is remembered; 24 bytes each.
///
/// A member has one for each machine it writes from, and one more for each restored backup of its
/// folder. At the bound, the least recently used one without waiting letters is evicted.
pub(super) const OUTBOXES_MAX: usize = 64;
/// Refusals waiting for capacity on a sender's control stream. Beyond it no more of its letters are
/// read.
pub(super) const REFUSALS_MAX: usize = 1_024;
/// Maximum refusals of accepted letters reported in one message: as many letters as a client has in
/// flight.
pub(super) const REFUSED_AT_ONCE_MAX: u64 = 1_024;
/// Flows of one sender whose answers wait because it asked for too many unknown names; about 150
/// bytes each.
///
/// At the bound, letters of further flows are refused as `full`, whether the recipient exists or
/// not. The last waiting flow is answered within nine minutes.
pub(super) const WAITING_MAX: usize = 256;
/// Unconfirmed sessions of one identity: one for each carrier of a client that tries both.
pub(super) const PENDING_MAX: usize = 2;
/// Sessions of one identity in total, including closing ones.
///
/// Eight: one live, one without a name, two unconfirmed, and four that answer late packets. At the
/// bound, the oldest closing session is forgotten early.
pub(super) const SESSIONS_OF_KEY_MAX: usize = 8;
/// Stateless resets, in total: at once enough for a thousand clients after a restart, then 1,000 a
/// second, 24 kB, however large the flood.
pub(super) const RESET_RATE: Rate = Rate::new(Duration::from_millis(1), 1_000);
/// Time for which a session closed by the relay answers late packets with CLOSE. Longer than a
/// keep-alive interval, so that an idle client learns of it.
pub(super) const CLOSING_FOR: Duration = Duration::from_secs(30);
/// Lookups of unknown names for one member: 30 at once, then 30 a minute. Its other new flows are
/// answered later. Also the claims to names of others by strangers at one address.
pub(super) const LOOKUP_RATE: Rate = Rate::new(Duration::from_secs(2), 30);
/// Lifetime of a negative lookup result, used when a new lookup would have to wait.
///
/// Half the time in which the lookup budget refills. A member that takes the name is found after
/// it, whatever else is asked.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// Refusals with similar names, in total. At once as many as take 3 ms if each compares as many
/// names as it may, then 50 a second, half a percent of the loop's time. Refusals beyond that carry
/// no suggestions.
pub(super) const SUGGESTION_RATE: Rate = Rate::new(Duration::from_millis(20), 32);

/// Deadlines handled in one turn, about a millisecond. Thousands of sessions may be due at once,
/// and received packets must not wait for all of them.
pub(super) const TIMERS_A_TURN_MAX: usize = 1_024;

/// Minimum interval between two moves of a name from one machine to another, so that two machines
/// that both insist do not alternate rapidly.
pub(super) const TAKEOVER_INTERVAL: Duration = Duration::from_secs(10);

/// Returns the network that counts as one source: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn source(ip: IpAddr) -> IpAddr {
    PrefixLen::SOURCE.network(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_of_one_64_are_one_source() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(source(a), source(b));
    }
}
