//! Byte for byte against "Servo SCS Communication Protocol", whose examples these are.

use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::servo::serial::scripted::Scripted;
use crate::servo::serial::{self, BadServos, BusError, BusOptions};
use crate::servo::{ServoBus, ServoState, TickCalibration};

fn servo(id: u8, joint: u8) -> BusServo {
    BusServo {
        id,
        model: ServoModel::Sts3215,
        joint,
        calibration: TickCalibration::CENTRED,
        max_ticks_per_s: 1000,
        max_torque_permille: 500,
    }
}

fn arm<const N: usize>(answers: [&[u8]; N]) -> FeetechServos<Scripted> {
    let servos = [servo(1, 0), servo(2, 1)];
    FeetechServos::new(Scripted::new(answers), &servos, OPTIONS).unwrap()
}

/// An arm of one servo, with the id 1.
fn single<const N: usize>(answers: [&[u8]; N]) -> FeetechServos<Scripted> {
    FeetechServos::new(Scripted::new(answers), &[servo(1, 0)], OPTIONS).unwrap()
}

/// One retry.
const OPTIONS: BusOptions = BusOptions {
    echo: false,
    answer_timeout_us: 2_000,
    retries: 1,
};

fn built(build: impl FnOnce(&mut Packet)) -> Vec<u8> {
    let mut packet = Packet::new();
    build(&mut packet);
    packet.bytes().unwrap().to_vec()
}

/// A status packet for tests.
fn status(id: u8, error: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = std::vec![0xff, 0xff, id, data.len() as u8 + 2, error];
    bytes.extend(data);
    bytes.push(checksum(&bytes[2..]));
    bytes
}

#[test]
fn instructions_are_the_manuals() {
    let goal = [0x00, 0x08, 0x00, 0x00, 0xe8, 0x03];
    type Case<'a> = (&'a str, Vec<u8>, &'a [u8]);
    let cases: [Case<'_>; 7] = [
        (
            "example 1: ping",
            built(|packet| serial::bare::<Feetech>(packet, 1, Instruction::Ping)),
            &[0xff, 0xff, 0x01, 0x02, 0x01, 0xfb],
        ),
        (
            "example 2: read the position",
            built(|packet| serial::read::<Feetech>(packet, 1, 56, 2)),
            &[0xff, 0xff, 0x01, 0x04, 0x02, 0x38, 0x02, 0xbe],
        ),
        (
            "example 3: give everybody the id 1",
            built(|packet| serial::write::<Feetech>(packet, serial::BROADCAST, 5, &[1])),
            &[0xff, 0xff, 0xfe, 0x04, 0x03, 0x05, 0x01, 0xf4],
        ),
        (
            "example 4: go to 2048 at 1000 steps a second",
            built(|packet| serial::write::<Feetech>(packet, 1, 42, &goal)),
            &[
                0xff, 0xff, 0x01, 0x09, 0x03, 0x2a, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0xd5,
            ],
        ),
        (
            "example 7: four servos at once",
            built(|packet| {
                let parts = (1..=4).map(|id| (id, goal));
                serial::sync_write::<Feetech, _>(packet, 42, 6, parts);
            }),
            &[
                0xff, 0xff, 0xfe, 0x20, 0x83, 0x2a, 0x06, 0x01, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03,
                0x02, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0x03, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03,
                0x04, 0x00, 0x08, 0x00, 0x00, 0xe8, 0x03, 0x58,
            ],
        ),
        (
            "example 8: read two servos",
            built(|packet| serial::sync_read::<Feetech>(packet, 56, 8, [1, 2].into_iter())),
            &[0xff, 0xff, 0xfe, 0x06, 0x82, 0x38, 0x08, 0x01, 0x02, 0x36],
        ),
        (
            "example 13: restart",
            built(|packet| serial::bare::<Feetech>(packet, 1, Instruction::Reboot)),
            &[0xff, 0xff, 0x01, 0x02, 0x08, 0xf4],
        ),
    ];
    for (name, built, expected) in cases {
        assert_eq!(built, expected, "{name}");
    }
}

#[test]
fn status_frames_are_the_manuals() {
    type Case<'a> = (&'a [u8], u8, &'a [u8]);
    let cases: [Case<'_>; 4] = [
        (&[0xff, 0xff, 0x01, 0x02, 0x00, 0xfc], 1, &[]),
        (
            &[0xff, 0xff, 0x01, 0x04, 0x00, 0x18, 0x05, 0xdd],
            1,
            &[0x18, 0x05],
        ),
        (
            &[
                0xff, 0xff, 0x01, 0x0a, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x79, 0x1e, 0x55,
            ],
            1,
            &[0x00, 0x08, 0, 0, 0, 0, 0x79, 0x1e],
        ),
        (
            &[
                0xff, 0xff, 0x02, 0x0a, 0x00, 0xff, 0x07, 0x00, 0x00, 0x00, 0x00, 0x77, 0x23, 0x53,
            ],
            2,
            &[0xff, 0x07, 0, 0, 0, 0, 0x77, 0x23],
        ),
    ];
    for (bytes, id, data) in cases {
        let expected = Status {
            id,
            error: 0,
            data: heapless::Vec::from_slice(data).unwrap(),
        };
        assert_eq!(parse(bytes), Parsed::Packet(bytes.len(), expected));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Parsed::Incomplete, "{cut} bytes");
        }
    }
}

#[test]
fn what_is_no_status_is_told_apart() {
    type Case<'a> = (&'a [u8], Parsed);
    let cases: [Case<'_>; 9] = [
        (&[0x00], Parsed::Garbage(1)),
        (&[0x00, 0x01, 0x02], Parsed::Garbage(3)),
        (&[0x00, 0x01, 0xff], Parsed::Garbage(2)),
        (&[0xff, 0x01, 0x02, 0xff], Parsed::Garbage(3)),
        (&[0xff, 0xff, 0xff, 0x01], Parsed::Garbage(1)),
        (&[0xff, 0xff, 0x01, 0x01], Parsed::Garbage(1)),
        (&[0xff, 0xff, 0x01, 0xc8], Parsed::Garbage(1)),
        (&[0xff, 0xff, 0x01, 0x02, 0x00, 0xfd], Parsed::Damaged(1)),
        (&[0xff, 0xff, 0x01, 0x02, 0x01, 0xfc], Parsed::Damaged(1)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn sign_and_magnitude() {
    let cases = [
        ([0x00, 0x08], 15, 2048),
        ([0x05, 0x80], 15, -5),
        ([0xff, 0x7f], 15, 32767),
        ([0x00, 0x80], 15, 0),
        ([0x64, 0x04], 10, -100),
        ([0x64, 0x00], 10, 100),
        ([0x64, 0x08], 11, -100),
    ];
    for (bytes, sign, value) in cases {
        assert_eq!(signed(bytes, sign), value);
    }
    for (ticks, register) in [(100, 100), (-100, 0x0864), (9999, 2047), (i16::MIN, 0x0fff)] {
        assert_eq!(homing_offset(ticks), register);
    }
}

#[test]
fn a_step_reads_everybody_and_one_ones_health() {
    let motions = [
        // One radian on, 100 ticks a second down, half the load down.
        status(1, 0, &[0x8c, 0x0a, 0x64, 0x80, 0xf4, 0x05]),
        // Too hot.
        status(2, 4, &[0x00, 0x08, 0x00, 0x00, 0x00, 0x00]),
    ]
    .concat();
    let health = status(1, 0, &[0x79, 0x1e, 0, 0, 0, 0, 0, 0x64, 0x80]);
    let mut arm = arm([&motions, &health]);
    let mut states = [ServoState::default(); 2];
    arm.read(&mut states).unwrap();
    assert_eq!(
        arm.port_mut().sent,
        [
            std::vec![0xff, 0xff, 0xfe, 0x06, 0x82, 0x38, 0x06, 0x01, 0x02, 0x38],
            std::vec![0xff, 0xff, 0x01, 0x04, 0x02, 0x3e, 0x09, 0xb1],
        ]
    );
    assert!((states[0].position - 1.0).abs() < 1e-3);
    assert!((states[0].velocity + 0.1534).abs() < 1e-3);
    assert_eq!(states[0].load, -0.5);
    assert_eq!(states[0].voltage_v, Some(12.1));
    assert_eq!(states[0].temperature_c, Some(30.0));
    assert!((states[0].current_a.unwrap() + 0.65).abs() < 1e-6);
    assert_eq!(states[0].alerts, Alerts::empty());
    // The second servo's health has its turn in the next step.
    assert_eq!(states[1].temperature_c, None);
    assert_eq!(states[1].alerts, Alerts::OVERHEATING);
    assert_eq!(arm.port_mut().waited_us, 0);
}

#[test]
fn goals_go_out_in_one_packet() {
    let mut arm = arm([]);
    arm.write(&[0.0, 9.0]).unwrap();
    assert_eq!(
        arm.port_mut().sent,
        [[
            0xff, 0xff, 0xfe, 20, 0x83, 41, 7, 1, 254, 0x00, 0x08, 0, 0, 0xe8, 0x03, 2, 254, 0xff,
            0x0f, 0, 0, 0xe8, 0x03, 0x4f
        ]]
    );
    assert_eq!(arm.write(&[0.0, f32::NAN]), Err(BusError::NotFinite));
    assert_eq!(arm.write(&[0.0]), Err(BusError::JointCount));
    assert_eq!(arm.read(&mut []), Err(BusError::JointCount));
    assert_eq!(arm.port_mut().sent.len(), 1);
}

#[test]
fn torque_is_switched_one_by_one_after_its_limit() {
    let (one, two) = (status(1, 0, &[]), status(2, 0, &[]));
    let mut arm = arm([&one, &one, &two, &two, &one]);
    arm.set_torque(true).unwrap();
    let sent = &arm.port_mut().sent;
    assert_eq!(sent[0], [0xff, 0xff, 1, 5, 3, 48, 0xf4, 0x01, 0xd1]);
    assert_eq!(sent[1], [0xff, 0xff, 1, 4, 3, 40, 1, 0xce]);
    assert_eq!(sent[3], [0xff, 0xff, 2, 4, 3, 40, 1, 0xcd]);
    // The second does not answer, asked twice: it is named, and the first was told all the same.
    assert_eq!(arm.set_torque(false), Err(BusError::NoAnswer { id: 2 }));
    let sent = &arm.port_mut().sent;
    assert_eq!(
        sent[4..],
        [
            std::vec![0xff, 0xff, 1, 4, 3, 40, 0, 0xcf],
            std::vec![0xff, 0xff, 2, 4, 3, 40, 0, 0xce],
            std::vec![0xff, 0xff, 2, 4, 3, 40, 0, 0xce],
        ]
    );
}

#[test]
fn a_servo_that_was_missed_is_asked_once_more() {
    let first = status(1, 0, &[0, 8, 0, 0, 0, 0]);
    let second = status(2, 0, &[1, 8, 0, 0, 0, 0]);
    let mut damaged = second.clone();
    damaged[6] ^= 0x10;
    let health = status(1, 0, &[0x79, 0x1e, 0, 0, 0, 0, 0, 0, 0]);
    let mut arm = arm([&[&first[..], &damaged].concat(), &second, &health, &first]);
    let mut states = [ServoState::default(); 2];
    arm.read(&mut states).unwrap();
    assert_eq!(arm.port_mut().sent[1], [0xff, 0xff, 2, 4, 2, 56, 6, 0xb9]);
    // Now it stays away.
    assert_eq!(arm.read(&mut states), Err(BusError::NoAnswer { id: 2 }));
    assert!(arm.port_mut().waited_us <= 3 * OPTIONS.answer_timeout_us);
}

#[test]
fn a_leap_is_believed_when_it_is_said_twice() {
    let second = status(2, 0, &[0, 8, 0, 0, 0, 0]);
    let at = |high: u8| status(1, 0, &[0, high, 0, 0, 0, 0]);
    let both = |high: u8| [&at(high)[..], &second].concat();
    let health = [1, 2, 1, 2].map(|id| status(id, 0, &[0x79, 0x1e, 0, 0, 0, 0, 0, 0, 0]));
    let mut arm = arm([
        &both(8),
        &health[0],
        // A damaged packet that passed: asked again, it is where it was.
        &both(12),
        &at(8),
        &health[1],
        // Turned by hand while nobody looked: asked again, it is there.
        &both(12),
        &at(12),
        &health[2],
        &both(12),
        &health[3],
    ]);
    let mut states = [ServoState::default(); 2];
    for expected in [0.0, 0.0, 1.570_796_4, 1.570_796_4] {
        arm.read(&mut states).unwrap();
        assert_eq!(states[0].position, expected);
    }
    assert_eq!(arm.port_mut().sent.len(), 10);
}

#[test]
fn garbage_another_ones_answer_and_an_old_answer_are_passed_over() {
    let wanted = status(1, 0, &[0x18, 0x05]);
    let noise = [
        &[0x00, 0xff, 0x13, 0xff, 0xff, 0xff][..],
        &status(3, 0, &[0x18, 0x05]),
        &status(1, 0, &[]),
        &[0xff, 0xff, 0x01],
        &wanted,
    ]
    .concat();
    for portion in [1, 2, 7, usize::MAX] {
        let mut arm = arm([&noise]);
        arm.port_mut().portion = portion;
        let data = arm.read_registers(1, 56, 2).unwrap();
        assert_eq!(data, [0x18, 0x05]);
    }
}

#[test]
fn noise_without_end_is_given_up() {
    let noise = [0xff; 100_000];
    let mut arm = arm([&noise]);
    assert_eq!(arm.ping(1), Err(BusError::NoAnswer { id: 1 }));
}

#[test]
fn an_echo_is_taken_off_where_it_is_said_to_be() {
    let instruction = [0xff, 0xff, 0x01, 0x04, 0x02, 0x38, 0x02, 0xbe];
    let answer = [0xff, 0xff, 0x01, 0x04, 0x00, 0x18, 0x05, 0xdd];
    let echoed = [instruction, answer].concat();
    let options = BusOptions {
        echo: true,
        ..OPTIONS
    };
    let with = |options, answers: &[u8]| {
        let port = Scripted::new([answers]);
        let mut arm = FeetechServos::new(port, &[servo(1, 0)], options).unwrap();
        arm.read_registers(1, 56, 2).map(|data| data.to_vec())
    };
    assert_eq!(with(options, &echoed).unwrap(), [0x18, 0x05]);
    assert_eq!(with(options, &answer), Err(BusError::Echo));
    assert_eq!(with(options, &[]), Err(BusError::Echo));
    // Not said to be, it is not mistaken for an answer with error 2.
    assert_eq!(with(OPTIONS, &echoed), Err(BusError::Echo));
    assert_eq!(with(OPTIONS, &answer).unwrap(), [0x18, 0x05]);
}

#[test]
fn settings_are_written_only_where_they_differ_and_torque_is_off() {
    let offset = Setting {
        address: HOMING_OFFSET,
        bytes: 2,
        value: homing_offset(-100).into(),
    };
    let ok = status(1, 0, &[]);
    let (zero, one) = (status(1, 0, &[0]), status(1, 0, &[1]));
    let (old, new) = (status(1, 0, &[0, 0]), status(1, 0, &[0x64, 0x08]));
    let mut arm_at = arm([&new]);
    arm_at.ensure(1, offset).unwrap();
    assert_eq!(arm_at.port_mut().sent.len(), 1);
    // Read, torque, unlock, write, lock, read back.
    let mut arm_at = arm([&old, &zero, &ok, &ok, &ok, &new]);
    arm_at.ensure(1, offset).unwrap();
    let sent = &arm_at.port_mut().sent;
    assert_eq!(sent[2], [0xff, 0xff, 1, 4, 3, 55, 0, 0xc0]);
    assert_eq!(sent[3], [0xff, 0xff, 1, 5, 3, 31, 0x64, 0x08, 0x6b]);
    assert_eq!(sent[4], [0xff, 0xff, 1, 4, 3, 55, 1, 0xbf]);
    let expected = BusError::Setting {
        id: 1,
        address: 31,
        found: 0,
        expected: 0x0864,
    };
    assert_eq!(arm([&old, &one]).ensure(1, offset), Err(expected));
    assert_eq!(
        arm([&old, &zero, &ok, &ok, &ok, &old]).ensure(1, offset),
        Err(expected)
    );
    let wrong_model = status(1, 0, &[0x09, 0x0b]);
    assert_eq!(
        arm([&wrong_model]).prepare(&[]),
        Err(BusError::Model {
            id: 1,
            found: 2825,
            expected: 777
        })
    );
}

#[test]
fn a_servo_that_was_calibrated_elsewhere_or_counts_turns_is_not_prepared() {
    let model = status(1, 0, &[0x09, 0x03]);
    let zero = status(1, 0, &[0]);
    let one_turn = status(1, 0, &[12]);
    let counts_turns = status(1, 0, &[28]);
    let offset = Setting {
        address: HOMING_OFFSET,
        bytes: 2,
        value: homing_offset(-100).into(),
    };
    assert_eq!(
        single([&model, &counts_turns]).prepare(&[]),
        Err(BusError::MultiTurn { id: 1 })
    );
    // Return delay and mode are as they should be; then the offset is read, and not written.
    let mut elsewhere = single([&model, &one_turn, &zero, &zero, &status(1, 0, &[7, 0])]);
    assert_eq!(
        elsewhere.prepare(&[(1, offset)]),
        Err(BusError::Offset {
            id: 1,
            found: 7,
            expected: -100
        })
    );
    assert!(
        elsewhere
            .port_mut()
            .sent
            .iter()
            .all(|packet| packet[4] == 2)
    );
    let mut same = single([
        &model,
        &one_turn,
        &zero,
        &zero,
        &status(1, 0, &[0x64, 0x08]),
    ]);
    same.prepare(&[(1, offset)]).unwrap();
}

#[test]
fn a_position_that_no_servo_has_within_its_turn_is_told_apart_from_silence() {
    // Tick 18185, as a servo says that counts whole turns.
    let far = status(1, 0, &[0x09, 0x47, 0, 0, 0, 0]);
    let mut turned = single([&far, &far, &far]);
    let mut states = [ServoState::default()];
    assert_eq!(turned.read(&mut states), Err(BusError::Position { id: 1 }));
    assert!(turned.heard());
    let mut silent = single([]);
    assert_eq!(silent.read(&mut states), Err(BusError::NoAnswer { id: 1 }));
    assert!(!silent.heard());
}

#[test]
fn too_strong_a_supply_is_told_from_too_weak_a_one() {
    let motion = status(1, 1, &[0, 8, 0, 0, 0, 0]);
    for (measured_dv, alert) in [(121, Alerts::OVERVOLTAGE), (52, Alerts::VOLTAGE)] {
        let health = status(1, 1, &[measured_dv, 30, 0, 1, 0, 0, 0, 0, 0]);
        // A servo for 7.4 V: 6.0 to 8.4 V.
        let mut servo = single([
            &motion,
            &health,
            &status(1, 1, &[84]),
            &status(1, 1, &[60]),
            &motion,
            &health,
        ]);
        let mut states = [ServoState::default()];
        for _ in 0..2 {
            servo.read(&mut states).unwrap();
            assert_eq!(states[0].alerts, alert, "{measured_dv}");
        }
        assert_eq!(servo.port_mut().sent.len(), 6, "limits are asked for once");
    }
}

#[test]
fn lists_that_make_no_sense_are_refused() {
    let good = servo(1, 0);
    let cases: [(&[BusServo], BadServos); 7] = [
        (&[], BadServos::Count),
        (&[good, servo(1, 1)], BadServos::DuplicateId { id: 1 }),
        (&[servo(253, 0)], BadServos::Servo { id: 253 }),
        (&[servo(1, 8)], BadServos::Servo { id: 1 }),
        (&[good, servo(2, 2)], BadServos::NoServo { joint: 1 }),
        (
            &[BusServo {
                max_torque_permille: 0,
                ..good
            }],
            BadServos::Servo { id: 1 },
        ),
        (
            &[BusServo {
                model: ServoModel::Xm430W350,
                ..good
            }],
            BadServos::Protocol { id: 1 },
        ),
    ];
    for (servos, expected) in cases {
        let refused = FeetechServos::new(Scripted::default(), servos, OPTIONS);
        assert_eq!(refused.unwrap_err(), expected);
    }
    let many: Vec<BusServo> = (0..17).map(|id| servo(id, id % 8)).collect();
    let refused = FeetechServos::new(Scripted::default(), &many, OPTIONS);
    assert_eq!(refused.unwrap_err(), BadServos::Count);
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_a_good_status_is_found_after_them(
        noise in prop::collection::vec(prop_oneof![Just(0xff_u8), any::<u8>(), 0_u8..4], 0..200),
        error in any::<u8>(),
        data in prop::collection::vec(any::<u8>(), 0..=serial::MAX_DATA),
        id in 0_u8..=252,
    ) {
        let mut bytes = noise;
        // So much silence that nothing before it is waited for any more.
        bytes.extend([0; 40]);
        let good = status(id, error, &data);
        bytes.extend(&good);
        let mut rest = &bytes[..];
        let mut last = None;
        loop {
            match parse(rest) {
                Parsed::Incomplete => break,
                Parsed::Garbage(count) | Parsed::Damaged(count) => {
                    prop_assert!((1..=rest.len()).contains(&count));
                    rest = &rest[count..];
                }
                Parsed::Packet(count, status) => {
                    prop_assert!((1..=rest.len()).contains(&count));
                    rest = &rest[count..];
                    last = Some(status);
                }
            }
        }
        let data = heapless::Vec::from_slice(&data).unwrap();
        prop_assert_eq!(last, Some(Status { id, error, data }));
        prop_assert!(rest.is_empty());
    }
}
