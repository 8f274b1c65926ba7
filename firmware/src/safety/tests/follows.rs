//! What an armed board follows and how fast: speed scale, targets that only repeat, the stop input.

use super::*;

fn drive(rig: &mut Rig, target: f32, time_us: u64, held: bool) -> f32 {
    let mut fastest = 0.0_f32;
    for _ in 0..time_us / STEP_US {
        rig.target(&[target; JOINTS], STEP_US, held);
        for _ in 0..STEP_US / TICK_US {
            let before = rig.servos.positions[0];
            rig.run(TICK_US);
            let moved = (rig.servos.positions[0] - before).abs();
            fastest = fastest.max(moved / (TICK_US as f32 * 1e-6));
        }
    }
    fastest
}

#[test]
fn a_speed_scale_lowers_the_speed_and_nothing_raises_it() {
    let mut rig = Rig::armed([-2.0; JOINTS]);
    rig.send(Command::Speed { scale: 0.25 });
    let fastest = drive(&mut rig, 2.0, 1_000_000, false);
    assert!((fastest - 0.25 * LIMITS.velocity).abs() < 1e-3, "{fastest}");
    assert_eq!(rig.telemetry().speed, 0.25);
    for scale in [0.0, -1.0, 1.000_1, 2.0, f32::NAN, f32::INFINITY] {
        rig.send(Command::Speed { scale });
        assert_eq!(rig.core.board.speed, 0.25, "{scale}");
    }
    assert_eq!(rig.core.counters().refused, 6);
    rig.send(Command::Speed { scale: 1.0 });
    let fastest = drive(&mut rig, 2.0, 500_000, false);
    assert!(
        fastest > 0.9 * LIMITS.velocity && fastest <= LIMITS.velocity * 1.001,
        "{fastest}"
    );
}

#[test]
fn a_scale_that_changes_in_motion_does_not_jerk_the_arm() {
    let mut rig = Rig::armed([-2.0; JOINTS]);
    drive(&mut rig, 2.0, 500_000, false);
    let dt = TICK_US as f32 * 1e-6;
    let mut velocity = LIMITS.velocity;
    for (tick, scale) in [0.01, 1.0, 0.5, 0.02, 0.3, 1.0, 0.1]
        .into_iter()
        .cycle()
        .take(35)
        .enumerate()
    {
        rig.send(Command::Speed { scale });
        rig.setpoint(&[2.0; JOINTS], STEP_US);
        let before = rig.servos.positions[0];
        rig.run(TICK_US);
        let now = (rig.servos.positions[0] - before) / dt;
        assert!(
            (now - velocity).abs() <= LIMITS.acceleration * dt * 1.01 + 1e-3,
            "tick {tick}: {velocity} to {now}"
        );
        velocity = now;
    }
}

#[test]
fn a_hello_takes_the_speed_of_the_configuration() {
    let config = Config {
        speed: 0.5,
        ..Config::new(&[LIMITS; JOINTS]).unwrap()
    };
    let mut rig = Rig::with(config, [0.0; JOINTS]).arm();
    assert_eq!(rig.telemetry().speed, 0.5);
    rig.send(Command::Speed { scale: 0.125 });
    rig.send(Command::Hello(HostHello::default()));
    assert_eq!(rig.telemetry().speed, 0.5);
}

#[test]
fn a_host_that_does_not_fit_sets_no_speed() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.send(Command::Speed { scale: 0.5 });
    assert_eq!(
        (rig.core.board.speed, rig.core.counters().refused),
        (1.0, 1)
    );
}

#[test]
fn a_late_policy_is_told_apart_from_a_lost_link() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    drive(&mut rig, 0.2, 500_000, false);
    drive(&mut rig, 0.2, 1_200_000, true);
    assert_eq!(
        (rig.core.state(), rig.core.hold_reason(), rig.servos.torque),
        (State::Holding, HoldReason::PolicyLate, true)
    );
    let counters = *rig.core.counters();
    assert_eq!((counters.policy_late, counters.starved), (1, 0));
    assert!(counters.held > 15, "{counters:?}");
    // Repeated targets do not go on, a new one does.
    drive(&mut rig, 0.2, 200_000, true);
    assert_eq!(rig.core.hold_reason(), HoldReason::PolicyLate);
    drive(&mut rig, 0.3, 200_000, false);
    assert_eq!(rig.core.state(), State::Armed);
    rig.run(300_000);
    let counters = *rig.core.counters();
    assert_eq!(
        (
            rig.core.hold_reason(),
            counters.policy_late,
            counters.starved
        ),
        (HoldReason::Starved, 1, 1)
    );
}

#[test]
fn a_link_lost_after_a_late_policy_is_said_so() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    drive(&mut rig, 0.2, 1_200_000, true);
    assert_eq!(rig.core.hold_reason(), HoldReason::PolicyLate);
    rig.run(300_000);
    assert_eq!(
        (rig.core.hold_reason(), rig.core.counters().starved),
        (HoldReason::Starved, 1)
    );
}

#[test]
fn the_stop_input_holds_until_it_is_released_and_the_board_armed() {
    let mut rig = Rig::armed([0.0; JOINTS]);
    drive(&mut rig, 2.0, 300_000, false);
    rig.core.set_stop(true);
    let before = rig.servos.positions[0];
    rig.run(200_000);
    assert_eq!(
        (rig.core.state(), rig.core.hold_reason(), rig.servos.torque),
        (State::Holding, HoldReason::Stop, true)
    );
    let way = rig.servos.positions[0] - before;
    assert!(way > 0.0 && way < 0.2, "it braked: {way}");
    for command in [
        Command::Arm,
        Command::Hold,
        Command::Arm,
        Command::Hello(HostHello::default()),
        Command::Arm,
    ] {
        rig.send(command);
        rig.core.set_stop(true);
        drive(&mut rig, 0.0, 100_000, false);
        assert_eq!(rig.core.state(), State::Holding);
    }
    assert_eq!(
        (rig.core.counters().stops, rig.core.counters().refused),
        (1, 3)
    );
    rig.core.set_stop(false);
    let rests = rig.servos.positions;
    drive(&mut rig, 0.0, 200_000, false);
    assert_eq!(
        rig.servos.positions, rests,
        "the release alone lets nothing go on"
    );
    rig.send(Command::Arm);
    drive(&mut rig, 0.0, 1_000_000, false);
    assert_eq!(rig.core.state(), State::Armed);
    assert!(rig.servos.positions[0].abs() < 1e-3);
}

#[test]
fn a_board_whose_stop_input_is_active_powers_no_arm() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.core.set_stop(true);
    rig.send(Command::Hello(HostHello::default()));
    rig.send(Command::Arm);
    rig.run(50_000);
    assert_eq!(
        (rig.core.state(), rig.core.hold_reason(), rig.servos.torque),
        (State::Disarmed, HoldReason::Stop, false)
    );
    rig.core.set_stop(false);
    rig.run(50_000);
    assert_eq!(
        (rig.core.hold_reason(), rig.servos.torque),
        (HoldReason::None, false)
    );
    rig.send(Command::Arm);
    rig.run(50_000);
    assert_eq!(rig.core.state(), State::Armed);
}

#[test]
fn a_stopped_arm_can_still_be_powered_down_and_disarmed() {
    for command in [Command::PowerDown, Command::Disarm] {
        let mut rig = Rig::armed([0.0; JOINTS]);
        rig.core.set_stop(true);
        rig.run(50_000);
        rig.send(command);
        for _ in 0..20 {
            rig.core.set_stop(true);
            rig.run(TICK_US);
        }
        assert!(!rig.servos.torque);
    }
}
