//! How many threads an inference has, and on which processors.

use std::cell::OnceCell;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};

use wink_kernels::Pool;

use crate::error::EngineError;

/// Threads of an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// How many, the calling one among them.
    pub count: NonZeroUsize,
    /// Whether each keeps to a processor of its own, among those that the process may use. The calling thread is the one that
    /// hands this over. Only Linux can do it.
    pub pinned: bool,
}

impl Threads {
    /// The threads, started.
    ///
    /// # Errors
    /// When they are to be pinned and the system refuses one of them.
    pub(crate) fn pool(self) -> Result<Arc<Pool>, EngineError> {
        if !self.pinned {
            return Ok(Arc::new(Pool::new(self.count.get(), |_| {})));
        }
        let processors = processors().map_err(EngineError::Pin)?;
        if processors.len() < self.count.get() {
            return Err(EngineError::TooFewProcessors {
                threads: self.count.get(),
                processors: processors.len(),
            });
        }
        keep_to(processors[0]).map_err(EngineError::Pin)?;
        #[cfg(target_os = "linux")]
        BEFORE_PIN.with(|before| {
            let _ = before.set(processors.clone());
        });
        let (told, pinned) = mpsc::channel();
        let pool = Pool::new(self.count.get(), move |index| {
            // The receiver lives until all workers have said how it went.
            let _ = told.send(keep_to(processors[index]));
        });
        let workers = pool.threads() - 1;
        for result in pinned.iter().take(workers) {
            result.map_err(EngineError::Pin)?;
        }
        Ok(Arc::new(pool))
    }
}

#[cfg(target_os = "linux")]
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
#[cfg(target_os = "linux")]
use nix::unistd::Pid;

#[cfg(target_os = "linux")]
thread_local! {
    /// What this thread could use before it was pinned, for the next policy that it loads.
    static BEFORE_PIN: OnceCell<Vec<usize>> = const { OnceCell::new() };
}

/// Numbers of the processors that this thread may use, or could before it was pinned.
#[cfg(target_os = "linux")]
fn processors() -> std::io::Result<Vec<usize>> {
    if let Some(before) = BEFORE_PIN.with(|before| before.get().cloned()) {
        return Ok(before);
    }
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let allowed = (0..CpuSet::count()).filter(|&index| set.is_set(index).unwrap_or(false));
    Ok(allowed.collect())
}

/// Keeps this thread to a processor.
#[cfg(target_os = "linux")]
fn keep_to(processor: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn processors() -> std::io::Result<Vec<usize>> {
    Err(std::io::Error::other("only Linux pins threads"))
}

#[cfg(not(target_os = "linux"))]
fn keep_to(_: usize) -> std::io::Result<()> {
    Err(std::io::Error::other("only Linux pins threads"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn pinned_threads_need_a_processor_each() {
        let count = NonZeroUsize::new(CpuSet::count() + 1).unwrap();
        let threads = Threads {
            count,
            pinned: true,
        };
        let refused = threads.pool().unwrap_err().to_string();
        assert!(refused.contains("threads cannot be pinned to"), "{refused}");
        // In a thread of its own, which stays pinned.
        std::thread::spawn(|| {
            let one = Threads {
                count: NonZeroUsize::MIN,
                pinned: true,
            };
            one.pool().unwrap();
            let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
            let mine = (0..CpuSet::count()).filter(|&index| set.is_set(index).unwrap());
            assert_eq!(mine.count(), 1);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_processor_that_is_not_there_is_an_error() {
        assert!(keep_to(CpuSet::count() - 1).is_err());
    }
}
