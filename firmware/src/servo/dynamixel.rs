//! Dynamixel X servos (XM430-W350 and XL430-W250: WidowX 250S; XL330: Koch) on their half-duplex bus, protocol 2.0.
//!
//! Facts: ROBOTIS e-manual, "DYNAMIXEL Protocol 2.0" and the servos' control tables.
//!
//! ```text
//! instruction  FF FF FD 00  id  length  instruction  parameters…  crc
//! status       FF FF FD 00  id  length  55  error    data…        crc
//! ```
//!
//! `length` (two bytes) counts what follows it; `crc` (two bytes) is CRC-16 with polynomial 0x8005
//! over everything before it. Values have their low byte first. Where `FF FF FD` occurs between
//! length and crc, another `FD` is stuffed in behind it, and counted.

use crc::{CRC_16_UMTS, Crc, Table};

use super::Alerts;
use super::serial::{
    BusServo, Health, Instruction, Motion, Packet, Parsed, Protocol, SerialServos, ServoModel,
    Setting, Status, Verdict,
};

/// An arm of Dynamixel X servos.
pub type DynamixelServos<P> = SerialServos<P, Dynamixel>;

/// The protocol.
#[derive(Debug, Clone, Copy)]
pub enum Dynamixel {}

/// Address of the second id that the servo listens to without answering. One byte, 255 for none.
pub const SECONDARY_ID: u16 = 12;
/// Address of the id. One byte.
pub const ID: u16 = 7;
/// Address of the bus speed. One byte, 3 for 1 Mbaud.
pub const BAUD: u16 = 8;
/// Address of the homing offset: the servo adds it to what its encoder says. Four bytes.
pub const HOMING_OFFSET: u16 = 20;
/// Address of the proportional gain of the position controller. Two bytes; I and D stand two and four
/// below it.
pub const P_GAIN: u16 = 84;
/// Address of the highest position that the servo itself goes to. Four bytes; the lowest follows.
pub const MAX_POSITION: u16 = 48;
/// Address of the greatest speed on the way to a goal, 0.229 rev/min a unit. Four bytes, 0 for none.
pub const PROFILE_VELOCITY: u16 = 112;

const GOAL_PWM: u16 = 100;
const GOAL_POSITION: u16 = 116;
const PRESENT_CURRENT: u16 = 126;
const PRESENT_INPUT_VOLTAGE: u16 = 144;

/// Full PWM.
const MAX_PWM: u16 = 885;
/// A unit of velocity, ticks per second: 0.229 revolutions a minute.
const VELOCITY_UNIT: f32 = 0.229 * super::TICKS_PER_TURN as f32 / 60.0;
/// A unit of the XM430-W350's current, A, and the most it allows.
const CURRENT_UNIT_A: f32 = 0.002_69;
const CURRENT_LIMIT: f32 = 1193.0;
/// The same of the XL330.
const XL330_CURRENT_UNIT_A: f32 = 0.001;
const XL330_CURRENT_LIMIT: f32 = 1750.0;

const HEADER: [u8; 4] = [0xff, 0xff, 0xfd, 0x00];
const STATUS: u8 = 0x55;
const STUFFED: [u8; 3] = [0xff, 0xff, 0xfd];
/// Longest `length` of a status packet: data with a byte stuffed in after every third.
const MAX_LENGTH: u16 = (super::serial::MAX_DATA as u16 + 2) * 4 / 3 + 2;

/// "BUYPASS" in some books.
static CRC: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&CRC_16_UMTS);

/// What stands in the [`PROFILE_VELOCITY`] register for a speed.
#[must_use]
pub fn profile_velocity(ticks_per_s: u16) -> u32 {
    // Rounded up: 0 would be no limit at all.
    libm::ceilf(f32::from(ticks_per_s) / VELOCITY_UNIT) as u32
}

impl Protocol for Dynamixel {
    const STATUS_FRAME: usize = 11;
    const MODEL: u16 = 0;
    const TORQUE_ENABLE: u16 = 64;
    const MOTION: (u16, usize) = (PRESENT_CURRENT, 10);
    const HEALTH: (u16, usize) = (PRESENT_INPUT_VOLTAGE, 3);
    const COMPLAINTS: u16 = 70;
    const SUPPLY_LIMITS: [u16; 2] = [32, 34];
    const HOMING_OFFSET: u16 = HOMING_OFFSET;
    const MULTI_TURN: Option<(u16, u8)> = None;
    const GOAL: u16 = GOAL_POSITION;
    const DRIVE_MODE: Option<u16> = Some(10);
    const SETTINGS: &'static [Setting] = &[
        // Return delay: answer at once.
        Setting {
            address: 9,
            bytes: 1,
            value: 0,
        },
        // Operating mode: position.
        Setting {
            address: 11,
            bytes: 1,
            value: 3,
        },
    ];
    const LOCK: Option<u16> = None;
    const EEPROM_END: u16 = 64;
    type Goal = [u8; 4];

    fn begin(packet: &mut Packet, id: u8, instruction: Instruction) {
        packet.push(&HEADER);
        // The length is filled in at the end.
        packet.push(&[id, 0, 0, instruction as u8]);
    }

    fn number(packet: &mut Packet, number: u16) {
        Self::data(packet, &number.to_le_bytes());
    }

    fn data(packet: &mut Packet, data: &[u8]) {
        for byte in data {
            packet.push(&[*byte]);
            let [_, _, _, _, _, _, _, body @ ..] = packet.bytes_mut() else {
                return;
            };
            if body.ends_with(&STUFFED) {
                packet.push(&[0xfd]);
            }
        }
    }

    fn end(packet: &mut Packet) {
        if let [_, _, _, _, _, low, high, rest @ ..] = packet.bytes_mut() {
            [*low, *high] = (rest.len().saturating_add(2) as u16).to_le_bytes();
        }
        let crc = CRC.checksum(packet.bytes_mut());
        packet.push(&crc.to_le_bytes());
    }

    fn parse(bytes: &[u8]) -> Parsed {
        parse(bytes)
    }

    fn goal(_servo: &BusServo, tick: u16) -> [u8; 4] {
        u32::from(tick).to_le_bytes()
    }

    fn torque_limit(servo: &BusServo) -> (u16, [u8; 2]) {
        let pwm = u32::from(servo.max_torque_permille.min(1000)).wrapping_mul(MAX_PWM.into());
        (GOAL_PWM, ((pwm / 1000) as u16).to_le_bytes())
    }

    fn speed_limit(servo: &BusServo) -> Option<Setting> {
        Some(Setting {
            address: PROFILE_VELOCITY,
            bytes: 4,
            value: profile_velocity(servo.max_ticks_per_s),
        })
    }

    fn motion(model: ServoModel, data: &[u8]) -> Option<Motion> {
        let &[c0, c1, v0, v1, v2, v3, p0, p1, p2, p3] = data else {
            return None;
        };
        let effort = f32::from(i16::from_le_bytes([c0, c1]));
        // At the same address, some models have their current and the XL430 its load in thousandths.
        let (load, current_a) = match model {
            ServoModel::Xm430W350 => (effort / CURRENT_LIMIT, Some(effort * CURRENT_UNIT_A)),
            ServoModel::Xl330M288 | ServoModel::Xl330M077 => (
                effort / XL330_CURRENT_LIMIT,
                Some(effort * XL330_CURRENT_UNIT_A),
            ),
            ServoModel::Xl430W250 | ServoModel::Sts3215 => (effort / 1000.0, None),
        };
        Some(Motion {
            tick: i32::from_le_bytes([p0, p1, p2, p3]),
            ticks_per_s: i32::from_le_bytes([v0, v1, v2, v3]) as f32 * VELOCITY_UNIT,
            load,
            current_a,
        })
    }

    fn offset(register: u32) -> i32 {
        register.cast_signed()
    }

    fn health(data: &[u8]) -> Option<Health> {
        let &[v0, v1, temperature] = data else {
            return None;
        };
        Some(Health {
            voltage_v: f32::from(u16::from_le_bytes([v0, v1])) * 0.1,
            temperature_c: f32::from(temperature),
            current_a: None,
        })
    }

    fn verdict(error: u8) -> Verdict {
        match (error & 0x7f, error & 0x80) {
            (0, 0) => Verdict::Done(Alerts::empty()),
            (0, _) => Verdict::Ask,
            (number, _) => Verdict::Refused(number),
        }
    }

    fn complaints(register: u8) -> Alerts {
        let mut alerts = Alerts::empty();
        for (bit, alert) in [
            (0, Alerts::VOLTAGE),
            (2, Alerts::OVERHEATING),
            (3, Alerts::ENCODER),
            (4, Alerts::ELECTRICAL),
            (5, Alerts::OVERLOAD),
        ] {
            alerts.set(alert, register & 1 << bit != 0);
        }
        alerts
    }
}

/// Looks for a status packet at the front of `bytes`. Any bytes are survived.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let same = bytes
        .iter()
        .zip(&HEADER)
        .take_while(|(a, b)| a == b)
        .count();
    if same < HEADER.len() && same < bytes.len() {
        let skipped = bytes.iter().skip(1).position(|byte| *byte == 0xff);
        let all = bytes.len().saturating_sub(1);
        return Parsed::Garbage(skipped.unwrap_or(all).saturating_add(1));
    }
    let [_, _, _, _, id, low, high, rest @ ..] = bytes else {
        return Parsed::Incomplete;
    };
    let length = u16::from_le_bytes([*low, *high]);
    if !(4..=MAX_LENGTH).contains(&length) {
        return Parsed::Garbage(1);
    }
    let Some(body) = rest.get(..usize::from(length)) else {
        return Parsed::Incomplete;
    };
    let total = usize::from(length).saturating_add(7);
    let [body @ .., crc_low, crc_high] = body else {
        return Parsed::Garbage(1);
    };
    let checked = bytes.get(..total.saturating_sub(2)).unwrap_or_default();
    if CRC.checksum(checked) != u16::from_le_bytes([*crc_low, *crc_high]) {
        return Parsed::Damaged(1);
    }
    let [STATUS, stuffed @ ..] = body else {
        // A good packet, but an instruction: another board's, or an echo.
        return Parsed::Garbage(total);
    };
    let status = unstuff(stuffed).and_then(|plain| {
        let (error, data) = plain.split_first()?;
        Some(Status {
            id: *id,
            error: *error,
            data: heapless::Vec::from_slice(data).ok()?,
        })
    });
    match status {
        Some(status) => Parsed::Packet(total, status),
        None => Parsed::Damaged(1),
    }
}

/// Drops the byte after every `FF FF FD`; `None` where too much is left.
fn unstuff(stuffed: &[u8]) -> Option<heapless::Vec<u8, { super::serial::MAX_DATA + 1 }>> {
    let mut plain = heapless::Vec::new();
    let mut last = [0; 3];
    for byte in stuffed {
        if last == STUFFED {
            last = [0; 3];
            continue;
        }
        let [_, second, third] = last;
        last = [second, third, *byte];
        plain.push(*byte).ok()?;
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
