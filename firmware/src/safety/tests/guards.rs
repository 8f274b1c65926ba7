//! Joints in trouble.

use super::*;
use crate::config::{JointGuard, StallLimit};

const STALL: StallLimit = StallLimit {
    load: 0.8,
    current_a: f32::INFINITY,
    error: 0.1,
    time_us: 200_000,
};

fn guarded(guard: JointGuard) -> Config {
    let mut config = Config::new(&[LIMITS; JOINTS]).unwrap();
    config.guards[0] = guard;
    config.min_voltage_v = 10.0;
    config
}

fn watched(says: ServoState) -> Rig {
    let config = guarded(JointGuard {
        max_temperature_c: 70.0,
        ..JointGuard::OFF
    });
    let mut rig = Rig::with(config, [0.0; JOINTS]);
    rig.servos.says = says;
    rig
}

fn hot(temperature_c: f32) -> ServoState {
    ServoState {
        temperature_c: Some(temperature_c),
        ..ServoState::default()
    }
}

fn weak(voltage_v: f32) -> ServoState {
    ServoState {
        voltage_v: Some(voltage_v),
        ..ServoState::default()
    }
}

/// Sends the same setpoint again and again.
fn drive(rig: &mut Rig, position: f32, steps: usize) {
    for _ in 0..steps {
        rig.setpoint(&[position; JOINTS], STEP_US);
        rig.run(STEP_US);
    }
}

#[test]
fn a_stalled_joint_stops_the_arm_and_eases_off() {
    let stall = JointGuard {
        stall: Some(STALL),
        ..JointGuard::OFF
    };
    let mut rig = Rig::with(guarded(stall), [0.0; JOINTS]).arm();
    rig.servos.wall = Some(0.3);
    drive(&mut rig, 1.0, 20);
    assert_eq!(rig.core.hold_reason(), HoldReason::Stall);
    assert!(rig.servos.torque, "a stall does not drop the arm");
    assert!(rig.core.counters().not_armed > 0, "setpoints are refused");
    let eased = rig.goals()[0];
    assert!(
        (eased - 0.35).abs() < 1e-4,
        "half the stall's error: {eased}"
    );
    // The obstacle goes; nothing moves until the host says so, and then from where the goal is.
    rig.servos.wall = None;
    rig.run(500_000);
    let held = rig.goals();
    rig.send(Command::Arm);
    assert_eq!(rig.core.state(), State::Armed);
    rig.run(TICK_US);
    assert_eq!(rig.goals(), held);
    drive(&mut rig, 1.0, 10);
    assert!((rig.goals()[0] - 1.0).abs() < 1e-4);
}

#[test]
fn a_hard_push_that_passes_is_no_stall() {
    let stall = JointGuard {
        stall: Some(STALL),
        ..JointGuard::OFF
    };
    let mut rig = Rig::with(guarded(stall), [0.0; JOINTS]).arm();
    for _ in 0..10 {
        rig.servos.wall = Some(0.3);
        drive(&mut rig, 1.0, 3);
        rig.servos.wall = None;
        drive(&mut rig, 0.2, 5);
    }
    assert_eq!(rig.core.state(), State::Armed);
}

#[test]
fn heat_and_a_weak_supply_hold_until_they_pass_and_the_host_arms() {
    let cases = [
        (hot(69.0), hot(71.0), HoldReason::Temperature),
        (weak(12.0), weak(9.9), HoldReason::Voltage),
    ];
    for (good, bad, reason) in cases {
        let mut rig = watched(good).arm();
        drive(&mut rig, 0.1, 3);
        assert_eq!(rig.core.state(), State::Armed);
        rig.servos.says = bad;
        drive(&mut rig, 0.2, 2);
        assert_eq!(
            (rig.core.state(), rig.core.hold_reason()),
            (State::Holding, reason)
        );
        assert!(rig.servos.torque);
        let held = rig.goals();
        rig.send(Command::Arm);
        rig.run(TICK_US);
        assert_eq!(
            (rig.core.hold_reason(), rig.core.counters().refused),
            (reason, 1)
        );
        rig.servos.says = good;
        drive(&mut rig, 0.2, 2);
        assert_eq!(rig.core.hold_reason(), reason, "latched");
        rig.send(Command::Arm);
        rig.run(TICK_US);
        assert_eq!((rig.core.state(), rig.goals()), (State::Armed, held));
    }
}

#[test]
fn a_disarmed_arm_in_trouble_is_not_armed_and_says_why() {
    for (bad, reason) in [
        (hot(90.0), HoldReason::Temperature),
        (weak(7.0), HoldReason::Voltage),
    ] {
        let mut rig = watched(bad);
        rig.run(100_000);
        rig.send(Command::Hello(HostHello::default()));
        rig.send(Command::Arm);
        rig.run(TICK_US);
        let telemetry = rig.telemetry();
        assert_eq!((telemetry.state, telemetry.hold), (State::Disarmed, reason));
        assert!(!rig.servos.torque);
        rig.servos.says = ServoState::default();
        rig.run(TICK_US);
        rig.send(Command::Arm);
        rig.run(TICK_US);
        assert_eq!(
            (rig.core.state(), rig.core.hold_reason()),
            (State::Armed, HoldReason::None)
        );
    }
}

#[test]
fn a_capped_joint_presses_no_harder_than_its_cap() {
    let cap = JointGuard {
        torque: 0.4,
        ..JointGuard::OFF
    };
    let mut rig = Rig::with(guarded(cap), [0.0; JOINTS]).arm();
    rig.servos.wall = Some(0.3);
    drive(&mut rig, 1.0, 20);
    assert_eq!(rig.core.state(), State::Armed);
    let load = (rig.goals()[0] - 0.3) * STIFFNESS;
    assert!((load - 0.4).abs() < 0.02, "{load}");
    assert!((rig.goals()[1] - 1.0).abs() < 1e-4, "the others go on");
    // It keeps its grip in a hold, and comes back when asked to.
    rig.send(Command::Hold);
    rig.run(1_000_000);
    let load = (rig.goals()[0] - 0.3) * STIFFNESS;
    assert!((load - 0.4).abs() < 0.02, "{load}");
    rig.send(Command::Arm);
    drive(&mut rig, 0.0, 10);
    assert!(rig.goals()[0].abs() < 1e-4);
}

#[test]
fn an_encoder_that_calls_itself_broken_is_a_failed_read() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    rig.servos.says.alerts = crate::servo::Alerts::ENCODER;
    rig.run(10 * TICK_US);
    assert_eq!(rig.core.fault(), Fault::ServoRead);
}
