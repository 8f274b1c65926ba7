//! Threads for work of a few microseconds.
//!
//! A policy's ops are too small for threads that sleep between them: waking one takes longer than many an op. So the workers spin
//! while an inference is going on, and sleep between inferences ([`Pool::awake`]).

use std::cell::{Cell, RefCell, UnsafeCell};
use std::fmt;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Rounds of spinning before the processor is offered to others: with more threads than processors, whoever is waited for may
/// need it.
const SPINS: u32 = 2000;

thread_local! {
    /// Number of this worker in its pool, from 1 on; 0 for all other threads.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
    /// Scratch memory of a thread that is no worker.
    static OWN: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Workers who do pieces of a caller's work.
///
/// One caller at a time: another one does its work alone meanwhile.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    caller: Mutex<()>,
}

/// While it lives, the workers spin.
#[derive(Debug)]
pub struct Awake<'a>(&'a Pool);

impl Pool {
    /// A pool of `threads` threads, the caller among them. `started` runs first on each worker, with its number from 1 on: the
    /// place to pin it to a processor. Where the system has no more threads, there are fewer.
    #[must_use]
    pub fn new(threads: usize, started: impl Fn(usize) + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            scratch: (1..threads).map(|_| Mutex::default()).collect(),
            ..Shared::default()
        });
        let started = Arc::new(started);
        let spawn = |index: usize| {
            let (shared, started) = (shared.clone(), started.clone());
            let worker = thread::Builder::new().name(format!("wink-{index}"));
            let serve = move || {
                NUMBER.set(index);
                started(index);
                shared.serve();
            };
            worker.spawn(serve).ok()
        };
        Self {
            workers: (1..threads).map_while(spawn).collect(),
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

    /// Keeps the workers spinning for as long as the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        if self.shared.awake.0.fetch_add(1, Ordering::SeqCst) == 0 {
            for worker in &self.workers {
                worker.thread().unpark();
            }
        }
        Awake(self)
    }

    /// Calls `work` once for each number below `pieces`, on this thread and on the workers, and returns when all are done.
    ///
    /// # Panics
    /// When `work` does, or where there are more than 65535 pieces.
    pub fn run(&self, pieces: usize, work: &(dyn Fn(usize) + Sync)) {
        let alone = || (0..pieces).for_each(work);
        if self.workers.is_empty() || pieces < 2 {
            return alone();
        }
        match self.caller.try_lock() {
            Ok(_caller) => self.shared.run(pieces, work),
            Err(_) => alone(),
        }
    }

    /// [`Pool::run`] with `floats` floats of scratch memory for each piece; what they hold is whatever was there. The caller makes
    /// them for all threads, and they are kept: whichever thread does a piece later need not.
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
        if let Ok(_caller) = self.caller.try_lock() {
            for scratch in &self.shared.scratch {
                grow(
                    &mut scratch.lock().unwrap_or_else(PoisonError::into_inner),
                    floats,
                );
            }
        }
        self.run(pieces, &|piece| {
            let of_worker = NUMBER.get().checked_sub(1);
            match of_worker.and_then(|index| self.shared.scratch.get(index)) {
                None => OWN.with_borrow_mut(|own| work(piece, &mut own[..floats])),
                Some(scratch) => {
                    let mut scratch = scratch.lock().unwrap_or_else(PoisonError::into_inner);
                    // Another caller may have had the pool meanwhile, with less.
                    grow(&mut scratch, floats);
                    work(piece, &mut scratch[..floats]);
                }
            }
        });
    }
}

fn grow(scratch: &mut Vec<f32>, floats: usize) {
    if scratch.len() < floats {
        scratch.resize(floats, 0.0);
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.shared.awake.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
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

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Lone<T>(T);

#[derive(Default)]
struct Shared {
    /// What is to be done: may be read by whoever has claimed a piece.
    work: UnsafeCell<Option<*const Work<'static>>>,
    ticket: Lone<Ticket>,
    finished: Lone<AtomicUsize>,
    /// Callers that are in the middle of an inference.
    awake: Lone<AtomicUsize>,
    /// Scratch memory of each worker.
    scratch: Vec<Mutex<Vec<f32>>>,
    panicked: AtomicBool,
    closed: AtomicBool,
}

// SAFETY: `work` is written by one caller at a time, while no piece is unclaimed or unfinished; it is read between the claim of a
// piece and its end. What it points to is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    /// The caller's side. Only one thread at a time may be in here: [`Pool::run`] holds the lock.
    fn run(&self, pieces: usize, work: &Work<'_>) {
        // SAFETY: only the lifetime changes. The pointer is followed while a piece is claimed and unfinished, and this function
        // does not return before all are finished.
        let work: *const Work<'static> = unsafe { std::mem::transmute(std::ptr::from_ref(work)) };
        // SAFETY: every piece of the job before was claimed and is finished, so nobody reads it.
        unsafe { *self.work.get() = Some(work) };
        self.finished.0.store(0, Ordering::Relaxed);
        self.ticket.0.issue(pieces);
        let mut own_panic = None;
        while let Some(piece) = self.ticket.0.claim() {
            own_panic = self.piece(piece).or(own_panic);
        }
        let mut spins = 0;
        while self.finished.0.load(Ordering::Acquire) < pieces {
            wait(&mut spins);
        }
        if let Some(panic) = own_panic {
            self.panicked.store(false, Ordering::Relaxed);
            resume_unwind(panic);
        }
        assert!(
            !self.panicked.swap(false, Ordering::Relaxed),
            "a worker of the pool panicked"
        );
    }

    /// A worker's life.
    fn serve(&self) {
        let mut spins = 0;
        while !self.closed.load(Ordering::Relaxed) {
            if let Some(piece) = self.ticket.0.claim() {
                self.piece(piece);
                spins = 0;
            } else if self.awake.0.load(Ordering::SeqCst) == 0 {
                // Whoever raises `awake` or `closed` afterwards unparks.
                thread::park();
            } else {
                wait(&mut spins);
            }
        }
    }

    /// Does a piece that this thread has claimed; the panic, if there was one.
    fn piece(&self, piece: usize) -> Option<Box<dyn std::any::Any + Send>> {
        // SAFETY: the claim saw the ticket that was issued after `work` was written, and the caller waits for this piece.
        let work = unsafe { (*self.work.get()).map(|work| &*work) };
        let done = catch_unwind(AssertUnwindSafe(|| work.map(|work| work(piece))));
        if done.is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
        self.finished.0.fetch_add(1, Ordering::Release);
        done.err()
    }
}

fn wait(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(SPINS) {
        thread::yield_now();
    } else {
        spin_loop();
    }
}

/// Number of the job (32 bits), its pieces (16 bits) and how many of them are claimed (16 bits).
#[derive(Default)]
struct Ticket(AtomicU64);

impl Ticket {
    const BITS: u32 = 16;

    fn issue(&self, pieces: usize) {
        let count = u16::try_from(pieces);
        let count = count.unwrap_or_else(|_| panic!("{pieces} pieces: at most 65535"));
        let job = (self.0.load(Ordering::Relaxed) >> (2 * Self::BITS)).wrapping_add(1);
        let ticket = (job << (2 * Self::BITS)) | (u64::from(count) << Self::BITS);
        self.0.store(ticket, Ordering::Release);
    }

    /// A piece of the job that is going on. That its number is part of the ticket keeps a thread that looked at the job before
    /// from claiming a piece of this one unawares.
    fn claim(&self) -> Option<usize> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let next = seen & u64::from(u16::MAX);
            if next >= (seen >> Self::BITS) & u64::from(u16::MAX) {
                return None;
            }
            let exchanged =
                self.0
                    .compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
            match exchanged {
                Ok(_) => return usize::try_from(next).ok(),
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn each_piece_is_done_once() {
        let pool = Pool::new(4, |_| {});
        let _awake = pool.awake();
        for pieces in (0..200).cycle().take(5000) {
            let counts: Vec<AtomicU32> = (0..pieces).map(|_| AtomicU32::new(0)).collect();
            pool.run(pieces, &|piece| {
                counts[piece].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                counts
                    .iter()
                    .all(|count| count.load(Ordering::Relaxed) == 1)
            );
        }
    }

    #[test]
    fn callers_do_not_wait_for_each_other() {
        let pool = Pool::new(3, |_| {});
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _awake = pool.awake();
                    for _ in 0..500 {
                        let sum = AtomicUsize::new(0);
                        pool.run(17, &|piece| {
                            sum.fetch_add(piece, Ordering::Relaxed);
                        });
                        assert_eq!(sum.load(Ordering::Relaxed), 136);
                    }
                });
            }
        });
    }

    #[test]
    fn every_piece_has_scratch_of_its_own() {
        let pool = Pool::new(3, |_| {});
        let _awake = pool.awake();
        for floats in [10, 1000, 3] {
            let done = AtomicUsize::new(0);
            pool.run_with(64, floats, &|piece, scratch| {
                assert_eq!(scratch.len(), floats);
                scratch.fill(piece as f32);
                thread::yield_now();
                assert!(scratch.iter().all(|&x| x == piece as f32));
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.load(Ordering::Relaxed), 64);
        }
        let made = pool
            .shared
            .scratch
            .iter()
            .map(|scratch| scratch.lock().unwrap().len());
        assert!(made.eq([1000, 1000]), "whether or not they did a piece");
    }

    #[test]
    fn asleep_the_caller_does_all() {
        let pool = Pool::new(2, |_| {});
        let sum = AtomicUsize::new(0);
        pool.run(100, &|piece| {
            sum.fetch_add(piece, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 4950);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let pool = Pool::new(2, |_| {});
        let _awake = pool.awake();
        let broken = catch_unwind(AssertUnwindSafe(|| {
            pool.run(8, &|piece| assert!(piece != 5, "as told"));
        }));
        assert!(broken.is_err());
        let count = AtomicUsize::new(0);
        pool.run(8, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn workers_are_told_their_number() {
        let seen = Arc::new(Mutex::new(vec![]));
        let record = seen.clone();
        let pool = Pool::new(3, move |index| {
            record.lock().expect("no panic").push(index);
        });
        assert_eq!(pool.threads(), 3);
        drop(pool);
        let mut seen = seen.lock().expect("no panic").clone();
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
    }
}
