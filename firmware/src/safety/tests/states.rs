//! How states change, and what is refused.

use super::*;

#[test]
fn hello_is_answered_and_telemetry_follows() {
    let mut rig = Rig::new([0.5; JOINTS]);
    rig.core.board.config.description_hash = 0xdead_beef;
    rig.tick();
    rig.send_as(41, Command::Hello(HostHello::default()));
    let lines = rig.lines();
    let [
        BoardMessage::Hello(hello),
        BoardMessage::Telemetry(telemetry),
        BoardMessage::Health(_),
    ] = &lines[..]
    else {
        panic!("{lines:?}");
    };
    assert_eq!(hello.version, crate::wire::PROTOCOL_VERSION);
    assert_eq!((hello.answers, hello.joints), (41, JOINTS as u8));
    assert_eq!(
        (hello.description_hash, hello.time_us),
        (0xdead_beef, rig.now_us)
    );
    assert_eq!((hello.seq, telemetry.seq), (0, 1));
    assert_eq!(
        (telemetry.state, telemetry.fault),
        (State::Disarmed, Fault::None)
    );
    assert_eq!(telemetry.positions, [0.5; JOINTS]);
}

#[test]
fn telemetry_keeps_its_period_and_does_not_catch_up() {
    let mut rig = Rig::new([0.0; JOINTS]);
    let mut times = Vec::new();
    for at_us in [
        0, 10_000, 20_000, 35_000, 40_000, 50_000, 200_000, 210_000, 220_000,
    ] {
        rig.now_us = at_us;
        let told = |line: &BoardMessage| matches!(line, BoardMessage::Telemetry(_));
        if rig.lines().iter().any(told) {
            times.push(at_us);
        }
    }
    assert_eq!(times, [0, 20_000, 40_000, 200_000, 220_000]);
}

#[test]
fn before_the_first_read_positions_are_unknown_not_zero() {
    let mut rig = Rig::new([0.5; JOINTS]);
    assert!(
        rig.telemetry()
            .positions
            .iter()
            .all(|position| position.is_nan())
    );
}

#[test]
fn a_line_that_does_not_fit_stays_due() {
    let mut rig = Rig::new([0.0; JOINTS]);
    assert_eq!(rig.core.telemetry(rig.now_us, &mut [0; 40]), None);
    assert_eq!(rig.telemetry().seq, 0);
}

#[test]
fn arming_writes_the_measured_pose_before_torque() {
    let pose = [0.1, -1.9, 2.3];
    let mut rig = Rig::new(pose);
    rig.send(Command::Hello(HostHello::default()));
    rig.send(Command::Arm);
    assert_eq!(rig.core.state(), State::Disarmed);
    rig.tick();
    assert_eq!(rig.servos.calls, [Call::Write(pose), Call::Torque(true)]);
    rig.run(500_000);
    assert_eq!(rig.goals(), pose, "nothing moves without setpoints");
}

#[test]
fn reaches_each_setpoint_at_its_deadline() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    for step in 1..=40 {
        let target = [0.02 * step as f32, -0.02 * step as f32, 0.001 * step as f32];
        rig.setpoint(&target, STEP_US);
        rig.run(STEP_US);
        for (goal, target) in rig.goals().iter().zip(target) {
            assert!(
                (goal - target).abs() < 1e-5,
                "step {step}: {goal} instead of {target}"
            );
        }
    }
    assert_eq!(rig.core.counters().accepted, 40);
    assert_eq!(rig.telemetry().last_setpoint_seq, rig.seq);
}

#[test]
fn setpoints_may_come_well_before_their_time() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    let target = |step: u64| [0.02 * step as f32; JOINTS];
    for step in 1..=3 {
        rig.setpoint(&target(step), STEP_US * step);
    }
    for step in 1..=20 {
        rig.run(STEP_US);
        assert!(
            (rig.goals()[0] - target(step)[0]).abs() < 1e-5,
            "step {step}"
        );
        rig.setpoint(&target(step + 3), STEP_US * 3);
    }
    assert_eq!(rig.core.counters().rejected(), 0);
}

#[test]
fn holds_when_setpoints_stop_and_goes_on_with_the_next() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.setpoint(&[0.1; JOINTS], STEP_US);
    rig.run(150_000);
    assert_eq!(rig.core.state(), State::Armed);
    rig.run(TICK_US);
    assert_eq!(rig.core.state(), State::Holding);
    assert_eq!(rig.core.hold_reason(), HoldReason::Starved);
    assert_eq!(rig.core.counters().starved, 1);
    rig.run(1_000_000);
    assert!((rig.goals()[0] - 0.1).abs() < 1e-5);
    rig.setpoint(&[0.2; JOINTS], STEP_US);
    assert_eq!(rig.core.state(), State::Armed);
    // From rest to 2 rad/s and back takes the acceleration limit's time on top.
    rig.run(2 * STEP_US);
    assert!((rig.goals()[0] - 0.2).abs() < 1e-4);
}

#[test]
fn a_hold_in_mid_motion_brakes_and_lasts_until_armed() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    for step in 1..=8 {
        rig.setpoint(&[0.1 * step as f32; JOINTS], STEP_US);
        rig.run(STEP_US);
    }
    let at_hold = rig.goals()[0];
    // An old number: stopping is obeyed all the same.
    rig.send_as(1, Command::Hold);
    assert_eq!(rig.core.hold_reason(), HoldReason::Commanded);
    rig.run(500_000);
    let held = rig.goals()[0];
    let braking = 2.0_f32 * 2.0 / (2.0 * LIMITS.acceleration);
    assert!(
        held > at_hold && held <= at_hold + braking + 1e-4,
        "{at_hold} then {held}"
    );
    rig.setpoint(&[0.0; JOINTS], STEP_US);
    rig.run(STEP_US);
    assert_eq!(
        rig.goals()[0],
        held,
        "a setpoint does not end a commanded hold"
    );
    assert_eq!(rig.core.counters().not_armed, 1);
    rig.send(Command::Arm);
    assert_eq!(rig.core.state(), State::Armed);
    rig.run(TICK_US);
    assert_eq!(rig.goals()[0], held, "going on does not move");
}

#[test]
fn a_new_hello_stops_the_arm_and_restarts_the_sequence() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.seq = 500;
    rig.setpoint(&[0.1; JOINTS], STEP_US);
    rig.send_as(1, Command::Hello(HostHello::default()));
    assert_eq!(rig.core.state(), State::Holding);
    rig.send_as(2, Command::Arm);
    assert_eq!(rig.core.state(), State::Armed);
    assert_eq!(rig.core.counters().repeated, 0);
}

#[test]
fn repeated_and_old_messages_change_nothing() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.seq = u32::MAX - 1;
    // The jump ahead counts as lost, and the sequence goes on through zero.
    for _ in 0..4 {
        rig.setpoint(&[0.0; JOINTS], STEP_US);
    }
    assert_eq!((rig.seq, rig.core.counters().accepted), (2, 0));
}

#[test]
fn the_sequence_wraps() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.seq = u32::MAX - 3;
    rig.send(Command::Hello(HostHello::default()));
    rig.send(Command::Arm);
    rig.tick();
    for _ in 0..4 {
        rig.run(TICK_US);
        rig.setpoint(&[0.0; JOINTS], STEP_US);
    }
    let counters = *rig.core.counters();
    assert_eq!(
        (rig.seq, counters.accepted, counters.repeated, counters.lost),
        (2, 4, 0, 0)
    );
    rig.send_as(u32::MAX, Command::Disarm);
    rig.send_as(2, Command::Disarm);
    rig.run(TICK_US);
    assert_eq!(
        (rig.core.state(), rig.core.counters().repeated),
        (State::Armed, 2)
    );
}

#[test]
fn setpoints_are_refused_and_counted_by_reason() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.setpoint(&[0.0; JOINTS - 1], STEP_US);
    rig.setpoint(&[0.0, f32::NAN, 0.0], STEP_US);
    rig.setpoint(&[0.0, f32::INFINITY, 0.0], STEP_US);
    rig.setpoint(&[0.0, 2.1, 0.0], STEP_US);
    rig.setpoint(&[0.0; JOINTS], 10_000_000);
    let positions = JointVec::from_slice(&[0.0; JOINTS]).unwrap();
    let deadline_us = rig.now_us - 1;
    rig.send(Command::Setpoint(Setpoint {
        deadline_us,
        positions,
        held: false,
    }));
    rig.core.receive(b"no message\n", rig.now_us);
    let expected = Counters {
        joint_count: 1,
        not_finite: 2,
        out_of_range: 1,
        too_far_ahead: 1,
        stale: 1,
        bad_lines: 1,
        ..Counters::default()
    };
    assert_eq!(*rig.core.counters(), expected);
    assert_eq!(rig.telemetry().counters, expected);
    for _ in 0..20 {
        rig.setpoint(&[0.0; JOINTS], 400_000);
        rig.now_us += 1;
    }
    assert!(rig.core.counters().queue_full > 0);
    rig.send(Command::Disarm);
    rig.setpoint(&[0.0; JOINTS], STEP_US);
    assert_eq!(rig.core.counters().not_armed, 1);
}

#[test]
fn rejected_setpoints_do_not_keep_a_hold_away() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    for _ in 0..20 {
        rig.setpoint(&[9.0; JOINTS], STEP_US);
        rig.run(TICK_US);
    }
    assert_eq!(rig.core.state(), State::Holding);
}

#[test]
fn disarming_is_tried_until_it_works() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.servos.deaf = true;
    rig.send(Command::Disarm);
    rig.run(50_000);
    assert!(rig.servos.torque);
    assert_eq!(rig.core.state(), State::Disarmed);
    rig.servos.deaf = false;
    rig.run(TICK_US);
    assert!(!rig.servos.torque);
    let calls = rig.servos.calls.len();
    rig.run(500_000);
    assert_eq!(
        rig.servos.calls.len(),
        calls,
        "a disarmed board leaves its servos alone"
    );
}

#[test]
fn silent_servos_hold_then_fault_and_are_cleared_to_where_they_are() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.servos.mute = true;
    for _ in 0..9 {
        rig.setpoint(&[0.1; JOINTS], STEP_US);
        rig.run(TICK_US);
        let failed = rig.core.counters().servo_reads_failed;
        let expected = if failed < 3 {
            State::Armed
        } else {
            State::Holding
        };
        assert_eq!(rig.core.state(), expected, "after {failed}");
    }
    assert_eq!(rig.core.hold_reason(), HoldReason::Servo);
    rig.run(TICK_US);
    assert_eq!(
        (rig.core.state(), rig.core.fault()),
        (State::Fault, Fault::ServoRead)
    );
    assert!(rig.servos.torque, "a fault does not drop the arm");
    rig.send(Command::Arm);
    rig.send(Command::ClearFault);
    assert_eq!(
        (rig.core.state(), rig.core.counters().refused),
        (State::Fault, 2)
    );
    rig.servos.mute = false;
    rig.servos.positions = [-0.5; JOINTS];
    rig.servos.torque = false;
    rig.run(TICK_US);
    assert_eq!(
        rig.core.state(),
        State::Fault,
        "it takes the host to clear it"
    );
    rig.send(Command::ClearFault);
    assert_eq!(
        (rig.core.state(), rig.core.fault()),
        (State::Holding, Fault::None)
    );
    rig.run(TICK_US);
    assert_eq!(rig.goals(), [-0.5; JOINTS]);
}

#[test]
fn a_fault_is_cleared_at_rest_only() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    for step in 1..4_u8 {
        rig.setpoint(&[0.15 * f32::from(step); JOINTS], STEP_US);
        rig.run(STEP_US);
    }
    rig.setpoint(&[0.6; JOINTS], STEP_US);
    rig.servos.deaf = true;
    rig.run(11 * TICK_US);
    assert_eq!(rig.core.fault(), Fault::ServoWrite);
    rig.servos.deaf = false;
    rig.run(TICK_US);
    let (before, refused) = (rig.goals(), rig.core.counters().refused);
    rig.send(Command::ClearFault);
    assert_eq!(rig.core.state(), State::Fault, "it still brakes");
    assert_eq!(rig.core.counters().refused, refused + 1);
    rig.run(TICK_US);
    assert!(rig.goals()[0] > before[0], "and does not leap back");
    rig.run(10 * TICK_US);
    let rest = rig.goals();
    rig.send(Command::ClearFault);
    assert_eq!(rig.core.state(), State::Holding);
    rig.run(TICK_US);
    assert_eq!(rig.goals(), rest);
}

#[test]
fn a_short_silence_of_the_servos_heals() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.servos.mute = true;
    rig.run(5 * TICK_US);
    assert_eq!(rig.core.hold_reason(), HoldReason::Servo);
    rig.servos.mute = false;
    rig.run(TICK_US);
    assert_eq!(rig.core.state(), State::Holding);
    rig.setpoint(&[0.0; JOINTS], STEP_US);
    assert_eq!(rig.core.state(), State::Armed);
}

#[test]
fn a_nan_from_a_servo_is_a_failed_read() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.servos.positions[1] = f32::NAN;
    rig.servos.torque = false;
    rig.run(10 * TICK_US);
    assert_eq!(rig.core.fault(), Fault::ServoRead);
    assert_eq!(rig.goals(), [0.0; JOINTS]);
}

#[test]
fn goals_wait_for_a_deaf_bus() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    for step in 1..=10 {
        rig.setpoint(&[0.1 * step as f32; JOINTS], STEP_US);
        rig.servos.deaf = step == 5;
        let before = rig.goals()[0];
        rig.run(TICK_US * 2);
        rig.servos.deaf = false;
        rig.run(TICK_US);
        let leap = rig.goals()[0] - before;
        assert!(leap <= 3.0 * LIMITS.velocity * 0.01 + 1e-5, "leapt {leap}");
        rig.run(TICK_US * 2);
    }
    rig.servos.deaf = true;
    rig.run(11 * TICK_US);
    assert_eq!(rig.core.fault(), Fault::ServoWrite);
}

#[test]
fn arming_without_servos_is_a_fault_without_torque() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.servos.mute = true;
    rig.run(1_000_000);
    assert_eq!(rig.core.state(), State::Disarmed);
    rig.send(Command::Hello(HostHello::default()));
    rig.send(Command::Arm);
    rig.run(10 * TICK_US);
    assert_eq!(
        (rig.core.state(), rig.core.fault()),
        (State::Fault, Fault::ServoRead)
    );
    rig.send(Command::ClearFault);
    assert_eq!(rig.core.state(), State::Disarmed);
    rig.servos.mute = false;
    rig.send(Command::Arm);
    rig.run(TICK_US);
    assert_eq!(rig.core.state(), State::Armed);
}

#[test]
fn a_blocked_loop_does_not_leap() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.core.board.config.hold_after_us = 10_000_000;
    rig.setpoint(&[1.9; JOINTS], 400_000);
    rig.run(TICK_US * 10);
    let before = rig.goals()[0];
    rig.now_us += 5_000_000;
    rig.tick();
    let leap = rig.goals()[0] - before;
    assert!(leap <= 0.05 * LIMITS.velocity + 1e-5, "leapt {leap}");
}

#[test]
fn a_joint_outside_its_limits_moves_inwards_slowly_and_the_others_as_usual() {
    let folded = [-2.6, 0.0, 1.0];
    let mut rig = Rig::armed(folded);
    // Further out is refused, and so is a joint that is inside and would leave.
    for refused in [[-2.7, 0.0, 1.0], [-2.6, 2.1, 1.0]] {
        rig.setpoint(&refused, STEP_US);
    }
    assert_eq!(rig.core.counters().out_of_range, 2);
    assert_eq!(rig.core.counters().accepted, 0);
    // Where it is, it may stay, and the others move.
    for step in 1..=4_u8 {
        rig.setpoint(&[-2.6, 0.1 * f32::from(step), 1.0], STEP_US);
        rig.run(STEP_US);
    }
    assert_eq!(rig.core.counters().accepted, 4);
    assert_eq!(rig.goals()[0], -2.6);
    assert!((rig.goals()[1] - 0.4).abs() < 1e-3, "{:?}", rig.goals());
    // Asked to be at its limit it moves inwards, never faster than a tenth of its speed.
    let slowest = LIMITS.velocity * JointLimits::INWARDS_SHARE;
    let mut before = rig.goals()[0];
    let mut steps = 0;
    while rig.goals()[0] < LIMITS.min {
        rig.setpoint(&[LIMITS.min, 0.4, 1.0], STEP_US);
        for _ in 0..STEP_US / TICK_US {
            rig.run(TICK_US);
            let moved = rig.goals()[0] - before;
            assert!((-1e-6..=slowest * 0.01 + 1e-5).contains(&moved), "{moved}");
            before = rig.goals()[0];
        }
        steps += 1;
        assert!(steps < 100, "still at {before}");
    }
    // Inside, it is a joint as any other and does not leave again.
    rig.setpoint(&[-2.1, 0.4, 1.0], STEP_US);
    assert_eq!(rig.core.counters().out_of_range, 3);
    for step in 1..=8_u8 {
        rig.setpoint(&[-2.0 + 0.125 * f32::from(step), 0.4, 1.0], STEP_US);
        rig.run(STEP_US);
    }
    assert!((rig.goals()[0] + 1.0).abs() < 1e-3, "{:?}", rig.goals());
}

#[test]
fn where_servos_were_that_are_gone_is_not_told() {
    let mut rig = Rig::new([0.3; JOINTS]);
    rig.send(Command::Hello(HostHello::default()));
    rig.tick();
    rig.servos.mute = true;
    rig.run(9 * TICK_US);
    assert_eq!(rig.telemetry().positions[0], 0.3);
    rig.run(2 * TICK_US);
    assert!(
        rig.telemetry()
            .positions
            .iter()
            .all(|position| position.is_nan())
    );
    rig.servos.mute = false;
    rig.run(2 * TICK_US);
    assert_eq!(rig.telemetry().positions[0], 0.3);
}
