//! Frames that are too old or repeat: the arm holds, goes on by itself when they are fresh again in time, else the episode ends.

use wink_firmware::wire::{HoldReason, State};
use wink_runtime::camera::CameraError;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::rig::Shared;
use wink_runtime::session::{RuntimeError, Session, Timing};

use crate::mock::{Constant, MockBoard};
use crate::{AHEAD, Driven, charged, chunks_of_8};

const PATIENCE_US: u64 = 1_000_000;

/// An episode that waits for its cameras, on a camera that streams where it is to.
fn begun(timing: Timing, streams: bool) -> Driven {
    let looking = Constant {
        looks: true,
        ..chunks_of_8(AHEAD)
    };
    let mut board = MockBoard::new();
    board.streams = streams;
    let board = Shared::new(board);
    let policy = std::sync::Arc::new(std::sync::Mutex::new(looking));
    let mut config = crate::mock::control_config();
    config.frame_patience_us = PATIENCE_US;
    config.frozen_after_us = Some(500_000);
    let theirs = Box::new(std::sync::Arc::clone(&policy));
    let session = Session::new(crate::mock::arm(), config, board.rig(), theirs, timing).unwrap();
    let mut driven = Driven {
        session,
        board,
        policy,
    };
    driven.session.connect().unwrap();
    driven.session.begin("pick the block").unwrap();
    driven
}

type Spoil = fn(&mut MockBoard);

/// What goes wrong with a camera that streams, and how it is right again.
const FAULTS: [(&str, Spoil, Spoil); 2] = [
    (
        "old",
        |board| board.frame_age_us = 600_000,
        |board| board.frame_age_us = 0,
    ),
    (
        "frozen",
        |board| board.repeated = 10,
        |board| board.repeated = 0,
    ),
];

#[test]
fn the_arm_holds_at_the_very_tick_and_goes_on_by_itself() {
    for scheduler in [SchedulerKind::Synchronous, SchedulerKind::Asynchronous] {
        for latency_us in [0, 100_000] {
            for (name, spoil, mend) in FAULTS {
                let mut driven = begun(charged(scheduler, latency_us), true);
                driven.run(20);
                let late = driven.session.late().camera;
                spoil(&mut driven.board.borrow_mut());
                let told = driven.run(1).joint_targets;
                for report in driven.ticks(12) {
                    assert_eq!(report.waits_for_camera, Some(0), "{name}");
                    assert_eq!(report.joint_targets, told, "{name}: it holds");
                    assert!(!report.inferred && report.step.is_none(), "{name}");
                }
                assert_eq!(driven.session.late().camera, late + 13, "{name}");
                // Setpoints go on: the firmware does not starve.
                assert_eq!(driven.board.borrow().core.state(), State::Armed);
                let held = driven.servos();
                mend(&mut driven.board.borrow_mut());
                driven.board.borrow_mut().servos.leap = 0.0;
                let reports = driven.ticks(20);
                assert!(reports.iter().any(|report| report.inferred), "{name}");
                let last = reports.last().unwrap();
                assert_eq!(last.waits_for_camera, None, "{name}");
                assert_ne!(driven.servos(), held, "{name}: it goes on");
                let leap = driven.board.borrow().servos.leap;
                assert!(leap < 0.05, "{name}: {leap}");
            }
        }
    }
}

#[test]
fn frames_that_stay_away_end_the_episode_by_name() {
    for (name, spoil, _) in FAULTS {
        let mut driven = begun(Timing::instant(), true);
        driven.run(20);
        spoil(&mut driven.board.borrow_mut());
        // 20 Hz: 20 ticks are a second.
        driven.run(20);
        let error = driven.session.tick().unwrap_err();
        let RuntimeError::Camera(error) = &error else {
            panic!("{name}: {error}");
        };
        match (name, error) {
            ("old", CameraError::Stale { camera, .. })
            | (
                "frozen",
                CameraError::Frozen {
                    camera, times: 10, ..
                },
            ) => {
                assert_eq!(camera, "observation.images.front");
            }
            _ => panic!("{name}: {error}"),
        }
        driven.pass(500_000);
        let board = driven.board.borrow();
        assert_eq!(
            (board.core.state(), board.core.hold_reason()),
            (State::Holding, HoldReason::Commanded)
        );
    }
}

#[test]
fn a_camera_that_gives_nothing_when_it_is_asked_is_asked_again() {
    for timing in [
        Timing::instant(),
        charged(SchedulerKind::Asynchronous, 100_000),
    ] {
        let mut driven = begun(timing, false);
        driven.run(10);
        driven.board.borrow_mut().blind = true;
        let waited = (0..30).map(|_| driven.session.tick());
        let waited: Vec<_> = waited.take_while(Result::is_ok).flatten().collect();
        let missed =
            |report: &&wink_runtime::session::TickReport| report.waits_for_camera.is_some();
        assert_eq!(waited.iter().filter(missed).count(), 20);
        // Within its patience it goes on.
        driven.board.borrow_mut().blind = false;
        driven.session.begin("again").unwrap();
        driven.run(10);
        driven.board.borrow_mut().blind = true;
        while driven.run(1).waits_for_camera.is_none() {}
        driven.run(10);
        driven.board.borrow_mut().blind = false;
        let reports = driven.ticks(10);
        assert!(reports.iter().any(|report| report.step.is_some()));
        // The time that it may be away for begins anew.
        driven.board.borrow_mut().blind = true;
        while driven.run(1).waits_for_camera.is_none() {}
        driven.run(15);
    }
}

#[test]
fn a_picture_that_repeats_for_a_short_while_or_where_that_is_right_is_acted_on() {
    // 9 pictures in a row: poor light.
    let mut driven = begun(Timing::instant(), true);
    driven.board.borrow_mut().repeated = 9;
    let reports = driven.ticks(20);
    assert!(
        reports
            .iter()
            .all(|report| report.waits_for_camera.is_none())
    );
    // A simulated camera.
    let looking = Constant {
        looks: true,
        ..chunks_of_8(AHEAD)
    };
    let mut driven = Driven::begun(looking, Timing::instant());
    driven.board.borrow_mut().repeated = 1_000;
    driven.run(20);
}
