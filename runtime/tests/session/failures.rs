//! What fails ends the episode by name, is counted by its cause, and the arm holds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wink_firmware::wire::{Command, Fault, HoldReason, HostHello, HostMessage, State, encode_host};
use wink_runtime::arm::{ArmClientError, Link};
use wink_runtime::control::ControlError;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::rig::Shared;
use wink_runtime::session::{LateTicks, RuntimeError, Timing};

use crate::mock::{Constant, MockBoard};
use crate::slow::Slow;
use crate::{AHEAD, Driven, STILL, charged, chunks_of_8, session_of};

/// Whether the firmware holds because it was told to, and the servos do not move any more.
fn assert_holds(driven: &Driven) {
    driven.pass(500_000);
    let held = driven.servos();
    driven.pass(1_000_000);
    assert_eq!(driven.servos(), held);
    let board = driven.board.borrow();
    assert_eq!(
        (board.core.state(), board.core.hold_reason()),
        (State::Holding, HoldReason::Commanded)
    );
    assert!(board.servos.torque);
}

#[test]
fn silence_of_the_board_ends_the_episode_and_the_arm_holds() {
    let mut driven = Driven::begun(Constant::new(AHEAD), Timing::instant());
    driven.run(5);
    driven.board.borrow_mut().mute = true;
    let error = driven.error_within(5).expect("the silence is noticed");
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::TelemetryLost {
                silent_us: 150_001..
            })
        ),
        "{error}"
    );
    assert_eq!(driven.session.late().link, 1);
    assert_holds(&driven);
    // The wire is back: a new episode begins.
    driven.board.borrow_mut().mute = false;
    driven.session.begin("again").unwrap();
    driven.run(5);
}

#[test]
fn a_policy_that_gives_nan_is_refused_by_name_and_the_arm_holds() {
    for timing in [
        Timing::instant(),
        charged(SchedulerKind::Asynchronous, 100_000),
    ] {
        let mut driven = Driven::begun(chunks_of_8(AHEAD), timing);
        driven.run(6);
        let before = *driven.session.late();
        driven.tell(|policy| policy.action[4] = f32::NAN);
        let error = driven.error_within(20).unwrap();
        assert!(
            matches!(
                &error,
                RuntimeError::Control(ControlError::NotFinite {
                    step: Some(0),
                    name,
                    ..
                }) if name == "dpitch"
            ),
            "{error}"
        );
        let expected = LateTicks {
            policy: before.policy + 1,
            ..before
        };
        assert_eq!(*driven.session.late(), expected);
        assert!(matches!(
            driven.session.tick(),
            Err(RuntimeError::NoEpisode)
        ));
        assert_holds(&driven);
        // What is under way for the old episode is thrown away.
        driven.tell(|policy| policy.action = STILL);
        driven.session.begin("again").unwrap();
        let reports = driven.ticks(6);
        let first = reports.iter().find_map(|report| report.step).unwrap();
        assert_eq!(first.action, STILL);
        assert_eq!(driven.board.borrow().core.state(), State::Armed);
    }
}

#[test]
fn beginning_right_after_an_error_arms_anew() {
    let mut driven = Driven::begun(Constant::new([f32::NAN; 7]), Timing::instant());
    driven.session.tick().unwrap_err();
    driven.tell(|policy| policy.action = STILL);
    driven.session.begin("again").unwrap();
    driven.run(5);
    assert_eq!(driven.board.borrow().core.state(), State::Armed);
}

#[test]
fn a_policy_that_panics_ends_the_episode_and_the_arm_holds() {
    for latency_us in [0, 100_000] {
        let board = Shared::new(MockBoard::new());
        let panics = Slow {
            constant: chunks_of_8(AHEAD),
            work: Duration::MAX,
        };
        let timing = charged(SchedulerKind::Synchronous, latency_us);
        let mut session = session_of(&board, Box::new(panics), timing).unwrap();
        session.connect().unwrap();
        session.begin("go").unwrap();
        let before = board.borrow().servos.positions.clone();
        let error = (0..8).find_map(|_| session.tick().err()).unwrap();
        assert!(matches!(error, RuntimeError::WorkerGone), "{error}");
        assert!(session.late().policy >= 1);
        assert!(matches!(
            session.begin("again"),
            Err(RuntimeError::WorkerGone)
        ));
        let driven = Driven {
            session,
            board,
            policy: Arc::new(Mutex::new(Constant::new(STILL))),
        };
        assert_holds(&driven);
        assert_eq!(driven.servos(), before, "nothing moved");
    }
}

#[test]
fn a_camera_that_fails_ends_the_episode_and_the_arm_holds() {
    let looking = Constant {
        looks: true,
        ..Constant::new(STILL)
    };
    let mut driven = Driven::begun(looking, Timing::instant());
    driven.run(2);
    driven.board.borrow_mut().blind = true;
    assert!(matches!(
        driven.session.tick(),
        Err(RuntimeError::Camera(_))
    ));
    assert_eq!(driven.session.late().camera, 1);
    assert_holds(&driven);
}

#[test]
fn what_the_board_reports_ends_the_episode_by_name() {
    type Spoil = fn(&mut MockBoard);
    type Expected = fn(&ArmClientError) -> bool;
    let cases: [(&str, Spoil, Expected); 5] = [
        (
            "servos do not answer",
            |board| board.servos.broken = true,
            |error| {
                matches!(
                    error,
                    ArmClientError::Fault {
                        fault: Fault::ServoRead
                    }
                )
            },
        ),
        (
            "disarmed by another",
            |board| intrude(board, Command::Disarm),
            |error| matches!(error, ArmClientError::Disarmed),
        ),
        (
            "another host",
            |board| intrude(board, Command::Hello(HostHello::default())),
            |error| matches!(error, ArmClientError::TakenOver),
        ),
        ("restarted", MockBoard::restart, |error| {
            matches!(error, ArmClientError::Restarted { .. })
        }),
        (
            "unplugged",
            |board| board.unplugged = true,
            |error| matches!(error, ArmClientError::Link(_)),
        ),
    ];
    for (name, spoil, expected) in cases {
        let mut board = MockBoard::new();
        board.board_ahead_us = 10_000_000;
        let mut driven = Driven::begun_on(board, Constant::new(STILL), Timing::instant());
        driven.run(5);
        spoil(&mut driven.board.borrow_mut());
        let error = driven.error_within(10);
        assert!(
            matches!(&error, Some(RuntimeError::Arm(error)) if expected(error)),
            "{name}: {error:?}"
        );
        assert_eq!(driven.session.late().link, 1, "{name}");
    }
}

/// Another program writes to the same board.
fn intrude(board: &mut MockBoard, command: Command) {
    let mut line = [0; 256];
    let count = encode_host(
        &HostMessage {
            seq: 1_000,
            command,
        },
        &mut line,
    )
    .unwrap();
    board.write(&line[..count]).unwrap();
}

#[test]
fn a_guard_that_holds_the_arm_is_named() {
    let mut driven = Driven::begun(Constant::new(STILL), Timing::instant());
    driven.board.borrow_mut().servos.temperature_c = Some(95.0);
    let error = driven.error_within(20).unwrap();
    assert!(error.to_string().contains("a servo is too hot"), "{error}");
    let error = driven.session.begin("again").unwrap_err();
    assert!(error.to_string().contains("a servo is too hot"), "{error}");
    driven.board.borrow_mut().servos.temperature_c = Some(40.0);
    driven.session.begin("again").unwrap();
    driven.run(3);
}
