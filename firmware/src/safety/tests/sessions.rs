//! Who may arm the board, and what it tells of itself.

use super::*;
use crate::servo::Alerts;
use crate::wire::{Capabilities, Health, Hello, PROTOCOL_VERSION, Pong, Refusal};

const HASH: u32 = 0xdead_beef;

fn hello(version: u16, description_hash: u32) -> Command {
    Command::Hello(HostHello {
        version,
        description_hash,
    })
}

fn answer(rig: &mut Rig) -> Hello {
    match rig.lines().into_iter().next() {
        Some(BoardMessage::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_host_that_fits_can_arm() {
    // The host's version and arm, the board's arm, and what the board says.
    let cases = [
        (PROTOCOL_VERSION, HASH, HASH, Refusal::None),
        (PROTOCOL_VERSION, 0, HASH, Refusal::None),
        (PROTOCOL_VERSION, HASH, 0, Refusal::None),
        (PROTOCOL_VERSION, 5, HASH, Refusal::Description),
        (PROTOCOL_VERSION - 1, HASH, HASH, Refusal::Version),
        (PROTOCOL_VERSION + 1, 5, HASH, Refusal::Version),
    ];
    for (version, theirs, ours, refused) in cases {
        let mut rig = Rig::new([0.0; JOINTS]);
        rig.core.board.config.description_hash = ours;
        rig.send(hello(version, theirs));
        assert_eq!(answer(&mut rig).refused, refused);
        rig.send(Command::Arm);
        rig.tick();
        let expected = if refused == Refusal::None {
            (State::Armed, 0)
        } else {
            (State::Disarmed, 1)
        };
        assert_eq!((rig.core.state(), rig.core.counters().refused), expected);
    }
}

#[test]
fn without_a_hello_nobody_arms() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.send(Command::Arm);
    rig.tick();
    assert_eq!(rig.core.state(), State::Disarmed);
    assert_eq!(rig.core.counters().refused, 1);
}

#[test]
fn a_host_that_does_not_fit_can_still_stop_the_arm() {
    let stops = [
        (Command::Hold, State::Holding),
        (Command::PowerDown, State::Disarmed),
        (Command::Disarm, State::Disarmed),
    ];
    for (stop, state) in stops {
        let mut rig = Rig::armed([0.0; JOINTS]);
        rig.send(hello(1, 0));
        assert_eq!(rig.core.state(), State::Holding, "as with any new host");
        rig.setpoint(&[0.1; JOINTS], STEP_US);
        rig.send(Command::Arm);
        assert_eq!(
            (rig.core.state(), rig.core.counters().refused),
            (State::Holding, 2)
        );
        rig.send(stop);
        rig.run(2 * TICK_US);
        assert_eq!(rig.core.state(), state);
    }
}

#[test]
fn the_hello_names_arm_image_and_capabilities() {
    let mut config = Config::new(&[LIMITS; JOINTS])
        .unwrap()
        .named("wx250s", "nucleo-f411");
    config.min_voltage_v = 10.0;
    config.guards[2].torque = 0.5;
    let mut rig = Rig::with(config, [0.0; JOINTS]);
    rig.send(hello(PROTOCOL_VERSION, 0));
    let hello = answer(&mut rig);
    assert_eq!(
        (hello.arm.as_str(), hello.image.as_str()),
        ("wx250s", "nucleo-f411")
    );
    let expected = Capabilities::FEEDBACK | Capabilities::VOLTAGE_GUARD | Capabilities::TORQUE_CAP;
    assert_eq!(hello.capabilities, expected);
}

#[test]
fn a_ping_is_answered_with_both_of_the_boards_times() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.lines();
    rig.send(Command::Ping { host_time_us: 77 });
    rig.now_us += 300;
    let expected = BoardMessage::Pong(Pong {
        seq: 2,
        host_time_us: 77,
        received_us: 1_000_000,
        time_us: 1_000_300,
    });
    assert_eq!(rig.lines(), [expected]);
    // An old one is not answered.
    rig.send_as(1, Command::Ping { host_time_us: 78 });
    assert_eq!(rig.lines(), []);
}

#[test]
fn health_tells_of_servos_and_loop() {
    let mut rig = Rig::new([0.0; JOINTS]);
    rig.servos.says = ServoState {
        temperature_c: Some(41.0),
        voltage_v: Some(12.2),
        alerts: Alerts::OVERLOAD,
        ..ServoState::default()
    };
    let health = |rig: &mut Rig| -> Vec<Health> {
        let lines = rig.lines().into_iter();
        lines
            .filter_map(|line| match line {
                BoardMessage::Health(health) => Some(health),
                _ => None,
            })
            .collect()
    };
    health(&mut rig);
    rig.run(100_000);
    rig.now_us += 7_000;
    rig.run(390_000);
    assert_eq!(health(&mut rig), []);
    rig.run(10_000);
    let told = health(&mut rig);
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(told.temperatures_c, [41.0; JOINTS]);
    assert!(told.currents_a.iter().all(|current| current.is_nan()));
    assert_eq!(told.alerts, [Alerts::OVERLOAD; JOINTS]);
    assert_eq!((told.ticks, told.longest_tick_us), (50, 17_000));
    rig.run(500_000);
    assert_eq!(
        health(&mut rig)[0].longest_tick_us,
        10_000,
        "since the last"
    );
}
