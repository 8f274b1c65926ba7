//! How many threads an inference has, and on which processors.

use std::num::NonZeroUsize;
use std::sync::Arc;

use wink_kernels::Pool;

/// Threads of an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// How many, the calling one among them.
    pub count: NonZeroUsize,
    /// Whether each keeps to a processor of its own, among those that the process may use. The calling thread is the one that
    /// hands this over. Only Linux can do it; elsewhere it is left to the system.
    pub pinned: bool,
}

impl Threads {
    /// The threads, started.
    pub(crate) fn pool(self) -> Arc<Pool> {
        let processors = if self.pinned { processors() } else { vec![] };
        let pin = move |index: usize| {
            if let Some(processor) = processors.get(index % processors.len().max(1)) {
                keep_to(*processor);
            }
        };
        pin(0);
        Arc::new(Pool::new(self.count.get(), pin))
    }
}

#[cfg(target_os = "linux")]
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;

/// Numbers of the processors that this thread may use.
#[cfg(target_os = "linux")]
fn processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        return vec![];
    };
    let allowed = (0..CpuSet::count()).filter(|&index| set.is_set(index).unwrap_or(false));
    allowed.collect()
}

/// Keeps this thread to a processor. Where the system refuses, all goes on as without.
#[cfg(target_os = "linux")]
fn keep_to(processor: usize) {
    let mut set = CpuSet::new();
    if set.set(processor).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

#[cfg(not(target_os = "linux"))]
fn processors() -> Vec<usize> {
    vec![]
}

#[cfg(not(target_os = "linux"))]
fn keep_to(_: usize) {}
