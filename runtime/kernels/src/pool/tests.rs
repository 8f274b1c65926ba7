use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::*;

/// Waits until `done`, at most ten seconds; whether it happened.
fn waits(done: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        if Instant::now() > end {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// Whether as many pieces as the pool has threads are done at the same time.
fn all_threads_work(pool: &Pool) -> bool {
    let _awake = pool.awake();
    let (threads, started) = (pool.threads(), AtomicUsize::new(0));
    let met = AtomicBool::new(true);
    pool.run(threads, &|_| {
        started.fetch_add(1, Ordering::SeqCst);
        if !waits(|| started.load(Ordering::SeqCst) == threads) {
            met.store(false, Ordering::SeqCst);
        }
    });
    met.into_inner()
}

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
fn all_threads_work_at_the_same_time() {
    assert!(all_threads_work(&Pool::new(3, |_| {})));
}

/// The second caller's job must be done, by itself alone, while the first one's is still going on.
#[test]
fn a_caller_does_not_wait_for_another_one() {
    let pool = Pool::new(3, |_| {});
    let (begun, second_done) = (Barrier::new(2), AtomicBool::new(false));
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let _awake = pool.awake();
            let in_time = AtomicBool::new(true);
            pool.run(2, &|piece| {
                if piece == 0 {
                    begun.wait();
                    in_time.store(
                        waits(|| second_done.load(Ordering::SeqCst)),
                        Ordering::SeqCst,
                    );
                }
            });
            in_time.into_inner()
        });
        begun.wait();
        let (this, others) = (thread::current().id(), AtomicUsize::new(0));
        pool.run(17, &|_| {
            if thread::current().id() != this {
                others.fetch_add(1, Ordering::Relaxed);
            }
        });
        second_done.store(true, Ordering::SeqCst);
        assert_eq!(others.into_inner(), 0, "the workers had the first job");
        assert!(first.join().expect("no panic"), "the second caller waited");
    });
}

#[test]
fn many_callers_get_all_their_pieces_done() {
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
    let made = pool.scratch.iter().map(|scratch| lock(scratch).len());
    assert!(
        made.eq([1000 + PANEL; 2]),
        "whether or not they did a piece"
    );
}

#[test]
fn asleep_the_caller_does_all() {
    let pool = Pool::new(3, |_| {});
    let by: Mutex<Vec<ThreadId>> = Mutex::default();
    for _ in 0..50 {
        pool.run(100, &|_| {
            lock(&by).push(thread::current().id());
            thread::yield_now();
        });
    }
    let by = by.into_inner().expect("no panic");
    assert_eq!(by, [thread::current().id(); 5000]);
}

/// Wherever the panic happens, the caller gets it, the other pieces are done, and the next job has all threads again.
#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on_with_all_threads() {
    let pool = Pool::new(3, |_| {});
    for broken in 0..8 {
        let _awake = pool.awake();
        let others = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.run_with(8, 16, &|piece, _| {
                assert!(piece != broken, "piece {piece} is broken");
                others.fetch_add(1, Ordering::Relaxed);
            });
        }));
        let panic = caught.expect_err("a piece panicked");
        let text = panic.downcast::<String>().expect("the text of the panic");
        assert_eq!(*text, format!("piece {broken} is broken"));
        assert_eq!(others.load(Ordering::Relaxed), 7);
        assert!(all_threads_work(&pool), "after a panic in piece {broken}");
    }
}

#[test]
fn too_many_pieces_are_refused_and_the_pool_goes_on() {
    let pool = Pool::new(2, |_| {});
    let caught = catch_unwind(AssertUnwindSafe(|| pool.run(65_536, &|_| {})));
    assert!(caught.is_err());
    assert!(all_threads_work(&pool));
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
