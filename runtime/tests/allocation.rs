//! The control loop allocates nothing once an episode has begun. Alone in its binary, since it
//! counts every allocation.

mod counting;
mod mock;

use counting::allocations;
use mock::{Constant, MockBoard};
use wink_runtime::episode::ControlLoop;

#[test]
fn ticks_allocate_nothing_after_the_first_chunk() {
    let mut board = MockBoard::new();
    let mut policy = Constant {
        looks: true,
        ..Constant::new([0.1, -0.05, -0.04, 0.0, 0.1, 0.0, 1.0])
    };
    let mut control = ControlLoop::new(mock::arm(), mock::control_config());
    control.connect(&mut board).unwrap();
    control
        .begin(&mut board, &mut policy, "pick the block")
        .unwrap();
    for _ in 0..2 {
        control.tick(&mut board, &mut policy).unwrap();
    }
    let (before, _) = allocations();
    assert!(before > 0, "the counter counts");
    for _ in 0..100 {
        control.tick(&mut board, &mut policy).unwrap();
    }
    assert_eq!(allocations().0 - before, 0);
}
