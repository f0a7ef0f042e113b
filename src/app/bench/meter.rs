//! CPU time and memory of a process.

use std::time::Duration;

use crate::base::Phrase;

/// Reads the resource usage of a process. Linux only: the numbers are in `/proc`.
#[derive(Debug)]
pub(super) struct Meter {
    pid: u32,
    ticks_per_second: u64,
}

/// CPU time used so far, and memory in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// User and system time of all its threads, including ended ones. Resolution: one clock tick
    /// (10 ms).
    pub(super) cpu: Duration,
    /// Resident memory (RSS), in KiB.
    pub(super) rss_kib: u64,
}

impl Meter {
    /// Opens a meter for a process.
    ///
    /// # Errors
    /// `bench-no-cpu` if the process does not exist, or the system has no such numbers.
    pub(super) fn open(pid: u32) -> Result<Meter, Phrase> {
        let meter = Meter { pid, ticks_per_second: ticks_per_second() };
        meter.read()?;
        Ok(meter)
    }

    /// Returns the usage so far.
    pub(super) fn read(&self) -> Result<Usage, Phrase> {
        let ticks = ticks_used(&self.text("stat")?).ok_or_else(|| self.failed(&"stat"))?;
        let rss_kib = rss_kib(&self.text("status")?).ok_or_else(|| self.failed(&"status"))?;
        Ok(Usage { cpu: Duration::from_micros(ticks * 1_000_000 / self.ticks_per_second), rss_kib })
    }

    fn text(&self, file: &str) -> Result<String, Phrase> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).map_err(|error| self.failed(&error))
    }

    fn failed(&self, cause: &dyn ToString) -> Phrase {
        Phrase::new("bench-no-cpu").with("pid", self.pid).with("cause", cause.to_string())
    }
}

/// Parses fields 14 and 15 of proc_pid_stat(5), `utime` and `stime`. The second field is a name in
/// parentheses that may itself contain parentheses and spaces.
fn ticks_used(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')?..].split_ascii_whitespace().skip(12);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Parses the line `VmRSS` of proc_pid_status(5). A process that is ending has none.
fn rss_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.map_or(Some(0), |line| line.trim().strip_suffix("kB")?.trim().parse().ok())
}

#[cfg(target_os = "linux")]
fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

/// A placeholder: without `/proc` no value is ever divided by it.
#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> u64 {
    100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_after_name_like_fields() {
        let stat = "7 (a) 1 (b c)) S 1 7 7 0 -1 4194304 100 0 0 0 41 17 0 0 20 0 2 0 99 1 1";
        assert_eq!(ticks_used(stat), Some(58));
        assert_eq!(ticks_used("7 (a) S 1"), None);
        assert_eq!(ticks_used(""), None);
    }

    #[test]
    fn memory_is_resident_set_size() {
        let status = "Name:\tqueqiao\nVmHWM:\t   99999 kB\nVmRSS:\t   12345 kB\nThreads:\t2\n";
        assert_eq!(rss_kib(status), Some(12_345));
        assert_eq!(rss_kib("Name:\tgone\n"), Some(0));
        assert_eq!(rss_kib("VmRSS:\t many kB\n"), None);
    }
}
