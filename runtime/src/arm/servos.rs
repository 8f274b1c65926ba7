//! The part of an arm's file that says what turns its joints, and what the firmware's drivers are
//! told of it.

mod hash;
mod pwm;
mod settings;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use toml::Spanned;
use wink_firmware::servo::pca9685::ChannelServo;
use wink_firmware::servo::serial::{BusServo, ServoModel, Setting};
use wink_firmware::servo::{TICKS_PER_TURN, TickCalibration, Transmission};

use super::parse::{Checker, Field, PERCENT};
use super::{ArmError, Gripper, Joint};

/// What an arm's file calls the servos that are driven here.
const MODELS: [(&str, Kind); 4] = [
    ("feetech_sts3215", Kind::Bus(ServoModel::Sts3215)),
    ("dynamixel_xm430_w350", Kind::Bus(ServoModel::Xm430W350)),
    ("dynamixel_xl430_w250", Kind::Bus(ServoModel::Xl430W250)),
    ("pwm", Kind::Pwm),
];
const NAMES: [&str; 4] = [MODELS[0].0, MODELS[1].0, MODELS[2].0, MODELS[3].0];

/// How much faster than its joint may be asked to go a servo itself may go.
const SPEED_MARGIN: f64 = 1.25;
/// Ticks that a limit may lie outside of a servo's turn: a full turn ends one before it begins.
const TICK_TOLERANCE: f64 = 2.0;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bus(ServoModel),
    Pwm,
}

/// `[servos]`: what holds for all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServos {
    model: Spanned<String>,
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
}

impl Checker<'_> {
    pub fn servos(
        &self,
        raw: Option<&RawServos>,
        parts: &[Part],
        joints: &[Joint],
        gripper: &Gripper,
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
        let moved = |joint: usize| match joints.get(joint) {
            Some(moved) => Moved {
                joint,
                ids: &moved.servo_ids,
                min: moved.min_rad,
                max: moved.max_rad,
                velocity: moved.velocity_rad_s,
                home: moved.home_rad,
            },
            None => Moved {
                joint,
                ids: &gripper.servo_ids,
                min: gripper.min_m,
                max: gripper.max_m,
                velocity: gripper.velocity_m_s,
                home: gripper.home_m,
            },
        };
        let default = self.kind(&raw.model)?;
        let mut bus = Vec::new();
        let mut settings = Vec::new();
        let mut channels = Vec::new();
        for (joint, part) in parts.iter().enumerate() {
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
                    self.bus_servos(part, servo, model, &moved(joint), &mut bus)?;
                    for &id in moved(joint).ids {
                        let of_servo = self.settings(raw, part, servo, model)?;
                        settings.extend(of_servo.into_iter().map(|setting| (id, setting)));
                    }
                }
                Kind::Pwm => channels.push(self.channel(part, servo, &moved(joint))?),
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

    fn kind(&self, model: &Spanned<String>) -> Result<Kind, ArmError> {
        let found = model.get_ref();
        MODELS
            .iter()
            .find(|(name, _)| name == found)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| ArmError::UnknownServo {
                line: self.line(model),
                found: found.clone(),
                known: &NAMES,
            })
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
        let min = self.number(
            part,
            "min_tick",
            raw.min_tick.as_ref(),
            0.0,
            [0.0, last],
            "",
        )?;
        let max = self.number(
            part,
            "max_tick",
            raw.max_tick.as_ref(),
            last,
            [0.0, last],
            "",
        )?;
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
        self.limits_within_turn(part, raw, moved, zero, rad_per_unit)?;
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

    /// A joint whose limits its servo cannot reach is calibrated wrongly. A crank's commands may go
    /// beyond its reach: they squeeze.
    fn limits_within_turn(
        &self,
        part: &Part,
        raw: &RawServo,
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
                    "its {name} limit is at tick {tick:.0}, outside of the servo's 0 .. {}: calibrate it",
                    TICKS_PER_TURN - 1
                );
                return Err(part.wrong(line, &message));
            }
        }
        Ok(())
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

/// Whether servos of both kinds can share one bus.
fn goes_with(one: Kind, other: Kind) -> bool {
    match (one, other) {
        (Kind::Bus(one), Kind::Bus(other)) => one.is_dynamixel() == other.is_dynamixel(),
        (Kind::Pwm, Kind::Pwm) => true,
        _ => false,
    }
}
