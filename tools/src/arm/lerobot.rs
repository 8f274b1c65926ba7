//! LeRobot's calibration file, read and written.
//!
//! It says of each joint by name `id`, `drive_mode`, `homing_offset`, `range_min` and `range_max`, in ticks: what wink's own
//! calibration says too.

mod json;

use anyhow::Result;
use wink_runtime::arm::{ArmDescription, Calibration, GRIPPER_NAME, JointCalibration};

use crate::bad_input::bad_input;
use json::Node;

const ID: &str = "id";
const DRIVE_MODE: &str = "drive_mode";
const HOMING_OFFSET: &str = "homing_offset";
const RANGE_MIN: &str = "range_min";
const RANGE_MAX: &str = "range_max";
const FIELDS: [&str; 5] = [ID, DRIVE_MODE, HOMING_OFFSET, RANGE_MIN, RANGE_MAX];

/// LeRobot chooses the homing offset so that a joint is at this tick where its calibration began.
const START: i32 = 2047;
/// A range that ends so near to where the calibration began was swept to one side only.
const NEAR_START: u32 = 16;

/// What a file says of an arm.
#[derive(Debug, PartialEq)]
pub struct Taken {
    pub calibration: Calibration,
    /// Entries that are no joints of the arm: a mobile base's wheels, notes.
    pub left_out: Vec<String>,
}

/// Reads LeRobot's file as a calibration of the arm.
pub fn read(text: &str, arm: &ArmDescription) -> Result<Taken> {
    let entries = json::parse(text)?;
    refuse_old_format(&entries)?;
    let mut joints = Vec::new();
    let mut taken = Vec::new();
    for name in arm.wire_names() {
        let (key, node) = entry(&entries, name).ok_or_else(|| {
            bad_input(format!(
                "there is no \"{name}\", which the arm {} has",
                arm.name()
            ))
        })?;
        taken.push(key.as_str());
        joints.push(joint(name, node)?);
    }
    let others = entries
        .iter()
        .filter(|(key, _)| !taken.contains(&key.as_str()));
    let mut left_out = Vec::new();
    for (key, node) in others {
        let id = node.field(ID).and_then(Node::number);
        let same_id = |joint: &&JointCalibration| Some(f64::from(joint.servo_id)) == id;
        if let Some(joint) = joints.iter().find(same_id) {
            return Err(bad_input(format!(
                "\"{}\" is no joint of {}, and has the servo id {} of \"{}\"",
                key.escape_debug(),
                arm.name(),
                joint.servo_id,
                joint.name
            )));
        }
        left_out.push(key.clone());
    }
    let calibration = Calibration {
        arm: arm.name().to_owned(),
        joints,
    };
    calibration.check(arm).map_err(bad_input)?;
    refuse_half_swept(&calibration, arm)?;
    Ok(Taken {
        calibration,
        left_out,
    })
}

/// The entry of a joint. On a mobile base (LeKiwi) LeRobot calls it `arm_NAME`.
fn entry<'a>(entries: &'a [(String, Node)], name: &str) -> Option<&'a (String, Node)> {
    let called = |key: &str| entries.iter().find(|(found, _)| found == key);
    called(name).or_else(|| called(&format!("arm_{name}")))
}

/// A calibration as LeRobot's file.
pub fn write(calibration: &Calibration) -> String {
    let rows: Vec<String> = calibration
        .joints
        .iter()
        .map(|joint| {
            let values = [
                i32::from(joint.servo_id),
                i32::from(joint.reversed),
                joint.homing_offset,
                joint.range_min,
                joint.range_max,
            ];
            let fields: Vec<String> = FIELDS
                .iter()
                .zip(values)
                .map(|(field, value)| format!("        \"{field}\": {value}"))
                .collect();
            let name = serde_json::Value::from(joint.name.as_str());
            format!("    {name}: {{\n{}\n    }}", fields.join(",\n"))
        })
        .collect();
    format!("{{\n{}\n}}", rows.join(",\n"))
}

fn joint(name: &str, node: &Node) -> Result<JointCalibration> {
    let Node::Object(fields) = node else {
        return Err(bad_input(format!(
            "not a LeRobot calibration: \"{name}\" is {}, it must be an object with {}",
            node.kind(),
            FIELDS.join(", ")
        )));
    };
    if let Some((key, _)) = fields
        .iter()
        .find(|(key, _)| !FIELDS.contains(&key.as_str()))
    {
        return Err(bad_input(format!(
            "not a LeRobot calibration: \"{name}\" has the unknown field \"{}\": known are {}",
            key.escape_debug(),
            FIELDS.join(", ")
        )));
    }
    let whole = |field: &str, value: &Node, [min, max]: [i32; 2]| {
        let number = value.number().filter(|number| number.fract() == 0.0);
        match number.filter(|number| (f64::from(min)..=f64::from(max)).contains(number)) {
            Some(number) => Ok(number as i32),
            None => Err(bad_input(format!(
                "\"{name}\": {field} is {value}, it must be a whole number from {min} to {max}"
            ))),
        }
    };
    let needed = |field: &str, bounds| match node.field(field) {
        Some(value) => whole(field, value, bounds),
        None => Err(bad_input(format!("\"{name}\" has no {field}"))),
    };
    // Ticks out of a servo's turn are told as such by the check that follows.
    const TICKS: [i32; 2] = [-1_000_000_000, 1_000_000_000];
    // Files of other tools leave it out where it is 0.
    let drive_mode = node
        .field(DRIVE_MODE)
        .map_or(Ok(0), |value| whole(DRIVE_MODE, value, [0, 1]))?;
    Ok(JointCalibration {
        name: name.to_owned(),
        servo_id: needed(ID, [0, 252])? as u8,
        reversed: drive_mode == 1,
        homing_offset: needed(HOMING_OFFSET, TICKS)?,
        range_min: needed(RANGE_MIN, TICKS)?,
        range_max: needed(RANGE_MAX, TICKS)?,
    })
}

/// Until May 2025 the file had lists, one value for each motor, and no ranges.
fn refuse_old_format(entries: &[(String, Node)]) -> Result<()> {
    let has = |key: &str| entries.iter().any(|(found, _)| found == key);
    if has("motor_names") || has("calib_mode") || has("start_pos") && has("end_pos") {
        return Err(bad_input(
            "this is LeRobot's format of before May 2025, which does not say how far the joints go: convert it by calibrating again, with \
             `lerobot-calibrate` of LeRobot 0.3 or later or with `wink arm calibrate`",
        ));
    }
    Ok(())
}

/// A joint that was moved from where its calibration began to one side only has half a range, whose middle is not the joint's.
fn refuse_half_swept(calibration: &Calibration, arm: &ArmDescription) -> Result<()> {
    for joint in &calibration.joints {
        let full_turn = arm
            .joints()
            .iter()
            .any(|of_arm| of_arm.name == joint.name && of_arm.full_turn);
        // A gripper's calibration may begin where it is closed.
        if full_turn || joint.name == GRIPPER_NAME {
            continue;
        }
        let at_start = |end: &i32| end.abs_diff(START) <= NEAR_START;
        if [joint.range_min, joint.range_max].iter().any(at_start) {
            return Err(bad_input(format!(
                "\"{}\" has the range {} .. {}, and its calibration began at {START}: it was moved to one side only; calibrate it again",
                joint.name, joint.range_min, joint.range_max
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
