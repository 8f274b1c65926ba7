//! Threads for work of a few microseconds.
//!
//! A policy's ops are too small for threads that sleep between them: waking one takes longer than many an op. So the workers spin
//! while an inference is going on, and sleep between inferences ([`Pool::awake`]).

#[cfg(all(test, loom))]
mod model;
mod shared;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod ticket;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, TryLockError};

use shared::{Panic, Shared};
use sync::{JoinHandle, Mutex, thread};

use crate::PANEL;
use crate::aligned::to_line;

thread_local! {
    /// Number of this worker in its pool, from 1 on; 0 for all other threads.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
    /// Scratch memory of a thread that is no worker.
    static OWN: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Workers that have started. Not part of what is model-checked.
type Ready = std::sync::atomic::AtomicUsize;

/// Scratch memory of a worker. The standard library's lock: only one thread at a time ever wants it.
type Scratch = StdMutex<Vec<f32>>;

/// Workers who do pieces of a caller's work.
///
/// One caller at a time: another one does its work alone meanwhile.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    scratch: Vec<Scratch>,
    caller: Mutex<()>,
}

/// While it lives, the workers spin.
#[derive(Debug)]
pub struct Awake<'a>(&'a Pool);

impl Pool {
    /// A pool of `threads` threads, the caller among them. `started` runs first on each worker, with its number from 1 on: the
    /// place to pin it to a processor. Returns when it ran on all of them. Where the system has no more threads, there are fewer.
    #[must_use]
    pub fn new(threads: usize, started: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let started = Arc::new(started);
        let ready = Arc::new(Ready::default());
        let spawn = |index: usize| {
            let (shared, started, ready) = (shared.clone(), started.clone(), ready.clone());
            let worker = thread::Builder::new().name(format!("wink-{index}"));
            let serve = move || {
                NUMBER.set(index);
                started(index);
                ready.fetch_add(1, Ordering::Release);
                shared.serve();
            };
            worker.spawn(serve).ok()
        };
        let workers: Vec<_> = (1..threads).map_while(spawn).collect();
        // The system allocates for a thread when it starts: not during the first inferences.
        while cfg!(not(loom)) && ready.load(Ordering::Acquire) < workers.len() {
            thread::yield_now();
        }
        Self {
            workers,
            scratch: (1..threads).map(|_| Scratch::default()).collect(),
            shared,
            caller: Mutex::new(()),
        }
    }

    /// A pool without workers.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(1, |_| {})
    }

    /// Threads, the caller among them.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Keeps the workers spinning for as long as the guard lives. Without one, the caller does all pieces.
    pub fn awake(&self) -> Awake<'_> {
        if self.shared.wake() {
            for worker in &self.workers {
                worker.thread().unpark();
            }
        }
        Awake(self)
    }

    /// Calls `work` once for each number below `pieces`, on this thread and on the workers, and returns when all are done.
    ///
    /// # Panics
    /// When `work` does, with what it panicked with and after the workers have stopped; or where there are more than 65535 pieces.
    pub fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        let alone = || (0..pieces).for_each(work);
        if self.workers.is_empty() || pieces < 2 {
            return alone();
        }
        let done = match self.enter() {
            // SAFETY: the lock is held until the end of the statement.
            Some(_caller) => unsafe { self.shared.run(pieces, work) },
            None => return alone(),
        };
        done.unwrap_or_else(|panic: Panic| resume_unwind(panic));
    }

    /// [`Pool::run`] with `floats` floats of scratch memory for each piece; their content is unspecified. The caller makes
    /// them for all threads, and they are kept: no thread allocates when it does a piece later.
    ///
    /// # Panics
    /// As for [`Pool::run`], and when called from within a piece.
    pub fn run_with(
        &self,
        pieces: usize,
        floats: usize,
        work: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) {
        OWN.with_borrow_mut(|own| grow(own, floats));
        if let Some(_caller) = self.enter() {
            for scratch in &self.scratch {
                grow(&mut lock(scratch), floats);
            }
        }
        self.run(pieces, &|piece| {
            let of_worker = NUMBER.get().checked_sub(1);
            match of_worker.and_then(|index| self.scratch.get(index)) {
                None => OWN.with_borrow_mut(|own| work(piece, part(own, floats))),
                Some(scratch) => {
                    let mut scratch = lock(scratch);
                    // Another caller may have had the pool meanwhile, with less.
                    grow(&mut scratch, floats);
                    work(piece, part(&mut scratch, floats));
                }
            }
        });
    }

    /// The right to give the workers a job; `None` while another caller has it. That a caller panicked while it had it says
    /// nothing about the next one: the lock guards no data.
    fn enter(&self) -> Option<impl Drop + '_> {
        match self.caller.try_lock() {
            Ok(caller) => Some(caller),
            Err(TryLockError::Poisoned(caller)) => Some(caller.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Locks also where a panic poisoned it: scratch memory and panics are valid at any time.
fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So that [`part`] finds as many floats.
fn grow(scratch: &mut Vec<f32>, floats: usize) {
    if scratch.len() < floats + PANEL {
        scratch.resize(floats + PANEL, 0.0);
    }
}

/// The first floats from a cache line on.
fn part(scratch: &mut [f32], floats: usize) -> &mut [f32] {
    let start = to_line(scratch).min(PANEL);
    &mut scratch[start..start + floats]
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.shared.rest();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker's panics were handed to its caller.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}
