//! The firmware's serial servo drivers against simulated servos that misbehave. Both sides were written from the manuals and
//! share no code.

use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::{
    BusError, BusOptions, BusServo as Servo, Protocol, SerialServos, ServoModel as Model,
};
use wink_firmware::servo::{
    Alerts, ServoBus as _, ServoState, TickCalibration, Transmission,
};
use wink_firmware::{Config, Core, State};
use wink_runtime::arm::{ArmDescription, GRIPPER, WIRE_JOINTS};
use wink_sim::bus::{BusEnd, BusServo, Coupling, LineNoise, ServoBus, ServoFaults, ServoModel};
use wink_sim::servos::Servos;
use wink_sim::{Scene, SimOptions, Split, Table};

const SUBSTEP_US: u64 = 10_000;

const CRANK: Transmission = Transmission::Crank {
    horn_m: 0.014,
    rod_m: 0.024,
};

fn driven(id: u8, joint: usize, model: Model) -> Servo {
    Servo {
        id,
        model,
        joint: joint as u8,
        calibration: TickCalibration {
            transmission: if joint == GRIPPER {
                CRANK
            } else {
                Transmission::Direct
            },
            ..TickCalibration::CENTRED
        },
        max_ticks_per_s: 0,
        max_torque_permille: 1000,
    }
}

fn coupling(joint: usize) -> Coupling {
    if joint == GRIPPER {
        Coupling::wx250s_gripper()
    } else {
        Coupling::direct(joint)
    }
}

/// The WidowX 250S on seven STS3215.
fn feetech() -> FeetechServos<BusEnd> {
    let bus = ServoBus::new(
        (0..WIRE_JOINTS)
            .map(|joint| BusServo::new(joint as u8 + 1, ServoModel::Sts3215).on(coupling(joint))),
    );
    let servos: Vec<Servo> = (0..WIRE_JOINTS)
        .map(|joint| driven(joint as u8 + 1, joint, Model::Sts3215))
        .collect();
    FeetechServos::new(BusEnd::new(bus), &servos, BusOptions::default()).unwrap()
}

/// The WidowX 250S as it is sold: nine Dynamixel, two of which mirror others and listen to their ids.
fn dynamixel() -> DynamixelServos<BusEnd> {
    // Id, joint, whether it is mounted the other way round, secondary id.
    let list: [(u8, usize, bool, u8); 9] = [
        (1, 0, false, 255),
        (2, 1, false, 255),
        (3, 1, true, 2),
        (4, 2, false, 255),
        (5, 2, true, 4),
        (6, 3, false, 255),
        (7, 4, true, 255),
        (8, 5, false, 255),
        (9, 6, false, 255),
    ];
    let bus = ServoBus::new(list.map(|(id, joint, reversed, secondary)| {
        let model = if id < 8 {
            ServoModel::Xm430W350
        } else {
            ServoModel::Xl430W250
        };
        BusServo::new(id, model)
            .with(12, &[secondary])
            .on(Coupling {
                reversed,
                ..coupling(joint)
            })
    }));
    let servos = list.map(|(id, joint, reversed, _)| {
        let model = if id < 8 {
            Model::Xm430W350
        } else {
            Model::Xl430W250
        };
        let mut servo = driven(id, joint, model);
        servo.calibration.reversed = reversed;
        servo
    });
    DynamixelServos::new(BusEnd::new(bus), &servos, BusOptions::default()).unwrap()
}

fn joints() -> Servos {
    Servos::new(&ArmDescription::wx250s(), SUBSTEP_US as f64 * 1e-6)
}

/// Lets the joints move for so many substeps.
fn pass<L: Protocol>(
    arm: &mut SerialServos<BusEnd, L>,
    joints: &mut Servos,
    substeps: usize,
) {
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

on_both!(goals_are_reached_and_read_back);
on_both!(torque_is_what_moves);
on_both!(a_servo_that_fails_is_named_and_the_bus_recovers);
on_both!(complaints_reach_the_board);
on_both!(an_arm_without_power_is_found_without_torque);
on_both!(one_byte_in_a_hundred_is_survived);
on_both!(one_byte_in_ten_is_no_wrong_position);
on_both!(an_echo_changes_nothing);
on_both!(the_firmware_holds_its_pose_through_faults);

/// Ids at which faults are tried: neither the first nor the last, and on a joint of its own.
const FAULTY: u8 = 6;

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
            assert!((f64::from(*position) - truth).abs() < 1e-3, "joint {joint}: {position}");
        }
        arm.write(&home).unwrap();
        arm.set_torque(true).unwrap();
        pass(&mut arm, &mut joints, 20);
        for (joint, position) in home.iter().enumerate() {
            let moved = joints.position(joint) - f64::from(*position);
            assert!(moved.abs() < 2e-3, "joint {joint} jumped by {moved} on arming");
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
            assert!((truth - f64::from(*goal)).abs() < 2e-3, "joint {joint} at {truth}");
            let measured = f64::from(states[joint].position);
            assert!((measured - truth).abs() < 1e-3, "joint {joint}: {measured} for {truth}");
        }
        for _ in 0..9 {
            read(&mut arm).unwrap();
        }
        let healthy = read(&mut arm).unwrap();
        assert!(healthy.iter().all(|state| state.temperature_c == Some(35.0)));
        assert!(healthy.iter().all(|state| state.voltage_v == Some(12.0)));
        assert!(healthy.iter().all(|state| state.alerts.is_empty()));
    }

    pub fn torque_is_what_moves<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        arm.write(&[0.5; WIRE_JOINTS]).unwrap();
        pass(&mut arm, &mut joints, 50);
        assert_eq!(joints.angles(), ArmDescription::wx250s().home());
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
            ServoFaults { mute: true, ..whole },
            ServoFaults { unplugged: true, ..whole },
            ServoFaults { answers_as: Some(99), ..whole },
            ServoFaults { answers_as: Some(1), ..whole },
            ServoFaults { late_us: 30_000, ..whole },
        ];
        for faults in failures {
            read(&mut arm).unwrap();
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = faults;
            let start_us = arm.port_mut().now_us();
            let failed = read(&mut arm);
            assert_eq!(failed, Err(BusError::NoAnswer { id: FAULTY }), "{faults:?}");
            let took_us = arm.port_mut().now_us() - start_us;
            assert!(took_us < 10_000, "{faults:?}: {took_us} us");
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
            (ServoFaults { undervoltage: true, ..whole }, Alerts::VOLTAGE),
            (ServoFaults { overheating: true, ..whole }, Alerts::OVERHEATING),
            (ServoFaults { overload: true, ..whole }, Alerts::OVERLOAD),
        ] {
            *arm.port_mut().bus_mut().faults_mut(FAULTY).unwrap() = faults;
            pass(&mut arm, &mut joints, 1);
            // At once the complaint, in its turn the value.
            let alerts = read(&mut arm).unwrap().map(|state| state.alerts);
            assert!(alerts[if FAULTY == 6 { joint_of::<L>() } else { 0 }].contains(alert));
            for _ in 0..10 {
                read(&mut arm).unwrap();
            }
            let state = read(&mut arm).unwrap()[joint_of::<L>()];
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

    /// The joint that the servo with the id [`FAULTY`] is on.
    fn joint_of<L: Protocol>() -> usize {
        if L::DRIVE_MODE.is_some() { 3 } else { 5 }
    }

    pub fn an_arm_without_power_is_found_without_torque<L: Protocol>(
        mut arm: SerialServos<BusEnd, L>,
    ) {
        let mut joints = joints();
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        arm.set_torque(true).unwrap();
        arm.port_mut().bus_mut().power_cycle();
        assert!(arm.port_mut().bus_mut().servos().iter().all(|servo| !servo.has_torque()));
        // What prepare has set stays, and is not set again.
        pass(&mut arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        let states = read(&mut arm).unwrap();
        assert!((f64::from(states[4].position) - joints.position(4)).abs() < 1e-3);
    }

    /// Reads `count` times at a joint position that changes; returns how often that worked and how often a position was
    /// wrong.
    fn read_through_noise<L: Protocol>(
        arm: &mut SerialServos<BusEnd, L>,
        noise: LineNoise,
        count: usize,
    ) -> (usize, usize) {
        let mut joints = joints();
        pass(arm, &mut joints, 1);
        arm.prepare(&[]).unwrap();
        arm.write(&[1.0; WIRE_JOINTS]).unwrap();
        arm.set_torque(true).unwrap();
        arm.port_mut().bus_mut().set_noise(noise);
        let (mut good, mut wrong) = (0, 0);
        for _ in 0..count {
            pass(arm, &mut joints, 1);
            let Ok(states) = read(arm) else {
                continue;
            };
            good += 1;
            let off = states.iter().enumerate().any(|(joint, state)| {
                (f64::from(state.position) - joints.position(joint)).abs() > 1e-3
            });
            wrong += usize::from(off);
        }
        (good, wrong)
    }

    pub fn one_byte_in_a_hundred_is_survived<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let noise = LineNoise::new(0.01, 0.01, 5);
        let (good, wrong) = read_through_noise(&mut arm, noise, 1000);
        assert_eq!(wrong, 0);
        // Never three failures in a row, after which the firmware would hold, would take 99% or so.
        assert!(good > 600, "{good} of 1000");
    }

    pub fn one_byte_in_ten_is_no_wrong_position<L: Protocol>(mut arm: SerialServos<BusEnd, L>) {
        let noise = LineNoise::new(0.1, 0.1, 6);
        let (good, wrong) = read_through_noise(&mut arm, noise, 1000);
        assert_eq!(wrong, 0, "of {good}");
        // The noise over, everything is as before.
        arm.port_mut().bus_mut().set_noise(LineNoise::none());
        read(&mut arm).unwrap();
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
        let mut table = Table::new(&scene, SimOptions::default());
        let config: Config = ArmDescription::wx250s().firmware_config();
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
            (1, wink_firmware::wire::Command::Hello),
            (2, wink_firmware::wire::Command::Arm),
        ] {
            let message = wink_firmware::wire::HostMessage { seq, command };
            let length = wink_firmware::wire::encode_host(&message, &mut line).unwrap();
            core.receive(&line[..length], 0);
        }
        run(&mut core, &mut arm, 10);
        assert_eq!(core.state(), State::Armed);
        for faults in [
            ServoFaults { mute: true, ..ServoFaults::default() },
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
