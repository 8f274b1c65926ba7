//! Buffers and threads that the fused ops of a thread share, so that nothing but outputs is allocated after the first inference.

use std::cell::RefCell;
use std::sync::Arc;

use wink_kernels::{Activations, PackedFloats, Pool};

/// What an op may use while it runs.
pub(super) struct Scratch {
    pub(super) activations: Activations,
    pub(super) bytes: Vec<u8>,
    pub(super) floats: Vec<f32>,
    pub(super) sums: Vec<f32>,
    /// One for each size that was met.
    pub(super) panels: Vec<PackedFloats>,
    pub(super) pool: Arc<Pool>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        activations: Activations::new(),
        bytes: Vec::new(),
        floats: Vec::new(),
        sums: Vec::new(),
        panels: Vec::new(),
        pool: Arc::new(Pool::alone()),
    });
}

/// Lends the thread's buffers to `work`. Ops do not nest.
pub(super) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(work)
}

/// The ops that this thread runs in `work` share their work with the pool, which spins meanwhile.
pub(crate) fn with_pool<R>(pool: &Arc<Pool>, work: impl FnOnce() -> R) -> R {
    let _before = Before(with(|scratch| {
        std::mem::replace(&mut scratch.pool, pool.clone())
    }));
    let _awake = pool.awake();
    work()
}

/// Gives the thread its pool back, also when an op panicked.
struct Before(Arc<Pool>);

impl Drop for Before {
    fn drop(&mut self) {
        with(|scratch| std::mem::swap(&mut scratch.pool, &mut self.0));
    }
}
