//! What stalls for a while: the arm holds, the cause is counted, and nothing leaps when it goes on.

use wink_firmware::wire::{HoldReason, State};
use wink_runtime::arm::ArmClientError;
use wink_runtime::camera::CameraError;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::session::{LateTicks, RuntimeError, Timing};

use crate::mock::Constant;
use crate::{AHEAD, Driven, charged, chunks_of_8};

fn looking() -> Constant {
    Constant {
        looks: true,
        ..chunks_of_8(AHEAD)
    }
}

/// The furthest move of a joint from one firmware tick to the next where nothing stalls.
fn leap_undisturbed(timing: Timing) -> f32 {
    let mut driven = Driven::begun(looking(), timing);
    driven.run(40);
    driven.board.borrow().servos.leap
}

/// Not further than undisturbed, but for the steps that inverse kinematics makes longer elsewhere.
fn assert_no_leap(driven: &Driven, timing: Timing) {
    let (leap, most) = (driven.board.borrow().servos.leap, leap_undisturbed(timing));
    assert!(leap > 0.0 && leap <= 1.1 * most, "{leap} of {most}");
}

fn state(driven: &Driven) -> (State, HoldReason) {
    let board = driven.board.borrow();
    (board.core.state(), board.core.hold_reason())
}

/// Longer than the firmware waits for a setpoint, so that it holds by itself and goes on with the next.
#[test]
fn a_camera_that_stalls_makes_the_arm_hold_and_go_on() {
    for latency_us in [0, 100_000] {
        let timing = || charged(SchedulerKind::Synchronous, latency_us);
        let mut driven = Driven::begun(looking(), timing());
        driven.run(10);
        let before = *driven.session.late();
        driven.board.borrow_mut().capture_us = 300_000;
        while !driven.run(1).captured {}
        // Where the setpoint needs the very frame, it has been sent by now, and the arm goes on.
        let waits = latency_us > 0;
        let expected = match waits {
            true => (State::Holding, HoldReason::Starved),
            false => (State::Armed, HoldReason::None),
        };
        assert_eq!(state(&driven), expected);
        assert_eq!(driven.board.borrow().core.counters().starved, 1);
        let held = driven.servos();
        driven.board.borrow_mut().capture_us = 0;
        driven.run(20);
        assert_eq!(driven.session.late().camera, before.camera + 1);
        assert_eq!(driven.session.late().link, before.link);
        assert_eq!(state(&driven).0, State::Armed);
        assert_ne!(driven.servos(), held);
        assert_no_leap(&driven, timing());
    }
}

#[test]
fn a_frame_that_is_too_old_ends_the_episode_and_the_arm_holds() {
    let mut driven = Driven::begun(looking(), Timing::instant());
    driven.run(12);
    driven.board.borrow_mut().frame_age_us = 400_000;
    driven.run(8);
    driven.board.borrow_mut().frame_age_us = 600_000;
    let error = driven.error_within(8).unwrap();
    assert!(
        matches!(
            &error,
            RuntimeError::Camera(CameraError::Stale {
                camera,
                age_us: 600_000,
                ..
            }) if camera == "observation.images.front"
        ),
        "{error}"
    );
    assert_eq!(driven.session.late().camera, 1);
    driven.pass(500_000);
    assert_eq!(state(&driven), (State::Holding, HoldReason::Commanded));
    assert_no_leap(&driven, Timing::instant());
}

/// Messages are lost for a while, shorter than is given up for.
#[test]
fn a_link_that_is_gone_for_100_ms_is_gone_on_with() {
    let mut driven = Driven::begun(looking(), Timing::instant());
    driven.run(10);
    driven.board.borrow_mut().cut_off = true;
    driven.run(2);
    driven.board.borrow_mut().cut_off = false;
    driven.run(20);
    assert_eq!(state(&driven).0, State::Armed);
    assert_eq!(*driven.session.late(), LateTicks::default());
}

#[test]
fn a_link_that_is_gone_for_200_ms_ends_the_episode_and_the_arm_holds_by_itself() {
    let timing = || charged(SchedulerKind::Naive, 100_000);
    let mut driven = Driven::begun(looking(), timing());
    driven.run(10);
    let before = *driven.session.late();
    driven.board.borrow_mut().cut_off = true;
    let error = driven.error_within(5).unwrap();
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::TelemetryLost { .. })
        ),
        "{error}"
    );
    driven.pass(50_000);
    // The command to hold is lost, too.
    assert_eq!(state(&driven), (State::Holding, HoldReason::Starved));
    let held = driven.servos();
    driven.board.borrow_mut().cut_off = false;
    driven.pass(1_000_000);
    assert_eq!(driven.servos(), held);
    let expected = LateTicks {
        link: before.link + 1,
        ..before
    };
    assert_eq!(*driven.session.late(), expected);
    driven.session.begin("again").unwrap();
    driven.run(20);
    assert_ne!(driven.servos(), held);
    assert_no_leap(&driven, timing());
}

#[test]
fn a_link_that_blocks_is_counted_and_gone_on_with() {
    let mut driven = Driven::begun(looking(), Timing::instant());
    driven.run(10);
    driven.board.borrow_mut().write_us = 200_000;
    assert!(driven.run(1).overrun);
    driven.board.borrow_mut().write_us = 0;
    driven.run(20);
    let expected = LateTicks {
        link: 1,
        ..LateTicks::default()
    };
    assert_eq!(*driven.session.late(), expected);
    assert_eq!(state(&driven).0, State::Armed);
    assert_no_leap(&driven, Timing::instant());
}
