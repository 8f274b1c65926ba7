//! The system's allocator, counting what it is asked for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static OF_THIS_THREAD: Cell<usize> = const { Cell::new(0) };
}

static OF_ALL_THREADS: AtomicUsize = AtomicUsize::new(0);

/// Allocations and growths so far: of this thread, and of all.
pub fn allocations() -> (usize, usize) {
    (OF_THIS_THREAD.get(), OF_ALL_THREADS.load(Ordering::SeqCst))
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged; counting touches no memory
// of it. (What `GlobalAlloc` has for zeroed and grown memory comes back to `alloc`.)
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        OF_THIS_THREAD.set(OF_THIS_THREAD.get() + 1);
        OF_ALL_THREADS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
