//! Stopping, starting again, and what the clock does.

use super::*;

/// As an arm's own limits are: the goals lag 4 ms at 1 kHz, or a tick here.
const SMOOTH: JointLimits = JointLimits {
    jerk: 25_000.0,
    ..LIMITS
};

fn smooth(positions: [f32; JOINTS]) -> Rig {
    Rig::with(Config::new(&[SMOOTH; JOINTS]).unwrap(), positions)
}

fn moving(mut rig: Rig) -> Rig {
    for step in 1..=4_u8 {
        rig.setpoint(&[0.1 * f32::from(step); JOINTS], STEP_US);
        rig.run(STEP_US);
    }
    rig
}

#[test]
fn powering_down_stops_within_limits_before_torque_goes() {
    let mut rig = moving(smooth([0.0; JOINTS]).arm());
    let before = rig.goals()[0];
    rig.send(Command::PowerDown);
    assert_eq!(rig.core.hold_reason(), HoldReason::PoweringDown);
    assert!(rig.servos.torque, "torque is kept while it brakes");
    rig.run(300_000);
    assert_eq!(
        (rig.core.state(), rig.servos.torque),
        (State::Disarmed, false)
    );
    let way = rig.goals()[0] - before;
    assert!(way > 0.01, "it braked and did not stop dead: {way}");
}

#[test]
fn powering_down_can_be_thought_better_of() {
    for command in [Command::Hold, Command::Hello(HostHello::default())] {
        let mut rig = moving(smooth([0.0; JOINTS]).arm());
        rig.send(Command::PowerDown);
        rig.send(command);
        rig.run(1_000_000);
        assert_eq!(
            (rig.core.state(), rig.servos.torque),
            (State::Holding, true)
        );
    }
}

#[test]
fn powering_down_an_arm_without_torque_or_in_a_fault_disarms() {
    let mut rig = smooth([0.0; JOINTS]);
    rig.send(Command::PowerDown);
    rig.run(TICK_US);
    assert_eq!(rig.core.state(), State::Disarmed);
    let mut rig = smooth([0.0; JOINTS]).arm();
    rig.servos.mute = true;
    rig.run(10 * TICK_US);
    assert_eq!(rig.core.state(), State::Fault);
    rig.send(Command::PowerDown);
    rig.run(TICK_US);
    assert!(!rig.servos.torque);
}

#[test]
fn a_setpoint_reaches_the_servos_with_the_next_tick() {
    for mut rig in [Rig::armed([0.0; JOINTS]), smooth([0.0; JOINTS]).arm()] {
        rig.setpoint(&[0.5; JOINTS], STEP_US);
        rig.run(TICK_US);
        assert!(rig.goals()[0] > 0.0);
    }
}

#[test]
fn nothing_moves_on_arming_on_reconnecting_or_when_the_clock_wraps() {
    let start = [0.5, -1.25, 1.75];
    for rig in [Rig::new(start), smooth(start)] {
        let mut rig = rig.arm();
        rig.run(500_000);
        assert_eq!(rig.goals(), start, "armed");
        rig.send_as(1, Command::Hello(HostHello::default()));
        rig.send_as(2, Command::Arm);
        rig.run(500_000);
        assert_eq!(rig.goals(), start, "reconnected");
        rig.now_us = 0;
        rig.tick();
        assert_eq!(rig.core.hold_reason(), HoldReason::Clock);
        rig.run(500_000);
        assert_eq!(rig.goals(), start, "the clock went back");
        rig.send_as(3, Command::Arm);
        rig.run(TICK_US);
        assert_eq!((rig.core.state(), rig.goals()), (State::Armed, start));
        // And it still starves.
        rig.run(300_000);
        assert_eq!(rig.core.hold_reason(), HoldReason::Starved);
    }
}

#[test]
fn a_clock_that_goes_back_in_mid_motion_brakes_and_forgets_old_setpoints() {
    let mut rig = moving(smooth([0.0; JOINTS]).arm());
    rig.setpoint(&[0.6; JOINTS], 10 * STEP_US);
    let before = rig.goals()[0];
    rig.now_us = 5;
    rig.run(1_000_000);
    let way = rig.goals()[0] - before;
    let braking = 2.0_f32.powi(2) / (2.0 * LIMITS.acceleration);
    assert!(way <= braking + 2.0 * 0.02, "{way}");
    assert_eq!(rig.core.hold_reason(), HoldReason::Clock);
    assert_eq!(rig.telemetry().hold, HoldReason::Clock, "telemetry goes on");
}

#[test]
fn goals_that_could_not_be_written_do_not_get_ahead() {
    let mut rig = moving(smooth([0.0; JOINTS]).arm());
    let before = rig.goals()[0];
    rig.servos.deaf = true;
    rig.run(2 * TICK_US);
    rig.servos.deaf = false;
    rig.run(TICK_US);
    let leap = rig.goals()[0] - before;
    assert!(leap <= LIMITS.velocity * 0.01 + 1e-5, "leapt {leap}");
}
