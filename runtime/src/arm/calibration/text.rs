//! A calibration as TOML.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{Calibration, CalibrationError, JointCalibration};
use crate::toml_file;

/// The format number that this version reads and writes.
const FORMAT: u32 = 1;

const HEAD: &str = "\
# How far an arm's servos go; `wink arm calibrate` writes this file. Ticks are those that a servo reports, after its homing offset.
# A joint is at zero in the middle of its range, a gripper is closed at range_min. The limits are in the arm's own file.
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u32,
    arm: String,
    #[serde(default)]
    joint: Vec<RawJoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJoint {
    name: String,
    servo_id: u8,
    #[serde(default)]
    reversed: bool,
    homing_offset: i32,
    range_min: i32,
    range_max: i32,
}

impl Calibration {
    /// Reads a calibration. Whether it fits an arm is for [`check`](Self::check) to say.
    ///
    /// # Errors
    /// With the line: syntax, missing or unknown fields; another format.
    pub fn from_toml(text: &str) -> Result<Self, CalibrationError> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let (line, message) = toml_file::complaint(text, &error);
            CalibrationError::Syntax { line, message }
        })?;
        if raw.format != FORMAT {
            return Err(CalibrationError::Format {
                found: raw.format,
                expected: FORMAT,
            });
        }
        let joints = raw.joint.into_iter().map(|joint| JointCalibration {
            name: joint.name,
            servo_id: joint.servo_id,
            reversed: joint.reversed,
            homing_offset: joint.homing_offset,
            range_min: joint.range_min,
            range_max: joint.range_max,
        });
        Ok(Self {
            arm: raw.arm,
            joints: joints.collect(),
        })
    }

    /// The calibration as a file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!("{HEAD}format = {FORMAT}\narm = {}\n", quoted(&self.arm));
        for joint in &self.joints {
            let _ = write!(
                text,
                "\n[[joint]]\nname = {}\nservo_id = {}\nreversed = {}\nhoming_offset = {}\nrange_min = {}\nrange_max = {}\n",
                quoted(&joint.name),
                joint.servo_id,
                joint.reversed,
                joint.homing_offset,
                joint.range_min,
                joint.range_max
            );
        }
        text
    }
}

/// A name as a TOML string.
fn quoted(name: &str) -> String {
    let mut text = String::from('"');
    for character in name.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            _ if character.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}
