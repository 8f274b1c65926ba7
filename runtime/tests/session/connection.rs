//! Connecting, arming, beginning and ending: what is refused, and with which words.

use wink_firmware::wire::{Capabilities, Fault, PROTOCOL_VERSION, State};
use wink_runtime::arm::{ArmClient, ArmClientError, Target};
use wink_runtime::session::RuntimeError;

use crate::mock::{self, Constant, MockBoard};
use crate::{Driven, GRIPPER, STILL};
use wink_runtime::clock::Clock;
use wink_runtime::session::Timing;

const WIRE_JOINTS: usize = 7;

fn still_on(board: MockBoard) -> Driven {
    Driven::new(board, Constant::new(STILL))
}

#[test]
fn connecting_arms_and_moves_nothing() {
    for board_ahead_us in [0, 3_600_000_000] {
        let mut board = MockBoard::new();
        board.board_ahead_us = board_ahead_us;
        let mut driven = still_on(board);
        let before = driven.servos();
        driven.session.connect().unwrap();
        {
            let board = driven.board.borrow();
            assert_eq!(
                (board.core.state(), board.servos.torque),
                (State::Armed, true)
            );
        }
        assert_eq!(driven.servos(), before);
        let hello = driven.session.client().hello();
        assert_eq!(hello.map(|hello| hello.version), Some(PROTOCOL_VERSION));
        // Once more, as a program does that was restarted.
        driven.session.connect().unwrap();
        assert_eq!(driven.board.borrow().core.state(), State::Armed);
    }
}

#[test]
fn a_board_that_was_flashed_for_something_else_is_refused() {
    let good = mock::arm().firmware_config();
    let mut other = good.clone();
    other.description_hash ^= 1;
    let error = still_on(MockBoard::with_config(other))
        .session
        .connect()
        .unwrap_err();
    assert!(
        matches!(error, RuntimeError::Arm(ArmClientError::Description { .. })),
        "{error}"
    );

    let mut other = good.clone();
    other.joints.pop();
    other.guards.pop();
    let mut board = MockBoard::with_config(other);
    board.servos.positions.pop();
    let mut driven = still_on(board);
    let error = driven.session.connect().unwrap_err();
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::Joints {
                board: 6,
                host: WIRE_JOINTS
            })
        ),
        "{error}"
    );
    assert_eq!(driven.board.borrow().core.state(), State::Disarmed);

    let mut unknown = good;
    unknown.description_hash = 0;
    let mut driven = still_on(MockBoard::with_config(unknown));
    driven.session.connect().unwrap();
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let good = mock::arm().firmware_config();
    let mut other = good.clone().named("so101", "pico");
    other.description_hash = 0x0123_4567;
    let mut driven = still_on(MockBoard::with_config(other));
    let error = driven.session.connect().unwrap_err().to_string();
    assert!(
        error.starts_with(
            "the board was flashed for the arm \"so101\" (01234567), this program drives \"wx250s\" ("
        ),
        "{error}"
    );
    // The board thinks the same of this host.
    assert_eq!(driven.board.borrow().core.state(), State::Disarmed);
    let mut client = ArmClient::new(&mock::arm());
    let mut board = MockBoard::with_config(good.named("wx250s", "pico"));
    client.greet(&mut board, 1_000_000).unwrap();
    assert_eq!(
        board.core.state(),
        State::Disarmed,
        "a greeting does not arm"
    );
    assert!(client.check_capabilities(Capabilities::STALL_GUARD).is_ok());
    let mut blind = mock::arm().firmware_config();
    blind.feedback = false;
    client
        .greet(&mut MockBoard::with_config(blind), 1_000_000)
        .unwrap();
    let error = client
        .check_capabilities(Capabilities::FEEDBACK)
        .unwrap_err();
    assert!(error.to_string().contains("lacks \"feedback\""), "{error}");
}

#[test]
fn a_board_that_does_not_answer_is_waited_for_and_no_longer() {
    let mut board = MockBoard::new();
    board.mute = true;
    let mut driven = still_on(board);
    let error = driven.session.connect().unwrap_err();
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::NoAnswer {
                waited_us: 2_000_000,
                ..
            })
        ),
        "{error}"
    );
    let now_us = driven.board.now_us();
    assert!((2_000_000..2_200_000).contains(&now_us), "{now_us}");
    let error = driven.session.begin("pick").unwrap_err();
    assert!(
        matches!(error, RuntimeError::Arm(ArmClientError::NotConnected)),
        "{error}"
    );
}

#[test]
fn a_board_in_a_fault_is_not_armed_until_it_is_cleared() {
    let mut driven = still_on(MockBoard::new());
    driven.session.connect().unwrap();
    driven.board.borrow_mut().servos.broken = true;
    driven.pass(500_000);
    let error = driven.session.connect().unwrap_err();
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::Fault {
                fault: Fault::ServoRead
            })
        ),
        "{error}"
    );
    assert_eq!(driven.board.borrow().core.state(), State::Fault);

    driven.board.borrow_mut().servos.broken = false;
    driven.session.connect().unwrap_err();
    driven.session.clear_fault().unwrap();
    driven.session.connect().unwrap();
    assert_eq!(driven.board.borrow().core.state(), State::Armed);
}

#[test]
fn a_board_that_never_read_its_servos_is_not_armed() {
    let mut config = mock::arm().firmware_config();
    config.fault_after_failures = u32::MAX;
    let mut board = MockBoard::with_config(config);
    board.servos.broken = true;
    let error = still_on(board).session.connect().unwrap_err();
    assert!(
        matches!(error, RuntimeError::Arm(ArmClientError::NotMeasured)),
        "{error}"
    );
}

#[test]
fn a_client_that_disarmed_arms_anew() {
    let mut board = MockBoard::new();
    let mut client = ArmClient::new(&mock::arm());
    client.connect(&mut board, 1_000_000).unwrap();
    client.disarm(&mut board).unwrap();
    let targets = client.positions().unwrap();
    let refused = client.send_setpoint(&mut board, 0, 50_000, &targets, Target::New);
    assert!(matches!(refused, Err(ArmClientError::NotConnected)));
    client.arm(&mut board, 1_000_000).unwrap();
    assert_eq!(board.core.state(), State::Armed);
    let mut broken = targets;
    broken[2] = f64::NAN;
    let refused = client.send_setpoint(&mut board, 0, 50_000, &broken, Target::New);
    assert!(matches!(
        refused,
        Err(ArmClientError::NotFinite { joint: 2 })
    ));
    assert_eq!(client.counters().setpoints, 0);
}

#[test]
fn round_trip_and_clock_offset_are_measured_along_the_way() {
    let mut board = MockBoard::new();
    board.board_ahead_us = 7_000_000;
    let mut driven = Driven::begun_on(board, Constant::new(STILL), Timing::instant());
    driven.run(40);
    let client = driven.session.client();
    let trips = client.round_trip();
    assert!((7..=9).contains(&trips.count), "{trips:?}");
    let wrong_us = trips.clock_offset_us.abs_diff(7_000_000);
    assert!(wrong_us <= trips.clock_error_us, "{trips:?}");
    assert!(trips.most_us <= 50_000, "read at the next tick: {trips:?}");
    assert_eq!(client.counters().lost, 0);
    assert!(client.health().is_some());
}

#[test]
fn an_instruction_that_the_policy_refuses_begins_nothing() {
    let mut driven = still_on(MockBoard::new());
    driven.session.connect().unwrap();
    assert!(matches!(
        driven.session.begin(""),
        Err(RuntimeError::Policy(_))
    ));
    assert!(matches!(
        driven.session.tick(),
        Err(RuntimeError::NoEpisode)
    ));
}

#[test]
fn ending_an_episode_holds_and_the_next_goes_on_from_there() {
    let fast = Constant::new([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let mut driven = Driven::begun(fast, Timing::instant());
    driven.run(10);
    driven.session.end().unwrap();
    assert!(matches!(
        driven.session.tick(),
        Err(RuntimeError::NoEpisode)
    ));
    driven.pass(500_000);
    let held = driven.servos();
    driven.tell(|policy| policy.action = STILL);
    driven.session.begin("again").unwrap();
    let report = driven.run(3);
    for (measured, held) in report.measured.iter().zip(&held).take(GRIPPER) {
        assert!(
            (measured - f64::from(*held)).abs() < 1e-4,
            "{:?}",
            report.measured
        );
    }
}
