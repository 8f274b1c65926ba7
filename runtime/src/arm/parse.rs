//! From TOML to an arm, with every value checked and every complaint telling its line.

use nalgebra::{Isometry3, Unit, Vector3};
use serde::Deserialize;
use toml::Spanned;

use super::protection::RawProtection;
use super::servos::{Part, RawServo, RawServos};
use super::workspace::RawWorkspace;
use super::{ArmDescription, ArmError, GRIPPER_NAME, Gripper, Joint, MOST_JOINTS, Protection};
use crate::toml_file::{complaint, line_of};

/// The format number that this version reads.
const FORMAT: u32 = 1;

/// How far from 1 an axis' length may be: rounding in the file, not a forgotten normalisation.
const AXIS_TOLERANCE: f64 = 1e-6;

pub(super) const DEGREES: &str = ": is it in degrees?";
pub(super) const PERCENT: &str = ": is it in percent?";

/// Longest time that a jerk limit may take to build up the acceleration, seconds: the firmware
/// smooths over twice that.
const LONGEST_RAMP_S: f64 = 0.032;

/// Reads and checks an arm; see [`ArmDescription::from_toml`].
pub(super) fn parse(text: &str) -> Result<ArmDescription, ArmError> {
    let raw: RawArm = toml::from_str(text).map_err(|error| {
        let (line, message) = complaint(text, &error);
        ArmError::Syntax { line, message }
    })?;
    Checker {
        text,
        names: Vec::new(),
        servos: Vec::new(),
    }
    .arm(raw)
}

/// The file as it is written, before any check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArm {
    format: Spanned<u32>,
    name: Spanned<String>,
    #[serde(default)]
    joint: Vec<RawJoint>,
    tool: RawTool,
    gripper: Option<RawGripper>,
    protection: Option<Spanned<RawProtection>>,
    servos: Option<RawServos>,
    workspace: Option<RawWorkspace>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJoint {
    name: Spanned<String>,
    servo_ids: Spanned<Vec<u8>>,
    offset_m: Spanned<[f64; 3]>,
    axis: Spanned<[f64; 3]>,
    min_rad: Spanned<f64>,
    max_rad: Spanned<f64>,
    velocity_rad_s: Spanned<f64>,
    acceleration_rad_s2: Spanned<f64>,
    jerk_rad_s3: Option<Spanned<f64>>,
    home_rad: Spanned<f64>,
    #[serde(default)]
    full_turn: bool,
    servo: Option<Spanned<RawServo>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTool {
    offset_m: Spanned<[f64; 3]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGripper {
    servo_ids: Spanned<Vec<u8>>,
    min_m: Spanned<f64>,
    max_m: Spanned<f64>,
    closed_m: Spanned<f64>,
    open_m: Spanned<f64>,
    velocity_m_s: Spanned<f64>,
    acceleration_m_s2: Spanned<f64>,
    jerk_m_s3: Option<Spanned<f64>>,
    torque_limit: Option<Spanned<f64>>,
    home_m: Spanned<f64>,
    servo: Option<Spanned<RawServo>>,
}

/// A number with its name and place in the file.
pub(super) struct Field<'a> {
    pub part: &'a str,
    pub name: &'static str,
    pub value: f64,
    pub line: usize,
}

impl Field<'_> {
    pub fn finite(&self) -> Result<f64, ArmError> {
        if self.value.is_finite() {
            Ok(self.value)
        } else {
            Err(ArmError::NotFinite {
                line: self.line,
                part: self.part.to_owned(),
                field: self.name,
            })
        }
    }

    pub fn within(&self, min: f64, max: f64, hint: &'static str) -> Result<f64, ArmError> {
        let value = self.finite()?;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(ArmError::OutOfRange {
            line: self.line,
            part: self.part.to_owned(),
            field: self.name,
            value,
            min,
            max,
            hint,
        })
    }

    /// The value, where it is whole.
    pub fn whole(&self, min: f64, max: f64, hint: &'static str) -> Result<f64, ArmError> {
        let value = self.within(min, max, hint)?;
        if value.fract() == 0.0 {
            return Ok(value);
        }
        Err(ArmError::NotWhole {
            line: self.line,
            part: self.part.to_owned(),
            field: self.name,
            value,
        })
    }

    pub fn below(&self, upper: &Self) -> Result<(), ArmError> {
        if self.value < upper.value {
            return Ok(());
        }
        Err(ArmError::ReversedLimits {
            line: self.line,
            part: self.part.to_owned(),
            min_field: self.name,
            min: self.value,
            max_field: upper.name,
            max: upper.value,
        })
    }
}

/// Turns the raw file into an arm, remembering the names and servo ids already taken.
pub(super) struct Checker<'a> {
    text: &'a str,
    names: Vec<String>,
    servos: Vec<(u8, String)>,
}

impl Checker<'_> {
    fn arm(&mut self, mut raw: RawArm) -> Result<ArmDescription, ArmError> {
        if *raw.format.get_ref() != FORMAT {
            return Err(ArmError::Format {
                line: self.line(&raw.format),
                found: *raw.format.get_ref(),
                expected: FORMAT,
            });
        }
        self.name("the arm", &raw.name)?;
        let mut parts: Vec<Part> = raw
            .joint
            .iter_mut()
            .map(|joint| Part {
                name: joint.name.get_ref().clone(),
                line: self.line(&joint.servo_ids),
                speed_line: self.line(&joint.velocity_rad_s),
                servo: joint.servo.take(),
            })
            .collect();
        parts.extend(raw.gripper.as_mut().map(|gripper| Part {
            name: GRIPPER_NAME.to_owned(),
            line: self.line(&gripper.servo_ids),
            speed_line: self.line(&gripper.velocity_m_s),
            servo: gripper.servo.take(),
        }));
        let mut joints = raw
            .joint
            .into_iter()
            .map(|joint| self.joint(joint))
            .collect::<Result<Vec<_>, _>>()?;
        if !(1..=MOST_JOINTS).contains(&joints.len()) {
            return Err(ArmError::TooManyJoints {
                found: joints.len(),
                most: MOST_JOINTS,
                names: joints.into_iter().map(|joint| joint.name).collect(),
            });
        }
        let tool = self.offset("tool", &raw.tool.offset_m)?;
        let mut gripper = raw.gripper.map(|raw| self.gripper(raw)).transpose()?;
        for (joint, part) in joints.iter_mut().zip(&parts) {
            joint.calibrated_ticks = part.calibrated_ticks();
        }
        if let (Some(gripper), Some(part)) = (&mut gripper, parts.last()) {
            gripper.calibrated_ticks = part.calibrated_ticks();
        }
        let servos = self.servos(raw.servos.as_ref(), &parts, &joints, gripper.as_ref())?;
        let workspace = raw
            .workspace
            .as_ref()
            .map(|raw| self.workspace(raw))
            .transpose()?;
        Ok(ArmDescription {
            workspace,
            name: raw.name.into_inner(),
            joints,
            tool: Isometry3::translation(tool.x, tool.y, tool.z),
            gripper,
            zeros_by_assembly: raw.servos.as_ref().is_some_and(|raw| raw.zeros_by_assembly),
            servos,
            protection: match &raw.protection {
                Some(protection) => self.protection(protection)?,
                None => Protection::OFF,
            },
        })
    }

    /// The jerk limit, infinite where there is none.
    fn jerk(
        &self,
        part: &str,
        name: &'static str,
        raw: Option<&Spanned<f64>>,
        acceleration: f64,
    ) -> Result<f64, ArmError> {
        let least = acceleration / LONGEST_RAMP_S;
        raw.map_or(Ok(f64::INFINITY), |raw| {
            self.field(part, name, raw).within(
                least,
                1e9,
                ": it must build up the acceleration in 32 ms",
            )
        })
    }

    fn joint(&mut self, raw: RawJoint) -> Result<Joint, ArmError> {
        /// One turn either way is more than any servo of this kind does.
        const MOST_RAD: f64 = std::f64::consts::TAU;

        self.name("a joint", &raw.name)?;
        let name = raw.name.get_ref().as_str();
        if self.names.iter().any(|taken| taken == name) {
            return Err(ArmError::DuplicateJoint {
                line: self.line(&raw.name),
                joint: name.to_owned(),
            });
        }
        let min = self.field(name, "min_rad", &raw.min_rad);
        let max = self.field(name, "max_rad", &raw.max_rad);
        let min_rad = min.within(-MOST_RAD, MOST_RAD, DEGREES)?;
        let max_rad = max.within(-MOST_RAD, MOST_RAD, DEGREES)?;
        min.below(&max)?;
        let acceleration_rad_s2 = self
            .field(name, "acceleration_rad_s2", &raw.acceleration_rad_s2)
            .within(1e-3, 10_000.0, DEGREES)?;
        let joint = Joint {
            name: name.to_owned(),
            servo_ids: raw.servo_ids.get_ref().clone(),
            offset_m: self.offset(name, &raw.offset_m)?,
            axis: self.axis(name, &raw.axis)?,
            min_rad,
            max_rad,
            velocity_rad_s: self
                .field(name, "velocity_rad_s", &raw.velocity_rad_s)
                .within(1e-3, 100.0, DEGREES)?,
            acceleration_rad_s2,
            jerk_rad_s3: self.jerk(
                name,
                "jerk_rad_s3",
                raw.jerk_rad_s3.as_ref(),
                acceleration_rad_s2,
            )?,
            home_rad: self
                .field(name, "home_rad", &raw.home_rad)
                .within(min_rad, max_rad, "")?,
            full_turn: raw.full_turn,
            calibrated_ticks: None,
        };
        self.take_servos(name, &raw.servo_ids)?;
        self.names.push(joint.name.clone());
        Ok(joint)
    }

    fn gripper(&mut self, raw: RawGripper) -> Result<Gripper, ArmError> {
        /// No hobby gripper's finger goes further.
        const MOST_M: f64 = 0.5;
        const MILLIMETRES: &str = ": is it in millimetres?";
        let part = GRIPPER_NAME;

        let min = self.field(part, "min_m", &raw.min_m);
        let max = self.field(part, "max_m", &raw.max_m);
        let closed = self.field(part, "closed_m", &raw.closed_m);
        let open = self.field(part, "open_m", &raw.open_m);
        let min_m = min.within(-MOST_M, MOST_M, MILLIMETRES)?;
        let max_m = max.within(-MOST_M, MOST_M, MILLIMETRES)?;
        min.below(&max)?;
        let closed_m = closed.within(min_m, max_m, "")?;
        let open_m = open.within(min_m, max_m, "")?;
        closed.below(&open)?;
        self.take_servos(part, &raw.servo_ids)?;
        let acceleration_m_s2 = self
            .field(part, "acceleration_m_s2", &raw.acceleration_m_s2)
            .within(1e-4, 1_000.0, MILLIMETRES)?;
        let torque_limit = raw.torque_limit.as_ref().map_or(Ok(f64::INFINITY), |raw| {
            self.field(part, "torque_limit", raw)
                .within(0.01, 1.0, PERCENT)
        })?;
        Ok(Gripper {
            min_m,
            max_m,
            closed_m,
            open_m,
            velocity_m_s: self.field(part, "velocity_m_s", &raw.velocity_m_s).within(
                1e-4,
                10.0,
                MILLIMETRES,
            )?,
            acceleration_m_s2,
            jerk_m_s3: self.jerk(part, "jerk_m_s3", raw.jerk_m_s3.as_ref(), acceleration_m_s2)?,
            torque_limit,
            home_m: self
                .field(part, "home_m", &raw.home_m)
                .within(min_m, max_m, "")?,
            servo_ids: raw.servo_ids.into_inner(),
            calibrated_ticks: None,
        })
    }

    fn offset(&self, part: &str, raw: &Spanned<[f64; 3]>) -> Result<Vector3<f64>, ArmError> {
        /// Links of a table-top arm.
        const MOST_M: f64 = 2.0;
        for &value in raw.get_ref() {
            let field = Field {
                part,
                name: "offset_m",
                value,
                line: self.line(raw),
            };
            field.within(-MOST_M, MOST_M, ": is it in millimetres?")?;
        }
        Ok(Vector3::from(*raw.get_ref()))
    }

    fn axis(&self, joint: &str, raw: &Spanned<[f64; 3]>) -> Result<Unit<Vector3<f64>>, ArmError> {
        let axis = Vector3::from(*raw.get_ref());
        let length = axis.norm();
        // A NaN length fails this too.
        if (length - 1.0).abs() <= AXIS_TOLERANCE {
            Ok(Unit::new_normalize(axis))
        } else {
            Err(ArmError::AxisNotUnit {
                line: self.line(raw),
                joint: joint.to_owned(),
                length,
            })
        }
    }

    fn take_servos(&mut self, part: &str, ids: &Spanned<Vec<u8>>) -> Result<(), ArmError> {
        let line = self.line(ids);
        let count = ids.get_ref().len();
        if !(1..=2).contains(&count) {
            return Err(ArmError::ServoCount {
                line,
                part: part.to_owned(),
                count,
            });
        }
        for &id in ids.get_ref() {
            if let Some((_, other)) = self.servos.iter().find(|(taken, _)| *taken == id) {
                return Err(ArmError::DuplicateServo {
                    line,
                    part: part.to_owned(),
                    id,
                    other: other.clone(),
                });
            }
            self.servos.push((id, part.to_owned()));
        }
        Ok(())
    }

    pub fn field<'a>(&self, part: &'a str, name: &'static str, raw: &Spanned<f64>) -> Field<'a> {
        Field {
            part,
            name,
            value: *raw.get_ref(),
            line: self.line(raw),
        }
    }

    pub fn line<T>(&self, spanned: &Spanned<T>) -> usize {
        line_of(self.text, spanned.span().start)
    }
}
