//! The CPU time of another process.

use std::time::Duration;

use crate::base::Phrase;

/// Reads what a process has used. Linux only: the numbers stand in `/proc`.
#[derive(Debug)]
pub(super) struct CpuMeter {
    pid: u32,
    ticks_per_second: u64,
}

impl CpuMeter {
    /// A meter for this process.
    ///
    /// # Errors
    /// `bench-no-cpu` if the process is not there, or the system does not tell.
    pub(super) fn open(pid: u32) -> Result<CpuMeter, Phrase> {
        let meter = CpuMeter { pid, ticks_per_second: ticks_per_second() };
        meter.read()?;
        Ok(meter)
    }

    /// User and system time of all its threads since it began, to a clock tick (10 ms).
    pub(super) fn read(&self) -> Result<Duration, Phrase> {
        let failed = |cause: &dyn ToString| {
            Phrase::new("bench-no-cpu").with("pid", self.pid).with("cause", cause.to_string())
        };
        let file = format!("/proc/{}/stat", self.pid);
        let text = std::fs::read_to_string(&file).map_err(|why| failed(&why))?;
        let ticks = ticks_used(&text).ok_or_else(|| failed(&file))?;
        Ok(Duration::from_micros(ticks * 1_000_000 / self.ticks_per_second))
    }
}

/// Fields 14 and 15 of proc_pid_stat(5): `utime` and `stime`. The second field is a name in parentheses that may hold
/// anything, parentheses and spaces included.
fn ticks_used(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')?..].split_ascii_whitespace().skip(12);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(target_os = "linux")]
fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// Elsewhere there is no `/proc`, and nothing is ever divided by this.
#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> u64 {
    100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_a_name_that_looks_like_fields() {
        let stat = "7 (a) 1 (b c)) S 1 7 7 0 -1 4194304 100 0 0 0 41 17 0 0 20 0 2 0 99 1 1";
        assert_eq!(ticks_used(stat), Some(58));
        assert_eq!(ticks_used("7 (a) S 1"), None);
        assert_eq!(ticks_used(""), None);
    }
}
