//! CPU affinity of threads. Linux only.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// CPUs of the servers and of the load, which differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuPlacement {
    pub(super) server: usize,
    pub(super) load: usize,
}

impl CpuPlacement {
    /// Returns the first and the last CPU that this process may use; `None` if there is only one.
    pub(super) fn find() -> Option<CpuPlacement> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let server = cpus.next()?;
        cpus.next_back().map(|load| CpuPlacement { server, load })
    }
}

/// Binds this thread to one CPU, and with it the threads and processes that it starts later.
pub(super) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // If the system refuses, the figures vary more but are still valid.
    let _ = sched_setaffinity(None, &set);
}
