//! The bytes of one step's goals, field by field as the manuals name them: an SO-101's six Feetech STS3215 and a WidowX 250S'
//! nine Dynamixels, both at home.
//!
//! `cargo run -p wink-runtime --no-default-features --example servo_packets`

use std::convert::Infallible;
use std::io::{self, Write};

use wink_firmware::servo::ServoBus;
use wink_firmware::servo::dynamixel::DynamixelServos;
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::{BusOptions, BusPort, BusServo};
use wink_runtime::arm::{ArmFile, ArmServos};

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
        let arm = ArmFile::from_toml(text)?;
        let Some(ArmServos::Bus { servos, .. }) = &arm.servos else {
            return Err("this arm has no servo bus".into());
        };
        let packet = goals_at_home(&arm, servos)?;
        let fields = if servos.iter().any(|servo| servo.model.is_dynamixel()) {
            dynamixel_fields(servos)
        } else {
            feetech_fields(servos)
        };
        writeln!(out, "{title}\n{} bytes: {}\n", packet.len(), hex(&packet))?;
        let mut rest = packet.as_slice();
        for Field { name, count, says } in fields {
            let (bytes, after) = rest
                .split_at_checked(count)
                .ok_or("the packet is shorter than its fields")?;
            let line = format!("  {:<18}{name:<28}{}", hex(bytes), says(bytes));
            writeln!(out, "{}", line.trim_end())?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err("the packet is longer than its fields".into());
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What the driver sends when every joint shall go home.
fn goals_at_home(
    arm: &ArmFile,
    servos: &[BusServo],
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut goals: Vec<f32> = arm
        .joints
        .iter()
        .map(|joint| joint.home_rad as f32)
        .collect();
    goals.push(arm.gripper.home_m as f32);
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
