//! The pool under loom, which tries the interleavings of its threads and the values that weak memory allows:
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p wink-kernels --lib --release --target-dir target/loom pool::model`

use loom::model::Builder;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Pool;
use super::sync::thread;

/// Interleavings with at most so many switches away from a thread that could go on.
const PREEMPTIONS: usize = 3;

fn check(of: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(of);
}

/// Two jobs after each other: a late worker must not take a piece of the second one as one of the first, each piece is done once,
/// and what pieces wrote is visible to the caller (loom tracks the cells).
#[test]
fn each_piece_is_done_once_and_seen_by_the_caller() {
    check(|| {
        let pool = Pool::new(2, |_| {});
        let _awake = pool.awake();
        for job in 0..2 {
            let done = [(); 2].map(|()| loom::cell::Cell::new(0));
            let done = Done(done);
            pool.run(2, &|piece| done.add(piece));
            assert_eq!(done.counts(), [1, 1], "job {job}");
        }
    });
}

/// A worker that is about to park when it is woken must not sleep: the caller's piece waits for the worker's.
#[test]
fn no_wake_up_is_lost() {
    check(|| {
        let pool = Pool::new(2, |_| {});
        for _ in 0..2 {
            let _awake = pool.awake();
            let started = loom::sync::atomic::AtomicUsize::new(0);
            pool.run(2, &|_| {
                started.fetch_add(1, Ordering::SeqCst);
                while started.load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
            });
        }
    });
}

/// Workers that sleep, spin or are about to do either end when the pool is dropped.
#[test]
fn a_dropped_pool_ends_its_workers() {
    check(|| {
        let pool = Pool::new(2, |_| {});
        drop(pool.awake());
    });
}

/// Two callers: one has the worker, the other does its pieces alone.
#[test]
fn callers_do_not_share_a_job() {
    check(|| {
        let pool = std::sync::Arc::new(Pool::new(2, |_| {}));
        let other = pool.clone();
        let both = move |pool: &Pool| {
            let sum = AtomicUsize::new(0);
            pool.run(2, &|piece| {
                sum.fetch_add(piece + 1, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), 3);
        };
        let second = thread::spawn(move || both(&other));
        let _awake = pool.awake();
        both(&pool);
        second.join().expect("no panic");
    });
}

/// Counters without synchronisation of their own.
struct Done([loom::cell::Cell<u32>; 2]);

// SAFETY: loom reports accesses that are not ordered.
unsafe impl Sync for Done {}

impl Done {
    fn add(&self, piece: usize) {
        self.0[piece].set(self.0[piece].get() + 1);
    }

    fn counts(&self) -> [u32; 2] {
        [self.0[0].get(), self.0[1].get()]
    }
}
