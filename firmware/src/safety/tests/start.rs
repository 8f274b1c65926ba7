//! Who may switch torque on, and how an arm begins to follow.

use super::*;
use crate::config::ProofOfLife;

/// Rad.
const NEAR: f32 = 0.3;
const PROOF: ProofOfLife = ProofOfLife {
    setpoints: 5,
    longest_gap_us: 60_000,
};

fn guarded(positions: [f32; JOINTS]) -> Rig {
    let mut config = Config::new(&[LIMITS; JOINTS]).unwrap();
    config
        .guards
        .iter_mut()
        .for_each(|guard| guard.start = NEAR);
    Rig::with(config, positions)
}

/// Streams a target for so long and returns the fastest that a joint went meanwhile, rad/s.
fn stream(rig: &mut Rig, target: [f32; JOINTS], time_us: u64) -> f32 {
    let mut fastest = 0.0_f32;
    for _ in 0..time_us / STEP_US {
        rig.setpoint(&target, STEP_US);
        for _ in 0..STEP_US / TICK_US {
            let before = rig.servos.positions;
            rig.run(TICK_US);
            for (after, before) in rig.servos.positions.iter().zip(before) {
                fastest = fastest.max((after - before).abs() / (TICK_US as f32 * 1e-6));
            }
        }
    }
    fastest
}

const SLOW: f32 = LIMITS.velocity * JointLimits::START_SHARE;
const FAR: [f32; JOINTS] = [1.0, 0.0, 0.0];

#[test]
fn a_first_target_far_away_is_approached_slowly_and_reached() {
    let mut rig = guarded([0.0; JOINTS]).arm();
    let fastest = stream(&mut rig, FAR, 1_000_000);
    assert!((0.9 * SLOW..=1.001 * SLOW).contains(&fastest), "{fastest}");
    assert!((rig.telemetry().speed - JointLimits::START_SHARE).abs() < 1e-6);
    stream(&mut rig, FAR, 3_000_000);
    assert!((rig.servos.positions[0] - 1.0).abs() < 1e-3);
    assert!(rig.core.counters().far_starts > 10);
    // It has started: the next targets are followed at full speed.
    let fastest = stream(&mut rig, [0.0; JOINTS], 500_000);
    assert!(fastest > 5.0 * SLOW, "{fastest}");
}

#[test]
fn a_first_target_nearby_starts_at_once() {
    let mut rig = guarded([0.0; JOINTS]).arm();
    stream(&mut rig, [0.9 * NEAR, 0.0, 0.0], STEP_US);
    assert_eq!(rig.core.counters().far_starts, 0);
    assert!(stream(&mut rig, FAR, 500_000) > 5.0 * SLOW);
}

#[test]
fn every_start_is_guarded_anew() {
    type Again = fn(&mut Rig);
    let starts: [(&str, Again); 4] = [
        ("armed while armed: a new episode", |rig| {
            rig.send(Command::Arm)
        }),
        ("after a hold", |rig| {
            rig.send(Command::Hold);
            rig.run(300_000);
            rig.send(Command::Arm);
        }),
        ("after it starved", |rig| rig.run(500_000)),
        ("after it was disarmed", |rig| {
            rig.send(Command::Disarm);
            rig.run(TICK_US);
            rig.send(Command::Arm);
            rig.run(TICK_US);
        }),
    ];
    for (name, again) in starts {
        let mut rig = guarded([0.0; JOINTS]).arm();
        stream(&mut rig, [0.0; JOINTS], 100_000);
        again(&mut rig);
        let fastest = stream(&mut rig, FAR, 500_000);
        assert!(
            (0.9 * SLOW..=1.001 * SLOW).contains(&fastest),
            "{name}: {fastest}"
        );
    }
}

#[test]
fn a_gripper_that_holds_something_does_not_keep_the_arm_slow() {
    let mut rig = guarded([0.0; JOINTS]);
    rig.core.board.config.guards[0].torque = 0.2;
    rig.servos.wall = Some(0.05);
    let mut rig = rig.arm();
    stream(&mut rig, [0.8, 0.0, 0.0], 4_000_000);
    let fastest = stream(&mut rig, [0.8, 1.0, 0.0], 500_000);
    assert!(fastest > 5.0 * SLOW, "{fastest}");
}

fn proving() -> Rig {
    let mut config = Config::new(&[LIMITS; JOINTS]).unwrap();
    config.proof = Some(PROOF);
    config
        .guards
        .iter_mut()
        .for_each(|guard| guard.start = NEAR);
    let mut rig = Rig::with(config, [0.5; JOINTS]);
    rig.send(Command::Hello(HostHello::default()));
    rig.run(TICK_US);
    rig
}

fn send_every(rig: &mut Rig, gap_us: u64, times: u32, position: f32) {
    for _ in 0..times {
        rig.setpoint(&[position; JOINTS], STEP_US);
        rig.run(gap_us);
    }
}

#[test]
fn torque_comes_only_after_setpoints_at_rate() {
    let mut rig = proving();
    rig.send(Command::Arm);
    rig.run(500_000);
    assert_eq!(
        (rig.core.state(), rig.core.hold_reason(), rig.servos.torque),
        (State::Disarmed, HoldReason::ProofOfLife, false)
    );
    send_every(&mut rig, 20_000, PROOF.setpoints - 1, 0.6);
    assert!(!rig.servos.torque, "one is missing");
    send_every(&mut rig, 20_000, 1, 0.6);
    assert_eq!((rig.core.state(), rig.servos.torque), (State::Armed, true));
    assert_eq!(
        rig.goals(),
        [0.5; JOINTS],
        "where it stands, not where they asked"
    );
}

#[test]
fn setpoints_that_are_too_slow_far_off_bad_or_unasked_for_power_nothing() {
    type Try = fn(&mut Rig);
    let tries: [(&str, Try); 6] = [
        ("too slow", |rig| {
            rig.send(Command::Arm);
            send_every(rig, 80_000, 40, 0.5);
        }),
        ("far from the arm", |rig| {
            rig.send(Command::Arm);
            send_every(rig, 20_000, 40, 0.5 + 2.0 * NEAR);
        }),
        ("not finite", |rig| {
            rig.send(Command::Arm);
            send_every(rig, 20_000, 40, f32::NAN);
        }),
        ("never armed", |rig| send_every(rig, 20_000, 40, 0.5)),
        ("held before", |rig| {
            rig.send(Command::Arm);
            rig.send(Command::Hold);
            send_every(rig, 20_000, 40, 0.5);
        }),
        ("long after arming", |rig| {
            rig.send(Command::Arm);
            rig.run(ProofOfLife::LAPSE_US + 50_000);
            send_every(rig, 20_000, 40, 0.5);
        }),
    ];
    for (name, attempt) in tries {
        let mut rig = proving();
        attempt(&mut rig);
        assert_eq!(
            (rig.core.state(), rig.servos.torque),
            (State::Disarmed, false),
            "{name}"
        );
        assert!(!rig.servos.calls.contains(&Call::Torque(true)), "{name}");
    }
}

#[test]
fn armed_again_while_it_waits_the_board_does_not_count_anew() {
    let mut rig = proving();
    for _ in 0..PROOF.setpoints {
        rig.send(Command::Arm);
        send_every(&mut rig, 20_000, 1, 0.5);
    }
    assert_eq!(rig.core.state(), State::Armed);
}
