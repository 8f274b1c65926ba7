//! Feetech STS servos (STS3215: SO-100, SO-101) on their half-duplex bus.
//!
//! Facts: "Servo SCS Communication Protocol" and the STS3215's memory table, both by Feetech.
//!
//! ```text
//! instruction  FF FF  id  length  instruction  parameters…  check
//! status       FF FF  id  length  status       data…        check
//! ```
//!
//! `length` counts what follows it; `check` is the complement of the sum of everything between the
//! header and itself. Values of two bytes have their low byte first, and sign and magnitude rather
//! than two's complement.

use super::Alerts;
use super::serial::{
    BusServo, Health, Instruction, Motion, Packet, Parsed, Protocol, SerialServos, ServoModel,
    Setting, Status, Verdict,
};

/// An arm of Feetech STS servos.
pub type FeetechServos<P> = SerialServos<P, Feetech>;

/// The protocol.
#[derive(Debug, Clone, Copy)]
pub enum Feetech {}

/// Address of the homing offset: the servo takes it off what its encoder says. Two bytes, sign in bit
/// 11; see [`homing_offset`].
pub const HOMING_OFFSET: u16 = 31;
/// Address of the lowest position that the servo itself goes to. Two bytes; the highest follows.
pub const MIN_POSITION: u16 = 9;
/// Address of the phase register, whose bits belong to the motor's controller but for [`COUNTS_TURNS`]. One byte.
pub const PHASE: u16 = 18;
/// Bit of [`PHASE`] with which the servo counts whole turns instead of telling its position within one.
pub const COUNTS_TURNS: u8 = 1 << 4;
/// Address of the id. One byte.
pub const ID: u16 = 5;
/// Address of the bus speed. One byte, 0 for 1 Mbaud.
pub const BAUD: u16 = 6;
/// Address of the proportional gain of the servo's own controller; D and I follow.
pub const P_GAIN: u16 = 21;
/// Address of the current above which the servo protects itself, 6.5 mA a unit. Two bytes.
pub const PROTECTION_CURRENT: u16 = 28;
/// Address of the load in percent above which the servo protects itself.
pub const OVERLOAD_TORQUE: u16 = 36;

const TORQUE_LIMIT: u16 = 48;
const PRESENT_POSITION: u16 = 56;
const PRESENT_VOLTAGE: u16 = 62;
const SERVO_STATUS: u16 = 65;

/// Ramp of the servo's own motion profile, 100 ticks/s^2 a unit: the steepest, since the board has
/// already limited the acceleration.
const STEEPEST_RAMP: u8 = 254;
/// Where a servo can be in position mode: its turn, moved by the homing offset.
const TICKS: core::ops::Range<i32> = -2048..6144;
/// A unit of current, A.
const CURRENT_UNIT_A: f32 = 0.0065;

const HEADER: [u8; 2] = [0xff, 0xff];
/// No servo here has more registers than fit.
const MAX_LENGTH: u8 = super::serial::MAX_DATA as u8 + 2;

/// What stands in the [`HOMING_OFFSET`] register for an offset of so many ticks, within 2047.
#[must_use]
pub fn homing_offset(ticks: i16) -> u16 {
    let size = ticks.unsigned_abs().min(2047);
    if ticks < 0 { size | 1 << 11 } else { size }
}

/// The offset, ticks, that stands in the [`HOMING_OFFSET`] register.
#[must_use]
pub fn homing_ticks(register: u16) -> i16 {
    signed((register & 0x0fff).to_le_bytes(), 11) as i16
}

impl Protocol for Feetech {
    const STATUS_FRAME: usize = 6;
    const MODEL: u16 = 3;
    const TORQUE_ENABLE: u16 = 40;
    const MOTION: (u16, usize) = (PRESENT_POSITION, 6);
    const HEALTH: (u16, usize) = (PRESENT_VOLTAGE, 9);
    const COMPLAINTS: u16 = SERVO_STATUS;
    const SUPPLY_LIMITS: [u16; 2] = [14, 15];
    const HOMING_OFFSET: u16 = HOMING_OFFSET;
    const MULTI_TURN: Option<(u16, u8)> = Some((PHASE, COUNTS_TURNS));
    /// Acceleration, goal position, goal time and goal speed.
    const GOAL: u16 = 41;
    const DRIVE_MODE: Option<u16> = None;
    const SETTINGS: &'static [Setting] = &[
        // Return delay: answer at once.
        Setting {
            address: 7,
            bytes: 1,
            value: 0,
        },
        // Operating mode: position.
        Setting {
            address: 33,
            bytes: 1,
            value: 0,
        },
    ];
    const LOCK: Option<u16> = Some(55);
    const EEPROM_END: u16 = 40;
    type Goal = [u8; 7];

    fn begin(packet: &mut Packet, id: u8, instruction: Instruction) {
        packet.push(&HEADER);
        // The length is filled in at the end.
        packet.push(&[id, 0, instruction as u8]);
    }

    fn number(packet: &mut Packet, number: u16) {
        packet.push(&[number as u8]);
    }

    fn data(packet: &mut Packet, data: &[u8]) {
        packet.push(data);
    }

    fn end(packet: &mut Packet) {
        if let [_, _, _, length, rest @ ..] = packet.bytes_mut() {
            *length = rest.len().saturating_add(1) as u8;
        }
        let [_, _, body @ ..] = packet.bytes_mut() else {
            return;
        };
        let check = checksum(body);
        packet.push(&[check]);
    }

    fn parse(bytes: &[u8]) -> Parsed {
        parse(bytes)
    }

    fn goal(servo: &BusServo, tick: u16) -> [u8; 7] {
        let [tick_low, tick_high] = tick.to_le_bytes();
        let [speed_low, speed_high] = servo.max_ticks_per_s.min(0x7fff).to_le_bytes();
        // A goal time of 0: the speed decides.
        [
            STEEPEST_RAMP,
            tick_low,
            tick_high,
            0,
            0,
            speed_low,
            speed_high,
        ]
    }

    fn torque_limit(servo: &BusServo) -> (u16, [u8; 2]) {
        (
            TORQUE_LIMIT,
            servo.max_torque_permille.min(1000).to_le_bytes(),
        )
    }

    fn speed_limit(_servo: &BusServo) -> Option<Setting> {
        None
    }

    fn motion(_model: ServoModel, data: &[u8]) -> Option<Motion> {
        let &[p0, p1, v0, v1, l0, l1] = data else {
            return None;
        };
        let (tick, load) = (signed([p0, p1], 15), signed([l0, l1], 10));
        // A sum of eight bits passes one damaged packet in 256: most of those are not possible.
        let possible = TICKS.contains(&tick) && (-1000..=1000).contains(&load);
        possible.then_some(Motion {
            tick,
            ticks_per_s: signed([v0, v1], 15) as f32,
            load: load as f32 / 1000.0,
            current_a: None,
        })
    }

    fn offset(register: u32) -> i32 {
        let [low, high, ..] = register.to_le_bytes();
        signed([low, high], 11)
    }

    fn health(data: &[u8]) -> Option<Health> {
        let &[voltage, temperature, _, _, _, _, _, c0, c1] = data else {
            return None;
        };
        Some(Health {
            voltage_v: f32::from(voltage) * 0.1,
            temperature_c: f32::from(temperature),
            current_a: Some(signed([c0, c1], 15) as f32 * CURRENT_UNIT_A),
        })
    }

    fn verdict(error: u8) -> Verdict {
        Verdict::Done(Self::complaints(error))
    }

    fn complaints(register: u8) -> Alerts {
        let mut alerts = Alerts::empty();
        for (bit, alert) in [
            (0, Alerts::VOLTAGE),
            (1, Alerts::ENCODER),
            (2, Alerts::OVERHEATING),
            (3, Alerts::OVERCURRENT),
            // Bit 4: a goal outside of the servo's own limits, or a phase error.
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
    match bytes {
        [] | [0xff] => Parsed::Incomplete,
        [0xff, 0xff] | [0xff, 0xff, _] => Parsed::Incomplete,
        // Of three FF the first is not the header's.
        [0xff, 0xff, id, length, rest @ ..] if *id != 0xff && (2..=MAX_LENGTH).contains(length) => {
            parse_body(*id, *length, rest)
        }
        [_, rest @ ..] => {
            let skipped = rest.iter().position(|byte| *byte == 0xff);
            Parsed::Garbage(skipped.unwrap_or(rest.len()).saturating_add(1))
        }
    }
}

/// What follows the length: status, data, check sum.
fn parse_body(id: u8, length: u8, rest: &[u8]) -> Parsed {
    let Some(body) = rest.get(..usize::from(length)) else {
        return Parsed::Incomplete;
    };
    let [error, data @ .., check] = body else {
        return Parsed::Garbage(1);
    };
    let sum = data
        .iter()
        .fold(id.wrapping_add(length).wrapping_add(*error), |sum, byte| {
            sum.wrapping_add(*byte)
        });
    match heapless::Vec::from_slice(data) {
        Ok(data) if !sum == *check => Parsed::Packet(
            usize::from(length).saturating_add(4),
            Status {
                id,
                error: *error,
                data,
            },
        ),
        _ => Parsed::Damaged(1),
    }
}

fn checksum(body: &[u8]) -> u8 {
    !body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
}

/// Sign and magnitude, the sign in bit `sign`.
fn signed(bytes: [u8; 2], sign: u32) -> i32 {
    let raw = u16::from_le_bytes(bytes);
    let bit = 1_u16.wrapping_shl(sign);
    let size = i32::from(raw & bit.wrapping_sub(1));
    if raw & bit == 0 {
        size
    } else {
        size.wrapping_neg()
    }
}

#[cfg(test)]
mod tests;
