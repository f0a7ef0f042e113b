//! Coverage counters. If one stays at zero, the run did not exercise that case.

use std::collections::BTreeMap;

use queqiao::link::Stats;

macro_rules! counts {
    ($($name:ident,)*) => {
        /// A counted case.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Count {
            $($name,)*
        }

        impl Count {
            pub const ALL: &[Count] = &[$(Count::$name,)*];
        }
    };
}

counts! {
    LostAlone,
    LostInBurst,
    LostInHole,
    LostForSize,
    LostInQueue,
    Copied,
    CopiedFirst,
    Decoyed,
    Reordered,
    Corrupted,
    Rebinds,
    NetworksChanged,
    StrayToOldAddress,
    TcpOpened,
    TcpClosedByRelay,
    TcpRefused,
    TcpTimedOut,
    TcpResets,
    TcpStalls,
    TcpSegments,
    TcpCorrupted,
    Replays,
    ReplaysOfOld,
    Garbage,
    Truncated,
    Intrusions,
    HostileMembers,
    HostileFrames,
    HostileRecords,
    Lies,
    UnknownNames,
    ControlFloods,
    LastBytes,
    HandshakeFloods,
    TextFloods,
    Cookies,
    LettersToLiars,
    LettersOfLiars,
    RelayRestarts,
    ClientRestarts,
    Replacements,
    Pauses,
    ClockJumps,
    ClockJumpsBack,
    RelaySleeps,
    NotCommitted,
    RelayNotCommitted,
    RecordsRefused,
    BlocksRefused,
    RelaysCompared,
    KilledInTurn,
    KilledInCommit,
    RelayKilledInTurn,
    RelayKilledInCommit,
    CommitsKept,
    CommitsDropped,
    CommitsTorn,
    FullDisks,
    FsyncErrors,
    MailboxLoads,
    GivenBack,
    Pings,
    Pongs,
    LettersShown,
    LettersDelivered,
    LongLetters,
    EchoLetters,
    RefusalsTold,
    RefusedUnknown,
    Floods,
    Blocks,
    Storms,
    LongStorms,
    LettersKept,
    LettersPaced,
    RefusedFull,
    RefusedByReader,
    StrangeLetters,
    ToldAtFullSecond,
    RefusedUnsupported,
    Forgotten,
    RefusedTooLong,
    RefusedExpired,
    RefusedOldCopy,
    OldCopies,
    OldCopiesMet,
    FoldersPutBack,
    MissingShown,
    Absences,
    MayHaveArrived,
    Online,
    Lost,
    Replaced,
    Unreached,
    Pinned,
    MovedToTcp,
    MovedToUdp,
    ForcedReturns,
    DampedReturns,
    Wakings,
    Handshakes,
    Continued,
    Resets,
    ResetsBelieved,
    ResetsForged,
    HostileResetters,
    Crowds,
    DroppedByRelay,
    Rekeys,
    Ptos,
    PacketsLost,
    SpuriousLosses,
    StreamBytesResent,
    LoneAcks,
    PersistentCongestions,
    LinkMoves,
}

/// Sums of counts.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<Count, u64>,
}

impl Coverage {
    pub fn add(&mut self, count: Count) {
        self.add_many(count, 1);
    }

    pub fn add_many(&mut self, count: Count, many: u64) {
        *self.counts.entry(count).or_default() += many;
    }

    pub fn get(&self, count: Count) -> u64 {
        self.counts.get(&count).copied().unwrap_or(0)
    }

    /// Adds the statistics of one end of a session.
    pub fn add_link(&mut self, stats: &Stats) {
        self.add_many(Count::Ptos, stats.ptos);
        self.add_many(Count::PacketsLost, stats.packets_lost);
        self.add_many(Count::SpuriousLosses, stats.packets_lost_spuriously);
        self.add_many(Count::StreamBytesResent, stats.stream_bytes_resent);
        self.add_many(Count::LoneAcks, stats.acks_alone);
        self.add_many(Count::PersistentCongestions, stats.persistent_congestions);
        self.add_many(Count::LinkMoves, stats.moves);
    }

    pub fn merge(&mut self, other: &Coverage) {
        for (count, many) in &other.counts {
            self.add_many(*count, *many);
        }
    }

    /// Returns one line for each counter.
    pub fn table(&self) -> String {
        self.counts.iter().map(|(count, many)| format!("{many:>10}  {count:?}\n")).collect()
    }
}
