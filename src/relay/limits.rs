//! What one member, one address and everybody together may ask of a relay. Each number is a default that a caller may
//! change; the reasons stand beside them.

use std::net::IpAddr;
use std::time::Duration;

use crate::base::Tick;
use crate::session::PrefixLen;
use crate::wire::limits::{LETTER_BODY_MAX, LETTER_TEXT_MAX};

/// The bounds of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes, TCP connections, names and letters are counted against one sender, and names in
    /// all. Off for benchmarks only.
    pub per_sender: bool,
    /// Handshakes over loopback are counted as those of any other network; for benchmarks.
    pub loopback_too: bool,
    /// Letters a second of one member, in the long run.
    pub letters_per_second: u32,
    /// Letters a member may send at once after a pause.
    pub letters_burst: u32,
    /// Control messages a second of one member, in the long run, those apart that tell news of
    /// letters; 32 bytes count as one more, a write to the disk as four, and one of a list of names
    /// as a hundred and one for each.
    pub control_per_second: u32,
    /// Control messages a member may send at once after a pause, counted likewise.
    pub control_burst: u32,
    /// Letters kept for one recipient, in memory and on disk together.
    pub queue_letters: usize,
    /// Bytes of bodies kept for one recipient.
    pub queue_bytes: usize,
    /// Letters of one sender kept for one recipient.
    pub pair_letters: usize,
    /// Bytes of bodies of one sender kept for one recipient.
    pub pair_bytes: usize,
    /// Bytes of bodies of one sender kept for all recipients, and 64 for each letter; never more than a sixteenth of
    /// `all_bytes`. All guests of one carrier are one sender.
    pub sender_bytes: usize,
    /// Bytes a second that a recipient is handed of one sender in the long run; the rest waits in
    /// its mailbox. Bodies, and 64 for each letter. Lifted where `per_sender` is off.
    pub pair_rate: usize,
    /// Bytes that it is handed of one sender at once after a pause.
    pub pair_burst: usize,
    /// Bytes of bodies of all letters kept, in memory and on disk together, and 64 for each letter; above it every
    /// letter is refused as `full`. It bounds the database, which is not much larger.
    pub all_bytes: usize,
    /// The same of letters that the disk does not have yet; of one recipient they are 4 MiB at most. What sessions have
    /// loaded from the disk comes on top, 64 KiB and a letter each.
    pub memory_bytes: usize,
    /// How long a letter waits in a mailbox while the relay runs.
    pub keep: Duration,
    /// TCP connections in all. Four addresses in good standing may hold all of them; others then have UDP.
    pub conns: usize,
    /// TCP connections of one address, loopback exempt.
    pub conns_per_address: usize,
    /// Sessions in all, those of strangers who never sign in included.
    pub sessions: usize,
    /// Sessions of strangers: not confirmed, not signed in, or closing. Each may make the relay hold 256 KiB.
    pub strangers: usize,
    /// Bytes received by all sessions together behind gaps, with what keeping them takes; beyond it
    /// what comes behind a gap counts as lost.
    pub reassembly_bytes: usize,
    /// Names registered in one hour from one address, loopback exempt.
    pub names_per_hour: u32,
    /// Names registered in one hour by all together, loopback exempt; half of them are for sites (/48, /24) that have
    /// registered none within a day, and of this half a provider (/32, /16) has no more than is left. `None`: as many as come, as
    /// on a relay that this machine alone reaches.
    pub all_names_per_hour: Option<u32>,
    /// Names in all; at the bound, none but the invited get one. Those of the upper half are for
    /// networks as above.
    pub members_max: usize,
    /// Names are registered by invitation only.
    pub closed: bool,
}

impl Limits {
    /// The longest text of a letter that can ever be taken: one whose body fits into an empty mailbox.
    ///
    /// Of a sender that the recipient has not written to, into an empty one, while all mailboxes
    /// are empty: a letter that is refused as `full` may be taken later, one that is longer never.
    pub fn text_max(&self) -> usize {
        let all = self.held_max().min(self.memory_bytes).saturating_sub(ENTRY_COST);
        let room = self.pair_bytes.min(three_quarters(self.queue_bytes)).min(all);
        room.saturating_sub(LETTER_BODY_MAX - LETTER_TEXT_MAX).min(LETTER_TEXT_MAX)
    }

    /// The longest body, accordingly.
    pub(super) fn body_max(&self) -> usize {
        self.text_max() + LETTER_BODY_MAX - LETTER_TEXT_MAX
    }

    /// Bytes that one sender may hold in all mailboxes.
    pub(super) fn held_max(&self) -> usize {
        self.sender_bytes.min(self.all_bytes / SENDERS_MIN)
    }

    /// Between two control messages of one member, in the long run.
    pub(super) fn control_interval(&self) -> Duration {
        Duration::from_secs(1) / self.control_per_second.max(1)
    }

    /// Between two letters of one member, in the long run.
    pub(super) fn letter_interval(&self) -> Duration {
        Duration::from_secs(1) / self.letters_per_second.max(1)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            per_sender: true,
            loopback_too: false,
            letters_per_second: 100,
            letters_burst: 1_000,
            // Each takes about 3 µs: 0.3 % of a core for one member. A client that comes again says
            // a few hundred.
            control_per_second: 1_000,
            control_burst: 10_000,
            queue_letters: 10_000,
            queue_bytes: 32 << 20,
            pair_letters: 5_000,
            pair_bytes: 8 << 20,
            // Eight full pairs; 64 such senders fill all mailboxes.
            sender_bytes: 64 << 20,
            // 22 GB a day at most fill a reader's disk slowly enough to be noticed.
            pair_rate: 256 << 10,
            // Half of what may wait of one sender, or sixty of the longest letters.
            pair_burst: 4 << 20,
            // A hundred mailboxes that are full.
            all_bytes: 4 << 30,
            memory_bytes: 256 << 20,
            keep: Duration::from_secs(30 * 24 * 3_600),
            conns: 1_024,
            conns_per_address: 256,
            sessions: 131_072,
            // What shake hands while one answer travels: more than the relay can grant in half a second.
            strangers: 2_048,
            // Three hundred members that each lost a packet of a full window on a line of a long
            // round trip.
            reassembly_bytes: 64 << 20,
            names_per_hour: 5,
            // One a minute: a class comes within half an hour, and a flood fills no relay within a
            // week.
            all_names_per_hour: Some(60),
            // About 5 MB of memory and 3 MB of disk.
            members_max: 10_000,
            closed: false,
        }
    }
}

/// Senders that it takes at least to fill all mailboxes together, however small those are.
const SENDERS_MIN: usize = 16;

/// The part of a mailbox that is open to everybody, rounded up; the rest is kept for those its
/// owner has written to.
pub(super) const fn three_quarters(whole: usize) -> usize {
    whole - whole / 4
}

/// A TCP connection shows its first handshake message or data packet within this time, or is closed. Questions for the
/// key, which anybody may ask, do not count.
pub(super) const CONN_FIRST_PACKET: Duration = Duration::from_secs(5);
/// A TCP connection without a valid packet for this long is closed: three keep-alives and slack.
pub(super) const CONN_IDLE: Duration = Duration::from_secs(75);
/// A member unheard for this long is offline.
pub(super) const OFFLINE_AFTER: Duration = Duration::from_secs(75);
/// A session unheard for this long is forgotten.
pub(super) const FORGOTTEN_AFTER: Duration = Duration::from_secs(180);
/// A session that nobody confirmed is forgotten: the answer or the client is lost.
pub(super) const UNCONFIRMED_FOR: Duration = Duration::from_secs(10);
/// A session that has not claimed a name, or may not have the one it claimed, is forgotten: a
/// client says who it is with its first packet.
pub(super) const SIGNED_IN_WITHIN: Duration = Duration::from_secs(10);
/// A letter that its recipient has not stored for so long is written: its sender is told by then that it is safe.
pub(super) const SPILL_AFTER: Duration = Duration::from_millis(500);
/// Bytes of one queue that are in memory only; above it the oldest are written.
pub(super) const MEMORY_ONLY_MAX: usize = 256 * 1024;
/// Bytes of one queue that the disk does not have yet, those being written included; above it letters are refused: the
/// disk cannot follow. A sender may use as much of it as is left: a burst of 1,000 letters of 2 KB where it is alone.
pub(super) const UNWRITTEN_MAX: usize = 4 * 1024 * 1024;
/// What a letter costs in memory beside its body, about.
pub(super) const ENTRY_COST: usize = 64;
/// Letters of one queue written at once; the next wait for the answer.
pub(super) const BATCH_LETTERS: usize = 1_024;
/// Bytes of one queue written at once, by one letter more at most.
pub(super) const BATCH_BYTES: usize = 512 * 1024;
/// Bytes of one mailbox loaded at once, by one letter more at most.
pub(super) const LOAD_BYTES: usize = 64 * 1024;
/// Bytes looked at in one step of expiry, by one letter more at most.
pub(super) const SWEEP_BYTES: usize = 64 * 1024;
/// Letters of one mailbox that are refused in one turn, because they are unwanted or their
/// recipient was removed; the next ones after [`TURNED_AWAY_EVERY`]. This many records are 64 KiB.
pub(super) const TURNED_AWAY_MAX: usize = 256;
/// Lets other inputs in between.
pub(super) const TURNED_AWAY_EVERY: Duration = Duration::from_millis(1);
/// Refusals of accepted letters owed to one author; at the bound that author's letters expire no more until some were
/// heard, and those to a recipient of whose refusals some are owed are refused as `full`.
pub(super) const OWED_REFUSALS_MAX: usize = 10_000;
/// Bytes that each owed refusal above that bound counts in what its author may have in all mailboxes: about what it takes in
/// memory and on disk. So an author that hears of none is owed a quarter of a million, of however many conversations.
pub(super) const OWED_REFUSAL_COST: usize = 256;
/// How often the relay's own clock is written down while letters wait: a crash lets them wait longer by so much.
pub(super) const CLOCK_EVERY: Duration = Duration::from_secs(3_600);
/// Letters handed to one recipient's session and not yet stored by it; the rest wait in its queue.
pub(super) const HANDED_MAX: usize = 512;
/// Flows (outbox and recipient) one author may ever have had; each costs about 200 bytes. At the
/// bound a letter that would begin another is refused.
pub(super) const FLOWS_MAX: usize = 4_096;
/// What one reader says that it has read of letters the relay knows nothing of any more; more is dropped, and told again
/// by its next session.
pub(super) const CLAIMS_MAX: usize = 1_024;
/// Words on what was read that one session has free of the rate of control messages, one for each
/// letter it has stored: as many as a mailbox has letters. Numbers of letters are their author's to
/// choose, and bound nothing.
pub(super) const UNREAD_MAX: u64 = 10_000;
/// Outboxes of one member whose last sign-in is remembered, 24 bytes each: one for each machine it
/// writes from, and one for each time that its folder was put back. At the bound the one unused
/// longest goes of which no letter waits.
pub(super) const OUTBOXES_MAX: usize = 64;
/// Refusals waiting for room on a sender's control stream; above it no more letters are read from it.
pub(super) const REFUSALS_MAX: usize = 1_024;
/// Refusals of accepted letters told in one message, at most: as many letters as a client has on
/// their way.
pub(super) const REFUSED_AT_ONCE_MAX: u64 = 1_024;
/// Conversations of one author of which nothing is said for now, because it has been told of too
/// many names that do not exist; about 150 bytes each. At the bound the letters of another are
/// refused as `full`, whether its recipient exists or not. The last of them is answered within nine
/// minutes.
pub(super) const WAITING_MAX: usize = 256;
/// Sessions of one identity that are not yet confirmed: one for each carrier of a client that tries both.
pub(super) const PENDING_MAX: usize = 2;
/// Sessions of one identity in all, those that are closing among them: one that is live, one
/// without a name, those not confirmed, and as many that answer late packets. At the bound the
/// oldest that is closing is forgotten early.
pub(super) const SESSIONS_OF_KEY_MAX: usize = 8;
/// Stateless resets at once, to all together: enough for a thousand clients after a restart.
pub(super) const RESETS_BURST: u32 = 1_000;
/// And then one in this time: 1,000 a second, 24 kB whatever the flood.
pub(super) const RESET_INTERVAL: Duration = Duration::from_millis(1);
/// How long a session that we ended answers late packets with its CLOSE: longer than a keep-alive, so that an idle
/// client learns it.
pub(super) const CLOSING_FOR: Duration = Duration::from_secs(30);
/// Answers at once that a name does not exist: to one member, whose other new conversations are
/// answered after them, and to the strangers of one address who claim names that others have.
pub(super) const LOOKUPS_BURST: u32 = 30;
/// And then once in this time: 30 a minute.
pub(super) const LOOKUP_INTERVAL: Duration = Duration::from_secs(2);
/// A member that has learned that a name does not exist gets the same answer without looking for
/// this long, where looking would have to wait: half as long as the burst takes to be whole again.
/// A member that takes the name is found after that, whatever else is asked.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// Answers with names like one that does not exist, to all members together: as many at once as
/// take 3 ms where each looks at as many names as it may. Beyond them a refusal has no such names.
pub(super) const SUGGESTIONS_BURST: u32 = 32;
/// And then one in this time: 50 a second, half a percent of the loop's time.
pub(super) const SUGGESTION_INTERVAL: Duration = Duration::from_millis(20);

/// Deadlines that are met in one turn: thousands of sessions may be due at one moment, and what
/// comes in does not wait for all of them. About a millisecond.
pub(super) const TIMERS_A_TURN_MAX: usize = 1_024;

/// A name passes from one machine to another once in this time: two that both insist do not keep it in the air.
pub(super) const FLIP_EVERY: Duration = Duration::from_secs(10);

/// A rate: so many at once, then one each interval (the generic cell rate algorithm). New ones are full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    whole_at: Tick,
}

impl Bucket {
    /// Whether one more may go now, or when it may.
    pub(super) fn ready(&self, now: Tick, interval: Duration, burst: u32) -> Result<(), Tick> {
        if self.whole_at <= now {
            return Ok(());
        }
        let at = self.whole_at - interval * burst.saturating_sub(1);
        if at <= now { Ok(()) } else { Err(at) }
    }

    /// One goes.
    pub(super) fn spend(&mut self, now: Tick, interval: Duration) {
        self.whole_at = self.whole_at.max(now) + interval;
    }

    /// The last one that went does not count.
    pub(super) fn refund(&mut self, interval: Duration) {
        self.whole_at = self.whole_at - interval;
    }
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn source(ip: IpAddr) -> IpAddr {
    PrefixLen::SOURCE.network(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let (start, interval) = (Tick::from_micros(7), Duration::from_millis(10));
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.ready(start, interval, 3), Ok(()));
            bucket.spend(start, interval);
        }
        let again = start + interval;
        assert_eq!(bucket.ready(start, interval, 3), Err(again));
        assert_eq!(bucket.ready(again, interval, 3), Ok(()));
        bucket.spend(again, interval);
        assert!(bucket.ready(again, interval, 3).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let a: IpAddr = "2001:db8::1".parse().unwrap();
        let b: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(source(a), source(b));
    }
}
