//! The firmware's serial servo drivers against simulated servos that misbehave. Both sides were written from the manuals and
//! share no code.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::{
    BusError, BusOptions, BusServo as Servo, Protocol, SerialServos,
};
use wink_firmware::servo::{Alerts, ServoBus as _, ServoState};
use wink_firmware::{Config, Core, State};
use wink_runtime::arm::{ArmDescription, ArmServos};
use wink_sim::bus::{BusEnd, LineNoise, ServoBus, ServoFaults};
use wink_sim::servos::Servos;
use wink_sim::{Scene, SimOptions, Split, Table, Workcell};

const WIRE_JOINTS: usize = 7;
const WX250S: &str = include_str!("../../arms/wx250s.toml");
const SO101: &str = include_str!("../../arms/so101.toml");
const SUBSTEP_US: u64 = 10_000;

/// An arm's servos and what its file tells their driver.
fn bus(text: &str) -> (BusEnd, Vec<Servo>) {
    let arm = ArmDescription::from_toml(text).unwrap();
    let bus = ServoBus::for_arm(&arm).unwrap();
    let Some(ArmServos::Bus { servos, .. }) = arm.servos() else {
        panic!("no bus");
    };
    (BusEnd::new(bus), servos.clone())
}

/// The WidowX 250S on seven STS3215.
fn feetech() -> FeetechServos<BusEnd> {
    let text = WX250S
        .replace("\"dynamixel_xm430_w350\"", "\"feetech_sts3215\"")
        .replace("\"dynamixel_xl430_w250\"", "\"feetech_sts3215\"")
        .replace("[2, 3]", "[2]")
        .replace("[4, 5]", "[4]");
    let (end, servos) = bus(&text);
    FeetechServos::new(end, &servos, BusOptions::default()).unwrap()
}

/// The WidowX 250S as it is sold: nine Dynamixels, two of which mirror others and listen to their ids.
fn dynamixel() -> DynamixelServos<BusEnd> {
    let (end, servos) = bus(WX250S);
    DynamixelServos::new(end, &servos, BusOptions::default()).unwrap()
}

/// The same arm on Dynamixels XL330.
fn xl330() -> DynamixelServos<BusEnd> {
    let text = WX250S
        .replace("dynamixel_xm430_w350", "dynamixel_xl330_m288")
        .replace("dynamixel_xl430_w250", "dynamixel_xl330_m077");
    let (end, servos) = bus(&text);
    DynamixelServos::new(end, &servos, BusOptions::default()).unwrap()
}

fn joints() -> Servos {
    Servos::new(&wink_sim::setup::WX250S, &wink_sim::arm())
}

/// Lets the joints move for so many substeps.
fn pass<L: Protocol>(arm: &mut SerialServos<BusEnd, L>, joints: &mut Servos, substeps: usize) {
    for _ in 0..substeps {
        let end = arm.port_mut();
        end.sleep_until(end.now_us() + SUBSTEP_US);
        end.bus_mut().exchange(joints);
        joints.advance(&joints.drive());
    }
    arm.port_mut().bus_mut().exchange(joints);
}

fn read<L: Protocol>(
    arm: &mut SerialServos<BusEnd, L>,
) -> Result<[ServoState; WIRE_JOINTS], BusError<std::convert::Infallible>> {
    let mut states = [ServoState::default(); WIRE_JOINTS];
    arm.read(&mut states).map(|()| states)
}

/// Both arms through the same test.
macro_rules! on_both {
    ($test:ident) => {
        mod $test {
            #[test]
            fn feetech() {
                super::on::$test(super::feetech());
            }

            #[test]
            fn dynamixel() {
                super::on::$test(super::dynamixel());
            }
        }
    };
}

#[test]
fn xl330_reach_their_goals_and_tell_their_complaints() {
    on::goals_are_reached_and_read_back(xl330());
    on::torque_is_what_moves(xl330());
    on::complaints_reach_the_board(xl330());
}

#[test]
fn an_arm_without_a_gripper_is_driven_by_its_firmware() {
    let (before, rest) = SO101.split_once("[gripper]").unwrap();
    let (_, after) = rest.split_once("[servos]").unwrap();
    let text = format!("{before}[servos]{after}");
    let arm = ArmDescription::from_toml(&text).unwrap();
    let (end, servos) = bus(&text);
    let mut driver = FeetechServos::new(end, &servos, BusOptions::default()).unwrap();
    let mut joints = Servos::new(&wink_sim::setup::SO101, &arm);
    assert_eq!((joints.count(), joints.finger_m()), (5, 0.0));
    pass(&mut driver, &mut joints, 1);
    driver.prepare(&[]).unwrap();
    let mut core = Core::new(arm.firmware_config()).unwrap();
    let mut line = [0; wink_firmware::wire::MAX_LINE];
    let hello = wink_firmware::wire::HostHello {
        description_hash: arm.hash(),
        ..Default::default()
    };
    let goals = [0.3, -0.2, 0.4, 1.2, -0.5];
    let mut commands = vec![
        wink_firmware::wire::Command::Hello(hello),
        wink_firmware::wire::Command::Arm,
    ];
    for step in 0..200_u32 {
        let now_us = driver.port_mut().now_us();
        commands.push(wink_firmware::wire::Command::Setpoint(
            wink_firmware::wire::Setpoint {
                deadline_us: now_us + 400_000,
                positions: goals.into_iter().collect(),
                held: false,
            },
        ));
        for (number, command) in (1..).zip(commands.drain(..)) {
            let seq = 10 * step + number;
            let message = wink_firmware::wire::HostMessage { seq, command };
            let length = wink_firmware::wire::encode_host(&message, &mut line).unwrap();
            core.receive(&line[..length], now_us);
            core.tick(now_us, &mut driver);
        }
        pass(&mut driver, &mut joints, 1);
    }
    assert_eq!(core.state(), State::Armed);
    for (joint, goal) in goals.iter().enumerate() {
        let at = joints.position(joint);
        assert!(
            (at - f64::from(*goal)).abs() < 4e-3,
            "joint {joint} at {at}"
        );
    }
}

on_both!(goals_are_reached_and_read_back);
on_both!(torque_is_what_moves);
on_both!(a_servo_that_fails_is_named_and_the_bus_recovers);
on_both!(complaints_reach_the_board);
on_both!(an_arm_without_power_is_found_without_torque);
on_both!(one_byte_in_a_hundred_is_survived);
on_both!(three_bytes_in_a_hundred_are_survived);
on_both!(one_byte_in_ten_is_too_much_and_harmless);
on_both!(an_echo_changes_nothing);
on_both!(the_firmware_holds_its_pose_through_faults);

/// Ids at which faults are tried: neither the first nor the last, and on a joint of its own.
const FAULTY: u8 = 6;
/// Forearm roll.
const FAULTY_JOINT: usize = 3;

mod on {
    use super::*;

    pub fn goals_are_reached_and_read_back<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        let at_home = read(&mut arm).unwrap();
        let home: Vec<f32> = at_home.iter().map(|state| state.position).collect();
        for (joint, position) in home.iter().enumerate() {
            let truth = joints.position(joint);
            assert!(
                (f64::from(*position) - truth).abs() < 1e-3,
                "joint {joint}: {position}"
            );
        }
        arm.write(&home).unwrap();
        arm.set_torque(true).unwrap();
        pass(&mut arm, &mut joints, 20);
        for (joint, position) in home.iter().enumerate() {
            let moved = joints.position(joint) - f64::from(*position);
            assert!(
                moved.abs() < 2e-3,
                "joint {joint} jumped by {moved} on arming"
            );
        }
        let goals = [0.5, -0.4, 0.3, 1.0, 0.2, -1.0, 0.02];
        arm.write(&goals).unwrap();
        pass(&mut arm, &mut joints, 5);
        let moving = read(&mut arm).unwrap();
        assert!(moving[0].velocity > 0.5, "{}", moving[0].velocity);
        assert!(moving[1].velocity < -0.3, "{}", moving[1].velocity);
        assert!(moving[0].load > 0.0 && moving[5].load < 0.0);
        pass(&mut arm, &mut joints, 150);
        let states = read(&mut arm).unwrap();
        for (joint, goal) in goals.iter().enumerate() {
            let truth = joints.position(joint);
            assert!(
                (truth - f64::from(*goal)).abs() < 2e-3,
                "joint {joint} at {truth}"
            );
            let measured = f64::from(states[joint].position);
            assert!(
                (measured - truth).abs() < 1e-3,
                "joint {joint}: {measured} for {truth}"
            );
        }
        for _ in 0..9 {
            read(&mut arm).unwrap();
        }
        let healthy = read(&mut arm).unwrap();
        assert!(
            healthy
                .iter()
                .all(|state| state.temperature_c == Some(35.0))
        );
        assert!(healthy.iter().all(|state| state.voltage_v == Some(12.0)));
        assert!(healthy.iter().all(|state| state.alerts.is_empty()));
    }

    pub fn torque_is_what_moves<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        arm.write(&[0.5; WIRE_JOINTS]).unwrap();
        pass(&mut arm, &mut joints, 50);
        assert_eq!(joints.angles(), wink_sim::arm().home());
        arm.set_torque(true).unwrap();
        pass(&mut arm, &mut joints, 100);
        assert!((joints.position(0) - 0.5).abs() < 2e-3);
        arm.set_torque(false).unwrap();
        arm.write(&[0.0; WIRE_JOINTS]).unwrap();
        pass(&mut arm, &mut joints, 50);
        assert!((joints.position(0) - 0.5).abs() < 2e-3);
    }

    pub fn a_servo_that_fails_is_named_and_the_bus_recovers<L: Protocol>(
        mut arm: SerialServos<BusEnd, L>,
    ) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        let whole = ServoFaults::default();
        let failures = [
            ServoFaults {
                mute: true,
                ..whole
            },
            ServoFaults {
                unplugged: true,
                ..whole
            },
            ServoFaults {
                answers_as: Some(99),
                ..whole
            },
            ServoFaults {
                answers_as: Some(1),
                ..whole
            },
            ServoFaults {
                late_us: 30_000,
                ..whole
            },
        ];
        for faults in failures {
            read(&mut arm).unwrap();
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = faults;
            let start_us = arm.port_mut().now_us();
            let failed = read(&mut arm);
            assert_eq!(failed, Err(BusError::NoAnswer { id: FAULTY }), "{faults:?}");
            let took_us = arm.port_mut().now_us() - start_us;
            assert!(took_us < 20_000, "{faults:?}: {took_us} us");
            // Torque is switched wherever it can be.
            assert!(arm.set_torque(true).is_err());
            let servos = arm.port_mut().bus_mut().servos().to_vec();
            for servo in servos.iter().filter(|servo| servo.id() != FAULTY) {
                assert!(servo.has_torque(), "{faults:?}: {}", servo.id());
            }
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = whole;
            // What was late may still come; it is not mistaken for news.
            pass(&mut arm, &mut joints, 5);
        }
        read(&mut arm).unwrap();
        // A little late is in time.
        arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap().late_us = 500;
        read(&mut arm).unwrap();
    }

    pub fn complaints_reach_the_board<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        let whole = ServoFaults::default();
        for (faults, alert) in [
            (
                ServoFaults {
                    undervoltage: true,
                    ..whole
                },
                Alerts::VOLTAGE,
            ),
            (
                ServoFaults {
                    overheating: true,
                    ..whole
                },
                Alerts::OVERHEATING,
            ),
            (
                ServoFaults {
                    overload: true,
                    ..whole
                },
                Alerts::OVERLOAD,
            ),
        ] {
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = faults;
            pass(&mut arm, &mut joints, 1);
            // At once the complaint, in its turn the value.
            let alerts = read(&mut arm).unwrap().map(|state| state.alerts);
            assert!(alerts[FAULTY_JOINT].contains(alert));
            for _ in 0..10 {
                read(&mut arm).unwrap();
            }
            let state = read(&mut arm).unwrap()[FAULTY_JOINT];
            match alert {
                Alerts::VOLTAGE => assert_eq!(state.voltage_v, Some(3.9)),
                Alerts::OVERHEATING => assert_eq!(state.temperature_c, Some(85.0)),
                _ => {}
            }
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = whole;
            arm.reboot(FAULTY).unwrap();
            pass(&mut arm, &mut joints, 1);
            for _ in 0..10 {
                read(&mut arm).unwrap();
            }
            let alerts = read(&mut arm).unwrap().map(|state| state.alerts);
            assert_eq!(alerts, [Alerts::empty(); WIRE_JOINTS]);
        }
    }

    pub fn an_arm_without_power_is_found_without_torque<L: Protocol>(
        mut arm: SerialServos<BusEnd, L>,
    ) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        arm.set_torque(true).unwrap();
        arm.port_mut().bus_mut().power_cycle();
        assert!(
            arm.port_mut()
                .bus_mut()
                .servos()
                .iter()
                .all(|servo| !servo.has_torque())
        );
        // What prepare has set stays, and is not set again.
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        let states = read(&mut arm).unwrap();
        assert!((f64::from(states[4].position) - joints.position(4)).abs() < 1e-3);
    }

    /// What came of reading through noise.
    struct Outcome {
        good: usize,
        /// Of the good ones, those with a position that was not true.
        wrong: usize,
        /// How far the worst of those was off, rad.
        worst: f64,
    }

    /// Reads 1000 times on an arm that moves to and fro.
    fn read_through_noise<L: Protocol>(
        arm: &mut SerialServos<BusEnd, L>,
        noise: LineNoise,
        retries: u8,
    ) -> Outcome {
        let mut joints = joints();
        pass(arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        arm.set_torque(true).unwrap();
        arm.set_options(BusOptions {
            retries,
            ..BusOptions::default()
        });
        arm.port_mut().bus_mut().set_noise(noise);
        let mut outcome = Outcome {
            good: 0,
            wrong: 0,
            worst: 0.0,
        };
        for step in 0..1000 {
            let goal = if step / 50 % 2 == 0 { 0.5 } else { -0.5 };
            arm.write(&[goal, goal, goal, goal, goal, goal, 0.02])
                .unwrap();
            pass(arm, &mut joints, 1);
            let Ok(states) = read(arm) else {
                continue;
            };
            outcome.good += 1;
            let off = states
                .iter()
                .enumerate()
                .map(|(joint, state)| (f64::from(state.position) - joints.position(joint)).abs());
            let worst = off.fold(0.0, f64::max);
            outcome.wrong += usize::from(worst > 1e-3);
            outcome.worst = outcome.worst.max(worst);
        }
        arm.port_mut().bus_mut().set_noise(LineNoise::none());
        arm.set_options(BusOptions::default());
        // Time enough for the servos to give up what half a packet promised.
        pass(arm, &mut joints, 1);
        read(arm).unwrap();
        outcome
    }

    /// A wrong position is one that a damaged packet brought whose check sum fits all the same. A CRC of 16 bits lets none
    /// through here, a sum of 8 bits some; never one that is far off.
    fn check<L: Protocol>(outcome: &Outcome, least_good: usize) {
        let Outcome { good, wrong, worst } = *outcome;
        let most_wrong = if L::DRIVE_MODE.is_some() {
            0
        } else {
            good / 100
        };
        assert!(good >= least_good, "{good} of 1000 reads");
        assert!(wrong <= most_wrong, "{wrong} of {good} are wrong");
        assert!(worst < 0.1, "{worst} rad off");
    }

    pub fn one_byte_in_a_hundred_is_survived<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let outcome = read_through_noise(&mut arm, LineNoise::new(0.01, 0.01, 5), 2);
        check::<L>(&outcome, 700);
    }

    pub fn three_bytes_in_a_hundred_are_survived<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let outcome = read_through_noise(&mut arm, LineNoise::new(0.03, 0.03, 6), 5);
        check::<L>(&outcome, 300);
    }

    pub fn one_byte_in_ten_is_too_much_and_harmless<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let outcome = read_through_noise(&mut arm, LineNoise::new(0.1, 0.1, 7), 2);
        check::<L>(&outcome, 0);
        assert!(outcome.good < 500, "{} of 1000 reads", outcome.good);
    }

    pub fn an_echo_changes_nothing<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        let silent = read(&mut arm).unwrap();
        arm.port_mut().bus_mut().set_echo(true);
        arm.set_options(BusOptions {
            echo: true,
            ..BusOptions::default()
        });
        arm.prepare(&[]).unwrap();
        assert_eq!(
            read(&mut arm).unwrap().map(|state| state.position),
            silent.map(|state| state.position)
        );
        arm.port_mut().bus_mut().set_echo(false);
        assert_eq!(read(&mut arm), Err(BusError::Echo));
    }

    /// Host silent, a servo away and back: the arm never moves.
    pub fn the_firmware_holds_its_pose_through_faults<L: Protocol>(
        mut arm: SerialServos<BusEnd, L>,
    ) {
        let scene = Scene::new(Split::Val, 0);
        let mut table = Workcell::new(Table::from(&scene), SimOptions::default());
        let config: Config = wink_sim::arm().firmware_config();
        let mut core = Core::new(config).unwrap();
        let mut run = |core: &mut Core, arm: &mut SerialServos<BusEnd, L>, ticks: usize| {
            for _ in 0..ticks {
                let now_us = table.now_us();
                arm.port_mut().sleep_until(now_us);
                arm.port_mut().bus_mut().exchange(table.servos_mut());
                core.tick(now_us, arm);
                arm.port_mut().bus_mut().exchange(table.servos_mut());
                table.substep();
            }
            table.truth().joint_angles
        };
        let home = run(&mut core, &mut arm, 1);
        let mut line = [0; wink_firmware::wire::MAX_LINE];
        for (seq, command) in [
            (
                1,
                wink_firmware::wire::Command::Hello(wink_firmware::wire::HostHello::default()),
            ),
            (2, wink_firmware::wire::Command::Arm),
        ] {
            let message = wink_firmware::wire::HostMessage { seq, command };
            let length = wink_firmware::wire::encode_host(&message, &mut line).unwrap();
            core.receive(&line[..length], 0);
        }
        run(&mut core, &mut arm, 10);
        assert_eq!(core.state(), State::Armed);
        for faults in [
            ServoFaults {
                mute: true,
                ..ServoFaults::default()
            },
            ServoFaults::default(),
        ] {
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = faults;
            let angles = run(&mut core, &mut arm, 100);
            for (angle, home) in angles.iter().zip(home) {
                assert!((angle - home).abs() < 2e-3, "{angle} instead of {home}");
            }
            assert_ne!(core.state(), State::Disarmed);
        }
    }
}
