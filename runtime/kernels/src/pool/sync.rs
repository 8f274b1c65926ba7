//! Atomics, cells, locks and threads: the standard library's, or loom's where the pool is model-checked (`--cfg loom`).

#[cfg(loom)]
pub(super) use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize},
    thread::{self, JoinHandle},
};
#[cfg(not(loom))]
pub(super) use std::{
    hint::spin_loop,
    sync::Mutex,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize},
    thread::{self, JoinHandle},
};

/// [`std::cell::UnsafeCell`] with loom's interface.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub fn with<R>(&self, of: impl FnOnce(*const T) -> R) -> R {
        of(self.0.get())
    }

    pub fn with_mut<R>(&self, of: impl FnOnce(*mut T) -> R) -> R {
        of(self.0.get())
    }
}
