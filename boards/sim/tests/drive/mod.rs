//! Drives the arm of a simulated board with a policy, through a session.

use wink_runtime::policy::Policy;
use wink_runtime::rig::Shared;
use wink_runtime::session::{RuntimeError, Session, TickReport, Timing};
use wink_sim::{Shown, SimBoard};

/// Drives the arm with a policy, which looks at the truth where it is shown. Ticks until a board is `over`, which is asked before each, or its firmware holds the arm.
pub fn drive(
    board: SimBoard,
    instruction: &str,
    (policy, shown): (impl Policy + 'static, Option<Shown>),
    mut over: impl FnMut(&SimBoard) -> bool,
    mut watch: impl FnMut(&SimBoard, &TickReport),
) -> Shared<SimBoard> {
    let setup = board.table().setup;
    let board = Shared::new(board);
    let mut session = Session::new(
        setup.arm(),
        setup.control_config(),
        board.rig(),
        Box::new(policy),
        Timing::instant(),
    )
    .unwrap();
    session.connect().unwrap();
    session.begin(instruction).unwrap();
    while !over(&board.borrow()) {
        if let Some(shown) = &shown {
            shown.show(board.borrow().truth());
        }
        let report = match session.tick() {
            Ok(report) => report,
            Err(RuntimeError::Arm(error)) if error.is_held() => break,
            Err(error) => panic!("{error}"),
        };
        watch(&board.borrow(), &report);
    }
    board
}
