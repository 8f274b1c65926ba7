//! Whether a servo can do what its joint is allowed: as fast, and as far.

use wink_firmware::servo::TICKS_PER_TURN;
use wink_firmware::servo::serial::ServoModel;

use super::{Kind, Moved, Part, RawServo};
use crate::arm::ArmError;
use crate::arm::parse::Checker;

/// Ticks that a limit may lie outside of a servo's turn: a full turn ends one before it begins.
const TICK_TOLERANCE: f64 = 2.0;

impl Checker<'_> {
    /// A joint cannot be faster than its servo.
    pub(super) fn possible_speed(
        &self,
        part: &Part,
        kind: Kind,
        moved: &Moved<'_>,
        rad_per_unit: Option<f64>,
    ) -> Result<(), ArmError> {
        let Some(rad_per_unit) = rad_per_unit else {
            return Ok(());
        };
        let most = kind.fastest_rad_s() / rad_per_unit;
        if moved.velocity <= most {
            return Ok(());
        }
        let rpm = |velocity: f64| velocity * rad_per_unit * 60.0 / std::f64::consts::TAU;
        let message = format!(
            "{} is {}, {:.0} turns a minute: its servo does {:.0} at most without load. Is it in degrees?",
            moved.speed,
            moved.velocity,
            rpm(moved.velocity),
            rpm(most)
        );
        Err(part.wrong(part.speed_line, &message))
    }

    /// A joint whose limits its servo cannot reach is calibrated wrongly. A crank's commands may go
    /// beyond its reach: they squeeze.
    pub(super) fn limits_within_turn(
        &self,
        part: &Part,
        raw: &RawServo,
        model: ServoModel,
        moved: &Moved<'_>,
        zero: f64,
        rad_per_unit: Option<f64>,
    ) -> Result<(), ArmError> {
        let Some(rad_per_unit) = rad_per_unit else {
            return Ok(());
        };
        let sign = if raw.reversed { -1.0 } else { 1.0 };
        let ticks = sign * rad_per_unit * f64::from(TICKS_PER_TURN) / std::f64::consts::TAU;
        let reach = -TICK_TOLERANCE..=f64::from(TICKS_PER_TURN - 1) + TICK_TOLERANCE;
        for (name, limit) in [("lower", moved.min), ("upper", moved.max)] {
            let tick = zero + limit * ticks;
            if !reach.contains(&tick) {
                let line = raw
                    .zero_tick
                    .as_ref()
                    .map_or(part.line, |zero| self.line(zero));
                let message = format!(
                    "its {name} limit is at tick {tick:.0}, outside of the servo's 0 .. {}: calibrate it{}",
                    TICKS_PER_TURN - 1,
                    by_homing_offset(raw, model, zero)
                );
                return Err(part.wrong(line, &message));
            }
        }
        Ok(())
    }
}

/// How a zero far from the middle is said.
fn by_homing_offset(raw: &RawServo, model: ServoModel, zero: f64) -> String {
    let middle = f64::from(TICKS_PER_TURN / 2);
    if zero == middle {
        return String::new();
    }
    // A Feetech servo takes its homing offset off, a Dynamixel adds it.
    let sign = if model.is_dynamixel() { -1.0 } else { 1.0 };
    let before = raw.homing_offset.as_ref().map_or(0.0, |raw| *raw.get_ref());
    let offset = before + sign * (zero - middle);
    format!(", or move the servo's own zero: zero_tick = {middle} and homing_offset = {offset:.0}")
}
