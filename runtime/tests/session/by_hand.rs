//! What an operator does with a session besides letting the policy run, each with what would break it.

use wink_firmware::wire::{HoldReason, State};
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::policy::PolicyError;
use wink_runtime::session::{RuntimeError, StartGuard, TickReport, Timing};

use crate::mock::{Constant, MockBoard};
use crate::{AHEAD, Driven, GRIPPER, STILL, charged, chunks_of_8};

const PERIOD_S: f64 = 0.05;

/// The farthest that a joint's target moved from one report to the next, in shares of its greatest speed.
fn fastest(reports: &[TickReport]) -> f64 {
    let speeds = crate::mock::arm().wire_speeds();
    let pairs = reports.windows(2).flat_map(|pair| {
        let ways = pair[0]
            .joint_targets
            .iter()
            .zip(pair[1].joint_targets.iter());
        let shares = ways.zip(speeds.iter());
        shares
            .take(GRIPPER)
            .map(|((from, to), speed)| (to - from).abs() / (speed * PERIOD_S))
            .collect::<Vec<f64>>()
    });
    pairs.fold(0.0, f64::max)
}

#[test]
fn a_far_first_target_is_approached_slowly_again_after_each_hold() {
    let share = 0.01;
    let mut driven = Driven::new(MockBoard::new(), Constant::new(AHEAD));
    driven.session.set_start_guard(StartGuard {
        within_rad: 1e-3,
        share,
    });
    driven.session.connect().unwrap();
    for episode in ["first", "after a hold"] {
        driven.session.begin(episode).unwrap();
        let reports = driven.ticks(40);
        let slow: Vec<TickReport> = reports
            .iter()
            .copied()
            .take_while(|report| report.approaching)
            .collect();
        assert!(slow.len() > 3, "{episode}: {}", slow.len());
        assert!(fastest(&slow) <= share + 1e-9, "{episode}");
        // Without the guard it would go faster than this.
        assert!(fastest(&reports) > 2.0 * share, "{episode}");
        driven.session.end().unwrap();
        driven.pass(200_000);
        assert_eq!(
            driven.board.borrow().core.hold_reason(),
            HoldReason::Commanded
        );
    }
}

#[test]
fn a_lower_speed_lowers_every_joints_speed_and_no_other_is_taken() {
    let mut driven = Driven::begun(chunks_of_8(AHEAD), Timing::instant());
    for bad in [0.0, -0.5, 1.001, f64::NAN, f64::INFINITY] {
        let error = driven.session.set_speed(bad).unwrap_err();
        assert!(matches!(error, RuntimeError::Speed { .. }), "{error}");
        assert_eq!(driven.session.speed(), 1.0);
    }
    let full = fastest(&driven.ticks(13));
    let mut driven = Driven::begun(chunks_of_8(AHEAD), Timing::instant());
    driven.session.set_speed(0.25).unwrap();
    let reports = driven.ticks(52);
    let slow = fastest(&reports);
    assert!(
        slow <= full / 4.0 + 1e-9 && slow > full / 5.0,
        "{slow} of {full}"
    );
    let acted = reports.iter().filter(|report| report.step.is_some());
    assert_eq!(acted.count(), 13, "each action takes four ticks");
    assert_eq!(driven.session.late().policy, 0, "a pause is not late");
}

#[test]
fn in_shadow_everything_is_done_and_nothing_is_sent() {
    let looking = Constant {
        looks: true,
        ..chunks_of_8(AHEAD)
    };
    let mut driven = Driven::new(MockBoard::new(), looking);
    let before = driven.servos();
    driven.session.set_shadow();
    driven.session.greet().unwrap();
    driven.session.begin("pick the block").unwrap();
    let reports = driven.ticks(40);
    assert!(reports.iter().filter(|report| report.arrived).count() > 5);
    assert!(reports.iter().any(|report| report.step.is_some()));
    driven.tell(|policy| policy.action[0] = f32::NAN);
    assert!(driven.error_within(20).is_some());
    driven.session.release(1_000_000).unwrap();
    let board = driven.board.borrow();
    assert_eq!(board.core.state(), State::Disarmed);
    assert!(!board.servos.torque);
    assert_eq!(driven.session.client().counters().setpoints, 0);
    assert_eq!(board.servos.positions, before);
}

#[test]
fn the_way_to_a_pose_begins_where_the_arm_was_told_to_be_and_ends_without_torque() {
    let mut driven = Driven::begun(chunks_of_8(AHEAD), Timing::instant());
    driven.session.set_start_guard(StartGuard {
        within_rad: 0.1,
        share: 0.2,
    });
    driven.run(20);
    driven.session.end().unwrap();
    driven.pass(300_000);
    let told = *driven.session.commanded().unwrap();
    // The arm sags under its weight while it holds.
    driven.board.borrow_mut().servos.positions[1] += 0.03;
    driven.pass(20_000);
    driven.session.idle().unwrap();
    driven.session.rise().unwrap();
    assert_eq!(*driven.session.commanded().unwrap(), told);
    let rest = crate::mock::arm().wire_home();
    driven.board.borrow_mut().servos.leap = 0.0;
    let mut reports = Vec::new();
    while driven.session.commanded() != Some(&rest) {
        reports.push(driven.session.follow(&rest, 0.2).unwrap());
        assert!(reports.len() < 1_000);
    }
    assert!(fastest(&reports) <= 0.2 + 1e-9);
    driven.pass(500_000);
    driven.session.release(2_000_000).unwrap();
    let board = driven.board.borrow();
    assert_eq!(board.core.state(), State::Disarmed);
    assert!(!board.servos.torque);
    for (servo, rest) in board.servos.positions.iter().zip(rest.iter()) {
        assert!((f64::from(*servo) - rest).abs() < 1e-3);
    }
}

#[test]
fn a_board_that_does_not_let_go_is_told() {
    let mut driven = Driven::begun(Constant::new(STILL), Timing::instant());
    driven.run(3);
    driven.board.borrow_mut().cut_off = true;
    let error = driven.session.release(300_000).unwrap_err();
    assert!(matches!(error, RuntimeError::StillArmed { .. }), "{error}");
}

#[test]
fn another_instruction_is_taken_in_while_it_runs_and_a_bad_one_holds() {
    for timing in [
        Timing::instant(),
        charged(SchedulerKind::Synchronous, 100_000),
        charged(SchedulerKind::Asynchronous, 100_000),
    ] {
        let mut driven = Driven::begun(chunks_of_8(AHEAD), timing);
        driven.run(9);
        driven.session.instruct("the other block").unwrap();
        let reports = driven.ticks(30);
        driven.tell(|policy| assert_eq!(policy.instruction, "the other block"));
        assert!(reports.iter().any(|report| report.step.is_some()));
        // Setpoints went on meanwhile.
        assert_eq!(driven.board.borrow().core.counters().starved, 0);
        driven.session.instruct("").unwrap();
        let error = driven.error_within(20).unwrap();
        assert!(
            matches!(error, RuntimeError::Policy(PolicyError::EmptyInstruction)),
            "{error}"
        );
        driven.pass(500_000);
        assert_eq!(
            driven.board.borrow().core.hold_reason(),
            HoldReason::Commanded
        );
        assert!(matches!(
            driven.session.instruct("again"),
            Err(RuntimeError::NoEpisode)
        ));
    }
}
