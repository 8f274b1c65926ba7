//! The control loop allocates nothing once an episode has begun. Alone in its binary, since it
//! counts every allocation.

mod counting;
mod mock;

use counting::allocations;
use mock::{Constant, MockBoard};
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::episode::ControlLoop;
use wink_runtime::rig::Shared;
use wink_runtime::session::{Latency, Session, Timing};

/// One test: the other thread's allocations are counted too.
#[test]
fn neither_the_loop_nor_the_worker_allocates_after_the_first_chunks() {
    ticks_allocate_nothing_after_the_first_chunk();
    for kind in SchedulerKind::ALL {
        if !matches!(kind, SchedulerKind::Guided | SchedulerKind::Trained) {
            a_session_allocates_nothing(kind);
        }
    }
}

fn a_session_allocates_nothing(scheduler: SchedulerKind) {
    let board = Shared::new(MockBoard::new());
    let policy = Constant {
        looks: true,
        ..Constant::new([0.01, -0.005, -0.004, 0.0, 0.01, 0.0, 1.0])
    };
    let latency = Latency::charged(60_000);
    let mut session = Session::new(
        mock::arm(),
        mock::control_config(),
        board.rig(),
        Box::new(policy),
        Timing { scheduler, latency },
    )
    .expect("a mock that works");
    session.connect().expect("a mock that works");
    session.begin("pick the block").expect("a mock that works");
    for _ in 0..20 {
        session.tick().expect("a mock that works");
    }
    let (_, before) = allocations();
    for _ in 0..100 {
        session.tick().expect("a mock that works");
    }
    assert_eq!(allocations().1 - before, 0, "{scheduler}");
}

fn ticks_allocate_nothing_after_the_first_chunk() {
    let mut board = MockBoard::new();
    let mut policy = Constant {
        looks: true,
        ..Constant::new([0.1, -0.05, -0.04, 0.0, 0.1, 0.0, 1.0])
    };
    let mut control = ControlLoop::new(mock::arm(), mock::control_config());
    control.connect(&mut board).expect("a mock that works");
    control
        .begin(&mut board, &mut policy, "pick the block")
        .expect("a mock that works");
    for _ in 0..2 {
        control
            .tick(&mut board, &mut policy)
            .expect("a mock that works");
    }
    let (before, _) = allocations();
    assert!(before > 0, "the counter counts");
    for _ in 0..100 {
        control
            .tick(&mut board, &mut policy)
            .expect("a mock that works");
    }
    assert_eq!(allocations().0 - before, 0);
}
