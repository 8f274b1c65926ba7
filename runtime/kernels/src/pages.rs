//! Memory for weights and values: in huge pages where the system has them, since a page of 4 KB holds no more than a line or two of
//! each panel, and looking up pages then takes a fifth of a product's time.

use std::alloc::{Layout, alloc, dealloc};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A huge page of x86-64, and of aarch64 with pages of 4 KB. Where it is another, the advice does nothing.
const HUGE: usize = 2 << 20;
/// What small weights share.
const BLOCK: usize = 4 * HUGE;
/// What memory starts at a multiple of: a cache line.
const LINE: usize = 64;

/// Zeroed bytes that start at a cache line.
#[derive(Debug)]
pub struct Pages {
    block: Arc<Block>,
    /// No other has bytes of this range.
    at: Range<usize>,
}

impl Pages {
    /// Memory that is freed together with that of others that were made at about the same time: weights, which a graph packs one
    /// after the other and drops at once. `None` where there is none.
    #[must_use]
    pub fn shared(bytes: usize) -> Option<Self> {
        static CURRENT: Mutex<Shared> = Mutex::new(Shared {
            block: Weak::new(),
            used: 0,
        });
        let taken = bytes.checked_next_multiple_of(LINE)?;
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let block = match current.block.upgrade() {
            Some(block) if block.layout.size() - current.used >= taken => block,
            // The rest of a block is of use to others yet.
            _ if taken >= BLOCK => return Self::alone(bytes),
            _ => {
                let block = Block::new(BLOCK)?;
                current.block = Arc::downgrade(&block);
                current.used = 0;
                block
            }
        };
        let start = current.used;
        current.used += taken;
        drop(current);
        Some(Self::cleared(block, start..start + bytes))
    }

    /// Memory that is freed when this value is dropped. `None` where there is none.
    #[must_use]
    pub fn alone(bytes: usize) -> Option<Self> {
        let block = Block::new(bytes.max(1))?;
        Some(Self::cleared(block, 0..bytes))
    }

    fn cleared(block: Arc<Block>, at: Range<usize>) -> Self {
        // SAFETY: the range lies in the block, and nobody else has it.
        unsafe { block.start.add(at.start).write_bytes(0, at.len()) };
        Self { block, at }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the range lies in the block and was written; only `bytes_mut`, which borrows this value, changes it.
        unsafe {
            std::slice::from_raw_parts(self.block.start.add(self.at.start).as_ptr(), self.at.len())
        }
    }

    /// The same to be written.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and no other value has this range.
        unsafe {
            let start = self.block.start.add(self.at.start);
            std::slice::from_raw_parts_mut(start.as_ptr(), self.at.len())
        }
    }
}

/// The block that is handed out, and how much of it is. It is freed when nothing of it is used any more.
struct Shared {
    block: Weak<Block>,
    used: usize,
}

#[derive(Debug)]
struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block is memory alone, of which each owner touches another range.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// `size` is not 0.
    fn new(size: usize) -> Option<Arc<Self>> {
        let align = if size < HUGE { LINE } else { HUGE };
        let layout = Layout::from_size_align(size, align).ok()?;
        // SAFETY: the layout has a size: the callers ask for one byte at least.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        advise(start, size);
        Some(Arc::new(Self { start, layout }))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Asks for huge pages where whole ones are used.
fn advise(start: NonNull<u8>, size: usize) {
    const MADV_HUGEPAGE: i32 = 14;
    let whole = size / HUGE * HUGE;
    if whole > 0 {
        // SAFETY: the advice changes no value.
        unsafe { madvise(start.as_ptr(), whole, MADV_HUGEPAGE) };
    }
}

/// Moves values that are there already to huge pages, where the system can (Linux 6.1).
pub(crate) fn collapse<T>(values: &[T]) {
    const MADV_COLLAPSE: i32 = 25;
    if size_of_val(values) < HUGE {
        return;
    }
    let bytes = values.as_ptr_range();
    let start = bytes.start.addr() / HUGE * HUGE;
    let end = bytes.end.addr().next_multiple_of(HUGE);
    for page in (start..end).step_by(HUGE) {
        let page = bytes.start.with_addr(page).cast_mut().cast();
        // SAFETY: the advice changes no value, of neighbours in these pages neither.
        unsafe { madvise(page, HUGE, MADV_COLLAPSE) };
    }
}

/// Advises the system on memory. What it refuses stays as it is.
///
/// # Safety
/// The advice must change no value.
#[cfg(target_os = "linux")]
unsafe fn madvise(start: *mut u8, size: usize, advice: i32) {
    mod libc {
        unsafe extern "C" {
            pub(super) fn madvise(start: *mut u8, size: usize, advice: i32) -> i32;
        }
    }
    // SAFETY: the system checks the range; by the caller's promise nothing in it changes.
    let _refused = unsafe { libc::madvise(start, size, advice) };
}

/// Other systems are not asked.
///
/// # Safety
/// As above.
#[cfg(not(target_os = "linux"))]
unsafe fn madvise(_: *mut u8, _: usize, _: i32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_zeroed_aligned_and_apart() {
        let sizes = [0, 1, 64, 1000, HUGE, BLOCK - 1, BLOCK, BLOCK + 1];
        let alone = sizes.map(Pages::alone);
        let shared = sizes.map(Pages::shared);
        let mut all: Vec<Pages> = alone.into_iter().chain(shared).flatten().collect();
        assert_eq!(all.len(), 2 * sizes.len());
        for (pages, size) in all.iter().zip(sizes.iter().cycle()) {
            assert_eq!(pages.bytes().len(), *size);
            assert_eq!(pages.bytes().as_ptr().addr() % LINE, 0);
            assert!(pages.bytes().iter().all(|&byte| byte == 0));
        }
        for (pages, value) in all.iter_mut().zip(1..) {
            pages.bytes_mut().fill(value);
        }
        for (pages, value) in all.iter().zip(1..) {
            assert!(pages.bytes().iter().all(|&byte| byte == value));
        }
    }

    #[test]
    fn memory_that_is_used_again_is_zeroed_again() {
        for _ in 0..4 {
            let mut pages = Pages::shared(BLOCK).expect("memory");
            assert!(pages.bytes().iter().all(|&byte| byte == 0));
            pages.bytes_mut().fill(7);
        }
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert!(Pages::alone(usize::MAX).is_none());
        assert!(Pages::shared(usize::MAX - LINE).is_none());
    }
}
