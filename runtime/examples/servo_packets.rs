//! The bytes of one step's goals, field by field as the manuals name them: an SO-101's six Feetech STS3215 and a WidowX 250S'
//! nine Dynamixels, both at home.
//!
//! `cargo run -p wink-runtime --no-default-features --example servo_packets`
//!
//! The packets come out of the drivers; the tests below hold them against bytes worked out by hand from the manuals.

use std::convert::Infallible;
use std::io::{self, Write};

use wink_firmware::servo::ServoBus;
use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::{BusOptions, BusPort, BusServo};
use wink_runtime::arm::{ArmDescription, ArmServos};

const SO101: &str = include_str!("../../boards/arms/so101.toml");
const WX250S: &str = include_str!("../../boards/arms/wx250s.toml");

/// A line that keeps what is sent.
#[derive(Default)]
struct Tape(Vec<u8>);

impl BusPort for Tape {
    type Error = Infallible;

    fn send(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend(bytes);
        Ok(())
    }

    fn receive(&mut self, _: &mut [u8], left_us: &mut u32) -> Result<usize, Infallible> {
        *left_us = 0;
        Ok(0)
    }
}

/// Bytes that stand for one thing.
struct Field {
    name: String,
    count: usize,
    says: fn(&[u8]) -> String,
}

fn field(name: impl Into<String>, count: usize, says: fn(&[u8]) -> String) -> Field {
    Field {
        name: name.into(),
        count,
        says,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = io::stdout().lock();
    for (title, text) in [
        (
            "SO-101: SYNC WRITE, \"Servo SCS Communication Protocol\" 4.6",
            SO101,
        ),
        (
            "WidowX 250S: Sync Write (0x83), \"DYNAMIXEL Protocol 2.0\"",
            WX250S,
        ),
    ] {
        let (packet, lines) = annotated(&ArmDescription::from_toml(text)?)?;
        writeln!(out, "{title}\n{} bytes: {}\n", packet.len(), hex(&packet))?;
        for line in lines {
            writeln!(out, "  {line}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The packet that sends an arm home, and a line for each of its fields.
fn annotated(arm: &ArmDescription) -> Result<(Vec<u8>, Vec<String>), Box<dyn std::error::Error>> {
    let Some(ArmServos::Bus { servos, .. }) = arm.servos() else {
        return Err("this arm has no servo bus".into());
    };
    let packet = goals_at_home(arm, servos)?;
    let fields = if servos.iter().any(|servo| servo.model.is_dynamixel()) {
        dynamixel_fields(servos)
    } else {
        feetech_fields(servos)
    };
    let mut lines = Vec::with_capacity(fields.len());
    let mut rest = packet.as_slice();
    for Field { name, count, says } in fields {
        let (bytes, after) = rest
            .split_at_checked(count)
            .ok_or("the packet is shorter than its fields")?;
        let line = format!("{:<18}{name:<28}{}", hex(bytes), says(bytes));
        lines.push(line.trim_end().to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        return Err("the packet is longer than its fields".into());
    }
    Ok((packet, lines))
}

/// What the driver sends when every joint shall go home.
fn goals_at_home(
    arm: &ArmDescription,
    servos: &[BusServo],
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut goals: Vec<f32> = arm
        .joints()
        .iter()
        .map(|joint| joint.home_rad as f32)
        .collect();
    goals.extend(arm.gripper().map(|gripper| gripper.home_m as f32));
    let options = BusOptions::default();
    Ok(if servos.iter().any(|servo| servo.model.is_dynamixel()) {
        let mut bus = DynamixelServos::new(Tape::default(), servos, options)?;
        bus.write(&goals)?;
        bus.into_port().0
    } else {
        let mut bus = FeetechServos::new(Tape::default(), servos, options)?;
        bus.write(&goals)?;
        bus.into_port().0
    })
}

fn feetech_fields(servos: &[BusServo]) -> Vec<Field> {
    let mut fields = vec![
        field("header", 2, |_| String::new()),
        field("ID", 1, |_| "broadcast: nobody answers".to_owned()),
        field("length", 1, |b| format!("(L + 1) * n + 4 = {}", b[0])),
        field("instruction", 1, |_| "SYNC WRITE".to_owned()),
        field("start address", 1, |b| format!("{}: acceleration", b[0])),
        field("L, data length", 1, |b| {
            format!("{} bytes for each servo", b[0])
        }),
    ];
    for servo in servos {
        fields.extend([
            field(format!("ID of servo {}", servo.id), 1, |_| String::new()),
            field("  41 acceleration", 1, |b| {
                format!("{} steps/s^2", u32::from(b[0]) * 100)
            }),
            field("  42 goal position", 2, |b| format!("step {}", word(b))),
            field("  44 goal time", 2, |_| {
                "none: the speed decides".to_owned()
            }),
            field("  46 goal speed", 2, |b| {
                format!("{} steps/s at most", word(b))
            }),
        ]);
    }
    fields.push(field("checksum", 1, |_| {
        "~(ID + length + ... + last parameter)".to_owned()
    }));
    fields
}

fn dynamixel_fields(servos: &[BusServo]) -> Vec<Field> {
    let mut fields = vec![
        field("header", 3, |_| String::new()),
        field("reserved", 1, |_| String::new()),
        field("packet ID", 1, |_| "broadcast: nobody answers".to_owned()),
        field("length", 2, |b| format!("parameters + 3 = {}", word(b))),
        field("instruction", 1, |_| "Sync Write".to_owned()),
        field("starting address", 2, |b| {
            format!("{}: Goal Position", word(b))
        }),
        field("data length", 2, |b| {
            format!("{} bytes for each servo", word(b))
        }),
    ];
    for servo in servos {
        fields.extend([
            field(format!("ID of servo {}", servo.id), 1, |_| String::new()),
            field("  116 Goal Position", 4, |b| format!("step {}", word(b))),
        ]);
    }
    fields.push(field("CRC", 2, |_| "CRC-16, polynomial 0x8005".to_owned()));
    fields
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    digits.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, from the arm's file and "Servo SCS Communication Protocol" 4.6. A step is 2 pi / 4096 rad, zero is at
    /// step 2048 (0x0800). 3 rad/s and the driver's margin of a quarter are 2445 (0x098D) steps/s. wrist_flex at pi/2 is
    /// at step 3072 (0x0C00). The jaw's tip, 74.7 mm from its axis, is at 50 mm: 0.66934 rad, step 2484 (0x09B4); 250 mm/s
    /// and a quarter are 2727 (0x0AA7) steps/s. Length: 8 bytes for each of six servos and 4. The sum from the id on,
    /// without the check byte, ends in 0x76.
    const SO101_HOME: &str = "FF FF FE 34 83 29 07 \
        01 FE 00 08 00 00 8D 09 \
        02 FE 00 08 00 00 8D 09 \
        03 FE 00 08 00 00 8D 09 \
        04 FE 00 0C 00 00 8D 09 \
        05 FE 00 08 00 00 8D 09 \
        06 FE B4 09 00 00 A7 0A \
        89";

    /// By hand, from the arm's file and the e-manual's "Sync Write (0x83)". wrist_angle at pi/2 is at step 3072 (0x0C00):
    /// its servo, mounted the other way round, turns backwards by its own Drive Mode (10, bit 0). The finger is 37 mm out,
    /// on a horn of 14 mm and a rod of 24 mm: the horn's angle has the sine (37^2 + 14^2 - 24^2) / (2 * 37 * 14), which is
    /// 1.26854 rad, step 2875 (0x0B3B). Length: 5 bytes for each of nine servos and 7. The CRC is the e-manual's, over all
    /// that stands before it.
    const WX250S_HOME: &str = "FF FF FD 00 FE 34 00 83 74 00 04 00 \
        01 00 08 00 00 \
        02 00 08 00 00 \
        03 00 08 00 00 \
        04 00 08 00 00 \
        05 00 08 00 00 \
        06 00 08 00 00 \
        07 00 0C 00 00 \
        08 00 08 00 00 \
        09 3B 0B 00 00 \
        E2 62";

    #[test]
    fn the_drivers_send_what_the_manuals_say() {
        for (text, expected, fields, among_them) in [
            (
                SO101,
                SO101_HOME,
                7 + 6 * 5,
                [
                    "00 0C               42 goal position          step 3072",
                    "8D 09               46 goal speed             2445 steps/s at most",
                    "89                checksum                    ~(ID + length + ... + last parameter)",
                ],
            ),
            (
                WX250S,
                WX250S_HOME,
                8 + 9 * 2,
                [
                    "34 00             length                      parameters + 3 = 52",
                    "3B 0B 00 00         116 Goal Position         step 2875",
                    "E2 62             CRC                         CRC-16, polynomial 0x8005",
                ],
            ),
        ] {
            let (packet, lines) = annotated(&ArmDescription::from_toml(text).unwrap()).unwrap();
            assert_eq!(hex(&packet), expected);
            assert_eq!(lines.len(), fields, "{lines:#?}");
            for line in among_them {
                assert!(
                    lines.iter().any(|had| had == line),
                    "no `{line}` in {lines:#?}"
                );
            }
        }
    }

    #[test]
    fn the_check_values_are_the_manuals_sums() {
        let bytes = |text: &str| -> Vec<u8> {
            text.split_whitespace()
                .map(|digits| u8::from_str_radix(digits, 16).unwrap())
                .collect()
        };
        let feetech = bytes(SO101_HOME);
        let (check, body) = feetech[2..].split_last().unwrap();
        let sum: u32 = body.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(!sum & 0xff, u32::from(*check));
        let dynamixel = bytes(WX250S_HOME);
        let (body, check) = dynamixel.split_at(dynamixel.len() - 2);
        // Bit by bit; the driver looks it up in a table.
        let crc = body.iter().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
                (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 }
            })
        });
        assert_eq!(crc.to_le_bytes(), check);
    }
}
