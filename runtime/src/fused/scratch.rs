//! Buffers that the fused ops of a thread share, so that nothing but outputs is allocated after the first inference.

use std::cell::RefCell;

use wink_kernels::Activations;

/// What an op may use while it runs.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) activations: Activations,
    pub(super) floats: Vec<f32>,
    pub(super) bytes: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Lends the thread's buffers to `work`. Ops do not nest.
pub(super) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(work)
}
