//! The control loop allocates nothing once an episode has begun. Alone in its binary, since it
//! counts every allocation.

mod mock;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mock::{Constant, MockBoard};
use wink_runtime::arm::ArmDescription;
use wink_runtime::control::ControlConfig;
use wink_runtime::episode::ControlLoop;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged; counting touches no memory
// of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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

#[test]
fn ticks_allocate_nothing_after_the_first_chunk() {
    let mut board = MockBoard::new();
    let mut policy = Constant {
        looks: true,
        ..Constant::new([0.1, -0.05, -0.04, 0.0, 0.1, 0.0, 1.0])
    };
    let mut control = ControlLoop::new(ArmDescription::wx250s(), ControlConfig::default());
    control.connect(&mut board).unwrap();
    control
        .begin(&mut board, &mut policy, "pick the block")
        .unwrap();
    for _ in 0..2 {
        control.tick(&mut board, &mut policy).unwrap();
    }
    let before = ALLOCATIONS.get();
    assert!(before > 0, "the counter counts");
    for _ in 0..100 {
        control.tick(&mut board, &mut policy).unwrap();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
