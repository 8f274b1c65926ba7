//! Hobby servos on PWM channels.

use wink_firmware::servo::pca9685::ChannelServo;
use wink_firmware::servo::pwm::{PulsePoint, PwmCalibration};

use super::{Kind, Moved, Part, RawPulse, RawServo};
use crate::arm::ArmError;
use crate::arm::parse::Checker;

/// Time between two pulses of a hobby servo, microseconds.
const PWM_PERIOD_US: f32 = 20_000.0;
/// How far a limit may lie beyond a pulse's position by rounding alone, rad or m.
const ROUNDING: f64 = 1e-6;

impl Checker<'_> {
    pub(super) fn channel(
        &self,
        part: &Part,
        raw: &RawServo,
        moved: &Moved<'_>,
    ) -> Result<ChannelServo, ArmError> {
        let [channel] = *moved.ids else {
            return Err(part.wrong(part.line, "a joint has one PWM servo"));
        };
        if channel > 15 {
            let message = format!("servo id {channel} is its PWM channel, 0 to 15");
            return Err(part.wrong(part.line, &message));
        }
        let (Some(shortest), Some(longest)) = (&raw.shortest, &raw.longest) else {
            let message =
                "a PWM servo needs `shortest` and `longest`, each with pulse_us and position";
            return Err(part.wrong(part.line, message));
        };
        let point = |raw: &RawPulse| {
            let pulse_us = self.field(&part.name, "pulse_us", &raw.pulse_us).within(
                100.0,
                5_000.0,
                ": is it in milliseconds?",
            )?;
            let position = self.field(&part.name, "position", &raw.position).finite()?;
            Ok(PulsePoint {
                pulse_us: pulse_us as f32,
                position: position as f32,
            })
        };
        let (short, long) = (point(shortest)?, point(longest)?);
        let line = self.line(&shortest.pulse_us);
        if short.pulse_us >= long.pulse_us {
            return Err(part.wrong(line, "the shortest pulse is not shorter than the longest"));
        }
        if short.position == long.position {
            return Err(part.wrong(line, "both pulses lead to one position"));
        }
        self.limits_within_pulses(part, line, moved, [short, long])?;
        self.possible_speed(part, Kind::Pwm, moved, moved.rad_per_unit)?;
        Ok(ChannelServo {
            channel,
            calibration: PwmCalibration {
                period_us: PWM_PERIOD_US,
                shortest: short,
                longest: long,
            },
            rest_position: moved.home as f32,
        })
    }

    /// A servo never gets a pulse beyond the two that were measured: a limit out there would be a position that it does not reach.
    fn limits_within_pulses(
        &self,
        part: &Part,
        line: usize,
        moved: &Moved<'_>,
        [short, long]: [PulsePoint; 2],
    ) -> Result<(), ArmError> {
        let (one, other) = (short.position, long.position);
        let (low, high) = (one.min(other), one.max(other));
        // Positions are rounded to 32 bits.
        let reach = f64::from(low) - ROUNDING..=f64::from(high) + ROUNDING;
        for (name, limit) in ["lower", "upper"].into_iter().zip(moved.reach) {
            if !reach.contains(&limit) {
                let message = format!(
                    "its {name} limit {limit} is beyond what the pulses reach, {low} .. {high}: narrow the limit, or measure a longer range"
                );
                return Err(part.wrong(line, &message));
            }
        }
        Ok(())
    }
}
