//! Ticks keep their time, and setpoints are followed on time.

use wink_runtime::arm::JointValues;
use wink_runtime::clock::Clock;
use wink_runtime::session::{LateTicks, RuntimeError, TickReport, Timing};

use crate::mock::{self, Constant, FIRMWARE_TICK_US, MockBoard, Noise};
use crate::{Driven, GRIPPER, STILL};

/// From setpoint to setpoint.
const PERIOD_US: f64 = 50_000.0;

/// 10 mm ahead and 4 mm down a step: slower than any joint may turn.
const FAST: [f32; 7] = [0.1, 0.0, -0.04, 0.0, 0.0, 0.0, 1.0];

#[test]
fn setpoints_are_followed_on_time() {
    let mut board = MockBoard::new();
    board.board_ahead_us = 12_345_678;
    let mut driven = Driven::begun_on(board, Constant::new(FAST), Timing::instant());
    let arm = mock::arm();
    let [mut before, mut previous]: [Option<TickReport>; 2] = [None, None];
    for index in 0..15 {
        let report = driven.run(1);
        assert_eq!(report.index, index);
        assert_eq!(report.start_us, report.tick_us);
        // One period after it was sent, the setpoint before this one has been reached, but for the way that the joint goes
        // from the last goal that can be known of to now: a goal is read one firmware tick after it was written, told
        // within another, and is as late as the jerk limit makes it.
        if let (Some(before), Some(previous), true) = (before, previous, index > 3) {
            for (joint, limits) in arm.joints().iter().enumerate() {
                let target = previous.joint_targets[joint];
                let step = (target - before.joint_targets[joint]).abs();
                let delay_us = 2.0 * FIRMWARE_TICK_US as f64
                    + 1e6 * limits.acceleration_rad_s2 / limits.jerk_rad_s3;
                let most = step * delay_us / PERIOD_US + 1e-4;
                let late = (report.measured[joint] - target).abs();
                assert!(
                    late <= most,
                    "tick {index}, joint {joint}: {late} of {most}"
                );
            }
        }
        (before, previous) = (previous, Some(report));
    }
    driven.tell(|policy| policy.action = STILL);
    let report = driven.run(10);
    let moved = [
        report.proprio[0] - 0.04975,
        report.proprio[1] - 0.7,
        report.proprio[2] - 0.302_075,
    ];
    // The chunk that was under way when the policy changed its mind is executed to its end: 15 or
    // 16 steps.
    assert!(
        (moved[0] - 0.16).abs() < 1e-4 && moved[1].abs() < 1e-4 && (moved[2] + 0.064).abs() < 1e-4,
        "{moved:?}"
    );
    assert!((report.measured[GRIPPER] - 0.04).abs() < 1e-6);
    let client = driven.session.client();
    let counters = client.telemetry().unwrap().counters;
    assert_eq!(
        (counters.rejected(), counters.bad_lines, counters.starved),
        (0, 0, 0)
    );
    // The last setpoint was sent after this telemetry.
    assert_eq!(
        u64::from(counters.accepted) + 1,
        client.counters().setpoints
    );
    assert_eq!(
        (client.counters().bad_lines, client.counters().lost),
        (0, 0)
    );
}

#[test]
fn a_frame_is_taken_when_a_looking_policy_is_asked_and_only_then() {
    for looks in [false, true] {
        let policy = Constant {
            looks,
            ..Constant::new(STILL)
        };
        let mut driven = Driven::begun(policy, Timing::instant());
        for tick in 0..8 {
            let report = driven.run(1);
            assert_eq!(report.inferred, tick % 2 == 0);
            assert_eq!(report.arrived, report.inferred);
            assert_eq!(report.captured, looks && report.inferred);
            driven.tell(|policy| assert_eq!(policy.saw_frame, looks));
        }
        driven.tell(|policy| assert_eq!(policy.asked, 4));
        let frames = driven.session.frames();
        assert_eq!(frames.len(), usize::from(looks));
        assert!(frames.iter().all(|frame| frame.is_consistent()));
    }
}

#[test]
fn ticks_keep_their_period_and_late_ones_are_counted() {
    let policy = Constant {
        looks: true,
        ..Constant::new(STILL)
    };
    let mut driven = Driven::begun(policy, Timing::instant());
    let start_us = driven.board.now_us();
    let passed_us = |driven: &Driven| driven.board.now_us() - start_us;
    driven.run(10);
    assert_eq!(passed_us(&driven), 500_000);
    assert_eq!(*driven.session.late(), LateTicks::default());
    driven.board.borrow_mut().capture_us = 80_000;
    let report = driven.run(1);
    assert!(report.overrun && report.captured);
    assert_eq!(passed_us(&driven), 580_000);
    let camera = LateTicks {
        camera: 1,
        ..LateTicks::default()
    };
    assert_eq!(*driven.session.late(), camera);
    // The next one is not hurried.
    assert!(!driven.run(1).overrun);
    assert_eq!(passed_us(&driven), 630_000);
}

#[test]
fn ticks_follow_the_policys_rate() {
    for (hz, period_us) in [
        (Some(10.0), 100_000),
        (Some(20.0), 50_000),
        (Some(25.0), 40_000),
        (Some(100.0), 10_000),
        (None, 20_000),
    ] {
        let policy = Constant {
            hz,
            ..Constant::new([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        };
        let mut driven = Driven::begun(policy, Timing::instant());
        let start_us = driven.board.now_us();
        driven.run(20);
        assert_eq!(driven.board.now_us() - start_us, 20 * period_us, "{hz:?}");
        assert_eq!(driven.session.period_us(), period_us);
        // Not so long that the firmware holds for want of the next setpoint.
        driven.pass(period_us.min(40_000));
        let board = driven.board.borrow();
        let counters = board.core.counters();
        assert_eq!((counters.accepted, counters.starved), (20, 0), "{hz:?}");
    }
}

#[test]
fn a_rate_that_the_board_cannot_keep_begins_nothing() {
    for (hz, told) in [
        (
            30.0,
            "30 Hz, one action every 33333 us, but the clock of this board advances in steps of 10000 us",
        ),
        (
            5.0,
            "5 Hz, one action every 200000 us, but the firmware holds the arm after 150000 us",
        ),
        (f64::NAN, "NaN Hz"),
    ] {
        let policy = Constant {
            hz: Some(hz),
            ..Constant::new(STILL)
        };
        let mut driven = Driven::new(MockBoard::new(), policy);
        driven.session.connect().unwrap();
        let error = driven.session.begin("pick").unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let error = driven.session.tick().unwrap_err();
        assert!(matches!(error, RuntimeError::NoEpisode), "{error}");
    }
}

/// Of a board that the policy stops: an inference of 30 ms fits into a tick of 50 ms, one of 70 ms makes every tick that has one
/// late.
#[test]
fn inference_that_the_loop_waits_for_takes_time_of_its_tick() {
    for (inference_us, two_ticks_us, overruns) in [(30_000, 100_000, 0), (70_000, 120_000, 10)] {
        let board = MockBoard::new();
        let policy = Constant {
            inference_us,
            elapsed_us: board.elapsed_us.clone(),
            ..Constant::new([0.05, 0.0, -0.02, 0.0, 0.0, 0.0, 1.0])
        };
        let mut driven = Driven::begun_on(board, policy, Timing::instant());
        let start_us = driven.board.now_us();
        for (index, report) in driven.ticks(20).iter().enumerate() {
            let expected = report.inferred && overruns > 0;
            assert_eq!(report.overrun, expected, "tick {index}");
        }
        assert_eq!(driven.board.now_us() - start_us, 10 * two_ticks_us);
        let late = LateTicks {
            policy: overruns,
            ..LateTicks::default()
        };
        assert_eq!(*driven.session.late(), late);
        {
            let board = driven.board.borrow();
            let counters = board.core.counters();
            assert_eq!(
                (counters.accepted, counters.rejected(), counters.starved),
                (20, 0, 0)
            );
        }
        driven.tell(|policy| policy.action = STILL);
        let report = driven.run(10);
        let moved_m = report.proprio[0] - 0.04975;
        assert!((moved_m - 0.1).abs() < 1e-4, "{moved_m}");
    }
}

#[test]
fn garbage_on_the_link_is_counted_and_does_no_harm() {
    let mut board = MockBoard::new();
    board.noise = Some(Noise::new(5));
    let mut driven = Driven::begun_on(board, Constant::new(FAST), Timing::instant());
    driven.run(16);
    driven.tell(|policy| policy.action = STILL);
    let report = driven.run(10);
    assert!(
        (report.proprio[0] - 0.209_75).abs() < 1e-4,
        "{:?}",
        report.proprio
    );
    let client = driven.session.client();
    assert!(client.counters().bad_lines > 50, "{:?}", client.counters());
    assert!(client.telemetry().unwrap().counters.bad_lines > 10);
}

#[test]
fn the_same_episode_gives_the_same_numbers() {
    let reports = || {
        let policy = Constant::new([0.13, -0.07, -0.04, 0.1, -0.05, 0.2, 0.3]);
        let mut driven = Driven::begun(policy, Timing::instant());
        let numbers = driven.ticks(30).into_iter().map(|report| {
            let bits = |joints: JointValues| joints.into_iter().map(f64::to_bits).collect();
            let targets: Vec<_> = bits(report.joint_targets);
            (report.proprio.map(f32::to_bits), targets)
        });
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(reports(), reports());
}
