//! The bus from the board's side, and from the joints'.

use super::*;
use crate::servos::Servos;
use crate::setup::WX250S;

const GRIPPER: usize = 6;

const PING_1: [u8; 6] = [0xff, 0xff, 0x01, 0x02, 0x01, 0xfb];
/// The manual's example 8, for ids 1 and 2.
const SYNC_READ: [u8; 10] = [0xff, 0xff, 0xfe, 0x06, 0x82, 0x38, 0x08, 0x01, 0x02, 0x36];
const DXL_PING_1: [u8; 10] = [0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x01, 0x19, 0x4e];

fn feetech_bus(ids: &[u8]) -> ServoBus {
    ServoBus::new(ids.iter().map(|id| BusServo::new(*id, ServoModel::Sts3215)))
}

/// Everything the servos say to `bytes`, sent at `now_us`.
fn ask(bus: &mut ServoBus, now_us: u64, bytes: &[u8]) -> Vec<u8> {
    bus.receive(now_us, bytes);
    let mut answer = vec![];
    bus.send(u64::MAX, &mut answer);
    answer
}

fn sts(id: u8, instruction: u8, parameters: &[u8]) -> Vec<u8> {
    // A status packet has the same form, with its error in the instruction's place.
    feetech::status(id, instruction, parameters)
}

#[test]
fn a_pinged_servo_answers_in_its_time() {
    let mut bus = feetech_bus(&[1, 2]);
    bus.receive(1_000, &PING_1);
    assert_eq!(bus.next_due_us(), Some(1_012));
    let mut answer = vec![];
    bus.send(1_011, &mut answer);
    assert!(answer.is_empty());
    bus.send(1_042, &mut answer);
    assert_eq!(answer, [0xff, 0xff, 0x01, 0x02]);
    bus.send(1_062, &mut answer);
    assert_eq!(answer, [0xff, 0xff, 0x01, 0x02, 0x00, 0xfc]);
    assert_eq!(bus.next_due_us(), None);
}

#[test]
fn a_sync_read_is_answered_in_the_order_asked_for() {
    let mut bus = feetech_bus(&[2, 1, 3]);
    let answer = ask(&mut bus, 0, &SYNC_READ);
    let ids: Vec<u8> = answer.chunks(14).map(|packet| packet[2]).collect();
    assert_eq!(ids, [1, 2]);
    // In the middle of the encoder, at rest, 12 V, 35 degrees.
    assert_eq!(
        answer[..14],
        [0xff, 0xff, 1, 10, 0, 0x00, 0x08, 0, 0, 0, 0, 120, 35, 0x51]
    );
}

#[test]
fn a_servo_that_is_gone_leaves_a_gap_and_the_next_one_answers() {
    let mut bus = feetech_bus(&[2]);
    bus.receive(0, &SYNC_READ);
    assert_eq!(bus.next_due_us(), Some(140 + 2 + 10));
}

#[test]
fn whole_packets_are_found_among_garbage_and_halves() {
    let mut bus = feetech_bus(&[1]);
    let mut bytes = vec![0x00, 0xff, 0x12, 0xff, 0xff, 0xff];
    bytes.extend(&PING_1);
    bytes.extend(&PING_1);
    assert_eq!(ask(&mut bus, 0, &bytes).len(), 12);
    let mut damaged = PING_1;
    damaged[5] ^= 1;
    assert!(ask(&mut bus, 0, &damaged).is_empty());
    // Half a packet, and silence: the rest does not complete it.
    assert!(ask(&mut bus, 0, &PING_1[..3]).is_empty());
    assert!(ask(&mut bus, 6_000, &PING_1[3..]).is_empty());
    assert_eq!(ask(&mut bus, 6_001, &PING_1).len(), 6);
    let counters = bus.counters();
    assert_eq!((counters.packets, counters.damaged), (3, 1));
    assert!(counters.garbage_bytes > 6);
}

#[test]
fn faults_are_what_they_say() {
    let mut bus = feetech_bus(&[1]);
    *bus.faults_mut(1).unwrap() = ServoFaults {
        mute: true,
        ..ServoFaults::default()
    };
    assert!(ask(&mut bus, 0, &PING_1).is_empty());
    *bus.faults_mut(1).unwrap() = ServoFaults {
        answers_as: Some(9),
        ..ServoFaults::default()
    };
    assert_eq!(ask(&mut bus, 0, &PING_1)[2], 9);
    *bus.faults_mut(1).unwrap() = ServoFaults {
        late_us: 3_000,
        ..ServoFaults::default()
    };
    bus.receive(10_000, &PING_1);
    assert_eq!(bus.next_due_us(), Some(13_012));
    *bus.faults_mut(1).unwrap() = ServoFaults {
        unplugged: true,
        ..ServoFaults::default()
    };
    bus.send(u64::MAX, &mut vec![]);
    assert!(ask(&mut bus, 20_000, &PING_1).is_empty());
    assert!(bus.faults_mut(2).is_none());
}

#[test]
fn noise_damages_and_echo_repeats() {
    let mut bus = feetech_bus(&[1]);
    bus.set_noise(LineNoise::new(1.0, 0.0, 1));
    assert!(ask(&mut bus, 0, &PING_1).is_empty());
    bus.set_noise(LineNoise::new(0.0, 1.0, 1));
    let answer = ask(&mut bus, 10_000, &PING_1);
    let whole = [0xff, 0xff, 0x01, 0x02, 0x00, 0xfc];
    assert_eq!(answer.len(), 6);
    assert!(answer.iter().zip(whole).all(|(heard, said)| *heard != said));
    bus.set_noise(LineNoise::none());
    bus.set_echo(true);
    assert_eq!(
        ask(&mut bus, 20_000, &PING_1),
        [&PING_1[..], &whole].concat()
    );
}

#[test]
fn registers_take_what_the_table_lets_them() {
    let mut bus = feetech_bus(&[1]);
    let write = |bus: &mut ServoBus, address: u8, data: &[u8]| {
        let packet = sts(1, 3, &[&[address], data].concat());
        assert_eq!(ask(bus, 0, &packet).len(), 6);
    };
    // The goal is kept inside of the servo's own limits, a measured value is not overwritten.
    write(&mut bus, 9, &[0x00, 0x04, 0x00, 0x0c]);
    write(&mut bus, 42, &[0xff, 0x0f]);
    assert_eq!(bus.servos()[0].registers()[42..44], [0x00, 0x0c]);
    write(&mut bus, 56, &[1, 2]);
    assert_eq!(bus.servos()[0].registers()[56..58], [0x00, 0x08]);
    // With the lock on, the limits are forgotten without power; with it open, they stay.
    bus.power_cycle();
    assert_eq!(bus.servos()[0].registers()[9..13], [0, 0, 0xff, 0x0f]);
    write(&mut bus, 55, &[0]);
    write(&mut bus, 9, &[0x00, 0x04]);
    bus.power_cycle();
    assert_eq!(bus.servos()[0].registers()[9..11], [0x00, 0x04]);
}

#[test]
fn a_homing_offset_is_taken_off_the_encoder() {
    let mut bus = ServoBus::new([BusServo::new(1, ServoModel::Sts3215)
        // -100: sign in bit 11.
        .with(31, &[100, 0x08])
        .on(Coupling::direct(0))]);
    let mut joints = Servos::new(&WX250S, &crate::arm());
    bus.exchange(&mut joints);
    assert_eq!(bus.servos()[0].registers()[56..58], 2148_u16.to_le_bytes());
    ask(&mut bus, 0, &sts(1, 3, &[42, 0x64, 0x08]));
    ask(&mut bus, 0, &sts(1, 3, &[40, 1]));
    for _ in 0..50 {
        bus.exchange(&mut joints);
        joints.advance(&joints.drive());
    }
    assert!(joints.position(0).abs() < 1e-3, "{}", joints.position(0));
}

#[test]
fn a_goal_moves_the_joint_and_the_joint_moves_the_registers() {
    let mut bus = ServoBus::new([
        BusServo::new(1, ServoModel::Sts3215).on(Coupling::direct(0)),
        BusServo::new(2, ServoModel::Sts3215).on(Coupling::wx250s_gripper()),
    ]);
    let mut joints = Servos::new(&WX250S, &crate::arm());
    let pass = |bus: &mut ServoBus, joints: &mut Servos| {
        for _ in 0..100 {
            bus.exchange(joints);
            joints.advance(&joints.drive());
        }
    };
    // 652 ticks are one radian; without torque nothing happens.
    ask(&mut bus, 0, &sts(1, 3, &[42, 0x8c, 0x0a]));
    pass(&mut bus, &mut joints);
    assert_eq!(joints.position(0), 0.0);
    ask(&mut bus, 0, &sts(1, 3, &[40, 1]));
    pass(&mut bus, &mut joints);
    assert!(
        (joints.position(0) - 1.0).abs() < 2e-3,
        "{}",
        joints.position(0)
    );
    let tick = u16::from_le_bytes([
        bus.servos()[0].registers()[56],
        bus.servos()[0].registers()[57],
    ]);
    assert!(tick.abs_diff(2700) <= 1, "{tick}");
    // The gripper stood still, without torque, wide open.
    assert_eq!(joints.position(GRIPPER), 0.037);
    ask(&mut bus, 0, &sts(2, 3, &[40, 1, 0, 0x00, 0x04]));
    pass(&mut bus, &mut joints);
    assert!(
        (joints.position(GRIPPER) - 0.010).abs() < 1e-4,
        "{}",
        joints.position(GRIPPER)
    );
}

#[test]
fn a_hot_servo_says_so_and_lets_go() {
    let mut bus = ServoBus::new([BusServo::new(1, ServoModel::Sts3215).on(Coupling::direct(0))]);
    let mut joints = Servos::new(&WX250S, &crate::arm());
    ask(&mut bus, 0, &sts(1, 3, &[40, 1]));
    for (faults, status, torque) in [
        (
            ServoFaults {
                undervoltage: true,
                ..ServoFaults::default()
            },
            1,
            true,
        ),
        (
            ServoFaults {
                overheating: true,
                ..ServoFaults::default()
            },
            4,
            false,
        ),
    ] {
        *bus.faults_mut(1).unwrap() = faults;
        bus.exchange(&mut joints);
        assert_eq!(ask(&mut bus, 0, &PING_1)[4], status);
        assert_eq!(bus.servos()[0].has_torque(), torque);
    }
}

fn dxl(id: u8, instruction: u8, parameters: &[u8]) -> Vec<u8> {
    // As `dynamixel::status` builds it, but for the instruction.
    let status = dynamixel::status(id, 0, parameters);
    let length = u16::from_le_bytes([status[5], status[6]]) - 1;
    let mut bytes = status[..5].to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.push(instruction);
    bytes.extend(&status[9..status.len() - 2]);
    let crc = dynamixel::crc16(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

#[test]
fn a_dynamixel_tells_its_model_and_follows_a_shadow_id() {
    let mut bus = ServoBus::new([
        BusServo::new(1, ServoModel::Xm430W350)
            .with(9, &[0])
            .on(Coupling::direct(1)),
        BusServo::new(2, ServoModel::Xm430W350)
            .with(9, &[0, 1, 3, 1])
            .on(Coupling {
                reversed: true,
                ..Coupling::direct(1)
            }),
    ]);
    let mut joints = Servos::new(&WX250S, &crate::arm());
    let answer = ask(&mut bus, 0, &DXL_PING_1);
    assert_eq!(answer[7..12], [0x55, 0, 0xfc, 0x03, 45]);
    // A write to 1 reaches both, and 1 alone answers.
    let goal = 2700_u32.to_le_bytes();
    let answer = ask(&mut bus, 0, &dxl(1, 3, &[&[116, 0][..], &goal].concat()));
    assert_eq!(answer, [0xff, 0xff, 0xfd, 0, 1, 4, 0, 0x55, 0, 0xa1, 0x0c]);
    ask(&mut bus, 0, &dxl(1, 3, &[64, 0, 1]));
    assert!(bus.servos().iter().all(BusServo::has_torque));
    for _ in 0..100 {
        bus.exchange(&mut joints);
        joints.advance(&joints.drive());
    }
    assert!(
        (joints.position(1) - 1.0).abs() < 2e-3,
        "{}",
        joints.position(1)
    );
    // The mirrored one shows the same position, since it counts backwards.
    for servo in bus.servos() {
        let tick = i32::from_le_bytes(servo.registers()[132..136].try_into().unwrap());
        assert!((tick - 2700).abs() <= 1, "{tick}");
    }
    // Secondary ids do not reach the EEPROM.
    let answer = ask(&mut bus, 0, &dxl(1, 3, &[11, 0, 4]));
    assert_eq!(answer[8], 7, "locked while torque is on");
}

#[test]
fn a_dynamixel_that_shut_down_waits_for_a_reboot() {
    let mut bus = ServoBus::new([BusServo::new(1, ServoModel::Xl430W250).on(Coupling::direct(0))]);
    let mut joints = Servos::new(&WX250S, &crate::arm());
    let torque_on = dxl(1, 3, &[64, 0, 1]);
    assert_eq!(ask(&mut bus, 0, &torque_on)[8], 0);
    bus.faults_mut(1).unwrap().overload = true;
    bus.exchange(&mut joints);
    bus.faults_mut(1).unwrap().overload = false;
    bus.exchange(&mut joints);
    assert!(!bus.servos()[0].has_torque());
    assert_eq!(ask(&mut bus, 0, &torque_on)[8] & 0x80, 0x80);
    assert!(!bus.servos()[0].has_torque());
    ask(&mut bus, 0, &dxl(1, 8, &[]));
    bus.exchange(&mut joints);
    assert_eq!(ask(&mut bus, 0, &torque_on)[8], 0);
    assert!(bus.servos()[0].has_torque());
}

#[test]
fn goals_outside_of_a_dynamixels_limits_are_refused() {
    let mut bus = ServoBus::new([
        BusServo::new(1, ServoModel::Xm430W350).with(48, &[0x11, 0x0d, 0, 0, 0x33, 0x03])
    ]);
    for (goal, error) in [(3345_u32, 0), (3346, 6), (819, 0), (818, 6)] {
        let answer = ask(
            &mut bus,
            0,
            &dxl(1, 3, &[&[116, 0][..], &goal.to_le_bytes()].concat()),
        );
        assert_eq!(answer[8], error, "{goal}");
    }
    assert_eq!(bus.servos()[0].registers()[116..120], 819_u32.to_le_bytes());
}
