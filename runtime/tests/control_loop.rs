//! The whole way from a policy to servos and back, through the real firmware core.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mock;

use mock::{Constant, FIRMWARE_TICK_US, MockBoard, Noise};
use wink_firmware::wire::{
    Capabilities, Command, Fault, HoldReason, HostHello, HostMessage, PROTOCOL_VERSION, State,
    encode_host,
};
use wink_runtime::arm::{ArmClient, ArmClientError, Link};
use wink_runtime::clock::Clock;
use wink_runtime::control::ControlError;
use wink_runtime::episode::{ControlLoop, RuntimeError, TickReport};
use wink_runtime::telemetry::Stage;

/// From setpoint to setpoint.
const PERIOD_US: f64 = 50_000.0;

const GRIPPER: usize = 6;
const WIRE_JOINTS: usize = 7;

const STILL: [f32; 7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn control_loop() -> ControlLoop {
    ControlLoop::new(mock::arm(), mock::control_config())
}

/// A loop that has begun an episode.
fn begun(board: &mut MockBoard, policy: &mut Constant) -> ControlLoop {
    let mut control = control_loop();
    control.connect(board).unwrap();
    control.begin(board, policy, "pick the block").unwrap();
    control
}

fn run(
    control: &mut ControlLoop,
    board: &mut MockBoard,
    policy: &mut Constant,
    ticks: usize,
) -> TickReport {
    let reports: Vec<_> = (0..ticks)
        .map(|_| control.tick(board, policy).unwrap())
        .collect();
    *reports.last().unwrap()
}

/// Lets the firmware go on without the loop.
fn pass(board: &mut MockBoard, time_us: u64) {
    board.sleep_until(board.now_us() + time_us);
}

#[test]
fn connecting_arms_and_moves_nothing() {
    for board_ahead_us in [0, 3_600_000_000] {
        let mut board = MockBoard::new();
        board.board_ahead_us = board_ahead_us;
        let before = board.servos.positions.clone();
        let mut control = control_loop();
        control.connect(&mut board).unwrap();
        assert_eq!(
            (board.core.state(), board.servos.torque),
            (State::Armed, true)
        );
        assert_eq!(board.servos.positions, before);
        assert_eq!(
            control.client().hello().map(|hello| hello.version),
            Some(PROTOCOL_VERSION)
        );
        // Once more, as a program does that was restarted.
        control.connect(&mut board).unwrap();
        assert_eq!(board.core.state(), State::Armed);
    }
}

#[test]
fn setpoints_are_followed_on_time() {
    let mut board = MockBoard::new();
    board.board_ahead_us = 12_345_678;
    // 10 mm ahead and 4 mm down a step: slower than any joint may turn.
    let mut policy = Constant::new([0.1, 0.0, -0.04, 0.0, 0.0, 0.0, 1.0]);
    let mut control = begun(&mut board, &mut policy);
    let arm = mock::arm();
    let [mut before, mut previous]: [Option<TickReport>; 2] = [None, None];
    for index in 0..15 {
        let report = control.tick(&mut board, &mut policy).unwrap();
        assert_eq!(report.index, index);
        // One period after it was sent, the setpoint before this one has been reached, but for the way that the joint goes
        // from the last goal that can be known of to now: a goal is read one firmware tick after it was written, told
        // within another, and is as late as the jerk limit makes it.
        if let (Some(before), Some(previous), true) = (before, previous, index > 3) {
            for (joint, limits) in arm.joints().iter().enumerate() {
                let target = previous.joint_targets()[joint];
                let step = (target - before.joint_targets()[joint]).abs();
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
    policy.action = STILL;
    let report = run(&mut control, &mut board, &mut policy, 10);
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
    let counters = control.client().telemetry().unwrap().counters;
    assert_eq!(
        (counters.rejected(), counters.bad_lines, counters.starved),
        (0, 0, 0)
    );
    // The last setpoint was sent after this telemetry.
    assert_eq!(
        u64::from(counters.accepted) + 1,
        control.client().counters().setpoints
    );
    assert_eq!(
        (
            control.client().counters().bad_lines,
            control.client().counters().lost
        ),
        (0, 0)
    );
}

#[test]
fn a_frame_is_taken_when_a_looking_policy_is_asked_and_only_then() {
    for looks in [false, true] {
        let mut board = MockBoard::new();
        let mut policy = Constant {
            looks,
            ..Constant::new(STILL)
        };
        let mut control = begun(&mut board, &mut policy);
        for tick in 0..8 {
            let report = control.tick(&mut board, &mut policy).unwrap();
            assert_eq!(report.inferred, tick % 2 == 0);
            assert_eq!(report.captured, looks && report.inferred);
            assert_eq!(policy.saw_frame, looks);
        }
        assert_eq!(policy.asked, 4);
        assert_eq!(control.frame().is_consistent(), looks);
        let counts = Stage::ALL.map(|stage| control.telemetry().stage(stage).count());
        assert_eq!(counts, [if looks { 4 } else { 0 }, 4, 8, 8, 8, 8]);
    }
}

#[test]
fn ticks_keep_their_period_and_late_ones_are_told() {
    let mut board = MockBoard::new();
    let mut policy = Constant {
        looks: true,
        ..Constant::new(STILL)
    };
    let mut control = begun(&mut board, &mut policy);
    let start_us = board.now_us();
    run(&mut control, &mut board, &mut policy, 10);
    assert_eq!(
        (board.now_us() - start_us, control.telemetry().overruns()),
        (500_000, 0)
    );
    board.capture_us = 80_000;
    let report = control.tick(&mut board, &mut policy).unwrap();
    assert!(report.overrun && report.captured);
    assert_eq!(
        (board.now_us() - start_us, control.telemetry().overruns()),
        (580_000, 1)
    );
    // The next one is not hurried.
    assert!(!control.tick(&mut board, &mut policy).unwrap().overrun);
    assert_eq!(board.now_us() - start_us, 630_000);
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
        let mut board = MockBoard::new();
        let mut policy = Constant {
            hz,
            ..Constant::new([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        };
        let mut control = begun(&mut board, &mut policy);
        let start_us = board.now_us();
        run(&mut control, &mut board, &mut policy, 20);
        assert_eq!(board.now_us() - start_us, 20 * period_us, "{hz:?}");
        // Not so long that the firmware holds for want of the next setpoint.
        pass(&mut board, period_us.min(40_000));
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
        let mut board = MockBoard::new();
        let mut policy = Constant {
            hz: Some(hz),
            ..Constant::new(STILL)
        };
        let mut control = control_loop();
        control.connect(&mut board).unwrap();
        let error = control.begin(&mut board, &mut policy, "pick").unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        let error = control.tick(&mut board, &mut policy).unwrap_err();
        assert!(matches!(error, RuntimeError::NoEpisode), "{error}");
    }
}

/// An inference of 30 ms fits into a tick of 50 ms, one of 70 ms makes every tick that has one late.
#[test]
fn inference_takes_time_of_its_tick() {
    for (inference_us, two_ticks_us, overruns) in [(30_000, 100_000, 0), (70_000, 120_000, 10)] {
        let mut board = MockBoard::new();
        let mut policy = Constant {
            inference_us,
            elapsed_us: board.elapsed_us.clone(),
            ..Constant::new([0.05, 0.0, -0.02, 0.0, 0.0, 0.0, 1.0])
        };
        let mut control = begun(&mut board, &mut policy);
        let start_us = board.now_us();
        for index in 0..20 {
            let report = control.tick(&mut board, &mut policy).unwrap();
            assert_eq!(
                report.overrun,
                report.inferred && overruns > 0,
                "tick {index}"
            );
        }
        assert_eq!(board.now_us() - start_us, 10 * two_ticks_us);
        assert_eq!(control.telemetry().overruns(), overruns);
        let counters = board.core.counters();
        assert_eq!(
            (counters.accepted, counters.rejected(), counters.starved),
            (20, 0, 0)
        );
        policy.action = STILL;
        let report = run(&mut control, &mut board, &mut policy, 10);
        let moved_m = report.proprio[0] - 0.04975;
        assert!((moved_m - 0.1).abs() < 1e-4, "{moved_m}");
    }
}

#[test]
fn garbage_on_the_link_is_counted_and_does_no_harm() {
    let mut board = MockBoard::new();
    board.noise = Some(Noise::new(5));
    let mut policy = Constant::new([0.1, 0.0, -0.04, 0.0, 0.0, 0.0, 1.0]);
    let mut control = begun(&mut board, &mut policy);
    run(&mut control, &mut board, &mut policy, 16);
    policy.action = STILL;
    let report = run(&mut control, &mut board, &mut policy, 10);
    assert!(
        (report.proprio[0] - 0.209_75).abs() < 1e-4,
        "{:?}",
        report.proprio
    );
    assert!(
        control.client().counters().bad_lines > 50,
        "{:?}",
        control.client().counters()
    );
    assert!(control.client().telemetry().unwrap().counters.bad_lines > 10);
}

#[test]
fn silence_of_the_board_ends_the_episode_and_the_arm_holds() {
    let mut board = MockBoard::new();
    let mut policy = Constant::new([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let mut control = begun(&mut board, &mut policy);
    run(&mut control, &mut board, &mut policy, 5);
    board.mute = true;
    let error = (0..5)
        .find_map(|_| control.tick(&mut board, &mut policy).err())
        .expect("the silence is noticed");
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::TelemetryLost {
                silent_us: 150_001..
            })
        ),
        "{error}"
    );
    pass(&mut board, 300_000);
    let held = board.servos.positions.clone();
    pass(&mut board, 1_000_000);
    assert_eq!(
        (board.core.state(), board.core.hold_reason()),
        (State::Holding, HoldReason::Commanded)
    );
    assert_eq!(board.servos.positions, held);
    // The wire is back: a new episode begins.
    board.mute = false;
    control.begin(&mut board, &mut policy, "again").unwrap();
    run(&mut control, &mut board, &mut policy, 5);
}

#[test]
fn a_policy_that_gives_nan_is_refused_by_name_and_the_arm_holds() {
    let mut board = MockBoard::new();
    let mut policy = Constant::new([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let mut control = begun(&mut board, &mut policy);
    run(&mut control, &mut board, &mut policy, 6);
    policy.action[4] = f32::NAN;
    let error = control.tick(&mut board, &mut policy).unwrap_err();
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
    assert!(matches!(
        control.tick(&mut board, &mut policy),
        Err(RuntimeError::NoEpisode)
    ));
    pass(&mut board, 500_000);
    let held = board.servos.positions.clone();
    pass(&mut board, 1_000_000);
    assert_eq!(
        (board.core.state(), board.core.hold_reason()),
        (State::Holding, HoldReason::Commanded)
    );
    assert_eq!(
        (board.servos.positions.clone(), board.servos.torque),
        (held, true)
    );
    policy.action = STILL;
    control.begin(&mut board, &mut policy, "again").unwrap();
    run(&mut control, &mut board, &mut policy, 3);
    assert_eq!(board.core.state(), State::Armed);
}

#[test]
fn beginning_right_after_an_error_arms_anew() {
    let mut board = MockBoard::new();
    let mut policy = Constant::new([f32::NAN; 7]);
    let mut control = begun(&mut board, &mut policy);
    control.tick(&mut board, &mut policy).unwrap_err();
    policy.action = STILL;
    control.begin(&mut board, &mut policy, "again").unwrap();
    run(&mut control, &mut board, &mut policy, 5);
    assert_eq!(board.core.state(), State::Armed);
}

#[test]
fn a_camera_that_fails_ends_the_episode_and_the_arm_holds() {
    let mut board = MockBoard::new();
    let mut policy = Constant {
        looks: true,
        ..Constant::new(STILL)
    };
    let mut control = begun(&mut board, &mut policy);
    run(&mut control, &mut board, &mut policy, 2);
    board.blind = true;
    assert!(matches!(
        control.tick(&mut board, &mut policy),
        Err(RuntimeError::Camera(_))
    ));
    pass(&mut board, 50_000);
    assert_eq!(
        (board.core.state(), board.core.hold_reason()),
        (State::Holding, HoldReason::Commanded)
    );
}

#[test]
fn ending_an_episode_holds_and_the_next_goes_on_from_there() {
    let mut board = MockBoard::new();
    let mut policy = Constant::new([0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let mut control = begun(&mut board, &mut policy);
    run(&mut control, &mut board, &mut policy, 10);
    control.end(&mut board).unwrap();
    assert!(matches!(
        control.tick(&mut board, &mut policy),
        Err(RuntimeError::NoEpisode)
    ));
    pass(&mut board, 500_000);
    let held: Vec<f64> = board
        .servos
        .positions
        .iter()
        .map(|&position| f64::from(position))
        .collect();
    policy.action = STILL;
    control.begin(&mut board, &mut policy, "again").unwrap();
    let report = run(&mut control, &mut board, &mut policy, 3);
    for (measured, held) in report.measured.iter().zip(&held).take(GRIPPER) {
        assert!((measured - held).abs() < 1e-4, "{:?}", report.measured);
    }
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
        let mut policy = Constant::new(STILL);
        let mut control = begun(&mut board, &mut policy);
        run(&mut control, &mut board, &mut policy, 5);
        spoil(&mut board);
        let error = (0..10).find_map(|_| control.tick(&mut board, &mut policy).err());
        assert!(
            matches!(&error, Some(RuntimeError::Arm(error)) if expected(error)),
            "{name}: {error:?}"
        );
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
fn a_board_that_was_flashed_for_something_else_is_refused() {
    let good = mock::arm().firmware_config();
    let mut control = control_loop();

    let mut other = good.clone();
    other.description_hash ^= 1;
    let error = control
        .connect(&mut MockBoard::with_config(other))
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
    let error = control.connect(&mut board).unwrap_err();
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
    assert_eq!(board.core.state(), State::Disarmed);

    let mut unknown = good;
    unknown.description_hash = 0;
    control
        .connect(&mut MockBoard::with_config(unknown))
        .unwrap();
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let good = mock::arm().firmware_config();
    let mut other = good.clone().named("so101", "pico");
    other.description_hash = 0x0123_4567;
    let mut board = MockBoard::with_config(other);
    let error = control_loop().connect(&mut board).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "the board was flashed for the arm \"so101\" (01234567), this program drives \"wx250s\" ("
        ),
        "{error}"
    );
    // The board thinks the same of this host.
    assert_eq!(board.core.state(), State::Disarmed);
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
fn round_trip_and_clock_offset_are_measured_along_the_way() {
    let mut board = MockBoard::new();
    board.board_ahead_us = 7_000_000;
    let mut policy = Constant::new(STILL);
    let mut control = begun(&mut board, &mut policy);
    run(&mut control, &mut board, &mut policy, 40);
    let trips = control.client().round_trip();
    assert!((7..=9).contains(&trips.count), "{trips:?}");
    let wrong_us = trips.clock_offset_us.abs_diff(7_000_000);
    assert!(wrong_us <= trips.clock_error_us, "{trips:?}");
    assert!(trips.most_us <= 50_000, "read at the next tick: {trips:?}");
    assert_eq!(control.client().counters().lost, 0);
    assert!(control.client().health().is_some());
}

#[test]
fn a_guard_that_holds_the_arm_is_named() {
    let mut board = MockBoard::new();
    let mut policy = Constant::new(STILL);
    let mut control = begun(&mut board, &mut policy);
    board.servos.temperature_c = Some(95.0);
    let error = (0..20)
        .find_map(|_| control.tick(&mut board, &mut policy).err())
        .unwrap();
    assert!(error.to_string().contains("a servo is too hot"), "{error}");
    let error = control.begin(&mut board, &mut policy, "again").unwrap_err();
    assert!(error.to_string().contains("a servo is too hot"), "{error}");
    board.servos.temperature_c = Some(40.0);
    control.begin(&mut board, &mut policy, "again").unwrap();
    run(&mut control, &mut board, &mut policy, 3);
}

#[test]
fn a_board_that_does_not_answer_is_waited_for_and_no_longer() {
    let mut board = MockBoard::new();
    board.mute = true;
    let mut control = control_loop();
    let error = control.connect(&mut board).unwrap_err();
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
    assert!(
        (2_000_000..2_200_000).contains(&board.now_us()),
        "{}",
        board.now_us()
    );
    let mut policy = Constant::new(STILL);
    let error = control.begin(&mut board, &mut policy, "pick").unwrap_err();
    assert!(
        matches!(error, RuntimeError::Arm(ArmClientError::NotConnected)),
        "{error}"
    );
}

#[test]
fn a_board_in_a_fault_is_not_armed_until_it_is_cleared() {
    let mut board = MockBoard::new();
    control_loop().connect(&mut board).unwrap();
    board.servos.broken = true;
    pass(&mut board, 500_000);
    let error = control_loop().connect(&mut board).unwrap_err();
    assert!(
        matches!(
            error,
            RuntimeError::Arm(ArmClientError::Fault {
                fault: Fault::ServoRead
            })
        ),
        "{error}"
    );
    assert_eq!(board.core.state(), State::Fault);

    board.servos.broken = false;
    let mut control = control_loop();
    control.connect(&mut board).unwrap_err();
    control.clear_fault(&mut board).unwrap();
    control.connect(&mut board).unwrap();
    assert_eq!(board.core.state(), State::Armed);
}

#[test]
fn an_instruction_that_the_policy_refuses_begins_nothing() {
    let mut board = MockBoard::new();
    let mut policy = Constant::new(STILL);
    let mut control = control_loop();
    control.connect(&mut board).unwrap();
    assert!(matches!(
        control.begin(&mut board, &mut policy, ""),
        Err(RuntimeError::Policy(_))
    ));
    assert!(matches!(
        control.tick(&mut board, &mut policy),
        Err(RuntimeError::NoEpisode)
    ));
}

#[test]
fn the_same_episode_gives_the_same_numbers() {
    let reports = || {
        let mut board = MockBoard::new();
        let mut policy = Constant::new([0.13, -0.07, -0.04, 0.1, -0.05, 0.2, 0.3]);
        let mut control = begun(&mut board, &mut policy);
        let numbers = (0..30).map(|_| {
            let report = control.tick(&mut board, &mut policy).unwrap();
            (
                report.proprio.map(f32::to_bits),
                report
                    .joint_targets()
                    .into_iter()
                    .map(f64::to_bits)
                    .collect::<Vec<_>>(),
            )
        });
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(reports(), reports());
}

#[test]
fn a_board_that_never_read_its_servos_is_not_armed() {
    let mut config = mock::arm().firmware_config();
    config.fault_after_failures = u32::MAX;
    let mut board = MockBoard::with_config(config);
    board.servos.broken = true;
    let error = control_loop().connect(&mut board).unwrap_err();
    assert!(
        matches!(error, RuntimeError::Arm(ArmClientError::NotMeasured)),
        "{error}"
    );
}

#[test]
fn a_client_that_disarmed_arms_anew() {
    let arm = mock::arm();
    let mut board = MockBoard::new();
    let mut client = ArmClient::new(&arm);
    client.connect(&mut board, 1_000_000).unwrap();
    client.disarm(&mut board).unwrap();
    let targets = client.positions().unwrap();
    let refused = client.send_setpoint(&mut board, 0, 50_000, &targets);
    assert!(matches!(refused, Err(ArmClientError::NotConnected)));
    client.arm(&mut board, 1_000_000).unwrap();
    assert_eq!(board.core.state(), State::Armed);
    let mut broken = targets;
    broken[2] = f64::NAN;
    let refused = client.send_setpoint(&mut board, 0, 50_000, &broken);
    assert!(matches!(
        refused,
        Err(ArmClientError::NotFinite { joint: 2 })
    ));
    assert_eq!(client.counters().setpoints, 0);
}
