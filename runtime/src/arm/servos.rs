//! The part of an arm's file that says what turns its joints, and what the firmware's drivers are
//! told of it.

mod hash;
mod models;
mod pwm;
mod reach;
mod settings;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use toml::Spanned;
use wink_firmware::servo::pca9685::ChannelServo;
use wink_firmware::servo::serial::{BusServo, ServoModel, Setting};
use wink_firmware::servo::{TICKS_PER_TURN, TickCalibration, Transmission};

use models::{Kind, goes_with};

use super::parse::{Checker, Field, PERCENT};
use super::{ArmError, Gripper, Joint};

/// How much faster than its joint may be asked to go a servo itself may go.
const SPEED_MARGIN: f64 = 1.25;

/// What drives an arm's joints.
#[derive(Debug, Clone, PartialEq)]
pub enum ArmServos {
    /// Servos on a serial bus, all of one protocol.
    Bus {
        /// In wire order; the second servo of a joint follows the first.
        servos: Vec<BusServo>,
        /// Registers that must hold a value before the arm moves, with the servo's id.
        settings: Vec<(u8, Setting)>,
    },
    /// Hobby servos on PWM channels, in wire order. Their rest positions are the joints' homes.
    Pwm(Vec<ChannelServo>),
}

/// `[servos]`: what holds for all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServos {
    model: Spanned<String>,
    /// The arm is put together so that joints are at zero in the middle of their servos' turns: it needs no calibration.
    #[serde(default)]
    pub zeros_by_assembly: bool,
    p_gain: Option<Spanned<f64>>,
    i_gain: Option<Spanned<f64>>,
    d_gain: Option<Spanned<f64>>,
}

/// `servo = { … }` of a joint or the gripper.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServo {
    model: Option<Spanned<String>>,
    zero_tick: Option<Spanned<f64>>,
    reversed: bool,
    min_tick: Option<Spanned<f64>>,
    max_tick: Option<Spanned<f64>>,
    homing_offset: Option<Spanned<f64>>,
    max_torque: Option<Spanned<f64>>,
    protection_current_a: Option<Spanned<f64>>,
    overload_torque: Option<Spanned<f64>>,
    lever_m: Option<Spanned<f64>>,
    horn_m: Option<Spanned<f64>>,
    rod_m: Option<Spanned<f64>>,
    shortest: Option<RawPulse>,
    longest: Option<RawPulse>,
}

/// A pulse and where it leads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPulse {
    pulse_us: Spanned<f64>,
    position: Spanned<f64>,
}

/// A joint or the gripper, as far as its servos go.
pub(super) struct Part {
    pub name: String,
    /// Where its servo ids stand.
    pub line: usize,
    /// Where its greatest speed stands.
    pub speed_line: usize,
    pub servo: Option<Spanned<RawServo>>,
}

/// What a part's servos move.
struct Moved<'a> {
    joint: usize,
    ids: &'a [u8],
    min: f64,
    max: f64,
    velocity: f64,
    home: f64,
    /// Where it must be able to go; a gripper may be told to squeeze beyond.
    reach: [f64; 2],
    /// The field with its greatest speed.
    speed: &'static str,
    /// Radians for a unit of its position; of a finger it depends on what moves it.
    rad_per_unit: Option<f64>,
}

impl Checker<'_> {
    pub fn servos(
        &self,
        raw: Option<&RawServos>,
        parts: &[Part],
        joints: &[Joint],
        gripper: Option<&Gripper>,
    ) -> Result<Option<ArmServos>, ArmError> {
        let Some(raw) = raw else {
            return match parts
                .iter()
                .find_map(|part| Some((part, part.servo.as_ref()?)))
            {
                Some((part, servo)) => {
                    Err(part.wrong(self.line(servo), "there is no [servos] with a model for it"))
                }
                None => Ok(None),
            };
        };
        let of_joints = joints.iter().map(|joint| Moved {
            joint: 0,
            ids: &joint.servo_ids,
            min: joint.min_rad,
            max: joint.max_rad,
            velocity: joint.velocity_rad_s,
            home: joint.home_rad,
            reach: [joint.min_rad, joint.max_rad],
            speed: "velocity_rad_s",
            rad_per_unit: Some(1.0),
        });
        let of_gripper = gripper.map(|gripper| Moved {
            joint: 0,
            ids: &gripper.servo_ids,
            min: gripper.min_m,
            max: gripper.max_m,
            velocity: gripper.velocity_m_s,
            home: gripper.home_m,
            reach: [gripper.closed_m, gripper.open_m],
            speed: "velocity_m_s",
            rad_per_unit: None,
        });
        let moved = of_joints.chain(of_gripper).enumerate();
        let moved: Vec<Moved<'_>> = moved
            .map(|(joint, moved)| Moved { joint, ..moved })
            .collect();
        let default = self.kind(&raw.model)?;
        let mut bus = Vec::new();
        let mut settings = Vec::new();
        let mut channels = Vec::new();
        for (part, moved) in parts.iter().zip(&moved) {
            let plain = RawServo::default();
            let servo = part.servo.as_ref().map_or(&plain, Spanned::get_ref);
            let kind = servo
                .model
                .as_ref()
                .map_or(Ok(default), |model| self.kind(model))?;
            if !goes_with(kind, default) {
                let line = servo
                    .model
                    .as_ref()
                    .map_or(part.line, |model| self.line(model));
                return Err(part.wrong(line, "its model and that of [servos] do not go on one bus"));
            }
            match kind {
                Kind::Bus(model) => {
                    self.bus_servos(part, servo, model, moved, &mut bus)?;
                    for &id in moved.ids {
                        let of_servo = self.settings(raw, part, servo, model)?;
                        settings.extend(of_servo.into_iter().map(|setting| (id, setting)));
                    }
                }
                Kind::Pwm => channels.push(self.channel(part, servo, moved)?),
            }
        }
        Ok(Some(if default == Kind::Pwm {
            ArmServos::Pwm(channels)
        } else {
            ArmServos::Bus {
                servos: bus,
                settings,
            }
        }))
    }

    /// A number of a part's servo within its bounds, or what holds without it.
    fn number(
        &self,
        part: &Part,
        name: &'static str,
        raw: Option<&Spanned<f64>>,
        otherwise: f64,
        [min, max]: [f64; 2],
        hint: &'static str,
    ) -> Result<f64, ArmError> {
        raw.map_or(Ok(otherwise), |raw| {
            self.field(&part.name, name, raw).within(min, max, hint)
        })
    }

    fn bus_servos(
        &self,
        part: &Part,
        raw: &RawServo,
        model: ServoModel,
        moved: &Moved<'_>,
        out: &mut Vec<BusServo>,
    ) -> Result<(), ArmError> {
        if let Some(pulse) = raw.shortest.as_ref().or(raw.longest.as_ref()) {
            let line = self.line(&pulse.pulse_us);
            return Err(part.wrong(line, "pulses are for servos of model \"pwm\""));
        }
        let last = f64::from(TICKS_PER_TURN - 1);
        let middle = f64::from(TICKS_PER_TURN / 2);
        let tick = |name, raw: &Option<Spanned<f64>>, otherwise| match raw {
            Some(raw) => self.field(&part.name, name, raw).whole(0.0, last, ""),
            None => Ok(otherwise),
        };
        let min = tick("min_tick", &raw.min_tick, 0.0)?;
        let max = tick("max_tick", &raw.max_tick, last)?;
        if let Some(raw) = raw.min_tick.as_ref().or(raw.max_tick.as_ref()) {
            let [low, high] = [("min_tick", min), ("max_tick", max)].map(|(name, value)| Field {
                part: &part.name,
                name,
                value,
                line: self.line(raw),
            });
            low.below(&high)?;
        }
        let zero_range = [-middle, last + middle];
        let zero = self.number(
            part,
            "zero_tick",
            raw.zero_tick.as_ref(),
            middle,
            zero_range,
            "",
        )?;
        let max_torque = self.number(
            part,
            "max_torque",
            raw.max_torque.as_ref(),
            1.0,
            [0.001, 1.0],
            PERCENT,
        )?;
        let (transmission, rad_per_unit) = self.transmission(part, raw)?;
        self.possible_speed(part, Kind::Bus(model), moved, rad_per_unit)?;
        self.limits_within_turn(part, raw, model, moved, zero, rad_per_unit)?;
        let ticks_per_s = rad_per_unit.map_or(0.0, |rad_per_unit| {
            let rad_per_s = moved.velocity * rad_per_unit * SPEED_MARGIN;
            let ticks_per_s = rad_per_s * f64::from(TICKS_PER_TURN) / std::f64::consts::TAU;
            // 0 would be no limit.
            ticks_per_s.round().clamp(1.0, 32_767.0)
        });
        for (&id, reversed) in moved.ids.iter().zip([raw.reversed, !raw.reversed]) {
            if id > BusServo::MAX_ID {
                let message = format!("servo id {id} is above {}", BusServo::MAX_ID);
                return Err(part.wrong(part.line, &message));
            }
            out.push(BusServo {
                id,
                model,
                joint: moved.joint as u8,
                calibration: TickCalibration {
                    zero_tick: zero as f32,
                    reversed,
                    min_tick: min as u16,
                    max_tick: max as u16,
                    transmission,
                },
                max_ticks_per_s: ticks_per_s as u16,
                max_torque_permille: (max_torque * 1000.0).round() as u16,
            });
        }
        Ok(())
    }

    /// What the servo turns, and its angle per unit of position where that is one number.
    fn transmission(
        &self,
        part: &Part,
        raw: &RawServo,
    ) -> Result<(Transmission, Option<f64>), ArmError> {
        const LENGTHS: [f64; 2] = [1e-3, 0.5];
        const MILLIMETRES: &str = ": is it in millimetres?";
        let length = |name, value: &Spanned<f64>| {
            self.number(part, name, Some(value), 0.0, LENGTHS, MILLIMETRES)
        };
        match (&raw.lever_m, &raw.horn_m, &raw.rod_m) {
            (None, None, None) => Ok((Transmission::Direct, Some(1.0))),
            (Some(lever), None, None) => {
                let length_m = length("lever_m", lever)?;
                let transmission = Transmission::Lever {
                    length_m: length_m as f32,
                };
                Ok((transmission, Some(1.0 / length_m)))
            }
            (None, Some(horn), Some(rod)) => {
                let (horn_m, rod_m) = (length("horn_m", horn)?, length("rod_m", rod)?);
                if horn_m >= rod_m {
                    let message = format!("horn_m {horn_m} is not below rod_m {rod_m}");
                    return Err(part.wrong(self.line(horn), &message));
                }
                let transmission = Transmission::Crank {
                    horn_m: horn_m as f32,
                    rod_m: rod_m as f32,
                };
                Ok((transmission, None))
            }
            (lever, horn, rod) => {
                let given = [lever, horn, rod].into_iter().flatten().next();
                let line = given.map_or(part.line, |given| self.line(given));
                Err(part.wrong(line, "a gripper has lever_m, or both horn_m and rod_m"))
            }
        }
    }
}

impl Part {
    /// First and last tick of the range that the servo was calibrated over, where the file says both.
    pub fn calibrated_ticks(&self) -> Option<[f64; 2]> {
        let servo = self.servo.as_ref()?.get_ref();
        let tick = |raw: &Option<Spanned<f64>>| raw.as_ref().map(|tick| *tick.get_ref());
        Some([tick(&servo.min_tick)?, tick(&servo.max_tick)?])
    }

    fn wrong(&self, line: usize, message: &str) -> ArmError {
        ArmError::Servo {
            line,
            part: self.name.clone(),
            message: message.to_owned(),
        }
    }
}
