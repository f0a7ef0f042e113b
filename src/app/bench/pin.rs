//! Which processor a thread runs on. Linux only.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processor of the servers and the one of the load; `None` if there is only one for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) server: usize,
    pub(super) load: usize,
}

impl Places {
    /// The first and the last processor this process may use.
    pub(super) fn find() -> Option<Places> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let server = cpus.next()?;
        cpus.next_back().map(|load| Places { server, load })
    }
}

/// Keeps this thread, and the threads and processes it starts from now on, on one processor.
pub(super) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    // A system that refuses leaves it where it likes: then the figures are worse, and no less true.
    let _ = sched_setaffinity(None, &set);
}
