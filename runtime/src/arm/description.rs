//! An arm, read from TOML and checked before anything moves.

use nalgebra::{Isometry3, Unit, Vector3};
use serde::Deserialize;
use toml::Spanned;

use super::{ARM_JOINTS, ArmError};

/// The format number that this version reads.
const FORMAT: u32 = 1;

/// How far from 1 an axis' length may be: rounding in the file, not a forgotten normalisation.
const AXIS_TOLERANCE: f64 = 1e-6;

/// A revolute joint.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Its name, unique in the arm.
    pub name: String,
    /// Servo ids on the bus; the second, where there is one, mirrors the first.
    pub servo_ids: Vec<u8>,
    /// From the previous joint's frame (the base for the first) to this one's at angle zero.
    pub offset_m: Vector3<f64>,
    /// The axis it turns about, right-handed.
    pub axis: Unit<Vector3<f64>>,
    /// Lower limit.
    pub min_rad: f64,
    /// Upper limit.
    pub max_rad: f64,
    /// Greatest speed.
    pub velocity_rad_s: f64,
    /// Greatest acceleration.
    pub acceleration_rad_s2: f64,
    /// Where an episode starts.
    pub home_rad: f64,
}

/// A parallel gripper of two mirrored fingers. All lengths are those of ONE finger from the middle.
#[derive(Debug, Clone, PartialEq)]
pub struct Gripper {
    /// Servo ids on the bus.
    pub servo_ids: Vec<u8>,
    /// Least command; below `closed_m` it squeezes.
    pub min_m: f64,
    /// Greatest command.
    pub max_m: f64,
    /// Where the finger is when closed on nothing.
    pub closed_m: f64,
    /// Where the finger is when wide open.
    pub open_m: f64,
    /// Greatest speed.
    pub velocity_m_s: f64,
    /// Greatest acceleration.
    pub acceleration_m_s2: f64,
    /// Where an episode starts.
    pub home_m: f64,
}

/// An arm of six revolute joints and a gripper: chain, limits, servos.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmDescription {
    name: String,
    joints: [Joint; ARM_JOINTS],
    tool: Isometry3<f64>,
    gripper: Gripper,
}

impl ArmDescription {
    /// Reads and checks an arm.
    ///
    /// # Errors
    /// With the line, and the joint and field where there is one: syntax, missing or unknown fields, too few or too many
    /// joints, names or servo ids given twice, an axis that is not a unit vector, reversed limits, values that are not
    /// finite or make no sense.
    pub fn from_toml(text: &str) -> Result<Self, ArmError> {
        let raw: RawArm = toml::from_str(text).map_err(|error| ArmError::Syntax {
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        })?;
        Checker {
            text,
            names: Vec::new(),
            servos: Vec::new(),
        }
        .arm(raw)
    }

    /// The WidowX 250S, from `boards/arms/wx250s.toml`.
    #[must_use]
    pub fn wx250s() -> Self {
        const TEXT: &str = include_str!("../../../boards/arms/wx250s.toml");
        Self::from_toml(TEXT)
            .expect("the arm description built into this program is checked by its tests")
    }

    /// The arm's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The joints from the base outwards.
    #[must_use]
    pub fn joints(&self) -> &[Joint; ARM_JOINTS] {
        &self.joints
    }

    /// From the last joint's frame to the point between the fingertips; x runs along the gripper.
    #[must_use]
    pub fn tool(&self) -> &Isometry3<f64> {
        &self.tool
    }

    /// The gripper.
    #[must_use]
    pub fn gripper(&self) -> &Gripper {
        &self.gripper
    }

    /// The joint angles that an episode starts from.
    #[must_use]
    pub fn home(&self) -> [f64; ARM_JOINTS] {
        std::array::from_fn(|index| self.joints[index].home_rad)
    }

    /// `angles` (rad) brought inside of the joint limits.
    #[must_use]
    pub fn clamp(&self, angles: &[f64; ARM_JOINTS]) -> [f64; ARM_JOINTS] {
        std::array::from_fn(|index| {
            angles[index].clamp(self.joints[index].min_rad, self.joints[index].max_rad)
        })
    }
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
    gripper: RawGripper,
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
    home_rad: Spanned<f64>,
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
    home_m: Spanned<f64>,
}

/// A number with its name and place in the file.
struct Field<'a> {
    part: &'a str,
    name: &'static str,
    value: f64,
    line: usize,
}

impl Field<'_> {
    fn finite(&self) -> Result<f64, ArmError> {
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

    fn within(&self, min: f64, max: f64, hint: &'static str) -> Result<f64, ArmError> {
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

    fn below(&self, upper: &Self) -> Result<(), ArmError> {
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
struct Checker<'a> {
    text: &'a str,
    names: Vec<String>,
    servos: Vec<(u8, String)>,
}

impl Checker<'_> {
    fn arm(&mut self, raw: RawArm) -> Result<ArmDescription, ArmError> {
        if *raw.format.get_ref() != FORMAT {
            return Err(ArmError::Format {
                line: self.line(&raw.format),
                found: *raw.format.get_ref(),
                expected: FORMAT,
            });
        }
        self.not_empty("the arm", &raw.name)?;
        let joints = raw
            .joint
            .into_iter()
            .map(|joint| self.joint(joint))
            .collect::<Result<Vec<_>, _>>()?;
        let joints =
            <[Joint; ARM_JOINTS]>::try_from(joints).map_err(|joints| ArmError::JointCount {
                found: joints.len(),
                expected: ARM_JOINTS,
                names: joints.into_iter().map(|joint| joint.name).collect(),
            })?;
        let tool = self.offset("tool", &raw.tool.offset_m)?;
        Ok(ArmDescription {
            name: raw.name.into_inner(),
            joints,
            tool: Isometry3::translation(tool.x, tool.y, tool.z),
            gripper: self.gripper(raw.gripper)?,
        })
    }

    fn joint(&mut self, raw: RawJoint) -> Result<Joint, ArmError> {
        /// One turn either way is more than any servo of this kind does.
        const MOST_RAD: f64 = std::f64::consts::TAU;
        const DEGREES: &str = ": is it in degrees?";

        self.not_empty("a joint", &raw.name)?;
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
            acceleration_rad_s2: self
                .field(name, "acceleration_rad_s2", &raw.acceleration_rad_s2)
                .within(1e-3, 10_000.0, DEGREES)?,
            home_rad: self
                .field(name, "home_rad", &raw.home_rad)
                .within(min_rad, max_rad, "")?,
        };
        self.take_servos(name, &raw.servo_ids)?;
        self.names.push(joint.name.clone());
        Ok(joint)
    }

    fn gripper(&mut self, raw: RawGripper) -> Result<Gripper, ArmError> {
        /// No hobby gripper's finger goes further.
        const MOST_M: f64 = 0.5;
        const MILLIMETRES: &str = ": is it in millimetres?";
        let part = "gripper";

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
            acceleration_m_s2: self
                .field(part, "acceleration_m_s2", &raw.acceleration_m_s2)
                .within(1e-4, 1_000.0, MILLIMETRES)?,
            home_m: self
                .field(part, "home_m", &raw.home_m)
                .within(min_m, max_m, "")?,
            servo_ids: raw.servo_ids.into_inner(),
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

    fn not_empty(&self, part: &'static str, name: &Spanned<String>) -> Result<(), ArmError> {
        if name.get_ref().trim().is_empty() {
            return Err(ArmError::EmptyName {
                line: self.line(name),
                part,
            });
        }
        Ok(())
    }

    fn field<'a>(&self, part: &'a str, name: &'static str, raw: &Spanned<f64>) -> Field<'a> {
        Field {
            part,
            name,
            value: *raw.get_ref(),
            line: self.line(raw),
        }
    }

    fn line<T>(&self, spanned: &Spanned<T>) -> usize {
        line_of(self.text, spanned.span().start)
    }
}

/// The line, counted from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const WX250S: &str = include_str!("../../../boards/arms/wx250s.toml");

    /// The built-in arm with the `nth` (from 0) occurrence of `from` replaced.
    fn edited(nth: usize, from: &str, to: &str) -> String {
        let (at, _) = WX250S
            .match_indices(from)
            .nth(nth)
            .expect("the text to replace is there");
        format!("{}{to}{}", &WX250S[..at], &WX250S[at + from.len()..])
    }

    #[test]
    fn the_built_in_arm_is_valid_and_has_the_manufacturers_servos() {
        let arm = ArmDescription::wx250s();
        assert_eq!(arm.name(), "wx250s");
        let ids: Vec<u8> = arm
            .joints()
            .iter()
            .flat_map(|joint| joint.servo_ids.clone())
            .collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(arm.gripper().servo_ids, [9]);
        let degrees: Vec<_> = arm
            .joints()
            .iter()
            .map(|j| {
                (
                    j.min_rad.to_degrees().round(),
                    j.max_rad.to_degrees().round(),
                )
            })
            .collect();
        assert_eq!(
            degrees,
            [
                (-180., 180.),
                (-108., 114.),
                (-123., 92.),
                (-180., 180.),
                (-100., 123.),
                (-180., 180.)
            ]
        );
    }

    #[test]
    fn bad_descriptions_are_refused_with_the_line_and_the_name() {
        let last_joint = {
            let start = WX250S.rfind("[[joint]]").expect("there is a joint");
            let end = WX250S.find("[tool]").expect("there is a tool");
            format!("{}{}", &WX250S[..start], &WX250S[end..])
        };
        let cases = [
            (
                edited(0, "format = 1", "format = 2"),
                "line 4: format 2 is not known, this version reads format 1",
            ),
            (
                edited(0, "\"wx250s\"", "\" \""),
                "line 5: the arm has an empty name",
            ),
            (
                last_joint,
                "the arm has 5 joints [waist, shoulder, elbow, forearm_roll, wrist_angle], this version drives arms of 6",
            ),
            (
                edited(0, "\"elbow\"", "\"waist\""),
                "line 30: there already is a joint \"waist\"",
            ),
            (
                edited(0, "[4, 5]", "[4, 2]"),
                "line 31: \"elbow\": servo id 2 is already taken by \"shoulder\"",
            ),
            (
                edited(0, "[4, 5]", "[4, 4]"),
                "line 31: \"elbow\": servo id 4 is already taken by \"elbow\"",
            ),
            (
                edited(0, "[9]", "[8]"),
                "\"gripper\": servo id 8 is already taken by \"wrist_rotate\"",
            ),
            (
                edited(0, "[6]", "[]"),
                "\"forearm_roll\": servo_ids holds 0 ids",
            ),
            (
                edited(0, "[0.0, 0.0, 1.0]", "[0.0, 0.0, 2.0]"),
                "line 11: joint \"waist\": axis has length 2, it must be a unit vector",
            ),
            (
                edited(0, "[0.0, 0.0, 1.0]", "[0.0, 0.0, nan]"),
                "joint \"waist\": axis has length NaN",
            ),
            (
                edited(0, "min_rad = -1.8849555921538759", "min_rad = 2.0"),
                "line 23: \"shoulder\": min_rad 2 is not below max_rad 1.98967",
            ),
            (
                edited(0, "max_rad = 1.9896753472735358", "max_rad = 114"),
                "line 24: \"shoulder\": max_rad is 114, outside of",
            ),
            (
                edited(0, "0.03865", "inf"),
                "line 21: \"shoulder\": offset_m is not a finite number",
            ),
            (edited(0, "0.03865", "38.65"), "is it in millimetres?"),
            (
                edited(2, "acceleration_rad_s2 = 40.0", "acceleration_rad_s2 = 0.0"),
                "\"elbow\": acceleration_rad_s2 is 0, outside of",
            ),
            (
                edited(0, "home_rad = 1.5707963267948966", "home_rad = 3.0"),
                "\"wrist_angle\": home_rad is 3, outside of",
            ),
            (
                edited(0, "closed_m = 0.015", "closed_m = 0.039"),
                "\"gripper\": closed_m 0.039 is not below open_m 0.037",
            ),
            (
                edited(0, "open_m = 0.037", "open_m = 0.05"),
                "\"gripper\": open_m is 0.05, outside of -0.01 .. 0.04",
            ),
            (
                edited(0, "velocity_m_s", "velocity_mm_s"),
                "unknown field `velocity_mm_s`",
            ),
            (
                edited(0, "axis = [0.0, 1.0, 0.0]\n", ""),
                "missing field `axis`",
            ),
            (
                edited(0, "axis = [0.0, 1.0, 0.0]", "axis = [0.0, 1.0]"),
                "line 22: ",
            ),
            (
                edited(0, "axis = [0.0, 1.0, 0.0]", "axis = [0.0, 1.0, 0.0"),
                "line 2",
            ),
            (String::new(), "line 1: missing field `format`"),
        ];
        for (text, expected) in cases {
            let message = ArmDescription::from_toml(&text)
                .expect_err(expected)
                .to_string();
            assert!(
                message.contains(expected),
                "\"{message}\" does not say \"{expected}\""
            );
        }
    }

    #[test]
    fn clamping_keeps_inside_and_changes_nothing_else() {
        let arm = ArmDescription::wx250s();
        assert_eq!(arm.clamp(&arm.home()), arm.home());
        let clamped = arm.clamp(&[9.0, -9.0, 0.5, 0.0, 9.0, -9.0]);
        let joints = arm.joints();
        assert_eq!(
            clamped,
            [
                joints[0].max_rad,
                joints[1].min_rad,
                0.5,
                0.0,
                joints[4].max_rad,
                joints[5].min_rad
            ]
        );
    }
}
