//! Byte for byte against the e-manual's "DYNAMIXEL Protocol 2.0", whose examples these are.

use proptest::prelude::*;
use std::vec::Vec;

use super::*;
use crate::servo::serial::scripted::Scripted;
use crate::servo::serial::{self, BusError, BusOptions};
use crate::servo::{ServoBus, ServoState, TickCalibration};

fn servo(id: u8, joint: u8, model: ServoModel, reversed: bool) -> BusServo {
    BusServo {
        id,
        model,
        joint,
        calibration: TickCalibration {
            reversed,
            ..TickCalibration::CENTRED
        },
        max_ticks_per_s: 2048,
        max_torque_permille: 500,
    }
}

/// Two servos on the first joint, one on the second.
fn arm<const N: usize>(answers: [&[u8]; N]) -> DynamixelServos<Scripted> {
    let servos = [
        servo(2, 0, ServoModel::Xm430W350, false),
        servo(3, 0, ServoModel::Xm430W350, true),
        servo(9, 1, ServoModel::Xl430W250, false),
    ];
    DynamixelServos::new(Scripted::new(answers), &servos, OPTIONS).unwrap()
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
    let mut packet = Packet::new();
    packet.push(&HEADER);
    packet.push(&[id, 0, 0, STATUS]);
    Dynamixel::data(&mut packet, &[error]);
    Dynamixel::data(&mut packet, data);
    Dynamixel::end(&mut packet);
    packet.bytes().unwrap().to_vec()
}

#[test]
fn instructions_are_the_manuals() {
    type Case<'a> = (&'a str, Vec<u8>, &'a [u8]);
    let cases: [Case<'_>; 7] = [
        (
            "ping 1",
            built(|packet| serial::bare::<Dynamixel>(packet, 1, Instruction::Ping)),
            &[0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x01, 0x19, 0x4e],
        ),
        (
            "ping everybody",
            built(|packet| serial::bare::<Dynamixel>(packet, serial::BROADCAST, Instruction::Ping)),
            &[0xff, 0xff, 0xfd, 0x00, 0xfe, 0x03, 0x00, 0x01, 0x31, 0x42],
        ),
        (
            "read the position",
            built(|packet| serial::read::<Dynamixel>(packet, 1, 132, 4)),
            &[
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x07, 0x00, 0x02, 0x84, 0x00, 0x04, 0x00, 0x1d, 0x15,
            ],
        ),
        (
            "go to 512",
            built(|packet| serial::write::<Dynamixel>(packet, 1, 116, &[0, 2, 0, 0])),
            &[
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x09, 0x00, 0x03, 0x74, 0x00, 0x00, 0x02, 0x00, 0x00,
                0xca, 0x89,
            ],
        ),
        (
            "reboot",
            built(|packet| serial::bare::<Dynamixel>(packet, 1, Instruction::Reboot)),
            &[0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x08, 0x2f, 0x4e],
        ),
        (
            "read two positions",
            built(|packet| serial::sync_read::<Dynamixel>(packet, 132, 4, [1, 2].into_iter())),
            &[
                0xff, 0xff, 0xfd, 0x00, 0xfe, 0x09, 0x00, 0x82, 0x84, 0x00, 0x04, 0x00, 0x01, 0x02,
                0xce, 0xfa,
            ],
        ),
        (
            "send two to 150 and 170",
            built(|packet| {
                let parts = [(1, [150, 0, 0, 0]), (2, [170, 0, 0, 0])];
                serial::sync_write::<Dynamixel, _>(packet, 116, 4, parts.into_iter());
            }),
            &[
                0xff, 0xff, 0xfd, 0x00, 0xfe, 0x11, 0x00, 0x83, 0x74, 0x00, 0x04, 0x00, 0x01, 0x96,
                0x00, 0x00, 0x00, 0x02, 0xaa, 0x00, 0x00, 0x00, 0x82, 0x87,
            ],
        ),
    ];
    for (name, built, expected) in cases {
        assert_eq!(built, expected, "{name}");
    }
}

#[test]
fn status_packets_are_the_manuals() {
    type Case<'a> = (&'a [u8], u8, &'a [u8]);
    let cases: [Case<'_>; 5] = [
        (
            &[
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x07, 0x00, 0x55, 0x00, 0x06, 0x04, 0x26, 0x65, 0x5d,
            ],
            1,
            &[0x06, 0x04, 0x26],
        ),
        (
            &[
                0xff, 0xff, 0xfd, 0x00, 0x02, 0x07, 0x00, 0x55, 0x00, 0x06, 0x04, 0x26, 0x6f, 0x6d,
            ],
            2,
            &[0x06, 0x04, 0x26],
        ),
        (
            &[
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x08, 0x00, 0x55, 0x00, 0xa6, 0x00, 0x00, 0x00, 0x8c,
                0xc0,
            ],
            1,
            &[0xa6, 0, 0, 0],
        ),
        (
            &[
                0xff, 0xff, 0xfd, 0x00, 0x02, 0x08, 0x00, 0x55, 0x00, 0x1f, 0x08, 0x00, 0x00, 0xba,
                0xbe,
            ],
            2,
            &[0x1f, 8, 0, 0],
        ),
        (
            &[
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x04, 0x00, 0x55, 0x00, 0xa1, 0x0c,
            ],
            1,
            &[],
        ),
    ];
    for (bytes, id, data) in cases {
        let expected = Status {
            id,
            error: 0,
            data: heapless::Vec::from_slice(data).unwrap(),
        };
        assert_eq!(parse(bytes), Parsed::Packet(bytes.len(), expected));
        assert_eq!(status(id, 0, data), bytes);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Parsed::Incomplete, "{cut} bytes");
        }
    }
}

#[test]
fn what_is_no_status_is_told_apart() {
    let ping = [0xff, 0xff, 0xfd, 0x00, 0x01, 0x03, 0x00, 0x01, 0x19, 0x4e];
    let write = [
        0xff, 0xff, 0xfd, 0x00, 0x01, 0x09, 0x00, 0x03, 0x74, 0x00, 0x00, 0x02, 0x00, 0x00, 0xca,
        0x89,
    ];
    type Case<'a> = (&'a [u8], Parsed);
    let cases: [Case<'_>; 8] = [
        (&[0x00], Parsed::Garbage(1)),
        (&[0x00, 0x01, 0xff], Parsed::Garbage(2)),
        (&[0xff, 0xff, 0xff, 0xfd, 0x00], Parsed::Garbage(1)),
        (&[0xff, 0xff, 0xfd, 0xfd], Parsed::Garbage(1)),
        (
            &[0xff, 0xff, 0xfd, 0x00, 0x01, 0xff, 0xff],
            Parsed::Garbage(1),
        ),
        (&ping, Parsed::Garbage(1)),
        (&write, Parsed::Garbage(16)),
        (
            &[
                0xff, 0xff, 0xfd, 0x00, 0x01, 0x04, 0x00, 0x55, 0x01, 0xa1, 0x0c,
            ],
            Parsed::Damaged(1),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn a_header_inside_of_a_packet_is_stuffed_and_unstuffed() {
    let data = [0xff, 0xff, 0xfd, 0xfd, 0xff, 0xff, 0xfd];
    let stuffed = [0xff, 0xff, 0xfd, 0xfd, 0xfd, 0xff, 0xff, 0xfd, 0xfd];
    let packet = built(|packet| serial::write::<Dynamixel>(packet, 1, 0x74, &data));
    assert_eq!(packet[5..8], [14, 0, 3]);
    assert_eq!(packet[10..19], stuffed);
    // Across address and data too.
    let packet = built(|packet| serial::write::<Dynamixel>(packet, 1, 0xffff, &[0xfd, 1]));
    assert_eq!(packet[8..13], [0xff, 0xff, 0xfd, 0xfd, 1]);
    let status = status(1, 0, &data);
    let Parsed::Packet(_, parsed) = parse(&status) else {
        panic!("{status:02x?}");
    };
    assert_eq!(parsed.data, data);
}

#[test]
fn a_step_reads_everybody_and_one_ones_health() {
    let motions = [
        // Half the current limit, 10 units of velocity, one radian on.
        status(2, 0, &[0x54, 0x02, 10, 0, 0, 0, 0x8c, 0x0a, 0, 0]),
        // The one that mirrors it works harder.
        status(3, 0, &[0x54, 0xfc, 10, 0, 0, 0, 0x8c, 0x0a, 0, 0]),
        // Half its load; its alert bit is set.
        status(9, 0x80, &[0xf4, 0x01, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
    ]
    .concat();
    let health = status(2, 0, &[120, 0, 35]);
    let complaints = status(9, 0x80, &[0x24]);
    let mut arm = arm([&motions, &health, &complaints]);
    let mut states = [ServoState::default(); 2];
    arm.read(&mut states).unwrap();
    let sent = &arm.port_mut().sent;
    assert_eq!(
        sent[0][..15],
        [
            0xff, 0xff, 0xfd, 0, 0xfe, 10, 0, 0x82, 126, 0, 10, 0, 2, 3, 9
        ]
    );
    assert_eq!(
        sent[1][..12],
        [0xff, 0xff, 0xfd, 0, 2, 7, 0, 2, 144, 0, 3, 0]
    );
    assert_eq!(
        sent[2][..12],
        [0xff, 0xff, 0xfd, 0, 9, 7, 0, 2, 70, 0, 1, 0]
    );
    assert!((states[0].position - 1.0).abs() < 1e-3);
    assert!((states[0].velocity - 0.2398).abs() < 1e-3);
    assert!((states[0].load + 0.7879).abs() < 1e-3, "{}", states[0].load);
    assert!((states[0].current_a.unwrap() + 2.5286).abs() < 1e-3);
    assert_eq!(states[0].temperature_c, Some(35.0));
    assert_eq!(states[0].voltage_v, Some(12.0));
    assert_eq!(states[1].load, 0.5);
    assert_eq!(states[1].current_a, None);
    assert!((states[1].position + 2049.0 / 651.9).abs() < 1e-3);
    assert_eq!(states[1].alerts, Alerts::OVERHEATING | Alerts::OVERLOAD);
}

#[test]
fn both_servos_of_a_joint_get_the_same_goal() {
    let mut arm = arm([]);
    arm.write(&[1.0, 0.0]).unwrap();
    let sent = &arm.port_mut().sent[0];
    assert_eq!(
        sent[..27],
        [
            0xff, 0xff, 0xfd, 0, 0xfe, 22, 0, 0x83, 116, 0, 4, 0, 2, 0x8c, 0x0a, 0, 0, 3, 0x8c,
            0x0a, 0, 0, 9, 0, 8, 0, 0
        ]
    );
}

#[test]
fn a_refusal_is_named() {
    let refused = status(2, 0x86, &[]);
    assert_eq!(
        arm([&refused]).write_registers(2, 116, &[0, 9, 9, 9]),
        Err(BusError::Refused { id: 2, error: 6 })
    );
    // Not tried again: the answer would be the same.
    let mut arm = arm([&refused]);
    let _ = arm.set_torque(true);
    assert_eq!(arm.port_mut().sent[0][7..12], [3, 100, 0, 0xba, 0x01]);
    assert_eq!(arm.port_mut().sent[1][4..11], [2, 6, 0, 3, 64, 0, 1]);
}

#[test]
fn an_echo_is_no_status_packet() {
    let ping = [0xff, 0xff, 0xfd, 0x00, 0x02, 0x03, 0x00, 0x01];
    let crc = CRC.checksum(&ping).to_le_bytes();
    let answer = status(2, 0, &[0xfc, 0x03, 45]);
    let echoed = [&ping[..], &crc, &answer].concat();
    for echo in [true, false] {
        let servos = [servo(2, 0, ServoModel::Xm430W350, false)];
        let options = BusOptions { echo, ..OPTIONS };
        let mut arm = DynamixelServos::new(Scripted::new([&echoed]), &servos, options).unwrap();
        assert_eq!(arm.ping(2), Ok(()));
    }
}

#[test]
fn each_model_tells_its_current_or_its_load_at_one_address() {
    let data = [0xf4, 0x01, 0, 0, 0, 0, 0, 8, 0, 0];
    for (model, load, current_a) in [
        (
            ServoModel::Xm430W350,
            500.0 / 1193.0,
            Some(500.0 * 0.002_69),
        ),
        (ServoModel::Xl430W250, 0.5, None),
        (ServoModel::Xl330M288, 500.0 / 1750.0, Some(0.5)),
        (ServoModel::Xl330M077, 500.0 / 1750.0, Some(0.5)),
    ] {
        let motion = Dynamixel::motion(model, &data).unwrap();
        assert_eq!(
            (motion.tick, motion.load, motion.current_a),
            (2048, load, current_a)
        );
    }
}

#[test]
fn a_servo_that_turns_the_other_way_is_told_to_count_backwards() {
    let ok = status(3, 0, &[]);
    let mut port = Scripted::new([
        &status(3, 0, &[0xfc, 0x03]),
        &status(3, 0, &[0]),
        &status(3, 0, &[3]),
        // Drive mode 0, torque off: written, and read back.
        &status(3, 0, &[0]),
        &status(3, 0, &[0]),
        &ok,
        &status(3, 0, &[1]),
        // Profile velocity: in memory that does not survive, so torque does not matter.
        &status(3, 0, &[0, 0, 0, 0]),
        &ok,
        &status(3, 0, &[132, 0, 0, 0]),
    ]);
    let servos = [servo(3, 0, ServoModel::Xm430W350, true)];
    let mut arm = DynamixelServos::new(&mut port, &servos, OPTIONS).unwrap();
    arm.prepare(&[]).unwrap();
    assert_eq!(port.sent.len(), 10);
    assert_eq!(port.sent[5][4..11], [3, 6, 0, 3, 10, 0, 1]);
    assert_eq!(port.sent[8][4..14], [3, 9, 0, 3, 112, 0, 132, 0, 0, 0]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_a_good_status_is_found_after_them(
        noise in prop::collection::vec(
            prop_oneof![Just(0xff_u8), Just(0xfd_u8), Just(0_u8), any::<u8>()],
            0..200,
        ),
        error in any::<u8>(),
        data in prop::collection::vec(
            prop_oneof![Just(0xff_u8), Just(0xfd_u8), any::<u8>()],
            0..=serial::MAX_DATA,
        ),
        id in 0_u8..=252,
    ) {
        let mut bytes = noise;
        // So much silence that nothing before it is waited for any more.
        bytes.extend([0; 60]);
        bytes.extend(status(id, error, &data));
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
